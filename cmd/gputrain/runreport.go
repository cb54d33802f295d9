package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/internal/replacefile"
	"github.com/gputrain/gputrain/internal/runreport"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// defaultReport is where report writes its page.
const defaultReport = "report.html"

func (a *app) reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "a page of what training came to: curves, mistakes, filters",
		UsageText: "gputrain report [FLAGS] [RUN...]",
		Description: `RUN is the folder of a run (its last checkpoint) or of runs (the latest), or a
checkpoint file; without one it is the latest run. Several runs are told side by
side. The page is one file that needs nothing else, neither network nor scripts.

It shows the learning curves, the confusion matrix, the worst mistakes, the
weights of the filters, one image's feature maps through the layers, the layer
table, the recipe and the versions. Of a run in progress it tells what there is.

Examples:
  gputrain report                               (report.html, of the latest run)
  gputrain report --image seven.png --output seven.html
  gputrain report runs/run-1 runs/run-2
  gputrain report runs/run-2/best.safetensors --plots plots
  gputrain report --data cifar-10 --json`,
		Flags: append([]cli.Flag{
			dataFlag(),
			&cli.StringFlag{Name: "split", Value: "test", EnvVars: env("split"), Category: "Data", Usage: "look for mistakes in `PART` of the data: " + orList(splitNames)},
			&cli.StringFlag{Name: "image", Value: "test:0", EnvVars: env("image"), Category: "Data", Usage: "follow `IMAGE` through the layers: a file, - or test:N"},
			&cli.StringFlag{Name: "prepare", Value: string(picture.Auto), EnvVars: env("prepare"), Category: "Data", Usage: "`HOW` a file becomes input: " + orList(preparations())},
			&cli.IntFlag{Name: "mistakes", Value: 24, EnvVars: env("mistakes"), Usage: "show the `N` worst mistakes"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: defaultReport, EnvVars: env("output"), Usage: "write the page to `FILE`"},
			&cli.StringFlag{Name: "plots", EnvVars: env("plots"), DefaultText: "none", Usage: "write charts and pictures to `FOLDER` too, as SVG and PNG"},
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print the report's data as one JSON object; no page unless --output names one"},
		}, deviceFlags()...),
		Action: a.report,
	}
}

func (a *app) report(c *cli.Context) error {
	for flag, choices := range map[string][]string{"split": splitNames, "prepare": preparations()} {
		if err := choose(flag, c.String(flag), choices); err != nil {
			return err
		}
	}
	if c.Int("mistakes") < 0 {
		return usagef("--mistakes must be at least 0, got %d", c.Int("mistakes"))
	}
	output := c.String("output")
	if c.Bool("json") && !c.IsSet("output") {
		output = ""
	}
	if output != "" {
		if info, err := os.Stat(filepath.Dir(output)); err != nil || !info.IsDir() {
			return fmt.Errorf("--output %s: there is no folder %s", output, filepath.Dir(output))
		}
	}
	r, err := a.loadReport(c)
	if err != nil {
		return err
	}
	if output != "" {
		if err := replacefile.Write(output, r.WritePage); err != nil {
			return fmt.Errorf("%s: %w", output, err)
		}
	}
	files := r.Files()
	plots := c.String("plots")
	if plots != "" {
		if err := writePlots(plots, files); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return a.printJSON(r, "")
	}
	info, err := os.Stat(output)
	if err != nil {
		return err
	}
	var names []string
	for _, run := range r.Runs {
		names = append(names, run.Name)
	}
	fmt.Fprintf(a.out, "%s: %s, %s\n", output, strings.Join(names, ", "), megabytes(info.Size()))
	if plots != "" {
		fmt.Fprintf(a.out, "%s: %s\n", plots, counted(len(files), "file"))
	}
	return nil
}

// writePlots writes files into a folder, which is made if missing.
func writePlots(dir string, files []runreport.File) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--plots: %w", err)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if err := replacefile.Write(path, f.Write); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// loadReport loads the runs that the command line names and looks at each.
func (a *app) loadReport(c *cli.Context) (*runreport.Report, error) {
	named := c.Args().Slice()
	if len(named) == 0 {
		named = []string{""}
	}
	if len(named) > 1 && c.String("image") == "-" {
		return nil, usagef("--image -: standard input can be read once; name one run, or a file")
	}
	r := &runreport.Report{Program: version(), Made: time.Now()}
	var paths []string
	for _, name := range named {
		checkpoint, path, err := loadRun(name)
		if err != nil {
			return nil, err
		}
		plan, err := checkpoint.Network.Plan()
		if err != nil {
			return nil, err
		}
		run := &runreport.Run{
			Name: runName(path), Checkpoint: checkpoint, Plan: plan, Facts: runFacts(checkpoint, path),
			Filters: runreport.FiltersOf(plan, checkpoint.State),
		}
		for _, l := range plan.Layers {
			run.Layers = append(run.Layers, runreport.LayerRow{
				Name: l.Name, What: describeLayer(l), Output: l.Out.String(), Weights: l.Weights(), MulAdds: l.MulAdds(),
			})
		}
		r.Runs, paths = append(r.Runs, run), append(paths, path)
	}
	uniqueNames(r.Runs, paths)
	data, err := loadData(c)
	if err != nil {
		return nil, err
	}
	for i, run := range r.Runs {
		if err := a.lookInto(c, run, paths[i], data); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// lookInto tests a run's network on the data and lets it look at the image.
func (a *app) lookInto(c *cli.Context, run *runreport.Run, path string, data *mnist.Split) (err error) {
	image := c.String("image")
	fit := checkFit(run.Plan, data)
	switch {
	case c.IsSet("data") && fit != nil:
		return fmt.Errorf("%s: %w", path, fit)
	case !c.IsSet("data") && (fit != nil || !trainedOn(run.Checkpoint, data)):
		why := fmt.Sprintf("it was trained on %s, not on the built-in MNIST: name the folder of its images with --data", run.Checkpoint.Train.Name)
		if c.IsSet("image") && isTestImage(image) {
			return fmt.Errorf("%s: --image %s: %s", path, image, why)
		}
		run.Without = "Nothing is told of mistakes: " + why + "."
		fmt.Fprintf(a.err, "%s: nothing is told of mistakes: %s\n", run.Name, why)
		if isTestImage(image) {
			return nil
		}
	default:
		run.ClassNames = data.ClassNames
	}
	m := &model{checkpoint: run.Checkpoint, path: path, plan: run.Plan}
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.compile(c, inferenceBatch); err != nil {
		return err
	}
	if run.Without == "" {
		if err := a.evaluateRun(c, run, m, data); err != nil {
			return err
		}
	}
	q, err := a.ask(image, data, run.Plan, picture.Preparation(c.String("prepare")))
	if err != nil {
		return err
	}
	run.Image, err = m.follow(q)
	return err
}

// trainedOn reports whether a run was trained on a data set, as far as its
// checkpoint knows: by the validation set, as --limit cuts the training set.
func trainedOn(c *net.Checkpoint, data *mnist.Split) bool {
	return c.Validation == nil || c.Validation.SHA256 == data.Validation.ID().SHA256
}

// evaluateRun looks for a network's mistakes on the part of the data that --split
// names.
func (a *app) evaluateRun(c *cli.Context, run *runreport.Run, m *model, data *mnist.Split) error {
	part := partOf(data, c.String("split"))
	run.Evaluation = runreport.NewEvaluation(part, c.String("split"), run.Plan.Classes, c.Int("mistakes"))
	run.Facts = append(run.Facts, runreport.Fact{Name: "Tested on", Value: fmt.Sprintf("%s, %s images", part.Name, thousands(part.Len()))})
	bar := a.newCountBar(run.Name+": looking for mistakes", part.Len())
	defer bar.close()
	return batches(c.Context, part, func(b net.Batch) error {
		probabilities, err := m.program.Infer(b)
		if err != nil {
			return err
		}
		bar.set(int(b.Indices[0]) + b.Len())
		if err := run.Evaluation.Add(int(b.Indices[0]), probabilities.Float32s()); err != nil {
			return fmt.Errorf("%s: %w, use an earlier checkpoint", m.path, err)
		}
		return nil
	})
}

// follow traces an image through the network.
func (m *model) follow(q question) (*runreport.Image, error) {
	tracer, ok := m.program.(net.Tracer)
	if !ok {
		return nil, fmt.Errorf("%s can't show its layers; use --device cpu", m.device.Name())
	}
	d := q.dataset(m.plan)
	t, err := tracer.Trace(net.Batch{Data: d, Indices: []int32{0}}, net.Evaluation)
	if err != nil {
		return nil, err
	}
	return &runreport.Image{
		Name: q.name, Label: q.label, Probabilities: t.Probabilities.Float32s(),
		Sample: runreport.SampleOf(d, 0), Layers: runreport.LayersOf(m.plan, t),
	}, nil
}

// runName is the name of the run whose folder or checkpoint is at a path.
func runName(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		absolute = path
	}
	base := filepath.Base(absolute)
	name, isFile := strings.CutSuffix(base, ".safetensors")
	if !isFile {
		return base
	}
	return filepath.Base(filepath.Dir(absolute)) + " " + name
}

// uniqueNames gives runs of one name their paths for names.
func uniqueNames(runs []*runreport.Run, paths []string) {
	count := map[string]int{}
	for _, r := range runs {
		count[r.Name]++
	}
	for i, r := range runs {
		if count[r.Name] > 1 {
			r.Name = paths[i]
			if k := slices.Index(paths, paths[i]); k < i {
				r.Name += fmt.Sprintf(" (%d)", i+1)
			}
		}
	}
}

// runFacts tells of a checkpoint what the report's last table has.
func runFacts(c *net.Checkpoint, path string) []runreport.Fact {
	var f []runreport.Fact
	add := func(name, value string) { f = append(f, runreport.Fact{Name: name, Value: value}) }
	add("Recipe", c.Recipe.Name)
	add("Settings", describeRecipe(c.Recipe))
	add("Device", c.Device)
	add("Training set", describeData(&c.Train))
	if c.Validation != nil {
		add("Validation set", describeData(c.Validation))
	}
	add("Checkpoint", path)
	if info, err := os.Stat(path); err == nil {
		add("Written", info.ModTime().Format("2 January 2006, 15:04 MST"))
	}
	add("Steps", thousands(c.State.Step))
	return slices.DeleteFunc(f, func(f runreport.Fact) bool { return f.Value == "" })
}

func describeData(d *net.DatasetID) string {
	return fmt.Sprintf("%s, %s images, SHA-256 %s", d.Name, thousands(d.Samples), d.SHA256)
}

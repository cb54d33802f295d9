package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/internal/netgraph"
	"github.com/gputrain/gputrain/internal/runfolder"
	"github.com/gputrain/gputrain/internal/runreport"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// reportedRun is a run in a report, and where it is.
type reportedRun struct {
	*runreport.Run
	path   string // path of the run's folder, or of a checkpoint in it
	record runfolder.Record
}

// loadReport loads the runs that the command line names, and examines each.
func (a *app) loadReport(c *cli.Context) (*runreport.Report, error) {
	named := c.Args().Slice()
	if len(named) < 2 || a.given(c, "run") {
		one, err := a.namedRun(c)
		if err != nil {
			return nil, err
		}
		named = []string{one}
	}
	if len(named) > 1 && c.String("image") == "-" {
		return nil, usagef("--image -: standard input can be read once; name one run, or a file")
	}
	r := &runreport.Report{Program: version(), Made: time.Now()}
	var runs []*reportedRun
	for _, name := range named {
		run, err := a.loadReported(c, name)
		if err != nil {
			return nil, err
		}
		runs, r.Runs = append(runs, run), append(r.Runs, run.Run)
	}
	uniqueNames(runs)
	data := dataSets{}
	for _, run := range runs {
		if err := a.lookInto(c, run, data); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// loadReported loads what is known of a run without running its network.
func (a *app) loadReported(c *cli.Context, named string) (*reportedRun, error) {
	checkpoint, path, err := loadRun(c, named, "--run RUN")
	if err != nil {
		return nil, err
	}
	plan, err := checkpoint.Network.Plan()
	if err != nil {
		return nil, err
	}
	run := &reportedRun{path: path, Run: &runreport.Run{
		Name: runName(path), Checkpoint: checkpoint, Plan: plan, Filters: runreport.FiltersOf(plan, checkpoint.Weights()),
	}}
	for _, l := range plan.Nodes {
		row := runreport.LayerRow{
			Name: l.Name, What: netgraph.Describe(plan, l), Output: l.Out.String(), Weights: l.Weights(), MulAdds: l.MulAdds(),
		}
		for _, from := range l.Inputs {
			row.From = append(row.From, plan.InputName(from))
		}
		run.Layers = append(run.Layers, row)
	}
	if err := run.readFolder(); err != nil {
		fmt.Fprintf(a.err, "%s: not all is told of how it went: %v\n", run.Name, err)
	}
	run.Facts = run.facts()
	return run, nil
}

// readFolder reads the files beside checkpoints in the run's folder, if they
// exist.
func (r *reportedRun) readFolder() error {
	dir, upTo := r.path, net.Position{Epoch: math.MaxInt}
	if info, err := os.Stat(r.path); err == nil && !info.IsDir() {
		dir, upTo = filepath.Dir(r.path), r.Checkpoint.Position
	}
	record, err := runfolder.ReadRecord(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.record = record
	entries, err := runfolder.ReadMetrics(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if p, ok := e.Event.(net.Progress); ok && (p.Epoch <= upTo.Epoch || p.Epoch == upTo.Epoch+1 && p.Step <= upTo.Step) {
			r.Steps = append(r.Steps, p)
		}
	}
	return nil
}

// dataSets holds the data sets of runs, so that each is loaded only once. The key
// is the folder and what the run needs from the data set.
type dataSets map[dataKey]*dataset

type dataKey struct {
	folder string
	wish   dataWish
}

// dataOf returns the data set in a folder, or the built-in MNIST.
func (a *app) dataOf(c *cli.Context, d dataSets, folder string, w dataWish) (*dataset, error) {
	key := dataKey{folder, w}
	if d[key] == nil {
		data, err := a.loadFolder(c, folder, w)
		if err != nil {
			return nil, err
		}
		d[key] = data
	}
	return d[key], nil
}

// imagesOf returns the images that --data names, otherwise those that the run was
// trained on. If these can't be loaded, missing tells why.
func (a *app) imagesOf(c *cli.Context, r *reportedRun, known dataSets) (data *dataset, missing string, err error) {
	if c.IsSet("data") {
		if data, err = a.dataOf(c, known, c.String("data"), wishOf(r.Checkpoint)); err == nil {
			err = checkFit(r.Plan, data)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", r.path, err)
		}
		return data, "", err
	}
	folder := r.record.Data.Folder
	if s := r.Checkpoint.Subject; s != nil {
		folder = s.Folder
	}
	data, err = a.dataOf(c, known, folder, wishOf(r.Checkpoint))
	const advice = "name the folder of its images with --data"
	switch {
	case err != nil && folder != "":
		return nil, fmt.Sprintf("%v: %s", err, advice), nil
	case err != nil:
		return nil, "", err
	case checkFit(r.Plan, data) == nil && trainedOn(r.Checkpoint, data):
		return data, "", nil
	case folder == "":
		folder = "the built-in MNIST"
	}
	return nil, fmt.Sprintf("it was trained on %s, which is not what %s holds: %s", r.Checkpoint.Train.Name, folder, advice), nil
}

// lookInto runs a run's network on the data and on the image.
func (a *app) lookInto(c *cli.Context, run *reportedRun, known dataSets) (err error) {
	data, missing, err := a.imagesOf(c, run, known)
	if err != nil {
		return err
	}
	image := c.String("image")
	if missing != "" {
		if c.IsSet("image") && isTestImage(image) {
			return fmt.Errorf("%s: --image %s: %s", run.path, image, missing)
		}
		run.Without = "Nothing is told of mistakes: " + missing + "."
		fmt.Fprintf(a.err, "%s: nothing is told of mistakes: %s\n", run.Name, missing)
		if isTestImage(image) {
			return nil
		}
	}
	m := &model{checkpoint: run.Checkpoint, path: run.path, plan: run.Plan}
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.compile(c, inferenceBatch); err != nil {
		return err
	}
	run.ClassNames = m.classNames(data)
	if data != nil {
		if err := a.evaluateRun(c, run.Run, m, data); err != nil {
			return err
		}
	}
	q, err := a.ask(image, data, m, preparation(c, run.Checkpoint))
	if err != nil {
		return err
	}
	run.Image, err = m.follow(q)
	return err
}

// trainedOn reports whether a run was trained on a data set, as far as its
// checkpoint knows. If the run remembers no subject, it compares the validation
// set, because --limit cuts the training set.
func trainedOn(c *net.Checkpoint, data *dataset) bool {
	if c.Subject != nil {
		return changedData(c, data) == ""
	}
	return c.Validation == nil || c.Validation.SHA256 == data.validation.ID().SHA256
}

// evaluateRun evaluates a network on the part of the data that --split names, and
// collects its mistakes.
func (a *app) evaluateRun(c *cli.Context, run *runreport.Run, m *model, data *dataset) error {
	part := data.part(c.String("split"))
	run.Evaluation = runreport.NewEvaluation(part, c.String("split"), run.Plan.Classes, c.Int("mistakes"))
	run.Facts = append(run.Facts, runreport.Fact{Name: "Tested on", Value: fmt.Sprintf("%s, %s images", part.Name, thousands(part.Len()))})
	bar := a.newCountBar(run.Name+": looking for mistakes", part.Len())
	defer bar.close()
	return batches(c.Context, part, func(b net.Batch) error {
		probabilities, err := m.checkpoint.Recipe.Views.Infer(m.program, b)
		if err != nil {
			return err
		}
		bar.set(int(b.Indices[0]) + b.Len())
		if err := run.Evaluation.Add(int(b.Indices[0]), probabilities); err != nil {
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

// runName returns the name of the run whose folder or checkpoint is at a path.
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

// uniqueNames replaces the names of runs with the same name by their paths.
func uniqueNames(runs []*reportedRun) {
	count := map[string]int{}
	for _, r := range runs {
		count[r.Name]++
	}
	for i, r := range runs {
		if count[r.Name] > 1 {
			r.Name = r.path
			if k := slices.IndexFunc(runs, func(other *reportedRun) bool { return other.path == r.path }); k < i {
				r.Name += fmt.Sprintf(" (%d)", i+1)
			}
		}
	}
}

// facts returns the rows of the report's last table.
func (r *reportedRun) facts() []runreport.Fact {
	var f []runreport.Fact
	add := func(name, value string) {
		if value != "" {
			f = append(f, runreport.Fact{Name: name, Value: value})
		}
	}
	c := r.Checkpoint
	add("Recipe", c.Recipe.Name)
	add("Settings", describeRecipe(c.Recipe))
	add("Training set", describeData(&c.Train))
	if c.Validation != nil {
		add("Validation set", describeData(c.Validation))
	}
	if s := c.Subject; s != nil {
		add("Classes", listNames(s.ClassNames))
		add("Images from", s.Folder)
		if s.Scale > 0 {
			add("Pictures", describePreparation(picture.Preparation(s.Prepare), r.Plan.Network.Input))
		}
	} else {
		add("Images from", r.record.Data.Folder)
	}
	for _, p := range r.record.Parts {
		name := "Began"
		if p.Resumed != nil {
			name = fmt.Sprintf("Resumed after %s and %s", counted(p.Resumed.Epoch, "epoch"), counted(p.Resumed.Step, "step"))
		}
		words := make([]string, len(p.Command))
		for i, word := range p.Command {
			words[i] = quoted(word)
		}
		add(name, p.Began.Local().Format(timeLayout))
		add("by", strings.Join(words, " "))
		add("on", p.Device)
		add("with", "gputrain "+p.Version)
	}
	if len(r.record.Parts) == 0 {
		add("Device", c.Device)
	}
	add("Checkpoint", r.path)
	if info, err := os.Stat(r.path); err == nil {
		add("Written", info.ModTime().Format(timeLayout))
	}
	add("Steps", thousands(c.State.Step))
	return f
}

// timeLayout is the layout of times in the report.
const timeLayout = "2 January 2006, 15:04 MST"

func describeData(d *net.DatasetID) string {
	return fmt.Sprintf("%s, %s images, SHA-256 %s", d.Name, thousands(d.Samples), d.SHA256)
}

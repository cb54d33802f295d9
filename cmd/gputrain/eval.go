package main

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
)

// splitNames lists the choices of --split.
var splitNames = []string{"test", "validation", "train"}

// viewNames lists the choices of --views.
var viewNames = []string{oneView, string(net.MirrorView), string(net.SixViews)}

func (a *app) evalCommand() *cli.Command {
	return &cli.Command{
		Name:      "eval",
		Usage:     "test a trained network",
		UsageText: "gputrain eval [FLAGS] [RUN]",
		Description: `Prints accuracy, mean loss, the confusion matrix, and for each class
  precision  the share of its predictions that are right
  recall     the share of its images that are found
  F1         the harmonic mean of both
on the data that the run was trained on, split as in training, unless --data
names others (--data= is the built-in MNIST).

Examples:
  gputrain eval
  gputrain eval --views mirror --top 3
  gputrain eval --run runs/run-2/best.safetensors
  gputrain eval --data fashion-mnist --split validation --json`,
		Flags: append([]cli.Flag{
			trainedRunFlag(),
			runDataFlag(),
			&cli.StringFlag{Name: "split", Value: "test", EnvVars: env("split"), Category: "Data", Usage: "`PART` of the data: test, validation or train"},
			&cli.IntFlag{Name: "limit", EnvVars: env("limit"), Category: "Data", DefaultText: "all", Usage: "take `N` images at most, of all classes alike: those of train --limit N"},
			&cli.IntFlag{Name: "top", EnvVars: env("top"), DefaultText: "5 for more than 10 classes", Usage: "tell how often the label is among the `N` most probable classes; 1 does not"},
			&cli.StringFlag{Name: "views", EnvVars: env("views"), DefaultText: recipesOwn, Usage: "see each image in `VIEWS`, and average: " + orList(viewNames)},
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print one JSON object"},
			verboseFlag(),
		}, deviceFlags()...),
		Action: a.eval,
	}
}

// evaluation is the result of eval. Its JSON is the output of the command.
type evaluation struct {
	Checkpoint string        `json:"checkpoint"`
	Data       string        `json:"data"`
	Images     int64         `json:"images"`
	Hits       int64         `json:"hits"`
	Accuracy   float64       `json:"accuracy"`
	Top        *topScore     `json:"top,omitempty"`
	Views      net.Views     `json:"views,omitempty"` // views that are averaged for each image
	Loss       float64       `json:"loss"`            // mean
	Classes    []classScore  `json:"classes"`
	Confusion  net.Confusion `json:"confusion"` // rows are labels, columns predictions

	whole *net.Dataset // the data set that the images are from

	GPU *cuda.Statistics `json:"gpu,omitempty"` // if the user asked for it
}

// topScore tells how often the label is among the most probable classes.
type topScore struct {
	Classes  int     `json:"classes"` // how many
	Hits     int64   `json:"hits"`
	Accuracy float64 `json:"accuracy"`
}

// classScore tells how well a network does on one class. In JSON a share of
// nothing is null.
type classScore struct {
	Class     string `json:"class"`
	Images    int64  `json:"images"`
	Precision share  `json:"precision"`
	Recall    share  `json:"recall"`
	F1        share  `json:"f1"`
}

// share is a share of 1, or NaN for a share of nothing.
type share float64

// MarshalJSON writes a number or null.
func (s share) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(s)) {
		return []byte("null"), nil
	}
	return fmt.Append(nil, float64(s)), nil
}

// String formats the share as a percentage.
func (s share) String() string {
	if math.IsNaN(float64(s)) {
		return "-"
	}
	return percent(float64(s))
}

func (a *app) eval(c *cli.Context) (err error) {
	named, err := a.namedRun(c)
	if err != nil {
		return err
	}
	if err := choose("split", c.String("split"), splitNames); err != nil {
		return err
	}
	for _, flag := range []string{"limit", "top"} {
		if c.IsSet(flag) && c.Int(flag) < 1 {
			return usagef("--%s must be at least 1, got %d", flag, c.Int(flag))
		}
	}
	if c.IsSet("views") {
		if err := choose("views", c.String("views"), viewNames); err != nil {
			return err
		}
	}
	m, err := openModel(c, named, inferenceBatch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	if top := c.Int("top"); top > m.plan.Classes {
		return usagef("--top must be at most %d, the number of classes, got %d", m.plan.Classes, top)
	}
	data, changed, err := a.runData(c, m.checkpoint)
	if err != nil {
		return err
	}
	if err := checkFit(m.plan, data); err != nil {
		return err
	}
	a.note(changed)
	a.note(m.otherNames(data))
	whole := data.part(c.String("split"))
	part := data.limited(c.Int("limit"), m.checkpoint.Recipe.Seed).part(c.String("split"))
	result := evaluation{Checkpoint: m.path, Data: part.Name, Views: m.views(c), whole: whole, Confusion: net.NewConfusion(m.plan.Classes)}
	top := topOf(c, m.plan.Classes)
	var metrics net.Metrics
	var inTop int64
	err = batches(c.Context, part, func(b net.Batch) error {
		of, hits, err := result.Views.Evaluate(m.program, b, top)
		if err != nil {
			return err
		}
		metrics.Add(of)
		inTop += hits
		probabilities, err := result.Views.Infer(m.program, b)
		if err != nil {
			return err
		}
		first := b.Indices[0]
		result.Confusion.Add(part.Labels[first:int(first)+b.Len()], probabilities)
		return nil
	})
	if err != nil {
		return err
	}
	result.Images, result.Hits = metrics.Samples, metrics.Hits
	result.Accuracy, result.Loss = metrics.Accuracy(), metrics.MeanLoss()
	if top > 1 {
		result.Top = &topScore{top, inTop, float64(inTop) / float64(metrics.Samples)}
	}
	if math.IsNaN(result.Loss) || math.IsInf(result.Loss, 0) {
		return fmt.Errorf("%s: the loss on %s is %v: its weights are worthless, use an earlier checkpoint", m.path, part.Name, result.Loss)
	}
	for k := range m.plan.Classes {
		result.Classes = append(result.Classes, classScore{
			Class: net.ClassName(m.classNames(data), k), Images: result.Confusion.Labelled(k),
			Precision: share(result.Confusion.Precision(k)), Recall: share(result.Confusion.Recall(k)), F1: share(result.Confusion.F1(k)),
		})
	}
	(&captureWatch{app: a}).look(m.program)
	if c.Bool("verbose") {
		result.GPU = gpuStatistics(m.program)
	}
	if c.Bool("json") {
		return a.printJSON(result, "")
	}
	a.printEvaluation(m, &result)
	a.printGPU(result.GPU)
	return nil
}

// views returns the views that --views names, otherwise those with which the run
// was validated.
func (m *model) views(c *cli.Context) net.Views {
	switch name := c.String("views"); name {
	case "":
		return m.checkpoint.Recipe.Views
	case oneView:
		return net.OneView
	default:
		return net.Views(name)
	}
}

// topOf returns how many of the most probable classes count as right, in addition
// to the usual accuracy. 1 means only the first.
func topOf(c *cli.Context, classes int) int {
	top := c.Int("top")
	if !c.IsSet("top") && classes > 10 {
		top = 5
	}
	return max(1, top)
}

func (a *app) printEvaluation(m *model, e *evaluation) {
	var f facts
	f.add("Checkpoint", m.describe())
	f.add("Device", m.device.Name())
	f.add("Data", fmt.Sprintf("%s, %s images", e.Data, partly(int(e.Images), e.whole)))
	f.add("Accuracy", fmt.Sprintf("%s (%s of %s)", percent(e.Accuracy), thousands(e.Hits), thousands(e.Images)))
	if e.Top != nil {
		f.add(fmt.Sprintf("Top %d", e.Top.Classes), fmt.Sprintf("%s (%s of %s)", percent(e.Top.Accuracy), thousands(e.Top.Hits), thousands(e.Images)))
	}
	f.add("Loss", fmt.Sprintf("%.4f", e.Loss))
	if e.Views != net.OneView {
		f.add("Views", string(e.Views)+", averaged for each image")
	}
	f.write(a.out)

	fmt.Fprintln(a.out, "\nConfusion matrix: a row for each label, a column for each prediction")
	t := table{align: "l"}
	head := []string{""}
	// With long names the table would be too wide.
	numbered := slices.ContainsFunc(e.Classes, func(c classScore) bool { return len([]rune(c.Class)) > 5 })
	for k, class := range e.Classes {
		t.align += "r"
		if numbered {
			head = append(head, fmt.Sprint(k))
		} else {
			head = append(head, class.Class)
		}
	}
	t.add(head...)
	for k, counts := range e.Confusion {
		name := e.Classes[k].Class
		if head[k+1] != name {
			name = head[k+1] + " " + name
		}
		row := []string{name}
		for _, n := range counts {
			if n == 0 {
				row = append(row, ".")
			} else {
				row = append(row, fmt.Sprint(n))
			}
		}
		t.add(row...)
	}
	t.write(a.out)

	fmt.Fprintln(a.out)
	t = table{align: "lrrrr"}
	t.add("Class", "Images", "Precision", "Recall", "F1")
	for _, class := range e.Classes {
		t.add(class.Class, thousands(class.Images), class.Precision.String(), class.Recall.String(), class.F1.String())
	}
	t.write(a.out)
}

// describe tells which checkpoint a model comes from.
func (m *model) describe() string {
	p := m.checkpoint.Position
	at := fmt.Sprintf("epoch %d", p.Epoch)
	if p.Step > 0 {
		at = fmt.Sprintf("epoch %d, step %d", p.Epoch+1, p.Step)
	}
	return fmt.Sprintf("%s: %s at %s", m.path, m.checkpoint.Network.Name, at)
}

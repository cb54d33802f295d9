package main

import (
	"errors"
	"fmt"
	"math"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
)

// splitNames are the choices of --split.
var splitNames = []string{"test", "validation", "train"}

func (a *app) evalCommand() *cli.Command {
	return &cli.Command{
		Name:      "eval",
		Usage:     "test a trained network",
		UsageText: "gputrain eval [FLAGS]",
		Description: `Prints accuracy, mean loss, the confusion matrix, and for each class
  precision  the share of its predictions that are right
  recall     the share of its images that are found
  F1         the harmonic mean of both

Examples:
  gputrain eval
  gputrain eval --checkpoint runs/run-2/best.safetensors
  gputrain eval --data fashion-mnist --split validation --json`,
		Flags: append([]cli.Flag{
			checkpointFlag(),
			dataFlag(),
			&cli.StringFlag{Name: "split", Value: "test", EnvVars: env("split"), Category: "Data", Usage: "`PART` of the data: test, validation or train"},
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print one JSON object"},
			verboseFlag(),
		}, deviceFlags()...),
		Action: a.eval,
	}
}

// evaluation is what eval finds out, as it stands in JSON.
type evaluation struct {
	Checkpoint string        `json:"checkpoint"`
	Data       string        `json:"data"`
	Images     int64         `json:"images"`
	Hits       int64         `json:"hits"`
	Accuracy   float64       `json:"accuracy"`
	Loss       float64       `json:"loss"` // mean
	Classes    []classScore  `json:"classes"`
	Confusion  net.Confusion `json:"confusion"` // rows are labels, columns predictions

	GPU *cuda.Statistics `json:"gpu,omitempty"` // if it is to be told
}

// classScore is how a network does on one class; null in JSON is a share of none.
type classScore struct {
	Class     string `json:"class"`
	Images    int64  `json:"images"`
	Precision share  `json:"precision"`
	Recall    share  `json:"recall"`
	F1        share  `json:"f1"`
}

// share is a share of 1, or NaN for a share of none.
type share float64

// MarshalJSON writes a number or null.
func (s share) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(s)) {
		return []byte("null"), nil
	}
	return fmt.Append(nil, float64(s)), nil
}

// String formats the share as per cent.
func (s share) String() string {
	if math.IsNaN(float64(s)) {
		return "-"
	}
	return percent(float64(s))
}

func (a *app) eval(c *cli.Context) (err error) {
	if err := noArguments(c); err != nil {
		return err
	}
	if err := choose("split", c.String("split"), splitNames); err != nil {
		return err
	}
	m, err := openModel(c, inferenceBatch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	data, err := a.loadData(c, wishOf(m.checkpoint))
	if err != nil {
		return err
	}
	part := data.part(c.String("split"))
	if err := checkFit(m.plan, data); err != nil {
		return err
	}
	result := evaluation{Checkpoint: m.path, Data: part.Name, Confusion: net.NewConfusion(m.plan.Classes)}
	var metrics net.Metrics
	err = batches(c.Context, part, func(b net.Batch) error {
		of, err := m.program.Evaluate(b)
		if err != nil {
			return err
		}
		metrics.Add(of)
		probabilities, err := m.program.Infer(b)
		if err != nil {
			return err
		}
		first := b.Indices[0]
		result.Confusion.Add(part.Labels[first:int(first)+b.Len()], probabilities.Float32s())
		return nil
	})
	if err != nil {
		return err
	}
	result.Images, result.Hits = metrics.Samples, metrics.Hits
	result.Accuracy, result.Loss = metrics.Accuracy(), metrics.MeanLoss()
	if math.IsNaN(result.Loss) || math.IsInf(result.Loss, 0) {
		return fmt.Errorf("%s: the loss on %s is %v: its weights are worthless, use an earlier checkpoint", m.path, part.Name, result.Loss)
	}
	for k := range m.plan.Classes {
		result.Classes = append(result.Classes, classScore{
			Class: net.ClassName(data.classNames, k), Images: result.Confusion.Labelled(k),
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

func (a *app) printEvaluation(m *model, e *evaluation) {
	var f facts
	f.add("Checkpoint", m.describe())
	f.add("Device", m.device.Name())
	f.add("Data", fmt.Sprintf("%s, %s images", e.Data, thousands(e.Images)))
	f.add("Accuracy", fmt.Sprintf("%s (%s of %s)", percent(e.Accuracy), thousands(e.Hits), thousands(e.Images)))
	f.add("Loss", fmt.Sprintf("%.4f", e.Loss))
	f.write(a.out)

	fmt.Fprintln(a.out, "\nConfusion matrix: a row for each label, a column for each prediction")
	t := table{align: "l"}
	head := []string{""}
	for k, class := range e.Classes {
		t.align += "r"
		name := class.Class
		if len(name) > 5 {
			name = fmt.Sprint(k) // names would make the table too wide
		}
		head = append(head, name)
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

// describe says which checkpoint a model comes from.
func (m *model) describe() string {
	p := m.checkpoint.Position
	at := fmt.Sprintf("epoch %d", p.Epoch)
	if p.Step > 0 {
		at = fmt.Sprintf("epoch %d, step %d", p.Epoch+1, p.Step)
	}
	return fmt.Sprintf("%s: %s at %s", m.path, m.checkpoint.Network.Name, at)
}

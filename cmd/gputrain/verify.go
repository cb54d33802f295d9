package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/verify"
)

func (a *app) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "compare a device with exact arithmetic, layer by layer",
		UsageText: "gputrain verify [FLAGS]",
		Description: `Compares every layer's output and gradients, the loss and a few training steps
with the reference device, which computes in float64. Half of the steps are on
augmented images, with label smoothing, class weights and averaged weights.
An error is the worst of all values, relative to the greatest. The tolerance is
what rounding in the device's precision can explain. "fused" marks a value that
the device never holds in memory.
The exit status is 1 if anything fails.
A network's whole chain of layers is judged too, on images where rounding
decides nothing. Of some networks there are none: then its layers and updates
are judged, and the output says so.

Examples:
  gputrain verify
  gputrain verify --device cpu --model tutorial
  gputrain verify --device cuda --precision bf16
  gputrain verify --model mine.json --data fashion-mnist`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "model", EnvVars: env("model"), Category: "Model", DefaultText: "one of every kind of layer, and the built-in ones for such images", Usage: "`MODEL`: a built-in model's name, or a JSON file"},
			dataFlag(),
			&cli.IntFlag{Name: "batch", Value: 4, EnvVars: env("batch"), Usage: "`N` images in a mini-batch"},
			&cli.Uint64Flag{Name: "seed", Value: 1, EnvVars: env("seed"), Usage: "`N` that decides initial weights and the choice of images"},
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print one JSON object a comparison"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, EnvVars: env("verbose"), Usage: "tell of a GPU's memory too"},
		}, withDefault("precision", "fp32", deviceFlags())...),
		Action: a.verify,
	}
}

// comparison is one comparison, in JSON.
type comparison struct {
	Device    string   `json:"device"`
	Model     string   `json:"model"`
	Layer     string   `json:"layer,omitempty"` // empty: it belongs to the whole network
	Phase     string   `json:"phase"`           // "training", "evaluation", "network", "step N" or "chain"
	What      string   `json:"what"`
	Fused     bool     `json:"fused,omitempty"`
	Skipped   bool     `json:"skipped,omitempty"` // for "chain": it can't be judged, and Detail tells why
	Error     *float64 `json:"error"`             // null for NaN, and for values that can't be compared
	Tolerance float64  `json:"tolerance"`
	OK        bool     `json:"ok"`
	Detail    string   `json:"detail,omitempty"`
}

func (a *app) verify(c *cli.Context) (err error) {
	if err := noArguments(c); err != nil {
		return err
	}
	if c.Int("batch") < 1 {
		return usagef("--batch must be at least 1, got %d", c.Int("batch"))
	}
	gpu, err := gpuOptions(c)
	if err != nil {
		return err
	}
	if gpu.Precision == "" {
		gpu.Precision = cuda.FP32 // the strictest
	}
	device, why, err := openNamed(c, gpu)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	input, err := inputOf(c.String("model"))
	if err != nil {
		return err
	}
	data, err := a.loadData(c, dataWish{input: input, seed: c.Uint64("seed")})
	if err != nil {
		return err
	}
	models, err := modelsToVerify(c.String("model"), data.train)
	if err != nil {
		return err
	}
	if !c.Bool("json") {
		var f facts
		f.add("Device", withReason(device, why))
		f.write(a.out)
	}
	options := verify.Options{Batch: c.Int("batch"), Seed: c.Uint64("seed")}
	if d, ok := device.(interface{ Precision() cuda.Precision }); ok {
		options.Roundoff = d.Precision().Roundoff()
	}
	if err := a.verifyDevice(c.Context, device, models, data, options, c.Bool("json")); err != nil || !c.Bool("verbose") {
		return err
	}
	pool, ok := device.(interface{ Memory() cuda.MemoryStats })
	switch {
	case !ok:
		return nil
	case c.Bool("json"):
		return a.printJSON(map[string]any{"gpu": map[string]any{"memory": pool.Memory()}}, "")
	}
	var f facts
	f.add("GPU memory", describeMemory(pool.Memory()))
	f.write(a.out)
	return nil
}

// modelsToVerify returns the named model for a data set's images and classes.
// Without a name it returns a network with every kind of layer, and the
// built-in models that usually take such images.
func modelsToVerify(name string, data *net.Dataset) ([]*net.Network, error) {
	if name != "" {
		n, err := loadModel(name, data.Shape, data.Classes)
		return []*net.Network{n}, err
	}
	models := []*net.Network{verify.EveryKind(data.Shape, data.Classes)}
	for _, m := range net.Models() {
		if m.Input != data.Shape {
			continue
		}
		n, err := m.Build(data.Shape, data.Classes)
		if err != nil {
			return nil, err
		}
		models = append(models, n)
	}
	return models, nil
}

// verifyDevice verifies a device on models, and prints the results. It returns
// an error if a comparison fails.
func (a *app) verifyDevice(ctx context.Context, device net.Device, models []*net.Network, data *dataset, options verify.Options, asJSON bool) error {
	compared, failed, loose := 0, 0, 0
	var skipped []string // networks that can't be judged as a whole chain
	for _, n := range models {
		plan, err := n.Plan()
		if err != nil {
			return err
		}
		if err := checkFit(plan, data); err != nil {
			return err
		}
		report, err := verify.Network(ctx, device, n, data.train, options)
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err != nil {
			return err
		}
		compared += len(report.Checks())
		failed += len(report.Failures())
		if report.EndToEndSkipped != "" {
			skipped = append(skipped, n.Name)
		}
		for _, check := range report.Checks() {
			if check.Loose() {
				loose++
			}
		}
		if asJSON {
			err = a.printComparisons(report)
		} else {
			fmt.Fprintf(a.out, "\nModel %s, %d images\n", n.Name, report.Batch)
			err = report.Write(a.out)
		}
		if err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d comparisons failed: don't trust what %s computes", failed, compared, device.Name())
	}
	if !asJSON {
		fmt.Fprintf(a.out, "\n%s: all %s comparisons are within the tolerance.\n", a.out.paint(green, "PASS"), thousands(compared))
		if len(skipped) > 0 {
			fmt.Fprintf(a.out, "The whole chain can't be judged of %s, see above: that is no fault of the device.\n", strings.Join(skipped, ", "))
		}
		if loose > 0 {
			fmt.Fprintf(a.out, "%s of them say little: their gradients are rounding errors alone, so their updates may be anything up to the learning rate.\n", thousands(loose))
		}
	}
	return nil
}

func (a *app) printComparisons(r *verify.Report) error {
	var err error
	print := func(phase string, checks []verify.Check) {
		for _, check := range checks {
			out := comparison{
				Device: r.Device, Model: r.Network, Phase: phase, What: check.What, Fused: check.Fused,
				Tolerance: check.Tolerance, OK: check.OK, Detail: check.Detail,
			}
			if check.Layer >= 0 {
				out.Layer = r.Layers[check.Layer].Name
			}
			if !check.Fused && !math.IsInf(check.Error, 0) && !math.IsNaN(check.Error) {
				out.Error = &check.Error
			}
			err = errors.Join(err, a.printJSON(out, ""))
		}
	}
	for _, l := range r.Layers {
		print("training", l.Training)
		print("evaluation", l.Evaluation)
	}
	print("network", r.Whole)
	for i, s := range r.Steps {
		print(fmt.Sprintf("step %d", i+1), s)
	}
	if r.EndToEndSkipped != "" {
		err = errors.Join(err, a.printJSON(comparison{
			Device: r.Device, Model: r.Network, Phase: "chain", What: "whole chain", Skipped: true, OK: true, Detail: "can't be judged " + r.EndToEndSkipped,
		}, ""))
	}
	return err
}

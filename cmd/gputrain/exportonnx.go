package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/quantize"
	"github.com/gputrain/gputrain/onnx"
)

// The choices of --quantize.
const (
	int8Quantized      = "int8"
	symmetricQuantized = "int8-symmetric"
)

var quantizedNames = []string{int8Quantized, symmetricQuantized}

// defaultCalibration is how many images find the ranges of values.
const defaultCalibration = 500

func quantizeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "quantize", EnvVars: env("quantize"), Category: "Eight bits", Usage: "write whole numbers of eight bits to an ONNX model, `HOW`: " + orList(quantizedNames)},
		&cli.IntFlag{Name: "calibrate", Value: defaultCalibration, EnvVars: env("calibrate"), Category: "Eight bits", Usage: "find the ranges of values in `N` training images"},
		runDataFlag(),
	}
}

// eightBits tells what quantisation has done to a network.
type eightBits struct {
	How       string  `json:"how"`        // as in --quantize
	Calibrate int     `json:"calibrated"` // number of training images
	Data      string  `json:"data"`       // what both accuracies are on
	Images    int64   `json:"images"`
	Accuracy  float64 `json:"accuracy"` // with eight bits
	Before    float64 `json:"accuracy_before"`
}

// checkQuantize returns an error for flags of quantisation in the command line that contradict
// others.
func (a *app) checkQuantize(c *cli.Context, format string) error {
	how := c.String("quantize")
	if format != formatONNX && a.given(c, "quantize") {
		return usagef("--quantize is for --format %s", formatONNX)
	}
	for _, flag := range []string{"calibrate", "data", "skip-bad"} {
		if a.given(c, flag) && (how == "" || format != formatONNX) {
			return usagef("--%s is for --quantize, which finds the ranges of values in images", flag)
		}
	}
	if how == "" || format != formatONNX {
		return nil
	}
	if c.Int("calibrate") < 1 {
		return usagef("--calibrate must be at least 1, got %d", c.Int("calibrate"))
	}
	return choose("quantize", how, quantizedNames)
}

// quantize makes a network of eight bits of a run's, and compares their accuracies. The
// accuracies are those of one view of each image.
func (a *app) quantize(c *cli.Context, saved *net.Checkpoint, plan *net.Plan) (_ *quantize.Network, _ *eightBits, err error) {
	data, changed, err := a.runData(c, saved)
	if err != nil {
		return nil, nil, err
	}
	if err := checkFit(plan, data); err != nil {
		return nil, nil, err
	}
	a.note(changed)
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	of := data.limited(c.Int("calibrate"), saved.Recipe.Seed).train
	bar := a.newCountBar("finding the ranges of values", of.Len())
	defer bar.close()
	q, err := quantize.New(c.Context, device, plan.Network, saved.Weights(), quantize.Options{
		Images: of, Symmetric: c.String("quantize") == symmetricQuantized, Progress: func(done, _ int) { bar.set(done) },
	})
	if errors.Is(err, context.Canceled) {
		return nil, nil, errInterrupted
	}
	if err != nil {
		return nil, nil, err
	}
	test := data.test
	whole := a.newCountBar("testing", 2*test.Len())
	defer whole.close()
	told := &eightBits{How: c.String("quantize"), Calibrate: of.Len(), Data: test.Name, Images: int64(test.Len())}
	for i, each := range []struct {
		network  *net.Network
		weights  map[string]*tensor.Dense
		eight    map[string]quantize.Scale
		accuracy *float64
	}{{plan.Network, saved.Weights(), nil, &told.Before}, {q.Plan.Network, q.Weights, q.Values, &told.Accuracy}} {
		p, closing, err := inference(each.network, min(inferenceBatch, saved.Recipe.Batch), each.weights, each.eight)
		if err != nil {
			return nil, nil, err
		}
		var metrics net.Metrics
		err = batches(c.Context, test, func(b net.Batch) error {
			m, err := p.Evaluate(b)
			metrics.Add(m)
			whole.set(i*test.Len() + int(metrics.Samples))
			return err
		})
		if err = errors.Join(err, closing()); err != nil {
			return nil, nil, err
		}
		*each.accuracy = metrics.Accuracy()
	}
	return q, told, nil
}

// inference compiles a network with weights on the processor. Values are rounded as eight says,
// which may be nil.
func inference(n *net.Network, batch int, weights map[string]*tensor.Dense, eight map[string]quantize.Scale) (net.Program, func() error, error) {
	device, err := cpu.New(cpu.Options{Eight: eight})
	if err != nil {
		return nil, nil, err
	}
	p, err := device.Compile(n, net.Options{Batch: batch, Optimizer: net.SGDDefault(0), Inference: true})
	if err != nil {
		return nil, nil, errors.Join(err, device.Close())
	}
	closing := func() error { return errors.Join(p.Close(), device.Close()) }
	if err := p.SetState(net.State{Params: weights}); err != nil {
		return nil, nil, errors.Join(err, closing())
	}
	return p, closing, nil
}

// writerONNX returns what writes an ONNX model, after it has read the model back: the network
// that the model holds must give what the run's gives.
func writerONNX(plan *net.Plan, weights map[string]*tensor.Dense, o onnx.Options) (func(io.Writer) error, error) {
	var b bytes.Buffer
	if err := onnx.Write(&b, plan, weights, o); err != nil {
		return nil, err
	}
	if err := checkONNX(b.Bytes(), plan, weights, o); err != nil {
		return nil, fmt.Errorf("nothing is written, because the ONNX model isn't what it should be: %w; please tell the developers of gputrain", err)
	}
	return func(w io.Writer) error {
		_, err := w.Write(b.Bytes())
		return err
	}, nil
}

// The most by which probabilities of a network differ that was written and read. With eight
// bits, a rounding may make a value in the middle between two whole numbers the other one.
const (
	mostApart      = 1e-4
	mostEightApart = 1e-2
)

func checkONNX(model []byte, plan *net.Plan, weights map[string]*tensor.Dense, o onnx.Options) error {
	m, err := onnx.Read(model, onnx.ReadOptions{})
	if err != nil {
		return err
	}
	if m.Softmax == o.Logits || m.Network.Input != plan.Network.Input {
		return fmt.Errorf("it takes %v and ends with a softmax: %t, want %v and %t", m.Network.Input, m.Softmax, plan.Network.Input, !o.Logits)
	}
	random := rand.New(rand.NewPCG(1, 1))
	in := &net.Dataset{Name: "noise", Shape: plan.Network.Input, Classes: plan.Classes, Labels: make([]int32, 2)}
	for range 2 * in.Shape.Size() {
		in.Values = append(in.Values, random.Float32())
	}
	var eight map[string]quantize.Scale // the layers that are read have the same names
	most := mostApart
	if o.Eight != nil {
		eight, most = o.Eight.Values, mostEightApart
	}
	var answers [2][]float32
	for i, of := range []struct {
		network *net.Network
		weights map[string]*tensor.Dense
	}{{plan.Network, weights}, {m.Network, m.Weights}} {
		p, closing, err := inference(of.network, in.Len(), of.weights, eight)
		if err != nil {
			return err
		}
		out, err := p.Infer(net.Batch{Data: in, Indices: []int32{0, 1}})
		if err = errors.Join(err, closing()); err != nil {
			return err
		}
		answers[i] = out.Float32s()
	}
	if len(answers[0]) != len(answers[1]) {
		return fmt.Errorf("it has %d classes, want %d", len(answers[1])/2, plan.Classes)
	}
	for i, want := range answers[0] {
		// Of a network whose weights are worthless, so are the answers.
		if got := answers[1][i]; math.Abs(float64(got-want)) > most || (got == got) != (want == want) {
			return fmt.Errorf("on an image of noise it gives a class the probability %v, want %v", got, want)
		}
	}
	return nil
}

// line is what people are told of quantisation.
func (e *eightBits) line() string {
	return fmt.Sprintf("accuracy with eight bits %s, before %s (one view of %s images of %s; ranges of %s training images)",
		percent(e.Accuracy), percent(e.Before), thousands(e.Images), e.Data, thousands(e.Calibrate))
}

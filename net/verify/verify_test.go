package verify

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// seed of all random numbers here.
const seed = 1

// randomPixels returns n random grey images of a shape in ten classes.
func randomPixels(s net.Shape, n int) *net.Dataset {
	rng := rand.New(rand.NewPCG(seed, 0))
	d := &net.Dataset{Name: "noise", Shape: s, Classes: 10, Scale: 1.0 / 255, Pixels: make([]uint8, n*s.Size())}
	for i := range d.Pixels {
		d.Pixels[i] = uint8(rng.IntN(256))
	}
	for range n {
		d.Labels = append(d.Labels, int32(rng.IntN(10)))
	}
	return d
}

// small has every kind of layer.
func small() *net.Network {
	return &net.Network{Name: "small", Input: net.Shape{C: 1, H: 8, W: 7}, Layers: []net.Layer{
		&net.Conv{Filters: 3, Kernel: net.Square(3), Padding: net.PadSame},
		&net.Activation{Func: net.ReLU},
		&net.Pool{Kernel: net.Square(2)},
		&net.BatchNorm{},
		&net.Dropout{Rate: 0.2},
		&net.Flatten{},
		&net.Dense{Units: 10},
	}}
}

// spoiled is the reference with faults in what it shows and leaves.
type spoiled struct {
	net.Device
	trace   func(net.Mode, *net.Trace)
	state   func(net.State) // after a step
	metrics func(*net.Metrics)
}

func (d spoiled) Compile(n *net.Network, o net.Options) (net.Program, error) {
	p, err := d.Device.Compile(n, o)
	if err != nil {
		return nil, err
	}
	return spoiledProgram{p.(net.Tracer), d}, nil
}

type spoiledProgram struct {
	net.Tracer
	spoiled
}

func (p spoiledProgram) Trace(b net.Batch, m net.Mode) (*net.Trace, error) {
	tr, err := p.Tracer.Trace(b, m)
	if p.trace != nil && err == nil {
		p.trace(m, tr)
	}
	return tr, err
}

func (p spoiledProgram) State() (net.State, error) {
	st, err := p.Tracer.State()
	if p.state != nil && err == nil && st.Step > 0 {
		p.state(st)
	}
	return st, err
}

func (p spoiledProgram) TakeMetrics() (net.Metrics, error) {
	m, err := p.Tracer.TakeMetrics()
	if p.metrics != nil {
		p.metrics(&m)
	}
	return m, err
}

func TestReferencePasses(t *testing.T) {
	networks := []*net.Network{small(), net.BuiltIn("lenet5"), net.BuiltIn("mlp")}
	if testing.Short() {
		networks = networks[:1]
	}
	for _, n := range networks {
		for _, o := range []net.Optimizer{{}, {Rule: net.Rule{Method: net.SGD, LearningRate: 0.1, Momentum: 0.9, WeightDecay: 0.1}, ClipNorm: 0.5}} {
			r, err := Network(t.Context(), reference.New(), n, randomPixels(n.Input, 60), Options{Optimizer: o, Seed: seed, Batch: 2})
			if err != nil {
				t.Fatalf("%s: %v", n.Name, err)
			}
			if !r.OK() {
				t.Errorf("%s fails: %+v", n.Name, r.Failures())
			}
			if r.Batch != 2 || len(r.Layers) != len(n.Layers) || len(r.Steps) != 4 {
				t.Errorf("%s: batch %d, %d layers, %d steps", n.Name, r.Batch, len(r.Layers), len(r.Steps))
			}
			plan, err := n.Plan()
			if err != nil {
				t.Fatal(err)
			}
			for i, l := range r.Layers {
				want := 1
				if plan.Nodes[i].Learns {
					want++ // the output's gradient
				}
				for _, q := range plan.Nodes[i].Params {
					if q.Trained {
						want++
					}
				}
				if len(l.Training) != want || len(l.Evaluation) != 1 {
					t.Errorf("%s: layer %s has %d and %d comparisons, want %d and 1", n.Name, l.Name, len(l.Training), len(l.Evaluation), want)
				}
			}
		}
	}
}

func TestSpoiledFails(t *testing.T) {
	nan := float32(math.NaN())
	inTraining := func(f func(*net.Trace)) spoiled {
		return spoiled{trace: func(m net.Mode, tr *net.Trace) {
			if m == net.Training {
				f(tr)
			}
		}}
	}
	for _, c := range []struct {
		name string
		dev  spoiled
		want string // in the report
	}{
		{"NaN in an output", inTraining(func(tr *net.Trace) { tr.Layers[1].Output.Float32s()[7] = nan }), "relu1: output: "},
		{"wrong output in evaluation", spoiled{trace: func(m net.Mode, tr *net.Trace) {
			if m == net.Evaluation {
				tr.Layers[2].Output.Float32s()[0] += 1e-4
			}
		}}, "pool1: output: "},
		{"wrong output gradient", inTraining(func(tr *net.Trace) { tr.Layers[0].OutputGrad.Float32s()[3] += 1e-4 }), "conv1: output gradient: "},
		{"wrong weight gradient", inTraining(func(tr *net.Trace) { tr.Layers[0].ParamGrads[net.Weight].Float32s()[3] += 1e-4 }), "conv1: weight gradient: "},
		{"gradient missing", inTraining(func(tr *net.Trace) { delete(tr.Layers[6].ParamGrads, net.Bias) }), "dense1: bias gradient: missing"},
		{"gradient of what is not trained", inTraining(func(tr *net.Trace) {
			tr.Layers[3].ParamGrads[net.RunningMean] = tr.Layers[3].ParamGrads[net.Bias]
		}), "batchnorm1: gradients: 3 parameters have one, 2 are trained"},
		{"gradients in evaluation", spoiled{trace: func(m net.Mode, tr *net.Trace) {
			tr.Layers[0].OutputGrad = tr.Layers[0].Output
		}}, "conv1: gradients: present in evaluation mode"},
		{"logits missing", inTraining(func(tr *net.Trace) { tr.Layers[6].Output = nil }), "dense1: output: missing"},
		{"other dimensions", inTraining(func(tr *net.Trace) {
			tr.Layers[4].Output = tensor.New(tensor.WithShape(1), tensor.Of(tensor.Float32))
		}), "dropout1: output: has dimensions [1], want [4 3 4 3]"},
		{"other type", inTraining(func(tr *net.Trace) {
			tr.Layers[4].Output = tensor.New(tensor.WithShape(4, 3, 4, 3), tensor.Of(tensor.Float64))
		}), "dropout1: output: has type float64, want float32"},
		{"layer missing", inTraining(func(tr *net.Trace) { tr.Layers = tr.Layers[:6] }), "network: layers: the trace has 6 layers, the network 7"},
		{"wrong probabilities", inTraining(func(tr *net.Trace) { tr.Probabilities.Float32s()[3] += 1e-4 }), "network: probabilities: "},
		{"probabilities missing", inTraining(func(tr *net.Trace) { tr.Probabilities = nil }), "network: probabilities: missing"},
		{"wrong loss", inTraining(func(tr *net.Trace) { tr.Loss *= 1 + 1e-3 }), "network: loss: "},
		{"NaN loss", inTraining(func(tr *net.Trace) { tr.Loss = math.NaN() }), "network: loss: "},
		{"wrong hits", inTraining(func(tr *net.Trace) { tr.Hits++ }), "network: hits: got "},
		{"wrong update", spoiled{state: func(st net.State) {
			if st.Step == 1 {
				st.Params["conv1.weight"].Float32s()[2] += 1e-6
			}
		}}, "conv1: weight: "},
		{"wrong moment after a step", spoiled{state: func(st net.State) { st.Optimizer["dense1.weight.v"].Float32s()[2] *= 1.1 }}, "dense1: weight.v: "},
		{"NaN after a step", spoiled{state: func(st net.State) { st.Params["dense1.bias"].Float32s()[2] = nan }}, "dense1: bias: "},
		{"wrong running mean", spoiled{state: func(st net.State) { st.Params["batchnorm1.running_mean"].Float32s()[1] += 1e-4 }}, "batchnorm1: running_mean: "},
		{"wrong running variance", spoiled{state: func(st net.State) { st.Params["batchnorm1.running_var"].Float32s()[1] *= 1.001 }}, "batchnorm1: running_var: "},
		{"tensor missing", spoiled{state: func(st net.State) { delete(st.Optimizer, "dense1.bias.m") }}, "network: state: state does not fit: tensor dense1.bias.m is missing"},
		{"step not counted as a sample", spoiled{metrics: func(m *net.Metrics) { m.Samples-- }}, "network: samples: got 3, want 4"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			c.dev.Device = reference.New()
			n := small()
			r, err := Network(t.Context(), c.dev, n, randomPixels(n.Input, 60), Options{Seed: seed, Steps: 1})
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := r.Write(&b); err != nil {
				t.Fatal(err)
			}
			if r.OK() || !strings.Contains(b.String(), "\n"+c.want) || !strings.Contains(b.String(), "FAIL") {
				t.Errorf("want a failure of %q, got OK %v and\n%s", c.want, r.OK(), b.String())
			}
		})
	}
}

// TestInterrupted ends the context in the first trace: nothing must follow.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	traces := 0
	dev := spoiled{Device: reference.New(), trace: func(net.Mode, *net.Trace) {
		traces++
		cancel()
	}}
	n := small()
	if r, err := Network(ctx, dev, n, randomPixels(n.Input, 60), Options{Seed: seed}); r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("report %v, error %v, want %v", r, err, context.Canceled)
	}
	if traces != 1 {
		t.Errorf("%d traces, want 1", traces)
	}
}

// TestTableWidth checks that large layers and all columns fit a terminal.
func TestTableWidth(t *testing.T) {
	checks := func(whats ...string) []Check {
		var list []Check
		for i, what := range whats {
			list = append(list, Check{What: what, Error: 1.5e-7, Tolerance: 1.2e-6 * float64(i+1), OK: true})
		}
		return list
	}
	if new(Report).OK() {
		t.Error("a report that compares nothing is OK")
	}
	r := &Report{
		Layers: []Layer{{Name: "activation1", Out: net.Shape{C: 16, H: 10, W: 10}, Training: checks("output", "output gradient", "weight gradient")}},
		Whole:  checks("logits", "probabilities"),
		Steps:  [][]Check{checks("loss", "weights")},
	}
	r.Whole = append(r.Whole, Check{Layer: 0, What: "weight gradient" + fromBatch, OK: true})
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

func TestFused(t *testing.T) {
	n := small()
	dev := spoiled{Device: reference.New(), trace: func(_ net.Mode, tr *net.Trace) {
		for i := range 6 {
			tr.Layers[i].Output = nil
		}
		for i := range 7 {
			tr.Layers[i].OutputGrad = nil
		}
	}}
	r, err := Network(t.Context(), dev, n, randomPixels(n.Input, 60), Options{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	if !r.OK() || !strings.Contains(b.String(), "fused") {
		t.Errorf("OK %v\n%s", r.OK(), b.String())
	}
	for i, l := range r.Layers[:6] {
		if !l.Training[0].Fused || !l.Training[1].Fused {
			t.Errorf("layer %d is not shown as fused: %+v", i, l.Training)
		}
	}
	// What fused layers hide still shows behind them.
	spoil := dev
	spoil.trace = func(m net.Mode, tr *net.Trace) {
		dev.trace(m, tr)
		if m == net.Training {
			tr.Layers[0].ParamGrads[net.Weight].Float32s()[0] *= 1.01
		}
	}
	if r, err = Network(t.Context(), spoil, n, randomPixels(n.Input, 60), Options{Seed: seed}); err != nil || r.OK() {
		t.Errorf("a wrong gradient behind fused layers passes (error %v)", err)
	}
}

type blind struct{ net.Device }

func (d blind) Compile(n *net.Network, o net.Options) (net.Program, error) {
	p, err := d.Device.Compile(n, o)
	return struct{ net.Program }{p}, err
}

func TestErrors(t *testing.T) {
	n := small()
	good := randomPixels(n.Input, 60)
	short := *good
	short.Labels = short.Labels[:3]
	for _, c := range []struct {
		name string
		dev  net.Device
		n    *net.Network
		data *net.Dataset
		opts Options
		want string
	}{
		{"no tracer", blind{reference.New()}, n, good, Options{}, "device reference (float64) cannot show its layers"},
		{"bad network", reference.New(), &net.Network{}, good, Options{}, "input shape"},
		{"bad batch size", reference.New(), n, good, Options{Batch: -1}, "batch size must be from 1 to 2147483647, got -1"},
		{"bad data set", reference.New(), n, &short, Options{}, "data set noise: "},
		{"no samples", reference.New(), n, good.Slice(0, 0), Options{}, "none of 0 samples of data set noise keeps clear of the kinks of network small"},
		{"other data", reference.New(), n, randomPixels(net.Shape{C: 1, H: 3, W: 3}, 9), Options{}, "has samples of 1 x 3 x 3"},
	} {
		r, err := Network(t.Context(), c.dev, c.n, c.data, c.opts)
		if err == nil || !strings.Contains(err.Error(), c.want) || r != nil {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// l2Pooled has a ReLU before an L2 pooling of single values, behind three batch
// normalisations: rounding errors have grown so far there that in every batch some
// value is within them of the kink of either.
func l2Pooled() *net.Network {
	row := func(k int) net.Pair { return net.Pair{H: 1, W: k} }
	momentum := 0.73
	return &net.Network{Name: "l2", Input: net.Shape{C: 1, H: 1, W: 15}, Layers: []net.Layer{
		&net.Conv{Filters: 13, Kernel: net.Square(1)}, &net.BatchNorm{}, &net.Activation{Func: net.Sigmoid},
		&net.Pool{Kernel: row(3), Stride: net.Pair{H: 3, W: 2}},
		&net.Conv{Filters: 8, Kernel: net.Square(1)}, &net.BatchNorm{Momentum: &momentum, Epsilon: 1e-3}, &net.Activation{Func: net.Tanh},
		&net.Conv{Filters: 13, Kernel: net.Square(1), NoBias: true}, &net.BatchNorm{}, &net.Activation{Func: net.ReLU},
		&net.Pool{Mode: net.L2Pool, Kernel: net.Square(1), Stride: net.Pair{H: 2, W: 1}},
		&net.Flatten{}, &net.Dense{Units: 10},
	}}
}

// TestEndToEndSkipped verifies on samples that all lie within rounding of a kink: of a
// ReLU by design, or of L2 pooling. Layers and steps are judged by replay. The report
// says so, and a wrong device still fails.
func TestEndToEndSkipped(t *testing.T) {
	constant := func(v float64) net.Initializer { return net.Initializer{Method: net.Constant, Value: v} }
	n := &net.Network{Name: "narrow", Input: net.Shape{C: 1, H: 1, W: 1}, Layers: []net.Layer{
		&net.Conv{Filters: 2, Kernel: net.Square(1), WeightInit: constant(1.0 / 3), BiasInit: constant(-1)}, &net.Activation{Func: net.ReLU}, &net.Dense{Units: 2},
	}}
	data := &net.Dataset{Name: "threes", Shape: n.Input, Classes: 2, Values: []float32{3, 3, 3, 3}, Labels: []int32{0, 1, 0, 1}}
	wrong := spoiled{Device: reference.New(), state: func(st net.State) { st.Params["dense1.bias"].Float32s()[0] += 1e-3 }}
	wrongLayer := spoiled{Device: reference.New(), trace: func(_ net.Mode, tr *net.Trace) { tr.Layers[10].Output.Float32s()[0] += 1e-3 }}
	l2 := l2Pooled()
	noise := randomPixels(l2.Input, 200)
	for _, c := range []struct {
		dev     net.Device
		n       *net.Network
		data    *net.Dataset
		opts    Options
		pass    bool
		skipped string
	}{
		// A rate of 0 keeps the samples where they are.
		{reference.New(), n, data, Options{Batch: 2, Optimizer: net.SGDDefault(0)}, true, "from training on, no batch is clear of kinks: none of 4 samples of data set threes keeps clear of the kinks of network narrow"},
		{wrong, n, data, Options{Batch: 2, Optimizer: net.SGDDefault(0)}, false, "from training on, "},
		{reference.New(), l2, noise, Options{Seed: seed}, true, " on, no batch is clear of kinks: none of 160 samples of data set noise keeps clear of the kinks of network l2"},
		{wrongLayer, l2, noise, Options{Seed: seed}, false, "data set noise"},
	} {
		r, err := Network(t.Context(), c.dev, c.n, c.data, c.opts)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		if r.OK() != c.pass {
			t.Errorf("passes %v, want %v: %+v", r.OK(), c.pass, r.Failures())
		}
		if !strings.Contains(r.EndToEndSkipped, c.skipped) || !strings.Contains(b.String(), "can't be judged "+r.EndToEndSkipped) || len(r.Steps) != 4 {
			t.Errorf("skipped %q, want %q; report\n%s", r.EndToEndSkipped, c.skipped, b.String())
		}
		for _, l := range r.Layers {
			if len(l.Training) == 0 || len(l.Evaluation) == 0 {
				t.Errorf("layer %s is not judged: %+v", l.Name, l)
			}
		}
		for _, check := range r.Whole {
			if strings.HasSuffix(check.What, fromBatch) && strings.HasPrefix(r.EndToEndSkipped, "from training on") {
				t.Errorf("%s is judged", check.What)
			}
		}
	}
}

// forgetful is the reference without something that recipes can add.
type forgetful struct {
	net.Device
	options func(*net.Options)
	batch   func(*net.Batch)
	state   func(*net.State)
}

func (d forgetful) Compile(n *net.Network, o net.Options) (net.Program, error) {
	if d.options != nil {
		d.options(&o)
	}
	p, err := d.Device.Compile(n, o)
	if err != nil {
		return nil, err
	}
	return forgetfulProgram{p.(net.Tracer), d}, nil
}

type forgetfulProgram struct {
	net.Tracer
	forgetful
}

func (p forgetfulProgram) Step(b net.Batch) error {
	if p.batch != nil && b.Views != nil {
		b.Views = slices.Clone(b.Views)
		p.batch(&b)
	}
	return p.Tracer.Step(b)
}

func (p forgetfulProgram) State() (net.State, error) {
	st, err := p.Tracer.State()
	if p.state != nil && err == nil && st.Average != nil {
		p.state(&st)
	}
	return st, err
}

// TestEnriched holds the later half of the steps to what it is for.
func TestEnriched(t *testing.T) {
	n := &net.Network{Name: "smooth", Input: net.Shape{C: 3, H: 8, W: 7}, Layers: []net.Layer{
		&net.Conv{Filters: 3, Kernel: net.Square(3)}, &net.BatchNorm{}, &net.Activation{Func: net.Tanh}, &net.Flatten{}, &net.Dense{Units: 10},
	}}
	eachView := func(change func(*net.View)) func(*net.Batch) {
		return func(b *net.Batch) {
			for i := range b.Views {
				change(&b.Views[i])
			}
		}
	}
	for _, c := range []struct {
		name string
		dev  forgetful
		ok   bool
	}{
		{"nothing forgotten", forgetful{}, true},
		{"no smoothing", forgetful{options: func(o *net.Options) { o.Loss.Smoothing = 0 }}, false},
		{"no class weights", forgetful{options: func(o *net.Options) { o.Loss.ClassWeights = nil }}, false},
		{"no factors", forgetful{options: func(o *net.Options) { o.Optimizer.Groups = nil }}, false},
		{"no averages", forgetful{options: func(o *net.Options) { o.Average = 0 }}, false},
		{"averages by another decay", forgetful{options: func(o *net.Options) { o.Average = min(o.Average, 0.05) }}, false},
		{"a wrong average", forgetful{state: func(st *net.State) { st.Average["batchnorm1.running_mean"].Float32s()[1] += 1e-4 }}, false},
		{"no views", forgetful{batch: func(b *net.Batch) { b.Views = nil }}, false},
		{"no colour", forgetful{batch: eachView(func(v *net.View) { v.Colour, v.Other.Colour = [12]float32{}, [12]float32{} })}, false},
		{"no erasing", forgetful{batch: eachView(func(v *net.View) { v.Erase, v.Other.Erase = net.Box{}, net.Box{} })}, false},
		{"no partners", forgetful{batch: eachView(func(v *net.View) { v.Partner = -1 })}, false},
		{"another border", forgetful{batch: eachView(func(v *net.View) { v.Border = net.ZeroBorder })}, false},
		{"a thousandth of a pixel to the right", forgetful{batch: eachView(func(v *net.View) { v.Matrix[2] += 1e-3 })}, false},
	} {
		c.dev.Device = reference.New()
		r, err := Network(t.Context(), c.dev, n, randomPixels(n.Input, 60), Options{Seed: seed, Steps: 2, Batch: 8})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if r.OK() != c.ok || r.Enriched != 1 || len(r.Steps) != 2 {
			t.Errorf("%s: passes %v with %d of %d steps enriched: %+v", c.name, r.OK(), r.Enriched, len(r.Steps), r.Failures())
		}
		for _, f := range r.Failures() {
			if f.Layer < 0 && f.What == "state" {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
		// Nothing is wrong before.
		for _, check := range r.Steps[0] {
			if !check.OK {
				t.Errorf("%s: fails in a plain step: %+v", c.name, check)
			}
		}
	}
}

package reference_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// withoutBatchNorm is everyLayer without the layers that see a batch as a whole.
func withoutBatchNorm() *net.Network {
	n := everyLayer()
	n.Layers = slices.DeleteFunc(n.Layers, func(l net.Layer) bool { return l.Kind() == "batchnorm" })
	return n
}

// gradients takes the gradients of batches one after the other, as shares of the
// mini-batch that they make together.
func gradients(t *testing.T, p net.Program, pieces ...net.Batch) {
	t.Helper()
	share := net.Share{}
	for _, b := range pieces {
		share.Total += b.Len()
	}
	for _, b := range pieces {
		if err := p.Gradients(b, share); err != nil {
			t.Fatal(err)
		}
		share.First += b.Len()
	}
}

func update(t *testing.T, p net.Program) {
	t.Helper()
	if err := p.Update(); err != nil {
		t.Fatal(err)
	}
}

// Gradients of the whole and Update are a Step, to the last bit, batch normalisation
// and all.
func TestStepIsGradientsAndUpdate(t *testing.T) {
	network := everyLayer()
	data := randomData(testenv.Rand(t), network.Input, 9)
	for name, o := range allOptimizers() {
		opts := net.Options{Batch: 3, Optimizer: o, Seed: 6}
		whole, halves := compile(t, network, opts), compile(t, network, opts)
		for i := range 3 {
			b := net.Batch{Data: data, Indices: sequence(9)[3*i : 3*i+3-i%2]}
			step(t, whole, b)
			gradients(t, halves, b)
			update(t, halves)
			checkState(t, name, state(t, halves), state(t, whole))
			if a, b := metrics(t, halves), metrics(t, whole); a != b {
				t.Errorf("%s: metrics %+v, want %+v", name, a, b)
			}
		}
	}
}

// The gradients of unequal pieces add up to the one mini-batch's, clipping and
// dropout included.
func TestPiecesEqualTheWhole(t *testing.T) {
	network := withoutBatchNorm()
	data := randomData(testenv.Rand(t), network.Input, 12)
	part := func(lo, hi int) net.Batch { return net.Batch{Data: data, Indices: sequence(12)[lo:hi]} }
	for name, o := range allOptimizers() {
		opts := net.Options{Batch: 12, Optimizer: o, Seed: 6}
		whole, pieces := compile(t, network, opts), compile(t, network, opts)
		for range 3 {
			before := state(t, whole)
			if err := pieces.SetState(before); err != nil {
				t.Fatal(err)
			}
			step(t, whole, part(0, 12))
			gradients(t, pieces, part(0, 3), part(3, 4), part(4, 9), part(9, 12))
			update(t, pieces)
			got, want := state(t, pieces), state(t, whole)
			if got.Step != want.Step {
				t.Errorf("%s: step %d, want %d", name, got.Step, want.Step)
			}
			for _, m := range []struct{ got, want map[string]*tensor.Dense }{{got.Params, want.Params}, {got.Optimizer, want.Optimizer}} {
				for key, w := range m.want {
					approx.Check(t, name+": "+key, m.got[key].Float32s(), w.Float32s(), approx.Tolerance{Abs: 1e-7, Rel: 1e-6})
				}
			}
			g, w := metrics(t, pieces), metrics(t, whole)
			if g.Samples != 12 || g.Hits != w.Hits {
				t.Errorf("%s: metrics %+v, want %+v", name, g, w)
			}
			approx.Check(t, name+": loss", []float64{g.Loss}, []float64{w.Loss}, rounded)
		}
	}
}

// Each piece moves the running statistics by its own samples.
func TestPiecesMoveRunningStatistics(t *testing.T) {
	network := &net.Network{Input: net.Shape{C: 1, H: 1, W: 1}, Layers: []net.Layer{&net.BatchNorm{Momentum: new(0.5)}, &net.Dense{Units: 3}}}
	data := &net.Dataset{Name: "four", Shape: network.Input, Classes: 3, Values: []float32{1, 3, 10, 10}, Labels: []int32{0, 1, 2, 0}}
	p := compile(t, network, net.Options{Batch: 2, Optimizer: net.SGDDefault(0.1)})
	gradients(t, p, net.Batch{Data: data, Indices: []int32{0, 1}}, net.Batch{Data: data, Indices: []int32{2, 3}})
	update(t, p)
	st := state(t, p)
	// From 0 to the means 2 and 10, from 1 to the unbiased variances 2 and 0.
	approx.Check(t, "running mean", st.Params["batchnorm1.running_mean"].Float32s(), []float64{(0*0.5+2*0.5)*0.5 + 10*0.5}, exact)
	approx.Check(t, "running variance", st.Params["batchnorm1.running_var"].Float32s(), []float64{(1*0.5+2*0.5)*0.5 + 0*0.5}, exact)
}

func TestOutOfTurn(t *testing.T) {
	network := everyLayer()
	data := randomData(testenv.Rand(t), network.Input, 4)
	p := compile(t, network, net.Options{Batch: 4, Optimizer: net.AdamDefault(0.1)})
	refuse := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, net.ErrUnfinished) {
			t.Errorf("%s: %v, want %v", what, err, net.ErrUnfinished)
		}
	}
	refuse("Update of a new program", p.Update())
	for _, share := range []net.Share{{First: 0, Total: 3}, {First: 1, Total: 4}, {First: -1, Total: 9}} {
		if err := p.Gradients(all(data), share); err == nil || !strings.Contains(err.Error(), "are not part of") {
			t.Errorf("share %+v of 4 samples: %v", share, err)
		}
	}
	refuse("Update after refused gradients", p.Update())
	before := state(t, p)
	gradients(t, p, all(data))
	refuse("Step", p.Step(all(data)))
	_, err := p.Trace(all(data), net.Evaluation)
	refuse("Trace", err)
	if m := metrics(t, p); m.Samples != 4 {
		t.Errorf("metrics %+v after a refused step", m)
	}
	// What evaluates is allowed, and SetState drops the gradients.
	if _, err := p.Evaluate(all(data)); err != nil {
		t.Error(err)
	}
	if _, err := p.Infer(all(data)); err != nil {
		t.Error(err)
	}
	if err := p.SetState(before); err != nil {
		t.Fatal(err)
	}
	refuse("Update after SetState", p.Update())
	step(t, p, all(data))
	refuse("Update after Step", p.Update())
}

// frozen has layers that learn nothing, alone and behind each other, and parameters
// that are frozen among trained ones.
func frozen() *net.Network {
	all, roles := net.Frozen{All: true}, func(r ...net.Role) net.Frozen { return net.Frozen{Roles: r} }
	return &net.Network{Input: net.Shape{C: 2, H: 4, W: 4}, Layers: []net.Layer{
		&net.Conv{Name: "stem", Filters: 3, Kernel: net.Square(2), Frozen: all},
		&net.BatchNorm{Name: "fixed", Frozen: all, Momentum: new(0.5)},
		&net.Activation{Name: "stem-end", Func: net.Tanh},
		&net.Conv{Name: "learns", Filters: 3, Kernel: net.Square(1), Frozen: roles(net.Weight)},
		&net.BatchNorm{Name: "shift", Frozen: roles(net.Weight)},
		&net.Add{From: net.From{"shift", "stem-end", "input-conv"}},
		&net.Flatten{},
		&net.Dense{Name: "middle", Units: 5, Frozen: all}, // but what is before it learns
		&net.Dense{Name: "head", Units: 3, Frozen: roles(net.Bias)},
	}}
}

func TestFrozen(t *testing.T) {
	network := frozen()
	network.Layers = slices.Insert(network.Layers, 0, net.Layer(&net.Conv{Name: "input-conv", Filters: 3, Kernel: net.Square(2), NoBias: true}))
	network.Layers[1].(*net.Conv).From = net.From{"input"}
	data := randomData(testenv.Rand(t), network.Input, 5)
	o := net.AdamDefault(0.05)
	o.WeightDecay = 0.1
	p := compile(t, network, net.Options{Batch: 5, Optimizer: o, Seed: 2})
	trained := []string{"head.weight", "input-conv.weight", "learns.bias", "shift.bias"}
	before := state(t, p)
	trace, err := p.Trace(all(data), net.Training)
	if err != nil {
		t.Fatal(err)
	}
	for i, node := range p.Plan().Nodes {
		learns := !slices.Contains([]string{"stem", "fixed", "stem-end"}, node.Name)
		if got := trace.Layers[i].OutputGrad != nil; got != learns {
			t.Errorf("%s: output gradient present %v, want %v", node.Name, got, learns)
		}
		for _, q := range node.Params {
			if got, want := trace.Layers[i].ParamGrads[q.Role] != nil, slices.Contains(trained, q.Name); got != want {
				t.Errorf("%s: gradient present %v, want %v", q.Name, got, want)
			}
		}
	}
	step(t, p, all(data))
	after := state(t, p)
	for name, w := range before.Params {
		same := approx.Compare(after.Params[name].Float32s(), w.Float32s(), exact).OK
		moves := slices.Contains(trained, name) || name == "shift.running_mean" || name == "shift.running_var"
		if want := !moves; same != want {
			t.Errorf("%s stays the same: %v, want %v", name, same, want)
		}
	}
	if want := len(trained) * 2; len(after.Optimizer) != want {
		t.Errorf("%d moments, want %d", len(after.Optimizer), want)
	}
}

// A value that is used by several layers, and twice by one, gets the sum of the
// gradients of its uses: by hand.
func TestGradientOfSeveralUses(t *testing.T) {
	network := &net.Network{Input: net.Shape{C: 2, H: 1, W: 1}, Layers: []net.Layer{
		&net.Dense{Name: "x", Units: 2, NoBias: true},
		&net.Scale{Name: "half", Factor: 0.5},
		&net.Multiply{Name: "square", From: net.From{"x", "x"}},
		&net.Add{Name: "sum", From: net.From{"x", "half", "square", "x"}},
	}}
	data := &net.Dataset{Name: "one", Shape: network.Input, Classes: 2, Values: []float32{3, -2}, Labels: []int32{1}}
	p := compile(t, network, net.Options{Batch: 1, Optimizer: net.SGDDefault(0.1)})
	st := state(t, p)
	copy(st.Params["x.weight"].Float32s(), []float32{1, 0, 0, 1})
	if err := p.SetState(st); err != nil {
		t.Fatal(err)
	}
	trace, err := p.Trace(all(data), net.Training)
	if err != nil {
		t.Fatal(err)
	}
	// y = 2x + x/2 + x^2, so dx = dy*(2.5 + 2x).
	approx.Check(t, "y", trace.Layers[3].Output.Float32s(), []float64{2*3 + 1.5 + 9, -2*2 - 1 + 4}, exact)
	g := reference.SoftmaxCrossEntropy([]float64{16.5, -1}, []int32{1}, 2).Gradient
	want := []float64{g[0] * (2.5 + 2*3), g[1] * (2.5 - 2*2)}
	approx.Check(t, "dx", trace.Layers[0].OutputGrad.Float32s(), want, float32Rounding)
	approx.Check(t, "dw", trace.Layers[0].ParamGrads[net.Weight].Float32s(), []float64{3 * want[0], -2 * want[0], 3 * want[1], -2 * want[1]}, float32Rounding)
}

func TestPlanAndOptions(t *testing.T) {
	network := everyLayer()
	data := randomData(testenv.Rand(t), network.Input, 3)
	opts := net.Options{Batch: 2, Optimizer: net.SGDDefault(0.1), Seed: 3, Images: data}
	p := compile(t, network, opts)
	opts.Images = nil
	if !p.Options().Same(opts) {
		t.Errorf("options %+v, want %+v", p.Options(), opts)
	}
	if p.Plan().Network != network || len(p.Plan().Nodes) != len(network.Layers) {
		t.Errorf("the plan is of %v", p.Plan().Network)
	}
}

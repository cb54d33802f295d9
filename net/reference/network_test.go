package reference_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// everyLayer returns a small network with layers of every kind, branches, values
// of several uses and one that a layer takes twice.
func everyLayer() *net.Network {
	small := net.Initializer{Method: net.TruncatedNormal, Sigma: 0.3}
	return &net.Network{Name: "every", Input: net.Shape{C: 2, H: 7, W: 6}, Layers: []net.Layer{
		&net.Conv{Filters: 3, Kernel: net.Square(3), Padding: net.PadSame, BiasInit: small},
		&net.BatchNorm{},
		&net.Activation{Func: net.LeakyReLU, Slope: new(0.1)},
		&net.Pool{Name: "trunk", Mode: net.MaxPool, Kernel: net.Square(2), Padding: net.PadSame},
		&net.Conv{Name: "depthwise", Filters: 6, Kernel: net.Square(3), Padding: net.PadSame, Groups: 3, BiasInit: small},
		&net.Activation{Func: net.SiLU},
		&net.Conv{Name: "branch", Filters: 3, Kernel: net.Square(1), NoBias: true},
		&net.Pool{Mode: net.MeanPool, Global: true},
		&net.Activation{Name: "gate", Func: net.HardSigmoid},
		&net.Multiply{Name: "gated", From: net.From{"branch", "gate"}},
		&net.Add{Name: "sum", From: net.From{"gated", "trunk", "gated"}},
		&net.Multiply{Name: "square", From: net.From{"trunk", "trunk"}},
		&net.Concat{From: net.From{"sum", "square", "trunk"}},
		&net.Scale{Factor: 0.5},
		&net.Conv{Filters: 4, Kernel: net.Pair{H: 2, W: 3}, Dilation: net.Pair{H: 2, W: 1}, Padding: net.Pad(1, 2, 0, 1), NoBias: true},
		&net.Activation{Func: net.Tanh},
		&net.Pool{Mode: net.L2Pool, Kernel: net.Square(2), Stride: net.Square(1)},
		&net.Dropout{Rate: 0.3},
		&net.Pool{Mode: net.MeanPool, Kernel: net.Pair{H: 2, W: 1}},
		&net.Flatten{},
		&net.Dense{Units: 8, BiasInit: small},
		&net.Activation{Func: net.Sigmoid},
		&net.BatchNorm{Momentum: new(0.3)},
		&net.Dense{Units: 6, BiasInit: small},
		&net.Activation{Func: net.ReLU},
		&net.Dropout{Rate: 0.2},
		&net.Dense{Units: 3, NoBias: true},
	}}
}

func TestEveryLayerHasEveryKind(t *testing.T) {
	has := map[string]bool{}
	for _, l := range everyLayer().Layers {
		has[l.Kind()] = true
	}
	for _, k := range net.Kinds() {
		if !has[k.Name] {
			t.Errorf("no layer of kind %s", k.Name)
		}
	}
}

// randomData returns n random samples for a network with three classes.
func randomData(r *rand.Rand, shape net.Shape, n int) *net.Dataset {
	d := &net.Dataset{Name: "random", Shape: shape, Classes: 3, Values: make([]float32, n*shape.Size()), Labels: make([]int32, n)}
	for i := range d.Values {
		d.Values[i] = float32(r.NormFloat64())
	}
	for i := range d.Labels {
		d.Labels[i] = int32(r.IntN(3))
	}
	return d
}

// all returns all of d as a batch.
func all(d *net.Dataset) net.Batch { return net.Batch{Data: d, Indices: sequence(d.Len())} }

// sequence returns 0 ... n-1.
func sequence(n int) []int32 {
	s := make([]int32, n)
	for i := range s {
		s[i] = int32(i)
	}
	return s
}

// compile compiles n on the reference and closes it with the test.
func compile(t *testing.T, n *net.Network, opts net.Options) net.Tracer {
	t.Helper()
	p, err := reference.New().Compile(n, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p.(net.Tracer)
}

// layersAt returns a network's layers, to be run one by one, at a program's state.
func layersAt(t *testing.T, n *net.Network, seed uint64, s net.State) []*reference.Layer {
	t.Helper()
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	var layers []*reference.Layer
	for _, node := range plan.Nodes {
		l := &reference.Layer{Node: node, Params: map[net.Role][]float64{}, Seed: seed}
		for _, q := range node.Params {
			l.Params[q.Role] = widen(s.Params[q.Name])
		}
		layers = append(layers, l)
	}
	return layers
}

// gather returns the samples of a batch.
func gather(b net.Batch) []float64 {
	narrow := make([]float32, b.Len()*b.Data.Shape.Size())
	b.Data.Gather(narrow, b.Indices)
	var wide []float64
	for _, v := range narrow {
		wide = append(wide, float64(v))
	}
	return wide
}

// runLayers returns the outputs of a network's layers. Those of the first layers may
// be given.
func runLayers(layers []*reference.Layer, input []float64, n int, mode net.Mode, step int64, given ...[]float64) [][]float64 {
	outputs := given
	for _, l := range layers[len(given):] {
		var x [][]float64
		for _, from := range l.Inputs {
			if from == net.NetworkInput {
				x = append(x, input)
			} else {
				x = append(x, outputs[from])
			}
		}
		outputs = append(outputs, l.Forward(x, n, mode, reference.Place{Step: step}))
	}
	return outputs
}

func widen(t *tensor.Dense) []float64 {
	var wide []float64
	for _, v := range t.Float32s() {
		wide = append(wide, float64(v))
	}
	return wide
}

// float32Rounding allows for numbers that were rounded to float32.
var float32Rounding = approx.Tolerance{Abs: 1e-30, Rel: 6e-8}

// The gradients of a whole network, of its weights and of what its layers pass
// on, are differences of its loss. Seeds are fixed, because a value that happens
// to lie on a kink (a ReLU's 0, two equal maxima) has no difference.
func TestGradientsOfNetwork(t *testing.T) {
	const n, step = 3, 2
	network := everyLayer()
	for seed := range uint64(2) {
		data := randomData(rand.New(rand.NewPCG(seed, 1)), network.Input, n)
		p := compile(t, network, net.Options{Batch: n, Optimizer: net.SGDDefault(0), Seed: seed})
		for range step { // dropout draws anew each step
			if err := p.Step(all(data)); err != nil {
				t.Fatal(err)
			}
		}
		state, err := p.State()
		if err != nil {
			t.Fatal(err)
		}
		trace, err := p.Trace(all(data), net.Training)
		if err != nil {
			t.Fatal(err)
		}
		layers := layersAt(t, network, seed, state)
		input := gather(all(data))
		outputs := runLayers(layers, input, n, net.Training, step)
		logits := outputs[len(outputs)-1]
		// lossFrom runs layer i and those after it.
		lossFrom := func(i int) float64 {
			all := runLayers(layers, input, n, net.Training, step, slices.Clip(outputs[:i])...)
			return reference.SoftmaxCrossEntropy(all[len(all)-1], data.Labels, 3).Sum / n
		}
		approx.Check(t, "loss", []float64{trace.Loss}, []float64{lossFrom(0)}, rounded)

		// Beside the error of the difference, at a third derivative of up to some
		// 1e3, the trace is rounded to float32.
		tolerance := approx.Tolerance{Abs: 1e-7, Rel: 1e-5}
		for i, l := range layers {
			for role, got := range trace.Layers[i].ParamGrads {
				want := difference(l.Params[role], func() float64 { return lossFrom(i) })
				approx.Check(t, l.Name+"."+string(role), got.Float32s(), want, tolerance)
			}
			approx.Check(t, "output of "+l.Name, trace.Layers[i].Output.Float32s(), outputs[i], float32Rounding)
			want := difference(outputs[i], func() float64 { return lossFrom(i + 1) })
			approx.Check(t, "gradient of the output of "+l.Name, trace.Layers[i].OutputGrad.Float32s(), want, tolerance)
		}
		probabilities := reference.SoftmaxCrossEntropy(logits, data.Labels, 3).Probabilities
		approx.Check(t, "probabilities", trace.Probabilities.Float32s(), probabilities, float32Rounding)
	}
}

func TestTraceDimensions(t *testing.T) {
	network := everyLayer()
	data := randomData(testenv.Rand(t), network.Input, 3)
	p := compile(t, network, net.Options{Batch: 3, Optimizer: net.SGDDefault(1)})
	plan, err := network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []net.Mode{net.Training, net.Evaluation} {
		trace, err := p.Trace(all(data), mode)
		if err != nil {
			t.Fatal(err)
		}
		if !trace.Probabilities.Shape().Eq(tensor.Shape{3, 3}) {
			t.Errorf("probabilities of shape %v", trace.Probabilities.Shape())
		}
		if len(trace.Layers) != len(plan.Nodes) {
			t.Fatalf("%d layers, want %d", len(trace.Layers), len(plan.Nodes))
		}
		for i, l := range plan.Nodes {
			got, want := trace.Layers[i], tensor.Shape{3, l.Out.C, l.Out.H, l.Out.W}
			if !got.Output.Shape().Eq(want) {
				t.Errorf("output of %s has shape %v, want %v", l.Name, got.Output.Shape(), want)
			}
			if mode == net.Evaluation {
				if got.OutputGrad != nil || got.ParamGrads != nil {
					t.Errorf("%s has gradients in evaluation mode", l.Name)
				}
				continue
			}
			if !got.OutputGrad.Shape().Eq(want) {
				t.Errorf("output gradient of %s has shape %v, want %v", l.Name, got.OutputGrad.Shape(), want)
			}
			for _, q := range l.Params {
				g := got.ParamGrads[q.Role]
				if q.Trained != (g != nil) || g != nil && !g.Shape().Eq(tensor.Shape(q.Dims)) {
					t.Errorf("gradient of %s is %v, want dimensions %v where trained", q.Name, g, q.Dims)
				}
			}
		}
	}
}

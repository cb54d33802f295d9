package elsewhere_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/elsewhere"
	"github.com/gputrain/gputrain/internal/plain"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/reference"
)

// weightsOf draws weights, and running statistics and biases that change something.
func weightsOf(plan *net.Plan, r *rand.Rand) map[string]*tensor.Dense {
	weights := net.InitialState(plan, 5, nil).Params
	for _, p := range plan.Params {
		if p.Role != net.Weight || len(p.Dims) == 1 {
			for i := range weights[p.Name].Float32s() {
				weights[p.Name].Float32s()[i] = 0.5 + r.Float32()
			}
		}
	}
	return weights
}

// compare compares each step's output for some images with that of the reference's layer of the same name.
func compare(t *testing.T, n *net.Network, r *rand.Rand) {
	t.Helper()
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	weights := weightsOf(plan, r)
	const images = 2
	d := devicetest.RandomData(r.Uint64(), n.Input, plan.Classes, images)
	program, err := reference.New().Compile(n, net.Options{Batch: images, Optimizer: net.SGDDefault(0)})
	if err != nil {
		t.Fatal(err)
	}
	if err := program.SetState(net.State{Params: weights}); err != nil {
		t.Fatal(err)
	}
	trace, err := program.(net.Tracer).Trace(net.Batch{Data: d, Indices: []int32{0, 1}}, net.Evaluation)
	if err != nil {
		t.Fatal(err)
	}
	layers := map[string][]float32{}
	for i, node := range plan.Nodes {
		layers[node.Name] = trace.Layers[i].Output.Float32s()
	}
	steps, values := elsewhere.Compile(plan, weights)
	network := plain.New(plain.Shape(n.Input), steps, string(values))
	for i := range images {
		size := n.Input.Size()
		most := 1.0 // of the values so far: what is computed from them has their rounding
		probabilities := plain.Trace(network, d.Values[i*size:][:size], func(step int, got []float32) {
			all := layers[steps[step].Name]
			want := all[i*len(got):][:len(got)]
			for _, v := range want {
				most = max(most, math.Abs(float64(v)))
			}
			approx.Check(t, fmt.Sprintf("%s: image %d: %s", n.Name, i, steps[step].Name), got, want, approx.Tolerance{Abs: 1e-5 * most})
		})
		approx.Check(t, n.Name+": probabilities", probabilities, trace.Probabilities.Float32s()[i*plan.Classes:][:plan.Classes], approx.Tolerance{Abs: 1e-5 * most})
	}
}

// windows is a network with every window and padding.
func windows() *net.Network {
	return &net.Network{Name: "windows", Input: net.Shape{C: 3, H: 17, W: 14}, Layers: []net.Layer{
		&net.Conv{Filters: 5, Kernel: net.Pair{H: 3, W: 4}, Stride: net.Pair{H: 1, W: 2}, Padding: net.PadSame},
		&net.BatchNorm{Epsilon: 1e-3},
		&net.Scale{Factor: -0.5},
		&net.Activation{Func: net.LeakyReLU, Slope: new(0.2)},
		&net.Conv{Filters: 6, Kernel: net.Square(3), Dilation: net.Square(2), Padding: net.Pad(2, 1, 0, 3), NoBias: true},
		&net.Pool{Kernel: net.Square(3), Stride: net.Square(1), Padding: net.PadSame},
		&net.BatchNorm{},
		&net.Pool{Mode: net.MeanPool, Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame},
		&net.Pool{Mode: net.L2Pool, Kernel: net.Square(2), Stride: net.Square(1), Padding: net.Pad(1, 0, 0, 1)},
		&net.Activation{Func: net.ELU, Alpha: new(0.7)},
		&net.Conv{Filters: 12, Kernel: net.Square(2), Groups: 6, Stride: net.Pair{H: 3, W: 1}},
		&net.Dropout{Rate: 0.5},
		&net.Flatten{},
		&net.BatchNorm{},
		&net.Dense{Units: 9, NoBias: true},
		&net.BatchNorm{},
		&net.Activation{Func: net.Sigmoid},
		&net.Dense{Units: 5},
	}}
}

// branches is a network in which outputs are taken several times, or turned before they are taken.
func branches() *net.Network {
	return &net.Network{Name: "branches", Input: net.Shape{C: 2, H: 6, W: 5}, Layers: []net.Layer{
		&net.Conv{Name: "stem", Filters: 4, Kernel: net.Square(3), Padding: net.PadSame},
		&net.BatchNorm{Name: "norm"},
		&net.Add{Name: "thrice", From: net.From{"norm", "norm", "norm"}},
		&net.Activation{Name: "relu", Func: net.ReLU, From: net.From{"stem"}},
		&net.Pool{Name: "mean", Mode: net.MeanPool, Global: true},
		&net.Flatten{Name: "flat"},
		&net.Dense{Units: 4},
		&net.Activation{Name: "gate", Func: net.HardSigmoid},
		&net.Multiply{Name: "gated", From: net.From{"thrice", "gate"}},
		&net.Multiply{Name: "square", From: net.From{"gated", "gated"}},
		&net.Add{Name: "sum", From: net.From{"square", "relu"}},
		&net.Flatten{Name: "vector"},
		&net.Concat{From: net.From{"vector", "flat", "vector"}},
		&net.Dropout{Rate: 0.2},
		&net.Dense{Units: 3},
	}}
}

// TestSteps compares networks with the reference, layer by layer.
func TestSteps(t *testing.T) {
	r := testenv.Rand(t)
	list := []*net.Network{windows(), branches(), {Name: "nothing", Input: net.Shape{C: 3, H: 1, W: 1}, Layers: []net.Layer{&net.Dropout{Rate: 0.5}}}}
	for _, k := range net.Kinds() {
		for i, e := range k.Examples {
			n := devicetest.ExampleNetwork(e)
			n.Name += fmt.Sprintf(" %d", i+1)
			list = append(list, n)
		}
	}
	for _, name := range []string{"tutorial", "lenet5", "mlp", "resnet20", "digits-s"} {
		list = append(list, net.BuiltIn(name))
	}
	for _, n := range list {
		compare(t, n, r)
	}
}

// TestRandomSteps compares random networks with the reference.
func TestRandomSteps(t *testing.T) {
	r := testenv.Rand(t)
	count, seed := devicetest.Graphs(t, 60)
	for i := range uint64(count) {
		compare(t, devicetest.RandomNetwork(seed+i), r)
	}
}

// TestFolding counts the steps of a residual network: its batch normalisation and activation functions have none.
func TestFolding(t *testing.T) {
	plan, err := net.BuiltIn("resnet20").Plan()
	if err != nil {
		t.Fatal(err)
	}
	steps, values := elsewhere.Compile(plan, weightsOf(plan, testenv.Rand(t)))
	got, want := map[string]int{}, map[string]int{plain.Mean: 1}
	for _, s := range steps {
		got[s.Op]++
	}
	weights := 0
	for _, n := range plan.Nodes {
		switch l := n.Layer.(type) {
		case *net.Conv:
			want[plain.Conv]++
			weights += n.Params[0].Size() + l.Filters
		case *net.Dense:
			want[plain.Dense]++
			weights += n.Params[0].Size() + l.Units
		case *net.Add:
			want[plain.Add]++
		}
	}
	if !maps.Equal(got, want) || len(values) != 4*weights {
		t.Errorf("steps %v with %d bytes of weights, want %v with %d", got, len(values), want, 4*weights)
	}
}

// BenchmarkClassify measures multiply-adds a second.
func BenchmarkClassify(b *testing.B) {
	for _, name := range []string{"tutorial", "resnet20", "digits-s", "digits-m", "airbench94"} {
		n := net.BuiltIn(name)
		plan, err := n.Plan()
		if err != nil {
			b.Fatal(err)
		}
		steps, values := elsewhere.Compile(plan, net.InitialState(plan, 1, nil).Params)
		network := plain.New(plain.Shape(n.Input), steps, string(values))
		pixels := devicetest.RandomData(1, n.Input, plan.Classes, 1).Values
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				network.Classify(pixels)
			}
			b.ReportMetric(float64(plan.MulAdds())*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMA/s")
		})
	}
}

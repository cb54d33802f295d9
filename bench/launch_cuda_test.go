//go:build cuda

package bench_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
)

// everything has each kind of layer, in each of the ways that launch differently.
func everything() *net.Network {
	return &net.Network{Name: "everything", Input: net.Shape{C: 2, H: 12, W: 12}, Layers: []net.Layer{
		&net.Pool{Kernel: net.Square(1)}, &net.BatchNorm{},
		&net.Conv{Filters: 3, Kernel: net.Square(4), Padding: net.PadSame}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)},
		&net.Conv{Filters: 3, Kernel: net.Square(3), Padding: net.PadSame}, &net.Activation{Func: net.ReLU}, &net.Dropout{Rate: 0.25},
		&net.Conv{Filters: 3, Kernel: net.Square(3), Padding: net.PadSame, NoBias: true}, &net.Activation{Func: net.ReLU}, &net.BatchNorm{},
		&net.Conv{Filters: 3, Kernel: net.Square(3), Padding: net.PadSame}, &net.Activation{Func: net.LeakyReLU},
		&net.Pool{Kernel: net.Square(3), Stride: net.Square(1), Padding: net.PadSame, Mode: net.MeanPool},
		&net.Pool{Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame, Mode: net.MaxPool},
		&net.Pool{Kernel: net.Square(2), Stride: net.Square(1), Mode: net.L2Pool},
		&net.Flatten{}, &net.Dense{Units: 8, NoBias: true}, &net.Activation{Func: net.Tanh}, &net.Dense{Units: 8}, &net.Activation{Func: net.ReLU},
		&net.Dense{Units: 3},
	}}
}

// large has so many values a channel that the bias gradient is summed in parts.
func large() *net.Network {
	return &net.Network{Name: "large", Input: net.Shape{C: 1, H: 96, W: 96}, Layers: []net.Layer{
		&net.Conv{Filters: 2, Kernel: net.Square(1)}, &net.Pool{Kernel: net.Square(32)}, &net.Flatten{}, &net.Dense{Units: 3},
	}}
}

// TestLaunchesAreTheGraphs compares the launches of a step with the nodes of the graph that the cuda device captures: how
// often each kernel and each call of a library runs.
func TestLaunchesAreTheGraphs(t *testing.T) {
	adam := net.Options{Batch: 2, Optimizer: net.AdamDefault(1e-4)}
	clipped := net.Options{Batch: 2, Optimizer: net.Optimizer{Method: net.SGD, LearningRate: 1e-3, ClipNorm: 1}}
	rich := adam
	rich.Average, rich.Loss = 0.9, net.Criterion{Smoothing: 0.1, ClassWeights: []float64{1, 2}}
	rich.Optimizer.Factors = []net.Factor{{Params: "*.bias", Factor: 2}, {Params: "batchnorm.weight", Factor: 0.5}}
	for _, c := range []struct {
		network   *net.Network
		options   net.Options
		precision cuda.Precision
	}{
		{net.BuiltIn("tutorial"), adam, cuda.TF32}, {net.BuiltIn("lenet5"), adam, cuda.TF32}, {net.BuiltIn("mlp"), adam, cuda.TF32},
		{everything(), clipped, cuda.TF32}, {everything(), clipped, cuda.FP32}, {large(), clipped, cuda.TF32}, {everything(), rich, cuda.TF32},
	} {
		t.Run(c.network.Name+" "+string(c.precision), func(t *testing.T) {
			m := sim.Start(t)
			d, err := cuda.Open(cuda.Options{Precision: c.precision, Deterministic: true})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			const batch = 2
			p, err := d.Compile(c.network, c.options)
			if err != nil {
				t.Fatal(err)
			}
			data := &net.Dataset{Name: "zeros", Shape: c.network.Input, Classes: 2, Scale: 1,
				Pixels: make([]uint8, batch*c.network.Input.Size()), Labels: make([]int32, batch)}
			step := func() {
				if err := p.Step(net.Batch{Data: data, Indices: []int32{0, 1}}); err != nil {
					t.Fatal(err)
				}
				if _, err := p.TakeMetrics(); err != nil {
					t.Fatal(err)
				}
			}
			step() // without a graph
			step() // captures
			before := m.Counters()
			step()
			after := m.Counters()
			if n := after["graph launches"] - before["graph launches"]; n != 1 {
				t.Fatalf("a step launches %d graphs", n)
			}
			plan, err := c.network.Plan()
			if err != nil {
				t.Fatal(err)
			}
			launches := bench.Launches(plan, c.options, batch)
			if nodes := after["graph nodes run"] - before["graph nodes run"]; nodes != int64(len(launches)) {
				t.Errorf("the graph has %d nodes, want %d", nodes, len(launches))
			}
			got, want := map[string]int64{}, map[string]int64{} // by kernel or library call
			for name, n := range after {
				if call, ok := strings.CutPrefix(name, "ran."); ok && n > before[name] {
					got[strings.TrimSuffix(call, "_v2")] += n - before[name]
				}
			}
			for _, l := range launches {
				want[l.Call]++
			}
			if !maps.Equal(got, want) {
				t.Errorf("a step runs\n%v, want\n%v", got, want)
			}
		})
	}
}

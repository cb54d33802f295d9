package runreport

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

// noise is a data set of random pixels and labels.
func noise(r *rand.Rand, shape net.Shape, classes, n int) *net.Dataset {
	d := &net.Dataset{Name: "noise test", Shape: shape, Classes: classes, Scale: 1. / 255}
	for range n * shape.Size() {
		d.Pixels = append(d.Pixels, uint8(r.IntN(256)))
	}
	for range n {
		d.Labels = append(d.Labels, int32(r.IntN(classes)))
	}
	return d
}

// small is a network without branches.
func small(in net.Shape) *net.Network {
	return &net.Network{Name: "small", Input: in, Layers: []net.Layer{
		&net.Conv{Filters: 4, Kernel: net.Pair{H: 3, W: 5}, Padding: net.PadSame},
		&net.BatchNorm{},
		&net.Activation{Func: net.ReLU},
		&net.Pool{Kernel: net.Square(2)},
		&net.Conv{Filters: 6, Kernel: net.Square(3)},
		&net.Activation{Func: net.Tanh},
		&net.Flatten{},
		&net.Dropout{Rate: 0.5},
		&net.Dense{Units: 12},
		&net.Activation{Func: net.LeakyReLU},
		&net.Dense{Units: 5},
	}}
}

// compiled compiles a network of initial weights on a device.
func compiled(t *testing.T, d net.Device, n *net.Network, batch int) net.Tracer {
	t.Helper()
	p, err := d.Compile(n, net.Options{Batch: batch, Optimizer: net.SGDDefault(0), Seed: 3})
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

func onCPU(t *testing.T) net.Device {
	t.Helper()
	d, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func everything(n int) []int32 {
	indices := make([]int32, n)
	for i := range indices {
		indices[i] = int32(i)
	}
	return indices
}

// exampleRun is a run of so many epochs, of which not all are done, with all that a
// report can tell.
func exampleRun(t *testing.T, n *net.Network, name string, epochs, done int) *Run {
	t.Helper()
	r := testenv.Rand(t)
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	data := noise(r, n.Input, plan.Classes, 40)
	p := compiled(t, onCPU(t), n, 40)
	state, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	recipe := net.Recipe{Name: "test", Epochs: epochs, Batch: 10, Optimizer: net.AdamDefault(0.01), Seed: 1}
	recipe.Optimizer.Schedule = net.Schedule{Method: net.CosineRate}
	c := &net.Checkpoint{
		Network: n, Recipe: recipe, Device: "cpu", Train: net.DatasetID{Name: "noise training", Samples: 100, SHA256: "0123"},
		Validation: &net.DatasetID{Name: "noise validation", Samples: 10, SHA256: "4567"}, Position: net.Position{Epoch: done}, State: state,
	}
	c.State.Step = int64(10 * done)
	for e := range done {
		x := float64(e + 1)
		c.History = append(c.History, net.EpochResult{
			Epoch: e + 1, Cost: 2 / x, Accuracy: 1 - 0.5/x,
			Validation: &net.Score{Loss: 1 / x, Accuracy: 1 - 0.4/x}, Test: &net.Score{Loss: 1.1 / x, Accuracy: 1 - 0.45/x},
		})
	}
	if done > 2 {
		c.History[1].Validation.Loss = 0.01 // the best
	}
	probabilities, err := p.Infer(net.Batch{Data: data, Indices: everything(data.Len())})
	if err != nil {
		t.Fatal(err)
	}
	e := NewEvaluation(data, "test", plan.Classes, 7)
	if err := e.Add(0, probabilities.Float32s()); err != nil {
		t.Fatal(err)
	}
	trace, err := p.Trace(net.Batch{Data: data, Indices: []int32{2}}, net.Evaluation)
	if err != nil {
		t.Fatal(err)
	}
	run := &Run{
		Name: name, Checkpoint: c, Plan: plan, Facts: []Fact{{"Recipe", "test"}, {"Device", "cpu"}}, ClassNames: []string{"zero", "one"},
		Evaluation: e, Filters: FiltersOf(plan, state.Params),
		Image: &Image{Name: "test:2", Label: int(data.Labels[2]), Probabilities: trace.Probabilities.Float32s(), Sample: SampleOf(data, 2), Layers: LayersOf(plan, trace)},
	}
	for _, l := range plan.Nodes {
		var from []string
		for _, i := range l.Inputs {
			from = append(from, plan.InputName(i))
		}
		run.Layers = append(run.Layers, LayerRow{l.Name, from, l.Layer.Kind(), l.Out.String(), l.Weights(), l.MulAdds()})
	}
	return run
}

func exampleReport(runs ...*Run) *Report {
	return &Report{Program: "v1", Made: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Runs: runs}
}

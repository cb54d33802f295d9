//go:build cuda

package cuda_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/reference"
	"github.com/gputrain/gputrain/net/verify"
)

// branches is a network on the images of [images] in which values have several uses of every kind, so that each operation
// adds to a gradient: by cuDNN, by cuBLAS and by kernels of ours. Some parameters are frozen.
func branches() *net.Network {
	only := func(r net.Role) net.Frozen { return net.Frozen{Roles: []net.Role{r}} }
	return &net.Network{Name: "branches", Input: net.Shape{C: 1, H: 12, W: 12}, Layers: []net.Layer{
		&net.Conv{Name: "few", Filters: 4, Kernel: net.Square(3), Padding: net.PadSame, Frozen: only(net.Bias)},
		&net.Activation{Func: net.ReLU}, &net.Pool{Name: "half", Kernel: net.Square(2)},
		&net.Conv{Name: "other", From: net.From{"input"}, Filters: 4, Kernel: net.Square(3), Padding: net.PadSame, Frozen: only(net.Weight)},
		&net.Activation{Func: net.ReLU}, &net.Pool{Name: "half2", Kernel: net.Square(2)},
		&net.Conv{Name: "frozen", From: net.From{"input"}, Filters: 4, Kernel: net.Square(2), Stride: net.Square(2), Frozen: net.Frozen{All: true}},
		&net.Add{Name: "x", From: net.From{"half", "half2", "frozen"}},
		// Each takes x. The convolutions pad equally and unequally, with and without groups.
		&net.Conv{Name: "a", From: net.From{"x"}, Filters: 4, Kernel: net.Square(3), Padding: net.PadSame},
		&net.Activation{Func: net.ReLU, Name: "ra"},
		&net.Conv{Name: "b", From: net.From{"x"}, Filters: 4, Kernel: net.Square(2), Padding: net.PadSame, Groups: 2, NoBias: true},
		&net.BatchNorm{Name: "c", From: net.From{"x"}},
		&net.BatchNorm{Name: "d", From: net.From{"x"}, Frozen: only(net.Weight)},
		&net.Activation{Name: "e", From: net.From{"x"}, Func: net.SiLU},
		&net.Dropout{Name: "f", From: net.From{"x"}, Rate: 0.25},
		&net.Scale{Name: "g", From: net.From{"x"}, Factor: -0.5},
		&net.Pool{Name: "gate", From: net.From{"x"}, Mode: net.MeanPool, Global: true},
		&net.Multiply{Name: "h", From: net.From{"x", "gate"}},
		&net.Multiply{Name: "i", From: net.From{"x", "x"}},
		&net.Pool{Name: "j", From: net.From{"x"}, Kernel: net.Square(3), Stride: net.Square(1), Padding: net.PadSame},
		&net.Pool{Name: "k", From: net.From{"x"}, Mode: net.L2Pool, Kernel: net.Square(2), Stride: net.Square(1), Padding: net.PadSame},
		&net.Add{Name: "sum", From: net.From{"ra", "b", "c", "d", "e", "f", "g", "h", "i", "x", "j", "k", "x"}},
		&net.Concat{Name: "all", From: net.From{"sum", "x", "sum"}},
		&net.Pool{Name: "mean", Mode: net.MeanPool, Kernel: net.Square(2)}, &net.Flatten{Name: "flat"},
		&net.Dense{Name: "first", Units: 6}, &net.Activation{Name: "relu", Func: net.ReLU},
		&net.Dense{Name: "second", From: net.From{"flat"}, Units: 6, NoBias: true, Frozen: net.Frozen{All: true}},
		&net.Add{From: net.From{"relu", "second"}}, &net.Dense{Name: "logits", Units: 4},
	}}
}

// TestRandomGraphs compares random networks with the reference, as `gputrain verify` does: by every way of running.
func TestRandomGraphs(t *testing.T) {
	graphs := some(200, 40)
	if testing.Short() {
		graphs = 8
	}
	number, first := devicetest.Graphs(t, graphs)
	for i := range uint64(number) {
		seed := first + i
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			sim.Start(t, sim.Seed(int64(seed)))
			f := forms[seed%uint64(len(forms))]
			o := f.options
			o.NoFusion, o.SingleAllocations = seed%2 == 1, seed%5 == 1
			verifyGraph(t, o, devicetest.RandomNetwork(seed), f.roundoff)
		})
	}
}

// verifyGraph compares a network with the reference.
func verifyGraph(t *testing.T, o cuda.Options, n *net.Network, roundoff float64) {
	t.Helper()
	d, err := cuda.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeDevice(t, d)
	plan := planOf(t, n)
	data := devicetest.RandomData(1, n.Input, plan.Classes, 12)
	r, err := verify.Network(t.Context(), d, n, data, verify.Options{Batch: 3, Steps: 2, Seed: 5, Roundoff: roundoff})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() {
		t.Errorf("%s, %+v: %+v", n.Name, o, r.Failures())
	}
}

// TestBranches compares a network whose values have uses of every kind, in each precision.
func TestBranches(t *testing.T) {
	for _, c := range []struct {
		precision cuda.Precision
		roundoff  float64
	}{{cuda.FP32, verify.Roundoff}, {cuda.TF32, cuda.TF32.Roundoff()}, {cuda.BF16, cuda.BF16.Roundoff()}} {
		for _, alone := range []bool{false, true} {
			t.Run(fmt.Sprint(c.precision, " cuDNN alone=", alone), func(t *testing.T) {
				sim.Start(t)
				verifyGraph(t, cuda.Options{Precision: c.precision, Deterministic: true, Heuristic: true, NoFusion: alone}, branches(), c.roundoff)
			})
		}
	}
}

// gradients runs a mini-batch of 12 samples in three shares, with an update behind them.
func gradients(t *testing.T, p net.Program, data *net.Dataset, from int) {
	t.Helper()
	const total = 12
	first := 0
	for _, n := range []int{5, 4, 3} {
		b := net.Batch{Data: data}
		for i := range n {
			b.Indices = append(b.Indices, int32((from+first+i)%data.Len()))
		}
		if err := p.Gradients(b, net.Share{First: first, Total: total}); err != nil {
			t.Fatal(err)
		}
		first += n
	}
	if err := p.Update(); err != nil {
		t.Fatal(err)
	}
}

// TestEarlyUpdateAmongManyBranches trains a chain in which many weight gradients come after the early update. At the end of
// the step the update must still be waited for, which the simulator checks.
func TestEarlyUpdateAmongManyBranches(t *testing.T) {
	defer cuda.SetFewestEarly(1)()
	n := &net.Network{Name: "chain", Input: net.Shape{C: 1, H: 12, W: 12}}
	for range 10 {
		n.Layers = append(n.Layers, &net.Conv{Filters: 2, Kernel: net.Square(1)}, &net.Activation{Func: net.Tanh})
	}
	n.Layers = append(n.Layers, &net.Flatten{}, &net.Dense{Units: 10})
	sim.Seeds(t, 2, func(t *testing.T, _ *sim.Machine) {
		d, err := cuda.Open(strict)
		if err != nil {
			t.Fatal(err)
		}
		defer closeDevice(t, d)
		p, err := d.Compile(n, net.Options{Batch: 4, Optimizer: net.AdamDefault(1e-3), Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		train(t, p, images(50), 4, 4)
		if _, err := p.TakeMetrics(); err != nil {
			t.Fatal(err)
		}
		if p := p.(interface{ GraphError() error }); p.GraphError() != nil {
			t.Error(p.GraphError())
		}
	})
}

// TestGraphsSameBytes trains a network with branches by every way of running, with whole mini-batches and with shares: all
// must end with the same weights. Where memory is not shared, a value that lives too short would show.
func TestGraphsSameBytes(t *testing.T) {
	for _, c := range []struct {
		name      string
		optimizer net.Optimizer
	}{{"adam", net.AdamDefault(1e-3)}, {"muon", net.MuonDefault(1e-3, 1e-3)}} {
		t.Run(c.name, func(t *testing.T) { sameBytes(t, c.optimizer) })
	}
}

func sameBytes(t *testing.T, optimizer net.Optimizer) {
	data := images(50)
	var want []byte
	for _, name := range []string{"graph", "kernel by kernel", "buffers of their own", "one stream", "early updates"} {
		o := strict
		o.NoGraph = name == "kernel by kernel"
		o.SingleAllocations = name == "buffers of their own"
		o.OneStream = name == "one stream"
		t.Run(name, func(t *testing.T) {
			if name == "early updates" {
				defer cuda.SetFewestEarly(1)()
			}
			sim.Seeds(t, some(5, 2), func(t *testing.T, m *sim.Machine) {
				d, err := cuda.Open(o)
				if err != nil {
					t.Fatal(err)
				}
				defer closeDevice(t, d)
				p, err := d.Compile(branches(), net.Options{Batch: 12, Optimizer: optimizer, Seed: 3})
				if err != nil {
					t.Fatal(err)
				}
				early := p.(interface{ EarlyMatrices() int }).EarlyMatrices()
				if want := name == "early updates" && len(optimizer.Groups) > 0; early > 0 != want {
					t.Errorf("%d matrices are updated early", early)
				}
				train(t, p, data, 3, 12)
				for i := range 3 {
					gradients(t, p, data, 12*i)
				}
				train(t, p, data, 1, 12)
				s, err := p.State()
				if err != nil {
					t.Fatal(err)
				}
				if m.Simulated() {
					// All of this is one upload, which records an event. More events are for other streams, which wait for them.
					c := m.Counters()
					records, waits := c["call.cuEventRecord"], c["call.cuStreamWaitEvent"]
					if beside := records > 1 && waits > 0; beside == o.OneStream || o.OneStream && records+waits != 1 {
						t.Errorf("%d events recorded and %d waited for", records, waits)
					}
				}
				var got []byte
				for _, q := range planOf(t, branches()).Params {
					got = append(got, bytesOf(s.Params[q.Name])...)
				}
				if want == nil {
					want = got
				}
				if !bytes.Equal(got, want) {
					t.Error("other weights than the first run's")
				}
			})
		})
	}
}

// TestSharesAreOneMiniBatch compares updates of three shares with those of the whole mini-batch, without batch normalisation;
// dropout draws the same.
func TestSharesAreOneMiniBatch(t *testing.T) {
	sim.Start(t)
	data := images(50)
	run := func(step func(p net.Program, from int)) net.State {
		_, p := compile(t, strict, 12)
		for i := range 4 {
			step(p, 12*i)
		}
		m, err := p.TakeMetrics()
		if err != nil {
			t.Fatal(err)
		}
		if m.Samples != 48 {
			t.Errorf("%d samples, want 48", m.Samples)
		}
		s, err := p.State()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	shares := run(func(p net.Program, from int) { gradients(t, p, data, from) })
	whole := run(func(p net.Program, from int) {
		b := net.Batch{Data: data}
		for i := range 12 {
			b.Indices = append(b.Indices, int32((from+i)%data.Len()))
		}
		if err := p.Step(b); err != nil {
			t.Fatal(err)
		}
	})
	for _, q := range plan(t).Params {
		// Adam moves each weight by about a thousandth a step, less where rounding decides a gradient near 0.
		approx.Check(t, q.Name, shares.Params[q.Name].Float32s(), whole.Params[q.Name].Float32s(), approx.Tolerance{Abs: 2e-5})
	}
}

// TestHalvesAreGraphLaunches counts what shares and updates ask of the driver once they have been captured.
func TestHalvesAreGraphLaunches(t *testing.T) {
	m := sim.Start(t)
	data := images(48)
	_, p := compile(t, strict, 12)
	for i := range 3 { // kernel by kernel, and captured; of the later shares each has a size of its own
		gradients(t, p, data, 12*i)
	}
	if _, err := p.TakeMetrics(); err != nil {
		t.Fatal(err)
	}
	before := m.Counters()
	const updates = 8 // 32 pieces of work: one upload
	for i := range updates {
		gradients(t, p, data, 12*i)
	}
	after := m.Counters()
	for name, want := range map[string]int64{
		"call.cuGraphLaunch": 4 * updates, "call.cuMemcpyHtoDAsync_v2": 1, "call.cuLaunchKernel": 0, "allocations": 0, "call.cuStreamSynchronize": 0,
	} {
		if got := after[name] - before[name]; got != want {
			t.Errorf("%d updates of three shares: %s %d times, want %d", updates, name, got, want)
		}
	}
	if _, err := p.TakeMetrics(); err != nil {
		t.Fatal(err)
	}
}

// TestBranchesTrain trains a network with branches beside the reference.
func TestBranchesTrain(t *testing.T) {
	sim.Start(t)
	data := images(24)
	o := net.Options{Batch: 8, Optimizer: net.SGDDefault(0.01), Seed: 4}
	want := losses(t, reference.New(), branches(), o, data, 6)
	d, err := cuda.Open(strict)
	if err != nil {
		t.Fatal(err)
	}
	defer closeDevice(t, d)
	approx.Check(t, "losses", losses(t, d, branches(), o, data, 6), want, approx.Tolerance{Rel: 1e-4})
}

// TestTraceThatFails checks that what a failed trace has begun on other lanes has ended before the next piece of work: the
// simulator reports work that isn't ordered.
func TestTraceThatFails(t *testing.T) {
	for _, name := range []string{"cuEventRecord", "cuStreamWaitEvent"} {
		for nth := 1; nth <= 2; nth++ {
			t.Run(fmt.Sprint(name, "/", nth), func(t *testing.T) {
				m := sim.Start(t)
				d, err := cuda.Open(strict)
				if err != nil {
					t.Fatal(err)
				}
				defer closeDevice(t, d)
				p, err := d.Compile(branches(), net.Options{Batch: 4, Optimizer: net.AdamDefault(1e-3), Seed: 3})
				if err != nil {
					t.Fatal(err)
				}
				data := images(20)
				train(t, p, data, 1, 4)
				if _, err := p.TakeMetrics(); err != nil {
					t.Fatal(err)
				}
				trace := func() error {
					_, err := p.(net.Tracer).Trace(net.Batch{Data: data, Indices: []int32{1, 2, 3, 4}}, net.Training)
					return err
				}
				m.Set(sim.Fault(name, nth, 999))
				if trace() == nil {
					t.Errorf("%s number %d is not in a trace", name, nth)
				}
				if err := trace(); err != nil {
					t.Fatal(err)
				}
				train(t, p, data, 2, 4)
			})
		}
	}
}

//go:build cuda

package cuda_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
)

// strict is the arithmetic that is compared: float32 throughout, and the same bytes every time.
var strict = cuda.Options{Precision: cuda.FP32, Deterministic: true, Heuristic: true}

// images returns a data set of n random 12x12 images in 4 classes.
func images(n int) *net.Dataset {
	random := rand.New(rand.NewPCG(1, 2))
	d := &net.Dataset{Name: "random", Shape: net.Shape{C: 1, H: 12, W: 12}, Classes: 4, Scale: 1.0 / 255}
	for range n {
		for range d.Shape.Size() {
			d.Pixels = append(d.Pixels, uint8(random.Uint32()))
		}
		d.Labels = append(d.Labels, random.Int32N(4))
	}
	return d
}

// network is the tutorial's, small: convolution, ReLU and pooling twice, dropout, two dense layers.
func network() *net.Network {
	return &net.Network{Name: "small", Input: net.Shape{C: 1, H: 12, W: 12}, Layers: []net.Layer{
		&net.Conv{Filters: 4, Kernel: net.Square(5), Padding: net.PadSame}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)},
		&net.Conv{Filters: 6, Kernel: net.Square(3), Padding: net.PadSame}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)},
		&net.Flatten{}, &net.Dense{Units: 16}, &net.Activation{Func: net.ReLU}, &net.Dropout{Rate: 0.25}, &net.Dense{Units: 4},
	}}
}

// compile opens the device and compiles the network; both are closed at the test's end.
func compile(t *testing.T, o cuda.Options, batch int) (*cuda.Device, net.Program) {
	t.Helper()
	d, err := cuda.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	p, err := d.Compile(network(), net.Options{Batch: batch, Optimizer: net.AdamDefault(1e-3), Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	return d, p
}

// train makes steps on the first samples, one after the other.
func train(t *testing.T, p net.Program, data *net.Dataset, steps, batch int) {
	t.Helper()
	for s := range steps {
		indices := make([]int32, batch)
		for i := range indices {
			indices[i] = int32((s*batch + i) % data.Len())
		}
		if err := p.Step(net.Batch{Data: data, Indices: indices}); err != nil {
			t.Fatalf("step %d: %v", s, err)
		}
	}
}

// weights returns all weights and moments, as bytes.
func weights(t *testing.T, p net.Program) []byte {
	t.Helper()
	s, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, q := range p.Plan().Trained() {
		names := []string{q.Name, q.Name + ".m", q.Name + ".v"}
		for i, name := range names {
			v := s.Params[name]
			if i > 0 {
				v = s.Optimizer[name]
			}
			values := v.Data().([]float32)
			all = append(all, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))...)
		}
	}
	return all
}

func plan(t *testing.T) *net.Plan { return planOf(t, network()) }

func planOf(t *testing.T, n *net.Network) *net.Plan {
	t.Helper()
	p, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSameBytes trains by every way of running, on several schedules: all must end with the same weights.
func TestSameBytes(t *testing.T) {
	data := images(50)
	var want []byte
	ways := map[string]cuda.Options{"graph": strict, "kernel by kernel": strict, "buffers of their own": strict, "measured": strict}
	for name, o := range ways {
		o.NoGraph = name == "kernel by kernel"
		o.SingleAllocations = name == "buffers of their own"
		o.Deterministic = name != "measured"
		o.Heuristic = false
		ways[name] = o
	}
	for _, name := range []string{"graph", "kernel by kernel", "buffers of their own"} {
		t.Run(name, func(t *testing.T) {
			sim.Seeds(t, 3, func(t *testing.T, m *sim.Machine) {
				_, p := compile(t, ways[name], 8)
				train(t, p, data, 12, 8)
				train(t, p, data, 2, 5)
				got := weights(t, p)
				if want == nil {
					want = got
				}
				if !bytes.Equal(got, want) {
					t.Error("other weights than the first run's")
				}
			})
		})
	}
	t.Run("measured", func(t *testing.T) { // may choose other algorithms
		sim.Start(t)
		_, p := compile(t, ways["measured"], 8)
		train(t, p, data, 3, 8)
		if len(weights(t, p)) != len(want) {
			t.Error("lost weights")
		}
	})
}

// TestCaptureFails lets the first capture fail: training goes on without, to the same weights, and says why. Later it is tried
// again.
func TestCaptureFails(t *testing.T) {
	data := images(50)
	var want []byte
	for _, fault := range []bool{false, true} {
		t.Run(fmt.Sprint("fault=", fault), func(t *testing.T) {
			m := sim.Start(t)
			_, p := compile(t, strict, 8)
			if fault {
				const unknown = 999
				m.Set(sim.Fault("cuStreamBeginCapture_v2", 1, unknown))
			}
			train(t, p, data, 12, 8)
			got := weights(t, p)
			if !fault {
				want = got
			}
			if !bytes.Equal(got, want) {
				t.Error("other weights than with a graph")
			}
			why := p.(interface{ GraphError() error }).GraphError()
			if (why != nil) != fault || fault && !strings.Contains(why.Error(), "cuStreamBeginCapture") {
				t.Errorf("GraphError is %v", why)
			}
			if launches := m.Counters()["graph launches"]; fault == (launches > 0) {
				t.Errorf("%d graph launches", launches)
			}
			train(t, p, data, 40, 8)
			weights(t, p)
			if why, launches := p.(interface{ GraphError() error }).GraphError(), m.Counters()["graph launches"]; why != nil || launches == 0 {
				t.Errorf("%d steps later: %d graph launches, GraphError is %v", 40, launches, why)
			}
		})
	}
}

// TestOutOfMemory has too little memory for the mini-batch; the error says what would fit, and that fits: also where another
// network, which stays, has some of the memory.
func TestOutOfMemory(t *testing.T) {
	for _, c := range []struct {
		name    string
		limit   int64 // beside what the GPU takes for itself; 0: none
		other   int   // mini-batch of the other network; 0: there is none
		machine []sim.Option
	}{
		{"within a limit", 32 << 20, 0, nil},
		{"beside another network", 96 << 20, 5000, nil},
		{"beside a small one", 64 << 20, 10, nil},
		{"on a small GPU", 0, 0, []sim.Option{sim.Memory(64 << 20)}},
		{"on a small GPU beside another network", 0, 1000, []sim.Option{sim.Memory(96 << 20)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := sim.Start(t, c.machine...)
			o := strict
			if c.limit > 0 {
				o.MemoryLimit = limit(t, c.limit)
			}
			d, err := cuda.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			defer closeDevice(t, d)
			opts := net.Options{Batch: 40000, Optimizer: net.AdamDefault(1e-3), Seed: 3}
			compile := func(batch int) (net.Program, error) {
				opts.Batch = batch
				return d.Compile(network(), opts)
			}
			var other net.Program
			if c.other > 0 {
				if other, err = compile(c.other); err != nil {
					t.Fatal(err)
				}
			}
			_, err = compile(40000)
			var e *cuda.OutOfMemoryError
			if !errors.As(err, &e) || !errors.Is(err, cuda.ErrOutOfMemory) {
				t.Fatalf("Compile: %v", err)
			}
			if e.Fits < 1 || e.Fits >= opts.Batch || e.BatchSize != opts.Batch || !strings.Contains(err.Error(), "would fit") {
				t.Fatalf("the error says %+v: %v", e, err)
			}
			if p, err := compile(2 * e.Fits); err == nil {
				if m.Simulated() { // on a GPU the larger one may choose algorithms with smaller workspaces
					t.Errorf("%d would fit, it says; twice that does too", e.Fits)
				}
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
			}
			p, err := compile(e.Fits)
			if err != nil {
				t.Fatalf("the batch size that should fit: %v", err)
			}
			for _, p := range []net.Program{p, other} {
				if p == nil {
					continue
				}
				train(t, p, images(32), 2, 10)
				if _, err := p.TakeMetrics(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestLostDevice loses the GPU in the middle of training.
func TestLostDevice(t *testing.T) {
	for name, fault := range map[string]sim.Option{"lost": sim.Lost(1), "watchdog": sim.Timeout(1)} {
		t.Run(name, func(t *testing.T) {
			m := sim.Start(t)
			d, err := cuda.Open(strict)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			p, err := d.Compile(network(), net.Options{Batch: 8, Optimizer: net.AdamDefault(1e-3)})
			if err != nil {
				t.Fatal(err)
			}
			data := images(32)
			train(t, p, data, 40, 8)
			if _, err := p.TakeMetrics(); err != nil {
				t.Fatal(err)
			}
			m.Set(fault)
			var failed error
			for range 200 {
				if failed = p.Step(net.Batch{Data: data, Indices: []int32{1, 2, 3}}); failed != nil {
					break
				}
			}
			if failed == nil {
				_, failed = p.TakeMetrics()
			}
			if !errors.Is(failed, cuda.ErrDeviceLost) {
				t.Errorf("the error is %v", failed)
			}
			if _, err := p.State(); err == nil {
				t.Error("State gives weights from a lost GPU")
			}
		})
	}
}

// TestOpenRefuses has nothing to open.
func TestOpenRefuses(t *testing.T) {
	t.Run("no GPU", func(t *testing.T) {
		sim.Start(t, sim.Devices(0))
		if _, err := cuda.Open(cuda.Options{}); !errors.Is(err, driver.ErrNoDevice) {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("no such GPU", func(t *testing.T) {
		sim.Start(t)
		if _, err := cuda.Open(cuda.Options{Index: 3}); !errors.Is(err, driver.ErrNoDevice) {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("precision", func(t *testing.T) {
		sim.Start(t)
		if _, err := cuda.Open(cuda.Options{Precision: "fp8"}); err == nil {
			t.Error("an unknown precision is taken")
		}
	})
}

// TestName says what the device is, a simulated one too.
func TestName(t *testing.T) {
	m := sim.Start(t)
	d, err := cuda.Open(cuda.Options{Precision: cuda.TF32})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if name := d.Name(); !strings.HasPrefix(name, "cuda:0 (") || strings.Contains(name, "simulated") != m.Simulated() || !strings.Contains(name, "TF32") {
		t.Errorf("the name is %q", name)
	}
}

//go:build cuda

package cuda_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unsafe"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// longVariable names the environment variable with which tests take all the time that they can use: more schedules, every
// fault instead of a sample. `make cuda-long` sets it.
const longVariable = "GPUTRAIN_CUDA_LONG"

// long reports whether tests may take long, and some returns the first number if they do.
func long() bool { return os.Getenv(longVariable) != "" }

func some(all, few int) int {
	if long() {
		return all
	}
	return few
}

// digits returns the first n training images of MNIST.
func digits(t *testing.T, n int) *net.Dataset {
	t.Helper()
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	return split.Train.Slice(0, n)
}

// losses trains a network on mini-batches in a fixed order and returns the loss of each step.
func losses(t *testing.T, d net.Device, n *net.Network, o net.Options, data *net.Dataset, steps int) []float64 {
	t.Helper()
	p, err := d.Compile(n, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	var all []float64
	for s := range steps {
		batch := net.Batch{Data: data}
		for i := range o.Batch {
			batch.Indices = append(batch.Indices, int32((s*o.Batch+i)%data.Len()))
		}
		if err := p.Step(batch); err != nil {
			t.Fatalf("step %d on %s: %v", s+1, d.Name(), err)
		}
		m, err := p.TakeMetrics()
		if err != nil {
			t.Fatal(err)
		}
		if m.Samples != int64(o.Batch) {
			t.Fatalf("step %d on %s: %d samples, want %d", s+1, d.Name(), m.Samples, o.Batch)
		}
		all = append(all, m.MeanLoss())
	}
	return all
}

// TestTutorialLosses trains the tutorial's network on real images, step by step beside the reference.
//
// The tolerance: a float32 roundoff is 6e-8, and an output of this network sums up to 3136 products, so that roundoff may
// make about 6e-8*sqrt(3136) = 3e-6 of it. Three times that leaves room for what weights drift apart in these steps. Whatever is
// wrong in a kernel, or in the order of two, is off by far more.
func TestTutorialLosses(t *testing.T) {
	notShort(t)
	batch, steps := some(8, 4), some(20, 12)
	data := digits(t, 2*batch) // two mini-batches in turn: few, so that the network learns them within these steps
	options := net.Options{Batch: batch, Optimizer: net.AdamDefault(2e-5), Seed: 1}
	want := losses(t, reference.New(), net.BuiltIn("tutorial"), options, data, steps)
	t.Logf("losses: %.4f", want)
	if first, last := want[1], want[steps-1]; last > 0.8*first {
		t.Errorf("the reference learns nothing: the second mini-batch's loss is %.3f at first and %.3f at last", first, last)
	}
	sim.Seeds(t, some(5, 2), func(t *testing.T, m *sim.Machine) {
		d, err := cuda.Open(strict)
		if err != nil {
			t.Fatal(err)
		}
		defer closeDevice(t, d)
		want := want
		if m.Seed()%2 == 0 && !long() {
			want = want[:4] // another schedule, for as long as there is time for it
		}
		got := losses(t, d, net.BuiltIn("tutorial"), options, data, len(want))
		tolerance := approx.Tolerance{Rel: 1e-5}
		t.Logf("losses: %v", approx.Compare(got, want, tolerance))
		approx.Check(t, "losses", got, want, tolerance)
	})
}

// closeDevice closes a device; what it says fails the test.
func closeDevice(t *testing.T, d net.Device) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// everything is a network in which every kind of layer takes part, in each of the ways in which it can run: convolutions
// with and without what is computed in one kernel behind them, padded unequally, by cuDNN and by kernels of ours.
func everything() *net.Network {
	return &net.Network{Name: "everything", Input: net.Shape{C: 1, H: 7, W: 7}, Layers: []net.Layer{
		&net.Conv{Filters: 3, Kernel: net.Square(3), Padding: net.PadSame}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2), Padding: net.PadSame},
		// Its bias would matter to nothing but roundoff, of which Adam makes whole steps.
		&net.Conv{Filters: 2, Kernel: net.Square(2), Padding: net.PadSame, NoBias: true}, &net.BatchNorm{}, &net.Activation{Func: net.Tanh},
		&net.Pool{Mode: net.MeanPool, Kernel: net.Square(2), Stride: net.Square(1)},
		&net.Conv{Filters: 2, Kernel: net.Square(1)}, &net.Activation{Func: net.LeakyReLU},
		&net.Conv{Filters: 2, Kernel: net.Square(1)}, &net.Activation{Func: net.ReLU},
		&net.Pool{Mode: net.MaxPool, Kernel: net.Square(2), Stride: net.Square(1), Padding: net.PadSame},
		&net.Pool{Mode: net.L2Pool, Kernel: net.Square(2), Stride: net.Square(1)},
		&net.Flatten{}, &net.Dense{Units: 5}, &net.Activation{Func: net.ReLU}, &net.Dropout{Rate: 0.25},
		&net.Dense{Units: 4}, &net.Activation{Func: net.Sigmoid}, &net.Dense{Units: 3, NoBias: true},
	}}
}

// shortRun is a training run of 2 epochs of 5 steps, the last of fewer samples, on a network with everything, evaluated on
// another data set.
func shortRun() net.Config {
	o := net.AdamDefault(0.01)
	o.WeightDecay, o.ClipNorm = 1e-3, 1
	return net.Config{
		Recipe:     net.Recipe{Epochs: 2, Batch: 4, Optimizer: o, Seed: 3},
		Train:      noise("train", 18),
		Validation: noise("validation", 7),
		Interval:   2,
	}
}

// noise returns n random images for the network with everything.
func noise(name string, n int) *net.Dataset {
	random := rand.New(rand.NewPCG(uint64(n), 5))
	d := &net.Dataset{Name: name, Shape: everything().Input, Classes: 3, Scale: 1.0 / 255}
	for range n {
		for range d.Shape.Size() {
			d.Pixels = append(d.Pixels, uint8(random.Uint32()))
		}
		d.Labels = append(d.Labels, random.Int32N(3))
	}
	return d
}

// run trains on a device, and returns what it came to and the state that it left.
func run(t *testing.T, open func() (net.Device, error), cfg net.Config) (net.Result, net.State) {
	t.Helper()
	d, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer closeDevice(t, d)
	p, err := d.Compile(everything(), cfg.Options())
	if err != nil {
		t.Fatal(err)
	}
	result, err := net.Train(t.Context(), p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	state, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	return result, state
}

// Ways to open devices, for run.
func openStrict() (net.Device, error) { return cuda.Open(strict) }
func openCPU() (net.Device, error)    { return cpu.New(cpu.Options{}) }

// sameState fails the test where two states differ in a bit.
func sameState(t *testing.T, what string, got, want net.State) {
	t.Helper()
	if got.Step != want.Step {
		t.Errorf("%s: step %d, want %d", what, got.Step, want.Step)
	}
	for _, m := range []struct{ got, want map[string]*tensor.Dense }{{got.Params, want.Params}, {got.Optimizer, want.Optimizer}} {
		if len(m.got) != len(m.want) || len(m.want) == 0 {
			t.Errorf("%s: %d tensors, want %d", what, len(m.got), len(m.want))
			continue
		}
		for name, w := range m.want {
			if g := m.got[name]; g == nil || !bytes.Equal(bytesOf(g), bytesOf(w)) {
				t.Errorf("%s: %s differs", what, name)
			}
		}
	}
}

// bytesOf returns a tensor's memory.
func bytesOf(d *tensor.Dense) []byte {
	values := d.Float32s()
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))
}

// TestResumedRun trains in one go, and in two with a checkpoint between, on other schedules: both must end with the same
// bytes. The second goes on in the middle of an epoch.
func TestResumedRun(t *testing.T) {
	var whole net.State
	t.Run("whole", func(t *testing.T) {
		sim.Start(t)
		_, whole = run(t, openStrict, shortRun())
	})
	for _, every := range []int{3, 5} {
		t.Run(fmt.Sprintf("every=%d", every), func(t *testing.T) {
			sim.Start(t, sim.Seed(int64(100+every)))
			cfg := shortRun()
			cfg.Saving = net.Saving{Dir: t.TempDir(), EverySteps: every}
			stop := errors.New("enough")
			cfg.Observers = []net.Observer{net.ObserverFunc(func(e net.Event) error {
				if saved, ok := e.(net.CheckpointSaved); ok && saved.Reason != net.AtStopped {
					return stop
				}
				return nil
			})}
			d, err := openStrict()
			if err != nil {
				t.Fatal(err)
			}
			defer closeDevice(t, d)
			p, err := d.Compile(everything(), cfg.Options())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := net.Train(t.Context(), p, cfg); !errors.Is(err, stop) {
				t.Fatalf("the run ended with %v", err)
			}
			closeDevice(t, d) // another process would resume
			if cfg.Resume, err = net.LoadCheckpoint(cfg.Saving.Dir); err != nil {
				t.Fatal(err)
			}
			if step := cfg.Resume.State.Step; step != int64(every) {
				t.Fatalf("the checkpoint is of step %d, want %d", step, every)
			}
			cfg.Observers = nil
			_, got := run(t, openStrict, cfg)
			sameState(t, "the resumed run", got, whole)
		})
	}
}

// TestCheckpointsMove begins a run on one device and ends it on another: the state moves unchanged, and both ways end where
// the reference does.
func TestCheckpointsMove(t *testing.T) {
	sim.Start(t)
	openReference := func() (net.Device, error) { return reference.New(), nil }
	want, _ := run(t, openReference, shortRun())
	for _, c := range []struct {
		name        string
		first, then func() (net.Device, error)
	}{{"CPU to CUDA", openCPU, openStrict}, {"CUDA to CPU", openStrict, openCPU}} {
		t.Run(c.name, func(t *testing.T) {
			cfg := shortRun()
			cfg.Recipe.Epochs = 1
			cfg.Saving = net.Saving{Dir: t.TempDir()}
			_, left := run(t, c.first, cfg)
			var err error
			if cfg.Resume, err = net.LoadCheckpoint(cfg.Saving.Dir); err != nil {
				t.Fatal(err)
			}
			sameState(t, "the checkpoint", cfg.Resume.State, left)
			took, err := c.then()
			if err != nil {
				t.Fatal(err)
			}
			defer closeDevice(t, took)
			p, err := took.Compile(everything(), cfg.Options())
			if err != nil {
				t.Fatal(err)
			}
			if err := p.SetState(cfg.Resume.State); err != nil {
				t.Fatal(err)
			}
			taken, err := p.State()
			if err != nil {
				t.Fatal(err)
			}
			sameState(t, "the state on the other device", taken, left)
			cfg.Recipe.Epochs = 2
			got, _ := run(t, c.then, cfg)
			for i, w := range want.Epochs {
				g := got.Epochs[i]
				// Sums of tens of products in float32, over ten steps: hundreds of roundoffs of 6e-8.
				tolerance := approx.Tolerance{Rel: 1e-4}
				approx.Check(t, fmt.Sprintf("epoch %d: training and validation loss", i+1), []float64{g.Cost, g.Validation.Loss}, []float64{w.Cost, w.Validation.Loss}, tolerance)
			}
		})
	}
}

// TestStepIsOneGraphLaunch counts what a step of the tutorial's network, at its own batch, asks of the driver and of Go's
// heap once it has been captured. The steps that are counted never run, as all work waits for somebody to ask for its
// result: that would take minutes.
func TestStepIsOneGraphLaunch(t *testing.T) {
	const ahead, batch = 32, 50 // steps whose indices go up at once; the recipe's batch
	m := sim.Start(t, sim.Late())
	d, err := cuda.Open(strict)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); errors.Is(err, cuda.ErrDeviceLost) != m.Simulated() {
			t.Errorf("Close: %v", err)
		}
	}()
	p, err := d.Compile(net.BuiltIn("tutorial"), net.Options{Batch: batch, Optimizer: net.AdamDefault(1e-4), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	b := net.Batch{Data: digits(t, batch)}
	for i := range batch {
		b.Indices = append(b.Indices, int32(i))
	}
	step := func() {
		if err := p.Step(b); err != nil {
			t.Fatal(err)
		}
	}
	step() // kernel by kernel
	step() // captured
	if _, err := p.TakeMetrics(); err != nil {
		t.Fatal(err)
	}
	var before map[string]int64
	if m.Simulated() {
		m.Set(sim.Lost(1)) // so that closing doesn't run them either; nobody knows until then
		before = m.Counters()
	}
	allocations := testing.AllocsPerRun(1, func() { // twice
		for range ahead {
			step()
		}
	})
	if allocations >= ahead { // the count is the whole process's, in which something else may allocate now and then
		t.Errorf("%d steps allocate %v times on Go's heap", ahead, allocations)
	}
	if !m.Simulated() {
		return // only the simulated machine has counters
	}
	counts := map[string]int64{}
	for name, n := range m.Counters() {
		if n -= before[name]; n != 0 {
			counts[name] = n
		}
	}
	t.Logf("%d steps ask for %v", 2*ahead, counts)
	for _, within := range []string{"graph nodes run", "kernel", "dnn", "blas", "memcpy HtoD.bytes"} {
		delete(counts, within)
	}
	maps.DeleteFunc(counts, func(name string, _ int64) bool { return strings.HasPrefix(name, "ran.") }) // as are these
	want := map[string]int64{
		"graph launches": 2 * ahead, "call.cuGraphLaunch": 2 * ahead,
		"memcpy HtoD": 2, "call.cuMemcpyHtoDAsync_v2": 2, "call.cuEventRecord": 2,
		// Before its memory is written again the host makes sure that the upload before the last has left it.
		"call.cuEventSynchronize": 1, "synchronisations": 1,
	}
	if !maps.Equal(counts, want) {
		t.Errorf("%d steps ask for %v, want %v and nothing else", 2*ahead, counts, want)
	}
}

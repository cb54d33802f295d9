//go:build cuda

package cuda_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// outcome is what a run came to.
type outcome struct {
	state net.State
	graph error // why steps did not run as a graph
	err   error // each part's, joined
}

// scenario is a run on a GPU that is tried with faults, which are there from when it calls `begin`.
type scenario struct {
	name string
	run  func(t *testing.T, dir string, begin func()) outcome
}

// scenarios are training from opening the device to closing it, with checkpoints and an evaluation; and what may come after
// a network has been compiled: a resumed state, a data set that is streamed, an inference.
var scenarios = []scenario{{"train", trainOnce}, {"streamed", trainStreamed}, {"bfloat16", trainNarrow}}

func trainOnce(t *testing.T, dir string, begin func()) outcome {
	return trainWith(t, dir, begin, false)
}

// trainNarrow has values of bfloat16 and updates some weights early, most of them by Muon.
func trainNarrow(t *testing.T, dir string, begin func()) outcome {
	t.Helper()
	defer cuda.SetFewestEarly(1)()
	begin()
	o := strict
	o.Precision, o.MemoryLimit = cuda.BF16, 64<<20
	d, err := cuda.Open(o)
	if err != nil {
		return outcome{err: err}
	}
	muon := net.MuonDefault(0.02, 0.01) // without clipping, which would need all gradients first
	end := trainOn(t, d, dir, muon)
	end.err = errors.Join(end.err, d.Close())
	return end
}

// trainApart has an allocation for each buffer.
func trainApart(t *testing.T, dir string, begin func()) outcome {
	return trainWith(t, dir, begin, true)
}

func trainWith(t *testing.T, dir string, begin func(), single bool) outcome {
	t.Helper()
	begin()
	o := strict
	o.Deterministic, o.Heuristic, o.SingleAllocations = false, false, single // measures
	o.NoFusion = true                                                        // all products
	o.Workspace, o.MemoryLimit = 1<<20, 64<<20                               // for speed
	d, err := cuda.Open(o)
	if err != nil {
		return outcome{err: err}
	}
	end := trainOn(t, d, dir, shortRun().Recipe.Optimizer)
	end.err = errors.Join(end.err, d.Close())
	return end
}

func trainOn(t *testing.T, d net.Device, dir string, o net.Optimizer) (end outcome) {
	cfg := shortRun()
	cfg.Recipe.Optimizer = o
	cfg.Train, cfg.Validation, cfg.Recipe.Epochs = noise("train", 14), noise("validation", 5), 1
	cfg.Saving = net.Saving{Dir: dir, EverySteps: 3}
	p, err := d.Compile(everything(), cfg.Options())
	if err != nil {
		return outcome{err: err}
	}
	if _, end.err = net.Train(t.Context(), p, cfg); end.err == nil {
		end.state, end.err = p.State()
	}
	end.graph = p.(interface{ GraphError() error }).GraphError()
	end.err = errors.Join(end.err, p.Close())
	return end
}

// trainStreamed has room for the network and some mini-batches, and not for the data set's 196 kB.
func trainStreamed(t *testing.T, _ string, begin func()) (end outcome) {
	const batch, samples = 4, 4000
	o := strict
	o.SingleAllocations, o.MemoryLimit = true, limit(t, 200_000)
	d, err := cuda.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Compile(everything(), net.Options{Batch: batch, Optimizer: net.AdamDefault(0.01), Average: 0.9, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	begin()
	end.state, end.err = steps(p, noise("streamed", samples), batch)
	end.graph = p.(interface{ GraphError() error }).GraphError()
	end.err = errors.Join(end.err, p.Close(), d.Close())
	return end
}

// steps makes steps, some of them in shares, some on samples that are mixed with others, with a state set between them, evaluates
// the averages of the weights and asks for an answer.
func steps(p net.Program, data *net.Dataset, batch int) (s net.State, err error) {
	indices := func(from, n int) (b net.Batch) {
		b.Data = data
		for i := range n {
			b.Indices = append(b.Indices, int32((from+i)%data.Len()))
		}
		return b
	}
	source := augmented(data, p.Plan().Network.Input)
	for i := range 20 {
		if i == 10 {
			if s, err = p.State(); err != nil {
				return s, err
			}
			if err = p.SetState(s); err != nil {
				return s, err
			}
		}
		if i%5 > 2 {
			err = p.Step(source.Batch(i, indices(i*batch, batch).Indices))
		} else if i%5 > 0 {
			err = p.Step(indices(i*batch, batch))
		} else {
			err = errors.Join(p.Gradients(indices(i*batch, batch-1), net.Share{Total: batch}),
				p.Gradients(indices(i*batch+batch-1, 1), net.Share{First: batch - 1, Total: batch}))
			if err == nil {
				err = p.Update()
			}
		}
		if err != nil {
			return s, err
		}
	}
	if err = p.SwapAverage(); err != nil {
		return s, err
	}
	if _, err = p.Evaluate(indices(7, 3)); err != nil {
		return s, err
	}
	if err = p.SwapAverage(); err != nil {
		return s, err
	}
	if _, err = p.TakeMetrics(); err != nil {
		return s, err
	}
	if _, err = p.Infer(indices(3999, 2)); err != nil {
		return s, err
	}
	return p.State()
}

// A run goes on, to the same end, without what these calls do: what they tell is for people (of memory only where an algorithm
// that needs less takes another's place), and an algorithm that fails has a successor. Whatever fails while a step is captured, the step and those after it run kernel by kernel.
var dispensable = regexp.MustCompile("^(cuDriverGetVersion|cuDeviceGetPCIBusId|cuMemGetInfo|cublas(Lt)?GetProperty|cublasLtMatmul|" +
	"cudnn(Get)?Convolution(Forward|BackwardData|BackwardFilter)(WorkspaceSize)?)$")

// What these calls don't end stays. gorgonia.org/cu/dnn loses a descriptor that it could make but not set.
var (
	ending  = regexp.MustCompile("Destroy|Free|Release|Unload")
	setting = regexp.MustCompile("^cudnnSet(Activation|Convolution2d|Filter4d|Pooling2d)Descriptor$|^cudnnSetConvolution(GroupCount|MathType)$")
)

// Errors of calls that gorgonia.org/cu/dnn makes several of at once name the operation.
var (
	describing = regexp.MustCompile("^cudnn(Create|Set).*(Descriptor|GroupCount|MathType)$")
	operations = regexp.MustCompile("describing (a convolution|pooling|an activation): ")
)

// status is a failure in the numbers of a function's library.
func status(call string) int {
	switch {
	case strings.HasPrefix(call, "cudnn"):
		return 8 // CUDNN_STATUS_EXECUTION_FAILED of cuDNN 8, which 9 doesn't know
	case strings.HasPrefix(call, "cublas"):
		return 13 // CUBLAS_STATUS_EXECUTION_FAILED
	}
	return 999 // CUDA_ERROR_UNKNOWN
}

// TestEveryCallMayFail lets each call of a run fail in turn. The run then ends with an error that names what failed, or, where
// it can do without, as if nothing had; nothing leaks, and the checkpoint is whole. A sample takes one call of every
// function, with every seed another; of the first scenario the first and the last too. With -short it is the first alone.
func TestEveryCallMayFail(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			counts, want, seed := s.faultless(t)
			// A streamed data set has a stream of its own. The other scenario opens the device, with all of its streams.
			if n := counts["call.cuStreamCreate"]; (n > 0 && n < 3) != (s.name == "streamed") {
				t.Fatal("the data set should be streamed in one scenario, and not in the other")
			}
			for _, counter := range slices.Sorted(maps.Keys(counts)) {
				name, ok := strings.CutPrefix(counter, "call.")
				last := int(counts[counter])
				if !ok || last == 0 {
					continue
				}
				between := rand.New(rand.NewPCG(uint64(seed), uint64(last))).IntN(last) + 1
				for nth := 1; nth <= last; nth++ {
					sampled := nth == between || s.name == scenarios[0].name && (nth == 1 || nth == last)
					if testing.Short() {
						sampled = nth == 1
					}
					if long() || sampled {
						t.Run(fmt.Sprintf("%s/%d", name, nth), func(t *testing.T) { s.failCall(t, name, nth, want) })
					}
				}
			}
		})
	}
}

// faultless returns what a run without faults adds to each of the machine's counters, the run's final state and its seed.
func (s scenario) faultless(t *testing.T) (counts map[string]int64, state net.State, seed int64) {
	t.Helper()
	t.Run("none", func(t *testing.T) {
		m := sim.Start(t)
		seed = m.Seed()
		var before map[string]int64
		end := s.run(t, t.TempDir(), func() { before = m.Counters() })
		if state = end.state; end.err != nil || end.graph != nil {
			t.Fatal(end.err, end.graph)
		}
		counts = m.Counters()
		for name, n := range before {
			counts[name] -= n
		}
	})
	switch {
	case t.Failed():
		t.FailNow()
	case counts == nil:
		t.Skip("only the simulated machine has faults")
	}
	return counts, state, seed
}

// attempt runs with a fault, and fails the test where that hangs.
func (s scenario) attempt(t *testing.T, m *sim.Machine, dir string, fault sim.Option) outcome {
	t.Helper()
	hangs := time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("the run hangs with %s", fault)) })
	defer hangs.Stop()
	return s.run(t, dir, func() { m.Set(fault) })
}

func (s scenario) failCall(t *testing.T, name string, nth int, want net.State) {
	m := sim.Start(t)
	call, _, _ := strings.Cut(name, "_v2")
	dir := t.TempDir()
	end := s.attempt(t, m, dir, sim.Fault(name, nth, status(name)))
	named := func(err error) bool {
		return err != nil && (strings.Contains(err.Error(), call) || describing.MatchString(call) && operations.MatchString(err.Error()))
	}
	switch {
	case end.err != nil && !named(end.err):
		t.Errorf("the error doesn't name %s: %v", call, end.err)
	case errors.Is(end.err, cuda.ErrDeviceLost):
		t.Errorf("the GPU is there: %v", end.err)
	case end.err != nil:
	case !dispensable.MatchString(call) && !named(end.graph):
		t.Errorf("the run did not notice; of its graph it says %v", end.graph)
	default:
		sameWeights(t, end.state, want)
	}
	if strings.HasPrefix(call, "cuGraph") && ending.MatchString(call) {
		m.Expect("freed while in use") // by the graph that stays
	}
	// The arithmetic and the groups are set by gorgonia.org/cu/dnn, whose errors name the operation, and by us.
	twice := call == "cudnnSetConvolutionMathType" || call == "cudnnSetConvolutionGroupCount"
	if ours := twice && (end.err == nil || !operations.MatchString(end.err.Error())); ending.MatchString(call) || setting.MatchString(call) && !ours {
		m.Expect(sim.LeakCheck)
	}
	wholeCheckpoint(t, dir)
}

// sameWeights compares weights, that other algorithms may have come to: they sum in another order.
func sameWeights(t *testing.T, got, want net.State) {
	t.Helper()
	for _, p := range slices.Sorted(maps.Keys(want.Params)) {
		approx.Check(t, p, got.Params[p].Float32s(), want.Params[p].Float32s(), approx.Tolerance{Abs: 1e-5, Rel: 1e-4})
	}
}

// TestEveryAllocationMayFail lets each allocation of a run find no memory: that is an error, or, where there is another
// algorithm or a data set can be streamed, changes nothing. Nothing leaks, and the checkpoint is whole.
func TestEveryAllocationMayFail(t *testing.T) {
	for _, s := range append(slices.Clone(scenarios), scenario{"apart", trainApart}) {
		t.Run(s.name, func(t *testing.T) {
			counts, want, _ := s.faultless(t)
			for nth := 1; nth <= int(counts["allocations"]); nth++ {
				t.Run(fmt.Sprint(nth), func(t *testing.T) {
					dir := t.TempDir()
					switch end := s.attempt(t, sim.Start(t), dir, sim.OOM(nth)); {
					case end.err == nil:
						sameWeights(t, end.state, want)
					case !errors.Is(end.err, cuda.ErrOutOfMemory):
						t.Errorf("the error is %v", end.err)
					}
					wholeCheckpoint(t, dir)
				})
			}
		})
	}
}

// wholeCheckpoint fails the test where a run has left a checkpoint that can't be read.
func wholeCheckpoint(t *testing.T, dir string) {
	t.Helper()
	c, err := net.LoadCheckpoint(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Errorf("the checkpoint: %v", err)
		return
	}
	plan, err := c.Network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.State.Check(plan, c.Recipe.Optimizer); err != nil {
		t.Errorf("the checkpoint: %v", err)
	}
}

// TestLostAnywhere loses the GPU at each piece of work of a run in turn, or lets it time out at each launch. A sample takes
// every 61st.
func TestLostAnywhere(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			counts, _, _ := s.faultless(t)
			work := 0
			for _, kind := range []string{"kernel", "dnn", "blas", "memcpy HtoD", "memcpy DtoH", "memset"} {
				work += int(counts[kind])
			}
			step := some(1, 61)
			for nth := 1; nth <= work; nth += step {
				t.Run(fmt.Sprint("lost/", nth), func(t *testing.T) { s.lose(t, sim.Lost(nth)) })
			}
			for nth := 1; nth <= int(counts["call.cuLaunchKernel"]); nth += step {
				t.Run(fmt.Sprint("watchdog/", nth), func(t *testing.T) { s.lose(t, sim.Timeout(nth)) })
			}
		})
	}
}

func (s scenario) lose(t *testing.T, fault sim.Option) {
	m := sim.Start(t)
	dir := t.TempDir()
	if end := s.attempt(t, m, dir, fault); !errors.Is(end.err, cuda.ErrDeviceLost) {
		t.Errorf("the error is %v", end.err)
	}
	wholeCheckpoint(t, dir)
}

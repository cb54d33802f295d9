//go:build cuda

package cuda_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/lower"
	"github.com/gputrain/gputrain/net/parallel"
	"github.com/gputrain/gputrain/net/parallel/lockstep"
	"github.com/gputrain/gputrain/net/verify"
)

// startGroup starts a machine with so many GPUs.
func startGroup(t *testing.T, members int, options ...sim.Option) *sim.Machine {
	t.Helper()
	return sim.Start(t, append(options, sim.Devices(members))...)
}

// group opens a device of so many GPUs, in lockstep.
func group(tb testing.TB, members int, o cuda.Options) net.Device {
	tb.Helper()
	var gpus []int
	for i := range members {
		gpus = append(gpus, i)
	}
	return groupOn(tb, gpus, o)
}

// groupOn is group on the GPUs with these numbers.
func groupOn(tb testing.TB, gpus []int, o cuda.Options) net.Device {
	tb.Helper()
	members := len(gpus)
	id, err := cuda.NewUniqueID()
	if err != nil {
		tb.Fatal(err)
	}
	d, err := lockstep.Open(members, func(i int) (net.Device, error) {
		o := o
		o.Index = gpus[i]
		own, err := cuda.Open(o)
		if err != nil {
			return nil, err
		}
		g, err := own.Join(cuda.GroupOptions{ID: id, Rank: i, Size: members})
		if err != nil {
			return nil, errors.Join(err, own.Close())
		}
		return parallel.New(own, g), nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// notQuick skips a test that takes minutes.
func notQuick(t *testing.T) {
	t.Helper()
	if !long() {
		t.Skip("it takes minutes in the simulator: make cuda-long")
	}
}

// TestGroupCompliance: a group of GPUs is a device.
func TestGroupCompliance(t *testing.T) {
	notQuick(t)
	startGroup(t, 2)
	devicetest.Run(t, func(tb testing.TB) net.Device { return group(tb, 2, strict) }, devicetest.Short())
}

// TestGroupVerify compares a group with the reference on real images, as `gputrain verify` does with one device.
func TestGroupVerify(t *testing.T) {
	notQuick(t)
	startGroup(t, 2)
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	d := group(t, 2, strict)
	defer closeDevice(t, d)
	model, ok := net.ModelNamed("digits-s")
	if !ok {
		t.Fatal("no model digits-s")
	}
	r, err := verify.Network(t.Context(), d, model.Network(), split.Train, verify.Options{Batch: 5, Steps: 2, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d comparisons on %d images", len(r.Checks()), r.Batch)
	if !r.OK() {
		t.Errorf("%+v", r.Failures())
	}
}

// groupRecipe has 51 steps. The last mini-batch of each epoch has 3 samples: fewer than four members.
func groupRecipe() net.Config {
	o := net.SGDDefault(0.05)
	o.Momentum, o.Nesterov, o.WeightDecay = 0.9, true, 0.01
	return net.Config{
		Recipe: net.Recipe{Epochs: 17, Batch: 6, Seed: 3, Optimizer: o, Average: 0.9, Loss: net.Criterion{Smoothing: 0.1},
			Augment: net.Augment{Crop: 1, Flip: net.RandomFlip, Mixup: 0.4}},
		Train: devicetest.RandomData(7, net.Shape{C: 3, H: 8, W: 8}, 5, 15),
	}
}

// trainedWeights trains a network and returns its weights, one after the other.
func trainedWeights(t *testing.T, d net.Device, n *net.Network, c net.Config) (weights []float32) {
	t.Helper()
	defer closeDevice(t, d)
	p, err := d.Compile(n, c.Options())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.Train(t.Context(), p, c); err != nil {
		t.Fatal(err)
	}
	st, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range p.Plan().Params {
		weights = append(weights, st.Params[q.Name].Float32s()...)
	}
	return weights
}

func wide(values []float32) (all []float64) {
	for _, v := range values {
		all = append(all, float64(v))
	}
	return all
}

// TestGroupTraining: 2, 3 and 4 GPUs train to what one does, and twice to the same bytes.
func TestGroupTraining(t *testing.T) {
	defer cuda.SetFewestSummed(500)() // so that there are several turns
	notShort(t)
	for i, c := range []struct {
		name      string
		tolerance float64 // of weights of up to 1, after 50 steps
		options   cuda.Options
		change    func(*net.Config)
	}{
		{"float32", 1e-4, strict, func(*net.Config) {}},
		{"clipping and accumulation", 1e-4, strict, func(c *net.Config) { c.Recipe.Optimizer.ClipNorm, c.Recipe.Accumulate = 1, 2 }},
		{"Muon", 1e-4, strict, func(c *net.Config) {
			c.Recipe.Optimizer.Groups = []net.Group{{Params: net.HiddenMatrices, Rule: net.Rule{Method: net.Muon, LearningRate: 0.02, Momentum: 0.8, Iterations: 3}}}
		}},
		{"one stream", 1e-4, cuda.Options{Precision: cuda.FP32, Deterministic: true, OneStream: true}, func(*net.Config) {}},
		// Roundings of bfloat16 grow from step to step, so there are few.
		{"bfloat16", 0.15, cuda.Options{Precision: cuda.BF16, Deterministic: true}, func(c *net.Config) { c.Recipe.Epochs = 2 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "one stream" && !long() {
				t.Skip("make cuda-long")
			}
			m := startGroup(t, 4)
			config := groupRecipe()
			c.change(&config)
			want := wide(trainedWeights(t, open(c.options)(t), lockstep.Everything(), config))
			for _, members := range []int{2, 3, 4} {
				quick := 3
				if i == 0 {
					quick = 4 // of which one has no sample of the last mini-batch
				}
				if members != quick && !long() {
					continue // make cuda-long
				}
				got := trainedWeights(t, group(t, members, c.options), lockstep.Everything(), config)
				approx.Check(t, fmt.Sprintf("weights of %d GPUs", members), got, want, approx.Tolerance{Abs: c.tolerance})
				if members != quick || i > 0 && !long() {
					continue
				}
				again := trainedWeights(t, group(t, members, c.options), lockstep.Everything(), config)
				approx.Check(t, "weights, once more", again, wide(got), approx.Tolerance{})
			}
			if m.Simulated() && m.Counters()["graph launches"] == 0 {
				t.Error("no step was a graph")
			}
		})
	}
}

// TestGroupErrors: what can't be a group is told.
func TestGroupErrors(t *testing.T) {
	startGroup(t, 2)
	d := open(strict)(t)
	defer closeDevice(t, d)
	n := lockstep.Everything()
	for _, o := range []cuda.GroupOptions{{Rank: 2, Size: 2}, {Rank: -1, Size: 2}, {}} {
		if _, err := d.(*cuda.Device).Join(o); err == nil || !strings.Contains(err.Error(), "of a group of") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	options := groupRecipe().Options()
	options.Communicator = parallel.Local(1)[0]
	if _, err := d.Compile(n, options); !errors.Is(err, net.ErrAlone) {
		t.Errorf("with sums by the host: %v, want ErrAlone", err)
	}
	id, err := cuda.NewUniqueID()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.(*cuda.Device).Join(cuda.GroupOptions{ID: id, Size: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.(*cuda.Device).Join(cuda.GroupOptions{ID: id, Size: 1}); err == nil || !strings.Contains(err.Error(), "a member of a group already") {
		t.Errorf("a second group: %v", err)
	}
}

// TestGroupEnds: a member that doesn't come, an error of NCCL and Abort end the waiting of the others.
func TestGroupEnds(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout time.Duration
		begin   []sim.Option
		end     func(g *cuda.Group)
		says    string
	}{
		{"time-out", 50 * time.Millisecond, nil, func(*cuda.Group) {}, "nothing came from another member for 50ms"},
		{"abort", 0, nil, func(g *cuda.Group) { g.Abort() }, "it was aborted"},
		{"an error of NCCL", 0, []sim.Option{sim.AsyncError(1, 6)}, func(*cuda.Group) {}, "ncclRemoteError (6): another process has failed or can't be reached any more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := startGroup(t, 2)
			id, err := cuda.NewUniqueID()
			if err != nil {
				t.Fatal(err)
			}
			var devices [2]*cuda.Device
			var groups [2]*cuda.Group
			var wg sync.WaitGroup
			for i := range devices {
				o := strict
				o.Index = i
				if devices[i], err = cuda.Open(o); err != nil {
					t.Fatal(err)
				}
				wg.Go(func() {
					var err error
					if groups[i], err = devices[i].Join(cuda.GroupOptions{ID: id, Rank: i, Size: 2, Timeout: c.timeout}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if t.Failed() {
				return
			}
			m.Set(c.begin...)
			done := make(chan error)
			go func() { done <- groups[0].SumFloat64(make([]float64, 3)) }()
			time.AfterFunc(20*time.Millisecond, func() { c.end(groups[0]) })
			if err := <-done; !errors.Is(err, cuda.ErrGroup) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("member 0: %v, want ErrGroup with %q", err, c.says)
			}
			if err := groups[0].SumFloat64(make([]float64, 3)); !errors.Is(err, cuda.ErrGroup) {
				t.Errorf("once more: %v", err)
			}
			// The other one learns of it, at the latest where the first one hasn't brought anything.
			first := groups[1].SumFloat64(make([]float64, 3))
			if err := groups[1].SumFloat64(make([]float64, 3)); !errors.Is(err, cuda.ErrGroup) {
				t.Errorf("member 1: %v, then %v", first, err)
			}
			for _, d := range devices {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestGroupOfOne trains on one GPU through NCCL, with its sums in the captured step. A real GPU can do that too.
func TestGroupOfOne(t *testing.T) {
	m := sim.Start(t)
	if m.Simulated() {
		defer cuda.SetFewestSummed(500)()
	}
	config := groupRecipe()
	want := trainedWeights(t, open(strict)(t), lockstep.Everything(), config)
	got := trainedWeights(t, group(t, 1, strict), lockstep.Everything(), config)
	approx.Check(t, "weights", got, wide(want), approx.Tolerance{Abs: 1e-4}) // batch normalisation rounds otherwise
}

// TestGroupOnOneGPU trains with two members on one real GPU, which NCCL allows from 2.30.3 on. Or else on two, if there are
// two.
func TestGroupOnOneGPU(t *testing.T) {
	m := sim.Start(t)
	if m.Simulated() {
		t.Skip("TestGroupTraining has several simulated GPUs")
	}
	found := driver.Describe()
	members := []int{0, 1}
	if len(found.Devices) < 2 {
		if found.NCCL.Version.Less(driver.Version{Major: 2, Minor: 30, Patch: 3}) {
			t.Skipf("there is one GPU, and NCCL %v allows one member on each", found.NCCL.Version)
		}
		t.Setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1")
		members = []int{0, 0}
	}
	config := groupRecipe()
	want := trainedWeights(t, open(strict)(t), lockstep.Everything(), config)
	got := trainedWeights(t, groupOn(t, members, strict), lockstep.Everything(), config)
	approx.Check(t, "weights", got, wide(want), approx.Tolerance{Abs: 1e-4})
}

// TestGroupCounts counts what a step of a group does: a sum for each turn, of all gradients, and two for each batch
// normalisation; no other, and no synchronisation.
func TestGroupCounts(t *testing.T) {
	small := &net.Network{Name: "small", Input: net.Shape{C: 2, H: 4, W: 4}, Layers: []net.Layer{
		&net.Conv{Filters: 4, Kernel: net.Square(3)}, &net.BatchNorm{}, &net.Activation{Func: net.ReLU}, &net.Flatten{}, &net.Dense{Units: 300}, &net.Dense{Units: 3}}}
	resnet18, ok := net.ModelNamed("resnet18")
	if !ok {
		t.Fatal("no model resnet18")
	}
	large := resnet18.Network()
	for _, c := range []struct {
		network      *net.Network
		members      int
		fewest, most int // gradients of a turn; turns
		long         bool
	}{{small, 2, 1000, 2, false}, {small, 3, 1000, 2, false}, {large, 2, 2 << 20, 6, true}} {
		t.Run(fmt.Sprintf("%s on %d", c.network.Name, c.members), func(t *testing.T) {
			if c.long && !long() {
				t.Skip("its steps take a minute in the simulator: make cuda-long")
			}
			defer cuda.SetFewestSummed(c.fewest)()
			m := startGroup(t, c.members)
			d := group(t, c.members, strict)
			defer closeDevice(t, d)
			options := net.Options{Batch: c.members, Seed: 1, Optimizer: net.SGDDefault(0.01)}
			p, err := d.Compile(c.network, options)
			if err != nil {
				t.Fatal(err)
			}
			data := devicetest.RandomData(7, c.network.Input, 3, c.members)
			step := func() {
				t.Helper()
				indices := make([]int32, c.members)
				for i := range indices {
					indices[i] = int32(i)
				}
				if err := p.Step(net.Batch{Data: data, Indices: indices}); err != nil {
					t.Fatal(err)
				}
			}
			counted := func(steps int) map[string]int64 {
				before := m.Counters()
				for range steps {
					step()
				}
				queued := m.Counters()
				if _, err := p.TakeMetrics(); err != nil {
					t.Fatal(err)
				}
				after := m.Counters()
				for name, n := range before {
					after[name] -= n
				}
				after["synchronisations of steps"] = queued["synchronisations"] - before["synchronisations"]
				return after
			}
			counted(3) // makes and captures
			idle, busy := counted(0), counted(2)
			plan := p.Plan()
			turns := cuda.Turns(lower.Lower(plan, cuda.Fuser{}), options.Optimizer, c.members)
			sums, bytes := int64(len(turns)), int64(0)
			for _, q := range plan.Trained() {
				bytes += 4 * int64((q.Size()+63)/64*64) // each begins at a multiple of 256 bytes
			}
			parameters := bytes
			for _, node := range plan.Nodes {
				if _, is := node.Layer.(*net.BatchNorm); is {
					sums += 2
					bytes += int64(8*(2*node.In.C+1) + 4*2*node.In.C)
				}
			}
			t.Logf("%d turns, %d sums and %d bytes a step, of which gradients %d; of %d parameters", len(turns), sums, bytes, parameters, plan.Parameters())
			if len(turns) < 2 || len(turns) > c.most {
				t.Errorf("the turns begin at %v, want 2 to %d of them", turns, c.most)
			}
			steps := 2 * int64(c.members)
			for what, want := range map[string]int64{"nccl": steps * sums, "nccl.bytes": steps * bytes, "graph launches": steps, "call.ncclAllReduce": 0, "synchronisations of steps": 0} {
				if got := busy[what] - idle[what]; got != want {
					t.Errorf("%s: %d, want %d", what, got, want)
				}
			}
		})
	}
}

// TestGroupLocalStatistics: see lockstep.CheckLocalStatistics.
func TestGroupLocalStatistics(t *testing.T) {
	startGroup(t, 2)
	lockstep.CheckLocalStatistics(t, open(strict)(t), group(t, 2, strict))
}

// TestGroupEndsInTraining: if a member stops while steps are graphs, the others get an error, and can close all.
func TestGroupEndsInTraining(t *testing.T) {
	startGroup(t, 2)
	id, err := cuda.NewUniqueID()
	if err != nil {
		t.Fatal(err)
	}
	n, config := lockstep.Everything(), groupRecipe()
	batch := net.Batch{Data: config.Train, Indices: []int32{0, 1, 2, 3, 4}}
	var wg sync.WaitGroup
	var stops sync.WaitGroup
	stops.Add(1)
	for i := range 2 {
		wg.Go(func() {
			o := strict
			o.Index = i
			own, err := cuda.Open(o)
			if err != nil {
				t.Error(err)
				return
			}
			defer closeDevice(t, own)
			g, err := own.Join(cuda.GroupOptions{ID: id, Rank: i, Size: 2, Timeout: 200 * time.Millisecond})
			if err != nil {
				t.Error(err)
				return
			}
			p, err := parallel.New(own, g).Compile(n, config.Options())
			if err != nil {
				t.Error(err)
				return
			}
			for range 4 { // the first runs kernel by kernel
				if err := p.Step(batch); err != nil {
					t.Error(err)
					return
				}
				if _, err := parallel.Own(p).TakeMetrics(); err != nil {
					t.Error(err)
					return
				}
			}
			if i == 1 {
				stops.Wait() // it makes no further step
				return
			}
			defer stops.Done()
			err = p.Step(batch)
			if err == nil {
				_, err = parallel.Own(p).TakeMetrics()
			}
			if !errors.Is(err, cuda.ErrGroup) {
				t.Errorf("a step without the other member: %v", err)
			}
			if err := p.Step(batch); !errors.Is(err, cuda.ErrGroup) {
				t.Errorf("one more: %v", err)
			}
		})
	}
	wg.Wait()
}

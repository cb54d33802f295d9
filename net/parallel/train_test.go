package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/parallel"
	"github.com/gputrain/gputrain/net/parallel/lockstep"
)

// run is what one member trains by.
type run struct {
	net.Config
	network *net.Network
	fails   int  // the number of updates after which the device is lost; 0: never
	errs    bool // the device computes wrong weights
}

// erring is a device that computes wrong weights.
type erring struct{ net.Device }

func (d erring) Compile(n *net.Network, o net.Options) (net.Program, error) {
	p, err := d.Device.Compile(n, o)
	return erringProgram{p.(net.GroupProgram)}, err
}

type erringProgram struct{ net.GroupProgram }

func (p erringProgram) State() (net.State, error) {
	st, err := p.GroupProgram.State()
	st.Params["stem.weight"].Float32s()[0]++
	return st, err
}

// failing is a device that is lost after some updates.
type failing struct {
	net.Device
	updates int
}

func (d failing) Compile(n *net.Network, o net.Options) (net.Program, error) {
	p, err := d.Device.Compile(n, o)
	return &failingProgram{p.(net.GroupProgram), d.updates}, err
}

type failingProgram struct {
	net.GroupProgram
	left int
}

func (p *failingProgram) StepShare(b net.Batch, s net.Share) error {
	if p.left--; p.left < 0 {
		return errors.New("the device is lost")
	}
	return p.GroupProgram.StepShare(b, s)
}

// config returns a recipe of some 50 steps. Its last mini-batch has 3 samples: fewer than
// four members.
func config(t *testing.T) run {
	t.Helper()
	data := devicetest.RandomData(7, net.Shape{C: 3, H: 8, W: 8}, 5, 203)
	validation := devicetest.RandomData(8, net.Shape{C: 3, H: 8, W: 8}, 5, 33)
	o := net.SGDDefault(0.05)
	o.Momentum, o.Nesterov, o.WeightDecay, o.ClipNorm = 0.9, true, 0.01, 1
	o.Groups = []net.Group{{Params: net.HiddenMatrices, Rule: net.Rule{Method: net.Muon, LearningRate: 0.02, Momentum: 0.8, Iterations: 3}}}
	r := net.Recipe{
		Epochs: 5, Batch: 20, Seed: 3, Optimizer: o, Average: 0.9, Loss: net.Criterion{Smoothing: 0.1},
		Augment: net.Augment{Crop: 1, Flip: net.RandomFlip, Mixup: 0.4},
	}
	return run{Config: net.Config{Recipe: r, Train: data, Validation: validation, Interval: 1}, network: lockstep.Everything()}
}

// train trains on members goroutines; 0 is one device alone. change may change what a member
// trains by. It returns the members' results, errors and states.
func train(t *testing.T, members int, base run, change func(rank int, r *run) context.Context) ([]net.Result, []error, []net.State) {
	t.Helper()
	group := parallel.Local(max(1, members))
	results, errs, states := make([]net.Result, len(group)), make([]error, len(group)), make([]net.State, len(group))
	var wg sync.WaitGroup
	for i, m := range group {
		r, ctx := base, context.Background()
		if change != nil {
			if c := change(i, &r); c != nil {
				ctx = c
			}
		}
		wg.Go(func() {
			defer func() {
				if errs[i] != nil {
					m.Leave()
				}
			}()
			d, err := cpu.New(cpu.Options{Threads: 1})
			if err != nil {
				errs[i] = err
				return
			}
			if r.fails > 0 {
				d = failing{d, r.fails}
			}
			if r.errs {
				d = erring{d}
			}
			if members > 0 {
				d = parallel.New(d, m)
			}
			defer d.Close()
			p, err := d.Compile(r.network, r.Options())
			if err != nil {
				errs[i] = err
				return
			}
			results[i], errs[i] = net.Train(ctx, p, r.Config)
			if states[i], err = p.State(); err != nil {
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	wg.Wait()
	return results, errs, states
}

// TestTrain: groups of one to four learn what one device does, with augmentation, dropout,
// batch normalisation, clipping, and mini-batches that can't be divided.
func TestTrain(t *testing.T) {
	base := config(t)
	plan, err := base.network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	for _, accumulate := range []int{0, 2} {
		base.Recipe.Accumulate = accumulate
		alone, errs, want := train(t, 0, base, nil)
		if errs[0] != nil {
			t.Fatal(errs[0])
		}
		for members := 1; members <= 4; members++ {
			results, errs, got := train(t, members, base, nil)
			if err := errors.Join(errs...); err != nil {
				t.Fatalf("%d members: %v", members, err)
			}
			for i := range got {
				if !lockstep.SameBits(got[i], got[0]) {
					t.Errorf("%d members: member %d has other weights than member 0", members, i)
				}
				approx.Check(t, fmt.Sprintf("weights of %d members", members), lists(plan, got[i]), lists(plan, want[0]), approx.Tolerance{Abs: 1e-4})
				for e, r := range results[i].Epochs {
					w := alone[0].Epochs[e]
					approx.Check(t, "cost and validation loss", []float64{r.Cost, r.Validation.Loss}, []float64{w.Cost, w.Validation.Loss}, approx.Tolerance{Rel: 1e-4})
				}
			}
			_, _, again := train(t, members, base, nil)
			if !lockstep.SameBits(again[0], got[0]) {
				t.Errorf("%d members: a second run gives other bytes", members)
			}
		}
	}
}

// TestResume: a run that one member's context ends, after some steps, goes on with another
// number of members as if never interrupted.
func TestResume(t *testing.T) {
	base := config(t)
	plan, err := base.network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	_, errs, want := train(t, 3, base, nil)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ first, ends, then int }{{3, 0, 1}, {3, 2, 4}, {1, 0, 3}} {
		dir := t.TempDir()
		saving := base
		saving.Saving.EverySteps = 7
		results, errs, _ := train(t, c.first, saving, func(rank int, r *run) context.Context {
			if rank == 0 {
				r.Saving.Dir = dir
			}
			ctx, cancel := context.WithCancel(context.Background())
			r.Observers = []net.Observer{net.ObserverFunc(func(e net.Event) error {
				if p, ok := e.(net.Progress); ok && rank == c.ends && p.Epoch == 2 && p.Step == 4 {
					cancel()
				}
				return nil
			})}
			return ctx
		})
		for i, err := range errs {
			var stopped *net.StoppedError
			if !errors.As(err, &stopped) || !errors.Is(err, context.Canceled) || stopped.Epoch != 2 || stopped.Step < 4 || stopped.Step > 6 {
				t.Errorf("member %d ends with %v, want a stop in epoch 2 after about 4 steps", i, err)
			}
		}
		if results[0].Last != filepath.Join(dir, net.LastCheckpoint) {
			t.Errorf("member 0 has written %q", results[0].Last)
		}
		resumed := base
		if resumed.Resume, err = net.LoadCheckpoint(filepath.Join(dir, net.LastCheckpoint)); err != nil {
			t.Fatal(err)
		}
		_, errs, got := train(t, c.then, resumed, nil)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		approx.Check(t, "weights of a run that went on", lists(plan, got[0]), lists(plan, want[0]), approx.Tolerance{Abs: 1e-4})
	}
}

// TestFailures: what happens to one member ends the run on all of them, with errors that say
// whose it was.
func TestFailures(t *testing.T) {
	broken := errors.New("broken")
	at := func(epoch, step int, f func() error) []net.Observer {
		return []net.Observer{net.ObserverFunc(func(e net.Event) error {
			if p, ok := e.(net.Progress); ok && p.Epoch == epoch && p.Step == step {
				return f()
			}
			return nil
		})}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var peer *net.PeerError
	other := func(rank int) func(error) bool {
		return func(err error) bool { return errors.As(err, &peer) && peer.Rank == rank }
	}
	says := func(parts ...string) func(error) bool {
		return func(err error) bool {
			for _, part := range parts {
				if err == nil || !strings.Contains(err.Error(), part) {
					return false
				}
			}
			return true
		}
	}
	for _, c := range []struct {
		name           string
		change         func(rank int, r *run)
		zero, one, two func(error) bool
	}{
		{"an observer", func(rank int, r *run) {
			if rank == 1 {
				r.Observers = at(1, 3, func() error { return broken })
			}
		}, other(1), says("broken"), other(1)},
		{"a folder that can't be", func(rank int, r *run) {
			if rank == 0 {
				r.Saving.Dir = file
			}
		}, says("checkpoint folder"), other(0), other(0)},
		{"a folder that is gone", func(rank int, r *run) {
			if dir := t.TempDir(); rank == 0 {
				r.Saving.Dir = filepath.Join(dir, "run")
				r.Saving.EverySteps = 5
				r.Observers = at(1, 2, func() error { return errors.Join(os.RemoveAll(r.Saving.Dir), os.WriteFile(r.Saving.Dir, nil, 0o644)) })
			}
		}, says("step 5"), other(0), other(0)},
		{"other data", func(rank int, r *run) {
			if rank == 2 {
				r.Train = devicetest.RandomData(9, net.Shape{C: 3, H: 8, W: 8}, 5, 203)
			}
		}, other(2), other(2), says("another training data than member 0")},
		{"another recipe", func(rank int, r *run) {
			if rank == 1 {
				r.Recipe.Epochs++
			}
		}, other(1), says("another recipe than member 0"), other(1)},
		{"another network", func(rank int, r *run) {
			if rank == 1 {
				r.network = lockstep.Everything()
				r.network.Name = "other"
			}
		}, other(1), says("another network than member 0"), other(1)},
		{"another checkpoint", func(rank int, r *run) {
			if rank == 1 {
				r.Resume = &net.Checkpoint{Position: net.Position{Epoch: 1}}
			}
		}, other(1), says(`another checkpoint to go on from than member 0: "after 1 epochs and 0 steps", there "none"`), other(1)},
		{"no such network", func(rank int, r *run) {
			if rank == 1 {
				r.network = &net.Network{}
			}
		}, other(1), says("input shape"), other(1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errs, _ := train(t, 3, config(t), func(rank int, r *run) context.Context { c.change(rank, r); return nil })
			for rank, want := range []func(error) bool{c.zero, c.one, c.two} {
				if !want(errs[rank]) {
					t.Errorf("member %d ends with: %v", rank, errs[rank])
				}
			}
		})
	}
}

// TestBroken: a member that loses its device says that the others don't know. They learn it
// when it leaves.
func TestBroken(t *testing.T) {
	_, errs, _ := train(t, 3, config(t), func(rank int, r *run) context.Context {
		if rank == 1 {
			r.fails = 5
		}
		return nil
	})
	for rank, err := range errs {
		want := "member 1 has left"
		if rank == 1 {
			want = "the device is lost"
		}
		var broken *net.BrokenError
		if !errors.As(err, &broken) || !strings.Contains(err.Error(), want) {
			t.Errorf("member %d ends with %v, want a BrokenError with %q", rank, err, want)
		}
	}
}

// TestWrongWeights: nothing is saved if one member has other weights.
func TestWrongWeights(t *testing.T) {
	dir := t.TempDir()
	_, errs, _ := train(t, 3, config(t), func(rank int, r *run) context.Context {
		if r.errs = rank == 1; rank == 0 {
			r.Saving.Dir = dir
		}
		return nil
	})
	for rank, err := range errs {
		var peer *net.PeerError
		if rank == 1 && (err == nil || !strings.Contains(err.Error(), "weights differ from those of member 0")) || rank != 1 && (!errors.As(err, &peer) || peer.Rank != 1) {
			t.Errorf("member %d ends with %v", rank, err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("there are files %v, %v", files, err)
	}
}

// TestLeave: members whose group has lost one get an error; they don't wait for it.
func TestLeave(t *testing.T) {
	group := parallel.Local(3)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range 2 {
		wg.Go(func() { errs[i] = group[i].SumFloat64([]float64{1}) })
	}
	group[2].Leave()
	wg.Wait()
	errs[2] = group[0].Broadcast(make([]byte, 3))
	for _, err := range errs {
		if err == nil || !strings.Contains(err.Error(), "member 2 has left") {
			t.Errorf("got %v, want that member 2 has left", err)
		}
	}
}

// TestDifferentCalls: members that don't make the same call get an error.
func TestDifferentCalls(t *testing.T) {
	for _, second := range []func(m net.Communicator) error{
		func(m net.Communicator) error { return m.SumFloat64(make([]float64, 4)) },
		func(m net.Communicator) error { return m.SumFloat32(make([]float32, 3)) },
		func(m net.Communicator) error { return m.Broadcast(make([]byte, 3)) },
	} {
		group := parallel.Local(2)
		var wg sync.WaitGroup
		errs := make([]error, 2)
		wg.Go(func() { errs[0] = group[0].SumFloat64(make([]float64, 3)) })
		wg.Go(func() { errs[1] = second(group[1]) })
		wg.Wait()
		for _, err := range errs {
			if err == nil || !strings.Contains(err.Error(), "calls differ") {
				t.Errorf("got %v, want that the calls differ", err)
			}
		}
	}
}

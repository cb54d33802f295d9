package net_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// accumulatingRun makes an update of four mini-batches of 4: an epoch has updates
// of 16, 16 and 10 samples.
func accumulatingRun() net.Config {
	cfg := smallRun()
	cfg.Recipe.Batch, cfg.Recipe.Accumulate = 4, 4
	return cfg
}

// TestAccumulateHandsOutShares holds what the device is given to the shuffle.
func TestAccumulateHandsOutShares(t *testing.T) {
	for _, c := range []struct {
		samples int
		batches []int       // their samples, of an epoch
		shares  []net.Share // of those that don't make an update alone
		updates int         // of several mini-batches
		steps   int         // all updates
	}{
		{42, []int{4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 2}, []net.Share{
			{First: 0, Total: 16}, {First: 4, Total: 16}, {First: 8, Total: 16}, {First: 12, Total: 16},
			{First: 0, Total: 16}, {First: 4, Total: 16}, {First: 8, Total: 16}, {First: 12, Total: 16},
			{First: 0, Total: 10}, {First: 4, Total: 10}, {First: 8, Total: 10},
		}, 3, 3},
		// The last update has one mini-batch, so it is a plain step.
		{19, []int{4, 4, 4, 4, 3}, []net.Share{
			{First: 0, Total: 16}, {First: 4, Total: 16}, {First: 8, Total: 16}, {First: 12, Total: 16},
		}, 1, 2},
		{3, []int{3}, nil, 0, 1},
	} {
		cfg := accumulatingRun()
		cfg.Train, cfg.Recipe.Epochs = stripes("train", c.samples, 1), 2
		if got := cfg.Recipe.StepsPerEpoch(c.samples); got != c.steps {
			t.Errorf("%d samples: %d steps an epoch, want %d", c.samples, got, c.steps)
		}
		if got, want := cfg.Options().Batch, min(4, c.samples); got != want {
			t.Errorf("%d samples: compiled for mini-batches of %d, want %d", c.samples, got, want)
		}
		var log recorder
		cfg.Observers = []net.Observer{&log}
		p := &counting{Program: compile(t, cfg)}
		if _, err := net.Train(t.Context(), p, cfg); err != nil {
			t.Fatal(err)
		}
		if got := only[net.Started](&log)[0].StepsPerEpoch; got != c.steps {
			t.Errorf("%d samples: told of %d steps an epoch, want %d", c.samples, got, c.steps)
		}
		st, err := p.State()
		if err != nil || st.Step != int64(2*c.steps) || p.updates != 2*c.updates {
			t.Errorf("%d samples: %d steps, %d of them updates (%v); want %d and %d", c.samples, st.Step, p.updates, err, 2*c.steps, 2*c.updates)
		}
		if want := append(slices.Clone(c.shares), c.shares...); !slices.Equal(p.shares, want) {
			t.Errorf("%d samples: shares %v, want %v", c.samples, p.shares, want)
		}
		order := make([]int32, c.samples)
		for epoch := range 2 {
			net.Shuffle(cfg.Recipe.Seed, epoch, order)
			var seen []int32
			for i, n := range c.batches {
				b := p.batches[epoch*len(c.batches)+i]
				if len(b) != n {
					t.Errorf("%d samples: mini-batch %d has %d, want %d", c.samples, i, len(b), n)
				}
				seen = append(seen, b...)
			}
			if !slices.Equal(seen, order) {
				t.Errorf("%d samples: epoch %d visits %v, want %v", c.samples, epoch, seen, order)
			}
		}
	}
}

// TestAccumulateEqualsTheLargeBatch, dropout and clipping too. Batch normalisation
// alone sees the mini-batches.
func TestAccumulateEqualsTheLargeBatch(t *testing.T) {
	n := small()
	n.Layers = slices.Delete(n.Layers, 1, 2)
	run := func(batch, accumulate int) (net.Result, *net.Checkpoint) {
		cfg := accumulatingRun()
		cfg.Recipe.Batch, cfg.Recipe.Accumulate = batch, accumulate
		cfg.Recipe.Optimizer = net.Optimizer{Rule: net.Rule{Method: net.SGD, LearningRate: 0.1, Momentum: 0.9}, ClipNorm: 0.5}
		cfg.Saving.Dir = t.TempDir()
		r, err := net.Train(t.Context(), compileNetwork(t, n, cfg.Options()), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return r, load(t, r.Last)
	}
	result, want := run(16, 0)
	for _, c := range []struct{ batch, accumulate int }{{16, 1}, {8, 2}, {4, 4}, {1, 16}} {
		parts, got := run(c.batch, c.accumulate)
		for name, w := range want.State.Params {
			// Gradients are sums of float64 in another order; the weights are rounded to
			// float32 after each of 12 updates.
			approx.Check(t, name, got.State.Params[name].Float32s(), w.Float32s(), approx.Tolerance{Abs: 1e-6})
		}
		for i, e := range result.Epochs {
			g := parts.Epochs[i]
			approx.Check(t, "figures", []float64{g.Cost, g.Accuracy, g.Test.Loss}, []float64{e.Cost, e.Accuracy, e.Test.Loss}, approx.Tolerance{Abs: 1e-5})
		}
	}
	_, got := run(4, 2)
	if r := approx.Compare(got.State.Params["dense1.weight"].Float32s(), want.State.Params["dense1.weight"].Float32s(), approx.Tolerance{Abs: 1e-3}); r.OK {
		t.Error("updates of 8 samples give what updates of 16 do")
	}
}

// TestAccumulatedRunsResume stops after each update of a run.
func TestAccumulatedRunsResume(t *testing.T) {
	whole := accumulatingRun()
	whole.Recipe.Epochs, whole.Test = 2, nil
	whole.Saving.Dir = t.TempDir()
	want := load(t, train(t, whole).Last)
	for stopAt := 1; stopAt < 6; stopAt++ {
		cfg := whole
		cfg.Saving.Dir = t.TempDir()
		cfg.Interval = 1
		ctx, cancel := context.WithCancel(t.Context())
		cfg.Observers = []net.Observer{net.ObserverFunc(func(e net.Event) error {
			if p, ok := e.(net.Progress); ok && (p.Epoch-1)*3+p.Step == stopAt {
				cancel()
			}
			return nil
		})}
		_, err := net.Train(ctx, compile(t, cfg), cfg)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at %d: error %v", stopAt, err)
		}
		cfg.Resume, cfg.Observers = load(t, cfg.Saving.Dir), nil
		if p := cfg.Resume.Position; p.Epoch*3+p.Step != stopAt || p.Samples != []int64{0, 16, 32, 42}[p.Step] {
			t.Errorf("stopped at %d: the checkpoint is at %+v", stopAt, p)
		}
		sameState(t, "resumed", load(t, train(t, cfg).Last), want)
	}

	cfg := whole
	cfg.Resume = want
	for accumulate, says := range map[int]string{
		0: "accumulate 4, not 1", 1: "accumulate 4, not 1", 5: "accumulate 4, not 5", 4: "",
	} {
		cfg.Recipe.Accumulate = accumulate
		_, err := net.Train(t.Context(), compile(t, cfg), cfg)
		if says == "" && err != nil || says != "" && (!errors.Is(err, net.ErrResume) || !strings.Contains(err.Error(), says)) {
			t.Errorf("resumed with %d: error %v, want %q", accumulate, err, says)
		}
	}
	// One mini-batch is what no number means.
	plain := smallRun()
	plain.Recipe.Epochs = 1
	plain.Saving.Dir = t.TempDir()
	plain.Resume = load(t, train(t, plain).Last)
	plain.Recipe.Accumulate = 1
	if _, err := net.Train(t.Context(), compile(t, plain), plain); err != nil {
		t.Error(err)
	}
}

func TestForeignProgramIsRefused(t *testing.T) {
	for name, change := range map[string]func(*net.Options){
		"batch":     func(o *net.Options) { o.Batch++ },
		"seed":      func(o *net.Options) { o.Seed++ },
		"optimiser": func(o *net.Options) { o.Optimizer.LearningRate *= 2 },
		"schedule":  func(o *net.Options) { o.Optimizer.Schedule.Total++ },
	} {
		cfg := smallRun()
		cfg.Recipe.Optimizer.Schedule.Method = net.CosineRate
		opts := cfg.Options()
		change(&opts)
		_, err := net.Train(t.Context(), compileNetwork(t, small(), opts), cfg)
		if err == nil || !strings.Contains(err.Error(), "compiled with other options") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestWhiteningOfTheTrainingSet compiles with the run's options, trains, and
// resumes on a program that has begun from no images.
func TestWhiteningOfTheTrainingSet(t *testing.T) {
	n := small()
	n.Layers[0].(*net.Conv).WeightInit = net.Initializer{Method: net.Whitening}
	cfg := smallRun()
	cfg.Saving.Dir = filepath.Join(t.TempDir(), "run")
	p := compileNetwork(t, n, cfg.Options())
	if p.Options().Images != nil {
		t.Error("the program keeps the images")
	}
	weight := func(s net.State) []float32 { return s.Params["conv1.weight"].Float32s() }
	st, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(weight(st), weight(net.InitialState(p.Plan(), 3, cfg.Train))) {
		t.Error("the filters are not those of the training set")
	}
	if slices.Equal(weight(st), weight(net.InitialState(p.Plan(), 3, nil))) || slices.Equal(weight(st), weight(net.InitialState(p.Plan(), 3, cfg.Test))) {
		t.Error("the filters don't depend on the images")
	}
	done, err := net.Train(t.Context(), p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := load(t, done.Last)
	half := cfg
	half.Saving.Dir = t.TempDir()
	half.Recipe.Epochs = 2
	if done, err = net.Train(t.Context(), compileNetwork(t, n, half.Options()), half); err != nil {
		t.Fatal(err)
	}
	half.Resume, half.Recipe.Epochs = load(t, done.Last), cfg.Recipe.Epochs
	without := half.Options()
	without.Images = nil
	if done, err = net.Train(t.Context(), compileNetwork(t, n, without), half); err != nil {
		t.Fatal(err)
	}
	sameState(t, "resumed", load(t, done.Last), want)

	// Images that don't fit the network are refused by Train, not by a panic before.
	cfg.Train = stripes("short", 42, 1)
	cfg.Train.Shape, cfg.Train.Pixels = net.Shape{C: 1, H: 2, W: 4}, cfg.Train.Pixels[:42*8]
	if _, err := net.Train(t.Context(), compileNetwork(t, n, cfg.Options()), cfg); err == nil || !strings.Contains(err.Error(), "samples of 1 x 2 x 4") {
		t.Errorf("images of another shape: error %v", err)
	}
}

// TestEvaluationLeavesTrainingSumsAlone evaluates between two steps.
func TestEvaluationLeavesTrainingSumsAlone(t *testing.T) {
	cfg := smallRun()
	p, alone := compile(t, cfg), compile(t, cfg)
	b := net.Batch{Data: cfg.Train, Indices: []int32{1, 2, 3, 4}}
	var score net.Metrics
	for range 2 {
		for _, q := range []net.Program{p, alone} {
			if err := q.Step(b); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if score, err = p.Evaluate(net.Batch{Data: cfg.Test, Indices: []int32{0, 1, 2, 3, 4, 5, 6}}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := p.TakeMetrics()
	if err != nil {
		t.Fatal(err)
	}
	want, err := alone.TakeMetrics()
	if err != nil {
		t.Fatal(err)
	}
	if got != want || got.Samples != 8 || score.Samples != 7 {
		t.Errorf("sums of training are %+v, without evaluations %+v; the score %+v", got, want, score)
	}
}

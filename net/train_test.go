package net_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// small is a network of a few weights in which everything that has a state of
// its own takes part: dropout, running statistics, Adam's moments.
func small() *net.Network {
	return &net.Network{Name: "small", Input: net.Shape{C: 1, H: 4, W: 4}, Layers: []net.Layer{
		&net.Conv{Filters: 2, Kernel: net.Square(3), Padding: net.PadSame},
		&net.BatchNorm{}, &net.Activation{Func: net.ReLU}, &net.Dropout{Rate: 0.25},
		&net.Flatten{}, &net.Dense{Units: 3},
	}}
}

// stripes makes n noisy images, bright in the row of their class.
func stripes(name string, n int, seed uint64) *net.Dataset {
	rng := rand.New(rand.NewPCG(seed, 1))
	d := &net.Dataset{Name: name, Shape: net.Shape{C: 1, H: 4, W: 4}, Classes: 3, Scale: 1. / 255}
	for range n {
		label := rng.IntN(3)
		d.Labels = append(d.Labels, int32(label))
		for i := range 16 {
			d.Pixels = append(d.Pixels, uint8(rng.IntN(150)))
			if i/4 == label {
				d.Pixels[len(d.Pixels)-1] += 105
			}
		}
	}
	return d
}

// smallRun has 5 steps an epoch, the last of 2 samples.
func smallRun() net.Config {
	return net.Config{
		Recipe:     net.Recipe{Epochs: 4, Batch: 10, Optimizer: net.AdamDefault(0.01), Seed: 3},
		Train:      stripes("train", 42, 1),
		Validation: stripes("validation", 20, 2),
		Test:       stripes("test", 1001, 3),
		Device:     "reference",
		Interval:   2,
	}
}

// compile compiles small for a run.
func compile(t testing.TB, cfg net.Config) net.Program {
	t.Helper()
	return compileNetwork(t, small(), cfg.Options())
}

func compileNetwork(t testing.TB, n *net.Network, opts net.Options) net.Program {
	t.Helper()
	p, err := reference.New().Compile(n, opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// train runs cfg to its end.
func train(t testing.TB, cfg net.Config) net.Result {
	t.Helper()
	r, err := net.Train(t.Context(), compile(t, cfg), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// recorder keeps all events; at fails on the one that it matches.
type recorder struct {
	events []net.Event
	fail   func(net.Event) bool
}

var errFull = errors.New("log disk full")

func (r *recorder) Observe(e net.Event) error {
	r.events = append(r.events, e)
	if r.fail != nil && r.fail(e) {
		return errFull
	}
	return nil
}

// only returns the events of one type.
func only[E net.Event](r *recorder) []E {
	var out []E
	for _, e := range r.events {
		if e, ok := e.(E); ok {
			out = append(out, e)
		}
	}
	return out
}

func TestTrainLearns(t *testing.T) {
	cfg := smallRun()
	cfg.Recipe.Epochs, cfg.Train = 8, stripes("train", 400, 1)
	r := train(t, cfg)
	first, last := r.Epochs[0], r.Epochs[len(r.Epochs)-1]
	if last.Test.Accuracy < 0.9 || last.Cost > first.Cost/2 || len(r.Epochs) != 8 || r.EarlyStopped {
		t.Errorf("from %+v (%+v) to %+v (%+v)", first, first.Test, last, last.Test)
	}
	if r.Last != "" || r.BestPath != "" {
		t.Errorf("checkpoints %q and %q without a folder", r.Last, r.BestPath)
	}
}

func TestTrainEvents(t *testing.T) {
	cfg := smallRun()
	cfg.Recipe.Epochs = 2
	cfg.Saving = net.Saving{Dir: filepath.Join(t.TempDir(), "made", "on demand"), EverySteps: 3}
	var log recorder
	cfg.Observers = []net.Observer{&log}
	r := train(t, cfg)

	var kinds []string
	for _, e := range log.events {
		kinds = append(kinds, e.Kind())
		b, err := json.Marshal(e)
		if err != nil || bytes.Contains(b, []byte(`:null`)) {
			t.Errorf("%s as JSON: %s (%v)", e.Kind(), b, err)
		}
	}
	// Steps 3, 6 and 9 of the run are due; the second epoch may be the best or not.
	want := "started progress checkpoint progress progress epoch checkpoint checkpoint" +
		" checkpoint progress progress checkpoint progress epoch checkpoint"
	if last := only[net.EpochDone](&log)[1]; last.Best {
		want += " checkpoint"
	}
	if got := strings.Join(kinds, " "); got != want+" done" {
		t.Errorf("events are\n%s, want\n%s done", got, want)
	}
	started := only[net.Started](&log)[0]
	if started.Train != 42 || started.Validation != 20 || started.Test != 1001 || started.StepsPerEpoch != 5 ||
		started.Weights != 20+4+99 || started.Network != "small" || !reflect.DeepEqual(started.Recipe, cfg.Recipe) || started.Resumed != nil {
		t.Errorf("started: %+v", started)
	}
	var steps []int
	for _, p := range only[net.Progress](&log) {
		steps = append(steps, p.Epoch*10+p.Step)
		if p.Steps != 5 || p.LearningRate != 0.01 || !(p.Loss > 0) || !(p.Accuracy >= 0 && p.Accuracy <= 1) || !(p.ImagesPerSecond >= 0) {
			t.Errorf("progress: %+v", p)
		}
	}
	if !slices.Equal(steps, []int{12, 14, 15, 22, 24, 25}) {
		t.Errorf("progress at %v", steps)
	}
	for i, e := range only[net.EpochDone](&log) {
		if e.Epoch != i+1 || !reflect.DeepEqual(e.EpochResult, r.Epochs[i]) || !(e.Seconds > 0) || !(e.ImagesPerSecond > 0) {
			t.Errorf("epoch: %+v", e)
		}
	}
	for _, s := range only[net.CheckpointSaved](&log) {
		name := net.LastCheckpoint
		if s.Reason == net.AtBest {
			name = net.BestCheckpoint
		}
		if s.Path != filepath.Join(cfg.Saving.Dir, name) || (s.Reason == net.AtPeriod) != (s.Step != 0) {
			t.Errorf("checkpoint: %+v", s)
		}
	}
	if done := only[net.Done](&log)[0]; done.Last != r.Last || len(done.Epochs) != 2 || r.Last == "" || r.BestPath == "" {
		t.Errorf("done: %+v, result %+v", done, r)
	}
}

// counting is a program that adds nothing but notes of what it was given.
type counting struct {
	net.Program
	batches  [][]int32                                   // of Step and Gradients
	shares   []net.Share                                 // of Gradients
	updates  int                                         // calls of Update
	metrics  func(net.Metrics, *net.Dataset) net.Metrics // changes what TakeMetrics returns and, with its data set, what Evaluate does
	state    func(net.State)                             // changes what State returns
	step     func(n int) error                           // before step n, from 1
	evaluate func(net.Batch)                             // before an evaluation
	swaps    int                                         // calls of SwapAverage
	swap     func() error                                // instead of a call of SwapAverage, where it fails
	// evaluateErr fails an evaluation.
	evaluateErr func(net.Batch) error
	infer       func(net.Batch) // before an inference
}

func (p *counting) SwapAverage() error {
	p.swaps++
	if p.swap != nil {
		if err := p.swap(); err != nil {
			return err
		}
	}
	return p.Program.SwapAverage()
}

func (p *counting) Infer(b net.Batch) (*tensor.Dense, error) {
	if p.infer != nil {
		p.infer(b)
	}
	return p.Program.Infer(b)
}

func (p *counting) Evaluate(b net.Batch) (net.Metrics, error) {
	if p.evaluate != nil {
		p.evaluate(b)
	}
	if p.evaluateErr != nil {
		if err := p.evaluateErr(b); err != nil {
			return net.Metrics{}, err
		}
	}
	m, err := p.Program.Evaluate(b)
	if p.metrics != nil {
		m = p.metrics(m, b.Data)
	}
	return m, err
}

func (p *counting) Step(b net.Batch) error {
	p.batches = append(p.batches, slices.Clone(b.Indices))
	if p.step != nil {
		if err := p.step(len(p.batches)); err != nil {
			return err
		}
	}
	return p.Program.Step(b)
}

func (p *counting) Gradients(b net.Batch, s net.Share) error {
	p.batches, p.shares = append(p.batches, slices.Clone(b.Indices)), append(p.shares, s)
	return p.Program.Gradients(b, s)
}

func (p *counting) Update() error {
	p.updates++
	return p.Program.Update()
}

func (p *counting) TakeMetrics() (net.Metrics, error) {
	m, err := p.Program.TakeMetrics()
	if p.metrics != nil {
		m = p.metrics(m, nil)
	}
	return m, err
}

func (p *counting) State() (net.State, error) {
	s, err := p.Program.State()
	if p.state != nil {
		p.state(s)
	}
	return s, err
}

func TestTrainVisitsEverySampleOnceAnEpoch(t *testing.T) {
	cfg := smallRun()
	cfg.Recipe.Epochs = 3
	p := &counting{Program: compile(t, cfg)}
	if _, err := net.Train(t.Context(), p, cfg); err != nil {
		t.Fatal(err)
	}
	if len(p.batches) != 15 {
		t.Fatalf("%d steps, want 15", len(p.batches))
	}
	order := make([]int32, 42)
	for epoch := range 3 {
		var seen []int32
		for i, b := range p.batches[5*epoch : 5*epoch+5] {
			if want := []int{10, 10, 10, 10, 2}[i]; len(b) != want {
				t.Errorf("batch %d has %d samples, want %d", i, len(b), want)
			}
			seen = append(seen, b...)
		}
		net.Shuffle(cfg.Recipe.Seed, epoch, order)
		if !slices.Equal(seen, order) {
			t.Errorf("epoch %d visits %v, want %v", epoch, seen, order)
		}
	}
}

// TestEvaluateEvery: only every second epoch and the last are evaluated, also in a run that
// goes on with a checkpoint.
func TestEvaluateEvery(t *testing.T) {
	cfg := smallRun()
	cfg.Recipe.Epochs, cfg.Recipe.EvaluateEvery = 5, 2
	cfg.Saving.Dir = t.TempDir()
	check := func(epochs []net.EpochResult, evaluated ...int) {
		t.Helper()
		for _, e := range epochs {
			if want := slices.Contains(evaluated, e.Epoch); (e.Validation != nil) != want || (e.Test != nil) != want {
				t.Errorf("epoch %d has the scores %v and %v", e.Epoch, e.Validation, e.Test)
			}
		}
	}
	all := train(t, cfg).Epochs
	check(all, 2, 4, 5)
	if len(all) != 5 {
		t.Errorf("%d epochs", len(all))
	}
	cfg.Resume = load(t, cfg.Saving.Dir)
	cfg.Recipe.Epochs = 7
	all = train(t, cfg).Epochs
	check(all, 2, 4, 5, 6, 7)
	if len(all) != 7 {
		t.Errorf("%d epochs", len(all))
	}
}

// TestTrainFigures computes an epoch's figures step by step, without Train.
func TestTrainFigures(t *testing.T) {
	cfg := smallRun()
	cfg.Recipe.Epochs = 1
	got := train(t, cfg).Epochs[0]

	p := compile(t, cfg)
	order := make([]int32, 42)
	net.Shuffle(cfg.Recipe.Seed, 0, order)
	for b := range slices.Chunk(order, 10) {
		if err := p.Step(net.Batch{Data: cfg.Train, Indices: b}); err != nil {
			t.Fatal(err)
		}
	}
	m, err := p.TakeMetrics()
	if err != nil {
		t.Fatal(err)
	}
	want := []float64{m.MeanLoss(), m.Accuracy()}
	for _, d := range []*net.Dataset{cfg.Validation, cfg.Test} {
		all := make([]int32, d.Len())
		for i := range all {
			all[i] = int32(i)
		}
		m, err := p.Evaluate(net.Batch{Data: d, Indices: all})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, m.MeanLoss(), m.Accuracy())
	}
	// The sums are float64 and added up in other pieces.
	approx.Check(t, "figures", []float64{
		got.Cost, got.Accuracy, got.Validation.Loss, got.Validation.Accuracy, got.Test.Loss, got.Test.Accuracy,
	}, want, approx.Tolerance{Rel: 1e-13})
}

func TestTrainRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*net.Config)
		want   string
	}{
		{"no data", func(c *net.Config) { c.Train = nil }, "needs a training set"},
		{"recipe", func(c *net.Config) { c.Recipe.Epochs = 0 }, "epochs must be"},
		{"bad data", func(c *net.Config) { c.Test.Labels[3] = 9 }, "data set test: label 9 of sample 3"},
		{"empty data", func(c *net.Config) { c.Validation = c.Validation.Slice(0, 0) }, "validation has no samples"},
		{"other shape", func(c *net.Config) { c.Validation.Shape = net.Shape{C: 16, H: 1, W: 1} }, "samples of 16, the network takes 1 x 4 x 4"},
		{"too many classes", func(c *net.Config) { c.Train.Classes = 4 }, "4 classes, the network gives 3 logits"},
		{"early stopping on nothing", func(c *net.Config) { c.Recipe.Patience, c.Validation = 1, nil }, "early stopping needs a validation set"},
		{"interval", func(c *net.Config) { c.Interval = -1 }, "intervals must be at least 0"},
		{"schedule", func(c *net.Config) {
			c.Recipe.Epochs, c.Recipe.WarmupEpochs, c.Recipe.Batch = 1, 0.9, 42
			c.Recipe.Optimizer.Schedule.Method = net.CosineRate
		}, "more steps in total than in warm-up"},
	} {
		cfg := smallRun()
		p := compile(t, cfg)
		c.change(&cfg)
		_, err := net.Train(t.Context(), p, cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	cfg := smallRun()
	p := compile(t, cfg)
	if err := p.Step(net.Batch{Data: cfg.Train, Indices: []int32{0, 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Train(t.Context(), p, cfg); err == nil || !strings.Contains(err.Error(), "has made 1 steps already") {
		t.Errorf("a used program: error %v", err)
	}
}

// TestOneValueToNormalise refuses what leaves batch normalisation one value a channel, and
// nothing else.
func TestOneValueToNormalise(t *testing.T) {
	const lone, last = "layer norm normalises each channel over one value in a mini-batch of one", "layer norm normalises each channel over one value in an epoch's last mini-batch, as "
	dense := &net.Network{Input: net.Shape{C: 1, H: 4, W: 4}, Layers: []net.Layer{
		&net.Flatten{}, &net.Dense{Units: 5}, &net.BatchNorm{Name: "norm"}, &net.Activation{Func: net.ReLU}, &net.Dense{Units: 3}}}
	for _, c := range []struct {
		name    string
		network *net.Network
		change  func(*net.Config)
		want    string // "" where nothing is wrong
	}{
		{"pairs at least", dense, func(*net.Config) {}, ""}, // 42 samples by 10
		{"one alone", dense, func(c *net.Config) { c.Recipe.Batch = 1 }, lone},
		{"one alone, several an update", dense, func(c *net.Config) { c.Recipe.Batch, c.Recipe.Accumulate = 1, 6 }, lone},
		{"a set of one", dense, func(c *net.Config) { c.Train = c.Train.Slice(0, 1) }, lone},
		{"one over", dense, func(c *net.Config) { c.Recipe.Batch = 41 }, last + "42 samples in mini-batches of 41 leave one over"},
		{"one over, several an update", dense, func(c *net.Config) { c.Train, c.Recipe.Accumulate = c.Train.Slice(0, 31), 2 }, last + "31 samples"},
		{"one over that is dropped", dense, func(c *net.Config) { c.Recipe.Batch, c.Recipe.DropLast = 41, true }, ""},
		{"of many places", small(), func(c *net.Config) { c.Recipe.Batch = 41 }, ""},
	} {
		cfg := smallRun()
		cfg.Recipe.Epochs = 1
		c.change(&cfg)
		_, err := net.Train(t.Context(), compileNetwork(t, c.network, cfg.Options()), cfg)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		if c.want == "" {
			continue
		}
		if _, err := net.FindRate(t.Context(), reference.New(), c.network, cfg, net.RateRangeFor(net.Adam)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: find rate: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestEarlyStopping(t *testing.T) {
	for _, c := range []struct {
		watch    net.Watch
		patience int
		figures  []net.Score
		best     int
		epochs   int
	}{
		{"", 2, []net.Score{{Loss: 5, Accuracy: 0}, {Loss: 4, Accuracy: 0}, {Loss: 4, Accuracy: 1}, {Loss: 6, Accuracy: 1}, {Loss: 1, Accuracy: 0}}, 2, 4},
		{net.WatchLoss, 3, []net.Score{{Loss: 5, Accuracy: 0}, {Loss: 4, Accuracy: 0}, {Loss: 4, Accuracy: 1}, {Loss: 6, Accuracy: 1}, {Loss: 1, Accuracy: 0}}, 5, 5},
		{net.WatchAccuracy, 1, []net.Score{{Loss: 1, Accuracy: .2}, {Loss: 2, Accuracy: .3}, {Loss: 3, Accuracy: .3}, {Loss: 0, Accuracy: .9}}, 2, 3},
		{"", 0, []net.Score{{Loss: 1, Accuracy: 0}, {Loss: 2, Accuracy: 0}, {Loss: 3, Accuracy: 0}, {Loss: 4, Accuracy: 0}}, 1, 4},
	} {
		cfg := smallRun()
		cfg.Test = nil
		cfg.Recipe.Epochs, cfg.Recipe.Patience, cfg.Recipe.Watch = len(c.figures), c.patience, c.watch
		p := &counting{Program: compile(t, cfg)}
		epoch := 0
		p.metrics = func(m net.Metrics, d *net.Dataset) net.Metrics {
			if d != nil {
				s := c.figures[epoch]
				epoch++
				m.Loss, m.Hits = s.Loss*20, int64(math.Round(s.Accuracy*20))
			}
			return m
		}
		r, err := net.Train(t.Context(), p, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if r.Best != c.best || len(r.Epochs) != c.epochs || r.EarlyStopped != (c.epochs < len(c.figures)) {
			t.Errorf("%q, patience %d: best %d of %d epochs, early %v; want %d of %d", c.watch, c.patience, r.Best, len(r.Epochs), r.EarlyStopped, c.best, c.epochs)
		}
	}
}

// load reads a checkpoint that must be good.
func load(t testing.TB, path string) *net.Checkpoint {
	t.Helper()
	c, err := net.LoadCheckpoint(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sameState fails where two checkpoints differ in a bit of weights, optimiser's
// state or position.
func sameState(t *testing.T, what string, got, want *net.Checkpoint) {
	t.Helper()
	if got.Position != want.Position || got.State.Step != want.State.Step {
		t.Errorf("%s: at %+v, step %d; want %+v, step %d", what, got.Position, got.State.Step, want.Position, want.State.Step)
	}
	for name, w := range want.State.Params {
		if !slices.Equal(got.State.Params[name].Float32s(), w.Float32s()) {
			t.Errorf("%s: %s differs", what, name)
		}
	}
	for name, w := range want.State.Optimizer {
		if !slices.Equal(got.State.Optimizer[name].Float32s(), w.Float32s()) {
			t.Errorf("%s: optimiser's %s differs", what, name)
		}
	}
	if len(got.State.Average) != len(want.State.Average) {
		t.Errorf("%s: %d averages, want %d", what, len(got.State.Average), len(want.State.Average))
	}
	for name, w := range want.State.Average {
		if g := got.State.Average[name]; g == nil || !slices.Equal(g.Float32s(), w.Float32s()) {
			t.Errorf("%s: the average of %s differs", what, name)
		}
	}
}

// sums is the tolerance of figures that were summed in other pieces.
var sums = approx.Tolerance{Rel: 1e-13}

// TestCancelAndResume ends the context at every step of a run and inside the
// evaluations, and resumes.
func TestCancelAndResume(t *testing.T) {
	whole := smallRun()
	whole.Recipe.Epochs, whole.Test = 2, stripes("test", 30, 3)
	whole.Saving.Dir = t.TempDir()
	want := train(t, whole)
	wantEnd := load(t, want.Last)

	for stopAt := range 13 {
		cfg := whole
		cfg.Saving.Dir = t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		p := &counting{Program: compile(t, cfg)}
		p.step = func(n int) error {
			if n == stopAt {
				cancel()
			}
			return nil
		}
		switch stopAt {
		case 0:
			cancel()
		case 11, 12: // at the end of the training of an epoch, before its evaluations
			p.metrics = func(m net.Metrics, d *net.Dataset) net.Metrics {
				if len(p.batches) == 5*(stopAt-10) {
					cancel()
				}
				return m
			}
		}
		_, err := net.Train(ctx, p, cfg)
		var stopped *net.StoppedError
		last := filepath.Join(cfg.Saving.Dir, net.LastCheckpoint)
		if !errors.As(err, &stopped) || !errors.Is(err, context.Canceled) || stopped.Checkpoint != last || !strings.Contains(err.Error(), last) {
			t.Fatalf("stopped at %d: error %v", stopAt, err)
		}
		wantSteps := stopAt
		if stopAt > 10 {
			wantSteps = 5 * (stopAt - 10)
		}
		c := load(t, cfg.Saving.Dir)
		if c.State.Step != int64(wantSteps) || (stopped.Epoch-1)*5+stopped.Step != wantSteps {
			t.Errorf("stopped at %d: checkpoint after %d steps, error %v", stopAt, c.State.Step, err)
		}
		cfg.Resume = c
		var log recorder
		cfg.Observers = []net.Observer{&log}
		got := train(t, cfg)
		sameState(t, "resumed", load(t, got.Last), wantEnd)
		if pos := only[net.Started](&log)[0].Resumed; pos == nil || *pos != c.Position {
			t.Errorf("started at %+v, want %+v", pos, c.Position)
		}
		for i, e := range want.Epochs {
			g := got.Epochs[i]
			approx.Check(t, "cost and accuracy", []float64{g.Cost, g.Accuracy}, []float64{e.Cost, e.Accuracy}, sums)
			if *g.Validation != *e.Validation || *g.Test != *e.Test {
				t.Errorf("stopped at %d: epoch %d scores %+v and %+v, want %+v and %+v", stopAt, i+1, g.Validation, g.Test, e.Validation, e.Test)
			}
		}
	}
}

// TestCancelInsideAnEvaluation must not count its half as training.
func TestCancelInsideAnEvaluation(t *testing.T) {
	cfg := smallRun()
	cfg.Recipe.Epochs = 1
	cfg.Saving.Dir = t.TempDir()
	want := train(t, cfg).Epochs[0]

	ctx, cancel := context.WithCancel(t.Context())
	p := &counting{Program: compile(t, cfg)}
	p.evaluate = func(b net.Batch) {
		if b.Data == cfg.Test { // of two pieces, this is the first
			cancel()
		}
	}
	if _, err := net.Train(ctx, p, cfg); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	cfg.Resume = load(t, cfg.Saving.Dir)
	pos := cfg.Resume.Position
	if pos.Epoch != 0 || pos.Step != 5 || pos.Samples != 42 {
		t.Errorf("stopped at %+v", pos)
	}
	approx.Check(t, "sums of training", []float64{pos.Loss, float64(pos.Hits)}, []float64{want.Cost * 42, want.Accuracy * 42}, sums)
	if got := train(t, cfg).Epochs[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("resumed to %+v, want %+v", got, want)
	}
}

func TestResumeOfAFinishedRun(t *testing.T) {
	cfg := smallRun()
	cfg.Saving.Dir = t.TempDir()
	done := train(t, cfg)
	was := read(t, done.Last)
	cfg.Resume = load(t, cfg.Saving.Dir)
	p := &counting{Program: compile(t, cfg)}
	again, err := net.Train(t.Context(), p, cfg)
	if err != nil || len(p.batches) != 0 || again.Last != done.Last || again.BestPath != done.BestPath || !reflect.DeepEqual(again.Epochs, done.Epochs) {
		t.Errorf("%d steps more, result %+v (%v), want %+v", len(p.batches), again, err, done)
	}
	if !bytes.Equal(read(t, done.Last), was) {
		t.Error("the checkpoint changed")
	}

	// More epochs: the same as if asked for from the start.
	cfg.Recipe.Epochs = 6
	more := train(t, cfg)
	from := smallRun()
	from.Recipe.Epochs = 6
	from.Saving.Dir = t.TempDir()
	sameState(t, "with more epochs", load(t, more.Last), load(t, train(t, from).Last))
}

// TestRemovedFolder removes a run's folder while it is trained: no checkpoint is offered
// that is gone.
func TestRemovedFolder(t *testing.T) {
	cfg := smallRun()
	cfg.Saving = net.Saving{Dir: t.TempDir(), EverySteps: 1}
	cfg.Observers = []net.Observer{net.ObserverFunc(func(e net.Event) error {
		if _, ok := e.(net.EpochDone); ok {
			return os.RemoveAll(cfg.Saving.Dir)
		}
		return nil
	})}
	_, err := net.Train(t.Context(), compile(t, cfg), cfg)
	var stopped *net.StoppedError
	if !errors.As(err, &stopped) || stopped.Checkpoint != "" || !strings.HasSuffix(err.Error(), "; there is no checkpoint to go on from") {
		t.Errorf("error %v", err)
	}
}

func TestResumeRefusals(t *testing.T) {
	base := smallRun()
	base.Saving.Dir = t.TempDir()
	base.Recipe.Optimizer.Schedule = net.Schedule{Method: net.StepRate, Factor: 0.5}
	base.Recipe.StepEpochs = 1
	base.Recipe.Epochs = 2
	train(t, base)
	cosine := base
	cosine.Saving.Dir = t.TempDir()
	cosine.Recipe.StepEpochs = 0
	cosine.Recipe.Optimizer.Schedule = net.Schedule{Method: net.CosineRate}
	train(t, cosine)

	for _, c := range []struct {
		name   string
		base   net.Config
		change func(*net.Config)
		want   string // "" where it is right
	}{
		{"the same", base, func(*net.Config) {}, ""},
		{"more epochs of a schedule that allows it", base, func(c *net.Config) { c.Recipe.Epochs = 3 }, ""},
		{"another name and patience", base, func(c *net.Config) { c.Recipe.Name, c.Recipe.Patience = "new", 9 }, ""},
		{"the same data under another name", base, func(c *net.Config) { d := *c.Train; d.Name = "copy"; c.Train = &d }, ""},
		{"another test set", base, func(c *net.Config) { c.Test = nil }, ""},
		{"more epochs of a cosine", cosine, func(c *net.Config) { c.Recipe.Epochs = 3 }, "schedule cosine was laid out for 2 epochs and cannot change to 3"},
		{"fewer epochs than done", base, func(c *net.Config) { c.Recipe.Epochs = 1 }, "2 epochs and 0 steps into its run, more than the 1 epochs"},
		{"seed", base, func(c *net.Config) { c.Recipe.Seed = 4 }, "seed 3, not 4"},
		{"batch", base, func(c *net.Config) { c.Recipe.Batch = 7 }, "batch 10, not 7"},
		{"rate", base, func(c *net.Config) { c.Recipe.Optimizer.LearningRate = 1 }, "optimizer.learning_rate 0."},
		{"length of steps", base, func(c *net.Config) { c.Recipe.StepEpochs = 2 }, "optimizer.schedule.every 5, not 10"},
		{"watch", base, func(c *net.Config) { c.Recipe.Watch = net.WatchAccuracy }, `watch "loss", not "accuracy"`},
		{"fewer samples", base, func(c *net.Config) { c.Train = c.Train.Slice(0, 41) }, "training set train has 42 samples, this one train 41"},
		{"other samples", base, func(c *net.Config) { c.Train = stripes("train", 42, 9) }, "training set train has other contents"},
		{"other validation samples", base, func(c *net.Config) { c.Validation = stripes("v", 20, 9) }, "validation set validation has other contents than this one, v"},
		{"no validation", base, func(c *net.Config) { c.Validation = nil }, "had the validation set validation, this one has none"},
		{"weights only", base, func(c *net.Config) { c.Resume.State.Optimizer = nil }, "weights only"},
		{"nonsense", base, func(c *net.Config) { c.Resume.Position.Epoch = -1 }, "position at epoch -1"},
	} {
		cfg := c.base
		cfg.Resume = load(t, cfg.Saving.Dir)
		cfg.Saving.Dir = ""
		c.change(&cfg)
		_, err := net.Train(t.Context(), compile(t, cfg), cfg)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, net.ErrResume) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	other := small()
	other.Name = "other"
	resumed := base
	resumed.Resume = load(t, base.Saving.Dir)
	_, err := net.Train(t.Context(), compileNetwork(t, other, resumed.Options()), resumed)
	if !errors.Is(err, net.ErrResume) || !strings.Contains(err.Error(), `network "small" is not the same as network "other"`) {
		t.Errorf("another network: error %v", err)
	}
	none := base
	none.Validation, none.Saving.Dir = nil, t.TempDir()
	train(t, none)
	base.Resume = load(t, none.Saving.Dir)
	if _, err := net.Train(t.Context(), compile(t, base), base); !errors.Is(err, net.ErrResume) || !strings.Contains(err.Error(), "had no validation set, this one has validation") {
		t.Errorf("a validation set that is new: error %v", err)
	}
}

// TestResumeKeepsEarlyStopping stops a run that is already past its best epoch.
func TestResumeKeepsEarlyStopping(t *testing.T) {
	cfg := smallRun()
	cfg.Saving.Dir = t.TempDir()
	cfg.Recipe.Epochs = 3
	rising := func(p *counting) {
		p.metrics = func(m net.Metrics, d *net.Dataset) net.Metrics {
			if d == cfg.Validation {
				m.Loss = float64(len(p.batches) + 1)
			}
			return m
		}
	}
	p := &counting{Program: compile(t, cfg)}
	rising(p)
	if r, err := net.Train(t.Context(), p, cfg); err != nil || r.Best != 1 {
		t.Fatalf("best epoch %d (%v)", r.Best, err)
	}
	cfg.Resume = load(t, cfg.Saving.Dir)
	cfg.Recipe.Epochs, cfg.Recipe.Patience = 10, 4
	p = &counting{Program: compile(t, cfg)}
	p.metrics = func(m net.Metrics, d *net.Dataset) net.Metrics {
		if d == cfg.Validation {
			m.Loss = 1e6
		}
		return m
	}
	r, err := net.Train(t.Context(), p, cfg)
	if err != nil || !r.EarlyStopped || r.Best != 1 || len(r.Epochs) != 5 {
		t.Errorf("best %d of %d epochs, early %v (%v); want 1 of 5", r.Best, len(r.Epochs), r.EarlyStopped, err)
	}
}

// TestBestCheckpoint holds the file to the weights at the end of the best epoch.
func TestBestCheckpoint(t *testing.T) {
	cfg := smallRun()
	cfg.Saving.Dir = t.TempDir()
	p := &counting{Program: compile(t, cfg)}
	p.metrics = func(m net.Metrics, d *net.Dataset) net.Metrics {
		if d == cfg.Validation { // the second epoch is the best
			m.Loss = math.Abs(float64(len(p.batches) - 10))
		}
		return m
	}
	r, err := net.Train(t.Context(), p, cfg)
	if err != nil || r.Best != 2 {
		t.Fatalf("best epoch %d (%v)", r.Best, err)
	}
	short := smallRun()
	short.Recipe.Epochs = 2
	short.Saving.Dir = t.TempDir()
	sameState(t, "best", load(t, r.BestPath), load(t, train(t, short).Last))
}

func TestNonFiniteLossStops(t *testing.T) {
	const bad = 8 // step 3 of epoch 2
	for _, c := range []struct {
		name        string
		break_      func(*counting, *net.Config)
		epoch, step int
		message     string
	}{
		{"a step's loss", func(p *counting, _ *net.Config) {
			p.metrics = func(m net.Metrics, _ *net.Dataset) net.Metrics {
				if len(p.batches) >= bad {
					m.FirstBad, m.Loss = bad, math.NaN()
				}
				return m
			}
		}, 2, 3, "the loss became NaN or infinite in epoch 2, step 3: try a lower learning rate"},
		{"a step's loss whose sum was lost", func(p *counting, _ *net.Config) {
			p.metrics = func(m net.Metrics, _ *net.Dataset) net.Metrics {
				if len(p.batches) >= bad {
					m.FirstBad = bad
				}
				return m
			}
		}, 2, 3, "the loss became"},
		{"a sum", func(p *counting, _ *net.Config) {
			p.metrics = func(m net.Metrics, _ *net.Dataset) net.Metrics {
				if len(p.batches) >= bad {
					m.Loss = math.Inf(1)
				}
				return m
			}
		}, 2, 4, "the loss became"}, // noticed at the next progress
		{"the evaluation", func(p *counting, cfg *net.Config) {
			p.metrics = func(m net.Metrics, d *net.Dataset) net.Metrics {
				if len(p.batches) >= bad && d == cfg.Test {
					m.Loss = math.NaN()
				}
				return m
			}
		}, 2, 5, "the loss on test became"},
		{"a weight", func(p *counting, _ *net.Config) {
			p.state = func(s net.State) {
				if s.Step >= bad {
					s.Params["conv1.bias"].Float32s()[1] = float32(math.NaN())
				}
			}
		}, 2, 5, "a weight or the optimiser's state became"},
	} {
		cfg := smallRun()
		cfg.Saving.Dir = t.TempDir()
		p := &counting{Program: compile(t, cfg)}
		c.break_(p, &cfg)
		r, err := net.Train(t.Context(), p, cfg)
		var diverged *net.DivergedError
		last := filepath.Join(cfg.Saving.Dir, net.LastCheckpoint)
		if !errors.As(err, &diverged) || diverged.Epoch != c.epoch || diverged.Step != c.step || diverged.Checkpoint != last ||
			!strings.Contains(err.Error(), c.message) || !strings.Contains(err.Error(), "last good checkpoint is "+last) {
			t.Errorf("%s: error %v", c.name, err)
		}
		if got := load(t, last); got.State.Step != 5 || r.Last != last {
			t.Errorf("%s: the last checkpoint is after %d steps, want the end of epoch 1", c.name, got.State.Step)
		}
	}
}

// TestRealDivergence makes the reference's loss NaN by a rate beyond reason.
func TestRealDivergence(t *testing.T) {
	cfg := smallRun()
	cfg.Recipe.Optimizer = net.SGDDefault(1e30)
	_, err := net.Train(t.Context(), compile(t, cfg), cfg)
	var diverged *net.DivergedError
	if !errors.As(err, &diverged) || diverged.Epoch != 1 || !strings.Contains(err.Error(), "there is no checkpoint to go on from") {
		t.Errorf("error %v", err)
	}
}

// TestInterruptedAfterDivergence cancels before the loss has been read: the bad
// weights must not reach the checkpoint.
func TestInterruptedAfterDivergence(t *testing.T) {
	cfg := smallRun()
	cfg.Interval = 100
	cfg.Saving.Dir = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	p := &counting{Program: compile(t, cfg)}
	p.step = func(n int) error {
		if n == 8 {
			cancel()
		}
		return nil
	}
	p.metrics = func(m net.Metrics, _ *net.Dataset) net.Metrics {
		if len(p.batches) >= 7 {
			m.FirstBad = 7
		}
		return m
	}
	_, err := net.Train(ctx, p, cfg)
	var diverged *net.DivergedError
	if !errors.As(err, &diverged) || diverged.Epoch != 2 || diverged.Step != 2 {
		t.Errorf("error %v", err)
	}
	if got := load(t, cfg.Saving.Dir).State.Step; got != 5 {
		t.Errorf("the checkpoint is after %d steps, want 5", got)
	}
}

func TestFailingObserverStops(t *testing.T) {
	for _, c := range []struct {
		name  string
		fail  func(net.Event) bool
		steps int64
	}{
		{"at the start", func(e net.Event) bool { return e.Kind() == "started" }, 0},
		{"at progress", func(e net.Event) bool { p, ok := e.(net.Progress); return ok && p.Epoch == 2 && p.Step == 4 }, 9},
		{"at an epoch", func(e net.Event) bool { d, ok := e.(net.EpochDone); return ok && d.Epoch == 2 }, 10},
		{"at every checkpoint", func(e net.Event) bool { return e.Kind() == "checkpoint" }, 5},
		{"at the end", func(e net.Event) bool { return e.Kind() == "done" }, 20},
	} {
		cfg := smallRun()
		cfg.Saving.Dir = t.TempDir()
		cfg.Observers = []net.Observer{&recorder{fail: c.fail}}
		_, err := net.Train(t.Context(), compile(t, cfg), cfg)
		var stopped *net.StoppedError
		if !errors.As(err, &stopped) || !errors.Is(err, errFull) || stopped.Checkpoint == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v", c.name, err)
			continue
		}
		got := load(t, stopped.Checkpoint)
		if got.State.Step != c.steps {
			t.Errorf("%s: checkpoint after %d steps, want %d", c.name, got.State.Step, c.steps)
		}
		cfg.Observers, cfg.Resume = nil, got
		if r := train(t, cfg); len(r.Epochs) != 4 {
			t.Errorf("%s: resumed to %d epochs", c.name, len(r.Epochs))
		}
	}
}

// TestFailingDeviceStops must not save what a failed device holds.
func TestFailingDeviceStops(t *testing.T) {
	cfg := smallRun()
	cfg.Saving.Dir = t.TempDir()
	p := &counting{Program: compile(t, cfg)}
	broken := errors.New("bus error")
	p.step = func(n int) error {
		if n == 8 {
			return broken
		}
		return nil
	}
	_, err := net.Train(t.Context(), p, cfg)
	var stopped *net.StoppedError
	if !errors.As(err, &stopped) || !errors.Is(err, broken) || stopped.Epoch != 2 || stopped.Step != 2 {
		t.Errorf("error %v", err)
	}
	if got := load(t, cfg.Saving.Dir).State.Step; got != 5 {
		t.Errorf("the checkpoint is after %d steps, want 5", got)
	}
}

// TestFailingWriteStops takes the folder away under the run.
func TestFailingWriteStops(t *testing.T) {
	cfg := smallRun()
	dir := filepath.Join(t.TempDir(), "run")
	cfg.Saving.Dir = dir
	var log recorder
	cfg.Observers = []net.Observer{&log, net.ObserverFunc(func(e net.Event) error {
		if p, ok := e.(net.Progress); ok && p.Epoch == 2 {
			return os.RemoveAll(dir)
		}
		return nil
	})}
	_, err := net.Train(t.Context(), compile(t, cfg), cfg)
	var stopped *net.StoppedError
	if !errors.As(err, &stopped) || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "not written") {
		t.Errorf("error %v", err)
	}
	if n := len(only[net.EpochDone](&log)); n != 2 {
		t.Errorf("%d epochs were told of, want 2", n)
	}
}

func TestCheckpointFolderRefusals(t *testing.T) {
	cfg := smallRun()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cfg.Saving.Dir = path
	if _, err := net.Train(t.Context(), compile(t, cfg), cfg); err == nil || !strings.Contains(err.Error(), "checkpoint folder") {
		t.Errorf("error %v", err)
	}
}

func TestLeftOversAreRemoved(t *testing.T) {
	cfg := smallRun()
	cfg.Saving.Dir = t.TempDir()
	for _, name := range []string{net.LastCheckpoint + ".123.tmp", net.BestCheckpoint + ".9.tmp"} {
		if err := os.WriteFile(filepath.Join(cfg.Saving.Dir, name), []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	train(t, cfg)
	entries, err := os.ReadDir(cfg.Saving.Dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("the folder holds %v (%v), want two checkpoints", entries, err)
	}
}

func TestSavingByTime(t *testing.T) {
	cfg := smallRun()
	cfg.Recipe.Epochs = 1
	cfg.Saving = net.Saving{Dir: t.TempDir(), Every: time.Nanosecond}
	var log recorder
	cfg.Observers = []net.Observer{&log}
	train(t, cfg)
	var steps []int
	for _, s := range only[net.CheckpointSaved](&log) {
		if s.Reason == net.AtPeriod {
			steps = append(steps, s.Step)
		}
	}
	if !slices.Equal(steps, []int{1, 2, 3, 4}) {
		t.Errorf("checkpoints at steps %v, want all but the epoch's last", steps)
	}
}

// TestTwoRunsAreOne compares the files of two runs from one seed, byte by byte,
// and of a third from another.
func TestTwoRunsAreOne(t *testing.T) {
	run := func(seed uint64) []byte {
		cfg := smallRun()
		cfg.Recipe.Seed = seed
		cfg.Saving = net.Saving{Dir: t.TempDir(), EverySteps: 2}
		return read(t, train(t, cfg).Last)
	}
	one := run(1)
	if !bytes.Equal(one, run(1)) {
		t.Error("two runs from one seed differ")
	}
	if bytes.Equal(one, run(2)) {
		t.Error("two seeds give one run")
	}
}

// idle is a device that does nothing, to measure the loop alone.
type idle struct {
	net.Program
	plan *net.Plan
	opts net.Options
	m    net.Metrics
	// pause is how long a step takes; steps and taken count calls.
	pause        time.Duration
	steps, taken int
}

func (p *idle) Plan() *net.Plan { return p.plan }

func (p *idle) Options() net.Options { return p.opts }

func (p *idle) Step(b net.Batch) error {
	p.m.Samples += int64(b.Len())
	p.steps++
	time.Sleep(p.pause)
	return nil
}

func (p *idle) Gradients(b net.Batch, _ net.Share) error {
	p.m.Samples += int64(b.Len())
	return nil
}

func (p *idle) Update() error {
	p.steps++
	return nil
}

func (p *idle) TakeMetrics() (net.Metrics, error) {
	p.taken++
	m := p.m
	p.m = net.Metrics{}
	return m, nil
}

func (p *idle) State() (net.State, error) { return net.State{}, nil }

func TestStepsAllocateNothing(t *testing.T) {
	plan, err := small().Plan()
	if err != nil {
		t.Fatal(err)
	}
	rich := richRun()
	rich.Recipe.Average = 0 // of evaluations alone
	for name, cfg := range map[string]net.Config{"plain": smallRun(), "with every setting": rich} {
		cfg.Validation, cfg.Test, cfg.Interval = nil, nil, 1000
		ctx, cancel := context.WithCancel(t.Context())
		allocs := func(samples int) float64 {
			cfg.Train = stripes("train", samples, 1)
			cfg.Recipe.Epochs = 1
			return testing.AllocsPerRun(5, func() {
				if _, err := net.Train(ctx, &idle{plan: plan, opts: cfg.Options()}, cfg); err != nil {
					t.Fatal(err)
				}
			})
		}
		// At least 20 steps and 900 steps, each with one Progress at the end. The runtime's
		// own few allocations vary; one a step would be 880 more.
		if few, many := allocs(200), allocs(9000); many > few+100 {
			t.Errorf("%s: 20 steps allocate %v times, 900 steps %v times", name, few, many)
		}
		cancel()
	}
}

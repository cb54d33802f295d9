package net_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// richRun is smallRun with every setting that changes what a step or an evaluation
// does. It has 5 steps an epoch, each of two mini-batches, and drops 2 samples.
func richRun() net.Config {
	cfg := smallRun()
	r := &cfg.Recipe
	r.Epochs, r.Batch, r.Accumulate, r.DropLast = 2, 4, 2, true
	r.Optimizer.Groups = []net.Group{{Params: "batchnorm.bias", Factor: 4}, {Params: "dense1.*", Factor: 0.5}}
	r.Optimizer.Schedule = net.Schedule{Method: net.ExponentialRate, Start: 1, Final: 0.1}
	r.Loss.Smoothing, r.Balance, r.Average, r.Views = 0.1, true, 0.9, net.SixViews
	r.Augment = net.Augment{
		Crop: 1, ResizedCrop: &net.ResizedCrop{Area: [2]float64{0.5, 1}, Ratio: [2]float64{0.75, 4. / 3}}, Rotate: 10, Scale: 0.1, Shear: 5, Translate: 0.25,
		Flip: net.AlternateFlip, Border: net.ReflectBorder, Brightness: 0.2, Contrast: 0.2, Erase: &net.Erase{Size: 0.3, Probability: 0.5}, Mixup: 0.3, CutMix: 1,
	}
	cfg.Top = 2
	cfg.Test = stripes("test", 30, 3)
	cfg.Subject = &net.Subject{Data: "stripes", ClassNames: []string{"upper", "middle", "lower"}, Scale: 1. / 255}
	return cfg
}

// TestResumeWithEverySetting ends a run with every setting after each of its steps
// and inside its evaluations, and resumes.
func TestResumeWithEverySetting(t *testing.T) {
	whole := richRun()
	whole.Saving.Dir = t.TempDir()
	want := train(t, whole)
	wantEnd := load(t, want.Last)
	if len(wantEnd.State.Average) == 0 || !reflect.DeepEqual(wantEnd.Subject, whole.Subject) {
		t.Fatalf("the checkpoint holds %d averages and the subject %+v", len(wantEnd.State.Average), wantEnd.Subject)
	}
	for stopAt := range 13 {
		cfg := whole
		cfg.Saving.Dir = t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		p := &counting{Program: compile(t, cfg)}
		if stopAt <= 10 {
			cfg.Interval = 1
			cfg.Observers = []net.Observer{net.ObserverFunc(func(e net.Event) error {
				if p, ok := e.(net.Progress); ok && (p.Epoch-1)*5+p.Step == stopAt || e.Kind() == "started" && stopAt == 0 {
					cancel()
				}
				return nil
			})}
		} else {
			p.infer = func(b net.Batch) {
				if b.Data == cfg.Test && p.updates == 5*(stopAt-10) {
					cancel()
				}
			}
		}
		_, err := net.Train(ctx, p, cfg)
		if stopAt < 11 && !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at %d: error %v", stopAt, err)
		}
		if p.swaps%2 != 0 {
			t.Errorf("stopped at %d: the averages are still in the place of the weights", stopAt)
		}
		cfg.Resume, cfg.Observers = load(t, cfg.Saving.Dir), nil
		got := train(t, cfg)
		sameState(t, fmt.Sprintf("stopped at %d, resumed", stopAt), load(t, got.Last), wantEnd)
		for i, e := range want.Epochs {
			g := got.Epochs[i]
			if *g.Validation != *e.Validation || *g.Test != *e.Test {
				t.Errorf("stopped at %d: epoch %d scores %+v and %+v, want %+v and %+v", stopAt, i+1, g.Validation, g.Test, e.Validation, e.Test)
			}
		}
	}
}

// TestEverySettingCounts leaves out one setting at a time: the weights come out
// otherwise.
func TestEverySettingCounts(t *testing.T) {
	end := func(cfg net.Config) *net.Checkpoint {
		cfg.Saving.Dir = t.TempDir()
		cfg.Recipe.Epochs = 1
		return load(t, train(t, cfg).Last)
	}
	weights := func(c *net.Checkpoint) []float32 { return c.State.Params["dense1.weight"].Float32s() }
	all := end(richRun())
	for name, change := range map[string]func(*net.Recipe){
		"smoothing":    func(r *net.Recipe) { r.Loss.Smoothing = 0 },
		"balance":      func(r *net.Recipe) { r.Balance = false },
		"drop last":    func(r *net.Recipe) { r.DropLast = false },
		"augmentation": func(r *net.Recipe) { r.Augment = net.Augment{} },
		"mixtures":     func(r *net.Recipe) { r.Augment.Mixup, r.Augment.CutMix = 0, 0 },
		"factors":      func(r *net.Recipe) { r.Optimizer.Groups = nil },
		"schedule":     func(r *net.Recipe) { r.Optimizer.Schedule = net.Schedule{} },
	} {
		cfg := richRun()
		change(&cfg.Recipe)
		if slices.Equal(weights(end(cfg)), weights(all)) {
			t.Errorf("without %s the weights are the same", name)
		}
	}
	for name, change := range map[string]func(*net.Config){
		"averages": func(c *net.Config) { c.Recipe.Average = 0 },
		"views":    func(c *net.Config) { c.Recipe.Views = "" },
		"top":      func(c *net.Config) { c.Top = 0 },
	} {
		cfg := richRun()
		change(&cfg)
		c := end(cfg)
		if !slices.Equal(weights(c), weights(all)) {
			t.Errorf("without %s the weights are others", name)
		}
		if got := *c.History[0].Validation; got == *all.History[0].Validation || name == "top" && (got.Top != 0 || got.Loss != all.History[0].Validation.Loss) {
			t.Errorf("without %s the score is %+v, with it %+v", name, got, all.History[0].Validation)
		}
	}
}

// TestScoresAreOfTheAverages holds an epoch's score to what a checkpoint's weights
// give in the recipe's views.
func TestScoresAreOfTheAverages(t *testing.T) {
	for _, views := range []net.Views{net.OneView, net.MirrorView, net.SixViews} {
		cfg := richRun()
		cfg.Recipe.Views = views
		cfg.Saving.Dir = t.TempDir()
		r := train(t, cfg)
		c := load(t, r.Last)
		p := compileNetwork(t, small(), net.Options{Batch: 50, Optimizer: net.SGDDefault(0)})
		if err := p.SetState(net.State{Params: c.Weights()}); err != nil {
			t.Fatal(err)
		}
		all := make([]int32, cfg.Validation.Len())
		for i := range all {
			all[i] = int32(i)
		}
		m, top, err := views.Evaluate(p, net.Batch{Data: cfg.Validation, Indices: all}, 2)
		if err != nil {
			t.Fatal(err)
		}
		want := net.Score{Loss: m.MeanLoss(), Accuracy: m.Accuracy(), Top: float64(top) / float64(len(all))}
		if got := *r.Epochs[1].Validation; got != want || want.Top < want.Accuracy {
			t.Errorf("views %q: score %+v, want %+v", views, got, want)
		}
	}
}

var errSwap = errors.New("no memory to swap")

// TestAveragesAreNeverSavedAsWeights fails the evaluations and the exchange of
// weights and averages in all ways that there are.
func TestAveragesAreNeverSavedAsWeights(t *testing.T) {
	broken := errors.New("bus error")
	for _, c := range []struct {
		name   string
		change func(p *counting, cfg *net.Config, cancel func())
		want   error
		swaps  int
		saved  int64 // steps of the last checkpoint, at the end of an epoch of 5
	}{
		{"a device that fails in an evaluation", func(p *counting, cfg *net.Config, _ func()) {
			p.evaluateErr = func(b net.Batch) error {
				if p.updates == 10 && b.Data == cfg.Test {
					return broken
				}
				return nil
			}
		}, broken, 4, 5},
		{"a context that ends in an evaluation", func(p *counting, cfg *net.Config, cancel func()) {
			p.evaluate = func(b net.Batch) {
				if p.updates == 10 && b.Data == cfg.Validation {
					cancel()
				}
			}
		}, context.Canceled, 4, 10},
		{"no way to the averages", func(p *counting, _ *net.Config, _ func()) {
			p.swap = func() error {
				if p.swaps == 3 {
					return errSwap
				}
				return nil
			}
		}, errSwap, 3, 5},
		{"no way back", func(p *counting, _ *net.Config, _ func()) {
			p.swap = func() error {
				if p.swaps == 4 {
					return errSwap
				}
				return nil
			}
		}, errSwap, 4, 5},
		{"no way back after the context ended", func(p *counting, cfg *net.Config, cancel func()) {
			p.evaluate = func(b net.Batch) {
				if p.updates == 10 {
					cancel()
				}
			}
			p.swap = func() error {
				if p.swaps == 4 {
					return errSwap
				}
				return nil
			}
		}, errSwap, 4, 5},
	} {
		cfg := richRun()
		cfg.Recipe.Views, cfg.Top = "", 0
		cfg.Saving.Dir = t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		p := &counting{Program: compile(t, cfg)}
		c.change(p, &cfg, cancel)
		_, err := net.Train(ctx, p, cfg)
		var stopped *net.StoppedError
		if !errors.As(err, &stopped) || !errors.Is(err, c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v", c.name, err)
			continue
		}
		last := load(t, cfg.Saving.Dir)
		if p.swaps != c.swaps || last.State.Step != c.saved {
			t.Errorf("%s: %d exchanges and a checkpoint after %d steps, want %d and %d", c.name, p.swaps, last.State.Step, c.swaps, c.saved)
		}
		if c.saved == 10 { // weights are weights
			straight := richRun()
			straight.Recipe.Views, straight.Top, straight.Saving.Dir = "", 0, t.TempDir()
			want := load(t, train(t, straight).Last)
			for name, w := range want.State.Params {
				if !slices.Equal(last.State.Params[name].Float32s(), w.Float32s()) {
					t.Errorf("%s: %s differs", c.name, name)
				}
			}
		}
		cancel()
	}
	// Without averages nothing is exchanged.
	cfg := smallRun()
	p := &counting{Program: compile(t, cfg)}
	if _, err := net.Train(t.Context(), p, cfg); err != nil || p.swaps != 0 {
		t.Errorf("%d exchanges without averages (%v)", p.swaps, err)
	}
}

func TestTrainDropsTheLast(t *testing.T) {
	cfg := smallRun()
	cfg.Recipe.Epochs, cfg.Recipe.DropLast = 2, true
	cfg.Saving = net.Saving{Dir: t.TempDir(), EverySteps: 3}
	p := &counting{Program: compile(t, cfg)}
	var at []net.Position
	var log recorder
	cfg.Observers = []net.Observer{&log, net.ObserverFunc(func(e net.Event) error {
		if s, ok := e.(net.CheckpointSaved); ok && s.Reason == net.AtPeriod {
			at = append(at, load(t, s.Path).Position)
		}
		return nil
	})}
	if _, err := net.Train(t.Context(), p, cfg); err != nil {
		t.Fatal(err)
	}
	order := make([]int32, 42)
	for epoch := range 2 {
		net.Shuffle(cfg.Recipe.Seed, epoch, order)
		var seen []int32
		for _, b := range p.batches[4*epoch : 4*epoch+4] {
			seen = append(seen, b...)
		}
		if !slices.Equal(seen, order[:40]) {
			t.Errorf("epoch %d visits %v, want the first 40 of %v", epoch, seen, order)
		}
	}
	// Of 8 steps, the third and the sixth.
	if len(p.batches) != 8 || len(at) != 2 || at[0].Step != 3 || at[0].Samples != 30 || at[1].Step != 2 || at[1].Samples != 20 {
		t.Errorf("%d steps, checkpoints at %+v", len(p.batches), at)
	}
	if s := only[net.Started](&log)[0]; s.StepsPerEpoch != 4 || s.Train != 42 {
		t.Errorf("started: %+v", s)
	}
}

// slowly makes each update of a program take some time.
func slowly(p *counting, d time.Duration) *counting {
	p.step = func(int) error {
		time.Sleep(d)
		return nil
	}
	return p
}

func TestMaxTime(t *testing.T) {
	whole := smallRun()
	whole.Saving.Dir = t.TempDir()
	want := load(t, train(t, whole).Last)

	// In the midst of an epoch: the fourth of 20 steps, or an earlier one where the
	// machine is slow.
	cfg := whole
	cfg.Saving.Dir = t.TempDir()
	cfg.MaxTime, cfg.Interval = 100*time.Millisecond, 100
	var log recorder
	cfg.Observers = []net.Observer{&log}
	p := slowly(&counting{Program: compile(t, cfg)}, 30*time.Millisecond)
	r, err := net.Train(t.Context(), p, cfg)
	steps := len(p.batches)
	if err != nil || !r.TimeUp || r.EarlyStopped || steps < 1 || steps > 4 || len(r.Epochs) != 0 {
		t.Fatalf("%+v after %d steps (%v)", r, steps, err)
	}
	c := load(t, cfg.Saving.Dir)
	saved := only[net.CheckpointSaved](&log)
	if c.State.Step != int64(steps) || len(saved) != 1 || saved[0].Reason != net.AtTimeUp || saved[0].Step != steps {
		t.Errorf("saved %+v after %d steps", saved, steps)
	}
	if told := only[net.Progress](&log); len(told) == 0 || told[len(told)-1].Step != steps {
		t.Errorf("progress %+v of %d steps", told, steps)
	}
	if done := only[net.Done](&log); len(done) != 1 || !done[0].TimeUp || done[0].Last != r.Last || r.Last == "" {
		t.Errorf("done %+v", done)
	}
	cfg.Resume, cfg.MaxTime, cfg.Observers = c, 0, nil
	r = train(t, cfg)
	sameState(t, "after time was up, resumed", load(t, r.Last), want)
	if r.TimeUp {
		t.Errorf("resumed without a limit: %+v", r)
	}

	// At the end of an epoch: it is evaluated and saved like any other.
	cfg = smallRun()
	cfg.Saving.Dir, cfg.MaxTime = t.TempDir(), 20*time.Millisecond
	cfg.Recipe.Batch = 42
	r, err = net.Train(t.Context(), slowly(&counting{Program: compile(t, cfg)}, 30*time.Millisecond), cfg)
	if err != nil || !r.TimeUp || len(r.Epochs) != 1 || r.Epochs[0].Validation == nil || load(t, r.Last).Position.Epoch != 1 {
		t.Errorf("%+v (%v)", r, err)
	}
	// At the end of the last, nothing was cut off.
	cfg.Recipe.Epochs, cfg.Saving.Dir = 1, ""
	if r, err := net.Train(t.Context(), slowly(&counting{Program: compile(t, cfg)}, 30*time.Millisecond), cfg); err != nil || r.TimeUp || len(r.Epochs) != 1 {
		t.Errorf("%+v (%v)", r, err)
	}
	// Without a folder nothing is saved.
	cfg = smallRun()
	cfg.MaxTime = time.Nanosecond
	if r := train(t, cfg); !r.TimeUp || r.Last != "" || len(r.Epochs) != 0 {
		t.Errorf("%+v", r)
	}
}

// TestProgressByTime counts how often the host waits for the device.
func TestProgressByTime(t *testing.T) {
	plan, err := small().Plan()
	if err != nil {
		t.Fatal(err)
	}
	cfg := smallRun()
	cfg.Train = stripes("train", 5000, 1)
	cfg.Validation, cfg.Test, cfg.Interval, cfg.Recipe.Epochs = nil, nil, 0, 1
	for _, c := range []struct {
		name  string
		pause time.Duration
	}{{"fast steps", 0}, {"slow steps", 2 * time.Millisecond}} {
		var log recorder
		cfg.Observers = []net.Observer{&log}
		p := &idle{plan: plan, opts: cfg.Options(), pause: c.pause}
		began := time.Now()
		if _, err := net.Train(t.Context(), p, cfg); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		told := only[net.Progress](&log)
		// Once before the first step, once at the epoch's end, and four times a second.
		if most := 2 + int(took/(250*time.Millisecond)); p.taken > most {
			t.Errorf("%s: in %v and %d steps the metrics were taken %d times, more than %d", c.name, took, p.steps, p.taken, most)
		}
		if last := told[len(told)-1]; last.Step != 500 || p.steps != 500 {
			t.Errorf("%s: the last progress of %d steps is %+v", c.name, p.steps, last)
		}
		if c.pause > 0 && len(told) < 3 { // it takes a second at least
			t.Errorf("%s: %d times of progress in %v", c.name, len(told), took)
		}
	}
}

func TestSettingsRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*net.Config)
		want   string
	}{
		{"augmentation", func(c *net.Config) { c.Recipe.Augment.Rotate = 360 }, "recipe: augmentation: rotate"},
		{"a crop of everything", func(c *net.Config) { c.Recipe.Augment.Crop = 4 }, "crop moves pictures by up to 4 pixels"},
		{"weights of too many classes", func(c *net.Config) { c.Recipe.Loss.ClassWeights = []float64{1, 1, 1, 1} }, "4 class weights for 3 classes"},
		{"a pattern of nothing", func(c *net.Config) { c.Recipe.Optimizer.Groups = []net.Group{{Params: "fc.*", Factor: 2}} }, `no trained parameter matches "fc.*"`},
		{"top", func(c *net.Config) { c.Top = -1 }, "cannot look at the -1 most probable classes: the network tells 3 apart"},
		{"top of more than all", func(c *net.Config) { c.Top = 4 }, "cannot look at the 4 most probable classes: the network tells 3 apart"},
		{"drops all", func(c *net.Config) { c.Recipe.DropLast, c.Recipe.Accumulate = true, 5 }, "dropping an epoch's last samples leaves none: data set train has 42, and an update takes 50"},
		{"time", func(c *net.Config) { c.MaxTime = -1 }, "intervals must be at least 0"},
		{"compiled without averages", func(c *net.Config) { c.Recipe.Average = 0.5 }, "compiled with other options"},
		{"compiled with another loss", func(c *net.Config) { c.Recipe.Loss.Smoothing = 0.5 }, "compiled with other options"},
	} {
		cfg := smallRun()
		p := compile(t, cfg)
		c.change(&cfg)
		if _, err := net.Train(t.Context(), p, cfg); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestResumeRefusesOtherSettings(t *testing.T) {
	base := richRun()
	base.Saving.Dir = t.TempDir()
	train(t, base)
	for _, c := range []struct {
		name   string
		change func(*net.Config)
		want   string // "" where it is right
	}{
		{"the same", func(*net.Config) {}, ""},
		{"another name of the augmentation", func(c *net.Config) { c.Recipe.Augment.Name = "mine" }, ""},
		{"another top", func(c *net.Config) { c.Top = 3 }, ""},
		{"another subject", func(c *net.Config) { c.Subject = nil }, ""},
		{"smoothing", func(c *net.Config) { c.Recipe.Loss.Smoothing = 0.2 }, "loss.label_smoothing 0.1, not 0.2"},
		{"balance", func(c *net.Config) { c.Recipe.Balance = false }, "balance true, not unset"},
		{"weights", func(c *net.Config) { c.Recipe.Balance, c.Recipe.Loss.ClassWeights = false, []float64{1, 2} }, "balance true, not unset"},
		{"drop last", func(c *net.Config) { c.Recipe.DropLast = false }, "drop_last true, not unset"},
		{"average", func(c *net.Config) { c.Recipe.Average = 0.99 }, "average 0.9, not 0.99"},
		{"lookahead", func(c *net.Config) { c.Recipe.Average, c.Recipe.Lookahead = 0, net.Lookahead{Every: 2, Start: 1} }, "average 0.9, not unset"},
		{"no averages", func(c *net.Config) { c.Resume.State.Average = nil }, "lacks the averaged weights"},
		{"augmentation", func(c *net.Config) { c.Recipe.Augment.Rotate++ }, "augment.rotate 10, not 11"},
		{"a setting of a setting", func(c *net.Config) { c.Recipe.Augment.Erase = &net.Erase{Size: 0.3, Probability: 0.6} }, "augment.erase.probability 0.5, not 0.6"},
		{"views", func(c *net.Config) { c.Recipe.Views = net.MirrorView }, `views "six", not "mirror"`},
		{"groups", func(c *net.Config) { c.Recipe.Optimizer.Groups = c.Recipe.Optimizer.Groups[:1] }, "optimizer.groups ["},
	} {
		cfg := base
		cfg.Resume = load(t, cfg.Saving.Dir)
		cfg.Saving.Dir = ""
		c.change(&cfg)
		_, err := net.Train(t.Context(), compile(t, cfg), cfg)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, net.ErrResume) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestViewsWeights(t *testing.T) {
	in := net.Shape{C: 1, H: 4, W: 4}
	d := stripes("pictures", 6, 5)
	all := []int32{5, 0, 3}
	p := compile(t, smallRun())
	x := func(m [6]float32) net.Batch {
		v := net.PlainView()
		v.Matrix, v.Border = m, net.ReflectBorder
		return net.Batch{Data: d, Indices: all, Views: []net.View{v, v, v}}
	}
	// What six views say they are: the weights of their logits.
	type one struct {
		matrix [6]float32
		weight float64
	}
	six := []one{
		{[6]float32{1, 0, 0, 0, 1, 0}, 0.25}, {[6]float32{-1, 0, 3, 0, 1, 0}, 0.25},
		{[6]float32{1, 0, -1, 0, 1, -1}, 0.125}, {[6]float32{1, 0, 1, 0, 1, 1}, 0.125},
		{[6]float32{-1, 0, 2, 0, 1, -1}, 0.125}, {[6]float32{-1, 0, 4, 0, 1, 1}, 0.125},
	}
	for views, of := range map[net.Views][]one{
		net.OneView:    {{[6]float32{1, 0, 0, 0, 1, 0}, 1}},
		net.MirrorView: {{six[0].matrix, 0.5}, {six[1].matrix, 0.5}},
		net.SixViews:   six,
	} {
		got, err := views.Infer(p, net.Batch{Data: d, Indices: all})
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float64, len(got))
		for _, v := range of {
			probabilities, err := p.Infer(x(v.matrix))
			if err != nil {
				t.Fatal(err)
			}
			for i, q := range probabilities.Float32s() {
				want[i] += v.weight * math.Log(float64(q))
			}
		}
		for k := 0; k < len(want); k += 3 {
			sum := 0.0
			for i := k; i < k+3; i++ {
				want[i] = math.Exp(want[i])
				sum += want[i]
			}
			for i := k; i < k+3; i++ {
				want[i] /= sum
			}
		}
		// The probabilities are rounded to float32.
		approx.Check(t, "views "+string(views), got, want, approx.Tolerance{Rel: 1e-6})
		if views == net.OneView {
			plain, err := p.Infer(net.Batch{Data: d, Indices: all})
			if err != nil || !slices.Equal(plain.Float32s(), got) {
				t.Errorf("one view gives %v, want %v (%v)", got, plain, err)
			}
		}
	}
	// A picture mirrored before gets the same answers from both sides.
	mirrored := &net.Dataset{Name: "mirrored", Shape: in, Classes: 3, Scale: d.Scale, Labels: d.Labels}
	for at := 0; at < len(d.Pixels); at += 4 {
		row := slices.Clone(d.Pixels[at : at+4])
		slices.Reverse(row)
		mirrored.Pixels = append(mirrored.Pixels, row...)
	}
	one1, err1 := net.MirrorView.Infer(p, net.Batch{Data: d, Indices: all})
	two, err2 := net.MirrorView.Infer(p, net.Batch{Data: mirrored, Indices: all})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	approx.Check(t, "both sides", two, one1, approx.Tolerance{Rel: 1e-6})
}

func TestViewsEvaluate(t *testing.T) {
	d := stripes("pictures", 50, 5)
	all := make([]int32, 50)
	for i := range all {
		all[i] = int32(i)
	}
	b := net.Batch{Data: d, Indices: all}
	p := compile(t, smallRun())
	plain, err := p.Evaluate(b)
	if err != nil {
		t.Fatal(err)
	}
	for top, want := range map[int]int64{0: 0, 1: 0, 3: 50, 9: 50} {
		m, in, err := net.OneView.Evaluate(p, b, top)
		if err != nil || m != plain || in != want {
			t.Errorf("top %d: %+v, %d within (%v); want %+v, %d", top, m, in, err, plain, want)
		}
	}
	if _, in, err := net.OneView.Evaluate(p, b, 2); err != nil || in < plain.Hits || in == 0 {
		t.Errorf("%d hits, %d among two (%v)", plain.Hits, in, err)
	}
	// Several views: of what Infer answers.
	probabilities, err := net.SixViews.Infer(p, b)
	if err != nil {
		t.Fatal(err)
	}
	want, hits := 0.0, int64(0)
	for i := range all {
		row := probabilities[3*i : 3*i+3]
		want -= math.Log(float64(row[d.Labels[i]]))
		if slices.Max(row) == row[d.Labels[i]] {
			hits++
		}
	}
	m, _, err := net.SixViews.Evaluate(p, b, 0)
	if err != nil || m.Hits != hits || m.Samples != 50 {
		t.Errorf("%+v (%v), want %d hits", m, err, hits)
	}
	approx.Check(t, "loss", []float64{m.Loss}, []float64{want}, sums)
	if err := net.Views("nine").Check(); err == nil || !strings.Contains(err.Error(), `unknown views "nine" (want mirror or six)`) {
		t.Errorf("error %v", err)
	}
}

func TestRanks(t *testing.T) {
	nan := float32(math.NaN())
	probabilities := []float32{
		0.5, 0.3, 0.2,
		0.3, 0.4, 0.3, // of equal ones the lower number comes first
		0.2, 0.6, 0.2,
		nan, 0.9, 0.1,
	}
	for _, c := range []struct {
		labels []int32
		want   [3]int64
	}{
		{[]int32{0, 1, 1, 1}, [3]int64{3, 3, 3}},
		{[]int32{2, 0, 0, 0}, [3]int64{0, 2, 3}},
		{[]int32{1, 2, 2, 2}, [3]int64{0, 1, 3}},
	} {
		var got [3]int64
		for k := range got {
			got[k] = net.Ranks(probabilities, c.labels, k+1)
		}
		if got != c.want {
			t.Errorf("labels %v: %v among the first one, two, three; want %v", c.labels, got, c.want)
		}
	}
}

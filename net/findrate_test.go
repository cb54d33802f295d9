package net_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// watched is a device that counts what is open.
type watched struct {
	net.Device
	open   int
	change func(net.Program) net.Program
}

type watchedProgram struct {
	net.Program
	of *watched
}

func (d *watched) Compile(n *net.Network, opts net.Options) (net.Program, error) {
	p, err := d.Device.Compile(n, opts)
	if err != nil {
		return nil, err
	}
	if d.change != nil {
		p = d.change(p)
	}
	d.open++
	return &watchedProgram{p, d}, nil
}

func (p *watchedProgram) Close() error {
	p.of.open--
	return p.Program.Close()
}

func findRate(t *testing.T, cfg net.Config, r net.RateRange) *net.RateTest {
	t.Helper()
	d := &watched{Device: reference.New()}
	test, err := net.FindRate(t.Context(), d, small(), cfg, r)
	if err != nil || d.open != 0 {
		t.Fatalf("%d programs are open (%v)", d.open, err)
	}
	return test
}

func TestFindRate(t *testing.T) {
	cfg := smallRun()
	cfg.Train = stripes("train", 300, 1)
	cfg.Recipe.Optimizer = net.SGDDefault(123) // the rate is not looked at
	cfg.Recipe.Optimizer.Schedule, cfg.Recipe.WarmupEpochs = net.Schedule{Method: net.CosineRate}, 0.5
	r := net.RateRange{From: 1e-4, To: 100, Steps: 100} // three epochs of 30 steps, and ten
	var log recorder
	cfg.Observers = []net.Observer{&log}
	test := findRate(t, cfg, r)
	cfg.Observers = nil
	for i, p := range only[net.Progress](&log) {
		if p.Step != i+1 || p.Steps != 100 || p.Epoch != i/30+1 || p.Loss != test.Points[i].Loss || p.LearningRate != test.Points[i].Rate {
			t.Errorf("progress %d: %+v", i, p)
		}
	}
	if len(log.events) != len(test.Points) {
		t.Errorf("%d events of %d points", len(log.events), len(test.Points))
	}
	if n := len(test.Points); !test.Diverged || n < 50 || n >= 100 {
		t.Errorf("%d points, diverged %v", n, test.Diverged)
	}
	// The rates grow by the same factor, and the losses are those of a run at such rates.
	p := compileNetwork(t, small(), net.Options{
		Batch: 10, Seed: cfg.Recipe.Seed, Images: cfg.Train,
		Optimizer: net.Optimizer{Rule: net.Rule{Method: net.SGD, LearningRate: 100}, Schedule: net.Schedule{Method: net.ExponentialRate, Start: 1e-6, Final: 1, Total: 99}},
	})
	order := make([]int32, 300)
	var rates, losses, wantRates, wantLosses []float64
	for i, point := range test.Points {
		if i%30 == 0 {
			net.Shuffle(cfg.Recipe.Seed, i/30, order)
		}
		if err := p.Step(net.Batch{Data: cfg.Train, Indices: order[i%30*10 : i%30*10+10]}); err != nil {
			t.Fatal(err)
		}
		m, err := p.TakeMetrics()
		if err != nil {
			t.Fatal(err)
		}
		rates, wantRates = append(rates, point.Rate), append(wantRates, 1e-4*math.Pow(1e6, float64(i)/99))
		losses, wantLosses = append(losses, point.Loss), append(wantLosses, m.MeanLoss())
	}
	approx.Check(t, "rates", rates, wantRates, approx.Tolerance{Rel: 1e-12})
	approx.Check(t, "losses", losses, wantLosses, approx.Tolerance{})
	steepest, tenth := test.SteepestRate(), test.LeastTenth()
	if !(steepest > 1e-3 && steepest < 10 && tenth > 1e-3 && tenth < 1) || test.Steepest >= test.Least || test.Suggestion() != min(steepest, tenth) {
		t.Errorf("suggested %v and %v, at points %d and %d", steepest, tenth, test.Steepest, test.Least)
	}
	// What it suggests learns.
	cfg.Recipe.Optimizer = net.SGDDefault(steepest)
	cfg.Recipe.WarmupEpochs, cfg.Recipe.Epochs, cfg.Test = 0, 5, nil
	if run := train(t, cfg).Epochs; run[4].Cost > run[0].Cost/2 {
		t.Errorf("at the rate %v the loss falls from %v to %v", steepest, run[0].Cost, run[4].Cost)
	}
}

func TestFindRateTakesTheRecipe(t *testing.T) {
	r := net.RateRange{From: 1e-4, To: 1e-2, Steps: 10}
	base := findRate(t, richRun(), r)
	if len(base.Points) != 10 || base.Diverged {
		t.Errorf("%d points, diverged %v", len(base.Points), base.Diverged)
	}
	for name, change := range map[string]func(*net.Recipe){
		"smoothing": func(r *net.Recipe) { r.Loss.Smoothing = 0 }, "augmentation": func(r *net.Recipe) { r.Augment = net.Augment{} },
		"accumulation": func(r *net.Recipe) { r.Accumulate = 0 }, "seed": func(r *net.Recipe) { r.Seed++ },
	} {
		cfg := richRun()
		change(&cfg.Recipe)
		if got := findRate(t, cfg, r).Points[1].Loss; got == base.Points[1].Loss {
			t.Errorf("without %s the loss is the same", name)
		}
	}
	for name, change := range map[string]func(*net.Config){
		"averages": func(c *net.Config) { c.Recipe.Average = 0 }, "patience": func(c *net.Config) { c.Recipe.Patience, c.Validation = 3, nil },
		"a folder": func(c *net.Config) { c.Saving.Dir = "/no/such/folder" }, "a rate": func(c *net.Config) { c.Recipe.Optimizer.LearningRate = 7 },
	} {
		cfg := richRun()
		change(&cfg)
		if got := findRate(t, cfg, r).Points[9].Loss; got != base.Points[9].Loss {
			t.Errorf("with another setting of %s the loss is another", name)
		}
	}
}

func TestFindRateFindsNothing(t *testing.T) {
	cfg := smallRun()
	cfg.Train = stripes("train", 300, 1)
	cfg.Recipe.Batch = 100
	test := findRate(t, cfg, net.RateRange{From: 1e-12, To: 1e-10, Steps: 20})
	if test.Steepest != -1 || test.Least != -1 || test.SteepestRate() != 0 || test.LeastTenth() != 0 || test.Diverged || len(test.Points) != 20 {
		t.Errorf("at rates that change nothing: %+v", test)
	}
	cfg.Recipe.Optimizer = net.SGDDefault(1)
	test = findRate(t, cfg, net.RateRange{From: 1e25, To: 1e38, Steps: 20})
	if !test.Diverged || len(test.Points) == 0 || len(test.Points) > 10 || test.Least > 0 {
		t.Errorf("at rates beyond reason: %+v", test)
	}
	for _, point := range test.Points {
		if point.Loss-point.Loss != 0 || point.Smooth-point.Smooth != 0 {
			t.Errorf("a point of %+v", point)
		}
	}
}

func TestFindRateRefusals(t *testing.T) {
	good := net.RateRange{From: 1e-5, To: 1, Steps: 20}
	broken := errors.New("bus error")
	for _, c := range []struct {
		name   string
		change func(*net.Config, *net.RateRange, *watched)
		want   string
	}{
		{"from nothing", func(_ *net.Config, r *net.RateRange, _ *watched) { r.From = 0 }, "want more than 0 and rising, got 0 to 1"},
		{"falling", func(_ *net.Config, r *net.RateRange, _ *watched) { r.From = 2 }, "want more than 0 and rising, got 2 to 1"},
		{"NaN", func(_ *net.Config, r *net.RateRange, _ *watched) { r.To = math.NaN() }, "want more than 0 and rising"},
		{"infinite", func(_ *net.Config, r *net.RateRange, _ *watched) { r.To = math.Inf(1) }, "want more than 0 and rising"},
		{"too short", func(_ *net.Config, r *net.RateRange, _ *watched) { r.Steps = 9 }, "want at least 10 steps, got 9"},
		{"no data", func(c *net.Config, _ *net.RateRange, _ *watched) { c.Train = nil }, "needs a training set"},
		{"other data", func(c *net.Config, _ *net.RateRange, _ *watched) { c.Train.Labels[0] = 5 }, "label 5 of sample 0"},
		{"recipe", func(c *net.Config, _ *net.RateRange, _ *watched) { c.Recipe.Batch = 0 }, "batch size must be"},
		{"a pattern of nothing", func(c *net.Config, _ *net.RateRange, _ *watched) {
			c.Recipe.Optimizer.Groups = []net.Group{{Params: "fc.*", Factor: 2}}
		}, `no trained parameter matches "fc.*"`},
		{"the device", func(_ *net.Config, _ *net.RateRange, d *watched) {
			d.change = func(p net.Program) net.Program {
				return &counting{Program: p, step: func(n int) error {
					if n == 3 {
						return broken
					}
					return nil
				}}
			}
		}, "bus error"},
		{"an observer", func(c *net.Config, _ *net.RateRange, _ *watched) {
			c.Observers = []net.Observer{&recorder{fail: func(e net.Event) bool { return e.(net.Progress).Step == 5 }}}
		}, "observer: log disk full"},
		{"the first loss", func(_ *net.Config, _ *net.RateRange, d *watched) {
			d.change = func(p net.Program) net.Program {
				return &counting{Program: p, metrics: func(m net.Metrics, _ *net.Dataset) net.Metrics { m.FirstBad = 1; return m }}
			}
		}, "the loss of the first mini-batch is NaN or infinite"},
	} {
		cfg, r, d := smallRun(), good, &watched{Device: reference.New()}
		c.change(&cfg, &r, d)
		test, err := net.FindRate(t.Context(), d, small(), cfg, r)
		if err == nil || test != nil || !strings.HasPrefix(err.Error(), "find rate: ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		if d.open != 0 {
			t.Errorf("%s: %d programs are open", c.name, d.open)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := net.FindRate(ctx, reference.New(), small(), smallRun(), good); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: error %v", err)
	}
	for _, m := range []net.Method{net.SGD, net.Adam, net.AdamW} {
		if err := net.RateRangeFor(m).Check(); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
}

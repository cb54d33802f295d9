package net

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
)

// rounding is the tolerance for a few float64 operations.
var rounding = approx.Tolerance{Abs: 1e-15, Rel: 1e-12}

func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		name  string
		s     Schedule
		steps []int64
		want  []float64
	}{
		{"zero", Schedule{}, []int64{0, 1e9}, []float64{1, 1}},
		{"constant, warm-up", Schedule{Method: ConstantRate, Warmup: 4}, []int64{0, 1, 3, 4, 5}, []float64{0.2, 0.4, 0.8, 1, 1}},
		{"step", Schedule{Method: StepRate, Every: 10, Factor: 0.1}, []int64{0, 9, 10, 19, 20, 35}, []float64{1, 1, 0.1, 0.1, 0.01, 0.001}},
		{
			"step counts after warm-up", Schedule{Method: StepRate, Warmup: 5, Every: 10, Factor: 0.5},
			[]int64{4, 5, 14, 15, 25}, []float64{5. / 6, 1, 1, 0.5, 0.25},
		},
		{
			"cosine", Schedule{Method: CosineRate, Total: 100, Final: 0.2},
			[]int64{0, 25, 50, 75, 100, 500}, []float64{1, 0.2 + 0.8*(1+math.Sqrt2/2)/2, 0.6, 0.2 + 0.8*(1-math.Sqrt2/2)/2, 0.2, 0.2},
		},
		{
			"cosine, warm-up", Schedule{Method: CosineRate, Warmup: 20, Total: 120},
			[]int64{0, 19, 20, 70, 120}, []float64{1. / 21, 20. / 21, 1, 0.5, 0},
		},
		{
			"one cycle", Schedule{Method: OneCycleRate, Total: 100, Start: 0.1, Peak: 0.4, Final: 0.01},
			[]int64{0, 20, 40, 70, 100, 200}, []float64{0.1, 0.55, 1, 0.505, 0.01, 0.01},
		},
		{
			"one cycle, warm-up to the start", Schedule{Method: OneCycleRate, Warmup: 9, Total: 109, Start: 0.5, Peak: 0.5},
			[]int64{0, 8, 9, 59, 109}, []float64{0.05, 0.45, 0.5, 1, 0},
		},
		{"one cycle, falling only", Schedule{Method: OneCycleRate, Total: 10, Final: 0.5}, []int64{0, 5, 10}, []float64{1, 0.75, 0.5}},
		{"one cycle, rising only", Schedule{Method: OneCycleRate, Total: 10, Peak: 1}, []int64{0, 5, 10}, []float64{0, 0.5, 1}},
	} {
		o := Optimizer{LearningRate: 3, Schedule: c.s}
		got := make([]float64, len(c.steps))
		want := make([]float64, len(c.steps))
		for i, step := range c.steps {
			got[i], want[i] = o.Rate(step), 3*c.want[i]
		}
		approx.Check(t, c.name, got, want, rounding)
	}
}

func TestAdamRate(t *testing.T) {
	o := AdamDefault(0.5)
	got := []float64{o.AdamRate(0), o.AdamRate(1), o.AdamRate(1_000_000)}
	want := []float64{
		0.5 * math.Sqrt(0.001) / 0.1,
		0.5 * math.Sqrt(1-0.999*0.999) / (1 - 0.81),
		0.5, // both corrections have gone
	}
	approx.Check(t, "Adam's rate", got, want, rounding)
}

func TestMoments(t *testing.T) {
	for _, c := range []struct {
		o    Optimizer
		want []string
	}{
		{AdamDefault(1), []string{"m", "v"}},
		{Optimizer{Method: AdamW}, []string{"m", "v"}},
		{SGDDefault(1), nil},
		{Optimizer{Method: SGD, Momentum: 0.9}, []string{"v"}},
	} {
		if got := c.o.Moments(); !slices.Equal(got, c.want) {
			t.Errorf("%+v has moments %v, want %v", c.o, got, c.want)
		}
	}
}

func TestOptimizerCheck(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	with := func(o Optimizer, change func(*Optimizer)) Optimizer { change(&o); return o }
	adam, sgd := AdamDefault(1e-3), SGDDefault(0.1)
	for _, c := range []struct {
		name string
		o    Optimizer
		want string // "" where it is right
	}{
		{"Adam", adam, ""},
		{"SGD", sgd, ""},
		{"AdamW", with(adam, func(o *Optimizer) { o.Method, o.WeightDecay = AdamW, 0.01 }), ""},
		{"Nesterov", with(sgd, func(o *Optimizer) { o.Momentum, o.Nesterov = 0.9, true }), ""},
		{"rate 0", with(adam, func(o *Optimizer) { o.LearningRate = 0 }), ""},
		{"rate below 0", with(adam, func(o *Optimizer) { o.LearningRate = -1 }), "learning rate"},
		{"rate NaN", with(adam, func(o *Optimizer) { o.LearningRate = nan }), "learning rate"},
		{"rate infinite", with(adam, func(o *Optimizer) { o.LearningRate = inf }), "learning rate"},
		{"method", with(adam, func(o *Optimizer) { o.Method = "rmsprop" }), `unknown method "rmsprop"`},
		{"no method", Optimizer{}, "unknown method"},
		{"beta1", with(adam, func(o *Optimizer) { o.Beta1 = 1 }), "beta1"},
		{"beta2", with(adam, func(o *Optimizer) { o.Beta2 = -0.1 }), "beta2"},
		{"epsilon", with(adam, func(o *Optimizer) { o.Epsilon = nan }), "epsilon"},
		{"no epsilon", with(adam, func(o *Optimizer) { o.Epsilon = 0 }), "epsilon must be at least 1.17"},
		{"no step factor", with(sgd, func(o *Optimizer) { o.Schedule = Schedule{Method: StepRate, Every: 1} }), "needs a factor above 0"},
		{"momentum", with(sgd, func(o *Optimizer) { o.Momentum = 1 }), "momentum"},
		{"Nesterov without momentum", with(sgd, func(o *Optimizer) { o.Nesterov = true }), "nesterov needs a momentum"},
		{"decay", with(sgd, func(o *Optimizer) { o.WeightDecay = -1 }), "weight decay"},
		{"clip", with(sgd, func(o *Optimizer) { o.ClipNorm = inf }), "clip norm"},
		{"schedule", with(sgd, func(o *Optimizer) { o.Schedule.Method = "linear" }), `unknown method "linear"`},
		{"warm-up", with(sgd, func(o *Optimizer) { o.Schedule.Warmup = -1 }), "warm-up must be at least 0"},
		{"factor", with(sgd, func(o *Optimizer) { o.Schedule.Factor = 2 }), "factor must be from 0 to 1"},
		{"final", with(sgd, func(o *Optimizer) { o.Schedule.Final = nan }), "final must be from 0 to 1"},
		{"start", with(sgd, func(o *Optimizer) { o.Schedule.Start = -1 }), "start must be from 0 to 1"},
		{"peak", with(sgd, func(o *Optimizer) { o.Schedule.Peak = 1.1 }), "peak must be from 0 to 1"},
		{"every", with(sgd, func(o *Optimizer) { o.Schedule.Method = StepRate }), "every at least 1"},
		{"total", with(sgd, func(o *Optimizer) { o.Schedule = Schedule{Method: CosineRate, Total: 5, Warmup: 5} }), "more steps in total"},
	} {
		err := c.o.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestOptionsCheck(t *testing.T) {
	if err := (Options{Batch: 1, Optimizer: SGDDefault(1)}).Check(); err != nil {
		t.Error(err)
	}
	for _, o := range []Options{{Optimizer: SGDDefault(1)}, {Batch: 1}} {
		if err := o.Check(); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

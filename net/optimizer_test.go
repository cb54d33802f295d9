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
		{
			"exponential", Schedule{Method: ExponentialRate, Total: 100, Start: 1e-4, Final: 1},
			[]int64{0, 25, 50, 75, 100, 900}, []float64{1e-4, 1e-3, 1e-2, 0.1, 1, 1},
		},
		{
			"exponential, falling after warm-up", Schedule{Method: ExponentialRate, Warmup: 3, Total: 23, Start: 0.8, Final: 0.2},
			[]int64{0, 2, 3, 13, 23}, []float64{0.2, 0.6, 0.8, 0.4, 0.2},
		},
		{"one cycle, rising only", Schedule{Method: OneCycleRate, Total: 10, Peak: 1}, []int64{0, 5, 10}, []float64{0, 0.5, 1}},
	} {
		o := Optimizer{Rule: Rule{LearningRate: 3}, Schedule: c.s}
		got := make([]float64, len(c.steps))
		want := make([]float64, len(c.steps))
		for i, step := range c.steps {
			got[i], want[i] = o.Rate(step), 3*c.want[i]
		}
		approx.Check(t, c.name, got, want, rounding)
	}
}

func TestAdamRates(t *testing.T) {
	o := AdamDefault(0.5)
	got := []float64{o.Rates(0).Update, o.Rates(1).Update, o.Rates(1_000_000).Update}
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
		{Optimizer{Rule: Rule{Method: AdamW}}, []string{"m", "v"}},
		{SGDDefault(1), nil},
		{Optimizer{Rule: Rule{Method: SGD, Momentum: 0.9}}, []string{"v"}},
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
	muon := Optimizer{Rule: Rule{Method: Muon, LearningRate: 0.1, Momentum: 0.9, Nesterov: true, Iterations: 5, Rescale: true}}
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
		{"schedule", with(sgd, func(o *Optimizer) { o.Schedule.Method = "zigzag" }), `unknown method "zigzag"`},
		{"warm-up", with(sgd, func(o *Optimizer) { o.Schedule.Warmup = -1 }), "warm-up must be at least 0"},
		{"factor", with(sgd, func(o *Optimizer) { o.Schedule.Factor = 2 }), "factor must be from 0 to 1"},
		{"final", with(sgd, func(o *Optimizer) { o.Schedule.Final = nan }), "final must be from 0 to 1"},
		{"start", with(sgd, func(o *Optimizer) { o.Schedule.Start = -1 }), "start must be from 0 to 1"},
		{"peak", with(sgd, func(o *Optimizer) { o.Schedule.Peak = 1.1 }), "peak must be from 0 to 1"},
		{"linear", with(sgd, func(o *Optimizer) { o.Schedule = Schedule{Method: LinearRate, Total: 5} }), ""},
		{"linear without steps", with(sgd, func(o *Optimizer) { o.Schedule = Schedule{Method: LinearRate} }), "more steps in total"},
		{"every", with(sgd, func(o *Optimizer) { o.Schedule.Method = StepRate }), "every at least 1"},
		{"exponential", with(sgd, func(o *Optimizer) { o.Schedule = Schedule{Method: ExponentialRate, Total: 5, Start: 0.1, Final: 1} }), ""},
		{"exponential from nothing", with(sgd, func(o *Optimizer) { o.Schedule = Schedule{Method: ExponentialRate, Total: 5, Final: 1} }), "needs a start and an end above 0"},
		{"exponential to nothing", with(sgd, func(o *Optimizer) { o.Schedule = Schedule{Method: ExponentialRate, Total: 5, Start: 1} }), "needs a start and an end above 0"},
		{"exponential without steps", with(sgd, func(o *Optimizer) { o.Schedule = Schedule{Method: ExponentialRate, Start: 1, Final: 1} }), "more steps in total"},
		{"factors", with(sgd, func(o *Optimizer) {
			o.Groups = []Group{{Params: "*.bias", Factor: 0.5}, {Params: "dense?.*", Factor: 64}}
		}), ""},
		{"no factor", with(sgd, func(o *Optimizer) { o.Groups = []Group{{Params: "*.bias", Epochs: 3}} }), "the group *.bias has neither a method nor a factor above 0"},
		{"factor below 0", with(sgd, func(o *Optimizer) { o.Groups = []Group{{Params: "*.bias", Factor: -1}} }), "the factor of *.bias must be"},
		{"factor NaN", with(sgd, func(o *Optimizer) { o.Groups = []Group{{Params: "*.bias", Factor: nan}} }), "the factor of *.bias must be"},
		{"a group's rule", with(sgd, func(o *Optimizer) { o.Groups = []Group{{Params: "*", Rule: adam.Rule}} }), ""},
		{"a group's steps", with(sgd, func(o *Optimizer) { o.Groups = []Group{{Params: "*", Factor: 1, Rule: Rule{Steps: 5}}} }), ""},
		{"a rule and a factor", with(sgd, func(o *Optimizer) { o.Groups = []Group{{Params: "*", Factor: 2, Rule: adam.Rule}} }), "set its learning_rate"},
		{"settings without a method", with(sgd, func(o *Optimizer) { o.Groups = []Group{{Params: "*", Factor: 2, Rule: Rule{Momentum: 0.5}}} }), "has settings, but no method"},
		{"a group's bad rule", with(sgd, func(o *Optimizer) { o.Groups = []Group{{Params: "*", Rule: Rule{Method: Lion, Beta1: 2}}} }), "group *: optimiser: beta1"},
		{"steps below 0", with(sgd, func(o *Optimizer) { o.Groups = []Group{{Params: "*", Factor: 1, Rule: Rule{Steps: -1}}} }), "steps must be at least 0"},
		{"epochs below 0", with(sgd, func(o *Optimizer) { o.Groups = []Group{{Params: "*", Factor: 1, Epochs: -1}} }), "the epochs of *"},
		{"another's setting", with(sgd, func(o *Optimizer) { o.Beta1 = 0.9 }), "sgd has no setting beta1"},
		{"lion", LionDefault(1e-4), ""},
		{"lion's epsilon", with(LionDefault(1e-4), func(o *Optimizer) { o.Epsilon = 1 }), "lion has no setting epsilon"},
		{"muon", muon, ""},
		{"muon without iterations", with(muon, func(o *Optimizer) { o.Iterations = 0 }), "iterations must be at least 1"},
		{"bad pattern", with(sgd, func(o *Optimizer) { o.Groups = []Group{{Params: "[", Factor: 1}} }), `"[" is no pattern of names`},
		{"no pattern", with(sgd, func(o *Optimizer) { o.Groups = []Group{{Params: "", Factor: 1}} }), `"" is no pattern of names`},
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
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Optimizer: SGDDefault(1)}, "batch size must be from 1"}, {Options{Batch: 1}, "unknown method"},
		{Options{Batch: 1, Optimizer: SGDDefault(1), Average: 1}, "moving average must be"}, {Options{Batch: 1, Optimizer: SGDDefault(1), Average: math.NaN()}, "moving average must be"},
		{Options{Batch: 1, Optimizer: SGDDefault(1), Loss: Criterion{Smoothing: 1}}, "label smoothing must be"},
	} {
		if err := c.o.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q", c.o, err, c.want)
		}
	}
}

func TestLead(t *testing.T) {
	o := MuonDefault(0.1, 0.01)
	o.Schedule = Schedule{Method: LinearRate, Total: 10}
	if r := o.LeadRate(5); r != 0.05 || o.Rate(5) != 0.005 || o.Lead().Method != Muon {
		t.Errorf("the leading rate is %v, the own %v, the leading method %s", r, o.Rate(5), o.Lead().Method)
	}
	plan, err := (&Network{Input: Shape{1, 4, 4}, Layers: []Layer{&Flatten{}, &Dense{Units: 3}}}).Plan()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.CheckFor(plan); err != nil {
		t.Errorf("a network without hidden layers: %v", err)
	}
	if o := AdamDefault(0.1); o.Lead() != &o.Rule {
		t.Errorf("Adam's lead is %+v", o.Lead())
	}
}

func TestGroups(t *testing.T) {
	plan, err := (&Network{Input: Shape{1, 4, 4}, Layers: []Layer{
		&Conv{Filters: 2, Kernel: Square(3)}, &BatchNorm{}, &Flatten{},
		&Dense{Units: 3}, &Dense{Name: "head", Units: 3},
	}}).Plan()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		groups []Group
		want   map[string]float64 // of those that aren't 1
	}{
		{nil, nil},
		{[]Group{{Params: "head.*", Factor: 10}}, map[string]float64{"head.weight": 10, "head.bias": 10}},
		{[]Group{{Params: "batchnorm.bias", Factor: 64}}, map[string]float64{"batchnorm1.bias": 64}},
		{[]Group{{Params: "dense.weight", Factor: 2}}, map[string]float64{"dense1.weight": 2, "head.weight": 2}},
		{[]Group{{Params: "*.bias", Factor: 7}}, map[string]float64{"conv1.bias": 7, "batchnorm1.bias": 7, "dense1.bias": 7, "head.bias": 7}},
		// The first that matches counts.
		{[]Group{{Params: "head.bias", Factor: 3}, {Params: "*.bias", Factor: 0.5}, {Params: "*", Factor: 2}}, map[string]float64{
			"head.bias": 3, "conv1.bias": 0.5, "batchnorm1.bias": 0.5, "dense1.bias": 0.5,
			"conv1.weight": 2, "batchnorm1.weight": 2, "dense1.weight": 2, "head.weight": 2,
		}},
		{[]Group{{Params: "dense[12].weight", Factor: 4}, {Params: "conv?.weight", Factor: 5}}, map[string]float64{"dense1.weight": 4, "conv1.weight": 5}},
	} {
		o := SGDDefault(1)
		o.Groups = c.groups
		if err := o.CheckFor(plan); err != nil {
			t.Error(err)
		}
		for _, q := range plan.Trained() {
			want, ok := c.want[q.Name]
			if !ok {
				want = 1
			}
			if got := o.For(plan, q).LearningRate; got != want {
				t.Errorf("%v: %s has factor %v, want %v", c.groups, q.Name, got, want)
			}
		}
	}
	for groups, want := range map[*[]Group]string{
		{{Params: "conv1.weight", Factor: 2}, {Params: "*.bias", Factor: 3}, {Params: "conv1.*", Factor: 4}}:                      "the group conv1.* never counts",
		{{Params: HiddenMatrices, Rule: SGDDefault(1).Rule}, {Params: "conv1.weight", Rule: SGDDefault(2).Rule}}:                  "the group conv1.weight never counts",
		{{Params: HiddenMatrices, Rule: SGDDefault(1).Rule}, {Params: HiddenMatrices, Rule: SGDDefault(2).Rule}}:                  "the group @hidden never counts",
		{{Params: HiddenMatrices, Rule: SGDDefault(1).Rule}, {Params: "conv1.weight", Factor: 2}, {Params: "conv1.*", Factor: 4}}: "",
	} {
		o := SGDDefault(1)
		o.Groups = *groups
		if err := o.CheckFor(plan); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v: %v, want %q", o.Groups, err, want)
		}
	}
	for _, pattern := range []string{"dense9.*", "conv1", "batchnorm1.running_mean", "Dense1.*", "head"} {
		o := SGDDefault(1)
		o.Groups = []Group{{Params: "*.bias", Factor: 2}, {Params: pattern, Factor: 2}}
		if err := o.CheckFor(plan); err == nil || !strings.Contains(err.Error(), "no trained parameter matches \""+pattern+"\"") || !strings.Contains(err.Error(), "conv1.weight") {
			t.Errorf("%s: error %v", pattern, err)
		}
		if err := (Options{Batch: 1, Optimizer: o}).CheckFor(plan); err == nil || !strings.Contains(err.Error(), "no trained parameter matches") {
			t.Errorf("%s: error of the options %v", pattern, err)
		}
	}
}

// TestRuleAndFactor wants a factor to multiply the rate of a parameter's own rule, whichever group comes first.
func TestRuleAndFactor(t *testing.T) {
	plan, err := BuiltIn("lenet5").Plan()
	if err != nil {
		t.Fatal(err)
	}
	muon := MuonDefault(0.5, 0.01)
	for _, first := range []bool{false, true} {
		o := muon
		factor := Group{Params: "conv1.*", Factor: 0.1}
		if o.Groups = append(slices.Clone(muon.Groups), factor); first {
			o.Groups = append([]Group{factor}, muon.Groups...)
		}
		for _, q := range plan.Params {
			got, want := o.For(plan, q), muon.For(plan, q)
			if q.Name == "conv1.weight" || q.Name == "conv1.bias" {
				want.LearningRate *= 0.1
			}
			if got.Method != want.Method || got.LearningRate != want.LearningRate {
				t.Errorf("%s, factor first: %v: %s at %v, want %s at %v", q.Name, first, got.Method, got.LearningRate, want.Method, want.LearningRate)
			}
		}
	}
}

// TestLeadOfACopy wants what is set in one copy of an optimiser to leave others alone, and rates to keep their ratios.
func TestLeadOfACopy(t *testing.T) {
	o := MuonDefault(0.12, 0.005)
	other := o
	other.Lead().Momentum = 0.1
	other.SetRate(0.24)
	if o.Lead().Momentum == 0.1 || o.Lead().LearningRate != 0.12 || o.LearningRate != 0.005 {
		t.Errorf("the first has become %+v", o)
	}
	if other.Lead().LearningRate != 0.24 || other.LearningRate != 0.01 {
		t.Errorf("rates %v and %v, want 0.24 and 0.01", other.Lead().LearningRate, other.LearningRate)
	}
	if o.SetRate(0.12); o.LearningRate != 0.005 {
		t.Errorf("the same rate changes the other to %v", o.LearningRate)
	}
}

func TestUsualOptimizers(t *testing.T) {
	for _, m := range Methods() {
		o := m.Usual(0.5)
		if err := o.Check(); err != nil || o.Lead().Method != m || o.Lead().LearningRate != 0.5 {
			t.Errorf("%s: %+v, %v", m, o, err)
		}
	}
}

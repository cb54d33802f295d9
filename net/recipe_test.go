package net

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestRecipes(t *testing.T) {
	for _, r := range Recipes() {
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Recipe
		if err := strictUnmarshal(b, &back); err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%s came back from JSON as %+v (%v)", r.Name, back, err)
		}
		if named, ok := RecipeNamed(r.Name); !ok || !reflect.DeepEqual(named, r) {
			t.Errorf("the recipe named %s is %+v", r.Name, named)
		}
	}
	if _, ok := RecipeNamed("slow"); ok {
		t.Error("a recipe of no known name")
	}
	tutorial := Recipes()[0]
	if tutorial.Name != "tutorial" || tutorial.Epochs != 10 || tutorial.Batch != 50 || !reflect.DeepEqual(tutorial.Optimizer, AdamDefault(1e-4)) {
		t.Errorf("the tutorial's recipe is %+v", tutorial)
	}
	if fast, _ := RecipeNamed("fast"); fast.Epochs > 3 {
		t.Errorf("the fast recipe takes %d epochs", fast.Epochs)
	}
}

func TestOptimizerFor(t *testing.T) {
	if n := (Recipe{Batch: 50}).StepsPerEpoch(55_000); n != 1100 {
		t.Errorf("%d steps an epoch", n)
	}
	if n := (Recipe{Batch: 50}).StepsPerEpoch(101); n != 3 {
		t.Errorf("%d steps an epoch, with a smaller last", n)
	}
	with := func(m ScheduleMethod) Recipe {
		o := SGDDefault(0.1)
		o.Schedule = Schedule{Method: m, Factor: 0.5, Final: 0.1, Peak: 0.3}
		return Recipe{Epochs: 4, Batch: 10, Optimizer: o, WarmupEpochs: 0.5}
	}
	step := with(StepRate)
	step.StepEpochs = 1.5
	short := with(StepRate)
	short.StepEpochs = 0.001
	for _, c := range []struct {
		r                    Recipe
		warmup, total, every int64
	}{
		{with(ConstantRate), 50, 0, 0},
		{with(CosineRate), 50, 400, 0},
		{with(OneCycleRate), 50, 400, 0},
		{step, 50, 0, 150},
		{short, 50, 0, 1},
	} {
		if err := c.r.Check(); err != nil {
			t.Error(err)
		}
		got := c.r.OptimizerFor(100)
		want := c.r.Optimizer
		want.Schedule.Warmup, want.Schedule.Total, want.Schedule.Every = c.warmup, c.total, c.every
		if !reflect.DeepEqual(got, want) {
			t.Errorf("optimiser is %+v, want %+v", got, want)
		}
	}
}

func TestRecipeCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Recipe)
		want   string
	}{
		{"as it is", func(*Recipe) {}, ""},
		{"accuracy", func(r *Recipe) { r.Patience, r.Watch = 3, WatchAccuracy }, ""},
		{"one epoch with warm-up and cosine", func(r *Recipe) {
			r.Epochs, r.WarmupEpochs, r.Optimizer.Schedule.Method = 1, 0.9, CosineRate
		}, ""},
		{"epochs", func(r *Recipe) { r.Epochs = 0 }, "epochs must be from 1 to 1000000, got 0"},
		{"far too many epochs", func(r *Recipe) { r.Epochs = 1 << 40 }, "epochs must be from 1"},
		{"batch", func(r *Recipe) { r.Batch = 0 }, "batch size must be from 1"},
		{"patience", func(r *Recipe) { r.Patience = -1 }, "patience must be at least 0"},
		{"watch", func(r *Recipe) { r.Watch = "time" }, `unknown figure to watch "time"`},
		{"warm-up below 0", func(r *Recipe) { r.WarmupEpochs = -1 }, "warm-up must be at least 0"},
		{"warm-up NaN", func(r *Recipe) { r.WarmupEpochs = math.NaN() }, "warm-up must be"},
		{"warm-up to the end", func(r *Recipe) { r.WarmupEpochs = 10 }, "less than the 10 epochs, got 10"},
		{"step without a length", func(r *Recipe) { r.Optimizer.Schedule.Method = StepRate }, "needs step_epochs above 0"},
		{"a length without step", func(r *Recipe) { r.StepEpochs = 1 }, "step_epochs is for schedule step only"},
		{"length in steps", func(r *Recipe) { r.Optimizer.Schedule.Total = 100 }, "set in epochs"},
		{"optimiser", func(r *Recipe) { r.Optimizer.LearningRate = -1 }, "recipe: optimiser: learning rate"},
	} {
		r := Recipes()[0]
		c.change(&r)
		err := r.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

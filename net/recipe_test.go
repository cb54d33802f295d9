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
		var back RecipeFile
		if err := strictUnmarshal(b, &back); err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%s came back from JSON as %+v (%v)", r.Name, back, err)
		}
		if _, builtIn := ModelNamed(r.Model); r.About == "" || !builtIn || r.Data != "" && r.Data != "MNIST" && r.GetData == "" {
			t.Errorf("%s: about %q, model %q, data %q, got by %q", r.Name, r.About, r.Model, r.Data, r.GetData)
		}
		if named, ok := RecipeNamed(r.Name); !ok || !reflect.DeepEqual(named, r) {
			t.Errorf("the recipe named %s is %+v", r.Name, named)
		}
	}
	if _, ok := RecipeNamed("slow"); ok {
		t.Error("a recipe of no known name")
	}
	files, err := recipeFiles.ReadDir("recipes")
	if err != nil || len(files) != len(Recipes()) {
		t.Errorf("%d files for %d recipes (%v)", len(files), len(Recipes()), err)
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
		o.Schedule = Schedule{Method: m, Factor: 0.5, Start: 0.2, Final: 0.1, Peak: 0.3}
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
		{with(ExponentialRate), 50, 400, 0},
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
		{"evaluations", func(r *Recipe) { r.EvaluateEvery = -1 }, "epochs between evaluations must be from 1"},
		{"patience", func(r *Recipe) { r.Patience = -1 }, "patience must be at least 0"},
		{"watch", func(r *Recipe) { r.Watch = "time" }, `unknown figure to watch "time"`},
		{"warm-up below 0", func(r *Recipe) { r.WarmupEpochs = -1 }, "warm-up must be at least 0"},
		{"warm-up NaN", func(r *Recipe) { r.WarmupEpochs = math.NaN() }, "warm-up must be"},
		{"warm-up to the end", func(r *Recipe) { r.WarmupEpochs = 10 }, "less than the 10 epochs, got 10"},
		{"step without a length", func(r *Recipe) { r.Optimizer.Schedule.Method = StepRate }, "needs step_epochs above 0"},
		{"a length without step", func(r *Recipe) { r.StepEpochs = 1 }, "step_epochs is for schedule step only"},
		{"length in steps", func(r *Recipe) { r.Optimizer.Schedule.Total = 100 }, "set in epochs"},
		{"optimiser", func(r *Recipe) { r.Optimizer.LearningRate = -1 }, "recipe: optimiser: learning rate"},
		{"everything", func(r *Recipe) { *r = everyRecipe() }, ""},
		{"smoothing", func(r *Recipe) { r.Loss.Smoothing = 1 }, "recipe: loss: label smoothing"},
		{"weights twice", func(r *Recipe) { r.Balance, r.Loss.ClassWeights = true, []float64{1} }, "either given or balanced"},
		{"average", func(r *Recipe) { r.Average = 1 }, "moving average must be at least 0 and less than 1, got 1"},
		{"augmentation", func(r *Recipe) { r.Augment.Rotate = -1 }, "recipe: augmentation: rotate"},
		{"lookahead", func(r *Recipe) { r.Lookahead = Lookahead{Every: 5, Start: 1, Final: 0.2, Power: 3} }, ""},
		{"lookahead of nothing", func(r *Recipe) { r.Lookahead = Lookahead{Start: 0.5, Final: 0.5} }, "recipe: lookahead: every must be at least 1"},
		{"lookahead's share", func(r *Recipe) { r.Lookahead = Lookahead{Every: 5, Start: 2} }, "start and final must be from 0 to 1"},
		{"lookahead's power", func(r *Recipe) { r.Lookahead = Lookahead{Every: 5, Power: math.NaN()} }, "power must be from 0"},
		{"lookahead's total", func(r *Recipe) { r.Lookahead = Lookahead{Every: 5, Total: 7} }, "the length of the run"},
		{"lookahead and average", func(r *Recipe) { r.Average, r.Lookahead = 0.9, Lookahead{Every: 5} }, "exclude each other"},
		{"a group's epochs", func(r *Recipe) { r.Optimizer.Groups = []Group{{Params: "*.bias", Factor: 1, Epochs: 2}} }, ""},
		{"a group's steps", func(r *Recipe) { r.Optimizer.Groups = []Group{{Params: "*.bias", Factor: 1, Rule: Rule{Steps: 2}}} }, "in epochs, not in steps"},
		{"views", func(r *Recipe) { r.Views = "ten" }, `recipe: unknown views "ten" (want mirror or six)`},
		{"groups", func(r *Recipe) { r.Optimizer.Groups = []Group{{Params: "", Factor: 1}} }, "recipe: optimiser: \"\" is no pattern"},
		{"exponential", func(r *Recipe) { r.Optimizer.Schedule = Schedule{Method: ExponentialRate, Start: 1} }, "needs a start and an end"},
	} {
		r := Recipes()[0].Recipe
		c.change(&r)
		err := r.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// everyRecipe has all settings that don't exclude each other.
func everyRecipe() Recipe {
	o := AdamDefault(0.01)
	o.Groups = []Group{{Params: "batchnorm.bias", Factor: 4}, {Params: "dense1.*", Factor: 0.5}}
	o.Schedule = Schedule{Method: ExponentialRate, Start: 0.9, Final: 0.1}
	return Recipe{
		Name: "every", Epochs: 3, Batch: 4, Accumulate: 2, Optimizer: o, WarmupEpochs: 0.5, Seed: 9, EvaluateEvery: 2, Patience: 2, Watch: WatchAccuracy,
		Loss: Criterion{Smoothing: 0.1}, Balance: true, DropLast: true, LocalStatistics: true, Average: 0.9, Augment: everySetting(), Views: SixViews,
	}
}

func TestRecipeInJSON(t *testing.T) {
	r := everyRecipe()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Recipe
	if err := strictUnmarshal(b, &back); err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("%s came back as %+v (%v)", b, back, err)
	}
	for v, i := reflect.ValueOf(r), 0; i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "StepEpochs" && name != "Lookahead" {
			t.Errorf("%s is not among every setting", name)
		}
	}
	for _, text := range []string{`{"smoothing": 0.1}`, `{"loss": {"smoothing": 0.1}}`, `{"optimizer": {"groups": [{"param": "x"}]}}`} {
		if err := strictUnmarshal([]byte(text), &Recipe{}); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestDropLast(t *testing.T) {
	for _, c := range []struct {
		samples, batch, accumulate int
		steps, taken               int
		dropSteps, dropTaken       int
	}{
		{42, 10, 0, 5, 42, 4, 40},
		{40, 10, 0, 4, 40, 4, 40},
		{42, 10, 3, 2, 42, 1, 30},
		{59, 10, 3, 2, 59, 1, 30},
		{7, 10, 0, 1, 7, 1, 7}, // an epoch of nothing would be none
		{7, 4, 2, 1, 7, 1, 7},
	} {
		r := Recipe{Batch: c.batch, Accumulate: c.accumulate}
		if got, taken := r.StepsPerEpoch(c.samples), r.SamplesPerEpoch(c.samples); got != c.steps || taken != c.taken {
			t.Errorf("%+v: %d steps of %d samples", c, got, taken)
		}
		r.DropLast = true
		if got, taken := r.StepsPerEpoch(c.samples), r.SamplesPerEpoch(c.samples); got != c.dropSteps || taken != c.dropTaken {
			t.Errorf("%+v, without the last: %d steps of %d samples", c, got, taken)
		}
	}
}

func TestParseRecipe(t *testing.T) {
	every, err := json.Marshal(everyRecipe())
	if err != nil {
		t.Fatal(err)
	}
	if r, err := ParseRecipe(strings.NewReader("\ufeff" + string(every))); err != nil || !reflect.DeepEqual(r.Recipe, everyRecipe()) {
		t.Errorf("%+v (%v)", r, err)
	}
	for text, want := range map[string]string{
		`{"epochs": 1, "batch": 2, "epoch": 3}`: `recipe: unknown field "epoch" (did you mean epochs?)`,
		`{"optimizer": {"lr": 3}}`:              `recipe: unknown field "lr" (did you mean optimizer.learning_rate?)`, `{"augment": {"rotat": 3}}`: `recipe: unknown field "rotat" (did you mean augment.rotate?)`,
		`{"colour": 3}`: `recipe: unknown field "colour"`, `{"results": [{"accurracy": 3}]}`: `recipe: unknown field "accurracy" (did you mean results.accuracy?)`, `{"learning_rate": 1}`: `recipe: unknown field "learning_rate" (did you mean optimizer.learning_rate?)`,
		`{"EPOCH": 1}`: `recipe: unknown field "EPOCH" (did you mean epochs?)`, `{"nn": 1}`: `recipe: unknown field "nn"`, `{"path": 1}`: `recipe: unknown field "path"`,
		`{"epochs": 1}`:             "recipe: batch size must be from 1 to 2147483647, got 0",
		`{"epochs": 1, "batch": 2}`: `recipe: optimiser: unknown method "" (want sgd, adam, adamw, lion or muon)`, `[]`: "recipe: want an object, got a list",
		`{"epochs": "3"}`: "recipe: epochs: want a whole number, got text", `{"optimizer": {"learning_rate": [1]}}`: "recipe: optimizer.learning_rate: want a number, got a list",
		`{"seed": -1}`: "recipe: seed: want a whole number of at least 0, got -1", "{\n\"epochs\": 3,\n}": `recipe: not valid JSON: line 3 has an unexpected "}"`,
	} {
		if r, err := ParseRecipe(strings.NewReader(text)); err == nil || err.Error() != want || !reflect.DeepEqual(r, RecipeFile{}) {
			t.Errorf("%s: %+v, error %v, want %q", text, r, err, want)
		}
	}
	for result, want := range map[string]string{
		`"accuracy": 0.5, "least": 0.4, "runs": 3, "seconds": 5, "on": "a GPU", "date": "2026-11-30"`: "",
		`"accuracy": 99.5, "least": 99, "runs": 3, "seconds": 5, "on": "a GPU", "date": "2026-11-30"`: "accuracy must be above 0 and at most 1, got 99.5",
		`"accuracy": 0.5, "least": 0.6, "runs": 3, "seconds": 5, "on": "a GPU", "date": "2026-11-30"`: "least must be above 0 and at most the accuracy, got 0.6",
		`"accuracy": 0.5, "least": 0.4, "runs": 1, "seconds": 5, "on": "a GPU", "date": "2026-11-30"`: "least of one run is its accuracy, 0.5, got 0.4",
		`"accuracy": 0.5, "least": 0.5, "seconds": 5, "on": "a GPU", "date": "2026-11-30"`:            "runs must be at least 1, got 0",
		`"accuracy": 0.5, "least": 0.5, "runs": 3, "on": "a GPU", "date": "2026-11-30"`:               "seconds must be above 0, got 0",
		`"accuracy": 0.5, "least": 0.5, "runs": 3, "seconds": 5, "date": "2026-11-30"`:                "on, the device, is missing",
		`"accuracy": 0.5, "least": 0.5, "runs": 3, "seconds": 5, "on": "a GPU", "date": "yesterday"`:  `date must be a day such as 2026-11-30, got "yesterday"`,
	} {
		_, err := ParseRecipe(strings.NewReader(`{"epochs": 1, "batch": 2, "optimizer": {"method": "sgd", "learning_rate": 1}, "results": [{` + result + `}]}`))
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != "recipe: results[0]: "+want) {
			t.Errorf("%s: %v, want %q", result, err, want)
		}
	}
	for optimizer, want := range map[string]string{
		`"method": "sgd"`:                                                                   "optimizer needs a learning_rate above 0",
		`"method": "sgd", "learning_rate": null`:                                            "optimizer needs a learning_rate above 0",
		`"METHOD": "adam", "epsilon": 1e-8, "beta2": 0.99`:                                  "optimizer needs a learning_rate above 0",
		`"method": "adamm"`:                                                                 `optimiser: unknown method "adamm" (want sgd, adam, adamw, lion or muon)`,
		`"method": "adam", "Learning_Rate": 1, "epsilon": 1`:                                "optimizer needs beta2, which for adam is usually 0.999",
		`"method": "adam", "learning_rate": 1, "beta1": 0.9, "beta2": 0.9`:                  "optimizer needs epsilon, which for adam is usually 1e-08",
		`"method": "lion", "learning_rate": 1, "beta1": 0.9`:                                "optimizer needs beta2, which for lion is usually 0.99",
		`"method": "sgd", "learning_rate": 1, "groups": [{"params": "*", "method": "sgd"}]`: "the group * needs a learning_rate above 0",
		`"method": "sgd", "learning_rate": 1, "groups": [{"params": "@hidden", "method": "muon", "learning_rate": 1}]`:                  "the group @hidden needs iterations, which for muon is usually 5",
		`"method": "sgd", "learning_rate": 1, "groups": [{"params": "*", "factor": 2, "method": ""}]`:                                   "",
		`"method": "adam", "learning_rate": 1, "beta1": 0, "beta2": 0.5, "epsilon": 1`:                                                  "",
		`"method": "sgd", "learning_rate": 1, "groups": [{"params": "@hidden", "method": "muon", "learning_rate": 1, "iterations": 1}]`: "",
	} {
		r, err := ParseRecipe(strings.NewReader(`{"epochs": 1, "batch": 2, "optimizer": {` + optimizer + `}}`))
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != "recipe: "+want) {
			t.Errorf("%s: %v, want %q", optimizer, err, want)
		}
		if err != nil {
			continue
		}
		// What is written can be read.
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseRecipe(strings.NewReader(string(b))); err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%s came back as %+v, %v", b, back, err)
		}
	}
	for _, field := range []string{`"name": "a\u001b[31mred"`, `"about": "a\u202eb"`, `"augment": {"name": "\u001bc", "rotate": 5}`, `"results": [{"on": "a\nb"}]`} {
		_, err := ParseRecipe(strings.NewReader(`{"epochs": 1, "batch": 2, ` + field + `}`))
		if err == nil || !strings.HasPrefix(err.Error(), "recipe: the text ") || !strings.HasSuffix(err.Error(), " has a character that can't be shown") || strings.ContainsAny(err.Error(), "\x1b\u202e\n") {
			t.Errorf("%s: %v", field, err)
		}
	}
	// As it comes back from a checkpoint.
	if r, err := ParseRecipe(strings.NewReader(`{"epochs": 1, "batch": 2, "optimizer": {"method": "sgd", "learning_rate": 1, "groups": []}}`)); err != nil || r.Optimizer.Groups != nil {
		t.Errorf("without groups: %+v (%v)", r, err)
	}
}

func TestOneLetterApart(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"epoch", "epochs", true}, {"epochs", "epoch", true}, {"accurracy", "accuracy", true}, {"flip", "clip", true}, {"beta1", "beta2", true},
		{"epochs", "epochs", false}, {"eta", "beta", false}, {"path", "batch", false}, {"abcd", "abdc", false}, {"abcd", "abcdef", false}, {"", "", false},
	} {
		if got := oneLetterApart(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

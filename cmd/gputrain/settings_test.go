package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/runfolder"
	"github.com/gputrain/gputrain/net"
)

// settings are the flags of a run with every setting of a recipe that is new beside
// optimisers and schedules, on the reference.
func settings(more ...string) []string {
	return append([]string{
		"train", "--device", "reference", "--model", "quick.json", "--limit", "100", "--epochs", "2", "--lr", "0.02", "--batch-size", "20", "--run", "rich",
		"--augment", "mine.json", "--label-smoothing", "0.1", "--class-weights", "balanced", "--drop-last", "--average", "0.9", "--views", "mirror", "--top", "3",
		"--rate-factor", "dense1.weight=0.5", "--rate-factor", "*.bias=2", "--schedule", "exponential", "--final-rate", "0.5",
	}, more...)
}

func TestTrainSettings(t *testing.T) {
	inFolder(t)
	write(t, "mine.json", `{"translate": 0.1, "mixup": 0.2, "erase": {"size": 0.2}}`)
	out := must(t, settings("--epochs", "1")...)
	for _, want := range []string{
		"\nRecipe  tutorial: 1 epoch, batch 20, adam, learning rate 0.02, rate of dense1.weight x 0.5, rate of *.bias x 2, mine augmentation, label smoothing 0.1, " +
			"balanced classes, exponential schedule (final 0.5), last images dropped, averaged weights 0.9, two views, seed 1\n",
		"  top 3: 0.",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("train lacks %q:\n%s", want, out)
		}
	}
	tutorial, _ := net.RecipeNamed("tutorial")
	want := tutorial.Recipe
	want.Epochs, want.Batch = 1, 20
	want.Optimizer.LearningRate = 0.02
	want.Optimizer.Groups = []net.Group{{Params: "dense1.weight", Factor: 0.5}, {Params: "*.bias", Factor: 2}}
	want.Optimizer.Schedule = net.Schedule{Method: net.ExponentialRate, Start: 1, Final: 0.5}
	want.Augment = net.Augment{Name: "mine", Translate: 0.1, Mixup: 0.2, Erase: &net.Erase{Size: 0.2}}
	want.Loss.Smoothing, want.Balance, want.DropLast, want.Average, want.Views = 0.1, true, true, 0.9, net.MirrorView
	c := load(t, filepath.Join(runsFolder, "rich"))
	if !reflect.DeepEqual(c.Recipe, want) {
		t.Errorf("the recipe is\n%+v, want\n%+v", c.Recipe, want)
	}
	if len(c.State.Average) == 0 || c.History[0].Test.Top <= 0 {
		t.Errorf("%d averages, top %v", len(c.State.Average), c.History[0].Test.Top)
	}
	record, err := runfolder.ReadRecord(filepath.Join(runsFolder, "rich"))
	if err != nil || !reflect.DeepEqual(record.Recipe, want) {
		t.Errorf("the record has the recipe %+v (%v)", record.Recipe, err)
	}

	// The same flags go on, others are refused.
	resume := func(more ...string) []string {
		return append([]string{"train", "--device", "reference", "--resume", "rich"}, more...)
	}
	for args, flag := range map[string]string{
		"--augment light": "augment light", "--label-smoothing 0": "label-smoothing 0", "--class-weights none": "class-weights none",
		"--class-weights 1,2": "class-weights 1,2", "--drop-last=false": "drop-last false", "--average 0.99": "average 0.99", "--views one": "views one",
		"--rate-factor dense1.weight=0.5": "rate-factor dense1.weight=0.5", "--lr 0.1": "learning-rate 0.1", "--batch-size 10": "batch 10",
	} {
		refuses(t, exitFailed, "cannot resume: --"+flag+" is not what the run began with; leave the flag out, or begin a new run with its weights: --from in place of --resume", resume(strings.Fields(args)...)...)
	}
	same := settings("--epochs", "1")
	for i, word := range same {
		if word == "--run" {
			same = append(same[:i:i], same[i+2:]...)
			break
		}
	}
	if out := must(t, append(same, "--resume", "rich")...); !strings.Contains(out, "Nothing was left to do.") {
		t.Errorf("resumed with the same flags:\n%s", out)
	}
	if out := must(t, "eval", "--device", "reference", "--run", "rich", "--limit", "50"); !strings.Contains(out, "ccuracy") {
		t.Errorf("eval printed\n%s", out)
	}
}

// TestSettingsResume stops a run by time, goes on, and comes to what a run comes to
// that nobody stopped.
func TestSettingsResume(t *testing.T) {
	for _, device := range []string{"reference", "cpu"} {
		t.Run(device, func(t *testing.T) { testSettingsResume(t, device) })
	}
}

func testSettingsResume(t *testing.T, device string) {
	inFolder(t)
	write(t, "mine.json", `{"rotate": 10, "flip": "alternate", "cutmix": 1}`)
	must(t, settings("--run", "whole", "--device", device)...)
	out := must(t, settings("--max-time", "1ns", "--device", device)...)
	goOn := "gputrain train --resume " + filepath.Join(runsFolder, "rich") + " --epochs 2 --device " + device + " --top 3"
	want := regexp.MustCompile(`(?s)\n\nTime was up in epoch 1 of 2, after 1 of 5 steps\. Go on with: .*` + regexp.QuoteMeta(strings.TrimPrefix(goOn, "gputrain")) + "\n" +
		`Checkpoint  runs.rich.last\.safetensors\n`)
	if !want.MatchString(out) {
		t.Errorf("time was up:\n%s\nwant\n%v", out, want)
	}
	// Each part makes a step at least.
	out = must(t, "train", "--resume", "rich", "--device", device, "--max-time", "1ns", "--json")
	var last struct {
		Event  string
		TimeUp bool `json:"time_up"`
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Event != "done" || !last.TimeUp || !strings.Contains(out, `"reason":"time up"`) {
		t.Errorf("%s (%v)", out, err)
	}
	if at := load(t, filepath.Join(runsFolder, "rich")).Position; at.Epoch != 0 || at.Step != 2 {
		t.Errorf("after two parts at %+v", at)
	}
	must(t, "train", "--resume", "rich", "--device", device, "--top", "3")
	sameWeights(t, filepath.Join(runsFolder, "whole"), filepath.Join(runsFolder, "rich"))
}

// TestOptimizerFlags: what flags make of a recipe, and that a run goes on with it.
func TestOptimizerFlags(t *testing.T) {
	inFolder(t)
	write(t, "two.json", `{"name": "two", "input": {"channels": 1, "height": 28, "width": 28},
		"layers": [{"type": "flatten"}, {"type": "dense", "units": 9}, {"type": "activation", "func": "relu"}, {"type": "dense", "units": 10}]}`)
	for _, c := range []struct{ name, flags, want string }{
		{"lion", "--optimizer lion --lr 0.001 --beta2 0.95 --lookahead 2", "lion, learning rate 0.001, beta2 0.95, lookahead every 2 steps (0.5)"},
		{"muon", "--optimizer muon --lr 0.05 --momentum 0.8 --iterations 3 --rescale --wd 0.01 --schedule linear --peak 0 --rate-factor *.bias=2",
			"muon, learning rate 0.05, momentum 0.8, Nesterov, iterations 3, rescaled, weight decay 0.01, all else by adam at 0.005, rate of *.bias x 2, linear schedule (no rise)"},
	} {
		train := append([]string{"train", "--device", "reference", "--model", "two.json", "--limit", "100", "--epochs", "2", "--run", c.name}, strings.Fields(c.flags)...)
		if out, want := must(t, train...), "\nRecipe  tutorial: 2 epochs, batch 50, "+c.want+", seed 1\n"; !strings.Contains(out, want) {
			t.Errorf("train lacks %q:\n%s", want, out)
		}
		if c.name == "muon" {
			want := net.MuonDefault(0.05, 0.005)
			want.Schedule = net.Schedule{Method: net.LinearRate, Start: 0.1}
			rule := &want.Groups[0].Rule
			rule.Momentum, rule.Iterations, rule.Rescale, rule.WeightDecay = 0.8, 3, true, 0.01
			want.Groups = append([]net.Group{{Params: "*.bias", Factor: 2}}, want.Groups...)
			if got := load(t, filepath.Join(runsFolder, c.name)).Recipe.Optimizer; !reflect.DeepEqual(got, want) {
				t.Errorf("the optimiser is\n%+v, want\n%+v", got, want)
			}
			continue // its schedule is laid out for two epochs
		}
		must(t, append([]string{"train", "--device", "reference", "--resume", c.name, "--epochs", "3"}, strings.Fields(c.flags)...)...)
		refuses(t, exitFailed, "cannot resume: --beta2 0.9 is not what the run began with; leave the flag out, or begin a new run with its weights: --from in place of --resume",
			"train", "--device", "reference", "--resume", c.name, "--epochs", "4", "--beta2", "0.9")
	}
}

// TestRecipes: the recipes can be listed, shown, and taken for recipes of one's own.
func TestRecipes(t *testing.T) {
	golden(t, "recipes", must(t, "recipes"))
	inFolder(t)
	for _, r := range net.Recipes() {
		out := must(t, "recipes", "show", r.Name)
		for _, want := range []string{r.About, r.Model, describeRecipe(r.Recipe)} {
			if !strings.Contains(out, want) {
				t.Errorf("recipes show %s lacks %q:\n%s", r.Name, want, out)
			}
		}
		write(t, "own.json", must(t, "recipes", "show", r.Name, "--json"))
		own, err := loadRecipe("own.json")
		if r.Name, r.Results = "own", nil; err != nil || !reflect.DeepEqual(own, r) {
			t.Errorf("%s came back as %+v (%v)", r.Name, own, err)
		}
	}
	for name, want := range map[string]string{
		"cifar94": "8 epochs, batch 2000, sgd, learning rate 1.656, momentum 0.85, Nesterov, weight decay 0.002415, " +
			"whiten.bias by sgd at 106 (weight decay 3.77e-05) for 3 epochs, batchnorm.bias by sgd at 106 (weight decay 3.77e-05), " +
			"conv.weight by muon at 0.24 (momentum 0.6, iterations 3, rescaled), augmentation (crop 2, flip alternate, border reflect), label smoothing 0.2, " +
			"linear schedule (no rise), last images dropped, evaluated at the end, six views, seed 1",
		"cifar96":    "linear schedule (start 0.2, peak 0.23, final 0.07), last images dropped, lookahead every 5 steps (1 to 0.2262, power 3), evaluated at the end,",
		"fashion":    "iterations 3, rescaled, all else by adam at 0.005 (beta2 0.99),",
		"mnist-best": "linear schedule (peak 0.2), evaluated every 4 epochs,",
		"photos":     "one-cycle schedule (peak 0.2, final 0.001), seed 1",
	} {
		if out := must(t, "recipes", "show", name); !strings.Contains(out, want) {
			t.Errorf("recipes show %s lacks %q:\n%s", name, want, out)
		}
	}
	write(t, "own.json", `{"name": "mine", "epochs": 4, "batch": 5, "optimizer": {"method": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": true,
		"groups": [{"params": "conv1.*", "factor": 0.5, "epochs": 1.5}, {"params": "*.bias", "method": "sgd", "learning_rate": 1, "epochs": 1}]}}`)
	if out, want := must(t, "recipes", "show", "own.json"), "*.bias by sgd at 1 (momentum 0, no Nesterov) for 1 epoch, rate of conv1.* x 0.5 for 1.5 epochs,"; !strings.Contains(out, want) {
		t.Errorf("recipes show own.json lacks %q:\n%s", want, out)
	}
	write(t, "own.json", `{"epochs": 4, "batch": 5, "warmup_epochs": 1, "patience": 2, "watch": "accuracy", "loss": {"class_weights": [1, 2.5]},
		"optimizer": {"method": "adam", "learning_rate": 0.1, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "groups": [
			{"params": "@hidden", "method": "muon", "learning_rate": 0.2, "momentum": 0.95, "nesterov": true, "iterations": 5, "epochs": 2},
			{"params": "*.bias", "factor": 2}]}}`)
	if out, want := must(t, "recipes", "show", "own.json"), "4 epochs, batch 5, muon for 2 epochs, learning rate 0.2, momentum 0.95, Nesterov, "+
		"all else by adam at 0.1, rate of *.bias x 2, class weights [1 2.5], warm-up of 1 epoch, patience 2, best epoch by accuracy, seed 0"; !strings.Contains(out, want) {
		t.Errorf("recipes show own.json lacks %q:\n%s", want, out)
	}
	write(t, "own.json", `{"name": "mine", "epochs": 4, "batch": 5, "optimizer": {"method": "sgd", "learning_rate": 0.1}}`)
	if out := must(t, "recipes", "show", "own.json", "--json"); !strings.Contains(out, `"name": "mine"`) {
		t.Errorf("a file's recipe loses its name:\n%s", out)
	}
	if lines := strings.Count(must(t, "recipes", "--json"), "\n"); lines != len(net.Recipes()) {
		t.Errorf("recipes --json prints %d lines", lines)
	}
	refuses(t, exitUsage, `recipe: unknown "fats" (did you mean fast?); want `+orList(recipeNames())+", or a JSON file", "recipes", "show", "fats")
	refuses(t, exitUsage, "recipes show takes one argument, a recipe's name or file; see gputrain recipes show --help", "recipes", "show")

	// A recipe's file names a model beside it, and data.
	if err := os.Mkdir("kitchen", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join("kitchen", "model.json"), quickModel)
	write(t, filepath.Join("kitchen", "mine.json"), `{"model": "model.json", "epochs": 1, "batch": 50, "optimizer": {"method": "sgd", "learning_rate": 0.1}}`)
	if out := must(t, "train", "--device", "reference", "--limit", "100", "--recipe", filepath.Join("kitchen", "mine.json")); !strings.Contains(out, "\nModel   quick: ") {
		t.Errorf("it trains another model:\n%s", out)
	}
	write(t, filepath.Join("kitchen", "lost.json"), `{"model": "other.json", "epochs": 1, "batch": 50, "optimizer": {"method": "sgd", "learning_rate": 0.1}}`)
	refuses(t, exitUsage, "model \""+filepath.Join("kitchen", "other.json")+"\" is neither a file nor a built-in model; gputrain models lists those", "recipes", "show", filepath.Join("kitchen", "lost.json"))
	write(t, "groups.json", `{"model": "lenet5", "epochs": 1, "batch": 50, "optimizer": {"method": "sgd", "learning_rate": 0.1, "groups": [{"params": "conv9.*", "factor": 2}]}}`)
	refuses(t, exitFailed, "groups.json: with its model lenet5: optimiser: no trained parameter matches \"conv9.*\"; names are such as conv1.weight", "recipes", "show", "groups.json")
	write(t, "photos.json", `{"data": "CIFAR-10", "get_data": "it is at the university", "epochs": 1, "batch": 50, "optimizer": {"method": "sgd", "learning_rate": 0.1}}`)
	refuses(t, exitUsage, "recipe photos is for CIFAR-10: name its folder with --data; it is at the university", "train", "--recipe", "photos.json")
}

// TestRecipeFile trains by a recipe of a file, which is what a run's record holds.
func TestRecipeFile(t *testing.T) {
	inFolder(t)
	write(t, "slow.json", `{"epochs": 1, "batch": 50, "optimizer": {"method": "sgd", "learning_rate": 0.1, "momentum": 0.9}, "seed": 5, "loss": {"label_smoothing": 0.05}}`)
	args := []string{"train", "--device", "reference", "--model", "quick.json", "--limit", "100"}
	out := must(t, append(args, "--recipe", "slow.json", "--run", "slow")...)
	if want := "\nRecipe  slow: 1 epoch, batch 50, sgd, learning rate 0.1, momentum 0.9, label smoothing 0.05, seed 5\n"; !strings.Contains(out, want) {
		t.Errorf("train lacks %q:\n%s", want, out)
	}
	// The record's recipe as a file, and a flag over it.
	record, err := runfolder.ReadRecord(filepath.Join(runsFolder, "slow"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(record.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	write(t, "again.json", string(again))
	must(t, append(args, "--recipe", "again.json", "--run", "again")...)
	if a, b := load(t, filepath.Join(runsFolder, "slow")).Recipe, load(t, filepath.Join(runsFolder, "again")).Recipe; !reflect.DeepEqual(a, b) {
		t.Errorf("recipes %+v and %+v", a, b)
	}
	sameParams := load(t, filepath.Join(runsFolder, "slow")).State.Params["dense1.weight"].Float32s()
	if got := load(t, filepath.Join(runsFolder, "again")).State.Params["dense1.weight"].Float32s(); !reflect.DeepEqual(got, sameParams) {
		t.Error("the same recipe gives other weights")
	}
	must(t, append(args, "--recipe", "slow.json", "--momentum", "0.5", "--run", "other")...)
	if got := load(t, filepath.Join(runsFolder, "other")).Recipe.Optimizer.Momentum; got != 0.5 {
		t.Errorf("momentum %v", got)
	}
	// To resume it may be named again, with the same flags.
	resume := []string{"train", "--device", "reference", "--resume", "other", "--recipe", "slow.json"}
	must(t, append(resume, "--momentum", "0.5")...)
	refuses(t, exitFailed, "cannot resume: the settings of --recipe slow.json are not those that the run began with; leave the flag out, or begin a new run with its weights: --from in place of --resume", resume...)
	write(t, "quick2.json", string(again[:len(again)-1])+`, "epochz": 3}`)
	refuses(t, exitFailed, `quick2.json: recipe: unknown field "epochz" (did you mean epochs?)`, append(args, "--recipe", "quick2.json")...)
}

func TestInterruptedFindRate(t *testing.T) {
	inFolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errors bytes.Buffer
	if status := run(ctx, []string{"gputrain", "find-rate", "--json", "--device", "cpu"}, nil, &out, &errors); status != exitFailed || errors.String() != "gputrain: interrupted\n" || out.Len() > 0 {
		t.Errorf("status %d, %s%s", status, errors.String(), out.String())
	}
}

func TestFindRate(t *testing.T) {
	inFolder(t)
	args := []string{"find-rate", "--device", "cpu", "--model", "quick.json", "--steps", "60"}
	out := must(t, append(args, "--from", "1e-4", "--to", "10", "--svg", "rate.svg", "--csv", "rate.csv")...)
	want := regexp.MustCompile(`(?s)^Device  cpu .*
Data    MNIST: 55,000 training images
Model   quick: 500 parameters
Recipe  tutorial: batch 50, adam, seed 1
Rates   0\.0001 to 10 in 60 steps

step +rate +loss\n +1 +0\.0001 +2\.\d+\n.* falls fastest\n.* is least\n.*
The loss falls fastest at [0-9.]+; a tenth of where it is least is [0-9.]+\.
Try it: .* train --learning-rate [0-9.]+, with the flags of this command
$`)
	if !want.MatchString(out) {
		t.Errorf("got\n%swant\n%v", out, want)
	}
	svg, err := os.ReadFile("rate.svg")
	if err != nil || !strings.Contains(string(svg), "falls fastest at ") || !strings.Contains(string(svg), "<path") {
		t.Errorf("the drawing: %v: %s", err, svg)
	}
	table, err := os.ReadFile("rate.csv")
	if rows := strings.Split(strings.TrimSpace(string(table)), "\n"); err != nil || rows[0] != "rate,loss,smooth" || len(rows) < 20 || len(rows) > 61 || !strings.HasPrefix(rows[1], "0.0001,") {
		t.Errorf("the table: %v: %s", err, table)
	}

	var found struct {
		Data, Device, Network string
		Recipe                net.Recipe
		Points                []net.RatePoint
		Diverged              bool
		Steepest, Least       int
		SteepestRate          float64 `json:"steepest_rate"`
		Suggestion            float64
	}
	out = must(t, append(args, "--json", "--optimizer", "sgd", "--momentum", "0.9", "--augment", "light", "--batch-size", "20")...)
	if err := json.Unmarshal([]byte(out), &found); err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("%s: %v", out, err)
	}
	if found.Network != "quick" || found.Recipe.Augment.Name != "light" || found.Recipe.Batch != 20 || found.Points[0].Rate < 0.99e-5 || found.Points[0].Rate > 1.01e-5 ||
		found.Steepest < 1 || found.SteepestRate != found.Points[found.Steepest].Rate || found.Suggestion <= 0 || found.Suggestion > found.SteepestRate {
		t.Errorf("found %+v", found)
	}
	// Where nothing falls, nothing is suggested.
	if out := must(t, append(args, "--from", "1e-12", "--to", "1e-10")...); !strings.Contains(out, "The loss did not fall: there is no rate to suggest.") {
		t.Errorf("at rates that change nothing:\n%s", out)
	}
	// Of few images the answer is not sure.
	if out := must(t, append(args, "--batch-size", "10000")...); !strings.Contains(out, "The test went through the training images 10 times") {
		t.Errorf("of few images:\n%s", out)
	}
	refuses(t, exitFailed, `find rate: optimiser: no trained parameter matches "fc.*"; names are such as dense1.weight`, append(args, "--json", "--rate-factor", "fc.*=2")...)
	if _, err := os.Stat(runsFolder); !os.IsNotExist(err) {
		t.Errorf("find-rate left a run behind (%v)", err)
	}
}

// TestResumeRefusesRules resumes a run whose leading rule is a group's, with each flag that would change that rule.
func TestResumeRefusesRules(t *testing.T) {
	inFolder(t)
	must(t, "train", "--recipe", "sprint", "--model", "quick.json", "--limit", "100", "--schedule", "constant", "--epochs", "1", "--device", "cpu")
	for _, flag := range []string{"--momentum 0.1", "--iterations 1", "--rescale", "--weight-decay 0.3", "--nesterov=false", "--learning-rate 0.1", "--rate-factor conv1.*=2"} {
		o := gputrain(t, append(strings.Fields("train --resume --epochs 2 --device cpu"), strings.Fields(flag)...)...)
		if o.status == exitOK || !strings.Contains(o.errors, "is not what the run began with") {
			t.Errorf("%s: status %d, told %q", flag, o.status, o.errors)
		}
	}
	must(t, "train", "--resume", "--epochs", "2", "--device", "cpu", "--learning-rate", "0.07")
}

// TestDescribesEverySetting changes each field of a recipe and of a rule: the line Recipe says so.
func TestDescribesEverySetting(t *testing.T) {
	plain := net.Recipe{Epochs: 9, Batch: 5, Optimizer: net.AdamDefault(0.1)}
	plain.Optimizer.Schedule = net.Schedule{Method: net.StepRate, Factor: 0.1}
	plain.StepEpochs = 3
	changes := map[string]func(*net.Recipe){
		"Optimizer": func(r *net.Recipe) { r.Optimizer.ClipNorm = 3 },
		"Watch":     func(r *net.Recipe) { r.Watch = net.WatchAccuracy },
		"Views":     func(r *net.Recipe) { r.Views = net.SixViews },
		"Loss":      func(r *net.Recipe) { r.Loss.ClassWeights = []float64{1, 2} },
		"Lookahead": func(r *net.Recipe) { r.Lookahead = net.Lookahead{Every: 3, Start: 0.5, Final: 0.5} },
		"Augment":   func(r *net.Recipe) { r.Augment.Rotate = 5 },
	}
	set := func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Int, reflect.Int64:
			v.SetInt(v.Int() + 2)
		case reflect.Uint64:
			v.SetUint(v.Uint() + 2)
		case reflect.Float64:
			v.SetFloat(v.Float() + 0.25)
		case reflect.Bool:
			v.SetBool(!v.Bool())
		default:
			t.Fatalf("no change of a %v", v.Type())
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[net.Recipe]()) {
		r := plain
		if change := changes[f.Name]; change != nil {
			change(&r)
		} else if f.Name != "Name" { // which stands before the line
			set(reflect.ValueOf(&r).Elem().FieldByIndex(f.Index))
		}
		if f.Name != "Name" && describeRecipe(r) == describeRecipe(plain) {
			t.Errorf("%s: the line stays %q", f.Name, describeRecipe(r))
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[net.Rule]()) {
		r := plain.Optimizer.Rule
		if f.Name == "Method" || f.Name == "LearningRate" || f.Name == "Steps" { // told elsewhere; Steps are a group's epochs
			continue
		}
		set(reflect.ValueOf(&r).Elem().FieldByIndex(f.Index))
		if len(ruleSettings(r, plain.Optimizer.Rule)) != 1 {
			t.Errorf("%s: %q", f.Name, ruleSettings(r, plain.Optimizer.Rule))
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[net.Schedule]()) {
		r := plain
		if f.Name == "Method" || f.Type.Kind() == reflect.Int64 { // lengths in steps, of which a recipe has none
			continue
		}
		set(reflect.ValueOf(&r.Optimizer.Schedule).Elem().FieldByIndex(f.Index))
		if describeShares(r) == describeShares(plain) {
			t.Errorf("schedule's %s: %q", f.Name, describeShares(r))
		}
	}
}

package peers

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

var update = flag.Bool("update", false, "write testdata/recipes.json anew")

// recipesFile holds recipes with what the float64 reference makes of them. torch_recipe_test.py trains the same. The
// networks are small, so that the file is.
type recipesFile struct {
	Train    samples                  `json:"train"`
	Test     samples                  `json:"test"`
	Scale    float32                  `json:"scale"`
	Networks map[string]networkStart  `json:"networks"`
	Recipes  []trainedRecipe          `json:"recipes"`
	Seen     []seen                   `json:"seen"`
	Rates    map[string]scheduleRates `json:"rates"`
}

type samples struct {
	Shape  [3]int  `json:"shape"`
	Images []int   `json:"images"` // bytes
	Labels []int32 `json:"labels"`
}

type networkStart struct {
	Network *net.Network         `json:"network"`
	Weights map[string][]float32 `json:"weights"`
}

// trainedRecipe is a recipe, each of whose updates takes all samples. So their order doesn't matter.
type trainedRecipe struct {
	On       string               `json:"on"` // a network
	Recipe   net.Recipe           `json:"recipe"`
	Epochs   []net.EpochResult    `json:"epochs"`
	Weights  map[string][]float32 `json:"weights"`
	Averages map[string][]float32 `json:"averages,omitempty"`
}

// seen is the first training sample as a transform shows it.
type seen struct {
	Matrix [6]float32 `json:"matrix"`
	Border net.Border `json:"border"`
	Out    []float64  `json:"out"`
}

// scheduleRates are the factors of the learning rate by step.
type scheduleRates struct {
	Recipe  net.Recipe `json:"recipe"` // of 4 steps an epoch
	Factors []float64  `json:"factors"`
}

// smallPictures returns samples that a small network learns to tell apart.
func smallPictures(name string, n, from int) *net.Dataset {
	d := &net.Dataset{Name: name, Shape: net.Shape{C: 2, H: 6, W: 5}, Classes: 3, Scale: 1. / 255}
	for i := range n {
		label := (i*i + i/2) % 3
		d.Labels = append(d.Labels, int32(label))
		for k := range d.Shape.Size() {
			noise := ((from + i) * 7919 * (k + 11) * (k + 3)) % 151
			d.Pixels = append(d.Pixels, uint8(noise+50*((k+label*3)/3%3)))
		}
	}
	return d
}

func smallNetworks() map[string]*net.Network {
	in := net.Shape{C: 2, H: 6, W: 5}
	return map[string]*net.Network{
		"normalised": {Name: "normalised", Input: in, Layers: []net.Layer{
			&net.Conv{Name: "first", Filters: 3, Kernel: net.Square(2), Frozen: net.Frozen{Roles: []net.Role{net.Weight}}},
			&net.Conv{Name: "conv", Filters: 4, Kernel: net.Square(3), Padding: net.PadSame, NoBias: true}, &net.BatchNorm{Name: "bn"}, &net.Activation{Func: net.GELU},
			&net.Pool{Name: "pool", Mode: net.MeanPool, Kernel: net.Square(2)}, &net.Flatten{Name: "flatten"},
			&net.Dense{Name: "hidden", Units: 6}, &net.Activation{Func: net.Tanh}, &net.Dense{Name: "head", Units: 3},
		}},
		"narrow": {Name: "narrow", Input: in, Layers: []net.Layer{
			&net.Flatten{Name: "flatten"}, &net.Dense{Name: "first", Units: 3}, &net.Activation{Func: net.Tanh}, &net.Dense{Name: "wider", Units: 7}, &net.Activation{Func: net.Tanh}, &net.Dense{Name: "head", Units: 3},
		}},
		"plain": {Name: "plain", Input: in, Layers: []net.Layer{
			&net.Flatten{Name: "flatten"}, &net.Dense{Name: "hidden", Units: 5}, &net.Activation{Func: net.Tanh}, &net.Dense{Name: "head", Units: 3},
		}},
	}
}

// smallRecipes returns recipes that have every setting between them whose effect doesn't depend on chance.
func smallRecipes() []trainedRecipe {
	var out []trainedRecipe
	add := func(on string, o net.Optimizer, change func(*net.Recipe)) {
		r := net.Recipe{Name: fmt.Sprintf("recipe %d", len(out)+1), Epochs: 8, Batch: 24, Seed: 5, Optimizer: o}
		if change != nil {
			change(&r)
		}
		out = append(out, trainedRecipe{On: on, Recipe: r})
	}
	sgd := func(rate, momentum float64, nesterov bool, decay float64) net.Rule {
		return net.Rule{Method: net.SGD, LearningRate: rate, Momentum: momentum, Nesterov: nesterov, WeightDecay: decay}
	}
	add("normalised", net.SGDDefault(0.3), nil)
	add("normalised", net.Optimizer{Rule: sgd(0.2, 0.8, false, 0.1)}, func(r *net.Recipe) {
		r.Optimizer.Schedule = net.Schedule{Method: net.StepRate, Factor: 0.5}
		r.WarmupEpochs, r.StepEpochs, r.EvaluateEvery = 2, 2, 3
	})
	add("normalised", net.Optimizer{Rule: sgd(0.1, 0.9, true, 0)}, func(r *net.Recipe) {
		r.Optimizer.Schedule = net.Schedule{Method: net.OneCycleRate, Start: 0.2, Peak: 0.4, Final: 0.1}
		r.Lookahead = net.Lookahead{Every: 3, Start: 0.5, Final: 0.9, Power: 3}
	})
	adam := net.AdamDefault(0.02)
	adam.Beta1, adam.Beta2, adam.Epsilon, adam.WeightDecay, adam.ClipNorm = 0.7, 0.9, 1e-3, 0.05, 0.2
	add("normalised", adam, func(r *net.Recipe) {
		r.Optimizer.Schedule = net.Schedule{Method: net.CosineRate, Final: 0.1}
		r.WarmupEpochs = 1
	})
	adam.Method, adam.ClipNorm = net.AdamW, 0
	add("normalised", adam, func(r *net.Recipe) {
		r.Optimizer.Schedule = net.Schedule{Method: net.ExponentialRate, Start: 1, Final: 0.2}
		r.Average = 0.3
	})
	lion := net.LionDefault(0.01)
	lion.WeightDecay = 0.5
	add("normalised", lion, func(r *net.Recipe) {
		r.Optimizer.Schedule = net.Schedule{Method: net.LinearRate}
		r.Loss.Smoothing = 0.2
	})
	muon := net.MuonDefault(0.1, 0.02)
	muon.Groups[0].WeightDecay = 0.1
	add("normalised", muon, func(r *net.Recipe) { r.Views = net.MirrorView })
	muon = net.MuonDefault(0.05, 0.02)
	muon.Groups[0].Nesterov, muon.Groups[0].Iterations = false, 4
	add("narrow", muon, nil)
	// As airbench94 is trained with Muon.
	add("normalised", net.Optimizer{Rule: sgd(0.05, 0.85, true, 0.02), Groups: []net.Group{
		{Params: "first.bias", Rule: sgd(0.05, 0.85, true, 0.3), Epochs: 3},
		{Params: "batchnorm.bias", Factor: 4, Epochs: 6},
		{Params: "hea[cd].weight", Rule: sgd(0.2, 0, false, 0.1)},
		{Params: "conv.weight", Rule: net.Rule{Method: net.Muon, LearningRate: 0.24, Momentum: 0.6, Nesterov: true, Iterations: 3, Rescale: true}},
	}, Schedule: net.Schedule{Method: net.LinearRate}}, func(r *net.Recipe) {
		r.Loss = net.Criterion{Smoothing: 0.1, ClassWeights: []float64{2, 0.5, 1}}
		r.Views = net.SixViews
	})
	add("plain", net.Optimizer{Rule: sgd(0.1, 0.5, false, 0), Groups: []net.Group{{Params: "*.bias", Factor: 0.5}}}, func(r *net.Recipe) {
		r.Batch, r.Accumulate, r.Balance = 7, 4, true // 7, 7, 7 and 3
		r.Lookahead = net.Lookahead{Every: 2, Start: 0.5, Final: 0.5}
	})
	return out
}

func values(state map[string]*tensor.Dense) map[string][]float32 {
	out := map[string][]float32{}
	for name, t := range state {
		out[name] = slices.Clone(t.Float32s())
	}
	return out
}

// train trains a recipe on the reference.
func (r *trainedRecipe) train(t *testing.T, network *net.Network, train, test *net.Dataset) {
	t.Helper()
	cfg := net.Config{Recipe: r.Recipe, Train: train, Test: test}
	p, err := reference.New().Compile(network, cfg.Options())
	if err != nil {
		t.Fatal(err)
	}
	result, err := net.Train(t.Context(), p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	state, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	r.Epochs, r.Weights, r.Averages = result.Epochs, values(state.Params), values(state.Average)
	r.Recipe.Loss, r.Recipe.Balance = r.Recipe.LossFor(train), false
}

// TestRecipesFile checks that testdata/recipes.json, which the peers' tests read, is what the reference computes.
func TestRecipesFile(t *testing.T) {
	train, test := smallPictures("training", 24, 0), smallPictures("test", 15, 100)
	file := recipesFile{Train: asSamples(train), Test: asSamples(test), Scale: train.Scale, Networks: map[string]networkStart{}, Recipes: smallRecipes(), Rates: map[string]scheduleRates{}}
	networks := smallNetworks()
	for name, n := range networks {
		plan, err := n.Plan()
		if err != nil {
			t.Fatal(err)
		}
		file.Networks[name] = networkStart{n, values(net.InitialState(plan, 5, train).Params)}
	}
	for i := range file.Recipes {
		r := &file.Recipes[i]
		r.train(t, networks[r.On], train, test)
	}
	for _, m := range [][6]float32{{1, 0, 2, 0, 1, -1}, {-1, 0, 4, 0, 1, 0}, {0.8, 0.3, -1.5, -0.4, 1.1, 2.25}, {1.5, 0, -8.5, 0.25, 0.5, 9.75}} {
		for _, border := range []net.Border{net.ZeroBorder, net.ReflectBorder} {
			v := net.PlainView()
			v.Matrix, v.Border = m, border
			file.Seen = append(file.Seen, seen{m, border, reference.See(train, 0, v, train.Shape)})
		}
	}
	for _, s := range []net.Schedule{{}, {Method: net.StepRate, Factor: 0.5}, {Method: net.CosineRate, Final: 0.1}, {Method: net.OneCycleRate, Start: 0.1, Peak: 0.3, Final: 0.01},
		{Method: net.LinearRate, Start: 0.2, Peak: 0.23, Final: 0.07}, {Method: net.LinearRate, Peak: 1, Start: 0.5}, {Method: net.ExponentialRate, Start: 1, Final: 0.01}} {
		r := scheduleRates{Recipe: net.Recipe{Epochs: 5, Batch: 6, WarmupEpochs: 0.6, Optimizer: net.SGDDefault(1)}}
		if r.Recipe.Optimizer.Schedule = s; s.Method == net.StepRate {
			r.Recipe.StepEpochs = 1.4
		}
		o := r.Recipe.OptimizerFor(4)
		for step := range int64(20) {
			r.Factors = append(r.Factors, o.Rate(step))
		}
		file.Rates[fmt.Sprintf("%s, peak %v", s.Method, s.Peak)] = r
	}

	path := filepath.Join("testdata", "recipes.json")
	if *update {
		b, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var is recipesFile
	if err := json.Unmarshal(b, &is); err != nil {
		t.Fatal(err)
	}
	// The reference is float64, but weights are kept as float32, and math functions may differ in the last bit
	// between machines.
	is.same(t, file, approx.Tolerance{Abs: 1e-6, Rel: 1e-6})
}

// same checks that two files say the same.
func (f recipesFile) same(t *testing.T, want recipesFile, tol approx.Tolerance) {
	t.Helper()
	numbers := func(f *recipesFile) (names []string, all []float64) {
		for _, r := range f.Recipes {
			for _, e := range r.Epochs {
				all = append(all, e.Cost, e.Accuracy)
				if e.Test != nil {
					all = append(all, e.Test.Loss, e.Test.Accuracy)
				}
			}
			for _, part := range []map[string][]float32{r.Weights, r.Averages} {
				for _, name := range sortedKeys(part) {
					names = append(names, name)
					for _, v := range part[name] {
						all = append(all, float64(v))
					}
				}
			}
		}
		for _, s := range f.Seen {
			all = append(all, s.Out...)
		}
		for _, name := range sortedKeys(f.Rates) {
			all = append(all, f.Rates[name].Factors...)
		}
		return names, all
	}
	given := func(f recipesFile) string { // all that isn't computed
		f.Recipes, f.Seen = slices.Clone(f.Recipes), slices.Clone(f.Seen)
		for i := range f.Recipes {
			f.Recipes[i].Epochs, f.Recipes[i].Weights, f.Recipes[i].Averages = nil, nil, nil
		}
		for i := range f.Seen {
			f.Seen[i].Out = nil
		}
		f.Rates = nil
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if given(f) != given(want) {
		t.Fatal("testdata/recipes.json has other recipes, networks or pictures: go test ./bench/peers -update writes it anew")
	}
	names, got := numbers(&f)
	wantNames, wantNumbers := numbers(&want)
	if !slices.Equal(names, wantNames) {
		t.Fatalf("testdata/recipes.json has the tensors %v, want %v", names, wantNames)
	}
	if !approx.Check(t, "testdata/recipes.json", got, wantNumbers, tol) {
		t.Log("go test ./bench/peers -update writes it anew")
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func asSamples(d *net.Dataset) samples {
	s := samples{Shape: [3]int{d.Shape.C, d.Shape.H, d.Shape.W}, Labels: d.Labels}
	for _, b := range d.Pixels {
		s.Images = append(s.Images, int(b))
	}
	return s
}

// TestRecipesHaveEveryMethod finds a method of updating, or a schedule, that torch_recipe.py lacks or no recipe has.
func TestRecipesHaveEveryMethod(t *testing.T) {
	source, err := os.ReadFile("torch_recipe.py")
	if err != nil {
		t.Fatal(err)
	}
	knows := func(list, name string) {
		t.Helper()
		if !regexp.MustCompile(`(?m)^` + list + ` = \(.*"` + regexp.QuoteMeta(name) + `"`).Match(source) {
			t.Errorf("torch_recipe.py lacks %s in %s", name, list)
		}
	}
	methods := map[net.Method]bool{}
	for _, r := range smallRecipes() {
		methods[r.Recipe.Optimizer.Method] = true
		for _, g := range r.Recipe.Optimizer.Groups {
			methods[g.Method] = true
		}
	}
	for _, m := range net.Methods() {
		knows("METHODS", string(m))
		if !methods[m] {
			t.Errorf("no recipe here has the method %s", m)
		}
	}
	for _, s := range []net.ScheduleMethod{net.ConstantRate, net.StepRate, net.CosineRate, net.OneCycleRate, net.LinearRate, net.ExponentialRate} {
		knows("SCHEDULES", string(s))
	}
}

// recipeScript lets a shell script train a recipe of two epochs.
func recipeScript(t *testing.T, text string) (*Peer, []Epoch, error) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh to write a peer in")
	}
	var epochs []Epoch
	p, err := greeted("sh", exec.CommandContext(t.Context(), "sh", "-c", text))
	if err == nil {
		p, err = p.train(2, func(e Epoch) error {
			epochs = append(epochs, e)
			return nil
		})
	}
	return p, epochs, err
}

const epochLine = `echo '{"trained": {"epoch": %d, "seconds": 2.5, "training_seconds": 2, "images_per_second": 100, "loss": 1.5, "test": {"loss": 1.25, "accuracy": 0.5}}}';`

func TestPeerTrainsARecipe(t *testing.T) {
	hello := `echo '{"peer":"sh","version":"5","settings":"plain"}';`
	p, epochs, err := recipeScript(t, hello+fmt.Sprintf(epochLine, 1)+`echo '{"trained": {"epoch": 2, "seconds": 5, "training_seconds": 4}}'`)
	if err != nil || p.Version != "5" || p.Settings != "plain" || len(epochs) != 2 {
		t.Fatalf("%+v, %+v, %v", p, epochs, err)
	}
	if e := epochs[0]; e.Epoch != 1 || e.Seconds != 2.5 || e.Training != 2 || e.ImagesPerSecond != 100 || e.Loss != 1.5 || e.Test == nil || e.Test.Accuracy != 0.5 || epochs[1].Test != nil {
		t.Errorf("epochs %+v", epochs)
	}
	for text, want := range map[string]string{
		hello + fmt.Sprintf(epochLine, 2):                                                    "not of epoch 1",
		hello + fmt.Sprintf(epochLine, 1) + `echo '{"loss": [1]}'`:                           "not of epoch 2",
		hello + fmt.Sprintf(epochLine, 1) + `echo '{"error": "NaN"}'; exit 1`:                "NaN",
		hello + fmt.Sprintf(epochLine, 1):                                                    "without an answer",
		`echo '{"peer":"bash"}'`:                                                             "bash",
		hello + fmt.Sprintf(epochLine, 1) + fmt.Sprintf(epochLine, 2) + `echo a >&2; exit 3`: "status 3",
	} {
		if _, _, err := recipeScript(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", text, err, want)
		}
	}
	if _, _, err := recipeScript(t, `echo '{"error":"knows no mixup"}'; exit 69`); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "mixup") {
		t.Errorf("a peer that can't: %v", err)
	}
	stop := errors.New("enough")
	p, err = greeted("sh", exec.CommandContext(context.Background(), "sh", "-c", hello+fmt.Sprintf(epochLine, 1)+"exec sleep 60"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = p.train(2, func(Epoch) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a run that is stopped: %v", err)
	}
	dir := t.TempDir()
	for _, c := range []struct{ script, want string }{
		{`[ "$*" = "torch /job recipe" ] || exit 1; echo '{"peer":"torch","version":"5","settings":"plain"}'; exec sleep 60`, ""},
		{`echo '{"error":"knows no mixup"}'; exit 69`, "knows no mixup"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "run"), []byte("#!/bin/sh\n"+c.script), 0o755); err != nil {
			t.Fatal(err)
		}
		err := CheckRecipe(t.Context(), dir, "torch", "/job")
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.script, err, c.want)
		}
	}
}

func TestWriteRecipe(t *testing.T) {
	all := smallPictures("all", 24, 0)
	train, test := all.Select([]int32{5, 3, 8, 1}), all.Slice(20, 24)
	n := smallNetworks()["plain"]
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	recipe := smallRecipes()[9].Recipe
	dir := t.TempDir()
	job, err := WriteRecipe(dir, n, recipe, net.InitialState(plan, 7, nil), train, test)
	if err != nil {
		t.Fatal(err)
	}
	if job.Place != CPU || job.Scale != all.Scale || job.Recipe.Balance || len(job.Recipe.Loss.ClassWeights) != 3 {
		t.Errorf("job %+v", job)
	}
	ordered := inOrder(train)
	for i := range train.Labels {
		row, n := train.Row(int32(i)), train.Shape.Size()
		if !slices.Equal(ordered.Pixels[i*n:(i+1)*n], all.Pixels[row*n:(row+1)*n]) || ordered.Row(int32(i)) != i {
			t.Errorf("sample %d is another one", i)
		}
	}
	for _, name := range []string{job.Weights, job.Train, job.Test} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	values := &net.Dataset{Name: "values", Shape: all.Shape, Classes: 3, Values: make([]float32, all.Shape.Size()), Labels: []int32{0}}
	if _, err := WriteRecipe(t.TempDir(), n, recipe, net.InitialState(plan, 7, nil), values, test); err == nil {
		t.Error("took samples that aren't bytes")
	}
}

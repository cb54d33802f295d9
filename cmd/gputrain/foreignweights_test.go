package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// torchVariable names a Python that has the packages of testdata/weights/requirements.txt; `make check-weights` sets it.
const torchVariable = "GPUTRAIN_TORCH_PYTHON"

// sequentialModel is the chain of testdata/weights/models.py.
const sequentialModel = `{"name": "chain", "input": {"channels": 3, "height": 16, "width": 16}, "layers": [
	{"type": "conv", "filters": 8, "kernel": 3, "padding": [1, 1, 1, 1], "no_bias": true}, {"type": "batchnorm"}, {"type": "activation", "func": "relu"},
	{"type": "pool", "kernel": 2},
	{"type": "conv", "filters": 8, "kernel": 3, "padding": [1, 1, 1, 1], "no_bias": true}, {"type": "batchnorm"}, {"type": "activation", "func": "relu"},
	{"type": "conv", "filters": 8, "kernel": 3, "padding": [1, 1, 1, 1], "no_bias": true}, {"type": "batchnorm"}, {"type": "activation", "func": "relu"},
	{"type": "flatten"}, {"type": "dense", "units": 32}, {"type": "activation", "func": "relu"}, {"type": "dense", "units": 5}]}`

// torchCase is a case of testdata/weights/models.py.
type torchCase struct {
	Name    string    `json:"name"`
	From    string    `json:"from"`
	Model   string    `json:"model"`
	Classes int       `json:"classes"`
	Input   []int     `json:"input"`
	Type    string    `json:"type"`
	Prefix  string    `json:"prefix"`
	Mean    []float64 `json:"mean"`
	Std     []float64 `json:"std"`

	ours string // --model
	says string // how import recognises the names
}

// TestTorchWeights imports models of torchvision, timm and PyTorch, with random weights and statistics, and compares
// what they answer. Without PyTorch it is skipped; `make check-weights` brings it.
func TestTorchWeights(t *testing.T) {
	python := os.Getenv(torchVariable)
	if python == "" {
		t.Skip("needs torchvision and timm: make check-weights")
	}
	script, err := filepath.Abs(filepath.Join("testdata", "weights", "models.py"))
	if err != nil {
		t.Fatal(err)
	}
	inFolder(t)
	write(t, "chain.json", sequentialModel)
	image, resnet, densenet := []int{3, 224, 224}, "torchvision's and timm's ResNet", "torchvision's and timm's DenseNet"
	cases := []torchCase{
		{From: "torchvision", Model: "resnet18", ours: "resnet18", says: resnet},
		{From: "torchvision", Model: "resnet18", Classes: 7, Type: "bfloat16", Prefix: "module.model.", ours: "resnet18", says: resnet + ", behind module.model."},
		{From: "torchvision", Model: "resnet50", Type: "float64", ours: "resnet50", says: resnet},
		{From: "torchvision", Model: "vgg11_bn", ours: "vgg11", says: "features and classifier"},
		{From: "torchvision", Model: "vgg16_bn", Type: "float16", ours: "vgg16", says: "features and classifier"},
		{From: "torchvision", Model: "mobilenet_v2", ours: "mobilenetv2", says: "torchvision's MobileNetV2"},
		{From: "torchvision", Model: "squeezenet1_1", Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225}, ours: "squeezenet", says: "torchvision's SqueezeNet"},
		{From: "torchvision", Model: "densenet121", ours: "densenet121", says: densenet},
		{From: "timm", Model: "resnet18", Prefix: "_orig_mod.", ours: "resnet18", says: resnet + ", behind _orig_mod."},
		{From: "timm", Model: "resnet50", ours: "resnet50", says: resnet},
		{From: "timm", Model: "vgg11_bn", Type: "bfloat16", ours: "vgg11", says: "timm's VGG"},
		{From: "timm", Model: "mobilenetv2_100", ours: "mobilenetv2", says: "timm's MobileNetV2"},
		{From: "timm", Model: "densenet121", ours: "densenet121", says: densenet},
		{From: "sequential", Classes: 5, Input: []int{3, 16, 16}, ours: "chain.json", says: "fit in one way only: 0 is conv1, 1 is batchnorm1, 4 is conv2, 5 is batchnorm2, 7 is conv3"},
	}
	for i := range cases {
		c := &cases[i]
		c.Name = fmt.Sprintf("%d-%s-%s", i, c.From, c.Model)
		if c.Type == "" {
			c.Type = "float32"
		}
		if c.Classes == 0 {
			c.Classes = 1000
		}
		if c.Input == nil {
			c.Input = image
		}
	}
	for _, c := range cases { // one at a time, because files of VGG are large
		t.Run(c.Name, func(t *testing.T) { c.compare(t, python, script) })
	}
}

// TestImportNames imports tensors of other names and says what it did, or what doesn't fit.
func TestImportNames(t *testing.T) {
	inFolder(t)
	small, ok := net.ModelNamed("resnet20")
	if !ok {
		t.Fatal("no resnet20")
	}
	network, err := small.Build(small.Input, 7)
	if err != nil {
		t.Fatal(err)
	}
	plan := mustPlan(t, network)
	weights := net.InitialState(plan, 1, nil).Params
	// With other names: the parameters' own behind module., but one of its very own.
	other := *plan
	other.Params = slices.Clone(plan.Params)
	renamed := map[string]*tensor.Dense{}
	for i, q := range plan.Params {
		name := "module." + q.Name
		if q.Name == "fc.bias" {
			name = "offset"
		}
		other.Params[i].Name, renamed[name] = name, weights[q.Name]
	}
	if err := net.SaveWeights("own.safetensors", plan, weights, net.ChannelsFirst); err != nil {
		t.Fatal(err)
	}
	if err := net.SaveWeights("other.safetensors", &other, renamed, net.ChannelsFirst); err != nil {
		t.Fatal(err)
	}
	write(t, "lines", "\ufeff# where the bias is\n\n  fc.bias = offset\r\n")
	write(t, "object", `{"fc.bias": "offset"}`)
	for i, flag := range [][]string{{"--map", "lines"}, {"--map", "object"}, {"--name", "fc.bias=offset"}} {
		run := fmt.Sprintf("run%d", i)
		o := gputrain(t, append([]string{"import", "other.safetensors", "--model", "resnet20", "--run", run}, flag...)...)
		if o.status != exitOK || o.errors != "note: the tensors are recognised by the network's own names, behind module.\n" {
			t.Fatalf("%v: status %d, %s", flag, o.status, o.errors)
		}
		c := load(t, filepath.Join(runsFolder, run))
		if c.Network.Input != small.Input || mustPlan(t, c.Network).Classes != 7 || c.Train.Name != unknownData {
			t.Errorf("%v of %v, data %s", c.Network.Input, mustPlan(t, c.Network).Classes, c.Train.Name)
		}
		for name, w := range weights {
			if !slices.Equal(c.State.Params[name].Float32s(), w.Float32s()) {
				t.Errorf("%v: %s has other values", flag, name)
			}
		}
	}
	// Without what maps the bias, both sides are listed.
	o := gputrain(t, "import", "other.safetensors", "--model", "resnet20")
	want := "1 parameter without a tensor:\n  fc.bias [7]\n1 tensor of no parameter:\n  offset F32 [7]\n" +
		"gputrain: weights other.safetensors: not this network's weights: network resnet20 has 107 parameters; 1 parameter without a tensor, 1 tensor of no parameter, listed above; " +
		"say which tensor is which parameter, with --name PARAMETER=TENSOR or --map FILE, or choose another --model\n"
	if o.status != exitFailed || o.errors != want {
		t.Errorf("status %d, got\n%swant\n%s", o.status, o.errors, want)
	}
	if o := gputrain(t, "import", "own.safetensors", "--model", "tutorial"); !strings.HasSuffix(o.errors, "; they fit --model resnet20\n") {
		t.Errorf("another model's weights: %s", o.errors)
	}
	// A network that normalises has a layer more, and the weights' own program gave the values for it.
	must(t, "import", "own.safetensors", "--model", "resnet20", "--run", "normal", "--mean", "0.5,0.25,0", "--std", "0.5, 0.25, 1")
	c := load(t, filepath.Join(runsFolder, "normal"))
	if w, b := c.State.Params["normalize.weight"].Float32s(), c.State.Params["normalize.bias"].Float32s(); !slices.Equal(w, []float32{2, 4, 1}) || !slices.Equal(b, []float32{-1, -1, 0}) {
		t.Errorf("normalised by %v and %v", w, b)
	}
	write(t, "twice", "a=b\na=c\n")
	for _, k := range []struct {
		status int
		want   string
		args   string
	}{
		{exitFailed, `twice: line 2: want PARAMETER=TENSOR, once a parameter, got "a=c"`, "--map twice"},
		{exitUsage, `--name: want PARAMETER=TENSOR, once a parameter, as in conv1.weight=layer1_W, got "fc.bias=x"`, "--map lines --name fc.bias=x"},
		{exitUsage, "--mean and --std belong together: a number for each channel, as in --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225", "--mean 1"},
		{exitUsage, `--std: want numbers with commas between them, as in 0.485,0.456,0.406, got "a"`, "--mean 1 --std a"},
		{exitFailed, "normalisation by 1 means and 1 deviations: want one for each of the 3 channels", "--mean 1 --std 1 --model resnet20"},
		{exitUsage, "--input is for built-in models; quick.json says itself what it takes", "--model quick.json --input 1x2x3"},
	} {
		refuses(t, k.status, k.want, append([]string{"import", "own.safetensors"}, strings.Fields(k.args)...)...)
	}
	refuses(t, exitFailed, "cannot resume: the run was imported without its data; begin a new run with its weights: "+invocation()+" train --from "+filepath.Join(runsFolder, "run0")+" --data FOLDER", "train", "--resume", "run0")
	refuses(t, exitFailed, "the run was imported, and nobody knows the data that it was trained on: say with --data where such data are", "eval", "--run", "run0")
}

// compare imports the weights of a case and compares the answers.
func (c torchCase) compare(t *testing.T, python, script string) {
	dir := t.TempDir()
	list, err := json.Marshal([]torchCase{c})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cases.json"), string(list))
	if text, err := exec.Command(python, script, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	file := filepath.Join(dir, c.Name)
	run := filepath.Join(dir, "run")
	args := []string{"import", file + ".safetensors", "--model", c.ours, "--run", run}
	for flag, values := range map[string][]float64{"--mean": c.Mean, "--std": c.Std} {
		if values != nil {
			args = append(args, flag, strings.Trim(strings.ReplaceAll(fmt.Sprint(values), " ", ","), "[]"))
		}
	}
	o := gputrain(t, args...)
	if o.status != exitOK || !strings.Contains(o.errors, c.says) {
		t.Fatalf("import: status %d, %q; want it to say %q", o.status, o.errors, c.says)
	}
	device, err := cpu.NewInferrer(load(t, run), 1, cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	images, logits := float32s(t, file+".images"), float32s(t, file+".logits")
	shape := net.Shape{C: c.Input[0], H: c.Input[1], W: c.Input[2]}
	n := len(images) / shape.Size()
	if n < 2 || len(logits) != n*c.Classes {
		t.Fatalf("%d values of images, %d logits", len(images), len(logits))
	}
	b := net.Batch{Data: &net.Dataset{Name: c.Name, Shape: shape, Classes: c.Classes, Values: images, Labels: make([]int32, n)}}
	for i := range n {
		b.Indices = append(b.Indices, int32(i))
	}
	probabilities, err := device.Infer(b)
	if err != nil {
		t.Fatal(err)
	}
	got := probabilities.Float32s()
	var ours, theirs [][]float64
	for i := range n {
		p, z := make([]float64, c.Classes), make([]float64, c.Classes)
		greatest := float64(slices.Max(logits[i*c.Classes : (i+1)*c.Classes]))
		sum := 0.
		for k := range c.Classes {
			p[k], z[k] = math.Log(float64(got[i*c.Classes+k])), float64(logits[i*c.Classes+k])
			sum += math.Exp(z[k] - greatest)
		}
		for k := range z {
			z[k] -= greatest + math.Log(sum)
		}
		ours, theirs = append(ours, p), append(theirs, z)
	}
	// Logits have a standard deviation of 3. Both sides compute in float32, with sums of up to 25,088 products and
	// through up to 121 layers, in other orders.
	tolerance := approx.Tolerance{Abs: 3e-3}
	for i := range n {
		approx.Check(t, fmt.Sprintf("logarithms of the probabilities of image %d", i), ours[i], theirs[i], tolerance)
	}
	if approx.Compare(theirs[0], theirs[1], approx.Tolerance{Abs: 0.05}).OK {
		t.Error("the model answers the same whatever it sees: the comparison means nothing")
	}
}

// float32s reads a file of float32 values.
func float32s(t *testing.T, path string) (values []float32) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for word := range slices.Chunk(b, 4) {
		values = append(values, math.Float32frombits(binary.LittleEndian.Uint32(word)))
	}
	return values
}

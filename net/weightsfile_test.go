package net

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// stored is a tensor to write: bytes of a type.
type stored struct {
	Type string `json:"dtype"`
	Dims []int  `json:"shape"`
	At   [2]int `json:"data_offsets"`
	data []byte
}

// storeWeights writes a safetensors file as other programs do.
func storeWeights(t testing.TB, tensors map[string]stored) string {
	t.Helper()
	var data []byte
	for name, s := range tensors {
		s.At = [2]int{len(data), len(data) + len(s.data)}
		data = append(data, s.data...)
		tensors[name] = s
	}
	header, err := json.Marshal(tensors)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "w.safetensors")
	if err := os.WriteFile(path, withHeader(string(header), data), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// storedParams returns a plan's parameters, whose values count up from 0, under other names.
func storedParams(p *Plan, rename func(Param) string) map[string]stored {
	tensors := map[string]stored{}
	for _, q := range p.Params {
		var data []byte
		for i := range q.Size() {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i)))
		}
		tensors[rename(q)] = stored{Type: "F32", Dims: q.Dims, data: data}
	}
	return tensors
}

// TestForeignNames compares our rules with the names that torchvision 0.29 and timm 1.0 give: SHA-256 of the sorted
// names of the state dict, a line each, without num_batches_tracked.
func TestForeignNames(t *testing.T) {
	for _, c := range []struct {
		how, model string
		tensors    int
		sum        string
	}{
		{"the names of torchvision's and timm's ResNet", "resnet18", 102, "e90b1f58ce95ad39"},
		{"the names of torchvision's and timm's ResNet", "resnet50", 267, "d1512e10e88bf8a9"},
		{"the names of torchvision's and timm's DenseNet", "densenet121", 606, "01da9529598dc5d0"},
		{"torchvision's names, features and classifier", "vgg11", 54, "fdfeb8f98ed293ab"},
		{"torchvision's names, features and classifier", "vgg16", 84, "b3372d34016ee025"},
		{"the names of timm's VGG", "vgg11", 54, "9a8fbf216cf1b864"},
		{"the names of timm's VGG", "vgg16", 84, "8a50da39954f6d32"},
		{"the names of torchvision's MobileNetV2", "mobilenetv2", 262, "7abb0d3441db5855"},
		{"the names of timm's MobileNetV2", "mobilenetv2", 262, "6d15a2002986888a"},
		{"the names of torchvision's SqueezeNet", "squeezenet", 52, "377239e32f1ba6b0"},
	} {
		plan, err := BuiltIn(c.model).Plan()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(conventions, func(k convention) bool { return k.how == c.how })
		layers := conventions[i].layers(plan)
		var names []string
		for _, q := range plan.Params {
			layer := plan.Nodes[q.Layer].Name
			if other, ok := layers[layer]; ok {
				layer = other
			}
			names = append(names, layer+"."+string(q.Role))
		}
		slices.Sort(names)
		if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(names, "\n"))))[:16]; len(names) != c.tensors || sum != c.sum {
			t.Errorf("%s, %s: %d names with sum %s, want %d with %s: %s", c.model, c.how, len(names), sum, c.tensors, c.sum, some(names))
		}
	}
}

// TestMatch recognises the tensors of a network by names of several kinds, and says by which. In each file a tensor's
// values tell its parameter.
func TestMatch(t *testing.T) {
	plan := small(t)
	numbers := map[string]string{"conv1": "0", "norm": "1", "dense1": "4", "norm2": "5", "dense2": "10"}
	keras := map[Role]string{Weight: "gamma", Bias: "beta", RunningMean: "moving_mean", RunningVar: "moving_variance"}
	layer := func(q Param) string { return plan.Nodes[q.Layer].Name }
	for _, c := range []struct {
		says   string
		rename func(Param) string
	}{
		{"", func(q Param) string { return q.Name }},
		{"the network's own names, behind module.model.", func(q Param) string { return "module.model." + q.Name }},
		{"the network's own names, behind a.b.", func(q Param) string { return "a.b." + q.Name }}, // what all have
		{"the network's own names, behind backbone.", func(q Param) string {
			if layer(q) == "dense2" {
				return q.Name
			}
			return "backbone." + q.Name
		}},
		{"dimensions and order, which fit in one way only: 0 is conv1, 1 is norm, 4 is dense1, 5 is norm2, 10 is dense2",
			func(q Param) string { return numbers[layer(q)] + "." + string(q.Role) }},
		{"the network's own names, behind sequential.", func(q Param) string {
			name := string(q.Role)
			switch {
			case strings.HasPrefix(layer(q), "norm"):
				name = keras[q.Role]
			case q.Role == Weight:
				name = "kernel"
			}
			return "sequential/" + layer(q) + "/" + name + ":0"
		}},
	} {
		tensors := storedParams(plan, c.rename)
		tensors["x.num_batches_tracked"] = stored{Type: "I64", Dims: []int{}, data: make([]byte, 8)}
		tensors["steps"] = stored{Type: "I32", Dims: []int{}, data: make([]byte, 4)}
		tensors["logit_scale"] = stored{Type: "F32", Dims: []int{}, data: make([]byte, 4)}
		f, err := OpenWeights(storeWeights(t, tensors))
		if err != nil {
			t.Fatal(err)
		}
		m, err := f.Match(plan, WeightsOptions{})
		if err != nil {
			t.Errorf("%s: %v", c.says, err)
			continue
		}
		if m.How != c.says || !slices.Equal(m.Scalars, []string{"logit_scale"}) || m.Skipped != nil {
			t.Errorf("recognised by %q, left out %v and %v; want %q", m.How, m.Scalars, m.Skipped, c.says)
		}
		for _, q := range plan.Params {
			if m.Tensors[q.Name] != c.rename(q) {
				t.Errorf("%s: %s is taken from %s", c.says, q.Name, m.Tensors[q.Name])
			}
		}
		weights, err := f.Weights(plan, m)
		if err != nil {
			t.Fatal(err)
		}
		if w := weights["dense1.weight"].Float32s(); len(w) != 5*27 || w[134] != 134 {
			t.Errorf("%s: dense1.weight has other values", c.says)
		}
		if sizes := f.OutputSizes(plan, WeightsOptions{}); sizes[0] != 2 || c.says != "" && strings.HasPrefix(c.says, "the network's") && len(sizes) != 1 {
			t.Errorf("%s: classes %v", c.says, sizes)
		}
	}
}

// chain has two pairs of layers that agree in all but their places.
func chain(t *testing.T, residual bool) *Plan {
	t.Helper()
	n := &Network{Name: "chain", Input: Shape{C: 1, H: 4, W: 4}, Layers: []Layer{
		&Conv{Name: "a", Filters: 2, Kernel: Square(1)}, &Conv{Name: "b", Filters: 2, Kernel: Square(1)}, &Conv{Name: "c", Filters: 2, Kernel: Square(1)},
		&Flatten{Name: "flat"}, &Dense{Name: "d", Units: 3},
	}}
	if residual {
		n.Layers = slices.Insert(n.Layers, 3, Layer(&Add{Name: "sum", From: From{"a", "c"}}))
	}
	p, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestMatchByOrder takes numbers for an order only where they are one: of layers in a chain, that nothing contradicts.
func TestMatchByOrder(t *testing.T) {
	for _, c := range []struct {
		names    string // for a, b, c and d
		residual bool
		fits     bool
	}{
		{"0 2 10 4.0", false, false}, // d stands before c
		{"0 2 10 14", false, true},
		{"features.0 features.2 features.10 classifier.1", false, true},
		{"2 0 10 14", false, false},        // the first one takes one channel, so the numbers contradict
		{"0 x y 14", false, false},         // nobody knows which is first
		{"0 conv1 conv2 14", false, false}, // a name is no order
		{"0 2 10 14", true, false},         // a branch, where an order may be another
	} {
		names := strings.Fields(c.names)
		plan := chain(t, c.residual)
		f, err := OpenWeights(storeWeights(t, storedParams(plan, func(q Param) string {
			return names[strings.Index("abcd", plan.Nodes[q.Layer].Name)] + "." + string(q.Role)
		})))
		if err != nil {
			t.Fatal(err)
		}
		m, err := f.Match(plan, WeightsOptions{})
		if (err == nil) != c.fits {
			t.Errorf("%s, residual %v: %v", c.names, c.residual, err)
		}
		if err == nil && (m.Tensors["b.weight"] != names[1]+".weight" || m.Tensors["c.bias"] != names[2]+".bias") {
			t.Errorf("%s: matched as %v", c.names, m.Tensors)
		}
	}
}

// TestMatchByDimensions recognises layers that differ in their dimensions, whatever their names, also in a graph.
func TestMatchByDimensions(t *testing.T) {
	n := &Network{Name: "branch", Input: Shape{C: 1, H: 2, W: 2}, Layers: []Layer{
		&Conv{Name: "a", Filters: 2, Kernel: Square(1)}, &Conv{Name: "b", Filters: 2, Kernel: Square(1)},
		&Add{Name: "sum", From: From{"a", "b"}}, &Flatten{Name: "flat"}, &Dense{Name: "d", Units: 3},
	}}
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{"a": "branches.1.x", "b": "branches.0.x", "d": "top"} // in a graph, no number is an order
	f, err := OpenWeights(storeWeights(t, storedParams(plan, func(q Param) string { return names[plan.Nodes[q.Layer].Name] + "." + string(q.Role) })))
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Match(plan, WeightsOptions{})
	if err != nil || m.Tensors["a.bias"] != "branches.1.x.bias" || m.Tensors["b.weight"] != "branches.0.x.weight" || m.Tensors["d.bias"] != "top.bias" {
		t.Errorf("%v, %v", m, err)
	}
}

// TestMismatch lists all that doesn't fit.
func TestMismatch(t *testing.T) {
	plan := small(t)
	tensors := storedParams(plan, func(q Param) string { return q.Name })
	tensors["ema.conv1.weight"], tensors["model.conv1.weight"] = tensors["conv1.weight"], tensors["conv1.weight"]
	delete(tensors, "conv1.bias")
	delete(tensors, "norm.bias")
	tensors["dense2.bias"] = stored{Type: "F32", Dims: []int{1, 2}, data: make([]byte, 8)}
	f, err := OpenWeights(storeWeights(t, tensors))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Match(plan, WeightsOptions{SkipExtra: true})
	var e *MismatchError
	if !errors.As(err, &e) || !errors.Is(err, ErrWeights) {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%q %q %q", e.Missing, e.Wrong, e.Extra), `["conv1.bias [3]" "norm.bias [3]"] `+
		`["dense2.bias F32 [1 2], but dense2.bias needs [2] in the layout channels-first"] ["ema.conv1.weight F32 [3 2 2 1]" "model.conv1.weight F32 [3 2 2 1]"]`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	twice := storedParams(plan, func(q Param) string { return "model." + q.Name })
	for _, q := range plan.Params {
		twice["module."+q.Name] = twice["model."+q.Name]
	}
	if f, err = OpenWeights(storeWeights(t, twice)); err != nil {
		t.Fatal(err)
	}
	if _, err = f.Match(plan, WeightsOptions{SkipExtra: true}); !errors.As(err, &e) || len(e.Missing) != 14 || len(e.Extra) != 28 {
		t.Errorf("two networks in one file: %v", err)
	}
	whole := storedParams(plan, func(q Param) string { return q.Name })
	whole["ema.conv1.weight"] = whole["conv1.weight"]
	if f, err = OpenWeights(storeWeights(t, whole)); err != nil {
		t.Fatal(err)
	}
	if _, err = f.Match(plan, WeightsOptions{}); !errors.As(err, &e) || len(e.Extra) != 1 || !strings.HasSuffix(err.Error(), "; 1 tensor of no parameter (ema.conv1.weight F32 [3 2 2 1])") {
		t.Errorf("a tensor too many: %v", err)
	}
	if m, err := f.Match(plan, WeightsOptions{SkipExtra: true}); err != nil || !slices.Equal(m.Skipped, []string{"ema.conv1.weight F32 [3 2 2 1]"}) {
		t.Errorf("left out: %+v, %v", m, err)
	}
	// Names that the caller gives come first, and a tensor is one parameter at most.
	if m, err := f.Match(plan, WeightsOptions{Names: map[string]string{"conv1.weight": "ema.conv1.weight"}, SkipExtra: true}); err != nil || m.Tensors["conv1.weight"] != "ema.conv1.weight" {
		t.Errorf("%+v, %v", m, err)
	}
	for says, names := range map[string]map[string]string{
		"no parameter conv9.weight; it has conv1.weight": {"conv9.weight": "conv1.weight"},
		"no tensor x, which should be conv1.weight":      {"conv1.weight": "x"},
		"can't be both norm.bias and norm2.bias":         {"norm.bias": "norm.bias", "norm2.bias": "norm.bias"},
	} {
		if _, err := f.Match(plan, WeightsOptions{Names: names}); !errors.Is(err, ErrWeights) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// TestWindowAsDense takes a convolution that sees the whole image for the dense layer that it is.
func TestWindowAsDense(t *testing.T) {
	plan := small(t)
	for _, c := range []struct {
		name string
		dims []int
		fits bool
	}{
		{"dense1.weight", []int{5, 3, 3, 3}, true}, {"dense2.weight", []int{2, 5, 1, 1}, true},
		{"dense1.weight", []int{5, 27, 1, 1}, true}, {"dense1.weight", []int{5, 9, 3, 1}, false}, {"dense1.weight", []int{135}, false},
	} {
		tensors := storedParams(plan, func(q Param) string { return q.Name })
		s := tensors[c.name]
		s.Dims = c.dims
		tensors[c.name] = s
		_, err := LoadWeights(storeWeights(t, tensors), plan, ChannelsFirst, nil)
		if (err == nil) != c.fits {
			t.Errorf("%s %v: %v", c.name, c.dims, err)
		}
	}
}

// TestWindowOfAJoin refuses a convolution on one part of a vector for a dense layer on all of it.
func TestWindowOfAJoin(t *testing.T) {
	plan := joined(t)
	tensors := storedParams(plan, func(q Param) string { return q.Name })
	tensors["beside.weight"] = stored{Type: "F32", Dims: []int{5, 2, 3, 1}, data: make([]byte, 4*30)}
	var e *MismatchError
	if _, err := LoadWeights(storeWeights(t, tensors), plan, ChannelsFirst, nil); !errors.As(err, &e) || len(e.Wrong) != 1 {
		t.Errorf("%v", err)
	}
}

// TestTypes converts values of other types, and refuses what float32 can't hold.
func TestTypes(t *testing.T) {
	plan, err := (&Network{Name: "two", Input: Shape{C: 1, H: 1, W: 1}, Layers: []Layer{&Flatten{}, &Dense{Name: "d", Units: 2, NoBias: true}}}).Plan()
	if err != nil {
		t.Fatal(err)
	}
	half := func(a, b uint16) []byte {
		return binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, a), b)
	}
	double := func(a, b float64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, math.Float64bits(a)), math.Float64bits(b))
	}
	for _, c := range []struct {
		dtype string
		data  []byte
		want  [2]float32
		says  string
	}{
		{"F16", half(0x3c00, 0xc000), [2]float32{1, -2}, ""},
		{"F16", half(0x7bff, 0x0400), [2]float32{65504, 0x1p-14}, ""},
		{"F16", half(0x0001, 0x83ff), [2]float32{0x1p-24, -1023 * 0x1p-24}, ""},
		{"F16", half(0x3555, 0x8000), [2]float32{0.333251953125, 0}, ""},
		{"F16", half(0x7c00, 0), [2]float32{}, "NaN or an infinity"},
		{"F16", half(0, 0x7c01), [2]float32{}, "NaN or an infinity"},
		{"BF16", half(0x3f80, 0xc2f7), [2]float32{1, -123.5}, ""},
		{"BF16", half(0x3f80, 0xff80), [2]float32{}, "NaN or an infinity"},
		{"F64", double(0.1, -1e-300), [2]float32{0.1, 0}, ""},
		{"F64", double(1, 3.5e38), [2]float32{}, "tensor d.weight has the value 3.5e+38, which is too large for float32"},
		{"F64", double(math.NaN(), 1), [2]float32{}, "NaN or an infinity"},
		{"I32", make([]byte, 8), [2]float32{}, "tensor d.weight has type I32; weights are F32, F16, BF16 or F64"},
		{"F8_E4M3", make([]byte, 2), [2]float32{}, "a tensor has a type that gputrain doesn't know"},
	} {
		path := storeWeights(t, map[string]stored{"d.weight": {Type: c.dtype, Dims: []int{2, 1}, data: c.data}})
		w, err := LoadWeights(path, plan, ChannelsFirst, nil)
		switch {
		case c.says != "":
			if !errors.Is(err, ErrWeights) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want %q", c.dtype, err, c.says)
			}
		case err != nil:
			t.Errorf("%s: %v", c.dtype, err)
		case [2]float32(w["d.weight"].Float32s()) != c.want:
			t.Errorf("%s: %v, want %v", c.dtype, w["d.weight"].Float32s(), c.want)
		}
	}
}

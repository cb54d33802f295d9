package net

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

// small has a convolution, and two dense layers behind a flattened picture.
func small(t testing.TB) *Plan {
	t.Helper()
	n := &Network{Name: "small", Input: Shape{C: 2, H: 4, W: 3}, Layers: []Layer{
		&Conv{Name: "conv1", Filters: 3, Kernel: Pair{H: 2, W: 1}},
		&BatchNorm{Name: "norm"}, &Flatten{}, &Activation{Func: ReLU},
		&Dense{Name: "dense1", Units: 5}, &BatchNorm{Name: "norm2"}, &Dense{Name: "dense2", Units: 2},
	}}
	p, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWeightsRoundTrip writes and reads weights in each layout.
func TestWeightsRoundTrip(t *testing.T) {
	plan := small(t)
	want := InitialState(plan, 3, nil).Params
	for _, l := range Layouts() {
		path := filepath.Join(t.TempDir(), "w.safetensors")
		if err := SaveWeights(path, plan, want, l); err != nil {
			t.Fatal(err)
		}
		got, err := LoadWeights(path, plan, l, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range plan.Params {
			if !slices.Equal(got[q.Name].Float32s(), want[q.Name].Float32s()) || !got[q.Name].Shape().Eq(want[q.Name].Shape()) {
				t.Errorf("%s: %s is another", l, q.Name)
			}
		}
		// Without its layout, a file of another one is refused by its dimensions.
		for _, other := range Layouts() {
			if _, err := LoadWeights(path, plan, other, nil); (err == nil) != (other == l) || err != nil && !errors.Is(err, ErrWeights) {
				t.Errorf("%s read as %s: %v", l, other, err)
			}
		}
	}
}

// TestChannelsLast finds each value where TensorFlow has it.
func TestChannelsLast(t *testing.T) {
	plan := small(t)
	weights := InitialState(plan, 3, nil).Params
	path := filepath.Join(t.TempDir(), "w.safetensors")
	if err := SaveWeights(path, plan, weights, ChannelsLast); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tensors, _, err := readTensors(b)
	if err != nil {
		t.Fatal(err)
	}
	at := func(of *tensor.Dense, place ...int) float32 {
		v, err := of.At(place...)
		if err != nil {
			t.Fatal(err)
		}
		return v.(float32)
	}
	foreign := map[string]*tensor.Dense{}
	for name, view := range tensors {
		if foreign[name], err = denseOf(view); err != nil {
			t.Fatal(err)
		}
	}
	for k := range 3 {
		for c := range 2 {
			for y := range 2 {
				if at(weights["conv1.weight"], k, c, y, 0) != at(foreign["conv1.weight"], y, 0, c, k) {
					t.Errorf("filter %d, channel %d, row %d is another", k, c, y)
				}
			}
		}
	}
	// The convolution gives 3 channels of 3x3.
	for u := range 5 {
		for c := range 3 {
			for y := range 3 {
				for x := range 3 {
					if at(weights["dense1.weight"], u, (c*3+y)*3+x) != at(foreign["dense1.weight"], (y*3+x)*3+c, u) {
						t.Errorf("unit %d, channel %d, place %d,%d is another", u, c, y, x)
					}
				}
			}
		}
	}
	for u := range 2 {
		for i := range 5 {
			if at(weights["dense2.weight"], u, i) != at(foreign["dense2.weight"], i, u) {
				t.Errorf("dense2: unit %d, input %d is another", u, i)
			}
		}
	}
}

// joined has two flattened branches of different shapes, joined before batch
// normalisation and a dense layer, and a convolution on a flat vector.
func joined(t testing.TB) *Plan {
	t.Helper()
	n := &Network{Name: "joined", Input: Shape{C: 2, H: 4, W: 3}, Layers: []Layer{
		&Conv{Name: "a", Filters: 3, Kernel: Pair{H: 3, W: 2}}, // 3 x 2 x 2
		&Flatten{Name: "flat-a"},
		&Conv{Name: "b", From: From{"input"}, Filters: 2, Kernel: Pair{H: 2, W: 3}, Groups: 2}, // 2 x 3 x 1
		&Flatten{Name: "flat-b"},
		&Concat{Name: "both", From: From{"flat-b", "flat-a"}},
		&BatchNorm{Name: "norm"},
		&Conv{Name: "on-vector", Filters: 5, Kernel: Square(1)},
		&Activation{Name: "gate", Func: HardSigmoid},
		&Dense{Name: "beside", Units: 5, From: From{"norm"}},
		&Add{Name: "sum", From: From{"beside", "gate"}},
		&Dense{Name: "out", Units: 2},
	}}
	p, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestChannelsLastOfAJoin says for each value of the vector where TensorFlow has it.
func TestChannelsLastOfAJoin(t *testing.T) {
	plan := joined(t)
	weights := InitialState(plan, 3, nil).Params
	for _, name := range []string{"norm.weight", "norm.bias", "norm.running_mean", "norm.running_var", "beside.bias"} {
		for i := range weights[name].Float32s() {
			weights[name].Float32s()[i] = float32(i)
		}
	}
	path := filepath.Join(t.TempDir(), "w.safetensors")
	if err := SaveWeights(path, plan, weights, ChannelsLast); err != nil {
		t.Fatal(err)
	}
	back, err := LoadWeights(path, plan, ChannelsLast, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !sameTensors(back, weights) {
		t.Error("weights changed on their way through the file")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tensors, _, err := readTensors(b)
	if err != nil {
		t.Fatal(err)
	}
	foreign := func(name string) []float32 {
		d, err := denseOf(tensors[name])
		if err != nil {
			t.Fatal(err)
		}
		return d.Float32s()
	}
	// Behind the join are 3 places of 2 channels, then 4 places of 3 channels.
	place := []float32{0, 3, 1, 4, 2, 5, 6, 10, 14, 7, 11, 15, 8, 12, 16, 9, 13, 17}
	for _, role := range []string{"weight", "bias", "running_mean", "running_var"} {
		if got := foreign("norm." + role); !slices.Equal(got, place) {
			t.Errorf("norm.%s stands as %v, want %v", role, got, place)
		}
	}
	if got := foreign("beside.bias"); !slices.Equal(got, []float32{0, 1, 2, 3, 4}) {
		t.Errorf("a dense layer's bias stands as %v", got)
	}
	for _, name := range []string{"beside.weight", "on-vector.weight"} {
		got, was := foreign(name), weights[name].Float32s()
		for i, from := range place {
			for u := range 5 {
				if got[i*5+u] != was[u*18+int(from)] {
					t.Fatalf("%s: unit %d has another value for what stands at %d", name, u, i)
				}
			}
		}
	}
}

// TestLayoutsWithoutAnEqual refuses channels last where no order of the weights
// makes the same network.
func TestLayoutsWithoutAnEqual(t *testing.T) {
	image := Shape{2, 3, 3}
	flat, vector := &Flatten{Name: "flat"}, &Dense{Name: "vector", Units: 18}
	for want, layers := range map[string][]Layer{
		"layer 2 (add1): its inputs are flattened in different orders":      {flat, vector, &Add{From: From{"flat", "vector"}}, &Dense{Units: 2}},
		"layer 2 (multiply1): its inputs are flattened in different orders": {flat, vector, &Multiply{From: From{"vector", "flat"}}, &Dense{Units: 2}},
		"layer 1 (conv1): its groups are of a flattened image's values":     {flat, &Conv{Filters: 4, Kernel: Square(1), Groups: 2}, &Flatten{}, &Dense{Units: 2}},
		"layer 2 (flatten2): its channels are a flattened image's values":   {flat, &Pool{Kernel: Square(2), Stride: Square(1), Padding: Pad(1, 1, 1, 1)}, &Flatten{}, &Dense{Units: 2}},
		"": {flat, &Activation{Name: "same", Func: ReLU}, &Add{From: From{"flat", "same"}}, &Flatten{}, &Dense{Units: 2}},
	} {
		plan, err := (&Network{Input: image, Layers: layers}).Plan()
		if err != nil {
			t.Fatal(err)
		}
		weights := InitialState(plan, 1, nil).Params
		for _, l := range Layouts() {
			path := filepath.Join(t.TempDir(), "w.safetensors")
			saved := SaveWeights(path, plan, weights, l)
			_, loaded := LoadWeights(path, plan, l, nil)
			for _, err := range []error{saved, loaded} {
				if refused := want != "" && l == ChannelsLast; refused != (err != nil) || refused && !strings.Contains(err.Error(), "layout channels-last: "+want) {
					t.Errorf("%s: error %v, want %q", l, err, want)
				}
			}
		}
	}
}

// TestWeightsNames takes tensors of other names, and refuses what doesn't fit.
func TestWeightsNames(t *testing.T) {
	plan := small(t)
	dir := t.TempDir()
	save := func(name string, change func(map[string]*tensor.Dense)) string {
		weights := maps.Clone(InitialState(plan, 3, nil).Params)
		change(weights)
		path := filepath.Join(dir, name)
		renamed := *plan
		renamed.Params = slices.Clone(plan.Params)
		if _, ok := weights["layer1_W:0"]; ok {
			renamed.Params[0].Name = "layer1_W:0"
		}
		if err := SaveWeights(path, &renamed, weights, ChannelsFirst); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rename := save("renamed", func(w map[string]*tensor.Dense) { w["layer1_W:0"] = w["conv1.weight"] })
	if _, err := LoadWeights(rename, plan, ChannelsFirst, map[string]string{"conv1.weight": "layer1_W:0"}); err != nil {
		t.Error(err)
	}
	nan := save("nan", func(w map[string]*tensor.Dense) {
		w["dense2.bias"] = w["dense2.bias"].Clone().(*tensor.Dense)
		w["dense2.bias"].Float32s()[1] = float32(math.NaN())
	})
	for _, c := range []struct {
		path  string
		names map[string]string
		says  string
	}{
		{rename, nil, "network small has 14 parameters; 1 parameter without a tensor (conv1.weight [3 2 2 1]), 1 tensor of no parameter (layer1_W:0 F32 [3 2 2 1])"},
		{rename, map[string]string{"conv9.weight": "layer1_W:0"}, "no parameter conv9.weight"},
		{nan, nil, "dense2.bias"},
	} {
		_, err := LoadWeights(c.path, plan, ChannelsFirst, c.names)
		if !errors.Is(err, ErrWeights) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("want ErrWeights with %q, got %v", c.says, err)
		}
	}
	if _, err := LoadWeights(filepath.Join(dir, "none"), plan, ChannelsFirst, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	mlp, err := BuiltIn("mlp").Plan()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LoadWeights(nan, mlp, ChannelsFirst, nil); !errors.Is(err, ErrWeights) {
		t.Errorf("another network's weights: %v", err)
	}
}

// FuzzWeights reads anything.
func FuzzWeights(f *testing.F) {
	plan := small(f)
	path := filepath.Join(f.TempDir(), "w")
	if err := SaveWeights(path, plan, InitialState(plan, 3, nil).Params, ChannelsLast); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	// Types and names of other programs, and scalars.
	for _, replaced := range [][2]string{{`"F32"`, `"F64"`}, {`"F32"`, `"F8_E4M3"`}, {"conv1.weight", "model.0.kernel"}} {
		f.Add(bytes.ReplaceAll(b, []byte(replaced[0]), []byte(replaced[1])))
	}
	f.Add(withHeader(`{"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"1.weight":{"dtype":"F16","shape":[2,2],"data_offsets":[8,16]}}`, make([]byte, 16)))
	f.Add(withHeader(`{"a":{"dtype":"F32","shape":[4294967296,1073741824],"data_offsets":[0,0]}}`, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := decodeWeights(b)
		if err != nil {
			return
		}
		for _, o := range []WeightsOptions{{}, {Layout: ChannelsLast, SkipExtra: true}} {
			for _, n := range file.OutputSizes(plan, o) {
				if n < 2 || n > maxElements {
					t.Errorf("%d classes", n)
				}
			}
			m, err := file.Match(plan, o)
			if err != nil {
				continue
			}
			weights, err := file.Weights(plan, m)
			if err == nil && len(weights) != len(plan.Params) {
				t.Errorf("%d tensors, want %d", len(weights), len(plan.Params))
			}
		}
	})
}

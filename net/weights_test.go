package net

import (
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
		{rename, nil, "no tensor conv1.weight"},
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
	f.Fuzz(func(t *testing.T, b []byte) {
		if weights, err := decodeWeights(b, plan, ChannelsLast, nil); err == nil && len(weights) != len(plan.Params) {
			t.Errorf("%d tensors, want %d", len(weights), len(plan.Params))
		}
	})
}

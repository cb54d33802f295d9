package net_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

// TestNormalize compares a network on normalised values with one that normalises. The input has several uses, some of
// them by its name, and windows reach beyond the image. Layers without names keep those that they had.
func TestNormalize(t *testing.T) {
	rng := testenv.Rand(t)
	n, err := net.ParseNetwork(strings.NewReader(`{"name": "n", "input": {"channels": 2, "height": 4, "width": 4}, "layers": [
		{"type": "conv", "filters": 2, "kernel": 3, "padding": "same"},
		{"type": "activation", "func": "tanh"},
		{"type": "add", "name": "sum", "from": ["input", "tanh1"]},
		{"type": "conv", "filters": 3, "kernel": 3, "padding": "same", "from": "input"},
		{"type": "concat", "name": "both", "from": ["conv2", "sum", "input"]},
		{"type": "flatten"}, {"type": "dense", "units": 4}]}`))
	if err != nil {
		t.Fatal(err)
	}
	o := net.Options{Batch: 3, Optimizer: net.SGDDefault(0)}
	plain := compileNetwork(t, n, o)
	weights := net.InitialState(plain.Plan(), 1, nil).Params
	for _, w := range weights {
		for i := range w.Float32s() {
			w.Float32s()[i] = float32(rng.NormFloat64())
		}
	}
	mean, deviation := []float64{0.4, -2}, []float64{0.25, 3}
	changed, all, err := net.Normalize(n, weights, mean, deviation)
	if err != nil {
		t.Fatal(err)
	}
	if had := slices.Sorted(maps.Keys(weights)); len(all) != len(had)+2 || len(n.Layers) != 7 || len(changed.Layers) != 8 {
		t.Errorf("%d parameters, %d layers", len(all), len(changed.Layers))
	}
	normal := compileNetwork(t, changed, o)
	for p, w := range map[net.Program]net.State{plain: {Params: weights}, normal: {Params: all}} {
		if err := p.SetState(w); err != nil {
			t.Fatal(err)
		}
	}
	raw, scaled := make([]float32, 3*32), make([]float32, 3*32)
	for i := range raw {
		c := i / 16 % 2
		raw[i] = rng.Float32()
		scaled[i] = float32((float64(raw[i]) - mean[c]) / deviation[c])
	}
	infer := func(p net.Program, values []float32) []float32 {
		b := net.Batch{Data: &net.Dataset{Name: "n", Shape: n.Input, Classes: 4, Values: values, Labels: make([]int32, 3)}, Indices: []int32{0, 1, 2}}
		out, err := p.Infer(b)
		if err != nil {
			t.Fatal(err)
		}
		return out.Float32s()
	}
	// Both are computed in float32, by sums of at most 112 products.
	approx.Check(t, "probabilities", infer(normal, raw), infer(plain, scaled), approx.Tolerance{Abs: 1e-5, Rel: 1e-4})

	for says, c := range map[string][2][]float64{
		"want one for each of the 2 channels": {{1}, {1, 2}},
		"a deviation above 0":                 {{1, 2}, {1, 0}},
	} {
		if _, _, err := net.Normalize(n, weights, c[0], c[1]); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if _, _, err := net.Normalize(changed, all, mean, deviation); err == nil || !strings.Contains(err.Error(), "already has a layer normalize") {
		t.Errorf("twice: %v", err)
	}
}

package net_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

// TestFold folds batch normalisation that can be folded, and no other. In evaluation the network stays the same, and layers
// keep their names.
func TestFold(t *testing.T) {
	rng := testenv.Rand(t)
	n, err := net.ParseNetwork(strings.NewReader(`{"name": "n", "input": {"channels": 2, "height": 5, "width": 5}, "layers": [
		{"type": "batchnorm"},
		{"type": "conv", "filters": 4, "kernel": 3, "padding": "same", "no_bias": true, "groups": 2},
		{"type": "dropout", "rate": 0.5},
		{"type": "batchnorm"},
		{"type": "batchnorm"},
		{"type": "activation", "func": "relu"},
		{"type": "conv", "name": "two", "filters": 4, "kernel": 1},
		{"type": "batchnorm", "name": "norm"},
		{"type": "add", "name": "sum", "from": ["norm", "two"]},
		{"type": "conv", "filters": 3, "kernel": 2},
		{"type": "batchnorm", "epsilon": 0.001},
		{"type": "dropout", "rate": 0.1},
		{"type": "activation", "func": "relu", "from": "dropout2"},
		{"type": "flatten"}, {"type": "dense", "units": 6}, {"type": "batchnorm"}, {"type": "dropout", "rate": 0.2},
		{"type": "dense", "units": 4, "no_bias": true}, {"type": "batchnorm"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	o := net.Options{Batch: 3, Optimizer: net.SGDDefault(0)}
	plain := compileNetwork(t, n, o)
	weights := net.InitialState(plain.Plan(), 1, nil).Params
	for _, p := range plain.Plan().Params {
		for i := range weights[p.Name].Float32s() {
			if v := float32(rng.NormFloat64()); p.Role == net.RunningVar {
				weights[p.Name].Float32s()[i] = 0.1 + v*v
			} else {
				weights[p.Name].Float32s()[i] = v
			}
		}
	}
	folded, rest, err := net.Fold(n, weights)
	if err != nil {
		t.Fatal(err)
	}
	less := compileNetwork(t, folded, o)
	var names []string
	for _, node := range less.Plan().Nodes {
		names = append(names, node.Name)
	}
	want := strings.Fields("batchnorm1 conv1 batchnorm3 relu1 two norm sum conv3 relu2 flatten1 dense1 dense2")
	if !slices.Equal(names, want) {
		t.Errorf("layers %v, want %v", names, want)
	}
	for p, w := range map[net.Program]net.State{plain: {Params: weights}, less: {Params: rest}} {
		if err := p.SetState(w); err != nil {
			t.Fatal(err)
		}
	}
	d := &net.Dataset{Name: "n", Shape: n.Input, Classes: 4, Labels: make([]int32, 3)}
	for range 3 * n.Input.Size() {
		d.Values = append(d.Values, float32(rng.NormFloat64()))
	}
	var out [2][]float32
	for i, p := range []net.Program{plain, less} {
		probabilities, err := p.Infer(net.Batch{Data: d, Indices: []int32{0, 1, 2}})
		if err != nil {
			t.Fatal(err)
		}
		out[i] = probabilities.Float32s()
	}
	approx.Check(t, "probabilities", out[1], out[0], approx.Tolerance{Abs: 1e-5})
}

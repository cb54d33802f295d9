package cpu

import (
	"fmt"
	"testing"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

// TestAddedGradients verifies each way in which an operation computes the gradient
// of its input, where it has to add that to another use's.
func TestAddedGradients(t *testing.T) {
	relu, flatten := &net.Activation{Func: net.ReLU}, &net.Flatten{}
	list := func(layers ...net.Layer) []net.Layer { return layers }
	for _, tier := range tiers() {
		for _, c := range []struct {
			channels int
			layers   []net.Layer // the first takes what another layer takes too
		}{
			{5, list(&net.Conv{From: net.From{"a"}, Filters: 7, Kernel: net.Square(3), Stride: net.Square(2)})},
			{5, list(&net.Conv{From: net.From{"a"}, Filters: 7, Kernel: net.Square(1), Stride: net.Square(2)})},
			{5, list(&net.Conv{From: net.From{"a"}, Filters: 6, Kernel: net.Pair{H: 2, W: 3}, Stride: net.Pair{H: 3, W: 2}, Dilation: net.Pair{H: 2, W: 1}, Padding: net.PadSame}, relu)},
			{6, list(&net.Conv{From: net.From{"a"}, Filters: 9, Kernel: net.Square(3), Groups: 3, Padding: net.PadSame}, relu)},
			{36, list(&net.Conv{From: net.From{"a"}, Filters: 60, Kernel: net.Square(3), Stride: net.Square(2), Groups: 3, Padding: net.PadSame}, relu)}, // vectors of two groups
			{40, list(&net.Conv{From: net.From{"a"}, Filters: 40, Kernel: net.Square(3), Groups: 10})},                                                   // of four
			{18, list(&net.Conv{From: net.From{"a"}, Filters: 126, Kernel: net.Square(2), Groups: 18})},                                                  // several filters for each channel
			{33, list(&net.Conv{From: net.From{"a"}, Filters: 33, Kernel: net.Square(3), Groups: 33, Padding: net.PadSame})},
			{2, list(&net.Conv{From: net.From{"a"}, Filters: 5, Kernel: net.Square(5), Padding: net.PadSame}, relu, &net.Pool{Kernel: net.Square(2)})},
			{19, list(&net.Conv{From: net.From{"a"}, Filters: 5, Kernel: net.Square(5), Padding: net.PadSame}, &net.Pool{Kernel: net.Square(2)})},
			{33, list(&net.Conv{From: net.From{"a"}, Filters: 32, Kernel: net.Square(3), Padding: net.PadSame}, relu)},
			{4, list(&net.Pool{From: net.From{"a"}, Kernel: net.Square(2)})},
			{4, list(&net.Pool{From: net.From{"a"}, Mode: net.MeanPool, Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame})},
			{4, list(&net.Pool{From: net.From{"a"}, Mode: net.L2Pool, Kernel: net.Pair{H: 2, W: 9}})},
			{4, list(&net.Pool{From: net.From{"a"}, Mode: net.MeanPool, Global: true})},
			{4, list(&net.Pool{From: net.From{"a"}, Mode: net.L2Pool, Global: true})},
			{4, list(&net.Activation{From: net.From{"a"}, Func: net.Tanh})},
			{4, list(&net.Activation{From: net.From{"a"}, Func: net.SiLU})},
			{4, list(&net.Dropout{From: net.From{"a"}, Rate: 0.4})},
			{4, list(&net.BatchNorm{From: net.From{"a"}})},
			{5, list(&net.BatchNorm{From: net.From{"a"}}, relu)},
			{5, list(&net.BatchNorm{Name: "n", From: net.From{"a"}}, &net.Add{From: net.From{"n", "a"}}, relu)},
			{5, list(&net.BatchNorm{Name: "n", From: net.From{"a"}, Frozen: net.Frozen{All: true}}, &net.Add{From: net.From{"n", "a"}}, relu)},
			{5, list(&net.Add{From: net.From{"a", "a"}}, relu)},
			{4, list(&net.Flatten{From: net.From{"a"}}, &net.Dense{Units: 6})},
			{4, list(&net.Flatten{From: net.From{"a"}}, &net.Dense{Units: 6}, relu)},
			{4, list(&net.Flatten{From: net.From{"a"}}, &net.BatchNorm{})},
			{4, list(&net.Add{From: net.From{"a", "a"}})},
			{4, list(&net.Concat{From: net.From{"a", "a", "a"}})},
			{4, list(&net.Multiply{From: net.From{"a", "a"}})},
			{4, list(&net.Pool{From: net.From{"a"}, Name: "g", Global: true}, &net.Multiply{From: net.From{"a", "g"}})},
			{4, list(&net.Pool{From: net.From{"a"}, Name: "g", Global: true}, &net.Multiply{Name: "m", From: net.From{"a", "g"}}, &net.Multiply{From: net.From{"m", "g"}})},
			{4, list(&net.Scale{From: net.From{"a"}, Factor: -0.5})},
		} {
			t.Run(fmt.Sprintf("%v/%T,%d", tier, c.layers[0], c.channels), func(t *testing.T) {
				layers := list(&net.Conv{Name: "a", Filters: c.channels, Kernel: net.Square(1)})
				layers = append(layers, c.layers...)
				layers = append(layers, flatten, &net.Scale{Name: "b", Factor: 1},
					&net.Activation{From: net.From{"a"}, Func: net.Sigmoid}, &net.Flatten{Name: "c"},
					&net.Concat{From: net.From{"b", "c"}}, &net.Dense{Units: 3})
				verifyLayers(t, tier, 7, net.Shape{C: 2, H: 11, W: 9}, layers...)
			})
		}
	}
}

// TestFrozenTakesNothing: of what is not trained there is no gradient, and nothing
// that only gradients need.
func TestFrozenTakesNothing(t *testing.T) {
	frozen := net.Frozen{All: true}
	layers := []net.Layer{
		&net.Conv{Filters: 4, Kernel: net.Square(3), Frozen: frozen},
		&net.BatchNorm{Frozen: frozen},
		&net.Activation{Func: net.ReLU},
		&net.Conv{Filters: 4, Kernel: net.Square(3), Frozen: net.Frozen{Roles: []net.Role{net.Weight}}},
		&net.Activation{Func: net.ReLU},
		&net.Pool{Kernel: net.Square(2)},
		&net.Conv{Filters: 4, Kernel: net.Square(2), Frozen: frozen},
		&net.Flatten{},
		&net.Dense{Units: 3, Frozen: net.Frozen{Roles: []net.Role{net.Bias}}},
	}
	input := net.Shape{C: 2, H: 11, W: 9}
	for _, tier := range tiers() {
		d := open(tier, 1)(t).(*device)
		p, err := newProgram(d, planOf(t, input, layers), net.Options{Batch: 2, Optimizer: net.AdamDefault(1e-3)}, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range p.params {
			if got := q.grad != nil; got != q.Trained {
				t.Errorf("%v: %s has a gradient: %v", tier, q.Name, got)
			}
		}
		p.prepareTraining()
		for i, op := range p.all.operations {
			if _, ok := op.sample.(*conversion); ok || i == 0 {
				continue
			}
			if got, want := op.out.grad != nil, op.layers[0] >= 3; got != want || op.learns != want {
				t.Errorf("%v: operation %d has a gradient: %v, learns: %v", tier, i, got, op.learns)
			}
			if c, ok := op.sample.(*conv); ok && (c.padded != nil || c.through != nil && c.through.images != nil) {
				t.Errorf("%v: operation %d keeps its input", tier, i)
			}
			if c, ok := op.sample.(*blockConv); ok && !c.weight.Trained && c.filterGradient != nil {
				t.Errorf("%v: operation %d has room for the gradient of its weights", tier, i)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		verifyLayers(t, tier, 7, input, layers...)
	}
}

// TestFuses: the device is asked for what it fuses from outside this package.
func TestFuses(t *testing.T) {
	d, err := New(Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	plan := planOf(t, net.Shape{C: 2, H: 12, W: 12}, []net.Layer{
		&net.Conv{Filters: 4, Kernel: net.Square(3), Padding: net.PadSame}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)},
		&net.Conv{Filters: 4, Kernel: net.Square(3), Groups: 2}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)},
		&net.Flatten{}, &net.Dense{Units: 3}, &net.Activation{Func: net.ReLU},
	})
	var got []lower.Pattern
	for _, g := range lower.Lower(plan, d.(lower.Fuser)).Groups {
		got = append(got, g.Pattern)
	}
	if want := fmt.Sprintf("%q", []lower.Pattern{lower.ConvReLUPool, lower.ConvReLU, lower.Single, lower.DenseReLU}); fmt.Sprintf("%q", got) != want {
		t.Errorf("groups are %q, want %s", got, want)
	}
}

// TestActivationKernels: there is a kernel for each function, and it computes the
// derivative from what package net says.
func TestActivationKernels(t *testing.T) {
	for _, tier := range tiers() {
		d := open(tier, 1)(t).(*device)
		for _, f := range net.Functions() {
			k := d.kernels.Activation(string(f.Name))
			if k == nil {
				t.Errorf("%v: no kernel for %s", tier, f.Name)
			} else if k.FromOutput != f.FromOutput {
				t.Errorf("%v: %s computes the derivative from the output: %v", tier, f.Name, k.FromOutput)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

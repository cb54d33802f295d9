package net

import (
	"errors"
	"math"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

func TestStateCheck(t *testing.T) {
	plan, err := (&Network{Input: Shape{2, 1, 1}, Layers: []Layer{&Dense{Units: 3}, &BatchNorm{}}}).Plan()
	if err != nil {
		t.Fatal(err)
	}
	zeros := func(dims ...int) *tensor.Dense {
		return tensor.New(tensor.WithShape(dims...), tensor.Of(tensor.Float32))
	}
	fresh := func() State {
		s := InitialState(plan, 1, nil)
		for _, q := range plan.Trained() {
			s.Optimizer[q.Name+".m"], s.Optimizer[q.Name+".v"] = zeros(q.Dims...), zeros(q.Dims...)
		}
		return s
	}
	adam := AdamDefault(1)
	for _, c := range []struct {
		name   string
		change func(*State)
		want   string
	}{
		{"as it should be", func(*State) {}, ""},
		{"weights only", func(s *State) { s.Optimizer = nil }, ""},
		{"step", func(s *State) { s.Step = -1 }, "step count -1"},
		{"missing weight", func(s *State) { delete(s.Params, "dense1.bias") }, "tensor dense1.bias is missing"},
		{"nil weight", func(s *State) { s.Params["dense1.bias"] = nil }, "tensor dense1.bias is missing"},
		{"missing running statistics", func(s *State) { delete(s.Params, "batchnorm1.running_var") }, "running_var is missing"},
		{"missing moment", func(s *State) { delete(s.Optimizer, "dense1.bias.v") }, "tensor dense1.bias.v is missing"},
		{"transposed", func(s *State) { s.Params["dense1.weight"] = zeros(2, 3) }, "dimensions [2 3], the network wants [3 2]"},
		{"lazily transposed", func(s *State) {
			w := zeros(2, 3)
			if err := w.T(); err != nil {
				t.Fatal(err)
			}
			s.Params["dense1.weight"] = w
		}, "dense1.weight is not row-major memory"},
		{"column-major", func(s *State) {
			s.Params["dense1.weight"] = tensor.New(tensor.WithShape(3, 2), tensor.AsFortran(make([]float32, 6)))
		}, "dense1.weight is not row-major memory"},
		{"part of another", func(s *State) {
			w, err := zeros(3, 4).Slice(nil, tensor.S(1, 3))
			if err != nil {
				t.Fatal(err)
			}
			s.Params["dense1.weight"] = w.(*tensor.Dense)
		}, "dense1.weight is not row-major memory"},
		{"flat moment", func(s *State) { s.Optimizer["dense1.weight.m"] = zeros(6) }, "dense1.weight.m has dimensions [6]"},
		{"type", func(s *State) {
			s.Params["dense1.bias"] = tensor.New(tensor.WithShape(3), tensor.Of(tensor.Float64))
		}, "type float64, not float32"},
		{"one too many", func(s *State) { s.Params["dense2.bias"] = zeros(3) }, "dense2.bias is not the network's"},
		{"a moment of what is not trained", func(s *State) { s.Optimizer["batchnorm1.running_mean.m"] = zeros(3) }, "is not the network's"},
	} {
		s := fresh()
		c.change(&s)
		err := s.Check(plan, adam)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrState) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	if err := fresh().Check(plan, SGDDefault(1)); !errors.Is(err, ErrState) {
		t.Errorf("plain SGD takes Adam's moments: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	m := Metrics{Samples: 4, Loss: 2, Hits: 3}
	if m.MeanLoss() != 0.5 || m.Accuracy() != 0.75 {
		t.Errorf("mean loss %v, accuracy %v", m.MeanLoss(), m.Accuracy())
	}
	m.Add(Metrics{Samples: 6, Loss: 1, Hits: 1, FirstBad: 9})
	m.Add(Metrics{FirstBad: 12})
	if want := (Metrics{Samples: 10, Loss: 3, Hits: 4, FirstBad: 9}); m != want {
		t.Errorf("sum is %+v, want %+v", m, want)
	}
	if none := (Metrics{}); !math.IsNaN(none.MeanLoss()) || !math.IsNaN(none.Accuracy()) {
		t.Error("no samples have a mean")
	}
}

package quantize_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/quantize"
	"github.com/gputrain/gputrain/net/reference"
)

// chain is a network without branches: a convolution with a ReLU and max pooling, others with each by itself, a function that is
// no ReLU, and dense layers.
const chain = `{"name": "chain", "input": {"channels": 2, "height": 13, "width": 12}, "layers": [
	{"type": "conv", "filters": 5, "kernel": 3}, {"type": "batchnorm"},
	{"type": "activation", "func": "relu"},
	{"type": "pool", "kernel": 2},
	{"type": "conv", "filters": 6, "kernel": 3, "padding": "same"},
	{"type": "activation", "func": "silu"},
	{"type": "conv", "filters": 4, "kernel": 1, "no_bias": true},
	{"type": "pool", "kernel": 2, "mode": "mean"},
	{"type": "flatten"}, {"type": "dropout", "rate": 0.5},
	{"type": "dense", "units": 9}, {"type": "activation", "func": "relu6", "name": "six"},
	{"type": "dense", "units": 4}, {"type": "scale", "factor": 2}]}`

// pools has max pooling behind convolutions whose values are rounded before it.
const pools = `{"name": "pools", "input": {"channels": 3, "height": 16, "width": 16}, "layers": [
	{"type": "conv", "filters": 8, "kernel": 5}, {"type": "pool", "kernel": 2}, {"type": "activation", "func": "relu"},
	{"type": "conv", "filters": 8, "kernel": 3}, {"type": "pool", "kernel": 3}, {"type": "dense", "units": 4}]}`

// made is a network with random weights, and images.
func made(t *testing.T, description string) (*net.Network, map[string]*tensor.Dense, *net.Dataset) {
	t.Helper()
	rng := testenv.Rand(t)
	n, err := net.ParseNetwork(strings.NewReader(description))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	weights := net.InitialState(plan, 1, nil).Params
	for _, p := range plan.Params {
		for i := range weights[p.Name].Float32s() {
			switch w := &weights[p.Name].Float32s()[i]; p.Role {
			case net.RunningVar:
				*w = 0.5 + rng.Float32()
			case net.Bias, net.RunningMean:
				*w = float32(rng.NormFloat64()) / 4
			}
		}
	}
	d := &net.Dataset{Name: "noise", Shape: n.Input, Classes: plan.Classes, Labels: make([]int32, 20)}
	for range d.Len() * n.Input.Size() {
		d.Values = append(d.Values, float32(rng.NormFloat64()))
	}
	return n, weights, d
}

func eight(t *testing.T, n *net.Network, weights map[string]*tensor.Dense, o quantize.Options) *quantize.Network {
	t.Helper()
	q, err := quantize.New(t.Context(), device(t, nil), n, weights, o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func device(t *testing.T, values map[string]quantize.Scale) net.Device {
	t.Helper()
	d, err := cpu.New(cpu.Options{Eight: values})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestDevice compares the CPU's networks of eight bits with the reference's layers, one by one, between which the test rounds. A
// value in the middle between two whole numbers may become the other one, so a few images may differ more.
func TestDevice(t *testing.T) {
	for i, description := range []string{chain, chain, pools, pools} {
		symmetric := i%2 == 1
		n, weights, images := made(t, description)
		q := eight(t, n, weights, quantize.Options{Images: images, Symmetric: symmetric, Batch: 7})
		p, err := device(t, q.Values).Compile(q.Plan.Network, net.Options{Batch: 8, Optimizer: net.SGDDefault(0), Inference: true})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.SetState(net.State{Params: q.Weights}); err != nil {
			t.Fatal(err)
		}
		for i := range images.Values { // some are cut off
			images.Values[i] *= 1.5
		}
		all := make([]int32, images.Len())
		for i := range all {
			all[i] = int32(i)
		}
		got, err := p.Infer(net.Batch{Data: images, Indices: all})
		if err != nil {
			t.Fatal(err)
		}

		x := &net.Dataset{Name: "x", Shape: images.Shape, Classes: images.Classes, Labels: images.Labels, Values: append([]float32{}, images.Values...)}
		round := func(name string) {
			s, ok := q.Values[name]
			for i, v := range x.Values {
				if ok {
					k := min(max(math.RoundToEven(float64(v/s.Step))+float64(s.Zero), -128), 127)
					x.Values[i] = float32(k-float64(s.Zero)) * s.Step
				}
			}
		}
		round("")
		for _, node := range q.Plan.Nodes {
			one := &net.Network{Name: "one", Input: node.In, Layers: []net.Layer{node.Layer, &net.Flatten{}}}
			r, err := reference.New().Compile(one, net.Options{Batch: 20, Optimizer: net.SGDDefault(0)})
			if err != nil {
				t.Fatal(err)
			}
			params := map[string]*tensor.Dense{}
			for k, inside := range r.Plan().Params {
				params[inside.Name] = q.Weights[node.Params[k].Name]
			}
			if err := r.SetState(net.State{Params: params}); err != nil {
				t.Fatal(err)
			}
			x.Classes = r.Plan().Classes
			trace, err := r.(net.Tracer).Trace(net.Batch{Data: x, Indices: all}, net.Evaluation)
			if err != nil {
				t.Fatal(err)
			}
			x.Shape, x.Values = node.Out, trace.Layers[0].Output.Float32s()
			round(node.Name)
			if node.Index == len(q.Plan.Nodes)-1 {
				differ := 0
				for k := range images.Len() {
					got, want := got.Float32s()[k*x.Classes:][:x.Classes], trace.Probabilities.Float32s()[k*x.Classes:][:x.Classes]
					if !approx.Compare(got, want, approx.Tolerance{Abs: 1e-5}).OK {
						differ++
						approx.Check(t, "probabilities", got, want, approx.Tolerance{Abs: 0.05})
					}
				}
				if differ > 4 {
					t.Errorf("%s: %d of %d images differ", n.Name, differ, images.Len())
				}
			}
		}
	}
}

// TestPoints wants those values rounded that a convolution or a dense layer comes behind, but none that only a ReLU takes. Layers
// that choose among values have the scale of what they choose from.
func TestPoints(t *testing.T) {
	n, weights, images := made(t, chain)
	q := eight(t, n, weights, quantize.Options{Images: images})
	for _, c := range []struct {
		name string
		as   string // has the scale of this one
	}{{"", ""}, {"relu1", "relu1"}, {"pool1", "relu1"}, {"conv2", "conv2"}, {"silu1", "silu1"}, {"conv3", "conv3"}, {"pool2", "pool2"}, {"flatten1", "pool2"}, {"six", "six"}} {
		if s, ok := q.Values[c.name]; !ok || s != q.Values[c.as] {
			t.Errorf("the output of %q has the scale %+v, want that of %q, %+v", c.name, s, c.as, q.Values[c.as])
		}
	}
	if len(q.Values) != 9 {
		t.Errorf("%d values are rounded: %v", len(q.Values), q.Values)
	}
	if s := q.Values["relu1"]; s.Zero != quantize.Least {
		t.Errorf("behind a ReLU 0 is %d, want the least number", s.Zero)
	}
	for name, s := range eight(t, n, weights, quantize.Options{Images: images, Symmetric: true}).Values {
		if s.Zero != 0 || !(s.Step > 0) {
			t.Errorf("symmetric %q: %+v", name, s)
		}
	}
}

// TestWeights wants weights to be the nearest whole multiples of their filter's step, of which the greatest is 64, or 127 if zero
// points are 0, and biases of 32 bits. No other step has a much smaller squared error.
func TestWeights(t *testing.T) {
	n, weights, images := made(t, chain)
	tiny := weights["dense1.weight"].Float32s()[:16]
	dead := weights["dense1.weight"].Float32s()[16:32] // beside it, one without a bias
	weights["dense1.bias"].Float32s()[1] = 0
	for i := range dead {
		dead[i] = 1e-42
	}
	for i := range tiny { // a filter whose weights hardly matter beside its bias
		tiny[i] = 1e-30
	}
	clear(weights["conv2.weight"].Float32s()[:5*9])
	_, folded, err := net.Fold(n, weights)
	if err != nil {
		t.Fatal(err)
	}
	for symmetric, limit := range map[bool]float64{false: 64, true: 127} {
		q := eight(t, n, weights, quantize.Options{Images: images, Symmetric: symmetric})
		for _, node := range q.Plan.Nodes {
			if len(node.Params) == 0 {
				continue
			}
			w, steps := node.Params[0], q.Filters[node.Params[0].Name]
			size := w.Size() / len(steps)
			var most float64
			for k, step := range steps {
				got, want := q.Weights[w.Name].Float32s()[k*size:][:size], folded[w.Name].Float32s()[k*size:][:size]
				var sum float64
				for i, v := range got {
					whole := float64(v) / float64(step)
					most, sum = max(most, math.Abs(whole)), sum+math.Pow(float64(v-want[i]), 2)
					if math.Abs(whole-math.Round(whole)) > 1e-4 {
						t.Fatalf("%s: weight %d of filter %d is %v steps", w.Name, i, k, whole)
					}
				}
				for part := 0.5; part <= 1; part += 0.025 {
					if other := nearest(want, part*greatest(want)/limit, limit); sum > 1.05*other+1e-12 {
						t.Errorf("%s: filter %d has the squared error %v, with another step %v", w.Name, k, sum, other)
						break
					}
				}
			}
			if most > limit+1e-3 || most < limit-1e-3 {
				t.Errorf("%s: the greatest weight is %v steps, want %v", w.Name, most, limit)
			}
			if len(node.Params) < 2 {
				continue
			}
			b := node.Params[1]
			for i, v := range q.Weights[b.Name].Float32s() {
				step := float64(q.BiasSteps(node)[i])
				if k := float64(v) / step; math.Abs(k) > 1<<30*1.001 || math.Abs(float64(v-folded[b.Name].Float32s()[i])) > 0.501*step+1e-6*math.Abs(float64(v)) {
					t.Errorf("%s: bias %d is %v, %v steps, for %v", b.Name, i, v, k, folded[b.Name].Float32s()[i])
				}
			}
		}
	}
}

func greatest(values []float32) (most float64) {
	for _, v := range values {
		most = max(most, math.Abs(float64(v)))
	}
	return most
}

// nearest returns the squared error of values that are rounded to multiples of a step.
func nearest(values []float32, step, limit float64) (sum float64) {
	for _, v := range values {
		sum += math.Pow(float64(v)-step*min(max(math.Round(float64(v)/max(step, 1e-38)), -limit), limit), 2)
	}
	return sum
}

// TestRefuses has no images, images of infinite values, a device that trains, and an end before the end.
func TestRefuses(t *testing.T) {
	n, weights, images := made(t, chain)
	if _, err := quantize.New(t.Context(), device(t, nil), n, weights, quantize.Options{}); err == nil || !strings.Contains(err.Error(), "no images") {
		t.Errorf("without images: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := quantize.New(ended, device(t, nil), n, weights, quantize.Options{Images: images}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
	weights["conv2.bias"].Float32s()[0] = float32(math.Inf(1))
	if _, err := quantize.New(t.Context(), device(t, nil), n, weights, quantize.Options{Images: images}); err == nil || !strings.Contains(err.Error(), "conv2") || !strings.Contains(err.Error(), "worthless") {
		t.Errorf("an infinite weight: %v", err)
	}
	if _, err := device(t, map[string]quantize.Scale{"": {Step: 1}}).Compile(n, net.Options{Batch: 1, Optimizer: net.SGDDefault(0)}); err == nil || !strings.Contains(err.Error(), "only evaluates") {
		t.Errorf("training with eight bits: %v", err)
	}
}

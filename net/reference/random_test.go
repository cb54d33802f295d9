package reference_test

import (
	"math/rand/v2"
	"testing"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// spread returns n values between -2 and 2 in random order, at least 4/n apart
// from each other and 1/n from 0, so that a small change of one of them moves no
// maximum and crosses no kink at 0.
func spread(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i, k := range r.Perm(n) {
		x[i] = 4*(float64(k)+0.5)/float64(n) - 2
		if n%2 == 1 {
			x[i] += 1 / float64(n) // else the middle one is 0
		}
	}
	return x
}

// between returns a random integer from lo to hi.
func between(r *rand.Rand, lo, hi int) int { return lo + r.IntN(hi-lo+1) }

// planLayer plans d on its own for an input shape.
func planLayer(in net.Shape, d net.Layer) (*reference.Layer, error) {
	// A network must end in logits.
	plan, err := (&net.Network{Input: in, Layers: []net.Layer{d, &net.Flatten{}, &net.Dense{Units: 2}}}).Plan()
	if err != nil {
		return nil, err
	}
	return &reference.Layer{Node: plan.Nodes[0], Params: map[net.Role][]float64{}}, nil
}

// forward is Forward of a layer with one input, at a step.
func forward(l *reference.Layer, x []float64, n int, mode net.Mode, step int64) []float64 {
	return l.Forward([][]float64{x}, n, mode, reference.Place{Step: step})
}

// backward is Backward of a layer with one input.
func backward(l *reference.Layer, dy []float64) (dx []float64, grads map[net.Role][]float64) {
	list, grads := l.Backward(dy)
	return list[0], grads
}

// newLayer is planLayer for layers that fit, with parameters in the order of the
// plan.
func newLayer(t *testing.T, in net.Shape, d net.Layer, params ...[]float64) *reference.Layer {
	t.Helper()
	l, err := planLayer(in, d)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range l.Node.Params {
		if len(params[i]) != p.Size() {
			t.Fatalf("%s: %d values for %v", p.Role, len(params[i]), p.Dims)
		}
		l.Params[p.Role] = params[i]
	}
	return l
}

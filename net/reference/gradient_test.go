package reference_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/reference"
)

// Central differences are off by h^2/6 times the third derivative, greatest for
// the L2 norm of two values near 0, where it is some 1e4, and by the rounding of
// sums of up to 1e3, about 1e-13, divided by h. Both stay below 1e-6.
const h = 1e-5

var differenceTolerance = approx.Tolerance{Abs: 1e-6, Rel: 1e-6}

// difference returns the central differences of f in every value of x.
func difference(x []float64, f func() float64) []float64 {
	d := make([]float64, len(x))
	for i, v := range x {
		x[i] = v + h
		above := f()
		x[i] = v - h
		below := f()
		x[i] = v
		d[i] = (above - below) / (2 * h)
	}
	return d
}

// checkGradients compares l.Backward on n random samples, and for a random
// gradient of its output, with differences of l.Forward. Inputs lie within reach
// of 0.
func checkGradients(t *testing.T, r *rand.Rand, l *reference.Layer, n int, reach float64) {
	t.Helper()
	for _, p := range l.Node.Params {
		l.Params[p.Role] = spread(r, p.Size())
		if p.Role == net.RunningVar {
			for i, v := range l.Params[p.Role] {
				l.Params[p.Role][i] = 0.5 + math.Abs(v)
			}
		}
	}
	var x [][]float64
	for _, s := range l.Ins {
		values := spread(r, n*s.Size())
		for i := range values {
			values[i] *= reach / 2
		}
		x = append(x, values)
	}
	dy := spread(r, n*l.Out.Size())
	f := func() float64 {
		var sum float64
		for i, y := range l.Forward(x, n, net.Training, reference.Place{Step: 3, First: 5}) {
			sum += dy[i] * y
		}
		return sum
	}
	f()
	dx, grads := l.Backward(dy)
	what := fmt.Sprintf("%d samples of %v under %+v", n, l.Ins, l.Layer)
	ok := len(dx) == len(x)
	if !ok {
		t.Errorf("%d gradients of %d inputs of %s", len(dx), len(x), what)
	}
	for k := range dx {
		ok = approx.Check(t, fmt.Sprintf("dx[%d] of %s", k, what), dx[k], difference(x[k], f), differenceTolerance) && ok
	}
	trained := 0
	for _, p := range l.Node.Params {
		if !p.Trained {
			continue
		}
		trained++
		name := fmt.Sprintf("gradient of %s of %s", p.Role, what)
		ok = approx.Check(t, name, grads[p.Role], difference(l.Params[p.Role], f), differenceTolerance) && ok
	}
	if len(grads) != trained {
		t.Errorf("%d gradients of %d trained parameters of %s", len(grads), trained, what)
	}
	if !ok {
		t.FailNow()
	}
}

// randomWindow draws sizes that may not fit each other, so that a plan fails.
func randomWindow(r *rand.Rand) (in net.Shape, kernel, stride, dilation net.Pair, pad net.Padding) {
	in = net.Shape{C: between(r, 1, 2), H: between(r, 1, 6), W: between(r, 1, 6)}
	pair := func(most int) net.Pair { return net.Pair{H: between(r, 1, most), W: between(r, 1, most)} }
	kernel, stride, dilation = pair(4), pair(3), pair(2)
	switch r.IntN(3) {
	case 0:
		pad = net.PadSame
	case 1:
		pad = net.Pad(r.IntN(4), r.IntN(4), r.IntN(4), r.IntN(4))
	}
	return in, kernel, stride, dilation, pad
}

func TestGradientsOfWindows(t *testing.T) {
	r := testenv.Rand(t)
	kinds := map[string]func(kernel, stride, dilation net.Pair, pad net.Padding) net.Layer{
		"conv": func(kernel, stride, dilation net.Pair, pad net.Padding) net.Layer {
			return &net.Conv{Filters: between(r, 1, 3), Kernel: kernel, Stride: stride, Dilation: dilation, Padding: pad, NoBias: r.IntN(3) == 0}
		},
	}
	for _, mode := range []net.PoolMode{"", net.MaxPool, net.MeanPool, net.L2Pool} {
		kinds["pool "+string(mode)] = func(kernel, stride, _ net.Pair, pad net.Padding) net.Layer {
			return &net.Pool{Mode: mode, Kernel: kernel, Stride: stride, Padding: pad}
		}
	}
	for kind, layer := range kinds {
		for fit := 0; fit < 30; {
			in, kernel, stride, dilation, pad := randomWindow(r)
			l, err := planLayer(in, layer(kernel, stride, dilation, pad))
			if err != nil {
				continue
			}
			fit++
			t.Run(kind, func(t *testing.T) { checkGradients(t, r, l, between(r, 1, 2), 2) })
		}
	}
}

// TestGradientsOfKinds walks the table of kinds, and with it the table of functions.
func TestGradientsOfKinds(t *testing.T) {
	r := testenv.Rand(t)
	for _, k := range net.Kinds() {
		for i, ex := range k.Examples {
			for n := 1; n <= 3; n++ {
				plan, err := devicetest.ExampleNetwork(ex).Plan()
				if err != nil {
					t.Fatal(err)
				}
				at := slices.IndexFunc(plan.Nodes, func(n net.Node) bool { return n.Name == devicetest.ExampleName })
				l := &reference.Layer{Node: plan.Nodes[at], Params: map[net.Role][]float64{}, Seed: r.Uint64()}
				reach := 2.0
				if k.Name == "activation" {
					reach = 8 // beyond all kinks
				}
				t.Run(fmt.Sprintf("%s/%d/%d", k.Name, i, n), func(t *testing.T) { checkGradients(t, r, l, n, reach) })
			}
		}
	}
}

// TestGradientsOfSettings is for fields that the examples of kinds leave alone.
func TestGradientsOfSettings(t *testing.T) {
	r := testenv.Rand(t)
	for _, d := range []net.Layer{
		&net.Activation{Func: net.LeakyReLU, Slope: new(0.3)},
		&net.Activation{Func: net.LeakyReLU, Slope: new(0.0)},
		&net.Activation{Func: net.ELU, Alpha: new(2.5)},
		&net.Dropout{},
		&net.BatchNorm{Epsilon: 0.5},
		&net.Dense{Units: 3, NoBias: true},
		&net.Dense{Units: 3, Frozen: net.Frozen{Roles: []net.Role{net.Weight}}},
		&net.Dense{Units: 3, Frozen: net.Frozen{All: true}},
	} {
		for n := 1; n <= 4; n++ {
			in := net.Shape{C: between(r, 1, 4), H: between(r, 1, 4), W: between(r, 1, 4)}
			if d.Kind() == "dense" {
				in = net.Shape{C: between(r, 1, 20), H: 1, W: 1}
			}
			l, err := planLayer(in, d)
			if err != nil {
				t.Fatal(err)
			}
			l.Seed = r.Uint64()
			t.Run(fmt.Sprintf("%+v/%d", d, n), func(t *testing.T) { checkGradients(t, r, l, n, 2) })
		}
	}
}

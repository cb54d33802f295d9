package reference_test

import (
	"math"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

func TestDropout(t *testing.T) {
	r := testenv.Rand(t)
	const n, rate, step = 50, 0.25, 1 << 33
	l := newLayer(t, net.Shape{C: 4, H: 10, W: 10}, &net.Dropout{Rate: rate})
	l.Seed, l.Index = r.Uint64(), between(r, 0, 9)
	x := spread(r, n*l.In.Size())
	scale := make([]float64, len(x))
	want := make([]float64, len(x))
	kept := 0
	for i := range x {
		if net.DropoutKeep(l.Seed, l.Index, step, rate, i) {
			kept++
			scale[i] = 4. / 3
		}
		want[i] = x[i] * scale[i]
	}
	approx.Check(t, "training", forward(l, x, n, net.Training, step), want, rounded)

	dy := spread(r, len(x))
	for i := range want {
		want[i] = dy[i] * scale[i]
	}
	dx, _ := backward(l, dy)
	approx.Check(t, "dx", dx, want, rounded)
	approx.Check(t, "evaluation", forward(l, x, n, net.Evaluation, step), x, exact)

	// Six standard deviations of the share of 20,000 values.
	deviation := math.Sqrt(rate * (1 - rate) / float64(len(x)))
	approx.Check(t, "share kept", []float64{float64(kept) / float64(len(x))}, []float64{1 - rate}, approx.Tolerance{Abs: 6 * deviation})
}

func TestDropoutDrawsAnewEachStepLayerAndSeed(t *testing.T) {
	ones := make([]float64, 100)
	for i := range ones {
		ones[i] = 1
	}
	output := func(seed uint64, layer int, step int64) []float64 {
		l := newLayer(t, net.Shape{C: 100, H: 1, W: 1}, &net.Dropout{Rate: 0.5})
		l.Seed, l.Index = seed, layer
		return forward(l, ones, 1, net.Training, step)
	}
	first := output(1, 1, 1)
	approx.Check(t, "the same again", output(1, 1, 1), first, exact)
	for name, other := range map[string][]float64{
		"seed": output(2, 1, 1), "layer": output(1, 2, 1), "step": output(1, 1, 2),
	} {
		if approx.Compare(other, first, exact).OK {
			t.Errorf("another %s drops the same values", name)
		}
	}
}

package reference_test

import (
	"math"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net/reference"
)

// exp(0) : exp(log 3) = 1 : 3, so the probabilities are 1/4 and 3/4.
func TestLossByHand(t *testing.T) {
	l := reference.SoftmaxCrossEntropy([]float64{
		0, math.Log(3),
		0, math.Log(3)}, []int32{0, 1}, 2)
	approx.Check(t, "sum", []float64{l.Sum}, []float64{math.Log(4) + math.Log(4./3)}, rounded)
	approx.Check(t, "probabilities", l.Probabilities, []float64{0.25, 0.75, 0.25, 0.75}, rounded)
	approx.Check(t, "gradient of the mean", l.Gradient, []float64{-0.375, 0.375, 0.125, -0.125}, rounded)
	if l.Hits != 1 {
		t.Errorf("%d hits, want 1", l.Hits)
	}
}

func TestLossOfExtremeLogits(t *testing.T) {
	for _, c := range []struct {
		name    string
		logits  []float64
		label   int32
		loss    float64
		p, grad []float64
		hits    int
	}{
		{"sure and right", []float64{1e4, -1e4}, 0, 0, []float64{1, 0}, []float64{0, 0}, 1},
		{"sure and wrong", []float64{1e4, -1e4}, 1, 2e4, []float64{1, 0}, []float64{1, -1}, 0},
		{"undecided and high", []float64{1e4, 1e4}, 0, math.Ln2, []float64{0.5, 0.5}, []float64{-0.5, 0.5}, 1},
		{"undecided and low", []float64{-1e4, -1e4}, 0, math.Ln2, []float64{0.5, 0.5}, []float64{-0.5, 0.5}, 1},
		{"equal: the first counts", []float64{7, 7}, 1, math.Ln2, []float64{0.5, 0.5}, []float64{0.5, -0.5}, 0},
		{"as high as can be", []float64{math.MaxFloat64, 0}, 1, math.MaxFloat64, []float64{1, 0}, []float64{1, -1}, 0},
		{"loss beyond float64", []float64{math.MaxFloat64, -math.MaxFloat64}, 1, math.Inf(1), []float64{1, 0}, []float64{1, -1}, 0},
	} {
		l := reference.SoftmaxCrossEntropy(c.logits, []int32{c.label}, 2)
		approx.Check(t, c.name+": loss", []float64{l.Sum}, []float64{c.loss}, rounded)
		approx.Check(t, c.name+": probabilities", l.Probabilities, c.p, rounded)
		approx.Check(t, c.name+": gradient", l.Gradient, c.grad, rounded)
		if l.Hits != c.hits {
			t.Errorf("%s: %d hits, want %d", c.name, l.Hits, c.hits)
		}
	}
}

func TestLossOfNaN(t *testing.T) {
	nan := math.NaN()
	for _, logits := range [][]float64{{nan, 0, 1}, {0, nan, 1}, {0, 1, nan}, {nan, nan, nan}, {2, 1, nan}} {
		for label := range int32(3) {
			l := reference.SoftmaxCrossEntropy(logits, []int32{label}, 3)
			if !math.IsNaN(l.Sum) || l.Hits != 0 {
				t.Errorf("%v, label %d: loss %v and %d hits, want NaN and none", logits, label, l.Sum, l.Hits)
			}
			for c := range 3 {
				if !math.IsNaN(l.Probabilities[c]) || !math.IsNaN(l.Gradient[c]) {
					t.Errorf("%v, label %d: probability %v and gradient %v of class %d, want NaN", logits, label, l.Probabilities[c], l.Gradient[c], c)
				}
			}
		}
	}
}

func TestLossGradient(t *testing.T) {
	r := testenv.Rand(t)
	for range 20 {
		n, classes := between(r, 1, 5), between(r, 2, 12)
		logits := spread(r, n*classes)
		labels := make([]int32, n)
		for i := range labels {
			labels[i] = int32(r.IntN(classes))
		}
		l := reference.SoftmaxCrossEntropy(logits, labels, classes)
		want := difference(logits, func() float64 {
			return reference.SoftmaxCrossEntropy(logits, labels, classes).Sum / float64(n)
		})
		approx.Check(t, "gradient", l.Gradient, want, differenceTolerance)

		// The definition, which is good enough for small logits.
		var sum float64
		for i, label := range labels {
			var total float64
			for c := range classes {
				total += math.Exp(logits[i*classes+c])
			}
			sum -= math.Log(math.Exp(logits[i*classes+int(label)]) / total)
		}
		approx.Check(t, "loss", []float64{l.Sum}, []float64{sum}, rounded)
	}
}

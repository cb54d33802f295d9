package bench

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
)

func TestSpread(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64
		want   Spread
	}{
		"one":      {[]float64{3}, Spread{3, 3, 3}},
		"two":      {[]float64{2, 1}, Spread{1.5, 1.1, 1.9}},
		"eleven":   {[]float64{11, 1, 10, 2, 9, 3, 8, 4, 7, 5, 6}, Spread{6, 2, 10}},
		"outliers": {[]float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 900}, Spread{1, 1, 1}},
	} {
		got := spreadOf(c.values)
		// Some additions of numbers near 1.
		approx.Check(t, name, []float64{got.Median, got.Low, got.High}, []float64{c.want.Median, c.want.Low, c.want.High}, approx.Tolerance{Rel: 1e-12})
	}
	if got := (Spread{2, 1, 4}).per(100); got != (Spread{50, 25, 100}) {
		t.Errorf("per: %v", got)
	}
}

// TestRunsAgreeWithinTheirSpread holds what Spread promises against random numbers: times with a tail of disturbances, in
// runs of 20 repeats. Two medians lie further apart than a spread is wide in one case of a thousand at most.
func TestRunsAgreeWithinTheirSpread(t *testing.T) {
	rng := rand.New(rand.NewPCG(testenv.SeedOr(t, 1), 2))
	run := func() Spread {
		v := make([]float64, 20)
		for i := range v {
			v[i] = math.Exp(0.05 * rng.NormFloat64())
			if rng.Float64() < 0.1 {
				v[i] *= 1 + rng.Float64()
			}
		}
		return spreadOf(v)
	}
	const trials = 20000
	apart := 0
	for range trials {
		a, b := run(), run()
		if math.Abs(a.Median-b.Median) >= min(a.High-a.Low, b.High-b.Low) {
			apart++
		}
	}
	if apart > trials/1000 {
		t.Errorf("%d of %d pairs of runs differ by more than their spread", apart, trials)
	}
}

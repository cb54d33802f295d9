package quantize

import (
	"math"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
)

// TestScale finds the ranges of known distributions: all of a uniform one, and of normal values the part with the least error.
func TestScale(t *testing.T) {
	rng := testenv.Rand(t)
	draw := func(n int, value func() float64) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(value())
		}
		return out
	}
	uniform := func(from, to float64) func() float64 {
		return func() float64 { return from + (to-from)*rng.Float64() }
	}
	for _, c := range []struct {
		name      string
		values    []float32
		symmetric bool
		step      float64
		zero      int8
	}{
		{"from 0 to 6", draw(5e4, uniform(0, 6)), false, 6. / 255, -128},
		{"from 0 to 6, symmetric", draw(5e4, uniform(0, 6)), true, 6. / 127, 0},
		{"from -1 to 3", draw(5e4, uniform(-1, 3)), false, 4. / 255, -64},
		{"from -1e-20 to 0", draw(5e4, uniform(-1e-20, 0)), false, 1e-20 / 255, 127},
		{"normal", draw(1e5, rng.NormFloat64), true, 0, 0},
		{"normal, one far out", append(draw(1e5, rng.NormFloat64), 20), true, 0, 0},
		{"zeros", make([]float32, 100), false, 1, -128},
		{"zeros, symmetric", make([]float32, 100), true, 1, 0},
	} {
		var h histogram
		for first := 0; first < len(c.values); first += 1000 {
			h.add(c.values[first:min(first+1000, len(c.values))])
		}
		got, err := h.scale(c.symmetric)
		if err != nil {
			t.Fatal(err)
		}
		if c.step == 0 { // the one with the least error of all
			least, best := math.Inf(1), 0.0
			for step := 0.01; step < 0.2; step += 0.0005 {
				if sum := squares(c.values, step); sum < least {
					least, best = sum, step
				}
			}
			if sum := squares(c.values, float64(got.Step)); sum > 1.01*least {
				t.Errorf("%s: step %v has the squared error %v, but %v has %v", c.name, got.Step, sum, best, least)
			}
			continue
		}
		approx.Check(t, c.name, []float32{float32(float64(got.Step) / c.step)}, []float32{1}, approx.Tolerance{Abs: 0.015})
		if d := int(got.Zero) - int(c.zero); d < -1 || d > 1 {
			t.Errorf("%s: zero is %d, want %d", c.name, got.Zero, c.zero)
		}
	}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
		var h histogram
		h.add([]float32{1, bad})
		if _, err := h.scale(false); err == nil {
			t.Errorf("%v gave no error", bad)
		}
	}
}

// squares returns the squared error of values that are rounded to multiples of a step.
func squares(values []float32, step float64) (sum float64) {
	for _, v := range values {
		e := float64(v) - step*min(max(math.Round(float64(v)/step), -128), 127)
		sum += e * e
	}
	return sum
}

package net

import (
	"math"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
)

func TestConfusion(t *testing.T) {
	c := NewConfusion(3)
	// Labels and the rows' greatest values; equal values count as the first.
	c.Add([]int32{0, 0, 0, 1, 1}, []float32{
		0.8, 0.1, 0.1,
		0.5, 0.5, 0.0,
		0.1, 0.7, 0.2,
		0.2, 0.6, 0.2,
		-3, -2, -4,
	})
	want := Confusion{{2, 1, 0}, {0, 2, 0}, {0, 0, 0}}
	for label := range want {
		for predicted, n := range want[label] {
			if c[label][predicted] != n {
				t.Errorf("label %d predicted as %d: %d times, want %d", label, predicted, c[label][predicted], n)
			}
		}
	}
	// One division each: equal to the last bit but for its rounding.
	tol := approx.Tolerance{Rel: 1e-15}
	approx.Check(t, "precision", []float64{c.Precision(0), c.Precision(1)}, []float64{1, 2. / 3}, tol)
	approx.Check(t, "recall", []float64{c.Recall(0), c.Recall(1)}, []float64{2. / 3, 1}, tol)
	approx.Check(t, "F1", []float64{c.F1(0), c.F1(1)}, []float64{0.8, 0.8}, tol)
	for name, v := range map[string]float64{"precision": c.Precision(2), "recall": c.Recall(2), "F1": c.F1(2)} {
		if !math.IsNaN(v) {
			t.Errorf("%s of a class without samples and predictions is %v, want NaN", name, v)
		}
	}
}

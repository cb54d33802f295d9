package net

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
)

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		name         string
		loss         Criterion
		label, other int32
		share        float64
		want         []float64
	}{
		{"plain", Criterion{}, 2, 2, 1, []float64{0, 0, 1, 0}},
		{"two labels", Criterion{}, 1, 3, 0.75, []float64{0, 0.75, 0, 0.25}},
		{"the same label twice", Criterion{}, 1, 1, 0.75, []float64{0, 1, 0, 0}},
		{"smoothed", Criterion{Smoothing: 0.2}, 0, 0, 1, []float64{0.85, 0.05, 0.05, 0.05}},
		{"smoothed, two labels", Criterion{Smoothing: 0.2}, 0, 1, 0.5, []float64{0.45, 0.45, 0.05, 0.05}},
		// The last class has no weight given, and weighs 1.
		{"weighted", Criterion{Smoothing: 0.2, ClassWeights: []float64{2, 0, 4}}, 2, 2, 1, []float64{0.1, 0, 3.4, 0.05}},
	} {
		got := c.loss.Target(4, c.label, c.other, c.share)
		approx.Check(t, c.name, got, c.want, approx.Tolerance{Rel: 1e-15})
		if c.loss.ClassWeights == nil { // what is expected of the network, in all
			sum := 0.0
			for _, q := range got {
				sum += q
			}
			approx.Check(t, c.name+": sum", []float64{sum}, []float64{1}, approx.Tolerance{Rel: 1e-15})
		}
	}
}

func TestBalancedWeights(t *testing.T) {
	d := &Dataset{Classes: 4, Labels: []int32{0, 0, 0, 0, 0, 0, 2, 2, 3}}
	w := BalancedWeights(d)
	approx.Check(t, "weights", w, []float64{9. / 18, 0, 9. / 6, 9. / 3}, approx.Tolerance{Rel: 1e-15})
	// Every class counts the same, and a sample 1 on average.
	sums, mean := make([]float64, 4), 0.0
	for _, l := range d.Labels {
		sums[l] += w[l]
		mean += w[l] / 9
	}
	approx.Check(t, "sums by class", sums, []float64{3, 0, 3, 3}, approx.Tolerance{Rel: 1e-15})
	approx.Check(t, "mean", []float64{mean}, []float64{1}, approx.Tolerance{Rel: 1e-15})

	r := Recipe{Balance: true, Loss: Criterion{Smoothing: 0.1}}
	if got := r.LossFor(d); got.Smoothing != 0.1 || !slices.Equal(got.ClassWeights, w) || r.Loss.ClassWeights != nil {
		t.Errorf("the recipe's loss is %+v", got)
	}
	r = Recipe{Loss: Criterion{ClassWeights: []float64{1, 2}}}
	if got := r.LossFor(d); !slices.Equal(got.ClassWeights, []float64{1, 2}) {
		t.Errorf("the recipe's loss is %+v", got)
	}
}

func TestCriterionCheck(t *testing.T) {
	three := &Plan{Classes: 3}
	for _, c := range []struct {
		loss Criterion
		want string // "" where it is right
	}{
		{Criterion{}, ""},
		{Criterion{Smoothing: 0.99, ClassWeights: []float64{0, 1}}, ""},
		{Criterion{Smoothing: 1}, "label smoothing must be at least 0 and less than 1, got 1"},
		{Criterion{Smoothing: math.NaN()}, "label smoothing must be"},
		{Criterion{ClassWeights: []float64{1, -1}}, "the weight of class 1 must be from 0 to a million, got -1"},
		{Criterion{ClassWeights: []float64{math.Inf(1)}}, "the weight of class 0 must be"},
		{Criterion{ClassWeights: []float64{0, 0}}, "at least one class must have a weight above 0"},
		{Criterion{ClassWeights: []float64{}}, "at least one class must have a weight above 0"},
		{Criterion{ClassWeights: []float64{1, 1, 1, 1}}, "4 class weights for 3 classes"},
	} {
		err := c.loss.Check()
		if err == nil {
			err = c.loss.CheckFor(three)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: error %v, want %q", c.loss, err, c.want)
		}
	}
	if !(Criterion{}).Plain() || (Criterion{Smoothing: 0.1}).Plain() || (Criterion{ClassWeights: []float64{1}}).Plain() {
		t.Error("plain losses are confused")
	}
}

func TestAverageRate(t *testing.T) {
	var got []float64
	for _, step := range []int64{0, 1, 8, 89, 1_000_000_000} {
		got = append(got, AverageRate(0.9, step))
	}
	// By TensorFlow's rule: (1+n)/(10+n) until that is the decay.
	approx.Check(t, "rates", got, []float64{1 - 1./10, 1 - 2./11, 1 - 9./18, 1 - 0.9, 1 - 0.9}, approx.Tolerance{Rel: 1e-14})
}

package net

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
)

// moments returns mean, deviation and the greatest distance from 0.
func moments(values []float32) (mean, deviation, reach float64) {
	var sum, squares float64
	for _, v := range values {
		sum += float64(v)
		squares += float64(v) * float64(v)
		reach = max(reach, math.Abs(float64(v)))
	}
	n := float64(len(values))
	mean = sum / n
	return mean, math.Sqrt(squares/n - mean*mean), reach
}

func TestInitialDistributions(t *testing.T) {
	const n = 200_000
	// The deviation of a standard normal cut at two: sqrt(1 - 4*phi(2)/(2*Phi(2)-1)).
	cut := math.Sqrt(1 - 4*math.Exp(-2)/math.Sqrt(2*math.Pi)/math.Erf(math.Sqrt2))
	inf := math.Inf(1)
	for _, c := range []struct {
		init               Initializer
		deviation          float64
		reachLow, reachTop float64 // the farthest value lies between
	}{
		{truncated(0.03), 0.03 * cut, 0.0599, 0.06000001},
		{truncated(1), cut, 1.99, 2},
		{Initializer{Method: He}, math.Sqrt(2. / 50), 4 * math.Sqrt(2./50), inf},
		{Initializer{Method: Glorot}, 0.2 / math.Sqrt(3), 0.1999, 0.2000001}, // limit sqrt(6/(50+100)) = 0.2
	} {
		p := Param{Dims: []int{n}, Init: c.init, FanIn: 50, FanOut: 100}
		values := make([]float32, n)
		p.fill(values, newStream(3, ForInit, 0), nil, Window{})
		mean, deviation, reach := moments(values)
		// Five standard errors: of the mean deviation/sqrt(n), of the deviation at
		// most deviation/sqrt(2n).
		e := 5 * c.deviation / math.Sqrt(n)
		approx.Check(t, string(c.init.Method)+": mean", []float64{mean}, []float64{0}, approx.Tolerance{Abs: e})
		approx.Check(t, string(c.init.Method)+": deviation", []float64{deviation}, []float64{c.deviation}, approx.Tolerance{Abs: e / math.Sqrt2})
		if reach < c.reachLow || reach > c.reachTop {
			t.Errorf("%s: the farthest value is %v, want between %v and %v", c.init.Method, reach, c.reachLow, c.reachTop)
		}
	}
}

func TestInitialState(t *testing.T) {
	plan, err := everyLayer().Plan()
	if err != nil {
		t.Fatal(err)
	}
	st := InitialState(plan, 1, nil)
	if err := st.Check(plan, AdamDefault(1)); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]float32{
		"norm.weight": 1, "norm.bias": 0, "norm.running_mean": 0, "norm.running_var": 1,
		"conv2.bias": 0.5, "dense2.bias": -1,
	} {
		for _, v := range st.Params[name].Float32s() {
			if v != want {
				t.Errorf("%s starts at %v, want %v", name, v, want)
				break
			}
		}
	}
	values := func(seed uint64, name string) []float32 { return InitialState(plan, seed, nil).Params[name].Float32s() }
	if !slices.Equal(values(1, "first.weight"), values(1, "first.weight")) {
		t.Error("one seed gives different values")
	}
	if slices.Equal(values(1, "first.weight"), values(2, "first.weight")) {
		t.Error("two seeds give the same values")
	}
	// Streams of their own: even with the same description two parameters differ.
	mlp, err := (&Network{Input: Shape{4, 1, 1}, Layers: []Layer{&Dense{Units: 4}, &Dense{Units: 4}}}).Plan()
	if err != nil {
		t.Fatal(err)
	}
	twins := InitialState(mlp, 1, nil).Params
	if slices.Equal(twins["dense1.weight"].Float32s(), twins["dense2.weight"].Float32s()) {
		t.Error("two parameters have the same values")
	}
}

func TestInitializerRefusals(t *testing.T) {
	for _, c := range []struct {
		in   Initializer
		want string
	}{
		{truncated(0), "sigma of truncated_normal must be above 0"},
		{truncated(math.NaN()), "sigma"},
		{truncated(math.Inf(1)), "sigma"},
		{Initializer{Method: Constant, Value: math.NaN()}, "constant must be finite"},
		{Initializer{Method: Constant, Value: 1e39}, "constant must be finite and fit a float32"},
		{truncated(3e38), "fit a float32 twice"},
		{Initializer{Method: "magic"}, `unknown method "magic"`},
		{Initializer{Method: Orthogonal}, "orthogonal is for weights"},
		{Initializer{Method: Identity}, "identity is for weights"},
		{Initializer{Method: Whitening}, "weights of a convolution"},
		{Initializer{}, "unknown method"},
	} {
		if err := (Param{Init: c.in, Dims: []int{4}}).checkInit(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q", c.in, err, c.want)
		}
	}
}

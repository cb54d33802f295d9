package reference_test

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// series allows for the rounding of some twenty steps.
var series = approx.Tolerance{Abs: 1e-12, Rel: 1e-12}

// run updates one value with the gradients in turn and returns the value after
// each, and the moments at the end.
func run(o net.Optimizer, decayed bool, w float64, gradients ...float64) (course []float64, moments map[string][]float64) {
	moments = map[string][]float64{}
	for _, name := range o.Moments() {
		moments[name] = []float64{0}
	}
	values := []float64{w}
	if !decayed {
		o.WeightDecay = 0
	}
	for step, g := range gradients {
		reference.Update(o, int64(step), 1, values, []float64{g}, moments)
		course = append(course, values[0])
	}
	return course, moments
}

// repeat returns g twenty times.
func repeat(g float64) []float64 {
	gradients := make([]float64, 20)
	for i := range gradients {
		gradients[i] = g
	}
	return gradients
}

// Under a constant gradient every optimiser has a closed form.
func TestConstantGradient(t *testing.T) {
	const w0, g, rate, mu, beta1, beta2, epsilon = 1.5, -0.3, 0.1, 0.8, 0.7, 0.95, 0.25
	momentum := func(t float64) float64 { // sum of the first t velocities: of (1-mu^s)/(1-mu), times g
		return g / (1 - mu) * (t - mu*(1-math.Pow(mu, t))/(1-mu))
	}
	adam := func(t float64) float64 { // sum of the first t steps
		var sum float64
		for s := 1.0; s <= t; s++ {
			// m = g*(1-beta1^s), v = g^2*(1-beta2^s): beta1 drops out.
			root := math.Sqrt(1 - math.Pow(beta2, s))
			sum += root * g / (root*math.Abs(g) + epsilon)
		}
		return sum
	}
	settings := net.Optimizer{Rule: net.Rule{LearningRate: rate, Beta1: beta1, Beta2: beta2, Epsilon: epsilon}}
	with := func(change func(*net.Optimizer)) net.Optimizer {
		o := settings
		change(&o)
		return o
	}
	for _, c := range []struct {
		name string
		o    net.Optimizer
		sum  func(t float64) float64 // (w0-w)/rate after t steps
	}{
		{"sgd", with(func(o *net.Optimizer) { o.Method = net.SGD }), func(t float64) float64 { return g * t }},
		{"momentum", with(func(o *net.Optimizer) { o.Method, o.Momentum = net.SGD, mu }), momentum},
		{"nesterov", with(func(o *net.Optimizer) { o.Method, o.Momentum, o.Nesterov = net.SGD, mu, true }),
			func(t float64) float64 { return g*t + mu*momentum(t) }},
		{"adam", with(func(o *net.Optimizer) { o.Method = net.Adam }), adam},
		{"adamw", with(func(o *net.Optimizer) { o.Method = net.AdamW }), adam},
	} {
		got, _ := run(c.o, true, w0, repeat(g)...)
		want := make([]float64, len(got))
		for i := range want {
			want[i] = w0 - rate*c.sum(float64(i+1))
		}
		approx.Check(t, c.name, got, want, series)
	}
}

// With beta1 1/2, beta2 3/4, epsilon 1/2 and rate 1, gradients 2 and -4 give
// m = 1, v = 1, then m = -3/2, v = 19/4.
func TestAdamByHand(t *testing.T) {
	for _, method := range []net.Method{net.Adam, net.AdamW} {
		o := net.Optimizer{Rule: net.Rule{Method: method, LearningRate: 1, Beta1: 0.5, Beta2: 0.75, Epsilon: 0.5}}
		got, moments := run(o, true, 10, 2, -4)
		first := 10 - math.Sqrt(1./4)/(1./2)*1/(1+0.5)
		second := first + math.Sqrt(7./16)/(3./4)*1.5/(math.Sqrt(4.75)+0.5)
		approx.Check(t, string(method), got, []float64{first, second}, rounded)
		approx.Check(t, "m", moments["m"], []float64{-1.5}, exact)
		approx.Check(t, "v", moments["v"], []float64{4.75}, exact)
	}
}

func TestMomentumByHand(t *testing.T) {
	o := net.Optimizer{Rule: net.Rule{Method: net.SGD, LearningRate: 1, Momentum: 0.5}}
	got, moments := run(o, true, 10, 2, -4)
	approx.Check(t, "momentum", got, []float64{8, 11}, exact) // v = 2, -3
	approx.Check(t, "v", moments["v"], []float64{-3}, exact)

	o.Nesterov = true
	got, moments = run(o, true, 10, 2, -4)
	approx.Check(t, "nesterov", got, []float64{7, 12.5}, exact) // 2+1, -4-1.5
	approx.Check(t, "v", moments["v"], []float64{-3}, exact)
}

// Without gradients, decay alone shrinks the weights of SGD and AdamW by the
// same factor each step; in Adam it is the gradient.
func TestWeightDecay(t *testing.T) {
	const w0, rate, decay = 2, 0.1, 0.5
	shrunk := make([]float64, 20)
	for i := range shrunk {
		shrunk[i] = w0 * math.Pow(1-rate*decay, float64(i+1))
	}
	for _, method := range []net.Method{net.SGD, net.AdamW} {
		o := net.Optimizer{Rule: net.Rule{Method: method, LearningRate: rate, Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-8, WeightDecay: decay}}
		got, _ := run(o, true, w0, repeat(0)...)
		approx.Check(t, string(method), got, shrunk, series)
	}

	o := net.Optimizer{Rule: net.Rule{Method: net.Adam, LearningRate: rate, Beta1: 0.5, Beta2: 0.75, Epsilon: 0.5, WeightDecay: decay}}
	got, moments := run(o, true, w0, 3)
	approx.Check(t, "m of adam", moments["m"], []float64{2}, rounded) // half of 3 + 0.5*2
	approx.Check(t, "v of adam", moments["v"], []float64{4}, rounded)
	approx.Check(t, "adam", got, []float64{w0 - rate*1*2/(2+0.5)}, rounded)

	// AdamW's moments see the gradient alone; the decay comes first.
	o.Method = net.AdamW
	got, moments = run(o, true, w0, 4)
	approx.Check(t, "m of adamw", moments["m"], []float64{2}, rounded)
	approx.Check(t, "adamw", got, []float64{w0*(1-rate*decay) - rate*1*2/(2+0.5)}, rounded)
}

func TestWeightDecayOfDecayedParametersAlone(t *testing.T) {
	for _, method := range []net.Method{net.SGD, net.Adam, net.AdamW} {
		o := net.Optimizer{Rule: net.Rule{Method: method, LearningRate: 0.1, Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-8, WeightDecay: 0.5}}
		got, _ := run(o, false, 2, 0, 0)
		approx.Check(t, string(method), got, []float64{2, 2}, exact)
	}
}

func TestScheduledRate(t *testing.T) {
	schedule := net.Schedule{Method: net.StepRate, Every: 2, Factor: 0.5}
	o := net.Optimizer{Rule: net.Rule{Method: net.SGD, LearningRate: 1}, Schedule: schedule}
	got, _ := run(o, true, 10, 1, 1, 1, 1, 1)
	approx.Check(t, "sgd", got, []float64{9, 8, 7.5, 7, 6.75}, exact)

	// Without epsilon Adam's step under a constant gradient is the rate.
	o = net.Optimizer{Rule: net.Rule{Method: net.Adam, LearningRate: 1, Beta1: 0.9, Beta2: 0.99}, Schedule: schedule}
	got, _ = run(o, true, 10, 3, 3, 3, 3, 3)
	approx.Check(t, "adam", got, []float64{9, 8, 7.5, 7, 6.75}, series)

	// The rate of AdamW's decay follows the schedule too.
	o = net.Optimizer{Rule: net.Rule{Method: net.AdamW, LearningRate: 1, WeightDecay: 0.5, Epsilon: 1}, Schedule: schedule}
	got, _ = run(o, true, 16, 0, 0, 0)
	approx.Check(t, "adamw", got, []float64{8, 4, 3}, exact)
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		limit float64
		want  []float64
	}{{0, []float64{3, 0, 4}}, {1, []float64{0.6, 0, 0.8}}, {5, []float64{3, 0, 4}}, {10, []float64{3, 0, 4}}} {
		g := [][]float64{{3, 0}, {4}} // of norm 5 together
		reference.Clip(c.limit, g)
		approx.Check(t, "clipped", append(g[0], g[1]...), c.want, rounded)
	}
	g := [][]float64{{0, 0}}
	reference.Clip(1, g)
	approx.Check(t, "zeros", g[0], []float64{0, 0}, exact)
}

// With beta1 3/4, beta2 1/2 and rate 1/4, gradients 2, -8 and 0 give sums of 1/2, -5/4 and
// -21/8 with moments 1, -7/2 and -7/4.
func TestLionByHand(t *testing.T) {
	o := net.Optimizer{Rule: net.Rule{Method: net.Lion, LearningRate: 0.25, Beta1: 0.75, Beta2: 0.5}}
	got, moments := run(o, true, 10, 2, -8, 0)
	approx.Check(t, "lion", got, []float64{9.75, 10, 10.25}, exact)
	approx.Check(t, "m", moments["m"], []float64{-1.75}, exact)

	o.WeightDecay = 0.5 // of 1/8 in a step, before the rest
	got, _ = run(o, true, 16, 2, -8)
	approx.Check(t, "with decay", got, []float64{13.75, 12.28125}, exact)
	got, _ = run(o, true, 16, 0)
	approx.Check(t, "no gradient has no sign", got, []float64{14}, exact)
}

// TestOrthogonalize: the iteration changes a matrix's singular values by its polynomial, and
// leaves the singular vectors.
func TestOrthogonalize(t *testing.T) {
	rng := testenv.Rand(t)
	for _, c := range []struct{ rows, columns, iterations int }{{1, 1, 3}, {3, 7, 1}, {7, 3, 3}, {5, 5, 5}, {16, 40, 5}} {
		u := make([]float64, c.rows*c.columns)
		for i := range u {
			u[i] = 3 * rng.NormFloat64()
		}
		var svd mat.SVD
		if !svd.Factorize(mat.NewDense(c.rows, c.columns, slices.Clone(u)), mat.SVDThin) {
			t.Fatal("no singular values")
		}
		values := svd.Values(nil)
		norm := reference.Norm(u) + net.MuonLeast
		for i := range values {
			values[i] /= norm
			for range c.iterations {
				s := values[i]
				values[i] = net.NewtonSchulz[0]*s + net.NewtonSchulz[1]*s*s*s + net.NewtonSchulz[2]*s*s*s*s*s
			}
			if c.iterations == 5 && c.rows == 16 && (values[i] < 0.6 || values[i] > 1.25) {
				t.Errorf("a singular value became %v", values[i])
			}
		}
		var left, right, want mat.Dense
		svd.UTo(&left)
		svd.VTo(&right)
		want.Product(&left, mat.NewDiagDense(len(values), values), right.T())
		reference.Orthogonalize(c.rows, u, c.iterations)
		approx.Check(t, "orthogonalized", u, want.RawMatrix().Data, approx.Tolerance{Abs: 1e-11})
	}
}

// TestMuonsScales: how large an update is, and what Rescale does.
func TestMuonsScales(t *testing.T) {
	o := net.Optimizer{Rule: net.Rule{Method: net.Muon, LearningRate: 0.5, Iterations: 2, WeightDecay: 0.5}}
	g := []float64{1, -2, 3, 0.5, 2, -1}
	u := slices.Clone(g)
	reference.Orthogonalize(3, u, 2)
	old := []float64{1, 2, 3, 4, 5, 6}
	for _, rescale := range []bool{false, true} {
		o.Rescale = rescale
		scale, keep := math.Sqrt(1.5), 1.0
		if rescale {
			scale, keep = 1, math.Sqrt(3)/(math.Sqrt(91)+net.MuonLeast)
		}
		w := slices.Clone(old)
		reference.Update(o, 0, 3, w, g, nil)
		want := make([]float64, len(w))
		for i := range want {
			want[i] = 0.75*keep*old[i] - 0.5*scale*u[i]
		}
		approx.Check(t, "weights", w, want, series)
	}
	// Zeros have no size that Rescale could change.
	zeros := make([]float64, len(g))
	reference.Update(o, 0, 3, zeros, g, nil)
	for i := range u {
		u[i] *= -0.5
	}
	approx.Check(t, "weights that were 0", zeros, u, series)
}

func TestLookahead(t *testing.T) {
	o := net.Options{Lookahead: net.Lookahead{Every: 2, Start: 1, Final: 0.25, Power: 2, Total: 4}}
	a, w := []float64{8}, []float64{4}
	for step, want := range []struct{ a, w float64 }{{8, 4}, {8 - 0.8125*4, 8 - 0.8125*4}} { // 1 - 3/4 * (2/4)^2
		reference.Average(o, int64(step), a, w)
		approx.Check(t, "average and weight", []float64{a[0], w[0]}, []float64{want.a, want.w}, exact)
	}
	w[0] = a[0] + 4
	reference.Average(o, 2, a, w)
	reference.Average(o, 3, a, w)
	approx.Check(t, "at the end", []float64{a[0], w[0]}, []float64{4.75 + 1, 4.75 + 1}, exact)
}

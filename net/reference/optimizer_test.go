package reference_test

import (
	"math"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
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

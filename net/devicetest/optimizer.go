package devicetest

import (
	"math"
	"slices"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// small returns a network without kinks. It has parameters of every sort that
// optimisers treat differently.
func (e *env) small() *net.Network {
	return &net.Network{Input: net.Shape{C: 1, H: 3, W: 4}, Layers: []net.Layer{
		&net.Conv{Filters: 3, Kernel: net.Square(2), WeightInit: net.Initializer{Method: net.Glorot}},
		&net.Activation{Func: net.Tanh},
		&net.BatchNorm{},
		&net.Flatten{},
		&net.Dense{Units: 3, BiasInit: net.Initializer{Method: net.TruncatedNormal, Sigma: 0.5}},
	}}
}

// optimizers lists the methods in all their forms, for a network.
func (e *env) optimizers(n *net.Network) []net.Optimizer {
	plan, err := n.Plan()
	if err != nil {
		e.Fatal(err)
	}
	all := allOptimizers()
	for i := range all {
		all[i].Groups = slices.DeleteFunc(all[i].Groups, func(g net.Group) bool {
			one := all[i]
			one.Groups = []net.Group{g}
			return one.CheckFor(plan) != nil // there are no such parameters
		})
	}
	return all
}

func allOptimizers() []net.Optimizer {
	adam, adamW, nesterov, momentum := net.AdamDefault(0.01), net.AdamDefault(0.02), net.SGDDefault(0.05), net.SGDDefault(0.05)
	adamW.Method, adamW.Beta1, adamW.Beta2, adamW.Epsilon = net.AdamW, 0.8, 0.95, 1e-3
	momentum.Momentum = 0.9
	nesterov.Momentum, nesterov.Nesterov = 0.8, true
	lion := net.LionDefault(0.01)
	return []net.Optimizer{net.SGDDefault(0.1), momentum, nesterov, adam, adamW, lion, muon(true), muon(false)}
}

// muon returns an optimiser with a matrix of more rows than columns and one of more columns
// than rows in the network small. Other parameters have rules of two kinds.
func muon(rescale bool) net.Optimizer {
	o := net.SGDDefault(0.05)
	rule := net.Rule{Method: net.Muon, LearningRate: 0.1, Momentum: 0.6, Nesterov: rescale, Iterations: 3, Rescale: rescale}
	if !rescale {
		rule.Iterations, rule.WeightDecay = 5, 0.1
	}
	dense := rule
	dense.Momentum, dense.Nesterov = 0, false
	o.Groups = []net.Group{
		{Params: "conv.weight", Rule: rule}, {Params: "dense.weight", Rule: dense}, {Params: "batchnorm.bias", Rule: net.LionDefault(0.02).Rule},
		{Params: "batchnorm.weight", Factor: 3, Rule: net.Rule{Steps: 10}},
	}
	return o
}

// schedules lists schedules that all end before step 30.
func schedules() []net.Schedule {
	return []net.Schedule{
		{},
		{Method: net.ConstantRate, Warmup: 5},
		{Method: net.StepRate, Every: 7, Factor: 0.5},
		{Method: net.CosineRate, Total: 25, Warmup: 4, Final: 0.1},
		{Method: net.OneCycleRate, Total: 28, Start: 0.1, Peak: 0.3, Final: 0.01},
		{Method: net.LinearRate, Total: 28, Start: 0.2, Peak: 0.25},
	}
}

func checkOptimizer(e *env) {
	const steps, batch = 32, 4
	n := e.small()
	data := e.randomData(n.Input, 3, 40)
	i := 0
	for _, o := range e.optimizers(n) {
		for _, schedule := range schedules() {
			for _, c := range []struct{ decay, clip float64 }{{0, 0}, {0.1, 0.2}, {0.1, 1e6}} {
				if i++; e.short && i%4 != 1 {
					continue
				}
				o := o
				o.Schedule, o.WeightDecay, o.ClipNorm = schedule, c.decay, c.clip
				p := e.compile(n, net.Options{Batch: batch, Optimizer: o, Seed: e.rng.Uint64()})
				st := p.state()
				for s := range steps {
					st = p.judgeStep(st, span(data, s, s+1+s%batch))
					if e.Failed() {
						e.Errorf("that was with optimiser %+v", o)
						return
					}
				}
			}
		}
	}
	// From the middle of a run with moments; without moments, which then count as
	// zeros; and with weights that are all zero.
	for _, o := range e.optimizers(n) {
		p := e.compile(n, net.Options{Batch: batch, Optimizer: o})
		st := e.randomState(p.judge.Plan(), o)
		for _, begin := range []func(){
			func() {},
			func() { st.Optimizer = nil },
			func() {
				for _, q := range p.judge.Plan().Trained() {
					if q.Role == net.Weight && len(q.Dims) > 1 {
						clear(st.Params[q.Name].Float32s())
					}
				}
			},
		} {
			begin()
			p.setState(st)
			for s := range 3 {
				st = p.judgeStep(st, span(data, s, s+3))
			}
		}
	}
}

// checkTrajectory runs many steps on the device and on the reference,
// independently but from the same start. They drift apart only by rounding.
func checkTrajectory(e *env) {
	if e.unit > 0 {
		e.Skip("a device with coarse roundings takes another course; each of its steps is judged elsewhere")
	}
	const batch = 5
	steps := e.some(100, 30)
	n := e.small()
	data := e.randomData(n.Input, 3, 50)
	for _, o := range e.optimizers(n) {
		o.Schedule = net.Schedule{Method: net.CosineRate, Total: 120, Warmup: 3}
		o.WeightDecay, o.ClipNorm = 0.02, 1
		opts := net.Options{Batch: batch, Optimizer: o, Seed: e.rng.Uint64()}
		p, judge := e.compile(n, opts), e.compileOn(reference.New(), n, opts)
		start := p.state()
		judge.setState(start)
		for s := range steps {
			b := span(data, s%40, s%40+1+s%batch)
			p.step(b)
			judge.step(b)
		}
		got, want := p.state(), judge.state()
		for _, q := range p.judge.Plan().Params {
			if q.Name == "conv1.bias" && o.Method != net.SGD {
				// This is the nearest to a flat valley here: small gradients,
				// which Adam divides by their size.
				continue
			}
			var moved float64
			from, to := start.Params[q.Name].Float32s(), want.Params[q.Name].Float32s()
			for i := range to {
				moved = max(moved, math.Abs(float64(to[i]-from[i])))
			}
			// If errors of 1e-7 a step added up in one direction and were
			// amplified tenfold, they would stay below a thousandth of the way.
			approx.Check(e, q.Name+" after "+string(o.Method), got.Params[q.Name].Float32s(), to, approx.Tolerance{Abs: 1e-3 * moved})
		}
		approx.Check(e, "mean loss", []float64{p.metrics().MeanLoss()}, []float64{judge.metrics().MeanLoss()}, approx.Tolerance{Rel: 1e-4})
	}
}

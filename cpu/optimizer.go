package cpu

import (
	"fmt"
	"math"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// updateChunk is how many values of a parameter one task updates.
const updateChunk = 16384

// optimizer updates the trained parameters, and the averages of all parameters,
// in one pass over each. Muon makes the matrices that it subtracts before that pass.
type optimizer struct {
	options    net.Options
	workers    *workers
	muon       *muon   // nil without matrices
	chunks     []chunk // chunks of trained parameters; if averages are kept, then chunks of the others
	trained    int     // how many of the chunks are of trained parameters
	rates      []rate
	squares    []float64 // sums of squared gradients, by chunk
	average    float32   // how far the averages move in this step, from 0 to 1
	back       bool      // then the values are set to the averages
	squareTask func(w *worker, i int)
	updateTask func(w *worker, i int)
	addTask    func(w *worker, i int)
	swapTask   func(w *worker, i int)
}

// rate holds the numbers for parameters with the same rule.
type rate struct {
	settings net.Optimizer
	adam     asm.Adam
	sgd      asm.SGD
	lion     asm.Lion
}

// chunk is a piece of a parameter: its values lo to hi-1.
type chunk struct {
	*parameter
	lo, hi int
}

func newOptimizer(ws *workers, plan *net.Plan, opts net.Options, params []*parameter) *optimizer {
	o := &optimizer{options: opts, workers: ws}
	var matrices []*parameter
	for _, trained := range []bool{true, false} {
		for _, p := range params {
			if p.Trained != trained || !trained && !opts.Averages() {
				continue
			}
			rate := 0
			if trained {
				rate = o.rateOf(opts.Optimizer.For(plan, p.Param))
				if p.rate = rate; o.rates[rate].settings.Matrix() {
					matrices = append(matrices, p)
				}
			}
			for lo := 0; lo < len(p.value); lo += updateChunk {
				o.chunks = append(o.chunks, chunk{p, lo, min(lo+updateChunk, len(p.value))})
			}
		}
		if trained {
			o.trained = len(o.chunks)
		}
	}
	o.squares = make([]float64, o.trained)
	if len(matrices) > 0 {
		o.muon = newMuon(o, matrices)
	}
	o.squareTask, o.updateTask, o.addTask, o.swapTask = o.square, o.update, o.add, o.swap
	return o
}

// rateOf returns the index of the rate with the rule of an optimiser that is for one
// parameter. It adds the rate if there is none.
func (o *optimizer) rateOf(settings net.Optimizer) int {
	for i, r := range o.rates {
		if r.settings.Rule == settings.Rule {
			return i
		}
	}
	o.rates = append(o.rates, rate{settings: settings})
	return len(o.rates) - 1
}

// run makes the update of one step.
func (o *optimizer) run(step int64) {
	scale := float32(1)
	if o.options.Optimizer.ClipNorm > 0 {
		scale = float32(o.clip())
	}
	for i := range o.rates {
		o.rates[i].set(step, scale)
	}
	if o.muon != nil {
		o.muon.run(step)
	}
	average, back := o.options.AverageMove(step)
	o.average, o.back = float32(average), back
	o.workers.do(len(o.chunks), o.updateTask)
}

// set sets the numbers of a step. All gradients are multiplied by scale.
func (r *rate) set(step int64, scale float32) {
	s := &r.settings
	rates := s.Rates(step)
	update, shrink, decay := float32(rates.Update), float32(rates.Decay), float32(s.WeightDecay)
	if s.Apart() {
		decay = 0
	}
	beta1, rest1, beta2, rest2 := float32(s.Beta1), float32(1-s.Beta1), float32(s.Beta2), float32(1-s.Beta2)
	switch s.Method {
	case net.Adam, net.AdamW:
		r.adam = asm.Adam{
			Scale: scale, Decay: decay, Beta1: beta1, Rest1: rest1, Beta2: beta2, Rest2: rest2,
			Epsilon: float32(s.Epsilon), Rate: update, Shrink: shrink,
		}
	case net.Lion:
		r.lion = asm.NewLion(asm.Lion{Scale: scale, Beta1: beta1, Rest1: rest1, Beta2: beta2, Rest2: rest2, Rate: update, Shrink: shrink})
	default: // Muon's velocities are those of SGD
		r.sgd = asm.SGD{Scale: scale, Decay: decay, Rate: update, Momentum: float32(s.Momentum), Velocity: 1}
		if s.Nesterov {
			r.sgd.Direct, r.sgd.Velocity = 1, float32(s.Momentum)
		}
	}
}

// keep puts aside the gradients of a mini-batch's parts so far. The gradients
// of the next part are written to other memory.
func (p *program) keep() {
	if p.earlier == nil {
		p.earlier = make([]float32, len(p.gradients))
		left := p.earlier
		for _, q := range p.params {
			n := len(q.grad)
			q.earlier, left = left[:n:n], left[n:]
		}
	}
	p.gradients, p.earlier = p.earlier, p.gradients
	for _, q := range p.params {
		q.grad, q.earlier = q.earlier, q.grad
	}
}

// addKept adds what keep put aside to the gradients.
func (o *optimizer) addKept() { o.workers.do(o.trained, o.addTask) }

func (o *optimizer) add(w *worker, i int) {
	c := o.chunks[i]
	w.kernel.Add(c.grad[c.lo:c.hi], c.earlier[c.lo:c.hi])
}

// clip returns the factor that reduces the norm of all gradients to the allowed
// maximum. It is 1 if the norm is lower.
func (o *optimizer) clip() float64 {
	o.workers.do(o.trained, o.squareTask)
	var sum float64
	for _, s := range o.squares {
		sum += s
	}
	return min(1, o.options.Optimizer.ClipNorm/math.Sqrt(sum))
}

func (o *optimizer) square(w *worker, i int) {
	c := o.chunks[i]
	o.squares[i] = w.kernel.SumSquares(c.grad[c.lo:c.hi])
}

func (o *optimizer) update(w *worker, i int) {
	c := o.chunks[i]
	value := c.value[c.lo:c.hi]
	if c.Trained {
		grad, r := c.grad[c.lo:c.hi], &o.rates[c.rate]
		moment := func(k int) []float32 { return c.moments[k][c.lo:c.hi] }
		switch m := r.settings.Method; {
		case m == net.Muon: // it has updated the whole matrix
		case m == net.Lion:
			w.kernel.Lion(value, grad, moment(0), &r.lion)
		case m == net.Adam || m == net.AdamW:
			w.kernel.Adam(value, grad, moment(0), moment(1), &r.adam)
		case m != net.SGD:
			panic(fmt.Sprintf("BUG: no kernel for the optimiser %s", m))
		case len(c.moments) > 0:
			w.kernel.Momentum(value, grad, moment(0), &r.sgd)
		default:
			w.kernel.SGD(value, grad, &r.sgd)
		}
	}
	if c.average == nil {
		return
	}
	// What was just updated is still in the cache.
	average, rate := c.average[c.lo:c.hi], o.average
	for k, v := range average {
		average[k] = v + rate*(value[k]-v)
	}
	if o.back {
		copy(value, average)
	}
}

// swapAll exchanges all values with their averages.
func (o *optimizer) swapAll() { o.workers.do(len(o.chunks), o.swapTask) }

func (o *optimizer) swap(_ *worker, i int) {
	c := o.chunks[i]
	average := c.average[c.lo:c.hi]
	for k, v := range c.value[c.lo:c.hi] {
		c.value[c.lo+k], average[k] = average[k], v
	}
}

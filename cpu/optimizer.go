package cpu

import (
	"math"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// updateChunk is how many values of a parameter one task updates.
const updateChunk = 16384

// optimizer updates the trained parameters, and the averages of all parameters,
// in one pass over each.
type optimizer struct {
	settings   net.Optimizer
	decay      float64 // the decay of the averages; 0: none are kept
	workers    *workers
	chunks     []chunk // chunks of trained parameters; if averages are kept, then chunks of the others
	trained    int     // how many of the chunks are of trained parameters
	rates      []rate
	squares    []float64 // sums of squared gradients, by chunk
	average    float32   // how far the averages move in this step, from 0 to 1
	squareTask func(w *worker, i int)
	updateTask func(w *worker, i int)
	addTask    func(w *worker, i int)
	swapTask   func(w *worker, i int)
}

// rate holds the numbers for parameters with the same factor of the learning
// rate and the same weight decay.
type rate struct {
	factor float64 // factor of the learning rate
	decay  float64
	adam   asm.Adam
	sgd    asm.SGD
}

// chunk is a piece of a parameter: its values lo to hi-1.
type chunk struct {
	*parameter
	lo, hi int
	rate   int // index of optimizer.rates
}

func newOptimizer(ws *workers, plan *net.Plan, opts net.Options, params []*parameter) *optimizer {
	o := &optimizer{settings: opts.Optimizer, decay: opts.Average, workers: ws}
	for _, trained := range []bool{true, false} {
		for _, p := range params {
			if p.Trained != trained || !trained && o.decay == 0 {
				continue
			}
			rate := 0
			if trained {
				rate = o.rateOf(o.settings.Factor(plan, p.Param), p.Decayed)
			}
			for lo := 0; lo < len(p.value); lo += updateChunk {
				o.chunks = append(o.chunks, chunk{p, lo, min(lo+updateChunk, len(p.value)), rate})
			}
		}
		if trained {
			o.trained = len(o.chunks)
		}
	}
	o.squares = make([]float64, o.trained)
	o.squareTask, o.updateTask, o.addTask, o.swapTask = o.square, o.update, o.add, o.swap
	return o
}

// rateOf returns the index of the rate with the given factor, with weight decay
// or without. It adds the rate if there is none.
func (o *optimizer) rateOf(factor float64, decayed bool) int {
	decay := 0.0
	if decayed {
		decay = o.settings.WeightDecay
	}
	for i, r := range o.rates {
		if r.factor == factor && r.decay == decay {
			return i
		}
	}
	o.rates = append(o.rates, rate{factor: factor, decay: decay})
	return len(o.rates) - 1
}

// run makes the update of one step.
func (o *optimizer) run(step int64) {
	scale := 1.0
	if o.settings.ClipNorm > 0 {
		scale = o.clip()
	}
	for i := range o.rates {
		r := &o.rates[i]
		s := o.settings
		s.LearningRate *= r.factor
		rate := s.Rate(step)
		r.adam = asm.Adam{
			Scale: float32(scale), Decay: float32(r.decay),
			Beta1: float32(s.Beta1), Rest1: float32(1 - s.Beta1), Beta2: float32(s.Beta2), Rest2: float32(1 - s.Beta2),
			Epsilon: float32(s.Epsilon),
		}
		switch s.Method {
		case net.AdamW:
			r.adam.Decay, r.adam.Shrink = 0, float32(rate*r.decay)
			fallthrough
		case net.Adam:
			r.adam.Rate = float32(s.AdamRate(step))
		}
		r.sgd = asm.SGD{Scale: float32(scale), Decay: float32(r.decay), Rate: float32(rate), Momentum: float32(s.Momentum), Velocity: 1}
		if s.Nesterov {
			r.sgd.Direct, r.sgd.Velocity = 1, float32(s.Momentum)
		}
	}
	o.average = float32(net.AverageRate(o.decay, step))
	o.workers.do(len(o.chunks), o.updateTask)
}

// keep puts aside the gradients of a mini-batch's parts so far. The gradients
// of the next part are written to other memory.
func (o *optimizer) keep() {
	for _, c := range o.chunks[:o.trained] {
		if c.lo > 0 {
			continue
		}
		if c.earlier == nil {
			c.earlier = make([]float32, len(c.grad))
		}
		c.grad, c.earlier = c.earlier, c.grad
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
	return min(1, o.settings.ClipNorm/math.Sqrt(sum))
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
		switch len(c.moments) {
		case 0:
			w.kernel.SGD(value, grad, &r.sgd)
		case 1:
			w.kernel.Momentum(value, grad, c.moments[0][c.lo:c.hi], &r.sgd)
		case 2:
			w.kernel.Adam(value, grad, c.moments[0][c.lo:c.hi], c.moments[1][c.lo:c.hi], &r.adam)
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

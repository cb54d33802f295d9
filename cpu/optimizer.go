package cpu

import (
	"math"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// updateChunk is how many values of a parameter one task updates.
const updateChunk = 16384

// optimizer updates the trained parameters in one pass over each.
type optimizer struct {
	settings   net.Optimizer
	workers    *workers
	chunks     []chunk
	squares    []float64 // sums of the gradients' squares, by chunk
	adam       [2]asm.Adam
	sgd        [2]asm.SGD // without and with weight decay, like adam
	squareTask func(w *worker, i int)
	updateTask func(w *worker, i int)
	addTask    func(w *worker, i int)
}

// chunk is a piece of a parameter.
type chunk struct {
	*parameter
	lo, hi int
}

func newOptimizer(ws *workers, settings net.Optimizer, params []*parameter) *optimizer {
	o := &optimizer{settings: settings, workers: ws}
	for _, p := range params {
		for lo := 0; p.Trained && lo < len(p.value); lo += updateChunk {
			o.chunks = append(o.chunks, chunk{p, lo, min(lo+updateChunk, len(p.value))})
		}
	}
	o.squares = make([]float64, len(o.chunks))
	o.squareTask, o.updateTask, o.addTask = o.square, o.update, o.add
	return o
}

// run makes the update of a step.
func (o *optimizer) run(step int64) {
	scale := 1.0
	if o.settings.ClipNorm > 0 {
		scale = o.clip()
	}
	s := o.settings
	rate := s.Rate(step)
	for decayed := range 2 {
		decay := float64(decayed) * s.WeightDecay
		o.adam[decayed] = asm.Adam{
			Scale: float32(scale), Decay: float32(decay),
			Beta1: float32(s.Beta1), Rest1: float32(1 - s.Beta1), Beta2: float32(s.Beta2), Rest2: float32(1 - s.Beta2),
			Epsilon: float32(s.Epsilon),
		}
		switch s.Method {
		case net.AdamW:
			o.adam[decayed].Decay, o.adam[decayed].Shrink = 0, float32(rate*decay)
			fallthrough
		case net.Adam:
			o.adam[decayed].Rate = float32(s.AdamRate(step))
		}
		o.sgd[decayed] = asm.SGD{Scale: float32(scale), Decay: float32(decay), Rate: float32(rate), Momentum: float32(s.Momentum), Velocity: 1}
		if s.Nesterov {
			o.sgd[decayed].Direct, o.sgd[decayed].Velocity = 1, float32(s.Momentum)
		}
	}
	o.workers.do(len(o.chunks), o.updateTask)
}

// keep puts the gradients of a mini-batch's parts so far aside. The next part's
// are written where they were.
func (o *optimizer) keep() {
	for _, c := range o.chunks {
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
func (o *optimizer) addKept() { o.workers.do(len(o.chunks), o.addTask) }

func (o *optimizer) add(w *worker, i int) {
	c := o.chunks[i]
	w.kernel.Add(c.grad[c.lo:c.hi], c.earlier[c.lo:c.hi])
}

// clip returns the factor that brings the norm of all gradients down to the
// greatest allowed.
func (o *optimizer) clip() float64 {
	o.workers.do(len(o.chunks), o.squareTask)
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
	decayed := 0
	if c.Decayed {
		decayed = 1
	}
	value, grad := c.value[c.lo:c.hi], c.grad[c.lo:c.hi]
	switch len(c.moments) {
	case 0:
		w.kernel.SGD(value, grad, &o.sgd[decayed])
	case 1:
		w.kernel.Momentum(value, grad, c.moments[0][c.lo:c.hi], &o.sgd[decayed])
	case 2:
		w.kernel.Adam(value, grad, c.moments[0][c.lo:c.hi], c.moments[1][c.lo:c.hi], &o.adam[decayed])
	}
}

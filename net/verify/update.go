package verify

import (
	"math"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// roundings bounds the roundings in an optimiser's formula for one element.
const roundings = 6

// updateCheck compares the weights and moments of one parameter, whose gradient
// g is off by eg. Every element has a tolerance of its own: Adam divides the
// gradient by its size, so that the update of an element whose gradient is all
// rounding error may be anything up to the learning rate, while the others'
// must be right to a few roundings.
func (j *Judge) updateCheck(q net.Param, g []float64, eg float64, before, after net.State) []Check {
	o := j.opts.Optimizer
	old := widen(before.Params[q.Name].Float32s())
	w := widen(before.Params[q.Name].Float32s())
	oldMoments, moments := map[string][]float64{}, map[string][]float64{}
	for _, name := range o.Moments() {
		oldMoments[name], moments[name] = make([]float64, len(w)), make([]float64, len(w))
		if t := before.Optimizer[q.Name+"."+name]; t != nil {
			oldMoments[name], moments[name] = widen(t.Float32s()), widen(t.Float32s())
		}
	}
	reference.Update(o, before.Step, q, w, g, moments)

	decay := 0.0
	if q.Decayed && o.Method != net.AdamW {
		decay = o.WeightDecay
	}
	unit := roundings * j.unit
	tol := map[string][]float64{"": make([]float64, len(w))}
	for name := range moments {
		tol[name] = make([]float64, len(w))
	}
	for i := range w {
		// The gradient with decay, its size and its error.
		d := math.Abs(g[i]) + decay*math.Abs(old[i])
		ed := eg + unit*d
		own := least + unit*(math.Abs(old[i])+math.Abs(w[i]-old[i]))
		switch o.Method {
		case net.SGD:
			factor := 1.0
			if o.Momentum != 0 {
				v := math.Abs(o.Momentum * oldMoments["v"][i])
				tol["v"][i] = ed + unit*v + least
				if o.Nesterov {
					factor += o.Momentum
				}
				own += o.Rate(before.Step) * unit * factor * v
			}
			tol[""][i] = own + o.Rate(before.Step)*factor*ed
		case net.Adam, net.AdamW:
			m, v := moments["m"][i], moments["v"][i]
			em := (1-o.Beta1)*ed + unit*o.Beta1*math.Abs(oldMoments["m"][i]) + least
			ev := (1-o.Beta2)*(2*d+ed)*ed + unit*v + least
			tol["m"][i], tol["v"][i] = em, ev
			root := math.Sqrt(v) + o.Epsilon
			low := math.Sqrt(max(v-ev, 0)) + o.Epsilon
			tol[""][i] = own + o.AdamRate(before.Step)*(em/low+math.Abs(m)*(1/low-1/root))
		}
	}

	checks := []Check{elementwise(q.Layer, string(q.Role), after.Params[q.Name], w, tol[""], old)}
	for _, name := range o.Moments() {
		checks = append(checks, elementwise(q.Layer, string(q.Role)+"."+name, after.Optimizer[q.Name+"."+name], moments[name], tol[name], nil))
	}
	return checks
}

// elementwise compares values that each have a tolerance. Error and tolerance
// are those of the element that uses most of its own, relative to the greatest
// change from old, or to the greatest value where old is nil.
func elementwise(layer int, what string, got *tensor.Dense, want, tol, old []float64) Check {
	r := approx.CompareEach(got.Float32s(), want, tol)
	c := Check{Layer: layer, What: what, OK: r.OK}
	if !r.OK {
		c.Detail = r.String()
	}
	if r.Worst < 0 {
		c.Error = math.Inf(1)
		return c
	}
	scale := 0.0
	for i, w := range want {
		if old != nil {
			w -= old[i]
		}
		scale = max(scale, math.Abs(w))
	}
	if scale == 0 {
		scale = 1
	}
	c.Error, c.Tolerance = math.Abs(r.Got-r.Want)/scale, tol[r.Worst]/scale
	return c
}

// statisticsBounds bounds the running mean and variance that a step leaves.
func statisticsBounds(unit float64, l *reference.Layer, n int, x []float64, ex float64, mean, variance []float64) (bound, bound) {
	momentum, _ := l.Layer.(*net.BatchNorm).Settings()
	sm, sv := sizeOf(mean).max, sizeOf(variance).max
	bm, bv := bound{roundings * unit * sm, sm}, bound{roundings * unit * sv, sv}
	var em, ev float64
	for _, s := range channels(l, net.Training, n, x) {
		root := math.Sqrt(s.count)
		unbiased := s.count / max(s.count-1, 1)
		off := unit*root*s.maxX + ex // of the mean
		em = max(em, off)
		// The mean's error shifts every difference alike and enters squared; those
		// of the values meet the deviation.
		ev = max(ev, unbiased*(unit*root*s.variance+2*math.Sqrt(s.variance)*(unit*s.maxX+ex)+off*off))
		sm, sv = max(sm, s.maxX), max(sv, s.variance)
	}
	bm.err, bm.scale = bm.err+momentum*em, sm
	bv.err, bv.scale = bv.err+momentum*ev, sv
	return bm, bv
}

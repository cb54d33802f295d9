package verify

import (
	"math"
	"slices"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// roundings bounds the roundings in an optimiser's formula for one element.
const roundings = 6

// updateCheck compares the moments and weights of one parameter. Its gradient g has errors
// up to eg. The moments are judged from the gradient. The weights are judged from the
// device's own moments, like a layer by replay: Adam divides one moment by the other. If a
// gradient is nothing but rounding error, the update may be anything up to the learning
// rate, but it must follow from these moments.
func (j *Judge) updateCheck(q net.Param, g []float64, eg float64, before, after net.State) []Check {
	o := j.opts.Optimizer
	o.LearningRate *= o.Factor(j.plan, q)
	old := widen(before.Params[q.Name].Float32s())
	w := slices.Clone(old)
	moments, oldMoments, given := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for _, name := range o.Moments() {
		full := q.Name + "." + name
		oldMoments[name], given[name] = make([]float64, len(w)), widen(after.Optimizer[full].Float32s())
		if t := before.Optimizer[full]; t != nil {
			oldMoments[name] = widen(t.Float32s())
		}
		moments[name] = slices.Clone(oldMoments[name])
	}
	reference.Update(o, before.Step, q, w, g, moments)

	decay := 0.0
	if q.Decayed {
		decay = o.WeightDecay
	}
	inGradient := decay
	if o.Method == net.AdamW {
		inGradient = 0
	}
	rate, adamRate := o.Rate(before.Step), o.AdamRate(before.Step)
	unit := roundings * j.unit
	wTol, mTol, vTol := make([]float64, len(w)), make([]float64, len(w)), make([]float64, len(w))
	for i := range w {
		d := g[i] + inGradient*old[i]
		size := math.Abs(g[i]) + inGradient*math.Abs(old[i])
		ed := eg + unit*size
		fromGradient := 0.0 // how much of ed reaches the weight past the moments
		switch {
		case o.Method != net.SGD:
			mTol[i] = (1-o.Beta1)*ed + unit*o.Beta1*math.Abs(oldMoments["m"][i]) + least
			vTol[i] = (1-o.Beta2)*(2*size+ed)*ed + unit*moments["v"][i] + least
			w[i] = old[i] - adamRate*given["m"][i]/(math.Sqrt(given["v"][i])+o.Epsilon)
			if o.Method == net.AdamW {
				w[i] -= rate * decay * old[i]
			}
		case o.Momentum == 0:
			fromGradient = rate
		default:
			vTol[i] = ed + unit*math.Abs(o.Momentum*oldMoments["v"][i]) + least
			w[i] = old[i] - rate*given["v"][i]
			if o.Nesterov {
				w[i] = old[i] - rate*(d+o.Momentum*given["v"][i])
				fromGradient = rate
			}
		}
		wTol[i] = unit*(math.Abs(old[i])+math.Abs(w[i]-old[i])) + fromGradient*ed + least
	}

	checks := []Check{elementwise(q.Layer, string(q.Role), after.Params[q.Name], w, wTol, old)}
	tol := map[string][]float64{"m": mTol, "v": vTol}
	for _, name := range o.Moments() {
		checks = append(checks, elementwise(q.Layer, string(q.Role)+"."+name, after.Optimizer[q.Name+"."+name], moments[name], tol[name], nil))
	}
	return checks
}

// averageChecks compares the averages after an update. They are judged from the device's
// own weights after it.
func (j *Judge) averageChecks(before, after net.State) []Check {
	if j.opts.Average == 0 {
		if after.Average != nil {
			return []Check{{Layer: -1, What: "averages", Error: math.Inf(1), Detail: "present, though none are kept"}}
		}
		return nil
	}
	if after.Average == nil {
		return []Check{{Layer: -1, What: "averages", Error: math.Inf(1), Detail: "missing"}}
	}
	var checks []Check
	for _, q := range j.plan.Params {
		old := before.Average[q.Name]
		if old == nil {
			old = before.Params[q.Name]
		}
		w := widen(after.Params[q.Name].Float32s())
		a := widen(old.Float32s())
		tol := make([]float64, len(a))
		for i, v := range a {
			tol[i] = roundings*j.unit*max(math.Abs(v), math.Abs(w[i])) + least
		}
		reference.Average(j.opts.Average, before.Step, a, w)
		checks = append(checks, elementwise(q.Layer, string(q.Role)+".average", after.Average[q.Name], a, tol, nil))
	}
	return checks
}

// elementwise compares values that each have a tolerance of their own. Error and Tolerance
// of the Check are those of the element that uses most of its tolerance. They are relative
// to the greatest change from old, or to the greatest value if old is nil.
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

// statisticsBounds bounds the errors of the running mean and variance after a step.
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
		// The mean's error shifts every difference by the same amount and enters squared.
		// The values' errors are multiplied by the deviation.
		ev = max(ev, unbiased*(unit*root*s.variance+2*math.Sqrt(s.variance)*(unit*s.maxX+ex)+off*off))
		sm, sv = max(sm, s.maxX), max(sv, s.variance)
	}
	bm.err, bm.scale = bm.err+momentum*em, sm
	bv.err, bv.scale = bv.err+momentum*ev, sv
	return bm, bv
}

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

// update is what the weights of one parameter should be after an update, with a bound for
// each of them.
type update struct {
	old, want, tol []float64
}

// updateCheck compares the moments of one parameter, and says what its weights should be.
// Its gradient g has errors up to eg. The moments are judged from the gradient. The weights
// are judged from the device's own moments, like a layer by replay: Adam divides one moment
// by the other. If a gradient is nothing but rounding error, the update may be anything up
// to the learning rate, but it must follow from these moments.
func (j *Judge) updateCheck(q net.Param, g []float64, eg float64, before, after net.State) (update, []Check) {
	o := j.opts.Optimizer.For(j.plan, q)
	rates, names := o.Rates(before.Step), o.Moments()
	old := widen(before.Params[q.Name].Float32s())
	u := update{old: old, want: make([]float64, len(old)), tol: make([]float64, len(old))}
	was, given, want, tol := make([][]float64, len(names)), make([][]float64, len(names)), make([][]float64, len(names)), make([][]float64, len(names))
	for k, name := range names {
		full := q.Name + "." + name
		was[k], given[k] = make([]float64, len(old)), widen(after.Optimizer[full].Float32s())
		if t := before.Optimizer[full]; t != nil {
			was[k] = widen(t.Float32s())
		}
		want[k], tol[k] = make([]float64, len(old)), make([]float64, len(old))
	}
	unit, decay := roundings*j.unit, o.WeightDecay
	if o.Apart() {
		decay = 0
	}
	one, after1 := make([]float64, len(names)), make([]float64, len(names)) // the moments of one value
	change, changeTol := make([]float64, len(old)), make([]float64, len(old))
	for i := range old {
		d := g[i] + decay*old[i]
		ed := eg + unit*(math.Abs(g[i])+decay*math.Abs(old[i]))
		for k := range names {
			one[k], after1[k] = was[k][i], given[k][i]
		}
		for k := range names {
			v := o.Move(k, d, one)
			want[k][i] = v
			// As far as the gradient's error moves it, and the roundings of the sum.
			tol[k][i] = max(math.Abs(o.Move(k, d+ed, one)-v), math.Abs(o.Move(k, d-ed, one)-v)) + unit*max(math.Abs(one[k]), math.Abs(v)) + least
		}
		// A sign may be of a sum of such parts.
		for k := range names {
			ed += unit * math.Abs(one[k])
		}
		v := o.Rule.Update(d, one, after1)
		change[i] = v
		changeTol[i] = max(math.Abs(o.Rule.Update(d+ed, one, after1)-v), math.Abs(o.Rule.Update(d-ed, one, after1)-v))
	}
	scale, rescale := 1.0, 1.0
	if o.Matrix() {
		scale, rescale = reference.MuonScales(o.Rule, q.Dims[0], old)
		bound := j.orthogonalBound(q.Dims[0], change, changeTol, o.Iterations)
		reference.Orthogonalize(q.Dims[0], change, o.Iterations)
		for i := range changeTol {
			changeTol[i] = bound
		}
	}
	for i, w := range old {
		u.want[i] = rescale*w*(1-rates.Decay) - rates.Update*scale*change[i]
		u.tol[i] = unit*(rescale*math.Abs(w)+math.Abs(u.want[i]-w)) + rates.Update*scale*changeTol[i] + least
	}
	var checks []Check
	for k, name := range names {
		checks = append(checks, elementwise(q.Layer, string(q.Role)+"."+name, after.Optimizer[q.Name+"."+name], want[k], tol[k], nil))
	}
	return u, checks
}

// orthogonalBound bounds the error of an element of Muon's matrix. u is the matrix before
// it is divided by its norm, with errors up to tol.
//
// In an iteration, the L2 norm of an error grows at most as a singular value near 0 does,
// by net.NewtonSchulz[0]: no slope of the polynomial between 0 and 1.15 is steeper, and the singular
// values stay there. The products add about a rounding of float32's sums to each of the
// n*n elements of A and of A*A, with the iteration's factors of 5 and 2. Their own factors,
// of about 1/sqrt(depth), may be rounded more coarsely. These errors are independent, so an
// element has the part 1/sqrt(len(u)) of the norm; none of them all is beyond 8 times as
// much.
func (j *Judge) orthogonalBound(rows int, u, tol []float64, iterations int) float64 {
	norm := reference.Norm(u) + net.MuonLeast
	e := reference.Norm(tol)/norm + j.unit*math.Sqrt(float64(len(u)))
	n, depth := float64(min(rows, len(u)/rows)), float64(max(rows, len(u)/rows))
	own := 10 * n * (Roundoff + j.unit/math.Sqrt(depth))
	for range iterations {
		e = net.NewtonSchulz[0]*e + own
	}
	return safety * 8 * e / math.Sqrt(float64(len(u)))
}

// moveChecks compares the parameters after an update with what the update wants, and the
// averages. Without lookahead, averages are judged from the device's own weights after the
// update. With lookahead, weights are set to the averages, so these are judged from what
// the weights should have been.
func (j *Judge) moveChecks(updates map[string]update, before, after net.State) []Check {
	if averages := j.opts.Averages(); averages != (after.Average != nil) {
		return []Check{{Layer: -1, What: "averages", Error: math.Inf(1), Detail: map[bool]string{true: "missing", false: "present, though none are kept"}[averages]}}
	}
	var checks []Check
	rate, back := j.opts.AverageMove(before.Step)
	for _, q := range j.plan.Params {
		u := updates[q.Name]
		if q.Trained && !back {
			checks = append(checks, elementwise(q.Layer, string(q.Role), after.Params[q.Name], u.want, u.tol, u.old))
		}
		if after.Average == nil {
			continue
		}
		old := before.Average[q.Name]
		if old == nil {
			old = before.Params[q.Name]
		}
		w, a := u.want, widen(old.Float32s())
		if !back {
			w = widen(after.Params[q.Name].Float32s())
		}
		tol := make([]float64, len(a))
		for i, v := range a {
			tol[i] = roundings*j.unit*max(math.Abs(v), math.Abs(w[i])) + least
			if back {
				tol[i] += rate * u.tol[i]
			}
		}
		reference.Average(j.opts, before.Step, a, slices.Clone(w))
		checks = append(checks, elementwise(q.Layer, string(q.Role)+".average", after.Average[q.Name], a, tol, nil))
		if back && !slices.Equal(after.Params[q.Name].Float32s(), after.Average[q.Name].Float32s()) {
			checks = append(checks, Check{Layer: q.Layer, What: string(q.Role), Error: math.Inf(1), Detail: "lookahead leaves other weights than its slow weights"})
		}
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

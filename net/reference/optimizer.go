package reference

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// Clip scales all gradients in place by the same factor, min(1, limit/norm). norm is the
// L2 norm of all their values together. If limit is 0, Clip does nothing.
func Clip(limit float64, grads [][]float64) {
	if limit == 0 {
		return
	}
	var sum float64
	for _, g := range grads {
		for _, v := range g {
			sum += v * v
		}
	}
	scale := min(1, limit/math.Sqrt(sum))
	for _, g := range grads {
		for i := range g {
			g[i] *= scale
		}
	}
}

// Update updates the values w of parameter p in place. g is their gradient after
// clipping; it does not change. step counts from 0. moments holds p's moments by the names
// of o.Moments, and they are updated in place. Nothing is rounded. [net.Method] has the
// formulas.
func Update(o net.Optimizer, step int64, p net.Param, w, g []float64, moments map[string][]float64) {
	decay := 0.0
	if p.Decayed {
		decay = o.WeightDecay
	}
	rate := o.Rate(step)
	m, v := moments["m"], moments["v"]
	switch o.Method {
	case net.SGD:
		for i := range w {
			d := g[i] + decay*w[i]
			switch {
			case o.Momentum == 0:
				w[i] -= rate * d
			case o.Nesterov:
				v[i] = o.Momentum*v[i] + d
				w[i] -= rate * (d + o.Momentum*v[i])
			default:
				v[i] = o.Momentum*v[i] + d
				w[i] -= rate * v[i]
			}
		}
	case net.Adam, net.AdamW:
		adamRate := o.AdamRate(step)
		for i := range w {
			d := g[i]
			if o.Method == net.AdamW {
				w[i] -= rate * decay * w[i]
			} else {
				d += decay * w[i]
			}
			m[i] = o.Beta1*m[i] + (1-o.Beta1)*d
			v[i] = o.Beta2*v[i] + (1-o.Beta2)*d*d
			w[i] -= adamRate * m[i] / (math.Sqrt(v[i]) + o.Epsilon)
		}
	}
}

// Average moves the moving averages a towards the values w, in place, after an update.
// step counts the updates from 0. Nothing is rounded. [net.AverageRate] has the formula of
// the rate.
func Average(decay float64, step int64, a, w []float64) {
	rate := net.AverageRate(decay, step)
	for i := range a {
		a[i] += rate * (w[i] - a[i])
	}
}

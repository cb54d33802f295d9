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

// Update updates the values w of a parameter in place. o is the optimiser for it
// ([net.Optimizer.For]), and rows is the first of its dimensions. g is the gradient after
// clipping; it does not change. step counts from 0. moments holds the parameter's moments
// by the names of o.Moments, and they are updated in place. Nothing is rounded.
// [net.Method] has the formulas.
func Update(o net.Optimizer, step int64, rows int, w, g []float64, moments map[string][]float64) {
	names, rates := o.Moments(), o.Rates(step)
	before, after := make([]float64, len(names)), make([]float64, len(names))
	change := make([]float64, len(w))
	for i := range w {
		d := g[i]
		if !o.Apart() {
			d += o.WeightDecay * w[i]
		}
		for k, name := range names {
			before[k] = moments[name][i]
		}
		for k, name := range names {
			after[k] = o.Move(k, d, before)
			moments[name][i] = after[k]
		}
		change[i] = o.Rule.Update(d, before, after)
	}
	scale, rescale := 1.0, 1.0
	if o.Matrix() {
		Orthogonalize(rows, change, o.Iterations)
		scale, rescale = MuonScales(o.Rule, rows, w)
	}
	for i := range w {
		w[i] = rescale*w[i] - rates.Decay*rescale*w[i] - rates.Update*scale*change[i]
	}
}

// MuonScales returns what Muon multiplies the matrix by that is subtracted, and the
// weights before that.
func MuonScales(r net.Rule, rows int, w []float64) (scale, rescale float64) {
	if r.Rescale {
		return 1, math.Sqrt(float64(rows)) / (Norm(w) + net.MuonLeast)
	}
	return math.Sqrt(max(1, float64(rows)*float64(rows)/float64(len(w)))), 1
}

// Norm returns the L2 norm of values.
func Norm(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v * v
	}
	return math.Sqrt(sum)
}

// Orthogonalize moves the singular values of matrix u, with the given number of rows, towards
// 1, as Muon does: u is divided by its L2 norm, and then Newton and Schulz's iteration is
// applied to it ([net.Muon]).
func Orthogonalize(rows int, u []float64, iterations int) {
	columns := len(u) / rows
	norm := Norm(u) + net.MuonLeast
	for i := range u {
		u[i] /= norm
	}
	// The iteration is the same for the transposed matrix. The product is the smaller of
	// U*U' and U'*U.
	at := func(i, k int) int { return i*columns + k }
	n, depth := rows, columns
	if rows > columns {
		at = func(i, k int) int { return k*columns + i }
		n, depth = columns, rows
	}
	a, b, next := make([]float64, n*n), make([]float64, n*n), make([]float64, len(u))
	for range iterations {
		for i := range n {
			for j := range n {
				var sum float64
				for k := range depth {
					sum += u[at(i, k)] * u[at(j, k)]
				}
				a[i*n+j] = sum
			}
		}
		for i := range n {
			for j := range n {
				var square float64
				for k := range n {
					square += a[i*n+k] * a[k*n+j]
				}
				b[i*n+j] = net.NewtonSchulz[1]*a[i*n+j] + net.NewtonSchulz[2]*square
			}
		}
		for i := range n {
			for k := range depth {
				sum := net.NewtonSchulz[0] * u[at(i, k)]
				for j := range n {
					sum += b[i*n+j] * u[at(j, k)]
				}
				next[at(i, k)] = sum
			}
		}
		copy(u, next)
	}
}

// Average moves the averages a towards the values w, in place, after an update. step counts
// the updates from 0. With lookahead it also changes w: [net.Options.AverageMove]. Nothing
// is rounded.
func Average(o net.Options, step int64, a, w []float64) {
	rate, back := o.AverageMove(step)
	for i := range a {
		a[i] += rate * (w[i] - a[i])
		if back {
			w[i] = a[i]
		}
	}
}

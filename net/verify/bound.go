package verify

import (
	"math"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// Roundoff is float32's unit roundoff: the greatest relative error of rounding
// once.
const Roundoff = 1.0 / (1 << 24)

// safety is what a bound is multiplied by to become a tolerance. The bounds take
// rounding errors as independent, so that they grow with the square root of
// their number (Higham and Mary, "A new approach to probabilistic rounding error
// analysis", 2019); the constant of that theorem and the orders in which devices
// add, which favour none, are covered by a factor. A wrong formula is off by
// parts in a thousand or more; the tolerances stay parts in a hundred thousand
// for the reductions of common networks.
const safety = 4

// least is below every number that matters: differences of denormal numbers,
// which hold few bits and which some devices take as 0, pass.
const least = 1e-37

// bound is how far from the exact values a float32 computation may stray, as the
// greatest absolute error of any value, and the scale it is to be seen against:
// the greatest exact value or partial sum.
type bound struct{ err, scale float64 }

// size is the greatest magnitude and the root mean square of some values.
type size struct{ max, rms float64 }

func sizeOf(values []float64) size {
	var s size
	for _, v := range values {
		s.max = max(s.max, math.Abs(v))
		s.rms += v * v
	}
	if len(values) > 0 {
		s.rms = math.Sqrt(s.rms / float64(len(values)))
	}
	return s
}

// reduction bounds sums of length products a*b that gave values. A partial sum
// is about as large as the greatest result, or as the root of the sum of squares
// of the terms where these cancel; each of the additions rounds one. The
// operands' own errors ea and eb add up as independent ones do.
func reduction(unit float64, length int, values, a, b []float64, ea, eb float64) bound {
	root := math.Sqrt(float64(length))
	sa, sb := sizeOf(a), sizeOf(b)
	scale := sizeOf(values).max + root*sa.rms*sb.rms
	return bound{err: unit*root*scale + root*(ea*sb.rms+eb*sa.rms), scale: scale}
}

// one stands for the second factor of a plain sum.
var one = []float64{1}

// forwardBound bounds the output y of a layer whose input x is off by ex.
func forwardBound(unit float64, l *reference.Layer, mode net.Mode, n int, x []float64, ex float64, y []float64) bound {
	scale := sizeOf(y).max
	floor := unit * scale // every result is rounded once
	switch d := l.Layer.(type) {
	case *net.Conv:
		return reduction(unit, l.In.C*d.Kernel.H*d.Kernel.W+1, y, x, l.Params[net.Weight], ex, 0)
	case *net.Dense:
		return reduction(unit, l.In.C+1, y, x, l.Params[net.Weight], ex, 0)
	case *net.Pool:
		switch d.PoolMode() {
		case net.MeanPool:
			scale = sizeOf(x).max
			return bound{unit*math.Sqrt(float64(d.Kernel.H*d.Kernel.W))*scale + floor + ex, scale}
		case net.L2Pool:
			return bound{unit*math.Sqrt(float64(d.Kernel.H*d.Kernel.W))*scale + floor + ex, scale}
		}
	case *net.Activation:
		if d.Func == net.Tanh || d.Func == net.Sigmoid {
			// Computed from exponentials: a few roundings of numbers about 1.
			return bound{4*unit + ex, 1}
		}
	case *net.Dropout:
		if mode == net.Training {
			return bound{floor + ex/(1-d.Rate), scale}
		}
	case *net.BatchNorm:
		b := bound{scale: scale}
		for c, s := range channels(l, mode, n, x) {
			weight, bias := math.Abs(l.Params[net.Weight][c]), math.Abs(l.Params[net.Bias][c])
			b.err = max(b.err, weight*s.hatErr(unit, ex)+4*unit*(weight*s.maxHat+bias))
		}
		return b
	}
	return bound{floor + ex, scale}
}

// backwardBound bounds the gradients that a layer gives: of its input, dx, and of
// its parameters, where the input x is off by ex, the output y by ey and the
// output's gradient dy by edy.
func backwardBound(unit float64, l *reference.Layer, n int, x, y []float64, ex, ey float64, dy []float64, edy float64, dx []float64, grads map[net.Role][]float64) (bound, map[net.Role]bound) {
	scale := sizeOf(dx).max
	floor := unit * scale
	sdy := sizeOf(dy)
	positions := n * l.Out.H * l.Out.W
	weight := l.Params[net.Weight]
	params := map[net.Role]bound{}
	if db := grads[net.Bias]; db != nil {
		params[net.Bias] = reduction(unit, positions, db, dy, one, edy, 0)
	}
	switch d := l.Layer.(type) {
	case *net.Conv:
		params[net.Weight] = reduction(unit, positions, grads[net.Weight], x, dy, ex, edy)
		return reduction(unit, l.Out.C*d.Kernel.H*d.Kernel.W, dx, dy, weight, edy, 0), params
	case *net.Dense:
		params[net.Weight] = reduction(unit, positions, grads[net.Weight], x, dy, ex, edy)
		return reduction(unit, l.Out.C, dx, dy, weight, edy, 0), params
	case *net.Pool:
		// So many windows share a value.
		w := l.Window
		overlap := float64(((w.KernelH + w.StrideH - 1) / w.StrideH) * ((w.KernelW + w.StrideW - 1) / w.StrideW))
		b := bound{floor + overlap*(unit*sdy.max+edy), max(scale, sdy.max)}
		if d.PoolMode() == net.L2Pool {
			// dx = x*dy/y: the rounding of y, and the errors of x and y over the
			// least y that is not 0.
			b.err += overlap * sdy.max * unit * math.Sqrt(float64(w.KernelH*w.KernelW))
			if ex > 0 {
				b.err += overlap * 2 * ex * greatestRatio(dy, y)
			}
		}
		return b, params
	case *net.Activation:
		if d.Func == net.Tanh || d.Func == net.Sigmoid {
			// 1-y*y cancels, so that it is off by y's whole error.
			return bound{sdy.max*(4*unit+2*ey) + edy, sdy.max}, params
		}
	case *net.Dropout:
		return bound{floor + edy/(1-d.Rate), scale}, params
	case *net.BatchNorm:
		b := bound{scale: scale}
		m := float64(positions)
		root := math.Sqrt(m)
		var hatErr float64
		for c, s := range channels(l, net.Training, n, x) {
			hat := s.hatErr(unit, ex)
			hatErr = max(hatErr, hat)
			factor := math.Abs(weight[c]) * s.inv
			meanDy, meanDyHat := math.Abs(grads[net.Bias][c])/m, math.Abs(grads[net.Weight][c])/m
			// dx = weight*inv*(dy - mean(dy) - h*mean(dy*h)): the rounding of the two
			// means, the errors of h in both places and of dy, and that of inv.
			inMean := unit*(root*meanDy+sdy.max) + unit*sdy.max
			inHatMean := unit*(root*meanDyHat+sdy.max) + hat*(sdy.max/root+meanDy)
			b.err = max(b.err, factor*(inMean+hat*meanDyHat+s.maxHat*inHatMean+edy*(2+s.maxHat))+unit*root*scale)
			b.scale = max(b.scale, factor*sdy.max)
		}
		// dw = sum of dy*h, where h has a mean square of 1; an error of the mean
		// shifts every h alike and meets the sum of dy.
		dw := sizeOf(grads[net.Weight]).max + root*sdy.rms
		params[net.Weight] = bound{unit*root*dw + hatErr*(root*sdy.rms+sizeOf(grads[net.Bias]).max) + root*edy, dw}
		return b, params
	}
	return bound{floor + edy, scale}, params
}

// greatestRatio returns the greatest |a|/|b| where b is not 0.
func greatestRatio(a, b []float64) float64 {
	var r float64
	for i, v := range b {
		if v != 0 {
			r = max(r, math.Abs(a[i]/v))
		}
	}
	return r
}

// channel is what batch normalisation meets in one channel.
type channel struct {
	count          float64 // values that mean and variance are taken over; 1 in evaluation
	mean, variance float64
	inv            float64 // 1/sqrt(variance+epsilon)
	maxX, maxHat   float64 // of |x| and of the mean, and of |x-mean|*inv
}

// hatErr bounds the error of (x-mean)*inv. Rounding the mean, and x less the
// mean, costs parts of the greatest |x|, however narrowly the values lie about
// it; the variance, taken about the mean, keeps its relative precision. A device
// that takes the variance as a difference of squares fails where the mean is
// much greater than the deviation.
func (s channel) hatErr(unit, ex float64) float64 {
	root := math.Sqrt(s.count)
	return unit*(root*(s.maxX*s.inv+s.maxHat)+2) + ex*s.inv*(2+s.maxHat/root)
}

// channels measures the channels of a batch normalisation's input.
func channels(l *reference.Layer, mode net.Mode, n int, x []float64) []channel {
	_, epsilon := l.Layer.(*net.BatchNorm).Settings()
	area := l.In.H * l.In.W
	list := make([]channel, l.In.C)
	for c := range list {
		s := &list[c]
		each := func(f func(v float64)) {
			for i := range n {
				from := (i*l.In.C + c) * area
				for _, v := range x[from : from+area] {
					f(v)
				}
			}
		}
		if mode == net.Training {
			s.count = float64(n * area)
			each(func(v float64) { s.mean += v / s.count })
			each(func(v float64) { s.variance += (v - s.mean) * (v - s.mean) / s.count })
		} else {
			s.count, s.mean, s.variance = 1, l.Params[net.RunningMean][c], l.Params[net.RunningVar][c]
		}
		s.inv = 1 / math.Sqrt(s.variance+epsilon)
		s.maxX = math.Abs(s.mean)
		each(func(v float64) {
			s.maxX = max(s.maxX, math.Abs(v))
			s.maxHat = max(s.maxHat, math.Abs(v-s.mean)*s.inv)
		})
	}
	return list
}

// lossBounds bounds probabilities, mean loss and the loss's gradient where the
// logits are off by ez.
func lossBounds(unit float64, logits []float64, ez float64, n, classes int, meanLoss float64) (probabilities, loss, gradient bound) {
	root := math.Sqrt(float64(classes))
	// exp(z-max) rounds to a few units; the sum of the exponentials is at least 1.
	p := unit*(8+root) + 2*ez
	greatest := sizeOf(logits).max
	return bound{p, 1},
		bound{p + unit*(4*greatest+math.Sqrt(float64(n))*math.Abs(meanLoss)), max(math.Abs(meanLoss), 1)},
		bound{p / float64(n), 1 / float64(n)}
}

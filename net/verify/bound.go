package verify

import (
	"fmt"
	"math"
	"slices"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// Roundoff is the unit roundoff of float32: the greatest relative error of one rounding.
const Roundoff = 1.0 / (1 << 24)

// safety is the factor between a bound and a tolerance. The bounds take rounding errors as
// independent, so they grow with the square root of the number of roundings (Higham and
// Mary, "A new approach to probabilistic rounding error analysis", 2019). The factor
// covers that theorem's constant, and the different orders in which devices add. A wrong
// formula is off by parts in a thousand or more. For the reductions of common networks,
// the tolerances stay at parts in a hundred thousand.
const safety = 4

// least is added to every tolerance. It is below every number that matters, but lets
// differences between denormal numbers pass: these have few bits, and some devices take
// them as 0.
const least = 1e-37

// bound says how far a float32 computation may be from the exact values. err is the
// greatest absolute error of any value. scale is what the error is compared with: the
// greatest exact value or partial sum.
type bound struct{ err, scale float64 }

// size holds the greatest magnitude and the root mean square of some values.
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

// reduction bounds the error of values, each a sum of length products a*b. A partial sum
// is about as large as the greatest result. If the terms cancel, it is about the root of
// the sum of their squares. Each addition rounds a partial sum. The errors ea and eb of
// the operands are independent and add up accordingly.
func reduction(unit float64, length int, values []float64, a, b size, ea, eb float64) bound {
	root := math.Sqrt(float64(length))
	scale := sizeOf(values).max + root*a.rms*b.rms
	return bound{err: unit*root*scale + root*(ea*b.rms+eb*a.rms), scale: scale}
}

// one stands for the second factor of a plain sum.
var one = size{1, 1}

// sizeOfGroups is sizeOf for the largest group of values. Each of n blocks of values is
// divided into groups of neighbours. A sum within a group depends on that group's values
// only.
func sizeOfGroups(values []float64, n, groups int) size {
	length := len(values) / (n * groups)
	var s size
	for g := range groups {
		squares := 0.0
		for i := range n {
			part := sizeOf(values[(i*groups+g)*length:][:length])
			s.max = max(s.max, part.max)
			squares += part.rms * part.rms / float64(n)
		}
		s.rms = max(s.rms, math.Sqrt(squares))
	}
	return s
}

// forwardBound bounds the error of a layer's output y. Its inputs x have errors up to ex.
func forwardBound(unit float64, l *reference.Layer, mode net.Mode, n int, x [][]float64, ex []float64, y []float64) bound {
	scale := sizeOf(y).max
	floor := unit * scale // every result is rounded once
	e := ex[0]
	switch d := l.Layer.(type) {
	case *net.Conv:
		groups := d.GroupCount()
		length := l.In.C/groups*l.Window.KernelH*l.Window.KernelW + 1
		return reduction(unit, length, y, sizeOfGroups(x[0], n, groups), sizeOfGroups(l.Params[net.Weight], 1, groups), e, 0)
	case *net.Dense:
		return reduction(unit, l.In.C+1, y, sizeOf(x[0]), sizeOf(l.Params[net.Weight]), e, 0)
	case *net.Pool:
		root := math.Sqrt(float64(l.Window.KernelH * l.Window.KernelW))
		switch d.PoolMode() {
		case net.MaxPool:
			return bound{floor + e, scale}
		case net.MeanPool, net.L2Pool:
			scale = max(scale, sizeOf(x[0]).max)
			return bound{unit*root*scale + floor + e, scale}
		}
		panic("BUG: pooling mode " + string(d.PoolMode()))
	case *net.Activation:
		f := function(d)
		scale = max(scale, f.Scale)
		return bound{f.Roundings*unit*scale + f.Steepest*e, scale}
	case *net.Dropout:
		if mode == net.Training {
			e /= 1 - d.Rate
		}
		return bound{floor + e, scale}
	case *net.BatchNorm:
		b := bound{scale: scale}
		for c, s := range channels(l, mode, n, x[0]) {
			weight, bias := math.Abs(l.Params[net.Weight][c]), math.Abs(l.Params[net.Bias][c])
			b.err = max(b.err, weight*s.hatErr(unit, e)+4*unit*(weight*s.maxHat+bias))
		}
		return b
	case *net.Flatten:
		return bound{floor + e, scale}
	case *net.Add:
		b := bound{scale: scale}
		for k, in := range x {
			b.scale = max(b.scale, sizeOf(in).max)
			b.err += ex[k]
		}
		b.err += unit * float64(len(x)-1) * b.scale
		return b
	case *net.Concat:
		return bound{floor + slices.Max(ex), scale}
	case *net.Multiply:
		return bound{floor + sizeOf(x[0]).max*ex[1] + sizeOf(x[1]).max*ex[0], scale}
	case *net.Scale:
		return bound{2*floor + math.Abs(d.Factor)*e, scale} // the factor is rounded too
	}
	panic(fmt.Sprintf("BUG: layer %s is a %T", l.Name, l.Layer))
}

// function returns the bounds of an activation layer's function.
func function(d *net.Activation) net.FunctionBounds {
	f, ok := net.FunctionNamed(d.Func)
	if !ok {
		panic("BUG: no activation function " + string(d.Func))
	}
	return f.Bounds(d.Parameter())
}

// backwardBound bounds the errors of a layer's input gradients dx and of its parameters'
// gradients. The inputs x have errors up to ex, and the gradient dy with respect to the
// output y has errors up to edy.
func backwardBound(unit float64, l *reference.Layer, n int, x [][]float64, y []float64, ex []float64, dy []float64, edy float64, dx [][]float64, grads map[net.Role][]float64) ([]bound, map[net.Role]bound) {
	sdy := sizeOf(dy)
	positions := n * l.Out.H * l.Out.W
	weight := l.Params[net.Weight]
	params := map[net.Role]bound{}
	if db := grads[net.Bias]; db != nil {
		params[net.Bias] = reduction(unit, positions, db, sizeOfGroups(dy, n, l.Out.C), one, edy, 0)
	}
	scale := sizeOf(dx[0]).max
	floor := unit * scale
	only := func(b bound) ([]bound, map[net.Role]bound) { return []bound{b}, params }
	switch d := l.Layer.(type) {
	case *net.Conv:
		groups, area := d.GroupCount(), l.Window.KernelH*l.Window.KernelW
		gdy := sizeOfGroups(dy, n, groups)
		if dw := grads[net.Weight]; dw != nil {
			params[net.Weight] = reduction(unit, positions, dw, sizeOfGroups(x[0], n, groups), gdy, ex[0], edy)
		}
		return only(reduction(unit, l.Out.C/groups*area, dx[0], gdy, sizeOfGroups(weight, 1, groups), edy, 0))
	case *net.Dense:
		if dw := grads[net.Weight]; dw != nil {
			params[net.Weight] = reduction(unit, positions, dw, sizeOf(x[0]), sdy, ex[0], edy)
		}
		return only(reduction(unit, l.Out.C, dx[0], sdy, sizeOf(weight), edy, 0))
	case *net.Pool:
		// At most overlap windows contain a value. Each passes on at most share of its gradient.
		w := l.Window
		overlap := float64(min((w.KernelH+w.StrideH-1)/w.StrideH, w.OutH) * min((w.KernelW+w.StrideW-1)/w.StrideW, w.OutW))
		share := 1.0
		if d.PoolMode() == net.MeanPool {
			share = 1 / float64(fewest(w, l.In))
		}
		b := bound{floor + overlap*share*(unit*sdy.max+edy), max(scale, share*sdy.max)}
		if d.PoolMode() == net.L2Pool {
			// dx = x*dy/y: the rounding of y, and the errors of x and y over the
			// least y that is not 0.
			b.err += overlap * sdy.max * unit * math.Sqrt(float64(w.KernelH*w.KernelW))
			if ex[0] > 0 {
				b.err += overlap * 2 * ex[0] * greatestRatio(dy, y)
			}
		}
		return only(b)
	case *net.Activation:
		f := function(d)
		slope := f.DerivativeRoundings*unit*max(1, f.Steepest) + f.Curvature*ex[0]
		return only(bound{sdy.max*slope + f.Steepest*edy, max(scale, sdy.max)})
	case *net.Dropout:
		return only(bound{floor + edy/(1-d.Rate), scale})
	case *net.BatchNorm:
		b := bound{scale: scale}
		m := float64(positions)
		root := math.Sqrt(m)
		list := channels(l, net.Training, n, x[0])
		if d.Settled() { // dx = weight*inv*dy, where inv takes three roundings
			for c, s := range list {
				factor := math.Abs(weight[c]) * s.inv
				b.err = max(b.err, factor*(6*unit*sdy.max+edy))
				b.scale = max(b.scale, factor*sdy.max)
			}
			return only(b)
		}
		sums := channelSums(l, list, n, x[0], dy)
		var hatErr, maxDw, maxDb float64
		for c, s := range list {
			hat := s.hatErr(unit, ex[0])
			hatErr = max(hatErr, hat)
			factor := math.Abs(weight[c]) * s.inv
			db, dw := math.Abs(sums[c].dy), math.Abs(sums[c].dyHat)
			maxDb, maxDw = max(maxDb, db), max(maxDw, dw)
			meanDy, meanDyHat := db/m, dw/m
			// dx = weight*inv*(dy - mean(dy) - h*mean(dy*h)): the rounding of the two
			// means, the errors of h in both places and of dy, and that of inv.
			inMean := unit*(root*meanDy+sdy.max) + unit*sdy.max
			inHatMean := unit*(root*meanDyHat+sdy.max) + hat*(sdy.max/root+meanDy)
			b.err = max(b.err, factor*(inMean+hat*meanDyHat+s.maxHat*inHatMean+edy*(2+s.maxHat))+unit*root*scale)
			b.scale = max(b.scale, factor*sdy.max)
		}
		if grads[net.Weight] != nil {
			// dw = sum of dy*h, where h has a mean square of 1. An error of the mean shifts
			// every h by the same amount, so it is multiplied by the sum of dy.
			dw := maxDw + root*sdy.rms
			params[net.Weight] = bound{unit*root*dw + hatErr*(root*sdy.rms+maxDb) + root*edy, dw}
		}
		return only(b)
	case *net.Flatten:
		return only(bound{floor + edy, scale})
	case *net.Add, *net.Concat:
		var list []bound
		for _, v := range dx {
			s := sizeOf(v).max
			list = append(list, bound{unit*s + edy, s})
		}
		return list, params
	case *net.Multiply:
		times := bound{floor + sdy.max*ex[1] + sizeOf(x[1]).max*edy, scale}
		if l.Ins[1] != l.Ins[0] { // a gate: a sum over each channel of a sample
			planes := n * l.In.C
			return []bound{times, reduction(unit, l.In.H*l.In.W, dx[1], sizeOfGroups(dy, 1, planes), sizeOfGroups(x[0], 1, planes), edy, ex[0])}, params
		}
		other := sizeOf(dx[1]).max
		return []bound{times, {unit*other + sdy.max*ex[0] + sizeOf(x[0]).max*edy, other}}, params
	case *net.Scale:
		return only(bound{2*floor + math.Abs(d.Factor)*edy, scale})
	}
	panic(fmt.Sprintf("BUG: layer %s is a %T", l.Name, l.Layer))
}

// sumBound bounds the sum of a value's gradients, one for each use. sum is the sum up to
// now. b is the bound without the last gradient, and next the bound of that gradient.
func sumBound(unit float64, sum []float64, b, next bound) bound {
	scale := max(sizeOf(sum).max, b.scale, next.scale)
	return bound{b.err + next.err + unit*scale, scale}
}

// fewest returns the fewest values that a window sees.
func fewest(w net.Window, in net.Shape) int {
	least := func(out, stride, before, kernel, size int) int {
		few := kernel
		for o := range out {
			from := o*stride - before
			few = min(few, min(from+kernel, size)-max(from, 0))
		}
		return max(few, 1)
	}
	return least(w.OutH, w.StrideH, w.Top, w.KernelH, in.H) * least(w.OutW, w.StrideW, w.Left, w.KernelW, in.W)
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

// channel holds the figures of one channel for batch normalisation.
type channel struct {
	count          float64 // values that mean and variance are taken over; 1 for running statistics
	mean, variance float64
	inv            float64 // 1/sqrt(variance+epsilon)
	maxX, maxHat   float64 // of |x| and of the mean, and of |x-mean|*inv
}

// hatErr bounds the error of (x-mean)*inv. The rounding of the mean, and of x-mean, is
// relative to the greatest |x|, even if all values are close to the mean. The variance is
// computed from x-mean, so it keeps its relative precision. A device that computes the
// variance as a difference of squares fails if the mean is much greater than the
// deviation.
func (s channel) hatErr(unit, ex float64) float64 {
	root := math.Sqrt(s.count)
	return unit*(root*(s.maxX*s.inv+s.maxHat)+2) + ex*s.inv*(2+s.maxHat/root)
}

// channels measures the channels of a batch normalisation's input.
func channels(l *reference.Layer, mode net.Mode, n int, x []float64) []channel {
	layer := l.Layer.(*net.BatchNorm)
	_, epsilon := layer.Settings()
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
		if mode == net.Training && !layer.Settled() {
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

// channelSum holds a channel's sums of dy and of dy*(x-mean)*inv. They are the gradients
// of batch normalisation's bias and weight. They exist even if these are frozen.
type channelSum struct{ dy, dyHat float64 }

func channelSums(l *reference.Layer, list []channel, n int, x, dy []float64) []channelSum {
	area := l.In.H * l.In.W
	sums := make([]channelSum, l.In.C)
	for c, s := range list {
		for i := range n {
			from := (i*l.In.C + c) * area
			for k, g := range dy[from : from+area] {
				sums[c].dy += g
				sums[c].dyHat += g * (x[from+k] - s.mean) * s.inv
			}
		}
	}
	return sums
}

// lossBounds bounds the errors of probabilities, mean loss and the loss's gradient. The
// logits have errors up to ez. The weight of a sample's loss is at most weight.
func lossBounds(unit float64, logits []float64, ez float64, n, classes int, meanLoss, weight float64) (probabilities, loss, gradient bound) {
	root := math.Sqrt(float64(classes))
	// exp(z-max) rounds to a few units; the sum of the exponentials is at least 1.
	p := unit*(8+root) + 2*ez
	greatest := sizeOf(logits).max
	return bound{p, 1},
		bound{weight*(p+unit*4*greatest) + unit*math.Sqrt(float64(n))*math.Abs(meanLoss), max(math.Abs(meanLoss), 1)},
		bound{weight * p / float64(n), weight / float64(n)}
}

// greatestSum returns the greatest sum of a sample's targets.
func greatestSum(targets []float64, classes int) float64 {
	greatest := 0.0
	for q := range slices.Chunk(targets, classes) {
		sum := 0.0
		for _, v := range q {
			sum += v
		}
		greatest = max(greatest, sum)
	}
	return greatest
}

// inputError bounds the error of the input that a device computes from a batch's views. A
// view that only mirrors or moves by whole pixels is exact.
func inputError(unit float64, b net.Batch, in net.Shape) float64 {
	worst := 0.0
	for i, v := range b.Views {
		e, most := transformError(unit, b.Data, b.Indices[i], v.Transform, in)
		if v.Partner >= 0 {
			other, otherMost := transformError(unit, b.Data, v.Partner, v.Other, in)
			e, most = max(e, other), max(most, otherMost)
			if v.Box.Empty() {
				e += 3 * unit * most
			}
		}
		worst = max(worst, e)
	}
	return worst
}

// transformError bounds the error of a transformed sample. most bounds its values.
func transformError(unit float64, d *net.Dataset, sample int32, t net.Transform, in net.Shape) (err, most float64) {
	picture := make([]float32, d.Shape.Size())
	d.Gather(picture, []int32{sample})
	low, high := 0.0, 0.0
	for _, v := range picture {
		low, high = min(low, float64(v)), max(high, float64(v))
	}
	most = max(high, -low)
	whole := true
	for _, v := range t.Matrix {
		whole = whole && v == float32(math.Trunc(float64(v)))
	}
	if !whole {
		// A place between pixels has an error of up to four roundings of its terms. From one
		// pixel to the next, a value changes by at most the range of all values. The weights
		// and products are rounded too.
		reach := func(m []float32) float64 {
			return math.Abs(float64(m[0]))*float64(in.W) + math.Abs(float64(m[1]))*float64(in.H) + math.Abs(float64(m[2]))
		}
		off := 4 * unit * (reach(t.Matrix[:3]) + reach(t.Matrix[3:]))
		err = min(1, off)*(high-low) + 8*unit*most
	}
	if t.Colour != [12]float32{} {
		gain, shift := 0.0, 0.0
		for row := range slices.Chunk(t.Colour[:], 4) {
			gain = max(gain, math.Abs(float64(row[0]))+math.Abs(float64(row[1]))+math.Abs(float64(row[2])))
			shift = max(shift, math.Abs(float64(row[3])))
		}
		err = min(1, gain*err+4*unit*(gain*most+shift))
		most = 1
	}
	return err, most
}

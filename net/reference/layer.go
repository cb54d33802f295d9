package reference

import (
	"fmt"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// Layer is one planned layer with its parameters. Values are in NCHW order. For n samples,
// input k has n*Ins[k].Size() values and the output n*Out.Size().
type Layer struct {
	net.Node
	// Params holds the values of the layer's parameters and running statistics, in the
	// order of Param.Dims. Forward and Backward only read it. It is nil for a layer without
	// parameters.
	Params map[net.Role][]float64
	// Seed decides which values dropout keeps.
	Seed uint64

	// What Backward needs from the last Forward. x is nil unless that was in Training mode.
	x     [][]float64
	n     int
	place Place
}

// Place is the place of a batch in a run. Dropout depends on it.
type Place struct {
	Step  int64 // number of updates made before
	First int   // number of the update's samples before this batch, see [net.Share]
}

// Forward returns the output for n samples as a new slice. x has a slice for each of the
// layer's inputs. In Training mode the layer keeps these slices for Backward, so their
// values must not change until then. Forward does not change running statistics: see
// [Layer.RunningStatistics].
func (l *Layer) Forward(x [][]float64, n int, mode net.Mode, place Place) []float64 {
	if len(x) != len(l.Ins) {
		panic(fmt.Sprintf("BUG: layer %s got %d inputs, takes %d", l.Name, len(x), len(l.Ins)))
	}
	for k, in := range x {
		if len(in) != n*l.Ins[k].Size() {
			panic(fmt.Sprintf("BUG: layer %s got %d values for %d samples of %v", l.Name, len(in), n, l.Ins[k]))
		}
	}
	l.x, l.n, l.place = nil, n, place
	if mode == net.Training {
		l.x = x
	}
	weight, bias := l.Params[net.Weight], l.Params[net.Bias]
	switch d := l.Layer.(type) {
	case *net.Conv:
		return convForward(l.Window, l.In, l.Out, d.GroupCount(), weight, bias, x[0], n)
	case *net.Pool:
		return poolForward(d.PoolMode(), l.Window, l.In, l.Out, x[0], n)
	case *net.Activation:
		return activationForward(d, x[0])
	case *net.Dropout:
		if mode == net.Evaluation {
			return slices.Clone(x[0])
		}
		return l.dropout(d.Rate, x[0])
	case *net.BatchNorm:
		mean, variance := l.Params[net.RunningMean], l.Params[net.RunningVar]
		if mode == net.Training && !d.Settled() {
			mean, variance = channelStatistics(l.In, x[0], n)
		}
		_, epsilon := d.Settings()
		return batchNormForward(l.In, weight, bias, mean, variance, epsilon, x[0], n)
	case *net.Flatten:
		return slices.Clone(x[0])
	case *net.Dense:
		return denseForward(l.In.C, l.Out.C, weight, bias, x[0], n)
	case *net.Add:
		return addForward(x)
	case *net.Concat:
		return concatForward(l.Ins, l.Out, x, n)
	case *net.Multiply:
		return multiplyForward(l.Ins, x, n)
	case *net.Scale:
		return scale(d.Factor, x[0])
	}
	panic(fmt.Sprintf("BUG: layer %s is a %T", l.Name, l.Layer))
}

// Backward returns the gradients with respect to the inputs of the last Forward, which
// must have been in Training mode, and with respect to every trained parameter. dy is the
// gradient with respect to the output. The results are new slices.
func (l *Layer) Backward(dy []float64) (dx [][]float64, grads map[net.Role][]float64) {
	l.checkForward()
	if len(dy) != l.n*l.Out.Size() {
		panic(fmt.Sprintf("BUG: layer %s got %d gradients for %d samples of %v", l.Name, len(dy), l.n, l.Out))
	}
	weight := l.Params[net.Weight]
	x := l.x[0]
	var d0, dw, db []float64
	switch d := l.Layer.(type) {
	case *net.Conv:
		d0, dw, db = convBackward(l.Window, l.In, l.Out, d.GroupCount(), weight, x, dy, l.n)
	case *net.Pool:
		d0 = poolBackward(d.PoolMode(), l.Window, l.In, l.Out, x, dy, l.n)
	case *net.Activation:
		d0 = activationBackward(d, x, dy)
	case *net.Dropout:
		// Dropout multiplies each value by 0 or a constant, and so its gradient.
		d0 = l.dropout(d.Rate, dy)
	case *net.BatchNorm:
		_, epsilon := d.Settings()
		if d.Settled() {
			d0 = settledNormBackward(l.In, weight, l.Params[net.RunningVar], epsilon, dy, l.n)
		} else {
			d0, dw, db = batchNormBackward(l.In, weight, epsilon, x, dy, l.n)
		}
	case *net.Flatten:
		d0 = slices.Clone(dy)
	case *net.Dense:
		d0, dw, db = denseBackward(l.In.C, l.Out.C, weight, x, dy, l.n)
	case *net.Add:
		dx = addBackward(len(l.x), dy)
	case *net.Concat:
		dx = concatBackward(l.Ins, l.Out, dy, l.n)
	case *net.Multiply:
		dx = multiplyBackward(l.Ins, l.x, dy, l.n)
	case *net.Scale:
		d0 = scale(d.Factor, dy)
	default:
		panic(fmt.Sprintf("BUG: layer %s is a %T", l.Name, l.Layer))
	}
	if dx == nil {
		dx = [][]float64{d0}
	}
	grads = map[net.Role][]float64{}
	for _, p := range l.Node.Params {
		switch {
		case !p.Trained:
		case p.Role == net.Weight:
			grads[net.Weight] = dw
		case p.Role == net.Bias:
			grads[net.Bias] = db
		}
	}
	return dx, grads
}

// checkForward panics unless the last Forward was in Training mode.
func (l *Layer) checkForward() {
	if l.x == nil {
		panic(fmt.Sprintf("BUG: layer %s has not been run forward in training mode", l.Name))
	}
}

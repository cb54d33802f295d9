package reference

import (
	"fmt"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// Layer is one planned layer with its parameters. Values stand in NCHW order:
// a batch of n samples has n*Ins[k].Size() values of input k before and
// n*Out.Size() after the layer. The zero Params fit a layer that has none.
type Layer struct {
	net.Node
	// Params holds the layer's parameters in the order of Param.Dims, running
	// statistics too. Forward and Backward only read it.
	Params map[net.Role][]float64
	// Seed decides what dropout keeps.
	Seed uint64

	// What Backward needs of the last Forward in training mode; x is nil without.
	x     [][]float64
	n     int
	place Place
}

// Place says where a batch stands in a run: dropout draws from it.
type Place struct {
	Step  int64 // updates made before
	First int   // samples of the update before this batch, see [net.Share]
}

// Forward returns the output for n samples as a new slice. x has a slice for each of
// the layer's inputs. In Training mode the layer keeps these for Backward, so they
// must not change before. Running statistics stay as they are: see
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
		if mode == net.Training {
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

// Backward takes the gradient dy of the loss with respect to the output of the
// last Forward, which was in Training mode, and returns as new slices the
// gradients with respect to its inputs and to every trained parameter.
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
		d0, dw, db = batchNormBackward(l.In, weight, epsilon, x, dy, l.n)
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

// checkForward panics where the last Forward, if any, kept nothing.
func (l *Layer) checkForward() {
	if l.x == nil {
		panic(fmt.Sprintf("BUG: layer %s has not been run forward in training mode", l.Name))
	}
}

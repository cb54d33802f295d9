package reference

import (
	"fmt"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// Layer is one planned layer with its parameters. Values stand in NCHW order:
// a batch of n samples has n*In.Size() values before and n*Out.Size() after the
// layer. The zero Params fit a layer that has none.
type Layer struct {
	net.PlannedLayer
	// Params holds the layer's parameters in the order of Param.Dims, running
	// statistics too. Forward and Backward only read it.
	Params map[net.Role][]float64
	// Seed decides what dropout keeps.
	Seed uint64

	// What Backward needs of the last Forward in training mode; x is nil without.
	x    []float64
	n    int
	step int64
}

// Forward returns the output of n samples x as a new slice. step is the number
// of updates made before, which dropout draws from. In Training mode it keeps x,
// unchanged until then, for Backward. It moves no running statistics: see
// [Layer.RunningStatistics].
func (l *Layer) Forward(x []float64, n int, mode net.Mode, step int64) []float64 {
	if len(x) != n*l.In.Size() {
		panic(fmt.Sprintf("BUG: layer %s got %d values for %d samples of %v", l.Name, len(x), n, l.In))
	}
	l.x, l.n, l.step = nil, n, step
	if mode == net.Training {
		l.x = x
	}
	weight, bias := l.Params[net.Weight], l.Params[net.Bias]
	switch d := l.Layer.(type) {
	case *net.Conv:
		return convForward(l.Window, l.In, l.Out, weight, bias, x, n)
	case *net.Pool:
		return poolForward(d.PoolMode(), l.Window, l.In, l.Out, x, n)
	case *net.Activation:
		return activationForward(d, x)
	case *net.Dropout:
		if mode == net.Evaluation {
			return slices.Clone(x)
		}
		return dropout(l.Seed, l.Index, step, d.Rate, x)
	case *net.BatchNorm:
		mean, variance := l.Params[net.RunningMean], l.Params[net.RunningVar]
		if mode == net.Training {
			mean, variance = channelStatistics(l.In, x, n)
		}
		_, epsilon := d.Settings()
		return batchNormForward(l.In, weight, bias, mean, variance, epsilon, x, n)
	case *net.Flatten:
		return slices.Clone(x)
	case *net.Dense:
		return denseForward(l.In.C, l.Out.C, weight, bias, x, n)
	}
	panic(fmt.Sprintf("BUG: layer %s is a %T", l.Name, l.Layer))
}

// Backward takes the gradient dy of the loss with respect to the output of the
// last Forward, which was in Training mode, and returns as new slices the
// gradients with respect to its input and to every trained parameter.
func (l *Layer) Backward(dy []float64) (dx []float64, grads map[net.Role][]float64) {
	l.checkForward()
	if len(dy) != l.n*l.Out.Size() {
		panic(fmt.Sprintf("BUG: layer %s got %d gradients for %d samples of %v", l.Name, len(dy), l.n, l.Out))
	}
	weight := l.Params[net.Weight]
	var dw, db []float64
	switch d := l.Layer.(type) {
	case *net.Conv:
		dx, dw, db = convBackward(l.Window, l.In, l.Out, weight, l.x, dy, l.n)
	case *net.Pool:
		dx = poolBackward(d.PoolMode(), l.Window, l.In, l.Out, l.x, dy, l.n)
	case *net.Activation:
		dx = activationBackward(d, l.x, dy)
	case *net.Dropout:
		// Dropout multiplies each value by 0 or a constant, and so its gradient.
		dx = dropout(l.Seed, l.Index, l.step, d.Rate, dy)
	case *net.BatchNorm:
		_, epsilon := d.Settings()
		dx, dw, db = batchNormBackward(l.In, weight, epsilon, l.x, dy, l.n)
	case *net.Flatten:
		dx = slices.Clone(dy)
	case *net.Dense:
		dx, dw, db = denseBackward(l.In.C, l.Out.C, weight, l.x, dy, l.n)
	}
	grads = map[net.Role][]float64{}
	for _, p := range l.PlannedLayer.Params {
		switch p.Role {
		case net.Weight:
			grads[net.Weight] = dw
		case net.Bias:
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

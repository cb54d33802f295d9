package cpu

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// activation is an activation layer that is not part of the operation before it.
// Its gradient is computed from its output.
type activation struct {
	layer   *net.Activation
	in, out *activations
}

func (op *activation) forward(w *worker, n int) {
	x, y := op.in.values(n), op.out.values(n)
	switch op.layer.Func {
	case net.ReLU:
		copy(y, x)
		w.kernel.AddBiasReLU(y, 0)
	case net.LeakyReLU:
		slope := float32(op.layer.LeakySlope())
		for i, v := range x {
			if v <= 0 {
				v *= slope
			}
			y[i] = v
		}
	case net.Tanh:
		for i, v := range x {
			y[i] = float32(math.Tanh(float64(v)))
		}
	case net.Sigmoid:
		for i, v := range x {
			y[i] = float32(1 / (1 + math.Exp(-float64(v))))
		}
	}
}

func (op *activation) backward(w *worker, n int, dx bool) {
	if !dx {
		return
	}
	y, gx, gy := op.out.values(n), op.in.grads(n), op.out.grads(n)
	switch op.layer.Func {
	case net.ReLU:
		w.kernel.ReLUBackward(gx, gy, y)
	case net.LeakyReLU:
		slope := float32(op.layer.LeakySlope())
		for i, g := range gy {
			// The input, not the output: a slope of 1e-30 may underflow.
			if op.in.values(n)[i] <= 0 {
				g *= slope
			}
			gx[i] = g
		}
	case net.Tanh:
		for i, g := range gy {
			gx[i] = g * (1 - y[i]) * (1 + y[i])
		}
	case net.Sigmoid:
		for i, g := range gy {
			gx[i] = g * y[i] * (1 - y[i])
		}
	}
}

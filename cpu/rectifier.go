package cpu

import (
	"math"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// rectifier is a ReLU or a ReLU6 that belongs to an operation before it, or none: what is
// below 0 becomes 0, and what is above the upper bound becomes the upper bound.
type rectifier struct {
	is    bool
	upper float32
}

// rectifierOf returns the rectifier of an activation layer.
func rectifierOf(node net.Node) rectifier {
	if node.Layer.(*net.Activation).Func == net.ReLU6 {
		return rectifier{true, 6}
	}
	return rectifier{true, float32(math.Inf(1))}
}

// six reports whether it is a ReLU6.
func (r rectifier) six() bool { return r.is && r.upper == 6 }

// convolution says the same to a kernel of convolutions.
func (r rectifier) convolution() asm.Convolution {
	switch {
	case r.six():
		return asm.ConvolveReLU | asm.ConvolveReLU6
	case r.is:
		return asm.ConvolveReLU
	}
	return 0
}

// backward sets a gradient to 0 where the rectifier, whose output is y, lets none through.
func (r rectifier) backward(ks *asm.Kernels, dy, y []float32) {
	switch {
	case r.six():
		ks.Activation(string(net.ReLU6)).Backward(dy, dy, y, 0, false)
	case r.is:
		ks.ReLUBackward(dy, dy, y)
	}
}

// of replaces values by what the rectifier makes of them.
func (r rectifier) of(ks *asm.Kernels, values []float32) {
	switch {
	case r.six():
		ks.Activation(string(net.ReLU6)).Forward(values, values, 0)
	case r.is:
		ks.AddBiasReLU(values, 0)
	}
}

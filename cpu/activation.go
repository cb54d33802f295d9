package cpu

import (
	"fmt"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// activation is an activation layer that is not part of the operation before it.
type activation struct {
	kernel    *asm.Activation
	parameter float32 // the function's parameter
	in        operand
	out       *activations
}

func newActivation(ks *asm.Kernels, layer *net.Activation, in operand, out *activations) *activation {
	kernel := ks.Activation(string(layer.Func))
	if kernel == nil {
		panic(fmt.Sprintf("BUG: no kernel for the activation function %s", layer.Func))
	}
	return &activation{kernel, float32(layer.Parameter()), in, out}
}

func (op *activation) forward(w *worker, n int) {
	op.kernel.Forward(op.out.at(w, n), op.in.at(w, n), op.parameter)
}

func (op *activation) backward(_ *worker, n int) {
	if !op.in.wanted {
		return
	}
	of := op.in.values(n)
	if op.kernel.FromOutput {
		of = op.out.values(n)
	}
	op.kernel.Backward(op.in.grads(n), op.out.grads(n), of, op.parameter, op.in.adds)
}

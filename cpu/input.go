package cpu

import "github.com/gputrain/gputrain/cpu/asm"

// input gathers samples from the data set.
type input struct {
	pass    *pass
	kernels *asm.Kernels
	out     *activations
}

func (op *input) forward(_ *worker, n int) {
	data, dst := op.pass.Data, op.out.values(n)
	at := int(op.pass.Indices[n]) * op.out.size
	if data.Values != nil {
		copy(dst, data.Values[at:at+op.out.size])
		return
	}
	op.kernels.ScaleBytes(dst, data.Pixels[at:at+op.out.size], data.Scale)
}

func (op *input) backward(*worker, int) {
	panic("BUG: a gradient with respect to the data was asked for")
}

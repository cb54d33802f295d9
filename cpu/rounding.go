package cpu

import "github.com/gputrain/gputrain/net/quantize"

// rounding rounds values to what eight bits stand for.
type rounding struct {
	scale quantize.Scale
	in    operand
	out   *activations
}

func (op *rounding) forward(w *worker, n int) {
	// Float32 has no fractions from magic on, so a sum with it is rounded.
	const magic = 3 << 22
	step, zero := op.scale.Step, float32(op.scale.Zero)
	least, most := quantize.Least-zero, quantize.Most-zero
	x, y := op.in.at(w, n), op.out.at(w, n)
	y = y[:len(x)]
	for i, v := range x {
		v = min(max(v/step, least), most)
		v = float32(v + magic) // the conversion keeps a compiler from computing exactly
		y[i] = float32(v-magic) * step
	}
}

func (op *rounding) backward(*worker, int) { panic("BUG: what is rounded has no gradients") }

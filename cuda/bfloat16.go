//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/kernels"
)

// In the precision BF16 the factors of products are rounded to bfloat16. The products that cuDNN computes are bfloat16
// too, and are widened to float32. Everything else stays float32. In other precisions the factors are the float32
// values themselves, and nothing in this file does anything.

// bfloat16 is cuDNN's tensor type for it, which gorgonia.org/cu/dnn doesn't name.
const bfloat16 = cudnn.DataType(dnnBFloat16)

// bf16 reports whether factors are rounded to bfloat16.
func (d *Device) bf16() bool { return d.Precision() == BF16 }

// factorType returns the type of a convolution's factors and products in cuDNN, and its size in bytes.
func (d *Device) factorType() (t cudnn.DataType, bytes int64) {
	if d.bf16() {
		return bfloat16, 2
	}
	return cudnn.Float, 4
}

// newRounded makes a slot for count bfloat16 values that live from position first to position last.
func newRounded(count int64, first, last int) slot {
	return slot{value: value{bytes: 2 * count, first: first, last: last}}
}

// rounded returns a buffer's address as kernels take it.
func rounded(b Buffer) kernels.Pointer[kernels.BFloat16] {
	return kernels.Pointer[kernels.BFloat16](b.Address)
}

// operand returns what a product reads or writes: the bfloat16 slot in BF16, otherwise the float32 buffer itself.
func (l *link) operand(b Buffer, s *slot) Buffer {
	if l.program.device.bf16() {
		return s.Buffer
	}
	return b
}

// round rounds count values of b to bfloat16 and writes them to s. It does nothing in other precisions.
func (l *link) round(b Buffer, s *slot, count uint64) error {
	if !l.program.device.bf16() {
		return nil
	}
	return l.launch(kernels.ToBF16{Y: rounded(s.Buffer), X: floats(b), Count: count})
}

// widen turns the count bfloat16 products in s into float32 and writes them to b, or adds them to b where add is not
// 0. It does nothing in other precisions.
func (l *link) widen(b Buffer, s *slot, count uint64, add int32) error {
	if !l.program.device.bf16() {
		return nil
	}
	return l.launch(kernels.FromBF16{Y: floats(b), X: rounded(s.Buffer), Count: uint32(count), Channels: 1, Extent: 1, Add: add})
}

// roundFrozen rounds the frozen weights to bfloat16. They change only with a new state, or when they are exchanged
// with their averages.
func (p *program) roundFrozen() error { return p.roundPart(p.flat.count, p.flat.all) }

// roundWeights rounds all trained weights to bfloat16. It is due whenever they have changed.
func (p *program) roundWeights() error { return p.roundPart(0, p.flat.count) }

func (p *program) roundPart(from, to int64) error {
	if !p.device.bf16() || from == to {
		return nil
	}
	return p.device.launch(kernels.ToBF16{Y: rounded(p.flat.rounded.part(2*from, 2*(to-from))), X: floats(p.flat.values.part(4*from, 4*(to-from))),
		Count: uint64(to - from)})
}

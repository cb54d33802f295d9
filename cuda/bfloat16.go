//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/kernels"
)

// In bfloat16, what is multiplied is rounded first, and what cuDNN computes of it comes back rounded too. Everything else
// stays float32. In other precisions the values themselves are multiplied, and nothing here does anything.

// bfloat16 is a type of tensors that gorgonia.org/cu/dnn doesn't name.
const bfloat16 = cudnn.DataType(dnnBFloat16)

// bf16 reports whether factors are rounded to bfloat16.
func (d *Device) bf16() bool { return d.Precision() == BF16 }

// factorType is the type of what convolutions multiply and of their products.
func (d *Device) factorType() (t cudnn.DataType, bytes int64) {
	if d.bf16() {
		return bfloat16, 2
	}
	return cudnn.Float, 4
}

// newRounded makes a slot for count bfloat16 that lives from first to last.
func newRounded(count int64, first, last int) slot {
	return slot{value: value{bytes: 2 * count, first: first, last: last}}
}

// rounded is a buffer's address, for a kernel.
func rounded(b Buffer) kernels.Pointer[kernels.BFloat16] {
	return kernels.Pointer[kernels.BFloat16](b.Address)
}

// operand is what a product reads or writes in place of a buffer of float32: the slot in bfloat16, else the buffer itself.
func (l *link) operand(b Buffer, s *slot) Buffer {
	if l.program.device.bf16() {
		return s.Buffer
	}
	return b
}

// round makes the operand of count values that are to be multiplied.
func (l *link) round(b Buffer, s *slot, count uint64) error {
	if !l.program.device.bf16() {
		return nil
	}
	return l.launch(kernels.ToBF16{Y: rounded(s.Buffer), X: floats(b), Count: count})
}

// widen makes the values of the operand that holds count products, or adds them to what is there.
func (l *link) widen(b Buffer, s *slot, count uint64, add int32) error {
	if !l.program.device.bf16() {
		return nil
	}
	return l.launch(kernels.FromBF16{Y: floats(b), X: rounded(s.Buffer), Count: uint32(count), Channels: 1, Extent: 1, Add: add})
}

// roundFrozen makes the factors of frozen weights, which only a new state changes, or the averages in their place.
func (p *program) roundFrozen() error { return p.roundPart(p.flat.count, p.flat.all) }

// roundWeights makes the factors of all trained weights. It is due whenever they have changed.
func (p *program) roundWeights() error { return p.roundPart(0, p.flat.count) }

func (p *program) roundPart(from, to int64) error {
	if !p.device.bf16() || from == to {
		return nil
	}
	return p.device.launch(kernels.ToBF16{Y: rounded(p.flat.rounded.part(2*from, 2*(to-from))), X: floats(p.flat.values.part(4*from, 4*(to-from))),
		Count: uint64(to - from)})
}

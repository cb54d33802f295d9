package kernels

import "math"

// BFloat16 is the upper half of a float32: its sign, its exponent and seven bits of its mantissa.
type BFloat16 uint16

// Float32 returns the value as float32.
func (b BFloat16) Float32() float32 { return math.Float32frombits(uint32(b) << 16) }

// ToBF16 rounds Count values to bfloat16: to the nearest, and halfway cases to even. A NaN stays a NaN.
//
// It moves 6 bytes a value. Where X is aligned to 16 bytes and Y to 8, it moves four values at a time.
type ToBF16 struct {
	Y     Pointer[BFloat16] // must not overlap X
	X     Pointer[float32]
	Count uint64
}

var toBF16 = newKernel("to_bf16", 256, ToBF16{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ToBF16) Launch(d Device) (Launch, error) {
	return newLaunch(toBF16, d, quads(k.Count), k)
}

// FromBF16 turns Count values into float32. Where Add is not 0, it adds them to Y.
//
// It moves 6 bytes a value, as ToBF16 does.
type FromBF16 struct {
	Y     Pointer[float32] // must not overlap X
	X     Pointer[BFloat16]
	Count uint64
	Add   int32
}

var fromBF16 = newKernel("from_bf16", 256, FromBF16{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k FromBF16) Launch(d Device) (Launch, error) {
	return newLaunch(fromBF16, d, quads(k.Count), k)
}

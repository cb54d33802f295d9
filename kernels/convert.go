package kernels

// BFloat16 is the upper half of a float32: its sign, its exponent and seven bits of its mantissa.
type BFloat16 uint16

// ToBF16 rounds Count values to bfloat16: to the nearest, of two equally near ones to the even one. A NaN stays one.
//
// It moves 6 bytes a value, by 24 at a time where X is aligned to 16 bytes and Y to 8.
type ToBF16 struct {
	Y     Pointer[BFloat16] // none of it in X
	X     Pointer[float32]
	Count uint64
}

var toBF16 = newKernel("to_bf16", 256, ToBF16{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ToBF16) Launch(d Device) (Launch, error) {
	return newLaunch(toBF16, d, quads(k.Count), k)
}

// FromBF16 widens Count values, Extent to a channel. With a Bias it adds Bias[channel], and with Relu not 0 everything
// below 0 becomes 0; a NaN stays one. Where Add is not 0 the values are added to Y.
//
// It moves 6 bytes a value, as ToBF16 does.
type FromBF16 struct {
	Y        Pointer[float32] // none of it in X
	X        Pointer[BFloat16]
	Bias     Optional[float32] // Channels values
	Count    uint32            // at most 2^31
	Channels uint32            // at least 1
	Extent   uint32            // at least 1
	Relu     int32
	Add      int32
}

var fromBF16 = newKernel("from_bf16", 256, FromBF16{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k FromBF16) Launch(d Device) (Launch, error) {
	return newChannelwise(fromBF16, d, k, k.Count, k.Channels, k.Extent)
}

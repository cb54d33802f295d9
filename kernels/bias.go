package kernels

import (
	"fmt"
	"math/bits"
)

// BiasAdd adds a bias to every channel, in place: y[n][c][i] += bias[c]. For NCHW, I is H*W; for the output of a dense
// layer, C its units and I = 1.
//
// It moves 8*N*C*I bytes, by 16 at a time at any alignment of Y and any I.
type BiasAdd struct {
	Y    Pointer[float32] // N*C*I values
	Bias Pointer[float32] // C values, none of them in Y
	N    uint64
	C, I uint32 // at most 2^31
}

var biasAdd = newKernel("bias_add", 256, BiasAdd{})

// Launch makes the launch for a device. It fails for a null or misaligned pointer, an extent of 0 or over 2^31, more
// than 2^61 values and a device without multiprocessors.
func (b BiasAdd) Launch(d Device) (Launch, error) {
	const most = 1 << 31
	if b.N < 1 || b.C < 1 || b.I < 1 || b.C > most || b.I > most {
		return Launch{}, fmt.Errorf("kernels: bias_add: extents %d x %d x %d: want 1 or more, C and I at most %d", b.N, b.C,
			b.I, most)
	}
	over, total := bits.Mul64(b.N, uint64(b.C)*uint64(b.I))
	if over != 0 || total > 1<<61 {
		return Launch{}, fmt.Errorf("kernels: bias_add: %d x %d x %d values are more than there can be", b.N, b.C, b.I)
	}
	const perThread = 4 // a float4
	return newLaunch(biasAdd, d, (total+perThread-1)/perThread, b)
}

package cuda

import (
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// Form says how the values between a network's operations lie in device memory. Weights, statistics and everything else
// are float32. It is the same in every build, as [Fuser] is.
type Form struct {
	Type kernels.Type
	Last bool // (N, H, W, C), channels last; otherwise (N, C, H, W)
}

// FormOf returns the form that a device uses in a precision. channelsLast is that of [Options]. Tensor cores take bfloat16
// with channels last. For float32, NVIDIA found cuDNN's kernels for (N, C, H, W) to be faster in some cases
// (tensorflow/tensorflow#56744).
func FormOf(p Precision, channelsLast bool) Form {
	if p == BF16 {
		return Form{kernels.BF16, true}
	}
	return Form{kernels.Float32, channelsLast}
}

// rows returns n samples of a shape as kernels see them that work on channels, (batch, s.C, extent): the batch and the
// extent.
func (f Form) rows(n int, s net.Shape) (batch, extent uint32) {
	if f.Last {
		return uint32(n * s.H * s.W), 1
	}
	return uint32(n), uint32(s.H * s.W)
}

// Parts returns into how many parts kernels divide a reduction by channel of n samples of a shape.
func (f Form) Parts(n int, s net.Shape) uint32 {
	batch, extent := f.rows(n, s)
	return kernels.ReductionParts(batch, uint32(s.C), extent)
}

// Ordered reports whether values that lie as one shape are in the order of (N, C, H, W) too.
func (f Form) Ordered(lies net.Shape) bool { return !f.Last || lies.C == 1 || lies.H*lies.W == 1 }

// PoolsInCuDNN reports whether cuDNN computes a pooling layer with this window. Otherwise our own kernels do. cuDNN wants
// padding that is smaller than the window. Its own formula for the output's size assumes equal padding at both ends.
func (f Form) PoolsInCuDNN(w net.Window, mode net.PoolMode) bool {
	symmetric := w.Top == w.Bottom && w.Left == w.Right && w.Top < w.KernelH && w.Left < w.KernelW
	return symmetric && mode != net.L2Pool && !f.Last
}

// ActivatesInCuDNN reports whether cuDNN computes an activation layer with this function. For bfloat16 our own kernels
// compute every function.
func (f Form) ActivatesInCuDNN(function kernels.ActivationFunction) bool {
	return function.InCuDNN && f.Type == kernels.Float32
}

//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// form says how the values between a network's operations lie in device memory. Weights, statistics and everything else
// are float32.
type form struct {
	kind kernels.Type
	last bool // (N, H, W, C), channels last; otherwise (N, C, H, W)
}

// formOf returns the form that a device uses. Tensor cores take bfloat16 with channels last. For float32, NVIDIA found
// cuDNN's kernels for (N, C, H, W) to be faster in training (tensorflow/tensorflow#56744).
func formOf(p Precision, o Options) form {
	if p == BF16 {
		return form{kernels.BF16, true}
	}
	return form{kernels.Float32, o.ChannelsLast}
}

// planes returns n samples of a shape as images of interleaved channels: how many images there are, and how many channels
// each has.
func (f form) planes(n int, s net.Shape) (planes, channels uint32) {
	if f.last {
		return uint32(n), uint32(s.C)
	}
	return uint32(n * s.C), 1
}

// rows returns n samples of a shape as kernels see them that work on channels, (batch, s.C, extent): the batch and the
// extent.
func (f form) rows(n int, s net.Shape) (batch, extent uint32) {
	if f.last {
		return uint32(n * s.H * s.W), 1
	}
	return uint32(n), uint32(s.H * s.W)
}

// layout returns cuDNN's name for the layout.
func (f form) layout() cudnn.TensorFormat {
	if f.last {
		return cudnn.NHWC
	}
	return cudnn.NCHW
}

// bfloat16 is cuDNN's tensor type for it, which gorgonia.org/cu/dnn doesn't name.
const bfloat16 = cudnn.DataType(dnnBFloat16)

// dataType returns cuDNN's name for the type.
func (f form) dataType() cudnn.DataType {
	if f.kind == kernels.BF16 {
		return bfloat16
	}
	return cudnn.Float
}

// ordered reports whether values that lie as one shape are in the order of (N, C, H, W) too.
func (f form) ordered(lies net.Shape) bool { return !f.last || lies.C == 1 || lies.H*lies.W == 1 }

// order says how a parameter lies in device memory: it has rows of (channels, extent) values, which lie as (extent,
// channels). With a channels or extent of 1 it lies as it is.
type order struct{ rows, channels, extent int }

// toDevice returns values in the order in which they lie on the device.
func (o order) toDevice(values []float32) []float32 {
	return transposed(values, o.rows, o.channels, o.extent)
}

// toHost is the reverse of toDevice.
func (o order) toHost(values []float32) []float32 {
	return transposed(values, o.rows, o.extent, o.channels)
}

// transposed returns rows of (a, b) values as rows of (b, a) values.
func transposed(values []float32, rows, a, b int) []float32 {
	if a <= 1 || b <= 1 {
		return values
	}
	out := make([]float32, len(values))
	for r := range rows {
		from, to := values[r*a*b:][:a*b], out[r*a*b:][:a*b]
		for i := range a {
			for j := range b {
				to[j*a+i] = from[i*b+j]
			}
		}
	}
	return out
}

//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// planes returns n samples of a shape as images of interleaved channels: how many images there are, and how many channels
// each has.
func (f Form) planes(n int, s net.Shape) (planes, channels uint32) {
	if f.Last {
		return uint32(n), uint32(s.C)
	}
	return uint32(n * s.C), 1
}

// layout returns cuDNN's name for the layout.
func (f Form) layout() cudnn.TensorFormat {
	if f.Last {
		return cudnn.NHWC
	}
	return cudnn.NCHW
}

// bfloat16 is cuDNN's tensor type for it, which gorgonia.org/cu/dnn doesn't name.
const bfloat16 = cudnn.DataType(dnnBFloat16)

// dataType returns cuDNN's name for the type.
func (f Form) dataType() cudnn.DataType {
	if f.Type == kernels.BF16 {
		return bfloat16
	}
	return cudnn.Float
}

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

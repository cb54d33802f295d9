//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// fusion says which products of a convolution kernels of ours compute, with the ReLU and the 2x2 max pooling behind it. They
// multiply in float32 in every precision.
type fusion struct {
	forward   bool   // the output: what is pooled is never in memory
	gradients bool   // those of weights and biases, always where the output is
	chunk     uint32 // channels that a block has in shared memory
}

// fusedTaps is how many values a filter may have for float32 to be as fast as tensor cores: so few that memory is what
// counts. A first layer's have as many, at 5x5 of three colours.
const fusedTaps = 96

// fuse chooses what is fused. Beyond few taps a forward pass in float32 is faster than cuDNN's for filters of more than 3x3,
// for which cuDNN has no good Winograd algorithm; gradients of which three of four are 0 are faster than all of cuDNN's but
// those by tensor cores in bfloat16.
func (c *convolve) fuse() fusion {
	w, d := c.layer.Window, c.program.device
	if d.options.NoFusion || c.tail != biasReLUPool || w.StrideH != 1 || w.StrideW != 1 || w.DilationH != 1 || w.DilationW != 1 {
		return fusion{}
	}
	f := fusion{chunk: c.filtering().Chunk(uint32(c.out.shape.H), uint32(c.out.shape.W))}
	if f.chunk == 0 {
		return f
	}
	few := c.layer.In.C*w.KernelH*w.KernelW <= fusedTaps
	f.forward = few || d.Precision() == FP32 && w.KernelH*w.KernelW > 9
	f.gradients = few || d.Precision() != BF16
	return f
}

// filtering is the convolution as our kernels take it.
func (c *convolve) filtering() kernels.Filtering { return filtering(c.layer) }

func filtering(l net.PlannedLayer) kernels.Filtering {
	w := l.Window
	return kernels.Filtering{Filters: uint32(l.Out.C), Channels: uint32(l.In.C), H: int32(l.In.H), W: int32(l.In.W),
		KernelH: int32(w.KernelH), KernelW: int32(w.KernelW), Top: int32(w.Top), Left: int32(w.Left)}
}

// parts is in how many parts n samples' gradients are summed.
func (c *convolve) parts(n int) uint32 {
	return kernels.ConvGradientParts(uint32(n), c.filtering(), c.fused.chunk)
}

// forwardFused computes the output and the mask.
func (c *convolve) forwardFused(n int) error {
	return c.launch(kernels.ConvBiasReLUPool{
		Y: floats(c.out.value.Buffer), Mask: kernels.Pointer[uint8](c.mask.Address), X: floats(c.in.value.Buffer),
		Weight: floats(c.parameters[net.Weight].value), Bias: floats(c.parameters[net.Bias].value),
		Batch: uint32(n), Filtering: c.filtering(), MadeH: uint32(c.layer.Out.H), MadeW: uint32(c.layer.Out.W),
		OutH: uint32(c.out.shape.H), OutW: uint32(c.out.shape.W), Chunk: c.fused.chunk,
	})
}

// gradientsFused computes the gradients of weights and biases.
func (c *convolve) gradientsFused(n int) error {
	weight, bias, parts := c.parameters[net.Weight], c.parameters[net.Bias], c.parts(n)
	dw, db := weight.grad, bias.grad
	if parts > 1 { // the sums of each part: of all weights, then of all biases
		dw = c.sums.Buffer
		db = c.sums.part(4*int64(parts)*int64(weight.Size()), 4*int64(parts)*int64(bias.Size()))
	}
	err := c.launch(kernels.ConvReLUPoolGradients{
		Dw: floats(dw), Db: floats(db), X: floats(c.in.value.Buffer), Dy: floats(c.out.grad.Buffer),
		Mask: kernels.Pointer[uint8](c.mask.Address), Batch: uint32(n), Filtering: c.filtering(),
		OutH: uint32(c.out.shape.H), OutW: uint32(c.out.shape.W), Chunk: c.fused.chunk, Parts: parts,
	})
	if err != nil || parts == 1 {
		return err
	}
	add := func(q *parameter, of Buffer) error {
		return c.launch(kernels.ColumnSums{Db: floats(q.grad), Dy: floats(of), Batch: parts, Channels: uint32(q.Size())})
	}
	return firstError(add(weight, dw), add(bias, db))
}

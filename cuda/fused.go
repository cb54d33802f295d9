//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// One kernel of ours computes three layers: a convolution whose filters have few values, the ReLU and the 2x2 max
// pooling. A second kernel computes the gradients of the weights and biases. Both compute in float32 in every
// precision. The values before pooling are the largest of a network, and they are never written to memory. Their
// gradient is written only if the input gradient is wanted, because cuDNN computes the input gradient.

// fuse sets the chunk if the convolution is to be fused.
func (c *convLayer) fuse() {
	if !c.program.device.options.NoFusion && c.tail == biasReLUPool {
		_, c.chunk = Fuser{}.Convolves(c.node, c.out.shape)
	}
}

// fused reports whether our kernels compute the output and the gradients of weights and biases.
func (c *convLayer) fused() bool { return c.chunk > 0 }

// filtering returns the convolution's geometry as our kernels take it.
func (c *convLayer) filtering() kernels.Filtering { return filtering(c.node) }

// parts returns into how many parts a mini-batch of n samples is divided. The gradients of each part are summed on
// their own, and these sums are added at the end.
func (c *convLayer) parts(n int) uint32 {
	return kernels.ConvGradientParts(uint32(n), c.filtering(), c.chunk)
}

// forwardFused computes the output and the mask.
func (c *convLayer) forwardFused(n int) error {
	return c.launch(kernels.ConvBiasReLUPool{
		Y: c.out.value.values(), Mask: kernels.Pointer[uint8](c.mask.Address), X: c.in.value.values(),
		Weight: floats(c.parameters[net.Weight].value), Bias: floats(c.parameters[net.Bias].value),
		Batch: uint32(n), Filtering: c.filtering(), MadeH: uint32(c.node.Out.H), MadeW: uint32(c.node.Out.W),
		OutH: uint32(c.out.shape.H), OutW: uint32(c.out.shape.W), Chunk: c.chunk, Last: c.last(),
	})
}

// gradientsFused computes the gradients of weights and biases. The kernel always computes both. If one of them is
// frozen, its gradient stays in c.sums and is never read.
func (c *convLayer) gradientsFused(n int) error {
	weight, bias, parts := c.parameters[net.Weight], c.parameters[net.Bias], c.parts(n)
	// A row of c.sums holds a part's sums: first those of the weights, then those of the biases.
	row, own := weight.Size()+bias.Size(), 4*int64(weight.Size())
	dw, db := c.sums.Buffer, c.sums.part(own, 4*int64(bias.Size()))
	if parts == 1 && weight.Trained {
		dw = weight.grad
	}
	if parts == 1 && bias.Trained {
		db = bias.grad
	}
	err := c.launch(kernels.ConvReLUPoolGradients{
		Dw: floats(dw), Db: floats(db), X: c.in.value.values(), Dy: c.out.grad.values(),
		Mask: kernels.Pointer[uint8](c.mask.Address), Batch: uint32(n), Filtering: c.filtering(),
		OutH: uint32(c.out.shape.H), OutW: uint32(c.out.shape.W), Chunk: c.chunk, Parts: parts, Pitch: uint32(row), Last: c.last(),
	})
	if err != nil || parts == 1 {
		return err
	}
	k := kernels.ColumnSums{Dy: float32s(c.sums.Buffer), Batch: parts, Channels: uint32(row), Split: uint32(weight.Size())}
	if weight.Trained {
		k.Db = optional(weight.grad)
	}
	if bias.Trained {
		k.Rest = optional(bias.grad)
	}
	return c.launch(k)
}

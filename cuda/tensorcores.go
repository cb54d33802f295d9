//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// Kernels of ours compute convolutions on tensor cores, in bfloat16 with channels last. They are one more algorithm beside
// cuDNN's, for each direction. Unlike these they compute what comes after the forward pass at once.

// tensorCores is the number of that algorithm. cuDNN's numbers are below it.
const tensorCores = mostAlgorithms - 1

// ownConvolving describes a convolution for our kernels. It is nil if they can't compute it, or if the options exclude
// them.
func (d *Device) ownConvolving(in, out net.Shape, w net.Window, groups, n int) *kernels.Convolving {
	o := d.options
	if d.form != (Form{kernels.BF16, true}) || groups > 1 || o.OwnConvolutions == OwnNever || o.OwnConvolutions == OwnMeasured && o.NoFusion {
		return nil
	}
	c := convolvingOf(in, out, w, n)
	if c.Check() != nil {
		return nil
	}
	return &c
}

// convolvingOf describes a convolution of n samples as our kernels take it.
func convolvingOf(in, out net.Shape, w net.Window, n int) kernels.Convolving {
	return kernels.Convolving{Batch: uint32(n), Channels: uint32(in.C), H: int32(in.H), W: int32(in.W), Filters: uint32(out.C),
		OutH: uint32(w.OutH), OutW: uint32(w.OutW), KernelH: uint32(w.KernelH), KernelW: uint32(w.KernelW), StrideH: int32(w.StrideH),
		StrideW: int32(w.StrideW), DilationH: int32(w.DilationH), DilationW: int32(w.DilationW), Top: int32(w.Top), Left: int32(w.Left)}
}

// weights returns how many values all filters have.
func weights(c *kernels.Convolving) int64 {
	return int64(c.Filters) * int64(c.KernelH) * int64(c.KernelW) * int64(c.Channels)
}

// ownWorkspace returns how many bytes our kernels need for a direction: for the weight gradients of each part, in float32.
func (c *dnnConvolution) ownWorkspace(dir direction) int64 {
	if dir != backwardFilter {
		return 0
	}
	return 4 * weights(c.own) * int64(c.own.FilterParts())
}

// runOwn computes a direction's product by our kernels: the output with what comes after it, or a gradient.
func (c *dnnConvolution) runOwn(dir direction, o operands, adds bool) error {
	d := c.program.device
	switch dir {
	case forward:
		k := kernels.Convolution{Y: rounded(o.y), X: rounded(o.x), Weight: rounded(o.w), Bias: optional(o.bias), Convolving: *c.own}
		if o.bias.Bytes > 0 {
			k.Tail = [...]int32{biasOnly: kernels.ConvolutionBias, biasReLU: kernels.ConvolutionBiasReLU, biasReLUPool: kernels.ConvolutionBiasReLUPool}[o.tail]
		}
		if o.tail == biasReLUPool {
			k.Y, k.Mask = rounded(o.pooled), kernels.Optional[uint8](o.mask.Address)
			k.PooledH, k.PooledW = uint32(o.pooledH), uint32(o.pooledW)
		}
		return d.launch(k)
	case backwardData:
		return d.launch(kernels.ConvolutionData{Dx: rounded(o.x), Dy: rounded(o.y), Weight: rounded(o.w), Convolving: *c.own, Add: int32(boolInt(adds))})
	}
	parts, count := c.own.FilterParts(), uint32(weights(c.own))
	if err := d.launch(kernels.ConvolutionFilter{Dw: floats(o.workspace), X: rounded(o.x), Dy: rounded(o.y), Convolving: *c.own, Parts: parts}); err != nil {
		return err
	}
	// As cuDNN, it leaves a gradient in bfloat16: which of them computes it is not known when its memory is planned.
	return d.launch(kernels.ColumnSums{Brain: kernels.Optional[kernels.BFloat16](o.w.Address), Dy: float32s(o.workspace), Batch: parts, Channels: count,
		Split: count})
}

// measureOwn measures our kernels in memory for that. It returns none if they have no room or fail.
func (c *dnnConvolution) measureOwn(dir direction, with *operands) ([]algorithm, error) {
	a := algorithm{id: tensorCores, deterministic: true, workspace: c.ownWorkspace(dir)}
	if a.workspace > with.workspace.Bytes {
		return nil, nil
	}
	least, ok, err := c.program.device.leastTime(func() error { return c.runOwn(dir, *with, false) })
	if err != nil || !ok {
		return nil, err
	}
	a.milliseconds = least
	return []algorithm{a}, nil
}

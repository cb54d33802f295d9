//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// fused is a convolution of few input channels with the ReLU and the 2x2 max pooling behind it, in one kernel of ours each
// way, always in float32: there is too little arithmetic in it for tensor cores, and what is pooled, the network's largest
// values, is never in memory. It computes no gradient of its input.
type fused struct {
	link
	mask slot // where the maxima were
	sums slot // the gradients of each part of the mini-batch: of all weights, then of all biases
}

// fuses reports whether layer i and the two behind it can be computed so; first tells that nobody needs its input's
// gradient.
func (p *program) fuses(i int, first bool) bool {
	layers := p.plan.Layers
	w := layers[i].Window
	return first && p.tailOf(i) == biasReLUPool && w.StrideH == 1 && w.StrideW == 1 && w.DilationH == 1 && w.DilationW == 1 &&
		filtering(layers[i]).Fits(uint32(layers[i+2].Out.H), uint32(layers[i+2].Out.W))
}

// filtering is a convolution as our kernels take it.
func filtering(l net.PlannedLayer) kernels.Filtering {
	w := l.Window
	return kernels.Filtering{Filters: uint32(l.Out.C), Channels: uint32(l.In.C), H: int32(l.In.H), W: int32(l.In.W),
		KernelH: int32(w.KernelH), KernelW: int32(w.KernelW), Top: int32(w.Top), Left: int32(w.Left)}
}

// parts is in how many parts n samples' gradients are summed.
func (f *fused) parts(n int) uint32 { return kernels.ConvGradientParts(uint32(n), filtering(f.layer)) }

func (f *fused) claim(first, last int) claim {
	batch := f.program.options.Batch
	f.mask = slot{value: value{bytes: int64(batch) * int64(f.out.shape.Size()), first: first, last: last}}
	need := claim{input: true, own: []*slot{&f.mask}}
	if parts := f.parts(batch); parts > 1 {
		f.sums = newSlot(int64(parts)*int64(f.layer.Weights()), last, last)
		need.own = append(need.own, &f.sums)
	}
	return need
}

func (f *fused) forward(p *pass) error {
	return f.launch(kernels.ConvBiasReLUPool{
		Y: floats(f.out.value.Buffer), Mask: kernels.Pointer[uint8](f.mask.Address), X: floats(f.in.value.Buffer),
		Weight: floats(f.parameters[net.Weight].value), Bias: floats(f.parameters[net.Bias].value),
		Batch: uint32(p.n), Filtering: filtering(f.layer), MadeH: uint32(f.layer.Out.H), MadeW: uint32(f.layer.Out.W),
		OutH: uint32(f.out.shape.H), OutW: uint32(f.out.shape.W),
	})
}

func (f *fused) backward(p *pass, wanted bool) error {
	if wanted {
		panic("BUG: the gradient of a fused convolution's input is wanted")
	}
	weight, bias, parts := f.parameters[net.Weight], f.parameters[net.Bias], f.parts(p.n)
	dw, db := weight.grad, bias.grad
	if parts > 1 {
		dw = f.sums.Buffer
		db = f.sums.part(4*int64(parts)*int64(weight.Size()), 4*int64(parts)*int64(bias.Size()))
	}
	err := f.launch(kernels.ConvReLUPoolGradients{
		Dw: floats(dw), Db: floats(db), X: floats(f.in.value.Buffer), Dy: floats(f.out.grad.Buffer),
		Mask: kernels.Pointer[uint8](f.mask.Address), Batch: uint32(p.n), Filtering: filtering(f.layer),
		OutH: uint32(f.out.shape.H), OutW: uint32(f.out.shape.W), Parts: parts,
	})
	if err != nil || parts == 1 {
		return err
	}
	return firstError(f.sum(weight, dw, parts), f.sum(bias, db, parts))
}

// sum adds up a parameter's gradients of all parts.
func (f *fused) sum(q *parameter, of Buffer, parts uint32) error {
	return f.launch(kernels.ColumnSums{Db: floats(q.grad), Dy: floats(of), Batch: parts, Channels: uint32(q.Size())})
}

// choices tells that no algorithm was chosen.
func (f *fused) choices() (all []Choice) {
	for _, dir := range []direction{forward, backwardFilter} {
		all = append(all, Choice{Layer: f.layer.Name, Direction: dir.String(), Batch: f.program.options.Batch, Algorithm: "ours, with ReLU and pooling", Chosen: Fused})
	}
	return all
}

func (f *fused) close() error { return nil }

package cpu

import "github.com/gputrain/gputrain/net"

// maxPool is max pooling that belongs to a convolution, of planar images.
type maxPool struct {
	window   net.Window
	from, to net.Shape
	in       operand
	out      *activations
	fused    bool    // the convolution computes the output
	chosen   []int32 // the place in its channel that each output comes from
}

func newMaxPool(node net.Node, in operand, out *activations, batch int) *maxPool {
	return &maxPool{window: node.Window, from: node.In, to: node.Out, in: in, out: out, chosen: make([]int32, batch*out.size)}
}

func (op *maxPool) forward(w *worker, n int) {
	x, y := op.in.values(n), op.out.at(w, n)
	inArea, outArea := op.from.H*op.from.W, op.to.H*op.to.W
	for c := range op.from.C {
		x, y := x[c*inArea:][:inArea], y[c*outArea:][:outArea]
		chosen := op.chosen[n*op.out.size+c*outArea:][:outArea]
		if !op.halves() {
			op.maximum(y, chosen, x)
			continue
		}
		for oh := range op.to.H {
			at, row := 2*oh*op.from.W, oh*op.to.W
			w.kernel.MaxPool2(y[row:][:op.to.W], chosen[row:][:op.to.W], x[at:][:2*op.to.W], x[at+op.from.W:][:2*op.to.W], at, op.from.W)
		}
	}
}

// maximum pools a channel. A NaN counts as the greatest value, so that it isn't lost.
func (op *maxPool) maximum(y []float32, chosen []int32, x []float32) {
	g := op.window
	i := 0
	for oh := range g.OutH {
		top, bottom := clip(oh, g.StrideH, g.Top, g.KernelH, op.from.H)
		for ow := range g.OutW {
			left, right := clip(ow, g.StrideW, g.Left, g.KernelW, op.from.W)
			at := top*op.from.W + left
			best := x[at]
			for h := top; h < bottom; h++ {
				for k := h*op.from.W + left; k < h*op.from.W+right; k++ {
					if v := x[k]; v > best || v != v && best == best {
						best, at = v, k
					}
				}
			}
			y[i], chosen[i] = best, int32(at)
			i++
		}
	}
}

// halves reports whether the windows are 2x2 blocks that don't overlap and lie inside
// the input.
func (op *maxPool) halves() bool {
	g := op.window
	return g.KernelH == 2 && g.KernelW == 2 && g.StrideH == 2 && g.StrideW == 2 &&
		g.Top == 0 && g.Left == 0 && 2*g.OutH <= op.from.H && 2*g.OutW <= op.from.W
}

func (op *maxPool) backward(n int) {
	dx, dy := op.in.grads(n), op.out.grads(n)
	clear(dx)
	inArea, outArea := op.from.H*op.from.W, op.to.H*op.to.W
	for c := range op.from.C {
		dx, dy := dx[c*inArea:][:inArea], dy[c*outArea:][:outArea]
		for i, at := range op.chosen[n*op.out.size+c*outArea:][:outArea] {
			dx[at] += dy[i]
		}
	}
}

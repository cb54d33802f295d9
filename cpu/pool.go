package cpu

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// pool is a pooling layer of any mode.
type pool struct {
	mode     net.PoolMode
	window   net.Window
	from, to net.Shape
	in       operand
	out      *activations
	fused    bool    // the convolution that it belongs to computes the output itself
	chosen   []int32 // of MaxPool: where in its channel each output comes from
}

func newPool(mode net.PoolMode, node net.Node, in operand, out *activations, batch int) *pool {
	op := &pool{mode: mode, window: node.Window, from: node.In, to: node.Out, in: in, out: out}
	if mode == net.MaxPool {
		op.chosen = make([]int32, batch*out.size)
	}
	return op
}

// clip returns the part [lo, hi) of a window along one axis that lies inside
// the input.
func clip(position, stride, before, kernel, size int) (lo, hi int) {
	lo = position*stride - before
	return max(lo, 0), min(lo+kernel, size)
}

// each calls visit for every output position of a channel with its index and
// its window's rows and columns.
func (op *pool) each(visit func(i, top, bottom, left, right int)) {
	g := op.window
	i := 0
	for oh := range g.OutH {
		top, bottom := clip(oh, g.StrideH, g.Top, g.KernelH, op.from.H)
		for ow := range g.OutW {
			left, right := clip(ow, g.StrideW, g.Left, g.KernelW, op.from.W)
			visit(i, top, bottom, left, right)
			i++
		}
	}
}

func (op *pool) forward(w *worker, n int) {
	x, y := op.in.values(n), op.out.values(n)
	inArea, outArea := op.from.H*op.from.W, op.to.H*op.to.W
	for c := range op.from.C {
		x, y := x[c*inArea:][:inArea], y[c*outArea:][:outArea]
		if op.mode == net.MaxPool {
			chosen := op.chosen[n*op.out.size+c*outArea:][:outArea]
			if op.halves() {
				for oh := range op.to.H {
					at, row := 2*oh*op.from.W, oh*op.to.W
					w.kernel.MaxPool2(y[row:][:op.to.W], chosen[row:][:op.to.W], x[at:][:2*op.to.W], x[at+op.from.W:][:2*op.to.W], at, op.from.W)
				}
			} else {
				op.maximum(y, chosen, x)
			}
			continue
		}
		op.each(func(i, top, bottom, left, right int) {
			var sum float64
			for h := top; h < bottom; h++ {
				for _, v := range x[h*op.from.W+left : h*op.from.W+right] {
					if op.mode == net.L2Pool {
						sum += float64(v) * float64(v)
					} else {
						sum += float64(v)
					}
				}
			}
			if op.mode == net.L2Pool {
				y[i] = float32(math.Sqrt(sum))
			} else {
				y[i] = float32(sum / float64((bottom-top)*(right-left)))
			}
		})
	}
}

// maximum pools a channel. A NaN is taken for the greatest value, so that it is
// not lost.
func (op *pool) maximum(y []float32, chosen []int32, x []float32) {
	op.each(func(i, top, bottom, left, right int) {
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
	})
}

// halves reports whether each window is a 2x2 block of its own that lies inside
// the input.
func (op *pool) halves() bool {
	g := op.window
	return g.KernelH == 2 && g.KernelW == 2 && g.StrideH == 2 && g.StrideW == 2 &&
		g.Top == 0 && g.Left == 0 && 2*g.OutH <= op.from.H && 2*g.OutW <= op.from.W
}

func (op *pool) backward(w *worker, n int) {
	if !op.in.wanted {
		return
	}
	x, y, gx, gy := op.in.values(n), op.out.values(n), op.in.grads(n), op.out.grads(n)
	if !op.in.adds {
		clear(gx)
	}
	inArea, outArea := op.from.H*op.from.W, op.to.H*op.to.W
	for c := range op.from.C {
		x, y, gx, gy := x[c*inArea:][:inArea], y[c*outArea:][:outArea], gx[c*inArea:][:inArea], gy[c*outArea:][:outArea]
		if op.mode == net.MaxPool {
			for i, at := range op.chosen[n*op.out.size+c*outArea:][:outArea] {
				gx[at] += gy[i]
			}
			continue
		}
		op.each(func(i, top, bottom, left, right int) {
			share := gy[i] / float32((bottom-top)*(right-left))
			if op.mode == net.L2Pool && y[i] != 0 {
				share = gy[i] / y[i]
			}
			for h := top; h < bottom; h++ {
				for k := h*op.from.W + left; k < h*op.from.W+right; k++ {
					if op.mode == net.L2Pool {
						gx[k] += share * x[k] // x is 0 where y is
					} else {
						gx[k] += share
					}
				}
			}
		})
	}
}

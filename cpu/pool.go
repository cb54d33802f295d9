package cpu

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// pool is a pooling layer with any mode.
type pool struct {
	mode     net.PoolMode
	window   net.Window
	from, to net.Shape
	in       operand
	out      *activations
	fused    bool    // a convolution that it belongs to computes the output
	chosen   []int32 // for MaxPool: the place in its channel that each output comes from
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

// each calls visit for every output position of a channel, with the position's
// index and the rows and columns of its window.
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
		var chosen []int32
		if op.mode == net.MaxPool {
			chosen = op.chosen[n*op.out.size+c*outArea:][:outArea]
		}
		switch {
		case op.mode == net.MaxPool && op.halves():
			for oh := range op.to.H {
				at, row := 2*oh*op.from.W, oh*op.to.W
				w.kernel.MaxPool2(y[row:][:op.to.W], chosen[row:][:op.to.W], x[at:][:2*op.to.W], x[at+op.from.W:][:2*op.to.W], at, op.from.W)
			}
		case op.mode == net.MaxPool:
			op.maximum(y, chosen, x)
		case op.mode == net.MeanPool && op.whole():
			y[0] = float32(w.kernel.Sum64(x) / float64(inArea))
		case op.mode == net.L2Pool && op.whole():
			y[0] = float32(math.Sqrt(w.kernel.Dot(x, x)))
		default:
			op.sums(w, y, x)
		}
	}
}

// sums pools a channel by mean or L2 norm.
func (op *pool) sums(w *worker, y, x []float32) {
	op.each(func(i, top, bottom, left, right int) {
		var sum float64
		for h := top; h < bottom; h++ {
			sum += op.sum(w, x[h*op.from.W+left:h*op.from.W+right])
		}
		if op.mode == net.L2Pool {
			y[i] = float32(math.Sqrt(sum))
		} else {
			y[i] = float32(sum / float64((bottom-top)*(right-left)))
		}
	})
}

// narrow is the widest row of a window that is computed by a loop. For such
// rows, calling a kernel would take longer.
const narrow = 8

// sum returns the sum of a window's row, or for L2 pooling the sum of its
// squares.
func (op *pool) sum(w *worker, row []float32) (sum float64) {
	switch {
	case op.mode == net.L2Pool && len(row) > narrow:
		return w.kernel.Dot(row, row)
	case op.mode == net.L2Pool:
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
	case len(row) > narrow:
		return w.kernel.Sum64(row)
	default:
		for _, v := range row {
			sum += float64(v)
		}
	}
	return sum
}

// maximum pools a channel by maximum. A NaN counts as the greatest value, so
// that it isn't lost.
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

// halves reports whether the windows are 2x2 blocks that don't overlap and lie
// inside the input.
func (op *pool) halves() bool {
	g := op.window
	return g.KernelH == 2 && g.KernelW == 2 && g.StrideH == 2 && g.StrideW == 2 &&
		g.Top == 0 && g.Left == 0 && 2*g.OutH <= op.from.H && 2*g.OutW <= op.from.W
}

// whole reports whether there is only one window, and it covers the whole
// input.
func (op *pool) whole() bool {
	return op.to.H == 1 && op.to.W == 1 && op.window.KernelH-op.window.Top >= op.from.H && op.window.KernelW-op.window.Left >= op.from.W
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
		switch {
		case op.mode == net.MaxPool:
			for i, at := range op.chosen[n*op.out.size+c*outArea:][:outArea] {
				gx[at] += gy[i]
			}
		case op.mode == net.MeanPool && op.whole():
			w.kernel.AddBias(gx, gy[0]/float32(inArea))
		case op.mode == net.L2Pool && op.whole():
			if y[0] != 0 {
				w.kernel.ScaleAdd(gx, x, gy[0]/y[0])
			}
		default:
			op.spreadSums(w, gx, gy, x, y)
		}
	}
}

// spreadSums is the backward pass of sums.
func (op *pool) spreadSums(w *worker, gx, gy, x, y []float32) {
	op.each(func(i, top, bottom, left, right int) {
		share := gy[i] / float32((bottom-top)*(right-left))
		if op.mode == net.L2Pool {
			if y[i] == 0 {
				return
			}
			share = gy[i] / y[i]
		}
		for h := top; h < bottom; h++ {
			lo, hi := h*op.from.W+left, h*op.from.W+right
			op.spread(w, gx[lo:hi], x[lo:hi], share)
		}
	})
}

// spread adds its share of the gradient to a window's row.
func (op *pool) spread(w *worker, gx, x []float32, share float32) {
	switch {
	case op.mode == net.L2Pool && len(gx) > narrow:
		w.kernel.ScaleAdd(gx, x, share)
	case op.mode == net.L2Pool:
		for k, v := range x {
			gx[k] += share * v
		}
	case len(gx) > narrow:
		w.kernel.AddBias(gx, share)
	default:
		for k := range gx {
			gx[k] += share
		}
	}
}

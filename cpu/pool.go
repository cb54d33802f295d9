package cpu

import (
	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// clip returns the part [lo, hi) of a window along one axis that lies inside
// the input.
func clip(position, stride, before, kernel, size int) (lo, hi int) {
	lo = position*stride - before
	return max(lo, 0), min(lo+kernel, size)
}

// pool is a pooling layer with any mode, of images in blocks.
type pool struct {
	pass   *pass
	mode   net.PoolMode
	from   layout
	to     layout
	in     operand
	out    *activations
	runs   []poolRun
	chosen []int32   // for MaxPool, in training: the place in its channel that each output comes from
	places [][]int32 // the same of a plane without a backward pass, by worker
}

// poolRun is neighbouring windows of equal size.
type poolRun struct {
	windows asm.Windows
	out     int // the first window's position in the output
	at      int // the place of the first window's first value
}

func newPool(ws *workers, p *pass, mode net.PoolMode, node net.Node, in operand, out *activations) *pool {
	lanes := ws.all[0].kernel.Lanes
	op := &pool{pass: p, mode: mode, from: inBlocks(node.In, lanes), to: inBlocks(node.Out, lanes), in: in, out: out}
	g := node.Window
	for oh := range g.OutH {
		top, bottom := clip(oh, g.StrideH, g.Top, g.KernelH, node.In.H)
		for ow := range g.OutW {
			left, right := clip(ow, g.StrideW, g.Left, g.KernelW, node.In.W)
			if ow > 0 && right-left == g.KernelW {
				if last := &op.runs[len(op.runs)-1]; last.windows.Columns == g.KernelW {
					last.windows.N++
					continue
				}
			}
			op.runs = append(op.runs, poolRun{
				asm.Windows{N: 1, Rows: bottom - top, Columns: right - left, Step: g.StrideW * lanes, Pitch: node.In.W * lanes},
				oh*g.OutW + ow, top*node.In.W + left,
			})
		}
	}
	if mode == net.MaxPool {
		for range ws.all {
			op.places = append(op.places, make([]int32, op.to.plane()))
		}
	}
	return op
}

// planGradients takes the memory for the places of maxima.
func (op *pool) planGradients(batch int) {
	if op.mode == net.MaxPool {
		op.chosen = make([]int32, batch*op.to.size())
	}
}

// placesOf returns how the windows of a run number their values.
func (op *pool) placesOf(r poolRun) asm.Places {
	return asm.Places{First: r.at, Step: r.windows.Step / op.from.lanes, Row: op.from.shape.W}
}

func (op *pool) parts() int {
	if op.from.size() < leastValuesToCut {
		return 1
	}
	return op.from.blocks()
}

func (op *pool) forward(w *worker, n int) { op.forwardPart(w, n, whole) }

func (op *pool) forwardPart(w *worker, n int, p part) {
	x, y := op.in.at(w, n), op.out.at(w, n)
	first, end := p.share(op.from.blocks())
	for b := first; b < end; b++ {
		x, y := x[b*op.from.plane():][:op.from.plane()], y[b*op.to.plane():][:op.to.plane()]
		var chosen []int32
		if op.mode == net.MaxPool {
			chosen = op.places[w.id]
			if op.pass.training && op.chosen != nil {
				chosen = op.chosen[n*op.to.size()+b*op.to.plane():]
			}
		}
		for _, r := range op.runs {
			x, y := x[r.at*op.from.lanes:], y[r.out*op.from.lanes:]
			switch op.mode {
			case net.MaxPool:
				w.kernel.MaxWindows(y, chosen[r.out*op.from.lanes:], x, r.windows, op.placesOf(r))
			case net.MeanPool:
				w.kernel.MeanWindows(y, x, 1/float32(r.windows.Rows*r.windows.Columns), r.windows)
			default:
				w.kernel.NormWindows(y, x, r.windows)
			}
		}
	}
}

func (op *pool) backward(w *worker, n int) {
	if !op.in.wanted {
		return
	}
	x, y, dx, dy := op.in.values(n), op.out.values(n), op.in.grads(n), op.out.grads(n)
	if !op.in.adds {
		clear(dx)
	}
	for b := range op.from.blocks() {
		first, firstOut := b*op.from.plane(), b*op.to.plane()
		for _, r := range op.runs {
			at, out := first+r.at*op.from.lanes, firstOut+r.out*op.from.lanes
			switch op.mode {
			case net.MaxPool:
				w.kernel.MaxWindowsBack(dx[at:], dy[out:], op.chosen[n*op.to.size()+out:], r.windows, op.placesOf(r))
			case net.MeanPool:
				w.kernel.MeanWindowsBack(dx[at:], dy[out:], 1/float32(r.windows.Rows*r.windows.Columns), r.windows)
			default:
				w.kernel.NormWindowsBack(dx[at:], dy[out:], y[out:], x[at:], r.windows)
			}
		}
	}
}

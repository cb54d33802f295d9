package cpu

import (
	"unsafe"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// direct computes a convolution's output without a matrix product: neighbouring
// outputs of a row for a group of filters at a time, whose sums stay in registers
// over all rows, channels and columns. Rows that lie in the padding are left out.
//
// An output position is a vector of filters until 2x2 max pooling, where it
// follows, is done.
type direct struct {
	conv          *conv
	kernel        *asm.Direct
	window        net.Window
	lanes, groups int
	weights, bias []float32 // (groups, rows, channels, columns, filters of the group); (groups, filters)
	packed        int64     // the weights' version
	pool          *pool     // whose output is computed too, or nil
	outputs       [][]float32
	pooled        [][]float32
	chosen        [][]int32 // by worker, like those before it
	packTask      func(w *worker, group int)
}

// newDirect returns nil where there is no kernel, or too few filters to fill one.
func newDirect(op *conv, l net.PlannedLayer) *direct {
	ks, g := op.workers.all[0].kernel, l.Window
	if g.StrideH != 1 || g.StrideW != 1 || g.DilationH != 1 || g.DilationW != 1 {
		return nil
	}
	same := l.In.W == g.OutW && g.Left == g.Right && 2*g.Left+1 == g.KernelW
	d := &direct{conv: op, kernel: ks.Direct(g.KernelW, g.OutW, same), window: g, lanes: ks.Lanes}
	if d.kernel == nil {
		return nil
	}
	n := d.kernel.Filters()
	d.groups = (op.filters + n - 1) / n
	if 4*op.filters < 3*d.groups*n {
		return nil
	}
	d.weights = make([]float32, d.groups*n*op.channels*op.kernelArea)
	d.bias = make([]float32, d.groups*n)
	for range op.workers.all {
		d.outputs = append(d.outputs, make([]float32, d.groups*n*g.OutH*g.OutW))
	}
	d.packTask = d.pack
	return d
}

// poolInto makes pooling a part of the convolution.
func (d *direct) poolInto(next *pool) {
	d.pool = next
	next.fused = true
	area := next.to.H * next.to.W
	for range d.outputs {
		d.pooled = append(d.pooled, make([]float32, area*d.lanes))
		d.chosen = append(d.chosen, make([]int32, area*d.lanes))
	}
}

// ready packs weights that have changed.
func (d *direct) ready() {
	if version := d.conv.pass.weights; d.packed != version {
		d.conv.workers.do(d.groups, d.packTask)
		d.packed = version
	}
}

// pack packs the weights of a group of filters. Filters that only fill up are 0.
func (d *direct) pack(_ *worker, group int) {
	op, g, n := d.conv, d.window, d.kernel.Filters()
	first := group * n
	to := d.weights[first*op.channels*op.kernelArea:]
	for f := range min(n, op.filters-first) {
		from := op.weight.value[(first+f)*op.channels*op.kernelArea:]
		for c := range op.channels {
			for r := range g.KernelH {
				at := (r*op.channels+c)*g.KernelW*n + f
				for s, v := range from[(c*g.KernelH+r)*g.KernelW:][:g.KernelW] {
					to[at+s*n] = v
				}
			}
		}
		if op.bias != nil {
			d.bias[first+f] = op.bias.value[first+f]
		}
	}
}

// forward convolves a padded image and, where that is its part, pools.
func (d *direct) forward(w *worker, n int, image []float32) {
	op, g, k := d.conv, d.window, d.kernel
	outputs := d.outputs[w.id]
	distance := g.OutH * g.OutW * d.lanes
	pitch := op.source.outWidth
	plane := op.source.outHeight * pitch
	row := op.channels * k.Columns * k.Filters() // weights of a filter's row
	for group := range d.groups {
		weights, bias := d.weights[group*g.KernelH*row:][:g.KernelH*row], d.bias[group*k.Filters():][:k.Filters()]
		y := outputs[group*k.Vectors*distance:]
		for h := range g.OutH {
			first, end := max(0, g.Top-h), min(g.KernelH, g.Top+op.source.height-h)
			if first >= end { // all in the padding, which is 0
				first, end = 0, 1
			}
			for at := 0; at < g.OutW; at += k.Outputs {
				at := min(at, g.OutW-k.Outputs) // some may be computed twice
				k.Convolve(y[(h*g.OutW+at)*d.lanes:], distance, image[(h+first)*pitch+at:], weights[first*row:end*row], bias,
					end-first, pitch, op.channels, plane, op.relu)
			}
		}
	}
	if d.pool != nil {
		d.poolOutputs(w, n, outputs, distance)
		if !op.pass.traced {
			return
		}
	}
	area := g.OutH * g.OutW
	y := op.out.values(n)
	for v := 0; v*d.lanes < op.filters; v++ {
		w.kernel.Transpose(y[v*d.lanes*area:], area, outputs[v*distance:], d.lanes, area, min(d.lanes, op.filters-v*d.lanes))
	}
}

// poolOutputs writes the output of sample n's pooling.
func (d *direct) poolOutputs(w *worker, n int, outputs []float32, distance int) {
	height, width := d.pool.to.H, d.pool.to.W
	area := height * width
	y, chosen := d.pool.out.values(n), d.pool.chosen[n*d.pool.out.size:][:d.pool.out.size]
	pooled, places := d.pooled[w.id], d.chosen[w.id]
	row := d.window.OutW * d.lanes
	for v := 0; v*d.lanes < d.conv.filters; v++ {
		for h := range height {
			upper := outputs[v*distance+2*h*row:]
			w.kernel.PoolVectors(pooled[h*width*d.lanes:], places[h*width*d.lanes:], upper, upper[row:], width, 2*h*d.window.OutW, d.window.OutW)
		}
		filters := min(d.lanes, d.conv.filters-v*d.lanes)
		w.kernel.Transpose(y[v*d.lanes*area:], area, pooled, d.lanes, area, filters)
		w.kernel.Transpose(bits(chosen[v*d.lanes*area:]), area, bits(places), d.lanes, area, filters)
	}
}

// bits returns integers as the float32 values of the same bits, to be moved.
func bits(v []int32) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

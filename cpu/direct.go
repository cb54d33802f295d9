package cpu

import (
	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// direct computes a convolution's output without a matrix product. At a time it
// computes neighbouring outputs of a row for one group of filters. Their sums
// stay in registers over all rows, channels and columns. Rows that lie in the
// padding are left out.
type direct struct {
	conv          *conv
	kernel        *asm.Direct
	window        net.Window
	lanes, groups int
	weights       []float32 // (groups, rows, channels, columns, filters of the group)
	packed        int64     // the version of the weights that are packed
	outputs       *vectorOutputs
	packTask      func(w *worker, group int)
}

// newDirect returns nil if there is no kernel, or too few filters to fill one.
func newDirect(op *conv, node net.Node) *direct {
	ks, g := op.workers.all[0].kernel, node.Window
	if node.Layer.(*net.Conv).GroupCount() != 1 || g.StrideH != 1 || g.StrideW != 1 || g.DilationH != 1 || g.DilationW != 1 {
		return nil
	}
	same := node.In.W == g.OutW && g.Left == g.Right && 2*g.Left+1 == g.KernelW
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
	d.outputs = newVectorOutputs(op, d.groups*n, g.OutH, g.OutW)
	d.packTask = d.pack
	return d
}

// ready packs the weights if they have changed.
func (d *direct) ready() {
	if version := d.conv.pass.version(d.conv.weight, d.conv.bias); d.packed != version {
		d.conv.workers.do(d.groups, d.packTask)
		d.outputs.ready()
		d.packed = version
	}
}

// pack packs the weights of a group of filters. Weights of filters that only fill
// up the group are 0.
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
	}
}

// forward convolves a padded image for some groups of filters, and adds the bias. It
// applies ReLU if that belongs to the convolution.
func (d *direct) forward(w *worker, image []float32, firstGroup, endGroup int) {
	op, g, k := d.conv, d.window, d.kernel
	pitch := op.source.outWidth
	plane := op.source.outHeight * pitch
	row := op.channels * k.Columns * k.Filters() // weights of one filter row, for all filters of a group
	for group := firstGroup; group < endGroup; group++ {
		weights, bias := d.weights[group*g.KernelH*row:][:g.KernelH*row], d.outputs.bias[group*k.Filters():][:k.Filters()]
		y := d.outputs.of(w, group*k.Vectors)
		for h := range g.OutH {
			first, end := max(0, g.Top-h), min(g.KernelH, g.Top+op.source.height-h)
			if first >= end { // all rows are in the padding, which is 0
				first, end = 0, 1
			}
			for at := 0; at < g.OutW; at += k.Outputs {
				at := min(at, g.OutW-k.Outputs) // some outputs may be computed twice
				k.Convolve(y[(h*g.OutW+at)*d.lanes:], d.outputs.distance, image[(h+first)*pitch+at:], weights[first*row:end*row], bias,
					end-first, pitch, op.channels, plane, op.relu)
			}
		}
	}
}

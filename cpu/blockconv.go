package cpu

import (
	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// blockConv is a convolution with its bias, of images in blocks. If it is in its group,
// the ReLU after it belongs to it too, in evaluation also a ReLU6. Winograd's method applies
// only the lower bound.
type blockConv struct {
	pass         *pass
	workers      *workers
	in           operand
	out          *activations
	weight, bias *parameter // bias may be nil
	rectifier    rectifier
	node         net.Node
	grouping     grouping
	batch        int       // the most samples of a mini-batch
	winograd     *winograd // computes the output; or nil
	tiles        *tiles    // computes the output; or nil

	// If the input gradient is wanted, one of these computes it:
	backWinograd *winograd
	back         *tiles

	sums []float32 // sums of the output gradient by sample and filter, if the bias is trained

	// If weights are trained, these compute their gradient. filterGradient suits every mini-batch, winogradGradient suits
	// large ones; it may be nil.
	filterGradient   *filterGradient
	winogradGradient *winogradGradient
}

// newBlockConv returns the operation of a convolution whose input and output are in
// blocks.
func newBlockConv(ws *workers, p *pass, node net.Node, in operand, out *activations, batch int, params map[net.Role]*parameter, r rectifier) *blockConv {
	op := &blockConv{
		pass: p, workers: ws, in: in, out: out, weight: params[net.Weight], bias: params[net.Bias], rectifier: r, node: node, batch: batch,
		grouping: groupingOf(node),
	}
	g := node.Window
	from, to := op.layouts()
	if !op.narrow() {
		op.winograd = newWinograd(ws, op.weight, node, node.In, node.Out, false, batch)
	}
	if op.winograd == nil {
		op.tiles = newTiles(ws, from, to, op.grouping,
			[]axis{forwardAxis(g.OutH, g.KernelH, g.StrideH, g.DilationH, g.Top)},
			[]axis{forwardAxis(g.OutW, g.KernelW, g.StrideW, g.DilationW, g.Left)}, g.KernelW, batch)
		op.tiles.takeWeight(op.weight, g, false)
	}
	return op
}

// layouts returns the layouts of a sample's input and output.
func (op *blockConv) layouts() (in, out layout) {
	lanes := op.workers.all[0].kernel.Lanes
	in, out = inBlocks(op.node.In, lanes), inBlocks(op.node.Out, lanes)
	if op.narrow() {
		in = op.in.layout
	}
	return in, out
}

// narrow reports whether the input is narrow; see layoutsOf.
func (op *blockConv) narrow() bool {
	return op.in.layout == narrow(op.node.In) && op.node.In.C < op.workers.all[0].kernel.Lanes && op.grouping.groups == 1 && !op.in.wanted
}

// takeWeight says where tiles find the weights. Without back they compute the output,
// with it the gradient with respect to the input.
func (t *tiles) takeWeight(weight *parameter, g net.Window, back bool) {
	area := g.KernelH * g.KernelW
	t.weight = weight
	t.groupStride = t.grouping.filters * t.grouping.channels * area
	if back {
		t.filterStride, t.channelStride = area, t.grouping.filters*area
	} else {
		t.filterStride, t.channelStride = t.grouping.channels*area, area
	}
}

// planGradients takes the memory for the gradients.
func (op *blockConv) planGradients(batch int) {
	g, ks := op.node.Window, op.workers.all[0].kernel
	in, out := op.layouts()
	if op.bias.trained() {
		op.sums = make([]float32, batch*out.blocks()*ks.Lanes)
	}
	if op.in.wanted {
		op.backWinograd = newWinograd(op.workers, op.weight, op.node, op.node.Out, op.node.In, true, batch)
		if op.backWinograd == nil {
			op.back = newTiles(op.workers, out, in, op.grouping.turned(),
				backwardAxes(op.node.In.H, g.KernelH, g.StrideH, g.DilationH, g.Top),
				backwardAxes(op.node.In.W, g.KernelW, g.StrideW, g.DilationW, g.Left), g.KernelW, batch)
			op.back.takeWeight(op.weight, g, true)
		} else if op.in.adds {
			op.workers.reserveSpare(op.backWinograd.together(batch) * op.in.size)
		}
	}
	if op.weight.Trained {
		op.filterGradient = newFilterGradient(op, batch)
		if !op.narrow() {
			op.winogradGradient = newWinogradGradient(op, batch)
		}
	}
}

func (op *blockConv) ready() { op.pack(op.pass.version(op.weight, op.bias)) }

// pack packs the weights for the output, if they are of another version than before.
func (op *blockConv) pack(version int64) {
	if op.winograd != nil {
		op.winograd.ready(version, op.bias)
	} else {
		op.tiles.ready(version, op.bias)
	}
}

func (op *blockConv) parts() int {
	switch {
	case op.node.MulAdds() < leastToCut:
		return 1
	case op.winograd != nil:
		return op.winograd.parts()
	}
	return op.tiles.parts(op.workers.all[0].kernel)
}

// group is 1 where samples are computed one by one both in the forward and in the backward
// pass, and 0 where it doesn't matter.
func (op *blockConv) group() int {
	if op.grouping.depthwise() {
		return 0
	}
	n := 1
	for _, t := range []*tiles{op.tiles, op.back} {
		if t != nil {
			n = max(n, t.together)
		}
	}
	for _, g := range []*winograd{op.winograd, op.backWinograd} {
		if g != nil {
			n = max(n, g.group())
		}
	}
	return n
}

func (op *blockConv) forward(w *worker, n int) { op.forwardGroup(w, n, n+1) }

func (op *blockConv) forwardGroup(w *worker, first, end int) {
	x, y := op.in.samples(w, first), op.out.samples(w, first)
	if op.winograd != nil {
		op.winograd.run(w, y, x, op.rectifier.is, op.winograd.all(0, end-first))
		return
	}
	op.tiles.runSamples(w, y, x, 0, end-first, op.rectifier.convolution())
}

func (op *blockConv) forwardPart(w *worker, n int, p part) {
	if op.winograd != nil {
		op.winograd.run(w, op.out.samples(w, n), op.in.samples(w, n), op.rectifier.is, op.winograd.some(p))
		return
	}
	op.tiles.run(w, op.out.at(w, n), op.in.at(w, n), op.rectifier.convolution(), p)
}

func (op *blockConv) prepare() {
	switch {
	case op.backWinograd != nil:
		op.backWinograd.ready(op.pass.version(op.weight), nil)
	case op.back != nil:
		op.back.ready(op.pass.version(op.weight), nil)
	}
}

func (op *blockConv) backward(w *worker, n int) { op.backwardGroup(w, n, n+1) }

func (op *blockConv) backwardGroup(w *worker, first, end int) {
	for n := first; n < end; n++ {
		dy := op.out.grads(n)
		if op.rectifier.is {
			w.kernel.ReLUBackward(dy, dy, op.out.values(n))
		}
		if op.bias.trained() {
			plane := op.node.Window.OutH * op.node.Window.OutW * w.kernel.Lanes
			sums := len(dy) / plane * w.kernel.Lanes
			for b := 0; b*plane < len(dy); b++ {
				w.kernel.SumVectors(op.sums[n*sums+b*w.kernel.Lanes:], dy[b*plane:][:plane])
			}
		}
	}
	if !op.in.wanted {
		return
	}
	dx, dy := samples{op.in.grad, op.in.size}, samples{op.out.grad, op.out.size}
	switch {
	case op.back != nil:
		how := asm.Convolution(0)
		if op.in.adds {
			how = asm.ConvolveAdd
		}
		op.back.runSamples(w, dx, dy, first, end, how)
	case op.in.adds:
		g := op.backWinograd
		for ; first < end; first += g.group() {
			n := min(g.group(), end-first)
			spare := samples{w.spare[:n*dx.size], dx.size}
			g.run(w, spare, samples{dy.values[first*dy.size:], dy.size}, false, g.all(0, n))
			w.kernel.Add(dx.values[first*dx.size:][:n*dx.size], spare.values)
		}
	default:
		op.backWinograd.run(w, dx, dy, false, op.backWinograd.all(first, end))
	}
}

func (op *blockConv) finish() {
	switch {
	case op.winogradGradient != nil && op.winogradGradient.suits(op.pass.Len()):
		op.winogradGradient.run()
	case op.filterGradient != nil:
		op.filterGradient.run()
	}
	if !op.bias.trained() {
		return
	}
	_, out := op.layouts()
	stride := out.blocks() * out.lanes
	out.each(func(block, channel, channels int) {
		for c := range channels {
			var sum float64
			for n := range op.pass.Len() {
				sum += float64(op.sums[n*stride+block*out.lanes+c])
			}
			op.bias.grad[channel+c] = float32(sum)
		}
	})
}

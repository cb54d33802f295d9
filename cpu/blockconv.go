package cpu

import (
	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// blockConv is a convolution with its bias, of images in blocks. If it is in its group,
// the ReLU after it belongs to it too.
type blockConv struct {
	pass         *pass
	workers      *workers
	in           operand
	out          *activations
	weight, bias *parameter // bias may be nil
	relu         bool
	node         net.Node
	groups       int
	winograd     *winograd // computes the output; or nil
	tiles        *tiles    // computes the output; or nil

	// If the input gradient is wanted, one of these computes it:
	backWinograd *winograd
	back         *tiles

	sums []float32 // sums of the output gradient by sample and filter, if the bias is trained

	// If weights are trained:
	padded     paddedImage
	rows       []int32     // offsets in a padded image, of the weights of a group's filter
	panels     []tilePanel // of a group's filters, or of all channels if each has a filter of its own
	imageRow   int         // values from what a position takes to what the position below it takes
	imageStep  int         // the same for the position at its right
	height     int         // rows of positions, which may be one for all positions
	width      int         // positions of a row
	partial    []float32   // weight gradients by part and piece: (rows, filters of the panel)
	parts      int
	gradTask   func(w *worker, task int)
	reduceTask func(w *worker, piece int)
}

// newBlockConv returns the operation of a convolution whose input and output are in
// blocks.
func newBlockConv(ws *workers, p *pass, node net.Node, in operand, out *activations, params map[net.Role]*parameter, relu bool) *blockConv {
	op := &blockConv{
		pass: p, workers: ws, in: in, out: out, weight: params[net.Weight], bias: params[net.Bias], relu: relu, node: node,
		groups: node.Layer.(*net.Conv).GroupCount(),
	}
	g := node.Window
	from, to := op.layouts()
	if op.winograd = newWinograd(ws, op.weight, node, node.In, node.Out, false); op.winograd == nil {
		op.tiles = newTiles(ws, from, to, op.groups,
			[]axis{forwardAxis(g.OutH, g.KernelH, g.StrideH, g.DilationH, g.Top)},
			[]axis{forwardAxis(g.OutW, g.KernelW, g.StrideW, g.DilationW, g.Left)}, g.KernelW)
		op.tiles.takeWeight(op.weight, g, node, op.groups, false)
	}
	return op
}

// layouts returns the layouts of a sample's input and output.
func (op *blockConv) layouts() (in, out layout) {
	return convLayouts(op.node, op.workers.all[0].kernel.Lanes)
}

// convLayouts returns the layouts of a convolution's input and output. Groups of
// channels begin with a new block each, except if each channel has a filter of its own.
func convLayouts(node net.Node, lanes int) (in, out layout) {
	groups := node.Layer.(*net.Conv).GroupCount()
	if groups == node.In.C && groups == node.Out.C {
		groups = 1
	}
	return inBlocks(node.In, groups, lanes), inBlocks(node.Out, groups, lanes)
}

// takeWeight says where tiles find the weights. Without back they compute the output,
// with it the gradient with respect to the input.
func (t *tiles) takeWeight(weight *parameter, g net.Window, node net.Node, groups int, back bool) {
	area := g.KernelH * g.KernelW
	t.weight = weight
	channels := node.In.C / groups
	t.filterStride, t.channelStride = channels*area, area
	t.groupStride = node.Out.C / groups * channels * area
	if back && !t.each {
		t.filterStride, t.channelStride = t.channelStride, t.filterStride
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
		op.backWinograd = newWinograd(op.workers, op.weight, op.node, op.node.Out, op.node.In, true)
		if op.backWinograd == nil {
			op.back = newTiles(op.workers, out, in, op.groups,
				backwardAxes(op.node.In.H, g.KernelH, g.StrideH, g.DilationH, g.Top),
				backwardAxes(op.node.In.W, g.KernelW, g.StrideW, g.DilationW, g.Left), g.KernelW)
			op.back.takeWeight(op.weight, g, op.node, op.groups, true)
		} else if op.in.adds {
			op.workers.reserveSpare(op.in.size)
		}
	}
	if op.weight.Trained {
		op.planWeightGradient(batch)
	}
}

// planWeightGradient plans the weight gradient: for each weight of a filter, a sum over
// all positions of the products of an image's values and the output gradient.
func (op *blockConv) planWeightGradient(batch int) {
	g, ks := op.node.Window, op.workers.all[0].kernel
	in, _ := op.layouts()
	down := forwardAxis(g.OutH, g.KernelH, g.StrideH, g.DilationH, g.Top)
	across := forwardAxis(g.OutW, g.KernelW, g.StrideW, g.DilationW, g.Left)
	top, bottom := border([]axis{down}, in.shape.H)
	left, right := border([]axis{across}, in.shape.W)
	op.padded = paddedImage{in, top, left, in.shape.H + top + bottom, in.shape.W + left + right}
	if !op.padded.plain() {
		op.workers.reserve(op.padded.size())
	}
	pitch := op.padded.width * ks.Lanes
	op.imageRow, op.imageStep = g.StrideH*pitch, g.StrideW*ks.Lanes
	op.height, op.width = g.OutH, g.OutW
	if op.imageRow == op.width*op.imageStep {
		op.height, op.width = 1, op.height*op.width
	}
	channels, filters := op.node.In.C/op.groups, op.node.Out.C/op.groups
	if op.each() {
		channels, filters = 1, op.node.Out.C
	}
	for c := 0; c < channels; c += ks.Lanes {
		for r := range g.KernelH {
			for s := range g.KernelW {
				at := c/ks.Lanes*op.padded.plane() + r*g.DilationH*pitch + s*g.DilationW*ks.Lanes
				for l := range min(ks.Lanes, channels-c) {
					op.rows = append(op.rows, int32(at+l))
				}
			}
		}
	}
	// A panel as wide as the most rows allow, so that each value that is loaded is used often.
	most := min(2, ks.CorrelateVectors())
	if op.each() {
		most = 1
	}
	for at, vectors := 0, (filters+ks.Lanes-1)/ks.Lanes; at < vectors; {
		n := min(most, vectors-at)
		if vectors-at == 3 && most == 2 && ks.CorrelateVectors() > 2 {
			n = 3
		}
		op.panels = append(op.panels, tilePanel{at, n})
		at += n
	}
	op.parts = op.partsOf(batch)
	op.partial = make([]float32, op.parts*op.pieceStart(op.pieces()))
	op.gradTask, op.reduceTask = op.weightGradient, op.reduce
}

// each reports whether each channel has a filter of its own.
func (op *blockConv) each() bool { return op.groups == op.node.In.C && op.groups == op.node.Out.C }

// pieces returns into how many pieces the weight gradient is cut: one for each panel of
// each group.
func (op *blockConv) pieces() int {
	if op.each() {
		return len(op.panels)
	}
	return op.groups * len(op.panels)
}

// pieceStart returns where piece i begins in a part's weight gradients.
func (op *blockConv) pieceStart(i int) int {
	last := op.panels[len(op.panels)-1]
	vectors := i / len(op.panels) * (last.first + last.vectors)
	if i%len(op.panels) > 0 {
		vectors += op.panels[i%len(op.panels)].first
	}
	return vectors * op.workers.all[0].kernel.Lanes * len(op.rows)
}

// partsOf returns into how many parts a mini-batch is cut when weight gradients are
// computed. Each piece of the gradient is computed for each part.
func (op *blockConv) partsOf(samples int) int {
	return min(samples, (minGradTasks+op.pieces()-1)/op.pieces())
}

func (op *blockConv) ready() {
	if op.winograd != nil {
		op.winograd.ready(op.pass.weights, op.bias)
	} else {
		op.tiles.ready(op.pass.weights, op.bias)
	}
}

func (op *blockConv) forward(w *worker, n int) {
	x, y := op.in.values(n), op.out.values(n)
	if op.winograd != nil {
		op.winograd.run(w, y, op.winograd.image.of(w, x), op.relu)
		return
	}
	how := asm.Convolution(0)
	if op.relu {
		how = asm.ConvolveReLU
	}
	op.tiles.run(w, y, x, how)
}

func (op *blockConv) prepare() {
	switch {
	case op.backWinograd != nil:
		op.backWinograd.ready(op.pass.weights, nil)
	case op.back != nil:
		op.back.ready(op.pass.weights, nil)
	}
}

func (op *blockConv) backward(w *worker, n int) {
	dy := op.out.grads(n)
	if op.relu {
		w.kernel.ReLUBackward(dy, dy, op.out.values(n))
	}
	if op.bias.trained() {
		plane := op.node.Window.OutH * op.node.Window.OutW * w.kernel.Lanes
		sums := len(dy) / plane * w.kernel.Lanes
		for b := 0; b*plane < len(dy); b++ {
			w.kernel.SumVectors(op.sums[n*sums+b*w.kernel.Lanes:], dy[b*plane:][:plane])
		}
	}
	if !op.in.wanted {
		return
	}
	dx := op.in.grads(n)
	switch {
	case op.back != nil && op.in.adds:
		op.back.run(w, dx, dy, asm.ConvolveAdd)
	case op.back != nil:
		op.back.run(w, dx, dy, 0)
	case op.in.adds:
		spare := w.spare[:len(dx)]
		op.backWinograd.run(w, spare, op.backWinograd.image.of(w, dy), false)
		w.kernel.Add(dx, spare)
	default:
		op.backWinograd.run(w, dx, op.backWinograd.image.of(w, dy), false)
	}
}

func (op *blockConv) finish() {
	if op.weight.Trained {
		op.parts = op.partsOf(op.pass.Len())
		op.workers.do(op.parts*op.pieces(), op.gradTask)
		op.workers.do(op.pieces(), op.reduceTask)
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

// weightGradient sums a piece of the weight gradient over a part of the mini-batch.
func (op *blockConv) weightGradient(w *worker, task int) {
	ks := w.kernel
	part, piece := task/op.pieces(), task%op.pieces()
	group, panel := piece/len(op.panels), op.panels[piece%len(op.panels)]
	last := op.panels[len(op.panels)-1]
	width := panel.vectors * ks.Lanes
	all := op.pieceStart(op.pieces())
	sums := op.partial[part*all+op.pieceStart(piece):]
	distance := op.node.Window.OutH * op.node.Window.OutW * ks.Lanes
	most := ks.Correlations(panel.vectors)
	blocks := (op.node.In.C/op.groups + ks.Lanes - 1) / ks.Lanes // that the piece takes
	block := group * blocks
	if op.each() {
		block, blocks = panel.first, 1
	}
	atOnce := max(1, rowsOfImage/op.imageRow)
	first, end := part*op.pass.Len()/op.parts, (part+1)*op.pass.Len()/op.parts
	for n := first; n < end; n++ {
		x := op.padded.part(w, op.in.values(n), block, blocks)
		dy := op.out.grads(n)[(group*(last.first+last.vectors)+panel.first)*distance:]
		for row := 0; row < op.height; row += atOnce {
			height := min(atOnce, op.height-row)
			x, dy := x[row*op.imageRow:], dy[row*op.width*ks.Lanes:]
			skip, add := op.imageRow-op.width*op.imageStep, n > first || row > 0
			for i := 0; i < len(op.rows); i += most {
				rows := op.rows[i:min(i+most, len(op.rows))]
				if op.each() {
					ks.CorrelateChannels(sums[i*width:], x, rows, op.imageStep, skip, dy, height, op.width, add)
				} else {
					ks.Correlate(panel.vectors, sums[i*width:], x, rows, op.imageStep, skip, dy, distance, height, op.width, add)
				}
			}
		}
	}
}

// reduce adds up a piece of the weight gradients of all parts, and writes it in the
// order of the weights.
func (op *blockConv) reduce(w *worker, piece int) {
	lanes := w.kernel.Lanes
	all := op.pieceStart(op.pieces())
	from, n := op.pieceStart(piece), op.pieceStart(piece+1)-op.pieceStart(piece)
	sums := op.partial[from:][:n]
	for part := 1; part < op.parts; part++ {
		w.kernel.Add(sums, op.partial[part*all+from:][:n])
	}
	group, panel := piece/len(op.panels), op.panels[piece%len(op.panels)]
	area := op.node.Window.KernelH * op.node.Window.KernelW
	channels, filters := op.node.In.C/op.groups, op.node.Out.C/op.groups
	if op.each() {
		channels, filters = 1, op.node.Out.C
	}
	width := panel.vectors * lanes
	first := panel.first * lanes
	grad := op.weight.grad[(group*filters+first)*channels*area:]
	count := min(width, filters-first)
	i := 0
	for block := 0; block < channels; block += lanes {
		for place := range area {
			for c := block; c < min(block+lanes, channels); c++ {
				row := sums[i*width:]
				for f := range count {
					grad[(f*channels+c)*area+place] = row[f]
				}
				i++
			}
		}
	}
}

package cpu

// filterGradient computes the gradient of the weights of a convolution of images in
// blocks: for each weight, the sum over all positions and samples of a value of the
// padded image times the gradient of the output. Such sums stay in registers for a whole
// image.
type filterGradient struct {
	conv       *blockConv
	each       bool // each channel has a filter of its own
	groups     int
	channels   int // of a group
	filters    int // of a group
	padded     paddedImage
	rows       []int32     // offsets in a padded image, of the weights of a filter
	panels     []tilePanel // of a group's filters
	imageRow   int         // values from what a position takes to what the position below it takes
	imageStep  int         // the same for the position at its right
	height     int         // rows of positions, which may be one for all positions
	width      int         // positions of a row
	partial    []float32   // gradients by part and piece: (rows, filters of the panel)
	parts      int
	sumTask    func(w *worker, task int)
	reduceTask func(w *worker, piece int)
}

// newFilterGradient plans the gradient of a convolution's weights, and takes its memory.
func newFilterGradient(conv *blockConv, batch int) *filterGradient {
	ws, node, g := conv.workers, conv.node, conv.node.Window
	ks := ws.all[0].kernel
	op := &filterGradient{conv: conv, groups: conv.groups, channels: node.In.C / conv.groups, filters: node.Out.C / conv.groups}
	if op.each = depthwise(op.groups, node.In, node.Out); op.each {
		op.groups, op.channels, op.filters = 1, 1, node.Out.C
	}
	in, _ := conv.layouts()
	down := forwardAxis(g.OutH, g.KernelH, g.StrideH, g.DilationH, g.Top)
	across := forwardAxis(g.OutW, g.KernelW, g.StrideW, g.DilationW, g.Left)
	top, bottom := border([]axis{down}, in.shape.H)
	left, right := border([]axis{across}, in.shape.W)
	op.padded = paddedImage{in, top, left, in.shape.H + top + bottom, in.shape.W + left + right}
	if !op.padded.plain() {
		ws.reserve(op.padded.size())
	}
	pitch := op.padded.width * ks.Lanes
	op.imageRow, op.imageStep = g.StrideH*pitch, g.StrideW*ks.Lanes
	op.height, op.width = g.OutH, g.OutW
	if op.imageRow == op.width*op.imageStep {
		op.height, op.width = 1, op.height*op.width
	}
	for c := 0; c < op.channels; c += ks.Lanes {
		for r := range g.KernelH {
			for s := range g.KernelW {
				at := c/ks.Lanes*op.padded.plane() + r*g.DilationH*pitch + s*g.DilationW*ks.Lanes
				for l := range min(ks.Lanes, op.channels-c) {
					op.rows = append(op.rows, int32(at+l))
				}
			}
		}
	}
	// A panel as wide as the most rows allow, so that each value that is loaded is used often.
	most := min(2, ks.CorrelateVectors())
	if op.each {
		most = 1
	}
	for at, vectors := 0, (op.filters+ks.Lanes-1)/ks.Lanes; at < vectors; {
		n := min(most, vectors-at)
		if vectors-at == 3 && most == 2 && ks.CorrelateVectors() > 2 {
			n = 3
		}
		op.panels = append(op.panels, tilePanel{at, n})
		at += n
	}
	op.parts = op.partsOf(batch)
	op.partial = make([]float32, op.parts*op.pieceStart(op.pieces()))
	op.sumTask, op.reduceTask = op.sum, op.reduce
	return op
}

// run computes the gradient of a mini-batch.
func (op *filterGradient) run() {
	ws := op.conv.workers
	op.parts = op.partsOf(op.conv.pass.Len())
	ws.do(op.parts*op.pieces(), op.sumTask)
	ws.do(op.pieces(), op.reduceTask)
}

// pieces returns into how many pieces the weight gradient is cut: one for each panel of
// each group.
func (op *filterGradient) pieces() int { return op.groups * len(op.panels) }

// pieceStart returns where piece i begins in a part's weight gradients.
func (op *filterGradient) pieceStart(i int) int {
	last := op.panels[len(op.panels)-1]
	vectors := i / len(op.panels) * (last.first + last.vectors)
	if i%len(op.panels) > 0 {
		vectors += op.panels[i%len(op.panels)].first
	}
	return vectors * op.conv.workers.all[0].kernel.Lanes * len(op.rows)
}

// partsOf returns into how many parts a mini-batch is cut when weight gradients are
// computed. Each piece of the gradient is computed for each part.
func (op *filterGradient) partsOf(samples int) int {
	return min(samples, (minGradTasks+op.pieces()-1)/op.pieces())
}

// sum sums a piece of the gradient over a part of the mini-batch.
func (op *filterGradient) sum(w *worker, task int) {
	ks := w.kernel
	part, piece := task/op.pieces(), task%op.pieces()
	group, panel := piece/len(op.panels), op.panels[piece%len(op.panels)]
	last := op.panels[len(op.panels)-1]
	width := panel.vectors * ks.Lanes
	all := op.pieceStart(op.pieces())
	sums := op.partial[part*all+op.pieceStart(piece):]
	distance := op.conv.node.Window.OutH * op.conv.node.Window.OutW * ks.Lanes
	most := ks.Correlations(panel.vectors)
	blocks := (op.channels + ks.Lanes - 1) / ks.Lanes // that the piece takes
	block := group * blocks
	if op.each {
		block = panel.first
	}
	atOnce := max(1, rowsOfImage/op.imageRow)
	first, end := part*op.conv.pass.Len()/op.parts, (part+1)*op.conv.pass.Len()/op.parts
	for n := first; n < end; n++ {
		x := op.padded.part(w, op.conv.in.values(n), block, blocks)
		dy := op.conv.out.grads(n)[(group*(last.first+last.vectors)+panel.first)*distance:]
		for row := 0; row < op.height; row += atOnce {
			height := min(atOnce, op.height-row)
			x, dy := x[row*op.imageRow:], dy[row*op.width*ks.Lanes:]
			skip, add := op.imageRow-op.width*op.imageStep, n > first || row > 0
			for i := 0; i < len(op.rows); i += most {
				rows := op.rows[i:min(i+most, len(op.rows))]
				if op.each {
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
func (op *filterGradient) reduce(w *worker, piece int) {
	lanes := w.kernel.Lanes
	all := op.pieceStart(op.pieces())
	from, n := op.pieceStart(piece), op.pieceStart(piece+1)-op.pieceStart(piece)
	sums := op.partial[from:][:n]
	for part := 1; part < op.parts; part++ {
		w.kernel.Add(sums, op.partial[part*all+from:][:n])
	}
	group, panel := piece/len(op.panels), op.panels[piece%len(op.panels)]
	area := op.conv.node.Window.KernelH * op.conv.node.Window.KernelW
	width := panel.vectors * lanes
	first := panel.first * lanes
	grad := op.conv.weight.grad[(group*op.filters+first)*op.channels*area:]
	count := min(width, op.filters-first)
	i := 0
	for block := 0; block < op.channels; block += lanes {
		for place := range area {
			for c := block; c < min(block+lanes, op.channels); c++ {
				row := sums[i*width:]
				for f := range count {
					grad[(f*op.channels+c)*area+place] = row[f]
				}
				i++
			}
		}
	}
}

package cpu

import "github.com/gputrain/gputrain/cpu/asm"

// filterGradient computes the gradient of the weights of a convolution of images in
// blocks: for each weight, the sum over all positions and samples of a value of the
// image times the gradient of the output. Such sums stay in registers for many
// positions.
//
// Usually they are those of some channels of a block and one place of the kernel, over
// the positions that take a value inside of the image. Where filters take few channels,
// they are those of several places of the kernel, over all positions of a padded image.
type filterGradient struct {
	conv       *blockConv
	grouping   grouping
	each       bool          // each channel has a filter of its own
	taps       []gradientTap // places of the kernel; nil with padded images
	padded     paddedImage
	pieces     []gradientPiece
	sums       int // of all pieces
	imageRow   int // values from what a position takes to what the position below it takes
	imageStep  int // the same for the position at its right
	height     int // rows of positions, which may be one for all positions
	width      int // positions of a row
	parts      int
	sumTask    func(w *worker, task int)
	reduceTask func(w *worker, piece int)
}

// gradientPiece is a panel of filters with their sums, which are in the order (blocks that
// the panel takes, places of the kernel, channels of the block, filters of the panel); if each
// channel has a filter of its own, in the order (places, channels).
type gradientPiece struct {
	tilePanel
	channels span    // that the filters take
	blocks   span    // of the image, in which these channels are
	depth    int     // sums of a filter
	start    int     // where the sums begin in those of a part of the mini-batch
	offsets  []int32 // with padded images: where a filter's sums take their values, in these blocks
}

// gradientTap is a place of the kernel, and the positions of the output that take a
// value inside of the image there: those in rows [top, bottom) and columns [left, right).
type gradientTap struct {
	down, across             int // from where a position's window begins to its value, less the padding
	top, bottom, left, right int
}

// takers returns the positions of an axis, from first to the one before end, that take
// a value inside of the image at a place of the kernel. offset is that of the place, less
// the padding.
func takers(size, stride, positions, offset int) (first, end int) {
	first = max(0, (stride-1-offset)/stride)
	if last := size - 1 - offset; last >= 0 {
		end = min(positions, last/stride+1)
	}
	return first, end
}

// positionsAtOnce is about how many positions are summed for all weights before the next
// ones are begun, so that they stay in the L1 cache.
const positionsAtOnce = 128

// newFilterGradient plans the gradient of a convolution's weights, and takes its memory.
func newFilterGradient(conv *blockConv, batch int) *filterGradient {
	ws, g := conv.workers, conv.node.Window
	ks := ws.all[0].kernel
	op := &filterGradient{conv: conv, grouping: conv.grouping, each: conv.grouping.depthwise()}
	in, _ := conv.layouts()
	down := forwardAxis(g.OutH, g.KernelH, g.StrideH, g.DilationH, g.Top)
	across := forwardAxis(g.OutW, g.KernelW, g.StrideW, g.DilationW, g.Left)
	top, bottom := border([]axis{down}, in.shape.H)
	left, right := border([]axis{across}, in.shape.W)
	op.padded = paddedImage{in, top, left, in.shape.H + top + bottom, in.shape.W + left + right}
	most := 0 // channels of a vector of filters
	for v := range op.grouping.vectors(ks.Lanes) {
		takes := op.grouping.takes(tilePanel{v, 1}, ks.Lanes)
		most = max(most, takes.end-takes.first)
	}
	if !op.each && 2*most >= ks.Lanes {
		for r := range g.KernelH {
			for s := range g.KernelW {
				tap := gradientTap{down: r*g.DilationH - g.Top, across: s*g.DilationW - g.Left}
				tap.top, tap.bottom = takers(in.shape.H, g.StrideH, g.OutH, tap.down)
				tap.left, tap.right = takers(in.shape.W, g.StrideW, g.OutW, tap.across)
				op.taps = append(op.taps, tap)
			}
		}
	} else if !op.padded.plain() {
		ws.reserve(op.padded.size())
	}
	pitch := op.padded.width * in.lanes
	op.imageRow, op.imageStep = g.StrideH*pitch, g.StrideW*in.lanes
	op.height, op.width = g.OutH, g.OutW
	if op.imageRow == op.width*op.imageStep {
		op.height, op.width = 1, op.height*op.width
	}
	var offsets []int32 // of the places of the kernel
	for r := range g.KernelH {
		for s := range g.KernelW {
			offsets = append(offsets, int32(r*g.DilationH*pitch+s*g.DilationW*in.lanes))
		}
	}
	for _, panel := range op.grouping.panels(ks.Lanes, op.panelsOf) {
		p := gradientPiece{tilePanel: panel, channels: op.grouping.takes(panel, ks.Lanes), start: op.sums}
		if op.each {
			p.blocks = span{panel.first, panel.first + 1}
			p.depth = len(offsets)
			p.offsets = offsets
		} else {
			p.depth = (p.channels.end - p.channels.first) * len(offsets)
			p.blocks = span{p.channels.first / ks.Lanes, (p.channels.end + ks.Lanes - 1) / ks.Lanes}
		}
		if op.taps == nil && !op.each {
			for _, tap := range blockTaps(p.channels, in.lanes, op.padded.plane(), offsets) {
				for l := range tap.Depth {
					p.offsets = append(p.offsets, tap.Offset+l-int32(p.blocks.first*op.padded.plane()))
				}
			}
		}
		op.pieces = append(op.pieces, p)
		op.sums += p.depth * panel.vectors * ks.Lanes
	}
	op.parts = op.partsOf(batch)
	ws.reserveSums(op.parts * op.sums)
	op.sumTask, op.reduceTask = op.sum, op.reduce
	return op
}

// panelsOf divides vectors of filters into panels as wide as the most rows allow, so that
// each value that is loaded is used often.
func (op *filterGradient) panelsOf(vectors int) (panels []tilePanel) {
	all := op.conv.workers.all[0].kernel.CorrelateVectors()
	most := min(2, all)
	switch {
	case op.each:
		most = 1
	case op.taps != nil:
		most = all
	}
	for at := 0; at < vectors; {
		n := min(most, vectors-at)
		if vectors-at == 3 && most == 2 && all > 2 {
			n = 3
		}
		panels = append(panels, tilePanel{at, n})
		at += n
	}
	return panels
}

// run computes the gradient of a mini-batch.
func (op *filterGradient) run() {
	ws := op.conv.workers
	op.parts = op.partsOf(op.conv.pass.Len())
	ws.do(op.parts*len(op.pieces), op.sumTask)
	ws.do(len(op.pieces), op.reduceTask)
}

func (op *filterGradient) partsOf(samples int) int {
	return gradientParts(samples, len(op.pieces), op.sums)
}

// of returns a piece's sums of a part of the mini-batch.
func (op *filterGradient) of(p *gradientPiece, part int) []float32 {
	ws := op.conv.workers
	return ws.sums[part*op.sums+p.start:][:p.depth*p.vectors*ws.all[0].kernel.Lanes]
}

const (
	// leastGradientTasks is into how many tasks a weight gradient is divided at least if
	// the mini-batch is large enough. There may be up to mostGradientTasks, if they have at
	// most mostGradientSums sums together.
	leastGradientTasks = 16
	mostGradientTasks  = 64
	mostGradientSums   = 1 << 20
)

// gradientSums returns how many sums of all parts there are, about.
func gradientSums(samples, pieces, sums int) float64 {
	return float64(gradientParts(samples, pieces, sums)) * float64(sums)
}

// gradientParts returns into how many parts a mini-batch is cut when a weight gradient is
// computed that has so many pieces, each of which is computed for each part, and so many
// sums for each part. It doesn't depend on the number of threads, so that the gradient
// doesn't either.
func gradientParts(samples, pieces, sums int) int {
	tasks := max(leastGradientTasks, min(mostGradientTasks, mostGradientSums/max(1, sums)*pieces))
	return min(samples, (tasks+pieces-1)/pieces)
}

// sum sums a piece of the gradient over a part of the mini-batch.
func (op *filterGradient) sum(w *worker, task int) {
	ks := w.kernel
	part, p := task/len(op.pieces), &op.pieces[task%len(op.pieces)]
	sums, width := op.of(p, part), p.vectors*ks.Lanes
	first, end := part*op.conv.pass.Len()/op.parts, (part+1)*op.conv.pass.Len()/op.parts
	if op.taps != nil {
		op.sumBlocks(ks, sums, p, first, end)
		return
	}
	distance := op.conv.node.Window.OutH * op.conv.node.Window.OutW * ks.Lanes
	most := ks.Correlations(p.vectors)
	atOnce := max(1, rowsOfImage/op.imageRow)
	for n := first; n < end; n++ {
		x := op.padded.part(w, op.conv.in.values(n), p.blocks.first, p.blocks.end-p.blocks.first)
		dy := op.conv.out.grads(n)[p.first*distance:]
		for row := 0; row < op.height; row += atOnce {
			height := min(atOnce, op.height-row)
			x, dy := x[row*op.imageRow:], dy[row*op.width*ks.Lanes:]
			skip, add := op.imageRow-op.width*op.imageStep, n > first || row > 0
			for i := 0; i < len(p.offsets); i += most {
				rows := p.offsets[i:min(i+most, len(p.offsets))]
				if op.each {
					ks.CorrelateChannels(sums[i*width:], x, rows, op.imageStep, skip, dy, height, op.width, add)
				} else {
					ks.Correlate(p.vectors, sums[i*width:], x, rows, op.imageStep, skip, dy, distance, height, op.width, add)
				}
			}
		}
	}
}

// sumBlocks sums a piece of the gradient over some samples, without padded images.
func (op *filterGradient) sumBlocks(ks *asm.Kernels, sums []float32, piece *gradientPiece, first, end int) {
	clear(sums)
	g, lanes := op.conv.node.Window, ks.Lanes
	in, out := op.conv.in, op.conv.out
	image := op.padded.image
	plane, pitch := image.plane(), image.shape.W*image.lanes
	distance, gradientPitch := g.OutH*g.OutW*lanes, g.OutW*lanes
	width, most := piece.vectors*lanes, ks.BlockCorrelations(piece.vectors)
	imagesAtOnce, rowsAtOnce := max(1, positionsAtOnce/(g.OutH*g.OutW)), max(1, positionsAtOnce/g.OutW)
	for n := first; n < end; n += imagesAtOnce {
		x := in.value[n*in.size:]
		dy := out.grad[n*out.size+piece.first*distance:]
		for row := 0; row < g.OutH; row += rowsAtOnce {
			to := sums
			for some := range piece.channels.blocks(lanes) {
				channels := some.end - some.first
				for _, tap := range op.taps {
					top, bottom := max(row, tap.top), min(row+rowsAtOnce, tap.bottom)
					if top >= bottom || tap.left >= tap.right {
						to = to[channels*width:]
						continue
					}
					p := asm.Positions{
						Images: min(imagesAtOnce, end-n), Height: bottom - top, Width: tap.right - tap.left,
						Step: g.StrideW * image.lanes, Row: g.StrideH * pitch, Next: in.size,
						GradientRow: gradientPitch, GradientNext: out.size,
					}
					if p.Row == p.Width*p.Step && p.GradientRow == p.Width*lanes { // rows follow one another without a gap
						p.Height, p.Width = 1, p.Height*p.Width
					}
					x := x[some.first/lanes*plane+some.first%lanes+(top*g.StrideH+tap.down)*pitch+(tap.left*g.StrideW+tap.across)*image.lanes:]
					dy := dy[top*gradientPitch+tap.left*lanes:]
					for c := 0; c < channels; c += most {
						rows := min(most, channels-c)
						ks.CorrelateBlock(rows, piece.vectors, to, x[c:], dy, distance, p, true)
						to = to[rows*width:]
					}
				}
			}
		}
	}
}

// reduce adds up a piece of the weight gradients of all parts, and writes it in the
// order of the weights. Sums between groups are left out.
func (op *filterGradient) reduce(w *worker, piece int) {
	lanes, p := w.kernel.Lanes, &op.pieces[piece]
	sums := op.of(p, 0)
	for part := 1; part < op.parts; part++ {
		w.kernel.Add(sums, op.of(p, part))
	}
	area := op.conv.node.Window.KernelH * op.conv.node.Window.KernelW
	filters, width, grad := op.grouping.filtersOf(p.tilePanel, lanes), p.vectors*lanes, op.conv.weight.grad
	if op.each {
		for place := range area {
			for f := filters.first; f < filters.end; f++ {
				grad[f*area+place] = sums[place*width+f-filters.first]
			}
		}
		return
	}
	for some := range p.channels.blocks(lanes) {
		for place := range area {
			for c := some.first; c < some.end; c++ {
				own, _, channel, _ := op.grouping.group(c, filters)
				for f := own.first; f < own.end; f++ {
					grad[(f*op.grouping.channels+channel)*area+place] = sums[f-filters.first]
				}
				sums = sums[width:]
			}
		}
	}
}

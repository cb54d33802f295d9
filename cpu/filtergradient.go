package cpu

import "github.com/gputrain/gputrain/cpu/asm"

// filterGradient computes the gradient of the weights of a convolution of images in
// blocks: for each weight, the sum over all positions and samples of a value of the
// image times the gradient of the output. Such sums stay in registers for many
// positions.
//
// Usually they are those of some channels of a block and one place of the kernel, over
// the positions that take a value inside of the image. Where blocks have few channels,
// they are those of several places of the kernel, over all positions of a padded image.
type filterGradient struct {
	conv       *blockConv
	each       bool // each channel has a filter of its own
	groups     int
	channels   int           // of a group
	filters    int           // of a group
	taps       []gradientTap // places of the kernel; nil with padded images
	padded     paddedImage
	rows       []int32     // offsets in a padded image, of the weights of a filter
	panels     []tilePanel // of a group's filters
	imageRow   int         // values from what a position takes to what the position below it takes
	imageStep  int         // the same for the position at its right
	height     int         // rows of positions, which may be one for all positions
	width      int         // positions of a row
	parts      int
	sumTask    func(w *worker, task int)
	reduceTask func(w *worker, piece int)
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
	few := 2*op.channels < ks.Lanes
	if !op.each && !few {
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
	for c := 0; c < op.channels; c += ks.Lanes {
		for r := range g.KernelH {
			for s := range g.KernelW {
				at := c/ks.Lanes*op.padded.plane() + r*g.DilationH*pitch + s*g.DilationW*in.lanes
				for l := range min(ks.Lanes, op.channels-c) {
					op.rows = append(op.rows, int32(at+l))
				}
			}
		}
	}
	// A panel as wide as the most rows allow, so that each value that is loaded is used often.
	most := min(2, ks.CorrelateVectors())
	switch {
	case op.each:
		most = 1
	case op.taps != nil:
		most = ks.CorrelateVectors()
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
	ws.reserveSums(op.parts * op.pieceStart(op.pieces()))
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

func (op *filterGradient) partsOf(samples int) int {
	return gradientParts(samples, op.pieces(), op.pieceStart(op.pieces()))
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
	part, piece := task/op.pieces(), task%op.pieces()
	group, panel := piece/len(op.panels), op.panels[piece%len(op.panels)]
	last := op.panels[len(op.panels)-1]
	width := panel.vectors * ks.Lanes
	all := op.pieceStart(op.pieces())
	sums := op.conv.workers.sums[part*all+op.pieceStart(piece):]
	first, end := part*op.conv.pass.Len()/op.parts, (part+1)*op.conv.pass.Len()/op.parts
	if op.taps != nil {
		op.sumBlocks(ks, sums[:op.pieceStart(piece+1)-op.pieceStart(piece)], group, panel, first, end)
		return
	}
	distance := op.conv.node.Window.OutH * op.conv.node.Window.OutW * ks.Lanes
	most := ks.Correlations(panel.vectors)
	blocks := (op.channels + ks.Lanes - 1) / ks.Lanes // that the piece takes
	block := group * blocks
	if op.each {
		block = panel.first
	}
	atOnce := max(1, rowsOfImage/op.imageRow)
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

// sumBlocks sums a piece of the gradient over some samples, without padded images.
func (op *filterGradient) sumBlocks(ks *asm.Kernels, sums []float32, group int, panel tilePanel, first, end int) {
	clear(sums)
	g, lanes := op.conv.node.Window, ks.Lanes
	in, out := op.conv.in, op.conv.out
	image := op.padded.image
	plane, pitch := image.plane(), image.shape.W*image.lanes
	distance, gradientPitch := g.OutH*g.OutW*lanes, g.OutW*lanes
	blocks := (op.channels + lanes - 1) / lanes
	last := op.panels[len(op.panels)-1]
	width, most := panel.vectors*lanes, ks.BlockCorrelations(panel.vectors)
	imagesAtOnce, rowsAtOnce := max(1, positionsAtOnce/(g.OutH*g.OutW)), max(1, positionsAtOnce/g.OutW)
	for n := first; n < end; n += imagesAtOnce {
		x := in.value[n*in.size+group*blocks*plane:]
		dy := out.grad[n*out.size+(group*(last.first+last.vectors)+panel.first)*distance:]
		for row := 0; row < g.OutH; row += rowsAtOnce {
			to := sums
			for block := 0; block < op.channels; block += lanes {
				channels := min(lanes, op.channels-block)
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
					x := x[block/lanes*plane+(top*g.StrideH+tap.down)*pitch+(tap.left*g.StrideW+tap.across)*image.lanes:]
					dy := dy[top*gradientPitch+tap.left*lanes:]
					for c := 0; c < channels; c += most {
						rows := min(most, channels-c)
						ks.CorrelateBlock(rows, panel.vectors, to, x[c:], dy, distance, p, true)
						to = to[rows*width:]
					}
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
	partial := op.conv.workers.sums // by part and piece: (rows, filters of the panel)
	sums := partial[from:][:n]
	for part := 1; part < op.parts; part++ {
		w.kernel.Add(sums, partial[part*all+from:][:n])
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

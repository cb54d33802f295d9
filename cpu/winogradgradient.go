package cpu

import "github.com/gputrain/gputrain/cpu/asm"

// winogradGradient computes the gradient of a convolution's weights from tiles, like
// winograd computes its output: tiles of the image and of the output's gradient are
// transformed, multiplied and summed over all tiles. The sums are transformed back. For
// each pair of points this is a matrix product, (channels x tiles) x (tiles x filters).
// With 3x3 filters a tile takes 36 multiplications instead of 144, and with 5x5 filters
// 36 instead of 100.
type winogradGradient struct {
	conv     *blockConv
	geometry *winograd // of the tiles
	blocks   int       // of channels
	vectors  int       // of filters
	depth    []span    // blocks of channels of a piece
	width    []span    // vectors of filters of a piece
	panels   [][]tilePanel
	parts    int // of the mini-batch
	cuts     int // of a piece's channels, when the sums are transformed back
	atOnce   int // rows of tiles

	back                []float32 // transforms sums: (kernel area, points)
	sumTask, finishTask func(w *worker, task int)
}

// spans divides n things into as few spans of at most the given number as possible.
func spans(n, most int) []span {
	count := (n + most - 1) / most
	list := make([]span, count)
	for i := range list {
		list[i] = span{i * n / count, (i + 1) * n / count}
	}
	return list
}

// pieceChannels is how many channels and how many filters a piece of a gradient has at
// most. Its sums stay in the L2 cache.
const pieceChannels = 64

// newWinogradGradient plans the gradient, and takes its memory. It returns nil if there is
// no kernel, or if it would not be faster.
func newWinogradGradient(conv *blockConv, batch int) *winogradGradient {
	ws, node := conv.workers, conv.node
	ks := ws.all[0].kernel
	g := winogradTiles(ks, node, node.In, node.Out, false)
	if g == nil {
		return nil
	}
	lanes := ks.Lanes
	op := &winogradGradient{
		conv: conv, geometry: g,
		blocks: (node.In.C + lanes - 1) / lanes, vectors: (node.Out.C + lanes - 1) / lanes,
	}
	op.depth, op.width = spans(op.blocks, max(1, pieceChannels/lanes)), spans(op.vectors, max(1, pieceChannels/lanes))
	if !op.pays(lanes) {
		return nil
	}
	var deep, wide int // the largest pieces
	for _, s := range op.depth {
		deep = max(deep, s.end-s.first)
	}
	for _, s := range op.width {
		var panels []tilePanel
		most := ks.CorrelateVectors()
		for at := s.first; at < s.end; at += most {
			panels = append(panels, tilePanel{at - s.first, min(most, s.end-at)})
		}
		op.panels = append(op.panels, panels)
		wide = max(wide, s.end-s.first)
	}
	op.atOnce = max(1, mostTiles/g.across)
	op.parts = op.partsOf(batch)
	ws.reserveSums(op.parts * op.sums())
	area := g.size * g.size
	transform := g.kernel.FilterTransform()
	for i := range area {
		for p := range winogradProducts {
			op.back = append(op.back, transform[p*area+i])
		}
	}
	tiles := op.atOnce * g.across
	ws.reserveTiles(area*lanes, max(asm.WinogradPoints*node.In.W, g.kernel.Outputs*(g.outW+1))*lanes, asm.WinogradPoints*g.image.width*lanes,
		winogradProducts*pointStride(deep*tiles, lanes), winogradProducts*pointStride(wide*tiles, lanes))
	op.sumTask, op.finishTask = op.sum, op.finishPart
	return op
}

// pays reports whether this way needs clearly fewer vector instructions than
// filterGradient; see the method of winograd. A transform of a tile of the gradient takes
// about as many as one of the image. Products take a quarter more, because their sums are
// read and written for each group of tiles, and few channels take as much as eight. These
// numbers are estimates.
func (op *winogradGradient) pays(lanes int) bool {
	g := op.geometry
	tiles := g.down * g.across
	products := winogradProducts * tiles * max(op.conv.node.In.C, 8) * op.vectors * 5 / 4
	transforms := 20 * (g.down*g.image.width + asm.WinogradPoints*tiles) * (op.blocks*len(op.width) + op.vectors*len(op.depth))
	calls := callCost * g.moreRuns() * asm.WinogradPoints * (op.blocks*len(op.width) + op.vectors*len(op.depth))
	other := g.outH * g.outW * g.size * g.size * max(op.conv.node.In.C, lanes/2) * op.vectors
	return 10*(products+transforms+calls) < 9*other
}

// leastTileOutputs decides how many tiles a mini-batch must have: 32 of 4x4 positions, or
// 64 of 2x2. The fewer tiles a sum has, the more the rounding of the transforms counts: for
// 32 tiles of 4x4 the error is about twice that of a direct sum, for a single one over five
// times.
const leastTileOutputs = 128

// suits reports whether a mini-batch of so many samples is large enough.
func (op *winogradGradient) suits(samples int) bool {
	g := op.geometry
	return samples*g.down*g.across*g.kernel.Outputs >= leastTileOutputs
}

// pieces returns into how many pieces the gradient is cut.
func (op *winogradGradient) pieces() int { return len(op.depth) * len(op.width) }

// sums returns how many sums there are for a part of the mini-batch.
func (op *winogradGradient) sums() int {
	return winogradProducts * op.conv.node.In.C * op.vectors * op.conv.workers.all[0].kernel.Lanes
}

func (op *winogradGradient) partsOf(samples int) int {
	return gradientParts(samples, op.pieces(), op.sums())
}

// run computes the gradient of a mini-batch.
func (op *winogradGradient) run() {
	ws := op.conv.workers
	op.parts = op.partsOf(op.conv.pass.Len())
	ws.do(op.parts*op.pieces(), op.sumTask)
	op.cuts = (leastFinishTasks + op.pieces() - 1) / op.pieces()
	ws.do(op.pieces()*op.cuts, op.finishTask)
}

// piece returns what belongs to a piece: blocks of channels, vectors of filters with their
// panels, the number of its channels, and where its sums of a part are. They are in the
// order (points, panels, channels, filters of the panel).
func (op *winogradGradient) piece(part, piece int) (depth, width span, panels []tilePanel, channels int, sums []float32) {
	lanes := op.conv.workers.all[0].kernel.Lanes
	d, v := piece/len(op.width), piece%len(op.width)
	depth, width, panels = op.depth[d], op.width[v], op.panels[v]
	all := op.conv.node.In.C
	channels = min(depth.end*lanes, all) - depth.first*lanes
	at := winogradProducts * lanes * (depth.first*lanes*op.vectors + channels*width.first)
	sums = op.conv.workers.sums[part*op.sums()+at:][:winogradProducts*channels*(width.end-width.first)*lanes]
	return depth, width, panels, channels, sums
}

// sum sums a piece of the gradient over a part of the mini-batch.
func (op *winogradGradient) sum(w *worker, task int) {
	part, piece := task/op.pieces(), task%op.pieces()
	depth, width, panels, channels, sums := op.piece(part, piece)
	g := op.geometry
	first, end := part*op.conv.pass.Len()/op.parts, (part+1)*op.conv.pass.Len()/op.parts
	for row := first * g.down; row < end*g.down; row += op.atOnce {
		rows := min(op.atOnce, end*g.down-row)
		for i := range rows {
			n := (row + i) / g.down
			image := op.conv.in.values(n)[depth.first*g.image.image.plane():]
			g.transformTiles(w, i*g.across, image, depth.end-depth.first, op.atOnce*g.across, (row+i)%g.down)
			op.transformGradients(w, op.conv.out.grads(n), width, (row+i)%g.down, i*g.across)
		}
		op.multiply(w, sums, depth.end-depth.first, width.end-width.first, panels, channels, rows*g.across, row > first*g.down)
	}
}

// transformGradients transforms a row of tiles of the output's gradient. They get the
// numbers from at on.
func (op *winogradGradient) transformGradients(w *worker, dy []float32, width span, row, at int) {
	g, lanes, columns := op.geometry, w.kernel.Lanes, w.tiles.columns
	m, pitch := g.kernel.Outputs, g.outW*lanes
	edge, column := w.tiles.edges[:m*pitch], w.tiles.edges[m*pitch:]
	vectors := width.end - width.first
	stride := pointStride(vectors*op.atOnce*g.across, lanes)
	top, above := g.vertical.origins[row], g.vertical.shared[row] // rows that belong to the tiles above
	for v := range vectors {
		from, down := dy[((width.first+v)*g.outH+top)*pitch:], g.vertical.dilation*pitch
		if above > 0 {
			clear(edge[:above*pitch])
			for i := above; i < m; i++ {
				copy(edge[i*pitch:(i+1)*pitch], from[i*down:])
			}
			from, down = edge, pitch
		}
		g.kernel.TransformGradient(columns, lanes, pitch, from, lanes, down, g.outW)
		to := w.tiles.filters[(v*op.atOnce*g.across+at)*lanes:]
		for i := range asm.WinogradPoints {
			to := to[i*asm.WinogradPoints*stride:]
			for _, run := range g.horizontal.runs {
				from, across := columns[i*pitch+g.horizontal.origins[run.first]*lanes:], g.horizontal.dilation*lanes
				if before := g.horizontal.shared[run.first]; before > 0 { // columns that belong to the tile before
					clear(column[:before*lanes])
					for k := before; k < m; k++ {
						copy(column[k*lanes:(k+1)*lanes], from[k*across:])
					}
					from, across = column, lanes
				}
				g.kernel.TransformGradient(to[run.first*lanes:], lanes, stride, from, g.step(lanes), across, run.end-run.first)
			}
		}
	}
}

// multiply adds the products of tiles to the sums, or begins with them.
func (op *winogradGradient) multiply(w *worker, sums []float32, blocks, vectors int, panels []tilePanel, channels, tiles int, add bool) {
	ks, lanes := w.kernel, w.kernel.Lanes
	plane := op.atOnce * op.geometry.across * lanes
	positions := asm.Positions{Images: 1, Height: 1, Width: tiles, Step: lanes}
	to := sums
	for p := range winogradProducts {
		x := w.tiles.images[p*pointStride(blocks*plane/lanes, lanes):]
		dy := w.tiles.filters[p*pointStride(vectors*plane/lanes, lanes):]
		for _, panel := range panels {
			width, most := panel.vectors*lanes, ks.BlockCorrelations(panel.vectors)
			for block := 0; block < channels; block += lanes {
				end := min(block+lanes, channels)
				for c := block; c < end; c += most {
					rows := min(most, end-c)
					ks.CorrelateBlock(rows, panel.vectors, to, x[block/lanes*plane+c-block:], dy[panel.first*plane:], plane, positions, add)
					to = to[rows*width:]
				}
			}
		}
	}
}

// leastFinishTasks is into how many tasks the last step is cut at least.
const leastFinishTasks = 8

// finishPart adds up the sums of all parts for some of a piece's channels, and transforms
// them to the gradient of the weights.
func (op *winogradGradient) finishPart(w *worker, task int) {
	ks, lanes, g := w.kernel, w.kernel.Lanes, op.geometry
	piece, some := task/op.cuts, part{task % op.cuts, op.cuts}
	depth, width, panels, channels, sums := op.piece(0, piece)
	first, end := some.share(channels)
	if first == end {
		return
	}
	area, node := g.size*g.size, op.conv.node
	stride := channels * (width.end - width.first) * lanes
	most := ks.Rows(1)
	result := w.tiles.filter[:area*lanes]
	for _, panel := range panels {
		at, n := (panel.first*channels+first*panel.vectors)*lanes, (end-first)*panel.vectors*lanes
		for part := 1; part < op.parts; part++ {
			_, _, _, _, more := op.piece(part, piece)
			for p := range winogradProducts {
				ks.Add(sums[p*stride+at:][:n], more[p*stride+at:][:n])
			}
		}
		for c := first; c < end; c++ {
			for v := range panel.vectors {
				from := sums[(panel.first*channels+c*panel.vectors+v)*lanes:]
				for i := 0; i < area; i += most {
					ks.Gemm(min(most, area-i), 1, winogradProducts, op.back[i*winogradProducts:], winogradProducts, 1, from, stride, result[i*lanes:], lanes, false)
				}
				filter := (width.first + panel.first + v) * lanes
				to := op.conv.weight.grad[(filter*node.In.C+depth.first*lanes+c)*area:]
				ks.Transpose(to, node.In.C*area, result, lanes, area, min(lanes, node.Out.C-filter))
			}
		}
	}
}

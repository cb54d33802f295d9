package cpu

import (
	"math"

	"github.com/gputrain/gputrain/cpu/asm"
)

// tiles computes a convolution of images in blocks: the output of one, or the gradient
// with respect to its input, which is a convolution of the output gradient. Tiles of
// some positions of a row by some vectors of filters stay in registers while the taps
// of the kernel and their channels are summed. Nothing is multiplied that is 0 because
// of a stride or a dilation.
type tiles struct {
	workers  *workers
	padded   paddedImage // the input
	out      layout
	phases   []phase
	grouping grouping
	each     bool        // each channel has a filter of its own
	panels   []tilePanel // nil if each
	runs     []panelRun  // of all panels
	weight   *parameter
	// A weight is at filter*filterStride + channel*channelStride + tap, and groupStride
	// further for the next group.
	filterStride, channelStride, groupStride int
	packed                                   int64 // the version of the weights that are packed
	bias                                     []float32
	together                                 int // samples that are computed together; 1 is one by one
	packTask                                 func(w *worker, task int)
}

// phase is some positions of the output, which take the same taps of the kernel. The
// gradient with respect to the input of a convolution with strides has several.
type phase struct {
	first, rows, columns int // the first position, and how many there are
	row, step            int // values from a row to the next, and from a position of a row to the next
	image                int // where the first position takes its values in the padded image
	imageRow, imageStep  int
	places               []int       // of the kernel, one for each tap of a block
	offsets              []int32     // of these taps
	taps                 [][]asm.Tap // of all blocks that the panels of a run take, by run
	weights              []float32   // (panels, blocks that it takes, places, channels of the block, filters of the panel); (blocks, places, channels) if each
	starts               []int       // where a panel's weights begin
}

// tilePanel is some vectors of filters that are computed together.
type tilePanel struct{ first, vectors int }

// panelRun is some panels, one after another, that take the same channels.
type panelRun struct{ panels, channels span }

// axisTap is a place of the kernel along one axis, and how far the value that it takes
// lies behind the position's own.
type axisTap struct{ place, offset int }

// axis describes the positions of a phase along one axis.
type axis struct {
	first, positions, step int // of the output
	imageStep              int // from the value that a position takes to the next
	taps                   []axisTap
}

// forwardAxis returns the positions of a convolution's output.
func forwardAxis(size, kernel, stride, dilation, before int) axis {
	a := axis{positions: size, step: 1, imageStep: stride}
	for k := range kernel {
		a.taps = append(a.taps, axisTap{k, k*dilation - before})
	}
	return a
}

// backwardAxes returns the positions of a convolution's input, in as many phases as the
// stride. Position q*stride+f takes the output gradients at q + (f + before -
// k*dilation)/stride, for each k for which that is a whole number.
func backwardAxes(size, kernel, stride, dilation, before int) []axis {
	var axes []axis
	for f := range min(stride, size) {
		a := axis{first: f, positions: (size - f + stride - 1) / stride, step: stride, imageStep: 1}
		for k := kernel - 1; k >= 0; k-- { // from the least offset on
			if at := f + before - k*dilation; at%stride == 0 {
				a.taps = append(a.taps, axisTap{k, at / stride})
			}
		}
		axes = append(axes, a)
	}
	return axes
}

// border returns how many zeros the phases read before the first and behind the last
// of size values.
func border(axes []axis, size int) (before, behind int) {
	for _, a := range axes {
		for _, t := range a.taps {
			before = max(before, -t.offset)
			behind = max(behind, (a.positions-1)*a.imageStep+t.offset-(size-1))
		}
	}
	return before, behind
}

// newTiles plans a convolution of images in layout in, in blocks or narrow, to images in
// layout out, in blocks. batch is the most samples of a mini-batch, and kernelW is the
// width of the kernel.
func newTiles(ws *workers, in, out layout, g grouping, down, across []axis, kernelW, batch int) *tiles {
	t := &tiles{workers: ws, out: out, grouping: g, each: g.depthwise()}
	top, bottom := border(down, in.shape.H)
	left, right := border(across, in.shape.W)
	t.padded = paddedImage{in, top, left, in.shape.H + top + bottom, in.shape.W + left + right}
	ks := ws.all[0].kernel
	lanes, inLanes := ks.Lanes, in.lanes
	pitch := t.padded.width * inLanes
	for _, v := range down {
		for _, h := range across {
			p := phase{
				first: (v.first*out.shape.W + h.first) * lanes, rows: v.positions, columns: h.positions,
				row: v.step * out.shape.W * lanes, step: h.step * lanes,
				image:    top*pitch + left*inLanes,
				imageRow: v.imageStep * pitch, imageStep: h.imageStep * inLanes,
			}
			for _, r := range v.taps {
				for _, s := range h.taps {
					p.places = append(p.places, r.place*kernelW+s.place)
					p.offsets = append(p.offsets, int32(r.offset*pitch+s.offset*inLanes))
				}
			}
			if n := len(p.offsets); n > 0 { // all offsets count from the least one
				least := p.offsets[0]
				p.image += int(least)
				for i := range p.offsets {
					p.offsets[i] -= least
				}
			}
			if p.row == p.columns*p.step && p.imageRow == p.columns*p.imageStep { // rows follow one another without a gap
				p.rows, p.columns = 1, p.rows*p.columns
			}
			t.phases = append(t.phases, p)
		}
	}
	t.together = 1
	if p := &t.phases[0]; !t.each && p.columns < fewPositions && p.rows*p.columns <= 2*fewPositions {
		t.together = min(batch, mostTogether)
	}
	switch {
	case t.padded.plain():
	case t.each:
		ws.reserve(t.planesAtOnce() * t.padded.plane())
	default:
		ws.reserve(t.together * t.padded.size())
	}
	t.plan(ks)
	t.packTask = t.pack
	return t
}

// fewPositions is below how many positions of a row tiles would be too small. If the image
// is small, too, they are made of positions of several samples.
const fewPositions = 8

// plan divides the filters into panels, and takes the memory for their weights.
func (t *tiles) plan(ks *asm.Kernels) {
	t.bias = make([]float32, t.out.blocks()*ks.Lanes)
	if t.each {
		for i := range t.phases {
			p := &t.phases[i]
			p.weights = make([]float32, t.out.blocks()*len(p.places)*ks.Lanes)
		}
		return
	}
	columns := t.phases[0].columns // of the other phases at most this many
	if t.together > 1 {
		columns = t.together
	}
	t.panels = t.grouping.panels(ks.Lanes, func(vectors int) []tilePanel {
		panels, _ := panelsOf(ks, vectors, columns)
		return panels
	})
	for k, panel := range t.panels {
		channels := t.grouping.takes(panel, ks.Lanes)
		if k == 0 || channels != t.runs[len(t.runs)-1].channels {
			t.runs = append(t.runs, panelRun{span{k, k}, channels})
		}
		t.runs[len(t.runs)-1].panels.end++
	}
	for i := range t.phases {
		p := &t.phases[i]
		size := 0
		for _, run := range t.runs {
			p.taps = append(p.taps, blockTaps(run.channels, t.padded.image.lanes, t.padded.plane(), p.offsets))
			for _, panel := range t.panels[run.panels.first:run.panels.end] {
				p.starts = append(p.starts, size)
				size += panel.vectors * ks.Lanes * len(p.places) * (run.channels.end - run.channels.first)
			}
		}
		p.weights = make([]float32, size)
	}
}

// panelsOf divides vectors of filters into panels of the width that suits rows of the
// given number of positions best. It also returns what a row costs then.
func panelsOf(ks *asm.Kernels, vectors, positions int) (best []tilePanel, least float64) {
	least = math.Inf(1)
	for most := ks.ConvolveVectors(); most >= 1; most-- {
		var panels []tilePanel
		var cost float64
		for at := 0; at < vectors; at += most {
			p := tilePanel{at, min(most, vectors-at)}
			panels = append(panels, p)
			n := tilesOf(positions, ks.Positions(p.vectors))
			for i := range n {
				cost += tileCost(tileOf(positions, n, i+1)-tileOf(positions, n, i), p.vectors)
			}
		}
		if cost < least {
			best, least = panels, cost
		}
	}
	return best, least
}

// tilesOf returns how many tiles of at most the given number share the positions.
func tilesOf(positions, most int) int { return (positions + most - 1) / most }

// tileOf returns where tile i of n begins, if they share the positions evenly. The larger
// tiles are the first.
func tileOf(positions, n, i int) int { return positions/n*i + min(i, positions%n) }

// alike returns how many of n tiles, from tile i on and before end, are as large as tile i.
func alike(positions, n, i, end int) int {
	if larger := positions % n; i < larger {
		return min(larger, end) - i
	}
	return end - i
}

// tilesOfRow returns some of n tiles that share the positions of a row: those from tile i on,
// before end, that one call computes. yStep and xStep are from a position to the next. y and
// x are where the first one writes and reads.
func tilesOfRow(positions, yStep, xStep, n, i, end int) (t asm.Tiles, y, x int) {
	at := tileOf(positions, n, i)
	size := tileOf(positions, n, i+1) - at
	t = asm.Tiles{Positions: size, Count: alike(positions, n, i, end), YStep: yStep, XStep: xStep, YNext: size * yStep, XNext: size * xStep}
	return t, at * yStep, at * xStep
}

// tilesOfRows is tilesOfRow for several rows of a phase. Tiles are numbered down the rows,
// and then to the next of n tiles in a row.
func (p *phase) tilesOfRows(rows, n, from, end int) (t asm.Tiles, y, x int) {
	if rows == 1 {
		return tilesOfRow(p.columns, p.step, p.imageStep, n, from, end)
	}
	i, row := from/rows, from%rows
	t, y, x = tilesOfRow(p.columns, p.step, p.imageStep, n, i, i+1)
	t.Count, t.YNext, t.XNext = min(rows-row, end-from), p.row, p.imageRow
	return t, y + row*p.row, x + row*p.imageRow
}

// tileCost estimates how many cycles a tile takes for each channel of a tap: two
// multiply-adds of vectors or two loads begin in a cycle, and a sum is ready for its
// next product after four.
func tileCost(positions, vectors int) float64 {
	return max(float64(positions*vectors)/2, float64(positions+vectors)/2, 4) + 0.5
}

// ready packs the weights if they have changed.
func (t *tiles) ready(version int64, bias *parameter) {
	if t.packed == version {
		return
	}
	t.workers.do(len(t.phases)*max(1, len(t.panels)), t.packTask)
	if bias != nil {
		t.out.each(func(block, channel, channels int) {
			copy(t.bias[block*t.out.lanes:], bias.value[channel:][:channels])
		})
	}
	t.packed = version
}

// pack packs the weights of a panel for one phase. Those between groups stay 0.
func (t *tiles) pack(w *worker, task int) {
	lanes, value := w.kernel.Lanes, t.weight.value
	p := &t.phases[task%len(t.phases)]
	if len(p.places) == 0 {
		return
	}
	if t.each {
		for f := range t.out.shape.C {
			to := p.weights[f/lanes*len(p.places)*lanes+f%lanes:]
			for i, place := range p.places {
				to[i*lanes] = value[f*t.groupStride+place]
			}
		}
		return
	}
	k := task / len(t.phases)
	panel := t.panels[k]
	width, to := panel.vectors*lanes, p.weights[p.starts[k]:]
	filters, channels := t.grouping.filtersOf(panel, lanes), t.grouping.takes(panel, lanes)
	for some := range channels.blocks(lanes) {
		for _, place := range p.places {
			for c := some.first; c < some.end; c++ {
				own, filter, channel, group := t.grouping.group(c, filters)
				from := value[group*t.groupStride+filter*t.filterStride+channel*t.channelStride+place:]
				row := to[own.first-filters.first : own.end-filters.first]
				for f := range row {
					row[f] = from[f*t.filterStride]
				}
				to = to[width:]
			}
		}
	}
}

// rowsOfImage is about how many values of an image are convolved for all panels before
// the next rows are begun, so that they stay in the L2 cache.
const rowsOfImage = 64 << 10

// run convolves an image, and writes a part of the output. how says what is done
// besides.
func (t *tiles) run(w *worker, y, x []float32, how asm.Convolution, part part) {
	if t.each {
		t.runEach(w, y, x, how, part)
		return
	}
	padded := t.padded.of(w, x)
	for i := range t.phases {
		p := &t.phases[i]
		if len(p.places) == 0 {
			t.nothing(p, y, 0, t.out.blocks(), how)
			continue
		}
		for r, run := range t.runs {
			blocks := (run.channels.end - run.channels.first + t.padded.image.lanes - 1) / t.padded.image.lanes
			atOnce := max(1, rowsOfImage/(max(1, p.imageRow)*blocks))
			for first := 0; first < p.rows; first += atOnce {
				t.runRows(w.kernel, p, r, first, min(first+atOnce, p.rows), y, padded, how, part)
			}
		}
	}
}

// runSamples convolves the images of samples from first to the one before end.
func (t *tiles) runSamples(w *worker, y, x samples, first, end int, how asm.Convolution) {
	for ; first < end; first += t.together {
		if n := min(t.together, end-first); n > 1 {
			t.runTogether(w, y, x, first, first+n, how)
		} else {
			t.run(w, y.of(first), x.of(first), how, whole)
		}
	}
}

// runTogether convolves the images of some samples, which are at most t.together. Tiles
// are made of the same position of all samples.
func (t *tiles) runTogether(w *worker, y, x samples, first, end int, how asm.Convolution) {
	ks, distance := w.kernel, t.out.plane()
	images, apart := x.values[first*x.size:], x.size
	if !t.padded.plain() {
		images, apart = w.room, t.padded.size()
		for n := first; n < end; n++ {
			t.padded.fill(ks, images[(n-first)*apart:][:apart], x.of(n), 0, t.padded.image.blocks())
		}
	}
	for i := range t.phases {
		p := &t.phases[i]
		if len(p.places) == 0 {
			for n := first; n < end; n++ {
				t.nothing(p, y.of(n), 0, t.out.blocks(), how)
			}
			continue
		}
		for r, run := range t.runs {
			for k := run.panels.first; k < run.panels.end; k++ {
				panel := t.panels[k]
				bias, y := t.bias[panel.first*ks.Lanes:], y.values[panel.first*distance+p.first:]
				n := tilesOf(end-first, ks.Positions(panel.vectors))
				for i := range n {
					from, to := tileOf(end-first, n, i), tileOf(end-first, n, i+1)
					some := asm.Tiles{
						Positions: to - from, Vectors: panel.vectors, YStep: t.out.size(), XStep: apart, Distance: distance,
						Count: p.columns, YNext: p.step, XNext: p.imageStep,
					}
					for row := range p.rows {
						ks.Convolve(some, y[(first+from)*t.out.size()+row*p.row:], images[from*apart+p.image+row*p.imageRow:], p.taps[r], p.weights[p.starts[k]:], bias, how)
					}
				}
			}
		}
	}
}

// nothing writes the positions of a phase that takes no taps, in some blocks. A bias stands
// only at a convolution's output, which has no such phase.
func (t *tiles) nothing(p *phase, y []float32, first, end int, how asm.Convolution) {
	if how&asm.ConvolveAdd != 0 {
		return
	}
	for b := first; b < end; b++ {
		for row := range p.rows {
			at := y[b*t.out.plane()+p.first+row*p.row:]
			for i := range p.columns {
				clear(at[i*p.step:][:t.out.lanes])
			}
		}
	}
}

// parts returns into how many parts the output can be cut, which is each phase's: by
// tiles, panel after panel.
func (t *tiles) parts(ks *asm.Kernels) int {
	p := &t.phases[0]
	if t.each {
		return t.out.blocks()
	}
	var tiles int
	for _, panel := range t.panels {
		tiles += p.rows * t.tilesAcross(ks, p, panel)
	}
	return tiles
}

// tilesAcross returns how many tiles share the columns of a phase.
func (t *tiles) tilesAcross(ks *asm.Kernels, p *phase, panel tilePanel) int {
	return tilesOf(p.columns, ks.Positions(panel.vectors))
}

// runRows convolves some rows of a phase for the panels of run r.
func (t *tiles) runRows(ks *asm.Kernels, p *phase, r, first, end int, y, padded []float32, how asm.Convolution, part part) {
	var before, all int // tiles
	panels := t.runs[r].panels
	for _, panel := range t.panels[panels.first:panels.end] {
		all += (end - first) * t.tilesAcross(ks, p, panel)
	}
	from, to := part.share(all)
	distance := t.out.plane()
	for k := panels.first; k < panels.end; k++ {
		panel := t.panels[k]
		bias, y := t.bias[panel.first*ks.Lanes:], y[panel.first*distance+p.first:]
		n := t.tilesAcross(ks, p, panel)
		lo, hi := max(0, from-before), min((end-first)*n, to-before)
		before += (end - first) * n
		for lo < hi {
			some, at, source := p.tilesOfRows(end-first, n, lo, hi)
			some.Vectors, some.Distance = panel.vectors, distance
			ks.Convolve(some, y[first*p.row+at:], padded[p.image+first*p.imageRow+source:], p.taps[r], p.weights[p.starts[k]:], bias, how)
			lo += some.Count
		}
	}
}

// roomOfPlanes is about how many values of padded planes a depthwise convolution lays out at
// once, so that they stay in the L1 cache.
const roomOfPlanes = 4 << 10

// planesAtOnce returns how many planes these are.
func (t *tiles) planesAtOnce() int {
	return min(t.padded.image.blocks(), max(1, roomOfPlanes/t.padded.plane()))
}

// runEach convolves an image whose channels have a filter each.
func (t *tiles) runEach(w *worker, y, x []float32, how asm.Convolution, part part) {
	ks, distance, plane := w.kernel, t.out.plane(), t.padded.plane()
	first, end := part.share(t.out.blocks())
	atOnce := end - first
	if !t.padded.plain() {
		atOnce = t.planesAtOnce()
		t.padded.clearBorder(w.room, min(atOnce, end-first))
	}
	for ; first < end; first += atOnce {
		blocks := min(atOnce, end-first)
		planes := x[first*t.padded.image.plane():]
		if !t.padded.plain() {
			t.padded.copyInside(ks, w.room, planes, blocks)
			planes = w.room
		}
		for i := range t.phases {
			p := &t.phases[i]
			if len(p.places) == 0 {
				t.nothing(p, y, first, first+blocks, how)
				continue
			}
			n := tilesOf(p.columns, ks.Positions(1))
			weights, bias := p.weights[first*len(p.places)*ks.Lanes:], t.bias[first*ks.Lanes:]
			for tile := 0; tile < n*p.rows; {
				some, at, source := p.tilesOfRows(p.rows, n, tile, n*p.rows)
				some.Vectors, some.Distance, some.XDistance = blocks, distance, plane
				ks.Depthwise(some, y[first*distance+p.first+at:], planes[p.image+source:], p.offsets, weights, bias, how)
				tile += some.Count
			}
		}
	}
}

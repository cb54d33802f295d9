package cpu

import (
	"math"
	"slices"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// winogradProducts is the number of matrix products: one for each pair of the
// asm.WinogradPoints.
const winogradProducts = asm.WinogradPoints * asm.WinogradPoints

// winograd computes a convolution's output from tiles of the image; see
// asm.Winograd. Tiles are transformed, multiplied by the transformed filters, and
// transformed back. For each pair of points the multiplication is a matrix product,
// (tiles x channels) x (channels x filters). With 5x5 filters this takes 9
// multiplications an output instead of 25. With 3x3 filters it takes 2.25 instead of
// 9.
//
// If the output's size is no multiple of a tile's, the last tile of a row overlaps
// the one before it. Likewise the last row of tiles overlaps the row before it. See
// tileAxis.
type winograd struct {
	workers      *workers
	kernel       *asm.Winograd
	weight       *parameter
	size         int // of a side of the filters
	back         bool
	inputs       int         // channels of the image
	outputs      int         // channels of the output
	image        paddedImage // the input with the border of zeros that the output takes
	bordered     bool        // images come with this border
	outH, outW   int
	vertical     tileAxis
	horizontal   tileAxis
	down, across int // tiles
	rows         int // rows of tiles that are computed together

	panels    []tilePanel
	vectors   int       // of filters
	blocks    []asm.Tap // of channels
	weights   []float32 // (points, panels, channels, filters of the panel)
	bias      []float32 // of all filters; 0 for filters that only fill up a vector
	zeros     []float32 // as many
	packed    int64     // the version of the weights that are packed
	transform []float32 // transforms filters: (points, kernel area)

	packTask func(w *worker, channel int)
}

// tileAxis says where tiles lie along one axis of the output. A dilated convolution is made
// of as many convolutions as the dilation says, each of which takes and gives every so
// many-th position. Each has tiles of its own.
type tileAxis struct {
	dilation int
	origins  []int  // of each tile: the position of its first output; the others follow a dilation apart
	shared   []int  // of each tile: how many of its outputs the tile before it computes, too
	runs     []span // tiles that follow one another without sharing
}

// newTileAxis returns the tiles of so many outputs each along an axis of the given size. It
// returns false if the axis is too short.
func newTileAxis(size, outputs, dilation int) (a tileAxis, ok bool) {
	a.dilation = dilation
	for first := range dilation {
		n := (size - first + dilation - 1) / dilation
		if n < outputs {
			return a, false
		}
		at := len(a.origins)
		for i := 0; i+outputs <= n; i += outputs {
			a.add(first+i*dilation, 0)
		}
		a.runs = append(a.runs, span{at, len(a.origins)})
		if rest := n % outputs; rest > 0 {
			a.add(first+(n-outputs)*dilation, outputs-rest)
			a.runs = append(a.runs, span{len(a.origins) - 1, len(a.origins)})
		}
	}
	return a, true
}

func (a *tileAxis) add(origin, shared int) {
	a.origins, a.shared = append(a.origins, origin), append(a.shared, shared)
}

// mostTiles is the most tiles that are computed together, so that they and their
// products stay in the caches.
const mostTiles = 32

// newWinograd returns what computes the output of a convolution or, with back, the
// gradient with respect to its input. That is a convolution of the output gradient with
// filters that are turned by 180 degrees and whose channels and filters have changed
// places. in and out are what it takes and computes, and batch is the most samples of a
// mini-batch. It returns nil if there is no kernel, or if it would not be faster.
func newWinograd(ws *workers, weight *parameter, node net.Node, in, out net.Shape, back bool, batch int) *winograd {
	ks := ws.all[0].kernel
	g := winogradTiles(ks, node, in, out, back)
	if g == nil || !g.pays(ks.Lanes) {
		return nil
	}
	lanes := ks.Lanes
	g.workers, g.weight = ws, weight
	g.rows, g.panels = g.rowsTogether(ks, g.down*g.together(batch))
	for b := range g.image.image.blocks() {
		g.blocks = append(g.blocks, asm.Tap{Offset: int32(b * g.capacity() * lanes), Depth: int32(min(lanes, in.C-b*lanes))})
	}
	g.weights = make([]float32, winogradProducts*g.inputs*g.vectors*lanes)
	g.bias, g.zeros = make([]float32, g.vectors*lanes), make([]float32, g.vectors*lanes)
	g.transform = g.kernel.FilterTransform()
	if back {
		area := g.size * g.size
		for p := range winogradProducts {
			slices.Reverse(g.transform[p*area:][:area])
		}
	}
	ws.reserveTiles(g.size*g.size*lanes, asm.WinogradPoints*g.image.width*lanes, asm.WinogradPoints*g.image.width*lanes,
		winogradProducts*pointStride(len(g.blocks)*g.capacity(), lanes), winogradProducts*pointStride(g.vectors*g.capacity(), lanes))
	g.packTask = g.pack
	return g
}

// winogradTiles returns the geometry of newWinograd's tiles alone, or nil if there is no
// kernel.
func winogradTiles(ks *asm.Kernels, node net.Node, in, out net.Shape, back bool) *winograd {
	window := node.Window
	if node.Layer.(*net.Conv).GroupCount() != 1 || window.KernelH != window.KernelW ||
		window.StrideH != 1 || window.StrideW != 1 {
		return nil
	}
	g := &winograd{
		kernel: ks.Winograd(window.KernelW), size: window.KernelW, back: back,
		inputs: in.C, outputs: out.C, outH: out.H, outW: out.W, vectors: (out.C + ks.Lanes - 1) / ks.Lanes,
	}
	if g.kernel == nil {
		return nil
	}
	var high, wide bool
	g.vertical, high = newTileAxis(out.H, g.kernel.Outputs, window.DilationH)
	g.horizontal, wide = newTileAxis(out.W, g.kernel.Outputs, window.DilationW)
	if !high || !wide {
		return nil
	}
	g.down, g.across = len(g.vertical.origins), len(g.horizontal.origins)
	reachH, reachW := (g.size-1)*window.DilationH, (g.size-1)*window.DilationW
	g.image = paddedImage{inBlocks(in, ks.Lanes), window.Top, window.Left, out.H + reachH, out.W + reachW}
	if back {
		g.image.top, g.image.left = reachH-window.Top, reachW-window.Left
	}
	if g.image.top < 0 || g.image.left < 0 || g.image.height < g.image.top+in.H || g.image.width < g.image.left+in.W {
		return nil
	}
	return g
}

// pays reports whether this way needs clearly fewer vector instructions than
// another. A transform of six vectors of inputs takes about 16, and is done twice. A
// tile's outputs take 100. A matrix product takes as many more as if it had 6 more
// channels. The other way fills its vectors with filters. Of 54 shapes that were measured
// in November 2026, with kernels before those of today, those that pass were 1.2 to 3.7
// times as fast this way, and most of the others were slower.
func (g *winograd) pays(lanes int) bool {
	tiles := g.down * g.across
	products := winogradProducts * tiles * (g.inputs + 6) * g.vectors
	transforms := 16*(g.down*g.image.width+asm.WinogradPoints*tiles)*g.image.image.blocks() + 100*tiles*g.vectors
	calls := callCost * g.moreRuns() * (asm.WinogradPoints*g.image.image.blocks() + g.vectors)
	other := g.outH * g.outW * g.size * g.size * g.inputs * g.outputs / lanes
	return 10*(products+transforms+calls) < 9*other
}

// callCost is how many vector instructions take as long as another call of a transform, about.
// It matters for dilations, whose rows of tiles are many runs. Of 11 dilated shapes that were
// measured in November 2026, the eight that pass were 1.1 to 2.4 times as fast this way.
const callCost = 230

// moreRuns returns how many runs all rows of tiles have beyond two each.
func (g *winograd) moreRuns() int { return g.down * max(0, len(g.horizontal.runs)-2) }

// enoughTiles are as many tiles as make a multiplication that is about as fast as one of
// more.
const enoughTiles = 14

// group returns how many samples are best computed together.
func (g *winograd) group() int {
	tiles := g.down * g.across
	if tiles >= enoughTiles {
		return 1
	}
	return min(mostTogether, (2*enoughTiles+tiles-1)/tiles)
}

// together returns how many samples of mini-batches are computed together at most.
func (g *winograd) together(batch int) int { return min(batch, g.group()) }

// rowsTogether returns how many rows of tiles, of all that there are, are multiplied in
// the least time for each, and the panels of filters for that.
func (g *winograd) rowsTogether(ks *asm.Kernels, all int) (rows int, panels []tilePanel) {
	least := math.Inf(1)
	for n := 1; n <= all && (n == 1 || n*g.across <= mostTiles); n++ {
		some, cost := panelsOf(ks, g.vectors, n*g.across)
		if cost /= float64(n); cost < least {
			rows, panels, least = n, some, cost
		}
	}
	return rows, panels
}

// pointStride returns how far apart vectors of one tile are that belong to neighbouring
// pairs of points, each of which has the given number of vectors. It is an odd number of
// vectors, because those of a tile would compete for the same places of the L1 cache if
// they were a power of two apart.
func pointStride(vectors, lanes int) int { return (vectors | 1) * lanes }

// capacity returns how many tiles are computed together at most.
func (g *winograd) capacity() int { return g.rows * g.across }

// ready packs the weights if they have changed.
func (g *winograd) ready(version int64, bias *parameter) {
	if g.packed == version {
		return
	}
	g.workers.do(g.inputs, g.packTask)
	if bias != nil {
		copy(g.bias, bias.value)
	}
	g.packed = version
}

// pack transforms the filters of a channel. Filters that only fill up a vector are 0.
func (g *winograd) pack(w *worker, channel int) {
	ks, area := w.kernel, g.size*g.size
	lanes := ks.Lanes
	stride := g.inputs * g.vectors * lanes // the distance from one pair of points to the next
	filterStride, channelStride := g.inputs*area, area
	if g.back {
		filterStride, channelStride = area, g.outputs*area
	}
	taps, most := w.tiles.filter[:area*lanes], ks.Rows(1)
	for _, panel := range g.panels {
		for v := range panel.vectors {
			first := (panel.first + v) * lanes
			n := min(lanes, g.outputs-first)
			if n < lanes {
				clear(taps)
			}
			ks.Transpose(taps, lanes, g.weight.value[first*filterStride+channel*channelStride:], filterStride, n, area)
			to := g.weights[(panel.first*g.inputs+channel*panel.vectors+v)*lanes:]
			for p := 0; p < winogradProducts; p += most {
				ks.Gemm(min(most, winogradProducts-p), 1, area, g.transform[p*area:], area, 1, taps, lanes, to[p*stride:], stride, false)
			}
		}
	}
}

// winogradPart is a part of the output: rows of tiles, and panels of filters, each from
// the first to the one before the end.
type winogradPart struct{ firstRow, endRow, firstPanel, endPanel int }

// samples are the values of samples in a buffer, size values apart.
type samples struct {
	values []float32
	size   int
}

// of returns the values of sample n.
func (s samples) of(n int) []float32 { return s.values[n*s.size:][:s.size] }

// run convolves images in blocks. y gets a part of the outputs in blocks. Rows of tiles are
// numbered through all samples.
func (g *winograd) run(w *worker, y, x samples, relu bool, p winogradPart) {
	for first := p.firstRow; first < p.endRow; first += g.rows {
		rows := min(g.rows, p.endRow-first)
		for i := range rows {
			g.transformRow(w, x.of((first+i)/g.down), (first+i)%g.down, i*g.across)
		}
		g.multiply(w, rows*g.across, p)
		for i := range rows {
			g.transformBack(w, y.of((first+i)/g.down), (first+i)%g.down, i*g.across, relu, p)
		}
	}
}

// all returns the whole outputs of some samples.
func (g *winograd) all(first, end int) winogradPart {
	return winogradPart{first * g.down, end * g.down, 0, len(g.panels)}
}

// somePanels returns a part of the first sample's output that has all rows.
func (g *winograd) somePanels(p part) winogradPart {
	first, end := p.share(len(g.panels))
	return winogradPart{0, g.down, first, end}
}

// some returns a part of the first sample's output with some of the rows if there are
// enough of them, or else with some panels.
func (g *winograd) some(p part) winogradPart {
	steps := g.steps()
	if p.of > steps {
		return g.somePanels(p)
	}
	first, end := p.share(steps)
	some := winogradPart{first * g.rows, end * g.rows, 0, len(g.panels)}
	if end == steps {
		some.endRow = g.down
	}
	return some
}

// steps returns into how many parts the rows of tiles can be divided. If the last row of
// tiles writes over a part of the one before it, they belong together. With a dilation there
// are several such rows then, and the rows aren't divided.
func (g *winograd) steps() int {
	rows := g.down
	if slices.Max(g.vertical.shared) > 0 {
		if g.vertical.dilation > 1 {
			return 1
		}
		rows--
	}
	return (rows + g.rows - 1) / g.rows
}

// parts returns into how many parts the work can be cut.
func (g *winograd) parts() int { return max(g.steps(), len(g.panels)) }

// vectorsOf returns which vectors of filters a part has, from the first to the one
// before the end.
func (g *winograd) vectorsOf(p winogradPart) (first, end int) {
	if p.firstPanel == p.endPanel {
		return 0, 0
	}
	last := g.panels[p.endPanel-1]
	return g.panels[p.firstPanel].first, last.first + last.vectors
}

// transformRow transforms a row of tiles. They get the numbers from at on.
func (g *winograd) transformRow(w *worker, image []float32, row, at int) {
	g.transformTiles(w, at, image, len(g.blocks), g.capacity(), row)
}

// transformTiles transforms a row of tiles of some blocks of an image. They get the numbers
// from at on, of as many as the capacity.
func (g *winograd) transformTiles(w *worker, at int, image []float32, blocks, capacity, row int) {
	lanes := w.kernel.Lanes
	tiles, columns, edge := w.tiles.images[at*lanes:], w.tiles.columns, w.tiles.edges
	pitch := g.image.width * lanes
	height, width, above, left := g.image.image.shape.H, g.image.image.shape.W, g.image.top, g.image.left*lanes
	if g.bordered {
		height, width, above, left = g.image.height, g.image.width, 0, 0
	}
	line := width * lanes
	stride := pointStride(blocks*capacity, lanes)
	// In the padded image a tile begins where its output does. Its rows from first to the one
	// before end are in the image, which may be none.
	top, distance := g.vertical.origins[row]-above, g.vertical.dilation
	first := min(max(0, (distance-1-top)/distance), asm.WinogradPoints)
	end := max(first, min((height-top+distance-1)/distance, asm.WinogradPoints))
	if right := left + line; left > 0 || right < pitch {
		for i := range asm.WinogradPoints {
			clear(columns[i*pitch:][:left])
			clear(columns[i*pitch+right : (i+1)*pitch])
		}
	}
	for b := range blocks {
		image, from, down := image[b*height*line:], edge, line
		if first == 0 && end == asm.WinogradPoints {
			from, down = image[top*line:], distance*line
		} else {
			clear(edge[:first*line])
			for i := first; i < end; i++ {
				copy(edge[i*line:(i+1)*line], image[(top+i*distance)*line:])
			}
			clear(edge[end*line : asm.WinogradPoints*line])
		}
		g.kernel.TransformInput(columns[left:], lanes, pitch, from, lanes, down, width)
		for i := range asm.WinogradPoints {
			from := columns[i*pitch:]
			to := tiles[i*asm.WinogradPoints*stride+b*capacity*lanes:]
			for _, run := range g.horizontal.runs {
				from := from[g.horizontal.origins[run.first]*lanes:]
				g.kernel.TransformInput(to[run.first*lanes:], lanes, stride, from, g.step(lanes), g.horizontal.dilation*lanes, run.end-run.first)
			}
		}
	}
}

// step returns how far apart neighbouring tiles of a run begin.
func (g *winograd) step(lanes int) int { return g.kernel.Outputs * g.horizontal.dilation * lanes }

// multiply multiplies tiles by filters. For each pair of points this is a convolution of
// size 1 of images whose positions are the tiles.
func (g *winograd) multiply(w *worker, tiles int, part winogradPart) {
	ks, lanes, plane := w.kernel, w.kernel.Lanes, g.capacity()*w.kernel.Lanes
	for p := range winogradProducts {
		x, y := w.tiles.images[p*pointStride(len(g.blocks)*g.capacity(), lanes):], w.tiles.filters[p*pointStride(g.vectors*g.capacity(), lanes):]
		for _, panel := range g.panels[part.firstPanel:part.endPanel] {
			weights := g.weights[(p*g.vectors+panel.first)*g.inputs*lanes:]
			n := tilesOf(tiles, ks.Positions(panel.vectors))
			for i := 0; i < n; {
				some, at, source := tilesOfRow(tiles, lanes, lanes, n, i, n)
				some.Vectors, some.Distance = panel.vectors, plane
				ks.Convolve(some, y[panel.first*plane+at:], x[source:], g.blocks, weights, g.zeros, 0)
				i += some.Count
			}
		}
	}
}

// transformBack computes the outputs of a row of tiles.
func (g *winograd) transformBack(w *worker, y []float32, row, at int, relu bool, part winogradPart) {
	products, lanes := w.tiles.filters, w.kernel.Lanes
	plane := g.capacity() * lanes
	stride, pitch := pointStride(g.vectors*g.capacity(), lanes), g.outW*lanes
	first, end := g.vectorsOf(part)
	for v := first; v < end; v++ {
		y := y[(v*g.outH+g.vertical.origins[row])*pitch:]
		from, bias := products[v*plane+at*lanes:], g.bias[v*lanes:][:lanes]
		for _, run := range g.horizontal.runs {
			y := y[g.horizontal.origins[run.first]*lanes:]
			g.kernel.TransformOutput(y, g.step(lanes), g.vertical.dilation*pitch, g.horizontal.dilation*lanes, from[run.first*lanes:], lanes, stride, bias, relu, run.end-run.first)
		}
	}
}

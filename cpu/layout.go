package cpu

import (
	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// layout says how the values of a sample lie in memory. Either a plane holds one
// channel, or it holds a block of as many channels as a vector has lanes: then the
// values of one position stand side by side, and a plane is a plane of vectors. The
// last block may have lanes without a channel. What is in these lanes has no meaning.
// A narrow image is a block of as many lanes as it has channels.
type layout struct {
	shape net.Shape
	lanes int // channels in a block
}

// planar returns the layout with planes of one channel. It is the layout of package
// net.
func planar(s net.Shape) layout { return layout{s, 1} }

// inBlocks returns the layout in blocks.
func inBlocks(s net.Shape, lanes int) layout { return layout{s, lanes} }

// mostNarrow is how many channels an image has at most whose values lie close together.
const mostNarrow = 4

// narrow returns the layout of images of few channels, in which the values of one position
// stand side by side, and those of the next position follow without a gap.
func narrow(s net.Shape) layout { return layout{s, s.C} }

// canonical returns the planar layout if values in layout l lie in memory just like planar
// ones, and l otherwise. So layouts can be compared.
func (l layout) canonical() layout {
	if l.area() == 1 && l.shape.C%l.lanes == 0 {
		return planar(l.shape)
	}
	return l
}

// area returns how many positions there are.
func (l layout) area() int { return l.shape.H * l.shape.W }

// blocks returns how many planes there are.
func (l layout) blocks() int { return (l.shape.C + l.lanes - 1) / l.lanes }

// plane returns how many values a plane has, and size how many all planes have.
func (l layout) plane() int { return l.area() * l.lanes }
func (l layout) size() int  { return l.blocks() * l.plane() }

// same reports whether values in one of the layouts lie as in the other.
func (l layout) same(m layout) bool {
	return l == m || l.lanes == 1 && m.lanes == 1 && l.size() == m.size()
}

// toBlocks writes the values of src, which are planar, to dst in blocks.
func (l layout) toBlocks(ks *asm.Kernels, dst, src []float32) {
	if l.lanes == 3 && l.shape.C == 3 { // colours, of which there are many
		n := l.area()
		red, green, blue, dst := src[:n], src[n:2*n], src[2*n:3*n], dst[:3*n]
		for i, v := range red {
			to := dst[3*i : 3*i+3 : 3*i+3]
			to[0], to[1], to[2] = v, green[i], blue[i]
		}
		return
	}
	l.each(func(block, channel, channels int) {
		ks.Transpose(dst[block*l.plane():], l.lanes, src[channel*l.area():], l.area(), channels, l.area())
	})
}

// toPlanes is the reverse of toBlocks.
func (l layout) toPlanes(ks *asm.Kernels, dst, src []float32) {
	l.each(func(block, channel, channels int) {
		ks.Transpose(dst[channel*l.area():], l.area(), src[block*l.plane():], l.lanes, l.area(), channels)
	})
}

// each calls visit for each block, with its first channel and how many it holds.
func (l layout) each(visit func(block, channel, channels int)) {
	for b := range l.blocks() {
		first := b * l.lanes
		visit(b, first, min(l.lanes, l.shape.C-first))
	}
}

// conversion changes the layout of a value. One of its two layouts is planar.
type conversion struct {
	in  operand
	out *activations
}

func (op *conversion) forward(w *worker, n int) {
	relayout(w.kernel, op.out, op.in.activations, op.out.at(w, n), op.in.at(w, n))
}

func (op *conversion) backward(w *worker, n int) {
	if !op.in.wanted {
		return
	}
	dx, dy := op.in.grads(n), op.out.grads(n)
	if !op.in.adds {
		relayout(w.kernel, op.in.activations, op.out, dx, dy)
		return
	}
	spare := w.spare[:len(dx)]
	relayout(w.kernel, op.in.activations, op.out, spare, dy)
	w.kernel.Add(dx, spare)
}

// relayout copies values from one layout to another.
func relayout(ks *asm.Kernels, to, from *activations, dst, src []float32) {
	if to.layout.lanes > 1 {
		to.layout.toBlocks(ks, dst, src)
	} else {
		from.layout.toPlanes(ks, dst, src)
	}
}

// paddedImage is an image in blocks with a border of zeros.
type paddedImage struct {
	image         layout
	top, left     int
	height, width int // with the border
}

// plane returns how many values a plane has, and size how many all planes have.
func (p paddedImage) plane() int { return p.height * p.width * p.image.lanes }
func (p paddedImage) size() int  { return p.image.blocks() * p.plane() }

// plain reports whether there is no border.
func (p paddedImage) plain() bool {
	return p.height == p.image.shape.H && p.width == p.image.shape.W
}

// of returns the padded image of x. It is x itself if there is no border; otherwise
// it is in the worker's room, which must be reserved.
func (p paddedImage) of(w *worker, x []float32) []float32 { return p.part(w, x, 0, p.image.blocks()) }

// part returns some blocks of the padded image of x.
func (p paddedImage) part(w *worker, x []float32, first, blocks int) []float32 {
	plane := p.image.plane()
	if p.plain() {
		return x[first*plane:][:blocks*plane]
	}
	padded := w.room[:blocks*p.plane()]
	p.fill(w.kernel, padded, x, first, blocks)
	return padded
}

// fill writes some blocks of the padded image of x to padded.
func (p paddedImage) fill(ks *asm.Kernels, padded, x []float32, first, blocks int) {
	p.clearBorder(padded, blocks)
	p.copyInside(ks, padded, x[first*p.image.plane():], blocks)
}

// clearBorder sets the border of some blocks to 0.
func (p paddedImage) clearBorder(padded []float32, blocks int) {
	row, pitch, begin := p.image.shape.W*p.image.lanes, p.width*p.image.lanes, p.first()
	for b := range blocks {
		to := padded[b*p.plane():][:p.plane()]
		clear(to[:begin])
		for i := range p.image.shape.H {
			at := begin + i*pitch
			clear(to[at+row : min(at+pitch, len(to))])
		}
		clear(to[min(begin+p.image.shape.H*pitch, len(to)):])
	}
}

// copyInside writes the first blocks of x inside the border.
func (p paddedImage) copyInside(ks *asm.Kernels, padded, x []float32, blocks int) {
	shape, lanes := p.image.shape, p.image.lanes
	if lanes == ks.Lanes {
		ks.CopyRows(padded[p.first():], x, asm.Rows{Planes: blocks, Height: shape.H, Width: shape.W, Row: p.width * lanes, Plane: p.plane()})
		return
	}
	row := shape.W * lanes
	for b := range blocks {
		to, from := padded[b*p.plane()+p.first():], x[b*p.image.plane():]
		for i := range shape.H {
			copy(to[i*p.width*lanes:], from[i*row:][:row])
		}
	}
}

// first returns the index in a plane of its first value that is not in the border.
func (p paddedImage) first() int { return (p.top*p.width + p.left) * p.image.lanes }

// write writes the planar image x to padded, block by block, and leaves the border as it
// is. The worker's room must have a plane of the image.
func (p paddedImage) write(w *worker, padded, x []float32) {
	area, lanes := p.image.area(), p.image.lanes
	row, pitch := p.image.shape.W*lanes, p.width*lanes
	p.image.each(func(block, channel, channels int) {
		vectors := w.room[:p.image.plane()]
		if channels < lanes {
			clear(vectors)
		}
		w.kernel.Transpose(vectors, lanes, x[channel*area:], area, channels, area)
		to := padded[block*p.plane()+p.first():]
		for h := range p.image.shape.H {
			copy(to[h*pitch:], vectors[h*row:][:row])
		}
	})
}

// read is the reverse of write.
func (p paddedImage) read(w *worker, x, padded []float32) {
	area, lanes := p.image.area(), p.image.lanes
	row, pitch := p.image.shape.W*lanes, p.width*lanes
	p.image.each(func(block, channel, channels int) {
		vectors, from := w.room[:p.image.plane()], padded[block*p.plane()+p.first():]
		for h := range p.image.shape.H {
			copy(vectors[h*row:], from[h*pitch:][:row])
		}
		w.kernel.Transpose(x[channel*area:], area, vectors, lanes, area, channels)
	})
}

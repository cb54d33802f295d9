package cpu

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// input gathers samples from the data set, each as its view shows it.
type input struct {
	pass  *pass
	shape net.Shape // shape of the network's input
	out   *activations
}

func (op *input) forward(w *worker, n int) {
	data, sample, dst := op.pass.Data, op.pass.Indices[n], op.out.at(w, n)
	if op.pass.Views == nil {
		gather(w, dst, data, sample)
		return
	}
	v := &op.pass.Views[n]
	all := rowRange{0, op.shape.H}
	op.see(w, dst, data, sample, &v.Transform, all)
	if v.Partner < 0 {
		return
	}
	other := w.spare[:len(dst)]
	if v.Box.Empty() { // mixup
		op.see(w, other, data, v.Partner, &v.Other, all)
		w.kernel.Scale(dst, dst, v.Share)
		w.kernel.ScaleAdd(dst, other, 1-v.Share)
		return
	}
	box := inside(v.Box, op.shape) // cutmix
	if box.Empty() {
		return
	}
	op.see(w, other, data, v.Partner, &v.Other, rowRange{int(box.Top), int(box.Bottom)})
	op.eachRow(box, func(lo, hi int) { copy(dst[lo:hi], other[lo:hi]) })
}

func (op *input) backward(*worker, int) {
	panic("BUG: a gradient with respect to the data was asked for")
}

// gather writes a sample as it is.
func gather(w *worker, dst []float32, d *net.Dataset, sample int32) {
	at := d.Row(sample) * len(dst)
	if d.Values != nil {
		copy(dst, d.Values[at:at+len(dst)])
		return
	}
	w.kernel.ScaleBytes(dst, d.Pixels[at:at+len(dst)], d.Scale)
}

// rowRange is the rows first to end-1 of an image.
type rowRange struct{ first, end int }

// inside returns the part of a box that is inside an image.
func inside(b net.Box, s net.Shape) net.Box {
	return net.Box{Left: max(b.Left, 0), Top: max(b.Top, 0), Right: min(b.Right, int32(s.W)), Bottom: min(b.Bottom, int32(s.H))}
}

// eachRow calls do for the values of a box in an input: for each row of each channel,
// with the range of their indices. The box must lie inside the input.
func (op *input) eachRow(box net.Box, do func(lo, hi int)) {
	for c := range op.shape.C {
		for y := int(box.Top); y < int(box.Bottom); y++ {
			at := (c*op.shape.H + y) * op.shape.W
			do(at+int(box.Left), at+int(box.Right))
		}
	}
}

// see writes some rows of a sample, as a transform shows it.
func (op *input) see(w *worker, dst []float32, d *net.Dataset, sample int32, t *net.Transform, r rowRange) {
	if d.Shape == op.shape && t.Plain() {
		gather(w, dst, d, sample) // all rows, which is less work than only some
		return
	}
	size := d.Shape.Size()
	at := d.Row(sample) * size
	if m := &t.Matrix; moves(m) {
		place := move{int(m[0]), int(m[2]), int(m[4]), int(m[5]), t.Border == net.ReflectBorder}
		if d.Values != nil {
			movePixels(op.shape, dst, d.Shape, d.Values[at:at+size], place, r, copyRow, 1)
		} else {
			movePixels(op.shape, dst, d.Shape, d.Pixels[at:at+size], place, r, w.kernel.ScaleBytes, d.Scale)
		}
	} else if d.Values != nil {
		interpolate(w.taps, op.shape, dst, d.Shape, d.Values[at:at+size], 1, t, r)
	} else {
		interpolate(w.taps, op.shape, dst, d.Shape, d.Pixels[at:at+size], d.Scale, t, r)
	}
	if t.Colour != [12]float32{} {
		op.colour(dst, &t.Colour, r)
	}
	if box := inside(t.Erase, op.shape); !box.Empty() {
		op.eachRow(box, func(lo, hi int) { clear(dst[lo:hi]) })
	}
}

func copyRow(dst, src []float32, _ float32) { copy(dst, src) }

// moves reports whether a matrix only moves whole pixels, perhaps mirrored.
func moves(m *[6]float32) bool {
	return (m[0] == 1 || m[0] == -1) && m[1] == 0 && m[3] == 0 && (m[4] == 1 || m[4] == -1) &&
		m[2] == float32(int32(m[2])) && m[5] == float32(int32(m[5]))
}

// move tells where whole pixels come from. Column x comes from columns*x + right, and
// row y comes from rows*y + down. columns and rows are 1, or -1 if mirrored.
type move struct {
	columns, right, rows, down int
	reflect                    bool
}

// movePixels writes some rows of a sample whose whole pixels move. row copies
// neighbouring values of a row, times scale.
func movePixels[T uint8 | float32](in net.Shape, dst []float32, from net.Shape, src []T, m move, r rowRange, row func(dst []float32, src []T, scale float32), scale float32) {
	// Columns lo ... hi-1 come from inside the sample.
	lo, hi := -m.right, from.W-m.right
	if m.columns < 0 {
		lo, hi = m.right-from.W+1, m.right+1
	}
	lo, hi = min(max(lo, 0), in.W), min(max(hi, 0), in.W)
	hi = max(lo, hi)
	for c := range in.C {
		for y := r.first; y < r.end; y++ {
			to := dst[(c*in.H+y)*in.W:][:in.W]
			at := m.rows*y + m.down
			if m.reflect {
				at = reflected(at, from.H)
			} else if at < 0 || at >= from.H {
				clear(to)
				continue
			}
			of := src[(c*from.H+at)*from.W:][:from.W]
			switch {
			case lo == hi:
			case m.columns > 0:
				row(to[lo:hi], of[lo+m.right:hi+m.right], scale)
			default:
				mirrored := of[m.right-hi+1 : m.right-lo+1]
				some := to[lo:hi][:len(mirrored)]
				for i, v := range mirrored {
					some[len(some)-1-i] = float32(v) * scale
				}
			}
			if !m.reflect {
				clear(to[:lo])
				clear(to[hi:])
				continue
			}
			for x := 0; x < len(to); x++ {
				if x == lo {
					if x = hi; x == len(to) {
						break
					}
				}
				to[x] = float32(of[reflected(m.columns*x+m.right, from.W)]) * scale
			}
		}
	}
}

// reflected returns the place in 0 ... size-1 that shows at a place outside, if there
// are mirrors at the middles of the first and the last pixel.
func reflected(at, size int) int {
	if uint(at) < uint(size) {
		return at
	}
	if size == 1 {
		return 0
	}
	period := 2 * (size - 1)
	at %= period
	if at < 0 {
		at += period
	}
	return min(at, period-at)
}

// tap holds the four pixels that a value lies between, by their places in a plane, and
// how much each counts.
type tap struct {
	at     [4]int32
	weight [4]float32
}

// interpolate writes some rows of a sample, times scale. Its values lie between the
// sample's pixels. taps must have room for a row of the input. Places are computed in
// float64, so that they are as exact as the matrix.
func interpolate[T uint8 | float32](taps []tap, in net.Shape, dst []float32, from net.Shape, src []T, scale float32, t *net.Transform, r rowRange) {
	m := &t.Matrix
	reflect := t.Border == net.ReflectBorder
	area := from.H * from.W
	taps = taps[:in.W]
	for y := r.first; y < r.end; y++ {
		column0, row0 := float64(m[1])*float64(y)+float64(m[2]), float64(m[4])*float64(y)+float64(m[5])
		for x := range taps {
			column, row := float64(m[0])*float64(x)+column0, float64(m[3])*float64(x)+row0
			left, top := math.Floor(column), math.Floor(row)
			right, bottom := float32(column-left), float32(row-top)
			x0, y0 := int(left), int(top)
			x1, y1 := x0+1, y0+1
			w := [4]float32{(1 - right) * (1 - bottom) * scale, right * (1 - bottom) * scale, (1 - right) * bottom * scale, right * bottom * scale}
			if x0 < 0 || y0 < 0 || x1 >= from.W || y1 >= from.H {
				if reflect {
					x0, x1, y0, y1 = reflected(x0, from.W), reflected(x1, from.W), reflected(y0, from.H), reflected(y1, from.H)
				} else {
					// A pixel outside the picture counts as 0.
					if uint(x0) >= uint(from.W) {
						x0, w[0], w[2] = 0, 0, 0
					}
					if uint(x1) >= uint(from.W) {
						x1, w[1], w[3] = 0, 0, 0
					}
					if uint(y0) >= uint(from.H) {
						y0, w[0], w[1] = 0, 0, 0
					}
					if uint(y1) >= uint(from.H) {
						y1, w[2], w[3] = 0, 0, 0
					}
				}
			}
			taps[x] = tap{[4]int32{int32(y0*from.W + x0), int32(y0*from.W + x1), int32(y1*from.W + x0), int32(y1*from.W + x1)}, w}
		}
		for c := range in.C {
			plane := src[c*area:][:area]
			to := dst[(c*in.H+y)*in.W:][:len(taps)]
			for x := range taps {
				p := &taps[x]
				to[x] = p.weight[0]*float32(plane[p.at[0]]) + p.weight[1]*float32(plane[p.at[1]]) +
					p.weight[2]*float32(plane[p.at[2]]) + p.weight[3]*float32(plane[p.at[3]])
			}
		}
	}
}

// colour changes the colours of some rows; see net.Transform.
func (op *input) colour(dst []float32, c *[12]float32, r rowRange) {
	area := op.shape.H * op.shape.W
	first, end := r.first*op.shape.W, r.end*op.shape.W
	if op.shape.C != 3 {
		for k := range op.shape.C {
			plane := dst[k*area:][first:end]
			for i, v := range plane {
				plane[i] = min(max(c[0]*v+c[3], 0), 1)
			}
		}
		return
	}
	red := dst[first:end]
	green, blue := dst[area:][first:end][:len(red)], dst[2*area:][first:end][:len(red)]
	for i := range red {
		r, g, b := red[i], green[i], blue[i]
		red[i] = min(max(c[0]*r+c[1]*g+c[2]*b+c[3], 0), 1)
		green[i] = min(max(c[4]*r+c[5]*g+c[6]*b+c[7], 0), 1)
		blue[i] = min(max(c[8]*r+c[9]*g+c[10]*b+c[11], 0), 1)
	}
}

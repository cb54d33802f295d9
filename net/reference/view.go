package reference

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// Input returns the input of a network for a batch, in NCHW order. in is the shape of one
// sample. Each sample is as its view shows it.
func Input(b net.Batch, in net.Shape) []float64 {
	var x []float64
	for i, sample := range b.Indices {
		v := net.PlainView()
		if b.Views != nil {
			v = b.Views[i]
		}
		x = append(x, See(b.Data, sample, v, in)...)
	}
	return x
}

// See returns a sample of a data set as a view shows it. in is the shape of the network's
// input. The sample is transformed, and mixed with the view's partner if there is one.
func See(d *net.Dataset, sample int32, v net.View, in net.Shape) []float64 {
	x := transformed(d, sample, v.Transform, in)
	if v.Partner < 0 {
		return x
	}
	other := transformed(d, v.Partner, v.Other, in)
	own := float64(v.Share)
	for i := range x {
		column, row := i%in.W, i/in.W%in.H
		switch {
		case v.Box.Empty(): // mixup
			x[i] = own*x[i] + (1-own)*other[i]
		case v.Box.Has(int32(column), int32(row)): // cutmix
			x[i] = other[i]
		}
	}
	return x
}

// transformed returns a sample as a transform shows it. The transform holds float32
// values, but all is computed in float64.
func transformed(d *net.Dataset, sample int32, t net.Transform, in net.Shape) []float64 {
	picture := make([]float32, d.Shape.Size())
	d.Gather(picture, []int32{sample})
	area := in.H * in.W
	out := make([]float64, in.C*area)
	m := t.Matrix
	for y := range in.H {
		for x := range in.W {
			column := float64(m[0])*float64(x) + float64(m[1])*float64(y) + float64(m[2])
			row := float64(m[3])*float64(x) + float64(m[4])*float64(y) + float64(m[5])
			pixel := make([]float64, in.C)
			for c := range pixel {
				pixel[c] = between(picture[c*d.Shape.H*d.Shape.W:], d.Shape, t.Border, column, row)
			}
			if t.Colour != [12]float32{} {
				pixel = coloured(pixel, t.Colour)
			}
			for c, v := range pixel {
				if !t.Erase.Has(int32(x), int32(y)) {
					out[c*area+y*in.W+x] = v
				}
			}
		}
	}
	return out
}

// between returns the value of a picture's plane at a place between four pixels, by
// bilinear interpolation. A pixel with weight 0 is not read. So pixels that move by whole
// pixels keep their values.
func between(plane []float32, s net.Shape, border net.Border, column, row float64) float64 {
	left, top := math.Floor(column), math.Floor(row)
	right, bottom := column-left, row-top // the weights of the right and the lower neighbours
	var sum float64
	for _, p := range []struct{ x, y, weight float64 }{
		{left, top, (1 - right) * (1 - bottom)},
		{left + 1, top, right * (1 - bottom)},
		{left, top + 1, (1 - right) * bottom},
		{left + 1, top + 1, right * bottom},
	} {
		x, y := int(p.x), int(p.y)
		if border == net.ReflectBorder {
			x, y = reflected(x, s.W), reflected(y, s.H)
		}
		if p.weight > 0 && x >= 0 && x < s.W && y >= 0 && y < s.H {
			sum += p.weight * float64(plane[y*s.W+x])
		}
	}
	return sum
}

// reflected maps a place to one in 0 ... size-1, as if mirrors stood at the middles of the
// first and the last pixel: 2 1 0 1 2 1 0 for a size of 3. With size 1 it is always 0.
func reflected(at, size int) int {
	if size == 1 {
		return 0
	}
	period := 2 * (size - 1)
	at = (at%period + period) % period
	return min(at, period-at)
}

// coloured returns a pixel with its colours changed, see Colour of [net.Transform].
func coloured(pixel []float64, c [12]float32) []float64 {
	out := make([]float64, len(pixel))
	for i, v := range pixel {
		if len(pixel) == 3 {
			row := c[4*i : 4*i+4]
			v = float64(row[0])*pixel[0] + float64(row[1])*pixel[1] + float64(row[2])*pixel[2] + float64(row[3])
		} else {
			v = float64(c[0])*v + float64(c[3])
		}
		out[i] = min(max(v, 0), 1) // NaN stays NaN
	}
	return out
}

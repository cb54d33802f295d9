package reference

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// Input returns what a network of that input takes of a batch: the samples one after
// the other, in NCHW order, each as its view shows it.
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

// See returns a sample of a data set as a view shows it to a network of input in: the
// sample itself, transformed, or mixed with the view's partner.
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

// transformed returns a sample as a transform shows it. The transform's values are
// float32; what is made of them is computed in float64.
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

// between returns the value of a plane of a picture at a place that lies between four
// pixels: each counts by how near it is, in columns and in rows. One that counts
// nothing is not looked at, so that pixels that merely move stay as they are.
func between(plane []float32, s net.Shape, border net.Border, column, row float64) float64 {
	left, top := math.Floor(column), math.Floor(row)
	right, bottom := column-left, row-top // how much the neighbours there count
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

// reflected returns where a place outside 0 ... size-1 is seen in mirrors at the
// middles of the first and the last pixel: 2 1 0 1 2 1 0 for a size of 3. A single
// pixel is seen everywhere.
func reflected(at, size int) int {
	if size == 1 {
		return 0
	}
	period := 2 * (size - 1)
	at = (at%period + period) % period
	return min(at, period-at)
}

// coloured returns a pixel with other colours, see net.Transform.
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

// Package raster makes images of numbers: samples as they are, filters and
// feature maps in colours, many of them on one sheet; as PNG files and as data
// URIs for a page.
package raster

import (
	"bytes"
	"encoding/base64"
	"html/template"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
)

// Sample draws a sample of c channels, h rows and w columns, its values from 0 to
// 1 in CHW order: in colour for 3 channels, else in grey, of other numbers of
// channels the mean.
func Sample(values []float32, c, h, w int) image.Image {
	if c == 3 {
		return rgb(values, h, w, func(v float32) float64 { return float64(v) })
	}
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range h * w {
		sum := 0.0
		for k := range c {
			sum += float64(values[k*h*w+i])
		}
		img.Pix[i] = level(sum / float64(c))
	}
	return img
}

// Filter draws a filter over images: of one channel in the scale's colours, of
// three in the colours to which it answers, mid grey where it is 0.
func Filter(weights []float32, c, h, w int, s Scale) image.Image {
	if c == 3 {
		return rgb(weights, h, w, func(v float32) float64 { return 0.5 + 0.5*s.share(v) })
	}
	return Plane(weights, h, w, s)
}

func rgb(values []float32, h, w int, share func(float32) float64) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range h * w {
		for k := range 3 {
			img.Pix[4*i+k] = level(share(values[k*h*w+i]))
		}
		img.Pix[4*i+3] = 255
	}
	return img
}

// level is a share of 1 as a byte.
func level(share float64) uint8 { return uint8(math.Round(255 * min(max(share, 0), 1))) }

// Plane draws h rows of w values in a scale's colours. Values that are missing at
// the end stay transparent.
func Plane(values []float32, h, w int, s Scale) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range min(h*w, len(values)) {
		img.SetNRGBA(i%w, i/w, s.Colour(values[i]))
	}
	return img
}

// Scale gives values colours: from 0 to Max, or from -Max to Max.
type Scale struct {
	Max    float64
	Signed bool
}

// ScaleOf returns the scale for some values: signed if one is negative. NaN and
// infinities don't count.
func ScaleOf(values []float32) Scale {
	var s Scale
	for _, v := range values {
		if v-v == 0 {
			s.Max = max(s.Max, math.Abs(float64(v)))
			s.Signed = s.Signed || v < 0
		}
	}
	return s
}

// share is a value's place from 0 to 1, or from -1 to 1; 0 where all values are.
func (s Scale) share(v float32) float64 {
	if s.Max == 0 {
		return 0
	}
	return float64(v) / s.Max
}

// Two scales of colours. That of values from 0 on rises evenly from black to light
// yellow, so that it reads in grey too; the signed one goes from blue for negative
// values through almost white to red. Missing marks NaN and infinities.
var (
	rising  = []color.NRGBA{{6, 6, 16, 255}, {48, 18, 92, 255}, {114, 31, 129, 255}, {183, 55, 121, 255}, {241, 96, 93, 255}, {254, 159, 109, 255}, {252, 253, 191, 255}}
	falling = []color.NRGBA{{244, 243, 240, 255}, {174, 205, 230, 255}, {92, 150, 203, 255}, {37, 98, 165, 255}, {14, 52, 105, 255}}
	growing = []color.NRGBA{{244, 243, 240, 255}, {244, 190, 163, 255}, {224, 120, 94, 255}, {184, 50, 56, 255}, {112, 14, 32, 255}}
	missing = color.NRGBA{0, 200, 90, 255}
)

// Colour returns a value's colour; what lies outside the scale has that of its
// end.
func (s Scale) Colour(v float32) color.NRGBA {
	if v-v != 0 {
		return missing
	}
	at := s.share(v)
	switch {
	case !s.Signed:
		return between(rising, at)
	case at < 0:
		return between(falling, -at)
	}
	return between(growing, at)
}

// between returns the colour at a share of the way along some colours.
func between(colours []color.NRGBA, at float64) color.NRGBA {
	last := len(colours) - 1
	x := min(max(at, 0), 1) * float64(last)
	i := min(int(x), last-1)
	a, b, t := colours[i], colours[i+1], x-float64(i)
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + t*(float64(b)-float64(a)))) }
	return color.NRGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}
}

// Legend draws a scale's colours from its least value to its greatest.
func (s Scale) Legend(w, h int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for x := range w {
		at := (float64(x) + 0.5) / float64(w)
		if s.Signed {
			at = 2*at - 1
		}
		for y := range h {
			img.SetNRGBA(x, y, Scale{Max: 1, Signed: s.Signed}.Colour(float32(at)))
		}
	}
	return img
}

// Sheet puts images side by side, in so many columns, with a transparent gap
// between them, each pixel as a square of so many.
func Sheet(images []image.Image, columns, gap, size int) image.Image {
	if len(images) == 0 {
		return image.NewNRGBA(image.Rect(0, 0, 1, 1))
	}
	columns = min(columns, len(images))
	w, h := 0, 0
	for _, img := range images {
		w, h = max(w, img.Bounds().Dx()), max(h, img.Bounds().Dy())
	}
	rows := (len(images) + columns - 1) / columns
	sheet := image.NewNRGBA(image.Rect(0, 0, size*(columns*(w+gap)-gap), size*(rows*(h+gap)-gap)))
	for i, img := range images {
		b := img.Bounds()
		left, top := i%columns*(w+gap), i/columns*(h+gap)
		for y := range size * b.Dy() {
			for x := range size * b.Dx() {
				sheet.Set(size*left+x, size*top+y, img.At(b.Min.X+x/size, b.Min.Y+y/size))
			}
		}
	}
	return sheet
}

// Write writes an image as a PNG file.
func Write(w io.Writer, img image.Image) error {
	return (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(w, img)
}

// URI returns an image as a data URI of a PNG file, for a page.
func URI(img image.Image) (template.URL, error) {
	var b bytes.Buffer
	if err := Write(&b, img); err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}

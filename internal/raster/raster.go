// Package raster makes images from numbers: samples as they are, and filters and
// feature maps in colours. It puts many images on one sheet, and writes PNG files
// and data URIs for a page.
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

// Sample draws a sample with c channels, h rows and w columns. Its values are from
// 0 to 1, in CHW order. Three channels are drawn in colour. Otherwise the mean of
// all channels is drawn in grey.
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

// Filter draws the c x h x w weights of a filter over images. With three channels it
// shows the colours that the filter responds to, and a weight of 0 is mid grey. With
// one channel it draws the weights in the scale's colours.
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

// level returns a share from 0 to 1 as a byte.
func level(share float64) uint8 { return uint8(math.Round(255 * min(max(share, 0), 1))) }

// Plane draws h rows of w values in a scale's colours. If there are too few
// values, the rest is transparent.
func Plane(values []float32, h, w int, s Scale) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range min(h*w, len(values)) {
		img.SetNRGBA(i%w, i/w, s.Colour(values[i]))
	}
	return img
}

// Scale gives colours to values from 0 to Max, or from -Max to Max if Signed is
// set.
type Scale struct {
	Max    float64
	Signed bool
}

// ScaleOf returns the scale for some values. It is signed if one of them is
// negative. NaN and infinities don't count.
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

// share returns a value's place on the scale, from 0 to 1, or from -1 to 1 if the
// scale is signed. If Max is 0 it is 0.
func (s Scale) share(v float32) float64 {
	if s.Max == 0 {
		return 0
	}
	return float64(v) / s.Max
}

// Two scales of colours. The scale for values from 0 on gets steadily lighter from
// black to light yellow, so it can be read in grey too. The signed scale goes from
// blue for negative values through almost white to red. missing is the colour of
// NaN and infinities.
var (
	rising  = []color.NRGBA{{6, 6, 16, 255}, {48, 18, 92, 255}, {114, 31, 129, 255}, {183, 55, 121, 255}, {241, 96, 93, 255}, {254, 159, 109, 255}, {252, 253, 191, 255}}
	falling = []color.NRGBA{{244, 243, 240, 255}, {174, 205, 230, 255}, {92, 150, 203, 255}, {37, 98, 165, 255}, {14, 52, 105, 255}}
	growing = []color.NRGBA{{244, 243, 240, 255}, {244, 190, 163, 255}, {224, 120, 94, 255}, {184, 50, 56, 255}, {112, 14, 32, 255}}
	missing = color.NRGBA{0, 200, 90, 255}
)

// Colour returns a value's colour. A value outside the scale has the colour of the
// scale's end.
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

// between interpolates between colours: at 0 it returns the first, and at 1 the
// last.
func between(colours []color.NRGBA, at float64) color.NRGBA {
	last := len(colours) - 1
	x := min(max(at, 0), 1) * float64(last)
	i := min(int(x), last-1)
	a, b, t := colours[i], colours[i+1], x-float64(i)
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + t*(float64(b)-float64(a)))) }
	return color.NRGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}
}

// Legend draws a scale's colours from its lowest value to its highest.
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

// Sheet puts images side by side in rows of the given number of columns, with a
// transparent gap between them. Each pixel becomes a square of size x size pixels;
// the gap is measured in pixels of the images.
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

package picture

import (
	"fmt"
	"image"
	"image/color"

	"golang.org/x/image/draw"

	"github.com/gputrain/gputrain/net"
)

// Preparation says how an image becomes a network's input.
type Preparation string

// The preparations.
const (
	Auto   Preparation = "auto"   // Digit for an input of DigitShape, else Resize
	Digit  Preparation = "digit"  // as MNIST's digits were made
	Resize Preparation = "resize" // stretched to the input's height and width, grey or in colour
)

// Preparations returns all of them.
func Preparations() []Preparation { return []Preparation{Auto, Digit, Resize} }

// Pixels turns an image into a network's input, a byte a value, in CHW order: a
// sample of a [net.Dataset] with Scale 1/255. It refuses images in which there is
// nothing to see, and preparations that don't fit the input.
//
// Digit makes of a drawn or photographed digit what MNIST's makers made of theirs
// (LeCun, Cortes and Burges, "The MNIST database of handwritten digits"): the
// digit light on black, scaled to fit 20 x 20 pixels with its aspect kept, in 28 x
// 28 pixels with its centre of mass in the middle. The background is the median
// colour of the image's frame; ink is what differs from it, so that dark on light,
// light on dark and any colours are the same.
func (p Preparation) Pixels(img image.Image, in net.Shape) ([]uint8, error) {
	if p == Auto {
		p = Resize
		if in == DigitShape {
			p = Digit
		}
	}
	if p == Resize {
		return resizedPixels(img, in)
	}
	if in != DigitShape {
		return nil, fmt.Errorf("the preparation %s is for models that take %v, this one takes %v; use %s", Digit, DigitShape, in, Resize)
	}
	return digitPixels(img)
}

// resizedPixels stretches an image to the input's height and width, in colour
// for three channels and grey for one. Transparent parts become white.
func resizedPixels(img image.Image, in net.Shape) ([]uint8, error) {
	if in.C != 1 && in.C != 3 {
		return nil, fmt.Errorf("the model takes %d channels; images have 1 or 3", in.C)
	}
	canvas := opaque(img, color.White)
	small := image.NewRGBA(image.Rect(0, 0, in.W, in.H))
	draw.BiLinear.Scale(small, small.Bounds(), canvas, canvas.Bounds(), draw.Src, nil)
	area := in.H * in.W
	out := make([]uint8, in.Size())
	for i := range area {
		c := color.RGBA{small.Pix[4*i], small.Pix[4*i+1], small.Pix[4*i+2], 255}
		if in.C == 1 {
			out[i] = color.GrayModel.Convert(c).(color.Gray).Y
		} else {
			out[i], out[area+i], out[2*area+i] = c.R, c.G, c.B
		}
	}
	return out, nil
}

// opaque draws an image on a background, at the origin.
func opaque(img image.Image, background color.Color) *image.RGBA {
	b := img.Bounds()
	canvas := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(background), image.Point{}, draw.Src)
	draw.Draw(canvas, canvas.Bounds(), img, b.Min, draw.Over)
	return canvas
}

package picture

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// Preparation is a way to turn an image into a network's input.
type Preparation string

// The preparations.
const (
	Auto    Preparation = "auto"    // Digit for an input of DigitShape, else Stretch
	Digit   Preparation = "digit"   // as MNIST's digits were made
	Stretch Preparation = "stretch" // all of the image, scaled to the height and width of the input
	Fit     Preparation = "fit"     // all of the image with its aspect kept, in the middle, with black around it
	Crop    Preparation = "crop"    // the largest middle part of the image that has the input's aspect
)

// Preparations returns all preparations.
func Preparations() []Preparation { return []Preparation{Auto, Digit, Stretch, Fit, Crop} }

// ParsePreparation returns the preparation with this name. "resize" is an old name of
// Stretch.
func ParsePreparation(name string) (Preparation, error) {
	if name == "resize" {
		return Stretch, nil
	}
	if p := Preparation(name); slices.Contains(Preparations(), p) {
		return p, nil
	}
	return "", fmt.Errorf("unknown preparation %.20q: want one of %v", name, Preparations())
}

// For returns the preparation for a network's input of shape in. It is p, except that Auto
// becomes Digit or Stretch. It returns an error if p does not fit the input, or if no image
// can be turned into such an input.
func (p Preparation) For(in net.Shape) (Preparation, error) {
	p, err := ParsePreparation(string(p))
	switch {
	case err != nil:
		return "", err
	case p == Digit && in != DigitShape:
		return "", fmt.Errorf("the preparation %s is for models that take %v, this one takes %v; use %s", Digit, DigitShape, in, Stretch)
	case in.C != 1 && in.C != 3:
		return "", fmt.Errorf("the model takes %d channels; images have 1 or 3", in.C)
	case in.H < 1 || in.W < 1:
		return "", fmt.Errorf("the model takes %v values, which no image has", in)
	case p == Auto && in == DigitShape:
		return Digit, nil
	case p == Auto:
		return Stretch, nil
	}
	return p, nil
}

// Pixels turns an image into a network's input of shape in: a byte for each value, in CHW
// order. That is a sample of a [net.Dataset] with Scale 1/255. It returns an error for an
// image in which there is nothing to see, and for a preparation that doesn't fit the input.
//
// Digit prepares a drawn or photographed digit as the makers of MNIST prepared theirs
// (LeCun, Cortes and Burges, "The MNIST database of handwritten digits"). The digit becomes
// light on black. It is scaled to fit into 20 x 20 pixels with its aspect kept, and its
// centre of mass comes to the middle of 28 x 28 pixels. The background is the median colour
// of the image's edges. Everything that differs from it is ink, so the digit may be dark on
// light, light on dark, or of any colours.
//
// Stretch, Fit and Crop resample bilinearly. Where they scale down, they average all pixels
// that a smaller one covers, so that fine patterns become grey and not coarse. An input of
// 3 channels is in colour. An input of 1 channel is grey, the luma of ITU-R BT.601.
// Transparent parts become white, like paper. What Fit leaves free is black, because
// augmentation pads with zeros, which are black: a network that was trained with padding
// has seen such edges.
func (p Preparation) Pixels(img image.Image, in net.Shape) ([]uint8, error) {
	if _, err := p.For(in); err != nil {
		return nil, err
	}
	out := make([]uint8, in.Size())
	if err := p.PixelsTo(out, img, in); err != nil {
		return nil, err
	}
	return out, nil
}

// PixelsTo does what [Preparation.Pixels] does, but writes the values to dst, whose
// length must be in.Size(). Except for Digit, it allocates nothing after the first
// calls. Several goroutines may call it at the same time. After an error the values in
// dst are undefined.
func (p Preparation) PixelsTo(dst []uint8, img image.Image, in net.Shape) error {
	p, err := p.For(in)
	if err != nil {
		return err
	}
	if len(dst) != in.Size() {
		panic(fmt.Sprintf("BUG: %d values for an input of %v", len(dst), in))
	}
	if img.Bounds().Empty() {
		return errors.New("the image has no pixels")
	}
	if p == Digit {
		return digitPixels(dst, img)
	}
	scaledPixels(dst, img, in, p)
	return nil
}

// scaledPixels is Stretch, Fit and Crop.
func scaledPixels(dst []uint8, img image.Image, in net.Shape, how Preparation) {
	size := img.Bounds().Size()
	w, h := float64(size.X), float64(size.Y)
	part := [4]float64{0, 0, w, h}      // the part of the image: left, top, width and height
	box := image.Rect(0, 0, in.W, in.H) // the part of the input
	sx, sy := float64(in.W)/w, float64(in.H)/h
	switch how {
	case Fit:
		scale := min(sx, sy)
		fw := min(in.W, max(1, int(math.Round(w*scale))))
		fh := min(in.H, max(1, int(math.Round(h*scale))))
		box = image.Rect(0, 0, fw, fh).Add(image.Pt((in.W-fw)/2, (in.H-fh)/2))
		clear(dst)
	case Crop:
		scale := max(sx, sy)
		part[2], part[3] = min(w, float64(in.W)/scale), min(h, float64(in.H)/scale)
		part[0], part[1] = (w-part[2])/2, (h-part[3])/2
	}
	// From here on, everything is as the image is stored. The part is in the middle of a
	// turned image too, so at most the axes change places.
	img, turn := stored(img)
	x, y := span{part[0], part[2], box.Dx()}, span{part[1], part[3], box.Dy()}
	if turn.swaps() {
		x, y = y, x
	}
	s := resamplers.Get().(*resampler)
	defer resamplers.Put(s)
	colours := s.image(img, x, y, in.C == 1)
	first, column, row := turn.steps(x.to, y.to, in.W)
	first += box.Min.Y*in.W + box.Min.X
	area := in.H * in.W
	for r := range y.to {
		at := first + r*row
		for i := r * x.to; i < (r+1)*x.to; i++ {
			switch colours {
			case grey:
				v := rounded(s.planes[0][i])
				for c := range in.C {
					dst[c*area+at] = v
				}
			case grey16:
				v := rounded16(s.planes[0][i])
				for c := range in.C {
					dst[c*area+at] = v
				}
			case rgb16:
				dst[at], dst[area+at], dst[2*area+at] = rounded16(s.planes[0][i]), rounded16(s.planes[1][i]), rounded16(s.planes[2][i])
			case ycc:
				dst[at], dst[area+at], dst[2*area+at] = toRGB(s.planes[0][i], s.planes[1][i], s.planes[2][i])
			}
			at += column
		}
	}
}

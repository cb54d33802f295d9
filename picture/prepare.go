package picture

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// Preparation says how an image becomes a network's input.
type Preparation string

// The preparations.
const (
	Auto    Preparation = "auto"    // Digit for an input of DigitShape, else Stretch
	Digit   Preparation = "digit"   // as MNIST's digits were made
	Stretch Preparation = "stretch" // all of the image, made as high and wide as the input
	Fit     Preparation = "fit"     // all of the image with its aspect kept, in the middle of black
	Crop    Preparation = "crop"    // the middle of the image, as much as has the input's aspect
)

// Preparations returns all of them.
func Preparations() []Preparation { return []Preparation{Auto, Digit, Stretch, Fit, Crop} }

// ParsePreparation returns the preparation of a name. It knows "resize" too, as Stretch
// was called.
func ParsePreparation(name string) (Preparation, error) {
	if name == "resize" {
		return Stretch, nil
	}
	if p := Preparation(name); slices.Contains(Preparations(), p) {
		return p, nil
	}
	return "", fmt.Errorf("unknown preparation %.20q: want one of %v", name, Preparations())
}

// For returns the preparation that p is for a network's input: Auto becomes one of the
// others. It refuses preparations that don't fit the input, and inputs that no
// image can be made for.
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
//
// Stretch, Fit and Crop resample bilinearly, over all pixels that a smaller one covers
// where they scale down, so that fine patterns become grey and not coarse ones. An
// input of 3 channels is in colour, one of 1 channel is grey: the luma of ITU-R BT.601.
// Transparent parts become white, like paper. Around what Fit leaves free is black,
// because the zeros that augmentation pads with are black too: a network that was
// trained with padding has seen such edges.
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
	part := [4]float64{0, 0, w, h}      // of the image: left, top, width and height
	box := image.Rect(0, 0, in.W, in.H) // of the input
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
	// From here on all is as the image is stored; a turned one's part is in the middle
	// too, so that only the axes may have to change places.
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

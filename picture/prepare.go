package picture

import (
	"fmt"
	"image"
	"slices"

	"github.com/gputrain/gputrain/internal/prepare"
	"github.com/gputrain/gputrain/net"
)

// Preparation is a way to turn an image into a network's input.
type Preparation string

// The preparations.
const (
	Auto    Preparation = "auto"          // Digit for an input of DigitShape, else Stretch
	Digit   Preparation = prepare.Digit   // as MNIST's digits were made
	Stretch Preparation = prepare.Stretch // all of the image, scaled to the height and width of the input
	Fit     Preparation = prepare.Fit     // all of the image with its aspect kept, in the middle, with black around it
	Crop    Preparation = prepare.Crop    // the largest middle part of the image that has the input's aspect
)

// DigitShape is the shape of MNIST's images, which Digit prepares.
var DigitShape = net.Shape{C: 1, H: prepare.DigitSize, W: prepare.DigitSize}

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
	return prepare.PixelsTo(dst, img, string(p), in.C, in.H, in.W)
}

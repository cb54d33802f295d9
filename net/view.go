package net

import (
	"fmt"
	"math"
)

// Border says what lies around a picture.
type Border string

// The borders.
const (
	ZeroBorder    Border = "zeros"   // nothing: 0
	ReflectBorder Border = "reflect" // the picture mirrored at the middles of its outer pixels, so these come once: 2 1 0 1 2
)

// Box is a rectangle of pixels: columns Left ... Right-1 of rows Top ... Bottom-1.
// It is empty where Left is not less than Right or Top not less than Bottom, and may
// reach beyond a picture.
type Box struct{ Left, Top, Right, Bottom int32 }

// Empty reports whether no pixel is in the box.
func (b Box) Empty() bool { return b.Left >= b.Right || b.Top >= b.Bottom }

// Has reports whether a pixel is in the box.
func (b Box) Has(x, y int32) bool { return x >= b.Left && x < b.Right && y >= b.Top && y < b.Bottom }

// Transform says how a picture becomes a network's input, in this order: place,
// colour, erasing. Package net/reference computes it in plain loops, and every device
// is compared with that.
type Transform struct {
	// Matrix m says from where in the picture the value at column x and row y of the
	// input comes: from column m[0]*x + m[1]*y + m[2] and row m[3]*x + m[4]*y + m[5].
	// 0 is the middle of the first pixel. Between pixels the value is interpolated
	// bilinearly.
	Matrix [6]float32
	Border Border // what lies around the picture
	// Colour c changes colours: the new red is c[0]*red + c[1]*green + c[2]*blue + c[3].
	// The next four values give the new green, the last four the new blue. Then values
	// are clamped to 0 ... 1. If a picture doesn't have 3 channels, each value v becomes
	// c[0]*v + c[3]. All zeros leave colours as they are.
	Colour [12]float32
	Erase  Box // the part of the input that is set to 0; an empty box erases nothing
}

// IdentityTransform is the transform that changes nothing.
func IdentityTransform() Transform {
	return Transform{Matrix: [6]float32{1, 0, 0, 0, 1, 0}, Border: ZeroBorder}
}

// Plain reports whether the transform changes nothing.
func (t *Transform) Plain() bool {
	return t.Matrix == [6]float32{1, 0, 0, 0, 1, 0} && t.Colour == [12]float32{} && t.Erase.Empty()
}

// Check refuses a transform with values that no device can compute with.
func (t *Transform) Check() error {
	for _, v := range t.Matrix {
		// Beyond that a float32 can't tell pixels apart.
		if !(math.Abs(float64(v)) < 1<<22) {
			return fmt.Errorf("transform: matrix value %v", v)
		}
	}
	for _, v := range t.Colour {
		if !(math.Abs(float64(v)) < 1<<22) {
			return fmt.Errorf("transform: colour value %v", v)
		}
	}
	if t.Border != ZeroBorder && t.Border != ReflectBorder {
		return fmt.Errorf("transform: unknown border %q (want zeros or reflect)", t.Border)
	}
	return nil
}

// View says how one sample of a mini-batch is seen, and what is expected of the
// network: the sample itself, or a mixture of two.
type View struct {
	Transform
	// Partner is the index of another sample of the data set, seen by Other. -1 is
	// none.
	Partner int32
	Other   Transform
	// Share, from 0 to 1, is the sample's own part: of the label that is expected, and
	// where Box is empty of every value (mixup). The partner has the rest.
	Share float32
	// Box, where it isn't empty, holds the values that are the partner's; all others
	// are the sample's own (cutmix).
	Box Box
}

// PlainView returns the view that shows a sample as it is.
func PlainView() View {
	return View{Transform: IdentityTransform(), Partner: -1, Other: IdentityTransform(), Share: 1}
}

// Check refuses a view that does not fit a data set of so many samples.
func (v *View) Check(samples int) error {
	if err := v.Transform.Check(); err != nil {
		return err
	}
	if v.Partner < 0 {
		return nil
	}
	if int(v.Partner) >= samples {
		return fmt.Errorf("view: partner %d is outside the %d samples", v.Partner, samples)
	}
	if !(v.Share >= 0 && v.Share <= 1) {
		return fmt.Errorf("view: share %v is not from 0 to 1", v.Share)
	}
	return v.Other.Check()
}

package net

import (
	"fmt"
	"math"
)

// Border says what lies around a picture.
type Border string

// The borders.
const (
	ZeroBorder    Border = "zeros"   // zeros
	ReflectBorder Border = "reflect" // the picture mirrored about its outer pixels, which are not repeated: 2 1 0 1 2
)

// Box is a rectangle of pixels: columns Left ... Right-1 of rows Top ... Bottom-1. It is
// empty if Left >= Right or Top >= Bottom. It may reach beyond a picture.
type Box struct{ Left, Top, Right, Bottom int32 }

// Empty reports whether no pixel is in the box.
func (b Box) Empty() bool { return b.Left >= b.Right || b.Top >= b.Bottom }

// Has reports whether a pixel is in the box.
func (b Box) Has(x, y int32) bool { return x >= b.Left && x < b.Right && y >= b.Top && y < b.Bottom }

// Transform says how a picture becomes a network's input. First the Matrix places it,
// then Colour changes its values, then Erase sets a part to 0. Package net/reference
// computes this in plain loops. Tests compare every device with it.
type Transform struct {
	// Matrix m maps the input to the picture. The value at column x and row y of the input
	// comes from column m[0]*x + m[1]*y + m[2] and row m[3]*x + m[4]*y + m[5] of the
	// picture. 0 is the middle of the first pixel. Between pixels the value is
	// interpolated bilinearly.
	Matrix [6]float32
	Border Border // what lies around the picture
	// Colour c changes colours: the new red is c[0]*red + c[1]*green + c[2]*blue + c[3].
	// The next four values give the new green, the last four the new blue. Then values
	// are clamped to 0 ... 1. If a picture doesn't have 3 channels, each value v becomes
	// c[0]*v + c[3]. All zeros leave colours as they are.
	Colour [12]float32
	Erase  Box // the part of the input that is set to 0; an empty box erases nothing
}

// IdentityTransform returns the transform that changes nothing.
func IdentityTransform() Transform {
	return Transform{Matrix: [6]float32{1, 0, 0, 0, 1, 0}, Border: ZeroBorder}
}

// Plain reports whether the transform changes nothing.
func (t *Transform) Plain() bool {
	return t.Matrix == [6]float32{1, 0, 0, 0, 1, 0} && t.Colour == [12]float32{} && t.Erase.Empty()
}

// Check returns an error for a transform that devices cannot compute.
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

// View says how one sample of a mini-batch is seen: the sample alone, or a mixture of two
// samples. It also decides which answer is expected of the network. The embedded
// Transform is that of the sample itself.
type View struct {
	Transform
	// Partner is the index in the data set of the other sample. -1 means that there is
	// none. Then Other, Share and Box are not used.
	Partner int32
	Other   Transform // the partner's transform
	// Share is the sample's own share of the expected answer, from 0 to 1. The partner's
	// label has the rest. If Box is empty, Share also weighs the values of the two (mixup).
	Share float32
	// Box, unless it is empty, is the part of the input that shows the partner. The rest
	// shows the sample itself (cutmix).
	Box Box
}

// PlainView returns the view that shows a sample as it is.
func PlainView() View {
	return View{Transform: IdentityTransform(), Partner: -1, Other: IdentityTransform(), Share: 1}
}

// Check returns an error for a view that does not fit a data set with the given number of
// samples.
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

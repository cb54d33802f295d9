package prepare

import (
	"image"
	"image/color"
)

// orientation says how a camera was held, as Exif's tag of that name does. It says at which
// side of the upright image the stored image's first row and first column are:
//
//	1 top, left      2 top, right     3 bottom, right  4 bottom, left
//	5 left, top      6 right, top     7 right, bottom  8 left, bottom
//
// (CIPA DC-008, "Exchangeable image file format").
type orientation uint16

const upright orientation = 1

// Swaps reports whether rows become columns.
func (o orientation) Swaps() bool { return o >= 5 }

// mirrors reports whether the stored image's columns, and its rows, are in reverse order in
// the upright image.
func (o orientation) mirrors() (columns, rows bool) {
	return o == 2 || o == 3 || o == 7 || o == 8, o == 3 || o == 4 || o == 6 || o == 7
}

// steps says where the pixels of a stored image of w x h go in the upright image, whose rows
// are stride apart. The pixel in column x and row y goes to first + x*column + y*row.
func (o orientation) steps(w, h, stride int) (first, column, row int) {
	column, row = 1, stride
	if o.Swaps() {
		column, row = stride, 1
	}
	columns, rows := o.mirrors()
	if columns {
		first += (w - 1) * column
		column = -column
	}
	if rows {
		first += (h - 1) * row
		row = -row
	}
	return first, column, row
}

// Turned returns the upright image. It copies nothing: a large photo that becomes a small
// input is turned when it is small.
func (o orientation) Turned(img image.Image) image.Image {
	if o == upright {
		return img
	}
	return &turnedImage{img, o}
}

// stored returns the image as it is stored, and its orientation.
func stored(img image.Image) (image.Image, orientation) {
	if t, ok := img.(*turnedImage); ok {
		return t.img, t.o
	}
	return img, upright
}

// turnedImage is the upright image of one that is stored in another orientation. Its bounds
// begin at the origin.
type turnedImage struct {
	img image.Image
	o   orientation
}

// ColorModel implements [image.Image].
func (t *turnedImage) ColorModel() color.Model { return t.img.ColorModel() }

// Bounds implements [image.Image].
func (t *turnedImage) Bounds() image.Rectangle {
	size := t.img.Bounds().Size()
	if t.o.Swaps() {
		size.X, size.Y = size.Y, size.X
	}
	return image.Rectangle{Max: size}
}

// At implements [image.Image].
func (t *turnedImage) At(x, y int) color.Color {
	if !(image.Point{X: x, Y: y}).In(t.Bounds()) {
		return color.Transparent
	}
	if t.o.Swaps() {
		x, y = y, x
	}
	b := t.img.Bounds()
	columns, rows := t.o.mirrors()
	if columns {
		x = b.Dx() - 1 - x
	}
	if rows {
		y = b.Dy() - 1 - y
	}
	return t.img.At(b.Min.X+x, b.Min.Y+y)
}

// Opaque reports whether the image has no transparent parts, as the methods of that name in
// package image do.
func (t *turnedImage) Opaque() bool {
	o, ok := t.img.(interface{ Opaque() bool })
	return ok && o.Opaque()
}

// Package picturetest makes image files for tests: digits of data sets as people may draw and
// photograph them, files of all formats, files with an orientation, and broken files.
package picturetest

import (
	"image"
	"image/color"

	"golang.org/x/image/draw"

	"github.com/gputrain/gputrain/net"
)

// Digit returns sample i of a data set of grey images. The samples are bytes.
func Digit(d *net.Dataset, i int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, d.Shape.W, d.Shape.H))
	copy(img.Pix, d.Pixels[i*d.Shape.Size():])
	return img
}

// Redrawn draws a digit times as large, its top left corner at (x, y) of a
// canvas of w x h, in ink on paper.
func Redrawn(digit *image.Gray, times, w, h, x, y int, ink, paper color.Color) image.Image {
	size := image.Rectangle{Max: digit.Rect.Size().Mul(times)}
	large := image.NewGray(size)
	draw.CatmullRom.Scale(large, size, digit, digit.Bounds(), draw.Src, nil)
	mask := image.NewAlpha(size)
	copy(mask.Pix, large.Pix)
	canvas := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	draw.DrawMask(canvas, size.Add(image.Pt(x, y)), image.NewUniform(ink), image.Point{}, mask, image.Point{}, draw.Over)
	return canvas
}

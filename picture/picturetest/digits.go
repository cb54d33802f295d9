// Package picturetest makes image files of data sets' digits, as people may draw
// and photograph them. It is for tests alone.
package picturetest

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"golang.org/x/image/draw"

	"github.com/gputrain/gputrain/net"
)

// Digit is sample i of a data set of grey images of bytes.
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

// Encoded is an image as a file: png, jpeg or gif.
func Encoded(t testing.TB, format string, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	err := errors.New("unknown format")
	switch format {
	case "png":
		err = png.Encode(&b, img)
	case "jpeg":
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 70})
	case "gif":
		err = gif.Encode(&b, img, nil)
	}
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.Bytes()
}

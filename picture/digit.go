package picture

import (
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"math"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// The sizes of MNIST's images: a digit fits digitBox x digitBox pixels in an
// image of digitSize x digitSize.
const (
	digitSize = 28
	digitBox  = 20
)

// DigitShape is MNIST's shape, the one that Digit prepares for.
var DigitShape = net.Shape{C: 1, H: digitSize, W: digitSize}

// digitPixels prepares a digit, see [Preparation.Pixels].
func digitPixels(img image.Image) ([]uint8, error) {
	ink, err := inkOf(img)
	if err != nil {
		return nil, err
	}
	box := inkBox(ink)
	scale := digitBox / float64(max(box.Dx(), box.Dy()))
	// The margin keeps the faint edges of strokes outside the box.
	const margin, side = 4, digitBox + 2*4
	values := resampled(ink, scale, margin-scale*float64(box.Min.X), margin-scale*float64(box.Min.Y), side)

	var peak, mass, massX, massY float64
	for i, v := range values {
		peak = max(peak, v)
		mass += v
		massX += v * (float64(i%side) + 0.5)
		massY += v * (float64(i/side) + 0.5)
	}
	if peak == 0 {
		return nil, errors.New("the strokes are too thin for so large an image: crop it to the digit, or draw with a thicker pen")
	}
	left, top := centred(massX/mass), centred(massY/mass)
	out := make([]uint8, digitSize*digitSize)
	for i, v := range values {
		x, y := i%side+left, i/side+top
		if v > 0 && x >= 0 && x < digitSize && y >= 0 && y < digitSize {
			// Thin strokes grow faint when they are made smaller; MNIST's are bright.
			out[y*digitSize+x] = uint8(math.Round(255 * v / peak))
		}
	}
	return out, nil
}

// centred returns by how many pixels to shift a digit so that its centre of mass
// comes nearest to the middle of the image. MNIST's
// digits all have it within half a pixel of 14.5, the middle of pixel 14.
func centred(mass float64) int { return int(math.Round(digitSize/2 + 0.5 - mass)) }

// inkOf returns how far each pixel's colour is from the background's, from 0 to
// the greatest distance at 65535: thin strokes in a large image leave less than a
// 255th of it when they are made smaller.
func inkOf(img image.Image) (*image.Gray16, error) {
	canvas := opaque(img, backdrop(img))
	frame := framePixels(canvas.Bounds())
	var background [3]int
	for k := range background {
		var counts [256]int
		for _, at := range frame {
			counts[canvas.Pix[4*at+k]]++
		}
		background[k] = median(&counts)
	}
	distance := func(square int) float64 { return math.Sqrt(float64(square) / 3) }
	ink := image.NewGray16(canvas.Bounds())
	squares := make([]int, len(canvas.Pix)/4)
	furthest := 0
	for i := range squares {
		for k, b := range background {
			d := int(canvas.Pix[4*i+k]) - b
			squares[i] += d * d
		}
		furthest = max(furthest, squares[i])
	}
	peak := distance(furthest)
	// What half of the frame reaches is noise; three deviations of it are
	// background. The factor turns a median distance into a deviation.
	noise := make([]int, len(frame))
	for i, at := range frame {
		noise[i] = squares[at]
	}
	slices.Sort(noise)
	floor := 3 * 1.4826 * distance(noise[len(noise)/2])
	if peak-floor < 16 {
		return nil, errors.New("there is nothing to see: all of the image has one colour")
	}
	for i, s := range squares {
		if s > 0 { // else it stays 0, as most do
			v := math.Round(math.MaxUint16 * max(distance(s)-floor, 0) / (peak - floor))
			binary.BigEndian.PutUint16(ink.Pix[2*i:], uint16(v))
		}
	}
	return ink, nil
}

// median returns the value in the middle of those counted, the upper one of two.
func median(counts *[256]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	seen := 0
	for v, c := range counts {
		if seen += c; seen > n/2 {
			return v
		}
	}
	panic("BUG: median of nothing")
}

// backdrop returns black for an image that is light where it isn't transparent,
// else white.
func backdrop(img image.Image) color.Color {
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() {
		return color.White
	}
	b := img.Bounds()
	var light, cover float64
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			red, green, blue, alpha := img.At(x, y).RGBA()
			light += float64(red+green+blue) / 3
			cover += float64(alpha)
		}
	}
	if light > cover/2 {
		return color.Black
	}
	return color.White
}

// framePixels returns the indices of the pixels along the edges.
func framePixels(r image.Rectangle) []int {
	w, h := r.Dx(), r.Dy()
	var out []int
	for y := range h {
		step := max(1, w-1)
		if y == 0 || y == h-1 {
			step = 1
		}
		for x := 0; x < w; x += step {
			out = append(out, y*w+x)
		}
	}
	return out
}

// inkBox returns the smallest rectangle with all pixels of at least a fifth of
// the ink's greatest value.
func inkBox(ink *image.Gray16) image.Rectangle {
	box := image.Rectangle{}
	w := ink.Bounds().Dx()
	for i := range len(ink.Pix) / 2 {
		if binary.BigEndian.Uint16(ink.Pix[2*i:]) >= math.MaxUint16/5 {
			box = box.Union(image.Rect(i%w, i/w, i%w+1, i/w+1))
		}
	}
	return box
}

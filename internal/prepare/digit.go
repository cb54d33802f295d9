package prepare

import (
	"errors"
	"image"
	"math"
)

// The sizes of MNIST's images, in pixels: a digit fits into digitBox x digitBox, in an
// image of digitSize x digitSize.
const (
	digitSize = 28
	digitBox  = 20
)

// digitPixels prepares a digit as the makers of MNIST prepared theirs.
func digitPixels(dst []uint8, img image.Image) error {
	from, err := inkOf(img)
	if err != nil {
		return err
	}
	box := from.box()
	scale := digitBox / float64(max(box.Dx(), box.Dy()))
	// The margin keeps the faint edges of strokes outside the box.
	const margin, side = 4, digitBox + 2*4
	values := from.resampled(scale, margin-scale*float64(box.Min.X), margin-scale*float64(box.Min.Y), side)

	var peak, mass, massX, massY float64
	for y := range side {
		for x, v := range values[y*side : (y+1)*side] {
			peak = max(peak, v)
			mass += v
			massX += v * (float64(x) + 0.5)
			massY += v * (float64(y) + 0.5)
		}
	}
	if peak == 0 {
		return errors.New("the strokes are too thin for so large an image: crop it to the digit, or draw with a thicker pen")
	}
	left, top := centred(massX/mass), centred(massY/mass)
	clear(dst)
	for i, v := range values {
		if v == 0 {
			continue
		}
		if x, y := i%side+left, i/side+top; x >= 0 && x < digitSize && y >= 0 && y < digitSize {
			// Thin strokes become faint when they are made smaller. MNIST's are bright.
			dst[y*digitSize+x] = uint8(math.Round(255 * v / peak))
		}
	}
	return nil
}

// centred returns by how many pixels to shift a digit so that its centre of mass is as
// close as possible to 14.5, the middle of pixel 14. In MNIST, it is within half a pixel of
// that for all digits.
func centred(mass float64) int { return int(math.Round(digitSize/2 + 0.5 - mass)) }

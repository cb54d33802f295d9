package prepare

import (
	"errors"
	"image"
	"math"
)

// The preparations.
const (
	digit   = "digit"
	stretch = "stretch"
	fit     = "fit"
	crop    = "crop"
)

// pixelsTo turns an image into a network's input, a byte for each value in CHW order. An
// image in which there is nothing to see gives an error.
func pixelsTo(dst []uint8, img image.Image, how string, channels, height, width int) error {
	switch {
	case img.Bounds().Empty():
		return errors.New("the image has no pixels")
	case how == digit:
		return digitPixels(dst, img)
	}
	scaledPixels(dst, img, how, channels, height, width)
	return nil
}

// scaledPixels is Stretch, Fit and Crop.
func scaledPixels(dst []uint8, img image.Image, how string, channels, height, width int) {
	size := img.Bounds().Size()
	w, h := float64(size.X), float64(size.Y)
	part := [4]float64{0, 0, w, h}         // the part of the image: left, top, width and height
	box := image.Rect(0, 0, width, height) // the part of the input
	sx, sy := float64(width)/w, float64(height)/h
	switch how {
	case fit:
		scale := min(sx, sy)
		fw := min(width, max(1, int(math.Round(w*scale))))
		fh := min(height, max(1, int(math.Round(h*scale))))
		box = image.Rect(0, 0, fw, fh).Add(image.Pt((width-fw)/2, (height-fh)/2))
		clear(dst)
	case crop:
		scale := max(sx, sy)
		part[2], part[3] = min(w, float64(width)/scale), min(h, float64(height)/scale)
		part[0], part[1] = (w-part[2])/2, (h-part[3])/2
	}
	// From here on, everything is as the image is stored. The part is in the middle of a
	// turned image too, so at most the axes change places.
	img, turn := stored(img)
	x, y := span{part[0], part[2], box.Dx()}, span{part[1], part[3], box.Dy()}
	if turn.Swaps() {
		x, y = y, x
	}
	s := resamplers.Get().(*resampler)
	defer resamplers.Put(s)
	colours := s.image(img, x, y, channels == 1)
	first, column, row := turn.steps(x.to, y.to, width)
	first += box.Min.Y*width + box.Min.X
	area := height * width
	for r := range y.to {
		at := first + r*row
		for i := r * x.to; i < (r+1)*x.to; i++ {
			switch colours {
			case grey:
				v := rounded(s.planes[0][i])
				for c := range channels {
					dst[c*area+at] = v
				}
			case grey16:
				v := rounded16(s.planes[0][i])
				for c := range channels {
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

// Package prepare turns images into inputs of networks. It is what package picture does with decoded images, apart from
// package net: programs that have no trainer in them import it, or take over its source. So it imports only the standard
// library, and no file but this one and sources.go has exported functions, types or constants.
package prepare

import "image"

// The preparations; package picture says what they do.
const (
	Digit   = digit
	Stretch = stretch
	Fit     = fit
	Crop    = crop
)

// DigitSize is the height and the width of what Digit makes, which has one channel.
const DigitSize = digitSize

// PixelsTo turns an image into a network's input: a byte for each value, in CHW order. dst has room for channels x height x
// width of them; channels is 1 or 3, and for Digit the sizes are 1, DigitSize and DigitSize. An image in which there is
// nothing to see gives an error. Several goroutines may call it at the same time.
func PixelsTo(dst []uint8, img image.Image, how string, channels, height, width int) error {
	return pixelsTo(dst, img, how, channels, height, width)
}

// Orientation says how a camera was held, as Exif's tag of that name does.
type Orientation = orientation

// Upright is the orientation of an image that is stored as it is to be seen.
const Upright = upright

package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
)

// Bounds on an image file that Read accepts, so that a small file cannot ask for
// all memory.
const (
	MaxBytes  = 64 << 20
	MaxPixels = 50_000_000
)

// Errors of images; compare with errors.Is.
var (
	// ErrFormat means that a file is no image of a known format.
	ErrFormat = errors.New("not a PNG, JPEG or GIF image")
	// ErrTooLarge means that a file or an image is larger than allowed.
	ErrTooLarge = errors.New("the image is too large")
)

// Read reads a PNG, JPEG or GIF image (of a GIF the first frame) of at most
// MaxBytes and MaxPixels, and turns it upright.
func Read(r io.Reader) (image.Image, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: more than %d MiB; make it smaller", ErrTooLarge, MaxBytes>>20)
	}
	return Decode(b, func(width, height int) error { return CheckSize(width, height, MaxPixels) })
}

// CheckSize refuses, with ErrTooLarge, an image of more than most pixels.
func CheckSize(width, height, most int) error {
	if height > 0 && width > most/height {
		return fmt.Errorf("%w: %d x %d pixels (at most %g million); make it smaller", ErrTooLarge, width, height, float64(most)/1e6)
	}
	return nil
}

// Decode reads a PNG, JPEG or GIF image (of a GIF the first frame), and turns it
// upright. It asks admit before it takes memory for the pixels, some 20 bytes for
// each at most, and gives up with admit's error if there is one.
func Decode(file []byte, admit func(width, height int) error) (image.Image, error) {
	config, format, err := image.DecodeConfig(&fileReader{*bytes.NewReader(file), file})
	if errors.Is(err, image.ErrFormat) {
		return nil, fmt.Errorf("%w; convert it to one", ErrFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("damaged image: %w", err)
	}
	if err := admit(config.Width, config.Height); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(&fileReader{*bytes.NewReader(file), file})
	if err != nil {
		return nil, fmt.Errorf("damaged %s image: %w", format, err)
	}
	if img.Bounds().Empty() {
		return nil, fmt.Errorf("damaged %s image: it has no pixels", format)
	}
	return orientationOf(file).turned(img), nil
}

// fileReader reads a file in memory, and lets package image see its first bytes
// without a buffer of its own.
type fileReader struct {
	bytes.Reader
	file []byte
}

// Peek returns the next n bytes without reading them, or those that there are.
func (r *fileReader) Peek(n int) ([]byte, error) {
	next := r.file[len(r.file)-r.Len():]
	if n > len(next) {
		return next, io.EOF
	}
	return next[:n], nil
}

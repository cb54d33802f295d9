package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"io"
	"iter"
	"math"

	"golang.org/x/image/webp"

	"github.com/gputrain/gputrain/internal/prepare"
)

// A WebP file consists of chunks. A chunk is four letters, a length, and a body. If the
// length is odd, a byte of padding follows
// (developers.google.com/speed/webp/docs/riff_container).

// chunks goes through the chunks in b, up to the first that is not complete.
func chunks(b []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for len(b) >= 8 {
			length := uint64(binary.LittleEndian.Uint32(b[4:]))
			if length > uint64(len(b)-8) || !yield(string(b[:4]), b[8:8+length]) {
				return
			}
			b = b[min(8+length+length%2, uint64(len(b))):]
		}
	}
}

// decodeWebP reads a WebP file. Package webp doesn't read animations, so for one it makes a
// file of the first frame.
func decodeWebP(r *fileReader, config image.Config) (image.Image, error) {
	for name, frame := range chunks(r.file[12:]) {
		switch name {
		case "VP8 ", "VP8L":
			return decodeStill(r)
		case "ANMF":
			return decodeFrame(frame, config)
		}
	}
	return decodeStill(r)
}

// decodeStill reads a WebP file that is no animation.
//
// VP8 stores Y from 16 to 235, and Cb and Cr from 16 to 240 (RFC 6386, section 9.2, and ITU-R
// BT.601). Package webp returns these values as they are. But package image expects values
// from 0 to 255, as in JPEG: black would be a dark grey.
func decodeStill(r io.Reader) (image.Image, error) {
	img, err := webp.Decode(r)
	switch img := img.(type) {
	case *image.YCbCr:
		widen(img)
	case *image.NYCbCrA:
		widen(&img.YCbCr)
	}
	return img, err
}

// widen brings VP8's values to the range of package image.
func widen(img *image.YCbCr) {
	var luma, chroma [256]uint8
	for v := range 256 {
		luma[v] = uint8(max(0, min(255, math.Round(float64(v-16)*255/219))))
		chroma[v] = uint8(max(0, min(255, math.Round(128+float64(v-128)*255/224))))
	}
	for i, v := range img.Y {
		img.Y[i] = luma[v]
	}
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = chroma[img.Cb[i]], chroma[img.Cr[i]]
	}
}

// decodeFrame reads a frame of an animation. A frame is its place and its size, in three
// bytes each, how long it is shown, flags, and chunks as in a file.
func decodeFrame(frame []byte, config image.Config) (image.Image, error) {
	const header = 16
	if len(frame) < header {
		return nil, errors.New("a frame of the animation is cut short")
	}
	number := func(at int) int { return int(frame[at]) | int(frame[at+1])<<8 | int(frame[at+2])<<16 }
	at := image.Pt(2*number(0), 2*number(3))
	area := image.Rectangle{Min: at, Max: at.Add(image.Pt(number(6)+1, number(9)+1))}
	if !area.In(image.Rect(0, 0, config.Width, config.Height)) {
		return nil, errors.New("a frame of the animation is larger than the image")
	}
	var extended []byte // the header that a file with a chunk of transparency needs
	for name := range chunks(frame[header:]) {
		if name == "ALPH" {
			const alpha = 1 << 4
			extended = append([]byte("VP8X\x0a\x00\x00\x00"), alpha, 0, 0, 0)
			extended = append(extended, frame[6:12]...) // the size
			break
		}
	}
	body := append(append([]byte("WEBP"), extended...), frame[header:]...)
	file := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body)))
	file = append(file, body...)
	// The frame's own header, not its place in the animation, says what is decoded.
	size, err := webp.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	if size.Width != area.Dx() || size.Height != area.Dy() {
		return nil, errors.New("a frame of the animation has two sizes")
	}
	img, err := decodeStill(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	return placed(img, at, config), nil
}

// orientationOfWebP reads the Exif chunk.
func orientationOfWebP(file []byte) prepare.Orientation {
	if len(file) < 12 {
		return prepare.Upright
	}
	for name, body := range chunks(file[12:]) {
		if name == "EXIF" {
			return orientationInExif(body)
		}
	}
	return prepare.Upright
}

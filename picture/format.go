package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/gputrain/gputrain/internal/prepare"
)

// format is a format of image files that this package reads.
type format struct {
	name   string
	magics []string // the first bytes of a file, one of these; ? is any byte
	config func(r io.Reader) (image.Config, error)
	// decode reads the pixels, given what config read from the same file.
	decode      func(r *fileReader, config image.Config) (image.Image, error)
	orientation func(file []byte) prepare.Orientation
}

var formats = []format{
	{"JPEG", []string{"\xff\xd8"}, jpeg.DecodeConfig, decodeJPEG, orientationOfJPEG},
	{"PNG", []string{"\x89PNG\r\n\x1a\n"}, png.DecodeConfig, plain(png.Decode), orientationOfPNG},
	{"GIF", []string{"GIF87a", "GIF89a"}, gif.DecodeConfig, decodeGIF, alwaysUpright},
	{"BMP", []string{"BM????\x00\x00\x00\x00"}, bmp.DecodeConfig, plain(bmp.Decode), alwaysUpright},
	{"TIFF", []string{"II*\x00", "MM\x00*"}, tiff.DecodeConfig, decodeTIFF, orientationInTIFF},
	{"WebP", []string{"RIFF????WEBP"}, webp.DecodeConfig, decodeWebP, orientationOfWebP},
}

// plain turns the decoder of another package into the decode function of a format.
func plain(decode func(io.Reader) (image.Image, error)) func(*fileReader, image.Config) (image.Image, error) {
	return func(r *fileReader, _ image.Config) (image.Image, error) { return decode(r) }
}

// formatOf finds the format of a file by its first bytes. It returns nil if there is none.
func formatOf(file []byte) *format {
	for i := range formats {
		for _, magic := range formats[i].magics {
			if begins(file, magic) {
				return &formats[i]
			}
		}
	}
	return nil
}

// begins reports whether a file begins with magic, where ? is any byte.
func begins(file []byte, magic string) bool {
	if len(file) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != file[i] {
			return false
		}
	}
	return true
}

// strangers are kinds of files that people have but this package does not read: what they
// are, and what can be done.
var strangers = []struct{ magic, name, advice string }{
	{"????ftypheic", "HEIC", convert}, {"????ftypheix", "HEIC", convert}, {"????ftyphevc", "HEIC", convert},
	{"????ftypmif1", "HEIC", convert}, {"????ftypmsf1", "HEIC", convert},
	{"????ftypavif", "AVIF", convert}, {"????ftypavis", "AVIF", convert},
	{"????ftyp", "a video", ""}, {"\x1aE\xdf\xa3", "a video", ""}, {"RIFF????AVI ", "a video", ""},
	{"\xff\x0a", "JPEG XL", convert}, {"\x00\x00\x00\x0cJXL ", "JPEG XL", convert},
	{"\x00\x00\x00\x0cjP  ", "JPEG 2000", convert}, {"\xff\x4f\xff\x51", "JPEG 2000", convert},
	{"8BPS", "a Photoshop file", convert}, {"%PDF", "PDF", convert}, {"%!PS", "PostScript", convert},
	{"\x00\x00\x01\x00", "an icon", convert}, {"II+\x00", "BigTIFF", convert}, {"MM\x00+", "BigTIFF", convert},
	{"P1", "a Netpbm file", convert}, {"P2", "a Netpbm file", convert}, {"P3", "a Netpbm file", convert},
	{"P4", "a Netpbm file", convert}, {"P5", "a Netpbm file", convert}, {"P6", "a Netpbm file", convert},
	{"<svg", "SVG", convert}, {"<?xml", "SVG or other XML", convert},
	{"<!DOCTYPE html", "a web page", fetch}, {"<!doctype html", "a web page", fetch}, {"<html", "a web page", fetch},
	{"version https://git-lfs", "a pointer of Git LFS", "; fetch the picture itself (git lfs pull)"},
}

const (
	convert = "; convert it to JPEG or PNG"
	fetch   = "; fetch the picture itself"
)

// unknownFormat returns the error for a file of none of the formats. If it can, it says
// what to do.
func unknownFormat(file []byte) error {
	if len(file) == 0 {
		return &fileError{ErrDamaged, "the file is empty"}
	}
	if n := min(len(file), 64); bytes.Count(file[:n], []byte{0}) == n { // as after a full disk
		return &fileError{ErrDamaged, "the file begins with zeros alone: nothing was written to it"}
	}
	for _, s := range strangers {
		if begins(file, s.magic) {
			return fmt.Errorf("%w: it is %s%s", ErrFormat, s.name, s.advice)
		}
	}
	for _, f := range formats {
		for _, magic := range f.magics {
			if len(file) < len(magic) && begins(file, magic[:len(file)]) {
				return &fileError{ErrDamaged, "the file is cut short: it ends after " + count(len(file), "byte")}
			}
		}
	}
	if isText(file) {
		return fmt.Errorf("%w: it is text", ErrFormat)
	}
	return ErrFormat
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// isText reports whether a file begins like text.
func isText(file []byte) bool {
	start := file[:min(len(file), 512)]
	for len(start) > 0 {
		r, size := utf8.DecodeRune(start)
		if r == utf8.RuneError && size == 1 && len(start) >= utf8.UTFMax || r < ' ' && !strings.ContainsRune("\t\n\r\f", r) {
			return false
		}
		start = start[size:]
	}
	return true
}

// explain turns a decoder's error into one of this package.
func (f *format) explain(err error, r *fileReader) error {
	var tooLarge *fileError
	switch text := trimmed(err); {
	case errors.As(err, &tooLarge):
		return err
	case r.ended:
		// Each decoder says this in other words, or not at all.
		return &fileError{ErrDamaged, "damaged " + f.name + " image: the file is cut short"}
	case isUnsupported(err):
		return &fileError{ErrUnsupported, fmt.Sprintf("%s of a kind that is not read (%s); convert it to PNG", f.name, text)}
	default:
		return &fileError{ErrDamaged, "damaged " + f.name + " image: " + text}
	}
}

// isUnsupported reports whether a decoder says that it does not read a feature of its
// format.
func isUnsupported(err error) bool {
	var j jpeg.UnsupportedError
	var p png.UnsupportedError
	var t tiff.UnsupportedError
	return errors.As(err, &j) || errors.As(err, &p) || errors.As(err, &t) || errors.Is(err, bmp.ErrUnsupported)
}

// trimmed returns the text of a decoder's error without the decoder's name, which the
// message has already.
func trimmed(err error) string {
	text := err.Error()
	for _, prefix := range []string{"jpeg: ", "png: ", "gif: ", "bmp: ", "tiff: ", "webp: ", "vp8: ", "vp8l: ", "riff: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	for _, prefix := range []string{"invalid format: ", "invalid JPEG format: ", "unsupported JPEG feature: ", "unsupported feature: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// decodeGIF reads a GIF file's first frame and puts it at its place in the image.
func decodeGIF(r *fileReader, config image.Config) (image.Image, error) {
	frame, err := gif.Decode(r)
	if err != nil {
		return nil, err
	}
	return placed(frame, frame.Bounds().Min, config), nil
}

// placed puts a frame at its place in an image of config's size, because it may cover only
// a part of it. The rest is transparent.
func placed(frame image.Image, at image.Point, config image.Config) image.Image {
	screen := image.Rect(0, 0, config.Width, config.Height)
	size := frame.Bounds().Size()
	if size == screen.Size() || frame.Bounds().Empty() {
		return frame
	}
	canvas := image.NewNRGBA(screen)
	draw.Draw(canvas, image.Rectangle{Min: at, Max: at.Add(size)}, frame, frame.Bounds().Min, draw.Src)
	return canvas
}

// decodeJPEG reads a JPEG file.
//
// Package jpeg reads cyan, magenta, yellow and black only if Adobe's segment (APP14) says
// how they are stored. A file without this segment is read as browsers do: as if it had the
// segment, which said that the values are inverted and nothing else.
func decodeJPEG(r *fileReader, _ image.Config) (image.Image, error) {
	img, err := jpeg.Decode(r)
	if err == nil || r.ended || !strings.Contains(err.Error(), "APP14") {
		return img, err
	}
	const adobe = "\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
	return jpeg.Decode(io.MultiReader(bytes.NewReader(r.file[:2]), strings.NewReader(adobe), bytes.NewReader(r.file[2:])))
}

// decodeTIFF reads a TIFF file's first page.
func decodeTIFF(r *fileReader, config image.Config) (image.Image, error) {
	const tileWidth, tileLength, planes = 322, 323, 284
	// A tile is decompressed whole, and may be larger than the image.
	width, _ := tagOf(r.file, tileWidth)
	height, _ := tagOf(r.file, tileLength)
	if pixels := uint64(config.Width)*uint64(config.Height) + 1<<20; uint64(width)*uint64(height) > pixels {
		return nil, tiff.FormatError("a tile is larger than the image")
	}
	if n, ok := tagOf(r.file, planes); ok && n == 2 {
		return nil, tiff.UnsupportedError("each colour in a plane of its own")
	}
	return tiff.Decode(r)
}

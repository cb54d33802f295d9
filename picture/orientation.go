package picture

import (
	"bytes"
	"encoding/binary"
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

// alwaysUpright is the orientation function of formats that have no orientation.
func alwaysUpright([]byte) orientation { return upright }

// exifMark begins the Exif data in a JPEG file, and by mistake in other files.
const exifMark = "Exif\x00\x00"

// orientationOfJPEG reads the Exif segment of a JPEG file, anywhere before the pixels. It
// skips what package jpeg skips.
func orientationOfJPEG(file []byte) orientation {
	const (
		app1, startOfScan, endOfImage = 0xe1, 0xda, 0xd9
		restart0, restart7            = 0xd0, 0xd7
	)
	// A segment is 0xff, which may be repeated, then a marker, then a length that includes
	// its own bytes.
	for at := 2; at < len(file); {
		next := bytes.IndexByte(file[at:], 0xff)
		if next < 0 {
			break
		}
		at += next
		for at < len(file) && file[at] == 0xff {
			at++
		}
		if len(file)-at < 3 {
			break
		}
		marker, length := file[at], int(binary.BigEndian.Uint16(file[at+1:]))
		if marker == 0 || marker >= restart0 && marker <= restart7 {
			at++
			continue
		}
		if marker == startOfScan || marker == endOfImage || length < 2 || length > len(file)-at-1 {
			break
		}
		body := file[at+3 : at+1+length]
		if marker == app1 && bytes.HasPrefix(body, []byte(exifMark)) {
			return orientationInExif(body)
		}
		at += 1 + length
	}
	return upright
}

// orientationOfPNG reads the chunk eXIf of a PNG file, before or after the pixels. A chunk
// is a length, four letters, a body and a checksum.
func orientationOfPNG(file []byte) orientation {
	const signature, around = 8, 12
	for at := signature; at+around <= len(file); {
		length := uint64(binary.BigEndian.Uint32(file[at:]))
		if length > uint64(len(file)-at-around) {
			break
		}
		if string(file[at+4:at+8]) == "eXIf" {
			return orientationInExif(file[at+8:][:length])
		}
		at += around + int(length)
	}
	return upright
}

// orientationInExif reads the orientation in Exif data. They are a TIFF file, and may begin
// with exifMark.
func orientationInExif(b []byte) orientation {
	return orientationInTIFF(bytes.TrimPrefix(b, []byte(exifMark)))
}

// orientationInTIFF reads a TIFF file's orientation.
func orientationInTIFF(b []byte) orientation {
	const tag = 0x0112
	if n, ok := tagOf(b, tag); ok && n >= 1 && n <= 8 {
		return orientation(n)
	}
	return upright
}

// tagOf reads a number from the first directory of a TIFF file. The file begins with its
// byte order, the number 42, and the offset of that directory. The directory is a count,
// then entries of 12 bytes: tag, type, count and value.
func tagOf(b []byte, tag uint16) (uint32, bool) {
	const short, long = 3, 4
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte("II")):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte("MM")):
		order = binary.BigEndian
	default:
		return 0, false
	}
	if len(b) < 8 || uint64(order.Uint32(b[4:]))+2 > uint64(len(b)) {
		return 0, false
	}
	directory := b[order.Uint32(b[4:]):]
	entries := directory[2:]
	for range order.Uint16(directory) {
		if len(entries) < 12 {
			break
		}
		if order.Uint16(entries) == tag && order.Uint32(entries[4:]) == 1 {
			switch order.Uint16(entries[2:]) {
			case short:
				return uint32(order.Uint16(entries[8:])), true
			case long:
				return order.Uint32(entries[8:]), true
			}
		}
		entries = entries[12:]
	}
	return 0, false
}

// swaps reports whether rows become columns.
func (o orientation) swaps() bool { return o >= 5 }

// mirrors reports whether the stored image's columns, and its rows, are in reverse order in
// the upright image.
func (o orientation) mirrors() (columns, rows bool) {
	return o == 2 || o == 3 || o == 7 || o == 8, o == 3 || o == 4 || o == 6 || o == 7
}

// steps says where the pixels of a stored image of w x h go in the upright image, whose rows
// are stride apart. The pixel in column x and row y goes to first + x*column + y*row.
func (o orientation) steps(w, h, stride int) (first, column, row int) {
	column, row = 1, stride
	if o.swaps() {
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

// turned returns the upright image. It copies nothing: a large photo that becomes a small
// input is turned when it is small.
func (o orientation) turned(img image.Image) image.Image {
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
	if t.o.swaps() {
		size.X, size.Y = size.Y, size.X
	}
	return image.Rectangle{Max: size}
}

// At implements [image.Image].
func (t *turnedImage) At(x, y int) color.Color {
	if !(image.Point{X: x, Y: y}).In(t.Bounds()) {
		return color.Transparent
	}
	if t.o.swaps() {
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

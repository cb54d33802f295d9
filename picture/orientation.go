package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
)

// orientation is how a camera was held, as Exif's tag of that name has it: the
// image's first row and column are at
//
//	1 top, left      2 top, right     3 bottom, right  4 bottom, left
//	5 left, top      6 right, top     7 right, bottom  8 left, bottom
//
// of what is to be seen (CIPA DC-008, "Exchangeable image file format").
type orientation uint16

const upright orientation = 1

// orientationOf returns the orientation that a JPEG file's Exif segment gives;
// files without one that can be read are upright.
func orientationOf(file []byte) orientation {
	const (
		app1, startOfScan = 0xe1, 0xda
		header            = "Exif\x00\x00"
	)
	if !bytes.HasPrefix(file, []byte("\xff\xd8")) {
		return upright
	}
	// Segments are 0xff, a marker, and a length that counts itself.
	for rest := file[2:]; len(rest) >= 4 && rest[0] == 0xff && rest[1] != startOfScan; {
		length := int(binary.BigEndian.Uint16(rest[2:]))
		if length < 2 || 2+length > len(rest) {
			break
		}
		if body := rest[4 : 2+length]; rest[1] == app1 && bytes.HasPrefix(body, []byte(header)) {
			return orientationInTIFF(body[len(header):])
		}
		rest = rest[2+length:]
	}
	return upright
}

// orientationInTIFF reads the tag from Exif's data, which is a TIFF file: its
// byte order, the number 42, and where the first directory is; that has a count,
// and entries of 12 bytes: tag, type, count and value.
func orientationInTIFF(b []byte) orientation {
	const tag, short = 0x0112, 3
	var order binary.ByteOrder = binary.BigEndian
	if bytes.HasPrefix(b, []byte("II")) {
		order = binary.LittleEndian
	}
	if len(b) < 8 || uint64(order.Uint32(b[4:]))+2 > uint64(len(b)) {
		return upright
	}
	directory := b[order.Uint32(b[4:]):]
	entries := directory[2:]
	for range order.Uint16(directory) {
		if len(entries) < 12 {
			break
		}
		if order.Uint16(entries) == tag && order.Uint16(entries[2:]) == short {
			if o := orientation(order.Uint16(entries[8:])); o >= 1 && o <= 8 {
				return o
			}
			break
		}
		entries = entries[12:]
	}
	return upright
}

// turned returns the image as it is to be seen.
func (o orientation) turned(img image.Image) image.Image {
	if o == upright {
		return img
	}
	from := opaque(img, color.White) // JPEG knows no transparency
	w, h := from.Rect.Dx(), from.Rect.Dy()
	size := image.Pt(w, h)
	if o >= 5 {
		size = image.Pt(h, w)
	}
	to := image.NewRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			column, row := x, y
			if o >= 5 {
				column, row = y, x
			}
			if o == 2 || o == 3 || o == 7 || o == 8 {
				column = w - 1 - column
			}
			if o == 3 || o == 4 || o == 6 || o == 7 {
				row = h - 1 - row
			}
			copy(to.Pix[to.PixOffset(x, y):], from.Pix[from.PixOffset(column, row):][:4])
		}
	}
	return to
}

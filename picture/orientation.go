package picture

import (
	"bytes"
	"encoding/binary"

	"github.com/gputrain/gputrain/internal/prepare"
)

// alwaysUpright is the orientation function of formats that have no orientation.
func alwaysUpright([]byte) prepare.Orientation { return prepare.Upright }

// exifMark begins the Exif data in a JPEG file, and by mistake in other files.
const exifMark = "Exif\x00\x00"

// orientationOfJPEG reads the Exif segment of a JPEG file, anywhere before the pixels. It
// skips what package jpeg skips.
func orientationOfJPEG(file []byte) prepare.Orientation {
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
	return prepare.Upright
}

// orientationOfPNG reads the chunk eXIf of a PNG file, before or after the pixels. A chunk
// is a length, four letters, a body and a checksum.
func orientationOfPNG(file []byte) prepare.Orientation {
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
	return prepare.Upright
}

// orientationInExif reads the orientation in Exif data. They are a TIFF file, and may begin
// with exifMark.
func orientationInExif(b []byte) prepare.Orientation {
	return orientationInTIFF(bytes.TrimPrefix(b, []byte(exifMark)))
}

// orientationInTIFF reads a TIFF file's orientation.
func orientationInTIFF(b []byte) prepare.Orientation {
	const tag = 0x0112
	if n, ok := tagOf(b, tag); ok && n >= 1 && n <= 8 {
		return prepare.Orientation(n)
	}
	return prepare.Upright
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

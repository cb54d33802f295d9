package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"io"
	"sync"
)

// greyPNG decodes a PNG file of the plainest kind, which small grey images mostly
// are: a byte a pixel, rows in order, one piece of data, nothing else. It returns nil
// for any other and for a damaged one; image/png reads those, or says what is wrong.
// It keeps what it inflates with: to make that anew took image/png a third of a
// digit's way to the network, and half of a request's memory.
func greyPNG(file []byte) *image.Gray {
	const signature = "\x89PNG\r\n\x1a\n"
	if !bytes.HasPrefix(file, []byte(signature)) {
		return nil
	}
	header, rest := pngChunk(file[len(signature):], "IHDR")
	data, rest := pngChunk(rest, "IDAT")
	end, _ := pngChunk(rest, "IEND")
	// Behind width and height: 8 bits, grey, the only compression and filters, no interlacing.
	if len(header) != 13 || data == nil || end == nil || len(end) > 0 || string(header[8:]) != "\x08\x00\x00\x00\x00" {
		return nil
	}
	width, height := int(binary.BigEndian.Uint32(header)), int(binary.BigEndian.Uint32(header[4:]))
	f := inflaters.Get().(*inflater)
	defer f.giveBack()
	if f.open(data) != nil {
		return nil
	}
	img := image.NewGray(image.Rect(0, 0, width, height))
	above := make([]uint8, width)
	for y := range height {
		row := img.Pix[y*width : (y+1)*width]
		if _, err := io.ReadFull(f.zlib, f.one[:]); err != nil {
			return nil
		}
		if _, err := io.ReadFull(f.zlib, row); err != nil || !unfilter(f.one[0], row, above) {
			return nil
		}
		above = row
	}
	if n, err := f.zlib.Read(f.one[:]); n != 0 || err != io.EOF { // which checks the sum, too
		return nil
	}
	return img
}

// pngChunk returns the data of the chunk that a PNG file goes on with, and what comes
// behind it; nil if it isn't of that kind and whole.
func pngChunk(file []byte, kind string) (data, rest []byte) {
	if len(file) < 12 || string(file[4:8]) != kind {
		return nil, nil
	}
	n := uint64(binary.BigEndian.Uint32(file))
	if n > uint64(len(file)-12) {
		return nil, nil
	}
	data, rest = file[8:8+n], file[12+n:]
	if crc32.ChecksumIEEE(file[4:8+n]) != binary.BigEndian.Uint32(file[8+n:]) {
		return nil, nil
	}
	return data, rest
}

// unfilter takes a row's filter back (PNG specification, chapter 9), given the row
// above it; it reports whether it knows the filter.
func unfilter(filter uint8, row, above []uint8) bool {
	var left, corner uint8 // of the pixel, and above left
	switch filter {
	case 0:
	case 1:
		for x := range row {
			row[x] += left
			left = row[x]
		}
	case 2:
		for x := range row {
			row[x] += above[x]
		}
	case 3:
		for x := range row {
			row[x] += uint8((int(left) + int(above[x])) / 2)
			left = row[x]
		}
	case 4:
		for x := range row {
			row[x] += paeth(left, above[x], corner)
			left, corner = row[x], above[x]
		}
	default:
		return false
	}
	return true
}

// paeth returns of three neighbours the one nearest to left + up - corner.
func paeth(left, up, corner uint8) uint8 {
	byLeft, byUp := int(up)-int(corner), int(left)-int(corner) // how far from left, and from up
	byCorner := max(byLeft+byUp, -byLeft-byUp)
	byLeft, byUp = max(byLeft, -byLeft), max(byUp, -byUp)
	switch {
	case byLeft <= byUp && byLeft <= byCorner:
		return left
	case byUp <= byCorner:
		return up
	}
	return corner
}

// inflater is a zlib reader, what it reads, and room for a byte that it read.
type inflater struct {
	from bytes.Reader
	zlib io.ReadCloser
	one  [1]byte
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// open begins to inflate.
func (f *inflater) open(data []byte) (err error) {
	f.from.Reset(data)
	if f.zlib != nil {
		return f.zlib.(zlib.Resetter).Reset(&f.from, nil)
	}
	f.zlib, err = zlib.NewReader(&f.from)
	return err
}

func (f *inflater) giveBack() {
	f.from.Reset(nil) // the file is not to be kept
	inflaters.Put(f)
}

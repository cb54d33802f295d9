package picturetest

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/bits"
	"slices"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// Formats returns the names that Encoded accepts.
func Formats() []string { return []string{"jpeg", "png", "gif", "bmp", "tiff", "webp"} }

// Encoded returns an image as a file of one of the Formats. JPEG loses details, and GIF loses
// colours. WebP loses nothing, but its pixels come back as [image.NRGBA].
func Encoded(t testing.TB, format string, img image.Image) []byte {
	t.Helper()
	file, err := encode(format, img)
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return file
}

func encode(format string, img image.Image) ([]byte, error) {
	var b bytes.Buffer
	var err error
	switch format {
	case "png":
		err = png.Encode(&b, img)
	case "jpeg":
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 70})
	case "gif":
		err = gif.Encode(&b, img, nil)
	case "bmp":
		err = bmp.Encode(&b, img)
	case "tiff":
		err = tiff.Encode(&b, img, &tiff.Options{Compression: tiff.Deflate})
	case "webp":
		return WebP(WebPChunk("VP8L", lossless(img))), nil
	default:
		err = fmt.Errorf("unknown format")
	}
	return b.Bytes(), err
}

// AdobeCMYK is a JPEG file of 16 x 8 pixels of cyan, magenta, yellow and black, as Adobe's
// programs write it: inverted. Its left half is red (0, 255, 255, 0), its right half
// dark grey (0, 0, 0, 200). libjpeg made it.
//
//go:embed testdata/adobe-cmyk.jpg
var AdobeCMYK []byte

// LossyWebP is a WebP file of 48 x 32 pixels in VP8 with a chunk of transparency. It is
// white except for four fields of 16 x 16: black at the top left, grey (128) to its right,
// red (200, 30, 30) at the bottom right, and transparent at the bottom left.
// libwebp made it.
//
//go:embed testdata/lossy-alpha.webp
var LossyWebP []byte

// WebP returns a WebP file of chunks, see [WebPChunk].
func WebP(chunks ...[]byte) []byte {
	body := append([]byte("WEBP"), bytes.Join(chunks, nil)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

// WebPChunk returns a chunk of a WebP file, with a name of four letters and a body.
func WebPChunk(name string, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(body)))
	b = append(b, body...)
	return append(b, make([]byte, len(body)%2)...)
}

// Extended returns the first chunk of a WebP file that holds more than an image. bits says
// what else is there: 2 for an animation, 8 for Exif, 16 for transparency. w and h are the
// size of the image.
func Extended(bits byte, w, h int) []byte {
	return WebPChunk("VP8X", append([]byte{bits, 0, 0, 0}, slices.Concat(number24(w-1), number24(h-1))...))
}

// Frame returns a chunk of a WebP animation: a frame with an image at (x, y). x and y are
// even.
func Frame(img image.Image, x, y int) []byte {
	size := img.Bounds().Size()
	header := slices.Concat(number24(x/2), number24(y/2), number24(size.X-1), number24(size.Y-1), number24(100), []byte{0})
	return WebPChunk("ANMF", append(header, WebPChunk("VP8L", lossless(img))...))
}

func number24(n int) []byte { return []byte{byte(n), byte(n >> 8), byte(n >> 16)} }

// lossless is an image in VP8L, WebP's lossless coding, in its simplest form: eight bits
// for each value (developers.google.com/speed/webp/docs/webp_lossless_bitstream_specification).
func lossless(img image.Image) []byte {
	size := img.Bounds().Size()
	var s bitStream
	s.put(0x2f, 8)
	s.put(uint32(size.X-1), 14)
	s.put(uint32(size.Y-1), 14)
	s.put(1, 1)   // there is transparency
	s.put(0, 3+3) // the version; no transformation, cache of colours or groups of codes
	for _, symbols := range []int{256 + 24, 256, 256, 256} {
		// A code whose lengths are coded themselves, by one bit: 0 or 8. There are 12
		// lengths of these codes, in an order that begins 17, 18, 0, ..., 8.
		s.put(0, 1)
		s.put(12-4, 4)
		for i := range 12 {
			length := uint32(0)
			if i == 2 || i == 11 {
				length = 1
			}
			s.put(length, 3)
		}
		s.put(0, 1) // all lengths follow
		for i := range symbols {
			if i < 256 {
				s.put(1, 1)
			} else {
				s.put(0, 1)
			}
		}
	}
	s.put(1, 1+1+1+1) // distances: one code, for 0
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			for _, v := range []uint8{c.G, c.R, c.B, c.A} {
				s.put(uint32(bits.Reverse8(v)), 8)
			}
		}
	}
	return s.bytes
}

// bitStream is bits in bytes, the lowest first.
type bitStream struct {
	bytes []byte
	free  int // bits of the last byte
}

func (s *bitStream) put(v uint32, n int) {
	for range n {
		if s.free == 0 {
			s.bytes, s.free = append(s.bytes, 0), 8
		}
		s.bytes[len(s.bytes)-1] |= byte(v&1) << (8 - s.free)
		s.free--
		v >>= 1
	}
}

// PNGChunk returns a chunk of a PNG file, with a name of four letters and a body.
func PNGChunk(name string, body []byte) []byte {
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), name...)
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// Exif returns Exif data with an orientation. They are a TIFF file in the given byte order,
// with two entries: the width and the orientation.
func Exif(order binary.AppendByteOrder, orientation int) []byte {
	name := "MM"
	if order == binary.AppendByteOrder(binary.LittleEndian) {
		name = "II"
	}
	b := order.AppendUint32(order.AppendUint16([]byte(name), 42), 8)
	b = order.AppendUint16(b, 2)
	for _, entry := range [][2]uint16{{0x0100, 7}, {0x0112, uint16(orientation)}} {
		b = order.AppendUint16(b, entry[0])
		b = order.AppendUint16(b, 3) // 16 bits
		b = order.AppendUint32(b, 1)
		b = order.AppendUint16(b, entry[1])
		b = append(b, 0, 0)
	}
	return append(b, 0, 0, 0, 0) // no more directories
}

// Turned returns files of an image with an orientation: one for each place in a file that
// can hold it. The keys name the places. The pixels are the same in all. The format is
// jpeg, png, tiff or webp.
func Turned(t testing.TB, format string, img image.Image, order binary.AppendByteOrder, orientation int) map[string][]byte {
	t.Helper()
	file, exif := Encoded(t, format, img), Exif(order, orientation)
	files := map[string][]byte{}
	switch format {
	case "jpeg":
		body := append([]byte("Exif\x00\x00"), exif...)
		exif := append(binary.BigEndian.AppendUint16([]byte("\xff\xe1"), uint16(2+len(body))), body...)
		jfif := []byte("\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")
		xmp := []byte("\xff\xe1\x00\x0ahttp://\x00")
		files["at the start"] = slices.Concat(file[:2], exif, file[2:])
		files["behind other segments"] = slices.Concat(file[:2], jfif, xmp, exif, file[2:])
		files["behind fill bytes"] = slices.Concat(file[:2], jfif, []byte("\xff\xff\xff"), exif, file[2:])
		files["behind bytes of no segment"] = slices.Concat(file[:2], []byte("\x01\x02\xff\x00"), exif, file[2:])
		files["behind the tables"] = slices.Concat(file[:2+2+132], exif, file[2+2+132:])
	case "png":
		const header = 8 + 12 + 13
		chunk := PNGChunk("eXIf", exif)
		end := len(file) - 12
		files["before the pixels"] = slices.Concat(file[:header], chunk, file[header:])
		files["behind the pixels"] = slices.Concat(file[:end], chunk, file[end:])
		files["with JPEG's mark"] = slices.Concat(file[:header], PNGChunk("eXIf", append([]byte("Exif\x00\x00"), exif...)), file[header:])
	case "webp":
		size := img.Bounds().Size()
		pixels, extended := WebPChunk("VP8L", lossless(img)), Extended(8+16, size.X, size.Y)
		files["behind the pixels"] = WebP(extended, pixels, WebPChunk("EXIF", exif))
		files["with JPEG's mark"] = WebP(extended, pixels, WebPChunk("EXIF", append([]byte("Exif\x00\x00"), exif...)))
		files["before the pixels"] = WebP(extended, WebPChunk("EXIF", exif), pixels)
		files["of odd length"] = WebP(extended, WebPChunk("ICCP", []byte("odd")), pixels, WebPChunk("EXIF", exif))
	case "tiff":
		files["as a tag"] = withTag(file, 0x0112, uint16(orientation))
	default:
		t.Fatalf("%s has no orientation", format)
	}
	return files
}

// withTag is a TIFF file as package tiff writes it, with one tag more, or another value
// of it. The new directory stands at the end.
func withTag(file []byte, tag, value uint16) []byte {
	order := binary.LittleEndian
	at := int(order.Uint32(file[4:]))
	n := int(order.Uint16(file[at:]))
	var entries [][]byte
	for i := range n {
		if entry := file[at+2+12*i:][:12]; order.Uint16(entry) != tag {
			entries = append(entries, entry)
		}
	}
	entry := order.AppendUint16(order.AppendUint16(nil, tag), 3)
	entry = order.AppendUint16(order.AppendUint32(entry, 1), value)
	entries = append(entries, append(entry, 0, 0))
	slices.SortFunc(entries, func(a, b []byte) int { return int(order.Uint16(a)) - int(order.Uint16(b)) })
	out := slices.Clone(file)
	order.PutUint32(out[4:], uint32(len(out)))
	out = order.AppendUint16(out, uint16(len(entries)))
	return append(append(out, bytes.Join(entries, nil)...), 0, 0, 0, 0)
}

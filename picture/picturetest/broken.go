package picturetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"slices"
)

// BrokenPicture is a file that is not a picture, or no longer one.
type BrokenPicture struct {
	Name string // the file's name, with the suffix of a picture format, such as .png
	Data []byte
	Want string // a part of the error, which is one line
}

// Broken returns files that can't be read as pictures, each for a different reason and
// with a different name.
func Broken() []BrokenPicture {
	var out []BrokenPicture
	add := func(want, name string, data []byte) { out = append(out, BrokenPicture{name, data, want}) }

	files := map[string][]byte{}
	for _, format := range Formats() {
		file, err := encode(format, scene())
		if err != nil {
			panic("BUG: " + err.Error())
		}
		files[format] = file
	}
	files["cmyk.jpeg"], files["lossy.webp"] = AdobeCMYK, LossyWebP
	const short = "the file is cut short"
	for _, c := range []struct {
		format string
		ends   []int // after how many bytes the file is cut; counted from its end if negative
	}{
		{"jpeg", []int{2, 3, 30, 200, -100, -1}},
		{"cmyk.jpeg", []int{12, -8}},
		{"png", []int{4, 8, 20, 60, -20, -12, -1}},
		{"gif", []int{3, 6, 12, 30, -30}},
		{"bmp", []int{14, 40, 60, -1}},
		{"tiff", []int{5, 8, 200, -20}},
		{"webp", []int{9, 12, 18, 200, -2}},
		{"lossy.webp", []int{40, -4}},
	} {
		file := files[c.format]
		for _, end := range c.ends {
			if end < 0 {
				end += len(file)
			}
			add(short, fmt.Sprintf("cut-after-%d.%s", end, c.format), file[:end])
		}
	}
	add("damaged PNG image", "one-byte-changed.png", changed(files["png"], len(files["png"])-30))
	add("damaged PNG image", "wrong-check-sum.png", changed(files["png"], 30))
	add("damaged PNG image", "no-width.png", pngHeader(0, 7))
	add("damaged PNG image", "too-few-pixels.png", slices.Concat(pngHeader(48, 32), PNGChunk("IDAT", []byte("x\x9c\x03\x00\x00\x00\x00\x01")), PNGChunk("IEND", nil)))
	add("damaged JPEG image", "no-pixels.jpg", []byte("\xff\xd8\xff\xd9"))
	add("damaged JPEG image", "no-tables.jpg", withoutTables(files["jpeg"]))
	add("damaged GIF image", "no-frame.gif", []byte("GIF89a\x04\x00\x04\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff;"))
	add("it has no pixels", "frame-of-nothing.gif", []byte("GIF89a\x04\x00\x04\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"+
		",\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x01\x2c\x00;"))
	add("a tile is larger than the image", "tile-of-gigabytes.tif", tiffHeader(30_000_000, 1, 0x0142, 30_000_000, 0x0143, 16))
	add("damaged TIFF image", "no-strips.tif", tiffHeader(48, 32))
	add("damaged WebP image", "no-image.webp", WebP(Extended(0, 48, 32)))
	add("damaged WebP image", "two-sizes.webp", WebP(Extended(0, 7, 7), files["webp"][12:]))
	add("damaged WebP image", "frame-too-large.webp", WebP(Extended(2, 8, 8), WebPChunk("ANIM", make([]byte, 6)), Frame(scene(), 0, 0)))

	sizes := Frame(scene(), 0, 0)
	copy(sizes[8+6:], slices.Concat(number24(7), number24(7)))
	add("a frame of the animation has two sizes", "frame-of-two-sizes.webp", WebP(Extended(2, 8, 8), WebPChunk("ANIM", make([]byte, 6)), sizes))

	const large = "the image is too large"
	add(large, "bomb.png", pngHeader(100_000, 100_000))
	add(large, "bomb.jpg", withSize(files["jpeg"], 65_500, 65_500))
	add(large, "bomb.gif", slices.Concat([]byte("GIF89a\xff\xff\xff\xff"), files["gif"][10:]))
	add(large, "bomb.bmp", slices.Concat(files["bmp"][:18], []byte("\xa0\x86\x01\x00\xa0\x86\x01\x00"), files["bmp"][26:]))
	add(large, "bomb.tif", tiffHeader(65_535, 65_535))
	add(large, "bomb.webp", WebP(Extended(0, 16_000, 16_000), files["webp"][12:]))
	add(large, "lossless-bomb.webp", WebP(WebPChunk("VP8L", []byte("\x2f\xff\xff\xff\x0f\x00\x00"))))

	const unread = "of a kind that is not read"
	add(unread, "arithmetic-coding.jpg", jpegFrame(0xc9, 8, 32, 48))
	add(unread, "12-bits.jpg", jpegFrame(0xc1, 12, 32, 48))
	add(unread, "run-lengths.bmp", slices.Concat(files["bmp"][:30], []byte{1, 0, 0, 0}, files["bmp"][34:]))
	add(unread, "jpeg-inside.tif", tiffHeader(48, 32, 0x0103, 7, 0x0111, 8, 0x0117, 4))
	add(unread, "floats.tif", tiffHeader(48, 32, 0x0153, 3))
	add(unread, "planes.tif", tiffHeader(48, 32, 0x011c, 2))

	add("the file is empty", "empty.jpg", nil)
	add("it is text", "text.jpg", []byte("Not a picture at all.\n"))
	add("it is text", "german.png", []byte("Gänsefüßchen, und nichts zu sehen"))
	add("it is a web page; fetch the picture itself", "not-found.jpg", []byte("<!DOCTYPE html>\n<title>404</title>"))
	add("Git LFS", "pointer.png", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"))
	add("it is HEIC; convert it to JPEG or PNG", "telephone.jpg", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00"))
	add("it is AVIF; convert it", "saved.jpg", []byte("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00"))
	add("it is SVG", "drawing.png", []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`))
	add("it is a video", "film.gif", []byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00"))
	add("zeros", "never-written.jpg", make([]byte, 5000))
	add("not a JPEG, PNG, GIF, BMP, TIFF or WebP image", "program.png", []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00"))
	add("not a JPEG, PNG, GIF, BMP, TIFF or WebP image", "sound.webp", []byte("RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00"))
	return out
}

// scene is a small picture with details in it.
func scene() image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, 48, 32))
	for y := range 32 {
		for x := range 48 {
			img.SetNRGBA(x, y, color.NRGBA{uint8(5 * x), uint8(7 * y), uint8(x * y), 255})
		}
	}
	return img
}

// changed is a file with one byte changed.
func changed(file []byte, at int) []byte {
	out := slices.Clone(file)
	out[at] ^= 0x5a
	return out
}

// pngHeader is a PNG file of grey pixels, up to its header.
func pngHeader(w, h uint32) []byte {
	size := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	return append([]byte("\x89PNG\r\n\x1a\n"), PNGChunk("IHDR", append(size, 8, 0, 0, 0, 0))...)
}

// jpegFrame is a JPEG file of grey pixels up to its frame's header, which a marker
// begins.
func jpegFrame(marker byte, bits byte, h, w uint16) []byte {
	b := append([]byte("\xff\xd8\xff"), marker, 0, 11, bits)
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, h), w)
	return append(b, 1, 1, 0x11, 0)
}

// withSize is a JPEG file with another size in its header.
func withSize(file []byte, h, w uint16) []byte {
	out := slices.Clone(file)
	at := bytes.Index(out, []byte("\xff\xc0"))
	binary.BigEndian.PutUint16(out[at+5:], h)
	binary.BigEndian.PutUint16(out[at+7:], w)
	return out
}

// withoutTables is a JPEG file without its tables of codes.
func withoutTables(file []byte) []byte {
	at := bytes.Index(file, []byte("\xff\xc4"))
	return append(file[:at:at], file[at+2+int(binary.BigEndian.Uint16(file[at+2:])):]...)
}

// tiffHeader is a TIFF file of grey pixels with nothing but a directory: width, height,
// 8 bits, and tags with values.
func tiffHeader(w, h uint32, tags ...uint32) []byte {
	entries := map[uint32]uint32{0x0100: w, 0x0101: h, 0x0102: 8, 0x0106: 1}
	for i := 0; i < len(tags); i += 2 {
		entries[tags[i]] = tags[i+1]
	}
	var order []uint32
	for tag := range entries {
		order = append(order, tag)
	}
	slices.Sort(order)
	b := []byte("II*\x00\x08\x00\x00\x00")
	b = binary.LittleEndian.AppendUint16(b, uint16(len(order)))
	for _, tag := range order {
		b = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(b, uint16(tag)), 4) // 32 bits
		b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, 1), entries[tag])
	}
	return append(b, 0, 0, 0, 0)
}

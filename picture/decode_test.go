package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/image/tiff"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture/picturetest"
)

// decoded is a file's image, which must be of a size.
func decoded(t *testing.T, name string, file []byte, size image.Point) image.Image {
	t.Helper()
	img, err := Decode(file, nil)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if img.Bounds().Size() != size {
		t.Fatalf("%s: %v, want %v", name, img.Bounds().Size(), size)
	}
	return img
}

// colourAt is an image's colour on white, as a network sees it.
func colourAt(t *testing.T, img image.Image, x, y int) [3]int {
	t.Helper()
	size := img.Bounds().Size()
	in := net.Shape{C: 3, H: size.Y, W: size.X}
	pixels, err := Stretch.Pixels(img, in)
	if err != nil {
		t.Fatal(err)
	}
	at, area := y*size.X+x, size.X*size.Y
	return [3]int{int(pixels[at]), int(pixels[area+at]), int(pixels[2*area+at])}
}

// wantColour checks a colour within some levels.
func wantColour(t *testing.T, name string, img image.Image, x, y int, want [3]int, within int) {
	t.Helper()
	got := colourAt(t, img, x, y)
	for k := range want {
		if d := got[k] - want[k]; d > within || d < -within {
			t.Errorf("%s: %v at (%d, %d), want %v within %d", name, got, x, y, want, within)
			return
		}
	}
}

// fields is an image of two rows of three fields of 16 x 16, which JPEG keeps apart:
// black, grey, white; blue, white, red.
func fields() *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, 48, 32))
	for y := range 32 {
		for x := range 48 {
			img.SetNRGBA(x, y, fieldColours[3*(y/16)+x/16])
		}
	}
	return img
}

var fieldColours = [6]color.NRGBA{
	{0, 0, 0, 255}, {128, 128, 128, 255}, {255, 255, 255, 255}, {20, 40, 230, 255}, {255, 255, 255, 255}, {200, 30, 30, 255},
}

// TestFormats reads an image of each format, whatever its name would be.
func TestFormats(t *testing.T) {
	names := map[string]string{"jpeg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "tiff": "TIFF", "webp": "WebP"}
	for _, format := range picturetest.Formats() {
		file := picturetest.Encoded(t, format, fields())
		img := decoded(t, format, file, image.Pt(48, 32))
		within := map[string]int{"jpeg": 6, "gif": 45}[format] // JPEG's losses; GIF has 256 colours
		for i, c := range fieldColours {
			wantColour(t, format, img, 16*(i%3)+8, 16*(i/3)+8, [3]int{int(c.R), int(c.G), int(c.B)}, within)
		}
		if got, err := Header(file); err != nil || got != (Info{48, 32, 3, names[format]}) {
			t.Errorf("%s: header %+v, %v", format, got, err)
		}
		// What follows an image is of no account.
		decoded(t, format+" with a tail", append(slices.Clone(file), "tail"...), image.Pt(48, 32))
	}
}

// TestKindsOfPixels reads grey, transparent, 16-bit and indexed pixels.
func TestKindsOfPixels(t *testing.T) {
	rect := image.Rect(0, 0, 4, 2)
	grey, grey16, grey12, dark16 := image.NewGray(rect), image.NewGray16(rect), image.NewGray16(rect), image.NewGray16(rect)
	deep, clear16 := image.NewRGBA64(rect), image.NewNRGBA64(rect)
	clear, indexed := image.NewNRGBA(rect), image.NewPaletted(rect, color.Palette{color.NRGBA{10, 200, 30, 255}, color.NRGBA{R: 255, A: 128}, color.Transparent})
	greyIndexed := image.NewPaletted(rect, color.Palette{color.Gray{77}, color.Gray{177}})
	for y := range 2 {
		for x := range 4 {
			grey.SetGray(x, y, color.Gray{100})
			grey16.SetGray16(x, y, color.Gray16{100*257 + 128}) // a little less than the half of a level more
			grey12.SetGray16(x, y, color.Gray16{100 * 4095 / 255})
			dark16.SetGray16(x, y, color.Gray16{255}) // not a 12-bit one
			deep.SetRGBA64(x, y, color.RGBA64{50*257 - 128, 60*257 + 128, 65535, 65535})
			clear16.SetNRGBA64(x, y, color.NRGBA64{65535, 0, 0, 65535 / 3})
			clear.SetNRGBA(x, y, color.NRGBA{0, 0, 255, 51})
			indexed.SetColorIndex(x, y, uint8(x%3))
		}
	}
	encode := func(format string, img image.Image) []byte { return picturetest.Encoded(t, format, img) }
	for _, c := range []struct {
		name     string
		file     []byte
		want     [3]int // in column 1
		channels int
		within   int
	}{
		{"grey JPEG", encode("jpeg", grey), [3]int{100, 100, 100}, 1, 2},
		{"grey PNG", encode("png", grey), [3]int{100, 100, 100}, 1, 0},
		{"grey TIFF", encode("tiff", grey), [3]int{100, 100, 100}, 1, 0},
		{"grey BMP", encode("bmp", grey), [3]int{100, 100, 100}, 1, 0},
		{"grey PNG of 16 bits", encode("png", grey16), [3]int{100, 100, 100}, 1, 0},
		{"grey PNG of 12 bits", encode("png", grey12), [3]int{100, 100, 100}, 1, 0},
		{"grey TIFF of 12 bits", encode("tiff", grey12), [3]int{100, 100, 100}, 1, 0},
		{"almost black PNG of 16 bits", encode("png", dark16), [3]int{1, 1, 1}, 1, 0},
		{"grey TIFF of 16 bits", encode("tiff", grey16), [3]int{100, 100, 100}, 1, 0},
		{"PNG of 16 bits", encode("png", deep), [3]int{50, 60, 255}, 3, 0},
		{"TIFF of 16 bits", encode("tiff", deep), [3]int{50, 60, 255}, 3, 0},
		{"transparent PNG", encode("png", clear), [3]int{204, 204, 255}, 3, 0},
		{"transparent WebP", encode("webp", clear), [3]int{204, 204, 255}, 3, 0},
		{"transparent TIFF", encode("tiff", clear), [3]int{204, 204, 255}, 3, 0},
		{"transparent PNG of 16 bits", encode("png", clear16), [3]int{255, 170, 170}, 3, 0},
		{"indexed PNG", encode("png", indexed), [3]int{255, 127, 127}, 3, 0},
		{"indexed grey PNG", encode("png", greyIndexed), [3]int{77, 77, 77}, 1, 0},
		{"indexed grey GIF", encode("gif", greyIndexed), [3]int{77, 77, 77}, 1, 0},
	} {
		wantColour(t, c.name, decoded(t, c.name, c.file, rect.Size()), 1, 1, c.want, c.within)
		if info, err := Header(c.file); err != nil || info.Channels != c.channels {
			t.Errorf("%s: %d channels (%v), want %d", c.name, info.Channels, err, c.channels)
		}
	}
	// A fully transparent index is white; a grey PNG with transparency has one channel.
	wantColour(t, "indexed PNG", decoded(t, "indexed PNG", encode("png", indexed), rect.Size()), 2, 0, [3]int{255, 255, 255}, 0)
	transparentGrey := slices.Concat([]byte("\x89PNG\r\n\x1a\n"), picturetest.PNGChunk("IHDR", []byte{0, 0, 0, 1, 0, 0, 0, 1, 8, 4, 0, 0, 0}))
	if info, err := Header(transparentGrey); err != nil || info != (Info{1, 1, 1, "PNG"}) {
		t.Errorf("grey PNG with transparency: %+v, %v", info, err)
	}
}

// TestInks reads JPEG files of cyan, magenta, yellow and black: as Adobe's programs
// write them, as Y, Cb, Cr and black, and from programs that don't say so.
func TestInks(t *testing.T) {
	file := picturetest.AdobeCMYK
	size := image.Pt(16, 8)
	adobe := decoded(t, "Adobe's", file, size)
	wantColour(t, "Adobe's", adobe, 3, 4, [3]int{255, 0, 0}, 3)
	wantColour(t, "Adobe's", adobe, 12, 4, [3]int{55, 55, 55}, 3)

	// Stored are 255, 0, 0 and 255 for red. As Y, Cb, Cr and black, Y 255, Cb 0 and Cr 0
	// are what 76, 255 and 28 are in red, green and blue: so much cyan, magenta and
	// yellow, and no black.
	ycck := slices.Clone(file)
	ycck[2+2+13] = 2
	wantColour(t, "YCCK", decoded(t, "YCCK", ycck, size), 3, 4, [3]int{179, 0, 227}, 4)

	// Without Adobe's segment of 16 bytes the values mean the same.
	plain := slices.Concat(file[:2], file[2+16:])
	wantColour(t, "without Adobe's segment", decoded(t, "without Adobe's segment", plain, size), 3, 4, [3]int{255, 0, 0}, 3)
	turned := decoded(t, "without Adobe's segment, turned", slices.Concat(file[:2], exifSegment(6), file[2+16:]), image.Pt(8, 16))
	wantColour(t, "without Adobe's segment, turned", turned, 4, 3, [3]int{255, 0, 0}, 3)
	wantColour(t, "without Adobe's segment, turned", turned, 4, 12, [3]int{55, 55, 55}, 3)
	if info, err := Header(plain); err != nil || info != (Info{16, 8, 3, "JPEG"}) {
		t.Errorf("header %+v, %v", info, err)
	}
}

// exifSegment is a JPEG file's segment with an orientation.
func exifSegment(o int) []byte {
	body := append([]byte("Exif\x00\x00"), picturetest.Exif(binary.BigEndian, o)...)
	return append(binary.BigEndian.AppendUint16([]byte("\xff\xe1"), uint16(2+len(body))), body...)
}

// TestFrames reads first frames that cover a part of their screen, and lie where they
// belong.
func TestFrames(t *testing.T) {
	red := image.NewPaletted(image.Rect(4, 2, 8, 8), color.Palette{color.RGBA{200, 0, 0, 255}, color.Black})
	black := image.NewPaletted(image.Rect(0, 0, 20, 10), color.Palette{color.Black})
	var b bytes.Buffer
	err := gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{red, black}, Delay: []int{1, 1}, Config: image.Config{Width: 20, Height: 10}})
	if err != nil {
		t.Fatal(err)
	}
	square := image.NewNRGBA(image.Rect(0, 0, 4, 6))
	for i := range square.Pix {
		square.Pix[i] = [4]uint8{200, 0, 0, 255}[i%4]
	}
	lossy := picturetest.LossyWebP[12+8+10:] // without the header of an extended file
	frame := append([]byte{0, 0, 0, 0, 0, 0, 47, 0, 0, 31, 0, 0, 100, 0, 0, 0}, lossy...)
	animation := picturetest.WebPChunk("ANIM", make([]byte, 6))
	for name, file := range map[string][]byte{
		"GIF":  b.Bytes(),
		"WebP": picturetest.WebP(picturetest.Extended(2+16, 20, 10), animation, picturetest.Frame(square, 4, 2), picturetest.Frame(fields(), 0, 0)),
	} {
		img := decoded(t, name, file, image.Pt(20, 10))
		for _, p := range []image.Point{{4, 2}, {7, 7}} {
			wantColour(t, name, img, p.X, p.Y, [3]int{200, 0, 0}, 0)
		}
		for _, p := range []image.Point{{3, 2}, {4, 1}, {8, 7}, {7, 8}, {19, 9}} {
			wantColour(t, name, img, p.X, p.Y, [3]int{255, 255, 255}, 0)
		}
	}
	// Frames in VP8, with transparency, and files that are no animation.
	opaque := picturetest.WebP(picturetest.LossyWebP[bytes.Index(picturetest.LossyWebP, []byte("VP8 ")):])
	for name, file := range map[string][]byte{
		"opaque lossy WebP":    opaque,
		"lossy WebP":           picturetest.LossyWebP,
		"lossy WebP animation": picturetest.WebP(picturetest.Extended(2+16, 48, 32), animation, picturetest.WebPChunk("ANMF", frame)),
	} {
		img := decoded(t, name, file, image.Pt(48, 32))
		for at, want := range map[image.Point][3]int{
			{8, 8}: {0, 0, 0}, {24, 8}: {128, 128, 128}, {40, 8}: {255, 255, 255}, {8, 24}: {255, 255, 255}, {40, 24}: {200, 30, 30},
		} {
			wantColour(t, name, img, at.X, at.Y, want, 12) // libwebp's quality 60
		}
		if _, _, _, a := img.At(8, 24).RGBA(); (a == 0) != (name != "opaque lossy WebP") {
			t.Errorf("%s: alpha %d at the bottom left", name, a)
		}
	}
}

// TestAdmit checks that admit is asked with the stored size, and obeyed.
func TestAdmit(t *testing.T) {
	no := errors.New("no")
	for _, format := range picturetest.Formats() {
		file := picturetest.Encoded(t, format, fields())
		w, h := 0, 0
		if _, err := Decode(file, func(width, height int) error { w, h = width, height; return no }); err != no || w != 48 || h != 32 {
			t.Errorf("%s: asked for %d x %d, error %v", format, w, h, err)
		}
	}
}

// FuzzDecode reads any bytes: without a panic, in memory that the size in the header
// explains, and with one clear line if it fails. What is decoded can be prepared.
func FuzzDecode(f *testing.F) {
	for _, b := range picturetest.Broken() {
		if len(b.Data) < 6000 {
			f.Add(b.Data)
		}
	}
	small := image.NewNRGBA(image.Rect(0, 0, 9, 5))
	for i := range small.Pix {
		small.Pix[i] = uint8(31 * i)
	}
	for _, format := range picturetest.Formats() {
		f.Add(picturetest.Encoded(f, format, small))
		f.Add(picturetest.Encoded(f, format, image.NewGray(small.Rect)))
	}
	for _, format := range []string{"jpeg", "png", "tiff", "webp"} {
		for _, file := range picturetest.Turned(f, format, small, binary.LittleEndian, 5) {
			f.Add(file)
		}
	}
	f.Add(picturetest.AdobeCMYK)
	f.Add(slices.Concat(picturetest.AdobeCMYK[:2], picturetest.AdobeCMYK[18:]))
	f.Add(picturetest.LossyWebP)
	f.Add(picturetest.WebP(picturetest.Extended(2+16, 20, 10), picturetest.Frame(small, 4, 2)))
	var b bytes.Buffer
	for _, how := range []tiff.CompressionType{tiff.Uncompressed, tiff.Deflate} {
		if err := tiff.Encode(&b, image.NewPaletted(small.Rect, color.Palette{color.Black}), &tiff.Options{Compression: how, Predictor: true}); err != nil {
			f.Fatal(err)
		}
		f.Add(slices.Clone(b.Bytes()))
		b.Reset()
	}
	if err := png.Encode(&b, image.NewNRGBA64(small.Rect)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		const most = 300_000 // pixels, so that it is quick
		pixels := uint64(0)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		img, err := Decode(file, func(w, h int) error {
			pixels = uint64(w) * uint64(h)
			return CheckSize(w, h, most)
		})
		runtime.ReadMemStats(&after)
		info, headerErr := Header(file)
		// What a decoder takes besides: buffers, tables, and what a format may hold that is
		// not of the image's size: tiles of a TIFF file, code tables of WebP. All that was
		// ever taken counts here, so growing buffers count twice.
		besides := map[string]uint64{"TIFF": 64 << 20, "WebP": 160 << 20}[info.Format] + 2<<20
		if took := after.TotalAlloc - before.TotalAlloc; took > 100*min(pixels, most)+8*uint64(len(file))+besides {
			t.Errorf("took %d bytes for %d pixels in a %s file of %d bytes", took, pixels, info.Format, len(file))
		}
		if err != nil {
			if text := err.Error(); text == "" || len(text) > 300 || bytes.ContainsAny([]byte(text), "\n\r\x00") {
				t.Errorf("%q is not one clear line", text)
			}
			return
		}
		if headerErr != nil {
			t.Fatalf("decoded, but: %v", headerErr)
		}
		if size := img.Bounds().Size(); size != image.Pt(info.Width, info.Height) {
			t.Fatalf("%v, the header says %+v", size, info)
		}
		grey, err := Fit.Pixels(img, net.Shape{C: 1, H: 6, W: 5})
		if err != nil {
			t.Fatal(err)
		}
		colour, err := Fit.Pixels(img, net.Shape{C: 3, H: 6, W: 5})
		if err != nil {
			t.Fatal(err)
		}
		if info.Channels == 1 && !slices.Equal(grey, colour[:30]) {
			t.Errorf("a grey image has colours: %v, grey %v", colour, grey)
		}
	})
}

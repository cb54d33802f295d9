package picture

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/draw"

	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture/picturetest"
)

// testDigits returns MNIST's test set.
func testDigits(t *testing.T) *net.Dataset {
	t.Helper()
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	return split.Test
}

// TestDigitsStay checks that preparing MNIST's own digits, which are prepared
// already, changes nothing but that the brightest pixel becomes 255.
func TestDigitsStay(t *testing.T) {
	digits := testDigits(t)
	for i := range 1000 {
		digit := picturetest.Digit(digits, i)
		got, err := Digit.Pixels(digit, DigitShape)
		if err != nil {
			t.Fatal(err)
		}
		if worst := greatestDifference(got, digit.Pix); worst > 2 {
			t.Errorf("test image %d: a pixel changes by %d", i, worst)
		}
	}
}

func greatestDifference(a, b []uint8) int {
	worst := 0
	for i := range a {
		worst = max(worst, max(int(a[i])-int(b[i]), int(b[i])-int(a[i])))
	}
	return worst
}

// TestDigitPlacement checks scale, aspect and centre on a plain rectangle.
func TestDigitPlacement(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 300, 200))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(10, 20, 50, 180), image.Black, image.Point{}, draw.Src) // 40 x 160
	got, err := Digit.Pixels(img, DigitShape)
	if err != nil {
		t.Fatal(err)
	}
	// 5 x 20 pixels with the middle as near to (14.5, 14.5) as whole pixels go:
	// columns 12 to 16 and rows 5 to 24. Filtering moves an eighth of an edge's
	// brightness, about 32, across it, twice at corners.
	for i, v := range got {
		x, y := i%DigitShape.W, i/DigitShape.W
		want, slack := 0, 4
		if x >= 12 && x < 17 && y >= 5 && y < 25 {
			want = 255
		}
		if (x >= 11 && x <= 12 || x >= 16 && x <= 17) || (y >= 4 && y <= 5 || y >= 24 && y <= 25) {
			slack = 64
		}
		if d := int(v) - want; d > slack || d < -slack {
			t.Errorf("pixel (%d, %d) is %d, want %d within %d", x, y, v, want, slack)
		}
	}
}

func TestResizedPixels(t *testing.T) {
	img := image.NewRGBA(image.Rect(5, 5, 45, 25)) // left half red, right half transparent
	draw.Draw(img, image.Rect(5, 5, 25, 25), image.NewUniform(color.NRGBA{255, 0, 0, 255}), image.Point{}, draw.Src)
	colour, err := Auto.Pixels(img, net.Shape{C: 3, H: 2, W: 4})
	if err != nil {
		t.Fatal(err)
	}
	// Columns 1 and 2 lie beside the border and are mixed a little.
	for _, c := range []struct{ at, want int }{{0, 255}, {3, 255}, {8, 0}, {11, 255}, {16, 0}, {19, 255}} {
		if got := int(colour[c.at]); got != c.want {
			t.Errorf("colour value %d is %d, want %d", c.at, got, c.want)
		}
	}
	grey, err := Stretch.Pixels(img, DigitShape)
	if err != nil {
		t.Fatal(err)
	}
	if grey[0] != 76 || grey[27] != 255 { // 0.299 * 255
		t.Errorf("grey values %d and %d, want 76 and 255", grey[0], grey[27])
	}
}

// pngOfSize is a PNG file whose header claims a size and which then ends.
func pngOfSize(w, h uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	b = binary.BigEndian.AppendUint32(b, w)
	b = binary.BigEndian.AppendUint32(b, h)
	b = append(b, 8, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

// noPixels is a GIF file with a screen of 4 x 4 pixels, a palette of two colours,
// and a frame of 0 x 0.
var noPixels = []byte("GIF89a\x04\x00\x04\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff" +
	",\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x01\x2c\x00;")

// twoDots is a white image with black pixels near two of its corners.
func twoDots(w, h int) image.Image {
	img := image.NewGray(image.Rect(0, 0, w, h))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	img.SetGray(2, 2, color.Gray{})
	img.SetGray(w-3, h-3, color.Gray{})
	return img
}

// TestThinStrokes checks that what leaves less than a 255th of a pixel's ink is
// seen: two dots in opposite corners, 600 pixels apart.
func TestThinStrokes(t *testing.T) {
	got, err := Digit.Pixels(twoDots(600, 600), DigitShape)
	if err != nil {
		t.Fatal(err)
	}
	// Their centre is the middle of the image, the corners lie ten pixels off.
	// A box's edge may fall between two pixels, which then share the ink.
	for i, v := range got {
		x, y := i%DigitShape.W, i/DigitShape.W
		near := func(at int) bool { return x >= at-1 && x <= at+1 && y >= at-1 && y <= at+1 }
		if v != 0 && !near(4) && !near(24) {
			t.Errorf("pixel (%d, %d) is %d, want 0", x, y, v)
		}
	}
	if slices.Max(got) != 255 {
		t.Errorf("the brightest pixel is %d, want 255", slices.Max(got))
	}
}

func TestBadImages(t *testing.T) {
	white := image.NewGray(image.Rect(0, 0, 50, 50))
	draw.Draw(white, white.Bounds(), image.White, image.Point{}, draw.Src)
	photo := picturetest.Encoded(t, "jpeg", picturetest.Redrawn(picturetest.Digit(testDigits(t), 0), 5, 200, 200, 0, 0, color.Black, color.White))
	for _, c := range []struct {
		name string
		file []byte
		how  Preparation
		in   net.Shape
		want string
	}{
		{"text", []byte("hello"), Auto, DigitShape, "not a JPEG, PNG, GIF, BMP, TIFF or WebP image: it is text"},
		{"empty", nil, Auto, DigitShape, "the file is empty"},
		{"huge", pngOfSize(100_000, 100_000), Auto, DigitShape, "the image is too large: 100000 x 100000 pixels (at most 50 million); make it smaller"},
		{"cut short", photo[:len(photo)/2], Auto, DigitShape, "damaged JPEG image: the file is cut short"},
		{"header only", pngOfSize(10, 10), Auto, DigitShape, "damaged PNG image: the file is cut short"},
		{"long", make([]byte, MaxBytes+1), Auto, DigitShape, "the image is too large: more than 64 MiB; make it smaller"},
		{"blank", picturetest.Encoded(t, "png", white), Auto, DigitShape, "there is nothing to see: all of the image has one colour"},
		{"one pixel", picturetest.Encoded(t, "png", white.SubImage(image.Rect(0, 0, 1, 1))), Auto, DigitShape, "there is nothing to see: all of the image has one colour"},
		{"no pixels", noPixels, Auto, DigitShape, "damaged GIF image: it has no pixels"},
		{"no pixels to stretch", noPixels, Stretch, DigitShape, "damaged GIF image: it has no pixels"},
		{"two dots far apart", picturetest.Encoded(t, "png", twoDots(20000, 50)), Auto, DigitShape, "the strokes are too thin for so large an image: crop it to the digit, or draw with a thicker pen"},
		{"five channels", photo, Auto, net.Shape{C: 5, H: 28, W: 28}, "the model takes 5 channels; images have 1 or 3"},
		{"digit for colour", photo, Digit, net.Shape{C: 3, H: 32, W: 32}, "the preparation digit is for models that take 1 x 28 x 28, this one takes 3 x 32 x 32; use stretch"},
	} {
		img, err := Read(bytes.NewReader(c.file))
		if err == nil {
			_, err = c.how.Pixels(img, c.in)
		}
		if err == nil {
			t.Errorf("%s: accepted", c.name)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, want %q", c.name, err, c.want)
		}
	}
}

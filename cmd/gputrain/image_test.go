package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/draw"

	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
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

// digitImage is image i of the test set, light on black.
func digitImage(d *net.Dataset, i int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, digitSize, digitSize))
	copy(img.Pix, d.Pixels[i*digitSize*digitSize:])
	return img
}

// redrawn draws a digit times as large, its top left corner at (x, y) of a
// canvas of w x h, in ink on paper.
func redrawn(digit *image.Gray, times, w, h, x, y int, ink, paper color.Color) image.Image {
	size := image.Rect(0, 0, digitSize*times, digitSize*times)
	large := image.NewGray(size)
	draw.CatmullRom.Scale(large, size, digit, digit.Bounds(), draw.Src, nil)
	mask := image.NewAlpha(size)
	copy(mask.Pix, large.Pix)
	canvas := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	draw.DrawMask(canvas, size.Add(image.Pt(x, y)), image.NewUniform(ink), image.Point{}, mask, image.Point{}, draw.Over)
	return canvas
}

// noisy adds noise of a deviation to every channel.
func noisy(img image.Image, deviation float64, r *rand.Rand) image.Image {
	out := image.NewNRGBA(img.Bounds())
	draw.Draw(out, out.Bounds(), img, image.Point{}, draw.Src)
	for i := range out.Pix {
		if i%4 < 3 {
			out.Pix[i] = uint8(min(max(math.Round(float64(out.Pix[i])+deviation*r.NormFloat64()), 0), 255))
		}
	}
	return out
}

func encoded(t *testing.T, format string, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch format {
	case "png":
		err = png.Encode(&b, img)
	case "jpeg":
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 70})
	case "gif":
		err = gif.Encode(&b, img, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// drawings are ways in which somebody may draw a digit.
var drawings = []struct {
	name, format string
	draw         func(digit *image.Gray, r *rand.Rand) image.Image
	// The least of 100 predictions that are those of the digit as it stands in
	// the test set. Enlarging and making smaller again blurs a little, and what
	// the network is unsure of may change; in one way or the other, as the hits
	// show, which must not become fewer by more than two.
	agree int
}{
	{"as it is", "png", func(d *image.Gray, _ *rand.Rand) image.Image { return d }, 100},
	{"inverted", "png", func(d *image.Gray, _ *rand.Rand) image.Image {
		return redrawn(d, 1, 28, 28, 0, 0, color.Black, color.White)
	}, 99},
	{"large, dark on light, off centre", "png", func(d *image.Gray, _ *rand.Rand) image.Image {
		return redrawn(d, 10, 500, 320, 200, 30, color.Black, color.White)
	}, 92},
	{"light on dark JPEG", "jpeg", func(d *image.Gray, _ *rand.Rand) image.Image {
		return redrawn(d, 9, 252, 300, 0, 48, color.White, color.Black)
	}, 92},
	{"blue on yellow", "jpeg", func(d *image.Gray, _ *rand.Rand) image.Image {
		return redrawn(d, 7, 300, 300, 5, 90, color.NRGBA{20, 40, 160, 255}, color.NRGBA{250, 230, 90, 255})
	}, 92},
	{"red on green, equally bright", "png", func(d *image.Gray, _ *rand.Rand) image.Image {
		return redrawn(d, 5, 200, 200, 30, 30, color.NRGBA{200, 40, 40, 255}, color.NRGBA{20, 130, 40, 255})
	}, 92},
	{"black on transparent", "png", func(d *image.Gray, _ *rand.Rand) image.Image {
		return redrawn(d, 6, 200, 200, 10, 20, color.Black, color.Transparent)
	}, 92},
	{"white on transparent", "png", func(d *image.Gray, _ *rand.Rand) image.Image {
		return redrawn(d, 6, 200, 200, 10, 20, color.White, color.Transparent)
	}, 92},
	{"few colours", "gif", func(d *image.Gray, _ *rand.Rand) image.Image {
		return redrawn(d, 4, 150, 150, 10, 20, color.Black, color.White)
	}, 92},
	{"pencil photographed", "jpeg", func(d *image.Gray, r *rand.Rand) image.Image {
		return noisy(redrawn(d, 8, 400, 300, 90, 40, color.NRGBA{70, 70, 80, 255}, color.NRGBA{200, 195, 180, 255}), 4, r)
	}, 92},
}

// TestDrawnDigits holds predictions of digits drawn in many ways to those of the
// test set's own pixels.
func TestDrawnDigits(t *testing.T) {
	const seed = 7
	digits := 100
	if testing.Short() {
		digits = 20
	}
	r := rand.New(rand.NewPCG(seed, 0))
	m, digit := trainedModel(t), testDigits(t)
	best := func(pixels []uint8) string {
		a, err := m.answer(question{name: "digit", pixels: pixels, label: -1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return a.Classes[0].Class
	}
	for _, drawing := range drawings {
		agree, hits, ownHits := 0, 0, 0
		for i := range digits {
			file := encoded(t, drawing.format, drawing.draw(digitImage(digit, i), r))
			img, err := decodeImage(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			pixels, err := prepareAuto.pixels(img, digitShape)
			if err != nil {
				t.Fatalf("%s, digit %d: %v", drawing.name, i, err)
			}
			label, drawn, own := fmt.Sprint(digit.Labels[i]), best(pixels), best(digitImage(digit, i).Pix)
			agree += count(drawn == own)
			hits += count(drawn == label)
			ownHits += count(own == label)
		}
		if agree < drawing.agree*digits/100 || hits < ownHits-2 {
			t.Errorf("%s (seed %d): of %d predictions %d agree, want %d; %d are right, of the digits as they are %d",
				drawing.name, seed, digits, agree, drawing.agree*digits/100, hits, ownHits)
		}
	}
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// TestDigitsStay checks that preparing MNIST's own digits, which are prepared
// already, changes nothing but that the brightest pixel becomes 255.
func TestDigitsStay(t *testing.T) {
	digits := testDigits(t)
	for i := range 1000 {
		digit := digitImage(digits, i)
		got, err := digitPixels(digit)
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
	got, err := digitPixels(img)
	if err != nil {
		t.Fatal(err)
	}
	// 5 x 20 pixels with the middle as near to (14.5, 14.5) as whole pixels go:
	// columns 12 to 16 and rows 5 to 24. Filtering moves an eighth of an edge's
	// brightness, about 32, across it, twice at corners.
	for i, v := range got {
		x, y := i%digitSize, i/digitSize
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
	colour, err := prepareAuto.pixels(img, net.Shape{C: 3, H: 2, W: 4})
	if err != nil {
		t.Fatal(err)
	}
	// Columns 1 and 2 lie beside the border and are mixed a little.
	for _, c := range []struct{ at, want int }{{0, 255}, {3, 255}, {8, 0}, {11, 255}, {16, 0}, {19, 255}} {
		if got := int(colour[c.at]); got != c.want {
			t.Errorf("colour value %d is %d, want %d", c.at, got, c.want)
		}
	}
	grey, err := prepareResize.pixels(img, digitShape)
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
	got, err := digitPixels(twoDots(600, 600))
	if err != nil {
		t.Fatal(err)
	}
	// Their centre is the middle of the image, the corners lie ten pixels off.
	// A box's edge may fall between two pixels, which then share the ink.
	for i, v := range got {
		x, y := i%digitSize, i/digitSize
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
	photo := encoded(t, "jpeg", redrawn(digitImage(testDigits(t), 0), 5, 200, 200, 0, 0, color.Black, color.White))
	for _, c := range []struct {
		name string
		file []byte
		how  preparation
		in   net.Shape
		want string
	}{
		{"text", []byte("hello"), prepareAuto, digitShape, "not a PNG, JPEG or GIF image; convert it to one"},
		{"empty", nil, prepareAuto, digitShape, "not a PNG, JPEG or GIF image; convert it to one"},
		{"huge", pngOfSize(100_000, 100_000), prepareAuto, digitShape, "100000 x 100000 pixels are too many (at most 50 million); make the image smaller"},
		{"cut short", photo[:len(photo)/2], prepareAuto, digitShape, "damaged jpeg image: "},
		{"header only", pngOfSize(10, 10), prepareAuto, digitShape, "damaged png image: unexpected EOF"},
		{"long", make([]byte, maxImageBytes+1), prepareAuto, digitShape, "the file is larger than 64 MiB; make the image smaller"},
		{"blank", encoded(t, "png", white), prepareAuto, digitShape, "there is nothing to see: all of the image has one colour"},
		{"one pixel", encoded(t, "png", white.SubImage(image.Rect(0, 0, 1, 1))), prepareAuto, digitShape, "there is nothing to see: all of the image has one colour"},
		{"no pixels", noPixels, prepareAuto, digitShape, "damaged gif image: it has no pixels"},
		{"no pixels to resize", noPixels, prepareResize, digitShape, "damaged gif image: it has no pixels"},
		{"two dots far apart", encoded(t, "png", twoDots(20000, 50)), prepareAuto, digitShape, "the strokes are too thin for so large an image: crop it to the digit, or draw with a thicker pen"},
		{"five channels", photo, prepareAuto, net.Shape{C: 5, H: 28, W: 28}, "the model takes 5 channels; images have 1 or 3"},
		{"digit for colour", photo, prepareDigit, net.Shape{C: 3, H: 32, W: 32}, "--prepare digit is for models that take 1 x 28 x 28, this one takes 3 x 32 x 32; use --prepare resize"},
	} {
		img, err := decodeImage(bytes.NewReader(c.file))
		if err == nil {
			_, err = c.how.pixels(img, c.in)
		}
		if err == nil {
			t.Errorf("%s: accepted", c.name)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, want %q", c.name, err, c.want)
		}
	}
}

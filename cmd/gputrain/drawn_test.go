package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/draw"

	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
	"github.com/gputrain/gputrain/picture/picturetest"
)

// testDigits returns MNIST's test set.
func testDigits(t testing.TB) *net.Dataset {
	t.Helper()
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	return split.Test
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
		return picturetest.Redrawn(d, 1, 28, 28, 0, 0, color.Black, color.White)
	}, 99},
	{"large, dark on light, off centre", "png", func(d *image.Gray, _ *rand.Rand) image.Image {
		return picturetest.Redrawn(d, 10, 500, 320, 200, 30, color.Black, color.White)
	}, 92},
	{"light on dark JPEG", "jpeg", func(d *image.Gray, _ *rand.Rand) image.Image {
		return picturetest.Redrawn(d, 9, 252, 300, 0, 48, color.White, color.Black)
	}, 92},
	{"blue on yellow", "jpeg", func(d *image.Gray, _ *rand.Rand) image.Image {
		return picturetest.Redrawn(d, 7, 300, 300, 5, 90, color.NRGBA{20, 40, 160, 255}, color.NRGBA{250, 230, 90, 255})
	}, 92},
	{"red on green, equally bright", "png", func(d *image.Gray, _ *rand.Rand) image.Image {
		return picturetest.Redrawn(d, 5, 200, 200, 30, 30, color.NRGBA{200, 40, 40, 255}, color.NRGBA{20, 130, 40, 255})
	}, 92},
	{"black on transparent", "png", func(d *image.Gray, _ *rand.Rand) image.Image {
		return picturetest.Redrawn(d, 6, 200, 200, 10, 20, color.Black, color.Transparent)
	}, 92},
	{"white on transparent", "png", func(d *image.Gray, _ *rand.Rand) image.Image {
		return picturetest.Redrawn(d, 6, 200, 200, 10, 20, color.White, color.Transparent)
	}, 92},
	{"few colours", "gif", func(d *image.Gray, _ *rand.Rand) image.Image {
		return picturetest.Redrawn(d, 4, 150, 150, 10, 20, color.Black, color.White)
	}, 92},
	{"pencil photographed", "jpeg", func(d *image.Gray, r *rand.Rand) image.Image {
		return noisy(picturetest.Redrawn(d, 8, 400, 300, 90, 40, color.NRGBA{70, 70, 80, 255}, color.NRGBA{200, 195, 180, 255}), 4, r)
	}, 92},
}

// TestDrawnDigits holds predictions of digits drawn in many ways to those of the
// test set's own pixels.
func TestDrawnDigits(t *testing.T) {
	const seed = 7
	digits := 20
	if testenv.Long() {
		digits = 100
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
			file := picturetest.Encoded(t, drawing.format, drawing.draw(picturetest.Digit(digit, i), r))
			img, err := picture.Read(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			pixels, err := picture.Auto.Pixels(img, picture.DigitShape)
			if err != nil {
				t.Fatalf("%s, digit %d: %v", drawing.name, i, err)
			}
			label, drawn, own := fmt.Sprint(digit.Labels[i]), best(pixels), best(picturetest.Digit(digit, i).Pix)
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

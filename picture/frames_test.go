package picture

import (
	"image"
	"image/color"
	"image/draw"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/picture/picturetest"
)

// TestFramesAndCards finds digits that stand in a frame, on a card on a table, or both:
// as if they stood on plain paper.
func TestFramesAndCards(t *testing.T) {
	digits := testDigits(t)
	table, paper, pen := color.RGBA{60, 40, 30, 255}, color.RGBA{250, 245, 230, 255}, color.RGBA{20, 30, 120, 255}
	fill := func(img draw.Image, r image.Rectangle, c color.Color) {
		draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
	}
	const size = 160
	whole := image.Rect(0, 0, size, size)
	for i := range 30 {
		digit := picturetest.Redrawn(picturetest.Digit(digits, i), 3, 84, 84, 0, 0, pen, paper)
		at := image.Rect(38, 38, 122, 122)
		want := map[string][]uint8{}
		for _, c := range []struct {
			name     string
			surround func(img draw.Image)
		}{
			{"paper", func(img draw.Image) { fill(img, whole, paper) }},
			{"dark edge", func(img draw.Image) { fill(img, whole, pen); fill(img, whole.Inset(4), paper) }},
			{"dark edge, cropped", func(img draw.Image) { fill(img, whole, pen); fill(img, image.Rect(0, 0, size-3, size-5), paper) }},
			{"line", func(img draw.Image) {
				fill(img, whole, paper)
				fill(img, whole.Inset(12), pen)
				fill(img, whole.Inset(15), paper)
			}},
			{"card", func(img draw.Image) { fill(img, whole, table); fill(img, image.Rect(20, 9, 140, 145), paper) }},
			{"light line on a card on a table", func(img draw.Image) {
				fill(img, whole, table)
				fill(img, whole.Inset(10), pen)
				fill(img, whole.Inset(18), paper)
				fill(img, whole.Inset(24), pen)
				fill(img, whole.Inset(27), paper)
			}},
		} {
			img := image.NewRGBA(whole)
			c.surround(img)
			draw.Draw(img, at, digit, digit.Bounds().Min, draw.Src)
			grey := image.NewGray(whole)
			draw.Draw(grey, whole, img, image.Point{}, draw.Src)
			for colours, img := range map[string]image.Image{"colour": img, "grey": grey} {
				got, err := Digit.Pixels(img, DigitShape)
				if err != nil {
					t.Fatalf("%s, %s: test image %d: %v", c.name, colours, i, err)
				}
				if want[colours] == nil {
					want[colours] = got
				}
				if worst := greatestDifference(got, want[colours]); worst > 2 {
					t.Errorf("%s, %s: test image %d: a pixel changes by %d", c.name, colours, i, worst)
				}
			}
		}
	}
	// A filled square and an empty frame.
	square, empty := image.NewGray(whole), image.NewGray(whole)
	fill(square, whole.Inset(40), color.White)
	if got, err := Digit.Pixels(square, DigitShape); err != nil || got[14*28+14] != 255 {
		t.Errorf("a filled square: %v", err)
	}
	fill(empty, whole.Inset(20), color.White)
	fill(empty, whole.Inset(24), color.Black)
	if _, err := Digit.Pixels(empty, DigitShape); err == nil || err.Error() != "there is nothing to see in the frame" {
		t.Errorf("an empty frame: error %v", err)
	}
	// Edges of two colours.
	fill(empty, whole, color.Black)
	fill(empty, image.Rect(0, 0, size, size/2), color.White)
	if _, err := Digit.Pixels(empty, DigitShape); err == nil || !strings.HasPrefix(err.Error(), "the image's edges have so many colours that its background can't be told") {
		t.Errorf("half black, half white: error %v", err)
	}
}

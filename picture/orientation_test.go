package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"testing"

	"golang.org/x/image/draw"

	"github.com/gputrain/gputrain/internal/prepare"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture/picturetest"
)

// TestOrientation looks at the corners of an image of two rows of three fields,
// the first black, the one at its right grey, in all orientations, formats and places
// where files say them.
func TestOrientation(t *testing.T) {
	const field = 16 // of two JPEG blocks, so that neighbours don't mix
	img := image.NewGray(image.Rect(0, 0, 3*field, 2*field))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(0, 0, field, field), image.Black, image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(field, 0, 2*field, field), image.NewUniform(color.Gray{128}), image.Point{}, draw.Src)
	places := 0
	for o, want := range map[int]struct{ black, grey, size image.Point }{
		1: {image.Pt(0, 0), image.Pt(1, 0), image.Pt(3, 2)},
		2: {image.Pt(2, 0), image.Pt(1, 0), image.Pt(3, 2)},
		3: {image.Pt(2, 1), image.Pt(1, 1), image.Pt(3, 2)},
		4: {image.Pt(0, 1), image.Pt(1, 1), image.Pt(3, 2)},
		5: {image.Pt(0, 0), image.Pt(0, 1), image.Pt(2, 3)},
		6: {image.Pt(1, 0), image.Pt(1, 1), image.Pt(2, 3)},
		7: {image.Pt(1, 2), image.Pt(1, 1), image.Pt(2, 3)},
		8: {image.Pt(0, 2), image.Pt(0, 1), image.Pt(2, 3)},
		9: {image.Pt(0, 0), image.Pt(1, 0), image.Pt(3, 2)}, // unknown
	} {
		for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
			for _, format := range []string{"jpeg", "png", "tiff", "webp"} {
				for place, file := range picturetest.Turned(t, format, img, order, o) {
					places++
					got, err := Read(bytes.NewReader(file))
					if err != nil {
						t.Fatalf("%s, orientation %d %s: %v", format, o, place, err)
					}
					if got.Bounds().Size() != want.size.Mul(field) {
						t.Errorf("%s, orientation %d %s: size %v, want %v", format, o, place, got.Bounds().Size(), want.size.Mul(field))
					}
					if info, err := Header(file); err != nil || image.Pt(info.Width, info.Height) != want.size.Mul(field) {
						t.Errorf("%s, orientation %d %s: header says %+v, want %v (%v)", format, o, place, info, want.size.Mul(field), err)
					}
					pixels, err := Stretch.Pixels(got, net.Shape{C: 1, H: want.size.Y, W: want.size.X})
					if err != nil {
						t.Fatal(err)
					}
					for p, level := range map[image.Point]int{want.black: 0, want.grey: 128} {
						middle := p.Mul(field).Add(image.Pt(field/2, field/2))
						// JPEG at quality 70 keeps even fields within a few levels.
						if at := int(color.GrayModel.Convert(got.At(middle.X, middle.Y)).(color.Gray).Y); at < level-5 || at > level+5 {
							t.Errorf("%s, orientation %d %s: %d at %v, want %d", format, o, place, at, p, level)
						}
						// A pixel of the small one is mixed with its neighbours: an eighth of them
						// on each side.
						if at := int(pixels[p.Y*want.size.X+p.X]); at < level-5 || at > level+60 {
							t.Errorf("%s, orientation %d %s: prepared, %d at %v, want about %d", format, o, place, at, p, level)
						}
					}
				}
			}
		}
	}
	if places < 9*2*12 {
		t.Errorf("%d files, want %d", places, 9*2*12)
	}
}

// TestOrientationCutShort reads orientations of files whose end is cut off anywhere.
func TestOrientationCutShort(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 20, 10))
	for _, format := range []string{"jpeg", "png", "tiff", "webp"} {
		for place, whole := range picturetest.Turned(t, format, img, binary.LittleEndian, 6) {
			f := formatOf(whole)
			if o := f.orientation(whole); o != 6 {
				t.Errorf("%s %s: orientation %d, want 6", format, place, o)
			}
			for n := range whole {
				if o := f.orientation(whole[:n]); o != prepare.Upright && o != 6 {
					t.Errorf("%s %s: of %d bytes, orientation %d", format, place, n, o)
				}
			}
		}
	}
}

// TestTurnedPreparations holds what is made of turned images to what is made of images
// whose pixels were moved.
func TestTurnedPreparations(t *testing.T) {
	r := testenv.Rand(t)
	for range 60 {
		img := randomImage(r, 1+r.IntN(40), 1+r.IntN(40))
		o := prepare.Orientation(1 + r.IntN(8))
		turned := o.Turned(img)
		b := turned.Bounds()
		moved := image.NewNRGBA64(b)
		draw.Draw(moved, b, turned, b.Min, draw.Src)
		tolerance := 1 // where rounding ends up
		if _, ok := img.(*image.YCbCr); ok {
			tolerance = 2 // package image cuts off where it converts such colours
		}
		in := net.Shape{C: 1 + 2*r.IntN(2), H: 1 + r.IntN(30), W: 1 + r.IntN(30)}
		for _, p := range []Preparation{Stretch, Fit, Crop} {
			got, err := p.Pixels(turned, in)
			if err != nil {
				t.Fatal(err)
			}
			want, err := p.Pixels(moved, in)
			if err != nil {
				t.Fatal(err)
			}
			if d := greatestDifference(got, want); d > tolerance {
				t.Errorf("%s, orientation %d, %T of %v to %v: differs by %d", p, o, img, b.Size(), in, d)
			}
		}
	}
	// A digit is the same however it is stored.
	digit := picturetest.Redrawn(picturetest.Digit(testDigits(t), 0), 3, 100, 90, 5, 6, color.Black, color.White)
	for o := prepare.Orientation(1); o <= 8; o++ {
		turned := o.Turned(digit)
		moved := image.NewNRGBA(turned.Bounds())
		draw.Draw(moved, moved.Rect, turned, image.Point{}, draw.Src)
		got, err := Digit.Pixels(turned, DigitShape)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Digit.Pixels(moved, DigitShape)
		if err != nil {
			t.Fatal(err)
		}
		if d := greatestDifference(got, want); d > 1 {
			t.Errorf("digit, orientation %d: differs by %d", o, d)
		}
	}
}

// FuzzOrientation reads the orientation of any bytes in all formats: always one of the
// eight.
func FuzzOrientation(f *testing.F) {
	f.Add([]byte("\xff\xd8"))
	for _, format := range []string{"jpeg", "png", "tiff", "webp"} {
		for _, file := range picturetest.Turned(f, format, image.NewGray(image.Rect(0, 0, 2, 1)), binary.BigEndian, 3) {
			f.Add(file)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, format := range formats {
			if o := format.orientation(file); o < 1 || o > 8 {
				t.Errorf("%s: orientation %d", format.name, o)
			}
		}
	})
}

package raster

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"
)

func at(img image.Image, x, y int) color.NRGBA {
	return color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
}

func TestSample(t *testing.T) {
	grey := Sample([]float32{0, 0.5, 1, 2}, 1, 2, 2)
	if a, b, c := at(grey, 1, 0), at(grey, 0, 1), at(grey, 1, 1); a != (color.NRGBA{128, 128, 128, 255}) || b.R != 255 || c.R != 255 {
		t.Errorf("grey pixels %v %v %v", a, b, c)
	}
	colour := Sample([]float32{1, 0, 0, 1, 0, 0}, 3, 1, 2)
	if a, b := at(colour, 0, 0), at(colour, 1, 0); a != (color.NRGBA{255, 0, 0, 255}) || b != (color.NRGBA{0, 255, 0, 255}) {
		t.Errorf("pixels %v %v, want red and green", a, b)
	}
	if p := at(Sample([]float32{1, 0}, 2, 1, 1), 0, 0); p.R != 128 {
		t.Errorf("two channels give %v, want their mean", p)
	}
}

func TestFilterInColour(t *testing.T) {
	img := Filter([]float32{2, -2, 0}, 3, 1, 1, Scale{Max: 2, Signed: true})
	if p := at(img, 0, 0); p != (color.NRGBA{255, 0, 128, 255}) {
		t.Errorf("weights 2, -2, 0 of 2 give %v", p)
	}
}

// luminance is the relative luminance of WCAG 2, without its gamma's finer points.
func luminance(c color.NRGBA) float64 {
	f := func(v uint8) float64 { return math.Pow(float64(v)/255, 2.2) }
	return 0.2126*f(c.R) + 0.7152*f(c.G) + 0.0722*f(c.B)
}

// TestScalesAreMonotone: one that reads in grey gets lighter with the value, the
// signed one darker with its size on either side.
func TestScalesAreMonotone(t *testing.T) {
	one, signed := Scale{Max: 3}, Scale{Max: 3, Signed: true}
	for i := range 300 {
		v, next := float32(i)/100, float32(i+1)/100
		if luminance(one.Colour(v)) > luminance(one.Colour(next)) {
			t.Fatalf("%v is lighter than %v", v, next)
		}
		for _, sign := range []float32{1, -1} {
			if luminance(signed.Colour(sign*v)) < luminance(signed.Colour(sign*next)) {
				t.Fatalf("signed, %v is darker than %v", sign*v, sign*next)
			}
		}
	}
	if a, b := signed.Colour(-2), signed.Colour(2); a.B <= a.R || b.R <= b.B {
		t.Errorf("-2 is %v, 2 is %v: want blue and red", a, b)
	}
	if one.Colour(7) != one.Colour(3) || one.Colour(float32(math.NaN())) != missing || (Scale{}).Colour(0) != rising[0] {
		t.Error("values outside the scale, NaN or a scale of nothing have wrong colours")
	}
}

func TestScaleOf(t *testing.T) {
	if s := ScaleOf([]float32{0, 2, float32(math.Inf(1))}); s != (Scale{Max: 2}) {
		t.Errorf("%+v", s)
	}
	if s := ScaleOf([]float32{-3, 2, float32(math.NaN())}); s != (Scale{Max: 3, Signed: true}) {
		t.Errorf("%+v", s)
	}
}

// TestSheet finds each image's pixels where columns, gap and size put them.
func TestSheet(t *testing.T) {
	var images []image.Image
	for i := range 5 {
		images = append(images, Sample([]float32{float32(i) / 5, 1}, 1, 1, 2))
	}
	sheet := Sheet(images, 3, 1, 2)
	if b := sheet.Bounds(); b.Dx() != 2*(3*2+2) || b.Dy() != 2*(2*1+1) {
		t.Fatalf("the sheet is %v", b)
	}
	for i := range images {
		x, y := 2*(i%3*3), 2*(i/3*2)
		want := at(images[i], 0, 0)
		if a, b, c := at(sheet, x, y), at(sheet, x+1, y+1), at(sheet, x+2, y); a != want || b != want || c.R != 255 {
			t.Errorf("image %d: pixels %v %v %v, want %v twice and white", i, a, b, c, want)
		}
	}
	if p := at(sheet, 4, 0); p.A != 0 {
		t.Errorf("the gap is %v", p)
	}
	if p := at(sheet, 15, 5); p.A != 0 {
		t.Errorf("what has no image is %v", p)
	}
}

func TestURI(t *testing.T) {
	img := Plane([]float32{0, 1, 2}, 2, 2, Scale{Max: 2})
	uri, err := URI(img)
	if err != nil {
		t.Fatal(err)
	}
	data, ok := strings.CutPrefix(string(uri), "data:image/png;base64,")
	if !ok {
		t.Fatal(uri)
	}
	b, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	back, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if a, b := at(back, i%2, i/2), at(img, i%2, i/2); a != b {
			t.Errorf("pixel %d came back as %v, was %v", i, a, b)
		}
	}
	if p := at(back, 1, 1); p.A != 0 {
		t.Errorf("the missing value is %v", p)
	}
}

func TestLegend(t *testing.T) {
	s := Scale{Max: 5, Signed: true}
	img := s.Legend(101, 2)
	if a, b, c := at(img, 0, 1), at(img, 50, 0), at(img, 100, 0); a.B <= a.R || b != falling[0] || c.R <= c.B {
		t.Errorf("the legend goes %v, %v, %v", a, b, c)
	}
}

package tensorboard

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"testing"
)

// inked returns the columns between which something is drawn in some rows.
func inked(img image.Image, top, bottom int) (left, right int) {
	left, right = img.Bounds().Dx(), -1
	for y := top; y < bottom; y++ {
		for x := range img.Bounds().Dx() {
			if color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y < 128 {
				left, right = min(left, x), max(right, x)
			}
		}
	}
	return left, right
}

func TestCaption(t *testing.T) {
	for _, c := range []struct {
		name, rest string
		letters    int
	}{
		{"9", " 94 %", 6}, {"is 7", "", 4}, {"automobile", " 100 %", 12}, {"a name of many letters", "", 12},
	} {
		img := image.NewGray(image.Rect(0, 0, sampleSize, 20))
		draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
		caption(img, 14, c.name, c.rest)
		left, right := inked(img, 0, 20)
		// Letters of 7 columns, of which a few at each end may be blank.
		want := 7 * c.letters
		if got := right - left + 1; got > want || got < want-6 || left < 0 || right >= sampleSize {
			t.Errorf("%q%q is drawn from %d to %d, want about %d columns", c.name, c.rest, left, right, want)
		}
		if lean := left + right - sampleSize; lean < -8 || lean > 8 {
			t.Errorf("%q%q is not in the middle: from %d to %d of %d", c.name, c.rest, left, right, sampleSize)
		}
	}
}

func TestHistogram(t *testing.T) {
	nan, infinite := float32(math.NaN()), float32(math.Inf(1))
	if _, ok := histogramOf([]float32{nan, infinite, -infinite}); ok {
		t.Error("a histogram of nothing finite")
	}
	if _, ok := histogramOf(nil); ok {
		t.Error("a histogram of nothing")
	}
	h, ok := histogramOf([]float32{2, 2, nan, 2, -infinite})
	if !ok || h.min != 2 || h.max != 2 || h.num != 3 || len(h.limits) != 1 || h.counts[0] != 3 {
		t.Errorf("of one value: %+v", h)
	}
	// 0, 1, ... 60: two in each bucket but the last, which has the greatest too.
	var values []float32
	for i := range 61 {
		values = append(values, float32(i))
	}
	h, _ = histogramOf(values)
	for i, n := range h.counts {
		want := 2.0
		if i == buckets-1 {
			want = 3
		}
		if n != want || h.limits[i] != float64(2*i+2) {
			t.Errorf("bucket %d up to %v has %v values, want %v up to %d", i, h.limits[i], n, want, 2*i+2)
		}
	}
}

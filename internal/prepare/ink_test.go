package prepare

import (
	"image"
	"image/draw"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/testenv"
)

// TestInkOfGrey holds the ink of grey images to that of the same ones in colour.
func TestInkOfGrey(t *testing.T) {
	r := testenv.Rand(t)
	for range 200 {
		whole := image.NewGray(image.Rect(0, 0, 1+r.IntN(40), 1+r.IntN(40)))
		paper, spread := r.IntN(256), 1+r.IntN(256)
		for i := range whole.Pix {
			if whole.Pix[i] = uint8(paper); r.IntN(3) == 0 {
				whole.Pix[i] = uint8(r.IntN(spread))
			}
		}
		size := whole.Rect.Size()
		part := image.Rect(r.IntN(size.X), r.IntN(size.Y), size.X, size.Y)
		grey := whole.SubImage(part).(*image.Gray)
		colour := image.NewNRGBA(grey.Rect)
		draw.Draw(colour, colour.Rect, grey, grey.Rect.Min, draw.Src)
		got, err := inkOf(grey)
		want, wantErr := inkOf(colour)
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%v of %v: error %v, in colour %v", part, size, err, wantErr)
		}
		if err != nil {
			continue
		}
		if got.width != want.width || got.height != want.height || !slices.Equal(got.values, want.values) {
			t.Fatalf("%v of %v: ink differs from that in colour", part, size)
		}
	}
}

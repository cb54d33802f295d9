package prepare

import (
	"encoding/binary"
	"image"
	"testing"

	"golang.org/x/image/draw"
	"golang.org/x/image/math/f64"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
)

// TestResampled compares with the kernels of golang.org/x/image/draw, which round
// to whole values as well: one may lie on the other side of a half.
func TestResampled(t *testing.T) {
	r := testenv.Rand(t)
	for range 50 {
		img := image.NewGray16(image.Rect(0, 0, 1+r.IntN(60), 1+r.IntN(60)))
		for i := range img.Pix {
			img.Pix[i] = uint8(r.Uint32())
		}
		const side = 28
		scale, left, top := 0.1+3*r.Float64(), 40*r.Float64()-20, 40*r.Float64()-20
		want := image.NewGray16(image.Rect(0, 0, side, side))
		draw.BiLinear.Transform(want, f64.Aff3{scale, 0, left, 0, scale, top}, img, img.Bounds(), draw.Src, nil)
		from := &ink{width: img.Rect.Dx(), height: img.Rect.Dy()}
		for i := range len(img.Pix) / 2 {
			from.values = append(from.values, binary.BigEndian.Uint16(img.Pix[2*i:]))
		}
		got := from.resampled(scale, left, top, side)
		values := make([]float64, side*side)
		for i := range values {
			values[i] = float64(binary.BigEndian.Uint16(want.Pix[2*i:]))
			// It takes what lies less than a pixel above or left of an image for
			// the image; that is outside.
			x, y := (float64(i%side)+0.5-left)/scale, (float64(i/side)+0.5-top)/scale
			if x < 0 || y < 0 {
				values[i] = 0
			}
		}
		if !approx.Check(t, "resampled", got, values, approx.Tolerance{Abs: 1}) {
			t.Logf("%v by %v to %v, %v", img.Bounds(), scale, left, top)
		}
	}
}

// TestWeights checks that the weights of each new pixel sum to exactly 1: so no sum
// overflows, and an even colour stays as it is to the last bit.
func TestWeights(t *testing.T) {
	r := testenv.Rand(t)
	var a axis
	for range 200 {
		size := 1 + r.IntN(3000)
		s := span{100 * (r.Float64() - 0.5), 1 + r.Float64()*float64(size), 1 + r.IntN(300)}
		a.set(s, size)
		for i, w := range a.windows {
			sum := 0
			for _, weight := range a.weights[w.weights:][:w.n] {
				sum += int(weight)
			}
			if w.n > 0 && sum != 1<<weightBits || w.n == 0 && sum != 0 {
				t.Fatalf("%+v of %d: window %d sums to %d of %d", s, size, i, sum, 1<<weightBits)
			}
		}
	}
}

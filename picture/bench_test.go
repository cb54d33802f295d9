package picture

import (
	"image"
	"math/rand/v2"
	"testing"

	"github.com/gputrain/gputrain/internal/prepare"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture/picturetest"
)

// noisy is a picture with something to see everywhere: waves, and noise on them.
func noisy(w, h int) *image.NRGBA {
	r := rand.New(rand.NewPCG(1, 2))
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		x, y := i%w, i/w
		for k, v := range []int{x * 200 / w, y * 200 / h, (x + y) * 100 / h % 200} {
			img.Pix[4*i+k] = uint8(v + r.IntN(32))
		}
		img.Pix[4*i+3] = 255
	}
	return img
}

// BenchmarkSmall is what a folder of small pictures costs a picture.
func BenchmarkSmall(b *testing.B) {
	for _, format := range []string{"jpeg", "png"} {
		file := picturetest.Encoded(b, format, noisy(32, 32))
		in := net.Shape{C: 3, H: 32, W: 32}
		dst := make([]uint8, in.Size())
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				img, err := Decode(file, nil)
				if err == nil {
					err = Stretch.PixelsTo(dst, img, in)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLarge is a photo of 12 million pixels that becomes 224 x 224: decoding, and
// the preparations of what was decoded.
func BenchmarkLarge(b *testing.B) {
	file := picturetest.Encoded(b, "jpeg", noisy(4000, 3000))
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			if _, err := Decode(file, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	img, err := Decode(file, nil)
	if err != nil {
		b.Fatal(err)
	}
	in := net.Shape{C: 3, H: 224, W: 224}
	dst := make([]uint8, in.Size())
	for _, c := range []struct {
		name string
		how  Preparation
		img  image.Image
	}{
		{"stretch", Stretch, img}, {"turned", Stretch, prepare.Orientation(6).Turned(img)}, {"fit", Fit, img}, {"crop", Crop, img},
		{"colours", Stretch, noisy(4000, 3000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.how.PixelsTo(dst, c.img, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

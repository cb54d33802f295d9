package picture

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"golang.org/x/image/draw"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/prepare"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

// randomImage is an image of any type of package image, with random pixels.
func randomImage(r *rand.Rand, w, h int) image.Image {
	at := image.Pt(r.IntN(5), r.IntN(5))
	rect := image.Rectangle{Min: at, Max: at.Add(image.Pt(w, h))}
	fill := func(pix []uint8) {
		for i := range pix {
			pix[i] = uint8(r.Uint32())
		}
	}
	switch r.IntN(9) {
	case 0:
		img := image.NewGray(rect)
		fill(img.Pix)
		return img
	case 1:
		img := image.NewGray16(rect)
		fill(img.Pix)
		return img
	case 2:
		img := image.NewNRGBA(rect)
		fill(img.Pix)
		return img
	case 3:
		img := image.NewRGBA(rect)
		draw.Draw(img, rect, randomImage(r, w, h), image.Point{}, draw.Src) // no colour beyond its alpha
		return img
	case 4:
		img := image.NewNRGBA64(rect)
		fill(img.Pix)
		return img
	case 5:
		img := image.NewCMYK(rect)
		fill(img.Pix)
		return img
	case 6:
		palette := make(color.Palette, 1+r.IntN(256))
		for i := range palette {
			palette[i] = color.NRGBA{uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32())}
		}
		img := image.NewPaletted(rect, palette)
		for i := range img.Pix {
			img.Pix[i] = uint8(r.IntN(len(palette)))
		}
		return img
	case 7:
		img := image.NewNYCbCrA(rect, image.YCbCrSubsampleRatio(r.IntN(6)))
		fill(img.Y)
		fill(img.Cb)
		fill(img.Cr)
		fill(img.A)
		return img
	default:
		return randomYCbCr(r, rect, image.YCbCrSubsampleRatio444)
	}
}

// randomYCbCr has random colours that are colours in RGB too, so that nothing is
// clamped.
func randomYCbCr(r *rand.Rand, rect image.Rectangle, ratio image.YCbCrSubsampleRatio) *image.YCbCr {
	img := image.NewYCbCr(rect, ratio)
	for i := range img.Y {
		img.Y[i] = uint8(90 + r.IntN(76))
	}
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = uint8(108+r.IntN(40)), uint8(108+r.IntN(40))
	}
	return img
}

// triangle is the values of an axis of which a new pixel is made, and their shares: a
// triangle over the old pixels round the new one's middle, two old or two new pixels
// wide.
func triangle(middle, scale float64, size int) map[int]float64 {
	reach := max(1, 1/scale)
	shares, sum := map[int]float64{}, 0.0
	for k := range size {
		if share := 1 - math.Abs(float64(k)+0.5-middle)/reach; share > 0 {
			shares[k] = share
			sum += share
		}
	}
	for k := range shares {
		shares[k] /= sum
	}
	return shares
}

// plainly is what the documentation of Pixels says, in plain loops of float64: channel c
// of what becomes of an image whose part goes to a box of the input.
func plainly(img image.Image, in net.Shape, left, top, width, height float64, box image.Rectangle) []float64 {
	b := img.Bounds()
	sx, sy := float64(box.Dx())/width, float64(box.Dy())/height
	out := make([]float64, in.Size())
	area := in.H * in.W
	for y := range box.Dy() {
		rows := triangle(top+(float64(y)+0.5)/sy, sy, b.Dy())
		for x := range box.Dx() {
			columns := triangle(left+(float64(x)+0.5)/sx, sx, b.Dx())
			var sum [3]float64
			for j, row := range rows {
				for i, column := range columns {
					c := color.RGBA64Model.Convert(img.At(b.Min.X+i, b.Min.Y+j)).(color.RGBA64)
					for k, v := range []uint16{c.R, c.G, c.B} {
						sum[k] += row * column * (float64(v) + 65535 - float64(c.A)) / 257
					}
				}
			}
			at := (box.Min.Y+y)*in.W + box.Min.X + x
			if in.C == 1 {
				out[at] = 0.299*sum[0] + 0.587*sum[1] + 0.114*sum[2]
			} else {
				for k := range 3 {
					out[k*area+at] = sum[k]
				}
			}
		}
	}
	return out
}

// TestPreparations holds Stretch, Fit and Crop to plain loops, with images of every
// type and size, larger and smaller than the input.
func TestPreparations(t *testing.T) {
	r := testenv.Rand(t)
	for range 200 {
		w, h := 1+r.IntN(50), 1+r.IntN(50)
		img := randomImage(r, w, h)
		in := net.Shape{C: 1 + 2*r.IntN(2), H: 1 + r.IntN(40), W: 1 + r.IntN(40)}
		whole := image.Rect(0, 0, in.W, in.H)
		fw, fh := float64(w), float64(h)
		// Rounding to bytes is half a level. Package image's conversion of YCbCr cuts off
		// and doesn't round, so that its colours are up to one level too dark; of three
		// such values grey is made, and a JPEG's Y is not.
		tolerance := approx.Tolerance{Abs: 0.52}
		if _, ok := img.(*image.YCbCr); ok {
			tolerance.Abs = 2
		}
		for _, p := range []Preparation{Stretch, Fit, Crop} {
			var want []float64
			switch p {
			case Stretch:
				want = plainly(img, in, 0, 0, fw, fh, whole)
			case Fit:
				scale := min(float64(in.W)/fw, float64(in.H)/fh)
				size := image.Pt(max(1, int(math.Round(fw*scale))), max(1, int(math.Round(fh*scale))))
				at := image.Pt((in.W-size.X)/2, (in.H-size.Y)/2)
				want = plainly(img, in, 0, 0, fw, fh, image.Rectangle{Min: at, Max: at.Add(size)})
			case Crop:
				scale := max(float64(in.W)/fw, float64(in.H)/fh)
				cw, ch := float64(in.W)/scale, float64(in.H)/scale
				want = plainly(img, in, (fw-cw)/2, (fh-ch)/2, cw, ch, whole)
			}
			pixels := make([]uint8, in.Size())
			for i := range pixels {
				pixels[i] = 99 // as what was there before
			}
			if err := p.PixelsTo(pixels, img, in); err != nil {
				t.Fatal(err)
			}
			got := make([]float64, len(pixels))
			for i, v := range pixels {
				got[i] = float64(v)
			}
			if !approx.Check(t, string(p), got, want, tolerance) {
				t.Logf("%T of %d x %d to %v", img, w, h, in)
			}
		}
	}
}

// TestSubsampled holds images whose Cb and Cr are stored for several pixels at once,
// and parts of such, to the same with those values enlarged bilinearly.
func TestSubsampled(t *testing.T) {
	r := testenv.Rand(t)
	for range 100 {
		ratio := image.YCbCrSubsampleRatio(r.IntN(6))
		at := image.Pt(r.IntN(5), r.IntN(5))
		rect := image.Rectangle{Min: at, Max: at.Add(image.Pt(1+r.IntN(30), 1+r.IntN(30)))}
		img := randomYCbCr(r, rect, ratio)
		shared := [][2]int{{1, 1}, {2, 1}, {2, 2}, {1, 2}, {4, 1}, {4, 2}}[ratio] // pixels with the same Cb and Cr, along x and y
		nx, ny := shared[0], shared[1]
		full := image.NewYCbCr(rect, image.YCbCrSubsampleRatio444)
		plane := func(values []uint8, x, y int) uint8 {
			sum := 0.0
			cw, ch := (rect.Max.X+nx-1)/nx-rect.Min.X/nx, (rect.Max.Y+ny-1)/ny-rect.Min.Y/ny
			for j, row := range triangle((float64(y)+0.5)/float64(ny)-float64(rect.Min.Y/ny), float64(ny), ch) {
				for i, column := range triangle((float64(x)+0.5)/float64(nx)-float64(rect.Min.X/nx), float64(nx), cw) {
					sum += row * column * float64(values[j*img.CStride+i])
				}
			}
			return uint8(math.Round(sum))
		}
		for y := rect.Min.Y; y < rect.Max.Y; y++ {
			for x := rect.Min.X; x < rect.Max.X; x++ {
				full.Y[full.YOffset(x, y)] = img.Y[img.YOffset(x, y)]
				full.Cb[full.COffset(x, y)], full.Cr[full.COffset(x, y)] = plane(img.Cb, x, y), plane(img.Cr, x, y)
			}
		}
		in := net.Shape{C: 3, H: rect.Dy(), W: rect.Dx()}
		got, err := Stretch.Pixels(img, in)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Stretch.Pixels(full, in)
		if err != nil {
			t.Fatal(err)
		}
		// Cb and Cr are rounded in full: half a level each, times 1.772 at most.
		if d := greatestDifference(got, want); d > 1 {
			t.Errorf("%v, %v: differs by %d", ratio, rect, d)
		}
	}
}

// TestSameSize checks that nothing changes where an image has the input's size.
func TestSameSize(t *testing.T) {
	r := testenv.Rand(t)
	img := image.NewNRGBA(image.Rect(0, 0, 9, 7))
	for i := range img.Pix {
		if img.Pix[i] = uint8(r.Uint32()); i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	for _, p := range []Preparation{Auto, Stretch, Fit, Crop} {
		got, err := p.Pixels(img, net.Shape{C: 3, H: 7, W: 9})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 63 {
			if v := img.Pix[4*i:]; got[i] != v[0] || got[63+i] != v[1] || got[126+i] != v[2] {
				t.Fatalf("%s: pixel %d is %d, %d, %d, want %d", p, i, got[i], got[63+i], got[126+i], v[:3])
			}
		}
	}
}

// TestNoAliasing makes stripes of one pixel so small that none is left: they must
// become an even grey.
func TestNoAliasing(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 501, 501))
	for i := range img.Pix {
		img.Pix[i] = uint8(255 * (i % 2))
	}
	got, err := Stretch.Pixels(img, net.Shape{C: 1, H: 20, W: 20})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		if v < 124 || v > 131 {
			t.Fatalf("pixel %d is %d, want 127 or so", i, v)
		}
	}
}

// TestFlat makes images of one colour smaller and larger, which changes nothing, however
// many pixels become one.
func TestFlat(t *testing.T) {
	for _, level := range []uint8{0, 77, 255} {
		for _, size := range []image.Point{{300_000, 1}, {1, 30_000}, {200, 300}, {5, 3}} {
			img := image.NewGray(image.Rectangle{Max: size})
			for i := range img.Pix {
				img.Pix[i] = level
			}
			got, err := Stretch.Pixels(img, net.Shape{C: 3, H: 7, W: 9})
			if err != nil {
				t.Fatal(err)
			}
			if slices.Min(got) != level || slices.Max(got) != level {
				t.Errorf("%v of %d: from %d to %d", size, level, slices.Min(got), slices.Max(got))
			}
		}
	}
}

func TestPreparationNames(t *testing.T) {
	for _, p := range Preparations() {
		if got, err := ParsePreparation(string(p)); got != p || err != nil {
			t.Errorf("%s: %q, %v", p, got, err)
		}
	}
	if got, err := ParsePreparation("resize"); got != Stretch || err != nil {
		t.Errorf("resize, the former name: %q, %v, want stretch", got, err)
	}
	if _, err := ParsePreparation("squeeze"); err == nil {
		t.Error("squeeze: accepted")
	}
	img := image.NewGray(image.Rect(0, 0, 4, 4))
	if _, err := Preparation("squeeze").Pixels(img, DigitShape); err == nil {
		t.Error("squeeze: made pixels")
	}
	if _, err := Preparation("resize").Pixels(img, DigitShape); err != nil {
		t.Errorf("resize: %v", err)
	}
}

// TestMemory prepares images of few and long rows, which must not take more memory than
// they have pixels, even if they become many rows.
func TestMemory(t *testing.T) {
	for _, img := range []image.Image{
		image.NewGray(image.Rect(0, 0, 300_000, 1)), image.NewNRGBA64(image.Rect(0, 0, 60_000, 3)), image.NewYCbCr(image.Rect(0, 0, 50_000, 8), image.YCbCrSubsampleRatio420),
	} {
		for _, in := range []net.Shape{{C: 3, H: 224, W: 224}, {C: 3, H: 2, W: 300}} {
			runtime.GC() // so that no pool has memory
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := Stretch.Pixels(img, in); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			size := img.Bounds().Size()
			if took := after.TotalAlloc - before.TotalAlloc; took > uint64(24*size.X*size.Y+8<<20) {
				t.Errorf("%T of %v to %v: took %d bytes", img, size, in, took)
			}
		}
	}
}

// TestNoAllocations checks that preparing a picture takes no memory of its own.
func TestNoAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("the short tests run under the race detector, which empties pools at random")
	}
	in := net.Shape{C: 3, H: 8, W: 8}
	dst := make([]uint8, in.Size())
	for _, img := range []image.Image{
		image.NewGray(image.Rect(0, 0, 30, 20)), image.NewYCbCr(image.Rect(0, 0, 30, 20), image.YCbCrSubsampleRatio420),
		image.NewNRGBA(image.Rect(0, 0, 30, 20)), prepare.Orientation(6).Turned(image.NewRGBA64(image.Rect(0, 0, 30, 20))),
	} {
		n := testing.AllocsPerRun(200, func() {
			if err := Fit.PixelsTo(dst, img, in); err != nil {
				t.Fatal(err)
			}
		})
		if n > 0 { // the average, rounded down: the pool may be emptied once
			t.Errorf("%T: %v allocations", img, n)
		}
	}
}

// TestTogether prepares images in several goroutines, which must not get in each other's
// way.
func TestTogether(t *testing.T) {
	r := testenv.Rand(t)
	in := net.Shape{C: 3, H: 11, W: 13}
	var images []image.Image
	var want [][]uint8
	for range 20 {
		img := randomImage(r, 1+r.IntN(40), 1+r.IntN(40))
		pixels, err := Crop.Pixels(img, in)
		if err != nil {
			t.Fatal(err)
		}
		images, want = append(images, img), append(want, pixels)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			dst := make([]uint8, in.Size())
			for i, img := range images {
				if err := Crop.PixelsTo(dst, img, in); err != nil || !slices.Equal(dst, want[i]) {
					t.Errorf("image %d differs (%v)", i, err)
				}
			}
		})
	}
	group.Wait()
}

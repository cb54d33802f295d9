package mnist

import (
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// TestEmbeddedFiles holds the embedded files against the sums of those that
// MNIST's authors published.
func TestEmbeddedFiles(t *testing.T) {
	want := map[string]string{
		"train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
		"train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
		"t10k-images-idx3-ubyte.gz":  "9fb629c4189551a2d022fa330f9573f3",
		"t10k-labels-idx1-ubyte.gz":  "ec29112dd5afa0611ce80d1b7f02629c",
	}
	entries, err := embedded.ReadDir("data")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want) {
		t.Errorf("%d embedded files, want %d", len(entries), len(want))
	}
	for name, sum := range want {
		b, err := fs.ReadFile(embedded, "data/"+name)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", md5.Sum(b)); got != sum {
			t.Errorf("MD5 of %s is %s, want %s", name, got, sum)
		}
	}
}

func tutorialSplit(t *testing.T) *Split {
	t.Helper()
	s, err := Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func histogram(labels []int32, classes int) []int {
	h := make([]int, classes)
	for _, l := range labels {
		h[l]++
	}
	return h
}

func TestTutorialSplit(t *testing.T) {
	s := tutorialSplit(t)
	for _, c := range []struct {
		set       *net.Dataset
		name      string
		samples   int
		first     []int32
		histogram []int
	}{
		{s.Train, "MNIST training", 55000, nil,
			[]int{5444, 6179, 5470, 5638, 5307, 4987, 5417, 5715, 5389, 5454}},
		{s.Validation, "MNIST validation", 5000, []int32{5, 0, 4, 1, 9},
			[]int{479, 563, 488, 493, 535, 434, 501, 550, 462, 495}},
		{s.Test, "MNIST test", 10000, []int32{7, 2, 1, 0, 4},
			[]int{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}},
	} {
		d := c.set
		if err := d.Check(); err != nil {
			t.Error(err)
		}
		if d.Name != c.name || d.Len() != c.samples || d.Classes != 10 || d.Shape != (net.Shape{C: 1, H: 28, W: 28}) {
			t.Errorf("got %s: %d samples of %v in %d classes; want %s: %d of 1 x 28 x 28 in 10", d.Name, d.Len(), d.Shape, d.Classes, c.name, c.samples)
		}
		if got := d.Labels[:len(c.first)]; !slices.Equal(got, c.first) {
			t.Errorf("%s: labels begin with %v, want %v", d.Name, got, c.first)
		}
		if got := histogram(d.Labels, 10); !slices.Equal(got, c.histogram) {
			t.Errorf("%s: images of each digit %v, want %v", d.Name, got, c.histogram)
		}
	}
	if want := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}; !slices.Equal(s.ClassNames, want) {
		t.Errorf("class names %q, want %q", s.ClassNames, want)
	}
}

// TestTutorialPixels holds the pixels against the SHA-256 sums of the published
// files' content behind the header.
func TestTutorialPixels(t *testing.T) {
	s := tutorialSplit(t)
	h := sha256.New()
	h.Write(s.Validation.Pixels)
	h.Write(s.Train.Pixels)
	if got, want := fmt.Sprintf("%x", h.Sum(nil)), "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757"; got != want {
		t.Errorf("SHA-256 of validation and training pixels is %s, want %s", got, want)
	}
	if got, want := fmt.Sprintf("%x", sha256.Sum256(s.Test.Pixels)), "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161"; got != want {
		t.Errorf("SHA-256 of test pixels is %s, want %s", got, want)
	}
}

// TestTutorialDisjoint looks for an image that occurs twice, in one part or two:
// the published files have none.
func TestTutorialDisjoint(t *testing.T) {
	s := tutorialSplit(t)
	seen := map[[sha256.Size]byte]string{}
	for _, d := range []*net.Dataset{s.Train, s.Validation, s.Test} {
		n := d.Shape.Size()
		for i := range d.Len() {
			sum := sha256.Sum256(d.Pixels[i*n : (i+1)*n])
			here := fmt.Sprintf("image %d of %s", i, d.Name)
			if there, ok := seen[sum]; ok {
				t.Fatalf("%s is also %s", here, there)
			}
			seen[sum] = here
		}
	}
}

// TestTutorialScale gathers an image as a device does and wants its pixels in
// [0, 1].
func TestTutorialScale(t *testing.T) {
	s := tutorialSplit(t)
	got := make([]float32, 784)
	s.Test.Gather(got, []int32{0})
	if lo, hi := slices.Min(got), slices.Max(got); lo != 0 || hi > 1 {
		t.Errorf("values from %v to %v, want from 0 to at most 1", lo, hi)
	}
	// Row 7, columns 6 to 10 of the first test image, as the file has them.
	want := []float64{84. / 255, 185. / 255, 159. / 255, 151. / 255, 60. / 255}
	// A product of two rounded float32 lies within 1.5 units in the last place,
	// 2^-24 each.
	approx.Check(t, "row 7", got[7*28+6:7*28+11], want, approx.Tolerance{Rel: 0x3p-24})
}

func TestTutorialIsShared(t *testing.T) {
	if first, second := tutorialSplit(t), tutorialSplit(t); first != second {
		t.Error("two calls gave two copies, want one")
	}
}

func BenchmarkTutorial(b *testing.B) {
	for b.Loop() {
		data, err := fs.Sub(embedded, "data")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := (directory{fsys: data}).load(); err != nil {
			b.Fatal(err)
		}
	}
}

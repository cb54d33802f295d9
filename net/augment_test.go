package net

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
)

// colourPictures are n pictures of bytes that nobody looks at.
func colourPictures(n, height, width int) *Dataset {
	s := Shape{3, height, width}
	return &Dataset{Name: "pictures", Shape: s, Classes: 2, Scale: 1. / 255, Pixels: make([]uint8, n*s.Size()), Labels: make([]int32, n)}
}

// sourceOf is a source of pictures as large as the network's input.
func sourceOf(a Augment, seed uint64, n, height, width int) *Source {
	d := colourPictures(n, height, width)
	return &Source{Data: d, Augment: a, Seed: seed, Input: d.Shape}
}

// everySetting has all settings on.
func everySetting() Augment {
	return Augment{
		Name: "every", Crop: 3, ResizedCrop: &ResizedCrop{Area: [2]float64{0.3, 0.9}, Ratio: [2]float64{0.75, 4. / 3}},
		Rotate: 20, Scale: 0.3, Shear: 10, Translate: 0.2, Flip: RandomFlip, Border: ReflectBorder,
		Brightness: 0.4, Contrast: 0.3, Saturation: 0.5, Erase: &Erase{Size: 0.4, Probability: 0.7}, Mixup: 0.3, CutMix: 0.8,
	}
}

func TestViewsArePure(t *testing.T) {
	seed := testenv.Seed(t)
	source := sourceOf(everySetting(), seed, 50, 20, 30)
	var want []View
	for epoch := range 3 {
		for sample := range int32(50) {
			want = append(want, source.View(epoch, sample))
		}
	}
	// In another order, by another source, and in mini-batches of any size.
	other := sourceOf(everySetting(), seed, 50, 20, 30)
	for epoch := 2; epoch >= 0; epoch-- {
		for sample := int32(49); sample >= 0; sample-- {
			if got := other.View(epoch, sample); got != want[epoch*50+int(sample)] {
				t.Fatalf("epoch %d, sample %d: seen as %+v and as %+v", epoch, sample, got, want[epoch*50+int(sample)])
			}
		}
		for _, samples := range [][]int32{{7}, {4, 49, 0, 7, 7}} {
			b := other.Batch(epoch, samples)
			if err := b.Check(&Plan{Network: &Network{Input: other.Input}, Classes: 2}); err != nil {
				t.Fatal(err)
			}
			for i, sample := range samples {
				if b.Views[i] != want[epoch*50+int(sample)] || b.Indices[i] != sample {
					t.Fatalf("epoch %d: sample %d of a batch is seen otherwise than alone", epoch, sample)
				}
			}
		}
	}
	for i, v := range want {
		for j, w := range want[:i] {
			if v.Transform == w.Transform {
				t.Fatalf("views %d and %d are the same", i, j)
			}
		}
	}
	for _, changed := range []uint64{seed + 1, seed + 1<<32} {
		other.Seed = changed
		if other.View(1, 7).Transform == want[57].Transform {
			t.Errorf("seeds %d and %d give the same view", seed, changed)
		}
	}
}

func TestPlainSourcesHaveNoViews(t *testing.T) {
	for _, a := range []Augment{{}, {Name: "none", Border: ReflectBorder}} {
		if b := sourceOf(a, 1, 4, 5, 5).Batch(0, []int32{2, 3}); b.Views != nil || !a.Plain() || !slices.Equal(b.Indices, []int32{2, 3}) {
			t.Errorf("%+v: %+v", a, b)
		}
	}
	// Pictures of another size than the input are seen as a whole.
	s := sourceOf(Augment{}, 1, 4, 6, 9)
	s.Input = Shape{3, 2, 3}
	if got := s.Batch(0, []int32{1}).Views[0].Matrix; got != [6]float32{3, 0, 1, 0, 3, 1} {
		t.Errorf("6 x 9 pixels become 2 x 3 by %v", got)
	}
}

// uniform fails where values are not uniform between lo and hi: by the test of
// Kolmogorov and Smirnov, which a right generator fails once in 30 million.
func uniform(t *testing.T, what string, values []float64, lo, hi float64) {
	t.Helper()
	slices.Sort(values)
	n, worst := float64(len(values)), 0.0
	for i, v := range values {
		if v < lo-1e-5 || v > hi+1e-5 {
			t.Errorf("%s: %v is not from %v to %v", what, v, lo, hi)
			return
		}
		at := (v - lo) / (hi - lo)
		worst = max(worst, math.Abs(at-float64(i)/n), math.Abs(at-float64(i+1)/n))
	}
	if worst*math.Sqrt(n) > 3 {
		t.Errorf("%s: not uniform from %v to %v: off by %.3f", what, lo, hi, worst)
	}
}

// evenly fails where the whole numbers from -n to n are not about as frequent, or
// others come.
func evenly(t *testing.T, what string, values []float64, n int) {
	t.Helper()
	counts := map[float64]int{}
	for _, v := range values {
		counts[v]++
	}
	p := 1 / float64(2*n+1)
	want := float64(len(values)) * p
	for v := -n; v <= n; v++ {
		if c := float64(counts[float64(v)]); math.Abs(c-want) > 6*math.Sqrt(want*(1-p)) {
			t.Errorf("%s: %d came %v times, want about %v", what, v, c, want)
		}
		delete(counts, float64(v))
	}
	if len(counts) > 0 {
		t.Errorf("%s: %v are not whole numbers from %d to %d", what, counts, -n, n)
	}
}

// share fails where so many of n are not about a share.
func share(t *testing.T, what string, count, n int, want float64) {
	t.Helper()
	if got := float64(count) / float64(n); math.Abs(got-want) > 6*math.Sqrt(want*(1-want)/float64(n)) {
		t.Errorf("%s: a share of %v, want about %v", what, got, want)
	}
}

// TestSettingsAlone draws each setting's values back from the transforms.
func TestSettingsAlone(t *testing.T) {
	seed := testenv.Seed(t)
	const n = 20_000
	draw := func(a Augment, of func(v View) float64) []float64 {
		source := sourceOf(a, seed, n/4, 20, 32)
		var out []float64
		for epoch := range 4 {
			for sample := range int32(n / 4) {
				out = append(out, of(source.View(epoch, sample)))
			}
		}
		return out
	}
	degrees := func(sin, cos float32) float64 { return math.Atan2(float64(sin), float64(cos)) * 180 / math.Pi }
	x := func(v View) float64 { return float64(v.Matrix[2]) }
	y := func(v View) float64 { return float64(v.Matrix[5]) }

	evenly(t, "crop's columns", draw(Augment{Crop: 4}, x), 4)
	evenly(t, "crop's rows", draw(Augment{Crop: 4}, y), 4)
	evenly(t, "translated columns", draw(Augment{Translate: 0.25}, x), 8) // of 32
	evenly(t, "translated rows", draw(Augment{Translate: 0.25}, y), 5)    // of 20
	uniform(t, "rotation", draw(Augment{Rotate: 30}, func(v View) float64 { return degrees(v.Matrix[3], v.Matrix[0]) }), -30, 30)
	uniform(t, "scale", draw(Augment{Scale: 0.3}, func(v View) float64 { return 1 / float64(v.Matrix[0]) }), 0.7, 1.3)
	uniform(t, "shear", draw(Augment{Shear: 20}, func(v View) float64 { return degrees(v.Matrix[1], 1) }), -20, 20)
	uniform(t, "brightness", draw(Augment{Brightness: 0.4}, func(v View) float64 { return float64(v.Colour[0]) }), 0.6, 1.4)
	uniform(t, "contrast", draw(Augment{Contrast: 0.4}, func(v View) float64 { return float64(v.Colour[5]) }), 0.6, 1.4)
	// Two rows' red differs by the saturation.
	uniform(t, "saturation", draw(Augment{Saturation: 0.4}, func(v View) float64 { return float64(v.Colour[0] - v.Colour[4]) }), 0.6, 1.4)
	// Factors below 0 become 0: half of these.
	dark := draw(Augment{Brightness: 1, Contrast: 2}, func(v View) float64 { return float64(v.Colour[0]) })
	share(t, "no contrast", n-countAbove(dark, 0), n, 0.25) // a factor from -1 to 3

	crop := Augment{ResizedCrop: &ResizedCrop{Area: [2]float64{0.1, 0.5}, Ratio: [2]float64{0.5, 2}}}
	uniform(t, "resized crop's area", draw(crop, func(v View) float64 { return float64(v.Matrix[0] * v.Matrix[4]) }), 0.1, 0.5)
	uniform(t, "resized crop's ratio", draw(crop, func(v View) float64 { return math.Log2(float64(v.Matrix[0] / v.Matrix[4])) }), -1, 1)
	// Where it may begin: 0 is as far left as it can be, 1 as far right.
	place := func(v View) float64 { return float64(v.Matrix[2] / (31 * (1 - v.Matrix[0]))) }
	uniform(t, "resized crop's place", draw(crop, place), 0, 1)

	flipped := func(a Augment) int {
		mirrored := 0
		for _, m := range draw(a, func(v View) float64 { return float64(v.Matrix[0]) }) {
			if m == -1 {
				mirrored++
			} else if m != 1 {
				t.Fatalf("a flip of %v", m)
			}
		}
		return mirrored
	}
	share(t, "random flips", flipped(Augment{Flip: RandomFlip}), n, 0.5)
	if got := flipped(Augment{Flip: AlternateFlip}); got != n/2 { // of two epochs exactly half
		t.Errorf("%d of %d alternate flips", got, n)
	}
	if got := flipped(Augment{Border: ReflectBorder, Crop: 1}); got != 0 {
		t.Errorf("%d flips without being asked for", got)
	}

	erase := Augment{Erase: &Erase{Size: 0.3, Probability: 0.7}}
	var erased int
	var columns, rows []float64
	draw(erase, func(v View) float64 {
		if b := v.Erase; !b.Empty() {
			erased++
			columns, rows = append(columns, float64(b.Left)+3), append(rows, float64(b.Top)+3)
			if b.Right-b.Left != 6 || b.Bottom-b.Top != 6 { // 0.3 of 20
				t.Fatalf("a box of %+v", b)
			}
		}
		return 0
	})
	share(t, "erased", erased, n, 0.7)
	for _, c := range columns {
		if c < 0 || c > 31 {
			t.Fatalf("the middle of a box is in column %v", c)
		}
	}
	share(t, "boxes in the left quarter", countBelow(columns, 8), len(columns), 0.25)
	share(t, "boxes in the upper quarter", countBelow(rows, 5), len(rows), 0.25)
	erase.Erase.Probability = 0
	if got := draw(erase, func(v View) float64 { return float64(v.Erase.Right - v.Erase.Left) }); slices.Min(got) != 6 {
		t.Error("without a probability not every picture is erased")
	}
}

func countAbove(values []float64, bound float64) (n int) {
	for _, v := range values {
		if v > bound {
			n++
		}
	}
	return n
}

func countBelow(values []float64, bound float64) (n int) {
	for _, v := range values {
		if v < bound {
			n++
		}
	}
	return n
}

// TestAlternateFlips shows both sides of each picture in any two epochs that follow
// each other.
func TestAlternateFlips(t *testing.T) {
	source := sourceOf(Augment{Flip: AlternateFlip}, testenv.Seed(t), 5000, 4, 4)
	first := 0
	for sample := range int32(5000) {
		var mirrored [4]bool
		for epoch := range mirrored {
			mirrored[epoch] = source.View(epoch, sample).Matrix[0] < 0
		}
		if mirrored[0] == mirrored[1] || mirrored[1] == mirrored[2] || mirrored[2] == mirrored[3] {
			t.Fatalf("sample %d: mirrored %v", sample, mirrored)
		}
		if mirrored[0] {
			first++
		}
	}
	share(t, "mirrored in the first epoch", first, 5000, 0.5)
}

// middle returns the map of a transform about the middle of pictures of one size, in
// float64: what its settings composed.
func middle(m [6]float32, s Shape) affine {
	cx, cy := float64(s.W-1)/2, float64(s.H-1)/2
	about := affine{1, 0, cx, 0, 1, cy}
	var a affine
	for i, v := range m {
		a[i] = float64(v)
	}
	return about.then(a).then(affine{1, 0, -cx, 0, 1, -cy})
}

// TestSettingsTogether composes what each setting draws alone to what all of them
// draw together: none takes random numbers from another, and they apply in the order
// of the fields of Augment.
func TestSettingsTogether(t *testing.T) {
	seed := testenv.Seed(t)
	all := everySetting()
	all.CutMix = 0
	source := func(a Augment) *Source { return sourceOf(a, seed, 40, 20, 30) }
	// From the input to the picture, so the last first.
	places := []Augment{
		{Flip: all.Flip}, {Translate: all.Translate}, {Shear: all.Shear}, {Scale: all.Scale}, {Rotate: all.Rotate},
		{ResizedCrop: all.ResizedCrop}, {Crop: all.Crop},
	}
	for epoch := range 3 {
		for sample := range int32(40) {
			together := source(all).View(epoch, sample)
			composed := affine{1, 0, 0, 0, 1, 0}
			for _, a := range places {
				v := source(a).View(epoch, sample)
				composed = composed.then(middle(v.Matrix, Shape{3, 20, 30}))
			}
			got := middle(together.Matrix, Shape{3, 20, 30})
			// Each of eight matrices is rounded to float32, at values up to about 30.
			approx.Check(t, "places composed", got[:], composed[:], approx.Tolerance{Abs: 1e-4})
			bright := source(Augment{Brightness: all.Brightness}).View(epoch, sample).Colour
			contrast := source(Augment{Contrast: all.Contrast}).View(epoch, sample).Colour
			saturation := source(Augment{Saturation: all.Saturation}).View(epoch, sample).Colour
			want := make([]float64, 12)
			for i := range want {
				want[i] = float64(bright[0]) * float64(contrast[0]) * float64(saturation[i])
				if i%4 == 3 {
					want[i] = float64(contrast[i])
				}
			}
			approx.Check(t, "colours composed", together.Colour[:], want, approx.Tolerance{Abs: 1e-6, Rel: 1e-6})
			if alone := source(Augment{Erase: all.Erase}).View(epoch, sample); alone.Erase != together.Erase {
				t.Errorf("erased %+v alone, %+v together", alone.Erase, together.Erase)
			}
			alone := source(Augment{Mixup: all.Mixup}).View(epoch, sample)
			if alone.Partner != together.Partner || alone.Share != together.Share {
				t.Errorf("mixed with %d by %v alone, with %d by %v together", alone.Partner, alone.Share, together.Partner, together.Share)
			}
			if partner := source(all).View(epoch, together.Partner); partner.Transform != together.Other {
				t.Errorf("the partner %d is seen otherwise than as itself", together.Partner)
			}
			if together.Border != ReflectBorder || together.Other.Border != ReflectBorder {
				t.Errorf("borders %q and %q", together.Border, together.Other.Border)
			}
			if t.Failed() {
				t.Fatalf("epoch %d, sample %d", epoch, sample)
			}
		}
	}
}

// TestResizedCropStaysInside looks at the corners, where a border would be seen.
func TestResizedCropStaysInside(t *testing.T) {
	a := Augment{ResizedCrop: &ResizedCrop{Area: [2]float64{0.05, 1}, Ratio: [2]float64{0.25, 4}}}
	source := sourceOf(a, testenv.Seed(t), 5000, 20, 32)
	reached := 0.0
	for sample := range int32(5000) {
		m := source.View(0, sample).Matrix
		for _, corner := range [][2]float32{{0, 0}, {31, 19}} {
			x, y := float64(m[0]*corner[0]+m[2]), float64(m[4]*corner[1]+m[5])
			const rounding = 1e-5 // of float32 at 31
			if x < -rounding || x > 31+rounding || y < -rounding || y > 19+rounding || m[1] != 0 || m[3] != 0 {
				t.Fatalf("sample %d: a corner comes from column %v, row %v: %v", sample, x, y, m)
			}
			reached = max(reached, x)
		}
	}
	if reached < 30.9 {
		t.Errorf("no part reaches further right than column %v", reached)
	}
}

func TestCutMix(t *testing.T) {
	source := sourceOf(Augment{CutMix: 1}, testenv.Seed(t), 4000, 20, 32)
	var shares []float64
	partners := map[int32]bool{}
	for sample := range int32(4000) {
		v := source.View(0, sample)
		if v.Partner < 0 {
			if v != PlainView() {
				t.Fatalf("without a partner: %+v", v)
			}
			continue
		}
		partners[v.Partner] = true
		inside := 0
		for y := range int32(20) {
			for x := range int32(32) {
				if v.Box.Has(x, y) {
					inside++
				}
			}
		}
		b := v.Box
		if inside != int((b.Right-b.Left)*(b.Bottom-b.Top)) || b.Empty() {
			t.Fatalf("%+v is not inside the picture", b)
		}
		approx.Check(t, "share", []float32{v.Share}, []float64{1 - float64(inside)/640}, approx.Tolerance{Abs: 1e-7})
		shares = append(shares, float64(v.Share))
	}
	if len(shares) < 3800 || len(partners) < 2000 {
		t.Errorf("%d of 4,000 are mixtures, of %d partners", len(shares), len(partners))
	}
	// A box with sides of the share s of the picture's, s*s uniform, keeps on average
	// s - s*s/4 of each where its middle is anywhere: that squared, integrated. Whole
	// pixels and the sample's size make the difference.
	mean := 0.0
	for _, x := range shares {
		mean += x / float64(len(shares))
	}
	approx.Check(t, "mean share", []float64{mean}, []float64{1 - (1./2 - 1./5 + 1./48)}, approx.Tolerance{Abs: 0.03})
}

func TestMixup(t *testing.T) {
	source := sourceOf(Augment{Mixup: 1}, testenv.Seed(t), 20_000, 4, 4)
	var shares []float64
	self := 0
	for sample := range int32(20_000) {
		v := source.View(0, sample)
		if v.Partner < 0 || !v.Box.Empty() {
			t.Fatalf("sample %d: %+v", sample, v)
		}
		if v.Partner == sample {
			self++
		}
		shares = append(shares, float64(v.Share))
	}
	uniform(t, "shares of Beta(1, 1)", shares, 0, 1)
	if self > 12 { // of 20,000, one is usual
		t.Errorf("%d samples are their own partners", self)
	}
	both := sourceOf(Augment{Mixup: 1, CutMix: 1}, testenv.Seed(t), 20_000, 40, 40)
	boxes := 0
	for sample := range int32(20_000) {
		if v := both.View(0, sample); v.Partner < 0 || !v.Box.Empty() {
			boxes++
		}
	}
	share(t, "cutmix of both", boxes, 20_000, 0.5)
}

func TestBetaMoments(t *testing.T) {
	seed := testenv.Seed(t)
	const n = 40_000
	for i, a := range []float64{0.05, 0.2, 0.8, 1, 3, 50} {
		var sum, squares, fourth, gammas float64
		s := newStream(seed, ForAugment, i)
		for range n {
			b := s.beta(a)
			if !(b >= 0 && b <= 1) {
				t.Fatalf("Beta(%v, %v) gave %v", a, a, b)
			}
			d := b - 0.5
			sum, squares, fourth = sum+d, squares+d*d, fourth+d*d*d*d
			gammas += s.gamma(a)
		}
		variance := 1 / (4 * (2*a + 1))
		kurtosis := 3 - 6/(2*a+3)
		approx.Check(t, "mean", []float64{sum / n}, []float64{0}, approx.Tolerance{Abs: 6 * math.Sqrt(variance/n)})
		// The variance of (b-1/2)^2 is (kurtosis-1) * variance^2.
		approx.Check(t, "variance", []float64{squares / n}, []float64{variance}, approx.Tolerance{Abs: 6 * variance * math.Sqrt((kurtosis-1)/n)})
		// The eighth moment is at most 1/4^4; far wider than six deviations for large a.
		approx.Check(t, "fourth moment", []float64{fourth / n}, []float64{kurtosis * variance * variance}, approx.Tolerance{Rel: 0.2, Abs: 1e-7})
		approx.Check(t, "gamma's mean", []float64{gammas / n}, []float64{a}, approx.Tolerance{Abs: 6 * math.Sqrt(a/n)})
	}
}

func TestAugmentInJSON(t *testing.T) {
	a := everySetting()
	for v, i := reflect.ValueOf(a), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not among every setting", v.Type().Field(i).Name)
		}
	}
	r := Recipes()[0].Recipe
	r.Augment = a
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Recipe
	if err := strictUnmarshal(b, &back); err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("%s came back as %+v (%v)", b, back, err)
	}
	for text, want := range map[string]string{
		`{"rotate": 5, "rotat": 5}`:         "rotat",
		`{"erase": {"size": 1, "side": 2}}`: "side",
		`{"flip": 1}`:                       "flip",
	} {
		if err := strictUnmarshal([]byte(text), &Augment{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", text, err)
		}
	}
	if b, err := json.Marshal(Recipes()[0]); err != nil || strings.Contains(string(b), "augment") {
		t.Errorf("without augmentation: %s (%v)", b, err)
	}
}

func TestAugmentations(t *testing.T) {
	var names []string
	for _, a := range Augmentations() {
		names = append(names, a.Name)
		named, ok := AugmentationNamed(a.Name)
		if err := a.Check(); err != nil || !ok || !named.Same(a) {
			t.Errorf("%s: %v; by its name %+v", a.Name, err, named)
		}
		for _, d := range []*Dataset{colourPictures(1, 32, 32), {Name: "grey", Shape: Shape{1, 28, 28}, Classes: 2, Pixels: make([]uint8, 784), Labels: []int32{0}}} {
			if err := a.CheckFor(d); err != nil {
				t.Errorf("%s: %v", a.Name, err)
			}
		}
		if a.Plain() != (a.Name == "none") {
			t.Errorf("%s is plain: %v", a.Name, a.Plain())
		}
	}
	if !slices.Equal(names, []string{"none", "light", "standard", "strong"}) {
		t.Errorf("names %v", names)
	}
	if none, _ := AugmentationNamed("none"); none != (Augment{}) {
		t.Errorf("none is %+v", none)
	}
	if _, ok := AugmentationNamed("best"); ok {
		t.Error("settings of no known name")
	}
	if light, _ := AugmentationNamed("light"); light.Flip != NoFlip {
		t.Error("light mirrors digits")
	}
	Augmentations()[3].Erase.Size = 9
	if strong, _ := AugmentationNamed("strong"); strong.Erase.Size == 9 {
		t.Error("who changes settings changes those of all")
	}
}

func TestAugmentSame(t *testing.T) {
	a, b := everySetting(), everySetting()
	if b.Name = "other"; !a.Same(b) {
		t.Error("a name makes another augmentation")
	}
	if b.Erase.Size = 0.5; a.Same(b) {
		t.Error("another size of the square is the same")
	}
	if !(Augment{Crop: 1}).Same(Augment{Crop: 1, Border: ZeroBorder}) || (Augment{Crop: 1}).Same(Augment{Crop: 1, Border: ReflectBorder}) {
		t.Error("borders are confused")
	}
}

func TestAugmentCheck(t *testing.T) {
	for _, c := range []struct {
		change func(*Augment)
		want   string // "" where it is right
	}{
		{func(*Augment) {}, ""},
		{func(a *Augment) { a.Rotate = 181 }, "augmentation: rotate must be from 0 to 180, got 181"},
		{func(a *Augment) { a.Scale = math.NaN() }, "scale must be from 0 to 0.9, got NaN"},
		{func(a *Augment) { a.Crop = -1 }, "crop must be"},
		{func(a *Augment) { a.Shear = 61 }, "shear must be"},
		{func(a *Augment) { a.Translate = 1.1 }, "translate must be"},
		{func(a *Augment) { a.Brightness = -0.1 }, "brightness must be"},
		{func(a *Augment) { a.Contrast = math.Inf(1) }, "contrast must be"},
		{func(a *Augment) { a.Saturation = 11 }, "saturation must be"},
		{func(a *Augment) { a.Mixup = -1 }, "mixup must be"},
		{func(a *Augment) { a.CutMix = 101 }, "cutmix must be"},
		{func(a *Augment) { a.Flip = "always" }, `unknown flip "always" (want random or alternate)`},
		{func(a *Augment) { a.Border = "mirror" }, `unknown border "mirror" (want zeros or reflect)`},
		{func(a *Augment) { a.ResizedCrop = &ResizedCrop{} }, "resized_crop's least area must be"},
		{func(a *Augment) { a.ResizedCrop.Area = [2]float64{0.5, 0.4} }, "greatest area must be from 0.5 to 1, got 0.4"},
		{func(a *Augment) { a.ResizedCrop.Ratio = [2]float64{2, 1} }, "greatest ratio must be from 2 to 10, got 1"},
		{func(a *Augment) { a.Erase = &Erase{} }, "erase needs a size above 0"},
		{func(a *Augment) { a.Erase.Probability = 2 }, "erase's probability must be"},
		{func(a *Augment) { a.Rotate, a.Shear = -1, -1 }, "rotate must be"}, // the first of them
	} {
		a := everySetting()
		c.change(&a)
		r := Recipes()[0].Recipe
		r.Augment = a
		for _, err := range []error{a.Check(), r.Check()} {
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		}
	}
	values := &Dataset{Name: "values", Shape: Shape{3, 8, 8}, Classes: 2, Values: make([]float32, 192), Labels: []int32{0}}
	for _, c := range []struct {
		a    Augment
		d    *Dataset
		want string
	}{
		{Augment{Rotate: 3, Mixup: 1, Erase: &Erase{Size: 1}}, values, ""},
		{Augment{Contrast: 0.1}, values, "data set values has other values"},
		{Augment{Crop: 7}, values, ""},
		{Augment{Crop: 8}, values, "crop moves pictures by up to 8 pixels, and those of data set values have only 8 x 8"},
		{Augment{Saturation: 0.1}, colourPictures(1, 4, 4), ""},
	} {
		if err := c.a.CheckFor(c.d); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: error %v, want %q", c.a, err, c.want)
		}
	}
}

func TestViewCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*View)
		want   string
	}{
		{"plain", func(*View) {}, ""},
		{"a partner", func(v *View) { v.Partner, v.Share = 9, 0 }, ""},
		{"far", func(v *View) { v.Matrix[2] = 1 << 22 }, "matrix value"},
		{"NaN", func(v *View) { v.Matrix[0] = float32(math.NaN()) }, "matrix value NaN"},
		{"colour", func(v *View) { v.Colour[3] = float32(math.Inf(-1)) }, "colour value -Inf"},
		{"border", func(v *View) { v.Border = "" }, `unknown border ""`},
		{"no such partner", func(v *View) { v.Partner = 10 }, "partner 10 is outside the 10 samples"},
		{"share", func(v *View) { v.Partner, v.Share = 1, 1.5 }, "share 1.5"},
		{"no share", func(v *View) { v.Partner, v.Share = 1, float32(math.NaN()) }, "share NaN"},
		{"the partner's", func(v *View) { v.Partner, v.Other.Border = 1, "wrap" }, `unknown border "wrap"`},
		{"nothing of a partner that isn't there", func(v *View) { v.Other.Border, v.Share = "wrap", 7 }, ""},
	} {
		v := PlainView()
		c.change(&v)
		err := v.Check(10)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	plain := IdentityTransform()
	changed := []func(*Transform){
		func(t *Transform) { t.Matrix[1] = 0.1 }, func(t *Transform) { t.Colour[0] = 1 },
		func(t *Transform) { t.Erase = Box{0, 0, 1, 1} },
	}
	if !plain.Plain() || plain.Check() != nil {
		t.Error("the identity is not plain")
	}
	for i, change := range changed {
		tr := IdentityTransform()
		if change(&tr); tr.Plain() {
			t.Errorf("change %d is plain", i)
		}
	}
	box := Box{-1, 0, 2, 3}
	if box.Empty() || !box.Has(-1, 0) || box.Has(2, 0) || box.Has(0, 3) || !box.Has(1, 2) || !(Box{1, 1, 1, 5}).Empty() || !(Box{0, 5, 9, 4}).Empty() {
		t.Error("boxes do not end where they say")
	}
}

// TestSettingsAreIndependent draws all settings at once and compares each with each:
// no two of them follow the same random numbers.
func TestSettingsAreIndependent(t *testing.T) {
	seed := testenv.Seed(t)
	const n = 5000
	degree := func(a float32) float64 { return math.Atan(float64(a)) }
	of := map[string]struct {
		a    Augment
		draw func(v View) float64
	}{
		"crop's column":       {Augment{Crop: 9}, func(v View) float64 { return float64(v.Matrix[2]) }},
		"crop's row":          {Augment{Crop: 9}, func(v View) float64 { return float64(v.Matrix[5]) }},
		"translated column":   {Augment{Translate: 0.3}, func(v View) float64 { return float64(v.Matrix[2]) }},
		"translated row":      {Augment{Translate: 0.3}, func(v View) float64 { return float64(v.Matrix[5]) }},
		"rotation":            {Augment{Rotate: 30}, func(v View) float64 { return degree(v.Matrix[3] / v.Matrix[0]) }},
		"scale":               {Augment{Scale: 0.3}, func(v View) float64 { return 1 / float64(v.Matrix[0]) }},
		"shear":               {Augment{Shear: 30}, func(v View) float64 { return degree(v.Matrix[1]) }},
		"resized crop's area": {Augment{ResizedCrop: &ResizedCrop{Area: [2]float64{0.1, 1}, Ratio: [2]float64{1, 1}}}, func(v View) float64 { return float64(v.Matrix[0] * v.Matrix[4]) }},
		"flip":                {Augment{Flip: RandomFlip}, func(v View) float64 { return float64(v.Matrix[0]) }},
		"brightness":          {Augment{Brightness: 0.5}, func(v View) float64 { return float64(v.Colour[0]) }},
		"contrast":            {Augment{Contrast: 0.5}, func(v View) float64 { return float64(v.Colour[0]) }},
		"saturation":          {Augment{Saturation: 0.5}, func(v View) float64 { return float64(v.Colour[0]) }},
		"erased column":       {Augment{Erase: &Erase{Size: 0.1}}, func(v View) float64 { return float64(v.Erase.Left) }},
		"erased row":          {Augment{Erase: &Erase{Size: 0.1}}, func(v View) float64 { return float64(v.Erase.Top) }},
		"partner":             {Augment{Mixup: 1}, func(v View) float64 { return float64(v.Partner) }},
		"share":               {Augment{Mixup: 1}, func(v View) float64 { return float64(v.Share) }},
	}
	values := map[string][]float64{}
	for name, s := range of {
		source := sourceOf(s.a, seed, n, 32, 32)
		var x []float64
		var sum, squares float64
		for sample := range int32(n) {
			v := s.draw(source.View(3, sample))
			x = append(x, v)
			sum, squares = sum+v, squares+v*v
		}
		mean := sum / n
		deviation := math.Sqrt(squares/n - mean*mean)
		if !(deviation > 0) {
			t.Fatalf("%s is always the same", name)
		}
		for i := range x {
			x[i] = (x[i] - mean) / deviation
		}
		values[name] = x
	}
	for a, x := range values {
		for b, y := range values {
			if a >= b {
				continue
			}
			correlation := 0.0
			for i := range x {
				correlation += x[i] * y[i] / n
			}
			if math.Abs(correlation) > 6/math.Sqrt(n) {
				t.Errorf("%s and %s are correlated: %.2f", a, b, correlation)
			}
		}
	}
}

func TestParseAugment(t *testing.T) {
	a, err := ParseAugment(strings.NewReader("\ufeff" + `{"name": "mine", "rotate": 5, "resized_crop": {"area": [0.5, 1], "ratio": [1, 1]}, "flip": "random"}`))
	want := Augment{Name: "mine", Rotate: 5, ResizedCrop: &ResizedCrop{Area: [2]float64{0.5, 1}, Ratio: [2]float64{1, 1}}, Flip: RandomFlip}
	if err != nil || !reflect.DeepEqual(a, want) {
		t.Errorf("%+v (%v), want %+v", a, err, want)
	}
	for text, want := range map[string]string{
		`{"rotate": 500}`: "augmentation: rotate must be from 0 to 180, got 500", `{"rotation": 5}`: `augmentation: unknown field "rotation" (did you mean rotate?)`,
		`{} {}`: "augmentation: data after the JSON value", ``: "augmentation: not valid JSON: there is nothing in it",
		`{"rotate": 5`: "augmentation: not valid JSON: it ends too early, in line 1", `{"flip": 1}`: "augmentation: flip: want text, got a number",
	} {
		if a, err := ParseAugment(strings.NewReader(text)); err == nil || err.Error() != want || a != (Augment{}) {
			t.Errorf("%s: %+v, error %v, want %q", text, a, err, want)
		}
	}
}

package net

import (
	"math"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
)

// bytesSet has three samples of 1 x 2 x 2.
func bytesSet() *Dataset {
	return &Dataset{
		Name: "bytes", Shape: Shape{1, 2, 2}, Classes: 3, Scale: 1. / 255,
		Pixels: []uint8{0, 51, 102, 255, 1, 2, 3, 4, 5, 6, 7, 8}, Labels: []int32{0, 2, 1},
	}
}

func valuesSet() *Dataset {
	return &Dataset{
		Name: "values", Shape: Shape{2, 1, 1}, Classes: 2,
		Values: []float32{1, -2, 3, float32(math.Inf(1)), 5, 6}, Labels: []int32{0, 1, 1},
	}
}

func TestDatasetCheck(t *testing.T) {
	for _, d := range []*Dataset{bytesSet(), valuesSet(), {Name: "empty", Shape: Shape{1, 1, 1}, Classes: 2}} {
		if err := d.Check(); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Dataset)
		want   string
	}{
		{"shape", func(d *Dataset) { d.Shape.H = 0 }, "shape: every dimension"},
		{"both kinds", func(d *Dataset) { d.Values = make([]float32, 12) }, "either pixels or values"},
		{"neither", func(d *Dataset) { d.Pixels = nil }, "either pixels or values"},
		{"too few pixels", func(d *Dataset) { d.Pixels = d.Pixels[:11] }, "11 values for 3 samples of 1 x 2 x 2 (want 12)"},
		{"too few labels", func(d *Dataset) { d.Labels = d.Labels[:2] }, "12 values for 2 samples"},
		{"one class", func(d *Dataset) { d.Classes = 1 }, "at least 2 classes, got 1"},
		{"label above", func(d *Dataset) { d.Labels[1] = 3 }, "label 3 of sample 1 is outside the 3 classes"},
		{"label below", func(d *Dataset) { d.Labels[2] = -1 }, "label -1 of sample 2"},
		{"too few rows", func(d *Dataset) { d.Rows = []int32{0, 1} }, "2 rows for 3 samples"},
		{"row above", func(d *Dataset) { d.Rows = []int32{0, 3, 1} }, "row 3 of sample 1 is outside the 3 rows"},
		{"row below", func(d *Dataset) { d.Rows = []int32{-1, 1, 1} }, "row -1 of sample 0"},
	} {
		d := bytesSet()
		c.change(d)
		if err := d.Check(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "data set bytes: ") {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestGather(t *testing.T) {
	dst := make([]float32, 12)
	bytesSet().Gather(dst, []int32{2, 0, 2})
	s := float32(1. / 255)
	approx.Check(t, "bytes", dst, []float32{5 * s, 6 * s, 7 * s, 8 * s, 0, 51 * s, 102 * s, 255 * s, 5 * s, 6 * s, 7 * s, 8 * s}, approx.Tolerance{})
	if dst[7] != 1 {
		t.Errorf("255/255 is %v", dst[7])
	}
	dst = dst[:4]
	valuesSet().Gather(dst, []int32{1, 0})
	approx.Check(t, "values", dst, []float32{3, float32(math.Inf(1)), 1, -2}, approx.Tolerance{})
}

func TestSlice(t *testing.T) {
	d := bytesSet().Slice(1, 3)
	if err := d.Check(); err != nil {
		t.Error(err)
	}
	if d.Len() != 2 || d.Labels[0] != 2 || d.Pixels[0] != 1 || d.Classes != 3 || d.Scale != 1./255 {
		t.Errorf("slice is %+v", d)
	}
	v := valuesSet().Slice(0, 2)
	if err := v.Check(); err != nil || v.Len() != 2 || len(v.Values) != 4 || v.Pixels != nil {
		t.Errorf("slice is %+v (%v)", v, err)
	}
}

func TestBatchCheck(t *testing.T) {
	plan, err := (&Network{Input: Shape{1, 2, 2}, Layers: []Layer{&Flatten{}, &Dense{Units: 3}}}).Plan()
	if err != nil {
		t.Fatal(err)
	}
	many := bytesSet()
	many.Classes = 4
	large := &Dataset{Name: "large", Shape: Shape{1, 4, 3}, Classes: 3, Pixels: make([]uint8, 12), Labels: []int32{0}}
	for _, c := range []struct {
		name string
		b    Batch
		want string
	}{
		{"right", Batch{Data: bytesSet(), Indices: []int32{2, 0, 2, 1}}, ""},
		{"no data", Batch{Data: nil, Indices: []int32{0}}, "without a data set"},
		{"empty", Batch{Data: bytesSet(), Indices: nil}, "empty batch"},
		{"shape", Batch{Data: valuesSet(), Indices: []int32{0}}, "samples of 2, the network takes 1 x 2 x 2"},
		{"classes", Batch{Data: many, Indices: []int32{0}}, "has 4 classes, the network gives 3 logits"},
		{"above", Batch{Data: bytesSet(), Indices: []int32{0, 3}}, "index 3 is outside data set bytes of 3 samples"},
		{"below", Batch{Data: bytesSet(), Indices: []int32{-1}}, "index -1 is outside"},
		{"views", Batch{Data: bytesSet(), Indices: []int32{1, 0}, Views: []View{PlainView(), PlainView()}}, ""},
		{"views of another size", Batch{Data: large, Indices: []int32{0}, Views: []View{PlainView()}}, ""},
		{"another size without views", Batch{Data: large, Indices: []int32{0}}, "samples of 1 x 4 x 3, the network takes 1 x 2 x 2"},
		{"views of other channels", Batch{Data: valuesSet(), Indices: []int32{0}, Views: []View{PlainView()}}, "samples of 2, the network takes"},
		{"too few views", Batch{Data: bytesSet(), Indices: []int32{1, 0}, Views: []View{PlainView()}}, "1 views of 2 samples"},
		{"a view", Batch{Data: bytesSet(), Indices: []int32{2}, Views: []View{{}}}, `batch: sample 2: transform: unknown border ""`},
	} {
		err := c.b.Check(plan)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestDatasetID(t *testing.T) {
	base := bytesSet().ID()
	if base != bytesSet().ID() || base.Samples != 3 || base.Name != "bytes" || len(base.SHA256) != 64 {
		t.Errorf("identity %+v, then %+v", base, bytesSet().ID())
	}
	for name, change := range map[string]func(*Dataset){
		"a pixel": func(d *Dataset) { d.Pixels[11]++ }, "a label": func(d *Dataset) { d.Labels[0] = 1 },
		"the scale": func(d *Dataset) { d.Scale = 1 }, "the shape": func(d *Dataset) { d.Shape = Shape{4, 1, 1} },
		"the classes": func(d *Dataset) { d.Classes = 4 },
	} {
		d := bytesSet()
		change(d)
		if d.ID().SHA256 == base.SHA256 {
			t.Errorf("%s changes nothing", name)
		}
	}
	v := valuesSet()
	was := v.ID()
	v.Values[5]++
	if v.ID() == was {
		t.Error("a value changes nothing")
	}
	renamed := bytesSet()
	renamed.Name = "copy"
	if renamed.ID().SHA256 != base.SHA256 {
		t.Error("a name changes the contents")
	}
}

// TestRows holds data sets that say where their samples stand to copies of the same
// samples in order.
func TestRows(t *testing.T) {
	for _, whole := range []*Dataset{bytesSet(), valuesSet()} {
		n := whole.Shape.Size()
		copied := func(d *Dataset) *Dataset {
			c := &Dataset{Name: d.Name, Shape: d.Shape, Classes: d.Classes, Scale: d.Scale}
			for i := range d.Labels {
				at := d.Row(int32(i)) * n
				if d.Pixels != nil {
					c.Pixels = append(c.Pixels, d.Pixels[at:at+n]...)
				} else {
					c.Values = append(c.Values, d.Values[at:at+n]...)
				}
				c.Labels = append(c.Labels, d.Labels[i])
			}
			return c
		}
		same := func(what string, d *Dataset, rows []int32) {
			t.Helper()
			if err := d.Check(); err != nil {
				t.Fatalf("%s of %s: %v", what, whole.Name, err)
			}
			var all []int32
			for i, row := range rows {
				if d.Row(int32(i)) != int(row) || d.Labels[i] != whole.Labels[row] {
					t.Errorf("%s of %s: sample %d is row %d with label %d, want row %d", what, whole.Name, i, d.Row(int32(i)), d.Labels[i], row)
				}
				all = append(all, int32(i))
			}
			got, want := make([]float32, len(rows)*n), make([]float32, len(rows)*n)
			d.Gather(got, all)
			whole.Gather(want, rows)
			approx.Check(t, what+" of "+whole.Name, got, want, approx.Tolerance{})
			if d.ID() != copied(d).ID() {
				t.Errorf("%s of %s is another data set than a copy of its samples", what, whole.Name)
			}
		}
		same("all", whole, []int32{0, 1, 2})
		chosen := whole.Select([]int32{2, 0, 2})
		same("a selection", chosen, []int32{2, 0, 2})
		same("a selection of a selection", chosen.Select([]int32{1, 2, 1, 0}), []int32{0, 2, 0, 2})
		same("a slice of a selection", chosen.Slice(1, 3), []int32{0, 2})
		same("a selection of nothing", chosen.Select(nil), nil)
		if in := whole.Select([]int32{0, 1, 2}); in.ID() != whole.ID() {
			t.Errorf("all of %s in order is another data set", whole.Name)
		}
		if whole.Select([]int32{0, 2, 1}).ID() == whole.ID() {
			t.Errorf("%s in another order is the same data set", whole.Name)
		}
		part := whole.Slice(1, 3).Select([]int32{1})
		if part.Labels[0] != whole.Labels[2] || part.Row(0) != 1 || part.Check() != nil {
			t.Errorf("a selection of a slice of %s: %+v", whole.Name, part)
		}
	}
}

func TestBatchParts(t *testing.T) {
	other, cut := PlainView(), PlainView()
	other.Partner, other.Share = 1, 0.25
	cut.Partner, cut.Share, cut.Box = 2, 0.75, Box{0, 0, 1, 1}
	b := Batch{Data: bytesSet(), Indices: []int32{0, 1, 2, 0}, Views: []View{PlainView(), cut, PlainView(), other}}
	part := b.Part(1, 4)
	if part.Len() != 3 || part.Indices[0] != 1 || len(part.Views) != 3 || part.Views[2] != other || b.Len() != 4 {
		t.Errorf("a part is %+v", part)
	}
	if plain := (Batch{Data: b.Data, Indices: b.Indices}).Part(2, 3); plain.Views != nil || plain.Indices[0] != 2 || plain.Len() != 1 {
		t.Errorf("a part without views is %+v", plain)
	}
	type expected struct {
		label, other int32
		share        float32
	}
	for i, want := range []expected{{2, 1, 0.75}, {1, 1, 1}, {0, 2, 0.25}} { // labels 0, 2, 1
		var got expected
		if got.label, got.other, got.share = part.Expected(i); got != want {
			t.Errorf("sample %d: expected %+v, want %+v", i, got, want)
		}
	}
	var got expected
	if got.label, got.other, got.share = (Batch{Data: b.Data, Indices: b.Indices}).Expected(1); got != (expected{2, 2, 1}) {
		t.Errorf("without views: expected %+v", got)
	}
}

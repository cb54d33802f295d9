package net

import (
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/testenv"
)

func TestNumberClasses(t *testing.T) {
	want := []string{"", "1", "02", "2", "10", "a", "A2", "a10", "a10b", "B", "b1", "Ähre"} // of equal numbers the bytes decide
	rng := testenv.Rand(t)
	for range 10 {
		labels := slices.Concat(want, want)
		rng.Shuffle(len(labels), func(i, j int) { labels[i], labels[j] = labels[j], labels[i] })
		names, numbers := NumberClasses(labels)
		if !slices.Equal(names, want) {
			t.Fatalf("%q, want %q", names, want)
		}
		for i, l := range labels {
			if names[numbers[i]] != l {
				t.Errorf("%q has number %d", l, numbers[i])
			}
		}
	}
}

func TestNewDataset(t *testing.T) {
	shape := Shape{1, 1, 2}
	samples := [][]float32{{1, 2}, {3, 4}, {5, 6}}
	labels := []string{"cat 10", "cat 9", "cat 10"}
	d, err := NewDataset("cats", shape, samples, labels)
	if err != nil || d.Name != "cats" || !slices.Equal(d.ClassNames, []string{"cat 9", "cat 10"}) || !slices.Equal(d.Labels, []int32{1, 0, 1}) || d.Pixels != nil || !slices.Equal(d.Values, []float32{1, 2, 3, 4, 5, 6}) {
		t.Errorf("%+v, error %v", d, err)
	}
	samples[0][0] = 9
	if d.Values[0] != 1 {
		t.Error("the samples are not copied")
	}
	d, err = NewDataset("cats", shape, [][]uint8{{0, 255}}, []string{"tom"}, "tiger", "tom")
	if err != nil || d.Classes != 2 || d.Labels[0] != 1 || d.Scale != 1./255 || d.Values != nil || !slices.Equal(d.Pixels, []uint8{0, 255}) {
		t.Errorf("%+v, error %v", d, err)
	}
	for _, c := range []struct {
		shape   Shape
		labels  []string
		classes []string
		want    string
	}{
		{shape, labels[:2], nil, "data set cats: 3 samples and 2 labels"},
		{Shape{1, 1, 3}, labels, nil, "data set cats: sample 0 has 2 values, want 3 for 1 x 1 x 3"},
		{Shape{}, labels, nil, "data set cats: shape: every dimension must be at least 1"},
		{shape, labels, []string{"cat 9", "dog"}, `data set cats: sample 0 is of class "cat 10", which is none of ["cat 9" "dog"]`},
		{shape, []string{"a", "a", "a"}, nil, "data set cats: needs at least 2 classes, got 1"},
	} {
		if _, err := NewDataset("cats", c.shape, samples, c.labels, c.classes...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

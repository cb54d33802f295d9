package net

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/testenv"
)

// numbered has samples of one value, their own number, with these labels.
func numbered(classes int, labels ...int32) *Dataset {
	d := &Dataset{Name: "numbered", Shape: Shape{1, 1, 1}, Classes: classes, Labels: labels}
	for i := range labels {
		d.Values = append(d.Values, float32(i))
	}
	return d
}

// numbers returns which samples a part of numbered has.
func numbers(d *Dataset) []int {
	x, all := make([]float32, d.Len()), make([]int32, d.Len())
	for i := range all {
		all[i] = int32(i)
	}
	d.Gather(x, all)
	out := make([]int, d.Len())
	for i, v := range x {
		out[i] = int(v)
	}
	return out
}

func countLabels(d *Dataset) []int {
	counts := make([]int, d.Classes)
	for _, l := range d.Labels {
		counts[l]++
	}
	return counts
}

// sortedLabels has so many samples of each class, one class after the other.
func sortedLabels(counts ...int) []int32 {
	var labels []int32
	for class, n := range counts {
		labels = append(labels, slices.Repeat([]int32{int32(class)}, n)...)
	}
	return labels
}

func TestSplit(t *testing.T) {
	seed := testenv.Seed(t)
	labels := sortedLabels(1000, 10, 2, 1, 0)
	shuffled := slices.Clone(labels)
	rand.New(rand.NewPCG(seed, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for name, labels := range map[string][]int32{"sorted": labels, "shuffled": shuffled} {
		d := numbered(5, labels...)
		rest, part := Split(d, 0.1, seed)
		if got := countLabels(part); !slices.Equal(got, []int{100, 1, 1, 0, 0}) {
			t.Errorf("%s: the part has %v of each class", name, got)
		}
		if got := countLabels(rest); !slices.Equal(got, []int{900, 9, 1, 1, 0}) {
			t.Errorf("%s: the rest has %v of each class", name, got)
		}
		// Together they are all, each once, in order, with the labels they had.
		a, b := numbers(rest), numbers(part)
		all := slices.Sorted(slices.Values(append(slices.Clone(a), b...)))
		for i, v := range all {
			if v != i {
				t.Fatalf("%s: sample %d stands where %d should", name, v, i)
			}
		}
		if len(all) != d.Len() || !slices.IsSorted(a) || !slices.IsSorted(b) {
			t.Errorf("%s: %d of %d samples, in order %v and %v", name, len(all), d.Len(), slices.IsSorted(a), slices.IsSorted(b))
		}
		for i, v := range b {
			if part.Labels[i] != labels[v] {
				t.Errorf("%s: sample %d has label %d, had %d", name, v, part.Labels[i], labels[v])
			}
		}
		if &rest.Values[0] != &d.Values[0] || rest.Check() != nil || part.Check() != nil {
			t.Errorf("%s: the parts are not what they were taken from (%v, %v)", name, rest.Check(), part.Check())
		}
		if _, again := Split(d, 0.1, seed); !slices.Equal(numbers(again), b) {
			t.Errorf("%s: the same seed splits otherwise", name)
		}
		if _, other := Split(d, 0.1, seed+1); slices.Equal(numbers(other), b) {
			t.Errorf("%s: another seed splits the same", name)
		}
		// Both halves of a class take part: the choice is not the first ones.
		if name == "sorted" {
			share(t, "chosen of the first half", countUpTo(b, 500), 100, 0.5)
		}
	}
	// However large the share, something of each class is left.
	rest, part := Split(numbered(3, sortedLabels(10, 2, 1)...), 1, seed)
	if a, b := countLabels(rest), countLabels(part); !slices.Equal(a, []int{1, 1, 1}) || !slices.Equal(b, []int{9, 1, 0}) {
		t.Errorf("of all: %v and %v", a, b)
	}
}

func countUpTo(values []int, bound int) (n int) {
	for _, v := range values {
		if v < bound {
			n++
		}
	}
	return n
}

func TestSample(t *testing.T) {
	seed := testenv.Seed(t)
	d := numbered(4, sortedLabels(600, 300, 100, 1)...)
	if Sample(d, 1001, seed) != d || Sample(d, 5000, seed) != d {
		t.Error("all of a data set is not the data set")
	}
	for _, c := range []struct {
		n    int
		want []int
	}{
		{100, []int{60, 30, 10, 0}}, {10, []int{6, 3, 1, 0}}, {1, []int{1, 0, 0, 0}}, {0, []int{0, 0, 0, 0}},
		// 599.4, 299.7, 99.9 and 0.999: the largest remainders are made whole.
		{1000, []int{599, 300, 100, 1}},
		{3, []int{2, 1, 0, 0}}, // 1.8, 0.9, 0.3, 0.003
	} {
		got := Sample(d, c.n, seed)
		if counts := countLabels(got); !slices.Equal(counts, c.want) {
			t.Errorf("%d samples: %v of each class, want %v", c.n, counts, c.want)
		}
		if !slices.IsSorted(numbers(got)) || len(slices.Compact(numbers(got))) != c.n {
			t.Errorf("%d samples: %v", c.n, numbers(got))
		}
		if !slices.Equal(numbers(Sample(d, c.n, seed)), numbers(got)) {
			t.Errorf("%d samples: the same seed chooses otherwise", c.n)
		}
	}
	hundred := numbers(Sample(d, 100, seed))
	if slices.Equal(hundred, numbers(Sample(d, 100, seed+1))) {
		t.Error("another seed chooses the same")
	}
	share(t, "chosen of the first half of a class", countUpTo(hundred, 300), 60, 0.5)
	// A sample of a part, in the part's own numbers.
	rest, _ := Split(d, 0.5, seed)
	of := Sample(rest, 50, seed)
	for _, v := range numbers(of) {
		if !slices.Contains(numbers(rest), v) {
			t.Errorf("sample %d is not of the part", v)
		}
	}
	if of.Check() != nil || of.Len() != 50 {
		t.Errorf("%d samples (%v)", of.Len(), of.Check())
	}
}

// TestSplitByName checks that samples that come, go or get another order leave the
// others where they are, but for those at the border.
func TestSplitByName(t *testing.T) {
	type sample struct {
		name  string
		class int32
	}
	parts := func(samples []sample, seed uint64) (rest, part map[string]bool) {
		d := &Dataset{Shape: Shape{C: 1, H: 1, W: 1}, Classes: 3, Pixels: make([]uint8, len(samples))}
		for _, s := range samples {
			d.Labels = append(d.Labels, s.class)
		}
		a, b := SplitByName(d, 0.1, seed, func(i int32) string { return samples[i].name })
		names := func(d *Dataset) map[string]bool {
			out := map[string]bool{}
			for i := range int32(d.Len()) {
				out[samples[d.Row(i)].name] = true
			}
			return out
		}
		return names(a), names(b)
	}
	var samples []sample
	for i := range 90 {
		samples = append(samples, sample{fmt.Sprint("picture ", i), int32(i % 3)})
	}
	rest, part := parts(samples, 1)
	if len(part) != 9 || len(rest) != 81 {
		t.Fatalf("%d and %d samples, want 81 and 9", len(rest), len(part))
	}
	if _, other := parts(samples, 2); maps.Equal(part, other) {
		t.Error("another seed chooses the same samples")
	}
	turned := slices.Clone(samples)
	slices.Reverse(turned)
	for i := range turned {
		turned[i].class = 2 - turned[i].class // as classes are numbered where a new one is before them
	}
	if _, again := parts(turned, 1); !maps.Equal(part, again) {
		t.Error("another order, and other numbers of the classes, choose other samples")
	}
	for gone := range samples {
		_, now := parts(slices.Delete(slices.Clone(samples), gone, gone+1), 1)
		came := 0
		for name := range now {
			if !part[name] {
				came++
			}
		}
		if came > 1 {
			t.Errorf("without sample %d, %d samples come to the part", gone, came)
		}
	}
}

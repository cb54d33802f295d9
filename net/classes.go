package net

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// NewDataset makes a data set from samples in memory, which it copies. Each sample is a
// row of shape.Size() values in CHW order. Bytes from 0 to 255 stand for values from 0 to
// 1, as in images. float32 values are taken as they are.
//
// labels names the class of each sample. classes lists the names of all classes: the
// first one is class 0. Without classes, [NumberClasses] numbers the names in labels. A
// test set must number its classes as the training set does, so give it the training
// set's ClassNames. [Split] takes a part off a data set.
func NewDataset[T uint8 | float32](name string, shape Shape, samples [][]T, labels []string, classes ...string) (*Dataset, error) {
	if len(samples) != len(labels) {
		return nil, fmt.Errorf("data set %s: %d samples and %d labels", name, len(samples), len(labels))
	}
	d := &Dataset{Name: name, Shape: shape}
	if len(classes) == 0 {
		d.ClassNames, d.Labels = NumberClasses(labels)
	} else {
		d.ClassNames = slices.Clone(classes)
		for i, l := range labels {
			class := slices.Index(classes, l)
			if class < 0 {
				return nil, fmt.Errorf("data set %s: sample %d is of class %q, which is none of %q", name, i, l, classes)
			}
			d.Labels = append(d.Labels, int32(class))
		}
	}
	d.Classes = len(d.ClassNames)
	if err := shape.check(); err != nil {
		return nil, fmt.Errorf("data set %s: shape: %w", name, err)
	}
	for i, s := range samples {
		if len(s) != shape.Size() {
			return nil, fmt.Errorf("data set %s: sample %d has %d values, want %d for %v", name, i, len(s), shape.Size(), shape)
		}
	}
	switch all := any(slices.Concat(samples...)).(type) {
	case []uint8:
		d.Pixels, d.Scale = all, 1./255
	case []float32:
		d.Values = all
	}
	return d, d.Check()
}

// NumberClasses numbers the classes of some samples in the order of their names, see
// [CompareNames]. It returns the names of the classes by number, and the number of each
// sample's class.
func NumberClasses(labels []string) (names []string, numbers []int32) {
	names = slices.Clone(labels)
	slices.SortFunc(names, CompareNames)
	names = slices.Compact(names)
	of := make(map[string]int32, len(names))
	for i, name := range names {
		of[name] = int32(i)
	}
	for _, l := range labels {
		numbers = append(numbers, of[l])
	}
	return names, numbers
}

// CompareNames compares names as people order them: numbers by value, letters without
// regard to case. It returns -1, 0 or 1, and 0 for identical names only.
func CompareNames(a, b string) int {
	x, y := strings.ToLower(a), strings.ToLower(b)
	for x != "" && y != "" {
		if digit(x[0]) && digit(y[0]) {
			var m, n string
			m, x = number(x)
			n, y = number(y)
			// Without leading zeros the longer number is the greater one.
			if c := cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n)); c != 0 {
				return c
			}
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// number takes the digits off the front of a name, without leading zeros.
func number(s string) (digits, rest string) {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	return strings.TrimLeft(s[:n], "0"), s[n:]
}

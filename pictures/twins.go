package pictures

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// sampleSum is a sample's hash, its part and its label.
type sampleSum struct {
	sum   [16]byte
	part  int
	label int32
	index int // the sample's index, as the caller counts
}

// Twins counts the samples of a data set that are equal to others.
type Twins struct {
	Repeated int `json:"repeated"` // samples, in all parts, that are equal to an earlier one
	// LeakTest counts test samples that are also in the training set. LeakValidation
	// counts validation samples that are also in the training set, and LeakBoth test
	// samples that are also in the validation set.
	LeakTest       int `json:"test_in_train"`
	LeakValidation int `json:"validation_in_train"`
	LeakBoth       int `json:"test_in_validation"`
	// Contradictions counts samples that are equal to an earlier one of another class.
	Contradictions int `json:"of_two_classes"`
	// SameClasses lists pairs of classes that have the same training samples.
	SameClasses [][2]int32 `json:"same_classes,omitempty"`

	leaks [3][]sampleSum // examples of LeakTest, LeakValidation and LeakBoth: a sample and its twin, then the next pair
	odd   []sampleSum    // likewise for Contradictions
}

// FindTwins looks for equal samples in the parts of a data set. It reads all samples.
// The validation and the test set may be nil.
func FindTwins(trainSet, validationSet, testSet *net.Dataset) *Twins {
	var samples []sampleSum
	for part, d := range []*net.Dataset{trainSet, validationSet, testSet} {
		if d == nil {
			continue
		}
		n := d.Shape.Size()
		values := make([]float32, n)
		for i := range int32(d.Len()) {
			s := sampleSum{part: part, label: d.Labels[i], index: int(i)}
			if d.Pixels != nil {
				sum := sha256.Sum256(d.Pixels[d.Row(i)*n:][:n])
				copy(s.sum[:], sum[:])
			} else {
				d.Gather(values, []int32{i})
				s.sum = hashFloats(values)
			}
			samples = append(samples, s)
		}
	}
	return findTwins(samples)
}

// findTwins looks for equal samples. They must be in the order of their parts.
func findTwins(samples []sampleSum) *Twins {
	t := &Twins{}
	pair := func(list *[]sampleSum, a, b sampleSum) {
		if len(*list) < 4 {
			*list = append(*list, a, b)
		}
	}
	first := make(map[[16]byte][parts]int32, len(samples)) // the first sample of each part, counted from 1
	of := map[[2]int32]int{}                               // number of equal training samples of two classes
	for i, s := range samples {
		seen, known := first[s.sum]
		if known {
			t.Repeated++
			earliest := slices.IndexFunc(seen[:], func(k int32) bool { return k > 0 })
			if twin := samples[seen[earliest]-1]; twin.label != s.label {
				t.Contradictions++
				pair(&t.odd, twin, s)
			}
			if k := seen[train]; k > 0 {
				twin := samples[k-1]
				switch s.part {
				case test:
					t.LeakTest++
					pair(&t.leaks[0], s, twin)
				case validation:
					t.LeakValidation++
					pair(&t.leaks[1], s, twin)
				case train:
					if twin.label != s.label {
						of[[2]int32{min(twin.label, s.label), max(twin.label, s.label)}]++
					}
				}
			}
			if k := seen[validation]; k > 0 && s.part == test {
				t.LeakBoth++
				pair(&t.leaks[2], s, samples[k-1])
			}
		}
		if seen[s.part] == 0 {
			seen[s.part] = int32(i + 1)
			first[s.sum] = seen
		}
	}
	if len(of) > 0 {
		sizes := map[int32]int{}
		for _, s := range samples {
			if s.part == train {
				sizes[s.label]++
			}
		}
		for classes, n := range of {
			if n >= sizes[classes[0]] && n >= sizes[classes[1]] {
				t.SameClasses = append(t.SameClasses, classes)
			}
		}
		slices.SortFunc(t.SameClasses, func(a, b [2]int32) int { return slices.Compare(a[:], b[:]) })
	}
	return t
}

// warnings says in words what does harm to training or its figures.
func (t *Twins) warnings(classes []string, name func(sampleSum) string) []string {
	var out []string
	for _, c := range t.SameClasses {
		out = append(out, fmt.Sprintf("classes %s and %s have the same pictures", classes[c[0]], classes[c[1]]))
	}
	say := func(n int, one, many, result string, twins []sampleSum) {
		if n > 0 {
			out = append(out, fmt.Sprintf("%s, such as %s and %s: %s", count(n, one, many), name(twins[0]), name(twins[1]), result))
		}
	}
	say(t.LeakTest, "test picture is a training picture too", "test pictures are training pictures too", "the test accuracy will look better than it is", t.leaks[0])
	say(t.LeakValidation, "validation picture is a training picture too", "validation pictures are training pictures too", "the validation accuracy will look better than it is", t.leaks[1])
	say(t.LeakBoth, "test picture is a validation picture too", "test pictures are validation pictures too", "the test set is not only for the end", t.leaks[2])
	if len(t.SameClasses) == 0 {
		say(t.Contradictions, "picture is there with another class too", "pictures are there with another class too", "one of the two is wrong", t.odd)
	}
	return out
}

// Warnings says in words what does harm to training or its figures. classes are the names of
// the classes. name returns the name of sample i of the part "train", "validation" or
// "test".
func (t *Twins) Warnings(classes []string, name func(part string, i int) string) []string {
	return t.warnings(classes, func(s sampleSum) string { return name(partNames[s.part], s.index) })
}

// hashFloats hashes a sample of float32.
func hashFloats(values []float32) (out [16]byte) {
	h := sha256.New()
	for _, v := range values {
		fmt.Fprintf(h, "%b ", v)
	}
	copy(out[:], h.Sum(nil))
	return out
}

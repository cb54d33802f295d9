package net

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Ranked is a class and the probability that a network gives it.
type Ranked struct {
	Class       string  `json:"class"`
	Probability float64 `json:"probability"`
}

// Rank sorts the classes of one sample by their probabilities, a row of what
// [Program.Infer] returns. The most probable class comes first. Of equally probable
// classes, the one with the lower number comes first. [ClassName] names them. Values that
// are no probabilities give ErrNotFinite: then the network's weights are worthless.
func Rank(probabilities []float32, names []string) ([]Ranked, error) {
	ranked := make([]Ranked, len(probabilities))
	for k, p := range probabilities {
		if !(p >= 0 && p <= 1) {
			return nil, fmt.Errorf("the network's answer %w (%v): its weights are worthless, use an earlier checkpoint", ErrNotFinite, p)
		}
		ranked[k] = Ranked{ClassName(names, k), float64(p)}
	}
	slices.SortStableFunc(ranked, func(x, y Ranked) int { return cmp.Compare(y.Probability, x.Probability) })
	return ranked, nil
}

// ClassName returns names[class], or the class's number as text if names is too short.
// names may be nil.
func ClassName(names []string, class int) string {
	if class < len(names) {
		return names[class]
	}
	return strconv.Itoa(class)
}

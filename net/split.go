package net

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
)

// Split divides a data set in two. part gets about the given share of each class's
// samples, chosen at random by the seed. rest gets the others. Both keep d's order and
// share d's memory. A class of two samples or more has at least one in each; the only
// sample of a class goes to rest. The order of d's samples does not matter, so sorted
// data need no shuffle before.
func Split(d *Dataset, share float64, seed uint64) (rest, part *Dataset) {
	return split(d, share, func(class int, samples []int32, n int) []int32 {
		return chosen(samples, n, newStream(seed, ForSplit, class))
	})
}

// SplitByName is Split for samples with names. From each class it takes the samples whose
// names, hashed with the seed, come first. So the order of the samples does not matter. If
// samples are added or removed, the others stay in their part, except that each change may
// move one sample to the other part.
func SplitByName(d *Dataset, share float64, seed uint64, name func(sample int32) string) (rest, part *Dataset) {
	return split(d, share, func(_ int, samples []int32, n int) []int32 {
		sums := make(map[int32][sha256.Size]byte, len(samples))
		for _, i := range samples {
			sums[i] = sha256.Sum256(fmt.Append(nil, seed, " ", name(i)))
		}
		slices.SortStableFunc(samples, func(a, b int32) int {
			x, y := sums[a], sums[b]
			return bytes.Compare(x[:], y[:])
		})
		return samples[:max(0, n)]
	})
}

// split divides d in two. choose returns n of a class's samples for part.
func split(d *Dataset, share float64, choose func(class int, samples []int32, n int) []int32) (rest, part *Dataset) {
	taken := make([]bool, d.Len())
	for class, samples := range byClass(d) {
		n := len(samples)
		for _, i := range choose(class, samples, min(max(1, int(share*float64(n)+0.5)), n-1)) {
			taken[i] = true
		}
	}
	var others, those []int32
	for i := range int32(d.Len()) {
		if taken[i] {
			those = append(those, i)
		} else {
			others = append(others, i)
		}
	}
	return d.Select(others), d.Select(those)
}

// Sample returns at most n samples of a data set, chosen at random by the seed. Each class
// keeps its share. The result keeps d's order and shares d's memory. If d has no more than
// n samples, it is d itself.
func Sample(d *Dataset, n int, seed uint64) *Dataset {
	if n >= d.Len() {
		return d
	}
	classes := byClass(d)
	// The largest remainders are rounded up. Of equal ones, the lower class comes first.
	takes, left := make([]int, len(classes)), n
	order := make([]int, len(classes))
	for class, samples := range classes {
		takes[class] = n * len(samples) / d.Len()
		left -= takes[class]
		order[class] = class
	}
	remainder := func(class int) int { return n * len(classes[class]) % d.Len() }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(remainder(b), remainder(a)) })
	for _, class := range order[:left] {
		takes[class]++
	}
	var all []int32
	for class, samples := range classes {
		// Random numbers of its own: they are independent of those of a split that made d.
		all = append(all, chosen(samples, takes[class], newStream(seed, ForSample, class))...)
	}
	slices.Sort(all)
	return d.Select(all)
}

// byClass returns the indices of each class's samples.
func byClass(d *Dataset) [][]int32 {
	out := make([][]int32, d.Classes)
	for i, l := range d.Labels {
		out[l] = append(out[l], int32(i))
	}
	return out
}

// chosen returns n of samples at random. It changes the order of samples.
func chosen(samples []int32, n int, s *stream) []int32 {
	for i := range max(0, n) {
		j := i + int(s.below(uint32(len(samples)-i)))
		samples[i], samples[j] = samples[j], samples[i]
	}
	return samples[:max(0, n)]
}

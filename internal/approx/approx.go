// Package approx is the project's only comparer of computed numbers.
package approx

import (
	"fmt"
	"math"
)

// Tolerance is how far a value may differ from the wanted one: got passes if
// |got-want| <= Abs + Rel*|want|.
type Tolerance struct {
	Abs, Rel float64
}

// Float lists the types of values that can be compared.
type Float interface{ ~float32 | ~float64 }

// Result is the outcome of a comparison.
type Result struct {
	OK    bool
	N     int     // values compared
	Bad   int     // values outside the tolerance
	Worst int     // index of the value that uses most of its tolerance; -1 if there is none
	Got   float64 // the computed value at Worst
	Want  float64 // the wanted value at Worst
	Used  float64 // |got-want| at Worst divided by its tolerance; +Inf for NaN, or if the tolerance is 0
	// MaxAbs is the greatest |got-want| of all values, and MaxRel is that
	// divided by the greatest finite |want|. A NaN makes them +Inf.
	MaxAbs, MaxRel float64
	Reason         string // why it failed; empty if OK
}

// String describes the worst value, or why the comparison failed.
func (r Result) String() string {
	if r.Worst < 0 {
		if r.OK {
			return "nothing to compare"
		}
		return r.Reason
	}
	s := fmt.Sprintf("worst at %d: got %v, want %v, %.3g%% of the tolerance", r.Worst, r.Got, r.Want, 100*r.Used)
	if !r.OK {
		return fmt.Sprintf("%s (%s)", r.Reason, s)
	}
	return s
}

// Compare compares got with want, value by value. Their lengths must be equal.
// A NaN in got or want always fails. An infinity passes only if the other value
// is the same infinity.
func Compare[G, W Float](got []G, want []W, tol Tolerance) Result {
	if !(tol.Abs >= 0) || !(tol.Rel >= 0) || math.IsInf(tol.Abs, 0) || math.IsInf(tol.Rel, 0) {
		return Result{N: len(want), Worst: -1, Reason: fmt.Sprintf("tolerance %+v must be finite and at least 0", tol)}
	}
	return compare(got, want, func(i int) float64 { return tol.Abs + tol.Rel*math.Abs(float64(want[i])) })
}

// CompareEach compares as Compare does, but each value has its own tolerance:
// |got[i]-want[i]| must be at most limits[i].
func CompareEach[G, W Float](got []G, want []W, limits []float64) Result {
	if len(limits) != len(want) {
		return Result{N: len(want), Worst: -1, Reason: fmt.Sprintf("%d tolerances for %d values", len(limits), len(want))}
	}
	for i, limit := range limits {
		if !(limit >= 0) || math.IsInf(limit, 0) {
			return Result{N: len(want), Worst: -1, Reason: fmt.Sprintf("tolerance %v at %d must be finite and at least 0", limit, i)}
		}
	}
	return compare(got, want, func(i int) float64 { return limits[i] })
}

// compare compares element i within limit(i).
func compare[G, W Float](got []G, want []W, limit func(i int) float64) Result {
	r := Result{N: len(want), Worst: -1}
	if len(got) != len(want) {
		r.Reason = fmt.Sprintf("got %d values, want %d", len(got), len(want))
		return r
	}
	var maxWant float64
	for i := range want {
		g, w := float64(got[i]), float64(want[i])
		diff, used, ok := distance(g, w, limit(i))
		r.MaxAbs = max(r.MaxAbs, diff)
		if !math.IsInf(w, 0) && !math.IsNaN(w) {
			maxWant = max(maxWant, math.Abs(w))
		}
		if !ok {
			r.Bad++
		}
		if r.Worst < 0 || used > r.Used {
			r.Worst, r.Got, r.Want, r.Used = i, g, w, used
		}
	}
	if r.MaxAbs > 0 {
		r.MaxRel = r.MaxAbs / maxWant
	}
	if r.Bad > 0 {
		r.Reason = fmt.Sprintf("%d of %d values outside the tolerance", r.Bad, r.N)
		return r
	}
	r.OK = true
	return r
}

// distance returns |g-w|, its share of the limit, and whether it is within the
// limit. Neither number is ever NaN.
func distance(g, w, limit float64) (diff, used float64, ok bool) {
	inf := math.Inf(1)
	if g == w { // equal infinities too
		return 0, 0, true
	}
	diff = math.Abs(g - w)
	// It is NaN or infinite, or a difference that float64 can't hold.
	if !(diff <= math.MaxFloat64) {
		return inf, inf, false
	}
	if limit == 0 {
		return diff, inf, false
	}
	return diff, diff / limit, diff <= limit
}

// T is the part of *testing.T that Check needs.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// Check compares got with want. If they differ by more than the tolerance, it
// fails the test. It returns whether they passed.
func Check[G, W Float](t T, name string, got []G, want []W, tol Tolerance) bool {
	t.Helper()
	r := Compare(got, want, tol)
	if !r.OK {
		t.Errorf("%s: %v", name, r)
	}
	return r.OK
}

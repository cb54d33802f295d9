package approx

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

var nan, inf = math.NaN(), math.Inf(1)

func TestOnePair(t *testing.T) {
	loose := Tolerance{Abs: 1e30, Rel: 1e30} // what no finite difference below exceeds
	for _, c := range []struct {
		name      string
		got, want float64
		tol       Tolerance
		ok        bool
		used      float64
	}{
		{"equal", 3, 3, Tolerance{}, true, 0},
		{"minus zero", math.Copysign(0, -1), 0, Tolerance{}, true, 0},
		{"zero against minus zero", 0, math.Copysign(0, -1), Tolerance{}, true, 0},
		{"zero tolerance", math.Nextafter(3, 4), 3, Tolerance{}, false, inf},
		{"relative part of zero", 1e-300, 0, Tolerance{Rel: 1}, false, inf},
		{"inside absolute", 1.5, 1, Tolerance{Abs: 1}, true, 0.5},
		{"on the border", 2, 1, Tolerance{Abs: 1}, true, 1},
		{"outside absolute", 4, 1, Tolerance{Abs: 1}, false, 3},
		{"inside relative", 110, 100, Tolerance{Rel: 0.2}, true, 0.5},
		{"relative to want, not got", 100, 1, Tolerance{Rel: 0.99}, false, 100},
		{"both parts", 104, 100, Tolerance{Abs: 3, Rel: 0.01}, true, 1},
		{"large negative difference", -1e9, 1, Tolerance{Abs: 1}, false, 1e9 + 1},
		{"large negative difference of negatives", -1e9, -1, Tolerance{Rel: 1}, false, 1e9 - 1},
		{"negative want", -101, -100, Tolerance{Rel: 0.02}, true, 0.5},
		{"opposite signs", -1, 1, Tolerance{Rel: 1}, false, 2},
		{"NaN got", nan, 1, loose, false, inf},
		{"NaN want", 1, nan, loose, false, inf},
		{"NaN both", nan, nan, loose, false, inf},
		{"NaN got, infinity wanted", nan, inf, loose, false, inf},
		{"infinity both", inf, inf, Tolerance{}, true, 0},
		{"minus infinity both", -inf, -inf, Tolerance{}, true, 0},
		{"opposite infinities", -inf, inf, loose, false, inf},
		{"infinity got", inf, 1, loose, false, inf},
		{"infinity wanted", 1, inf, loose, false, inf},
		{"minus infinity got", -inf, math.MaxFloat64, loose, false, inf},
		{"difference overflows", -math.MaxFloat64, math.MaxFloat64, loose, false, inf},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Compare([]float64{c.got}, []float64{c.want}, c.tol)
			if r.OK != c.ok || (r.Bad == 0) != c.ok || (r.Reason == "") != c.ok {
				t.Errorf("OK %v, bad %d, reason %q; want OK %v", r.OK, r.Bad, r.Reason, c.ok)
			}
			if r.Worst != 0 || math.IsNaN(r.Used) {
				t.Errorf("worst index %d, used %v", r.Worst, r.Used)
			}
			if r.Used != c.used && !(math.Abs(r.Used-c.used) < 1e-9*c.used) {
				t.Errorf("used %v of the tolerance, want %v", r.Used, c.used)
			}
		})
	}
}

func TestWorstOfMany(t *testing.T) {
	want := []float64{1, 2, 4, -100, 0}
	got := []float64{1, 2.5, 3, -101, 0.1}
	r := Compare(got, want, Tolerance{Abs: 1, Rel: 1})
	if !r.OK || r.N != 5 || r.Worst != 2 || r.Got != 3 || r.Want != 4 || r.Used != 0.2 {
		t.Errorf("all inside: %+v", r)
	}
	if r.MaxAbs != 1 || r.MaxRel != 0.01 {
		t.Errorf("MaxAbs %v, MaxRel %v; want 1 and 0.01", r.MaxAbs, r.MaxRel)
	}
	if s := r.String(); s != "worst at 2: got 3, want 4, 20% of the tolerance" {
		t.Errorf("String: %s", s)
	}

	r = Compare(got, want, Tolerance{Abs: 0.1})
	if r.OK || r.Bad != 3 || r.Worst != 2 || math.Abs(r.Used-10) > 1e-9 {
		t.Errorf("three outside: %+v", r)
	}
	if s := r.String(); s != "3 of 5 values outside the tolerance (worst at 2: got 3, want 4, 1e+03% of the tolerance)" {
		t.Errorf("String: %s", s)
	}

	// A NaN is worse than everything, wherever it stands, and is not lost behind
	// a later large difference.
	for at := range want {
		got := append([]float64(nil), want...)
		got[at], got[(at+1)%5] = nan, 1e9
		r := Compare(got, want, Tolerance{Abs: 1, Rel: 1})
		if r.OK || r.Bad != 2 || !math.IsInf(r.Used, 1) || !math.IsInf(r.MaxAbs, 1) || !math.IsInf(r.MaxRel, 1) || r.Worst != at {
			t.Errorf("NaN at %d: %+v", at, r)
		}
	}
}

func TestMaxRelOfZeros(t *testing.T) {
	zeros := make([]float32, 3)
	if r := Compare(zeros, zeros, Tolerance{}); !r.OK || r.MaxRel != 0 {
		t.Errorf("equal zeros: %+v", r)
	}
	if r := Compare([]float32{0, 1, 0}, zeros, Tolerance{Abs: 2}); !r.OK || !math.IsInf(r.MaxRel, 1) {
		t.Errorf("1 where all wanted are 0: %+v", r)
	}
}

func TestLengths(t *testing.T) {
	for _, c := range []struct {
		got, want []float32
		reason    string
	}{
		{[]float32{1}, []float32{1, 2}, "got 1 values, want 2"},
		{[]float32{1, 2}, []float32{1}, "got 2 values, want 1"},
		{nil, []float32{1}, "got 0 values, want 1"},
		{[]float32{1}, nil, "got 1 values, want 0"},
	} {
		r := Compare(c.got, c.want, Tolerance{Abs: 1e9, Rel: 1e9})
		if r.OK || r.Worst != -1 || r.String() != c.reason {
			t.Errorf("%v against %v: %+v", c.got, c.want, r)
		}
	}
	r := Compare([]float32{}, []float64(nil), Tolerance{})
	if !r.OK || r.N != 0 || r.Worst != -1 || r.String() != "nothing to compare" {
		t.Errorf("empty: %+v", r)
	}
}

func TestBadTolerance(t *testing.T) {
	for _, tol := range []Tolerance{{Abs: nan}, {Rel: nan}, {Abs: -1}, {Rel: -1e-9, Abs: 1}, {Abs: inf}, {Rel: inf}} {
		r := Compare([]float64{1}, []float64{1}, tol)
		if r.OK || !strings.Contains(r.String(), "must be finite and at least 0") {
			t.Errorf("%+v: %+v", tol, r)
		}
	}
}

func TestCompareEach(t *testing.T) {
	got, want := []float32{1, 2, 3}, []float64{1, 2.5, 7}
	if r := CompareEach(got, want, []float64{0, 0.5, 8}); !r.OK || r.Worst != 1 || r.Used != 1 {
		t.Errorf("inside: %+v", r)
	}
	if r := CompareEach(got, want, []float64{1e9, 0.5, 2}); r.OK || r.Bad != 1 || r.Worst != 2 || r.Used != 2 {
		t.Errorf("last outside: %+v", r)
	}
	if r := CompareEach([]float64{nan}, []float64{1}, []float64{1e9}); r.OK {
		t.Errorf("NaN: %+v", r)
	}
	if r := CompareEach(got, want, []float64{1}); r.OK || r.Reason != "1 tolerances for 3 values" {
		t.Errorf("tolerances missing: %+v", r)
	}
	for _, limit := range []float64{nan, inf, -1} {
		if r := CompareEach(want, want, []float64{1, limit, 1}); r.OK || !strings.Contains(r.Reason, "at 1 must be finite and at least 0") {
			t.Errorf("tolerance %v: %+v", limit, r)
		}
	}
}

func TestMixedTypes(t *testing.T) {
	// 0.1 as float32 differs from 0.1 by 1.49e-9: the comparison is in float64.
	got, want := []float32{0.1}, []float64{0.1}
	if r := Compare(got, want, Tolerance{Abs: 1.4e-9}); r.OK {
		t.Errorf("too tight: %+v", r)
	}
	if r := Compare(got, want, Tolerance{Abs: 1.6e-9}); !r.OK {
		t.Errorf("wide enough: %+v", r)
	}
}

// recorder keeps what Check reports.
type recorder struct{ failures []string }

func (*recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func TestCheck(t *testing.T) {
	var r recorder
	if !Check(&r, "same", []float64{1}, []float64{1}, Tolerance{}) || len(r.failures) != 0 {
		t.Errorf("equal values reported %q", r.failures)
	}
	if Check(&r, "weights", []float64{nan}, []float64{1}, Tolerance{Abs: 1}) || len(r.failures) != 1 {
		t.Fatalf("NaN reported %q", r.failures)
	}
	if want := "weights: 1 of 1 values outside the tolerance (worst at 0: got NaN, want 1, +Inf% of the tolerance)"; r.failures[0] != want {
		t.Errorf("got  %s\nwant %s", r.failures[0], want)
	}
}

package chart

import (
	"math"
	"strconv"
	"strings"
)

// Axis is one direction of a chart.
type Axis struct {
	Label string
	Log   bool // logarithmic; values that aren't positive are not drawn
	Whole bool // marks only whole numbers, such as epochs
	// Min and Max are the ends of the axis. Where one is nil, the values
	// decide.
	Min, Max *float64
	// Format writes a value. If it is nil, values have as many decimals as the
	// marks need.
	Format func(float64) string
}

// At returns a pointer to x, for Axis.Min and Axis.Max.
func At(x float64) *float64 { return &x }

// Percent writes a share of 1 as a percentage, with as many digits as it needs,
// but at most three after the point.
func Percent(share float64) string {
	s := strconv.FormatFloat(100*share, 'f', 3, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + " %"
}

// scale is the layout of an axis: it maps a range of values to a range of
// places.
type scale struct {
	lo, hi   float64 // in logarithms for a logarithmic axis
	from, to float64 // the places of lo and hi
	log      bool
	ticks    []float64
	labels   []string
}

// place returns the place of a value.
func (s *scale) place(v float64) float64 {
	if s.log {
		v = math.Log10(v)
	}
	return s.from + (v-s.lo)/(s.hi-s.lo)*(s.to-s.from)
}

// drawable reports whether a value has a place.
func (a Axis) drawable(v float64) bool {
	return v-v == 0 && (!a.Log || v > 0)
}

// scaleOf lays out an axis for some values, with about the given number of
// marks.
func (a Axis) scaleOf(values []float64, marks int) *scale {
	s := &scale{log: a.Log, lo: math.Inf(1), hi: math.Inf(-1)}
	for _, v := range values {
		if a.drawable(v) {
			s.lo, s.hi = min(s.lo, v), max(s.hi, v)
		}
	}
	if s.lo > s.hi { // no values
		s.lo, s.hi = 0, 1
		if a.Log {
			s.lo = 0.1
		}
	}
	fixedLo, fixedHi := a.Min != nil && a.drawable(*a.Min), a.Max != nil && a.drawable(*a.Max)
	if fixedLo {
		s.lo, s.hi = *a.Min, max(s.hi, *a.Min)
	}
	if fixedHi {
		s.hi, s.lo = *a.Max, min(s.lo, *a.Max)
	}
	if a.Log {
		s.lo, s.hi = math.Log10(s.lo), math.Log10(s.hi)
	}
	if margin := (s.hi - s.lo) * 0.04; margin > 0 {
		if !fixedLo {
			s.lo -= margin
		}
		if !fixedHi {
			s.hi += margin
		}
	} else { // one value
		half := 0.5
		if !a.Log && !a.Whole {
			half = max(math.Abs(s.lo)*0.1, 1e-12)
		}
		switch {
		case fixedLo:
			s.hi += 2 * half
		case fixedHi:
			s.lo -= 2 * half
		default:
			s.lo, s.hi = s.lo-half, s.hi+half
		}
	}
	if a.Log {
		s.ticks = logTicks(s.lo, s.hi, marks)
	} else {
		s.ticks = ticks(s.lo, s.hi, marks, a.Whole)
	}
	s.labels = a.labels(s.ticks)
	return s
}

// ticks returns about n round values within a range.
func ticks(lo, hi float64, n int, whole bool) []float64 {
	raw := (hi - lo) / float64(max(n, 1))
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, f := range []float64{1, 2, 2.5, 5, 10} {
		if f*step >= raw*0.999 && !(whole && f == 2.5 && step <= 1) {
			step *= f
			break
		}
	}
	if whole {
		step = max(1, math.Round(step))
	}
	var out []float64
	for i := math.Ceil(lo/step - 1e-9); i <= hi/step+1e-9 && len(out) <= 2*n+2; i++ {
		out = append(out, i*step+0) // no negative zero
	}
	return out
}

// logTicks returns round values whose logarithms are within a range: powers of
// ten and, if these are too few, values between them.
func logTicks(lo, hi float64, n int) []float64 {
	for _, between := range [][]float64{{1}, {1, 3}, {1, 2, 5}, {1, 2, 3, 4, 5, 6, 7, 8, 9}} {
		every := 1
		if span := int(hi - lo); len(between) == 1 && span > n {
			every = (span + n - 1) / n
		}
		var out []float64
		for e := int(math.Floor(lo)); e <= int(math.Ceil(hi)); e++ {
			if e%every != 0 {
				continue
			}
			for _, f := range between {
				v := f * math.Pow(10, float64(e))
				if l := math.Log10(v); l >= lo-1e-9 && l <= hi+1e-9 {
					out = append(out, v)
				}
			}
		}
		if len(out) >= min(3, n) {
			return out
		}
	}
	return ticks(math.Pow(10, lo), math.Pow(10, hi), n, false)
}

// labels writes the marks of an axis. All have as many decimals as the one that
// needs most.
func (a Axis) labels(ticks []float64) []string {
	out := make([]string, len(ticks))
	if a.Format != nil {
		for i, v := range ticks {
			out[i] = a.Format(v)
		}
		return out
	}
	decimals := 0
	for _, v := range ticks {
		if a.Log {
			decimals = -1
			break
		}
		s := strconv.FormatFloat(math.Abs(v), 'g', 6, 64) // a step has few digits; the rest is rounding
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			s = strconv.FormatFloat(f, 'f', -1, 64)
		}
		if _, fraction, ok := strings.Cut(s, "."); ok {
			decimals = max(decimals, len(fraction))
		}
	}
	for i, v := range ticks {
		out[i] = Number(v, decimals)
	}
	return out
}

// Number writes a number for people, with commas between thousands. If decimals
// is -1, it writes as many as the number has, up to four significant digits.
// Very large and very small numbers are written with powers of ten.
func Number(v float64, decimals int) string {
	size := math.Abs(v)
	switch {
	case size >= 1e9 || v != 0 && size < 1e-4:
		s := strconv.FormatFloat(v, 'e', -1, 64)
		if len(s) > 8 {
			s = strconv.FormatFloat(v, 'e', 2, 64)
		}
		digits, power, _ := strings.Cut(s, "e")
		n, _ := strconv.Atoi(power)
		ten := "10" + superscript(n)
		if digits == "1" {
			return ten
		}
		return digits + " × " + ten
	case decimals < 0 && size < 1000:
		f, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(v, 'f', max(decimals, 0), 64), ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return whole
}

func superscript(n int) string {
	return strings.NewReplacer("-", "⁻", "0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴", "5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹").Replace(strconv.Itoa(n))
}

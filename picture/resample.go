package picture

import (
	"math"
	"sync"
)

// Resampling is bilinear, over all pixels that a smaller one covers where it scales
// down: each new pixel is a mean of old ones, weighted by a triangle whose foot is two
// pixels wide, old ones or new ones, whichever are larger. So nothing aliases.
//
// It computes in integers, so that all processors make the same bytes of a picture.

// weightBits is how many bits of a weight are behind the point, valueBits how many of
// a resampled value are.
const (
	weightBits = 24
	valueBits  = 16
	pointBits  = weightBits + valueBits // of what a resampler returns
)

// span is what part of an image's axis becomes how many new pixels: those from a place
// on, counted in old pixels from the image's edge, and of a length.
type span struct {
	from, length float64
	to           int
}

// subsampled is the span on an axis whose pixels are n times as large, and begin a
// phase before the other's.
func (s span) subsampled(n, phase int) span {
	return span{(s.from + float64(phase)) / float64(n), s.length / float64(n), s.to}
}

// window is the old pixels of which a new one is made, and where their weights stand in
// the axis.
type window struct{ first, weights, n int }

// axis is the windows of all new pixels along one axis.
type axis struct {
	windows []window
	weights []uint32
	shares  []float64 // of one window
}

// set makes the windows of a span on an axis of size pixels. A new pixel whose middle
// lies beyond the image has none.
func (a *axis) set(s span, size int) {
	a.windows, a.weights = a.windows[:0], a.weights[:0]
	scale := float64(s.to) / s.length
	reach := max(1, 1/scale) // from a pixel's middle
	for i := range s.to {
		middle := s.from + (float64(i)+0.5)/scale
		if middle < 0 || middle >= float64(size) {
			a.windows = append(a.windows, window{})
			continue
		}
		// Those whose middles are less than reach away.
		first := max(0, int(math.Floor(middle-reach-0.5))+1)
		last := min(size-1, int(math.Ceil(middle+reach-0.5))-1)
		a.shares = a.shares[:0]
		sum, greatest := 0.0, 0
		for k := first; k <= last; k++ {
			share := max(0, 1-math.Abs(float64(k)+0.5-middle)/reach)
			sum += share
			if a.shares = append(a.shares, share); share > a.shares[greatest] {
				greatest = k - first
			}
		}
		w := window{first, len(a.weights), len(a.shares)}
		left := int64(1) << weightBits
		for _, share := range a.shares {
			weight := int64(math.Round(share / sum * (1 << weightBits)))
			a.weights = append(a.weights, uint32(weight))
			left -= weight
		}
		a.weights[w.weights+greatest] += uint32(left) // so that they sum to 1
		a.windows = append(a.windows, w)
	}
}

// reached returns the first old pixel of all windows, and the one after the last.
func (a *axis) reached() (first, end int) {
	first = math.MaxInt
	for _, w := range a.windows {
		if w.n > 0 {
			first, end = min(first, w.first), max(end, w.first+w.n)
		}
	}
	return min(first, end), end
}

// resampler resamples images. It keeps its memory for the next one.
type resampler struct {
	x, y    axis
	line    []uint64       // one row, resampled
	planes  [3][]uint64    // resampled: values with pointBits bits behind the point
	rows    [3][]uint16    // for images that are converted row by row
	palette [256][3]uint16 // for images with one
}

var resamplers = sync.Pool{New: func() any { return new(resampler) }}

// resized returns a slice of n elements, in s's memory if they fit.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// resample resamples an image of width x height into s.planes[at:], a plane for each line
// that row gives: row y of the image, width values a line.
func resample[T uint8 | uint16](s *resampler, at, planes, width, height int, x, y span, row func(y int) [3][]T) {
	s.x.set(x, width)
	s.y.set(y, height)
	for k := at; k < at+planes; k++ {
		s.planes[k] = resized(s.planes[k], x.to*y.to)
		clear(s.planes[k])
	}
	s.line = resized(s.line, x.to)
	first, end := s.y.reached()
	top := 0 // the first new row that old ones are still missing from
	for from := first; from < end; from++ {
		lines := row(from)
		for k := range planes {
			across(s.line, lines[k], &s.x)
			for to := top; to < y.to; to++ {
				w := s.y.windows[to]
				if from < w.first {
					break
				}
				if from >= w.first+w.n { // or it has none
					if to == top {
						top++
					}
					continue
				}
				weight := uint64(s.y.weights[w.weights+from-w.first])
				sums := s.planes[at+k][to*x.to:][:x.to]
				for i, v := range s.line {
					sums[i] += weight * v
				}
			}
		}
	}
}

// across resamples a row: to values with valueBits behind the point.
func across[T uint8 | uint16](to []uint64, from []T, x *axis) {
	for i, w := range x.windows[:len(to)] {
		weights := x.weights[w.weights:][:w.n]
		var sum uint64
		for k, v := range from[w.first:][:len(weights)] {
			sum += uint64(weights[k]) * uint64(v)
		}
		const less = weightBits - valueBits
		to[i] = (sum + 1<<(less-1)) >> less
	}
}

package prepare

import (
	"encoding/binary"
	"math"
	"sync"
)

// Resampling is bilinear. Where it scales down, it averages all pixels that a smaller one
// covers. Each new pixel is a weighted mean of old ones. The weights are a triangle whose
// foot is two pixels wide: two old ones or two new ones, whichever are larger. So nothing
// aliases.
//
// It computes in integers, so that all processors get the same bytes.

// weightBits is the number of bits after the binary point in a weight, valueBits that in a
// resampled value.
const (
	weightBits = 24
	valueBits  = 16
	pointBits  = weightBits + valueBits // of what a resampler returns
)

// span is a part of an image's axis, and how many new pixels it becomes. from and length are
// in old pixels, from counts from the image's edge. to is the number of new pixels.
type span struct {
	from, length float64
	to           int
}

// subsampled returns the span on an axis whose pixels are n times as large. That axis begins
// phase old pixels before.
func (s span) subsampled(n, phase int) span {
	return span{(s.from + float64(phase)) / float64(n), s.length / float64(n), s.to}
}

// window says of which old pixels a new one is made: the n pixels from first on. Their
// weights begin at index weights of the axis's weights.
type window struct{ first, weights, n int }

// axis holds the windows of all new pixels along one axis.
type axis struct {
	windows []window
	weights []uint32
	shares  []float64 // of one window, before they are rounded to weights
}

// set makes the windows of a span on an axis of size pixels. The window of a new pixel whose
// middle is outside the image is empty.
func (a *axis) set(s span, size int) {
	scale := float64(s.to) / s.length
	reach := max(1, 1/scale) // from a pixel's middle
	widest := min(size, 2*int(reach)+3)
	a.windows = resized(a.windows, s.to)[:0]
	a.weights = resized(a.weights, s.to*widest)[:0]
	a.shares = resized(a.shares, widest)[:0]
	for i := range s.to {
		middle := s.from + (float64(i)+0.5)/scale
		if middle < 0 || middle >= float64(size) {
			a.windows = append(a.windows, window{})
			continue
		}
		// The old pixels whose middles are less than reach away.
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

// some returns the first new pixel whose window is not empty, and the one after the last.
// All between have windows too. From each to the next, the windows move on.
func (a *axis) some() (first, end int) {
	for first < len(a.windows) && a.windows[first].n == 0 {
		first++
	}
	for end = first; end < len(a.windows) && a.windows[end].n > 0; {
		end++
	}
	return first, end
}

// atOnce returns the greatest number of windows, from first to end, that share an old pixel.
func (a *axis) atOnce(first, end int) int {
	most, open := 0, first
	for i := first; i < end; i++ {
		for a.windows[open].first+a.windows[open].n <= a.windows[i].first {
			open++
		}
		most = max(most, i+1-open)
	}
	return most
}

// resampler resamples images. It keeps its memory for the next image.
type resampler struct {
	x, y    axis
	sums    []uint64       // weighted sums of old rows, for the new rows that are in progress
	line    []uint32       // one such sum, with valueBits bits after the point
	row     []uint64       // one row, resampled
	planes  [3][]uint64    // the resampled values, with pointBits bits after the point
	rows    [3][]uint16    // for images that are converted row by row
	palette [256][3]uint16 // for images with a palette
}

var resamplers = sync.Pool{New: func() any { return new(resampler) }}

// resized returns a slice of n elements, in s's memory if they fit.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// samples says how rows of samples of a type are summed.
type samples[T any] struct {
	// add adds a row, times a weight, to sums. words says how many sums a row of n needs.
	add   func(sums []uint64, row []T, weight uint64)
	words func(n int) int
	// line turns sums into a line of values with valueBits bits after the point.
	line func(to []uint32, sums []uint64)
}

// resample resamples an image of width x height into s.planes[at:at+planes]. row returns row
// y of the image: a line of width values for each plane.
//
// It sums rows first, because that handles several samples at a time, and then resamples the
// sums. If an image is low or becomes higher, it resamples each row first: the sums for many
// new rows of a wide image would take more memory than the image.
func resample[T any](s *resampler, of samples[T], at, planes, width, height int, x, y span, row func(y int) [3][]T) {
	s.x.set(x, width)
	s.y.set(y, height)
	for k := at; k < at+planes; k++ {
		s.planes[k] = resized(s.planes[k], x.to*y.to)
		clear(s.planes[k])
	}
	first, end := s.y.some()
	if first == end {
		return
	}
	ring := s.y.atOnce(first, end)
	rowsFirst := 4*ring > height
	if rowsFirst {
		ring = 1
	}
	words := of.words(width)
	s.sums = resized(s.sums, ring*planes*words)
	s.line = resized(s.line, width)
	s.row = resized(s.row, x.to)
	sums := func(to, k int) []uint64 { return s.sums[((to%ring)*planes+k)*words:][:words] }
	open, next := first, first // the new rows that are in progress
	last := s.y.windows[end-1]
	for from := s.y.windows[first].first; from < last.first+last.n; from++ {
		for ; next < end && s.y.windows[next].first <= from; next++ {
			for k := range planes {
				clear(sums(next, k))
			}
		}
		lines := row(from)
		for k := range planes {
			if rowsFirst {
				clear(sums(0, k))
				of.add(sums(0, k), lines[k], 1<<weightBits)
				of.line(s.line, sums(0, k))
				across(s.row, s.line, &s.x)
			}
			for to := open; to < next; to++ {
				w := s.y.windows[to]
				weight := uint64(s.y.weights[w.weights+from-w.first])
				plane := s.planes[at+k][to*x.to:][:x.to]
				switch {
				case rowsFirst:
					for i, v := range s.row {
						plane[i] += weight * (v >> weightBits)
					}
				case from == w.first+w.n-1:
					of.add(sums(to, k), lines[k], weight)
					of.line(s.line, sums(to, k))
					across(plane, s.line, &s.x)
				default:
					of.add(sums(to, k), lines[k], weight)
				}
			}
		}
		for open < next && s.y.windows[open].first+s.y.windows[open].n == from+1 {
			open++
		}
	}
}

// across resamples a line.
func across(to []uint64, line []uint32, x *axis) {
	for i, w := range x.windows[:len(to)] {
		weights := x.weights[w.weights:][:w.n]
		var sum uint64
		for k, v := range line[w.first:][:len(weights)] {
			sum += uint64(weights[k]) * uint64(v)
		}
		to[i] = sum
	}
}

// bytes8 sums bytes, two in each word of 64 bits. A byte times a weight has 32 bits, and so
// has a weighted mean of bytes. Of each eight bytes, 0 and 4 share a word, 1 and 5, 2 and 6,
// 3 and 7.
var bytes8 = samples[uint8]{
	words: func(n int) int { return (n + 7) / 8 * 4 },
	add: func(sums []uint64, row []uint8, weight uint64) {
		const two = 0x000000ff_000000ff
		for len(row) >= 8 && len(sums) >= 4 {
			v := binary.LittleEndian.Uint64(row)
			sums[0] += weight * (v & two)
			sums[1] += weight * (v >> 8 & two)
			sums[2] += weight * (v >> 16 & two)
			sums[3] += weight * (v >> 24 & two)
			row, sums = row[8:], sums[4:]
		}
		for i, v := range row {
			sums[i%4] += weight * uint64(v) << (8 * (i & 4))
		}
	},
	line: func(to []uint32, sums []uint64) {
		const less = weightBits - valueBits
		for i := range to {
			to[i] = uint32(sums[i/8*4+i%4]>>(8*(i&4))) >> less
		}
	},
}

// words16 sums samples of 16 bits.
var words16 = samples[uint16]{
	words: func(n int) int { return n },
	add: func(sums []uint64, row []uint16, weight uint64) {
		for i, v := range row[:len(sums)] {
			sums[i] += weight * uint64(v)
		}
	},
	line: func(to []uint32, sums []uint64) {
		const less = weightBits - valueBits
		for i, v := range sums[:len(to)] {
			to[i] = uint32(v >> less)
		}
	},
}

package quantize

import (
	"errors"
	"math"
)

// bins is the number of a histogram's bins: half of them for negative values.
const bins = 8192

// histogram counts values. Its range, the same on both sides of 0, grows by factors of 2.
type histogram struct {
	counts      [bins]int64
	width       float64 // of a bin; 0 before the first value that isn't 0
	least, most float64
	bad         bool // there was one that is no finite number
}

func (h *histogram) add(values []float32) {
	for _, v := range values {
		x := float64(v)
		switch {
		case x == 0: // stays 0, without an error
			continue
		case !(math.Abs(x) <= math.MaxFloat32):
			h.bad = true
			continue
		}
		h.least, h.most = min(h.least, x), max(h.most, x)
		h.reach(math.Abs(x))
		h.counts[bins/2+int(math.Floor(x/h.width))]++
	}
}

// reach widens the bins until those on each side hold x.
func (h *histogram) reach(x float64) {
	const half = bins / 2
	if h.width == 0 {
		h.width = x / (half / 2)
	}
	for x >= (half-1)*h.width {
		var wider [bins]int64
		for i, n := range h.counts {
			wider[half/2+i/2] += n
		}
		h.counts, h.width = wider, 2*h.width
	}
}

// scale returns the scale by which the rounded values have the least squared error: the
// wider its range, the fewer are cut off, but the coarser they are all rounded.
func (h *histogram) scale(symmetric bool) (Scale, error) {
	switch {
	case h.bad:
		return Scale{}, errors.New("some of its values are infinite or not a number: the weights are worthless")
	case h.width == 0 && symmetric:
		return Scale{Step: 1}, nil
	case h.width == 0:
		return Scale{Step: 1, Zero: Least}, nil // as behind a ReLU
	}
	const tries = 100
	best, least := Scale{}, math.Inf(1)
	for try := tries; try >= tries/10; try-- {
		part := float64(try) / tries
		s := Scale{Step: float32(part * max(h.most, -h.least) / Most)}
		if !symmetric {
			s.Step = float32(part * (h.most - h.least) / (Most - Least))
			s.Zero = int8(math.RoundToEven(Least - part*h.least/float64(s.Step)))
		}
		if sum := h.squares(s); sum < least {
			best, least = s, sum
		}
	}
	return best, nil
}

// squares returns the sum of the squared errors by a scale.
func (h *histogram) squares(s Scale) float64 {
	if !(s.Step > 0) { // values so small that float32 has no step
		return math.MaxFloat64
	}
	sum, step, zero := 0.0, float64(s.Step), float64(s.Zero)
	for i, count := range h.counts {
		if count > 0 {
			x := (float64(i-bins/2) + 0.5) * h.width
			e := x - step*min(max(math.RoundToEven(x/step), Least-zero), Most-zero)
			sum += float64(count) * e * e
		}
	}
	return sum
}

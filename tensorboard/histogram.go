package tensorboard

import "math"

// buckets is the number of buckets in a histogram: as many as TensorBoard shows.
const buckets = 30

// histogram is the distribution of some values.
type histogram struct {
	min, max, num, sum, sumSquares float64

	limits []float64 // the upper end of each bucket
	counts []float64
}

// histogramOf counts finite values in buckets of equal width, from the least to the greatest.
// If no value is finite, ok is false.
func histogramOf(values []float32) (h histogram, ok bool) {
	h.min, h.max = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v-v != 0 {
			continue
		}
		x := float64(v)
		h.min, h.max = min(h.min, x), max(h.max, x)
		h.num++
		h.sum += x
		h.sumSquares += x * x
	}
	if h.num == 0 {
		return h, false
	}
	width := (h.max - h.min) / buckets
	if width == 0 {
		h.limits, h.counts = []float64{h.max}, []float64{h.num}
		return h, true
	}
	h.counts = make([]float64, buckets)
	for i := range buckets {
		h.limits = append(h.limits, h.min+float64(i+1)*width)
	}
	h.limits[buckets-1] = h.max
	for _, v := range values {
		if v-v == 0 {
			h.counts[min(int((float64(v)-h.min)/width), buckets-1)]++
		}
	}
	return h, true
}

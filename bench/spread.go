package bench

import (
	"math"
	"slices"
)

// Spread is the median of measured values, and the range in which most of them lie.
//
// Low and High are the 10th and the 90th percentile. So four of five repeats lie between them, whatever their
// distribution. With 20 independent repeats, the true median also lies between them in more than 99 of 100 cases
// (order statistics 3 and 18). The medians of two such runs, each with its own error, differ by less than High - Low.
// The range leaves out the few repeats that something else on the machine disturbed.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// spreadOf returns the spread of values. There must be at least one.
func spreadOf(values []float64) Spread {
	v := slices.Sorted(slices.Values(values))
	return Spread{Median: quantile(v, 0.5), Low: quantile(v, 0.1), High: quantile(v, 0.9)}
}

// quantile interpolates between the two nearest of sorted values. The least value is quantile 0, and the greatest is
// quantile 1.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	below := int(math.Floor(at))
	if below+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}

// per returns the spread of x divided by what s measures, for example images a second from seconds a batch.
func (s Spread) per(x float64) Spread {
	return Spread{Median: x / s.Median, Low: x / s.High, High: x / s.Low}
}

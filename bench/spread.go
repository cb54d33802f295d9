package bench

import (
	"math"
	"slices"
)

// Spread is the middle of what was measured, and how far it scatters.
//
// From Low to High are the 10th to the 90th percentile: four of five repeats lie there, whatever their distribution. Of
// 20 independent repeats this also holds the true median in more than 99 of 100 cases (order statistics 3 and 18), and
// two runs' medians, each with an error of its own, lie closer together than it is wide. It leaves out the few repeats
// that something else on the machine disturbed.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// spreadOf summarises values, at least one.
func spreadOf(values []float64) Spread {
	v := slices.Sorted(slices.Values(values))
	return Spread{Median: quantile(v, 0.5), Low: quantile(v, 0.1), High: quantile(v, 0.9)}
}

// quantile interpolates between the two nearest of sorted values, the least being quantile 0 and the greatest 1.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	below := int(math.Floor(at))
	if below+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}

// per returns the spread of x over what s is of, such as images a second from seconds a batch.
func (s Spread) per(x float64) Spread {
	return Spread{Median: x / s.Median, Low: x / s.High, High: x / s.Low}
}

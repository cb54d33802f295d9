package reference

import "github.com/gputrain/gputrain/net"

// dropout multiplies the values that stay by 1/(1-rate) and sets the others to
// 0.
func dropout(seed uint64, layer int, step int64, rate float64, x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		if net.DropoutKeep(seed, layer, step, rate, i) {
			y[i] = v / (1 - rate)
		}
	}
	return y
}

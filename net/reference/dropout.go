package reference

import "github.com/gputrain/gputrain/net"

// dropout multiplies the values that stay by 1/(1-rate) and sets the others to
// 0.
func (l *Layer) dropout(rate float64, x []float64) []float64 {
	y := make([]float64, len(x))
	first := l.place.First * l.In.Size()
	for i, v := range x {
		if net.DropoutKeep(l.Seed, l.Index, l.place.Step, rate, first+i) {
			y[i] = v / (1 - rate)
		}
	}
	return y
}

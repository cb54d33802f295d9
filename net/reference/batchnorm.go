package reference

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// channelStatistics returns the mean and the biased variance of every channel, over n
// samples and all rows and columns.
func channelStatistics(s net.Shape, x []float64, n int) (mean, variance []float64) {
	m := float64(n * s.H * s.W)
	mean, variance = make([]float64, s.C), make([]float64, s.C)
	for c := range s.C {
		for i := range n {
			for _, v := range plane(x, s, i, c) {
				mean[c] += v
			}
		}
		mean[c] /= m
		for i := range n {
			for _, v := range plane(x, s, i, c) {
				variance[c] += (v - mean[c]) * (v - mean[c])
			}
		}
		variance[c] /= m
	}
	return mean, variance
}

// batchNormForward normalises every channel by the given mean and variance.
func batchNormForward(s net.Shape, weight, bias, mean, variance []float64, epsilon float64, x []float64, n int) []float64 {
	y := make([]float64, len(x))
	for c := range s.C {
		deviation := math.Sqrt(variance[c] + epsilon)
		for i := range n {
			yc := plane(y, s, i, c)
			for j, v := range plane(x, s, i, c) {
				yc[j] = weight[c]*(v-mean[c])/deviation + bias[c]
			}
		}
	}
	return y
}

// batchNormBackward returns the gradients in training, where mean and variance depend on
// x too. With h = (x-mean)/deviation, over the m values of a channel:
//
//	db = sum of dy
//	dw = sum of dy*h
//	dx = weight/deviation * (dy - db/m - h*dw/m)
//
// These are the formulas of Ioffe and Szegedy (2015, section 3), with those for dx brought
// into one line.
func batchNormBackward(s net.Shape, weight []float64, epsilon float64, x, dy []float64, n int) (dx, dw, db []float64) {
	dx = make([]float64, len(x))
	dw, db = make([]float64, s.C), make([]float64, s.C)
	mean, variance := channelStatistics(s, x, n)
	m := float64(n * s.H * s.W)
	for c := range s.C {
		deviation := math.Sqrt(variance[c] + epsilon)
		for i := range n {
			xc := plane(x, s, i, c)
			for j, g := range plane(dy, s, i, c) {
				db[c] += g
				dw[c] += g * (xc[j] - mean[c]) / deviation
			}
		}
		for i := range n {
			xc, dxc := plane(x, s, i, c), plane(dx, s, i, c)
			for j, g := range plane(dy, s, i, c) {
				h := (xc[j] - mean[c]) / deviation
				dxc[j] = weight[c] / deviation * (g - db[c]/m - h*dw[c]/m)
			}
		}
	}
	return dx, dw, db
}

// settledNormBackward returns the input gradient of a normalisation by constants, which has
// no parameter to train.
func settledNormBackward(s net.Shape, weight, variance []float64, epsilon float64, dy []float64, n int) []float64 {
	dx := make([]float64, len(dy))
	for c := range s.C {
		deviation := math.Sqrt(variance[c] + epsilon)
		for i := range n {
			dxc := plane(dx, s, i, c)
			for j, g := range plane(dy, s, i, c) {
				dxc[j] = weight[c] / deviation * g
			}
		}
	}
	return dx
}

// RunningStatistics returns the running mean and variance of a batch normalisation layer
// after a training step. The layer must have run Forward in Training mode on the step's
// input. The new statistics are computed from those in Params, which do not change.
// Layers of other kinds return nil, and so does a layer that is settled.
func (l *Layer) RunningStatistics() (mean, variance []float64) {
	d, ok := l.Layer.(*net.BatchNorm)
	if !ok || d.Settled() {
		return nil, nil
	}
	l.checkForward()
	momentum, _ := d.Settings()
	mean, variance = channelStatistics(l.In, l.x[0], l.n)
	m := float64(l.n * l.In.H * l.In.W)
	unbiased := m / max(m-1, 1)
	for c := range l.In.C {
		mean[c] = (1-momentum)*l.Params[net.RunningMean][c] + momentum*mean[c]
		variance[c] = (1-momentum)*l.Params[net.RunningVar][c] + momentum*unbiased*variance[c]
	}
	return mean, variance
}

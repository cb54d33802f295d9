package reference

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// activationForward applies the activation function to each value.
func activationForward(a *net.Activation, x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		switch a.Func {
		case net.ReLU:
			y[i] = max(v, 0) // NaN where v is
		case net.LeakyReLU:
			y[i] = v
			if v < 0 {
				y[i] = a.LeakySlope() * v
			}
		case net.Tanh:
			y[i] = math.Tanh(v)
		case net.Sigmoid:
			y[i] = sigmoid(v)
		}
	}
	return y
}

// activationBackward returns dy times the derivative at x.
func activationBackward(a *net.Activation, x, dy []float64) []float64 {
	dx := make([]float64, len(x))
	for i, v := range x {
		switch a.Func {
		case net.ReLU, net.LeakyReLU:
			dx[i] = a.LeakySlope() * dy[i] // ReLU's is 0
			if v > 0 {
				dx[i] = dy[i]
			}
		case net.Tanh:
			t := math.Tanh(v)
			dx[i] = dy[i] * (1 - t*t)
		case net.Sigmoid:
			s := sigmoid(v)
			dx[i] = dy[i] * s * (1 - s)
		}
	}
	return dx
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

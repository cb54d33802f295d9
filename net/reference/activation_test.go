package reference_test

import (
	"math"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

func TestActivationsByHand(t *testing.T) {
	for _, c := range []struct {
		activation net.Activation
		x, y, dx   []float64 // dx for dy = 5
	}{
		{net.Activation{Func: net.ReLU}, []float64{-1, 0, 2}, []float64{0, 0, 2}, []float64{0, 0, 5}},
		{net.Activation{Func: net.ReLU}, []float64{math.Inf(-1), -1e300, 1e300}, []float64{0, 0, 1e300}, []float64{0, 0, 5}},
		{net.Activation{Func: net.LeakyReLU}, []float64{-1, 0, 2}, []float64{-0.01, 0, 2}, []float64{0.05, 0.05, 5}},
		{net.Activation{Func: net.LeakyReLU, Slope: new(0.25)}, []float64{-4, 0, 2}, []float64{-1, 0, 2}, []float64{1.25, 1.25, 5}},
		// tanh(log 2) = (2-1/2)/(2+1/2) = 0.6, its derivative 1-0.36.
		{net.Activation{Func: net.Tanh}, []float64{-math.Ln2, 0, 1e4}, []float64{-0.6, 0, 1}, []float64{3.2, 5, 0}},
		// sigmoid(log 3) = 3/4, its derivative 3/4 * 1/4.
		{net.Activation{Func: net.Sigmoid}, []float64{math.Log(3), 0, -1e4}, []float64{0.75, 0.5, 0}, []float64{15. / 16, 1.25, 0}},
	} {
		l := newLayer(t, net.Shape{C: 3, H: 1, W: 1}, &c.activation)
		name := string(c.activation.Func)
		approx.Check(t, name, forward(l, c.x, 1, net.Training, 0), c.y, rounded)
		dx, _ := backward(l, []float64{5, 5, 5})
		approx.Check(t, name+": dx", dx, c.dx, rounded)
	}
}

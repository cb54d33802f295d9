package reference_test

import (
	"math"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// A 5x5 input under a 2x2 window with stride 2 and SAME padding gives 3x3: a row
// and a column of padding at the bottom and the right. All values are negative,
// so that padding would win a maximum if it took part.
func TestPoolSameByHand(t *testing.T) {
	x := make([]float64, 25)
	for i := range x {
		x[i] = -float64(i + 1)
	}
	for mode, want := range map[net.PoolMode][]float64{
		net.MaxPool: {
			-1, -3, -5,
			-11, -13, -15,
			-21, -23, -25},
		net.MeanPool: {
			-4, -6, -7.5,
			-14, -16, -17.5,
			-21.5, -23.5, -25},
		net.L2Pool: {
			math.Sqrt(1 + 4 + 36 + 49), math.Sqrt(9 + 16 + 64 + 81), math.Sqrt(25 + 100),
			math.Sqrt(121 + 144 + 256 + 289), math.Sqrt(169 + 196 + 324 + 361), math.Sqrt(225 + 400),
			math.Sqrt(441 + 484), math.Sqrt(529 + 576), 25},
	} {
		l := newLayer(t, net.Shape{C: 1, H: 5, W: 5}, &net.Pool{Mode: mode, Kernel: net.Square(2), Stride: net.Square(2), Padding: net.PadSame})
		approx.Check(t, string(mode), forward(l, x, 1, net.Evaluation, 0), want, rounded)
	}
}

// Padding before the input must not take part either.
func TestPoolExplicitByHand(t *testing.T) {
	x := []float64{-1, -2, -3, -4}
	for mode, want := range map[net.PoolMode][]float64{
		net.MaxPool:  {-1, -1, -3},
		net.MeanPool: {-1, -2, -3.5},
		net.L2Pool:   {1, math.Sqrt(1 + 4 + 9), 5},
	} {
		l := newLayer(t, net.Shape{C: 1, H: 1, W: 4}, &net.Pool{
			Mode: mode, Kernel: net.Pair{H: 2, W: 3}, Stride: net.Pair{H: 1, W: 2}, Padding: net.Pad(1, 0, 2, 1)})
		approx.Check(t, string(mode), forward(l, x, 1, net.Evaluation, 0), want, rounded)
	}
}

func TestPoolBackwardByHand(t *testing.T) {
	for _, c := range []struct {
		name     string
		pool     net.Pool
		x, dy, y []float64
		want     []float64
	}{
		{"first of equal maxima", net.Pool{Kernel: net.Pair{H: 1, W: 3}},
			[]float64{1, 2, 2}, []float64{5}, []float64{2}, []float64{0, 5, 0}},
		{"a maximum of two windows", net.Pool{Kernel: net.Pair{H: 1, W: 2}, Stride: net.Square(1)},
			[]float64{1, 3, 2}, []float64{10, 100}, []float64{3, 3}, []float64{0, 110, 0}},
		{"mean without padding", net.Pool{Mode: net.MeanPool, Kernel: net.Pair{H: 1, W: 2}, Padding: net.PadSame},
			[]float64{1, 3, 2}, []float64{4, 7}, []float64{2, 2}, []float64{2, 2, 7}},
		{"norm", net.Pool{Mode: net.L2Pool, Kernel: net.Pair{H: 1, W: 3}},
			[]float64{3, 0, -4}, []float64{10}, []float64{5}, []float64{6, 0, -8}},
		{"norm 0", net.Pool{Mode: net.L2Pool, Kernel: net.Pair{H: 1, W: 3}},
			[]float64{0, 0, 0}, []float64{10}, []float64{0}, []float64{0, 0, 0}},
	} {
		l := newLayer(t, net.Shape{C: 1, H: 1, W: 3}, &c.pool)
		approx.Check(t, c.name+": y", forward(l, c.x, 1, net.Training, 0), c.y, rounded)
		dx, _ := backward(l, c.dy)
		approx.Check(t, c.name+": dx", dx, c.want, rounded)
	}
}

func TestPoolKeepsChannelsAndSamplesApart(t *testing.T) {
	l := newLayer(t, net.Shape{C: 2, H: 1, W: 2}, &net.Pool{Kernel: net.Pair{H: 1, W: 2}})
	x := []float64{1, 2, 4, 3, 8, 7, 5, 6}
	approx.Check(t, "y", forward(l, x, 2, net.Training, 0), []float64{2, 4, 8, 6}, exact)
	dx, _ := backward(l, []float64{1, 2, 3, 4})
	approx.Check(t, "dx", dx, []float64{0, 1, 2, 0, 3, 0, 0, 4}, exact)
}

// A NaN anywhere in a window is its maximum, and takes the gradient.
func TestMaxPoolOfNaN(t *testing.T) {
	for at := range 3 {
		x := []float64{1, 2, 3}
		x[at] = math.NaN()
		want := make([]float64, 3)
		want[at] = 5
		l := newLayer(t, net.Shape{C: 1, H: 1, W: 3}, &net.Pool{Kernel: net.Pair{H: 1, W: 3}})
		if y := forward(l, x, 1, net.Training, 0); !math.IsNaN(y[0]) {
			t.Errorf("the maximum of %v is %v, want NaN", x, y[0])
		}
		dx, _ := backward(l, []float64{5})
		approx.Check(t, "dx", dx, want, exact)
	}
}

package reference

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// poolForward pools each channel.
func poolForward(mode net.PoolMode, w net.Window, in, out net.Shape, x []float64, n int) []float64 {
	y := make([]float64, n*out.Size())
	list := taps(w, in)
	for i := range n {
		for c := range in.C {
			xc, yc := plane(x, in, i, c), plane(y, out, i, c)
			switch mode {
			case net.MaxPool:
				for o, at := range greatest(list, xc, len(yc)) {
					yc[o] = xc[at]
				}
			case net.MeanPool:
				count := counts(list, len(yc))
				for _, t := range list {
					yc[t.out] += xc[t.in] / count[t.out]
				}
			case net.L2Pool:
				l2(yc, list, xc)
			}
		}
	}
	return y
}

// poolBackward returns the gradient of poolForward with respect to x.
func poolBackward(mode net.PoolMode, w net.Window, in, out net.Shape, x, dy []float64, n int) []float64 {
	dx := make([]float64, len(x))
	list := taps(w, in)
	for i := range n {
		for c := range in.C {
			xc, dxc, dyc := plane(x, in, i, c), plane(dx, in, i, c), plane(dy, out, i, c)
			switch mode {
			case net.MaxPool:
				for o, at := range greatest(list, xc, len(dyc)) {
					dxc[at] += dyc[o]
				}
			case net.MeanPool:
				count := counts(list, len(dyc))
				for _, t := range list {
					dxc[t.in] += dyc[t.out] / count[t.out]
				}
			case net.L2Pool:
				// d sqrt(sum of x^2) / dx = x / sqrt(sum of x^2)
				y := make([]float64, len(dyc))
				l2(y, list, xc)
				for _, t := range list {
					if y[t.out] != 0 {
						dxc[t.in] += dyc[t.out] * xc[t.in] / y[t.out]
					}
				}
			}
		}
	}
	return dx
}

// greatest returns the index in x of each window's greatest value. Of equal ones it is the
// first, in row-major order. If a window has a NaN, it is the index of a NaN.
func greatest(list []tap, x []float64, windows int) []int {
	at := make([]int, windows)
	for o := range at {
		at[o] = -1
	}
	for _, t := range list {
		a := at[t.out]
		if a < 0 || x[t.in] > x[a] || math.IsNaN(x[t.in]) {
			at[t.out] = t.in
		}
	}
	return at
}

// counts returns how many values each of the windows sees.
func counts(list []tap, windows int) []float64 {
	n := make([]float64, windows)
	for _, t := range list {
		n[t.out]++
	}
	return n
}

// l2 fills y with the L2 norm of the values of x in each window. y must be 0 before.
func l2(y []float64, list []tap, x []float64) {
	for _, t := range list {
		y[t.out] += x[t.in] * x[t.in]
	}
	for o := range y {
		y[o] = math.Sqrt(y[o])
	}
}

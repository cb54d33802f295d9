package reference

import "github.com/gputrain/gputrain/net"

// addForward returns the sum of the inputs.
func addForward(x [][]float64) []float64 {
	y := make([]float64, len(x[0]))
	for _, in := range x {
		for i, v := range in {
			y[i] += v
		}
	}
	return y
}

// addBackward returns the gradient of each input, which is that of the output.
func addBackward(inputs int, dy []float64) [][]float64 {
	dx := make([][]float64, inputs)
	for k := range dx {
		dx[k] = append([]float64(nil), dy...)
	}
	return dx
}

// concatForward puts the channels of the inputs one after the other.
func concatForward(ins []net.Shape, out net.Shape, x [][]float64, n int) []float64 {
	y := make([]float64, n*out.Size())
	for i := range n {
		first := 0
		for k, s := range ins {
			for c := range s.C {
				copy(plane(y, out, i, first+c), plane(x[k], s, i, c))
			}
			first += s.C
		}
	}
	return y
}

// concatBackward divides the output's gradient into those of the inputs.
func concatBackward(ins []net.Shape, out net.Shape, dy []float64, n int) [][]float64 {
	dx := make([][]float64, len(ins))
	first := 0
	for k, s := range ins {
		dx[k] = make([]float64, n*s.Size())
		for i := range n {
			for c := range s.C {
				copy(plane(dx[k], s, i, c), plane(dy, out, i, first+c))
			}
		}
		first += s.C
	}
	return dx
}

// factor returns the index of a factor in the second input of a multiplication, which has
// shape s. It is the factor of value j in channel c of sample i. A gate has one factor for
// each channel.
func factor(s net.Shape, i, c, j int) int {
	if s.H == 1 && s.W == 1 {
		j = 0
	}
	return (i*s.C+c)*s.H*s.W + j
}

// multiplyForward returns x[0]*x[1].
func multiplyForward(ins []net.Shape, x [][]float64, n int) []float64 {
	y := make([]float64, len(x[0]))
	for i := range n {
		for c := range ins[0].C {
			yc := plane(y, ins[0], i, c)
			for j, v := range plane(x[0], ins[0], i, c) {
				yc[j] = v * x[1][factor(ins[1], i, c, j)]
			}
		}
	}
	return y
}

// multiplyBackward returns dy*x[1] and dy*x[0]. If x[1] is a gate, dy*x[0] is summed over
// the values that each factor multiplies.
func multiplyBackward(ins []net.Shape, x [][]float64, dy []float64, n int) [][]float64 {
	dx := [][]float64{make([]float64, len(x[0])), make([]float64, len(x[1]))}
	for i := range n {
		for c := range ins[0].C {
			xc, dxc := plane(x[0], ins[0], i, c), plane(dx[0], ins[0], i, c)
			for j, g := range plane(dy, ins[0], i, c) {
				at := factor(ins[1], i, c, j)
				dxc[j] = g * x[1][at]
				dx[1][at] += g * xc[j]
			}
		}
	}
	return dx
}

// scale returns the values times a factor.
func scale(factor float64, x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = factor * v
	}
	return y
}

package asm

import (
	"fmt"
	"math"
	"unsafe"
)

// Winograd holds the kernels of convolutions with stride 1 by Winograd's minimal filtering algorithm, in the form of
// Lavin and Gray (Fast Algorithms for Convolutional Neural Networks, 2015). For filters of Kernel x Kernel it computes
// Outputs x Outputs outputs from a tile of 6x6 inputs, with 36 multiplications. It does so by multiplying polynomials,
// which are represented by their values at six points.
//
// The points are 0, 3/4, -3/4, 3/2, -3/2 and infinity. The usual points include 1 and 2. Ours lose fewer digits,
// because the usual ones make larger numbers from the tiles. All numbers in the transforms are exact, except in that
// of the filter. If an input of a tile is NaN or infinite, all outputs of the tile are NaN.
type Winograd struct {
	Kernel, Outputs int
	lanes           int

	input    winogradTransform
	output   func(y *float32, step, pitch, across int, m *float32, mStep, stride int, bias *float32, floor float32, c *float32, n int)
	gradient winogradTransform
}

// winogradTransform is a kernel that transforms some vectors at a time into six.
type winogradTransform = func(dst *float32, dstStep, dstStride int, src *float32, srcStep, srcStride int, c *float32, n int)

// WinogradPoints is the number of points. A tile has as many rows and columns.
const WinogradPoints = 6

// The points other than 0 and infinity are pointA, -pointA, pointB and -pointB.
const pointA, pointB = 0.75, 1.5

var (
	winogradInputs  = [...]float32{pointA * pointA * pointB * pointB, pointA*pointA + pointB*pointB, pointA * pointA, pointB * pointB, pointA, pointB}
	winogradOutputs = [...]float32{pointA, pointB, pointA * pointA, pointB * pointB, pointA * pointA * pointA, pointB * pointB * pointB}
)

// Winograd returns the kernels for filters of kernel x kernel, or nil if there are none.
func (ks *Kernels) Winograd(kernel int) *Winograd {
	for i := range ks.winograds {
		if w := &ks.winograds[i]; w.Kernel == kernel {
			return w
		}
	}
	return nil
}

// FilterTransform returns the matrix that transforms filters, 36 x Kernel*Kernel. Its product with a filter's weights
// g is G g G', row by row. Row i of G holds the powers of point i, divided by the product of its distances from the
// other points.
func (w *Winograd) FilterTransform() []float32 {
	points := [WinogradPoints - 1]float64{0, pointA, -pointA, pointB, -pointB}
	var rows [WinogradPoints][5]float64
	for i, p := range points {
		value := 1.0
		for j, q := range points {
			if i != j {
				value /= p - q
			}
		}
		for k := range w.Kernel {
			rows[i][k] = value
			value *= p
		}
	}
	rows[WinogradPoints-1][w.Kernel-1] = 1
	var matrix []float32
	for _, down := range rows {
		for _, along := range rows {
			for k := range w.Kernel {
				for l := range w.Kernel {
					matrix = append(matrix, float32(down[k]*along[l]))
				}
			}
		}
	}
	return matrix
}

// TransformInput transforms six vectors of src into six vectors of dst, by the rows of B that belong to the points. It
// does so n times. The six vectors are srcStride and dstStride apart, and each next time begins srcStep and dstStep
// further. Applied to the columns of a tile and then to its rows, it computes B d B'.
func (w *Winograd) TransformInput(dst []float32, dstStep, dstStride int, src []float32, srcStep, srcStride, n int) {
	if n < 1 {
		panic(fmt.Sprintf("BUG: %d transforms", n))
	}
	last := WinogradPoints - 1
	_, _ = dst[(n-1)*dstStep+last*dstStride+w.lanes-1], src[(n-1)*srcStep+last*srcStride+w.lanes-1]
	w.input(&dst[0], dstStep, dstStride, &src[0], srcStep, srcStride, &winogradInputs[0], n)
}

// TransformGradient transforms Outputs vectors of src into six vectors of dst, by the rows of A, and does so n times as
// TransformInput does. Applied to the columns of a tile of the output's gradient and then to its rows, it computes
// A dy A'. The gradient of the filter is G' (that * B d B') G, where * multiplies element by element, and the products are
// summed over all tiles.
func (w *Winograd) TransformGradient(dst []float32, dstStep, dstStride int, src []float32, srcStep, srcStride, n int) {
	if n < 1 {
		panic(fmt.Sprintf("BUG: %d transforms", n))
	}
	_ = dst[(n-1)*dstStep+(WinogradPoints-1)*dstStride+w.lanes-1]
	_ = src[(n-1)*srcStep+(w.Outputs-1)*srcStride+w.lanes-1]
	w.gradient(&dst[0], dstStep, dstStride, &src[0], srcStep, srcStride, &winogradOutputs[0], n)
}

// TransformOutput transforms n tiles of 6x6 vectors into Outputs x Outputs vectors each: A' m A + bias, where bias is
// one vector. If relu is set, outputs below 0 become 0. A tile's vectors in m are stride apart. In y its rows are pitch
// apart, and the vectors of a row across apart. The next tile is mStep further in m, and step further in y.
func (w *Winograd) TransformOutput(y []float32, step, pitch, across int, m []float32, mStep, stride int, bias []float32, relu bool, n int) {
	if n < 1 || len(bias) != w.lanes {
		panic(fmt.Sprintf("BUG: %d transforms with a bias of %d values", n, len(bias)))
	}
	_ = y[(n-1)*step+(w.Outputs-1)*(pitch+across)+w.lanes-1]
	_ = m[(n-1)*mStep+(WinogradPoints*WinogradPoints-1)*stride+w.lanes-1]
	floor := float32(math.Inf(-1))
	if relu {
		floor = 0
	}
	w.output(&y[0], step, pitch, across, &m[0], mStep, stride, &bias[0], floor, &winogradOutputs[0], n)
}

// winogradPortable returns the kernels in plain Go, for vectors of four values.
func winogradPortable(kernel, outputs int) Winograd {
	return Winograd{Kernel: kernel, Outputs: outputs, lanes: 4, input: winogradInputPortable,
		output: func(y *float32, step, pitch, across int, m *float32, mStep, stride int, bias *float32, floor float32, _ *float32, n int) {
			winogradOutputPortable(outputs, y, step, pitch, across, m, mStep, stride, bias, floor, n)
		},
		gradient: func(dst *float32, dstStep, dstStride int, src *float32, srcStep, srcStride int, _ *float32, n int) {
			winogradGradientPortable(outputs, dst, dstStep, dstStride, src, srcStep, srcStride, n)
		}}
}

func winogradGradientPortable(outputs int, dst *float32, dstStep, dstStride int, src *float32, srcStep, srcStride int, n int) {
	for i := range n {
		for l := range 4 {
			var s [4]float32
			for k := range outputs {
				s[k] = *element(src, i*srcStep+k*srcStride+l)
			}
			t := [WinogradPoints]float32{s[0], 0, 0, 0, 0, s[outputs-1]}
			for j, p := range [2]float32{pointA, pointB} {
				even, odd := s[0], p*s[1]
				if outputs == 4 {
					even, odd = even+p*p*s[2], odd+p*p*p*s[3]
				}
				t[1+2*j], t[2+2*j] = even+odd, even-odd
			}
			for k, v := range t {
				*element(dst, i*dstStep+k*dstStride+l) = v
			}
		}
	}
}

func winogradInputPortable(dst *float32, dstStep, dstStride int, src *float32, srcStep, srcStride int, _ *float32, n int) {
	const sum, product = pointA*pointA + pointB*pointB, pointA * pointA * pointB * pointB
	vector := func(p *float32, at int) *[4]float32 { return (*[4]float32)(unsafe.Pointer(element(p, at))) }
	for i := range n {
		from, to := i*srcStep, i*dstStep
		s0, s1, s2 := vector(src, from), vector(src, from+srcStride), vector(src, from+2*srcStride)
		s3, s4, s5 := vector(src, from+3*srcStride), vector(src, from+4*srcStride), vector(src, from+5*srcStride)
		t0, t1, t2 := vector(dst, to), vector(dst, to+dstStride), vector(dst, to+2*dstStride)
		t3, t4, t5 := vector(dst, to+3*dstStride), vector(dst, to+4*dstStride), vector(dst, to+5*dstStride)
		for l := range 4 {
			d1, d2, d3, d4 := s1[l], s2[l], s3[l], s4[l]
			t0[l] = product*s0[l] - sum*d2 + d4
			t5[l] = product*d1 - sum*d3 + s5[l]
			even, odd := d4-pointB*pointB*d2, pointA*(d3-pointB*pointB*d1)
			t1[l], t2[l] = even+odd, even-odd
			even, odd = d4-pointA*pointA*d2, pointB*(d3-pointA*pointA*d1)
			t3[l], t4[l] = even+odd, even-odd
		}
	}
}

func winogradOutputPortable(outputs int, y *float32, step, pitch, across int, m *float32, mStep, stride int, bias *float32, floor float32, n int) {
	transform := func(in *[WinogradPoints]float32, out *[4]float32) {
		sum1, dif1, sum2, dif2 := in[1]+in[2], in[1]-in[2], in[3]+in[4], in[3]-in[4]
		out[0] = in[0] + sum1 + sum2
		if outputs == 2 {
			out[1] = pointA*dif1 + pointB*dif2 + in[5]
			return
		}
		out[1] = pointA*dif1 + pointB*dif2
		out[2] = pointA*pointA*sum1 + pointB*pointB*sum2
		out[3] = pointA*pointA*pointA*dif1 + pointB*pointB*pointB*dif2 + in[5]
	}
	for i := range n {
		for l := range 4 {
			var rows [4][WinogradPoints]float32
			var in [WinogradPoints]float32
			var out [4]float32
			for column := range WinogradPoints {
				for r := range in {
					in[r] = *element(m, i*mStep+(r*WinogradPoints+column)*stride+l)
				}
				transform(&in, &out)
				for r := range outputs {
					rows[r][column] = out[r]
				}
			}
			for r := range outputs {
				transform(&rows[r], &out)
				for k := range outputs {
					v := out[k] + *element(bias, l)
					if v < floor { // false for a NaN, which stays
						v = floor
					}
					*element(y, i*step+r*pitch+k*across+l) = v
				}
			}
		}
	}
}

package asm

import (
	"math"
	"unsafe"

	"github.com/gputrain/gputrain/internal/cpufeat"
)

// portable are the kernels in plain Go.
var portable = &Kernels{
	Tier: cpufeat.Portable, Lanes: 4, Vectors: 1, rows: []int{16}, positions: []int{16, 16}, correlations: []int{16, 16}, blockRows: []int{4, 4}, chains: 12,
	gemm: gemmPortable, pack: packPortable,
	addBias: addBiasPortable, addBiasReLU: addBiasReLUPortable, add: addPortable, reluBackward: reluBackwardPortable,
	sumSquares: sumSquaresPortable, scaleBytes: scaleBytesPortable, maxPool2: maxPool2Portable,
	adam: adamPortable, sgd: sgdPortable, momentum: momentumPortable, lion: lionPortable,
	mulAdds: mulAddsPortable, triad: triadPortable,
	blocks: blocksPortable,
	dots:   dotsPortable, poolVectors: poolVectorsPortable, transpose: transposePortable,
	mul: mulPortable, mulAdd: mulAddPortable, scale: scalePortable, scaleAdd: scaleAddPortable,
	winograds:   []Winograd{winogradPortable(5, 2), winogradPortable(3, 4)},
	activations: activationsPortable,
	patches:     []Patches{patchesPortable(5, 5), patchesPortable(5, 1), patchesPortable(3, 3), patchesPortable(3, 1)},
}

// element returns the address of p[i].
func element(p *float32, i int) *float32 {
	return (*float32)(unsafe.Add(unsafe.Pointer(p), i*4))
}

func gemmPortable(rows, _, k int, a *float32, rsa, csa int, b *float32, ldb int, c *float32, ldc int, accumulate bool) {
	for i := range rows {
		gemmRow(k, element(a, i*rsa), csa, b, ldb, (*[4]float32)(unsafe.Pointer(element(c, i*ldc))), accumulate)
	}
}

// gemmRow computes a row of four columns, from two rows of b at a time: more sums
// than that would not all stay in registers, and a sum that is in memory waits for
// itself longer than for an addition.
func gemmRow(k int, a *float32, csa int, b *float32, ldb int, c *[4]float32, accumulate bool) {
	var s0, s1, s2, s3 float32
	pa, pb := unsafe.Pointer(a), unsafe.Pointer(b)
	for ; k >= 2; k -= 2 {
		v, row := *(*float32)(pa), (*[4]float32)(pb)
		s0 += row[0] * v
		s1 += row[1] * v
		s2 += row[2] * v
		s3 += row[3] * v
		v, row = *(*float32)(unsafe.Add(pa, csa*4)), (*[4]float32)(unsafe.Add(pb, ldb*4))
		s0 += row[0] * v
		s1 += row[1] * v
		s2 += row[2] * v
		s3 += row[3] * v
		if k > 2 { // a pointer past the end would not be valid
			pa, pb = unsafe.Add(pa, csa*8), unsafe.Add(pb, ldb*8)
		}
	}
	if k > 0 {
		v, row := *(*float32)(pa), (*[4]float32)(pb)
		s0 += row[0] * v
		s1 += row[1] * v
		s2 += row[2] * v
		s3 += row[3] * v
	}
	if accumulate {
		s0, s1, s2, s3 = s0+c[0], s1+c[1], s2+c[2], s3+c[3]
	}
	*c = [4]float32{s0, s1, s2, s3}
}

func packPortable(dst *float32, width int, src *float32, offsets *int32, rows int, runs *int32, n int) {
	for p, offset := range unsafe.Slice(offsets, rows) {
		row := unsafe.Pointer(element(dst, p*width))
		for _, r := range unsafe.Slice((*Run)(unsafe.Pointer(runs)), n) {
			from := unsafe.Pointer(element(src, int(offset+r.Src)))
			*(*[4]float32)(unsafe.Add(row, int(r.Dst)*4)) = *(*[4]float32)(from)
		}
	}
}

func addBiasPortable(y []float32, bias float32) {
	for i := range y {
		y[i] += bias
	}
}

func addBiasReLUPortable(y []float32, bias float32) {
	for i := range y {
		v := y[i] + bias
		if v < 0 { // false for NaN, which stays
			v = 0
		}
		y[i] = v
	}
}

func addPortable(dst, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += x[i]
	}
}

func mulPortable(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

func mulAddPortable(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] += a[i] * b[i]
	}
}

func scalePortable(dst, x []float32, s float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = s * x[i]
	}
}

func scaleAddPortable(dst, x []float32, s float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += s * x[i]
	}
}

func reluBackwardPortable(dx, dy, y []float32) {
	dy, y = dy[:len(dx)], y[:len(dx)]
	for i := range dx {
		v := dy[i]
		if !(y[i] > 0) {
			v = 0
		}
		dx[i] = v
	}
}

func sumSquaresPortable(x []float32) float64 {
	var s float64
	for _, v := range x {
		s += float64(v) * float64(v)
	}
	return s
}

func scaleBytesPortable(dst []float32, src []uint8, scale float32) {
	src = src[:len(dst)]
	for i := range dst {
		dst[i] = float32(src[i]) * scale
	}
}

func maxPool2Portable(y []float32, chosen []int32, upper, lower []float32, at, width int32) {
	for i := range y {
		k := 2 * i
		best, from := upper[k], at
		if v := upper[k+1]; v > best || v != v && best == best {
			best, from = v, at+1
		}
		if v := lower[k]; v > best || v != v && best == best {
			best, from = v, at+width
		}
		if v := lower[k+1]; v > best || v != v && best == best {
			best, from = v, at+width+1
		}
		y[i], chosen[i] = best, from
		at += 2
	}
}

func adamPortable(w, g, m, v []float32, constants *float32) {
	c := (*Adam)(unsafe.Pointer(constants))
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	for i := range w {
		d := c.Scale*g[i] + c.Decay*w[i]
		m[i] = c.Beta1*m[i] + c.Rest1*d
		v[i] = c.Beta2*v[i] + c.Rest2*(d*d)
		root := float32(math.Sqrt(float64(v[i])))
		w[i] = w[i] - c.Shrink*w[i] - c.Rate*m[i]/(root+c.Epsilon)
	}
}

func sgdPortable(w, g []float32, constants *float32) {
	c := (*SGD)(unsafe.Pointer(constants))
	g = g[:len(w)]
	for i := range w {
		w[i] -= c.Rate * (c.Scale*g[i] + c.Decay*w[i])
	}
}

func momentumPortable(w, g, v []float32, constants *float32) {
	c := (*SGD)(unsafe.Pointer(constants))
	g, v = g[:len(w)], v[:len(w)]
	for i := range w {
		d := c.Scale*g[i] + c.Decay*w[i]
		v[i] = c.Momentum*v[i] + d
		w[i] -= c.Rate * (c.Direct*d + c.Velocity*v[i])
	}
}

func lionPortable(w, g, m []float32, constants *float32) {
	c := (*Lion)(unsafe.Pointer(constants))
	g, m = g[:len(w)], m[:len(w)]
	for i := range w {
		d := c.Scale * g[i]
		sign := min(max((c.Beta1*m[i]+c.Rest1*d)*c.huge, c.minusOne), c.one)
		m[i] = c.Beta2*m[i] + c.Rest2*d
		w[i] = w[i] - c.Shrink*w[i] - c.Rate*sign
	}
}

func dotsPortable(y *[4]float32, x []float32, w *float32, stride int) {
	a, b := unsafe.Slice(w, len(x)), unsafe.Slice(element(w, stride), len(x))
	c, d := unsafe.Slice(element(w, 2*stride), len(x)), unsafe.Slice(element(w, 3*stride), len(x))
	var s0, s1, s2, s3 float32
	for i, v := range x {
		s0 += v * a[i]
		s1 += v * b[i]
		s2 += v * c[i]
		s3 += v * d[i]
	}
	*y = [4]float32{s0, s1, s2, s3}
}

func poolVectorsPortable(y *float32, chosen *int32, upper, lower *float32, n int, at, width int32) {
	up, low := unsafe.Slice(upper, 8*n), unsafe.Slice(lower, 8*n)
	to, from := unsafe.Slice(y, 4*n), unsafe.Slice(chosen, 4*n)
	for i := range to {
		k := i/4*8 + i%4
		maxPool2Portable(to[i:i+1], from[i:i+1], []float32{up[k], up[k+4]}, []float32{low[k], low[k+4]}, at+int32(i/4*2), width)
	}
}

func transposePortable(dst *float32, distance int, src *float32, stride int) {
	for i := range 4 {
		row := *(*[4]float32)(unsafe.Pointer(element(src, i*stride)))
		for j, v := range row {
			*element(dst, j*distance+i) = v
		}
	}
}

// zero is not known to the compiler, which would leave out what multiplies it.
var zero float32

func mulAddsPortable(rounds int) {
	x, y := zero, zero
	var a, b, c, d, e, f, g, h, i, j, k, l float32
	for range rounds {
		a, b, c, d, e, f = a*x+y, b*x+y, c*x+y, d*x+y, e*x+y, f*x+y
		g, h, i, j, k, l = g*x+y, h*x+y, i*x+y, j*x+y, k*x+y, l*x+y
	}
	zero = a + b + c + d + e + f + g + h + i + j + k + l
}

func triadPortable(dst, x, y []float32, s float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] + s*y[i]
	}
}

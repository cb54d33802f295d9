package asm

import (
	"fmt"
	"unsafe"

	"github.com/gputrain/gputrain/internal/cpufeat"
)

// Slack is how many float32 values [Kernels.Pack] may read or write after the
// last one asked for.
const Slack = 16

// A Run is a piece of a panel's row: at most Kernels.Lanes values, copied from
// Src on to Dst on. Its length is the distance to the next run's Dst.
type Run struct{ Src, Dst int32 }

// Adam holds the constants of an update by Adam. A weight w with gradient g is
// updated with g' = Scale*g + Decay*w, m = Beta1*m + Rest1*g', v = Beta2*v +
// Rest2*g'*g' and w = w - Shrink*w - Rate*m/(sqrt(v)+Epsilon).
type Adam struct {
	Scale, Decay, Beta1, Rest1, Beta2, Rest2, Rate, Epsilon, Shrink float32
}

// SGD holds the constants of an update by gradient descent. A weight w with
// gradient g is updated with g' = Scale*g + Decay*w. Without momentum, w -=
// Rate*g'. With momentum, v = Momentum*v + g' and w -= Rate*(Direct*g' +
// Velocity*v).
type SGD struct {
	Scale, Decay, Rate, Momentum, Direct, Velocity float32
}

// Lion holds the constants of an update by Lion. A weight w with gradient g is updated with
// g' = Scale*g, s = the sign of Beta1*m + Rest1*g', m = Beta2*m + Rest2*g' and w = w -
// Shrink*w - Rate*s.
type Lion struct {
	Scale, Beta1, Rest1, Beta2, Rest2, Rate, Shrink float32

	huge, one, minusOne float32 // set by NewLion
}

// NewLion returns c with what the kernels need besides. Several threads may use it at once.
func NewLion(c Lion) Lion {
	c.huge, c.one, c.minusOne = 0x1p127, 1, -1
	return c
}

// Kernels holds the kernels of one tier. Its methods check lengths; the functions
// that they call do not.
type Kernels struct {
	Tier    cpufeat.Tier
	Lanes   int // float32 values in a vector
	Vectors int // the width of Gemm's widest tile, in vectors

	rows         []int // the rows of Gemm's tallest tiles that are 1, 2, ... vectors wide
	positions    []int // the same of Convolve
	correlations []int // the same of Correlate
	blockRows    []int // the same of CorrelateBlock

	chains int // independent sums of MulAdds: more than latency times arithmetic units of any processor

	gemm         func(rows, vectors, k int, a *float32, rsa, csa int, b *float32, ldb int, c *float32, ldc int, accumulate bool)
	pack         func(dst *float32, width int, src *float32, offsets *int32, rows int, runs *int32, n int) // n Runs
	addBias      func(y []float32, bias float32)
	addBiasReLU  func(y []float32, bias float32)
	add          func(dst, x []float32)
	reluBackward func(dx, dy, y []float32)
	sumSquares   func(x []float32) float64
	scaleBytes   func(dst []float32, src []uint8, scale float32)
	maxPool2     func(y []float32, chosen []int32, upper, lower []float32, at, width int32)
	adam         func(w, g, m, v []float32, c *float32) // an Adam's fields
	sgd          func(w, g []float32, c *float32)       // an SGD's fields
	momentum     func(w, g, v []float32, c *float32)    // an SGD's fields
	lion         func(w, g, m []float32, c *float32)    // a Lion's fields
	mulAdds      func(rounds int)                       // at least 1
	triad        func(dst, x, y []float32, s float32)
	dots         func(y *[4]float32, x []float32, w *float32, stride int)
	poolVectors  func(y *float32, chosen *int32, upper, lower *float32, n int, at, width int32)
	transpose    func(dst *float32, distance int, src *float32, stride int) // of Lanes x Lanes values
	mul, mulAdd  func(dst, a, b []float32)
	scale        func(dst, x []float32, s float32)
	scaleAdd     func(dst, x []float32, s float32)
	blocks       blockKernels
	patches      []Patches
	directs      []Direct
	winograds    []Winograd
	activations  []Activation
}

// For returns the kernels of a tier. The tier must be in this build.
func For(t cpufeat.Tier) *Kernels {
	if k := tiers[t]; k != nil {
		return k
	}
	panic(fmt.Sprintf("BUG: kernel tier %v is not in this build", t))
}

// Rows returns how many rows Gemm's tallest tile has, if it is the given number
// of vectors wide.
func (ks *Kernels) Rows(vectors int) int { return ks.rows[vectors-1] }

// Gemm computes a tile of a matrix product: for i in [0, rows) and j in [0,
// vectors*Lanes), c[i*ldc+j] = sum over p in [0, k) of a[i*rsa+p*csa] *
// b[p*ldb+j], in the order of p. If accumulate is set, the sum is added to
// c[i*ldc+j]. vectors must be from 1 to Vectors, rows from 1 to Rows(vectors),
// and k at least 1.
func (ks *Kernels) Gemm(rows, vectors, k int, a []float32, rsa, csa int, b []float32, ldb int, c []float32, ldc int, accumulate bool) {
	n := vectors * ks.Lanes
	if vectors < 1 || vectors > ks.Vectors || rows < 1 || rows > ks.Rows(vectors) || k < 1 {
		panic(fmt.Sprintf("BUG: gemm tile of %d rows, %d vectors, depth %d", rows, vectors, k))
	}
	_, _, _ = a[(rows-1)*rsa+(k-1)*csa], b[(k-1)*ldb+n-1], c[(rows-1)*ldc+n-1]
	ks.gemm(rows, vectors, k, &a[0], rsa, csa, &b[0], ldb, &c[0], ldc, accumulate)
}

// Pack gathers a panel. Row p of dst has width values, and consists of the runs,
// which are read from src[offsets[p]] on. Pack may write Slack values more than
// the panel has, and may read Slack values from the start of each run. So dst and
// src must be long enough.
func (ks *Kernels) Pack(dst []float32, width int, src []float32, offsets []int32, runs []Run) {
	last := runs[len(runs)-1]
	if len(dst) < len(offsets)*width+Slack || int(last.Dst) >= width {
		panic(fmt.Sprintf("BUG: pack %d rows of %d into %d values", len(offsets), width, len(dst)))
	}
	// The offsets grow, so the last row reads furthest.
	_ = src[int(offsets[len(offsets)-1])+int(last.Src)+Slack-1]
	ks.pack(&dst[0], width, unsafe.SliceData(src), &offsets[0], len(offsets), &runs[0].Src, len(runs))
}

// AddBias adds bias to each value.
func (ks *Kernels) AddBias(y []float32, bias float32) { ks.addBias(y, bias) }

// AddBiasReLU adds bias to each value, and replaces a result below 0 by 0. A NaN
// stays NaN.
func (ks *Kernels) AddBiasReLU(y []float32, bias float32) { ks.addBiasReLU(y, bias) }

// Add adds x to dst.
func (ks *Kernels) Add(dst, x []float32) {
	sameLength(len(dst), len(x))
	ks.add(dst, x)
}

// Mul sets dst to a*b. dst may be a or b.
func (ks *Kernels) Mul(dst, a, b []float32) {
	sameLength(len(dst), len(a), len(b))
	ks.mul(dst, a, b)
}

// MulAdd adds a*b to dst.
func (ks *Kernels) MulAdd(dst, a, b []float32) {
	sameLength(len(dst), len(a), len(b))
	ks.mulAdd(dst, a, b)
}

// Scale sets dst to s*x. dst may be x.
func (ks *Kernels) Scale(dst, x []float32, s float32) {
	sameLength(len(dst), len(x))
	ks.scale(dst, x, s)
}

// ScaleAdd adds s*x to dst.
func (ks *Kernels) ScaleAdd(dst, x []float32, s float32) {
	sameLength(len(dst), len(x))
	ks.scaleAdd(dst, x, s)
}

// ReLUBackward sets dx to dy where y is above 0, and to 0 elsewhere. dx may be
// dy.
func (ks *Kernels) ReLUBackward(dx, dy, y []float32) {
	sameLength(len(dx), len(dy), len(y))
	ks.reluBackward(dx, dy, y)
}

// SumSquares returns the sum of the squares of all values.
func (ks *Kernels) SumSquares(x []float32) float64 { return ks.sumSquares(x) }

// ScaleBytes writes src times scale to dst.
func (ks *Kernels) ScaleBytes(dst []float32, src []uint8, scale float32) {
	sameLength(len(dst), len(src))
	ks.scaleBytes(dst, src, scale)
}

// MaxPool2 pools two rows, upper and lower, of 2*len(y) values each, by their 2x2
// blocks. y gets the greatest value of each block. A NaN counts as greater than
// all others. If several are equally great, the first one counts, in the order of
// upper, then lower. chosen gets the place of that value: at for the first value
// of upper, and at+width for the first value of lower.
func (ks *Kernels) MaxPool2(y []float32, chosen []int32, upper, lower []float32, at, width int) {
	sameLength(len(y), len(chosen))
	sameLength(2*len(y), len(upper), len(lower))
	ks.maxPool2(y, chosen, upper, lower, int32(at), int32(width))
}

// Adam updates weights w by gradients g, with first and second moments m and v.
// Subnormal numbers may count as 0.
func (ks *Kernels) Adam(w, g, m, v []float32, c *Adam) {
	sameLength(len(w), len(g), len(m), len(v))
	ks.adam(w, g, m, v, &c.Scale)
}

// SGD updates weights w by gradients g, without momentum.
func (ks *Kernels) SGD(w, g []float32, c *SGD) {
	sameLength(len(w), len(g))
	ks.sgd(w, g, &c.Scale)
}

// Momentum updates weights w by gradients g, with velocities v. Subnormal
// numbers may count as 0.
func (ks *Kernels) Momentum(w, g, v []float32, c *SGD) {
	sameLength(len(w), len(g), len(v))
	ks.momentum(w, g, v, &c.Scale)
}

// Lion updates weights w by gradients g, with moments m. c is of NewLion. Subnormal numbers may count as 0.
func (ks *Kernels) Lion(w, g, m []float32, c *Lion) {
	sameLength(len(w), len(g), len(m))
	ks.lion(w, g, m, &c.Scale)
}

// Dots sets y[i] to the inner product of x and w[i*stride:], for each i.
func (ks *Kernels) Dots(y *[4]float32, x, w []float32, stride int) {
	_ = w[3*stride+len(x)-1]
	ks.dots(y, x, &w[0], stride)
}

// MulAdds does multiply-adds on registers, a vector of values at once, and
// returns how many. Its time gives the rate that no matrix product can exceed.
// rounds must be at least 1.
func (ks *Kernels) MulAdds(rounds int) int64 {
	if rounds < 1 {
		panic(fmt.Sprintf("BUG: %d rounds of multiply-adds", rounds))
	}
	ks.mulAdds(rounds)
	lanes := ks.Lanes
	if ks.Tier == cpufeat.Portable {
		lanes = 1 // Go's compiler writes no vectors
	}
	return int64(rounds) * int64(ks.chains) * int64(lanes)
}

// Triad writes x + s*y to dst. Its time gives the memory's bandwidth, as in
// STREAM (McCalpin, 1995).
func (ks *Kernels) Triad(dst, x, y []float32, s float32) {
	sameLength(len(dst), len(x), len(y))
	ks.triad(dst, x, y, s)
}

func sameLength(n int, others ...int) {
	for _, o := range others {
		if o != n {
			panic(fmt.Sprintf("BUG: vectors of %d and %d values", n, o))
		}
	}
}

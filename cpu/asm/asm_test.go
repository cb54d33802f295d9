package asm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/internal/testenv"
)

// forTiers runs a test on every tier of this machine and build.
func forTiers(t *testing.T, test func(t *testing.T, ks *Kernels, rng *rand.Rand)) {
	for _, tier := range cpufeat.Available() {
		t.Run(tier.String(), func(t *testing.T) {
			test(t, For(tier), testenv.Rand(t))
		})
	}
}

// guardWord is no value that a kernel computes.
var guardWord = math.Float32frombits(0x7fc12345)

const guards = 64

// guarded is a buffer with guard words before or behind it. At its other end begins memory that nobody may read, where the system
// can do that.
type guarded struct {
	all    []float32
	offset int
	n      int
}

// newGuarded returns n values for as long as a test takes no 32 others. They end where memory ends if offset is 0. Otherwise they
// begin offset-1 values behind the beginning of memory.
func newGuarded(n, offset int) guarded {
	memory := bounded(4 * (guards + offset + n + guards))
	all := unsafe.Slice((*float32)(unsafe.Pointer(&memory[0])), len(memory)/4)
	if offset == 0 {
		all, offset = all[len(all)-guards-n:], guards
	} else {
		all, offset = all[:offset-1+n+guards], offset-1
	}
	for i := range all {
		all[i] = guardWord
	}
	return guarded{all, offset, n}
}

// bounds returns a copy that ends where memory ends, for as long as newGuarded's.
func bounds[T any](values []T) []T {
	if len(values) == 0 {
		return values
	}
	size := int(unsafe.Sizeof(values[0]))
	memory := bounded(size * len(values))
	out := unsafe.Slice((*T)(unsafe.Pointer(&memory[len(memory)-size*len(values)])), len(values))
	copy(out, values)
	return out
}

func (g guarded) values() []float32 { return g.all[g.offset : g.offset+g.n : g.offset+g.n] }

func (g guarded) fill(rng *rand.Rand) []float32 {
	v := g.values()
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

func (g guarded) check(t *testing.T, what string) {
	t.Helper()
	for i, v := range g.all {
		if outside := i < g.offset || i >= g.offset+g.n; outside && math.Float32bits(v) != math.Float32bits(guardWord) {
			t.Fatalf("%s: wrote %v at %d of a buffer of %d values", what, v, i-g.offset, g.n)
		}
	}
}

// TestGemm computes every size of tile with both orders of A, exact and longer
// rows of B and C, fresh and accumulated. The tolerance is that of a float32 sum
// of k products.
func TestGemm(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for vectors := 1; vectors <= ks.Vectors; vectors++ {
			for rows := 1; rows <= ks.Rows(vectors); rows++ {
				for _, k := range []int{1, 2, 3, 17, 200} {
					for _, transposed := range []bool{false, true} {
						for _, accumulate := range []bool{false, true} {
							n, offset := vectors*ks.Lanes, rng.IntN(4)
							rsa, csa := k+rng.IntN(3), 1
							if transposed {
								rsa, csa = 1, rows+rng.IntN(3)
							}
							ldb, ldc := n+rng.IntN(3), n+rng.IntN(20)
							ga := newGuarded((rows-1)*rsa+(k-1)*csa+1, offset)
							gb := newGuarded((k-1)*ldb+n, offset)
							gc := newGuarded((rows-1)*ldc+n, offset)
							a, b, c := ga.fill(rng), gb.fill(rng), gc.values()
							for i := range rows { // between the rows the guard words stay
								for j := range n {
									c[i*ldc+j] = 0.5
								}
							}
							want := make([]float64, len(c))
							for i := range want {
								want[i] = float64(c[i])
							}
							var got []float32
							var exact []float64
							ks.Gemm(rows, vectors, k, a, rsa, csa, b, ldb, c, ldc, accumulate)
							for i := range rows {
								for j := range n {
									var s float64
									for p := range k {
										s += float64(a[i*rsa+p*csa]) * float64(b[p*ldb+j])
									}
									if accumulate {
										s += 0.5
									}
									exact, got = append(exact, s), append(got, c[i*ldc+j])
								}
								for j := i*ldc + n; j < min((i+1)*ldc, len(c)); j++ {
									if math.Float32bits(c[j]) != math.Float32bits(guardWord) {
										t.Fatalf("wrote between rows of C")
									}
								}
							}
							what := fmt.Sprintf("%dx%dx%d transposed %v accumulate %v", rows, vectors, k, transposed, accumulate)
							if !approx.Check(t, what, got, exact, approx.Tolerance{Abs: 3e-7 * float64(k+2), Rel: 1e-6}) {
								return
							}
							gc.check(t, what)
						}
					}
				}
			}
		}
	})
}

// TestPack gathers panels of runs of every length and compares them exactly.
func TestPack(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for range 200 {
			width := ks.Lanes * (1 + rng.IntN(ks.Vectors))
			used := width - rng.IntN(ks.Lanes)
			var runs []Run
			var source []int32 // of each column
			src := newGuarded(500, rng.IntN(4))
			for at := 0; at < used; {
				n := min(1+rng.IntN(ks.Lanes), used-at)
				from := rng.IntN(100)
				runs = append(runs, Run{Src: int32(from), Dst: int32(at)})
				for i := range n {
					source = append(source, int32(from+i))
				}
				at += n
			}
			// The last run's offset is the greatest, as in a panel of a matrix.
			runs[len(runs)-1].Src = 100
			for i := int(runs[len(runs)-1].Dst); i < used; i++ {
				source[i] = 100 + int32(i) - runs[len(runs)-1].Dst
			}
			offsets := make([]int32, 1+rng.IntN(20))
			for i := range offsets {
				offsets[i] = int32(i * 10)
			}
			x := src.fill(rng)
			dst := newGuarded(len(offsets)*width+Slack, rng.IntN(4))
			out := dst.values()
			ks.Pack(out, width, x, offsets, runs)
			dst.check(t, "pack")
			for p, offset := range offsets {
				for j, s := range source {
					if got, want := out[p*width+j], x[offset+s]; got != want {
						t.Fatalf("row %d column %d of %d: got %v, want %v", p, j, used, got, want)
					}
				}
			}
		}
	})
}

// lengths are all tails of the widest vectors, and some longer ones.
func lengths() []int {
	var out []int
	for n := range 70 {
		out = append(out, n)
	}
	return append(out, 255, 1000, 1023)
}

// elementKernel is a kernel that computes value by value: what it does with up to four arrays, and what becomes of their values.
type elementKernel struct {
	name string
	run  func(ks *Kernels, x [4][]float32)
	want func(x *[4]float64)
}

func elementwise() []elementKernel {
	adam := Adam{Scale: 0.5, Decay: 0.01, Beta1: 0.9, Rest1: 0.1, Beta2: 0.99, Rest2: 0.01, Rate: 0.1, Epsilon: 1e-3, Shrink: 0.02}
	sgd := SGD{Scale: 0.5, Decay: 0.01, Rate: 0.1, Momentum: 0.9, Direct: 0.3, Velocity: 0.7}
	lion := NewLion(Lion{Scale: 0.5, Beta1: 0.75, Rest1: 0.25, Beta2: 0.9, Rest2: 0.1, Rate: 0.1, Shrink: 0.02})
	return []elementKernel{
		{"AddBias", func(ks *Kernels, x [4][]float32) { ks.AddBias(x[0], -0.3) }, func(x *[4]float64) { x[0] += float64(float32(-0.3)) }},
		{"AddBiasReLU", func(ks *Kernels, x [4][]float32) { ks.AddBiasReLU(x[0], -0.3) }, func(x *[4]float64) { x[0] = max(0, x[0]+float64(float32(-0.3))) }},
		{"Add", func(ks *Kernels, x [4][]float32) { ks.Add(x[0], x[1]) }, func(x *[4]float64) { x[0] += x[1] }},
		{"ReLUBackward", func(ks *Kernels, x [4][]float32) { ks.ReLUBackward(x[0], x[1], x[2]) }, func(x *[4]float64) {
			x[0] = x[1]
			if x[2] <= 0 {
				x[0] = 0
			}
		}},
		{"Adam", func(ks *Kernels, x [4][]float32) { ks.Adam(x[0], x[1], x[2], x[3], &adam) }, func(x *[4]float64) {
			g := 0.5*x[1] + 0.01*x[0]
			x[2] = 0.9*x[2] + 0.1*g
			x[3] = 0.99*x[3] + 0.01*g*g
			x[0] = x[0] - 0.02*x[0] - 0.1*x[2]/(math.Sqrt(x[3])+1e-3)
		}},
		{"SGD", func(ks *Kernels, x [4][]float32) { ks.SGD(x[0], x[1], &sgd) }, func(x *[4]float64) {
			x[0] -= 0.1 * (0.5*x[1] + 0.01*x[0])
		}},
		{"Momentum", func(ks *Kernels, x [4][]float32) { ks.Momentum(x[0], x[1], x[2], &sgd) }, func(x *[4]float64) {
			g := 0.5*x[1] + 0.01*x[0]
			x[2] = 0.9*x[2] + g
			x[0] -= 0.1 * (0.3*g + 0.7*x[2])
		}},
		{"Lion", func(ks *Kernels, x [4][]float32) { ks.Lion(x[0], x[1], x[2], &lion) }, func(x *[4]float64) {
			g := 0.5 * x[1]
			sum := 0.75*x[2] + 0.25*g
			x[2] = 0.9*x[2] + 0.1*g
			x[0] -= 0.02 * x[0]
			if sum != 0 {
				x[0] -= math.Copysign(0.1, sum)
			}
		}},
	}
}

// TestElementwise compares kernels that compute value by value with float64.
// The tolerance is a few roundings of float32.
func TestElementwise(t *testing.T) {
	f := func(x []float32) []float64 {
		out := make([]float64, len(x))
		for i := range x {
			out[i] = float64(x[i])
		}
		return out
	}
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for _, k := range elementwise() {
			for _, n := range lengths() {
				var g [4]guarded
				var x [4][]float32
				for i := range x {
					g[i] = newGuarded(n, rng.IntN(4))
					x[i] = g[i].fill(rng)
				}
				for i := range x[3] {
					x[3][i] = x[3][i] * x[3][i] // a second moment
					for j := 1; j < 3; j++ {    // sums of these are 0 or have a sign that rounding doesn't change
						x[j][i] = float32(math.Round(float64(8*x[j][i]))) / 8
					}
				}
				var want [4][]float64
				for i := range want {
					want[i] = f(x[i])
				}
				for i := range n {
					v := [4]float64{want[0][i], want[1][i], want[2][i], want[3][i]}
					k.want(&v)
					for j := range v {
						want[j][i] = v[j]
					}
				}
				k.run(ks, x)
				for i := range x {
					what := fmt.Sprintf("%s, %d values, buffer %d", k.name, n, i)
					g[i].check(t, what)
					if !approx.Check(t, what, x[i], want[i], approx.Tolerance{Abs: 1e-6, Rel: 1e-6}) {
						return
					}
				}
			}
		}
	})
}

// oddValues are the limits of float32. Subnormal numbers are missing: they may count as 0 in updates of weights.
var oddValues = []float32{
	float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32,
	1e30, -1e30, 1e20, -1e20, 1e-7, 1, -1,
}

// TestOddValues compares kernels that compute value by value with the portable ones, on odd values among others. Those of activation
// functions have tests of their own.
func TestOddValues(t *testing.T) {
	ref := For(cpufeat.Portable)
	kernels := append(elementwise(),
		elementKernel{"Mul", func(ks *Kernels, x [4][]float32) { ks.Mul(x[0], x[1], x[2]) }, nil},
		elementKernel{"Scale", func(ks *Kernels, x [4][]float32) { ks.Scale(x[0], x[1], -0.3) }, nil})
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for _, k := range kernels {
			for n := range 50 {
				var x, want [4][]float32
				for i := range x {
					x[i] = newGuarded(n, rng.IntN(4)).fill(rng)
					for j := range x[i] {
						if x[i][j] *= 3; rng.IntN(3) == 0 {
							x[i][j] = oddValues[rng.IntN(len(oddValues))]
						}
						if i == 3 && x[i][j] < 0 {
							x[i][j] = -x[i][j] // a second moment
						}
					}
					want[i] = slices.Clone(x[i])
				}
				var before [4][]float32
				for i := range before {
					before[i] = slices.Clone(x[i])
				}
				k.run(ks, x)
				k.run(ref, want)
				for i := range x {
					for j := range want[i] {
						from := fmt.Sprintf("%s, %d values, value %d of buffer %d, from %v %v %v %v", k.name, n, j, i, before[0][j], before[1][j], before[2][j], before[3][j])
						got, want := x[i][j:j+1], want[i][j:j+1]
						switch {
						case want[0] != want[0]:
							if got[0] == got[0] {
								t.Fatalf("%s: got %v, want NaN", from, got[0])
							}
						case !approx.Check(t, from, got, want, approx.Tolerance{Abs: 2e-6, Rel: 2e-6}):
							return
						}
					}
				}
			}
		}
	})
}

// TestNaN: an activation must not hide a NaN, or nobody would see that training
// has failed.
func TestNaN(t *testing.T) {
	nan := float32(math.NaN())
	forTiers(t, func(t *testing.T, ks *Kernels, _ *rand.Rand) {
		y := make([]float32, 37)
		for i := range y {
			y[i] = nan
		}
		ks.AddBiasReLU(y, 1)
		for i, v := range y {
			if v == v {
				t.Errorf("AddBiasReLU made %v of NaN at %d", v, i)
			}
		}
		one := make([]float32, len(y))
		for i := range one {
			one[i] = 1
		}
		dx := make([]float32, len(y))
		ks.ReLUBackward(dx, one, y)
		for i, v := range dx {
			if v != 0 {
				t.Errorf("ReLUBackward gave %v behind NaN at %d", v, i)
			}
		}
		lion := NewLion(Lion{Scale: 1, Beta1: 0.5, Rest1: 0.5, Rate: 1})
		ks.Lion(one, y, dx, &lion)
		for i, v := range one {
			if v == v {
				t.Errorf("Lion made %v of a NaN gradient at %d", v, i)
			}
		}
	})
}

// TestSumSquares: the sum is in float64.
func TestSumSquares(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for _, n := range lengths() {
			x := newGuarded(n, rng.IntN(4)).fill(rng)
			var squares float64
			for _, v := range x {
				squares += float64(v) * float64(v)
			}
			approx.Check(t, fmt.Sprintf("SumSquares of %d", n), []float64{ks.SumSquares(x)}, []float64{squares}, approx.Tolerance{Rel: 1e-13})
		}
	})
}

func TestScaleBytes(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		const scale = float32(1) / 255
		for _, n := range lengths() {
			src := bounds(make([]uint8, n))
			for i := range src {
				src[i] = uint8(rng.Uint32())
			}
			dst := newGuarded(n, rng.IntN(4))
			ks.ScaleBytes(dst.values(), src, scale)
			dst.check(t, "ScaleBytes")
			for i, v := range dst.values() {
				if want := float32(src[i]) * scale; v != want {
					t.Fatalf("value %d of %d: got %v, want %v", i, n, v, want)
				}
			}
		}
	})
}

// TestMaxPool2 compares with a search, exactly, on values with many equals and
// NaNs.
func TestMaxPool2(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for _, n := range lengths() {
			var rows [2][]float32
			for i := range rows {
				rows[i] = newGuarded(2*n, rng.IntN(4)).values()
				for j := range rows[i] {
					rows[i][j] = float32(rng.IntN(4) - 1)
					if rng.IntN(10) == 0 {
						rows[i][j] = float32(math.NaN())
					}
				}
			}
			y, chosen := newGuarded(n, rng.IntN(4)), make([]int32, n+16)
			for i := range chosen {
				chosen[i] = -1
			}
			const at, width = 1000, 5000
			ks.MaxPool2(y.values(), chosen[:n], rows[0], rows[1], at, width)
			y.check(t, "MaxPool2")
			for i, v := range y.values() {
				best, from := float32(math.Inf(-1)), -1
				for r, row := range rows {
					for c := range 2 {
						if v := row[2*i+c]; best == best && (v > best || v != v) {
							best, from = v, at+r*width+2*i+c
						}
					}
				}
				if math.Float32bits(v) != math.Float32bits(best) || int(chosen[i]) != from {
					t.Fatalf("output %d of %d: got %v from %d, want %v from %d", i, n, v, chosen[i], best, from)
				}
			}
			for i, c := range chosen[n:] {
				if c != -1 {
					t.Fatalf("%d outputs: wrote %d places behind the end", n, i+1)
				}
			}
		}
	})
}

// TestTriad writes x + s*y, rounded once or twice.
func TestTriad(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for n := range 50 {
			dst, gx, gy := newGuarded(n, rng.IntN(4)), newGuarded(n, rng.IntN(4)), newGuarded(n, rng.IntN(4))
			x, y, s := gx.fill(rng), gy.fill(rng), float32(rng.NormFloat64())
			ks.Triad(dst.values(), x, y, s)
			dst.check(t, "Triad")
			want := make([]float64, n)
			for i := range want {
				want[i] = float64(x[i]) + float64(s)*float64(y[i])
			}
			approx.Check(t, "Triad", dst.values(), want, approx.Tolerance{Rel: 1e-6, Abs: 1e-6})
		}
	})
}

// TestMulAdds counts what a round does.
func TestMulAdds(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, _ *rand.Rand) {
		for _, rounds := range []int{1, 2, 1000} {
			want := map[cpufeat.Tier]int{cpufeat.Portable: 12, cpufeat.AVX2: 96, cpufeat.AVX512: 192, cpufeat.NEON: 96}[ks.Tier] * rounds
			if got := ks.MulAdds(rounds); got != int64(want) {
				t.Errorf("%d rounds are %d multiply-adds, want %d", rounds, got, want)
			}
		}
	})
}

// BenchmarkLimits times what no other kernel can exceed: multiply-adds on
// registers, and the triad over 3 arrays of 32 MB.
func BenchmarkLimits(b *testing.B) {
	arrays := [3][]float32{make([]float32, 8<<20), make([]float32, 8<<20), make([]float32, 8<<20)}
	for _, array := range arrays {
		portable.AddBias(array, 1) // pages that nobody has written may all be one
	}
	for _, tier := range cpufeat.Available() {
		ks := For(tier)
		b.Run("mul-adds/"+tier.String(), func(b *testing.B) {
			var done int64
			for b.Loop() {
				done += ks.MulAdds(10000)
			}
			b.ReportMetric(2*float64(done)/b.Elapsed().Seconds()/1e9, "GFLOPS")
		})
		b.Run("triad/"+tier.String(), func(b *testing.B) {
			for b.Loop() {
				ks.Triad(arrays[0], arrays[1], arrays[2], 0.5)
			}
			b.ReportMetric(12*float64(len(arrays[0]))*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
		})
	}
}

// BenchmarkVectors times the kernels that read and write memory once, over 4096
// values of each array: their bytes, from the first cache.
func BenchmarkVectors(b *testing.B) {
	const n = 4096
	f := func() []float32 { return make([]float32, n) }
	w, x, y, z, chosen, pixels := f(), f(), f(), f(), make([]int32, n/2), make([]uint8, n)
	lion := NewLion(Lion{Scale: 1, Beta1: 0.9, Rest1: 0.1, Beta2: 0.99, Rest2: 0.01, Rate: 1e-4})
	for _, tier := range cpufeat.Available() {
		ks := For(tier)
		for _, k := range []struct {
			name  string
			bytes int // a value of n
			run   func()
		}{
			{"AddBias", 8, func() { ks.AddBias(w, 1) }},
			{"AddBiasReLU", 8, func() { ks.AddBiasReLU(w, 1) }},
			{"Add", 12, func() { ks.Add(w, x) }},
			{"ReLUBackward", 12, func() { ks.ReLUBackward(w, x, y) }},
			{"SumSquares", 4, func() { ks.SumSquares(x) }},
			{"ScaleBytes", 5, func() { ks.ScaleBytes(w, pixels, 0.5) }},
			{"MaxPool2", 12, func() { ks.MaxPool2(w[:n/2], chosen, x, y, 0, n) }},
			{"Adam", 28, func() {
				ks.Adam(w, x, y, z, &Adam{Scale: 1, Beta1: 0.9, Rest1: 0.1, Beta2: 0.999, Rest2: 0.001, Rate: 1e-3, Epsilon: 1e-8})
			}},
			{"SGD", 12, func() { ks.SGD(w, x, &SGD{Scale: 1, Rate: 1e-3}) }},
			{"Lion", 20, func() {
				ks.Lion(w, x, y, &lion)
			}},
			{"Momentum", 20, func() { ks.Momentum(w, x, y, &SGD{Scale: 1, Rate: 1e-3, Momentum: 0.9, Velocity: 1}) }},
		} {
			clear(w) // adding a bias over and over must not overflow
			b.Run(k.name+"/"+tier.String(), func(b *testing.B) {
				for b.Loop() {
					k.run()
				}
				b.ReportMetric(float64(k.bytes)*n*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
			})
		}
	}
}

// BenchmarkGemm times the largest tiles at the depth of the tutorial's second
// convolution.
func BenchmarkGemm(b *testing.B) {
	const k = 400
	for _, tier := range cpufeat.Available() {
		ks := For(tier)
		for vectors := 1; vectors <= ks.Vectors; vectors++ {
			rows, n := ks.Rows(vectors), ks.Lanes*vectors
			b.Run(fmt.Sprintf("%v/%dx%d", tier, rows, n), func(b *testing.B) {
				x, y, c := make([]float32, rows*k), make([]float32, k*n), make([]float32, rows*n)
				for b.Loop() {
					ks.Gemm(rows, vectors, k, x, k, 1, y, n, c, n, false)
				}
				flop := 2 * float64(rows*n*k) * float64(b.N)
				b.ReportMetric(flop/b.Elapsed().Seconds()/1e9, "GFLOPS")
			})
		}
	}
}

// TestPatches compares both kernels with loops over all positions. Patches overlap, and an offset may come twice. The
// tolerance is that of a float32 sum of as many products as there are entries.
func TestPatches(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for _, size := range [][2]int{{5, 5}, {5, 1}, {3, 3}, {3, 1}} {
			p := ks.Patches(size[0], size[1])
			for range 50 {
				vectors, n := size[0]*size[1], rng.IntN(60)
				pitch := size[1]*ks.Lanes + rng.IntN(40)
				span := (size[0]-1)*pitch + size[1]*ks.Lanes
				gx, gp := newGuarded(span+200, rng.IntN(4)), newGuarded(vectors*ks.Lanes, rng.IntN(4))
				x, patch := gx.fill(rng), gp.fill(rng)
				values, offsets := bounds(make([]float32, n)), bounds(make([]int32, n))
				for i := range n {
					values[i], offsets[i] = float32(rng.NormFloat64()), int32(rng.IntN(201))
				}
				at := func(v, lane, i int) int { return int(offsets[i]) + v/size[1]*pitch + v%size[1]*ks.Lanes + lane }
				image := make([]float64, len(x))
				for i, v := range x {
					image[i] = float64(v)
				}
				for v := range vectors {
					for lane := range ks.Lanes {
						for i := range n {
							image[at(v, lane, i)] += float64(values[i]) * float64(patch[v*ks.Lanes+lane])
						}
					}
				}
				what := fmt.Sprintf("patches %v of %d entries", size, n)
				tolerance := approx.Tolerance{Abs: 1e-6 * float64(n+1), Rel: 1e-6}
				p.Add(x, patch, values, offsets, pitch)
				approx.Check(t, what+", added", x, image, tolerance)
				gx.check(t, what)
				gp.check(t, what)
				again := make([]float64, len(patch))
				for v := range vectors {
					for lane := range ks.Lanes {
						again[v*ks.Lanes+lane] = float64(patch[v*ks.Lanes+lane])
						for i := range n {
							again[v*ks.Lanes+lane] += float64(values[i]) * float64(x[at(v, lane, i)])
						}
					}
				}
				p.Sum(patch, x, values, offsets, pitch)
				approx.Check(t, what+", summed", patch, again, approx.Tolerance{Abs: 1e-5 * float64(n+1), Rel: 1e-5})
				gx.check(t, what)
				gp.check(t, what)
			}
		}
	})
}

// TestDots compares four inner products of every length with float64 sums.
func TestDots(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for n := 1; n < 150; n++ {
			stride := n + rng.IntN(20)
			gx, gw := newGuarded(n, rng.IntN(4)), newGuarded(3*stride+n, rng.IntN(4))
			x, w := gx.fill(rng), gw.fill(rng)
			var y [4]float32
			ks.Dots(&y, x, w, stride)
			want := make([]float64, 4)
			for i := range want {
				for j, v := range x {
					want[i] += float64(v) * float64(w[i*stride+j])
				}
			}
			what := fmt.Sprintf("%d values", n)
			approx.Check(t, what, y[:], want, approx.Tolerance{Abs: 3e-7 * float64(n+2), Rel: 1e-6})
			gx.check(t, what)
			gw.check(t, what)
		}
	})
}

// TestDirect compares every kernel of a direct convolution with loops. The tolerance is that of a float32 sum of all
// products.
func TestDirect(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		if ks.Tier != cpufeat.Portable && len(ks.directs) == 0 {
			t.Error("no kernels")
		}
		for i := range ks.directs {
			d := &ks.directs[i]
			length := d.Outputs
			if !d.whole {
				length += 1 + rng.IntN(6)
			}
			if ks.Direct(d.Columns, length, d.whole) != d {
				t.Errorf("for rows of %d: not the kernel of %d", length, d.Outputs)
			}
			for range 20 {
				rows, channels, filters := 1+rng.IntN(5), 1+rng.IntN(6), d.Filters()
				length := d.Outputs + d.Columns - 1
				pitch := length + rng.IntN(4)
				plane := rows*pitch + rng.IntN(9)
				distance := d.Outputs*ks.Lanes + rng.IntN(9)
				gx := newGuarded((rows-1)*pitch+(channels-1)*plane+length, rng.IntN(4))
				gw, gb := newGuarded(rows*channels*d.Columns*filters, rng.IntN(4)), newGuarded(filters, rng.IntN(4))
				gy := newGuarded((d.Vectors-1)*distance+d.Outputs*ks.Lanes, rng.IntN(4))
				x, w, bias, y, relu := gx.fill(rng), gw.fill(rng), gb.fill(rng), gy.values(), rng.IntN(2) == 0
				if d.whole { // the columns of padding, which it does not read
					for k := range x {
						for r := range rows {
							for c := range channels {
								if s := k - r*pitch - c*plane; s >= 0 && s < length && (s < d.Columns/2 || s >= length-d.Columns/2) {
									x[k] = 0
								}
							}
						}
					}
				}
				d.Convolve(y, distance, x, w, bias, rows, pitch, channels, plane, relu)
				var got []float32
				var want []float64
				for f := range filters {
					for i := range d.Outputs {
						sum := float64(bias[f])
						for r := range rows {
							for c := range channels {
								for s := range d.Columns {
									sum += float64(x[r*pitch+c*plane+i+s]) * float64(w[((r*channels+c)*d.Columns+s)*filters+f])
								}
							}
						}
						if relu {
							sum = max(sum, 0)
						}
						got, want = append(got, y[f/ks.Lanes*distance+i*ks.Lanes+f%ks.Lanes]), append(want, sum)
					}
				}
				what := fmt.Sprintf("%d columns, %d outputs", d.Columns, d.Outputs)
				approx.Check(t, what, got, want, approx.Tolerance{Abs: 3e-7 * float64(rows*channels*d.Columns+2), Rel: 1e-6})
				for _, g := range []guarded{gx, gw, gb, gy} {
					g.check(t, what)
				}
				for i := d.Outputs * ks.Lanes; i < distance && d.Vectors > 1; i++ {
					if math.Float32bits(y[i]) != math.Float32bits(guardWord) {
						t.Fatalf("%s: wrote between vectors of filters", what)
					}
				}
			}
			// A NaN stays one, whatever ReLU does.
			x, w, bias := make([]float32, d.Outputs+d.Columns-1), make([]float32, d.Columns*d.Filters()), make([]float32, d.Filters())
			y := make([]float32, d.Outputs*d.Filters())
			x[d.Columns/2] = float32(math.NaN())
			if d.Convolve(y, d.Outputs*ks.Lanes, x, w, bias, 1, 0, 1, 0, true); y[0] == y[0] {
				t.Errorf("%d columns, %d outputs: a NaN is lost", d.Columns, d.Outputs)
			}
		}
	})
}

// TestPoolVectors compares with MaxPool2, channel by channel, exactly.
func TestPoolVectors(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for n := 1; n < 20; n++ {
			offset := rng.IntN(4)
			gu, gl, gy := newGuarded(2*n*ks.Lanes, offset), newGuarded(2*n*ks.Lanes, offset), newGuarded(n*ks.Lanes, offset)
			upper, lower, y, chosen := gu.fill(rng), gl.fill(rng), gy.values(), make([]int32, n*ks.Lanes+1)
			for i := range upper { // equal values and NaN too
				if rng.IntN(4) == 0 {
					upper[i], lower[i] = 0, 0
				}
				if rng.IntN(20) == 0 {
					lower[i] = float32(math.NaN())
				}
			}
			chosen[n*ks.Lanes] = -1
			ks.PoolVectors(y, chosen, upper, lower, n, 100, 30)
			for lane := range ks.Lanes {
				var u, l []float32
				for i := range 2 * n {
					u, l = append(u, upper[i*ks.Lanes+lane]), append(l, lower[i*ks.Lanes+lane])
				}
				want, place := make([]float32, n), make([]int32, n)
				maxPool2Portable(want, place, u, l, 100, 30)
				for i := range n {
					if k := i*ks.Lanes + lane; math.Float32bits(y[k]) != math.Float32bits(want[i]) || chosen[k] != place[i] {
						t.Fatalf("%d outputs, %d of lane %d: %v from %d, want %v from %d", n, i, lane, y[k], chosen[k], want[i], place[i])
					}
				}
			}
			for _, g := range []guarded{gu, gl, gy} {
				g.check(t, fmt.Sprint(n, " outputs"))
			}
			if chosen[n*ks.Lanes] != -1 {
				t.Errorf("%d outputs: wrote behind the last place", n)
			}
		}
	})
}

// TestTranspose turns matrices of every size, exactly.
func TestTranspose(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for rows := 1; rows < 40; rows++ {
			columns := 1 + rng.IntN(40)
			stride, distance := columns+rng.IntN(5), rows+rng.IntN(5)
			gs, gd := newGuarded((rows-1)*stride+columns, rng.IntN(4)), newGuarded((columns-1)*distance+rows, rng.IntN(4))
			src, dst := gs.fill(rng), gd.values()
			ks.Transpose(dst, distance, src, stride, rows, columns)
			for j := range columns {
				for i := range distance {
					k := j*distance + i
					if i < rows && dst[k] != src[i*stride+j] {
						t.Fatalf("%dx%d: (%d, %d) is %v", rows, columns, i, j, dst[k])
					}
					if i >= rows && k < len(dst) && math.Float32bits(dst[k]) != math.Float32bits(guardWord) {
						t.Fatalf("%dx%d: wrote between rows", rows, columns)
					}
				}
			}
			gs.check(t, "source")
			gd.check(t, "destination")
		}
	})
}

// BenchmarkPatches takes lists as long as a channel's after 2x2 pooling of 14x14 values.
func BenchmarkPatches(b *testing.B) {
	for _, tier := range cpufeat.Available() {
		ks := For(tier)
		for _, size := range [][2]int{{5, 5}, {5, 1}, {3, 3}} {
			p := ks.Patches(size[0], size[1])
			const width, n = 18, 49
			pitch := width * ks.Lanes
			x, patch := make([]float32, width*pitch), make([]float32, size[0]*size[1]*ks.Lanes)
			values, offsets := make([]float32, n), make([]int32, n)
			for i := range n {
				values[i], offsets[i] = 1, int32(i/7*2*pitch+i%7*2*ks.Lanes)
			}
			for name, f := range map[string]func(){
				"sum": func() { p.Sum(patch, x, values, offsets, pitch) },
				"add": func() { p.Add(x, patch, values, offsets, pitch) },
			} {
				b.Run(fmt.Sprintf("%v/%dx%d/%s", tier, size[0], size[1], name), func(b *testing.B) {
					clear(x)
					for b.Loop() {
						f()
					}
					b.ReportMetric(2*float64(n*len(patch))*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOPS")
				})
			}
		}
	}
}

// BenchmarkDirect convolves a row of the tutorial's layers.
func BenchmarkDirect(b *testing.B) {
	for _, tier := range cpufeat.Available() {
		ks := For(tier)
		for _, channels := range []int{1, 32} {
			d := ks.Direct(5, 14, true)
			if d == nil {
				continue
			}
			b.Run(fmt.Sprintf("%v/channels=%d", tier, channels), func(b *testing.B) {
				x, w := make([]float32, 32*18*18), make([]float32, 5*channels*5*d.Filters())
				y, bias := make([]float32, d.Outputs*d.Filters()), make([]float32, d.Filters())
				for b.Loop() {
					d.Convolve(y, d.Outputs*ks.Lanes, x, w, bias, 5, 18, channels, 18*18, true)
				}
				b.ReportMetric(2*float64(d.Outputs*len(w))*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOPS")
			})
		}
	}
}

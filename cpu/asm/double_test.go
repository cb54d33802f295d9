package asm

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/cpufeat"
)

// TestDoubleSums compares sums in float64 with plain loops. Values lie about 100, so that a sum that is not in float64, or
// counts a value too many, is far off; the tolerance is that of adding in another order.
func TestDoubleSums(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for _, n := range lengths() {
			ga, gb := newGuarded(n, rng.IntN(4)), newGuarded(n, rng.IntN(4))
			a, b, mean := ga.fill(rng), gb.fill(rng), 100.1
			for i := range a {
				a[i] += 100
				b[i] += 100
			}
			var sum, dot, squares, product float64
			for i := range a {
				x, y := float64(a[i]), float64(b[i])
				sum += x
				dot += x * y
				squares += (x - mean) * (x - mean)
				product += x * (y - mean)
			}
			tolerance := approx.Tolerance{Rel: 1e-13, Abs: 1e-11}
			s, p := ks.GradientSums(a, b, mean)
			approx.Check(t, fmt.Sprintf("sums of %d", n),
				[]float64{ks.Sum64(a), ks.Dot(a, b), ks.SquaredDeviations(a, mean), s, p},
				[]float64{sum, dot, squares, sum, product}, tolerance)
		}
	})
}

// TestProducts takes every length, misaligned, with guard words.
func TestProducts(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		const s = -0.3
		for _, k := range []struct {
			name string
			run  func(dst, a, b []float32)
			want func(dst, a, b float64) float64
		}{
			{"Mul", func(dst, a, b []float32) { ks.Mul(dst, a, b) }, func(_, a, b float64) float64 { return a * b }},
			{"MulAdd", func(dst, a, b []float32) { ks.MulAdd(dst, a, b) }, func(dst, a, b float64) float64 { return dst + a*b }},
			{"Scale", func(dst, a, _ []float32) { ks.Scale(dst, a, s) }, func(_, a, _ float64) float64 { return s * a }},
			{"ScaleAdd", func(dst, a, _ []float32) { ks.ScaleAdd(dst, a, s) }, func(dst, a, _ float64) float64 { return dst + s*a }},
		} {
			testThree(t, k.name, rng, k.run, k.want)
		}
	})
}

// TestNormalize is TestProducts for batch normalisation, in place too.
func TestNormalize(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		// A mean that float32 does not have, of which hardly anything is left after the subtraction.
		const mean, scale, shift, slope = 1000.00001, 1.7, 0.3, -0.2
		input := func(x []float32) []float32 {
			for i := range x {
				x[i] += 1000
			}
			return x
		}
		// a is dy and b, about 0 as all of testThree's values, the distance of x from 1000.
		backward := func(a, b float64) float64 {
			return scale * (a - shift - (float64(float32(b)+1000)-mean)*slope)
		}
		testThree(t, "Normalize", rng, func(dst, a, _ []float32) {
			input(a)
			ks.Normalize(dst, a, mean, scale, shift)
			if ks.Normalize(a, a, mean, scale, shift); !slices.Equal(a, dst) {
				t.Errorf("Normalize in place: %v, want %v", a, dst)
			}
		}, func(_, a, _ float64) float64 { return (float64(float32(a)+1000)-mean)*scale + shift })
		for _, add := range []bool{false, true} {
			testThree(t, fmt.Sprintf("NormalizeBackward, add %v", add), rng, func(dst, a, b []float32) {
				x := input(slices.Clone(b))
				ks.NormalizeBackward(dst, a, x, mean, scale, shift, slope, add)
				if !add {
					if ks.NormalizeBackward(a, a, x, mean, scale, shift, slope, false); !slices.Equal(a, dst) {
						t.Errorf("NormalizeBackward in place: %v, want %v", a, dst)
					}
				}
			}, func(dst, a, b float64) float64 {
				if add {
					return dst + backward(a, b)
				}
				return backward(a, b)
			})
		}
	})
}

// testThree compares a kernel of two inputs, the second of which it may not need, with float64, within a few roundings of float32,
// and, exactly, with the values computed one at a time.
func testThree(t *testing.T, name string, rng *rand.Rand, run func(dst, a, b []float32), want func(dst, a, b float64) float64) {
	t.Helper()
	for _, n := range lengths() {
		what := fmt.Sprintf("%s, %d values", name, n)
		gd, ga, gb := newGuarded(n, rng.IntN(4)), newGuarded(n, rng.IntN(4)), newGuarded(n, rng.IntN(4))
		dst, a, b := gd.fill(rng), ga.fill(rng), gb.fill(rng)
		exact := make([]float64, n)
		for i := range exact {
			exact[i] = want(float64(dst[i]), float64(a[i]), float64(b[i]))
		}
		alone := slices.Clone(dst)
		for i := range alone {
			run(alone[i:i+1], slices.Clone(a[i:i+1]), b[i:i+1])
		}
		run(dst, slices.Clone(a), b)
		if !approx.Check(t, what, dst, exact, approx.Tolerance{Abs: 2e-6, Rel: 1e-6}) {
			return
		}
		if !slices.Equal(dst, alone) {
			t.Fatalf("%s: not what they are alone", what)
		}
		gd.check(t, what)
		ga.check(t, what)
		gb.check(t, what)
	}
}

// BenchmarkDoubles times the kernels of batch normalisation and of products over 4096 values of each array, from the first
// cache: millions of values a second.
func BenchmarkDoubles(b *testing.B) {
	const n = 4096
	x, y, z := make([]float32, n), make([]float32, n), make([]float32, n)
	for _, tier := range cpufeat.Available() {
		ks := For(tier)
		for _, k := range []struct {
			name string
			run  func()
		}{
			{"Mul", func() { ks.Mul(z, x, y) }},
			{"MulAdd", func() { ks.MulAdd(z, x, y) }},
			{"Scale", func() { ks.Scale(z, x, 0.5) }},
			{"ScaleAdd", func() { ks.ScaleAdd(z, x, 0.5) }},
			{"Dot", func() { ks.Dot(x, y) }},
			{"Sum64", func() { ks.Sum64(x) }},
			{"SquaredDeviations", func() { ks.SquaredDeviations(x, 0.1) }},
			{"GradientSums", func() { ks.GradientSums(y, x, 0.1) }},
			{"Normalize", func() { ks.Normalize(z, x, 0.1, 0.5, 0.2) }},
			{"NormalizeBackward", func() { ks.NormalizeBackward(z, y, x, 0.1, 0.5, 0.2, 0.3, false) }},
		} {
			b.Run(fmt.Sprintf("%s/%v", k.name, tier), func(b *testing.B) {
				for b.Loop() {
					k.run()
				}
				b.ReportMetric(n*float64(b.N)/float64(b.Elapsed().Nanoseconds())*1e3, "Mvalues/s")
			})
		}
	}
}

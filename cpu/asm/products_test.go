package asm

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/cpufeat"
)

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
		run(dst, a, b)
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

// BenchmarkProducts times the kernels of products over 4096 values of each array, from the first cache: millions of values a
// second.
func BenchmarkProducts(b *testing.B) {
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

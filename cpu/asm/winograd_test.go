package asm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/internal/testenv"
)

// TestWinograd convolves a channel by the three transforms, vector by vector, and compares with loops in float64. Values
// near 1 keep an error of about 1e-6 through transforms whose numbers are below 6; the tolerance is that of 50 of them.
func TestWinograd(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for _, kernel := range []int{3, 5} {
			k := ks.Winograd(kernel)
			if k == nil || k.Kernel != kernel || k.Outputs+kernel-1 != WinogradPoints {
				t.Fatalf("kernels of %d: %+v", kernel, k)
			}
			const n = WinogradPoints
			for tiles := 1; tiles < 12; tiles++ {
				for _, relu := range []bool{false, true} {
					lanes, relu := ks.Lanes, relu
					what := fmt.Sprintf("kernel %d, %d tiles, relu %v", kernel, tiles, relu)
					g := newGuarded(kernel*kernel, rng.IntN(4)).fill(rng)
					var u [n * n]float32
					for i, v := range k.FilterTransform() {
						u[i/len(g)] += v * g[i%len(g)]
					}

					// Tiles lie beside each other, with columns in common.
					columns := (tiles-1)*k.Outputs + n
					pitch := columns*lanes + rng.IntN(20)
					gx, gh := newGuarded((n-1)*pitch+columns*lanes, rng.IntN(4)), newGuarded(n*columns*lanes, rng.IntN(4))
					x := gx.fill(rng)
					k.TransformInput(gh.values(), lanes, columns*lanes, x, lanes, pitch, columns)
					step := lanes + rng.IntN(9)
					stride := tiles*step + rng.IntN(9)
					gm := newGuarded((n*n-1)*stride+(tiles-1)*step+lanes, rng.IntN(4))
					m := gm.values()
					for row := range n {
						k.TransformInput(m[row*n*stride:], step, stride, gh.values()[row*columns*lanes:], k.Outputs*lanes, lanes, tiles)
					}
					gx.check(t, what)
					gh.check(t, what)
					gm.check(t, what)
					for p := range n * n {
						for i := range tiles {
							for l := range step {
								switch at := p*stride + i*step + l; {
								case l < lanes:
									m[at] *= u[p]
								case at < len(m) && math.Float32bits(m[at]) != math.Float32bits(guardWord):
									t.Fatalf("%s: wrote between vectors", what)
								}
							}
						}
					}
					across := lanes + rng.IntN(2)*rng.IntN(9)
					yStep := k.Outputs*across + rng.IntN(9)
					yPitch := tiles*yStep + rng.IntN(9)
					gy, gb := newGuarded((k.Outputs-1)*(yPitch+across)+(tiles-1)*yStep+lanes, rng.IntN(4)), newGuarded(lanes, rng.IntN(4))
					y, bias := gy.values(), gb.fill(rng)
					k.TransformOutput(y, yStep, yPitch, across, m, step, stride, bias, relu, tiles)
					gy.check(t, what)
					gm.check(t, what)

					var got []float32
					var want []float64
					written := make([]bool, len(y))
					for i := range tiles {
						for r := range k.Outputs {
							for c := range k.Outputs {
								for l := range lanes {
									sum := float64(bias[l])
									for p := range kernel {
										for q := range kernel {
											sum += float64(g[p*kernel+q]) * float64(x[(r+p)*pitch+(i*k.Outputs+c+q)*lanes+l])
										}
									}
									if relu {
										sum = max(sum, 0)
									}
									at := i*yStep + r*yPitch + c*across + l
									written[at] = true
									got, want = append(got, y[at]), append(want, sum)
								}
							}
						}
					}
					approx.Check(t, what, got, want, approx.Tolerance{Abs: 5e-5, Rel: 1e-5})
					for i, v := range y {
						if !written[i] && math.Float32bits(v) != math.Float32bits(guardWord) {
							t.Fatalf("%s: wrote between outputs", what)
						}
					}
				}
			}
			// A NaN stays one, whatever ReLU does.
			m, bias, y := make([]float32, n*n*ks.Lanes), make([]float32, ks.Lanes), make([]float32, k.Outputs*k.Outputs*ks.Lanes)
			m[0] = float32(math.NaN())
			if k.TransformOutput(y, 0, k.Outputs*ks.Lanes, ks.Lanes, m, 0, ks.Lanes, bias, true, 1); y[0] == y[0] {
				t.Errorf("kernel %d: a NaN is lost", kernel)
			}
		}
	})
}

// TestWinogradGradient computes the gradient of filters by the transforms, lane by lane, and compares with loops in float64.
func TestWinogradGradient(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		const n = WinogradPoints
		for _, kernel := range []int{3, 5} {
			k, lanes := ks.Winograd(kernel), ks.Lanes
			transform := k.FilterTransform()
			for tiles := 1; tiles < 6; tiles++ {
				// Each transform is done twice, in planes whose vectors are some values apart.
				twice := func(f func(dst []float32, dstStep, dstStride int, src []float32, srcStep, srcStride, n int), x []float32, side, step, pitch int) []float32 {
					gh, gm := newGuarded(n*side*lanes, rng.IntN(4)), newGuarded(n*n*lanes, rng.IntN(4))
					f(gh.values(), lanes, side*lanes, x, step, pitch, side)
					f(gm.values(), n*lanes, lanes, gh.values(), side*lanes, lanes, n)
					gh.check(t, "between")
					gm.check(t, "transformed")
					return gm.values()
				}
				var sums [n * n]float32
				want := make([]float64, kernel*kernel)
				for range tiles {
					step := lanes + rng.IntN(9)
					pitch := n*step + rng.IntN(9)
					gx := newGuarded((n-1)*(pitch+step)+lanes, rng.IntN(4))
					gy := newGuarded((k.Outputs-1)*(pitch+step)+lanes, rng.IntN(4))
					x, dy := gx.fill(rng), gy.fill(rng)
					d := twice(k.TransformInput, x, n, step, pitch)
					g := twice(k.TransformGradient, dy, k.Outputs, step, pitch)
					for p := range sums {
						sums[p] += d[p*lanes+lanes-1] * g[p*lanes+lanes-1]
					}
					for r := range kernel {
						for s := range kernel {
							for h := range k.Outputs {
								for w := range k.Outputs {
									want[r*kernel+s] += float64(x[(h+r)*pitch+(w+s)*step+lanes-1]) * float64(dy[h*pitch+w*step+lanes-1])
								}
							}
						}
					}
				}
				got := make([]float32, kernel*kernel)
				for p, v := range sums {
					for i := range got {
						got[i] += transform[p*len(got)+i] * v
					}
				}
				approx.Check(t, fmt.Sprintf("kernel %d, %d tiles", kernel, tiles), got, want, approx.Tolerance{Abs: 1e-4, Rel: 1e-5})
			}
		}
	})
}

// TestWinogradError compares sums over 32 channels of noise, half of it cut off as by a ReLU, with float64, beside the
// same sums taken directly in float32. With points 1, -1, 2, -2 the ratios are 3.5 and 4.3; the limits are below those.
func TestWinogradError(t *testing.T) {
	const n, channels, rounds = WinogradPoints, 32, 200
	for _, c := range []struct {
		kernel int
		most   float64
	}{{5, 2.3}, {3, 3.2}} {
		ks := For(cpufeat.Portable)
		k := ks.Winograd(c.kernel)
		transform, area, lanes := k.FilterTransform(), c.kernel*c.kernel, ks.Lanes
		rng := rand.New(rand.NewPCG(testenv.SeedOr(t, 1), uint64(c.kernel)))
		bias := make([]float32, lanes)
		var filtered, direct float64 // sums of errors
		for range rounds {
			m, half, tile := make([]float32, n*n*lanes), make([]float32, n*n*lanes), make([]float32, n*n*lanes)
			sums, want := make([]float32, k.Outputs*k.Outputs), make([]float64, k.Outputs*k.Outputs)
			for range channels {
				x, g := make([]float32, n*n*lanes), make([]float32, area)
				for i := range n * n {
					x[i*lanes] = float32(max(0, rng.NormFloat64()))
				}
				for i := range g {
					g[i] = float32(rng.NormFloat64())
				}
				k.TransformInput(half, lanes, n*lanes, x, lanes, n*lanes, n)
				for row := range n {
					k.TransformInput(tile[row*n*lanes:], 0, lanes, half[row*n*lanes:], 0, lanes, 1)
				}
				for p := range n * n {
					var u float64
					for i, v := range g {
						u += float64(transform[p*area+i]) * float64(v)
					}
					m[p*lanes] += float32(u) * tile[p*lanes]
				}
				for i := range sums {
					for j, v := range g {
						at := x[((i/k.Outputs+j/c.kernel)*n+i%k.Outputs+j%c.kernel)*lanes]
						sums[i] += at * v
						want[i] += float64(at) * float64(v)
					}
				}
			}
			y := make([]float32, k.Outputs*k.Outputs*lanes)
			k.TransformOutput(y, 0, k.Outputs*lanes, lanes, m, 0, lanes, bias, false, 1)
			for i, w := range want {
				filtered += math.Abs(float64(y[i*lanes]) - w)
				direct += math.Abs(float64(sums[i]) - w)
			}
		}
		t.Logf("kernel %d: %.2f times the error of direct sums", c.kernel, filtered/direct)
		if filtered > c.most*direct {
			t.Errorf("kernel %d: %.2f times the error of direct sums, more than %v", c.kernel, filtered/direct, c.most)
		}
	}
}

// TestWinogradGradientError compares gradients of 3x3 filters, sums over tiles of noise, with float64, beside the same sums
// taken directly in float32. The more tiles there are, the less the transforms matter.
func TestWinogradGradientError(t *testing.T) {
	const n, kernel, rounds = WinogradPoints, 3, 200
	ks := For(cpufeat.Portable)
	k := ks.Winograd(kernel)
	transform, lanes := k.FilterTransform(), ks.Lanes
	for _, c := range []struct {
		tiles int
		most  float64
	}{{1, 6}, {32, 2.3}} {
		rng := rand.New(rand.NewPCG(testenv.SeedOr(t, 1), uint64(c.tiles)))
		var filtered, direct float64 // sums of errors
		for range rounds {
			var products [n * n]float32
			var sums, got [kernel * kernel]float32
			var want [kernel * kernel]float64
			for range c.tiles {
				x, dy := make([]float32, n*n*lanes), make([]float32, k.Outputs*k.Outputs*lanes)
				for i := range n * n {
					x[i*lanes] = float32(max(0, rng.NormFloat64()))
				}
				for i := range k.Outputs * k.Outputs {
					dy[i*lanes] = float32(rng.NormFloat64())
				}
				half, tile, other := make([]float32, n*n*lanes), make([]float32, n*n*lanes), make([]float32, n*n*lanes)
				k.TransformInput(half, lanes, n*lanes, x, lanes, n*lanes, n)
				k.TransformInput(tile, n*lanes, lanes, half, n*lanes, lanes, n)
				k.TransformGradient(half, lanes, n*lanes, dy, lanes, k.Outputs*lanes, k.Outputs)
				k.TransformGradient(other, n*lanes, lanes, half, n*lanes, lanes, n)
				for p := range products {
					products[p] += tile[p*lanes] * other[p*lanes]
				}
				for i := range sums {
					for at := range k.Outputs * k.Outputs {
						v, d := x[((at/k.Outputs+i/kernel)*n+at%k.Outputs+i%kernel)*lanes], dy[at*lanes]
						sums[i] += v * d
						want[i] += float64(v) * float64(d)
					}
				}
			}
			for p, v := range products {
				for i := range got {
					got[i] += transform[p*len(got)+i] * v
				}
			}
			for i, w := range want {
				filtered += math.Abs(float64(got[i]) - w)
				direct += math.Abs(float64(sums[i]) - w)
			}
		}
		t.Logf("%d tiles: %.2f times the error of direct sums", c.tiles, filtered/direct)
		if filtered > c.most*direct {
			t.Errorf("%d tiles: %.2f times the error of direct sums, more than %v", c.tiles, filtered/direct, c.most)
		}
	}
}

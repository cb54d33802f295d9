package asm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
)

// TestNormalizeVectors compares the kernels of batch normalisation with plain sums.
func TestNormalizeVectors(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		lanes := ks.Lanes
		for n := range 14 {
			gx, gdy, gc := newGuarded(n*lanes, rng.IntN(4)), newGuarded(n*lanes, rng.IntN(4)), newGuarded(4*lanes, rng.IntN(4))
			gs, gy := newGuarded(2*lanes, rng.IntN(4)), newGuarded(n*lanes, rng.IntN(4))
			x, dy, c, sums, y := gx.fill(rng), gdy.fill(rng), gc.fill(rng), gs.values(), gy.values()
			what := fmt.Sprintf("%d vectors", n)
			check := func(name string, got []float32, want func(k, lane int) float64) {
				t.Helper()
				var exact []float64
				for k := range got {
					exact = append(exact, want(k/lanes, k%lanes))
				}
				approx.Check(t, name+", "+what, got, exact, approx.Tolerance{Abs: 3e-7 * float64(n+8), Rel: 1e-6})
				for _, g := range []guarded{gx, gdy, gc, gs, gy} {
					g.check(t, name+", "+what)
				}
			}
			sum := func(lane int, f func(x, dy float64) float64) (total float64) {
				for i := range n {
					total += f(float64(x[i*lanes+lane])-float64(c[lane]), float64(dy[i*lanes+lane]))
				}
				return total
			}
			if n > 0 {
				ks.Moments(sums, x, c[:lanes])
				check("moments", sums, func(k, lane int) float64 {
					return sum(lane, func(x, _ float64) float64 { return []float64{x, x * x}[k] })
				})
				ks.GradientMoments(sums, dy, x, c[:lanes])
				check("gradient moments", sums, func(k, lane int) float64 {
					return sum(lane, func(x, dy float64) float64 { return []float64{dy, x * dy}[k] })
				})
				copy(y, x)
				for i := range lanes { // below some of the values
					c[lanes+i] = 0.5
				}
				ks.GradientMomentsReLU(sums, dy, y, x, c[:2*lanes])
				for i, v := range dy {
					if v != 0 != (x[i] > 0 && x[i] < 0.5) {
						t.Errorf("gradient moments with ReLU, %s: dy is %v where y is %v", what, v, x[i])
					}
				}
				check("gradient moments with ReLU", sums, func(k, lane int) float64 {
					return sum(lane, func(x, dy float64) float64 { return []float64{dy, x * dy}[k] })
				})
				ks.SumVectors(sums[:lanes], dy)
				check("sum", sums[:lanes], func(_, lane int) float64 {
					return sum(lane, func(_, dy float64) float64 { return dy })
				})
				for i := range lanes { // the most isn't below 0
					c[3*lanes+i] = float32(math.Abs(float64(c[3*lanes+i])))
				}
				for how := range (NormalizeAdd | NormalizeReLU) + 1 {
					ks.NormalizeVectors(y, x, dy, c, how)
					check(fmt.Sprintf("normalize, how %d", how), y, func(k, lane int) float64 {
						v := (float64(x[k*lanes+lane])-float64(c[lane]))*float64(c[lanes+lane]) + float64(c[2*lanes+lane])
						if how&NormalizeAdd != 0 {
							v += float64(dy[k*lanes+lane])
						}
						if how&NormalizeReLU != 0 {
							v = min(max(v, 0), float64(c[3*lanes+lane]))
						}
						return v
					})
				}
				for _, add := range []bool{false, true} {
					for i := range y {
						y[i] = 0.5
					}
					ks.NormalizeVectorsBack(y, dy, x, c, add)
					check(fmt.Sprintf("backward, add %v", add), y, func(k, lane int) float64 {
						at := k*lanes + lane
						v := float64(c[lanes+lane]) * (float64(dy[at]) - float64(c[2*lanes+lane]) - (float64(x[at])-float64(c[lane]))*float64(c[3*lanes+lane]))
						if add {
							v += 0.5
						}
						return v
					})
				}
			}
		}
	})
}

// TestWindows compares the kernels of pooling with loops over the windows. Values repeat, so that several are the greatest,
// and some are NaN.
func TestWindows(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		lanes := ks.Lanes
		for i := range 60 {
			w := Windows{N: 1 + rng.IntN(4), Rows: 1 + rng.IntN(4), Columns: 1 + rng.IntN(4)}
			if i%2 == 0 { // more than a kernel does at once
				w.N = 11 + rng.IntN(20)
			}
			stride := 1 + rng.IntN(3)
			width := (w.N-1)*stride + w.Columns + rng.IntN(3)
			w.Step, w.Pitch = stride*lanes, width*lanes
			p := Places{First: rng.IntN(50), Step: stride, Row: width}
			gx, gy := newGuarded(w.Rows*width*lanes, rng.IntN(4)), newGuarded(w.N*lanes, rng.IntN(4))
			gdx, gdy := newGuarded(w.Rows*width*lanes, rng.IntN(4)), newGuarded(w.N*lanes, rng.IntN(4))
			x, y, dx, dy := gx.values(), gy.values(), gdx.fill(rng), gdy.fill(rng)
			for i := range x {
				x[i] = float32(rng.IntN(4) - 1)
			}
			what := fmt.Sprintf("%+v", w)
			before := append([]float32(nil), dx...)
			// backward checks dx, if each value of a window gets its own share.
			backward := func(name string, share func(window, lane, at int) float64) {
				t.Helper()
				want := make([]float64, len(dx))
				for i, v := range before {
					want[i] = float64(v)
				}
				each(w, lanes, func(window, lane, at int) { want[at] += share(window, lane, at) })
				approx.Check(t, name+", "+what, dx, want, approx.Tolerance{Abs: 1e-5, Rel: 1e-5})
				for _, g := range []guarded{gx, gy, gdx, gdy} {
					g.check(t, name+", "+what)
				}
				copy(dx, before)
			}
			sums, squares := make([]float64, len(y)), make([]float64, len(y))
			each(w, lanes, func(window, lane, at int) {
				sums[window*lanes+lane] += float64(x[at]) * 0.25
				squares[window*lanes+lane] += float64(x[at]) * float64(x[at])
			})
			ks.MeanWindows(y, x, 0.25, w)
			approx.Check(t, "mean, "+what, y, sums, approx.Tolerance{Abs: 1e-6, Rel: 1e-6})
			ks.MeanWindowsBack(dx, dy, 0.25, w)
			backward("mean", func(window, lane, _ int) float64 { return float64(dy[window*lanes+lane]) * 0.25 })
			for i := range squares {
				squares[i] = math.Sqrt(squares[i])
			}
			ks.NormWindows(y, x, w)
			approx.Check(t, "norm, "+what, y, squares, approx.Tolerance{Abs: 1e-6, Rel: 1e-6})
			ks.NormWindowsBack(dx, dy, y, x, w)
			backward("norm", func(window, lane, at int) float64 {
				if k := window*lanes + lane; y[k] != 0 {
					return float64(dy[k]) / float64(y[k]) * float64(x[at])
				}
				return 0
			})

			x[rng.IntN(len(x))] = float32(math.NaN())
			chosen := make([]int32, len(y))
			wantChosen := make([]int, len(y))
			for i := range wantChosen {
				wantChosen[i] = -1
			}
			each(w, lanes, func(window, lane, at int) {
				k := window*lanes + lane
				if best := wantChosen[k]; best < 0 || x[at] > x[best] || x[at] != x[at] && x[best] == x[best] {
					wantChosen[k] = at
				}
			})
			ks.MaxWindows(y, chosen, x, w, p)
			for k, at := range wantChosen {
				if place := p.First + at/lanes; int(chosen[k]) != place || math.Float32bits(y[k]) != math.Float32bits(x[at]) {
					t.Fatalf("max, %s: value %d is %v from %d, want %v from %d", what, k, y[k], chosen[k], x[at], place)
				}
			}
			ks.MaxWindowsBack(dx, dy, chosen, w, p)
			backward("max", func(window, lane, at int) float64 {
				if k := window*lanes + lane; wantChosen[k] == at {
					return float64(dy[k])
				}
				return 0
			})
		}
	})
}

// each calls visit for each value of each window.
func each(w Windows, lanes int, visit func(window, lane, at int)) {
	for i := range w.N {
		for r := range w.Rows {
			for c := range w.Columns {
				for lane := range lanes {
					visit(i, lane, i*w.Step+r*w.Pitch+c*lanes+lane)
				}
			}
		}
	}
}

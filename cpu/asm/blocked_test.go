package asm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/cpufeat"
)

// apart returns a distance of at least least.
func apart(rng *rand.Rand, least int) int { return least + rng.IntN(9) }

// TestConvolve compares every size of tile with plain sums.
func TestConvolve(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for vectors := 1; vectors <= ks.ConvolveVectors(); vectors++ {
			for positions := 1; positions <= ks.Positions(vectors); positions++ {
				for _, how := range []Convolution{0, ConvolveAdd, ConvolveReLU, ConvolveAdd | ConvolveReLU, ConvolveReLU | ConvolveReLU6} {
					filters := vectors * ks.Lanes
					s := randomTiles(rng, ks.Lanes, positions, vectors)
					if rng.IntN(2) == 0 { // side by side, which has loops of its own
						s.XStep = ks.Lanes
					}
					var taps []Tap
					reach, products := 0, 0
					for range 1 + rng.IntN(4) {
						taps = append(taps, Tap{int32(reach + rng.IntN(5)), int32(1 + rng.IntN(2*depthOfTests))})
						last := taps[len(taps)-1]
						reach = int(last.Offset + last.Depth)
						products += int(last.Depth)
					}
					gx := newGuarded((s.Count-1)*s.XNext+(positions-1)*s.XStep+reach, rng.IntN(4))
					gw, gb := newGuarded(products*filters, rng.IntN(4)), newGuarded(filters, rng.IntN(4))
					gy := newGuarded(s.output(ks.Lanes), rng.IntN(4))
					x, w, bias, y := gx.fill(rng), gw.fill(rng), gb.fill(rng), gy.values()
					s.each(func(_, _, _, at int) { fillHalf(y[at:][:ks.Lanes]) })
					ks.Convolve(s.Tiles, y, x, bounds(taps), w, bias, how)
					var got []float32
					var want []float64
					s.each(func(n, i, v, at int) {
						for j := range ks.Lanes {
							f := v*ks.Lanes + j
							sum, k := float64(bias[f]), 0
							for _, tap := range taps {
								for c := range int(tap.Depth) {
									sum += float64(x[n*s.XNext+i*s.XStep+int(tap.Offset)+c]) * float64(w[k*filters+f])
									k++
								}
							}
							got, want = append(got, y[at+j]), append(want, finished(sum, how))
						}
					})
					what := fmt.Sprintf("%+v, %d taps, how %d", s.Tiles, len(taps), how)
					if !approx.Check(t, what, got, want, approx.Tolerance{Abs: 3e-7 * float64(products+2), Rel: 1e-6}) {
						return
					}
					for _, g := range []guarded{gx, gw, gb, gy} {
						g.check(t, what)
					}
					between(t, what, y, s.written(ks.Lanes))
				}
			}
		}
		nan := []float32{float32(math.NaN())}
		y, w, bias := make([]float32, ks.Lanes), make([]float32, ks.Lanes), make([]float32, ks.Lanes)
		if ks.Convolve(Tiles{Positions: 1, Vectors: 1, Count: 1}, y, nan, []Tap{{0, 1}}, w, bias, ConvolveReLU|ConvolveReLU6); y[0] == y[0] {
			t.Error("a NaN is lost")
		}
	})
}

// tilesOfTest are tiles whose positions and vectors don't overlap.
type tilesOfTest struct{ Tiles }

// randomTiles returns some tiles of a size.
func randomTiles(rng *rand.Rand, lanes, positions, vectors int) tilesOfTest {
	t := Tiles{Positions: positions, Vectors: vectors, Count: 1 + rng.IntN(3), YStep: apart(rng, lanes), XStep: apart(rng, 1), XNext: apart(rng, 1)}
	t.YNext = apart(rng, positions*t.YStep)
	t.Distance = apart(rng, t.Count*t.YNext)
	return tilesOfTest{t}
}

// output returns how many values the output needs.
func (t tilesOfTest) output(lanes int) int {
	return (t.Vectors-1)*t.Distance + (t.Count-1)*t.YNext + (t.Positions-1)*t.YStep + lanes
}

// each visits each vector of the output, with its tile, position and vector, and where it lies.
func (t tilesOfTest) each(visit func(n, i, v, at int)) {
	for v := range t.Vectors {
		for n := range t.Count {
			for i := range t.Positions {
				visit(n, i, v, v*t.Distance+n*t.YNext+i*t.YStep)
			}
		}
	}
}

// written returns a function that reports whether a place of the output is written.
func (t tilesOfTest) written(lanes int) func(at int) bool {
	return func(at int) bool {
		tile := at % t.Distance
		return tile/t.YNext < t.Count && tile%t.YNext/t.YStep < t.Positions && tile%t.YNext%t.YStep < lanes
	}
}

// fillHalf sets values to what finished adds to.
func fillHalf(y []float32) {
	for i := range y {
		y[i] = 0.5
	}
}

// depthOfTests is about how many channels a tap has in tests.
const depthOfTests = 9

// finished does what the choices of a Convolution say. The place to which is added holds 0.5.
func finished(sum float64, how Convolution) float64 {
	if how&ConvolveAdd != 0 {
		sum += 0.5
	}
	if how&ConvolveReLU != 0 {
		sum = max(sum, 0)
	}
	if how&ConvolveReLU6 != 0 {
		sum = min(sum, 6)
	}
	return sum
}

// between fails if a guard word is lost at a place that is not written.
func between(t *testing.T, what string, y []float32, written func(at int) bool) {
	t.Helper()
	for at, v := range y {
		if !written(at) && math.Float32bits(v) != math.Float32bits(guardWord) {
			t.Fatalf("%s: wrote at %d", what, at)
		}
	}
}

// TestDepthwise compares every number of positions with plain sums.
func TestDepthwise(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for positions := 1; positions <= ks.Positions(1); positions++ {
			for _, how := range []Convolution{0, ConvolveAdd, ConvolveReLU, ConvolveAdd | ConvolveReLU, ConvolveReLU | ConvolveReLU6} {
				s := randomTiles(rng, ks.Lanes, positions, 1+rng.IntN(3))
				s.XDistance = apart(rng, 1)
				var taps []int32
				for range 1 + rng.IntN(9) {
					taps = append(taps, int32(len(taps)*3+rng.IntN(3)))
				}
				gx := newGuarded((s.Vectors-1)*s.XDistance+(s.Count-1)*s.XNext+(positions-1)*s.XStep+int(taps[len(taps)-1])+ks.Lanes, rng.IntN(4))
				gw, gb := newGuarded(s.Vectors*len(taps)*ks.Lanes, rng.IntN(4)), newGuarded(s.Vectors*ks.Lanes, rng.IntN(4))
				gy := newGuarded(s.output(ks.Lanes), rng.IntN(4))
				x, w, bias, y := gx.fill(rng), gw.fill(rng), gb.fill(rng), gy.values()
				s.each(func(_, _, _, at int) { fillHalf(y[at:][:ks.Lanes]) })
				ks.Depthwise(s.Tiles, y, x, bounds(taps), w, bias, how)
				var got []float32
				var want []float64
				s.each(func(n, i, v, at int) {
					for j := range ks.Lanes {
						sum := float64(bias[v*ks.Lanes+j])
						for k, offset := range taps {
							sum += float64(x[v*s.XDistance+n*s.XNext+i*s.XStep+int(offset)+j]) * float64(w[(v*len(taps)+k)*ks.Lanes+j])
						}
						got, want = append(got, y[at+j]), append(want, finished(sum, how))
					}
				})
				what := fmt.Sprintf("%+v, %d taps, how %d", s.Tiles, len(taps), how)
				if !approx.Check(t, what, got, want, approx.Tolerance{Abs: 4e-6, Rel: 1e-6}) {
					return
				}
				for _, g := range []guarded{gx, gw, gb, gy} {
					g.check(t, what)
				}
				between(t, what, y, s.written(ks.Lanes))
			}
		}
		nan := make([]float32, ks.Lanes)
		nan[0] = float32(math.NaN())
		y, zero := make([]float32, ks.Lanes), make([]float32, ks.Lanes)
		if ks.Depthwise(Tiles{Positions: 1, Vectors: 1, Count: 1}, y, nan, []int32{0}, zero, zero, ConvolveReLU|ConvolveReLU6); y[0] == y[0] {
			t.Error("a NaN is lost")
		}
	})
}

// TestCorrelate compares every size of tile, and the rows of CorrelateChannels, with plain sums.
func TestCorrelate(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		test := func(rows, vectors int, channels, add bool) bool {
			height, width, xStep := 1+rng.IntN(4), 1+rng.IntN(6), apart(rng, 1)
			xSkip := rng.IntN(7) - min(3, (width-1)*xStep) // rows may overlap
			pitch, distance := width*xStep+xSkip, apart(rng, height*width*ks.Lanes)
			lanes := 1
			if channels {
				lanes = ks.Lanes
			}
			offsets := bounds(make([]int32, rows))
			for i := range offsets {
				offsets[i] = int32(rng.IntN(20))
			}
			end := max(0, (height-1)*pitch) + (width-1)*xStep + 20 + lanes
			gx, gdy := newGuarded(end, rng.IntN(4)), newGuarded((vectors-1)*distance+height*width*ks.Lanes, rng.IntN(4))
			gs := newGuarded(rows*vectors*ks.Lanes, rng.IntN(4))
			x, dy, sums := gx.fill(rng), gdy.fill(rng), gs.values()
			if add {
				for i := range sums {
					sums[i] = 0.5
				}
			}
			if channels {
				ks.CorrelateChannels(sums, x, offsets, xStep, xSkip, dy, height, width, add)
			} else {
				ks.Correlate(vectors, sums, x, offsets, xStep, xSkip, dy, distance, height, width, add)
			}
			var want []float64
			for _, offset := range offsets {
				for f := range vectors * ks.Lanes {
					v, j := f/ks.Lanes, f%ks.Lanes
					var sum float64
					if add {
						sum = 0.5
					}
					for h := range height {
						for p := range width {
							sum += float64(x[h*pitch+p*xStep+int(offset)+j%lanes]) * float64(dy[(h*width+p)*ks.Lanes+v*distance+j])
						}
					}
					want = append(want, sum)
				}
			}
			what := fmt.Sprintf("%d rows, %d vectors, %dx%d positions, channels %v, add %v", rows, vectors, height, width, channels, add)
			for _, g := range []guarded{gx, gdy, gs} {
				g.check(t, what)
			}
			return approx.Check(t, what, sums, want, approx.Tolerance{Abs: 3e-7 * float64(height*width+2), Rel: 1e-6})
		}
		for _, add := range []bool{false, true} {
			for vectors := 1; vectors <= ks.CorrelateVectors(); vectors++ {
				for rows := 1; rows <= ks.Correlations(vectors); rows++ {
					if !test(rows, vectors, false, add) || vectors == 1 && !test(rows, 1, true, add) {
						return
					}
				}
			}
		}
	})
}

// TestCorrelateBlock compares every size of tile with plain sums.
func TestCorrelateBlock(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		test := func(rows, vectors int, add bool) bool {
			p := Positions{Images: 1 + rng.IntN(3), Height: 1 + rng.IntN(4), Width: 1 + rng.IntN(6), Step: apart(rng, 1)}
			p.Row = apart(rng, p.Width*p.Step-1)
			p.Next = apart(rng, p.Height*p.Row)
			p.GradientRow = apart(rng, p.Width*ks.Lanes)
			p.GradientNext = apart(rng, p.Height*p.GradientRow)
			distance := apart(rng, p.Images*p.GradientNext)
			gx := newGuarded((p.Images-1)*p.Next+(p.Height-1)*p.Row+(p.Width-1)*p.Step+rows, rng.IntN(4))
			gdy := newGuarded((vectors-1)*distance+(p.Images-1)*p.GradientNext+(p.Height-1)*p.GradientRow+p.Width*ks.Lanes, rng.IntN(4))
			gs := newGuarded(rows*vectors*ks.Lanes, rng.IntN(4))
			x, dy, sums := gx.fill(rng), gdy.fill(rng), gs.values()
			begin := 0.0
			if add {
				begin = 0.5
				for i := range sums {
					sums[i] = 0.5
				}
			}
			ks.CorrelateBlock(rows, vectors, sums, x, dy, distance, p, add)
			var want []float64
			for i := range rows {
				for f := range vectors * ks.Lanes {
					sum := begin
					for n := range p.Images {
						for h := range p.Height {
							for w := range p.Width {
								sum += float64(x[n*p.Next+h*p.Row+w*p.Step+i]) *
									float64(dy[n*p.GradientNext+h*p.GradientRow+w*ks.Lanes+f/ks.Lanes*distance+f%ks.Lanes])
							}
						}
					}
					want = append(want, sum)
				}
			}
			what := fmt.Sprintf("%d rows, %d vectors, %+v, add %v", rows, vectors, p, add)
			for _, g := range []guarded{gx, gdy, gs} {
				g.check(t, what)
			}
			return approx.Check(t, what, sums, want, approx.Tolerance{Abs: 3e-7 * float64(p.Images*p.Height*p.Width+2), Rel: 1e-6})
		}
		for _, add := range []bool{false, true} {
			for vectors := 1; vectors <= ks.CorrelateVectors(); vectors++ {
				for rows := 1; rows <= ks.BlockCorrelations(vectors); rows++ {
					if !test(rows, vectors, add) {
						return
					}
				}
			}
		}
	})
}

// BenchmarkBlocked times the tallest tiles of each width, with operands that stay in the L1 and L2 caches.
func BenchmarkBlocked(b *testing.B) {
	for _, tier := range cpufeat.Available() {
		ks := For(tier)
		const taps, side = 9, 32
		run := func(name string, products int, f func()) {
			b.Run(fmt.Sprintf("%v/%s", tier, name), func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(2*float64(products)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOPS")
			})
		}
		x := make([]float32, 34*34*ks.Lanes)
		var list []Tap
		var offsets []int32
		for r := range 3 {
			for s := range 3 {
				at := int32((r*34 + s) * ks.Lanes)
				list, offsets = append(list, Tap{at, int32(ks.Lanes)}), append(offsets, at)
			}
		}
		for vectors := 1; vectors <= ks.ConvolveVectors(); vectors++ {
			positions, filters := ks.Positions(vectors), vectors*ks.Lanes
			y, w, bias := make([]float32, positions*filters), make([]float32, taps*ks.Lanes*filters), make([]float32, filters)
			run(fmt.Sprintf("convolve/%dx%d", positions, filters), positions*filters*taps*ks.Lanes, func() {
				ks.Convolve(Tiles{Positions: positions, Vectors: vectors, Count: 1, YStep: ks.Lanes, XStep: ks.Lanes, Distance: positions * ks.Lanes}, y, x, list, w, bias, 0)
			})
		}
		dy := make([]float32, ks.CorrelateVectors()*side*side*ks.Lanes)
		for vectors := 1; vectors <= ks.CorrelateVectors(); vectors++ {
			rows := ks.Correlations(vectors)
			sums := make([]float32, rows*vectors*ks.Lanes)
			run(fmt.Sprintf("correlate/%dx%d", rows, vectors*ks.Lanes), rows*vectors*ks.Lanes*side*side, func() {
				ks.Correlate(vectors, sums, x, consecutive(rows), ks.Lanes, 2*ks.Lanes, dy, side*side*ks.Lanes, side, side, false)
			})
		}
		for vectors := 1; vectors <= ks.CorrelateVectors(); vectors++ {
			rows := ks.BlockCorrelations(vectors)
			sums := make([]float32, rows*vectors*ks.Lanes)
			p := Positions{Images: 1, Height: 4, Width: side, Step: ks.Lanes, Row: 34 * ks.Lanes, GradientRow: side * ks.Lanes}
			run(fmt.Sprintf("correlate block/%dx%d", rows, vectors*ks.Lanes), rows*vectors*ks.Lanes*4*side, func() {
				ks.CorrelateBlock(rows, vectors, sums, x, dy, side*side*ks.Lanes, p, true)
			})
		}
		y, w := make([]float32, side*ks.Lanes), make([]float32, taps*ks.Lanes)
		run("depthwise", side*ks.Lanes*taps, func() {
			ks.Depthwise(Tiles{Positions: 8, Vectors: 1, Count: side / 8, YStep: ks.Lanes, XStep: ks.Lanes, YNext: 8 * ks.Lanes, XNext: 8 * ks.Lanes}, y, x, offsets, w, w, 0)
		})
		run("correlate channels", 8*side*side*ks.Lanes, func() {
			ks.CorrelateChannels(w, x, offsets[:8], ks.Lanes, 2*ks.Lanes, dy, side, side, false)
		})
	}
}

// consecutive returns 0, 1, 2, ...
func consecutive(n int) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = int32(i)
	}
	return list
}

// TestCopyRows copies planes of every width into planes with a border.
func TestCopyRows(t *testing.T) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		for width := 1; width < 10; width++ {
			r := Rows{Planes: 1 + rng.IntN(3), Height: 1 + rng.IntN(3), Width: width, Row: apart(rng, width*ks.Lanes)}
			r.Plane = apart(rng, r.Height*r.Row)
			gx := newGuarded(r.Planes*r.Height*width*ks.Lanes, rng.IntN(4))
			gy := newGuarded((r.Planes-1)*r.Plane+(r.Height-1)*r.Row+width*ks.Lanes, rng.IntN(4))
			x, y := gx.fill(rng), gy.values()
			ks.CopyRows(y, x, r)
			what := fmt.Sprintf("%+v", r)
			for i, v := range x {
				row, plane := i/(width*ks.Lanes)%r.Height, i/(width*ks.Lanes)/r.Height
				if got := y[plane*r.Plane+row*r.Row+i%(width*ks.Lanes)]; got != v {
					t.Fatalf("%s: value %d is %v, want %v", what, i, got, v)
				}
			}
			gx.check(t, what)
			gy.check(t, what)
			between(t, what, y, func(at int) bool {
				return at%r.Plane/r.Row < r.Height && at%r.Plane%r.Row < width*ks.Lanes
			})
		}
	})
}

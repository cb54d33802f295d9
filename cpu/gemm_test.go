package cpu

import (
	"fmt"
	"testing"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

// TestMultiply compares products of every depth and raggedness with float64. The
// tolerance is that of a float32 sum as deep.
func TestMultiply(t *testing.T) {
	rng := testenv.Rand(t)
	random := func(n int) []float32 {
		x := newBuffer(n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	for _, tier := range tiers() {
		d := open(tier, 1)(t).(*device)
		w := d.workers.all[0]
		for _, depth := range []int{1, 7, panelDepth, panelDepth + 1, 3*panelDepth + 5} {
			for _, n := range []int{1, 5, 16, 48, 100} {
				for _, accumulate := range []bool{false, true} {
					m := 1 + rng.IntN(20)
					a := matrix{random(m * depth), m, depth, 1}
					if rng.IntN(2) == 0 {
						a.rowStride, a.columnStride = 1, m
					}
					// Columns that overlap and have gaps, as windows of an image.
					var columns []int32
					for at := 0; len(columns) < n; {
						columns = append(columns, int32(at))
						at += 1 + rng.IntN(8)/7*rng.IntN(9)
					}
					rows := consecutive(depth, 1+rng.IntN(3))
					b := random(int(columns[n-1]+rows[depth-1]) + 1)
					ldc := n + rng.IntN(5)
					c := make([]float32, m*ldc)
					for i := range c {
						c[i] = 1
					}
					panels := newPanels(w.kernel, columns, w.kernel.Vectors)
					for i := range panels {
						w.multiply(a, b, rows, &panels[i], c, ldc, accumulate)
					}
					want := make([]float64, len(c))
					for i := range m {
						for j := range ldc {
							want[i*ldc+j] = 1 // behind the row's end
							if j >= n {
								continue
							}
							var sum float64
							if accumulate {
								sum = 1
							}
							for k := range depth {
								sum += float64(a.data[i*a.rowStride+k*a.columnStride]) * float64(b[rows[k]+columns[j]])
							}
							want[i*ldc+j] = sum
						}
					}
					what := fmt.Sprintf("%v: %d x %d x %d, accumulate %v", tier, m, n, depth, accumulate)
					if !approx.Check(t, what, c, want, approx.Tolerance{Abs: 3e-7 * float64(depth+2), Rel: 1e-6}) {
						return
					}
				}
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkConv times the parts of the tutorial's second convolution, for one
// image on one thread.
func BenchmarkConv(b *testing.B) {
	for _, tier := range tiers() {
		d, err := New(Options{Threads: 1, Kernels: tier.String()})
		if err != nil {
			b.Fatal(err)
		}
		defer d.Close()
		p := compile(b, d, net.BuiltIn("tutorial"), 1)
		p.pass.Batch.Indices = []int32{0}
		w := d.(*device).workers.all[0]
		var op *conv
		for _, o := range p.all.operations {
			if c, ok := o.sample.(*conv); ok {
				op = c // the last one
			}
		}
		flop := 2 * float64(op.filters*len(op.taps)*op.positions)
		for _, part := range []struct {
			name string
			run  func()
		}{
			{"forward", func() { op.forward(w, 0) }},
			{"gradient of the input", func() { op.backward(w, 0) }},
			{"gradient of the weights", op.finish},
		} {
			b.Run(tier.String()+"/"+part.name, func(b *testing.B) {
				op.prepare()
				for b.Loop() {
					part.run()
				}
				b.ReportMetric(flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOPS")
			})
		}
	}
}

// BenchmarkPack times packing one panel of the tutorial's second convolution:
// for the outputs, and for the weights' gradient.
func BenchmarkPack(b *testing.B) {
	for _, tier := range tiers() {
		ks := asm.For(tier)
		const side, channels, kernel, out = 18, 32, 5, 14
		image := newBuffer(channels * side * side)
		taps, positions := grid(channels, side*side, kernel, side, kernel, 1), grid(1, 0, out, side, out, 1)
		for _, c := range []struct {
			name          string
			rows, columns []int32
		}{{"windows", taps, positions}, {"transposed", positions, taps}} {
			panel := newPanels(ks, c.columns, ks.Vectors)[0]
			width := panel.vectors * ks.Lanes
			dst := newBuffer(len(c.rows) * width)
			b.Run(tier.String()+"/"+c.name, func(b *testing.B) {
				b.SetBytes(int64(4 * len(c.rows) * width))
				for b.Loop() {
					ks.Pack(dst, width, image, c.rows, panel.runs)
				}
			})
		}
	}
}

//go:build cuda

package cuda_test

import (
	"math"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// TestFusion trains with our kernels for convolutions and with cuDNN's alone, in each precision.
func TestFusion(t *testing.T) {
	n := &net.Network{Name: "fusion", Input: net.Shape{C: 1, H: 12, W: 12}, Layers: []net.Layer{
		&net.Conv{Filters: 5, Kernel: net.Square(5), Padding: net.PadSame}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)},
		&net.Conv{Filters: 9, Kernel: net.Square(3), Padding: net.PadSame}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)},
		&net.Flatten{}, &net.Dense{Units: 4},
	}}
	data := images(40)
	for _, c := range []struct {
		precision cuda.Precision
		share     float64 // by which what a parameter has learned may differ, of what moved the most
	}{
		{cuda.FP32, 1e-4}, // some hundred roundings
		// Where rounding decides which of four values is the largest, the gradient goes another way: 7 % were seen.
		{cuda.TF32, 0.2}, {cuda.BF16, 0.2},
	} {
		t.Run(string(c.precision), func(t *testing.T) {
			sim.Start(t)
			run := func(alone bool) net.State {
				d, err := cuda.Open(cuda.Options{Precision: c.precision, Heuristic: true, Deterministic: true, NoFusion: alone})
				if err != nil {
					t.Fatal(err)
				}
				defer closeDevice(t, d)
				p, err := d.Compile(n, net.Options{Batch: 8, Optimizer: net.SGDDefault(0.02), Seed: 3})
				if err != nil {
					t.Fatal(err)
				}
				train(t, p, data, 5, 8)
				s, err := p.State()
				if err != nil {
					t.Fatal(err)
				}
				ours := 0
				for _, choice := range statistics(p).Convolutions {
					if choice.Chosen == cuda.Fused {
						ours++
					}
				}
				if want := map[bool]int{false: 4, true: 0}[alone]; ours != want { // the input's gradient is cuDNN's
					t.Errorf("%d products by our kernels, want %d: %+v", ours, want, statistics(p).Convolutions)
				}
				return s
			}
			fused, alone := run(false), run(true)
			first := net.InitialState(planOf(t, n), 3, nil)
			for _, q := range planOf(t, n).Params {
				learned := func(s net.State) []float64 {
					var moves []float64
					for i, w := range s.Params[q.Name].Float32s() {
						moves = append(moves, float64(w-first.Params[q.Name].Float32s()[i]))
					}
					return moves
				}
				want, most := learned(alone), 0.
				for _, m := range want {
					most = max(most, math.Abs(m))
				}
				if most < 1e-3 || most > 0.1 {
					t.Errorf("%s moves by %g: that compares nothing", q.Name, most)
				}
				approx.Check(t, q.Name, learned(fused), want, approx.Tolerance{Abs: c.share * most})
			}
		})
	}
}

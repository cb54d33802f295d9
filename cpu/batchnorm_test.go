package cpu

import (
	"math"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

// TestNormalizeFarFromZero normalises values whose mean is 1,000 or 100,000 times their deviation, of images and of vectors, and
// with one sample far from all others: squares of such values, and a mean that is rounded to float32, would lose most digits.
// The first channel's values are all equal, and become 0 exactly.
func TestNormalizeFarFromZero(t *testing.T) {
	for _, tier := range tiers() {
		for _, shape := range []net.Shape{{C: 5, H: 6, W: 7}, {C: 16, H: 9, W: 33}, {C: 37, H: 1, W: 1}} {
			for _, offset := range []float64{0, 1e3, 1e5} {
				rng := testenv.Rand(t)
				const samples = 40
				data := &net.Dataset{Name: "far", Shape: shape, Classes: 3, Values: make([]float32, samples*shape.Size()), Labels: make([]int32, samples)}
				b := net.Batch{Data: data}
				for n := range samples {
					b.Indices = append(b.Indices, int32(n))
					for k := range shape.Size() {
						data.Values[n*shape.Size()+k] = float32(offset + rng.NormFloat64())
						if n == 0 {
							data.Values[k] += 500 // the first sample
						}
						if k < shape.H*shape.W {
							data.Values[n*shape.Size()+k] = float32(offset + 0.1)
						}
					}
				}
				layers := []net.Layer{&net.BatchNorm{}, &net.Flatten{}, &net.Dense{Units: 3}}
				d := open(tier, 2)(t)
				p, err := d.Compile(&net.Network{Name: "far", Input: shape, Layers: layers}, net.Options{Batch: samples, Optimizer: net.SGDDefault(0.1)})
				if err != nil {
					t.Fatal(err)
				}
				trace, err := p.(net.Tracer).Trace(b, net.Training)
				if err != nil {
					t.Fatal(err)
				}
				got := trace.Layers[0].Output.Data().([]float32)
				want := make([]float64, len(got))
				area := shape.H * shape.W
				each := func(c int, visit func(i int, x float64)) {
					for n := range samples {
						for k := range area {
							i := (n*shape.C+c)*area + k
							visit(i, float64(data.Values[i]))
						}
					}
				}
				for c := range shape.C {
					var mean, variance float64
					each(c, func(_ int, x float64) { mean += x / float64(samples*area) })
					each(c, func(_ int, x float64) { variance += (x - mean) * (x - mean) / float64(samples*area) })
					each(c, func(i int, x float64) { want[i] = (x - mean) / math.Sqrt(variance+1e-5) })
				}
				each(0, func(i int, _ float64) {
					if got[i] != 0 {
						t.Fatalf("%v, %v: an equal value becomes %v", tier, shape, got[i])
					}
				})
				approx.Check(t, tier.String()+", "+shape.String(), got, want, approx.Tolerance{Abs: 1e-5, Rel: 1e-5})
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

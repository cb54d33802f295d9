//go:build cuda

package cuda_test

import (
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/verify"
)

// TestModels compares all built-in models on small images with the reference, in bfloat16. It is long: `make cuda-long`.
func TestModels(t *testing.T) {
	if !long() {
		t.Skip("the reference takes an hour for all models: make cuda-long")
	}
	sim.Start(t)
	for _, m := range net.Models() {
		t.Run(m.Name, func(t *testing.T) {
			input := m.Input
			if input.C == 3 {
				input.H, input.W = 32, 32
			}
			n, err := m.Build(input, 10)
			if err != nil {
				t.Fatal(err)
			}
			d, err := cuda.Open(cuda.Options{Precision: cuda.BF16, Deterministic: true})
			if err != nil {
				t.Fatal(err)
			}
			defer closeDevice(t, d)
			data := devicetest.RandomData(1, input, 10, 12)
			r, err := verify.Network(t.Context(), d, n, data, verify.Options{Batch: 2, Steps: 2, Seed: 5, Roundoff: cuda.BF16.Roundoff()})
			if err != nil {
				t.Fatal(err)
			}
			if !r.OK() {
				t.Errorf("%+v", r.Failures())
			}
		})
	}
}

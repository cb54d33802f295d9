//go:build cuda

package cuda_test

import (
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
)

// open opens the device; the test's simulated machine is running.
func open(o cuda.Options) devicetest.Open {
	return func(tb testing.TB) net.Device {
		tb.Helper()
		d, err := cuda.Open(o)
		if err != nil {
			tb.Fatal(err)
		}
		return d
	}
}

func TestCompliance(t *testing.T) {
	sim.Start(t)
	devicetest.Run(t, open(cuda.Options{Precision: cuda.FP32, Deterministic: true, Heuristic: true}), devicetest.NoAllocs())
}

package cpu

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
)

// open returns a function that opens a device of a tier with some threads.
func open(tier cpufeat.Tier, threads int) devicetest.Open {
	return func(tb testing.TB) net.Device {
		tb.Helper()
		d, err := New(Options{Threads: threads, Kernels: tier.String()})
		if err != nil {
			tb.Fatal(err)
		}
		return d
	}
}

// tiers returns this processor's; with -short, as under the race detector, the
// fastest alone. `make noasm` runs the short tests on the portable one.
func tiers() []cpufeat.Tier {
	all := cpufeat.Available()
	if testing.Short() {
		return all[len(all)-1:]
	}
	return all
}

// TestCompliance holds every tier to the suite of all devices, and wants the
// same bytes from any number of threads. The fastest tier passes all of it, the
// others its short form, unless tests are to run in their long form.
func TestCompliance(t *testing.T) {
	for _, tier := range []cpufeat.Tier{cpufeat.Portable, cpufeat.AVX2, cpufeat.AVX512, cpufeat.NEON} {
		t.Run(tier.String(), func(t *testing.T) {
			if !slices.Contains(cpufeat.Available(), tier) {
				t.Skipf("this processor, or this build, has no %v kernels", tier)
			}
			if !slices.Contains(tiers(), tier) {
				t.Skip("with -short, the fastest kernels alone")
			}
			opts := []devicetest.Option{devicetest.NoAllocs()}
			for _, threads := range []int{1, 3, 7} {
				opts = append(opts, devicetest.SameBytes(fmt.Sprintf("%d threads", threads), open(tier, threads)))
			}
			if all := cpufeat.Available(); tier != all[len(all)-1] {
				opts = append(opts, devicetest.Short())
			}
			devicetest.Run(t, open(tier, 2), opts...)
		})
	}
}

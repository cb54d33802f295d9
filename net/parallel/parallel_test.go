package parallel_test

import (
	"fmt"
	"testing"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/parallel"
	"github.com/gputrain/gputrain/net/parallel/lockstep"
)

// TestCompliance: a group of devices is a device.
func TestCompliance(t *testing.T) {
	for _, members := range []int{2, 4} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			t.Parallel()
			devicetest.Run(t, func(tb testing.TB) net.Device { return processors(tb, members) }, devicetest.Short())
		})
	}
}

// processors returns a group of devices with one thread each, in lockstep.
func processors(tb testing.TB, members int) net.Device {
	tb.Helper()
	group := parallel.Local(members)
	d, err := lockstep.Open(members, func(i int) (net.Device, error) {
		own, err := cpu.New(cpu.Options{Threads: 1})
		return parallel.New(own, group[i]), err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// lists returns the parameters of a state, one behind the other, in the order of the plan.
func lists(p *net.Plan, st net.State) []float32 {
	var all []float32
	for _, q := range p.Params {
		all = append(all, st.Params[q.Name].Float32s()...)
	}
	return all
}

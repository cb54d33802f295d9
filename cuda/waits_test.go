//go:build cuda

package cuda_test

import (
	"testing"

	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
)

// TestWaits wants the host asleep while many steps run, by an event for which it blocks, and awake for an answer that is there
// soon.
func TestWaits(t *testing.T) {
	m := sim.Start(t)
	const batch = 4
	data := images(8)
	_, p := compile(t, strict, batch)
	infer := func() {
		t.Helper()
		if _, err := p.Infer(net.Batch{Data: data, Indices: []int32{0, 1}}); err != nil {
			t.Fatal(err)
		}
	}
	metrics := func() {
		t.Helper()
		train(t, p, data, 3, batch)
		if _, err := p.TakeMetrics(); err != nil {
			t.Fatal(err)
		}
	}
	metrics()
	infer()
	for _, c := range []struct {
		what          string
		do            func()
		asleep, awake int64
	}{{"TakeMetrics", metrics, 1, 0}, {"Infer", infer, 0, 1}} {
		before := m.Counters()
		c.do()
		after := m.Counters()
		// The queue waits asleep too, for what has left its pinned memory long ago.
		asleep := after["call.cuEventSynchronize"] - before["call.cuEventSynchronize"]
		awake := after["call.cuStreamSynchronize"] - before["call.cuStreamSynchronize"]
		if asleep < c.asleep || awake != c.awake {
			t.Errorf("%s waits %d times asleep and %d times awake, want %d or more and %d", c.what, asleep, awake, c.asleep, c.awake)
		}
	}
}

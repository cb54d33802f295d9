//go:build cuda

package cuda_test

import (
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
)

func statistics(p net.Program) cuda.Statistics {
	return p.(interface{ Statistics() cuda.Statistics }).Statistics()
}

// TestStatistics compares what a program tells of itself with what the machine counted. Its first forward convolution has
// failed, so there an algorithm was dropped.
func TestStatistics(t *testing.T) {
	m := sim.Start(t)
	o := strict
	o.Deterministic, o.NoFusion, o.MemoryLimit = false, true, 900<<20
	d, p := compile(t, o, 8)
	const notSupported = 9 // of cuDNN 8; any failure will do
	m.Set(sim.Fault("cudnnConvolutionForward", 1, notSupported))
	before := statistics(p)
	if before.Graphs != (cuda.GraphStats{}) || len(before.Convolutions) != 5 {
		t.Errorf("before the first step: %+v", before)
	}
	data := images(64)
	train(t, p, data, 64, 8)
	if _, err := p.TakeMetrics(); err != nil {
		t.Fatal(err)
	}
	s, counted := statistics(p), m.Counters()
	if s.Memory != d.Memory() || s.Memory.Limit != o.MemoryLimit || s.Memory.Planned == 0 || s.Memory.InUse > s.Memory.Reserved {
		t.Errorf("memory: %+v", s.Memory)
	}
	if s.Memory.Allocations != int(counted["allocations"]) {
		t.Errorf("%d allocations, the machine counted %d", s.Memory.Allocations, counted["allocations"])
	}
	if s.Graphs.Captured != 1 || int64(s.Graphs.Nodes)*counted["graph launches"] != counted["graph nodes run"] || s.Graphs.Nodes == 0 {
		t.Errorf("graphs: %+v, the machine counted %d nodes in %d launches", s.Graphs, counted["graph nodes run"], counted["graph launches"])
	}
	var largest int64
	for i, want := range []struct{ layer, direction string }{{"conv1", "forward"}, {"conv1", "backward filter"},
		{"conv2", "forward"}, {"conv2", "backward data"}, {"conv2", "backward filter"}} {
		c := s.Convolutions[i]
		dropped := 0
		if i == 0 {
			dropped = 1
		}
		if c.Layer != want.layer || c.Direction != want.direction || c.Batch != 8 || c.Chosen != cuda.Heuristic || c.Dropped != dropped {
			t.Errorf("choice %d is %+v, want %v", i, c, want)
		}
		largest = max(largest, c.Workspace)
	}
	if a, b := before.Convolutions[0].Algorithm, s.Convolutions[0].Algorithm; a == b || a == "" || b == "" {
		t.Errorf("algorithm %q failed, and %q is in use", a, b)
	}
	if s.Workspace < largest {
		t.Errorf("a workspace of %d bytes, an algorithm needs %d", s.Workspace, largest)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if s := statistics(p); s.Convolutions != nil || s.Memory != (cuda.MemoryStats{}) {
		t.Errorf("a closed program tells %+v", s)
	}
}

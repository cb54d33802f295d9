//go:build cuda

package bench_test

import (
	"errors"
	"testing"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/parallel"
	"github.com/gputrain/gputrain/net/parallel/lockstep"
)

// TestSumsAreTheGroups compares the sums of the model of scaling with those that two GPUs make in a step: how many, and of how many
// bytes.
func TestSumsAreTheGroups(t *testing.T) {
	relu := &net.Activation{Func: net.ReLU}
	for _, n := range []*net.Network{
		{Name: "two turns", Input: net.Shape{C: 1, H: 8, W: 8}, Layers: []net.Layer{
			&net.Conv{Filters: 3, Kernel: net.Square(3), NoBias: true}, &net.BatchNorm{}, relu, &net.Flatten{},
			&net.Dense{Units: 1500}, relu, &net.Dense{Units: 1500, NoBias: true}, &net.BatchNorm{}, relu, &net.Dense{Units: 3}}},
		{Name: "frozen", Input: net.Shape{C: 3, H: 8, W: 8}, Layers: []net.Layer{
			&net.Conv{Filters: 5, Kernel: net.Square(3), Frozen: net.Frozen{All: true}}, &net.BatchNorm{Frozen: net.Frozen{All: true}},
			&net.Conv{Filters: 7, Kernel: net.Square(3)}, &net.BatchNorm{}, &net.Flatten{}, &net.Dense{Units: 3}}},
	} {
		for _, precision := range []cuda.Precision{cuda.FP32, cuda.BF16} {
			if n.Name == "two turns" && precision == cuda.FP32 && !testenv.Long() {
				continue // for time: with local statistics it runs in this precision
			}
			t.Run(n.Name+" "+string(precision), func(t *testing.T) { compareSums(t, n, precision, false) })
		}
		t.Run(n.Name+", local statistics", func(t *testing.T) { compareSums(t, n, cuda.FP32, true) })
	}
}

func compareSums(t *testing.T, n *net.Network, precision cuda.Precision, local bool) {
	const members, batch = 2, 4
	m := sim.Start(t, sim.Devices(members), sim.Traffic())
	options := net.Options{Batch: batch, Optimizer: net.SGDDefault(1e-3), LocalStatistics: local}
	report, err := bench.Scaling{Network: n, Optimizer: options.Optimizer, Precision: precision, LocalStatistics: local, GlobalBatch: batch, GPUs: []int{members}, GPU: bench.GPUs[0],
		Interconnect: bench.Interconnect{Link: bench.Links[0], Network: bench.MachineNetworks[0], GPUsPerMachine: members}}.Report()
	if err != nil {
		t.Fatal(err)
	}
	id, err := cuda.NewUniqueID()
	if err != nil {
		t.Fatal(err)
	}
	d, err := lockstep.Open(members, func(i int) (net.Device, error) {
		own, err := cuda.Open(cuda.Options{Index: i, Precision: precision, Deterministic: true})
		if err != nil {
			return nil, err
		}
		g, err := own.Join(cuda.GroupOptions{ID: id, Rank: i, Size: members})
		if err != nil {
			return nil, errors.Join(err, own.Close())
		}
		return parallel.New(own, g), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p, err := d.Compile(n, options)
	if err != nil {
		t.Fatal(err)
	}
	b := net.Batch{Data: &net.Dataset{Name: "pixels", Shape: n.Input, Classes: 3, Scale: 1. / 255, Pixels: make([]uint8, batch*n.Input.Size()), Labels: make([]int32, batch)}}
	for i := range b.Data.Pixels {
		b.Data.Pixels[i] = uint8(i*i*31 + i*7)
	}
	for i := range batch {
		b.Indices = append(b.Indices, int32(i))
	}
	// sums makes steps, and returns how many sums all members made meanwhile, and of how many bytes.
	sums := func(steps int) (count, bytes int64) {
		t.Helper()
		before, moved := m.Counters()["ran.ncclAllReduce"], m.Moved()["ncclAllReduce"].Read
		for range steps {
			if err := p.Step(b); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.TakeMetrics(); err != nil {
			t.Fatal(err)
		}
		return m.Counters()["ran.ncclAllReduce"] - before, m.Moved()["ncclAllReduce"].Read - moved
	}
	sums(2) // the second captures a graph
	// Metrics are summed too, so the sums of a step are the difference.
	count, bytes := sums(1)
	moreCount, moreBytes := sums(2)
	count, bytes = moreCount-count, moreBytes-bytes
	point := report.Points[0]
	if want := int64(members * (point.GradientSums + point.NormSums)); count != want || (point.NormSums == 0) != local {
		t.Errorf("a step makes %d sums, want %d", count, want)
	}
	// Memory is read in sectors of 32 bytes.
	if want := members * (point.GradientBytes + point.NormBytes); bytes < want || bytes > want+31*count {
		t.Errorf("a step sums %d bytes, want %d", bytes, want)
	}
	if n.Name == "two turns" && point.GradientSums != 2 {
		t.Errorf("%d turns", point.GradientSums)
	}
}

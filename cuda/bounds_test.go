//go:build cuda

package cuda_test

import (
	"slices"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
)

// measured chooses algorithms by measuring them, as the zero Options do.
var measured = cuda.Options{Precision: cuda.FP32, NoFusion: true}

// limit is a limit of memory that leaves some bytes beside what the GPU takes for itself: cuBLAS's workspace, which is
// larger on newer ones.
func limit(t *testing.T, bytes int64) int64 {
	t.Helper()
	d, err := cuda.Open(strict)
	if err != nil {
		t.Fatal(err)
	}
	own := d.Memory().InUse
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return own + bytes
}

// TestManySizes has mini-batches of more sizes than descriptors are kept for: graphs are captured all the same.
func TestManySizes(t *testing.T) {
	m := sim.Start(t)
	data := images(32)
	o := measured
	o.Workspace = 1 << 20 // for speed
	const most = 18
	_, p := compile(t, o, most)
	evaluate := func(sizes ...int) {
		t.Helper()
		for _, n := range sizes {
			if _, err := p.Evaluate(net.Batch{Data: data, Indices: make([]int32, n)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range most {
		evaluate(n + 1)
	}
	evaluate(1, most)
	before := m.Counters()["graph launches"]
	evaluate(1, 2, 1, 2)
	if _, err := p.TakeMetrics(); err != nil {
		t.Fatal(err)
	}
	if m.Counters()["graph launches"] == before {
		t.Error("nothing is captured any more")
	}
}

// TestManyDataSets asks about ever other data: memory does not grow with it.
func TestManyDataSets(t *testing.T) {
	sim.Start(t)
	d, p := compile(t, strict, 4)
	infer := func(data *net.Dataset) []float32 {
		t.Helper()
		out, err := p.Infer(net.Batch{Data: data, Indices: []int32{0, 1}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Data().([]float32)
	}
	data := images(2)
	infer(data)
	var most int64
	for i := range 20 {
		infer(images(2))
		if err := p.Step(net.Batch{Data: images(3), Indices: []int32{0, 1, 2}}); err != nil {
			t.Fatal(err)
		}
		switch used := d.Memory().InUse; {
		case i == 10:
			most = used
		case i > 10 && used > most:
			t.Fatalf("%d bytes in use, %d some data sets ago", used, most)
		}
	}
	state, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	if state.Step != 20 {
		t.Errorf("%d steps, want 20", state.Step)
	}
	infer(data)
	other := *data
	other.Scale = 1
	if slices.Equal(infer(data), infer(&other)) {
		t.Error("the same pixels at another scale give the same answer")
	}
}

// TestMeasuringInLittleMemory has less memory than measuring algorithms would like.
func TestMeasuringInLittleMemory(t *testing.T) {
	sim.Start(t)
	o := measured
	o.MemoryLimit = limit(t, 68<<20)
	d, p := compile(t, o, 8)
	train(t, p, images(32), 3, 8)
	if _, err := p.TakeMetrics(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if used := d.Memory().InUse; used != 0 {
		t.Errorf("closed, with %d bytes in use", used)
	}
}

// TestFreeBlocksMakeRoom compiles for a larger mini-batch than before, where there is no room for both.
func TestFreeBlocksMakeRoom(t *testing.T) {
	sim.Start(t)
	o := strict
	o.MemoryLimit = limit(t, 96<<20)
	d, p := compile(t, o, 6000)
	for _, batch := range []int{7000, 8000, 9000, 10000} {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if p, err = d.Compile(network(), net.Options{Batch: batch, Optimizer: net.AdamDefault(1e-3)}); err != nil {
			t.Fatal(err)
		}
	}
}

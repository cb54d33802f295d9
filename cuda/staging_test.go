//go:build cuda

package cuda_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
)

// asFloats returns the data set with its samples as float32.
func asFloats(d *net.Dataset) *net.Dataset {
	out := *d
	out.Pixels, out.Scale = nil, 0
	for _, b := range d.Pixels {
		out.Values = append(out.Values, float32(b)*d.Scale)
	}
	return &out
}

// perceptron opens a device with a limit of memory and compiles a network without convolutions, whose workspaces would grow
// later. Every buffer is an allocation, so that the limit is exact.
func perceptron(t *testing.T, limit int64, batch int) (*cuda.Device, net.Program) {
	t.Helper()
	o := strict
	o.SingleAllocations, o.MemoryLimit = true, limit
	d, err := cuda.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	p, err := d.Compile(perceptronNetwork(), perceptronOptions(batch))
	if err != nil {
		t.Fatal(err)
	}
	return d, p
}

func perceptronNetwork() *net.Network {
	return &net.Network{Name: "perceptron", Input: net.Shape{C: 1, H: 12, W: 12}, Layers: []net.Layer{
		&net.Flatten{}, &net.Dense{Units: 16}, &net.Activation{Func: net.ReLU}, &net.Dropout{Rate: 0.25}, &net.Dense{Units: 4},
	}}
}

func perceptronOptions(batch int) net.Options {
	return net.Options{Batch: batch, Optimizer: net.AdamDefault(1e-3), Seed: 3}
}

// needed returns the memory that training takes besides the samples of a data set.
func needed(t *testing.T, data *net.Dataset, batch int) int64 {
	t.Helper()
	sim.Start(t)
	d, p := perceptron(t, 0, batch)
	train(t, p, data, 1, batch)
	if _, err := p.TakeMetrics(); err != nil {
		t.Fatal(err)
	}
	return d.Memory().Peak - int64(len(data.Pixels)+4*len(data.Values)+4*len(data.Labels))
}

// TestStreamed trains on data sets for which there is no room in device memory: the weights are those of training with
// room, on several schedules.
func TestStreamed(t *testing.T) {
	const batch, count = 8, 4000
	pixels := images(count)
	floats := asFloats(pixels)
	run := func(t *testing.T, p net.Program, data *net.Dataset) []byte {
		t.Helper()
		train(t, p, data, 70, batch)
		score, err := p.Evaluate(net.Batch{Data: data, Indices: []int32{3, 1, count - 1}})
		if err != nil {
			t.Fatal(err)
		}
		train(t, p, data, 3, 5)
		m, err := p.TakeMetrics()
		if err != nil {
			t.Fatal(err)
		}
		trace, err := p.(net.Tracer).Trace(net.Batch{Data: data, Indices: []int32{count - 2, 0}}, net.Training)
		if err != nil {
			t.Fatal(err)
		}
		state, err := p.State()
		if err != nil {
			t.Fatal(err)
		}
		all := fmt.Appendf(nil, "%v %v %v", score, m, trace.Layers[0].Output.Data())
		for _, of := range []map[string]*tensor.Dense{state.Params, state.Optimizer} {
			for _, name := range slices.Sorted(maps.Keys(of)) {
				all = fmt.Appendf(all, " %s %v", name, of[name].Data())
			}
		}
		return all
	}
	for _, data := range []*net.Dataset{pixels, floats} {
		kind := map[bool]string{true: "bytes", false: "floats"}[data.Pixels != nil]
		var want []byte
		t.Run(kind+" with room", func(t *testing.T) {
			sim.Start(t)
			_, p := perceptron(t, 0, batch)
			want = run(t, p, data)
		})
		// Room for few mini-batches at once, and for as many as go up together.
		var base int64
		t.Run(kind+" room needed", func(t *testing.T) { base = needed(t, data, batch) })
		for _, room := range []int64{12 << 10, 400 << 10} {
			t.Run(fmt.Sprintf("%s in %d bytes", kind, room), func(t *testing.T) {
				sim.Seeds(t, 3, func(t *testing.T, m *sim.Machine) {
					d, p := perceptron(t, base+room, batch)
					if got := run(t, p, data); !bytes.Equal(got, want) {
						t.Error("other weights, sums or input than with room")
					}
					if used := d.Memory().Peak; used > base+room {
						t.Errorf("%d bytes in use, of %d", used, base+room)
					}
				})
			})
		}
	}
}

// TestStreamedStep counts what steps on a streamed data set ask of the driver.
func TestStreamedStep(t *testing.T) {
	const batch = 8
	data := images(4000)
	var base int64
	t.Run("room needed", func(t *testing.T) { base = needed(t, data, batch) })
	m := sim.Start(t)
	_, p := perceptron(t, base+(100<<10), batch)
	const ahead = 32
	train(t, p, data, 2*ahead, batch)
	if _, err := p.TakeMetrics(); err != nil {
		t.Fatal(err)
	}
	before := m.Counters()
	train(t, p, data, 4*ahead, batch)
	after := m.Counters()
	for name, want := range map[string]int64{
		"call.cuGraphLaunch": 4 * ahead, "call.cuMemcpyHtoDAsync_v2": 3 * 4, "allocations": 0, "pinned allocations": 0,
		"call.cuLaunchKernel": 0, "call.cuStreamSynchronize": 0,
	} {
		if got := after[name] - before[name]; got != want {
			t.Errorf("%d steps: %s %d times, want %d", 4*ahead, name, got, want)
		}
	}
	if _, err := p.TakeMetrics(); err != nil {
		t.Fatal(err)
	}
}

// TestDataSetsMakeRoom has room for one of two data sets: each in turn takes the other's place, and none is streamed.
func TestDataSetsMakeRoom(t *testing.T) {
	const batch = 8
	first := images(4000)
	second := images(4000)
	slices.Reverse(second.Pixels)
	var base int64
	t.Run("room needed", func(t *testing.T) { base = needed(t, first, batch) })
	m := sim.Start(t)
	size := int64(len(first.Pixels) + 4*len(first.Labels))
	d, p := perceptron(t, base+size*3/2, batch)
	infer := func(data *net.Dataset) []float32 {
		t.Helper()
		out, err := p.Infer(net.Batch{Data: data, Indices: []int32{17, 2, 3999}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Data().([]float32)
	}
	a, b := infer(first), infer(second)
	if slices.Equal(a, b) {
		t.Fatal("both data sets give the same answers: the test shows nothing")
	}
	for range 3 {
		if !slices.Equal(infer(first), a) || !slices.Equal(infer(second), b) {
			t.Fatal("another answer after data sets have taken turns")
		}
	}
	if used := d.Memory().InUse; used > base+size {
		t.Errorf("%d bytes in use: both data sets are", used)
	}
	if streams := m.Counters()["call.cuStreamCreate"]; streams != 3 { // the device's own
		t.Errorf("%d streams: a data set is streamed", streams)
	}
}

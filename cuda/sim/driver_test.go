//go:build cuda && cgo && linux && (amd64 || arm64)

package sim_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/cuda/sim/internal/calls"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
)

// What looks like a GPU here must never be taken for one, and a GPU not for the simulator.
func TestDeviceSaysThatItIsSimulated(t *testing.T) {
	m := sim.Start(t)
	r := newRig(t, m)
	libraries, err := driver.Open()
	r.must(err)
	name, err := r.device.Name()
	r.must(err)
	for _, n := range []string{name, libraries.Devices[0].Name} {
		if strings.Contains(n, "(simulated)") != m.Simulated() {
			t.Errorf("the device calls itself %q", n)
		}
	}
	t.Logf("\n%v", libraries)
	if n := libraries.NCCL; m.Simulated() && (n.Err != nil || n.Version != driver.Version{Major: 2, Minor: 21, Patch: 3}) {
		t.Errorf("NCCL %v, %v", n.Version, n.Err)
	}
}

// Each of four streams uploads, copies on the device what another stream uploaded, and downloads it, all unordered but
// for the events between them.
func TestMemoryRoundTripsOnStreams(t *testing.T) {
	sim.Seeds(t, schedules, func(t *testing.T, m *sim.Machine) {
		const streams, n = 4, 1000
		const bytes = 4 * n
		r := newRig(t, m)
		var stream [streams]cu.Stream
		var uploaded [streams]cu.Event
		var from, copied [streams]cu.DevicePtr
		var in, out [streams][]float32
		for i := range streams {
			var err error
			stream[i] = r.newStream()
			uploaded[i], err = cu.MakeEvent(cu.DisableTiming)
			r.must(err)
			t.Cleanup(func() { r.freed(cu.DestroyEvent(&uploaded[i])) })
			from[i], copied[i] = r.buffer(n), r.buffer(n)
			in[i], out[i] = r.pinned(n), r.pinned(n)
			copy(in[i], r.values(n))
		}
		for i := range streams {
			r.must(cu.MemcpyHtoDAsync(from[i], unsafe.Pointer(&in[i][0]), bytes, stream[i]))
			r.must(uploaded[i].Record(stream[i]))
		}
		for i := range streams {
			other := (i + 1) % streams
			r.must(stream[i].Wait(uploaded[other], 0))
			r.must(cu.MemcpyDtoDAsync(copied[i], from[other], bytes, stream[i]))
			r.must(cu.MemcpyDtoHAsync(unsafe.Pointer(&out[i][0]), copied[i], bytes, stream[i]))
		}
		for i := range streams {
			r.must(stream[i].Synchronize())
		}
		r.must(cu.Synchronize()) // the other streams read what this one uploaded
		for i := range streams {
			approx.Check(t, "downloaded", out[i], in[(i+1)%streams], approx.Tolerance{})
		}
	})
}

// biasAdd loads the kernel and returns what launches it on the rig's stream.
func (r *rig) biasAdd(y, bias cu.DevicePtr, n, c, i int) func() error {
	r.Helper()
	all := kernels.Modules()
	ours := slices.IndexFunc(all, func(m kernels.Module) bool { return m.Name == "bias" })
	module, err := cu.LoadData(all[ours].PTX())
	r.must(err)
	r.Cleanup(func() { r.freed(module.Unload()) })
	var device kernels.Device
	for attribute, value := range map[cu.DeviceAttribute]*int{
		cu.MultiprocessorCount:         &device.Multiprocessors,
		cu.MaxThreadsPerMultiprocessor: &device.ThreadsPerMultiprocessor,
		cu.MaxThreadsPerBlock:          &device.ThreadsPerBlock,
	} {
		*value, err = r.device.Attribute(attribute)
		r.must(err)
	}
	launch, err := kernels.BiasAdd{
		X: kernels.Float32.At(uint64(y)), Bias: kernels.Pointer[float32](bias),
		Count: uint32(n * c * i), Channels: uint32(c), Extent: uint32(i),
	}.Launch(device)
	r.must(err)
	function, err := module.Function(launch.Kernel.Name)
	r.must(err)
	return func() error {
		return function.Launch(launch.Blocks, 1, 1, launch.Threads, 1, 1, 0, r.stream, launch.Pointers())
	}
}

// withBias is y[n][c][i] + times * bias[c].
func withBias(y, bias []float32, channels, inner int, times float64) []float64 {
	want := doubles(y)
	for i := range want {
		want[i] += times * float64(bias[i/inner%channels])
	}
	return want
}

// Our own kernel's PTX, from nvcc, in the interpreter.
func TestKernel(t *testing.T) {
	sim.Seeds(t, schedules, func(t *testing.T, m *sim.Machine) {
		const n, c, i = 3, 5, 77
		r := newRig(t, m)
		y, bias := r.values(n*c*i), r.values(c)
		onDevice := r.upload(y)
		launch := r.biasAdd(onDevice, r.upload(bias), n, c, i)
		r.must(launch())
		r.check("y + bias", onDevice, withBias(y, bias, c, i, 1), sumOf(1))
	})
}

// Sums on tensor cores are rounded as the device's generation does it: 1 - 1 + 2^-30, where the last term is the fifth.
// Ampere adds four products of TF32 at once, and then the fifth to their sum. Hopper adds all five at once, and cuts off
// what is that small beside 1.
func TestTensorCores(t *testing.T) {
	text, err := os.ReadFile("src/ptx/test/kernels/matrix.ptx")
	if err != nil {
		t.Fatal(err)
	}
	for _, major := range []int{8, 9} {
		t.Run(fmt.Sprintf("%d.0", major), func(t *testing.T) {
			r := newRig(t, sim.Start(t, sim.ComputeCapability(major, 0)))
			major, err := r.device.Attribute(cu.ComputeCapabilityMajor) // another one if it is a real GPU
			r.must(err)
			if major < 8 {
				t.Skip("the kernel needs compute capability 8.0")
			}
			module, err := cu.LoadData(string(text))
			r.must(err)
			t.Cleanup(func() { r.freed(module.Unload()) })
			function, err := module.Function("mma_tf32_8")
			r.must(err)
			const rows, columns, inner = 16, 8, 8
			a, b, want := make([]float32, rows*inner), make([]float32, columns*inner), make([]float64, rows*columns)
			a[0], a[1], a[4] = 1, -1, 0x1p-30
			for i := range b {
				b[i] = 1
			}
			if major == 8 {
				for column := range columns {
					want[column] = 0x1p-30
				}
			}
			d := r.buffer(rows * columns)
			operands := []cu.DevicePtr{d, r.upload(a), r.upload(b), r.upload(make([]float32, rows*columns))}
			var pointers []unsafe.Pointer
			for i := range operands {
				pointers = append(pointers, unsafe.Pointer(&operands[i]))
			}
			r.must(function.Launch(1, 1, 1, 32, 1, 1, 0, r.stream, pointers))
			r.check("1 - 1 + 2^-30", d, want, approx.Tolerance{})
		})
	}
}

// A captured graph does nothing until it is launched, and then the same each time.
func TestGraphReplays(t *testing.T) {
	sim.Seeds(t, schedules, func(t *testing.T, m *sim.Machine) {
		const n, c, i, replays = 2, 4, 9, 3
		r := newRig(t, m)
		y, bias := r.values(n*c*i), r.values(c)
		onDevice, result := r.upload(y), r.buffer(len(y))
		launch := r.biasAdd(onDevice, r.upload(bias), n, c, i)
		graph, err := calls.Capture(r.stream, func() error {
			if err := launch(); err != nil {
				return err
			}
			return cu.MemcpyDtoDAsync(result, onDevice, int64(4*len(y)), r.stream)
		})
		r.must(err)
		r.check("y after capture", onDevice, doubles(y), approx.Tolerance{})
		var before map[string]int64
		if m.Simulated() {
			before = m.Counters()
		}
		for range replays {
			r.must(graph.Launch(r.stream))
		}
		if m.Simulated() {
			after := m.Counters()
			for counter, want := range map[string]int64{
				"graph launches": replays, "call.cuLaunchKernel": 0, "allocations": 0, "synchronisations": 0,
			} {
				if n := after[counter] - before[counter]; n != want {
					t.Errorf("replays made %d of %q, want %d", n, counter, want)
				}
			}
			t.Logf("counters\n%v", sim.Report{Counters: after})
		}
		r.check("y after replays", result, withBias(y, bias, c, i, replays), sumOf(1+replays))
		r.must(graph.Close())
	})
}

// What a test has not expected fails it; judge's own test shows how. Here the machine finds what is wrong.
func TestWrongProgramIsFound(t *testing.T) {
	m := sim.Start(t)
	m.Expect("out of bounds", sim.LeakCheck)
	r := newRig(t, m)
	const n = 16
	p, err := cu.MemAlloc(4 * n)
	r.must(err)
	r.must(cu.MemsetD32Async(p, 0, n, r.stream))
	if err := cu.MemsetD32Async(p, 0, n+1, r.stream); err == nil {
		t.Error("one element too much was taken")
	}
	r.must(r.stream.Synchronize())
}

// Faults on demand reach the program as the library's own errors.
func TestFaults(t *testing.T) {
	const notPermitted = 800
	m := sim.Start(t, sim.Fault("cuMemAlloc_v2", 2, notPermitted))
	r := newRig(t, m)
	r.buffer(1)
	if _, err := cu.MemAlloc(4); err == nil {
		t.Error("the second allocation should fail")
	}
	r.buffer(1)
	m.Set(sim.OOM(1))
	if _, err := cu.MemAlloc(4); !errors.Is(err, cu.OutOfMemory) {
		t.Errorf("the next allocation gives %v, want OutOfMemory", err)
	}
	r.buffer(1)
}

// A device that is lost answers nothing any more, and what it held goes with its context.
func TestLostDevice(t *testing.T) {
	for name, option := range map[string]sim.Option{"lost": sim.Lost(1), "timeout": sim.Timeout(1)} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sim.Start(t))
			launch := r.biasAdd(r.upload(r.values(8)), r.upload(r.values(8)), 1, 8, 1)
			r.must(r.stream.Synchronize())
			r.machine.Set(option)
			r.broken = true
			r.must(launch())
			if err := r.stream.Synchronize(); err == nil {
				t.Error("the launch went well")
			}
			if _, err := cu.MemAlloc(4); err == nil {
				t.Error("an allocation afterwards went well")
			}
		})
	}
}

// Memory is as large as the test says.
func TestMemoryIsLimited(t *testing.T) {
	r := newRig(t, sim.Start(t, sim.Memory(1<<20)))
	_, total, err := cu.MemInfo()
	r.must(err)
	if total != 1<<20 {
		t.Errorf("the device has %d bytes", total)
	}
	if _, err := cu.MemAlloc(1<<20 + 1); !errors.Is(err, cu.OutOfMemory) {
		t.Errorf("more memory than there is: %v", err)
	}
}

// Nothing of one test's machine is there on the next one's.
func TestMachinesAreFresh(t *testing.T) {
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			m := sim.Start(t)
			r := newRig(t, m)
			r.buffer(1)
			if n := m.Counters()["allocations"]; n != 1 {
				t.Errorf("%d allocations are counted after one", n)
			}
		})
	}
}

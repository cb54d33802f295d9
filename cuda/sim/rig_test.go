//go:build cuda && cgo && linux && (amd64 || arm64)

package sim_test

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/cuda/sim/internal/calls"
	"github.com/gputrain/gputrain/internal/approx"
)

// schedules is how many seeds each test through gorgonia's packages runs over.
const schedules = 10

// rig is the device as gorgonia's packages use it: its primary context, current on the test's thread, and a stream.
type rig struct {
	*testing.T
	machine *sim.Machine
	device  cu.Device
	stream  cu.Stream
	random  *rand.Rand
	broken  bool // on purpose: nothing can be freed any more
}

func newRig(t *testing.T, m *sim.Machine) *rig {
	t.Helper()
	r := &rig{T: t, machine: m, random: rand.New(rand.NewPCG(uint64(m.Seed()), 0))}
	_, err := driver.Open()
	r.must(err)
	r.device, err = cu.GetDevice(0)
	r.must(err)
	context, err := r.device.RetainPrimaryCtx()
	r.must(err)
	t.Cleanup(func() { r.freed(r.device.ReleasePrimaryCtx()) })
	r.must(cu.SetCurrentContext(context))
	t.Cleanup(func() { r.freed(cu.SetCurrentContext(cu.CUContext{})) })
	r.stream = r.newStream()
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// freed is must for what ends with the test.
func (r *rig) freed(err error) {
	r.Helper()
	if !r.broken {
		r.must(err)
	}
}

func (r *rig) newStream() cu.Stream {
	r.Helper()
	s, err := cu.MakeStream(cu.NonBlocking)
	r.must(err)
	r.Cleanup(func() { r.freed(s.Destroy()) })
	return s
}

// buffer allocates device memory for n floats, filled with nothing.
func (r *rig) buffer(n int) cu.DevicePtr {
	r.Helper()
	p, err := cu.MemAlloc(int64(4 * n))
	r.must(err)
	r.Cleanup(func() { r.freed(cu.MemFree(p)) })
	return p
}

// pinned allocates pinned host memory for n floats.
func (r *rig) pinned(n int) []float32 {
	r.Helper()
	p, err := calls.HostAlloc(4 * n)
	r.must(err)
	r.Cleanup(func() { r.freed(cu.MemFreeHost(p)) })
	return unsafe.Slice((*float32)(p), n)
}

// values are n random numbers from -1 to 1.
func (r *rig) values(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = 2*r.random.Float32() - 1
	}
	return v
}

// upload makes a buffer that holds the values once the stream gets there.
func (r *rig) upload(v []float32) cu.DevicePtr {
	r.Helper()
	p := r.buffer(len(v))
	r.must(cu.MemcpyHtoDAsync(p, unsafe.Pointer(&v[0]), int64(4*len(v)), r.stream))
	return p
}

// check waits for the stream and compares a buffer with what it has to hold.
func (r *rig) check(name string, p cu.DevicePtr, want []float64, tolerance approx.Tolerance) {
	r.Helper()
	got := make([]float32, len(want))
	r.must(cu.MemcpyDtoHAsync(unsafe.Pointer(&got[0]), p, int64(4*len(got)), r.stream))
	r.must(r.stream.Synchronize())
	approx.Check(r, name, got, want, tolerance)
}

func doubles(v []float32) []float64 {
	d := make([]float64, len(v))
	for i := range v {
		d[i] = float64(v[i])
	}
	return d
}

// sumOf is the tolerance for a sum of n products of numbers up to 1, added one by one in float32: each of its n
// roundings is at most half a unit in the last place (2^-24) of a sum of at most n.
func sumOf(n int) approx.Tolerance {
	return approx.Tolerance{Abs: float64(n) * float64(n+1) / (1 << 24)}
}

//go:build cuda && cgo && linux && (amd64 || arm64)

package sim_test

import (
	"fmt"
	"testing"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/cuda/sim/internal/calls"
)

// trafficPTX has a kernel for each way of touching memory. They take an address and a stride in bytes; thread i works at
// address + i*stride.
const trafficPTX = `
.version 7.8
.target sm_80
.address_size 64
` + // the beginning of each kernel
	`
.visible .entry read(.param .u64 p, .param .u64 stride) {
	.reg .b32 %r<4>; .reg .b64 %d<4>; .reg .b16 %h<4>;
	` + ownAddress + `
	ld.global.u8 %h0, [%d0];
	ld.global.u8 %h1, [%d0];
	ret;
}
.visible .entry wide(.param .u64 p, .param .u64 stride) {
	.reg .b32 %r<8>; .reg .b64 %d<4>;
	` + ownAddress + `
	ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%d0];
	ret;
}
.visible .entry write(.param .u64 p, .param .u64 stride) {
	.reg .b32 %r<4>; .reg .b64 %d<4>;
	` + ownAddress + `
	st.global.u32 [%d0], %r0;
	st.global.u32 [%d0], %r0;
	ret;
}
.visible .entry add(.param .u64 p, .param .u64 stride) {
	.reg .b32 %r<4>; .reg .b64 %d<4>;
	` + ownAddress + `
	atom.global.add.u32 %r2, [%d0], %r0;
	red.global.add.u32 [%d0], 1;
	ret;
}
.visible .entry idle(.param .u64 p, .param .u64 stride) { ret; }
`

// ownAddress leaves the number of the thread in %r0 and its address in %d0.
const ownAddress = `
	mov.u32 %r0, %ctaid.x;
	mov.u32 %r1, %ntid.x;
	mov.u32 %r2, %tid.x;
	mad.lo.u32 %r0, %r0, %r1, %r2;
	ld.param.u64 %d0, [p];
	ld.param.u64 %d1, [stride];
	cvt.u64.u32 %d2, %r0;
	mul.lo.u64 %d1, %d1, %d2;
	add.u64 %d0, %d0, %d1;`

// TestTraffic counts the sectors of 32 bytes that kernels touch: by strides, by reading again from the same and from
// another block, and at both ends of a buffer.
func TestTraffic(t *testing.T) {
	const blocks, threads, bytes, graphs = 2, 64, 16384, 3
	for _, c := range []struct {
		kernel         string
		offset, stride int64
		read, written  int64
	}{
		{"read", 0, 1, 128, 0},  // neighbours share sectors
		{"read", 31, 1, 160, 0}, // bytes 31 to 158
		{"read", 0, 0, 32, 0},   // all read one byte, in both blocks
		{"read", 0, 16, 2048, 0},
		{"read", 0, 32, 4096, 0},
		{"read", 5, 64, 4096, 0},         // half of the sectors
		{"read", bytes - 128, 1, 128, 0}, // the last bytes
		{"wide", 0, 16, 2048, 0},
		{"wide", 16, 16, 2080, 0}, // half of the first and of the last sector
		{"write", 0, 4, 0, 512},
		{"write", 28, 4, 0, 544},
		{"write", 0, 128, 0, 4096},
		{"add", 0, 4, 512, 512},
		{"add", 0, 0, 32, 32},
		{"idle", 0, 0, 0, 0},
	} {
		t.Run(fmt.Sprintf("%s from %d by %d", c.kernel, c.offset, c.stride), func(t *testing.T) {
			m := sim.Start(t, sim.Traffic())
			r := newRig(t, m)
			launch, x := r.trafficKernel(c.kernel, bytes)
			run := func() error { return launch(x+cu.DevicePtr(c.offset), c.stride, blocks, threads) }
			r.must(run())
			check := func(launches int64) {
				t.Helper()
				r.must(r.stream.Synchronize())
				want := sim.Moved{Launches: launches, Read: launches * c.read, Written: launches * c.written}
				if got := m.Moved()["kernel "+c.kernel]; got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			}
			check(1)
			graph, err := calls.Capture(r.stream, run)
			r.must(err)
			check(1)
			for i := range int64(graphs) {
				r.must(graph.Launch(r.stream))
				check(2 + i)
			}
			r.must(graph.Close())
		})
	}
}

// trafficKernel returns what launches a kernel of trafficPTX, and a buffer that holds zeros.
func (r *rig) trafficKernel(name string, bytes int64) (launch func(p cu.DevicePtr, stride int64, blocks, threads int) error, x cu.DevicePtr) {
	r.Helper()
	module, err := cu.LoadData(trafficPTX)
	r.must(err)
	r.Cleanup(func() { r.freed(module.Unload()) })
	function, err := module.Function(name)
	r.must(err)
	x = r.buffer(int(bytes / 4))
	r.must(cu.MemsetD32Async(x, 0, bytes/4, r.stream))
	return func(p cu.DevicePtr, stride int64, blocks, threads int) error {
		parameters := []unsafe.Pointer{unsafe.Pointer(&p), unsafe.Pointer(&stride)}
		return function.Launch(blocks, 1, 1, threads, 1, 1, 0, r.stream, parameters)
	}, x
}

// TestNoTraffic has no counters of traffic where nobody asks for them.
func TestNoTraffic(t *testing.T) {
	m := sim.Start(t)
	r := newRig(t, m)
	launch, x := r.trafficKernel("write", 1024)
	r.must(launch(x, 4, 1, 32))
	r.must(r.stream.Synchronize())
	if all := m.Moved(); len(all) != 0 {
		t.Errorf("counted: %v", all)
	}
}

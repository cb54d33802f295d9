package kernels_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/kernels"
)

// t4 is a small device, with 40 * 1024 threads at once.
var t4 = kernels.Device{Multiprocessors: 40, ThreadsPerMultiprocessor: 1024, ThreadsPerBlock: 1024}

var h100 = kernels.Device{Multiprocessors: 132, ThreadsPerMultiprocessor: 2048, ThreadsPerBlock: 1024}

func ExampleBiasAdd() {
	y, bias := kernels.Pointer[float32](0x7f0000000000), kernels.Pointer[float32](0x7f0001000000)
	launch, err := kernels.BiasAdd{Y: y, Bias: bias, N: 50, C: 32, I: 28 * 28}.Launch(t4)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(launch.Kernel.Name, launch.Blocks, launch.Threads)
	// Output: bias_add 160 256
}

func TestBiasAddsGeometry(t *testing.T) {
	for _, c := range []struct {
		n               uint64
		c, i            uint32
		device          kernels.Device
		blocks, threads int
	}{
		{1, 1, 1, t4, 1, 256},
		{1, 3, 1, t4, 1, 256},
		{1, 1024, 1, t4, 1, 256},
		{1, 1025, 1, t4, 2, 256}, // a float4 more than one block's threads have
		{50, 10, 1, t4, 1, 256},
		{40, 4, 1024, t4, 160, 256}, // as many float4s as there are threads at once
		{41, 4, 1024, t4, 160, 256},
		{1 << 30, 1 << 15, 1 << 16, t4, 160, 256},
		{100, 32, 784, kernels.Device{Multiprocessors: 1, ThreadsPerMultiprocessor: 32, ThreadsPerBlock: 32}, 1, 32},
		{100, 32, 784, h100, 1056, 256},
		// A multiprocessor with fewer threads than a block still runs one block at a time.
		{100, 32, 784, kernels.Device{Multiprocessors: 2, ThreadsPerMultiprocessor: 128, ThreadsPerBlock: 512}, 2, 256},
	} {
		launch, err := kernels.BiasAdd{Y: 4, Bias: 8, N: c.n, C: c.c, I: c.i}.Launch(c.device)
		if err != nil {
			t.Errorf("%d x %d x %d: %v", c.n, c.c, c.i, err)
			continue
		}
		if launch.Blocks != c.blocks || launch.Threads != c.threads {
			t.Errorf("%d x %d x %d on %+v: %d blocks of %d threads, want %d of %d", c.n, c.c, c.i, c.device, launch.Blocks,
				launch.Threads, c.blocks, c.threads)
		}
	}
}

func TestParametersHaveEightBytesEach(t *testing.T) {
	b := kernels.BiasAdd{Y: 0x7f00_1234_5678_9ab4, Bias: 0xffff_ffff_ffff_fffc, N: 1 << 20, C: 1 << 31, I: 0x0102}
	launch, err := b.Launch(t4)
	if err != nil {
		t.Fatal(err)
	}
	want := []uint64{0x7f00_1234_5678_9ab4, 0xffff_ffff_ffff_fffc, 1 << 20, 1 << 31, 0x0102}
	if !slices.Equal(launch.Slots, want) {
		t.Errorf("slots %#x, want %#x", launch.Slots, want)
	}
	pointers := launch.Pointers()
	if len(pointers) != len(want) {
		t.Fatalf("%d pointers for %d parameters", len(pointers), len(want))
	}
	for i, p := range pointers {
		if got := *(*uint64)(p); got != want[i] {
			t.Errorf("the eight bytes behind pointer %d are %#x, want %#x", i, got, want[i])
		}
	}
	if got := *(*uint32)(pointers[4]); got != 0x0102 {
		t.Errorf("the first four bytes of a uint32 are %#x, want 0x0102", got)
	}
}

func TestLaunchesThatCannotBe(t *testing.T) {
	right := kernels.BiasAdd{Y: 16, Bias: 32, N: 1, C: 1, I: 1}
	for _, c := range []struct {
		change func(*kernels.BiasAdd, *kernels.Device)
		want   string
	}{
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.Y = 0 }, "y: null pointer"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.Bias = 0 }, "bias: null pointer"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.Y = 18 }, "y: 0x12 is not aligned for float32"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.N = 0 }, "extents 0 x 1 x 1"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.C = 0 }, "extents 1 x 0 x 1"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.I = 0 }, "extents 1 x 1 x 0"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.C = 1<<31 + 1 }, "at most 2147483648"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.I = 1<<31 + 1 }, "at most 2147483648"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.N, b.C = 1<<61, 2 }, "more than there can be"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.N, b.C, b.I = 1<<40, 1<<31, 1<<31 }, "more than there can be"},
		{func(_ *kernels.BiasAdd, d *kernels.Device) { d.Multiprocessors = 0 }, "no such device"},
		{func(_ *kernels.BiasAdd, d *kernels.Device) { d.ThreadsPerBlock = 31 }, "no such device"},
		{func(_ *kernels.BiasAdd, d *kernels.Device) { d.ThreadsPerMultiprocessor = 0 }, "no such device"},
	} {
		b, d := right, t4
		c.change(&b, &d)
		_, err := b.Launch(d)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "bias_add") {
			t.Errorf("%+v on %+v: got %v, want %q", b, d, err, c.want)
		}
	}
	if _, err := right.Launch(t4); err != nil {
		t.Error(err)
	}
}

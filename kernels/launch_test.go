package kernels_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/kernels"
)

// t4 is a small device, with 40 * 1024 threads at once.
var t4 = kernels.Device{Multiprocessors: 40, ThreadsPerMultiprocessor: 1024, ThreadsPerBlock: 1024}

var h100 = kernels.Device{Multiprocessors: 132, ThreadsPerMultiprocessor: 2048, ThreadsPerBlock: 1024}

func ExampleBiasAdd() {
	x, bias := kernels.Float32.At(0x7f0000000000), kernels.Pointer[float32](0x7f0001000000)
	launch, err := kernels.BiasAdd{X: x, Bias: bias, Count: 50 * 32 * 784, Channels: 32, Extent: 784}.Launch(t4)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(launch.Kernel.Name, launch.Blocks, launch.Threads)
	// Output: bias_add 160 256
}

// Kernels that treat every value alike have a thread for four values, but no more threads than run at once.
func TestGeometryOfValues(t *testing.T) {
	for _, c := range []struct {
		count           uint32
		device          kernels.Device
		blocks, threads int
	}{
		{1, t4, 1, 256},
		{1024, t4, 1, 256},
		{1025, t4, 2, 256}, // a float4 more than one block's threads have
		{40 * 4 * 1024, t4, 160, 256},
		{41 * 4 * 1024, t4, 160, 256},
		{1 << 31, t4, 160, 256},
		{100 * 32 * 784, kernels.Device{Multiprocessors: 1, ThreadsPerMultiprocessor: 32, ThreadsPerBlock: 32}, 1, 32},
		{100 * 32 * 784, h100, 1056, 256},
		// A multiprocessor with fewer threads than a block still runs one block at a time.
		{100 * 32 * 784, kernels.Device{Multiprocessors: 2, ThreadsPerMultiprocessor: 128, ThreadsPerBlock: 512}, 2, 256},
	} {
		checkGeometry(t, kernels.BiasAdd{X: kernels.Float32.At(4), Bias: 8, Count: c.count, Channels: 1, Extent: 1}, c.device, c.blocks, c.threads)
	}
}

// Kernels with rows give a block to each, or several where that is less than the device runs, or part of one.
func TestGeometryOfRows(t *testing.T) {
	gather := func(batch, size uint32) kernels.GatherBytes {
		return kernels.GatherBytes{X: kernels.Float32.At(16), Label: 16, Pixels: 16, Labels: 16, State: 16, Indices: 16, Batch: batch, Size: size, Channels: 1}
	}
	view := func(batch, height, width uint32) kernels.ViewBytes {
		return kernels.ViewBytes{X: kernels.Float32.At(16), Label: 16, Other: 16, Share: 16, Pixels: 16, State: 16, Views: 16, Batch: batch, Channels: 3,
			Height: height, Width: width, FromHeight: 1, FromWidth: 1}
	}
	softmax := func(batch, classes uint32) kernels.SoftmaxCrossEntropy {
		return kernels.SoftmaxCrossEntropy{Logits: 16, State: 16, Queued: 16, Batch: batch, Classes: classes}
	}
	sums := func(batch, channels, extent uint32) kernels.BiasGradient {
		return kernels.BiasGradient{Db: 16, Dy: kernels.Float32.At(16), Batch: batch, Channels: channels, Extent: extent,
			Parts: kernels.ReductionParts(batch, channels, extent)}
	}
	gate := func(form kernels.Type, rows, extent, channels uint32) kernels.MultiplyRowsGate {
		return kernels.MultiplyRowsGate{Dgate: form.At(16), Dy: form.At(16), X: form.At(16), Rows: rows, Extent: extent, Channels: channels}
	}
	permute := func(batch, rows, columns uint32) kernels.Permute {
		return kernels.Permute{Y: kernels.BF16.At(16), X: kernels.BF16.At(16), Batch: batch, Rows: rows, Columns: columns}
	}
	columns := func(batch, channels uint32) kernels.ColumnSums {
		return kernels.ColumnSums{Db: 16, Dy: kernels.Float32.At(16), Batch: batch, Channels: channels}
	}
	stack := func(size uint64, matrices uint32) kernels.MuonScale {
		return kernels.MuonScale{U: 16, Squares: 16, Stack: kernels.Stack{Size: size, Stride: size, Matrices: matrices, Parts: kernels.SquareSumsOf(size)}}
	}
	for _, c := range []struct {
		kernel          kernels.Launcher
		blocks, threads int
	}{
		{stack(64*576, 4), 4 * 9, 256}, // nine blocks a matrix
		{stack(4096*300, 2), 2 * 256, 256},
		{stack(27, 5), 5, 32},
		{gather(128, 784), 128, 256},
		{gather(5000, 784), 1056, 256},
		{gather(100, 3*224*224), 1056, 256}, // ten blocks a sample
		{gather(3, 1025), 6, 256},
		{gather(7, 5), 7, 32},
		{view(128, 28, 28), 512, 256}, // a thread a pixel
		{view(1024, 32, 32), 1056, 256},
		{view(7, 2, 3), 7, 32},
		{softmax(128, 10), 16, 128}, // 16 lanes a row
		{softmax(3, 2), 1, 128},
		{softmax(128, 128), 32, 128},
		{softmax(128, 129), 128, 64},
		{softmax(128, 1000), 128, 256},
		{softmax(2, 100000), 2, 1024},
		{sums(128, 32, 784), 12 * 32, 256},
		{sums(50, 64, 49), 64, 256},
		{sums(2, 3, 4), 3, 32},
		{sums(128*32*32, 16, 1), 256, 256},  // with channels last a block has several channels
		{sums(128*32*32, 40, 1), 640, 256},  // not a power of two
		{sums(128*56*56, 64, 1), 1024, 256}, // the most
		{sums(8, 512, 1), 8, 128},           // 64 channels a block
		{sums(128*7*7, 2048, 1), 32 * 32, 256},
		{columns(128, 1000), 125, 1024},
		{columns(2, 10), 2, 32},
		{gate(kernels.Float32, 128*64, 49, 1), 128 * 64, 32}, // a block a row
		{gate(kernels.BF16, 2000, 49, 64), 1056, 256},        // no more than run at once
		{gate(kernels.BF16, 128, 49, 64), 128 * 2, 256},      // 32 channels a block, four threads a pixel
		{gate(kernels.Float32, 8, 49, 64), 8 * 4, 256},
		{gate(kernels.Float32, 8, 2, 33), 8 * 2, 64}, // one by one
		{permute(2, 49, 512), 2 * 2 * 16, 256},
		{permute(1000, 49, 512), 1056, 256},
	} {
		checkGeometry(t, c.kernel, h100, c.blocks, c.threads)
	}
}

// Kernels of interleaved channels have a thread for 16 bytes of them. Global pooling has few results, so threads share the
// windows, and many blocks are busy.
func TestGeometryOfPooling(t *testing.T) {
	pool := func(form kernels.Type, mode int32, planes, channels uint32, size, out, kernel int32) kernels.PoolForward {
		return kernels.PoolForward{Y: form.At(16), X: form.At(16), Mode: mode, Planes: planes, Channels: channels,
			Windows: kernels.Windows{H: size, W: size, OutH: out, OutW: out, KernelH: kernel, KernelW: kernel, StrideH: kernel, StrideW: kernel}}
	}
	for _, c := range []struct {
		kernel kernels.Launcher
		blocks int
	}{
		{pool(kernels.Float32, kernels.MeanPooling, 128*512, 1, 4, 1, 4), 256},
		{pool(kernels.Float32, kernels.MeanPooling, 128, 512, 4, 1, 4), 1024},
		{pool(kernels.BF16, kernels.MeanPooling, 128, 512, 4, 1, 4), 512},
		{pool(kernels.Float32, kernels.MeanPooling, 8, 1280, 7, 1, 7), 160},
		{pool(kernels.BF16, kernels.L2Pooling, 8, 1280, 7, 1, 7), 80},
		{pool(kernels.BF16, kernels.MaxPooling, 8, 1280, 7, 1, 7), 5},
		{pool(kernels.BF16, kernels.MeanPooling, 1, 512, 6, 2, 3), 1},
		{pool(kernels.BF16, kernels.MeanPooling, 1, 513, 6, 2, 3), 9}, // one by one
		{kernels.Crop{X: kernels.BF16.At(16), Xp: kernels.BF16.At(16), Planes: 3, Channels: 64, H: 8, W: 8, Ph: 9, Pw: 9}, 6},
	} {
		checkGeometry(t, c.kernel, h100, c.blocks, 256)
	}
	source, err := os.ReadFile("pool.cu")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"ABREAST = 16;", "SHARED_WINDOW = 16;"} {
		if !strings.Contains(string(source), line) {
			t.Errorf("pool.cu has no %q, as pool.go has", line)
		}
	}
}

// What kernels of images can't number with 32 bits, or have no channels for, is refused.
func TestImagesThatCannotBe(t *testing.T) {
	const many = 1 << 20
	at := kernels.Float32.At(16)
	one := kernels.Windows{H: 2, W: 2, OutH: 1, OutW: 1, KernelH: 2, KernelW: 2, StrideH: 2, StrideW: 2}
	flat := one
	flat.StrideW = 0
	for name, k := range map[string]kernels.Launcher{
		"pooling many inputs":        kernels.PoolForward{Y: at, X: at, Planes: many, Channels: many / 512, Windows: one},
		"pooling no channels":        kernels.PoolForward{Y: at, X: at, Planes: 1, Windows: one},
		"pooling with no stride":     kernels.PoolForward{Y: at, X: at, Planes: 1, Channels: 1, Windows: flat},
		"gradients of many inputs":   kernels.MaxPoolBackward{Dx: at, Dy: at, X: at, Y: at, Planes: many, Channels: many, Windows: one},
		"gradients of no channels":   kernels.PoolBackward{Dx: at, Dy: at, X: at, Y: at, Planes: 1, Windows: one},
		"padding no channels":        kernels.Pad{Xp: at, X: at, Planes: 1, H: 1, W: 1, Ph: 1, Pw: 1},
		"cropping many":              kernels.Crop{X: at, Xp: at, Planes: many, Channels: 4, H: 1, W: 1, Ph: 64, Pw: 64},
		"windows beyond the image":   kernels.BiasReLUPool{Y: at, Mask: 16, X: at, Bias: 16, Batch: 1, Channels: 1, H: 4, W: 4, OutH: 3, OutW: 2},
		"gradients beyond the image": kernels.BiasReLUPoolBackward{Dx: at, Dy: at, Mask: 16, Batch: 1, Channels: 1, H: 4, W: 4, OutH: 2, OutW: 3},
		"many to halve":              kernels.BiasReLUPool{Y: at, Mask: 16, X: at, Bias: 16, Batch: many, Channels: many, H: 2, W: 2, OutH: 1, OutW: 1},
		"no channels to halve":       kernels.BiasReLUPool{Y: at, Mask: 16, X: at, Bias: 16, Batch: 1, H: 2, W: 2, OutH: 1, OutW: 1, Last: 1},
		"gates of no pixels":         kernels.MultiplyRows{Y: at, X: at, Gate: at, Rows: 1, Channels: 1},
		"gradients of no gates":      kernels.MultiplyRowsGate{Dgate: at, Dy: at, X: at, Rows: 1, Extent: 1},
		"rearranging nothing":        kernels.Permute{Y: at, X: at, Batch: 1, Rows: 1},
		"rearranging many":           kernels.Permute{Y: at, X: at, Batch: many, Rows: many, Columns: 1},
	} {
		if l, err := k.Launch(t4); err == nil {
			t.Errorf("%s: launched %+v", name, l)
		}
	}
}

func checkGeometry(t *testing.T, k kernels.Launcher, d kernels.Device, blocks, threads int) {
	t.Helper()
	launch, err := k.Launch(d)
	if err != nil {
		t.Errorf("%+v: %v", k, err)
	} else if launch.Blocks != blocks || launch.Threads != threads {
		t.Errorf("%s %+v on %+v: %d blocks of %d threads, want %d of %d", launch.Kernel.Name, k, d, launch.Blocks,
			launch.Threads, blocks, threads)
	}
}

// The results of a smaller batch's parts fit into the memory that a full one has.
func TestReductionPartsGrowWithTheBatch(t *testing.T) {
	for _, c := range [][2]uint32{{1, 1}, {3, 1 << 20}, {32, 784}, {2048, 49}, {1 << 20, 7}, {16, 1}, {100, 1}, {2048, 1}, {1 << 20, 1}} {
		last := uint32(1)
		for batch := uint32(1); batch < 1<<20; batch += 1 + batch/9 {
			parts := kernels.ReductionParts(batch, c[0], c[1])
			if parts < last || parts > 1 && parts*c[0] > 1<<16 {
				t.Fatalf("batch %d, %d channels of %d: %d parts after %d", batch, c[0], c[1], parts, last)
			}
			last = parts
		}
	}
}

// A device with more threads is given no more parts, but all of them have a block.
func TestReductionsHaveABlockForEachPart(t *testing.T) {
	source, err := os.ReadFile("reduce.cuh")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`constexpr uint32_t TILE = (\d+);`).FindSubmatch(source)
	if m == nil {
		t.Fatal("reduce.cuh has no TILE")
	}
	tile, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []kernels.Device{t4, h100} {
		checkGeometry(t, kernels.BiasGradient{Db: 16, Dy: kernels.BF16.At(16), Batch: 1 << 16, Channels: uint32(10 * tile), Extent: 1, Parts: 7}, d, 7*10, 256)
		checkGeometry(t, kernels.BiasGradient{Db: 16, Dy: kernels.BF16.At(16), Batch: 1 << 16, Channels: uint32(10*tile + 1), Extent: 1, Parts: 7}, d, 7*11, 256)
	}
}

// norms are launches of batch normalisation that are right.
func norms() (kernels.BatchnormMoments, kernels.BatchnormStatistics, kernels.Batchnorm, kernels.BatchnormGradients, kernels.BatchnormBackward) {
	x := kernels.Float32.At(16)
	return kernels.BatchnormMoments{Means: 16, Squares: 16, X: x, Batch: 2, Channels: 3, Extent: 4, Parts: 1},
		kernels.BatchnormStatistics{Mean: 16, Inverse: 16, Means: 16, Squares: 16, Batch: 2, Channels: 3, Extent: 4, Parts: 1},
		kernels.Batchnorm{Y: x, X: x, Mean: 16, Inverse: 16, Weight: 16, Bias: 16, Count: 24, Channels: 3, Extent: 4},
		kernels.BatchnormGradients{Dweight: 16, Dbias: 16, Dy: x, X: x, Mean: 16, Inverse: 16, Weight: 16, Bias: 16, Batch: 2, Channels: 3, Extent: 4, Parts: 1},
		kernels.BatchnormBackward{Dx: x, Dy: x, X: x, Mean: 16, Inverse: 16, Weight: 16, Bias: 16, Dweight: 16, Dbias: 16, Count: 24, Channels: 3, Extent: 4}
}

func TestNormsThatCannotBe(t *testing.T) {
	moments, statistics, norm, gradients, backward := norms()
	for _, k := range []kernels.Launcher{moments, statistics, norm, gradients, backward} {
		if _, err := k.Launch(t4); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		change func()
		want   string
	}{
		{func() { moments.Batch = 0 }, "batchnorm_moments: 4 values in each of 3 channels of 0 samples, in 1 parts: want 1 or more"},
		{func() { moments.Parts = 0 }, "in 0 parts: want 1 or more"},
		{func() { moments.Parts = 1 << 31 }, "more than 2147483648 values"},
		{func() { moments.X.Address = 18 }, "not aligned"},
		{func() { statistics.Extent = 0 }, "batchnorm_statistics: 0 values in each of 3 channels of 2 samples: want 1 or more"},
		{func() { statistics.Parts = 0 }, "0 rows of 3 values: want 1 or more"},
		{func() { statistics.RunningVar = 16 }, "one of the running statistics is null"},
		{func() { norm.Count = 23 }, "batchnorm: 23 values are not whole samples of 12"},
		{func() { norm.Rectifier = 3 }, "batchnorm: there is no rectifier 3"},
		{func() { norm.Channels = 0 }, "0 channels"},
		{func() { norm.Other = kernels.BF16.At(16) }, "other: bfloat16 values among others of float32"},
		{func() { gradients.Rectifier = 3 }, "batchnorm_gradients: there is no rectifier 3"},
		{func() { gradients.Dweight = 0 }, "dweight: null pointer"},
		{func() { gradients.Channels = 0 }, "want 1 or more"},
		{func() { backward.Rectifier = 3 }, "batchnorm_backward: there is no rectifier 3"},
		{func() { backward.Dother, backward.Rectifier = kernels.Float32.At(16), kernels.ReLU }, "the gradient of another tensor needs y"},
		{func() { backward.Dx.Address = 0 }, "dx: null pointer"},
	} {
		moments, statistics, norm, gradients, backward = norms()
		c.change()
		found := false
		for _, k := range []kernels.Launcher{moments, statistics, norm, gradients, backward} {
			_, err := k.Launch(t4)
			found = found || err != nil && strings.Contains(err.Error(), c.want)
		}
		if !found {
			t.Errorf("no launch was refused with %q", c.want)
		}
	}
	if _, err := (kernels.AddReLUBackward{Dy: kernels.Float32.At(16), Y: kernels.Float32.At(16), Count: 1}).Launch(t4); err == nil {
		t.Error("a launch without any gradient was not refused")
	}
}

func TestParametersHaveEightBytesEach(t *testing.T) {
	k := kernels.Activation{Y: kernels.Float32.At(0x7f00_1234_5678_9ab4), X: kernels.Float32.At(0xffff_ffff_ffff_fffc), Count: 1 << 40, Function: 1, P: 0.5}
	launch, err := k.Launch(t4)
	if err != nil {
		t.Fatal(err)
	}
	want := []uint64{0x7f00_1234_5678_9ab4, 0xffff_ffff_ffff_fffc, 1 << 40, 1, uint64(math.Float32bits(0.5))}
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
	if got := *(*float32)(pointers[4]); got != 0.5 {
		t.Errorf("the first four bytes of a float32 are %v, want 0.5", got)
	}
}

func TestLaunchesThatCannotBe(t *testing.T) {
	right := kernels.BiasAdd{X: kernels.Float32.At(16), Bias: 32, Count: 1, Channels: 1, Extent: 1}
	for _, c := range []struct {
		change func(*kernels.BiasAdd, *kernels.Device)
		want   string
	}{
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.X.Address = 0 }, "x: null pointer"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.Bias = 0 }, "bias: null pointer"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.X.Address = 18 }, "x: 0x12 is not aligned for float32"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.X = kernels.BF16.At(17) }, "x: 0x11 is not aligned for bfloat16"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.Channels = 0 }, "0 channels of 1 values"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.Extent = 0 }, "1 channels of 0 values"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.Channels = 1<<31 + 1 }, "want 1 to 2147483648"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.Extent = 1<<31 + 1 }, "want 1 to 2147483648"},
		{func(b *kernels.BiasAdd, _ *kernels.Device) { b.Count = 1<<31 + 1 }, "more than 2147483648 values"},
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
	mixed := kernels.Scale{Y: kernels.Float32.At(16), X: kernels.BF16.At(16), Count: 1}
	if _, err := mixed.Launch(t4); err == nil || !strings.Contains(err.Error(), "x: bfloat16 values among others of float32") {
		t.Errorf("values of two types: %v", err)
	}
}

func TestRowsOfNothingAreRefused(t *testing.T) {
	for _, k := range []kernels.Launcher{
		kernels.GatherFloats{X: kernels.Float32.At(16), Label: 16, Values: 16, Labels: 16, State: 16, Indices: 16, Size: 3, Channels: 1},
		kernels.GatherFloats{X: kernels.Float32.At(16), Label: 16, Values: 16, Labels: 16, State: 16, Indices: 16, Batch: 3, Channels: 1},
		kernels.ViewFloats{X: kernels.Float32.At(16), Label: 16, Other: 16, Share: 16, Values: 16, State: 16, Views: 16, Batch: 1, Channels: 1, Height: 1, Width: 1, FromHeight: 1},
		kernels.ViewFloats{X: kernels.Float32.At(16), Label: 16, Other: 16, Share: 16, Values: 16, State: 16, Views: 16, Channels: 1, Height: 1, Width: 1, FromHeight: 1, FromWidth: 1},
		kernels.GatherFloats{X: kernels.Float32.At(16), Label: 16, Values: 16, Labels: 16, State: 16, Indices: 16, Batch: 1, Size: 3, Channels: 2},
		kernels.BiasGradient{Db: 16, Dy: kernels.Float32.At(16), Batch: 1, Channels: 1, Extent: 1},
		kernels.BiasGradient{Db: 16, Dy: kernels.Float32.At(16), Batch: 1, Parts: 1, Extent: 1},
	} {
		if _, err := k.Launch(t4); err == nil || !strings.Contains(err.Error(), "want 1 or more") {
			t.Errorf("%+v: got %v", k, err)
		}
	}
}

// TestStacks gives Muon's kernels stacks that they can't take.
func TestStacks(t *testing.T) {
	good := kernels.MuonScale{U: 16, Squares: 16, Stack: kernels.Stack{Size: 4097, Stride: 4100, Matrices: 2, Parts: 2}}
	if _, err := good.Launch(t4); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*kernels.MuonScale){
		"too few sums": func(k *kernels.MuonScale) { k.Parts = 1 },
		"no matrices":  func(k *kernels.MuonScale) { k.Matrices = 0 },
		"overlapping":  func(k *kernels.MuonScale) { k.Stride = 4096 },
	} {
		bad := good
		change(&bad)
		if _, err := bad.Launch(t4); err == nil {
			t.Errorf("%s: launched", name)
		}
	}
}

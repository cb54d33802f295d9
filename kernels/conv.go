package kernels

import "fmt"

// Filtering says what ConvBiasReLUPool computes of images of Channels times H rows and W columns: filters of KernelH rows
// and KernelW columns at strides of 1, the first at row -Top and column -Left, which make MadeH by MadeW values an image,
// and of those OutH by OutW windows of 2x2. What lies outside an image is 0.
type Filtering struct {
	Filters  uint32
	Channels uint32
	H        int32
	W        int32
	KernelH  int32
	KernelW  int32
	Top      int32
	Left     int32
}

// What a block of these kernels takes, and has room for in shared memory; conv.cu says the same.
const (
	convFilters    = 8
	convMostValues = 6144
	convMostTaps   = 3 * warp
)

// Chunk returns how many channels had best be in shared memory at once, where there are outH by outW windows: equal parts
// of all. It is 0 where there is no room for one.
func (f Filtering) Chunk(outH, outW uint32) uint32 {
	const most = convMostValues
	if f.Channels < 1 || f.Filters < 1 || f.KernelH < 1 || f.KernelW < 1 || f.KernelH > most || f.KernelW > most ||
		outH < 1 || outW < 1 || outH > most || outW > most {
		return 0
	}
	rows, pitch := 2*outH+uint32(f.KernelH)-1, 2*outW+uint32(f.KernelW)-1
	pitch += (uint32(f.KernelW) - pitch) % 32
	fit := min(convMostValues/(rows*pitch), convMostTaps/uint32(f.KernelH*f.KernelW), f.Channels)
	if fit == 0 {
		return 0
	}
	chunks := (f.Channels + fit - 1) / fit
	return (f.Channels + chunks - 1) / chunks
}

// fewTaps is how many values a filter may have for these kernels to be faster than cuDNN's convolution and the kernel behind
// it. On an H200 in bfloat16 the tutorial's step is 1.2 times as fast with its first convolution so, of 25 taps, and 1.5 times
// with a mini-batch of 1,024; with the second one too, of 800, it is slower than with cuDNN's in every precision. Three
// colours' 5x5 are an estimate in between.
const fewTaps = 75

// Few reports whether filters have so few values that these kernels had best compute them.
func (f Filtering) Few() bool { return f.taps() <= fewTaps }

func (f Filtering) taps() uint64 { return uint64(f.Channels) * uint64(f.KernelH) * uint64(f.KernelW) }

// groups is how many blocks share an image's filters out.
func (f Filtering) groups() uint32 { return (f.Filters + convFilters - 1) / convFilters }

// chunks is how many blocks share the channels out.
func (f Filtering) chunks(chunk uint32) uint32 { return (f.Channels + chunk - 1) / chunk }

// check counts the values of a batch of images, and of what is made of it, and looks whether a chunk has room.
func (f Filtering) check(k *Kernel, batch, outH, outW, chunk uint32) error {
	if most := f.Chunk(outH, outW); chunk < 1 || chunk > most {
		return fmt.Errorf("kernels: %s: %d channels of %+v with %dx%d windows in shared memory: want 1 to %d", k.Name, chunk, f, outH, outW, most)
	}
	if batch < 1 {
		return fmt.Errorf("kernels: %s: a batch of %d", k.Name, batch)
	}
	for _, sizes := range [][]uint32{
		{batch, f.Channels, uint32(f.H), uint32(f.W)}, {batch, f.Filters, outH, outW},
		{f.Filters, f.Channels, uint32(f.KernelH), uint32(f.KernelW)},
	} {
		if _, err := countPlaces(k, sizes...); err != nil {
			return err
		}
	}
	return nil
}

// ConvBiasReLUPool is a convolution with BiasReLUPool behind it: X (Batch, Channels, H, W), Weight (Filters, Channels,
// KernelH, KernelW), Bias (Filters), Y and Mask (Batch, Filters, OutH, OutW). Chunk is [Filtering.Chunk]'s.
type ConvBiasReLUPool struct {
	Y      Pointer[float32]
	Mask   Pointer[uint8]
	X      Pointer[float32]
	Weight Pointer[float32]
	Bias   Pointer[float32]
	Batch  uint32
	Filtering
	MadeH uint32
	MadeW uint32
	OutH  uint32
	OutW  uint32
	Chunk uint32
}

var convBiasReLUPool = newKernel("conv_bias_relu_pool", 256, ConvBiasReLUPool{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ConvBiasReLUPool) Launch(d Device) (Launch, error) {
	if err := k.check(convBiasReLUPool, k.Batch, k.OutH, k.OutW, k.Chunk); err != nil {
		return Launch{}, err
	}
	windows := uint64(k.OutH) * uint64(k.OutW)
	l, err := newRows(convBiasReLUPool, d, 1, windows, k)
	if err != nil {
		return Launch{}, err
	}
	tiles := (windows + uint64(l.Threads) - 1) / uint64(l.Threads)
	blocks, err := countPlaces(convBiasReLUPool, k.Batch, k.groups(), uint32(tiles))
	l.Blocks = int(min(blocks, 1<<16))
	return l, err
}

// ConvGradientParts returns into how many parts ConvReLUPoolGradients should divide the batch. There are enough parts to
// keep a GPU busy. The number is the same on every device, so the sums are the same too.
func ConvGradientParts(batch uint32, f Filtering, chunk uint32) uint32 {
	const blocks = 512
	return max(1, min(batch, blocks/(f.groups()*f.chunks(chunk))))
}

// ConvReLUPoolGradients are the gradients of ConvBiasReLUPool's Weight and Bias: of Dy (Batch, Filters, OutH, OutW), in a
// fixed order. With several Parts, Dw are so many rows of Weight's values and Db of Filters, which ColumnSums adds up.
type ConvReLUPoolGradients struct {
	Dw    Pointer[float32]
	Db    Pointer[float32]
	X     Pointer[float32]
	Dy    Pointer[float32]
	Mask  Pointer[uint8]
	Batch uint32
	Filtering
	OutH  uint32
	OutW  uint32
	Chunk uint32
	Parts uint32
}

var convReLUPoolGradients = newKernel("conv_relu_pool_gradients", 256, ConvReLUPoolGradients{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ConvReLUPoolGradients) Launch(d Device) (Launch, error) {
	if err := k.check(convReLUPoolGradients, k.Batch, k.OutH, k.OutW, k.Chunk); err != nil {
		return Launch{}, err
	}
	if k.Parts < 1 || k.Parts > k.Batch {
		return Launch{}, fmt.Errorf("kernels: %s: %d parts of a batch of %d", convReLUPoolGradients.Name, k.Parts, k.Batch)
	}
	blocks, err := countPlaces(convReLUPoolGradients, k.Parts, k.groups(), k.chunks(k.Chunk))
	if err != nil {
		return Launch{}, err
	}
	return newRows(convReLUPoolGradients, d, blocks, warp*uint64(min(k.Filters, convFilters)), k)
}

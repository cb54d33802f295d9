package kernels

import "fmt"

// Filtering describes the convolution of [ConvBiasReLUPool]. An image has Channels channels of H rows and W columns. A
// filter has KernelH rows and KernelW columns, and the stride is 1. The first place of a filter is at row -Top and
// column -Left. Values outside the image are 0.
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

// What one block of these kernels takes, and how much it can hold in shared memory. conv.cu has the same numbers.
const (
	convFilters    = 8
	convMostValues = 6144
	convMostTaps   = 3 * warp
)

// Chunk returns how many channels a block should hold in shared memory at once, for outH by outW pooling windows. It
// divides all channels into equal parts. It is 0 if there is no room even for one channel.
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

// fewTaps is the most values that a filter may have for these kernels to be faster than cuDNN's convolution followed
// by another kernel. Measured on an H200 in bfloat16: with these kernels for its first convolution (25 taps) the
// tutorial's step is 1.2 times as fast, and 1.5 times with mini-batches of 1,024. With its second convolution (800
// taps) too, it is slower than with cuDNN's in every precision. 75, for three colours' 5x5, is an estimate between the
// two.
const fewTaps = 75

// Few reports whether a filter has few enough values that the kernels of this package are expected to be faster than
// cuDNN. Then they should compute the convolution.
func (f Filtering) Few() bool { return f.taps() <= fewTaps }

func (f Filtering) taps() uint64 { return uint64(f.Channels) * uint64(f.KernelH) * uint64(f.KernelW) }

// groups returns how many blocks share an image's filters.
func (f Filtering) groups() uint32 { return (f.Filters + convFilters - 1) / convFilters }

// chunks returns how many blocks share the channels.
func (f Filtering) chunks(chunk uint32) uint32 { return (f.Channels + chunk - 1) / chunk }

// check returns an error if the values of the images, the results or the filters are too many, or if a chunk has no
// room.
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

// ConvBiasReLUPool computes a convolution and then what [BiasReLUPool] does. Its shapes are X (Batch, Channels, H, W),
// Weight (Filters, Channels, KernelH, KernelW), Bias (Filters), and Y and Mask (Batch, Filters, OutH, OutW). Where Last is
// not 0, the channels and filters are the last dimension: X is (Batch, H, W, Channels), Weight is (Filters, KernelH,
// KernelW, Channels), and Y and Mask are (Batch, OutH, OutW, Filters). The convolution makes MadeH by MadeW values, of
// which pooling takes OutH by OutW windows of 2x2. Chunk is at most that of [Filtering.Chunk].
type ConvBiasReLUPool struct {
	Y      Values
	Mask   Pointer[uint8]
	X      Values
	Weight Pointer[float32]
	Bias   Pointer[float32]
	Batch  uint32
	Filtering
	MadeH uint32
	MadeW uint32
	OutH  uint32
	OutW  uint32
	Chunk uint32
	Last  int32
}

var convBiasReLUPool = newForms("conv_bias_relu_pool", 256, ConvBiasReLUPool{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ConvBiasReLUPool) Launch(d Device) (Launch, error) {
	kernel := convBiasReLUPool[k.Y.Type]
	if err := k.check(kernel, k.Batch, k.OutH, k.OutW, k.Chunk); err != nil {
		return Launch{}, err
	}
	windows := uint64(k.OutH) * uint64(k.OutW)
	l, err := newRows(kernel, d, 1, windows, k)
	if err != nil {
		return Launch{}, err
	}
	tiles := (windows + uint64(l.Threads) - 1) / uint64(l.Threads)
	blocks, err := countPlaces(kernel, k.Batch, k.groups(), uint32(tiles))
	l.Blocks = int(min(blocks, 1<<16))
	return l, err
}

// ConvGradientParts returns into how many parts [ConvReLUPoolGradients] should divide the batch. There are enough
// parts to keep a GPU busy. The number is the same on every device, so the sums are the same too.
func ConvGradientParts(batch uint32, f Filtering, chunk uint32) uint32 {
	const blocks = 512
	return max(1, min(batch, blocks/(f.groups()*f.chunks(chunk))))
}

// ConvReLUPoolGradients computes the gradients of ConvBiasReLUPool's Weight and Bias from Dy, which has the shape of Y.
// Last is that of the forward pass. The order of the sums is fixed. With several Parts, the gradients of a part begin
// Pitch values behind those of the part before, and [ColumnSums] adds them up. Those of Dw are in the order of Weight.
type ConvReLUPoolGradients struct {
	Dw    Pointer[float32]
	Db    Pointer[float32]
	X     Values
	Dy    Values
	Mask  Pointer[uint8]
	Batch uint32
	Filtering
	OutH  uint32
	OutW  uint32
	Chunk uint32
	Parts uint32
	Pitch uint32
	Last  int32
}

var convReLUPoolGradients = newForms("conv_relu_pool_gradients", 256, ConvReLUPoolGradients{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ConvReLUPoolGradients) Launch(d Device) (Launch, error) {
	kernel := convReLUPoolGradients[k.X.Type]
	if err := k.check(kernel, k.Batch, k.OutH, k.OutW, k.Chunk); err != nil {
		return Launch{}, err
	}
	if k.Parts < 1 || k.Parts > k.Batch {
		return Launch{}, fmt.Errorf("kernels: %s: %d parts of a batch of %d", kernel.Name, k.Parts, k.Batch)
	}
	blocks, err := countPlaces(kernel, k.Parts, k.groups(), k.chunks(k.Chunk))
	if err != nil {
		return Launch{}, err
	}
	return newRows(kernel, d, blocks, warp*uint64(min(k.Filters, convFilters)), k)
}

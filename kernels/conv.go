package kernels

import "fmt"

// Filtering says what ConvBiasReLUPool computes of images of Channels times H rows and W columns: filters of KernelH rows
// and KernelW columns at strides of 1, the first at row -Top and column -Left, and windows of 2x2 of what they make, OutH
// by OutW of them. What lies outside an image is 0.
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

// What a block of these kernels has room for in shared memory; conv.cu says the same.
const (
	convFilters    = 8
	convMostValues = 6144
	convMostTaps   = 96
)

// Fits reports whether ConvBiasReLUPool and its gradients have room for such images and filters: for grey and colour
// images of some 40 rows and columns.
func (f Filtering) Fits(outH, outW uint32) bool {
	if f.Channels < 1 || f.Filters < 1 || f.KernelH < 1 || f.KernelW < 1 || f.Channels > convMostTaps || f.KernelH > convMostTaps ||
		f.KernelW > convMostTaps || outH < 1 || outW < 1 || outH > convMostValues || outW > convMostValues {
		return false
	}
	rows, pitch := 2*outH+uint32(f.KernelH)-1, 2*outW+uint32(f.KernelW)-1
	pitch += (uint32(f.KernelW) - pitch) % 32
	return f.taps() <= convMostTaps && rows <= convMostValues && uint64(f.Channels)*uint64(rows)*uint64(pitch) <= convMostValues
}

// taps is how many values a filter has.
func (f Filtering) taps() uint32 { return f.Channels * uint32(f.KernelH*f.KernelW) }

// groups is how many blocks share an image's filters out.
func (f Filtering) groups() uint32 { return (f.Filters + convFilters - 1) / convFilters }

// check counts an image batch's values, and those of what is made of it.
func (f Filtering) check(k *Kernel, batch, outH, outW uint32) error {
	if !f.Fits(outH, outW) {
		return fmt.Errorf("kernels: %s: %+v with %dx%d windows has no room in shared memory", k.Name, f, outH, outW)
	}
	if _, err := countPlaces(k, batch, f.Channels, uint32(f.H), uint32(f.W)); err != nil {
		return err
	}
	_, err := countPlaces(k, batch, f.groups()*convFilters, outH, outW)
	return err
}

// ConvBiasReLUPool is a convolution of few input channels, with BiasReLUPool behind it: X (Batch, Channels, H, W), Weight
// (Filters, Channels, KernelH, KernelW), Bias (Filters); the filters make MadeH by MadeW values an image; Y and Mask
// (Batch, Filters, OutH, OutW).
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
}

var convBiasReLUPool = newKernel("conv_bias_relu_pool", 256, ConvBiasReLUPool{})

// Launch makes the launch for a device.
func (k ConvBiasReLUPool) Launch(d Device) (Launch, error) {
	if err := k.check(convBiasReLUPool, k.Batch, k.OutH, k.OutW); err != nil {
		return Launch{}, err
	}
	return newRows(convBiasReLUPool, d, uint64(k.Batch)*uint64(k.groups()), uint64(k.OutH)*uint64(k.OutW), k)
}

// ConvGradientParts returns in how many parts of the batch ConvReLUPoolGradients had best sum: so many that they keep a
// GPU busy, and the same on every device, so that the sums are.
func ConvGradientParts(batch uint32, f Filtering) uint32 {
	const blocks = 512
	return max(1, min(batch, blocks/f.groups()))
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
	Parts uint32
}

var convReLUPoolGradients = newKernel("conv_relu_pool_gradients", 256, ConvReLUPoolGradients{})

// Launch makes the launch for a device.
func (k ConvReLUPoolGradients) Launch(d Device) (Launch, error) {
	if err := k.check(convReLUPoolGradients, k.Batch, k.OutH, k.OutW); err != nil {
		return Launch{}, err
	}
	if k.Parts < 1 || k.Parts > k.Batch {
		return Launch{}, fmt.Errorf("kernels: %s: %d parts of a batch of %d", convReLUPoolGradients.Name, k.Parts, k.Batch)
	}
	return newRows(convReLUPoolGradients, d, uint64(k.Parts)*uint64(k.groups()), warp*uint64(min(k.Filters, convFilters)), k)
}

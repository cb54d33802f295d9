package kernels

import "fmt"

// The modes of PoolForward and PoolBackward.
const (
	MaxPooling  int32 = 0
	MeanPooling int32 = 1
	L2Pooling   int32 = 2
)

// Windows describes where the windows of pooling lie on images of H rows and W columns. The window of output (oh, ow)
// begins at row oh*StrideH-Top and column ow*StrideW-Left. It has KernelH rows and KernelW columns.
type Windows struct {
	H       int32
	W       int32
	OutH    int32
	OutW    int32
	KernelH int32
	KernelW int32
	StrideH int32
	StrideW int32
	Top     int32
	Left    int32
}

// BiasReLUPool adds the bias, applies ReLU, and takes the maximum of 2x2 windows with stride 2. X is (Batch, Channels,
// H, W), and Y and Mask are (Batch, Channels, OutH, OutW). Where Last is not 0, X is (Batch, H, W, Channels), and Y and
// Mask are (Batch, OutH, OutW, Channels). Mask tells [BiasReLUPoolBackward] where the gradient goes.
type BiasReLUPool struct {
	Y        Values
	Mask     Pointer[uint8]
	X        Values
	Bias     Pointer[float32]
	Batch    uint32
	Channels uint32
	H        uint32
	W        uint32
	OutH     uint32
	OutW     uint32
	Last     int32
}

var biasReLUPool = newForms("bias_relu_pool", 256, BiasReLUPool{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BiasReLUPool) Launch(d Device) (Launch, error) {
	return newHalved(biasReLUPool[k.Y.Type], d, k, k.Batch, k.Channels, k.H, k.W, k.OutH, k.OutW, k.OutH, k.OutW, k.Last)
}

// BiasReLUPoolBackward computes the gradient of [BiasReLUPool] with respect to X. It writes all of Dx, which has the
// shape of X. Dy has the shape of Y.
type BiasReLUPoolBackward struct {
	Dx       Values
	Dy       Values
	Mask     Pointer[uint8]
	Batch    uint32
	Channels uint32
	H        uint32
	W        uint32
	OutH     uint32
	OutW     uint32
	Last     int32
}

var biasReLUPoolBackward = newForms("bias_relu_pool_backward", 256, BiasReLUPoolBackward{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BiasReLUPoolBackward) Launch(d Device) (Launch, error) {
	return newHalved(biasReLUPoolBackward[k.Dx.Type], d, k, k.Batch, k.Channels, k.H, k.W, k.OutH, k.OutW, (k.H+1)/2, (k.W+1)/2, k.Last)
}

// newHalved makes a launch for a kernel that treats each of rows x columns windows of 2x2 on images of h x w.
func newHalved(k *Kernel, d Device, parameters any, batch, channels, h, w, outH, outW, rows, columns uint32, last int32) (Launch, error) {
	if h > mostValues || w > mostValues || outH > (h+1)/2 || outW > (w+1)/2 {
		return Launch{}, fmt.Errorf("kernels: %s: %d x %d windows on %d x %d values: want each to see one or more", k.Name, outH, outW, h, w)
	}
	if _, err := countPlaces(k, batch, channels, h, w); err != nil {
		return Launch{}, err
	}
	if last == 0 {
		channels *= batch
		batch, channels = channels, 1
	}
	return newInterleaved(k, d, parameters, batch, rows, columns, channels)
}

// newInterleaved makes a launch for a kernel that treats each value of images (planes, rows, columns, channels) in the
// same way. It moves 16 bytes of channels at a time, but single values if there is one channel.
func newInterleaved(k *Kernel, d Device, parameters any, planes, rows, columns, channels uint32) (Launch, error) {
	total, err := countPlaces(k, planes, rows, columns, channels)
	if err != nil {
		return Launch{}, err
	}
	if channels < 1 {
		return Launch{}, fmt.Errorf("kernels: %s: %d channels: want 1 or more", k.Name, channels)
	}
	return newLaunch(k, d, total/channelsAtOnce(k.Type, channels), parameters)
}

// channelsAtOnce returns how many interleaved channels move at once where the buffers are aligned.
func channelsAtOnce(t Type, channels uint32) uint64 {
	if wide := uint32(16 / t.Bytes()); channels%wide == 0 {
		return uint64(wide)
	}
	return 1
}

// BiasReLUPoolGradient computes the gradient of the bias of [BiasReLUPool] from Dy and Mask, without Dx: Db[c] is the
// sum over n and i of Dy[n][c][i] where Mask[n][c][i] is below 4. The order of the sums is fixed. With several Parts, Db
// has Parts rows of Channels sums; [ColumnSums] adds up these rows. See [ReductionParts]. For NHWC, Batch is the number
// of all pixels, and Extent is 1.
type BiasReLUPoolGradient struct {
	Db       Pointer[float32]
	Dy       Values
	Mask     Pointer[uint8]
	Batch    uint32
	Channels uint32
	Extent   uint32
	Parts    uint32
}

var biasReLUPoolGradient = newForms("bias_relu_pool_gradient", 256, BiasReLUPoolGradient{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BiasReLUPoolGradient) Launch(d Device) (Launch, error) {
	return newReduction(biasReLUPoolGradient[k.Dy.Type], d, k, k.Batch, k.Channels, k.Extent, k.Parts)
}

// BiasReLUPoolGradients computes what [BiasReLUPoolBackward] and [BiasReLUPoolGradient] compute, with channels last, where
// every value is in a window: OutH is (H+1)/2 and OutW is (W+1)/2.
type BiasReLUPoolGradients struct {
	Db       Pointer[float32]
	Dx       Values
	Dy       Values
	Mask     Pointer[uint8]
	Batch    uint32
	Channels uint32
	H        uint32
	W        uint32
	OutH     uint32
	OutW     uint32
	Parts    uint32
}

var biasReLUPoolGradients = newForms("bias_relu_pool_gradients", 256, BiasReLUPoolGradients{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BiasReLUPoolGradients) Launch(d Device) (Launch, error) {
	kernel := biasReLUPoolGradients[k.Dy.Type]
	if k.OutH != (k.H+1)/2 || k.OutW != (k.W+1)/2 {
		return Launch{}, fmt.Errorf("kernels: %s: %d x %d windows on %d x %d values: want each value in one", kernel.Name, k.OutH, k.OutW, k.H, k.W)
	}
	if _, err := countPlaces(kernel, k.Batch, k.Channels, k.H, k.W); err != nil {
		return Launch{}, err
	}
	return newReduction(kernel, d, k, k.Batch*k.OutH*k.OutW, k.Channels, 1, k.Parts)
}

// PoolForward pools windows of any shape. Padding is not part of any window. Mode is [MaxPooling], [MeanPooling] or
// [L2Pooling]. X is Planes images of (H, W, Channels), and Y of (OutH, OutW, Channels). For NCHW, Planes is N*C and
// Channels is 1. For NHWC, Planes is N and Channels is C.
type PoolForward struct {
	Y        Values
	X        Values
	Mode     int32
	Planes   uint32
	Channels uint32
	Windows
}

var poolForward = newForms("pool_forward", 256, PoolForward{})

// Threads share windows of at least sharedWindow values, except for maxima, and pool so many packs of channels abreast.
// pool.cu has the same numbers.
const sharedWindow, abreast = 16, 16

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k PoolForward) Launch(d Device) (Launch, error) {
	kernel := poolForward[k.Y.Type]
	l, err := k.launch(kernel, d, k, k.Planes, k.Channels, k.OutH, k.OutW)
	if err != nil || k.Channels == 1 || k.Mode == MaxPooling || int64(k.KernelH)*int64(k.KernelW) < sharedWindow {
		return l, err
	}
	packs := uint64(k.Planes) * uint64(k.OutH) * uint64(k.OutW) * uint64(k.Channels) / channelsAtOnce(kernel.Type, k.Channels)
	return newLaunch(kernel, d, packs*uint64(l.Threads)/abreast, k)
}

// launch makes a launch for a kernel that treats each value of images of rows x columns in the same way. Both images
// and their windows must be few enough to be numbered with 32 bits.
func (w Windows) launch(k *Kernel, d Device, parameters any, planes, channels uint32, rows, columns int32) (Launch, error) {
	if min(w.H, w.W, w.OutH, w.OutW, w.KernelH, w.KernelW, w.StrideH, w.StrideW) < 1 {
		return Launch{}, fmt.Errorf("kernels: %s: %+v: want sizes and strides of 1 or more", k.Name, w)
	}
	for _, size := range [][2]int32{{w.H, w.W}, {w.OutH, w.OutW}} {
		if _, err := countPlaces(k, planes, channels, uint32(size[0]), uint32(size[1])); err != nil {
			return Launch{}, err
		}
	}
	return newInterleaved(k, d, parameters, planes, uint32(rows), uint32(columns), channels)
}

// MaxPoolBackward computes the input gradient of max pooling from X and Y, the input and output of the forward pass.
// The gradient of a window goes to its first maximum. Planes and Channels are those of [PoolForward]. Where Add is not
// 0, the result is added to Dx.
type MaxPoolBackward struct {
	Dx       Values
	Dy       Values
	X        Values
	Y        Values
	Planes   uint32
	Channels uint32
	Windows
	Add int32
}

var maxPoolBackward = newForms("max_pool_backward", 256, MaxPoolBackward{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k MaxPoolBackward) Launch(d Device) (Launch, error) {
	return k.launch(maxPoolBackward[k.Dx.Type], d, k, k.Planes, k.Channels, k.H, k.W)
}

// PoolBackward computes the input gradient of mean and L2 pooling from X and Y, the input and output of the forward
// pass. Planes and Channels are those of [PoolForward]. Where Add is not 0, the result is added to Dx.
type PoolBackward struct {
	Dx       Values
	Dy       Values
	X        Values
	Y        Values
	Mode     int32
	Planes   uint32
	Channels uint32
	Windows
	Add int32
}

var poolBackward = newForms("pool_backward", 256, PoolBackward{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k PoolBackward) Launch(d Device) (Launch, error) {
	return k.launch(poolBackward[k.Dx.Type], d, k, k.Planes, k.Channels, k.H, k.W)
}

// Pad copies each of Planes images X (H, W, Channels) into a larger image Xp (Ph, Pw, Channels), from row Top and column
// Left on. The rest of Xp becomes 0. Planes and Channels are those of [PoolForward].
type Pad struct {
	Xp       Values
	X        Values
	Planes   uint32
	Channels uint32
	H        int32
	W        int32
	Ph       int32
	Pw       int32
	Top      int32
	Left     int32
}

var pad = newForms("pad", 256, Pad{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Pad) Launch(d Device) (Launch, error) {
	return newInterleaved(pad[k.Xp.Type], d, k, k.Planes, uint32(k.Ph), uint32(k.Pw), k.Channels)
}

// Crop is the reverse of [Pad]: for each of Planes images, it copies H rows and W columns of Xp (Ph, Pw, Channels), from
// row Top and column Left on, to X (H, W, Channels). If Add is not 0, it adds them to X instead.
type Crop struct {
	X        Values
	Xp       Values
	Planes   uint32
	Channels uint32
	H        int32
	W        int32
	Ph       int32
	Pw       int32
	Top      int32
	Left     int32
	Add      int32
}

var crop = newForms("crop", 256, Crop{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Crop) Launch(d Device) (Launch, error) {
	kernel := crop[k.X.Type]
	if _, err := countPlaces(kernel, k.Planes, uint32(k.Ph), uint32(k.Pw), k.Channels); err != nil {
		return Launch{}, err
	}
	return newInterleaved(kernel, d, k, k.Planes, uint32(k.H), uint32(k.W), k.Channels)
}

package kernels

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

// BiasReLUPool adds the bias, applies ReLU, and takes the maximum of 2x2 windows with stride 2. X has Planes =
// N*Channels images of (H, W), and Y has as many of (OutH, OutW). Mask tells [BiasReLUPoolBackward] where the gradient
// goes.
type BiasReLUPool struct {
	Y        Pointer[float32]
	Mask     Pointer[uint8]
	X        Pointer[float32]
	Bias     Pointer[float32]
	Planes   uint32
	Channels uint32
	H        uint32
	W        uint32
	OutH     uint32
	OutW     uint32
}

var biasReLUPool = newKernel("bias_relu_pool", 256, BiasReLUPool{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BiasReLUPool) Launch(d Device) (Launch, error) {
	return newPlaced(biasReLUPool, d, k, k.Planes, k.OutH, k.OutW)
}

// BiasReLUPoolBackward computes the gradient of [BiasReLUPool] with respect to X. It writes all of Dx (H, W).
type BiasReLUPoolBackward struct {
	Dx     Pointer[float32]
	Dy     Pointer[float32]
	Mask   Pointer[uint8]
	Planes uint32
	H      uint32
	W      uint32
	OutH   uint32
	OutW   uint32
}

var biasReLUPoolBackward = newKernel("bias_relu_pool_backward", 256, BiasReLUPoolBackward{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BiasReLUPoolBackward) Launch(d Device) (Launch, error) {
	return newPlaced(biasReLUPoolBackward, d, k, k.Planes, (k.H+1)/2, (k.W+1)/2)
}

// PoolForward pools windows of any shape. Padding is not part of any window. Mode is [MaxPooling], [MeanPooling] or
// [L2Pooling].
type PoolForward struct {
	Y      Pointer[float32]
	X      Pointer[float32]
	Mode   int32
	Planes uint32
	Windows
}

var poolForward = newKernel("pool_forward", 256, PoolForward{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k PoolForward) Launch(d Device) (Launch, error) {
	return newPlaced(poolForward, d, k, k.Planes, uint32(k.OutH), uint32(k.OutW))
}

// MaxPoolBackward computes the input gradient of max pooling from X and Y, the input and output of the forward pass.
// The gradient of a window goes to its first maximum. Where Add is not 0, the result is added to Dx.
type MaxPoolBackward struct {
	Dx     Pointer[float32]
	Dy     Pointer[float32]
	X      Pointer[float32]
	Y      Pointer[float32]
	Planes uint32
	Windows
	Add int32
}

var maxPoolBackward = newKernel("max_pool_backward", 256, MaxPoolBackward{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k MaxPoolBackward) Launch(d Device) (Launch, error) {
	return newPlaced(maxPoolBackward, d, k, k.Planes, uint32(k.H), uint32(k.W))
}

// PoolBackward computes the input gradient of mean and L2 pooling from X and Y, the input and output of the forward
// pass. Where Add is not 0, the result is added to Dx.
type PoolBackward struct {
	Dx     Pointer[float32]
	Dy     Pointer[float32]
	X      Pointer[float32]
	Y      Pointer[float32]
	Mode   int32
	Planes uint32
	Windows
	Add int32
}

var poolBackward = newKernel("pool_backward", 256, PoolBackward{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k PoolBackward) Launch(d Device) (Launch, error) {
	return newPlaced(poolBackward, d, k, k.Planes, uint32(k.H), uint32(k.W))
}

// Pad copies each of Planes images X (H, W) into a larger image Xp (Ph, Pw), from row Top and column Left on. The rest
// of Xp becomes 0.
type Pad struct {
	Xp     Pointer[float32]
	X      Pointer[float32]
	Planes uint32
	H      int32
	W      int32
	Ph     int32
	Pw     int32
	Top    int32
	Left   int32
}

var pad = newKernel("pad", 256, Pad{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Pad) Launch(d Device) (Launch, error) {
	return newPlaced(pad, d, k, k.Planes, uint32(k.Ph), uint32(k.Pw))
}

// Crop is the reverse of [Pad]: for each of Planes images, it copies H rows and W columns of Xp (Ph, Pw), from row Top
// and column Left on, to X (H, W). If Add is not 0, it adds them to X instead.
type Crop struct {
	X      Pointer[float32]
	Xp     Pointer[float32]
	Planes uint32
	H      int32
	W      int32
	Ph     int32
	Pw     int32
	Top    int32
	Left   int32
	Add    int32
}

var crop = newKernel("crop", 256, Crop{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Crop) Launch(d Device) (Launch, error) {
	return newPlaced(crop, d, k, k.Planes, uint32(k.H), uint32(k.W))
}

package cuda

import "errors"

// Precision names the arithmetic in which a GPU multiplies in convolutions and dense layers.
type Precision string

// The precisions. In all of them weights, sums, statistics and the optimiser's state are float32.
const (
	// FP32 multiplies and adds in float32.
	FP32 Precision = "fp32"
	// TF32 rounds the factors of convolutions and dense layers to ten bits of mantissa, for tensor cores. It needs an
	// Ampere GPU or a later one, and is the default there.
	TF32 Precision = "tf32"
	// BF16 computes with bfloat16, which has seven bits of mantissa and float32's range. Activations and their gradients
	// are bfloat16, with channels last, and so take half the memory. The factors of convolutions and dense layers are too:
	// tensor cores are twice as fast as in TF32. Biases of dense layers are rounded too where cuBLASLt adds them. Products
	// are added in float32, and logits are float32. It needs an Ampere GPU or a later one.
	BF16 Precision = "bf16"
)

// OwnConvolutions says when our kernels for tensor cores compute convolutions, instead of cuDNN. They exist for BF16 and one
// group. A convolution with few channels may be computed by other kernels of ours: see Options.NoFusion.
type OwnConvolutions string

// When our kernels compute convolutions.
const (
	OwnMeasured OwnConvolutions = ""       // where they are faster; never where nothing is measured, or with NoFusion
	OwnAlways   OwnConvolutions = "always" // wherever they can
	OwnNever    OwnConvolutions = "never"
)

// Roundoff returns the unit roundoff of a precision: the greatest relative error of rounding a factor of a product. The empty
// one's is float32's.
func (p Precision) Roundoff() float64 {
	switch p {
	case TF32:
		return 1. / (1 << 11)
	case BF16:
		return 1. / (1 << 8)
	}
	return 1. / (1 << 24)
}

// ErrPrecision means that the GPU lacks the requested arithmetic. Compare with errors.Is.
var ErrPrecision = errors.New("precision not available on this GPU")

// Options select a GPU and how to use it. The zero Options mean the first GPU and its default arithmetic.
type Options struct {
	Index         int       // the GPU's number, as CUDA counts from 0; CUDA_VISIBLE_DEVICES changes that count
	Precision     Precision // empty: TF32 where the GPU has it, else FP32
	Deterministic bool      // every run gives the same bytes: deterministic algorithms, chosen by a heuristic
	Heuristic     bool      // the libraries' heuristics choose algorithms; otherwise times decide, which vary by chance
	NoGraph       bool      // launch each kernel of a step by itself, instead of a captured graph
	NoFusion      bool      // cuDNN computes all convolutions; otherwise kernels of ours compute some, with other layers
	OneStream     bool      // nothing runs side by side on the GPU; otherwise gradients of weights run beside other work
	ChannelsLast  bool      // values lie as (N, H, W, C), as they always do in BF16; otherwise as (N, C, H, W)
	MemoryLimit   int64     // the most bytes to take from the GPU; 0: no limit
	Workspace     int64     // the most bytes for a convolution's workspace; 0: 256 MiB
	// OwnConvolutions says whether kernels of ours compute convolutions in BF16. Empty: where they are measured to be faster
	// than cuDNN.
	OwnConvolutions OwnConvolutions
	// AlgorithmCache names a folder where measured algorithms of convolutions are kept. The next start then measures only
	// dense layers, which takes milliseconds. The folder is made if it doesn't exist. Empty: nothing is written or read.
	AlgorithmCache string
	// SingleAllocations gives every buffer its own allocation from the driver, for tools that check memory by
	// allocation.
	SingleAllocations bool
}

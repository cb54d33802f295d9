package cuda

import "errors"

// Precision says in what arithmetic a GPU multiplies.
type Precision string

// The precisions. Weights, activations, sums and the optimiser's state are float32 in all of them.
const (
	// FP32 multiplies and adds in float32.
	FP32 Precision = "fp32"
	// TF32 rounds the factors of convolutions and dense layers to ten bits of mantissa for the tensor cores of Ampere and
	// later. It is the default there.
	TF32 Precision = "tf32"
	// BF16 rounds the factors to bfloat16, with seven bits of mantissa and float32's range: twice TF32's speed, and half
	// the memory of what is kept for the backward pass. Products are added in float32; those of convolutions come rounded to
	// bfloat16. It takes Ampere or later.
	BF16 Precision = "bf16"
)

// ErrPrecision means that a GPU lacks the arithmetic that was asked for; compare with errors.Is.
var ErrPrecision = errors.New("precision not available on this GPU")

// Options say which GPU to take and how to use it. The zero Options are the first GPU and its fastest arithmetic.
type Options struct {
	Index         int       // number of the GPU, as CUDA counts them; CUDA_VISIBLE_DEVICES changes that count
	Precision     Precision // empty: TF32 where the GPU has it, else FP32
	Deterministic bool      // give the same bytes every time: use deterministic algorithms only, chosen by cuDNN's heuristic
	Heuristic     bool      // choose algorithms by cuDNN's heuristic instead of measuring them, which chance decides
	NoGraph       bool      // launch every kernel of a step by itself instead of a captured graph
	NoFusion      bool      // cuDNN computes all convolutions: no kernels of ours that do, with the ReLU and pooling behind them
	MemoryLimit   int64     // most bytes to take from the GPU; 0: no limit
	Workspace     int64     // most bytes of a convolution's workspace; 0: 256 MB
	// AlgorithmCache is a folder where measured algorithms are kept for the next start, which then measures nothing; it is
	// made if need be. Empty: nothing is written or read.
	AlgorithmCache string
	// SingleAllocations makes every buffer an allocation of the driver's, for tools that check memory by allocation.
	SingleAllocations bool
}

// Package cpu is the device that trains on the processor, in float32.
//
// It compiles a network into a graph of operations, one for each group of layers
// that package lower makes. Memory is planned once, and a training step allocates
// nothing.
//
// Convolutions with filters of 5x5 and 3x3 use Winograd's minimal filtering where it
// pays. Convolutions with few channels are computed directly. Others are matrix
// products, whose right side is gathered from the padded image one panel at a time.
//
// Bias, ReLU and pooling are applied while an image's outputs are in the cache.
// Where neighbouring operations treat each sample by itself, they all run on one
// sample before the next sample is begun. If several operations take a value, the
// first of them in the backward pass writes its gradient, and the others add theirs.
//
// Work is split into pieces that depend only on shapes, and each sum has a fixed
// order. So results are the same bytes for any number of threads. Between the kernel
// tiers (AVX-512, AVX2 and portable) they differ by rounding.
package cpu

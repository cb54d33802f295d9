// Package cpu trains and runs networks on the processor, in float32: [New] returns a
// device of package net.
//
// It compiles a network into a graph of operations. Package lower divides the layers
// into groups, and each group becomes one operation. Memory is planned once, and a
// training step allocates nothing.
//
// Convolutions with filters of 5x5 and 3x3 use Winograd's minimal filtering if that
// is faster. Convolutions with few channels are computed directly. Others are matrix
// products, whose right side is gathered from the padded image one panel at a time.
//
// Bias, ReLU and pooling are applied while an image's outputs are in the cache. If
// neighbouring operations treat each sample by itself, they all run on one sample
// before the next sample is begun. If several operations take a value, the first of
// them in the backward pass writes its gradient, and the others add theirs.
//
// Work is split into pieces that depend only on shapes, and each sum has a fixed
// order. So results are the same bytes for any number of threads. Between the kernel
// tiers (AVX-512, AVX2 and portable) they differ by rounding.
package cpu

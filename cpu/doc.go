// Package cpu trains and runs networks on the processor, in float32: [New] returns a
// device of package net.
//
// It compiles a network into a graph of operations. Package lower divides the layers into
// groups, and each group becomes one operation. Memory is planned once, and a training
// step allocates nothing. Gradients with respect to values share memory if they are
// needed at different times. In evaluation most values have memory by thread, not by
// sample.
//
// Images lie in memory in blocks of as many channels as a vector has lanes: the values of
// one position stand side by side. In this layout all convolutions, pooling and batch
// normalisation work on whole vectors, whatever their strides, windows, dilations and
// groups. An input image of few channels keeps them side by side without a gap. Vectors
// of values for dense layers, and convolutions that are one operation with the max
// pooling behind them, are planar, with one channel after the other. Conversions stand
// where one layout meets the other.
//
// A convolution computes tiles of some positions by some vectors of filters, which stay
// in registers until they are done. The gradient with respect to its input is such a
// convolution, too: with strides, one for each phase of the positions, so that no zeros
// are multiplied. Where a vector's filters belong to several groups, it takes the
// channels of all of them, with weights of 0 between groups. Filters of 5x5 and 3x3 use
// Winograd's minimal filtering, also with dilations, for the output and both gradients,
// if that is faster. Its products are convolutions of size 1 whose positions are tiles,
// and fully connected layers in evaluation are such convolutions whose positions are
// samples. Where max pooling follows a convolution that Winograd's method doesn't suit
// better, the gradients skip the positions that the pooling didn't choose.
//
// Bias, ReLU and pooling are applied while an image's outputs are in the cache. If
// neighbouring operations treat each sample by itself, they all run on one sample before
// the next sample is begun, or on a few samples at once where images are so small that
// one doesn't fill a tile. If several operations take a value, the first of them in the
// backward pass writes its gradient, and the others add theirs.
//
// In evaluation, batch normalisation is part of a convolution right before it, or treats
// each sample by itself, and fully connected layers have packed weights. One with few
// weights is computed for a few samples at a time, by the thread that computes the layers
// around it. If there are so few samples that threads would be idle, they share out each
// sample's output.
//
// Each sum has a fixed order, and is never divided by the number of threads. So results
// are the same bytes for any number of threads. Between the kernel tiers (AVX-512, AVX2,
// NEON and portable) they differ by rounding.
package cpu

// Package cpu is the device that trains on the processor, in float32.
//
// It compiles a network into a graph of operations, one for each group of layers
// that package lower makes, whose memory is planned once: a training step allocates
// nothing. Convolutions by filters of 5x5 and 3x3 take
// Winograd's minimal filtering where it pays, those of few channels are computed
// directly, and others are matrix products whose right side is gathered from the
// padded image a panel at a time. Bias, ReLU and pooling are applied while an
// image's outputs are in the cache; neighbouring operations that treat each sample
// for itself run one after the other on a sample before the next is begun. Of a
// value that several operations take, the first of them in the backward pass writes
// the gradient and the others add theirs.
//
// Work is split into pieces that depend on shapes alone, and sums are taken in a
// fixed order, so that results are the same bytes for any number of threads.
// They differ, by rounding, between kernel tiers: AVX-512, AVX2 and portable.
package cpu

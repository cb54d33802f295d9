// Package reference is a device that computes in float64 with plain loops. It is slow,
// and meant to be obviously right. Every other device is compared with it, so a reader
// should be able to check every layer with a pencil.
//
// [New] returns the device. To verify another device, single layers are replayed with
// [Layer] and [SoftmaxCrossEntropy], on the inputs that the other device had. So errors
// don't add up from layer to layer. [Clip], [Update] and [Average] do the same for the
// optimiser, [See] for a view of a sample, and [CrossEntropy] for a criterion.
//
// Everything is computed in float64. At the end of a training step, weights, running
// statistics, moving averages and the optimiser's moments are rounded to the nearest
// float32, because a [net.State] holds float32. So saving loses nothing, and a resumed run
// equals an uninterrupted one exactly.
//
// A NaN passes through every layer, unless dropout drops it. So it reaches the loss and
// is seen.
package reference

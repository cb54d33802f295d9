// Package net describes image classifiers as data, trains them, and sets the
// contract that a device fulfils to run them.
//
// # Networks
//
// A [Network] is an input shape and a list of layers, which make a graph. A layer
// takes the output of the layer before it, or of those that its From names. A
// network holds no numbers. It can be read from JSON ([ParseNetwork]) and written
// to JSON, and it checks itself: [Network.Plan] resolves every connection, infers
// every shape and lists every parameter. [Models] are networks that are built in.
//
// Two tables say what there is. [Kinds] lists the kinds of layers, and
// [Functions] all that is known of each activation function. Devices, exports and
// documentation draw from them.
//
// # Devices
//
// A [Device] compiles a network into a [Program]: the network's weights, the
// optimiser's state and the working memory, on one device. It compiles whole
// networks and does not dispatch single operations. A device that sees the whole
// training step can fuse layers, choose layouts, reuse memory and capture graphs.
// Package net knows no device. Three are
// [github.com/gputrain/gputrain/cpu], [github.com/gputrain/gputrain/cuda] and
// [github.com/gputrain/gputrain/net/reference].
//
// A step has two halves. Gradients runs forward and backward, Update changes the
// weights. Between them the gradients of several mini-batches add up, so that a
// large batch needs the memory of a small one.
//
// # Training
//
// [Train] runs the training loop over a Program: seeded shuffles, mini-batches,
// evaluation, early stopping, checkpoints and observers. A [Recipe] says how: the
// optimiser and its schedule, the loss ([Criterion]), how pictures are augmented
// ([Augment]), and more. [FindRate] looks for a learning rate. The examples of package cpu train on MNIST, and ask a trained network what an image
// shows.
//
// # Numbers
//
// Numbers that cross the API are float32 in NCHW order: sample, channel, row,
// column. One seed decides everything that is random: initial weights, shuffles,
// dropout, augmentation and splits. The generator is [Philox], which is counter-based. It has no state
// to save, so a run's position is its step number.
package net

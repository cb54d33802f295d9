// Package net describes image classifiers as data, trains them, and defines the
// interface that a device implements to run them.
//
// # Networks
//
// A [Network] is an input shape and a list of layers, which make a graph. A layer
// takes the output of the layer before it, or of the layers that its From names. A
// network holds no weights. It can be read from JSON ([ParseNetwork]) and written to
// JSON. [Network.Plan] checks it, resolves every connection, infers every shape and
// lists every parameter. [Models] returns the built-in networks.
//
// Two tables describe the building blocks: [Kinds] lists the kinds of layers, and
// [Functions] the activation functions. Devices, exports and documentation use these
// tables.
//
// # Devices
//
// A [Device] compiles a network into a [Program]: the network's weights, the
// optimiser's state and the working memory, on one device. It compiles whole
// networks and does not dispatch single operations. A device that sees the whole
// training step can fuse layers, choose layouts, reuse memory and capture graphs.
// Package net imports no device. There are three:
// [github.com/gputrain/gputrain/cpu], [github.com/gputrain/gputrain/cuda] and
// [github.com/gputrain/gputrain/net/reference].
//
// A training step has two halves. Gradients runs forward and backward. Update changes
// the weights. Several calls of Gradients before one Update add up their gradients, so a
// large batch needs only the memory of a small one.
//
// # Training
//
// [Train] runs the training loop over a Program: seeded shuffles, mini-batches,
// evaluation, early stopping, checkpoints and observers. A [Recipe] says how: the
// optimiser and its schedule, the loss ([Criterion]), how pictures are augmented
// ([Augment]), and more. [FindRate] looks for a learning rate. The examples of package
// cpu train on MNIST, and ask a trained network what an image shows.
//
// # Numbers
//
// Numbers that cross the API are float32 in NCHW order: sample, channel, row,
// column. One seed decides everything that is random: initial weights, shuffles,
// dropout, augmentation and splits. The generator is [Philox], which is counter-based. It
// has no state to save, so a run's position is its step number.
package net

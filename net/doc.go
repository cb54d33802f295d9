// Package net describes convolutional networks as data, trains them, and sets
// the contract that a device fulfils to run them.
//
// A [Network] is an input shape and a chain of layers. It holds no numbers; it
// can be read from and written to JSON, and checks itself. [Network.Plan]
// infers every shape and lists every parameter.
//
// A [Device] compiles a network into a [Program]: the network's weights, the
// optimiser's state and the working memory, on one device. Whole networks are
// compiled, not single operations dispatched, so that a device that sees the
// whole training step can fuse, choose layouts, reuse memory and capture
// graphs. Package net knows no device: [github.com/gputrain/gputrain/cpu],
// [github.com/gputrain/gputrain/cuda] and
// [github.com/gputrain/gputrain/net/reference] are three.
//
// [Train] runs the training loop over a Program: seeded shuffles, batches,
// evaluation, early stopping, checkpoints and observers. The examples of
// package cpu train on MNIST, and ask a trained network what an image shows.
//
// Numbers that cross the API are float32 in NCHW order: sample, channel, row,
// column. One seed decides everything that is random (initial weights,
// shuffles, dropout) through the counter-based generator [Philox], so that no
// generator has state to save: a run's position is its step number.
package net

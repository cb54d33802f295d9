// Package plain computes trained networks in plain Go. All of it is in one file, network.go, which imports nothing but
// package math: gputrain export writes that file beside a network's weights, as a Go package without dependencies. The
// page that it writes computes by the same file. Package elsewhere makes a network's steps.
package plain

import _ "embed" // for the source

// Source is the source of everything that computes.
//
//go:embed network.go
var Source string

type (
	// Step computes one or several layers of a network.
	Step = step
	// Shape is that of an image: channels, rows and columns.
	Shape = shape
	// Kernel is that of a convolution or of pooling.
	Kernel = kernel
)

// What steps compute; network.go says what weights they have.
const (
	Conv     = opConv
	Dense    = opDense
	Max      = opMax
	Mean     = opMean
	L2       = opL2
	Affine   = opAffine
	Add      = opAdd
	Concat   = opConcat
	Multiply = opMultiply
	Copy     = opCopy
)

// New returns the network of steps for images of shape in. The last step computes the logits. weights are the steps'
// weights, float32 in little-endian order. It panics if they are too many or too few.
func New(in Shape, steps []Step, weights string) *Network { return newNetwork(in, steps, weights) }

// Trace returns what [Network.Classify] returns. It calls done with the output of each step, which only lasts until the
// next step.
func Trace(n *Network, pixels []float32, done func(step int, output []float32)) []float32 {
	n.run(pixels, done)
	return softmax(n.outputs[len(n.outputs)-1])
}

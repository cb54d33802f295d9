package cpu

import "github.com/gputrain/gputrain/net"

// sampleOp is an operation that treats each sample for itself.
type sampleOp interface {
	// forward computes the output of sample n.
	forward(w *worker, n int)
	// backward takes the gradient with respect to the output of sample n and
	// computes those with respect to the inputs that are wanted.
	backward(w *worker, n int)
}

// weightOp is a sampleOp with parameters: it has work before and after the
// passes of a mini-batch's samples.
type weightOp interface {
	sampleOp
	ready()   // before the first forward
	prepare() // before the first backward
	finish()  // after the last: the gradients of trained parameters
}

// batchOp is an operation over a whole mini-batch. It splits its work itself.
type batchOp interface {
	forward()
	backward()
}

// pass is what operations need to know of the pass they are in.
type pass struct {
	net.Batch           // the samples
	share     net.Share // of a mini-batch, in training
	training  bool      // dropout drops, batch normalisation takes the batch's statistics
	frozen    bool      // running statistics stay
	traced    bool      // what a step has no need of is computed too, to be shown
	weights   int64     // version of the weights
	step      int64     // updates made before this step
}

// parameter is one parameter's memory. grad and moments are nil where it is not
// trained. Behind value, within its capacity, lies the slack that packing needs.
type parameter struct {
	net.Param
	value, grad []float32
	earlier     []float32   // gradients of the mini-batch's parts before the last one; nil until there are parts
	moments     [][]float32 // in the order of Optimizer.Moments
	average     []float32   // moving average of value, or while they are exchanged value itself; nil where none is kept
}

// trained reports whether q exists and its gradient is computed.
func (q *parameter) trained() bool { return q != nil && q.Trained }

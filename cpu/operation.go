package cpu

import "github.com/gputrain/gputrain/net"

// sampleOp is an operation that treats each sample by itself.
type sampleOp interface {
	// forward computes the output of sample n.
	forward(w *worker, n int)
	// backward takes the gradient with respect to the output of sample n. It
	// computes the gradients with respect to those inputs where they are
	// wanted.
	backward(w *worker, n int)
}

// groupOp is a sampleOp that computes several samples together where that is faster.
type groupOp interface {
	sampleOp
	// group returns how many samples it likes to compute together, or 0 if it doesn't
	// matter.
	group() int
	// forwardGroup computes the output of the samples from first to the one before end.
	forwardGroup(w *worker, first, end int)
	// backwardGroup is backward for the same samples.
	backwardGroup(w *worker, first, end int)
}

// mostTogether is the most samples that an operation computes together.
const mostTogether = 14

// cutOp is a sampleOp whose forward pass of one sample can be shared by several
// threads. What they write doesn't depend on how many there are. In training samples
// are not cut.
type cutOp interface {
	sampleOp
	// parts returns the most parts into which the work can be cut. It is 1 if there is
	// too little work.
	parts() int
	// forwardPart computes one of some parts of the output of sample n.
	forwardPart(w *worker, n int, p part)
}

// part is one of some equal parts of a piece of work.
type part struct{ number, of int }

// whole is a part that is all there is.
var whole = part{0, 1}

// share returns which of n items belong to the part.
func (p part) share(n int) (first, end int) {
	return p.number * n / p.of, (p.number + 1) * n / p.of
}

// leastToCut is the least number of multiply-adds, or of values in other operations,
// that are worth another thread. They take a few microseconds.
const (
	leastToCut       = 1 << 17
	leastValuesToCut = 1 << 14
)

// readyOp is a sampleOp with work before the forward pass of a mini-batch's samples.
type readyOp interface {
	sampleOp
	ready() // is called before the first forward
}

// weightOp is a sampleOp with parameters. It also has work before and after the
// backward pass of a mini-batch's samples.
type weightOp interface {
	readyOp
	prepare() // is called before the first backward
	finish()  // is called after the last backward, and completes the gradients of trained parameters
}

// batchOp is an operation on a whole mini-batch. It divides its work itself.
type batchOp interface {
	forward()
	backward()
}

// pass tells operations about the pass that they are in.
type pass struct {
	net.Batch           // the samples
	share     net.Share // the share of a mini-batch, in training
	counted   int       // how many of the samples count: all, or none
	together  bool      // statistics are those of all members of a group, if there is one
	training  bool      // dropout drops values, and batch normalisation uses the batch's statistics
	frozen    bool      // running statistics don't change
	traced    bool      // values that a step doesn't need are computed too, for a trace
	weights   int64     // version of the weights that are trained
	kept      int64     // version of all other parameters; see version
	running   int64     // version of the running statistics
	step      int64     // updates made before this step
}

// version returns the version of some parameters' values, some of which may be nil. A step
// doesn't change those that aren't trained.
func (p *pass) version(some ...*parameter) int64 {
	for _, q := range some {
		if q.trained() {
			return p.weights
		}
	}
	return p.kept
}

// parameter is the memory of one parameter. grad and moments are nil if it
// isn't trained. Behind value, within its capacity, lies the slack that packing
// needs.
type parameter struct {
	net.Param
	value, grad []float32
	earlier     []float32   // gradients of the mini-batch's parts before the last; nil until there are several parts
	moments     [][]float32 // in the order of its rule's Moments
	rate        int         // index of optimizer.rates
	average     []float32   // moving average of value, or value itself while they are exchanged; nil if none is kept
}

// trained reports whether q isn't nil and its gradient is computed.
func (q *parameter) trained() bool { return q != nil && q.Trained }

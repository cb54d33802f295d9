package cpu

import "github.com/gputrain/gputrain/cpu/asm"

// newBuffer returns n zeros, followed by the slack that packing needs.
func newBuffer(n int) []float32 { return make([]float32, n+asm.Slack) }

// activations holds the values between two operations, and the gradient of the loss with
// respect to them.
type activations struct {
	layout      layout
	learns      bool      // its gradient is computed
	size        int       // values a sample
	value, grad []float32 // of a whole mini-batch
	brief       [2]brief  // in an evaluation, and in training
}

// brief holds values that nothing needs for long: those of the samples that each worker
// computes just now. So are most values of an evaluation, and in training those before the
// first layer that learns. values is nil if they are needed for longer. apart is how far
// apart the workers' values are.
type brief struct {
	values []float32
	apart  int
}

// The passes that have brief values, as indices of activations.brief. A trace has none.
const (
	inEvaluation = iota
	inTraining
	inTrace
)

// newActivations describes a value. It has no memory yet.
func newActivations(l layout, learns bool) *activations {
	return &activations{layout: l, learns: learns, size: l.size()}
}

// take takes the memory for a mini-batch.
func (a *activations) take(batch int) *activations {
	a.value = newBuffer(a.size * batch)
	return a
}

// values returns the values of sample n, which aren't brief.
func (a *activations) values(n int) []float32 { return a.value[n*a.size : (n+1)*a.size] }

// at returns the values of sample n, which a worker computes in a forward pass.
func (a *activations) at(w *worker, n int) []float32 { return a.from(w, n)[:a.size] }

// from returns the values of sample n and of those behind it that the worker computes with it.
func (a *activations) from(w *worker, n int) []float32 {
	if w.pass != inTrace {
		if b := &a.brief[w.pass]; b.values != nil {
			return b.values[w.row*b.apart+(n-w.first)*a.size:]
		}
	}
	return a.value[n*a.size:]
}

// samples returns the values of sample n, as the first, and of those behind it that the
// worker computes with it.
func (a *activations) samples(w *worker, n int) samples { return samples{a.from(w, n), a.size} }

// grads returns the gradient with respect to the values of sample n.
func (a *activations) grads(n int) []float32 { return a.grad[n*a.size : (n+1)*a.size] }

// operand is a value that an operation takes. Package lower decides what
// happens to its gradient.
type operand struct {
	*activations
	wanted bool // the operation computes the gradient with respect to the value
	adds   bool // it adds that gradient to those of other uses; otherwise it is the first, and writes
}

// collect writes a gradient with respect to some values of the operand to grad,
// or adds it where o.adds is set. grad is the place of these values in the
// operand's gradient.
func (o operand) collect(w *worker, grad, from []float32) {
	if o.adds {
		w.kernel.Add(grad, from)
	} else {
		copy(grad, from)
	}
}

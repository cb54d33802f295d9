package cpu

import "github.com/gputrain/gputrain/cpu/asm"

// newBuffer returns n values, 0, with the slack behind them that packing needs.
func newBuffer(n int) []float32 { return make([]float32, n+asm.Slack) }

// activations are the values between two operations, for a whole mini-batch,
// and the loss's gradient with respect to them.
type activations struct {
	size        int // values a sample
	value, grad []float32
}

// newActivations takes memory for a value; its gradient is nil unless it learns.
func newActivations(size, batch int, learns bool) *activations {
	a := &activations{size: size, value: newBuffer(size * batch)}
	if learns {
		a.grad = newBuffer(size * batch)
	}
	return a
}

// values returns the values of sample n.
func (a *activations) values(n int) []float32 { return a.value[n*a.size : (n+1)*a.size] }

// grads returns the gradient with respect to the values of sample n.
func (a *activations) grads(n int) []float32 { return a.grad[n*a.size : (n+1)*a.size] }

// operand is a value that an operation takes. What becomes of its gradient is
// decided by package lower.
type operand struct {
	*activations
	wanted bool // the operation computes the gradient with respect to it
	adds   bool // it adds that to what other uses of the value have computed; else it is the first, and writes
}

// collect writes or adds a gradient with respect to some values of the operand:
// grad is where it belongs.
func (o operand) collect(w *worker, grad, from []float32) {
	if o.adds {
		w.kernel.Add(grad, from)
	} else {
		copy(grad, from)
	}
}

package cpu

import "github.com/gputrain/gputrain/cpu/asm"

// newBuffer returns n zeros, followed by the slack that packing needs.
func newBuffer(n int) []float32 { return make([]float32, n+asm.Slack) }

// activations holds the values between two operations for a whole mini-batch,
// and the gradient of the loss with respect to them.
type activations struct {
	layout      layout
	size        int // values a sample
	value, grad []float32
}

// newActivations takes memory for a value. Its gradient is nil unless learns is
// set.
func newActivations(l layout, batch int, learns bool) *activations {
	size := l.size()
	a := &activations{layout: l, size: size, value: newBuffer(size * batch)}
	if learns {
		a.grad = newBuffer(size * batch)
	}
	return a
}

// values returns the values of sample n.
func (a *activations) values(n int) []float32 { return a.value[n*a.size : (n+1)*a.size] }

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

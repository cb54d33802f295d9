package cpu

import "github.com/gputrain/gputrain/cpu/asm"

// newBuffer returns n values, 0, with the slack behind them that packing needs.
func newBuffer(n int) []float32 { return make([]float32, n+asm.Slack) }

// activations are the values between two operations, for a whole mini-batch,
// and the loss's gradient by them.
type activations struct {
	size        int // values a sample
	value, grad []float32
}

func newActivations(size, batch int) *activations {
	return &activations{size: size, value: newBuffer(size * batch), grad: newBuffer(size * batch)}
}

// values returns the values of sample n.
func (a *activations) values(n int) []float32 { return a.value[n*a.size : (n+1)*a.size] }

// grads returns the gradient by the values of sample n.
func (a *activations) grads(n int) []float32 { return a.grad[n*a.size : (n+1)*a.size] }

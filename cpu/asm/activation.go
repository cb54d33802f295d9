package asm

// Activation are the kernels of an activation function y = f(x), value by value. Some functions have a parameter p; the others
// ignore it.
type Activation struct {
	Name string

	// FromOutput says what Backward computes the derivative from: the output y if it is set, else the input x.
	FromOutput bool

	forward  func(y, x []float32, p float32)
	backward func(dx, dy, v []float32, p float32, add bool)
}

// Activation returns the kernels of the activation function of that name, or nil if there is none. The functions are
//
//	relu          max(x, 0)
//	leaky_relu    x above 0, else p*x
//	tanh
//	sigmoid       1 / (1 + exp(-x))
//	gelu          x * (1 + erf(x/sqrt(2))) / 2
//	gelu_tanh     x * (1 + tanh(sqrt(2/pi) * (x + 0.044715*x^3))) / 2
//	silu          x * sigmoid(x)
//	relu6         min(max(x, 0), 6)
//	hard_swish    x * relu6(x+3)/6
//	hard_sigmoid  relu6(x+3)/6
//	elu           x above 0, else p * (exp(x)-1)
//	mish          x * tanh(log(1+exp(x)))
//
// A result is within 3 units of float32's rounding (2^-24) times max(1, |y|), a derivative within 6 times max(1, |f'|). For
// infinite x there is the limit; a NaN stays NaN. Subnormal results may be 0.
//
// Where a function has no derivative, that of relu6 and hard_swish is the one of the straight piece outside [0, 6] and
// [-3, 3], that of leaky_relu and elu is p.
func (ks *Kernels) Activation(name string) *Activation {
	for i := range ks.activations {
		if a := &ks.activations[i]; a.Name == name {
			return a
		}
	}
	return nil
}

// Forward sets y to f(x). y may be x.
func (a *Activation) Forward(y, x []float32, p float32) {
	sameLength(len(y), len(x))
	a.forward(y, x, p)
}

// Backward sets dx to dy * f'(x), or adds that to dx where add is set. v is the output or the input, as FromOutput says. dx may
// be dy. A NaN of dy stays, with one exception: relu gives 0, whatever dy is, where y is not above 0, as ReLUBackward does.
func (a *Activation) Backward(dx, dy, v []float32, p float32, add bool) {
	sameLength(len(dx), len(dy), len(v))
	a.backward(dx, dy, v, p, add)
}

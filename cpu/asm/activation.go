package asm

// Activation holds the kernels of an activation function y = f(x), which is applied to each value. Some functions have
// a parameter p. The others ignore it.
type Activation struct {
	Name string

	// FromOutput tells from what Backward computes the derivative: the output y if it is set, otherwise the input x.
	FromOutput bool

	forward  func(y, x []float32, p float32)
	backward func(dx, dy, v []float32, p float32, add bool)
}

// Activation returns the kernels of the activation function with the given name, or nil if there is none. The
// functions are
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
// The error of a result is at most 3 units of float32's rounding (2^-24) times max(1, |y|). The error of a derivative
// is at most 6 units times max(1, |f'|). For infinite x the result is the limit, and a NaN stays NaN. Subnormal
// results may be 0.
//
// At points without a derivative, relu6 and hard_swish use the derivative of the straight piece outside [0, 6] or [-3,
// 3], and leaky_relu and elu use p.
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

// Backward sets dx to dy * f'(x), or adds that to dx where add is set. v is the output or the input, as FromOutput
// says. dx may be dy. A NaN in dy stays, with one exception: where y is not above 0, relu gives 0 for every dy, as
// ReLUBackward does.
func (a *Activation) Backward(dx, dy, v []float32, p float32, add bool) {
	sameLength(len(dx), len(dy), len(v))
	a.backward(dx, dy, v, p, add)
}

package reference

import "github.com/gputrain/gputrain/net"

// activationForward applies the activation function to each value.
func activationForward(a *net.Activation, x []float64) []float64 {
	f, p := function(a)
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = f.Value(v, p)
	}
	return y
}

// activationBackward returns dy times the derivative at x.
func activationBackward(a *net.Activation, x, dy []float64) []float64 {
	f, p := function(a)
	dx := make([]float64, len(x))
	for i, v := range x {
		dx[i] = dy[i] * f.Derivative(v, p)
	}
	return dx
}

// function returns the layer's function and its parameter.
func function(a *net.Activation) (f net.Function, p float64) {
	f, ok := net.FunctionNamed(a.Func)
	if !ok {
		panic("BUG: no activation function " + string(a.Func))
	}
	return f, a.Parameter()
}

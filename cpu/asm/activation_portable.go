package asm

import "math"

// activationsPortable defines what each activation function computes. It is also the list of functions for all tiers.
var activationsPortable = []Activation{
	{"relu", true, reluPortable, reluAddPortable},
	inputActivation("leaky_relu", func(x, p float64) float64 {
		if x <= 0 {
			return x * p
		}
		return x
	}, func(x, p float64) float64 {
		if x <= 0 {
			return p
		}
		return 1
	}),
	outputActivation("tanh", func(x, _ float64) float64 { return math.Tanh(x) },
		func(y, _ float64) float64 { return (1 - y) * (1 + y) }),
	outputActivation("sigmoid", func(x, _ float64) float64 { return sigmoid(x) },
		func(y, _ float64) float64 { return y * (1 - y) }),
	inputActivation("gelu", func(x, _ float64) float64 {
		x = max(x, -far)
		return x * normal(x)
	}, func(x, _ float64) float64 {
		x = min(max(x, -far), far)
		return normal(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	}),
	inputActivation("gelu_tanh", func(x, _ float64) float64 {
		z, _ := geluTanh(x)
		return max(x, -far) * sigmoid(z)
	}, func(x, _ float64) float64 {
		x = min(max(x, -far), far)
		z, slope := geluTanh(x)
		s := sigmoid(z)
		return s * (1 + x*slope*(1-s))
	}),
	inputActivation("silu", func(x, _ float64) float64 {
		return max(x, -far) * sigmoid(x)
	}, func(x, _ float64) float64 {
		x = min(max(x, -far), far)
		s := sigmoid(x)
		return s * (1 + x*(1-s))
	}),
	outputActivation("relu6", func(x, _ float64) float64 { return min(max(x, 0), 6) },
		func(y, _ float64) float64 { return inside(y, 0, 6) }),
	inputActivation("hard_swish", func(x, _ float64) float64 {
		return max(x, -3) * hardSigmoid(x)
	}, func(x, _ float64) float64 {
		if x > -3 && x < 3 {
			return (2*x + 3) / 6
		}
		return hardSigmoid(x)
	}),
	outputActivation("hard_sigmoid", func(x, _ float64) float64 { return hardSigmoid(x) },
		func(y, _ float64) float64 { return inside(y, 0, 1) / 6 }),
	inputActivation("elu", func(x, p float64) float64 {
		if x > 0 {
			return x
		}
		return p * math.Expm1(x)
	}, func(x, p float64) float64 {
		if x > 0 {
			return 1
		}
		return p * math.Exp(x)
	}),
	inputActivation("mish", func(x, _ float64) float64 {
		return max(x, -far) * mishGate(x)
	}, func(x, _ float64) float64 {
		x = min(max(x, -far), far)
		gate := mishGate(x)
		return gate + x*(1-gate*gate)*sigmoid(x)
	}),
}

// mishGate returns tanh(log(1+exp(x))).
func mishGate(x float64) float64 {
	return math.Tanh(max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))))
}

// far is a finite x at which each function of this file is practically at its limit. It is used instead of infinity,
// because infinity times 0 is NaN.
const far = 1000

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// normal returns the probability that a standard normal variable is below x.
func normal(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// geluTanh returns the z for which (1 + tanh(sqrt(2/pi) * (x + 0.044715*x^3))) / 2 = sigmoid(z), and dz/dx.
func geluTanh(x float64) (z, slope float64) {
	linear := 2 * math.Sqrt(2/math.Pi)
	return linear * (x + 0.044715*x*x*x), linear * (1 + 3*0.044715*x*x)
}

func hardSigmoid(x float64) float64 { return min(max(x+3, 0), 6) / 6 }

// inside returns 1 if y is between the two bounds, otherwise 0.
func inside(y, above, below float64) float64 {
	if y > above && y < below {
		return 1
	}
	return 0
}

// inputActivation returns the portable kernels of a function f. derivative computes the derivative from the input.
func inputActivation(name string, f, derivative func(x, p float64) float64) Activation {
	return Activation{Name: name, forward: func(y, x []float32, p float32) {
		x = x[:len(y)]
		for i := range y {
			y[i] = float32(f(float64(x[i]), float64(p)))
		}
	}, backward: func(dx, dy, v []float32, p float32, add bool) {
		dy, v = dy[:len(dx)], v[:len(dx)]
		for i := range dx {
			// The conversion keeps the product rounded, with add too. On some processors Go would add to it as it is.
			d := float32(dy[i] * float32(derivative(float64(v[i]), float64(p))))
			if add {
				d += dx[i]
			}
			dx[i] = d
		}
	}}
}

// outputActivation returns the portable kernels of a function f. derivative computes the derivative from the output.
func outputActivation(name string, f, derivative func(v, p float64) float64) Activation {
	a := inputActivation(name, f, derivative)
	a.FromOutput = true
	return a
}

func reluPortable(y, x []float32, _ float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = max(x[i], 0)
	}
}

func reluAddPortable(dx, dy, y []float32, _ float32, add bool) {
	if !add {
		reluBackwardPortable(dx, dy, y)
		return
	}
	dy, y = dy[:len(dx)], y[:len(dx)]
	for i := range dx {
		if y[i] > 0 {
			dx[i] += dy[i]
		}
	}
}

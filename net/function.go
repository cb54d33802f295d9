package net

import (
	"math"
	"strings"
	"sync"
)

// ActivationFunc is the name of an activation function in [Functions].
type ActivationFunc string

// The activation functions.
const (
	ReLU        ActivationFunc = "relu"
	LeakyReLU   ActivationFunc = "leaky_relu"
	Tanh        ActivationFunc = "tanh"
	Sigmoid     ActivationFunc = "sigmoid"
	GELU        ActivationFunc = "gelu"
	GELUTanh    ActivationFunc = "gelu_tanh"
	SiLU        ActivationFunc = "silu"
	ReLU6       ActivationFunc = "relu6"
	HardSwish   ActivationFunc = "hard_swish"
	HardSigmoid ActivationFunc = "hard_sigmoid"
	ELU         ActivationFunc = "elu"
	Mish        ActivationFunc = "mish"
)

// Function describes an activation function. The reference, verification, devices,
// exports and documentation all use this description. A function may have one
// parameter p.
type Function struct {
	Name      ActivationFunc
	Title     string // for people: "leaky ReLU"
	Formula   string // for people: "x for x > 0, else slope*x"
	Parameter FunctionParameter
	// Value computes the function and Derivative its derivative, at x with parameter
	// p. At a kink, Derivative returns the value that devices take. For a NaN, Value
	// returns NaN and Derivative may return anything.
	Value, Derivative func(x, p float64) float64
	// FromOutput says that devices compute the derivative from the output. If it is
	// false, they compute it from the input.
	FromOutput bool
	// Kinks lists the inputs at which the derivative jumps. Near a kink, a device
	// may rightly take the derivative of the other side, because of rounding.
	Kinks []float64
	// Bounds returns the error bounds of a computation in float32, for parameter p.
	Bounds func(p float64) FunctionBounds
	// ONNX is the function in the operators of the ONNX standard.
	ONNX Operator
}

// FunctionParameter describes a function's parameter, which is a field of [Activation].
// The zero FunctionParameter means that the function has none.
type FunctionParameter struct {
	Name                 string // the field's name in JSON
	Default, Least, Most float64
}

// FunctionBounds bounds the error of a function that is computed in float32.
type FunctionBounds struct {
	// Roundings bounds the error of the value at an exact input, in units of the roundoff
	// times max(Scale, greatest |value|). DerivativeRoundings bounds the error of the
	// derivative, in units of the roundoff times max(1, Steepest).
	Roundings, DerivativeRoundings float64
	Scale                          float64
	Steepest                       float64 // the greatest |derivative|
	Curvature                      float64 // the greatest |second derivative| away from the kinks
}

// Operator is an expression of ONNX operators. It is one of four things: an operator Op
// with its Args, the function's input if X is true, the function's parameter if P is
// true, or else a Constant.
type Operator struct {
	Op         string              // the operator's name, such as "Mul"; "" for the other three
	Args       []Operator          // operands
	Attributes map[string]Operator // constants or the parameter
	X, P       bool
	Constant   float64
}

// Functions returns all activation functions.
func Functions() []Function {
	x, p := Operator{X: true}, Operator{P: true}
	c := func(v float64) Operator { return Operator{Constant: v} }
	op := func(name string, args ...Operator) Operator { return Operator{Op: name, Args: args} }
	with := func(o Operator, name string, v Operator) Operator {
		attributes := map[string]Operator{name: v}
		for k, old := range o.Attributes {
			attributes[k] = old
		}
		o.Attributes = attributes
		return o
	}
	hardSigmoid := with(with(op("HardSigmoid", x), "alpha", c(1.0/6)), "beta", c(0.5))
	always := func(b FunctionBounds) func(float64) FunctionBounds {
		return func(float64) FunctionBounds { return b }
	}
	// linear bounds a function of straight pieces, smooth one that needs exponentials.
	linear := always(FunctionBounds{Roundings: 1, DerivativeRoundings: 1, Steepest: 1})
	smooth := func(steepest, curvature float64) func(float64) FunctionBounds {
		return always(FunctionBounds{Roundings: 6, DerivativeRoundings: 16, Scale: 1, Steepest: steepest, Curvature: curvature})
	}
	inside := func(lo, hi float64, value float64) func(x, _ float64) float64 {
		return func(x, _ float64) float64 {
			if x > lo && x < hi {
				return value
			}
			return 0
		}
	}
	inf := math.Inf(1)
	return []Function{
		{
			Name: ReLU, Title: "ReLU", Formula: "max(x, 0)",
			Value:      func(x, _ float64) float64 { return max(x, 0) },
			Derivative: inside(0, inf, 1),
			FromOutput: true, Kinks: []float64{0}, Bounds: linear,
			ONNX: op("Relu", x),
		}, {
			Name: LeakyReLU, Title: "leaky ReLU", Formula: "x for x > 0, else slope*x",
			Parameter: FunctionParameter{Name: "slope", Default: 0.01, Most: 1},
			Value: func(x, p float64) float64 {
				if x < 0 {
					return p * x
				}
				return x
			},
			Derivative: func(x, p float64) float64 {
				if x > 0 {
					return 1
				}
				return p
			},
			Kinks: []float64{0}, Bounds: linear,
			ONNX: with(op("LeakyRelu", x), "alpha", p),
		}, {
			Name: Tanh, Title: "tanh", Formula: "tanh(x)",
			Value:      func(x, _ float64) float64 { return math.Tanh(x) },
			Derivative: func(x, _ float64) float64 { t := math.Tanh(x); return 1 - t*t },
			FromOutput: true, Bounds: smooth(1, 0.77),
			ONNX: op("Tanh", x),
		}, {
			Name: Sigmoid, Title: "sigmoid", Formula: "1/(1+exp(-x))",
			Value:      func(x, _ float64) float64 { return sigmoid(x) },
			Derivative: func(x, _ float64) float64 { s := sigmoid(x); return s * (1 - s) },
			FromOutput: true, Bounds: smooth(0.25, 0.0963),
			ONNX: op("Sigmoid", x),
		}, {
			// Hendrycks and Gimpel, 2016, exactly.
			Name: GELU, Title: "GELU", Formula: "x*(1+erf(x/sqrt(2)))/2",
			Value: func(x, _ float64) float64 { return x * normalCDF(x) },
			Derivative: func(x, _ float64) float64 {
				if math.IsInf(x, 0) {
					return normalCDF(x)
				}
				return normalCDF(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
			},
			Bounds: smooth(1.13, 0.8),
			ONNX:   op("Mul", op("Mul", x, c(0.5)), op("Add", op("Erf", op("Mul", x, c(math.Sqrt2/2))), c(1))),
		}, {
			// The same paper's approximation.
			Name: GELUTanh, Title: "GELU (tanh)", Formula: "x*(1+tanh(sqrt(2/pi)*(x+0.044715*x^3)))/2",
			Value: func(x, _ float64) float64 { return x * (1 + math.Tanh(geluArgument(x))) / 2 },
			Derivative: func(x, _ float64) float64 {
				t := math.Tanh(geluArgument(x))
				slope := (1 - t*t) * math.Sqrt(2/math.Pi) * (1 + 3*0.044715*x*x)
				if t*t == 1 { // the slope is 0, whatever x*x is
					slope = 0
				}
				return (1+t)/2 + x*slope/2
			},
			Bounds: smooth(1.13, 0.8),
			ONNX: op("Mul", op("Mul", x, c(0.5)), op("Add", c(1), op("Tanh", op("Mul", c(math.Sqrt(2/math.Pi)),
				op("Add", x, op("Mul", c(0.044715), op("Mul", x, op("Mul", x, x)))))))),
		}, {
			// Elfwing et al., 2018; also called swish.
			Name: SiLU, Title: "SiLU", Formula: "x/(1+exp(-x))",
			Value: func(x, _ float64) float64 { return x * sigmoid(x) },
			Derivative: func(x, _ float64) float64 {
				s := sigmoid(x)
				if s == 0 || s == 1 {
					return s
				}
				return s * (1 + x*(1-s))
			},
			Bounds: smooth(1.1, 0.5),
			ONNX:   op("Mul", x, op("Sigmoid", x)),
		}, {
			Name: ReLU6, Title: "ReLU6", Formula: "min(max(x, 0), 6)",
			Value:      func(x, _ float64) float64 { return min(max(x, 0), 6) },
			Derivative: inside(0, 6, 1),
			FromOutput: true, Kinks: []float64{0, 6}, Bounds: linear,
			ONNX: op("Clip", x, c(0), c(6)),
		}, {
			// Howard et al., "Searching for MobileNetV3", 2019, as the next one.
			Name: HardSwish, Title: "hard swish", Formula: "x*min(max(x+3, 0), 6)/6",
			Value: func(x, _ float64) float64 { return x * min(max(x+3, 0), 6) / 6 },
			Derivative: func(x, _ float64) float64 {
				switch {
				case x <= -3:
					return 0
				case x >= 3:
					return 1
				}
				return (2*x + 3) / 6
			},
			Kinks:  []float64{-3, 3},
			Bounds: always(FunctionBounds{Roundings: 4, DerivativeRoundings: 4, Scale: 1, Steepest: 1.5, Curvature: 1.0 / 3}),
			ONNX:   op("Mul", x, hardSigmoid),
		}, {
			Name: HardSigmoid, Title: "hard sigmoid", Formula: "min(max(x+3, 0), 6)/6",
			Value:      func(x, _ float64) float64 { return min(max(x+3, 0), 6) / 6 },
			Derivative: inside(-3, 3, 1.0/6),
			FromOutput: true, Kinks: []float64{-3, 3},
			Bounds: always(FunctionBounds{Roundings: 4, DerivativeRoundings: 2, Scale: 1, Steepest: 1.0 / 6}),
			ONNX:   hardSigmoid,
		}, {
			// Clevert et al., 2016.
			Name: ELU, Title: "ELU", Formula: "x for x > 0, else alpha*(exp(x)-1)",
			Parameter: FunctionParameter{Name: "alpha", Default: 1, Most: 10},
			Value: func(x, p float64) float64 {
				if x > 0 {
					return x
				}
				return p * math.Expm1(x)
			},
			Derivative: func(x, p float64) float64 {
				if x > 0 {
					return 1
				}
				return p * math.Exp(x)
			},
			Kinks: []float64{0},
			Bounds: func(p float64) FunctionBounds {
				return FunctionBounds{Roundings: 6, DerivativeRoundings: 16, Scale: max(1, p), Steepest: max(1, p), Curvature: p}
			},
			ONNX: with(op("Elu", x), "alpha", p),
		}, {
			// Misra, 2020.
			Name: Mish, Title: "mish", Formula: "x*tanh(log(1+exp(x)))",
			Value: func(x, _ float64) float64 { return x * mishGate(x) },
			Derivative: func(x, _ float64) float64 {
				gate := mishGate(x)
				slope := (1 - gate*gate) * sigmoid(x)
				if slope == 0 { // whatever x is
					return gate
				}
				return gate + x*slope
			},
			Bounds: smooth(1.089, 0.645),
			ONNX:   op("Mul", x, op("Tanh", op("Softplus", x))),
		},
	}
}

// FunctionNamed returns the activation function with this name, and whether there is one.
func FunctionNamed(name ActivationFunc) (Function, bool) {
	f, ok := functionsByName()[name]
	return f, ok
}

var functionsByName = sync.OnceValue(func() map[ActivationFunc]Function {
	m := map[ActivationFunc]Function{}
	for _, f := range Functions() {
		m[f.Name] = f
	}
	return m
})

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// normalCDF is the standard normal distribution's cumulative function.
func normalCDF(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// geluArgument is what GELUTanh takes the hyperbolic tangent of.
func geluArgument(x float64) float64 { return math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x) }

// mishGate is what Mish multiplies its input by.
func mishGate(x float64) float64 { return math.Tanh(max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))) }

// functionNames lists the functions' names for an error.
func functionNames() string {
	var names []string
	for _, f := range Functions() {
		names = append(names, string(f.Name))
	}
	return choice(names)
}

// choice lists names: "a, b or c".
func choice(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// functionExamples returns an activation layer for each function.
func functionExamples(in Shape) []Example {
	var list []Example
	for _, f := range Functions() {
		list = append(list, Example{&Activation{Func: f.Name}, []Shape{in}})
	}
	return list
}

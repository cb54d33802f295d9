package onnx_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/onnx"
)

// operators are those of the ONNX standard that expressions of functions may use:
// the opset that has them in this form first, and what they compute
// (https://onnx.ai/onnx/operators).
var operators = map[string]struct {
	since   int
	compute func(x []float64, attribute func(name string, byDefault float64) float64) float64
}{
	"Add":     {7, func(x []float64, _ func(string, float64) float64) float64 { return x[0] + x[1] }},
	"Sub":     {7, func(x []float64, _ func(string, float64) float64) float64 { return x[0] - x[1] }},
	"Mul":     {7, func(x []float64, _ func(string, float64) float64) float64 { return x[0] * x[1] }},
	"Div":     {7, func(x []float64, _ func(string, float64) float64) float64 { return x[0] / x[1] }},
	"Exp":     {6, func(x []float64, _ func(string, float64) float64) float64 { return math.Exp(x[0]) }},
	"Erf":     {9, func(x []float64, _ func(string, float64) float64) float64 { return math.Erf(x[0]) }},
	"Tanh":    {6, func(x []float64, _ func(string, float64) float64) float64 { return math.Tanh(x[0]) }},
	"Sigmoid": {6, func(x []float64, _ func(string, float64) float64) float64 { return 1 / (1 + math.Exp(-x[0])) }},
	"Softplus": {1, func(x []float64, _ func(string, float64) float64) float64 {
		return max(x[0], 0) + math.Log1p(math.Exp(-math.Abs(x[0])))
	}},
	"Relu": {6, func(x []float64, _ func(string, float64) float64) float64 { return max(x[0], 0) }},
	"Clip": {11, func(x []float64, _ func(string, float64) float64) float64 { return min(max(x[0], x[1]), x[2]) }},
	"LeakyRelu": {6, func(x []float64, a func(string, float64) float64) float64 {
		if x[0] < 0 {
			return a("alpha", 0.01) * x[0]
		}
		return x[0]
	}},
	"Elu": {6, func(x []float64, a func(string, float64) float64) float64 {
		if x[0] < 0 {
			return a("alpha", 1) * (math.Exp(x[0]) - 1)
		}
		return x[0]
	}},
	"HardSigmoid": {6, func(x []float64, a func(string, float64) float64) float64 {
		return max(0, min(1, a("alpha", 0.2)*x[0]+a("beta", 0.5)))
	}},
}

// evaluate computes an expression of ONNX operators.
func evaluate(t *testing.T, e net.Operator, x, p float64) float64 {
	t.Helper()
	switch {
	case e.X:
		return x
	case e.P:
		return p
	case e.Op == "":
		return e.Constant
	}
	operator, ok := operators[e.Op]
	if !ok {
		t.Fatalf("no operator %s here: add it, as the standard defines it", e.Op)
	}
	if operator.since > onnx.Opset {
		t.Fatalf("operator %s is of opset %d, models of opset %d", e.Op, operator.since, onnx.Opset)
	}
	var args []float64
	for _, arg := range e.Args {
		args = append(args, evaluate(t, arg, x, p))
	}
	attributes := map[string]float64{}
	for name, v := range e.Attributes {
		attributes[name] = evaluate(t, v, math.NaN(), p)
	}
	y := operator.compute(args, func(name string, byDefault float64) float64 {
		v, ok := attributes[name]
		if delete(attributes, name); ok {
			return v
		}
		return byDefault
	})
	// LeakyRelu and Elu look at theirs below 0 only.
	if args[0] < 0 {
		for name := range attributes {
			t.Fatalf("operator %s has no attribute %s", e.Op, name)
		}
	}
	return y
}

// TestExpressions compares what each function is in ONNX's operators with the
// function itself.
func TestExpressions(t *testing.T) {
	for _, f := range net.Functions() {
		t.Run(string(f.Name), func(t *testing.T) {
			parameters := []float64{0}
			if q := f.Parameter; q.Name != "" {
				parameters = []float64{q.Least, q.Default, (q.Least + q.Most) / 2, q.Most}
			}
			for _, p := range parameters {
				var got, want []float64
				for i := range 4001 {
					x := float64(i-2000) / 100
					got, want = append(got, evaluate(t, f.ONNX, x, p)), append(want, f.Value(x, p))
				}
				// The same formula in another order: some roundings of values up to 20, or
				// 10 times as much.
				approx.Check(t, fmt.Sprintf("parameter %v", p), got, want, approx.Tolerance{Abs: 1e-13, Rel: 1e-13})
			}
		})
	}
}

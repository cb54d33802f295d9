package net

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
)

// parameterValues returns values of a function's parameter to test it with; 0
// alone where it has none.
func parameterValues(p FunctionParameter) []float64 {
	if p.Name == "" {
		return []float64{0}
	}
	return []float64{p.Least, p.Default, (p.Least + p.Most) / 3, p.Most}
}

// TestFunctionsDescribeThemselves finds what an entry of the table lacks.
func TestFunctionsDescribeThemselves(t *testing.T) {
	names, titles := map[ActivationFunc]bool{}, map[string]bool{}
	for _, f := range Functions() {
		if names[f.Name] || titles[f.Title] {
			t.Errorf("%s (%s) stands twice", f.Name, f.Title)
		}
		names[f.Name], titles[f.Title] = true, true
		if f.Name == "" || f.Title == "" || f.Formula == "" || f.ONNX.Op == "" || checkName(string(f.Name)) != nil {
			t.Errorf("function %q, title %q, formula %q, ONNX %+v", f.Name, f.Title, f.Formula, f.ONNX)
		}
		if got, ok := FunctionNamed(f.Name); !ok || got.Title != f.Title {
			t.Errorf("%s is not found by its name", f.Name)
		}
		p := f.Parameter
		if p.Name == "" {
			if p != (FunctionParameter{}) {
				t.Errorf("%s: a parameter without a name, %+v", f.Name, p)
			}
			continue
		}
		if !(p.Least < p.Most && p.Default >= p.Least && p.Default <= p.Most) {
			t.Errorf("%s: default %v, range %v to %v", f.Name, p.Default, p.Least, p.Most)
		}
		known := false
		for _, field := range (&Activation{}).parameters() {
			known = known || field.name == p.Name
		}
		if !known {
			t.Errorf("%s: Activation has no field for %s", f.Name, p.Name)
		}
	}
	if _, ok := FunctionNamed("swish"); ok {
		t.Error("a function of no known name")
	}
}

// TestFunctionsDerivatives compares derivatives with central differences, holds
// the bounds to a grid, and finds every jump of a derivative among the kinks.
func TestFunctionsDerivatives(t *testing.T) {
	const step, h = 1. / 128, 1e-4
	for _, f := range Functions() {
		jumps := make([]bool, len(f.Kinks)) // for a parameter at least
		for _, p := range parameterValues(f.Parameter) {
			name := fmt.Sprintf("%s(%v)", f.Name, p)
			var got, want []float64
			steepest, curvature := 0.0, 0.0
			for i := range 24 * 128 {
				// Off the kinks, which are whole numbers, and farther from them than h.
				x := -12 + (float64(i)+0.5)*step
				d := f.Derivative(x, p)
				got = append(got, d)
				want = append(want, (f.Value(x+h, p)-f.Value(x-h, p))/(2*h))
				steepest = max(steepest, math.Abs(d))
				curvature = max(curvature, math.Abs(f.Derivative(x+h, p)-f.Derivative(x-h, p))/(2*h))
			}
			// The differences' own error is h*h/6 of the third derivative, which is at most
			// 10 (of elu(10)), and a few roundings of values up to 12 divided by h.
			approx.Check(t, name+"'", got, want, approx.Tolerance{Abs: 5e-8})

			// A bound holds, but is no more than a hundredth above what the grid finds.
			// The curvature found has the differences' error.
			b := f.Bounds(p)
			if steepest > b.Steepest*(1+1e-9) || b.Steepest > 1.01*steepest {
				t.Errorf("%s: the steepest slope found is %v, the bound %v", name, steepest, b.Steepest)
			}
			if curvature > b.Curvature+1e-6 || b.Curvature > 1.01*curvature+1e-6 {
				t.Errorf("%s: the greatest curvature found is %v, the bound %v", name, curvature, b.Curvature)
			}
			if !(b.Roundings >= 1 && b.DerivativeRoundings >= 1 && b.Scale >= 0) {
				t.Errorf("%s: bounds %+v", name, b)
			}
			for x := -8.0; x <= 8; x += 0.25 {
				below, at, above := f.Derivative(x-1e-9, p), f.Derivative(x, p), f.Derivative(x+1e-9, p)
				if near(below, above) {
					continue
				}
				k := slices.Index(f.Kinks, x)
				if k < 0 {
					t.Errorf("%s: the derivative jumps from %v to %v at %v, which is no kink", name, below, above, x)
					continue
				}
				jumps[k] = true
				if !near(at, below) && !near(at, above) {
					t.Errorf("%s: the derivative at the kink %v is %v, on neither side", name, x, at)
				}
			}
		}
		if slices.Contains(jumps, false) {
			t.Errorf("%s: of the kinks %v the derivative jumps at %v", f.Name, f.Kinks, jumps)
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-6 }

// TestFunctionsFromOutput wants equal derivatives where values are equal: a device
// that keeps the output alone can't tell the inputs apart.
func TestFunctionsFromOutput(t *testing.T) {
	for _, f := range Functions() {
		if !f.FromOutput {
			continue
		}
		for _, p := range parameterValues(f.Parameter) {
			of := map[float64]float64{}
			for x := -8.0; x <= 8; x += 0.25 {
				y, d := f.Value(x, p), f.Derivative(x, p)
				if was, ok := of[y]; ok && !near(was, d) {
					t.Errorf("%s: the value %v has the derivatives %v and %v", f.Name, y, was, d)
				}
				of[y] = d
			}
		}
	}
}

// TestFunctionsOfExtremes: NaN must not be hidden, and a large value must not
// become one.
func TestFunctionsOfExtremes(t *testing.T) {
	for _, f := range Functions() {
		for _, p := range parameterValues(f.Parameter) {
			if y := f.Value(math.NaN(), p); !math.IsNaN(y) {
				t.Errorf("%s(NaN) is %v", f.Name, y)
			}
			for _, x := range []float64{-1e300, -math.MaxFloat32, -1e10, -100, -1e-40, 0, 1e-40, 100, 1e10, math.MaxFloat32, 1e300} {
				if y, d := f.Value(x, p), f.Derivative(x, p); !finite(y) || !finite(d) || math.Abs(y) > max(math.Abs(x), f.Parameter.Most, 1) {
					t.Errorf("%s(%v) is %v, its derivative %v", f.Name, x, y, d)
				}
			}
		}
	}
}

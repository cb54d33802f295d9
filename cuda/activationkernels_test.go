//go:build cuda

package cuda

import (
	"math"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
)

// activationOf is an activation function in float64: y, and dy/dx, at the input x with the parameter p.
type activationOf struct {
	y, slope func(x, p float64) float64
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func clamp(x, least, most float64) float64 { return min(max(x, least), most) }

// within is 1 strictly between two limits, else 0.
func within(x, least, most float64) float64 {
	if x > least && x < most {
		return 1
	}
	return 0
}

// judgedActivations are the functions that the kernels have, by textbook formulas.
var judgedActivations = map[string]activationOf{
	"relu":       {func(x, _ float64) float64 { return max(x, 0) }, func(x, _ float64) float64 { return within(x, 0, math.Inf(1)) }},
	"leaky_relu": {func(x, p float64) float64 { return max(x, 0) + p*min(x, 0) }, leakySlope},
	"tanh":       {func(x, _ float64) float64 { return math.Tanh(x) }, func(x, _ float64) float64 { return 1 / (math.Cosh(x) * math.Cosh(x)) }},
	"sigmoid":    {func(x, _ float64) float64 { return logistic(x) }, func(x, _ float64) float64 { return logistic(x) * logistic(-x) }},
	"gelu": {func(x, _ float64) float64 { return x * math.Erfc(-x/math.Sqrt2) / 2 }, func(x, _ float64) float64 {
		return math.Erfc(-x/math.Sqrt2)/2 + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	}},
	"gelu_tanh": {func(x, _ float64) float64 { return 0.5 * x * (1 + math.Tanh(geluInner(x))) }, func(x, _ float64) float64 {
		tanh := math.Tanh(geluInner(x))
		return 0.5*(1+tanh) + 0.5*x*(1-tanh*tanh)*math.Sqrt(2/math.Pi)*(1+3*0.044715*x*x)
	}},
	"silu":  {func(x, _ float64) float64 { return x * logistic(x) }, func(x, _ float64) float64 { return logistic(x) * (1 + x*logistic(-x)) }},
	"relu6": {func(x, _ float64) float64 { return clamp(x, 0, 6) }, func(x, _ float64) float64 { return within(x, 0, 6) }},
	"hard_swish": {func(x, _ float64) float64 { return x * clamp(x+3, 0, 6) / 6 }, func(x, _ float64) float64 {
		if x >= 3 {
			return 1
		}
		return within(x, -3, 3) * (2*x + 3) / 6
	}},
	"hard_sigmoid": {func(x, _ float64) float64 { return clamp(x+3, 0, 6) / 6 }, func(x, _ float64) float64 { return within(x, -3, 3) / 6 }},
	"elu": {func(x, p float64) float64 { return max(x, 0) + p*math.Expm1(min(x, 0)) }, func(x, p float64) float64 {
		if x > 0 {
			return 1
		}
		return p * math.Exp(x)
	}},
}

func leakySlope(x, p float64) float64 {
	if x > 0 {
		return 1
	}
	return p
}

func geluInner(x float64) float64 { return math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x) }

func TestActivationsAreJudged(t *testing.T) {
	for _, f := range kernels.ActivationFunctions() {
		if judgedActivations[f.Name].y == nil {
			t.Errorf("no test computes %s", f.Name)
		}
	}
	if len(judgedActivations) != len(kernels.ActivationFunctions()) {
		t.Errorf("%d functions are tested, there are %d", len(judgedActivations), len(kernels.ActivationFunctions()))
	}
}

// activationInputs draws inputs: near 0, as networks have them, and some so large that exponentials overflow.
func (r *kernelRig) activationInputs(n int) []float32 {
	corners := []float32{0, float32(math.Copysign(0, -1)), 3, -3, 6, 2.5, -1e-30, 1e-30}
	return drawn(n, func() float32 {
		switch r.random.IntN(8) {
		case 0:
			return corners[r.random.IntN(len(corners))]
		case 1:
			return 600 * (r.random.Float32() - 0.5)
		case 2:
			return 1e-3 * (r.random.Float32() - 0.5)
		}
		return 16 * (r.random.Float32() - 0.5)
	})
}

func tryActivation(r *kernelRig) {
	for _, f := range kernels.ActivationFunctions() {
		judge := judgedActivations[f.Name]
		n, p := r.count(), r.random.Float32()
		x, dy, before := r.activationInputs(n), r.values(n), r.values(n)
		add := r.random.IntN(2)
		var want, wantDx, limits, limitsDx []float64
		for i := range x {
			y, slope := judge.y(float64(x[i]), float64(p)), judge.slope(float64(x[i]), float64(p))
			dx := float64(dy[i])*slope + float64(add)*float64(before[i])
			want, wantDx = append(want, y), append(wantDx, dx)
			// Four units in the last place: a few roundings, and exponentials on a GPU have an error of up to two units.
			limits = append(limits, 8*u*max(1, math.Abs(y)))
			limitsDx = append(limitsDx, 8*u*max(1, math.Abs(dx)))
		}
		in := put(r, x)
		y := in // in place
		if f.ReadsOutput || r.random.IntN(2) == 0 {
			y = room[float32](r, n)
		}
		read := y
		if !f.ReadsOutput {
			read = put(r, x)
		}
		r.launch(kernels.Activation{Y: at(y), X: at(in), Count: uint64(n), Function: f.Number, P: p})
		r.checkEach(f.Name, y, want, limits)
		k := kernels.ActivationBackward{Dy: at(put(r, dy)), Read: at(read), Count: uint64(n), Function: f.Number, P: p, Add: int32(add)}
		dx := room[float32](r, n)
		if add != 0 {
			dx = put(r, before)
		}
		k.Dx = at(dx)
		r.launch(k)
		r.checkEach(f.Name+"'s gradient", dx, wantDx, limitsDx)
	}
}

// checkEach compares an operand with what it has to hold, each value with a tolerance of its own.
func (r *kernelRig) checkEach(what string, o operand[float32], want, limits []float64) {
	r.Helper()
	if result := approx.CompareEach(o.get(), want, limits); !result.OK {
		r.Errorf("%s: %v", what, result)
	}
}

// A NaN among the inputs comes out, and a NaN gradient is not swallowed by a slope of 0.
func tryActivationNaN(r *kernelRig) {
	for _, f := range kernels.ActivationFunctions() {
		n := r.count()
		nan := r.random.IntN(n)
		x := r.values(n)
		x[nan] = float32(math.NaN())
		y := room[float32](r, n)
		r.launch(kernels.Activation{Y: at(y), X: at(put(r, x)), Count: uint64(n), Function: f.Number, P: 0.5})
		for i, v := range y.get() {
			if math.IsNaN(float64(v)) != (i == nan) {
				r.Errorf("%s of %v is %v", f.Name, x[i], v)
			}
		}
		read, dy := r.activationInputs(n), r.values(n)
		dy[nan] = float32(math.NaN())
		d := put(r, dy) // in place
		r.launch(kernels.ActivationBackward{Dx: at(d), Dy: at(d), Read: at(put(r, read)), Count: uint64(n), Function: f.Number, P: 0.5})
		for i, v := range d.get() {
			if math.IsNaN(float64(v)) != (i == nan) {
				r.Errorf("%s's gradient at %v of %v is %v", f.Name, read[i], dy[i], v)
			}
		}
	}
}

//go:build cuda

package cuda

import (
	"math"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// TestEveryFunctionHasAKernel walks the table of activation functions: the device computes all of them, and no other.
func TestEveryFunctionHasAKernel(t *testing.T) {
	for _, f := range net.Functions() {
		if _, ok := kernels.FindActivation(string(f.Name)); !ok {
			t.Errorf("no kernel computes %s", f.Name)
		}
	}
	if have, want := len(kernels.ActivationFunctions()), len(net.Functions()); have != want {
		t.Errorf("the kernels compute %d functions, there are %d", have, want)
	}
}

// activationInputs draws inputs: near 0, as networks have them, some so large that exponentials overflow, and some whose square does.
func (r *kernelRig) activationInputs(n int) []float32 {
	corners := []float32{0, float32(math.Copysign(0, -1)), 3, -3, 6, 2.5, -1e-30, 1e-30, 1e9, -1e9, 1e20, -1e20, 1e30, -1e30}
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
		judge, _ := net.FunctionNamed(net.ActivationFunc(f.Name))
		n, p := r.count(), r.random.Float32()
		x, dy, before := r.activationInputs(n), r.values(n), r.values(n)
		add := r.random.IntN(2)
		var want, wantDx, limits, limitsDx []float64
		for i := range x {
			y, slope := judge.Value(float64(x[i]), float64(p)), judge.Derivative(float64(x[i]), float64(p))
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
		r.launch(kernels.Activation{Y: held(y), X: held(in), Count: uint64(n), Function: f.Number, P: p})
		r.checkEach(f.Name, y, want, limits)
		k := kernels.ActivationBackward{Dy: held(put(r, dy)), Read: held(read), Count: uint64(n), Function: f.Number, P: p, Add: int32(add)}
		dx := room[float32](r, n)
		if add != 0 {
			dx = put(r, before)
		}
		k.Dx = held(dx)
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
		r.launch(kernels.Activation{Y: held(y), X: held(put(r, x)), Count: uint64(n), Function: f.Number, P: 0.5})
		for i, v := range y.get() {
			if math.IsNaN(float64(v)) != (i == nan) {
				r.Errorf("%s of %v is %v", f.Name, x[i], v)
			}
		}
		read, dy := r.activationInputs(n), r.values(n)
		dy[nan] = float32(math.NaN())
		d := put(r, dy) // in place
		r.launch(kernels.ActivationBackward{Dx: held(d), Dy: held(d), Read: held(put(r, read)), Count: uint64(n), Function: f.Number, P: 0.5})
		for i, v := range d.get() {
			if math.IsNaN(float64(v)) != (i == nan) {
				r.Errorf("%s's gradient at %v of %v is %v", f.Name, read[i], dy[i], v)
			}
		}
	}
}

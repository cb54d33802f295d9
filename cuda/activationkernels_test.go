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
	return r.rounded(drawn(n, func() float32 {
		switch r.random.IntN(8) {
		case 0:
			return corners[r.random.IntN(len(corners))]
		case 1:
			return 600 * (r.random.Float32() - 0.5)
		case 2:
			return 1e-3 * (r.random.Float32() - 0.5)
		}
		return 16 * (r.random.Float32() - 0.5)
	}))
}

func tryActivation(r *kernelRig) {
	for _, f := range kernels.ActivationFunctions() {
		judge, _ := net.FunctionNamed(net.ActivationFunc(f.Name))
		n, p := r.count(), r.random.Float32()
		x, dy, before := r.activationInputs(n), r.values(n), r.values(n)
		add := r.random.IntN(2)
		var want, wantDx, limits, limitsDx []float64
		for i := range x {
			y := judge.Value(float64(x[i]), float64(p))
			if near := r.rounded([]float32{float32(y)})[0]; f.ReadsOutput && near == 1 && y != 1 {
				x[i] = 0 // 1 has another slope than what is rounded to it
				y = judge.Value(0, float64(p))
			}
			slope := judge.Derivative(float64(x[i]), float64(p))
			dx := float64(dy[i])*slope + float64(add)*float64(before[i])
			want, wantDx = append(want, y), append(wantDx, dx)
			// Four units in the last place: a few roundings, and exponentials on a GPU have an error of up to two units.
			limit, limitDx := 8*u*max(1, math.Abs(y)), 8*u*max(1, math.Abs(dx))
			if r.kind == kernels.BF16 {
				limit += 1.01 * u16 * math.Abs(y)
				limitDx += 1.01 * u16 * math.Abs(dx)
				if f.ReadsOutput { // rounded, and slopes change by at most twice as much as outputs
					limitDx += 2.02 * u16 * math.Abs(float64(dy[i]))
				}
			}
			limits, limitsDx = append(limits, limit), append(limitsDx, limitDx)
		}
		in := r.put(x)
		y := in // in place
		if f.ReadsOutput || r.random.IntN(2) == 0 {
			y = r.room(n)
		}
		read := y
		if !f.ReadsOutput {
			read = r.put(x)
		}
		r.launch(kernels.Activation{Y: y.at(), X: in.at(), Count: uint64(n), Function: f.Number, P: p})
		r.checkEach(f.Name, y, want, limits)
		k := kernels.ActivationBackward{Dy: r.put(dy).at(), Read: read.at(), Count: uint64(n), Function: f.Number, P: p, Add: int32(add)}
		dx := r.room(n)
		if add != 0 {
			dx = r.put(before)
		}
		k.Dx = dx.at()
		r.launch(k)
		r.checkEach(f.Name+"'s gradient", dx, wantDx, limitsDx)
	}
}

// checkEach compares values with what they have to be, each with a tolerance of its own.
func (r *kernelRig) checkEach(what string, got interface{ get() []float32 }, want, limits []float64) {
	r.Helper()
	if result := approx.CompareEach(got.get(), want, limits); !result.OK {
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
		y := r.room(n)
		r.launch(kernels.Activation{Y: y.at(), X: r.put(x).at(), Count: uint64(n), Function: f.Number, P: 0.5})
		for i, v := range y.get() {
			if math.IsNaN(float64(v)) != (i == nan) {
				r.Errorf("%s of %v is %v", f.Name, x[i], v)
			}
		}
		read, dy := r.activationInputs(n), r.values(n)
		dy[nan] = float32(math.NaN())
		d := r.put(dy) // in place
		r.launch(kernels.ActivationBackward{Dx: d.at(), Dy: d.at(), Read: r.put(read).at(), Count: uint64(n), Function: f.Number, P: 0.5})
		for i, v := range d.get() {
			if math.IsNaN(float64(v)) != (i == nan) {
				r.Errorf("%s's gradient at %v of %v is %v", f.Name, read[i], dy[i], v)
			}
		}
	}
}

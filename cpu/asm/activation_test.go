package asm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/cpufeat"
)

// activationTest is what a test knows of an activation function: its values in float64, written down once more.
type activationTest struct {
	p             float32
	f, derivative func(x, p float64) float64
	breaks        []float64  // where there is no derivative
	low, high     float64    // limits of f
	outside       [2]float64 // limits of f'
}

var inf = math.Inf(1)

var activationTests = map[string]activationTest{
	"relu": {0, func(x, _ float64) float64 { return max(x, 0) },
		func(x, _ float64) float64 { return step(x > 0, 1, 0) }, []float64{0}, 0, inf, [2]float64{0, 1}},
	"leaky_relu": {0.125, func(x, p float64) float64 { return step(x > 0, x, p*x) },
		func(x, p float64) float64 { return step(x > 0, 1, p) }, []float64{0}, -inf, inf, [2]float64{0.125, 1}},
	"tanh": {0, func(x, _ float64) float64 { return math.Tanh(x) },
		func(x, _ float64) float64 { return 1 / (math.Cosh(x) * math.Cosh(x)) }, nil, -1, 1, [2]float64{0, 0}},
	"sigmoid": {0, func(x, _ float64) float64 { return (1 + math.Tanh(x/2)) / 2 },
		func(x, _ float64) float64 { return 1 / (4 * math.Cosh(x/2) * math.Cosh(x/2)) }, nil, 0, 1, [2]float64{0, 0}},
	"gelu": {0, func(x, _ float64) float64 { return x / 2 * (1 + math.Erf(x/math.Sqrt2)) },
		func(x, _ float64) float64 {
			return 0.5*(1+math.Erf(x/math.Sqrt2)) + product(x, math.Exp(-x*x/2))/math.Sqrt(2*math.Pi)
		}, nil, 0, inf, [2]float64{0, 1}},
	"gelu_tanh": {0, func(x, _ float64) float64 {
		return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	}, func(x, _ float64) float64 {
		u, du := math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x), math.Sqrt(2/math.Pi)*(1+3*0.044715*x*x)
		return (1+math.Tanh(u))/2 + product(x/2*du, 1/(math.Cosh(u)*math.Cosh(u)))
	}, nil, 0, inf, [2]float64{0, 1}},
	"silu": {0, func(x, _ float64) float64 { return x / 2 * (1 + math.Tanh(x/2)) },
		func(x, _ float64) float64 {
			return (1+math.Tanh(x/2))/2 + product(x/4, 1/(math.Cosh(x/2)*math.Cosh(x/2)))
		}, nil, 0, inf, [2]float64{0, 1}},
	"relu6": {0, func(x, _ float64) float64 { return min(max(x, 0), 6) },
		func(x, _ float64) float64 { return step(x > 0 && x < 6, 1, 0) }, []float64{0, 6}, 0, 6, [2]float64{0, 0}},
	"hard_swish": {0, func(x, _ float64) float64 { return x * min(max(x+3, 0), 6) / 6 },
		func(x, _ float64) float64 { return step(x > -3 && x < 3, x/3+0.5, step(x > 0, 1, 0)) }, []float64{-3, 3}, 0, inf, [2]float64{0, 1}},
	"hard_sigmoid": {0, func(x, _ float64) float64 { return min(max(x+3, 0), 6) / 6 },
		func(x, _ float64) float64 { return step(x > -3 && x < 3, 1./6, 0) }, []float64{-3, 3}, 0, 1, [2]float64{0, 0}},
	"elu": {1.5, func(x, p float64) float64 { return step(x > 0, x, p*math.Expm1(x)) },
		func(x, p float64) float64 { return step(x > 0, 1, p*math.Exp(x)) }, []float64{0}, -1.5, inf, [2]float64{0, 1}},
	"mish": {0, func(x, _ float64) float64 { return x * math.Tanh(softplus(x)) },
		func(x, _ float64) float64 {
			gate, cosh := math.Tanh(softplus(x)), math.Cosh(softplus(x))
			return gate + product(x, (1+math.Tanh(x/2))/2/(cosh*cosh))
		}, nil, 0, inf, [2]float64{0, 1}},
}

func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func step(condition bool, yes, no float64) float64 {
	if condition {
		return yes
	}
	return no
}

// product is a*b, and 0 where b is 0.
func product(a, b float64) float64 { return step(b == 0, 0, a*b) }

// unit is float32's rounding error of 1.
const unit = 1. / (1 << 24)

// sweep returns finite float32 numbers of all sizes and both signs, and all of them near to 0, 3, 6 and where exponentials end.
func sweep() []float32 {
	var out []float32
	both := func(x float32) { out = append(out, x, -x) }
	for bits := uint32(0); bits < math.Float32bits(float32(inf)); bits += 99991 {
		both(math.Float32frombits(bits))
	}
	for i := range 100000 { // where the functions bend
		both(float32(i) / 100000 * 20)
	}
	for i := range 20000 {
		both(80 + float32(i)/1000)
	}
	for _, x := range []float32{0, 1e-40, 1e-8, 1, 3, 6, 9, 10, 10.02, 13.26, 20, 87, 88, 89, 100} {
		for i := range uint32(50) {
			both(math.Float32frombits(math.Float32bits(x) + i))
			both(math.Float32frombits(max(math.Float32bits(x), i) - i))
		}
	}
	return append(out, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32)
}

// forActivations runs a test for every function of every tier. A function that one of the lists lacks fails.
func forActivations(t *testing.T, test func(t *testing.T, a *Activation, c activationTest, rng *rand.Rand)) {
	forTiers(t, func(t *testing.T, ks *Kernels, rng *rand.Rand) {
		if len(ks.activations) != len(activationTests) {
			t.Errorf("%d functions, %d in the test", len(ks.activations), len(activationTests))
		}
		for name, c := range activationTests {
			t.Run(name, func(t *testing.T) {
				a := ks.Activation(name)
				if a == nil {
					t.Fatal("there is no such function")
				}
				test(t, a, c, rng)
			})
		}
		if a := ks.Activation("none"); a != nil {
			t.Errorf("function none is %s", a.Name)
		}
	})
}

// TestActivationAccuracy compares functions and derivatives with float64, within 3 and 6 units of float32's rounding.
func TestActivationAccuracy(t *testing.T) {
	x := sweep()
	forActivations(t, func(t *testing.T, a *Activation, c activationTest, _ *rand.Rand) {
		want, limits := make([]float64, len(x)), make([]float64, len(x))
		for i, v := range x {
			want[i] = c.f(float64(v), float64(c.p))
			limits[i] = 3 * unit * max(1, math.Abs(want[i]))
		}
		y := make([]float32, len(x))
		a.Forward(y, x, c.p)
		if r := approx.CompareEach(y, want, limits); !r.OK {
			t.Errorf("forward at %v: %v", x[r.Worst], r)
		} else {
			t.Logf("forward: %.2f units at %v", 3*r.Used, x[r.Worst])
		}

		v := x
		if a.FromOutput {
			v = y
		}
		dy, dx := make([]float32, len(x)), make([]float32, len(x))
		for i := range dy {
			dy[i] = 1
			want[i] = c.derivative(float64(x[i]), float64(c.p))
			limits[i] = 6 * unit * max(1, math.Abs(want[i]))
			// Where the output is rounded to a place without derivative, that is what backward sees.
			if y := float64(y[i]); a.FromOutput && slices.ContainsFunc(c.breaks, func(at float64) bool { return y == c.f(at, 0) }) {
				want[i] = 0
			}
		}
		a.Backward(dx, dy, v, c.p, false)
		if r := approx.CompareEach(dx, want, limits); !r.OK {
			t.Errorf("backward at %v: %v", x[r.Worst], r)
		} else {
			t.Logf("backward: %.2f units at %v", 6*r.Used, x[r.Worst])
		}
	})
}

// TestActivationSmall: what is about linear near 0 keeps its relative accuracy there.
func TestActivationSmall(t *testing.T) {
	var x []float32
	for e := -120; e < -1; e++ {
		x = append(x, float32(math.Ldexp(1.37, e)), float32(math.Ldexp(-1.77, e)))
	}
	forActivations(t, func(t *testing.T, a *Activation, c activationTest, _ *rand.Rand) {
		if c.f(0, float64(c.p)) != 0 {
			return // sigmoids
		}
		want := make([]float64, len(x))
		for i, v := range x {
			want[i] = c.f(float64(v), float64(c.p))
		}
		y := make([]float32, len(x))
		a.Forward(y, x, c.p)
		approx.Check(t, "near 0", y, want, approx.Tolerance{Rel: 4 * unit})
	})
}

// TestActivationSpecial takes infinities and NaN, and gradients that are not finite.
func TestActivationSpecial(t *testing.T) {
	nan, infinite := float32(math.NaN()), float32(inf)
	forActivations(t, func(t *testing.T, a *Activation, c activationTest, _ *rand.Rand) {
		x := []float32{-infinite, infinite}
		y := make([]float32, 2)
		a.Forward(y, x, c.p)
		approx.Check(t, "limits", y, []float64{c.low, c.high}, approx.Tolerance{Abs: 1e-30})
		v := x
		if a.FromOutput {
			v = y
		}
		dx := make([]float32, 2)
		a.Backward(dx, []float32{1, 1}, v, c.p, false)
		approx.Check(t, "limits of the derivative", dx, c.outside[:], approx.Tolerance{Abs: 1e-30})

		// In every lane, and with each other value beside it.
		for n := 1; n < 40; n++ {
			for at := range n {
				x, y, dx := make([]float32, n), make([]float32, n), make([]float32, n)
				x[at] = nan
				a.Forward(y, x, c.p)
				for i := range y {
					if got := y[i] != y[i]; got != (i == at) {
						t.Fatalf("NaN at %d of %d: got %v at %d", at, n, y[i], i)
					}
				}
				for i := range x {
					x[i] = 2 // where no derivative is 0
				}
				a.Forward(y, x, c.p)
				v := x
				if a.FromOutput {
					v = y
				}
				dy := make([]float32, n)
				dy[at] = nan
				a.Backward(dx, dy, v, c.p, false)
				for i := range dx {
					if got := dx[i] != dx[i]; got != (i == at) {
						t.Fatalf("gradient NaN at %d of %d: got %v at %d", at, n, dx[i], i)
					}
				}
			}
		}

		// Where the derivative is 0, a NaN stays, except in relu.
		v = []float32{-20, -20, 20, 20}
		a.Forward(v, v, c.p)
		if !a.FromOutput {
			v = []float32{-20, -20, 20, 20}
		}
		dx = make([]float32, 4)
		a.Backward(dx, []float32{nan, nan, nan, nan}, v, c.p, false)
		for i, d := range dx {
			if gone := a.Name == "relu" && i < 2; gone && d != 0 || !gone && d == d {
				t.Errorf("%v behind a gradient that is NaN, at %d", d, i)
			}
		}
	})
}

// TestActivationPositions takes every length, misaligned, with guard words, in place and not, written and added. Each value must
// be the same bits as alone.
func TestActivationPositions(t *testing.T) {
	forActivations(t, func(t *testing.T, a *Activation, c activationTest, rng *rand.Rand) {
		for _, n := range lengths() {
			gx, gy, gv, gdy, gdx := newGuarded(n, rng.IntN(4)), newGuarded(n, rng.IntN(4)), newGuarded(n, rng.IntN(4)), newGuarded(n, rng.IntN(4)), newGuarded(n, rng.IntN(4))
			x, y, v, dy, dx := gx.fill(rng), gy.values(), gv.values(), gdy.fill(rng), gdx.fill(rng)
			for i := range x {
				x[i] *= 3
			}
			a.Forward(y, x, c.p)
			copy(v, x)
			if a.FromOutput {
				copy(v, y)
			}
			before := slices.Clone(dx)
			wantY, wantD, wantSum := make([]float32, n), make([]float32, n), make([]float32, n)
			for i := range n {
				a.Forward(wantY[i:i+1], x[i:i+1], c.p)
				a.Backward(wantD[i:i+1], dy[i:i+1], v[i:i+1], c.p, false)
				wantSum[i] = before[i] + wantD[i]
			}
			if n > 0 && !slices.ContainsFunc(wantD, func(d float32) bool { return d != 0 }) && n > 20 {
				t.Fatalf("%d values: no gradient", n)
			}
			same := func(what string, got, want []float32) {
				t.Helper()
				for i := range want {
					if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
						t.Fatalf("%s, %d values: got %v at %d, alone %v", what, n, got[i], i, want[i])
					}
				}
				for i, g := range []guarded{gx, gy, gv, gdy, gdx} {
					g.check(t, fmt.Sprintf("%s, %d values, buffer %d", what, n, i))
				}
			}
			same("forward", y, wantY)
			a.Backward(dx, dy, v, c.p, true)
			same("added", dx, wantSum)
			a.Backward(dx, dy, v, c.p, false)
			same("backward", dx, wantD)
			a.Backward(dy, dy, v, c.p, false)
			same("backward in place", dy, wantD)
			a.Forward(x, x, c.p)
			same("forward in place", x, wantY)
		}
	})
}

// BenchmarkActivations takes 4096 values, from the first cache.
func BenchmarkActivations(b *testing.B) {
	const n = 4096
	x, y, dx, dy := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range x {
		x[i], dy[i] = float32(rng.NormFloat64()), 1
	}
	for _, tier := range cpufeat.Available() {
		for _, a := range For(tier).activations {
			for direction, run := range map[string]func(){
				"forward":  func() { a.Forward(y, x, 0.1) },
				"backward": func() { a.Backward(dx, dy, x, 0.1, false) },
			} {
				b.Run(fmt.Sprintf("%s/%s/%v", a.Name, direction, tier), func(b *testing.B) {
					for b.Loop() {
						run()
					}
					b.ReportMetric(n*float64(b.N)/float64(b.Elapsed().Nanoseconds())*1e3, "Mvalues/s")
				})
			}
		}
	}
}

//go:build cuda

package cuda_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/reference"
)

// TestMuonStacks trains a network that has several matrices of one shape by Muon, in each form. It makes steps kernel by
// kernel and as a graph, updates in shares, and updates while the backward pass goes on. Each update must follow from the
// device's own velocities, and these from the gradients of the reference.
func TestMuonStacks(t *testing.T) {
	// An iteration multiplies what TF32's rounding, 2^-11, has done to small singular values by 3.4 at most. On these
	// matrices, whose elements are about 0.3, errors stay below the tolerances. A matrix in another's place has errors of 1.
	fine, coarse := approx.Tolerance{Abs: 1e-4}, approx.Tolerance{Abs: 0.03}
	for _, c := range []struct {
		name      string
		options   cuda.Options
		tolerance approx.Tolerance
		gradient  float64
	}{
		{"NCHW", forms[0].options, fine, 1e-5}, {"NHWC", forms[1].options, fine, 1e-5},
		{"TF32", cuda.Options{Precision: cuda.TF32, Deterministic: true}, coarse, 0.01}, {"bfloat16", forms[2].options, coarse, 0.4},
	} {
		for _, early := range []bool{false, true} {
			for _, rescale := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s early=%v rescale=%v", c.name, early, rescale), func(t *testing.T) {
					m := sim.Start(t)
					if early {
						defer cuda.SetFewestEarly(1)()
					}
					d, err := cuda.Open(c.options)
					if err != nil {
						t.Fatal(err)
					}
					defer closeDevice(t, d)
					o := net.SGDDefault(0.05)
					o.Groups = []net.Group{{Params: net.HiddenMatrices, Rule: net.Rule{Method: net.Muon, LearningRate: 0.25, Momentum: 0.5,
						Iterations: 4, Rescale: rescale, WeightDecay: 0.125}}}
					n := devicetest.Residuals(net.Shape{C: 3, H: 6, W: 5}, 8)
					p, err := d.Compile(n, net.Options{Batch: 4, Optimizer: o, Seed: uint64(m.Seed())})
					if err != nil {
						t.Fatal(err)
					}
					defer p.Close()
					inside := p.(interface {
						EarlyMatrices() int
						Stacks() []int
					})
					if inside.EarlyMatrices() > 0 != early || len(inside.Stacks()) < 2 || slices.Max(inside.Stacks()) < 2 {
						t.Fatalf("%d matrices are updated early; stacks of %d", inside.EarlyMatrices(), inside.Stacks())
					}
					options := p.Options()
					judge, err := reference.New().Compile(n, options)
					if err != nil {
						t.Fatal(err)
					}
					data := devicetest.RandomData(1, n.Input, 4, 20)
					before := stateOf(t, p)
					for i := range 6 {
						if err := judge.SetState(before); err != nil {
							t.Fatal(err)
						}
						updateOnce(t, judge, data, i)
						updateOnce(t, p, data, i)
						after, want := stateOf(t, p), stateOf(t, judge)
						checked := 0
						for _, q := range planOf(t, n).Params {
							if rule := o.For(planOf(t, n), q); rule.Matrix() {
								checkMatrix(t, rule, q, before, after, c.tolerance)
								checkVelocity(t, q, after, want, c.gradient)
								checked++
							}
						}
						if checked < 5 {
							t.Fatalf("only %d matrices", checked)
						}
						before = after
					}
					if m.Simulated() && m.Counters()["graph launches"] == 0 {
						t.Error("no step was a graph")
					}
				})
			}
		}
	}
}

// updateOnce makes one update: mostly a step, sometimes in two shares.
func updateOnce(t *testing.T, p net.Program, data *net.Dataset, i int) {
	t.Helper()
	b := net.Batch{Data: data, Indices: []int32{int32(4*i) % 20, int32(4*i+1) % 20, int32(4*i+2) % 20, int32(4*i+3) % 20}}
	if i%3 < 2 {
		if err := p.Step(b); err != nil {
			t.Fatal(err)
		}
		return
	}
	for first := 0; first < 4; first += 2 {
		half := b
		half.Indices = b.Indices[first : first+2]
		if err := p.Gradients(half, net.Share{First: first, Total: 4}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Update(); err != nil {
		t.Fatal(err)
	}
}

func stateOf(t *testing.T, p net.Program) net.State {
	t.Helper()
	s, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkMatrix compares the weights of one matrix with those that follow from its velocities.
func checkMatrix(t *testing.T, o net.Optimizer, q net.Param, before, after net.State, tolerance approx.Tolerance) {
	t.Helper()
	wide := func(values []float32) (all []float64) {
		for _, v := range values {
			all = append(all, float64(v))
		}
		return all
	}
	w, u := wide(before.Params[q.Name].Float32s()), wide(after.Optimizer[q.Name+".v"].Float32s())
	scale, rescale := reference.MuonScales(o.Rule, q.Dims[0], w)
	reference.Orthogonalize(q.Dims[0], u, o.Iterations)
	rates := o.Rates(before.Step)
	for i := range w {
		w[i] = rescale*(1-rates.Decay)*w[i] - rates.Update*scale*u[i]
	}
	approx.Check(t, q.Name, after.Params[q.Name].Float32s(), w, tolerance)
}

// checkVelocity compares the velocities of one matrix with the reference's after the same update. The most that they may
// differ by is relative to their L2 norm.
func checkVelocity(t *testing.T, q net.Param, after, want net.State, most float64) {
	t.Helper()
	v, reference := after.Optimizer[q.Name+".v"].Float32s(), want.Optimizer[q.Name+".v"].Float32s()
	var difference, norm float64
	for i := range v {
		d := float64(v[i] - reference[i])
		difference += d * d
		norm += float64(reference[i]) * float64(reference[i])
	}
	if r := math.Sqrt(difference / norm); !(r <= most) {
		t.Errorf("%s: velocities are off by %v of their norm, more than %v", q.Name, r, most)
	}
}

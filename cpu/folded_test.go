package cpu

import (
	"maps"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

// TestFolding compares evaluation, whose convolutions hold the batch normalisation after them, with a trace, which computes both.
// The running statistics move while an update is due, and evaluation in between must see it.
func TestFolding(t *testing.T) {
	conv := func(name, from string, kernel, groups int) net.Layer {
		c := &net.Conv{Name: name, Filters: 20, Kernel: net.Square(kernel), Padding: net.PadSame, Groups: groups, NoBias: kernel == 1}
		if from != "" {
			c.From = net.From{from}
		}
		return c
	}
	bn := func(name string) net.Layer { return &net.BatchNorm{Name: name} }
	relu := &net.Activation{Func: net.ReLU}
	n := &net.Network{Name: "folded", Input: net.Shape{C: 3, H: 9, W: 8}, Layers: []net.Layer{
		conv("a", "", 3, 1), bn("an"), &net.Activation{Name: "ar", Func: net.ReLU},
		conv("b", "", 3, 20), bn("bn"), &net.Activation{Func: net.ReLU6}, // a filter for each channel
		conv("c", "", 1, 1), bn("cn"), &net.Add{Name: "sum", From: net.From{"cn", "ar"}}, relu,
		&net.Conv{Name: "six", Filters: 32, Kernel: net.Square(3), Padding: net.PadSame}, bn("sn"), &net.Activation{Func: net.ReLU6}, // by Winograd's method
		conv("d", "", 3, 4), bn("dn"), &net.Activation{Func: net.Tanh}, // groups that don't fill vectors
		conv("e", "", 3, 1), bn("en"), &net.Add{Name: "twice", From: net.From{"e", "en"}}, // e is taken twice: not folded
		&net.Flatten{}, &net.Dense{Name: "f", Units: 3},
	}}
	data := randomImages(n.Input, 3, 24)
	batch := func(from, to int) net.Batch {
		b := net.Batch{Data: data}
		for i := from; i < to; i++ {
			b.Indices = append(b.Indices, int32(i))
		}
		return b
	}
	for _, tier := range tiers() {
		t.Run(tier.String(), func(t *testing.T) {
			d := open(tier, 2)(t)
			defer d.Close()
			p, q := compile(t, d, n, 12), compile(t, d, n, 12)
			state, err := p.State()
			if err != nil {
				t.Fatal(err)
			}
			rng := testenv.Rand(t)
			for _, name := range slices.Sorted(maps.Keys(state.Params)) { // also running statistics and biases that aren't 0 or 1
				values := state.Params[name].Float32s()
				for i := range values {
					values[i] += 0.4*rng.Float32() - 0.2
					switch name {
					case "bn.weight", "sn.weight": // so that there are values above 6
						values[i] *= 8
					case "dn.weight", "f.weight": // and their rounding doesn't grow with them
						values[i] /= 8
					}
				}
			}
			if err := p.SetState(state); err != nil {
				t.Fatal(err)
			}
			folds, sixes := 0, 0
			for _, op := range p.evaluation.operations {
				if f, ok := op.sample.(*folded); ok {
					folds++
					if f.winograd != nil && f.norm.rectifier.six() {
						sixes++
					}
				}
			}
			if sixes != 1 {
				t.Errorf("%d folded convolutions are computed by Winograd's method before a ReLU6, want 1", sixes)
			}
			if want := 5; folds != want {
				t.Errorf("%d convolutions are folded, want %d", folds, want)
			}
			check := func(when string) []float32 {
				t.Helper()
				got, err := p.Infer(batch(0, 12))
				if err != nil {
					t.Fatal(err)
				}
				state, err := p.State()
				if err != nil {
					t.Fatal(err)
				}
				if err := q.SetState(state); err != nil {
					t.Fatal(err)
				}
				trace, err := q.Trace(batch(0, 12), net.Evaluation)
				if err != nil {
					t.Fatal(err)
				}
				want := make([]float64, 0, 36)
				for _, v := range trace.Probabilities.Float32s() {
					want = append(want, float64(v))
				}
				approx.Check(t, when, got.Float32s(), want, approx.Tolerance{Abs: 2e-6, Rel: 2e-5})
				return got.Float32s()
			}
			first := check("at first")
			for part := range 2 {
				if err := p.Gradients(batch(12*part, 12*part+12), net.Share{Total: 24, First: 12 * part}); err != nil {
					t.Fatal(err)
				}
				if slices.Equal(check("between two parts"), first) {
					t.Error("the running statistics have not moved")
				}
			}
			if err := p.Update(); err != nil {
				t.Fatal(err)
			}
			check("after the update")
		})
	}
}

// TestFrozenPrefix trains behind layers that are frozen: they are computed as in evaluation, their weights are packed once, and their
// values have memory by thread. The weights become what they become if each layer is computed by itself.
func TestFrozenPrefix(t *testing.T) {
	conv := func(name string, from ...string) net.Layer {
		return &net.Conv{Name: name, From: from, Filters: 20, Kernel: net.Square(3), Padding: net.PadSame, NoBias: true}
	}
	bn := func(name string) net.Layer { return &net.BatchNorm{Name: name} }
	smooth := &net.Activation{Func: net.Tanh} // near a kink, rounding alone would change the gradients of what learns
	whole := &net.Network{Name: "frozen", Input: net.Shape{C: 3, H: 9, W: 8}, Layers: []net.Layer{
		conv("a"), bn("an"), &net.Activation{Name: "ar", Func: net.ReLU},
		conv("b"), bn("bn"), &net.Add{Name: "sum", From: net.From{"bn", "ar"}}, &net.Activation{Name: "br", Func: net.ReLU},
		&net.Pool{Name: "max", Kernel: net.Square(2)}, &net.Dropout{Rate: 0.2},
		conv("c"), bn("cn"), &net.Activation{Name: "cr", Func: net.ReLU6},
		conv("d"), bn("dn"), smooth, conv("e"), bn("en"), smooth, &net.Flatten{}, &net.Dense{Name: "f", Units: 3},
	}}
	n, err := whole.Freeze("..cr", "en") // en behind a layer that learns
	if err != nil {
		t.Fatal(err)
	}
	data := randomImages(n.Input, 3, 12)
	batch := net.Batch{Data: data}
	for i := range 12 {
		batch.Indices = append(batch.Indices, int32(i))
	}
	for _, tier := range tiers() {
		for _, threads := range []int{1, 3} {
			d := open(tier, threads)(t)
			training := func() *program {
				p, err := d.Compile(n, net.Options{Batch: 12, Optimizer: net.SGDDefault(0.05)})
				if err != nil {
					t.Fatal(err)
				}
				return p.(*program)
			}
			p, q := training(), training()
			// q computes each layer by itself.
			q.training, q.trainingIns = newSequence(q.all.operations), q.ins
			for _, op := range q.all.operations {
				op.out.brief[inTraining] = brief{}
			}
			q.keepAllValues()
			q.takeGradients()
			state, err := p.State()
			if err != nil {
				t.Fatal(err)
			}
			rng := testenv.Rand(t)
			for _, name := range slices.Sorted(maps.Keys(state.Params)) {
				for i := range state.Params[name].Float32s() {
					state.Params[name].Float32s()[i] += 0.2*rng.Float32() - 0.1
				}
			}
			for _, p := range []*program{p, q} {
				if err := p.SetState(state); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if err := p.Step(batch); err != nil {
						t.Fatal(err)
					}
				}
			}
			var folds []*folded
			short, long := 0, 0 // values before the first layer that learns, by thread and by sample
			for _, op := range p.training.operations {
				if f, ok := op.sample.(*folded); ok {
					folds = append(folds, f)
				}
				switch {
				case op.out.learns:
				case op.out.brief[inTraining].values == nil:
					long++
				default:
					short++
				}
			}
			// What the first layer takes that learns is kept, and what passes from images that go one by one to some that go together.
			if len(folds) != 3 || long > 3 || short < 4 {
				t.Errorf("%v: %d convolutions are folded in training, want 3; %d values are by sample, %d by thread", tier, len(folds), long, short)
			}
			for _, f := range folds {
				if f.folds != 1 {
					t.Errorf("%v: a convolution was folded %d times in three steps, want once", tier, f.folds)
				}
			}
			want := make([]float64, 0, 1000)
			for _, v := range weightsOf(t, q) {
				want = append(want, float64(v))
			}
			// Gradients of up to some units, with sums of up to a thousand roundings.
			approx.Check(t, tier.String(), weightsOf(t, p), want, approx.Tolerance{Abs: 1e-5, Rel: 1e-5})
			after, err := p.State()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"a.weight", "bn.running_mean", "cn.running_var", "cn.bias", "en.running_mean", "d.weight", "dn.running_var"} {
				frozen := name[0] != 'd'
				if slices.Equal(after.Params[name].Float32s(), state.Params[name].Float32s()) != frozen {
					t.Errorf("%v: %s stays: %v, want %v", tier, name, !frozen, frozen)
				}
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

package verify

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// TestChoose draws from samples of which some lie within rounding of a kink
// behind a convolution that multiplies by a third.
func TestChoose(t *testing.T) {
	third := net.Initializer{Method: net.Constant, Value: 1.0 / 3}
	conv := &net.Conv{Filters: 1, Kernel: net.Square(1), WeightInit: third, BiasInit: net.Initializer{Method: net.Constant, Value: -1}}
	head := []net.Layer{&net.Flatten{}, &net.Dense{Units: 2}}
	relu := []net.Layer{conv, &net.Activation{Func: net.ReLU}}
	leaky := []net.Layer{conv, &net.Activation{Func: net.LeakyReLU}}
	pool := []net.Layer{conv, &net.Pool{Kernel: net.Square(2)}}
	l2 := []net.Layer{conv, &net.Pool{Mode: net.L2Pool, Kernel: net.Square(1)}}
	unit := func(weight float64) net.Layer {
		return &net.Conv{Filters: 1, Kernel: net.Square(1), NoBias: true, WeightInit: net.Initializer{Method: net.Constant, Value: weight}}
	}
	near1, exactly := unit(1+1.0/(1<<22)), unit(1)
	next := math.Nextafter32(3, 4)
	for _, c := range []struct {
		name   string
		layers []net.Layer
		sample []float32
		narrow bool
	}{
		{"ReLU, clear", relu, []float32{1, 2, 4, 5}, false},
		{"ReLU, near 0", relu, []float32{1, 2, 3, 5}, true}, // 3/3-1, were a third exact
		{"leaky ReLU, near 0", leaky, []float32{1, 2, next, 5}, true},
		{"ReLU on the input", []net.Layer{&net.Activation{Func: net.ReLU}}, []float32{1, 1e-30, -1e-30, 5}, false},
		{"max, clear", pool, []float32{1, 2, 4, 5}, false},
		{"max, near tie", pool, []float32{1, 7, math.Nextafter32(7, 8), 5}, true},
		{"max, near tie below the greatest", pool, []float32{1, 7, math.Nextafter32(7, 8), 9}, false},
		{"max, exact tie", pool, []float32{1, 7, 7, 7}, false},
		{"max of the input, near tie", []net.Layer{&net.Pool{Kernel: net.Square(2)}}, []float32{1, 7, math.Nextafter32(7, 8), 5}, false},
		{"L2 norm near 0", l2, []float32{1, 2, 3, 5}, true},
		{"ReLU6 near 6", []net.Layer{near1, &net.Activation{Func: net.ReLU6}}, []float32{1, 2, 6.0000005, 5}, true},
		{"ReLU6 at 6", []net.Layer{exactly, &net.Activation{Func: net.ReLU6}}, []float32{1, 2, 6, 5}, false},
		{"hard swish near -3", []net.Layer{near1, &net.Activation{Func: net.HardSwish}}, []float32{1, 2, -3.0000002, 5}, true},
		{"hard sigmoid near 3", []net.Layer{near1, &net.Activation{Func: net.HardSigmoid}}, []float32{1, 2, 2.9999998, 5}, true},
		// 3+x rounds, whoever computed x.
		{"hard sigmoid of the input near 3", []net.Layer{&net.Activation{Func: net.HardSigmoid}}, []float32{1, 2, 2.9999998, 5}, true},
		{"hard sigmoid of the input at 3", []net.Layer{&net.Activation{Func: net.HardSigmoid}}, []float32{1, 2, 3, 5}, false},
		{"GELU near 0", []net.Layer{conv, &net.Activation{Func: net.GELU}}, []float32{1, 2, 3, 5}, false},
		{"tanh near 0", []net.Layer{conv, &net.Activation{Func: net.Tanh}}, []float32{1, 2, 3, 5}, false},
	} {
		n := &net.Network{Input: net.Shape{C: 1, H: 2, W: 2}, Layers: slices.Concat(c.layers, head)}
		j, err := NewJudge(n, net.Options{Batch: 1, Optimizer: net.SGDDefault(0.1)})
		if err != nil {
			t.Fatal(err)
		}
		st := net.InitialState(j.Plan(), seed, nil)
		data := &net.Dataset{Name: "samples", Shape: n.Input, Classes: 2, Values: append(slices.Clone(c.sample), 1, 2, 4, 7.5), Labels: []int32{0, 1}}
		b, err := j.Choose(st, net.Batch{Data: data, Indices: []int32{0, 1}}, 1)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		want := int32(0)
		if c.narrow {
			want = 1
		}
		if b.Indices[0] != want {
			t.Errorf("%s: chose sample %d, want %d", c.name, b.Indices[0], want)
		}
		// With nothing to choose from, two samples shrink to one, and one to none.
		if b, err = j.Choose(st, net.Batch{Data: data, Indices: []int32{1, 0}}, 2); err != nil || len(b.Indices) != 2 != c.narrow {
			t.Errorf("%s: of two samples chose %v, %v", c.name, b.Indices, err)
		}
		if _, err = j.Choose(st, net.Batch{Data: data, Indices: []int32{0}}, 1); (err != nil) != c.narrow {
			t.Errorf("%s: the sample alone: %v", c.name, err)
		}
	}
}

// TestReduction holds float32 sums of products, added one after the other, to the
// bound, and the bound to what makes it worth having.
func TestReduction(t *testing.T) {
	rng := rand.New(rand.NewPCG(testenv.SeedOr(t, seed), 1))
	for _, length := range []int{1, 10, 100, 1000, 10_000, 100_000} {
		for _, offset := range []float64{0, 1, -3} {
			for range 5 {
				a, b := make([]float64, length), make([]float64, length)
				var want float64
				var got float32
				for i := range a {
					x, y := float32(rng.NormFloat64()+offset), float32(rng.NormFloat64()+math.Abs(offset))
					a[i], b[i] = float64(x), float64(y)
					want += a[i] * b[i]
					got += x * y
				}
				limit := reduction(Roundoff, length, []float64{want}, sizeOf(a), sizeOf(b), 0, 0)
				approx.Check(t, "float32 sum", []float32{got}, []float64{want}, approx.Tolerance{Abs: safety * limit.err})
				if relative := safety * limit.err / limit.scale; relative > 1e-4 {
					t.Errorf("length %d: a relative tolerance of %v is worth nothing", length, relative)
				}
			}
		}
	}
}

// TestFloat32BatchNorm holds batch normalisation in plain float32 to the bounds.
func TestFloat32BatchNorm(t *testing.T) {
	rng := rand.New(rand.NewPCG(testenv.SeedOr(t, seed), 2))
	n := &net.Network{Input: net.Shape{C: 1, H: 9, W: 7}, Layers: []net.Layer{&net.BatchNorm{}, &net.Flatten{}, &net.Dense{Units: 2}}}
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []float64{0, 10, -1000} {
		for _, batch := range []int{1, 2, 40} {
			l := &reference.Layer{Node: plan.Nodes[0], Params: map[net.Role][]float64{net.Weight: {1.5}, net.Bias: {-0.5}}}
			m := batch * 63
			x, dy := make([]float32, m), make([]float32, m)
			for i := range x {
				x[i], dy[i] = float32(rng.NormFloat64()+offset), float32(rng.NormFloat64())
			}
			y, dx, dw, db := float32BatchNorm(x, dy, 1.5, -0.5)
			wide, wideDy := widen(x), widen(dy)
			in, exact := [][]float64{wide}, []float64{0}
			want := l.Forward(in, batch, net.Training, reference.Place{})
			limit := forwardBound(Roundoff, l, net.Training, batch, in, exact, want)
			wantDx, grads := l.Backward(wideDy)
			dxLimit, limits := backwardBound(Roundoff, l, batch, in, want, exact, wideDy, 0, wantDx, grads)
			for _, c := range []Check{
				compare(0, "y", y, want, limit),
				compare(0, "dx", dx, wantDx[0], dxLimit[0]),
				compare(0, "dw", []float32{dw}, grads[net.Weight], limits[net.Weight]),
				compare(0, "db", []float32{db}, grads[net.Bias], limits[net.Bias]),
			} {
				if !c.OK {
					t.Errorf("offset %v, batch %d: %s: %s", offset, batch, c.What, c.Detail)
				}
				// The mean's rounding grows with the offset.
				if most := 1e-4 * (1 + math.Abs(offset)); c.Tolerance > most {
					t.Errorf("offset %v, batch %d: %s: a relative tolerance of %v is worth nothing", offset, batch, c.What, c.Tolerance)
				}
			}
		}
	}
}

// float32BatchNorm normalises one channel, variance about the mean.
func float32BatchNorm(x, dy []float32, weight, bias float32) (y, dx []float32, dw, db float32) {
	m := float32(len(x))
	var mean, variance float32
	for _, v := range x {
		mean += v
	}
	mean /= m
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	inv := 1 / float32(math.Sqrt(float64(variance/m+1e-5)))
	for i, v := range x {
		h := (v - mean) * inv
		y = append(y, weight*h+bias)
		db += dy[i]
		dw += dy[i] * h
	}
	for i, v := range x {
		h := (v - mean) * inv
		dx = append(dx, weight*inv*(dy[i]-db/m-h*dw/m))
	}
	return y, dx, dw, db
}

// TestInfinite makes sure that values beyond numbers pass nowhere.
func TestInfinite(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []Check{
		compare(0, "", []float64{1}, []float64{1}, bound{err: math.NaN()}),
		compare(0, "", []float64{1}, []float64{1}, bound{err: inf}),
		compare(0, "", []float64{inf}, []float64{1}, bound{err: 1e300}),
		compare(0, "", []float64{math.NaN()}, []float64{math.NaN()}, bound{err: 1, scale: 1}),
		compare(0, "", []float64{}, []float64{1}, bound{err: 1, scale: 1}),
		compareTensor(0, "", nil, []float64{1}, bound{err: 1}, 1),
		elementwise(0, "", tensor.New(tensor.WithShape(2), tensor.WithBacking([]float32{1, float32(math.NaN())})), []float64{1, 1}, []float64{1, 1}, nil),
	} {
		if c.OK || c.Detail == "" {
			t.Errorf("passes: %+v", c)
		}
	}
}

// TestFollow moves gradients in the trace of a device that fuses convolution, ReLU and max pooling: among equal values, and
// to where ReLU's input is 0, it may send them either way; elsewhere not, and nowhere if it shows the values it decided on.
func TestFollow(t *testing.T) {
	third := net.Initializer{Method: net.Constant, Value: 1.0 / 3}
	n := &net.Network{Input: net.Shape{C: 1, H: 4, W: 4}, Layers: []net.Layer{
		&net.Conv{Filters: 1, Kernel: net.Square(1), WeightInit: third}, &net.Activation{Func: net.ReLU},
		&net.Pool{Kernel: net.Square(2)}, &net.Flatten{}, &net.Dense{Units: 2},
	}}
	data := &net.Dataset{Name: "ties", Shape: n.Input, Classes: 2, Labels: []int32{1}, Values: []float32{
		7, 7, 0, 0,
		1, 2, 0, 0,
		5, 4, 9, 3,
		5, 1, 2, 6,
	}}
	opts := net.Options{Batch: 1, Optimizer: net.SGDDefault(0.1), Seed: seed}
	j, err := NewJudge(n, opts)
	if err != nil {
		t.Fatal(err)
	}
	program, err := reference.New().Compile(n, opts)
	if err != nil {
		t.Fatal(err)
	}
	st, err := program.State()
	if err != nil {
		t.Fatal(err)
	}
	b := net.Batch{Data: data, Indices: []int32{0}}
	for _, c := range []struct {
		name     string
		from, to int // places of the plane; the gradient of a window stands behind its first greatest value
		shown    bool
		ok       bool
	}{
		{"as the reference", 0, 0, false, true},
		{"to its equal", 0, 1, false, true},
		{"to its equal below", 8, 12, false, true},
		{"to a smaller one", 0, 5, false, false},
		{"to another window", 0, 10, false, false},
		{"to its equal, which are shown", 0, 1, true, false},
		{"through a zero", -1, 3, false, true}, // what the window of zeros got, which ReLU would have stopped
		{"through a zero twice as much", -2, 3, false, false},
		{"through zeros twice", -3, 3, false, false},
	} {
		tr, err := program.(net.Tracer).Trace(b, net.Training)
		if err != nil {
			t.Fatal(err)
		}
		if !c.shown {
			tr.Layers[0].Output, tr.Layers[1].Output, tr.Layers[1].OutputGrad = nil, nil, nil
		}
		g, pooled := tr.Layers[0].OutputGrad.Float32s(), tr.Layers[2].OutputGrad.Float32s()
		switch c.from {
		case -1:
			g[c.to] = pooled[1]
		case -2:
			g[c.to] = 2 * pooled[1]
		case -3:
			g[c.to], g[c.to+4] = pooled[1], pooled[1]
		default:
			g[c.from], g[c.to] = g[c.to], g[c.from]
		}
		ok := true
		for _, check := range j.Trace(st, b, net.Training, tr) {
			if check.Layer == 0 && check.What == "output gradient" {
				ok = check.OK
			}
		}
		if ok != c.ok {
			t.Errorf("%s: judged %v, want %v", c.name, ok, c.ok)
		}
	}
}

// TestFollowSeveralUses makes sure that the gradient shown of a value of several
// uses excuses no choice of one of them: it holds what the others give too.
func TestFollowSeveralUses(t *testing.T) {
	third := net.Initializer{Method: net.Constant, Value: 1.0 / 3}
	n := &net.Network{Input: net.Shape{C: 1, H: 2, W: 2}, Layers: []net.Layer{
		&net.Conv{Name: "conv", Filters: 1, Kernel: net.Square(1), WeightInit: third},
		&net.Pool{Name: "pool", Kernel: net.Square(2)},
		&net.Pool{Name: "mean", From: net.From{"conv"}, Mode: net.MeanPool, Global: true},
		&net.Concat{From: net.From{"pool", "mean"}}, &net.Dense{Units: 2},
	}}
	data := &net.Dataset{Name: "ties", Shape: n.Input, Classes: 2, Labels: []int32{1}, Values: []float32{7, 7, 1, 2}}
	opts := net.Options{Batch: 1, Optimizer: net.SGDDefault(0.1), Seed: seed}
	j, err := NewJudge(n, opts)
	if err != nil {
		t.Fatal(err)
	}
	program, err := reference.New().Compile(n, opts)
	if err != nil {
		t.Fatal(err)
	}
	st, err := program.State()
	if err != nil {
		t.Fatal(err)
	}
	b := net.Batch{Data: data, Indices: []int32{0}}
	for _, moved := range []bool{false, true} {
		tr, err := program.(net.Tracer).Trace(b, net.Training)
		if err != nil {
			t.Fatal(err)
		}
		tr.Layers[0].Output = nil
		if g := tr.Layers[0].OutputGrad.Float32s(); moved {
			g[0], g[1] = g[1], g[0]
		}
		for _, c := range j.Trace(st, b, net.Training, tr) {
			if c.Layer == 0 && c.What == "output gradient" && c.OK == moved {
				t.Errorf("moved %v: judged %v", moved, c.OK)
			}
		}
	}
}

// TestUpdate judges updates of several pieces: right ones, and such as forget a
// piece, weigh it wrongly or draw its dropout from another place.
func TestUpdate(t *testing.T) {
	n := small()
	opts := net.Options{Batch: 6, Optimizer: net.Optimizer{Rule: net.Rule{Method: net.SGD, LearningRate: 0.1, Momentum: 0.9}, ClipNorm: 0.3}, Seed: seed}
	j, err := NewJudge(n, opts)
	if err != nil {
		t.Fatal(err)
	}
	program, err := reference.New().Compile(n, opts)
	if err != nil {
		t.Fatal(err)
	}
	data := randomPixels(n.Input, 60)
	before, err := program.State()
	if err != nil {
		t.Fatal(err)
	}
	b, err := j.Choose(before, net.Batch{Data: data, Indices: span(60)}, 6)
	if err != nil || b.Len() != 6 {
		t.Fatal(b, err)
	}
	pieces := []net.Batch{{Data: data, Indices: b.Indices[:1]}, {Data: data, Indices: b.Indices[1:4]}, {Data: data, Indices: b.Indices[4:]}}
	for _, c := range []struct {
		name   string
		shares []net.Share
		want   string // what fails first
	}{
		{"right", []net.Share{{First: 0, Total: 6}, {First: 1, Total: 6}, {First: 4, Total: 6}}, ""},
		{"a piece forgotten", []net.Share{{First: 0, Total: 6}, {First: 1, Total: 6}}, "loss"},
		{"a piece weighs too much", []net.Share{{First: 0, Total: 6}, {First: 1, Total: 5}, {First: 4, Total: 6}}, "weight.v"},
		{"dropout from the start", []net.Share{{First: 0, Total: 6}, {First: 0, Total: 6}, {First: 0, Total: 6}}, "loss"},
	} {
		if err := program.SetState(before); err != nil {
			t.Fatal(err)
		}
		for i, share := range c.shares {
			if err := program.Gradients(pieces[i], share); err != nil {
				t.Fatal(err)
			}
		}
		if err := program.Update(); err != nil {
			t.Fatal(err)
		}
		m, err := program.TakeMetrics()
		if err != nil {
			t.Fatal(err)
		}
		after, err := program.State()
		if err != nil {
			t.Fatal(err)
		}
		failed := ""
		for _, check := range j.Update(before, pieces, m, after) {
			if !check.OK && failed == "" {
				failed = check.What
			}
		}
		if failed != c.want {
			t.Errorf("%s: %q fails first, want %q", c.name, failed, c.want)
		}
	}
}

// span returns 0 ... n-1.
func span(n int) []int32 {
	var list []int32
	for i := range n {
		list = append(list, int32(i))
	}
	return list
}

// TestGlobalPooling holds the bound of global mean pooling's gradient to what makes
// it worth having: one window sees each value, and gives it a small share.
func TestGlobalPooling(t *testing.T) {
	n := &net.Network{Input: net.Shape{C: 1, H: 32, W: 32}, Layers: []net.Layer{
		&net.Conv{Filters: 2, Kernel: net.Square(1)}, &net.Pool{Mode: net.MeanPool, Global: true}, &net.Dense{Units: 2},
	}}
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	l := &reference.Layer{Node: plan.Nodes[1]}
	x := make([]float64, 2*32*32)
	for i := range x {
		x[i] = float64(i % 7)
	}
	in, exact, dy := [][]float64{x}, []float64{0}, []float64{1, -0.5}
	y := l.Forward(in, 1, net.Training, reference.Place{})
	dx, _ := l.Backward(dy)
	const edy = 1e-6
	limits, _ := backwardBound(Roundoff, l, 1, in, y, exact, dy, edy, dx, nil)
	if want := (edy + 4*Roundoff) / (32 * 32); limits[0].err > want {
		t.Errorf("bound %v, want at most %v", limits[0].err, want)
	}
}

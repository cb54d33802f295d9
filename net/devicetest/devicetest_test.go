package devicetest

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

func openReference(testing.TB) net.Device { return reference.New() }

// with returns an opener of machines with these faults.
func with(f faults) Open {
	return func(testing.TB) net.Device { return &machine{faults: f, steps: new(int64)} }
}

func TestReference(t *testing.T) {
	Run(t, openReference, SameBytes("again", openReference), Short())
}

// TestRoundingPasses shows that the tolerances leave room for float32: every
// output and gradient is off by as much as sums of that length are.
func TestRoundingPasses(t *testing.T) {
	skipShort(t)
	Run(t, with(rounding), SameBytes("again", with(rounding)), Short())
}

// TestFusionPasses shows that a device may keep to itself what the contract does
// not demand.
func TestFusionPasses(t *testing.T) {
	fused := rounding
	fused.trace = func(_ net.Mode, t *net.Trace) {
		for i := range t.Layers {
			if i%3 != 0 && i != len(t.Layers)-1 {
				t.Layers[i].Output = nil
			}
			if i%3 != 1 {
				t.Layers[i].OutputGrad = nil
			}
		}
	}
	Run(t, with(fused), Short())
}

// rounding adds noise to what layers give, as rounding does: of the size of
// float32's unit roundoff times the square root of the reduction's length, and
// the same for the same values.
var rounding = faults{
	forward: func(l *reference.Layer, _ net.Mode, n int, _ [][]float64, y []float64) {
		length := 1
		switch d := l.Layer.(type) {
		case *net.Conv:
			length = l.In.C / d.GroupCount() * d.Kernel.H * d.Kernel.W
		case *net.Dense:
			if length = l.In.C; l.Name == "identity" {
				length = 1
			}
		case *net.Pool:
			if d.PoolMode() == net.MaxPool {
				return
			}
		case *net.Flatten, *net.Dropout:
			return
		}
		shake(y, length)
	},
	backward: func(l *reference.Layer, n int, _ [][]float64, _ []float64, dx [][]float64, grads map[net.Role][]float64) {
		length := 1
		switch d := l.Layer.(type) {
		case *net.Conv:
			length = l.Out.C / d.GroupCount() * d.Kernel.H * d.Kernel.W
		case *net.Dense:
			length = l.Out.C
		}
		if _, ok := l.Layer.(*net.Flatten); !ok {
			for _, d := range dx {
				shake(d, length)
			}
		}
		for _, g := range grads {
			shake(g, n*l.Out.H*l.Out.W)
		}
	},
}

// shake moves values by up to the root of length roundings, in a direction drawn
// from their own bits, so that equal values stay equal. Sums of small whole
// numbers and short fractions stay too: a float32 holds them exactly.
func shake(values []float64, length int) {
	for i, v := range values {
		if math.Round(v*4096) == v*4096 {
			continue
		}
		word := net.Philox([2]uint32{}, [4]uint32{uint32(math.Float64bits(v)), uint32(math.Float64bits(v) >> 32)})[0]
		values[i] = float64(float32(v * (1 + (float64(word)/(1<<31)-1)*math.Sqrt(float64(length))/(1<<24))))
	}
}

// recorder takes the part of a test, for a check that is meant to fail. It stops
// at the first failure.
type recorder struct {
	testing.TB
	failure string
	cleanup []func()
}

func (r *recorder) Helper()             {}
func (r *recorder) Name() string        { return "recorder" }
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Skip(...any)         { runtime.Goexit() }
func (r *recorder) Failed() bool        { return r.failure != "" }
func (r *recorder) Cleanup(f func())    { r.cleanup = append(r.cleanup, f) }

func (r *recorder) Errorf(format string, a ...any) { r.Fatalf(format, a...) }

func (r *recorder) Fatalf(format string, a ...any) {
	if r.failure == "" {
		r.failure = fmt.Sprintf(format, a...)
	}
	runtime.Goexit()
}

// failure runs one check on a device and returns what it found first, or "".
func failure(t *testing.T, name string, open Open, opts ...Option) string {
	t.Helper()
	at := slices.IndexFunc(checks, func(c check) bool { return c.name == name })
	if at < 0 {
		t.Fatalf("no check is called %s", name)
	}
	return failureOf(t, checks[at], open, opts...)
}

// failureOf is failure of any check.
func failureOf(t *testing.T, c check, open Open, opts ...Option) string {
	t.Helper()
	s := newSuite(t, open, opts...)
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(s.env(r, c))
	}()
	<-done
	return r.failure
}

// broken is a device that is wrong in one thing, and what finds that out.
type broken struct {
	name   string
	faults faults
	checks string
	opts   []Option
}

// brokenDevices are wrong in what networks, optimisers and programs do; see
// brokenRecipes too.
var brokenDevices = []broken{
	{"bias forgotten", faults{forward: func(l *reference.Layer, _ net.Mode, n int, _ [][]float64, y []float64) {
		if b := l.Params[net.Bias]; b != nil && l.Layer.Kind() != "batchnorm" {
			eachOutput(l, n, func(at, c, _ int) { y[at] -= b[c] })
		}
	}}, "conv dense random_networks", nil},
	{"bias gradient of the first sample alone", faults{backward: func(l *reference.Layer, n int, _ [][]float64, dy []float64, _ [][]float64, grads map[net.Role][]float64) {
		if db := grads[net.Bias]; db != nil {
			clear(db)
			eachOutput(l, 1, func(at, c, _ int) { db[c] += dy[at] })
		}
	}}, "conv dense batchnorm optimizer", nil},
	{"halves of SAME padding swapped", faults{layer: func(l *reference.Layer) {
		w := &l.Window
		w.Top, w.Bottom, w.Left, w.Right = w.Bottom, w.Top, w.Right, w.Left
	}}, "conv pool chains random_networks", nil},
	{"dilation ignored", faults{layer: func(l *reference.Layer) {
		l.Window.DilationH = min(l.Window.DilationH, 1)
	}}, "conv", nil},
	{"filter transposed in the input's gradient", faults{backward: func(l *reference.Layer, n int, x [][]float64, dy []float64, dx [][]float64, _ map[net.Role][]float64) {
		if l.Layer.Kind() == "conv" && l.Window.KernelH == l.Window.KernelW {
			transposed := *l
			transposed.Params = map[net.Role][]float64{net.Weight: transpose(l.Params[net.Weight], l.Window.KernelH)}
			transposed.Forward(x, n, net.Training, reference.Place{})
			right, _ := transposed.Backward(dy)
			copy(dx[0], right[0])
		}
	}}, "conv chains", nil},
	{"mean pooling counts padding", faults{
		forward: func(l *reference.Layer, _ net.Mode, n int, _ [][]float64, y []float64) { scaleByCount(l, n, y) },
		before:  func(l *reference.Layer, n int, dy []float64) { scaleByCount(l, n, dy) },
	}, "pool", nil},
	{"padding takes part in a maximum", faults{forward: func(l *reference.Layer, _ net.Mode, n int, _ [][]float64, y []float64) {
		if d, ok := l.Layer.(*net.Pool); ok && d.PoolMode() == net.MaxPool {
			eachOutput(l, n, func(at, _, position int) {
				if seen(l, position) < d.Kernel.H*d.Kernel.W {
					y[at] = max(y[at], 0)
				}
			})
		}
	}}, "pool", nil},
	{"max pooling's gradient goes to the last of equals", faults{backward: func(l *reference.Layer, n int, x [][]float64, dy []float64, dx [][]float64, _ map[net.Role][]float64) {
		if l.Layer.Kind() == "pool" {
			later := slices.Clone(x[0])
			for i := range later {
				later[i] += 1e-13 * float64(i)
			}
			other := *l
			other.Forward([][]float64{later}, n, net.Training, reference.Place{})
			right, _ := other.Backward(dy)
			copy(dx[0], right[0])
		}
	}}, "ties", nil},
	{"gradient of an L2 norm of 0 divides by it", faults{backward: func(l *reference.Layer, n int, x [][]float64, _ []float64, dx [][]float64, _ map[net.Role][]float64) {
		if d, ok := l.Layer.(*net.Pool); ok && d.Mode == net.L2Pool {
			for i, v := range x[0] {
				if v == 0 {
					dx[0][i] = math.NaN()
				}
			}
		}
	}}, "pool", nil},
	{"gradient of ReLU at 0 is that of the right side", faults{backward: func(l *reference.Layer, _ int, x [][]float64, dy []float64, dx [][]float64, _ map[net.Role][]float64) {
		if a, ok := l.Layer.(*net.Activation); ok && (a.Func == net.ReLU || a.Func == net.LeakyReLU) {
			for i, v := range x[0] {
				if v == 0 {
					dx[0][i] = dy[i]
				}
			}
		}
	}}, "activation", nil},
	{"slope of leaky ReLU is the default", faults{layer: func(l *reference.Layer) {
		if a, ok := l.Layer.(*net.Activation); ok {
			l.Layer = &net.Activation{Func: a.Func}
		}
	}}, "activation", nil},
	{"sigmoid overflows", faults{forward: func(l *reference.Layer, _ net.Mode, _ int, x [][]float64, y []float64) {
		if a, ok := l.Layer.(*net.Activation); ok && a.Func == net.Sigmoid {
			for i, v := range x[0] {
				e := float32(math.Exp(v))
				y[i] = float64(e / (1 + e))
			}
		}
	}}, "activation", nil},
	{"NaN in the last value", faults{forward: func(_ *reference.Layer, _ net.Mode, _ int, _ [][]float64, y []float64) {
		y[len(y)-1] = math.NaN()
	}}, "conv pool activation dense batchnorm dropout chains random_networks loss", nil},
	{"last value of an odd number not written", faults{forward: func(_ *reference.Layer, _ net.Mode, _ int, _ [][]float64, y []float64) {
		if len(y)%2 == 1 {
			y[len(y)-1] = 0
		}
	}}, "conv pool activation dense", nil},
	{"weight gradient counts the rest of a larger batch before", staleTail(), "conv dense stale_memory", nil},
	{"outputs too large by a ten-thousandth", faults{forward: func(_ *reference.Layer, _ net.Mode, _ int, _ [][]float64, y []float64) {
		scale(y, 1+1e-4)
	}}, "conv pool activation dense batchnorm dropout chains random_networks", nil},
	{"input gradients too large by a ten-thousandth", faults{backward: func(_ *reference.Layer, _ int, _ [][]float64, _ []float64, dx [][]float64, _ map[net.Role][]float64) {
		scaleAll(dx, 1+1e-4)
	}}, "conv pool activation dense batchnorm dropout chains random_networks", nil},
	{"parameter gradients too large by a ten-thousandth", faults{backward: func(_ *reference.Layer, _ int, _ [][]float64, _ []float64, _ [][]float64, grads map[net.Role][]float64) {
		for _, g := range grads {
			scale(g, 1+1e-4)
		}
	}}, "conv dense batchnorm chains random_networks optimizer", nil},
	{"updates too large by a ten-thousandth", updated(func(o *net.Optimizer, _ int64) {
		o.LearningRate *= 1 + 1e-4
	}), "optimizer", nil},
	{"multiplications of 11 bits", faults{forward: func(l *reference.Layer, m net.Mode, n int, x [][]float64, y []float64) {
		if k := l.Layer.Kind(); k == "conv" || k == "dense" {
			short := *l
			short.Params = map[net.Role][]float64{net.Weight: shorten(l.Params[net.Weight]), net.Bias: l.Params[net.Bias]}
			copy(y, short.Forward([][]float64{shorten(x[0])}, n, m, reference.Place{}))
		}
	}}, "conv dense chains random_networks", nil},
	{"gradient summed, not averaged", faults{loss: func(l *reference.Loss, _ []float64, labels []int32, _ int) {
		for i := range l.Gradient {
			l.Gradient[i] *= float64(len(labels))
		}
	}}, "conv dense optimizer trajectory loss", nil},
	{"softmax overflows", faults{loss: func(l *reference.Loss, z []float64, labels []int32, classes int) {
		l.Sum = 0
		for i, label := range labels {
			var sum float64
			for _, v := range z[i*classes : (i+1)*classes] {
				sum += math.Exp(v)
			}
			l.Sum += math.Log(sum) - z[i*classes+int(label)]
		}
	}}, "loss", nil},
	{"loss from probabilities kept above 1e-7", faults{loss: func(l *reference.Loss, _ []float64, labels []int32, classes int) {
		l.Sum = 0
		for i, label := range labels {
			l.Sum -= math.Log(max(l.Probabilities[i*classes+int(label)], 1e-7))
		}
	}}, "loss", nil},
	{"the last of equal logits is the hit", faults{loss: func(l *reference.Loss, z []float64, labels []int32, classes int) {
		l.Hits = 0
		for i, label := range labels {
			row := z[i*classes : (i+1)*classes]
			last := 0
			for c, v := range row {
				if v >= row[last] {
					last = c
				}
			}
			if last == int(label) {
				l.Hits++
			}
		}
	}}, "hits", nil},
	{"a use's gradient overwrites those of the others", faults{sum: func(_ *reference.Layer, sum, dx []float64) { copy(sum, dx) }},
		"kinds uses random_networks", nil},
	{"only the last use's gradient counts", faults{sum: func(*reference.Layer, []float64, []float64) {}}, "kinds uses random_networks", nil},
	{"a flat view's gradient counts twice", faults{sum: func(l *reference.Layer, sum, dx []float64) {
		plus(sum, dx)
		if l.Layer.Kind() == "flatten" {
			plus(sum, dx)
		}
	}}, "uses", nil},
	{"groups take the channels in turn", faults{forward: func(l *reference.Layer, m net.Mode, n int, x [][]float64, y []float64) {
		if d, ok := l.Layer.(*net.Conv); ok && d.GroupCount() > 1 {
			other := *l
			copy(y, other.Forward([][]float64{interleaved(x[0], n, l.In, d.GroupCount())}, n, m, reference.Place{}))
		}
	}}, "conv kinds", nil},
	{"a gate's gradient is that of one pixel", faults{backward: func(l *reference.Layer, n int, _ [][]float64, _ []float64, dx [][]float64, _ map[net.Role][]float64) {
		if l.Layer.Kind() == "multiply" && l.Ins[1] != l.Ins[0] {
			scale(dx[1], 1/float64(l.In.H*l.In.W))
		}
	}}, "kinds uses", nil},
	{"the factor of scale is forgotten in its gradient", faults{backward: func(l *reference.Layer, _ int, _ [][]float64, dy []float64, dx [][]float64, _ map[net.Role][]float64) {
		if l.Layer.Kind() == "scale" {
			copy(dx[0], dy)
		}
	}}, "kinds uses", nil},
	{"the second of equal inputs gets no gradient", faults{backward: func(l *reference.Layer, _ int, x [][]float64, _ []float64, dx [][]float64, _ map[net.Role][]float64) {
		if len(x) > 1 && &x[0][0] == &x[1][0] {
			clear(dx[1])
		}
	}}, "uses", nil},
	{"the gradient of ReLU6 at 6 is that of the left side", faults{backward: func(l *reference.Layer, _ int, x [][]float64, dy []float64, dx [][]float64, _ map[net.Role][]float64) {
		if a, ok := l.Layer.(*net.Activation); ok && a.Func == net.ReLU6 {
			for i, v := range x[0] {
				if v == 6 {
					dx[0][i] = dy[i]
				}
			}
		}
	}}, "activation", nil},
	{"GELU is its approximation", faults{layer: func(l *reference.Layer) {
		if a, ok := l.Layer.(*net.Activation); ok && a.Func == net.GELU {
			l.Layer = &net.Activation{Func: net.GELUTanh}
		}
	}}, "activation", nil},
	{"frozen parameters decay", wrapped(func(in net.Tracer) net.Tracer { return decaysFrozen{in, []net.Role{net.Weight, net.Bias}} }), "frozen", nil},
	{"frozen batch normalisation normalises by the mini-batch", faults{layer: func(l *reference.Layer) {
		if d, ok := l.Layer.(*net.BatchNorm); ok && d.Settled() {
			l.Layer = &net.BatchNorm{Momentum: new(0.0), Epsilon: d.Epsilon}
		}
	}}, "frozen", nil},
	{"frozen batch normalisation moves its running statistics", wrapped(func(in net.Tracer) net.Tracer { return decaysFrozen{in, []net.Role{net.RunningVar}} }), "frozen", nil},
	{"batch normalisation with a frozen weight and bias is frozen as a whole", faults{layer: func(l *reference.Layer) {
		if d, ok := l.Layer.(*net.BatchNorm); ok && len(d.Frozen.Roles) == 2 {
			l.Layer = &net.BatchNorm{Epsilon: d.Epsilon, Frozen: net.Frozen{All: true}}
		}
	}}, "frozen", nil},
	{"a trace shows gradients where nothing is trained", wrapped(func(in net.Tracer) net.Tracer { return showsAll{in} }), "frozen", nil},
	{"each piece weighs as much as the whole", faults{weight: func(int, net.Share) float64 { return 1 }}, "shares", nil},
	{"pieces weigh alike, whatever their size", faults{weight: func(n int, s net.Share) float64 {
		return 1 / math.Ceil(float64(s.Total)/float64(n))
	}}, "shares", nil},
	{"the last piece's gradients alone", faults{gather: func(sum, g []float64) { copy(sum, g) }}, "shares", nil},
	{"dropout of each piece begins anew", faults{place: func(p reference.Place) reference.Place { p.First = 0; return p }}, "shares", nil},
	{"each piece is clipped", wrapped(func(in net.Tracer) net.Tracer { return clipsPieces{in.(*running)} }), "shares", nil},
	{"running statistics move with the first piece alone", wrapped(func(in net.Tracer) net.Tracer { return &firstStatistics{Tracer: in} }), "shares", nil},
	{"a step takes pending gradients along", wrapped(func(in net.Tracer) net.Tracer { return impatient{in} }), "turns", nil},
	{"Update counts steps without gradients", wrapped(func(in net.Tracer) net.Tracer { return alwaysUpdates{in} }), "turns", nil},
	{"SetState keeps pending gradients", wrapped(func(in net.Tracer) net.Tracer { return &remembers{Tracer: in} }), "turns", nil},
	{"shares that don't fit are accepted", wrapped(func(in net.Tracer) net.Tracer { return anyShare{in} }), "turns", nil},
	{"Evaluate counts in the sums of training", wrapped(func(in net.Tracer) net.Tracer { return &mixesSums{Tracer: in} }), "metrics turns", nil},
	{"Options gives the images back", faults{wrap: func(in net.Tracer, o net.Options, _ compiler) net.Tracer {
		return saysOptions{in, o}
	}}, "described", nil},
	{"Options forgets the seed", faults{wrap: func(in net.Tracer, o net.Options, _ compiler) net.Tracer {
		o.Seed, o.Images = 0, nil
		return saysOptions{in, o}
	}}, "described", nil},
	{"Plan is nil", wrapped(func(in net.Tracer) net.Tracer { return saysNothing{in} }), "described", nil},
	{"initial values without images", initial(func(p *net.Plan, _ net.State) net.State { return net.InitialState(p, 3, nil) }), "initial_state", nil},
	{"NaN logits are hits of the first class", faults{loss: func(l *reference.Loss, z []float64, labels []int32, classes int) {
		for i, label := range labels {
			if label == 0 && math.IsNaN(z[i*classes]) {
				l.Hits++
			}
		}
	}}, "first_bad", nil},

	{"Adam without bias correction", updated(func(o *net.Optimizer, step int64) {
		if isAdam(*o) {
			o.LearningRate *= o.Rate(step) / o.Rates(step).Update
		}
	}), "optimizer trajectory", nil},
	{"Adam's epsilon inside the square root", faults{update: func(o net.Optimizer, step int64, p net.Param, w, g []float64, moments map[string][]float64) {
		old := slices.Clone(w)
		reference.Update(o, step, p.Dims[0], w, g, moments)
		if o.Method == net.Adam {
			for i := range w {
				w[i] = old[i] - o.Rates(step).Update*moments["m"][i]/math.Sqrt(moments["v"][i]+o.Epsilon)
			}
		}
	}}, "optimizer", nil},
	{"Adam's epsilon is added to the corrected moment", faults{update: func(o net.Optimizer, step int64, p net.Param, w, g []float64, moments map[string][]float64) {
		if isAdam(o) {
			o.Epsilon *= math.Sqrt(1 - math.Pow(o.Beta2, float64(step+1)))
		}
		reference.Update(o, step, p.Dims[0], w, g, moments)
	}}, "optimizer", nil},
	{"decay of biases", faults{rule: func(all net.Optimizer, _ net.Param, one *net.Optimizer) { one.WeightDecay = all.WeightDecay }}, "optimizer", nil},
	{"AdamW decays like Adam", updated(func(o *net.Optimizer, _ int64) {
		if o.Method == net.AdamW {
			o.Method = net.Adam
		}
	}), "optimizer", nil},
	{"AdamW's decay does not follow the schedule", faults{update: func(o net.Optimizer, step int64, p net.Param, w, g []float64, moments map[string][]float64) {
		if o.Method == net.AdamW {
			for i := range w {
				w[i] -= (o.LearningRate - o.Rate(step)) * o.WeightDecay * w[i]
			}
		}
		reference.Update(o, step, p.Dims[0], w, g, moments)
	}}, "optimizer", nil},
	{"Nesterov is plain momentum", updated(func(o *net.Optimizer, _ int64) { o.Nesterov = false }), "optimizer", nil},
	{"learning rate a step early", updated(func(o *net.Optimizer, step int64) {
		o.LearningRate *= o.Rate(step+1) / o.Rate(step)
	}), "optimizer", nil},
	{"no warm-up", updated(func(o *net.Optimizer, _ int64) { o.Schedule.Warmup = 0 }), "optimizer", nil},
	{"Lion moves its moment before it takes the sign", faults{update: func(o net.Optimizer, step int64, p net.Param, w, g []float64, moments map[string][]float64) {
		if o.Method == net.Lion {
			for i, d := range g {
				moments["m"][i] = o.Beta2*moments["m"][i] + (1-o.Beta2)*d
			}
		}
		reference.Update(o, step, p.Dims[0], w, g, moments)
	}}, "optimizer", nil},
	{"Muon iterates once more", updated(func(o *net.Optimizer, _ int64) { o.Iterations++ }), "optimizer", nil},
	{"Muon takes the columns for the rows", faults{update: func(o net.Optimizer, step int64, p net.Param, w, g []float64, moments map[string][]float64) {
		rows := p.Dims[0]
		if o.Method == net.Muon {
			rows = len(w) / rows
		}
		reference.Update(o, step, rows, w, g, moments)
	}}, "optimizer", nil},
	{"Muon does not rescale the weights", faults{update: func(o net.Optimizer, step int64, p net.Param, w, g []float64, moments map[string][]float64) {
		if o.Rescale {
			norm := reference.Norm(w) / math.Sqrt(float64(p.Dims[0]))
			defer func() {
				for i := range w {
					w[i] *= norm
				}
			}()
		}
		reference.Update(o, step, p.Dims[0], w, g, moments)
	}}, "optimizer", nil},
	{"a group learns to the end", updated(func(o *net.Optimizer, _ int64) { o.Steps = 0 }), "optimizer", nil},
	{"each gradient clipped apart", faults{clip: func(limit float64, grads [][]float64) {
		for _, g := range grads {
			reference.Clip(limit, [][]float64{g})
		}
	}}, "optimizer", nil},
	{"gradients below the limit are scaled up to it", faults{clip: func(limit float64, grads [][]float64) {
		var sum float64
		for _, g := range grads {
			for _, v := range g {
				sum += v * v
			}
		}
		for _, g := range grads {
			for i := range g {
				if limit > 0 {
					g[i] *= limit / math.Sqrt(sum)
				}
			}
		}
	}}, "optimizer", nil},

	{"dropout does not scale", faults{
		forward: func(l *reference.Layer, m net.Mode, _ int, _ [][]float64, y []float64) {
			if d, ok := l.Layer.(*net.Dropout); ok && m == net.Training {
				scale(y, 1-d.Rate)
			}
		},
		backward: func(l *reference.Layer, _ int, _ [][]float64, _ []float64, dx [][]float64, _ map[net.Role][]float64) {
			if d, ok := l.Layer.(*net.Dropout); ok {
				scale(dx[0], 1-d.Rate)
			}
		},
	}, "dropout chains", nil},
	{"dropout with another seed", faults{layer: func(l *reference.Layer) { l.Seed++ }}, "dropout", nil},
	{"dropout ignores the seed's high word", faults{layer: func(l *reference.Layer) { l.Seed &= 1<<32 - 1 }}, "dropout determinism", nil},
	{"every dropout layer has the same mask", faults{layer: func(l *reference.Layer) { l.Index = 0 }}, "dropout", nil},
	{"dropout's mask stays the same", faults{place: func(p reference.Place) reference.Place { p.Step = 0; return p }}, "dropout", nil},
	{"dropout counts steps from 1", faults{place: func(p reference.Place) reference.Place { p.Step++; return p }}, "dropout", nil},
	{"dropout ignores the step's high word", faults{place: func(p reference.Place) reference.Place { p.Step &= 1<<32 - 1; return p }}, "dropout", nil},
	{"dropout in evaluation", faults{mode: func(l *reference.Layer, m net.Mode) net.Mode {
		if l.Layer.Kind() == "dropout" {
			return net.Training
		}
		return m
	}}, "dropout batch_sizes", nil},
	{"dropout draws from the steps of all programs", faults{sharedStep: true}, "programs_side_by_side dropout", nil},

	{"evaluation by the batch's statistics", faults{mode: func(l *reference.Layer, m net.Mode) net.Mode {
		if l.Layer.Kind() == "batchnorm" {
			return net.Training
		}
		return m
	}}, "batchnorm batch_sizes", nil},
	{"running variance biased", faults{statistics: func(l *reference.Layer, n int, _, variance []float64) {
		momentum, _ := l.Layer.(*net.BatchNorm).Settings()
		m := float64(n * l.In.H * l.In.W)
		for c := range variance {
			old := (1 - momentum) * l.Params[net.RunningVar][c]
			variance[c] = old + (variance[c]-old)*(m-1)/m
		}
	}}, "batchnorm", nil},
	{"running statistics move by 1-momentum", faults{statistics: func(l *reference.Layer, _ int, mean, _ []float64) {
		momentum, _ := l.Layer.(*net.BatchNorm).Settings()
		for c := range mean {
			old := l.Params[net.RunningMean][c]
			batch := (mean[c] - (1-momentum)*old) / momentum
			mean[c] = momentum*old + (1-momentum)*batch
		}
	}}, "batchnorm", nil},
	{"variance as a difference of squares", faults{forward: func(l *reference.Layer, m net.Mode, n int, x [][]float64, y []float64) {
		if d, ok := l.Layer.(*net.BatchNorm); ok && m == net.Training {
			naiveBatchNorm(l, d, n, x[0], y)
		}
	}}, "batchnorm", nil},
	{"batch normalisation's gradient as if mean and variance were fixed", faults{backward: func(l *reference.Layer, n int, x [][]float64, dy []float64, dx [][]float64, _ map[net.Role][]float64) {
		if l.Layer.Kind() == "batchnorm" {
			fixed := *l
			y := fixed.Forward(x, n, net.Training, reference.Place{})
			// Two values of a channel give its factor, weight/deviation.
			area := l.In.H * l.In.W
			in := x[0]
			for i := range in {
				c := i / area % l.In.C
				a, b := c*area, len(in)-(l.In.C-c)*area+area-1
				if in[a] != in[b] {
					dx[0][i] = dy[i] * (y[a] - y[b]) / (in[a] - in[b])
				}
			}
		}
	}}, "batchnorm chains", nil},
	{"epsilon of batch normalisation is the default", faults{layer: func(l *reference.Layer) {
		if d, ok := l.Layer.(*net.BatchNorm); ok {
			l.Layer = &net.BatchNorm{Momentum: d.Momentum}
		}
	}}, "batchnorm", nil},

	{"gradients in evaluation's trace", faults{trace: func(_ net.Mode, t *net.Trace) {
		t.Layers[0].OutputGrad = t.Layers[0].Output
	}}, "conv", nil},
	{"a parameter's gradient missing", faults{trace: func(_ net.Mode, t *net.Trace) {
		for _, l := range t.Layers {
			delete(l.ParamGrads, net.Bias)
		}
	}}, "conv dense batchnorm", nil},
	{"logits missing", faults{trace: func(_ net.Mode, t *net.Trace) { t.Layers[len(t.Layers)-1].Output = nil }}, "dense", nil},
	{"outputs flattened", faults{trace: func(_ net.Mode, t *net.Trace) {
		for _, l := range t.Layers {
			if err := l.Output.Reshape(l.Output.DataSize()); err != nil {
				panic(err)
			}
		}
	}}, "conv", nil},
	{"a layer missing in the trace", faults{trace: func(_ net.Mode, t *net.Trace) { t.Layers = t.Layers[1:] }}, "conv", nil},

	{"initial values without the seed", initial(func(p *net.Plan, st net.State) net.State { return net.InitialState(p, 0, nil) }), "initial_state", nil},
	{"seed ignored", faults{
		layer: func(l *reference.Layer) { l.Seed = 0 },
		wrap:  initial(func(p *net.Plan, _ net.State) net.State { return net.InitialState(p, 0, nil) }).wrap,
	}, "initial_state determinism dropout", nil},
	{"sums in an order that changes", noisy(), "determinism resume stale_memory programs_side_by_side", nil},
	{"moments lost by SetState", states(func(st net.State) net.State {
		st.Optimizer = nil
		return st
	}), "state_round_trip resume", nil},
	{"step count lost by SetState", states(func(st net.State) net.State {
		st.Step = 0
		return st
	}), "state_round_trip resume", nil},
	{"moments kept by a SetState without them", wrapped(func(in net.Tracer) net.Tracer { return keepsMoments{in} }), "state_round_trip optimizer", nil},
	{"denormal numbers lost", states(func(st net.State) net.State {
		st = clone(st)
		for _, t := range st.Params {
			for i, v := range t.Float32s() {
				if math.Abs(float64(v)) < 0x1p-126 {
					t.Float32s()[i] = 0
				}
			}
		}
		return st
	}), "state_round_trip", nil},
	{"State gives its own memory", wrapped(func(in net.Tracer) net.Tracer { return &lendsState{Tracer: in} }), "state_is_a_copy", nil},
	{"SetState keeps what it is given", wrapped(func(in net.Tracer) net.Tracer { return &keepsState{Tracer: in} }), "state_is_a_copy", nil},
	{"a state that does not fit is half taken over", wrapped(func(in net.Tracer) net.Tracer { return halfTakes{in} }), "state_refused", nil},
	{"a state that does not fit is accepted", wrapped(func(in net.Tracer) net.Tracer { return acceptsAll{in} }), "state_refused", nil},
	{"batches are trained twice", wrapped(func(in net.Tracer) net.Tracer { return doubles{in} }), "conv optimizer trajectory dense", nil},
	{"metrics are not reset", wrapped(func(in net.Tracer) net.Tracer { return &sumsUp{Tracer: in} }), "metrics", nil},
	{"metrics count what is refused", wrapped(func(in net.Tracer) net.Tracer { return &countsRefused{Tracer: in} }), "batch_refused", nil},
	{"first bad step counts from 0", wrapped(func(in net.Tracer) net.Tracer { return firstBad{in, func(at int64) int64 { return max(at-1, 0) }} }), "first_bad", nil},
	{"first bad step is never told", wrapped(func(in net.Tracer) net.Tracer { return firstBad{in, func(int64) int64 { return 0 }} }), "first_bad", nil},
	{"large evaluations are cut", faults{wrap: func(in net.Tracer, o net.Options, _ compiler) net.Tracer {
		return cuts{in, o.Batch}
	}}, "batch_sizes", nil},
	{"repeated samples are taken once", wrapped(func(in net.Tracer) net.Tracer { return takesOnce{in} }), "batch_sizes", nil},
	{"data sets are told apart by name", wrapped(func(in net.Tracer) net.Tracer { return &byName{Tracer: in, seen: map[string]*net.Dataset{}} }), "data_sets", nil},
	{"bytes are always 255ths", wrapped(func(in net.Tracer) net.Tracer { return byteScale{in} }), "data_sets", nil},
	{"a batch is read after the call", wrapped(func(in net.Tracer) net.Tracer { return &late{Tracer: in} }), "batch_sizes", nil},
	{"the batch's indices are sorted in place", wrapped(func(in net.Tracer) net.Tracer { return sorts{in} }), "batch_sizes", nil},
	{"Trace trains", wrapped(func(in net.Tracer) net.Tracer { return traceTrains{in} }), "evaluation_changes_nothing", nil},
	{"Evaluate moves the weights a little", wrapped(func(in net.Tracer) net.Tracer { return evaluateMoves{in} }), "evaluation_changes_nothing", nil},
	{"no error after Close", wrapped(func(in net.Tracer) net.Tracer { return neverCloses{in} }), "closed", nil},
	{"inference trains", faults{wrap: func(in net.Tracer, o net.Options, compile compiler) net.Tracer {
		if !o.Inference {
			return in
		}
		o.Inference = false
		p, err := compile(rich(), o)
		if err != nil {
			panic(err)
		}
		return p.(net.Tracer)
	}}, "inference", nil},
	{"batches above the largest are accepted", faults{wrap: func(in net.Tracer, o net.Options, compile compiler) net.Tracer {
		o.Batch *= 10
		p, err := compile(in.(*running).plan.Network, o)
		if err != nil {
			panic(err)
		}
		return p.(net.Tracer)
	}}, "batch_refused", nil},
	{"more threads, other bytes", faults{}, "variants", []Option{SameBytes("noisy", with(noisy()))}},
	{"allocates", faults{}, "allocations", []Option{NoAllocs()}},
}

// skipShort leaves to the full run what has no part in races and takes longest.
func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("tests of the suite's own tolerances and of its teeth run without -short")
	}
}

func TestBrokenDevicesFail(t *testing.T) {
	skipShort(t)
	caught := map[string]bool{"compile_refused": true} // see TestBadNetworkAccepted
	for _, d := range slices.Concat(brokenDevices, brokenRecipes) {
		for _, name := range strings.Fields(d.checks) {
			caught[name] = true
			t.Run(strings.ReplaceAll(d.name, " ", "_")+"/"+name, func(t *testing.T) {
				found := failure(t, name, with(d.faults), d.opts...)
				if found == "" {
					t.Errorf("passes %s", name)
				}
				t.Log(found)
			})
		}
	}
	for _, c := range checks {
		if !caught[c.name] {
			t.Errorf("nothing shows that the check %s can fail", c.name)
		}
	}
}

// TestForgottenFunctionFails lets a device take a sigmoid for each of the other
// functions.
func TestForgottenFunctionFails(t *testing.T) {
	skipShort(t)
	for _, f := range net.Functions() {
		if f.Name == net.Sigmoid {
			continue
		}
		forgets := faults{layer: func(l *reference.Layer) {
			if a, ok := l.Layer.(*net.Activation); ok && a.Func == f.Name {
				l.Layer = &net.Activation{Func: net.Sigmoid}
			}
		}}
		if failure(t, "activation", with(forgets)) == "" {
			t.Errorf("a device that takes a sigmoid for %s passes", f.Name)
		}
	}
}

// TestForgottenKindFails lets a device compute each kind of layer wrongly.
func TestForgottenKindFails(t *testing.T) {
	skipShort(t)
	for _, k := range net.Kinds() {
		for what, spoilt := range map[string]faults{
			"outputs": {forward: func(l *reference.Layer, _ net.Mode, _ int, _ [][]float64, y []float64) {
				if l.Layer.Kind() == k.Name {
					scale(y, 1+1e-4)
				}
			}},
			"input gradients": {backward: func(l *reference.Layer, _ int, _ [][]float64, _ []float64, dx [][]float64, _ map[net.Role][]float64) {
				if l.Layer.Kind() == k.Name {
					scaleAll(dx, 1+1e-4)
				}
			}},
		} {
			if failure(t, "kinds", with(spoilt)) == "" {
				t.Errorf("a device whose %s of %s are too large by a ten-thousandth passes", what, k.Name)
			}
		}
	}
}

// TestRandomNetwork holds random networks to what they are for.
func TestRandomNetwork(t *testing.T) {
	const count = 200
	forms := map[string]bool{}
	seen, twice, several, frozen, still := map[string]int{}, 0, 0, 0, 0
	for seed := range uint64(count) {
		n := RandomNetwork(seed)
		if describe(n) != describe(RandomNetwork(seed)) {
			t.Fatalf("seed %d gives several networks", seed)
		}
		n.Name = "" // it has the seed in it
		forms[describe(n)] = true
		plan, err := n.Plan()
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range plan.Nodes {
			seen[node.Layer.Kind()]++
			switch l := node.Layer.(type) {
			case *net.Activation:
				seen[string(l.Func)]++
			case *net.Conv:
				if l.GroupCount() == node.In.C && node.In.C > 1 {
					seen["depthwise"]++
				} else if l.GroupCount() > 1 {
					seen["groups"]++
				}
			case *net.Multiply:
				if node.Ins[1] != node.Ins[0] {
					seen["gate"]++
				}
			case *net.Pool:
				if l.Global {
					seen["global"]++
				}
			}
			if len(node.Uses) > 1 {
				several++
			}
			if len(node.Uses) > 1 && node.Uses[0] == node.Uses[1] {
				twice++
			}
			for _, q := range node.Params {
				if !q.Trained && q.Role == net.Weight {
					frozen++
				}
			}
			if !node.Learns && len(node.Params) > 0 {
				still++
			}
		}
	}
	want := []string{"depthwise", "groups", "gate", "global"}
	for _, k := range net.Kinds() {
		want = append(want, k.Name)
	}
	for _, f := range net.Functions() {
		want = append(want, string(f.Name))
	}
	for _, what := range want {
		if seen[what] < 4 {
			t.Errorf("%d of %s in %d networks", seen[what], what, count)
		}
	}
	if several < count/2 || twice < count/10 || frozen < count/10 || still < 4 {
		t.Errorf("%d values of several uses, %d used twice by a layer, %d frozen weights, %d layers that learn nothing", several, twice, frozen, still)
	}
	if len(forms) < count*9/10 {
		t.Errorf("%d different networks of %d seeds", len(forms), count)
	}
}

// TestBadNetworkAccepted covers what goes wrong before there is a program.
func TestBadNetworkAccepted(t *testing.T) {
	for name, dev := range map[string]net.Device{
		"any batch size": lax{reference.New(), func(n *net.Network, o net.Options) (*net.Network, net.Options) {
			o.Batch = max(o.Batch, 1)
			return n, o
		}},
		"any optimiser": lax{reference.New(), func(n *net.Network, o net.Options) (*net.Network, net.Options) {
			if o.Optimizer.Check() != nil {
				o.Optimizer = net.SGDDefault(0.1)
			}
			return n, o
		}},
		"any network": lax{reference.New(), func(n *net.Network, o net.Options) (*net.Network, net.Options) {
			if _, err := n.Plan(); err != nil {
				n = rich()
			}
			return n, o
		}},
	} {
		if failure(t, "compile_refused", func(testing.TB) net.Device { return dev }) == "" {
			t.Errorf("a device that accepts %s passes", name)
		}
	}
}

type lax struct {
	net.Device
	relax func(*net.Network, net.Options) (*net.Network, net.Options)
}

func (d lax) Compile(n *net.Network, o net.Options) (net.Program, error) {
	return d.Device.Compile(d.relax(n, o))
}

// eachOutput visits every value of a layer's output: its index, channel and
// position in the channel's plane.
func eachOutput(l *reference.Layer, n int, visit func(at, channel, position int)) {
	area := l.Out.H * l.Out.W
	for at := range n * l.Out.Size() {
		visit(at, at/area%l.Out.C, at%area)
	}
}

// seen returns how many values of the input a pooling window covers.
func seen(l *reference.Layer, position int) int {
	w := l.Window
	inside := func(o, stride, before, kernel, size int) int {
		return min(o*stride-before+kernel, size) - max(o*stride-before, 0)
	}
	return inside(position/w.OutW, w.StrideH, w.Top, w.KernelH, l.In.H) * inside(position%w.OutW, w.StrideW, w.Left, w.KernelW, l.In.W)
}

func scaleByCount(l *reference.Layer, n int, values []float64) {
	if d, ok := l.Layer.(*net.Pool); ok && d.Mode == net.MeanPool {
		eachOutput(l, n, func(at, _, position int) {
			values[at] *= float64(seen(l, position)) / float64(d.Kernel.H*d.Kernel.W)
		})
	}
}

func scale(values []float64, by float64) {
	for i := range values {
		values[i] *= by
	}
}

func scaleAll(list [][]float64, by float64) {
	for _, values := range list {
		scale(values, by)
	}
}

// shorten rounds values to 11 significant bits.
func shorten(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		fraction, exponent := math.Frexp(v)
		out[i] = math.Ldexp(math.RoundToEven(fraction*(1<<11)), exponent-11)
	}
	return out
}

func transpose(weight []float64, k int) []float64 {
	out := make([]float64, len(weight))
	for i := range weight {
		plane, r, s := i/(k*k), i/k%k, i%k
		out[plane*k*k+s*k+r] = weight[i]
	}
	return out
}

func naiveBatchNorm(l *reference.Layer, d *net.BatchNorm, n int, x, y []float64) {
	_, epsilon := d.Settings()
	sum, squares := make([]float32, l.In.C), make([]float32, l.In.C)
	eachOutput(l, n, func(at, c, _ int) {
		v := float32(x[at])
		sum[c] += v
		squares[c] += v * v
	})
	m := float32(n * l.In.H * l.In.W)
	eachOutput(l, n, func(at, c, _ int) {
		mean := sum[c] / m
		variance := max(squares[c]/m-mean*mean, 0)
		deviation := math.Sqrt(float64(variance) + epsilon)
		y[at] = l.Params[net.Weight][c]*(x[at]-float64(mean))/deviation + l.Params[net.Bias][c]
	})
}

// staleTail keeps the samples of the largest batch so far behind smaller ones.
func staleTail() faults {
	type tail struct{ x, dy []float64 }
	tails := map[*reference.Layer]tail{}
	return faults{backward: func(l *reference.Layer, n int, x [][]float64, dy []float64, _ [][]float64, grads map[net.Role][]float64) {
		old := tails[l]
		if len(old.x) <= len(x[0]) {
			tails[l] = tail{slices.Clone(x[0]), slices.Clone(dy)}
			return
		}
		if grads[net.Weight] == nil {
			return
		}
		copy(old.x, x[0])
		copy(old.dy, dy)
		other := *l
		other.Forward([][]float64{old.x}, len(old.x)/l.In.Size(), net.Training, reference.Place{})
		_, all := other.Backward(old.dy)
		grads[net.Weight] = all[net.Weight]
	}}
}

func isAdam(o net.Optimizer) bool { return o.Method == net.Adam || o.Method == net.AdamW }

// updated changes what an update is asked for.
func updated(change func(o *net.Optimizer, step int64)) faults {
	return faults{update: func(o net.Optimizer, step int64, p net.Param, w, g []float64, moments map[string][]float64) {
		change(&o, step)
		reference.Update(o, step, p.Dims[0], w, g, moments)
	}}
}

// noisy rounds each time otherwise.
func noisy() faults {
	calls := 0
	return faults{forward: func(_ *reference.Layer, _ net.Mode, _ int, _ [][]float64, y []float64) {
		calls++
		for i := range y {
			y[i] *= 1 + float64((i+calls)%5)*1e-8
		}
	}}
}

func wrapped(wrap func(net.Tracer) net.Tracer) faults {
	return faults{wrap: func(in net.Tracer, _ net.Options, _ compiler) net.Tracer {
		return wrap(in)
	}}
}

// initial starts a program elsewhere.
func initial(start func(*net.Plan, net.State) net.State) faults {
	return wrapped(func(in net.Tracer) net.Tracer {
		r := in.(*running)
		if err := in.SetState(start(r.plan, net.State{})); err != nil {
			panic(err)
		}
		return in
	})
}

// states changes what SetState is given.
func states(change func(net.State) net.State) faults {
	return wrapped(func(in net.Tracer) net.Tracer { return changesState{in, change} })
}

type changesState struct {
	net.Tracer
	change func(net.State) net.State
}

func (p changesState) SetState(st net.State) error { return p.Tracer.SetState(p.change(st)) }

type keepsMoments struct{ net.Tracer }

func (p keepsMoments) SetState(st net.State) error {
	if len(st.Optimizer) == 0 {
		now, err := p.State()
		if err != nil {
			return err
		}
		st.Optimizer = now.Optimizer
	}
	return p.Tracer.SetState(st)
}

// lendsState gives the same tensors each time and trains on them.
type lendsState struct {
	net.Tracer
	lent *net.State
}

func (p *lendsState) State() (net.State, error) {
	st, err := p.Tracer.State()
	if err != nil {
		return st, err
	}
	if p.lent == nil {
		p.lent = &st
	}
	for name, t := range st.Params {
		if p.lent.Params[name] != nil {
			copy(p.lent.Params[name].Float32s(), t.Float32s())
		}
	}
	return net.State{Step: st.Step, Params: p.lent.Params, Optimizer: st.Optimizer, Average: st.Average}, nil
}

func (p *lendsState) Step(b net.Batch) error {
	if err := p.Tracer.Step(b); err != nil {
		return err
	}
	_, err := p.State()
	return err
}

// keepsState reads what SetState was given when it is needed.
type keepsState struct {
	net.Tracer
	given *net.State
}

func (p *keepsState) SetState(st net.State) error {
	if err := p.Tracer.SetState(st); err != nil {
		return err
	}
	p.given = &st
	return nil
}

func (p *keepsState) State() (net.State, error) {
	if p.given != nil && len(p.given.Params) > 0 {
		return clone(*p.given), nil
	}
	if p.given != nil {
		return net.State{Params: map[string]*tensor.Dense{}}, nil
	}
	return p.Tracer.State()
}

func (p *keepsState) Step(b net.Batch) error {
	p.given = nil
	return p.Tracer.Step(b)
}

type halfTakes struct{ net.Tracer }

func (p halfTakes) SetState(st net.State) error {
	err := p.Tracer.SetState(st)
	if now, e := p.State(); err != nil && e == nil {
		if t := st.Params["conv1.weight"]; t != nil {
			now.Params["conv1.weight"] = t
			if e := p.Tracer.SetState(now); e != nil {
				panic(e)
			}
		}
	}
	return err
}

type acceptsAll struct{ net.Tracer }

func (p acceptsAll) SetState(st net.State) error {
	_ = p.Tracer.SetState(st)
	return nil
}

type doubles struct{ net.Tracer }

func (p doubles) Step(b net.Batch) error {
	if err := p.Tracer.Step(b); err != nil {
		return err
	}
	return p.Tracer.Step(b)
}

type sumsUp struct {
	net.Tracer
	sums net.Metrics
}

func (p *sumsUp) TakeMetrics() (net.Metrics, error) {
	m, err := p.Tracer.TakeMetrics()
	p.sums.Add(m)
	return p.sums, err
}

type countsRefused struct {
	net.Tracer
	refused int64
}

func (p *countsRefused) Step(b net.Batch) error {
	err := p.Tracer.Step(b)
	if err != nil {
		p.refused += int64(b.Len())
	}
	return err
}

func (p *countsRefused) TakeMetrics() (net.Metrics, error) {
	m, err := p.Tracer.TakeMetrics()
	m.Samples += p.refused
	p.refused = 0
	return m, err
}

type firstBad struct {
	net.Tracer
	change func(int64) int64
}

func (p firstBad) TakeMetrics() (net.Metrics, error) {
	m, err := p.Tracer.TakeMetrics()
	m.FirstBad = p.change(m.FirstBad)
	return m, err
}

// interleaved moves each group's channels to where a device finds them that deals
// channels out to groups in turn.
func interleaved(x []float64, n int, s net.Shape, groups int) []float64 {
	out := make([]float64, 0, len(x))
	area := s.H * s.W
	for i := range n {
		for g := range groups {
			for c := g; c < s.C; c += groups {
				out = append(out, x[(i*s.C+c)*area:][:area]...)
			}
		}
	}
	return out
}

type decaysFrozen struct {
	net.Tracer
	roles []net.Role
}

func (p decaysFrozen) Step(b net.Batch) error {
	if err := p.Tracer.Step(b); err != nil {
		return err
	}
	st, err := p.State()
	if err != nil {
		return err
	}
	for _, q := range p.Plan().Params {
		if d, norm := p.Plan().Nodes[q.Layer].Layer.(*net.BatchNorm); !q.Trained && slices.Contains(p.roles, q.Role) && (!norm || d.Settled()) {
			for i := range st.Params[q.Name].Float32s() {
				st.Params[q.Name].Float32s()[i] *= 1 - 1e-6
			}
		}
	}
	return p.SetState(st)
}

// showsAll gives the output for the gradient where there is none.
type showsAll struct{ net.Tracer }

func (p showsAll) Trace(b net.Batch, mode net.Mode) (*net.Trace, error) {
	tr, err := p.Tracer.Trace(b, mode)
	if err == nil && mode == net.Training {
		for i := range tr.Layers {
			if tr.Layers[i].OutputGrad == nil {
				tr.Layers[i].OutputGrad = tr.Layers[i].Output
			}
		}
	}
	return tr, err
}

// clipsPieces clips what the pieces gave so far, each time.
type clipsPieces struct{ *running }

func (p clipsPieces) Gradients(b net.Batch, share net.Share) error {
	if err := p.running.Gradients(b, share); err != nil {
		return err
	}
	var grads [][]float64
	for _, q := range p.plan.Trained() {
		grads = append(grads, p.grads[q.Name])
	}
	reference.Clip(p.opts.Optimizer.ClipNorm/2, grads)
	return nil
}

// firstStatistics sets the running statistics back after later pieces.
type firstStatistics struct{ net.Tracer }

func (p *firstStatistics) Gradients(b net.Batch, share net.Share) error {
	r := p.Tracer.(*running)
	before := make([]map[net.Role][]float64, len(r.layers))
	for i, l := range r.layers {
		before[i] = map[net.Role][]float64{net.RunningMean: l.Params[net.RunningMean], net.RunningVar: l.Params[net.RunningVar]}
	}
	if err := p.Tracer.Gradients(b, share); err != nil || share.First == 0 {
		return err
	}
	for i, l := range r.layers {
		for role, values := range before[i] {
			if values != nil {
				l.Params[role] = values
			}
		}
	}
	return nil
}

type impatient struct{ net.Tracer }

func (p impatient) Step(b net.Batch) error {
	err := p.Tracer.Step(b)
	if errors.Is(err, net.ErrUnfinished) {
		if err := p.Update(); err != nil {
			return err
		}
		return p.Tracer.Step(b)
	}
	return err
}

type alwaysUpdates struct{ net.Tracer }

func (p alwaysUpdates) Update() error {
	if err := p.Tracer.Update(); !errors.Is(err, net.ErrUnfinished) {
		return err
	}
	st, err := p.State()
	if err != nil {
		return err
	}
	st.Step++
	return p.SetState(st)
}

// remembers takes pending gradients again after SetState.
type remembers struct {
	net.Tracer
	pending []func() error
}

func (p *remembers) Gradients(b net.Batch, share net.Share) error {
	err := p.Tracer.Gradients(b, share)
	if err == nil {
		p.pending = append(p.pending, func() error { return p.Tracer.Gradients(b, share) })
	}
	return err
}

func (p *remembers) Update() error {
	p.pending = nil
	return p.Tracer.Update()
}

func (p *remembers) SetState(st net.State) error {
	if err := p.Tracer.SetState(st); err != nil {
		return err
	}
	for _, again := range p.pending {
		if err := again(); err != nil {
			return err
		}
	}
	return nil
}

type anyShare struct{ net.Tracer }

func (p anyShare) Gradients(b net.Batch, share net.Share) error {
	if share.Check(b.Len()) != nil {
		share = net.Whole(b.Len())
	}
	return p.Tracer.Gradients(b, share)
}

type mixesSums struct {
	net.Tracer
	sums net.Metrics
}

func (p *mixesSums) Evaluate(b net.Batch) (net.Metrics, error) {
	m, err := p.Tracer.Evaluate(b)
	p.sums.Add(m)
	return m, err
}

func (p *mixesSums) TakeMetrics() (net.Metrics, error) {
	m, err := p.Tracer.TakeMetrics()
	m.Add(p.sums)
	p.sums = net.Metrics{}
	return m, err
}

type saysOptions struct {
	net.Tracer
	options net.Options
}

func (p saysOptions) Options() net.Options { return p.options }

type saysNothing struct{ net.Tracer }

func (saysNothing) Plan() *net.Plan { return nil }

type cuts struct {
	net.Tracer
	most int
}

func (p cuts) Evaluate(b net.Batch) (net.Metrics, error) {
	b.Indices = b.Indices[:min(len(b.Indices), p.most)]
	return p.Tracer.Evaluate(b)
}

type takesOnce struct{ net.Tracer }

func (p takesOnce) Evaluate(b net.Batch) (net.Metrics, error) {
	b.Indices = slices.Clone(b.Indices)
	slices.Sort(b.Indices)
	b.Indices = slices.Compact(b.Indices)
	return p.Tracer.Evaluate(b)
}

type byName struct {
	net.Tracer
	seen map[string]*net.Dataset
}

func (p *byName) Infer(b net.Batch) (*tensor.Dense, error) {
	if p.seen[b.Data.Name] == nil {
		p.seen[b.Data.Name] = b.Data
	}
	known := p.seen[b.Data.Name]
	b.Indices = slices.Clone(b.Indices)
	for i := range b.Indices {
		b.Indices[i] %= int32(known.Len())
	}
	b.Data = known
	return p.Tracer.Infer(b)
}

type byteScale struct{ net.Tracer }

func (p byteScale) Step(b net.Batch) error {
	d := *b.Data
	d.Scale = 1.0 / 255
	b.Data = &d
	return p.Tracer.Step(b)
}

// late trains on a batch when the result is asked for.
type late struct {
	net.Tracer
	pending []net.Batch
}

func (p *late) Step(b net.Batch) error {
	p.pending = append(p.pending, b)
	return nil
}

func (p *late) State() (net.State, error) {
	for _, b := range p.pending {
		if err := p.Tracer.Step(b); err != nil {
			return net.State{}, err
		}
	}
	p.pending = nil
	return p.Tracer.State()
}

type sorts struct{ net.Tracer }

func (p sorts) Evaluate(b net.Batch) (net.Metrics, error) {
	slices.Sort(b.Indices)
	return p.Tracer.Evaluate(b)
}

type traceTrains struct{ net.Tracer }

func (p traceTrains) Trace(b net.Batch, mode net.Mode) (*net.Trace, error) {
	tr, err := p.Tracer.Trace(b, mode)
	if err == nil && mode == net.Training {
		err = p.Step(b)
	}
	return tr, err
}

type evaluateMoves struct{ net.Tracer }

func (p evaluateMoves) Evaluate(b net.Batch) (net.Metrics, error) {
	st, err := p.State()
	if err != nil {
		return net.Metrics{}, err
	}
	for _, t := range st.Params {
		t.Float32s()[0] = math.Nextafter32(t.Float32s()[0], 10)
	}
	if err := p.SetState(st); err != nil {
		return net.Metrics{}, err
	}
	return p.Tracer.Evaluate(b)
}

type neverCloses struct{ net.Tracer }

func (neverCloses) Close() error { return nil }

// TestAllOptimizers: the suite judges every method there is.
func TestAllOptimizers(t *testing.T) {
	seen := map[net.Method]bool{}
	for _, o := range allOptimizers() {
		seen[o.Method] = true
		for _, g := range o.Groups {
			seen[g.Method] = true
		}
	}
	for _, m := range net.Methods() {
		if !seen[m] {
			t.Errorf("no optimiser of the suite is %s", m)
		}
	}
}

package devicetest

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// inChains returns two chains. In the first the layer is the first one, so no
// gradient of its input is wanted. In the second it follows a layer in which its
// input gradient can be seen.
func (e *env) inChains(in net.Shape, l ...net.Layer) []*net.Network {
	front := pick[net.Layer](e, &net.Conv{Filters: in.C, Kernel: net.Square(1)}, &net.Activation{Func: net.Tanh})
	return []*net.Network{
		e.headed(in, l...),
		e.headed(in, append([]net.Layer{front}, l...)...),
	}
}

// judgeLayer judges a layer as the first of a network, and after another layer.
func (e *env) judgeLayer(in net.Shape, l net.Layer, sizes ...int) {
	e.Helper()
	for _, n := range e.inChains(in, l) {
		e.judgeAll(n, sizes...)
	}
}

func checkConv(e *env) {
	shape := func(c, h, w int) net.Shape { return net.Shape{C: c, H: h, W: w} }
	cases := []struct {
		in net.Shape
		l  net.Conv
	}{
		{shape(1, 1, 1), net.Conv{Filters: 1, Kernel: net.Square(1)}},
		{shape(3, 6, 7), net.Conv{Filters: 5, Kernel: net.Square(1)}},
		{shape(1, 9, 8), net.Conv{Filters: 4, Kernel: net.Square(5), Padding: net.PadSame}},
		{shape(2, 5, 5), net.Conv{Filters: 3, Kernel: net.Square(2), Padding: net.PadSame}},                                       // 0 before, 1 after
		{shape(2, 7, 6), net.Conv{Filters: 3, Kernel: net.Square(4), Stride: net.Square(3), Padding: net.PadSame}},                // unequal halves
		{shape(3, 9, 9), net.Conv{Filters: 2, Kernel: net.Square(1), Stride: net.Square(3)}},                                      // skips input
		{shape(3, 8, 9), net.Conv{Filters: 2, Kernel: net.Square(2), Stride: net.Pair{H: 4, W: 3}, Padding: net.PadSame}},         // stride above kernel
		{shape(2, 9, 9), net.Conv{Filters: 3, Kernel: net.Square(3), Dilation: net.Pair{H: 2, W: 3}, Padding: net.PadSame}},       // dilated
		{shape(2, 1, 1), net.Conv{Filters: 3, Kernel: net.Square(2), Dilation: net.Square(2), Padding: net.Pad(1, 1, 1, 1)}},      // sees only padding
		{shape(2, 4, 5), net.Conv{Filters: 3, Kernel: net.Square(3), Padding: net.Pad(2, 0, 1, 2)}},                               // asymmetric
		{shape(1, 2, 9), net.Conv{Filters: 2, Kernel: net.Pair{H: 5, W: 3}, Padding: net.Pad(4, 3, 0, 2)}},                        // kernel above input
		{shape(4, 5, 6), net.Conv{Filters: 3, Kernel: net.Pair{H: 5, W: 6}}},                                                      // whole input
		{shape(3, 1, 9), net.Conv{Filters: 4, Kernel: net.Pair{H: 1, W: 4}, Stride: net.Pair{H: 1, W: 2}, Padding: net.PadSame}},  // one row
		{shape(3, 9, 1), net.Conv{Filters: 4, Kernel: net.Pair{H: 3, W: 1}, Stride: net.Pair{H: 2, W: 1}}},                        // one column
		{shape(2, 6, 6), net.Conv{Filters: 3, Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame, NoBias: true}},  // no bias
		{shape(1, 6, 5), net.Conv{Filters: 2, Kernel: net.Square(3), Stride: net.Pair{H: 2, W: 1}, Padding: net.Pad(1, 2, 2, 0)}}, // odd all over
		{shape(6, 5, 4), net.Conv{Filters: 4, Kernel: net.Square(3), Groups: 2, Padding: net.PadSame}},                            // groups
		{shape(9, 6, 5), net.Conv{Filters: 9, Kernel: net.Square(3), Groups: 9, Padding: net.PadSame, NoBias: true}},              // depthwise
		{shape(3, 7, 6), net.Conv{Filters: 12, Kernel: net.Square(3), Groups: 3, Stride: net.Square(2)}},                          // with a multiplier
		{shape(34, 3, 3), net.Conv{Filters: 34, Kernel: net.Square(1), Groups: 2}},
	}
	for i, c := range cases {
		if i < e.some(len(cases), 8) || c.l.Groups > 0 {
			e.judgeLayer(c.in, &c.l)
		}
	}
	for _, w := range widths[e.some(0, len(widths)-3):] {
		e.judgeLayer(shape(w, 3, 4), &net.Conv{Filters: pick(e, 1, 3, 8), Kernel: net.Square(2), Padding: net.PadSame}, 2, 1)
		e.judgeLayer(shape(pick(e, 1, 3, 8), 4, 3), &net.Conv{Filters: w, Kernel: net.Square(2)}, 2, 1)
	}
	for done := 0; done < e.some(60, 6); {
		in := e.randomShape(pick(e, widths...))
		l := e.randomGroups(in)
		if n := e.headed(in, l); fits(n) {
			e.judgeLayer(in, l)
			done++
		}
	}
	// Long reductions: over many channels and, for the weight gradients, over
	// many positions.
	e.judgeLayer(shape(130, 3, 3), &net.Conv{Filters: 3, Kernel: net.Square(3)}, 2)
	e.judgeLayer(shape(1, 24, 25), &net.Conv{Filters: 2, Kernel: net.Square(3), Padding: net.PadSame}, e.some(9, 3))
}

func checkPool(e *env) {
	for _, mode := range []net.PoolMode{net.MaxPool, net.MeanPool, net.L2Pool} {
		for _, c := range []struct {
			in net.Shape
			l  net.Pool
		}{
			{net.Shape{C: 2, H: 5, W: 5}, net.Pool{Kernel: net.Square(2), Padding: net.PadSame}},
			{net.Shape{C: 3, H: 7, W: 8}, net.Pool{Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame}}, // overlapping
			{net.Shape{C: 1, H: 6, W: 6}, net.Pool{Kernel: net.Square(3), Stride: net.Square(1), Padding: net.Pad(2, 1, 0, 2)}},
			{net.Shape{C: 4, H: 7, W: 5}, net.Pool{Kernel: net.Pair{H: 1, W: 2}, Stride: net.Square(3)}}, // skips input
			{net.Shape{C: 2, H: 4, W: 6}, net.Pool{Kernel: net.Pair{H: 4, W: 6}}},                        // the whole input
			{net.Shape{C: 5, H: 3, W: 7}, net.Pool{Global: true}},
			{net.Shape{C: 17, H: 2, W: 2}, net.Pool{Kernel: net.Square(1)}},
		} {
			c.l.Mode = mode
			if mode == net.MaxPool && e.rng.IntN(2) == 0 {
				c.l.Mode = "" // the default
			}
			e.judgeLayer(c.in, &c.l)
		}
		for done := 0; done < e.some(12, 3); {
			in, l := e.randomShape(pick(e, widths...)), e.randomPool(mode)
			if n := e.headed(in, l); fits(n) {
				e.judgeLayer(in, l)
				done++
			}
		}
	}
	// Padding never wins a maximum, and never counts in a mean.
	for _, mode := range []net.PoolMode{net.MaxPool, net.MeanPool} {
		n := identity(net.Shape{C: 1, H: 2, W: 2}, 4, &net.Pool{Mode: mode, Kernel: net.Square(2), Stride: net.Square(1), Padding: net.Pad(1, 0, 0, 1)}, &net.Flatten{})
		e.judgeValues(n, []float32{-4, -8, -16, -32}, map[net.PoolMode][]float64{
			net.MaxPool:  {-4, -8, -4, -8},
			net.MeanPool: {-6, -8, -15, -20},
		}[mode])
	}
	// The gradient of an L2 norm is 0 where the norm is 0.
	e.judgeGradientOfZeros()
}

// identity returns a chain that ends in a dense layer with the given number of
// units; see identityState.
func identity(in net.Shape, units int, layers ...net.Layer) *net.Network {
	return &net.Network{Input: in, Layers: append(layers, &net.Dense{Name: "identity", Units: units})}
}

// identityState sets the weights of the dense layer "identity" to the identity
// matrix, and its biases to 0. So the logits show its input.
func identityState(st net.State) net.State {
	weight, bias := st.Params["identity.weight"], st.Params["identity.bias"]
	units, inputs := weight.Shape()[0], weight.Shape()[1]
	for u := range units {
		bias.Float32s()[u] = 0
		for i := range inputs {
			weight.Float32s()[u*inputs+i] = 0
			if u == i {
				weight.Float32s()[u*inputs+i] = 1
			}
		}
	}
	return st
}

// compileIdentity compiles a network that ends in an identity layer.
func (e *env) compileIdentity(n *net.Network, batch int) *program {
	e.Helper()
	p := e.compile(n, net.Options{Batch: batch, Optimizer: net.SGDDefault(0.1), Seed: e.rng.Uint64()})
	p.setState(identityState(p.state()))
	return p
}

// judgeValues compares the logits of one sample with want, exactly and in both
// modes.
func (e *env) judgeValues(n *net.Network, sample []float32, want []float64) {
	e.Helper()
	p := e.compileIdentity(n, 1)
	data := &net.Dataset{Name: "values", Shape: n.Input, Classes: 2, Values: sample, Labels: []int32{1}}
	for _, mode := range []net.Mode{net.Training, net.Evaluation} {
		tr := p.trace(span(data, 0, 1), mode)
		got := tr.Layers[len(tr.Layers)-1].Output
		if got == nil || len(got.Float32s()) != len(want) {
			e.Errorf("logits %v, want %v\n%s", got, want, p.name)
			continue
		}
		for i, v := range got.Float32s() {
			if float64(v) != want[i] {
				e.Errorf("logits %v, want %v\n%s", got.Float32s(), want, p.name)
				break
			}
		}
	}
}

// judgeGradientOfZeros judges L2 pooling of zeros. The layer before it has
// gradients that would show a division by 0.
func (e *env) judgeGradientOfZeros() {
	n := e.headed(net.Shape{C: 2, H: 3, W: 4}, &net.Conv{Filters: 2, Kernel: net.Square(1), NoBias: true}, &net.Pool{Mode: net.L2Pool, Kernel: net.Square(2), Padding: net.PadSame})
	p := e.compile(n, net.Options{Batch: 2, Optimizer: net.SGDDefault(0.1)})
	data := &net.Dataset{Name: "zeros", Shape: n.Input, Classes: 2, Values: make([]float32, 2*n.Input.Size()), Labels: []int32{0, 1}}
	st, b := p.state(), span(data, 0, 2)
	p.judgeTrace(st, b, net.Training)
	p.judgeStep(st, b)
}

func checkActivation(e *env) {
	var layers []*net.Activation
	for _, f := range net.Functions() {
		layers = append(layers, &net.Activation{Func: f.Name})
		if f.Parameter.Name != "" {
			for _, p := range []float64{0.3, f.Parameter.Least, f.Parameter.Most} {
				layers = append(layers, activation(f, &p))
			}
		}
	}
	for _, l := range layers {
		for range e.some(3, 1) {
			e.judgeLayer(e.randomShape(pick(e, widths...)), l)
		}
		// Large and small arguments, for which exponentials overflow or cancel.
		n := e.headed(net.Shape{C: 40, H: 1, W: 1}, &net.Dense{Name: "identity", Units: 40}, l)
		p := e.compile(n, net.Options{Batch: 3, Optimizer: net.SGDDefault(0.1)})
		st := identityState(e.randomState(p.judge.Plan(), p.opts.Optimizer))
		p.setState(st)
		data := e.randomData(n.Input, 2, 3)
		for i := range data.Values {
			data.Values[i] = float32(math.Copysign(math.Pow(10, float64(i%40)/8-3), e.rng.Float64()-0.5)) // 1e-3 ... 75
		}
		copy(data.Values, []float32{0, float32(math.Copysign(0, -1)), 1e4, -1e4, 100, -100, 3, -3, 6, 1e18, -1e18})
		for i := range 3 { // one at a time, because tolerances grow with the greatest value
			b := span(data, i, i+1)
			p.judged("trace of large values", b, p.judge.Trace(st, b, net.Training, p.trace(b, net.Training)))
		}
	}
	// A function's derivative at its kinks.
	e.judgeKinks()
}

// judgeKinks judges the gradients of functions exactly at their kinks. A
// convolution whose weights are 0 outputs its biases, which are set to the
// kinks.
func (e *env) judgeKinks() {
	for _, f := range net.Functions() {
		if len(f.Kinks) == 0 {
			continue
		}
		n := e.headed(net.Shape{C: 2, H: 2, W: 3}, &net.Conv{Filters: len(f.Kinks), Kernel: net.Square(1)}, activation(f, new(0.25)))
		p := e.compile(n, net.Options{Batch: 2, Optimizer: net.SGDDefault(0.5)})
		st := e.randomState(p.judge.Plan(), p.opts.Optimizer)
		clear(st.Params["conv1.weight"].Float32s())
		for i, kink := range f.Kinks {
			st.Params["conv1.bias"].Float32s()[i] = float32(kink)
		}
		p.setState(st)
		b := span(e.randomData(n.Input, 2, 2), 0, 2)
		p.judgeTrace(st, b, net.Training)
		p.judgeStep(st, b)
	}
}

func checkDense(e *env) {
	for _, w := range widths {
		e.judgeAll(&net.Network{Input: net.Shape{C: w, H: 1, W: 1}, Layers: []net.Layer{&net.Dense{Units: e.between(2, 9)}}})
		e.judgeAll(&net.Network{Input: net.Shape{C: e.between(1, 9), H: 1, W: 1}, Layers: []net.Layer{
			&net.Dense{Units: w, NoBias: e.rng.IntN(3) == 0}, &net.Activation{Func: net.Tanh}, &net.Dense{Units: max(w, 2)},
		}}, 5, 1, 4)
	}
	e.judgeAll(&net.Network{Input: net.Shape{C: 1, H: 1, W: 1}, Layers: []net.Layer{&net.Dense{Units: 2, NoBias: true}}})
	// Long reductions: over many inputs and, for the weight gradients, over many
	// samples.
	e.judgeAll(&net.Network{Input: net.Shape{C: 3001, H: 1, W: 1}, Layers: []net.Layer{&net.Dense{Units: 5}}}, 3, 1)
	for _, batch := range []int{17, 65, e.some(300, 33)} {
		e.judgeAll(&net.Network{Input: net.Shape{C: 6, H: 1, W: 1}, Layers: []net.Layer{
			&net.Dense{Units: 9}, &net.Activation{Func: net.Sigmoid}, &net.Dense{Units: 130}, &net.Activation{Func: net.Tanh}, &net.Dense{Units: 7},
		}}, batch, batch-1, 1)
	}
}

func checkBatchNorm(e *env) {
	for range e.some(8, 3) {
		in := e.randomShape(pick(e, widths...))
		in.H += 2
		for _, n := range e.inChains(in, &net.BatchNorm{Momentum: new(pick(e, 0, 0.01, 0.5, 1)), Epsilon: pick(e, 0, 1e-3, 0.1)}) {
			e.judgeAll(n, 5, 1, 2)
		}
	}
	flat := &net.Network{Input: net.Shape{C: 7, H: 1, W: 1}, Layers: []net.Layer{&net.BatchNorm{}, &net.Dense{Units: 9}, &net.BatchNorm{Epsilon: 0.1}, &net.Dense{Units: 3}}}
	e.judgeAll(flat, 9, 8)
	// With one value a channel the variance is 0, and so is its unbiased form.
	e.judgeAll(flat, 1)
	e.judgeAll(flat, 2)

	// Running statistics that settle over several steps, on data far from their
	// start. Every second batch is smaller. Then evaluation with these
	// statistics.
	n := e.headed(net.Shape{C: 3, H: 4, W: 5}, &net.BatchNorm{Momentum: new(0.3)}, &net.Conv{Filters: 4, Kernel: net.Square(3)}, &net.BatchNorm{}, &net.Activation{Func: net.Tanh})
	p := e.compile(n, net.Options{Batch: 6, Optimizer: net.AdamDefault(0.01), Seed: e.rng.Uint64()})
	data := e.randomData(n.Input, 2, 40)
	for i := range data.Values {
		data.Values[i] = 3*data.Values[i] + float32(i/20%3) - 4
	}
	st := p.state()
	for i := range 8 {
		st = p.judgeStep(st, span(data, 5*i, 5*i+5-i%2))
		p.judgeTrace(st, span(data, 0, 6), net.Evaluation)
	}

	// A mean that is much greater than the deviation, and a channel that is
	// constant.
	for _, offset := range []float32{100, -1000} {
		n := e.headed(net.Shape{C: 2, H: 3, W: 3}, &net.BatchNorm{})
		p := e.compile(n, net.Options{Batch: 4, Optimizer: net.SGDDefault(0.1)})
		st := e.randomState(p.judge.Plan(), p.opts.Optimizer)
		p.setState(st)
		data := e.randomData(n.Input, 2, 4)
		for i := range data.Values {
			data.Values[i] += offset
			if i/9%2 == 1 {
				data.Values[i] = 0.5
			}
		}
		p.judgeTrace(st, span(data, 0, 4), net.Training)
		p.judgeStep(st, span(data, 0, 4))
	}
}

func checkDropout(e *env) {
	for _, rate := range []float64{0, 0.1, 0.5, 0.9} {
		e.judgeLayer(e.randomShape(pick(e, widths...)), &net.Dropout{Rate: rate})
	}
	e.judgeMasks()
	// The share of values that stay agrees with the rate, within five standard
	// deviations of a binomial distribution.
	const rate, size, batch = 0.3, 125, 40
	p := e.compileIdentity(identity(net.Shape{C: size, H: 1, W: 1}, size, &net.Dropout{Rate: rate}), batch)
	tr := p.trace(span(ones(size, batch), 0, batch), net.Training)
	kept := 0
	for _, v := range tr.Layers[1].Output.Float32s() {
		if v != 0 {
			kept++
		}
	}
	want, deviation := (1-rate)*size*batch, math.Sqrt(size*batch*rate*(1-rate))
	if math.Abs(float64(kept)-want) > 5*deviation {
		e.Errorf("dropout of rate %v keeps %d of %d values, want %.0f or so", rate, kept, size*batch, want)
	}
}

// ones returns n flat samples whose values are all 1.
func ones(size, n int) *net.Dataset {
	d := &net.Dataset{Name: "ones", Shape: net.Shape{C: size, H: 1, W: 1}, Classes: 2, Labels: make([]int32, n)}
	for range size * n {
		d.Values = append(d.Values, 1)
	}
	return d
}

// judgeMasks compares the masks of two dropout layers with net.DropoutKeep,
// value by value. The first takes a vector of odd length, and the second takes
// the first one's output. It does so at several steps, some beyond 32 bits, and
// over several steps in a row.
func (e *env) judgeMasks() {
	const size, rate1, rate2 = 37, 0.5, 0.2
	for _, batch := range []int{1, 3} {
		n := identity(net.Shape{C: size, H: 1, W: 1}, size, &net.Dropout{Rate: rate1}, &net.Dropout{Rate: rate2})
		p := e.compileIdentity(n, batch)
		data := ones(size, batch)
		b := span(data, 0, batch)
		for _, step := range []int64{0, 1, 1000, 1<<32 - 1, 1<<40 + 12345} {
			st := identityState(p.state())
			st.Step = step
			p.setState(st)
			for range 3 {
				p.judgeMask(st.Step, b, rate1, rate2)
				// The step itself draws the mask that Trace shows.
				st = identityState(p.judgeStep(st, b))
				p.setState(st)
			}
		}
		got := p.trace(b, net.Evaluation).Layers[2].Output.Float32s()
		for i, v := range got {
			if v != 1 {
				e.Errorf("dropout in evaluation: value %d is %v, want 1", i, v)
				break
			}
		}
	}
}

// judgeMask compares the logits, which show what the two layers leave of ones.
func (p *program) judgeMask(step int64, b net.Batch, rate1, rate2 float64) {
	p.Helper()
	for i, v := range p.trace(b, net.Training).Layers[2].Output.Float32s() {
		keep := net.DropoutKeep(p.opts.Seed, 0, step, rate1, i) && net.DropoutKeep(p.opts.Seed, 1, step, rate2, i)
		want := 0.0
		if keep {
			want = 1 / (1 - rate1) / (1 - rate2)
		}
		if math.Abs(float64(v)-want) > 4*want/(1<<24) { // a rounding for each factor and quotient
			p.Errorf("dropout at step %d, %d samples: value %d is %v, want %v", step, b.Len(), i, v, want)
			return
		}
	}
}

func checkTies(e *env) {
	// Equal values in overlapping windows: the gradient goes to the first.
	for _, l := range []net.Pool{
		{Kernel: net.Square(2)},
		{Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame},
		{Kernel: net.Square(2), Stride: net.Square(1), Padding: net.Pad(1, 1, 1, 1)},
	} {
		for _, relu := range []bool{false, true} {
			in := net.Shape{C: 1, H: 5, W: 5}
			layers := []net.Layer{&net.Conv{Filters: 2, Kernel: net.Square(3), Padding: net.PadSame, NoBias: true}}
			if relu {
				layers = append(layers, &net.Activation{Func: net.ReLU})
			}
			n := e.headed(in, append(layers, &l)...)
			p := e.compile(n, net.Options{Batch: 3, Optimizer: net.SGDDefault(0.5)})
			st := e.randomState(p.judge.Plan(), p.opts.Optimizer)
			// Small whole numbers have exact sums, many of which are equal or 0.
			for i := range st.Params["conv1.weight"].Float32s() {
				st.Params["conv1.weight"].Float32s()[i] = float32(e.between(-1, 1))
			}
			p.setState(st)
			data := e.randomData(in, 2, 3)
			for i := range data.Values {
				data.Values[i] = float32(e.between(-1, 1))
			}
			b := span(data, 0, 3)
			p.judgeTrace(st, b, net.Training)
			p.judgeStep(st, b)
		}
	}
}

func checkChains(e *env) {
	conv := func() net.Layer { return &net.Conv{Filters: 4, Kernel: net.Square(3), Padding: net.PadSame} }
	bare := func() net.Layer { return &net.Conv{Filters: 5, Kernel: net.Square(3), NoBias: true} }
	relu := func() net.Layer { return &net.Activation{Func: net.ReLU} }
	leaky := func() net.Layer { return &net.Activation{Func: net.LeakyReLU} }
	tanh := func() net.Layer { return &net.Activation{Func: net.Tanh} }
	pool := func(mode net.PoolMode, kernel, stride int) net.Layer {
		return &net.Pool{Mode: mode, Kernel: net.Square(kernel), Stride: net.Square(stride), Padding: net.PadSame}
	}
	norm := func() net.Layer { return &net.BatchNorm{} }
	drop := func(rate float64) net.Layer { return &net.Dropout{Rate: rate} }
	flat := func() net.Layer { return &net.Flatten{} }
	dense := func(units int) net.Layer { return &net.Dense{Units: units} }
	for _, layers := range [][]net.Layer{
		{conv(), relu(), pool(net.MaxPool, 2, 2)},
		{conv(), pool(net.MaxPool, 2, 2), relu()},
		{conv(), relu(), pool(net.MaxPool, 3, 2)},
		{conv(), pool(net.MaxPool, 3, 2), relu()},
		{conv(), relu(), pool(net.MaxPool, 3, 1)},
		{conv(), relu(), pool(net.MeanPool, 2, 2)},
		{conv(), pool(net.MeanPool, 3, 2), relu()},
		{conv(), relu(), pool(net.L2Pool, 2, 2)},
		{conv(), leaky(), pool(net.MaxPool, 2, 2)},
		{conv(), tanh(), pool(net.MaxPool, 2, 2)},
		{conv(), tanh(), pool(net.MeanPool, 2, 2)},
		{conv(), norm(), relu()},
		{bare(), norm(), relu(), pool(net.MaxPool, 2, 2)},
		{conv(), relu(), norm()},
		{bare(), relu()},
		{bare(), relu(), conv(), relu(), pool(net.MaxPool, 2, 2), bare(), relu()},
		{conv(), conv()},
		{conv(), relu(), relu()},
		{conv(), relu(), tanh(), leaky()},
		{conv(), drop(0.5), relu()},
		{conv(), relu(), drop(0.4), pool(net.MaxPool, 2, 2)},
		{conv(), relu(), drop(0)},
		{conv(), relu(), pool(net.MaxPool, 2, 2), pool(net.MaxPool, 2, 2)},
		{conv(), relu(), pool(net.MaxPool, 2, 2), drop(0.25), flat(), dense(9), relu(), drop(0.5)},
		{conv(), relu(), flat(), dense(7), relu(), dense(6), tanh()},
		{relu()},
		{leaky(), conv()},
		{drop(0.3), conv(), relu()},
		{drop(0.5)},
		{norm(), relu(), conv()},
		{flat(), dense(8), relu(), drop(0.5), dense(5), relu()},
		{flat(), dense(8), drop(0.5), relu()},
		{flat(), dense(8), norm(), relu()},
		{flat(), flat(), relu(), relu()},
		{pool(net.MaxPool, 2, 2)},
		{pool(net.MaxPool, 3, 2), relu(), flat(), dense(4)},
		{pool(net.MeanPool, 2, 2), pool(net.L2Pool, 2, 1), conv()},
		{flat()},
	} {
		in := net.Shape{C: pick(e, 1, 2, 3, 8), H: e.between(7, 9), W: e.between(7, 9)}
		e.judgeAll(e.headed(in, layers...))
	}
	// The logits come directly out of each kind of layer.
	for _, layers := range [][]net.Layer{
		{&net.Dense{Units: 3}},
		{&net.Flatten{}},
		{&net.Activation{Func: net.Tanh}, &net.Flatten{}},
		{&net.Conv{Filters: 4, Kernel: net.Pair{H: 2, W: 3}}},
		{&net.Conv{Filters: 3, Kernel: net.Pair{H: 2, W: 3}}, &net.Activation{Func: net.ReLU}},
		{&net.Conv{Filters: 3, Kernel: net.Pair{H: 2, W: 2}}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Pair{H: 1, W: 2}}},
		{&net.Pool{Mode: net.MeanPool, Kernel: net.Pair{H: 2, W: 3}}},
		{&net.Flatten{}, &net.BatchNorm{}},
		{&net.Flatten{}, &net.Dense{Units: 4}, &net.Dropout{Rate: 0.5}},
		{&net.Flatten{}, &net.Dense{Units: 4}, &net.Activation{Func: net.Sigmoid}},
	} {
		in := net.Shape{C: 2, H: 2, W: 3}
		if _, ok := layers[0].(*net.Dense); ok {
			in = net.Shape{C: 4, H: 1, W: 1}
		}
		e.judgeAll(&net.Network{Input: in, Layers: layers}, 4, 1, 3)
	}
}

func checkRandomNetworks(e *env) {
	count, narrow := e.some(120, 10), 0
	for range count {
		if !e.judgeAll(e.randomNetwork(), pick(e, 2, 3, 4, 5), 1, 2) {
			narrow++
		}
	}
	if narrow > 1+count/10 && e.unit == 0 { // coarse roundings bring many samples near kinks
		e.Errorf("%d of %d random networks were judged by replay alone, so the check shows little", narrow, count)
	}
}

package devicetest

import (
	"math"
	"slices"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// rich returns a network with every kind of layer that has a state or draws
// random numbers.
func rich() *net.Network {
	return &net.Network{Input: net.Shape{C: 2, H: 7, W: 6}, Layers: []net.Layer{
		&net.Conv{Filters: 9, Kernel: net.Square(3), Padding: net.PadSame},
		&net.BatchNorm{},
		&net.Activation{Func: net.ReLU},
		&net.Pool{Kernel: net.Square(2), Padding: net.PadSame},
		&net.Dropout{Rate: 0.3},
		&net.Conv{Filters: 4, Kernel: net.Square(2), NoBias: true},
		&net.Activation{Func: net.LeakyReLU},
		&net.Flatten{},
		&net.Dense{Units: 19},
		&net.Activation{Func: net.Tanh},
		&net.Dropout{Rate: 0.5},
		&net.Dense{Units: 4},
	}}
}

// richOptions returns options with Adam, a schedule, weight decay, clipping, a
// criterion and averages.
func richOptions(seed uint64) net.Options {
	o := net.AdamDefault(0.01)
	o.WeightDecay, o.ClipNorm = 1e-3, 1
	o.Schedule = net.Schedule{Method: net.CosineRate, Total: 30, Warmup: 3}
	return net.Options{Batch: 6, Optimizer: o, Seed: seed, Loss: net.Criterion{Smoothing: 0.1, ClassWeights: []float64{0.5, 2}}, Average: 0.95}
}

// train does the steps lo to hi-1 of a fixed course. data must have at least 12
// samples. Batches change in size, and every second one is augmented.
func (p *program) train(data *net.Dataset, lo, hi int) {
	p.Helper()
	for s := lo; s < hi; s++ {
		b := net.Batch{Data: data}
		size := []int{6, 5, 6, 1, 3}[s%5]
		for k := range size {
			b.Indices = append(b.Indices, int32((7*s+5*k)%data.Len()))
		}
		if s%2 == 1 {
			a := net.Augment{Rotate: 20, Translate: 0.2, Flip: net.RandomFlip, Border: net.ReflectBorder, Mixup: 1, CutMix: 1}
			b = (&net.Source{Data: data, Augment: a, Seed: 7, Input: data.Shape}).Batch(s, b.Indices)
		}
		p.step(b)
	}
}

func checkInitialState(e *env) {
	for _, seed := range []uint64{0, 1, 1<<63 + 5} {
		for _, n := range []*net.Network{rich(), net.BuiltIn("lenet5"), net.BuiltIn("mlp")}[:e.some(3, 2)] {
			p := e.compile(n, richOptions(seed))
			want := net.InitialState(p.judge.Plan(), seed, nil)
			got := p.state()
			for name, t := range got.Optimizer {
				want.Optimizer[name] = tensor.New(tensor.WithShape(t.Shape().Clone()...), tensor.WithBacking(make([]float32, t.Shape().TotalSize())))
			}
			want.Average = want.Params
			e.same("initial state of "+p.name, got, want)
		}
	}
	// A whitening layer needs the training images, which no program keeps.
	n := &net.Network{Input: net.Shape{C: 2, H: 6, W: 5}, Layers: []net.Layer{
		&net.Conv{Filters: 6, Kernel: net.Square(2), WeightInit: net.Initializer{Method: net.Whitening}, Frozen: net.Frozen{Roles: []net.Role{net.Weight}}},
		&net.Flatten{}, &net.Dense{Units: 2},
	}}
	for _, images := range []*net.Dataset{nil, e.randomPixels(n.Input, 2, 20)} {
		opts := net.Options{Batch: 2, Optimizer: net.SGDDefault(0.1), Seed: 3, Images: images}
		p := e.compile(n, opts)
		e.same("initial state of a whitening layer", p.state(), net.InitialState(p.judge.Plan(), 3, images))
	}
}

func checkStateRoundTrip(e *env) {
	for _, o := range e.optimizers(rich()) {
		opts := richOptions(3)
		opts.Optimizer = o
		p := e.compile(rich(), opts)
		st := e.randomState(p.judge.Plan(), o)
		st.Average = e.randomState(p.judge.Plan(), o).Params
		// Every bit survives, also those of -0, denormal numbers and extreme
		// values.
		odd := []float32{float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32, -1e-40, math.MaxFloat32, -math.MaxFloat32, 1 + 1.0/(1<<23)}
		for _, tensors := range []map[string]*tensor.Dense{st.Params, st.Optimizer, st.Average} {
			for _, t := range tensors {
				copy(t.Float32s()[:min(3, t.DataSize())], odd[e.rng.IntN(4):])
			}
		}
		st.Step = 1<<40 + 3
		p.setState(st)
		e.same("state after SetState", p.state(), st)
		e.same("state read twice", p.state(), st)
		bare := clone(st)
		bare.Optimizer, bare.Average = nil, nil
		p.setState(bare)
		want := clone(st)
		want.Average = want.Params
		for _, t := range want.Optimizer {
			clear(t.Float32s())
		}
		e.same("state after SetState without moments and averages", p.state(), want)
	}
}

func checkStateIsACopy(e *env) {
	p := e.compile(rich(), richOptions(3))
	data := e.randomData(p.judge.Plan().Network.Input, 4, 20)
	given := e.randomState(p.judge.Plan(), p.opts.Optimizer)
	kept := clone(given)
	p.setState(given)
	spoil := func(st net.State) {
		for _, tensors := range []map[string]*tensor.Dense{st.Params, st.Optimizer, st.Average} {
			for name, t := range tensors {
				for i := range t.Float32s() {
					t.Float32s()[i] = float32(math.NaN())
				}
				delete(tensors, name)
			}
		}
	}
	p.train(data, 0, 2)
	e.same("a state that was given to SetState, after training", given, kept)
	after := p.state()
	kept = clone(after)
	p.train(data, 2, 4)
	e.same("a state that State returned, after more training", after, kept)

	p.setState(given)
	spoil(given)
	taken := p.state()
	kept = clone(taken)
	spoil(taken)
	e.same("state after the tensors given and taken were overwritten", p.state(), kept)

	// Results belong to the caller, too.
	b := span(data, 0, 3)
	first, tr := p.infer(b), p.trace(b, net.Training)
	keptTensor, keptOutput := first.Clone().(*tensor.Dense), tr.Layers[len(tr.Layers)-1].Output.Clone().(*tensor.Dense)
	p.infer(span(data, 5, 8))
	p.trace(span(data, 5, 8), net.Training)
	if d := bitDifference(first, keptTensor); d != "" {
		e.Errorf("what Infer returned changed with the next call: %s", d)
	}
	if d := bitDifference(tr.Layers[len(tr.Layers)-1].Output, keptOutput); d != "" {
		e.Errorf("what Trace returned changed with the next call: %s", d)
	}
}

func checkStateRefused(e *env) {
	p := e.compile(rich(), richOptions(3))
	data := e.randomData(p.judge.Plan().Network.Input, 4, 20)
	p.train(data, 0, 3)
	before := p.state()
	wrongType := tensor.New(tensor.WithShape(4), tensor.WithBacking(make([]float64, 4)))
	ofSize := func(dims ...int) *tensor.Dense {
		return tensor.New(tensor.WithShape(dims...), tensor.Of(tensor.Float32))
	}
	for _, c := range []struct {
		what  string
		spoil func(*net.State)
	}{
		{"negative step", func(s *net.State) { s.Step = -1 }},
		{"no parameters", func(s *net.State) { s.Params = nil }},
		{"parameter missing", func(s *net.State) { delete(s.Params, "dense2.bias") }},
		{"running mean missing", func(s *net.State) { delete(s.Params, "batchnorm1.running_mean") }},
		{"parameter nil", func(s *net.State) { s.Params["dense2.bias"] = nil }},
		{"parameter too many", func(s *net.State) { s.Params["dense3.bias"] = ofSize(4) }},
		{"parameter too long", func(s *net.State) { s.Params["dense2.bias"] = ofSize(5) }},
		{"parameter of other dimensions", func(s *net.State) { s.Params["dense2.weight"] = ofSize(19, 4) }},
		{"parameter of other rank", func(s *net.State) { s.Params["dense2.bias"] = ofSize(4, 1) }},
		{"parameter of other type", func(s *net.State) { s.Params["dense2.bias"] = wrongType }},
		{"average missing", func(s *net.State) { delete(s.Average, "dense2.bias") }},
		{"average of other dimensions", func(s *net.State) { s.Average["dense2.bias"] = ofSize(5) }},
		{"moment missing", func(s *net.State) { delete(s.Optimizer, "dense2.bias.v") }},
		{"moment too many", func(s *net.State) { s.Optimizer["batchnorm1.running_mean.m"] = ofSize(9) }},
		{"moment of other dimensions", func(s *net.State) { s.Optimizer["dense2.bias.m"] = ofSize(3) }},
		{"moment of other type", func(s *net.State) { s.Optimizer["dense2.bias.m"] = wrongType }},
	} {
		st := clone(before)
		// If the misfit were found too late, these changes would show.
		st.Step += 7
		for _, tensors := range []map[string]*tensor.Dense{st.Params, st.Average} {
			for _, t := range tensors {
				for i := range t.Float32s() {
					t.Float32s()[i]++
				}
			}
		}
		c.spoil(&st)
		e.wantError("SetState, "+c.what, p.SetState(st), net.ErrState)
		e.same("state after SetState was refused for: "+c.what, p.state(), before)
	}
	// A network without moments refuses them.
	opts := richOptions(3)
	opts.Optimizer = net.SGDDefault(0.1)
	e.wantError("SetState of Adam's state, with SGD", e.compile(rich(), opts).SetState(before), net.ErrState)
}

func checkResume(e *env) {
	const stop, end = 7, 15
	all := append(e.optimizers(rich()), richOptions(0).Optimizer)
	slices.Reverse(all)
	for _, o := range all[:e.some(len(all), 3)] {
		opts := richOptions(e.rng.Uint64())
		opts.Optimizer = o
		n := rich()
		data := e.randomData(n.Input, 4, 23)
		whole := e.compile(n, opts)
		whole.train(data, 0, end)

		first := e.compile(n, opts)
		first.train(data, 0, stop)
		st := first.state()
		if st.Step != stop {
			e.Errorf("step count %d after %d steps", st.Step, stop)
		}
		// Another device, and a program that has computed other things before.
		second := e.compileOn(e.openDevice(e.open), n, opts)
		second.train(e.randomData(n.Input, 4, 23), 0, 4)
		second.setState(st)
		second.train(data, stop, end)
		e.same("run resumed after "+string(o.Method), second.state(), whole.state())
	}
}

func checkDeterminism(e *env) {
	n := rich()
	data := e.randomData(n.Input, 4, 23)
	run := func(seed uint64, dev net.Device) (net.State, *tensor.Dense, net.Metrics) {
		p := e.compileOn(dev, n, richOptions(seed))
		p.train(data, 0, 12)
		return p.state(), p.infer(span(data, 0, 11)), p.metrics()
	}
	st, probabilities, m := run(5, e.dev)
	for _, dev := range []net.Device{e.dev, e.openDevice(e.open)} {
		again, probabilitiesAgain, mAgain := run(5, dev)
		e.same("second run with the same seed", again, st)
		if d := bitDifference(probabilitiesAgain, probabilities); d != "" {
			e.Errorf("probabilities of the second run: %s", d)
		}
		if m != mAgain {
			e.Errorf("metrics of the second run %+v, of the first %+v", mAgain, m)
		}
	}

	// Seeds decide initial values and, independently of these, dropout.
	other, _, _ := run(6, e.dev)
	if difference(other, st) == "" {
		e.Errorf("seeds 5 and 6 give the same state")
	}
	masks := map[uint64]net.State{}
	for _, seed := range []uint64{5, 6, 5 + 1<<32} {
		p := e.compile(n, richOptions(seed))
		p.setState(st)
		p.train(data, 0, 1)
		masks[seed] = p.state()
	}
	if difference(masks[5], masks[6]) == "" || difference(masks[5], masks[5+1<<32]) == "" {
		e.Errorf("dropout is the same with another seed")
	}
}

// checkStaleMemory compares a small batch after a large one with the same batch
// on a fresh program.
func checkStaleMemory(e *env) {
	networks := []*net.Network{rich()}
	for range e.some(10, 2) {
		networks = append(networks, e.randomNetwork())
	}
	for _, n := range networks {
		opts := richOptions(4)
		fresh, used := e.compile(n, opts), e.compile(n, opts)
		classes := fresh.judge.Plan().Classes
		st := e.randomState(fresh.judge.Plan(), opts.Optimizer)
		data := e.randomData(n.Input, classes, 30)
		fresh.setState(st)
		used.train(e.randomData(n.Input, classes, 30), 0, 3)
		used.evaluate(span(data, 0, 25))
		used.setState(st)
		used.metrics()
		b := span(data, 3, 5)
		for _, mode := range []net.Mode{net.Training, net.Evaluation} {
			if d := traceDifference(used.trace(b, mode), fresh.trace(b, mode)); d != "" {
				e.Errorf("a small batch behind a large one: %s\n%s", d, used.name)
			}
		}
		if d := bitDifference(used.infer(b), fresh.infer(b)); d != "" {
			e.Errorf("Infer behind a large batch: %s\n%s", d, used.name)
		}
		fresh.step(b)
		used.step(b)
		e.same("a small step behind a large one", used.state(), fresh.state())
		if a, b := used.metrics(), fresh.metrics(); a != b {
			e.Errorf("metrics %+v behind a large batch, want %+v\n%s", a, b, used.name)
		}
	}
}

func checkVariants(e *env) {
	if len(e.variants) == 0 {
		e.Skip("the device has no variants that give the same bytes")
	}
	networks := []*net.Network{rich(), e.small()}
	for range e.some(12, 3) {
		networks = append(networks, e.randomNetwork())
	}
	for _, n := range networks {
		p := e.compile(n, richOptions(9))
		data := e.randomData(n.Input, p.judge.Plan().Classes, 23)
		p.train(data, 0, 6)
		st, probabilities := p.state(), p.infer(span(data, 0, 23))
		for _, v := range e.variants {
			q := e.compileOn(e.openDevice(v.open), n, richOptions(9))
			q.train(data, 0, 6)
			e.same(v.name+": state", q.state(), st)
			if d := bitDifference(q.infer(span(data, 0, 23)), probabilities); d != "" {
				e.Errorf("%s: probabilities: %s\n%s", v.name, d, q.name)
			}
		}
	}
}

package devicetest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// lossTolerance is for mean losses of a few units: a hundred roundings of 2^-24
// each.
var lossTolerance = approx.Tolerance{Abs: 6e-6, Rel: 6e-6}

func checkEvaluationChangesNothing(e *env) {
	n := rich()
	data := e.randomData(n.Input, 4, 30)
	quiet, busy := e.compile(n, richOptions(8)), e.compile(n, richOptions(8))
	for s := range 4 {
		before := busy.state()
		unchanged := func(what string) {
			e.Helper()
			e.same("state after "+what, busy.state(), before)
		}
		busy.evaluate(span(data, 0, 17))
		unchanged("Evaluate")
		busy.infer(span(data, 0, 17))
		unchanged("Infer")
		busy.trace(span(data, 0, 6), net.Evaluation)
		unchanged("Trace in evaluation mode")
		busy.trace(span(data, 0, 6), net.Training)
		unchanged("Trace in training mode")
		busy.metrics()
		unchanged("TakeMetrics")
		quiet.train(data, s, s+1)
		busy.train(data, s, s+1)
		e.same("training with evaluations in between", busy.state(), quiet.state())
	}
}

func checkMetrics(e *env) {
	n := rich()
	p := e.compile(n, richOptions(8))
	data := e.randomData(n.Input, 4, 40)
	if m := p.metrics(); m != (net.Metrics{}) {
		e.Errorf("metrics of a new program: %+v, want none", m)
	}
	// want sums what Trace returns for each batch before its step.
	var want net.Metrics
	add := func(b net.Batch, mode net.Mode) {
		tr := p.trace(b, mode)
		want.Add(net.Metrics{Samples: int64(b.Len()), Loss: tr.Loss * float64(b.Len()), Hits: tr.Hits})
	}
	expect := func(what string) {
		e.Helper()
		got := p.metrics()
		if got.Samples != want.Samples || got.Hits != want.Hits || got.FirstBad != 0 {
			e.Errorf("%s: metrics %+v, want %+v", what, got, want)
		}
		approx.Check(e, what+": mean loss", []float64{got.MeanLoss()}, []float64{want.MeanLoss()}, lossTolerance)
		if again := p.metrics(); again != (net.Metrics{}) {
			e.Errorf("%s: metrics read again: %+v, want none", what, again)
		}
		want = net.Metrics{}
	}
	for s := range 5 {
		b := span(data, 3*s, 3*s+1+s)
		add(b, net.Training)
		p.step(b)
	}
	expect("steps")
	for s := range 3 {
		b := span(data, s, s+5)
		add(b, net.Training)
		p.step(b)
		// None of these count in the sums: an evaluation returns its own score.
		tr := p.trace(b, net.Evaluation)
		m := p.evaluate(b)
		if m.Samples != 5 || m.Hits != tr.Hits || m.FirstBad != 0 {
			e.Errorf("Evaluate between steps: %+v, want %d hits of 5", m, tr.Hits)
		}
		approx.Check(e, "mean loss of an evaluation", []float64{m.MeanLoss()}, []float64{tr.Loss}, lossTolerance)
		p.infer(b)
		p.trace(b, net.Training)
		p.state()
	}
	expect("steps with evaluations between them")

	// Sums over many batches keep their precision and count every sample. The
	// weights stay, because the learning rate is 0.
	flat := identity(net.Shape{C: 2, H: 1, W: 1}, 2)
	q := e.compile(flat, net.Options{Batch: 4, Optimizer: net.SGDDefault(0)})
	q.setState(identityState(q.state()))
	rows := &net.Dataset{Name: "rows", Shape: flat.Input, Classes: 2, Values: []float32{0, 0, 0, 1}, Labels: []int32{0, 0}}
	rounds := e.some(3000, 600)
	for range rounds {
		q.step(net.Batch{Data: rows, Indices: []int32{0, 1, 1}})
	}
	m := q.metrics()
	if m.Samples != 3*int64(rounds) || m.Hits != int64(rounds) {
		e.Errorf("%d steps of 3 samples, 1 a hit: %+v", rounds, m)
	}
	// So do the sums of one large evaluation.
	many := q.evaluate(net.Batch{Data: rows, Indices: slices.Repeat([]int32{0, 1, 1}, rounds)})
	if many.Samples != 3*int64(rounds) || many.Hits != int64(rounds) {
		e.Errorf("an evaluation of %d samples, a third hits: %+v", 3*rounds, many)
	}
	wantLoss := (math.Ln2 + 2*math.Log(1+math.E)) / 3
	approx.Check(e, "mean loss of many", []float64{m.MeanLoss(), many.MeanLoss()}, []float64{wantLoss, wantLoss}, approx.Tolerance{Rel: 1e-6})
}

func checkFirstBad(e *env) {
	with := func(then net.ActivationFunc) *net.Network {
		return &net.Network{Input: net.Shape{C: 3, H: 1, W: 1}, Layers: []net.Layer{&net.Dense{Units: 4}, &net.Activation{Func: then}, &net.Dense{Units: 2}}}
	}
	for _, c := range []struct {
		bad  float32
		then net.ActivationFunc
	}{{float32(math.NaN()), net.Tanh}, {float32(math.NaN()), net.ReLU}, {float32(math.Inf(1)), net.Tanh}} {
		bad, n := c.bad, with(c.then)
		data := e.randomData(n.Input, 2, 6)
		good, spoilt := span(data, 0, 3), span(data, 3, 6)
		// An infinite input gives infinite values. It gives NaN only where it
		// meets weights of both signs, because a NaN needs inf-inf.
		for i := range 3 {
			data.Values[4*3+i] = bad
		}
		p := e.compile(n, net.Options{Batch: 3, Optimizer: net.SGDDefault(0.1), Seed: 2})
		st := p.state()
		st.Step = 41
		if math.IsInf(float64(bad), 0) {
			// tanh of infinity is 1, so these weights let it reach the loss.
			for i := range st.Params["dense1.weight"].Float32s() {
				st.Params["dense1.weight"].Float32s()[i] = float32(1 - 2*(i%2))
			}
		}
		p.setState(st)
		expect := func(what string, want int64) {
			e.Helper()
			if got := p.metrics().FirstBad; got != want {
				e.Errorf("%v in the data, %s: first bad step %d, want %d", bad, what, got, want)
			}
		}
		p.step(good)
		p.step(good)
		expect("good steps", 0)
		p.trace(spoilt, net.Training)
		p.infer(spoilt)
		expect("trace", 0)
		if m := p.evaluate(spoilt); m.FirstBad != 0 || !math.IsNaN(m.Loss) && !math.IsInf(m.Loss, 0) {
			e.Errorf("%v in the data, evaluated: %+v, want a bad loss and no bad step", bad, m)
		}
		p.step(good)
		p.step(spoilt) // the fourth from 41
		p.step(good)
		expect("bad step", 45)
		p.step(good)
		expect("later", 45)
		p.setState(st)
		expect("after SetState", 0)
		p.step(good)
		expect("good again", 0)
		p.step(spoilt)
		expect("bad again", 43)
	}
	n := with(net.Tanh)
	// A sample whose logits are NaN is no hit, whatever its label.
	p := e.compile(n, net.Options{Batch: 2, Optimizer: net.SGDDefault(0.1)})
	data := e.randomData(n.Input, 2, 2)
	data.Labels = []int32{0, 1}
	for i := range data.Values {
		data.Values[i] = float32(math.NaN())
	}
	if m := p.evaluate(span(data, 0, 2)); m.Hits != 0 || m.Samples != 2 {
		e.Errorf("NaN logits: %d hits of %d samples", m.Hits, m.Samples)
	}
}

// checkBatchSizes checks batches of any size, with repeated indices.
func checkBatchSizes(e *env) {
	n := rich()
	p := e.compile(n, richOptions(8))
	st := e.randomState(p.judge.Plan(), p.opts.Optimizer)
	p.setState(st)
	data := e.randomData(n.Input, 4, 50)
	for _, indices := range [][]int32{
		{7}, {3, 3, 3}, {49, 0, 49, 1}, {5, 4, 3, 2, 1, 0}, {6, 5, 4, 3, 2, 1, 0}, // 7: one above Options.Batch
		slices.Repeat([]int32{1, 2, 3}, 4), e.order(data), slices.Concat(e.order(data), e.order(data), []int32{9}),
	} {
		b := net.Batch{Data: data, Indices: indices}
		kept := slices.Clone(indices)
		p.judged("Infer", b, p.judge.Infer(st, b, p.infer(b)))
		p.judged("Evaluate", b, p.judge.Evaluate(st, b, p.evaluate(b)))
		if len(indices) <= p.opts.Batch {
			p.judgeTrace(st, b, net.Evaluation)
			p.judged("Trace", b, p.judge.Trace(st, b, net.Training, p.trace(b, net.Training)))
		}
		if !slices.Equal(indices, kept) {
			e.Errorf("the batch's indices changed from %v to %v", kept, indices)
		}
	}
	// After the call, a batch's memory belongs to the caller again.
	lent := []int32{4, 5, 6, 7, 8}
	other := e.compile(n, richOptions(8))
	other.setState(st)
	other.step(net.Batch{Data: data, Indices: slices.Clone(lent)})
	p.step(net.Batch{Data: data, Indices: lent})
	for i := range lent {
		lent[i] = 0
	}
	e.same("step whose indices were overwritten after it", p.state(), other.state())
}

// checkDataSets alternates data sets of both kinds on one program.
func checkDataSets(e *env) {
	n := &net.Network{Input: net.Shape{C: 2, H: 4, W: 5}, Layers: []net.Layer{
		&net.Conv{Filters: 5, Kernel: net.Square(3)}, &net.Activation{Func: net.ReLU}, &net.Flatten{}, &net.Dense{Units: 5},
	}}
	bytes := e.randomPixels(n.Input, 5, 60)
	dim := e.randomPixels(n.Input, 4, 40)
	dim.Scale = 1.0 / 16
	sets := []*net.Dataset{
		bytes, e.randomData(n.Input, 5, 40), dim,
		bytes.Slice(0, 30), bytes.Slice(30, 60), // share memory with the first
		bytes.Select([]int32{59, 3, 3, 41, 0, 17, 30, 8, 22, 5, 58, 11}), // these share memory too, by rows
		bytes.Select(e.order(bytes)).Slice(7, 40),
		e.randomData(n.Input, 5, 40).Select([]int32{39, 0, 20, 20, 1, 2, 3, 4, 30, 31}),
		e.randomPixels(n.Input, 2, 35),
		e.randomData(n.Input, 3, 64),
	}
	p := e.compile(n, net.Options{Batch: 4, Optimizer: net.SGDDefault(0.1), Seed: 3})
	kept := make([]net.Dataset, len(sets))
	for i, d := range sets {
		kept[i] = *d
		kept[i].Values, kept[i].Pixels, kept[i].Labels = slices.Clone(d.Values), slices.Clone(d.Pixels), slices.Clone(d.Labels)
	}
	for range 3 {
		for i, d := range sets {
			st := p.state()
			b := p.choose(st, d, 4)
			p.judgeTrace(st, b, net.Training)
			st = p.judgeStep(st, b)
			v := sets[(i+2)%len(sets)]
			all := span(v, 0, v.Len())
			p.judged("Evaluate of "+v.Name, all, p.judge.Evaluate(st, all, p.evaluate(all)))
			p.judged("Infer of "+v.Name, all, p.judge.Infer(st, all, p.infer(all)))
		}
	}
	for i, d := range sets {
		if !slices.Equal(d.Values, kept[i].Values) || !slices.Equal(d.Pixels, kept[i].Pixels) || !slices.Equal(d.Labels, kept[i].Labels) {
			e.Errorf("data set %d was changed", i)
		}
	}
	// Rows tell where samples are, and results agree to the last bit.
	order := e.order(bytes)
	selected := bytes.Select(order)
	if d := bitDifference(p.infer(span(selected, 0, 60)), p.infer(net.Batch{Data: bytes, Indices: order})); d != "" {
		e.Errorf("samples by rows: %s", d)
	}
	// Infer does not read labels, and its result does not depend on them.
	a, b := *bytes, *bytes
	b.Labels = make([]int32, len(a.Labels))
	if d := bitDifference(p.infer(span(&a, 0, 9)), p.infer(span(&b, 0, 9))); d != "" {
		e.Errorf("Infer depends on the labels: %s", d)
	}
}

func checkProgramsSideBySide(e *env) {
	networks := []*net.Network{rich(), e.small(), rich()}
	train := func(p *program, data *net.Dataset, s int) {
		p.train(data, s, s+1)
		p.evaluate(span(data, 0, 9))
	}
	var alone, together []*program
	var data []*net.Dataset
	for i, n := range networks {
		p := e.compileOn(e.openDevice(e.open), n, richOptions(uint64(i)))
		data = append(data, e.randomData(n.Input, p.judge.Plan().Classes, 20))
		for s := range 6 {
			train(p, data[i], s)
		}
		alone = append(alone, p)
		together = append(together, e.compile(n, richOptions(uint64(i))))
	}
	passing := e.compile(rich(), richOptions(99))
	for s := range 6 {
		for i, p := range together {
			train(p, data[i], s)
		}
		if s == 3 {
			e.closeProgram(passing)
		}
	}
	for i := range networks {
		what := fmt.Sprintf("program %d among others on one device", i)
		e.same(what, together[i].state(), alone[i].state())
		if got, want := together[i].metrics(), alone[i].metrics(); got != want {
			e.Errorf("%s: metrics %+v, want %+v", what, got, want)
		}
	}
}

func (e *env) closeProgram(p *program) {
	e.Helper()
	if err := p.Close(); err != nil {
		e.Errorf("Close: %v", err)
	}
}

func checkAllocations(e *env) {
	if !e.noAllocs {
		e.Skip("the device does not claim to allocate nothing")
	}
	n := rich()
	for _, o := range e.optimizers(n) {
		opts := richOptions(8)
		opts.Optimizer = o
		p := e.compile(n, opts)
		data, pixels := e.randomData(n.Input, 4, 20), e.randomPixels(n.Input, 4, 20)
		batches := []net.Batch{span(data, 0, 6), span(data, 6, 9), span(pixels, 2, 8)}
		for _, d := range []*net.Dataset{data, pixels, e.randomPixels(net.Shape{C: n.Input.C, H: 11, W: 4}, 4, 20)} {
			batches = append(batches, viewed(d, 5, 11, func() net.View { return e.randomView(d) }))
		}
		s := 0
		step := func() {
			p.step(batches[s%len(batches)])
			s++
		}
		for range 3 * len(batches) { // one by one, captured, and replayed
			step()
		}
		// The average is rounded down, so more steps find no more.
		if allocs := testing.AllocsPerRun(e.some(5, 1)*len(batches), step); allocs > 0 {
			e.Errorf("a training step with %s allocates %v times", o.Method, allocs)
		}
	}
}

package devicetest

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/verify"
)

// program is a compiled network under test. Its methods fail the check if the
// device returns an error.
type program struct {
	*env
	net.Tracer
	judge *verify.Judge
	opts  net.Options
	name  string // for messages
}

// compile compiles n on the check's device.
func (e *env) compile(n *net.Network, opts net.Options) *program {
	e.Helper()
	return e.compileOn(e.dev, n, opts)
}

// compileOn compiles n on a device. The program is closed at the end of the
// check.
func (e *env) compileOn(dev net.Device, n *net.Network, opts net.Options) *program {
	e.Helper()
	name := describe(n)
	judge, err := verify.NewJudge(n, opts)
	if err != nil {
		panic(fmt.Sprintf("BUG: network %s: %v", name, err))
	}
	if e.unit > 0 {
		judge.SetRoundoff(e.unit)
	}
	p, err := dev.Compile(n, opts)
	if err != nil {
		e.Fatalf("compiling %s: %v", name, err)
	}
	e.Cleanup(func() {
		if err := p.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			e.Errorf("closing the program of %s: %v", name, err)
		}
	})
	tracer, ok := p.(net.Tracer)
	if !ok {
		e.Fatalf("the program is not a net.Tracer")
	}
	return &program{env: e, Tracer: tracer, judge: judge, opts: opts, name: name}
}

// describe returns a network as JSON in one line.
func describe(n *net.Network) string {
	b, err := n.MarshalJSON()
	if err != nil {
		panic(fmt.Sprintf("BUG: %v", err))
	}
	return string(b)
}

// must fails the check on an error.
func (p *program) must(what string, err error) {
	p.Helper()
	if err != nil {
		p.Fatalf("%s: %v\n%s", what, err, p.name)
	}
}

func (p *program) step(b net.Batch) {
	p.Helper()
	p.must("Step", p.Step(b))
}

func (p *program) evaluate(b net.Batch) net.Metrics {
	p.Helper()
	m, err := p.Evaluate(b)
	p.must("Evaluate", err)
	return m
}

// metrics takes the sums of training, as TakeMetrics does.
func (p *program) metrics() net.Metrics {
	p.Helper()
	m, err := p.TakeMetrics()
	p.must("TakeMetrics", err)
	return m
}

func (p *program) gradients(b net.Batch, share net.Share) {
	p.Helper()
	p.must("Gradients", p.Gradients(b, share))
}

func (p *program) update() {
	p.Helper()
	p.must("Update", p.Update())
}

func (p *program) state() net.State {
	p.Helper()
	st, err := p.State()
	p.must("State", err)
	if err := st.Check(p.judge.Plan(), p.opts.Optimizer); err != nil {
		p.Fatalf("State gave one that does not fit: %v\n%s", err, p.name)
	}
	if want := p.moments(); len(st.Optimizer) != want {
		p.Fatalf("State gave %d optimiser tensors, want %d\n%s", len(st.Optimizer), want, p.name)
	}
	if kept := st.Average != nil; kept != p.opts.Averages() {
		p.Fatalf("State gave averages %v, want %v\n%s", kept, !kept, p.name)
	}
	return st
}

// moments returns how many tensors the optimiser keeps.
func (p *program) moments() int {
	n := 0
	for _, q := range p.judge.Plan().Trained() {
		n += len(p.opts.Optimizer.For(p.judge.Plan(), q).Moments())
	}
	return n
}

func (p *program) setState(st net.State) {
	p.Helper()
	p.must("SetState", p.SetState(st))
}

func (p *program) infer(b net.Batch) *tensor.Dense {
	p.Helper()
	t, err := p.Infer(b)
	p.must("Infer", err)
	if t == nil || t.Dtype() != tensor.Float32 || !slices.Equal([]int(t.Shape()), []int{b.Len(), p.judge.Plan().Classes}) {
		p.Fatalf("Infer gave %v, want float32 of (%d, %d)\n%s", t, b.Len(), p.judge.Plan().Classes, p.name)
	}
	return t
}

func (p *program) trace(b net.Batch, mode net.Mode) *net.Trace {
	p.Helper()
	tr, err := p.Trace(b, mode)
	p.must("Trace", err)
	if tr == nil {
		p.Fatalf("Trace gave nothing\n%s", p.name)
	}
	return tr
}

// choose returns a batch of n samples that stay away from kinks.
func (p *program) choose(st net.State, data *net.Dataset, n int) net.Batch {
	p.Helper()
	b, err := p.judge.Choose(st, net.Batch{Data: data, Indices: p.order(data)}, n)
	if err != nil {
		if p.unit > 0 && errors.Is(err, verify.ErrKinks) {
			p.Skipf("the device's roundings are coarse: %v", err)
		}
		p.Fatalf("no batch to test with: %v\n%s", err, p.name)
	}
	return b
}

// order returns the indices of data in random order.
func (e *env) order(data *net.Dataset) []int32 {
	order := make([]int32, data.Len())
	for i, at := range e.rng.Perm(data.Len()) {
		order[i] = int32(at)
	}
	return order
}

// judged fails the check for every comparison in list that failed.
func (p *program) judged(what string, b net.Batch, list []verify.Check) {
	p.Helper()
	for _, c := range list {
		if c.OK {
			continue
		}
		where := "network"
		if c.Layer >= 0 {
			where = p.judge.Plan().Nodes[c.Layer].Name
		}
		p.Errorf("%s, %d samples: %s: %s: %s\n%s", what, b.Len(), where, c.What, c.Detail, p.name)
	}
}

// judgeTrace judges a trace of the batch, layer by layer and from end to end.
func (p *program) judgeTrace(st net.State, b net.Batch, mode net.Mode) {
	p.Helper()
	what := "trace in training"
	if mode == net.Evaluation {
		what = "trace in evaluation"
	}
	tr := p.trace(b, mode)
	p.judged(what, b, p.judge.Trace(st, b, mode, tr))
	p.judged(what+", from end to end", b, p.judge.EndToEnd(st, b, mode, tr))
}

// judgeStep trains on the batch, judges the step, and returns the new state.
func (p *program) judgeStep(before net.State, b net.Batch) net.State {
	p.Helper()
	p.metrics()
	p.step(b)
	m := p.metrics()
	after := p.state()
	p.judged(fmt.Sprintf("step %d", before.Step), b, p.judge.Step(before, b, m, after))
	return after
}

// judgeAll sets a random state, and judges everything that the network does on
// batches of several sizes. A large batch comes first, so that smaller ones meet
// the memory that it left. It reports whether everything was judged from end to
// end. If no batch stays away from the network's kinks, it is judged by replay
// instead.
func (e *env) judgeAll(n *net.Network, sizes ...int) (clear bool) {
	e.Helper()
	if len(sizes) == 0 {
		sizes = []int{3, 1, 2}
	}
	sizes = sizes[:min(len(sizes), e.some(3, 2))]
	opts := net.Options{Batch: slices.Max(sizes), Optimizer: net.Optimizer{Rule: net.Rule{Method: net.SGD, LearningRate: 0.1, Momentum: 0.9, WeightDecay: 0.01}}, Seed: e.rng.Uint64()}
	p := e.compile(n, opts)
	st := e.randomState(p.judge.Plan(), opts.Optimizer)
	p.setState(st)
	data := e.randomData(n.Input, p.judge.Plan().Classes, 8*opts.Batch)
	clear = true
	for i, size := range sizes {
		b, err := p.judge.Choose(st, net.Batch{Data: data, Indices: p.order(data)}, size)
		if errors.Is(err, verify.ErrKinks) {
			clear = false
			b = span(data, 0, size)
			p.judged("trace", b, p.judge.Trace(st, b, net.Training, p.trace(b, net.Training)))
			continue
		}
		p.must("choosing a batch", err)
		p.judgeTrace(st, b, net.Training)
		if i < 2 {
			p.judgeTrace(st, b, net.Evaluation)
			st = p.judgeStep(st, b)
		}
	}
	return clear
}

// difference tells where two states differ in a bit. It returns "" if they are
// equal.
func difference(got, want net.State) string {
	if got.Step != want.Step {
		return fmt.Sprintf("step %d, want %d", got.Step, want.Step)
	}
	for _, m := range []struct{ got, want map[string]*tensor.Dense }{{got.Params, want.Params}, {got.Optimizer, want.Optimizer}, {got.Average, want.Average}} {
		if g, w := slices.Sorted(maps.Keys(m.got)), slices.Sorted(maps.Keys(m.want)); !slices.Equal(g, w) {
			return fmt.Sprintf("tensors %v, want %v", g, w)
		}
		for _, name := range slices.Sorted(maps.Keys(m.want)) {
			if d := bitDifference(m.got[name], m.want[name]); d != "" {
				return name + ": " + d
			}
		}
	}
	return ""
}

// bitDifference tells where two tensors differ in a bit. It returns "" if they
// are equal.
func bitDifference(got, want *tensor.Dense) string {
	if got == nil || want == nil {
		if got == want {
			return ""
		}
		return fmt.Sprintf("present %v, want %v", got != nil, want != nil)
	}
	if !slices.Equal([]int(got.Shape()), []int(want.Shape())) {
		return fmt.Sprintf("dimensions %v, want %v", []int(got.Shape()), []int(want.Shape()))
	}
	g, w := got.Float32s(), want.Float32s()
	for i := range w {
		if math.Float32bits(g[i]) != math.Float32bits(w[i]) {
			return fmt.Sprintf("value %d is %v, want %v, bit for bit", i, g[i], w[i])
		}
	}
	return ""
}

// traceDifference tells where two traces differ in a bit. It returns "" if they
// are equal.
func traceDifference(got, want *net.Trace) string {
	if math.Float64bits(got.Loss) != math.Float64bits(want.Loss) || got.Hits != want.Hits {
		return fmt.Sprintf("loss %v and %d hits, want %v and %d", got.Loss, got.Hits, want.Loss, want.Hits)
	}
	if d := bitDifference(got.Probabilities, want.Probabilities); d != "" {
		return "probabilities: " + d
	}
	for i, w := range want.Layers {
		g := got.Layers[i]
		if d := bitDifference(g.Output, w.Output); d != "" {
			return fmt.Sprintf("layer %d: output: %s", i, d)
		}
		if d := bitDifference(g.OutputGrad, w.OutputGrad); d != "" {
			return fmt.Sprintf("layer %d: output gradient: %s", i, d)
		}
		for role := range w.ParamGrads {
			if d := bitDifference(g.ParamGrads[role], w.ParamGrads[role]); d != "" {
				return fmt.Sprintf("layer %d: %s gradient: %s", i, role, d)
			}
		}
	}
	return ""
}

// clone returns a copy of a state with all its tensors.
func clone(st net.State) net.State {
	return net.State{Step: st.Step, Params: cloneAll(st.Params), Optimizer: cloneAll(st.Optimizer), Average: cloneAll(st.Average)}
}

func cloneAll(tensors map[string]*tensor.Dense) map[string]*tensor.Dense {
	if tensors == nil {
		return nil
	}
	out := map[string]*tensor.Dense{}
	for name, t := range tensors {
		out[name] = t.Clone().(*tensor.Dense)
	}
	return out
}

// same fails the check if two states differ in a bit.
func (e *env) same(what string, got, want net.State) {
	e.Helper()
	if d := difference(got, want); d != "" {
		e.Errorf("%s: %s", what, d)
	}
}

// wantError fails the check unless err is target and has one line. If target is
// nil, any error in one line will do.
func (e *env) wantError(what string, err, target error) {
	e.Helper()
	switch {
	case err == nil:
		e.Errorf("%s: no error", what)
	case target != nil && !errors.Is(err, target):
		e.Errorf("%s: got %q, want %q", what, err, target)
	case strings.Contains(err.Error(), "\n"):
		e.Errorf("%s: the error takes several lines: %q", what, err)
	}
}

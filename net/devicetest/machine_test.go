package devicetest

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// machine is a device made of the reference's layers that computes one program's
// step as plainly as can be and lets faults into every part of it. Without any it
// is right.
type machine struct {
	faults
	steps *int64 // of all programs together, for the fault sharedStep
}

// faults are where a machine can go wrong. nil and false are right.
type faults struct {
	// layer spoils a layer once, mode and place what it runs with.
	layer func(l *reference.Layer)
	mode  func(l *reference.Layer, m net.Mode) net.Mode
	place func(p reference.Place) reference.Place
	// sharedStep makes dropout draw from the steps of all programs together.
	sharedStep bool

	// forward spoils y, before spoils dy, backward spoils dx and grads, statistics
	// the running ones.
	forward    func(l *reference.Layer, m net.Mode, n int, x [][]float64, y []float64)
	before     func(l *reference.Layer, n int, dy []float64)
	backward   func(l *reference.Layer, n int, x [][]float64, dy []float64, dx [][]float64, grads map[net.Role][]float64)
	statistics func(l *reference.Layer, n int, mean, variance []float64)

	// sum stands in for the addition of a use's gradient dx to those of the uses
	// behind it, weight for the part of the samples that a share has, and gather for
	// the addition of a share's gradients to those before.
	sum    func(l *reference.Layer, sum, dx []float64)
	weight func(n int, share net.Share) float64
	gather func(sum, g []float64)

	// see spoils a sample's view, input what the network takes of a batch, aim what the
	// loss takes for its criterion and its batch. evaluated lets evaluation take them too.
	see       func(m net.Mode, v *net.View)
	input     func(b net.Batch, in net.Shape, x []float64)
	aim       func(l *net.Criterion, b *net.Batch)
	evaluated bool

	loss func(loss *reference.Loss, logits []float64, labels []int32, classes int)
	// clip, update and average stand in for reference.Clip, reference.Update and
	// reference.Average; rule spoils the optimiser for one parameter.
	clip    func(limit float64, grads [][]float64)
	update  func(o net.Optimizer, step int64, p net.Param, w, g []float64, moments map[string][]float64)
	average func(o net.Options, step int64, p net.Param, a, w []float64)
	rule    func(all net.Optimizer, p net.Param, one *net.Optimizer)

	trace func(m net.Mode, t *net.Trace)
	// wrap spoils a program's calls; compile is that of another, right device.
	wrap func(t net.Tracer, o net.Options, compile compiler) net.Tracer
}

type compiler func(*net.Network, net.Options) (net.Program, error)

func (m *machine) Name() string { return "machine" }
func (m *machine) Close() error { return nil }

func (m *machine) Compile(n *net.Network, opts net.Options) (net.Program, error) {
	plan, err := n.Plan()
	if err != nil {
		return nil, err
	}
	if err := opts.CheckFor(plan); err != nil {
		return nil, err
	}
	r := &running{machine: m, given: plan, plan: opts.PlanFor(plan), opts: opts}
	for _, node := range r.plan.Nodes {
		layer := &reference.Layer{Node: node, Seed: opts.Seed}
		if m.layer != nil {
			m.layer(layer)
		}
		r.layers = append(r.layers, layer)
	}
	if err := r.SetState(net.InitialState(plan, opts.Seed, opts.Images)); err != nil {
		return nil, err
	}
	r.opts.Images = nil
	if m.wrap != nil {
		return m.wrap(r, opts, reference.New().Compile), nil
	}
	return r, nil
}

// running is a machine's program.
type running struct {
	*machine
	given   *net.Plan
	plan    *net.Plan // for inference nothing learns
	opts    net.Options
	layers  []*reference.Layer
	moments map[string][]float64 // by name in State.Optimizer
	grads   map[string][]float64 // by parameter, since the last update; nil without
	average map[string][]float64 // by parameter; nil where none are kept
	swapped bool
	step    int64
	sums    net.Metrics
	bad     int64
	closed  bool
}

func (r *running) Plan() *net.Plan      { return r.given }
func (r *running) Options() net.Options { return r.opts }

// outcome is what one run of the network gives.
type outcome struct {
	out, outGrad [][]float64
	grads        []map[net.Role][]float64
	loss         reference.Loss
}

func (r *running) run(b net.Batch, mode net.Mode, share net.Share) outcome {
	n := b.Len()
	seen := b
	seen.Views = slices.Clone(b.Views)
	for i := range seen.Views {
		if r.see != nil {
			r.see(mode, &seen.Views[i])
		}
	}
	input := reference.Input(seen, r.plan.Network.Input)
	if r.faults.input != nil {
		r.faults.input(b, r.plan.Network.Input, input)
	}
	place := reference.Place{Step: r.step, First: share.First}
	if r.sharedStep {
		place.Step = *r.steps
	}
	if r.place != nil {
		place = r.place(place)
	}
	o := outcome{out: make([][]float64, len(r.layers)), outGrad: make([][]float64, len(r.layers)), grads: make([]map[net.Role][]float64, len(r.layers))}
	in := make([][][]float64, len(r.layers))
	for i, l := range r.layers {
		for _, from := range r.plan.Nodes[i].Inputs {
			if from == net.NetworkInput {
				in[i] = append(in[i], input)
			} else {
				in[i] = append(in[i], o.out[from])
			}
		}
		m := mode
		if r.mode != nil {
			m = r.mode(l, mode)
		}
		o.out[i] = l.Forward(in[i], n, m, place)
		if r.faults.forward != nil {
			r.faults.forward(l, m, n, in[i], o.out[i])
		}
	}
	last := len(r.layers) - 1
	var labels []int32
	for _, i := range b.Indices {
		labels = append(labels, b.Data.Labels[i])
	}
	o.loss = reference.SoftmaxCrossEntropy(o.out[last], labels, r.plan.Classes)
	if mode == net.Training || r.evaluated {
		criterion, aimed := r.opts.Loss, b
		aimed.Views = slices.Clone(b.Views)
		if r.aim != nil {
			r.aim(&criterion, &aimed)
		}
		o.loss = reference.CrossEntropy(o.out[last], reference.Targets(criterion, aimed, r.plan.Classes), labels, r.plan.Classes)
	}
	if r.faults.loss != nil {
		r.faults.loss(&o.loss, o.out[last], labels, r.plan.Classes)
	}
	if mode == net.Evaluation {
		return o
	}
	part := float64(n) / float64(share.Total)
	if r.weight != nil {
		part = r.weight(n, share)
	}
	for i := range o.loss.Gradient {
		o.loss.Gradient[i] *= part
	}
	o.outGrad[last] = o.loss.Gradient
	for i := last; i >= 0; i-- {
		l := r.layers[i]
		if !r.plan.Nodes[i].Learns {
			continue
		}
		dy := o.outGrad[i]
		if r.before != nil {
			dy = append([]float64{}, dy...)
			r.before(l, n, dy)
		}
		dx, grads := l.Backward(dy)
		if r.faults.backward != nil {
			r.faults.backward(l, n, in[i], dy, dx, grads)
		}
		o.grads[i] = grads
		for k, from := range r.plan.Nodes[i].Inputs {
			switch {
			case from == net.NetworkInput || !r.plan.Nodes[from].Learns:
			case o.outGrad[from] == nil:
				o.outGrad[from] = dx[k]
			case r.sum != nil:
				r.sum(r.layers[from], o.outGrad[from], dx[k])
			default:
				plus(o.outGrad[from], dx[k])
			}
		}
	}
	return o
}

// plus adds g to sum.
func plus(sum, g []float64) {
	for i, v := range g {
		sum[i] += v
	}
}

func (r *running) check(b net.Batch, sized bool) error {
	if r.closed {
		return net.ErrClosed
	}
	if err := b.Check(r.plan); err != nil {
		return err
	}
	if sized && b.Len() > r.opts.Batch {
		return fmt.Errorf("%w: %d samples", net.ErrBatchSize, b.Len())
	}
	return nil
}

// score returns loss and hits of n samples.
func score(l reference.Loss, n int) net.Metrics {
	return net.Metrics{Samples: int64(n), Loss: l.Sum, Hits: int64(l.Hits)}
}

func (r *running) trains() error {
	if r.closed {
		return net.ErrClosed
	}
	return r.opts.Training()
}

func (r *running) Step(b net.Batch) error {
	if r.grads != nil {
		return net.ErrUnfinished
	}
	if err := r.Gradients(b, net.Whole(b.Len())); err != nil {
		return err
	}
	return r.Update()
}

func (r *running) Gradients(b net.Batch, share net.Share) error {
	if err := r.trains(); err != nil {
		return err
	}
	if err := r.check(b, true); err != nil {
		return err
	}
	if err := share.Check(b.Len()); err != nil {
		return err
	}
	if r.swapped {
		return net.ErrUnfinished
	}
	o := r.run(b, net.Training, share)
	r.sums.Add(score(o.loss, b.Len()))
	if r.bad == 0 && (math.IsNaN(o.loss.Sum) || math.IsInf(o.loss.Sum, 0)) {
		r.bad = r.step + 1
	}
	first := r.grads == nil
	if first {
		r.grads = map[string][]float64{}
	}
	for _, q := range r.plan.Trained() {
		g := o.grads[q.Layer][q.Role]
		switch {
		case first:
			r.grads[q.Name] = g
		case r.gather != nil:
			r.gather(r.grads[q.Name], g)
		default:
			plus(r.grads[q.Name], g)
		}
	}
	for _, l := range r.layers {
		if mean, variance := l.RunningStatistics(); mean != nil {
			if r.statistics != nil {
				r.statistics(l, b.Len(), mean, variance)
			}
			l.Params[net.RunningMean], l.Params[net.RunningVar] = narrow(mean), narrow(variance)
		}
	}
	return nil
}

func (r *running) Update() error {
	if err := r.trains(); err != nil {
		return err
	}
	if r.grads == nil || r.swapped {
		return net.ErrUnfinished
	}
	var grads [][]float64
	for _, q := range r.plan.Trained() {
		grads = append(grads, r.grads[q.Name])
	}
	clip, update := r.clip, r.update
	if clip == nil {
		clip = reference.Clip
	}
	if update == nil {
		update = func(o net.Optimizer, step int64, p net.Param, w, g []float64, moments map[string][]float64) {
			reference.Update(o, step, p.Dims[0], w, g, moments)
		}
	}
	clip(r.opts.Optimizer.ClipNorm, grads)
	for i, q := range r.plan.Trained() {
		w, moments := r.layers[q.Layer].Params[q.Role], map[string][]float64{}
		o := r.opts.Optimizer.For(r.plan, q)
		for _, name := range o.Moments() {
			moments[name] = r.moments[q.Name+"."+name]
		}
		if r.rule != nil {
			r.rule(r.opts.Optimizer, q, &o)
		}
		update(o, r.step, q, w, grads[i], moments)
		narrow(w)
		for _, m := range moments {
			narrow(m)
		}
	}
	for _, q := range r.plan.Params {
		a, w := r.average[q.Name], r.layers[q.Layer].Params[q.Role]
		switch {
		case a == nil:
		case r.faults.average != nil:
			r.faults.average(r.opts, r.step, q, a, w)
		default:
			reference.Average(r.opts, r.step, a, w)
		}
		narrow(a)
		narrow(w)
	}
	r.grads = nil
	r.step++
	*r.steps++
	return nil
}

func (r *running) SwapAverage() error {
	switch {
	case r.closed:
		return net.ErrClosed
	case r.average == nil:
		return errors.New("no averages")
	case r.grads != nil:
		return net.ErrUnfinished
	}
	r.exchange()
	return nil
}

func (r *running) exchange() {
	for _, q := range r.plan.Params {
		params := r.layers[q.Layer].Params
		params[q.Role], r.average[q.Name] = r.average[q.Name], params[q.Role]
	}
	r.swapped = !r.swapped
}

func (r *running) Evaluate(b net.Batch) (net.Metrics, error) {
	if err := r.check(b, false); err != nil {
		return net.Metrics{}, err
	}
	return score(r.run(b, net.Evaluation, net.Whole(b.Len())).loss, b.Len()), nil
}

func (r *running) TakeMetrics() (net.Metrics, error) {
	if r.closed {
		return net.Metrics{}, net.ErrClosed
	}
	m := r.sums
	m.FirstBad = r.bad
	r.sums = net.Metrics{}
	return m, nil
}

func (r *running) Infer(b net.Batch) (*tensor.Dense, error) {
	if err := r.check(b, false); err != nil {
		return nil, err
	}
	return asTensor(r.run(b, net.Evaluation, net.Whole(b.Len())).loss.Probabilities, b.Len(), r.plan.Classes), nil
}

func (r *running) State() (net.State, error) {
	if r.closed {
		return net.State{}, net.ErrClosed
	}
	st := net.State{Step: r.step, Params: map[string]*tensor.Dense{}, Optimizer: map[string]*tensor.Dense{}}
	if r.average != nil {
		st.Average = map[string]*tensor.Dense{}
	}
	for _, q := range r.plan.Params {
		st.Params[q.Name] = asTensor(r.layers[q.Layer].Params[q.Role], q.Dims...)
		if r.average != nil {
			st.Average[q.Name] = asTensor(r.average[q.Name], q.Dims...)
		}
		for _, m := range r.opts.Optimizer.For(r.plan, q).Moments() {
			if q.Trained {
				st.Optimizer[q.Name+"."+m] = asTensor(r.moments[q.Name+"."+m], q.Dims...)
			}
		}
	}
	return st, nil
}

func (r *running) SetState(st net.State) error {
	if r.closed {
		return net.ErrClosed
	}
	if err := st.Check(r.plan, r.opts.Optimizer); err != nil {
		return err
	}
	if r.swapped {
		return net.ErrUnfinished
	}
	for _, l := range r.layers {
		l.Params = map[net.Role][]float64{}
	}
	r.moments, r.average = map[string][]float64{}, nil
	if r.opts.Averages() {
		r.average = map[string][]float64{}
	}
	for _, q := range r.plan.Params {
		switch {
		case r.average == nil:
		case len(st.Average) > 0:
			r.average[q.Name] = asValues(st.Average[q.Name])
		default:
			r.average[q.Name] = asValues(st.Params[q.Name])
		}
		r.layers[q.Layer].Params[q.Role] = asValues(st.Params[q.Name])
		for _, m := range r.opts.Optimizer.For(r.plan, q).Moments() {
			name := q.Name + "." + m
			if r.moments[name] = make([]float64, q.Size()); st.Optimizer[name] != nil {
				r.moments[name] = asValues(st.Optimizer[name])
			}
		}
	}
	r.step, r.bad, r.grads = st.Step, 0, nil
	return nil
}

func (r *running) Trace(b net.Batch, mode net.Mode) (*net.Trace, error) {
	if err := r.check(b, true); err != nil {
		return nil, err
	}
	if r.grads != nil {
		return nil, net.ErrUnfinished
	}
	if mode == net.Training {
		if err := r.trains(); err != nil {
			return nil, err
		}
	}
	o := r.run(b, mode, net.Whole(b.Len()))
	n := b.Len()
	t := &net.Trace{
		Loss: o.loss.Sum / float64(n), Hits: int64(o.loss.Hits),
		Probabilities: asTensor(o.loss.Probabilities, n, r.plan.Classes), Layers: make([]net.LayerTrace, len(r.layers)),
	}
	for i, l := range r.plan.Nodes {
		dims := []int{n, l.Out.C, l.Out.H, l.Out.W}
		t.Layers[i].Output = asTensor(o.out[i], dims...)
		if mode == net.Training {
			if l.Learns {
				t.Layers[i].OutputGrad = asTensor(o.outGrad[i], dims...)
			}
			t.Layers[i].ParamGrads = map[net.Role]*tensor.Dense{}
			for _, q := range l.Params {
				if q.Trained {
					t.Layers[i].ParamGrads[q.Role] = asTensor(o.grads[i][q.Role], q.Dims...)
				}
			}
		}
	}
	if r.trace != nil {
		r.trace(mode, t)
	}
	return t, nil
}

func (r *running) Close() error {
	if r.closed {
		return net.ErrClosed
	}
	r.closed = true
	return nil
}

// narrow rounds values to float32, in place.
func narrow(values []float64) []float64 {
	for i, v := range values {
		values[i] = float64(float32(v))
	}
	return values
}

func asTensor(values []float64, dims ...int) *tensor.Dense {
	backing := make([]float32, len(values))
	for i, v := range values {
		backing[i] = float32(v)
	}
	return tensor.New(tensor.WithShape(dims...), tensor.WithBacking(backing))
}

func asValues(t *tensor.Dense) []float64 {
	values := make([]float64, t.DataSize())
	for i, v := range t.Float32s() {
		values[i] = float64(v)
	}
	return values
}

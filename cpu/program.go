package cpu

import (
	"fmt"
	"math"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
	"gorgonia.org/tensor"
)

// program is a compiled network.
type program struct {
	device  *device
	plan    *net.Plan
	options net.Options
	pass    pass
	params  []*parameter // as in Plan.Params

	operations []operation
	stages     []stage
	lowest     int // the first operation with trained parameters
	views      []view
	loss       *loss
	optimizer  *optimizer

	step    int64
	metrics net.Metrics
	weights int64 // their version
	tracing bool
	closed  bool
	profile *profile // of the step that runs, or nil

	stage                     *stage // that runs
	downTo                    int    // operation where backward ends
	forwardTask, backwardTask func(w *worker, n int)
}

// operation is one operation of the chain: either sample or batch is set.
type operation struct {
	sample sampleOp
	batch  batchOp
	out    *activations
	layers []int // of the plan; none for the input
}

// stage is either one operation over the mini-batch, or several that treat each
// sample for itself and run on a sample one after the other.
type stage struct{ first, end int }

// view says where a layer's output and its gradient are seen; a layer that is
// part of a larger operation may have either alone.
type view struct {
	*activations
	value, grad bool
}

// newProgram plans operations and memory.
func newProgram(d *device, plan *net.Plan, opts net.Options) (*program, error) {
	if err := d.checkSizes(plan, opts); err != nil {
		return nil, err
	}
	p := &program{device: d, plan: plan, options: opts}
	p.takeParameters()
	p.chain()
	p.planGradients()
	p.stages = stagesOf(p.operations)
	last := p.operations[len(p.operations)-1].out
	p.loss = newLoss(d.workers, &p.pass, last, opts.Batch)
	p.optimizer = newOptimizer(d.workers, opts.Optimizer, p.params)
	p.forwardTask, p.backwardTask = p.forwardSample, p.backwardSample
	if err := p.SetState(net.InitialState(plan, opts.Seed)); err != nil {
		return nil, fmt.Errorf("cpu: initial state: %w", err)
	}
	return p, nil
}

// checkSizes refuses a mini-batch whose values between two layers could not be
// numbered by an int32, and a program that cannot fit the machine's memory: there
// Go would end the process. Sizes are multiplied as float64, which cannot
// overflow.
func (d *device) checkSizes(plan *net.Plan, opts net.Options) error {
	batch := float64(opts.Batch)
	values := float64(plan.Weights()) * float64(2+len(opts.Optimizer.Moments()))
	for _, l := range plan.Layers {
		most := float64(max(l.In.Size(), l.Out.Size())) * batch
		values += 2 * float64(l.Out.Size()) * batch // and its gradient
		if _, ok := l.Layer.(*net.Conv); ok {
			source, gradient := spreads(l)
			most = max(most, source.floatSize()*batch, gradient.floatSize())
			values += source.floatSize() * batch
			if l.Window.KernelH == l.Window.KernelW && d.kernels.Winograd(l.Window.KernelW) != nil {
				values += winogradProducts * float64(l.In.C) * float64(l.Out.C) // transformed weights
			}
		}
		if most > math.MaxInt32-asm.Slack {
			return fmt.Errorf("cpu: layer %d (%s) needs %.3g values for a mini-batch of %d, more than %d: take a smaller batch or smaller layers",
				l.Index, l.Name, most, opts.Batch, math.MaxInt32-asm.Slack)
		}
	}
	if total := totalMemory(); total > 0 && 4*values > total {
		return fmt.Errorf("cpu: the network needs about %.1f GB for a mini-batch of %d, more than the machine's %.1f GB: take a smaller batch or smaller layers",
			4*values/1e9, opts.Batch, total/1e9)
	}
	return nil
}

// takeParameters takes the memory of all parameters.
func (p *program) takeParameters() {
	for _, q := range p.plan.Params {
		n := q.Size()
		r := &parameter{Param: q, value: newBuffer(n)[:n]}
		if q.Trained {
			r.grad = make([]float32, n)
			for range p.options.Optimizer.Moments() {
				r.moments = append(r.moments, make([]float32, n))
			}
		}
		p.params = append(p.params, r)
	}
}

// chain makes the operations.
func (p *program) chain() {
	ws, batch := p.device.workers, p.options.Batch
	in := newActivations(p.plan.Network.Input.Size(), batch)
	p.operations = []operation{{sample: &input{&p.pass, p.device.kernels, in}, out: in}}
	seen := view{in, true, false}
	params := p.params
	for i := 0; i < len(p.plan.Layers); i++ {
		l := p.plan.Layers[i]
		of := map[net.Role]*parameter{}
		for range l.Params {
			of[params[0].Role] = params[0]
			params = params[1:]
		}
		if l.Layer.Kind() == (&net.Flatten{}).Kind() {
			p.views = append(p.views, seen)
			continue
		}
		if len(of) > 0 && p.lowest == 0 {
			p.lowest = len(p.operations)
		}
		out := newActivations(l.Out.Size(), batch)
		op := operation{out: out, layers: []int{i}}
		relu := p.isReLU(i + 1)
		fused := false
		switch layer := l.Layer.(type) {
		case *net.Conv:
			op.sample = newConv(ws, &p.pass, l, in, out, batch, of[net.Weight], of[net.Bias], relu)
			fused = relu
		case *net.Dense:
			op.batch = newDense(ws, &p.pass, l, in, out, batch, of[net.Weight], of[net.Bias], relu)
			fused = relu
		case *net.Pool:
			op.sample = newPool(&p.pass, layer.PoolMode(), l, in, out, batch)
		case *net.Activation:
			op.sample = &activation{layer, in, out}
		case *net.Dropout:
			op.sample = newDropout(&p.pass, l, layer.Rate, p.options.Seed, in, out, batch)
		case *net.BatchNorm:
			op.batch = newBatchNorm(ws, &p.pass, l, in, out, of)
		default:
			panic(fmt.Sprintf("BUG: layer of kind %s", l.Layer.Kind()))
		}
		if fused {
			op.layers = append(op.layers, i+1)
		}
		p.operations = append(p.operations, op)
		seen = view{out, true, true}
		if fused {
			// The layer's own output never exists; its gradient takes the place of
			// that by the ReLU's output.
			p.views = append(p.views, view{out, false, true})
			seen = view{out, true, false}
			i++
		}
		p.views = append(p.views, seen)
		in = out
	}
}

// planGradients makes what convolutions need for their gradients, which depends on
// what follows.
func (p *program) planGradients() {
	for i, op := range p.operations {
		if c, ok := op.sample.(*conv); ok {
			var next sampleOp
			if i+1 < len(p.operations) {
				next = p.operations[i+1].sample
			}
			c.planGradients(p.plan.Layers[op.layers[0]], next, p.options.Batch)
		}
	}
}

// isReLU reports whether layer i is a ReLU.
func (p *program) isReLU(i int) bool {
	if i >= len(p.plan.Layers) {
		return false
	}
	a, ok := p.plan.Layers[i].Layer.(*net.Activation)
	return ok && a.Func == net.ReLU
}

// stagesOf groups neighbouring operations that treat each sample for itself.
func stagesOf(operations []operation) []stage {
	var stages []stage
	for i, op := range operations {
		if i > 0 && op.sample != nil && operations[i-1].sample != nil {
			stages[len(stages)-1].end++
			continue
		}
		stages = append(stages, stage{i, i + 1})
	}
	return stages
}

// forward computes probabilities and, where compare is set, losses and hits of
// the samples b. Operations see b in p.pass.
func (p *program) forward(b net.Batch, training, frozen, compare bool) {
	p.pass = pass{Batch: b, training: training, frozen: frozen, traced: p.tracing, weights: p.weights, step: p.step}
	for i := range p.stages {
		s := &p.stages[i]
		p.stage = s
		p.profile.begin()
		if op := p.operations[s.first]; op.batch != nil {
			op.batch.forward()
			p.profile.end(net.Forward, op.layers)
		} else {
			for _, op := range p.operations[s.first:s.end] {
				if op, ok := op.sample.(weightOp); ok {
					op.ready()
				}
			}
			p.device.workers.do(b.Len(), p.forwardTask)
			p.profile.share(net.Forward, p.operations[s.first:s.end], s.first)
		}
	}
	p.profile.begin()
	p.loss.run(compare)
	p.profile.end(net.Loss, nil)
}

func (p *program) forwardSample(w *worker, n int) {
	for i := p.stage.first; i < p.stage.end; i++ {
		op := p.operations[i].sample
		if p.profile != nil {
			p.profile.timed(w, i, func() { op.forward(w, n) })
			continue
		}
		op.forward(w, n)
	}
}

// backward computes the gradients from the last operation down to the given
// one, whose input's gradient nobody needs.
func (p *program) backward(downTo int) {
	p.downTo = downTo
	for i := len(p.stages) - 1; i >= 0; i-- {
		s := &p.stages[i]
		if s.end <= downTo {
			break
		}
		p.stage = s
		p.profile.begin()
		if op := p.operations[s.first]; op.batch != nil {
			op.batch.backward(s.first > downTo)
			p.profile.end(net.Backward, op.layers)
			continue
		}
		first := max(s.first, downTo)
		for j := first; j < s.end; j++ {
			if op, ok := p.operations[j].sample.(weightOp); ok {
				p.profile.alone(j, func() { op.prepare(j > downTo) })
			}
		}
		p.device.workers.do(p.pass.Len(), p.backwardTask)
		for j := first; j < s.end; j++ {
			if op, ok := p.operations[j].sample.(weightOp); ok {
				p.profile.alone(j, op.finish)
			}
		}
		p.profile.share(net.Backward, p.operations[first:s.end], first)
	}
}

func (p *program) backwardSample(w *worker, n int) {
	for i := p.stage.end - 1; i >= max(p.stage.first, p.downTo); i-- {
		op := p.operations[i].sample
		if p.profile != nil {
			p.profile.timed(w, i, func() { op.backward(w, n, i > p.downTo) })
			continue
		}
		op.backward(w, n, i > p.downTo)
	}
}

// check refuses a call on a closed program and a batch that does not fit. most
// bounds the batch; 0 does not.
func (p *program) check(b net.Batch, most int) error {
	if err := p.open(); err != nil {
		return err
	}
	if err := b.Check(p.plan); err != nil {
		return err
	}
	if most > 0 && b.Len() > most {
		return fmt.Errorf("%w: %d samples, compiled for %d", net.ErrBatchSize, b.Len(), most)
	}
	return nil
}

func (p *program) open() error {
	if p.closed || p.device.closed {
		return net.ErrClosed
	}
	return nil
}

// Step trains on one mini-batch.
func (p *program) Step(b net.Batch) error {
	if err := p.check(b, p.options.Batch); err != nil {
		return err
	}
	p.forward(b, true, false, true)
	var m net.Metrics
	p.loss.add(&m)
	if p.lowest > 0 {
		p.backward(p.lowest)
		p.profile.begin()
		p.optimizer.run(p.step)
		p.weights++
		p.profile.end(net.Update, nil)
	}
	p.pass.Batch = net.Batch{}
	p.step++
	if math.IsNaN(m.Loss) || math.IsInf(m.Loss, 0) {
		m.FirstBad = p.step
	}
	p.metrics.Add(m)
	return nil
}

// Evaluate runs forward in evaluation mode, some samples at a time.
func (p *program) Evaluate(b net.Batch) error {
	return p.evaluate(b, true, func(net.Batch) { p.loss.add(&p.metrics) })
}

// mostEvaluated bounds the samples of a forward pass without a backward one:
// activations of more don't stay in the caches. It is a multiple of all vectors.
const mostEvaluated = 144

// evaluate runs forward in evaluation mode and calls done after each piece of
// the batch.
func (p *program) evaluate(b net.Batch, compare bool, done func(piece net.Batch)) error {
	if err := p.check(b, 0); err != nil {
		return err
	}
	for rest := b.Indices; len(rest) > 0; {
		n := min(len(rest), p.options.Batch, mostEvaluated)
		piece := net.Batch{Data: b.Data, Indices: rest[:n]}
		p.forward(piece, false, true, compare)
		done(piece)
		rest = rest[n:]
	}
	p.pass.Batch = net.Batch{}
	return nil
}

// Metrics returns the sums since the last call.
func (p *program) Metrics() (net.Metrics, error) {
	if err := p.open(); err != nil {
		return net.Metrics{}, err
	}
	m := p.metrics
	p.metrics = net.Metrics{FirstBad: m.FirstBad}
	return m, nil
}

// Infer returns the class probabilities.
func (p *program) Infer(b net.Batch) (*tensor.Dense, error) {
	var out []float32
	err := p.evaluate(b, false, func(piece net.Batch) {
		out = append(out, p.loss.probabilities[:piece.Len()*p.plan.Classes]...)
	})
	if err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(b.Len(), p.plan.Classes), tensor.WithBacking(out)), nil
}

// momentName is the name of a parameter's moment in a State.
func momentName(q net.Param, moment string) string { return q.Name + "." + moment }

// State returns a copy of weights and optimiser state.
func (p *program) State() (net.State, error) {
	if err := p.open(); err != nil {
		return net.State{}, err
	}
	s := net.State{Step: p.step, Params: map[string]*tensor.Dense{}, Optimizer: map[string]*tensor.Dense{}}
	for _, q := range p.params {
		s.Params[q.Name] = tensorOf(q.value, q.Dims...)
		for i, m := range q.moments {
			s.Optimizer[momentName(q.Param, p.options.Optimizer.Moments()[i])] = tensorOf(m, q.Dims...)
		}
	}
	return s, nil
}

// tensorOf copies values to a tensor.
func tensorOf(values []float32, dims ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(dims...), tensor.WithBacking(append([]float32(nil), values...)))
}

// SetState takes over a copy of s.
func (p *program) SetState(s net.State) error {
	if err := p.open(); err != nil {
		return err
	}
	if err := s.Check(p.plan, p.options.Optimizer); err != nil {
		return err
	}
	for _, q := range p.params {
		copy(q.value, s.Params[q.Name].Data().([]float32))
		for i, m := range q.moments {
			if t := s.Optimizer[momentName(q.Param, p.options.Optimizer.Moments()[i])]; t != nil {
				copy(m, t.Data().([]float32))
			} else {
				clear(m)
			}
		}
	}
	p.weights++
	p.step = s.Step
	p.metrics.FirstBad = 0
	return nil
}

// Close gives the memory back to the garbage collector.
func (p *program) Close() error {
	*p = program{closed: true}
	return nil
}

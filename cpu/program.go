package cpu

import (
	"errors"
	"fmt"
	"math"

	"github.com/gputrain/gputrain/net"
	"gorgonia.org/tensor"
)

// program is a compiled network.
type program struct {
	device  *device
	given   *net.Plan // what the program was compiled from; nil: plan
	plan    *net.Plan // for inference as if everything in it were frozen
	options net.Options
	pass    pass
	params  []*parameter // in the order of Plan.Params
	// The gradients of all trained parameters, one behind the other. They are those of the
	// mini-batch's parts so far, or of its last part; then those before are in earlier.
	gradients, earlier []float32

	all        sequence  // of traces
	training   sequence  // of a step
	evaluation sequence  // of an evaluation
	running    sequence  // the one of them that runs
	visible    []visible // indexed by node of the plan
	keepsAll   bool      // there is memory for the values of all layers at once
	folded     map[*blockConv]*folded
	planned    bool // operations have memory for the forward pass of training
	loss       *loss
	optimizer  *optimizer

	step    int64
	metrics net.Metrics
	sums    *sums // over the members of a group; nil without one
	weights int64 // version of the weights that are trained
	kept    int64 // version of all other parameters
	moved   int64 // version of the running statistics
	parts   int   // how many parts of a mini-batch have gradients that await an update
	swapped bool  // the averages are in the place of the weights
	tracing bool
	closed  bool
	profile *profile // the profile of the running step, or nil

	section                   *section // the section that runs
	forwardTask, backwardTask func(w *worker, n int)

	ins, trainingIns, evaluationIns [][]operand // of the operations of all, of training and of evaluation
	separate                        bool        // each gradient has memory of its own

	// For forwardCut:
	single              int   // the operation that runs
	cut                 cutOp // the same, if its samples are cut
	cutParts            int   // into how many parts each is cut
	singleTask, cutTask func(w *worker, task int)
}

// operation is one operation of the graph. Either sample or batch is set. Its
// inputs are outputs of earlier operations.
type operation struct {
	sample sampleOp
	batch  batchOp
	out    *activations
	layers []int // indices of the plan's layers; empty for the input
	learns bool  // it has a backward pass
}

// computes returns what computes the operation: its sample or its batch.
func (op operation) computes() any {
	if op.sample != nil {
		return op.sample
	}
	return op.batch
}

// sequence is the operations of a pass in their order, divided into sections.
type sequence struct {
	operations []operation
	sections   []section
}

// section is either one operation on the mini-batch, or neighbouring operations
// that treat each sample by itself. These run on one sample after the other, or on one
// group of samples after the other.
type section struct {
	first, end int
	group      int // samples in a group, about; 0 or 1 is one by one
}

// groups returns into how many groups the samples of a pass are divided: a multiple of the
// number of threads, if there are enough samples.
func (p *program) groups(s *section) int {
	samples, threads := p.pass.Len(), len(p.device.workers.all)
	if s.group <= 1 {
		return samples
	}
	rounds := (samples + threads*s.group - 1) / (threads * s.group)
	return min(samples, threads*rounds)
}

// samplesOf returns the samples of a group of the running section, from the first to the one
// before the end.
func (p *program) samplesOf(group int) (first, end int) {
	return part{group, p.groups(p.section)}.share(p.pass.Len())
}

// visible tells where a layer's output and its gradient can be read. A layer that
// is part of a larger operation may have only one of them, or none.
type visible struct {
	*activations
	value, grad bool
}

// Plan returns what the program was compiled from.
func (p *program) Plan() *net.Plan {
	if p.given != nil {
		return p.given
	}
	return p.plan
}

// Options returns the options with which it was compiled, without Images.
func (p *program) Options() net.Options { return p.options }

// forward computes probabilities for the samples of ps. If compare is set, it also
// computes losses and hits. Operations see ps as p.pass.
func (p *program) forward(ps pass, compare bool) {
	ps.traced, ps.weights, ps.kept, ps.running, ps.step = p.tracing, p.weights, p.kept, p.moved, p.step
	ps.counted = ps.share.Counted(ps.Len())
	p.pass = ps
	memory := inEvaluation
	switch p.running = p.evaluation; {
	case ps.traced:
		memory, p.running = inTrace, p.all
	case ps.training:
		memory, p.running = inTraining, p.training
	}
	for _, w := range p.device.workers.all {
		w.pass = memory
	}
	for i := range p.running.sections {
		s := &p.running.sections[i]
		p.section = s
		p.profile.begin()
		if op := p.running.operations[s.first]; op.batch != nil {
			op.batch.forward()
			p.profile.end(net.Forward, op.layers)
		} else {
			for _, op := range p.running.operations[s.first:s.end] {
				if op, ok := op.sample.(readyOp); ok {
					op.ready()
				}
			}
			if p.cutsSamples() {
				p.forwardCut()
			} else {
				p.device.workers.do(p.groups(s), p.forwardTask)
			}
			p.profile.share(net.Forward, p.running.operations, *s)
		}
	}
	p.profile.begin()
	p.loss.run(compare)
	p.profile.end(net.Loss, nil)
}

func (p *program) forwardSamples(w *worker, group int) {
	first, end := p.samplesOf(group)
	w.row, w.first = w.id, first
	for i := p.section.first; i < p.section.end; i++ {
		op := p.running.operations[i].sample
		if p.profile != nil {
			p.profile.timed(w, i, func() { forwardAll(w, op, first, end) })
			continue
		}
		forwardAll(w, op, first, end)
	}
}

// forwardAll computes the outputs of some samples.
func forwardAll(w *worker, op sampleOp, first, end int) {
	if together, ok := op.(groupOp); ok && end > first+1 {
		together.forwardGroup(w, first, end)
		return
	}
	for n := first; n < end; n++ {
		op.forward(w, n)
	}
}

// backwardAll is backward of some samples.
func backwardAll(w *worker, op sampleOp, first, end int) {
	if together, ok := op.(groupOp); ok && end > first+1 {
		together.backwardGroup(w, first, end)
		return
	}
	for n := first; n < end; n++ {
		op.backward(w, n)
	}
}

// cutsSamples reports whether so few samples are evaluated that more than a third of the
// threads' time would be lost if each sample were left to one thread.
func (p *program) cutsSamples() bool {
	samples, threads := p.pass.Len(), len(p.device.workers.all)
	rounds := (samples + threads - 1) / threads
	return !p.pass.training && threads > 1 && 2*rounds*threads > 3*samples
}

// mostCut is at least the number of samples that are cut: with three rounds or more, less
// than a third of the time is lost.
func mostCut(threads int) int { return (4*threads + 2) / 3 }

// forwardCut runs the operations of a section one after the other on all samples, and
// cuts the samples where that pays.
func (p *program) forwardCut() {
	ws := p.device.workers
	for i := p.section.first; i < p.section.end; i++ {
		p.cut, p.cutParts, p.single = nil, 1, i
		if op, ok := p.running.operations[i].sample.(cutOp); ok {
			p.cut, p.cutParts = op, min(len(ws.all), op.parts())
		}
		if p.cutParts > 1 {
			ws.do(p.pass.Len()*p.cutParts, p.cutTask)
		} else {
			ws.do(p.pass.Len(), p.singleTask)
		}
	}
}

func (p *program) forwardPart(w *worker, task int) {
	w.row, w.first = 0, 0 // a sample's values belong to no worker
	p.cut.forwardPart(w, task/p.cutParts, part{task % p.cutParts, p.cutParts})
}

func (p *program) forwardSingle(w *worker, n int) {
	w.row, w.first = 0, 0
	p.running.operations[p.single].sample.forward(w, n)
}

// backward computes the gradients, from the last operation to the first. It leaves
// out operations that don't learn.
func (p *program) backward() {
	for i := len(p.running.sections) - 1; i >= 0; i-- {
		s := &p.running.sections[i]
		if !p.learns(s) {
			continue
		}
		p.section = s
		p.profile.begin()
		if op := p.running.operations[s.first]; op.batch != nil {
			op.batch.backward()
			p.profile.end(net.Backward, op.layers)
			continue
		}
		for j := s.first; j < s.end; j++ {
			if op, ok := p.running.operations[j].sample.(weightOp); ok && p.running.operations[j].learns {
				p.profile.alone(j, op.prepare)
			}
		}
		p.device.workers.do(p.groups(s), p.backwardTask)
		for j := s.first; j < s.end; j++ {
			if op, ok := p.running.operations[j].sample.(weightOp); ok && p.running.operations[j].learns {
				p.profile.alone(j, op.finish)
			}
		}
		p.profile.share(net.Backward, p.running.operations, *s)
	}
}

// learns reports whether an operation of a section has a backward pass.
func (p *program) learns(s *section) bool {
	for _, op := range p.running.operations[s.first:s.end] {
		if op.learns {
			return true
		}
	}
	return false
}

func (p *program) backwardSamples(w *worker, group int) {
	first, end := p.samplesOf(group)
	for i := p.section.end - 1; i >= p.section.first; i-- {
		op := &p.running.operations[i]
		switch {
		case !op.learns:
		case p.profile != nil:
			p.profile.timed(w, i, func() { backwardAll(w, op.sample, first, end) })
		default:
			backwardAll(w, op.sample, first, end)
		}
	}
}

// check returns an error for a closed program, and for a batch that does not suit
// the plan or has more than most samples. A most of 0 is no limit.
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

// trains returns an error if the program is closed or can't train.
func (p *program) trains() error {
	if err := p.open(); err != nil {
		return err
	}
	return p.options.Training()
}

// Step trains on one mini-batch.
func (p *program) Step(b net.Batch) error { return p.StepShare(b, net.Whole(b.Len())) }

// StepShare is Step with a share of a mini-batch, of which the other members of
// the group have the others.
func (p *program) StepShare(b net.Batch, share net.Share) error {
	if p.parts > 0 {
		return fmt.Errorf("%w: an update is due before the next step", net.ErrUnfinished)
	}
	if err := p.Gradients(b, share); err != nil {
		return err
	}
	return p.Update()
}

// Gradients computes the gradients of a share of a mini-batch. It adds them to
// those since the last update.
func (p *program) Gradients(b net.Batch, share net.Share) error {
	if err := p.trains(); err != nil {
		return err
	}
	if err := p.check(b, p.options.Batch); err != nil {
		return err
	}
	if err := p.options.CheckShare(share, b.Len()); err != nil {
		return err
	}
	if err := p.turn(); err != nil {
		return err
	}
	p.forward(pass{Batch: b, share: share, together: true, training: true}, true)
	m := p.loss.metrics()
	if math.IsNaN(m.Loss) || math.IsInf(m.Loss, 0) {
		m.FirstBad = p.step + 1
	}
	p.metrics.Add(m)
	if p.parts > 0 {
		p.keep()
	}
	p.backward()
	if p.parts > 0 {
		p.optimizer.addKept()
	}
	p.pass.Batch = net.Batch{}
	p.parts++
	p.moved++
	return p.sums.failed()
}

// Update updates the weights with the gradients since the last update.
func (p *program) Update() error {
	if err := p.trains(); err != nil {
		return err
	}
	if err := p.turn(); err != nil {
		return err
	}
	if p.parts == 0 {
		return fmt.Errorf("%w: there are no gradients to update with", net.ErrUnfinished)
	}
	p.profile.begin()
	if err := p.sumGradients(); err != nil {
		return err
	}
	p.optimizer.run(p.step)
	p.weights++
	if _, back := p.options.AverageMove(p.step); back { // lookahead sets all parameters
		p.kept++
	}
	p.profile.end(net.Update, nil)
	p.parts = 0
	p.step++
	return nil
}

// turn returns an error while the averages are in the place of the weights.
// Callers that change weights ask it first.
func (p *program) turn() error {
	if p.swapped {
		return fmt.Errorf("%w: averages are in the place of the weights; SwapAverage changes back", net.ErrUnfinished)
	}
	return nil
}

// SwapAverage exchanges weights and running statistics with their averages.
func (p *program) SwapAverage() error {
	if err := p.open(); err != nil {
		return err
	}
	if !p.options.Averages() {
		return errors.New("cpu: no averages of the weights are kept: Options.Average is 0, and there is no Lookahead")
	}
	if p.parts > 0 {
		return fmt.Errorf("%w: an update is due before weights and averages are exchanged", net.ErrUnfinished)
	}
	p.optimizer.swapAll()
	p.weights++
	p.kept++
	p.swapped = !p.swapped
	return nil
}

// Evaluate runs forward passes in evaluation mode, on some samples at a time.
func (p *program) Evaluate(b net.Batch) (net.Metrics, error) {
	var sum net.Metrics
	err := p.evaluate(b, true, func(net.Batch) { p.loss.add(&sum) })
	return sum, err
}

// mostEvaluated is the most samples of a forward pass without a backward pass. The
// activations of more samples don't stay in the caches. It is a multiple of the
// lanes of every vector.
const mostEvaluated = 144

// evaluate runs forward passes in evaluation mode. It calls done after each piece
// of the batch.
func (p *program) evaluate(b net.Batch, compare bool, done func(piece net.Batch)) error {
	if err := p.check(b, 0); err != nil {
		return err
	}
	most := min(p.options.Batch, mostEvaluated)
	for lo := 0; lo < b.Len(); lo += most {
		piece := b.Part(lo, min(lo+most, b.Len()))
		p.forward(pass{Batch: piece}, compare)
		done(piece)
	}
	p.pass.Batch = net.Batch{}
	return nil
}

// TakeMetrics returns the sums of training since the last call, and sets them to 0.
// FirstBad stays.
func (p *program) TakeMetrics() (net.Metrics, error) {
	if err := p.open(); err != nil {
		return net.Metrics{}, err
	}
	m := p.metrics
	p.metrics = net.Metrics{FirstBad: m.FirstBad}
	return m, nil
}

// Infer returns the class probabilities, (b.Len(), classes). The caller owns the tensor.
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

// momentName is the name of moment i of a parameter in a State.
func (p *program) momentName(q net.Param, i int) string {
	return q.Name + "." + p.options.Optimizer.For(p.plan, q).Moments()[i]
}

// State returns a copy of the weights and the optimiser's state.
func (p *program) State() (net.State, error) {
	if err := p.open(); err != nil {
		return net.State{}, err
	}
	s := net.State{Step: p.step, Params: map[string]*tensor.Dense{}, Optimizer: map[string]*tensor.Dense{}}
	if p.options.Averages() {
		s.Average = map[string]*tensor.Dense{}
	}
	for _, q := range p.params {
		s.Params[q.Name] = tensorOf(q.value, q.Dims...)
		if q.average != nil {
			s.Average[q.Name] = tensorOf(q.average, q.Dims...)
		}
		for i, m := range q.moments {
			s.Optimizer[p.momentName(q.Param, i)] = tensorOf(m, q.Dims...)
		}
	}
	return s, nil
}

// tensorOf copies values to a tensor.
func tensorOf(values []float32, dims ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(dims...), tensor.WithBacking(append([]float32(nil), values...)))
}

// SetState replaces weights and optimiser state with a copy of s.
func (p *program) SetState(s net.State) error {
	if err := p.open(); err != nil {
		return err
	}
	if err := s.Check(p.plan, p.options.Optimizer); err != nil {
		return err
	}
	if err := p.turn(); err != nil {
		return err
	}
	averages := s.Average
	if len(averages) == 0 {
		averages = s.Params
	}
	for _, q := range p.params {
		copy(q.value, s.Params[q.Name].Data().([]float32))
		copy(q.average, averages[q.Name].Data().([]float32))
		for i, m := range q.moments {
			if t := s.Optimizer[p.momentName(q.Param, i)]; t != nil {
				copy(m, t.Data().([]float32))
			} else {
				clear(m)
			}
		}
	}
	p.weights++
	p.kept++
	p.step = s.Step
	p.metrics.FirstBad = 0
	p.parts = 0
	return nil
}

// Close gives the memory back to the garbage collector.
func (p *program) Close() error {
	*p = program{closed: true}
	return nil
}

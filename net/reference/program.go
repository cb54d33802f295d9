package reference

import (
	"fmt"
	"iter"
	"math"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// program is a network with its weights and the optimiser's state. All values
// kept from step to step are float64 that a float32 holds exactly.
type program struct {
	given    *net.Plan
	plan     *net.Plan // the given one; for inference as if everything in it were frozen
	opts     net.Options
	layers   []*Layer
	moments  map[string]map[string][]float64 // by Param.Name and moment
	averages map[string][]float64            // of parameters, by Param.Name; nil if none are kept
	swapped  bool                            // the layers have the averages, averages has the weights
	grads    [][]float64                     // of the trained parameters, summed since the last update; nil if there are none
	step     int64
	metrics  net.Metrics // FirstBad is not kept here: it outlives the sums
	firstBad int64
	closed   bool
}

func (p *program) Plan() *net.Plan { return p.given }

func (p *program) Options() net.Options { return p.opts }

// trains returns an error if the program is closed or can't train.
func (p *program) trains() error {
	if p.closed {
		return net.ErrClosed
	}
	return p.opts.Training()
}

func (p *program) Step(b net.Batch) error {
	if p.grads != nil {
		return fmt.Errorf("%w: an update is due before the next step", net.ErrUnfinished)
	}
	if err := p.Gradients(b, net.Whole(b.Len())); err != nil {
		return err
	}
	return p.Update()
}

func (p *program) Gradients(b net.Batch, share net.Share) error {
	if err := p.trains(); err != nil {
		return err
	}
	if err := p.checkSized(b); err != nil {
		return err
	}
	if err := share.Check(b.Len()); err != nil {
		return err
	}
	if err := p.checkTurn(); err != nil {
		return err
	}
	outputs := p.forward(b, net.Training, share.First)
	loss := p.loss(outputs, b, net.Training)
	p.metrics.Add(metrics(loss, b.Len()))
	if p.firstBad == 0 && !finite(loss.Sum) {
		p.firstBad = p.step + 1
	}
	// The loss's gradient is that of the mean over this batch. In the mean over the whole
	// mini-batch, each sample counts less.
	weight := float64(b.Len()) / float64(share.Total)
	for i := range loss.Gradient {
		loss.Gradient[i] *= weight
	}
	_, paramGrads := p.backward(loss.Gradient)
	trained := p.plan.Trained()
	if p.grads == nil {
		p.grads = make([][]float64, len(trained))
	}
	for i, q := range trained {
		p.grads[i] = accumulate(p.grads[i], paramGrads[q.Layer][q.Role])
	}
	for _, l := range p.layers {
		if mean, variance := l.RunningStatistics(); mean != nil {
			round(mean)
			round(variance)
			l.Params[net.RunningMean], l.Params[net.RunningVar] = mean, variance
		}
	}
	return nil
}

func (p *program) Update() error {
	if err := p.trains(); err != nil {
		return err
	}
	if err := p.checkTurn(); err != nil {
		return err
	}
	if p.grads == nil {
		return fmt.Errorf("%w: there are no gradients to update with", net.ErrUnfinished)
	}
	Clip(p.opts.Optimizer.ClipNorm, p.grads)
	for i, q := range p.plan.Trained() {
		w, moments := p.layers[q.Layer].Params[q.Role], p.moments[q.Name]
		Update(p.opts.Optimizer.For(p.plan, q), p.step, q.Dims[0], w, p.grads[i], moments)
		round(w)
		for _, m := range moments {
			round(m)
		}
	}
	for _, q := range p.plan.Params {
		if p.averages != nil {
			a, w := p.averages[q.Name], p.layers[q.Layer].Params[q.Role]
			Average(p.opts, p.step, a, w)
			round(a)
			round(w)
		}
	}
	p.grads = nil
	p.step++
	return nil
}

func (p *program) SwapAverage() error {
	switch {
	case p.closed:
		return net.ErrClosed
	case p.averages == nil:
		return fmt.Errorf("no averages of the weights are kept: Options.Average is 0, and there is no Lookahead")
	case p.grads != nil:
		return fmt.Errorf("%w: an update is due before weights and averages are exchanged", net.ErrUnfinished)
	}
	for _, q := range p.plan.Params {
		params := p.layers[q.Layer].Params
		params[q.Role], p.averages[q.Name] = p.averages[q.Name], params[q.Role]
	}
	p.swapped = !p.swapped
	return nil
}

// checkTurn returns an error while the averages are in the weights' place.
func (p *program) checkTurn() error {
	if p.swapped {
		return fmt.Errorf("%w: the averages are in the place of the weights; SwapAverage changes back", net.ErrUnfinished)
	}
	return nil
}

// accumulate returns sum + g, or g if sum is nil.
func accumulate(sum, g []float64) []float64 {
	if sum == nil {
		return g
	}
	for i, v := range g {
		sum[i] += v
	}
	return sum
}

func (p *program) Evaluate(b net.Batch) (net.Metrics, error) {
	var m net.Metrics
	if err := p.check(b); err != nil {
		return m, err
	}
	for sample := range samples(b) {
		m.Add(metrics(p.loss(p.forward(sample, net.Evaluation, 0), sample, net.Evaluation), 1))
	}
	return m, nil
}

func (p *program) Infer(b net.Batch) (*tensor.Dense, error) {
	if err := p.check(b); err != nil {
		return nil, err
	}
	var probabilities []float64
	for sample := range samples(b) {
		outputs := p.forward(sample, net.Evaluation, 0)
		probabilities = append(probabilities, softmax(outputs[len(outputs)-1], p.plan.Classes)...)
	}
	return dense(probabilities, b.Len(), p.plan.Classes), nil
}

func (p *program) TakeMetrics() (net.Metrics, error) {
	if p.closed {
		return net.Metrics{}, net.ErrClosed
	}
	m := p.metrics
	m.FirstBad = p.firstBad
	p.metrics = net.Metrics{}
	return m, nil
}

func (p *program) State() (net.State, error) {
	if p.closed {
		return net.State{}, net.ErrClosed
	}
	s := net.State{Step: p.step, Params: map[string]*tensor.Dense{}, Optimizer: map[string]*tensor.Dense{}}
	if p.averages != nil {
		s.Average = map[string]*tensor.Dense{}
	}
	for _, q := range p.plan.Params {
		s.Params[q.Name] = dense(p.layers[q.Layer].Params[q.Role], q.Dims...)
		if p.averages != nil {
			s.Average[q.Name] = dense(p.averages[q.Name], q.Dims...)
		}
		for name, m := range p.moments[q.Name] {
			s.Optimizer[q.Name+"."+name] = dense(m, q.Dims...)
		}
	}
	return s, nil
}

func (p *program) SetState(s net.State) error {
	if p.closed {
		return net.ErrClosed
	}
	if err := s.Check(p.plan, p.opts.Optimizer); err != nil {
		return err
	}
	if err := p.checkTurn(); err != nil {
		return err
	}
	p.load(s)
	return nil
}

// load copies a state into the program. The state must fit.
func (p *program) load(s net.State) {
	for _, l := range p.layers {
		l.Params = map[net.Role][]float64{}
		for _, q := range l.Node.Params {
			l.Params[q.Role] = widen(s.Params[q.Name])
		}
	}
	p.moments = map[string]map[string][]float64{}
	for _, q := range p.plan.Trained() {
		p.moments[q.Name] = map[string][]float64{}
		for _, name := range p.opts.Optimizer.For(p.plan, q).Moments() {
			m := make([]float64, q.Size())
			if t := s.Optimizer[q.Name+"."+name]; t != nil {
				m = widen(t)
			}
			p.moments[q.Name][name] = m
		}
	}
	p.averages = nil
	if p.opts.Averages() {
		p.averages = map[string][]float64{}
		for _, q := range p.plan.Params {
			t := s.Params[q.Name]
			if len(s.Average) > 0 {
				t = s.Average[q.Name]
			}
			p.averages[q.Name] = widen(t)
		}
	}
	p.step, p.firstBad, p.grads = s.Step, 0, nil
}

// Close releases all memory. A second Close does nothing.
func (p *program) Close() error {
	*p = program{closed: true}
	return nil
}

func (p *program) Trace(b net.Batch, mode net.Mode) (*net.Trace, error) {
	if err := p.checkSized(b); err != nil {
		return nil, err
	}
	if p.grads != nil {
		return nil, fmt.Errorf("%w: an update is due before a trace", net.ErrUnfinished)
	}
	if mode == net.Training {
		if err := p.opts.Training(); err != nil {
			return nil, err
		}
	}
	n := b.Len()
	outputs := p.forward(b, mode, 0)
	loss := p.loss(outputs, b, mode)
	t := &net.Trace{
		Loss:          loss.Sum / float64(n),
		Hits:          int64(loss.Hits),
		Probabilities: dense(loss.Probabilities, n, p.plan.Classes),
		Layers:        make([]net.LayerTrace, len(p.layers)),
	}
	for i, l := range p.layers {
		t.Layers[i].Output = dense(outputs[i], n, l.Out.C, l.Out.H, l.Out.W)
	}
	if mode == net.Evaluation {
		return t, nil
	}
	outputGrads, paramGrads := p.backward(loss.Gradient)
	for i, l := range p.layers {
		if l.Learns {
			t.Layers[i].OutputGrad = dense(outputGrads[i], n, l.Out.C, l.Out.H, l.Out.W)
		}
		t.Layers[i].ParamGrads = map[net.Role]*tensor.Dense{}
		for _, q := range l.Node.Params {
			if q.Trained {
				t.Layers[i].ParamGrads[q.Role] = dense(paramGrads[i][q.Role], q.Dims...)
			}
		}
	}
	return t, nil
}

// check returns an error for a batch that does not fit. It may have any size.
func (p *program) check(b net.Batch) error {
	if p.closed {
		return net.ErrClosed
	}
	return b.Check(p.plan)
}

// checkSized is check for calls that take no more than Options.Batch samples.
func (p *program) checkSized(b net.Batch) error {
	if err := p.check(b); err != nil {
		return err
	}
	if b.Len() > p.opts.Batch {
		return fmt.Errorf("%w: %d samples, compiled for %d", net.ErrBatchSize, b.Len(), p.opts.Batch)
	}
	return nil
}

// forward returns the output of every layer. first is the number of samples before the
// batch in a larger mini-batch.
func (p *program) forward(b net.Batch, mode net.Mode, first int) [][]float64 {
	input := Input(b, p.plan.Network.Input)
	outputs := make([][]float64, len(p.layers))
	for i, l := range p.layers {
		var x [][]float64
		for _, from := range l.Inputs {
			if from == net.NetworkInput {
				x = append(x, input)
			} else {
				x = append(x, outputs[from])
			}
		}
		outputs[i] = l.Forward(x, b.Len(), mode, Place{p.step, first})
	}
	return outputs
}

// loss returns the loss for the last of the outputs, the logits. In Training mode it is
// that of the options, in Evaluation mode plain cross-entropy.
func (p *program) loss(outputs [][]float64, b net.Batch, mode net.Mode) Loss {
	logits := outputs[len(outputs)-1]
	labels := make([]int32, b.Len())
	for i, at := range b.Indices {
		labels[i] = b.Data.Labels[at]
	}
	if mode == net.Evaluation {
		return SoftmaxCrossEntropy(logits, labels, p.plan.Classes)
	}
	return CrossEntropy(logits, Targets(p.opts.Loss, b, p.plan.Classes), labels, p.plan.Classes)
}

// backward returns the gradients with respect to every layer's output, summed over its
// uses, and with respect to its trained parameters. dy is the gradient with respect to the
// logits. Layers that learn nothing have nil.
func (p *program) backward(dy []float64) (outputs [][]float64, params []map[net.Role][]float64) {
	outputs = make([][]float64, len(p.layers))
	params = make([]map[net.Role][]float64, len(p.layers))
	outputs[len(outputs)-1] = dy
	for i := len(p.layers) - 1; i >= 0; i-- {
		l := p.layers[i]
		if !l.Learns {
			continue
		}
		var dx [][]float64
		dx, params[i] = l.Backward(outputs[i])
		for k, from := range l.Inputs {
			if from != net.NetworkInput && p.layers[from].Learns {
				outputs[from] = accumulate(outputs[from], dx[k])
			}
		}
	}
	return outputs, params
}

// samples gives the samples of b as batches of one. In evaluation mode, samples don't
// depend on each other. So a batch of any size needs the memory of one sample.
func samples(b net.Batch) iter.Seq[net.Batch] {
	return func(yield func(net.Batch) bool) {
		for i := range b.Indices {
			if !yield(b.Part(i, i+1)) {
				return
			}
		}
	}
}

// metrics returns the loss and hits of n samples.
func metrics(l Loss, n int) net.Metrics {
	return net.Metrics{Samples: int64(n), Loss: l.Sum, Hits: int64(l.Hits)}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// round rounds values to the nearest float32, because a State holds float32. Without it,
// saving would lose bits, and a resumed run would differ from one that went on.
func round(values []float64) {
	for i, v := range values {
		values[i] = float64(float32(v))
	}
}

// dense returns values as a float32 tensor with memory of its own.
func dense(values []float64, dims ...int) *tensor.Dense {
	narrow := make([]float32, len(values))
	for i, v := range values {
		narrow[i] = float32(v)
	}
	return tensor.New(tensor.WithShape(dims...), tensor.WithBacking(narrow))
}

// widen returns a copy of the values of t.
func widen(t *tensor.Dense) []float64 {
	narrow := t.Float32s()
	wide := make([]float64, len(narrow))
	for i, v := range narrow {
		wide[i] = float64(v)
	}
	return wide
}

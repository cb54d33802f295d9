package verify

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// Judge checks the results of programs, for one network and one set of options. Each
// method takes the program's state before the call that it judges.
type Judge struct {
	plan *net.Plan
	opts net.Options
	unit float64
}

// NewJudge returns a judge for programs that are compiled from n with opts.
func NewJudge(n *net.Network, opts net.Options) (*Judge, error) {
	plan, err := n.Plan()
	if err != nil {
		return nil, err
	}
	if err := opts.CheckFor(plan); err != nil {
		return nil, err
	}
	opts.Images = nil
	return &Judge{plan: plan, opts: opts, unit: Roundoff}, nil
}

// SetRoundoff sets the unit roundoff of the device. The default is [Roundoff]. Devices that
// multiply in a shorter format have a greater one.
func (j *Judge) SetRoundoff(unit float64) { j.unit = unit }

// Plan returns the network's plan.
func (j *Judge) Plan() *net.Plan { return j.plan }

// Trace judges a trace layer by layer, by replay. It judges loss, probabilities and hits
// from the trace's own logits.
func (j *Judge) Trace(st net.State, b net.Batch, mode net.Mode, tr *net.Trace) []Check {
	if len(tr.Layers) != len(j.plan.Nodes) {
		return []Check{{
			Layer: -1, What: "layers", Error: math.Inf(1),
			Detail: fmt.Sprintf("the trace has %d layers, the network %d", len(tr.Layers), len(j.plan.Nodes)),
		}}
	}
	p := j.run(st, b, net.Whole(b.Len()), mode, tr)
	var checks []Check
	for i, l := range tr.Layers {
		last := i == len(tr.Layers)-1
		checks = append(checks, tensorOrFused(i, "output", l.Output, !last, p.out[i], p.eout[i], p.dims(i)))
		if mode == net.Evaluation {
			if l.OutputGrad != nil || l.ParamGrads != nil {
				checks = append(checks, Check{Layer: i, What: "gradients", Error: math.Inf(1), Detail: "present in evaluation mode"})
			}
			continue
		}
		switch {
		case p.layers[i].Learns:
			checks = append(checks, tensorOrFused(i, "output gradient", l.OutputGrad, true, p.outGrads[i], p.outBounds[i], p.dims(i)))
		case l.OutputGrad != nil:
			checks = append(checks, Check{Layer: i, What: "output gradient", Error: math.Inf(1), Detail: "present, though nothing before it is trained"})
		}
		checks = append(checks, p.gradientChecks(i, l.ParamGrads)...)
	}
	checks = append(checks, compareTensor(-1, "probabilities", tr.Probabilities, p.loss.Probabilities, p.probBound, p.n, j.plan.Classes))
	return append(checks, p.lossChecks(tr.Loss, tr.Hits)...)
}

// EndToEnd judges a trace from the batch alone: logits, probabilities, loss, hits and the
// parameters' gradients. The batch must come from Choose.
func (j *Judge) EndToEnd(st net.State, b net.Batch, mode net.Mode, tr *net.Trace) []Check {
	last := len(j.plan.Nodes) - 1
	if len(tr.Layers) != last+1 {
		return j.Trace(st, b, mode, tr)
	}
	p := j.run(st, b, net.Whole(b.Len()), mode, nil)
	checks := []Check{
		compareTensor(-1, "logits", tr.Layers[last].Output, p.out[last], p.eout[last], p.dims(last)...),
		compareTensor(-1, "probabilities", tr.Probabilities, p.loss.Probabilities, p.probBound, p.n, j.plan.Classes),
	}
	checks = append(checks, p.lossChecks(tr.Loss, tr.Hits)...)
	if mode == net.Training {
		for i, l := range tr.Layers {
			checks = append(checks, p.gradientChecks(i, l.ParamGrads)...)
		}
	}
	return checks
}

// Infer judges the class probabilities that a program's Infer returned in state st. The
// batch may have any size.
func (j *Judge) Infer(st net.State, b net.Batch, probabilities *tensor.Dense) []Check {
	p := j.run(st, b, net.Whole(b.Len()), net.Evaluation, nil)
	return []Check{compareTensor(-1, "probabilities", probabilities, p.loss.Probabilities, p.probBound, p.n, j.plan.Classes)}
}

// Evaluate judges what Evaluate returned for a batch of any size.
func (j *Judge) Evaluate(st net.State, b net.Batch, m net.Metrics) []Check {
	return metricsChecks([]*pass{j.run(st, b, net.Whole(b.Len()), net.Evaluation, nil)}, m)
}

// Step judges a training step from state before, which gave metrics m and state after. It
// judges the loss, and every element of the weights, the moving averages, the optimiser's
// moments and the running statistics. The batch must come from Choose.
func (j *Judge) Step(before net.State, b net.Batch, m net.Metrics, after net.State) []Check {
	return j.Update(before, []net.Batch{b}, m, after)
}

// Update is Step for an update whose mini-batch was computed in pieces: Gradients on each,
// in order, and then Update. Within the rounding of float64, the right result is that of
// the whole mini-batch, unless the network has batch normalisation, which sees each piece
// by itself. The samples, in order, must be those of one batch from Choose.
func (j *Judge) Update(before net.State, pieces []net.Batch, m net.Metrics, after net.State) []Check {
	share := net.Share{}
	for _, b := range pieces {
		share.Total += b.Len()
	}
	var passes []*pass
	for _, b := range pieces {
		passes = append(passes, j.run(before, b, share, net.Training, nil))
		share.First += b.Len()
	}
	return j.updated(passes, before, m, after)
}

// Replay is Step for a batch with samples near kinks. The device must have made a trace of
// the batch in the same state. The step is judged from the trace's values. [Judge.Trace]
// judges these values themselves.
func (j *Judge) Replay(before net.State, b net.Batch, tr *net.Trace, m net.Metrics, after net.State) []Check {
	return j.updated([]*pass{j.run(before, b, net.Whole(b.Len()), net.Training, tr)}, before, m, after)
}

// updated judges the update that the gradients of passes make.
func (j *Judge) updated(passes []*pass, before net.State, m net.Metrics, after net.State) []Check {
	if err := after.Check(j.plan, j.opts.Optimizer); err != nil {
		return []Check{{Layer: -1, What: "state", Error: math.Inf(1), Detail: err.Error()}}
	}
	checks := metricsChecks(passes, m)
	if after.Step != before.Step+1 {
		checks = append(checks, Check{
			Layer: -1, What: "step count", Error: math.Inf(1),
			Detail: fmt.Sprintf("got %d, want %d", after.Step, before.Step+1),
		})
	}
	updates, more := j.updateChecks(passes, before, after)
	checks = append(checks, more...)
	_, back := j.opts.AverageMove(before.Step)
	for i, node := range j.plan.Nodes {
		for _, q := range node.Params {
			norm, is := node.Layer.(*net.BatchNorm)
			if q.Trained || is && !norm.Settled() && (q.Role == net.RunningMean || q.Role == net.RunningVar) {
				continue
			}
			old := widen(before.Params[q.Name].Float32s())
			if updates[q.Name] = (update{old: old, want: old, tol: make([]float64, len(old))}); back {
				continue // to a slow weight, which differs if the state came so
			}
			if !slices.Equal(after.Params[q.Name].Float32s(), before.Params[q.Name].Float32s()) {
				checks = append(checks, Check{Layer: i, What: string(q.Role), Error: math.Inf(1), Detail: "is frozen, but has changed"})
			}
		}
		var statistics [2]bounded // running mean and variance as they move from piece to piece
		for _, p := range passes {
			l := p.layers[i]
			if statistics[0].values != nil {
				l.Params[net.RunningMean], l.Params[net.RunningVar] = statistics[0].values, statistics[1].values
			}
			mean, variance := l.RunningStatistics()
			if mean == nil {
				break
			}
			meanBound, varianceBound := statisticsBounds(j.unit, l, p.n, p.in[i][0], p.ein[i][0], mean, variance)
			momentum, _ := l.Layer.(*net.BatchNorm).Settings()
			statistics[0].move(1-momentum, mean, meanBound)
			statistics[1].move(1-momentum, variance, varianceBound)
		}
		for k, role := range []net.Role{net.RunningMean, net.RunningVar} {
			if s := statistics[k]; s.values != nil {
				name := j.plan.Nodes[i].Name + "." + string(role)
				u := update{old: s.values, want: s.values, tol: make([]float64, len(s.values))}
				for k := range u.tol {
					u.tol[k] = safety*s.err + least
				}
				if updates[name] = u; back {
					continue
				}
				checks = append(checks, compare(i, string(role), after.Params[name].Float32s(), s.values, s.bound))
			}
		}
	}
	return append(checks, j.moveChecks(updates, before, after)...)
}

// bounded are values and their bound.
type bounded struct {
	values []float64
	bound
}

// move sets new values. The error of the old values is still in them, times rest.
func (v *bounded) move(rest float64, values []float64, b bound) {
	v.values, v.bound = values, bound{rest*v.err + b.err, max(v.scale, b.scale)}
}

// metricsChecks compares the metrics of batches taken together.
func metricsChecks(passes []*pass, m net.Metrics) []Check {
	samples := 0
	for _, p := range passes {
		samples += p.n
	}
	checks := lossChecks(passes, m.Loss/float64(samples), m.Hits)
	if m.Samples != int64(samples) {
		checks = append(checks, Check{
			Layer: -1, What: "samples", Error: math.Inf(1),
			Detail: fmt.Sprintf("got %d, want %d", m.Samples, samples),
		})
	}
	return checks
}

// gradientChecks compares the gradients of layer i's trained parameters.
func (p *pass) gradientChecks(i int, got map[net.Role]*tensor.Dense) []Check {
	var checks []Check
	trained := 0
	for _, q := range p.plan.Nodes[i].Params {
		if q.Trained {
			trained++
			checks = append(checks, compareTensor(i, string(q.Role)+" gradient", got[q.Role], p.params[i][q.Role], p.paramBound[i][q.Role], q.Dims...))
		}
	}
	if len(got) > trained {
		checks = append(checks, Check{
			Layer: i, What: "gradients", Error: math.Inf(1),
			Detail: fmt.Sprintf("%d parameters have one, %d are trained", len(got), trained),
		})
	}
	return checks
}

// tensorOrFused compares a tensor that a fusing device may leave nil.
func tensorOrFused(layer int, what string, got *tensor.Dense, fusible bool, want []float64, b bound, dims []int) Check {
	if got == nil && fusible {
		return Check{Layer: layer, What: what, Fused: true, OK: true}
	}
	return compareTensor(layer, what, got, want, b, dims...)
}

// ErrKinks means that every sample that was tried is near a kink of the network.
var ErrKinks = errors.New("no batch is clear of kinks")

// Choose returns a batch of n samples for a training step from state st. None of them is
// within rounding of a kink. Choose tries the candidates, with their views, in order, and
// skips those that are too near. It tries some tens of candidates for each sample of the
// batch. If too few are left, it returns fewer samples than n, but at least one. If none
// is left, it gives ErrKinks.
func (j *Judge) Choose(st net.State, candidates net.Batch, n int) (net.Batch, error) {
	if candidates.Len() > 0 {
		if err := candidates.Check(j.plan); err != nil {
			return net.Batch{}, err
		}
	}
	tried := 0
	for ; n > 0; n /= 2 {
		some := candidates.Part(0, min(candidates.Len(), mostTried(n)))
		if b, ok := j.choose(st, some, n); ok {
			return b, nil
		}
		tried = max(tried, some.Len())
	}
	return net.Batch{}, fmt.Errorf("%w: none of %d samples of data set %s keeps clear of the kinks of network %s", ErrKinks, tried, candidates.Data.Name, j.plan.Network.Name)
}

// mostTried is the most samples that are tried for a batch of n. In a deep network, nearly
// every sample is near some kink, and each try costs a forward pass.
func mostTried(n int) int { return 32 * (n + 1) }

func (j *Judge) choose(st net.State, candidates net.Batch, n int) (net.Batch, bool) {
	if n > candidates.Len() {
		return net.Batch{}, false
	}
	b := candidates.Part(0, n)
	b.Indices, b.Views = slices.Clone(b.Indices), slices.Clone(b.Views)
	next := n
	for {
		clear := true
		for i, narrow := range j.forward(st, b, 0, net.Training, nil, true).narrow {
			if !narrow {
				continue
			}
			if next == candidates.Len() {
				return net.Batch{}, false
			}
			b.Indices[i] = candidates.Indices[next]
			if b.Views != nil {
				b.Views[i] = candidates.Views[next]
			}
			next++
			clear = false
		}
		if clear {
			return b, true
		}
	}
}

// updateChecks compares the moments after an update with those that the sum of the passes'
// gradients gives, and says what the weights should be.
func (j *Judge) updateChecks(passes []*pass, before, after net.State) (map[string]update, []Check) {
	trained := j.plan.Trained()
	grads, errs := make([][]float64, len(trained)), make([]float64, len(trained))
	for i, q := range trained {
		grads[i] = slices.Clone(passes[0].params[q.Layer][q.Role])
		sum := passes[0].paramBound[q.Layer][q.Role]
		for _, p := range passes[1:] {
			for k, v := range p.params[q.Layer][q.Role] {
				grads[i][k] += v
			}
			sum = sumBound(j.unit, grads[i], sum, p.paramBound[q.Layer][q.Role])
		}
		errs[i] = safety * sum.err
	}
	unclipped := norm(grads)
	reference.Clip(j.opts.Optimizer.ClipNorm, grads)
	if clipped := norm(grads); clipped < unclipped {
		// The norm has the relative error of a sum of squares. The gradients' errors add to
		// it as much as they are themselves, because they are independent.
		relative := j.unit * math.Sqrt(float64(j.plan.Weights()))
		for i := range errs {
			errs[i] = 2*errs[i]*clipped/unclipped + safety*relative*sizeOf(grads[i]).max
		}
	}
	var checks []Check
	updates := map[string]update{}
	for i, q := range trained {
		var some []Check
		updates[q.Name], some = j.updateCheck(q, grads[i], errs[i], before, after)
		checks = append(checks, some...)
	}
	return updates, checks
}

func norm(grads [][]float64) float64 {
	var sum float64
	for _, g := range grads {
		for _, v := range g {
			sum += v * v
		}
	}
	return math.Sqrt(sum)
}

package verify

import (
	"fmt"
	"math"
	"slices"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// Judge compares what a program of one network and its options computed with
// exact arithmetic. Its methods take the program's state before the call that is
// judged.
type Judge struct {
	plan *net.Plan
	opts net.Options
	unit float64
}

// NewJudge returns a judge of programs compiled from n with opts.
func NewJudge(n *net.Network, opts net.Options) (*Judge, error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	plan, err := n.Plan()
	if err != nil {
		return nil, err
	}
	return &Judge{plan: plan, opts: opts, unit: Roundoff}, nil
}

// SetRoundoff makes the judge expect results of another unit roundoff than
// [Roundoff], as on devices that multiply in a shorter format.
func (j *Judge) SetRoundoff(unit float64) { j.unit = unit }

// Plan returns the network's plan.
func (j *Judge) Plan() *net.Plan { return j.plan }

// Trace judges a trace layer by layer, by replay, and loss, probabilities and
// hits from the trace's own logits.
func (j *Judge) Trace(st net.State, b net.Batch, mode net.Mode, tr *net.Trace) []Check {
	if len(tr.Layers) != len(j.plan.Layers) {
		return []Check{{
			Layer: -1, What: "layers", Error: math.Inf(1),
			Detail: fmt.Sprintf("the trace has %d layers, the network %d", len(tr.Layers), len(j.plan.Layers)),
		}}
	}
	p := j.run(st, b, mode, tr)
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
		checks = append(checks, tensorOrFused(i, "output gradient", l.OutputGrad, true, p.outGrads[i], p.outBounds[i], p.dims(i)))
		checks = append(checks, p.gradientChecks(i, l.ParamGrads)...)
	}
	checks = append(checks, compareTensor(-1, "probabilities", tr.Probabilities, p.loss.Probabilities, p.probBound, p.n, j.plan.Classes))
	return append(checks, p.lossChecks(tr.Loss, tr.Hits)...)
}

// Chain judges a trace from the batch alone: logits, probabilities, loss, hits
// and the parameters' gradients. The batch must be one of Choose.
func (j *Judge) Chain(st net.State, b net.Batch, mode net.Mode, tr *net.Trace) []Check {
	p := j.run(st, b, mode, nil)
	last := len(j.plan.Layers) - 1
	if len(tr.Layers) != last+1 {
		return j.Trace(st, b, mode, tr)
	}
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

// Infer judges the class probabilities of a batch of any size.
func (j *Judge) Infer(st net.State, b net.Batch, probabilities *tensor.Dense) []Check {
	p := j.run(st, b, net.Evaluation, nil)
	return []Check{compareTensor(-1, "probabilities", probabilities, p.loss.Probabilities, p.probBound, p.n, j.plan.Classes)}
}

// Evaluate judges the metrics of one evaluated batch.
func (j *Judge) Evaluate(st net.State, b net.Batch, m net.Metrics) []Check {
	return j.run(st, b, net.Evaluation, nil).metricsChecks(m)
}

// Step judges a training step from state before, which gave metrics m and state
// after: the loss, and every element of the weights, the optimiser's moments and
// the running statistics. The batch must be one of Choose.
func (j *Judge) Step(before net.State, b net.Batch, m net.Metrics, after net.State) []Check {
	if err := after.Check(j.plan, j.opts.Optimizer); err != nil {
		return []Check{{Layer: -1, What: "state", Error: math.Inf(1), Detail: err.Error()}}
	}
	p := j.run(before, b, net.Training, nil)
	checks := p.metricsChecks(m)
	if after.Step != before.Step+1 {
		checks = append(checks, Check{
			Layer: -1, What: "step count", Error: math.Inf(1),
			Detail: fmt.Sprintf("got %d, want %d", after.Step, before.Step+1),
		})
	}
	checks = append(checks, j.updateChecks(p, before, after)...)
	for i, l := range p.layers {
		if mean, variance := l.RunningStatistics(); mean != nil {
			meanBound, varianceBound := statisticsBounds(j.unit, l, p.n, p.in[i], p.ein[i], mean, variance)
			for _, s := range []struct {
				role net.Role
				want []float64
				bound
			}{{net.RunningMean, mean, meanBound}, {net.RunningVar, variance, varianceBound}} {
				checks = append(checks, compare(i, string(s.role), after.Params[l.Name+"."+string(s.role)].Float32s(), s.want, s.bound))
			}
		}
	}
	return checks
}

// metricsChecks compares the metrics of the one batch.
func (p *pass) metricsChecks(m net.Metrics) []Check {
	checks := p.lossChecks(m.Loss/float64(p.n), m.Hits)
	if m.Samples != int64(p.n) {
		checks = append(checks, Check{
			Layer: -1, What: "samples", Error: math.Inf(1),
			Detail: fmt.Sprintf("got %d, want %d", m.Samples, p.n),
		})
	}
	return checks
}

// gradientChecks compares the gradients of layer i's trained parameters.
func (p *pass) gradientChecks(i int, got map[net.Role]*tensor.Dense) []Check {
	var checks []Check
	trained := 0
	for _, q := range p.plan.Layers[i].Params {
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

// Choose returns a batch of n samples for a training step from state st, none of
// them within rounding of a kink: it takes the candidates, indices of data, in
// turn, and passes over those that are too near. Where too few are left it
// returns fewer samples than n, at least one, and else an error.
func (j *Judge) Choose(st net.State, data *net.Dataset, candidates []int32, n int) (net.Batch, error) {
	if all := (net.Batch{Data: data, Indices: candidates}); len(candidates) > 0 {
		if err := all.Check(j.plan); err != nil {
			return net.Batch{}, err
		}
	}
	for ; n > 0; n /= 2 {
		if b, ok := j.choose(st, data, candidates, n); ok {
			return b, nil
		}
	}
	return net.Batch{}, fmt.Errorf("none of %d samples of data set %s keeps clear of the kinks of network %s", len(candidates), data.Name, j.plan.Network.Name)
}

func (j *Judge) choose(st net.State, data *net.Dataset, candidates []int32, n int) (net.Batch, bool) {
	if n > len(candidates) {
		return net.Batch{}, false
	}
	b := net.Batch{Data: data, Indices: slices.Clone(candidates[:n])}
	rest := candidates[n:]
	for {
		clear := true
		for i, narrow := range j.forward(st, b, net.Training, nil, true).narrow {
			if !narrow {
				continue
			}
			if len(rest) == 0 {
				return net.Batch{}, false
			}
			b.Indices[i], rest = rest[0], rest[1:]
			clear = false
		}
		if clear {
			return b, true
		}
	}
}

// updateChecks compares weights and moments after an update.
func (j *Judge) updateChecks(p *pass, before, after net.State) []Check {
	trained := j.plan.Trained()
	grads, errs := make([][]float64, len(trained)), make([]float64, len(trained))
	for i, q := range trained {
		grads[i], errs[i] = p.params[q.Layer][q.Role], safety*p.paramBound[q.Layer][q.Role].err
	}
	unclipped := norm(grads)
	reference.Clip(j.opts.Optimizer.ClipNorm, grads)
	if clipped := norm(grads); clipped < unclipped {
		// The norm's own relative error, of a sum of squares, and that which the
		// gradients' errors give it: as much as they are, being independent.
		relative := j.unit * math.Sqrt(float64(j.plan.Weights()))
		for i := range errs {
			errs[i] = 2*errs[i]*clipped/unclipped + safety*relative*sizeOf(grads[i]).max
		}
	}
	var checks []Check
	for i, q := range trained {
		checks = append(checks, j.updateCheck(q, grads[i], errs[i], before, after)...)
	}
	return checks
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

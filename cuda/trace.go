//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"fmt"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// Trace runs the graph kernel by kernel. It copies each value as soon as it has been computed, because later values
// may overwrite it.
func (p *program) Trace(b net.Batch, mode net.Mode) (*net.Trace, error) {
	return p.traceOf(b, net.Whole(b.Len()), mode, false)
}

// TraceShare is Trace of a share of a mini-batch; see [net.GroupTracer].
func (p *program) TraceShare(b net.Batch, share net.Share, mode net.Mode) (*net.Trace, error) {
	return p.traceOf(b, share, mode, p.group != nil && !p.options.LocalStatistics)
}

// traceOf traces a share of a mini-batch, with the other members of the group or without.
func (p *program) traceOf(b net.Batch, share net.Share, mode net.Mode, grouped bool) (t *net.Trace, err error) {
	if err := p.check(b, p.options.Batch); err != nil {
		return nil, err
	}
	if err := p.options.CheckShare(share, b.Len()); err != nil {
		return nil, err
	}
	if p.pending > 0 {
		return nil, fmt.Errorf("%w: an update is due before a trace", net.ErrUnfinished)
	}
	if mode == net.Training {
		if err := p.options.Training(); err != nil {
			return nil, err
		}
	}
	err = p.do(func() error {
		if err := p.queue.flush(); err != nil {
			return err
		}
		if t, err = p.trace(b, share, mode, grouped); err != nil { // without an error the trace has waited already
			p.forgetBranches()
			err = errors.Join(err, p.device.synchronizeLanes())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (p *program) trace(b net.Batch, share net.Share, mode net.Mode, grouped bool) (*net.Trace, error) {
	t := &net.Trace{Layers: make([]net.LayerTrace, len(p.visible))}
	m := &pass{n: b.Len(), training: mode == net.Training, tracing: true, grouped: grouped, empty: share.Empty()}
	w, err := p.queue.show(b, share)
	if err != nil {
		return nil, err
	}
	if err := p.gather(w); err != nil {
		return nil, err
	}
	if err := p.traceOutputs(t, m.n, 0); err != nil {
		return nil, err
	}
	for i, g := range p.groups {
		if err := g.forward(m); err != nil {
			return nil, err
		}
		if err := p.traceOutputs(t, m.n, i+1); err != nil {
			return nil, err
		}
	}
	if err := p.softmax(w, nil, true, true, m.training); err != nil {
		return nil, err
	}
	if err := p.traceLoss(t, m.n); err != nil || !m.training {
		return t, err
	}
	for i := len(p.groups) - 1; i >= 0; i-- {
		if !p.groups[i].out.learns {
			continue
		}
		if err := p.traceGradients(t, m.n, i+1, false); err != nil {
			return nil, err
		}
		if err := p.groups[i].backward(m); err != nil {
			return nil, err
		}
		if err := p.traceGradients(t, m.n, i+1, true); err != nil {
			return nil, err
		}
	}
	return t, p.traceParameters(t)
}

// traceOutputs copies the outputs of those layers whose outputs are in a value.
func (p *program) traceOutputs(t *net.Trace, n, value int) error {
	for i, v := range p.visible {
		if v.Value != value || !v.Output {
			continue
		}
		var err error
		if t.Layers[i].Output, err = p.downloadValues(p.values[value].value, n, p.values[value].lies, p.plan.Nodes[i].Out); err != nil {
			return err
		}
	}
	return nil
}

// traceGradients copies the gradients that can be read before the backward pass of the group that makes a value; or,
// with after set, those that can be read after it.
func (p *program) traceGradients(t *net.Trace, n, value int, after bool) error {
	for i, v := range p.visible {
		if v.Value != value {
			continue
		}
		from, lies := p.values[value].grad, p.values[value].lies
		switch {
		case after && v.within != nil:
			from, lies = v.within, p.plan.Nodes[i].Out
		case !after && v.Gradient:
		default:
			continue
		}
		var err error
		if t.Layers[i].OutputGrad, err = p.downloadValues(from, n, lies, p.plan.Nodes[i].Out); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) traceLoss(t *net.Trace, n int) error {
	probabilities, err := p.download(p.probabilities, kernels.Float32, n*p.plan.Classes)
	if err != nil {
		return err
	}
	t.Probabilities = tensor.New(tensor.WithShape(n, p.plan.Classes), tensor.WithBacking(probabilities))
	losses, err := p.download(p.losses, kernels.Float32, n)
	if err != nil {
		return err
	}
	for _, l := range losses {
		t.Loss += float64(l) / float64(n)
	}
	if err := p.read(p.hits, 4*int64(n), p.device.synchronize); err != nil {
		return err
	}
	for _, h := range slice[int32](p.result, 0, n) {
		t.Hits += int64(h)
	}
	return nil
}

// traceParameters copies the gradients of all trained parameters.
func (p *program) traceParameters(t *net.Trace) error {
	for _, q := range p.parameters {
		if !q.Trained {
			continue
		}
		kind := kernels.Float32
		if q.narrow {
			kind = kernels.BF16
		}
		g, err := p.downloadParameter(q, q.grad, kind)
		if err != nil {
			return err
		}
		l := &t.Layers[q.Layer]
		if l.ParamGrads == nil {
			l.ParamGrads = map[net.Role]*tensor.Dense{}
		}
		l.ParamGrads[q.Role] = g
	}
	return nil
}

// downloadValues copies n samples that lie in the device's form of one shape to a tensor of another shape, (N, C, H, W).
func (p *program) downloadValues(from *slot, n int, lies, s net.Shape) (*tensor.Dense, error) {
	values, err := p.download(from.Buffer, from.kind, n*s.Size())
	if err != nil {
		return nil, err
	}
	if !p.device.form.Ordered(lies) {
		values = order{n, lies.C, lies.H * lies.W}.toHost(values)
	}
	return tensor.New(tensor.WithShape(n, s.C, s.H, s.W), tensor.WithBacking(values)), nil
}

//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// Trace runs the chain kernel by kernel and copies each value when it has been computed: later ones may take its memory.
func (p *program) Trace(b net.Batch, mode net.Mode) (t *net.Trace, err error) {
	if err := p.check(b, p.options.Batch); err != nil {
		return nil, err
	}
	err = p.do(func() error {
		if err := p.queue.flush(); err != nil {
			return err
		}
		t, err = p.trace(b, mode)
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (p *program) trace(b net.Batch, mode net.Mode) (*net.Trace, error) {
	t := &net.Trace{Layers: make([]net.LayerTrace, len(p.views))}
	m := &pass{n: b.Len(), training: mode == net.Training, frozen: true}
	w, err := p.queue.show(b)
	if err != nil {
		return nil, err
	}
	if err := p.gather(w); err != nil {
		return nil, err
	}
	if err := p.traceOutputs(t, m.n, 0); err != nil {
		return nil, err
	}
	for i, op := range p.chain {
		if err := op.forward(m); err != nil {
			return nil, err
		}
		if err := p.traceOutputs(t, m.n, i+1); err != nil {
			return nil, err
		}
	}
	backward := mode == net.Training && p.lowest < len(p.chain)
	if err := p.softmax(m.n, true, true, backward); err != nil {
		return nil, err
	}
	if err := p.traceLoss(t, m.n); err != nil || !backward {
		return t, err
	}
	for i := len(p.chain) - 1; i >= p.lowest; i-- {
		if err := p.traceGradients(t, m.n, i+1, false); err != nil {
			return nil, err
		}
		if err := p.chain[i].backward(m, i > p.lowest); err != nil {
			return nil, err
		}
		if err := p.traceGradients(t, m.n, i+1, true); err != nil {
			return nil, err
		}
	}
	return t, p.traceParameters(t)
}

// traceOutputs copies the outputs of the layers that are seen in activations `at`.
func (p *program) traceOutputs(t *net.Trace, n, at int) error {
	for i, v := range p.views {
		if v.at != at || !v.value {
			continue
		}
		var err error
		if t.Layers[i].Output, err = p.downloadShape(p.activations[at].value.Buffer, n, p.plan.Layers[i].Out); err != nil {
			return err
		}
	}
	return nil
}

// traceGradients copies the gradients that are seen before, or after, the backward pass of the operation that makes
// activations `at`.
func (p *program) traceGradients(t *net.Trace, n, at int, after bool) error {
	for i, v := range p.views {
		if v.at != at {
			continue
		}
		from := p.activations[at].grad.Buffer
		switch {
		case after && v.within != nil:
			from = v.within.Buffer
		case after && v.after:
		case !after && v.grad:
		default:
			continue
		}
		var err error
		if t.Layers[i].OutputGrad, err = p.downloadShape(from, n, p.plan.Layers[i].Out); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) traceLoss(t *net.Trace, n int) (err error) {
	if t.Probabilities, err = p.download(p.probabilities, n, p.plan.Classes); err != nil {
		return err
	}
	losses, err := p.download(p.losses, n)
	if err != nil {
		return err
	}
	for _, l := range losses.Data().([]float32) {
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
	next := 0
	for i, l := range p.plan.Layers {
		for _, q := range p.parameters[next : next+len(l.Params)] {
			if !q.Trained {
				continue
			}
			g, err := p.download(q.grad, q.Dims...)
			if err != nil {
				return err
			}
			if t.Layers[i].ParamGrads == nil {
				t.Layers[i].ParamGrads = map[net.Role]*tensor.Dense{}
			}
			t.Layers[i].ParamGrads[q.Role] = g
		}
		next += len(l.Params)
	}
	return nil
}

func (p *program) downloadShape(b Buffer, n int, s net.Shape) (*tensor.Dense, error) {
	return p.download(b, n, s.C, s.H, s.W)
}

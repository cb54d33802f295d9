package cpu

import (
	"fmt"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
	"gorgonia.org/tensor"
)

// Trace runs an evaluation or, in training, a step without its update. Then it
// copies what is in memory. A ReLU that is computed with the layer before it is
// one with that layer. So that layer's own output never exists, and neither does
// the gradient of the ReLU's output.
func (p *program) Trace(b net.Batch, mode net.Mode) (*net.Trace, error) {
	return p.trace(b, net.Whole(b.Len()), mode, false)
}

// TraceShare is Trace of a share of a mini-batch, whose other shares the other members of a
// group have.
func (p *program) TraceShare(b net.Batch, share net.Share, mode net.Mode) (*net.Trace, error) {
	return p.trace(b, share, mode, true)
}

func (p *program) trace(b net.Batch, share net.Share, mode net.Mode, together bool) (*net.Trace, error) {
	if err := p.check(b, p.options.Batch); err != nil {
		return nil, err
	}
	if err := p.options.CheckShare(share, b.Len()); err != nil {
		return nil, err
	}
	if p.parts > 0 {
		return nil, fmt.Errorf("%w: an update is due before a trace", net.ErrUnfinished)
	}
	training := mode == net.Training
	if training {
		if err := p.options.Training(); err != nil {
			return nil, err
		}
		p.separateGradients()
	}
	p.keepAllValues()
	p.tracing = true
	defer func() { p.tracing = false }()
	p.forward(pass{Batch: b, share: share, together: together, training: training, frozen: true}, true)
	if training {
		p.backward()
	}
	if err := p.sums.failed(); err != nil {
		return nil, err
	}
	m := p.loss.metrics()
	t := &net.Trace{
		Loss: m.MeanLoss(), Hits: m.Hits,
		Probabilities: tensorOf(p.loss.probabilities[:b.Len()*p.plan.Classes], b.Len(), p.plan.Classes),
	}
	for i, node := range p.plan.Nodes {
		t.Layers = append(t.Layers, p.layerTrace(node.Out, p.visible[i], b.Len(), training))
	}
	if training {
		for _, q := range p.params {
			if q.Trained {
				t.Layers[q.Layer].ParamGrads[q.Role] = tensorOf(q.grad, q.Dims...)
			}
		}
	}
	p.pass.Batch = net.Batch{}
	return t, nil
}

// layerTrace copies what one layer computed for n samples.
func (p *program) layerTrace(shape net.Shape, v visible, n int, training bool) net.LayerTrace {
	var t net.LayerTrace
	dims := []int{n, shape.C, shape.H, shape.W}
	if v.value {
		t.Output = tensorOf(v.planes(p.device.kernels, v.activations.value, n), dims...)
	}
	if training {
		if v.grad {
			t.OutputGrad = tensorOf(v.planes(p.device.kernels, v.activations.grad, n), dims...)
		}
		t.ParamGrads = map[net.Role]*tensor.Dense{}
	}
	return t
}

// planes returns the values of n samples in the order of package net.
func (a *activations) planes(ks *asm.Kernels, values []float32, n int) []float32 {
	if a.layout.lanes == 1 {
		return values[:n*a.size]
	}
	size := a.layout.shape.Size()
	out := make([]float32, n*size)
	for i := range n {
		a.layout.toPlanes(ks, out[i*size:][:size], values[i*a.size:][:a.size])
	}
	return out
}

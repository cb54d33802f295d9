package cpu

import (
	"github.com/gputrain/gputrain/net"
	"gorgonia.org/tensor"
)

// Trace runs a step on the batch up to the update, or an evaluation, and copies
// what is in memory after it. A ReLU behind a convolution or a dense layer is
// one with it: the layer's output and the gradient by the ReLU's output never
// exist.
func (p *program) Trace(b net.Batch, mode net.Mode) (*net.Trace, error) {
	if err := p.check(b, p.options.Batch); err != nil {
		return nil, err
	}
	training := mode == net.Training
	p.tracing = true
	defer func() { p.tracing = false }()
	p.forward(b, training, true, true)
	if training {
		// Unlike a step, go down to the first layer's output.
		p.backward(1)
	}
	var m net.Metrics
	p.loss.add(&m)
	t := &net.Trace{
		Loss: m.MeanLoss(), Hits: m.Hits,
		Probabilities: tensorOf(p.loss.probabilities[:b.Len()*p.plan.Classes], b.Len(), p.plan.Classes),
	}
	for i, l := range p.plan.Layers {
		t.Layers = append(t.Layers, p.layerTrace(l.Out, p.views[i], b.Len(), training))
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
func (p *program) layerTrace(shape net.Shape, v view, n int, training bool) net.LayerTrace {
	var t net.LayerTrace
	dims := []int{n, shape.C, shape.H, shape.W}
	if v.value {
		t.Output = tensorOf(v.activations.value[:n*v.size], dims...)
	}
	if training {
		if v.grad {
			t.OutputGrad = tensorOf(v.activations.grad[:n*v.size], dims...)
		}
		t.ParamGrads = map[net.Role]*tensor.Dense{}
	}
	return t
}

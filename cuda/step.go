//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

func (p *program) state() kernels.Pointer[kernels.StepState] {
	return kernels.Pointer[kernels.StepState](p.queue.block.Address)
}

// run enqueues one piece of work as it stands in the block's next slot.
func (p *program) run(w work) error {
	ranges := p.device.ranges
	ranges.begin(rangeGather)
	err := p.gather(w)
	ranges.end()
	if err != nil {
		return err
	}
	m := &pass{n: w.n, training: w.kind == training}
	for i, op := range p.chain {
		ranges.begin(p.names[i].forward)
		err := op.forward(m)
		ranges.end()
		if err != nil {
			return err
		}
	}
	ranges.begin(rangeLoss)
	err = p.judge(w)
	ranges.end()
	if err != nil || w.kind != training {
		return err
	}
	for i := len(p.chain) - 1; i >= p.lowest; i-- {
		ranges.begin(p.names[i].backward)
		err := p.chain[i].backward(m, i > p.lowest)
		ranges.end()
		if err != nil {
			return err
		}
	}
	ranges.begin(rangeUpdate)
	defer ranges.end()
	if err := p.update(); err != nil {
		return err
	}
	if err := p.roundWeights(); err != nil {
		return err
	}
	return p.addMetrics(w.n, true)
}

// judge computes what the work wants of probabilities, losses and the logits' gradient.
func (p *program) judge(w work) error {
	switch w.kind {
	case inferring:
		return p.softmax(w.n, true, false, false)
	case evaluating:
		if err := p.softmax(w.n, false, true, false); err != nil {
			return err
		}
		return p.addMetrics(w.n, false)
	}
	return p.softmax(w.n, false, true, p.lowest < len(p.chain))
}

// gather brings the samples of the slot to the input.
func (p *program) gather(w work) error {
	x, label := floats(p.activations[0].value.Buffer), kernels.Pointer[int32](p.labels.Address)
	from, labelsFrom := w.data.samples, w.data.labels
	if w.data.streamed {
		from, labelsFrom = p.queue.stage.samples, p.queue.stage.labels
	}
	labels, indices := kernels.Pointer[int32](labelsFrom.Address), kernels.Pointer[int32](p.queue.indices())
	batch, capacity, size := uint32(w.n), uint32(p.options.Batch), uint32(p.activations[0].shape.Size())
	if w.data.of.pixels {
		return p.device.launch(kernels.GatherBytes{X: x, Label: label, Pixels: kernels.Pointer[uint8](from.Address),
			Labels: labels, State: p.state(), Indices: indices, Batch: batch, Capacity: capacity, Size: size, Scale: w.data.of.scale})
	}
	return p.device.launch(kernels.GatherFloats{X: x, Label: label, Values: floats(from), Labels: labels, State: p.state(),
		Indices: indices, Batch: batch, Capacity: capacity, Size: size})
}

// softmax computes probabilities, losses and hits, and the gradient of the mean loss, as asked for.
func (p *program) softmax(n int, probabilities, losses, gradient bool) error {
	last := p.activations[len(p.activations)-1]
	k := kernels.SoftmaxCrossEntropy{Logits: floats(last.value.Buffer), Batch: uint32(n), Classes: uint32(p.plan.Classes),
		Scale: float32(1 / float64(n))}
	if probabilities {
		k.Probabilities = optional(p.probabilities)
	}
	if losses {
		k.Losses = optional(p.losses)
		k.Labels, k.Hits = kernels.Optional[int32](p.labels.Address), kernels.Optional[int32](p.hits.Address)
	}
	if gradient {
		k.Gradient = optional(last.grad.Buffer)
	}
	return p.device.launch(k)
}

func (p *program) addMetrics(n int, training bool) error {
	return p.device.launch(kernels.AddMetrics{Sums: kernels.Pointer[kernels.Sums](p.sums.Address), State: p.state(), Losses: floats(p.losses),
		Hits: kernels.Pointer[int32](p.hits.Address), Batch: uint32(n), Training: int32(boolInt(training))})
}

// update runs the optimiser over all trained parameters.
func (p *program) update() error {
	f, o := &p.flat, p.options.Optimizer
	if f.count == 0 {
		return nil
	}
	var clip kernels.Optional[float32]
	if o.ClipNorm > 0 {
		clip = optional(p.clip)
		squares := kernels.Pointer[float64](p.squares.Address)
		err := p.device.launch(kernels.SquareSums{Partial: squares, G: floats(f.grads), Count: uint64(f.count)})
		if err != nil {
			return err
		}
		if err := p.device.launch(kernels.ClipFactor{Clip: floats(p.clip), Partial: squares, Parts: kernels.SquareSumsOf(uint64(f.count)), Most: float32(o.ClipNorm)}); err != nil {
			return err
		}
	}
	rates := kernels.Pointer[kernels.Rates](p.queue.rates())
	if o.Method == net.SGD {
		k := kernels.SGD{W: floats(f.values), G: floats(f.grads), State: p.state(), Rates: rates, Clip: clip, Count: uint64(f.count),
			Decayed: uint64(f.decayed), Momentum: float32(o.Momentum), Nesterov: int32(boolInt(o.Nesterov)), WeightDecay: float32(o.WeightDecay)}
		if len(f.moments) > 0 {
			k.V = optional(f.moments[0])
		}
		return p.device.launch(k)
	}
	return p.device.launch(kernels.Adam{W: floats(f.values), G: floats(f.grads), M: floats(f.moments[0]), V: floats(f.moments[1]),
		State: p.state(), Rates: rates, Clip: clip, Count: uint64(f.count), Decayed: uint64(f.decayed),
		Beta1: float32(o.Beta1), OneLessBeta1: float32(1 - o.Beta1), Beta2: float32(o.Beta2), OneLessBeta2: float32(1 - o.Beta2),
		Epsilon: float32(o.Epsilon), WeightDecay: float32(o.WeightDecay), Apart: int32(boolInt(o.Method == net.AdamW))})
}

// Step queues one training step. Steps go to the device several at once.
func (p *program) Step(b net.Batch) error {
	if err := p.check(b, p.options.Batch); err != nil {
		return err
	}
	p.batch = b
	return p.do(p.stepping)
}

// queueStep queues a training step on p.batch.
func (p *program) queueStep() error {
	o := p.options.Optimizer
	r := kernels.Rates{Update: float32(o.Rate(p.step)), Decay: float32(o.Rate(p.step) * o.WeightDecay)}
	if o.Method != net.SGD {
		r.Update = float32(o.AdamRate(p.step))
	}
	if err := p.queue.add(training, p.batch, r); err != nil {
		return err
	}
	p.step++
	return nil
}

//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"fmt"
	"slices"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

func (p *program) state() kernels.Pointer[kernels.StepState] {
	return kernels.Pointer[kernels.StepState](p.queue.block.Address)
}

// run enqueues one piece of work. Its numbers and samples are in the block's next slot.
func (p *program) run(w work) (err error) {
	p.branches.forked = [lanes]bool{}
	defer func() {
		if err != nil {
			p.forgetBranches()
		}
	}()
	if w.kind != updating {
		if err := p.forward(w); err != nil {
			return err
		}
	}
	if w.kind == inferring {
		return nil
	}
	if w.trains() {
		if err := p.backward(w); err != nil {
			return err
		}
	}
	if w.updates() {
		if err := p.update(w.kind); err != nil {
			return err
		}
	}
	return p.addMetrics(w)
}

// forward computes what the work needs: probabilities, losses, or losses and the gradient with respect to the logits.
func (p *program) forward(w work) error {
	ranges := p.device.ranges
	ranges.begin(rangeGather)
	err := p.gather(w)
	ranges.end()
	if err != nil {
		return err
	}
	m := &pass{n: w.n, training: w.trains(), grouped: p.group != nil && !p.options.LocalStatistics, empty: w.empty}
	for _, g := range p.groups {
		ranges.begin(g.names.forward)
		err := g.forward(m)
		ranges.end()
		if err != nil {
			return err
		}
	}
	ranges.begin(rangeLoss)
	defer ranges.end()
	return p.softmax(w, p.late, w.kind == inferring, w.kind != inferring, w.trains())
}

// backward computes the gradients of everything that is trained, and adds those of earlier shares.
func (p *program) backward(w work) error {
	if w.adds {
		if err := p.keepGradients(); err != nil {
			return err
		}
	}
	m := &pass{n: w.n, training: true, grouped: p.group != nil && !p.options.LocalStatistics, empty: w.empty}
	turn := 0
	for i := len(p.groups) - 1; i >= 0; i-- {
		g := p.groups[i]
		if !g.out.learns {
			continue
		}
		if err := p.join(i + asideFor + 1); err != nil {
			return err
		}
		p.device.ranges.begin(g.names.backward)
		err := g.backward(m)
		if err == nil && w.kind == stepping && i == p.turns[turn] && i > 0 {
			err = p.finishTurn(m, turn)
			turn++
		}
		p.device.ranges.end()
		if err != nil {
			return err
		}
	}
	if w.kind == stepping && p.group != nil {
		if err := p.sumTurn(m, len(p.turns)-1); err != nil {
			return err
		}
	}
	if err := p.join(untilTheEnd); err != nil {
		return err
	}
	if w.kind == differentiating {
		if err := p.widenGradients(); err != nil {
			return err
		}
	}
	if w.adds {
		return p.addKept()
	}
	return nil
}

// logits returns the network's output.
func (p *program) logits() *activations { return p.values[len(p.values)-1] }

// gather copies the samples of the slot to the network's input.
func (p *program) gather(w work) error {
	x, label := p.values[0].value.values(), kernels.Pointer[int32](p.labels.Address)
	var from Buffer
	labelsFrom := w.data.labels
	if w.data.streamed {
		from, labelsFrom = p.queue.staging.samples, p.queue.staging.labels
	} else {
		from = w.data.samples.Buffer
	}
	if w.viewed {
		return p.see(w, from)
	}
	labels, indices := kernels.Pointer[int32](labelsFrom.Address), p.queue.indices()
	rows := kernels.Optional[int32](w.data.rows.Address)
	batch, capacity, size := uint32(w.n), uint32(p.options.Batch), uint32(p.values[0].shape.Size())
	_, channels := p.device.form.planes(1, p.values[0].lies)
	if w.data.of.pixels {
		return p.device.launch(kernels.GatherBytes{X: x, Label: label, Pixels: kernels.Pointer[uint8](from.Address),
			Labels: labels, Rows: rows, State: p.state(), Indices: indices, Batch: batch, Capacity: capacity, Size: size, Channels: channels, Scale: w.data.of.scale})
	}
	return p.device.launch(kernels.GatherFloats{X: x, Label: label, Values: floats(from), Labels: labels, Rows: rows, State: p.state(),
		Indices: indices, Batch: batch, Capacity: capacity, Size: size, Channels: channels})
}

// see writes the samples of the slot to the network's input, as their views show them. from is the memory in which the
// samples lie.
func (p *program) see(w work, from Buffer) error {
	in, of := p.values[0].shape, w.data.of.shape
	x, label, other := p.values[0].value.values(), kernels.Pointer[int32](p.labels.Address), kernels.Pointer[int32](p.others.Address)
	batch, capacity, channels := uint32(w.n), uint32(p.options.Batch), uint32(in.C)
	height, width, fromHeight, fromWidth := uint32(in.H), uint32(in.W), uint32(of.H), uint32(of.W)
	last := int32(boolInt(p.device.form.Last && p.values[0].lies == in))
	if w.data.of.pixels {
		return p.device.launch(kernels.ViewBytes{X: x, Label: label, Other: other, Share: floats(p.shares),
			Pixels: kernels.Pointer[uint8](from.Address), State: p.state(), Views: p.queue.seen(), Batch: batch, Capacity: capacity,
			Channels: channels, Height: height, Width: width, FromHeight: fromHeight, FromWidth: fromWidth, Last: last, Scale: w.data.of.scale})
	}
	return p.device.launch(kernels.ViewFloats{X: x, Label: label, Other: other, Share: floats(p.shares),
		Values: floats(from), State: p.state(), Views: p.queue.seen(), Batch: batch, Capacity: capacity,
		Channels: channels, Height: height, Width: width, FromHeight: fromHeight, FromWidth: fromWidth, Last: last})
}

// softmax computes what is asked for: probabilities; losses and hits; the gradient of the mean loss. It computes the
// gradient only if something learns. With the gradient the losses are those of training, otherwise plain
// cross-entropy. A bias that isn't nil is added to the logits first.
func (p *program) softmax(w work, bias *parameter, probabilities, losses, gradient bool) error {
	logits := p.logits()
	k := kernels.SoftmaxCrossEntropy{Logits: floats(logits.value.Buffer), State: p.state(), Queued: p.queue.numbers(), Batch: uint32(w.n),
		Classes: uint32(p.plan.Classes), Kept: 1}
	if bias != nil {
		k.Bias = optional(bias.value)
	}
	if gradient {
		smoothing := p.options.Loss.Smoothing
		k.Spread, k.Kept, k.ClassWeights = float32(smoothing/float64(p.plan.Classes)), float32(1-smoothing), optional(p.classWeights)
		if w.viewed {
			k.Others, k.Shares = kernels.Optional[int32](p.others.Address), optional(p.shares)
		}
	}
	if probabilities {
		k.Probabilities = optional(p.probabilities)
	}
	if losses {
		k.Losses = optional(p.losses)
		k.Labels, k.Hits = kernels.Optional[int32](p.labels.Address), kernels.Optional[int32](p.hits.Address)
	}
	if gradient && logits.learns {
		k.Gradient = logits.grad.values()
	}
	return p.device.launch(k)
}

// addMetrics adds losses and hits to the sums of training or of an evaluation. It also moves the device on to the next
// slot and, after an update, to the next step.
func (p *program) addMetrics(w work) error {
	sums := p.sums
	if w.kind == evaluating {
		sums = p.scores
	}
	n := w.n
	if w.empty {
		n = 0
	}
	return p.device.launch(kernels.AddMetrics{Sums: kernels.Pointer[kernels.Sums](sums.Address), State: p.state(), Losses: floats(p.losses),
		Hits: kernels.Pointer[int32](p.hits.Address), Batch: uint32(n), Training: int32(boolInt(w.trains())),
		Updates: uint32(boolInt(w.updates()))})
}

// update runs the optimiser over the trained parameters that have not been updated early, and moves the averages.
func (p *program) update(of kind) error {
	p.device.ranges.begin(rangeUpdate)
	defer p.device.ranges.end()
	if err := p.optimize(of == stepping); err != nil {
		return err
	}
	return p.moveAverages()
}

// finishTurn does, beside what is left of the backward pass, what is to be done with the gradients of a turn: it adds up those
// of all members of a group, and runs the optimiser.
func (p *program) finishTurn(m *pass, turn int) error {
	after := sideLane // where gradients of weights come from
	if p.group != nil {
		if err := p.sumTurn(m, turn); err != nil {
			return err
		}
		after = sumLane
	}
	if !p.early(turn) {
		return nil
	}
	if err := p.follow(updateLane, after); err != nil {
		return err
	}
	return p.aside(m, updateLane, untilTheEnd, func() error {
		for _, r := range p.summed(p.flat.parts) {
			if r.turn != turn {
				continue
			}
			if err := p.optimizePart(r, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// summed returns parts as they are once gradients are float32, and lie with the others: after sums over a group. Without a
// group it returns them as they are.
func (p *program) summed(parts []part) []part {
	if p.group == nil {
		return parts
	}
	return widened(parts)
}

// widened returns parts without gradients that are bfloat16.
func widened(parts []part) []part {
	parts = slices.Clone(parts)
	for i := range parts {
		parts[i].narrow = 0
	}
	return parts
}

// optimize runs the optimiser: in a step, over the parameters that have not been updated early. In a step without a group,
// gradients that are bfloat16 are in a buffer of their own. Otherwise they have been widened and lie with the others.
func (p *program) optimize(step bool) error {
	f, o := &p.flat, p.options.Optimizer
	if f.count == 0 {
		return nil
	}
	parts := p.summed(f.parts)
	if !step {
		parts = widened(f.parts)
		if err := p.sumNow(f.grads, f.count, ncclFloat32); err != nil {
			return err
		}
	}
	var clip kernels.Optional[float32]
	if o.ClipNorm > 0 {
		clip = optional(p.clip)
		if err := p.clipFactor(parts); err != nil {
			return err
		}
	}
	for _, r := range parts {
		if step && p.early(r.turn) {
			continue
		}
		if err := p.optimizePart(r, clip); err != nil {
			return err
		}
	}
	return nil
}

// clipFactor computes the factor by which gradients are clipped. Each part of the parameters has partial sums of its
// own.
func (p *program) clipFactor(parts []part) error {
	sums := uint32(0)
	for _, r := range parts {
		own := kernels.SquareSumsOf(uint64(r.count))
		err := p.device.launch(kernels.SquareSums{Partial: kernels.Pointer[float64](p.squares.part(8*int64(sums), 8*int64(own)).Address),
			Gradients: p.gradients(r), Count: uint64(r.count), Narrow: uint64(r.narrow)})
		if err != nil {
			return err
		}
		sums += own
	}
	return p.device.launch(kernels.ClipFactor{Clip: floats(p.clip), Partial: kernels.Pointer[float64](p.squares.Address), Parts: sums,
		Most: float32(p.options.Optimizer.ClipNorm)})
}

// gradients returns the gradients of a part's parameters.
func (p *program) gradients(r part) kernels.Gradients {
	g := kernels.Gradients{G: floats(p.flat.grads.part(4*r.from, 4*r.count))}
	if r.narrow > 0 {
		g.G16 = kernels.Optional[kernels.BFloat16](p.flat.narrow.part(2*r.from, 2*r.narrow).Address)
	}
	return g
}

// optimizePart runs the optimiser over the parameters of one part.
func (p *program) optimizePart(r part, clip kernels.Optional[float32]) error {
	f, o, rates := &p.flat, &p.flat.rules[r.rule], p.queue.rates(r.rule)
	w := floats(f.values.part(4*r.from, 4*r.count))
	var w16 kernels.Optional[kernels.BFloat16]
	if f.rounded.Bytes > 0 {
		w16 = kernels.Optional[kernels.BFloat16](f.rounded.part(2*r.from, 2*r.count).Address)
	}
	count, narrow, decayed := uint64(r.count), uint64(r.narrow), uint64(r.decayed)
	switch o.Method {
	case net.SGD:
		k := kernels.SGD{W: w, W16: w16, Gradients: p.gradients(r), State: p.state(), Rates: rates, Clip: clip, Count: count, Narrow: narrow,
			Decayed: decayed, Momentum: float32(o.Momentum), Nesterov: int32(boolInt(o.Nesterov)), WeightDecay: float32(o.WeightDecay)}
		if len(r.moments) > 0 {
			k.V = optional(r.moments[0])
		}
		return p.device.launch(k)
	case net.Adam, net.AdamW:
		return p.device.launch(kernels.Adam{W: w, W16: w16, Gradients: p.gradients(r), M: floats(r.moments[0]), V: floats(r.moments[1]),
			State: p.state(), Rates: rates, Clip: clip, Count: count, Narrow: narrow, Decayed: decayed, Beta1: float32(o.Beta1),
			OneLessBeta1: float32(1 - o.Beta1), Beta2: float32(o.Beta2), OneLessBeta2: float32(1 - o.Beta2), Epsilon: float32(o.Epsilon),
			WeightDecay: float32(o.WeightDecay), Apart: int32(boolInt(o.Apart()))})
	case net.Lion:
		return p.device.launch(kernels.Lion{W: w, W16: w16, Gradients: p.gradients(r), M: floats(r.moments[0]), State: p.state(), Rates: rates,
			Clip: clip, Count: count, Narrow: narrow, Decayed: decayed, Beta1: float32(o.Beta1), OneLessBeta1: float32(1 - o.Beta1),
			Beta2: float32(o.Beta2), OneLessBeta2: float32(1 - o.Beta2)})
	case net.Muon:
		for _, s := range r.stacks {
			if err := p.optimizeStack(r, s, clip); err != nil {
				return err
			}
		}
		return nil
	}
	panic(fmt.Sprintf("BUG: an optimiser %q", o.Method))
}

// trains returns an error if the program is closed or can't train.
func (p *program) trains() error {
	if p.closed || p.device.closed {
		return net.ErrClosed
	}
	return p.options.Training()
}

// Step queues one training step. Several steps go to the device at once.
func (p *program) Step(b net.Batch) error { return p.StepShare(b, net.Whole(b.Len())) }

// StepShare is Step with a share of a mini-batch, of which the other members of the group have the others.
func (p *program) StepShare(b net.Batch, share net.Share) error {
	if p.pending > 0 {
		if err := p.trains(); err != nil {
			return err
		}
		return fmt.Errorf("%w: an update is due before the next step", net.ErrUnfinished)
	}
	return p.train(b, share, p.queues.step)
}

// Gradients queues the forward and backward pass of one share of a mini-batch.
func (p *program) Gradients(b net.Batch, share net.Share) error {
	return p.train(b, share, p.queues.gradients)
}

// train calls queue, on the device's thread, for a share of a mini-batch.
func (p *program) train(b net.Batch, share net.Share, queue func() error) error {
	if err := p.trains(); err != nil {
		return err
	}
	if err := p.check(b, p.options.Batch); err != nil {
		return err
	}
	if err := p.options.CheckShare(share, b.Len()); err != nil {
		return err
	}
	if err := p.checkTurn(); err != nil {
		return err
	}
	p.batch, p.share = b, share
	return p.do(queue)
}

// Update queues the optimiser's step.
func (p *program) Update() error {
	if err := p.trains(); err != nil {
		return err
	}
	if err := p.checkTurn(); err != nil {
		return err
	}
	if p.pending == 0 {
		return fmt.Errorf("%w: there are no gradients to update with", net.ErrUnfinished)
	}
	return p.do(p.queues.update)
}

// numbersOf returns the numbers for work on a share of a mini-batch. Samples of an empty one have the weight 0.
func numbersOf(share net.Share) kernels.Queued {
	if share.Empty() {
		return kernels.Queued{First: uint32(share.First)}
	}
	return kernels.Queued{Weight: float32(1 / float64(share.Total)), First: uint32(share.First)}
}

// setAverage sets the averages' numbers for the next step.
func (p *program) setAverage(numbers *kernels.Queued) {
	if p.options.Averages() {
		rate, back := p.options.AverageMove(p.step)
		numbers.Average, numbers.Back = float32(rate), uint32(boolInt(back))
	}
}

// queueStep queues a training step on p.batch.
func (p *program) queueStep() error {
	numbers := numbersOf(p.share)
	p.setAverage(&numbers)
	if err := p.queue.add(work{kind: stepping, empty: p.share.Empty(), together: p.share.Together}, p.batch, numbers); err != nil {
		return err
	}
	p.step++
	return nil
}

// queueGradients queues the gradients of p.batch, whose share is p.share.
func (p *program) queueGradients() error {
	w := work{kind: differentiating, adds: p.pending > 0, empty: p.share.Empty(), together: p.share.Together}
	if w.adds {
		if err := p.reserveKept(); err != nil {
			return err
		}
	}
	if err := p.queue.add(w, p.batch, numbersOf(p.share)); err != nil {
		return err
	}
	p.pending++
	return nil
}

// queueUpdate queues an update.
func (p *program) queueUpdate() error {
	var numbers kernels.Queued
	p.setAverage(&numbers)
	if err := p.queue.add(work{kind: updating}, net.Batch{}, numbers); err != nil {
		return err
	}
	p.step++
	p.pending = 0
	return nil
}

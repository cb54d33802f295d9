package cpu

import "slices"

// takeGradients takes the memory for the gradients with respect to values. A gradient is
// needed from the section that first writes it in the backward pass to the section that
// computes the value. Gradients that are needed at different times share memory.
func (p *program) takeGradients() {
	sections := p.training.sections
	// first is the section in which the backward pass first writes a gradient.
	first := map[*activations]int{p.training.operations[len(p.training.operations)-1].out: len(sections) - 1} // the loss writes that of the logits
	for s, section := range sections {
		for i := section.first; i < section.end; i++ {
			for _, in := range p.trainingIns[i] {
				if in.wanted {
					first[in.activations] = max(first[in.activations], s)
				}
			}
		}
	}
	var buffers sharedBuffers
	of := map[*activations]*sharedBuffer{}
	for s := len(sections) - 1; s >= 0; s-- {
		for at := s; at >= 0; at-- { // the sections that compute what is first written here
			for _, op := range p.training.operations[sections[at].first:sections[at].end] {
				if op.out.learns && max(first[op.out], at) == s {
					of[op.out] = buffers.take(op.out, op.out.size*p.options.Batch)
				}
			}
		}
		for _, op := range p.training.operations[sections[s].first:sections[s].end] {
			if op.out.learns {
				buffers.give(of[op.out])
			}
		}
	}
	for _, b := range buffers.all {
		memory := newBuffer(b.size)
		for _, user := range b.users {
			user.grad = memory[:user.size*p.options.Batch]
		}
	}
}

// separateGradients gives each gradient memory of its own from now on, so that all can be
// read after the backward pass of a trace. A convolution with max pooling gets memory for
// its own output's gradient, which only a trace computes.
func (p *program) separateGradients() {
	if p.separate {
		return
	}
	p.separate = true
	for _, op := range p.all.operations {
		if op.out.learns {
			op.out.grad = newBuffer(op.out.size * p.options.Batch)
		}
		if c, ok := op.sample.(*conv); ok && c.out.learns {
			c.out.grad = newBuffer(c.out.size * p.options.Batch)
		}
	}
}

// takeEvaluationValues takes the memory for the values of an evaluation.
func (p *program) takeEvaluationValues() {
	long := p.takeBrief(inEvaluation, p.evaluation, p.evaluationIns, min(p.options.Batch, mostEvaluated))
	for _, op := range p.all.operations {
		if long[op.out] {
			op.out.take(p.options.Batch)
		}
		if c, ok := op.sample.(*conv); ok && !c.pool.fused {
			c.out.take(p.options.Batch)
		}
	}
}

// takeTrainingValues takes the memory for the values of training that have none yet.
func (p *program) takeTrainingValues() {
	long := p.takeBrief(inTraining, p.training, p.trainingIns, p.options.Batch)
	for _, op := range p.training.operations {
		if long[op.out] && op.out.value == nil {
			op.out.take(p.options.Batch)
		}
		if c, ok := op.sample.(*conv); ok && op.learns && c.out.value == nil {
			c.out.take(p.options.Batch)
		}
	}
}

// takeBrief takes the memory for the values of a sequence that are brief, in passes of so
// many samples at most. It returns the values that aren't. Those are brief that only one
// section computes and takes, and no backward pass, except the logits. They share memory.
func (p *program) takeBrief(pass int, of sequence, ins [][]operand, samples int) (long map[*activations]bool) {
	threads := len(p.device.workers.all)
	rows := min(samples, threads)     // workers that compute samples
	section := map[*activations]int{} // that computes a value
	last := map[*activations]int{}    // the last operation that takes or computes it
	long = map[*activations]bool{of.operations[len(of.operations)-1].out: true}
	uses := func(i int) []operand {
		return slices.Concat(ins[i], []operand{{activations: of.operations[i].out}})
	}
	for s, some := range of.sections {
		for i := some.first; i < some.end; i++ {
			op := of.operations[i]
			if _, ok := section[op.out]; !ok {
				section[op.out] = s
			}
			for _, v := range uses(i) {
				last[v.activations] = i
				if section[v.activations] != s || op.batch != nil || pass == inTraining && op.learns {
					long[v.activations] = true
				}
			}
		}
	}
	var buffers sharedBuffers
	has := map[*activations]*sharedBuffer{}
	for _, some := range of.sections {
		together := min(max(1, some.group), (samples+threads-1)/threads)
		for i := some.first; i < some.end; i++ {
			if out := of.operations[i].out; !long[out] && has[out] == nil {
				size := (together*out.size + lineValues - 1) / lineValues * lineValues
				has[out] = buffers.take(out, size)
			}
			for _, v := range uses(i) {
				if b := has[v.activations]; b != nil && last[v.activations] == i {
					buffers.give(b)
					last[v.activations] = -1 // it may stand twice among the inputs
				}
			}
		}
	}
	for _, b := range buffers.all {
		size := rows * b.size
		for _, user := range b.users {
			if pass == inEvaluation { // in training, samples aren't cut
				size = max(size, min(samples, mostCut(threads))*user.size)
			}
		}
		memory := newBuffer(size)
		for _, user := range b.users {
			user.brief[pass] = brief{memory, b.size}
		}
	}
	return long
}

// takeAllValues takes the memory for the values that only traces need.
func (p *program) takeAllValues() {
	for _, op := range p.all.operations {
		if op.out.value == nil {
			op.out.take(p.options.Batch)
		}
		if c, ok := op.sample.(*conv); ok && c.out.value == nil {
			c.out.take(p.options.Batch)
		}
	}
}

// lineValues is how many values a line of a cache has. Threads that write to one line at the
// same time would wait for each other.
const lineValues = 16

// sharedBuffers are buffers that serve several values, one after the other.
type sharedBuffers struct{ all, free []*sharedBuffer }

type sharedBuffer struct {
	size  int // values
	users []*activations
}

// take returns a buffer for some values of a user: the smallest free one that is large
// enough, or else the largest, which grows.
func (s *sharedBuffers) take(user *activations, size int) *sharedBuffer {
	fits := func(a, b *sharedBuffer) int {
		switch enough, other := a.size >= size, b.size >= size; {
		case enough && other:
			return a.size - b.size
		case enough:
			return -1
		case other:
			return 1
		}
		return b.size - a.size
	}
	b := &sharedBuffer{}
	if len(s.free) > 0 {
		b = slices.MinFunc(s.free, fits)
		s.free = slices.DeleteFunc(s.free, func(f *sharedBuffer) bool { return f == b })
	} else {
		s.all = append(s.all, b)
	}
	b.size = max(b.size, size)
	b.users = append(b.users, user)
	return b
}

// give gives a buffer back.
func (s *sharedBuffers) give(b *sharedBuffer) { s.free = append(s.free, b) }

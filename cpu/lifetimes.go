package cpu

import "slices"

// takeGradients takes the memory for the gradients with respect to values. A gradient is
// needed from the section that first writes it in the backward pass to the section that
// computes the value. Gradients that are needed at different times share memory.
func (p *program) takeGradients() {
	sections := p.all.sections
	// first is the section in which the backward pass first writes a gradient.
	first := map[*activations]int{p.all.operations[len(p.all.operations)-1].out: len(sections) - 1} // the loss writes that of the logits
	for s, section := range sections {
		for i := section.first; i < section.end; i++ {
			for _, in := range p.ins[i] {
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
			for _, op := range p.all.operations[sections[at].first:sections[at].end] {
				if op.out.learns && max(first[op.out], at) == s {
					of[op.out] = buffers.take(op.out, op.out.size*p.options.Batch)
				}
			}
		}
		for _, op := range p.all.operations[sections[s].first:sections[s].end] {
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

// takeValues takes the memory for the values of an evaluation. Values that only one section
// computes and takes are brief, except the logits. They share memory.
func (p *program) takeValues() {
	e := p.evaluation
	samples, threads := min(p.options.Batch, mostEvaluated), len(p.device.workers.all)
	rows := min(samples, threads)     // workers that compute samples
	section := map[*activations]int{} // that computes a value
	last := map[*activations]int{}    // the last operation that takes or computes it
	long := map[*activations]bool{e.operations[len(e.operations)-1].out: true}
	uses := func(i int) []operand {
		return slices.Concat(p.evaluationIns[i], []operand{{activations: e.operations[i].out}})
	}
	for s, some := range e.sections {
		for i := some.first; i < some.end; i++ {
			op := e.operations[i]
			if _, ok := section[op.out]; !ok {
				section[op.out] = s
			}
			for _, v := range uses(i) {
				last[v.activations] = i
				if section[v.activations] != s || op.batch != nil {
					long[v.activations] = true
				}
			}
		}
	}
	var buffers sharedBuffers
	of := map[*activations]*sharedBuffer{}
	for _, some := range e.sections {
		together := min(max(1, some.group), (samples+threads-1)/threads)
		for i := some.first; i < some.end; i++ {
			if out := e.operations[i].out; !long[out] && of[out] == nil {
				size := (together*out.size + lineValues - 1) / lineValues * lineValues
				of[out] = buffers.take(out, size)
			}
			for _, v := range uses(i) {
				if b := of[v.activations]; b != nil && last[v.activations] == i {
					buffers.give(b)
					last[v.activations] = -1 // it may stand twice among the inputs
				}
			}
		}
	}
	for _, b := range buffers.all {
		size := rows * b.size
		for _, user := range b.users {
			size = max(size, min(samples, mostCut(threads))*user.size)
		}
		memory := newBuffer(size)
		for _, user := range b.users {
			user.brief, user.apart = memory, b.size
		}
	}
	for _, op := range p.all.operations {
		if long[op.out] {
			op.out.take(p.options.Batch)
		}
		if c, ok := op.sample.(*conv); ok && !c.pool.fused {
			c.out.take(p.options.Batch)
		}
	}
}

// takeAllValues takes the memory for the values that only training and traces need.
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

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
	type buffer struct {
		size  int // values a sample
		users []*activations
	}
	var all, free []*buffer
	of := map[*activations]*buffer{}
	for s := len(sections) - 1; s >= 0; s-- {
		for at := s; at >= 0; at-- { // the sections that compute what is first written here
			for _, op := range p.all.operations[sections[at].first:sections[at].end] {
				if !op.out.learns || max(first[op.out], at) != s {
					continue
				}
				fits := func(a, b *buffer) int { // the smallest that is large enough, or else the largest
					switch enough, other := a.size >= op.out.size, b.size >= op.out.size; {
					case enough && other:
						return a.size - b.size
					case enough:
						return -1
					case other:
						return 1
					}
					return b.size - a.size
				}
				b := &buffer{}
				if len(free) > 0 {
					b = slices.MinFunc(free, fits)
					free = slices.DeleteFunc(free, func(f *buffer) bool { return f == b })
				} else {
					all = append(all, b)
				}
				b.size = max(b.size, op.out.size)
				b.users = append(b.users, op.out)
				of[op.out] = b
			}
		}
		for _, op := range p.all.operations[sections[s].first:sections[s].end] {
			if op.out.learns {
				free = append(free, of[op.out])
			}
		}
	}
	for _, b := range all {
		memory := newBuffer(b.size * p.options.Batch)
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

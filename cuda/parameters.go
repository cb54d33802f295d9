//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"cmp"
	"slices"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// parameter is a tensor of the network's. Trained ones are pieces of the program's flat buffers; others have a value of their
// own, and neither gradient nor moments.
type parameter struct {
	net.Param
	value, grad Buffer
	factor      Buffer // the value as products take it: itself, or rounded to bfloat16
	moments     []Buffer
}

// flat holds all trained parameters, in buffers without holes but for alignment, those that decay first: so that one
// launch updates all of them. Holes hold zeros, which every optimiser leaves alone.
type flat struct {
	values, grads  Buffer
	kept           Buffer // gradients of earlier shares of the mini-batch; taken when there are some
	rounded        Buffer // in bfloat16: the values as products take them
	moments        []Buffer
	count, decayed int64 // values
}

// takeParameters takes the memory of all parameters.
func (p *program) takeParameters() error {
	pool := p.device.pool
	for _, q := range p.plan.Params {
		p.parameters = append(p.parameters, &parameter{Param: q})
	}
	order := slices.Clone(p.parameters)
	slices.SortStableFunc(order, func(a, b *parameter) int {
		return -cmp.Compare(boolInt(a.Decayed), boolInt(b.Decayed))
	})
	const pad = alignment / 4
	offsets := map[*parameter]int64{}
	for _, q := range order {
		if !q.Trained {
			continue
		}
		offsets[q] = p.flat.count
		p.flat.count += (int64(q.Size()) + pad - 1) / pad * pad
		if q.Decayed {
			p.flat.decayed = p.flat.count
		}
	}
	take := func(into *Buffer, count int64, what string) (err error) {
		if *into, err = pool.take(4*count, what); err != nil {
			return err
		}
		return p.device.zero(*into)
	}
	err := firstError(take(&p.flat.values, p.flat.count, "the weights"), take(&p.flat.grads, p.flat.count, "the weights' gradients"))
	for _, m := range p.options.Optimizer.Moments() {
		p.flat.moments = append(p.flat.moments, Buffer{})
		err = firstError(err, take(&p.flat.moments[len(p.flat.moments)-1], p.flat.count, "the optimiser's "+m))
	}
	if p.device.bf16() && err == nil {
		p.flat.rounded, err = pool.take(2*p.flat.count, "the weights in bfloat16")
	}
	if err != nil {
		return err
	}
	for _, q := range p.parameters {
		if !q.Trained {
			if err := take(&q.value, int64(q.Size()), q.Name); err != nil {
				return err
			}
			q.factor = q.value
			if p.device.bf16() && len(q.Dims) > 1 {
				if q.factor, err = pool.take(2*int64(q.Size()), q.Name+" in bfloat16"); err != nil {
					return err
				}
			}
			continue
		}
		at, bytes := 4*offsets[q], 4*int64(q.Size())
		q.value, q.grad = p.flat.values.part(at, bytes), p.flat.grads.part(at, bytes)
		q.factor = q.value
		if p.device.bf16() {
			q.factor = p.flat.rounded.part(at/2, bytes/2)
		}
		for _, m := range p.flat.moments {
			q.moments = append(q.moments, m.part(at, bytes))
		}
	}
	return nil
}

// reserveKept sees to it that there is memory for the gradients of earlier shares.
func (p *program) reserveKept() (err error) {
	if p.flat.kept.Bytes == 0 && p.flat.count > 0 {
		p.flat.kept, err = p.device.pool.take(4*p.flat.count, "the gradients of earlier shares of a mini-batch")
	}
	return err
}

// keepGradients keeps the gradients so far, before others take their place, and addKept adds them to those.
func (p *program) keepGradients() error {
	f := &p.flat
	if f.count == 0 {
		return nil
	}
	return p.device.launch(kernels.Scale{Y: floats(f.kept), X: floats(f.grads), Count: uint64(f.count), Factor: 1})
}

func (p *program) addKept() error {
	f := &p.flat
	if f.count == 0 {
		return nil
	}
	return p.device.launch(kernels.Add{Y: floats(f.grads), A: floats(f.kept), B: floats(f.grads), Count: uint64(f.count)})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

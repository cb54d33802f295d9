//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"cmp"
	"slices"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// parameter is one of the network's parameters. Its buffers are pieces of the program's flat buffers. A frozen
// parameter has neither gradient nor moments.
type parameter struct {
	net.Param
	value, grad Buffer
	factor      Buffer // the value as a factor of products: the value itself, or its bfloat16 rounding
	lies        order  // how it lies on the device
	narrow      bool   // its gradient is bfloat16, as cuDNN writes it
	turn        int    // when its gradient is known; see Turns
	average     Buffer // its moving average, if averages are kept
	moments     []Buffer
	rule        int  // the number of the rule that updates it; -1 if it is frozen
	decayed     bool // it has weight decay
	matrix      MatrixShape
}

// flat holds all parameters in a few buffers, so that one launch does the same to all of them. The only gaps in the
// buffers are for alignment; they hold zeros, which no optimiser changes.
//
// Trained parameters come first, in the order of their turns. In each turn, parameters with the same rule lie together.
// Among those, the ones with weight decay come first; and among those, the ones whose gradients are bfloat16.
// Matrices of one shape come one after the other.
type flat struct {
	values, grads Buffer
	narrow        Buffer // gradients that are bfloat16; each has the number that its value has in values
	kept          Buffer // gradients of earlier shares of the mini-batch; taken at the second share
	rounded       Buffer // bfloat16: the values as factors of products
	averages      Buffer // averages of the values; empty if none are kept
	moments       Buffer // of one part after the other
	count, all    int64  // how many values the trained parameters have, and all parameters
	rules         []net.Optimizer
	parts         []part
}

// part describes the parameters with one rule that are updated at the same time: count values of flat, from index from on.
// The first decayed of them have weight decay, and the gradients of the first narrow are bfloat16.
type part struct {
	rule                         int
	turn                         int
	from, count, decayed, narrow int64
	moments                      []Buffer // each has count values
	stacks                       []stack  // all of its parameters, if the rule is for matrices; otherwise empty
}

// takeParameters takes the memory of all parameters.
func (p *program) takeParameters() error {
	pool, f := p.device.pool, &p.flat
	var of []int
	f.rules, of = Rules(p.plan, p.options.Optimizer)
	for i, q := range p.parameters {
		if q.rule = of[i]; q.Trained {
			rule := p.options.Optimizer.For(p.plan, q.Param).Rule
			q.decayed, q.matrix = rule.WeightDecay > 0, MatrixOf(rule, q.Param)
		}
	}
	p.takeTurns()
	order := slices.Clone(p.parameters)
	slices.SortStableFunc(order, func(a, b *parameter) int {
		return cmp.Or(-cmp.Compare(boolInt(a.Trained), boolInt(b.Trained)), cmp.Compare(a.turn, b.turn),
			cmp.Compare(a.rule, b.rule), -cmp.Compare(boolInt(a.decayed), boolInt(b.decayed)),
			-cmp.Compare(boolInt(a.narrow), boolInt(b.narrow)),
			cmp.Compare(a.matrix.Rows, b.matrix.Rows), cmp.Compare(a.matrix.Columns, b.matrix.Columns))
	})
	offsets, in := map[*parameter]int64{}, map[*parameter]int{}
	narrow := int64(0)
	for _, q := range order {
		const pad = alignment / 4
		offsets[q] = f.all
		f.all += (int64(q.Size()) + pad - 1) / pad * pad
		if !q.Trained {
			continue
		}
		f.count = f.all
		if n := len(f.parts); n == 0 || f.parts[n-1].rule != q.rule || f.parts[n-1].turn != q.turn {
			f.parts = append(f.parts, part{rule: q.rule, turn: q.turn, from: offsets[q]})
		}
		in[q] = len(f.parts) - 1
		r := &f.parts[len(f.parts)-1]
		if r.count = f.all - r.from; q.decayed {
			r.decayed = r.count
		}
		if q.narrow {
			r.narrow = r.count
			narrow = f.all
		}
		if q.matrix != (MatrixShape{}) {
			r.pile(q, offsets[q], f.all-offsets[q])
		}
	}
	take := func(into *Buffer, count int64, what string) (err error) {
		if *into, err = pool.take(4*count, what); err != nil {
			return err
		}
		return p.device.zero(*into)
	}
	err := firstError(take(&f.values, f.all, "the weights"), take(&f.grads, f.count, "the weights' gradients"))
	moments := int64(0)
	for _, r := range f.parts {
		moments += r.count * int64(len(f.rules[r.rule].Moments()))
	}
	err = firstError(err, take(&f.moments, moments, "the optimiser's moments"))
	if p.options.Averages() {
		err = firstError(err, take(&f.averages, f.all, "the averages of the weights"))
	}
	if p.device.form.Type == kernels.BF16 && err == nil {
		f.rounded, err = pool.take(2*f.all, "the weights in bfloat16")
	}
	if narrow > 0 && err == nil {
		if f.narrow, err = pool.take(2*narrow, "the weights' gradients in bfloat16"); err == nil {
			err = p.device.zero(f.narrow) // with the gaps
		}
	}
	if err != nil {
		return err
	}
	if err := p.takeMuon(); err != nil {
		return err
	}
	moments = 0
	for i := range f.parts {
		r := &f.parts[i]
		for range f.rules[r.rule].Moments() {
			r.moments = append(r.moments, f.moments.part(4*moments, 4*r.count))
			moments += r.count
		}
	}
	for _, q := range p.parameters {
		at, bytes := 4*offsets[q], 4*int64(q.Size())
		q.value = f.values.part(at, bytes)
		q.factor = q.value
		if f.rounded.Bytes > 0 {
			q.factor = f.rounded.part(at/2, bytes/2)
		}
		if p.options.Averages() {
			q.average = f.averages.part(at, bytes)
		}
		if !q.Trained {
			continue
		}
		q.grad = f.grads.part(at, bytes)
		if q.narrow {
			q.grad = f.narrow.part(at/2, bytes/2)
		}
		r := f.parts[in[q]]
		for _, m := range r.moments {
			q.moments = append(q.moments, m.part(at-4*r.from, bytes))
		}
	}
	return nil
}

// takeTurns notes in which turn the gradient of each parameter is known.
func (p *program) takeTurns() {
	p.turns = []int{0}
	if !p.device.options.OneStream {
		members := 1
		if p.group != nil {
			members = p.group.Size()
		}
		p.turns = Turns(p.lowered, p.options.Optimizer, members)
	}
	of := GroupsOf(p.lowered)
	for _, q := range p.parameters {
		if q.Trained {
			q.turn = slices.IndexFunc(p.turns, func(from int) bool { return of[q.Layer] >= from })
		}
	}
}

// early reports whether a step updates the parameters of a turn while the backward pass goes on.
func (p *program) early(turn int) bool {
	return turn < len(p.turns)-1 && p.options.Optimizer.ClipNorm == 0
}

// turnPart returns the piece of a buffer of gradients, float32, that belongs to a turn, and how many values it has.
func (p *program) turnPart(of Buffer, turn int) (Buffer, int64) {
	from, to := int64(-1), int64(0)
	for _, r := range p.flat.parts {
		if r.turn == turn {
			if from < 0 {
				from = r.from
			}
			to = r.from + r.count
		}
	}
	if from < 0 {
		return Buffer{}, 0
	}
	return of.part(4*from, 4*(to-from)), to - from
}

// reserveKept makes sure that there is memory for the gradients of earlier shares.
func (p *program) reserveKept() (err error) {
	if p.flat.kept.Bytes == 0 && p.flat.count > 0 {
		p.flat.kept, err = p.device.pool.take(4*p.flat.count, "the gradients of earlier shares of a mini-batch")
	}
	return err
}

// keepGradients copies the gradients so far, before others take their place. Later addKept adds the copy to the
// others. Gradients of shares are summed in float32, whatever their own type.
func (p *program) keepGradients() error {
	f := &p.flat
	if f.count == 0 {
		return nil
	}
	return p.device.launch(kernels.Scale{Y: float32s(f.kept), X: float32s(f.grads), Count: uint64(f.count), Factor: 1})
}

func (p *program) addKept() error {
	f := &p.flat
	if f.count == 0 {
		return nil
	}
	return p.device.launch(kernels.Add{Y: float32s(f.grads), A: float32s(f.kept), B: float32s(f.grads), Count: uint64(f.count)})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

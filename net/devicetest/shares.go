package devicetest

import (
	"github.com/gputrain/gputrain/net"
)

// judgePieces trains on a mini-batch in pieces of the given sizes, judges the
// update, and returns the new state.
func (p *program) judgePieces(before net.State, b net.Batch, sizes ...int) net.State {
	p.Helper()
	var pieces []net.Batch
	share, at := net.Share{Total: b.Len()}, 0
	p.metrics()
	for _, size := range sizes {
		piece := b.Part(at, at+size)
		pieces = append(pieces, piece)
		p.gradients(piece, share)
		share.First, at = share.First+size, at+size
	}
	p.update()
	m := p.metrics()
	after := p.state()
	p.judged("an update of several pieces", b, p.judge.Update(before, pieces, m, after))
	return after
}

// checkShares checks that an update from several pieces equals that of the whole
// mini-batch.
func checkShares(e *env) {
	plain := &net.Network{Input: net.Shape{C: 2, H: 5, W: 4}, Layers: []net.Layer{
		&net.Conv{Name: "a", Filters: 5, Kernel: net.Square(3), Padding: net.PadSame},
		&net.Activation{Func: net.ReLU},
		&net.Dropout{Name: "drop", Rate: 0.4},
		&net.Conv{Name: "b", Filters: 5, Kernel: net.Square(3), Padding: net.PadSame},
		&net.Add{From: net.From{"b", "drop"}},
		&net.Pool{Kernel: net.Square(2)},
		&net.Flatten{}, &net.Dropout{Rate: 0.2}, &net.Dense{Units: 4},
	}}
	for _, o := range e.optimizers(plain) {
		o.ClipNorm, o.WeightDecay = 0.5, 0.01
		p := e.compile(plain, net.Options{Batch: 8, Optimizer: o, Seed: e.rng.Uint64()})
		data := e.randomData(plain.Input, 4, 80)
		st := e.randomState(p.judge.Plan(), o)
		p.setState(st)
		for _, sizes := range [][]int{{8}, {4, 4}, {1, 5, 2}, {3, 1, 1, 1, 2}} {
			b := p.choose(st, data, 8)
			if b.Len() < 8 {
				continue // too few samples stay away from kinks
			}
			st = p.judgePieces(st, b, sizes...)
		}
	}
	// Batch normalisation uses each piece's own statistics, and moves its running
	// statistics with each piece. This network has no kinks.
	n := e.small()
	p := e.compile(n, net.Options{Batch: 4, Optimizer: net.SGDDefault(0.1), Seed: e.rng.Uint64()})
	data := e.randomData(n.Input, 3, 30)
	st := p.state()
	for i := range 3 {
		st = p.judgePieces(st, span(data, 9*i, 9*i+9), 4, 2, 3)
	}

	// The whole mini-batch as one piece is a step, to the last bit.
	opts := richOptions(5)
	whole, halves := e.compile(rich(), opts), e.compile(rich(), opts)
	data = e.randomData(rich().Input, 4, 23)
	for s := range 4 {
		b := span(data, 5*s, 5*s+6-s)
		whole.step(b)
		halves.gradients(b, net.Whole(b.Len()))
		halves.update()
		e.same("Gradients and Update instead of a step", halves.state(), whole.state())
	}
	if a, b := halves.metrics(), whole.metrics(); a != b {
		e.Errorf("metrics %+v after Gradients and Update, %+v after steps", a, b)
	}
}

// checkTurns checks the order in which Gradients, Update and other calls are
// allowed.
func checkTurns(e *env) {
	n := rich()
	p, calm := e.compile(n, richOptions(2)), e.compile(n, richOptions(2))
	data := e.randomData(n.Input, 4, 23)
	first, second := span(data, 0, 5), span(data, 5, 8)
	turn := func(what string, err error) {
		e.Helper()
		e.wantError(what, err, net.ErrUnfinished)
	}
	turn("Update of a new program", p.Update())
	for _, share := range []net.Share{{First: 0, Total: 4}, {First: 4, Total: 8}, {First: -1, Total: 9}, {}} {
		e.wantError("Gradients of a share that doesn't fit", p.Gradients(first, share), nil)
	}
	turn("Update after refused gradients", p.Update())
	start := p.state()
	for range 2 {
		for _, q := range []*program{p, calm} {
			q.gradients(first, net.Share{Total: 8})
		}
		// None of this changes what the update will do.
		turn("Step between Gradients and Update", p.Step(second))
		for _, mode := range []net.Mode{net.Training, net.Evaluation} {
			_, err := p.Trace(second, mode)
			turn("Trace between Gradients and Update", err)
		}
		e.wantError("Gradients of a share that doesn't fit", p.Gradients(second, net.Share{First: 6, Total: 8}), nil)
		p.evaluate(span(data, 0, 11))
		p.infer(span(data, 0, 11))
		if st := p.state(); st.Step != start.Step {
			e.Errorf("step count %d before the update, want %d", st.Step, start.Step)
		}
		for _, q := range []*program{p, calm} {
			q.gradients(second, net.Share{First: 5, Total: 8})
			q.update()
		}
		turn("a second Update", p.Update())
		e.same("an update with other calls between its pieces", p.state(), calm.state())
		if a, b := p.metrics(), calm.metrics(); a != b {
			e.Errorf("metrics %+v of an update with other calls between its pieces, want %+v", a, b)
		}
		start = p.state()
	}
	turn("Update after an update", p.Update())
	// A new state drops gradients.
	p.gradients(first, net.Whole(5))
	p.setState(start)
	turn("Update after SetState", p.Update())
	p.step(second)
	calm.step(second)
	e.same("a step after gradients that SetState dropped", p.state(), calm.state())
	turn("Update after Step", p.Update())
}

// checkDescribed checks what a program's Plan and Options return.
func checkDescribed(e *env) {
	n := rich()
	opts := richOptions(1<<40 + 7)
	opts.Optimizer.Groups = []net.Group{{Params: "*.bias", Factor: 2}}
	opts.Images = e.randomData(n.Input, 4, 9)
	p := e.compile(n, opts)
	want := opts
	want.Images = nil
	if got := p.Options(); !got.Same(want) || got.Images != nil {
		e.Errorf("Options gives %+v, want %+v", got, want)
	}
	plan := p.Plan()
	if plan == nil || plan.Network == nil || describe(plan.Network) != describe(n) || len(plan.Nodes) != len(n.Layers) || plan.Classes != 4 {
		e.Errorf("Plan gives %+v, not that of the network", plan)
	}
}

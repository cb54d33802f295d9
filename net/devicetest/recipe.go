package devicetest

import (
	"maps"
	"slices"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// checkCriterion judges losses that smooth labels and weigh classes, for single samples
// and for mixtures.
func checkCriterion(e *env) {
	judge := func(l net.Criterion, classes int, rows [][]float32, labels []int32) {
		e.Helper()
		n := identity(net.Shape{C: classes, H: 1, W: 1}, classes)
		data := &net.Dataset{Name: "logits", Shape: n.Input, Classes: classes, Labels: labels}
		for _, r := range rows {
			data.Values = append(data.Values, r...)
		}
		p := e.compile(n, net.Options{Batch: len(rows), Optimizer: net.SGDDefault(0.1), Loss: l})
		st := identityState(p.state())
		mixed := span(data, 0, len(rows))
		for i := range rows {
			v := net.PlainView()
			// The network sees only the sample itself, because the box is outside.
			v.Partner, v.Share, v.Box = int32((i+1)%len(rows)), pick[float32](e, 0, 0.25, 0.7, 1), net.Box{Left: 5, Right: 6, Bottom: 1}
			mixed.Views = append(mixed.Views, v)
		}
		for _, b := range []net.Batch{span(data, 0, len(rows)), mixed} {
			batches := []net.Batch{b}
			for i := range rows {
				if classes < 4 {
					batches = append(batches, b.Part(i, i+1)) // so that a huge loss hides none
				}
			}
			for _, b := range batches {
				p.setState(st)
				p.judgeTrace(st, b, net.Training)
				p.judgeTrace(st, b, net.Evaluation)
				p.judged("Evaluate", b, p.judge.Evaluate(st, b, p.evaluate(b)))
				p.judgeStep(st, b)
			}
		}
	}
	list := []net.Criterion{
		{}, {Smoothing: 0.1}, {Smoothing: 0.99}, {ClassWeights: []float64{0.3, 2}}, {ClassWeights: []float64{0, 1}}, {Smoothing: 0.2, ClassWeights: []float64{4, 0}},
	}
	for _, l := range list {
		judge(l, 3, [][]float32{
			{1e4, -1e4, 0}, {-1e4, -1e4, -1e4}, {1e4, 1e4, 1e4}, {1e4, 9999, -1e4}, {0, 0, 0}, {1e-30, 0, -1e-30},
		}, []int32{0, 1, 2, 1, 0, 2})
		judge(l, 2, [][]float32{{1e30, -1e30}, {-1e30, 1e30}, {1e38, 1e38}, {-104, 104}}, []int32{0, 0, 1, 1})
		for _, classes := range []int{4, 8, 10, 33, 131} {
			rows, labels := make([][]float32, 4), make([]int32, 4)
			for i := range rows {
				for range classes {
					rows[i] = append(rows[i], float32(3*e.rng.NormFloat64()))
				}
				labels[i] = int32(e.rng.IntN(classes))
			}
			l := l
			if l.ClassWeights != nil && e.one(2) { // weights for all classes
				for len(l.ClassWeights) < classes {
					l.ClassWeights = append(slices.Clone(l.ClassWeights), 3*e.rng.Float64())
				}
			}
			judge(l, classes, rows, labels)
		}
	}
	// In pieces, and for a network with layers before the loss.
	n := e.small()
	for _, l := range list[1:] {
		p := e.compile(n, net.Options{Batch: 5, Optimizer: net.AdamDefault(0.01), Loss: l, Seed: e.rng.Uint64()})
		data := e.randomData(n.Input, 3, 20)
		st := p.state()
		for range 2 {
			st = p.judgeStep(st, span(data, 0, 5))
			st = p.judgePieces(st, viewed(data, 5, 14, func() net.View { return e.randomView(data) }), 5, 1, 3)
		}
	}
}

// checkFactors judges learning rates that differ by parameter.
func checkFactors(e *env) {
	n := e.small()
	data := e.randomData(n.Input, 3, 20)
	for _, o := range e.optimizers(n) {
		if o.Groups != nil {
			continue // groups have rules of their own
		}
		for _, schedule := range []net.Schedule{{}, {Method: net.CosineRate, Total: 8, Warmup: 2}} {
			o.WeightDecay, o.ClipNorm, o.Schedule = 0.1, 0.3, schedule
			// The first factor that matches counts. One parameter no longer changes
			// after two steps.
			o.Groups = []net.Group{{Params: "conv1.weight", Factor: 0.25}, {Params: "batchnorm.bias", Factor: 8, Rule: net.Rule{Steps: 2}}, {Params: "*.bias", Factor: 3}, {Params: "*1.*", Factor: 0.5}}
			p := e.compile(n, net.Options{Batch: 4, Optimizer: o, Seed: e.rng.Uint64()})
			st := p.state()
			still := st.Params["batchnorm1.bias"]
			for s := range 6 {
				st = p.judgeStep(st, span(data, s, s+1+s%4))
				if s < 2 {
					still = clone(st).Params["batchnorm1.bias"]
				} else if d := bitDifference(st.Params["batchnorm1.bias"], still); d != "" {
					e.Errorf("a parameter changes after its last step: %s", d)
				}
			}
			st = p.judgePieces(st, span(data, 0, 7), 4, 3)
			if e.Failed() {
				e.Errorf("that was with optimiser %+v", o)
				return
			}
		}
	}
}

// checkAverages judges moving averages of the weights, and exchanging them with the
// weights.
func checkAverages(e *env) {
	n := e.small()
	data := e.randomData(n.Input, 3, 30)
	b := span(data, 3, 7)
	for i, o := range e.optimizers(n) {
		kinds := []net.Options{
			{Average: 0.05}, {Average: 0.3}, {Lookahead: net.Lookahead{Every: 2, Start: 1, Final: 0.2, Power: 3, Total: 20}}, {Average: 0.9},
			{Average: 0.999}, {Lookahead: net.Lookahead{Every: 3, Start: 0.5, Final: 0.5}}, {Average: 1 - 1e-6}, {Lookahead: net.Lookahead{Every: 1, Final: 1, Total: 9}},
		}
		opts := kinds[i%len(kinds)]
		opts.Batch, opts.Optimizer, opts.Seed = 4, o, e.rng.Uint64()
		p := e.compile(n, opts)
		st := p.state()
		if i%2 == 1 { // from the middle of a run
			st = e.randomState(p.judge.Plan(), o)
			st.Average = e.randomState(p.judge.Plan(), o).Params
			p.setState(st)
		}
		for s := range 12 {
			st = p.judgeStep(st, span(data, s, s+1+s%4))
		}
		st = p.judgePieces(st, span(data, 0, 9), 4, 2, 3)

		// Averages in the place of the weights are judged as if they were the weights.
		swap := func() {
			e.Helper()
			p.must("SwapAverage", p.SwapAverage())
		}
		unfinished := func(what string, err error) {
			e.Helper()
			e.wantError(what, err, net.ErrUnfinished)
		}
		swapped := st
		swapped.Params, swapped.Average = st.Average, st.Params
		for range 2 {
			swap()
			e.same("state with averages in the place of weights", p.state(), swapped)
			p.judged("Infer", b, p.judge.Infer(swapped, b, p.infer(b)))
			p.judged("Evaluate", b, p.judge.Evaluate(swapped, b, p.evaluate(b)))
			p.judgeTrace(swapped, b, net.Evaluation)
			unfinished("Step with averages in the place of weights", p.Step(b))
			unfinished("Gradients with averages in the place of weights", p.Gradients(b, net.Whole(4)))
			unfinished("Update with averages in the place of weights", p.Update())
			unfinished("SetState with averages in the place of weights", p.SetState(st))
			e.same("state after calls out of turn", p.state(), swapped)
			swap()
			e.same("state with the weights in their place again", p.state(), st)
			p.judged("Infer", b, p.judge.Infer(st, b, p.infer(b)))
		}
		p.gradients(b, net.Whole(4))
		unfinished("SwapAverage between Gradients and Update", p.SwapAverage())
		p.update()
		st = p.judgeStep(p.state(), b)

		// After a state without averages, they begin at the weights.
		st.Average = nil
		p.setState(st)
		st.Average = maps.Clone(st.Params)
		e.same("state after SetState without averages", p.state(), st)
		p.judgeStep(st, b)

		// Without averages there is nothing to exchange, and none are kept.
		opts.Average, opts.Lookahead = 0, net.Lookahead{}
		q := e.compile(n, opts)
		e.wantError("SwapAverage without averages", q.SwapAverage(), nil)
		q.setState(st)
		st.Average = nil
		e.same("state of a program without averages", q.state(), st)
		q.judgeStep(st, b)
	}
	// A device must not keep anything that it computed from the old weights. With
	// averages in their place, and after changing back, it must infer the same bits as
	// a program that had these weights from the start.
	wide := &net.Network{Input: net.Shape{C: 16, H: 8, W: 8}, Layers: []net.Layer{
		&net.Conv{Filters: 32, Kernel: net.Square(3), Padding: net.PadSame}, &net.BatchNorm{}, &net.Activation{Func: net.ReLU},
		&net.Conv{Filters: 16, Kernel: net.Square(5)}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)}, &net.Flatten{}, &net.Dense{Units: 4},
	}}
	networks := []*net.Network{rich(), wide}
	for range e.some(6, 2) {
		networks = append(networks, e.randomNetwork())
	}
	for _, n := range networks {
		p := e.compile(n, richOptions(3))
		data := e.randomData(n.Input, p.judge.Plan().Classes, 20)
		p.train(data, 0, 3)
		st, b := p.state(), span(data, 2, 13)
		for range 2 {
			for _, params := range []map[string]*tensor.Dense{st.Params, st.Average} {
				fresh := e.compile(n, richOptions(3))
				fresh.setState(net.State{Step: st.Step, Params: params})
				if d := bitDifference(p.infer(b), fresh.infer(b)); d != "" {
					e.Errorf("Infer after SwapAverage: %s\n%s", d, p.name)
				}
				p.must("SwapAverage", p.SwapAverage())
			}
		}
	}
	// Averages may be of frozen parameters too, and of a network that learns only by
	// its running statistics.
	frozen := &net.Network{Input: n.Input, Layers: []net.Layer{
		&net.BatchNorm{Frozen: net.Frozen{All: true}}, &net.Flatten{}, &net.Dense{Units: 3, Frozen: net.Frozen{Roles: []net.Role{net.Weight}}},
	}}
	p := e.compile(frozen, net.Options{Batch: 4, Optimizer: net.SGDDefault(0.1), Average: 0.5})
	st := p.state()
	for range 3 {
		st = p.judgeStep(st, b)
	}
	p.must("SwapAverage", p.SwapAverage())
	for name, w := range p.state().Params {
		if d := bitDifference(w, st.Average[name]); d != "" {
			e.Errorf("average of %s: %s", name, d)
		}
	}
}

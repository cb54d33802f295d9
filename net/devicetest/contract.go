package devicetest

import (
	"errors"
	"math"
	"slices"

	"github.com/gputrain/gputrain/net"
)

func checkCompileRefused(e *env) {
	good := richOptions(1)
	refuse := func(what string, n *net.Network, opts net.Options) {
		e.Helper()
		p, err := e.dev.Compile(n, opts)
		e.wantError("Compile, "+what, err, nil)
		if p != nil && err == nil {
			e.closeProgram(&program{env: e, Tracer: p.(net.Tracer)})
		}
	}
	averaged := good
	averaged.Inference = true
	refuse("averages for inference", rich(), averaged)
	for _, size := range []int{0, -1, math.MinInt} {
		opts := good
		opts.Batch = size
		refuse("batch size", rich(), opts)
	}
	for _, spoil := range []func(*net.Optimizer){
		func(o *net.Optimizer) { *o = net.Optimizer{} },
		func(o *net.Optimizer) { o.Method = "lbfgs" },
		func(o *net.Optimizer) { o.LearningRate = -1 },
		func(o *net.Optimizer) { o.LearningRate = math.NaN() },
		func(o *net.Optimizer) { o.Beta1 = 1 },
		func(o *net.Optimizer) { o.Schedule.Method = "random" },
	} {
		opts := good
		spoil(&opts.Optimizer)
		refuse("optimiser", rich(), opts)
	}
	for what, spoil := range map[string]func(*net.Options){
		"factors of no parameter": func(o *net.Options) { o.Optimizer.Groups = []net.Group{{Params: "nobody.*", Factor: 1}} },
		"a factor below 0":        func(o *net.Options) { o.Optimizer.Groups = []net.Group{{Params: "*", Factor: -1}} },
		"a bad pattern":           func(o *net.Options) { o.Optimizer.Groups = []net.Group{{Params: "[", Factor: 1}} },
		"label smoothing of 1":    func(o *net.Options) { o.Loss.Smoothing = 1 },
		"too many class weights":  func(o *net.Options) { o.Loss.ClassWeights = []float64{1, 1, 1, 1, 1} },
		"class weights of 0":      func(o *net.Options) { o.Loss.ClassWeights = []float64{0, 0, 0, 0} },
		"averages of 1":           func(o *net.Options) { o.Average = 1 },
		"averages of NaN":         func(o *net.Options) { o.Average = math.NaN() },
	} {
		opts := good
		spoil(&opts)
		refuse(what, rich(), opts)
	}
	for _, n := range []*net.Network{
		{Input: net.Shape{C: 4, H: 1, W: 1}},
		{Layers: rich().Layers},
		{Input: net.Shape{C: 4, H: 1, W: 1}, Layers: []net.Layer{&net.Dense{Units: 1}}},
		{Input: net.Shape{C: 4, H: 2, W: 1}, Layers: []net.Layer{&net.Dense{Units: 2}}},
		{Input: net.Shape{C: 4, H: 2, W: 2}, Layers: []net.Layer{&net.Conv{Filters: 2, Kernel: net.Square(3)}}},
		{Input: net.Shape{C: 4, H: 2, W: 2}, Layers: []net.Layer{&net.Activation{Func: "no such function"}, &net.Flatten{}}},
	} {
		refuse("network", n, good)
	}
	_, err := e.dev.Compile(&net.Network{Input: net.Shape{C: 4, H: 1, W: 1}, Layers: []net.Layer{&net.Dense{Units: 2}, nil}}, good)
	var layer *net.LayerError
	if !errors.As(err, &layer) || layer.Index != 1 {
		e.Errorf("Compile of a network with a nil layer: %v, want a LayerError of layer 1", err)
	}
	// After this the device still works.
	e.judgeAll(rich())
}

func checkBatchRefused(e *env) {
	n := rich()
	p := e.compile(n, richOptions(1))
	data := e.randomData(n.Input, 4, 20)
	p.train(data, 0, 2)
	want := p.metrics()
	p.train(data, 2, 4)
	p.evaluate(span(data, 0, 9))
	st := p.state()

	calls := func(b net.Batch) map[string]error {
		_, inferErr := p.Infer(b)
		_, evaluateErr := p.Evaluate(b)
		_, trainErr := p.Trace(b, net.Training)
		_, evalErr := p.Trace(b, net.Evaluation)
		return map[string]error{
			"Step": p.Step(b), "Gradients": p.Gradients(b, net.Share{Total: 100}), "Evaluate": evaluateErr, "Infer": inferErr,
			"Trace in training": trainErr, "Trace in evaluation": evalErr,
		}
	}
	otherShape := e.randomData(net.Shape{C: 2, H: 6, W: 7}, 4, 20)
	moreClasses := *data
	moreClasses.Classes = 5
	oneView := span(data, 0, 2)
	oneView.Views = []net.View{net.PlainView()}
	otherChannels := e.randomData(net.Shape{C: 3, H: 7, W: 6}, 4, 20)
	type badBatch struct {
		what string
		b    net.Batch
	}
	bad := []badBatch{
		{"one view of two samples", oneView},
		{"views of samples of other channels", viewed(otherChannels, 0, 2, net.PlainView)},
	}
	for what, v := range badViews(20) {
		b := viewed(data, 0, 2, net.PlainView)
		b.Views[1] = v
		bad = append(bad, badBatch{what, b})
	}
	for _, c := range append(bad, []badBatch{
		{"no data set", net.Batch{Indices: []int32{0}}},
		{"no samples", net.Batch{Data: data}},
		{"index below 0", net.Batch{Data: data, Indices: []int32{0, -1}}},
		{"index beyond the data set", net.Batch{Data: data, Indices: []int32{3, 20}}},
		{"last index beyond a larger batch", net.Batch{Data: data, Indices: []int32{0, 1, 2, 3, 4, math.MaxInt32}}},
		{"samples of another shape", span(otherShape, 0, 2)},
		{"more classes than logits", span(&moreClasses, 0, 2)},
	}...) {
		for call, err := range calls(c.b) {
			e.wantError(call+", "+c.what, err, nil)
		}
	}
	large := span(data, 0, 7)
	for _, mode := range []net.Mode{net.Training, net.Evaluation} {
		_, err := p.Trace(large, mode)
		e.wantError("Trace of a batch above Options.Batch", err, net.ErrBatchSize)
	}
	e.wantError("Step on a batch above Options.Batch", p.Step(large), net.ErrBatchSize)
	e.wantError("Gradients of a batch above Options.Batch", p.Gradients(large, net.Whole(7)), net.ErrBatchSize)
	e.wantError("Update without gradients", p.Update(), net.ErrUnfinished)

	// Neither the state nor the sums changed.
	e.same("state after batches were refused", p.state(), st)
	got := p.metrics()
	fresh := e.compile(n, richOptions(1))
	fresh.train(data, 0, 2)
	if m := fresh.metrics(); m != want {
		e.Errorf("metrics %+v, want %+v", m, want)
	}
	fresh.train(data, 2, 4)
	fresh.evaluate(span(data, 0, 9))
	if m := fresh.metrics(); m != got {
		e.Errorf("metrics %+v after batches were refused, want %+v", got, m)
	}
}

// checkInference compares a program for inference with the one whose weights it has.
func checkInference(e *env) {
	n := rich()
	o := richOptions(3)
	p := e.compile(n, o)
	data := e.randomData(n.Input, 4, 20)
	p.train(data, 0, 3)
	st := p.state()
	o.Average, o.Inference = 0, true
	q := e.compile(n, o)
	if q.Plan().Weights() != p.Plan().Weights() {
		e.Errorf("the plan has %d weights, want %d", q.Plan().Weights(), p.Plan().Weights())
	}
	if err := q.SetState(net.State{Step: st.Step, Params: st.Params}); err != nil {
		e.Fatal(err)
	}
	for _, size := range []int{1, 3, 8} {
		b := span(data, 0, size)
		if !slices.Equal(q.infer(b).Float32s(), p.infer(b).Float32s()) {
			e.Errorf("other answers for %d samples", size)
		}
		if got, want := q.evaluate(b), p.evaluate(b); got != want {
			e.Errorf("evaluated to %+v, want %+v", got, want)
		}
	}
	after, err := q.State()
	if err != nil {
		e.Fatal(err)
	}
	if len(after.Optimizer) > 0 || after.Average != nil || after.Step != st.Step {
		e.Errorf("the state has step %d, %d moments and %d averages", after.Step, len(after.Optimizer), len(after.Average))
	}
	e.same("weights", net.State{Params: after.Params}, net.State{Params: st.Params})
	b := span(data, 0, 2)
	_, trainingErr := q.Trace(b, net.Training)
	for call, err := range map[string]error{
		"Step": q.Step(b), "Gradients": q.Gradients(b, net.Whole(2)), "Update": q.Update(), "Trace": trainingErr,
	} {
		e.wantError(call+" of a program for inference", err, net.ErrInference)
	}
	if _, err := q.Trace(b, net.Evaluation); err != nil {
		e.Error(err)
	}
}

func checkClosed(e *env) {
	n := rich()
	p := e.compile(n, richOptions(1))
	data := e.randomData(n.Input, 4, 20)
	p.train(data, 0, 2)
	st := p.state()
	e.closeProgram(p)
	b := span(data, 0, 2)
	_, metricsErr := p.TakeMetrics()
	_, evaluateErr := p.Evaluate(b)
	_, inferErr := p.Infer(b)
	_, stateErr := p.State()
	_, traceErr := p.Trace(b, net.Training)
	for call, err := range map[string]error{
		"Step": p.Step(b), "Gradients": p.Gradients(b, net.Whole(2)), "Update": p.Update(),
		"Evaluate": evaluateErr, "TakeMetrics": metricsErr, "Infer": inferErr,
		"State": stateErr, "SetState": p.SetState(st), "Trace": traceErr, "SwapAverage": p.SwapAverage(),
	} {
		e.wantError(call+" after Close", err, net.ErrClosed)
	}
	if err := p.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		e.Errorf("second Close: %v", err)
	}
	// One that never ran.
	e.closeProgram(e.compile(n, richOptions(1)))
	// The device goes on.
	e.judgeAll(e.small())
}

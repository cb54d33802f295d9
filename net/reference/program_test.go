package reference_test

import (
	"errors"
	"maps"
	"math"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

func step(t *testing.T, p net.Program, b net.Batch) {
	t.Helper()
	if err := p.Step(b); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, p net.Program) net.State {
	t.Helper()
	s, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func metrics(t *testing.T, p net.Program) net.Metrics {
	t.Helper()
	m, err := p.TakeMetrics()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checkState wants two states to be equal to the last bit.
func checkState(t *testing.T, name string, got, want net.State) {
	t.Helper()
	if got.Step != want.Step {
		t.Errorf("%s: step %d, want %d", name, got.Step, want.Step)
	}
	for _, tensors := range []struct{ got, want map[string]*tensor.Dense }{{got.Params, want.Params}, {got.Optimizer, want.Optimizer}} {
		if g, w := slices.Sorted(maps.Keys(tensors.got)), slices.Sorted(maps.Keys(tensors.want)); !slices.Equal(g, w) {
			t.Fatalf("%s: tensors %v, want %v", name, g, w)
		}
		for k, w := range tensors.want {
			approx.Check(t, name+": "+k, tensors.got[k].Float32s(), w.Float32s(), exact)
		}
	}
}

// allOptimizers returns one setting of each kind, with clipping and decay.
func allOptimizers() map[string]net.Optimizer {
	sgd := net.Optimizer{Rule: net.Rule{Method: net.SGD, LearningRate: 0.1, WeightDecay: 0.1}, ClipNorm: 0.5}
	momentum, nesterov := sgd, sgd
	momentum.Momentum = 0.9
	nesterov.Momentum, nesterov.Nesterov = 0.8, true
	// A large epsilon, as a small one makes of a gradient near 0 a large step.
	adam := net.Optimizer{Rule: net.Rule{Method: net.Adam, LearningRate: 0.05, Beta1: 0.9, Beta2: 0.99, Epsilon: 0.01, WeightDecay: 0.1}, ClipNorm: 0.5, Schedule: net.Schedule{Method: net.CosineRate, Warmup: 2, Total: 10, Final: 0.1}}
	adamW := adam
	adamW.Method = net.AdamW
	lion := net.Optimizer{Rule: net.Rule{Method: net.Lion, LearningRate: 0.01, Beta1: 0.9, Beta2: 0.99, WeightDecay: 0.1}}
	muon := net.Rule{Method: net.Muon, LearningRate: 0.1, Momentum: 0.6, Nesterov: true, Iterations: 3, Rescale: true}
	mixed := adam
	mixed.Groups = []net.Group{{Params: "conv.weight", Rule: muon}, {Params: "*.bias", Rule: lion.Rule}}
	return map[string]net.Optimizer{"sgd": sgd, "momentum": momentum, "nesterov": nesterov, "adam": adam, "adamw": adamW, "lion": lion, "mixed": mixed}
}

func TestInitialState(t *testing.T) {
	network := everyLayer()
	plan, err := network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range allOptimizers() {
		got := state(t, compile(t, network, net.Options{Batch: 1, Optimizer: o, Seed: 5}))
		want := net.InitialState(plan, 5, nil)
		for _, q := range plan.Trained() {
			for _, m := range o.For(plan, q).Moments() {
				want.Optimizer[q.Name+"."+m] = tensor.New(tensor.WithShape(q.Dims...), tensor.Of(tensor.Float32))
			}
		}
		checkState(t, name, got, want)
		if err := got.Check(plan, o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A step is what Trace shows, clipped, then the optimiser's update; batch
// normalisation's running statistics follow the layers' inputs.
func TestStepFollowsTrace(t *testing.T) {
	const n, seed = 5, 3
	network := everyLayer()
	data := randomData(testenv.Rand(t), network.Input, 20)
	for name, o := range allOptimizers() {
		p := compile(t, network, net.Options{Batch: n, Optimizer: o, Seed: seed})
		for i := range int64(4) {
			b := net.Batch{Data: data, Indices: sequence(20)[5*i : 5*i+5-i]} // the last ones smaller
			before := state(t, p)
			trace, err := p.Trace(b, net.Training)
			if err != nil {
				t.Fatal(err)
			}
			checkState(t, name+" after Trace", state(t, p), before)
			if m := metrics(t, p); m != (net.Metrics{}) {
				t.Errorf("%s: metrics %+v after Trace", name, m)
			}
			step(t, p, b)
			m := metrics(t, p)
			approx.Check(t, name+": loss", []float64{m.MeanLoss()}, []float64{trace.Loss}, rounded)
			if m.Hits != trace.Hits || m.Samples != int64(b.Len()) || m.FirstBad != 0 {
				t.Errorf("%s: metrics %+v, want %d hits of %d samples", name, m, trace.Hits, b.Len())
			}

			after := state(t, p)
			if after.Step != i+1 {
				t.Errorf("%s: step %d, want %d", name, after.Step, i+1)
			}
			// Weights, moments and gradients of size 1 are rounded to float32.
			tolerance := approx.Tolerance{Abs: 1e-6, Rel: 1e-6}
			layers := layersAt(t, network, seed, before)
			var grads [][]float64
			for k, l := range layers {
				for _, q := range l.Node.Params {
					if q.Trained {
						grads = append(grads, widen(trace.Layers[k].ParamGrads[q.Role]))
					}
				}
			}
			reference.Clip(o.ClipNorm, grads)
			for _, l := range layers {
				var x [][]float64
				for _, from := range l.Inputs {
					if from == net.NetworkInput {
						x = append(x, gather(b))
					} else {
						x = append(x, widen(trace.Layers[from].Output))
					}
				}
				l.Forward(x, b.Len(), net.Training, reference.Place{Step: i})
				mean, variance := l.RunningStatistics()
				for _, q := range l.Node.Params {
					want := l.Params[q.Role]
					switch q.Role {
					case net.RunningMean:
						want = mean
					case net.RunningVar:
						want = variance
					default:
						moments, o := map[string][]float64{}, o.For(p.Plan(), q)
						for _, m := range o.Moments() {
							moments[m] = widen(before.Optimizer[q.Name+"."+m])
						}
						reference.Update(o, i, q.Dims[0], want, grads[0], moments)
						grads = grads[1:]
						for m, values := range moments {
							approx.Check(t, name+": "+q.Name+"."+m, after.Optimizer[q.Name+"."+m].Float32s(), values, tolerance)
						}
					}
					approx.Check(t, name+": "+q.Name, after.Params[q.Name].Float32s(), want, tolerance)
				}
			}
		}
	}
}

func TestResumeEqualsUninterrupted(t *testing.T) {
	network := everyLayer()
	data := randomData(testenv.Rand(t), network.Input, 12)
	b := func(i int) net.Batch { return net.Batch{Data: data, Indices: sequence(12)[2*i : 2*i+3]} }
	for name, o := range allOptimizers() {
		opts := net.Options{Batch: 3, Optimizer: o, Seed: 9}
		p := compile(t, network, opts)
		var half net.State
		for i := range 5 {
			if i == 2 {
				half = state(t, p)
			}
			step(t, p, b(i))
		}
		resumed := compile(t, network, opts)
		step(t, resumed, b(4)) // goes elsewhere first
		if err := resumed.SetState(half); err != nil {
			t.Fatal(err)
		}
		checkState(t, name+" taken over", state(t, resumed), half)
		for i := 2; i < 5; i++ {
			step(t, resumed, b(i))
		}
		checkState(t, name+" resumed", state(t, resumed), state(t, p))
	}
}

func TestStateIsACopy(t *testing.T) {
	network := everyLayer()
	p := compile(t, network, net.Options{Batch: 1, Optimizer: net.AdamDefault(0.1), Seed: 1})
	want := state(t, p)
	wreck := func(s net.State) {
		for _, tensors := range []map[string]*tensor.Dense{s.Params, s.Optimizer} {
			for _, d := range tensors {
				for i := range d.Float32s() {
					d.Float32s()[i] = float32(math.NaN())
				}
			}
		}
	}
	wreck(state(t, p))
	checkState(t, "after a change of what State gave", state(t, p), want)
	taken := state(t, p)
	if err := p.SetState(taken); err != nil {
		t.Fatal(err)
	}
	wreck(taken)
	checkState(t, "after a change of what SetState took", state(t, p), want)
}

func TestSetStateWithoutMoments(t *testing.T) {
	network := everyLayer()
	data := randomData(testenv.Rand(t), network.Input, 2)
	p := compile(t, network, net.Options{Batch: 2, Optimizer: net.AdamDefault(0.1), Seed: 1})
	want := state(t, p)
	step(t, p, all(data))
	bare := net.State{Params: want.Params}
	if err := p.SetState(bare); err != nil {
		t.Fatal(err)
	}
	checkState(t, "moments", state(t, p), want)
}

func TestSetStateRefusesWhatDoesNotFit(t *testing.T) {
	network := everyLayer()
	data := randomData(testenv.Rand(t), network.Input, 2)
	p := compile(t, network, net.Options{Batch: 2, Optimizer: net.AdamDefault(0.1), Seed: 1})
	step(t, p, all(data))
	want := state(t, p)
	bad := state(t, p)
	bad.Step = 77
	delete(bad.Params, "conv1.weight")
	if err := p.SetState(bad); !errors.Is(err, net.ErrState) {
		t.Errorf("got %v, want %v", err, net.ErrState)
	}
	checkState(t, "after the refusal", state(t, p), want)
}

// Evaluation uses running statistics and no dropout, takes more samples than a
// step and changes nothing but the metrics.
func TestEvaluateAndInfer(t *testing.T) {
	network := everyLayer()
	data := randomData(testenv.Rand(t), network.Input, 7)
	p := compile(t, network, net.Options{Batch: 3, Optimizer: net.AdamDefault(0.05), Seed: 4})
	for range 3 {
		step(t, p, net.Batch{Data: data, Indices: []int32{0, 1, 2}})
	}
	metrics(t, p)
	before := state(t, p)

	var loss float64
	var hits int64
	var probabilities []float32
	for i := range int32(7) {
		trace, err := p.Trace(net.Batch{Data: data, Indices: []int32{i}}, net.Evaluation)
		if err != nil {
			t.Fatal(err)
		}
		loss, hits = loss+trace.Loss, hits+trace.Hits
		probabilities = append(probabilities, trace.Probabilities.Float32s()...)
	}
	m, err := p.Evaluate(all(data))
	if err != nil {
		t.Fatal(err)
	}
	if sums := metrics(t, p); sums != (net.Metrics{}) {
		t.Errorf("Evaluate left training sums %+v", sums)
	}
	approx.Check(t, "loss", []float64{m.Loss}, []float64{loss}, rounded)
	if m.Samples != 7 || m.Hits != hits {
		t.Errorf("%+v, want %d hits of 7", m, hits)
	}

	unlabelled := *data
	unlabelled.Labels = slices.Repeat([]int32{-1}, 7)
	got, err := p.Infer(all(&unlabelled))
	if err != nil {
		t.Fatal(err)
	}
	if !got.Shape().Eq(tensor.Shape{7, 3}) {
		t.Errorf("probabilities of shape %v, want (7, 3)", got.Shape())
	}
	approx.Check(t, "probabilities", got.Float32s(), probabilities, exact)
	checkState(t, "after evaluation", state(t, p), before)
	if m := metrics(t, p); m != (net.Metrics{}) {
		t.Errorf("Infer left metrics %+v", m)
	}

	// By hand: every layer in evaluation mode.
	outputs := runLayers(layersAt(t, network, 4, before), gather(all(data)), 7, net.Evaluation, 3)
	want := reference.SoftmaxCrossEntropy(outputs[len(outputs)-1], data.Labels, 3)
	approx.Check(t, "probabilities of all at once", got.Float32s(), want.Probabilities, float32Rounding)
	approx.Check(t, "loss of all at once", []float64{m.Loss}, []float64{want.Sum}, rounded)
}

// A network that only flattens takes its logits from the data.
var logitsNetwork = &net.Network{Input: net.Shape{C: 2, H: 1, W: 1}, Layers: []net.Layer{&net.Flatten{}}}

func TestMetrics(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	data := &net.Dataset{
		Name: "logits", Shape: logitsNetwork.Input, Classes: 2,
		Values: []float32{
			1e4, -1e4, // right
			1e4, -1e4, // wrong
			3, 3, // a tie, which the first class wins
			nan, 0,
			0, -inf}, // infinitely wrong
		Labels: []int32{0, 1, 0, 0, 1},
	}
	p := compile(t, logitsNetwork, net.Options{Batch: 5, Optimizer: net.SGDDefault(1)})
	check := func(name string, samples, hits int64, loss float64, firstBad int64) {
		t.Helper()
		m := metrics(t, p)
		if m.Samples != samples || m.Hits != hits || m.FirstBad != firstBad {
			t.Errorf("%s: %+v, want %d samples, %d hits, first bad step %d", name, m, samples, hits, firstBad)
		}
		if !math.IsNaN(loss) || !math.IsNaN(m.Loss) {
			approx.Check(t, name+": loss", []float64{m.Loss}, []float64{loss}, rounded)
		}
	}
	batch := func(i ...int32) net.Batch { return net.Batch{Data: data, Indices: i} }
	evaluate := func(name string, b net.Batch, samples, hits int64, loss float64) {
		t.Helper()
		m, err := p.Evaluate(b)
		if err != nil {
			t.Fatal(err)
		}
		if m.Samples != samples || m.Hits != hits || m.FirstBad != 0 || math.IsNaN(m.Loss) != math.IsNaN(loss) {
			t.Errorf("%s: %+v, want %d samples, %d hits", name, m, samples, hits)
		}
		if !math.IsNaN(loss) {
			approx.Check(t, name+": loss", []float64{m.Loss}, []float64{loss}, rounded)
		}
	}

	check("nothing yet", 0, 0, 0, 0)
	step(t, p, batch(0, 1))
	evaluate("an evaluation", batch(2, 2, 1), 3, 2, 2e4+2*math.Ln2)
	evaluate("a NaN in evaluation", batch(3), 1, 0, math.NaN())
	check("a step, without the evaluations after it", 2, 1, 2e4, 0)
	step(t, p, batch(0))
	step(t, p, batch(0, 4)) // the third step
	check("infinite", 3, 2, math.Inf(1), 3)
	step(t, p, batch(3))
	check("NaN", 1, 0, math.NaN(), 3)
	check("the first bad step stays", 0, 0, 0, 3)

	if err := p.SetState(net.State{Step: 40}); err != nil {
		t.Fatal(err)
	}
	check("a new state", 0, 0, 0, 0)
	step(t, p, batch(0, 3))
	check("NaN after the new state", 2, 1, math.NaN(), 41)
}

// A NaN passes through every layer to the loss; only dropout may drop it.
func TestNaNReachesLoss(t *testing.T) {
	network := everyLayer()
	network.Layers = slices.DeleteFunc(network.Layers, func(l net.Layer) bool { return l.Kind() == "dropout" })
	data := randomData(testenv.Rand(t), network.Input, 1)
	data.Values[20] = float32(math.NaN())
	p := compile(t, network, net.Options{Batch: 1, Optimizer: net.SGDDefault(0.1)})
	step(t, p, all(data))
	if m := metrics(t, p); !math.IsNaN(m.Loss) || m.FirstBad != 1 {
		t.Errorf("%+v, want a NaN loss in step 1", m)
	}
}

func TestPixels(t *testing.T) {
	data := &net.Dataset{Name: "pixels", Shape: logitsNetwork.Input, Classes: 2, Pixels: []uint8{0, 255, 51, 0}, Scale: 1. / 255, Labels: []int32{0, 1}}
	p := compile(t, logitsNetwork, net.Options{Batch: 2, Optimizer: net.SGDDefault(1)})
	trace, err := p.Trace(net.Batch{Data: data, Indices: []int32{1, 0}}, net.Evaluation)
	if err != nil {
		t.Fatal(err)
	}
	// The scale is a float32, and so is the product.
	approx.Check(t, "gathered", trace.Layers[0].Output.Float32s(), []float32{0.2, 0, 0, 1}, approx.Tolerance{Rel: 2 * 6e-8})
}

func TestErrors(t *testing.T) {
	device := reference.New()
	if got, want := device.Name(), "reference (float64)"; got != want {
		t.Errorf("name %q, want %q", got, want)
	}
	network := everyLayer()
	good := net.Options{Batch: 2, Optimizer: net.SGDDefault(0.1)}
	if _, err := device.Compile(network, net.Options{Optimizer: good.Optimizer}); err == nil {
		t.Error("a batch size of 0 compiles")
	}
	wrong := &net.Network{Input: network.Input, Layers: []net.Layer{&net.Dense{Units: 3}}}
	var layerError *net.LayerError
	if _, err := device.Compile(wrong, good); !errors.As(err, &layerError) {
		t.Errorf("a wrong network: %v, want a *net.LayerError", err)
	}

	p := compile(t, network, good)
	data := randomData(testenv.Rand(t), network.Input, 3)
	before := state(t, p)
	calls := func(p net.Tracer, b net.Batch) map[string]error {
		_, infer := p.Infer(b)
		_, evaluate := p.Evaluate(b)
		_, trace := p.Trace(b, net.Training)
		return map[string]error{"Step": p.Step(b), "Gradients": p.Gradients(b, net.Whole(b.Len())), "Evaluate": evaluate, "Infer": infer, "Trace": trace}
	}
	for name, b := range map[string]net.Batch{
		"no data set":     {Indices: []int32{0}},
		"empty":           {Data: data},
		"index too large": {Data: data, Indices: []int32{3}},
		"negative index":  {Data: data, Indices: []int32{-1}},
		"other shape":     all(randomData(testenv.Rand(t), net.Shape{C: 1, H: 7, W: 6}, 2)),
	} {
		for call, err := range calls(p, b) {
			if err == nil {
				t.Errorf("%s takes a batch with %s", call, name)
			}
		}
	}
	for call, err := range calls(p, all(data)) {
		large := call == "Step" || call == "Gradients" || call == "Trace"
		if errors.Is(err, net.ErrBatchSize) != large || (err != nil) != large {
			t.Errorf("%s of 3 samples, compiled for 2: %v", call, err)
		}
	}
	checkState(t, "after refusals", state(t, p), before)
	if m := metrics(t, p); m != (net.Metrics{}) {
		t.Errorf("metrics %+v after refusals", m)
	}

	if err := p.Close(); err != nil {
		t.Error(err)
	}
	closed := calls(p, net.Batch{Data: data, Indices: []int32{0}})
	_, closed["TakeMetrics"] = p.TakeMetrics()
	_, closed["State"] = p.State()
	closed["SetState"], closed["Update"], closed["SwapAverage"] = p.SetState(before), p.Update(), p.SwapAverage()
	for call, err := range closed {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s of a closed program: %v, want %v", call, err, net.ErrClosed)
		}
	}
	if err := p.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if err := device.Close(); err != nil {
		t.Error(err)
	}
}

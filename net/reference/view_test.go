package reference_test

import (
	"errors"
	"math"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// pictures are two of 2 x 3 pixels, of one channel, in rows of the other order.
func pictures() *net.Dataset {
	return &net.Dataset{
		Name: "pictures", Shape: net.Shape{C: 1, H: 2, W: 3}, Classes: 3,
		Values: []float32{10, 20, 30, 40, 50, 60, 1, 2, 3, 4, 5, 6}, Labels: []int32{0, 1}, Rows: []int32{1, 0},
	}
}

func TestSeeByHand(t *testing.T) {
	identity := [6]float32{1, 0, 0, 0, 1, 0}
	one := net.Shape{C: 1, H: 2, W: 3}
	view := func(m [6]float32, change ...func(*net.View)) net.View {
		v := net.PlainView()
		v.Matrix = m
		for _, c := range change {
			c(&v)
		}
		return v
	}
	reflect := func(v *net.View) { v.Border = net.ReflectBorder }
	for _, c := range []struct {
		name string
		view net.View
		to   net.Shape
		want []float64
	}{
		{"plain", view(identity), one, []float64{1, 2, 3, 4, 5, 6}},
		{"a pixel further left and up", view([6]float32{1, 0, 1, 0, 1, 1}), one, []float64{5, 6, 0, 0, 0, 0}},
		{"the same, reflected", view([6]float32{1, 0, 1, 0, 1, 1}, reflect), one, []float64{5, 6, 5, 2, 3, 2}},
		{"far right, reflected", view([6]float32{1, 0, -6, 0, 1, -3}, reflect), one, []float64{6, 5, 4, 3, 2, 1}},
		{"mirrored", view([6]float32{-1, 0, 2, 0, 1, 0}), one, []float64{3, 2, 1, 6, 5, 4}},
		{"half a pixel", view([6]float32{1, 0, -0.5, 0, 1, 0}), one, []float64{0.5, 1.5, 2.5, 2, 4.5, 5.5}},
		{"a quarter down", view([6]float32{1, 0, 0, 0, 1, 0.25}), one, []float64{1.75, 2.75, 3.75, 3, 3.75, 4.5}},
		{"half a pixel, reflected", view([6]float32{1, 0, -0.5, 0, 1, 0}, reflect), one, []float64{1.5, 1.5, 2.5, 4.5, 4.5, 5.5}},
		{"transposed and cropped", view([6]float32{0, 1, 0, 1, 0, 0}), net.Shape{C: 1, H: 3, W: 1}, []float64{1, 2, 3}},
		{"twice as large", view([6]float32{0.5, 0, 0, 0, 0.5, 0}), net.Shape{C: 1, H: 2, W: 4}, []float64{1, 1.5, 2, 2.5, 2.5, 3, 3.5, 4}},
		{"erased", view(identity, func(v *net.View) { v.Erase = net.Box{Left: -5, Top: 1, Right: 2, Bottom: 9} }), one, []float64{1, 2, 3, 0, 0, 6}},
		{"coloured, then erased", view(identity, func(v *net.View) {
			v.Colour = [12]float32{0.25, 9, 9, -0.5, 9}
			v.Erase = net.Box{Left: 2, Right: 3, Bottom: 1}
		}), one, []float64{0, 0, 0, 0.5, 0.75, 1}},
		{"mixed up", view(identity, func(v *net.View) {
			v.Partner, v.Share = 1, 0.75
			v.Other.Matrix = [6]float32{-1, 0, 2, 0, 1, 0}
		}), one, []float64{8.25, 6.5, 4.75, 18, 16.25, 14.5}},
		{"cut and mixed", view(identity, func(v *net.View) {
			v.Partner, v.Share, v.Box = 1, 0.5, net.Box{Left: 1, Top: -1, Right: 8, Bottom: 1}
		}), one, []float64{1, 20, 30, 4, 5, 6}},
		{"a partner without a share", view(identity, func(v *net.View) { v.Partner = 0 }), one, []float64{1, 2, 3, 4, 5, 6}},
	} {
		got := reference.See(pictures(), 0, c.view, c.to)
		approx.Check(t, c.name, got, c.want, exact)
	}
}

// One pixel, reflected, is seen everywhere, and so is one column.
func TestSeeReflectedSingles(t *testing.T) {
	d := &net.Dataset{Name: "column", Shape: net.Shape{C: 1, H: 2, W: 1}, Classes: 2, Values: []float32{3, 5}, Labels: []int32{0}}
	v := net.PlainView()
	v.Border, v.Matrix = net.ReflectBorder, [6]float32{1, 0, -7.25, 0, 1, 0}
	approx.Check(t, "a column", reference.See(d, 0, v, net.Shape{C: 1, H: 2, W: 3}), []float64{3, 3, 3, 5, 5, 5}, exact)
}

// The rows of Colour make red, green and blue, from bytes.
func TestColoursByHand(t *testing.T) {
	d := &net.Dataset{Name: "pixel", Shape: net.Shape{C: 3, H: 1, W: 1}, Classes: 2, Scale: 1. / 8, Pixels: []uint8{1, 2, 4}, Labels: []int32{0}}
	v := net.PlainView()
	v.Colour = [12]float32{1, 1, 0, 0, 0, 0, 2, -0.5, -1, 0, 0, 0}
	approx.Check(t, "red and green, blue, less than nothing", reference.See(d, 0, v, d.Shape), []float64{0.375, 0.5, 0}, exact)
	// Two channels are no colours.
	d.Shape, d.Pixels = net.Shape{C: 2, H: 1, W: 1}, []uint8{1, 2}
	approx.Check(t, "two channels", reference.See(d, 0, v, d.Shape), []float64{0.125, 0.25}, exact)
}

// A pixel that counts nothing is not looked at.
func TestSeeNaN(t *testing.T) {
	d := pictures()
	d.Values[7] = float32(math.NaN())
	v := net.PlainView()
	v.Matrix[2] = 1
	got := reference.See(d, 0, v, d.Shape)
	if !math.IsNaN(got[0]) || math.IsNaN(got[1]) || math.IsNaN(got[3]) {
		t.Errorf("got %v", got)
	}
}

// 1/4 and 3/4 with half the label smoothed away and class 1 counting twice: the
// targets of label 0 are 3/4 and 2*1/4.
func TestCriterionByHand(t *testing.T) {
	c := net.Criterion{Smoothing: 0.5, ClassWeights: []float64{1, 2}}
	b := net.Batch{Data: &net.Dataset{Labels: []int32{0, 1}}, Indices: []int32{0}}
	targets := reference.Targets(c, b, 2)
	approx.Check(t, "targets", targets, []float64{0.75, 0.5}, rounded)
	l := reference.CrossEntropy([]float64{0, math.Log(3)}, targets, []int32{0}, 2)
	approx.Check(t, "loss", []float64{l.Sum}, []float64{0.75*math.Log(4) + 0.5*math.Log(4./3)}, rounded)
	approx.Check(t, "gradient", l.Gradient, []float64{0.25*1.25 - 0.75, 0.75*1.25 - 0.5}, rounded)
	if l.Hits != 0 {
		t.Errorf("%d hits", l.Hits)
	}
	// A mixture of a quarter and three quarters.
	b.Views = []net.View{net.PlainView()}
	b.Views[0].Partner, b.Views[0].Share = 1, 0.25
	approx.Check(t, "targets of a mixture", reference.Targets(net.Criterion{}, b, 3), []float64{0.25, 0.75, 0}, rounded)
}

// The gradient is that of the loss, by finite differences.
func TestGradientOfCriterion(t *testing.T) {
	r := testenv.Rand(t)
	const n, classes = 3, 4
	z, q := spread(r, n*classes), make([]float64, n*classes)
	for i := range q {
		q[i] = r.Float64()
	}
	labels := make([]int32, n)
	got := reference.CrossEntropy(z, q, labels, classes).Gradient
	want := difference(z, func() float64 { return reference.CrossEntropy(z, q, labels, classes).Sum / n })
	approx.Check(t, "gradient", got, want, approx.Tolerance{Abs: 1e-8})
}

// Training takes the criterion and what views mix, evaluation neither.
func TestTrainingLoss(t *testing.T) {
	network := &net.Network{Input: net.Shape{C: 1, H: 2, W: 3}, Layers: []net.Layer{&net.Flatten{}, &net.Dense{Units: 3}}}
	opts := net.Options{Batch: 2, Optimizer: net.SGDDefault(0), Loss: net.Criterion{Smoothing: 0.3, ClassWeights: []float64{2, 1, 0.5}}}
	p := compile(t, network, opts)
	b := all(pictures())
	v := net.PlainView()
	v.Partner, v.Share = 1, 0.25
	b.Views = []net.View{v, net.PlainView()}
	train, err := p.Trace(b, net.Training)
	if err != nil {
		t.Fatal(err)
	}
	evaluation, err := p.Trace(b, net.Evaluation)
	if err != nil {
		t.Fatal(err)
	}
	z := widen(train.Layers[1].Output)
	want := reference.CrossEntropy(z, append(opts.Loss.Target(3, 0, 1, 0.25), opts.Loss.Target(3, 1, 1, 1)...), b.Data.Labels, 3)
	plain := reference.SoftmaxCrossEntropy(z, b.Data.Labels, 3)
	approx.Check(t, "losses", []float64{train.Loss, evaluation.Loss}, []float64{want.Sum / 2, plain.Sum / 2}, approx.Tolerance{Rel: 1e-6})
	approx.Check(t, "gradient", train.Layers[1].OutputGrad.Float32s(), want.Gradient, approx.Tolerance{Abs: 1e-6})
	step(t, p, b)
	m := metrics(t, p)
	e, err := p.Evaluate(b)
	if err != nil {
		t.Fatal(err)
	}
	approx.Check(t, "metrics", []float64{m.Loss, e.Loss}, []float64{want.Sum, plain.Sum}, approx.Tolerance{Rel: 1e-6})
	approx.Check(t, "seen", train.Layers[0].Output.Float32s()[:6], []float64{7.75, 15.5, 23.25, 31, 38.75, 46.5}, exact)
}

// Factors are the learning rate's, also of AdamW's decay.
func TestFactors(t *testing.T) {
	network := everyLayer()
	data := randomData(testenv.Rand(t), network.Input, 4)
	for name, o := range allOptimizers() {
		if o.Groups != nil {
			continue // they have rates of their own
		}
		slow := o
		slow.Groups = []net.Group{{Params: "dense*.weight", Factor: 0.25}, {Params: "batchnorm.bias", Factor: 4}}
		quarter, fourfold := o, o
		quarter.LearningRate /= 4
		fourfold.LearningRate *= 4
		var after []net.State
		for _, o := range []net.Optimizer{o, slow, quarter, fourfold} {
			p := compile(t, network, net.Options{Batch: 4, Optimizer: o, Seed: 3})
			step(t, p, all(data))
			after = append(after, state(t, p))
		}
		p := compile(t, network, net.Options{Batch: 4, Optimizer: o})
		for _, q := range p.Plan().Trained() {
			want := after[0].Params[q.Name]
			switch slow.For(p.Plan(), q).LearningRate / o.LearningRate {
			case 0.25:
				want = after[2].Params[q.Name]
			case 4:
				want = after[3].Params[q.Name]
			}
			approx.Check(t, name+": "+q.Name, after[1].Params[q.Name].Float32s(), want.Float32s(), exact)
		}
	}
}

func TestAverages(t *testing.T) {
	network := everyLayer()
	data := randomData(testenv.Rand(t), network.Input, 4)
	opts := net.Options{Batch: 4, Optimizer: net.SGDDefault(0.1), Seed: 3, Average: 0.3}
	p := compile(t, network, opts)
	want := map[string][]float64{}
	for name, w := range state(t, p).Params {
		want[name] = widen(w)
	}
	for s := range 4 {
		step(t, p, all(data))
		st := state(t, p)
		rate := 1 - min(0.3, float64(1+s)/float64(10+s))
		for name, a := range want {
			for i, w := range st.Params[name].Float32s() {
				a[i] += rate * (float64(w) - a[i])
			}
			approx.Check(t, "average of "+name, st.Average[name].Float32s(), a, approx.Tolerance{Abs: 1e-6, Rel: 1e-6})
		}
	}

	before := state(t, p)
	if err := p.SwapAverage(); err != nil {
		t.Fatal(err)
	}
	swapped := state(t, p)
	checkTensors(t, "swapped params", swapped.Params, before.Average)
	checkTensors(t, "swapped averages", swapped.Average, before.Params)
	// A program whose weights are the averages evaluates alike.
	plain := opts
	plain.Average = 0
	q := compile(t, network, plain)
	if err := q.SetState(net.State{Step: before.Step, Params: before.Average, Optimizer: before.Optimizer}); err != nil {
		t.Fatal(err)
	}
	a, errA := p.Evaluate(all(data))
	b, errB := q.Evaluate(all(data))
	if a != b || errA != nil || errB != nil {
		t.Errorf("evaluation by the averages %+v (%v), want %+v (%v)", a, errA, b, errB)
	}
	for what, err := range map[string]error{
		"Step": p.Step(all(data)), "Gradients": p.Gradients(all(data), net.Whole(4)), "Update": p.Update(), "SetState": p.SetState(before),
	} {
		if !errors.Is(err, net.ErrUnfinished) {
			t.Errorf("%s while the averages are in the weights' place: %v", what, err)
		}
	}
	if err := p.SwapAverage(); err != nil {
		t.Fatal(err)
	}
	checkState(t, "swapped back", state(t, p), before)
	checkTensors(t, "averages swapped back", state(t, p).Average, before.Average)

	gradients(t, p, all(data))
	if err := p.SwapAverage(); !errors.Is(err, net.ErrUnfinished) {
		t.Errorf("SwapAverage before an update: %v", err)
	}
	if err := q.SwapAverage(); err == nil {
		t.Error("a program without averages exchanges them")
	}
	// SetState takes averages, or begins them at the weights.
	if err := p.SetState(before); err != nil {
		t.Fatal(err)
	}
	checkTensors(t, "averages set", state(t, p).Average, before.Average)
	before.Average = nil
	if err := p.SetState(before); err != nil {
		t.Fatal(err)
	}
	checkTensors(t, "averages begun", state(t, p).Average, before.Params)
	if q.SetState(swapped) != nil || state(t, q).Average != nil {
		t.Error("a program without averages has some")
	}
}

// checkTensors wants the same bytes.
func checkTensors(t *testing.T, what string, got, want map[string]*tensor.Dense) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d tensors, want %d", what, len(got), len(want))
		return
	}
	for name, w := range want {
		approx.Check(t, what+": "+name, got[name].Float32s(), w.Float32s(), exact)
	}
}

package devicetest

import (
	"math"
	"path"
	"reflect"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// sees spoils both transforms of every view.
func sees(change func(t *net.Transform)) faults {
	return faults{see: func(_ net.Mode, v *net.View) {
		change(&v.Transform)
		change(&v.Other)
	}}
}

// brokenAugment are devices that are wrong in what a field of net.Augment needs, by the
// field. Each setting by itself shows it.
var brokenAugment = map[string]faults{
	"Crop":        sees(func(t *net.Transform) { t.Matrix[2] = max(t.Matrix[2], 0) }),
	"ResizedCrop": sees(func(t *net.Transform) { t.Matrix[0], t.Matrix[4] = t.Matrix[4], t.Matrix[0] }),
	"Rotate":      sees(func(t *net.Transform) { t.Matrix[1], t.Matrix[3] = t.Matrix[3], t.Matrix[1] }),
	"Scale":       sees(func(t *net.Transform) { t.Matrix[4] = 1 }),
	"Shear":       sees(func(t *net.Transform) { t.Matrix[1] = 0 }),
	"Translate":   sees(func(t *net.Transform) { t.Matrix[5] = float32(math.Round(float64(t.Matrix[5] / 2))) }),
	"Flip": sees(func(t *net.Transform) {
		if t.Matrix[0] < 0 {
			t.Matrix[2]--
		}
	}),
	"Border":     sees(func(t *net.Transform) { t.Border = net.ZeroBorder }),
	"Brightness": sees(func(t *net.Transform) { t.Colour[5] = t.Colour[10] + 1e-3 }),
	"Contrast":   sees(func(t *net.Transform) { t.Colour[3], t.Colour[7], t.Colour[11] = 0, 0, 0 }),
	"Saturation": sees(func(t *net.Transform) {
		t.Colour[1], t.Colour[2], t.Colour[4], t.Colour[6], t.Colour[8], t.Colour[9] = t.Colour[4], t.Colour[8], t.Colour[1], t.Colour[9], t.Colour[2], t.Colour[6]
	}),
	"Erase":  sees(func(t *net.Transform) { t.Erase.Bottom-- }),
	"Mixup":  {see: func(_ net.Mode, v *net.View) { v.Share = 1 - v.Share }},
	"CutMix": {see: func(_ net.Mode, v *net.View) { v.Box.Right-- }},
}

// TestEachAugmentationBroken breaks each augmentation once, alone. Every field of
// net.Augment must have a setting in the suite, and a device that breaks it.
func TestEachAugmentationBroken(t *testing.T) {
	skipShort(t)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[net.Augment]()) {
		if f.Name == "Name" {
			continue
		}
		faults, ok := brokenAugment[f.Name]
		if !ok {
			t.Errorf("no device breaks %s", f.Name)
		}
		found := 0
		for _, s := range settings {
			if s.field != f.Name {
				continue
			}
			found++
			c := check{"augment", func(e *env) { e.judgeAugment(s) }}
			if why := failureOf(t, c, openReference); why != "" {
				t.Errorf("%s: the reference fails: %s", s.field, why)
			}
			if why := failureOf(t, c, with(faults)); why == "" {
				t.Errorf("a device that breaks %s passes with %+v", f.Name, s.augment)
			} else {
				t.Logf("%s: %s", f.Name, why)
			}
		}
		if found == 0 {
			t.Errorf("the suite has no setting of %s", f.Name)
		}
	}
}

// brokenRecipes are devices that are wrong in what recipes add to training: views,
// criteria, factors, averages.
var brokenRecipes = []broken{
	{"views are ignored", faults{see: func(_ net.Mode, v *net.View) { *v = net.PlainView() }}, "moves views augment", nil},
	{"views are ignored in evaluation", faults{see: func(m net.Mode, v *net.View) {
		if m == net.Evaluation {
			*v = net.PlainView()
		}
	}}, "moves views", nil},
	{"places are rounded to whole pixels", sees(func(t *net.Transform) {
		for i, v := range t.Matrix {
			t.Matrix[i] = float32(math.Round(float64(v)))
		}
	}), "views augment", nil},
	{"places are those of pixels' corners", sees(func(t *net.Transform) {
		t.Matrix[2] += t.Matrix[0]/2 + t.Matrix[1]/2 - 0.5
		t.Matrix[5] += t.Matrix[3]/2 + t.Matrix[4]/2 - 0.5
	}), "moves views augment", nil},
	{"the outer pixels are reflected too", faults{input: func(b net.Batch, in net.Shape, x []float64) {
		// Only for samples that move by whole columns.
		for i := range b.Views {
			v := b.Views[i]
			if m := v.Matrix; v.Border == net.ReflectBorder && v.Partner < 0 && m[0] == 1 && m[1] == 0 && m[2] < 0 {
				v.Matrix[2]++ // what stands left of the first column comes from one further right
				other := reference.See(b.Data, b.Indices[i], v, in)
				for k := range other {
					if k%in.W < int(-m[2]) {
						x[i*len(other)+k] = other[k]
					}
				}
			}
		}
	}}, "moves views augment", nil},
	{"a single row is not reflected", faults{input: func(b net.Batch, in net.Shape, x []float64) {
		for i := range b.Views {
			if v := b.Views[i]; v.Border == net.ReflectBorder && b.Data.Shape.H == 1 {
				v.Border = net.ZeroBorder
				copy(x[i*in.Size():], reference.See(b.Data, b.Indices[i], v, in))
			}
		}
	}}, "moves views", nil},
	{"colours end at 0.99", faults{input: func(b net.Batch, in net.Shape, x []float64) {
		for i := range b.Views {
			for k := range in.Size() {
				if v := b.Views[i]; v.Colour != [12]float32{} && v.Partner < 0 {
					x[i*in.Size()+k] = min(x[i*in.Size()+k], 0.99)
				}
			}
		}
	}}, "views augment", nil},
	{"what is erased gets a colour", faults{input: func(b net.Batch, in net.Shape, x []float64) {
		for i := range b.Views {
			for k := range in.Size() {
				v := b.Views[i]
				if v.Erase.Has(int32(k%in.W), int32(k/in.W%in.H)) && v.Partner < 0 {
					x[i*in.Size()+k] = float64(min(max(v.Colour[3], 0), 1))
				}
			}
		}
	}}, "views", nil},
	{"the partner is seen like the sample", faults{see: func(_ net.Mode, v *net.View) { v.Other = v.Transform }}, "moves views", nil},
	{"views of pieces are those of the first", wrapped(func(in net.Tracer) net.Tracer { return &firstViews{Tracer: in} }), "views", nil},
	{"rows are ignored", wrapped(func(in net.Tracer) net.Tracer { return ignoresRows{in} }), "data_sets", nil},
	{"views that don't fit are taken", wrapped(func(in net.Tracer) net.Tracer { return takesAnyView{in} }), "batch_refused", nil},

	{"labels are not smoothed", faults{aim: func(l *net.Criterion, _ *net.Batch) { l.Smoothing = 0 }}, "criterion", nil},
	{"labels are smoothed a hundredth too much", faults{aim: func(l *net.Criterion, _ *net.Batch) { l.Smoothing *= 1.01 }}, "criterion", nil},
	{"classes weigh alike", faults{aim: func(l *net.Criterion, _ *net.Batch) { l.ClassWeights = nil }}, "criterion", nil},
	{"classes beyond the weights weigh nothing", faults{aim: func(l *net.Criterion, _ *net.Batch) {
		for l.ClassWeights != nil && len(l.ClassWeights) < 3 {
			l.ClassWeights = append(l.ClassWeights[:len(l.ClassWeights):len(l.ClassWeights)], 0)
		}
	}}, "criterion", nil},
	{"a mixture has the sample's label", faults{aim: func(_ *net.Criterion, b *net.Batch) { b.Views = nil }}, "criterion views augment", nil},
	{"shares of a mixture are exchanged in the loss", faults{aim: func(_ *net.Criterion, b *net.Batch) {
		for i := range b.Views {
			b.Views[i].Share = 1 - b.Views[i].Share
		}
	}}, "criterion views augment", nil},
	{"evaluation takes the criterion", faults{evaluated: true}, "criterion views", nil},
	{"logits below -100 are cut off", faults{loss: func(l *reference.Loss, z []float64, labels []int32, classes int) {
		l.Sum = min(l.Sum, 100*float64(len(labels)))
	}}, "criterion", nil},

	{"factors are ignored", faults{rule: func(all net.Optimizer, _ net.Param, one *net.Optimizer) { one.LearningRate = all.LearningRate }}, "factors", nil},
	{"what has made its steps learns on", faults{rule: func(_ net.Optimizer, _ net.Param, one *net.Optimizer) { one.Steps = 0 }}, "factors", nil},
	{"the last factor counts", faults{rule: func(all net.Optimizer, p net.Param, one *net.Optimizer) {
		if ok, err := path.Match("*1.*", p.Name); ok && err == nil {
			one.LearningRate = 0.5 * all.LearningRate
		}
	}}, "factors", nil},
	{"AdamW's decay is without the factor", faults{update: func(o net.Optimizer, step int64, p net.Param, w, g []float64, moments map[string][]float64) {
		if o.Method == net.AdamW && p.Name == "conv1.weight" {
			for i := range w {
				w[i] -= (1/0.25 - 1) * o.Rate(step) * o.WeightDecay * w[i]
			}
		}
		reference.Update(o, step, p.Dims[0], w, g, moments)
	}}, "factors", nil},

	{"averages move by the decay alone", faults{average: func(o net.Options, _ int64, _ net.Param, a, w []float64) { move(1-o.Average, a, w) }}, "averages", nil},
	{"averages count steps from 1", faults{average: func(o net.Options, step int64, _ net.Param, a, w []float64) {
		reference.Average(o, step+1, a, w)
	}}, "averages", nil},
	{"averages are of the weights before the update", averagesBefore(), "averages", nil},
	{"running statistics are not averaged", faults{average: func(o net.Options, step int64, p net.Param, a, w []float64) {
		if p.Role == net.RunningMean || p.Role == net.RunningVar {
			step, o.Average = 0, 0
		}
		reference.Average(o, step, a, w)
	}}, "averages", nil},
	{"averages of what is not trained stay behind", faults{average: func(o net.Options, step int64, p net.Param, a, w []float64) {
		if p.Trained {
			reference.Average(o, step, a, w)
		}
	}}, "averages", nil},
	{"lookahead comes a step late", faults{average: func(o net.Options, step int64, _ net.Param, a, w []float64) {
		if o.Lookahead.Every > 0 {
			step--
		}
		reference.Average(o, step, a, w)
	}}, "averages", nil},
	{"lookahead leaves the weights", faults{average: func(o net.Options, step int64, _ net.Param, a, w []float64) {
		reference.Average(o, step, a, slices.Clone(w))
	}}, "averages", nil},
	{"lookahead leaves the running statistics", faults{average: func(o net.Options, step int64, p net.Param, a, w []float64) {
		if !p.Trained {
			w = slices.Clone(w)
		}
		reference.Average(o, step, a, w)
	}}, "averages", nil},
	{"an exchange copies", wrapped(func(in net.Tracer) net.Tracer { return &copiesAverages{Tracer: in} }), "averages", nil},
	{"training goes on with averages", wrapped(func(in net.Tracer) net.Tracer { return trainsAverages{in} }), "averages", nil},
	{"averages are lost by SetState", states(func(st net.State) net.State {
		st.Average = nil
		return st
	}), "averages state_round_trip resume", nil},
	{"averages are exchanged before an update", wrapped(func(in net.Tracer) net.Tracer { return exchangesEarly{in} }), "averages", nil},
	{"a program without averages has some", wrapped(func(in net.Tracer) net.Tracer { return alwaysAverages{in} }), "averages", nil},
}

func move(rate float64, a, w []float64) {
	for i := range a {
		a[i] += rate * (w[i] - a[i])
	}
}

// averagesBefore takes each update's averages from the weights of the one before.
func averagesBefore() faults {
	old := map[*float64][]float64{}
	return faults{average: func(o net.Options, step int64, _ net.Param, a, w []float64) {
		if before := old[&a[0]]; before != nil {
			reference.Average(o, step, a, before)
		}
		old[&a[0]] = append([]float64(nil), w...)
	}}
}

// firstViews takes the views of an update's first piece for all of them.
type firstViews struct {
	net.Tracer
	views []net.View
}

func (p *firstViews) Gradients(b net.Batch, share net.Share) error {
	if share.First == 0 {
		p.views = b.Views
	}
	if n := b.Len(); b.Views != nil && n <= len(p.views) {
		b.Views = p.views[:n]
	}
	return p.Tracer.Gradients(b, share)
}

type ignoresRows struct{ net.Tracer }

func (p ignoresRows) Infer(b net.Batch) (*tensor.Dense, error) {
	d := *b.Data
	d.Rows = nil
	b.Data = &d
	return p.Tracer.Infer(b)
}

type takesAnyView struct{ net.Tracer }

func (p takesAnyView) Step(b net.Batch) error {
	if b.Data != nil && b.Views != nil && b.Check(p.Plan()) != nil {
		return nil
	}
	return p.Tracer.Step(b)
}

// copiesAverages changes back to the averages.
type copiesAverages struct {
	net.Tracer
	swaps int
}

func (p *copiesAverages) SwapAverage() error {
	r := p.Tracer.(*running)
	if err := r.SwapAverage(); err != nil {
		return err
	}
	if p.swaps++; p.swaps%2 == 1 {
		for _, q := range r.plan.Params {
			copy(r.average[q.Name], r.layers[q.Layer].Params[q.Role])
		}
	}
	return nil
}

type trainsAverages struct{ net.Tracer }

func (p trainsAverages) Step(b net.Batch) error {
	if r := p.Tracer.(*running); r.swapped {
		r.swapped = false
		defer func() { r.swapped = true }()
	}
	return p.Tracer.Step(b)
}

type exchangesEarly struct{ net.Tracer }

func (p exchangesEarly) SwapAverage() error {
	r := p.Tracer.(*running)
	if r.grads != nil && r.average != nil {
		r.exchange()
		return nil
	}
	return r.SwapAverage()
}

type alwaysAverages struct{ net.Tracer }

func (p alwaysAverages) SwapAverage() error {
	if !p.Options().Averages() {
		return nil
	}
	return p.Tracer.SwapAverage()
}

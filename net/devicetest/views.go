package devicetest

import (
	"fmt"
	"math"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// shown compiles a network whose logits are its input.
func (e *env) shown(in net.Shape, batch int) *program {
	e.Helper()
	return e.compileIdentity(identity(in, max(2, in.Size()), &net.Flatten{}), batch)
}

// apart does what identityState does, and also makes the logits differ so much that
// no rounding decides which is the greatest.
func apart(st net.State) net.State {
	st = identityState(st)
	for i := range st.Params["identity.bias"].Float32s() {
		st.Params["identity.bias"].Float32s()[i] = float32(i) / 8
	}
	return st
}

// smallShape returns a random shape, as small as one pixel.
func (e *env) smallShape(channels int) net.Shape {
	return net.Shape{C: channels, H: e.between(1, 9), W: e.between(1, 11)}
}

// randomBytesOrValues returns n samples of bytes or of float32 values, with rows or
// without.
func (e *env) randomBytesOrValues(s net.Shape, classes, n int) *net.Dataset {
	d := e.randomPixels(s, classes, n)
	if e.one(2) {
		d = e.randomData(s, classes, n)
	}
	if e.one(2) {
		d = d.Select(e.order(d))
	}
	return d
}

// wholeTransform returns a transform that moves whole pixels. It may mirror either
// direction, and may exchange rows and columns.
func (e *env) wholeTransform() net.Transform {
	t := net.IdentityTransform()
	t.Border = pick(e, net.ZeroBorder, net.ReflectBorder)
	for i := range 2 {
		t.Matrix[4*i] = pick(e, float32(1), 1, -1)
		t.Matrix[3*i+2] = float32(e.between(-12, 12))
	}
	if e.one(5) {
		m := &t.Matrix
		m[0], m[1], m[3], m[4] = m[1], m[0], m[4], m[3]
	}
	return t
}

// randomTransform returns a random transform of any sort.
func (e *env) randomTransform() net.Transform {
	t := e.wholeTransform()
	near := func(x float32, by float64) float32 { return x + float32(by*e.rng.NormFloat64()) }
	switch e.rng.IntN(5) {
	case 0: // moves by whole pixels
	case 1: // moves by parts of pixels
		t.Matrix[2], t.Matrix[5] = near(t.Matrix[2], 2), near(t.Matrix[5], 2)
	case 2: // larger and smaller
		t.Matrix[0], t.Matrix[4] = near(0, 1.5), near(0, 1.5)
	case 3: // anything
		for i := range t.Matrix {
			t.Matrix[i] = near(t.Matrix[i], 1)
		}
	case 4: // around one pixel, and shows nothing of it
		for i := range t.Matrix {
			t.Matrix[i] = near(0, 0.01)
		}
	}
	if e.one(2) {
		for i := range t.Colour {
			t.Colour[i] = float32(0.7 * e.rng.NormFloat64())
		}
	}
	if e.one(3) {
		t.Erase = e.randomBox()
	}
	return t
}

// randomBox returns a box that may be empty, or reach beyond a picture.
func (e *env) randomBox() net.Box {
	left, top := int32(e.between(-3, 8)), int32(e.between(-3, 8))
	return net.Box{Left: left, Top: top, Right: left + int32(e.between(-1, 9)), Bottom: top + int32(e.between(-1, 9))}
}

// randomView returns a view of any sort. Half of them are mixtures of two samples.
func (e *env) randomView(d *net.Dataset) net.View {
	v := net.PlainView()
	v.Transform = e.randomTransform()
	if e.one(2) {
		return v
	}
	v.Partner, v.Other = int32(e.rng.IntN(d.Len())), e.randomTransform()
	v.Share = pick(e, 0, 1, e.rng.Float32(), e.rng.Float32())
	if e.one(2) {
		v.Box = e.randomBox()
	}
	return v
}

// viewed returns a batch of the samples lo to hi-1 with views.
func viewed(d *net.Dataset, lo, hi int, view func() net.View) net.Batch {
	b := span(d, lo, hi)
	for range b.Indices {
		b.Views = append(b.Views, view())
	}
	return b
}

// checkMoves checks that whole pixels that are only moved keep every bit.
func checkMoves(e *env) {
	for i := range e.some(60, 20) {
		channels := e.between(1, 4)
		in := e.smallShape(channels)
		if i%10 == 0 {
			in.W = e.between(30, 40)
		}
		p := e.shown(in, 5)
		st := p.state()
		// A sample of the input's own shape, and others that are cut or have a border.
		for _, from := range []net.Shape{in, e.smallShape(channels)} {
			data := e.randomBytesOrValues(from, 2, 9)
			// Short fractions are exact in the layers after the input as well.
			data.Scale = 1.0 / 256
			for i, v := range data.Values {
				data.Values[i] = float32(math.Round(float64(16*v))) / 16
			}
			b := viewed(data, 0, 5, func() net.View {
				v := net.PlainView()
				v.Transform = e.wholeTransform()
				if e.one(3) {
					v.Erase = e.randomBox()
				}
				if e.one(3) {
					v.Partner, v.Other, v.Box = int32(e.rng.IntN(9)), e.wholeTransform(), e.randomBox()
				}
				return v
			})
			for k := range b.Views {
				if v := &b.Views[k]; v.Box.Empty() {
					v.Partner = -1
				}
			}
			want := reference.Input(b, in)
			for _, mode := range []net.Mode{net.Training, net.Evaluation} {
				p.setState(st)
				tr := p.trace(b, mode)
				for k := range b.Indices {
					logits := tr.Layers[len(tr.Layers)-1].Output.Float32s()[k*max(2, in.Size()):][:in.Size()]
					approx.Check(e, fmt.Sprintf("samples of %v as inputs of %v, seen as %+v", from, in, b.Views[k]), logits, want[k*in.Size():][:in.Size()], approx.Tolerance{})
				}
			}
		}
	}
}

// checkViews judges views of every sort, in all calls.
func checkViews(e *env) {
	for range e.some(25, 10) {
		channels := pick(e, 1, 2, 3, 3, 5)
		in := e.smallShape(channels)
		p := e.shown(in, 6)
		p.setState(apart(p.state()))
		for range 3 {
			data := e.randomBytesOrValues(pick(e, in, e.smallShape(channels)), pick(e, 2, max(2, in.Size())), 9)
			view := func() net.View { return e.randomView(data) }
			st := p.state()
			b := viewed(data, 0, e.between(1, 6), view)
			p.judgeTrace(st, b, net.Training)
			p.judgeTrace(st, b, net.Evaluation)
			st = p.judgeStep(st, b)
			all := viewed(data, 0, 9, view) // more than Options.Batch
			p.judged("Infer", all, p.judge.Infer(st, all, p.infer(all)))
			p.judged("Evaluate", all, p.judge.Evaluate(st, all, p.evaluate(all)))
			st = p.judgePieces(st, viewed(data, 0, 9, view), 4, 2, 3)
			p.setState(apart(st))
		}
	}
	// Samples of several shapes, and a smaller batch after a larger one.
	n := &net.Network{Input: net.Shape{C: 3, H: 7, W: 6}, Layers: []net.Layer{
		&net.Conv{Filters: 5, Kernel: net.Square(3), Padding: net.PadSame}, &net.Activation{Func: net.Tanh}, &net.BatchNorm{}, &net.Flatten{}, &net.Dense{Units: 4},
	}}
	p := e.compile(n, net.Options{Batch: 5, Optimizer: net.SGDDefault(0.1), Seed: e.rng.Uint64()})
	st := p.state()
	for _, from := range []net.Shape{n.Input, {C: 3, H: 1, W: 1}, {C: 3, H: 19, W: 23}, {C: 3, H: 1, W: 5}} {
		for _, data := range []*net.Dataset{e.randomPixels(from, 4, 20), e.randomData(from, 4, 20)} {
			for _, size := range []int{5, 2} {
				st = p.judgeStep(st, viewed(data, size, 2*size, func() net.View { return e.randomView(data) }))
			}
		}
	}
	// Plain views are no views.
	data := e.randomPixels(n.Input, 4, 20)
	b := viewed(data, 3, 8, net.PlainView)
	for _, mode := range []net.Mode{net.Training, net.Evaluation} {
		if d := traceDifference(p.trace(b, mode), p.trace(span(data, 3, 8), mode)); d != "" {
			e.Errorf("plain views: %s", d)
		}
	}
}

// setting sets one field of net.Augment.
type setting struct {
	field   string
	augment net.Augment
}

// settings sets every field of net.Augment, each in its own entry.
var settings = []setting{
	{"Crop", net.Augment{Crop: 3}},
	{"ResizedCrop", net.Augment{ResizedCrop: &net.ResizedCrop{Area: [2]float64{0.2, 0.9}, Ratio: [2]float64{0.5, 2}}}},
	{"Rotate", net.Augment{Rotate: 60}},
	{"Scale", net.Augment{Scale: 0.4}},
	{"Shear", net.Augment{Shear: 25}},
	{"Translate", net.Augment{Translate: 0.4}},
	{"Flip", net.Augment{Flip: net.RandomFlip}},
	{"Flip", net.Augment{Flip: net.AlternateFlip}},
	{"Border", net.Augment{Crop: 3, Border: net.ReflectBorder}},
	{"Brightness", net.Augment{Brightness: 0.9}},
	{"Contrast", net.Augment{Contrast: 0.9}},
	{"Saturation", net.Augment{Saturation: 0.9}},
	{"Erase", net.Augment{Erase: &net.Erase{Size: 0.6, Probability: 0.8}}},
	{"Mixup", net.Augment{Mixup: 1}},
	{"CutMix", net.Augment{CutMix: 1}},
}

// checkAugment takes batches from a source with each setting by itself, with all of
// them, and with the built-in ones.
func checkAugment(e *env) {
	all := net.Augment{
		Crop: 1, ResizedCrop: &net.ResizedCrop{Area: [2]float64{0.3, 1}, Ratio: [2]float64{0.75, 4. / 3}}, Rotate: 15, Scale: 0.2, Shear: 10, Translate: 0.1,
		Flip: net.AlternateFlip, Border: net.ReflectBorder, Brightness: 0.3, Contrast: 0.3, Saturation: 0.3, Erase: &net.Erase{Size: 0.3}, Mixup: 0.4, CutMix: 0.8,
	}
	list := append([]setting{{"everything", all}}, settings...)
	for _, a := range net.Augmentations() {
		list = append(list, setting{a.Name, a})
	}
	for _, s := range list {
		e.judgeAugment(s)
	}
}

// judgeAugment judges batches of one setting by Trace and Step, with samples of the
// input's shape and of another shape.
func (e *env) judgeAugment(s setting) {
	in := net.Shape{C: 3, H: 8, W: 7}
	for _, from := range []net.Shape{in, {C: 3, H: 9, W: 11}} {
		p := e.shown(in, 6)
		p.name = "with the setting " + s.field
		data := e.randomPixels(from, 10, 12)
		source := net.Source{Data: data, Augment: s.augment, Seed: e.rng.Uint64(), Input: in}
		st := apart(p.state())
		p.setState(st)
		for epoch := range e.some(3, 2) {
			p.judgeTrace(st, source.Batch(epoch, span(data, 0, 6).Indices), net.Training)
			st = p.judgeStep(st, source.Batch(epoch, span(data, 6, 12).Indices))
			st = apart(st)
			p.setState(st)
		}
	}
}

// badViews returns views that are not valid for a data set with n samples.
func badViews(n int) map[string]net.View {
	out := map[string]net.View{}
	for what, change := range map[string]func(*net.View){
		"a NaN in the matrix":             func(v *net.View) { v.Matrix[3] = float32(math.NaN()) },
		"an infinity in the matrix":       func(v *net.View) { v.Matrix[2] = float32(math.Inf(1)) },
		"a huge value in the matrix":      func(v *net.View) { v.Matrix[2] = 1 << 23 },
		"a NaN in the colour":             func(v *net.View) { v.Colour[11] = float32(math.NaN()) },
		"no border":                       func(v *net.View) { v.Border = "" },
		"a partner beyond the data set":   func(v *net.View) { v.Partner = int32(n) },
		"a share above 1":                 func(v *net.View) { v.Partner, v.Share = 0, 1.5 },
		"a NaN for a share":               func(v *net.View) { v.Partner, v.Share = 0, float32(math.NaN()) },
		"a NaN in the partner's matrix":   func(v *net.View) { v.Partner, v.Other.Matrix[0] = 0, float32(math.NaN()) },
		"no border about the other image": func(v *net.View) { v.Partner, v.Other.Border = 0, "" },
	} {
		v := net.PlainView()
		change(&v)
		out[what] = v
	}
	return out
}

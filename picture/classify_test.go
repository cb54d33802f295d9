package picture_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"math"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// listener is a network of three classes that keeps what it is asked, and gives
// every sample the same answer.
type listener struct {
	plan   *net.Plan
	asked  net.Batch
	answer []float32
}

func (l *listener) Plan() *net.Plan { return l.plan }
func (l *listener) Close() error    { return nil }

func (l *listener) Infer(b net.Batch) (*tensor.Dense, error) {
	l.asked = b
	if err := errors.Join(b.Check(l.plan), b.Data.Check()); err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(b.Len(), 3), tensor.WithBacking(repeated(l.answer, b.Len()))), nil
}

func repeated(row []float32, n int) []float32 {
	var all []float32
	for range n {
		all = append(all, row...)
	}
	return all
}

func newListener(t *testing.T, in net.Shape) *listener {
	t.Helper()
	n := &net.Network{Input: in, Layers: []net.Layer{&net.Flatten{}, &net.Dense{Units: 3}}}
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return &listener{plan: plan, answer: []float32{0.2, 0.5, 0.3}}
}

// TestClassifier: images reach the network as its training pictures did, and answers
// have the run's names.
func TestClassifier(t *testing.T) {
	photo := image.NewNRGBA(image.Rect(3, 4, 43, 24))
	draw.Draw(photo, photo.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(photo, image.Rect(10, 6, 20, 22), image.NewUniform(color.NRGBA{200, 40, 0, 255}), image.Point{}, draw.Src)
	blank := image.NewGray(image.Rect(0, 0, 28, 28))
	colours := net.Shape{C: 3, H: 8, W: 10}
	for _, c := range []struct {
		about *net.Subject
		in    net.Shape
		how   picture.Preparation
		scale float32
		first string
	}{
		{nil, colours, picture.Stretch, 1. / 255, "1"},
		{nil, picture.DigitShape, picture.Digit, 1. / 255, "1"},
		{&net.Subject{Prepare: "crop", Scale: 1. / 255, ClassNames: []string{"cat", "dog", "hen"}}, colours, picture.Crop, 1. / 255, "dog"},
		{&net.Subject{Prepare: "fit", Scale: 1. / 128}, colours, picture.Fit, 1. / 128, "1"},
		{&net.Subject{Prepare: "stretch", Scale: 1}, picture.DigitShape, picture.Stretch, 1, "1"},
	} {
		l := newListener(t, c.in)
		classifier, err := picture.NewClassifier(l, c.about)
		if err != nil {
			t.Fatal(err)
		}
		answers, err := classifier.ClassifyAll([]image.Image{photo, photo})
		if err != nil {
			t.Fatal(err)
		}
		want, err := c.how.Pixels(photo, c.in)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(l.asked.Data.Pixels, append(bytes.Clone(want), want...)) || l.asked.Data.Scale != c.scale {
			t.Errorf("%+v: scale %v, or the pixels are not those of %s", c.about, l.asked.Data.Scale, c.how)
		}
		one, err := classifier.Classify(photo)
		if err != nil || len(answers) != 2 || len(one) != 3 || one[0] != (net.Ranked{Class: c.first, Probability: 0.5}) || answers[1][0] != one[0] {
			t.Errorf("%+v: %v and %v, error %v", c.about, one, answers, err)
		}
	}

	l := newListener(t, picture.DigitShape)
	classifier, err := picture.NewClassifier(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	drawn := image.NewGray(image.Rect(0, 0, 28, 28))
	drawn.SetGray(14, 14, color.Gray{255})
	if _, err := classifier.ClassifyAll([]image.Image{drawn, blank}); err == nil || !strings.HasPrefix(err.Error(), "image 1: ") {
		t.Errorf("an image with nothing to see: %v", err)
	}
	if answers, err := classifier.ClassifyAll(nil); answers != nil || err != nil {
		t.Errorf("no images: %v, %v", answers, err)
	}
	l.answer[0] = float32(math.NaN())
	if _, err := classifier.Classify(drawn); !errors.Is(err, net.ErrNotFinite) {
		t.Errorf("an answer of NaN: %v", err)
	}
	for want, about := range map[string]*net.Subject{
		"whose values are no bytes":         {Data: "floats"},
		"the checkpoint's subject: unknown": {Scale: 1, Prepare: "squeeze"},
		"the preparation digit is for":      {Scale: 1, Prepare: "digit"},
	} {
		if _, err := picture.NewClassifier(newListener(t, colours), about); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", about, err, want)
		}
	}
}

package runreport

import (
	"fmt"
	"html/template"
	"strings"

	"github.com/gputrain/gputrain/net"
)

// The approximate sizes of pictures on a screen, in pixels.
const (
	sampleSize  = 92  // picture of a mistake
	imageSize   = 196 // picture of the image that is followed through the network
	filterSize  = 46
	unitSize    = 84 // weights of a dense unit, which are as large as the image
	mapSize     = 56
	valueSize   = 9 // one value of a flat layer
	matrixPixel = 2
)

// evaluationView is what the page shows of an evaluation.
type evaluationView struct {
	Split, Images, Right, Accuracy, Wrong, MixUps string
	Heat                                          template.HTML
	Many                                          bool // there are too many classes to stand beside the matrix
	Classes                                       []struct{ Name, Images, Precision, Recall, F1 string }
	Mistakes                                      []mistakeView
	More                                          string // how many mistakes are not shown; empty: none
}

type mistakeView struct {
	Picture                       template.HTML
	Label, Predicted, Name        string
	Probability, LabelProbability string
}

func (r *Run) evaluationView() (*evaluationView, error) {
	e := r.Evaluation
	if e == nil {
		return nil, nil
	}
	v := &evaluationView{
		Split: e.Split, Images: whole(e.Images), Right: whole(e.Images - e.Wrong), Accuracy: percent(e.Accuracy()),
		Heat: r.confusion().Draw().SVG(), Many: len(e.Confusion) > 20,
	}
	if e.Wrong > 0 {
		v.Wrong = whole(e.Wrong)
	}
	var words []string
	for _, m := range e.mixUps(3) {
		times := fmt.Sprintf("%s times", whole(m.Times))
		if m.Times == 1 {
			times = "once"
		}
		words = append(words, fmt.Sprintf("%s for %s (%s)", r.className(m.Label), r.className(m.Predicted), times))
	}
	v.MixUps = strings.Join(words, ", ")
	for k := range e.Confusion {
		v.Classes = append(v.Classes, struct{ Name, Images, Precision, Recall, F1 string }{
			r.className(k), whole(e.Confusion.Labelled(k)), percent(e.Confusion.Precision(k)), percent(e.Confusion.Recall(k)), percent(e.Confusion.F1(k)),
		})
	}
	for _, m := range e.Mistakes {
		img := SampleOf(e.Data, m.Index)
		view := mistakeView{
			Label: r.className(m.Label), Predicted: r.className(m.Predicted), Name: fmt.Sprintf("%s:%d", e.Split, m.Index),
			Probability: sureness(m.Probability), LabelProbability: sureness(m.LabelProbability),
		}
		var err error
		if view.Picture, err = pixels(img, enlarged(img, sampleSize), fmt.Sprintf("image %d", m.Index), ""); err != nil {
			return nil, err
		}
		v.Mistakes = append(v.Mistakes, view)
	}
	if more := e.Wrong - len(e.Mistakes); more > 0 {
		v.More = whole(more)
	}
	return v, nil
}

// sureness writes a probability. A very small one is written as less than 0.1
// %.
func sureness(p float64) string {
	if p > 0 && p < 0.001 {
		return "<\u00a00.1\u00a0%"
	}
	return fmt.Sprintf("%.1f\u00a0%%", 100*p)
}

// layerView is what the page shows of a layer's filters or maps.
type layerView struct {
	Name, What string
	Legend     template.HTML
	Pictures   template.HTML
	Together   bool // it has room on one printed page
	Scroll     bool // it may be wider than its place, which then scrolls
}

func (r *Run) filterViews() (out []layerView, err error) {
	for _, f := range r.Filters {
		v := layerView{Name: f.Layer.Name, Together: true}
		kernel := fmt.Sprintf("%d × %d", f.Layer.Window.KernelH, f.Layer.Window.KernelW)
		what, size := "filters of "+kernel, filterSize
		if _, dense := f.Layer.Layer.(*net.Dense); dense {
			what, size = fmt.Sprintf("units over the image of %v", shape(r.Plan.Network.Input)), unitSize
		}
		v.What = of(f.Shown, f.Layer.Out.C) + " " + what
		if f.Matrix != nil {
			v.What += fmt.Sprintf(": a column for each, a row for each of %s channels it reads; one weight in %d is beyond the scale", of(f.Rows, f.Channels), beyondScale)
		}
		if f.coloured() {
			v.What += fmt.Sprintf(", weights up to ±%s", short(f.Scale.Max))
		} else if v.Legend, err = legend(f.Scale); err != nil {
			return nil, err
		}
		if f.Matrix != nil {
			v.Scroll = true
			v.Pictures, err = pixels(f.Matrix, matrixPixel, "weights of "+v.Name, "")
		} else {
			v.Pictures, err = tileRow(f.Tiles, size, "weights of "+v.Name, func(i int) string { return fmt.Sprintf("%s, filter %d", v.Name, i) })
		}
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// of writes a part of a whole: "32" if they are equal, or "64 of 512".
func of(part, all int) string {
	if part == all {
		return whole(all)
	}
	return whole(part) + " of " + whole(all)
}

// shape writes a shape with × between its sizes.
func shape(s net.Shape) string { return strings.ReplaceAll(s.String(), " x ", " × ") }

// imageView is what the page shows about an image's way through the network.
type imageView struct {
	Name, Shape, Verdict string
	Picture              template.HTML
	Layers               []layerView
	Answers              template.HTML
}

func (r *Run) imageView() (*imageView, error) {
	m := r.Image
	if m == nil {
		return nil, nil
	}
	v := &imageView{Name: m.Name, Shape: shape(r.Plan.Network.Input), Answers: r.answers().Draw().SVG()}
	best := m.predicted()
	v.Verdict = fmt.Sprintf("It takes this image for %s (%s)", r.className(best), sureness(float64(m.Probabilities[best])))
	switch m.Label {
	case NoLabel:
		v.Verdict += "."
	case best:
		v.Verdict += ", which is right."
	default:
		v.Verdict += ", but it is " + r.className(m.Label) + "."
	}
	var err error
	if v.Picture, err = pixels(m.Sample, enlarged(m.Sample, imageSize), m.Name, ""); err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		layer := layerView{Name: l.Name, Together: l.flat() || l.Shape.C <= mostTiles/2}
		if layer.Legend, err = legend(l.scale()); err != nil {
			return nil, err
		}
		if l.flat() {
			layer.What = fmt.Sprintf("%s values, in rows", whole(l.Shape.C))
			layer.Pictures, err = pixels(l.strip(), valueSize, "values of "+l.Name, "")
		} else {
			maps := l.maps()
			layer.What = fmt.Sprintf("%s maps of %d × %d", of(len(maps), l.Shape.C), l.Shape.H, l.Shape.W)
			layer.Pictures, err = tileRow(maps, mapSize, "feature maps of "+l.Name, func(i int) string { return fmt.Sprintf("%s, map %d", l.Name, i) })
		}
		if err != nil {
			return nil, err
		}
		v.Layers = append(v.Layers, layer)
	}
	return v, nil
}

package runreport

import (
	"image"
	"math"
	"slices"

	"github.com/gputrain/gputrain/internal/raster"
	"github.com/gputrain/gputrain/net"
)

// Image is one image on its way through a network.
type Image struct {
	Name          string        `json:"name"` // a file, or test:7
	Label         int           `json:"label"`
	Probabilities []float32     `json:"probabilities"` // one a class
	Sample        image.Image   `json:"-"`
	Layers        []LayerValues `json:"-"`
}

// NoLabel is the label of an image whose class is unknown.
const NoLabel = -1

// predicted returns the class that the network found most probable.
func (m *Image) predicted() int {
	return slices.Index(m.Probabilities, slices.Max(m.Probabilities))
}

// LayerValues is what a layer made of an image.
type LayerValues struct {
	Name   string // of the layers that are one here: "conv1, relu1"
	Shape  net.Shape
	Values []float32 // in CHW order
}

// LayersOf returns what a trace's layers computed for its first sample, a copy.
// Layers that come to nothing new are left out: what an activation or a
// normalisation follows is told after it, flattening changes no value, dropout none
// in evaluation, and the last layer's values are told as probabilities.
func LayersOf(plan *net.Plan, t *net.Trace) []LayerValues {
	var out []LayerValues
	var names string // of the layers that the next values stand for
	for i, l := range plan.Layers[:len(plan.Layers)-1] {
		switch l.Layer.(type) {
		case *net.Flatten, *net.Dropout:
			continue
		}
		if names != "" {
			names += ", "
		}
		names += l.Name
		switch plan.Layers[i+1].Layer.(type) {
		case *net.Activation, *net.BatchNorm:
			continue
		}
		if t.Layers[i].Output == nil {
			continue // a device may keep it to itself
		}
		out = append(out, LayerValues{names, l.Out, slices.Clone(t.Layers[i].Output.Float32s()[:l.Out.Size()])})
		names = ""
	}
	return out
}

// flat reports whether a layer has single values in place of maps.
func (l LayerValues) flat() bool { return l.Shape.H == 1 && l.Shape.W == 1 }

// scale is that of the whole layer.
func (l LayerValues) scale() raster.Scale { return raster.ScaleOf(l.Values) }

// maps draws the feature maps, one a channel, the first ones if there are many.
func (l LayerValues) maps() []image.Image {
	var out []image.Image
	area, scale := l.Shape.H*l.Shape.W, l.scale()
	for c := range min(l.Shape.C, mostTiles) {
		out = append(out, raster.Plane(l.Values[c*area:(c+1)*area], l.Shape.H, l.Shape.W, scale))
	}
	return out
}

// strip draws a flat layer's values in rows.
func (l LayerValues) strip() image.Image {
	const widest = 64
	w := min(l.Shape.C, widest)
	return raster.Plane(l.Values, (l.Shape.C+w-1)/w, w, l.scale())
}

// SampleOf draws a sample of a data set; values that aren't pixels are brought
// from their own range to that of brightness.
func SampleOf(d *net.Dataset, index int) image.Image {
	values := make([]float32, d.Shape.Size())
	d.Gather(values, []int32{int32(index)})
	if d.Values != nil {
		lo, hi := slices.Min(values), slices.Max(values)
		for i, v := range values {
			values[i] = 0
			if hi > lo {
				values[i] = (v - lo) / (hi - lo)
			}
		}
	}
	return raster.Sample(values, d.Shape.C, d.Shape.H, d.Shape.W)
}

// enlarged is how many screen pixels a picture's pixel is wide, so that a picture
// of h rows and w columns is about as large as asked for.
func enlarged(img image.Image, about int) int {
	b := img.Bounds()
	return max(1, int(math.Round(float64(about)/float64(max(b.Dx(), b.Dy())))))
}

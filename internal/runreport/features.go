package runreport

import (
	"fmt"
	"image"
	"math"
	"slices"
	"strings"

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
// Layers that come to nothing new are left out: an output that one activation or
// normalisation alone takes is told after that, flattening changes no value,
// dropout none in evaluation, and the last layer's values are told as
// probabilities.
func LayersOf(plan *net.Plan, t *net.Trace) []LayerValues {
	var out []LayerValues
	// The layers whose values aren't told by themselves, for those behind them.
	carried := make([][]string, len(plan.Nodes))
	for i, l := range plan.Nodes[:len(plan.Nodes)-1] {
		var names []string
		for _, from := range l.Inputs {
			if from != net.NetworkInput {
				names = append(names, carried[from]...)
			}
		}
		same := l.Keeps()
		if !same {
			names = append(names, l.Name)
		}
		output := t.Layers[i].Output // nil where a device keeps it to itself
		switch alone := len(l.Uses) == 1; {
		case alone && (same || output == nil || changesInPlace(plan.Nodes[l.Uses[0]])):
			carried[i] = names
		case !same && output != nil:
			out = append(out, LayerValues{strings.Join(names, ", "), l.Out, slices.Clone(output.Float32s()[:l.Out.Size()])})
		}
	}
	return out
}

// changesInPlace reports whether a layer gives a value for each of its input's,
// in the same place, and nothing is to be seen in the input that isn't in the
// output.
func changesInPlace(l net.Node) bool {
	switch l.Layer.(type) {
	case *net.Activation, *net.BatchNorm, *net.Scale:
		return true
	case *net.Conv, *net.Pool, *net.Dropout, *net.Flatten, *net.Dense, *net.Add, *net.Concat, *net.Multiply:
		return false
	}
	panic(fmt.Sprintf("BUG: runreport: layer %s of kind %s", l.Name, l.Layer.Kind()))
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

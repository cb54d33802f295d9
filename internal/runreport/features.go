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

// Image is one image, and what a network computes for it.
type Image struct {
	Name          string        `json:"name"` // a file's name, or for example test:7
	Label         int           `json:"label"`
	Probabilities []float32     `json:"probabilities"` // one for each class
	Sample        image.Image   `json:"-"`
	Layers        []LayerValues `json:"-"`
}

// NoLabel is the label of an image whose class is unknown.
const NoLabel = -1

// predicted returns the class that the network found most probable.
func (m *Image) predicted() int {
	return slices.Index(m.Probabilities, slices.Max(m.Probabilities))
}

// LayerValues holds the output of a layer for an image.
type LayerValues struct {
	Name   string // the layer's name; with layers that are shown together: "conv1, relu1"
	Shape  net.Shape
	Values []float32 // in CHW order
}

// LayersOf returns copies of what a trace's layers computed for its first
// sample. It leaves out layers that show nothing new. An output that only one
// activation or normalisation takes is shown after that. Flattening changes no
// value, and neither does dropout in evaluation. The values of the last layer
// are shown as probabilities.
func LayersOf(plan *net.Plan, t *net.Trace) []LayerValues {
	var out []LayerValues
	// The names of the layers that are not shown by themselves. The layers
	// after them show these names too.
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
		output := t.Layers[i].Output // nil if the device doesn't show it
		switch alone := len(l.Uses) == 1; {
		case alone && (same || output == nil || changesInPlace(plan.Nodes[l.Uses[0]])):
			carried[i] = names
		case !same && output != nil:
			out = append(out, LayerValues{strings.Join(names, ", "), l.Out, slices.Clone(output.Float32s()[:l.Out.Size()])})
		}
	}
	return out
}

// changesInPlace reports whether a layer's output has a value at the place of
// each input value, and shows everything that can be seen in the input.
func changesInPlace(l net.Node) bool {
	switch l.Layer.(type) {
	case *net.Activation, *net.BatchNorm, *net.Scale:
		return true
	case *net.Conv, *net.Pool, *net.Dropout, *net.Flatten, *net.Dense, *net.Add, *net.Concat, *net.Multiply:
		return false
	}
	panic(fmt.Sprintf("BUG: runreport: layer %s of kind %s", l.Name, l.Layer.Kind()))
}

// flat reports whether a layer has single values instead of maps.
func (l LayerValues) flat() bool { return l.Shape.H == 1 && l.Shape.W == 1 }

// scale returns the scale for the whole layer.
func (l LayerValues) scale() raster.Scale { return raster.ScaleOf(l.Values) }

// maps draws the feature maps, one for each channel. If there are many, it draws
// only the first ones.
func (l LayerValues) maps() []image.Image {
	var out []image.Image
	area, scale := l.Shape.H*l.Shape.W, l.scale()
	for c := range min(l.Shape.C, mostTiles) {
		out = append(out, raster.Plane(l.Values[c*area:(c+1)*area], l.Shape.H, l.Shape.W, scale))
	}
	return out
}

// strip draws the values of a flat layer in rows.
func (l LayerValues) strip() image.Image {
	const widest = 64
	w := min(l.Shape.C, widest)
	return raster.Plane(l.Values, (l.Shape.C+w-1)/w, w, l.scale())
}

// SampleOf draws a sample of a data set. Values that aren't pixels are first
// scaled from their own range to that of brightness.
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

// enlarged returns how many screen pixels wide a picture's pixel must be, so
// that the picture's longer side has about the given size.
func enlarged(img image.Image, about int) int {
	b := img.Bounds()
	return max(1, int(math.Round(float64(about)/float64(max(b.Dx(), b.Dy())))))
}

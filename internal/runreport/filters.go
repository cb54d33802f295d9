package runreport

import (
	"fmt"
	"image"
	"slices"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/raster"
	"github.com/gputrain/gputrain/net"
)

// Filters holds pictures of a layer's weights, which show what it has learned to
// look for.
type Filters struct {
	Layer net.Node
	Scale raster.Scale
	// Tiles has a picture for each filter over the image itself. Matrix has the
	// filters of a deeper layer: a row for each input channel, and a column for each
	// filter. Only one of the two is set.
	Tiles       []image.Image
	Matrix      image.Image
	Shown, Rows int // filters and input channels in the picture; the layer may have more
	Channels    int // channels that a filter reads; in a grouped convolution, those of one group
}

// coloured reports whether the tiles have the colours that the filters respond to,
// instead of the scale's.
func (f *Filters) coloured() bool { return f.Matrix == nil && f.Rows == 3 }

// The most filters and channels in a picture.
const (
	mostTiles    = 64
	mostChannels = 32
)

// FiltersOf draws the weights of each convolution, and of each dense layer that
// reads the image itself. of maps the names of parameters to their weights, or to
// the averages of the weights.
func FiltersOf(plan *net.Plan, of map[string]*tensor.Dense) []Filters {
	var out []Filters
	// seesImage reports whether a layer's input is the network's. Layers that only
	// drop values or change the shape may be between them.
	seesImage := func(l net.Node) bool {
		for l.Inputs[0] != net.NetworkInput {
			if l = plan.Nodes[l.Inputs[0]]; !l.Keeps() {
				return false
			}
		}
		return true
	}
	for _, l := range plan.Nodes {
		weights := func() []float32 { return of[l.Name+"."+string(net.Weight)].Float32s() }
		switch l.Layer.(type) {
		case *net.Conv:
			out = append(out, convFilters(l, weights(), seesImage(l)))
		case *net.Dense:
			if in := plan.Network.Input; seesImage(l) && pictured(in) {
				out = append(out, tiles(l, weights(), in))
			}
		case *net.Pool, *net.Activation, *net.Dropout, *net.BatchNorm, *net.Flatten, *net.Add, *net.Concat, *net.Multiply, *net.Scale:
		default:
			panic(fmt.Sprintf("BUG: runreport: layer %s of kind %s", l.Name, l.Layer.Kind()))
		}
	}
	return out
}

func convFilters(l net.Node, weights []float32, onImage bool) Filters {
	kernel := net.Shape{C: l.Params[0].Dims[1], H: l.Window.KernelH, W: l.Window.KernelW}
	if onImage && pictured(kernel) {
		return tiles(l, weights, kernel)
	}
	f := Filters{Layer: l, Shown: min(l.Out.C, mostTiles), Rows: min(kernel.C, mostChannels), Channels: kernel.C, Scale: clipped(weights)}
	var planes []image.Image
	area := kernel.H * kernel.W
	for c := range f.Rows {
		for k := range f.Shown {
			at := (k*kernel.C + c) * area
			planes = append(planes, raster.Plane(weights[at:at+area], kernel.H, kernel.W, f.Scale))
		}
	}
	f.Matrix = raster.Sheet(planes, f.Shown, 1, 1)
	return f
}

// pictured reports whether samples of a shape are grey or colour images: whether
// they have 1 or 3 channels.
func pictured(s net.Shape) bool { return s.C == 1 || s.C == 3 }

// tiles draws each filter over an image of the given shape.
func tiles(l net.Node, weights []float32, shape net.Shape) Filters {
	f := Filters{Layer: l, Shown: min(l.Out.C, mostTiles), Rows: shape.C, Channels: shape.C, Scale: signed(weights)}
	for k := range f.Shown {
		f.Tiles = append(f.Tiles, raster.Filter(weights[k*shape.Size():(k+1)*shape.Size()], shape.C, shape.H, shape.W, f.Scale))
	}
	return f
}

// beyondScale is how many weights of a deeper layer there are for each one that is
// beyond its picture's scale. If the scale held the few largest weights too, the
// others would look pale.
const beyondScale = 200

// clipped returns the scale for the weights of a deeper layer.
func clipped(weights []float32) raster.Scale {
	sizes := make([]float32, len(weights))
	for i, w := range weights {
		sizes[i] = max(w, -w)
	}
	slices.Sort(sizes)
	return raster.Scale{Max: float64(sizes[len(sizes)-1-len(sizes)/beyondScale]), Signed: true}
}

// signed returns the scale for weights, signed even if none is negative.
func signed(weights []float32) raster.Scale {
	s := raster.ScaleOf(weights)
	s.Signed = true
	return s
}

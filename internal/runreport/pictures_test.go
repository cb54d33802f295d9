package runreport

import (
	"fmt"
	"image/color"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/raster"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/reference"
)

// TestLayersAgainstTheReference compares what a report tells of each layer with the
// float64 reference's own trace.
func TestLayersAgainstTheReference(t *testing.T) {
	r := testenv.Rand(t)
	for _, in := range []net.Shape{{C: 1, H: 12, W: 10}, {C: 3, H: 9, W: 11}} {
		n := small(in)
		plan, err := n.Plan()
		if err != nil {
			t.Fatal(err)
		}
		batch := net.Batch{Data: noise(r, in, plan.Classes, 5), Indices: []int32{3, 1}}
		trace := func(d net.Device) *net.Trace {
			trace, err := compiled(t, d, n, 2).Trace(batch, net.Evaluation)
			if err != nil {
				t.Fatal(err)
			}
			return trace
		}
		got := LayersOf(plan, trace(onCPU(t)))
		want := trace(reference.New())
		var names []string
		for _, l := range got {
			names = append(names, l.Name)
		}
		// The layer whose output each is.
		layers := map[string]int{"conv1, batchnorm1, relu1": 2, "pool1": 3, "conv2, tanh1": 5, "dense1, leaky_relu1": 9}
		if !slices.Equal(names, []string{"conv1, batchnorm1, relu1", "pool1", "conv2, tanh1", "dense1, leaky_relu1"}) {
			t.Fatalf("layers %q", names)
		}
		for _, l := range got {
			out := want.Layers[layers[l.Name]].Output.Float32s()[:l.Shape.Size()]
			// Sums of at most 144 products, each of rounding 2^-24, through three layers.
			tol := approx.Tolerance{Abs: 3 * 144 * 6e-8 * raster.ScaleOf(out).Max}
			approx.Check(t, fmt.Sprint(in, " ", l.Name), l.Values, out, tol)
		}
	}
}

// TestMapsShowTheValues finds each value of a layer in the colour of its pixel.
func TestMapsShowTheValues(t *testing.T) {
	r := testenv.Rand(t)
	values := make([]float32, 70*6)
	for i := range values {
		values[i] = r.Float32() - 0.3
	}
	l := LayerValues{"layer", net.Shape{C: 70, H: 2, W: 3}, values}
	maps := l.maps()
	if len(maps) != mostTiles {
		t.Fatalf("%d maps, want %d", len(maps), mostTiles)
	}
	scale := raster.ScaleOf(values)
	for c, m := range maps {
		for y := range 2 {
			for x := range 3 {
				if got, want := m.At(x, y).(color.NRGBA), scale.Colour(values[(c*2+y)*3+x]); got != want {
					t.Fatalf("map %d has %v at %d, %d, want %v", c, got, x, y, want)
				}
			}
		}
	}
	flat := LayerValues{"flat", net.Shape{C: 420, H: 1, W: 1}, values}
	strip := flat.strip()
	if b := strip.Bounds(); !flat.flat() || b.Dx() != 64 || b.Dy() != 7 {
		t.Fatalf("the strip is %v", b)
	}
	for i, v := range values {
		if got := strip.At(i%64, i/64).(color.NRGBA); got != scale.Colour(v) {
			t.Fatalf("value %d is %v", i, got)
		}
	}
}

// TestFilters finds each weight in the colour of its pixel: of filters over grey
// and colour images, of deeper layers, of dense units over an image.
func TestFilters(t *testing.T) {
	at := func(weights []float32, index int, signed float64) color.NRGBA {
		return raster.Scale{Max: signed, Signed: true}.Colour(weights[index])
	}
	state := func(n *net.Network) (*net.Plan, net.State) {
		p := compiled(t, reference.New(), n, 1)
		s, err := p.State()
		if err != nil {
			t.Fatal(err)
		}
		plan, err := n.Plan()
		if err != nil {
			t.Fatal(err)
		}
		return plan, s
	}
	plan, s := state(small(net.Shape{C: 1, H: 12, W: 10}))
	f := FiltersOf(plan, s.Params)
	if len(f) != 2 || f[0].Layer.Name != "conv1" || len(f[0].Tiles) != 4 || f[1].Layer.Name != "conv2" || f[1].Matrix == nil || f[1].Shown != 6 || f[1].Rows != 4 {
		t.Fatalf("filters %+v", f)
	}
	weights := s.Params["conv1.weight"].Float32s()
	greatest := raster.ScaleOf(weights).Max
	if got, want := f[0].Tiles[2].At(4, 1).(color.NRGBA), at(weights, (2*3+1)*5+4, greatest); got != want {
		t.Errorf("filter 2 has %v at 4, 1, want %v", got, want)
	}
	// Filter 5, channel 1, row 2, column 1 of a 3x3 kernel, with a gap of 1.
	weights = s.Params["conv2.weight"].Float32s()
	if got, want := f[1].Matrix.At(5*4+1, 1*4+2).(color.NRGBA), at(weights, ((5*4+1)*3+2)*3+1, f[1].Scale.Max); got != want {
		t.Errorf("the matrix has %v, want %v", got, want)
	}
	beyond := 0
	for _, w := range weights {
		if float64(max(w, -w)) > f[1].Scale.Max {
			beyond++
		}
	}
	if want := len(weights) / beyondScale; beyond != want {
		t.Errorf("%d weights are beyond the scale, want %d of %d", beyond, want, len(weights))
	}

	plan, s = state(small(net.Shape{C: 3, H: 12, W: 10}))
	f = FiltersOf(plan, s.Params)
	weights = s.Params["conv1.weight"].Float32s()
	greatest = raster.ScaleOf(weights).Max
	p := f[0].Tiles[1].At(0, 2).(color.NRGBA)
	for c, got := range []uint8{p.R, p.G, p.B} {
		w := float64(weights[((1*3+c)*3+2)*5])
		if want := 127.5 + 127.5*w/greatest; float64(got) < want-0.51 || float64(got) > want+0.51 {
			t.Errorf("channel %d is %d, want %v", c, got, want)
		}
	}

	plan, s = state(net.BuiltIn("mlp"))
	f = FiltersOf(plan, s.Params)
	if len(f) != 1 || f[0].Layer.Name != "dense1" || f[0].Shown != mostTiles {
		t.Fatalf("filters of mlp %+v", f)
	}
	weights = s.Params["dense1.weight"].Float32s()
	if got, want := f[0].Tiles[7].At(3, 20).(color.NRGBA), at(weights, 7*784+20*28+3, raster.ScaleOf(weights).Max); got != want {
		t.Errorf("unit 7 has %v at 3, 20, want %v", got, want)
	}

	pooled := &net.Network{Input: net.Shape{C: 1, H: 4, W: 4}, Layers: []net.Layer{
		&net.Pool{Kernel: net.Square(2)}, &net.Flatten{}, &net.Dense{Units: 2}}}
	if plan, s = state(pooled); len(FiltersOf(plan, s.Params)) != 0 {
		t.Error("a dense layer behind pooling has pictures, and no image to look at")
	}
}

func TestSampleOfValues(t *testing.T) {
	d := &net.Dataset{Shape: net.Shape{C: 1, H: 1, W: 3}, Values: []float32{9, 9, 9, -2, 0, 2}, Labels: []int32{0, 0}}
	img := SampleOf(d, 1)
	for x, want := range []uint8{0, 128, 255} {
		if got := color.GrayModel.Convert(img.At(x, 0)).(color.Gray).Y; got != want {
			t.Errorf("value %d is %d, want %d", x, got, want)
		}
	}
	if got := color.GrayModel.Convert(SampleOf(d, 0).At(0, 0)).(color.Gray).Y; got != 0 {
		t.Errorf("a sample of one value everywhere is %d", got)
	}
}

// TestKindsAreDrawn asks for what is told of each example of each kind of layer, and
// of a network with branches.
func TestKindsAreDrawn(t *testing.T) {
	drawn := func(n *net.Network, hidden ...int) (names []string, filters []Filters) {
		t.Helper()
		p := compiled(t, reference.New(), n, 1)
		trace, err := p.Trace(net.Batch{Data: noise(testenv.Rand(t), n.Input, 2, 1), Indices: []int32{0}}, net.Evaluation)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range hidden {
			trace.Layers[i].Output = nil
		}
		s, err := p.State()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range LayersOf(p.Plan(), trace) {
			names = append(names, l.Name)
		}
		return names, FiltersOf(p.Plan(), s.Params)
	}
	for _, k := range net.Kinds() {
		for _, e := range k.Examples {
			names, _ := drawn(devicetest.ExampleNetwork(e))
			told := slices.ContainsFunc(names, func(name string) bool {
				return name == devicetest.ExampleName || strings.HasSuffix(name, ", "+devicetest.ExampleName)
			})
			if same := k.Name == "flatten" || k.Name == "dropout"; told == same {
				t.Errorf("of %s are told %q", k.Name, names)
			}
		}
	}
	n := &net.Network{Input: net.Shape{C: 3, H: 6, W: 6}, Layers: []net.Layer{
		&net.Conv{Filters: 4, Kernel: net.Square(3), Padding: net.PadSame}, // its output is hidden
		&net.Dropout{Name: "seen", Rate: 0.5, From: net.From{"input"}},
		&net.BatchNorm{From: net.From{"conv1"}},
		&net.Conv{Filters: 4, Kernel: net.Square(3), Padding: net.PadSame, From: net.From{"seen"}},
		&net.Add{From: net.From{"conv2", "batchnorm1", "conv2"}},
		&net.Activation{Func: net.ReLU},
		&net.Conv{Filters: 6, Groups: 2, Kernel: net.Square(3)},
		&net.Flatten{}, &net.Dense{Units: 2},
	}}
	names, filters := drawn(n, 0)
	if want := []string{"conv1, batchnorm1", "conv2", "add1, relu1", "conv3"}; !slices.Equal(names, want) {
		t.Errorf("layers %q, want %q", names, want)
	}
	if len(filters) != 3 || filters[0].Tiles == nil || filters[1].Tiles == nil || filters[2].Matrix == nil || filters[2].Channels != 2 || filters[2].Rows != 2 {
		t.Errorf("filters %+v", filters)
	}
}

package net

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
)

// moments returns mean, deviation and the greatest distance from 0.
func moments(values []float32) (mean, deviation, reach float64) {
	var sum, squares float64
	for _, v := range values {
		sum += float64(v)
		squares += float64(v) * float64(v)
		reach = max(reach, math.Abs(float64(v)))
	}
	n := float64(len(values))
	mean = sum / n
	return mean, math.Sqrt(squares/n - mean*mean), reach
}

func TestInitialDistributions(t *testing.T) {
	const n = 200_000
	// The deviation of a standard normal cut at two: sqrt(1 - 4*phi(2)/(2*Phi(2)-1)).
	cut := math.Sqrt(1 - 4*math.Exp(-2)/math.Sqrt(2*math.Pi)/math.Erf(math.Sqrt2))
	inf := math.Inf(1)
	for _, c := range []struct {
		init               Initializer
		deviation          float64
		reachLow, reachTop float64 // the farthest value lies between
	}{
		{truncated(0.03), 0.03 * cut, 0.0599, 0.06000001},
		{truncated(1), cut, 1.99, 2},
		{Initializer{Method: He}, math.Sqrt(2. / 50), 4 * math.Sqrt(2./50), inf},
		{Initializer{Method: Glorot}, 0.2 / math.Sqrt(3), 0.1999, 0.2000001}, // limit sqrt(6/(50+100)) = 0.2
	} {
		p := Param{Dims: []int{n}, Init: c.init, FanIn: 50, FanOut: 100}
		values := make([]float32, n)
		p.fill(values, newStream(3, ForInit, 0), nil, nil)
		mean, deviation, reach := moments(values)
		// Five standard errors: of the mean deviation/sqrt(n), of the deviation at
		// most deviation/sqrt(2n).
		e := 5 * c.deviation / math.Sqrt(n)
		approx.Check(t, string(c.init.Method)+": mean", []float64{mean}, []float64{0}, approx.Tolerance{Abs: e})
		approx.Check(t, string(c.init.Method)+": deviation", []float64{deviation}, []float64{c.deviation}, approx.Tolerance{Abs: e / math.Sqrt2})
		if reach < c.reachLow || reach > c.reachTop {
			t.Errorf("%s: the farthest value is %v, want between %v and %v", c.init.Method, reach, c.reachLow, c.reachTop)
		}
	}
}

func TestInitialState(t *testing.T) {
	plan, err := everyLayer().Plan()
	if err != nil {
		t.Fatal(err)
	}
	st := InitialState(plan, 1, nil)
	if err := st.Check(plan, AdamDefault(1)); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]float32{
		"norm.weight": 1, "norm.bias": 0, "norm.running_mean": 0, "norm.running_var": 1,
		"conv2.bias": 0.5, "dense2.bias": -1,
	} {
		for _, v := range st.Params[name].Float32s() {
			if v != want {
				t.Errorf("%s starts at %v, want %v", name, v, want)
				break
			}
		}
	}
	values := func(seed uint64, name string) []float32 { return InitialState(plan, seed, nil).Params[name].Float32s() }
	if !slices.Equal(values(1, "first.weight"), values(1, "first.weight")) {
		t.Error("one seed gives different values")
	}
	if slices.Equal(values(1, "first.weight"), values(2, "first.weight")) {
		t.Error("two seeds give the same values")
	}
	// Streams of their own: even with the same description two parameters differ.
	mlp, err := (&Network{Input: Shape{4, 1, 1}, Layers: []Layer{&Dense{Units: 4}, &Dense{Units: 4}}}).Plan()
	if err != nil {
		t.Fatal(err)
	}
	twins := InitialState(mlp, 1, nil).Params
	if slices.Equal(twins["dense1.weight"].Float32s(), twins["dense2.weight"].Float32s()) {
		t.Error("two parameters have the same values")
	}
}

func TestInitializerRefusals(t *testing.T) {
	for _, c := range []struct {
		in   Initializer
		want string
	}{
		{truncated(0), "sigma of truncated_normal must be above 0"},
		{truncated(math.NaN()), "sigma"},
		{truncated(math.Inf(1)), "sigma"},
		{Initializer{Method: Constant, Value: math.NaN()}, "constant must be finite"},
		{Initializer{Method: Constant, Value: 1e39}, "constant must be finite and fit a float32"},
		{truncated(3e38), "fit a float32 twice"},
		{Initializer{Method: "magic"}, `unknown method "magic"`},
		{Initializer{Method: Orthogonal}, "orthogonal is for weights"},
		{Initializer{Method: Identity}, "identity is for weights"},
		{Initializer{Method: Whitening}, "weights of a convolution"},
		{Initializer{}, "unknown method"},
	} {
		if err := (Param{Init: c.in, Dims: []int{4}}).checkInit(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q", c.in, err, c.want)
		}
	}
}

// startOf returns the initial values of the first layer's weight.
func startOf(t *testing.T, in Shape, first Layer, seed uint64, images *Dataset) []float32 {
	t.Helper()
	plan, err := (&Network{Input: in, Layers: []Layer{first, &Flatten{}, &Dense{Units: 2}}}).Plan()
	if err != nil {
		t.Fatal(err)
	}
	return InitialState(plan, seed, images).Params[plan.Params[0].Name].Float32s()
}

func TestZerosAndOnes(t *testing.T) {
	for method, want := range map[InitMethod]float32{Zeros: 0, Ones: 1} {
		in := Initializer{Method: method}
		for _, v := range startOf(t, Shape{3, 5, 5}, &Conv{Filters: 4, Kernel: Square(3), WeightInit: in}, 1, nil) {
			if v != want {
				t.Fatalf("%s starts at %v", method, v)
			}
		}
	}
}

// TestIdentity finds ones where an input passes, and He's values in filters for
// which no input is left.
func TestIdentity(t *testing.T) {
	identity, he := Initializer{Method: Identity}, Initializer{Method: He}
	for _, c := range []struct {
		name    string
		in      Shape
		layer   func(Initializer) Layer
		filters int
		inputs  int // of a filter
		area    int
		middle  int   // of the kernel
		passes  []int // the input that each filter passes, of its group; -1 where He draws
	}{
		{"convolution", Shape{3, 6, 6}, func(in Initializer) Layer { return &Conv{Filters: 3, Kernel: Square(3), WeightInit: in} }, 3, 3, 9, 4, []int{0, 1, 2}},
		{"fewer filters", Shape{3, 6, 6}, func(in Initializer) Layer { return &Conv{Filters: 2, Kernel: Square(1), WeightInit: in} }, 2, 3, 1, 0, []int{0, 1}},
		{"more filters", Shape{2, 6, 6}, func(in Initializer) Layer { return &Conv{Filters: 5, Kernel: Square(3), WeightInit: in} }, 5, 2, 9, 4, []int{0, 1, -1, -1, -1}},
		{"kernel without a middle", Shape{2, 6, 6}, func(in Initializer) Layer { return &Conv{Filters: 2, Kernel: Pair{2, 5}, WeightInit: in} }, 2, 2, 10, 7, []int{0, 1}},
		{"groups", Shape{4, 6, 6}, func(in Initializer) Layer {
			return &Conv{Filters: 6, Kernel: Square(3), Groups: 2, WeightInit: in}
		}, 6, 2, 9, 4, []int{0, 1, -1, 0, 1, -1}},
		{"depthwise", Shape{3, 6, 6}, func(in Initializer) Layer {
			return &Conv{Filters: 3, Kernel: Square(3), Groups: 3, WeightInit: in}
		}, 3, 1, 9, 4, []int{0, 0, 0}},
		{"dense", Shape{3, 1, 1}, func(in Initializer) Layer { return &Dense{Units: 5, WeightInit: in} }, 5, 3, 1, 0, []int{0, 1, 2, -1, -1}},
	} {
		got, drawn := startOf(t, c.in, c.layer(identity), 7, nil), startOf(t, c.in, c.layer(he), 7, nil)
		size := c.inputs * c.area
		for k, input := range c.passes {
			want := make([]float32, size)
			if input < 0 {
				want = drawn[k*size:][:size]
			} else {
				want[input*c.area+c.middle] = 1
			}
			if !slices.Equal(got[k*size:][:size], want) {
				t.Errorf("%s: filter %d is %v, want %v", c.name, k, got[k*size:][:size], want)
			}
		}
		if len(got) != c.filters*size {
			t.Errorf("%s: %d values", c.name, len(got))
		}
	}
}

// TestOrthogonal multiplies rows with rows, or columns with columns.
func TestOrthogonal(t *testing.T) {
	in := Initializer{Method: Orthogonal}
	for _, c := range []struct {
		name          string
		in            Shape
		layer         Layer
		rows, columns int
	}{
		{"square", Shape{4, 1, 1}, &Dense{Units: 4, WeightInit: in}, 4, 4},
		{"more units", Shape{3, 1, 1}, &Dense{Units: 7, WeightInit: in}, 7, 3},
		{"fewer filters", Shape{2, 5, 5}, &Conv{Filters: 4, Kernel: Square(3), WeightInit: in}, 4, 18},
		{"groups", Shape{4, 5, 5}, &Conv{Filters: 8, Kernel: Square(1), Groups: 2, WeightInit: in}, 8, 2},
	} {
		w := startOf(t, c.in, c.layer, 3, nil)
		count, length := c.rows, c.columns
		at := func(i, k int) float64 { return float64(w[i*c.columns+k]) }
		if c.rows > c.columns {
			count, length = c.columns, c.rows
			at = func(i, k int) float64 { return float64(w[k*c.columns+i]) }
		}
		var got, want []float64
		for i := range count {
			for j := range count {
				sum := 0.0
				for k := range length {
					sum += at(i, k) * at(j, k)
				}
				got, want = append(got, sum), append(want, 0)
				if i == j {
					want[len(want)-1] = 1
				}
			}
		}
		// Each value is rounded to float32: of a product of rows of length 1 less than
		// two roundings' part remains.
		approx.Check(t, c.name, got, want, approx.Tolerance{Abs: 2e-7})
	}

	// All orthogonal matrices are equally likely: each value is above 0 half of the
	// time, its square 1/3 in the mean, and half of the matrices mirror. 400 draws
	// deviate from a half by 0.025, and the mean of the squares by 0.015.
	const draws = 400
	var above, squares [9]float64
	mirrors := 0.0
	for seed := range uint64(draws) {
		w := startOf(t, Shape{3, 1, 1}, &Dense{Units: 3, WeightInit: in}, seed, nil)
		for i, v := range w {
			if v > 0 {
				above[i] += 1. / draws
			}
			squares[i] += float64(v) * float64(v) / draws
		}
		if w[0]*(w[4]*w[8]-w[5]*w[7])-w[1]*(w[3]*w[8]-w[5]*w[6])+w[2]*(w[3]*w[7]-w[4]*w[6]) < 0 {
			mirrors += 1. / draws
		}
	}
	half, third := slices.Repeat([]float64{0.5}, 9), slices.Repeat([]float64{1. / 3}, 9)
	approx.Check(t, "values above 0", above[:], half, approx.Tolerance{Abs: 5 * 0.025})
	approx.Check(t, "squares", squares[:], third, approx.Tolerance{Abs: 5 * 0.015})
	approx.Check(t, "mirrors", []float64{mirrors}, []float64{0.5}, approx.Tolerance{Abs: 5 * 0.025})
}

// smooth makes n images whose neighbours are alike.
func smooth(n int, shape Shape, seed uint64) *Dataset {
	rng := rand.New(rand.NewPCG(seed, 0))
	d := &Dataset{Name: "smooth", Shape: shape, Classes: 2, Labels: make([]int32, n)}
	for range n * shape.C {
		across := rng.NormFloat64()
		for range shape.H {
			v := rng.NormFloat64() + 1
			for range shape.W {
				v = 0.8*v + 0.5*rng.NormFloat64() + 0.3*across
				d.Values = append(d.Values, float32(v))
			}
		}
	}
	return d
}

// windows returns the values under a convolution's window at each of its places
// inside the images, in the order of a filter's weights.
func windows(d *Dataset, kernel, stride, dilation Pair) [][]float64 {
	var all [][]float64
	for i := range d.Len() {
		at := func(c, y, x int) float64 {
			return float64(d.Values[((i*d.Shape.C+c)*d.Shape.H+y)*d.Shape.W+x])
		}
		for y := 0; y+(kernel.H-1)*dilation.H < d.Shape.H; y += stride.H {
			for x := 0; x+(kernel.W-1)*dilation.W < d.Shape.W; x += stride.W {
				var w []float64
				for c := range d.Shape.C {
					for r := range kernel.H {
						for s := range kernel.W {
							w = append(w, at(c, y+r*dilation.H, x+s*dilation.W))
						}
					}
				}
				all = append(all, w)
			}
		}
	}
	return all
}

// meanVariance returns the mean of the variances of the windows' values.
func meanVariance(windows [][]float64) (mean float64) {
	n, size := float64(len(windows)), float64(len(windows[0]))
	for i := range windows[0] {
		var sum, squares float64
		for _, w := range windows {
			sum += w[i]
			squares += w[i] * w[i]
		}
		mean += (squares/n - sum/n*sum/n) / size
	}
	return mean
}

// TestWhiteningBias: the outputs of all filters have mean 0, and brighter images with more
// contrast give the same outputs.
func TestWhiteningBias(t *testing.T) {
	white := Initializer{Method: Whitening}
	network := &Network{Input: Shape{2, 7, 6}, Layers: []Layer{
		&Conv{Filters: 8, Kernel: Square(2), WeightInit: white, BiasInit: white}, &Flatten{}, &Dense{Units: 2},
	}}
	plan, err := network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	images := smooth(200, network.Input, 1)
	bright := *images
	bright.Values = slices.Clone(images.Values)
	for i, v := range bright.Values {
		bright.Values[i] = 4*v + 3
	}
	outputs := func(images *Dataset) (all []float64) {
		st := InitialState(plan, 3, images)
		w, bias := st.Params["conv1.weight"].Float32s(), st.Params["conv1.bias"].Float32s()
		for k, b := range bias {
			for _, x := range windows(images, Square(2), Square(1), Square(1)) {
				y := float64(b)
				for i, v := range x {
					y += float64(w[k*len(x)+i]) * v
				}
				all = append(all, y)
			}
		}
		return all
	}
	plain := outputs(images)
	for each, k := len(plain)/8, 0; k < 8; k++ {
		var sum float64
		for _, y := range plain[k*each:][:each] {
			sum += y
		}
		approx.Check(t, "mean", []float64{sum / float64(each)}, []float64{0}, approx.Tolerance{Abs: 1e-5})
	}
	approx.Check(t, "outputs for brighter images", outputs(&bright), plain, approx.Tolerance{Abs: 1e-4})
	if bias := InitialState(plan, 3, nil).Params["conv1.bias"].Float32s(); slices.Max(bias) != 0 || slices.Min(bias) != 0 {
		t.Errorf("without images the biases are %v", bias)
	}
}

// TestWhitening computes the covariance of the filters' outputs over all windows.
func TestWhitening(t *testing.T) {
	in, shape := Initializer{Method: Whitening}, Shape{2, 7, 6}
	images := smooth(200, shape, 1)
	for _, c := range []struct {
		name string
		conv Conv
	}{
		{"all components", Conv{Filters: 24, Kernel: Pair{2, 3}}},
		{"the greatest", Conv{Filters: 8, Kernel: Square(3)}},
		{"stride and dilation", Conv{Filters: 16, Kernel: Square(2), Stride: Pair{2, 1}, Dilation: Pair{1, 2}}},
	} {
		c.conv.WeightInit = in
		w := startOf(t, shape, &c.conv, 5, images)
		of := windows(images, c.conv.Kernel, c.conv.Stride.or(Square(1)), c.conv.Dilation.or(Square(1)))
		half, size := c.conv.Filters/2, len(of[0])
		epsilon := 5e-4 * meanVariance(of)
		outputs, means := make([][]float64, half), make([]float64, half)
		for k := range half {
			for _, x := range of {
				y := 0.0
				for i, v := range x {
					y += float64(w[k*size+i]) * v
				}
				outputs[k] = append(outputs[k], y)
				means[k] += y / float64(len(of))
			}
		}
		var got, want, lengths []float64
		for k := range half {
			length := 0.0
			for _, v := range w[k*size:][:size] {
				length += float64(v) * float64(v)
			}
			lengths = append(lengths, length)
			for j := range half {
				covariance, wanted := 0.0, 0.0
				for i := range of {
					covariance += (outputs[k][i] - means[k]) * (outputs[j][i] - means[j]) / float64(len(of))
				}
				if j == k {
					// A component of variance v is divided by sqrt(v+e), so its output has
					// the variance v/(v+e).
					wanted = 1 - epsilon*length
				}
				got, want = append(got, covariance), append(want, wanted)
			}
			for i := range size {
				if w[k*size+i] != -w[(half+k)*size+i] {
					t.Fatalf("%s: filter %d is not the negative of filter %d", c.name, half+k, k)
				}
			}
		}
		// The weights are float32, up to 20 here; covariances sum some dozens of their
		// products.
		approx.Check(t, c.name+": covariance", got, want, approx.Tolerance{Abs: 2e-5})
		if !slices.IsSorted(lengths) {
			t.Errorf("%s: the greatest components are not the first: lengths %v", c.name, lengths)
		}
		if !slices.Equal(startOf(t, shape, &c.conv, 6, images), w) {
			t.Errorf("%s: another seed gives other values", c.name)
		}
		if slices.Equal(startOf(t, shape, &c.conv, 5, smooth(200, shape, 2)), w) {
			t.Errorf("%s: other images give the same values", c.name)
		}
		he := c.conv
		he.WeightInit = Initializer{Method: He}
		drawn := startOf(t, shape, &he, 5, nil)
		notFinite := smooth(200, shape, 1)
		notFinite.Values[3] = float32(math.NaN())
		for name, images := range map[string]*Dataset{
			"no images": nil, "no image": images.Slice(0, 0), "images of another shape": smooth(3, Shape{3, 7, 6}, 1), "NaN": notFinite,
		} {
			if !slices.Equal(startOf(t, shape, &c.conv, 5, images), drawn) {
				t.Errorf("%s: %s don't give He's values", c.name, name)
			}
		}
	}

	// Images behind the 5,000th are not looked at.
	small := &Conv{Filters: 2, Kernel: Square(1), WeightInit: in}
	many := smooth(5001, Shape{1, 2, 2}, 1)
	w := startOf(t, many.Shape, small, 1, many)
	for i := range 4 {
		many.Values[5000*4+i] = 1e6
	}
	if !slices.Equal(startOf(t, many.Shape, small, 1, many), w) {
		t.Error("the image 5,001 has a part in the values")
	}
	many.Values[4999*4] = 1e6
	if slices.Equal(startOf(t, many.Shape, small, 1, many), w) {
		t.Error("the image 5,000 has no part in the values")
	}

	for want, conv := range map[string]*Conv{
		"an even number of filters, at most 36, got 5": {Filters: 5, Kernel: Square(3)},
		"without groups":                      {Filters: 4, Kernel: Square(3), Groups: 2},
		"windows of at most 1024 values":      {Filters: 4, Kernel: Square(32), Padding: Pad(31, 31, 31, 31)},
		"fits into the image without padding": {Filters: 4, Kernel: Square(7), Padding: PadSame},
	} {
		conv.WeightInit = in
		_, err := (&Network{Input: shape, Layers: []Layer{conv, &Flatten{}, &Dense{Units: 2}}}).Plan()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestOptionsCheckImages refuses images whose parts disagree before anything is
// computed with them.
func TestOptionsCheckImages(t *testing.T) {
	o := Options{Batch: 1, Optimizer: SGDDefault(0.1), Images: smooth(3, Shape{1, 2, 2}, 1)}
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	o.Images.Values = o.Images.Values[:5]
	if err := o.Check(); err == nil || !strings.Contains(err.Error(), "5 values for 3 samples") {
		t.Errorf("error %v", err)
	}
}

package cpu

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/verify"
)

// TestWinograd verifies convolutions by minimal filtering: whole tiles and tiles that lie over others, along one axis and
// both; channels and filters that fill vectors and that don't; every padding; dilations; followed by ReLU, pooling or nothing.
func TestWinograd(t *testing.T) {
	relu := &net.Activation{Func: net.ReLU}
	pooled := []net.Layer{relu, &net.Pool{Kernel: net.Square(2)}}
	type shape struct {
		height, width             int
		channels, filters, kernel int
		padding                   net.Padding
		next                      []net.Layer
		dilation                  net.Pair
	}
	plain := net.Square(1)
	rng := testenv.Rand(t)
	random := func() shape { // for all of these the method pays
		return shape{8 + rng.IntN(5), 8 + rng.IntN(5), 24 + rng.IntN(9), 29 + rng.IntN(4), 3 + 2*rng.IntN(2),
			[]net.Padding{net.PadSame, net.PadValid}[rng.IntN(2)], [][]net.Layer{pooled, {relu}, nil}[rng.IntN(3)], plain}
	}
	for _, tier := range tiers() {
		for _, c := range []shape{
			{6, 14, 32, 64, 5, net.PadSame, pooled, plain},
			{9, 12, 32, 31, 5, net.PadValid, pooled, plain},
			{7, 2, 40, 64, 5, net.PadSame, []net.Layer{relu}, plain},
			{15, 13, 33, 65, 3, net.PadSame, pooled, plain},
			{15, 13, 33, 65, 3, net.PadSame, []net.Layer{relu, &net.Pool{Kernel: net.Square(3)}}, plain},
			{8, 9, 33, 65, 3, net.PadSame, []net.Layer{relu, &net.Pool{Global: true}}, plain},
			{16, 8, 64, 32, 3, net.PadSame, []net.Layer{relu, &net.Conv{Filters: 32, Kernel: net.Square(3), Padding: net.PadValid}}, plain},
			{13, 16, 33, 40, 3, net.PadSame, []net.Layer{relu}, net.Pair{H: 3, W: 2}},
			{12, 12, 40, 33, 3, net.PadValid, nil, net.Pair{H: 1, W: 2}},
			{9, 8, 33, 32, 5, net.Pad(5, 3, 3, 1), nil, net.Pair{H: 2, W: 1}},
			{6, 11, 48, 32, 3, net.PadValid, nil, plain},
			random(),
		} {
			t.Run(fmt.Sprintf("%v/%dx%d,%dx%d,%d", tier, c.height, c.width, c.channels, c.filters, c.kernel), func(t *testing.T) {
				layers := []net.Layer{
					// The first layer makes the channels, and has the gradient with respect to the second one's input.
					&net.Conv{Filters: c.channels, Kernel: net.Square(1)},
					&net.Conv{Filters: c.filters, Kernel: net.Square(c.kernel), Padding: c.padding, Dilation: c.dilation},
				}
				layers = append(append(layers, c.next...), &net.Flatten{}, &net.Dense{Units: 3})
				input := net.Shape{C: 2, H: c.height, W: c.width}
				batch := 3
				if c.width == 2 && !testing.Short() { // so many that the weights' gradient is computed by the method, too
					batch = 16
				}
				verifyLayers(t, tier, batch, input, layers...)

				d := open(tier, 1)(t).(*device)
				defer d.Close()
				p, err := newProgram(d, planOf(t, input, layers), net.Options{Batch: 1, Optimizer: net.AdamDefault(1e-3)}, true)
				if err != nil {
					t.Fatal(err)
				}
				p.prepareTraining()
				// Max pooling is computed with the convolution where the gradients through both need fewer multiplications.
				fused := false
				if len(c.next) == 2 {
					pool, ok := c.next[1].(*net.Pool)
					fused = ok && (c.kernel == 5 || pool.Global || pool.Kernel.H == 3)
				}
				if slices.ContainsFunc(p.all.operations, func(op operation) bool { _, ok := op.sample.(*conv); return ok }) != fused {
					t.Errorf("pooling is not a part of the convolution, or it is; want %v", fused)
				}
				gradient := !fused && 2*c.filters > c.channels // and where it pays
				if w := winogradsOf(p, c.filters, c.kernel); !slices.Contains(w, "output") || gradient && !(slices.Contains(w, "gradient") && slices.Contains(w, "weights")) {
					t.Errorf("computed in this way: %q", w)
				}
			})
		}
	}
}

// TestWinogradOutside verifies convolutions of which some tiles have no row in the image: in the gradient of the first, and in
// the output of the second.
func TestWinogradOutside(t *testing.T) {
	for _, tier := range tiers() {
		for _, c := range []struct {
			height, width int
			padding       net.Padding
		}{{13, 13, net.PadValid}, {1, 32, net.Pad(9, 8, 6, 6)}} {
			verifyLayers(t, tier, 3, net.Shape{C: 2, H: c.height, W: c.width}, &net.Conv{Filters: 48, Kernel: net.Square(1)},
				&net.Conv{Filters: 48, Kernel: net.Square(5), Dilation: net.Square(3), Padding: c.padding}, &net.Flatten{}, &net.Dense{Units: 3})
		}
	}
}

// TestWinogradGradient compares weight gradients with those that are summed directly: of tiles that lie over others along one
// axis and both, of mini-batches that are cut into parts, of channels and filters that are cut into pieces.
func TestWinogradGradient(t *testing.T) {
	rng := testenv.Rand(t)
	random := func() [8]int { // for all of these the method pays
		dilation := 1 + rng.IntN(2)
		return [8]int{1 + rng.IntN(20), (8 + rng.IntN(12)) * dilation, 8 + rng.IntN(12), 20 + rng.IntN(60), 20 + rng.IntN(60), 3 + 2*rng.IntN(2), dilation, 1}
	}
	for _, tier := range tiers() {
		for _, c := range [][8]int{{2, 16, 16, 32, 32, 3, 1, 1}, {40, 9, 11, 31, 65, 3, 1, 1}, {3, 14, 7, 40, 33, 5, 1, 1}, {2, 6, 5, 150, 130, 3, 1, 1}, {3, 14, 9, 32, 33, 3, 3, 1}, {3, 8, 22, 64, 64, 3, 1, 2}, random()} {
			batch, height, width, channels, filters, kernel, dilation := c[0], c[1], c[2], c[3], c[4], c[5], net.Pair{H: c[6], W: c[7]}
			t.Run(fmt.Sprintf("%v/%v", tier, c), func(t *testing.T) {
				d := open(tier, 2)(t).(*device)
				defer d.Close()
				plan := planOf(t, net.Shape{C: channels, H: height, W: width}, []net.Layer{
					&net.Conv{Filters: filters, Kernel: net.Square(kernel), Dilation: dilation, Padding: net.PadSame}, &net.Flatten{}, &net.Dense{Units: 3}})
				p, err := newProgram(d, plan, net.Options{Batch: batch, Optimizer: net.SGDDefault(1)}, true)
				if err != nil {
					t.Fatal(err)
				}
				p.prepareTraining()
				var op *blockConv
				for _, o := range p.all.operations {
					if b, ok := o.sample.(*blockConv); ok {
						op = b
					}
				}
				for _, values := range [][]float32{op.in.value, op.out.grad} {
					for i := range values {
						values[i] = float32(rng.NormFloat64())
					}
				}
				p.pass.Batch = net.Batch{Indices: make([]int32, batch)}
				if op.winogradGradient == nil {
					t.Fatal("computed in another way")
				}
				op.filterGradient.run()
				direct := slices.Clone(op.weight.grad)
				clear(op.weight.grad)
				op.winogradGradient.run()
				// The sums have as many terms as there are positions, each about as large as 1.
				size := math.Sqrt(float64(batch * height * width))
				var want []float64
				for _, v := range direct {
					want = append(want, float64(v))
				}
				approx.Check(t, "gradient", op.weight.grad, want, approx.Tolerance{Abs: 4e-5 * size})
			})
		}
	}
}

// TestWinogradAtKinks verifies a network whose second convolution gets only zeros beside a few marks. There its values are
// exactly 0, at the kink of the ReLU. Minimal filtering rounds them to values a little above or below 0. That is no fault: the
// gradient of the bias differs a lot, but the chain can't be judged.
func TestWinogradAtKinks(t *testing.T) {
	if testing.Short() {
		t.Skip("verifies a network with the reference, some seconds for each tier")
	}
	n := &net.Network{Name: "marks", Input: net.Shape{C: 1, H: 20, W: 20}, Layers: []net.Layer{
		&net.Conv{Filters: 19, Kernel: net.Square(3)}, &net.Activation{Func: net.ReLU},
		&net.Conv{Filters: 32, Kernel: net.Square(3)}, &net.Activation{Func: net.ReLU},
		&net.Flatten{}, &net.Dense{Units: 3},
	}}
	rng := testenv.Rand(t)
	data := &net.Dataset{Name: "marks", Shape: n.Input, Classes: 3, Scale: 1.0 / 255, Pixels: make([]uint8, 200*n.Input.Size()), Labels: make([]int32, 200)}
	for i := range data.Labels {
		data.Labels[i] = rng.Int32N(3)
		for range 3 {
			data.Pixels[i*n.Input.Size()+rng.IntN(n.Input.Size())] = uint8(100 + rng.IntN(100))
		}
	}
	skipped := false
	for _, tier := range tiers() {
		d := open(tier, 2)(t)
		report, err := verify.Network(t.Context(), d, n, data, verify.Options{Batch: 4, Optimizer: net.SGDDefault(0.01)})
		if err != nil {
			t.Fatal(err)
		}
		if !report.OK() {
			t.Errorf("%v: %+v", tier, report.Failures())
		}
		skipped = skipped || strings.Contains(report.EndToEndSkipped, "exactly at kinks")
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if !skipped {
		t.Error("no tier's rounding shows: the test tests nothing")
	}
}

// TestWinogradPays: with few channels the transforms cost more than they save.
func TestWinogradPays(t *testing.T) {
	for _, tier := range tiers() {
		for _, c := range []struct {
			size, channels, filters, kernel int
			pays                            bool
		}{
			{28, 1, 32, 5, false}, {28, 3, 32, 3, false}, {28, 4, 32, 5, false}, {32, 3, 64, 3, false},
			{28, 8, 32, 5, true}, {14, 32, 64, 5, true}, {14, 16, 32, 3, true}, {7, 64, 64, 3, true},
		} {
			layers := []net.Layer{
				&net.Conv{Filters: c.filters, Kernel: net.Square(c.kernel), Padding: net.PadSame},
				&net.Flatten{}, &net.Dense{Units: 3},
			}
			plan := planOf(t, net.Shape{C: c.channels, H: c.size, W: c.size}, layers)
			p, err := newProgram(open(tier, 1)(t).(*device), plan, net.Options{Batch: 1, Optimizer: net.SGDDefault(1)}, true)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(winogradsOf(p, c.filters, c.kernel)) > 0; got != c.pays {
				t.Errorf("%v, %+v: %v", tier, c, got)
			}
		}
	}
}

// winogradsOf returns what of a convolution is computed by minimal filtering: its output, and the gradients of its input and
// of its weights.
func winogradsOf(p *program, filters, kernel int) (list []string) {
	for _, op := range p.all.operations {
		var node net.Node
		var output, gradient *winograd
		weights := false
		switch c := op.sample.(type) {
		case *conv:
			node, output = c.node, c.winograd
		case *blockConv:
			node, output, gradient = c.node, c.winograd, c.backWinograd
			weights = c.winogradGradient != nil
		default:
			continue
		}
		if node.Out.C != filters || node.Window.KernelH != kernel {
			continue
		}
		if output != nil {
			list = append(list, "output")
		}
		if gradient != nil {
			list = append(list, "gradient")
		}
		if weights {
			list = append(list, "weights")
		}
	}
	return list
}

func planOf(t *testing.T, input net.Shape, layers []net.Layer) *net.Plan {
	t.Helper()
	plan, err := (&net.Network{Name: "layers", Input: input, Layers: layers}).Plan()
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

package cpu

import (
	"fmt"
	"testing"

	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/verify"
)

// TestGradientsThroughPooling verifies convolutions that pooling follows: channels as lanes and, where there are few,
// columns; more channels than a vector has; windows that leave values out, and such that overlap or have no kernels,
// whose gradients are computed in the other way.
func TestGradientsThroughPooling(t *testing.T) {
	for _, tier := range tiers() {
		for _, c := range []struct {
			channels, filters, kernel int
			padding                   net.Padding
			pool                      net.Pool
			noReLU                    bool
			way                       string // in which the gradients are computed
		}{
			{1, 5, 5, net.PadSame, net.Pool{Kernel: net.Square(2)}, false, "columns"},
			{3, 9, 3, net.PadSame, net.Pool{Kernel: net.Square(2)}, true, "channels"},
			{19, 11, 5, net.PadSame, net.Pool{Kernel: net.Square(2)}, false, "channels"},
			{33, 4, 3, net.PadValid, net.Pool{Kernel: net.Square(3)}, false, "channels"},
			{6, 3, 3, net.PadSame, net.Pool{Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame}, false, "channels"},
			{4, 3, 3, net.PadSame, net.Pool{Kernel: net.Square(2), Stride: net.Square(1)}, false, "apart"},
			{4, 3, 4, net.PadSame, net.Pool{Kernel: net.Square(2)}, false, "apart"},
		} {
			t.Run(fmt.Sprintf("%v/%dx%d,%d", tier, c.channels, c.filters, c.kernel), func(t *testing.T) {
				layers := []net.Layer{
					// The first layer makes the channels, and has the gradient with respect to the second one's input.
					&net.Conv{Filters: c.channels, Kernel: net.Square(1)},
					&net.Conv{Filters: c.filters, Kernel: net.Square(c.kernel), Padding: c.padding},
				}
				if !c.noReLU {
					layers = append(layers, &net.Activation{Func: net.ReLU})
				}
				layers = append(layers, &c.pool, &net.Flatten{}, &net.Dense{Units: 3})
				input := net.Shape{C: 2, H: 11, W: 9}
				verifyLayers(t, tier, 7, input, layers...)

				d := open(tier, 1)(t).(*device)
				defer d.Close()
				p, err := newProgram(d, planOf(t, input, layers), net.Options{Batch: 1, Optimizer: net.SGDDefault(1)}, true)
				if err != nil {
					t.Fatal(err)
				}
				p.prepareTraining()
				want, way := c.way, "apart"
				if want == "columns" && c.kernel > p.device.kernels.Lanes {
					want = "channels" // a row of the filter is longer than the portable kernels' vectors
				}
				for _, op := range p.all.operations {
					if conv, ok := op.sample.(*conv); ok && conv.node.Out.C == c.filters && conv.through != nil {
						way = map[bool]string{true: "columns", false: "channels"}[conv.through.wide]
					}
				}
				if way != want {
					t.Errorf("the gradients are computed in the way %q, want %q", way, want)
				}
			})
		}
	}
}

// verifyLayers compares outputs and gradients of a network with the reference, on a mini-batch of so many images.
func verifyLayers(t *testing.T, tier cpufeat.Tier, images int, input net.Shape, layers ...net.Layer) {
	t.Helper()
	n := &net.Network{Name: "layers", Input: input, Layers: layers}
	data := &net.Dataset{Name: "noise", Shape: input, Classes: 3, Scale: 1.0 / 255}
	rng := testenv.Rand(t)
	for range images {
		for range input.Size() {
			data.Pixels = append(data.Pixels, uint8(rng.Uint32()))
		}
		data.Labels = append(data.Labels, rng.Int32N(3))
	}
	d, err := New(Options{Threads: 2, Kernels: tier.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	report, err := verify.Network(t.Context(), d, n, data, verify.Options{Batch: images})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("%+v", report)
	}
}

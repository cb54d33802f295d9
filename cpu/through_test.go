package cpu

import (
	"fmt"
	"testing"

	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/internal/testseed"
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
		}{
			{1, 5, 5, net.PadSame, net.Pool{Kernel: net.Square(2)}, false},
			{3, 9, 3, net.PadSame, net.Pool{Kernel: net.Square(2)}, true},
			{19, 11, 5, net.PadSame, net.Pool{Kernel: net.Square(2)}, false},
			{33, 4, 3, net.PadValid, net.Pool{Kernel: net.Square(3)}, false},
			{6, 3, 3, net.PadSame, net.Pool{Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame}, false},
			{4, 3, 3, net.PadSame, net.Pool{Kernel: net.Square(2), Stride: net.Square(1)}, false},
			{4, 3, 4, net.PadSame, net.Pool{Kernel: net.Square(2)}, false},
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
				verifyLayers(t, tier, net.Shape{C: 2, H: 11, W: 9}, layers...)
			})
		}
	}
}

// verifyLayers compares outputs and gradients of a network with the reference.
func verifyLayers(t *testing.T, tier cpufeat.Tier, input net.Shape, layers ...net.Layer) {
	t.Helper()
	n := &net.Network{Name: "layers", Input: input, Layers: layers}
	data := &net.Dataset{Name: "noise", Shape: input, Classes: 3, Scale: 1.0 / 255}
	rng := testseed.Rand(t)
	for range 7 {
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
	report, err := verify.Network(t.Context(), d, n, data, verify.Options{Batch: 7})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("%+v", report)
	}
}

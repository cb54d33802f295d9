package reference_test

import (
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// exact is for values that float64 holds exactly all the way.
var exact approx.Tolerance

// rounded allows for the rounding of a few float64 operations.
var rounded = approx.Tolerance{Abs: 1e-13, Rel: 1e-13}

// One filter of 2x2 over the digits 1 to 9:
//
//	1 2 3     filter 1 2
//	4 5 6            3 4
//	7 8 9
func TestConvByHand(t *testing.T) {
	digits := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}
	for _, c := range []struct {
		name string
		conv net.Conv
		want []float64
	}{
		{"valid", net.Conv{}, []float64{
			37, 47,
			67, 77}},
		{"same pads right and bottom", net.Conv{Padding: net.PadSame}, []float64{
			37, 47, 21,
			67, 77, 33,
			23, 26, 9}},
		{"same, stride 2", net.Conv{Padding: net.PadSame, Stride: net.Square(2)}, []float64{
			37, 21,
			23, 9}},
		{"dilation 2", net.Conv{Dilation: net.Square(2)}, []float64{64}},
		{"dilation 1x2", net.Conv{Dilation: net.Pair{H: 1, W: 2}}, []float64{
			1 + 6 + 12 + 24,
			4 + 12 + 21 + 36}},
		{"pads top and right", net.Conv{Padding: net.Pad(1, 0, 0, 1)}, []float64{
			11, 18, 9,
			37, 47, 21,
			67, 77, 33}},
		{"pads bottom and left, stride 3x2", net.Conv{Padding: net.Pad(0, 1, 1, 0), Stride: net.Pair{H: 3, W: 2}}, []float64{
			2 + 16, 47}},
	} {
		for _, bias := range []float64{0, 0.5} {
			c.conv.Filters, c.conv.Kernel, c.conv.NoBias = 1, net.Square(2), bias == 0
			l := newLayer(t, net.Shape{C: 1, H: 3, W: 3}, &c.conv, []float64{1, 2, 3, 4}, []float64{bias})
			want := make([]float64, len(c.want))
			for i := range want {
				want[i] = c.want[i] + bias
			}
			approx.Check(t, c.name, forward(l, digits, 1, net.Training, 0), want, exact)
		}
	}
}

// Two samples of two channels of two values, two filters of 1x1.
func TestConvOfChannels(t *testing.T) {
	l := newLayer(t, net.Shape{C: 2, H: 1, W: 2}, &net.Conv{Filters: 2, Kernel: net.Square(1)},
		[]float64{1, 10, 2, -1}, []float64{0, 100})
	x := []float64{
		1, 2, 3, 4,
		5, 6, 7, 8}
	approx.Check(t, "y", forward(l, x, 2, net.Evaluation, 0), []float64{
		31, 42, 99, 100,
		75, 86, 103, 104}, exact)
}

func TestConvBackwardByHand(t *testing.T) {
	l := newLayer(t, net.Shape{C: 1, H: 3, W: 3}, &net.Conv{Filters: 1, Kernel: net.Square(2)},
		[]float64{1, 2, 3, 4}, []float64{0})
	forward(l, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, net.Training, 0)
	dx, grads := backward(l, []float64{
		1, 0,
		0, 2})
	approx.Check(t, "dx", dx, []float64{
		1, 2, 0,
		3, 6, 4,
		0, 6, 8}, exact)
	approx.Check(t, "dw", grads[net.Weight], []float64{
		1 + 10, 2 + 12,
		4 + 16, 5 + 18}, exact)
	approx.Check(t, "db", grads[net.Bias], []float64{3}, exact)
}

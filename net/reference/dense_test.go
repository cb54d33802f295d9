package reference_test

import (
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// Two samples of three inputs, two units.
func TestDenseByHand(t *testing.T) {
	x := []float64{
		1, 2, 3,
		4, 5, 6}
	weight := []float64{
		1, 0, -1,
		10, 1, 2}
	in := net.Shape{C: 3, H: 1, W: 1}
	l := newLayer(t, in, &net.Dense{Units: 2, NoBias: true}, weight)
	approx.Check(t, "y without bias", forward(l, x, 2, net.Evaluation, 0), []float64{-2, 18, -2, 57}, exact)

	l = newLayer(t, in, &net.Dense{Units: 2}, weight, []float64{100, 0.5})
	approx.Check(t, "y", forward(l, x, 2, net.Training, 0), []float64{98, 18.5, 98, 57.5}, exact)
	dx, grads := backward(l, []float64{
		1, 0,
		2, -1})
	approx.Check(t, "dx", dx, []float64{
		1, 0, -1,
		2 - 10, -1, -2 - 2}, exact)
	approx.Check(t, "dw", grads[net.Weight], []float64{
		9, 12, 15,
		-4, -5, -6}, exact)
	approx.Check(t, "db", grads[net.Bias], []float64{3, -1}, exact)
}

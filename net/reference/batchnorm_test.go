package reference_test

import (
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// The values 1 and 3 have mean 2 and variance 1; with epsilon 3 the deviation is
// 2 and the normalised values are -1/2 and 1/2.
func TestBatchNormByHand(t *testing.T) {
	l := newLayer(t, net.Shape{C: 1, H: 1, W: 1}, &net.BatchNorm{Epsilon: 3},
		[]float64{4}, []float64{10}, []float64{1}, []float64{6})
	x := []float64{1, 3}
	approx.Check(t, "training", forward(l, x, 2, net.Training, 0), []float64{8, 12}, rounded)

	// The unbiased variance is 2/(2-1); the momentum 1/10.
	mean, variance := l.RunningStatistics()
	approx.Check(t, "running mean", mean, []float64{0.9*1 + 0.1*2}, rounded)
	approx.Check(t, "running variance", variance, []float64{0.9*6 + 0.1*2}, rounded)
	approx.Check(t, "running mean before the step", l.Params[net.RunningMean], []float64{1}, exact)
	approx.Check(t, "running variance before the step", l.Params[net.RunningVar], []float64{6}, exact)

	dx, grads := backward(l, []float64{1, 0})
	approx.Check(t, "dw", grads[net.Weight], []float64{-0.5}, rounded)
	approx.Check(t, "db", grads[net.Bias], []float64{1}, rounded)
	approx.Check(t, "dx", dx, []float64{
		4. / 2 * (1 - 1./2 - -1./2*-0.5/2),
		4. / 2 * (0 - 1./2 - 1./2*-0.5/2)}, rounded)

	// Deviation sqrt(6+3) about the running mean 1.
	approx.Check(t, "evaluation", forward(l, []float64{1, 4}, 2, net.Evaluation, 0), []float64{10, 14}, rounded)
}

// TestSettledNormByHand: a layer that is frozen as a whole computes in training what it computes in evaluation, so that nothing
// depends on the other samples. One whose parameters are frozen by their roles doesn't.
func TestSettledNormByHand(t *testing.T) {
	values := [][]float64{{4}, {10}, {1}, {6}}
	l := newLayer(t, net.Shape{C: 1, H: 1, W: 1}, &net.BatchNorm{Epsilon: 3, Frozen: net.Frozen{All: true}}, values...)
	// Deviation sqrt(6+3) about the running mean 1.
	approx.Check(t, "training", forward(l, []float64{1, 4}, 2, net.Training, 0), []float64{10, 14}, rounded)
	dx, grads := backward(l, []float64{1, -3})
	approx.Check(t, "dx", dx, []float64{4. / 3, -4}, rounded)
	if len(grads) > 0 {
		t.Errorf("it has gradients: %v", grads)
	}
	if mean, variance := l.RunningStatistics(); mean != nil || variance != nil {
		t.Errorf("its running statistics move to %v and %v", mean, variance)
	}
	l = newLayer(t, net.Shape{C: 1, H: 1, W: 1}, &net.BatchNorm{Epsilon: 3, Frozen: net.Frozen{Roles: []net.Role{net.Weight, net.Bias}}}, values...)
	approx.Check(t, "training, by roles", forward(l, []float64{1, 3}, 2, net.Training, 0), []float64{8, 12}, rounded)
	if mean, _ := l.RunningStatistics(); mean == nil {
		t.Error("frozen by roles: its running statistics don't move")
	}
}

func TestBatchNormOfOneValue(t *testing.T) {
	l := newLayer(t, net.Shape{C: 1, H: 1, W: 1}, &net.BatchNorm{Momentum: new(0.5)},
		[]float64{4}, []float64{10}, []float64{0}, []float64{1})
	approx.Check(t, "y", forward(l, []float64{7}, 1, net.Training, 0), []float64{10}, exact)
	mean, variance := l.RunningStatistics()
	approx.Check(t, "running mean", mean, []float64{3.5}, exact)
	approx.Check(t, "running variance", variance, []float64{0.5}, exact)
}

// Statistics go over samples, rows and columns, each channel for itself. With
// weight 1, bias 0 and next to no epsilon the output is (x-mean)/deviation.
func TestBatchNormStatistics(t *testing.T) {
	l := newLayer(t, net.Shape{C: 2, H: 1, W: 2}, &net.BatchNorm{Momentum: new(1.0), Epsilon: 1e-30},
		[]float64{1, 1}, []float64{0, 0}, []float64{9, 9}, []float64{9, 9})
	x := []float64{
		1, 1, 10, 30,
		5, 5, 10, 30}
	approx.Check(t, "y", forward(l, x, 2, net.Training, 0), []float64{
		-1, -1, -1, 1,
		1, 1, -1, 1}, rounded)
	mean, variance := l.RunningStatistics()
	approx.Check(t, "running mean", mean, []float64{3, 20}, rounded)
	approx.Check(t, "running variance", variance, []float64{4 * 4. / 3, 100 * 4. / 3}, rounded)
}

func TestRunningStatisticsOfOtherLayers(t *testing.T) {
	l := newLayer(t, net.Shape{C: 1, H: 1, W: 1}, &net.Flatten{})
	if mean, variance := l.RunningStatistics(); mean != nil || variance != nil {
		t.Errorf("got %v and %v of a flatten layer, want none", mean, variance)
	}
}

package runreport

import (
	"math"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/chart"
	"github.com/gputrain/gputrain/net"
)

func curveOf(t *testing.T, r *Report, file string) curve {
	t.Helper()
	for _, c := range r.curves() {
		if c.file == file {
			return c
		}
	}
	t.Fatalf("no chart %s", file)
	return curve{}
}

func seriesOf(t *testing.T, c curve, name string) chart.Series {
	t.Helper()
	for _, s := range c.Series {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("%s has no %q", c.file, name)
	return chart.Series{}
}

// TestCurves holds the charts against the checkpoint's history.
func TestCurves(t *testing.T) {
	run := exampleRun(t, small(net.Shape{C: 1, H: 12, W: 10}), "a", 4, 3)
	run.Steps = []net.Progress{{Epoch: 1, Step: 5, Steps: 10, Loss: 2.5, ImagesPerSecond: 100}, {Epoch: 3, Step: 10, Steps: 10, Loss: 0.5, ImagesPerSecond: 200}}
	r := exampleReport(run)
	exactly := approx.Tolerance{}
	loss := curveOf(t, r, "loss")
	approx.Check(t, "training loss", seriesOf(t, loss, "training").Y, []float64{2, 1, 2. / 3}, exactly)
	approx.Check(t, "validation loss", seriesOf(t, loss, "validation").Y, []float64{1, 0.01, 1. / 3}, exactly)
	approx.Check(t, "epochs", seriesOf(t, loss, "test").X, []float64{1, 2, 3}, exactly)
	within := seriesOf(t, loss, "training, within epochs")
	approx.Check(t, "share of epochs", within.X, []float64{0.5, 3}, exactly)
	approx.Check(t, "loss within epochs", within.Y, []float64{2.5, 0.5}, exactly)
	for _, s := range curveOf(t, r, "accuracy").Series {
		if s.Name == within.Name {
			t.Error("the first steps' accuracy hides the epochs'")
		}
	}
	if s := seriesOf(t, loss, "validation"); s.Ring != 2 || s.RingText != "best epoch by validation loss" {
		t.Errorf("the ring is at %d (%s), the best epoch is 2", s.Ring, s.RingText)
	}
	approx.Check(t, "test accuracy", seriesOf(t, curveOf(t, r, "accuracy"), "test").Y, []float64{1 - 0.45, 1 - 0.45/2, 1 - 0.45/3}, exactly)
	approx.Check(t, "speed", curveOf(t, r, "speed").Series[0].Y, []float64{100, 200}, exactly)

	// 4 epochs of 10 steps: each step's rate, at the end of the step.
	rate := curveOf(t, r, "learning-rate").Series[0]
	if len(rate.X) != 40 || rate.X[39] != 4 {
		t.Fatalf("the rate has %d steps up to %v", len(rate.X), rate.X[len(rate.X)-1])
	}
	for i, got := range rate.Y {
		approx.Check(t, "rate", []float64{got}, []float64{0.01 * (1 + math.Cos(math.Pi*float64(i)/40)) / 2}, approx.Tolerance{Rel: 1e-12})
	}
}

// TestManySteps: many values become means of neighbours, the last one at the last.
func TestManySteps(t *testing.T) {
	r := &Run{}
	for i := range 3 * mostSteps {
		r.Steps = append(r.Steps, net.Progress{Epoch: 1, Step: i + 1, Steps: 3 * mostSteps, Loss: float64(i)})
	}
	s := r.steps(func(p net.Progress) float64 { return p.Loss })
	if len(s.X) != mostSteps || s.Y[0] != 1 || s.Y[1] != 4 || s.X[0] != 1./mostSteps || s.X[mostSteps-1] != 1 {
		t.Errorf("%d points, %v ... at %v ... %v", len(s.X), s.Y[:2], s.X[0], s.X[len(s.X)-1])
	}
}

// TestCurvesOfSeveralRuns overlays runs, one without a validation set, one without
// any epoch.
func TestCurvesOfSeveralRuns(t *testing.T) {
	a := exampleRun(t, small(net.Shape{C: 1, H: 12, W: 10}), "a", 4, 3)
	b := exampleRun(t, small(net.Shape{C: 1, H: 12, W: 10}), "b", 2, 2)
	for i := range b.Checkpoint.History {
		b.Checkpoint.History[i].Validation = nil
	}
	none := exampleRun(t, small(net.Shape{C: 1, H: 12, W: 10}), "none", 2, 0)
	r := exampleReport(a, b, none)
	names := func(c curve) (out []string) {
		for _, s := range c.Series {
			out = append(out, s.Name)
		}
		return out
	}
	if got := names(curveOf(t, r, "test-accuracy")); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("test accuracy of %q", got)
	}
	if got := names(curveOf(t, r, "validation-loss")); !slices.Equal(got, []string{"a"}) {
		t.Errorf("validation loss of %q", got)
	}
	if got := names(curveOf(t, r, "learning-rate")); !slices.Equal(got, []string{"a", "b", "none"}) {
		t.Errorf("learning rate of %q", got)
	}
	if s := seriesOf(t, curveOf(t, r, "training-loss"), "b"); s.Colour != 1 {
		t.Errorf("run b has colour %d in a chart that it is the second of", s.Colour)
	}
}

// TestLogarithmicLoss: a loss that falls to a hundredth is told by its logarithm.
func TestLogarithmicLoss(t *testing.T) {
	run := exampleRun(t, small(net.Shape{C: 1, H: 12, W: 10}), "a", 4, 2)
	if c := curveOf(t, exampleReport(run), "loss"); c.Y.Log {
		t.Error("losses from 1 to 2 have a logarithmic scale")
	}
	run.Checkpoint.History[1].Test.Loss = 0.02
	if c := curveOf(t, exampleReport(run), "loss"); !c.Y.Log || c.Y.Label != "cross-entropy, mean (log scale)" {
		t.Errorf("losses from 0.02 to 2 have the axis %+v", c.Y)
	}
	run.Checkpoint.History[1].Test.Accuracy = 0.01
	if c := curveOf(t, exampleReport(run), "accuracy"); c.Y.Log {
		t.Error("accuracies have a logarithmic scale")
	}
}

// TestConstantRate: a learning rate that never changes is no curve.
func TestConstantRate(t *testing.T) {
	run := exampleRun(t, small(net.Shape{C: 1, H: 12, W: 10}), "a", 4, 3)
	run.Checkpoint.Recipe.Optimizer.Schedule = net.Schedule{}
	for _, c := range exampleReport(run).curves() {
		if c.file == "learning-rate" {
			t.Error("it has a chart")
		}
	}
}

func TestMostProbable(t *testing.T) {
	p := []float32{0.1, 0.3, 0.1, 0.4, 0.1}
	if got := mostProbable(p, 3); !slices.Equal(got, []int{0, 1, 3}) {
		t.Errorf("%v", got)
	}
	if got := mostProbable(p, 9); len(got) != 5 {
		t.Errorf("%v", got)
	}
}

func TestBrief(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999999: "999,999", 12109200: "12.1 million", 3.2e9: "3.2 billion", 999_990_000: "1.0 billion"} {
		if got := brief(n); got != want {
			t.Errorf("brief(%d) = %q, want %q", n, got, want)
		}
	}
}

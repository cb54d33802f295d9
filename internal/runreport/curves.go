package runreport

import (
	"fmt"
	"math"
	"slices"

	"github.com/gputrain/gputrain/internal/chart"
	"github.com/gputrain/gputrain/net"
)

// curve is a chart and the name of its file.
type curve struct {
	file string
	chart.Lines
}

var (
	accuracy = chart.Axis{Format: chart.Percent, Max: chart.At(1)}
	loss     = chart.Axis{Label: "cross-entropy, mean"}
)

// figure is a number that training yields after each epoch.
type figure struct {
	name  string
	file  string
	axis  chart.Axis
	value func(net.EpochResult) float64 // NaN if there is none
}

func scoreOf(s *net.Score, f func(*net.Score) float64) float64 {
	if s == nil {
		return math.NaN()
	}
	return f(s)
}

func lossOf(s *net.Score) float64     { return s.Loss }
func accuracyOf(s *net.Score) float64 { return s.Accuracy }

// The figures of loss and of accuracy: in training, on the validation set and on
// the test set.
var (
	lossFigures = []figure{
		{"training", "training-loss", loss, func(e net.EpochResult) float64 { return e.Cost }},
		{"validation", "validation-loss", loss, func(e net.EpochResult) float64 { return scoreOf(e.Validation, lossOf) }},
		{"test", "test-loss", loss, func(e net.EpochResult) float64 { return scoreOf(e.Test, lossOf) }},
	}
	accuracyFigures = []figure{
		{"training", "training-accuracy", accuracy, func(e net.EpochResult) float64 { return e.Accuracy }},
		{"validation", "validation-accuracy", accuracy, func(e net.EpochResult) float64 { return scoreOf(e.Validation, accuracyOf) }},
		{"test", "test-accuracy", accuracy, func(e net.EpochResult) float64 { return scoreOf(e.Test, accuracyOf) }},
	}
)

// epochs returns the epoch axis of a chart of curves. With within, which is for
// curves within the epochs, the axis begins at 0. Otherwise it begins where the
// values do. Marks are whole epochs, except for curves within one or two epochs.
func (r *Report) epochs(within bool) chart.Axis {
	a := chart.Axis{Label: "epoch", Whole: !within}
	if within {
		a.Min = chart.At(0)
	}
	for _, run := range r.Runs {
		a.Whole = a.Whole || run.Checkpoint.Recipe.Epochs > 2
	}
	return a
}

// curves returns the charts of how the runs went.
func (r *Report) curves() []curve {
	var out []curve
	epochs := r.epochs(false)
	if len(r.Runs) == 1 {
		run := r.Runs[0]
		// Next to the accuracy of the first steps, that of later epochs would look
		// like one line.
		var accuracyWithin func(net.Progress) float64
		if len(run.Checkpoint.History) < 2 {
			accuracyWithin = func(p net.Progress) float64 { return p.Accuracy }
		}
		for _, c := range []curve{
			{"loss", chart.Lines{Title: "Loss", Y: loss, Series: run.series(lossFigures, func(p net.Progress) float64 { return p.Loss })}},
			{"accuracy", chart.Lines{Title: "Accuracy", Y: accuracy, Series: run.series(accuracyFigures, accuracyWithin)}},
		} {
			if len(c.Series) > 0 {
				c.X = r.epochs(c.Series[0].Faint)
				out = append(out, c)
			}
		}
	} else {
		for _, figures := range [][]figure{lossFigures[:2], accuracyFigures[1:]} {
			for _, f := range figures {
				c := curve{f.file, chart.Lines{Title: title(f.file), X: epochs, Y: f.axis}}
				for i, run := range r.Runs {
					if s := run.figure(f); len(s.X) > 0 {
						s.Name, s.Colour, s.Dash = run.Name, i, dashes[i/8%len(dashes)]
						c.Series = append(c.Series, s)
					}
				}
				if len(c.Series) > 0 {
					out = append(out, c)
				}
			}
		}
	}
	epochs = r.epochs(true)
	rate := curve{"learning-rate", chart.Lines{Title: "Learning rate", X: epochs, Y: chart.Axis{Min: chart.At(0)}}}
	speed := curve{"speed", chart.Lines{Title: "Images a second, in training", X: epochs, Y: chart.Axis{Min: chart.At(0)}}}
	varies := false
	for i, run := range r.Runs {
		s, moves := run.learningRate()
		varies = varies || moves || s.Y[0] != rate.firstValue(s.Y[0])
		rate.Series = append(rate.Series, r.named(s, i))
		if s := run.steps(func(p net.Progress) float64 { return p.ImagesPerSecond }); len(s.X) > 0 {
			speed.Series = append(speed.Series, r.named(s, i))
		}
	}
	if varies {
		out = append(out, rate)
	}
	if len(speed.Series) > 0 {
		out = append(out, speed)
	}
	for i := range out {
		out[i].Lines = logarithmic(out[i].Lines)
		out[i].Description = describe(out[i].Lines)
	}
	return out
}

// logarithmic gives a chart of losses a logarithmic scale if they span more than a
// factor of ten. On a linear scale the later epochs would all lie at the bottom.
func logarithmic(c chart.Lines) chart.Lines {
	least, most := math.Inf(1), math.Inf(-1)
	for _, s := range c.Series {
		for _, v := range s.Y {
			if v > 0 {
				least, most = min(least, v), max(most, v)
			}
		}
	}
	if c.Y.Label == loss.Label && most > 10*least {
		c.Y.Log = true
		c.Y.Label += " (log scale)"
	}
	return c
}

// dashes tell runs apart that have the same colour.
var dashes = []chart.Dash{chart.Solid, chart.Dashed, chart.Dotted}

// named gives a series the name and the colour of run i, if there are several runs.
func (r *Report) named(s chart.Series, i int) chart.Series {
	if len(r.Runs) > 1 {
		s.Name, s.Colour, s.Dash = r.Runs[i].Name, i, dashes[i/8%len(dashes)]
	}
	return s
}

// firstValue returns the first value of a chart's first series. If the chart has no
// series, it returns otherwise.
func (c curve) firstValue(otherwise float64) float64 {
	if len(c.Series) == 0 {
		return otherwise
	}
	return c.Series[0].Y[0]
}

// series returns a run's figures of a kind. If step is not nil and steps within the
// epochs are known, it also returns the figure of training within the epochs.
func (r *Run) series(figures []figure, step func(net.Progress) float64) []chart.Series {
	var out []chart.Series
	if step != nil && len(r.Steps) > 0 {
		s := r.steps(step)
		s.Name, s.Colour, s.Faint = "training, within epochs", 7, true
		out = append(out, s)
	}
	for i, f := range figures {
		if s := r.figure(f); len(s.X) > 0 {
			s.Name, s.Colour = f.name, i
			out = append(out, s)
		}
	}
	return out
}

// figure returns a figure after each epoch, or an empty series if no epoch has it.
// The best epoch on the validation set has a ring, except in figures of training.
func (r *Run) figure(f figure) chart.Series {
	var s chart.Series
	best := r.Checkpoint.Best()
	for _, e := range r.Checkpoint.History {
		v := f.value(e)
		if math.IsNaN(v) {
			continue // the epoch was not evaluated
		}
		s.X, s.Y = append(s.X, float64(e.Epoch)), append(s.Y, v)
		if e.Epoch == best && f.name != "training" {
			s.Ring, s.RingText = len(s.X), "best epoch by validation "+r.watched()
		}
	}
	return s
}

// watched names the figure on the validation set by which the best epoch is the best.
func (r *Run) watched() string {
	if r.Checkpoint.Recipe.Watch == net.WatchAccuracy {
		return "accuracy"
	}
	return "loss"
}

// mostSteps is the most points of a curve within the epochs.
const mostSteps = 600

// steps returns a figure within the epochs. Its x is the number of epochs done, in
// fractions. If there are too many steps, a point is the mean of neighbouring ones.
func (r *Run) steps(value func(net.Progress) float64) chart.Series {
	s := chart.Series{Points: chart.NoPoints}
	if len(r.Steps) == 1 {
		s.Points = chart.AllPoints // a single point is no line
	}
	together := (len(r.Steps) + mostSteps - 1) / mostSteps
	for piece := range slices.Chunk(r.Steps, max(together, 1)) {
		last, sum := piece[len(piece)-1], 0.0
		for _, p := range piece {
			sum += value(p)
		}
		s.X = append(s.X, float64(last.Epoch-1)+float64(last.Step)/float64(last.Steps))
		s.Y = append(s.Y, sum/float64(len(piece)))
	}
	return s
}

// learningRate returns the learning rate over a run, from its recipe, and whether
// it changes.
func (r *Run) learningRate() (s chart.Series, moves bool) {
	recipe, perEpoch := r.Checkpoint.Recipe, int64(r.stepsPerEpoch())
	steps := int64(recipe.Epochs) * perEpoch
	o := recipe.OptimizerFor(int(perEpoch))
	const most = 240
	s.Points = chart.NoPoints
	for i := range min(steps, most) {
		step := i
		if steps > most {
			step = i * (steps - 1) / (most - 1)
		}
		s.X, s.Y = append(s.X, float64(step+1)/float64(perEpoch)), append(s.Y, o.LeadRate(step))
		moves = moves || s.Y[i] != s.Y[0]
	}
	return s, moves
}

// describe tells in words what a chart shows.
func describe(c chart.Lines) string {
	text := "By epoch"
	for _, s := range c.Series {
		for i := len(s.Y) - 1; i >= 0; i-- {
			if v := s.Y[i]; !math.IsNaN(v) {
				name := s.Name
				if name != "" {
					name += " "
				}
				value := chart.Number(v, -1)
				if c.Y.Format != nil {
					value = c.Y.Format(v)
				}
				text += fmt.Sprintf("; %sat last %s", name, value)
				break
			}
		}
	}
	return text
}

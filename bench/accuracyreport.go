package bench

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/gputrain/gputrain/internal/chart"
)

// accuracyText writes a share as a percentage with two decimals.
func accuracyText(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

// target writes the accuracy to reach, with as many digits as it needs.
func (r *AccuracyReport) target() string { return chart.Percent(r.Accuracy) }

// none stands in a cell for what there is not.
const none = "–"

// Facts returns the circumstances of the runs, as pairs of a name and a value.
func (r *AccuracyReport) Facts() [][2]string {
	out := append(r.Machine.facts(), r.About...)
	for _, a := range r.Results {
		out = append(out, [2]string{strings.TrimSpace(a.Who + " " + a.Version), a.Settings})
	}
	for _, n := range r.Notes {
		out = append(out, [2]string{"Note", n})
	}
	return out
}

// Tables returns a table of the runs, and one of the figures over all runs.
func (r *AccuracyReport) Tables() []Table {
	runs := Table{Title: fmt.Sprintf("Runs to %s test accuracy", r.target()), Align: "rlrrrrrrrr",
		Head: []string{"Seed", "On", "Accuracy", "Epoch", "To " + r.target(), "(training)", "All", "(training)", "Whole", "Images/s"}}
	most := 0
	for _, a := range r.Results {
		most = max(most, len(a.Runs))
	}
	for i := range most {
		for k, a := range r.Results {
			if i >= len(a.Runs) {
				continue
			}
			t, seed := a.Runs[i], ""
			if k == 0 {
				seed = strconv.FormatUint(t.Seed, 10)
			}
			epoch, to, training := none, none, none
			if t.Reached > 0 {
				epoch, to, training = strconv.Itoa(t.Reached), seconds(t.ToAccuracy), seconds(t.ToAccuracyTraining)
			}
			runs.add(seed, a.Who, accuracyText(t.FinalAccuracy), epoch, to, training, seconds(t.Seconds), seconds(t.Training), seconds(t.Whole), rate(t.Images))
		}
	}
	over := Table{Title: "Over the runs", Align: "llrrrrr", Head: []string{"On", "Figure", "Runs", "Mean", "Deviation", "Least", "Greatest"}}
	for _, a := range r.Results {
		who := a.Who
		add := func(name, runs string, s Summary, write func(float64) string) {
			row := []string{who, name, runs, none, none, none, none}
			if s.Runs > 0 {
				row[3], row[5], row[6] = write(s.Mean), write(s.Least), write(s.Greatest)
			}
			if s.Runs > 1 {
				row[4] = write(s.Deviation)
			}
			over.add(row...)
			who = ""
		}
		all := strconv.Itoa(len(a.Runs))
		reached := fmt.Sprintf("%d of %d", a.Reached, len(a.Runs))
		add("accuracy", all, a.FinalAccuracy, accuracyText)
		add("to "+r.target(), reached, a.ToAccuracy, seconds)
		add("of that, training", reached, a.ToAccuracyTraining, seconds)
		add("all", all, a.Seconds, seconds)
		add("of that, training", all, a.Training, seconds)
		add("whole", all, a.Whole, seconds)
		add("images/s", all, a.Images, rate)
	}
	return []Table{runs, over}
}

// Legend explains the tables, a sentence or two each.
func (r *AccuracyReport) Legend() []string {
	out := []string{
		"Accuracy: on the test set, at the last evaluation.",
		fmt.Sprintf("To %s: the time from the first step to the end of the first evaluation that reached it, the one of that epoch. Loading data and compiling don't count. A dash: no evaluation reached it.", r.target()),
		"All: the same to the end of the last evaluation. (training): without the time of evaluations.",
		"Whole: with loading data and compiling. Images/s: of the fastest epoch, without its evaluation.",
		"Deviation: the standard deviation over the runs.",
	}
	for _, a := range r.Results {
		if a.Peer {
			return append(out, "A peer begins with the same weights and draws other random numbers: only means over many runs can be compared. Its whole time is that of its process, which gets decoded data.")
		}
	}
	return out
}

// Plots returns the drawing of test accuracy over time: a line for each run, and one for the accuracy to reach. It is left
// out if there are no runs.
func (r *AccuracyReport) Plots() []Plot {
	if len(r.Results) == 0 {
		return nil
	}
	c := chart.Lines{
		Title: fmt.Sprintf("Test accuracy over time: %s, %s", r.Recipe.Name, r.Network), Description: "Test accuracy over the time since the first step, a line for each run, with the accuracy to reach.",
		X: chart.Axis{Label: "seconds since the first step", Min: chart.At(0)}, Y: chart.Axis{Label: "test accuracy", Format: chart.Percent}, Height: 340,
	}
	last := 0.0
	for i, a := range r.Results {
		for k, t := range a.Runs {
			s := chart.Series{Colour: i, Points: chart.AllPoints, Faint: len(a.Runs) > 1}
			if k == 0 {
				s.Name = a.Who
			}
			for _, e := range t.Epochs {
				if e.Test == nil {
					continue
				}
				s.X, s.Y = append(s.X, e.Seconds), append(s.Y, e.Test.Accuracy)
				last = max(last, e.Seconds)
			}
			c.Series = append(c.Series, s)
		}
	}
	goal := chart.Series{Name: r.target(), X: []float64{0, last}, Y: []float64{r.Accuracy, r.Accuracy}, Colour: 7, Dash: chart.Dashed, Points: chart.NoPoints}
	c.Series = append([]chart.Series{goal}, c.Series...)
	return []Plot{{"accuracy-" + fileName(r.Recipe.Name) + "-" + fileName(r.Network), c.Draw()}}
}

// WriteHTML writes the report as a page that loads nothing.
func (r *AccuracyReport) WriteHTML(w io.Writer) error {
	var sections []section
	for i, t := range r.Tables() {
		s := section{Title: t.Title}
		for _, p := range r.Plots() {
			if i == 0 {
				s.Plots = append(s.Plots, p.Drawing.SVG())
			}
		}
		t.Title = ""
		s.Tables = []Table{t}
		sections = append(sections, s)
	}
	return reportPage{"Time to " + r.target() + " test accuracy", r.Facts(), r.Interrupted, sections, r.Legend()}.write(w)
}

// accuracyHead holds the names of the CSV columns.
var accuracyHead = []string{
	"date", "cpu", "model", "recipe", "on", "version", "seed", "epochs", "final_accuracy", "accuracy", "reached_in_epoch",
	"to_accuracy_seconds", "to_accuracy_training_seconds", "seconds", "training_seconds", "whole_seconds", "images_per_second",
}

// WriteCSV writes the runs as CSV: first a row with the names of the columns, then a row for each run. Times are in
// seconds. They are empty if the accuracy was not reached. Accuracies are from 0 to 1.
func (r *AccuracyReport) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(accuracyHead); err != nil {
		return err
	}
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }
	for _, a := range r.Results {
		for _, t := range a.Runs {
			epoch, to, training := "", "", ""
			if t.Reached > 0 {
				epoch, to, training = strconv.Itoa(t.Reached), number(t.ToAccuracy), number(t.ToAccuracyTraining)
			}
			err := out.Write([]string{
				r.Machine.Date.UTC().Format(time.RFC3339), r.Machine.CPU, r.Network, r.Recipe.Name, a.Who, a.Version, strconv.FormatUint(t.Seed, 10), strconv.Itoa(len(t.Epochs)),
				number(t.FinalAccuracy), number(r.Accuracy), epoch, to, training, number(t.Seconds), number(t.Training), number(t.Whole), number(t.Images),
			})
			if err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

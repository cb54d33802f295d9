package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// report shows a training run's events to people: results on standard output,
// progress on standard error.
type report struct {
	app      *app
	run      *trainingRun
	device   string
	memory   string // memory of a GPU; empty: it isn't shown
	folder   string
	curves   bool // TensorBoard can show the curves
	steps    int  // steps in an epoch
	bar      *progressLine
	trained  bool // at least one epoch
	last     net.Progress
	goOn     string // the command line that resumes the run
	lastLine time.Time
	clock    runClock
}

// lineEvery is the least time between two lines of progress, if standard error
// is not a terminal.
const lineEvery = 5 * time.Second

func newReport(a *app, run *trainingRun, device, folder string) *report {
	return &report{app: a, run: run, device: device, folder: folder, lastLine: time.Now(), clock: runClock{began: time.Now(), now: time.Now}}
}

// Observe shows an event.
func (r *report) Observe(e net.Event) error {
	switch e := e.(type) {
	case net.Started:
		r.started(e)
	case net.Progress:
		r.progress(e)
	case net.EpochDone:
		r.epoch(e)
	case net.Done:
		r.done(e)
	}
	return r.app.out.failed
}

func (r *report) started(e net.Started) {
	r.steps = e.StepsPerEpoch
	var t facts
	t.add("Device", r.device)
	if r.memory != "" {
		t.add("GPU memory", r.memory)
	}
	data := r.run.data
	t.add("Data", fmt.Sprintf("%s: %s training, %s validation, %s test images", data.name,
		partly(e.Train, data.train), partly(e.Validation, data.validation), partly(e.Test, data.test)))
	if s := r.run.config.Subject; s != nil && s.Folder != "" {
		t.add("Classes", listNames(s.ClassNames))
		if s.Scale > 0 {
			t.add("Pictures", describePreparation(picture.Preparation(s.Prepare), r.run.plan.Network.Input))
		}
	}
	model := fmt.Sprintf("%s: %s parameters", e.Network, thousands(e.Weights))
	if e.Frozen > 0 {
		model += fmt.Sprintf(", and %s that are frozen", thousands(e.Frozen))
	}
	if r.run.choose {
		model += "; chosen for images of " + data.train.Shape.String() + ", --model names another"
	}
	t.add("Model", model)
	t.add("Recipe", fmt.Sprintf("%s: %s", e.Recipe.Name, describeRecipe(e.Recipe)))
	if data.pictures != nil {
		for _, note := range data.pictures.Notes {
			t.add("Note", note)
		}
	}
	if r.run.weights != nil {
		text := "begin with those of " + r.run.from
		if len(r.run.head) > 0 {
			text += fmt.Sprintf(", except the new last layer, %s, for %d classes", r.run.head[len(r.run.head)-1], r.run.plan.Classes)
		}
		t.add("Weights", text)
	}
	t.add("Run", r.folder)
	if r.curves {
		logs := r.folder
		if filepath.Dir(logs) == runsFolder {
			logs = runsFolder
		}
		t.add("Curves", "tensorboard --logdir "+quoted(logs))
	}
	if p := e.Resumed; p != nil {
		t.add("Resumed", fmt.Sprintf("after %s and %s", counted(p.Epoch, "epoch"), counted(p.Step, "step")))
		if before := r.run.config.Resume.Device; before != "" && before != importedDevice && arithmetic(before) != arithmetic(r.run.config.Device) {
			t.add("Note", fmt.Sprintf("it began on %s: other last bits from here on than without a stop", before))
		}
	}
	t.write(r.app.out)
	fmt.Fprintln(r.app.out)
}

// partly tells how many of a data set's images are used.
func partly(n int, all *net.Dataset) string {
	if n < all.Len() {
		return thousands(n) + " of " + thousands(all.Len())
	}
	return thousands(n)
}

// threadCount matches the part of a device's name that does not affect its
// results.
var threadCount = regexp.MustCompile(`, \d+ threads?\b`)

// arithmetic returns a device's name without the number of threads. Devices with
// the same arithmetic compute the same, bit for bit.
func arithmetic(device string) string { return threadCount.ReplaceAllString(device, "") }

func (r *report) progress(e net.Progress) {
	r.last = e
	epochs := r.run.config.Recipe.Epochs
	r.clock.progress(e, r.run.config.Recipe.SamplesPerStep())
	left := r.clock.left(e, epochs, r.run.config.MaxTime)
	if !r.app.err.escapes {
		if time.Since(r.lastLine) < lineEvery || e.Step == e.Steps {
			return
		}
		r.lastLine = time.Now()
		fmt.Fprintf(r.app.err, "epoch %d/%d: %d %%, loss %.3f, %.0f images/s, %v left\n",
			e.Epoch, epochs, 100*e.Step/e.Steps, e.Loss, e.ImagesPerSecond, roundTime(left))
		return
	}
	if r.bar == nil {
		r.bar = r.app.err.newProgressLine(e.Steps)
	}
	testing := ""
	if e.Step == e.Steps {
		testing = " testing"
	}
	unit := " images/s"
	if r.app.err.width() < 72 {
		unit = "/s"
	}
	r.bar.show(e.Step, fmt.Sprintf("epoch %d/%d%s  loss %.3f  %.0f%s  %v left",
		e.Epoch, epochs, testing, e.Loss, e.ImagesPerSecond, unit, roundTime(left)))
}

// close clears the progress bar.
func (r *report) close() {
	if r.bar != nil {
		r.bar.clear()
		r.bar = nil
	}
}

func (r *report) epoch(e net.EpochDone) {
	r.close()
	r.clock.epoch()
	r.trained = true
	fmt.Fprintf(r.app.out, "Epoch: %d  cost = %.3f", e.Epoch, e.Cost)
	if e.Test != nil {
		fmt.Fprintf(r.app.out, "  test accuracy: %.3f", e.Test.Accuracy)
		if e.Test.Top != 0 {
			fmt.Fprintf(r.app.out, "  top %d: %.3f", r.run.config.Top, e.Test.Top)
		}
	}
	if e.Validation != nil {
		fmt.Fprintf(r.app.out, "  (validation %.3f, %.0f images/s)", e.Validation.Accuracy, e.ImagesPerSecond)
	}
	fmt.Fprintln(r.app.out)
}

func (r *report) done(e net.Done) {
	out := r.app.out
	switch {
	case r.trained:
		fmt.Fprintln(out)
	case e.TimeUp: // it happened in the first epoch
	case e.EarlyStopped:
		fmt.Fprintf(out, "Nothing was left to do. To train on, set --patience to more than %d, or to 0.\n", len(e.Epochs)-e.Best)
	case planned(r.run.config.Recipe):
		fmt.Fprintf(out, "Nothing was left to do. To train on, begin a new run with its weights: %s train --from %s\n", invocation(), quoted(r.folder))
	default:
		fmt.Fprintf(out, "Nothing was left to do. To train on, set --epochs to more than %d.\n", len(e.Epochs))
	}
	if e.EarlyStopped {
		fmt.Fprintf(out, "Stopped early: no better epoch on the validation set than epoch %d (%s).\n", e.Best, r.figureOf(e))
	}
	if e.TimeUp {
		r.close()
		fmt.Fprintf(out, "Time was up in epoch %d of %d, after %d of %s. Go on with: %s\n",
			r.last.Epoch, r.run.config.Recipe.Epochs, r.last.Step, counted(r.last.Steps, "step"), r.goOn)
	}
	if n := len(e.Epochs); n > 0 && e.Epochs[n-1].Test != nil {
		took := roundTime(time.Duration(e.Seconds * float64(time.Second))).String()
		if r.run.resumed && r.trained {
			took += " since it went on"
		}
		fmt.Fprintf(out, "Final test accuracy: %s after %s, %s.\n", percent(e.Epochs[n-1].Test.Accuracy), counted(n, "epoch"), took)
	}
	if e.Last == "" {
		return
	}
	var f facts
	f.add("Checkpoint", e.Last)
	if e.BestPath != "" {
		f.add(fmt.Sprintf("Best epoch %d", e.Best), fmt.Sprintf("%s (%s)", e.BestPath, r.figureOf(e)))
	}
	f.write(out)
	from := ""
	if filepath.Dir(r.folder) != runsFolder {
		from = "--run " + quoted(r.folder) + " "
	}
	fmt.Fprintf(out, "Try it: %s predict %stest:0\n", invocation(), from)
}

// figureOf tells by which figure the best epoch is the best, and the figure's value.
func (r *report) figureOf(e net.Done) string {
	best := &net.Score{}
	for _, epoch := range e.Epochs {
		if epoch.Epoch == e.Best {
			best = epoch.Validation
		}
	}
	if r.run.config.Recipe.Watch == net.WatchAccuracy {
		return fmt.Sprintf("validation accuracy %.3f", best.Accuracy)
	}
	return fmt.Sprintf("validation loss %.3f", best.Loss)
}

// counted writes a number and a noun, which is singular if the number is one.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// roundTime rounds a time as people would say it.
func roundTime(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// logEvent prints an event as a JSON object on one line, its kind first.
func (a *app) logEvent(e net.Event) error {
	line, err := net.MarshalEvent(e)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s\n", line)
	return a.out.failed
}

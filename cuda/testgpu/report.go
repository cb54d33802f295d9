package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// A step is one thing to test.
type step struct {
	name  string
	shows string        // what is shown if it passes
	limit time.Duration // after this time it has failed
	// run runs the step, and records in t what it sees. It returns the result in a few words, or an error that tells
	// why it failed. If the step can't be run here, the error is a notRun.
	run func(ctx context.Context, t *transcript) (string, error)
}

// notRun tells why a step can't be run on this machine. It is not a failure, and is mentioned in the report's first
// line.
type notRun string

func (n notRun) Error() string { return string(n) }

// The results of a step.
const (
	passed  = "passed"
	failed  = "FAILED"
	skipped = "not run"
)

type outcome struct {
	step
	state  string
	result string
	took   time.Duration
	seen   string
}

// report is the only file that a run leaves.
type report struct {
	file     string
	commit   string
	began    time.Time
	machine  []string // lines for the top, which steps add
	outcomes []outcome
	steps    int
	ended    bool
}

// run runs steps in order until the first one fails; with keepGoing it runs all. It reports each on out, and writes
// the file after each. The error tells how many failed.
func (r *report) run(ctx context.Context, steps []step, keepGoing bool, out io.Writer) error {
	r.steps = len(steps)
	reason := "" // why no further step is run
	for i, s := range steps {
		if reason == "" && ctx.Err() != nil {
			reason = "interrupted"
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				reason = "no time was left"
			}
		}
		o := outcome{step: s, state: skipped, result: reason}
		if reason == "" {
			fmt.Fprintf(out, "%2d/%d %-22s ", i+1, len(steps), s.name)
			o = r.try(ctx, s)
			fmt.Fprintf(out, "%-8s %7s  %s\n", o.state, seconds(o.took), o.result)
		}
		if o.state == failed && !keepGoing {
			reason = "a step before it failed"
		}
		r.outcomes = append(r.outcomes, o)
		r.ended = i == len(steps)-1
		if err := r.write(); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "\n%s\n", r.verdict())
	if !r.passed() {
		return errors.New("not passed")
	}
	return nil
}

func (r *report) try(ctx context.Context, s step) outcome {
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	t := &transcript{report: r}
	began := time.Now()
	result, err := s.run(limited, t)
	o := outcome{step: s, state: passed, result: result, took: time.Since(began), seen: t.text.String()}
	var not notRun
	switch {
	case errors.As(err, &not):
		o.state, o.result = skipped, string(not)
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		o.state, o.result = failed, fmt.Sprintf("took more than %v", s.limit)
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		o.state, o.result = skipped, "no time was left to finish it"
	case err != nil && ctx.Err() != nil:
		o.state, o.result = skipped, "interrupted"
	case err != nil:
		o.state, o.result = failed, err.Error()
	}
	o.result = strings.ReplaceAll(o.result, "\n", "; ")
	return o
}

// count returns the number of steps with a result.
func (r *report) count(state string) (n int) {
	for _, o := range r.outcomes {
		if o.state == state {
			n++
		}
	}
	return n
}

// passed reports whether nothing failed, and every step that was not run can't be run on this machine.
func (r *report) passed() bool {
	return r.ended && r.count(failed) == 0 && r.count(passed) > 0 && !r.cut()
}

// cut reports whether the run was ended early.
func (r *report) cut() bool {
	for _, o := range r.outcomes {
		if o.state == skipped && (strings.HasPrefix(o.result, "no time was left") || o.result == "interrupted") {
			return true
		}
	}
	return false
}

// verdict returns the first line of the report.
func (r *report) verdict() string {
	word := "FAILED"
	switch {
	case r.passed():
		word = "PASSED"
	case r.count(failed) == 0:
		word = "INCOMPLETE"
	}
	text := fmt.Sprintf("%s: %d of %d steps passed", word, r.count(passed), r.steps)
	if n := r.count(failed); n > 0 {
		text += fmt.Sprintf(", %d failed", n)
	}
	if n := r.steps - r.count(passed) - r.count(failed); n > 0 {
		text += fmt.Sprintf(", %d not run", n)
	}
	return text
}

// write replaces the file as a whole.
func (r *report) write() error {
	temp, err := os.CreateTemp(filepath.Dir(r.file), ".gpu-report-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // after the rename it no longer exists
	_, err = temp.WriteString(r.String())
	if err := errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), r.file)
}

func (r *report) String() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "gputrain on a GPU. %s\n\n", r.verdict())
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "date\t%s\n", r.began.UTC().Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(w, "commit\t%s\n", r.commit)
	for _, line := range r.machine {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintf(w, "took\t%s\n", seconds(r.took()))
	w.Flush()
	fmt.Fprintln(&b)
	w = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "step\t\ttime\twhat came of it\n")
	for i, o := range r.outcomes {
		fmt.Fprintf(w, "%d %s\t%s\t%s\t%s\n", i+1, o.name, o.state, seconds(o.took), o.result)
	}
	w.Flush()
	if !r.ended {
		fmt.Fprintf(&b, "\nThe run ended here, or goes on: %d steps are not in this file yet.\n", r.steps-len(r.outcomes))
	}
	for i, o := range r.outcomes {
		fmt.Fprintf(&b, "\n%s\n%d %s: %s, %s\nA pass shows: %s.\n", strings.Repeat("=", 100), i+1, o.name, o.state, seconds(o.took), o.shows)
		if o.result != "" {
			fmt.Fprintf(&b, "Here: %s\n", o.result)
		}
		b.WriteString(o.seen)
	}
	return b.String()
}

func (r *report) took() (all time.Duration) {
	for _, o := range r.outcomes {
		all += o.took
	}
	return all
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// TestProgress reads how a run goes on, in the bar's line on a terminal of 80 columns and
// on what understands no escape sequences.
func TestProgress(t *testing.T) {
	var screen bytes.Buffer
	a := &app{out: newStream(&bytes.Buffer{}, nil), err: newStream(&screen, nil)}
	told := func() string {
		screen.Reset()
		r := newReport(a, &trainingRun{config: net.Config{Recipe: net.Recipe{Epochs: 10, Batch: 50}}}, "", "")
		r.lastLine = time.Time{}
		r.progress(net.Progress{Epoch: 9, Step: 100, Steps: 1100, Loss: 0.5, ImagesPerSecond: 2000})
		r.progress(net.Progress{Epoch: 10, Step: 1100, Steps: 1100, Loss: 0.25, ImagesPerSecond: 12345})
		return screen.String()
	}
	if got, want := told(), "epoch 9/10: 9 %, loss 0.500, 2000 images/s, 53s left\n"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	a.err.escapes = true
	lines := regexp.MustCompile("[\r\n]+").Split(regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]").ReplaceAllString(told(), ""), -1)
	text := strings.Join(lines, "\n")
	for _, want := range []string{"─   9% epoch 9/10  loss 0.500  2000 images/s  53s left", "━ 100% epoch 10/10 testing  loss 0.250  12345 images/s  0s left"} {
		if !strings.Contains(text, want) {
			t.Errorf("the bar lacks %q:\n%s", want, text)
		}
	}
	for _, line := range lines {
		if n := uniseg.StringWidth(line); n > 79 {
			t.Errorf("line of %d columns: %s", n, line)
		}
	}
}

func TestFitted(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"花の名前", 8, "花の名前"}, {"花の名前", 7, "花の名…"}, {"花の名前", 6, "花の…"}, {"abc", 1, "…"}, {"abc", 0, ""}, {"", 0, ""}} {
		if got := fitted(c.text, c.columns); got != c.want {
			t.Errorf("%q in %d columns is %q, want %q", c.text, c.columns, got, c.want)
		}
	}
}

// TestRunClock: the time left is the run's, with evaluations, and not more than --max-time.
func TestRunClock(t *testing.T) {
	at := time.Unix(1e9, 0)
	k := &runClock{began: at, now: func() time.Time { return at }}
	left := func(want time.Duration, epoch, step int, rate float64, most time.Duration) {
		t.Helper()
		e := net.Progress{Epoch: epoch, Step: step, Steps: 100, ImagesPerSecond: rate}
		k.progress(e, 20)
		approx.Check(t, "time left", []float64{k.left(e, 3, most).Seconds()}, []float64{want.Seconds()}, approx.Tolerance{Rel: 1e-9})
	}
	left(290*time.Second, 1, 10, 20, 0) // a step a second
	left(200*time.Second, 1, 100, 20, 0)
	at = at.Add(7 * time.Second)
	k.epoch()
	left((199+14)*time.Second, 2, 1, 20, 0)
	left(53*time.Second, 2, 2, 20, time.Minute)
	// A machine that becomes faster is soon believed.
	for step := 3; step < 100; step++ {
		e := net.Progress{Epoch: 2, Step: step, Steps: 100, ImagesPerSecond: 200}
		k.progress(e, 20)
	}
	e := net.Progress{Epoch: 3, Step: 50, Steps: 100, ImagesPerSecond: 200}
	k.progress(e, 20)
	if got := k.left(e, 3, 0); got < 12*time.Second || got > 17*time.Second {
		t.Errorf("%v left, want 12 to 17 seconds", got)
	}
	if empty := (&runClock{now: time.Now}).left(e, 3, 0); empty != 0 {
		t.Errorf("%v left where nothing is known", empty)
	}
}

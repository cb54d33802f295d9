package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/net"
)

// TestProgressBar reads the bar's line on a terminal of 80 columns: the time left
// is the epoch's, so it stands beside the epoch, not where the run's would.
func TestProgressBar(t *testing.T) {
	var screen bytes.Buffer
	a := &app{out: newStream(&bytes.Buffer{}, nil), err: newStream(&screen, nil)}
	a.err.terminal = true
	r := newReport(a, &trainingRun{config: net.Config{Recipe: net.Recipe{Epochs: 10, Batch: 50}}}, "", "")
	r.progress(net.Progress{Epoch: 10, Step: 100, Steps: 1100, Loss: 0.5, ImagesPerSecond: 2000})
	r.progress(net.Progress{Epoch: 10, Step: 1100, Steps: 1100, Loss: 0.25, ImagesPerSecond: 12345})
	lines := regexp.MustCompile("[\r\n]+").Split(regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]").ReplaceAllString(screen.String(), ""), -1)
	text := strings.Join(lines, "\n")
	for _, want := range []string{"  epoch 10/10: 25s left  loss 0.500  2000 images/s", "  epoch 10/10: testing  loss 0.250  12345 images/s"} {
		if !strings.Contains(text, want) {
			t.Errorf("the bar lacks %q:\n%s", want, text)
		}
	}
	for _, line := range lines {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("line of %d columns: %s", n, line)
		}
	}
}

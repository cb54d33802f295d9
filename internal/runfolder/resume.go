package runfolder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/gputrain/gputrain/internal/replacefile"
	"github.com/gputrain/gputrain/net"
)

// ResumeLog opens the metrics of a run that goes on from a checkpoint. It keeps
// the lines of what happened before the checkpoint, and removes later lines,
// because those things happen again. If the checkpoint has epochs without a
// line, for example because it was copied from another folder, it adds lines for
// them.
func ResumeLog(dir string, c *net.Checkpoint) (*Log, error) {
	old, err := ReadMetrics(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; to go on without it, move it away", err)
	}
	path := filepath.Join(dir, MetricsFile)
	err = replacefile.Write(path, func(w io.Writer) error {
		for _, e := range until(c, old) {
			line, err := e.encode()
			if err != nil {
				return err
			}
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return openLog(dir, 0)
}

// until returns the entries of what happened before a checkpoint.
func until(c *net.Checkpoint, old []Entry) []Entry {
	steps := c.Recipe.StepsPerEpoch(c.Train.Samples)
	var kept []Entry
	told := map[int]bool{} // epochs that have a line
	for _, e := range old {
		at, before := stepOf(e.Event, steps), c.State.Step
		switch e := e.Event.(type) {
		case net.Started:
			if e.Resumed != nil {
				before-- // a resumption from this checkpoint comes after it
			}
		case net.EpochDone:
			told[e.Epoch] = true
		case net.Done:
			continue
		}
		if at <= before {
			kept = append(kept, e)
		}
	}
	for i, result := range c.History {
		if !told[result.Epoch] {
			here := &net.Checkpoint{Recipe: c.Recipe, History: c.History[:i+1]}
			kept = append(kept, Entry{Event: net.EpochDone{EpochResult: result, Best: here.Best() == result.Epoch}})
		}
	}
	slices.SortStableFunc(kept, func(a, b Entry) int { return int(stepOf(a.Event, steps) - stepOf(b.Event, steps)) })
	return kept
}

// stepOf returns after how many steps of the run an event happened.
func stepOf(e net.Event, perEpoch int) int64 {
	after := func(epochs, steps int) int64 { return int64(epochs)*int64(perEpoch) + int64(steps) }
	switch e := e.(type) {
	case net.Started:
		if e.Resumed != nil {
			return after(e.Resumed.Epoch, e.Resumed.Step)
		}
	case net.Progress:
		return after(e.Epoch-1, e.Step)
	case net.EpochDone:
		return after(e.Epoch, 0)
	case net.CheckpointSaved:
		return after(e.Epoch, e.Step)
	}
	return 0
}

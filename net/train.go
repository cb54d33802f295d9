package net

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Saving says where and when Train writes checkpoints.
type Saving struct {
	Dir        string        // the folder; created if missing; "" writes none
	EverySteps int           // besides the end of each epoch, every so many steps; 0 does not
	Every      time.Duration // and when so much time has gone since the last; 0 does not
}

// Config describes a training run.
type Config struct {
	Network    *Network
	Recipe     Recipe
	Train      *Dataset
	Validation *Dataset // may be nil: no early stopping and no best epoch
	Test       *Dataset // may be nil; never decides anything
	Device     string   // what the program runs on, for the record
	Observers  []Observer
	Interval   int // steps between Progress events; default 50
	Saving     Saving
	Resume     *Checkpoint // where to go on; nil starts anew
}

// Result is what a run came to.
type Result struct {
	Epochs       []EpochResult `json:"epochs"`                    // all, those before a resume too
	Best         int           `json:"best,omitempty"`            // the best epoch on the validation set, from 1; 0 if none
	EarlyStopped bool          `json:"early_stopped,omitempty"`   // for want of a better epoch
	Seconds      float64       `json:"seconds"`                   // of this call
	Last         string        `json:"last_checkpoint,omitempty"` // path of the last checkpoint; "" if none
	BestPath     string        `json:"best_checkpoint,omitempty"` // path of the best epoch's checkpoint; "" if none
}

// StoppedError is a run that stopped before its end: the context ended, or an
// observer, the device or a write failed. Err says which; errors.Is sees through it.
type StoppedError struct {
	Epoch, Step int    // the epoch in progress, from 1, and the steps done in it
	Checkpoint  string // path of the last whole checkpoint; "" if none
	Err         error
}

// Error says where and why.
func (e *StoppedError) Error() string {
	return fmt.Sprintf("training stopped in epoch %d after step %d: %v%s", e.Epoch, e.Step, e.Err, savedAt(e.Checkpoint))
}

// Unwrap returns the reason.
func (e *StoppedError) Unwrap() error { return e.Err }

// DivergedError is a run whose loss became NaN or infinite. Nothing is saved
// from that step on.
type DivergedError struct {
	Epoch, Step int    // of the first such loss, both from 1
	Checkpoint  string // path of the last good checkpoint; "" if none
	What        string // what is NaN or infinite
}

// Error says where, and what to try.
func (e *DivergedError) Error() string {
	return fmt.Sprintf("%s became NaN or infinite in epoch %d, step %d: try a lower learning rate%s", e.What, e.Epoch, e.Step, savedAt(e.Checkpoint))
}

func savedAt(path string) string {
	if path == "" {
		return "; no checkpoint was written"
	}
	return "; the last good checkpoint is " + path
}

// Options returns the options to compile cfg.Network with for this run.
func (cfg Config) Options() Options {
	r := cfg.Recipe
	return Options{Batch: r.Batch, Optimizer: r.OptimizerFor(r.StepsPerEpoch(cfg.Train.Len())), Seed: r.Seed}
}

// Train trains prog, compiled from cfg.Network with cfg.Options.
func Train(ctx context.Context, prog Program, cfg Config) (Result, error) {
	return Result{}, errors.ErrUnsupported
}

package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/gputrain/gputrain/internal/runfolder"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/tensorboard"
)

// runFiles is an observer that writes the files beside the checkpoints in a run's folder.
type runFiles struct {
	dir    string
	record runfolder.Record
	resume *net.Checkpoint // nil for a new run
	log    *runfolder.Log
	board  *tensorboard.Observer // nil: no files for TensorBoard

	release func() error // releases the lock
}

// Observe opens the files when the run starts, because only then is it sure that the run goes on.
func (f *runFiles) Observe(e net.Event) error {
	if e, ok := e.(net.Started); ok {
		if err := f.begin(e); err != nil {
			return err
		}
	}
	if f.log == nil {
		return nil // the files could not be opened, which has been reported
	}
	err := f.log.Observe(e)
	if f.board != nil && err == nil {
		err = f.board.Observe(e)
	}
	return err
}

func (f *runFiles) begin(e net.Started) (err error) {
	part := &f.record.Parts[0]
	part.Began = time.Now().UTC().Truncate(time.Second)
	if p := e.Resumed; p != nil {
		part.Resumed = &runfolder.Place{Epoch: p.Epoch, Step: p.Step}
	}
	if err := f.record.Write(f.dir); err != nil {
		return err
	}
	if f.resume != nil {
		f.log, err = runfolder.ResumeLog(f.dir, f.resume)
	} else {
		f.log, err = runfolder.CreateLog(f.dir)
	}
	return err
}

// close closes the files. If a new run has no checkpoint, it removes them.
func (f *runFiles) close() error {
	var errs []error
	if f.log != nil {
		errs = append(errs, f.log.Close())
	}
	if f.board != nil {
		errs = append(errs, f.board.Close())
	}
	errs = append(errs, f.release())
	if _, missing := os.Stat(filepath.Join(f.dir, net.LastCheckpoint)); f.resume == nil && errors.Is(missing, os.ErrNotExist) {
		runfolder.Clear(f.dir)
		if f.board != nil {
			f.board.Remove()
		}
	}
	return errors.Join(errs...)
}

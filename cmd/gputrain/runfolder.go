package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gputrain/gputrain/net"
)

// runsFolder holds the runs for which no folder was named: run-1, run-2, ...
const runsFolder = "checkpoints"

// newRunFolder returns the folder for a new run's checkpoints: the one named, if
// it holds no run, or one in runsFolder. Fresh is a folder that was not there
// before.
func newRunFolder(named string) (dir string, fresh bool, err error) {
	if named != "" {
		for _, name := range []string{net.LastCheckpoint, net.BestCheckpoint} {
			if _, err := os.Lstat(filepath.Join(named, name)); err == nil {
				return "", false, fmt.Errorf("%s holds a run's checkpoint already: add --resume to go on with it, or name another folder", filepath.Join(named, name))
			} else if !errors.Is(err, fs.ErrNotExist) {
				return "", false, fmt.Errorf("checkpoint folder: %w", err)
			}
		}
		_, err := os.Lstat(named)
		return named, errors.Is(err, fs.ErrNotExist), nil
	}
	if err := os.MkdirAll(runsFolder, 0o755); err != nil {
		return "", false, fmt.Errorf("cannot make a folder for checkpoints (--checkpoint names another): %w", err)
	}
	for n := 1; ; n++ {
		dir = filepath.Join(runsFolder, "run-"+strconv.Itoa(n))
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		return dir, true, err
	}
}

// findRun returns the checkpoint file or the run's folder that is named; of a
// folder of runs, and of runsFolder where none is named, the latest run's.
func findRun(named string) (string, error) {
	if named != "" {
		if _, err := os.Stat(filepath.Join(named, net.LastCheckpoint)); err == nil {
			return named, nil
		}
		if latest := latestRun(named); latest != "" {
			return latest, nil
		}
		return named, nil
	}
	latest := latestRun(runsFolder)
	if latest == "" {
		return "", fmt.Errorf("there is no run in %s%c: train one first (%s train), or say where it is with --checkpoint",
			runsFolder, filepath.Separator, invocation())
	}
	return latest, nil
}

// latestRun returns the folder of the run in a folder of runs whose last
// checkpoint is the newest, or "".
func latestRun(folder string) string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return ""
	}
	var latest string
	var written time.Time
	for _, e := range entries {
		run := filepath.Join(folder, e.Name())
		info, err := os.Stat(filepath.Join(run, net.LastCheckpoint))
		if err == nil && (latest == "" || info.ModTime().After(written)) {
			latest, written = run, info.ModTime()
		}
	}
	return latest
}

// loadRun loads the checkpoint that findRun finds.
func loadRun(named string) (*net.Checkpoint, string, error) {
	path, err := findRun(named)
	if err != nil {
		return nil, "", err
	}
	checkpoint, err := net.LoadCheckpoint(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("there is no checkpoint in %s: train one first (%[2]s train --checkpoint %[1]s), or name another with --checkpoint", path, invocation())
	}
	return checkpoint, path, err
}

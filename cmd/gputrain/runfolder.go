package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/internal/runfolder"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/tensorboard"
)

// runsFolder is the folder of the runs: run-1, run-2, ..., and runs with names.
const runsFolder = "runs"

// newRunFlag returns the flag that names the run to write.
func newRunFlag(category string) cli.Flag {
	return &cli.StringFlag{Name: "run", EnvVars: env("run"), Category: category, DefaultText: "run-N", Usage: "`NAME` of the run, whose folder is " + filepath.Join(runsFolder, "NAME") + ", or a path to another folder"}
}

// runPath returns the path of a named run. A name without a folder is in runsFolder.
func runPath(named string) string {
	if named == "." || named == ".." || filepath.Base(named) != named {
		return named
	}
	return filepath.Join(runsFolder, named)
}

// newRunFolder returns the folder for a new run: the named one, if it holds no run, or
// the one in runsFolder with the next number. fresh tells whether the folder is new.
func newRunFolder(named string) (dir string, fresh bool, err error) {
	if named != "" {
		dir = runPath(named)
		if _, ended := runfolder.Unsaved(dir); ended { // a run that ended before its first checkpoint begins anew
			runfolder.Clear(dir)
			if err := tensorboard.RemoveFiles(dir); err != nil {
				return "", false, err
			}
		}
		for _, name := range []string{net.LastCheckpoint, net.BestCheckpoint, runfolder.RecordFile, runfolder.MetricsFile} {
			path := filepath.Join(dir, name)
			if _, err := os.Lstat(path); err == nil && name == net.LastCheckpoint {
				return "", false, fmt.Errorf("%s holds a run already: go on with it by gputrain train --resume %s, or name another", dir, quoted(named))
			} else if err == nil {
				return "", false, fmt.Errorf("%s holds what is left of a run (%s): remove it, or name another", dir, path)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return "", false, fmt.Errorf("folder of the run: %w", err)
			}
		}
		_, err := os.Lstat(dir)
		fresh = errors.Is(err, fs.ErrNotExist)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", false, fmt.Errorf("cannot make the folder of the run: %w", err)
		}
		return dir, fresh, nil
	}
	if err := os.MkdirAll(runsFolder, 0o755); err != nil {
		return "", false, fmt.Errorf("cannot make a folder for the run (--run names another place): %w", err)
	}
	for n := 1; ; n++ {
		dir = filepath.Join(runsFolder, "run-"+strconv.Itoa(n))
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", false, fmt.Errorf("cannot make a folder for the run (--run names another place): %w", err)
		}
		return dir, true, nil
	}
}

// checkWritable returns an error if no file can be made in a folder, before training
// finds that out.
func checkWritable(dir string) error {
	f, err := os.CreateTemp(dir, "writable.*.tmp")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		return fmt.Errorf("cannot write to the folder of the run, %s: %w", dir, err)
	}
	return nil
}

// removeEmpty removes a folder if it is empty. It also removes the folder of all runs
// if that is empty then.
func removeEmpty(dir string) {
	if os.Remove(dir) == nil && filepath.Dir(dir) == runsFolder {
		_ = os.Remove(runsFolder) // it stays if it holds other runs
	}
}

// findRun returns the checkpoint file or the run's folder that is named. If a folder
// of runs is named, it returns the latest run in it; if nothing is named, the latest
// run in runsFolder. way is how the command names a run, such as --run RUN; it is for
// the message.
func findRun(named, way string) (string, error) {
	if named != "" {
		for _, path := range []string{runPath(named), named} {
			if _, err := os.Stat(filepath.Join(path, net.LastCheckpoint)); err == nil {
				return path, nil
			}
			if latest := latestRun(path); latest != "" {
				return latest, nil
			}
		}
		return named, nil
	}
	latest := latestRun(runsFolder)
	if latest == "" {
		return "", fmt.Errorf("there is no run in %s%c: train one first (%s train), or say where it is: %s",
			runsFolder, filepath.Separator, invocation(), way)
	}
	return latest, nil
}

// latestRun returns the folder of the latest run in a folder of runs: the one with the
// newest last checkpoint. It returns "" if there is none.
func latestRun(folder string) string {
	var latest string
	var written time.Time
	for _, run := range trainedRuns(folder) {
		info, err := os.Stat(filepath.Join(run, net.LastCheckpoint))
		if err == nil && (latest == "" || info.ModTime().After(written)) {
			latest, written = run, info.ModTime()
		}
	}
	return latest
}

// trainedRuns returns those folders in a folder of runs that have a checkpoint.
func trainedRuns(folder string) []string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // there are no runs, or the folder can't be read
	}
	var runs []string
	for _, e := range entries {
		run := filepath.Join(folder, e.Name())
		if _, err := os.Stat(filepath.Join(run, net.LastCheckpoint)); err == nil {
			runs = append(runs, run)
		}
	}
	return runs
}

// beginAnew tells that a run ended before its first checkpoint, and how to begin it
// again.
func beginAnew(dir string, r runfolder.Record) string {
	words := []string{invocation(), "train", "--run", quoted(dir)}
	if len(r.Parts) > 0 && len(r.Parts[0].Command) > 1 {
		words = words[:0]
		named := false
		for _, word := range r.Parts[0].Command {
			words = append(words, quoted(word))
			flag, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
			named = named || strings.HasPrefix(word, "-") && (flag == "run" || flag == "output" || flag == "resume")
		}
		words[0] = invocation()
		if !named {
			words = append(words, "--run", quoted(dir))
		}
	}
	return fmt.Sprintf("the run in %s was ended before its first checkpoint; begin it again with: %s", dir, strings.Join(words, " "))
}

// passedOver tells if there is a newer run than latest that ended before its first
// checkpoint and so can't be resumed. It returns "" if there is none.
func passedOver(latest string) string {
	info, err := os.Stat(filepath.Join(latest, net.LastCheckpoint))
	if err != nil {
		return ""
	}
	newest, text := info.ModTime(), ""
	entries, err := os.ReadDir(filepath.Dir(latest))
	if err != nil {
		return ""
	}
	for _, e := range entries {
		dir := filepath.Join(filepath.Dir(latest), e.Name())
		began, err := os.Stat(filepath.Join(dir, runfolder.RecordFile))
		if err != nil || !began.ModTime().After(newest) {
			continue
		}
		if record, ended := runfolder.Unsaved(dir); ended {
			newest, text = began.ModTime(), beginAnew(dir, record)
		}
	}
	if text != "" {
		text = "this goes on with " + latest + ": " + text
	}
	return text
}

// loadRun loads the checkpoint that findRun finds.
func loadRun(named, way string) (*net.Checkpoint, string, error) {
	path, err := findRun(named, way)
	if err != nil {
		return nil, "", err
	}
	checkpoint, err := net.LoadCheckpoint(path)
	if errors.Is(err, fs.ErrNotExist) {
		for _, dir := range []string{runPath(named), path} {
			if record, ended := runfolder.Unsaved(dir); ended {
				return nil, "", errors.New(beginAnew(dir, record))
			}
		}
		return nil, "", fmt.Errorf("there is no checkpoint in %s: train one first (%[2]s train --run %[1]s), or name another", path, invocation())
	}
	return checkpoint, path, err
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
		if runfolder.InTraining(dir) {
			return "", false, fmt.Errorf("another process is training %s: name another run", dir)
		}
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
		for _, dir := range foldersIn(runsFolder) {
			if runfolder.InTraining(dir) {
				return "", untilSaved(dir)
			}
		}
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

// foldersIn returns the folders in a folder of runs, and what else there is. It returns
// nil if the folder can't be read.
func foldersIn(folder string) []string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	var paths []string
	for _, e := range entries {
		paths = append(paths, filepath.Join(folder, e.Name()))
	}
	return paths
}

// trainedRuns returns those folders in a folder of runs that have a checkpoint.
func trainedRuns(folder string) []string {
	var runs []string
	for _, run := range foldersIn(folder) {
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

// untilSaved tells that a run is being trained and has no checkpoint yet.
func untilSaved(dir string) error {
	return fmt.Errorf("another process is training %s, which has no checkpoint yet: wait for its first one", dir)
}

// passedOver tells if there is a newer run than latest that ended before its first
// checkpoint and so can't be resumed, or that another process is training. It also tells
// if the clock can't say which run is the latest. It returns "" if there is none of this.
func passedOver(latest string) string {
	info, err := os.Stat(filepath.Join(latest, net.LastCheckpoint))
	if err != nil {
		return ""
	}
	if time.Until(info.ModTime()) > time.Minute { // file servers' clocks differ by seconds
		return fmt.Sprintf("this goes on with %s, whose checkpoint has a time in the future (%s): the clock may have been set back; if another run is the latest, name it with --resume RUN",
			latest, info.ModTime().Format(timeLayout))
	}
	newest, text := info.ModTime(), ""
	for _, dir := range foldersIn(filepath.Dir(latest)) {
		began, err := os.Stat(filepath.Join(dir, runfolder.RecordFile))
		if err != nil || !began.ModTime().After(newest) || dir == latest {
			continue
		}
		if record, ended := runfolder.Unsaved(dir); ended {
			newest, text = began.ModTime(), beginAnew(dir, record)
		} else if runfolder.InTraining(dir) {
			newest, text = began.ModTime(), "another process is training "+dir
		}
	}
	if text != "" {
		text = "this goes on with " + latest + ": " + text
	}
	return text
}

// loadRun loads the checkpoint that findRun finds. If there is none, or it can't be used,
// the error says what the user may have meant.
func loadRun(c *cli.Context, named, way string) (*net.Checkpoint, string, error) {
	path, err := findRun(named, way)
	if err != nil {
		return nil, "", err
	}
	checkpoint, err := net.LoadCheckpoint(path)
	switch {
	case err == nil:
		return checkpoint, path, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", noCheckpoint(c, named, path)
	case errors.Is(err, net.ErrCheckpoint):
		return nil, "", fmt.Errorf("%w%s", err, insteadOf(c, path))
	}
	return nil, "", err
}

// noCheckpoint returns the error for a run that has no checkpoint. path is where it was
// looked for.
func noCheckpoint(c *cli.Context, named, path string) error {
	for _, dir := range []string{runPath(named), path} {
		if runfolder.InTraining(dir) {
			return untilSaved(dir)
		}
		if record, ended := runfolder.Unsaved(dir); ended {
			return errors.New(beginAnew(dir, record))
		}
	}
	switch {
	case isDataSet(path):
		return fmt.Errorf("%s is a data set, not a run%s", path, dataHint(c, path))
	case writes(c, "output", path):
		return fmt.Errorf("there is no checkpoint in %s; to write to this file, use --output %s", path, quoted(path))
	}
	return fmt.Errorf("there is no checkpoint in %s: train one first (%s train --run %[1]s), or name another%[3]s", path, invocation(), otherRuns())
}

// otherRuns lists the latest runs in runsFolder, for example " (run-2, run-1)". It returns
// "" if there are none.
func otherRuns() string {
	const most = 5
	runs := trainedRuns(runsFolder)
	if len(runs) == 0 {
		return ""
	}
	written := map[string]time.Time{}
	for _, run := range runs {
		if info, err := os.Stat(filepath.Join(run, net.LastCheckpoint)); err == nil {
			written[run] = info.ModTime()
		}
	}
	slices.SortStableFunc(runs, func(a, b string) int { return written[b].Compare(written[a]) })
	var names []string
	for _, run := range runs[:min(most, len(runs))] {
		names = append(names, filepath.Base(run))
	}
	if len(runs) > most {
		names = append(names, "...")
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// insteadOf tells what to name instead of a file that is no usable checkpoint: --data for a
// data set, or another checkpoint of the run. It returns "" if it knows nothing.
func insteadOf(c *cli.Context, path string) string {
	if isDataSet(path) {
		return dataHint(c, path)
	}
	dir := path
	if !isFolder(path) {
		dir = filepath.Dir(path)
		if filepath.Base(path) != net.LastCheckpoint {
			return ""
		}
	}
	others, err := filepath.Glob(filepath.Join(dir, "*"+filepath.Ext(net.LastCheckpoint)))
	if err != nil {
		return ""
	}
	best, found := "", (*net.Checkpoint)(nil)
	for _, other := range others {
		if filepath.Base(other) == net.LastCheckpoint {
			continue
		}
		if saved, err := net.LoadCheckpoint(other); err == nil && (found == nil || saved.State.Step > found.State.Step) {
			best, found = other, saved
		}
	}
	if found == nil {
		return ""
	}
	return fmt.Sprintf("; the run also has %s, of epoch %d, which is whole: name that", best, found.Position.Epoch)
}

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/runfolder"
	"github.com/gputrain/gputrain/net"
)

// history returns a run's metrics without what differs from run to run: times,
// speed, paths, and where it went on or stood still.
func history(t *testing.T, dir string) (lines []string) {
	t.Helper()
	entries, err := runfolder.ReadMetrics(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch e := e.Event.(type) {
		case net.Progress:
			if e.Step == e.Steps { // what comes before depends on the clock
				lines = append(lines, fmt.Sprintf("progress %d/%d", e.Epoch, e.Step))
			}
		case net.EpochDone:
			lines = append(lines, fmt.Sprintf("epoch %d, cost %.9f, %+v, %+v", e.Epoch, e.Cost, *e.Validation, *e.Test))
		case net.Done:
			lines = append(lines, "done")
		}
	}
	return lines
}

func TestRunFolder(t *testing.T) {
	inFolder(t)
	args := quick("--run", "mine", "--keep", "1")
	must(t, args...)
	dir := filepath.Join(runsFolder, "mine")
	for _, name := range []string{"recipe.json", "metrics.jsonl", "last.safetensors", "best.safetensors", "epoch-2.safetensors"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	r, err := runfolder.ReadRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := load(t, dir)
	if !reflect.DeepEqual(r.Network, c.Network) || !reflect.DeepEqual(r.Recipe, c.Recipe) {
		t.Errorf("the record's network and recipe are not the checkpoint's: %+v", r)
	}
	if want := (runfolder.Data{Name: "MNIST", Train: 1000, Validation: 1000, Test: 1000}); r.Data != want {
		t.Errorf("data %+v, want %+v", r.Data, want)
	}
	if len(r.Parts) != 1 || r.Parts[0].Version != version() || r.Parts[0].Device != c.Device || !reflect.DeepEqual(r.Parts[0].Command, append([]string{"gputrain"}, args...)) {
		t.Errorf("parts %+v", r.Parts)
	}
	got := history(t, dir)
	if len(got) != 2+2+1 || got[1] != fmt.Sprintf("epoch 1, cost %.9f, %+v, %+v", c.History[0].Cost, *c.History[0].Validation, *c.History[0].Test) {
		t.Errorf("metrics %q", got)
	}

	// A name stands for the folder in runs; a path for itself.
	if out := must(t, "eval", "--run", "mine"); !strings.Contains(out, "Checkpoint  "+dir+":") {
		t.Errorf("eval of the run by its name:\n%s", out)
	}
	must(t, quick("--epochs", "1", "--run", filepath.Join("elsewhere", "mine"))...)
	load(t, filepath.Join("elsewhere", "mine"))
}

// TestResumedRunFolder compares the metrics of a run that was stopped, and that goes
// on twice from the same checkpoint, with those of one that was left alone.
func TestResumedRunFolder(t *testing.T) {
	inFolder(t)
	must(t, quick("--run", "whole", "--epochs", "3")...)
	must(t, quick("--run", "parts", "--epochs", "1")...)
	whole, parts := filepath.Join(runsFolder, "whole"), filepath.Join(runsFolder, "parts")
	checkpoint, err := os.ReadFile(filepath.Join(parts, net.LastCheckpoint))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		// What a kill between two checkpoints leaves: metrics that are ahead.
		write(t, filepath.Join(parts, net.LastCheckpoint), string(checkpoint))
		must(t, "train", "--resume", "parts", "--limit", "1000", "--epochs", "3")
	}
	got, want := history(t, parts), history(t, whole)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("metrics\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	r, err := runfolder.ReadRecord(parts)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Parts) != 3 || r.Parts[0].Resumed != nil || *r.Parts[2].Resumed != (runfolder.Place{Epoch: 1}) || r.Recipe.Epochs != 3 {
		t.Errorf("record %+v", r)
	}

	// A checkpoint that the run has left behind.
	must(t, "train", "--resume", "parts", "--limit", "1000", "--epochs", "4", "--keep", "2")
	old := filepath.Join(parts, "epoch-4.safetensors")
	must(t, "train", "--resume", "parts", "--limit", "1000", "--epochs", "5", "--keep", "2")
	before := history(t, parts)
	refuses(t, exitFailed, "cannot resume: "+old+" is at epoch 4, the run has gone on to epoch 5 and would lose that; go on from the latest with --resume "+parts+", or copy the file to last.safetensors in a folder of its own and resume that",
		"train", "--resume", old, "--limit", "1000")
	if got := history(t, parts); !reflect.DeepEqual(got, before) {
		t.Errorf("a refused run changed the metrics to %q", got)
	}
	// As it says:
	if err := os.Mkdir("branch", 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join("branch", net.LastCheckpoint), string(b))
	must(t, "train", "--resume", "branch", "--limit", "1000", "--epochs", "5")
	var epochs []string
	for _, line := range before {
		if !strings.HasPrefix(line, "progress") || strings.HasPrefix(line, "progress 5/") {
			epochs = append(epochs, line)
		}
	}
	if got := history(t, "branch"); !reflect.DeepEqual(got, epochs) {
		t.Errorf("the branch has\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(epochs, "\n"))
	}
}

// TestTwoTrainers wants the second process that trains a run to be told so, and the
// first one's files to stay as they are.
func TestTwoTrainers(t *testing.T) {
	inFolder(t)
	must(t, quick("--run", "mine", "--epochs", "1")...)
	dir := filepath.Join(runsFolder, "mine")
	release, err := runfolder.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	before := history(t, dir)
	resume := []string{"train", "--resume", "mine", "--limit", "1000", "--epochs", "2"}
	refuses(t, exitFailed, "another process is training "+dir+": wait for it, or interrupt it", resume...)
	if got := history(t, dir); !reflect.DeepEqual(got, before) {
		t.Errorf("the metrics became %q", got)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	must(t, resume...)
}

// TestAutoResume gives one command line again and again, as a cluster does that starts a job
// anew when it has ended.
func TestAutoResume(t *testing.T) {
	inFolder(t)
	dir := filepath.Join(runsFolder, "mine")
	command := func(epochs string, more ...string) []string {
		return append(quick("--run", "mine", "--auto-resume"), append([]string{"--epochs", epochs}, more...)...)
	}
	must(t, quick("--run", "base", "--epochs", "1")...)
	// A start that ended before its first checkpoint.
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, runfolder.RecordFile), "{}")
	places := func(want ...*runfolder.Place) {
		t.Helper()
		r, err := runfolder.ReadRecord(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []*runfolder.Place
		for _, part := range r.Parts {
			got = append(got, part.Resumed)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the run was resumed at %v, want %v", got, want)
		}
	}
	must(t, command("1", "--from", "base")...)
	places(nil)
	must(t, command("2", "--from", "base")...)
	places(nil, &runfolder.Place{Epoch: 1})
	if out := must(t, command("2")...); !strings.Contains(out, "Nothing was left to do.") {
		t.Errorf("a run that is complete: %s", out)
	}
	// A run that can't go on isn't begun anew.
	last := filepath.Join(dir, net.LastCheckpoint)
	write(t, last, "damaged")
	if o := gputrain(t, command("2")...); o.status != exitFailed || !strings.Contains(o.errors, last) {
		t.Errorf("a damaged checkpoint: status %d, %s", o.status, o.errors)
	}
	refuses(t, exitUsage, "--auto-resume needs the name of the run that it goes on with or begins: --run NAME", quick("--auto-resume")...)
	refuses(t, exitUsage, "--resume goes on with a run, --auto-resume goes on with it or begins it: leave one of them out", "train", "--auto-resume", "--resume", "mine")
}

// TestRunInTraining asks for a run that another process trains, before and after its first
// checkpoint: nothing may advise to remove it.
func TestRunInTraining(t *testing.T) {
	inFolder(t)
	dir := filepath.Join(runsFolder, "live")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	release, err := runfolder.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, runfolder.RecordFile), "{}")
	write(t, filepath.Join(dir, runfolder.MetricsFile), "")
	const live = "another process is training "
	unsaved := live + dir + ", which has no checkpoint yet: wait for its first one"
	refuses(t, exitFailed, live+dir+": name another run", quick("--run", "live")...)
	refuses(t, exitFailed, live+dir+": name another run", "import", "--run", "live", weightsOf(t))
	for _, args := range []string{"train --resume live", "train --resume " + dir, "train --resume", "train --from live", "eval live", "eval", "predict --run live test:0", "export live", "report live", "serve live"} {
		refuses(t, exitFailed, unsaved, strings.Fields(args)...)
	}
	must(t, quick("--run", "saved", "--epochs", "1")...)
	future := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, runfolder.RecordFile), future, future); err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(runsFolder, "saved")
	if o := gputrain(t, "train", "--resume"); o.status != exitOK || o.errors != "note: this goes on with "+saved+": "+live+dir+"\n" {
		t.Errorf("going on with the run before: status %d, %s", o.status, o.errors)
	}
	// The clock was set back after the run.
	if err := os.Chtimes(filepath.Join(saved, net.LastCheckpoint), future, future); err != nil {
		t.Fatal(err)
	}
	if o := gputrain(t, "train", "--resume"); o.status != exitOK || !strings.HasPrefix(o.errors, "note: this goes on with "+saved+", whose checkpoint has a time in the future") {
		t.Errorf("going on with a run of the future: status %d, %s", o.status, o.errors)
	}
	b, err := os.ReadFile(filepath.Join(saved, net.LastCheckpoint))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, net.LastCheckpoint), string(b))
	refuses(t, exitFailed, live+dir+": name another run", quick("--run", "live")...)
	must(t, "eval", "live", "--limit", "10")
	if err := release(); err != nil {
		t.Fatal(err)
	}
	refuses(t, exitFailed, dir+" holds a run already: go on with it by gputrain train --resume live, or name another", quick("--run", "live")...)
}

// weightsOf writes weights of the tutorial's network to a file, and returns its name.
func weightsOf(t *testing.T) string {
	t.Helper()
	plan := mustPlan(t, net.BuiltIn("tutorial"))
	if err := net.SaveWeights("w.safetensors", plan, net.InitialState(plan, 1, nil).Params, net.ChannelsFirst); err != nil {
		t.Fatal(err)
	}
	return "w.safetensors"
}

// isThere reports whether something exists at a path.
func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestFlagsOfResumedRuns finds a flag of train of which nobody has said what becomes of it
// when a run is resumed.
func TestFlagsOfResumedRuns(t *testing.T) {
	known := slices.Concat(recalledFlags, repeatedFlags, repeatedSwitches)
	for _, f := range recipeFlags() { // the checkpoint's recipe has them
		known = append(known, f.flag.Names()[0])
	}
	// The checkpoint has these, or they are about one command line alone.
	known = append(known, "model", "recipe", "limit", "image-size", "resize", "channels", "run", "resume", "auto-resume", "from", "head", "freeze", "max-time", "all", "help")
	found := 0
	for _, f := range (&app{}).trainCommand().Flags {
		if found++; !slices.Contains(known, f.Names()[0]) {
			t.Errorf("--%s: does a resumed run keep it? Put it into recalledFlags, repeatedFlags or repeatedSwitches, or name it here", f.Names()[0])
		}
	}
	if found < 40 {
		t.Errorf("%d flags", found)
	}
}

// TestFlagsStay resumes a run without the flags that its recipe doesn't have.
func TestFlagsStay(t *testing.T) {
	inFolder(t)
	must(t, quick("--run", "mine", "--epochs", "1", "--keep", "2", "--tensorboard=false", "--top", "2")...)
	dir := filepath.Join(runsFolder, "mine")
	out := must(t, "train", "--resume", "mine", "--epochs", "3", "--json")
	if !strings.Contains(out, `"top":`) {
		t.Errorf("no figure of --top in\n%s", out)
	}
	for name, want := range map[string]bool{"train": false, net.EpochCheckpoint(1): false, net.EpochCheckpoint(2): true, net.EpochCheckpoint(3): true} {
		if got := isThere(filepath.Join(dir, name)); got != want {
			t.Errorf("%s is there: %v, want %v", name, got, want)
		}
	}
	must(t, "train", "--resume", "mine", "--epochs", "4", "--keep", "1", "--tensorboard")
	if !isThere(filepath.Join(dir, "train")) || isThere(filepath.Join(dir, net.EpochCheckpoint(3))) {
		t.Error("the flags of the resumed run didn't count")
	}
	if record, err := runfolder.ReadRecord(dir); err != nil || record.Flags["keep"] != "1" || record.Flags["tensorboard"] != "true" || record.Flags["top"] != "2" {
		t.Errorf("the record has the flags %v (%v)", record.Flags, err)
	}
}

func TestRunFolderRefusals(t *testing.T) {
	inFolder(t)
	for _, name := range []string{"recipe.json", "metrics.jsonl", "best.safetensors"} {
		dir := filepath.Join(runsFolder, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), "")
		refuses(t, exitFailed, dir+" holds what is left of a run ("+filepath.Join(dir, name)+"): remove it, or name another", quick("--run", name)...)
	}
	refuses(t, exitUsage, "--keep must be at least 0, got -1", quick("--keep", "-1")...)

	write(t, "file", "")
	o := gputrain(t, quick("--run", filepath.Join("file", "run"))...)
	if o.status != exitFailed || !strings.HasPrefix(o.errors, "gputrain: folder of the run: ") && !strings.HasPrefix(o.errors, "gputrain: cannot make the folder of the run: ") {
		t.Errorf("a folder in a file: status %d, %s", o.status, o.errors)
	}
	// Where no file can be made, it is told before training.
	if err := checkWritable("gone"); err == nil || !strings.HasPrefix(err.Error(), "cannot write to the folder of the run, gone: ") {
		t.Errorf("error %v", err)
	}
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Log("not tested: folders that may not be written, which root and Windows write all the same")
		return
	}
	if err := os.Mkdir("locked", fs.FileMode(0o555)); err != nil {
		t.Fatal(err)
	}
	refuses(t, exitFailed, "cannot make the folder of the run: mkdir locked/run: permission denied", quick("--run", "locked/run")...)
	o = gputrain(t, quick("--run", "./locked")...)
	if o.status != exitFailed || !strings.HasPrefix(o.errors, "gputrain: cannot write to the folder of the run, ./locked: ") {
		t.Errorf("a locked folder: status %d, %s", o.status, o.errors)
	}
}

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/gputrain/gputrain/internal/runfolder"
)

// TestFullDisk trains on a disk that becomes full: the run stops, says why and how
// to go on, and once there is room its files become those of a run that had it.
func TestFullDisk(t *testing.T) {
	inFolder(t)
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a disk of its own needs root: mount: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	}()
	must(t, quick("--epochs", "3", "--run", "whole")...)
	run := filepath.Join(disk, "run")
	must(t, quick("--epochs", "1", "--run", run)...)
	filler, err := os.Create(filepath.Join(disk, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	if err := filler.Close(); err != nil {
		t.Fatal(err)
	}
	// What the files' last pages have room for is used up on the way; so much isn't
	// trained.
	args := []string{"train", "--resume", run, "--limit", "1000", "--epochs", "3"}
	o := gputrain(t, args...)
	if o.status != exitFailed || !strings.Contains(o.errors, "no space left on device") || !strings.Contains(o.errors, "; go on with: gputrain train --resume "+run) {
		t.Errorf("status %d, %s", o.status, o.errors)
	}
	t.Log(o.errors)
	if c := load(t, run); c.State.Step != 20 {
		t.Errorf("the checkpoint is at step %d, want 20", c.State.Step)
	}
	if _, err := runfolder.ReadMetrics(run); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	must(t, args...)
	whole := filepath.Join(runsFolder, "whole")
	sameWeights(t, whole, run)
	if got, want := history(t, run), history(t, whole); !reflect.DeepEqual(got, want) {
		t.Errorf("metrics\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// A disk without room for anything leaves nothing of a new run.
	if err := os.RemoveAll(run); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filler.Name(), make([]byte, 1<<20-8192), 0o644); err != nil {
		t.Fatal(err)
	}
	o = gputrain(t, quick("--run", run)...)
	if o.status != exitFailed || !strings.Contains(o.errors, "no space left on device") || !strings.HasSuffix(o.errors, "there is no checkpoint to go on from\n") {
		t.Errorf("status %d, %s", o.status, o.errors)
	}
	if _, err := os.Stat(run); err == nil {
		t.Error("the folder stayed")
	}
}

package main

import (
	"errors"
	"io/fs"
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
	filler := filepath.Join(disk, "filler")
	fill(t, filler, 0)
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
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	must(t, args...)
	whole := filepath.Join(runsFolder, "whole")
	sameWeights(t, whole, run)
	if got, want := history(t, run), history(t, whole); !reflect.DeepEqual(got, want) {
		t.Errorf("metrics\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// Nothing of an export is replaced where there isn't room for all of another.
	folder := filepath.Join(disk, "digits")
	must(t, "export", "--format", "go", "--output", folder, whole)
	before := contents(t, folder)
	must(t, quick("--epochs", "1", "--seed", "5", "--run", "other")...)
	for pages := range len(before) {
		fill(t, filler, 4096*pages)
		o = gputrain(t, "export", "--format", "go", "--output", folder, filepath.Join(runsFolder, "other"))
		if o.status != exitFailed || strings.Count(o.errors, "no space left on device") != 1 {
			t.Errorf("with room for %d pages: status %d, %s", pages, o.status, o.errors)
		}
		if after := contents(t, folder); !reflect.DeepEqual(after, before) {
			t.Errorf("with room for %d pages, the folder has other files than before: %d, and %d", pages, len(after), len(before))
		}
	}

	// A folder that was there stays, and of one that wasn't there nothing does.
	fresh, empty := filepath.Join(disk, "fresh"), filepath.Join(disk, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	fill(t, filler, 0)
	for _, dir := range []string{fresh, empty} {
		if o = gputrain(t, "export", "--format", "go", "--output", dir, whole); o.status != exitFailed {
			t.Errorf("status %d, %s", o.status, o.errors)
		}
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("the folder of an export that failed stayed")
	}
	if entries, err := os.ReadDir(empty); err != nil || len(entries) != 0 {
		t.Errorf("the empty folder has %d files, %v", len(entries), err)
	}

	// A disk without room for anything leaves nothing of a new run.
	if err := os.RemoveAll(run); err != nil {
		t.Fatal(err)
	}
	fill(t, filler, 8192)
	o = gputrain(t, quick("--run", run)...)
	if o.status != exitFailed || !strings.Contains(o.errors, "no space left on device") || !strings.HasSuffix(o.errors, "there is no checkpoint to go on from\n") {
		t.Errorf("status %d, %s", o.status, o.errors)
	}
	if _, err := os.Stat(run); err == nil {
		t.Error("the folder stayed")
	}
}

// fill makes a file of zeros that leaves so much room, in bytes, on its disk.
func fill(t *testing.T, path string, room int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for err == nil {
		var n int
		n, err = f.Write(make([]byte, 4096))
		size += int64(n)
	}
	if err := errors.Join(f.Truncate(size-int64(room)), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// contents returns the files in a folder and in those below it.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

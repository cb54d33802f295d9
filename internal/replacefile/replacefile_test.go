package replacefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// onlyFile fails where a folder holds anything but one file.
func onlyFile(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("folder holds %v, want %s alone", entries, name)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, text := range []string{"old", "new and longer", ""} {
		err := Write(path, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
		if err != nil || contents(t, path) != text {
			t.Errorf("wrote %q, found %q (%v)", text, contents(t, path), err)
		}
	}
	onlyFile(t, dir, "f")
}

func TestWriteLeavesTheOldOneWhenTheDiskIsFull(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := Write(path, func(w io.Writer) error {
		if _, err := io.WriteString(w, "half of the n"); err != nil {
			return err
		}
		return &os.PathError{Op: "write", Path: path, Err: syscall.ENOSPC}
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
	if got := contents(t, path); got != "old" {
		t.Errorf("the file holds %q", got)
	}
	onlyFile(t, dir, "f")
}

// TestAbandon ends while a file is being written: nothing is left beside the old one.
func TestAbandon(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := Write(path, func(w io.Writer) error {
		Abandon()
		onlyFile(t, dir, "f")
		return nil
	})
	if err == nil || contents(t, path) != "old" {
		t.Errorf("error %v, the file holds %q", err, contents(t, path))
	}
}

func TestWriteWithoutItsFolder(t *testing.T) {
	err := Write(filepath.Join(t.TempDir(), "none", "f"), func(io.Writer) error { return nil })
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestWriteOverAFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, func(io.Writer) error { return nil }); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q", err)
	}
	onlyFile(t, dir, "f")
}

// TestLinks writes through symbolic links: they stay, and what they lead to is replaced.
func TestLinks(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	target, relative, chain, dangling := filepath.Join(elsewhere, "target"), filepath.Join(dir, "relative"), filepath.Join(dir, "chain"), filepath.Join(dir, "dangling")
	loop, twin := filepath.Join(dir, "loop"), filepath.Join(elsewhere, "twin")
	to, err := filepath.Rel(dir, target)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(os.WriteFile(target, []byte("old"), 0o600), os.Symlink(to, relative), os.Symlink(relative, chain), os.Symlink(filepath.Join(elsewhere, "new"), dangling), os.Symlink(loop, loop))
	if err != nil {
		t.Skipf("links can't be made here: %v", err)
	}
	for path, lies := range map[string]string{chain: target, relative: target, dangling: filepath.Join(elsewhere, "new")} {
		if err := Write(path, func(w io.Writer) error { _, err := io.WriteString(w, path); return err }); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSymlink == 0 || contents(t, lies) != path {
			t.Errorf("%s: is %v (%v), and %s holds %q", path, info, err, lies, contents(t, lies))
		}
	}
	if err := Write(loop, func(io.Writer) error { return nil }); err == nil || !strings.Contains(err.Error(), "too many symbolic links") {
		t.Errorf("a link to itself: error %v", err)
	}
	// Of several names of a file, the others are copies made before.
	if err := os.Link(target, twin); err != nil {
		t.Skipf("hard links can't be made here: %v", err)
	}
	before := contents(t, target)
	if err := Write(target, func(w io.Writer) error { _, err := io.WriteString(w, "newer"); return err }); err != nil || contents(t, target) != "newer" || contents(t, twin) != before {
		t.Errorf("%v: %q and its twin %q", err, contents(t, target), contents(t, twin))
	}
	// What was left behind beside the target goes, too, and no other file.
	for _, name := range []string{"target.7.tmp", "targets.7.tmp"} {
		if err := os.WriteFile(filepath.Join(elsewhere, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveTemporaries(dir, "rel*", "dangling", "loop"); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(elsewhere, "*.tmp"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "targets.7.tmp" {
		t.Errorf("left are %q (%v)", left, err)
	}
}

func TestRemoveTemporaries(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.123.tmp", "a.9.tmp", "b.1.tmp", "a", "a.tmp", "xa.1.tmp", "c.1.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveTemporaries(dir, "a", "b"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if got := strings.Join(left, " "); got != "a a.tmp c.1.tmp xa.1.tmp" {
		t.Errorf("left are %s", got)
	}
}

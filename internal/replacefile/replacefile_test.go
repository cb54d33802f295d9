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

package appendfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fullDisk is a file on a disk with so much room.
type fullDisk struct {
	*os.File
	room int64
	cut  error // of Truncate
}

func (f *fullDisk) WriteAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) <= f.room {
		return f.File.WriteAt(b, at)
	}
	n, err := f.File.WriteAt(b[:max(0, f.room-at)], at)
	return n, errors.Join(err, syscall.ENOSPC)
}

func (f *fullDisk) Truncate(size int64) error {
	if f.cut != nil {
		return f.cut
	}
	return f.File.Truncate(size)
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for i, want := range []string{"one\ntwo\n", "one\ntwo\none\ntwo\n", "one\ntwo\n"} {
		flags := 0
		if i == 2 {
			flags = os.O_TRUNC
		}
		f, err := Open(path, flags)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name() != path {
			t.Errorf("name %q", f.Name())
		}
		if err := errors.Join(f.Append([]byte("one\n")), f.Append([]byte("two\n")), f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
		if got := contents(t, path); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, err := Open(path, os.O_EXCL); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file that is there: %v", err)
	}
}

// TestFullDisk wants a piece that has no room to leave nothing, and one that has
// room again to follow the last whole one.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	disk := &fullDisk{File: f.file.(*os.File), room: 10}
	f.file = disk
	if err := f.Append([]byte("first\n")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Append([]byte("second\n")); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("error %v", err)
		}
		if got := contents(t, path); got != "first\n" {
			t.Errorf("after a failed piece the file holds %q", got)
		}
	}
	disk.room = 100
	if err := f.Append([]byte("third\n")); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, path); got != "first\nthird\n" {
		t.Errorf("the file holds %q", got)
	}
	disk.room, disk.cut = 14, syscall.EIO
	if err := f.Append([]byte("fourth\n")); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "part of it stays") {
		t.Errorf("error %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

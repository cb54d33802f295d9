// Package replacefile writes files whole or not at all.
package replacefile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// tempPattern is the name of temporary files for os.CreateTemp; the path's own
// name goes before it.
const tempPattern = ".*.tmp"

// ErrNotSynced means that a file is in place but its folder could not be synced.
var ErrNotSynced = errors.New("written, but a power cut may bring back what was there before")

// Write writes a file so that, whenever the process or the machine stops,
// path holds either what it held before or all of the new contents. A failed
// write leaves the old file and removes the temporary one; only after
// ErrNotSynced is the new one in place.
func Write(path string, write func(io.Writer) error) error {
	return WriteFile(path, func(f *os.File) error { return write(f) })
}

// WriteFile is Write for those who write at places of the file in any order.
func WriteFile(path string, write func(*os.File) error) (err error) {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	f, err := os.CreateTemp(dir, name+tempPattern)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(f.Name()))
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644) // CreateTemp gives 0600, and files are for others to read
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSynced, err)
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes a rename in dir last through a power cut, where the system can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // has no such call
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // some network file systems cannot
	}
	return errors.Join(err, d.Close())
}

// RemoveTemporaries deletes what Write of these names left behind in dir
// when it was killed.
func RemoveTemporaries(dir string, names ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, name := range names {
			if ok, err := filepath.Match(name+tempPattern, e.Name()); err != nil || !ok {
				continue
			}
			if err := removeIfThere(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

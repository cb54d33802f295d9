// Package replacefile writes files whole or not at all.
package replacefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// tempPattern matches what follows the path's own name in the names of temporary files.
const tempPattern = ".*.tmp"

// ErrNotSynced means that a file is in place, but its folder could not be synced.
var ErrNotSynced = errors.New("written, but a power cut may bring back what was there before")

// inProgress holds the names of the temporary files that are being written.
var inProgress sync.Map

// Abandon removes the temporary files of all writes in progress, which fail then. It is
// for a process that ends at once.
func Abandon() {
	inProgress.Range(func(name, _ any) bool {
		_ = os.Remove(name.(string)) // what stays is told by its name
		return true
	})
}

// Write replaces a file. Whenever the process or the machine stops, path holds either its
// old contents or all of the new ones. A failed write leaves the old file and removes the
// temporary one. Only with ErrNotSynced is the new file in place in spite of the error.
//
// If path is a symbolic link, the link stays and its target is replaced. A file keeps its
// mode and, if the process may set it, its owner. A new file has the mode that the
// process's umask leaves. If a file has several names (hard links), the other names keep
// the old contents. So a copy that consists of links stays a copy.
//
// If path is a pipe, a device or another thing that is not a regular file, the contents
// are written into it as they come.
func Write(path string, write func(io.Writer) error) error {
	if IsStream(path) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	return WriteFile(path, func(f *os.File) error { return write(f) })
}

// IsStream reports whether there is something at path that is neither a regular file nor
// a folder. What the system offers as /dev/stdout counts as a stream even if it leads to
// a file.
func IsStream(path string) bool {
	if runtime.GOOS != "windows" {
		for _, root := range []string{"/dev/", "/proc/"} {
			if clean := filepath.Clean(path); strings.HasPrefix(clean, root) && !strings.HasPrefix(clean, "/dev/shm/") {
				_, err := os.Stat(path)
				return err == nil
			}
		}
	}
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// WriteFile replaces a file as [Write] does. It is for callers that write at places of
// the file in any order, so it is not for pipes.
func WriteFile(path string, write func(*os.File) error) (err error) {
	target, err := Target(path)
	if err != nil {
		return err
	}
	before, err := os.Stat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case before.IsDir():
		return &fs.PathError{Op: "write", Path: path, Err: errors.New("is a folder")}
	default: // a rename would also replace a file that may not be written
		f, err := os.OpenFile(target, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	f, err := temporary(target)
	if err != nil {
		return err
	}
	inProgress.Store(f.Name(), true)
	defer func() {
		inProgress.Delete(f.Name())
		if err != nil {
			err = errors.Join(err, removeIfThere(f.Name()))
		}
	}()
	if before != nil {
		err = f.Chmod(before.Mode().Perm())
		keepOwner(f, before)
	}
	if err == nil {
		err = write(f)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), target)
	}
	if err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(target)); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSynced, err)
	}
	return nil
}

// temporary makes a new file beside a path. Its mode is what the umask leaves, as with
// os.Create; os.CreateTemp would use another mode.
func temporary(path string) (*os.File, error) {
	for {
		name := fmt.Sprintf("%s.%08x.tmp", path, rand.Uint32())
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// Target follows the last name of a path if it is a symbolic link, even to a place
// where there is nothing yet.
func Target(path string) (string, error) {
	const most = 40 // as many as Linux follows
	target := path
	for range most {
		info, err := os.Lstat(target)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return target, nil // errors show when it is written
		}
		next, err := os.Readlink(target)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(target), next)
		}
		target = next
	}
	return "", &fs.PathError{Op: "write", Path: path, Err: errors.New("too many symbolic links")}
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes sure that a rename in dir survives a power cut, if the system can do
// that.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows has no such call
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // some network file systems can't do it
	}
	return errors.Join(err, d.Close())
}

// RemoveTemporaries deletes the temporary files that Write left behind in dir when it was
// killed. names are the names of the files that were written, or patterns of
// filepath.Match. If such a name is a symbolic link, it also deletes the temporary files
// beside its target.
func RemoveTemporaries(dir string, names ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	matches := func(name, ending string) bool {
		return slices.ContainsFunc(names, func(pattern string) bool {
			ok, err := filepath.Match(pattern+ending, name)
			return err == nil && ok
		})
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case matches(e.Name(), tempPattern):
			err = removeIfThere(path)
		case e.Type()&fs.ModeSymlink != 0 && matches(e.Name(), ""):
			err = removeBehind(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeBehind deletes the temporary files beside the target of a link.
func removeBehind(link string) error {
	target, err := Target(link)
	if err != nil {
		return nil // it leads nowhere
	}
	entries, err := os.ReadDir(filepath.Dir(target))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), filepath.Base(target)+"."); ok && strings.HasSuffix(rest, ".tmp") {
			if err := removeIfThere(filepath.Join(filepath.Dir(target), e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

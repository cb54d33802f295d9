package runfolder

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// LockFile is the name of an empty file in the run's folder. A process that
// trains the run holds it locked. The lock ends with the process, but the file
// stays.
const LockFile = ".lock"

// Lock makes sure that only one process trains a run. It fails if another
// process holds the lock. If the file system has no locks, it does nothing.
func Lock(dir string) (release func() error, err error) {
	lock := flock.New(filepath.Join(dir, LockFile), flock.SetPermissions(0o644))
	held, err := lock.TryLock()
	if err == nil && !held {
		return nil, fmt.Errorf("another process is training %s: wait for it, or interrupt it", dir)
	}
	return lock.Close, nil
}

// InTraining reports whether a process trains the run in a folder now. If the file
// system has no locks, it reports false.
func InTraining(dir string) bool {
	path := filepath.Join(dir, LockFile)
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeType != 0 {
		return false
	}
	lock := flock.New(path, flock.SetPermissions(0o644))
	defer lock.Close()
	free, err := lock.TryRLock() // shared, so that two processes that ask don't mislead each other
	return err == nil && !free
}

// Clear removes the files of a run that came to nothing, except for checkpoints.
func Clear(dir string) {
	for _, name := range []string{RecordFile, MetricsFile, LockFile} {
		_ = os.Remove(filepath.Join(dir, name)) // if it is there
	}
}

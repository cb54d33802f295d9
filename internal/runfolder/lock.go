package runfolder

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// LockFile is an empty file that a process which trains the run holds locked. The
// lock ends with the process, the file stays.
const LockFile = ".lock"

// Lock keeps two processes from training one run. Where the file system knows no
// locks, it does nothing.
func Lock(dir string) (release func() error, err error) {
	lock := flock.New(filepath.Join(dir, LockFile), flock.SetPermissions(0o644))
	held, err := lock.TryLock()
	if err == nil && !held {
		return nil, fmt.Errorf("another process trains the run in %s: wait for it, or interrupt it", dir)
	}
	return lock.Close, nil
}

// Clear removes the files of a run that came to nothing, but for checkpoints.
func Clear(dir string) {
	for _, name := range []string{RecordFile, MetricsFile, LockFile} {
		_ = os.Remove(filepath.Join(dir, name)) // if it is there
	}
}

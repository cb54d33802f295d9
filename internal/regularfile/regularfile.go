// Package regularfile reads files and nothing else.
package regularfile

import (
	"errors"
	"io/fs"
	"os"
)

// Read reads a whole file, as os.ReadFile does. It refuses what is no regular file: a named
// pipe would make it wait for a writer, and some devices have no end. A folder and a
// missing file give os.ReadFile's errors.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		what := "is a device or a socket, not a regular file"
		if info.Mode()&fs.ModeNamedPipe != 0 {
			what = "is a named pipe, not a regular file"
		}
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New(what)}
	}
	return os.ReadFile(path)
}

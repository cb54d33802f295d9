// Package regularfile reads regular files, and refuses everything else.
package regularfile

import (
	"errors"
	"io/fs"
	"os"
)

// Read reads a whole file, as os.ReadFile does, but only a regular one. Reading a named pipe would wait for a writer,
// and some devices have no end. For these the error is an fs.PathError. For a folder and for a missing file the errors
// are those of os.ReadFile.
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

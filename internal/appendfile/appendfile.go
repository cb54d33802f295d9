// Package appendfile appends to files, whole pieces or nothing.
package appendfile

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// File is a file that grows by whole pieces.
type File struct {
	file file
	size int64 // of the whole pieces
}

// file is what is needed of an *os.File.
type file interface {
	Name() string
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	io.Closer
}

// Open opens a file to append to. Flags are those of os.OpenFile besides, such as
// os.O_TRUNC or os.O_EXCL; a missing file is made.
func Open(path string, flags int) (*File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flags, 0o644)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{f, size}, nil
}

// Name returns the path that the file was opened with.
func (f *File) Name() string { return f.file.Name() }

// Append writes a piece by one call of the system, so that a kill leaves all of it
// or nothing. When it fails, as on a full disk, none of it stays.
func (f *File) Append(piece []byte) error {
	if _, err := f.file.WriteAt(piece, f.size); err != nil {
		if cut := f.file.Truncate(f.size); cut != nil {
			return fmt.Errorf("%w, and part of it stays: %w", err, cut)
		}
		return err
	}
	f.size += int64(len(piece))
	return nil
}

// Sync makes what was appended last through a power cut.
func (f *File) Sync() error { return f.file.Sync() }

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

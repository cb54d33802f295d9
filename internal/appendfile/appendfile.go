// Package appendfile appends pieces to files, each whole or not at all.
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
	size int64 // size of all whole pieces
}

// file holds the methods of an *os.File that are needed.
type file interface {
	Name() string
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	io.Closer
}

// Open opens a file to append to. A missing file is made. flags are further flags
// of os.OpenFile, such as os.O_TRUNC or os.O_EXCL.
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

// Append writes a piece with one system call, so that a kill leaves all of it or
// nothing. If it fails, for example on a full disk, it removes what it has
// written.
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

// Sync makes sure that what was appended survives a power cut.
func (f *File) Sync() error { return f.file.Sync() }

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

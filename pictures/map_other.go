//go:build !unix

package pictures

import (
	"io"
	"os"
)

// mapped reads a file's first size bytes into memory.
func mapped(f *os.File, size int64) ([]byte, error) {
	b := make([]byte, size)
	_, err := io.ReadFull(io.NewSectionReader(f, 0, size), b)
	return b, err
}

// unmap releases what mapped returned.
func unmap([]byte) error { return nil }

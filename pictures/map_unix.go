//go:build unix

package pictures

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapped maps a file's first size bytes into memory, read-only.
func mapped(f *os.File, size int64) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
}

// unmap releases what mapped returned.
func unmap(b []byte) error { return unix.Munmap(b) }

//go:build linux || darwin

package asm

import (
	"os"
	"runtime/debug"
	"syscall"
	"testing"
	"unsafe"
)

// rings are the last buffers of each size.
var rings = map[int]*ring{}

type ring struct {
	buffers [32][]byte
	n       int // calls so far
}

// bounded returns memory of whole pages between two pages that nobody may read or write. It is used again after 32 more calls.
func bounded(bytes int) []byte {
	page := os.Getpagesize()
	size := page
	for size < bytes {
		size *= 2
	}
	r := rings[size]
	if r == nil {
		r = new(ring)
		rings[size] = r
	}
	b := &r.buffers[r.n%len(r.buffers)]
	r.n++
	if *b == nil {
		all, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		for _, outside := range []int{0, page + size} {
			if err == nil {
				err = syscall.Mprotect(all[outside:outside+page], syscall.PROT_NONE)
			}
		}
		if err != nil {
			panic(err)
		}
		*b = all[page : page+size]
	}
	return *b
}

// TestBounded reads a byte in front of such memory and one behind it, which must fail.
func TestBounded(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	b := bounded(1)
	for _, at := range []int{-1, len(b)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("byte %d can be read", at)
				}
			}()
			t.Log(*(*byte)(unsafe.Add(unsafe.Pointer(&b[0]), at)))
		}()
	}
	if b[0], b[len(b)-1] = 1, 1; b[0] != 1 {
		t.Error("the memory holds nothing")
	}
}

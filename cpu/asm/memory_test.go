//go:build !(linux || darwin)

package asm

// bounded returns memory. Elsewhere it lies between pages that nobody may read.
func bounded(bytes int) []byte { return make([]byte, bytes) }

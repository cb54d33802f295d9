//go:build !linux

package cpu

// totalMemory returns the machine's memory in bytes, and 0 where it cannot be
// told.
func totalMemory() float64 { return 0 }

//go:build !linux

package cpu

// totalMemory returns how many bytes of memory this process may have and whose limit that
// is, and 0 where that cannot be told.
func totalMemory() (bytes float64, whose string) { return 0, "" }

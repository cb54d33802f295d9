//go:build !linux

package cpu

// totalMemory returns how many bytes of memory this process may have, and whose limit that is. It returns 0 here: it
// can't tell.
func totalMemory() (bytes float64, whose string) { return 0, "" }

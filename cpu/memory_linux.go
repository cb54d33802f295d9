package cpu

import "golang.org/x/sys/unix"

// totalMemory returns the machine's memory in bytes, and 0 if it cannot be told.
func totalMemory() float64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return float64(info.Totalram) * float64(info.Unit)
}

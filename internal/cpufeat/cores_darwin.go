package cpufeat

import "golang.org/x/sys/unix"

// fastCores returns the number of performance cores of an Apple processor, or 0 if the
// system doesn't tell. Level 0 is the fastest kind of core (Apple, "Determining system
// capabilities").
func fastCores() int {
	n, err := unix.SysctlUint32("hw.perflevel0.logicalcpu")
	if err != nil {
		return 0
	}
	return int(n)
}

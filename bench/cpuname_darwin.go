package bench

import "golang.org/x/sys/unix"

// cpuName returns the processor's name, such as "Apple M2 Pro", or "" if it isn't known.
func cpuName() string {
	name, err := unix.Sysctl("machdep.cpu.brand_string")
	if err != nil {
		return ""
	}
	return name
}

package cpufeat

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fastCores returns how many of the processor's cores are fast, of those that the process
// may run on, or 0 if the system doesn't tell.
func fastCores() int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 0
	}
	var cores []int
	for core := range len(set) * 64 {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return fastOf(os.DirFS("/sys/devices/system/cpu"), cores)
}

// fastOf counts the cores whose capacity is more than two thirds of the greatest one's. The
// kernel gives the capacity, which is 1,024 for the fastest cores of a machine, where cores
// differ (Linux, Documentation/scheduler/sched-capacity.rst). It returns 0 if it gives none.
func fastOf(cpu fs.FS, cores []int) int {
	capacities, greatest := make([]int, len(cores)), 0
	for i, core := range cores {
		text, err := fs.ReadFile(cpu, fmt.Sprintf("cpu%d/cpu_capacity", core))
		if err != nil {
			return 0
		}
		if capacities[i], err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			return 0
		}
		greatest = max(greatest, capacities[i])
	}
	fast := 0
	for _, c := range capacities {
		if 3*c > 2*greatest {
			fast++
		}
	}
	return fast
}

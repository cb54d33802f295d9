package memlimit

import (
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Total returns how many bytes of memory this process may have, and whose limit that
// is: the machine's memory, or less where a container or ulimit allows less. It returns 0
// where that cannot be told.
func Total() (bytes float64, whose string) {
	lower := func(limit float64, name string) {
		if limit > 0 && (bytes == 0 || limit < bytes) {
			bytes, whose = limit, name
		}
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		lower(float64(info.Totalram)*float64(info.Unit), "the machine's")
	}
	if groups, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		lower(groupLimit(os.DirFS("/sys/fs/cgroup"), string(groups)), "the container's (cgroup's)")
	}
	var address unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &address) == nil && address.Cur != unix.RLIM_INFINITY {
		lower(float64(address.Cur), "the process's (ulimit -v)")
	}
	return bytes, whose
}

// groupLimit returns the least memory limit of the control groups that a process is in,
// given the folder in which they are mounted and its /proc/self/cgroup; 0 is none. See
// "Control Group v2" and "Memory Resource Controller" in the kernel's documentation.
func groupLimit(mounted fs.FS, groups string) float64 {
	least := 0.0
	for line := range strings.Lines(groups) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) < 3 {
			continue
		}
		root, file := "", "memory.max" // version 2: all controllers in one tree
		switch {
		case part[0] == "0" && part[1] == "":
		case strings.Contains(","+part[1]+",", ",memory,"):
			root, file = "memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// The limits of a group's ancestors hold for it, too. Inside a container the path
		// may be the host's: then only the root is there.
		for dir := path.Join("/", part[2]); ; dir = path.Dir(dir) {
			text, err := fs.ReadFile(mounted, strings.TrimPrefix(path.Join("/", root, dir, file), "/"))
			limit, parseErr := strconv.ParseFloat(strings.TrimSpace(string(text)), 64) // "max" is none
			const none = 1 << 60                                                       // version 1 has a number for none
			if err == nil && parseErr == nil && limit < none && (least == 0 || limit < least) {
				least = limit
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

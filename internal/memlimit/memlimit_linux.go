package memlimit

import (
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Total returns how many bytes of memory this process may have, and whose limit that is:
// the machine's memory, or a lower limit of a container or ulimit. It returns 0 if it
// can't tell.
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

// groupLimit returns the lowest memory limit in bytes of the control groups that a
// process is in, or 0 if there is none. mounted is the folder where control groups are
// mounted, and groups is the text of the process's /proc/self/cgroup. See "Control Group
// v2" and "Memory Resource Controller" in the kernel's documentation.
func groupLimit(mounted fs.FS, groups string) float64 {
	least := 0.0
	for line := range strings.Lines(groups) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) < 3 {
			continue
		}
		root, file := "", "memory.max" // version 2 has all controllers in one tree
		switch {
		case part[0] == "0" && part[1] == "":
		case strings.Contains(","+part[1]+",", ",memory,"):
			root, file = "memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// The limits of a group's ancestors hold for it too. Inside a container the path
		// may be the host's. Then only the root exists here.
		for dir := path.Join("/", part[2]); ; dir = path.Dir(dir) {
			text, err := fs.ReadFile(mounted, strings.TrimPrefix(path.Join("/", root, dir, file), "/"))
			limit, parseErr := strconv.ParseFloat(strings.TrimSpace(string(text)), 64) // "max" means no limit
			const none = 1 << 60                                                       // "no limit" in version 1
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

package memlimit

import (
	"testing"
	"testing/fstest"
)

// TestGroupLimit reads the memory limits of control groups of both versions.
func TestGroupLimit(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text + "\n")} }
	for _, c := range []struct {
		name   string
		groups string
		files  fstest.MapFS
		want   float64
	}{
		{"none", "", nil, 0},
		{"no limit", "0::/\n", fstest.MapFS{"memory.max": file("max")}, 0},
		{"a container's own root", "0::/\n", fstest.MapFS{"memory.max": file("1073741824")}, 1 << 30},
		{"a group", "0::/user/job\n", fstest.MapFS{"user/job/memory.max": file("1000000")}, 1e6},
		{"its parent's is less", "0::/user/job\n", fstest.MapFS{"user/job/memory.max": file("max"), "user/memory.max": file("500000"), "memory.max": file("900000")}, 5e5},
		{"the host's path", "0::/docker/0123\n", fstest.MapFS{"memory.max": file("7000000")}, 7e6},
		{"version 1", "9:name=systemd:/\n4:cpu,memory:/job\n0::/\n", fstest.MapFS{"memory/job/memory.limit_in_bytes": file("2000000")}, 2e6},
		{"version 1 without a limit", "4:memory:/job\n", fstest.MapFS{"memory/job/memory.limit_in_bytes": file("9223372036854771712")}, 0},
		{"nonsense", "x\n::\n0::/../..\n", fstest.MapFS{"memory.max": file("")}, 0},
	} {
		if got := groupLimit(c.files, c.groups); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

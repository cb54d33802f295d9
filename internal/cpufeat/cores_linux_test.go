package cpufeat

import (
	"fmt"
	"runtime"
	"testing"
	"testing/fstest"
)

// TestFastOf counts fast cores by what Linux says of their capacity.
func TestFastOf(t *testing.T) {
	capacities := func(all ...int) fstest.MapFS {
		files := fstest.MapFS{}
		for core, c := range all {
			files[fmt.Sprintf("cpu%d/cpu_capacity", core)] = &fstest.MapFile{Data: fmt.Appendf(nil, "%d\n", c)}
		}
		return files
	}
	phone := capacities(250, 250, 250, 250, 870, 870, 870, 1024)
	for _, c := range []struct {
		what  string
		cpu   fstest.MapFS
		cores []int
		want  int
	}{
		{"a phone", phone, []int{0, 1, 2, 3, 4, 5, 6, 7}, 4},
		{"its slow cores", phone, []int{0, 1, 2, 3}, 4},
		{"some of each", phone, []int{3, 4}, 1},
		// From the device trees of Linux: capacity-dmips-mhz times the highest frequency.
		{"an M1", capacities(460, 460, 460, 460, 1024, 1024, 1024, 1024), []int{0, 1, 2, 3, 4, 5, 6, 7}, 4},
		{"an M2", capacities(572, 572, 572, 572, 1024, 1024, 1024, 1024), []int{0, 1, 2, 3, 4, 5, 6, 7}, 4},
		{"a server", capacities(1024, 1024, 1024), []int{0, 1, 2}, 3},
		{"a system that doesn't tell", fstest.MapFS{}, []int{0, 1}, 0},
		{"one that doesn't tell of all", capacities(1024), []int{0, 1}, 0},
		{"no number", fstest.MapFS{"cpu0/cpu_capacity": {Data: []byte("fast\n")}}, []int{0}, 0},
	} {
		if got := fastOf(c.cpu, c.cores); got != c.want {
			t.Errorf("%s: %d fast cores, want %d", c.what, got, c.want)
		}
	}
}

func TestThreads(t *testing.T) {
	if n, most := Threads(), runtime.GOMAXPROCS(0); n < 1 || n > most {
		t.Errorf("%d threads, want from 1 to %d", n, most)
	}
}

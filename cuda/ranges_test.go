//go:build cuda

package cuda_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/cuda/sim"
)

// recorder stands for NVIDIA's library: it writes the names of ranges to the file named by RANGES, and "-" for an end.
const recorder = `
#include <stdio.h>
#include <stdlib.h>
static int say(const char *what) {
	FILE *f = fopen(getenv("RANGES"), "a");
	if (f == NULL) return -1;
	fprintf(f, "%s\n", what);
	return fclose(f);
}
int nvtxRangePushA(const char *name) { return say(name); }
int nvtxRangePop(void) { return say("-"); }
`

// TestRanges trains with a library that records ranges: they are nested, balanced, and name the layers.
func TestRanges(t *testing.T) {
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("there is no gcc to build the stand-in for NVIDIA's library with")
	}
	m := sim.Start(t)
	if !m.Simulated() {
		t.Skip("only the simulated machine has a profiler's library that counts")
	}
	dir := t.TempDir()
	source, file := filepath.Join(dir, "recorder.c"), filepath.Join(dir, "ranges")
	if err := os.WriteFile(source, []byte(recorder), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(compiler, "-shared", "-fPIC", "-o", filepath.Join(dir, "libnvToolsExt.so.1"), source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Setenv("RANGES", file)
	t.Setenv(driver.SearchVariable, os.Getenv(driver.SearchVariable)+string(os.PathListSeparator)+dir)
	_, p := compile(t, strict, 4)
	train(t, p, images(8), 3, 4)
	if _, err := p.TakeMetrics(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var open, paths []string
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if line != "-" {
			open = append(open, line)
			paths = append(paths, strings.Join(open, "/"))
			continue
		}
		if len(open) == 0 {
			t.Fatal("a range ends that never began")
		}
		open = open[:len(open)-1]
	}
	if len(open) > 0 {
		t.Errorf("ranges that don't end: %q", open)
	}
	for _, want := range []string{"upload", "step/gather", "step/conv1+relu1+pool1 forward", "step/loss", "step/dense2 backward", "step/update",
		"step/capture/conv1+relu1+pool1 backward", "wait"} {
		if !slices.Contains(paths, want) {
			t.Errorf("there is no range %q among %q", want, paths)
		}
	}
	if n := len(slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return p != "step" })); n != 3 {
		t.Errorf("%d ranges for 3 steps", n)
	}
}

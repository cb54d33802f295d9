//go:build cuda

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/testenv"
)

// few is little enough for a machine in software.
func few(t *testing.T) size {
	return size{
		verify: []string{"--model", "mlp", "--batch", "2"}, limit: 64, tests: "^TestOpenRefuses$|^TestMemoryRoundTripsOnStreams$",
		train:    []string{"--model", "mlp", "--data", dataset(t), "--learning-rate", "0.002", "--epochs", "3"},
		fast:     []string{"--batch", "10", "--augment", "none", "--learning-rate", "0.02"}, // moved bands would be those of other classes
		accuracy: 90, fastAccuracy: 90, benchmark: "^BenchmarkStep$/^mlp$/^fp32$/^50$", benchtime: "1x", simulated: true,
	}
}

// dataset writes images that are easy to tell apart, each class a bright band, as IDX files into a folder.
func dataset(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for part, n := range map[string]int{"train": 300, "t10k": 50} {
		const rows, columns = 28, 28
		images := []byte{0, 0, 8, 3, 0, 0, byte(n >> 8), byte(n), 0, 0, 0, rows, 0, 0, 0, columns}
		labels := []byte{0, 0, 8, 1, 0, 0, byte(n >> 8), byte(n)}
		for i := range n {
			class := i % 10
			labels = append(labels, byte(class))
			for p := range rows * columns {
				pixel := byte(0)
				if p/columns/2 == class {
					pixel = byte(200 + i%56)
				}
				images = append(images, pixel)
			}
		}
		for kind, content := range map[string][]byte{"-images-idx3-ubyte": images, "-labels-idx1-ubyte": labels} {
			if err := os.WriteFile(filepath.Join(dir, part+kind), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// sanitizer runs a program like compute-sanitizer, which needs a GPU, and finds nothing.
const sanitizer = `#!/bin/sh
[ "$1 $3 $4" = "--tool --error-exitcode 99" ] || exit 2
shift 4
"$@" && echo "========= ERROR SUMMARY: 0 errors"
`

// TestOnTheSimulator runs every step for real, but small, on a simulated GPU, which only this test lets pass.
func TestOnTheSimulator(t *testing.T) {
	if !testenv.Long() {
		t.Skip("building gputrain and its tests takes long: make test-long runs this")
	}
	t.Setenv(driver.SearchVariable, sim.Libraries(t))
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "compute-sanitizer"), []byte(sanitizer), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tools+string(filepath.ListSeparator)+os.Getenv("PATH"))
	s, err := newSuite()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.size = few(t)
	text, err := runSteps(t, context.Background(), false, s.steps()...)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, want := range []string{"simulated", "bytes are equal", "images/s", "tests passed", "ERROR SUMMARY: 0 errors"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(strings.SplitN(text, "\n", 2)[0], "not run") {
		t.Errorf("not everything ran:\n%s", text)
	}
	s.size.simulated = false
	if text, err := runSteps(t, context.Background(), false, s.steps()[:3]...); err == nil || !strings.Contains(text, "simulates a GPU") {
		t.Errorf("a simulated GPU is taken: %v\n%s", err, text)
	}
}

//go:build unix

package sim_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gputrain/gputrain/cuda/sim/internal/build"
)

// The libraries' own tests are C++ programs in src/*/test, linked to the three libraries as a program with CUDA is.
func TestLibraries(t *testing.T) {
	skipShort(t)
	for _, name := range []string{"core", "driver", "cudnn", "cublas"} {
		t.Run(name, func(t *testing.T) {
			program, err := build.ProgramWithLibraries(build.Target{
				Name: "test_" + name, Folders: []string{name + "/test"}, Flags: []string{"-O1"},
			})
			checkBuilt(t, err)
			runProgram(t, name, program, seedText(t))
		})
	}
}

// skipShort skips what takes long to build.
func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("building the simulator's C++ tests takes too long for -short")
	}
}

func checkBuilt(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, build.ErrNoCompiler) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// seedText is the seed of a C++ program's random numbers.
func seedText(t *testing.T) string {
	t.Helper()
	seed := int64(1)
	if value := os.Getenv("GPUTRAIN_TEST_SEED"); value != "" {
		if _, err := fmt.Sscan(value, &seed); err != nil {
			t.Fatalf("GPUTRAIN_TEST_SEED=%s: %v", value, err)
		}
	}
	return fmt.Sprint(seed)
}

// runProgram runs a test program in a folder of cuda/sim/src. It must end well and say that nothing failed.
func runProgram(t *testing.T, folder, program string, args ...string) {
	t.Helper()
	run := exec.Command(program, args...)
	run.Dir = filepath.Join("src", folder)
	run.Env = append(os.Environ(), "ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1", "UBSAN_OPTIONS=print_stacktrace=1")
	out, err := run.CombinedOutput()
	t.Logf("%s %v\n%s", filepath.Base(program), args, out)
	if err != nil {
		t.Fatalf("%s failed: %v", filepath.Base(program), err)
	}
	if !bytes.Contains(out, []byte(" 0 failures")) {
		t.Fatalf("%s did not report its end", filepath.Base(program))
	}
}

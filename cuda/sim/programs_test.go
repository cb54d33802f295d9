//go:build unix && !cuda

package sim_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cuda/sim/internal/build"
	"github.com/gputrain/gputrain/internal/testenv"
)

// The tests in C++ are the same whatever Go is built with, so the build without the tag cuda runs them.

// The libraries' own tests are C++ programs in src/*/test, linked to the libraries as a program with CUDA is.
func TestLibraries(t *testing.T) {
	skipShort(t)
	folders, err := filepath.Glob("src/*/test")
	if err != nil || len(folders) < 4 {
		t.Fatalf("tests only in %v, %v", folders, err)
	}
	for _, folder := range folders {
		name := filepath.Base(filepath.Dir(folder))
		if name == "ptx" {
			continue // TestPTXInterpreter's
		}
		t.Run(name, func(t *testing.T) {
			program, err := build.ProgramWithLibraries(build.Target{
				Name: "test_" + name, Folders: []string{name + "/test"}, Flags: []string{"-O1"},
			})
			checkBuilt(t, err)
			runProgram(t, name, program, fmt.Sprint(testenv.SeedOr(t, 1)))
		})
	}
}

// Programs that are right, for which nothing may be found under any schedule, and programs that each do one thing
// wrong, for which just that has to be found: src/programs.
func TestPrograms(t *testing.T) {
	skipShort(t)
	program, err := build.ProgramWithLibraries(build.Target{
		Name: "programs", Folders: []string{"programs"}, Flags: []string{"-O1"},
	})
	checkBuilt(t, err)
	for kind, seeds := range map[string]string{"right": "seeds=1..50", "wrong": "seeds=1..5"} {
		t.Run(kind, func(t *testing.T) {
			out, err := exec.Command(program, "run", "all-"+kind, seeds).CombinedOutput()
			passed := 0
			for line := range strings.Lines(string(out)) {
				if strings.HasPrefix(line, "PASS ") {
					passed++
				} else {
					t.Error(strings.TrimSpace(line))
				}
			}
			t.Logf("%d runs of %s programs passed, %s", passed, kind, seeds)
			if err != nil || passed == 0 {
				t.Error(err)
			}
		})
	}
	t.Run("checks", func(t *testing.T) { testChecks(t, program) })
}

// testChecks looks for a wrong program for each check that a machine can make: those of core.h, at least.
func testChecks(t *testing.T, program string) {
	list, err := exec.Command(program, "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	header, err := os.ReadFile(filepath.Join("src", "core", "core.h"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(header), "namespace check {")
	text, _, _ = strings.Cut(text, "namespace check")
	checks := regexp.MustCompile(`\[\] = "([^"]+)"`).FindAllStringSubmatch(text, -1)
	if len(checks) < 20 {
		t.Fatalf("only %d checks in core.h", len(checks))
	}
	for _, match := range checks {
		if !strings.Contains(string(list), " "+match[1]+"\n") {
			t.Errorf("no wrong program for %q", match[1])
		}
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

// runProgram runs a test program in a folder of cuda/sim/src. It must end well and say that nothing failed.
func runProgram(t *testing.T, folder, program string, args ...string) {
	t.Helper()
	run := exec.Command(program, args...)
	run.Dir = filepath.Join("src", folder)
	run.Env = append(os.Environ(), "ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1",
		"UBSAN_OPTIONS=print_stacktrace=1")
	out, err := run.CombinedOutput()
	t.Logf("%s %v\n%s", filepath.Base(program), args, out)
	if err != nil {
		t.Fatalf("%s failed: %v", filepath.Base(program), err)
	}
	if !bytes.Contains(out, []byte(" 0 failures")) {
		t.Fatalf("%s did not report its end", filepath.Base(program))
	}
}

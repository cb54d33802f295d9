//go:build unix

package build

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sources lays out a module with one program and makes it the working directory; the cache is empty.
func sources(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("no g++")
	}
	t.Setenv("CXX", "g++")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir()) // where some systems keep the cache
	t.Chdir(t.TempDir())
	write(t, "cuda/driver/include/api.h", "#define WHAT \"first\"\n")
	write(t, "cuda/sim/src/part/part.h", "#include \"api.h\"\n")
	write(t, "cuda/sim/src/part/main.cpp",
		"#include <cstdio>\n#include \"part/part.h\"\nint main() { std::puts(WHAT); }\n")
	write(t, "cuda/sim/src/part/below/other.cpp", "no C++ at all")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

var target = Target{Name: "program", Folders: []string{"part"}, Flags: []string{"-O0"}}

func TestProgram(t *testing.T) {
	sources(t)
	build := func(want string) string {
		t.Helper()
		program, err := Program(target)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(program).Output(); err != nil || string(out) != want+"\n" {
			t.Errorf("the program says %q, %v; want %q", out, err, want)
		}
		return program
	}
	first := build("first")
	info, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	write(t, "cuda/driver/include/other.h", "nobody includes this")
	if again := build("first"); again != first {
		t.Errorf("nothing changed, but %s became %s", first, again)
	}
	if again, err := os.Stat(first); err != nil || !again.ModTime().Equal(info.ModTime()) {
		t.Error("nothing changed, but it was linked again")
	}
	// A header that is included by a header.
	write(t, "cuda/driver/include/api.h", "#define WHAT \"second\"\n")
	build("second")
	t.Chdir("cuda/sim/src/part/below") // from anywhere in the module
	write(t, "../../../../driver/include/api.h", "#define WHAT \"first\"\n")
	if again := build("first"); again != first {
		t.Errorf("the old text gives %s, not %s", again, first)
	}
}

func TestProgramSaysWhatIsWrong(t *testing.T) {
	sources(t)
	write(t, "cuda/sim/src/part/main.cpp", "int main() { return nothing; }\n")
	if _, err := Program(target); err == nil || !strings.Contains(err.Error(), "part/main.cpp:1:") {
		t.Errorf("an error of the compiler: %v", err)
	}
	if _, err := Program(Target{Name: "none", Folders: []string{"none"}}); !errors.Is(err, ErrNoSource) {
		t.Errorf("no source: %v", err)
	}
	write(t, "cuda/sim/src/Makefile", "all:\n\t@echo the rule speaks; exit 1\n")
	if _, err := Libraries(); err == nil || !strings.Contains(err.Error(), "the rule speaks") {
		t.Errorf("a rule that fails: %v", err)
	}
	t.Setenv("CXX", "no-such-compiler")
	if _, err := Program(target); !errors.Is(err, ErrNoCompiler) {
		t.Errorf("no compiler: %v", err)
	}
	t.Setenv("CXX", "g++")
	t.Chdir(t.TempDir())
	if _, err := Libraries(); err == nil || !strings.Contains(err.Error(), "cuda/sim/src") {
		t.Errorf("outside of the module: %v", err)
	}
}

// What nobody used for long goes when something is built.
func TestCacheIsCleaned(t *testing.T) {
	sources(t)
	b, err := newBuilder()
	if err != nil {
		t.Fatal(err)
	}
	old, recent := filepath.Join(b.cache, "old.o"), filepath.Join(b.cache, "recent.o")
	write(t, old, "") // makes the folder too
	write(t, recent, "")
	info, err := os.Stat(old)
	if err != nil {
		t.Fatal(err)
	}
	long := info.ModTime().Add(-keep - 1)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	if _, err := Program(target); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("what was old is still there")
	}
	if _, err := os.Stat(recent); err != nil {
		t.Error("what was not old is gone")
	}
}

package sim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"testing"
)

// interpreterFlags builds the interpreter with the sanitizers, so that its fuzzer finds every access out of place.
// -ffp-contract=off keeps products and sums apart, as the interpreted instructions are.
var interpreterFlags = []string{
	"-std=c++17", "-O1", "-g1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math",
	"-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-I.",
}

// TestPTXInterpreter runs the interpreter's own test program (src/ptx/test): every instruction against a computation in
// C++, kernels from nvcc, wrong kernels that have to be caught, and a fuzzer. Building it takes most of the time, so a
// build is kept in the user's cache until a source changes.
func TestPTXInterpreter(t *testing.T) {
	if testing.Short() {
		t.Skip("building the PTX interpreter's tests takes too long for -short")
	}
	compiler := os.Getenv("CXX")
	if compiler == "" {
		compiler = "g++"
	}
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skipf("no C++ compiler: %v", err)
	}
	program := buildInterpreterTests(t, compiler)
	seed := int64(1)
	if value := os.Getenv("GPUTRAIN_TEST_SEED"); value != "" {
		if _, err := fmt.Sscan(value, &seed); err != nil {
			t.Fatalf("GPUTRAIN_TEST_SEED=%s: %v", value, err)
		}
	}
	run := exec.Command(program, "test/kernels", fmt.Sprint(seed), "instructions", "kernels", "wrong", "text", "fuzz")
	run.Dir = filepath.Join("src", "ptx")
	run.Env = append(os.Environ(), "ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1", "UBSAN_OPTIONS=print_stacktrace=1")
	out, err := run.CombinedOutput()
	t.Logf("GPUTRAIN_TEST_SEED=%d\n%s", seed, out)
	if err != nil {
		t.Fatalf("the interpreter's tests failed: %v", err)
	}
	if !bytes.Contains(out, []byte(" 0 failures")) {
		t.Fatal("the interpreter's tests did not report their end")
	}
}

func buildInterpreterTests(t *testing.T, compiler string) string {
	t.Helper()
	var sources, all []string
	root := filepath.Join("src", "ptx")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".cpp":
			sources = append(sources, path)
			all = append(all, path)
		case ".h":
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 10 {
		t.Fatalf("only %d sources under %s", len(sources), root)
	}
	sort.Strings(all)
	version, err := exec.Command(compiler, "--version").Output()
	if err != nil {
		t.Fatalf("%s --version: %v", compiler, err)
	}
	hash := sha256.New()
	fmt.Fprintln(hash, compiler, string(version), interpreterFlags)
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(hash, path, len(text))
		hash.Write(text)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	folder := filepath.Join(cache, "gputrain", "ptx-tests-"+hex.EncodeToString(hash.Sum(nil))[:20])
	program := filepath.Join(folder, "test_ptx")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	old, _ := filepath.Glob(filepath.Join(cache, "gputrain", "ptx-tests-*"))
	for _, path := range old {
		os.RemoveAll(path)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	// Objects go to a folder of this process, so that two of them at once don't mix; the program is moved into place.
	work := t.TempDir()
	var objects []string
	var mutex sync.Mutex
	var failed []error
	var wait sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for i, source := range sources {
		name, err := filepath.Rel(root, source)
		if err != nil {
			t.Fatal(err)
		}
		object := filepath.Join(work, fmt.Sprintf("%d.o", i))
		objects = append(objects, object)
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			compile := exec.Command(compiler, append(append([]string{}, interpreterFlags...), "-c", name, "-o", object)...)
			compile.Dir = root
			if out, err := compile.CombinedOutput(); err != nil {
				mutex.Lock()
				failed = append(failed, fmt.Errorf("%s: %w\n%s", name, err, out))
				mutex.Unlock()
			}
		})
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	built := filepath.Join(folder, fmt.Sprintf("test_ptx.%d", os.Getpid()))
	link := exec.Command(compiler, append(append(append([]string{}, interpreterFlags...), objects...), "-o", built)...)
	if out, err := link.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "asan") {
			t.Skipf("%s has no sanitizer libraries: %s", compiler, out)
		}
		t.Fatalf("link: %v\n%s", err, out)
	}
	if err := os.Rename(built, program); err != nil {
		t.Fatal(err)
	}
	return program
}

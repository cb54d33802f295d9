//go:build unix

// Package build builds the simulator's libraries, as `make sim` does, and the C++ test programs beside them. The
// programs are kept in the user's cache. Their names have a hash of compiler, flags and sources, so only what has
// changed is compiled again. If several test processes need a program, one builds it and the others wait.
package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	// ErrNoCompiler means that the machine has no C++ compiler: neither the one that CXX names nor g++.
	ErrNoCompiler = errors.New("no C++ compiler")
	// ErrNoSource means that a target's folders contain no C++.
	ErrNoSource = errors.New("no C++ source")
)

// A Target is a program.
type Target struct {
	Name    string   // name of its file, for example test_core
	Folders []string // folders under cuda/sim/src; every .cpp file in them is used, but not in their subfolders
	Flags   []string // flags of compiler and linker
	Link    []string // flags of the linker only, after the objects
}

// keep is how long an unused program stays in the cache.
const keep = 14 * 24 * time.Hour

// common holds the flags with which every program is compiled. -ffp-contract=off keeps products and sums apart, as
// instructions are.
var common = []string{
	"-std=c++17", "-g1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math",
	"-I.", "-I../../driver/include", "-DCUDNN_MAJOR=9", "-pthread",
}

// Libraries builds the libraries: libcuda.so.1, libcudnn.so.9 and so on. It returns the folder that contains them.
func Libraries() (string, error) {
	b, err := newBuilder()
	if err != nil {
		return "", err
	}
	return b.libraries()
}

// Program builds a program, with cuda/sim/src in the include path, and returns the path of its file.
func Program(t Target) (string, error) {
	b, err := newBuilder()
	if err != nil {
		return "", err
	}
	return b.build(t)
}

// ProgramWithLibraries builds a program that is linked with the libraries, and returns the path of its file.
func ProgramWithLibraries(t Target) (string, error) {
	b, err := newBuilder()
	if err != nil {
		return "", err
	}
	folder, err := b.libraries()
	if err != nil {
		return "", err
	}
	for _, name := range names {
		t.Link = append(t.Link, filepath.Join(folder, name))
	}
	t.Link = append(t.Link, "-Wl,-rpath,"+folder)
	return b.build(t)
}

var names = []string{"libcudnn.so.9", "libcublas.so.12", "libcublasLt.so.12", "libnccl.so.2", "libcuda.so.1"}

// libraries runs the rule that `make sim` runs.
func (b *builder) libraries() (string, error) {
	// Make checks the sources itself. Reading them here tells `go test` that its result depends on them.
	if _, err := hash(nil, b.all...); err != nil {
		return "", err
	}
	folder := filepath.Join(filepath.Dir(b.source), "build")
	lock, err := lock(folder)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	jobs := fmt.Sprintf("-j%d", runtime.NumCPU())
	rule := exec.Command("make", "--no-print-directory", "-C", b.source, jobs, "CXX="+b.compiler)
	rule.ExtraFiles = []*os.File{lock}                          // make holds it while it runs, even if the test is killed
	rule.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=") // not the values of a make that runs the tests
	if out, err := rule.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make the simulator: %w\n%s", err, out)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return "", err
		}
	}
	return folder, nil
}

// builder holds what all targets share.
type builder struct {
	source   string // the folder cuda/sim/src
	cache    string
	compiler string
	base     []byte   // hash of compiler and common flags
	all      []string // sources and headers
}

func newBuilder() (*builder, error) {
	b := &builder{compiler: os.Getenv("CXX")}
	if b.compiler == "" {
		b.compiler = "g++"
	}
	version, err := exec.Command(b.compiler, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoCompiler, err)
	}
	if b.source, err = Source(); err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	b.cache = filepath.Join(cache, "gputrain", "sim")
	if b.base, err = hash([]byte(b.compiler + "\n" + string(version) + "\n" + strings.Join(common, " "))); err != nil {
		return nil, err
	}
	for _, folder := range []string{b.source, filepath.Join(b.source, "..", "..", "driver", "include")} {
		if b.all, err = appendFiles(b.all, folder); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Source finds the folder cuda/sim/src of this module, in which a test runs.
func Source() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		source := filepath.Join(folder, "cuda", "sim", "src")
		if _, err := os.Stat(source); err == nil {
			return source, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("the simulator is built from cuda/sim/src, which is not above the working directory")
		}
		folder = parent
	}
}

// source is one file of a target, and the object that it becomes. The object's name has a hash of everything that goes
// into it.
type source struct{ path, object string }

// build makes a program in a folder of the cache, and returns the path of its file.
func (b *builder) build(t Target) (string, error) {
	sources, err := b.plan(t)
	if err != nil {
		return "", err
	}
	text := append(append([]string{t.Name}, t.Flags...), t.Link...)
	for _, s := range sources {
		text = append(text, s.object)
	}
	key, err := hash([]byte(strings.Join(text, "\n")))
	if err != nil {
		return "", err
	}
	folder := filepath.Join(b.cache, t.Name+"-"+hex.EncodeToString(key)[:20])
	program := filepath.Join(folder, t.Name)
	now := time.Now()
	if os.Chtimes(folder, now, now) == nil {
		return program, nil
	}
	lock, err := lock(b.cache)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if _, err := os.Stat(folder); err == nil { // another process was quicker
		return program, nil
	}
	b.clean(now)
	if err := b.compile(sources, t.Flags); err != nil {
		return "", err
	}
	return program, b.link(folder, t, sources)
}

// plan finds a target's sources.
func (b *builder) plan(t Target) ([]source, error) {
	var found []source
	for _, path := range b.all {
		name, err := filepath.Rel(b.source, path)
		if err != nil {
			return nil, err
		}
		if filepath.Ext(path) != ".cpp" || !slices.Contains(t.Folders, filepath.Dir(name)) {
			continue
		}
		headers, err := b.included(path, t.Flags)
		if err != nil {
			return nil, err
		}
		key, err := hash(append(slices.Clone(b.base), strings.Join(t.Flags, " ")...), append(headers, path)...)
		if err != nil {
			return nil, err
		}
		found = append(found, source{path, filepath.Join(b.cache, hex.EncodeToString(key)[:20]+".o")})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: %v of %s: %w", t.Name, t.Folders, b.source, ErrNoSource)
	}
	return found, nil
}

var include = regexp.MustCompile(`(?m)^\s*#\s*include\s*["<]([^">]+)[">]`)

// included lists our headers that a file includes, directly or indirectly.
func (b *builder) included(path string, flags []string) ([]string, error) {
	folders := []string{b.source, filepath.Join(b.source, "..", "..", "driver", "include")}
	for _, flag := range flags {
		if folder, ok := strings.CutPrefix(flag, "-I"); ok {
			folders = append(folders, filepath.Join(b.source, folder))
		}
	}
	var found []string
	for todo := []string{path}; len(todo) > 0; todo = todo[1:] {
		text, err := os.ReadFile(todo[0])
		if err != nil {
			return nil, err
		}
		for _, match := range include.FindAllSubmatch(text, -1) {
			for _, folder := range append([]string{filepath.Dir(todo[0])}, folders...) {
				header := filepath.Join(folder, string(match[1]))
				if _, err := os.Stat(header); err != nil {
					continue // it is in the next folder, or it is the system's
				}
				if !slices.Contains(found, header) {
					found, todo = append(found, header), append(todo, header)
				}
				break
			}
		}
	}
	slices.Sort(found)
	return found, nil
}

// link links a program in a temporary folder. When the program is done, that folder takes the place of folder.
func (b *builder) link(folder string, t Target, sources []source) error {
	work, err := os.MkdirTemp(b.cache, "work-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	args := append([]string{"-o", filepath.Join(work, t.Name), "-pthread"}, t.Flags...)
	for _, s := range sources {
		args = append(args, s.object)
	}
	if out, err := exec.Command(b.compiler, append(args, t.Link...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("link %s: %w\n%s", t.Name, err, out)
	}
	return os.Rename(work, folder)
}

// compile makes the objects that are missing.
func (b *builder) compile(sources []source, flags []string) error {
	var mutex sync.Mutex
	var failed []error
	var wait sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for _, s := range sources {
		now := time.Now()
		if os.Chtimes(s.object, now, now) == nil {
			continue
		}
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := b.object(s, flags); err != nil {
				mutex.Lock()
				failed = append(failed, err)
				mutex.Unlock()
			}
		})
	}
	wait.Wait()
	return errors.Join(failed...)
}

func (b *builder) object(s source, flags []string) error {
	name, err := filepath.Rel(b.source, s.path)
	if err != nil {
		return err
	}
	args := append(slices.Clone(common), flags...)
	compile := exec.Command(b.compiler, append(args, "-c", name, "-o", s.object+".part")...)
	compile.Dir = b.source
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w\n%s", name, err, out)
	}
	return os.Rename(s.object+".part", s.object)
}

// lock prevents other processes from building in a folder at the same time, until the file is closed.
func lock(folder string) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return file, nil
}

// clean removes what has not been used for a long time. If something can't be removed, that does no harm.
func (b *builder) clean(now time.Time) {
	entries, _ := os.ReadDir(b.cache)
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && entry.Name() != "lock" && now.Sub(info.ModTime()) > keep {
			os.RemoveAll(filepath.Join(b.cache, entry.Name()))
		}
	}
}

// appendFiles adds the C++ sources and headers of a folder and of its subfolders to list.
func appendFiles(list []string, folder string) ([]string, error) {
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && slices.Contains([]string{".cpp", ".h"}, filepath.Ext(path)) {
			list = append(list, path)
		}
		return err
	})
	return list, err
}

// hash returns a hash of a text and files. Reading the files also tells `go test` that its result depends on them.
func hash(text []byte, files ...string) ([]byte, error) {
	h := sha256.New()
	fmt.Fprintln(h, len(text))
	h.Write(text)
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(h, filepath.Base(path), len(text))
		h.Write(text)
	}
	return h.Sum(nil), nil
}

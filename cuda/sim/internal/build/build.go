//go:build unix

// Package build compiles the simulator's libraries and the C++ test programs beside them. What it made is kept in the
// user's cache, under a hash of compiler, flags and sources, so that only what changed is compiled again and several
// test processes share one build.
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

// ErrNoCompiler says that the machine has no C++ compiler: neither what CXX names nor g++.
var ErrNoCompiler = errors.New("no C++ compiler")

// A Target is one file that compiler and linker make.
type Target struct {
	Name    string   // of the file: libcuda.so.1, test_core
	Folders []string // under cuda/sim/src: every .cpp in them, but not in their folders named test
	Flags   []string // of compiler and linker
	Link    []string // of the linker alone, after the objects
}

// keep is how long what nobody used stays in the cache.
const keep = 14 * 24 * time.Hour

// common is what every file is compiled with. -ffp-contract=off keeps products and sums apart, as instructions are.
var common = []string{
	"-std=c++17", "-g1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math",
	"-I.", "-I../../driver/include", "-DCUDNN_MAJOR=9", "-pthread",
}

// Libraries builds libcuda.so.1, libcudnn.so.9 and libcublas.so.12 and returns the folder that holds them.
func Libraries() (string, error) {
	b, err := newBuilder()
	if err != nil {
		return "", err
	}
	return b.libraries()
}

// Program builds a program, with the include path of cuda/sim/src, and returns its file.
func Program(t Target) (string, error) {
	b, err := newBuilder()
	if err != nil {
		return "", err
	}
	folder, err := b.build(t.Name, t)
	return filepath.Join(folder, t.Name), err
}

// ProgramWithLibraries builds a program that is linked against the three libraries, and returns its file.
func ProgramWithLibraries(t Target) (string, error) {
	b, err := newBuilder()
	if err != nil {
		return "", err
	}
	folder, err := b.libraries()
	if err != nil {
		return "", err
	}
	for _, name := range []string{"libcudnn.so.9", "libcublas.so.12", "libcuda.so.1"} {
		t.Link = append(t.Link, filepath.Join(folder, name))
	}
	t.Link = append(t.Link, "-Wl,-rpath,"+folder)
	folder, err = b.build(t.Name, t)
	return filepath.Join(folder, t.Name), err
}

func (b *builder) libraries() (string, error) {
	library := func(name string, folders ...string) Target {
		return Target{
			Name: name, Folders: folders, Flags: []string{"-O2", "-fPIC", "-fvisibility=hidden"},
			Link: []string{"-shared", "-Wl,-soname," + name, "-Wl,-rpath,$ORIGIN", "-Wl,-Bsymbolic", "-Wl,-z,defs", "-ldl"},
		}
	}
	cuda := library("libcuda.so.1", "core", "driver", "ptx")
	dnn, blas := library("libcudnn.so.9", "cudnn"), library("libcublas.so.12", "cublas")
	// The linker finds the first library beside the others: they are made in its folder, in this order.
	dnn.Link = append(dnn.Link, "./libcuda.so.1")
	blas.Link = append(blas.Link, "./libcuda.so.1")
	return b.build("libraries", cuda, dnn, blas)
}

// builder holds what every target has in common.
type builder struct {
	source   string // the folder cuda/sim/src
	cache    string
	compiler string
	base     []byte // hash of compiler and common flags
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
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return nil, err
	}
	b.base, err = hash([]byte(b.compiler + "\n" + string(version) + "\n" + strings.Join(common, " ")))
	return b, err
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
			return "", errors.New("cuda/sim/src is not above the working directory: the simulator is built from its sources")
		}
		folder = parent
	}
}

// part is one target with its objects, which may not be there yet.
type part struct {
	Target
	sources, objects []string
}

// build makes targets in one folder of the cache and returns the folder.
func (b *builder) build(name string, targets ...Target) (string, error) {
	var parts []part
	key := b.base
	for _, t := range targets {
		p, err := b.plan(t)
		if err != nil {
			return "", err
		}
		parts = append(parts, p)
		text := strings.Join(append(append([]string{t.Name}, p.objects...), append(t.Flags, t.Link...)...), "\n")
		if key, err = hash(append(key, text...)); err != nil {
			return "", err
		}
	}
	folder := filepath.Join(b.cache, name+"-"+hex.EncodeToString(key)[:20])
	now := time.Now()
	if os.Chtimes(folder, now, now) == nil {
		return folder, nil
	}
	unlock, err := b.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(folder); err == nil { // another process was quicker
		return folder, nil
	}
	b.clean(now)
	return folder, b.make(folder, parts)
}

// plan finds a target's sources and names its objects, each by a hash of all that goes into it.
func (b *builder) plan(t Target) (part, error) {
	p := part{Target: t}
	for _, folder := range t.Folders {
		sources, err := files(".cpp", filepath.Join(b.source, folder))
		if err != nil {
			return p, err
		}
		for _, source := range sources {
			within, err := filepath.Rel(filepath.Join(b.source, folder), source)
			if err != nil {
				return p, err
			}
			if strings.HasPrefix(within, "test"+string(filepath.Separator)) {
				continue
			}
			headers, err := b.included(source, t.Flags)
			if err != nil {
				return p, err
			}
			key, err := hash(append(append([]byte(nil), b.base...), strings.Join(t.Flags, " ")...), append(headers, source)...)
			if err != nil {
				return p, err
			}
			p.sources = append(p.sources, source)
			p.objects = append(p.objects, filepath.Join(b.cache, hex.EncodeToString(key)[:20]+".o"))
		}
	}
	if len(p.sources) == 0 {
		return p, fmt.Errorf("%s: no C++ source in %v of %s", t.Name, t.Folders, b.source)
	}
	return p, nil
}

var include = regexp.MustCompile(`(?m)^\s*#\s*include\s*["<]([^">]+)[">]`)

// included lists the headers of ours that a file includes, directly or not.
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
					continue // the next folder has it, or it is the system's
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

// make compiles what is missing and links in a folder of its own, which takes its place when all is done.
func (b *builder) make(folder string, parts []part) error {
	if err := b.compile(parts); err != nil {
		return err
	}
	work, err := os.MkdirTemp(b.cache, "work-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	for _, p := range parts {
		args := append(append([]string{"-o", p.Name}, p.Flags...), p.objects...)
		link := exec.Command(b.compiler, append(append(args, "-pthread"), p.Link...)...)
		link.Dir = work
		if out, err := link.CombinedOutput(); err != nil {
			return fmt.Errorf("link %s: %w\n%s", p.Name, err, out)
		}
	}
	return os.Rename(work, folder)
}

func (b *builder) compile(parts []part) error {
	var mutex sync.Mutex
	var failed []error
	var wait sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for _, p := range parts {
		for i, source := range p.sources {
			now := time.Now()
			if os.Chtimes(p.objects[i], now, now) == nil {
				continue
			}
			wait.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if err := b.object(source, p.objects[i], p.Flags); err != nil {
					mutex.Lock()
					failed = append(failed, err)
					mutex.Unlock()
				}
			})
		}
	}
	wait.Wait()
	return errors.Join(failed...)
}

func (b *builder) object(source, object string, flags []string) error {
	name, err := filepath.Rel(b.source, source)
	if err != nil {
		return err
	}
	args := append(append([]string{}, common...), flags...)
	// The name is relative, so that an object is the same wherever the sources lie.
	compile := exec.Command(b.compiler, append(args, "-c", name, "-o", object+".part")...)
	compile.Dir = b.source
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w\n%s", name, err, out)
	}
	return os.Rename(object+".part", object)
}

// lock keeps other processes from building the same at the same time.
func (b *builder) lock() (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(b.cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return func() { file.Close() }, nil
}

// clean removes what was not used for long; what can't be removed does no harm.
func (b *builder) clean(now time.Time) {
	entries, _ := os.ReadDir(b.cache)
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && entry.Name() != "lock" && now.Sub(info.ModTime()) > keep {
			os.RemoveAll(filepath.Join(b.cache, entry.Name()))
		}
	}
}

// files lists what ends so in some folders and below, in a fixed order.
func files(suffix string, folders ...string) ([]string, error) {
	var found []string
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && filepath.Ext(path) == suffix {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// hash sums up a text and files. Reading the files also tells `go test` that its result hangs on them.
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

//go:build cuda && cgo && linux && (amd64 || arm64)

package sim

/*
#cgo LDFLAGS: -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

static int call_text(void *f, const char *text) { return ((int (*)(const char *))f)(text); }
static int call_init(void *f) { return ((int (*)(unsigned))f)(0); }
static const char *call_report(void *f, int final) { return ((const char *(*)(int))f)(final); }
static const char *call_error(void *f) { return ((const char *(*)(void))f)(); }
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/gputrain/gputrain/cuda/sim/internal/build"
)

// searchVariable is driver.SearchVariable, which tests of package driver itself couldn't import through here.
const searchVariable = "GPUTRAIN_CUDA_LIBS"

// A Machine is the CUDA machine that a test has to itself: the simulated one, or a real
// GPU where the tests run on one. A process has only one, so tests take turns.
type Machine struct {
	t        testing.TB
	seed     int64
	expected []string
	gpu      bool // the machine's own
}

// control holds the functions by which libcuda.so.1 is steered.
type control struct{ reset, set, report, err, init unsafe.Pointer }

var (
	load    = sync.OnceValues(loadControl)
	running sync.Mutex // held while a test has the machine
)

// onlySimulated is how the reasons begin for which a test is skipped on a GPU.
const onlySimulated = "only the simulated machine has "

// notOnGPU gives the first of some options that a GPU can't be asked for, or "". Schedules are for the simulator alone,
// but a test over several of them is as good a test on a GPU, which has its own.
func notOnGPU(options []Option) Option {
	for _, o := range options {
		if key, _, _ := strings.Cut(string(o), "="); key != "seed" && key != "schedule" {
			return o
		}
	}
	return ""
}

// Start gives the test a fresh machine and sets GPUTRAIN_CUDA_LIBS, so that driver.Open finds it. The first Start of a
// process builds the libraries and must come before the first driver.Open. Until the test ends, the calling goroutine
// is locked to its thread, which has no current context.
//
// At the test's end, after its own cleanups, whatever the machine found and whatever is still alive fails the test.
// What gorgonia's finalizers free counts as freed.
//
// It skips the test where the simulator can't be built: without a C++ compiler or the build tag cuda.
//
// With GPUTRAIN_TEST_GPU=1 it touches neither GPUTRAIN_CUDA_LIBS nor a simulator, and driver.Open finds what the machine
// has. A test that asks for what only the simulator has, here or later, is skipped from there on.
func Start(t testing.TB, options ...Option) *Machine {
	t.Helper()
	if onGPU() {
		return startGPU(t, options)
	}
	c, err := load()
	if errors.Is(err, build.ErrNoCompiler) {
		t.Skipf("the simulator can't be built: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	config, seed, err := configuration(firstSeed(t), options)
	if err != nil {
		t.Fatal(err)
	}
	if !running.TryLock() {
		t.Fatal("a process has one simulated machine, and another test has it")
	}
	runtime.LockOSThread()
	finalize() // what an earlier test left behind must not be freed on the new machine
	if err := c.call(c.reset, config); err != nil {
		running.Unlock()
		t.Fatal(err)
	}
	// Product code calls cuInit once a process; the machine is new.
	C.call_init(c.init)
	m := &Machine{t: t, seed: seed}
	t.Cleanup(func() {
		defer running.Unlock()
		defer runtime.UnlockOSThread()
		m.end(config)
	})
	return m
}

func startGPU(t testing.TB, options []Option) *Machine {
	t.Helper()
	if o := notOnGPU(options); o != "" {
		t.Skip(onlySimulated + string(o))
	}
	_, seed, err := configuration(firstSeed(t), options)
	if err != nil {
		t.Fatal(err)
	}
	if !running.TryLock() {
		t.Fatal("another test has the GPU")
	}
	runtime.LockOSThread()
	t.Cleanup(func() {
		defer running.Unlock()
		defer runtime.UnlockOSThread()
		finalize()
	})
	return &Machine{t: t, seed: seed, gpu: true}
}

// Simulated reports whether this is the simulator, not the machine's own GPU.
func (m *Machine) Simulated() bool { return !m.gpu }

// need skips the test on a GPU, as it wants what only the simulator has.
func (m *Machine) need(what string) {
	m.t.Helper()
	if m.gpu {
		m.t.Skip(onlySimulated + what)
	}
}

// Seed returns the seed of the schedule. A test can use it for its own random numbers, too.
func (m *Machine) Seed() int64 { return m.seed }

// Set changes what may change while the machine runs: faults, OOM, Timeout and Lost, which count from now.
func (m *Machine) Set(options ...Option) {
	m.t.Helper()
	m.need("faults")
	c, _ := load()
	for _, o := range options {
		if err := c.call(c.set, string(o)); err != nil {
			m.t.Fatal(err)
		}
	}
}

// Report gives what the machine has seen up to now. What is alive is no leak yet.
func (m *Machine) Report() Report {
	m.t.Helper()
	m.need("findings and counters")
	return m.report(false)
}

// Counters gives the machine's counters: calls by name, work and bytes by kind.
func (m *Machine) Counters() map[string]int64 {
	m.t.Helper()
	return m.Report().Counters
}

// Expect says that the test does something wrong: it fails unless the machine finds each of these checks, and not
// because of them. LeakCheck stands for leaks.
func (m *Machine) Expect(checks ...string) {
	m.t.Helper()
	m.need("findings")
	m.expected = append(m.expected, checks...)
}

func (m *Machine) report(final bool) Report {
	m.t.Helper()
	c, _ := load()
	flag := C.int(0)
	if final {
		flag = 1
	}
	r, err := parse(C.GoString(C.call_report(c.report, flag)))
	if err != nil {
		m.t.Fatal(err)
	}
	return r
}

func (m *Machine) end(config string) {
	m.t.Helper()
	finalize()
	wrong := judge(m.report(true), m.expected)
	for _, w := range wrong {
		m.t.Error(w)
	}
	if m.t.Failed() {
		m.t.Logf("the simulator's configuration: %q", config)
	}
}

// Libraries builds the libraries and returns the folder to name in GPUTRAIN_CUDA_LIBS for a program of its own.
func Libraries(t testing.TB) string {
	t.Helper()
	if onGPU() {
		t.Skip(onlySimulated + "libraries to build")
	}
	folder, err := build.Libraries()
	if errors.Is(err, build.ErrNoCompiler) {
		t.Skipf("the simulator can't be built: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func loadControl() (control, error) {
	var c control
	folder, err := build.Libraries()
	if err != nil {
		return c, err
	}
	// A library of that name in the process would be what the loader gives out again and again.
	if other := open("libcuda.so.1", C.RTLD_NOW|C.RTLD_NOLOAD); other != nil {
		return c, errors.New("a libcuda.so.1 was loaded before sim.Start")
	}
	if err := os.Setenv(searchVariable, folder); err != nil {
		return c, err
	}
	handle := open(filepath.Join(folder, "libcuda.so.1"), C.RTLD_NOW|C.RTLD_LOCAL)
	if handle == nil {
		return c, fmt.Errorf("load the simulator: %s", C.GoString(C.dlerror()))
	}
	for _, s := range []struct {
		name string
		to   *unsafe.Pointer
	}{{"simReset", &c.reset}, {"simSet", &c.set}, {"simReport", &c.report}, {"simError", &c.err}, {"cuInit", &c.init}} {
		name := C.CString(s.name)
		*s.to = C.dlsym(handle, name)
		C.free(unsafe.Pointer(name))
		if *s.to == nil {
			return c, fmt.Errorf("the simulator has no %s", s.name)
		}
	}
	return c, nil
}

func open(file string, flags C.int) unsafe.Pointer {
	name := C.CString(file)
	defer C.free(unsafe.Pointer(name))
	return C.dlopen(name, flags)
}

// call hands a configuration to simReset or simSet.
func (c control) call(f unsafe.Pointer, config string) error {
	text := C.CString(config)
	defer C.free(unsafe.Pointer(text))
	if C.call_text(f, text) != 0 {
		return fmt.Errorf("the simulator refuses %q: %s", config, C.GoString(C.call_error(c.err)))
	}
	return nil
}

// finalize runs the finalizers of everything that is garbage now: those of gorgonia's descriptors free them.
func finalize() {
	runtime.GC() // queues them
	// Finalizers run one after the other in batches. A sentinel queued after another one ran is in a later batch than
	// it, so that the batches before are done.
	for range 2 {
		done := make(chan struct{})
		sentinel := &struct{ keep []byte }{make([]byte, 1)}
		runtime.SetFinalizer(sentinel, func(any) { close(done) })
		sentinel = nil
		runtime.GC()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
		}
	}
}

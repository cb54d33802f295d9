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

// searchVariable equals driver.SearchVariable. It is repeated here because tests of package driver itself could not
// import this package otherwise.
const searchVariable = "GPUTRAIN_CUDA_LIBS"

// A Machine is the CUDA machine that one test has for itself: the simulated one, or the real GPU if tests run on a
// GPU. A process has only one machine, so tests take turns.
type Machine struct {
	t        testing.TB
	seed     int64
	expected []string
	gpu      bool // the machine's own
}

// control holds the functions of libcuda.so.1 that control the simulator.
type control struct{ reset, set, report, err, init unsafe.Pointer }

var (
	load    = sync.OnceValues(loadControl)
	running sync.Mutex // held while a test has the machine
)

// onlySimulated is the beginning of the reasons for skipping a test on a GPU.
const onlySimulated = "only the simulated machine has "

// notOnGPU returns the first of some options that a GPU doesn't have, or "". Schedules are only for the simulator, but
// a test over several schedules is useful on a GPU too, so they are accepted. So is patience, which ends only what
// hangs.
func notOnGPU(options []Option) Option {
	for _, o := range options {
		if key, _, _ := strings.Cut(string(o), "="); key != "seed" && key != "schedule" && key != "patience" {
			return o
		}
	}
	return ""
}

// Start gives the test a fresh machine and sets GPUTRAIN_CUDA_LIBS, so that driver.Open finds it. The first Start of a
// process builds the libraries, and must come before the first driver.Open. Until the test ends, the calling goroutine
// is locked to its thread, which has no current context.
//
// At the end of the test, after its own cleanups, the test fails if the machine found something wrong or if something
// was not freed. What gorgonia's finalizers free counts as freed.
//
// If the simulator can't be built, the test is skipped. That is so without a C++ compiler or the build tag cuda.
//
// With GPUTRAIN_TEST_GPU=1 there is no simulator and GPUTRAIN_CUDA_LIBS isn't set, so driver.Open finds the machine's
// own libraries. A test is skipped as soon as it asks for what only the simulator has, here or later.
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
	finalize() // otherwise what an earlier test left would be freed on the new machine
	if err := c.call(c.reset, config); err != nil {
		running.Unlock()
		t.Fatal(err)
	}
	// Product code calls cuInit once a process, but the machine is new.
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

// Simulated reports whether this is the simulator, and not the machine's own GPU.
func (m *Machine) Simulated() bool { return !m.gpu }

// need skips the test on a GPU, because it needs what only the simulator has.
func (m *Machine) need(what string) {
	m.t.Helper()
	if m.gpu {
		m.t.Skip(onlySimulated + what)
	}
}

// Seed returns the seed of the schedule. A test can use it for its own random numbers, too.
func (m *Machine) Seed() int64 { return m.seed }

// Set changes options that may change while the machine runs: faults, OOM, Timeout, Lost and AsyncError. They count from
// now.
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

// Report returns what the machine has seen so far. What has not been freed yet is no leak.
func (m *Machine) Report() Report {
	m.t.Helper()
	m.need("findings and counters")
	return m.report(false)
}

// Counters returns the machine's counters: calls by name, and work and bytes by kind.
func (m *Machine) Counters() map[string]int64 {
	m.t.Helper()
	return m.Report().Counters
}

// Moved returns the memory traffic since the machine was started, by name: "kernel bias_add",
// "cudnnConvolutionForward", "memset". It is empty unless the machine was started with [Traffic].
func (m *Machine) Moved() map[string]Moved {
	m.t.Helper()
	return moved(m.Counters())
}

// Expect tells that the test does something wrong on purpose. The test then fails unless the machine finds each of
// these checks, and these findings don't make it fail. LeakCheck stands for leaks.
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

// Libraries builds the libraries and returns their folder. A program that the test starts finds them by
// GPUTRAIN_CUDA_LIBS.
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
	// If the process had loaded another library of that name, the loader would return that one again.
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

// call passes a configuration to simReset or simSet.
func (c control) call(f unsafe.Pointer, config string) error {
	text := C.CString(config)
	defer C.free(unsafe.Pointer(text))
	if C.call_text(f, text) != 0 {
		return fmt.Errorf("the simulator refuses %q: %s", config, C.GoString(C.call_error(c.err)))
	}
	return nil
}

// finalize runs the finalizers of everything that is garbage now. Those of gorgonia's descriptors free the
// descriptors.
func finalize() {
	runtime.GC() // queues the finalizers
	// Finalizers run one after the other, in batches. A sentinel that is queued after another one ran is in a later
	// batch. So the earlier batches are done.
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

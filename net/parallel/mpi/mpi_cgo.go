//go:build cgo && (linux || darwin)

package mpi

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Handles are pointers in Open MPI and in MPI 5's interface, and int in MPICH's. Both are passed in registers of 64 bits, of
// which MPICH takes the lower half. So one declaration serves all.
typedef intptr_t handle;

static int init_thread(void *f, int required, int *provided) {
	return ((int (*)(int *, char ***, int, int *))f)(NULL, NULL, required, provided);
}
static int of_comm(void *f, handle comm, int *v) { return ((int (*)(handle, int *))f)(comm, v); }
static int set_errhandler(void *f, handle comm, handle errors) { return ((int (*)(handle, handle))f)(comm, errors); }
static int text(void *f, int code, char *s, int *n) { return ((int (*)(int, char *, int *))f)(code, s, n); }
static int version(void *f, char *s, int *n) { return ((int (*)(char *, int *))f)(s, n); }
static int allreduce(void *f, void *in_place, void *buffer, int n, handle type, handle op, handle comm) {
	return ((int (*)(const void *, void *, int, handle, handle, handle))f)(in_place, buffer, n, type, op, comm);
}
static int bcast(void *f, void *buffer, int n, handle type, handle comm) {
	return ((int (*)(void *, int, handle, int, handle))f)(buffer, n, type, 0, comm);
}
static int abort_all(void *f, handle comm, int code) { return ((int (*)(handle, int))f)(comm, code); }
static int finalize(void *f) { return ((int (*)(void))f)(); }
static void *address(uintptr_t v) { return (void *)v; }
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"unsafe"
)

// constants are what a family's mpi.h defines. Handles of Open MPI are addresses of symbols.
type constants struct {
	world, float, double, octet, sum, errorsReturn C.handle
	inPlace                                        C.uintptr_t
	funneled                                       C.int
}

var (
	constantsOfMPICH = constants{world: 0x44000000, float: 0x4c00040a, double: 0x4c00080b, octet: 0x4c00010d, sum: 0x58000003,
		errorsReturn: 0x54000001, inPlace: ^C.uintptr_t(0), funneled: 1}
	constantsOfStandard = constants{world: 0x101, float: 0x210, double: 0x214, octet: 0x247, sum: 0x21, errorsReturn: 0x143, inPlace: 1, funneled: 1024}
)

// opened tells that the process has opened MPI. A second time, or with a second library, can't
// work.
var opened atomic.Bool

// functions are those that are called, in the order of calls.
var functions = []string{
	"MPI_Init_thread", "MPI_Comm_set_errhandler", "MPI_Comm_rank", "MPI_Comm_size", "MPI_Get_library_version",
	"MPI_Error_string", "MPI_Allreduce", "MPI_Bcast", "MPI_Abort", "MPI_Finalize",
}

// staged is the size of the memory that values pass through on their way. Go's memory isn't
// given to MPI: its libraries register what they are given with network cards, and don't
// learn when Go gives memory back.
const staged = 4 << 20

// communicator is one that uses a library. All
// calls of MPI come from one thread.
type communicator struct {
	calls      chan func()
	family     Family
	version    string
	path       string
	rank, size int
	of         map[string]unsafe.Pointer
	is         constants
	staging    unsafe.Pointer
	closed     bool
}

// Open finds the library and joins the size processes that were started together, which all
// must call it. It looks first for a library of the family, that of the launcher, if it isn't
// "". A process can open MPI once.
func Open(family Family, size int) (Communicator, error) {
	c := &communicator{calls: make(chan func()), of: map[string]unsafe.Pointer{}}
	go func() {
		runtime.LockOSThread()
		for f := range c.calls {
			f()
		}
	}()
	var err error
	c.do(func() { err = c.open(family) })
	if err == nil && c.size != size {
		err = fmt.Errorf("mpi: %d processes were started, but %s (%s) connects %d: it is not the launcher's; %s names another library", size, c.version, c.path, c.size, LibraryVariable)
	}
	if err != nil {
		close(c.calls)
		return nil, err
	}
	return c, nil
}

// do runs f on the thread of MPI.
func (c *communicator) do(f func()) {
	done := make(chan struct{})
	c.calls <- func() { f(); close(done) }
	<-done
}

func (c *communicator) open(family Family) error {
	list := names(family, fileName)
	if own := os.Getenv(LibraryVariable); own != "" {
		list = []string{own}
	}
	var tried []string
	var library unsafe.Pointer
	for _, name := range list {
		s := C.CString(name)
		// Open MPI's own plug-ins look for its symbols, so these must be global.
		library = C.dlopen(s, C.RTLD_NOW|C.RTLD_GLOBAL)
		C.free(unsafe.Pointer(s))
		if library != nil {
			c.path = name
			break
		}
		tried = append(tried, C.GoString(C.dlerror()))
	}
	if library == nil {
		return notFound(tried)
	}
	if err := c.bind(library); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNoMPI, c.path, err)
	}
	if opened.Swap(true) {
		return errors.New("mpi: this process has opened MPI already")
	}
	var provided, rank, size C.int
	if err := c.failed("MPI_Init_thread", C.init_thread(c.of["MPI_Init_thread"], c.is.funneled, &provided)); err != nil {
		return err
	}
	for _, call := range []struct {
		name string
		code C.int
	}{
		{"MPI_Comm_set_errhandler", C.set_errhandler(c.of["MPI_Comm_set_errhandler"], c.is.world, c.is.errorsReturn)},
		{"MPI_Comm_rank", C.of_comm(c.of["MPI_Comm_rank"], c.is.world, &rank)},
		{"MPI_Comm_size", C.of_comm(c.of["MPI_Comm_size"], c.is.world, &size)},
	} {
		if err := c.failed(call.name, call.code); err != nil {
			return err
		}
	}
	c.rank, c.size = int(rank), int(size)
	c.staging = C.malloc(staged)
	return nil
}

// bind finds the functions and the constants of a library.
func (c *communicator) bind(library unsafe.Pointer) error {
	symbol := func(name string) unsafe.Pointer {
		s := C.CString(name)
		defer C.free(unsafe.Pointer(s))
		return C.dlsym(library, s)
	}
	for _, name := range functions {
		if c.of[name] = symbol(name); c.of[name] == nil {
			return fmt.Errorf("it has no %s", name)
		}
	}
	switch {
	case symbol("ompi_mpi_comm_world") != nil:
		c.family = OpenMPI
		for name, to := range map[string]*C.handle{
			"ompi_mpi_comm_world": &c.is.world, "ompi_mpi_float": &c.is.float, "ompi_mpi_double": &c.is.double, "ompi_mpi_byte": &c.is.octet,
			"ompi_mpi_op_sum": &c.is.sum, "ompi_mpi_errors_return": &c.is.errorsReturn,
		} {
			at := symbol(name)
			if at == nil {
				return fmt.Errorf("it has no %s", name)
			}
			*to = C.handle(uintptr(at))
		}
		c.is.inPlace, c.is.funneled = 1, 1
	case strings.Contains(c.path, "mpi_abi"):
		c.family, c.is = Standard, constantsOfStandard
	default:
		c.family, c.is = MPICH, constantsOfMPICH
	}
	text := (*C.char)(C.malloc(8192))
	defer C.free(unsafe.Pointer(text))
	var n C.int
	if err := c.failed("MPI_Get_library_version", C.version(c.of["MPI_Get_library_version"], text, &n)); err != nil {
		return err
	}
	c.version = shortVersion(C.GoStringN(text, n))
	// Libraries with MPICH's interface say so, or whose they are.
	if first := strings.ToLower(c.version); c.family == MPICH && strings.Contains(first, "open mpi") {
		return fmt.Errorf("it says that it is %s, but lacks its symbols", c.version)
	}
	return nil
}

// failed returns the error of a call, or nil if it succeeded.
func (c *communicator) failed(call string, code C.int) error {
	if code == 0 {
		return nil
	}
	text := (*C.char)(C.calloc(1, 8192))
	defer C.free(unsafe.Pointer(text))
	var n C.int
	if C.text(c.of["MPI_Error_string"], code, text, &n) != 0 {
		return fmt.Errorf("mpi: %s gives error %d", call, code)
	}
	return fmt.Errorf("mpi: %s: %s", call, strings.Join(strings.Fields(C.GoString(text)), " "))
}

// Rank returns the number of this process, from 0.
func (c *communicator) Rank() int { return c.rank }

// Size returns the number of processes.
func (c *communicator) Size() int { return c.size }

// Family returns whose binary interface the library has.
func (c *communicator) Family() Family { return c.family }

// Library returns the library's own name and version, and its path.
func (c *communicator) Library() (version, path string) { return c.version, c.path }

// SumFloat32 replaces values by their sums over all processes.
func (c *communicator) SumFloat32(values []float32) error {
	return exchange(c, "MPI_Allreduce", values, func(n C.int) C.int {
		return C.allreduce(c.of["MPI_Allreduce"], C.address(c.is.inPlace), c.staging, n, c.is.float, c.is.sum, c.is.world)
	})
}

// SumFloat64 is SumFloat32 for float64.
func (c *communicator) SumFloat64(values []float64) error {
	return exchange(c, "MPI_Allreduce", values, func(n C.int) C.int {
		return C.allreduce(c.of["MPI_Allreduce"], C.address(c.is.inPlace), c.staging, n, c.is.double, c.is.sum, c.is.world)
	})
}

// Broadcast replaces data by that of process 0.
func (c *communicator) Broadcast(data []byte) error {
	return exchange(c, "MPI_Bcast", data, func(n C.int) C.int {
		return C.bcast(c.of["MPI_Bcast"], c.staging, n, c.is.octet, c.is.world)
	})
}

// errClosed is the error of calls after Close.
var errClosed = errors.New("mpi: closed")

// exchange copies values to the staging memory, a piece at a time, and back after the call.
func exchange[T byte | float32 | float64](c *communicator, name string, values []T, call func(n C.int) C.int) (err error) {
	if c.closed {
		return errClosed
	}
	c.do(func() {
		var one T
		most := staged / int(unsafe.Sizeof(one))
		for len(values) > 0 && err == nil {
			n := min(most, len(values))
			piece := unsafe.Slice((*T)(c.staging), n)
			copy(piece, values)
			err = c.failed(name, call(C.int(n)))
			copy(values, piece)
			values = values[n:]
		}
	})
	return err
}

// Abort ends all processes, this one too, with an exit status. It does not return.
func (c *communicator) Abort(status int) {
	c.do(func() { C.abort_all(c.of["MPI_Abort"], c.is.world, C.int(status)) })
	os.Exit(status)
}

// Close leaves the group. It returns when all processes have called it. After it, MPI can't
// be opened again.
func (c *communicator) Close() (err error) {
	if c.closed {
		return nil
	}
	c.closed = true
	c.do(func() {
		err = c.failed("MPI_Finalize", C.finalize(c.of["MPI_Finalize"]))
		C.free(c.staging)
	})
	close(c.calls)
	return err
}

// fileName returns a library's file name on this system.
func fileName(name string) string {
	if runtime.GOOS != "darwin" {
		return name
	}
	base, version, _ := strings.Cut(name, ".so.")
	return base + "." + version + ".dylib"
}

//go:build cuda && cgo && linux && (amd64 || arm64)

package driver

/*
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>

#include "cublas_v2.h"
#include "cuda.h"
#include "cudnn.h"
#include "nccl.h"
#include "standin.h"

static const char *path_of(void *handle) {
	struct link_map *map = NULL;
	return dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 ? map->l_name : "";
}

static void set_slot(int i, void *f) { __atomic_store_n(&gputrain_slots[i], f, __ATOMIC_RELEASE); }

static int call_out(void *f, int *v) { return ((CUresult(*)(int *))f)(v); }
static size_t call_number(void *f) { return ((size_t(*)(void))f)(); }
static int call_property(void *f, libraryPropertyType p, int *v) {
	return ((cublasStatus_t(*)(libraryPropertyType, int *))f)(p, v);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"
)

// names returns the file names to look for, the best first. blas is the version of cuBLAS: cuBLASLt is a part of it.
func (k Kind) names(blas Version) []string {
	switch k {
	case Driver:
		return []string{"libcuda.so.1"}
	case DNN:
		return []string{"libcudnn.so.9", "libcudnn.so.8"}
	case BLASLt:
		return []string{fmt.Sprintf("libcublasLt.so.%d", blas.Major)}
	case NCCL:
		return []string{"libnccl.so.2"}
	}
	return []string{"libcublas.so.13", "libcublas.so.12", "libcublas.so.11"}
}

// minimum returns the oldest version that works. For the driver, the PTX in package kernels (ISA 7.8) sets it; for the
// others, the functions in functions.txt.
func (k Kind) minimum() Version {
	switch k {
	case Driver:
		return Version{11, 8, 0}
	case DNN:
		return Version{8, 0, 0}
	case BLASLt:
		// OneFlow's sources tell of illegal memory accesses by CUDA 11.6's bias gradients, which would end the context.
		return Version{12, 0, 0}
	case NCCL:
		// Collective calls can be captured from 2.9 on. From 2.13 on, calls of one communicator may be captured and not, by turns.
		return Version{2, 13, 0}
	}
	return Version{11, 0, 0}
}

// The folders where CUDA's installers put libraries without telling the system. They are tried after the system's
// folders.
var installed = []string{"/usr/local/cuda/lib64", "/usr/lib/wsl/lib"}

// load finds the best library of a kind and fills its slots. If none can be used, the Err of the result says why. l holds
// the libraries of the kinds before it.
func load(k Kind, l *Libraries) Library {
	lib, search := Library{Kind: k}, l.Search
	if k == BLASLt && l.BLAS.Err != nil {
		lib.Err = &LibraryError{Kind: k, Detail: "it is a part of cuBLAS", Err: ErrNoLibrary}
		return lib
	}
	for _, file := range candidates(k, l) {
		handle, err := open(k, file)
		if err == nil {
			err = fill(k, handle, l.Driver, &lib)
			if err == nil {
				return lib
			}
			C.dlclose(handle)
		}
		if !errors.Is(err, os.ErrNotExist) {
			lib.Passed = append(lib.Passed, err)
		}
	}
	if len(lib.Passed) > 0 {
		lib.Err, lib.Passed = lib.Passed[0], lib.Passed[1:]
		return lib
	}
	where := "where the system looks for libraries"
	if search != "" {
		where = fmt.Sprintf("in %s=%s", SearchVariable, search)
	}
	detail := fmt.Sprintf("looked for %s %s", strings.Join(k.names(l.BLAS.Version), ", "), where)
	if k == Driver && search == "" {
		if kernelModule() {
			detail += "; the kernel's driver is there, so this may be a container that was started without it (--gpus all)"
		} else {
			detail += "; it comes with NVIDIA's driver"
		}
	}
	lib.Err = &LibraryError{Kind: k, Detail: detail, Err: ErrNoLibrary}
	return lib
}

// candidates returns the files to try, the best first. A name without a folder is looked for where the system looks.
// cuBLASLt is looked for beside cuBLAS first.
func candidates(k Kind, l *Libraries) []string {
	var files []string
	for _, name := range k.names(l.BLAS.Version) {
		if k == BLASLt {
			files = append(files, filepath.Join(filepath.Dir(l.BLAS.Path), name))
		}
		if l.Search == "" {
			files = append(files, name)
			for _, dir := range installed {
				files = append(files, filepath.Join(dir, name))
			}
			continue
		}
		for _, dir := range filepath.SplitList(l.Search) {
			// Only this folder may be searched. A name without a slash would be looked for in the system's folders.
			if abs, err := filepath.Abs(dir); err == nil && dir != "" {
				files = append(files, filepath.Join(abs, name))
			}
		}
	}
	return files
}

// open loads a file. The error is os.ErrNotExist if the file isn't there, and a LibraryError if it can't be loaded.
func open(k Kind, file string) (unsafe.Pointer, error) {
	name := C.CString(file)
	defer C.free(unsafe.Pointer(name))
	// RTLD_LOCAL: the libraries find each other by themselves, and their symbols must not replace ours.
	if handle := C.dlopen(name, C.RTLD_NOW|C.RTLD_LOCAL); handle != nil {
		return handle, nil
	}
	why := C.GoString(C.dlerror())
	if strings.HasPrefix(why, file+": cannot open shared object file: No such file") {
		return nil, os.ErrNotExist
	}
	if !filepath.IsAbs(file) {
		file = "" // the text of why names the file
	}
	return nil, &LibraryError{Kind: k, Path: file, Detail: why, Err: fmt.Errorf("%w: cannot be loaded", ErrNoLibrary)}
}

// fill checks a library and, if it can be used, puts its functions into the slots.
func fill(k Kind, handle unsafe.Pointer, cuda Library, lib *Library) error {
	path := C.GoString(C.path_of(handle))
	fail := func(err error, symbol, detail string) error {
		return &LibraryError{Kind: k, Path: path, Symbol: symbol, Detail: detail, Err: err}
	}
	var functions [len(symbols)]unsafe.Pointer
	var lost, missing []string
	for i, s := range symbols {
		if s.kind != k {
			continue
		}
		functions[i] = find(handle, s.name)
		if functions[i] == nil {
			if s.required {
				lost = append(lost, s.name)
			} else {
				missing = append(missing, s.name)
			}
		}
	}
	var init unsafe.Pointer
	if k == Driver {
		if init = find(handle, "cuInit"); init == nil {
			lost = append(lost, "cuInit")
		}
	}
	// An old version is a better explanation than a function that it lacks.
	version, err := versionOf(k, handle)
	if err == nil && version.Less(k.minimum()) {
		return fail(ErrVersionTooOld, "", fmt.Sprintf("it is %v and must be %v or newer", version, k.minimum()))
	}
	if len(lost) > 0 {
		detail := ""
		if len(lost) > 1 {
			detail = fmt.Sprintf("and %d more", len(lost)-1)
		}
		return fail(ErrMissingSymbol, lost[0], detail)
	}
	if err != nil {
		return fail(err, "", "")
	}
	if needs := builtFor(k, handle, version); cuda.Err == nil && needs > cuda.Version.Major {
		return fail(ErrVersionTooOld, "", fmt.Sprintf("version %v needs a driver for CUDA %d, this one is for %v",
			version, needs, cuda.Version))
	}

	for i, f := range functions {
		if f != nil {
			C.set_slot(C.int(i), f)
		}
	}
	switch {
	case k == Driver:
		C.gputrain_standin.cuda = C.CUDA_ERROR_NOT_SUPPORTED
		start = init
	case k == DNN && version.Major >= 9:
		C.gputrain_standin.cudnn = C.int(dnnNotSupported9)
	case k == DNN:
		C.gputrain_standin.cudnn = C.CUDNN_STATUS_NOT_SUPPORTED
	case k == BLASLt:
		C.gputrain_standin.cublaslt = C.CUBLAS_STATUS_NOT_SUPPORTED
	case k == NCCL:
		C.gputrain_standin.nccl = C.ncclInvalidUsage
	default:
		C.gputrain_standin.cublas = C.CUBLAS_STATUS_NOT_SUPPORTED
	}
	lib.Path, lib.Version, lib.Missing = path, version, missing
	return nil
}

func find(handle unsafe.Pointer, symbol string) unsafe.Pointer {
	name := C.CString(symbol)
	defer C.free(unsafe.Pointer(name))
	return C.dlsym(handle, name)
}

// versionOf asks a library for its version, before its functions are in the slots. None of the calls needs a GPU.
func versionOf(k Kind, handle unsafe.Pointer) (Version, error) {
	switch k {
	case Driver:
		f := find(handle, "cuDriverGetVersion")
		if f == nil {
			return Version{}, fmt.Errorf("%w cuDriverGetVersion", ErrMissingSymbol)
		}
		var n C.int
		if err := Check("cuDriverGetVersion", int(C.call_out(f, &n))); err != nil {
			return Version{}, err
		}
		return driverVersion(int(n)), nil
	case DNN:
		f := find(handle, "cudnnGetVersion")
		if f == nil {
			return Version{}, fmt.Errorf("%w cudnnGetVersion", ErrMissingSymbol)
		}
		return dnnVersion(int(C.call_number(f))), nil
	case NCCL:
		f := find(handle, "ncclGetVersion")
		if f == nil {
			return Version{}, fmt.Errorf("%w ncclGetVersion", ErrMissingSymbol)
		}
		var n C.int
		if err := CheckNCCL("ncclGetVersion", int(C.call_out(f, &n))); err != nil {
			return Version{}, err
		}
		return ncclVersion(int(n)), nil
	}
	name := "cublasGetProperty"
	if k == BLASLt {
		name = "cublasLtGetProperty"
	}
	f := find(handle, name)
	if f == nil {
		return Version{}, fmt.Errorf("%w %s", ErrMissingSymbol, name)
	}
	var n [3]C.int
	for i, property := range []C.libraryPropertyType{C.MAJOR_VERSION, C.MINOR_VERSION, C.PATCH_LEVEL} {
		if err := CheckBLAS(name, int(C.call_property(f, property, &n[i]))); err != nil {
			return Version{}, err
		}
	}
	return Version{int(n[0]), int(n[1]), int(n[2])}, nil
}

// builtFor returns the major version of CUDA that a library was built for. A driver of that version or a newer one
// runs it. The result is 0 if it isn't known.
func builtFor(k Kind, handle unsafe.Pointer, version Version) int {
	switch k {
	case DNN:
		if f := find(handle, "cudnnGetCudartVersion"); f != nil {
			return int(C.call_number(f)) / 1000
		}
		return 0
	case BLAS, BLASLt:
		return version.Major
	}
	return 0
}

// ncclVersion converts the number of ncclGetVersion: 22103 is 2.21.3. Up to 2.8 it was 2804 for 2.8.4.
func ncclVersion(n int) Version {
	if n < 10000 {
		return Version{n / 1000, n % 1000 / 100, n % 100}
	}
	return Version{n / 10000, n % 10000 / 100, n % 100}
}

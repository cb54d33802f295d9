//go:build cuda && cgo && linux && (amd64 || arm64)

package driver

/*
#cgo CFLAGS: -I${SRCDIR}/include
#cgo LDFLAGS: -L${SRCDIR}/link -Wl,--as-needed -ldl

#include "cuda.h"
#include "cudnn.h"
#include "nccl.h"
#include "standin.h"

static int real_init(void *f) { return ((CUresult(*)(unsigned int))f)(0); }
*/
import "C"

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"unsafe"
)

// Built reports whether this program was built with CUDA.
const Built = true

var (
	mu     sync.Mutex
	loaded [len(Kinds)]*Library // the libraries whose functions are in the slots, for the rest of the process
	start  unsafe.Pointer       // the driver's own cuInit
)

// Describe looks for the libraries and GPUs as [Open] does, but never fails: what is wrong is part of its answer.
func Describe() *Libraries {
	mu.Lock()
	defer mu.Unlock()
	l := &Libraries{Search: os.Getenv(SearchVariable)}
	for _, k := range Kinds {
		lib := l.library(k)
		if loaded[k] != nil {
			*lib = *loaded[k]
			continue
		}
		*lib = load(k, l)
		if lib.Err == nil {
			loaded[k] = lib
		}
	}
	if l.Driver.Err == nil {
		l.Devices, l.err = devices()
	}
	return l
}

// loadingVariable is CUDA's variable that tells when kernels of libraries are loaded. Of cuDNN's many kernels a program uses
// few, so they should be loaded when they are first used. From CUDA 12.2 on that is the default.
const loadingVariable = "CUDA_MODULE_LOADING"

// devices starts the driver and describes its GPUs. It fails if none of them can be used.
func devices() ([]Device, error) {
	if os.Getenv(loadingVariable) == "" {
		os.Setenv(loadingVariable, "LAZY") // if that fails, the start is slower
	}
	if status := C.real_init(start); status != C.CUDA_SUCCESS {
		return nil, withHint(&Error{Op: "cuInit", Status: Result(status)})
	}
	var n C.int
	if err := Check("cuDeviceGetCount", int(C.cuDeviceGetCount(&n))); err != nil {
		return nil, withHint(err)
	}
	var found []Device
	usable := false
	for i := range int(n) {
		d := device(i)
		usable = usable || d.Err == nil
		found = append(found, d)
	}
	if len(found) == 0 {
		return nil, withHint(ErrNoDevice)
	}
	if !usable {
		return found, fmt.Errorf("%w: %w", ErrNoDevice, found[0].Err)
	}
	return found, nil
}

// device describes one GPU. It creates no context.
func device(index int) Device {
	d := Device{Index: index}
	var handle C.CUdevice
	if d.Err = Check("cuDeviceGet", int(C.cuDeviceGet(&handle, C.int(index)))); d.Err != nil {
		return d
	}
	var text [256]C.char
	var memory C.size_t
	if d.Err = Check("cuDeviceGetName", int(C.cuDeviceGetName(&text[0], C.int(len(text)), handle))); d.Err != nil {
		return d
	}
	d.Name = C.GoString(&text[0])
	if d.Err = Check("cuDeviceTotalMem", int(C.cuDeviceTotalMem(&memory, handle))); d.Err != nil {
		return d
	}
	d.Memory = uint64(memory)
	if C.cuDeviceGetPCIBusId(&text[0], C.int(len(text)), handle) == C.CUDA_SUCCESS {
		d.PCI = C.GoString(&text[0])
	}
	mode := 0
	for _, a := range []struct {
		of   C.CUdevice_attribute
		into *int
	}{
		{C.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, &d.Major},
		{C.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, &d.Minor},
		{C.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, &d.Multiprocessors},
		{C.CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, &mode},
	} {
		var v C.int
		if d.Err = Check("cuDeviceGetAttribute", int(C.cuDeviceGetAttribute(&v, a.of, handle))); d.Err != nil {
			return d
		}
		*a.into = int(v)
	}
	d.judge(mode == C.CU_COMPUTEMODE_PROHIBITED)
	return d
}

// withHint adds to an error what the system shows about why the driver finds no GPU.
func withHint(err error) error {
	var hints []string
	if v, set := os.LookupEnv("CUDA_VISIBLE_DEVICES"); set {
		hints = append(hints, fmt.Sprintf("CUDA_VISIBLE_DEVICES is %q", v))
	}
	if !kernelModule() {
		hints = append(hints, "NVIDIA's kernel module is not loaded")
	} else if f, e := os.OpenFile("/dev/nvidiactl", os.O_RDWR, 0); e != nil {
		hints = append(hints, e.Error())
	} else {
		f.Close()
	}
	if len(hints) == 0 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(hints, "; "))
}

// kernelModule reports whether NVIDIA's kernel driver is running. Inside a container it does so too.
func kernelModule() bool {
	_, err := os.Stat("/proc/driver/nvidia/version")
	return err == nil
}

// dnnDetail returns cuDNN 9's own explanation of the thread's last error, or "" if there is none.
func dnnDetail() string {
	var text [512]C.char
	C.cudnnGetLastErrorString(&text[0], C.size_t(len(text)))
	return strings.TrimSpace(C.GoString(&text[0]))
}

// ncclDetail returns NCCL's own explanation of its last error, or "" if there is none.
func ncclDetail() string { return strings.TrimSpace(C.GoString(C.ncclGetLastError(nil))) }

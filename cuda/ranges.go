//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

static int push(void *f, const char *name) { return ((int (*)(const char *))f)(name); }
static int pop(void *f) { return ((int (*)(void))f)(); }
*/
import "C"

import (
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/net"
)

// ranges tells profilers, through NVTX, which part of a run the host is in. Nsight Systems draws these ranges above
// the calls and kernels that belong to them. Without NVIDIA's library for it, libnvToolsExt, ranges is nil and costs
// nothing.
type ranges struct{ push, pop unsafe.Pointer }

// newRanges loads the library, which it looks for where the other libraries are looked for. It returns nil if there is
// none.
func newRanges() *ranges {
	for _, file := range rangesFiles(os.Getenv(driver.SearchVariable)) {
		name := C.CString(file)
		handle := C.dlopen(name, C.RTLD_NOW|C.RTLD_LOCAL)
		C.free(unsafe.Pointer(name))
		if handle == nil {
			continue
		}
		r := &ranges{symbol(handle, "nvtxRangePushA"), symbol(handle, "nvtxRangePop")}
		if r.push != nil && r.pop != nil {
			return r
		}
		C.dlclose(handle)
	}
	return nil
}

func rangesFiles(search string) []string {
	const name = "libnvToolsExt.so.1"
	if search == "" {
		return []string{name, "/usr/local/cuda/lib64/" + name}
	}
	var files []string
	for _, dir := range filepath.SplitList(search) {
		if abs, err := filepath.Abs(dir); err == nil && dir != "" {
			files = append(files, filepath.Join(abs, name))
		}
	}
	return files
}

func symbol(handle unsafe.Pointer, name string) unsafe.Pointer {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	return C.dlsym(handle, text)
}

// rangeName is the name of a range as a C string. Names are made in advance, so that a step allocates nothing.
type rangeName []byte

func newRangeName(words ...string) rangeName { return rangeName(strings.Join(words, " ") + "\x00") }

// The parts of a run.
var (
	rangeCapture = newRangeName("capture")
	rangeGather  = newRangeName("gather")
	rangeLoss    = newRangeName("loss")
	rangeSum     = newRangeName("sum over the group")
	rangeUpdate  = newRangeName("update")
	rangeUpload  = newRangeName("upload")
	rangeWait    = newRangeName("wait")
	rangeOf      = map[kind]rangeName{
		stepping: newRangeName("step"), differentiating: newRangeName("gradients"), updating: rangeUpdate,
		evaluating: newRangeName("evaluate"), inferring: newRangeName("infer"),
	}
)

// begin opens a range on this thread, within those that are open. The profiler copies the name.
func (r *ranges) begin(name rangeName) {
	if r != nil {
		C.push(r.push, (*C.char)(unsafe.Pointer(unsafe.SliceData(name))))
	}
}

// end closes the range that was opened last.
func (r *ranges) end() {
	if r != nil {
		C.pop(r.pop)
	}
}

// passNames holds the names of an operation's ranges.
type passNames struct{ forward, backward rangeName }

// newPassNames makes the names from the layers that the operation computes as one.
func newPassNames(layers []net.Node) passNames {
	var names []string
	for _, l := range layers {
		names = append(names, l.Name)
	}
	all := strings.Join(names, "+")
	return passNames{newRangeName(all, "forward"), newRangeName(all, "backward")}
}

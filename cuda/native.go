//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

// This file holds what gorgonia.org/cu and cu/dnn lack: handles that fail with an error instead of a panic, streams
// for them, cuBLAS on device pointers, what the driver's compiler says of kernels, the capture of graphs, and pinned memory.

/*
#cgo CFLAGS: -I${SRCDIR}/driver/include
#cgo LDFLAGS: -L${SRCDIR}/driver/link -Wl,--as-needed

#include <stdint.h>
#include <stdlib.h>
#include "cuda.h"
#include "cudnn.h"
#include "cublas_v2.h"

// For Go device addresses are numbers; for cuBLAS they are pointers.

static cublasStatus_t setWorkspace(cublasHandle_t h, CUdeviceptr workspace, size_t bytes) {
	return cublasSetWorkspace(h, (void *)workspace, bytes);
}

// load gives the text of kernels to the driver's compiler, and gets its errors.
static CUresult launch(CUfunction f, unsigned blocks, unsigned threads, CUstream stream, uint64_t *slots, size_t count) {
	void *parameters[count + 1];
	for (size_t i = 0; i < count; i++) parameters[i] = &slots[i];
	return cuLaunchKernel(f, blocks, 1, 1, threads, 1, 1, 0, stream, parameters, NULL);
}

static CUresult load(CUmodule *module, const void *text, char *errors, size_t bytes) {
	CUjit_option names[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {errors, (void *)bytes};
	return cuModuleLoadDataEx(module, text, 2, names, values);
}

// The factors are float32.
static cublasStatus_t multiply(cublasHandle_t h, cublasOperation_t opA, cublasOperation_t opB, int m, int n, int k, CUdeviceptr a,
                               int lda, CUdeviceptr b, int ldb, float beta, CUdeviceptr c, int ldc) {
	const float one = 1;
	return cublasSgemm(h, opA, opB, m, n, k, &one, (const float *)a, lda, (const float *)b, ldb, &beta, (float *)c, ldc);
}

// The factors are bfloat16, the product is so where narrow isn't 0, otherwise float32.
static cublasStatus_t multiplyBFloat16(cublasHandle_t h, cublasOperation_t opA, cublasOperation_t opB, int m, int n, int k,
                                       CUdeviceptr a, int lda, CUdeviceptr b, int ldb, float beta, CUdeviceptr c, int ldc, int narrow) {
	const float one = 1;
	return cublasGemmEx(h, opA, opB, m, n, k, &one, (const void *)a, CUDA_R_16BF, lda, (const void *)b, CUDA_R_16BF, ldb, &beta,
	                    (void *)c, narrow ? CUDA_R_16BF : CUDA_R_32F, ldc, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}

// Several products of float32, of which each has its matrices so many elements behind those of the one before.
static cublasStatus_t multiplyStack(cublasHandle_t h, cublasOperation_t opA, cublasOperation_t opB, int m, int n, int k,
                                    CUdeviceptr a, int lda, int64_t strideA, CUdeviceptr b, int ldb, int64_t strideB,
                                    CUdeviceptr c, int ldc, int64_t strideC, int count, cublasComputeType_t compute) {
	const float one = 1, zero = 0;
	return cublasGemmStridedBatchedEx(h, opA, opB, m, n, k, &one, (const void *)a, CUDA_R_32F, lda, strideA, (const void *)b,
	                                  CUDA_R_32F, ldb, strideB, &zero, (void *)c, CUDA_R_32F, ldc, strideC, count, compute,
	                                  CUBLAS_GEMM_DEFAULT);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unsafe"

	"gorgonia.org/cu"
	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/kernels"
)

// dnnBFloat16 is cuDNN's number for the type bfloat16.
const dnnBFloat16 = C.CUDNN_DATA_BFLOAT16

// result returns the status in an error of gorgonia.org/cu. For nil it is 0.
func result(err error) driver.Result {
	if err == nil {
		return 0
	}
	if v := reflect.ValueOf(err); v.CanInt() {
		return driver.Result(v.Int())
	}
	return driver.Result(C.CUDA_ERROR_UNKNOWN)
}

// call turns an error of gorgonia.org/cu into one of ours. nil stays nil.
func call(op string, err error) error {
	if err == nil {
		return nil
	}
	if v := reflect.ValueOf(err); v.CanInt() {
		return driver.Check(op, int(v.Int()))
	}
	return err
}

// dnn turns an error of gorgonia.org/cu/dnn into one of ours, with cuDNN's own explanation. nil stays nil.
func dnn(op string, err error) error {
	if err == nil {
		return nil
	}
	if v := reflect.ValueOf(err); v.CanInt() {
		return driver.CheckDNN(op, int(v.Int()))
	}
	return err
}

// nativeStream returns the CUstream in a stream, which is its only field.
func nativeStream(s cu.Stream) C.CUstream { return *(*C.CUstream)(unsafe.Pointer(&s)) }

// launchOn puts a kernel on a stream.
//
// gorgonia.org/cu's Launch must not be used: it stores pointers in memory of malloc by assignments of Go. While Go collects
// garbage, such an assignment marks what the memory pointed to before. That may be an address in Go's heap, of an object that
// is gone, and the program ends with "found pointer to free object".
func launchOn(stream cu.Stream, f cu.Function, l kernels.Launch) error {
	return driver.Check("cuLaunchKernel", int(C.launch(*(*C.CUfunction)(unsafe.Pointer(&f)), C.uint(l.Blocks), C.uint(l.Threads), nativeStream(stream),
		(*C.uint64_t)(unsafe.SliceData(l.Slots)), C.size_t(len(l.Slots)))))
}

// newDNN makes a cuDNN context that works on the given stream.
func newDNN(stream cu.Stream) (*cudnn.Context, error) {
	var handle C.cudnnHandle_t
	if err := driver.CheckDNN("cudnnCreate", int(C.cudnnCreate(&handle))); err != nil {
		return nil, err
	}
	if err := driver.CheckDNN("cudnnSetStream", int(C.cudnnSetStream(handle, C.cudaStream_t(unsafe.Pointer(nativeStream(stream)))))); err != nil {
		C.cudnnDestroy(handle)
		return nil, err
	}
	// The handle is the first and only field of a Context.
	ctx := &cudnn.Context{}
	*(*C.cudnnHandle_t)(unsafe.Pointer(ctx)) = handle
	return ctx, nil
}

func dnnHandle(c *cudnn.Context) C.cudnnHandle_t { return *(*C.cudnnHandle_t)(unsafe.Pointer(c)) }

// loadModule compiles and loads kernels. The error holds what the driver's compiler says.
func loadModule(ptx string) (cu.Module, error) {
	text := C.CString(ptx)
	defer C.free(unsafe.Pointer(text))
	var module C.CUmodule
	var errors [4096]C.char
	err := driver.Check("cuModuleLoadDataEx", int(C.load(&module, unsafe.Pointer(text), &errors[0], C.size_t(len(errors)))))
	if said := strings.TrimSpace(C.GoString(&errors[0])); err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(said), " "))
	}
	// The handle is the first and only field of a Module.
	return *(*cu.Module)(unsafe.Pointer(&module)), err
}

// blas is a cuBLAS handle that works on one stream.
type blas struct {
	handle    C.cublasHandle_t
	workspace Buffer
	precision Precision
}

// newBLAS makes a handle. After close the caller gives the workspace back. Without it cuBLAS would allocate a
// workspace of its own, which is not allowed on a stream that is being captured.
func newBLAS(stream cu.Stream, workspace Buffer, precision Precision) (*blas, error) {
	b := &blas{workspace: workspace, precision: precision}
	if err := driver.CheckBLAS("cublasCreate", int(C.cublasCreate(&b.handle))); err != nil {
		return nil, err
	}
	mode := map[Precision]C.cublasMath_t{FP32: C.CUBLAS_PEDANTIC_MATH, TF32: C.CUBLAS_TF32_TENSOR_OP_MATH, BF16: C.CUBLAS_DEFAULT_MATH}[precision]
	for _, step := range []struct {
		op     string
		status C.cublasStatus_t
	}{
		{"cublasSetStream", C.cublasSetStream(b.handle, C.cudaStream_t(unsafe.Pointer(nativeStream(stream))))},
		{"cublasSetWorkspace", C.setWorkspace(b.handle, C.CUdeviceptr(workspace.Address), C.size_t(workspace.Bytes))},
		{"cublasSetMathMode", C.cublasSetMathMode(b.handle, mode)},
	} {
		if err := driver.CheckBLAS(step.op, int(step.status)); err != nil {
			C.cublasDestroy(b.handle)
			return nil, err
		}
	}
	return b, nil
}

func (b *blas) close() error {
	return driver.CheckBLAS("cublasDestroy", int(C.cublasDestroy(b.handle)))
}

// matrix is a row-major matrix in device memory. If transposed is set, its transpose lies there instead.
type matrix struct {
	Buffer
	transposed bool
}

// output is a row-major matrix in device memory for the product of two others.
type output struct {
	Buffer
	kind kernels.Type // bfloat16 only in BF16
}

// multiply computes c = left*right, or c += left*right where adds is set. c has m rows and n columns, and k is the
// inner dimension. The factors are float32, except in BF16, where they are bfloat16.
func (b *blas) multiply(c output, left, right matrix, m, n, k int, adds bool) error {
	beta := C.float(boolInt(adds))
	// cuBLAS is column-major, so it sees every matrix transposed. Hence it computes c' = right' * left'.
	opLeft, strideLeft := operationOf(left.transposed, m, k)
	opRight, strideRight := operationOf(right.transposed, k, n)
	if b.precision == BF16 {
		return driver.CheckBLAS("cublasGemmEx", int(C.multiplyBFloat16(b.handle, opRight, opLeft, C.int(n), C.int(m), C.int(k),
			C.CUdeviceptr(right.Address), strideRight, C.CUdeviceptr(left.Address), strideLeft, beta, C.CUdeviceptr(c.Address), C.int(n),
			C.int(boolInt(c.kind == kernels.BF16)))))
	}
	return driver.CheckBLAS("cublasSgemm", int(C.multiply(b.handle, opRight, opLeft, C.int(n), C.int(m), C.int(k),
		C.CUdeviceptr(right.Address), strideRight, C.CUdeviceptr(left.Address), strideLeft, beta, C.CUdeviceptr(c.Address), C.int(n))))
}

// operationOf returns how cuBLAS takes a row-major matrix, and the leading dimension.
func operationOf(transposed bool, rows, columns int) (C.cublasOperation_t, C.int) {
	if transposed {
		return C.CUBLAS_OP_T, C.int(rows)
	}
	return C.CUBLAS_OP_N, C.int(columns)
}

// stacked is several row-major matrices of float32 in device memory, each stride values behind the one before. If transposed
// is set, their transposes lie there instead.
type stacked struct {
	Buffer
	stride     int64
	transposed bool
}

// multiplyStack computes c = left*right for each of count matrices. In TF32 and BF16 the factors are rounded as TF32 does.
func (b *blas) multiplyStack(c, left, right stacked, m, n, k, count int) error {
	compute := C.cublasComputeType_t(C.CUBLAS_COMPUTE_32F_FAST_TF32)
	if b.precision == FP32 {
		compute = C.CUBLAS_COMPUTE_32F_PEDANTIC
	}
	opLeft, leadingLeft := operationOf(left.transposed, m, k)
	opRight, leadingRight := operationOf(right.transposed, k, n)
	return driver.CheckBLAS("cublasGemmStridedBatchedEx", int(C.multiplyStack(b.handle, opRight, opLeft, C.int(n), C.int(m), C.int(k),
		C.CUdeviceptr(right.Address), leadingRight, C.int64_t(right.stride), C.CUdeviceptr(left.Address), leadingLeft, C.int64_t(left.stride),
		C.CUdeviceptr(c.Address), C.int(n), C.int64_t(c.stride), C.int(count), compute)))
}

// graph is a captured sequence of work. One call launches it.
type graph struct {
	exec  C.CUgraphExec
	nodes int
}

// capture records what enqueue puts on the stream, instead of running it. It ends the capture even if enqueue fails,
// and then returns enqueue's error.
func capture(stream cu.Stream, enqueue func() error) (*graph, error) {
	s := nativeStream(stream)
	if err := driver.Check("cuStreamBeginCapture", int(C.cuStreamBeginCapture(s, C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))); err != nil {
		return nil, err
	}
	failed := enqueue()
	var recorded C.CUgraph
	status := C.cuStreamEndCapture(s, &recorded)
	// If the stream were still being captured, it could do nothing else any more.
	var capturing C.CUstreamCaptureStatus
	if status != C.CUDA_SUCCESS && C.cuStreamIsCapturing(s, &capturing) == C.CUDA_SUCCESS && capturing != C.CU_STREAM_CAPTURE_STATUS_NONE {
		C.cuStreamEndCapture(s, &recorded)
	}
	g, err := instantiate(recorded, errors.Join(failed, driver.Check("cuStreamEndCapture", int(status))))
	if recorded != nil {
		if e := driver.Check("cuGraphDestroy", int(C.cuGraphDestroy(recorded))); e != nil {
			if g != nil {
				e = errors.Join(e, g.close())
			}
			return nil, errors.Join(err, e)
		}
	}
	if failed != nil {
		return nil, failed // the error of ending a broken capture adds nothing
	}
	return g, err
}

// instantiate turns what was recorded into a graph that can be launched. If failed isn't nil, it only returns that
// error.
func instantiate(recorded C.CUgraph, failed error) (*graph, error) {
	if failed != nil {
		return nil, failed
	}
	var nodes C.size_t
	if err := driver.Check("cuGraphGetNodes", int(C.cuGraphGetNodes(recorded, nil, &nodes))); err != nil {
		return nil, err
	}
	g := &graph{nodes: int(nodes)}
	if err := driver.Check("cuGraphInstantiateWithFlags", int(C.cuGraphInstantiateWithFlags(&g.exec, recorded, 0))); err != nil {
		return nil, err
	}
	return g, nil
}

func (g *graph) launch(stream cu.Stream) error {
	return driver.Check("cuGraphLaunch", int(C.cuGraphLaunch(g.exec, nativeStream(stream))))
}

func (g *graph) close() error {
	return driver.Check("cuGraphExecDestroy", int(C.cuGraphExecDestroy(g.exec)))
}

// pinned is page-locked host memory: the device copies from and to it while the host goes on.
type pinned struct {
	pointer unsafe.Pointer
	bytes   int64
}

func takePinned(bytes int64) (pinned, error) {
	p := pinned{bytes: bytes}
	err := driver.Check("cuMemHostAlloc", int(C.cuMemHostAlloc(&p.pointer, C.size_t(bytes), 0)))
	return p, err
}

func (p pinned) close() error {
	if p.pointer == nil {
		return nil
	}
	return driver.Check("cuMemFreeHost", int(C.cuMemFreeHost(p.pointer)))
}

// slice returns count values of type T, which begin at the given offset in bytes.
func slice[T any](p pinned, offset int64, count int) []T {
	return unsafe.Slice((*T)(unsafe.Add(p.pointer, offset)), count)
}

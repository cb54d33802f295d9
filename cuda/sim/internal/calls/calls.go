//go:build cuda && cgo && linux && (amd64 || arm64)

// Package calls makes calls of CUDA that the simulator's tests need and gorgonia's packages lack: pinned memory,
// streams of library handles, captured graphs, and calls for a convolution's descriptors. Test files can't use cgo
// themselves.
package calls

/*
#include "cublas_v2.h"
#include "cuda.h"
#include "cudnn.h"
*/
import "C"

import (
	"unsafe"

	"gorgonia.org/cu"
	cublas "gorgonia.org/cu/blas"
	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/cuda/driver"
)

// HostAlloc allocates pinned host memory; cu.MemFreeHost frees it.
func HostAlloc(bytes int) (unsafe.Pointer, error) {
	var p unsafe.Pointer
	err := driver.Check("cuMemHostAlloc", int(C.cuMemHostAlloc(&p, C.size_t(bytes), 0)))
	return p, err
}

func stream(s cu.Stream) C.CUstream { return C.CUstream(unsafe.Pointer(s.C())) }

// A Graph is work that was captured and instantiated.
type Graph struct{ exec C.CUgraphExec }

// Capture records the work that queue puts on a stream, without running it.
func Capture(s cu.Stream, queue func() error) (*Graph, error) {
	err := driver.Check("cuStreamBeginCapture",
		int(C.cuStreamBeginCapture(stream(s), C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)))
	if err != nil {
		return nil, err
	}
	failed := queue()
	var graph C.CUgraph
	if err := driver.Check("cuStreamEndCapture", int(C.cuStreamEndCapture(stream(s), &graph))); err != nil {
		return nil, err
	}
	defer C.cuGraphDestroy(graph)
	if failed != nil {
		return nil, failed
	}
	g := &Graph{}
	err = driver.Check("cuGraphInstantiateWithFlags", int(C.cuGraphInstantiateWithFlags(&g.exec, graph, 0)))
	return g, err
}

// Launch runs the graph's work on a stream.
func (g *Graph) Launch(s cu.Stream) error {
	return driver.Check("cuGraphLaunch", int(C.cuGraphLaunch(g.exec, stream(s))))
}

// Close destroys the graph.
func (g *Graph) Close() error {
	return driver.Check("cuGraphExecDestroy", int(C.cuGraphExecDestroy(g.exec)))
}

// handle returns the first field of one of gorgonia's structs, which is the library's handle.
func handle[T any](object *T) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(object)) }

func dnn(c *cudnn.Context) C.cudnnHandle_t { return C.cudnnHandle_t(handle(c)) }

func tensor(d *cudnn.TensorDescriptor) C.cudnnTensorDescriptor_t {
	return C.cudnnTensorDescriptor_t(handle(d))
}

func filter(d *cudnn.Filter) C.cudnnFilterDescriptor_t { return C.cudnnFilterDescriptor_t(handle(d)) }

func convolution(d *cudnn.Convolution) C.cudnnConvolutionDescriptor_t {
	return C.cudnnConvolutionDescriptor_t(handle(d))
}

// SetDNNStream makes cuDNN work on a stream.
func SetDNNStream(c *cudnn.Context, s cu.Stream) error {
	return driver.CheckDNN("cudnnSetStream", int(C.cudnnSetStream(dnn(c), C.cudaStream_t(unsafe.Pointer(s.C())))))
}

// SetBLASStream makes cuBLAS work on a stream.
func SetBLASStream(b *cublas.Standard, s cu.Stream) error {
	return driver.CheckBLAS("cublasSetStream",
		int(C.cublasSetStream(C.cublasHandle_t(handle(b)), C.cudaStream_t(unsafe.Pointer(s.C())))))
}

// SetMath sets a convolution's math type again. cudnn.NewConvolution sets it too early: setting the descriptor resets
// it.
func SetMath(d *cudnn.Convolution) error {
	return driver.CheckDNN("cudnnSetConvolutionMathType",
		int(C.cudnnSetConvolutionMathType(convolution(d), C.cudnnMathType_t(d.MathType()))))
}

// DestroyFilter frees a filter's descriptor, which has no finalizer.
func DestroyFilter(d *cudnn.Filter) error {
	return driver.CheckDNN("cudnnDestroyFilterDescriptor", int(C.cudnnDestroyFilterDescriptor(filter(d))))
}

// ForwardWorkspace returns how many bytes of workspace a convolution needs.
func ForwardWorkspace(c *cudnn.Context, x *cudnn.TensorDescriptor, w *cudnn.Filter, d *cudnn.Convolution,
	y *cudnn.TensorDescriptor, algorithm cudnn.ConvolutionFwdAlgo) (int64, error) {
	var bytes C.size_t
	err := driver.CheckDNN("cudnnGetConvolutionForwardWorkspaceSize", int(C.cudnnGetConvolutionForwardWorkspaceSize(
		dnn(c), tensor(x), filter(w), convolution(d), tensor(y), C.cudnnConvolutionFwdAlgo_t(algorithm), &bytes)))
	return int64(bytes), err
}

// DataWorkspace returns how many bytes of workspace the input gradient of a convolution needs.
func DataWorkspace(c *cudnn.Context, w *cudnn.Filter, dy *cudnn.TensorDescriptor, d *cudnn.Convolution,
	dx *cudnn.TensorDescriptor, algorithm cudnn.ConvolutionBwdDataAlgo) (int64, error) {
	var bytes C.size_t
	err := driver.CheckDNN("cudnnGetConvolutionBackwardDataWorkspaceSize",
		int(C.cudnnGetConvolutionBackwardDataWorkspaceSize(dnn(c), filter(w), tensor(dy), convolution(d), tensor(dx),
			C.cudnnConvolutionBwdDataAlgo_t(algorithm), &bytes)))
	return int64(bytes), err
}

// FilterWorkspace returns how many bytes of workspace the weight gradient of a convolution needs.
func FilterWorkspace(c *cudnn.Context, x, dy *cudnn.TensorDescriptor, d *cudnn.Convolution, dw *cudnn.Filter,
	algorithm cudnn.ConvolutionBwdFilterAlgo) (int64, error) {
	var bytes C.size_t
	err := driver.CheckDNN("cudnnGetConvolutionBackwardFilterWorkspaceSize",
		int(C.cudnnGetConvolutionBackwardFilterWorkspaceSize(dnn(c), tensor(x), tensor(dy), convolution(d), filter(dw),
			C.cudnnConvolutionBwdFilterAlgo_t(algorithm), &bytes)))
	return int64(bytes), err
}

//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

/*
#include "cuda.h"
#include "cudnn.h"

// cuDNN has one function for each direction. The functions here take the direction as a parameter, so that Go need not
// tell them apart.

enum direction { FORWARD, BACKWARD_DATA, BACKWARD_FILTER };

typedef struct {
	int algorithm, status, deterministic, math;
	float milliseconds;
	size_t memory;
} choice;

static cudnnStatus_t heuristic(enum direction d, cudnnHandle_t h, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                               cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t y, int most, int *got, choice *out) {
	cudnnStatus_t status;
#define COPY(results) \
	for (int i = 0; status == CUDNN_STATUS_SUCCESS && i < *got; i++) \
		out[i] = (choice){results[i].algo, results[i].status, results[i].determinism == CUDNN_DETERMINISTIC, \
		                  results[i].mathType, results[i].time, results[i].memory};
	if (d == FORWARD) {
		cudnnConvolutionFwdAlgoPerf_t results[16];
		status = cudnnGetConvolutionForwardAlgorithm_v7(h, x, w, conv, y, most, got, results);
		COPY(results)
	} else if (d == BACKWARD_DATA) {
		cudnnConvolutionBwdDataAlgoPerf_t results[16];
		status = cudnnGetConvolutionBackwardDataAlgorithm_v7(h, w, y, conv, x, most, got, results);
		COPY(results)
	} else {
		cudnnConvolutionBwdFilterAlgoPerf_t results[16];
		status = cudnnGetConvolutionBackwardFilterAlgorithm_v7(h, x, y, conv, w, most, got, results);
		COPY(results)
	}
	return status;
}

// measure runs every algorithm on the given memory. It overwrites the output's memory.
static cudnnStatus_t measure(enum direction d, cudnnHandle_t h, cudnnTensorDescriptor_t x, CUdeviceptr ax, cudnnFilterDescriptor_t w,
                             CUdeviceptr aw, cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t y, CUdeviceptr ay, int most,
                             int *got, choice *out, CUdeviceptr aworkspace, size_t bytes) {
	void *px = (void *)ax, *pw = (void *)aw, *py = (void *)ay, *workspace = (void *)aworkspace;
	cudnnStatus_t status;
	if (d == FORWARD) {
		cudnnConvolutionFwdAlgoPerf_t results[16];
		status = cudnnFindConvolutionForwardAlgorithmEx(h, x, px, w, pw, conv, y, py, most, got, results, workspace, bytes);
		COPY(results)
	} else if (d == BACKWARD_DATA) {
		cudnnConvolutionBwdDataAlgoPerf_t results[16];
		status = cudnnFindConvolutionBackwardDataAlgorithmEx(h, w, pw, y, py, conv, x, px, most, got, results, workspace, bytes);
		COPY(results)
	} else {
		cudnnConvolutionBwdFilterAlgoPerf_t results[16];
		status = cudnnFindConvolutionBackwardFilterAlgorithmEx(h, x, px, y, py, conv, w, pw, most, got, results, workspace, bytes);
		COPY(results)
	}
	return status;
}

static cudnnStatus_t workspaceSize(enum direction d, cudnnHandle_t h, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                                   cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t y, int algorithm, size_t *bytes) {
	if (d == FORWARD) return cudnnGetConvolutionForwardWorkspaceSize(h, x, w, conv, y, (cudnnConvolutionFwdAlgo_t)algorithm, bytes);
	if (d == BACKWARD_DATA)
		return cudnnGetConvolutionBackwardDataWorkspaceSize(h, w, y, conv, x, (cudnnConvolutionBwdDataAlgo_t)algorithm, bytes);
	return cudnnGetConvolutionBackwardFilterWorkspaceSize(h, x, y, conv, w, (cudnnConvolutionBwdFilterAlgo_t)algorithm, bytes);
}

// product_by_cudnn computes one of a convolution's products. With a beta of 1 it adds the product to the output.
static cudnnStatus_t product_by_cudnn(enum direction d, cudnnHandle_t h, cudnnTensorDescriptor_t x, CUdeviceptr ax, cudnnFilterDescriptor_t w,
                              CUdeviceptr aw, cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t y, CUdeviceptr ay,
                              int algorithm, CUdeviceptr aworkspace, size_t bytes, float beta) {
	const float one = 1; // cuDNN takes this factor as float for every type except double, which isn't used
	void *px = (void *)ax, *pw = (void *)aw, *py = (void *)ay, *workspace = (void *)aworkspace;
	if (d == FORWARD)
		return cudnnConvolutionForward(h, &one, x, px, w, pw, conv, (cudnnConvolutionFwdAlgo_t)algorithm, workspace, bytes, &beta, y, py);
	if (d == BACKWARD_DATA)
		return cudnnConvolutionBackwardData(h, &one, w, pw, y, py, conv, (cudnnConvolutionBwdDataAlgo_t)algorithm, workspace, bytes, &beta, x, px);
	return cudnnConvolutionBackwardFilter(h, &one, x, px, y, py, conv, (cudnnConvolutionBwdFilterAlgo_t)algorithm, workspace, bytes, &beta, w, pw);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"unsafe"

	"gorgonia.org/cu"
	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/cuda/driver"
)

// direction names one of a convolution's three products: the output, the input gradient or the weight gradient.
type direction C.enum_direction

const (
	forward        direction = C.FORWARD
	backwardData   direction = C.BACKWARD_DATA
	backwardFilter direction = C.BACKWARD_FILTER
)

// directions is the number of directions.
const directions = 3

func (d direction) String() string {
	return [...]string{"forward", "backward data", "backward filter"}[d]
}

// function returns the direction as it is spelled in the names of cuDNN's functions.
func (d direction) function() string {
	return [...]string{"Forward", "BackwardData", "BackwardFilter"}[d]
}

// algorithm is one of cuDNN's algorithms for a convolution, with one arithmetic, or our own. Its id is cuDNN's number, which
// depends on the direction, or tensorCores.
type algorithm struct {
	id            int
	math          int   // cuDNN's number for the arithmetic
	workspace     int64 // bytes
	deterministic bool
	milliseconds  float64 // measured; 0 where it was chosen by cuDNN's heuristic
}

// same reports whether two algorithms are the same one with the same arithmetic.
func (a algorithm) same(b algorithm) bool { return a.id == b.id && a.math == b.math }

// keep turns algorithms into what the cache stores.
func keep(found []algorithm) (kept []measuredAlgorithm) {
	for _, a := range found {
		kept = append(kept, measuredAlgorithm{a.id, a.math, a.deterministic, a.milliseconds})
	}
	return kept
}

// kept is the reverse of keep: it turns what the cache stores into algorithms, whose workspaces are still unknown.
func kept(ways []measuredAlgorithm) (found []algorithm) {
	for _, w := range ways {
		found = append(found, algorithm{id: w.ID, math: w.Math, deterministic: w.Deterministic, milliseconds: w.Milliseconds})
	}
	return found
}

// descriptors holds cuDNN's descriptors of a convolution: of x, y and w, and of the convolution itself.
type descriptors struct {
	x, y *cudnn.TensorDescriptor
	w    *cudnn.Filter
	conv *cudnn.Convolution
}

// native returns cuDNN's own descriptors. Each is the first field of a struct of gorgonia.org/cu/dnn.
func (d descriptors) native() (x C.cudnnTensorDescriptor_t, w C.cudnnFilterDescriptor_t, conv C.cudnnConvolutionDescriptor_t, y C.cudnnTensorDescriptor_t) {
	return *(*C.cudnnTensorDescriptor_t)(unsafe.Pointer(d.x)), *(*C.cudnnFilterDescriptor_t)(unsafe.Pointer(d.w)),
		*(*C.cudnnConvolutionDescriptor_t)(unsafe.Pointer(d.conv)), *(*C.cudnnTensorDescriptor_t)(unsafe.Pointer(d.y))
}

// setMath sets the arithmetic that the convolution may use, by cuDNN's number. gorgonia.org/cu/dnn sets it too early:
// setting the descriptor resets it.
func (d descriptors) setMath(m int) error {
	_, _, conv, _ := d.native()
	return driver.CheckDNN("cudnnSetConvolutionMathType", int(C.cudnnSetConvolutionMathType(conv, C.cudnnMathType_t(m))))
}

// setGroups sets the number of groups. It must be set again for the same reason.
func (d descriptors) setGroups(groups int) error {
	_, _, conv, _ := d.native()
	return driver.CheckDNN("cudnnSetConvolutionGroupCount", int(C.cudnnSetConvolutionGroupCount(conv, C.int(groups))))
}

func (d descriptors) close() error { return destroy(d.x, d.y, d.w, d.conv) }

// candidates returns the algorithms that can compute the direction, best first. With memory in measured it runs them
// and orders them by measured time. If measured is nil, cuDNN's heuristic orders them.
func candidates(c *cudnn.Context, dir direction, d descriptors, measured *operands) ([]algorithm, error) {
	var choices [mostAlgorithms]C.choice
	var got C.int
	x, w, conv, y := d.native()
	var err error
	if m := measured; m != nil {
		err = driver.CheckDNN("cudnnFindConvolution"+dir.function()+"AlgorithmEx", int(C.measure(uint32(dir), dnnHandle(c),
			x, C.CUdeviceptr(m.x.Address), w, C.CUdeviceptr(m.w.Address), conv, y, C.CUdeviceptr(m.y.Address),
			mostAlgorithms, &got, &choices[0], C.CUdeviceptr(m.workspace.Address), C.size_t(m.workspace.Bytes))))
	} else {
		err = driver.CheckDNN("cudnnGetConvolution"+dir.function()+"Algorithm_v7", int(C.heuristic(uint32(dir), dnnHandle(c), x, w, conv, y,
			mostAlgorithms, &got, &choices[0])))
	}
	if err != nil {
		return nil, fmt.Errorf("algorithms for convolution %v: %w", dir, err)
	}
	var found []algorithm
	for _, r := range choices[:got] {
		// cuDNN may list an algorithm several times, once for each arithmetic.
		a := algorithm{id: int(r.algorithm), math: int(r.math), deterministic: r.deterministic != 0}
		again := slices.ContainsFunc(found, a.same)
		if r.status != C.CUDNN_STATUS_SUCCESS || again {
			continue
		}
		if measured != nil {
			a.milliseconds = float64(r.milliseconds)
		}
		found = append(found, a)
	}
	return found, nil
}

// operands holds the memory of a convolution's tensors x, w and y, and of its workspace. The rest is for our own kernels,
// which compute with the output what comes after it. cuDNN doesn't.
type operands struct {
	x, w, y, workspace Buffer
	bias               Buffer // empty: none
	tail               tail   // after the bias
	pooled, mask       Buffer // for biasReLUPool: what is written instead of y
	pooledH, pooledW   int
}

// product computes the product of a direction. It writes the operand that is the result, or adds to it where adds is
// set. It calls cuDNN itself, because gorgonia.org/cu/dnn refuses bfloat16.
func product(c *cudnn.Context, dir direction, d descriptors, o operands, id int, adds bool) error {
	x, w, conv, y := d.native()
	op := [...]string{"cudnnConvolutionForward", "cudnnConvolutionBackwardData", "cudnnConvolutionBackwardFilter"}[dir]
	return driver.CheckDNN(op, int(C.product_by_cudnn(uint32(dir), dnnHandle(c), x, C.CUdeviceptr(o.x.Address), w, C.CUdeviceptr(o.w.Address),
		conv, y, C.CUdeviceptr(o.y.Address), C.int(id), C.CUdeviceptr(o.workspace.Address), C.size_t(o.workspace.Bytes), C.float(boolInt(adds)))))
}

// borrow takes memory from the pool for operands with the given numbers of values, and fills it with random values. With
// zeros, a GPU needs less power, and so may run faster than it does later. The workspace is as large as the limit, or
// smaller if there is less room.
func (p *program) borrow(x, w, y int64) (*operands, error) {
	o := &operands{}
	pool := p.device.pool
	size := p.device.form.Type.Bytes()
	for _, b := range []struct {
		into  *Buffer
		bytes int64
	}{{&o.x, size * x}, {&o.w, size * w}, {&o.y, size * y}, {&o.workspace, p.device.workspaceLimit()}} {
		var err error
		*b.into, err = pool.take(b.bytes, "measuring algorithms")
		for bytes := b.bytes / 4; b.into == &o.workspace && bytes >= 1<<20 && errors.Is(err, ErrOutOfMemory); bytes /= 4 {
			*b.into, err = pool.take(bytes, "measuring algorithms")
		}
		if err == nil && b.into != &o.workspace {
			err = p.device.randomise(*b.into)
		}
		if err != nil {
			// The device may still be writing.
			if e := errors.Join(p.device.synchronize(), o.giveBack(pool)); e != nil {
				return nil, e
			}
			return nil, err
		}
	}
	return o, nil
}

// randomise fills a buffer with random numbers from 1 to 2, or from -2 to -1, whether it is read as float32 or as bfloat16.
func (d *Device) randomise(b Buffer) error {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([]uint32, 1<<14)
	for i := range words {
		words[i] = random.Uint32()&0x807fffff | 0x3f800000
		words[i] = words[i]&^0x7f80 | 0x3f80
	}
	done := min(b.Bytes, int64(4*len(words)))
	err := call("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(b.Address, unsafe.Pointer(unsafe.SliceData(words)), done, d.stream))
	for err == nil && done < b.Bytes {
		more := min(done, b.Bytes-done)
		err = call("cuMemcpyDtoDAsync", cu.MemcpyDtoDAsync(b.part(done, more).Address, b.Address, more, d.stream))
		done += more
	}
	if err == nil {
		err = d.synchronize() // words may go
	}
	return err
}

func (o *operands) giveBack(p *Pool) error {
	return errors.Join(p.give(o.x), p.give(o.w), p.give(o.y), p.give(o.workspace))
}

// workspaceOf asks cuDNN how many bytes an algorithm needs with the arithmetic that the descriptor allows.
func workspaceOf(c *cudnn.Context, dir direction, d descriptors, id int) (int64, error) {
	var bytes C.size_t
	x, w, conv, y := d.native()
	status := C.workspaceSize(uint32(dir), dnnHandle(c), x, w, conv, y, C.int(id), &bytes)
	return int64(bytes), driver.CheckDNN("cudnnGetConvolution...WorkspaceSize", int(status))
}

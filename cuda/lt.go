//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

/*
#include "cuda.h"
#include "cublasLt.h"

// What a product is: see ltProduct. a and b are the factors as cuBLAS sees them, in columns.
typedef struct {
	cublasLtMatmulDesc_t operation;
	cublasLtMatrixLayout_t a, b, d;
} ltDescriptors;

typedef struct {
	cublasComputeType_t compute;
	cudaDataType_t in, out;
	cublasOperation_t opA, opB;
	int m, n, k;
	cublasLtEpilogue_t epilogue;
	int64_t maskColumns;
} ltShape;

static cublasStatus_t set(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t attribute, const void *value, size_t bytes,
                          const char **call) {
	*call = "cublasLtMatmulDescSetAttribute";
	return cublasLtMatmulDescSetAttribute(d, attribute, value, bytes);
}

static cublasStatus_t layout(cublasLtMatrixLayout_t *made, cudaDataType_t type, int turned, int rows, int columns, const char **call) {
	*call = "cublasLtMatrixLayoutCreate";
	if (turned) return cublasLtMatrixLayoutCreate(made, type, columns, rows, columns);
	return cublasLtMatrixLayoutCreate(made, type, rows, columns, rows);
}

static cublasStatus_t ltSetPointers(cublasLtMatmulDesc_t d, CUdeviceptr bias, CUdeviceptr mask, const char **call) {
	const void *b = (const void *)bias, *m = (const void *)mask;
	cublasStatus_t status = set(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &b, sizeof b, call);
	if (status == CUBLAS_STATUS_SUCCESS) status = set(d, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &m, sizeof m, call);
	return status;
}

#define TRY(f) \
	if ((status = (f)) != CUBLAS_STATUS_SUCCESS) return status

// ltDescribe makes the descriptors. If it fails, those made so far are in d, and call is the function that failed.
static cublasStatus_t ltDescribe(const ltShape *s, ltDescriptors *d, const char **call) {
	cublasStatus_t status;
	const int32_t opA = s->opA, opB = s->opB;
	const uint32_t epilogue = s->epilogue;
	*call = "cublasLtMatmulDescCreate";
	TRY(cublasLtMatmulDescCreate(&d->operation, s->compute, CUDA_R_32F));
	TRY(set(d->operation, CUBLASLT_MATMUL_DESC_TRANSA, &opA, sizeof opA, call));
	TRY(set(d->operation, CUBLASLT_MATMUL_DESC_TRANSB, &opB, sizeof opB, call));
	TRY(set(d->operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue, call));
	if (s->maskColumns > 0)
		TRY(set(d->operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &s->maskColumns, sizeof s->maskColumns, call));
	TRY(layout(&d->a, s->in, s->opA == CUBLAS_OP_T, s->m, s->k, call));
	TRY(layout(&d->b, s->in, s->opB == CUBLAS_OP_T, s->k, s->n, call));
	return layout(&d->d, s->out, 0, s->m, s->n, call);
}

// ltPrefer says what an algorithm may need. Operands and workspace are aligned to at least 16 bytes, as fast kernels want
// them. A sum that is split is added up in float32, in a fixed order: other ways round the parts to the output's type.
static cublasStatus_t ltPrefer(cublasLtMatmulPreference_t p, uint64_t workspace, const char **call) {
	const uint32_t alignment = 16, reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
	const cublasLtMatmulPreferenceAttributes_t alignments[] = {
		CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
		CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
	cublasStatus_t status;
	*call = "cublasLtMatmulPreferenceSetAttribute";
	TRY(cublasLtMatmulPreferenceSetAttribute(p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace));
	TRY(cublasLtMatmulPreferenceSetAttribute(p, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions));
	for (int i = 0; i < 4; i++) TRY(cublasLtMatmulPreferenceSetAttribute(p, alignments[i], &alignment, sizeof alignment));
	return status;
}

// ltHeuristic asks for algorithms, the fastest first as cuBLASLt thinks.
static cublasStatus_t ltHeuristic(cublasLtHandle_t h, const ltDescriptors *d, uint64_t workspace, int most,
                                cublasLtMatmulHeuristicResult_t *results, int *got, const char **call) {
	cublasLtMatmulPreference_t p;
	*call = "cublasLtMatmulPreferenceCreate";
	cublasStatus_t status = cublasLtMatmulPreferenceCreate(&p);
	if (status != CUBLAS_STATUS_SUCCESS) return status;
	status = ltPrefer(p, workspace, call);
	if (status == CUBLAS_STATUS_SUCCESS) {
		*call = "cublasLtMatmulAlgoGetHeuristic";
		status = cublasLtMatmulAlgoGetHeuristic(h, d->operation, d->a, d->b, d->d, d->d, p, most, results, got);
	}
	const cublasStatus_t destroyed = cublasLtMatmulPreferenceDestroy(p);
	if (status != CUBLAS_STATUS_SUCCESS || destroyed == CUBLAS_STATUS_SUCCESS) return status;
	*call = "cublasLtMatmulPreferenceDestroy";
	return destroyed;
}

static cublasStatus_t ltMatmul(cublasLtHandle_t h, const ltDescriptors *d, CUdeviceptr a, CUdeviceptr b, float beta, CUdeviceptr c,
                               const cublasLtMatmulAlgo_t *algorithm, CUdeviceptr workspace, size_t bytes, CUstream stream) {
	const float one = 1;
	return cublasLtMatmul(h, d->operation, &one, (const void *)a, d->a, (const void *)b, d->b, &beta, (const void *)c, d->d, (void *)c,
	                      d->d, algorithm, (void *)workspace, bytes, (cudaStream_t)stream);
}
*/
import "C"

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/kernels"
)

// cuBLASLt computes what comes after a product of matrices in the same kernel. It is a library of its own, which may be
// missing.

// epilogue is what cuBLASLt computes with a product.
type epilogue C.cublasLtEpilogue_t

// Biases have the output's type, says the documentation.
const (
	plain        epilogue = C.CUBLASLT_EPILOGUE_DEFAULT
	addsBias     epilogue = C.CUBLASLT_EPILOGUE_BIAS
	addsBiasReLU epilogue = C.CUBLASLT_EPILOGUE_RELU_BIAS     // bias and ReLU
	keepsMask    epilogue = C.CUBLASLT_EPILOGUE_RELU_AUX_BIAS // the same, and writes where the ReLU's output isn't 0
	reluGradient epilogue = C.CUBLASLT_EPILOGUE_DRELU         // of a ReLU that has kept its mask
	biasGradient epilogue = C.CUBLASLT_EPILOGUE_BGRADB        // sums of the left factor, whose transpose is the output's gradient
)

// maskColumns returns how many bits of a ReLU's mask belong to each sample: cuBLASLt wants a multiple of 128.
func maskColumns(units int) int64 { return (int64(units) + 127) / 128 * 128 }

// ltProduct is a product of row-major matrices of certain shapes with an epilogue, and the algorithms that can compute it.
type ltProduct struct {
	device      *Device
	epilogue    epilogue
	descriptors C.ltDescriptors
	ways        []way // the one in use first
}

// way is one of cuBLASLt's algorithms for a product.
//
// A product by one algorithm gives the same bytes each time, on GPUs of one kind and with one version of cuBLAS. That holds
// as long as sums that are split are not added by atomic operations, or in the output, which ltPrefer excludes.
type way struct {
	algorithm    C.cublasLtMatmulAlgo_t
	workspace    int64   // bytes
	milliseconds float64 // measured; 0 where cuBLASLt's heuristic has chosen
}

// productShape says what a product multiplies: left (m, k) with right (k, n).
type productShape struct {
	left, right bool // whether the factor's transpose lies in memory instead
	m, n, k     int
	out         kernels.Type
	epilogue    epilogue
}

// mostWays is how many algorithms are asked for.
const mostWays = 8

// newLtProduct makes a product and chooses its algorithm. It returns nil where there is no cuBLASLt, or where that has no
// algorithm.
func (d *Device) newLtProduct(s productShape) (*ltProduct, error) {
	if d.lt == nil {
		return nil, nil
	}
	p := &ltProduct{device: d, epilogue: s.epilogue}
	in, out := C.cudaDataType_t(C.CUDA_R_32F), C.cudaDataType_t(C.CUDA_R_32F)
	if d.Precision() == BF16 {
		in = C.CUDA_R_16BF
	}
	if s.out == kernels.BF16 {
		out = C.CUDA_R_16BF
	}
	op := func(transposed bool) C.cublasOperation_t {
		if transposed {
			return C.CUBLAS_OP_T
		}
		return C.CUBLAS_OP_N
	}
	// As in multiply, cuBLAS computes right' * left'.
	shape := C.ltShape{compute: map[Precision]C.cublasComputeType_t{FP32: C.CUBLAS_COMPUTE_32F_PEDANTIC, TF32: C.CUBLAS_COMPUTE_32F_FAST_TF32,
		BF16: C.CUBLAS_COMPUTE_32F}[d.Precision()], in: in, out: out, opA: op(s.right), opB: op(s.left), m: C.int(s.n), n: C.int(s.m), k: C.int(s.k),
		epilogue: C.cublasLtEpilogue_t(s.epilogue)}
	if s.epilogue == keepsMask || s.epilogue == reluGradient {
		shape.maskColumns = C.int64_t(maskColumns(s.n))
	}
	var call *C.char
	status := C.ltDescribe(&shape, &p.descriptors, &call)
	if lacks(status) {
		return nil, p.close()
	}
	err := checkLt(status, call)
	if err == nil {
		err = p.find()
	}
	if err == nil {
		err = p.choose(s)
	}
	if err != nil || len(p.ways) == 0 {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// checkLt returns an error for a status of a function of cuBLASLt.
func checkLt(status C.cublasStatus_t, call *C.char) error {
	if status == C.CUBLAS_STATUS_SUCCESS {
		return nil
	}
	return driver.CheckBLAS(C.GoString(call), int(status))
}

// lacks reports whether a status means that cuBLASLt can't do what it was asked for. Versions say in different ways that they
// don't know an epilogue for certain types.
func lacks(status C.cublasStatus_t) bool {
	switch status {
	case C.CUBLAS_STATUS_NOT_SUPPORTED, C.CUBLAS_STATUS_INVALID_VALUE, C.CUBLAS_STATUS_ARCH_MISMATCH:
		return true
	}
	return false
}

// find asks cuBLASLt for algorithms. There may be none.
func (p *ltProduct) find() error {
	var results [mostWays]C.cublasLtMatmulHeuristicResult_t
	var got C.int
	var call *C.char
	d := p.device
	// The pointers tell the heuristic how they will be aligned. The workspace is aligned as all memory is.
	if err := p.point(d.blas.workspace, d.blas.workspace); err != nil {
		return err
	}
	status := C.ltHeuristic(d.lt, &p.descriptors, C.uint64_t(d.blas.workspace.Bytes), mostWays, &results[0], &got, &call)
	if lacks(status) {
		return nil
	}
	if err := checkLt(status, call); err != nil {
		return err
	}
	for _, r := range results[:got] {
		if r.state == C.CUBLAS_STATUS_SUCCESS {
			p.ways = append(p.ways, way{algorithm: r.algo, workspace: int64(r.workspaceSize)})
		}
	}
	return nil
}

// factors is the memory of a product's matrices, of its bias or bias gradient, and of a ReLU's mask.
type factors struct{ left, right, out, bias, mask Buffer }

// point says where the bias, or its gradient, and the mask are. An epilogue may do without them.
func (p *ltProduct) point(bias, mask Buffer) error {
	var call *C.char
	return checkLt(C.ltSetPointers(p.descriptors.operation, C.CUdeviceptr(bias.Address), C.CUdeviceptr(mask.Address), &call), call)
}

// multiply computes the product on the current lane. It writes the output, or adds to it where adds is set. An algorithm that
// fails is dropped and the next is tried, unless a graph is being captured.
func (p *ltProduct) multiply(with factors, adds, capturing bool) error {
	if err := p.point(with.bias, with.mask); err != nil {
		return err
	}
	for {
		err := p.run(p.ways[0], with, adds)
		if err == nil || capturing || len(p.ways) == 1 || p.device.lost() != nil {
			return err
		}
		p.ways = p.ways[1:]
	}
}

func (p *ltProduct) run(by way, with factors, adds bool) error {
	b := p.device.blas
	return driver.CheckBLAS("cublasLtMatmul", int(C.ltMatmul(p.device.lt, &p.descriptors, C.CUdeviceptr(with.right.Address), C.CUdeviceptr(with.left.Address), C.float(boolInt(adds)),
		C.CUdeviceptr(with.out.Address), &by.algorithm, C.CUdeviceptr(b.workspace.Address), C.size_t(by.workspace), nativeStream(p.device.stream))))
}

// rectifies reports whether the product ends in a ReLU.
func (p *ltProduct) rectifies() bool { return p.epilogue == addsBiasReLU || p.epilogue == keepsMask }

// choose drops the algorithms whose ReLU loses a NaN, and orders the others by time, in memory of its own. If there is no
// room for that, they keep the order of cuBLASLt's heuristic, and a product with a ReLU gets no algorithm.
func (p *ltProduct) choose(s productShape) (err error) {
	d := p.device
	times := len(p.ways) > 1 && !d.options.Heuristic && !d.options.Deterministic
	if len(p.ways) == 0 || !times && !p.rectifies() {
		return nil
	}
	with, memory, err := p.trial(s)
	if errors.Is(err, ErrOutOfMemory) {
		if p.rectifies() {
			p.ways = nil
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.synchronize(), d.pool.give(memory)) }()
	if err := p.point(with.bias, with.mask); err != nil {
		return err
	}
	if p.rectifies() {
		if err := p.dropLossy(with, memory, s.out.Bytes()); err != nil {
			return err
		}
	}
	if !times {
		return nil
	}
	if err := d.randomise(memory); err != nil {
		return err
	}
	return p.measure(with)
}

// trial takes memory to try a product in.
func (p *ltProduct) trial(s productShape) (with factors, memory Buffer, err error) {
	d, size := p.device, int64(4)
	if d.Precision() == BF16 {
		size = 2
	}
	var all int64
	parts := []struct {
		into  *Buffer
		bytes int64
	}{{&with.left, size * int64(s.m) * int64(s.k)}, {&with.right, size * int64(s.k) * int64(s.n)}, {&with.out, s.out.Bytes() * int64(s.m) * int64(s.n)},
		{&with.bias, 4 * int64(max(s.m, s.n))}, {&with.mask, int64(s.m) * maskColumns(s.n) / 8}}
	for _, part := range parts {
		all += aligned(part.bytes)
	}
	if memory, err = d.pool.take(all, "measuring algorithms"); err != nil {
		return with, memory, err
	}
	at := int64(0)
	for _, part := range parts {
		*part.into = memory.part(at, part.bytes)
		at += aligned(part.bytes)
	}
	return with, memory, nil
}

// dropLossy drops the algorithms whose ReLU turns a NaN into 0: that would hide that a training has gone wrong. The
// documentation says max(x, 0), which leaves it open.
func (p *ltProduct) dropLossy(with factors, memory Buffer, size int64) error {
	const nan = 0xff // in each byte of a number
	d := p.device
	kept := p.ways[:0]
	for _, w := range p.ways {
		if err := call("cuMemsetD8Async", cu.MemsetD8Async(memory.Address, nan, memory.Bytes, d.stream)); err != nil {
			return err
		}
		if p.run(w, with, false) != nil {
			if err := d.lost(); err != nil {
				return err
			}
			continue
		}
		var got [2]byte // the upper half of the first number
		upper := with.out.Address + cu.DevicePtr(size-2)
		err := call("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(unsafe.Pointer(&got), upper, 2, d.stream))
		if err == nil {
			err = d.synchronize()
		}
		if err != nil {
			return err
		}
		if value := binary.LittleEndian.Uint16(got[:]); value&0x7fff > 0x7f80 {
			kept = append(kept, w)
		}
	}
	p.ways = kept
	return nil
}

// measure orders the algorithms by time.
func (p *ltProduct) measure(with factors) error {
	good := p.ways[:0]
	for _, w := range p.ways {
		least, ok, err := p.device.leastTime(func() error { return p.run(w, with, false) })
		if err != nil {
			return err
		}
		if w.milliseconds = least; ok {
			good = append(good, w)
		}
	}
	p.ways = good
	slices.SortStableFunc(p.ways, func(a, b way) int { return cmp.Compare(a.milliseconds, b.milliseconds) })
	return nil
}

// has reports whether the product ends in an epilogue. A nil product has none.
func (p *ltProduct) has(e epilogue) bool { return p != nil && p.epilogue == e }

// close destroys the descriptors. A nil product has none.
func (p *ltProduct) close() error {
	if p == nil {
		return nil
	}
	var errs []error
	d := &p.descriptors
	if d.operation != nil {
		errs = append(errs, driver.CheckBLAS("cublasLtMatmulDescDestroy", int(C.cublasLtMatmulDescDestroy(d.operation))))
	}
	for _, l := range []C.cublasLtMatrixLayout_t{d.a, d.b, d.d} {
		if l != nil {
			errs = append(errs, driver.CheckBLAS("cublasLtMatrixLayoutDestroy", int(C.cublasLtMatrixLayoutDestroy(l))))
		}
	}
	return errors.Join(errs...)
}

// ltHandle is a handle of cuBLASLt; nil without one.
type ltHandle = C.cublasLtHandle_t

// newLt makes a handle of cuBLASLt. It is nil if the library wasn't found, or can't work here. One handle works on all streams.
func newLt(l *driver.Libraries) (h ltHandle, err error) {
	if l.BLASLt.Err != nil {
		return nil, nil
	}
	status := C.cublasLtCreate(&h)
	if lacks(status) {
		return nil, nil
	}
	return h, driver.CheckBLAS("cublasLtCreate", int(status))
}

func closeLt(h ltHandle) error {
	return driver.CheckBLAS("cublasLtDestroy", int(C.cublasLtDestroy(h)))
}

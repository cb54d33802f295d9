/*
 * cuBLAS: the names, values and prototypes that gorgonia.org/cu/blas and this module refer to. Declared here so
 * that a build needs no cuBLAS. They hold for cuBLAS 11, 12 and 13.
 */
#ifndef GPUTRAIN_CUBLAS_V2_H
#define GPUTRAIN_CUBLAS_V2_H

#include <stddef.h>
#include <stdint.h>

#include "cuComplex.h"
#include "library_types.h"

#define CUBLASAPI
#define CUBLASWINAPI

#ifdef __cplusplus
extern "C" {
#endif

/* Handles and scalars */

typedef struct cublasContext *cublasHandle_t;

/* Enumerations */

typedef enum {
	CUBLAS_STATUS_SUCCESS          = 0,
	CUBLAS_STATUS_NOT_INITIALIZED  = 1,
	CUBLAS_STATUS_ALLOC_FAILED     = 3,
	CUBLAS_STATUS_INVALID_VALUE    = 7,
	CUBLAS_STATUS_ARCH_MISMATCH    = 8,
	CUBLAS_STATUS_MAPPING_ERROR    = 11,
	CUBLAS_STATUS_EXECUTION_FAILED = 13,
	CUBLAS_STATUS_INTERNAL_ERROR   = 14,
	CUBLAS_STATUS_NOT_SUPPORTED    = 15,
	CUBLAS_STATUS_LICENSE_ERROR    = 16,
} cublasStatus_t;

typedef enum {
	CUBLAS_DEFAULT_MATH                              = 0,
	CUBLAS_TENSOR_OP_MATH                            = 1,
	CUBLAS_PEDANTIC_MATH                             = 2,
	CUBLAS_TF32_TENSOR_OP_MATH                       = 3,
	CUBLAS_FP32_EMULATED_BF16X9_MATH                 = 4,
	CUBLAS_FP64_EMULATED_FIXEDPOINT_MATH             = 8,
	CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16,
} cublasMath_t;

typedef enum {
	CUBLAS_POINTER_MODE_HOST   = 0,
	CUBLAS_POINTER_MODE_DEVICE = 1,
} cublasPointerMode_t;

typedef enum {
	CUBLAS_ATOMICS_NOT_ALLOWED = 0,
	CUBLAS_ATOMICS_ALLOWED     = 1,
} cublasAtomicsMode_t;

typedef enum {
	CUBLAS_OP_N        = 0,
	CUBLAS_OP_T        = 1,
	CUBLAS_OP_C        = 2,
	CUBLAS_OP_HERMITAN = 2,
	CUBLAS_OP_CONJG    = 3,
} cublasOperation_t;

typedef enum {
	CUBLAS_COMPUTE_16F                     = 64,
	CUBLAS_COMPUTE_16F_PEDANTIC            = 65,
	CUBLAS_COMPUTE_32F                     = 68,
	CUBLAS_COMPUTE_32F_PEDANTIC            = 69,
	CUBLAS_COMPUTE_64F                     = 70,
	CUBLAS_COMPUTE_64F_PEDANTIC            = 71,
	CUBLAS_COMPUTE_32I                     = 72,
	CUBLAS_COMPUTE_32I_PEDANTIC            = 73,
	CUBLAS_COMPUTE_32F_FAST_16F            = 74,
	CUBLAS_COMPUTE_32F_FAST_16BF           = 75,
	CUBLAS_COMPUTE_32F_FAST_TF32           = 77,
	CUBLAS_COMPUTE_32F_EMULATED_16BFX9     = 78,
	CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT = 79,
} cublasComputeType_t;

typedef enum {
	CUBLAS_GEMM_DFALT             = -1,
	CUBLAS_GEMM_DEFAULT           = -1,
	CUBLAS_GEMM_DFALT_TENSOR_OP   = 99,
	CUBLAS_GEMM_DEFAULT_TENSOR_OP = 99,
} cublasGemmAlgo_t;

typedef enum {
	CUBLAS_SIDE_LEFT  = 0,
	CUBLAS_SIDE_RIGHT = 1,
} cublasSideMode_t;

typedef enum {
	CUBLAS_FILL_MODE_LOWER = 0,
	CUBLAS_FILL_MODE_UPPER = 1,
	CUBLAS_FILL_MODE_FULL  = 2,
} cublasFillMode_t;

typedef enum {
	CUBLAS_DIAG_NON_UNIT = 0,
	CUBLAS_DIAG_UNIT     = 1,
} cublasDiagType_t;

/* The symbols that the names above stand for today */

#define cublasCreate cublasCreate_v2
#define cublasDestroy cublasDestroy_v2
#define cublasGetPointerMode cublasGetPointerMode_v2
#define cublasGetStream cublasGetStream_v2
#define cublasGetVersion cublasGetVersion_v2
#define cublasSetPointerMode cublasSetPointerMode_v2
#define cublasSetStream cublasSetStream_v2
#define cublasSetWorkspace cublasSetWorkspace_v2
#define cublasCgemm cublasCgemm_v2
#define cublasChemm cublasChemm_v2
#define cublasCher2k cublasCher2k_v2
#define cublasCherk cublasCherk_v2
#define cublasCsymm cublasCsymm_v2
#define cublasCsyr2k cublasCsyr2k_v2
#define cublasCsyrk cublasCsyrk_v2
#define cublasCtrsm cublasCtrsm_v2
#define cublasDgemm cublasDgemm_v2
#define cublasDsymm cublasDsymm_v2
#define cublasDsyr2k cublasDsyr2k_v2
#define cublasDsyrk cublasDsyrk_v2
#define cublasDtrsm cublasDtrsm_v2
#define cublasSgemm cublasSgemm_v2
#define cublasSsymm cublasSsymm_v2
#define cublasSsyr2k cublasSsyr2k_v2
#define cublasSsyrk cublasSsyrk_v2
#define cublasStrsm cublasStrsm_v2
#define cublasZgemm cublasZgemm_v2
#define cublasZhemm cublasZhemm_v2
#define cublasZher2k cublasZher2k_v2
#define cublasZherk cublasZherk_v2
#define cublasZsymm cublasZsymm_v2
#define cublasZsyr2k cublasZsyr2k_v2
#define cublasZsyrk cublasZsyrk_v2
#define cublasZtrsm cublasZtrsm_v2
#define cublasCgbmv cublasCgbmv_v2
#define cublasCgemv cublasCgemv_v2
#define cublasCgerc cublasCgerc_v2
#define cublasCgeru cublasCgeru_v2
#define cublasChbmv cublasChbmv_v2
#define cublasChemv cublasChemv_v2
#define cublasCher cublasCher_v2
#define cublasCher2 cublasCher2_v2
#define cublasChpmv cublasChpmv_v2
#define cublasChpr cublasChpr_v2
#define cublasChpr2 cublasChpr2_v2
#define cublasCsymv cublasCsymv_v2
#define cublasCsyr cublasCsyr_v2
#define cublasCsyr2 cublasCsyr2_v2
#define cublasCtbmv cublasCtbmv_v2
#define cublasCtbsv cublasCtbsv_v2
#define cublasCtpmv cublasCtpmv_v2
#define cublasCtpsv cublasCtpsv_v2
#define cublasCtrmv cublasCtrmv_v2
#define cublasCtrsv cublasCtrsv_v2
#define cublasDgbmv cublasDgbmv_v2
#define cublasDgemv cublasDgemv_v2
#define cublasDger cublasDger_v2
#define cublasDsbmv cublasDsbmv_v2
#define cublasDspmv cublasDspmv_v2
#define cublasDspr cublasDspr_v2
#define cublasDspr2 cublasDspr2_v2
#define cublasDsymv cublasDsymv_v2
#define cublasDsyr cublasDsyr_v2
#define cublasDsyr2 cublasDsyr2_v2
#define cublasDtbmv cublasDtbmv_v2
#define cublasDtbsv cublasDtbsv_v2
#define cublasDtpmv cublasDtpmv_v2
#define cublasDtpsv cublasDtpsv_v2
#define cublasDtrmv cublasDtrmv_v2
#define cublasDtrsv cublasDtrsv_v2
#define cublasSgbmv cublasSgbmv_v2
#define cublasSgemv cublasSgemv_v2
#define cublasSger cublasSger_v2
#define cublasSsbmv cublasSsbmv_v2
#define cublasSspmv cublasSspmv_v2
#define cublasSspr cublasSspr_v2
#define cublasSspr2 cublasSspr2_v2
#define cublasSsymv cublasSsymv_v2
#define cublasSsyr cublasSsyr_v2
#define cublasSsyr2 cublasSsyr2_v2
#define cublasStbmv cublasStbmv_v2
#define cublasStbsv cublasStbsv_v2
#define cublasStpmv cublasStpmv_v2
#define cublasStpsv cublasStpsv_v2
#define cublasStrmv cublasStrmv_v2
#define cublasStrsv cublasStrsv_v2
#define cublasZgbmv cublasZgbmv_v2
#define cublasZgemv cublasZgemv_v2
#define cublasZgerc cublasZgerc_v2
#define cublasZgeru cublasZgeru_v2
#define cublasZhbmv cublasZhbmv_v2
#define cublasZhemv cublasZhemv_v2
#define cublasZher cublasZher_v2
#define cublasZher2 cublasZher2_v2
#define cublasZhpmv cublasZhpmv_v2
#define cublasZhpr cublasZhpr_v2
#define cublasZhpr2 cublasZhpr2_v2
#define cublasZsymv cublasZsymv_v2
#define cublasZsyr cublasZsyr_v2
#define cublasZsyr2 cublasZsyr2_v2
#define cublasZtbmv cublasZtbmv_v2
#define cublasZtbsv cublasZtbsv_v2
#define cublasZtpmv cublasZtpmv_v2
#define cublasZtpsv cublasZtpsv_v2
#define cublasZtrmv cublasZtrmv_v2
#define cublasZtrsv cublasZtrsv_v2
#define cublasCaxpy cublasCaxpy_v2
#define cublasCcopy cublasCcopy_v2
#define cublasCdotc cublasCdotc_v2
#define cublasCdotu cublasCdotu_v2
#define cublasCrot cublasCrot_v2
#define cublasCscal cublasCscal_v2
#define cublasCsscal cublasCsscal_v2
#define cublasCswap cublasCswap_v2
#define cublasDasum cublasDasum_v2
#define cublasDaxpy cublasDaxpy_v2
#define cublasDcopy cublasDcopy_v2
#define cublasDdot cublasDdot_v2
#define cublasDnrm2 cublasDnrm2_v2
#define cublasDrot cublasDrot_v2
#define cublasDrotg cublasDrotg_v2
#define cublasDrotm cublasDrotm_v2
#define cublasDrotmg cublasDrotmg_v2
#define cublasDscal cublasDscal_v2
#define cublasDswap cublasDswap_v2
#define cublasDzasum cublasDzasum_v2
#define cublasDznrm2 cublasDznrm2_v2
#define cublasIcamax cublasIcamax_v2
#define cublasIcamin cublasIcamin_v2
#define cublasIdamax cublasIdamax_v2
#define cublasIdamin cublasIdamin_v2
#define cublasIsamax cublasIsamax_v2
#define cublasIsamin cublasIsamin_v2
#define cublasIzamax cublasIzamax_v2
#define cublasIzamin cublasIzamin_v2
#define cublasSasum cublasSasum_v2
#define cublasSaxpy cublasSaxpy_v2
#define cublasScasum cublasScasum_v2
#define cublasScnrm2 cublasScnrm2_v2
#define cublasScopy cublasScopy_v2
#define cublasSdot cublasSdot_v2
#define cublasSnrm2 cublasSnrm2_v2
#define cublasSrot cublasSrot_v2
#define cublasSrotg cublasSrotg_v2
#define cublasSrotm cublasSrotm_v2
#define cublasSrotmg cublasSrotmg_v2
#define cublasSscal cublasSscal_v2
#define cublasSswap cublasSswap_v2
#define cublasZaxpy cublasZaxpy_v2
#define cublasZcopy cublasZcopy_v2
#define cublasZdotc cublasZdotc_v2
#define cublasZdotu cublasZdotu_v2
#define cublasZdscal cublasZdscal_v2
#define cublasZrot cublasZrot_v2
#define cublasZscal cublasZscal_v2
#define cublasZswap cublasZswap_v2

/* Handle, versions, errors and modes */
cublasStatus_t CUBLASWINAPI cublasCreate(cublasHandle_t *handle);
cublasStatus_t CUBLASWINAPI cublasDestroy(cublasHandle_t handle);
cublasStatus_t CUBLASWINAPI cublasGetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t *mode);
size_t CUBLASWINAPI cublasGetCudartVersion(void);
cublasStatus_t CUBLASWINAPI cublasGetMathMode(cublasHandle_t handle, cublasMath_t *mode);
cublasStatus_t CUBLASWINAPI cublasGetPointerMode(cublasHandle_t handle, cublasPointerMode_t *mode);
cublasStatus_t CUBLASWINAPI cublasGetProperty(libraryPropertyType type, int *value);
const char *CUBLASWINAPI cublasGetStatusName(cublasStatus_t status);
const char *CUBLASWINAPI cublasGetStatusString(cublasStatus_t status);
cublasStatus_t CUBLASWINAPI cublasGetStream(cublasHandle_t handle, cudaStream_t *streamId);
cublasStatus_t CUBLASWINAPI cublasGetVersion(cublasHandle_t handle, int *version);
cublasStatus_t CUBLASWINAPI cublasLoggerConfigure(int logIsOn, int logToStdOut, int logToStdErr, const char
	*logFileName);
cublasStatus_t CUBLASWINAPI cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t mode);
cublasStatus_t CUBLASWINAPI cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);
cublasStatus_t CUBLASWINAPI cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode);
cublasStatus_t CUBLASWINAPI cublasSetStream(cublasHandle_t handle, cudaStream_t streamId);
cublasStatus_t CUBLASWINAPI cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t workspaceSizeInBytes);

/* Level 3 and its extensions */
cublasStatus_t CUBLASWINAPI cublasCdgmm(cublasHandle_t handle, cublasSideMode_t mode, int m, int n, const
	cuComplex *A, int lda, const cuComplex *x, int incx, cuComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasCgeam(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t
	transb, int m, int n, const cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *beta, const
	cuComplex *B, int ldb, cuComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasCgemm(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t
	transb, int m, int n, int k, const cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *B, int ldb,
	const cuComplex *beta, cuComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasCgemm3m(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t
	transb, int m, int n, int k, const cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *B, int ldb,
	const cuComplex *beta, cuComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasChemm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo, int
	m, int n, const cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *B, int ldb, const cuComplex
	*beta, cuComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasCher2k(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *B, int ldb, const float
	*beta, cuComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasCherk(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const float *alpha, const cuComplex *A, int lda, const float *beta, cuComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasCherkx(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *B, int ldb, const float
	*beta, cuComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasCsymm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo, int
	m, int n, const cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *B, int ldb, const cuComplex
	*beta, cuComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasCsyr2k(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *B, int ldb, const cuComplex
	*beta, cuComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasCsyrk(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *beta, cuComplex *C, int
	ldc);
cublasStatus_t CUBLASWINAPI cublasCsyrkx(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *B, int ldb, const cuComplex
	*beta, cuComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasCtrsm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo,
	cublasOperation_t trans, cublasDiagType_t diag, int m, int n, const cuComplex *alpha, const cuComplex *A, int
	lda, cuComplex *B, int ldb);
cublasStatus_t CUBLASWINAPI cublasDdgmm(cublasHandle_t handle, cublasSideMode_t mode, int m, int n, const double
	*A, int lda, const double *x, int incx, double *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasDgeam(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t
	transb, int m, int n, const double *alpha, const double *A, int lda, const double *beta, const double *B, int
	ldb, double *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasDgemm(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t
	transb, int m, int n, int k, const double *alpha, const double *A, int lda, const double *B, int ldb, const
	double *beta, double *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasDsymm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo, int
	m, int n, const double *alpha, const double *A, int lda, const double *B, int ldb, const double *beta, double
	*C, int ldc);
cublasStatus_t CUBLASWINAPI cublasDsyr2k(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const double *alpha, const double *A, int lda, const double *B, int ldb, const double *beta,
	double *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasDsyrk(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const double *alpha, const double *A, int lda, const double *beta, double *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasDsyrkx(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const double *alpha, const double *A, int lda, const double *B, int ldb, const double *beta,
	double *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasDtrsm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo,
	cublasOperation_t trans, cublasDiagType_t diag, int m, int n, const double *alpha, const double *A, int lda,
	double *B, int ldb);
cublasStatus_t CUBLASWINAPI cublasGemmBatchedEx(cublasHandle_t handle, cublasOperation_t transa,
	cublasOperation_t transb, int m, int n, int k, const void *alpha, const void * const Aarray[], cudaDataType
	Atype, int lda, const void * const Barray[], cudaDataType Btype, int ldb, const void *beta, void * const
	Carray[], cudaDataType Ctype, int ldc, int batchCount, cublasComputeType_t computeType, cublasGemmAlgo_t algo);
cublasStatus_t CUBLASWINAPI cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t
	transb, int m, int n, int k, const void *alpha, const void *A, cudaDataType Atype, int lda, const void *B,
	cudaDataType Btype, int ldb, const void *beta, void *C, cudaDataType Ctype, int ldc, cublasComputeType_t
	computeType, cublasGemmAlgo_t algo);
cublasStatus_t CUBLASWINAPI cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa,
	cublasOperation_t transb, int m, int n, int k, const void *alpha, const void *A, cudaDataType Atype, int lda,
	long long int strideA, const void *B, cudaDataType Btype, int ldb, long long int strideB, const void *beta,
	void *C, cudaDataType Ctype, int ldc, long long int strideC, int batchCount, cublasComputeType_t computeType,
	cublasGemmAlgo_t algo);
cublasStatus_t CUBLASWINAPI cublasSdgmm(cublasHandle_t handle, cublasSideMode_t mode, int m, int n, const float
	*A, int lda, const float *x, int incx, float *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasSgeam(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t
	transb, int m, int n, const float *alpha, const float *A, int lda, const float *beta, const float *B, int ldb,
	float *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasSgemm(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t
	transb, int m, int n, int k, const float *alpha, const float *A, int lda, const float *B, int ldb, const float
	*beta, float *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasSgemmBatched(cublasHandle_t handle, cublasOperation_t transa,
	cublasOperation_t transb, int m, int n, int k, const float *alpha, const float * const Aarray[], int lda, const
	float * const Barray[], int ldb, const float *beta, float * const Carray[], int ldc, int batchCount);
cublasStatus_t CUBLASWINAPI cublasSgemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t
	transb, int m, int n, int k, const float *alpha, const void *A, cudaDataType Atype, int lda, const void *B,
	cudaDataType Btype, int ldb, const float *beta, void *C, cudaDataType Ctype, int ldc);
cublasStatus_t CUBLASWINAPI cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa,
	cublasOperation_t transb, int m, int n, int k, const float *alpha, const float *A, int lda, long long int
	strideA, const float *B, int ldb, long long int strideB, const float *beta, float *C, int ldc, long long int
	strideC, int batchCount);
cublasStatus_t CUBLASWINAPI cublasSsymm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo, int
	m, int n, const float *alpha, const float *A, int lda, const float *B, int ldb, const float *beta, float *C,
	int ldc);
cublasStatus_t CUBLASWINAPI cublasSsyr2k(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const float *alpha, const float *A, int lda, const float *B, int ldb, const float *beta, float
	*C, int ldc);
cublasStatus_t CUBLASWINAPI cublasSsyrk(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const float *alpha, const float *A, int lda, const float *beta, float *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasSsyrkx(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const float *alpha, const float *A, int lda, const float *B, int ldb, const float *beta, float
	*C, int ldc);
cublasStatus_t CUBLASWINAPI cublasStrsm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo,
	cublasOperation_t trans, cublasDiagType_t diag, int m, int n, const float *alpha, const float *A, int lda,
	float *B, int ldb);
cublasStatus_t CUBLASWINAPI cublasZdgmm(cublasHandle_t handle, cublasSideMode_t mode, int m, int n, const
	cuDoubleComplex *A, int lda, const cuDoubleComplex *x, int incx, cuDoubleComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasZgeam(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t
	transb, int m, int n, const cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex
	*beta, const cuDoubleComplex *B, int ldb, cuDoubleComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasZgemm(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t
	transb, int m, int n, int k, const cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const
	cuDoubleComplex *B, int ldb, const cuDoubleComplex *beta, cuDoubleComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasZgemm3m(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t
	transb, int m, int n, int k, const cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const
	cuDoubleComplex *B, int ldb, const cuDoubleComplex *beta, cuDoubleComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasZhemm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo, int
	m, int n, const cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex *B, int ldb,
	const cuDoubleComplex *beta, cuDoubleComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasZher2k(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex *B, int
	ldb, const double *beta, cuDoubleComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasZherk(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const double *alpha, const cuDoubleComplex *A, int lda, const double *beta, cuDoubleComplex *C,
	int ldc);
cublasStatus_t CUBLASWINAPI cublasZherkx(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex *B, int
	ldb, const double *beta, cuDoubleComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasZsymm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo, int
	m, int n, const cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex *B, int ldb,
	const cuDoubleComplex *beta, cuDoubleComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasZsyr2k(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex *B, int
	ldb, const cuDoubleComplex *beta, cuDoubleComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasZsyrk(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex *beta,
	cuDoubleComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasZsyrkx(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	int n, int k, const cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex *B, int
	ldb, const cuDoubleComplex *beta, cuDoubleComplex *C, int ldc);
cublasStatus_t CUBLASWINAPI cublasZtrsm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo,
	cublasOperation_t trans, cublasDiagType_t diag, int m, int n, const cuDoubleComplex *alpha, const
	cuDoubleComplex *A, int lda, cuDoubleComplex *B, int ldb);

/* Level 2 */
cublasStatus_t CUBLASWINAPI cublasCgbmv(cublasHandle_t handle, cublasOperation_t trans, int m, int n, int kl,
	int ku, const cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *x, int incx, const cuComplex
	*beta, cuComplex *y, int incy);
cublasStatus_t CUBLASWINAPI cublasCgemv(cublasHandle_t handle, cublasOperation_t trans, int m, int n, const
	cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *x, int incx, const cuComplex *beta, cuComplex
	*y, int incy);
cublasStatus_t CUBLASWINAPI cublasCgerc(cublasHandle_t handle, int m, int n, const cuComplex *alpha, const
	cuComplex *x, int incx, const cuComplex *y, int incy, cuComplex *A, int lda);
cublasStatus_t CUBLASWINAPI cublasCgeru(cublasHandle_t handle, int m, int n, const cuComplex *alpha, const
	cuComplex *x, int incx, const cuComplex *y, int incy, cuComplex *A, int lda);
cublasStatus_t CUBLASWINAPI cublasChbmv(cublasHandle_t handle, cublasFillMode_t uplo, int n, int k, const
	cuComplex *alpha, const cuComplex *A, int lda, const cuComplex *x, int incx, const cuComplex *beta, cuComplex
	*y, int incy);
cublasStatus_t CUBLASWINAPI cublasChemv(cublasHandle_t handle, cublasFillMode_t uplo, int n, const cuComplex
	*alpha, const cuComplex *A, int lda, const cuComplex *x, int incx, const cuComplex *beta, cuComplex *y, int
	incy);
cublasStatus_t CUBLASWINAPI cublasCher(cublasHandle_t handle, cublasFillMode_t uplo, int n, const float *alpha,
	const cuComplex *x, int incx, cuComplex *A, int lda);
cublasStatus_t CUBLASWINAPI cublasCher2(cublasHandle_t handle, cublasFillMode_t uplo, int n, const cuComplex
	*alpha, const cuComplex *x, int incx, const cuComplex *y, int incy, cuComplex *A, int lda);
cublasStatus_t CUBLASWINAPI cublasChpmv(cublasHandle_t handle, cublasFillMode_t uplo, int n, const cuComplex
	*alpha, const cuComplex *AP, const cuComplex *x, int incx, const cuComplex *beta, cuComplex *y, int incy);
cublasStatus_t CUBLASWINAPI cublasChpr(cublasHandle_t handle, cublasFillMode_t uplo, int n, const float *alpha,
	const cuComplex *x, int incx, cuComplex *AP);
cublasStatus_t CUBLASWINAPI cublasChpr2(cublasHandle_t handle, cublasFillMode_t uplo, int n, const cuComplex
	*alpha, const cuComplex *x, int incx, const cuComplex *y, int incy, cuComplex *AP);
cublasStatus_t CUBLASWINAPI cublasCsymv(cublasHandle_t handle, cublasFillMode_t uplo, int n, const cuComplex
	*alpha, const cuComplex *A, int lda, const cuComplex *x, int incx, const cuComplex *beta, cuComplex *y, int
	incy);
cublasStatus_t CUBLASWINAPI cublasCsyr(cublasHandle_t handle, cublasFillMode_t uplo, int n, const cuComplex
	*alpha, const cuComplex *x, int incx, cuComplex *A, int lda);
cublasStatus_t CUBLASWINAPI cublasCsyr2(cublasHandle_t handle, cublasFillMode_t uplo, int n, const cuComplex
	*alpha, const cuComplex *x, int incx, const cuComplex *y, int incy, cuComplex *A, int lda);
cublasStatus_t CUBLASWINAPI cublasCtbmv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, int k, const cuComplex *A, int lda, cuComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasCtbsv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, int k, const cuComplex *A, int lda, cuComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasCtpmv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const cuComplex *AP, cuComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasCtpsv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const cuComplex *AP, cuComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasCtpttr(cublasHandle_t handle, cublasFillMode_t uplo, int n, const cuComplex
	*AP, cuComplex *A, int lda);
cublasStatus_t CUBLASWINAPI cublasCtrmv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const cuComplex *A, int lda, cuComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasCtrsv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const cuComplex *A, int lda, cuComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasCtrttp(cublasHandle_t handle, cublasFillMode_t uplo, int n, const cuComplex
	*A, int lda, cuComplex *AP);
cublasStatus_t CUBLASWINAPI cublasDgbmv(cublasHandle_t handle, cublasOperation_t trans, int m, int n, int kl,
	int ku, const double *alpha, const double *A, int lda, const double *x, int incx, const double *beta, double
	*y, int incy);
cublasStatus_t CUBLASWINAPI cublasDgemv(cublasHandle_t handle, cublasOperation_t trans, int m, int n, const
	double *alpha, const double *A, int lda, const double *x, int incx, const double *beta, double *y, int incy);
cublasStatus_t CUBLASWINAPI cublasDger(cublasHandle_t handle, int m, int n, const double *alpha, const double
	*x, int incx, const double *y, int incy, double *A, int lda);
cublasStatus_t CUBLASWINAPI cublasDsbmv(cublasHandle_t handle, cublasFillMode_t uplo, int n, int k, const double
	*alpha, const double *A, int lda, const double *x, int incx, const double *beta, double *y, int incy);
cublasStatus_t CUBLASWINAPI cublasDspmv(cublasHandle_t handle, cublasFillMode_t uplo, int n, const double
	*alpha, const double *AP, const double *x, int incx, const double *beta, double *y, int incy);
cublasStatus_t CUBLASWINAPI cublasDspr(cublasHandle_t handle, cublasFillMode_t uplo, int n, const double *alpha,
	const double *x, int incx, double *AP);
cublasStatus_t CUBLASWINAPI cublasDspr2(cublasHandle_t handle, cublasFillMode_t uplo, int n, const double
	*alpha, const double *x, int incx, const double *y, int incy, double *AP);
cublasStatus_t CUBLASWINAPI cublasDsymv(cublasHandle_t handle, cublasFillMode_t uplo, int n, const double
	*alpha, const double *A, int lda, const double *x, int incx, const double *beta, double *y, int incy);
cublasStatus_t CUBLASWINAPI cublasDsyr(cublasHandle_t handle, cublasFillMode_t uplo, int n, const double *alpha,
	const double *x, int incx, double *A, int lda);
cublasStatus_t CUBLASWINAPI cublasDsyr2(cublasHandle_t handle, cublasFillMode_t uplo, int n, const double
	*alpha, const double *x, int incx, const double *y, int incy, double *A, int lda);
cublasStatus_t CUBLASWINAPI cublasDtbmv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, int k, const double *A, int lda, double *x, int incx);
cublasStatus_t CUBLASWINAPI cublasDtbsv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, int k, const double *A, int lda, double *x, int incx);
cublasStatus_t CUBLASWINAPI cublasDtpmv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const double *AP, double *x, int incx);
cublasStatus_t CUBLASWINAPI cublasDtpsv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const double *AP, double *x, int incx);
cublasStatus_t CUBLASWINAPI cublasDtpttr(cublasHandle_t handle, cublasFillMode_t uplo, int n, const double *AP,
	double *A, int lda);
cublasStatus_t CUBLASWINAPI cublasDtrmv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const double *A, int lda, double *x, int incx);
cublasStatus_t CUBLASWINAPI cublasDtrsv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const double *A, int lda, double *x, int incx);
cublasStatus_t CUBLASWINAPI cublasDtrttp(cublasHandle_t handle, cublasFillMode_t uplo, int n, const double *A,
	int lda, double *AP);
cublasStatus_t CUBLASWINAPI cublasSgbmv(cublasHandle_t handle, cublasOperation_t trans, int m, int n, int kl,
	int ku, const float *alpha, const float *A, int lda, const float *x, int incx, const float *beta, float *y, int
	incy);
cublasStatus_t CUBLASWINAPI cublasSgemv(cublasHandle_t handle, cublasOperation_t trans, int m, int n, const
	float *alpha, const float *A, int lda, const float *x, int incx, const float *beta, float *y, int incy);
cublasStatus_t CUBLASWINAPI cublasSger(cublasHandle_t handle, int m, int n, const float *alpha, const float *x,
	int incx, const float *y, int incy, float *A, int lda);
cublasStatus_t CUBLASWINAPI cublasSsbmv(cublasHandle_t handle, cublasFillMode_t uplo, int n, int k, const float
	*alpha, const float *A, int lda, const float *x, int incx, const float *beta, float *y, int incy);
cublasStatus_t CUBLASWINAPI cublasSspmv(cublasHandle_t handle, cublasFillMode_t uplo, int n, const float *alpha,
	const float *AP, const float *x, int incx, const float *beta, float *y, int incy);
cublasStatus_t CUBLASWINAPI cublasSspr(cublasHandle_t handle, cublasFillMode_t uplo, int n, const float *alpha,
	const float *x, int incx, float *AP);
cublasStatus_t CUBLASWINAPI cublasSspr2(cublasHandle_t handle, cublasFillMode_t uplo, int n, const float *alpha,
	const float *x, int incx, const float *y, int incy, float *AP);
cublasStatus_t CUBLASWINAPI cublasSsymv(cublasHandle_t handle, cublasFillMode_t uplo, int n, const float *alpha,
	const float *A, int lda, const float *x, int incx, const float *beta, float *y, int incy);
cublasStatus_t CUBLASWINAPI cublasSsyr(cublasHandle_t handle, cublasFillMode_t uplo, int n, const float *alpha,
	const float *x, int incx, float *A, int lda);
cublasStatus_t CUBLASWINAPI cublasSsyr2(cublasHandle_t handle, cublasFillMode_t uplo, int n, const float *alpha,
	const float *x, int incx, const float *y, int incy, float *A, int lda);
cublasStatus_t CUBLASWINAPI cublasStbmv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, int k, const float *A, int lda, float *x, int incx);
cublasStatus_t CUBLASWINAPI cublasStbsv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, int k, const float *A, int lda, float *x, int incx);
cublasStatus_t CUBLASWINAPI cublasStpmv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const float *AP, float *x, int incx);
cublasStatus_t CUBLASWINAPI cublasStpsv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const float *AP, float *x, int incx);
cublasStatus_t CUBLASWINAPI cublasStpttr(cublasHandle_t handle, cublasFillMode_t uplo, int n, const float *AP,
	float *A, int lda);
cublasStatus_t CUBLASWINAPI cublasStrmv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const float *A, int lda, float *x, int incx);
cublasStatus_t CUBLASWINAPI cublasStrsv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const float *A, int lda, float *x, int incx);
cublasStatus_t CUBLASWINAPI cublasStrttp(cublasHandle_t handle, cublasFillMode_t uplo, int n, const float *A,
	int lda, float *AP);
cublasStatus_t CUBLASWINAPI cublasZgbmv(cublasHandle_t handle, cublasOperation_t trans, int m, int n, int kl,
	int ku, const cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex *x, int incx,
	const cuDoubleComplex *beta, cuDoubleComplex *y, int incy);
cublasStatus_t CUBLASWINAPI cublasZgemv(cublasHandle_t handle, cublasOperation_t trans, int m, int n, const
	cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex *x, int incx, const
	cuDoubleComplex *beta, cuDoubleComplex *y, int incy);
cublasStatus_t CUBLASWINAPI cublasZgerc(cublasHandle_t handle, int m, int n, const cuDoubleComplex *alpha, const
	cuDoubleComplex *x, int incx, const cuDoubleComplex *y, int incy, cuDoubleComplex *A, int lda);
cublasStatus_t CUBLASWINAPI cublasZgeru(cublasHandle_t handle, int m, int n, const cuDoubleComplex *alpha, const
	cuDoubleComplex *x, int incx, const cuDoubleComplex *y, int incy, cuDoubleComplex *A, int lda);
cublasStatus_t CUBLASWINAPI cublasZhbmv(cublasHandle_t handle, cublasFillMode_t uplo, int n, int k, const
	cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex *x, int incx, const
	cuDoubleComplex *beta, cuDoubleComplex *y, int incy);
cublasStatus_t CUBLASWINAPI cublasZhemv(cublasHandle_t handle, cublasFillMode_t uplo, int n, const
	cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex *x, int incx, const
	cuDoubleComplex *beta, cuDoubleComplex *y, int incy);
cublasStatus_t CUBLASWINAPI cublasZher(cublasHandle_t handle, cublasFillMode_t uplo, int n, const double *alpha,
	const cuDoubleComplex *x, int incx, cuDoubleComplex *A, int lda);
cublasStatus_t CUBLASWINAPI cublasZher2(cublasHandle_t handle, cublasFillMode_t uplo, int n, const
	cuDoubleComplex *alpha, const cuDoubleComplex *x, int incx, const cuDoubleComplex *y, int incy, cuDoubleComplex
	*A, int lda);
cublasStatus_t CUBLASWINAPI cublasZhpmv(cublasHandle_t handle, cublasFillMode_t uplo, int n, const
	cuDoubleComplex *alpha, const cuDoubleComplex *AP, const cuDoubleComplex *x, int incx, const cuDoubleComplex
	*beta, cuDoubleComplex *y, int incy);
cublasStatus_t CUBLASWINAPI cublasZhpr(cublasHandle_t handle, cublasFillMode_t uplo, int n, const double *alpha,
	const cuDoubleComplex *x, int incx, cuDoubleComplex *AP);
cublasStatus_t CUBLASWINAPI cublasZhpr2(cublasHandle_t handle, cublasFillMode_t uplo, int n, const
	cuDoubleComplex *alpha, const cuDoubleComplex *x, int incx, const cuDoubleComplex *y, int incy, cuDoubleComplex
	*AP);
cublasStatus_t CUBLASWINAPI cublasZsymv(cublasHandle_t handle, cublasFillMode_t uplo, int n, const
	cuDoubleComplex *alpha, const cuDoubleComplex *A, int lda, const cuDoubleComplex *x, int incx, const
	cuDoubleComplex *beta, cuDoubleComplex *y, int incy);
cublasStatus_t CUBLASWINAPI cublasZsyr(cublasHandle_t handle, cublasFillMode_t uplo, int n, const
	cuDoubleComplex *alpha, const cuDoubleComplex *x, int incx, cuDoubleComplex *A, int lda);
cublasStatus_t CUBLASWINAPI cublasZsyr2(cublasHandle_t handle, cublasFillMode_t uplo, int n, const
	cuDoubleComplex *alpha, const cuDoubleComplex *x, int incx, const cuDoubleComplex *y, int incy, cuDoubleComplex
	*A, int lda);
cublasStatus_t CUBLASWINAPI cublasZtbmv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, int k, const cuDoubleComplex *A, int lda, cuDoubleComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasZtbsv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, int k, const cuDoubleComplex *A, int lda, cuDoubleComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasZtpmv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const cuDoubleComplex *AP, cuDoubleComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasZtpsv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const cuDoubleComplex *AP, cuDoubleComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasZtpttr(cublasHandle_t handle, cublasFillMode_t uplo, int n, const
	cuDoubleComplex *AP, cuDoubleComplex *A, int lda);
cublasStatus_t CUBLASWINAPI cublasZtrmv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const cuDoubleComplex *A, int lda, cuDoubleComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasZtrsv(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t trans,
	cublasDiagType_t diag, int n, const cuDoubleComplex *A, int lda, cuDoubleComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasZtrttp(cublasHandle_t handle, cublasFillMode_t uplo, int n, const
	cuDoubleComplex *A, int lda, cuDoubleComplex *AP);

/* Level 1 */
cublasStatus_t CUBLASWINAPI cublasAxpyEx(cublasHandle_t handle, int n, const void *alpha, cudaDataType
	alphaType, const void *x, cudaDataType xType, int incx, void *y, cudaDataType yType, int incy, cudaDataType
	executiontype);
cublasStatus_t CUBLASWINAPI cublasCaxpy(cublasHandle_t handle, int n, const cuComplex *alpha, const cuComplex
	*x, int incx, cuComplex *y, int incy);
cublasStatus_t CUBLASWINAPI cublasCcopy(cublasHandle_t handle, int n, const cuComplex *x, int incx, cuComplex
	*y, int incy);
cublasStatus_t CUBLASWINAPI cublasCdotc(cublasHandle_t handle, int n, const cuComplex *x, int incx, const
	cuComplex *y, int incy, cuComplex *result);
cublasStatus_t CUBLASWINAPI cublasCdotu(cublasHandle_t handle, int n, const cuComplex *x, int incx, const
	cuComplex *y, int incy, cuComplex *result);
cublasStatus_t CUBLASWINAPI cublasCrot(cublasHandle_t handle, int n, cuComplex *x, int incx, cuComplex *y, int
	incy, const float *c, const cuComplex *s);
cublasStatus_t CUBLASWINAPI cublasCscal(cublasHandle_t handle, int n, const cuComplex *alpha, cuComplex *x, int
	incx);
cublasStatus_t CUBLASWINAPI cublasCsscal(cublasHandle_t handle, int n, const float *alpha, cuComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasCswap(cublasHandle_t handle, int n, cuComplex *x, int incx, cuComplex *y, int
	incy);
cublasStatus_t CUBLASWINAPI cublasDasum(cublasHandle_t handle, int n, const double *x, int incx, double *result);
cublasStatus_t CUBLASWINAPI cublasDaxpy(cublasHandle_t handle, int n, const double *alpha, const double *x, int
	incx, double *y, int incy);
cublasStatus_t CUBLASWINAPI cublasDcopy(cublasHandle_t handle, int n, const double *x, int incx, double *y, int
	incy);
cublasStatus_t CUBLASWINAPI cublasDdot(cublasHandle_t handle, int n, const double *x, int incx, const double *y,
	int incy, double *result);
cublasStatus_t CUBLASWINAPI cublasDnrm2(cublasHandle_t handle, int n, const double *x, int incx, double *result);
cublasStatus_t CUBLASWINAPI cublasDrot(cublasHandle_t handle, int n, double *x, int incx, double *y, int incy,
	const double *c, const double *s);
cublasStatus_t CUBLASWINAPI cublasDrotg(cublasHandle_t handle, double *a, double *b, double *c, double *s);
cublasStatus_t CUBLASWINAPI cublasDrotm(cublasHandle_t handle, int n, double *x, int incx, double *y, int incy,
	const double *param);
cublasStatus_t CUBLASWINAPI cublasDrotmg(cublasHandle_t handle, double *d1, double *d2, double *x1, const double
	*y1, double *param);
cublasStatus_t CUBLASWINAPI cublasDscal(cublasHandle_t handle, int n, const double *alpha, double *x, int incx);
cublasStatus_t CUBLASWINAPI cublasDswap(cublasHandle_t handle, int n, double *x, int incx, double *y, int incy);
cublasStatus_t CUBLASWINAPI cublasDzasum(cublasHandle_t handle, int n, const cuDoubleComplex *x, int incx,
	double *result);
cublasStatus_t CUBLASWINAPI cublasDznrm2(cublasHandle_t handle, int n, const cuDoubleComplex *x, int incx,
	double *result);
cublasStatus_t CUBLASWINAPI cublasIcamax(cublasHandle_t handle, int n, const cuComplex *x, int incx, int *result);
cublasStatus_t CUBLASWINAPI cublasIcamin(cublasHandle_t handle, int n, const cuComplex *x, int incx, int *result);
cublasStatus_t CUBLASWINAPI cublasIdamax(cublasHandle_t handle, int n, const double *x, int incx, int *result);
cublasStatus_t CUBLASWINAPI cublasIdamin(cublasHandle_t handle, int n, const double *x, int incx, int *result);
cublasStatus_t CUBLASWINAPI cublasIsamax(cublasHandle_t handle, int n, const float *x, int incx, int *result);
cublasStatus_t CUBLASWINAPI cublasIsamin(cublasHandle_t handle, int n, const float *x, int incx, int *result);
cublasStatus_t CUBLASWINAPI cublasIzamax(cublasHandle_t handle, int n, const cuDoubleComplex *x, int incx, int
	*result);
cublasStatus_t CUBLASWINAPI cublasIzamin(cublasHandle_t handle, int n, const cuDoubleComplex *x, int incx, int
	*result);
cublasStatus_t CUBLASWINAPI cublasSasum(cublasHandle_t handle, int n, const float *x, int incx, float *result);
cublasStatus_t CUBLASWINAPI cublasSaxpy(cublasHandle_t handle, int n, const float *alpha, const float *x, int
	incx, float *y, int incy);
cublasStatus_t CUBLASWINAPI cublasScalEx(cublasHandle_t handle, int n, const void *alpha, cudaDataType
	alphaType, void *x, cudaDataType xType, int incx, cudaDataType executionType);
cublasStatus_t CUBLASWINAPI cublasScasum(cublasHandle_t handle, int n, const cuComplex *x, int incx, float *result);
cublasStatus_t CUBLASWINAPI cublasScnrm2(cublasHandle_t handle, int n, const cuComplex *x, int incx, float *result);
cublasStatus_t CUBLASWINAPI cublasScopy(cublasHandle_t handle, int n, const float *x, int incx, float *y, int incy);
cublasStatus_t CUBLASWINAPI cublasSdot(cublasHandle_t handle, int n, const float *x, int incx, const float *y,
	int incy, float *result);
cublasStatus_t CUBLASWINAPI cublasSnrm2(cublasHandle_t handle, int n, const float *x, int incx, float *result);
cublasStatus_t CUBLASWINAPI cublasSrot(cublasHandle_t handle, int n, float *x, int incx, float *y, int incy,
	const float *c, const float *s);
cublasStatus_t CUBLASWINAPI cublasSrotg(cublasHandle_t handle, float *a, float *b, float *c, float *s);
cublasStatus_t CUBLASWINAPI cublasSrotm(cublasHandle_t handle, int n, float *x, int incx, float *y, int incy,
	const float *param);
cublasStatus_t CUBLASWINAPI cublasSrotmg(cublasHandle_t handle, float *d1, float *d2, float *x1, const float
	*y1, float *param);
cublasStatus_t CUBLASWINAPI cublasSscal(cublasHandle_t handle, int n, const float *alpha, float *x, int incx);
cublasStatus_t CUBLASWINAPI cublasSswap(cublasHandle_t handle, int n, float *x, int incx, float *y, int incy);
cublasStatus_t CUBLASWINAPI cublasZaxpy(cublasHandle_t handle, int n, const cuDoubleComplex *alpha, const
	cuDoubleComplex *x, int incx, cuDoubleComplex *y, int incy);
cublasStatus_t CUBLASWINAPI cublasZcopy(cublasHandle_t handle, int n, const cuDoubleComplex *x, int incx,
	cuDoubleComplex *y, int incy);
cublasStatus_t CUBLASWINAPI cublasZdotc(cublasHandle_t handle, int n, const cuDoubleComplex *x, int incx, const
	cuDoubleComplex *y, int incy, cuDoubleComplex *result);
cublasStatus_t CUBLASWINAPI cublasZdotu(cublasHandle_t handle, int n, const cuDoubleComplex *x, int incx, const
	cuDoubleComplex *y, int incy, cuDoubleComplex *result);
cublasStatus_t CUBLASWINAPI cublasZdscal(cublasHandle_t handle, int n, const double *alpha, cuDoubleComplex *x,
	int incx);
cublasStatus_t CUBLASWINAPI cublasZrot(cublasHandle_t handle, int n, cuDoubleComplex *x, int incx,
	cuDoubleComplex *y, int incy, const double *c, const cuDoubleComplex *s);
cublasStatus_t CUBLASWINAPI cublasZscal(cublasHandle_t handle, int n, const cuDoubleComplex *alpha,
	cuDoubleComplex *x, int incx);
cublasStatus_t CUBLASWINAPI cublasZswap(cublasHandle_t handle, int n, cuDoubleComplex *x, int incx,
	cuDoubleComplex *y, int incy);

#ifdef __cplusplus
}
#endif

#endif

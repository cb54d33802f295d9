// cuBLASLt: handles, descriptors and what a product by them is.
#ifndef GPUTRAIN_SIM_CUBLASLT_LT_H
#define GPUTRAIN_SIM_CUBLASLT_LT_H

#include <cstdint>
#include <string>
#include <vector>

#include "cublas/shared.h"
#include "cublasLt.h"

namespace sim::lt {

using blas::addressOf;
using blas::Arguments;
using blas::Matrix;
using blas::sizeOf;

constexpr char kHandleKind[] = "cublasLtHandle_t", kOperationKind[] = "cublasLtMatmulDesc_t",
               kLayoutKind[] = "cublasLtMatrixLayout_t", kPreferenceKind[] = "cublasLtMatmulPreference_t";

struct Handle {
  Context *context = nullptr;  // current where it was created; a handle works there alone
  int major = 0;               // of the device's compute capability
};

// What a cublasLtMatmulDesc_t holds.
struct Operation {
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cudaDataType scale = CUDA_R_32F;
  int32_t transA = CUBLAS_OP_N, transB = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void *bias = nullptr;  // or its gradient's place
  int32_t biasType = -1;       // that of the output
  const void *aux = nullptr;
  int64_t auxLd = 0;  // in bits
};

// What a cublasLtMatrixLayout_t holds: columns one after the other.
struct Layout {
  cudaDataType type = CUDA_R_32F;
  uint64_t rows = 0, columns = 0;
  int64_t ld = 0;
};

// What a cublasLtMatmulPreference_t holds.
struct Preference {
  uint64_t workspace = 0;
  uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C and D
};

// What an epilogue does.
inline bool addsBias(uint32_t epilogue) { return (epilogue & CUBLASLT_EPILOGUE_BIAS) != 0; }
inline bool rectifies(uint32_t epilogue) { return (epilogue & CUBLASLT_EPILOGUE_RELU) != 0; }
inline bool writesMask(uint32_t epilogue) { return rectifies(epilogue) && (epilogue & 128) != 0; }
inline bool readsMask(uint32_t epilogue) { return !rectifies(epilogue) && (epilogue & 128) != 0; }
inline bool givesBiasGradient(uint32_t epilogue) {
  return epilogue == CUBLASLT_EPILOGUE_DRELU_BGRAD || epilogue == CUBLASLT_EPILOGUE_BGRADA ||
         epilogue == CUBLASLT_EPILOGUE_BGRADB;
}

// The live handle behind the API's pointer, usable on the calling thread; null, a finding and `status` where it isn't.
Handle *use(cublasLtHandle_t handle, cublasStatus_t &status);

// What the API's pointer is to; null and a finding where it is nothing that lives.
const Operation *find(cublasLtMatmulDesc_t descriptor);
const Layout *find(cublasLtMatrixLayout_t descriptor);
const Preference *find(cublasLtMatmulPreference_t descriptor);

}  // namespace sim::lt

// Opens a function: counts the call and injects faults.
#define SIM_LT_CALL()                           \
  sim::Call call(sim::Library::Blas, __func__); \
  if (call.fault()) return static_cast<cublasStatus_t>(call.fault())

// The same, and finds the handle as `state`.
#define SIM_LT_ENTER(handle)                             \
  SIM_LT_CALL();                                         \
  cublasStatus_t entered = CUBLAS_STATUS_SUCCESS;        \
  sim::lt::Handle *state = sim::lt::use(handle, entered); \
  if (!state) return entered

#endif

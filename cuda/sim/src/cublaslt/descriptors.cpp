// Descriptors of cuBLASLt: host memory alone, so that they need no context.
#include <cstring>
#include <deque>
#include <string>

#include "cublaslt/lt.h"

using namespace sim;
using namespace sim::lt;

namespace {

// Kept until a reset, so that a destroyed descriptor's address is not given out again.
template <class State>
std::deque<State> &all() {
  static std::deque<State> descriptors;
  return descriptors;
}

const bool hooked = [] {
  onReset([] {
    all<Operation>().clear();
    all<Layout>().clear();
    all<Preference>().clear();
  });
  return true;
}();

template <class Descriptor, class State>
void make(Descriptor *descriptor, const State &state, const char *kind) {
  all<State>().push_back(state);
  State *made = &all<State>().back();
  born(made, kind);
  *descriptor = reinterpret_cast<Descriptor>(made);
}

template <class State, class Descriptor>
State *live(Descriptor descriptor, const char *kind) {
  if (!descriptor) {
    report(check::badHandle, std::string("a ") + kind + " is NULL");
    return nullptr;
  }
  return check_(descriptor, kind) ? reinterpret_cast<State *>(descriptor) : nullptr;
}

template <class State, class Descriptor>
cublasStatus_t destroy(Descriptor descriptor, const char *kind) {
  State *state = live<State>(descriptor, kind);
  if (!state) return CUBLAS_STATUS_INVALID_VALUE;
  died(state);
  return CUBLAS_STATUS_SUCCESS;
}

// An attribute that is being set.
struct Given {
  const void *buffer;
  size_t bytes;
  Arguments &arguments;

  // Copies the value, which must have the attribute's size.
  template <class T>
  void into(T &to) const {
    arguments.pointer("buf", buffer);
    if (bytes != sizeof to) {
      arguments.fail(check::badValue, "sizeInBytes is " + std::to_string(bytes) + "; the attribute has " +
                                          std::to_string(sizeof to) + " bytes");
    }
    if (arguments.ok()) std::memcpy(&to, buffer, sizeof to);
  }
};

bool isEpilogue(uint32_t epilogue) {
  switch (epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_RELU:
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
    case CUBLASLT_EPILOGUE_RELU_AUX:
    case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DRELU:
    case CUBLASLT_EPILOGUE_DRELU_BGRAD:
    case CUBLASLT_EPILOGUE_BGRADA:
    case CUBLASLT_EPILOGUE_BGRADB: return true;
  }
  return false;
}

void unknown(int attribute, Arguments &arguments) {
  arguments.fail(check::badValue, "attr is " + std::to_string(attribute) + ", which the machine doesn't know");
}

}  // namespace

namespace sim::lt {

const Operation *find(cublasLtMatmulDesc_t descriptor) { return live<Operation>(descriptor, kOperationKind); }
const Layout *find(cublasLtMatrixLayout_t descriptor) { return live<Layout>(descriptor, kLayoutKind); }
const Preference *find(cublasLtMatmulPreference_t descriptor) { return live<Preference>(descriptor, kPreferenceKind); }

}  // namespace sim::lt

extern "C" {

SIM_SHARED cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *matmulDesc, cublasComputeType_t computeType,
                                                   cudaDataType_t scaleType) {
  SIM_LT_CALL();
  Arguments arguments;
  arguments.pointer("matmulDesc", matmulDesc);
  if (!arguments.ok()) return arguments.status;
  Operation operation;
  operation.compute = computeType;
  operation.scale = scaleType;
  make(matmulDesc, operation, kOperationKind);
  return CUBLAS_STATUS_SUCCESS;
}

SIM_SHARED cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t matmulDesc) {
  SIM_LT_CALL();
  return destroy<Operation>(matmulDesc, kOperationKind);
}

SIM_SHARED cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t matmulDesc,
                                                         cublasLtMatmulDescAttributes_t attr, const void *buf,
                                                         size_t sizeInBytes) {
  SIM_LT_CALL();
  Operation *operation = live<Operation>(matmulDesc, kOperationKind);
  if (!operation) return CUBLAS_STATUS_INVALID_VALUE;
  Arguments arguments;
  Operation set = *operation;
  const Given given{buf, sizeInBytes, arguments};
  switch (attr) {
    case CUBLASLT_MATMUL_DESC_TRANSA: given.into(set.transA); break;
    case CUBLASLT_MATMUL_DESC_TRANSB: given.into(set.transB); break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE: given.into(set.epilogue); break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: given.into(set.bias); break;
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: given.into(set.biasType); break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER: given.into(set.aux); break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: given.into(set.auxLd); break;
    default: unknown(static_cast<int>(attr), arguments);
  }
  arguments.operation("CUBLASLT_MATMUL_DESC_TRANSA", static_cast<cublasOperation_t>(set.transA));
  arguments.operation("CUBLASLT_MATMUL_DESC_TRANSB", static_cast<cublasOperation_t>(set.transB));
  if (!isEpilogue(set.epilogue)) {
    arguments.fail(check::badValue, "CUBLASLT_MATMUL_DESC_EPILOGUE is " + std::to_string(set.epilogue));
  }
  if (arguments.ok()) *operation = set;
  return arguments.status;
}

SIM_SHARED cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *matLayout, cudaDataType type,
                                                     uint64_t rows, uint64_t cols, int64_t ld) {
  SIM_LT_CALL();
  Arguments arguments;
  arguments.pointer("matLayout", matLayout);
  if (sizeOf(type) == 0) {
    arguments.fail(check::badValue, "type is " + std::to_string(static_cast<int>(type)) + ", which the machine lacks");
  }
  arguments.atLeast("rows", static_cast<long long>(rows), 1);
  arguments.atLeast("cols", static_cast<long long>(cols), 1);
  arguments.atLeast("ld", ld, static_cast<long long>(rows));
  if (arguments.ok()) make(matLayout, Layout{type, rows, cols, ld}, kLayoutKind);
  return arguments.status;
}

SIM_SHARED cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matLayout) {
  SIM_LT_CALL();
  return destroy<Layout>(matLayout, kLayoutKind);
}

SIM_SHARED cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *pref) {
  SIM_LT_CALL();
  Arguments arguments;
  arguments.pointer("pref", pref);
  if (arguments.ok()) make(pref, Preference{}, kPreferenceKind);
  return arguments.status;
}

SIM_SHARED cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t pref) {
  SIM_LT_CALL();
  return destroy<Preference>(pref, kPreferenceKind);
}

SIM_SHARED cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
                                                               cublasLtMatmulPreferenceAttributes_t attr,
                                                               const void *buf, size_t sizeInBytes) {
  SIM_LT_CALL();
  Preference *preference = live<Preference>(pref, kPreferenceKind);
  if (!preference) return CUBLAS_STATUS_INVALID_VALUE;
  Arguments arguments;
  Preference set = *preference;
  const Given given{buf, sizeInBytes, arguments};
  switch (attr) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: given.into(set.workspace); break;
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: given.into(set.reductions); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: given.into(set.alignment[0]); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: given.into(set.alignment[1]); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: given.into(set.alignment[2]); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: given.into(set.alignment[3]); break;
    default: unknown(static_cast<int>(attr), arguments);
  }
  if ((set.reductions & ~uint32_t(CUBLASLT_REDUCTION_SCHEME_MASK)) != 0) {
    arguments.fail(check::badValue, "the mask of reduction schemes is " + std::to_string(set.reductions));
  }
  for (const uint32_t bytes : set.alignment) {
    if (bytes == 0 || (bytes & (bytes - 1)) != 0) {
      arguments.fail(check::badValue, "an alignment is " + std::to_string(bytes) + ", not a power of two");
    }
  }
  if (arguments.ok()) *preference = set;
  return arguments.status;
}

}  // extern "C"

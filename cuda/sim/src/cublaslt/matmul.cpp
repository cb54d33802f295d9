// The heuristic that names algorithms, and the product by one of them.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "cublas/multiply.h"
#include "cublaslt/lt.h"

using namespace sim;
using namespace sim::lt;

namespace {

// D = epilogue(alpha * op(A) * op(B) + beta * C).
struct Product {
  Operation operation;
  Layout a, b, c, d;
  int m, n, k;
  int major;  // of the device's compute capability
};

bool turned(int32_t operation) { return operation != CUBLAS_OP_N; }

std::string text(const Layout &layout) {
  return std::to_string(layout.rows) + "x" + std::to_string(layout.columns);
}

// Finds what the descriptors say, and that they go together.
bool describeProduct(const Handle &handle, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                     cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, Product &product,
                     Arguments &arguments) {
  arguments.status = CUBLAS_STATUS_INVALID_VALUE;
  const Operation *of = lt::find(operation);
  if (!of) return false;
  const cublasLtMatrixLayout_t descriptors[] = {a, b, c, d};
  Layout *const layouts[] = {&product.a, &product.b, &product.c, &product.d};
  for (int i = 0; i < 4; i++) {
    const Layout *layout = lt::find(descriptors[i]);
    if (!layout) return false;
    *layouts[i] = *layout;
  }
  arguments.status = CUBLAS_STATUS_SUCCESS;
  product.operation = *of;
  product.major = handle.major;
  const bool ta = turned(of->transA), tb = turned(of->transB);
  const uint64_t m = ta ? product.a.columns : product.a.rows, k = ta ? product.a.rows : product.a.columns;
  const uint64_t n = tb ? product.b.rows : product.b.columns, otherK = tb ? product.b.columns : product.b.rows;
  product.m = int(m);
  product.n = int(n);
  product.k = int(k);
  if (k != otherK) {
    arguments.fail(check::descriptor, "op(A) has " + std::to_string(k) + " columns and op(B) " + std::to_string(otherK) +
                                          " rows (A is " + text(product.a) + ", B " + text(product.b) + ")");
  }
  for (const Layout *out : {&product.c, &product.d}) {
    if (out->rows == m && out->columns == n) continue;
    arguments.fail(check::descriptor, std::string(out == &product.c ? "C" : "D") + " is " + text(*out) +
                                          " and must be " + std::to_string(m) + "x" + std::to_string(n));
  }
  return arguments.ok();
}

// A bit for each row; each column begins at a multiple of the leading dimension.
uint64_t auxBytes(const Product &product) { return uint64_t(product.operation.auxLd) / 8 * product.n; }

// What the documentation asks of the epilogue's attributes.
void checkEpilogue(const Product &product, Arguments &arguments) {
  const Operation &o = product.operation;
  if (addsBias(o.epilogue) || givesBiasGradient(o.epilogue)) {
    arguments.aligned("CUBLASLT_MATMUL_DESC_BIAS_POINTER", o.bias, 16);
  }
  if (!writesMask(o.epilogue) && !readsMask(o.epilogue)) return;
  arguments.aligned("CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER", o.aux, 16);
  arguments.atLeast("CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD", o.auxLd, product.m);
  if (o.auxLd % 128 != 0) {
    arguments.fail(check::badValue, "CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD is " + std::to_string(o.auxLd) +
                                        ", not a multiple of 128 bits");
  }
}

cudaDataType biasType(const Product &product) {
  const int32_t type = product.operation.biasType;
  return type < 0 ? product.d.type : static_cast<cudaDataType>(type);
}

// The rows of cublasLtMatmul's table of supported types that are here. Biases have the output's type in all of them.
bool supported(const Product &product) {
  const Operation &o = product.operation;
  const cudaDataType a = product.a.type, c = product.c.type;
  if (o.scale != CUDA_R_32F || product.b.type != a || product.d.type != c) return false;
  if (o.epilogue != CUBLASLT_EPILOGUE_DEFAULT && biasType(product) != product.d.type) return false;
  const std::string without = "+" + option("cublaslt-without", "") + "+";
  if (without.find("+" + std::to_string(o.epilogue) + "+") != std::string::npos) return false;
  const bool single = a == CUDA_R_32F && c == CUDA_R_32F;
  const bool small = (a == CUDA_R_16F || (a == CUDA_R_16BF && product.major >= 8)) && (c == a || c == CUDA_R_32F);
  switch (o.compute) {
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_PEDANTIC: return single || small;
    case CUBLAS_COMPUTE_32F_FAST_TF32: return single;
    default: return false;
  }
}

blas::Narrow narrowOf(const Product &product) {
  const bool tf32 = product.operation.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && product.major >= 8;
  return tf32 ? blas::Narrow::Tf32 : blas::Narrow::No;
}

// ------------------------------------------------------------------------------------------------------- algorithms

constexpr uint64_t kMagic = 0x67707574726c7431;

// What the machine keeps in a cublasLtMatmulAlgo_t.
struct Algorithm {
  uint64_t magic;
  uint64_t problem;  // a hash of the product that it is for
  uint64_t workspace;
  uint32_t parts;      // into which the inner dimension is split
  uint32_t reduction;  // how the parts' sums are added
  uint32_t alignment[4];
  uint64_t unused[2];
};
static_assert(sizeof(Algorithm) == sizeof(cublasLtMatmulAlgo_t), "the size of an algorithm");

uint64_t mixed(uint64_t hash, uint64_t value) { return (hash ^ value) * 0x9e3779b97f4a7c15ull + (hash >> 29); }

uint64_t hashOf(const Product &product) {
  const Operation &o = product.operation;
  uint64_t hash = kMagic;
  for (const uint64_t value : {uint64_t(o.compute), uint64_t(o.transA), uint64_t(o.transB), uint64_t(o.epilogue),
                               uint64_t(o.biasType)}) {
    hash = mixed(hash, value);
  }
  for (const Layout *layout : {&product.a, &product.b, &product.c, &product.d}) {
    for (const uint64_t value : {uint64_t(layout->type), layout->rows, layout->columns, uint64_t(layout->ld)}) {
      hash = mixed(hash, value);
    }
  }
  return hash;
}

// The algorithms that the machine has for a product, the best first.
std::vector<Algorithm> algorithms(const Product &product, const Preference &preference) {
  const uint64_t sums = uint64_t(product.m) * product.n * sizeof(float);
  const auto padded = [](uint64_t bytes) { return (bytes + 255) / 256 * 256; };
  struct Way {
    uint32_t parts, reduction;
    uint64_t workspace;
  };
  const Way ways[] = {{2, CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE, padded(sums)},
                      {2, CUBLASLT_REDUCTION_SCHEME_INPLACE, 256},
                      {1, CUBLASLT_REDUCTION_SCHEME_NONE, 0},
                      {3, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, padded(3 * sums)},
                      {1, CUBLASLT_REDUCTION_SCHEME_NONE, 1024}};
  std::vector<Algorithm> all;
  for (const Way &way : ways) {
    const bool allowed = way.reduction == CUBLASLT_REDUCTION_SCHEME_NONE || (way.reduction & preference.reductions) != 0;
    if (!allowed || way.workspace > preference.workspace || int(way.parts) > product.k) continue;
    Algorithm algorithm{kMagic, hashOf(product), way.workspace, way.parts, way.reduction, {}, {}};
    std::copy(preference.alignment, preference.alignment + 4, algorithm.alignment);
    all.push_back(algorithm);
  }
  return all;
}

// ------------------------------------------------------------------------------------------------------------- work

float load(const uint8_t *at, cudaDataType type) {
  if (type == CUDA_R_32F) {
    float value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return type == CUDA_R_16F ? ptx::halfToFloat(value) : ptx::brainToFloat(value);
}

void store(uint8_t *at, cudaDataType type, float value) {
  if (type == CUDA_R_32F) {
    std::memcpy(at, &value, sizeof value);
    return;
  }
  const uint16_t small = type == CUDA_R_16F ? ptx::floatToHalf(value) : ptx::floatToBrain(value);
  std::memcpy(at, &small, sizeof small);
}

float roundedTo(cudaDataType type, float value) {
  uint8_t bytes[4];
  store(bytes, type, value);
  return load(bytes, type);
}

// What a product reads and writes on the device.
struct Operands {
  uint64_t a, b, c, d, bias, aux;
  float alpha, beta;
};

blas::Factor factorA(const Product &p, const Operands &o) {
  const bool t = turned(p.operation.transA);
  const size_t ld = p.a.ld;
  return {data(o.a), p.a.type, sizeOf(p.a.type), size_t(p.m), t ? ld : 1, t ? 1 : ld};
}

blas::Factor factorB(const Product &p, const Operands &o) {
  const bool t = turned(p.operation.transB);
  const size_t ld = p.b.ld;
  return {data(o.b), p.b.type, sizeOf(p.b.type), size_t(p.n), t ? 1 : ld, t ? ld : 1};
}

// op(A) * op(B), whose inner dimension is added up in parts.
std::vector<float> multiplyParts(const Product &p, const Operands &o, const Algorithm &algorithm, size_t &ld) {
  std::vector<float> sums;
  const size_t parts = algorithm.parts;
  for (size_t part = 0; part < parts; part++) {
    const size_t begin = p.k * part / parts, end = p.k * (part + 1) / parts;
    blas::Factor a = factorA(p, o), b = factorB(p, o);
    a.data += begin * a.kStride * a.size;
    b.data += begin * b.kStride * b.size;
    std::vector<float> own = blas::multiply<float>(a, b, end - begin, narrowOf(p), ld);
    if (sums.empty()) sums.assign(own.size(), 0);
    const bool rounds = algorithm.reduction == CUBLASLT_REDUCTION_SCHEME_INPLACE ||
                        algorithm.reduction == CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
    for (size_t i = 0; i < own.size(); i++) sums[i] += rounds ? roundedTo(p.d.type, own[i]) : own[i];
  }
  return sums;
}

// The sums of a factor over the inner dimension, one for each row of op(A) or column of op(B).
void factorSums(const Product &p, const blas::Factor &factor, uint64_t to) {
  const cudaDataType type = biasType(p);
  for (size_t i = 0; i < factor.outer; i++) {
    float sum = 0;
    blas::each<float>(factor.data + i * factor.outerStride * factor.size, factor.type, narrowOf(p), factor.kStride, p.k,
                      [&sum](size_t, float x) { sum += x; });
    store(data(to) + i * sizeOf(type), type, sum);
  }
}

void compute(const Product &p, const Operands &o, const Algorithm &algorithm) {
  const uint32_t epilogue = p.operation.epilogue;
  size_t ld = 0;
  const std::vector<float> sums = multiplyParts(p, o, algorithm, ld);
  const cudaDataType bias = biasType(p);
  const size_t size = sizeOf(p.d.type), auxColumn = size_t(p.operation.auxLd) / 8;
  std::vector<float> rowSums(p.m, 0);
  const bool keepsNaN = option("cublaslt-relu", "") != "max"; // the documentation leaves open what becomes of a NaN
  for (int j = 0; j < p.n; j++) {
    uint8_t *column = data(o.d) + j * p.d.ld * size;
    uint8_t *mask = writesMask(epilogue) || readsMask(epilogue) ? data(o.aux) + j * auxColumn : nullptr;
    // Bits below the last row are the library's own.
    if (writesMask(epilogue)) std::memset(mask, 0xa5, auxColumn);
    for (int i = 0; i < p.m; i++) {
      float value = o.alpha * sums[j * ld + i];
      if (o.beta != 0) value += o.beta * load(data(o.c) + (j * p.c.ld + i) * size, p.c.type);
      if (addsBias(epilogue)) value += load(data(o.bias) + i * sizeOf(bias), bias);
      const uint8_t bit = uint8_t(1 << i % 8);
      const bool positive = value > 0 || (keepsNaN && std::isnan(value));
      if (rectifies(epilogue) && !positive) value = 0;
      if (writesMask(epilogue)) mask[i / 8] = uint8_t((mask[i / 8] & ~bit) | (positive ? bit : 0));
      if (readsMask(epilogue) && (mask[i / 8] & bit) == 0) value = 0;
      rowSums[i] += value;
      store(column + i * size, p.d.type, value);
    }
  }
  if (epilogue == CUBLASLT_EPILOGUE_DRELU_BGRAD) {
    for (int i = 0; i < p.m; i++) store(data(o.bias) + i * sizeOf(bias), bias, rowSums[i]);
  }
  if (epilogue == CUBLASLT_EPILOGUE_BGRADA) factorSums(p, factorA(p, o), o.bias);
  if (epilogue == CUBLASLT_EPILOGUE_BGRADB) factorSums(p, factorB(p, o), o.bias);
}

Matrix matrix(const char *name, uint64_t address, const Layout &layout) {
  return {name, address, int(layout.rows), int(layout.columns), int(layout.ld), layout.type};
}

std::vector<Access> accessesOf(const Product &p, const Operands &o) {
  const uint32_t epilogue = p.operation.epilogue;
  std::vector<Access> accesses;
  blas::access(matrix("A", o.a, p.a), Mode::Read, accesses);
  blas::access(matrix("B", o.b, p.b), Mode::Read, accesses);
  const bool inPlace = o.c == o.d;
  if (o.beta != 0 && !inPlace) blas::access(matrix("C", o.c, p.c), Mode::Read, accesses);
  blas::access(matrix("D", o.d, p.d), o.beta != 0 && inPlace ? Mode::Update : Mode::Write, accesses);
  const uint64_t count = epilogue == CUBLASLT_EPILOGUE_BGRADB ? p.n : p.m;
  if (addsBias(epilogue) || givesBiasGradient(epilogue)) {
    accesses.push_back({o.bias, count * sizeOf(biasType(p)), givesBiasGradient(epilogue) ? Mode::Write : Mode::Read,
                        "the bias"});
  }
  if (writesMask(epilogue) || readsMask(epilogue)) {
    accesses.push_back({o.aux, auxBytes(p), writesMask(epilogue) ? Mode::Write : Mode::Read, "the auxiliary buffer"});
  }
  return accesses;
}

std::string detailOf(const Product &p) {
  const auto letter = [](int32_t op) { return turned(op) ? "T" : "N"; };
  return std::string("(") + letter(p.operation.transA) + letter(p.operation.transB) + ", m=" + std::to_string(p.m) +
         ", n=" + std::to_string(p.n) + ", k=" + std::to_string(p.k) + ", epilogue " +
         std::to_string(p.operation.epilogue) + ")";
}

void checkAlgorithm(const Product &product, const Algorithm &algorithm, Arguments &arguments) {
  if (algorithm.magic != kMagic) {
    arguments.fail(check::badValue, "algo is none that the heuristic gave");
  } else if (algorithm.problem != hashOf(product)) {
    arguments.fail(check::badValue, "algo was given for another product than " + detailOf(product));
  }
}

// What an algorithm asks of its operands' addresses, and of the workspace.
void checkAddresses(const Algorithm &algorithm, const void *const operands[4], const void *workspace, size_t bytes,
                    Arguments &arguments) {
  const char *names[] = {"A", "B", "C", "D"};
  for (int i = 0; i < 4; i++) arguments.aligned(names[i], operands[i], algorithm.alignment[i]);
  if (bytes < algorithm.workspace) {
    arguments.fail(check::workspace, "the workspace has " + std::to_string(bytes) + " bytes; the algorithm needs " +
                                         std::to_string(algorithm.workspace));
  } else if (algorithm.workspace > 0) {
    arguments.aligned("workspace", workspace, 256);
  }
}

float scalar(const char *name, const void *pointer, Arguments &arguments) {
  arguments.pointer(name, pointer);
  if (isDeviceAddress(addressOf(pointer))) {
    arguments.fail(check::devicePointer, std::string(name) + " is in device memory (" + describe(addressOf(pointer)) +
                                             "), but the pointer mode is that of the host");
  }
  float value = 0;
  if (arguments.ok()) std::memcpy(&value, pointer, sizeof value);
  return value;
}

}  // namespace

extern "C" {

SIM_SHARED cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t lightHandle,
                                                         cublasLtMatmulDesc_t operationDesc,
                                                         cublasLtMatrixLayout_t Adesc, cublasLtMatrixLayout_t Bdesc,
                                                         cublasLtMatrixLayout_t Cdesc, cublasLtMatrixLayout_t Ddesc,
                                                         cublasLtMatmulPreference_t preference, int requestedAlgoCount,
                                                         cublasLtMatmulHeuristicResult_t heuristicResultsArray[],
                                                         int *returnAlgoCount) {
  SIM_LT_ENTER(lightHandle);
  Arguments arguments;
  Product product{};
  if (!describeProduct(*state, operationDesc, Adesc, Bdesc, Cdesc, Ddesc, product, arguments)) return arguments.status;
  const Preference *wish = lt::find(preference);
  if (!wish) return CUBLAS_STATUS_INVALID_VALUE;
  arguments.atLeast("requestedAlgoCount", requestedAlgoCount, 1);
  arguments.pointer("heuristicResultsArray", heuristicResultsArray);
  arguments.pointer("returnAlgoCount", returnAlgoCount);
  checkEpilogue(product, arguments);
  if (!arguments.ok()) return arguments.status;
  *returnAlgoCount = 0;
  if (!supported(product)) return CUBLAS_STATUS_NOT_SUPPORTED;
  for (const Algorithm &algorithm : algorithms(product, *wish)) {
    if (*returnAlgoCount == requestedAlgoCount) break;
    cublasLtMatmulHeuristicResult_t &result = heuristicResultsArray[(*returnAlgoCount)++];
    std::memset(&result, 0xa5, sizeof result);  // nothing else may be read of a result without success
    result.state = CUBLAS_STATUS_NOT_SUPPORTED;
    if (chance() % 8 == 0 && *returnAlgoCount < requestedAlgoCount) {
      cublasLtMatmulHeuristicResult_t &next = heuristicResultsArray[(*returnAlgoCount)++];
      next = result;
    }
    cublasLtMatmulHeuristicResult_t &good = heuristicResultsArray[*returnAlgoCount - 1];
    std::memcpy(&good.algo, &algorithm, sizeof algorithm);
    good.workspaceSize = algorithm.workspace;
    good.wavesCount = 1;
    good.state = CUBLAS_STATUS_SUCCESS;
  }
  return *returnAlgoCount > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

SIM_SHARED cublasStatus_t cublasLtMatmul(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t computeDesc,
                                         const void *alpha, const void *A, cublasLtMatrixLayout_t Adesc, const void *B,
                                         cublasLtMatrixLayout_t Bdesc, const void *beta, const void *C,
                                         cublasLtMatrixLayout_t Cdesc, void *D, cublasLtMatrixLayout_t Ddesc,
                                         const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspaceSizeInBytes,
                                         cudaStream_t stream) {
  SIM_LT_ENTER(lightHandle);
  Arguments arguments;
  Product product{};
  if (!describeProduct(*state, computeDesc, Adesc, Bdesc, Cdesc, Ddesc, product, arguments)) return arguments.status;
  checkEpilogue(product, arguments);
  if (!arguments.ok()) return arguments.status;
  if (!supported(product)) return CUBLAS_STATUS_NOT_SUPPORTED;
  Algorithm algorithm;
  if (algo) {
    std::memcpy(&algorithm, algo, sizeof algorithm);
    checkAlgorithm(product, algorithm, arguments);
  } else {  // the heuristic's first answer without preferences
    algorithm = algorithms(product, Preference{}).front();
  }
  if (!arguments.ok()) return arguments.status;
  const void *operands[] = {A, B, C, D};
  checkAddresses(algorithm, operands, workspace, workspaceSizeInBytes, arguments);
  Operands o{addressOf(A), addressOf(B), addressOf(C), addressOf(D), addressOf(product.operation.bias),
             addressOf(product.operation.aux), 0, 0};
  o.alpha = scalar("alpha", alpha, arguments);
  o.beta = scalar("beta", beta, arguments);
  if (C == D && (product.c.type != product.d.type || product.c.ld != product.d.ld)) {
    arguments.fail(check::descriptor, "C and D are the same memory and have other layouts");
  }
  if (!arguments.ok()) return arguments.status;
  CUresult result = CUDA_SUCCESS;
  Stream *on = resolve(stream, result);
  if (!on) return CUBLAS_STATUS_EXECUTION_FAILED;
  if (contextOf(*on) != state->context) {
    report(check::wrongContext, "stream belongs to another context than lightHandle");
    return CUBLAS_STATUS_EXECUTION_FAILED;
  }
  Work work;
  work.detail = detailOf(product);
  work.accesses = accessesOf(product, o);
  blas::checkOverlap(work.accesses);
  if (algorithm.workspace > 0) {
    work.accesses.push_back({addressOf(workspace), algorithm.workspace, Mode::Scratch, "workspace"});
  }
  work.counter = "blas";
  work.run = [product, o, algorithm] {
    compute(product, o, algorithm);
    return CUDA_SUCCESS;
  };
  return blas::statusOf(enqueue(*on, std::move(work)));
}

}  // extern "C"

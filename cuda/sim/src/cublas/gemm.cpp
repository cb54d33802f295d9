// Matrix products.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cublas/handle.h"
#include "cublas/multiply.h"

using namespace sim;
using namespace sim::blas;

namespace {

// How a product is computed.
struct Compute {
  cudaDataType scale = CUDA_R_32F;  // of alpha and beta
  Narrow narrow = Narrow::No;
  bool supported = true;
};

// alpha * op(A) * op(B) + beta * C, or `count` of these: each of them has its matrices `strides` further than the one before.
struct Product {
  cublasOperation_t opA, opB;
  int m, n, k;
  Matrix a, b, c;
  Compute compute;
  int count = 1;
  struct {
    int64_t a, b, c;  // in elements
  } strides = {};

  // Number i of the products, alone.
  Product at(int i) const {
    Product one = *this;
    one.count = 1;
    const auto move = [i](Matrix &matrix, int64_t stride) { matrix.address += i * stride * int64_t(sizeOf(matrix.type)); };
    move(one.a, strides.a);
    move(one.b, strides.b);
    move(one.c, strides.c);
    return one;
  }
};

bool turned(cublasOperation_t op) { return op != CUBLAS_OP_N; }

// The way of a float32 product without a compute type: as the handle's math mode says.
Compute byMathMode(const Handle &handle) {
  Compute compute;
  const int math = handle.math & ~int(CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
  if (math == CUBLAS_TF32_TENSOR_OP_MATH && handle.major >= 8) compute.narrow = Narrow::Tf32;
  if (math == CUBLAS_TENSOR_OP_MATH && handle.major >= 7) compute.narrow = Narrow::Half;
  return compute;
}

bool isHalf(cudaDataType type) { return type == CUDA_R_16F || type == CUDA_R_16BF; }

// The rows of cublasGemmEx's table of supported types that are here.
Compute byType(const Handle &handle, cublasComputeType_t type, const Product &product) {
  const cudaDataType a = product.a.type, b = product.b.type, c = product.c.type;
  const bool single = a == CUDA_R_32F && b == CUDA_R_32F && c == CUDA_R_32F;
  const bool small = a == b && isHalf(a) && (c == a || c == CUDA_R_32F);
  const bool brain = a == CUDA_R_16BF;
  Compute compute;
  compute.supported = single;
  switch (type) {
    case CUBLAS_COMPUTE_32F:
      if (single) return byMathMode(handle);
      compute.supported = small && (!brain || handle.major >= 8);
      break;
    case CUBLAS_COMPUTE_32F_PEDANTIC: compute.supported = single || (small && (!brain || handle.major >= 8)); break;
    case CUBLAS_COMPUTE_32F_FAST_16F: compute.narrow = handle.major >= 7 ? Narrow::Half : Narrow::No; break;
    case CUBLAS_COMPUTE_32F_FAST_16BF: compute.narrow = handle.major >= 8 ? Narrow::Brain : Narrow::No; break;
    case CUBLAS_COMPUTE_32F_FAST_TF32: compute.narrow = handle.major >= 8 ? Narrow::Tf32 : Narrow::No; break;
    case CUBLAS_COMPUTE_64F:
    case CUBLAS_COMPUTE_64F_PEDANTIC:
      compute.scale = CUDA_R_64F;
      compute.supported = a == CUDA_R_64F && b == CUDA_R_64F && c == CUDA_R_64F;
      break;
    case CUBLAS_COMPUTE_16F:
    case CUBLAS_COMPUTE_16F_PEDANTIC:
      compute.scale = CUDA_R_16F;
      compute.supported = a == CUDA_R_16F && b == CUDA_R_16F && c == CUDA_R_16F;
      break;
    default: compute.supported = false;
  }
  return compute;
}

Product describeProduct(cublasOperation_t opA, cublasOperation_t opB, int m, int n, int k, const void *a,
                        cudaDataType typeA, int lda, const void *b, cudaDataType typeB, int ldb, void *c,
                        cudaDataType typeC, int ldc) {
  Product product{};
  product.opA = opA;
  product.opB = opB;
  product.m = m;
  product.n = n;
  product.k = k;
  product.a = {"A", addressOf(a), turned(opA) ? k : m, turned(opA) ? m : k, lda, typeA};
  product.b = {"B", addressOf(b), turned(opB) ? n : k, turned(opB) ? k : n, ldb, typeB};
  product.c = {"C", addressOf(c), m, n, ldc, typeC};
  return product;
}

void checkShape(const Product &product, Arguments &arguments) {
  arguments.operation("transa", product.opA);
  arguments.operation("transb", product.opB);
  arguments.atLeast("m", product.m, 0);
  arguments.atLeast("n", product.n, 0);
  arguments.atLeast("k", product.k, 0);
  arguments.leading("lda", product.a.ld, product.a.rows);
  arguments.leading("ldb", product.b.ld, product.b.rows);
  arguments.leading("ldc", product.c.ld, product.c.rows);
  arguments.atLeast("batchCount", product.count, 0);
}

bool nothingToDo(const Product &product) { return product.m == 0 || product.n == 0 || product.count == 0; }

void checkPointers(const Product &product, Arguments &arguments) {
  const auto pointer = [](const Matrix &matrix) { return reinterpret_cast<const void *>(matrix.address); };
  if (product.k > 0) {
    arguments.aligned("A", pointer(product.a), sizeOf(product.a.type));
    arguments.aligned("B", pointer(product.b), sizeOf(product.b.type));
  }
  arguments.aligned("C", pointer(product.c), sizeOf(product.c.type));
}

// A column of the result, rounded to its type.
template <class T>
void store(uint8_t *column, cudaDataType type, const T *sums, int m, T alpha, T beta) {
  const auto put = [&](auto element, auto load, auto round) {
    for (int i = 0; i < m; i++) {
      uint8_t *place = column + i * sizeof element;
      T value = alpha * sums[i];
      if (beta != T(0)) {
        std::memcpy(&element, place, sizeof element);
        value += beta * static_cast<T>(load(element));
      }
      element = round(value);
      std::memcpy(place, &element, sizeof element);
    }
  };
  switch (type) {
    case CUDA_R_64F: return put(double{}, [](double x) { return x; }, [](T x) { return double(x); });
    case CUDA_R_16F: return put(uint16_t{}, ptx::halfToFloat, [](T x) { return ptx::floatToHalf(float(x)); });
    case CUDA_R_16BF: return put(uint16_t{}, ptx::brainToFloat, [](T x) { return ptx::floatToBrain(float(x)); });
    default: return put(float{}, [](float x) { return x; }, [](T x) { return float(x); });
  }
}

template <class T>
void computeOne(const Product &product, double alpha, double beta) {
  const bool ta = turned(product.opA), tb = turned(product.opB);
  const size_t lda = product.a.ld, ldb = product.b.ld;
  Factor a{nullptr, product.a.type, sizeOf(product.a.type), size_t(product.m), ta ? lda : 1, ta ? 1 : lda};
  Factor b{nullptr, product.b.type, sizeOf(product.b.type), size_t(product.n), tb ? 1 : ldb, tb ? ldb : 1};
  if (product.k > 0) {
    a.data = data(product.a.address);
    b.data = data(product.b.address);
  }
  size_t ld = 0;
  const std::vector<T> sums = multiply<T>(a, b, product.k, product.compute.narrow, ld);
  uint8_t *c = data(product.c.address);
  const size_t column = product.c.ld * sizeOf(product.c.type);
  for (int j = 0; j < product.n; j++) {
    store<T>(c + j * column, product.c.type, sums.data() + j * ld, product.m, T(alpha), T(beta));
  }
}

void compute(const Product &product, double alpha, double beta) {
  for (int i = 0; i < product.count; i++) {
    if (product.compute.scale == CUDA_R_64F) {
      computeOne<double>(product.at(i), alpha, beta);
    } else {
      computeOne<float>(product.at(i), alpha, beta);
    }
  }
}

void accessFactors(const Product &product, std::vector<Access> &accesses) {
  if (product.k == 0) return;
  for (int i = 0; i < product.count; i++) {
    const Product one = product.at(i);
    if (i == 0 || product.strides.a != 0) access(one.a, Mode::Read, accesses);
    if (i == 0 || product.strides.b != 0) access(one.b, Mode::Read, accesses);
  }
}

void accessResults(const Product &product, Mode mode, std::vector<Access> &accesses) {
  for (int i = 0; i < product.count; i++) access(product.at(i).c, mode, accesses);
}

std::string detailOf(const Product &product) {
  const auto letter = [](cublasOperation_t op) { return op == CUBLAS_OP_N ? "N" : op == CUBLAS_OP_T ? "T" : "C"; };
  std::string detail = std::string("(") + letter(product.opA) + letter(product.opB) + ", m=" +
                       std::to_string(product.m) + ", n=" + std::to_string(product.n) + ", k=" +
                       std::to_string(product.k);
  if (product.count != 1) detail += ", batchCount=" + std::to_string(product.count);
  return detail + ")";
}

uint64_t wantedWorkspace(const Product &product) { return uint64_t(product.m) * product.n * sizeof(float) + 1; }

cublasStatus_t gemm(Handle &handle, const Product &product, const void *alphaPointer, const void *betaPointer,
                    Arguments &arguments) {
  checkShape(product, arguments);
  if (!arguments.ok()) return arguments.status;
  if (!product.compute.supported) return CUBLAS_STATUS_NOT_SUPPORTED;
  const Scalar alpha(handle, "alpha", alphaPointer, product.compute.scale, arguments);
  const Scalar beta(handle, "beta", betaPointer, product.compute.scale, arguments);
  if (!arguments.ok()) return arguments.status;
  if (nothingToDo(product)) return CUBLAS_STATUS_SUCCESS;
  checkPointers(product, arguments);
  if (!arguments.ok()) return arguments.status;
  Work work;
  work.detail = detailOf(product);
  const Mode mode = beta.isZero() || beta.onDevice() ? Mode::Write : Mode::Update;
  accessFactors(product, work.accesses);
  accessResults(product, mode, work.accesses);
  checkOverlap(work.accesses);
  alpha.access(work.accesses);
  beta.access(work.accesses);
  setRun(work, beta.onDevice(), [product, alpha, beta](std::vector<Access> &touched) {
    const double a = alpha.value(), b = beta.value();
    if (beta.onDevice() && b != 0) {
      std::vector<Access> results;
      accessResults(product, Mode::Read, results);
      checkWritten(results);
      touched.insert(touched.end(), results.begin(), results.end());
    }
    compute(product, a, b);
    return CUDA_SUCCESS;
  });
  return submit(handle, std::move(work), wantedWorkspace(product));
}

void checkAlgorithm(cublasGemmAlgo_t algo, Arguments &arguments) {
  const int value = static_cast<int>(algo);
  if (value == -1 || (value >= 0 && value <= 23) || (value >= 99 && value <= 115)) return;
  arguments.fail(check::badValue, "algo is " + std::to_string(value));
}

}  // namespace

extern "C" {

SIM_SHARED cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m,
                                      int n, int k, const float *alpha, const float *A, int lda, const float *B,
                                      int ldb, const float *beta, float *C, int ldc) {
  SIM_BLAS_ENTER(handle);
  Arguments arguments;
  Product product = describeProduct(transa, transb, m, n, k, A, CUDA_R_32F, lda, B, CUDA_R_32F, ldb, C, CUDA_R_32F,
                                    ldc);
  product.compute = byMathMode(*state);
  return gemm(*state, product, alpha, beta, arguments);
}

SIM_SHARED cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                       int m, int n, int k, const void *alpha, const void *A, cudaDataType Atype,
                                       int lda, const void *B, cudaDataType Btype, int ldb, const void *beta, void *C,
                                       cudaDataType Ctype, int ldc, cublasComputeType_t computeType,
                                       cublasGemmAlgo_t algo) {
  SIM_BLAS_ENTER(handle);
  Arguments arguments;
  Product product = describeProduct(transa, transb, m, n, k, A, Atype, lda, B, Btype, ldb, C, Ctype, ldc);
  product.compute = byType(*state, computeType, product);
  checkAlgorithm(algo, arguments);
  return gemm(*state, product, alpha, beta, arguments);
}

SIM_SHARED cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa,
                                                     cublasOperation_t transb, int m, int n, int k, const void *alpha,
                                                     const void *A, cudaDataType Atype, int lda, long long int strideA,
                                                     const void *B, cudaDataType Btype, int ldb, long long int strideB,
                                                     const void *beta, void *C, cudaDataType Ctype, int ldc,
                                                     long long int strideC, int batchCount,
                                                     cublasComputeType_t computeType, cublasGemmAlgo_t algo) {
  SIM_BLAS_ENTER(handle);
  Arguments arguments;
  Product product = describeProduct(transa, transb, m, n, k, A, Atype, lda, B, Btype, ldb, C, Ctype, ldc);
  product.compute = byType(*state, computeType, product);
  product.count = batchCount;
  product.strides = {strideA, strideB, strideC};
  checkAlgorithm(algo, arguments);
  return gemm(*state, product, alpha, beta, arguments);
}

}  // extern "C"

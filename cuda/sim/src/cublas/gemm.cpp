// Matrix products: single, batched with strides, batched with arrays of pointers.
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

// alpha * op(A) * op(B) + beta * C, `batch` times.
struct Product {
  cublasOperation_t opA, opB;
  int m, n, k;
  Matrix a, b, c;
  long long strideA = 0, strideB = 0, strideC = 0;  // in elements
  int batch = 1;
  Compute compute;
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
  product.batch = 1;
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
  arguments.atLeast("batchCount", product.batch, 0);
}

bool nothingToDo(const Product &product) { return product.m == 0 || product.n == 0 || product.batch == 0; }

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
  if (product.compute.scale == CUDA_R_64F) {
    computeOne<double>(product, alpha, beta);
  } else {
    computeOne<float>(product, alpha, beta);
  }
}

// The i-th product of a batch with strides.
Product inBatch(const Product &product, int i) {
  Product one = product;
  one.a.address += i * product.strideA * sizeOf(product.a.type);
  one.b.address += i * product.strideB * sizeOf(product.b.type);
  one.c.address += i * product.strideC * sizeOf(product.c.type);
  one.batch = 1;
  return one;
}

void accessFactors(const Product &product, std::vector<Access> &accesses) {
  if (product.k == 0) return;
  access(product.a, Mode::Read, accesses);
  access(product.b, Mode::Read, accesses);
}

void checkWritten(const Matrix &matrix) {
  std::vector<Access> columns;
  access(matrix, Mode::Read, columns);
  blas::checkWritten(columns);
}

std::string detailOf(const Product &product) {
  const auto letter = [](cublasOperation_t op) { return op == CUBLAS_OP_N ? "N" : op == CUBLAS_OP_T ? "T" : "C"; };
  std::string detail = std::string("(") + letter(product.opA) + letter(product.opB) + ", m=" +
                       std::to_string(product.m) + ", n=" + std::to_string(product.n) + ", k=" +
                       std::to_string(product.k);
  if (product.batch > 1) detail += ", batch=" + std::to_string(product.batch);
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
  for (int i = 0; i < product.batch; i++) {
    const Product one = inBatch(product, i);
    accessFactors(one, work.accesses);
    access(one.c, mode, work.accesses);
  }
  checkOverlap(work.accesses);
  alpha.access(work.accesses);
  beta.access(work.accesses);
  setRun(work, beta.onDevice(), [product, alpha, beta] {
    const double a = alpha.value(), b = beta.value();
    for (int i = 0; i < product.batch; i++) {
      const Product one = inBatch(product, i);
      if (beta.onDevice() && b != 0) checkWritten(one.c);
      compute(one, a, b);
    }
    return CUDA_SUCCESS;
  });
  return submit(handle, std::move(work), wantedWorkspace(product));
}

// The i-th product of a batch whose matrices' addresses are in device memory.
Product pointedTo(const Product &product, int i) {
  Product one = product;
  one.a.address = at<uint64_t>(product.a.address)[i];
  one.b.address = at<uint64_t>(product.b.address)[i];
  one.c.address = at<uint64_t>(product.c.address)[i];
  one.batch = 1;
  return one;
}

// Runs a batch of which only the device knows the addresses, and tells them.
CUresult runPointed(const Product &product, const Scalar &alpha, const Scalar &beta, std::vector<Access> &touched) {
  const double a = alpha.value(), b = beta.value();
  std::vector<Product> batch;
  for (int i = 0; i < product.batch; i++) {
    batch.push_back(pointedTo(product, i));
    accessFactors(batch.back(), touched);
    access(batch.back().c, b == 0 ? Mode::Write : Mode::Update, touched);
  }
  if (checkAccesses(touched) != CUDA_SUCCESS) return CUDA_ERROR_ILLEGAL_ADDRESS;
  for (const Product &one : batch) {
    if (product.k > 0) {
      checkWritten(one.a);
      checkWritten(one.b);
    }
    if (b != 0) checkWritten(one.c);
    compute(one, a, b);
  }
  markWritten(touched);
  return CUDA_SUCCESS;
}

// The three matrices' addresses in `product` are those of arrays of pointers.
cublasStatus_t gemmPointed(Handle &handle, const Product &product, const void *alphaPointer, const void *betaPointer,
                           Arguments &arguments) {
  checkShape(product, arguments);
  if (!arguments.ok()) return arguments.status;
  if (!product.compute.supported) return CUBLAS_STATUS_NOT_SUPPORTED;
  const Scalar alpha(handle, "alpha", alphaPointer, product.compute.scale, arguments);
  const Scalar beta(handle, "beta", betaPointer, product.compute.scale, arguments);
  if (!arguments.ok() || nothingToDo(product)) return arguments.status;
  Work work;
  work.detail = detailOf(product);
  const Matrix *matrices[] = {&product.a, &product.b, &product.c};
  const char *names[] = {"Aarray", "Barray", "Carray"};
  for (int i = 0; i < 3; i++) {
    arguments.aligned(names[i], reinterpret_cast<const void *>(matrices[i]->address), sizeof(void *));
    work.accesses.push_back({matrices[i]->address, product.batch * sizeof(void *), Mode::Read, names[i]});
  }
  if (!arguments.ok()) return arguments.status;
  alpha.access(work.accesses);
  beta.access(work.accesses);
  work.runAndTell = [product, alpha, beta](std::vector<Access> &touched) {
    return runPointed(product, alpha, beta, touched);
  };
  return submit(handle, std::move(work), wantedWorkspace(product));
}

void checkAlgorithm(cublasGemmAlgo_t algo, Arguments &arguments) {
  const int value = static_cast<int>(algo);
  if (value == -1 || (value >= 0 && value <= 23) || (value >= 99 && value <= 115)) return;
  arguments.fail(check::badValue, "algo is " + std::to_string(value));
}

// Two results of a batch in the same place.
void checkStrides(const Product &product) {
  if (product.batch < 2 || product.m == 0 || product.n == 0) return;
  const long long whole = (product.n - 1LL) * product.c.ld + product.m;
  const long long stride = product.strideC < 0 ? -product.strideC : product.strideC;
  if (stride >= whole) return;
  report(check::overlap, "strideC is " + std::to_string(product.strideC) + " elements, but each C (" +
                             describe(product.c.address) + ") spans " + std::to_string(whole) +
                             ": results of the batch overlap");
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

SIM_SHARED cublasStatus_t cublasDgemm(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m,
                                      int n, int k, const double *alpha, const double *A, int lda, const double *B,
                                      int ldb, const double *beta, double *C, int ldc) {
  SIM_BLAS_ENTER(handle);
  Arguments arguments;
  Product product = describeProduct(transa, transb, m, n, k, A, CUDA_R_64F, lda, B, CUDA_R_64F, ldb, C, CUDA_R_64F,
                                    ldc);
  product.compute.scale = CUDA_R_64F;
  return gemm(*state, product, alpha, beta, arguments);
}

SIM_SHARED cublasStatus_t cublasSgemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                        int m, int n, int k, const float *alpha, const void *A, cudaDataType Atype,
                                        int lda, const void *B, cudaDataType Btype, int ldb, const float *beta,
                                        void *C, cudaDataType Ctype, int ldc) {
  SIM_BLAS_ENTER(handle);
  Arguments arguments;
  Product product = describeProduct(transa, transb, m, n, k, A, Atype, lda, B, Btype, ldb, C, Ctype, ldc);
  product.compute = byType(*state, CUBLAS_COMPUTE_32F, product);
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

SIM_SHARED cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa,
                                                    cublasOperation_t transb, int m, int n, int k, const float *alpha,
                                                    const float *A, int lda, long long int strideA, const float *B,
                                                    int ldb, long long int strideB, const float *beta, float *C,
                                                    int ldc, long long int strideC, int batchCount) {
  SIM_BLAS_ENTER(handle);
  Arguments arguments;
  Product product = describeProduct(transa, transb, m, n, k, A, CUDA_R_32F, lda, B, CUDA_R_32F, ldb, C, CUDA_R_32F,
                                    ldc);
  product.compute = byMathMode(*state);
  product.strideA = strideA;
  product.strideB = strideB;
  product.strideC = strideC;
  product.batch = batchCount;
  checkStrides(product);
  return gemm(*state, product, alpha, beta, arguments);
}

SIM_SHARED cublasStatus_t cublasGemmStridedBatchedEx(
    cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k, const void *alpha,
    const void *A, cudaDataType Atype, int lda, long long int strideA, const void *B, cudaDataType Btype, int ldb,
    long long int strideB, const void *beta, void *C, cudaDataType Ctype, int ldc, long long int strideC,
    int batchCount, cublasComputeType_t computeType, cublasGemmAlgo_t algo) {
  SIM_BLAS_ENTER(handle);
  Arguments arguments;
  Product product = describeProduct(transa, transb, m, n, k, A, Atype, lda, B, Btype, ldb, C, Ctype, ldc);
  product.compute = byType(*state, computeType, product);
  product.strideA = strideA;
  product.strideB = strideB;
  product.strideC = strideC;
  product.batch = batchCount;
  checkAlgorithm(algo, arguments);
  checkStrides(product);
  return gemm(*state, product, alpha, beta, arguments);
}

SIM_SHARED cublasStatus_t cublasSgemmBatched(cublasHandle_t handle, cublasOperation_t transa,
                                             cublasOperation_t transb, int m, int n, int k, const float *alpha,
                                             const float *const Aarray[], int lda, const float *const Barray[],
                                             int ldb, const float *beta, float *const Carray[], int ldc,
                                             int batchCount) {
  SIM_BLAS_ENTER(handle);
  Arguments arguments;
  Product product = describeProduct(transa, transb, m, n, k, Aarray, CUDA_R_32F, lda, Barray, CUDA_R_32F, ldb,
                                    const_cast<float **>(Carray), CUDA_R_32F, ldc);
  product.compute = byMathMode(*state);
  product.batch = batchCount;
  return gemmPointed(*state, product, alpha, beta, arguments);
}

SIM_SHARED cublasStatus_t cublasGemmBatchedEx(cublasHandle_t handle, cublasOperation_t transa,
                                              cublasOperation_t transb, int m, int n, int k, const void *alpha,
                                              const void *const Aarray[], cudaDataType Atype, int lda,
                                              const void *const Barray[], cudaDataType Btype, int ldb,
                                              const void *beta, void *const Carray[], cudaDataType Ctype, int ldc,
                                              int batchCount, cublasComputeType_t computeType, cublasGemmAlgo_t algo) {
  SIM_BLAS_ENTER(handle);
  Arguments arguments;
  Product product = describeProduct(transa, transb, m, n, k, Aarray, Atype, lda, Barray, Btype, ldb,
                                    const_cast<void **>(Carray), Ctype, ldc);
  product.compute = byType(*state, computeType, product);
  product.batch = batchCount;
  checkAlgorithm(algo, arguments);
  return gemmPointed(*state, product, alpha, beta, arguments);
}

}  // extern "C"

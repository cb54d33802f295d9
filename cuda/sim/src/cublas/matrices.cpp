// Level 2, and the sum of two matrices.
#include <string>
#include <vector>

#include "cublas/handle.h"

using namespace sim;
using namespace sim::blas;

namespace {

std::string sizes(int m, int n) { return "(m=" + std::to_string(m) + ", n=" + std::to_string(n) + ")"; }

// y is read where beta, known only now, isn't 0.
void checkRead(const Vector &y) {
  std::vector<Access> accesses;
  access(y, Mode::Read, accesses);
  checkWritten(accesses);
}

template <class T>
cublasStatus_t gemv(Handle &handle, cublasOperation_t trans, int m, int n, const T *alphaPointer, const T *A, int lda,
                    const T *xPointer, int incx, const T *betaPointer, T *yPointer, int incy) {
  Arguments arguments;
  arguments.operation("trans", trans);
  arguments.atLeast("m", m, 0);
  arguments.atLeast("n", n, 0);
  arguments.leading("lda", lda, m);
  arguments.increment("incx", incx);
  arguments.increment("incy", incy);
  const Scalar alpha(handle, "alpha", alphaPointer, typeOf<T>(), arguments);
  const Scalar beta(handle, "beta", betaPointer, typeOf<T>(), arguments);
  if (!arguments.ok() || m == 0 || n == 0) return arguments.status;
  arguments.aligned("A", A, sizeof(T));
  arguments.aligned("x", xPointer, sizeof(T));
  arguments.aligned("y", yPointer, sizeof(T));
  if (!arguments.ok()) return arguments.status;
  const bool turned = trans != CUBLAS_OP_N;
  const Matrix a{"A", addressOf(A), m, n, lda, typeOf<T>()};
  const Vector x{"x", addressOf(xPointer), turned ? m : n, incx, sizeof(T)};
  const Vector y{"y", addressOf(yPointer), turned ? n : m, incy, sizeof(T)};
  Work work;
  work.detail = sizes(m, n);
  access(a, Mode::Read, work.accesses);
  access(x, Mode::Read, work.accesses);
  access(y, beta.isZero() || beta.onDevice() ? Mode::Write : Mode::Update, work.accesses);
  checkOverlap(work.accesses);
  alpha.access(work.accesses);
  beta.access(work.accesses);
  setRun(work, beta.onDevice(), [alpha, beta, a, x, y, turned] {
    const T *matrix = at<T>(a.address), *from = at<T>(x.address);
    T *to = at<T>(y.address);
    if (beta.onDevice() && beta.value() != 0) checkRead(y);
    const size_t down = turned ? a.ld : 1, across = turned ? 1 : a.ld;
    for (int i = 0; i < y.n; i++) {
      double sum = 0;
      for (int j = 0; j < x.n; j++) sum += double(matrix[i * down + j * across]) * from[x.index(j)];
      T &result = to[y.index(i)];
      const T value = T(alpha.value() * sum);
      result = beta.value() == 0 ? value : value + T(beta.value()) * result;
    }
    return CUDA_SUCCESS;
  });
  return submit(handle, std::move(work), sizeof(T) * y.n);
}

template <class T>
cublasStatus_t ger(Handle &handle, int m, int n, const T *alphaPointer, const T *xPointer, int incx, const T *yPointer,
                   int incy, T *A, int lda) {
  Arguments arguments;
  arguments.atLeast("m", m, 0);
  arguments.atLeast("n", n, 0);
  arguments.leading("lda", lda, m);
  arguments.increment("incx", incx);
  arguments.increment("incy", incy);
  const Scalar alpha(handle, "alpha", alphaPointer, typeOf<T>(), arguments);
  if (!arguments.ok() || m == 0 || n == 0) return arguments.status;
  arguments.aligned("A", A, sizeof(T));
  arguments.aligned("x", xPointer, sizeof(T));
  arguments.aligned("y", yPointer, sizeof(T));
  if (!arguments.ok()) return arguments.status;
  const Matrix a{"A", addressOf(A), m, n, lda, typeOf<T>()};
  const Vector x{"x", addressOf(xPointer), m, incx, sizeof(T)}, y{"y", addressOf(yPointer), n, incy, sizeof(T)};
  Work work;
  work.detail = sizes(m, n);
  access(x, Mode::Read, work.accesses);
  access(y, Mode::Read, work.accesses);
  access(a, Mode::Update, work.accesses);
  checkOverlap(work.accesses);
  alpha.access(work.accesses);
  work.run = [alpha, a, x, y] {
    T *matrix = at<T>(a.address);
    const T *down = at<T>(x.address), *across = at<T>(y.address), factor = T(alpha.value());
    for (int j = 0; j < y.n; j++) {
      for (int i = 0; i < x.n; i++) matrix[size_t(j) * a.ld + i] += factor * down[x.index(i)] * across[y.index(j)];
    }
    return CUDA_SUCCESS;
  };
  return submit(handle, std::move(work), 0);
}

// C may be A (or B) itself where that one isn't transposed and has C's leading dimension.
bool inPlace(const Matrix &matrix, cublasOperation_t op, const Matrix &c) {
  return matrix.address == c.address && op == CUBLAS_OP_N && matrix.ld == c.ld;
}

template <class T>
cublasStatus_t geam(Handle &handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
                    const T *alphaPointer, const T *A, int lda, const T *betaPointer, const T *B, int ldb, T *C,
                    int ldc) {
  Arguments arguments;
  const bool ta = transa != CUBLAS_OP_N, tb = transb != CUBLAS_OP_N;
  const Matrix a{"A", addressOf(A), ta ? n : m, ta ? m : n, lda, typeOf<T>()};
  const Matrix b{"B", addressOf(B), tb ? n : m, tb ? m : n, ldb, typeOf<T>()};
  const Matrix c{"C", addressOf(C), m, n, ldc, typeOf<T>()};
  arguments.operation("transa", transa);
  arguments.operation("transb", transb);
  arguments.atLeast("m", m, 0);
  arguments.atLeast("n", n, 0);
  arguments.leading("lda", lda, a.rows);
  arguments.leading("ldb", ldb, b.rows);
  arguments.leading("ldc", ldc, m);
  const Scalar alpha(handle, "alpha", alphaPointer, typeOf<T>(), arguments);
  const Scalar beta(handle, "beta", betaPointer, typeOf<T>(), arguments);
  if (!arguments.ok() || m == 0 || n == 0) return arguments.status;
  const bool useA = !alpha.isZero(), useB = !beta.isZero();
  if (useA) arguments.aligned("A", A, sizeof(T));
  if (useB) arguments.aligned("B", B, sizeof(T));
  arguments.aligned("C", C, sizeof(T));
  if (!arguments.ok()) return arguments.status;
  Work work;
  work.detail = sizes(m, n);
  access(c, Mode::Write, work.accesses);
  std::vector<Access> apart = work.accesses, inputs;
  if (useA) access(a, Mode::Read, inPlace(a, transa, c) ? inputs : apart);
  if (useB) access(b, Mode::Read, inPlace(b, transb, c) ? inputs : apart);
  checkOverlap(apart);
  work.accesses = inputs;  // what is read comes before what is written over it
  work.accesses.insert(work.accesses.end(), apart.rbegin(), apart.rend());
  alpha.access(work.accesses);
  beta.access(work.accesses);
  work.run = [=] {
    const T x = T(alpha.value()), y = T(beta.value());
    const T *left = useA ? at<T>(a.address) : nullptr, *right = useB ? at<T>(b.address) : nullptr;
    T *result = at<T>(c.address);
    for (int j = 0; j < n; j++) {
      for (int i = 0; i < m; i++) {
        const T p = useA ? x * left[ta ? size_t(i) * lda + j : size_t(j) * lda + i] : T(0);
        const T q = useB ? y * right[tb ? size_t(i) * ldb + j : size_t(j) * ldb + i] : T(0);
        result[size_t(j) * ldc + i] = p + q;
      }
    }
    return CUDA_SUCCESS;
  };
  return submit(handle, std::move(work), 0);
}

}  // namespace

extern "C" {

SIM_SHARED cublasStatus_t cublasSgemv(cublasHandle_t handle, cublasOperation_t trans, int m, int n, const float *alpha,
                                      const float *A, int lda, const float *x, int incx, const float *beta, float *y,
                                      int incy) {
  SIM_BLAS_ENTER(handle);
  return gemv(*state, trans, m, n, alpha, A, lda, x, incx, beta, y, incy);
}

SIM_SHARED cublasStatus_t cublasDgemv(cublasHandle_t handle, cublasOperation_t trans, int m, int n,
                                      const double *alpha, const double *A, int lda, const double *x, int incx,
                                      const double *beta, double *y, int incy) {
  SIM_BLAS_ENTER(handle);
  return gemv(*state, trans, m, n, alpha, A, lda, x, incx, beta, y, incy);
}

SIM_SHARED cublasStatus_t cublasSger(cublasHandle_t handle, int m, int n, const float *alpha, const float *x, int incx,
                                     const float *y, int incy, float *A, int lda) {
  SIM_BLAS_ENTER(handle);
  return ger(*state, m, n, alpha, x, incx, y, incy, A, lda);
}

SIM_SHARED cublasStatus_t cublasDger(cublasHandle_t handle, int m, int n, const double *alpha, const double *x,
                                     int incx, const double *y, int incy, double *A, int lda) {
  SIM_BLAS_ENTER(handle);
  return ger(*state, m, n, alpha, x, incx, y, incy, A, lda);
}

SIM_SHARED cublasStatus_t cublasSgeam(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m,
                                      int n, const float *alpha, const float *A, int lda, const float *beta,
                                      const float *B, int ldb, float *C, int ldc) {
  SIM_BLAS_ENTER(handle);
  return geam(*state, transa, transb, m, n, alpha, A, lda, beta, B, ldb, C, ldc);
}

SIM_SHARED cublasStatus_t cublasDgeam(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m,
                                      int n, const double *alpha, const double *A, int lda, const double *beta,
                                      const double *B, int ldb, double *C, int ldc) {
  SIM_BLAS_ENTER(handle);
  return geam(*state, transa, transb, m, n, alpha, A, lda, beta, B, ldb, C, ldc);
}

}  // extern "C"

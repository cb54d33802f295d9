// Level 1: vectors.
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "cublas/handle.h"

using namespace sim;
using namespace sim::blas;

namespace {

template <class T>
Vector vectorOf(const char *name, const T *pointer, int n, int increment) {
  return {name, addressOf(pointer), n, increment, sizeof(T)};
}

// A vector's elements, inside of Work::run.
template <class T>
class Elements {
 public:
  explicit Elements(const Vector &vector) : vector_(vector), data_(at<T>(vector.address)) {}
  T &operator[](int i) const { return data_[vector_.index(i)]; }

 private:
  Vector vector_;
  T *data_;
};

std::string sizes(const Vector &x) {
  return "(n=" + std::to_string(x.n) + ", incx=" + std::to_string(x.increment) + ")";
}

template <class T>
cublasStatus_t axpy(Handle &handle, int n, const T *alphaPointer, const T *xPointer, int incx, T *yPointer, int incy) {
  Arguments arguments;
  const Scalar alpha(handle, "alpha", alphaPointer, typeOf<T>(), arguments);
  if (!arguments.ok() || n <= 0) return arguments.status;
  arguments.aligned("x", xPointer, sizeof(T));
  arguments.aligned("y", yPointer, sizeof(T));
  arguments.increment("incy", incy);
  if (!arguments.ok()) return arguments.status;
  const Vector x = vectorOf("x", xPointer, n, incx), y = vectorOf("y", yPointer, n, incy);
  Work work;
  work.detail = sizes(x);
  access(x, Mode::Read, work.accesses);
  access(y, Mode::Update, work.accesses);
  if (xPointer != yPointer || incx != incy) checkOverlap(work.accesses);
  alpha.access(work.accesses);
  work.run = [alpha, x, y] {
    const T a = T(alpha.value());
    const Elements<T> from(x), to(y);
    for (int i = 0; i < x.n; i++) to[i] = std::fma(a, from[i], to[i]);
    return CUDA_SUCCESS;
  };
  return submit(handle, std::move(work), 0);
}

template <class T>
cublasStatus_t scal(Handle &handle, int n, const T *alphaPointer, T *xPointer, int incx) {
  Arguments arguments;
  const Scalar alpha(handle, "alpha", alphaPointer, typeOf<T>(), arguments);
  if (!arguments.ok() || n <= 0 || incx <= 0) return arguments.status;
  arguments.aligned("x", xPointer, sizeof(T));
  if (!arguments.ok()) return arguments.status;
  const Vector x = vectorOf("x", xPointer, n, incx);
  Work work;
  work.detail = sizes(x);
  access(x, Mode::Update, work.accesses);
  alpha.access(work.accesses);
  work.run = [alpha, x] {
    const T a = T(alpha.value());
    const Elements<T> elements(x);
    for (int i = 0; i < x.n; i++) elements[i] *= a;
    return CUDA_SUCCESS;
  };
  return submit(handle, std::move(work), 0);
}

template <class T>
cublasStatus_t copy(Handle &handle, int n, const T *xPointer, int incx, T *yPointer, int incy, bool swap) {
  Arguments arguments;
  if (n <= 0) return arguments.status;
  arguments.aligned("x", xPointer, sizeof(T));
  arguments.aligned("y", yPointer, sizeof(T));
  arguments.increment("incy", incy);
  if (swap) arguments.increment("incx", incx);
  if (!arguments.ok()) return arguments.status;
  const Vector x = vectorOf("x", xPointer, n, incx), y = vectorOf("y", yPointer, n, incy);
  Work work;
  work.detail = sizes(x);
  access(x, swap ? Mode::Update : Mode::Read, work.accesses);
  access(y, swap ? Mode::Update : Mode::Write, work.accesses);
  checkOverlap(work.accesses);
  work.run = [x, y, swap] {
    const Elements<T> from(x), to(y);
    for (int i = 0; i < x.n; i++) {
      if (swap) {
        std::swap(from[i], to[i]);
      } else {
        to[i] = from[i];
      }
    }
    return CUDA_SUCCESS;
  };
  return submit(handle, std::move(work), 0);
}

// Reductions: `reduce` makes the result inside of the run. It goes to host memory at once, or to the device in order.
template <class R, class Reduce>
cublasStatus_t reduced(Handle &handle, std::vector<Access> accesses, const std::string &detail, R *result,
                       Reduce reduce) {
  Arguments arguments;
  const bool onDevice = handle.pointers == CUBLAS_POINTER_MODE_DEVICE;
  arguments.pointer("result", result);
  if (result && !onDevice && isDeviceAddress(addressOf(result))) {
    arguments.fail(check::devicePointer, "result is in device memory (" + describe(addressOf(result)) +
                                             "), but the handle's pointer mode is CUBLAS_POINTER_MODE_HOST");
  }
  if (!arguments.ok()) return arguments.status;
  Work work;
  work.detail = detail;
  work.accesses = std::move(accesses);
  if (!onDevice) {
    work.run = [result, reduce] {
      *result = reduce();
      return CUDA_SUCCESS;
    };
    return submitAndWait(handle, std::move(work));
  }
  work.accesses.push_back({addressOf(result), sizeof(R), Mode::Write, "result"});
  const uint64_t address = addressOf(result);
  work.run = [address, reduce] {
    *at<R>(address) = reduce();
    return CUDA_SUCCESS;
  };
  return submit(handle, std::move(work), 0);
}

template <class T>
cublasStatus_t dot(Handle &handle, int n, const T *xPointer, int incx, const T *yPointer, int incy, T *result) {
  const Vector x = vectorOf("x", xPointer, n, incx), y = vectorOf("y", yPointer, n, incy);
  std::vector<Access> accesses;
  access(x, Mode::Read, accesses);
  access(y, Mode::Read, accesses);
  return reduced(handle, accesses, sizes(x), result, [x, y] {
    if (x.n <= 0) return T(0);
    const Elements<T> left(x), right(y);
    double sum = 0;
    for (int i = 0; i < x.n; i++) sum += double(left[i]) * right[i];
    return T(sum);
  });
}

// A reduction of one vector by step(sum, element, index), ended by finish(sum).
template <class R, class T, class Step, class Finish>
cublasStatus_t fold(Handle &handle, int n, const T *xPointer, int incx, R *result, Step step, Finish finish) {
  const Vector x = vectorOf("x", xPointer, incx > 0 ? n : 0, incx);
  std::vector<Access> accesses;
  access(x, Mode::Read, accesses);
  return reduced(handle, accesses, sizes(x), result, [x, step, finish] {
    double sum = 0;
    if (x.n <= 0) return R(0);
    const Elements<T> elements(x);
    for (int i = 0; i < x.n; i++) step(sum, elements[i], i);
    return R(finish(sum));
  });
}

template <class T>
cublasStatus_t nrm2(Handle &handle, int n, const T *x, int incx, T *result) {
  return fold(handle, n, x, incx, result, [](double &sum, double element, int) { sum += element * element; },
              [](double sum) { return std::sqrt(sum); });
}

template <class T>
cublasStatus_t asum(Handle &handle, int n, const T *x, int incx, T *result) {
  return fold(handle, n, x, incx, result, [](double &sum, double element, int) { sum += std::fabs(element); },
              [](double sum) { return sum; });
}

// The index, from 1, of the first element of greatest (least) absolute value.
template <class T>
cublasStatus_t extreme(Handle &handle, int n, const T *xPointer, int incx, int *result, bool least) {
  const Vector x = vectorOf("x", xPointer, incx > 0 ? n : 0, incx);
  std::vector<Access> accesses;
  access(x, Mode::Read, accesses);
  return reduced(handle, accesses, sizes(x), result, [x, least] {
    if (x.n <= 0) return 0;
    const Elements<T> elements(x);
    int best = 0;
    for (int i = 1; i < x.n; i++) {
      const T a = std::fabs(elements[i]), b = std::fabs(elements[best]);
      if (least ? a < b : a > b) best = i;
    }
    return best + 1;
  });
}

}  // namespace

extern "C" {

SIM_SHARED cublasStatus_t cublasSaxpy(cublasHandle_t handle, int n, const float *alpha, const float *x, int incx,
                                      float *y, int incy) {
  SIM_BLAS_ENTER(handle);
  return axpy(*state, n, alpha, x, incx, y, incy);
}

SIM_SHARED cublasStatus_t cublasDaxpy(cublasHandle_t handle, int n, const double *alpha, const double *x, int incx,
                                      double *y, int incy) {
  SIM_BLAS_ENTER(handle);
  return axpy(*state, n, alpha, x, incx, y, incy);
}

SIM_SHARED cublasStatus_t cublasSscal(cublasHandle_t handle, int n, const float *alpha, float *x, int incx) {
  SIM_BLAS_ENTER(handle);
  return scal(*state, n, alpha, x, incx);
}

SIM_SHARED cublasStatus_t cublasDscal(cublasHandle_t handle, int n, const double *alpha, double *x, int incx) {
  SIM_BLAS_ENTER(handle);
  return scal(*state, n, alpha, x, incx);
}

SIM_SHARED cublasStatus_t cublasScopy(cublasHandle_t handle, int n, const float *x, int incx, float *y, int incy) {
  SIM_BLAS_ENTER(handle);
  return copy(*state, n, x, incx, y, incy, false);
}

SIM_SHARED cublasStatus_t cublasDcopy(cublasHandle_t handle, int n, const double *x, int incx, double *y, int incy) {
  SIM_BLAS_ENTER(handle);
  return copy(*state, n, x, incx, y, incy, false);
}

SIM_SHARED cublasStatus_t cublasSswap(cublasHandle_t handle, int n, float *x, int incx, float *y, int incy) {
  SIM_BLAS_ENTER(handle);
  return copy(*state, n, x, incx, y, incy, true);
}

SIM_SHARED cublasStatus_t cublasDswap(cublasHandle_t handle, int n, double *x, int incx, double *y, int incy) {
  SIM_BLAS_ENTER(handle);
  return copy(*state, n, x, incx, y, incy, true);
}

SIM_SHARED cublasStatus_t cublasSdot(cublasHandle_t handle, int n, const float *x, int incx, const float *y, int incy,
                                     float *result) {
  SIM_BLAS_ENTER(handle);
  return dot(*state, n, x, incx, y, incy, result);
}

SIM_SHARED cublasStatus_t cublasDdot(cublasHandle_t handle, int n, const double *x, int incx, const double *y,
                                     int incy, double *result) {
  SIM_BLAS_ENTER(handle);
  return dot(*state, n, x, incx, y, incy, result);
}

SIM_SHARED cublasStatus_t cublasSnrm2(cublasHandle_t handle, int n, const float *x, int incx, float *result) {
  SIM_BLAS_ENTER(handle);
  return nrm2(*state, n, x, incx, result);
}

SIM_SHARED cublasStatus_t cublasDnrm2(cublasHandle_t handle, int n, const double *x, int incx, double *result) {
  SIM_BLAS_ENTER(handle);
  return nrm2(*state, n, x, incx, result);
}

SIM_SHARED cublasStatus_t cublasSasum(cublasHandle_t handle, int n, const float *x, int incx, float *result) {
  SIM_BLAS_ENTER(handle);
  return asum(*state, n, x, incx, result);
}

SIM_SHARED cublasStatus_t cublasDasum(cublasHandle_t handle, int n, const double *x, int incx, double *result) {
  SIM_BLAS_ENTER(handle);
  return asum(*state, n, x, incx, result);
}

SIM_SHARED cublasStatus_t cublasIsamax(cublasHandle_t handle, int n, const float *x, int incx, int *result) {
  SIM_BLAS_ENTER(handle);
  return extreme(*state, n, x, incx, result, false);
}

SIM_SHARED cublasStatus_t cublasIsamin(cublasHandle_t handle, int n, const float *x, int incx, int *result) {
  SIM_BLAS_ENTER(handle);
  return extreme(*state, n, x, incx, result, true);
}

}  // extern "C"

// A few functions of level 1: the simplest work that there is, for tests of handles, scalars and streams. The product calls
// none of them.
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

}  // namespace

extern "C" {

SIM_SHARED cublasStatus_t cublasSaxpy(cublasHandle_t handle, int n, const float *alpha, const float *x, int incx,
                                      float *y, int incy) {
  SIM_BLAS_ENTER(handle);
  return axpy(*state, n, alpha, x, incx, y, incy);
}

SIM_SHARED cublasStatus_t cublasSscal(cublasHandle_t handle, int n, const float *alpha, float *x, int incx) {
  SIM_BLAS_ENTER(handle);
  return scal(*state, n, alpha, x, incx);
}

SIM_SHARED cublasStatus_t cublasSdot(cublasHandle_t handle, int n, const float *x, int incx, const float *y, int incy,
                                     float *result) {
  SIM_BLAS_ENTER(handle);
  return dot(*state, n, x, incx, y, incy, result);
}

}  // extern "C"

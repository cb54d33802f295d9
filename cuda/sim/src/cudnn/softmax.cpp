// Softmax over all features of an image, or over the channels at each position.
#include <algorithm>

#include "internal.h"

namespace dnn {
namespace {

// The rows over which a softmax runs: `outer` blocks of `length` elements that lie `inner` apart, for each of `inner`.
struct Rows {
  int64_t outer, length, inner;
};

Rows rowsOf(const Layout &layout, cudnnSoftmaxMode_t mode) {
  const int64_t n = layout.dim[0], c = layout.dim[1], count = layout.count();
  if (mode == CUDNN_SOFTMAX_MODE_INSTANCE) return {n, count / n, 1};
  return {n, c, count / n / c};
}

template <class Body>
void eachRow(const Rows &rows, Body body) {
  for (int64_t o = 0; o < rows.outer; o++) {
    for (int64_t i = 0; i < rows.inner; i++) body(o * rows.length * rows.inner + i);
  }
}

// exp as the type of the tensor has it: CUDNN_SOFTMAX_FAST overflows where float does.
double exponential(double x, bool wide) {
  return wide ? std::exp(x) : static_cast<double>(static_cast<float>(std::exp(x)));
}

void forward(std::vector<double> &values, const Rows &rows, cudnnSoftmaxAlgorithm_t algorithm, bool wide) {
  eachRow(rows, [&](int64_t first) {
    double *v = values.data() + first;
    double highest = 0;
    if (algorithm != CUDNN_SOFTMAX_FAST) {
      highest = v[0];
      for (int64_t k = 1; k < rows.length; k++) highest = std::max(highest, v[k * rows.inner]);
    }
    double sum = 0;
    for (int64_t k = 0; k < rows.length; k++) sum += exponential(v[k * rows.inner] - highest, wide);
    for (int64_t k = 0; k < rows.length; k++) {
      double &value = v[k * rows.inner];
      value =
          algorithm == CUDNN_SOFTMAX_LOG ? value - highest - std::log(sum) : exponential(value - highest, wide) / sum;
    }
  });
}

// dy becomes dx.
void backward(const std::vector<double> &y, std::vector<double> &dy, const Rows &rows,
              cudnnSoftmaxAlgorithm_t algorithm) {
  const bool log = algorithm == CUDNN_SOFTMAX_LOG;
  eachRow(rows, [&](int64_t first) {
    const double *out = y.data() + first;
    double *gradient = dy.data() + first, sum = 0;
    for (int64_t k = 0; k < rows.length; k++) sum += gradient[k * rows.inner] * (log ? 1 : out[k * rows.inner]);
    for (int64_t k = 0; k < rows.length; k++) {
      double &g = gradient[k * rows.inner];
      g = log ? g - std::exp(out[k * rows.inner]) * sum : out[k * rows.inner] * (g - sum);
    }
  });
}

void checkModes(cudnnSoftmaxAlgorithm_t algorithm, cudnnSoftmaxMode_t mode) {
  inRange(algorithm, CUDNN_SOFTMAX_FAST, CUDNN_SOFTMAX_LOG, "algo");
  inRange(mode, CUDNN_SOFTMAX_MODE_INSTANCE, CUDNN_SOFTMAX_MODE_CHANNEL, "mode");
}

}  // namespace
}  // namespace dnn

using namespace dnn;

extern "C" {

SIM_SHARED cudnnStatus_t cudnnSoftmaxForward(cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algo,
                                             cudnnSoftmaxMode_t mode, const void *alpha,
                                             const cudnnTensorDescriptor_t xDesc, const void *x, const void *beta,
                                             const cudnnTensorDescriptor_t yDesc, void *y) {
  return answer(__func__, [&] {
    const Layout xLayout = use(xDesc, "xDesc"), yLayout = use(yDesc, "yDesc");
    checkModes(algo, mode);
    checkSame("x", xLayout, "y", yLayout);
    checkFloating("x", xLayout);
    const double a = scalar(alpha, yLayout.type, "alpha"), b = scalar(beta, yLayout.type, "beta");
    Launch launch(handle);
    launch.allowInPlace();
    launch.read(xLayout, x, "x");
    launch.write(yLayout, y, "y", b != 0);
    launch.run("x " + xLayout.text(), [=] {
      std::vector<double> values = load<double>(xLayout, x);
      forward(values, rowsOf(xLayout, mode), algo, isDouble(xLayout.type));
      store(yLayout, y, values.data(), a, b);
    });
  });
}

SIM_SHARED cudnnStatus_t cudnnSoftmaxBackward(cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algo,
                                              cudnnSoftmaxMode_t mode, const void *alpha,
                                              const cudnnTensorDescriptor_t yDesc, const void *y,
                                              const cudnnTensorDescriptor_t dyDesc, const void *dy, const void *beta,
                                              const cudnnTensorDescriptor_t dxDesc, void *dx) {
  return answer(__func__, [&] {
    const Layout yLayout = use(yDesc, "yDesc"), dyLayout = use(dyDesc, "dyDesc"), dxLayout = use(dxDesc, "dxDesc");
    checkModes(algo, mode);
    checkSame("y", yLayout, "dy", dyLayout);
    checkSame("y", yLayout, "dx", dxLayout);
    checkFloating("y", yLayout);
    if (!yLayout.sameStrides(dyLayout)) {
      wrong(kBadParam, sim::check::descriptor, both("y", yLayout, "dy", dyLayout) + " differ in their strides");
    }
    const double a = scalar(alpha, dxLayout.type, "alpha"), b = scalar(beta, dxLayout.type, "beta");
    Launch launch(handle);
    launch.allowInPlace();
    launch.read(yLayout, y, "y");
    launch.read(dyLayout, dy, "dy");
    launch.write(dxLayout, dx, "dx", b != 0);
    launch.run("y " + yLayout.text(), [=] {
      std::vector<double> values = load<double>(dyLayout, dy);
      backward(load<double>(yLayout, y), values, rowsOf(yLayout, mode), algo);
      store(dxLayout, dx, values.data(), a, b);
    });
  });
}

}  // extern "C"

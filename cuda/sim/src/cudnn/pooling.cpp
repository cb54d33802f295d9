// Pooling: maxima and averages of windows, forward and backward.
#include <algorithm>
#include <limits>
#include <numeric>

#include "internal.h"

namespace dnn {
namespace {

constexpr char kPooling[] = "cudnnPoolingDescriptor_t";

}  // namespace

const Pooling &use(cudnnPoolingDescriptor_t descriptor, const char *what) {
  demand(descriptor, kPooling, what);
  if (descriptor->rank == 0) wrong(kBadParam, sim::check::descriptor, std::string(what) + " was never set");
  return *descriptor;
}

namespace {

// The spatial sizes of a pooling, always three, and its number of images (batch times channels).
struct Windows {
  Pooling pooling;
  int64_t images = 1;
  int in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, window[3] = {1, 1, 1}, pad[3] = {}, stride[3] = {1, 1, 1};

  int64_t inputs() const { return int64_t(in[0]) * in[1] * in[2]; }
  int64_t outputs() const { return int64_t(out[0]) * out[1] * out[2]; }
};

void outputDims(const Pooling &pooling, const Layout &x, int *out) {
  if (x.rank != pooling.rank + 2) {
    wrong(
        kBadParam, sim::check::descriptor,
        "x, " + x.text() + ", doesn't have the two dimensions more than the window's " + std::to_string(pooling.rank));
  }
  out[0] = x.dim[0];
  out[1] = x.dim[1];
  for (int i = 0; i < pooling.rank; i++) {
    const int room = x.dim[i + 2] + 2 * pooling.pad[i] - pooling.window[i];
    if (room < 0)
      wrong(kBadParam, sim::check::descriptor, "the window is larger than x, " + x.text() + ", with its padding");
    out[i + 2] = 1 + room / pooling.stride[i];
  }
}

Windows windowsOf(const Pooling &pooling, const Layout &x, const Layout &y) {
  Layout wanted = y;
  wanted.rank = x.rank;
  outputDims(pooling, x, wanted.dim);
  if (!y.sameDims(wanted)) {
    setStrides(wanted, CUDNN_TENSOR_NCHW);
    wrong(kShapeMismatch, sim::check::descriptor,
          "y, " + y.text() + ", should be " + wanted.text() + ", as x is " + x.text());
  }
  if (x.type != y.type) {
    wrong(kBadParam, sim::check::descriptor, both("x", x, "y", y) + " differ in their data types");
  }
  checkFloating("x", x);
  Windows w;
  w.pooling = pooling;
  w.images = int64_t(x.dim[0]) * x.dim[1];
  for (int i = 0; i < pooling.rank; i++) {
    const int to = i + 3 - pooling.rank;
    w.in[to] = x.dim[i + 2];
    w.out[to] = wanted.dim[i + 2];
    w.window[to] = pooling.window[i];
    w.pad[to] = pooling.pad[i];
    w.stride[to] = pooling.stride[i];
  }
  return w;
}

bool isMaximum(const Pooling &pooling) {
  return pooling.mode == CUDNN_POOLING_MAX || pooling.mode == CUDNN_POOLING_MAX_DETERMINISTIC;
}

// Calls element(input) for every element of an output's window that isn't padding, and gives what an average divides
// by.
template <class Element>
double eachElement(const Windows &w, int64_t output, Element element) {
  const int at[3] = {static_cast<int>(output / w.out[2] / w.out[1]), static_cast<int>(output / w.out[2] % w.out[1]),
                     static_cast<int>(output % w.out[2])};
  int begin[3], end[3];
  double counted = 1, whole = 1;
  for (int i = 0; i < 3; i++) {
    const int start = at[i] * w.stride[i] - w.pad[i];
    begin[i] = std::max(start, 0);
    end[i] = std::min(start + w.window[i], w.in[i]);
    counted *= std::max(end[i] - begin[i], 0);
    whole *= w.window[i];
  }
  for (int d = begin[0]; d < end[0]; d++) {
    for (int h = begin[1]; h < end[1]; h++) {
      for (int c = begin[2]; c < end[2]; c++) element((int64_t(d) * w.in[1] + h) * w.in[2] + c);
    }
  }
  return w.pooling.mode == CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING ? whole : std::max(counted, 1.0);
}

// The first maximum of a window, and where it is. A NaN counts as the largest where it is to be propagated, else as
// none.
struct Maximum {
  double value = -std::numeric_limits<double>::infinity();
  int64_t at = -1;

  void see(double v, int64_t where, cudnnNanPropagation_t nan) {
    if (std::isnan(v) ? nan == CUDNN_PROPAGATE_NAN && !std::isnan(value) : v > value || (at < 0 && v == value)) {
      value = v;
      at = where;
    }
  }
};

std::vector<double> forward(const Windows &w, const std::vector<double> &x) {
  std::vector<double> y(static_cast<size_t>(w.images * w.outputs()));
  double *to = y.data();
  for (int64_t image = 0; image < w.images; image++) {
    const double *from = x.data() + image * w.inputs();
    for (int64_t o = 0; o < w.outputs(); o++) {
      Maximum maximum;
      double sum = 0;
      const double divisor = eachElement(w, o, [&](int64_t i) {
        maximum.see(from[i], i, w.pooling.nan);
        sum += from[i];
      });
      *to++ = isMaximum(w.pooling) ? maximum.value : sum / divisor;
    }
  }
  return y;
}

// Sums in float what several windows give to one element, as atomic additions do: in an order that chance draws for
// CUDNN_POOLING_MAX.
template <class T>
std::vector<T> backward(const Windows &w, const std::vector<double> &x, const std::vector<double> &dy) {
  std::vector<T> dx(static_cast<size_t>(w.images * w.inputs()));
  std::vector<int64_t> order(static_cast<size_t>(w.outputs()));
  for (int64_t image = 0; image < w.images; image++) {
    std::iota(order.begin(), order.end(), int64_t(0));
    if (w.pooling.mode == CUDNN_POOLING_MAX) {
      for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[sim::chance() % i]);
    }
    const double *from = x.data() + image * w.inputs(), *gradient = dy.data() + image * w.outputs();
    T *to = dx.data() + image * w.inputs();
    for (int64_t o : order) {
      if (isMaximum(w.pooling)) {
        Maximum maximum;
        eachElement(w, o, [&](int64_t i) { maximum.see(from[i], i, w.pooling.nan); });
        if (maximum.at >= 0) to[maximum.at] += static_cast<T>(gradient[o]);
        continue;
      }
      const double share = gradient[o] / eachElement(w, o, [](int64_t) {});
      eachElement(w, o, [&](int64_t i) { to[i] += static_cast<T>(share); });
    }
  }
  return dx;
}

std::string detailOf(const Layout &x, const Layout &y) { return "x " + x.text() + ", y " + y.text(); }

void setPooling(cudnnPoolingDescriptor_t descriptor, cudnnPoolingMode_t mode, cudnnNanPropagation_t nan, int rank,
                const int *window, const int *pad, const int *stride) {
  demand(descriptor, kPooling, "poolingDesc");
  inRange(mode, CUDNN_POOLING_MAX, CUDNN_POOLING_MAX_DETERMINISTIC, "mode");
  inRange(nan, CUDNN_NOT_PROPAGATE_NAN, CUDNN_PROPAGATE_NAN, "maxpoolingNanOpt");
  if (rank < 2 || rank > 3) {
    wrong(kNotSupported, sim::check::badValue, "pooling of " + std::to_string(rank) + " dimensions isn't supported");
  }
  result(window, "windowDimA");
  result(pad, "paddingA");
  result(stride, "strideA");
  Pooling pooling;
  pooling.rank = rank;
  pooling.mode = mode;
  pooling.nan = nan;
  for (int i = 0; i < rank; i++) {
    inRange(window[i], 1, 1 << 20, "window");
    inRange(pad[i], 0, window[i] - 1, "padding");
    inRange(stride[i], 1, 1 << 20, "stride");
    pooling.window[i] = window[i];
    pooling.pad[i] = pad[i];
    pooling.stride[i] = stride[i];
  }
  static_cast<Pooling &>(*descriptor) = pooling;
}

}  // namespace
}  // namespace dnn

using namespace dnn;

extern "C" {

SIM_SHARED cudnnStatus_t cudnnCreatePoolingDescriptor(cudnnPoolingDescriptor_t *poolingDesc) {
  return createObject(__func__, poolingDesc, kPooling);
}

SIM_SHARED cudnnStatus_t cudnnDestroyPoolingDescriptor(cudnnPoolingDescriptor_t poolingDesc) {
  return destroyObject(__func__, poolingDesc, kPooling);
}

SIM_SHARED cudnnStatus_t cudnnSetPooling2dDescriptor(cudnnPoolingDescriptor_t poolingDesc, cudnnPoolingMode_t mode,
                                                     cudnnNanPropagation_t maxpoolingNanOpt, int windowHeight,
                                                     int windowWidth, int verticalPadding, int horizontalPadding,
                                                     int verticalStride, int horizontalStride) {
  return answer(__func__, [&] {
    const int window[] = {windowHeight, windowWidth}, pad[] = {verticalPadding, horizontalPadding};
    const int stride[] = {verticalStride, horizontalStride};
    setPooling(poolingDesc, mode, maxpoolingNanOpt, 2, window, pad, stride);
  });
}

SIM_SHARED cudnnStatus_t cudnnSetPoolingNdDescriptor(cudnnPoolingDescriptor_t poolingDesc,
                                                     const cudnnPoolingMode_t mode,
                                                     const cudnnNanPropagation_t maxpoolingNanOpt, int nbDims,
                                                     const int windowDimA[], const int paddingA[],
                                                     const int strideA[]) {
  return answer(__func__,
                [&] { setPooling(poolingDesc, mode, maxpoolingNanOpt, nbDims, windowDimA, paddingA, strideA); });
}

SIM_SHARED cudnnStatus_t cudnnGetPooling2dDescriptor(const cudnnPoolingDescriptor_t poolingDesc,
                                                     cudnnPoolingMode_t *mode, cudnnNanPropagation_t *maxpoolingNanOpt,
                                                     int *windowHeight, int *windowWidth, int *verticalPadding,
                                                     int *horizontalPadding, int *verticalStride,
                                                     int *horizontalStride) {
  return answer(__func__, [&] {
    const Pooling &p = use(poolingDesc, "poolingDesc");
    if (p.rank != 2) wrong(kBadParam, sim::check::descriptor, "poolingDesc isn't of two dimensions");
    give(mode, p.mode);
    give(maxpoolingNanOpt, p.nan);
    int *to[] = {windowHeight, windowWidth, verticalPadding, horizontalPadding, verticalStride, horizontalStride};
    const int from[] = {p.window[0], p.window[1], p.pad[0], p.pad[1], p.stride[0], p.stride[1]};
    for (int i = 0; i < 6; i++) give(to[i], from[i]);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetPoolingNdDescriptor(const cudnnPoolingDescriptor_t poolingDesc, int nbDimsRequested,
                                                     cudnnPoolingMode_t *mode, cudnnNanPropagation_t *maxpoolingNanOpt,
                                                     int *nbDims, int windowDimA[], int paddingA[], int strideA[]) {
  return answer(__func__, [&] {
    const Pooling &p = use(poolingDesc, "poolingDesc");
    inRange(nbDimsRequested, 0, CUDNN_DIM_MAX, "nbDimsRequested");
    give(mode, p.mode);
    give(maxpoolingNanOpt, p.nan);
    give(nbDims, p.rank);
    for (int i = 0; i < std::min(p.rank, nbDimsRequested); i++) {
      if (windowDimA) windowDimA[i] = p.window[i];
      if (paddingA) paddingA[i] = p.pad[i];
      if (strideA) strideA[i] = p.stride[i];
    }
  });
}

SIM_SHARED cudnnStatus_t cudnnGetPooling2dForwardOutputDim(const cudnnPoolingDescriptor_t poolingDesc,
                                                           const cudnnTensorDescriptor_t inputTensorDesc, int *n,
                                                           int *c, int *h, int *w) {
  return answer(__func__, [&] {
    const Pooling &p = use(poolingDesc, "poolingDesc");
    if (p.rank != 2) wrong(kBadParam, sim::check::descriptor, "poolingDesc isn't of two dimensions");
    int dims[CUDNN_DIM_MAX];
    outputDims(p, use(inputTensorDesc, "inputTensorDesc"), dims);
    result(n, "n") = dims[0];
    result(c, "c") = dims[1];
    result(h, "h") = dims[2];
    result(w, "w") = dims[3];
  });
}

SIM_SHARED cudnnStatus_t cudnnGetPoolingNdForwardOutputDim(const cudnnPoolingDescriptor_t poolingDesc,
                                                           const cudnnTensorDescriptor_t inputTensorDesc, int nbDims,
                                                           int outputTensorDimA[]) {
  return answer(__func__, [&] {
    const Layout &x = use(inputTensorDesc, "inputTensorDesc");
    int dims[CUDNN_DIM_MAX];
    outputDims(use(poolingDesc, "poolingDesc"), x, dims);
    if (nbDims != x.rank) {
      wrong(kBadParam, sim::check::badValue, "nbDims is " + std::to_string(nbDims) + ", x is " + x.text());
    }
    result(outputTensorDimA, "outputTensorDimA");
    std::copy(dims, dims + nbDims, outputTensorDimA);
  });
}

SIM_SHARED cudnnStatus_t cudnnPoolingForward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t poolingDesc,
                                             const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x,
                                             const void *beta, const cudnnTensorDescriptor_t yDesc, void *y) {
  return answer(__func__, [&] {
    const Layout xLayout = use(xDesc, "xDesc"), yLayout = use(yDesc, "yDesc");
    const Windows windows = windowsOf(use(poolingDesc, "poolingDesc"), xLayout, yLayout);
    const double a = scalar(alpha, yLayout.type, "alpha"), b = scalar(beta, yLayout.type, "beta");
    Launch launch(handle);
    launch.read(xLayout, x, "x");
    launch.write(yLayout, y, "y", b != 0);
    launch.run(detailOf(xLayout, yLayout), [=] {
      const std::vector<double> ys = forward(windows, load<double>(xLayout, x));
      store(yLayout, y, ys.data(), a, b);
    });
  });
}

SIM_SHARED cudnnStatus_t cudnnPoolingBackward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t poolingDesc,
                                              const void *alpha, const cudnnTensorDescriptor_t yDesc, const void *y,
                                              const cudnnTensorDescriptor_t dyDesc, const void *dy,
                                              const cudnnTensorDescriptor_t xDesc, const void *x, const void *beta,
                                              const cudnnTensorDescriptor_t dxDesc, void *dx) {
  return answer(__func__, [&] {
    const Layout xLayout = use(xDesc, "xDesc"), yLayout = use(yDesc, "yDesc");
    const Layout dxLayout = use(dxDesc, "dxDesc"), dyLayout = use(dyDesc, "dyDesc");
    const Windows windows = windowsOf(use(poolingDesc, "poolingDesc"), xLayout, yLayout);
    if (!dyLayout.same(yLayout)) {
      wrong(kBadParam, sim::check::descriptor, "dy, " + dyLayout.text() + ", isn't as y, " + yLayout.text());
    }
    if (!dxLayout.same(xLayout)) {
      wrong(kBadParam, sim::check::descriptor, "dx, " + dxLayout.text() + ", isn't as x, " + xLayout.text());
    }
    const double a = scalar(alpha, dxLayout.type, "alpha"), b = scalar(beta, dxLayout.type, "beta");
    Launch launch(handle);
    launch.read(yLayout, y, "y", true);
    launch.read(dyLayout, dy, "dy");
    launch.read(xLayout, x, "x", !isMaximum(windows.pooling));
    launch.write(dxLayout, dx, "dx", b != 0);
    launch.run(detailOf(xLayout, yLayout), [=] {
      const std::vector<double> xs = load<double>(xLayout, x), dys = load<double>(dyLayout, dy);
      if (isDouble(xLayout.type)) {
        store(dxLayout, dx, backward<double>(windows, xs, dys).data(), a, b);
      } else {
        store(dxLayout, dx, backward<float>(windows, xs, dys).data(), a, b);
      }
    });
  });
}

}  // extern "C"

// Convolution: descriptors, forward, backward to data and to filter.
#include "convolution.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "gemm.h"
#include "ptx/smallfloat.h"

namespace dnn {
namespace {

constexpr char kConvolution[] = "cudnnConvolutionDescriptor_t";

}  // namespace

const Convolution &use(cudnnConvolutionDescriptor_t descriptor, const char *what) {
  demand(descriptor, kConvolution, what);
  if (descriptor->rank == 0) wrong(kBadParam, sim::check::descriptor, std::string(what) + " was never set");
  return *descriptor;
}

// ------------------------------------------------------------------------------------------------------------- checks

std::string Problem::text() const {
  auto three = [&](const int(&v)[3]) {
    std::string s;
    for (int i = 3 - convolution.rank; i < 3; i++) s += (s.empty() ? "" : "x") + std::to_string(v[i]);
    return s;
  };
  return "x " + x.text() + ", w " + w.text() + ", y " + y.text() + ", pad " + three(pad) + ", stride " + three(stride) +
         ", dilation " + three(dilation) + ", " + std::to_string(groups()) + " groups";
}

void outputDims(const Layout &x, const Filter &w, const Convolution &convolution, int *out) {
  if (x.rank != w.rank || x.rank != convolution.rank + 2) {
    wrong(kBadParam, sim::check::descriptor,
          "x, " + x.text() + ", and w, " + w.text() + ", don't have the two dimensions more than the convolution's " +
              std::to_string(convolution.rank));
  }
  if (w.dim[1] * convolution.groups != x.dim[1] || w.dim[0] % convolution.groups != 0) {
    wrong(kBadParam, sim::check::descriptor,
          "x, " + x.text() + ", and w, " + w.text() + ", don't fit together with " +
              std::to_string(convolution.groups) + " groups");
  }
  out[0] = x.dim[0];
  out[1] = w.dim[0];
  for (int i = 0; i < convolution.rank; i++) {
    const int reach = (w.dim[i + 2] - 1) * convolution.dilation[i] + 1;
    const int room = x.dim[i + 2] + 2 * convolution.pad[i] - reach;
    if (room < 0) {
      wrong(kBadParam, sim::check::descriptor,
            "w, " + w.text() + ", is larger than x, " + x.text() + ", with its padding");
    }
    out[i + 2] = 1 + room / convolution.stride[i];
  }
}

namespace {

// Fills three numbers from the last ones of an array of `rank`.
void lift(const int *from, int rank, int missing, int (&to)[3]) {
  for (int i = 0; i < 3; i++) to[i] = i < 3 - rank ? missing : from[i - (3 - rank)];
}

void checkTypes(const Problem &p, Purpose purpose) {
  if (p.x.type != p.w.type || p.x.type != p.y.type) {
    wrong(kBadParam, sim::check::descriptor, "x, w and y differ in their data types: " + p.text());
  }
  const bool known =
      isFloating(p.x.type) && p.convolution.compute == (isDouble(p.x.type) ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT);
  const bool tooOld = p.x.type == CUDNN_DATA_BFLOAT16 && p.capability < 80;
  if (known && !tooOld) return;
  const std::string reason = std::string("a convolution of ") + nameOf(p.x.type) + " computed in " +
                             nameOf(p.convolution.compute) + " isn't supported" +
                             (tooOld ? " before compute capability 8.0" : "");
  if (purpose == Purpose::Query) refuse(kNotSupportedDataType, reason);
  wrong(kNotSupportedDataType, sim::check::descriptor, reason);
}

bool channelsLast(const Layout &layout) {
  Layout other = layout;
  setStrides(other, CUDNN_TENSOR_NHWC);
  return layout.sameStrides(other);
}

}  // namespace

Problem problemOf(cudnnHandle_t handle, const Layout &x, const Filter &w, const Convolution &convolution,
                  const Layout &y, Purpose purpose) {
  Problem p;
  p.x = x;
  p.y = y;
  p.w = w;
  p.convolution = convolution;
  const sim::DeviceProperties &device = sim::properties(sim::deviceOf(contextOf(handle)));
  p.capability = device.major * 10 + device.minor;
  Layout wanted = y;
  outputDims(x, w, convolution, wanted.dim);
  lift(x.dim + 2, convolution.rank, 1, p.in);
  lift(wanted.dim + 2, convolution.rank, 1, p.out);
  lift(w.dim + 2, convolution.rank, 1, p.filter);
  lift(convolution.pad, convolution.rank, 0, p.pad);
  lift(convolution.stride, convolution.rank, 1, p.stride);
  lift(convolution.dilation, convolution.rank, 1, p.dilation);
  wanted.rank = x.rank;
  if (!y.sameDims(wanted)) {
    setStrides(wanted, CUDNN_TENSOR_NCHW);
    wrong(kShapeMismatch, sim::check::descriptor, "y should be " + wanted.text() + ": " + p.text());
  }
  checkTypes(p, purpose);
  if (w.format == CUDNN_TENSOR_NHWC && (!channelsLast(x) || !channelsLast(y))) {
    const std::string reason = "an NHWC filter wants NHWC tensors: " + p.text();
    if (purpose == Purpose::Query) refuse(kNotSupportedLayout, reason);
    wrong(kNotSupportedLayout, sim::check::descriptor, reason);
  }
  return p;
}

// --------------------------------------------------------------------------------------------------------- arithmetic

namespace {

// How an algorithm sums.
struct Arithmetic {
  bool wide;      // in double
  bool shuffled;  // in an order that chance draws
  size_t block;   // products that are summed before the sum is added to others
  cudnnMathType_t math;
  int capability;
};

Arithmetic arithmeticOf(const Problem &p, Direction direction, int algorithm) {
  const bool shuffled = !algorithmOf(p, direction, algorithm).deterministic;
  const bool plain =
      direction == Direction::Forward ? algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM : algorithm == 1;
  return {isDouble(p.x.type) || (plain && !shuffled), shuffled, size_t(16) << (algorithm % 4), p.convolution.math,
          p.capability};
}

// Rounds what goes into tensor cores, unless strict arithmetic is asked for.
template <class T>
void roundInputs(std::vector<T> &values, const Arithmetic &arithmetic, cudnnDataType_t type) {
  if (type != CUDNN_DATA_FLOAT || arithmetic.math == CUDNN_FMA_MATH || arithmetic.capability < 70) return;
  if (arithmetic.math == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION) {
    for (T &v : values) v = static_cast<T>(ptx::halfToFloat(ptx::floatToHalf(static_cast<float>(v))));
  } else if (arithmetic.capability >= 80) {
    for (T &v : values) v = static_cast<T>(roundToTensorFloat(static_cast<float>(v)));
  }
}

// The numbers 0 to n-1, in order or as chance has it.
std::vector<size_t> orderOf(size_t n, bool shuffled) {
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t(0));
  for (size_t i = n; shuffled && i > 1; i--) std::swap(order[i - 1], order[sim::chance() % i]);
  return order;
}

// Calls run(input, output, count) for the unbroken rows of output positions at which a tap meets the image, not its
// padding: output positions lie side by side, inputs stride[2] apart.
template <class Run>
void eachMeeting(const Problem &p, int64_t tap, Run run) {
  const int kw = static_cast<int>(tap % p.filter[2]), kh = static_cast<int>(tap / p.filter[2] % p.filter[1]);
  const int kd = static_cast<int>(tap / p.filter[2] / p.filter[1]);
  const int shift = kw * p.dilation[2] - p.pad[2];  // input column of output column 0
  const int first = shift >= 0 ? 0 : (-shift + p.stride[2] - 1) / p.stride[2];
  if (shift >= p.in[2]) return;
  const int last = std::min(p.out[2] - 1, (p.in[2] - 1 - shift) / p.stride[2]);
  if (first > last) return;
  for (int d = 0; d < p.out[0]; d++) {
    const int id = d * p.stride[0] - p.pad[0] + kd * p.dilation[0];
    if (id < 0 || id >= p.in[0]) continue;
    for (int h = 0; h < p.out[1]; h++) {
      const int ih = h * p.stride[1] - p.pad[1] + kh * p.dilation[1];
      if (ih < 0 || ih >= p.in[1]) continue;
      run((int64_t(id) * p.in[1] + ih) * p.in[2] + first * p.stride[2] + shift,
          (int64_t(d) * p.out[1] + h) * p.out[2] + first, last - first + 1);
    }
  }
}

// The patches of one image's group: a row for each channel and tap, a column for each output position. What lies in the
// padding isn't touched: it stays zero from image to image.
template <class T>
void unfold(const Problem &p, const T *image, Matrix<T> &columns) {
  for (int c = 0; c < p.groupC(); c++) {
    const T *channel = image + c * p.inputs();
    for (int64_t tap = 0; tap < p.taps(); tap++) {
      T *row = columns.row(static_cast<size_t>(c * p.taps() + tap));
      eachMeeting(p, tap, [&](int64_t in, int64_t out, int count) {
        for (int i = 0; i < count; i++) row[out + i] = channel[in + i * p.stride[2]];
      });
    }
  }
}

// Adds patches to an image, rows in the order given.
template <class T>
void fold(const Problem &p, const Matrix<T> &columns, const std::vector<size_t> &order, T *image) {
  for (size_t r : order) {
    T *channel = image + static_cast<int64_t>(r) / p.taps() * p.inputs();
    const T *row = columns.row(r);
    eachMeeting(p, static_cast<int64_t>(r) % p.taps(), [&](int64_t in, int64_t out, int count) {
      for (int i = 0; i < count; i++) channel[in + i * p.stride[2]] += row[out + i];
    });
  }
}

// CUDNN_CONVOLUTION mirrors the filter in all spatial dimensions.
int64_t mirrored(const Problem &p, int64_t tap) {
  return p.convolution.mode == CUDNN_CONVOLUTION ? p.taps() - 1 - tap : tap;
}

// A group's filters: a row for each output channel.
template <class T>
Matrix<T> filtersOf(const Problem &p, const std::vector<T> &w, int group) {
  Matrix<T> m(static_cast<size_t>(p.groupK()), static_cast<size_t>(p.groupC() * p.taps()));
  const T *from = w.data() + int64_t(group) * p.groupK() * p.groupC() * p.taps();
  for (size_t k = 0; k < m.rows(); k++) {
    for (int c = 0; c < p.groupC(); c++) {
      for (int64_t tap = 0; tap < p.taps(); tap++) m.row(k)[c * p.taps() + mirrored(p, tap)] = *from++;
    }
  }
  return m;
}

// The channels of one image's group, as rows of positions.
template <class T>
void setRows(Matrix<T> &m, const T *from) {
  for (size_t r = 0; r < m.rows(); r++) std::copy_n(from + r * m.columns(), m.columns(), m.row(r));
}

// Where one image's group begins in y and in x.
int64_t outputAt(const Problem &p, size_t n, int group) {
  return (static_cast<int64_t>(n) * p.k() + int64_t(group) * p.groupK()) * p.positions();
}

int64_t inputAt(const Problem &p, size_t n, int group) {
  return (static_cast<int64_t>(n) * p.c() + int64_t(group) * p.groupC()) * p.inputs();
}

template <class T>
std::vector<T> forward(const Problem &p, const Arithmetic &arithmetic, const std::vector<T> &x,
                       const std::vector<T> &w) {
  std::vector<T> y(static_cast<size_t>(p.y.count()));
  const size_t rows = static_cast<size_t>(p.groupC() * p.taps()), positions = static_cast<size_t>(p.positions());
  Matrix<T> columns(rows, positions), product(static_cast<size_t>(p.groupK()), positions);
  for (int g = 0; g < p.groups(); g++) {
    const Matrix<T> filters = filtersOf(p, w, g);
    for (size_t n = 0; n < static_cast<size_t>(p.n()); n++) {
      unfold(p, x.data() + inputAt(p, n, g), columns);
      product.clear();
      multiply(filters, columns, product, 0, rows, arithmetic.block);
      T *to = y.data() + outputAt(p, n, g);
      for (size_t k = 0; k < product.rows(); k++) std::copy_n(product.row(k), positions, to + k * positions);
    }
  }
  return y;
}

template <class T>
std::vector<T> backwardData(const Problem &p, const Arithmetic &arithmetic, const std::vector<T> &w,
                            const std::vector<T> &dy) {
  std::vector<T> dx(static_cast<size_t>(p.x.count()));
  const size_t rows = static_cast<size_t>(p.groupC() * p.taps()), positions = static_cast<size_t>(p.positions());
  const size_t channels = static_cast<size_t>(p.groupK());
  const size_t piece = arithmetic.shuffled ? std::max<size_t>(1, channels / 4) : channels;
  Matrix<T> columns(rows, positions), gradient(channels, positions);
  for (int g = 0; g < p.groups(); g++) {
    const Matrix<T> filters = transposed(filtersOf(p, w, g));
    for (size_t n = 0; n < static_cast<size_t>(p.n()); n++) {
      setRows(gradient, dy.data() + outputAt(p, n, g));
      for (size_t i : orderOf((channels + piece - 1) / piece, arithmetic.shuffled)) {
        columns.clear();
        multiply(filters, gradient, columns, i * piece, std::min(channels, (i + 1) * piece), arithmetic.block);
        fold(p, columns, orderOf(rows, arithmetic.shuffled), dx.data() + inputAt(p, n, g));
      }
    }
  }
  return dx;
}

template <class T>
std::vector<T> backwardFilter(const Problem &p, const Arithmetic &arithmetic, const std::vector<T> &x,
                              const std::vector<T> &dy) {
  std::vector<T> dw(static_cast<size_t>(p.w.count()));
  const size_t rows = static_cast<size_t>(p.groupC() * p.taps()), positions = static_cast<size_t>(p.positions());
  const size_t piece = arithmetic.shuffled ? std::clamp<size_t>(positions / 4, 1, 64) : positions;
  Matrix<T> columns(rows, positions), gradient(static_cast<size_t>(p.groupK()), positions);
  for (int g = 0; g < p.groups(); g++) {
    Matrix<T> sum(gradient.rows(), rows);
    for (size_t n : orderOf(static_cast<size_t>(p.n()), arithmetic.shuffled)) {
      unfold(p, x.data() + inputAt(p, n, g), columns);
      const Matrix<T> patches = transposed(columns);
      setRows(gradient, dy.data() + outputAt(p, n, g));
      for (size_t i : orderOf((positions + piece - 1) / piece, arithmetic.shuffled)) {
        multiply(gradient, patches, sum, i * piece, std::min(positions, (i + 1) * piece), arithmetic.block);
      }
    }
    T *to = dw.data() + int64_t(g) * p.groupK() * static_cast<int64_t>(rows);
    for (size_t k = 0; k < sum.rows(); k++) {
      for (int c = 0; c < p.groupC(); c++) {
        for (int64_t tap = 0; tap < p.taps(); tap++) *to++ = sum.row(k)[c * p.taps() + mirrored(p, tap)];
      }
    }
  }
  return dw;
}

// Loads two operands, rounds them as the arithmetic wants, and gives compute(a, b)'s result to done(values).
template <class T, class Compute, class Done>
void computeAs(const Arithmetic &arithmetic, const Layout &a, const void *aData, const Layout &b, const void *bData,
               Compute compute, Done done) {
  std::vector<T> aValues = load<T>(a, aData), bValues = load<T>(b, bData);
  roundInputs(aValues, arithmetic, a.type);
  roundInputs(bValues, arithmetic, b.type);
  done(compute(aValues, bValues));
}

template <class Compute, class Done>
void compute(const Arithmetic &arithmetic, const Layout &a, const void *aData, const Layout &b, const void *bData,
             Compute how, Done done) {
  if (arithmetic.wide) {
    computeAs<double>(arithmetic, a, aData, b, bData, how, done);
  } else {
    computeAs<float>(arithmetic, a, aData, b, bData, how, done);
  }
}

std::string detailOf(const Problem &p, int algorithm) { return p.text() + ", algorithm " + std::to_string(algorithm); }

}  // namespace
}  // namespace dnn

using namespace dnn;

extern "C" {

// -------------------------------------------------------------------------------------------------------- descriptors

SIM_SHARED cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *convDesc) {
  return createObject(__func__, convDesc, kConvolution);
}

SIM_SHARED cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t convDesc) {
  return destroyObject(__func__, convDesc, kConvolution);
}

}  // extern "C"

namespace {

// Setting a descriptor makes everything that isn't given the default again: math type and groups are set after.
void setConvolution(cudnnConvolutionDescriptor_t descriptor, int rank, const int *pad, const int *stride,
                    const int *dilation, cudnnConvolutionMode_t mode, cudnnDataType_t compute) {
  demand(descriptor, kConvolution, "convDesc");
  if (rank < 2 || rank > 3) {
    wrong(kNotSupported, sim::check::badValue,
          "a convolution of " + std::to_string(rank) + " dimensions isn't supported");
  }
  result(pad, "padA");
  result(stride, "filterStrideA");
  result(dilation, "dilationA");
  inRange(mode, CUDNN_CONVOLUTION, CUDNN_CROSS_CORRELATION, "mode");
  Convolution convolution;
  convolution.rank = rank;
  convolution.mode = mode;
  convolution.compute = compute;
  if (compute != CUDNN_DATA_FLOAT && compute != CUDNN_DATA_DOUBLE && compute != CUDNN_DATA_HALF &&
      compute != CUDNN_DATA_INT32) {
    wrong(kBadParam, sim::check::badValue, "a convolution computes in float, double, half or int32");
  }
  for (int i = 0; i < rank; i++) {
    inRange(pad[i], 0, 1 << 20, "padding");
    inRange(stride[i], 1, 1 << 20, "stride");
    inRange(dilation[i], 1, 1 << 20, "dilation");
    convolution.pad[i] = pad[i];
    convolution.stride[i] = stride[i];
    convolution.dilation[i] = dilation[i];
  }
  static_cast<Convolution &>(*descriptor) = convolution;
}

}  // namespace

extern "C" {

SIM_SHARED cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convDesc, int pad_h, int pad_w,
                                                         int u, int v, int dilation_h, int dilation_w,
                                                         cudnnConvolutionMode_t mode, cudnnDataType_t computeType) {
  return answer(__func__, [&] {
    const int pad[] = {pad_h, pad_w}, stride[] = {u, v}, dilation[] = {dilation_h, dilation_w};
    setConvolution(convDesc, 2, pad, stride, dilation, mode, computeType);
  });
}

SIM_SHARED cudnnStatus_t cudnnSetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t convDesc, int arrayLength,
                                                         const int padA[], const int filterStrideA[],
                                                         const int dilationA[], cudnnConvolutionMode_t mode,
                                                         cudnnDataType_t computeType) {
  return answer(__func__,
                [&] { setConvolution(convDesc, arrayLength, padA, filterStrideA, dilationA, mode, computeType); });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolution2dDescriptor(const cudnnConvolutionDescriptor_t convDesc, int *pad_h,
                                                         int *pad_w, int *u, int *v, int *dilation_h, int *dilation_w,
                                                         cudnnConvolutionMode_t *mode, cudnnDataType_t *computeType) {
  return answer(__func__, [&] {
    const Convolution &c = use(convDesc, "convDesc");
    if (c.rank != 2) wrong(kBadParam, sim::check::descriptor, "convDesc isn't of two dimensions");
    int *to[] = {pad_h, pad_w, u, v, dilation_h, dilation_w};
    const int from[] = {c.pad[0], c.pad[1], c.stride[0], c.stride[1], c.dilation[0], c.dilation[1]};
    for (int i = 0; i < 6; i++) give(to[i], from[i]);
    give(mode, c.mode);
    give(computeType, c.compute);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionNdDescriptor(const cudnnConvolutionDescriptor_t convDesc,
                                                         int arrayLengthRequested, int *arrayLength, int padA[],
                                                         int strideA[], int dilationA[], cudnnConvolutionMode_t *mode,
                                                         cudnnDataType_t *computeType) {
  return answer(__func__, [&] {
    const Convolution &c = use(convDesc, "convDesc");
    inRange(arrayLengthRequested, 0, CUDNN_DIM_MAX, "arrayLengthRequested");
    give(arrayLength, c.rank);
    for (int i = 0; i < std::min(c.rank, arrayLengthRequested); i++) {
      if (padA) padA[i] = c.pad[i];
      if (strideA) strideA[i] = c.stride[i];
      if (dilationA) dilationA[i] = c.dilation[i];
    }
    give(mode, c.mode);
    give(computeType, c.compute);
  });
}

SIM_SHARED cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convDesc, cudnnMathType_t mathType) {
  return answer(__func__, [&] {
    demand(convDesc, kConvolution, "convDesc");
    inRange(mathType, CUDNN_DEFAULT_MATH, CUDNN_FMA_MATH, "mathType");
    convDesc->math = mathType;
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionMathType(cudnnConvolutionDescriptor_t convDesc, cudnnMathType_t *mathType) {
  return answer(__func__, [&] {
    demand(convDesc, kConvolution, "convDesc");
    result(mathType, "mathType") = convDesc->math;
  });
}

SIM_SHARED cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t convDesc, int groupCount) {
  return answer(__func__, [&] {
    demand(convDesc, kConvolution, "convDesc");
    inRange(groupCount, 1, 1 << 20, "groupCount");
    convDesc->groups = groupCount;
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionGroupCount(cudnnConvolutionDescriptor_t convDesc, int *groupCount) {
  return answer(__func__, [&] {
    demand(convDesc, kConvolution, "convDesc");
    result(groupCount, "groupCount") = convDesc->groups;
  });
}

SIM_SHARED cudnnStatus_t cudnnSetConvolutionReorderType(cudnnConvolutionDescriptor_t convDesc,
                                                        cudnnReorderType_t reorderType) {
  return answer(__func__, [&] {
    demand(convDesc, kConvolution, "convDesc");
    inRange(reorderType, CUDNN_DEFAULT_REORDER, CUDNN_NO_REORDER, "reorderType");
    convDesc->reorder = reorderType;
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionReorderType(cudnnConvolutionDescriptor_t convDesc,
                                                        cudnnReorderType_t *reorderType) {
  return answer(__func__, [&] {
    demand(convDesc, kConvolution, "convDesc");
    result(reorderType, "reorderType") = convDesc->reorder;
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(const cudnnConvolutionDescriptor_t convDesc,
                                                               const cudnnTensorDescriptor_t inputTensorDesc,
                                                               const cudnnFilterDescriptor_t filterDesc, int *n, int *c,
                                                               int *h, int *w) {
  return answer(__func__, [&] {
    const Convolution &convolution = use(convDesc, "convDesc");
    if (convolution.rank != 2) wrong(kBadParam, sim::check::descriptor, "convDesc isn't of two dimensions");
    int dims[CUDNN_DIM_MAX];
    outputDims(use(inputTensorDesc, "inputTensorDesc"), use(filterDesc, "filterDesc"), convolution, dims);
    result(n, "n") = dims[0];
    result(c, "c") = dims[1];
    result(h, "h") = dims[2];
    result(w, "w") = dims[3];
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionNdForwardOutputDim(const cudnnConvolutionDescriptor_t convDesc,
                                                               const cudnnTensorDescriptor_t inputTensorDesc,
                                                               const cudnnFilterDescriptor_t filterDesc, int nbDims,
                                                               int tensorOuputDimA[]) {
  return answer(__func__, [&] {
    int dims[CUDNN_DIM_MAX];
    const Layout &x = use(inputTensorDesc, "inputTensorDesc");
    outputDims(x, use(filterDesc, "filterDesc"), use(convDesc, "convDesc"), dims);
    if (nbDims != x.rank) {
      wrong(kBadParam, sim::check::badValue, "nbDims is " + std::to_string(nbDims) + ", x is " + x.text());
    }
    result(tensorOuputDimA, "tensorOuputDimA");
    std::copy(dims, dims + nbDims, tensorOuputDimA);
  });
}

// ---------------------------------------------------------------------------------------------------------- executions

SIM_SHARED cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha,
                                                 const cudnnTensorDescriptor_t xDesc, const void *x,
                                                 const cudnnFilterDescriptor_t wDesc, const void *w,
                                                 const cudnnConvolutionDescriptor_t convDesc,
                                                 cudnnConvolutionFwdAlgo_t algo, void *workSpace,
                                                 size_t workSpaceSizeInBytes, const void *beta,
                                                 const cudnnTensorDescriptor_t yDesc, void *y) {
  return answer(__func__, [&] {
    const Problem p = problemOf(handle, use(xDesc, "xDesc"), use(wDesc, "wDesc"), use(convDesc, "convDesc"),
                                use(yDesc, "yDesc"), Purpose::Execution);
    const Algorithm algorithm = algorithmFor(p, Direction::Forward, algo);
    const double a = scalar(alpha, p.y.type, "alpha"), b = scalar(beta, p.y.type, "beta");
    Launch launch(handle);
    launch.read(p.x, x, "x");
    launch.read(p.w, w, "w");
    launch.workspace(workSpace, workSpaceSizeInBytes, algorithm.workspace);
    launch.write(p.y, y, "y", b != 0);
    const Arithmetic arithmetic = arithmeticOf(p, Direction::Forward, algo);
    launch.run(detailOf(p, algo), [=] {
      compute(
          arithmetic, p.x, x, p.w, w, [&](const auto &xs, const auto &ws) { return forward(p, arithmetic, xs, ws); },
          [&](const auto &ys) { store(p.y, y, ys.data(), a, b); });
    });
  });
}

SIM_SHARED cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha,
                                                      const cudnnFilterDescriptor_t wDesc, const void *w,
                                                      const cudnnTensorDescriptor_t dyDesc, const void *dy,
                                                      const cudnnConvolutionDescriptor_t convDesc,
                                                      cudnnConvolutionBwdDataAlgo_t algo, void *workSpace,
                                                      size_t workSpaceSizeInBytes, const void *beta,
                                                      const cudnnTensorDescriptor_t dxDesc, void *dx) {
  return answer(__func__, [&] {
    const Problem p = problemOf(handle, use(dxDesc, "dxDesc"), use(wDesc, "wDesc"), use(convDesc, "convDesc"),
                                use(dyDesc, "dyDesc"), Purpose::Execution);
    const Algorithm algorithm = algorithmFor(p, Direction::Data, algo);
    const double a = scalar(alpha, p.x.type, "alpha"), b = scalar(beta, p.x.type, "beta");
    Launch launch(handle);
    launch.read(p.w, w, "w");
    launch.read(p.y, dy, "dy");
    launch.workspace(workSpace, workSpaceSizeInBytes, algorithm.workspace);
    launch.write(p.x, dx, "dx", b != 0);
    const Arithmetic arithmetic = arithmeticOf(p, Direction::Data, algo);
    launch.run(detailOf(p, algo), [=] {
      compute(
          arithmetic, p.w, w, p.y, dy,
          [&](const auto &ws, const auto &dys) { return backwardData(p, arithmetic, ws, dys); },
          [&](const auto &dxs) { store(p.x, dx, dxs.data(), a, b); });
    });
  });
}

SIM_SHARED cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha,
                                                        const cudnnTensorDescriptor_t xDesc, const void *x,
                                                        const cudnnTensorDescriptor_t dyDesc, const void *dy,
                                                        const cudnnConvolutionDescriptor_t convDesc,
                                                        cudnnConvolutionBwdFilterAlgo_t algo, void *workSpace,
                                                        size_t workSpaceSizeInBytes, const void *beta,
                                                        const cudnnFilterDescriptor_t dwDesc, void *dw) {
  return answer(__func__, [&] {
    const Problem p = problemOf(handle, use(xDesc, "xDesc"), use(dwDesc, "dwDesc"), use(convDesc, "convDesc"),
                                use(dyDesc, "dyDesc"), Purpose::Execution);
    const Algorithm algorithm = algorithmFor(p, Direction::Filter, algo);
    const double a = scalar(alpha, p.w.type, "alpha"), b = scalar(beta, p.w.type, "beta");
    Launch launch(handle);
    launch.read(p.x, x, "x");
    launch.read(p.y, dy, "dy");
    launch.workspace(workSpace, workSpaceSizeInBytes, algorithm.workspace);
    launch.write(p.w, dw, "dw", b != 0);
    const Arithmetic arithmetic = arithmeticOf(p, Direction::Filter, algo);
    launch.run(detailOf(p, algo), [=] {
      compute(
          arithmetic, p.x, x, p.y, dy,
          [&](const auto &xs, const auto &dys) { return backwardFilter(p, arithmetic, xs, dys); },
          [&](const auto &dws) { store(p.w, dw, dws.data(), a, b); });
    });
  });
}

}  // extern "C"

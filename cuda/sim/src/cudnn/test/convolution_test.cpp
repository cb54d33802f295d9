#include <algorithm>

#include "rig.h"

namespace test {
namespace {

// A convolution to try: sizes of x, w and y in the order of the dimensions, one number for each spatial dimension.
struct Layer {
  Dims x, w, y, pad, stride, dilation;
  int groups = 1;
  cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;

  std::string text() const {
    return "x " + test::text(x) + ", w " + test::text(w) + ", pad " + test::text(pad) + ", stride " +
           test::text(stride) + ", dilation " + test::text(dilation) + ", groups " + std::to_string(groups) +
           ", mode " + std::to_string(static_cast<int>(mode));
  }
};

Layer randomLayer(Random &random, bool plain) {
  Layer l;
  const int rank = random.whole(0, 5) == 0 ? 3 : 2;
  l.groups = random.whole(0, 3) ? 1 : random.whole(2, 3);
  const int c = random.whole(1, 3), k = random.whole(1, 5);
  l.mode = random.coin() ? CUDNN_CONVOLUTION : CUDNN_CROSS_CORRELATION;
  for (;;) {
    l.x = {random.whole(1, 3), c * l.groups};
    l.w = {k * l.groups, c};
    l.y = {l.x[0], l.w[0]};
    l.pad = l.stride = l.dilation = {};
    const int square = random.one<int>({1, 2, 3, 3, 5});
    for (int i = 0; i < rank; i++) {
      l.w.push_back(plain ? square : random.whole(1, 4));
      l.x.push_back(random.whole(1, rank == 2 ? 9 : 5));
      l.pad.push_back(random.whole(0, 2));
      l.stride.push_back(plain ? 1 : random.whole(1, 3));
      l.dilation.push_back(plain ? 1 : random.whole(1, 2));
      const int room = l.x.back() + 2 * l.pad.back() - (l.w.back() - 1) * l.dilation.back() - 1;
      if (room >= 0) l.y.push_back(1 + room / l.stride.back());
    }
    if (l.y.size() == l.x.size()) return l;
  }
}

// The index of an element, given its place.
size_t at(const Dims &dims, const Dims &place) {
  size_t i = 0;
  for (size_t d = 0; d < dims.size(); d++) i = i * static_cast<size_t>(dims[d]) + static_cast<size_t>(place[d]);
  return i;
}

// Calls body(place) for all places of a shape.
template <class Body>
void each(const Dims &dims, Body body) {
  Dims place(dims.size());
  for (size_t i = 0; i < count(dims); i++) {
    size_t rest = i;
    for (size_t d = dims.size(); d-- > 0;) {
      place[d] = static_cast<int>(rest % static_cast<size_t>(dims[d]));
      rest /= static_cast<size_t>(dims[d]);
    }
    body(place);
  }
}

// Calls body(x index, w index, y index) for every product of the convolution.
template <class Body>
void eachProduct(const Layer &l, Body body) {
  const int perGroup = l.w[0] / l.groups;
  each(l.y, [&](const Dims &y) {
    Dims window = l.w;
    window[0] = 1;
    each(window, [&](Dims w) {
      w[0] = y[1];
      Dims x = {y[0], y[1] / perGroup * l.w[1] + w[1]};
      Dims tap = w;
      for (size_t i = 2; i < l.x.size(); i++) {
        const int in = y[i] * l.stride[i - 2] - l.pad[i - 2] + w[i] * l.dilation[i - 2];
        if (in < 0 || in >= l.x[i]) return;
        x.push_back(in);
        if (l.mode == CUDNN_CONVOLUTION) tap[i] = l.w[i] - 1 - w[i];
      }
      body(at(l.x, x), at(l.w, tap), at(l.y, y));
    });
  });
}

// alpha * computed + beta * before.
Values blend(const Values &computed, double alpha, const Values &before, double beta) {
  Values v(computed.size());
  for (size_t i = 0; i < v.size(); i++) v[i] = alpha * computed[i] + (beta != 0 ? beta * before[i] : 0);
  return v;
}

class Descriptor {
 public:
  Descriptor(const Layer &l, cudnnDataType_t type, cudnnMathType_t math) {
    MUST(cudnnCreateConvolutionDescriptor(&descriptor_));
    MUST(cudnnSetConvolutionNdDescriptor(descriptor_, static_cast<int>(l.pad.size()), l.pad.data(), l.stride.data(),
                                         l.dilation.data(), l.mode,
                                         type == CUDNN_DATA_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT));
    MUST(cudnnSetConvolutionMathType(descriptor_, math));
    MUST(cudnnSetConvolutionGroupCount(descriptor_, l.groups));
  }
  ~Descriptor() { cudnnDestroyConvolutionDescriptor(descriptor_); }
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  operator cudnnConvolutionDescriptor_t() const { return descriptor_; }

 private:
  cudnnConvolutionDescriptor_t descriptor_ = nullptr;
};

// The tensors of a layer, in one type and layout, with what they hold.
struct Setting {
  Setting(const Layer &l, cudnnDataType_t type, cudnnMathType_t math, Random &random)
      : layer(l),
        type(type),
        last(random.whole(0, 4) == 0),
        x(type, l.x, last ? channelsLast(l.x) : anyStrides(l.x, random)),
        y(type, l.y, last ? channelsLast(l.y) : anyStrides(l.y, random)),
        w(type, last ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW, l.w),
        convolution(l, type, math),
        xs(x.fill(random)),
        ws(w.values.fill(random)),
        ys(y.fill(random)),
        alpha(random.one<double>({1, 1, 0.5})),
        beta(random.one<double>({0, 0, 1, -0.5})) {}

  Scalar a() const { return Scalar(alpha, type); }
  Scalar b() const { return Scalar(beta, type); }

  const Layer layer;
  const cudnnDataType_t type;
  const bool last;
  Tensor x, y;
  Filter w;
  Descriptor convolution;
  const Values xs, ws, ys;
  const double alpha, beta;
};

bool unsupported(int status) { return status / 1000 == 3; }

void tryForward(Rig &rig, Setting &s) {
  Values sums(s.ys.size());
  eachProduct(s.layer, [&](size_t x, size_t w, size_t y) { sums[y] += s.xs[x] * s.ws[w]; });
  for (int i = 0; i < CUDNN_CONVOLUTION_FWD_ALGO_COUNT; i++) {
    const auto algorithm = static_cast<cudnnConvolutionFwdAlgo_t>(i);
    size_t bytes = 0;
    const int status =
        cudnnGetConvolutionForwardWorkspaceSize(rig.handle, s.x, s.w, s.convolution, s.y, algorithm, &bytes);
    check(status == 0 || unsupported(status), "workspace of forward: " + std::to_string(status));
    check(i != CUDNN_CONVOLUTION_FWD_ALGO_DIRECT || status != 0, "DIRECT is supported");
    check(i != CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM || status == 0, "IMPLICIT_GEMM isn't supported");
    if (status != 0) continue;
    Memory workspace(bytes);
    s.y.put(s.ys);
    MUST(cudnnConvolutionForward(rig.handle, s.a(), s.x, s.x.data(), s.w, s.w.data(), s.convolution, algorithm,
                                 workspace.pointer(), bytes, s.b(), s.y, s.y.data()));
    checkClose(s.y.get(), blend(sums, s.alpha, s.ys, s.beta), tolerance(s.type, 60),
               "forward " + std::to_string(i) + ", " + s.layer.text());
  }
  s.y.put(s.ys);
}

void tryBackwardData(Rig &rig, Setting &s) {
  Values sums(s.xs.size());
  eachProduct(s.layer, [&](size_t x, size_t w, size_t y) { sums[x] += s.ys[y] * s.ws[w]; });
  for (int i = 0; i < CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT; i++) {
    const auto algorithm = static_cast<cudnnConvolutionBwdDataAlgo_t>(i);
    size_t bytes = 0;
    const int status =
        cudnnGetConvolutionBackwardDataWorkspaceSize(rig.handle, s.w, s.y, s.convolution, s.x, algorithm, &bytes);
    check(status == 0 || unsupported(status), "workspace of backward data: " + std::to_string(status));
    check(i > 1 || status == 0, "algorithms 0 and 1 aren't supported");
    if (status != 0) continue;
    Memory workspace(bytes);
    s.x.put(s.xs);
    MUST(cudnnConvolutionBackwardData(rig.handle, s.a(), s.w, s.w.data(), s.y, s.y.data(), s.convolution, algorithm,
                                      workspace.pointer(), bytes, s.b(), s.x, s.x.data()));
    checkClose(s.x.get(), blend(sums, s.alpha, s.xs, s.beta), tolerance(s.type, 100),
               "backward data " + std::to_string(i) + ", " + s.layer.text());
  }
  s.x.put(s.xs);
}

void tryBackwardFilter(Rig &rig, Setting &s) {
  Values sums(s.ws.size());
  eachProduct(s.layer, [&](size_t x, size_t w, size_t y) { sums[w] += s.ys[y] * s.xs[x]; });
  for (int i = 0; i < CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT; i++) {
    const auto algorithm = static_cast<cudnnConvolutionBwdFilterAlgo_t>(i);
    size_t bytes = 0;
    const int status =
        cudnnGetConvolutionBackwardFilterWorkspaceSize(rig.handle, s.x, s.y, s.convolution, s.w, algorithm, &bytes);
    check(status == 0 || unsupported(status), "workspace of backward filter: " + std::to_string(status));
    check(i > 1 || status == 0, "algorithms 0 and 1 aren't supported");
    if (status != 0) continue;
    Memory workspace(bytes);
    s.w.values.put(s.ws);
    MUST(cudnnConvolutionBackwardFilter(rig.handle, s.a(), s.x, s.x.data(), s.y, s.y.data(), s.convolution, algorithm,
                                        workspace.pointer(), bytes, s.b(), s.w, s.w.data()));
    checkClose(s.w.values.get(), blend(sums, s.alpha, s.ws, s.beta), tolerance(s.type, 200),
               "backward filter " + std::to_string(i) + ", " + s.layer.text());
  }
  s.w.values.put(s.ws);
}

// A filter whose 16 weights and inputs need 12 bits of mantissa, which tensor cores drop.
void testTensorFloats(uint64_t seed) {
  Rig rig("cc=8.0,seed=" + std::to_string(seed));
  Layer l;
  l.x = {1, 16, 1, 1};
  l.w = {1, 16, 1, 1};
  l.y = {1, 1, 1, 1};
  l.pad = {0, 0};
  l.stride = l.dilation = {1, 1};
  Random random(seed);
  for (const bool strict : {true, false}) {
    Setting s(l, CUDNN_DATA_FLOAT, strict ? CUDNN_FMA_MATH : CUDNN_DEFAULT_MATH, random);
    // 1 + 2^-11 lies halfway between 1 and 1 + 2^-10, and halves go away from zero.
    s.x.put(Values(16, 1 + std::ldexp(1, -11)));
    s.w.values.put(Values(16, 1 + std::ldexp(1, -12)));
    const Scalar one(1, CUDNN_DATA_FLOAT), zero(0, CUDNN_DATA_FLOAT);
    MUST(cudnnConvolutionForward(rig.handle, one, s.x, s.x.data(), s.w, s.w.data(), s.convolution,
                                 CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr, 0, zero, s.y, s.y.data()));
    const double want =
        strict ? 16 * (1 + std::ldexp(1, -11)) * (1 + std::ldexp(1, -12)) : 16 * (1 + std::ldexp(1, -10));
    checkClose(s.y.get(), {want}, 1e-7, strict ? "strict arithmetic" : "TF32");
  }
}

template <class Run>
bool alwaysTheSame(const Tensor &output, Run run) {
  run();
  const Values first = output.get();
  for (int i = 0; i < 20; i++) {
    run();
    if (output.get() != first) return false;
  }
  return true;
}

void testDeterminism(uint64_t seed) {
  Rig rig("seed=" + std::to_string(seed));
  Random random(seed);
  Layer l;
  l.x = {4, 3, 9, 9};
  l.w = {8, 3, 3, 3};
  l.y = {4, 8, 9, 9};
  l.pad = l.stride = l.dilation = {1, 1};
  Setting s(l, CUDNN_DATA_FLOAT, CUDNN_FMA_MATH, random);
  Values uneven(s.xs.size());
  for (double &v : uneven) v = random.value() / 3;
  s.x.put(uneven);
  uneven.resize(s.ys.size());
  for (double &v : uneven) v = random.value() / 3;
  s.y.put(uneven);
  Tensor dx(CUDNN_DATA_FLOAT, l.x);
  Filter dw(CUDNN_DATA_FLOAT, s.last ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW, l.w);
  Memory workspace(1 << 24);
  const Scalar one(1, CUDNN_DATA_FLOAT), zero(0, CUDNN_DATA_FLOAT);
  for (int i = 0; i < 2; i++) {
    const bool same = alwaysTheSame(dw.values, [&] {
      MUST(cudnnConvolutionBackwardFilter(rig.handle, one, s.x, s.x.data(), s.y, s.y.data(), s.convolution,
                                          static_cast<cudnnConvolutionBwdFilterAlgo_t>(i), workspace.pointer(),
                                          workspace.bytes, zero, dw, dw.data()));
    });
    check(same == (i == 1), "determinism of backward filter " + std::to_string(i));
    if (s.last) continue;
    const bool sameData = alwaysTheSame(dx, [&] {
      MUST(cudnnConvolutionBackwardData(rig.handle, one, s.w, s.w.data(), s.y, s.y.data(), s.convolution,
                                        static_cast<cudnnConvolutionBwdDataAlgo_t>(i), workspace.pointer(),
                                        workspace.bytes, zero, dx, dx.data()));
    });
    check(sameData == (i == 1), "determinism of backward data " + std::to_string(i));
  }
  checkNoFindings("determinism");
}

}  // namespace

void testConvolution(uint64_t seed) {
  const std::vector<cudnnDataType_t> types = {CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, CUDNN_DATA_DOUBLE, CUDNN_DATA_HALF,
                                              CUDNN_DATA_BFLOAT16};
  Random random(seed);
  for (int i = 0; i < 60; i++) {
    Rig rig("seed=" + std::to_string(seed * 1000 + static_cast<uint64_t>(i)));
    Setting s(randomLayer(random, i % 3 == 0), random.one(types), CUDNN_FMA_MATH, random);
    tryForward(rig, s);
    tryBackwardData(rig, s);
    tryBackwardFilter(rig, s);
    checkNoFindings("convolution, " + s.layer.text());
  }
  testTensorFloats(seed);
  testDeterminism(seed);
}

// What queries and searches answer, for a layer that most algorithms can do.
void testAlgorithms(uint64_t seed) {
  Rig rig("seed=" + std::to_string(seed));
  Random random(seed);
  Layer l;
  l.x = {2, 4, 12, 12};
  l.w = {6, 4, 3, 3};
  l.y = {2, 6, 12, 12};
  l.pad = l.stride = l.dilation = {1, 1};
  Tensor x(CUDNN_DATA_FLOAT, l.x), y(CUDNN_DATA_FLOAT, l.y);
  Filter w(CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, l.w);
  Descriptor convolution(l, CUDNN_DATA_FLOAT, CUDNN_DEFAULT_MATH);
  int most = 0, returned = 0;
  MUST(cudnnGetConvolutionForwardAlgorithmMaxCount(rig.handle, &most));
  std::vector<cudnnConvolutionFwdAlgoPerf_t> forward(static_cast<size_t>(most));
  const auto verify = [&](const char *what, bool timed) {
    check(returned > CUDNN_CONVOLUTION_FWD_ALGO_COUNT && returned <= most, std::string(what) + ": number of answers");
    float before = 0;
    bool refused = false;
    for (int i = 0; i < returned; i++) {
      const cudnnConvolutionFwdAlgoPerf_t &p = forward[static_cast<size_t>(i)];
      refused |= p.status != 0;
      check((p.status != 0) == refused, std::string(what) + ": failures come last");
      if (p.status != 0 || !timed) continue;
      check(p.time >= before, std::string(what) + ": sorted by time");
      before = p.time;
      size_t bytes = 0;
      MUST(cudnnGetConvolutionForwardWorkspaceSize(rig.handle, x, w, convolution, y, p.algo, &bytes));
      check(bytes == p.memory, std::string(what) + ": memory is the workspace's size");
    }
  };
  MUST(cudnnGetConvolutionForwardAlgorithm_v7(rig.handle, x, w, convolution, y, most, &returned, forward.data()));
  verify("Get_v7", false);
  std::vector<cudnnConvolutionFwdAlgoPerf_t> again(forward.size());
  MUST(cudnnGetConvolutionForwardAlgorithm_v7(rig.handle, x, w, convolution, y, most, &returned, again.data()));
  check(std::equal(forward.begin(), forward.begin() + returned, again.begin(),
                   [](const auto &a, const auto &b) { return a.algo == b.algo && a.mathType == b.mathType; }),
        "Get_v7 answers otherwise the second time");
  MUST(cudnnFindConvolutionForwardAlgorithm(rig.handle, x, w, convolution, y, most, &returned, forward.data()));
  verify("Find", true);
  Memory workspace(4096);
  MUST(cudnnFindConvolutionForwardAlgorithmEx(rig.handle, x, x.data(), w, w.data(), convolution, y, y.data(), most,
                                              &returned, forward.data(), workspace.pointer(), workspace.bytes));
  verify("FindEx", true);
  for (int i = 0; i < returned; i++) {
    const cudnnConvolutionFwdAlgoPerf_t &p = forward[static_cast<size_t>(i)];
    check(p.status != 0 || p.memory <= workspace.bytes, "FindEx answers with more workspace than it was given");
  }
  const Values noise = y.get();
  check(std::all_of(noise.begin(), noise.end(), [](double v) { return std::isnan(v); }),
        "FindEx leaves y's old values");

  MUST(cudnnGetConvolutionBackwardDataAlgorithmMaxCount(rig.handle, &most));
  std::vector<cudnnConvolutionBwdDataAlgoPerf_t> data(static_cast<size_t>(most));
  MUST(cudnnGetConvolutionBackwardDataAlgorithm_v7(rig.handle, w, y, convolution, x, most, &returned, data.data()));
  MUST(cudnnFindConvolutionBackwardDataAlgorithm(rig.handle, w, y, convolution, x, most, &returned, data.data()));
  MUST(cudnnFindConvolutionBackwardDataAlgorithmEx(rig.handle, w, w.data(), y, y.data(), convolution, x, x.data(), most,
                                                   &returned, data.data(), workspace.pointer(), workspace.bytes));
  for (int i = 0; i < returned; i++) {
    const cudnnConvolutionBwdDataAlgoPerf_t &p = data[static_cast<size_t>(i)];
    check((p.determinism == CUDNN_DETERMINISTIC) == (p.algo != CUDNN_CONVOLUTION_BWD_DATA_ALGO_0), "determinism, data");
  }
  MUST(cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(rig.handle, &most));
  std::vector<cudnnConvolutionBwdFilterAlgoPerf_t> filter(static_cast<size_t>(most));
  MUST(cudnnGetConvolutionBackwardFilterAlgorithm_v7(rig.handle, x, y, convolution, w, 2, &returned, filter.data()));
  check(returned == 2, "the number of answers asked for");
  MUST(cudnnFindConvolutionBackwardFilterAlgorithm(rig.handle, x, y, convolution, w, most, &returned, filter.data()));
  MUST(cudnnFindConvolutionBackwardFilterAlgorithmEx(rig.handle, x, x.data(), y, y.data(), convolution, w, w.data(),
                                                     most, &returned, filter.data(), workspace.pointer(),
                                                     workspace.bytes));
  for (int i = 0; i < returned; i++) {
    const cudnnConvolutionBwdFilterAlgoPerf_t &p = filter[static_cast<size_t>(i)];
    const bool atomic = p.algo == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0 || p.algo == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3;
    check((p.determinism == CUDNN_NON_DETERMINISTIC) == atomic, "determinism, filter");
  }
  checkNoFindings("algorithms");
}

}  // namespace test

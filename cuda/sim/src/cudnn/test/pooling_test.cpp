#include <algorithm>

#include "rig.h"

namespace test {
namespace {

struct Window {
  Dims x, y, window, pad, stride;
};

Window randomWindow(Random &random) {
  const int rank = random.whole(0, 4) ? 2 : 3;
  for (;;) {
    Window w;
    w.x = {random.whole(1, 3), random.whole(1, 4)};
    w.y = w.x;
    for (int i = 0; i < rank; i++) {
      w.window.push_back(random.whole(1, 4));
      w.pad.push_back(random.whole(0, w.window.back() - 1));
      w.stride.push_back(random.whole(1, 3));
      w.x.push_back(random.whole(1, 9));
      const int room = w.x.back() + 2 * w.pad.back() - w.window.back();
      if (room >= 0) w.y.push_back(1 + room / w.stride.back());
    }
    if (w.y.size() == w.x.size()) return w;
  }
}

// The elements of x in each window: the inputs of each output, padding left out.
std::vector<std::vector<size_t>> membersOf(const Window &w) {
  std::vector<std::vector<size_t>> members(count(w.y));
  const size_t rank = w.window.size();
  for (size_t o = 0; o < members.size(); o++) {
    std::vector<int> place(rank);
    size_t rest = o;
    for (size_t d = rank; d-- > 0;) {
      place[d] = static_cast<int>(rest % static_cast<size_t>(w.y[d + 2]));
      rest /= static_cast<size_t>(w.y[d + 2]);
    }
    for (size_t i = 0; i < count(w.window); i++) {
      size_t left = i, in = rest;
      std::vector<int> inside(rank);
      for (size_t d = rank; d-- > 0;) {
        inside[d] = static_cast<int>(left % static_cast<size_t>(w.window[d]));
        left /= static_cast<size_t>(w.window[d]);
      }
      bool padding = false;
      for (size_t d = 0; d < rank; d++) {
        const int at = place[d] * w.stride[d] - w.pad[d] + inside[d];
        padding |= at < 0 || at >= w.x[d + 2];
        in = in * static_cast<size_t>(w.x[d + 2]) + static_cast<size_t>(std::max(at, 0));
      }
      if (!padding) members[o].push_back(in);
    }
  }
  return members;
}

bool isMaximum(cudnnPoolingMode_t mode) { return mode == CUDNN_POOLING_MAX || mode == CUDNN_POOLING_MAX_DETERMINISTIC; }

void tryWindow(Rig &rig, const Window &w, cudnnPoolingMode_t mode, cudnnDataType_t type, Random &random) {
  const std::string what = "pooling " + std::to_string(static_cast<int>(mode)) + " of " + text(w.x) + " by " +
                           text(w.window) + ", pad " + text(w.pad) + ", stride " + text(w.stride);
  cudnnPoolingDescriptor_t pooling;
  MUST(cudnnCreatePoolingDescriptor(&pooling));
  MUST(cudnnSetPoolingNdDescriptor(pooling, mode, CUDNN_PROPAGATE_NAN, static_cast<int>(w.window.size()),
                                   w.window.data(), w.pad.data(), w.stride.data()));
  Dims dims(w.x.size());
  Tensor x(type, w.x, anyStrides(w.x, random)), y(type, w.y, anyStrides(w.y, random));
  MUST(cudnnGetPoolingNdForwardOutputDim(pooling, x, static_cast<int>(dims.size()), dims.data()));
  check(dims == w.y, what + ": output dimensions");
  Tensor dx(type, w.x, x.strides), dy(type, w.y, y.strides);
  const Values xs = x.fill(random), before = y.fill(random), dys = dy.fill(random), dBefore = dx.fill(random);
  const double alpha = random.one<double>({1, 0.5}), beta = random.one<double>({0, 1, -0.5});
  Values ys(before.size()), dxs(xs.size());
  const auto members = membersOf(w);
  for (size_t o = 0; o < members.size(); o++) {
    const double divisor =
        mode == CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING ? double(count(w.window)) : double(members[o].size());
    if (isMaximum(mode)) {
      const size_t best =
          *std::max_element(members[o].begin(), members[o].end(), [&](size_t a, size_t b) { return xs[a] < xs[b]; });
      ys[o] = xs[best];
      dxs[best] += dys[o];
    } else {
      for (size_t i : members[o]) ys[o] += xs[i] / divisor;
      for (size_t i : members[o]) dxs[i] += dys[o] / divisor;
    }
  }
  for (size_t i = 0; i < ys.size(); i++) ys[i] = alpha * ys[i] + beta * before[i];
  for (size_t i = 0; i < dxs.size(); i++) dxs[i] = alpha * dxs[i] + beta * dBefore[i];
  MUST(cudnnPoolingForward(rig.handle, pooling, Scalar(alpha, type), x, x.data(), Scalar(beta, type), y, y.data()));
  checkClose(y.get(), ys, tolerance(type, 10), what);
  MUST(cudnnPoolingBackward(rig.handle, pooling, Scalar(alpha, type), y, y.data(), dy, dy.data(), x, x.data(),
                            Scalar(beta, type), dx, dx.data()));
  checkClose(dx.get(), dxs, tolerance(type, 10), what + ", backward");
  MUST(cudnnDestroyPoolingDescriptor(pooling));
}

void testNan(Rig &rig) {
  const Scalar one(1, CUDNN_DATA_FLOAT), zero(0, CUDNN_DATA_FLOAT);
  Tensor x(CUDNN_DATA_FLOAT, {1, 1, 2, 2}), y(CUDNN_DATA_FLOAT, {1, 1, 1, 1});
  x.put({1, std::nan(""), 3, 2});
  for (const bool propagate : {true, false}) {
    cudnnPoolingDescriptor_t pooling;
    MUST(cudnnCreatePoolingDescriptor(&pooling));
    MUST(cudnnSetPooling2dDescriptor(pooling, CUDNN_POOLING_MAX,
                                     propagate ? CUDNN_PROPAGATE_NAN : CUDNN_NOT_PROPAGATE_NAN, 2, 2, 0, 0, 2, 2));
    MUST(cudnnPoolingForward(rig.handle, pooling, one, x, x.data(), zero, y, y.data()));
    checkClose(y.get(), {propagate ? std::nan("") : 3.0}, 0, "NaN in a window");
    MUST(cudnnDestroyPoolingDescriptor(pooling));
  }
}

// Windows that overlap: the maxima's gradients meet, in any order for CUDNN_POOLING_MAX.
void testDeterminism(Rig &rig, Random &random) {
  const Scalar one(1, CUDNN_DATA_FLOAT), zero(0, CUDNN_DATA_FLOAT);
  Tensor x(CUDNN_DATA_FLOAT, {1, 8, 16, 16}), y(CUDNN_DATA_FLOAT, {1, 8, 14, 14});
  Tensor dx(CUDNN_DATA_FLOAT, x.dims), dy(CUDNN_DATA_FLOAT, y.dims);
  Values uneven(count(y.dims));
  for (double &v : uneven) v = random.value() / 3;
  x.fill(random);
  y.fill(random);
  dy.put(uneven);
  for (const cudnnPoolingMode_t mode : {CUDNN_POOLING_MAX, CUDNN_POOLING_MAX_DETERMINISTIC}) {
    cudnnPoolingDescriptor_t pooling;
    MUST(cudnnCreatePoolingDescriptor(&pooling));
    MUST(cudnnSetPooling2dDescriptor(pooling, mode, CUDNN_PROPAGATE_NAN, 3, 3, 0, 0, 1, 1));
    bool same = true;
    Values first;
    for (int i = 0; i < 20; i++) {
      MUST(
          cudnnPoolingBackward(rig.handle, pooling, one, y, y.data(), dy, dy.data(), x, x.data(), zero, dx, dx.data()));
      const Values now = dx.get();
      if (i == 0) first = now;
      same &= now == first;
    }
    check(same == (mode == CUDNN_POOLING_MAX_DETERMINISTIC), "determinism of pooling's backward");
    MUST(cudnnDestroyPoolingDescriptor(pooling));
  }
}

}  // namespace

void testPooling(uint64_t seed) {
  const std::vector<cudnnDataType_t> types = {CUDNN_DATA_FLOAT, CUDNN_DATA_DOUBLE, CUDNN_DATA_HALF,
                                              CUDNN_DATA_BFLOAT16};
  Rig rig("seed=" + std::to_string(seed));
  Random random(seed);
  for (int i = 0; i < 200; i++) {
    const auto mode = static_cast<cudnnPoolingMode_t>(i % 4);
    tryWindow(rig, randomWindow(random), mode, random.one(types), random);
  }
  testNan(rig);
  testDeterminism(rig, random);
  checkNoFindings("pooling");
}

}  // namespace test

#include <algorithm>
#include <numeric>

#include "rig.h"

namespace test {
namespace {

constexpr double kEpsilon = 1e-3;

struct Normalised {
  Values y, mean, inverse, variance;  // the variance is the estimate without bias
};

size_t groupOf(const Dims &dims, bool spatial, size_t element) {
  const size_t each = count(dims) / static_cast<size_t>(dims[0]);
  return spatial ? element % each / (each / static_cast<size_t>(dims[1])) : element % each;
}

size_t groupCount(const Dims &dims, bool spatial) {
  return spatial ? static_cast<size_t>(dims[1]) : count(dims) / static_cast<size_t>(dims[0]);
}

Normalised normalise(const Values &x, const Dims &dims, bool spatial, const Values &scale, const Values &bias) {
  Normalised n{Values(x.size()), {}, {}, {}};
  std::vector<Values> members(groupCount(dims, spatial));
  for (size_t i = 0; i < x.size(); i++) members[groupOf(dims, spatial, i)].push_back(x[i]);
  for (const Values &m : members) {
    const double size = static_cast<double>(m.size()), mean = std::accumulate(m.begin(), m.end(), 0.0) / size;
    double squares = 0;
    for (double v : m) squares += (v - mean) * (v - mean);
    n.mean.push_back(mean);
    n.inverse.push_back(1 / std::sqrt(squares / size + kEpsilon));
    n.variance.push_back(squares / std::max(size - 1, 1.0));
  }
  for (size_t i = 0; i < x.size(); i++) {
    const size_t g = groupOf(dims, spatial, i);
    n.y[i] = scale[g] * (x[i] - n.mean[g]) * n.inverse[g] + bias[g];
  }
  return n;
}

double product(const Values &a, const Values &b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

void tryNormalization(Rig &rig, cudnnDataType_t type, bool spatial, Random &random) {
  const cudnnBatchNormMode_t mode = !spatial        ? CUDNN_BATCHNORM_PER_ACTIVATION
                                    : random.coin() ? CUDNN_BATCHNORM_SPATIAL
                                                    : CUDNN_BATCHNORM_SPATIAL_PERSISTENT;
  const std::string what = "batch normalisation " + std::to_string(static_cast<int>(mode));
  Dims dims = {random.whole(2, 4), random.whole(1, 3), random.whole(1, 3), random.whole(1, 3)};
  if (random.coin()) dims.push_back(2);
  Tensor x(type, dims, anyStrides(dims, random)), y(type, dims, anyStrides(dims, random));
  const cudnnDataType_t parameterType = type == CUDNN_DATA_DOUBLE ? type : CUDNN_DATA_FLOAT;
  Dims small = dims;
  small[0] = 1;
  if (spatial) std::fill(small.begin() + 2, small.end(), 1);
  Tensor scale(parameterType, small), bias(parameterType, small), mean(parameterType, small);
  Tensor variance(parameterType, small), savedMean(parameterType, small), savedInverse(parameterType, small);
  MUST(cudnnDeriveBNTensorDescriptor(mean, x, mode));
  const Values xs = x.fill(random), before = y.fill(random), scales = scale.fill(random), biases = bias.fill(random);
  const Values means = mean.fill(random);
  Values variances = variance.fill(random);
  for (double &v : variances) v = std::fabs(v);
  variance.put(variances);

  const double alpha = 0.5, beta = random.one<double>({0, 1});
  const auto blended = [&](Values v) {
    for (size_t i = 0; i < v.size(); i++) v[i] = alpha * v[i] + beta * before[i];
    return v;
  };
  Values inferred(xs.size());
  for (size_t i = 0; i < xs.size(); i++) {
    const size_t g = groupOf(dims, spatial, i);
    inferred[i] = scales[g] * (xs[i] - means[g]) / std::sqrt(variances[g] + kEpsilon) + biases[g];
  }
  MUST(cudnnBatchNormalizationForwardInference(rig.handle, mode, Scalar(alpha, type), Scalar(beta, type), x, x.data(),
                                               y, y.data(), mean, scale.data(), bias.data(), mean.data(),
                                               variance.data(), kEpsilon));
  checkClose(y.get(), blended(inferred), 20 * tolerance(type, 10), what + ", inference");

  y.put(before);
  const double factor = random.one<double>({0.25, 1});
  const Normalised want = normalise(xs, dims, spatial, scales, biases);
  MUST(cudnnBatchNormalizationForwardTraining(rig.handle, mode, Scalar(alpha, type), Scalar(beta, type), x, x.data(), y,
                                              y.data(), mean, scale.data(), bias.data(), factor, mean.data(),
                                              variance.data(), kEpsilon, savedMean.data(), savedInverse.data()));
  checkClose(y.get(), blended(want.y), 50 * tolerance(type, 10), what + ", training");
  checkClose(savedMean.get(), want.mean, tolerance(parameterType, 10), what + ", saved mean");
  checkClose(savedInverse.get(), want.inverse, 50 * tolerance(parameterType, 10), what + ", saved inverse deviation");
  Values running = want.mean, runningVariance = want.variance;
  for (size_t i = 0; i < running.size(); i++) {
    running[i] = factor * running[i] + (1 - factor) * means[i];
    runningVariance[i] = factor * runningVariance[i] + (1 - factor) * variances[i];
  }
  checkClose(mean.get(), running, tolerance(parameterType, 10), what + ", running mean");
  checkClose(variance.get(), runningVariance, tolerance(parameterType, 10), what + ", running variance");

  if (type != CUDNN_DATA_DOUBLE) return;
  Tensor dy(type, dims, anyStrides(dims, random)), dx(type, dims, anyStrides(dims, random));
  Tensor dScale(type, small), dBias(type, small);
  const Values dys = dy.fill(random), dxBefore = dx.fill(random), dScaleBefore = dScale.fill(random);
  const bool saved = random.coin();
  MUST(cudnnBatchNormalizationBackward(rig.handle, mode, Scalar(alpha, type), Scalar(beta, type), Scalar(1, type),
                                       Scalar(1, type), x, x.data(), dy, dy.data(), dx, dx.data(), mean, scale.data(),
                                       dScale.data(), bias.data(), kEpsilon, saved ? savedMean.data() : nullptr,
                                       saved ? savedInverse.data() : nullptr));
  Values gradient = dx.get(), scaleGradient = dScale.get();
  for (size_t i = 0; i < gradient.size(); i++) gradient[i] = (gradient[i] - beta * dxBefore[i]) / alpha;
  for (size_t i = 0; i < scaleGradient.size(); i++) scaleGradient[i] -= dScaleBefore[i];
  double error = gradientError(
      xs, gradient, [&](const Values &at) { return product(dys, normalise(at, dims, spatial, scales, biases).y); });
  check(error < 1e-5, what + ": error of dx " + std::to_string(error));
  error = gradientError(scales, scaleGradient,
                        [&](const Values &at) { return product(dys, normalise(xs, dims, spatial, at, biases).y); });
  check(error < 1e-5, what + ": error of the scale's gradient " + std::to_string(error));
  Values biasGradient = biases;  // it was added to what bias held
  for (size_t i = 0; i < dys.size(); i++) biasGradient[groupOf(dims, spatial, i)] += dys[i];
  checkClose(bias.get(), biasGradient, 1e-10, what + ": the bias's gradient");
}

}  // namespace

void testBatchNormalization(uint64_t seed) {
  Rig rig("seed=" + std::to_string(seed));
  Random random(seed);
  for (int i = 0; i < 40; i++) {
    for (const cudnnDataType_t type : {CUDNN_DATA_FLOAT, CUDNN_DATA_DOUBLE, CUDNN_DATA_HALF}) {
      tryNormalization(rig, type, i % 2 == 0, random);
    }
  }
  checkNoFindings("batch normalisation");
}

void testDropout(uint64_t seed) {
  Rig rig("seed=" + std::to_string(seed));
  Random random(seed);
  cudnnDropoutDescriptor_t dropout;
  MUST(cudnnCreateDropoutDescriptor(&dropout));
  size_t stateBytes = 0, reserveBytes = 0;
  MUST(cudnnDropoutGetStatesSize(rig.handle, &stateBytes));
  Memory states(stateBytes);
  const Dims dims = {4, 5, 16, 16};
  Tensor x(CUDNN_DATA_FLOAT, dims), y(CUDNN_DATA_FLOAT, dims, spaced(dims, random));
  Tensor dy(CUDNN_DATA_FLOAT, dims), dx(CUDNN_DATA_FLOAT, dims);
  MUST(cudnnDropoutGetReserveSpaceSize(x, &reserveBytes));
  Memory reserve(reserveBytes);
  const Values xs(count(dims), 3), dys = dy.fill(random);
  x.put(xs);
  const float rate = 0.25f;
  std::vector<Values> outputs;
  for (int run = 0; run < 4; run++) {
    // Runs 0 and 1 go on in one sequence; 2 starts it anew; 3 goes on from the memory as 2 left it.
    if (run == 0 || run == 2) {
      MUST(cudnnSetDropoutDescriptor(dropout, rig.handle, rate, states.pointer(), stateBytes, 7));
    }
    if (run == 3) MUST(cudnnRestoreDropoutDescriptor(dropout, rig.handle, rate, states.pointer(), stateBytes, 7));
    MUST(cudnnDropoutForward(rig.handle, dropout, x, x.data(), y, y.data(), reserve.pointer(), reserveBytes));
    MUST(cudnnDropoutBackward(rig.handle, dropout, dy, dy.data(), dx, dx.data(), reserve.pointer(), reserveBytes));
    outputs.push_back(y.get());
    Values want(dys.size());
    double kept = 0;
    for (size_t i = 0; i < want.size(); i++) {
      const bool dropped = outputs.back()[i] == 0;
      kept += dropped ? 0 : 1;
      check(dropped || std::fabs(outputs.back()[i] - 4) < 1e-6, "what dropout keeps is scaled by 1 / (1 - rate)");
      want[i] = dropped ? 0 : dys[i] / 0.75;
    }
    checkClose(dx.get(), want, 1e-6, "backward of dropout uses forward's mask");
    kept /= static_cast<double>(want.size());
    check(std::fabs(kept - 0.75) < 0.03, "dropout keeps " + std::to_string(kept) + " of the elements");
  }
  check(outputs[0] != outputs[1], "two masks in a row are the same");
  check(outputs[0] == outputs[2] && outputs[1] == outputs[3], "a seed makes the same masks again");
  float got = 0;
  void *gotStates = nullptr;
  unsigned long long gotSeed = 0;
  MUST(cudnnGetDropoutDescriptor(dropout, rig.handle, &got, &gotStates, &gotSeed));
  check(got == rate && gotStates == states.pointer() && gotSeed == 7, "GetDropoutDescriptor");
  MUST(cudnnDestroyDropoutDescriptor(dropout));
  checkNoFindings("dropout");
}

}  // namespace test

// Batch normalisation, per activation and spatial: training, inference, backward.
#include <algorithm>

#include "internal.h"

namespace dnn {
namespace {

// What statistics are shared by: all elements of a channel, or those at one place of all images.
Layout derived(const Layout &x, cudnnBatchNormMode_t mode) {
  inRange(mode, CUDNN_BATCHNORM_PER_ACTIVATION, CUDNN_BATCHNORM_SPATIAL_PERSISTENT, "mode");
  std::vector<int> dims(x.dim, x.dim + x.rank);
  dims[0] = 1;
  if (mode != CUDNN_BATCHNORM_PER_ACTIVATION) std::fill(dims.begin() + 2, dims.end(), 1);
  return packedLayout(isDouble(x.type) ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT, dims);
}

// Which statistic each element belongs to.
struct Groups {
  size_t count, inner;  // statistics, and neighbours that share one

  Groups(const Layout &x, const Layout &parameters)
      : count(static_cast<size_t>(parameters.count())), inner(static_cast<size_t>(x.count() / x.dim[0]) / count) {}
  size_t of(size_t element) const { return element / inner % count; }
};

void checkRank(const Layout &x) {
  if (x.rank == 4 || x.rank == 5) return;
  wrong(kBadParam, sim::check::descriptor, "x, " + x.text() + ", isn't of 4 or 5 dimensions");
}

// Checks the descriptor of scale, bias and statistics.
void checkParameters(const Layout &parameters, const Layout &x, cudnnBatchNormMode_t mode) {
  checkRank(x);
  checkFloating("x", x);
  const Layout wanted = derived(x, mode);
  if (parameters.type == wanted.type && parameters.sameDims(wanted)) return;
  wrong(kBadParam, sim::check::descriptor,
        "the parameters should be " + wanted.text() + ": " + both("x", x, "they", parameters) + " don't fit");
}

void checkEpsilon(double epsilon) {
  if (epsilon >= CUDNN_BN_MIN_EPSILON) return;
  wrong(kBadParam, sim::check::badValue, "epsilon is " + std::to_string(epsilon));
}

void checkBothOrNone(const void *a, const void *b, const char *what) {
  if ((a == nullptr) == (b == nullptr)) return;
  wrong(kBadParam, sim::check::badValue, std::string("one of ") + what + " is null, the other isn't");
}

struct Statistics {
  std::vector<double> mean, variance;  // the variance of these elements alone, not the estimate of all
};

Statistics statisticsOf(const std::vector<double> &x, const Groups &groups) {
  Statistics s{std::vector<double>(groups.count), std::vector<double>(groups.count)};
  const double each = static_cast<double>(x.size() / groups.count);
  for (size_t i = 0; i < x.size(); i++) s.mean[groups.of(i)] += x[i];
  for (double &m : s.mean) m /= each;
  for (size_t i = 0; i < x.size(); i++) {
    const double d = x[i] - s.mean[groups.of(i)];
    s.variance[groups.of(i)] += d * d;
  }
  for (double &v : s.variance) v /= each;
  return s;
}

std::vector<double> inverseDeviations(std::vector<double> variance, double epsilon) {
  for (double &v : variance) v = 1 / std::sqrt(v + epsilon);
  return variance;
}

// x becomes its normalised, scaled and shifted self.
void normalise(std::vector<double> &x, const Groups &groups, const std::vector<double> &mean,
               const std::vector<double> &inverse, const std::vector<double> &scale, const std::vector<double> &bias) {
  for (size_t i = 0; i < x.size(); i++) {
    const size_t g = groups.of(i);
    x[i] = scale[g] * (x[i] - mean[g]) * inverse[g] + bias[g];
  }
}

struct Gradients {
  std::vector<double> x, scale, bias;
};

Gradients backward(const std::vector<double> &x, const std::vector<double> &dy, const Groups &groups,
                   const std::vector<double> &mean, const std::vector<double> &inverse,
                   const std::vector<double> &scale) {
  Gradients d{std::vector<double>(x.size()), std::vector<double>(groups.count), std::vector<double>(groups.count)};
  for (size_t i = 0; i < x.size(); i++) {
    const size_t g = groups.of(i);
    d.scale[g] += dy[i] * (x[i] - mean[g]) * inverse[g];
    d.bias[g] += dy[i];
  }
  const double each = static_cast<double>(x.size() / groups.count);
  for (size_t i = 0; i < x.size(); i++) {
    const size_t g = groups.of(i);
    const double normal = (x[i] - mean[g]) * inverse[g];
    d.x[i] = scale[g] * inverse[g] * (dy[i] - (d.bias[g] + normal * d.scale[g]) / each);
  }
  return d;
}

}  // namespace
}  // namespace dnn

using namespace dnn;

extern "C" {

SIM_SHARED cudnnStatus_t cudnnDeriveBNTensorDescriptor(cudnnTensorDescriptor_t derivedBnDesc,
                                                       const cudnnTensorDescriptor_t xDesc, cudnnBatchNormMode_t mode) {
  return answer(__func__, [&] {
    demand(derivedBnDesc, "cudnnTensorDescriptor_t", "derivedBnDesc");
    const Layout &x = use(xDesc, "xDesc");
    checkRank(x);
    static_cast<Layout &>(*derivedBnDesc) = derived(x, mode);
  });
}

SIM_SHARED cudnnStatus_t cudnnBatchNormalizationForwardTraining(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha, const void *beta,
    const cudnnTensorDescriptor_t xDesc, const void *x, const cudnnTensorDescriptor_t yDesc, void *y,
    const cudnnTensorDescriptor_t bnScaleBiasMeanVarDesc, const void *bnScale, const void *bnBias,
    double exponentialAverageFactor, void *resultRunningMean, void *resultRunningVariance, double epsilon,
    void *resultSaveMean, void *resultSaveInvVariance) {
  return answer(__func__, [&] {
    const Layout xLayout = use(xDesc, "xDesc"), yLayout = use(yDesc, "yDesc");
    const Layout parameters = use(bnScaleBiasMeanVarDesc, "bnScaleBiasMeanVarDesc");
    checkSame("x", xLayout, "y", yLayout);
    checkParameters(parameters, xLayout, mode);
    checkEpsilon(epsilon);
    checkBothOrNone(resultRunningMean, resultRunningVariance, "resultRunningMean and resultRunningVariance");
    checkBothOrNone(resultSaveMean, resultSaveInvVariance, "resultSaveMean and resultSaveInvVariance");
    const double a = scalar(alpha, yLayout.type, "alpha"), b = scalar(beta, yLayout.type, "beta");
    const double factor = exponentialAverageFactor;
    Launch launch(handle);
    launch.allowInPlace();
    launch.read(xLayout, x, "x");
    launch.read(parameters, bnScale, "bnScale");
    launch.read(parameters, bnBias, "bnBias");
    launch.write(yLayout, y, "y", b != 0);
    if (resultRunningMean) {
      launch.write(parameters, resultRunningMean, "resultRunningMean", factor != 1);
      launch.write(parameters, resultRunningVariance, "resultRunningVariance", factor != 1);
    }
    if (resultSaveMean) {
      launch.write(parameters, resultSaveMean, "resultSaveMean");
      launch.write(parameters, resultSaveInvVariance, "resultSaveInvVariance");
    }
    launch.run("x " + xLayout.text(), [=] {
      std::vector<double> values = load<double>(xLayout, x);
      const Groups groups(xLayout, parameters);
      Statistics statistics = statisticsOf(values, groups);
      const std::vector<double> inverse = inverseDeviations(statistics.variance, epsilon);
      normalise(values, groups, statistics.mean, inverse, load<double>(parameters, bnScale),
                load<double>(parameters, bnBias));
      if (resultSaveMean) {
        store(parameters, resultSaveMean, statistics.mean.data(), 1, 0);
        store(parameters, resultSaveInvVariance, inverse.data(), 1, 0);
      }
      if (resultRunningMean) {
        const double each = static_cast<double>(values.size() / groups.count);
        for (double &v : statistics.variance) v *= each > 1 ? each / (each - 1) : 1;  // an estimate without bias
        store(parameters, resultRunningMean, statistics.mean.data(), factor, 1 - factor);
        store(parameters, resultRunningVariance, statistics.variance.data(), factor, 1 - factor);
      }
      store(yLayout, y, values.data(), a, b);
    });
  });
}

SIM_SHARED cudnnStatus_t cudnnBatchNormalizationForwardInference(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha, const void *beta,
    const cudnnTensorDescriptor_t xDesc, const void *x, const cudnnTensorDescriptor_t yDesc, void *y,
    const cudnnTensorDescriptor_t bnScaleBiasMeanVarDesc, const void *bnScale, const void *bnBias,
    const void *estimatedMean, const void *estimatedVariance, double epsilon) {
  return answer(__func__, [&] {
    const Layout xLayout = use(xDesc, "xDesc"), yLayout = use(yDesc, "yDesc");
    const Layout parameters = use(bnScaleBiasMeanVarDesc, "bnScaleBiasMeanVarDesc");
    checkSame("x", xLayout, "y", yLayout);
    checkParameters(parameters, xLayout, mode);
    checkEpsilon(epsilon);
    const double a = scalar(alpha, yLayout.type, "alpha"), b = scalar(beta, yLayout.type, "beta");
    Launch launch(handle);
    launch.allowInPlace();
    launch.read(xLayout, x, "x");
    launch.read(parameters, bnScale, "bnScale");
    launch.read(parameters, bnBias, "bnBias");
    launch.read(parameters, estimatedMean, "estimatedMean");
    launch.read(parameters, estimatedVariance, "estimatedVariance");
    launch.write(yLayout, y, "y", b != 0);
    launch.run("x " + xLayout.text(), [=] {
      std::vector<double> values = load<double>(xLayout, x);
      normalise(values, Groups(xLayout, parameters), load<double>(parameters, estimatedMean),
                inverseDeviations(load<double>(parameters, estimatedVariance), epsilon),
                load<double>(parameters, bnScale), load<double>(parameters, bnBias));
      store(yLayout, y, values.data(), a, b);
    });
  });
}

SIM_SHARED cudnnStatus_t cudnnBatchNormalizationBackward(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alphaDataDiff, const void *betaDataDiff,
    const void *alphaParamDiff, const void *betaParamDiff, const cudnnTensorDescriptor_t xDesc, const void *x,
    const cudnnTensorDescriptor_t dyDesc, const void *dy, const cudnnTensorDescriptor_t dxDesc, void *dx,
    const cudnnTensorDescriptor_t dBnScaleBiasDesc, const void *bnScale, void *dBnScaleResult, void *dBnBiasResult,
    double epsilon, const void *savedMean, const void *savedInvVariance) {
  return answer(__func__, [&] {
    const Layout xLayout = use(xDesc, "xDesc"), dyLayout = use(dyDesc, "dyDesc"), dxLayout = use(dxDesc, "dxDesc");
    const Layout parameters = use(dBnScaleBiasDesc, "dBnScaleBiasDesc");
    checkSame("x", xLayout, "dy", dyLayout);
    checkSame("x", xLayout, "dx", dxLayout);
    checkParameters(parameters, xLayout, mode);
    checkEpsilon(epsilon);
    checkBothOrNone(savedMean, savedInvVariance, "savedMean and savedInvVariance");
    const double a = scalar(alphaDataDiff, dxLayout.type, "alphaDataDiff");
    const double b = scalar(betaDataDiff, dxLayout.type, "betaDataDiff");
    const double aParameters = scalar(alphaParamDiff, dxLayout.type, "alphaParamDiff");
    const double bParameters = scalar(betaParamDiff, dxLayout.type, "betaParamDiff");
    Launch launch(handle);
    launch.allowInPlace();
    launch.read(xLayout, x, "x");
    launch.read(dyLayout, dy, "dy");
    launch.read(parameters, bnScale, "bnScale");
    if (savedMean) {
      launch.read(parameters, savedMean, "savedMean");
      launch.read(parameters, savedInvVariance, "savedInvVariance");
    }
    launch.write(dxLayout, dx, "dx", b != 0);
    launch.write(parameters, dBnScaleResult, "dBnScaleResult", bParameters != 0);
    launch.write(parameters, dBnBiasResult, "dBnBiasResult", bParameters != 0);
    launch.run("x " + xLayout.text(), [=] {
      const std::vector<double> values = load<double>(xLayout, x);
      const Groups groups(xLayout, parameters);
      std::vector<double> mean, inverse;
      if (savedMean) {
        mean = load<double>(parameters, savedMean);
        inverse = load<double>(parameters, savedInvVariance);
      } else {
        const Statistics statistics = statisticsOf(values, groups);
        mean = statistics.mean;
        inverse = inverseDeviations(statistics.variance, epsilon);
      }
      const Gradients d =
          backward(values, load<double>(dyLayout, dy), groups, mean, inverse, load<double>(parameters, bnScale));
      store(dxLayout, dx, d.x.data(), a, b);
      store(parameters, dBnScaleResult, d.scale.data(), aParameters, bParameters);
      store(parameters, dBnBiasResult, d.bias.data(), aParameters, bParameters);
    });
  });
}

}  // extern "C"

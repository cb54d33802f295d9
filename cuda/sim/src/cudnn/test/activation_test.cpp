#include <algorithm>

#include "rig.h"

namespace test {
namespace {

// What an activation gives for x, as NVIDIA's manual has it.
double function(cudnnActivationMode_t mode, double coefficient, double x) {
  switch (mode) {
    case CUDNN_ACTIVATION_SIGMOID: return 1 / (1 + std::exp(-x));
    case CUDNN_ACTIVATION_RELU: return x > 0 ? x : 0;
    case CUDNN_ACTIVATION_TANH: return std::tanh(x);
    case CUDNN_ACTIVATION_CLIPPED_RELU: return std::min(std::max(x, 0.0), coefficient);
    case CUDNN_ACTIVATION_ELU: return x > 0 ? x : coefficient * (std::exp(x) - 1);
    case CUDNN_ACTIVATION_SWISH: return x / (1 + std::exp(-1.5 * x));
    default: return std::nan("");
  }
}

class Activation {
 public:
  Activation(cudnnActivationMode_t mode, double coefficient) {
    MUST(cudnnCreateActivationDescriptor(&descriptor_));
    MUST(cudnnSetActivationDescriptor(descriptor_, mode, CUDNN_PROPAGATE_NAN, coefficient));
    MUST(cudnnSetActivationDescriptorSwishBeta(descriptor_, 1.5));
  }
  ~Activation() { cudnnDestroyActivationDescriptor(descriptor_); }
  Activation(const Activation &) = delete;
  Activation &operator=(const Activation &) = delete;
  operator cudnnActivationDescriptor_t() const { return descriptor_; }

 private:
  cudnnActivationDescriptor_t descriptor_ = nullptr;
};

constexpr cudnnActivationMode_t kModes[] = {CUDNN_ACTIVATION_SIGMOID, CUDNN_ACTIVATION_RELU,
                                            CUDNN_ACTIVATION_TANH,    CUDNN_ACTIVATION_CLIPPED_RELU,
                                            CUDNN_ACTIVATION_ELU,     CUDNN_ACTIVATION_SWISH};

void tryForward(Rig &rig, cudnnActivationMode_t mode, cudnnDataType_t type, Random &random) {
  const std::string what = "activation " + std::to_string(static_cast<int>(mode));
  const double coefficient = 0.75, alpha = random.one<double>({1, 0.5}), beta = random.one<double>({0, 1, -0.5});
  Activation activation(mode, coefficient);
  const Dims dims = {random.whole(1, 3), random.whole(1, 4), random.whole(1, 5), random.whole(1, 5)};
  Tensor x(type, dims, anyStrides(dims, random)), y(type, dims, anyStrides(dims, random));
  const Values xs = x.fill(random), before = y.fill(random);
  Values want(xs.size());
  for (size_t i = 0; i < xs.size(); i++) want[i] = alpha * function(mode, coefficient, xs[i]) + beta * before[i];
  MUST(cudnnActivationForward(rig.handle, activation, Scalar(alpha, type), x, x.data(), Scalar(beta, type), y,
                              y.data()));
  checkClose(y.get(), want, tolerance(type), what);
  for (size_t i = 0; i < xs.size(); i++) want[i] = function(mode, coefficient, xs[i]);
  MUST(cudnnActivationForward(rig.handle, activation, Scalar(1, type), x, x.data(), Scalar(0, type), x, x.data()));
  checkClose(x.get(), want, tolerance(type), what + " in place");
}

// Backward against finite differences, away from the corners of the functions.
void tryBackward(Rig &rig, cudnnActivationMode_t mode, Random &random) {
  const std::string what = "backward of activation " + std::to_string(static_cast<int>(mode));
  const cudnnDataType_t type = CUDNN_DATA_DOUBLE;
  const double coefficient = mode == CUDNN_ACTIVATION_CLIPPED_RELU ? 0.755 : 0.75;
  Activation activation(mode, coefficient);
  const Dims dims = {2, 3, 4, 5};
  Tensor x(type, dims, spaced(dims, random)), y(type, dims), dy(type, dims), dx(type, dims, x.strides);
  Values xs = x.fill(random);
  for (double &v : xs) v = v == 0 ? 0.5 : v;
  x.put(xs);
  const Values dys = dy.fill(random), before = dx.fill(random);
  const double alpha = 0.5, beta = random.one<double>({0, 1});
  MUST(cudnnActivationForward(rig.handle, activation, Scalar(1, type), x, x.data(), Scalar(0, type), y, y.data()));
  MUST(cudnnActivationBackward(rig.handle, activation, Scalar(alpha, type), y, y.data(), dy, dy.data(), x, x.data(),
                               Scalar(beta, type), dx, dx.data()));
  Values gradient = dx.get();
  for (size_t i = 0; i < gradient.size(); i++) gradient[i] = (gradient[i] - beta * before[i]) / alpha;
  const double error = gradientError(xs, gradient, [&](const Values &at) {
    double sum = 0;
    for (size_t i = 0; i < at.size(); i++) sum += dys[i] * function(mode, coefficient, at[i]);
    return sum;
  });
  check(error < 1e-6, what + ": error " + std::to_string(error));
}

void testNan(Rig &rig) {
  const Scalar one(1, CUDNN_DATA_FLOAT), zero(0, CUDNN_DATA_FLOAT);
  Tensor x(CUDNN_DATA_FLOAT, {1, 1, 1, 2}), y(CUDNN_DATA_FLOAT, {1, 1, 1, 2});
  x.put({std::nan(""), 1});
  for (const bool propagate : {true, false}) {
    cudnnActivationDescriptor_t relu;
    MUST(cudnnCreateActivationDescriptor(&relu));
    MUST(cudnnSetActivationDescriptor(relu, CUDNN_ACTIVATION_RELU,
                                      propagate ? CUDNN_PROPAGATE_NAN : CUDNN_NOT_PROPAGATE_NAN, 0));
    MUST(cudnnActivationForward(rig.handle, relu, one, x, x.data(), zero, y, y.data()));
    checkClose(y.get(), {propagate ? std::nan("") : 0.0, 1}, 0, "ReLU of NaN");
    MUST(cudnnDestroyActivationDescriptor(relu));
  }
}

}  // namespace

void testActivation(uint64_t seed) {
  Rig rig("seed=" + std::to_string(seed));
  Random random(seed);
  for (int i = 0; i < 10; i++) {
    for (const cudnnActivationMode_t mode : kModes) {
      for (const cudnnDataType_t type : {CUDNN_DATA_FLOAT, CUDNN_DATA_DOUBLE, CUDNN_DATA_HALF, CUDNN_DATA_BFLOAT16}) {
        tryForward(rig, mode, type, random);
      }
      tryBackward(rig, mode, random);
    }
  }
  testNan(rig);
  checkNoFindings("activation");
}

}  // namespace test

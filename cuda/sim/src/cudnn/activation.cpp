// Activation functions and their derivatives.
#include <algorithm>

#include "internal.h"

namespace dnn {
namespace {

constexpr char kActivation[] = "cudnnActivationDescriptor_t";

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// max(x, 0), where a NaN passes only if it is to be propagated.
double rectified(double x, cudnnNanPropagation_t nan) {
  if (std::isnan(x)) return nan == CUDNN_PROPAGATE_NAN ? x : 0;
  return std::max(x, 0.0);
}

// The derivative from y where the function allows it, so that forward may have run in place.
double derivative(const Activation &activation, double x, double y) {
  switch (activation.mode) {
    case CUDNN_ACTIVATION_SIGMOID: return y * (1 - y);
    case CUDNN_ACTIVATION_RELU: return y > 0 ? 1 : 0;
    case CUDNN_ACTIVATION_TANH: return 1 - y * y;
    case CUDNN_ACTIVATION_CLIPPED_RELU: return y > 0 && y < activation.coefficient ? 1 : 0;
    case CUDNN_ACTIVATION_ELU: return y > 0 ? 1 : y + activation.coefficient;
    case CUDNN_ACTIVATION_IDENTITY: return 1;
    case CUDNN_ACTIVATION_SWISH: {
      const double b = activation.swishBeta, s = sigmoid(b * x);
      return s + b * x * s * (1 - s);
    }
  }
  return 0;
}

void checkStrides(const char *aName, const Layout &a, const char *bName, const Layout &b) {
  checkSame(aName, a, bName, b);
  if (a.sameStrides(b)) return;
  wrong(kNotSupportedLayout, sim::check::descriptor, both(aName, a, bName, b) + " differ in their strides");
}

void checkMode(const Activation &activation, const Layout &x) {
  if (activation.mode == CUDNN_ACTIVATION_IDENTITY) {
    wrong(kBadParam, sim::check::badValue,
          "CUDNN_ACTIVATION_IDENTITY is for cudnnConvolutionBiasActivationForward alone");
  }
  checkFloating("x", x);
}

}  // namespace

const Activation &use(cudnnActivationDescriptor_t descriptor, const char *what) {
  demand(descriptor, kActivation, what);
  if (!descriptor->set) wrong(kBadParam, sim::check::descriptor, std::string(what) + " was never set");
  return *descriptor;
}

double activate(const Activation &activation, double x) {
  switch (activation.mode) {
    case CUDNN_ACTIVATION_SIGMOID: return sigmoid(x);
    case CUDNN_ACTIVATION_RELU: return rectified(x, activation.nan);
    case CUDNN_ACTIVATION_TANH: return std::tanh(x);
    case CUDNN_ACTIVATION_CLIPPED_RELU: {
      const double r = rectified(x, activation.nan);
      return r > activation.coefficient ? activation.coefficient : r;
    }
    case CUDNN_ACTIVATION_ELU: return x > 0 || std::isnan(x) ? x : activation.coefficient * std::expm1(x);
    case CUDNN_ACTIVATION_IDENTITY: return x;
    case CUDNN_ACTIVATION_SWISH: return x * sigmoid(activation.swishBeta * x);
  }
  return x;
}

}  // namespace dnn

using namespace dnn;

extern "C" {

SIM_SHARED cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t *activationDesc) {
  return createObject(__func__, activationDesc, kActivation);
}

SIM_SHARED cudnnStatus_t cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t activationDesc) {
  return destroyObject(__func__, activationDesc, kActivation);
}

SIM_SHARED cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t activationDesc,
                                                      cudnnActivationMode_t mode, cudnnNanPropagation_t reluNanOpt,
                                                      double coef) {
  return answer(__func__, [&] {
    demand(activationDesc, kActivation, "activationDesc");
    inRange(mode, CUDNN_ACTIVATION_SIGMOID, CUDNN_ACTIVATION_SWISH, "mode");
    inRange(reluNanOpt, CUDNN_NOT_PROPAGATE_NAN, CUDNN_PROPAGATE_NAN, "reluNanOpt");
    activationDesc->set = true;
    activationDesc->mode = mode;
    activationDesc->nan = reluNanOpt;
    activationDesc->coefficient = coef;
  });
}

SIM_SHARED cudnnStatus_t cudnnGetActivationDescriptor(const cudnnActivationDescriptor_t activationDesc,
                                                      cudnnActivationMode_t *mode, cudnnNanPropagation_t *reluNanOpt,
                                                      double *coef) {
  return answer(__func__, [&] {
    const Activation &activation = use(activationDesc, "activationDesc");
    give(mode, activation.mode);
    give(reluNanOpt, activation.nan);
    give(coef, activation.coefficient);
  });
}

SIM_SHARED cudnnStatus_t cudnnSetActivationDescriptorSwishBeta(cudnnActivationDescriptor_t activationDesc,
                                                               double swish_beta) {
  return answer(__func__, [&] {
    demand(activationDesc, kActivation, "activationDesc");
    activationDesc->swishBeta = swish_beta;
  });
}

SIM_SHARED cudnnStatus_t cudnnActivationForward(cudnnHandle_t handle, cudnnActivationDescriptor_t activationDesc,
                                                const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x,
                                                const void *beta, const cudnnTensorDescriptor_t yDesc, void *y) {
  return answer(__func__, [&] {
    const Activation activation = use(activationDesc, "activationDesc");
    const Layout xLayout = use(xDesc, "xDesc"), yLayout = use(yDesc, "yDesc");
    checkMode(activation, xLayout);
    checkSame("x", xLayout, "y", yLayout);
    const double a = scalar(alpha, yLayout.type, "alpha"), b = scalar(beta, yLayout.type, "beta");
    Launch launch(handle);
    launch.allowInPlace();
    launch.read(xLayout, x, "x");
    launch.write(yLayout, y, "y", b != 0);
    launch.run("x " + xLayout.text(), [=] {
      std::vector<double> values = load<double>(xLayout, x);
      for (double &v : values) v = activate(activation, v);
      store(yLayout, y, values.data(), a, b);
    });
  });
}

SIM_SHARED cudnnStatus_t cudnnActivationBackward(cudnnHandle_t handle, cudnnActivationDescriptor_t activationDesc,
                                                 const void *alpha, const cudnnTensorDescriptor_t yDesc, const void *y,
                                                 const cudnnTensorDescriptor_t dyDesc, const void *dy,
                                                 const cudnnTensorDescriptor_t xDesc, const void *x, const void *beta,
                                                 const cudnnTensorDescriptor_t dxDesc, void *dx) {
  return answer(__func__, [&] {
    const Activation activation = use(activationDesc, "activationDesc");
    const Layout xLayout = use(xDesc, "xDesc"), yLayout = use(yDesc, "yDesc");
    const Layout dxLayout = use(dxDesc, "dxDesc"), dyLayout = use(dyDesc, "dyDesc");
    checkMode(activation, xLayout);
    checkSame("x", xLayout, "y", yLayout);
    checkStrides("y", yLayout, "dy", dyLayout);
    checkStrides("x", xLayout, "dx", dxLayout);
    const double a = scalar(alpha, dxLayout.type, "alpha"), b = scalar(beta, dxLayout.type, "beta");
    Launch launch(handle);
    launch.allowInPlace();
    const bool byInput = activation.mode == CUDNN_ACTIVATION_SWISH;  // other functions' derivatives follow from y
    launch.read(yLayout, y, "y", byInput);
    launch.read(dyLayout, dy, "dy");
    launch.read(xLayout, x, "x", !byInput);
    launch.write(dxLayout, dx, "dx", b != 0);
    launch.run("x " + xLayout.text(), [=] {
      const std::vector<double> ys = load<double>(yLayout, y), xs = load<double>(xLayout, x);
      std::vector<double> values = load<double>(dyLayout, dy);
      for (size_t i = 0; i < values.size(); i++) values[i] *= derivative(activation, xs[i], ys[i]);
      store(dxLayout, dx, values.data(), a, b);
    });
  });
}

}  // extern "C"

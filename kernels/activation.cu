// Activation functions, each value by itself, and ReLU's gradient for layers that fuse it.
#include "value.cuh"

// The logistic function, 1 / (1 + exp(-x)).
__device__ inline float logistic(float x) { return 1 / (1 + expf(-x)); }

// Between 0 and 6. A NaN stays one.
__device__ inline float clamp6(float x) { return x <= 0 ? 0 : x >= 6 ? 6 : x; }

// The normal distribution: its integral up to x, and its density at x.
__device__ inline float normal(float x) { return 0.5f * erfcf(-0.70710678f * x); }
__device__ inline float bell(float x) { return 0.39894228f * expf(-0.5f * x * x); }

// For gelu_tanh, which is x * logistic(u(x)), because 0.5 * (1 + tanh(v)) = logistic(2 * v): u, and its slope.
__device__ inline float geluU(float x) { return 1.5957691f * (x + 0.044715f * x * x * x); }
__device__ inline float geluSlopeU(float x) { return 1.5957691f * (1 + 0.134145f * x * x); }

// The slope of x * logistic(u), where du is the slope of u. logistic(-u) is 1 - logistic(u) without cancellation.
__device__ inline float gatedSlope(float x, float u, float du) {
  return logistic(u) + x * (logistic(u) * logistic(-u)) * du;
}

// The nearest number from lo to hi. Slopes take x from where they are next to their limits: beyond, a 0 would meet an
// infinity. A NaN stays one.
__device__ inline float within(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }

__device__ inline float geluTanhSlope(float x) {
  const float z = within(x, -10, 10);
  return gatedSlope(z, geluU(z), geluSlopeU(z));
}

// For mish, with e = exp(x) and n = e * (e + 2): tanh(log(1 + e)), which is 1 from 20 on, and the slope of x times that.
__device__ inline float mishGate(float x) {
  const float e = expf(fminf(x, 20)), n = e * (e + 2);
  return n / (n + 2);
}
__device__ inline float mishSlope(float x) {
  const float z = within(x, -88, 20), e = expf(z), r = 1 / (e * (e + 2) + 2);
  return mishGate(z) + z * (4 * e * r) * ((1 + e) * r);
}

// All functions. A line has the number and the name, which are also in activation.go; y by the input x and the parameter
// p; what the backward pass reads, the input x or, where that tells enough, the output y; and by that the slope, dy/dx.
// Comparisons are written so that a NaN passes through.
// clang-format off
#define ACTIVATION_FUNCTIONS(FUNCTION) \
  FUNCTION(0, relu,         x <= 0 ? 0 : x,             y, y > 0 ? 1 : 0) \
  FUNCTION(1, leaky_relu,   x < 0 ? p * x : x,          x, x > 0 ? 1 : p) \
  FUNCTION(2, tanh,         tanhf(x),                   y, (1 - y) * (1 + y)) \
  FUNCTION(3, sigmoid,      logistic(x),                y, y * (1 - y)) \
  FUNCTION(4, gelu,         x * normal(x),              x, normal(x) + x * bell(x)) \
  FUNCTION(5, gelu_tanh,    x * logistic(geluU(x)),     x, geluTanhSlope(x)) \
  FUNCTION(6, silu,         x * logistic(x),            x, gatedSlope(x, x, 1)) \
  FUNCTION(7, relu6,        clamp6(x),                  y, y > 0 && y < 6 ? 1 : 0) \
  FUNCTION(8, hard_swish,   x * (clamp6(x + 3) / 6),    x, x <= -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6) \
  FUNCTION(9, hard_sigmoid, clamp6(x + 3) / 6,          y, y > 0 && y < 1 ? 1 / 6.f : 0) \
  FUNCTION(10, elu,         x > 0 ? x : p * expm1f(x),  x, x > 0 ? 1 : p * expf(x)) \
  FUNCTION(11, mish,        x * mishGate(x),            x, mishSlope(x))
// clang-format on

#define DEFINE(number, name, value, read, dydx)                            \
  struct name##_function {                                                 \
    static __device__ float y(float x, float p) { return value; }          \
    static __device__ float slope(float read, float p) { return dydx; }    \
  };
ACTIVATION_FUNCTIONS(DEFINE)

// y = f(x). y may be x. Limit: two moves a value.
template <class F>
__device__ void activate(Value *y, const Value *x, uint64_t count, float p) {
  forEach<WIDE>(grid(), count, aligned<WIDE>(y, x), [=](auto at) {
    auto v = load(x, at);
    for (unsigned k = 0; k < at.width; k++) v[k] = F::y(v[k], p);
    store(y, at, v);
  });
}

extern "C" __global__ void __launch_bounds__(256)
    activation(Value *y, const Value *x, uint64_t count, uint32_t function, float p) {
  switch (function) {
#define RUN(number, name, value, read, dydx) \
  case number: return activate<name##_function>(y, x, count, p);
    ACTIVATION_FUNCTIONS(RUN)
#undef RUN
  }
}

// dx = dy * f', or dx += dy * f' where `add` is not 0. A gradient that is NaN or infinite is not swallowed where the
// slope is 0. dx may be dy. Limit: three moves a value, four to add.
template <class F>
__device__ void activateBackward(Value *dx, const Value *dy, const Value *read, uint64_t count, float p, bool add) {
  forEach<WIDE>(grid(), count, aligned<WIDE>(dx, dy, read), [=](auto at) {
    auto d = load(dy, at);
    const auto v = load(read, at);
    for (unsigned k = 0; k < at.width; k++) d[k] *= F::slope(v[k], p);
    storeOrAdd(dx, at, d, add);
  });
}

extern "C" __global__ void __launch_bounds__(256)
    activation_backward(Value *dx, const Value *dy, const Value *read, uint64_t count, uint32_t function, float p,
                        int32_t add) {
  switch (function) {
#define RUN(number, name, value, read_, dydx) \
  case number: return activateBackward<name##_function>(dx, dy, read, count, p, add);
    ACTIVATION_FUNCTIONS(RUN)
#undef RUN
  }
}

// ReLU's gradient behind bias_relu. dx = y > 0 ? dy : 0 * dy. dx may be dy. Limit: three moves a value.
extern "C" __global__ void __launch_bounds__(256)
    relu_backward(Value *dx, const Value *dy, const Value *__restrict__ y, uint64_t count) {
  activateBackward<relu_function>(dx, dy, y, count, 0, false);
}

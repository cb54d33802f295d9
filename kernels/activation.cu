// Activations that cuDNN lacks or that are fused with what is before them, and dropout.
#include "step.cuh"

// y = x < 0 ? slope * x : x. Limit: 8 bytes a value.
extern "C" __global__ void __launch_bounds__(256)
    leaky_relu(float *__restrict__ y, const float *__restrict__ x, uint64_t count, float slope) {
  forEach(grid(), count, aligned(y, x), [=](auto at) {
    auto v = load(x, at);
    for (unsigned k = 0; k < at.width; k++) v[k] = v[k] < 0 ? slope * v[k] : v[k];
    store(y, at, v);
  });
}

// dx = dy times the slope at x. dx may be dy.
__device__ inline void slopeBackward(float *dx, const float *dy, const float *x, uint64_t count, float slope) {
  forEach(grid(), count, aligned(dx, dy, x), [=](auto at) {
    auto d = load(dy, at);
    const auto v = load(x, at);
    for (unsigned k = 0; k < at.width; k++) d[k] *= v[k] > 0 ? 1 : slope;
    store(dx, at, d);
  });
}

// dx = x > 0 ? dy : slope * dy. Limit: 12 bytes a value.
extern "C" __global__ void __launch_bounds__(256)
    leaky_relu_backward(float *__restrict__ dx, const float *__restrict__ dy, const float *__restrict__ x,
                        uint64_t count, float slope) {
  slopeBackward(dx, dy, x, count, slope);
}

// dx = y > 0 ? dy : 0 * dy, with y what bias_relu left: a gradient that is NaN or infinite is not swallowed. dx may be
// dy. Limit: 12 bytes a value.
extern "C" __global__ void __launch_bounds__(256)
    relu_backward(float *dx, const float *dy, const float *__restrict__ y, uint64_t count) {
  slopeBackward(dx, dy, y, count, 0);
}

// Philox4x32 with ten rounds (Salmon et al., SC11), as in package net.
__device__ inline uint4 philox(uint2 key, uint4 counter) {
  for (int round = 0; round < 10; round++) {
    const uint32_t h0 = __umulhi(0xD2511F53u, counter.x), l0 = 0xD2511F53u * counter.x;
    const uint32_t h1 = __umulhi(0xCD9E8D57u, counter.z), l1 = 0xCD9E8D57u * counter.z;
    counter = make_uint4(h1 ^ counter.y ^ key.x, l1, h0 ^ counter.w ^ key.y, l0);
    key.x += 0x9E3779B9u;
    key.y += 0xBB67AE85u;
  }
  return counter;
}

__device__ inline uint32_t word(uint4 v, uint32_t k) { return k & 2 ? (k & 1 ? v.w : v.z) : (k & 1 ? v.y : v.x); }

// y = x * scale where net.DropoutKeep keeps the value, else 0; `last` is the counter's last word. Serves forward (x, y)
// and backward (dy, dx) alike: the mask is computed, not stored. y may be x. Limit: 8 bytes a value; four values share
// a call of philox.
extern "C" __global__ void __launch_bounds__(256)
    dropout(float *y, const float *x, const StepState *__restrict__ state, uint64_t count, uint32_t keyLow,
            uint32_t keyHigh, uint32_t last, uint32_t threshold, float scale) {
  const int64_t step = state->step;
  forEach(grid(), count, aligned(y, x), [=](auto at) {
    const uint4 random = philox(make_uint2(keyLow, keyHigh),
                                make_uint4(uint32_t(at.first() / 4), uint32_t(step), uint32_t(step >> 32), last));
    auto v = load(x, at);
    for (unsigned k = 0; k < at.width; k++) v[k] = word(random, (at.first() + k) % 4) >= threshold ? v[k] * scale : 0;
    store(y, at, v);
  });
}

// Activations that cuDNN lacks or that are fused with what is before them, and dropout.
#include "step.cuh"

// y = x > 0 ? x : slope * x.
extern "C" __global__ void __launch_bounds__(256)
    leaky_relu(float *__restrict__ y, const float *__restrict__ x, uint64_t count, float slope) {
  for (uint64_t i = gridThread(); i < count; i += gridThreads()) y[i] = x[i] > 0 || isnan(x[i]) ? x[i] : slope * x[i];
}

// dx = x > 0 ? dy : slope * dy.
extern "C" __global__ void __launch_bounds__(256)
    leaky_relu_backward(float *__restrict__ dx, const float *__restrict__ dy, const float *__restrict__ x,
                        uint64_t count, float slope) {
  for (uint64_t i = gridThread(); i < count; i += gridThreads()) dx[i] = x[i] > 0 ? dy[i] : slope * dy[i];
}

// In place: x[n, c, i] = max(x[n, c, i] + bias[c], 0), for count values and `extent` values a channel. A NaN stays one.
extern "C" __global__ void __launch_bounds__(256) bias_relu(float *__restrict__ x, const float *__restrict__ bias,
                                                            uint32_t count, uint32_t channels, uint32_t extent) {
  for (uint32_t i = gridThread(); i < count; i += gridThreads()) {
    const float v = x[i] + bias[(i / extent) % channels];
    x[i] = v <= 0 ? 0 : v;
  }
}

// dx = y > 0 ? dy : 0, with y what bias_relu left. dx may be dy.
extern "C" __global__ void __launch_bounds__(256)
    relu_backward(float *dx, const float *dy, const float *__restrict__ y, uint64_t count) {
  for (uint64_t i = gridThread(); i < count; i += gridThreads()) dx[i] = y[i] > 0 ? dy[i] : 0;
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

// y = x * scale where net.DropoutKeep keeps the value, else 0; `last` is the counter's last word. Serves forward (x, y)
// and backward (dy, dx) alike: the mask is computed, not stored. y may be x. A thread makes four values.
extern "C" __global__ void __launch_bounds__(256)
    dropout(float *y, const float *x, const StepState *__restrict__ state, uint64_t count, uint32_t keyLow,
            uint32_t keyHigh, uint32_t last, uint32_t threshold, float scale) {
  const int64_t step = state->step;
  const uint64_t blocks = (count + 3) / 4;
  for (uint64_t b = gridThread(); b < blocks; b += gridThreads()) {
    const uint4 r =
        philox(make_uint2(keyLow, keyHigh), make_uint4((uint32_t)b, (uint32_t)step, (uint32_t)(step >> 32), last));
    const uint32_t words[4] = {r.x, r.y, r.z, r.w};
#pragma unroll
    for (uint32_t k = 0; k < 4; k++) {
      const uint64_t i = 4 * b + k;
      if (i < count) y[i] = words[k] >= threshold ? x[i] * scale : 0;
    }
  }
}

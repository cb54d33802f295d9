// Between float32 and bfloat16, the upper half of a float32: for the factors of products on tensor cores, and for the
// products that cuDNN writes as bfloat16.
#include "channels.cuh"

// The nearest bfloat16, of two equally near ones the even one. Integers do it, as GPUs before compute capability 8.0
// have no instruction for it. A NaN stays one: it could otherwise be rounded to infinity.
__device__ inline uint16_t rounded(float x) {
  const uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

__device__ inline float widened(uint16_t x) { return __uint_as_float(static_cast<uint32_t>(x) << 16); }

// y[i] = x[i] rounded to bfloat16, for i < count. Limit: 6 bytes a value.
extern "C" __global__ void __launch_bounds__(256)
    to_bf16(uint16_t *__restrict__ y, const float *__restrict__ x, uint64_t count) {
  forEach(grid(), count, aligned(y, x), [=](auto at) {
    const auto v = load(x, at);
    Pack<uint16_t, decltype(at)::width> narrow;
    for (unsigned k = 0; k < at.width; k++) narrow[k] = rounded(v[k]);
    store(y, at, narrow);
  });
}

// y[i] = x[i] as float32, for i < count <= 2^31; with a bias plus bias[channel], for `extent` values a channel, and
// with relu what is above 0 of that: the end of a convolution whose products are bfloat16. Where `add` is not 0 it adds
// to y. A NaN stays one. Limit: 6 bytes a value, 10 to add.
extern "C" __global__ void __launch_bounds__(256)
    from_bf16(float *__restrict__ y, const uint16_t *__restrict__ x, const float *__restrict__ bias, uint32_t count,
              uint32_t channels, uint32_t extent, int32_t relu, int32_t add) {
  forEachInChannels(count, channels, extent, aligned(y, x), [=](auto at, auto channel) {
    const auto narrow = load(x, at);
    Pack<float, decltype(at)::width> v;
    for (unsigned k = 0; k < at.width; k++) {
      v[k] = widened(narrow[k]);
      if (bias) v[k] += bias[channel[k]];
      if (relu && v[k] <= 0) v[k] = 0;
    }
    storeOrAdd(y, at, v, add);
  });
}

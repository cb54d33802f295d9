// Between float32 and bfloat16, the upper half of a float32: for the factors of products on tensor cores, and for the
// products that cuDNN writes as bfloat16.
#include "grid.cuh"

// The nearest bfloat16, of two equally near ones the even one. Integers do it, as GPUs before compute capability 8.0
// have no instruction for it. A NaN stays one: it could otherwise be rounded to infinity.
__device__ inline uint16_t rounded(float x) {
  const uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

__device__ inline float widened(uint16_t x) { return __uint_as_float(static_cast<uint32_t>(x) << 16); }

// Whether four values can be moved at once: 16 bytes of float32, 8 of bfloat16. Buffers of ours always can.
__device__ inline bool aligned(const float *wide, const uint16_t *narrow) {
  return reinterpret_cast<uintptr_t>(wide) % sizeof(float4) == 0 &&
         reinterpret_cast<uintptr_t>(narrow) % sizeof(ushort4) == 0;
}

// y[i] = x[i] rounded to bfloat16, for i < count. Limit: memory, 6 bytes a value.
extern "C" __global__ void __launch_bounds__(256)
    to_bf16(uint16_t *__restrict__ y, const float *__restrict__ x, uint64_t count) {
  const uint64_t vectors = aligned(x, y) ? count / 4 : 0;
  for (uint64_t i = gridThread(); i < vectors; i += gridThreads()) {
    const float4 v = reinterpret_cast<const float4 *>(x)[i];
    reinterpret_cast<ushort4 *>(y)[i] = make_ushort4(rounded(v.x), rounded(v.y), rounded(v.z), rounded(v.w));
  }
  for (uint64_t i = 4 * vectors + gridThread(); i < count; i += gridThreads()) y[i] = rounded(x[i]);
}

// y[i] = x[i] as float32, for i < count <= 2^31; with a bias plus bias[channel], for `extent` values a channel, and
// with relu what is above 0 of that: the end of a convolution whose products are bfloat16. A NaN stays one. Limit:
// memory, 6 bytes a value.
extern "C" __global__ void __launch_bounds__(256)
    from_bf16(float *__restrict__ y, const uint16_t *__restrict__ x, const float *__restrict__ bias, uint32_t count,
              uint32_t channels, uint32_t extent, int32_t relu) {
  const auto value = [&](uint16_t from, uint32_t channel) {
    const float v = bias ? widened(from) + bias[channel] : widened(from);
    return relu && v <= 0 ? 0 : v;
  };
  const uint32_t vectors = aligned(y, x) ? count / 4 : 0;
  for (uint64_t i = gridThread(); i < vectors; i += gridThreads()) {
    const ushort4 v = reinterpret_cast<const ushort4 *>(x)[i];
    const uint32_t first = static_cast<uint32_t>(i) * 4;
    uint32_t inner = first % extent, channel = first / extent % channels;
    const auto next = [&](uint16_t from) {
      const float to = value(from, channel);
      if (++inner == extent) {
        inner = 0;
        if (++channel == channels) channel = 0;
      }
      return to;
    };
    float4 to;
    to.x = next(v.x);
    to.y = next(v.y);
    to.z = next(v.z);
    to.w = next(v.w);
    reinterpret_cast<float4 *>(y)[i] = to;
  }
  for (uint64_t i = uint64_t(4) * vectors + gridThread(); i < count; i += gridThreads()) {
    y[i] = value(x[i], static_cast<uint32_t>(i) / extent % channels);
  }
}

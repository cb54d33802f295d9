// bfloat16: the upper half of a float32.
#pragma once

#include <cstdint>

struct BFloat16 {
  uint16_t bits;
};

// The nearest bfloat16, of two equally near ones the even one. A NaN stays one. GPUs before compute capability 8.0 have no
// instruction for it. There integers do it; without the first line a NaN could be rounded to infinity.
__device__ inline BFloat16 rounded(float x) {
#if __CUDA_ARCH__ >= 800
  BFloat16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
#else
  const uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>(bits >> 16 | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
#endif
}

__device__ inline float widened(BFloat16 x) { return __uint_as_float(static_cast<uint32_t>(x.bits) << 16); }

// A value of either type, as a float.
__device__ inline float widened(float x) { return x; }

// Writes a float as a value of either type.
__device__ inline void put(float *to, float x) { *to = x; }
__device__ inline void put(BFloat16 *to, float x) { *to = rounded(x); }

// Gradients, of which some may be bfloat16.
#pragma once

#include "step.cuh"

// Gradients, of which the first `narrow` are bfloat16, in a buffer of their own, as cuDNN writes them.
struct Gradients {
  const float *wide;
  const BFloat16 *g16;
  uint64_t narrow;

  __device__ bool apart() const { return narrow % 4 == 0 && aligned(wide) && aligned(g16); }

  // Those of a span, which doesn't hold both kinds.
  template <unsigned W>
  __device__ Pack<float, W> at(Span<W> span) const {
    return span.first() < narrow ? load(g16, span) : load(wide, span);
  }

  // Those from number `first` on.
  __device__ Gradients from(uint64_t first) const {
    if (narrow <= first) return {wide + first, nullptr, 0};
    return {wide + first, g16 + first, narrow - first};
  }
};

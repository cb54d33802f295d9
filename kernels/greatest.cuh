// The maximum of a pooling window after a ReLU.
#pragma once

#include <cstdint>

// A window's maximum after the ReLU, and where it is: 2*r+s of the first one or of a NaN, and 4 more where it is not
// above 0, so that the ReLU lets no finite gradient through.
struct Greatest {
  float value = 0;
  uint8_t where = 4;

  __device__ void take(float v, uint8_t at) {
    if (!(v > value) && !isnan(v)) return;
    value = v;
    where = at + (isnan(v) ? 4 : 0);
  }
};

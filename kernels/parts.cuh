// The parts of sums, and sums over these parts.
#pragma once

#include "grid.cuh"

// How a channel's batch * extent values are divided: part p begins at begin(p) and ends at begin(p + 1). The beginnings are
// multiples of 8, so that in no part values move in smaller pieces. The last parts may be smaller than the others, or empty.
struct Parts {
  uint32_t values, each;

  __device__ Parts(uint32_t values, uint32_t parts)
      : values(values), each((values / parts + (values % parts != 0) + 7) / 8 * 8) {}

  __device__ uint32_t begin(uint32_t part) const { return min(uint64_t(part) * each, uint64_t(values)); }
  __device__ uint32_t count(uint32_t part) const { return begin(part + 1) - begin(part); }
};

// The sum over the block's threads that have the same threadIdx.x % columns. Every one of them gets it, and all threads of
// the block must call. The order is fixed by the number of threads.
template <unsigned columns>
__device__ float columnSum(float v, float (*shared)[columns]) {
  for (uint32_t d = 16; d >= columns; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
  __syncthreads();  // an earlier sum has been read
  if (threadIdx.x % 32 < columns) shared[threadIdx.x / 32][threadIdx.x % columns] = v;
  __syncthreads();
  v = 0;
  for (uint32_t warp = 0; warp < blockDim.x / 32; warp++) v += shared[warp][threadIdx.x % columns];
  return v;
}

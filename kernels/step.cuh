// What changes from step to step, in device memory, so that one captured graph serves every step.
#pragma once

#include "grid.cuh"

// The head of the block that the host uploads for the next few steps. Behind it lie, at offsets that the launches are
// told, one Queued, one Rates for each rule and one row of sample indices for each of them.
struct StepState {
  int64_t step;   // updates made so far
  uint32_t slot;  // which of the uploaded steps is next
  uint32_t unused;
};

// The numbers of one uploaded step, computed by the host in float64.
struct Queued {
  float weight;    // of a sample's gradient: 1 / the samples of the update
  uint32_t first;  // samples of the update that came before this mini-batch
  float average;   // how far averages move towards the weights
  uint32_t back;   // whether the weights are then set to the averages
};

// The numbers of one rule of the optimiser in one uploaded step, computed by the host in float64.
struct Rates {
  float update;  // SGD, Lion, Muon: the learning rate; Adam, AdamW: lr * sqrt(1-beta2^t) / (1-beta1^t)
  float decay;   // where weight decay is apart from the gradient: lr * weight decay
};

// Sums since the host last read them.
struct Sums {
  double loss;
  int64_t hits;
  int64_t samples;
  int64_t firstBad;  // 1 + step of the first training step with a NaN or infinite loss; 0: none
};

// Sums over the `lanes` threads that stand together in a block: a power of two up to 32, or the whole block. Every one
// of them gets the sum, and all threads of the block must call. The order is fixed by the numbers of threads. `shared`
// has 32 values.
template <class T>
__device__ T laneSum(T v, uint32_t lanes, T *shared) {
  for (uint32_t d = min(lanes, 32u) / 2; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
  if (lanes <= 32) return v;
  __syncthreads();  // the values of an earlier sum have been read
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = v;
  __syncthreads();
  v = threadIdx.x % 32 < lanes / 32 ? shared[threadIdx.x % 32] : T(0);
  for (uint32_t d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
  return v;
}

template <class T>
__device__ T blockSum(T v, T *shared) {
  return laneSum(v, blockDim.x, shared);
}

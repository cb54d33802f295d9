// Where a thread stands in a one-dimensional grid. 64 bits throughout: a grid may have more than 2^32 threads.
#pragma once

#include <cstdint>

__device__ inline uint64_t gridThread() { return static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

__device__ inline uint64_t gridThreads() { return static_cast<uint64_t>(gridDim.x) * blockDim.x; }

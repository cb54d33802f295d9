// How threads share out values, and move them 16 bytes at a time where that is possible.
#pragma once

#include <cstdint>

#include "bfloat16.cuh"

// Where a thread stands in a one-dimensional grid. 64 bits throughout: a grid may have more than 2^32 threads.
__device__ inline uint64_t gridThread() { return static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

__device__ inline uint64_t gridThreads() { return static_cast<uint64_t>(gridDim.x) * blockDim.x; }

// Threads that share work, as one of them sees it: it is number `rank` of `size`.
struct Team {
  uint64_t rank, size;
};

__device__ inline Team grid() { return {gridThread(), gridThreads()}; }

__device__ inline Team block() { return {threadIdx.x, blockDim.x}; }

// W values that move at once.
template <class T, unsigned W>
struct alignas(W * sizeof(T)) Pack {
  T lane[W];
  __device__ T &operator[](unsigned k) { return lane[k]; }
  __device__ const T &operator[](unsigned k) const { return lane[k]; }
};

// W values of a buffer: those of pack number `pack`.
template <unsigned W>
struct Span {
  static constexpr unsigned width = W;
  uint64_t pack;
  __device__ uint64_t first() const { return W * pack; }
};

template <class T, unsigned W>
__device__ Pack<T, W> load(const T *from, Span<W> at) {
  return reinterpret_cast<const Pack<T, W> *>(from)[at.pack];
}

// Values of bfloat16 are floats outside of memory.
template <unsigned W>
__device__ Pack<float, W> load(const BFloat16 *from, Span<W> at) {
  const auto narrow = reinterpret_cast<const Pack<BFloat16, W> *>(from)[at.pack];
  Pack<float, W> values;
  for (unsigned k = 0; k < W; k++) values[k] = widened(narrow[k]);
  return values;
}

template <class T, unsigned W>
__device__ void store(T *to, Span<W> at, Pack<T, W> values) {
  reinterpret_cast<Pack<T, W> *>(to)[at.pack] = values;
}

template <unsigned W>
__device__ void store(BFloat16 *to, Span<W> at, Pack<float, W> values) {
  Pack<BFloat16, W> narrow;
  for (unsigned k = 0; k < W; k++) narrow[k] = rounded(values[k]);
  reinterpret_cast<Pack<BFloat16, W> *>(to)[at.pack] = narrow;
}

// Writes values, or adds them to what is there.
template <class T, unsigned W>
__device__ void storeOrAdd(T *to, Span<W> at, Pack<float, W> values, bool add) {
  if (add) {
    const auto there = load(to, at);
    for (unsigned k = 0; k < W; k++) values[k] += there[k];
  }
  store(to, at, values);
}

// Whether spans of W values of all these buffers can move at once: floats by four are 16 bytes, bytes by four 4.
template <unsigned W = 4, class... T>
__device__ bool aligned(const T *...buffers) {
  return ((reinterpret_cast<uintptr_t>(buffers) % alignof(Pack<T, W>) == 0) && ...);
}

// Calls body(span) for spans that make up `count` values between them: by W, and what is left one by one; all one by
// one where the buffers are not aligned.
template <unsigned W = 4, class Body>
__device__ void forEach(Team team, uint64_t count, bool aligned, Body body) {
  const uint64_t packs = aligned ? count / W : 0;
  for (uint64_t i = team.rank; i < packs; i += team.size) body(Span<W>{i});
  for (uint64_t i = W * packs + team.rank; i < count; i += team.size) body(Span<1>{i});
}

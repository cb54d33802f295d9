// Sums over the rows of a matrix (rows, channels), one for each channel: the channels of NHWC, whose rows are pixels.
#pragma once

#include "value.cuh"

constexpr uint32_t MOST_COLUMNS = 32;  // channels that a block sums at once

// The sums of a block with at most 256 threads. Each row of `packs` threads takes W*packs neighbouring channels of a row.
// packs is a power of two, and W*packs is at most MOST_COLUMNS.
template <unsigned W>
struct Tile {
  uint32_t packs;

  // A row's part that a block reads has 64 bytes where W values move at once: whole sectors, and many blocks for few rows.
  __device__ explicit Tile(uint32_t channels) : packs(1) {
    const uint32_t most = W > 1 ? 64 / sizeof(Value) / W : MOST_COLUMNS;
    while (packs < most && W * packs < channels) packs *= 2;
  }

  __device__ uint32_t row() const { return threadIdx.x / packs; }
  __device__ uint32_t rows() const { return blockDim.x / packs; }
  __device__ uint32_t pack() const { return threadIdx.x % packs; }

  // Adds up what the threads of each column have, in a fixed order. All threads of the block must call. Thread i gets the
  // sum of the tile's channel i, if there is one.
  __device__ float sum(Pack<float, W> v) const {
    __shared__ float shared[8][MOST_COLUMNS];
    for (uint32_t d = 16; d >= packs; d /= 2) {
      for (unsigned k = 0; k < W; k++) v[k] += __shfl_xor_sync(0xffffffffu, v[k], d);
    }
    __syncthreads();  // what was there has been read
    if (threadIdx.x % 32 < packs) {
      for (unsigned k = 0; k < W; k++) shared[threadIdx.x / 32][W * (threadIdx.x % 32) + k] = v[k];
    }
    __syncthreads();
    float all = 0;
    if (threadIdx.x < W * packs) {
      for (uint32_t warp = 0; warp < blockDim.x / 32; warp++) all += shared[warp][threadIdx.x];
    }
    return all;
  }
};

template <unsigned W, class Values, class Done>
__device__ void sumColumns(uint32_t parts, uint32_t rows, uint32_t channels, Values values, Done done) {
  const Tile<W> tile(channels);
  const uint32_t packs = channels / W, tiles = (packs + tile.packs - 1) / tile.packs;
  for (uint32_t b = blockIdx.x; b < parts * tiles; b += gridDim.x) {
    const uint32_t part = b / tiles, first = (b - part * tiles) * tile.packs, pack = first + tile.pack();
    const uint32_t end = uint64_t(part + 1) * rows / parts;
    Pack<float, W> sum = {};
    for (uint32_t row = uint64_t(part) * rows / parts + tile.row(); row < end && pack < packs; row += tile.rows()) {
      const auto v = values(Span<W>{uint64_t(row) * packs + pack});
      for (unsigned k = 0; k < W; k++) sum[k] += v[k];
    }
    const float all = tile.sum(sum);
    const uint32_t c = W * first + threadIdx.x;
    if (threadIdx.x < W * tile.packs && c < channels) done(part * channels + c, all);
  }
}

// Sums values(span) over rows, by channel, for each of `parts` equal parts of the rows, and calls done(part*channels +
// channel, sum). A block takes a part and some channels.
template <class Values, class Done>
__device__ void sumColumns(uint32_t parts, uint32_t rows, uint32_t channels, bool aligned, Values values, Done done) {
  if (aligned && channels % WIDE == 0) {
    sumColumns<WIDE>(parts, rows, channels, values, done);
  } else {
    sumColumns<1>(parts, rows, channels, values, done);
  }
}

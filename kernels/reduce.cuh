// Reductions by channel: from all values of a channel of a tensor (batch, channels, extent), a few numbers. They are found
// in `parts` parts, each by other blocks, so that the GPU is busy with few channels too. Another kernel puts the parts
// together. Every order is fixed by the shape, the parts and the threads of a block, so results repeat.
//
// A reduction R has
//   R::NUMBERS                        how many numbers there are for a channel
//   R::PLACES                         how many packs of values a thread loads at once
//   r.of<W>(c)                        what add has to know of the W channels from c on
//   r.add(reduced, spans, each)       adds the values of spans to what is known; each[k] is of the channel of value k
//   R::merge(a, b, share)             merges the numbers b into a
//   r.put(to, c, numbers)             writes the numbers of channel c at [to] of (parts, channels)
#pragma once

#include "channels.cuh"
#include "parts.cuh"

constexpr uint32_t REDUCE_THREADS = 256;  // the most in a block
constexpr uint32_t TILE = 64;             // the most channels that a block reduces where the extent is 1; also in channel.go

// What a thread knows of W channels, or of W parts of one: N numbers for each, from `count` values of each.
template <unsigned W, unsigned N>
struct Reduced {
  float count;
  Pack<float, W> numbers[N];
};

// For merging what is known of b values into what is known of a: b/(a+b), and a*b/(a+b).
struct Share {
  float other, both;
  __device__ Share(float a, float b) : other(b > 0 ? b / (a + b) : 0), both(a * other) {}
};

template <class R, unsigned W>
__device__ void merge(Reduced<W, R::NUMBERS> &a, const Reduced<W, R::NUMBERS> &b) {
  constexpr unsigned N = R::NUMBERS;
  const Share share(a.count, b.count);
  a.count += b.count;
  for (unsigned k = 0; k < W; k++) {
    float into[N], from[N];
    for (unsigned n = 0; n < N; n++) into[n] = a.numbers[n][k], from[n] = b.numbers[n][k];
    R::merge(into, from, share);
    for (unsigned n = 0; n < N; n++) a.numbers[n][k] = into[n];
  }
}

// Where threads of a block hand over what they know: a row for each of its numbers.
using Shared = float (*)[REDUCE_THREADS / 2];

// Merges what the threads of a block know that have the same `lane` of `lanes`, of which there are `rows`: the first
// row's get it. All threads of the block must call; those of no row have a row that is not less than `rows`.
template <class R, unsigned W>
__device__ void mergeRows(Reduced<W, R::NUMBERS> &mine, uint32_t lane, uint32_t lanes, uint32_t row, uint32_t rows,
                          Shared shared) {
  while (rows > 1) {
    const uint32_t half = (rows + 1) / 2;
    if (row >= half && row < rows) {
      const uint32_t to = (row - half) * lanes + lane;
      shared[0][to] = mine.count;
      for (unsigned n = 0; n < R::NUMBERS; n++) {
        for (unsigned k = 0; k < W; k++) shared[1 + n * W + k][to] = mine.numbers[n][k];
      }
    }
    __syncthreads();
    if (row < rows - half) {
      const uint32_t from = row * lanes + lane;
      Reduced<W, R::NUMBERS> other;
      other.count = shared[0][from];
      for (unsigned n = 0; n < R::NUMBERS; n++) {
        for (unsigned k = 0; k < W; k++) other.numbers[n][k] = shared[1 + n * W + k][from];
      }
      merge<R>(mine, other);
    }
    __syncthreads();
    rows = half;
  }
}

// For an extent of 1: a block has up to TILE columns and some of the rows. A thread loads W columns of a row at once.
template <unsigned W, class R>
__device__ void reduceColumns(const R &r, uint32_t rows, uint32_t channels, uint32_t parts, Shared shared) {
  const uint32_t packs = channels / W, most = min(TILE / W, blockDim.x);
  const uint32_t tiles = (packs + most - 1) / most, lanes = (packs + tiles - 1) / tiles;
  const uint32_t lane = threadIdx.x % lanes, row = threadIdx.x / lanes, down = blockDim.x / lanes;
  const Parts bounds(rows, parts);
  for (uint32_t b = blockIdx.x; b < tiles * parts; b += gridDim.x) {
    const uint32_t part = b / tiles, column = b % tiles * lanes + lane;
    const bool works = row < down && column < packs;
    Reduced<W, R::NUMBERS> mine = {};
    if (works) {
      const auto each = r.template of<W>(W * column);
      const uint32_t end = bounds.begin(part + 1);
      uint32_t i = bounds.begin(part) + row;
      for (; i + (R::PLACES - 1) * down < end; i += R::PLACES * down) {
        Each<Span<W>, R::PLACES> spans;
        for (unsigned u = 0; u < R::PLACES; u++) spans[u] = {uint64_t(i + u * down) * packs + column};
        r.add(mine, spans, each);
      }
      for (; i < end; i += down) r.add(mine, Each<Span<W>, 1>{{{uint64_t(i) * packs + column}}}, each);
    }
    mergeRows<R>(mine, lane, lanes, row, down, shared);
    if (!works || row > 0) continue;
    for (unsigned k = 0; k < W; k++) {
      float numbers[R::NUMBERS];
      for (unsigned n = 0; n < R::NUMBERS; n++) numbers[n] = mine.numbers[n][k];
      r.put(part * channels + W * column + k, W * column + k, numbers);
    }
  }
}

// For channels whose values lie in `batch` runs: a block has some of one channel's values. A thread loads W of a run at
// once.
template <unsigned W, class R>
__device__ void reduceRuns(const R &r, uint32_t batch, uint32_t channels, uint32_t extent, uint32_t parts,
                           Shared shared) {
  const uint32_t packs = extent / W;
  const Parts bounds(batch * extent, parts);
  const Place step(blockDim.x, batch, packs);
  for (uint32_t b = blockIdx.x; b < channels * parts; b += gridDim.x) {
    const uint32_t part = b / channels, c = b % channels;
    const auto same = r.template of<1>(c);
    Each<std::decay_t<decltype(same[0])>, W> each;
    for (unsigned k = 0; k < W; k++) each[k] = same[0];
    const uint32_t end = bounds.begin(part + 1) / W;
    uint32_t i = bounds.begin(part) / W + threadIdx.x;
    Place place(i, batch, packs);
    const auto next = [&] {
      const Span<W> at = {uint64_t(place.outer * channels + c) * packs + place.inner};
      place.advance(step, batch, packs);
      return at;
    };
    Reduced<W, R::NUMBERS> mine = {};
    for (; i + (R::PLACES - 1) * blockDim.x < end; i += R::PLACES * blockDim.x) {
      Each<Span<W>, R::PLACES> spans;
      for (unsigned u = 0; u < R::PLACES; u++) spans[u] = next();
      r.add(mine, spans, each);
    }
    for (; i < end; i += blockDim.x) r.add(mine, Each<Span<W>, 1>{{next()}}, each);
    Reduced<1, R::NUMBERS> all = {};
    for (unsigned k = 0; k < W; k++) {
      Reduced<1, R::NUMBERS> lane = {mine.count};
      for (unsigned n = 0; n < R::NUMBERS; n++) lane.numbers[n][0] = mine.numbers[n][k];
      merge<R>(all, lane);
    }
    mergeRows<R>(all, 0, 1, threadIdx.x, blockDim.x, shared);
    if (threadIdx.x > 0) continue;
    float numbers[R::NUMBERS];
    for (unsigned n = 0; n < R::NUMBERS; n++) numbers[n] = all.numbers[n][0];
    r.put(part * channels + c, c, numbers);
  }
}

// Reduces a tensor. `aligned` says whether 16 bytes can move at once in each of its buffers.
template <class R>
__device__ void reduceChannels(const R &r, uint32_t batch, uint32_t channels, uint32_t extent, uint32_t parts,
                               bool aligned) {
  __shared__ float shared[1 + R::NUMBERS * WIDE][REDUCE_THREADS / 2];
  if (extent == 1 && aligned && channels % WIDE == 0) {
    reduceColumns<WIDE>(r, batch, channels, parts, shared);
  } else if (extent == 1) {
    reduceColumns<1>(r, batch, channels, parts, shared);
  } else if (aligned && extent % WIDE == 0) {
    reduceRuns<WIDE>(r, batch, channels, extent, parts, shared);
  } else {
    reduceRuns<1>(r, batch, channels, extent, parts, shared);
  }
}

// Walks over tensors (batch, channels, extent): NCHW with extent = H*W; NHWC with a batch of N*H*W and extent 1; or what
// a dense layer gives, with extent 1. They hold at most 2^31 values. A thread divides once to find its place and goes on
// by additions.
#pragma once

#include <type_traits>

#include "value.cuh"

// A place in rows of `inners` values, of which `outers` make a round.
struct Place {
  uint32_t outer, inner;

  __device__ Place(uint32_t value, uint32_t outers, uint32_t inners)
      : outer(value / inners % outers), inner(value % inners) {}

  __device__ void next(uint32_t outers, uint32_t inners) {
    if (++inner < inners) return;
    inner = 0;
    if (++outer == outers) outer = 0;
  }

  __device__ void advance(const Place &step, uint32_t outers, uint32_t inners) {
    inner += step.inner;
    outer += step.outer;
    if (inner >= inners) {
      inner -= inners;
      outer++;
    }
    if (outer >= outers) outer -= outers;
  }
};

template <unsigned W, class Body>
__device__ void forEachInChannels(uint64_t first, uint64_t end, uint32_t channels, uint32_t extent, Body body) {
  first += W * gridThread();
  if (first >= end) return;
  const Place step(W * gridThreads(), channels, extent);
  Place place(first, channels, extent);
  for (; first < end; first += W * gridThreads()) {
    Pack<uint32_t, W> channel;
    Place lane = place;
    for (unsigned k = 0; k < W; k++) {
      channel[k] = lane.outer;
      lane.next(channels, extent);
    }
    body(Span<W>{first / W}, channel);
    place.advance(step, channels, extent);
  }
}

// Calls body(span, channel) as forEach of grid.cuh does, for all the grid's threads; channel[k] is that of the span's value
// k. A span may hold the end of one channel and the start of the next.
template <class Body>
__device__ void forEachInChannels(uint32_t count, uint32_t channels, uint32_t extent, bool aligned, Body body) {
  const uint32_t packed = aligned ? count / WIDE * WIDE : 0;
  forEachInChannels<WIDE>(0, packed, channels, extent, body);
  forEachInChannels<1>(packed, count, channels, extent, body);
}

template <unsigned W, class Body>
__device__ void forEachOfChannel(Team team, uint32_t c, uint32_t batch, uint32_t channels, uint32_t extent, Body body) {
  const uint32_t spans = extent / W, total = batch * spans;
  if (team.rank >= total) return;
  const Place step(team.size, batch, spans);
  Place place(team.rank, batch, spans);
  for (uint64_t i = team.rank; i < total; i += team.size) {
    body(Span<W>{(place.outer * channels + c) * spans + place.inner});
    place.advance(step, batch, spans);
  }
}

// Calls body(span) for the values of channel c, which lie in `batch` runs.
template <class Body>
__device__ void forEachOfChannel(Team team, uint32_t c, uint32_t batch, uint32_t channels, uint32_t extent,
                                 bool aligned, Body body) {
  if (aligned && extent % WIDE == 0) {
    forEachOfChannel<WIDE>(team, c, batch, channels, extent, body);
  } else {
    forEachOfChannel<1>(team, c, batch, channels, extent, body);
  }
}

// T for each of W values.
template <class T, unsigned W>
struct Each {
  T lane[W];
  __device__ T &operator[](unsigned k) { return lane[k]; }
  __device__ const T &operator[](unsigned k) const { return lane[k]; }
};

// The W numbers from[first], from[first+1], and so on. W divides `first`.
template <unsigned W>
__device__ Pack<float, W> numbersFrom(const float *from, uint32_t first) {
  Pack<float, W> numbers;
  if constexpr (W % 4 == 0) {
    if (aligned(from)) {
      for (unsigned q = 0; q < W / 4; q++) {
        const auto four = load(from, Span<4>{first / 4 + q});
        for (unsigned k = 0; k < 4; k++) numbers[4 * q + k] = four[k];
      }
      return numbers;
    }
  }
  for (unsigned k = 0; k < W; k++) numbers[k] = from[first + k];
  return numbers;
}

// As the next function, for an extent of 1 and a multiple of W channels. A thread stays in W columns, so it fetches their
// numbers only once.
template <unsigned W, class Numbers, class Body>
__device__ void forEachInColumns(uint32_t rows, uint32_t channels, const Numbers &numbers, Body body) {
  const uint32_t packs = channels / W;
  const uint32_t across = min(uint64_t(packs), gridThreads()), down = gridThreads() / across;
  const uint32_t row = gridThread() / across;
  if (row >= down) return;
  for (uint32_t column = gridThread() % across; column < packs; column += across) {
    const auto each = numbers.template of<W>(W * column);
    for (uint64_t r = row; r < rows; r += down) body(Span<W>{r * packs + column}, each);
  }
}

// The numbers of the channels of W values. They are fetched while the values are gone through, in order, once for values of
// one channel that follow each other.
template <unsigned W, class Numbers>
struct Fetched {
  const Numbers &numbers;
  const Pack<uint32_t, W> &channel;
  std::decay_t<decltype(numbers.template of<1>(0)[0])> last;

  __device__ const auto &operator[](unsigned k) {
    if (k == 0 || channel[k] != channel[k - 1]) last = numbers.template of<1>(channel[k])[0];
    return last;
  }
};

// Calls body(span, each) for all values of a tensor of `count` values, shared out among the grid's threads. each[k] are
// the numbers of the channel of the span's value k; the body takes each[0], each[1], and so on, each of them once.
// numbers.of<W>(c) gives the numbers of the W channels from c on.
template <class Numbers, class Body>
__device__ void forEachWithNumbers(uint32_t count, uint32_t channels, uint32_t extent, bool aligned, Numbers numbers,
                                   Body body) {
  if (extent == 1 && aligned && channels % WIDE == 0) {
    forEachInColumns<WIDE>(count / channels, channels, numbers, body);
  } else {
    forEachInChannels(count, channels, extent, aligned, [=](auto at, const auto &channel) {
      body(at, Fetched<at.width, Numbers>{numbers, channel});
    });
  }
}

// Walks over tensors (batch, channels, extent): NCHW with extent = H*W; NHWC with a batch of N*H*W and extent 1; or what
// a dense layer gives, with extent 1. They hold at most 2^31 values. A thread divides once to find its place and goes on by additions.
#pragma once

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

// Calls body(span, channel) as forEach does, for all the grid's threads; channel[k] is that of the span's value k. A
// span may hold the end of one channel and the start of the next.
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

// Dropout. Its mask is computed, not kept, so that the forward and the backward pass are the same kernel.
#include "step.cuh"
#include "value.cuh"

// Philox4x32 with ten rounds (Salmon et al., SC11), as in package net.
__device__ inline uint4 philox(uint2 key, uint4 counter) {
  for (int round = 0; round < 10; round++) {
    const uint32_t h0 = __umulhi(0xD2511F53u, counter.x), l0 = 0xD2511F53u * counter.x;
    const uint32_t h1 = __umulhi(0xCD9E8D57u, counter.z), l1 = 0xCD9E8D57u * counter.z;
    counter = make_uint4(h1 ^ counter.y ^ key.x, l1, h0 ^ counter.w ^ key.y, l0);
    key.x += 0x9E3779B9u;
    key.y += 0xBB67AE85u;
  }
  return counter;
}

__device__ inline uint32_t word(uint4 v, uint32_t k) { return k & 2 ? (k & 1 ? v.w : v.z) : (k & 1 ? v.y : v.x); }

// y = x * scale where net.DropoutKeep keeps the value, else 0; `last` is the counter's last word. Serves forward (x, y)
// and backward (dy, dx). y may be x. Value i of a mini-batch is value first * size + i of the update's samples, where
// `first` is the slot's and `size` is the number of values of a sample. The numbers count from channel to channel. Where
// `channels` isn't 1, so many are interleaved, and there are at most 2^31 values. Where `add` is not 0, it adds to y.
// Limit: two moves a value, three to add. Four values share a call of philox, unless channels are interleaved.
extern "C" __global__ void __launch_bounds__(256)
    dropout(Value *y, const Value *x, const StepState *__restrict__ state, const Queued *__restrict__ queued,
            uint64_t count, uint64_t size, uint32_t channels, uint32_t keyLow, uint32_t keyHigh, uint32_t last,
            uint32_t threshold, float scale, int32_t add) {
  const int64_t step = state->step;
  const uint64_t start = queued[state->slot].first * size;
  const auto words = [=](uint64_t block) {
    return philox(make_uint2(keyLow, keyHigh),
                  make_uint4(uint32_t(block), uint32_t(step), uint32_t(step >> 32), last));
  };
  const auto keep = [=](uint4 four, uint64_t number, float v) {
    return word(four, uint32_t(number % 4)) >= threshold ? v * scale : 0;
  };
  if (channels == 1) {
    forEach<WIDE>(grid(), count, aligned<WIDE>(y, x), [=](auto at) {
      const uint64_t from = start + at.first();
      auto v = load(x, at);
      uint4 four = words(from / 4);
      for (unsigned k = 0; k < at.width; k++) {
        if (k > 0 && (from + k) % 4 == 0) four = words((from + k) / 4);
        v[k] = keep(four, from + k, v[k]);
      }
      storeOrAdd(y, at, v, add);
    });
    return;
  }
  const uint32_t extent = uint32_t(size) / channels;
  forEach(grid(), count, false, [=](auto at) {
    const uint32_t i = uint32_t(at.first()), n = i / uint32_t(size), within = i - n * uint32_t(size);
    const uint32_t pixel = within / channels, channel = within - pixel * channels;
    const uint64_t number = start + n * size + channel * extent + pixel;
    auto v = load(x, at);
    for (unsigned k = 0; k < at.width; k++) v[k] = keep(words(number / 4), number, v[k]);
    storeOrAdd(y, at, v, add);
  });
}

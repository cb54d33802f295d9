// What a network with branches needs: sums, products and parts of tensors. Each kernel writes its result or, where `add`
// is not 0, adds it to what is there, as the gradient of a value with several uses wants.
#include "channels.cuh"
#include "step.cuh"

// y = a + b. y may be a or b. Limit: three moves a value.
extern "C" __global__ void __launch_bounds__(256) add(Value *y, const Value *a, const Value *b, uint64_t count) {
  forEach<WIDE>(grid(), count, aligned<WIDE>(y, a, b), [=](auto at) {
    auto v = load(a, at);
    const auto w = load(b, at);
    for (unsigned k = 0; k < at.width; k++) v[k] += w[k];
    store(y, at, v);
  });
}

// y = ReLU(a + b). A NaN stays one. y may be a or b. Limit: three moves a value.
extern "C" __global__ void __launch_bounds__(256) add_relu(Value *y, const Value *a, const Value *b, uint64_t count) {
  forEach<WIDE>(grid(), count, aligned<WIDE>(y, a, b), [=](auto at) {
    auto v = load(a, at);
    const auto w = load(b, at);
    for (unsigned k = 0; k < at.width; k++) {
      const float sum = v[k] + w[k];
      v[k] = sum <= 0 ? 0 : sum;
    }
    store(y, at, v);
  });
}

// The gradients of both a and b: dy where y > 0, and 0 * dy elsewhere, so that a NaN is not swallowed. Each is written, or
// added where its `add` is not 0. Where da or db is null, it is not wanted. da or db may be dy where nothing is added to
// it. Limit: 12 bytes a value, 4 more for the other gradient and 4 for each sum; half of it in bfloat16.
extern "C" __global__ void __launch_bounds__(256)
    add_relu_backward(Value *da, Value *db, const Value *dy, const Value *y, uint64_t count, int32_t addA,
                      int32_t addB) {
  forEach<WIDE>(grid(), count, aligned<WIDE>(da, db, dy, y), [=](auto at) {
    auto d = load(dy, at);
    const auto v = load(y, at);
    for (unsigned k = 0; k < at.width; k++) d[k] *= v[k] > 0 ? 1 : 0;
    if (da) storeOrAdd(da, at, d, addA);
    if (db) storeOrAdd(db, at, d, addB);
  });
}

// y = factor * x. y may be x. Limit: two moves a value, three to add.
extern "C" __global__ void __launch_bounds__(256)
    scale(Value *y, const Value *x, uint64_t count, float factor, int32_t add) {
  forEach<WIDE>(grid(), count, aligned<WIDE>(y, x), [=](auto at) {
    auto v = load(x, at);
    for (unsigned k = 0; k < at.width; k++) v[k] *= factor;
    storeOrAdd(y, at, v, add);
  });
}

// y = a * b, forward and, as da = dy * b, backward. y may be a or b. Limit: three moves a value, four to add.
extern "C" __global__ void __launch_bounds__(256)
    multiply(Value *y, const Value *a, const Value *b, uint64_t count, int32_t add) {
  forEach<WIDE>(grid(), count, aligned<WIDE>(y, a, b), [=](auto at) {
    auto v = load(a, at);
    const auto w = load(b, at);
    for (unsigned k = 0; k < at.width; k++) v[k] *= w[k];
    storeOrAdd(y, at, v, add);
  });
}

// Of interleaved channels: a thread multiplies W channels of a pixel, which has packs*W of them.
template <unsigned W>
__device__ void multiplyRowsLast(Value *y, const Value *x, const Value *gate, uint32_t rows, uint32_t extent,
                                 uint32_t packs, bool add) {
  const uint32_t total = rows * extent * packs;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const uint32_t pixel = k / packs, pack = k - pixel * packs, row = pixel / extent;
    auto v = load(x, Span<W>{k});
    const auto factor = load(gate, Span<W>{row * packs + pack});
    for (unsigned c = 0; c < W; c++) v[c] *= factor[c];
    storeOrAdd(y, Span<W>{k}, v, add);
  }
}

// y[r, i, c] = x[r, i, c] * gate[r, c] for rows of `extent` pixels with `channels` interleaved channels. NCHW has a row for
// each channel of each sample, and one channel. NHWC has a row for each sample. Serves forward (x, y) and backward (dy,
// dx). y may be x. Limit: two moves a value, three to add.
extern "C" __global__ void __launch_bounds__(256)
    multiply_rows(Value *y, const Value *x, const Value *__restrict__ gate, uint32_t rows, uint32_t extent,
                  uint32_t channels, int32_t add) {
  if (channels == 1) {
    forEachInChannels(rows * extent, rows, extent, aligned<WIDE>(y, x), [=](auto at, auto row) {
      auto v = load(x, at);
      for (unsigned k = 0; k < at.width; k++) v[k] *= widened(gate[row[k]]);
      storeOrAdd(y, at, v, add);
    });
  } else if (channels % WIDE == 0 && aligned<WIDE>(y, x, gate)) {
    multiplyRowsLast<WIDE>(y, x, gate, rows, extent, channels / WIDE, add);
  } else {
    multiplyRowsLast<1>(y, x, gate, rows, extent, channels, add);
  }
}

// A block's share of a row with interleaved channels: `packs` threads take W*packs neighbouring channels of each pixel.
// packs is a power of two.
template <unsigned W>
struct GateTile {
  uint32_t packs;

  // What a block takes of a pixel has 64 bytes where W values move at once: whole sectors, and many blocks for few rows.
  __device__ explicit GateTile(uint32_t channels) : packs(1) {
    const uint32_t most = W > 1 ? 64 / sizeof(Value) / W : 32;
    while (packs < most && W * packs < channels) packs *= 2;
  }

  // Adds up what the threads of each pack have, in a fixed order. All threads of the block must call. Thread i gets the
  // sum of the tile's channel i, if there is one.
  __device__ float sum(Pack<float, W> v) const {
    __shared__ float shared[8][32];  // of a block's warps, and of a tile's channels
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

// The gate gradient of interleaved channels. A block sums a tile of a row.
template <unsigned W, class Done>
__device__ void multiplyRowsGateLast(const Value *dy, const Value *x, uint32_t rows, uint32_t extent,
                                     uint32_t channels, Done done) {
  const GateTile<W> tile(channels);
  const uint32_t packs = channels / W, tiles = (packs + tile.packs - 1) / tile.packs;
  for (uint32_t b = blockIdx.x; b < rows * tiles; b += gridDim.x) {
    const uint32_t row = b / tiles, first = (b - row * tiles) * tile.packs, pack = first + threadIdx.x % tile.packs;
    Pack<float, W> sums = {};
    for (uint32_t i = threadIdx.x / tile.packs; i < extent && pack < packs; i += blockDim.x / tile.packs) {
      const Span<W> at{(row * extent + i) * packs + pack};
      const auto d = load(dy, at), v = load(x, at);
      for (unsigned k = 0; k < W; k++) sums[k] += d[k] * v[k];
    }
    const float sum = tile.sum(sums);
    const uint32_t c = W * first + threadIdx.x;
    if (threadIdx.x < W * tile.packs && c < channels) done(row * channels + c, sum);
  }
}

// dgate[r, c] = sum over i of dy[r, i, c] * x[r, i, c], in an order that is fixed by the number of threads. With one channel
// a block sums a row; with several it sums up to 32 of them. Limit: dy and x read once.
extern "C" __global__ void __launch_bounds__(256)
    multiply_rows_gate(Value *dgate, const Value *__restrict__ dy, const Value *__restrict__ x, uint32_t rows,
                       uint32_t extent, uint32_t channels, int32_t add) {
  __shared__ float shared[32];
  const bool wide = aligned<WIDE>(dy, x);
  const auto done = [=](uint32_t i, float sum) { put(dgate + i, add ? widened(dgate[i]) + sum : sum); };
  if (channels > 1 && channels % WIDE == 0 && wide) {
    multiplyRowsGateLast<WIDE>(dy, x, rows, extent, channels, done);
  } else if (channels > 1) {
    multiplyRowsGateLast<1>(dy, x, rows, extent, channels, done);
  } else {
    for (uint32_t r = blockIdx.x; r < rows; r += gridDim.x) {
      float sum = 0;
      forEachOfChannel(block(), r, 1, rows, extent, wide, [&](auto at) {
        const auto d = load(dy, at), v = load(x, at);
        for (unsigned k = 0; k < at.width; k++) sum += d[k] * v[k];
      });
      sum = blockSum(sum, shared);
      if (threadIdx.x == 0) done(r, sum);
    }
  }
}

template <unsigned W>
__device__ void copyBlocks(Value *y, const Value *x, uint32_t blocks, uint32_t count, uint32_t yPitch, uint32_t xPitch,
                           bool add) {
  const uint64_t total = uint64_t(blocks) * count;
  if (gridThread() >= total) return;
  const Place step(gridThreads(), blocks, count);
  Place place(gridThread(), blocks, count);
  for (uint64_t i = gridThread(); i < total; i += gridThreads()) {
    const Span<W> from{uint64_t(place.outer) * xPitch + place.inner}, to{uint64_t(place.outer) * yPitch + place.inner};
    storeOrAdd(y, to, load(x, from), add);
    place.advance(step, blocks, count);
  }
}

// y[n * yPitch + i] = x[n * xPitch + i] for i < count: a block of each of `blocks` samples, from a place in samples of
// one size to a place in samples of another. Limit: two moves a value, three to add.
extern "C" __global__ void __launch_bounds__(256)
    copy_blocks(Value *__restrict__ y, const Value *__restrict__ x, uint32_t blocks, uint32_t count, uint32_t yPitch,
                uint32_t xPitch, int32_t add) {
  if (aligned<WIDE>(y, x) && count % WIDE == 0 && yPitch % WIDE == 0 && xPitch % WIDE == 0) {
    copyBlocks<WIDE>(y, x, blocks, count / WIDE, yPitch / WIDE, xPitch / WIDE, add);
  } else {
    copyBlocks<1>(y, x, blocks, count, yPitch, xPitch, add);
  }
}

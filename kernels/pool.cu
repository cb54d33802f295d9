// Pooling: bias, ReLU and 2x2 max pooling in one kernel with its backward, and general windows for what cuDNN cannot do
// (L2 pooling, padding that is not symmetric) or not deterministically (the backward of max pooling).
#include "channels.cuh"
#include "greatest.cuh"
#include "reduce.cuh"

// Of NCHW. A thread makes one value, from W columns at once.
template <unsigned W>
__device__ void biasReluPool(Value *y, uint8_t *mask, const Value *x, const float *bias, uint32_t batch,
                             uint32_t channels, uint32_t h, uint32_t w, uint32_t outH, uint32_t outW) {
  const uint32_t total = batch * channels * outH * outW;
  for (uint64_t k = gridThread(); k < total; k += gridThreads()) {
    const uint32_t row = uint32_t(k) / outW, plane = row / outH;
    const uint32_t ow = uint32_t(k) - row * outW, oh = row - plane * outH;
    const Value *in = x + plane * h * w;
    const float b = bias[plane % channels];
    Greatest best;
    for (uint32_t r = 0; r < 2 && 2 * oh + r < h; r++) {
      for (uint32_t s = 0; s < 2 && 2 * ow + s < w; s += W) {
        const auto v = load(in + (2 * oh + r) * w + 2 * ow, Span<W>{s / W});
        for (uint32_t i = 0; i < W; i++) best.take(v[i] + b, 2 * r + s + i);
      }
    }
    put(y + k, best.value);
    mask[k] = best.where;
  }
}

// Of NHWC. A thread makes W channels of a window.
template <unsigned W>
__device__ void biasReluPoolLast(Value *y, uint8_t *mask, const Value *x, const float *bias, uint32_t batch,
                                 uint32_t channels, uint32_t h, uint32_t w, uint32_t outH, uint32_t outW) {
  const uint32_t packs = channels / W, total = batch * outH * outW * packs;
  for (uint64_t k = gridThread(); k < total; k += gridThreads()) {
    const uint32_t window = uint32_t(k) / packs, pack = uint32_t(k) - window * packs;
    const uint32_t row = window / outW, n = row / outH, ow = window - row * outW, oh = row - n * outH;
    const auto b = numbersFrom<W>(bias, W * pack);
    Pack<float, W> v[4];  // all are on their way before one is looked at; what is beyond the border isn't taken
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
      const uint32_t ih = min(2 * oh + i / 2, h - 1), iw = min(2 * ow + i % 2, w - 1);
      v[i] = load(x, Span<W>{((n * h + ih) * w + iw) * packs + pack});
    }
    Greatest best[W];
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
      if (2 * oh + i / 2 >= h || 2 * ow + i % 2 >= w) continue;
      for (unsigned c = 0; c < W; c++) best[c].take(v[i][c] + b[c], i);
    }
    Pack<float, W> values;
    Pack<uint8_t, W> where;
    for (unsigned c = 0; c < W; c++) {
      values[c] = best[c].value;
      where[c] = best[c].where;
    }
    store(y, Span<W>{k}, values);
    store(mask, Span<W>{k}, where);
  }
}

// y[n,c,oh,ow] = max(0, max over the 2x2 window of x[n,c,2*oh+r,2*ow+s] + bias[c]); where `last` is set, the channels are
// the last dimension of x, y and mask. mask says where the maximum was; see Greatest. Windows may reach over the border at
// the bottom and right (padding never takes part). Limit: x read once, y and a byte an output written: a move and a
// quarter a value of x, and a quarter of a byte.
extern "C" __global__ void __launch_bounds__(256)
    bias_relu_pool(Value *__restrict__ y, uint8_t *__restrict__ mask, const Value *__restrict__ x,
                   const float *__restrict__ bias, uint32_t batch, uint32_t channels, uint32_t h, uint32_t w,
                   uint32_t outH, uint32_t outW, int32_t last) {
  if (last && channels % WIDE == 0 && aligned<WIDE>(y, mask, x)) {
    biasReluPoolLast<WIDE>(y, mask, x, bias, batch, channels, h, w, outH, outW);
  } else if (last) {
    biasReluPoolLast<1>(y, mask, x, bias, batch, channels, h, w, outH, outW);
  } else if (w % 2 == 0 && aligned<2>(x)) {
    biasReluPool<2>(y, mask, x, bias, batch, channels, h, w, outH, outW);
  } else {
    biasReluPool<1>(y, mask, x, bias, batch, channels, h, w, outH, outW);
  }
}

// Of NCHW. A thread writes the 2x2 values of a window, W columns at once.
template <unsigned W>
__device__ void biasReluPoolBackward(Value *dx, const Value *dy, const uint8_t *mask, uint32_t planes, uint32_t h,
                                     uint32_t w, uint32_t outH, uint32_t outW) {
  const uint32_t windowsH = (h + 1) / 2, windowsW = (w + 1) / 2, total = planes * windowsH * windowsW;
  for (uint64_t k = gridThread(); k < total; k += gridThreads()) {
    const uint32_t row = uint32_t(k) / windowsW, plane = row / windowsH;
    const uint32_t ow = uint32_t(k) - row * windowsW, oh = row - plane * windowsH;
    float d = 0;
    uint32_t where = 0;
    if (oh < outH && ow < outW) {
      const uint32_t o = (plane * outH + oh) * outW + ow;
      where = mask[o] % 4;
      d = widened(dy[o]) * (mask[o] < 4 ? 1 : 0);
    }
    for (uint32_t r = 0; r < 2 && 2 * oh + r < h; r++) {
      for (uint32_t s = 0; s < 2 && 2 * ow + s < w; s += W) {
        Pack<float, W> v;
        for (uint32_t i = 0; i < W; i++) v[i] = where == 2 * r + s + i ? d : 0;
        store(dx + (plane * h + 2 * oh + r) * w + 2 * ow, Span<W>{s / W}, v);
      }
    }
  }
}

// Of NHWC. A thread writes W channels of the 2x2 values of a window.
template <unsigned W>
__device__ void biasReluPoolBackwardLast(Value *dx, const Value *dy, const uint8_t *mask, uint32_t batch,
                                         uint32_t channels, uint32_t h, uint32_t w, uint32_t outH, uint32_t outW) {
  const uint32_t windowsH = (h + 1) / 2, windowsW = (w + 1) / 2, packs = channels / W;
  const uint32_t total = batch * windowsH * windowsW * packs;
  for (uint64_t k = gridThread(); k < total; k += gridThreads()) {
    const uint32_t window = uint32_t(k) / packs, pack = uint32_t(k) - window * packs;
    const uint32_t row = window / windowsW, n = row / windowsH, ow = window - row * windowsW, oh = row - n * windowsH;
    Pack<float, W> d = {};
    Pack<uint8_t, W> where = {};
    if (oh < outH && ow < outW) {
      const Span<W> o{((n * outH + oh) * outW + ow) * packs + pack};
      d = load(dy, o);
      where = load(mask, o);
      for (unsigned c = 0; c < W; c++) d[c] *= where[c] < 4 ? 1 : 0;
    }
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
      const uint32_t ih = 2 * oh + i / 2, iw = 2 * ow + i % 2;
      if (ih >= h || iw >= w) continue;
      Pack<float, W> v;
      for (unsigned c = 0; c < W; c++) v[c] = where[c] % 4 == i ? d[c] : 0;
      store(dx, Span<W>{((n * h + ih) * w + iw) * packs + pack}, v);
    }
  }
}

// dx of bias_relu_pool; values that no window sees get 0. Limit: as the forward pass, a move and a quarter a value of dx,
// and a quarter of a byte.
extern "C" __global__ void __launch_bounds__(256)
    bias_relu_pool_backward(Value *__restrict__ dx, const Value *__restrict__ dy, const uint8_t *__restrict__ mask,
                            uint32_t batch, uint32_t channels, uint32_t h, uint32_t w, uint32_t outH, uint32_t outW,
                            int32_t last) {
  if (last && channels % WIDE == 0 && aligned<WIDE>(dx, dy, mask)) {
    biasReluPoolBackwardLast<WIDE>(dx, dy, mask, batch, channels, h, w, outH, outW);
  } else if (last) {
    biasReluPoolBackwardLast<1>(dx, dy, mask, batch, channels, h, w, outH, outW);
  } else if (w % 2 == 0 && aligned<2>(dx)) {
    biasReluPoolBackward<2>(dx, dy, mask, batch * channels, h, w, outH, outW);
  } else {
    biasReluPoolBackward<1>(dx, dy, mask, batch * channels, h, w, outH, outW);
  }
}

// The sum of the gradients that the ReLU lets through. One that is NaN or infinite is not swallowed.
struct BiasReluPoolGradient {
  static constexpr unsigned NUMBERS = 1, PLACES = 4;
  struct Nothing {};

  float *db;
  const Value *dy;
  const uint8_t *mask;

  template <unsigned W>
  __device__ Each<Nothing, W> of(uint32_t) const {
    return {};
  }

  template <unsigned W, unsigned U>
  __device__ void add(Reduced<W, 1> &sums, const Each<Span<W>, U> &at, const Each<Nothing, W> &) const {
    Each<Pack<float, W>, U> d;
    Each<Pack<uint8_t, W>, U> where;
    for (unsigned u = 0; u < U; u++) {
      d[u] = load(dy, at[u]);
      where[u] = load(mask, at[u]);
    }
    for (unsigned u = 0; u < U; u++) {
      for (unsigned k = 0; k < W; k++) sums.numbers[0][k] += d[u][k] * (where[u][k] < 4 ? 1 : 0);
    }
  }

  static __device__ void merge(float (&a)[1], const float (&b)[1], Share) { a[0] += b[0]; }

  __device__ void put(uint32_t to, uint32_t, const float (&sum)[1]) const { db[to] = sum[0]; }
};

// The bias gradient of bias_relu_pool in `parts` parts: db[part, c] is the sum of dy[n, c, i] where mask[n, c, i] is below
// 4. column_sums over (parts, channels) adds the parts up. NHWC is a batch of its pixels, with an extent of 1. Limit: dy
// read once, and a byte a value of it.
extern "C" __global__ void __launch_bounds__(256)
    bias_relu_pool_gradient(float *__restrict__ db, const Value *__restrict__ dy, const uint8_t *__restrict__ mask,
                            uint32_t batch, uint32_t channels, uint32_t extent, uint32_t parts) {
  reduceChannels(BiasReluPoolGradient{db, dy, mask}, batch, channels, extent, parts, aligned<WIDE>(dy, mask));
}

// The same of NHWC, where a row is a window, which also writes the gradient of what was pooled.
struct BiasReluPoolGradients {
  static constexpr unsigned NUMBERS = 1, PLACES = 2;
  using Nothing = BiasReluPoolGradient::Nothing;

  float *db;
  Value *dx;
  const Value *dy;
  const uint8_t *mask;
  uint32_t channels, h, w, outH, outW;

  template <unsigned W>
  __device__ Each<Nothing, W> of(uint32_t) const {
    return {};
  }

  template <unsigned W, unsigned U>
  __device__ void add(Reduced<W, 1> &sums, const Each<Span<W>, U> &at, const Each<Nothing, W> &) const {
    Each<Pack<float, W>, U> d;
    Each<Pack<uint8_t, W>, U> where;
    for (unsigned u = 0; u < U; u++) {
      d[u] = load(dy, at[u]);
      where[u] = load(mask, at[u]);
    }
    const uint32_t packs = channels / W;
    for (unsigned u = 0; u < U; u++) {
      for (unsigned k = 0; k < W; k++) {
        d[u][k] *= where[u][k] < 4 ? 1 : 0;
        sums.numbers[0][k] += d[u][k];
      }
      const uint32_t window = uint32_t(at[u].pack) / packs, pack = uint32_t(at[u].pack) - window * packs;
      const uint32_t row = window / outW, n = row / outH, ow = window - row * outW, oh = row - n * outH;
#pragma unroll
      for (uint32_t i = 0; i < 4; i++) {
        const uint32_t ih = 2 * oh + i / 2, iw = 2 * ow + i % 2;
        if (ih >= h || iw >= w) continue;
        Pack<float, W> v;
        for (unsigned k = 0; k < W; k++) v[k] = where[u][k] % 4 == i ? d[u][k] : 0;
        store(dx, Span<W>{((n * h + ih) * w + iw) * packs + pack}, v);
      }
    }
  }

  static __device__ void merge(float (&a)[1], const float (&b)[1], Share) { a[0] += b[0]; }

  __device__ void put(uint32_t to, uint32_t, const float (&sum)[1]) const { db[to] = sum[0]; }
};

// What bias_relu_pool_backward and bias_relu_pool_gradient compute, of NHWC where every value is in a window: outH is half
// of h, rounded up, and outW of w. Limit: dy and mask read once and dx written: a move and a quarter a value of dx, and a
// quarter of a byte.
extern "C" __global__ void __launch_bounds__(256)
    bias_relu_pool_gradients(float *__restrict__ db, Value *__restrict__ dx, const Value *__restrict__ dy,
                             const uint8_t *__restrict__ mask, uint32_t batch, uint32_t channels, uint32_t h,
                             uint32_t w, uint32_t outH, uint32_t outW, uint32_t parts) {
  reduceChannels(BiasReluPoolGradients{db, dx, dy, mask, channels, h, w, outH, outW}, batch * outH * outW, channels, 1,
                 parts, aligned<WIDE>(dx, dy, mask));
}

// Images whose pixels have interleaved channels, of which W move at once. With one channel, as in the planes of NCHW, MANY
// is not set: then nothing is divided or multiplied by their number.
template <unsigned W, bool MANY>
struct Interleaved {
  static constexpr unsigned width = W;
  static constexpr bool many = MANY;
  uint32_t channels;

  // How many packs of W channels a pixel has.
  __device__ uint32_t packs() const { return MANY ? channels / W : 1; }
};

// Calls body(images) for how the values of images with so many interleaved channels move.
template <class Body>
__device__ void asInterleaved(uint32_t channels, bool aligned, Body body) {
  if (channels == 1) {
    body(Interleaved<1, false>{1});
  } else if (aligned && channels % WIDE == 0) {
    body(Interleaved<WIDE, true>{channels});
  } else {
    body(Interleaved<1, true>{channels});
  }
}

// Where pack number k is in planes of h rows and w columns.
struct Spot {
  uint32_t plane;
  int32_t row, column;
  uint32_t pack;

  template <class Images>
  __device__ Spot(uint32_t k, const Images &images, int32_t h, int32_t w) {
    const uint32_t pixel = k / images.packs(), line = pixel / uint32_t(w);
    plane = line / uint32_t(h);
    row = line - plane * h;
    column = pixel - line * w;
    pack = k - pixel * images.packs();
  }
};

struct Range {
  int32_t from, to;
  __device__ int32_t size() const { return to - from; }
};

// Windows on images of h rows and w columns: what of them lies inside, and which of them see a place. The window o of an
// axis sees `at` if o*stride - before <= at < o*stride - before + kernel.
struct Windows {
  int32_t h, w, outH, outW, kernelH, kernelW, strideH, strideW, top, left;

  __device__ Range rows(int32_t oh) const {
    return {max(oh * strideH - top, 0), min(oh * strideH - top + kernelH, h)};
  }
  __device__ Range columns(int32_t ow) const {
    return {max(ow * strideW - left, 0), min(ow * strideW - left + kernelW, w)};
  }
  __device__ Range onRow(int32_t at) const { return on(at, kernelH, strideH, top, outH); }
  __device__ Range onColumn(int32_t at) const { return on(at, kernelW, strideW, left, outW); }

  __device__ static Range on(int32_t at, int32_t kernel, int32_t stride, int32_t before, int32_t out) {
    return {max((at + before - kernel + stride) / stride, 0), min((at + before) / stride + 1, out)};
  }
};

enum { MAX_POOL = 0, MEAN_POOL = 1, L2_POOL = 2 };

// A thread pools W channels of a window.
template <class Images>
__device__ void pool(Value *y, const Value *x, int32_t mode, uint32_t planes, const Images &images, const Windows &g) {
  constexpr unsigned W = Images::width;
  const uint32_t packs = images.packs(), total = planes * g.outH * g.outW * packs;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const Spot o(k, images, g.outH, g.outW);
    const Range rows = g.rows(o.row), columns = g.columns(o.column);
    const uint32_t plane = o.plane * g.h * g.w;
    Pack<float, W> all = {};
    if (mode == MAX_POOL) {
      all = load(x, Span<W>{(plane + rows.from * g.w + columns.from) * packs + o.pack});
    }
    for (int32_t ih = rows.from; ih < rows.to; ih++) {
      for (int32_t iw = columns.from; iw < columns.to; iw++) {
        const auto v = load(x, Span<W>{(plane + ih * g.w + iw) * packs + o.pack});
        for (unsigned c = 0; c < W; c++) {
          if (mode == MAX_POOL) {
            all[c] = v[c] > all[c] || isnan(v[c]) ? v[c] : all[c];
          } else {
            all[c] += mode == L2_POOL ? v[c] * v[c] : v[c];
          }
        }
      }
    }
    for (unsigned c = 0; c < W; c++) {
      if (mode == MEAN_POOL) all[c] /= rows.size() * columns.size();
      if (mode == L2_POOL) all[c] = sqrtf(all[c]);
    }
    store(y, Span<W>{k}, all);
  }
}

constexpr uint32_t ABREAST = 16;      // packs that a block pools at once, where it shares their windows
constexpr int32_t SHARED_WINDOW = 16;  // values from which windows are shared

// Mean and L2 pooling of large windows. A block pools ABREAST neighbouring packs, and its threads share the values of the
// windows. Few outputs, as of global pooling, keep the GPU busy all the same.
template <class Images>
__device__ void poolShared(Value *y, const Value *x, int32_t mode, uint32_t planes, const Images &images,
                           const Windows &g) {
  constexpr unsigned W = Images::width;
  __shared__ float sums[256 / ABREAST][ABREAST * W];
  const uint32_t packs = images.packs(), total = planes * g.outH * g.outW * packs;
  const uint32_t part = threadIdx.x / ABREAST, parts = blockDim.x / ABREAST, lane = threadIdx.x % ABREAST;
  for (uint32_t first = blockIdx.x * ABREAST; first < total; first += gridDim.x * ABREAST) {
    Pack<float, W> sum = {};
    if (first + lane < total) {
      const Spot o(first + lane, images, g.outH, g.outW);
      const Range rows = g.rows(o.row), columns = g.columns(o.column);
      const uint32_t corner = o.plane * g.h * g.w + rows.from * g.w + columns.from, wide = columns.size();
      for (uint32_t i = part; i < rows.size() * wide; i += parts) {
        const uint32_t r = i / wide, s = i - r * wide;
        const auto v = load(x, Span<W>{(corner + r * g.w + s) * packs + o.pack});
        for (unsigned c = 0; c < W; c++) sum[c] += mode == L2_POOL ? v[c] * v[c] : v[c];
      }
    }
    for (unsigned c = 0; c < W; c++) sums[part][W * lane + c] = sum[c];
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < ABREAST * W && first + i / W < total; i += blockDim.x) {
      float all = 0;
      for (uint32_t p = 0; p < parts; p++) all += sums[p][i];
      const Spot o(first + i / W, images, g.outH, g.outW);
      const int32_t values = g.rows(o.row).size() * g.columns(o.column).size();
      put(y + W * first + i, mode == MEAN_POOL ? all / values : sqrtf(all));
    }
    __syncthreads();  // the next sums are written anew
  }
}

// General pooling: padding never takes part. A pixel has `channels` interleaved channels: 1 for NCHW, with planes = N*C;
// all of them for NHWC, with planes = N. Limit: x and y moved once where windows do not overlap; where they do, x comes
// from the cache.
extern "C" __global__ void __launch_bounds__(256)
    pool_forward(Value *__restrict__ y, const Value *__restrict__ x, int32_t mode, uint32_t planes, uint32_t channels,
                 int32_t h, int32_t w, int32_t outH, int32_t outW, int32_t kernelH, int32_t kernelW, int32_t strideH,
                 int32_t strideW, int32_t top, int32_t left) {
  const Windows windows{h, w, outH, outW, kernelH, kernelW, strideH, strideW, top, left};
  asInterleaved(channels, aligned<WIDE>(y, x), [=](auto images) {
    if constexpr (decltype(images)::many) {
      if (mode != MAX_POOL && kernelH * kernelW >= SHARED_WINDOW) {
        return poolShared(y, x, mode, planes, images, windows);
      }
    }
    pool(y, x, mode, planes, images, windows);
  });
}

// dx of max pooling, gathered: the thread of an input value adds the gradients of the windows whose first maximum it is,
// or whose last NaN, in a fixed order. A value that equals y is the first maximum unless one before it in the window
// equals it too; a NaN is the last unless there is one behind it. Channels as for pool_forward; a thread has W of them.
// Where `add` is not 0 it adds to dx. Limit: x, y and dy read and dx written once, if the windows' values before a maximum
// come from the cache.
template <class Images>
__device__ void maxPoolBackward(Value *dx, const Value *dy, const Value *x, const Value *y, uint32_t planes,
                                const Images &images, const Windows &g, bool add) {
  constexpr unsigned W = Images::width;
  const uint32_t packs = images.packs(), total = planes * g.h * g.w * packs;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const Spot at(k, images, g.h, g.w);
    const auto mine = load(x, Span<W>{k});
    const Range onRow = g.onRow(at.row), onColumn = g.onColumn(at.column);
    const uint32_t plane = at.plane * g.h * g.w;
    uint32_t nans = 0;
    for (unsigned c = 0; c < W; c++) nans |= uint32_t(isnan(mine[c])) << c;
    Pack<float, W> d = {};
    for (int32_t oh = onRow.from; oh < onRow.to; oh++) {
      for (int32_t ow = onColumn.from; ow < onColumn.to; ow++) {
        const Span<W> o{((at.plane * g.outH + oh) * g.outW + ow) * packs + at.pack};
        const auto top = load(y, o);
        uint32_t chosen = nans;  // a bit a channel
        for (unsigned c = 0; c < W; c++) chosen |= uint32_t(mine[c] == top[c]) << c;
        const Range rows = g.rows(oh), columns = g.columns(ow);
        for (int32_t ih = rows.from; ih <= at.row && chosen & ~nans; ih++) {
          const int32_t to = ih < at.row ? columns.to : at.column;
#pragma unroll 1  // more registers would cost more than they bring
          for (int32_t iw = columns.from; iw < to; iw++) {
            const auto v = load(x, Span<W>{(plane + ih * g.w + iw) * packs + at.pack});
            for (unsigned c = 0; c < W; c++) chosen &= ~(uint32_t(v[c] == mine[c]) << c);
          }
        }
        for (int32_t ih = at.row; ih < rows.to && chosen & nans; ih++) {
#pragma unroll 1
          for (int32_t iw = ih > at.row ? columns.from : at.column + 1; iw < columns.to; iw++) {
            const auto v = load(x, Span<W>{(plane + ih * g.w + iw) * packs + at.pack});
            for (unsigned c = 0; c < W; c++) chosen &= ~(uint32_t(isnan(v[c])) << c & nans);
          }
        }
        if (chosen == 0) continue;
        const auto gradient = load(dy, o);
        for (unsigned c = 0; c < W; c++) d[c] += chosen >> c & 1 ? gradient[c] : 0;
      }
    }
    storeOrAdd(dx, Span<W>{k}, d, add);
  }
}

extern "C" __global__ void __launch_bounds__(256, 4)
    max_pool_backward(Value *__restrict__ dx, const Value *__restrict__ dy, const Value *__restrict__ x,
                      const Value *__restrict__ y, uint32_t planes, uint32_t channels, int32_t h, int32_t w,
                      int32_t outH, int32_t outW, int32_t kernelH, int32_t kernelW, int32_t strideH, int32_t strideW,
                      int32_t top, int32_t left, int32_t add) {
  const Windows windows{h, w, outH, outW, kernelH, kernelW, strideH, strideW, top, left};
  asInterleaved(channels, aligned<WIDE>(dx, dy, x, y),
                [=](auto images) { maxPoolBackward(dx, dy, x, y, planes, images, windows, add); });
}

// dx of mean and L2 pooling, gathered in a fixed order. Channels as for pool_forward; a thread has W of them. Where `add`
// is not 0 it adds to dx. Limit: dx written once, and for L2 pooling x read, if the windows' gradients come from the cache.
template <class Images>
__device__ void poolBackward(Value *dx, const Value *dy, const Value *x, const Value *y, int32_t mode, uint32_t planes,
                             const Images &images, const Windows &g, bool add) {
  constexpr unsigned W = Images::width;
  const uint32_t packs = images.packs(), total = planes * g.h * g.w * packs;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const Spot at(k, images, g.h, g.w);
    const Range onRow = g.onRow(at.row), onColumn = g.onColumn(at.column);
    Pack<float, W> d = {}, mine = {};
    if (mode == L2_POOL) mine = load(x, Span<W>{k});
    for (int32_t oh = onRow.from; oh < onRow.to; oh++) {
#pragma unroll 1  // more registers would cost more than they bring
      for (int32_t ow = onColumn.from; ow < onColumn.to; ow++) {
        const Span<W> o{((at.plane * g.outH + oh) * g.outW + ow) * packs + at.pack};
        const auto gradient = load(dy, o);
        if (mode == L2_POOL) {
          const auto norm = load(y, o);
          for (unsigned c = 0; c < W; c++) d[c] += norm[c] != 0 ? gradient[c] * mine[c] / norm[c] : 0;
        } else {
          const float share = 1.0f / (g.rows(oh).size() * g.columns(ow).size());
          for (unsigned c = 0; c < W; c++) d[c] += gradient[c] * share;
        }
      }
    }
    storeOrAdd(dx, Span<W>{k}, d, add);
  }
}

extern "C" __global__ void __launch_bounds__(256)
    pool_backward(Value *__restrict__ dx, const Value *__restrict__ dy, const Value *__restrict__ x,
                  const Value *__restrict__ y, int32_t mode, uint32_t planes, uint32_t channels, int32_t h, int32_t w,
                  int32_t outH, int32_t outW, int32_t kernelH, int32_t kernelW, int32_t strideH, int32_t strideW,
                  int32_t top, int32_t left, int32_t add) {
  const Windows windows{h, w, outH, outW, kernelH, kernelW, strideH, strideW, top, left};
  asInterleaved(channels, aligned<WIDE>(dx, dy, x, y),
                [=](auto images) { poolBackward(dx, dy, x, y, mode, planes, images, windows, add); });
}

// Padding that cuDNN's symmetric descriptors cannot say: xp (planes, ph, pw, channels) is x (planes, h, w, channels) with
// `top` rows and `left` columns of zeros before it and what remains of ph and pw after it. Channels as for pool_forward.
// Limit: two moves a value.
extern "C" __global__ void __launch_bounds__(256)
    pad(Value *__restrict__ xp, const Value *__restrict__ x, uint32_t planes, uint32_t channels, int32_t h, int32_t w,
        int32_t ph, int32_t pw, int32_t top, int32_t left) {
  asInterleaved(channels, aligned<WIDE>(xp, x), [=](auto images) {
    constexpr unsigned W = decltype(images)::width;
    const uint32_t packs = images.packs(), total = planes * ph * pw * packs;
    for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
      const Spot at(k, images, ph, pw);
      const int32_t ih = at.row - top, iw = at.column - left;
      Pack<float, W> v = {};
      if (ih >= 0 && ih < h && iw >= 0 && iw < w) {
        v = load(x, Span<W>{((at.plane * h + ih) * w + iw) * packs + at.pack});
      }
      store(xp, Span<W>{k}, v);
    }
  });
}

// The inside of xp again, or added to x where `add` is not 0. Limit: two moves a value, three to add.
extern "C" __global__ void __launch_bounds__(256)
    crop(Value *__restrict__ x, const Value *__restrict__ xp, uint32_t planes, uint32_t channels, int32_t h, int32_t w,
         int32_t ph, int32_t pw, int32_t top, int32_t left, int32_t add) {
  asInterleaved(channels, aligned<WIDE>(x, xp), [=](auto images) {
    constexpr unsigned W = decltype(images)::width;
    const uint32_t packs = images.packs(), total = planes * h * w * packs;
    for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
      const Spot at(k, images, h, w);
      const uint32_t from = (at.plane * ph + at.row + top) * pw + at.column + left;
      storeOrAdd(x, Span<W>{k}, load(xp, Span<W>{from * packs + at.pack}), add);
    }
  });
}

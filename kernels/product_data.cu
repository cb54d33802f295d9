// The input gradients of convolutions, by tensor cores.
#include "mma.cuh"
#include "product.cuh"

// A block's tile is of places that see the same taps: see Phase.
template <class T, bool WIDE>
__device__ void convolveBack(BFloat16 *dx, const BFloat16 *dy, const BFloat16 *weight, uint32_t batch,
                             uint32_t channels, int32_t h, int32_t w, uint32_t filters, int32_t outH, int32_t outW,
                             uint32_t kernelH, uint32_t kernelW, int32_t strideH, int32_t strideW, int32_t dilationH,
                             int32_t dilationW, int32_t top, int32_t left, int32_t add) {
  __shared__ Chunk shared[T::CHUNKS];
  const uint32_t most = batch * ((h + strideH - 1) / strideH) * ((w + strideW - 1) / strideW);
  const uint32_t across = (channels + T::N - 1) / T::N, tiles = (most + T::M - 1) / T::M * across;
  const uint32_t phase = blockIdx.x / tiles, tile = blockIdx.x % tiles;
  const uint32_t first = tile / across * T::M, column = tile % across * T::N;
  const Phase rows(phase / strideW, h, outH, kernelH, strideH, dilationH, top);
  const Phase columns(phase % strideW, w, outW, kernelW, strideW, dilationW, left);
  const uint32_t count = batch * rows.places * columns.places;
  if (first >= count) return;
  const auto outputs = [&](uint32_t row, Output &o) {
    const uint32_t at = first + row, line = at / columns.places;
    o = {line / rows.places, int32_t(line % rows.places), int32_t(at % columns.places)};
    return at < count;
  };

  const Images images = {dy, filters, rows.axis, columns.axis};
  ImageRows<T::M, WIDE> leftFrom(images, outputs);
  FilterColumns<T::N, WIDE> rightFrom(weight, images, rows, columns, kernelH, kernelW, channels, column);
  Sums<T> sums = {};
  multiply<T, false, true>(sums, shared, leftFrom, rightFrom, (images.steps() + DEPTH - 1) / DEPTH);

  float *made = reinterpret_cast<float *>(shared);
  spread(made, sums);
  constexpr uint32_t PER_ROW = T::N / 8;
  const uint32_t c = column + threadIdx.x % PER_ROW * 8;
  const bool whole = channels % 8 == 0 && aligned<8>(dx);
  for (uint32_t row = threadIdx.x / PER_ROW; row < T::M; row += PRODUCT_THREADS / PER_ROW) {
    Output o;
    if (!outputs(row, o)) break;
    const auto v = gathered<T>(made, row, threadIdx.x % PER_ROW * 8);
    const uint32_t ih = rows.a + strideH * o.i, iw = columns.a + strideW * o.j;
    BFloat16 *to = dx + (((o.n * h + ih) * w + iw) * channels + c);
    if (whole && c < channels) {
      storeOrAdd(to, Span<8>{0}, v, add);
    } else {
      for (unsigned k = 0; k < 8; k++) {
        if (c + k < channels) storeOrAdd(to, Span<1>{k}, Pack<float, 1>{v[k]}, add);
      }
    }
  }
}

#define PARAMETERS                                                                                               \
  BFloat16 *__restrict__ dx, const BFloat16 *__restrict__ dy, const BFloat16 *__restrict__ weight,               \
      uint32_t batch, uint32_t channels, int32_t h, int32_t w, uint32_t filters, uint32_t outH, uint32_t outW,   \
      uint32_t kernelH, uint32_t kernelW, int32_t strideH, int32_t strideW, int32_t dilationH, int32_t dilationW, \
      int32_t top, int32_t left, int32_t add
#define ARGUMENTS                                                                                                 \
  dx, dy, weight, batch, channels, h, w, filters, outH, outW, kernelH, kernelW, strideH, strideW, dilationH,      \
      dilationW, top, left, add

// dx[n, ih, iw, c] = the sum over k and all (i, j) and (r, s) that see (ih, iw) of dy[n, i, j, k] * weight[k, r, s, c]; it is
// added to dx where `add` is set. The kernels differ in their tiles, which have a block each: places of dx by
// channels. The odd ones take any number of channels and filters and any addresses, the others only multiples of eight, and dy
// and weight where 16 bytes can move at once. A stride does not make them slower: places see only some taps.
extern "C" __global__ void __launch_bounds__(128, 4) conv_data_128x64(PARAMETERS) {
  convolveBack<Tiling<128, 64, 2>, true>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128, 5) conv_data_64x64(PARAMETERS) {
  convolveBack<Tiling<64, 64, 2>, true>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_data_128x32(PARAMETERS) {
  convolveBack<Tiling<128, 32, 4>, true>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128, 6) conv_data_64x32(PARAMETERS) {
  convolveBack<Tiling<64, 32, 2>, true>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128, 3) conv_data_odd_128x64(PARAMETERS) {
  convolveBack<Tiling<128, 64, 2>, false>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128, 6) conv_data_odd_64x32(PARAMETERS) {
  convolveBack<Tiling<64, 32, 2>, false>(ARGUMENTS);
}

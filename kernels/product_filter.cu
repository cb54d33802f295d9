// The weight gradients of convolutions, by tensor cores.
#include "mma.cuh"
#include "product.cuh"

template <class T, bool WIDE>
__device__ void convolveFilter(float *dw, const BFloat16 *dy, uint32_t batch, const Images &images, uint32_t filters,
                               uint32_t outH, uint32_t outW, uint32_t parts) {
  __shared__ Chunk shared[T::CHUNKS];
  const uint32_t taps = images.steps(), across = (taps + T::N - 1) / T::N, tiles = (filters + T::M - 1) / T::M * across;
  const uint32_t part = blockIdx.x / tiles, tile = blockIdx.x % tiles;
  const uint32_t first = tile / across * T::M, column = tile % across * T::N;
  const uint32_t outputs = batch * outH * outW;
  const uint32_t each = (outputs / parts + (outputs % parts != 0) + DEPTH - 1) / DEPTH * DEPTH;
  const uint32_t begin = min(uint64_t(part) * each, uint64_t(outputs)), end = min(begin + each, outputs);
  MatrixColumns<T::M, WIDE> left(dy, begin, end, filters, first);
  ImageColumns<T::N, WIDE> right(images, begin, end, outH, outW, column);
  Sums<T> sums = {};
  multiply<T, true, true>(sums, shared, left, right, (end - begin + DEPTH - 1) / DEPTH);

  float *made = reinterpret_cast<float *>(shared);
  spread(made, sums);
  constexpr uint32_t PER_ROW = T::N / 8;
  const uint32_t c = column + threadIdx.x % PER_ROW * 8;
  const bool whole = taps % 8 == 0 && aligned<4>(dw);
  for (uint32_t row = threadIdx.x / PER_ROW; row < T::M && first + row < filters; row += PRODUCT_THREADS / PER_ROW) {
    const auto v = gathered<T>(made, row, threadIdx.x % PER_ROW * 8);
    float *to = dw + ((part * filters + first + row) * taps + c);
    if (whole && c < taps) {
      store(to, Span<4>{0}, Pack<float, 4>{v[0], v[1], v[2], v[3]});
      store(to, Span<4>{1}, Pack<float, 4>{v[4], v[5], v[6], v[7]});
    } else {
      for (unsigned k = 0; k < 8; k++) {
        if (c + k < taps) to[k] = v[k];
      }
    }
  }
}

#define PARAMETERS                                                                                                \
  float *__restrict__ dw, const BFloat16 *__restrict__ x, const BFloat16 *__restrict__ dy, uint32_t batch,        \
      uint32_t channels, int32_t h, int32_t w, uint32_t filters, uint32_t outH, uint32_t outW, uint32_t kernelH,  \
      uint32_t kernelW, int32_t strideH, int32_t strideW, int32_t dilationH, int32_t dilationW, int32_t top,      \
      int32_t left, uint32_t parts
#define IMAGES \
  Images { x, channels, {h, strideH, -top, dilationH, kernelH}, {w, strideW, -left, dilationW, kernelW} }
#define ARGUMENTS dw, dy, batch, IMAGES, filters, outH, outW, parts

// dw[part, k, r, s, c] = the sum over a part of the outputs (n, i, j) of dy[n, i, j, k] * x[n, strideH*i + dilationH*r - top,
// strideW*j + dilationW*s - left, c]. column_sums adds up the parts. The kernels differ in their tiles, which have a block for
// each part: filters by taps and channels. The odd ones take any number of channels and filters and any
// addresses, the others only multiples of eight, and x and dy where 16 bytes can move at once.
extern "C" __global__ void __launch_bounds__(128, 4) conv_filter_64x64(PARAMETERS) {
  convolveFilter<Tiling<64, 64, 2>, true>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128, 5) conv_filter_32x64(PARAMETERS) {
  convolveFilter<Tiling<32, 64, 1>, true>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128, 5) conv_filter_odd_64x32(PARAMETERS) {
  convolveFilter<Tiling<64, 32, 2>, false>(ARGUMENTS);
}

// Convolutions by tensor cores, with what may come after them: a bias, the ReLU, and 2x2 max pooling.
#include "mma.cuh"
#include "product.cuh"

// What comes after the sums; see also product.go.
enum Tail : int32_t { NOTHING, BIAS, BIAS_RELU };

template <class T, bool WIDE>
__device__ void convolve(BFloat16 *y, const BFloat16 *x, const BFloat16 *weight, const float *bias, uint32_t batch,
                         const Images &images, uint32_t filters, uint32_t outH, uint32_t outW, int32_t tail) {
  __shared__ Chunk shared[T::CHUNKS];
  const uint32_t tiles = (filters + T::N - 1) / T::N, first = blockIdx.x / tiles * T::M, column = blockIdx.x % tiles * T::N;
  const uint32_t rows = batch * outH * outW, steps = images.steps();
  ImageRows<T::M, WIDE> left(images, [&](uint32_t row, Output &o) {
    const uint32_t at = first + row, line = at / outW;
    o = {line / outH, int32_t(line % outH), int32_t(at % outW)};
    return at < rows;
  });
  MatrixRows<T::N, WIDE> right(weight, filters, steps, column);
  Sums<T> sums = {};
  multiply<T, false, false>(sums, shared, left, right, (steps + DEPTH - 1) / DEPTH);

  float *made = reinterpret_cast<float *>(shared);
  spread(made, sums);
  constexpr uint32_t PER_ROW = T::N / 8;
  const uint32_t c = column + threadIdx.x % PER_ROW * 8;
  const bool whole = filters % 8 == 0 && aligned<8>(y);
  Pack<float, 8> b = {};
  for (unsigned k = 0; k < 8; k++) {
    if (tail != NOTHING && c + k < filters) b[k] = bias[c + k];
  }
  for (uint32_t row = threadIdx.x / PER_ROW; row < T::M && first + row < rows; row += PRODUCT_THREADS / PER_ROW) {
    auto v = gathered<T>(made, row, threadIdx.x % PER_ROW * 8);
    for (unsigned k = 0; k < 8; k++) {
      if (tail != NOTHING) v[k] += b[k];
      if (tail == BIAS_RELU) v[k] = v[k] <= 0 ? 0 : v[k];
    }
    BFloat16 *to = y + ((first + row) * filters + c);
    if (whole && c < filters) {
      store(to, Span<8>{0}, v);
    } else {
      for (unsigned k = 0; k < 8; k++) {
        if (c + k < filters) to[k] = rounded(v[k]);
      }
    }
  }
}

#define PARAMETERS                                                                                                 \
  BFloat16 *__restrict__ y, const BFloat16 *__restrict__ x, const BFloat16 *__restrict__ weight,                   \
      const float *__restrict__ bias, uint32_t batch, uint32_t channels, int32_t h, int32_t w, uint32_t filters,   \
      uint32_t outH, uint32_t outW, uint32_t kernelH, uint32_t kernelW, int32_t strideH, int32_t strideW,          \
      int32_t dilationH, int32_t dilationW, int32_t top, int32_t left, int32_t tail
#define IMAGES \
  Images { x, channels, {h, strideH, -top, dilationH, kernelH}, {w, strideW, -left, dilationW, kernelW} }
#define ARGUMENTS y, x, weight, bias, batch, IMAGES, filters, outH, outW, tail

// y[n, i, j, k] = the sum over (r, s, c) of x[n, strideH*i + dilationH*r - top, strideW*j + dilationW*s - left, c] *
// weight[k, r, s, c], where x is 0 outside the image; and what `tail` says. The kernels differ in their tiles, which have a
// block each: rows of y by filters. The odd ones take any number of channels and any addresses, the others only multiples of
// eight channels, and x and weight where 16 bytes can move at once.
extern "C" __global__ void __launch_bounds__(128, 4) conv_128x64(PARAMETERS) {
  convolve<Tiling<128, 64, 2>, true>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128, 5) conv_64x64(PARAMETERS) {
  convolve<Tiling<64, 64, 2>, true>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_128x32(PARAMETERS) {
  convolve<Tiling<128, 32, 4>, true>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128, 6) conv_64x32(PARAMETERS) {
  convolve<Tiling<64, 32, 2>, true>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128, 4) conv_odd_128x64(PARAMETERS) {
  convolve<Tiling<128, 64, 2>, false>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128, 6) conv_odd_64x32(PARAMETERS) {
  convolve<Tiling<64, 32, 2>, false>(ARGUMENTS);
}

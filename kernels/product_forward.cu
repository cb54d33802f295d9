// Convolutions by tensor cores, with what may come after them: a bias, the ReLU, and 2x2 max pooling.
#include "greatest.cuh"
#include "mma.cuh"
#include "product.cuh"

// What comes after the sums; see also product.go.
enum Tail : int32_t { NOTHING, BIAS, BIAS_RELU, BIAS_RELU_POOL };

// Where the values of a tile go, and what comes before that.
struct Made {
  BFloat16 *y;
  uint8_t *mask;
  const float *bias;
  uint32_t filters;
  int32_t outH, outW;  // of the convolution itself
  int32_t tail;
};

// The eight biases from a filter on.
__device__ Pack<float, 8> biasesOf(const Made &to, uint32_t filter) {
  Pack<float, 8> b = {};
  for (unsigned k = 0; k < 8; k++) {
    if (to.tail != NOTHING && filter + k < to.filters) b[k] = to.bias[filter + k];
  }
  return b;
}

// Writes eight values of a row; only those of filters that there are.
template <class T, class V>
__device__ void putEight(T *to, const Pack<V, 8> &v, uint32_t filter, const Made &made, bool whole) {
  if (whole && filter < made.filters) {
    store(to, Span<8>{0}, v);
  } else {
    for (unsigned k = 0; k < 8; k++) {
      if (filter + k < made.filters) store(to, Span<1>{k}, Pack<V, 1>{v[k]});
    }
  }
}

template <class T>
__device__ void put(const float *sums, const Made &made, uint32_t first, uint32_t rows, uint32_t column) {
  constexpr uint32_t PER_ROW = T::N / 8;
  const uint32_t across = threadIdx.x % PER_ROW * 8, filter = column + across;
  const bool whole = made.filters % 8 == 0 && aligned<8>(made.y);
  const auto b = biasesOf(made, filter);
  for (uint32_t row = threadIdx.x / PER_ROW; row < T::M && first + row < rows; row += PRODUCT_THREADS / PER_ROW) {
    auto v = gathered<T>(sums, row, across);
    for (unsigned k = 0; k < 8; k++) {
      if (made.tail != NOTHING) v[k] += b[k];
      if (made.tail == BIAS_RELU) v[k] = v[k] <= 0 ? 0 : v[k];
    }
    putEight(made.y + ((first + row) * made.filters + filter), v, filter, made, whole);
  }
}

// The same for windows, whose four values are rows one behind the other. `outputs` says which output a row is.
template <class T, class Outputs>
__device__ void putPooled(const float *sums, const Made &made, uint32_t first, Outputs outputs, uint32_t column) {
  constexpr uint32_t PER_ROW = T::N / 8;
  const uint32_t across = threadIdx.x % PER_ROW * 8, filter = column + across;
  const bool whole = made.filters % 8 == 0 && aligned<8>(made.y, made.mask);
  const auto b = biasesOf(made, filter);
  for (uint32_t window = threadIdx.x / PER_ROW; window < T::M / 4; window += PRODUCT_THREADS / PER_ROW) {
    Output o;
    if (!outputs(4 * window, o)) break;
    Greatest best[8];
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
      if (o.i + int32_t(i / 2) >= made.outH || o.j + int32_t(i % 2) >= made.outW) continue;
      const auto v = gathered<T>(sums, 4 * window + i, across);
      for (unsigned k = 0; k < 8; k++) best[k].take(v[k] + b[k], i);
    }
    Pack<float, 8> values;
    Pack<uint8_t, 8> where;
    for (unsigned k = 0; k < 8; k++) {
      values[k] = best[k].value;
      where[k] = best[k].where;
    }
    const uint32_t at = (first / 4 + window) * made.filters + filter;
    putEight(made.y + at, values, filter, made, whole);
    putEight(made.mask + at, where, filter, made, whole);
  }
}

// With pooling, the rows of the product are the values of windows, of which there are pooledH by pooledW: a tile has whole
// windows.
template <class T, bool WIDE>
__device__ void convolve(const Made &made, const BFloat16 *weight, uint32_t batch, const Images &images,
                         uint32_t pooledH, uint32_t pooledW) {
  __shared__ Chunk shared[T::CHUNKS];
  const uint32_t tiles = (made.filters + T::N - 1) / T::N, first = blockIdx.x / tiles * T::M, column = blockIdx.x % tiles * T::N;
  const bool pools = made.tail == BIAS_RELU_POOL;
  const uint32_t down = pools ? pooledH : made.outH, wide = pools ? pooledW : made.outW;
  const uint32_t rows = batch * down * wide * (pools ? 4 : 1), steps = images.steps();
  const auto outputs = [&](uint32_t row, Output &o) {
    const uint32_t at = first + row, place = pools ? at / 4 : at, line = place / wide;
    o = {line / down, int32_t(line % down), int32_t(place % wide)};
    if (pools) {
      o.i = 2 * o.i + at % 4 / 2;
      o.j = 2 * o.j + at % 2;
    }
    return at < rows;
  };
  ImageRows<T::M, WIDE> left(images, outputs);
  MatrixRows<T::N, WIDE> right(weight, made.filters, steps, column);
  Sums<T> sums = {};
  multiply<T, false, false>(sums, shared, left, right, (steps + DEPTH - 1) / DEPTH);

  float *all = reinterpret_cast<float *>(shared);
  spread(all, sums);
  if (pools) {
    putPooled<T>(all, made, first, outputs, column);
  } else {
    put<T>(all, made, first, rows, column);
  }
}

#define PARAMETERS                                                                                                 \
  BFloat16 *__restrict__ y, uint8_t *__restrict__ mask, const BFloat16 *__restrict__ x,                            \
      const BFloat16 *__restrict__ weight, const float *__restrict__ bias, uint32_t batch, uint32_t channels,      \
      int32_t h, int32_t w, uint32_t filters, uint32_t outH, uint32_t outW, uint32_t kernelH, uint32_t kernelW,    \
      int32_t strideH, int32_t strideW, int32_t dilationH, int32_t dilationW, int32_t top, int32_t left,           \
      uint32_t pooledH, uint32_t pooledW, int32_t tail
#define MADE \
  Made { y, mask, bias, filters, int32_t(outH), int32_t(outW), tail }
#define IMAGES \
  Images { x, channels, {h, strideH, -top, dilationH, kernelH}, {w, strideW, -left, dilationW, kernelW} }
#define ARGUMENTS MADE, weight, batch, IMAGES, pooledH, pooledW

// y[n, i, j, k] = the sum over (r, s, c) of x[n, strideH*i + dilationH*r - top, strideW*j + dilationW*s - left, c] *
// weight[k, r, s, c], where x is 0 outside the image; and what `tail` says. With pooling, y and mask are those of
// bias_relu_pool, (batch, pooledH, pooledW, filters). The kernels differ in their tiles, which have a
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

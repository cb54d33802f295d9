// Sums over channels: bias gradients.
#include "channels.cuh"
#include "reduce.cuh"

struct BiasGradient {
  static constexpr unsigned NUMBERS = 1, PLACES = 4;
  struct Nothing {};

  float *db;
  const Value *dy;

  template <unsigned W>
  __device__ Each<Nothing, W> of(uint32_t) const {
    return {};
  }

  template <unsigned W, unsigned U>
  __device__ void add(Reduced<W, 1> &sums, const Each<Span<W>, U> &at, const Each<Nothing, W> &) const {
    Each<Pack<float, W>, U> d;
    for (unsigned u = 0; u < U; u++) d[u] = load(dy, at[u]);
    for (unsigned u = 0; u < U; u++) {
      for (unsigned k = 0; k < W; k++) sums.numbers[0][k] += d[u][k];
    }
  }

  static __device__ void merge(float (&a)[1], const float (&b)[1], Share) { a[0] += b[0]; }

  __device__ void put(uint32_t to, uint32_t, const float (&sum)[1]) const { db[to] = sum[0]; }
};

// Sums of dy over n and i, for every channel c in `parts` parts: db[part, c]. Where there are several, column_sums over
// (parts, channels) adds them up. Limit: 4 bytes a value of dy, 2 in bfloat16.
extern "C" __global__ void __launch_bounds__(256)
    bias_gradient(float *__restrict__ db, const Value *__restrict__ dy, uint32_t batch, uint32_t channels,
                  uint32_t extent, uint32_t parts) {
  reduceChannels(BiasGradient{db, dy}, batch, channels, extent, parts, aligned<WIDE>(dy));
}

// db[c] = sum over n of dy[n, c]: the bias gradient of a dense layer, and the sum of other kernels' parts. A block takes 32
// bytes of each row. Limit: 4 bytes a value of dy, 2 in bfloat16.
extern "C" __global__ void __launch_bounds__(1024)
    column_sums(float *__restrict__ db, const Value *__restrict__ dy, uint32_t batch, uint32_t channels) {
  constexpr uint32_t columns = 32 / sizeof(Value);
  __shared__ float shared[32][columns];
  for (uint32_t first = blockIdx.x * columns; first < channels; first += gridDim.x * columns) {
    const uint32_t c = first + threadIdx.x % columns;
    float sum = 0;
    for (uint32_t n = threadIdx.x / columns; n < batch && c < channels; n += blockDim.x / columns) {
      sum += widened(dy[n * channels + c]);
    }
    sum = columnSum(sum, shared);
    if (threadIdx.x < columns && c < channels) db[c] = sum;
  }
}

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

struct BiasReluGradient {
  static constexpr unsigned NUMBERS = 1, PLACES = 4;
  using Nothing = BiasGradient::Nothing;

  float *db;
  Value *dx;
  const Value *dy, *y;

  template <unsigned W>
  __device__ Each<Nothing, W> of(uint32_t) const {
    return {};
  }

  template <unsigned W, unsigned U>
  __device__ void add(Reduced<W, 1> &sums, const Each<Span<W>, U> &at, const Each<Nothing, W> &) const {
    Each<Pack<float, W>, U> d, v;
    for (unsigned u = 0; u < U; u++) d[u] = load(dy, at[u]), v[u] = load(y, at[u]);
    for (unsigned u = 0; u < U; u++) {
      for (unsigned k = 0; k < W; k++) {
        d[u][k] *= v[u][k] > 0 ? 1 : 0;
        sums.numbers[0][k] += d[u][k];
      }
      store(dx, at[u], d[u]);
    }
  }

  static __device__ void merge(float (&a)[1], const float (&b)[1], Share) { a[0] += b[0]; }

  __device__ void put(uint32_t to, uint32_t, const float (&sum)[1]) const { db[to] = sum[0]; }
};

// The gradients of bias_relu: dx = y > 0 ? dy : 0 * dy, and what bias_gradient sums of dx. dx may be dy. Limit: three moves
// a value.
extern "C" __global__ void __launch_bounds__(256)
    bias_relu_gradient(float *__restrict__ db, Value *dx, const Value *dy, const Value *__restrict__ y, uint32_t batch,
                       uint32_t channels, uint32_t extent, uint32_t parts) {
  reduceChannels(BiasReluGradient{db, dx, dy, y}, batch, channels, extent, parts, aligned<WIDE>(dx, dy, y));
}

// The sums of the columns of dy (batch, channels): db[c] for c < split, and rest[c - split] for the others. brain[c] is
// db[c] rounded to bfloat16. What is null is not written. They are what other kernels have found in parts, or the bias gradient of a dense layer. A block takes 32 bytes of
// each row. Limit: 4 bytes a value of dy, 2 in bfloat16.
extern "C" __global__ void __launch_bounds__(1024)
    column_sums(float *__restrict__ db, float *__restrict__ rest, BFloat16 *__restrict__ brain,
                const Value *__restrict__ dy, uint32_t batch, uint32_t channels, uint32_t split) {
  constexpr uint32_t columns = 32 / sizeof(Value);
  __shared__ float shared[32][columns];
  for (uint32_t first = blockIdx.x * columns; first < channels; first += gridDim.x * columns) {
    const uint32_t c = first + threadIdx.x % columns;
    float sum = 0;
    for (uint32_t n = threadIdx.x / columns; n < batch && c < channels; n += blockDim.x / columns) {
      sum += widened(dy[n * channels + c]);
    }
    sum = columnSum(sum, shared);
    if (threadIdx.x >= columns || c >= channels) continue;
    if (c < split && db) db[c] = sum;
    if (c < split && brain) brain[c] = rounded(sum);
    if (c >= split && rest) rest[c - split] = sum;
  }
}

// Sums over channels: bias gradients and batch normalisation. The order of the sums is fixed, so results repeat.
#include "channels.cuh"
#include "step.cuh"

// Sums of dy over n and i, for every channel c in `parts` parts: db[part, c], each by a block of its own. Where there
// are several, column_sums over (parts, channels) adds them up. Limit: 4 bytes a value of dy.
extern "C" __global__ void __launch_bounds__(256)
    bias_gradient(float *__restrict__ db, const Value *__restrict__ dy, uint32_t batch, uint32_t channels,
                  uint32_t extent, uint32_t parts) {
  __shared__ float shared[32];
  for (uint32_t b = blockIdx.x; b < channels * parts; b += gridDim.x) {
    const Team team = {uint64_t(b / channels) * blockDim.x + threadIdx.x, uint64_t(parts) * blockDim.x};
    float sum = 0;
    forEachOfChannel(team, b % channels, batch, channels, extent, aligned<WIDE>(dy), [&](auto at) {
      const auto d = load(dy, at);
      for (unsigned k = 0; k < at.width; k++) sum += d[k];
    });
    sum = blockSum(sum, shared);
    if (threadIdx.x == 0) db[b] = sum;
  }
}

// db[c] = sum over n of dy[n, c]: the bias gradient of a dense layer. A block takes eight columns, 32 bytes of a row,
// and each warp four rows at a time. Limit: 4 bytes a value of dy.
extern "C" __global__ void __launch_bounds__(256)
    column_sums(float *__restrict__ db, const Value *__restrict__ dy, uint32_t batch, uint32_t channels) {
  constexpr uint32_t columns = 8;
  __shared__ float shared[32][columns];
  const uint32_t column = threadIdx.x % columns;
  for (uint32_t first = blockIdx.x * columns; first < channels; first += gridDim.x * columns) {
    const uint32_t c = first + column;
    float sum = 0;
    for (uint32_t n = threadIdx.x / columns; n < batch && c < channels; n += blockDim.x / columns) {
      sum += widened(dy[n * channels + c]);
    }
    for (uint32_t d = 16; d >= columns; d /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, d);
    if (threadIdx.x % 32 < columns) shared[threadIdx.x / 32][column] = sum;
    __syncthreads();
    if (threadIdx.x < columns && c < channels) {
      for (uint32_t warp = 1; warp < blockDim.x / 32; warp++) sum += shared[warp][column];
      db[c] = sum;
    }
    __syncthreads();  // the next columns write the shared values anew
  }
}

// Batch normalisation in training (Ioffe and Szegedy, 2015): mean[c] and inverse[c] = 1/sqrt(var + epsilon) of the
// batch, and where running is not null the running statistics moved by momentum, the variance unbiased. One block a
// channel. Four values that lie together are added in float before they go to a sum in double. Limit: 4 bytes a value,
// if a channel's stay in the cache for the variance.
extern "C" __global__ void __launch_bounds__(1024)
    batchnorm_statistics(float *__restrict__ mean, float *__restrict__ inverse, float *__restrict__ runningMean,
                         float *__restrict__ runningVar, const Value *__restrict__ x, uint32_t batch, uint32_t channels,
                         uint32_t extent, double momentum, double epsilon) {
  __shared__ double shared[32];
  const double count = double(batch) * extent;
  for (uint32_t c = blockIdx.x; c < channels; c += gridDim.x) {
    double sum = 0, squares = 0;
    forEachOfChannel(block(), c, batch, channels, extent, aligned<WIDE>(x), [&](auto at) {
      const auto v = load(x, at);
      float together = 0;
      for (unsigned k = 0; k < at.width; k++) together += v[k];
      sum += together;
    });
    const double m = blockSum(sum, shared) / count;
    forEachOfChannel(block(), c, batch, channels, extent, aligned<WIDE>(x), [&](auto at) {
      const auto v = load(x, at);
      float together = 0;
      for (unsigned k = 0; k < at.width; k++) {
        const float d = float(v[k] - m);
        together += d * d;
      }
      squares += together;
    });
    squares = blockSum(squares, shared);
    if (threadIdx.x != 0) continue;
    const double var = squares / count;
    mean[c] = float(m);
    inverse[c] = float(1 / sqrt(var + epsilon));
    if (runningMean) {
      runningMean[c] = float((1 - momentum) * runningMean[c] + momentum * m);
      runningVar[c] = float((1 - momentum) * runningVar[c] + momentum * (squares / (count > 1 ? count - 1 : 1)));
    }
  }
}

// y = weight[c] * (x - mean[c]) * inverse[c] + bias[c]. Limit: 8 bytes a value.
extern "C" __global__ void __launch_bounds__(256)
    batchnorm(Value *__restrict__ y, const Value *__restrict__ x, const float *__restrict__ mean,
              const float *__restrict__ inverse, const float *__restrict__ weight, const float *__restrict__ bias,
              uint32_t count, uint32_t channels, uint32_t extent) {
  forEachInChannels(count, channels, extent, aligned<WIDE>(y, x), [=](auto at, auto channel) {
    auto v = load(x, at);
    for (unsigned k = 0; k < at.width; k++) {
      const uint32_t c = channel[k];
      v[k] = weight[c] * ((v[k] - mean[c]) * inverse[c]) + bias[c];
    }
    store(y, at, v);
  });
}

// dweight[c] = sum of dy * xhat, dbias[c] = sum of dy, with xhat = (x - mean) * inverse. One block a channel. Limit: 8
// bytes a value.
extern "C" __global__ void __launch_bounds__(1024)
    batchnorm_gradients(float *__restrict__ dweight, float *__restrict__ dbias, const Value *__restrict__ dy,
                        const Value *__restrict__ x, const float *__restrict__ mean, const float *__restrict__ inverse,
                        uint32_t batch, uint32_t channels, uint32_t extent) {
  __shared__ double shared[32];
  for (uint32_t c = blockIdx.x; c < channels; c += gridDim.x) {
    double dw = 0, db = 0;
    forEachOfChannel(block(), c, batch, channels, extent, aligned<WIDE>(dy, x), [&](auto at) {
      const auto d = load(dy, at), v = load(x, at);
      float product = 0, together = 0;
      for (unsigned k = 0; k < at.width; k++) {
        product += d[k] * ((v[k] - mean[c]) * inverse[c]);
        together += d[k];
      }
      dw += product;
      db += together;
    });
    dw = blockSum(dw, shared);
    db = blockSum(db, shared);
    if (threadIdx.x != 0) continue;
    dweight[c] = float(dw);
    dbias[c] = float(db);
  }
}

// dx = weight * inverse * (dy - dbias/m - xhat * dweight/m), m = batch * extent, or dx += that where `add` is not 0.
// Limit: 12 bytes a value, 16 to add.
extern "C" __global__ void __launch_bounds__(256)
    batchnorm_backward(Value *__restrict__ dx, const Value *__restrict__ dy, const Value *__restrict__ x,
                       const float *__restrict__ mean, const float *__restrict__ inverse,
                       const float *__restrict__ weight, const float *__restrict__ dweight,
                       const float *__restrict__ dbias, uint32_t count, uint32_t channels, uint32_t extent,
                       int32_t add) {
  const float share = float(double(channels) / double(count));  // 1/m
  forEachInChannels(count, channels, extent, aligned<WIDE>(dx, dy, x), [=](auto at, auto channel) {
    auto d = load(dy, at);
    const auto v = load(x, at);
    for (unsigned k = 0; k < at.width; k++) {
      const uint32_t c = channel[k];
      const float xhat = (v[k] - mean[c]) * inverse[c];
      d[k] = weight[c] * inverse[c] * (d[k] - (dbias[c] + xhat * dweight[c]) * share);
    }
    storeOrAdd(dx, at, d, add);
  });
}

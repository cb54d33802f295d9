// Sums over channels: bias gradients and batch normalisation. One block a channel (a channel's values lie in `batch`
// runs of `extent`); the order of the sums is fixed, so results repeat.
#include "step.cuh"

// db[c] = sum over n and i of dy[n, c, i].
// Limit: dy read once.
extern "C" __global__ void __launch_bounds__(256) bias_gradient(float *__restrict__ db, const float *__restrict__ dy,
                                                                uint32_t batch, uint32_t channels, uint32_t extent) {
  __shared__ float shared[32];
  for (uint32_t c = blockIdx.x; c < channels; c += gridDim.x) {
    float sum = 0;
    const uint32_t total = batch * extent;
    for (uint32_t k = threadIdx.x; k < total; k += blockDim.x) {
      const uint32_t n = k / extent;
      sum += dy[(n * channels + c) * extent + (k - n * extent)];
    }
    sum = blockSum(sum, shared);
    if (threadIdx.x == 0) db[c] = sum;
  }
}

// The same for extent 1, where a channel's values lie `channels` apart: a thread a column, so that reads are in a row.
extern "C" __global__ void __launch_bounds__(256)
    column_sums(float *__restrict__ db, const float *__restrict__ dy, uint32_t batch, uint32_t channels) {
  for (uint32_t c = gridThread(); c < channels; c += gridThreads()) {
    float sum = 0;
    for (uint32_t n = 0; n < batch; n++) sum += dy[n * channels + c];
    db[c] = sum;
  }
}

// Batch normalisation in training (Ioffe and Szegedy, 2015): mean[c] and inverse[c] = 1/sqrt(var + epsilon) of the
// batch, and where running is not null the running statistics moved by momentum, the variance unbiased.
extern "C" __global__ void __launch_bounds__(256)
    batchnorm_statistics(float *__restrict__ mean, float *__restrict__ inverse, float *__restrict__ runningMean,
                         float *__restrict__ runningVar, const float *__restrict__ x, uint32_t batch, uint32_t channels,
                         uint32_t extent, double momentum, double epsilon) {
  __shared__ double shared[32];
  const double count = double(batch) * extent;
  for (uint32_t c = blockIdx.x; c < channels; c += gridDim.x) {
    const uint32_t total = batch * extent;
    double sum = 0, squares = 0;
    for (uint32_t k = threadIdx.x; k < total; k += blockDim.x) {
      const uint32_t n = k / extent;
      sum += x[(n * channels + c) * extent + (k - n * extent)];
    }
    const double m = blockSum(sum, shared) / count;
    for (uint32_t k = threadIdx.x; k < total; k += blockDim.x) {
      const uint32_t n = k / extent;
      const double d = x[(n * channels + c) * extent + (k - n * extent)] - m;
      squares += d * d;
    }
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

// mean and inverse from the running statistics, for evaluation.
extern "C" __global__ void __launch_bounds__(256)
    batchnorm_running(float *__restrict__ mean, float *__restrict__ inverse, const float *__restrict__ runningMean,
                      const float *__restrict__ runningVar, uint32_t channels, double epsilon) {
  for (uint32_t c = gridThread(); c < channels; c += gridThreads()) {
    mean[c] = runningMean[c];
    inverse[c] = float(1 / sqrt(runningVar[c] + epsilon));
  }
}

// y = weight[c] * (x - mean[c]) * inverse[c] + bias[c].
extern "C" __global__ void __launch_bounds__(256)
    batchnorm(float *__restrict__ y, const float *__restrict__ x, const float *__restrict__ mean,
              const float *__restrict__ inverse, const float *__restrict__ weight, const float *__restrict__ bias,
              uint32_t count, uint32_t channels, uint32_t extent) {
  for (uint32_t i = gridThread(); i < count; i += gridThreads()) {
    const uint32_t c = (i / extent) % channels;
    y[i] = weight[c] * ((x[i] - mean[c]) * inverse[c]) + bias[c];
  }
}

// dweight[c] = sum of dy * xhat, dbias[c] = sum of dy, with xhat = (x - mean) * inverse.
extern "C" __global__ void __launch_bounds__(256)
    batchnorm_gradients(float *__restrict__ dweight, float *__restrict__ dbias, const float *__restrict__ dy,
                        const float *__restrict__ x, const float *__restrict__ mean, const float *__restrict__ inverse,
                        uint32_t batch, uint32_t channels, uint32_t extent) {
  __shared__ double shared[32];
  for (uint32_t c = blockIdx.x; c < channels; c += gridDim.x) {
    double dw = 0, db = 0;
    const uint32_t total = batch * extent;
    for (uint32_t k = threadIdx.x; k < total; k += blockDim.x) {
      const uint32_t n = k / extent;
      const uint32_t i = (n * channels + c) * extent + (k - n * extent);
      dw += double(dy[i]) * ((x[i] - mean[c]) * inverse[c]);
      db += dy[i];
    }
    dw = blockSum(dw, shared);
    db = blockSum(db, shared);
    if (threadIdx.x != 0) continue;
    dweight[c] = float(dw);
    dbias[c] = float(db);
  }
}

// dx = weight * inverse * (dy - dbias/m - xhat * dweight/m), m = batch * extent.
extern "C" __global__ void __launch_bounds__(256)
    batchnorm_backward(float *__restrict__ dx, const float *__restrict__ dy, const float *__restrict__ x,
                       const float *__restrict__ mean, const float *__restrict__ inverse,
                       const float *__restrict__ weight, const float *__restrict__ dweight,
                       const float *__restrict__ dbias, uint32_t count, uint32_t channels, uint32_t extent) {
  const float share = float(double(channels) / double(count));  // 1/m
  for (uint32_t i = gridThread(); i < count; i += gridThreads()) {
    const uint32_t c = (i / extent) % channels;
    const float xhat = (x[i] - mean[c]) * inverse[c];
    dx[i] = weight[c] * inverse[c] * (dy[i] - (dbias[c] + xhat * dweight[c]) * share);
  }
}

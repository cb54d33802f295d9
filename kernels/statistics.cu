// What batch normalisation computes once for each channel, from the parts' results or from the running statistics.
#include "parts.cuh"

constexpr uint32_t COLUMNS = 8;  // channels that a block has at once: 32 bytes of a row of parts

// mean[c] and inverse[c] = 1/sqrt(var + epsilon) of the batch, from what batchnorm_moments found in each part. Where
// running is not null, the running statistics are moved by momentum, with the unbiased variance. All deviations are taken
// from the first part's mean, so that no large numbers cancel. Limit: 8 bytes a part and channel.
extern "C" __global__ void __launch_bounds__(1024)
    batchnorm_statistics(float *__restrict__ mean, float *__restrict__ inverse, float *__restrict__ runningMean,
                         float *__restrict__ runningVar, const float *__restrict__ means,
                         const float *__restrict__ squares, uint32_t batch, uint32_t channels, uint32_t extent,
                         uint32_t parts, double momentum, double epsilon) {
  __shared__ float shared[32][COLUMNS];
  const Parts bounds(batch * extent, parts);
  const uint32_t row = threadIdx.x / COLUMNS, rows = blockDim.x / COLUMNS;
  for (uint32_t first = blockIdx.x * COLUMNS; first < channels; first += gridDim.x * COLUMNS) {
    const uint32_t c = first + threadIdx.x % COLUMNS;
    const bool works = c < channels;
    const float origin = works ? means[c] : 0;
    float away = 0;
    for (uint32_t p = row; works && p < parts; p += rows) {
      away += float(bounds.count(p)) * (means[p * channels + c] - origin);
    }
    away = columnSum(away, shared) / float(bounds.values);
    float sum = 0;
    for (uint32_t p = row; works && p < parts; p += rows) {
      const float apart = means[p * channels + c] - origin - away;
      sum += squares[p * channels + c] + float(bounds.count(p)) * apart * apart;
    }
    sum = columnSum(sum, shared);
    if (!works || row > 0) continue;
    const double m = double(origin) + away, count = bounds.values;
    mean[c] = float(m);
    inverse[c] = float(1 / sqrt(sum / count + epsilon));
    if (runningMean) {
      runningMean[c] = float((1 - momentum) * runningMean[c] + momentum * m);
      runningVar[c] = float((1 - momentum) * runningVar[c] + momentum * (sum / (count > 1 ? count - 1 : 1)));
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

// dweight[c] and dbias[c]: the sums of what batchnorm_gradients found in each part. Limit: 8 bytes a part and channel.
extern "C" __global__ void __launch_bounds__(1024)
    batchnorm_gradient_sums(float *__restrict__ dweight, float *__restrict__ dbias, const float *__restrict__ dweights,
                            const float *__restrict__ dbiases, uint32_t channels, uint32_t parts) {
  __shared__ float shared[32][COLUMNS];
  const uint32_t row = threadIdx.x / COLUMNS, rows = blockDim.x / COLUMNS;
  for (uint32_t first = blockIdx.x * COLUMNS; first < channels; first += gridDim.x * COLUMNS) {
    const uint32_t c = first + threadIdx.x % COLUMNS;
    float dw = 0, db = 0;
    for (uint32_t p = row; c < channels && p < parts; p += rows) {
      dw += dweights[p * channels + c];
      db += dbiases[p * channels + c];
    }
    dw = columnSum(dw, shared);
    db = columnSum(db, shared);
    if (row > 0 || c >= channels) continue;
    dweight[c] = dw;
    dbias[c] = db;
  }
}

// What batch normalisation computes once for each channel, from the parts' results or from the running statistics.
#include "parts.cuh"

constexpr uint32_t COLUMNS = 8;  // channels that a block has at once: 32 bytes of a row of parts

// Calls put(c, mean, sum of the squared deviations from it, number of values) for each channel c, once, from what
// batchnorm_moments found in each part. All deviations are taken from the first part's mean, so that no large numbers cancel.
template <class Put>
__device__ void putTogether(const float *means, const float *squares, const Parts bounds, uint32_t channels, uint32_t parts,
                            Put put) {
  __shared__ float shared[32][COLUMNS];
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
    if (works && row == 0) put(c, double(origin) + away, double(sum), double(bounds.values));
  }
}

// Where a channel's mean, 1/sqrt(variance + epsilon) and running statistics go.
struct Statistics {
  float *mean, *inverse, *runningMean, *runningVar;
  double momentum, epsilon;

  // The running statistics move with the unbiased variance.
  __device__ void put(uint32_t c, double m, double squares, double count, bool moves) const {
    mean[c] = float(m);
    inverse[c] = float(1 / sqrt(squares / count + epsilon));
    if (!moves) return;
    runningMean[c] = float((1 - momentum) * runningMean[c] + momentum * m);
    runningVar[c] = float((1 - momentum) * runningVar[c] + momentum * (squares / (count > 1 ? count - 1 : 1)));
  }
};

// mean[c] and inverse[c] = 1/sqrt(var + epsilon) of the batch, from what batchnorm_moments found in each part. Where
// running is not null, the running statistics are moved by momentum. Limit: 8 bytes a part and channel.
extern "C" __global__ void __launch_bounds__(1024)
    batchnorm_statistics(float *__restrict__ mean, float *__restrict__ inverse, float *__restrict__ runningMean,
                         float *__restrict__ runningVar, const float *__restrict__ means,
                         const float *__restrict__ squares, uint32_t batch, uint32_t channels, uint32_t extent,
                         uint32_t parts, double momentum, double epsilon) {
  const Statistics to = {mean, inverse, runningMean, runningVar, momentum, epsilon};
  putTogether(means, squares, Parts(batch * extent, parts), channels, parts,
              [=](uint32_t c, double m, double sum, double count) { to.put(c, m, sum, count, runningMean != nullptr); });
}

// What a member of a group adds to the group's sums, from what batchnorm_moments found in each part: the sum of the
// deviations from pivot[c], shares[c], that of their squares, shares[channels + c], and, in shares[2 * channels], the
// number of a channel's values. All are 0 where `counts` is 0. The pivot is the same for all members and, as a running
// mean, near the values. Then sums of float64 lose nothing by cancellation. Limit: 8 bytes a part and channel.
extern "C" __global__ void __launch_bounds__(1024)
    batchnorm_share(double *__restrict__ shares, const float *__restrict__ pivot, const float *__restrict__ means,
                    const float *__restrict__ squares, uint32_t batch, uint32_t channels, uint32_t extent,
                    uint32_t parts, int32_t counts) {
  if (blockIdx.x == 0 && threadIdx.x == 0) shares[2 * channels] = counts ? double(batch * extent) : 0;
  putTogether(means, squares, Parts(batch * extent, parts), channels, parts,
              [=](uint32_t c, double m, double sum, double count) {
                const double apart = m - pivot[c];
                shares[c] = counts ? count * apart : 0;
                shares[channels + c] = counts ? sum + count * apart * apart : 0;
              });
}

// mean[c] and inverse[c] over all members of a group, from the sums of what batchnorm_share wrote for each. The pivot was
// the running mean. Where `moves` is not 0, the running statistics are moved by momentum. Limit: 32 bytes a channel.
extern "C" __global__ void __launch_bounds__(256)
    batchnorm_joint(float *__restrict__ mean, float *__restrict__ inverse, float *__restrict__ runningMean,
                    float *__restrict__ runningVar, const double *__restrict__ shares, uint32_t channels, int32_t moves,
                    double momentum, double epsilon) {
  const Statistics to = {mean, inverse, runningMean, runningVar, momentum, epsilon};
  const double count = shares[2 * channels];
  for (uint32_t c = gridThread(); c < channels; c += gridThreads()) {
    const double away = shares[c] / count, squares = shares[channels + c] - count * away * away;
    to.put(c, runningMean[c] + away, squares > 0 || squares != squares ? squares : 0, count, moves != 0);
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

// dweight[c] and dbias[c]: the sums of what batchnorm_gradients found in each part. Where `both` is not null, they are
// written there too, to both[c] and both[channels + c]. Limit: 8 bytes a part and channel.
extern "C" __global__ void __launch_bounds__(1024)
    batchnorm_gradient_sums(float *__restrict__ dweight, float *__restrict__ dbias, const float *__restrict__ dweights,
                            const float *__restrict__ dbiases, float *__restrict__ both, uint32_t channels, uint32_t parts) {
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
    if (!both) continue;
    both[c] = dw;
    both[channels + c] = db;
  }
}

// Batch normalisation in evaluation.
#include "grid.cuh"

// mean and inverse from the running statistics, for evaluation.
extern "C" __global__ void __launch_bounds__(256)
    batchnorm_running(float *__restrict__ mean, float *__restrict__ inverse, const float *__restrict__ runningMean,
                      const float *__restrict__ runningVar, uint32_t channels, double epsilon) {
  for (uint32_t c = gridThread(); c < channels; c += gridThreads()) {
    mean[c] = runningMean[c];
    inverse[c] = float(1 / sqrt(runningVar[c] + epsilon));
  }
}

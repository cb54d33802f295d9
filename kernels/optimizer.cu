// The optimisers, all parameters in one launch: weights, gradients and moments lie in flat buffers of `count` values,
// those that decay before those that do not. Formulas: package net, Method.
// Limit: Adam reads four and writes three floats a weight, 28 bytes.
#include "step.cuh"

// The gradient as the update sees it: clipped, and with L2 decay for the first `decayed` values.
__device__ inline float gradientOf(float g, float w, const float *clip, float weightDecay, uint64_t i,
                                   uint64_t decayed) {
  if (clip) g *= *clip;
  return i < decayed ? g + weightDecay * w : g;
}

// clip is null or one factor. v is null without momentum.
extern "C" __global__ void __launch_bounds__(256)
    sgd(float *__restrict__ w, const float *__restrict__ g, float *__restrict__ v, const StepState *__restrict__ state,
        const Rates *__restrict__ rates, const float *__restrict__ clip, uint64_t count, uint64_t decayed,
        float momentum, int32_t nesterov, float weightDecay) {
  const float rate = rates[state->slot].update;
  for (uint64_t i = gridThread(); i < count; i += gridThreads()) {
    const float d = gradientOf(g[i], w[i], clip, weightDecay, i, decayed);
    float step = d;
    if (v) {
      const float velocity = momentum * v[i] + d;
      v[i] = velocity;
      step = nesterov ? d + momentum * velocity : velocity;
    }
    w[i] -= rate * step;
  }
}

// Adam, or with apart != 0 AdamW. rates hold lr * sqrt(1-beta2^t) / (1-beta1^t), and lr * weight decay.
extern "C" __global__ void __launch_bounds__(256)
    adam(float *__restrict__ w, const float *__restrict__ g, float *__restrict__ m, float *__restrict__ v,
         const StepState *__restrict__ state, const Rates *__restrict__ rates, const float *__restrict__ clip,
         uint64_t count, uint64_t decayed, float beta1, float oneLessBeta1, float beta2, float oneLessBeta2,
         float epsilon, float weightDecay, int32_t apart) {
  const Rates now = rates[state->slot];
  for (uint64_t i = gridThread(); i < count; i += gridThreads()) {
    float weight = w[i];
    const float d = gradientOf(g[i], weight, clip, apart ? 0 : weightDecay, i, decayed);
    if (apart && i < decayed) weight -= now.decay * weight;
    const float first = beta1 * m[i] + oneLessBeta1 * d;
    const float second = beta2 * v[i] + oneLessBeta2 * d * d;
    m[i] = first;
    v[i] = second;
    w[i] = weight - now.update * first / (sqrtf(second) + epsilon);
  }
}

// Sums of squares by block, in double: partial[blockIdx.x].
extern "C" __global__ void __launch_bounds__(256)
    square_sums(double *__restrict__ partial, const float *__restrict__ g, uint64_t count) {
  __shared__ double shared[32];
  double sum = 0;
  for (uint64_t i = gridThread(); i < count; i += gridThreads()) sum += double(g[i]) * g[i];
  sum = blockSum(sum, shared);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// clip = min(1, most / sqrt(sum of partial)), by one block.
extern "C" __global__ void __launch_bounds__(256)
    clip_factor(float *__restrict__ clip, const double *__restrict__ partial, uint32_t parts, float most) {
  __shared__ double shared[32];
  double sum = 0;
  for (uint32_t i = threadIdx.x; i < parts; i += blockDim.x) sum += partial[i];
  sum = blockSum(sum, shared);
  if (threadIdx.x != 0) return;
  const double norm = sqrt(sum);
  *clip = norm > most ? float(most / norm) : 1.0f;
}

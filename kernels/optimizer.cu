// The optimisers, all parameters of one rule in one launch: weights, gradients and moments lie in flat buffers of `count`
// values, those that decay before those that do not. `rates` holds the rule's numbers of each slot. Formulas: package net,
// Method.
// Limit: SGD moves 12 bytes a weight, 20 with momentum, Lion 20, Adam 28. With gradients of bfloat16 it is 2 less, with rounded
// weights 2 more.
#include "gradients.cuh"

// clip is null or one factor. v is null without momentum. The first `narrow` gradients are in `g16`, the others in g.
// Where w16 isn't null, the new weights go there too, as bfloat16.
extern "C" __global__ void __launch_bounds__(256)
    sgd(float *__restrict__ w, BFloat16 *__restrict__ w16, const float *__restrict__ g,
        const BFloat16 *__restrict__ g16, float *__restrict__ v, const StepState *__restrict__ state,
        const Rates *__restrict__ rates, const float *__restrict__ clip, uint64_t count, uint64_t narrow, uint64_t decayed,
        float momentum, int32_t nesterov, float weightDecay) {
  const float rate = rates[state->slot].update, factor = clip ? *clip : 1;
  const Gradients gradients{g, g16, narrow};
  forEach(grid(), count, gradients.apart() && aligned(w, v) && aligned(w16), [=](auto at) {
    auto weight = load(w, at), d = gradients.at(at);
    for (unsigned k = 0; k < at.width; k++)
      d[k] = factor * d[k] + (at.first() + k < decayed ? weightDecay : 0) * weight[k];
    if (v) {
      auto velocity = load(v, at);
      for (unsigned k = 0; k < at.width; k++) {
        velocity[k] = momentum * velocity[k] + d[k];
        d[k] = nesterov ? d[k] + momentum * velocity[k] : velocity[k];
      }
      store(v, at, velocity);
    }
    for (unsigned k = 0; k < at.width; k++) weight[k] -= rate * d[k];
    store(w, at, weight);
    if (w16) store(w16, at, weight);
  });
}

// Adam, or with apart != 0 AdamW.
extern "C" __global__ void __launch_bounds__(256)
    adam(float *__restrict__ w, BFloat16 *__restrict__ w16, const float *__restrict__ g,
         const BFloat16 *__restrict__ g16, float *__restrict__ m, float *__restrict__ v,
         const StepState *__restrict__ state, const Rates *__restrict__ rates, const float *__restrict__ clip,
         uint64_t count, uint64_t narrow, uint64_t decayed, float beta1, float oneLessBeta1, float beta2, float oneLessBeta2,
         float epsilon, float weightDecay, int32_t apart) {
  const Rates now = rates[state->slot];
  const float factor = clip ? *clip : 1;
  const Gradients gradients{g, g16, narrow};
  forEach(grid(), count, gradients.apart() && aligned(w, m, v) && aligned(w16), [=](auto at) {
    auto weight = load(w, at), first = load(m, at), second = load(v, at);
    const auto gradient = gradients.at(at);
    for (unsigned k = 0; k < at.width; k++) {
      const bool decays = at.first() + k < decayed;
      const float d = factor * gradient[k] + (decays && !apart ? weightDecay : 0) * weight[k];
      first[k] = beta1 * first[k] + oneLessBeta1 * d;
      second[k] = beta2 * second[k] + oneLessBeta2 * d * d;
      weight[k] -= (decays && apart ? now.decay : 0) * weight[k];
      weight[k] -= now.update * first[k] / (sqrtf(second[k]) + epsilon);
    }
    store(m, at, first);
    store(v, at, second);
    store(w, at, weight);
    if (w16) store(w16, at, weight);
  });
}

// The sign of a number: -1, 0 or 1; NaN of NaN.
__device__ inline float signOf(float x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

// Lion. Weight decay is apart from the gradient.
extern "C" __global__ void __launch_bounds__(256)
    lion(float *__restrict__ w, BFloat16 *__restrict__ w16, const float *__restrict__ g,
         const BFloat16 *__restrict__ g16, float *__restrict__ m, const StepState *__restrict__ state,
         const Rates *__restrict__ rates, const float *__restrict__ clip, uint64_t count, uint64_t narrow,
         uint64_t decayed, float beta1, float oneLessBeta1, float beta2, float oneLessBeta2) {
  const Rates now = rates[state->slot];
  const float factor = clip ? *clip : 1;
  const Gradients gradients{g, g16, narrow};
  forEach(grid(), count, gradients.apart() && aligned(w, m) && aligned(w16), [=](auto at) {
    auto weight = load(w, at), moment = load(m, at);
    const auto gradient = gradients.at(at);
    for (unsigned k = 0; k < at.width; k++) {
      const float d = factor * gradient[k];
      weight[k] -= (at.first() + k < decayed ? now.decay : 0) * weight[k];
      weight[k] -= now.update * signOf(beta1 * moment[k] + oneLessBeta1 * d);
      moment[k] = beta2 * moment[k] + oneLessBeta2 * d;
    }
    store(m, at, moment);
    store(w, at, weight);
    if (w16) store(w16, at, weight);
  });
}

// Sums of squares by block, in double: partial[blockIdx.x]. The first `narrow` gradients are in `g16`. Limit: a gradient
// read.
extern "C" __global__ void __launch_bounds__(256)
    square_sums(double *__restrict__ partial, const float *__restrict__ g, const BFloat16 *__restrict__ g16,
                uint64_t count, uint64_t narrow) {
  __shared__ double shared[32];
  double sum = 0;
  const Gradients gradients{g, g16, narrow};
  forEach(grid(), count, gradients.apart(), [&](auto at) {
    const auto v = gradients.at(at);
    for (unsigned k = 0; k < at.width; k++) sum += double(v[k]) * v[k];
  });
  sum = blockSum(sum, shared);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// clip = min(1, most / sqrt(sum of partial)), by one block; NaN where a gradient is.
extern "C" __global__ void __launch_bounds__(256)
    clip_factor(float *__restrict__ clip, const double *__restrict__ partial, uint32_t parts, float most) {
  __shared__ double shared[32];
  double sum = 0;
  for (uint32_t i = threadIdx.x; i < parts; i += blockDim.x) sum += partial[i];
  sum = blockSum(sum, shared);
  if (threadIdx.x != 0) return;
  const double norm = sqrt(sum);
  *clip = norm <= most ? 1 : float(most / norm);
}

// a += rate * (w - a), with the slot's rate of averages. Then, where the slot says so, w = a; where w16 isn't null, that
// goes there too, as bfloat16. Limit: 12 bytes a value, 4 more for w and 2 more for w16. Nothing is moved where nothing
// changes.
extern "C" __global__ void __launch_bounds__(256)
    move_average(float *__restrict__ a, float *__restrict__ w, BFloat16 *__restrict__ w16,
                 const StepState *__restrict__ state, const Queued *__restrict__ queued, uint64_t count) {
  const float rate = queued[state->slot].average;
  const bool back = queued[state->slot].back != 0;
  if (rate == 0 && !back) return;
  forEach(grid(), count, aligned(a, w) && aligned(w16), [=](auto at) {
    auto average = load(a, at);
    const auto weight = load(w, at);
    for (unsigned k = 0; k < at.width; k++) average[k] += rate * (weight[k] - average[k]);
    store(a, at, average);
    if (!back) return;
    store(w, at, average);
    if (w16) store(w16, at, average);
  });
}

// The values of a and b change places. Limit: 16 bytes a pair.
extern "C" __global__ void __launch_bounds__(256)
    exchange(float *__restrict__ a, float *__restrict__ b, uint64_t count) {
  forEach(grid(), count, aligned(a, b), [=](auto at) {
    const auto first = load(a, at), second = load(b, at);
    store(a, at, second);
    store(b, at, first);
  });
}

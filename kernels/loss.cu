// Softmax cross-entropy: probabilities, loss, hits and the gradient by the logits in one pass over them.
#include "step.cuh"

// The greatest logit of a row, the first of equal ones, and whether any is NaN.
struct Best {
  float value;
  uint32_t index;
  bool nan;
};

__device__ inline Best better(Best a, Best b) {
  const bool take = b.value > a.value || (b.value == a.value && b.index < a.index);
  return {take ? b.value : a.value, take ? b.index : a.index, a.nan || b.nan};
}

__device__ inline Best warpBest(Best b) {
  for (int d = 16; d > 0; d /= 2) {
    const Best other = {__shfl_xor_sync(0xffffffffu, b.value, d), __shfl_xor_sync(0xffffffffu, b.index, d),
                        __shfl_xor_sync(0xffffffffu, int(b.nan), d) != 0};
    b = better(b, other);
  }
  return b;
}

__device__ inline Best blockBest(Best b) {
  __shared__ float value[32];
  __shared__ uint32_t index[32];
  __shared__ int nan[32];
  b = warpBest(b);
  const uint32_t warps = blockDim.x / 32, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (warps == 1) return b;
  if (lane == 0) {
    value[warp] = b.value;
    index[warp] = b.index;
    nan[warp] = b.nan;
  }
  __syncthreads();
  if (lane < warps) b = {value[lane], index[lane], nan[lane] != 0};
  return warpBest(b);
}

// One block a row of logits (batch, classes); blockDim.x is a multiple of 32. Writes what is not null: probabilities
// (batch, classes); losses and hits (batch), for which labels are needed; and gradient (batch, classes), that of the
// mean loss: (p - onehot) * scale with scale = 1/batch. Limit: the logits read and the gradient written once; the
// second and third walk over a row meet the cache.
extern "C" __global__ void __launch_bounds__(256)
    softmax_cross_entropy(const float *__restrict__ logits, const int32_t *__restrict__ labels,
                          float *__restrict__ probabilities, float *__restrict__ losses, int32_t *__restrict__ hits,
                          float *__restrict__ gradient, uint32_t batch, uint32_t classes, float scale) {
  __shared__ float shared[32];
  for (uint32_t n = blockIdx.x; n < batch; n += gridDim.x) {
    const float *z = logits + uint64_t(n) * classes;
    Best best = {-INFINITY, 0xffffffffu, false};
    for (uint32_t c = threadIdx.x; c < classes; c += blockDim.x) best = better(best, {z[c], c, isnan(z[c])});
    best = blockBest(best);
    float sum = 0;
    // Less the greatest logit, no exponential overflows. Where all logits are -infinity or NaN the sum is NaN.
    for (uint32_t c = threadIdx.x; c < classes; c += blockDim.x) sum += expf(z[c] - best.value);
    sum = blockSum(sum, shared);
    const int label = labels ? labels[n] : -1;
    const float inverse = 1 / sum;
    for (uint32_t c = threadIdx.x; c < classes; c += blockDim.x) {
      const float p = expf(z[c] - best.value) * inverse;
      if (probabilities) probabilities[uint64_t(n) * classes + c] = p;
      if (gradient) gradient[uint64_t(n) * classes + c] = (p - (int(c) == label ? 1.0f : 0.0f)) * scale;
    }
    if (threadIdx.x == 0 && losses) {
      losses[n] = logf(sum) + (best.value - z[label]);
      hits[n] = int(best.index) == label && !best.nan;
    }
    __syncthreads();  // the next row writes the shared values anew
  }
}

// Adds a mini-batch's losses and hits to the sums, in a fixed order, by one block. In training it then makes the step
// the next one: everything before it in the stream has read the state.
extern "C" __global__ void __launch_bounds__(256)
    add_metrics(Sums *__restrict__ sums, StepState *__restrict__ state, const float *__restrict__ losses,
                const int32_t *__restrict__ hits, uint32_t batch, int32_t training) {
  __shared__ double doubles[32];
  __shared__ int ints[32];
  double loss = 0;
  int hit = 0;
  for (uint32_t n = threadIdx.x; n < batch; n += blockDim.x) {
    loss += losses[n];
    hit += hits[n];
  }
  loss = blockSum(loss, doubles);
  hit = blockSum(hit, ints);
  if (threadIdx.x != 0) return;
  sums->loss += loss;
  sums->hits += hit;
  sums->samples += batch;
  if (training) {
    state->step++;
    if (sums->firstBad == 0 && !isfinite(loss)) sums->firstBad = state->step;
  }
  state->slot++;
}

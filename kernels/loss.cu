// Softmax cross-entropy: probabilities, loss, hits and the gradient with respect to the logits. Logits are always float.
// Formulas: package net, Criterion.
#include "step.cuh"
#include "value.cuh"

// The greatest logit of a row, the first of equal ones.
struct Best {
  float value;
  uint32_t index;
};

__device__ inline Best better(Best a, Best b) {
  return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

__device__ inline Best shuffledBest(Best b, uint32_t lanes) {
  for (uint32_t d = lanes / 2; d > 0; d /= 2) {
    b = better(b, {__shfl_xor_sync(0xffffffffu, b.value, d), __shfl_xor_sync(0xffffffffu, b.index, d)});
  }
  return b;
}

// The best of the lanes that share a row, as laneSum.
__device__ inline Best laneBest(Best b, uint32_t lanes) {
  __shared__ float value[32];
  __shared__ uint32_t index[32];
  const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  b = shuffledBest(b, min(lanes, 32u));
  if (lanes <= 32) return b;
  if (lane == 0) {
    value[warp] = b.value;
    index[warp] = b.index;
  }
  __syncthreads();
  if (lane < lanes / 32) b = {value[lane], index[lane]};
  return shuffledBest(b, 32);
}

// Rows of up to so many logits are shared by the lanes of a warp or part of one, longer ones by a block.
constexpr uint32_t mostOfWarp = 128;

// What is expected of a row, by class: the weight q of -log p in its loss.
struct Target {
  uint32_t label, other;  // none: 0xffffffff
  float own, rest;        // the labels' shares, less what is spread over all classes
  float spread;           // over every class
  const float *weights;   // by class; null: 1

  __device__ float operator()(uint32_t k) const {
    const float q = spread + (k == label ? own : 0) + (k == other ? rest : 0);
    return weights ? weights[k] * q : q;
  }
};

// The sums over a row, or a lane's part of it, of q and of q times how far a logit is from the greatest.
struct Expected {
  float q, away;
  __device__ void add(float target, float distance) {
    q += target;
    if (target != 0) away += target * distance;  // of what is not expected the logit may be -infinity
  }
};

// Of rows of logits (batch, classes), to which bias (classes) is added unless it is null, it writes what is not null:
// probabilities (batch, classes); losses and hits (batch), for which labels are needed; and gradient (batch, classes), that
// of the mean loss over the samples of the update: (p * sum of q - q) * weight with the slot's weight. others and shares (batch) are null, or the second labels
// and the shares of the first; classWeights is null or the weight of each class; spread is label smoothing / classes and
// kept is 1 - label smoothing. blockDim.x is a power of two of 32 or more. Limit: a logit read and
// a value of the gradient written; the further walks over a row meet the cache.
extern "C" __global__ void __launch_bounds__(1024, 1)
    softmax_cross_entropy(const float *__restrict__ logits, const float *__restrict__ bias,
                          const int32_t *__restrict__ labels,
                          float *__restrict__ probabilities, float *__restrict__ losses, int32_t *__restrict__ hits,
                          Value *__restrict__ gradient, const int32_t *__restrict__ others,
                          const float *__restrict__ shares, const float *__restrict__ classWeights,
                          const StepState *__restrict__ state, const Queued *__restrict__ queued, uint32_t batch,
                          uint32_t classes, float spread, float kept) {
  __shared__ float shared[32];
  const float weight = queued[state->slot].weight;
  uint32_t lanes = blockDim.x;
  if (classes <= mostOfWarp) {
    for (lanes = 1; lanes < min(classes, 32u);) lanes *= 2;
  }
  const uint32_t rows = blockDim.x / lanes;
  const Team team = {threadIdx.x % lanes, lanes};
  const bool wide = classes % 4 == 0 && aligned(logits, bias, probabilities) && aligned(gradient);
  // All threads of a block go round together; those without a row have no logits.
  for (uint32_t first = blockIdx.x * rows; first < batch; first += gridDim.x * rows) {
    const uint32_t n = first + threadIdx.x / lanes, count = n < batch ? classes : 0;
    const auto rowOf = [=](auto at) {
      auto v = load(logits + uint64_t(n) * classes, at);
      if (bias) {
        const auto b = load(bias, at);
        for (unsigned k = 0; k < at.width; k++) v[k] += b[k];
      }
      return v;
    };
    const auto logit = [=](uint32_t k) { return rowOf(Span<1>{k})[0]; };
    Best best = {-INFINITY, 0xffffffffu};
    forEach(team, count, wide, [&](auto at) {
      const auto v = rowOf(at);
      for (unsigned k = 0; k < at.width; k++) best = better(best, {v[k], uint32_t(at.first() + k)});
    });
    best = laneBest(best, lanes);
    // Less the greatest logit, no exponential overflows. Where a logit is NaN or infinity, or all are -infinity, the
    // sum is NaN.
    float sum = 0;
    forEach(team, count, wide, [&](auto at) {
      const auto v = rowOf(at);
      for (unsigned k = 0; k < at.width; k++) sum += expf(v[k] - best.value);
    });
    sum = laneSum(sum, lanes, shared);
    Target target = {0xffffffffu, 0xffffffffu, kept, 0, spread, classWeights};
    Expected all = {0, 0};
    if (labels && count) {
      target.label = labels[n];
      if (others) {
        target.other = others[n];
        target.own = kept * shares[n];
        target.rest = kept * (1 - shares[n]);
      }
    }
    if (spread != 0) {
      forEach(team, count, wide, [&](auto at) {
        const auto v = rowOf(at);
        for (unsigned k = 0; k < at.width; k++) all.add(target(at.first() + k), best.value - v[k]);
      });
      all = {laneSum(all.q, lanes, shared), laneSum(all.away, lanes, shared)};
    } else if (labels && count) {
      all.add(target(target.label), best.value - logit(target.label));
      if (others && target.other != target.label) all.add(target(target.other), best.value - logit(target.other));
    }
    const float inverse = 1 / sum;
    forEach(team, count, wide, [=](auto at) {
      auto p = rowOf(at);
      for (unsigned k = 0; k < at.width; k++) p[k] = expf(p[k] - best.value) * inverse;
      if (probabilities) store(probabilities + uint64_t(n) * classes, at, p);
      if (!gradient) return;
      for (unsigned k = 0; k < at.width; k++) p[k] = (p[k] * all.q - target(at.first() + k)) * weight;
      store(gradient + uint64_t(n) * classes, at, p);
    });
    if (count && team.rank == 0 && losses) {
      losses[n] = isnan(sum) ? sum : all.q * logf(sum) + all.away;
      hits[n] = best.index == target.label && !isnan(sum);
    }
    __syncthreads();  // the next rows write the shared values anew
  }
}

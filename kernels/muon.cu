// What Muon does beside products of matrices (package net, Method). A launch updates `matrices` matrices of one shape: of
// weights, gradients, velocities and U. Each has `size` values, and begins `stride` values behind the one before. Of each
// matrix, `parts` blocks share the values, so sums of squares have so many parts, which are added in a fixed order.
#include "gradients.cuh"

// The threads that share a matrix, as those of one of its blocks see them.
__device__ inline Team sharers(uint32_t part, uint32_t parts) {
  return {static_cast<uint64_t>(part) * blockDim.x + threadIdx.x, static_cast<uint64_t>(parts) * blockDim.x};
}

// The sum of a matrix's partial sums, for every thread of the block. All of them must call.
__device__ inline double total(const double *partial, uint32_t parts, double *shared) {
  double sum = 0;
  for (uint32_t i = threadIdx.x; i < parts; i += blockDim.x) sum += partial[i];
  return blockSum(sum, shared);
}

// Velocities v = momentum * v + g, and U = v, or g + momentum * v for Nesterov, or g where v is null. Also the sums of
// squares of U, and of the weights where `weights` isn't null. clip is null or one factor of all gradients. The first
// `narrow` gradients are in `g16`, the others in g. Limit: 8 bytes a value, 8 more with v, 4 more with sums of weights;
// with gradients of bfloat16 2 less.
extern "C" __global__ void __launch_bounds__(256)
    muon_velocity(float *__restrict__ u, const float *__restrict__ w, const float *__restrict__ g,
                  const BFloat16 *__restrict__ g16, float *__restrict__ v, const float *__restrict__ clip,
                  double *__restrict__ squares, double *__restrict__ weights, uint64_t size, uint64_t stride,
                  uint32_t matrices, uint32_t parts, uint64_t narrow, float momentum, int32_t nesterov) {
  __shared__ double shared[32];
  const float factor = clip ? *clip : 1;
  for (uint32_t row = blockIdx.x; row < matrices * parts; row += gridDim.x) {
    const uint64_t first = row / parts * stride;
    const Gradients gradients = Gradients{g, g16, narrow}.from(first);
    float *const to = u + first, *const velocities = v ? v + first : nullptr;
    const float *const from = w + first;
    double sum = 0, weightSum = 0;
    forEach(sharers(row % parts, parts), size, gradients.apart() && aligned(to, velocities, from), [&](auto at) {
      auto d = gradients.at(at);
      for (unsigned k = 0; k < at.width; k++) d[k] *= factor;
      if (velocities) {
        auto velocity = load(velocities, at);
        for (unsigned k = 0; k < at.width; k++) {
          velocity[k] = momentum * velocity[k] + d[k];
          d[k] = nesterov ? d[k] + momentum * velocity[k] : velocity[k];
        }
        store(velocities, at, velocity);
      }
      for (unsigned k = 0; k < at.width; k++) sum += double(d[k]) * d[k];
      store(to, at, d);
      if (!weights) return;
      const auto weight = load(from, at);
      for (unsigned k = 0; k < at.width; k++) weightSum += double(weight[k]) * weight[k];
    });
    sum = blockSum(sum, shared);
    if (threadIdx.x == 0) squares[row] = sum;
    if (!weights) continue;
    weightSum = blockSum(weightSum, shared);
    if (threadIdx.x == 0) weights[row] = weightSum;
  }
}

// U is divided by its L2 norm plus `least`. Limit: 8 bytes a value.
extern "C" __global__ void __launch_bounds__(256)
    muon_scale(float *__restrict__ u, const double *__restrict__ squares, uint64_t size, uint64_t stride,
               uint32_t matrices, uint32_t parts, float least) {
  __shared__ double shared[32];
  __shared__ float factor;
  for (uint32_t row = blockIdx.x; row < matrices * parts; row += gridDim.x) {
    const double sum = total(squares + row / parts * parts, parts, shared);
    if (threadIdx.x == 0) factor = float(1 / (sqrt(sum) + least));
    __syncthreads();
    float *const to = u + row / parts * stride;
    forEach(sharers(row % parts, parts), size, aligned(to), [&](auto at) {
      auto value = load(to, at);
      for (unsigned k = 0; k < at.width; k++) value[k] *= factor;
      store(to, at, value);
    });
    __syncthreads();  // the factor has been read
  }
}

// Square matrices of `rows` rows, one behind the other: p = unit * I + linear * a + square * p. At first p is a * a.
// Limit: 12 bytes a value.
extern "C" __global__ void __launch_bounds__(256)
    muon_polynomial(float *__restrict__ p, const float *__restrict__ a, uint32_t rows, uint32_t matrices, float unit,
                    float linear, float square) {
  const uint32_t size = rows * rows;
  forEach(grid(), uint64_t(matrices) * size, aligned(p, a), [=](auto at) {
    auto value = load(p, at);
    const auto first = load(a, at);
    for (unsigned k = 0; k < at.width; k++) {
      const bool diagonal = (static_cast<uint32_t>(at.first()) + k) % size % (rows + 1) == 0;
      value[k] = square * value[k] + linear * first[k] + (diagonal ? unit : 0);
    }
    store(p, at, value);
  });
}

// w -= rate * scale * U, after w is multiplied by 1 - decay where `decays`, and by sqrt(rows) / (its L2 norm plus
// `least`) where `weights`, its sums of squares, isn't null. Where w16 isn't null, the new weights go there too, as bfloat16. Limit: 12
// bytes a value; with rounded weights 2 more.
extern "C" __global__ void __launch_bounds__(256)
    muon_apply(float *__restrict__ w, BFloat16 *__restrict__ w16, const float *__restrict__ u,
               const double *__restrict__ weights, const StepState *__restrict__ state, const Rates *__restrict__ rates,
               uint64_t size, uint64_t stride, uint32_t matrices, uint32_t parts, uint32_t rows, int32_t decays,
               float scale, float least) {
  __shared__ double shared[32];
  __shared__ float keep;
  const Rates now = rates[state->slot];
  const float subtract = now.update * scale;
  for (uint32_t row = blockIdx.x; row < matrices * parts; row += gridDim.x) {
    const double sum = weights ? total(weights + row / parts * parts, parts, shared) : 0;
    if (threadIdx.x == 0) {
      const double rescale = weights ? sqrt(double(rows)) / (sqrt(sum) + least) : 1;
      keep = float(rescale * (1 - (decays ? double(now.decay) : 0)));
    }
    __syncthreads();
    const uint64_t first = row / parts * stride;
    float *const to = w + first;
    BFloat16 *const rounded = w16 ? w16 + first : nullptr;
    const float *const from = u + first;
    forEach(sharers(row % parts, parts), size, aligned(to, from) && aligned(rounded), [&](auto at) {
      auto weight = load(to, at);
      const auto change = load(from, at);
      for (unsigned k = 0; k < at.width; k++) weight[k] = keep * weight[k] - subtract * change[k];
      store(to, at, weight);
      if (rounded) store(rounded, at, weight);
    });
    __syncthreads();  // what is kept has been read
  }
}

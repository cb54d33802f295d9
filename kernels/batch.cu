// The mini-batch: samples gathered from the data set by index, bytes scaled to float.
#include "step.cuh"

// x[n, i] = convert(values[row(index[n]), i]) and label[n] = labels[index[n]], for n < batch, i < size. index is the row
// of the step's slot; row(i) is rows[i], or i where rows is null. A block finds its sample once; where there are more blocks than samples, several share one.
template <class T, class Convert>
__device__ void gather(float *x, int32_t *label, const T *values, const int32_t *labels, const int32_t *rows,
                       const StepState *state, const int32_t *indices, uint32_t batch, uint32_t capacity, uint32_t size, Convert convert) {
  const int32_t *index = indices + uint64_t(state->slot) * capacity;
  const uint32_t share = max(gridDim.x / batch, 1u);
  const Team team = {uint64_t(blockIdx.x % share) * blockDim.x + threadIdx.x, uint64_t(share) * blockDim.x};
  const bool wide = size % 4 == 0 && aligned(x, values);
  for (uint32_t n = blockIdx.x / share; n < batch; n += gridDim.x / share) {
    const uint32_t sample = index[n];
    const T *from = values + uint64_t(rows ? rows[sample] : sample) * size;
    float *to = x + uint64_t(n) * size;
    forEach(team, size, wide, [=](auto at) {
      const auto v = load(from, at);
      Pack<float, decltype(at)::width> scaled;
      for (unsigned k = 0; k < at.width; k++) scaled[k] = convert(v[k]);
      store(to, at, scaled);
    });
    if (team.rank == 0) label[n] = labels[sample];
  }
}

// Limit: 5 bytes a value, one read and four written.
extern "C" __global__ void __launch_bounds__(256)
    gather_bytes(float *__restrict__ x, int32_t *__restrict__ label, const uint8_t *__restrict__ pixels,
                 const int32_t *__restrict__ labels, const int32_t *__restrict__ rows,
                 const StepState *__restrict__ state, const int32_t *__restrict__ indices, uint32_t batch,
                 uint32_t capacity, uint32_t size, float scale) {
  gather(x, label, pixels, labels, rows, state, indices, batch, capacity, size,
         [=](uint8_t pixel) { return float(pixel) * scale; });
}

// Limit: 8 bytes a value.
extern "C" __global__ void __launch_bounds__(256)
    gather_floats(float *__restrict__ x, int32_t *__restrict__ label, const float *__restrict__ values,
                  const int32_t *__restrict__ labels, const int32_t *__restrict__ rows,
                  const StepState *__restrict__ state, const int32_t *__restrict__ indices, uint32_t batch,
                  uint32_t capacity, uint32_t size) {
  gather(x, label, values, labels, rows, state, indices, batch, capacity, size, [](float value) { return value; });
}

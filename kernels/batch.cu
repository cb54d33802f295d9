// The mini-batch: samples gathered from the data set by index, bytes scaled to float.
#include "step.cuh"

// x[n, i] = pixels[index[n], i] * scale and label[n] = labels[index[n]], for n < batch, i < size. index is the row of
// the step's slot. Limit: size bytes read and 4*size bytes written a sample.
extern "C" __global__ void __launch_bounds__(256)
    gather_bytes(float *__restrict__ x, int32_t *__restrict__ label, const uint8_t *__restrict__ pixels,
                 const int32_t *__restrict__ labels, const StepState *__restrict__ state,
                 const int32_t *__restrict__ indices, uint32_t batch, uint32_t capacity, uint32_t size, float scale) {
  const int32_t *index = indices + uint64_t(state->slot) * capacity;
  const uint32_t total = batch * size;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const uint32_t n = (uint32_t)(k / size);
    const uint32_t i = (uint32_t)(k - uint64_t(n) * size);
    x[k] = float(pixels[uint64_t(index[n]) * size + i]) * scale;
    if (i == 0) label[n] = labels[index[n]];
  }
}

// The same for samples that are float32 already.
extern "C" __global__ void __launch_bounds__(256)
    gather_floats(float *__restrict__ x, int32_t *__restrict__ label, const float *__restrict__ values,
                  const int32_t *__restrict__ labels, const StepState *__restrict__ state,
                  const int32_t *__restrict__ indices, uint32_t batch, uint32_t capacity, uint32_t size) {
  const int32_t *index = indices + uint64_t(state->slot) * capacity;
  const uint32_t total = batch * size;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const uint32_t n = (uint32_t)(k / size);
    const uint32_t i = (uint32_t)(k - uint64_t(n) * size);
    x[k] = values[uint64_t(index[n]) * size + i];
    if (i == 0) label[n] = labels[index[n]];
  }
}

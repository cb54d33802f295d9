// The mini-batch: samples gathered from the data set by index, bytes scaled to float.
#include "step.cuh"
#include "value.cuh"

// x[n, i] = convert(values[row(index[n]), i]) and label[n] = labels[index[n]], for n < batch, i < size. index is the row
// of the step's slot; row(i) is rows[i], or i where rows is null. Where `channels` isn't 1, samples are (channels, extent)
// in the data set and (extent, channels) in x. A block finds its sample once; where there are more blocks than samples,
// several share one.
template <class T, class Convert>
__device__ void gather(Value *x, int32_t *label, const T *values, const int32_t *labels, const int32_t *rows,
                       const StepState *state, const int32_t *indices, uint32_t batch, uint32_t capacity, uint32_t size,
                       uint32_t channels, Convert convert) {
  const int32_t *index = indices + uint64_t(state->slot) * capacity;
  const uint32_t share = max(gridDim.x / batch, 1u), extent = size / channels;
  const Team team = {uint64_t(blockIdx.x % share) * blockDim.x + threadIdx.x, uint64_t(share) * blockDim.x};
  const bool wide = size % 4 == 0 && aligned(x, values);
  for (uint32_t n = blockIdx.x / share; n < batch; n += gridDim.x / share) {
    const uint32_t sample = index[n];
    const T *from = values + uint64_t(rows ? rows[sample] : sample) * size;
    Value *to = x + uint64_t(n) * size;
    if (channels == 1) {
      forEach(team, size, wide, [=](auto at) {
        const auto v = load(from, at);
        Pack<float, decltype(at)::width> scaled;
        for (unsigned k = 0; k < at.width; k++) scaled[k] = convert(v[k]);
        store(to, at, scaled);
      });
    } else {
      forEach(team, size, size % 4 == 0 && aligned(x), [=](auto at) {
        uint32_t pixel = uint32_t(at.first()) / channels, channel = uint32_t(at.first()) - pixel * channels;
        Pack<float, decltype(at)::width> scaled;
        for (unsigned k = 0; k < at.width; k++) {
          scaled[k] = convert(from[channel * extent + pixel]);
          if (++channel == channels) channel = 0, pixel++;
        }
        store(to, at, scaled);
      });
    }
    if (team.rank == 0) label[n] = labels[sample];
  }
}

// Limit: a byte read and a value written.
extern "C" __global__ void __launch_bounds__(256, 4)
    gather_bytes(Value *__restrict__ x, int32_t *__restrict__ label, const uint8_t *__restrict__ pixels,
                 const int32_t *__restrict__ labels, const int32_t *__restrict__ rows,
                 const StepState *__restrict__ state, const int32_t *__restrict__ indices, uint32_t batch,
                 uint32_t capacity, uint32_t size, uint32_t channels, float scale) {
  gather(x, label, pixels, labels, rows, state, indices, batch, capacity, size, channels,
         [=](uint8_t pixel) { return float(pixel) * scale; });
}

// Limit: four bytes read and a value written.
extern "C" __global__ void __launch_bounds__(256, 4)
    gather_floats(Value *__restrict__ x, int32_t *__restrict__ label, const float *__restrict__ values,
                  const int32_t *__restrict__ labels, const int32_t *__restrict__ rows,
                  const StepState *__restrict__ state, const int32_t *__restrict__ indices, uint32_t batch,
                  uint32_t capacity, uint32_t size, uint32_t channels) {
  gather(x, label, values, labels, rows, state, indices, batch, capacity, size, channels, [](float value) { return value; });
}

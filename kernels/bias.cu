// Adding a bias to every channel, in place: x[n, c, i] += bias[c], for `count` values of which a channel has `extent`
// in a row. Limit: x read and written once, two moves a value.
#include "channels.cuh"

struct Biases {
  const float *bias;

  template <unsigned W>
  __device__ Pack<float, W> of(uint32_t channel) const {
    return numbersFrom<W>(bias, channel);
  }
};

template <class After>
__device__ void addBias(Value *x, const float *bias, uint32_t count, uint32_t channels, uint32_t extent, After after) {
  forEachWithNumbers(count, channels, extent, aligned<WIDE>(x), Biases{bias}, [=](auto at, auto each) {
    auto v = load(x, at);
    for (unsigned k = 0; k < at.width; k++) v[k] = after(v[k] + each[k]);
    store(x, at, v);
  });
}

extern "C" __global__ void __launch_bounds__(256, 4) bias_add(Value *__restrict__ x, const float *__restrict__ bias,
                                                           uint32_t count, uint32_t channels, uint32_t extent) {
  addBias(x, bias, count, channels, extent, [](float v) { return v; });
}

// With ReLU after it: a NaN stays one.
extern "C" __global__ void __launch_bounds__(256, 4) bias_relu(Value *__restrict__ x, const float *__restrict__ bias,
                                                            uint32_t count, uint32_t channels, uint32_t extent) {
  addBias(x, bias, count, channels, extent, [](float v) { return v <= 0 ? 0 : v; });
}

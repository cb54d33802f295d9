// Between float32 and bfloat16, where a value is needed in both.
#include "grid.cuh"

// y[i] = x[i] rounded to bfloat16, for i < count. Limit: 6 bytes a value.
extern "C" __global__ void __launch_bounds__(256)
    to_bf16(BFloat16 *__restrict__ y, const float *__restrict__ x, uint64_t count) {
  forEach(grid(), count, aligned(y, x), [=](auto at) { store(y, at, load(x, at)); });
}

// y[i] = x[i] as float32, for i < count. Where `add` is not 0 it adds to y. Limit: 6 bytes a value, 10 to add.
extern "C" __global__ void __launch_bounds__(256)
    from_bf16(float *__restrict__ y, const BFloat16 *__restrict__ x, uint64_t count, int32_t add) {
  forEach(grid(), count, aligned(y, x), [=](auto at) { storeOrAdd(y, at, load(x, at), add); });
}

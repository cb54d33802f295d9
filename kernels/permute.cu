// Rearranging values, where a layer wants its channels in another order.
#include "value.cuh"

constexpr uint32_t SIDE = 32;  // of a tile: a warp reads its rows, and writes its columns

// y (batch, columns, rows) = x (batch, rows, columns), or added to y where `add` is not 0. From NHWC to NCHW, rows are
// pixels and columns are channels; the other way round they change places. A block carries a tile through shared memory, so
// that neighbouring threads both read and write neighbouring values. Limit: two moves a value, three to add.
extern "C" __global__ void __launch_bounds__(256)
    permute(Value *__restrict__ y, const Value *__restrict__ x, uint32_t batch, uint32_t rows, uint32_t columns,
            int32_t add) {
  __shared__ float tile[SIDE][SIDE + 1];
  const uint32_t down = (rows + SIDE - 1) / SIDE, across = (columns + SIDE - 1) / SIDE;
  const uint32_t lane = threadIdx.x % SIDE, warp = threadIdx.x / SIDE, warps = blockDim.x / SIDE;
  for (uint32_t b = blockIdx.x; b < batch * down * across; b += gridDim.x) {
    const uint32_t band = b / across, n = band / down;
    const uint32_t row = (band - n * down) * SIDE, column = (b - band * across) * SIDE, first = n * rows * columns;
    for (uint32_t i = warp; i < SIDE; i += warps) {
      if (row + i < rows && column + lane < columns) {
        tile[i][lane] = widened(x[first + (row + i) * columns + column + lane]);
      }
    }
    __syncthreads();
    for (uint32_t i = warp; i < SIDE; i += warps) {
      if (column + i < columns && row + lane < rows) {
        const Span<1> at{first + (column + i) * rows + row + lane};
        storeOrAdd(y, at, Pack<float, 1>{tile[lane][i]}, add);
      }
    }
    __syncthreads();  // the next tile is written anew
  }
}

// Convolutions in one kernel with the bias, the ReLU and the 2x2 max pooling behind them. Images lie in shared memory and
// what is pooled in registers: it never goes to device memory. Of its gradient only the places of the maxima are
// multiplied for the weights, a quarter, and none that the ReLU stopped.
#include "step.cuh"
#include "value.cuh"

constexpr uint32_t FILTERS = 8;          // that a block computes
constexpr uint32_t MOST_VALUES = 6144;   // of images with their padding, in shared memory
constexpr uint32_t MOST_TAPS = 96;       // of a filter: a lane has three in the gradients

// How far channels (or filters) and places lie apart in an image, or in a filter.
struct Strides {
  uint32_t channel, place;

  // Of (channels, places), or of (places, channels) where `last` is set.
  __device__ Strides(uint32_t channels, uint32_t places, bool last)
      : channel(last ? 1 : places), place(last ? channels : 1) {}

  __device__ uint32_t operator()(uint32_t c, uint32_t p) const { return c * channel + p * place; }
};

// Images in shared memory: `rows` by `columns` values a channel, which hold what all windows see; outside there are zeros.
// Rows begin `pitch` apart, so that a filter's fall into different banks, one behind the other.
struct Plane {
  uint32_t rows, columns, pitch;

  __device__ Plane(int32_t kernelH, int32_t kernelW, uint32_t outH, uint32_t outW)
      : rows(2 * outH + kernelH - 1), columns(2 * outW + kernelW - 1), pitch(columns + (kernelW - columns) % 32) {}

  __device__ uint32_t size() const { return rows * pitch; }

  // All threads of the block copy `count` channels of an image of h rows and w columns. A thread goes on by a block's
  // values without dividing.
  __device__ void take(float *shared, const Value *x, const Strides &strides, uint32_t count, int32_t h, int32_t w,
                       int32_t top, int32_t left) const {
    const uint32_t rowsOn = blockDim.x / columns, columnsOn = blockDim.x - rowsOn * columns;
    uint32_t row = threadIdx.x / columns, column = threadIdx.x - row * columns, plane = 0;
    while (true) {
      for (; row >= rows; row -= rows) plane++;
      if (plane >= count) return;
      const int32_t ih = int32_t(row) - top, iw = int32_t(column) - left;
      shared[plane * size() + row * pitch + column] =
          ih >= 0 && ih < h && iw >= 0 && iw < w ? widened(x[strides(plane, ih * w + iw)]) : 0;
      row += rowsOn;
      column += columnsOn;
      if (column >= columns) column -= columns, row++;
    }
  }
};

// y and mask of bias_relu_pool, of the convolution of x (batch, channels, h, w) with weight (filters, channels, kernelH,
// kernelW) at strides of 1, which makes madeH by madeW values an image and filter. Where `last` is set, the channels or
// filters are the last dimension of x, y and mask, and the channels that of weight. A block takes eight filters and an
// image, as many of its windows as it has threads: 32 sums each. `chunk` channels are in shared memory at once. Limit:
// arithmetic, 4 * taps multiply-adds a value of y.
extern "C" __global__ void __launch_bounds__(256, 3)
    conv_bias_relu_pool(Value *__restrict__ y, uint8_t *__restrict__ mask, const Value *__restrict__ x,
                        const float *__restrict__ weight, const float *__restrict__ bias, uint32_t batch,
                        uint32_t filters, uint32_t channels, int32_t h, int32_t w, int32_t kernelH, int32_t kernelW,
                        int32_t top, int32_t left, uint32_t madeH, uint32_t madeW, uint32_t outH, uint32_t outW,
                        uint32_t chunk, int32_t last) {
  __shared__ float image[MOST_VALUES];
  __shared__ Pack<float, 4> factors[MOST_TAPS * FILTERS / 4];
  const Plane plane(kernelH, kernelW, outH, outW);
  const uint32_t taps = kernelH * kernelW, groups = (filters + FILTERS - 1) / FILTERS, area = outH * outW;
  const uint32_t tiles = (area + blockDim.x - 1) / blockDim.x;
  for (uint32_t b = blockIdx.x; b < batch * groups * tiles; b += gridDim.x) {
    const uint32_t tile = b % tiles, group = b / tiles % groups, n = b / tiles / groups, first = group * FILTERS;
    const uint32_t p = tile * blockDim.x + threadIdx.x, window = min(p, area - 1);
    const uint32_t oh = window / outW, ow = window - oh * outW;
    float sums[FILTERS][4] = {};
    for (uint32_t c0 = 0; c0 < channels; c0 += chunk) {
      const uint32_t count = min(chunk, channels - c0);
      const Strides images(channels, h * w, last), weights(channels, taps, last);
      __syncthreads();  // what was there has been read
      plane.take(image, x + n * channels * h * w + images(c0, 0), images, count, h, w, top, left);
      for (uint32_t i = threadIdx.x; i < count * taps * FILTERS; i += blockDim.x) {
        const uint32_t f = i / (count * taps), at = i - f * count * taps, c = at / taps;
        const float v =
            first + f < filters ? weight[(first + f) * channels * taps + weights(c0 + c, at - c * taps)] : 0;
        factors[(at * FILTERS + f) / 4][f % 4] = v;
      }
      __syncthreads();
      const Pack<float, 4> *factor = factors;
      for (uint32_t c = 0; c < count; c++) {
        const float *row = image + c * plane.size() + 2 * oh * plane.pitch + 2 * ow;
        for (int32_t r = 0; r < kernelH; r++, row += plane.pitch) {
          float a = row[0], b = row[plane.pitch];
          for (int32_t s = 0; s < kernelW; s++) {
            const float nextA = row[s + 1], nextB = row[plane.pitch + s + 1];
#pragma unroll
            for (uint32_t four = 0; four < FILTERS; four += 4) {
              const auto f = *factor++;
#pragma unroll
              for (uint32_t k = 0; k < 4; k++) {
                sums[four + k][0] += f[k] * a;
                sums[four + k][1] += f[k] * nextA;
                sums[four + k][2] += f[k] * b;
                sums[four + k][3] += f[k] * nextB;
              }
            }
            a = nextA, b = nextB;
          }
        }
      }
    }
    if (p >= area) continue;
    Pack<float, FILTERS> values;
    Pack<uint8_t, FILTERS> where;
#pragma unroll
    for (uint32_t k = 0; k < FILTERS; k++) {
      const float added = first + k < filters ? bias[first + k] : 0;
      float best = 0;
      where[k] = 4;
#pragma unroll
      for (uint32_t i = 0; i < 4; i++) {
        const float sum = sums[k][i] + added;
        if (2 * oh + i / 2 >= madeH || 2 * ow + i % 2 >= madeW || !(sum > best) && !isnan(sum)) continue;
        best = sum;
        where[k] = i + (isnan(sum) ? 4 : 0);
      }
      values[k] = best;
    }
    const Strides made(filters, area, last);
    const uint32_t o = n * filters * area + made(first, p);
    if (last && filters % FILTERS == 0 && aligned<WIDE>(y) && aligned<FILTERS>(mask)) {
      for (uint32_t k = 0; k < FILTERS; k += WIDE) {
        Pack<float, WIDE> part;
        for (uint32_t i = 0; i < WIDE; i++) part[i] = values[k + i];
        store(y + o, Span<WIDE>{k / WIDE}, part);
      }
      store(mask + o, Span<FILTERS>{0}, where);
      continue;
    }
#pragma unroll
    for (uint32_t k = 0; k < FILTERS; k++) {
      if (first + k >= filters) break;
      put(y + o + made(k, 0), values[k]);
      mask[o + made(k, 0)] = where[k];
    }
  }
}

// What a warp sums: the gradients of a filter's weights for some channels, over a part of the batch.
struct Part {
  float *dw, *db;  // of the filter and all channels; db is null but for the first channels
  const Value *x, *dy;
  const uint8_t *mask;
  uint32_t begin, end, filters, filter, channels, first, count;
  int32_t h, w, kernelH, kernelW, top, left;
  uint32_t outH, outW;
  bool last;

  // A lane has TAPS taps of the filter. All threads of the block must call. Its warps read dy and mask of neighbouring
  // filters together, which for NHWC lie in the same sectors.
  template <uint32_t TAPS>
  __device__ __forceinline__ void sum(const Plane &plane, float *image) const {
    const uint32_t lane = threadIdx.x % 32, area = outH * outW, places = kernelH * kernelW, taps = count * places;
    const Strides images(channels, h * w, last), made(filters, area, last);
    uint32_t offsets[TAPS];
    float sums[TAPS] = {}, bias = 0;
#pragma unroll
    for (uint32_t i = 0; i < TAPS; i++) {
      const uint32_t tap = min(lane + 32 * i, taps - 1), row = tap / kernelW, c = row / kernelH;
      offsets[i] = c * plane.size() + (row - c * kernelH) * plane.pitch + tap - row * kernelW;
    }
    for (uint32_t n = begin; n < end; n++) {
      __syncthreads();  // what was there has been read
      plane.take(image, x + n * channels * h * w + images(first, 0), images, count, h, w, top, left);
      __syncthreads();
      for (uint32_t p = lane; filter < filters && p - lane < area; p += 32) {
        float d = 0;
        uint32_t place = 0;
        if (p < area) {
          const uint32_t o = n * filters * area + made(filter, p), oh = p / outW, ow = p - oh * outW, where = mask[o];
          d = widened(dy[o]) * (where < 4 ? 1 : 0);
          place = (2 * oh + where / 2 % 2) * plane.pitch + 2 * ow + where % 2;
        }
        bias += d;
        for (uint32_t todo = __ballot_sync(0xffffffffu, d != 0); todo != 0; todo &= todo - 1) {
          const int from = __ffs(todo) - 1;
          const float gradient = __shfl_sync(0xffffffffu, d, from);
          const float *window = image + __shfl_sync(0xffffffffu, place, from);
#pragma unroll
          for (uint32_t i = 0; i < TAPS; i++) sums[i] += gradient * window[offsets[i]];
        }
      }
    }
    if (filter >= filters) return;
    bias = laneSum(bias, 32, image);
    if (lane == 0 && db) *db = bias;
    const Strides weights(channels, places, last);
#pragma unroll
    for (uint32_t i = 0; i < TAPS; i++) {
      const uint32_t tap = lane + 32 * i, c = tap / places;
      if (tap < taps) dw[weights(first + c, tap - c * places)] = sums[i];
    }
  }
};

// dw and db of conv_bias_relu_pool in `parts` parts of the batch. Where there are several, column_sums adds them up: those of
// a part begin `pitch` values behind those of the part before. `last` is that of the forward pass, for x, dy, mask and dw. A
// block takes a part, eight filters and `chunk` channels, a warp a filter: it multiplies each gradient that is not 0 with what the
// window's maximum was computed from. Limit: a multiply-add and a load from shared memory of a warp for each gradient that
// is not 0 and 32 taps.
extern "C" __global__ void __launch_bounds__(256, 4)
    conv_relu_pool_gradients(float *__restrict__ dw, float *__restrict__ db, const Value *__restrict__ x,
                             const Value *__restrict__ dy, const uint8_t *__restrict__ mask, uint32_t batch,
                             uint32_t filters, uint32_t channels, int32_t h, int32_t w, int32_t kernelH,
                             int32_t kernelW, int32_t top, int32_t left, uint32_t outH, uint32_t outW, uint32_t chunk,
                             uint32_t parts, uint32_t pitch, int32_t last) {
  __shared__ float image[MOST_VALUES];
  const Plane plane(kernelH, kernelW, outH, outW);
  const uint32_t groups = (filters + FILTERS - 1) / FILTERS, chunks = (channels + chunk - 1) / chunk;
  const uint32_t warps = blockDim.x / 32, taps = chunk * kernelH * kernelW;
  for (uint32_t b = blockIdx.x; b < parts * groups * chunks; b += gridDim.x) {
    const uint32_t c0 = b % chunks * chunk, group = b / chunks % groups, i = b / chunks / groups;
    for (uint32_t round = 0; round < min(FILTERS, filters - group * FILTERS); round += warps) {
      const uint32_t warp = round + threadIdx.x / 32, filter = warp < FILTERS ? group * FILTERS + warp : filters;
      const Part part{dw + uint64_t(i) * pitch + filter * channels * kernelH * kernelW,
                      c0 == 0 ? db + uint64_t(i) * pitch + filter : nullptr,
                      x,
                      dy,
                      mask,
                      uint32_t(uint64_t(i) * batch / parts),
                      uint32_t(uint64_t(i + 1) * batch / parts),
                      filters,
                      filter,
                      channels,
                      c0,
                      min(chunk, channels - c0),
                      h,
                      w,
                      kernelH,
                      kernelW,
                      top,
                      left,
                      outH,
                      outW,
                      last != 0};
      if (taps <= 32) {
        part.sum<1>(plane, image);
      } else if (taps <= 64) {
        part.sum<2>(plane, image);
      } else {
        part.sum<3>(plane, image);
      }
    }
  }
}

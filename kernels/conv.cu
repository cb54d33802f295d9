// Convolutions of few input channels, as a network's first layer has, in one kernel with the bias, the ReLU and the 2x2
// max pooling behind them. The image lies in shared memory and what is pooled in registers: neither it nor its gradient
// ever goes to device memory, and of the gradient only the places of the maxima are multiplied, a quarter.
#include "step.cuh"

constexpr uint32_t FILTERS = 8;         // that a block computes
constexpr uint32_t MOST_VALUES = 6144;  // of an image with its padding, in shared memory
constexpr uint32_t MOST_TAPS = 96;      // of a filter: channels * rows * columns

// An image in shared memory: `rows` by `pitch` values a channel, which hold what all windows see; outside there are zeros.
// The pitch lets a filter's rows fall into different banks, one behind the other.
struct Image {
  uint32_t channels, rows, pitch;

  __device__ Image(uint32_t channels, int32_t kernelH, int32_t kernelW, uint32_t outH, uint32_t outW)
      : channels(channels), rows(2 * outH + kernelH - 1), pitch(2 * outW + kernelW - 1) {
    pitch += (kernelW - pitch) % 32;
  }

  // All threads of the block copy image x (channels, h, w), and wait for one another before and after.
  __device__ void take(float *shared, const float *x, int32_t h, int32_t w, int32_t top, int32_t left) const {
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < channels * rows * pitch; i += blockDim.x) {
      const uint32_t row = i / pitch, c = row / rows;
      const int32_t iw = int32_t(i - row * pitch) - left, ih = int32_t(row - c * rows) - top;
      shared[i] = ih >= 0 && ih < h && iw >= 0 && iw < w ? x[(c * h + ih) * w + iw] : 0;
    }
    __syncthreads();
  }
};

// y and mask of bias_relu_pool, of the convolution of x (batch, channels, h, w) with weight (filters, channels, kernelH,
// kernelW) at strides of 1, which makes madeH by madeW values an image and filter. A block takes an image and eight
// filters, a thread a window of theirs: 32 sums. Limit: arithmetic, 4 * taps multiply-adds a value of y, where y has few
// enough values to stay in the cache; else its 5 bytes a value.
extern "C" __global__ void __launch_bounds__(256)
    conv_bias_relu_pool(float *__restrict__ y, uint8_t *__restrict__ mask, const float *__restrict__ x,
                        const float *__restrict__ weight, const float *__restrict__ bias, uint32_t batch,
                        uint32_t filters, uint32_t channels, int32_t h, int32_t w, int32_t kernelH, int32_t kernelW,
                        int32_t top, int32_t left, uint32_t madeH, uint32_t madeW, uint32_t outH, uint32_t outW) {
  __shared__ float image[MOST_VALUES];
  __shared__ Pack<float, 4> factors[MOST_TAPS * FILTERS / 4];
  const Image at(channels, kernelH, kernelW, outH, outW);
  const uint32_t taps = channels * kernelH * kernelW, groups = (filters + FILTERS - 1) / FILTERS, area = outH * outW;
  for (uint32_t b = blockIdx.x; b < batch * groups; b += gridDim.x) {
    const uint32_t n = b / groups, first = (b - n * groups) * FILTERS;
    at.take(image, x + n * channels * h * w, h, w, top, left);
    for (uint32_t i = threadIdx.x; i < taps * FILTERS; i += blockDim.x) {
      const uint32_t f = first + i % FILTERS;
      factors[i / 4][i % 4] = f < filters ? weight[f * taps + i / FILTERS] : 0;
    }
    __syncthreads();
    for (uint32_t p = threadIdx.x; p < area; p += blockDim.x) {
      const uint32_t oh = p / outW, ow = p - oh * outW;
      float sums[FILTERS][4] = {};
      const Pack<float, 4> *factor = factors;
      for (uint32_t c = 0; c < channels; c++) {
        const float *row = image + (c * at.rows + 2 * oh) * at.pitch + 2 * ow;
        for (int32_t r = 0; r < kernelH; r++, row += at.pitch) {
          float a = row[0], b = row[at.pitch];
          for (int32_t s = 0; s < kernelW; s++) {
            const float nextA = row[s + 1], nextB = row[at.pitch + s + 1];
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
#pragma unroll
      for (uint32_t k = 0; k < FILTERS; k++) {
        if (first + k >= filters) break;
        const float added = bias[first + k];
        float best = 0;
        uint8_t where = 4;
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
          const float sum = sums[k][i] + added;
          if (2 * oh + i / 2 >= madeH || 2 * ow + i % 2 >= madeW || !(sum > best) && !isnan(sum)) continue;
          best = sum;
          where = i + (isnan(sum) ? 4 : 0);
        }
        const uint32_t o = (n * filters + first + k) * area + p;
        y[o] = best;
        mask[o] = where;
      }
    }
  }
}

// What a warp sums: the gradients of a filter over a part of the batch.
struct Part {
  float *dw, *db;
  const float *x, *dy;
  const uint8_t *mask;
  uint32_t begin, end, filters, filter, taps;
  int32_t h, w, kernelH, kernelW, top, left;
  uint32_t outH, outW;

  // A lane has TAPS taps of the filter. All threads of the block must call.
  template <uint32_t TAPS>
  __device__ __forceinline__ void sum(const Image &at, float *image) const {
    const uint32_t lane = threadIdx.x % 32, area = outH * outW;
    uint32_t offsets[TAPS];
    float sums[TAPS] = {}, bias = 0;
#pragma unroll
    for (uint32_t i = 0; i < TAPS; i++) {
      const uint32_t tap = min(lane + 32 * i, taps - 1), row = tap / kernelW, c = row / kernelH;
      offsets[i] = (c * at.rows + row - c * kernelH) * at.pitch + tap - row * kernelW;
    }
    for (uint32_t n = begin; n < end; n++) {
      at.take(image, x + n * at.channels * h * w, h, w, top, left);
      for (uint32_t p = lane; filter < filters && p - lane < area; p += 32) {
        float d = 0;
        uint32_t place = 0;
        if (p < area) {
          const uint32_t o = (n * filters + filter) * area + p, oh = p / outW, ow = p - oh * outW, where = mask[o];
          d = dy[o] * (where < 4 ? 1 : 0);
          place = (2 * oh + where / 2 % 2) * at.pitch + 2 * ow + where % 2;
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
    if (lane == 0) db[filter] = bias;
#pragma unroll
    for (uint32_t i = 0; i < TAPS; i++) {
      if (lane + 32 * i < taps) dw[filter * taps + lane + 32 * i] = sums[i];
    }
  }
};

// dw and db of conv_bias_relu_pool in `parts` parts of the batch: rows of filters * taps and of filters sums, which
// column_sums adds up where there are several. A block takes a part and eight filters, a warp a filter: it multiplies
// each gradient that is not 0 with what the window's maximum was computed from. Limit: x and dy once, with a byte of
// mask: 5 bytes a value of dy; or a few cycles of a warp for each value that is not 0.
extern "C" __global__ void __launch_bounds__(256)
    conv_relu_pool_gradients(float *__restrict__ dw, float *__restrict__ db, const float *__restrict__ x,
                             const float *__restrict__ dy, const uint8_t *__restrict__ mask, uint32_t batch,
                             uint32_t filters, uint32_t channels, int32_t h, int32_t w, int32_t kernelH,
                             int32_t kernelW, int32_t top, int32_t left, uint32_t outH, uint32_t outW, uint32_t parts) {
  __shared__ float image[MOST_VALUES];
  const Image at(channels, kernelH, kernelW, outH, outW);
  const uint32_t taps = channels * kernelH * kernelW, groups = (filters + FILTERS - 1) / FILTERS;
  for (uint32_t b = blockIdx.x; b < parts * groups; b += gridDim.x) {
    const uint32_t i = b / groups, group = b - i * groups, warps = blockDim.x / 32;
    const uint32_t begin = uint64_t(i) * batch / parts, end = uint64_t(i + 1) * batch / parts;
    for (uint32_t round = 0; round < FILTERS; round += warps) {
      const uint32_t warp = round + threadIdx.x / 32;
      const Part part{dw + i * filters * taps, db + i * filters, x,    dy,      mask,    begin, end, filters,
                      warp < FILTERS ? group * FILTERS + warp : filters, taps, h, w, kernelH, kernelW, top, left, outH, outW};
      if (taps <= 32) {
        part.sum<1>(at, image);
      } else if (taps <= 64) {
        part.sum<2>(at, image);
      } else {
        part.sum<3>(at, image);
      }
    }
  }
}

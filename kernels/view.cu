// The mini-batch of samples that are seen by views: moved, turned, enlarged, with other colours, partly erased, mixed
// with another sample. Formulas: package net, Transform and View; package net/reference has the plain form.
#include "step.cuh"
#include "value.cuh"

// A rectangle, as net.Box.
struct Box {
  int32_t left, top, right, bottom;
  __device__ bool empty() const { return left >= right || top >= bottom; }
  __device__ bool has(int32_t x, int32_t y) const { return x >= left && x < right && y >= top && y < bottom; }
};

// How a picture becomes an input, as net.Transform.
struct alignas(16) Transform {
  float matrix[6];
  uint32_t reflect;   // 1: around the picture is its mirror image; 0: nothing
  uint32_t coloured;  // 1: colour counts
  float colour[12];
  Box erase;
};

// How one sample of a mini-batch is seen. The host writes it.
struct alignas(16) View {
  Transform own, other;
  int32_t row, label;            // the sample's row of the values, and its label
  int32_t otherRow, otherLabel;  // its partner's; without one -1, and the sample's own label
  Box box;
  float share;
  uint32_t unused[3];
};

// Planes of pixels.
struct Extent {
  uint32_t height, width;
};

// Where a place outside of 0 ... size-1 is seen in mirrors at the middles of the first and the last pixel.
__device__ inline int32_t reflected(int32_t at, int32_t size) {
  if (uint32_t(at) < uint32_t(size)) return at;
  if (size == 1) return 0;
  const int32_t period = 2 * (size - 1);
  at = (at % period + period) % period;
  return min(at, period - at);
}

// What one value of an input is made of: the pixels around its place in a plane, and how much they count.
struct Place {
  uint32_t at[4];
  float weight[4];  // of 0: the pixel is not looked at, and may lie outside
};

// The whole part of a place; far outside, where nothing is told apart, one that has neighbours.
__device__ inline int32_t whole(float floor) { return int32_t(fminf(fmaxf(floor, -0x1p30f), 0x1p30f)); }

__device__ inline Place placeOf(const Transform &t, uint32_t x, uint32_t y, Extent from) {
  const float *m = t.matrix;
  const float column = fmaf(m[0], float(x), fmaf(m[1], float(y), m[2]));
  const float row = fmaf(m[3], float(x), fmaf(m[4], float(y), m[5]));
  const float left = floorf(column), top = floorf(row), right = column - left, bottom = row - top;
  Place p;
  for (unsigned k = 0; k < 4; k++) {
    int32_t px = whole(left) + int32_t(k % 2), py = whole(top) + int32_t(k / 2);
    if (t.reflect) {
      px = reflected(px, from.width);
      py = reflected(py, from.height);
    }
    const bool inside = uint32_t(px) < from.width && uint32_t(py) < from.height;
    p.at[k] = uint32_t(py) * from.width + uint32_t(px);
    p.weight[k] = inside ? (k % 2 ? right : 1 - right) * (k / 2 ? bottom : 1 - bottom) : 0;
  }
  return p;
}

// The values of an input's place in C neighbouring planes.
template <unsigned C>
struct Pixel {
  static constexpr unsigned channels = C;
  float channel[C];
  __device__ float &operator[](unsigned k) { return channel[k]; }
  __device__ const float &operator[](unsigned k) const { return channel[k]; }
};

// C values of an input's place, of neighbouring planes of a picture; C is 3 where colours mix, which takes all three.
template <unsigned C, class T, class Convert>
__device__ Pixel<C> look(const Transform &t, uint32_t x, uint32_t y, const T *plane, Extent from, Convert convert) {
  const Place p = placeOf(t, x, y, from);
  const uint64_t area = uint64_t(from.height) * from.width;
  Pixel<C> pixel;
  for (unsigned c = 0; c < C; c++) {
    pixel[c] = 0;
    for (unsigned k = 0; k < 4; k++) {
      if (p.weight[k] != 0) pixel[c] += p.weight[k] * convert(plane[c * area + p.at[k]]);
    }
  }
  if (t.coloured) {
    Pixel<C> mixed;
    for (unsigned c = 0; c < C; c++) {
      const float *by = t.colour + 4 * c;
      float v = by[3];
      if (C == 1) {
        v += by[0] * pixel[0];
      } else {
        for (unsigned k = 0; k < C; k++) v += by[k] * pixel[k];
      }
      mixed[c] = isnan(v) ? v : fminf(fmaxf(v, 0.0f), 1.0f);
    }
    pixel = mixed;
  }
  if (t.erase.has(x, y)) {
    for (unsigned c = 0; c < C; c++) pixel[c] = 0;
  }
  return pixel;
}

// x (batch, channels, in), or (batch, in, channels) where `last` is set, of pictures (rows, channels, from), and the labels
// for the loss. The views are the row of the step's slot. A block finds its sample once; where there are more blocks than
// samples, several share one. A thread makes one place of all channels.
template <class T, class Convert>
__device__ void see(Value *x, int32_t *label, int32_t *other, float *share, const T *values, const StepState *state,
                    const View *views, uint32_t batch, uint32_t capacity, uint32_t channels, bool last,
                    Extent in, Extent from, Convert convert) {
  const View *of = views + uint64_t(state->slot) * capacity;
  const uint32_t blocks = max(gridDim.x / batch, 1u), area = in.height * in.width, fromArea = from.height * from.width;
  const Team team = {uint64_t(blockIdx.x % blocks) * blockDim.x + threadIdx.x, uint64_t(blocks) * blockDim.x};
  for (uint32_t n = blockIdx.x / blocks; n < batch; n += gridDim.x / blocks) {
    const View &v = of[n];
    const uint64_t size = uint64_t(channels) * fromArea;
    const T *own = values + uint64_t(uint32_t(v.row)) * size, *partner = values + uint64_t(uint32_t(v.otherRow)) * size;
    const bool mixed = v.otherRow >= 0, cut = !v.box.empty();
    for (uint64_t i = team.rank; i < area; i += team.size) {
      const uint32_t column = uint32_t(i) % in.width, row = uint32_t(i) / in.width;
      float part = 1;  // that is the sample's own
      if (mixed) part = !cut ? v.share : v.box.has(column, row) ? 0 : 1;
      Value *to = x + uint64_t(n) * channels * area + (last ? i * channels : i);
      const uint32_t pitch = last ? 1 : area;  // from a channel to the next
      const auto make = [=, &v](auto pixel, uint32_t c) {
        constexpr unsigned C = decltype(pixel)::channels;
        const uint64_t at = uint64_t(c) * fromArea;
        if (part != 0) pixel = look<C>(v.own, column, row, own + at, from, convert);
        if (part != 1) {
          const auto others = look<C>(v.other, column, row, partner + at, from, convert);
          for (unsigned k = 0; k < C; k++) pixel[k] = part != 0 ? part * pixel[k] + (1 - part) * others[k] : others[k];
        }
        for (unsigned k = 0; k < C; k++) put(to + (c + k) * uint64_t(pitch), pixel[k]);
      };
      if (channels == 3) {
        make(Pixel<3>{}, 0);
      } else {
        for (uint32_t c = 0; c < channels; c++) make(Pixel<1>{}, c);
      }
    }
    if (team.rank == 0) {
      label[n] = v.label;
      other[n] = v.otherLabel;
      share[n] = v.share;
    }
  }
}

// Limit: the launch, for small images; else the pixels read and the values written; the pixels' neighbours meet the cache.
// They need some 80 registers: two blocks a multiprocessor are promised, so that ptxas does not spill any to have more.
extern "C" __global__ void __launch_bounds__(256, 2)
    view_bytes(Value *__restrict__ x, int32_t *__restrict__ label, int32_t *__restrict__ other,
               float *__restrict__ share, const uint8_t *__restrict__ pixels, const StepState *__restrict__ state,
               const View *__restrict__ views, uint32_t batch, uint32_t capacity, uint32_t channels, uint32_t height,
               uint32_t width, uint32_t fromHeight, uint32_t fromWidth, int32_t last, float scale) {
  see(x, label, other, share, pixels, state, views, batch, capacity, channels, last, {height, width}, {fromHeight, fromWidth},
      [=](uint8_t pixel) { return float(pixel) * scale; });
}

extern "C" __global__ void __launch_bounds__(256, 2)
    view_floats(Value *__restrict__ x, int32_t *__restrict__ label, int32_t *__restrict__ other,
                float *__restrict__ share, const float *__restrict__ values, const StepState *__restrict__ state,
                const View *__restrict__ views, uint32_t batch, uint32_t capacity, uint32_t channels, uint32_t height,
                uint32_t width, uint32_t fromHeight, uint32_t fromWidth, int32_t last) {
  see(x, label, other, share, values, state, views, batch, capacity, channels, last, {height, width}, {fromHeight, fromWidth},
      [](float value) { return value; });
}

// The products of convolutions by tensor cores: tiles of a product of two matrices, which are gathered from images and
// filters while they are multiplied. Values are bfloat16 with channels last, sums are float32. A block makes one tile of the
// product. Its factors come to shared memory DEPTH steps of the sums at a time, STAGES-1 of these ahead.
//
// Factors are loaded by objects with a method
//   from.load(tile)   begins to load the next DEPTH steps' factors to a tile
// A tile is (rows of the product, DEPTH), or (DEPTH, rows of the product): the latter "lies across".
#pragma once

#include "mma.cuh"

constexpr uint32_t PRODUCT_THREADS = 128;  // in every block
constexpr uint32_t DEPTH = 32, STAGES = 3;

// How a block's warps share a tile of M by N sums: DOWN warps below each other.
template <unsigned M_, unsigned N_, unsigned DOWN>
struct Tiling {
  static constexpr unsigned M = M_, N = N_, ACROSS = PRODUCT_THREADS / 32 / DOWN;
  static constexpr unsigned WARP_M = M / DOWN, WARP_N = N / ACROSS;  // of a warp
  static constexpr unsigned PITCH = N + 8;                           // of rows of sums in shared memory
  static constexpr unsigned FACTORS = (M + N) * DEPTH / 8;           // chunks of a stage
  static constexpr unsigned CHUNKS = STAGES * FACTORS > M * PITCH / 4 ? STAGES * FACTORS : M * PITCH / 4;

  static __device__ uint32_t warpRow() { return threadIdx.x / 32 / ACROSS * WARP_M; }
  static __device__ uint32_t warpColumn() { return threadIdx.x / 32 % ACROSS * WARP_N; }
};

template <class T>
struct Sums {
  float of[T::WARP_M / 16][T::WARP_N / 8][4];
};

// The matrices of 16 by 16 factors at (row, k) of the left tile, as multiplyAdd takes them.
template <unsigned M, bool LIES_ACROSS>
__device__ void leftFactors(uint32_t (&a)[4], const Chunk *tile, uint32_t row, uint32_t k) {
  const uint32_t lane = threadIdx.x % 32, low = lane % 8, second = lane / 8 % 2, fourth = lane / 16;
  if constexpr (LIES_ACROSS) {
    loadMatrices<true>(a, tile + Swizzled<M>::place(k + low + 8 * fourth, row / 8 + second));
  } else {
    loadMatrices<false>(a, tile + Swizzled<DEPTH>::place(row + low + 8 * second, k / 8 + fourth));
  }
}

// The same for the right tile: two pairs of 16 by 8 factors.
template <unsigned N, bool LIES_ACROSS>
__device__ void rightFactors(uint32_t (&b)[4], const Chunk *tile, uint32_t column, uint32_t k) {
  const uint32_t lane = threadIdx.x % 32, low = lane % 8, second = lane / 8 % 2, fourth = lane / 16;
  if constexpr (LIES_ACROSS) {
    loadMatrices<true>(b, tile + Swizzled<N>::place(k + low + 8 * second, column / 8 + fourth));
  } else {
    loadMatrices<false>(b, tile + Swizzled<DEPTH>::place(column + low + 8 * fourth, k / 8 + second));
  }
}

// Adds the products of a stage's factors to a warp's sums.
template <class T, bool LEFT_ACROSS, bool RIGHT_ACROSS>
__device__ void multiplyStage(Sums<T> &sums, const Chunk *left, const Chunk *right) {
#pragma unroll
  for (uint32_t k = 0; k < DEPTH; k += 16) {
    uint32_t a[T::WARP_M / 16][4], b[T::WARP_N / 16][4];
#pragma unroll
    for (uint32_t i = 0; i < T::WARP_M / 16; i++) leftFactors<T::M, LEFT_ACROSS>(a[i], left, T::warpRow() + 16 * i, k);
#pragma unroll
    for (uint32_t j = 0; j < T::WARP_N / 16; j++) {
      rightFactors<T::N, RIGHT_ACROSS>(b[j], right, T::warpColumn() + 16 * j, k);
    }
#pragma unroll
    for (uint32_t i = 0; i < T::WARP_M / 16; i++) {
#pragma unroll
      for (uint32_t j = 0; j < T::WARP_N / 8; j++) {
        multiplyAdd(sums.of[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
      }
    }
  }
}

// The sums of a tile over `stages` times DEPTH steps. Afterwards nobody uses the shared memory.
template <class T, bool LEFT_ACROSS, bool RIGHT_ACROSS, class Left, class Right>
__device__ void multiply(Sums<T> &sums, Chunk *shared, Left &left, Right &right, uint32_t stages) {
  const auto load = [&](uint32_t number, uint32_t to) {
    if (number < stages) {
      Chunk *tiles = shared + to * T::FACTORS;
      left.load(tiles);
      right.load(tiles + T::M * DEPTH / 8);
    }
    groupCopies();
  };
  for (uint32_t s = 0; s < STAGES - 1; s++) load(s, s);
  uint32_t from = 0, to = STAGES - 1;
  for (uint32_t s = 0; s < stages; s++) {
    waitForCopies<STAGES - 2>();  // to this stage
    __syncthreads();              // everyone has, and has read the stage that is loaded over now
    load(s + STAGES - 1, to);
    const Chunk *tiles = shared + from * T::FACTORS;
    multiplyStage<T, LEFT_ACROSS, RIGHT_ACROSS>(sums, tiles, tiles + T::M * DEPTH / 8);
    from = from + 1 < STAGES ? from + 1 : 0;
    to = to + 1 < STAGES ? to + 1 : 0;
  }
  waitForCopies<0>();
  __syncthreads();
}

// Brings sums to shared memory, as rows of PITCH floats, and waits for all threads.
template <class T>
__device__ void spread(float *rows, const Sums<T> &sums) {
  const uint32_t lane = threadIdx.x % 32;
#pragma unroll
  for (uint32_t i = 0; i < T::WARP_M / 16; i++) {
#pragma unroll
    for (uint32_t j = 0; j < T::WARP_N / 8; j++) {
      const auto &c = sums.of[i][j];
      float *to = rows + (T::warpRow() + 16 * i + lane / 4) * T::PITCH + T::warpColumn() + 8 * j + lane % 4 * 2;
      store(to, Span<2>{0}, Pack<float, 2>{c[0], c[1]});
      store(to + 8 * T::PITCH, Span<2>{0}, Pack<float, 2>{c[2], c[3]});
    }
  }
  __syncthreads();
}

// Eight of the sums that `spread` left.
template <class T>
__device__ Pack<float, 8> gathered(const float *rows, uint32_t row, uint32_t column) {
  const float *from = rows + row * T::PITCH + column;
  const auto low = load(from, Span<4>{0}), high = load(from, Span<4>{1});
  return {low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]};
}

// Where a step of the sums is: at a place (r, s) of the filter, in channel c.
struct Tap {
  uint32_t r, s, c;

  // That of a step. There is at least one column and one channel.
  static __device__ Tap of(uint32_t step, uint32_t columns, uint32_t channels) {
    const uint32_t place = step / channels;
    return {place / columns, place % columns, step % channels};
  }

  __device__ void next(uint32_t columns, uint32_t channels) {
    if (++c < channels) return;
    c = 0;
    if (++s < columns) return;
    s = 0;
    r++;
  }

  __device__ void advance(uint32_t by, uint32_t columns, uint32_t channels) {
    c += by;
    if (c < channels) return;
    s += c / channels;
    c %= channels;
    if (s < columns) return;
    r += s / columns;
    s %= columns;
  }
};

// What the sums see of images (n, h, w, channels): along each axis, output i sees `taps` places, at
// scale*i + first + step*r for each tap r. Places outside the image hold zeros.
struct Axis {
  int32_t size, scale, first, step;
  uint32_t taps;
};

struct Images {
  const BFloat16 *values;
  uint32_t channels;
  Axis down, across;

  __device__ uint32_t columns() const { return max(across.taps, 1u); }
  __device__ uint32_t steps() const { return down.taps * across.taps * channels; }
};

// An output's place: that in row i and column j of image n.
struct Output {
  uint32_t n;
  int32_t i, j;
};

// Where a place of an output's first tap is. It may be outside the image.
struct Corner {
  int32_t h, w;
  uint32_t offset;  // of its values; may wrap round

  __device__ Corner() {}
  __device__ Corner(const Images &x, const Output &o)
      : h(x.down.scale * o.i + x.down.first),
        w(x.across.scale * o.j + x.across.first),
        offset(((o.n * x.down.size + h) * x.across.size + w) * x.channels) {}

  // What is at a tap: an address, or none.
  __device__ bool sees(const Images &x, int32_t down, int32_t across) const {
    return uint32_t(h + down) < uint32_t(x.down.size) && uint32_t(w + across) < uint32_t(x.across.size);
  }

  static __device__ Corner nowhere() {
    Corner c;
    c.h = c.w = INT32_MIN / 2;
    c.offset = 0;
    return c;
  }
};

// A chunk, put together from single values.
struct Gathering {
  Chunk chunk = {};

  __device__ void put(unsigned k, BFloat16 v) { chunk.words[k / 2] |= uint32_t(v.bits) << 16 * (k % 2); }
};

// Factors from images: the outputs' rows of what they see. `outputs` says of each row of the tile which output it is:
// outputs(row, output) is false if there is none. If WIDE, eight channels move at once.
template <unsigned ROWS, bool WIDE>
struct ImageRows {
  static constexpr uint32_t PER_ROW = DEPTH / 8, DOWN = PRODUCT_THREADS / PER_ROW, EACH = ROWS / DOWN;

  const Images &x;
  Tap tap;
  Corner corners[EACH];

  template <class Outputs>
  __device__ ImageRows(const Images &x, Outputs outputs)
      : x(x), tap(Tap::of(threadIdx.x % PER_ROW * 8, x.columns(), x.channels)) {
#pragma unroll
    for (uint32_t i = 0; i < EACH; i++) {
      Output o;
      corners[i] = outputs(threadIdx.x / PER_ROW + i * DOWN, o) ? Corner(x, o) : Corner::nowhere();
    }
  }

  __device__ void load(Chunk *tile) {
    const auto to = [&](uint32_t i) {
      return tile + Swizzled<DEPTH>::place(threadIdx.x / PER_ROW + i * DOWN, threadIdx.x % PER_ROW);
    };
    const auto at = [&](const Tap &tap, auto body) {
      const int32_t down = tap.r * x.down.step, across = tap.s * x.across.step;
      const uint32_t offset = (down * x.across.size + across) * x.channels + tap.c;
#pragma unroll
      for (uint32_t i = 0; i < EACH; i++) {
        body(i, x.values + uint32_t(corners[i].offset + offset),
             tap.r < x.down.taps && corners[i].sees(x, down, across));
      }
    };
    if constexpr (WIDE) {
      at(tap, [&](uint32_t i, const BFloat16 *from, bool there) { beginCopy(to(i), there ? from : x.values, there); });
    } else {
      Gathering all[EACH];
      Tap each = tap;
#pragma unroll
      for (unsigned k = 0; k < 8; k++) {
        at(each, [&](uint32_t i, const BFloat16 *from, bool there) {
          if (there) all[i].put(k, *from);
        });
        each.next(x.columns(), x.channels);
      }
      for (uint32_t i = 0; i < EACH; i++) *to(i) = all[i].chunk;
    }
    tap.advance(DEPTH, x.columns(), x.channels);
  }
};

// Factors from a matrix (rows, columns): ROWS rows from `first` on, with DEPTH columns more each time.
template <unsigned ROWS, bool WIDE>
struct MatrixRows {
  static constexpr uint32_t PER_ROW = DEPTH / 8, DOWN = PRODUCT_THREADS / PER_ROW, EACH = ROWS / DOWN;

  const BFloat16 *values;
  uint32_t rows, columns, row, column;

  __device__ MatrixRows(const BFloat16 *values, uint32_t rows, uint32_t columns, uint32_t first)
      : values(values),
        rows(rows),
        columns(columns),
        row(first + threadIdx.x / PER_ROW),
        column(threadIdx.x % PER_ROW * 8) {}

  __device__ void load(Chunk *tile) {
#pragma unroll
    for (uint32_t i = 0; i < EACH; i++) {
      Chunk *to = tile + Swizzled<DEPTH>::place(threadIdx.x / PER_ROW + i * DOWN, threadIdx.x % PER_ROW);
      const bool inside = row + i * DOWN < rows;
      const BFloat16 *from = values + ((row + i * DOWN) * columns + column);
      if constexpr (WIDE) {
        const bool there = inside && column < columns;
        beginCopy(to, there ? from : values, there);
      } else {
        Gathering all;
#pragma unroll
        for (unsigned k = 0; k < 8; k++) {
          if (inside && column + k < columns) all.put(k, from[k]);
        }
        *to = all.chunk;
      }
    }
    column += DEPTH;
  }
};

// The places a + stride*i along an axis of the input. All of them see the same taps of the filter, each `every` of them from
// `tap` on, and the output at places that go down by a fixed step: for them a convolution's input gradient is itself a
// convolution, with a stride of 1.
struct Phase {
  int32_t a, stride, places;
  uint32_t tap = 0, every = 1;
  Axis axis;  // what they see of the output's gradient

  __device__ Phase(int32_t a, int32_t in, int32_t out, uint32_t kernel, int32_t stride, int32_t dilation, int32_t before)
      : a(a), stride(stride), places(a < in ? (in - a + stride - 1) / stride : 0), axis{out, 1, 0, 0, 0} {
    while (tap < kernel && (a + before - int32_t(tap) * dilation) % stride != 0) tap++;
    while (int32_t(every) * dilation % stride != 0) every++;
    if (tap == kernel) return;
    axis.first = (a + before - int32_t(tap) * dilation) / stride;
    axis.step = -(int32_t(every) * dilation / stride);
    axis.taps = (kernel - tap + every - 1) / every;
  }
};

// Factors from filters (channels of the steps, kernelH, kernelW, columns), which lie across: COLUMNS columns from `first` on,
// at the taps of two phases.
template <unsigned COLUMNS, bool WIDE>
struct FilterColumns {
  static constexpr uint32_t PER_ROW = COLUMNS / 8, DOWN = PRODUCT_THREADS / PER_ROW, EACH = DEPTH / DOWN;

  const BFloat16 *values;
  const Images &x;  // on which the filters lie
  const Phase &down, &across;
  uint32_t kernelH, kernelW, columns, column;
  Tap tap;

  __device__ FilterColumns(const BFloat16 *values, const Images &x, const Phase &down, const Phase &across,
                           uint32_t kernelH, uint32_t kernelW, uint32_t columns, uint32_t first)
      : values(values),
        x(x),
        down(down),
        across(across),
        kernelH(kernelH),
        kernelW(kernelW),
        columns(columns),
        column(first + threadIdx.x % PER_ROW * 8),
        tap(Tap::of(threadIdx.x / PER_ROW, x.columns(), x.channels)) {}

  __device__ void load(Chunk *tile) {
#pragma unroll
    for (uint32_t i = 0; i < EACH; i++) {
      Chunk *to = tile + Swizzled<COLUMNS>::place(threadIdx.x / PER_ROW + i * DOWN, threadIdx.x % PER_ROW);
      const uint32_t r = down.tap + tap.r * down.every, s = across.tap + tap.s * across.every;
      const BFloat16 *from = values + (((tap.c * kernelH + r) * kernelW + s) * columns + column);
      const bool inside = tap.r < x.down.taps;
      if constexpr (WIDE) {
        const bool there = inside && column < columns;
        beginCopy(to, there ? from : values, there);
      } else {
        Gathering all;
#pragma unroll
        for (unsigned k = 0; k < 8; k++) {
          if (inside && column + k < columns) all.put(k, from[k]);
        }
        *to = all.chunk;
      }
      tap.advance(DOWN, x.columns(), x.channels);
    }
  }
};

// Factors from a matrix (rows, columns), which lie across: COLUMNS columns from `first` on, of the rows from `row` to `end`.
template <unsigned COLUMNS, bool WIDE>
struct MatrixColumns {
  static constexpr uint32_t PER_ROW = COLUMNS / 8, DOWN = PRODUCT_THREADS / PER_ROW, EACH = DEPTH / DOWN;

  const BFloat16 *values;
  uint32_t row, end, columns, column;

  __device__ MatrixColumns(const BFloat16 *values, uint32_t row, uint32_t end, uint32_t columns, uint32_t first)
      : values(values),
        row(row + threadIdx.x / PER_ROW),
        end(end),
        columns(columns),
        column(first + threadIdx.x % PER_ROW * 8) {}

  __device__ void load(Chunk *tile) {
#pragma unroll
    for (uint32_t i = 0; i < EACH; i++) {
      Chunk *to = tile + Swizzled<COLUMNS>::place(threadIdx.x / PER_ROW + i * DOWN, threadIdx.x % PER_ROW);
      const BFloat16 *from = values + (row * columns + column);
      if constexpr (WIDE) {
        const bool there = row < end && column < columns;
        beginCopy(to, there ? from : values, there);
      } else {
        Gathering all;
#pragma unroll
        for (unsigned k = 0; k < 8; k++) {
          if (row < end && column + k < columns) all.put(k, from[k]);
        }
        *to = all.chunk;
      }
      row += DOWN;
    }
  }
};

// Factors from images, which lie across: what outputs see at COLUMNS taps and channels from `first` on. The steps are the
// outputs of (n, outH, outW), from number `output` to `end`.
template <unsigned COLUMNS, bool WIDE>
struct ImageColumns {
  static constexpr uint32_t PER_ROW = COLUMNS / 8, DOWN = PRODUCT_THREADS / PER_ROW, EACH = DEPTH / DOWN;

  const Images &x;
  uint32_t number, end;
  int32_t outH, outW;
  Output at, step;
  Tap tap;

  static __device__ Output numbered(uint32_t number, uint32_t outH, uint32_t outW) {
    const uint32_t line = number / outW;
    return {line / outH, int32_t(line % outH), int32_t(number % outW)};
  }

  __device__ ImageColumns(const Images &x, uint32_t output, uint32_t end, uint32_t outH, uint32_t outW, uint32_t first)
      : x(x),
        number(output + threadIdx.x / PER_ROW),
        end(end),
        outH(outH),
        outW(outW),
        at(numbered(number, outH, outW)),
        step(numbered(DOWN, outH, outW)),
        tap(Tap::of(first + threadIdx.x % PER_ROW * 8, x.columns(), x.channels)) {}

  __device__ void load(Chunk *tile) {
#pragma unroll
    for (uint32_t i = 0; i < EACH; i++) {
      Chunk *to = tile + Swizzled<COLUMNS>::place(threadIdx.x / PER_ROW + i * DOWN, threadIdx.x % PER_ROW);
      const Corner corner(x, at);
      const auto look = [&](const Tap &tap, auto body) {
        const int32_t down = tap.r * x.down.step, across = tap.s * x.across.step;
        const uint32_t offset = (down * x.across.size + across) * x.channels + tap.c;
        body(x.values + uint32_t(corner.offset + offset),
             number < end && tap.r < x.down.taps && corner.sees(x, down, across));
      };
      if constexpr (WIDE) {
        look(tap, [&](const BFloat16 *from, bool there) { beginCopy(to, there ? from : x.values, there); });
      } else {
        Gathering all;
        Tap each = tap;
#pragma unroll
        for (unsigned k = 0; k < 8; k++) {
          look(each, [&](const BFloat16 *from, bool there) {
            if (there) all.put(k, *from);
          });
          each.next(x.columns(), x.channels);
        }
        *to = all.chunk;
      }
      advance();
    }
  }

  __device__ void advance() {
    number += DOWN;
    at.n += step.n;
    at.i += step.i;
    at.j += step.j;
    if (at.j >= outW) at.j -= outW, at.i++;
    if (at.i >= outH) at.i -= outH, at.n++;
  }
};

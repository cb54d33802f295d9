// A blocked matrix product: both factors are packed into panels of a few rows or columns, converted to the type that
// computes, and multiplied a tile at a time.
#ifndef GPUTRAIN_SIM_CUBLAS_MULTIPLY_H
#define GPUTRAIN_SIM_CUBLAS_MULTIPLY_H

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cublas_v2.h"
#include "ptx/smallfloat.h"

namespace sim::blas {

// What tensor cores make of float32 factors.
enum class Narrow : uint8_t { No, Tf32, Half, Brain };

inline float toTf32(float x) {
  uint32_t bits = ptx::bits<uint32_t>(x);
  if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0x1000u) & ~0x1fffu;  // to nearest, ties away from zero
  return ptx::bits<float>(bits);
}

inline float narrowed(float x, Narrow narrow) {
  switch (narrow) {
    case Narrow::Tf32: return toTf32(x);
    case Narrow::Half: return ptx::halfToFloat(ptx::floatToHalf(x));
    case Narrow::Brain: return ptx::brainToFloat(ptx::floatToBrain(x));
    default: return x;
  }
}

// Calls visit(index, value) for `count` elements, `stride` elements apart, as numbers of the type that computes.
template <class T, class Visit>
void each(const uint8_t *data, cudaDataType type, Narrow narrow, size_t stride, size_t count, Visit visit) {
  const auto load = [&](auto element, auto convert) {
    for (size_t i = 0; i < count; i++) {
      std::memcpy(&element, data + i * stride * sizeof element, sizeof element);
      visit(i, static_cast<T>(convert(element)));
    }
  };
  switch (type) {
    case CUDA_R_64F: return load(double{}, [](double x) { return x; });
    case CUDA_R_16F: return load(uint16_t{}, [](uint16_t x) { return ptx::halfToFloat(x); });
    case CUDA_R_16BF: return load(uint16_t{}, [](uint16_t x) { return ptx::brainToFloat(x); });
    default: break;
  }
  if (narrow == Narrow::No) return load(float{}, [](float x) { return x; });
  if (narrow == Narrow::Tf32) return load(float{}, [](float x) { return toTf32(x); });
  load(float{}, [narrow](float x) { return narrowed(x, narrow); });
}

// One factor as the product sees it: `outer` rows (or columns) of `k` elements.
struct Factor {
  const uint8_t *data;
  cudaDataType type;
  size_t size;                 // of an element
  size_t outer;                // rows of op(A), columns of op(B)
  size_t outerStride, kStride;  // in elements
};

// Packs elements [begin, begin + depth) of k of all rows into panels of W rows, k running slowest; zeros fill the last.
template <class T, size_t W>
void pack(const Factor &factor, Narrow narrow, size_t begin, size_t depth, std::vector<T> &panels) {
  const size_t count = (factor.outer + W - 1) / W;
  panels.assign(count * W * depth, T(0));
  for (size_t i = 0; i < factor.outer; i++) {
    T *panel = panels.data() + i / W * W * depth + i % W;
    const uint8_t *row = factor.data + (i * factor.outerStride + begin * factor.kStride) * factor.size;
    each<T>(row, factor.type, narrow, factor.kStride, depth, [panel](size_t l, T x) { panel[l * W] = x; });
  }
}

constexpr size_t kColumns = 4;  // of a tile

template <class T>
struct Lanes {
  typedef T type __attribute__((vector_size(16)));
  static constexpr size_t width = 16 / sizeof(T), rows = 2 * width;  // of a tile
};

// Adds the product of two panels to a tile of sums.
template <class T>
void multiplyTile(const T *a, const T *b, size_t depth, T *sums, size_t ld) {
  using Lane = typename Lanes<T>::type;
  constexpr size_t width = Lanes<T>::width;
  Lane low[kColumns] = {}, high[kColumns] = {};
  for (size_t l = 0; l < depth; l++) {
    Lane first, second;
    std::memcpy(&first, a + l * 2 * width, sizeof first);
    std::memcpy(&second, a + l * 2 * width + width, sizeof second);
    for (size_t j = 0; j < kColumns; j++) {
      low[j] += first * b[l * kColumns + j];
      high[j] += second * b[l * kColumns + j];
    }
  }
  for (size_t j = 0; j < kColumns; j++) {
    for (size_t i = 0; i < width; i++) {
      sums[j * ld + i] += low[j][i];
      sums[j * ld + width + i] += high[j][i];
    }
  }
}

// op(A) * op(B): column-major, its leading dimension `ld` a multiple of the tile's rows.
template <class T>
std::vector<T> multiply(const Factor &a, const Factor &b, size_t k, Narrow narrow, size_t &ld) {
  constexpr size_t rows = Lanes<T>::rows, deepest = 256;
  ld = (a.outer + rows - 1) / rows * rows;
  std::vector<T> sums(ld * ((b.outer + kColumns - 1) / kColumns * kColumns), T(0));
  std::vector<T> left, right;
  for (size_t begin = 0; begin < k; begin += deepest) {
    const size_t depth = std::min(deepest, k - begin);
    pack<T, rows>(a, narrow, begin, depth, left);
    pack<T, kColumns>(b, narrow, begin, depth, right);
    for (size_t j = 0; j < b.outer; j += kColumns) {
      for (size_t i = 0; i < a.outer; i += rows) {
        multiplyTile<T>(left.data() + i * depth, right.data() + j * depth, depth, sums.data() + j * ld + i, ld);
      }
    }
  }
  return sums;
}

}  // namespace sim::blas

#endif

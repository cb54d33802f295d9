#include "nccl/reduce.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "ptx/smallfloat.h"

namespace sim::nccl {

namespace {

constexpr uint64_t kChunk = 16384;  // elements at a time

// How elements are stored, and what is computed with.
template <class T>
struct Plain {
  using Stored = T;
  using Value = T;
  static T load(T x) { return x; }
  static T store(T x) { return x; }
};

struct Half {
  using Stored = uint16_t;
  using Value = float;
  static float load(uint16_t x) { return ptx::halfToFloat(x); }
  static uint16_t store(float x) { return ptx::floatToHalf(x); }
};

struct Brain {
  using Stored = uint16_t;
  using Value = float;
  static float load(uint16_t x) { return ptx::brainToFloat(x); }
  static uint16_t store(float x) { return ptx::floatToBrain(x); }
};

// Whole numbers wrap around.
template <class T, class Operation>
T wrapping(T a, T b, Operation operation) {
  if constexpr (std::is_integral_v<T>) {
    return T(operation(uint64_t(a), uint64_t(b)));
  } else {
    return operation(a, b);
  }
}

template <class T>
T greater(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return std::fmax(a, b);
  return std::max(a, b);
}

template <class T>
T smaller(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return std::fmin(a, b);
  return std::min(a, b);
}

template <class Format, class Operation>
bool reduceWith(int ranks, uint64_t count, const Source &source, uint8_t *result, Operation operation) {
  using Stored = typename Format::Stored;
  using Value = typename Format::Value;
  std::vector<Stored> in(size_t(std::min(count, kChunk)));
  std::vector<Value> sums(in.size());
  for (uint64_t begin = 0; begin < count; begin += kChunk) {
    const size_t n = size_t(std::min(count - begin, kChunk));
    for (int rank = 0; rank < ranks; rank++) {
      auto *bytes = reinterpret_cast<uint8_t *>(in.data());
      if (!source(rank, begin * sizeof(Stored), bytes, n * sizeof(Stored))) return false;
      if (rank == 0) {
        for (size_t i = 0; i < n; i++) sums[i] = Format::load(in[i]);
      } else {
        for (size_t i = 0; i < n; i++) sums[i] = operation(sums[i], Format::load(in[i]));
      }
    }
    Stored *to = reinterpret_cast<Stored *>(result) + begin;
    for (size_t i = 0; i < n; i++) to[i] = Format::store(sums[i]);
  }
  return true;
}

template <class Format>
bool reduceAs(ncclRedOp_t op, int ranks, uint64_t count, const Source &source, uint8_t *result) {
  using Value = typename Format::Value;
  switch (op) {
    case ncclSum:
      return reduceWith<Format>(ranks, count, source, result, [](Value a, Value b) {
        return wrapping(a, b, [](auto x, auto y) { return x + y; });
      });
    case ncclProd:
      return reduceWith<Format>(ranks, count, source, result, [](Value a, Value b) {
        return wrapping(a, b, [](auto x, auto y) { return x * y; });
      });
    case ncclMax: return reduceWith<Format>(ranks, count, source, result, greater<Value>);
    case ncclMin: return reduceWith<Format>(ranks, count, source, result, smaller<Value>);
    default: return false;
  }
}

}  // namespace

bool reduce(ncclDataType_t type, ncclRedOp_t op, int ranks, uint64_t count, const Source &source, uint8_t *result) {
  switch (type) {
    case ncclInt8: return reduceAs<Plain<int8_t>>(op, ranks, count, source, result);
    case ncclUint8: return reduceAs<Plain<uint8_t>>(op, ranks, count, source, result);
    case ncclInt32: return reduceAs<Plain<int32_t>>(op, ranks, count, source, result);
    case ncclUint32: return reduceAs<Plain<uint32_t>>(op, ranks, count, source, result);
    case ncclInt64: return reduceAs<Plain<int64_t>>(op, ranks, count, source, result);
    case ncclUint64: return reduceAs<Plain<uint64_t>>(op, ranks, count, source, result);
    case ncclFloat16: return reduceAs<Half>(op, ranks, count, source, result);
    case ncclFloat32: return reduceAs<Plain<float>>(op, ranks, count, source, result);
    case ncclFloat64: return reduceAs<Plain<double>>(op, ranks, count, source, result);
    case ncclBfloat16: return reduceAs<Brain>(op, ranks, count, source, result);
    default: return false;
  }
}

}  // namespace sim::nccl

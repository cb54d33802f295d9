// Atomics and reductions.
#include <cmath>
#include <limits>

#include "access.h"
#include "decode.h"
#include "memory_operand.h"

namespace ptx {
namespace {

enum Operation : uint8_t { kAdd, kMin, kMax, kExch, kCas, kInc, kDec, kAnd, kOr, kXor };

struct PackedHalf {
  uint32_t v;
};
struct PackedBrain {
  uint32_t v;
};
struct Half {
  uint16_t v;
};
struct Brain {
  uint16_t v;
};

float addSingle(float a, float b) {
  const float r = a + b;
  return r == r ? r : bits<float>(0x7fffffffu);
}
uint16_t addHalf(uint16_t a, uint16_t b) { return floatToHalf(halfToFloat(a) + halfToFloat(b)); }
uint16_t addBrain(uint16_t a, uint16_t b) {
  return static_cast<uint16_t>(
      roundTo(kBrain, addToOdd(static_cast<double>(brainToFloat(a)), static_cast<double>(brainToFloat(b))), Rounding::Nearest));
}

template <class T>
T apply(uint8_t operation, T old, T b, T c) {
  if constexpr (std::is_same_v<T, float>) {
    return operation == kAdd ? addSingle(old, b) : operation == kExch ? b : old;
  } else if constexpr (std::is_same_v<T, double>) {
    return operation == kAdd ? old + b : b;
  } else if constexpr (std::is_same_v<T, Half>) {
    return {addHalf(old.v, b.v)};
  } else if constexpr (std::is_same_v<T, Brain>) {
    return {addBrain(old.v, b.v)};
  } else if constexpr (std::is_same_v<T, PackedHalf>) {
    return {static_cast<uint32_t>(addHalf(static_cast<uint16_t>(old.v >> 16), static_cast<uint16_t>(b.v >> 16))) << 16 |
            addHalf(static_cast<uint16_t>(old.v), static_cast<uint16_t>(b.v))};
  } else if constexpr (std::is_same_v<T, PackedBrain>) {
    return {static_cast<uint32_t>(addBrain(static_cast<uint16_t>(old.v >> 16), static_cast<uint16_t>(b.v >> 16))) << 16 |
            addBrain(static_cast<uint16_t>(old.v), static_cast<uint16_t>(b.v))};
  } else {
    switch (operation) {
      case kAdd: return static_cast<T>(static_cast<uint64_t>(old) + static_cast<uint64_t>(b));
      case kMin: return b < old ? b : old;
      case kMax: return old < b ? b : old;
      case kExch: return b;
      case kCas: return old == b ? c : old;
      case kInc: return old >= b ? 0 : static_cast<T>(old + 1);
      case kDec: return old == 0 || old > b ? b : static_cast<T>(old - 1);
      case kAnd: return old & b;
      case kOr: return old | b;
      default: return old ^ b;
    }
  }
}

// o: address, result, b, c. flags kStrong always; mode: the operation. count 0: red, without a result.
template <class T>
void atomic(Exec &x, const Inst &i) {
  forAreas(x, i, sizeof(T), true, [&](const Reach &reach) {
    T *d = x.lanes<T>(i.o[1]);
    const T *b = x.lanes<T>(i.o[2]), *c = x.lanes<T>(i.o[3]);
    if (reach.area->space == Space::Global && i.flags & kFenced) x.running->block.fenced = true;
    // Lanes come in an order that the seed turns.
    const unsigned turn = x.running->random.below(kLanes);
    for (unsigned k = 0; k < kLanes; k++) {
      const unsigned l = (k + turn) % kLanes;
      if (!(reach.mask >> l & 1)) continue;
      uint8_t *at = reach.area->data + reach.offset[l];
      T old;
      std::memcpy(&old, at, sizeof old);
      if (!checkAtomic(x, i, reach, l, sizeof(T))) return;
      const T fresh = apply<T>(i.mode, old, b[l], c[l]);
      std::memcpy(at, &fresh, sizeof fresh);
      if (i.count) d[l] = old;
    }
  });
}

void decodeAtomic(Decoder &d) {
  const bool result = d.statement.opcode == "atom";
  const int order = d.takeOne({"relaxed", "acquire", "release", "acq_rel"});
  const int scope = d.takeOne({"cta", "cluster", "gpu", "sys"});
  d.inst.flags = kStrong;
  if (order > 0 && scope != 0) d.inst.flags |= kFenced;
  if (d.inst.flags & kFenced) d.builder.function().fences = true;
  d.inst.space = takeMemorySpace(d);
  if (d.inst.space != Space::Generic && d.inst.space != Space::Global && d.inst.space != Space::Shared)
    d.fail("atomics are for global and shared memory");
  const int operation = d.takeOne({"add", "min", "max", "exch", "cas", "inc", "dec", "and", "or", "xor"});
  if (operation < 0) d.fail("no operation");
  d.inst.mode = static_cast<uint8_t>(operation);
  const bool noftz = d.take("noftz");
  d.takeOne({"L2::cache_hint"});
  const Type type = d.takeType();
  d.finish();
  const bool isBits = type == Type::B32 || type == Type::B64 || type == Type::B16;
  bool fits = false;
  switch (operation) {
    case kAdd: fits = !isBits && bytesOf(type) >= 2; break;
    case kMin:
    case kMax: fits = !isBits && !isFloat(type) && bytesOf(type) >= 4; break;
    case kExch: fits = type == Type::B32 || type == Type::B64; break;
    case kCas: fits = isBits; break;
    case kInc:
    case kDec: fits = type == Type::U32; break;
    default: fits = type == Type::B32 || type == Type::B64; break;
  }
  const bool small = type == Type::F16 || type == Type::F16x2 || type == Type::BF16 || type == Type::BF16x2;
  if (small != noftz) fits = false;
  if (type == Type::U16 || type == Type::S16) fits = false;
  if (!result && (operation == kExch || operation == kCas)) fits = false;
  if (!fits) d.fail(std::string("not for type .") + name(type) + (small && !noftz ? " without .noftz" : ""));
  switch (type) {
    case Type::B16: d.inst.run = atomic<uint16_t>; break;
    case Type::U32:
    case Type::B32: d.inst.run = atomic<uint32_t>; break;
    case Type::S32: d.inst.run = atomic<int32_t>; break;
    case Type::U64:
    case Type::B64: d.inst.run = atomic<uint64_t>; break;
    case Type::S64: d.inst.run = atomic<int64_t>; break;
    case Type::F32: d.inst.run = atomic<float>; break;
    case Type::F64: d.inst.run = atomic<double>; break;
    case Type::F16: d.inst.run = atomic<Half>; break;
    case Type::BF16: d.inst.run = atomic<Brain>; break;
    case Type::F16x2: d.inst.run = atomic<PackedHalf>; break;
    default: d.inst.run = atomic<PackedBrain>; break;
  }
  const size_t first = result ? 1 : 0, sources = operation == kCas ? 2 : 1;
  d.wantOperands(first + 1 + sources);
  memoryOperand(d, d.statement.operands[first]);
  d.inst.o[2] = d.source(first + 1, type);
  d.inst.o[3] = sources == 2 ? d.source(first + 2, type) : d.inst.o[2];
  d.inst.count = result;
  d.inst.size = static_cast<uint8_t>(bytesOf(type));
  if (result) d.inst.o[1] = d.destination(0, type);
}

}  // namespace

std::vector<OpcodeEntry> atomicOpcodes() { return {{"atom", decodeAtomic}, {"red", decodeAtomic}}; }

}  // namespace ptx

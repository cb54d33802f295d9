// Comparison and selection: setp, set, selp, slct, testp.
#include <cmath>
#include <limits>
#include <type_traits>

#include "decode.h"
#include "lanewise.h"

namespace ptx {
namespace {

enum Comparison : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kEqu, kNeu, kLtu, kLeu, kGtu, kGeu, kNum, kNan };

// Inst::flags of setp and set.
enum : uint8_t { kFlush = 1, kCombineNegated = 2, kHasSecond = 4 };

float flush(float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x; }

template <Comparison C>
struct Compare {
  template <class T>
  static bool f(T a, T b) {
    switch (C) {
      case kEq: return a == b;
      case kNe: return std::is_floating_point_v<T> ? a < b || a > b : a != b;
      case kLt: return a < b;
      case kLe: return a <= b;
      case kGt: return a > b;
      case kGe: return a >= b;
      case kEqu: return !(a < b || a > b);
      case kNeu: return a != b;
      case kLtu: return !(a >= b);
      case kLeu: return !(a > b);
      case kGtu: return !(a <= b);
      case kGeu: return !(a < b);
      case kNum: return a == a && b == b;
      default: return a != a || b != b;
    }
  }
};

struct HalfValue {};
struct BrainValue {};

template <class T>
struct Loaded {
  using Stored = T;
  static T f(T v, uint8_t flags) {
    if constexpr (std::is_same_v<T, float>)
      if (flags & kFlush) return flush(v);
    return v;
  }
};
template <>
struct Loaded<HalfValue> {
  using Stored = uint16_t;
  static float f(uint16_t v, uint8_t flags) {
    return halfToFloat((flags & kFlush) && (v & 0x7fff) < 0x0400 ? v & 0x8000 : v);
  }
};
template <>
struct Loaded<BrainValue> {
  using Stored = uint16_t;
  static float f(uint16_t v, uint8_t) { return brainToFloat(v); }
};

uint32_t combine(Exec &x, const Inst &i, uint32_t result) {
  if (i.mode == 0) return result;
  const uint32_t c = x.predicate(i.o[4]) ^ (i.flags & kCombineNegated ? UINT32_MAX : 0);
  return i.mode == 1 ? result & c : i.mode == 2 ? result | c : result ^ c;
}

template <class T, class C>
uint32_t compareLanes(Exec &x, const Inst &i) {
  using L = Loaded<T>;
  const typename L::Stored *a = x.lanes<typename L::Stored>(i.o[2]), *b = x.lanes<typename L::Stored>(i.o[3]);
  const uint8_t flags = i.flags;
  alignas(64) uint32_t results[kLanes];
#pragma GCC ivdep
  for (unsigned l = 0; l < kLanes; l++) results[l] = C::f(L::f(a[l], flags), L::f(b[l], flags));
  return gatherBits(results);
}

template <class T, class C>
void setp(Exec &x, const Inst &i) {
  const uint32_t result = compareLanes<T, C>(x, i);
  const uint32_t p = combine(x, i, result), q = combine(x, i, ~result);
  x.writePredicate(i.o[0], p);
  if (i.flags & kHasSecond) x.writePredicate(i.o[1], q);
}

// set: all ones or 1.0f in a register. i.size: 4 integer, 0x84 float of 32 bits.
template <class T, class C>
void set(Exec &x, const Inst &i) {
  const uint32_t result = combine(x, i, compareLanes<T, C>(x, i));
  if (i.size == 2) {  // .f16
    uint16_t *d = x.lanes<uint16_t>(i.o[0]);
    forLanes(x.mask, [=](unsigned l) { d[l] = result >> l & 1 ? static_cast<uint16_t>(i.imm) : 0; });
  } else {
    uint32_t *d = x.lanes<uint32_t>(i.o[0]);
    forLanes(x.mask, [=](unsigned l) { d[l] = result >> l & 1 ? static_cast<uint32_t>(i.imm) : 0; });
  }
}

// The two halves of packed operands, each to a predicate of its own.
template <class T, class C>
void setpPacked(Exec &x, const Inst &i) {
  const uint32_t *a = x.lanes<uint32_t>(i.o[2]), *b = x.lanes<uint32_t>(i.o[3]);
  uint32_t low = 0, high = 0;
  for (unsigned l = 0; l < kLanes; l++) {
    using L = Loaded<T>;
    low |= static_cast<uint32_t>(C::f(L::f(static_cast<uint16_t>(a[l]), i.flags), L::f(static_cast<uint16_t>(b[l]), i.flags))) << l;
    high |= static_cast<uint32_t>(C::f(L::f(static_cast<uint16_t>(a[l] >> 16), i.flags), L::f(static_cast<uint16_t>(b[l] >> 16), i.flags))) << l;
  }
  const uint32_t p = combine(x, i, low), q = combine(x, i, high);
  x.writePredicate(i.o[0], p);
  x.writePredicate(i.o[1], q);
}
template <class T, class C>
void setPacked(Exec &x, const Inst &i) {
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  const uint32_t *a = x.lanes<uint32_t>(i.o[2]), *b = x.lanes<uint32_t>(i.o[3]);
  const uint32_t c = i.mode ? x.predicate(i.o[4]) ^ (i.flags & kCombineNegated ? UINT32_MAX : 0) : 0;
  const uint32_t one = static_cast<uint32_t>(i.imm);
  forLanes(x.mask, [&](unsigned l) {
    using L = Loaded<T>;
    const bool with = c >> l & 1;
    auto joined = [&](bool r) { return i.mode == 0 ? r : i.mode == 1 ? r && with : i.mode == 2 ? r || with : r != with; };
    const bool low = joined(C::f(L::f(static_cast<uint16_t>(a[l]), i.flags), L::f(static_cast<uint16_t>(b[l]), i.flags)));
    const bool high = joined(C::f(L::f(static_cast<uint16_t>(a[l] >> 16), i.flags), L::f(static_cast<uint16_t>(b[l] >> 16), i.flags)));
    d[l] = (low ? one & 0xffff : 0) | (high ? one & 0xffff0000 : 0);
  });
}

template <class T, template <class, class> class Make>
Handler byComparison(Comparison comparison) {
  switch (comparison) {
    case kEq: return Make<T, Compare<kEq>>::handler;
    case kNe: return Make<T, Compare<kNe>>::handler;
    case kLt: return Make<T, Compare<kLt>>::handler;
    case kLe: return Make<T, Compare<kLe>>::handler;
    case kGt: return Make<T, Compare<kGt>>::handler;
    case kGe: return Make<T, Compare<kGe>>::handler;
    case kEqu: return Make<T, Compare<kEqu>>::handler;
    case kNeu: return Make<T, Compare<kNeu>>::handler;
    case kLtu: return Make<T, Compare<kLtu>>::handler;
    case kLeu: return Make<T, Compare<kLeu>>::handler;
    case kGtu: return Make<T, Compare<kGtu>>::handler;
    case kGeu: return Make<T, Compare<kGeu>>::handler;
    case kNum: return Make<T, Compare<kNum>>::handler;
    default: return Make<T, Compare<kNan>>::handler;
  }
}
template <class T, class C>
struct MakeSetp {
  static constexpr Handler handler = setp<T, C>;
};
template <class T, class C>
struct MakeSet {
  static constexpr Handler handler = set<T, C>;
};
template <class T, class C>
struct MakeSetpPacked {
  static constexpr Handler handler = setpPacked<T, C>;
};
template <class T, class C>
struct MakeSetPacked {
  static constexpr Handler handler = setPacked<T, C>;
};

template <template <class, class> class Make>
Handler byType(Type type, Comparison c) {
  switch (type) {
    case Type::B16:
    case Type::U16: return byComparison<uint16_t, Make>(c);
    case Type::S16: return byComparison<int16_t, Make>(c);
    case Type::B32:
    case Type::U32: return byComparison<uint32_t, Make>(c);
    case Type::S32: return byComparison<int32_t, Make>(c);
    case Type::B64:
    case Type::U64: return byComparison<uint64_t, Make>(c);
    case Type::S64: return byComparison<int64_t, Make>(c);
    case Type::F32: return byComparison<float, Make>(c);
    case Type::F64: return byComparison<double, Make>(c);
    case Type::F16: return byComparison<HalfValue, Make>(c);
    case Type::BF16: return byComparison<BrainValue, Make>(c);
    default: return nullptr;
  }
}
template <template <class, class> class Make>
Handler byPackedType(Type type, Comparison c) {
  return type == Type::F16x2 ? byComparison<HalfValue, Make>(c) : byComparison<BrainValue, Make>(c);
}

template <class T>
void selp(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]);
  const uint32_t p = x.predicate(i.o[3]) ^ (i.flags ? UINT32_MAX : 0);
  forLanes(x.mask, [=](unsigned l) { d[l] = p & (1u << l) ? a[l] : b[l]; });
}

// slct: a where c >= 0, else b. -0.0 counts as not negative, NaN as negative.
template <class T>
void slct(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]);
  if (i.mode) {
    const float *c = x.lanes<float>(i.o[3]);
    const bool ftz = i.flags;
    forLanes(x.mask, [=](unsigned l) { d[l] = (ftz ? flush(c[l]) : c[l]) >= 0 ? a[l] : b[l]; });
  } else {
    const int32_t *c = x.lanes<int32_t>(i.o[3]);
    forLanes(x.mask, [=](unsigned l) { d[l] = c[l] >= 0 ? a[l] : b[l]; });
  }
}

enum Property : uint8_t { kFinite, kInfinite, kNumber, kNotANumber, kNormal, kSubnormal };
template <class T>
void testp(Exec &x, const Inst &i) {
  const T *a = x.lanes<T>(i.o[1]);
  uint32_t result = 0;
  for (unsigned l = 0; l < kLanes; l++) {
    bool r = false;
    switch (i.mode) {
      case kFinite: r = std::isfinite(a[l]); break;
      case kInfinite: r = std::isinf(a[l]); break;
      case kNumber: r = a[l] == a[l]; break;
      case kNotANumber: r = a[l] != a[l]; break;
      case kNormal: r = std::fpclassify(a[l]) == FP_NORMAL; break;
      default: r = std::fpclassify(a[l]) == FP_SUBNORMAL; break;
    }
    result |= static_cast<uint32_t>(r) << l;
  }
  x.writePredicate(i.o[0], result);
}

// ------------------------------------------------------------------------------------------------------------ decoding

Comparison takeComparison(Decoder &d, int &index) {
  index = d.takeOne({"eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan", "lo",
                     "ls", "hi", "hs"});
  if (index < 0) d.fail("no comparison");
  switch (index) {
    case 14: return kLt;
    case 15: return kLe;
    case 16: return kGt;
    case 17: return kGe;
    default: return static_cast<Comparison>(index);
  }
}

void checkComparison(Decoder &d, int index, Type type) {
  const bool real = isFloat(type);
  const bool isBits = type == Type::B16 || type == Type::B32 || type == Type::B64;
  if ((index >= 6 && index <= 13 && !real) || (index >= 14 && (real || isSigned(type) || isBits)) || (index >= 2 && isBits))
    d.fail(std::string("comparison doesn't suit type .") + name(type));
}

void decodeSetp(Decoder &d) {
  int index;
  const Comparison comparison = takeComparison(d, index);
  d.inst.mode = static_cast<uint8_t>(d.takeOne({"and", "or", "xor"}) + 1);
  if (d.take("ftz")) d.inst.flags |= kFlush;
  const Type type = d.takeType();
  checkComparison(d, index, type);
  const bool packed = type == Type::F16x2 || type == Type::BF16x2;
  d.inst.run = packed ? byPackedType<MakeSetpPacked>(type, comparison) : byType<MakeSetp>(type, comparison);
  if (d.inst.run == nullptr) d.fail(std::string("not for type .") + name(type));
  d.finish();
  d.wantOperands(d.inst.mode ? 4 : 3);
  d.inst.o[2] = d.source(1, type);
  d.inst.o[3] = d.source(2, type);
  if (d.inst.mode) {
    uint32_t flip;
    d.inst.o[4] = d.predicate(d.statement.operands[3], flip);
    if (flip) d.inst.flags |= kCombineNegated;
  }
  const Operand &result = d.statement.operands[0];
  Operand first = result;
  first.paired = false;
  d.inst.o[0] = d.destination(first, Type::Pred, false);
  if (result.paired) {
    d.inst.flags |= kHasSecond;
    d.inst.o[1] = d.destination(result.parts[0], Type::Pred, false);
  } else if (packed) {
    d.fail("needs a result p|q");
  }
}

void decodeSet(Decoder &d) {
  int index;
  const Comparison comparison = takeComparison(d, index);
  d.inst.mode = static_cast<uint8_t>(d.takeOne({"and", "or", "xor"}) + 1);
  if (d.take("ftz")) d.inst.flags |= kFlush;
  const Type result = d.takeType(), type = d.takeType();
  checkComparison(d, index, type);
  const bool packed = type == Type::F16x2 || type == Type::BF16x2;
  switch (result) {
    case Type::U32:
    case Type::S32: d.inst.imm = UINT32_MAX; break;
    case Type::F32: d.inst.imm = bits<uint32_t>(1.0f); break;
    case Type::F16: d.inst.imm = 0x3c00; break;
    case Type::BF16: d.inst.imm = 0x3f80; break;
    case Type::F16x2: d.inst.imm = 0x3c003c00; break;
    case Type::BF16x2: d.inst.imm = 0x3f803f80; break;
    default: d.fail(std::string("not for a result of type .") + name(result));
  }
  if (packed == (result == Type::F32 || result == Type::F16 || result == Type::BF16)) {
    if (packed) d.fail(std::string("not for a result of type .") + name(result));
  }
  d.inst.size = static_cast<uint8_t>(bytesOf(result));
  d.inst.run = packed ? byPackedType<MakeSetPacked>(type, comparison) : byType<MakeSet>(type, comparison);
  if (d.inst.run == nullptr) d.fail(std::string("not for type .") + name(type));
  d.finish();
  d.wantOperands(d.inst.mode ? 4 : 3);
  d.inst.o[2] = d.source(1, type);
  d.inst.o[3] = d.source(2, type);
  if (d.inst.mode) {
    uint32_t flip;
    d.inst.o[4] = d.predicate(d.statement.operands[3], flip);
    if (flip) d.inst.flags |= kCombineNegated;
  }
  d.inst.o[0] = d.destination(0, result);
}

void decodeSelp(Decoder &d) {
  const Type type = d.takeType();
  switch (bytesOf(type)) {
    case 2: d.inst.run = selp<uint16_t>; break;
    case 4: d.inst.run = selp<uint32_t>; break;
    case 8: d.inst.run = selp<uint64_t>; break;
    default: d.fail(std::string("not for type .") + name(type));
  }
  d.finish();
  d.wantOperands(4);
  d.inst.o[1] = d.source(1, type);
  d.inst.o[2] = d.source(2, type);
  uint32_t flip;
  d.inst.o[3] = d.predicate(d.statement.operands[3], flip);
  d.inst.flags = flip ? 1 : 0;
  d.inst.o[0] = d.destination(0, type);
}

void decodeSlct(Decoder &d) {
  if (d.take("ftz")) d.inst.flags = 1;
  const Type type = d.takeType(), by = d.takeType();
  if (by != Type::S32 && by != Type::F32) d.fail(std::string("not by type .") + name(by));
  d.inst.mode = by == Type::F32;
  switch (bytesOf(type)) {
    case 2: d.inst.run = slct<uint16_t>; break;
    case 4: d.inst.run = slct<uint32_t>; break;
    case 8: d.inst.run = slct<uint64_t>; break;
    default: d.fail(std::string("not for type .") + name(type));
  }
  d.finish();
  d.wantOperands(4);
  d.inst.o[1] = d.source(1, type);
  d.inst.o[2] = d.source(2, type);
  d.inst.o[3] = d.source(3, by);
  d.inst.o[0] = d.destination(0, type);
}

void decodeTestp(Decoder &d) {
  const int property = d.takeOne({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  if (property < 0) d.fail("no property");
  d.inst.mode = static_cast<uint8_t>(property);
  const Type type = d.takeType();
  if (type != Type::F32 && type != Type::F64) d.fail(std::string("not for type .") + name(type));
  d.inst.run = type == Type::F32 ? testp<float> : testp<double>;
  d.finish();
  d.wantOperands(2);
  d.inst.o[1] = d.source(1, type);
  d.inst.o[0] = d.destination(0, Type::Pred);
}

}  // namespace

std::vector<OpcodeEntry> compareOpcodes() {
  return {{"setp", decodeSetp}, {"set", decodeSet}, {"selp", decodeSelp}, {"slct", decodeSlct}, {"testp", decodeTestp}};
}

}  // namespace ptx

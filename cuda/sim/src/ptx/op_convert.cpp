// cvt: between integers, between floats, and across.
#include <algorithm>
#include <cmath>
#include <limits>

#include "decode.h"
#include "lanewise.h"

namespace ptx {
namespace {

// Inst::flags
enum : uint8_t { kFlush = 1, kSaturate = 2, kRelu = 4, kFinite = 8 };

// A conversion as data: Inst::mode is the rounding, Inst::size and Inst::count the types.
enum class To : uint8_t { None, Nearest, Zero, Down, Up };  // integer rounding

struct Conversion {
  Type to, from;
  Rounding rounding;
  To integral;
  uint8_t flags;
};

Conversion conversionOf(const Inst &i) {
  return {static_cast<Type>(i.size), static_cast<Type>(i.count), static_cast<Rounding>(i.mode & 15),
          static_cast<To>(i.mode >> 4), i.flags};
}

void loadLanes(Exec &x, uint32_t offset, unsigned bytes, uint64_t *lanes) {
  if (bytes == 2) {
    const uint16_t *v = x.lanes<uint16_t>(offset);
    for (unsigned l = 0; l < kLanes; l++) lanes[l] = v[l];
  } else if (bytes == 4) {
    const uint32_t *v = x.lanes<uint32_t>(offset);
    for (unsigned l = 0; l < kLanes; l++) lanes[l] = v[l];
  } else {
    std::memcpy(lanes, x.lanes<uint64_t>(offset), kLanes * 8);
  }
}
void storeLanes(Exec &x, uint32_t offset, unsigned bytes, const uint64_t *lanes) {
  if (bytes == 2) {
    uint16_t *v = x.lanes<uint16_t>(offset);
    forLanes(x.mask, [=](unsigned l) { v[l] = static_cast<uint16_t>(lanes[l]); });
  } else if (bytes == 4) {
    uint32_t *v = x.lanes<uint32_t>(offset);
    forLanes(x.mask, [=](unsigned l) { v[l] = static_cast<uint32_t>(lanes[l]); });
  } else {
    uint64_t *v = x.lanes<uint64_t>(offset);
    forLanes(x.mask, [=](unsigned l) { v[l] = lanes[l]; });
  }
}

unsigned width(Type type) { return 8 * bytesOf(type); }

// The value of an integer type held in the low bits of `raw`, extended to 64 bits by its sign.
uint64_t extend(uint64_t raw, Type type) {
  const unsigned unused = 64 - width(type);
  return isSigned(type) ? static_cast<uint64_t>(static_cast<int64_t>(raw << unused) >> unused) : raw << unused >> unused;
}

uint64_t largest(Type type) { return UINT64_MAX >> (64 - width(type) + (isSigned(type) ? 1 : 0)); }
int64_t least(Type type) { return isSigned(type) ? static_cast<int64_t>(~largest(type)) : 0; }

uint64_t integerToInteger(uint64_t raw, const Conversion &c) {
  const uint64_t v = extend(raw, c.from);
  if (c.flags & kSaturate) {
    if (isSigned(c.from)) {
      const int64_t s = static_cast<int64_t>(v);
      if (s < least(c.to)) return extend(static_cast<uint64_t>(least(c.to)), c.to);
      if (s > 0 && v > largest(c.to)) return largest(c.to);
    } else if (v > largest(c.to)) {
      return largest(c.to);
    }
  }
  return extend(v, c.to);
}

double loadFloat(uint64_t raw, const Conversion &c) {
  switch (c.from) {
    case Type::F16: return static_cast<double>(halfToFloat(static_cast<uint16_t>(raw)));
    case Type::BF16: return static_cast<double>(brainToFloat(static_cast<uint16_t>(raw)));
    case Type::F32: {
      float f = bits<float>(static_cast<uint32_t>(raw));
      if ((c.flags & kFlush) && std::fabs(f) < std::numeric_limits<float>::min()) f = std::copysign(0.0f, f);
      return static_cast<double>(f);
    }
    default: return bits<double>(raw);
  }
}

uint64_t storeFloat(double v, const Conversion &c) {
  if (c.flags & kSaturate) v = v > 0 ? std::min(v, 1.0) : 0.0;
  if ((c.flags & kRelu) && v <= 0) v = 0;
  switch (c.to) {
    case Type::F16: {
      uint32_t r = roundTo(kHalf, v, c.rounding);
      if ((c.flags & kFinite) && (r & 0x7fff) == 0x7c00) r = (r & 0x8000) | 0x7bff;
      return r;
    }
    case Type::BF16: {
      uint32_t r = roundTo(kBrain, v, c.rounding);
      if ((c.flags & kFinite) && (r & 0x7fff) == 0x7f80) r = (r & 0x8000) | 0x7f7f;
      return r;
    }
    case Type::F32: {
      uint32_t r = roundTo(kSingle, v, c.rounding);
      if ((c.flags & kFlush) && (r & 0x7fffffff) < 0x00800000) r &= 0x80000000;
      return r;
    }
    default: return bits<uint64_t>(v);
  }
}

double toIntegral(double v, To integral) {
  switch (integral) {
    case To::Nearest: return std::nearbyint(v);
    case To::Zero: return std::trunc(v);
    case To::Down: return std::floor(v);
    case To::Up: return std::ceil(v);
    default: return v;
  }
}

uint64_t floatToInteger(uint64_t raw, const Conversion &c) {
  const double v = loadFloat(raw, c);
  if (v != v) {
    const bool wide = c.from == Type::F64 || bytesOf(c.to) == 8;
    return wide ? extend(1ull << (width(c.to) - 1), c.to) : 0;
  }
  const double r = toIntegral(v, c.integral);
  if (isSigned(c.to)) {
    const double limit = std::ldexp(1.0, static_cast<int>(width(c.to)) - 1);
    if (r >= limit) return largest(c.to);
    if (r < -limit) return static_cast<uint64_t>(least(c.to));
    return static_cast<uint64_t>(static_cast<int64_t>(r));
  }
  if (r >= std::ldexp(1.0, static_cast<int>(width(c.to)))) return largest(c.to);
  return r <= 0 ? 0 : static_cast<uint64_t>(r);
}

// An integer as a double that rounds to any narrower format as the integer itself would: what doesn't fit in 53 bits
// leaves its lowest bit set.
double sticky(uint64_t magnitude, bool negative) {
  double v;
  if (magnitude >> 53) {
    v = static_cast<double>(magnitude >> 11 | ((magnitude & 0x7ff) != 0)) * 2048.0;
  } else {
    v = static_cast<double>(magnitude);
  }
  return negative ? -v : v;
}

double integerToDouble(uint64_t magnitude, bool negative, Rounding rounding) {
  double v;
  if (magnitude >> 53) {
    const int drop = 11 - __builtin_clzll(magnitude);
    uint64_t kept = magnitude >> drop;
    const uint64_t rest = magnitude & ((1ull << drop) - 1), half = 1ull << (drop - 1);
    bool up = false;
    switch (rounding) {
      case Rounding::Down: up = negative && rest; break;
      case Rounding::Up: up = !negative && rest; break;
      case Rounding::Zero: break;
      default: up = rest > half || (rest == half && (kept & 1)); break;
    }
    kept += up;
    v = std::ldexp(static_cast<double>(kept), drop);
  } else {
    v = static_cast<double>(magnitude);
  }
  return negative ? -v : v;
}

uint64_t integerToFloat(uint64_t raw, const Conversion &c) {
  const uint64_t v = extend(raw, c.from);
  const bool negative = isSigned(c.from) && static_cast<int64_t>(v) < 0;
  const uint64_t magnitude = negative ? 0 - v : v;
  if (c.to == Type::F64) {
    const double r = integerToDouble(magnitude, negative, c.rounding);
    return bits<uint64_t>(c.flags & kSaturate ? std::min(std::max(r, 0.0), 1.0) : r);
  }
  return storeFloat(sticky(magnitude, negative), c);
}

uint64_t floatToFloat(uint64_t raw, const Conversion &c) {
  const double v = loadFloat(raw, c);
  if (c.to == Type::F64 && v != v && !(c.flags & kSaturate)) return bits<uint64_t>(v);
  return storeFloat(toIntegral(v, c.integral), c);
}

template <uint64_t (*F)(uint64_t, const Conversion &)>
void convert(Exec &x, const Inst &i) {
  uint64_t lanes[kLanes];
  loadLanes(x, i.o[1], i.o[2], lanes);
  const Conversion c = conversionOf(i);
  forLanes(x.mask, [&](unsigned l) { lanes[l] = F(lanes[l], c); });
  storeLanes(x, i.o[0], i.o[3], lanes);
}

// The usual ones, where registers have just the types' widths.
struct Cast {
  template <class D, class S>
  struct As {
    static D f(S s) { return static_cast<D>(s); }
  };
};
template <class D, class S>
constexpr Handler cast = unary<Cast::As<D, S>, D, S>;

struct HalfToSingle {
  static float f(uint16_t v) {
    const float r = halfToFloat(v);
    return r == r ? r : bits<float>(0x7fffffffu);
  }
};
struct SingleToHalf {
  static uint16_t f(float v) { return floatToHalf(v); }
};
struct SingleToBrain {
  static uint16_t f(float v) { return floatToBrain(v); }
};
struct BrainToSingle {
  static float f(uint16_t v) {
    const float r = brainToFloat(v);
    return r == r ? r : bits<float>(0x7fffffffu);
  }
};
struct DoubleToSingle {
  static float f(double v) { return v == v ? static_cast<float>(v) : bits<float>(0x7fffffffu); }
};
struct TruncateToInt {
  static int32_t f(float v) {
    if (v != v) return 0;
    return v >= 2147483648.0f ? INT32_MAX : v < -2147483648.0f ? INT32_MIN : static_cast<int32_t>(v);
  }
};

Handler usual(const Conversion &c) {
  if (c.flags) return nullptr;
  const Type to = c.to, from = c.from;
  if (to == Type::U64 && from == Type::U32) return cast<uint64_t, uint32_t>;
  if (to == Type::S64 && from == Type::S32) return cast<int64_t, int32_t>;
  if ((to == Type::U32 || to == Type::S32) && (from == Type::U64 || from == Type::S64)) return cast<uint32_t, uint64_t>;
  if ((to == Type::U32 || to == Type::S32) && from == Type::U16) return cast<uint32_t, uint16_t>;
  if ((to == Type::U32 || to == Type::S32) && from == Type::S16) return cast<int32_t, int16_t>;
  if ((to == Type::U16 || to == Type::S16) && (from == Type::U32 || from == Type::S32)) return cast<uint16_t, uint32_t>;
  if (c.integral == To::Zero && to == Type::S32 && from == Type::F32) return unary<TruncateToInt, int32_t, float>;
  if (c.integral != To::None) return nullptr;
  if (to == Type::F64 && from == Type::F32) return cast<double, float>;
  if (to == Type::F32 && from == Type::F16) return unary<HalfToSingle, float, uint16_t>;
  if (to == Type::F32 && from == Type::BF16) return unary<BrainToSingle, float, uint16_t>;
  if (c.rounding != Rounding::Nearest) return nullptr;
  if (to == Type::F32 && from == Type::S32) return cast<float, int32_t>;
  if (to == Type::F32 && from == Type::U32) return cast<float, uint32_t>;
  if (to == Type::F32 && from == Type::U16) return cast<float, uint16_t>;
  if (to == Type::F32 && from == Type::S16) return cast<float, int16_t>;
  if (to == Type::F64 && from == Type::S32) return cast<double, int32_t>;
  if (to == Type::F64 && from == Type::U32) return cast<double, uint32_t>;
  if (to == Type::F32 && from == Type::F64) return unary<DoubleToSingle, float, double>;
  if (to == Type::F16 && from == Type::F32) return unary<SingleToHalf, uint16_t, float>;
  if (to == Type::BF16 && from == Type::F32) return unary<SingleToBrain, uint16_t, float>;
  return nullptr;
}

// cvt.f16x2.f32 and cvt.bf16x2.f32: a to the upper half, b to the lower.
void pack(Exec &x, const Inst &i) {
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  const float *a = x.lanes<float>(i.o[1]), *b = x.lanes<float>(i.o[2]);
  const Conversion c = conversionOf(i);
  forLanes(x.mask, [=](unsigned l) {
    d[l] = static_cast<uint32_t>(storeFloat(static_cast<double>(a[l]), c) << 16 | storeFloat(static_cast<double>(b[l]), c));
  });
}
void toTensor(Exec &x, const Inst &i) {
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  const float *a = x.lanes<float>(i.o[1]);
  const Rounding rounding = static_cast<Rounding>(i.mode);
  const bool relu = i.flags & kRelu;
  forLanes(x.mask, [=](unsigned l) {
    const float v = relu && a[l] <= 0 ? 0.0f : a[l];
    d[l] = roundTo(kTensor, static_cast<double>(v), rounding) << 13;
  });
}
// cvt.pack.sat: two .s32 to a pair of 16 bits, or to a pair of bytes below c's lower half.
void packIntegers(Exec &x, const Inst &i) {
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  const uint32_t *a = x.lanes<uint32_t>(i.o[1]), *b = x.lanes<uint32_t>(i.o[2]), *c = x.lanes<uint32_t>(i.o[3]);
  Conversion to{static_cast<Type>(i.size), Type::S32, Rounding::Nearest, To::None, kSaturate};
  const unsigned w = width(to.to);
  forLanes(x.mask, [&](unsigned l) {
    const uint32_t mask = (1u << w) - 1;
    const uint32_t high = static_cast<uint32_t>(integerToInteger(a[l], to)) & mask;
    const uint32_t low = static_cast<uint32_t>(integerToInteger(b[l], to)) & mask;
    d[l] = (w == 8 ? c[l] << 16 : 0) | high << w | low;
  });
}

// ------------------------------------------------------------------------------------------------------------ decoding

void decodePack(Decoder &d) {
  if (!d.take("sat")) d.fail("needs .sat");
  const Type to = d.takeType(), from = d.takeType();
  if (from != Type::S32) d.fail(std::string("not from type .") + name(from));
  const bool bytes = to == Type::U8 || to == Type::S8;
  if (!bytes && to != Type::U16 && to != Type::S16) d.fail(std::string("not to type .") + name(to));
  if (bytes && d.takeType() != Type::B32) d.fail("needs .b32");
  d.inst.size = static_cast<uint8_t>(to);
  d.inst.run = packIntegers;
  d.finish();
  d.wantOperands(bytes ? 4 : 3);
  d.inst.o[1] = d.source(1, from);
  d.inst.o[2] = d.source(2, from);
  d.inst.o[3] = bytes ? d.source(3, Type::B32) : d.inst.o[1];
  d.inst.o[0] = d.destination(0, Type::B32);
}

void decodeConvert(Decoder &d) {
  if (d.take("pack")) {
    decodePack(d);
    return;
  }
  Conversion c{Type::None, Type::None, Rounding::Nearest, To::None, 0};
  const int integral = d.takeOne({"rni", "rzi", "rmi", "rpi"});
  c.integral = static_cast<To>(integral + 1);
  bool rounded = d.takeRounding(c.rounding);
  const bool away = d.take("rna");
  if (d.take("ftz")) c.flags |= kFlush;
  if (d.take("sat")) c.flags |= kSaturate;
  if (d.take("relu")) c.flags |= kRelu;
  if (d.take("satfinite")) c.flags |= kFinite;
  if (d.take("tf32")) {
    const Type from = d.takeType();
    if (from != Type::F32) d.fail(std::string("not from type .") + name(from));
    if (away == rounded) d.fail("needs .rna, .rn or .rz");
    if (c.flags & ~kRelu) d.fail("unknown modifier for .tf32");
    d.inst.mode = static_cast<uint8_t>(away ? Rounding::NearestAway : c.rounding);
    d.inst.flags = c.flags;
    d.inst.run = toTensor;
    d.finish();
    d.wantOperands(2);
    d.inst.o[1] = d.source(1, from);
    d.inst.o[0] = d.destination(0, Type::B32);
    return;
  }
  if (away) d.fail("unknown modifier .rna");
  c.to = d.takeType();
  c.from = d.takeType();
  const bool packed = c.to == Type::F16x2 || c.to == Type::BF16x2;
  auto convertible = [](Type t) {
    return isFloat(t) || (t >= Type::U8 && t <= Type::S64);
  };
  if (!convertible(c.to) || !convertible(c.from) || c.from == Type::F16x2 || c.from == Type::BF16x2)
    d.fail(std::string("not from type .") + name(c.from) + " to ." + name(c.to));
  const bool toFloat = isFloat(c.to), fromFloat = isFloat(c.from);
  if ((c.flags & (kRelu | kFinite)) && !(c.from == Type::F32 && bytesOf(c.to) <= 4 && toFloat && c.to != Type::F32))
    d.fail(".relu and .satfinite are for .f32 to half precision");
  if ((c.flags & kFlush) && c.to != Type::F32 && c.from != Type::F32) d.fail(".ftz needs .f32");
  if (packed) {
    if (c.from != Type::F32) d.fail(std::string("not from type .") + name(c.from));
    if (!rounded || (c.rounding != Rounding::Nearest && c.rounding != Rounding::Zero)) d.fail("needs .rn or .rz");
    c.to = c.to == Type::F16x2 ? Type::F16 : Type::BF16;
  }
  if (!packed) {
    if (fromFloat && !toFloat) {
      if (c.integral == To::None || rounded) d.fail("needs .rni, .rzi, .rmi or .rpi");
    } else if (!fromFloat && toFloat) {
      if (!rounded || c.integral != To::None) d.fail("needs .rn, .rz, .rm or .rp");
    } else if (fromFloat && toFloat) {
      const bool narrows = bytesOf(c.to) < bytesOf(c.from) || (bytesOf(c.to) == 2 && bytesOf(c.from) == 2 && c.to != c.from);
      if (narrows && (!rounded || c.integral != To::None)) d.fail("needs .rn, .rz, .rm or .rp");
      if (!narrows && rounded) d.fail("needs no rounding");
      if (c.to != c.from && c.integral != To::None) d.fail("an integer rounding for two types");
    } else if (rounded || c.integral != To::None) {
      d.fail("integers need no rounding");
    } else if ((c.flags & kSaturate) && largest(c.to) >= largest(c.from) && (isSigned(c.to) || !isSigned(c.from))) {
      d.fail(".sat where every value fits");
    }
  }
  d.inst.size = static_cast<uint8_t>(c.to);
  d.inst.count = static_cast<uint8_t>(c.from);
  d.inst.mode = static_cast<uint8_t>(static_cast<unsigned>(c.rounding) | static_cast<unsigned>(c.integral) << 4);
  d.inst.flags = c.flags;
  d.finish();
  if (packed) {
    d.inst.run = pack;
    d.wantOperands(3);
    d.inst.o[1] = d.source(1, c.from);
    d.inst.o[2] = d.source(2, c.from);
    d.inst.o[0] = d.destination(0, Type::B32);
    return;
  }
  d.wantOperands(2);
  const Operand &from = d.statement.operands[1], &to = d.statement.operands[0];
  const unsigned registerFrom = std::max(d.registerBytes(from), std::max(2u, bytesOf(c.from)));
  d.inst.o[1] = d.source(from, c.from, true, true);
  d.inst.o[0] = d.destination(to, c.to, true);
  const unsigned registerTo = to.kind == Operand::Sink ? std::max(2u, bytesOf(c.to)) : d.registerBytes(to);
  if ((fromFloat && registerFrom != bytesOf(c.from)) || (toFloat && registerTo != bytesOf(c.to)))
    d.fail("a floating-point value needs a register of its own size");
  d.inst.o[2] = registerFrom;
  d.inst.o[3] = registerTo;
  if (registerFrom == bytesOf(c.from) && registerTo == bytesOf(c.to)) d.inst.run = usual(c);
  if (d.inst.run == nullptr)
    d.inst.run = fromFloat ? (toFloat ? convert<floatToFloat> : convert<floatToInteger>)
                           : (toFloat ? convert<integerToFloat> : convert<integerToInteger>);
}

}  // namespace

std::vector<OpcodeEntry> convertOpcodes() { return {{"cvt", decodeConvert}}; }

}  // namespace ptx

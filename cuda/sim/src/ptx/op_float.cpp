// Floating-point arithmetic and the functions of one argument.
//
// Results that are NaN are PTX's canonical one for .f32, .f16 and .bf16. The approximate functions (ex2, lg2, sin, cos,
// tanh, rcp, rsqrt, sqrt .approx) are rounded from double precision, so they are at least as good as a GPU's, which may
// differ in the last bits as the PTX manual states for each.
#include <cfenv>
#include <cmath>
#include <limits>

#include "decode.h"
#include "lanewise.h"

namespace ptx {
namespace {

// Inst::flags of this file.
enum : uint8_t { kFlush = 1, kSaturate = 2, kRelu = 4, kNaN = 8, kXorSign = 16 };

float canonical(float x) { return x == x ? x : bits<float>(0x7fffffffu); }
double canonical(double x) { return x; }
float flush(float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x; }

template <class T>
T saturate(T x) {
  return x > 0 ? (x < 1 ? x : T(1)) : T(0);  // NaN becomes 0
}

class RoundingScope {
 public:
  explicit RoundingScope(Rounding rounding) : before_(std::fegetround()) {
    switch (rounding) {
      case Rounding::Zero: std::fesetround(FE_TOWARDZERO); break;
      case Rounding::Down: std::fesetround(FE_DOWNWARD); break;
      case Rounding::Up: std::fesetround(FE_UPWARD); break;
      default: std::fesetround(FE_TONEAREST); break;
    }
  }
  ~RoundingScope() { std::fesetround(before_); }

 private:
  int before_;
};

struct Add {
  template <class T>
  static T f(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  static T f(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <class T>
  static T f(T a, T b) {
    return a * b;
  }
};
struct Div {
  template <class T>
  static T f(T a, T b) {
    return a / b;
  }
};
struct Fma {
  template <class T>
  static T f(T a, T b, T c) {
    return std::fma(a, b, c);
  }
};
template <class Op>
struct Canonical {
  static float f(float a, float b) { return canonical(Op::f(a, b)); }
  static double f(double a, double b) { return Op::f(a, b); }
};

// The plain case, rounded to nearest, is the fast one; everything else goes through the handlers below it.
template <class Op, class T>
void plain(Exec &x, const Inst &i) {
  binary<Canonical<Op>, T, T>(x, i);
}

template <class T>
T adorned(T r, uint8_t flags) {
  r = canonical(r);
  if constexpr (sizeof(T) == 4)
    if (flags & kFlush) r = flush(r);
  if (flags & kSaturate) r = saturate(r);
  if (flags & kRelu) r = r != r ? r : r > 0 ? r : T(0);
  return r;
}
template <class T>
T incoming(T a, uint8_t flags) {
  if constexpr (sizeof(T) == 4)
    if (flags & kFlush) return flush(a);
  return a;
}

// Evaluates into memory first, so that nothing crosses the change of the rounding mode.
template <class Op, class T>
__attribute__((noinline)) void roundedBinary(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]);
  const uint8_t flags = i.flags;
  volatile T left[kLanes], right[kLanes], result[kLanes];
  forLanes(x.mask, [&](unsigned l) {
    left[l] = incoming(a[l], flags);
    right[l] = incoming(b[l], flags);
  });
  {
    RoundingScope scope(static_cast<Rounding>(i.mode));
    forLanes(x.mask, [&](unsigned l) { result[l] = Op::f(T(left[l]), T(right[l])); });
  }
  forLanes(x.mask, [&](unsigned l) { d[l] = adorned<T>(result[l], flags); });
}
template <class Op, class T>
void adornedBinary(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]);
  const uint8_t flags = i.flags;
  forLanes(x.mask, [=](unsigned l) { d[l] = adorned<T>(Op::f(incoming(a[l], flags), incoming(b[l], flags)), flags); });
}

template <class T>
__attribute__((noinline)) void roundedFma(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]), *c = x.lanes<T>(i.o[3]);
  const uint8_t flags = i.flags;
  volatile T u[kLanes], v[kLanes], w[kLanes], result[kLanes];
  forLanes(x.mask, [&](unsigned l) {
    u[l] = incoming(a[l], flags);
    v[l] = incoming(b[l], flags);
    w[l] = incoming(c[l], flags);
  });
  {
    RoundingScope scope(static_cast<Rounding>(i.mode));
    forLanes(x.mask, [&](unsigned l) { result[l] = std::fma(T(u[l]), T(v[l]), T(w[l])); });
  }
  forLanes(x.mask, [&](unsigned l) { d[l] = adorned<T>(result[l], flags); });
}

template <class T>
void plainFma(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]), *c = x.lanes<T>(i.o[3]);
  forLanes(x.mask, [=](unsigned l) { d[l] = canonical(std::fma(a[l], b[l], c[l])); });
}
template <class T>
void adornedFma(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]), *c = x.lanes<T>(i.o[3]);
  const uint8_t flags = i.flags;
  forLanes(x.mask, [=](unsigned l) {
    d[l] = adorned<T>(std::fma(incoming(a[l], flags), incoming(b[l], flags), incoming(c[l], flags)), flags);
  });
}

#if defined(__x86_64__)
// The same with the processor's own instruction, where it has one.
template <class T>
__attribute__((target("avx2,fma"))) void hardwareFma(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]), *c = x.lanes<T>(i.o[3]);
  if (x.mask == UINT32_MAX) {
#pragma GCC ivdep
    for (unsigned l = 0; l < kLanes; l++) {
      const T r = sizeof(T) == 4 ? static_cast<T>(__builtin_fmaf(static_cast<float>(a[l]), static_cast<float>(b[l]), static_cast<float>(c[l])))
                                 : static_cast<T>(__builtin_fma(static_cast<double>(a[l]), static_cast<double>(b[l]), static_cast<double>(c[l])));
      if constexpr (sizeof(T) == 4) {
        d[l] = r == r ? r : bits<float>(0x7fffffffu);
      } else {
        d[l] = r;
      }
    }
    return;
  }
  for (uint32_t mask = x.mask; mask; mask &= mask - 1) {
    const unsigned l = static_cast<unsigned>(__builtin_ctz(mask));
    const T r = sizeof(T) == 4 ? static_cast<T>(__builtin_fmaf(static_cast<float>(a[l]), static_cast<float>(b[l]), static_cast<float>(c[l])))
                               : static_cast<T>(__builtin_fma(static_cast<double>(a[l]), static_cast<double>(b[l]), static_cast<double>(c[l])));
    if constexpr (sizeof(T) == 4) {
      d[l] = r == r ? r : bits<float>(0x7fffffffu);
    } else {
      d[l] = r;
    }
  }
}
#endif

template <class T>
Handler fastestFma() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2");
  if (has) return hardwareFma<T>;
#endif
  return plainFma<T>;
}

template <class T>
T smallest(T a, T b, uint8_t flags) {
  a = incoming(a, flags);
  b = incoming(b, flags);
  if (a != a || b != b) return flags & kNaN ? std::numeric_limits<T>::quiet_NaN() : a != a ? b : a;
  if (a == b) return std::signbit(a) ? a : b;  // -0 is less than +0
  return a < b ? a : b;
}
template <class T>
T greatest(T a, T b, uint8_t flags) {
  a = incoming(a, flags);
  b = incoming(b, flags);
  if (a != a || b != b) return flags & kNaN ? std::numeric_limits<T>::quiet_NaN() : a != a ? b : a;
  if (a == b) return std::signbit(a) ? b : a;
  return a < b ? b : a;
}
template <class T>
T extreme(T a, T b, bool max, uint8_t flags) {
  if (flags & kXorSign) {
    const bool sign = std::signbit(a) != std::signbit(b);
    const T r = max ? greatest(std::fabs(a), std::fabs(b), flags) : smallest(std::fabs(a), std::fabs(b), flags);
    return r != r ? canonical(r) : std::copysign(r, sign ? T(-1) : T(1));
  }
  return max ? canonical(greatest(a, b, flags)) : canonical(smallest(a, b, flags));
}
template <class T>
void minMax(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]);
  const uint8_t flags = i.flags;
  const bool max = i.mode;
  forLanes(x.mask, [=](unsigned l) { d[l] = extreme(a[l], b[l], max, flags); });
}
// The common case, without flags: fmin and fmax but for the order of zeros, which is settled too.
template <bool Max>
void plainMinMax(Exec &x, const Inst &i) {
  float *d = x.lanes<float>(i.o[0]);
  const float *a = x.lanes<float>(i.o[1]), *b = x.lanes<float>(i.o[2]);
  forLanes(x.mask, [=](unsigned l) {
    const float u = a[l], v = b[l];
    const uint32_t zero = Max ? (bits<uint32_t>(u) & bits<uint32_t>(v)) : (bits<uint32_t>(u) | bits<uint32_t>(v));
    float r = Max ? (u > v ? u : v) : (u < v ? u : v);
    r = u == v ? bits<float>(zero) : r;
    r = u != u ? v : r;
    r = v != v ? u : r;
    d[l] = canonical(r);
  });
}

template <class T>
void negate(Exec &x, const Inst &i) {
  using U = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]);
  const uint8_t flags = i.flags;
  const bool absolute = i.mode;
  constexpr U sign = U(1) << (8 * sizeof(T) - 1);
  forLanes(x.mask, [=](unsigned l) {
    const U v = bits<U>(incoming(a[l], flags));
    d[l] = bits<T>(absolute ? v & ~sign : v ^ sign);
  });
}

template <class T>
void copySign(Exec &x, const Inst &i) {
  using U = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]);
  constexpr U sign = U(1) << (8 * sizeof(T) - 1);
  forLanes(x.mask, [=](unsigned l) { d[l] = bits<T>((bits<U>(a[l]) & sign) | (bits<U>(b[l]) & ~sign)); });
}

// div.approx gives 0 for divisors of 2^126 and more (NaN if the dividend is infinite); the manual says so.
void divideApprox(Exec &x, const Inst &i) {
  float *d = x.lanes<float>(i.o[0]);
  const float *a = x.lanes<float>(i.o[1]), *b = x.lanes<float>(i.o[2]);
  const uint8_t flags = i.flags;
  forLanes(x.mask, [=](unsigned l) {
    const float u = incoming(a[l], flags), v = incoming(b[l], flags);
    const float size = std::fabs(v);
    float r = u / v;
    if (size > 0x1p126f && size <= std::numeric_limits<float>::max())
      r = std::isinf(u) ? std::numeric_limits<float>::quiet_NaN() : std::copysign(u != u ? u : 0.0f, u) * std::copysign(1.0f, v);
    d[l] = adorned(r, flags);
  });
}

enum Function1 : uint8_t { kEx2, kLg2, kSin, kCos, kTanh, kRcp, kSqrt, kRsqrt };

double evaluate(uint8_t function, double x) {
  switch (function) {
    case kEx2: return std::exp2(x);
    case kLg2: return std::log2(x);
    case kSin: return std::sin(x);
    case kCos: return std::cos(x);
    case kTanh: return std::tanh(x);
    case kRcp: return 1 / x;
    case kSqrt: return std::sqrt(x);
    default: return 1 / std::sqrt(x);
  }
}
void function32(Exec &x, const Inst &i) {
  float *d = x.lanes<float>(i.o[0]);
  const float *a = x.lanes<float>(i.o[1]);
  const uint8_t flags = i.flags, function = i.mode;
  forLanes(x.mask, [=](unsigned l) {
    d[l] = adorned(static_cast<float>(evaluate(function, static_cast<double>(incoming(a[l], flags)))), flags);
  });
}
// rcp and sqrt of .f32 and .f64, rounded to nearest.
template <class T>
void reciprocal(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]);
  const uint8_t flags = i.flags;
  forLanes(x.mask, [=](unsigned l) { d[l] = adorned<T>(T(1) / incoming(a[l], flags), flags); });
}
template <class T>
void squareRoot(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]);
  const uint8_t flags = i.flags;
  forLanes(x.mask, [=](unsigned l) { d[l] = adorned<T>(std::sqrt(incoming(a[l], flags)), flags); });
}
template <class T>
__attribute__((noinline)) void roundedUnary(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]);
  const uint8_t flags = i.flags;
  const bool root = i.imm;
  volatile T in[kLanes], result[kLanes];
  forLanes(x.mask, [&](unsigned l) { in[l] = incoming(a[l], flags); });
  {
    RoundingScope scope(static_cast<Rounding>(i.mode));
    forLanes(x.mask, [&](unsigned l) {
      if (root) {
        result[l] = std::sqrt(T(in[l]));
      } else {
        result[l] = T(1) / in[l];
      }
    });
  }
  forLanes(x.mask, [&](unsigned l) { d[l] = adorned<T>(result[l], flags); });
}
// rcp and rsqrt .approx.ftz.f64 see and give only the upper 32 bits, subnormals flushed.
void approx64(Exec &x, const Inst &i) {
  double *d = x.lanes<double>(i.o[0]);
  const double *a = x.lanes<double>(i.o[1]);
  const uint8_t function = i.mode;
  forLanes(x.mask, [=](unsigned l) {
    double v = bits<double>(bits<uint64_t>(a[l]) & 0xffffffff00000000ull);
    if (std::fabs(v) < std::numeric_limits<double>::min()) v = std::copysign(0.0, v);
    double r = evaluate(function, v);
    if (std::fabs(r) < std::numeric_limits<double>::min()) r = std::copysign(0.0, r);
    d[l] = bits<double>(bits<uint64_t>(r) & 0xffffffff00000000ull);
  });
}

// ------------------------------------------------------------------------------------------------- half and bfloat16

struct HalfFormat {
  static constexpr Format kFormat = kHalf;
  static float load(uint16_t v) { return halfToFloat(v); }
  static uint16_t store(double v) { return static_cast<uint16_t>(roundTo(kHalf, v, Rounding::Nearest)); }
  static constexpr uint16_t kCanonical = 0x7fff;
  static constexpr uint16_t kLeastNormal = 0x0400;
};
struct BrainFormat {
  static constexpr Format kFormat = kBrain;
  static float load(uint16_t v) { return brainToFloat(v); }
  static uint16_t store(double v) { return static_cast<uint16_t>(roundTo(kBrain, v, Rounding::Nearest)); }
  static constexpr uint16_t kCanonical = 0x7fff;
  static constexpr uint16_t kLeastNormal = 0x0080;
};

template <class F>
uint16_t flushSmall(uint16_t v, uint8_t flags) {
  return (flags & kFlush) && (v & 0x7fff) < F::kLeastNormal ? v & 0x8000 : v;
}

enum SmallOp : uint8_t { kSmallAdd, kSmallSub, kSmallMul, kSmallFma, kSmallMin, kSmallMax, kSmallNeg, kSmallAbs, kSmallEx2, kSmallTanh };

template <class F>
uint16_t smallResult(double r, uint8_t flags) {
  if (flags & kSaturate) r = saturate(r);
  if (flags & kRelu) r = r != r ? r : r > 0 ? r : 0.0;
  return flushSmall<F>(F::store(r), flags);
}

template <class F>
uint16_t smallOp(uint8_t op, uint16_t a, uint16_t b, uint16_t c, uint8_t flags) {
  a = flushSmall<F>(a, flags);
  b = flushSmall<F>(b, flags);
  c = flushSmall<F>(c, flags);
  const double u = static_cast<double>(F::load(a)), v = static_cast<double>(F::load(b));
  switch (op) {
    case kSmallAdd: return smallResult<F>(addToOdd(u, v), flags);
    case kSmallSub: return smallResult<F>(addToOdd(u, -v), flags);
    case kSmallMul: return smallResult<F>(u * v, flags);
    case kSmallFma: return smallResult<F>(addToOdd(u * v, static_cast<double>(F::load(c))), flags);
    case kSmallMin:
    case kSmallMax: {
      const double r = extreme(u, v, op == kSmallMax, flags);
      return r != r ? F::kCanonical : F::store(r);
    }
    case kSmallNeg: return a ^ 0x8000;
    case kSmallAbs: return a & 0x7fff;
    case kSmallEx2: return smallResult<F>(std::exp2(u), flags);
    default: return smallResult<F>(std::tanh(u), flags);
  }
}

template <class F>
void smallLanes(Exec &x, const Inst &i) {
  uint16_t *d = x.lanes<uint16_t>(i.o[0]);
  const uint16_t *a = x.lanes<uint16_t>(i.o[1]), *b = x.lanes<uint16_t>(i.o[2]), *c = x.lanes<uint16_t>(i.o[3]);
  const uint8_t op = i.mode, flags = i.flags;
  forLanes(x.mask, [=](unsigned l) { d[l] = smallOp<F>(op, a[l], b[l], c[l], flags); });
}
template <class F>
void packedLanes(Exec &x, const Inst &i) {
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  const uint32_t *a = x.lanes<uint32_t>(i.o[1]), *b = x.lanes<uint32_t>(i.o[2]), *c = x.lanes<uint32_t>(i.o[3]);
  const uint8_t op = i.mode, flags = i.flags;
  forLanes(x.mask, [=](unsigned l) {
    const uint32_t low = smallOp<F>(op, static_cast<uint16_t>(a[l]), static_cast<uint16_t>(b[l]),
                                    static_cast<uint16_t>(c[l]), flags);
    const uint32_t high = smallOp<F>(op, static_cast<uint16_t>(a[l] >> 16), static_cast<uint16_t>(b[l] >> 16),
                                     static_cast<uint16_t>(c[l] >> 16), flags);
    d[l] = high << 16 | low;
  });
}

// ------------------------------------------------------------------------------------------------------------ decoding

bool isSmall(Type type) {
  return type == Type::F16 || type == Type::F16x2 || type == Type::BF16 || type == Type::BF16x2;
}

void operands(Decoder &d, Type type, size_t sources) {
  d.finish();
  d.wantOperands(sources + 1);
  for (size_t k = 1; k <= sources; k++) d.inst.o[k] = d.source(k, type);
  for (size_t k = sources + 1; k <= 3; k++) d.inst.o[k] = d.inst.o[1];
  d.inst.o[0] = d.destination(0, type);
}

void decodeSmall(Decoder &d, uint8_t op, Type type, size_t sources) {
  switch (type) {
    case Type::F16: d.inst.run = smallLanes<HalfFormat>; break;
    case Type::F16x2: d.inst.run = packedLanes<HalfFormat>; break;
    case Type::BF16: d.inst.run = smallLanes<BrainFormat>; break;
    default: d.inst.run = packedLanes<BrainFormat>; break;
  }
  d.inst.mode = op;
  operands(d, type, sources);
}

template <class T>
Handler binaryHandler(std::string_view opcode, Rounding rounding, bool flags) {
  if (rounding != Rounding::Nearest) {
    return opcode == "add"   ? roundedBinary<Add, T>
           : opcode == "sub" ? roundedBinary<Sub, T>
           : opcode == "mul" ? roundedBinary<Mul, T>
                             : roundedBinary<Div, T>;
  }
  if (flags) {
    return opcode == "add"   ? adornedBinary<Add, T>
           : opcode == "sub" ? adornedBinary<Sub, T>
           : opcode == "mul" ? adornedBinary<Mul, T>
                             : adornedBinary<Div, T>;
  }
  return opcode == "add" ? plain<Add, T> : opcode == "sub" ? plain<Sub, T> : opcode == "mul" ? plain<Mul, T> : plain<Div, T>;
}

void decodeMinMax(Decoder &d, bool max, Type type) {
  if (type != Type::F64) {
    if (d.take("NaN")) d.inst.flags |= kNaN;
    if (d.take("xorsign")) {
      if (!d.take("abs")) d.fail(".xorsign needs .abs");
      d.inst.flags |= kXorSign;
    }
  }
  if (isSmall(type)) {
    decodeSmall(d, max ? kSmallMax : kSmallMin, type, 2);
    return;
  }
  if (type == Type::F64) {
    d.inst.run = minMax<double>;
  } else if (d.inst.flags == 0) {
    d.inst.run = max ? plainMinMax<true> : plainMinMax<false>;
  } else {
    d.inst.run = minMax<float>;
  }
  d.inst.mode = max;
  operands(d, type, 2);
}

void decodeDivide(Decoder &d, Type type) {
  Rounding rounding;
  if (type == Type::F64) {
    if (!d.takeRounding(rounding)) d.fail("needs a rounding: .rn, .rz, .rm or .rp");
    d.inst.mode = static_cast<uint8_t>(rounding);
    d.inst.run = binaryHandler<double>("div", rounding, false);
  } else if (type == Type::F32) {
    if (d.take("approx")) {
      d.inst.run = divideApprox;
    } else if (d.take("full")) {
      d.inst.run = adornedBinary<Div, float>;
    } else if (d.takeRounding(rounding)) {
      d.inst.mode = static_cast<uint8_t>(rounding);
      d.inst.run = binaryHandler<float>("div", rounding, d.inst.flags != 0);
    } else {
      d.fail("needs .approx, .full or a rounding");
    }
  } else {
    d.fail(std::string("not for type .") + name(type));
  }
  operands(d, type, 2);
}

void decodeFunction(Decoder &d) {
  const std::string_view opcode = d.statement.opcode;
  const uint8_t function = opcode == "ex2"    ? kEx2
                           : opcode == "lg2"  ? kLg2
                           : opcode == "sin"  ? kSin
                           : opcode == "cos"  ? kCos
                           : opcode == "tanh" ? kTanh
                           : opcode == "rcp"  ? kRcp
                           : opcode == "sqrt" ? kSqrt
                                              : kRsqrt;
  const bool approx = d.take("approx");
  const bool ftz = d.take("ftz");
  const Type type = d.takeType();
  if (ftz) d.inst.flags |= kFlush;
  d.inst.mode = function;
  Rounding rounding;
  if (approx) {
    if (isSmall(type) && (function == kEx2 || function == kTanh)) {
      decodeSmall(d, function == kEx2 ? kSmallEx2 : kSmallTanh, type, 1);
      return;
    }
    if (type == Type::F32) {
      d.inst.run = function32;
    } else if (type == Type::F64 && (function == kRcp || function == kRsqrt) && ftz) {
      d.inst.run = approx64;
    } else if (type == Type::F64 && function == kRsqrt) {
      d.inst.run = approx64;
    } else {
      d.fail(std::string("not for type .") + name(type));
    }
  } else {
    if (function != kRcp && function != kSqrt) d.fail("needs .approx");
    if (!d.takeRounding(rounding)) d.fail("needs .approx or a rounding");
    if (type != Type::F32 && (type != Type::F64 || ftz)) d.fail(std::string("not for type .") + name(type));
    const bool single = type == Type::F32;
    if (rounding != Rounding::Nearest) {
      d.inst.mode = static_cast<uint8_t>(rounding);
      d.inst.imm = function == kSqrt;
      d.inst.run = single ? roundedUnary<float> : roundedUnary<double>;
    } else if (function == kSqrt) {
      d.inst.run = single ? squareRoot<float> : squareRoot<double>;
    } else {
      d.inst.run = single ? reciprocal<float> : reciprocal<double>;
    }
  }
  operands(d, type, 1);
}

void decodeCopySign(Decoder &d) {
  const Type type = d.takeType();
  if (type != Type::F32 && type != Type::F64) d.fail(std::string("not for type .") + name(type));
  d.inst.run = type == Type::F32 ? copySign<float> : copySign<double>;
  operands(d, type, 2);
}

}  // namespace

void decodeFloatArithmetic(Decoder &d, std::string_view opcode, Type type) {
  if (d.take("ftz")) {
    if (type == Type::F64 || type == Type::BF16 || type == Type::BF16x2) d.fail(std::string(".ftz is not for type .") + name(type));
    d.inst.flags |= kFlush;
  }
  if (opcode == "min" || opcode == "max") {
    decodeMinMax(d, opcode == "max", type);
    return;
  }
  if (opcode == "div") {
    decodeDivide(d, type);
    return;
  }
  if (opcode == "neg" || opcode == "abs") {
    const bool absolute = opcode == "abs";
    if (isSmall(type)) {
      decodeSmall(d, absolute ? kSmallAbs : kSmallNeg, type, 1);
      return;
    }
    d.inst.mode = absolute;
    d.inst.run = type == Type::F32 ? negate<float> : negate<double>;
    operands(d, type, 1);
    return;
  }
  if (d.take("sat")) {
    if (type == Type::F64 || type == Type::BF16 || type == Type::BF16x2) d.fail(std::string(".sat is not for type .") + name(type));
    d.inst.flags |= kSaturate;
  }
  const bool fma = opcode == "fma" || opcode == "mad";
  if (fma && d.take("relu")) {
    if (!isSmall(type)) d.fail(std::string(".relu is not for type .") + name(type));
    d.inst.flags |= kRelu;
  }
  Rounding rounding;
  const bool rounded = d.takeRounding(rounding);
  if (isSmall(type)) {
    if (rounding != Rounding::Nearest) d.fail("only .rn is for half precision");
    if (opcode == "mad") d.fail(std::string("not for type .") + name(type));
    if (fma && !rounded) d.fail("needs .rn");
    decodeSmall(d, fma ? kSmallFma : opcode == "add" ? kSmallAdd : opcode == "sub" ? kSmallSub : kSmallMul, type, fma ? 3 : 2);
    return;
  }
  d.inst.mode = static_cast<uint8_t>(rounding);
  const bool single = type == Type::F32;
  if (fma) {
    if (!rounded) d.fail("needs a rounding: .rn, .rz, .rm or .rp");
    if (rounding != Rounding::Nearest) {
      d.inst.run = single ? roundedFma<float> : roundedFma<double>;
    } else if (d.inst.flags) {
      d.inst.run = single ? adornedFma<float> : adornedFma<double>;
    } else {
      d.inst.run = single ? fastestFma<float>() : fastestFma<double>();
    }
    operands(d, type, 3);
    return;
  }
  d.inst.run = single ? binaryHandler<float>(opcode, rounding, d.inst.flags != 0)
                      : binaryHandler<double>(opcode, rounding, false);
  operands(d, type, 2);
}

std::vector<OpcodeEntry> floatOpcodes() {
  return {
      {"ex2", decodeFunction}, {"lg2", decodeFunction}, {"sin", decodeFunction}, {"cos", decodeFunction},
      {"tanh", decodeFunction}, {"rcp", decodeFunction}, {"sqrt", decodeFunction}, {"rsqrt", decodeFunction},
      {"copysign", decodeCopySign},
  };
}

}  // namespace ptx

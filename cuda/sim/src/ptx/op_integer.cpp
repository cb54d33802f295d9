// Integer arithmetic, logic and shifts.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "decode.h"
#include "lanewise.h"

namespace ptx {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;
// Arithmetic is done unsigned and at least 32 bits wide, where overflow is defined.
template <class T>
using Wrap = std::conditional_t<(sizeof(T) < 4), uint32_t, Unsigned<T>>;
template <class T>
using Twice = std::conditional_t<
    sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
    std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>,
                       std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>>>;

struct Add {
  template <class T>
  static T f(T a, T b) {
    return static_cast<T>(Wrap<T>(a) + Wrap<T>(b));
  }
};
struct Sub {
  template <class T>
  static T f(T a, T b) {
    return static_cast<T>(Wrap<T>(a) - Wrap<T>(b));
  }
};
struct AddSaturated {
  template <class T>
  static T f(T a, T b) {
    T r;
    if (!__builtin_add_overflow(a, b, &r)) return r;
    return a < 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
  }
};
struct SubSaturated {
  template <class T>
  static T f(T a, T b) {
    T r;
    if (!__builtin_sub_overflow(a, b, &r)) return r;
    return a < 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
  }
};
struct MulLo {
  template <class T>
  static T f(T a, T b) {
    return static_cast<T>(Wrap<T>(a) * Wrap<T>(b));
  }
};
struct MulHi {
  template <class T>
  static T f(T a, T b) {
    return static_cast<T>(Twice<T>(a) * Twice<T>(b) >> (8 * sizeof(T)));
  }
};
struct MulWide {
  template <class T>
  static Twice<T> f(T a, T b) {
    return Twice<T>(a) * Twice<T>(b);
  }
};
struct MadLo {
  template <class T>
  static T f(T a, T b, T c) {
    return static_cast<T>(Wrap<T>(a) * Wrap<T>(b) + Wrap<T>(c));
  }
};
struct MadHi {
  template <class T>
  static T f(T a, T b, T c) {
    return Add::f(MulHi::f(a, b), c);
  }
};
struct MadHiSaturated {
  template <class T>
  static T f(T a, T b, T c) {
    return AddSaturated::f(MulHi::f(a, b), c);
  }
};
struct MadWide {
  template <class T>
  static Twice<T> f(T a, T b, Twice<T> c) {
    return Add::f(Twice<T>(a) * Twice<T>(b), c);
  }
};
template <class T>
T low24(T a) {
  return std::is_signed_v<T> ? static_cast<T>(static_cast<int32_t>(static_cast<uint32_t>(a) << 8) >> 8) : (a & 0xffffff);
}
struct Mul24Lo {
  template <class T>
  static T f(T a, T b) {
    return static_cast<T>(static_cast<Twice<T>>(low24(a)) * low24(b));
  }
};
struct Mul24Hi {
  template <class T>
  static T f(T a, T b) {
    return static_cast<T>(static_cast<Twice<T>>(low24(a)) * low24(b) >> 16);
  }
};
struct Mad24Lo {
  template <class T>
  static T f(T a, T b, T c) {
    return Add::f(Mul24Lo::f(a, b), c);
  }
};
struct Mad24Hi {
  template <class T>
  static T f(T a, T b, T c) {
    return Add::f(Mul24Hi::f(a, b), c);
  }
};
// Division by zero gives what the hardware's own sequence leaves: all ones; the remainder is the dividend.
struct Div {
  template <class T>
  static T f(T a, T b) {
    if (b == 0) return static_cast<T>(-1);
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return static_cast<T>(0 - Wrap<T>(a));
    return static_cast<T>(a / b);
  }
};
struct Rem {
  template <class T>
  static T f(T a, T b) {
    if (b == 0) return a;
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
    return static_cast<T>(a % b);
  }
};
struct Abs {
  template <class T>
  static T f(T a) {
    return a < 0 ? static_cast<T>(0 - Wrap<T>(a)) : a;
  }
};
struct Neg {
  template <class T>
  static T f(T a) {
    return static_cast<T>(0 - Wrap<T>(a));
  }
};
struct Min {
  template <class T>
  static T f(T a, T b) {
    return a < b ? a : b;
  }
};
struct Max {
  template <class T>
  static T f(T a, T b) {
    return a < b ? b : a;
  }
};
struct Relu {
  template <class T>
  static T f(T a, T b, bool greatest) {
    const T r = greatest ? Max::f(a, b) : Min::f(a, b);
    return r < 0 ? 0 : r;
  }
};
struct MinRelu {
  template <class T>
  static T f(T a, T b) {
    return Relu::f(a, b, false);
  }
};
struct MaxRelu {
  template <class T>
  static T f(T a, T b) {
    return Relu::f(a, b, true);
  }
};
struct Sad {
  template <class T>
  static T f(T a, T b, T c) {
    return static_cast<T>(Wrap<T>(c) + (a < b ? Wrap<T>(b) - Wrap<T>(a) : Wrap<T>(a) - Wrap<T>(b)));
  }
};
struct And {
  template <class T>
  static T f(T a, T b) {
    return a & b;
  }
};
struct Or {
  template <class T>
  static T f(T a, T b) {
    return a | b;
  }
};
struct Xor {
  template <class T>
  static T f(T a, T b) {
    return a ^ b;
  }
};
struct Not {
  template <class T>
  static T f(T a) {
    return static_cast<T>(~a);
  }
};
struct CNot {
  template <class T>
  static T f(T a) {
    return a == 0;
  }
};
// Shift amounts are 32 bits wide and clamped.
struct Shl {
  template <class T>
  static T f(T a, uint32_t b) {
    return b >= 8 * sizeof(T) ? 0 : static_cast<T>(Wrap<T>(a) << b);
  }
};
struct Shr {
  template <class T>
  static T f(T a, uint32_t b) {
    if (b < 8 * sizeof(T)) return static_cast<T>(a >> b);
    return std::is_signed_v<T> && a < 0 ? static_cast<T>(-1) : 0;
  }
};
struct Popc {
  template <class T>
  static uint32_t f(T a) {
    return static_cast<uint32_t>(__builtin_popcountll(a));
  }
};
struct Clz {
  template <class T>
  static uint32_t f(T a) {
    return a == 0 ? 8 * sizeof(T) : static_cast<uint32_t>(__builtin_clzll(a)) - (64 - 8 * sizeof(T));
  }
};
struct BFind {
  template <class T>
  static uint32_t f(T a) {
    const Unsigned<T> v = a < 0 ? static_cast<Unsigned<T>>(~a) : static_cast<Unsigned<T>>(a);
    return v == 0 ? UINT32_MAX : 63 - static_cast<uint32_t>(__builtin_clzll(v));
  }
};
struct BFindShift {
  template <class T>
  static uint32_t f(T a) {
    const uint32_t bit = BFind::f(a);
    return bit == UINT32_MAX ? bit : static_cast<uint32_t>(8 * sizeof(T)) - 1 - bit;
  }
};
struct BRev {
  template <class T>
  static T f(T a) {
    T r = 0;
    for (unsigned k = 0; k < 8 * sizeof(T); k++, a >>= 1) r = static_cast<T>(r << 1 | (a & 1));
    return r;
  }
};
struct Bfe {
  template <class T>
  static T f(T a, uint32_t b, uint32_t c) {
    constexpr uint32_t top = 8 * sizeof(T) - 1;
    const uint32_t pos = b & 0xff, len = c & 0xff;
    using U = Unsigned<T>;
    const U sign = !std::is_signed_v<T> || len == 0 ? 0 : static_cast<U>(a) >> std::min(pos + len - 1, top) & 1;
    U d = pos > top ? 0 : static_cast<U>(a) >> pos;
    const uint32_t kept = pos > top ? 0 : std::min(len, top + 1 - pos);
    if (kept <= top) {
      d &= (U(1) << kept) - 1;
      if (sign) d |= static_cast<U>(~U(0)) << kept;
    }
    return static_cast<T>(d);
  }
};
template <class T>
T insertBits(T a, T b, uint32_t c, uint32_t d) {
  constexpr uint32_t width = 8 * sizeof(T);
  const uint32_t pos = c & 0xff, len = std::min(d & 0xff, pos < width ? width - pos : 0);
  if (len == 0) return b;
  const T field = len == width ? ~T(0) : static_cast<T>((T(1) << len) - 1);
  return static_cast<T>((b & ~(field << pos)) | ((a & field) << pos));
}
template <class T>
void bfi(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]);
  const uint32_t *c = x.lanes<uint32_t>(i.o[3]), *e = x.lanes<uint32_t>(i.o[4]);
  forLanes(x.mask, [=](unsigned l) { d[l] = insertBits(a[l], b[l], c[l], e[l]); });
}
struct BmskClamp {
  static uint32_t f(uint32_t a, uint32_t b) {
    if (a >= 32 || b == 0) return 0;
    const uint32_t len = std::min(b, 32 - a);
    return (len == 32 ? UINT32_MAX : (1u << len) - 1) << a;
  }
};
struct BmskWrap {
  static uint32_t f(uint32_t a, uint32_t b) {
    a &= 31;
    b &= 31;
    return ((1u << b) - 1) << a;
  }
};
struct SzextClamp {
  template <class T>
  static T f(T a, uint32_t b) {
    if (b >= 32) return a;
    if (b == 0) return 0;
    return std::is_signed_v<T> ? static_cast<T>(static_cast<int32_t>(static_cast<uint32_t>(a) << (32 - b)) >> (32 - b))
                               : static_cast<T>(static_cast<uint32_t>(a) & ((1u << b) - 1));
  }
};
struct SzextWrap {
  template <class T>
  static T f(T a, uint32_t b) {
    return SzextClamp::f(a, b & 31);
  }
};
struct ShfLeftWrap {
  static uint32_t f(uint32_t a, uint32_t b, uint32_t c) {
    return static_cast<uint32_t>(((static_cast<uint64_t>(b) << 32 | a) << (c & 31)) >> 32);
  }
};
struct ShfLeftClamp {
  static uint32_t f(uint32_t a, uint32_t b, uint32_t c) {
    return static_cast<uint32_t>(((static_cast<uint64_t>(b) << 32 | a) << std::min(c, 32u)) >> 32);
  }
};
struct ShfRightWrap {
  static uint32_t f(uint32_t a, uint32_t b, uint32_t c) {
    return static_cast<uint32_t>((static_cast<uint64_t>(b) << 32 | a) >> (c & 31));
  }
};
struct ShfRightClamp {
  static uint32_t f(uint32_t a, uint32_t b, uint32_t c) {
    return static_cast<uint32_t>((static_cast<uint64_t>(b) << 32 | a) >> std::min(c, 32u));
  }
};

void lop3(Exec &x, const Inst &i) {
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  const uint32_t *a = x.lanes<uint32_t>(i.o[1]), *b = x.lanes<uint32_t>(i.o[2]), *c = x.lanes<uint32_t>(i.o[3]);
  const uint32_t table = static_cast<uint32_t>(i.imm);
  uint32_t keep[8];
  for (unsigned k = 0; k < 8; k++) keep[k] = table >> k & 1 ? UINT32_MAX : 0;
  uint32_t set = 0;
  forLanes(x.mask, [&](unsigned l) {
    uint32_t r = 0;
    for (unsigned k = 0; k < 8; k++)
      r |= keep[k] & (k & 4 ? a[l] : ~a[l]) & (k & 2 ? b[l] : ~b[l]) & (k & 1 ? c[l] : ~c[l]);
    d[l] = r;
    set |= static_cast<uint32_t>(r != 0) << l;
  });
  if (i.flags) {  // lop3.BoolOp: p = (d != 0) op q
    const uint32_t q = x.predicate(i.o[5]) ^ (i.mode ? UINT32_MAX : 0);
    x.writePredicate(i.o[4], i.flags == 1 ? (set | q) : (set & q));
  }
}

uint32_t permuteByte(uint64_t bytes, uint32_t selector) {
  const uint32_t b = static_cast<uint32_t>(bytes >> (8 * (selector & 7))) & 0xff;
  return selector & 8 ? (b & 0x80 ? 0xff : 0) : b;
}
enum PrmtMode : uint8_t { kIndex, kF4e, kB4e, kRc8, kEcl, kEcr, kRc16 };
uint32_t permute(uint32_t a, uint32_t b, uint32_t c, uint8_t mode) {
  const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
  if (mode == kIndex)
    return permuteByte(bytes, c) | permuteByte(bytes, c >> 4) << 8 | permuteByte(bytes, c >> 8) << 16 |
           permuteByte(bytes, c >> 12) << 24;
  const uint32_t s = c & 3;
  uint32_t at[4];
  for (uint32_t k = 0; k < 4; k++) {
    switch (mode) {
      case kF4e: at[k] = s + k; break;
      case kB4e: at[k] = (s - k) & 7; break;
      case kRc8: at[k] = s; break;
      case kEcl: at[k] = std::max(s, k); break;
      case kEcr: at[k] = std::min(s, k); break;
      default: at[k] = (s & 1) * 2 + (k & 1); break;
    }
  }
  uint32_t r = 0;
  for (uint32_t k = 0; k < 4; k++) r |= (static_cast<uint32_t>(bytes >> (8 * at[k])) & 0xff) << (8 * k);
  return r;
}
void prmt(Exec &x, const Inst &i) {
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  const uint32_t *a = x.lanes<uint32_t>(i.o[1]), *b = x.lanes<uint32_t>(i.o[2]), *c = x.lanes<uint32_t>(i.o[3]);
  const uint8_t mode = i.mode;
  forLanes(x.mask, [=](unsigned l) { d[l] = permute(a[l], b[l], c[l], mode); });
}

// dp4a and dp2a: a's parts times b's bytes, each signed or not, added to c. mode bit 0: a signed; bit 1: b signed.
void dp4a(Exec &x, const Inst &i) {
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  const uint32_t *a = x.lanes<uint32_t>(i.o[1]), *b = x.lanes<uint32_t>(i.o[2]), *c = x.lanes<uint32_t>(i.o[3]);
  const uint8_t mode = i.mode;
  forLanes(x.mask, [=](unsigned l) {
    uint32_t sum = c[l];
    for (unsigned k = 0; k < 4; k++) {
      const uint32_t av = a[l] >> (8 * k) & 0xff, bv = b[l] >> (8 * k) & 0xff;
      const int32_t as = mode & 1 ? static_cast<int8_t>(av) : static_cast<int32_t>(av);
      const int32_t bs = mode & 2 ? static_cast<int8_t>(bv) : static_cast<int32_t>(bv);
      sum += static_cast<uint32_t>(as * bs);
    }
    d[l] = sum;
  });
}
void dp2a(Exec &x, const Inst &i) {
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  const uint32_t *a = x.lanes<uint32_t>(i.o[1]), *b = x.lanes<uint32_t>(i.o[2]), *c = x.lanes<uint32_t>(i.o[3]);
  const uint8_t mode = i.mode;
  const unsigned first = i.flags ? 2 : 0;  // .hi takes b's upper two bytes
  forLanes(x.mask, [=](unsigned l) {
    uint32_t sum = c[l];
    for (unsigned k = 0; k < 2; k++) {
      const uint32_t av = a[l] >> (16 * k) & 0xffff, bv = b[l] >> (8 * (k + first)) & 0xff;
      const int32_t as = mode & 1 ? static_cast<int16_t>(av) : static_cast<int32_t>(av);
      const int32_t bs = mode & 2 ? static_cast<int8_t>(bv) : static_cast<int32_t>(bv);
      sum += static_cast<uint32_t>(as * bs);
    }
    d[l] = sum;
  });
}

// Extended precision: the carry flag in and out. mode: 1 the flag is read, 2 it is written.
enum : uint8_t { kCarryIn = 1, kCarryOut = 2 };
template <class T>
void addCarry(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]);
  uint32_t out = 0;
  forLanes(x.mask, [&](unsigned l) {
    const unsigned __int128 sum =
        static_cast<unsigned __int128>(a[l]) + b[l] + (i.mode & kCarryIn ? x.warp->carry >> l & 1 : 0);
    d[l] = static_cast<T>(sum);
    out |= static_cast<uint32_t>(sum >> (8 * sizeof(T)) & 1) << l;
  });
  if (i.mode & kCarryOut) x.warp->carry = (x.warp->carry & ~x.mask) | out;
}
template <class T>
void subBorrow(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]);
  uint32_t out = 0;
  forLanes(x.mask, [&](unsigned l) {
    const unsigned __int128 difference =
        static_cast<unsigned __int128>(a[l]) - b[l] - (i.mode & kCarryIn ? x.warp->carry >> l & 1 : 0);
    d[l] = static_cast<T>(difference);
    out |= static_cast<uint32_t>(difference >> (8 * sizeof(T)) & 1) << l;
  });
  if (i.mode & kCarryOut) x.warp->carry = (x.warp->carry & ~x.mask) | out;
}
template <class T, class U>  // T: of the product's sign; U: its unsigned
void madCarry(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T *a = x.lanes<T>(i.o[1]), *b = x.lanes<T>(i.o[2]), *c = x.lanes<T>(i.o[3]);
  uint32_t out = 0;
  const bool high = i.flags;
  forLanes(x.mask, [&](unsigned l) {
    const U part = static_cast<U>(high ? MulHi::f(a[l], b[l]) : MulLo::f(a[l], b[l]));
    const unsigned __int128 sum = static_cast<unsigned __int128>(part) + static_cast<U>(c[l]) +
                                  (i.mode & kCarryIn ? x.warp->carry >> l & 1 : 0);
    d[l] = static_cast<T>(sum);
    out |= static_cast<uint32_t>(sum >> (8 * sizeof(T)) & 1) << l;
  });
  if (i.mode & kCarryOut) x.warp->carry = (x.warp->carry & ~x.mask) | out;
}

// Logic on predicates, 32 lanes at once. flags: operands to negate.
void predicateLogic(Exec &x, const Inst &i) {
  const uint32_t a = x.predicate(i.o[1]) ^ (i.flags & 1 ? UINT32_MAX : 0);
  const uint32_t b = x.predicate(i.o[2]) ^ (i.flags & 2 ? UINT32_MAX : 0);
  x.writePredicate(i.o[0], i.mode == 0 ? (a & b) : i.mode == 1 ? (a | b) : (a ^ b));
}
void predicateNot(Exec &x, const Inst &i) { x.writePredicate(i.o[0], ~(x.predicate(i.o[1]) ^ (i.flags ? UINT32_MAX : 0))); }

// ------------------------------------------------------------------------------------------------------------ decoding

template <class Op>
Handler binaryOf(Type type) {
  switch (type) {
    case Type::U16: return binary<Op, uint16_t, uint16_t>;
    case Type::S16: return binary<Op, int16_t, int16_t>;
    case Type::U32: return binary<Op, uint32_t, uint32_t>;
    case Type::S32: return binary<Op, int32_t, int32_t>;
    case Type::U64: return binary<Op, uint64_t, uint64_t>;
    case Type::S64: return binary<Op, int64_t, int64_t>;
    default: return nullptr;
  }
}
template <class Op>
Handler ternaryOf(Type type) {
  switch (type) {
    case Type::U16: return ternary<Op, uint16_t, uint16_t>;
    case Type::S16: return ternary<Op, int16_t, int16_t>;
    case Type::U32: return ternary<Op, uint32_t, uint32_t>;
    case Type::S32: return ternary<Op, int32_t, int32_t>;
    case Type::U64: return ternary<Op, uint64_t, uint64_t>;
    case Type::S64: return ternary<Op, int64_t, int64_t>;
    default: return nullptr;
  }
}
template <class Op>
Handler bitsOf(Type type) {
  switch (type) {
    case Type::B16: return binary<Op, uint16_t, uint16_t>;
    case Type::B32: return binary<Op, uint32_t, uint32_t>;
    case Type::B64: return binary<Op, uint64_t, uint64_t>;
    default: return nullptr;
  }
}

void useHandler(Decoder &d, Handler handler, Type type) {
  if (handler == nullptr) d.fail(std::string("not for type .") + name(type));
  d.inst.run = handler;
}

void threeOperands(Decoder &d, Type type) {
  d.finish();
  d.wantOperands(3);
  d.inst.o[1] = d.source(1, type);
  d.inst.o[2] = d.source(2, type);
  d.inst.o[0] = d.destination(0, type);
}
void fourOperands(Decoder &d, Type type, Type result) {
  d.finish();
  d.wantOperands(4);
  d.inst.o[1] = d.source(1, type);
  d.inst.o[2] = d.source(2, type);
  d.inst.o[3] = d.source(3, result);
  d.inst.o[0] = d.destination(0, result);
}
void twoOperands(Decoder &d, Type type, Type result) {
  d.finish();
  d.wantOperands(2);
  d.inst.o[1] = d.source(1, type);
  d.inst.o[0] = d.destination(0, result);
}

Type twice(Decoder &d, Type type) {
  switch (type) {
    case Type::U16: return Type::U32;
    case Type::S16: return Type::S32;
    case Type::U32: return Type::U64;
    case Type::S32: return Type::S64;
    default: d.fail(std::string(".wide is not for type .") + name(type));
  }
}

template <class Op>
Handler wideOf(Type type) {
  switch (type) {
    case Type::U16: return binary<Op, uint32_t, uint16_t>;
    case Type::S16: return binary<Op, int32_t, int16_t>;
    case Type::U32: return binary<Op, uint64_t, uint32_t>;
    case Type::S32: return binary<Op, int64_t, int32_t>;
    default: return nullptr;
  }
}
Handler madWideOf(Type type) {
  switch (type) {
    case Type::U16: return ternary<MadWide, uint32_t, uint16_t, uint16_t, uint32_t>;
    case Type::S16: return ternary<MadWide, int32_t, int16_t, int16_t, int32_t>;
    case Type::U32: return ternary<MadWide, uint64_t, uint32_t, uint32_t, uint64_t>;
    case Type::S32: return ternary<MadWide, int64_t, int32_t, int32_t, int64_t>;
    default: return nullptr;
  }
}

void decodeMul(Decoder &d, Type type) {
  const int part = d.takeOne({"lo", "hi", "wide"});
  if (part == 0) {
    useHandler(d, binaryOf<MulLo>(type), type);
  } else if (part == 1) {
    useHandler(d, binaryOf<MulHi>(type), type);
  } else if (part == 2) {
    useHandler(d, wideOf<MulWide>(type), type);
    d.finish();
    d.wantOperands(3);
    d.inst.o[1] = d.source(1, type);
    d.inst.o[2] = d.source(2, type);
    d.inst.o[0] = d.destination(0, twice(d, type));
    return;
  } else {
    d.fail("needs .lo, .hi or .wide");
  }
  threeOperands(d, type);
}

void decodeMadCarry(Decoder &d, Type type, uint8_t mode) {
  const int part = d.takeOne({"lo", "hi"});
  if (part < 0) d.fail("needs .lo or .hi");
  d.inst.flags = part == 1;
  d.inst.mode = mode;
  switch (type) {
    case Type::U32: d.inst.run = madCarry<uint32_t, uint32_t>; break;
    case Type::S32: d.inst.run = madCarry<int32_t, uint32_t>; break;
    case Type::U64: d.inst.run = madCarry<uint64_t, uint64_t>; break;
    case Type::S64: d.inst.run = madCarry<int64_t, uint64_t>; break;
    default: d.fail(std::string("not for type .") + name(type));
  }
  fourOperands(d, type, type);
}

void decodeMad(Decoder &d, Type type) {
  if (d.take("cc")) {
    decodeMadCarry(d, type, kCarryOut);
    return;
  }
  const bool saturated = d.take("sat");
  const int part = d.takeOne({"lo", "hi", "wide"});
  if (saturated && (part != 1 || type != Type::S32)) d.fail(".sat is for mad.hi.s32 alone");
  if (part == 0) {
    useHandler(d, ternaryOf<MadLo>(type), type);
  } else if (part == 1) {
    useHandler(d, saturated ? ternary<MadHiSaturated, int32_t, int32_t> : ternaryOf<MadHi>(type), type);
  } else if (part == 2) {
    useHandler(d, madWideOf(type), type);
    fourOperands(d, type, twice(d, type));
    return;
  } else {
    d.fail("needs .lo, .hi or .wide");
  }
  fourOperands(d, type, type);
}

void decodeAddSub(Decoder &d, std::string_view opcode, Type type) {
  const bool add = opcode == "add";
  if (d.take("cc")) {
    d.inst.mode = kCarryOut;
    switch (bytesOf(type)) {
      case 4: d.inst.run = add ? addCarry<uint32_t> : subBorrow<uint32_t>; break;
      case 8: d.inst.run = add ? addCarry<uint64_t> : subBorrow<uint64_t>; break;
      default: d.fail(std::string("not for type .") + name(type));
    }
  } else if (d.take("sat")) {
    if (type != Type::S32) d.fail(".sat is for .s32 alone");
    d.inst.run = add ? binary<AddSaturated, int32_t, int32_t> : binary<SubSaturated, int32_t, int32_t>;
  } else {
    useHandler(d, add ? binaryOf<Add>(type) : binaryOf<Sub>(type), type);
  }
  threeOperands(d, type);
}

void decodeCarry(Decoder &d) {
  const std::string_view opcode = d.statement.opcode;
  const uint8_t mode = kCarryIn | (d.take("cc") ? kCarryOut : 0);
  const Type type = d.takeType();
  if (opcode == "madc") {
    decodeMadCarry(d, type, mode);
    return;
  }
  const bool add = opcode == "addc";
  d.inst.mode = mode;
  if (isFloat(type)) d.fail(std::string("not for type .") + name(type));
  switch (bytesOf(type)) {
    case 4: d.inst.run = add ? addCarry<uint32_t> : subBorrow<uint32_t>; break;
    case 8: d.inst.run = add ? addCarry<uint64_t> : subBorrow<uint64_t>; break;
    default: d.fail(std::string("not for type .") + name(type));
  }
  threeOperands(d, type);
}

// add, sub, mul, mad, div, abs, neg, min, max: for integers here, for floats elsewhere.
void decodeArithmetic(Decoder &d) {
  const Type type = d.takeType();
  if (isFloat(type)) {
    decodeFloatArithmetic(d, d.statement.opcode, type);
  } else {
    decodeIntegerArithmetic(d, d.statement.opcode, type);
  }
}

void decodeRem(Decoder &d) {
  const Type type = d.takeType();
  useHandler(d, binaryOf<Rem>(type), type);
  threeOperands(d, type);
}

void decode24(Decoder &d) {
  const bool mul = d.statement.opcode == "mul24";
  const int part = d.takeOne({"lo", "hi"});
  const Type type = d.takeType();
  if (part < 0) d.fail("needs .lo or .hi");
  if (type != Type::U32 && type != Type::S32) d.fail(std::string("not for type .") + name(type));
  const bool s = type == Type::S32;
  if (mul) {
    d.inst.run = part == 0 ? (s ? binary<Mul24Lo, int32_t, int32_t> : binary<Mul24Lo, uint32_t, uint32_t>)
                           : (s ? binary<Mul24Hi, int32_t, int32_t> : binary<Mul24Hi, uint32_t, uint32_t>);
    threeOperands(d, type);
  } else {
    d.inst.run = part == 0 ? (s ? ternary<Mad24Lo, int32_t, int32_t> : ternary<Mad24Lo, uint32_t, uint32_t>)
                           : (s ? ternary<Mad24Hi, int32_t, int32_t> : ternary<Mad24Hi, uint32_t, uint32_t>);
    fourOperands(d, type, type);
  }
}

void decodeSad(Decoder &d) {
  const Type type = d.takeType();
  useHandler(d, ternaryOf<Sad>(type), type);
  fourOperands(d, type, type);
}

void decodeLogic(Decoder &d) {
  const std::string_view opcode = d.statement.opcode;
  const Type type = d.takeType();
  if (type == Type::Pred) {
    d.finish();
    d.wantOperands(3);
    uint32_t flipA, flipB;
    d.inst.o[1] = d.predicate(d.statement.operands[1], flipA);
    d.inst.o[2] = d.predicate(d.statement.operands[2], flipB);
    d.inst.flags = static_cast<uint8_t>((flipA ? 1 : 0) | (flipB ? 2 : 0));
    d.inst.mode = opcode == "and" ? 0 : opcode == "or" ? 1 : 2;
    d.inst.run = predicateLogic;
    d.inst.o[0] = d.destination(0, type);
    return;
  }
  useHandler(d, opcode == "and" ? bitsOf<And>(type) : opcode == "or" ? bitsOf<Or>(type) : bitsOf<Xor>(type), type);
  threeOperands(d, type);
}

void decodeNot(Decoder &d) {
  const bool cnot = d.statement.opcode == "cnot";
  const Type type = d.takeType();
  switch (type) {
    case Type::Pred: {
      if (cnot) d.fail("not for type .pred");
      d.finish();
      d.wantOperands(2);
      uint32_t flip;
      d.inst.o[1] = d.predicate(d.statement.operands[1], flip);
      d.inst.flags = flip ? 1 : 0;
      d.inst.run = predicateNot;
      d.inst.o[0] = d.destination(0, type);
      return;
    }
    case Type::B16: d.inst.run = cnot ? unary<CNot, uint16_t, uint16_t> : unary<Not, uint16_t, uint16_t>; break;
    case Type::B32: d.inst.run = cnot ? unary<CNot, uint32_t, uint32_t> : unary<Not, uint32_t, uint32_t>; break;
    case Type::B64: d.inst.run = cnot ? unary<CNot, uint64_t, uint64_t> : unary<Not, uint64_t, uint64_t>; break;
    default: d.fail(std::string("not for type .") + name(type));
  }
  twoOperands(d, type, type);
}

void decodeShift(Decoder &d) {
  const Type type = d.takeType();
  if (d.statement.opcode == "shl") {
    switch (type) {
      case Type::B16: d.inst.run = binary<Shl, uint16_t, uint16_t, uint32_t>; break;
      case Type::B32: d.inst.run = binary<Shl, uint32_t, uint32_t, uint32_t>; break;
      case Type::B64: d.inst.run = binary<Shl, uint64_t, uint64_t, uint32_t>; break;
      default: d.fail(std::string("not for type .") + name(type));
    }
  } else {
    switch (type) {
      case Type::B16:
      case Type::U16: d.inst.run = binary<Shr, uint16_t, uint16_t, uint32_t>; break;
      case Type::S16: d.inst.run = binary<Shr, int16_t, int16_t, uint32_t>; break;
      case Type::B32:
      case Type::U32: d.inst.run = binary<Shr, uint32_t, uint32_t, uint32_t>; break;
      case Type::S32: d.inst.run = binary<Shr, int32_t, int32_t, uint32_t>; break;
      case Type::B64:
      case Type::U64: d.inst.run = binary<Shr, uint64_t, uint64_t, uint32_t>; break;
      case Type::S64: d.inst.run = binary<Shr, int64_t, int64_t, uint32_t>; break;
      default: d.fail(std::string("not for type .") + name(type));
    }
  }
  d.finish();
  d.wantOperands(3);
  d.inst.o[1] = d.source(1, type);
  d.inst.o[2] = d.source(2, Type::U32);
  d.inst.o[0] = d.destination(0, type);
}

void decodeShf(Decoder &d) {
  const int direction = d.takeOne({"l", "r"}), mode = d.takeOne({"wrap", "clamp"});
  const Type type = d.takeType();
  if (direction < 0 || mode < 0) d.fail("needs .l or .r, .wrap or .clamp");
  if (type != Type::B32) d.fail(std::string("not for type .") + name(type));
  d.inst.run = direction == 0 ? (mode == 0 ? ternary<ShfLeftWrap, uint32_t, uint32_t> : ternary<ShfLeftClamp, uint32_t, uint32_t>)
                              : (mode == 0 ? ternary<ShfRightWrap, uint32_t, uint32_t> : ternary<ShfRightClamp, uint32_t, uint32_t>);
  fourOperands(d, type, type);
}

void decodeCount(Decoder &d) {
  const bool popc = d.statement.opcode == "popc";
  const Type type = d.takeType();
  if (type == Type::B32) {
    d.inst.run = popc ? unary<Popc, uint32_t, uint32_t> : unary<Clz, uint32_t, uint32_t>;
  } else if (type == Type::B64) {
    d.inst.run = popc ? unary<Popc, uint32_t, uint64_t> : unary<Clz, uint32_t, uint64_t>;
  } else {
    d.fail(std::string("not for type .") + name(type));
  }
  twoOperands(d, type, Type::U32);
}

void decodeBFind(Decoder &d) {
  const bool shift = d.take("shiftamt");
  const Type type = d.takeType();
  switch (type) {
    case Type::U32: d.inst.run = shift ? unary<BFindShift, uint32_t, uint32_t> : unary<BFind, uint32_t, uint32_t>; break;
    case Type::S32: d.inst.run = shift ? unary<BFindShift, uint32_t, int32_t> : unary<BFind, uint32_t, int32_t>; break;
    case Type::U64: d.inst.run = shift ? unary<BFindShift, uint32_t, uint64_t> : unary<BFind, uint32_t, uint64_t>; break;
    case Type::S64: d.inst.run = shift ? unary<BFindShift, uint32_t, int64_t> : unary<BFind, uint32_t, int64_t>; break;
    default: d.fail(std::string("not for type .") + name(type));
  }
  twoOperands(d, type, Type::U32);
}

void decodeBRev(Decoder &d) {
  const Type type = d.takeType();
  if (type == Type::B32) {
    d.inst.run = unary<BRev, uint32_t, uint32_t>;
  } else if (type == Type::B64) {
    d.inst.run = unary<BRev, uint64_t, uint64_t>;
  } else {
    d.fail(std::string("not for type .") + name(type));
  }
  twoOperands(d, type, type);
}

void decodeBfe(Decoder &d) {
  const Type type = d.takeType();
  switch (type) {
    case Type::U32: d.inst.run = ternary<Bfe, uint32_t, uint32_t, uint32_t, uint32_t>; break;
    case Type::S32: d.inst.run = ternary<Bfe, int32_t, int32_t, uint32_t, uint32_t>; break;
    case Type::U64: d.inst.run = ternary<Bfe, uint64_t, uint64_t, uint32_t, uint32_t>; break;
    case Type::S64: d.inst.run = ternary<Bfe, int64_t, int64_t, uint32_t, uint32_t>; break;
    default: d.fail(std::string("not for type .") + name(type));
  }
  d.finish();
  d.wantOperands(4);
  d.inst.o[1] = d.source(1, type);
  d.inst.o[2] = d.source(2, Type::U32);
  d.inst.o[3] = d.source(3, Type::U32);
  d.inst.o[0] = d.destination(0, type);
}

void decodeBfi(Decoder &d) {
  const Type type = d.takeType();
  if (type != Type::B32 && type != Type::B64) d.fail(std::string("not for type .") + name(type));
  d.inst.run = type == Type::B32 ? bfi<uint32_t> : bfi<uint64_t>;
  d.finish();
  d.wantOperands(5);
  d.inst.o[1] = d.source(1, type);
  d.inst.o[2] = d.source(2, type);
  d.inst.o[3] = d.source(3, Type::U32);
  d.inst.o[4] = d.source(4, Type::U32);
  d.inst.o[0] = d.destination(0, type);
}

void decodeMaskOrExtend(Decoder &d) {
  const bool bmsk = d.statement.opcode == "bmsk";
  const int mode = d.takeOne({"clamp", "wrap"});
  const Type type = d.takeType();
  if (mode < 0) d.fail("needs .clamp or .wrap");
  if (bmsk && type == Type::B32) {
    d.inst.run = mode == 0 ? binary<BmskClamp, uint32_t, uint32_t> : binary<BmskWrap, uint32_t, uint32_t>;
  } else if (!bmsk && type == Type::U32) {
    d.inst.run = mode == 0 ? binary<SzextClamp, uint32_t, uint32_t> : binary<SzextWrap, uint32_t, uint32_t>;
  } else if (!bmsk && type == Type::S32) {
    d.inst.run = mode == 0 ? binary<SzextClamp, int32_t, int32_t, uint32_t> : binary<SzextWrap, int32_t, int32_t, uint32_t>;
  } else {
    d.fail(std::string("not for type .") + name(type));
  }
  threeOperands(d, type);
}

void decodeLop3(Decoder &d) {
  const int combine = d.takeOne({"or", "and"});
  const Type type = d.takeType();
  if (type != Type::B32) d.fail(std::string("not for type .") + name(type));
  d.finish();
  const bool predicate = combine >= 0;
  d.wantOperands(predicate ? 6 : 5);
  for (size_t k = 1; k <= 3; k++) d.inst.o[k] = d.source(k, type);
  d.inst.imm = d.literal(4, 255);
  d.inst.run = lop3;
  if (!predicate) {
    d.inst.o[0] = d.destination(0, type);
    return;
  }
  const Operand &pair = d.statement.operands[0];
  if (!pair.paired) d.fail("needs a result d|p");
  uint32_t flip;
  d.inst.o[5] = d.predicate(d.statement.operands[5], flip);
  d.inst.mode = flip ? 1 : 0;
  d.inst.flags = combine == 0 ? 1 : 2;
  Operand first = pair;
  first.paired = false;
  d.inst.o[0] = d.destination(first, type, false);
  d.inst.o[4] = d.destination(pair.parts[0], Type::Pred, false);
}

void decodePrmt(Decoder &d) {
  const Type type = d.takeType();
  if (type != Type::B32) d.fail(std::string("not for type .") + name(type));
  d.inst.mode = static_cast<uint8_t>(d.takeOne({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"}) + 1);
  d.inst.run = prmt;
  fourOperands(d, type, type);
}

void decodeDotProduct(Decoder &d) {
  const bool four = d.statement.opcode == "dp4a";
  if (!four) {
    const int part = d.takeOne({"lo", "hi"});
    if (part < 0) d.fail("needs .lo or .hi");
    d.inst.flags = part == 1;
  }
  const Type a = d.takeType(), b = d.takeType();
  if ((a != Type::U32 && a != Type::S32) || (b != Type::U32 && b != Type::S32)) d.fail("is for .u32 and .s32");
  d.inst.mode = static_cast<uint8_t>((a == Type::S32 ? 1 : 0) | (b == Type::S32 ? 2 : 0));
  d.inst.run = four ? dp4a : dp2a;
  fourOperands(d, Type::B32, Type::B32);
}

}  // namespace

void decodeIntegerArithmetic(Decoder &d, std::string_view opcode, Type type) {
  if (opcode == "add" || opcode == "sub") {
    decodeAddSub(d, opcode, type);
  } else if (opcode == "mul") {
    decodeMul(d, type);
  } else if (opcode == "mad") {
    decodeMad(d, type);
  } else if (opcode == "div") {
    useHandler(d, binaryOf<Div>(type), type);
    threeOperands(d, type);
  } else if (opcode == "min" || opcode == "max") {
    const bool min = opcode == "min";
    if (d.take("relu")) {
      if (type != Type::S32) d.fail(".relu is for .s32 alone");
      d.inst.run = min ? binary<MinRelu, int32_t, int32_t> : binary<MaxRelu, int32_t, int32_t>;
    } else {
      useHandler(d, min ? binaryOf<Min>(type) : binaryOf<Max>(type), type);
    }
    threeOperands(d, type);
  } else if (opcode == "abs" || opcode == "neg") {
    const bool abs = opcode == "abs";
    switch (type) {
      case Type::S16: d.inst.run = abs ? unary<Abs, int16_t, int16_t> : unary<Neg, int16_t, int16_t>; break;
      case Type::S32: d.inst.run = abs ? unary<Abs, int32_t, int32_t> : unary<Neg, int32_t, int32_t>; break;
      case Type::S64: d.inst.run = abs ? unary<Abs, int64_t, int64_t> : unary<Neg, int64_t, int64_t>; break;
      default: d.fail(std::string("not for type .") + name(type));
    }
    twoOperands(d, type, type);
  } else {
    d.fail(std::string("not for type .") + name(type));
  }
}

std::vector<OpcodeEntry> integerOpcodes() {
  return {
      {"add", decodeArithmetic}, {"sub", decodeArithmetic}, {"mul", decodeArithmetic}, {"mad", decodeArithmetic},
      {"div", decodeArithmetic}, {"min", decodeArithmetic}, {"max", decodeArithmetic}, {"abs", decodeArithmetic},
      {"neg", decodeArithmetic}, {"fma", decodeArithmetic}, {"rem", decodeRem}, {"addc", decodeCarry},
      {"subc", decodeCarry}, {"madc", decodeCarry}, {"mul24", decode24}, {"mad24", decode24}, {"sad", decodeSad},
      {"and", decodeLogic}, {"or", decodeLogic}, {"xor", decodeLogic}, {"not", decodeNot}, {"cnot", decodeNot},
      {"shl", decodeShift}, {"shr", decodeShift}, {"shf", decodeShf}, {"popc", decodeCount}, {"clz", decodeCount},
      {"bfind", decodeBFind}, {"brev", decodeBRev}, {"bfe", decodeBfe}, {"bfi", decodeBfi},
      {"bmsk", decodeMaskOrExtend}, {"szext", decodeMaskOrExtend}, {"lop3", decodeLop3}, {"prmt", decodePrmt},
      {"dp4a", decodeDotProduct}, {"dp2a", decodeDotProduct},
  };
}

}  // namespace ptx

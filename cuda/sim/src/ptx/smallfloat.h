// Half precision, bfloat16 and TF32 as bits: conversion from and to double with every rounding PTX has.
#ifndef GPUTRAIN_SIM_PTX_SMALLFLOAT_H
#define GPUTRAIN_SIM_PTX_SMALLFLOAT_H

#include <cmath>
#include <cstdint>
#include <cstring>

namespace ptx {

template <class To, class From>
inline To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "bits of another size");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

enum class Rounding : uint8_t { Nearest, Zero, Down, Up, NearestAway };

// A binary floating-point format of at most 32 bits: sign, exponent, mantissa.
struct Format {
  int exponent, mantissa;
  constexpr int bias() const { return (1 << (exponent - 1)) - 1; }
};
constexpr Format kHalf{5, 10};
constexpr Format kBrain{8, 7};
constexpr Format kSingle{8, 23};
constexpr Format kTensor{8, 10};  // TF32, before its 13 zero bits

// Rounds x to the format. NaN becomes the canonical one of PTX (all bits but the sign); what is too large becomes
// infinity or, where the rounding says so, the largest finite number.
inline uint32_t roundTo(Format format, double x, Rounding rounding) {
  const uint64_t raw = bits<uint64_t>(x);
  const uint32_t sign = static_cast<uint32_t>(raw >> 63) << (format.exponent + format.mantissa);
  const uint32_t infinity = ((1u << format.exponent) - 1) << format.mantissa;
  const int biased = static_cast<int>(raw >> 52 & 0x7ff);
  uint64_t mantissa = raw & 0xfffffffffffffull;
  if (biased == 0x7ff) return mantissa ? (infinity | ((1u << format.mantissa) - 1)) : sign | infinity;
  if (biased == 0 && mantissa == 0) return sign;
  int exponent = biased - 1023;
  if (biased == 0) {  // a subnormal double: far below every format here, but its sign and stickiness count
    exponent = -1022;
  } else {
    mantissa |= 1ull << 52;
  }
  const int lowest = 1 - format.bias();
  int drop = 52 - format.mantissa;  // bits of mantissa to round away
  if (exponent < lowest) drop += lowest - exponent;
  uint64_t kept, half, rest;
  if (drop > 62) {
    kept = 0;
    half = 2;
    rest = 1;
  } else {
    kept = mantissa >> drop;
    half = 1ull << (drop - 1);
    rest = mantissa & ((1ull << drop) - 1);
  }
  bool up = false;
  const bool negative = raw >> 63;
  switch (rounding) {
    case Rounding::Nearest: up = rest > half || (rest == half && (kept & 1)); break;
    case Rounding::NearestAway: up = rest >= half; break;
    case Rounding::Zero: break;
    case Rounding::Down: up = negative && rest; break;
    case Rounding::Up: up = !negative && rest; break;
  }
  kept += up;
  if (exponent < lowest) return sign | static_cast<uint32_t>(kept);  // a carry makes the smallest normal number
  const uint64_t value = (static_cast<uint64_t>(exponent + format.bias() - 1) << format.mantissa) + kept;
  if (value >= infinity) {
    const bool finite = rounding == Rounding::Zero || (rounding == Rounding::Down && !negative) ||
                        (rounding == Rounding::Up && negative);
    return sign | (finite ? infinity - 1 : infinity);
  }
  return sign | static_cast<uint32_t>(value);
}

inline double valueOf(Format format, uint32_t value) {
  const int width = format.exponent + format.mantissa;
  const bool negative = value >> width & 1;
  const int exponent = static_cast<int>(value >> format.mantissa & ((1u << format.exponent) - 1));
  const uint32_t mantissa = value & ((1u << format.mantissa) - 1);
  double x;
  if (exponent == (1 << format.exponent) - 1) {
    x = mantissa ? static_cast<double>(NAN) : static_cast<double>(INFINITY);
  } else if (exponent == 0) {
    x = std::ldexp(static_cast<double>(mantissa), 1 - format.bias() - format.mantissa);
  } else {
    x = bits<double>(static_cast<uint64_t>(exponent - format.bias() + 1023) << 52 |
                     static_cast<uint64_t>(mantissa) << (52 - format.mantissa));
  }
  return negative ? -x : x;
}

inline float halfToFloat(uint16_t h) { return static_cast<float>(valueOf(kHalf, h)); }
inline float brainToFloat(uint16_t b) { return bits<float>(static_cast<uint32_t>(b) << 16); }
inline uint16_t floatToHalf(float x) { return static_cast<uint16_t>(roundTo(kHalf, x, Rounding::Nearest)); }
inline uint16_t floatToBrain(float x) { return static_cast<uint16_t>(roundTo(kBrain, x, Rounding::Nearest)); }

// a + b in double, rounded to odd: rounding that once more to a narrower format gives what one rounding would.
inline double addToOdd(double a, double b) {
  const double s = a + b;
  if (!std::isfinite(s)) return s;
  const double t = s - a;
  const double error = (a - (s - t)) + (b - t);
  if (error == 0) return s;
  uint64_t raw = bits<uint64_t>(s);
  if (raw & 1) return s;
  // The exact sum lies between s and its neighbour in the error's direction; the odd one of the two is wanted.
  raw += ((error > 0) == (s > 0)) ? 1 : static_cast<uint64_t>(-1);
  return bits<double>(raw);
}

}  // namespace ptx

#endif

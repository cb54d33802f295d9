#include "tensorcore.h"

#include <algorithm>
#include <cstring>

#include "smallfloat.h"

namespace ptx {
namespace {

constexpr unsigned kRows = MatrixProduct::kRows, kColumns = MatrixProduct::kColumns, kMostInner = MatrixProduct::kMostInner;

// Eight columns at once. Without AVX2 the compiler makes several operations of each.
using Integers = int32_t __attribute__((vector_size(4 * kColumns)));
using Naturals = uint32_t __attribute__((vector_size(4 * kColumns)));

// The exponent of zero: nothing is aligned to it.
constexpr int32_t kNoExponent = -4096;

// Numbers are sign * significand * 2^(exponent - mantissa bits).
struct Parts {
  Naturals significand;
  Integers exponent;
  Integers sign;      // 0, or -1 for negative ones: (v ^ sign) - sign applies it
  Integers special;   // -1: infinite or no number
};

inline __attribute__((always_inline)) void split(Format format, const Naturals &bits, Parts &parts) {
  const uint32_t highest = (1u << format.exponent) - 1;
  const Integers biased = reinterpret_cast<Integers>(bits >> static_cast<uint32_t>(format.mantissa) & highest);
  const Integers normal = biased != 0;
  parts.significand = (bits & ((1u << format.mantissa) - 1)) | (reinterpret_cast<Naturals>(normal) & (1u << format.mantissa));
  // Subnormals have the exponent of the smallest normal numbers.
  parts.exponent = biased + 1 + normal - format.bias();
  parts.exponent = parts.significand == 0 ? Integers{} + kNoExponent : parts.exponent;
  parts.sign = -reinterpret_cast<Integers>(bits >> static_cast<uint32_t>(format.exponent + format.mantissa) & 1);
  parts.special = biased == static_cast<int32_t>(highest);
}

// How an architecture adds.
struct Adder {
  unsigned block;       // products that are added at once
  unsigned fraction;    // binary places behind the point of the largest term
  int32_t least;        // exponent that terms are aligned to at least
};

Adder adderOf(Factor factor, unsigned architecture) {
  const bool hopper = architecture >= 90;
  const unsigned block = factor == Factor::Tensor ? 4 : 8;
  return hopper ? Adder{2 * block, 25, -133} : Adder{block, 24, -132};
}

// The sum * 2^(exponent - fraction) as .f32, rounded towards zero.
inline uint32_t roundSum(int64_t sum, int32_t exponent, unsigned fraction) {
  if (sum == 0) return 0;
  // Exact: the sum has 33 bits at most, and no double gets near its limits.
  const double value = static_cast<double>(sum) *
                       bits<double>(static_cast<uint64_t>(exponent - static_cast<int32_t>(fraction) + 1023) << 52);
  const uint64_t raw = bits<uint64_t>(value);
  const uint32_t sign = static_cast<uint32_t>(raw >> 63) << 31;
  const int32_t biased = static_cast<int32_t>(raw >> 52 & 0x7ff) - 1023 + 127;
  if (biased >= 255) return sign | 0x7f800000u;
  if (biased > 0) return sign | static_cast<uint32_t>(biased) << 23 | static_cast<uint32_t>(raw >> 29 & 0x7fffff);
  return roundTo(kSingle, value, Rounding::Zero);
}

// With infinities or NaN among the terms nothing has to be aligned: the sum in double says what becomes of them.
uint32_t sumOfSpecial(const MatrixProduct &product, Format format, unsigned shift, unsigned row, unsigned column,
                      unsigned begin, unsigned end) {
  double sum = valueOf(kSingle, product.c[row][column]);
  for (unsigned k = begin; k < end; k++)
    sum += valueOf(format, product.a[row][k] >> shift) * valueOf(format, product.b[k][column] >> shift);
  return roundTo(kSingle, sum, Rounding::Zero);
}

inline __attribute__((always_inline)) void multiply(MatrixProduct &product, const Adder &adder) {
  const Format format = product.factor == Factor::Half ? kHalf : product.factor == Factor::Brain ? kBrain : kTensor;
  // TF32 is what is left of a .f32 without its low bits.
  const unsigned shift = product.factor == Factor::Tensor ? 13 : 0;
  const unsigned up = adder.fraction - 2 * static_cast<unsigned>(format.mantissa);
  const unsigned inner = product.inner;

  // All of a, eight numbers of a row at once, and then of b, a row at once.
  uint32_t significandA[kRows][kMostInner];
  int32_t exponentA[kRows][kMostInner], signA[kRows][kMostInner];
  int32_t specialA[kRows];
  Parts parts;
  Naturals bits;
  for (unsigned i = 0; i < kRows; i++) {
    Integers special = {};
    for (unsigned k = 0; k < inner; k += kColumns) {
      std::memcpy(&bits, &product.a[i][k], sizeof bits);
      split(format, bits >> shift, parts);
      parts.significand <<= up;
      std::memcpy(&significandA[i][k], &parts.significand, sizeof bits);
      std::memcpy(&exponentA[i][k], &parts.exponent, sizeof bits);
      std::memcpy(&signA[i][k], &parts.sign, sizeof bits);
      special |= parts.special;
    }
    specialA[i] = 0;
    for (unsigned k = 0; k < kColumns; k++) specialA[i] |= special[k];
  }
  Parts partsB[kMostInner];
  Integers specialB = {};
  for (unsigned k = 0; k < inner; k++) {
    std::memcpy(&bits, &product.b[k], sizeof bits);
    split(format, bits >> shift, partsB[k]);
    specialB |= partsB[k].special;
  }

  const Integers farthest = {31, 31, 31, 31, 31, 31, 31, 31};
  for (unsigned begin = 0; begin < inner; begin += adder.block) {
    const unsigned end = std::min(begin + adder.block, inner);
    for (unsigned i = 0; i < kRows; i++) {
      Parts addend;
      std::memcpy(&bits, &product.c[i], sizeof bits);
      split(kSingle, bits, addend);
      Integers top = addend.exponent > adder.least ? addend.exponent : Integers{} + adder.least;
      for (unsigned k = begin; k < end; k++) {
        const Integers exponent = partsB[k].exponent + exponentA[i][k];
        top = exponent > top ? exponent : top;
      }
      // Eight products stay below 2^31 in size, and a block may have sixteen.
      Integers sums[2] = {};
      for (unsigned half = 0; begin + 8 * half < end; half++) {
        Integers sum = {};
        for (unsigned k = begin + 8 * half; k < std::min(begin + 8 * half + 8, end); k++) {
          Integers down = top - (partsB[k].exponent + exponentA[i][k]);
          down = down > farthest ? farthest : down;
          const Integers size = reinterpret_cast<Integers>((partsB[k].significand * significandA[i][k]) >> reinterpret_cast<Naturals>(down));
          const Integers sign = partsB[k].sign ^ signA[i][k];
          sum += (size ^ sign) - sign;
        }
        sums[half] = sum;
      }
      Integers down = top - addend.exponent;
      down = down > farthest ? farthest : down;
      const Integers size = reinterpret_cast<Integers>((addend.significand << (adder.fraction - 23)) >> reinterpret_cast<Naturals>(down));
      const Integers last = (size ^ addend.sign) - addend.sign;
      const Integers special = addend.special | specialB | specialA[i];
      for (unsigned j = 0; j < kColumns; j++)
        product.c[i][j] = special[j] ? sumOfSpecial(product, format, shift, i, j, begin, end)
                                     : roundSum(int64_t{sums[0][j]} + sums[1][j] + last[j], top[j], adder.fraction);
    }
  }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void multiplyWithAVX2(MatrixProduct &product, const Adder &adder) { multiply(product, adder); }
#endif

void multiplyPlainly(MatrixProduct &product, const Adder &adder) { multiply(product, adder); }

}  // namespace

void multiplyMatrices(MatrixProduct &product, unsigned architecture) {
  const Adder adder = adderOf(product.factor, architecture);
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx2");
  if (has) {
    multiplyWithAVX2(product, adder);
    return;
  }
#endif
  multiplyPlainly(product, adder);
}

}  // namespace ptx

// The arithmetic of tensor cores: D = A B + C for 16x8 results, rounded as published measurements found that GPUs round.
//
// NVIDIA says only that products are exact and that sums are at least as precise as .f32, in no stated order and with no
// stated rounding (PTX ISA, "mma"). Experiments with chosen inputs found more. What is below follows
//   M. Fasi, N. J. Higham, M. Mikaitis, S. Pranesh: Numerical behavior of NVIDIA tensor cores. PeerJ CS 7:e330, 2021;
//   P. Xie, Y. Wang, F. Yang, M. Yang: MMA-Sim: Bit-Accurate Reference Model of Tensor Cores and Matrix Cores.
//     arXiv:2511.10909, 2025;
//   F. A. Khattak, M. Mikaitis: Accurate Models of NVIDIA Tensor Cores. arXiv:2512.07004, 2025.
// The last two report models that agreed with real GPUs in every bit of many random tests, and they agree with each other:
//
// - The inner dimension is cut into blocks: 8 products of .f16 or .bf16 and 4 of .tf32 on Ampere and Ada (8.x), twice as
//   many on Hopper and Blackwell (9.0 on). A block's result is the next block's addend.
// - A .tf32 factor loses its low 13 bits: they are cut off, not rounded.
// - Products are exact. A product's exponent is the sum of its factors' exponents, so its significand is in [1, 4).
//   Subnormal factors and addends count in full, with the least exponent of their format.
// - A block's products and the addend are aligned to the largest exponent among them. What lies more than 24 (8.x) or 25
//   (9.0 on) binary places after the point of the largest is cut off each. The rest is added exactly.
// - The sum is rounded to .f32 towards zero; what is too large becomes infinity.
// - A NaN, or infinities of both signs, make the NaN 0x7fffffff. An infinity among finite terms stays.
//
// So a sum is biased towards zero, and it depends on how large its largest term is, not on how large the sum is.
//
// Not known, or not modelled:
// - what a factor of zero does to the alignment. Khattak and Mikaitis leave its product out, as here. In MMA-Sim it counts
//   with the exponent -126 plus that of the other factor, which makes a difference for factors beyond 2^100 only;
// - where the alignment ends below 2^-126. Khattak and Mikaitis give the least exponents -132 and -133, which are used here;
// - Volta and Turing, which the PTX of these instructions (sm_80) doesn't run on;
// - the order of the blocks on GPUs after those of these papers, and whether ptxas splits or joins mma instructions.
#ifndef GPUTRAIN_SIM_PTX_TENSORCORE_H
#define GPUTRAIN_SIM_PTX_TENSORCORE_H

#include <cstdint>

namespace ptx {

enum class Factor : uint8_t { Half, Brain, Tensor };  // .f16, .bf16, .tf32

// One matrix product for a warp, in ordinary order; what the lanes hold of it is op_matrix.cpp's business.
struct MatrixProduct {
  static constexpr unsigned kRows = 16, kColumns = 8, kMostInner = 16;
  Factor factor = Factor::Brain;
  unsigned inner = 16;              // columns of a, rows of b: 4, 8 or 16
  uint32_t a[kRows][kMostInner];    // bits of the factors
  uint32_t b[kMostInner][kColumns];
  uint32_t c[kRows][kColumns];      // bits of .f32: the addend, then the result
};

// Replaces c by a b + c, as the tensor cores of a compute capability (80 is 8.0) round it.
void multiplyMatrices(MatrixProduct &product, unsigned architecture);

}  // namespace ptx

#endif

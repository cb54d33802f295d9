// The type of the values between a network's layers. A file that includes this one is compiled twice: for float, and for
// bfloat16 on GPUs of compute capability 8.0 and higher. Kernels compute in float with either.
#pragma once

#include "grid.cuh"

#ifdef VALUE_BF16
using Value = BFloat16;
#else
using Value = float;
#endif

constexpr unsigned WIDE = 16 / sizeof(Value);  // values that move at once

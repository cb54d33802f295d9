// Package asm holds the arithmetic kernels of the CPU device, in one tier for
// each instruction set: AVX-512, AVX2 and NEON in assembly, and plain Go. [For]
// returns the kernels of a tier. All tiers compute the same, except for
// rounding. Within a tier, a value does not depend on its position, on
// alignment or on how many other values there are.
package asm

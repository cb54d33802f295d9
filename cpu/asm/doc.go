// Package asm holds the arithmetic kernels of the CPU device, in one tier for
// each instruction set: AVX-512 and AVX2 in assembly, and plain Go. [For] gives
// a tier's kernels. Every tier computes the same, up to rounding; within a tier
// a value does not depend on its position, on alignment or on the length of the
// rest.
package asm

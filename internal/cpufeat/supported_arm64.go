//go:build !noasm

package cpufeat

// supported reports whether t can run. Every 64-bit ARM processor that Go runs on has Advanced SIMD.
func supported(t Tier) bool { return t == Portable || t == NEON }

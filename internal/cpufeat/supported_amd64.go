//go:build !noasm

package cpufeat

import "golang.org/x/sys/cpu"

// supported reports whether the processor and the operating system can run t. The flags of package cpu include what
// the operating system must support.
func supported(t Tier) bool {
	avx2 := cpu.X86.HasAVX2 && cpu.X86.HasFMA
	switch t {
	case Portable:
		return true
	case AVX2:
		return avx2
	case AVX512:
		return avx2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL
	}
	return false
}

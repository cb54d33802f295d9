// Package half converts floating-point numbers of 16 bits, as files hold them, to float32. Each such number is a float32, too, so
// nothing is rounded.
package half

import "math"

// FromBFloat16 returns the bfloat16 with these bits: the upper half of a float32's.
func FromBFloat16(bits uint16) float32 { return math.Float32frombits(uint32(bits) << 16) }

// FromFloat16 returns the IEEE 754 binary16 with these bits: a sign, 5 bits of exponent with bias 15, and 10 bits of fraction.
func FromFloat16(bits uint16) float32 {
	sign, exponent, fraction := uint32(bits>>15)<<31, uint32(bits>>10)&0x1f, uint32(bits)&0x3ff
	switch exponent {
	case 0: // 0, or a number below the least with all bits
		v := float32(fraction) / (1 << 24)
		if sign != 0 {
			return -v
		}
		return v
	case 0x1f: // infinity, or not a number
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

package half

import (
	"math"
	"testing"
)

// TestFromFloat16 compares every number with the formula of IEEE 754, computed in float64.
func TestFromFloat16(t *testing.T) {
	for bits := range 1 << 16 {
		got := float64(FromFloat16(uint16(bits)))
		sign, exponent, fraction := 1-2*float64(bits>>15), bits>>10&31, float64(bits&1023)
		want := sign * fraction * math.Ldexp(1, -24)
		switch {
		case exponent == 31 && fraction == 0:
			want = math.Inf(int(sign))
		case exponent == 31:
			want = math.NaN()
		case exponent > 0:
			want = sign * math.Ldexp(1024+fraction, exponent-25)
		}
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) || math.Signbit(got) != (bits>>15 == 1) {
			t.Errorf("bits %04x: got %v, want %v", bits, got, want)
		}
	}
}

func TestFromBFloat16(t *testing.T) {
	for bits, want := range map[uint16]float32{0x0000: 0, 0x3f80: 1, 0xc049: -3.140625, 0x7f7f: 3.3895314e38, 0x0001: 9.1835e-41, 0x7f80: float32(math.Inf(1))} {
		if got := FromBFloat16(bits); got != want {
			t.Errorf("bits %04x: got %v, want %v", bits, got, want)
		}
	}
}

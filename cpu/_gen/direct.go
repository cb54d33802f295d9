package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// directs writes the kernels of direct convolutions, for filters of 5 and 3 columns.
func (t tier) directs() {
	outputs := []int{14, 7}
	if t.wide.n == ymm.n {
		outputs = []int{5}
	}
	for _, columns := range []int{5, 3} {
		for _, n := range outputs {
			t.direct(columns, n, false)
		}
	}
	if t.wide.n == 16 {
		t.direct(5, 14, true)
		t.direct(3, 14, true)
	}
}

// direct writes the kernel of a direct convolution for neighbouring outputs of a row and two vectors of filters.
//
// With AVX-512, 14 outputs are 28 sums, which with two vectors of weights and a value fill 31 of 32 registers. With AVX2, 5
// outputs fill 13 of 16, and cover rows of 14 and 28 with little to spare.
//
// A whole row with as many outputs as inputs meets padding at both ends: what is multiplied by that is left out.
func (t tier) direct(columns, outputs int, whole bool) {
	const vectors = 2
	name, of := fmt.Sprintf("direct%dx%d%s", columns, outputs, t.suffix), "a row"
	if whole {
		name, of = "wholeD"+name[1:], "a whole row"
	}
	TEXT(name, NOSPLIT, "func(y *float32, distance int, x, w, bias *float32, rows, pitch, channels, plane int, relu bool)")
	Doc(fmt.Sprintf("%s convolves for %d outputs of %s, with filters of %d columns.", name, outputs, of, columns))
	r := t.wide.regs
	sum := func(output, vector int) reg.VecPhysical { return r[output*vectors+vector] }
	weight := func(vector int) reg.VecPhysical { return r[outputs*vectors+vector] }
	value := r[outputs*vectors+vectors]
	width := 4 * t.wide.n

	bias := parameter("bias")
	for v := range vectors {
		VMOVUPS(Mem{Base: bias, Disp: v * width}, sum(0, v))
	}
	for o := 1; o < outputs; o++ {
		for v := range vectors {
			VMOVAPS(sum(0, v), sum(o, v))
		}
	}
	x, w, rows, pitch, plane := parameter("x"), parameter("w"), parameter("rows"), parameter("pitch"), parameter("plane")
	SHLQ(Imm(2), pitch)
	SHLQ(Imm(2), plane)
	at, n := GP64(), GP64()
	Label("row")
	MOVQ(x, at)
	Load(Param("channels"), n)
	Label("channel")
	for c := range columns {
		for v := range vectors {
			VMOVUPS(Mem{Base: w, Disp: (c*vectors + v) * width}, weight(v))
		}
		for o := range outputs {
			if padding := (columns - 1) / 2; whole && (o+c < padding || o+c >= outputs+padding) {
				continue
			}
			t.loadFactor(Mem{Base: at, Disp: 4 * (o + c)}, value)
			for v := range vectors {
				if t.neon() {
					t.addProduct(value, weight(v), sum(o, v))
				} else {
					VFMADD231PS(weight(v), value, sum(o, v))
				}
			}
		}
	}
	ADDQ(plane, at)
	ADDQ(U32(columns*vectors*width), w)
	DECQ(n)
	JNE(LabelRef("channel"))
	ADDQ(pitch, x)
	DECQ(rows)
	JNE(LabelRef("row"))

	relu := Load(Param("relu"), GP8())
	TESTB(relu, relu)
	JEQ(LabelRef("store"))
	VXORPS(value, value, value)
	for o := range outputs {
		for v := range vectors {
			VMAXPS(sum(o, v), value, sum(o, v)) // a NaN stays: the sum is the first operand here
		}
	}
	Label("store")
	y, distance := parameter("y"), parameter("distance")
	SHLQ(Imm(2), distance)
	for v := range vectors {
		for o := range outputs {
			VMOVUPS(sum(o, v), Mem{Base: y, Disp: o * width})
		}
		if v+1 < vectors {
			ADDQ(distance, y)
		}
	}
	VZEROUPPER()
	RET()
}

// poolVectors writes the kernel of 2x2 max pooling for positions that are vectors of channels.
func (t tier) poolVectors() {
	TEXT("poolVectors"+t.suffix, NOSPLIT, "func(y *float32, chosen *int32, upper, lower *float32, n int, at, width int32)")
	Doc(fmt.Sprintf("poolVectors%s pools two rows of vectors into n; chosen, of int32, counts from at, width to the row.", t.suffix))
	const best, place, other, before, one, stepW, stepW1, base, two = 0, 1, 2, 3, 4, 5, 6, 7, 8
	r := t.wide.regs
	fill := func(value Op, to int) {
		VMOVD(value, narrow.regs[to])
		VPBROADCASTD(narrow.regs[to], r[to])
	}
	constant := GP32()
	MOVL(U32(1), constant)
	fill(constant, one)
	fill(Load(Param("width"), GP32()), stepW)
	fill(Load(Param("at"), GP32()), base)
	VPADDD(r[one], r[stepW], r[stepW1])
	VPADDD(r[one], r[one], r[two])
	y, chosen, upper, lower, n := parameter("y"), parameter("chosen"), parameter("upper"), parameter("lower"), parameter("n")
	width := 4 * t.wide.n
	Label("next")
	VMOVUPS(at(upper), r[best])
	VMOVAPS(r[base], r[place])
	for i, from := range []Mem{at(upper).Offset(width), at(lower), at(lower).Offset(width)} {
		VMOVUPS(from, r[other])
		step := r[[]int{one, stepW, stepW1}[i]]
		if t.wide.n == 16 {
			VCMPPS(Imm(greaterOrNo), r[best], r[other], reg.K1)
			VCMPPS(Imm(equal), r[best], r[best], reg.K1, reg.K2)
			VMOVAPS(r[other], reg.K2, r[best])
			VPADDD(step, r[base], reg.K2, r[place])
			continue
		}
		VCMPPS(Imm(greaterOrNo), r[best], r[other], r[before])
		VCMPPS(Imm(equal), r[best], r[best], r[9])
		VANDPS(r[before], r[9], r[before])
		VPADDD(step, r[base], r[9])
		VBLENDVPS(r[before], r[other], r[best], r[best])
		VBLENDVPS(r[before], r[9], r[place], r[place])
	}
	VMOVUPS(r[best], at(y))
	VMOVUPS(r[place], at(chosen))
	VPADDD(r[two], r[base], r[base])
	for _, p := range []reg.Register{y, chosen} {
		ADDQ(Imm(uint64(width)), p)
	}
	for _, p := range []reg.Register{upper, lower} {
		ADDQ(U32(2*width), p)
	}
	DECQ(n)
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// transpose writes the kernel that turns a square of as many values as a vector has.
func (t tier) transpose() {
	TEXT("transpose"+t.suffix, NOSPLIT, "func(dst *float32, distance int, src *float32, stride int)")
	Doc(fmt.Sprintf("transpose%s turns a square of %dx%d values.", t.suffix, t.wide.n, t.wide.n))
	dst, distance, src, stride := parameter("dst"), parameter("distance"), parameter("src"), parameter("stride")
	SHLQ(Imm(2), distance)
	SHLQ(Imm(2), stride)
	n, r := t.wide.n, t.wide.regs
	for i := range n {
		VMOVUPS(Mem{Base: src}, r[i])
		if i+1 < n {
			ADDQ(stride, src)
		}
	}
	store := func(from reg.VecPhysical, last bool) {
		VMOVUPS(from, Mem{Base: dst})
		if !last {
			ADDQ(distance, dst)
		}
	}
	switch n {
	case zmm.n:
		t.transpose16(store)
	case ymm.n:
		t.transpose8(store)
	default:
		t.transpose4(store)
	}
	VZEROUPPER()
	RET()
}

// transpose4 turns registers 0 to 3, with 4 to 7 as room.
func (t tier) transpose4(store func(reg.VecPhysical, bool)) {
	r := t.wide.regs
	for i := 0; i < 4; i += 2 { // pairs of rows: a0 b0 a1 b1, and a2 b2 a3 b3
		VUNPCKLPS(r[i+1], r[i], r[4+i])
		VUNPCKHPS(r[i+1], r[i], r[4+i+1])
	}
	for i := range 2 {
		VUNPCKLPD(r[6+i], r[4+i], r[2*i])
		VUNPCKHPD(r[6+i], r[4+i], r[2*i+1])
	}
	for i := range 4 {
		store(r[i], i == 3)
	}
}

// transpose8 turns registers 0 to 7, with 8 to 15 as room.
func (t tier) transpose8(store func(reg.VecPhysical, bool)) {
	r := t.wide.regs
	for i := 0; i < 8; i += 2 { // pairs of rows: a0 b0 a1 b1 | a4 b4 a5 b5, and a2 b2 a3 b3 | ...
		VUNPCKLPS(r[i+1], r[i], r[8+i])
		VUNPCKHPS(r[i+1], r[i], r[8+i+1])
	}
	for i := 0; i < 8; i += 4 { // fours: columns 0|4, 1|5, 2|6, 3|7 of rows i to i+3
		VUNPCKLPD(r[8+i+2], r[8+i], r[i])
		VUNPCKHPD(r[8+i+2], r[8+i], r[i+1])
		VUNPCKLPD(r[8+i+3], r[8+i+1], r[i+2])
		VUNPCKHPD(r[8+i+3], r[8+i+1], r[i+3])
	}
	for i := range 4 {
		VPERM2F128(Imm(0x20), r[4+i], r[i], r[8+i])
		VPERM2F128(Imm(0x31), r[4+i], r[i], r[12+i])
	}
	for i := range 8 {
		store(r[8+i], i == 7)
	}
}

// transpose16 turns registers 0 to 15, with 16 to 31 as room.
func (t tier) transpose16(store func(reg.VecPhysical, bool)) {
	r := t.wide.regs
	for i := 0; i < 16; i += 2 {
		VUNPCKLPS(r[i+1], r[i], r[16+i])
		VUNPCKHPS(r[i+1], r[i], r[16+i+1])
	}
	for i := 0; i < 16; i += 4 { // columns j|4+j|8+j|12+j of rows i to i+3, in register i+j
		VUNPCKLPD(r[16+i+2], r[16+i], r[i])
		VUNPCKHPD(r[16+i+2], r[16+i], r[i+1])
		VUNPCKLPD(r[16+i+3], r[16+i+1], r[i+2])
		VUNPCKHPD(r[16+i+3], r[16+i+1], r[i+3])
	}
	for j := range 4 {
		// Quarters 0 and 2, and 1 and 3, of rows 0 to 7 and 8 to 15.
		VSHUFF32X4(Imm(0x88), r[4+j], r[j], r[16+j])
		VSHUFF32X4(Imm(0xdd), r[4+j], r[j], r[20+j])
		VSHUFF32X4(Imm(0x88), r[12+j], r[8+j], r[24+j])
		VSHUFF32X4(Imm(0xdd), r[12+j], r[8+j], r[28+j])
	}
	for j := range 4 {
		VSHUFF32X4(Imm(0x88), r[24+j], r[16+j], r[j])
		VSHUFF32X4(Imm(0x88), r[28+j], r[20+j], r[4+j])
		VSHUFF32X4(Imm(0xdd), r[24+j], r[16+j], r[8+j])
		VSHUFF32X4(Imm(0xdd), r[28+j], r[20+j], r[12+j])
	}
	for i := range 16 {
		store(r[i], i == 15)
	}
}

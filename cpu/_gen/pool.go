package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Predicates of VCMPPS.
const (
	equal       = 0x00 // ordered
	greaterOrNo = 0x16 // not less or equal: greater, or a NaN
)

// maxPool2 writes the kernel of 2x2 max pooling for one row of outputs.
func (t tier) maxPool2() {
	TEXT("maxPool2"+t.suffix, NOSPLIT, "func(y []float32, chosen []int32, upper, lower []float32, at, width int32)")
	Doc(fmt.Sprintf("maxPool2%s pools two rows; chosen counts from at, width to the row.", t.suffix))
	iota := t.iota()
	const step1, stepW, stepW1, base, advance = 8, 9, 10, 11, 12
	r := t.wide.regs
	broadcast := func(to int, value Op) {
		VMOVD(value, narrow.regs[to])
		VPBROADCASTD(narrow.regs[to], r[to])
	}
	constant := GP32()
	MOVL(U32(1), constant)
	broadcast(step1, constant)
	width, at0 := Load(Param("width"), GP32()), Load(Param("at"), GP32())
	broadcast(stepW, width)
	VPADDD(r[step1], r[stepW], r[stepW1])
	broadcast(base, at0)
	t.loadInts(iota, 0)
	VPADDD(r[0], r[base], r[base])
	VPADDD(r[0], r[base], r[base])
	y, chosen, upper, lower := slice("y"), slice("chosen"), slice("upper"), slice("lower")
	if t.wide.n == 16 {
		t.maxPool2Masked(iota, y, chosen, upper, lower)
	} else {
		t.each("y", map[reg.Register]int{y: 4, chosen: 4, upper: 8, lower: 8}, func(l lanes) {
			r := l.regs
			if l.n == 1 {
				for i, from := range []Mem{at(upper), at(upper).Offset(4), at(lower), at(lower).Offset(4)} {
					VMOVSS(from, r[i])
				}
			} else {
				for i, from := range []reg.Register{upper, lower} {
					VMOVUPS(at(from), r[4])
					VMOVUPS(at(from).Offset(4*l.n), r[5])
					VSHUFPS(Imm(0x88), r[5], r[4], r[2*i])
					VSHUFPS(Imm(0xdd), r[5], r[4], r[2*i+1])
					if !t.neon() {
						VPERMPD(Imm(0xd8), r[2*i], r[2*i])
						VPERMPD(Imm(0xd8), r[2*i+1], r[2*i+1])
					}
				}
			}
			VMOVAPS(r[base], r[4])
			for i, step := range []int{step1, stepW, stepW1} {
				VCMPPS(Imm(greaterOrNo), r[0], r[i+1], r[5])
				VCMPPS(Imm(equal), r[0], r[0], r[6])
				VANDPS(r[5], r[6], r[5])
				VPADDD(r[step], r[base], r[6])
				VBLENDVPS(r[5], r[i+1], r[0], r[0])
				VBLENDVPS(r[5], r[6], r[4], r[4])
			}
			store(l, 0, at(y))
			store(l, 4, at(chosen))
			MOVL(U32(2*l.n), constant)
			broadcast(advance, constant)
			VPADDD(t.wide.regs[advance], t.wide.regs[base], t.wide.regs[base])
		})
	}
	VZEROUPPER()
	RET()
}

// loadInts loads a register of int32 values.
func (t tier) loadInts(from Mem, to int) {
	if t.wide.n == 16 {
		VMOVDQU32(from, t.wide.regs[to])
	} else {
		VMOVDQU(from, t.wide.regs[to])
	}
}

// maxPool2Masked is the loop with masks for loads and stores, because rows are
// often shorter than 16 outputs.
func (t tier) maxPool2Masked(iota Mem, y, chosen, upper, lower reg.Register) {
	const (
		step1, stepW, stepW1, base            = 8, 9, 10, 11
		even, odd, left, count, high, advance = 13, 14, 15, 16, 17, 18
		outputs, lowHalf, highHalf            = 1, 2, 3 // masks
		less                                  = 1       // predicate of VPCMPUD
	)
	r, k := t.wide.regs, []reg.OpmaskPhysical{reg.K0, reg.K1, reg.K2, reg.K3, reg.K4, reg.K5}
	n := Load(Param("y").Len(), GP64())
	t.loadInts(iota, count)
	VPADDD(r[count], r[count], r[even])
	VPADDD(r[step1], r[even], r[odd])
	sixteen := GP32()
	MOVL(U32(16), sixteen)
	VPBROADCASTD(sixteen, r[advance])
	VPADDD(r[advance], r[count], r[high])
	VPADDD(r[advance], r[advance], r[advance])
	Label("row")
	TESTQ(n, n)
	JLE(LabelRef("end"))
	VPBROADCASTD(n.(reg.GPVirtual).As32(), r[left])
	VPCMPUD(Imm(less), r[left], r[count], k[outputs])
	VPADDD(r[left], r[left], r[left])
	VPCMPUD(Imm(less), r[left], r[count], k[lowHalf])
	VPCMPUD(Imm(less), r[left], r[high], k[highHalf])
	for i, from := range []reg.Register{upper, lower} {
		VMOVUPS_Z(at(from), k[lowHalf], r[4])
		VMOVUPS_Z(at(from).Offset(64), k[highHalf], r[5])
		VMOVAPS(r[even], r[2*i])
		VPERMI2PS(r[5], r[4], r[2*i])
		VMOVAPS(r[odd], r[2*i+1])
		VPERMI2PS(r[5], r[4], r[2*i+1])
	}
	VMOVAPS(r[base], r[4])
	for i, step := range []int{step1, stepW, stepW1} {
		VCMPPS(Imm(greaterOrNo), r[0], r[i+1], k[4])
		VCMPPS(Imm(equal), r[0], r[0], k[4], k[5])
		VMOVAPS(r[i+1], k[5], r[0])
		VPADDD(r[step], r[base], k[5], r[4])
	}
	VMOVUPS(r[0], k[outputs], at(y))
	VMOVUPS(r[4], k[outputs], at(chosen))
	VPADDD(r[advance], r[base], r[base])
	for _, p := range []reg.Register{upper, lower} {
		ADDQ(Imm(128), p)
	}
	for _, p := range []reg.Register{y, chosen} {
		ADDQ(Imm(64), p)
	}
	SUBQ(Imm(16), n)
	JMP(LabelRef("row"))
	Label("end")
}

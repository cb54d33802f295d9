package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// constants broadcasts the float32 fields of the struct that parameter c points
// to, in order, to the registers from first on.
func (t tier) constants(first, n int) {
	c := Load(Param("c"), GP64())
	for i := range n {
		t.broadcast(Mem{Base: c, Disp: 4 * i}, first+i)
	}
}

// gradient loads w to register 0 and g*Scale + w*Decay to register 1; Scale and
// Decay are in the registers scale and scale+1.
func gradient(l lanes, w, g reg.Register, scale int) {
	load(l, at(w), 0)
	load(l, at(g), 1)
	VMULPS(l.regs[scale], l.regs[1], l.regs[1])
	VFMADD231PS(l.regs[scale+1], l.regs[0], l.regs[1])
}

// flushing writes code that runs with subnormal numbers taken for 0: a moment
// whose gradients have ended dies away through them, at a hundred times the
// cost of normal ones. ARM's processors compute with subnormal numbers as fast as
// with others.
func (t tier) flushing(body func()) {
	if t.neon() {
		body()
		return
	}
	const denormalsAreZero, flushToZero = 1 << 6, 1 << 15
	frame, mode := AllocLocal(8), GP32()
	saved, set := frame, frame.Offset(4)
	STMXCSR(saved)
	MOVL(saved, mode)
	ORL(U32(denormalsAreZero|flushToZero), mode)
	MOVL(mode, set)
	LDMXCSR(set)
	body()
	LDMXCSR(saved)
}

func (t tier) adam() {
	TEXT("adam"+t.suffix, NOSPLIT, "func(w, g, m, v []float32, c *float32)")
	Doc(fmt.Sprintf("adam%s updates weights and moments.", t.suffix))
	w, g, m, v := slice("w"), slice("g"), slice("m"), slice("v")
	const scale, beta1, rest1, beta2, rest2, rate, epsilon, shrink = 6, 8, 9, 10, 11, 12, 13, 14
	t.constants(scale, 9)
	t.flushing(func() {
		t.each("w", map[reg.Register]int{w: 4, g: 4, m: 4, v: 4}, func(l lanes) {
			r := l.regs
			gradient(l, w, g, scale)
			load(l, at(m), 2)
			VMULPS(r[beta1], r[2], r[2])
			VFMADD231PS(r[rest1], r[1], r[2])
			store(l, 2, at(m))
			load(l, at(v), 3)
			VMULPS(r[beta2], r[3], r[3])
			VMULPS(r[1], r[1], r[1])
			VFMADD231PS(r[rest2], r[1], r[3])
			store(l, 3, at(v))
			VSQRTPS(r[3], r[3])
			VADDPS(r[epsilon], r[3], r[3])
			VMULPS(r[rate], r[2], r[2])
			VDIVPS(r[3], r[2], r[2])
			VFNMADD231PS(r[shrink], r[0], r[0])
			VSUBPS(r[2], r[0], r[0])
			store(l, 0, at(w))
		})
	})
	VZEROUPPER()
	RET()
}

func (t tier) sgd() {
	TEXT("sgd"+t.suffix, NOSPLIT, "func(w, g []float32, c *float32)")
	Doc(fmt.Sprintf("sgd%s updates weights without momentum.", t.suffix))
	w, g := slice("w"), slice("g")
	const scale, rate = 6, 8
	t.constants(scale, 3)
	t.each("w", map[reg.Register]int{w: 4, g: 4}, func(l lanes) {
		gradient(l, w, g, scale)
		VFNMADD231PS(l.regs[rate], l.regs[1], l.regs[0])
		store(l, 0, at(w))
	})
	VZEROUPPER()
	RET()
}

func (t tier) momentum() {
	TEXT("momentum"+t.suffix, NOSPLIT, "func(w, g, v []float32, c *float32)")
	Doc(fmt.Sprintf("momentum%s updates weights and velocities.", t.suffix))
	w, g, v := slice("w"), slice("g"), slice("v")
	const scale, rate, momentum, direct, velocity = 6, 8, 9, 10, 11
	t.constants(scale, 6)
	t.flushing(func() {
		t.each("w", map[reg.Register]int{w: 4, g: 4, v: 4}, func(l lanes) {
			r := l.regs
			gradient(l, w, g, scale)
			load(l, at(v), 2)
			VMULPS(r[momentum], r[2], r[2])
			VADDPS(r[1], r[2], r[2])
			store(l, 2, at(v))
			VMULPS(r[direct], r[1], r[1])
			VFMADD231PS(r[velocity], r[2], r[1])
			VFNMADD231PS(r[rate], r[1], r[0])
			store(l, 0, at(w))
		})
	})
	VZEROUPPER()
	RET()
}

// The sign of a sum is the sum times a huge number, between -1 and 1. In a minimum or maximum with a NaN, the result is the
// operand that avo names first.
func (t tier) lion() {
	TEXT("lion"+t.suffix, NOSPLIT, "func(w, g, m []float32, c *float32)")
	Doc(fmt.Sprintf("lion%s updates weights and moments.", t.suffix))
	w, g, m := slice("w"), slice("g"), slice("m")
	const scale, beta1, rest1, beta2, rest2, rate, shrink, huge, one, minusOne = 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	t.constants(scale, 10)
	t.flushing(func() {
		t.each("w", map[reg.Register]int{w: 4, g: 4, m: 4}, func(l lanes) {
			r := l.regs
			load(l, at(w), 0)
			load(l, at(g), 1)
			load(l, at(m), 2)
			VMULPS(r[scale], r[1], r[1])
			VMULPS(r[beta1], r[2], r[3])
			VFMADD231PS(r[rest1], r[1], r[3])
			VMULPS(r[beta2], r[2], r[2])
			VFMADD231PS(r[rest2], r[1], r[2])
			store(l, 2, at(m))
			VMULPS(r[huge], r[3], r[3])
			VMINPS(r[3], r[one], r[3])
			VMAXPS(r[3], r[minusOne], r[3])
			VFNMADD231PS(r[shrink], r[0], r[0])
			VFNMADD231PS(r[rate], r[3], r[0])
			store(l, 0, at(w))
		})
	})
	VZEROUPPER()
	RET()
}

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Kernels that compute in float64 from values in float32. A register holds half as many float64 values, so that each loop has
// two halves; the last values, taken one at a time, are in the low lane of the first.

// doubles calls f for each half of the values that one round of a loop takes: with the offset of its values in memory, and a
// number that tells the halves' registers apart.
func doubles(l lanes, f func(offset, half int)) {
	f(0, 0)
	if l.n > 1 {
		f(4*l.n/2, 1)
	}
}

// widen loads values as float64.
func widen(l lanes, from Mem, to int) {
	if l.n == 1 {
		VMOVSS(from, l.regs[to])
		VCVTPS2PD(l.regs[to], l.regs[to])
	} else {
		VCVTPS2PD(from, l.regs[to])
	}
}

// narrowed rounds a register of float64 values to float32, in as many bytes of register to, which it returns.
func (t tier) narrowed(l lanes, from, to int) reg.VecPhysical {
	switch l.n {
	case 16:
		VCVTPD2PS(zmm.regs[from], ymm.regs[to])
		return ymm.regs[to]
	case 8:
		VCVTPD2PSY(ymm.regs[from], narrow.regs[to])
	default:
		VCVTPD2PSX(narrow.regs[from], narrow.regs[to])
	}
	return narrow.regs[to]
}

// broadcastDouble fills a register with a float64 parameter.
func (t tier) broadcastDouble(name string, to int) {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSD(p.Addr, t.wide.regs[to])
}

// doubleSum is a sum in float64, in four registers from halves[0] on: of the first half, one that the total needs, of the values
// after the last vector (a scalar instruction clears the upper lanes of its register), and of the second half, halves[1].
type doubleSum struct{ halves [2]int }

const lastValues = 2 // from the first half's register to that of the values after the last vector

// doubleSums writes what sets sums to 0.
func (t tier) doubleSums(sums ...doubleSum) {
	for _, s := range sums {
		t.zero(s.halves[0])
		t.zero(s.halves[1])
		t.zero(s.halves[0] + lastValues)
	}
}

// add adds a register to the sum.
func (s doubleSum) add(l lanes, half, a int) {
	if l.n == 1 {
		to := l.regs[s.halves[0]+lastValues]
		VADDSD(l.regs[a], to, to)
		return
	}
	to := l.regs[s.halves[half]]
	VADDPD(l.regs[a], to, to)
}

// addProduct adds the product of two registers to the sum.
func (s doubleSum) addProduct(l lanes, half, a, b int) {
	if l.n == 1 {
		VFMADD231SD(l.regs[a], l.regs[b], l.regs[s.halves[0]+lastValues])
		return
	}
	VFMADD231PD(l.regs[a], l.regs[b], l.regs[s.halves[half]])
}

// total leaves the sum of all lanes in the low lane of the register that it returns.
func (s doubleSum) total(t tier) reg.VecPhysical {
	r := s.halves[0]
	VADDPD(t.wide.regs[s.halves[1]], t.wide.regs[r], t.wide.regs[r])
	t.reduce(r, func(a, b, c Op) { VADDPD(a, b, c) }, func(a, b, c Op) { VHADDPD(a, b, c) }, 1)
	VADDSD(narrow.regs[r+lastValues], narrow.regs[r], narrow.regs[r])
	return narrow.regs[r]
}

// doubles are the kernels whose sums are in float64.
func (t tier) doubles() {
	first, second := doubleSum{[2]int{8, 11}}, doubleSum{[2]int{12, 15}}

	TEXT("sum64"+t.suffix, NOSPLIT, "func(x []float32) float64")
	Doc(fmt.Sprintf("sum64%s adds all values in float64, %d sums side by side.", t.suffix, t.wide.n))
	x := slice("x")
	t.doubleSums(first)
	t.each("x", map[reg.Register]int{x: 4}, func(l lanes) {
		doubles(l, func(offset, half int) {
			widen(l, at(x).Offset(offset), half)
			first.add(l, half, half)
		})
	})
	Store(first.total(t), ReturnIndex(0))
	VZEROUPPER()
	RET()

	TEXT("dot"+t.suffix, NOSPLIT, "func(a, b []float32) float64")
	Doc(fmt.Sprintf("dot%s adds the products of values in float64, %d sums side by side.", t.suffix, t.wide.n))
	a, b := slice("a"), slice("b")
	t.doubleSums(first)
	t.each("a", map[reg.Register]int{a: 4, b: 4}, func(l lanes) {
		doubles(l, func(offset, half int) {
			widen(l, at(a).Offset(offset), half)
			widen(l, at(b).Offset(offset), 2+half)
			first.addProduct(l, half, half, 2+half)
		})
	})
	Store(first.total(t), ReturnIndex(0))
	VZEROUPPER()
	RET()

	TEXT("squaredDeviations"+t.suffix, NOSPLIT, "func(x []float32, mean float64) float64")
	Doc(fmt.Sprintf("squaredDeviations%s adds the squares of x-mean in float64, %d sums side by side.", t.suffix, t.wide.n))
	x = slice("x")
	t.broadcastDouble("mean", 7)
	t.doubleSums(first)
	t.each("x", map[reg.Register]int{x: 4}, func(l lanes) {
		doubles(l, func(offset, half int) {
			widen(l, at(x).Offset(offset), half)
			VSUBPD(l.regs[7], l.regs[half], l.regs[half])
			first.addProduct(l, half, half, half)
		})
	})
	Store(first.total(t), ReturnIndex(0))
	VZEROUPPER()
	RET()

	TEXT("gradientSums"+t.suffix, NOSPLIT, "func(dy, x []float32, mean float64) (sum, product float64)")
	Doc(fmt.Sprintf("gradientSums%s adds dy, and dy*(x-mean), in float64, %d sums side by side.", t.suffix, t.wide.n))
	dy, x := slice("dy"), slice("x")
	t.broadcastDouble("mean", 7)
	t.doubleSums(first, second)
	t.each("dy", map[reg.Register]int{dy: 4, x: 4}, func(l lanes) {
		doubles(l, func(offset, half int) {
			widen(l, at(dy).Offset(offset), half)
			widen(l, at(x).Offset(offset), 2+half)
			VSUBPD(l.regs[7], l.regs[2+half], l.regs[2+half])
			first.add(l, half, half)
			second.addProduct(l, half, half, 2+half)
		})
	})
	Store(first.total(t), Return("sum"))
	Store(second.total(t), Return("product"))
	VZEROUPPER()
	RET()

	const mean, scale, shift, slope = 7, 8, 9, 10
	TEXT("normalize"+t.suffix, NOSPLIT, "func(y, x []float32, mean, scale, shift float64)")
	Doc(fmt.Sprintf("normalize%s sets y to (x-mean)*scale + shift, in float64 up to the end.", t.suffix))
	y, x := slice("y"), slice("x")
	t.broadcastDouble("mean", mean)
	t.broadcastDouble("scale", scale)
	t.broadcastDouble("shift", shift)
	t.each("y", map[reg.Register]int{y: 4, x: 4}, func(l lanes) {
		r := l.regs
		doubles(l, func(offset, half int) { // all loads stand before the stores: y may be x
			widen(l, at(x).Offset(offset), half)
			VSUBPD(r[mean], r[half], r[half])
			VFMADD213PD(r[shift], r[scale], r[half])
		})
		doubles(l, func(offset, half int) {
			t.storeNarrowed(l, t.narrowed(l, half, half), at(y).Offset(offset))
		})
	})
	VZEROUPPER()
	RET()

	TEXT("normalizeBackward"+t.suffix, NOSPLIT, "func(dx, dy, x []float32, mean, scale, shift, slope float64, add bool)")
	Doc(fmt.Sprintf("normalizeBackward%s sets dx to scale*(dy - shift - (x-mean)*slope), in float64 up to the end, or adds it.", t.suffix))
	dx, dy, x := slice("dx"), slice("dy"), slice("x")
	t.broadcastDouble("mean", mean)
	t.broadcastDouble("scale", scale)
	t.broadcastDouble("shift", shift)
	t.broadcastDouble("slope", slope)
	add := Load(Param("add"), GP8())
	t.each("dx", map[reg.Register]int{dx: 4, dy: 4, x: 4}, func(l lanes) {
		r := l.regs
		store := fmt.Sprintf("store%d", l.n)
		var rounded [2]reg.VecPhysical
		doubles(l, func(offset, half int) {
			widen(l, at(x).Offset(offset), half)
			widen(l, at(dy).Offset(offset), 2+half)
			VSUBPD(r[mean], r[half], r[half])
			VSUBPD(r[shift], r[2+half], r[2+half])
			VFNMADD231PD(r[slope], r[half], r[2+half])
			VMULPD(r[scale], r[2+half], r[2+half])
			rounded[half] = t.narrowed(l, 2+half, 2+half)
		})
		TESTB(add, add)
		JEQ(LabelRef(store))
		doubles(l, func(offset, half int) {
			before := at(dx).Offset(offset)
			if l.n == 1 {
				VADDSS(before, rounded[half], rounded[half])
			} else {
				VADDPS(before, rounded[half], rounded[half])
			}
		})
		Label(store)
		doubles(l, func(offset, half int) { t.storeNarrowed(l, rounded[half], at(dx).Offset(offset)) })
	})
	VZEROUPPER()
	RET()
}

// storeNarrowed stores what narrowed gave.
func (t tier) storeNarrowed(l lanes, from reg.VecPhysical, to Mem) {
	if l.n == 1 {
		VMOVSS(from, to)
	} else {
		VMOVUPS(from, to)
	}
}

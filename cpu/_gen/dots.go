package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dots writes the kernel of four inner products with one vector, for products of a matrix and a few vectors, which are
// bound by reading the matrix.
func (t tier) dots() {
	const rows = 4
	TEXT("dots"+t.suffix, NOSPLIT, "func(y *[4]float32, x []float32, w *float32, stride int)")
	Doc(fmt.Sprintf("dots%s sets y[i] to the product of x and the values at w + i*stride.", t.suffix))
	x := slice("x")
	stride := Load(Param("stride"), GP64()).(reg.GPVirtual)
	SHLQ(Imm(2), stride)
	w := t.newStrided(Load(Param("w"), GP64()).(reg.GPVirtual), stride, rows)
	halves, first := 2, 8 // sums of a row, and the first register behind all of them
	if t.neon() {
		w.every(rows)
		halves, first = 4, 16
	}
	n := Load(Param("x").Len(), GP64())
	r := t.wide.regs
	// Two sums a row, or four: as many chains as hide a multiply-add's latency. The last ones of each row end in scalars, which
	// have registers of their own, as scalar instructions clear the upper lanes.
	sum := func(row, half int) reg.VecPhysical { return r[halves*row+half] }
	scalar := func(row int) reg.VecPhysical { return t.low(first + row) }
	for i := range rows {
		for h := range halves {
			t.zero(halves*i + h)
		}
		t.zero(first + i)
	}
	width := 4 * t.wide.n
	step := func(label, next string, halves int) {
		Label(label)
		CMPQ(n, Imm(uint64(halves*t.wide.n)))
		JLT(LabelRef(next))
		for h := range halves {
			VMOVUPS(Mem{Base: x, Disp: h * width}, r[first+rows+h])
		}
		for i := range rows {
			for h := range halves {
				m := w.row(i)
				m.Disp += h * width
				VFMADD231PS(m, r[first+rows+h], sum(i, h))
			}
		}
		ADDQ(Imm(uint64(halves*width)), x)
		w.advance(Imm(uint64(halves * width)))
		SUBQ(Imm(uint64(halves*t.wide.n)), n)
		JMP(LabelRef(label))
	}
	if t.neon() {
		step("four", "one", 4)
	} else {
		step("two", "one", 2)
	}
	step("one", "rest", 1)
	Label("rest")
	TESTQ(n, n)
	JEQ(LabelRef("end"))
	VMOVSS(Mem{Base: x}, t.low(first+rows))
	for i := range rows {
		VFMADD231SS(w.row(i), t.low(first+rows), scalar(i))
	}
	ADDQ(Imm(4), x)
	w.advance(Imm(4))
	DECQ(n)
	JMP(LabelRef("rest"))
	Label("end")
	y := Load(Param("y"), GP64())
	for i := range rows {
		for h := 1; h < halves; h++ {
			VADDPS(sum(i, h), sum(i, 0), sum(i, 0))
		}
		t.reduce(halves*i, func(a, b, c Op) { VADDPS(a, b, c) }, func(a, b, c Op) { VHADDPS(a, b, c) }, 2)
		VADDSS(scalar(i), t.low(halves*i), t.low(halves*i))
		VMOVSS(t.low(halves*i), Mem{Base: y, Disp: 4 * i})
	}
	VZEROUPPER()
	RET()
}

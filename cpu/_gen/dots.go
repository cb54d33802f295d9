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
	n := Load(Param("x").Len(), GP64())
	r := t.wide.regs
	// Two sums a row: as many chains as hide a multiply-add's latency. The last ones of each row end in scalars, which have
	// registers of their own, as scalar instructions clear the upper lanes.
	sum := func(row, half int) reg.VecPhysical { return r[2*row+half] }
	scalar := func(row int) reg.VecPhysical { return narrow.regs[8+row] }
	for i := range rows {
		t.zero(2 * i)
		t.zero(2*i + 1)
		t.zero(8 + i)
	}
	width := 4 * t.wide.n
	step := func(label, next string, halves int) {
		Label(label)
		CMPQ(n, Imm(uint64(halves*t.wide.n)))
		JLT(LabelRef(next))
		for h := range halves {
			VMOVUPS(Mem{Base: x, Disp: h * width}, r[12+h])
		}
		for i := range rows {
			for h := range halves {
				m := w.row(i)
				m.Disp += h * width
				VFMADD231PS(m, r[12+h], sum(i, h))
			}
		}
		ADDQ(Imm(uint64(halves*width)), x)
		ADDQ(Imm(uint64(halves*width)), w.bases[0])
		SUBQ(Imm(uint64(halves*t.wide.n)), n)
		JMP(LabelRef(label))
	}
	step("two", "one", 2)
	step("one", "rest", 1)
	Label("rest")
	TESTQ(n, n)
	JEQ(LabelRef("end"))
	VMOVSS(Mem{Base: x}, narrow.regs[12])
	for i := range rows {
		VFMADD231SS(w.row(i), narrow.regs[12], scalar(i))
	}
	ADDQ(Imm(4), x)
	ADDQ(Imm(4), w.bases[0])
	DECQ(n)
	JMP(LabelRef("rest"))
	Label("end")
	y := Load(Param("y"), GP64())
	for i := range rows {
		VADDPS(sum(i, 1), sum(i, 0), sum(i, 0))
		t.reduce(2*i, func(a, b, c Op) { VADDPS(a, b, c) }, func(a, b, c Op) { VHADDPS(a, b, c) }, 2)
		VADDSS(scalar(i), narrow.regs[2*i], narrow.regs[2*i])
		VMOVSS(narrow.regs[2*i], Mem{Base: y, Disp: 4 * i})
	}
	VZEROUPPER()
	RET()
}

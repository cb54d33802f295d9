package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// winogradInput writes the kernel that transforms six vectors at a time into six. Its matrix B', and A' of winogradOutput,
// are those of package asm's portable kernels, for points 0, a, -a, b, -b and infinity.
func (t tier) winogradInput() {
	TEXT("winogradInput"+t.suffix, NOSPLIT, "func(dst *float32, dstStep, dstStride int, src *float32, srcStep, srcStride int, c *float32, n int)")
	Doc(fmt.Sprintf("winogradInput%s transforms n times six vectors, which lie a stride apart, by the rows of B.", t.suffix))
	const (
		product = iota // a*a*b*b, and then as asm.Winograd has them
		sum
		a2
		b2
		a
		b
		d1
		d2
		d3
		d4
		first // of even and odd
		_
		other
	)
	even, odd := first, first+1
	r := t.wide.regs
	constants := parameter("c")
	for i := range 6 {
		t.broadcast(Mem{Base: constants, Disp: 4 * i}, i)
	}
	src := t.newStrided(parameter("src"), inBytes("srcStride"), 6)
	dst := t.newStrided(parameter("dst"), inBytes("dstStride"), 6)
	srcStep, dstStep, n := inBytes("srcStep"), inBytes("dstStep"), parameter("n")
	Label("next")
	for i, d := range []int{d1, d2, d3, d4} {
		VMOVUPS(src.row(i+1), r[d])
	}
	// Rows 0 and 5, of the points 0 and infinity.
	VMULPS(src.row(0), r[product], r[even])
	VFNMADD231PS(r[sum], r[d2], r[even])
	VADDPS(r[d4], r[even], r[even])
	VMOVUPS(r[even], dst.row(0))
	VMULPS(r[d1], r[product], r[odd])
	VFNMADD231PS(r[sum], r[d3], r[odd])
	VADDPS(src.row(5), r[odd], r[odd])
	VMOVUPS(r[odd], dst.row(5))
	// Rows of a point and of its negative: what is even in them, and what is odd.
	for i, square := range []int{b2, a2} {
		if t.neon() { // without copies of what isn't needed again
			if i == 1 {
				even, odd = d4, d3
			} else {
				VMOVAPS(r[d4], r[even])
				VMOVAPS(r[d3], r[odd])
			}
			VFNMADD231PS(r[square], r[d2], r[even])
			VFNMADD231PS(r[square], r[d1], r[odd])
			VMULPS(r[[]int{a, b}[i]], r[odd], r[odd])
			VADDPS(r[odd], r[even], r[other])
			VSUBPS(r[odd], r[even], r[even])
			VMOVUPS(r[other], dst.row(1+2*i))
			VMOVUPS(r[even], dst.row(2+2*i))
			continue
		}
		VMOVAPS(r[d4], r[even])
		VFNMADD231PS(r[square], r[d2], r[even])
		VMOVAPS(r[d3], r[odd])
		VFNMADD231PS(r[square], r[d1], r[odd])
		VMOVAPS(r[even], r[other])
		VFMADD231PS(r[[]int{a, b}[i]], r[odd], r[even])
		VFNMADD231PS(r[[]int{a, b}[i]], r[odd], r[other])
		VMOVUPS(r[even], dst.row(1+2*i))
		VMOVUPS(r[other], dst.row(2+2*i))
	}
	src.advance(srcStep)
	dst.advance(dstStep)
	DECQ(n)
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// winogradGradient writes the kernel that transforms some vectors at a time into six, by the transpose of winogradOutput's A'.
func (t tier) winogradGradient(outputs int) {
	name := fmt.Sprintf("winogradGradient%d%s", outputs, t.suffix)
	TEXT(name, NOSPLIT, "func(dst *float32, dstStep, dstStride int, src *float32, srcStep, srcStride int, c *float32, n int)")
	Doc(fmt.Sprintf("%s transforms n times %d vectors, which lie a stride apart, by the rows of A.", name, outputs))
	const (
		even = iota
		odd
		other
		powers
	)
	r := t.wide.regs
	first := powers + 2*(outputs-1)
	constants := parameter("c")
	for i := range 2 * (outputs - 1) { // a, b, a*a, b*b, a*a*a, b*b*b
		t.broadcast(Mem{Base: constants, Disp: 4 * i}, powers+i)
	}
	src := t.newStrided(parameter("src"), inBytes("srcStride"), outputs)
	dst := t.newStrided(parameter("dst"), inBytes("dstStride"), 6)
	srcStep, dstStep, n := inBytes("srcStep"), inBytes("dstStep"), parameter("n")
	Label("next")
	for i := range outputs {
		VMOVUPS(src.row(i), r[first+i])
	}
	VMOVUPS(r[first], dst.row(0))
	VMOVUPS(r[first+outputs-1], dst.row(5))
	for i := range 2 { // a point and its negative
		power := func(k int) reg.VecPhysical { return r[powers+2*(k-1)+i] }
		VMOVAPS(r[first], r[even])
		VMULPS(r[first+1], power(1), r[odd])
		if outputs == 4 {
			VFMADD231PS(r[first+2], power(2), r[even])
			VFMADD231PS(r[first+3], power(3), r[odd])
		}
		VSUBPS(r[odd], r[even], r[other])
		VADDPS(r[odd], r[even], r[even])
		VMOVUPS(r[even], dst.row(1+2*i))
		VMOVUPS(r[other], dst.row(2+2*i))
	}
	src.advance(srcStep)
	dst.advance(dstStep)
	DECQ(n)
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// winogradOutput writes the kernel that transforms 6x6 vectors into outputs x outputs, with bias and ReLU.
func (t tier) winogradOutput(outputs int) {
	name := fmt.Sprintf("winogradOutput%d%s", outputs, t.suffix)
	TEXT(name, 0, "func(y *float32, step, pitch, across int, m *float32, mStep, stride int, bias *float32, floor float32, c *float32, n int)")
	Doc(fmt.Sprintf("%s transforms n tiles of 6x6 vectors by the rows of A, adds the bias and takes the greater of that and floor.", name))
	const (
		sum1 = iota
		dif1
		sum2
		dif2
		out
		bias
		floor
		powers
	)
	width, r := 4*t.wide.n, t.wide.regs

	// Between the passes over columns and rows there are 6 x outputs vectors: in registers, or on the stack.
	first := powers + 2*(outputs-1)
	inRegisters := first+6*outputs <= len(r)
	var stack Mem
	if !inRegisters {
		stack = AllocLocal(6 * outputs * width)
	}
	between := func(column, row int) Op {
		if inRegisters {
			return r[first+column*outputs+row]
		}
		return stack.Offset((column*outputs + row) * width)
	}

	constants := parameter("c")
	for i := range 2 * (outputs - 1) { // a, b, a*a, b*b, a*a*a, b*b*b
		t.broadcast(Mem{Base: constants, Disp: 4 * i}, powers+i)
	}
	VMOVUPS(Mem{Base: parameter("bias")}, r[bias])
	least, err := Param("floor").Resolve()
	if err != nil {
		panic(err)
	}
	t.broadcast(least.Addr, floor)

	m, stride, mStep := parameter("m"), inBytes("stride"), inBytes("mStep")
	y, pitch, step, n := parameter("y"), inBytes("pitch"), inBytes("step"), parameter("n")
	sixth := GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, sixth)
	ADDQ(sixth, sixth)

	// transform computes outputs from six inputs and hands them on.
	transform := func(in func(i int) Op, done func(i int)) {
		VMOVUPS(in(1), r[sum1])
		VSUBPS(in(2), r[sum1], r[dif1])
		VADDPS(in(2), r[sum1], r[sum1])
		VMOVUPS(in(3), r[sum2])
		VSUBPS(in(4), r[sum2], r[dif2])
		VADDPS(in(4), r[sum2], r[sum2])
		for i := range outputs {
			one, two := sum1, sum2
			if i%2 == 1 {
				one, two = dif1, dif2
			}
			switch i {
			case 0:
				VADDPS(in(0), r[one], r[out])
				VADDPS(r[two], r[out], r[out])
			case outputs - 1:
				VMOVUPS(in(5), r[out])
				VFMADD231PS(r[one], r[powers+2*(i-1)], r[out])
				VFMADD231PS(r[two], r[powers+2*(i-1)+1], r[out])
			default:
				VMULPS(r[one], r[powers+2*(i-1)], r[out])
				VFMADD231PS(r[two], r[powers+2*(i-1)+1], r[out])
			}
			done(i)
		}
	}
	Label("next")
	from := GP64()
	MOVQ(m, from)
	rows := t.newStrided(from, sixth, 6)
	for column := range 6 {
		transform(func(i int) Op { return rows.row(i) }, func(i int) { VMOVUPS(r[out], between(column, i)) })
		if column < 5 {
			rows.advance(stride)
		}
	}
	to, across := GP64(), inBytes("across")
	MOVQ(y, to)
	for row := range outputs {
		vector := GP64()
		MOVQ(to, vector)
		transform(func(i int) Op { return between(i, row) }, func(i int) {
			VADDPS(r[bias], r[out], r[out])
			VMAXPS(r[out], r[floor], r[out]) // a NaN stays: it is in the first operand here
			VMOVUPS(r[out], Mem{Base: vector})
			if i+1 < outputs {
				ADDQ(across, vector)
			}
		})
		if row+1 < outputs {
			ADDQ(pitch, to)
		}
	}
	ADDQ(mStep, m)
	ADDQ(step, y)
	DECQ(n)
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()
}

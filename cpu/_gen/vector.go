package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// slice loads the base pointer of a slice parameter.
func slice(name string) reg.Register { return Load(Param(name).Base(), GP64()) }

// parameter loads a parameter of 64 bits.
func parameter(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// inBytes loads a parameter that counts float32 values, and converts the count to bytes.
func inBytes(name string) reg.GPVirtual {
	r := parameter(name)
	SHLQ(Imm(2), r)
	return r
}

// each writes a loop over the values of the slice parameter counted: body with
// wide registers while they can be filled, then with narrow ones. pointers
// advance by their size, in bytes a value.
func (t tier) each(counted string, pointers map[reg.Register]int, body func(l lanes)) {
	n := Load(Param(counted).Len(), GP64())
	advance := func(l lanes) {
		for _, p := range sorted(pointers) {
			ADDQ(Imm(uint64(pointers[p]*l.n)), p)
		}
	}
	if t.neon() { // whose vectors are so short that the loop would cost as much as the body
		some := Imm(uint64(eachAtOnce * t.wide.n))
		SUBQ(some, n)
		JLT(LabelRef("few"))
		Label("some")
		ahead = pointers
		for part = range eachAtOnce {
			body(t.wide)
		}
		part = 0
		for _, p := range sorted(pointers) {
			ADDQ(U32(pointers[p]*eachAtOnce*t.wide.n), p)
		}
		SUBQ(some, n)
		JGE(LabelRef("some"))
		Label("few")
		ADDQ(some, n)
	}
	Label("wide")
	CMPQ(n, Imm(uint64(t.wide.n)))
	JLT(LabelRef("narrow"))
	body(t.wide)
	advance(t.wide)
	SUBQ(Imm(uint64(t.wide.n)), n)
	JMP(LabelRef("wide"))
	Label("narrow")
	TESTQ(n, n)
	JEQ(LabelRef("done"))
	body(narrow)
	advance(narrow)
	DECQ(n)
	JMP(LabelRef("narrow"))
	Label("done")
}

// sorted returns the registers in the order of their making, so that every run
// writes the same code.
func sorted(m map[reg.Register]int) []reg.Register {
	var out []reg.Register
	for r := range m {
		i := len(out)
		for i > 0 && out[i-1].(reg.Virtual).VirtualIndex() > r.(reg.Virtual).VirtualIndex() {
			i--
		}
		out = append(out[:i], append([]reg.Register{r}, out[i:]...)...)
	}
	return out
}

// eachAtOnce is how many vectors a round of the loop of each takes on arm64. The body is written once for each of them; part says
// for which, and ahead how large the values are that the pointers point to.
const eachAtOnce = 8

var (
	part  int
	ahead map[reg.Register]int
)

// at is where a pointer points to.
func at(p reg.Register) Mem { return Mem{Base: p, Disp: part * ahead[p] * xmm.n} }

func load(l lanes, from Mem, to int) {
	if l.n == 1 {
		VMOVSS(from, l.regs[to])
	} else {
		VMOVUPS(from, l.regs[to])
	}
}

func store(l lanes, from int, to Mem) {
	if l.n == 1 {
		VMOVSS(l.regs[from], to)
	} else {
		VMOVUPS(l.regs[from], to)
	}
}

// broadcast fills a register with the float32 in memory.
func (t tier) broadcast(from Mem, to int) { VBROADCASTSS(from, t.wide.regs[to]) }

// low returns the lowest lanes of a register.
func (t tier) low(r int) reg.VecPhysical {
	if t.neon() {
		return t.wide.regs[r]
	}
	return narrow.regs[r]
}

// loadFactor loads a value that addProduct is to multiply vectors by.
func (t tier) loadFactor(from Mem, to reg.VecPhysical) {
	if t.neon() {
		VMOVSS(from, to) // multiplied as a lane
	} else {
		VBROADCASTSS(from, to)
	}
}

// addProduct adds vector times a factor to sum.
func (t tier) addProduct(factor, vector, sum reg.VecPhysical) {
	if t.neon() {
		addTimesLane(0, factor, vector, sum)
	} else {
		VFMADD231PS(factor, vector, sum)
	}
}

func (t tier) zero(r int) { VXORPS(t.wide.regs[r], t.wide.regs[r], t.wide.regs[r]) }

func (t tier) addBias(relu bool) {
	name, doc := "addBias", "adds bias to each value"
	if relu {
		name, doc = "addBiasReLU", "adds bias to each value and takes the greater of that and 0; NaN stays"
	}
	TEXT(name+t.suffix, NOSPLIT, "func(y []float32, bias float32)")
	Doc(fmt.Sprintf("%s%s %s.", name, t.suffix, doc))
	y := slice("y")
	bias, err := Param("bias").Resolve()
	if err != nil {
		panic(err)
	}
	t.broadcast(bias.Addr, 1)
	t.zero(2)
	t.each("y", map[reg.Register]int{y: 4}, func(l lanes) {
		load(l, at(y), 0)
		VADDPS(l.regs[1], l.regs[0], l.regs[0])
		if relu {
			// VMAXPS gives its first operand here where one is NaN.
			VMAXPS(l.regs[0], l.regs[2], l.regs[0])
		}
		store(l, 0, at(y))
	})
	VZEROUPPER()
	RET()
}

func (t tier) add() {
	TEXT("add"+t.suffix, NOSPLIT, "func(dst, x []float32)")
	Doc(fmt.Sprintf("add%s adds x to dst.", t.suffix))
	dst, x := slice("dst"), slice("x")
	t.each("dst", map[reg.Register]int{dst: 4, x: 4}, func(l lanes) {
		load(l, at(dst), 0)
		load(l, at(x), 1)
		VADDPS(l.regs[1], l.regs[0], l.regs[0])
		store(l, 0, at(dst))
	})
	VZEROUPPER()
	RET()
}

func (t tier) reluBackward() {
	TEXT("reluBackward"+t.suffix, NOSPLIT, "func(dx, dy, y []float32)")
	Doc(fmt.Sprintf("reluBackward%s gives dy where y is above 0, else 0.", t.suffix))
	dx, dy, y := slice("dx"), slice("dy"), slice("y")
	t.zero(2)
	t.each("dx", map[reg.Register]int{dx: 4, dy: 4, y: 4}, func(l lanes) {
		load(l, at(y), 0)
		if l.n == 16 {
			VCMPPS(Imm(greater), l.regs[2], l.regs[0], reg.K1)
			VMOVUPS_Z(at(dy), reg.K1, l.regs[1])
		} else {
			load(l, at(dy), 1)
			VCMPPS(Imm(greater), l.regs[2], l.regs[0], l.regs[0])
			VANDPS(l.regs[0], l.regs[1], l.regs[1])
		}
		store(l, 1, at(dx))
	})
	VZEROUPPER()
	RET()
}

// reduce adds the lanes of register r, of the tier's width in float32 or
// float64, and leaves the sum in the low lane. It needs register r+1.
func (t tier) reduce(r int, addPacked, addHalves func(Op, Op, Op), steps int) {
	if t.neon() {
		for range steps {
			addHalves(t.low(r), t.low(r), t.low(r))
		}
		return
	}
	low, high := reg.VecPhysical(ymm.regs[r]), reg.VecPhysical(ymm.regs[r+1])
	if t.wide.n == 16 {
		VEXTRACTF64X4(Imm(1), zmm.regs[r], high)
		addPacked(high, low, low)
	}
	VEXTRACTF128(Imm(1), low, narrow.regs[r+1])
	addPacked(narrow.regs[r+1], narrow.regs[r], narrow.regs[r])
	for range steps {
		addHalves(narrow.regs[r], narrow.regs[r], narrow.regs[r])
	}
}

func (t tier) sumSquares() {
	TEXT("sumSquares"+t.suffix, NOSPLIT, "func(x []float32) float64")
	Doc(fmt.Sprintf("sumSquares%s adds the squares of all values in float64, %d sums side by side.", t.suffix, t.wide.n))
	x := slice("x")
	for _, r := range []int{2, 4, 6} {
		t.zero(r)
	}
	half := 4 * t.wide.n / 2
	if t.neon() {
		t.sumManySquares(x)
		return
	}
	t.each("x", map[reg.Register]int{x: 4}, func(l lanes) {
		if l.n == 1 {
			VCVTSS2SD(at(x), l.regs[6], l.regs[0])
			VFMADD231SD(l.regs[0], l.regs[0], l.regs[6])
			return
		}
		VCVTPS2PD(at(x), l.regs[0])
		VCVTPS2PD(at(x).Offset(half), l.regs[1])
		VFMADD231PD(l.regs[0], l.regs[0], l.regs[2])
		VFMADD231PD(l.regs[1], l.regs[1], l.regs[4])
	})
	VADDPD(t.wide.regs[4], t.wide.regs[2], t.wide.regs[2])
	t.reduce(2, func(a, b, c Op) { VADDPD(a, b, c) }, func(a, b, c Op) { VHADDPD(a, b, c) }, 1)
	VADDSD(reg.X6, reg.X2, reg.X2)
	Store(reg.X2, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// sumManySquares is the loop of sumSquares on arm64, with two sums for each vector of a round.
func (t tier) sumManySquares(x reg.Register) {
	r := t.wide.regs
	const sums = 4
	for i := range 2 * eachAtOnce {
		t.zero(sums + i)
	}
	t.each("x", map[reg.Register]int{x: 4}, func(l lanes) {
		if l.n == 1 {
			VCVTSS2SD(at(x), r[0], r[0])
			VFMADD231SD(r[0], r[0], r[sums])
			return
		}
		for half := range 2 {
			VCVTPS2PD(at(x).Offset(8*half), r[half])
			VFMADD231PD(r[half], r[half], r[sums+2*part+half])
		}
	})
	for n := eachAtOnce; n > 0; n /= 2 {
		for i := range n {
			VADDPD(r[sums+n+i], r[sums+i], r[sums+i])
		}
	}
	VHADDPD(r[sums], r[sums], r[sums])
	Store(r[sums], ReturnIndex(0))
	VZEROUPPER()
	RET()
}

func (t tier) scaleBytes() {
	TEXT("scaleBytes"+t.suffix, NOSPLIT, "func(dst []float32, src []uint8, scale float32)")
	Doc(fmt.Sprintf("scaleBytes%s writes src times scale to dst.", t.suffix))
	dst, src := slice("dst"), slice("src")
	scale, err := Param("scale").Resolve()
	if err != nil {
		panic(err)
	}
	t.broadcast(scale.Addr, 1)
	t.zero(2)
	value := GP32()
	t.each("dst", map[reg.Register]int{dst: 4, src: 1}, func(l lanes) {
		if l.n == 1 {
			MOVBLZX(at(src), value)
			VCVTSI2SSL(value, l.regs[2], l.regs[0])
		} else {
			VPMOVZXBD(at(src), l.regs[0])
			VCVTDQ2PS(l.regs[0], l.regs[0])
		}
		VMULPS(l.regs[1], l.regs[0], l.regs[0])
		store(l, 0, at(dst))
	})
	VZEROUPPER()
	RET()
}

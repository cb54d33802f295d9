package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The methods of this file write one or a few instructions each and return the register of the result, so that a kernel's
// arithmetic reads as a formula. Operands stay as they are. What is not a number stays so, unless a comment says otherwise.

// value is a register of as many float32 values as a vector of the tier has.
type value = reg.VecVirtual

// mask says for each value of a vector whether something holds for it.
type mask = reg.Register

func (t tier) vector() value {
	switch t.wide.n {
	case zmm.n:
		return ZMM()
	case ymm.n:
		return YMM()
	}
	return XMM()
}

// data are the constants that the functions so far have asked for.
var data = map[string]Mem{}

// words returns a constant vector of 32-bit words. Vectors with one name are one. Those of arm64 lie one behind the other.
func (t tier) words(name string, word func(i int) uint32) Mem {
	name += t.suffix
	if m, ok := data[name]; ok {
		return m
	}
	var m Mem
	from := 0
	switch {
	case !t.neon():
		m = GLOBL(name, RODATA|NOPTR)
	case len(data) == 0:
		m = GLOBL(literals, RODATA|NOPTR)
	default:
		from = 4 * t.wide.n * len(data)
		m = NewDataAddr(NewStaticSymbol(literals), from)
	}
	for i := range t.wide.n {
		DATA(from+4*i, U32(word(i)))
	}
	data[name] = m
	return m
}

// iota returns the vector 0, 1, 2, ... of int32 values.
func (t tier) iota() Mem { return t.words("iota", func(i int) uint32 { return uint32(i) }) }

func (t tier) repeat(bits uint32) Mem {
	return t.words(fmt.Sprintf("word%08x", bits), func(int) uint32 { return bits })
}

// number returns a vector of one number.
func (t tier) number(x float64) Mem { return t.repeat(math.Float32bits(float32(x))) }

// copied returns a register with what a register or memory holds.
func (t tier) copied(from Op) value {
	to := t.vector()
	if _, ok := from.(Mem); ok {
		VMOVUPS(from, to)
	} else {
		VMOVAPS(from, to)
	}
	return to
}

func (t tier) plus(a value, b Op) value {
	to := t.vector()
	VADDPS(b, a, to)
	return to
}

func (t tier) minus(a value, b Op) value {
	to := t.vector()
	VSUBPS(b, a, to)
	return to
}

func (t tier) times(a value, b Op) value {
	to := t.vector()
	VMULPS(b, a, to)
	return to
}

func (t tier) over(a value, b Op) value {
	to := t.vector()
	VDIVPS(b, a, to)
	return to
}

// timesPlus returns a*b + c, rounded once.
func (t tier) timesPlus(a Op, b value, c Op) value {
	if t.neon() { // which adds to c
		to := t.copied(c)
		VFMADD231PS(a, b, to)
		return to
	}
	to := t.copied(a)
	VFMADD213PS(c, b, to)
	return to
}

// replaceTimesPlus returns a*b + c, rounded once. a may be overwritten.
func (t tier) replaceTimesPlus(a, b value, c Op) value {
	if t.neon() {
		return t.timesPlus(a, b, c)
	}
	VFMADD213PS(c, b, a)
	return a
}

// minusTimes returns c - a*b, rounded once.
func (t tier) minusTimes(c, a value, b Op) value {
	to := t.copied(c)
	VFNMADD231PS(b, a, to)
	return to
}

// polynomial returns c[0] + c[1]*x + c[2]*x*x + ... of two coefficients or more.
func (t tier) polynomial(x value, c []float64) value {
	last := len(c) - 1
	sum := t.timesPlus(t.number(c[last]), x, t.number(c[last-1]))
	for i := last - 2; i >= 0; i-- {
		sum = t.replaceTimesPlus(sum, x, t.number(c[i]))
	}
	return sum
}

func (t tier) negative(a value) value {
	to := t.vector()
	VXORPS(t.number(math.Copysign(0, -1)), a, to)
	return to
}

func (t tier) absolute(a value) value {
	to := t.vector()
	VANDPS(t.repeat(1<<31-1), a, to)
	return to
}

// signed returns a, which is not negative, with the sign of b.
func (t tier) signed(a, b value) value {
	sign, to := t.vector(), t.vector()
	VANDPS(t.number(math.Copysign(0, -1)), b, sign)
	VXORPS(sign, a, to)
	return to
}

// atLeast returns the greater of a and a number.
func (t tier) atLeast(a value, least float64) value {
	if t.neon() { // where NaN comes out whichever operand it is
		to := t.vector()
		VMAXPS(t.number(least), a, to)
		return to
	}
	to := t.copied(t.number(least))
	VMAXPS(a, to, to) // gives its first operand here where one is NaN
	return to
}

// atMost returns the lesser of a and a number.
func (t tier) atMost(a value, most float64) value {
	if t.neon() { // where NaN comes out whichever operand it is
		to := t.vector()
		VMINPS(t.number(most), a, to)
		return to
	}
	to := t.copied(t.number(most))
	VMINPS(a, to, to)
	return to
}

// within returns a, or the nearer of -bound and bound where that is nearer to 0.
func (t tier) within(a value, bound float64) value { return t.atMost(t.atLeast(a, -bound), bound) }

// Predicates of VCMPPS, all of which are false for NaN.
const (
	less        = 0x11
	lessOrEqual = 0x12
	greater     = 0x1e
)

// where compares values with a number.
func (t tier) where(a value, predicate uint64, x float64) mask {
	if t.wide.n == 16 {
		to := K()
		VCMPPS(Imm(predicate), t.number(x), a, to)
		return to
	}
	to := t.vector()
	VCMPPS(Imm(predicate), t.number(x), a, to)
	return to
}

// choose returns yes where the mask is set, else no.
func (t tier) choose(m mask, yes, no value) value {
	if t.wide.n == 16 {
		to := t.copied(no)
		VMOVAPS(yes, m, to)
		return to
	}
	to := t.vector()
	VBLENDVPS(m, yes, no, to)
	return to
}

// keep returns a where the mask is set, else 0.
func (t tier) keep(m mask, a value) value {
	to := t.vector()
	if t.wide.n == 16 {
		VXORPS(to, to, to)
		VMOVAPS(a, m, to)
	} else {
		VANDPS(m, a, to)
	}
	return to
}

// exponential returns q and scale, with e to the power of x = scale + scale*q. x is from -88.3 to 89; scale is 0 at -88 and
// infinite at 89. q is in [-0.3, 0.42] and has no error but rounding, for small x too.
func (t tier) exponential(x value) (q, scale value) {
	// With k = x/ln 2, rounded, e^x is 2^k * e^r, and |r| at most half of ln 2. To add 1.5*2^23 rounds to an integer, in the
	// low bits of the sum; with 127 more, these are the exponent of 2^k as float32 has it.
	const integer = 3<<22 + 127
	high := float64(float32(math.Ln2))
	sum := t.timesPlus(t.number(math.Log2E), x, t.number(integer))
	k := t.minus(sum, t.number(integer))
	r := t.minusTimes(t.minusTimes(x, k, t.number(high)), k, t.number(math.Ln2-high))
	// q = e^r - 1 = r + r*r*p(r). The error of p is 1e-9.
	q = t.polynomial(r, fit(func(r float64) float64 { return (math.Expm1(r) - r) / (r * r) }, 5, -math.Ln2/2, math.Ln2/2))
	q = t.replaceTimesPlus(q, t.times(r, r), r)
	scale = t.vector()
	VPSLLD(Imm(23), sum, scale)
	return q, scale
}

// exp returns e to the power of x, which is from -88.3 to 89: 0 at -88, infinite at 89.
func (t tier) exp(x value) value {
	q, scale := t.exponential(x)
	return t.times(t.plus(q, t.number(1)), scale) // and not scale + scale*q, which is no number where scale is infinite
}

// expm1 returns e to the power of x less 1, exact for small x too. x is from -88.3 to 88.
func (t tier) expm1(x value) value {
	q, scale := t.exponential(x)
	return t.timesPlus(q, scale, t.minus(scale, t.number(1)))
}

// rest loads the mask of the first n values. NEON has no loads with masks, but instructions for n values.
func (t tier) rest(n reg.GPVirtual) mask {
	if t.neon() {
		return n
	}
	if t.wide.n == 16 {
		const less = 1 // predicate of VPCMPUD
		left, count, to := ZMM(), ZMM(), K()
		VPBROADCASTD(n.As32(), left)
		VMOVDQU32(t.iota(), count)
		VPCMPUD(Imm(less), left, count, to)
		return to
	}
	low, left, to := XMM(), YMM(), YMM()
	VMOVD(n.As32(), low)
	VPBROADCASTD(low, left)
	VPCMPGTD(t.iota(), left, to)
	return to
}

// loadMasked loads the values that the mask names, and 0 for the others.
func (t tier) loadMasked(m mask, from Mem, to value) {
	switch t.wide.n {
	case zmm.n:
		VMOVUPS_Z(from, m, to)
	case ymm.n:
		VMASKMOVPS(from, m, to)
	default:
		moveFirst(m, from, to)
	}
}

// storeMasked stores the values that the mask names.
func (t tier) storeMasked(m mask, from value, to Mem) {
	switch t.wide.n {
	case zmm.n:
		VMOVUPS(from, m, to)
	case ymm.n:
		VMASKMOVPS(from, m, to)
	default:
		moveFirst(m, from, to)
	}
}

// formula writes a loop that sets the values of slice parameter out to a formula of those of the slice parameters in, which
// are as long, and returns. The last ones, fewer than a vector, go through the same instructions between masked loads and
// stores. If there is a parameter add, and it is set, the formula's values are added to out.
func (t tier) formula(out string, in []string, adds bool, f func(in []value) value) {
	to, n := slice(out), Load(Param(out).Len(), GP64()).(reg.GPVirtual)
	from, values := make([]reg.Register, len(in)), make([]value, len(in))
	for i, name := range in {
		from[i], values[i] = slice(name), t.vector()
	}
	var add reg.Register
	if adds {
		add = Load(Param("add"), GP8())
	}
	if t.neon() {
		t.manyFormulas(to, n, from, add, f)
	}
	whole := Imm(uint64(t.wide.n))
	Label("next")
	CMPQ(n, whole)
	JLT(LabelRef("rest"))
	for i, v := range values {
		VMOVUPS(at(from[i]), v)
	}
	Label("compute")
	result := f(values)
	CMPQ(n, whole)
	JLT(LabelRef("storeRest"))
	if adds {
		TESTB(add, add)
		JEQ(LabelRef("store"))
		VADDPS(at(to), result, result)
		Label("store")
	}
	VMOVUPS(result, at(to))
	for _, p := range append(from, to) {
		ADDQ(Imm(uint64(4*t.wide.n)), p)
	}
	SUBQ(whole, n)
	JMP(LabelRef("next"))

	Label("rest")
	TESTQ(n, n)
	JEQ(LabelRef("done"))
	m := t.rest(n)
	for i, v := range values {
		t.loadMasked(m, at(from[i]), v)
	}
	JMP(LabelRef("compute"))
	Label("storeRest")
	m = t.rest(n)
	if adds {
		TESTB(add, add)
		JEQ(LabelRef("storeMasked"))
		before := t.vector()
		t.loadMasked(m, at(to), before)
		VADDPS(before, result, result)
		Label("storeMasked")
	}
	t.storeMasked(m, result, at(to))
	Label("done")
	VZEROUPPER()
	RET()
}

// manyFormulas writes the loop of formula that takes several vectors at once, for short ones.
func (t tier) manyFormulas(to reg.Register, n reg.GPVirtual, from []reg.Register, add reg.Register, f func(in []value) value) {
	const atOnce = 4
	size := 4 * t.wide.n
	SUBQ(Imm(uint64(atOnce*t.wide.n)), n)
	JLT(LabelRef("few"))
	Label("some")
	for i := range atOnce {
		values := make([]value, len(from))
		for j, p := range from {
			values[j] = t.copied(Mem{Base: p, Disp: i * size})
		}
		result, place := f(values), Mem{Base: to, Disp: i * size}
		if add != nil {
			store := fmt.Sprintf("store%d", i)
			TESTB(add, add)
			JEQ(LabelRef(store))
			VADDPS(place, result, result)
			Label(store)
		}
		VMOVUPS(result, place)
	}
	for _, p := range append(from, to) {
		ADDQ(Imm(uint64(atOnce*size)), p)
	}
	SUBQ(Imm(uint64(atOnce*t.wide.n)), n)
	JGE(LabelRef("some"))
	Label("few")
	ADDQ(Imm(uint64(atOnce*t.wide.n)), n)
}

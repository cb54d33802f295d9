package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Kernels of batch normalisation and pooling of images in blocks of channels; see asm/blocked.go.

// sumChains is how many sums the kernels of batch normalisation keep side by side for each lane.
func (t tier) sumChains() int {
	if t.neon() {
		return 8
	}
	return 4
}

// vectors writes a loop over n vectors, sumChains of them at a time, then one at a time. pointers advance with them.
func (t tier) vectors(n reg.GPVirtual, pointers []reg.GPVirtual, body func(chain int, offset int)) {
	width, chains := 4*t.wide.n, t.sumChains()
	if t.neon() {
		SUBQ(Imm(uint64(chains)), n)
		JLT(LabelRef("few"))
	}
	Label("some")
	if !t.neon() {
		CMPQ(n, Imm(uint64(chains)))
		JLT(LabelRef("one"))
	}
	for c := range chains {
		body(c, c*width)
	}
	for _, p := range pointers {
		ADDQ(U32(chains*width), p)
	}
	SUBQ(Imm(uint64(chains)), n)
	if t.neon() {
		JGE(LabelRef("some"))
		Label("few")
		ADDQ(Imm(uint64(chains)), n)
	} else {
		JMP(LabelRef("some"))
	}
	Label("one")
	TESTQ(n, n)
	JEQ(LabelRef("done"))
	body(0, 0)
	for _, p := range pointers {
		ADDQ(Imm(uint64(width)), p)
	}
	DECQ(n)
	JMP(LabelRef("one"))
	Label("done")
}

// folded adds registers first+1 to first+sumChains-1 to register first.
func (t tier) folded(first int) {
	r := t.wide.regs
	for n := 1; n < t.sumChains(); n *= 2 {
		for i := 0; i < t.sumChains(); i += 2 * n {
			VADDPS(r[first+i+n], r[first+i], r[first+i])
		}
	}
}

func (t tier) normalization() {
	r, width, sumChains := t.wide.regs, 4*t.wide.n, t.sumChains()
	shift, value, other := 2*sumChains, 2*sumChains+1, 2*sumChains+2

	TEXT("moments"+t.suffix, NOSPLIT, "func(sums, x, shift *float32, n int)")
	Doc(fmt.Sprintf("moments%s sums x-shift and its square, for n vectors.", t.suffix))
	x := parameter("x")
	VMOVUPS(at(parameter("shift")), r[shift])
	for i := range 2 * sumChains {
		t.zero(i)
	}
	t.vectors(parameter("n"), []reg.GPVirtual{x}, func(c, offset int) {
		VMOVUPS(at(x).Offset(offset), r[value])
		VSUBPS(r[shift], r[value], r[value])
		VADDPS(r[value], r[c], r[c])
		VFMADD231PS(r[value], r[value], r[sumChains+c])
	})
	t.storeSums(2)

	TEXT("gradientMoments"+t.suffix, NOSPLIT, "func(sums, dy, x, shift *float32, n int)")
	Doc(fmt.Sprintf("gradientMoments%s sums dy and dy*(x-shift), for n vectors.", t.suffix))
	x, dy := parameter("x"), parameter("dy")
	VMOVUPS(at(parameter("shift")), r[shift])
	for i := range 2 * sumChains {
		t.zero(i)
	}
	t.vectors(parameter("n"), []reg.GPVirtual{x, dy}, func(c, offset int) {
		VMOVUPS(at(x).Offset(offset), r[value])
		VMOVUPS(at(dy).Offset(offset), r[other])
		VSUBPS(r[shift], r[value], r[value])
		VADDPS(r[other], r[c], r[c])
		VFMADD231PS(r[value], r[other], r[sumChains+c])
	})
	t.storeSums(2)

	TEXT("gradientMomentsReLU"+t.suffix, NOSPLIT, "func(sums, dy, y, x, shift *float32, n int)")
	Doc(fmt.Sprintf("gradientMomentsReLU%s sets dy to 0 where y isn't above 0 or isn't below the upper bound, and then does what gradientMoments does; shift holds the shift and the upper bound.", t.suffix))
	x, dy = parameter("x"), parameter("dy")
	y, shifts := parameter("y"), parameter("shift")
	none, above, limit, below := 2*sumChains+3, 2*sumChains+4, 2*sumChains+5, 2*sumChains+6
	VMOVUPS(at(shifts), r[shift])
	VMOVUPS(at(shifts).Offset(width), r[limit])
	for i := range 2 * sumChains {
		t.zero(i)
	}
	t.zero(none)
	t.vectors(parameter("n"), []reg.GPVirtual{x, dy, y}, func(c, offset int) {
		VMOVUPS(at(y).Offset(offset), r[above])
		VMOVUPS(at(dy).Offset(offset), r[other])
		if t.wide.n == 16 {
			VCMPPS(Imm(greater), r[none], r[above], reg.K1)
			VCMPPS(Imm(less), r[limit], r[above], reg.K1, reg.K1)
			VMOVAPS_Z(r[other], reg.K1, r[other])
		} else {
			VCMPPS(Imm(less), r[limit], r[above], r[below])
			VCMPPS(Imm(greater), r[none], r[above], r[above])
			VANDPS(r[above], r[below], r[above])
			VANDPS(r[above], r[other], r[other])
		}
		VMOVUPS(r[other], at(dy).Offset(offset))
		VMOVUPS(at(x).Offset(offset), r[value])
		VSUBPS(r[shift], r[value], r[value])
		VADDPS(r[other], r[c], r[c])
		VFMADD231PS(r[value], r[other], r[sumChains+c])
	})
	t.storeSums(2)

	TEXT("sumVectors"+t.suffix, NOSPLIT, "func(sums, x *float32, n int)")
	Doc(fmt.Sprintf("sumVectors%s adds n vectors.", t.suffix))
	x = parameter("x")
	for i := range sumChains {
		t.zero(i)
	}
	t.vectors(parameter("n"), []reg.GPVirtual{x}, func(c, offset int) { VADDPS(at(x).Offset(offset), r[c], r[c]) })
	t.storeSums(1)

	constants := func(n int) {
		c := parameter("c")
		for i := range n {
			VMOVUPS(at(c).Offset(i*width), r[2*sumChains+i])
		}
	}
	mean, scale, bias := 2*sumChains, 2*sumChains+1, 2*sumChains+2
	slope, most, zero := 2*sumChains+3, 2*sumChains+3, 2*sumChains+4
	for how := range (normalizeAdd | normalizeReLU) + 1 {
		name, doc, behind, n := "normalizeVectors", "sets y to (x-mean)*scale + bias", "", 3
		if how&normalizeAdd != 0 {
			name, doc = name+"Add", doc+" + more"
		}
		if how&normalizeReLU != 0 {
			name, doc = name+"ReLU", doc+", or to 0 if that is below 0, or to the upper bound if it is above that"
			behind, n = ", and the upper bound behind them", 4
		}
		TEXT(name+t.suffix, NOSPLIT, "func(y, x, more, c *float32, n int)")
		Doc(fmt.Sprintf("%s%s %s; c holds mean, scale and bias%s.", name, t.suffix, doc, behind))
		constants(n)
		y, x := parameter("y"), parameter("x")
		pointers := []reg.GPVirtual{y, x}
		var more reg.GPVirtual
		if how&normalizeAdd != 0 {
			more = parameter("more")
			pointers = append(pointers, more)
		}
		if how&normalizeReLU != 0 {
			t.zero(zero)
		}
		t.vectors(parameter("n"), pointers, func(c, offset int) {
			VMOVUPS(at(x).Offset(offset), r[c])
			VSUBPS(r[mean], r[c], r[c])
			if t.neon() { // which adds to a sum
				VMOVAPS(r[bias], r[sumChains+c])
				VFMADD231PS(r[scale], r[c], r[sumChains+c])
				c += sumChains
			} else {
				VFMADD213PS(r[bias], r[scale], r[c])
			}
			if how&normalizeAdd != 0 {
				VADDPS(at(more).Offset(offset), r[c], r[c])
			}
			if how&normalizeReLU != 0 {
				VMAXPS(r[c], r[zero], r[c]) // a NaN stays: the sum is the first operand here
				VMINPS(r[c], r[most], r[c])
			}
			VMOVUPS(r[c], at(y).Offset(offset))
		})
		VZEROUPPER()
		RET()
	}

	for _, adds := range []bool{false, true} {
		name, doc := "normalizeVectorsBack", "sets dx to scale*(dy - bias - (x-mean)*slope); c holds mean, scale, bias and slope"
		if adds {
			name, doc = "normalizeVectorsBackAdd", "adds scale*(dy - bias - (x-mean)*slope) to dx; c holds mean, scale, bias and slope"
		}
		TEXT(name+t.suffix, NOSPLIT, "func(dx, dy, x, c *float32, n int)")
		Doc(fmt.Sprintf("%s%s %s.", name, t.suffix, doc))
		constants(4)
		dx, dy, x := parameter("dx"), parameter("dy"), parameter("x")
		t.vectors(parameter("n"), []reg.GPVirtual{dx, dy, x}, func(c, offset int) {
			VMOVUPS(at(x).Offset(offset), r[c])
			VMOVUPS(at(dy).Offset(offset), r[sumChains+c])
			VSUBPS(r[mean], r[c], r[c])
			VSUBPS(r[bias], r[sumChains+c], r[sumChains+c])
			VFNMADD231PS(r[slope], r[c], r[sumChains+c])
			if adds {
				VMOVUPS(at(dx).Offset(offset), r[c])
				VFMADD231PS(r[scale], r[sumChains+c], r[c])
			} else {
				VMULPS(r[scale], r[sumChains+c], r[c])
			}
			VMOVUPS(r[c], at(dx).Offset(offset))
		})
		VZEROUPPER()
		RET()
	}
}

// What normalizeVectors does besides.
const (
	normalizeAdd  = 1
	normalizeReLU = 2
)

// storeSums stores n sums, which are in sumChains registers each, and returns.
func (t tier) storeSums(n int) {
	sums := parameter("sums")
	for i := range n {
		t.folded(i * t.sumChains())
		VMOVUPS(t.wide.regs[i*t.sumChains()], at(sums).Offset(4*t.wide.n*i))
	}
	VZEROUPPER()
	RET()
}

// windows writes a loop over n windows, xStep apart, of rows and columns of vectors. first is written for the first vector of a
// window, body for each, endRow behind each row, and last behind the window. pointers advance by a vector with each window.
func (t tier) windows(image string, pointers []reg.GPVirtual, first, body func(p Mem), endRow, last func()) {
	t.windowsBehind(image, pointers, func(x, pitch, xStep, n reg.Register) {}, first, body, endRow, last)
}

// windowsBehind writes windows' loop behind code that does some windows before, and lowers their number n.
func (t tier) windowsBehind(image string, pointers []reg.GPVirtual, before func(x, pitch, xStep, n reg.Register), first, body func(p Mem), endRow, last func()) {
	x, here, row := parameter(image), GP64(), GP64()
	rows, columns := GP64(), GP64()
	pitch, xStep, n := inBytes("pitch"), inBytes("xStep"), parameter("n")
	before(x, pitch, xStep, n)
	Label("window")
	first(at(x))
	MOVQ(x, row)
	Load(Param("rows"), rows)
	Label("row")
	MOVQ(row, here)
	Load(Param("columns"), columns)
	Label("column")
	body(at(here))
	ADDQ(U32(4*t.wide.n), here)
	DECQ(columns)
	JNE(LabelRef("column"))
	endRow()
	ADDQ(pitch, row)
	DECQ(rows)
	JNE(LabelRef("row"))
	last()
	for _, p := range pointers {
		ADDQ(U32(4*t.wide.n), p)
	}
	ADDQ(xStep, x)
	DECQ(n)
	JNE(LabelRef("window"))
	Label("done")
	VZEROUPPER()
	RET()
}

// windowsAtOnce is how many windows sumWindows adds up side by side: so many sums keep a core with four units busy.
const windowsAtOnce = 12

// sumWindows does windowsAtOnce windows at a time on arm64. add adds a value to a sum over a row, and end makes the result of a
// window's total. The registers of sums are the first ones.
func (t tier) sumWindows(y reg.GPVirtual, x, pitch, xStep, n reg.Register, add, end func(value, sum reg.VecPhysical)) {
	r := t.wide.regs
	totals, sums, values := r[:windowsAtOnce], r[windowsAtOnce:2*windowsAtOnce], r[2*windowsAtOnce+1:]
	here, row, walk, rows, columns, step := GP64(), GP64(), GP64(), GP64(), GP64(), GP64()
	MOVQ(xStep, step) // of all windows together: 12 = 4 + 8 times xStep
	SHLQ(Imm(3), step)
	LEAQ(Mem{Base: step, Index: xStep, Scale: 4}, step)
	SUBQ(Imm(windowsAtOnce), n)
	JLT(LabelRef("few"))
	Label("windows")
	for _, total := range totals {
		VXORPS(total, total, total)
	}
	MOVQ(x, row)
	Load(Param("rows"), rows)
	Label("rows")
	for _, sum := range sums {
		VXORPS(sum, sum, sum)
	}
	MOVQ(row, here)
	Load(Param("columns"), columns)
	Label("columnsome")
	MOVQ(here, walk)
	ADDQ(Imm(uint64(4*t.wide.n)), here)
	for i, sum := range sums {
		value := values[i%len(values)]
		loadStepping(walk, xStep, value)
		add(value, sum)
	}
	DECQ(columns)
	JNE(LabelRef("columnsome"))
	for i, sum := range sums {
		VADDPS(sum, totals[i], totals[i])
	}
	ADDQ(pitch, row)
	DECQ(rows)
	JNE(LabelRef("rows"))
	for i, total := range totals {
		end(total, total)
		VMOVUPS(total, at(y).Offset(4*t.wide.n*i))
	}
	ADDQ(Imm(uint64(4*t.wide.n*windowsAtOnce)), y)
	ADDQ(step, x)
	SUBQ(Imm(windowsAtOnce), n)
	JGE(LabelRef("windows"))
	Label("few")
	ADDQ(Imm(windowsAtOnce), n)
	TESTQ(n, n)
	JEQ(LabelRef("done"))
}

// Parameters of the kernels of pooling.
const (
	windowSizes  = "xStep, pitch, rows, columns, n int"
	windowPlaces = "at, atStep, rowStep int32"
)

// places counts the places of values, as the kernels of max pooling number them.
type places struct {
	t                                    tier
	now, first, one, nextRow, nextWindow reg.VecPhysical
}

func (t tier) places(registers int) places {
	r := t.wide.regs[registers:]
	fill := func(value Op, to int) {
		VMOVD(value, narrow.regs[registers+to])
		VPBROADCASTD(narrow.regs[registers+to], r[to])
	}
	one := GP32()
	MOVL(U32(1), one)
	fill(one, 2)
	fill(Load(Param("at"), GP32()), 1)
	fill(Load(Param("rowStep"), GP32()), 3)
	fill(Load(Param("atStep"), GP32()), 4)
	return places{t, r[0], r[1], r[2], r[3], r[4]}
}

func (p places) beginWindow() { VMOVAPS(p.first, p.now) }
func (p places) step()        { VPADDD(p.one, p.now, p.now) }
func (p places) endRow()      { VPADDD(p.nextRow, p.now, p.now) }
func (p places) endWindow()   { VPADDD(p.nextWindow, p.first, p.first) }

func (t tier) pooling() {
	r := t.wide.regs
	none := func() {}
	text := func(name, parameters, doc string) {
		TEXT(name+t.suffix, NOSPLIT, "func("+parameters+")")
		Doc(name + t.suffix + " " + doc + ".")
	}

	const best, place, value, mask = 0, 1, 2, 3
	text("maxWindows", "y *float32, chosen *int32, x *float32, "+windowSizes+", "+windowPlaces, "pools n windows by maximum")
	p := t.places(8)
	y, chosen := parameter("y"), parameter("chosen")
	t.windows("x", []reg.GPVirtual{y, chosen}, func(first Mem) {
		VMOVUPS(first, r[best])
		VMOVAPS(p.first, r[place])
		p.beginWindow()
	}, func(m Mem) {
		VMOVUPS(m, r[value])
		if t.wide.n == 16 {
			VCMPPS(Imm(greaterOrNo), r[best], r[value], reg.K1)
			VCMPPS(Imm(equal), r[best], r[best], reg.K1, reg.K2)
			VMOVAPS(r[value], reg.K2, r[best])
			VMOVAPS(p.now, reg.K2, r[place])
		} else {
			VCMPPS(Imm(greaterOrNo), r[best], r[value], r[mask])
			VCMPPS(Imm(equal), r[best], r[best], r[4])
			VANDPS(r[mask], r[4], r[mask])
			VBLENDVPS(r[mask], r[value], r[best], r[best])
			VBLENDVPS(r[mask], p.now, r[place], r[place])
		}
		p.step()
	}, p.endRow, func() {
		VMOVUPS(r[best], at(y))
		VMOVUPS(r[place], at(chosen))
		p.endWindow()
	})

	text("maxWindowsBack", "dx, dy *float32, chosen *int32, "+windowSizes+", "+windowPlaces, "adds gradients to the places that were chosen in n windows")
	p = t.places(8)
	dy, chosen := parameter("dy"), parameter("chosen")
	t.windows("dx", []reg.GPVirtual{dy, chosen}, func(Mem) {
		VMOVUPS(at(dy), r[value])
		VMOVUPS(at(chosen), r[place])
		p.beginWindow()
	}, func(m Mem) {
		VMOVUPS(m, r[best])
		if t.wide.n == 16 {
			VPCMPEQD(p.now, r[place], reg.K1)
			VADDPS(r[value], r[best], reg.K1, r[best])
		} else {
			VPCMPEQD(p.now, r[place], r[mask])
			VANDPS(r[mask], r[value], r[mask])
			VADDPS(r[mask], r[best], r[best])
		}
		VMOVUPS(r[best], m)
		p.step()
	}, p.endRow, p.endWindow)

	// Rows are added up by themselves first, so that a sum over a large window loses fewer digits.
	const total, row, factor = 0, 1, 4
	for _, squares := range []bool{false, true} {
		name, doc := "meanWindows", "sums n windows, and multiplies by factor"
		if squares {
			name, doc = "normWindows", "sums the squares of n windows, multiplies by factor, and takes the square root"
		}
		text(name, "y, x *float32, factor float32, "+windowSizes, doc)
		y := parameter("y")
		at1, before := factor, func(x, pitch, xStep, n reg.Register) {}
		if t.neon() {
			at1 = 2 * windowsAtOnce
			before = func(x, pitch, xStep, n reg.Register) {
				t.sumWindows(y, x, pitch, xStep, n, func(value, sum reg.VecPhysical) {
					if squares {
						VFMADD231PS(value, value, sum)
					} else {
						VADDPS(value, sum, sum)
					}
				}, func(total, result reg.VecPhysical) {
					VMULPS(r[at1], total, result)
					if squares {
						VSQRTPS(result, result)
					}
				})
			}
		}
		t.broadcastParameter("factor", at1)
		t.windowsBehind("x", []reg.GPVirtual{y}, before, func(Mem) {
			t.zero(total)
			t.zero(row)
		}, func(m Mem) {
			if squares {
				VMOVUPS(m, r[value])
				VFMADD231PS(r[value], r[value], r[row])
			} else {
				VADDPS(m, r[row], r[row])
			}
		}, func() {
			VADDPS(r[row], r[total], r[total])
			t.zero(row)
		}, func() {
			VMULPS(r[at1], r[total], r[total])
			if squares {
				VSQRTPS(r[total], r[total])
			}
			VMOVUPS(r[total], at(y))
		})
	}

	text("meanWindowsBack", "dx, dy *float32, factor float32, "+windowSizes, "adds dy times factor to all values of n windows")
	dy = parameter("dy")
	t.broadcastParameter("factor", factor)
	t.windows("dx", []reg.GPVirtual{dy}, func(Mem) {
		VMULPS(at(dy), r[factor], r[value])
	}, func(m Mem) {
		VADDPS(m, r[value], r[row])
		VMOVUPS(r[row], m)
	}, none, none)

	text("normWindowsBack", "dx, dy, y, x *float32, "+windowSizes, "adds dy*x/y to all values of n windows, or nothing where y is 0")
	dy, y, x := parameter("dy"), parameter("y"), parameter("x")
	SUBQ(parameter("dx"), x) // how much further than a gradient its value is
	t.zero(mask)
	t.windows("dx", []reg.GPVirtual{dy, y}, func(Mem) {
		VMOVUPS(at(y), r[total])
		VMOVUPS(at(dy), r[value])
		VDIVPS(r[total], r[value], r[value])
		if t.wide.n == 16 {
			VCMPPS(Imm(notEqual), r[mask], r[total], reg.K1)
			VMOVAPS_Z(r[value], reg.K1, r[value])
		} else {
			VCMPPS(Imm(notEqual), r[mask], r[total], r[total])
			VANDPS(r[total], r[value], r[value])
		}
	}, func(m Mem) {
		VMOVUPS(m, r[row])
		VFMADD231PS(Mem{Base: m.Base, Index: x, Scale: 1}, r[value], r[row])
		VMOVUPS(r[row], m)
	}, none, none)
}

const notEqual = 0x04 // predicate of VCMPPS: also true for a NaN

// broadcastParameter fills a register with a float32 parameter.
func (t tier) broadcastParameter(name string, to int) {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	t.broadcast(p.Addr, to)
}

// copyRows writes the kernel that copies planes of vectors into planes with a border.
func (t tier) copyRows() {
	TEXT("copyRows"+t.suffix, NOSPLIT, "func(to, from *float32, width, height, planes, rowSkip, planeSkip int)")
	Doc(fmt.Sprintf("copyRows%s copies planes of height rows of width vectors.", t.suffix))
	to, from, width, height, planes := parameter("to"), parameter("from"), parameter("width"), parameter("height"), parameter("planes")
	rowSkip, planeSkip := inBytes("rowSkip"), inBytes("planeSkip")
	h, n := GP64(), GP64()
	Label("plane")
	MOVQ(height, h)
	Label("row")
	MOVQ(width, n)
	t.vectors(n, []reg.GPVirtual{to, from}, func(c, offset int) {
		VMOVUPS(at(from).Offset(offset), t.wide.regs[c])
		VMOVUPS(t.wide.regs[c], at(to).Offset(offset))
	})
	ADDQ(rowSkip, to)
	DECQ(h)
	JNE(LabelRef("row"))
	ADDQ(planeSkip, to)
	DECQ(planes)
	JNE(LabelRef("plane"))
	VZEROUPPER()
	RET()
}

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// patchSizes are the patches that there are kernels for, rows x columns of vectors: those of 5x5 and 3x3 filters, with
// channels as lanes, or with the columns as lanes.
var patchSizes = [][2]int{{5, 5}, {5, 1}, {3, 3}, {3, 1}}

// patches writes the kernels of each size of patch.
func (t tier) patches() {
	for _, size := range patchSizes {
		t.sumPatches(size[0], size[1])
		t.addPatches(size[0], size[1])
	}
}

// patch is what both kernels walk along: the entries, and the rows of the patch of one of them.
type patch struct {
	t             tier
	x, at         reg.GPVirtual
	pitch, pitch3 reg.GPVirtual
	values        reg.GPVirtual
	offsets       reg.GPVirtual
	n             reg.GPVirtual
	rows          []reg.GPVirtual // on arm64: where each row begins or, in patches of one column, how far behind the first
	columns       int
}

func (t tier) newPatch(rows, columns int) patch {
	p := patch{t: t, columns: columns, x: parameter("x"), at: GP64(), pitch: parameter("pitch"), pitch3: GP64()}
	SHLQ(Imm(2), p.pitch)
	LEAQ(Mem{Base: p.pitch, Index: p.pitch, Scale: 2}, p.pitch3)
	if t.neon() {
		p.rows = append(p.rows, p.at)
		if columns == 1 {
			p.rows = append(p.rows, p.pitch)
		}
		for len(p.rows) < rows {
			p.rows = append(p.rows, GP64())
			if columns == 1 {
				p.nextRow(len(p.rows) - 1)
			}
		}
	}
	return p
}

// nextRow computes where a row begins from where the one before it begins, or how far behind the first.
func (p *patch) nextRow(row int) {
	LEAQ(Mem{Base: p.rows[row-1], Index: p.pitch, Scale: 1}, p.rows[row])
}

// manyEntries writes a loop over entries on arm64, some at once, and then one at a time. The body is told which of a round it is
// for. The value of the entry is in a register then, for addProduct.
func (p *patch) manyEntries(label string, atOnce int, value reg.VecPhysical, body func(entry int)) {
	p.values = Load(Param("values"), GP64()).(reg.GPVirtual)
	p.offsets = Load(Param("offsets"), GP64()).(reg.GPVirtual)
	p.n = Load(Param("n"), GP64()).(reg.GPVirtual)
	entry := func(i int) {
		MOVLQSX(Mem{Base: p.offsets, Disp: 4 * i}, p.at)
		LEAQ(Mem{Base: p.x, Index: p.at, Scale: 4}, p.at)
		if p.columns > 1 {
			for row := 1; row < len(p.rows); row++ {
				p.nextRow(row)
			}
		}
		VMOVSS(Mem{Base: p.values, Disp: 4 * i}, value)
		body(i)
	}
	round := func(n int) {
		for i := range n {
			entry(i)
		}
		ADDQ(Imm(uint64(4*n)), p.offsets)
		ADDQ(Imm(uint64(4*n)), p.values)
		SUBQ(Imm(uint64(n)), p.n)
	}
	if atOnce > 1 {
		SUBQ(Imm(uint64(atOnce)), p.n)
		JLT(LabelRef(label + "few"))
		Label(label + "some")
		round(atOnce)
		JGE(LabelRef(label + "some"))
		Label(label + "few")
		ADDQ(Imm(uint64(atOnce)), p.n)
		JEQ(LabelRef(label + "end"))
	}
	Label(label)
	round(1)
	JNE(LabelRef(label))
	if atOnce > 1 {
		Label(label + "end")
	}
}

// entries writes a loop over all entries, with the value of each in a register.
func (p *patch) entries(label string, value reg.VecPhysical, body func()) {
	p.values = Load(Param("values"), GP64()).(reg.GPVirtual)
	p.offsets = Load(Param("offsets"), GP64()).(reg.GPVirtual)
	p.n = Load(Param("n"), GP64()).(reg.GPVirtual)
	Label(label)
	MOVLQSX(Mem{Base: p.offsets}, p.at)
	LEAQ(Mem{Base: p.x, Index: p.at, Scale: 4}, p.at)
	VBROADCASTSS(Mem{Base: p.values}, value)
	body()
	ADDQ(Imm(4), p.offsets)
	ADDQ(Imm(4), p.values)
	DECQ(p.n)
	JNE(LabelRef(label))
}

// vector is where a row's vector lies in the patch of the entry.
func (p *patch) vector(row, column int) Mem {
	m := Mem{Base: p.at, Disp: 4 * p.t.wide.n * column}
	switch {
	case p.rows != nil && p.columns > 1:
		m.Base = p.rows[row]
		return m
	case p.rows != nil && row > 0:
		m.Index, m.Scale = p.rows[row], 1
		return m
	case p.rows != nil:
		return m
	}
	switch row {
	case 1, 2, 4:
		m.Index, m.Scale = p.pitch, uint8(row)
	case 3:
		m.Index, m.Scale = p.pitch3, 1
	}
	return m
}

// inRegisters calls body for groups of rows, each as large as the registers can hold.
func inRegisters(rows, columns, registers int, body func(first, end int)) {
	most := registers / columns
	for first := 0; first < rows; first += most {
		body(first, min(first+most, rows))
	}
}

// sumPatches writes the kernel that adds up patches of x, each times a value.
func (t tier) sumPatches(rows, columns int) {
	name := fmt.Sprintf("sumPatches%dx%d%s", rows, columns, t.suffix)
	TEXT(name, NOSPLIT, "func(sums, x, values *float32, offsets *int32, n, pitch int)")
	Doc(fmt.Sprintf("%s adds to sums (%d vectors) the patches of x at n offsets, times n values.", name, rows*columns))
	sums := Load(Param("sums"), GP64()).(reg.GPVirtual)
	p := t.newPatch(rows, columns)
	last := len(t.wide.regs) - 1
	if t.neon() {
		p.sumMany(sums, rows)
		VZEROUPPER()
		RET()
		return
	}
	inRegisters(rows, columns, last, func(first, end int) {
		each := func(f func(row, column int, sum reg.VecPhysical, at Mem)) {
			for r := first; r < end; r++ {
				for c := range columns {
					f(r, c, t.wide.regs[(r-first)*columns+c], Mem{Base: sums, Disp: 4 * t.wide.n * (r*columns + c)})
				}
			}
		}
		each(func(_, _ int, sum reg.VecPhysical, at Mem) { VMOVUPS(at, sum) })
		p.entries(fmt.Sprintf("rows%d", first), t.wide.regs[last], func() {
			each(func(row, column int, sum reg.VecPhysical, _ Mem) {
				VFMADD231PS(p.vector(row, column), t.wide.regs[last], sum)
			})
		})
		each(func(_, _ int, sum reg.VecPhysical, at Mem) { VMOVUPS(sum, at) })
	})
	VZEROUPPER()
	RET()
}

// sumMany writes the sums of sumPatches on arm64. All of a patch are in registers, those of a small one for some entries at once.
func (p *patch) sumMany(sums reg.GPVirtual, rows int) {
	t, vectors := p.t, rows*p.columns
	last := len(t.wide.regs) - 1
	atOnce := min(4, (last-1)/vectors)
	sum := func(entry, i int) reg.VecPhysical { return t.wide.regs[entry*vectors+i] }
	for i := range vectors {
		VMOVUPS(Mem{Base: sums, Disp: 4 * t.wide.n * i}, sum(0, i))
	}
	for i := vectors; i < atOnce*vectors; i++ {
		t.zero(i)
	}
	p.manyEntries("rows", atOnce, t.wide.regs[last], func(entry int) {
		for i := range vectors {
			VMOVUPS(p.vector(i/p.columns, i%p.columns), t.wide.regs[last-1])
			t.addProduct(t.wide.regs[last], t.wide.regs[last-1], sum(entry, i))
		}
	})
	for entry := 1; entry < atOnce; entry++ {
		for i := range vectors {
			VADDPS(sum(entry, i), sum(0, i), sum(0, i))
		}
	}
	for i := range vectors {
		VMOVUPS(sum(0, i), Mem{Base: sums, Disp: 4 * t.wide.n * i})
	}
}

// addPatches writes the kernel that adds a patch, times a value, to x at each offset.
func (t tier) addPatches(rows, columns int) {
	const spare = 5 // vectors of x on their way
	name := fmt.Sprintf("addPatches%dx%d%s", rows, columns, t.suffix)
	TEXT(name, NOSPLIT, "func(x, patch, values *float32, offsets *int32, n, pitch int)")
	Doc(fmt.Sprintf("%s adds patch (%d vectors), times n values, to x at n offsets.", name, rows*columns))
	weights := Load(Param("patch"), GP64()).(reg.GPVirtual)
	p := t.newPatch(rows, columns)
	last := len(t.wide.regs) - 1
	inRegisters(rows, columns, last-spare, func(first, end int) {
		weight := func(row, column int) reg.VecPhysical { return t.wide.regs[(row-first)*columns+column] }
		for r := first; r < end; r++ {
			for c := range columns {
				VMOVUPS(Mem{Base: weights, Disp: 4 * t.wide.n * (r*columns + c)}, weight(r, c))
			}
		}
		entries := p.entries
		if t.neon() {
			entries = func(label string, value reg.VecPhysical, body func()) {
				p.manyEntries(label, 1+2/columns, value, func(int) { body() })
			}
		}
		entries(fmt.Sprintf("rows%d", first), t.wide.regs[last], func() {
			for i := 0; i < (end-first)*columns; i += spare {
				some := min(spare, (end-first)*columns-i)
				step := func(f func(row, column int, x reg.VecPhysical)) {
					for j := range some {
						f(first+(i+j)/columns, (i+j)%columns, t.wide.regs[last-1-j])
					}
				}
				step(func(row, column int, x reg.VecPhysical) { VMOVUPS(p.vector(row, column), x) })
				step(func(row, column int, x reg.VecPhysical) {
					if t.neon() {
						t.addProduct(t.wide.regs[last], weight(row, column), x)
					} else {
						VFMADD231PS(weight(row, column), t.wide.regs[last], x)
					}
				})
				step(func(row, column int, x reg.VecPhysical) { VMOVUPS(x, p.vector(row, column)) })
			}
		})
	})
	VZEROUPPER()
	RET()
}

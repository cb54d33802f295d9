package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// strided is the addresses of rows: base + i*stride.
type strided struct {
	bases           []reg.GPVirtual // of rows 0, 4, 8, ...
	stride, stride3 reg.GPVirtual
	stride2         reg.GPVirtual // on arm64, where an index can't be doubled
	alone           bool          // bases are of all rows; see every
}

func (t tier) newStrided(base, stride reg.GPVirtual, rows int) strided {
	s := strided{bases: []reg.GPVirtual{base}, stride: stride}
	if t.neon() && rows > 2 {
		s.stride2 = GP64()
		LEAQ(Mem{Base: stride, Index: stride, Scale: 1}, s.stride2)
	}
	if rows > 3 {
		s.stride3 = GP64()
		LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, s.stride3)
	}
	for i := 4; i < rows; i += 4 {
		next := GP64()
		LEAQ(Mem{Base: s.bases[len(s.bases)-1], Index: stride, Scale: 4}, next)
		s.bases = append(s.bases, next)
	}
	return s
}

func (s strided) row(i int) Mem {
	if s.alone {
		return Mem{Base: s.bases[i]}
	}
	m := Mem{Base: s.bases[i/4]}
	switch i % 4 {
	case 1, 2:
		m.Index, m.Scale = s.stride, uint8(i%4)
		if i%4 == 2 && s.stride2 != nil {
			m.Index, m.Scale = s.stride2, 1
		}
	case 3:
		m.Index, m.Scale = s.stride3, 1
	}
	return m
}

// every gives each of so many rows a register of its own, for addresses with an offset: on arm64 these have no index.
func (s *strided) every(rows int) {
	bases := s.bases[:1]
	for len(bases) < rows {
		next := GP64()
		LEAQ(Mem{Base: bases[len(bases)-1], Index: s.stride, Scale: 1}, next)
		bases = append(bases, next)
	}
	s.bases, s.alone = bases, true
}

// advance moves all rows by step bytes.
func (s strided) advance(step Op) {
	for _, base := range s.bases {
		ADDQ(step, base)
	}
}

// gemm writes the matrix-product kernel: one loop for every size of tile.
func (t tier) gemm() {
	TEXT("gemm"+t.suffix, NOSPLIT,
		"func(rows, vectors, k int, a *float32, rsa, csa int, b *float32, ldb int, c *float32, ldc int, accumulate bool)")
	most := len(t.rows)
	Doc(fmt.Sprintf("gemm%s computes a tile of rows (up to %v for 1 to %d vectors) by vectors of %d columns.", t.suffix, t.rows, most, t.wide.n))
	rows := Load(Param("rows"), GP64())
	vectors := Load(Param("vectors"), GP64())
	for v := most; v >= 1; v-- {
		if v > 1 {
			CMPQ(vectors, Imm(uint64(v)))
			JNE(LabelRef(fmt.Sprintf("vectors%d", v-1)))
		}
		for r := t.rows[v-1]; r > 1; r-- {
			CMPQ(rows, Imm(uint64(r)))
			JEQ(LabelRef(fmt.Sprintf("tile%dx%d", r, v)))
		}
		for r := 1; r <= t.rows[v-1]; r++ {
			if r > 1 {
				Label(fmt.Sprintf("tile%dx%d", r, v))
			}
			t.tile(r, v)
		}
		if v > 1 {
			Label(fmt.Sprintf("vectors%d", v-1))
		}
	}
}

// tile writes the loop for one size of tile, and returns.
func (t tier) tile(rows, vectors int) {
	// The rows of c are fetched while sums are made: they are often far apart in memory.
	c := t.newStrided(parameter("c"), inBytes("ldc"), rows)
	for i := range rows {
		for j := 0; j < vectors*t.wide.n*4; j += 64 {
			m := c.row(i)
			m.Disp = j
			PREFETCHT0(m)
		}
	}
	k, csa := parameter("k"), inBytes("csa")
	a := t.newStrided(parameter("a"), inBytes("rsa"), rows)
	b, ldb := parameter("b"), inBytes("ldb")

	sum := func(i, j int) reg.VecPhysical { return t.wide.regs[i*vectors+j] }
	column := func(j int) reg.VecPhysical { return t.wide.regs[rows*vectors+j] }
	value := t.wide.regs[rows*vectors+vectors]
	width := 4 * t.wide.n
	for i := range rows {
		for j := range vectors {
			VXORPS(sum(i, j), sum(i, j), sum(i, j))
		}
	}
	loop := fmt.Sprintf("loop%dx%d", rows, vectors)
	Label(loop)
	for j := range vectors {
		VMOVUPS(Mem{Base: b, Disp: j * width}, column(j))
	}
	for i := range rows {
		t.loadFactor(a.row(i), value)
		for j := range vectors {
			t.addProduct(value, column(j), sum(i, j))
		}
	}
	a.advance(csa)
	ADDQ(ldb, b)
	DECQ(k)
	JNE(LabelRef(loop))

	c = t.newStrided(parameter("c"), inBytes("ldc"), rows)
	at := func(i, j int) Mem {
		m := c.row(i)
		m.Disp = j * width
		return m
	}
	accumulate := Load(Param("accumulate"), GP8())
	store := fmt.Sprintf("store%dx%d", rows, vectors)
	TESTB(accumulate, accumulate)
	JEQ(LabelRef(store))
	for i := range rows {
		for j := range vectors {
			VADDPS(at(i, j), sum(i, j), sum(i, j))
		}
	}
	Label(store)
	for i := range rows {
		for j := range vectors {
			VMOVUPS(sum(i, j), at(i, j))
		}
	}
	VZEROUPPER()
	RET()
}

// packAhead is how many rows before its copy a row is fetched.
const packAhead = 16

// pack writes the kernel that gathers rows of a panel from runs.
func (t tier) pack() {
	TEXT("pack"+t.suffix, NOSPLIT,
		"func(dst *float32, width int, src *float32, offsets *int32, rows int, runs *int32, n int)")
	Doc(fmt.Sprintf("pack%s copies %d values a run.", t.suffix, t.wide.n))
	dst := Load(Param("dst"), GP64())
	width := Load(Param("width"), GP64())
	src := Load(Param("src"), GP64())
	offsets := Load(Param("offsets"), GP64())
	rows := Load(Param("rows"), GP64())
	runs := Load(Param("runs"), GP64())
	end := Load(Param("n"), GP64())
	LEAQ(Mem{Base: runs, Index: end, Scale: 8}, end)
	row, ahead, run, from, to := GP64(), GP64(), GP64(), GP64(), GP64()
	Label("row")
	MOVLQSX(Mem{Base: offsets}, row)
	LEAQ(Mem{Base: src, Index: row, Scale: 4}, row)
	// Rows are often far apart in memory: one is fetched while those before it are copied.
	MOVQ(row, ahead)
	CMPQ(rows, Imm(packAhead))
	JLE(LabelRef("last"))
	MOVLQSX(Mem{Base: offsets, Disp: 4 * packAhead}, ahead)
	LEAQ(Mem{Base: src, Index: ahead, Scale: 4}, ahead)
	Label("last")
	MOVQ(runs, run)
	Label("run")
	MOVLQSX(Mem{Base: run}, from)
	MOVLQSX(Mem{Base: run, Disp: 4}, to)
	PREFETCHT0(Mem{Base: ahead, Index: from, Scale: 4})
	VMOVUPS(Mem{Base: row, Index: from, Scale: 4}, t.wide.regs[0])
	VMOVUPS(t.wide.regs[0], Mem{Base: dst, Index: to, Scale: 4})
	ADDQ(Imm(8), run)
	CMPQ(run, end)
	JNE(LabelRef("run"))
	LEAQ(Mem{Base: dst, Index: width, Scale: 4}, dst)
	ADDQ(Imm(4), offsets)
	DECQ(rows)
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}

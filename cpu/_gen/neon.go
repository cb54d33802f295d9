package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/reg"
)

// The kernels for arm64 come from the same programs as those for amd64. There the programs run with registers of four lanes,
// of which there are 32, and write AVX instructions for them. When avo has given registers to all values, translate replaces
// each instruction by the one or the few that do the same with NEON. Where NEON can do better than its translation, a program
// asks for an instruction that only NEON has: addTimesLane. At last, joinAccesses makes one instruction of loads, or of stores,
// that lie side by side.
//
// A general register of amd64 is the one with its number: RAX is R0, R15 is R15. R16 holds an address that takes more than
// one instruction, and V31 a vector from memory that an instruction of AVX would take from there itself. Constants lie where R17
// points to. Vector registers that a function leaves free hold those that it uses most.
//
// Scalar additions and multiply-adds compute all lanes, and what AVX leaves in the upper ones is not there: where a program uses them
// afterwards, they must have been 0 in an operand that multiplies or is added. Masks of VBLENDVPS have all bits of a lane equal.
//
// Go's assembler writes several instructions for some lines, such as one that loads a constant to a vector register. Inner loops
// must not have such lines, or the counts of loops.go are wrong: tools/check-arm64 looks at what the assembler writes.

// scratch is the vector register that no kernel may use. It leaves 31.
const scratch = 31

// xmm are the registers of NEON's tier: those of 128 bits that AVX-512 would have.
var xmm = lanes{4, []reg.VecPhysical{
	reg.X0, reg.X1, reg.X2, reg.X3, reg.X4, reg.X5, reg.X6, reg.X7, reg.X8, reg.X9, reg.X10,
	reg.X11, reg.X12, reg.X13, reg.X14, reg.X15, reg.X16, reg.X17, reg.X18, reg.X19, reg.X20,
	reg.X21, reg.X22, reg.X23, reg.X24, reg.X25, reg.X26, reg.X27, reg.X28, reg.X29, reg.X30,
}}

// neon reports whether the tier is arm64's.
func (t tier) neon() bool { return t.wide.n == xmm.n }

// compileNEON is avo's compilation, with the translation behind it.
var compileNEON = pass.Concat(
	pass.Verify,
	pass.FunctionPass(pass.PruneJumpToFollowingLabel),
	pass.FunctionPass(pass.PruneDanglingLabels),
	pass.FunctionPass(pass.LabelTarget),
	pass.FunctionPass(pass.CFG),
	pass.InstructionPass(pass.ZeroExtend32BitOutputs),
	pass.FunctionPass(pass.Liveness),
	pass.FunctionPass(pass.AllocateRegisters),
	pass.FunctionPass(pass.BindRegisters),
	pass.FunctionPass(pass.VerifyAllocation),
	pass.Func(pass.IncludeTextFlagHeader),
	pass.FunctionPass(pass.PruneSelfMoves),
	pass.FunctionPass(translate),
)

// Instructions that only NEON has.
const (
	timesLane = "times lane" // see addTimesLane
	firstOnly = "first only" // see moveFirst
	stepping  = "stepping"   // see loadStepping
)

// addTimesLane adds vector times one lane of value to sum.
func addTimesLane(lane int, value, vector, sum reg.VecPhysical) {
	Instruction(&ir.Instruction{Opcode: timesLane, Operands: []Op{Imm(uint64(lane)), value, vector, sum},
		Inputs: []Op{value, vector, sum}, Outputs: []Op{sum}})
}

// moveFirst loads or stores the first n values of a vector, which are one to three.
func moveFirst(n reg.Register, from, to Op) {
	Instruction(&ir.Instruction{Opcode: firstOnly, Operands: []Op{n, from, to}, Inputs: []Op{n, from}, Outputs: []Op{to}})
}

// loadStepping loads a vector from an address, and adds step to it.
func loadStepping(address, step reg.Register, vector reg.VecPhysical) {
	Instruction(&ir.Instruction{Opcode: stepping, Operands: []Op{address, step, vector}, Inputs: []Op{address, step}, Outputs: []Op{address, vector}})
}

// literals is the name of the constants that kernels ask for.
const literals = "constantsNEON"

// text is an operand in the words of Go's assembler.
type text string

func (t text) Asm() string { return string(t) }

// work is what an instruction does, seen from the parts of a processor that limit it.
type work int

const (
	isInteger  work = iota // also a jump
	isLoad                 // of memory
	isStore                // to memory
	isFMA                  // a multiply-add of vectors
	isDivision             // or a square root, of vectors
	isVector               // anything else with vectors
	isMove                 // of a vector register, which processors do without an arithmetic unit
)

// translation is the code of one function.
type translation struct {
	fn       *ir.Function
	nodes    []ir.Node
	works    map[*ir.Instruction]work
	accesses map[*ir.Instruction]access
	pairs    map[*ir.Instruction]bool // loads and stores of two vectors
	held     map[int]uint32           // registers that hold a constant, by its place
	masks    map[uint32]bool          // registers in which all bits of a lane are equal
	flags    bool                     // the instruction behind this one is a conditional jump
	labels   int
}

// translate replaces the instructions of a function by those of arm64.
func translate(fn *ir.Function) error {
	t := &translation{
		fn: fn, works: map[*ir.Instruction]work{}, accesses: map[*ir.Instruction]access{}, pairs: map[*ir.Instruction]bool{},
		held: map[int]uint32{}, masks: map[uint32]bool{},
	}
	t.holdConstants()
	if fn.LocalSize > 0 {
		fn.AllocLocal(8) // see address
	}
	for i, node := range fn.Nodes {
		in, ok := node.(*ir.Instruction)
		if !ok {
			t.nodes = append(t.nodes, node)
			continue
		}
		t.flags = false
		if i+1 < len(fn.Nodes) {
			next, ok := fn.Nodes[i+1].(*ir.Instruction)
			t.flags = ok && next.IsConditional
		}
		if err := t.instruction(in); err != nil {
			return fmt.Errorf("%s: %s %v: %w", fn.Name, in.Opcode, in.Operands, err)
		}
		t.noteMasks(in)
	}
	t.joinAccesses()
	fn.Nodes = t.nodes
	loopsOf(fn, t.works, t.pairs)
	return nil
}

// constantAt returns the place of a constant.
func constantAt(o Op) (int, bool) {
	m, ok := o.(Mem)
	return m.Disp, ok && m.Symbol.Name == literals
}

// holdConstants loads, at the start of a function, the address of the constants, and as many of those that the function uses as
// there are free registers. Where it uses more, they are the most frequent ones.
func (t *translation) holdConstants() {
	used, counts := map[uint32]bool{scratch: true}, map[int]int{}
	for _, in := range t.fn.Instructions() {
		for _, o := range in.Operands {
			if at, ok := constantAt(o); ok {
				counts[at]++
			}
			if isVectorRegister(o) {
				used[numberOf(o)] = true
			}
		}
	}
	if len(counts) == 0 {
		return
	}
	t.emit(isInteger, "MOVD", fmt.Sprintf("$%s<>(SB)", literals), "R17")
	places := slices.SortedFunc(maps.Keys(counts), func(a, b int) int {
		return cmp.Or(counts[b]-counts[a], a-b)
	})
	for register := range uint32(scratch) {
		if !used[register] && len(places) > 0 {
			t.emit(isLoad, "FMOVQ", fmt.Sprintf("%d(R17)", places[0]), fmt.Sprintf("F%d", register))
			t.held[places[0]] = register
			places = places[1:]
		}
	}
}

// noteMasks notes whether an instruction leaves a mask: comparisons do, and what combines masks. It follows the order of the code,
// not jumps.
func (t *translation) noteMasks(in *ir.Instruction) {
	all := in.Opcode == "VANDPS" || in.Opcode == "VXORPS" || in.Opcode == "VMOVAPS"
	for _, o := range in.Inputs {
		all = all && isVectorRegister(o) && t.masks[numberOf(o)]
	}
	for _, o := range in.Outputs {
		if isVectorRegister(o) {
			t.masks[numberOf(o)] = all || in.Opcode == "VCMPPS" || in.Opcode == "VPCMPEQD"
		}
	}
}

// emit writes an instruction of Go's assembler.
func (t *translation) emit(w work, opcode string, operands ...string) *ir.Instruction {
	in := &ir.Instruction{Opcode: opcode}
	if len(operands) > 0 {
		in.Operands = []Op{text(strings.Join(operands, ", "))}
	}
	t.works[in] = w
	t.nodes = append(t.nodes, in)
	return in
}

// word writes an instruction that Go's assembler doesn't know, with its name behind it as ARM writes it.
func (t *translation) word(w work, bits uint32, name string, operands ...string) {
	t.emit(w, "WORD", fmt.Sprintf("$0x%08x // %s %s", bits, name, strings.Join(operands, ", ")))
}

func numberOf(r Op) uint32 {
	p, ok := r.(reg.Physical)
	if !ok {
		panic(fmt.Sprintf("%v is no register", r))
	}
	if p.Kind() == reg.KindVector && p.PhysicalIndex() >= scratch {
		panic("the scratch register is in use")
	}
	return uint32(p.PhysicalIndex())
}

func general(r Op) string { return fmt.Sprintf("R%d", numberOf(r)) }

func isVectorRegister(o Op) bool {
	r, ok := o.(reg.Register)
	return ok && r.Kind() == reg.KindVector
}

// constant is an operand of a constant, such as $16.
func constant(o Op) (string, bool) {
	switch c := o.(type) {
	case U8:
		return fmt.Sprintf("$%d", c), true
	case U16:
		return fmt.Sprintf("$%d", c), true
	case U32:
		return fmt.Sprintf("$%d", c), true
	case U64:
		return fmt.Sprintf("$%d", c), true
	}
	return "", false
}

// value is an operand of integer arithmetic: a constant or a register.
func (t *translation) value(o Op) string {
	if c, ok := constant(o); ok {
		return c
	}
	return general(o)
}

// address returns a memory operand. With an index, it computes the address in R16.
func (t *translation) address(m Mem) string {
	switch {
	case m.Symbol.Name == literals:
		return fmt.Sprintf("%d(R17)", m.Disp)
	case m.Symbol.Name != "":
		return m.Asm() // a parameter
	case m.Base == reg.StackPointer:
		// The return address lies at 0. Variables begin at 16, since an instruction reaches a vector far from RSP only at multiples of 16.
		return fmt.Sprintf("%d(RSP)", m.Disp+16)
	}
	base := general(m.Base)
	if m.Index != nil {
		t.emit(isInteger, "ADD", shifted(m), base, "R16")
		base = "R16"
	}
	if m.Disp == 0 {
		return "(" + base + ")"
	}
	return fmt.Sprintf("%d(%s)", m.Disp, base)
}

// shifted returns the index of an address, times its scale.
func shifted(m Mem) string {
	shift := map[uint8]int{1: 0, 2: 1, 4: 2, 8: 3}[m.Scale]
	if shift == 0 {
		return general(m.Index)
	}
	return fmt.Sprintf("%s<<%d", general(m.Index), shift)
}

// vectorAt loads or stores a vector register.
func (t *translation) vectorAt(m Mem, register uint32, stores bool) {
	w, bits, name := isLoad, uint32(0x3ce06800), "ldr"
	if stores {
		w, bits, name = isStore, 0x3ca06800, "str"
	}
	if m.Index != nil && m.Disp == 0 && m.Scale == 1 {
		base, index := numberOf(m.Base), numberOf(m.Index)
		t.word(w, bits|index<<16|base<<5|register, name, fmt.Sprintf("q%d", register), fmt.Sprintf("[x%d, x%d]", base, index))
		return
	}
	if at, ok := constantAt(m); ok {
		if from, ok := t.held[at]; ok {
			t.copied(from, register)
			return
		}
	}
	from, to := t.address(m), fmt.Sprintf("F%d", register)
	if stores {
		from, to = to, from
	}
	in := t.emit(w, "FMOVQ", from, to)
	if m.Symbol.Name == "" && m.Base != reg.StackPointer && m.Index == nil {
		t.accesses[in] = access{base: numberOf(m.Base), register: register, disp: m.Disp, stores: stores}
	}
}

// one loads a value to the first lane, and 0 to the others.
func (t *translation) one(m Mem, register uint32) {
	at := ""
	if m.Index != nil && m.Disp == 0 && (m.Scale == 1 || m.Scale == 4) {
		at = fmt.Sprintf("(%s)(%s)", general(m.Base), shifted(m))
	} else {
		at = t.address(m)
	}
	t.emit(isLoad, "FMOVS", at, fmt.Sprintf("F%d", register))
}

// vector returns the number of a vector register. What is in memory is loaded to the scratch register, if no register holds it.
func (t *translation) vector(o Op) uint32 {
	if at, ok := constantAt(o); ok {
		if register, ok := t.held[at]; ok {
			return register
		}
	}
	if m, ok := o.(Mem); ok {
		t.vectorAt(m, scratch, false)
		return scratch
	}
	return numberOf(o)
}

// lanesOf names a vector register in Go's assembler.
func lanesOf(register uint32, arrangement string) string {
	return fmt.Sprintf("V%d.%s", register, arrangement)
}

// copied copies a vector register.
func (t *translation) copied(from, to uint32) {
	if from != to {
		t.emit(isMove, "VORR", lanesOf(from, "B16"), lanesOf(from, "B16"), lanesOf(to, "B16"))
	}
}

// three are instructions with two operands and a result, which Go's assembler doesn't know, by the name of AVX that means the
// same. The result of fmax and fmin is not a number if an operand is none. VMAXPS and VMINPS give the operand that avo names
// first then, and the kernels name first what may be none.
var three = map[string]struct {
	bits              uint32
	name, arrangement string
}{
	"VADDPS": {0x4e20d400, "fadd", "4s"}, "VSUBPS": {0x4ea0d400, "fsub", "4s"}, "VMULPS": {0x6e20dc00, "fmul", "4s"},
	"VDIVPS": {0x6e20fc00, "fdiv", "4s"}, "VMAXPS": {0x4e20f400, "fmax", "4s"}, "VMINPS": {0x4ea0f400, "fmin", "4s"},
	"VADDSS": {0x4e20d400, "fadd", "4s"}, "VHADDPS": {0x6e20d400, "faddp", "4s"},
	"VADDPD": {0x4e60d400, "fadd", "2d"}, "VHADDPD": {0x6e60d400, "faddp", "2d"},
}

// known are instructions of this kind that Go's assembler knows.
var known = map[string][2]string{
	"VANDPS": {"VAND", "B16"}, "VXORPS": {"VEOR", "B16"}, "VPADDD": {"VADD", "S4"}, "VPCMPEQD": {"VCMEQ", "S4"},
	"VUNPCKLPS": {"VZIP1", "S4"}, "VUNPCKHPS": {"VZIP2", "S4"}, "VUNPCKLPD": {"VZIP1", "D2"}, "VUNPCKHPD": {"VZIP2", "D2"},
}

// jumps are the jumps of amd64.
var jumps = map[string]string{"JMP": "B", "JEQ": "BEQ", "JNE": "BNE", "JLT": "BLT", "JLE": "BLE", "JGE": "BGE"}

// instruction translates one instruction.
func (t *translation) instruction(in *ir.Instruction) error {
	o := in.Operands
	if jump, ok := jumps[in.Opcode]; ok {
		t.emit(isInteger, jump, o[0].Asm())
		return nil
	}
	if op, ok := three[in.Opcode]; ok {
		m, n, d := t.vector(o[0]), numberOf(o[1]), numberOf(o[2])
		w := isVector
		if in.Opcode == "VDIVPS" {
			w = isDivision
		}
		t.word(w, op.bits|m<<16|n<<5|d, op.name, arranged(d, op.arrangement), arranged(n, op.arrangement), arranged(m, op.arrangement))
		return nil
	}
	if op, ok := known[in.Opcode]; ok {
		if in.Opcode == "VXORPS" && o[0] == o[1] {
			t.emit(isVector, "VMOVI", "$0", lanesOf(numberOf(o[2]), "B16"))
			return nil
		}
		m, n, d := t.vector(o[0]), numberOf(o[1]), numberOf(o[2])
		t.emit(isVector, op[0], lanesOf(m, op[1]), lanesOf(n, op[1]), lanesOf(d, op[1]))
		return nil
	}
	switch in.Opcode {
	case "RET":
		t.emit(isInteger, "RET")
	case "VZEROUPPER":
	case "MOVQ", "MOVL", "MOVB", "MOVLQSX", "MOVBLZX":
		t.moved(in.Opcode, o[0], o[1])
	case "ADDQ":
		t.arithmetic("ADD", t.value(o[0]), o[1])
	case "SUBQ":
		t.arithmetic("SUB", t.value(o[0]), o[1])
	case "DECQ":
		t.arithmetic("SUB", "$1", o[0])
	case "SHLQ":
		t.emit(isInteger, "LSL", t.value(o[0]), general(o[1]), general(o[1]))
	case "LEAQ":
		m := o[0].(Mem)
		if m.Index == nil || m.Disp != 0 {
			return fmt.Errorf("an address without an index")
		}
		t.emit(isInteger, "ADD", shifted(m), general(m.Base), general(o[1]))
	case "CMPQ":
		t.emit(isInteger, "CMP", t.value(o[1]), general(o[0]))
	case "TESTQ", "TESTB":
		if o[0] == o[1] {
			t.emit(isInteger, "CMP", "$0", general(o[0]))
		} else {
			t.emit(isInteger, "TST", t.value(o[0]), general(o[1]))
		}
	case "PREFETCHT0":
		t.emit(isInteger, "PRFM", t.address(o[0].(Mem)), "PLDL1KEEP")
	case "VMOVUPS", "VMOVAPS", "VMOVDQU":
		from, loads := o[0].(Mem)
		to, stores := o[1].(Mem)
		switch {
		case loads:
			t.vectorAt(from, numberOf(o[1]), false)
		case stores:
			t.vectorAt(to, numberOf(o[0]), true)
		default:
			t.copied(numberOf(o[0]), numberOf(o[1]))
		}
	case "VMOVSS", "MOVSD": // MOVSD is avo's, for a result
		if from, loads := o[0].(Mem); loads {
			t.one(from, numberOf(o[1]))
			break
		}
		t.emit(isStore, map[string]string{"VMOVSS": "FMOVS", "MOVSD": "FMOVD"}[in.Opcode], fmt.Sprintf("F%d", numberOf(o[0])), t.address(o[1].(Mem)))
	case "VBROADCASTSS":
		to := numberOf(o[1])
		t.one(o[0].(Mem), to)
		t.emit(isVector, "VDUP", fmt.Sprintf("V%d.S[0]", to), lanesOf(to, "S4"))
	case "VMOVD": // the lanes above the first are not 0 here
		t.emit(isVector, "VDUP", general(o[0]), lanesOf(numberOf(o[1]), "S4"))
	case "VPBROADCASTD":
		t.emit(isVector, "VDUP", fmt.Sprintf("V%d.S[0]", numberOf(o[0])), lanesOf(numberOf(o[1]), "S4"))
	case "VFMADD231PS", "VFMADD231SS":
		m := uint32(scratch)
		if one, ok := o[0].(Mem); ok && in.Opcode == "VFMADD231SS" {
			t.one(one, scratch)
		} else {
			m = t.vector(o[0])
		}
		t.emit(isFMA, "VFMLA", lanesOf(m, "S4"), lanesOf(numberOf(o[1]), "S4"), lanesOf(numberOf(o[2]), "S4"))
	case "VFMADD231PD", "VFMADD231SD":
		t.emit(isFMA, "VFMLA", lanesOf(numberOf(o[0]), "D2"), lanesOf(numberOf(o[1]), "D2"), lanesOf(numberOf(o[2]), "D2"))
	case "VFNMADD231PS":
		t.emit(isFMA, "VFMLS", lanesOf(t.vector(o[0]), "S4"), lanesOf(numberOf(o[1]), "S4"), lanesOf(numberOf(o[2]), "S4"))
	case timesLane:
		lane, m, n, d := uint32(o[0].(U8)), numberOf(o[1]), numberOf(o[2]), numberOf(o[3])
		t.word(isFMA, 0x4f801000|lane&1<<21|lane>>1<<11|m<<16|n<<5|d, "fmla", arranged(d, "4s"), arranged(n, "4s"), fmt.Sprintf("v%d.s[%d]", m, lane))
	case "VSQRTPS":
		n, d := t.vector(o[0]), numberOf(o[1])
		t.word(isDivision, 0x6ea1f800|n<<5|d, "fsqrt", arranged(d, "4s"), arranged(n, "4s"))
	case "VCVTDQ2PS":
		n, d := numberOf(o[0]), numberOf(o[1])
		t.word(isVector, 0x4e21d800|n<<5|d, "scvtf", arranged(d, "4s"), arranged(n, "4s"))
	case "VCVTPS2PD":
		d := numberOf(o[1])
		t.emit(isLoad, "FMOVD", t.address(o[0].(Mem)), fmt.Sprintf("F%d", d))
		t.word(isVector, 0x0e617800|d<<5|d, "fcvtl", arranged(d, "2d"), arranged(d, "2s"))
	case "VCVTSS2SD":
		d := numberOf(o[2])
		t.one(o[0].(Mem), d)
		t.emit(isVector, "FCVTSD", fmt.Sprintf("F%d", d), fmt.Sprintf("F%d", d))
	case "VCVTSI2SSL":
		t.emit(isVector, "SCVTFWS", general(o[0]), fmt.Sprintf("F%d", numberOf(o[2])))
	case "VPMOVZXBD":
		d := numberOf(o[1])
		t.one(o[0].(Mem), d)
		t.emit(isVector, "VUXTL", lanesOf(d, "B8"), lanesOf(d, "H8"))
		t.emit(isVector, "VUXTL", lanesOf(d, "H4"), lanesOf(d, "S4"))
	case "VPSLLD":
		t.emit(isVector, "VSHL", t.value(o[0]), lanesOf(numberOf(o[1]), "S4"), lanesOf(numberOf(o[2]), "S4"))
	case "VSHUFPS": // the values at even places of two vectors, or at odd ones
		name := map[U8]string{0x88: "VUZP1", 0xdd: "VUZP2"}[o[0].(U8)]
		if name == "" {
			return fmt.Errorf("unknown order")
		}
		t.emit(isVector, name, lanesOf(numberOf(o[1]), "S4"), lanesOf(numberOf(o[2]), "S4"), lanesOf(numberOf(o[3]), "S4"))
	case "VCMPPS":
		return t.compare(o)
	case "VBLENDVPS":
		return t.choice(numberOf(o[0]), numberOf(o[1]), numberOf(o[2]), numberOf(o[3]))
	case firstOnly:
		return t.first(o)
	case stepping:
		t.emit(isLoad, "VLD1.P", fmt.Sprintf("(%s)(%s)", general(o[0]), general(o[1])), fmt.Sprintf("[V%d.S4]", numberOf(o[2])))
	default:
		return fmt.Errorf("no translation")
	}
	return nil
}

func arranged(register uint32, arrangement string) string {
	return fmt.Sprintf("v%d.%s", register, arrangement)
}

// moved translates a move between general registers, memory and constants.
func (t *translation) moved(opcode string, from, to Op) {
	name := map[string]string{"MOVQ": "MOVD", "MOVL": "MOVWU", "MOVB": "MOVBU", "MOVLQSX": "MOVW", "MOVBLZX": "MOVBU"}[opcode]
	if m, ok := from.(Mem); ok {
		t.emit(isLoad, name, t.address(m), general(to))
		return
	}
	if m, ok := to.(Mem); ok {
		t.emit(isStore, name, general(from), t.address(m))
		return
	}
	if _, ok := constant(from); ok || opcode == "MOVQ" {
		name = "MOVD"
	}
	t.emit(isInteger, name, t.value(from), general(to))
}

// arithmetic adds to a register or subtracts from it, or does so with a parameter or a variable.
func (t *translation) arithmetic(opcode, by string, to Op) {
	if t.flags {
		opcode += "S"
	}
	m, ok := to.(Mem)
	if !ok {
		t.emit(isInteger, opcode, by, general(to), general(to))
		return
	}
	if m.Index != nil {
		panic("R16 would hold an address and a value")
	}
	t.emit(isLoad, "MOVD", t.address(m), "R16")
	t.emit(isInteger, opcode, by, "R16", "R16")
	t.emit(isStore, "MOVD", "R16", t.address(m))
}

// compare translates a comparison of a with b.
func (t *translation) compare(o []Op) error {
	b, a, d := t.vector(o[1]), numberOf(o[2]), numberOf(o[3])
	const equals, atLeast, above = 0x4e20e400, 0x6e20e400, 0x6ea0e400
	names := map[uint32]string{equals: "fcmeq", atLeast: "fcmge", above: "fcmgt"}
	compare := func(bits, n, m uint32) {
		t.word(isVector, bits|m<<16|n<<5|d, names[bits], arranged(d, "4s"), arranged(n, "4s"), arranged(m, "4s"))
	}
	not := func() { t.word(isVector, 0x6e205800|d<<5|d, "mvn", arranged(d, "16b"), arranged(d, "16b")) }
	switch o[0].(U8) {
	case less:
		compare(above, b, a)
	case lessOrEqual:
		compare(atLeast, b, a)
	case greater:
		compare(above, a, b)
	case equal:
		compare(equals, a, b)
	case notEqual:
		compare(equals, a, b)
		not()
	case greaterOrNo:
		compare(atLeast, b, a)
		not()
	default:
		return fmt.Errorf("unknown comparison")
	}
	return nil
}

// choice translates a choice between two vectors by a mask.
func (t *translation) choice(mask, yes, no, to uint32) error {
	if !t.masks[mask] {
		return fmt.Errorf("no comparison made the mask, of which not only the signs count here")
	}
	b := func(r uint32) string { return lanesOf(r, "B16") }
	switch to {
	case mask:
		t.emit(isVector, "VBSL", b(no), b(yes), b(to))
	case yes:
		t.emit(isVector, "VBIF", b(mask), b(no), b(to))
	default:
		t.copied(no, to)
		t.emit(isVector, "VBIT", b(mask), b(yes), b(to))
	}
	return nil
}

// first loads or stores one to three values. Lanes that are not loaded become 0.
func (t *translation) first(o []Op) error {
	n, w, lane := general(o[0]), isLoad, "VLD1"
	at, loads := o[1].(Mem)
	stores, register := !loads, o[2]
	if stores {
		at, register = o[2].(Mem), o[1]
		w, lane = isStore, "VST1"
	}
	if at.Disp != 0 || at.Index != nil {
		return fmt.Errorf("an address that is not a register")
	}
	r := numberOf(register)
	transfer := func(opcode, value, at string) {
		if stores {
			t.emit(w, opcode, value, at)
		} else {
			t.emit(w, opcode, at, value)
		}
	}
	t.labels++
	end := fmt.Sprintf("first%d", t.labels)
	transfer("FMOVS", fmt.Sprintf("F%d", r), t.address(at))
	t.emit(isInteger, "CMP", "$2", n)
	t.emit(isInteger, "BLT", end)
	for i := 1; i < 3; i++ {
		t.emit(isInteger, "ADD", fmt.Sprintf("$%d", 4*i), general(at.Base), "R16")
		transfer(lane, fmt.Sprintf("V%d.S[%d]", r, i), "(R16)")
		if i == 1 {
			t.emit(isInteger, "BEQ", end)
		}
	}
	t.nodes = append(t.nodes, ir.Label(end))
	return nil
}

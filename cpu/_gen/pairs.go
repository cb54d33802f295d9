package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
)

// An access loads or stores a whole vector register, at base + disp.
type access struct {
	base, register uint32
	disp           int
	stores         bool
}

// at returns the address in the words of Go's assembler.
func (a access) at() string {
	if a.disp == 0 {
		return fmt.Sprintf("(R%d)", a.base)
	}
	return fmt.Sprintf("%d(R%d)", a.disp, a.base)
}

// elementwise are the functions whose arrays are either the same or apart, and whose pointers move alike. What their loop
// "some" stores at one offset is never what it loads at another.
var elementwise = []string{"copyRows", "normalizeVectors", "normalizeVectorsAdd", "normalizeVectorsReLU", "normalizeVectorsAddReLU", "normalizeVectorsBack", "normalizeVectorsBackAdd"}

// joined are the functions of elementwise that were found.
var joined = map[string]bool{}

// joinAccesses makes one instruction of two that load, or store, vectors side by side, and of one with an addition to its
// address behind it. Neither changes what is computed. Both leave the processor fewer instructions to decode.
func (t *translation) joinAccesses() {
	block, label := []ir.Node{}, ""
	var out []ir.Node
	flush := func() {
		name := strings.TrimSuffix(t.fn.Name, tiers["neon"].suffix)
		apart := label == "some" && slices.Contains(elementwise, name)
		if apart {
			joined[name] = true
		}
		out = append(out, t.advanced(t.paired(block, apart))...)
		block = nil
	}
	for _, node := range t.nodes {
		if l, ok := node.(ir.Label); ok {
			flush()
			label = string(l)
		}
		block = append(block, node)
		if in, ok := node.(*ir.Instruction); ok && t.jumps(in) {
			flush()
			label = "" // what follows a jump is another part
		}
	}
	flush()
	t.nodes = out
}

func (t *translation) jumps(in *ir.Instruction) bool {
	return t.works[in] == isInteger && (strings.HasPrefix(in.Opcode, "B") || in.Opcode == "RET")
}

// paired joins accesses side by side in a part of the code without labels and jumps inside. Loads move up to the first one of
// both, stores down to the second one.
func (t *translation) paired(block []ir.Node, apart bool) []ir.Node {
	for i := 0; i < len(block); i++ {
		first, ok := t.accessOf(block[i])
		if !ok {
			continue
		}
		for j := i + 1; j < len(block); j++ {
			second, ok := t.accessOf(block[j])
			if ok && second.stores == first.stores && second.base == first.base && second.disp == first.disp+16 && first.register != second.register {
				if first.disp < -1024 || first.disp > 1008 || first.disp%16 != 0 {
					break
				}
				if !first.stores && slices.ContainsFunc(block[i+1:j], func(node ir.Node) bool { return mentions(node.(*ir.Instruction), "[VFvq]", second.register) }) {
					break
				}
				joined := t.pair(first, second)
				if first.stores {
					block[j] = joined
					block = slices.Delete(block, i, i+1)
					i--
				} else {
					block[i] = joined
					block = slices.Delete(block, j, j+1)
				}
				break
			}
			// A load's partner moves up past block[j]. A store moves down past it.
			moving := first
			if !first.stores {
				moving.disp += 16
			}
			if !t.passes(moving, block[j], apart) {
				break
			}
		}
	}
	return block
}

// passes reports whether an access can change places with an instruction. Of a load, the register isn't known yet. With apart,
// loads and stores at different offsets reach different memory.
func (t *translation) passes(a access, node ir.Node, apart bool) bool {
	in, ok := node.(*ir.Instruction)
	if !ok {
		return false
	}
	w := t.works[in]
	if (w == isInteger || strings.HasPrefix(in.Opcode, "MOV") || strings.HasSuffix(in.Opcode, ".P")) && mentions(in, "[Rx]", a.base) {
		return false // it may change the address, as loadStepping's instruction does
	}
	other, known := t.accessOf(node)
	if w == isStore || a.stores && w == isLoad {
		return apart && known && other.disp != a.disp
	}
	return !a.stores || !mentions(in, "[VFvq]", a.register)
}

func (t *translation) accessOf(node ir.Node) (access, bool) {
	in, ok := node.(*ir.Instruction)
	if !ok {
		return access{}, false
	}
	a, ok := t.accesses[in]
	return a, ok
}

// pair returns the instruction for two accesses side by side.
func (t *translation) pair(first, second access) *ir.Instruction {
	registers := fmt.Sprintf("(F%d, F%d)", first.register, second.register)
	in := &ir.Instruction{Opcode: "FLDPQ", Operands: []operand.Op{text(first.at() + ", " + registers)}}
	t.works[in] = isLoad
	if first.stores {
		in.Opcode, in.Operands = "FSTPQ", []operand.Op{text(registers + ", " + first.at())}
		t.works[in] = isStore
	}
	t.pairs[in] = true
	return in
}

var addition = regexp.MustCompile(`^\$(\d+), R(\d+), R(\d+)$`)

// advanced lets accesses add to their addresses, where an addition follows.
func (t *translation) advanced(block []ir.Node) []ir.Node {
	for j := 0; j < len(block); j++ {
		add, ok := block[j].(*ir.Instruction)
		if !ok || add.Opcode != "ADD" {
			continue
		}
		m := addition.FindStringSubmatch(add.Operands[0].Asm())
		if m == nil || m[2] != m[3] {
			continue
		}
		var by, base uint32
		fmt.Sscan(m[1], &by)
		fmt.Sscan(m[2], &base)
		for i := j - 1; i >= 0; i-- {
			in, ok := block[i].(*ir.Instruction)
			if !ok {
				break
			}
			if !mentions(in, "[Rx]", base) {
				continue
			}
			plain := fmt.Sprintf("(R%d)", base)
			operands := in.Operands[0].Asm()
			most := map[string]uint32{"FMOVQ": 255, "FMOVS": 255, "FLDPQ": 1008, "FSTPQ": 1008}[in.Opcode]
			if by > most || t.pairs[in] && by%16 != 0 || !startsOrEndsWith(operands, plain) {
				break
			}
			in.Opcode += ".P"
			in.Operands = []operand.Op{text(strings.Replace(operands, plain, fmt.Sprintf("%d(R%d)", by, base), 1))}
			block = slices.Delete(block, j, j+1)
			j--
			break
		}
	}
	return block
}

// startsOrEndsWith reports whether an address is a whole operand.
func startsOrEndsWith(operands, at string) bool {
	return strings.HasPrefix(operands, at+",") || strings.HasSuffix(operands, ", "+at)
}

// mentions reports whether an instruction names a register.
func mentions(in *ir.Instruction, letters string, register uint32) bool {
	if len(in.Operands) == 0 {
		return false
	}
	return regexp.MustCompile(fmt.Sprintf(`\b%s%d\b`, letters, register)).MatchString(in.Operands[0].Asm())
}

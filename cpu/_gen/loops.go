package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/mmcloughlin/avo/ir"
)

// processor says how much a processor does at most in a cycle, by what its maker or others publish.
type processor struct {
	name                                    string
	arithmetic, loads, stores, instructions float64 // a cycle; of vectors, except for the instructions
	memory                                  float64 // loads and stores together, of which a store counts as storing says
	storing                                 float64
	storingArithmetic                       float64 // arithmetic units that a store takes
	division                                float64 // cycles that the dividers take for a division or root of a vector; 0: not known, as other arithmetic
	multiplyAddLatency, otherLatency        float64 // cycles from a sum to the next addition to it
}

// processors are those of docs/arm64.md, which says where the figures come from.
var processors = []processor{
	{"Apple M1 to M4", 4, 3, 2, 8, 4, 1, 0, 0, 4, 3},
	{"Neoverse N1", 2, 2, 1, 4, 2, 2, 2, 7, 2, 2},
	{"Neoverse V1", 4, 3, 2, 8, 3, 1, 1, 3.5, 2, 2},
	{"Neoverse V2", 4, 3, 2, 8, 3, 1, 1, 4.5, 2, 2},
}

// loop is an inner loop of a kernel: what one round of it does.
type loop struct {
	function, label string
	works           [isMove + 1]int
	pairs           int                                // instructions that load or store two vectors
	chain           struct{ multiplyAdds, others int } // the longest of additions to one sum
}

// loops are the inner loops of all kernels so far.
var loops []loop

var register = regexp.MustCompile(`\b[vVFq](\d+)\b`)

// loopsOf finds the inner loops of a function.
func loopsOf(fn *ir.Function, works map[*ir.Instruction]work, pairs map[*ir.Instruction]bool) {
	at := map[string]int{}
	for i, node := range fn.Nodes {
		if l, ok := node.(ir.Label); ok {
			at[string(l)] = i
		}
	}
	type span struct{ from, to int }
	var spans []span
	target := func(node ir.Node) (int, bool) {
		in, ok := node.(*ir.Instruction)
		if !ok || !strings.HasPrefix(in.Opcode, "B") || len(in.Operands) != 1 {
			return 0, false
		}
		to, ok := at[in.Operands[0].Asm()]
		return to, ok
	}
	for i, node := range fn.Nodes {
		if from, ok := target(node); ok && from < i {
			spans = append(spans, span{from, i})
		}
	}
	for _, s := range spans {
		inner := true
		for _, o := range spans {
			within := o.from >= s.from && o.to <= s.to && o != s
			leaves := o.to > s.from && o.to < s.to && o.from < s.from // s is not a loop: it jumps into one
			inner = inner && !within && !leaves
		}
		if inner {
			loops = append(loops, newLoop(fn, works, pairs, s.from, s.to))
		}
	}
}

func newLoop(fn *ir.Function, works map[*ir.Instruction]work, pairs map[*ir.Instruction]bool, from, to int) loop {
	l := loop{function: strings.TrimSuffix(fn.Name, tiers["neon"].suffix), label: string(fn.Nodes[from].(ir.Label))}
	type sum struct {
		multiplyAdds, others int
		fresh                bool // begins anew in each round
	}
	sums := map[string]*sum{}
	for _, node := range fn.Nodes[from : to+1] {
		in, ok := node.(*ir.Instruction)
		if !ok {
			continue
		}
		w := works[in]
		l.works[w]++
		if pairs[in] {
			l.works[w]++
			l.pairs++
		}
		if w == isInteger || w == isStore || len(in.Operands) == 0 {
			continue
		}
		words := in.Operands[0].Asm()
		registers := register.FindAllStringSubmatch(words, -1)
		if len(registers) == 0 {
			continue
		}
		result, sources := registers[len(registers)-1][1], registers[:len(registers)-1]
		if in.Opcode == "WORD" {
			result, sources = registers[0][1], registers[1:]
		}
		if pairs[in] {
			sums[sources[0][1]] = &sum{fresh: true}
		}
		s := sums[result]
		if s == nil {
			s = &sum{}
			sums[result] = s
		}
		adds := w == isFMA
		for _, r := range sources {
			adds = adds || (w == isVector || w == isDivision) && r[1] == result
		}
		switch {
		case !adds:
			s.fresh = true
		case w == isFMA:
			s.multiplyAdds++
		default:
			s.others++
		}
	}
	for _, s := range sums {
		if !s.fresh {
			l.chain.multiplyAdds = max(l.chain.multiplyAdds, s.multiplyAdds)
			l.chain.others = max(l.chain.others, s.others)
		}
	}
	return l
}

// bound is the least number of cycles that a round's arithmetic, loads and stores take on a processor.
func (l loop) bound(p processor) float64 {
	divisions, loads, stores := float64(l.works[isDivision]), float64(l.works[isLoad]), float64(l.works[isStore])
	arithmetic := float64(l.works[isFMA]+l.works[isVector]) + divisions
	return max(divisions*p.division, (arithmetic+p.storingArithmetic*stores)/p.arithmetic, loads/p.loads, stores/p.stores, (loads+p.storing*stores)/p.memory, (arithmetic+loads+stores-float64(l.pairs))/p.instructions)
}

// cycles is how many a round takes when its other instructions count too, and sums that wait for themselves.
func (l loop) cycles(p processor) float64 {
	all := -l.pairs
	for _, n := range l.works {
		all += n
	}
	chain := max(float64(l.chain.multiplyAdds)*p.multiplyAddLatency, float64(l.chain.others)*p.otherLatency)
	return max(l.bound(p), float64(all)/p.instructions, chain)
}

var tileSize = regexp.MustCompile(`^(.*?)(\d+)(?:x(\d+))?$`)

// shown are the loops that the table shows: of tiles of all sizes, the tallest of each width.
func shown() []loop {
	tallest := map[string]int{} // by function, kind and width
	key := func(l loop) (string, int) {
		m := tileSize.FindStringSubmatch(l.label)
		if m == nil {
			return "", 0
		}
		rows, _ := strconv.Atoi(m[2])
		return l.function + " " + m[1] + " " + m[3], rows
	}
	for _, l := range loops {
		k, rows := key(l)
		tallest[k] = max(tallest[k], rows)
	}
	many := map[string]bool{} // functions with a loop that takes several vectors at once, besides one for the rest
	for _, l := range loops {
		many[l.function] = many[l.function] || takesMany(l)
	}
	var out []loop
	for _, l := range loops {
		k, rows := key(l)
		rest := many[l.function] && !takesMany(l) || strings.HasPrefix(l.label, "position") && tallest[strings.Replace(k, "position", "positions", 1)] == rows
		if (k == "" || rows == tallest[k]) && !rest {
			out = append(out, l)
		}
	}
	return out
}

// takesMany reports whether a loop takes several vectors at once, and so leaves a rest.
func takesMany(l loop) bool { return strings.HasSuffix(l.label, "some") || l.label == "four" }

// table returns the inner loops and what they can reach, as a page in Markdown.
func table() string {
	var b strings.Builder
	b.WriteString("| kernel | loop | multiply-adds | divisions | other arithmetic | loads | stores | moves | the rest |")
	line := "\n|---|---|---|---|---|---|---|---|---|"
	for _, p := range processors {
		fmt.Fprintf(&b, " %s |", p.name)
		line += "---|"
	}
	b.WriteString(line + "\n")
	list := shown()
	sort.SliceStable(list, func(i, j int) bool { return list[i].works[isFMA] > 0 && list[j].works[isFMA] == 0 })
	for _, l := range list {
		w := l.works
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %d | %d |", l.function, l.label, w[isFMA], w[isDivision], w[isVector], w[isLoad], w[isStore], w[isMove], w[isInteger])
		for _, p := range processors {
			share := 100 * l.bound(p) / l.cycles(p)
			if w[isFMA] > 0 {
				fmt.Fprintf(&b, " %.1f of %.1f, %.0f %% |", float64(4*w[isFMA])/l.cycles(p), float64(4*w[isFMA])/l.bound(p), share)
			} else {
				fmt.Fprintf(&b, " %.0f %% |", share)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// least is the share of its bound that a loop with multiply-adds must reach on every processor, in per cent.
const least = 85

// below are the loops that don't reach it. The page would have to say why.
var below []string

// checkShares fails if other loops than those don't reach their share.
func checkShares() error {
	var got []string
	for _, l := range shown() {
		share := 100.0
		for _, p := range processors {
			share = min(share, 100*l.bound(p)/l.cycles(p))
		}
		if l.works[isFMA] > 0 && share < least {
			got = append(got, l.function+" "+l.label)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, below) {
		return fmt.Errorf("loops that don't reach %d %% of their bound: %q, but loops.go and the page name %q", least, got, below)
	}
	return nil
}

// checkJoined fails if elementwise names a function without the loop that it is about.
func checkJoined() error {
	for _, name := range elementwise {
		if !joined[name] {
			return fmt.Errorf("pairs.go names %s, which has no loop \"some\"", name)
		}
	}
	return nil
}

// Lines round the table in the page that holds it.
const tableBegin, tableEnd = "<!-- The table is written by cpu/_gen. -->\n", "<!-- The end of the table. -->\n"

// writeTable puts the table into a page.
func writeTable(name string) {
	if err := errors.Join(checkShares(), checkJoined()); err != nil {
		log.Fatal(err)
	}
	page, err := os.ReadFile(name)
	if err != nil {
		log.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		log.Fatalf("%s has no place for the table", name)
	}
	if err := os.WriteFile(name, []byte(before+tableBegin+"\n"+table()+"\n"+tableEnd+after), 0o644); err != nil {
		log.Fatal(err)
	}
}

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// chains are independent sums: more than latency times issue ports of any processor with these instructions. Apple's have four
// ports and a latency of four cycles.
func (t tier) chains() int {
	if t.neon() {
		return 24
	}
	return 12
}

// mulAdds does nothing but multiply-adds on registers, to measure how many a second there can be.
func (t tier) mulAdds() {
	TEXT("mulAdds"+t.suffix, NOSPLIT, "func(rounds int)")
	Doc(fmt.Sprintf("mulAdds%s does %d multiply-adds a round.", t.suffix, t.chains()*t.wide.n))
	n, chains := Load(Param("rounds"), GP64()), t.chains()
	for r := range chains + 2 {
		t.zero(r)
	}
	Label("round")
	for r := range chains {
		VFMADD231PS(t.wide.regs[chains], t.wide.regs[chains+1], t.wide.regs[r])
	}
	DECQ(n)
	JNE(LabelRef("round"))
	VZEROUPPER()
	RET()
}

// triad is the loop by which memory bandwidth is measured (McCalpin's STREAM).
func (t tier) triad() {
	TEXT("triad"+t.suffix, NOSPLIT, "func(dst, x, y []float32, s float32)")
	Doc(fmt.Sprintf("triad%s writes x + s*y to dst.", t.suffix))
	dst, x, y := slice("dst"), slice("x"), slice("y")
	s, err := Param("s").Resolve()
	if err != nil {
		panic(err)
	}
	t.broadcast(s.Addr, 2)
	t.each("dst", map[reg.Register]int{dst: 4, x: 4, y: 4}, func(l lanes) {
		load(l, at(x), 0)
		load(l, at(y), 1)
		VFMADD231PS(l.regs[1], l.regs[2], l.regs[0])
		store(l, 0, at(dst))
	})
	VZEROUPPER()
	RET()
}

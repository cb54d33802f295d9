package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

// products writes the kernels that multiply values by values or by a number.
func (t tier) products() {
	for _, adds := range []bool{false, true} {
		name, doc := "mul", "sets dst to a*b"
		if adds {
			name, doc = "mulAdd", "adds a*b to dst"
		}
		TEXT(name+t.suffix, NOSPLIT, "func(dst, a, b []float32)")
		Doc(fmt.Sprintf("%s%s %s.", name, t.suffix, doc))
		dst, a, b := slice("dst"), slice("a"), slice("b")
		t.each("dst", map[reg.Register]int{dst: 4, a: 4, b: 4}, func(l lanes) {
			load(l, at(a), 0)
			load(l, at(b), 1)
			if adds {
				load(l, at(dst), 2)
				VFMADD231PS(l.regs[1], l.regs[0], l.regs[2])
			} else {
				VMULPS(l.regs[1], l.regs[0], l.regs[2])
			}
			store(l, 2, at(dst))
		})
		VZEROUPPER()
		RET()

		name, doc = "scale", "sets dst to s*x"
		if adds {
			name, doc = "scaleAdd", "adds s*x to dst"
		}
		TEXT(name+t.suffix, NOSPLIT, "func(dst, x []float32, s float32)")
		Doc(fmt.Sprintf("%s%s %s.", name, t.suffix, doc))
		s, err := Param("s").Resolve()
		if err != nil {
			panic(err)
		}
		t.broadcast(s.Addr, 3)
		to, x := slice("dst"), slice("x")
		t.each("dst", map[reg.Register]int{to: 4, x: 4}, func(l lanes) {
			load(l, at(x), 0)
			if adds {
				load(l, at(to), 2)
				VFMADD231PS(l.regs[3], l.regs[0], l.regs[2])
			} else {
				VMULPS(l.regs[3], l.regs[0], l.regs[2])
			}
			store(l, 2, at(to))
		})
		VZEROUPPER()
		RET()
	}
}

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Kernels of convolutions whose images are planes of vectors; see asm/blocked.go.

// Channels that one round of an inner loop of convolve takes: of the loop for positions side by side, and of the other.
const (
	depthNear = 4
	depthFar  = 2
)

// weightsAhead is how many channels before their use weights are fetched. If they come from the L3 cache, or from memory,
// they are there in time.
const weightsAhead = 16

// convolve writes the kernel that computes tiles of some positions by some vectors of filters: one loop for every size of tile.
func (t tier) convolve() {
	TEXT("convolve"+t.suffix, NOSPLIT,
		"func(positions, vectors int, y *float32, yStep, distance int, x *float32, xStep, count, yNext, xNext int, taps *int32, n int, w, bias *float32, flags int)")
	Doc(fmt.Sprintf("convolve%s computes count tiles of positions (up to %v for 1 to %d vectors) by vectors of %d filters.",
		t.suffix, t.positions, len(t.positions), t.wide.n))
	t.sizes("positions", t.positions, t.convolveTile)
}

// sizes writes a loop for each size of a tile: for 1 to len(most) vectors, up to most[vectors-1] rows.
func (t tier) sizes(parameter string, most []int, tile func(rows, vectors int)) {
	rows, vectors := Load(Param(parameter), GP64()), Load(Param("vectors"), GP64())
	for v := len(most); v >= 1; v-- {
		if v > 1 {
			CMPQ(vectors, Imm(uint64(v)))
			JNE(LabelRef(fmt.Sprintf("vectors%d", v-1)))
		}
		for r := most[v-1]; r > 1; r-- {
			CMPQ(rows, Imm(uint64(r)))
			JEQ(LabelRef(fmt.Sprintf("tile%dx%d", r, v)))
		}
		for r := 1; r <= most[v-1]; r++ {
			if r > 1 {
				Label(fmt.Sprintf("tile%dx%d", r, v))
			}
			tile(r, v)
		}
		if v > 1 {
			Label(fmt.Sprintf("vectors%d", v-1))
		}
	}
}

// Flags of convolve.
const (
	flagAdd   = 1 // add to y, instead of writing
	flagReLU  = 2
	flagReLU6 = 4
)

func (t tier) convolveTile(positions, vectors int) {
	width := 4 * t.wide.n
	r := t.wide.regs
	sum := func(i, v int) reg.VecPhysical { return r[i*vectors+v] }
	weight := func(v int) reg.VecPhysical { return r[positions*vectors+v] }
	value := r[positions*vectors+vectors]
	label := func(name string) string { return fmt.Sprintf("%s%dx%d", name, positions, vectors) }

	next := again(label("again"))
	bias := parameter("bias")
	for v := range vectors {
		VMOVUPS(Mem{Base: bias, Disp: v * width}, sum(0, v))
	}
	for i := 1; i < positions; i++ {
		for v := range vectors {
			VMOVAPS(sum(0, v), sum(i, v))
		}
	}
	x, taps, n, w := parameter("x"), parameter("taps"), parameter("n"), parameter("w")
	depth, xStep := GP64(), inBytes("xStep")
	// sums writes the loops over taps and channels. row is where the values of a position lie.
	sums := func(name string, atOnce int, row func(i int) Mem, begin func(), bases []reg.GPVirtual) {
		label := func(part string) string { return label(name + part) }
		weights := func(l int) {
			for v := range vectors {
				VMOVUPS(Mem{Base: w, Disp: (l*vectors + v) * width}, weight(v))
			}
			if at := l * vectors * width; vectors > 1 {
				for line := (at + 63) / 64 * 64; line < at+vectors*width; line += 64 {
					PREFETCHT0(Mem{Base: w, Disp: weightsAhead*vectors*width + line})
				}
			}
		}
		each := func(l int) {
			weights(l)
			for i := range positions {
				m := row(i)
				m.Disp += 4 * l
				if t.embeds(vectors) {
					VFMADD231PS_BCST(m, weight(0), sum(i, 0))
					continue
				}
				t.loadFactor(m, value)
				for v := range vectors {
					t.addProduct(value, weight(v), sum(i, v))
				}
			}
		}
		// On arm64 a vector of values is loaded at once, and its lanes are multiplied one after the other.
		fours := func() {
			values := r[(positions+1)*vectors:]
			for i := range positions {
				VMOVUPS(row(i), values[i])
			}
			for l := range t.wide.n {
				weights(l)
				for i := range positions {
					for v := range vectors {
						addTimesLane(l, values[i], weight(v), sum(i, v))
					}
				}
			}
		}
		advance := func(l int) {
			for _, base := range bases {
				ADDQ(Imm(uint64(4*l)), base)
			}
			ADDQ(U32(l*vectors*width), w)
		}
		Label(label("tap"))
		begin()
		MOVLQSX(Mem{Base: taps, Disp: 4}, depth)
		SUBQ(Imm(uint64(atOnce)), depth)
		JLT(LabelRef(label("rest")))
		Label(label("channels"))
		if t.neon() {
			fours()
		} else {
			for l := range atOnce {
				each(l)
			}
		}
		advance(atOnce)
		SUBQ(Imm(uint64(atOnce)), depth)
		JGE(LabelRef(label("channels")))
		Label(label("rest"))
		ADDQ(Imm(uint64(atOnce)), depth)
		JEQ(LabelRef(label("next")))
		Label(label("channel"))
		each(0)
		advance(1)
		DECQ(depth)
		JNE(LabelRef(label("channel")))
		Label(label("next"))
		ADDQ(Imm(8), taps)
		DECQ(n)
		JNE(LabelRef(label("tap")))
	}
	if positions > 1 {
		CMPQ(xStep, Imm(uint64(width)))
		JNE(LabelRef(label("far")))
	}
	base := GP64()
	sums("near", depthNear, func(i int) Mem { return Mem{Base: base, Disp: i * width} }, func() {
		MOVLQSX(Mem{Base: taps}, base)
		LEAQ(Mem{Base: x, Index: base, Scale: 4}, base)
	}, []reg.GPVirtual{base})
	if positions > 1 {
		JMP(LabelRef(label("summed")))
		Label(label("far"))
		at := t.newStrided(x, xStep, positions)
		at.bases[0] = GP64()
		far := depthFar
		if t.neon() {
			far = t.wide.n
		}
		sums("far", far, at.row, func() { t.tapBases(at, x, taps) }, at.bases)
		Label(label("summed"))
	}

	t.finishTile(positions, vectors, sum, value, label)
	next(place("count"), "y", "yNext", "x", "xNext")
	VZEROUPPER()
	RET()
}

// finishTile writes what is done with the sums of a tile: what the parameter flags says, and storing them. spare is a free
// register.
func (t tier) finishTile(positions, vectors int, sum func(i, v int) reg.VecPhysical, spare reg.VecPhysical, label func(name string) string) {
	flags := parameter("flags")
	y, yStep := parameter("y"), inBytes("yStep")
	var distance reg.GPVirtual
	row := y
	if vectors > 1 {
		distance, row = inBytes("distance"), GP64()
	}
	places := func(f func(i, v int, m Mem)) {
		for v := range vectors {
			if v > 0 {
				ADDQ(distance, y)
			}
			if vectors > 1 {
				MOVQ(y, row)
			}
			for i := range positions {
				f(i, v, Mem{Base: row})
				if i+1 < positions {
					ADDQ(yStep, row)
				}
			}
		}
	}
	TESTQ(U32(flagAdd), flags)
	JEQ(LabelRef(label("written")))
	places(func(i, v int, m Mem) { VADDPS(m, sum(i, v), sum(i, v)) })
	Load(Param("y"), y)
	Label(label("written"))
	TESTQ(U32(flagReLU), flags)
	JEQ(LabelRef(label("store")))
	VXORPS(spare, spare, spare)
	for i := range positions {
		for v := range vectors {
			VMAXPS(sum(i, v), spare, sum(i, v)) // a NaN stays: the sum is the first operand here
		}
	}
	TESTQ(U32(flagReLU6), flags)
	JEQ(LabelRef(label("store")))
	VMOVUPS(t.number(6), spare)
	for i := range positions {
		for v := range vectors {
			VMINPS(sum(i, v), spare, sum(i, v))
		}
	}
	Label(label("store"))
	places(func(i, v int, m Mem) { VMOVUPS(sum(i, v), m) })
}

// again begins a loop, and returns a function that writes its end: count becomes one less and, if it isn't 0, each pointer
// moves by the number of values behind it. Pointers and numbers are parameters.
func again(label string) func(count Mem, moves ...string) {
	Label(label)
	return func(count Mem, moves ...string) {
		DECQ(count)
		JEQ(LabelRef(label + "end"))
		for i := 0; i < len(moves); i += 2 {
			ADDQ(inBytes(moves[i+1]), place(moves[i]))
		}
		JMP(LabelRef(label))
		Label(label + "end")
	}
}

// place returns where a parameter lies.
func place(parameter string) Mem {
	p, err := Param(parameter).Resolve()
	if err != nil {
		panic(err)
	}
	return p.Addr
}

// embeds reports whether a multiply-add takes its value from memory, and repeats it for all lanes, instead of from a register
// that an instruction of its own fills. For several vectors one such instruction is enough.
func (t tier) embeds(vectors int) bool { return t.wide.n == zmm.n && vectors == 1 }

// correlate writes the kernel of weight gradients: it sums products of values of an image with vectors of filters over a
// rectangle of positions.
func (t tier) correlate() {
	TEXT("correlate"+t.suffix, NOSPLIT,
		"func(rows, vectors int, sums *float32, x *float32, offsets *int32, xStep, xSkip int, dy *float32, distance, height, width int, add bool)")
	Doc(fmt.Sprintf("correlate%s computes rows (up to %v for 1 to %d vectors) by vectors of %d filters.",
		t.suffix, t.correlated, len(t.correlated), t.wide.n))
	t.sizes("rows", t.correlated, func(rows, vectors int) { t.correlateTile(rows, vectors, false) })
}

// correlateChannels writes the kernel of weight gradients of depthwise convolutions, for one vector of channels.
func (t tier) correlateChannels() {
	TEXT("correlateChannels"+t.suffix, NOSPLIT,
		"func(rows, vectors int, sums *float32, x *float32, offsets *int32, xStep, xSkip int, dy *float32, distance, height, width int, add bool)")
	Doc(fmt.Sprintf("correlateChannels%s computes up to %d rows, for one vector of %d channels.", t.suffix, t.correlated[0], t.wide.n))
	t.sizes("rows", t.correlated[:1], func(rows, vectors int) { t.correlateTile(rows, vectors, true) })
}

// gradientSums writes the beginning of a tile of weight gradients: the sums begin with 0 or, if the parameter add is set, with
// what is there. It returns a function that writes the end: store the sums, and return.
//
// There may be sets of sums. All but the first begin with 0, and are added to the first at the end.
func (t tier) gradientSums(rows, vectors, sets int, label func(name string) string) (end func()) {
	sums := parameter("sums")
	each := func(f func(sum reg.VecPhysical, place Mem)) {
		for i := range rows * vectors {
			f(t.wide.regs[i], Mem{Base: sums, Disp: 4 * t.wide.n * i})
		}
	}
	add := Load(Param("add"), GP8())
	TESTB(add, add)
	JNE(LabelRef(label("add")))
	each(func(sum reg.VecPhysical, _ Mem) { VXORPS(sum, sum, sum) })
	JMP(LabelRef(label("begin")))
	Label(label("add"))
	each(func(sum reg.VecPhysical, place Mem) { VMOVUPS(place, sum) })
	Label(label("begin"))
	for i := rows * vectors; i < sets*rows*vectors; i++ {
		t.zero(i)
	}
	return func() {
		for i := rows * vectors; i < sets*rows*vectors; i++ {
			sum := t.wide.regs[i%(rows*vectors)]
			VADDPS(t.wide.regs[i], sum, sum)
		}
		Load(Param("sums"), sums)
		each(func(sum reg.VecPhysical, place Mem) { VMOVUPS(sum, place) })
		VZEROUPPER()
		RET()
	}
}

// gradientProducts writes what weight gradients do for a position: each row's value of the image, at value(row), times vectors of
// the output's gradient, which are the rows of dy. If embeds is set, a multiply-add repeats the value itself; if
// channels is set, the value is a vector. Of the sets of sums, it is for one.
func (t tier) gradientProducts(rows, vectors, set, sets int, dy strided, embeds, channels bool, value func(row int) Mem) {
	sum := func(i, v int) reg.VecPhysical { return t.wide.regs[(set*rows+i)*vectors+v] }
	gradient := func(v int) reg.VecPhysical { return t.wide.regs[sets*rows*vectors+v] }
	for v := range vectors {
		VMOVUPS(dy.row(v), gradient(v))
	}
	if t.neon() && !channels && value(0).Index == nil && rows == t.wide.n { // side by side
		VMOVUPS(value(0), gradient(vectors))
		for i := range rows {
			for v := range vectors {
				addTimesLane(i, gradient(vectors), gradient(v), sum(i, v))
			}
		}
		return
	}
	for i := range rows {
		switch m := value(i); {
		case channels:
			VFMADD231PS(m, gradient(0), sum(i, 0))
		case embeds:
			VFMADD231PS_BCST(m, gradient(0), sum(i, 0))
		default:
			repeated := gradient(vectors)
			t.loadFactor(m, repeated)
			for v := range vectors {
				t.addProduct(repeated, gradient(v), sum(i, v))
			}
		}
	}
}

// correlateTile writes the loop for one size of tile, and returns. If channels is set, each channel has a filter of its own, so
// that a value of the image is a vector.
func (t tier) correlateTile(rows, vectors int, channels bool) {
	width := 4 * t.wide.n
	label := func(name string) string { return fmt.Sprintf("%s%dx%d", name, rows, vectors) }
	end := t.gradientSums(rows, vectors, 1, label)

	list := parameter("offsets")
	offsets, scale := make([]reg.GPVirtual, rows), uint8(4)
	if t.neon() && channels {
		scale = 1 // no other one is an index of vectors on arm64
	}
	for i := range rows {
		offsets[i] = GP64()
		MOVLQSX(Mem{Base: list, Disp: 4 * i}, offsets[i])
		if scale == 1 {
			SHLQ(Imm(2), offsets[i])
		}
	}
	x, start, n := parameter("x"), parameter("dy"), GP64()
	xStep, distance := inBytes("xStep"), inBytes("distance")
	dy := t.newStrided(start, distance, vectors)
	Label(label("row"))
	Load(Param("width"), n)
	Label(label("position"))
	t.gradientProducts(rows, vectors, 0, 1, dy, false, channels, func(i int) Mem { return Mem{Base: x, Index: offsets[i], Scale: scale} })
	ADDQ(xStep, x)
	dy.advance(Imm(uint64(width)))
	DECQ(n)
	JNE(LabelRef(label("position")))
	Load(Param("xSkip"), n)
	LEAQ(Mem{Base: x, Index: n, Scale: 4}, x)
	DECQ(place("height"))
	JNE(LabelRef(label("row")))

	end()
}

// correlateBlock writes the kernel of weight gradients whose rows are neighbouring channels of a block, over a rectangle of
// positions of several images.
func (t tier) correlateBlock() {
	TEXT("correlateBlock"+t.suffix, NOSPLIT,
		"func(rows, vectors int, sums *float32, x *float32, xStep, xSkip, xNext int, dy *float32, distance, skip, next int, images, height, width int, add bool)")
	Doc(fmt.Sprintf("correlateBlock%s computes rows (up to %v for 1 to %d vectors) by vectors of %d filters.",
		t.suffix, t.blocks, len(t.blocks), t.wide.n))
	t.sizes("rows", t.blocks, func(rows, vectors int) {
		width := 4 * t.wide.n
		label := func(name string) string { return fmt.Sprintf("%s%dx%d", name, rows, vectors) }
		sets := t.gradientSets(rows, vectors)
		end := t.gradientSums(rows, vectors, sets, label)

		x, xStep, start, distance := parameter("x"), inBytes("xStep"), parameter("dy"), inBytes("distance")
		dy := t.newStrided(start, distance, vectors)
		xSkip, xNext, skip, next := inBytes("xSkip"), inBytes("xNext"), inBytes("skip"), inBytes("next")
		images, h, n := parameter("images"), GP64(), GP64()
		Label(label("image"))
		Load(Param("height"), h)
		Label(label("row"))
		Load(Param("width"), n)
		position := func(set int) {
			t.gradientProducts(rows, vectors, set, sets, dy, t.embeds(vectors), false, func(i int) Mem { return Mem{Base: x, Disp: 4 * i} })
			ADDQ(xStep, x)
			dy.advance(Imm(uint64(width)))
		}
		if sets > 1 {
			SUBQ(Imm(uint64(sets)), n)
			JLT(LabelRef(label("few")))
			Label(label("positions"))
			for set := range sets {
				position(set)
			}
			SUBQ(Imm(uint64(sets)), n)
			JGE(LabelRef(label("positions")))
			Label(label("few"))
			ADDQ(Imm(uint64(sets)), n)
			JEQ(LabelRef(label("next")))
		}
		Label(label("position"))
		position(0)
		DECQ(n)
		JNE(LabelRef(label("position")))
		if sets > 1 {
			Label(label("next"))
		}
		ADDQ(xSkip, x)
		dy.advance(skip)
		DECQ(h)
		JNE(LabelRef(label("row")))
		ADDQ(xNext, x)
		dy.advance(next)
		DECQ(images)
		JNE(LabelRef(label("image")))

		end()
	})
}

// gradientSets returns how many sets of sums correlateBlock has, to which the positions of a row are added by turns. On arm64 the
// sums of few filters would be too few for four multiply-adds at once, each of which takes four cycles.
func (t tier) gradientSets(rows, vectors int) int {
	if !t.neon() || rows < t.wide.n {
		return 1
	}
	switch vectors {
	case 1:
		return 4
	case 2, 3:
		return 2
	}
	return 1
}

// depthwise writes the kernel of depthwise convolutions: some positions of some rows, for vectors of channels.
func (t tier) depthwise() {
	TEXT("depthwise"+t.suffix, NOSPLIT,
		"func(positions, vectors int, y *float32, yStep int, x *float32, xStep, count, yNext, xNext, ySkip, xSkip int, taps *int32, n int, w, bias *float32, flags int)")
	Doc(fmt.Sprintf("depthwise%s computes count tiles of up to %d positions, for vectors of %d channels.", t.suffix, t.positions[0], t.wide.n))
	positions := parameter("positions")
	for p := t.positions[0]; p > 1; p-- {
		CMPQ(positions, Imm(uint64(p)))
		JEQ(LabelRef(fmt.Sprintf("tile%d", p)))
	}
	count := AllocLocal(8)
	for p := 1; p <= t.positions[0]; p++ {
		Label(fmt.Sprintf("tile%d", p))
		t.depthwiseTile(p, count)
	}
}

// depthwiseTile writes the loops for tiles of one size. count has room for the number of tiles that are left.
func (t tier) depthwiseTile(positions int, count Mem) {
	width := 4 * t.wide.n
	sums, weight := t.wide.regs[:positions], t.wide.regs[positions]
	label := func(name string) string { return fmt.Sprintf("%s%d", name, positions) }
	nextVector := again(label("vector"))
	MOVQ(parameter("count"), count)
	next := again(label("again"))
	VMOVUPS(Mem{Base: parameter("bias")}, sums[0])
	for _, sum := range sums[1:] {
		VMOVAPS(sums[0], sum)
	}
	x, taps, n, w := parameter("x"), parameter("taps"), parameter("n"), parameter("w")
	at := t.newStrided(x, inBytes("xStep"), positions)
	at.bases[0] = GP64()
	Label(label("tap"))
	t.tapBases(at, x, taps)
	VMOVUPS(Mem{Base: w}, weight)
	for i, sum := range sums {
		VFMADD231PS(at.row(i), weight, sum)
	}
	ADDQ(Imm(4), taps)
	ADDQ(U32(width), w)
	DECQ(n)
	JNE(LabelRef(label("tap")))

	t.finishTile(positions, 1, func(i, _ int) reg.VecPhysical { return sums[i] }, weight, label)
	next(count, "y", "yNext", "x", "xNext")

	MOVQ(w, place("w")) // of the next vector
	ADDQ(Imm(uint64(width)), place("bias"))
	nextVector(place("vectors"), "y", "ySkip", "x", "xSkip")
	VZEROUPPER()
	RET()
}

// tapBases writes the addresses of the values that a tap takes. Its offset is at taps.
func (t tier) tapBases(at strided, x, taps reg.GPVirtual) {
	MOVLQSX(Mem{Base: taps}, at.bases[0])
	LEAQ(Mem{Base: x, Index: at.bases[0], Scale: 4}, at.bases[0])
	for i := 1; i < len(at.bases); i++ {
		LEAQ(Mem{Base: at.bases[i-1], Index: at.stride, Scale: 4}, at.bases[i])
	}
}

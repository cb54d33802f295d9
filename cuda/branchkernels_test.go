//go:build cuda

package cuda

import (
	"math"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// Kernels for networks with branches.

// sumsOf2 is the tolerance of a product below 1 and a sum below 2.
var sumsOf2 = approx.Tolerance{Abs: 3 * u}

// flat draws how single values lie.
func (r *kernelRig) flat() placing {
	return placing{kind: r.kind, shape: net.Shape{C: r.count(), H: 1, W: 1}, batch: 1}
}

// added draws two tensors, and returns their sums too, and where these may be written.
func (r *kernelRig) added() (a, b, y placed, sums []float64) {
	p := r.flat()
	left, right := p.fit(r.values(p.count())), p.fit(r.values(p.count()))
	for i := range left {
		sums = append(sums, float64(left[i])+float64(right[i]))
	}
	a, b = r.placed(p, left), r.placed(p, right)
	return a, b, []placed{a, b, r.unwritten(p)}[r.random.IntN(3)], sums
}

func tryAdd(r *kernelRig) {
	a, b, y, want := r.added()
	r.launch(kernels.Add{Y: y.held(), A: a.held(), B: b.held(), Count: uint64(y.count())})
	y.check(r, "y", want, approx.Tolerance{Rel: u})
}

func tryAddReLU(r *kernelRig) {
	a, b, y, want := r.added()
	p, count := y.placing, uint64(y.count())
	for i := range want {
		want[i] = max(want[i], 0)
	}
	r.launch(kernels.AddReLU{Y: y.held(), A: a.held(), B: b.held(), Count: count})
	y.check(r, "y", want, approx.Tolerance{Rel: u})

	values := p.fit(r.values(p.count()))
	var wantA, wantB []float64
	for i, v := range y.get() {
		d := 0.
		if v > 0 {
			d = float64(values[i])
		}
		wantA, wantB = append(wantA, d), append(wantB, d)
	}
	dy := r.placed(p, values)
	k := kernels.AddReLUBackward{Dy: dy.held(), Y: y.held(), Count: count}
	over := []placed{dy}
	var da, db placed
	wanted := 1 + r.random.IntN(3)
	if wanted&1 != 0 {
		da, k.AddA = r.aim(p, wantA, over...)
		k.Da = da.held()
		if k.Da == k.Dy {
			over = nil
		}
	}
	if wanted&2 != 0 {
		db, k.AddB = r.aim(p, wantB, over...)
		k.Db = db.held()
	}
	r.launch(k)
	if wanted&1 != 0 {
		da.check(r, "da", wantA, approx.Tolerance{Rel: u})
	}
	if wanted&2 != 0 {
		db.check(r, "db", wantB, approx.Tolerance{Rel: u})
	}
}

// A NaN among the terms comes out, and a NaN gradient is not swallowed by a slope of 0.
func tryAddReLUNaN(r *kernelRig) {
	p := r.flat()
	nan, count := r.random.IntN(p.count()), uint64(p.count())
	dirty := p.fit(r.values(p.count()))
	dirty[nan] = float32(math.NaN())
	a, y := r.placed(p, dirty), r.unwritten(p)
	r.launch(kernels.AddReLU{Y: y.held(), A: a.held(), B: r.placed(p, p.fit(r.values(p.count()))).held(), Count: count})
	da, db := r.unwritten(p), r.unwritten(p)
	r.launch(kernels.AddReLUBackward{Da: da.held(), Db: db.held(), Dy: a.held(), Y: r.placed(p, make([]float32, p.count())).held(), Count: count})
	for what, values := range map[string][]float64{"y": y.get(), "da": da.get(), "db": db.get()} {
		for i, v := range values {
			if math.IsNaN(v) != (i == nan) {
				r.Errorf("%s: value %d is %v, with a NaN at %d", what, i, v, nan)
			}
		}
	}
}

func tryScale(r *kernelRig) {
	n, factor := r.count(), r.random.Float32()
	x := r.values(n)
	want := doubles(x)
	for i := range want {
		want[i] *= float64(factor)
	}
	y, add := r.target(want)
	r.launch(kernels.Scale{Y: y.at(), X: r.put(x).at(), Count: uint64(n), Factor: factor, Add: add})
	r.check("y", y, want, sumsOf2)
}

func tryMultiply(r *kernelRig) {
	n := r.count()
	a, b := r.values(n), r.values(n)
	want := doubles(a)
	for i := range want {
		want[i] *= float64(b[i])
	}
	y, add := r.target(want)
	r.launch(kernels.Multiply{Y: y.at(), A: r.put(a).at(), B: r.put(b).at(), Count: uint64(n), Add: add})
	r.check("y", y, want, sumsOf2)
}

func tryMultiplyRows(r *kernelRig) {
	n, c, extent := r.about(4), r.channels(40), []int{r.about(9), 4 * r.about(20), r.about(700)}[r.random.IntN(3)]
	if extent > 80 {
		c = r.channels(16)
	}
	count := n * c * extent
	x, gate := r.values(count), r.values(n*c)
	want := doubles(x)
	for i := range want {
		want[i] *= float64(gate[i/extent])
	}
	want = lastOf(r, want, n, c)
	xs, onGate := r.put(lastOf(r, x, n, c)), r.put(gate)
	y, add := xs, int32(0) // in place
	if r.random.IntN(4) > 0 {
		y, add = r.target(want)
	}
	rows, channels := r.planes(n, c)
	r.launch(kernels.MultiplyRows{Y: y.at(), X: xs.at(), Gate: onGate.at(), Rows: rows, Extent: uint32(extent), Channels: channels, Add: add})
	r.check("y", y, want, sumsOf2)

	// Sums of whole numbers need no rounding, so that they are the same in every order.
	dy, whole := r.wholes(count, 30), r.wholes(count, 30)
	wantGate := make([]float64, n*c)
	for i := range whole {
		wantGate[i/extent] += float64(dy[i]) * float64(whole[i])
	}
	dgate, add := r.room(n*c), int32(0)
	if r.random.IntN(2) == 0 {
		before := r.wholes(n*c, 1000)
		for i := range before {
			wantGate[i] += float64(before[i])
		}
		dgate, add = r.put(before), 1
	}
	r.launch(kernels.MultiplyRowsGate{Dgate: dgate.at(), Dy: r.put(lastOf(r, dy, n, c)).at(), X: r.put(lastOf(r, whole, n, c)).at(), Rows: rows,
		Extent: uint32(extent), Channels: channels, Add: add})
	r.check("dgate", dgate, wantGate, exact)
}

func tryCopyBlocks(r *kernelRig) {
	unit := []int{1, 4, 8}[r.random.IntN(3)]
	blocks, count := r.about(9), unit*r.about([]int{9, 200}[r.random.IntN(2)])
	from, to := unit*r.random.IntN(9), unit*r.random.IntN(9)                           // where the blocks lie in their samples
	xPitch, yPitch := from+count+unit*r.random.IntN(9), to+count+unit*r.random.IntN(9) // values of a sample
	x, before := r.values(blocks*xPitch), r.values(blocks*yPitch)
	add := int32(r.random.IntN(2))
	want := doubles(before)
	for n := range blocks {
		for i := range count {
			at := n*yPitch + to + i
			want[at] = float64(x[n*xPitch+from+i]) + float64(add)*want[at]
		}
	}
	onX, y := r.put(x), r.put(before)
	r.launch(kernels.CopyBlocks{Y: y.from(to), X: onX.from(from), Blocks: uint32(blocks), Count: uint32(count), YPitch: uint32(yPitch),
		XPitch: uint32(xPitch), Add: add})
	r.check("y", y, want, sumsOf2)
}

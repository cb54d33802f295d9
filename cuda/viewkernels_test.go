//go:build cuda

package cuda

import (
	"math"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// viewing is a mini-batch with views, in row `slot` of those that lie in device memory.
type viewing struct {
	net.Batch
	in             net.Shape // of the network
	slot, capacity int
}

func (r *kernelRig) viewing() (v viewing) {
	v.in = net.Shape{C: []int{1, 2, 3, 3, 5}[r.random.IntN(5)], H: r.about(20), W: r.about(40)}
	v.slot = r.random.IntN(3)
	d := &net.Dataset{Shape: v.in, Classes: 4}
	if r.random.IntN(3) > 0 { // pictures of another size
		d.Shape.H, d.Shape.W = r.about(20), r.about(20)
	}
	if r.random.IntN(20) == 0 { // as wide as places may be far
		v.in = net.Shape{C: 1, H: 1, W: 2000}
		d.Shape.C = 1
	}
	d.Labels = drawn(r.about(9), func() int32 { return r.random.Int32N(4) })
	v.Data = d
	v.Indices = drawn(r.about(6), func() int32 { return r.random.Int32N(int32(d.Len())) })
	v.capacity = v.Len() + r.random.IntN(3)
	for range v.Indices {
		v.Views = append(v.Views, r.view(v.in, d))
	}
	return v
}

// view draws one: plain, or with some or all that a view may have.
func (r *kernelRig) view(in net.Shape, d *net.Dataset) net.View {
	v := net.PlainView()
	if r.random.IntN(6) == 0 {
		return v
	}
	v.Transform = r.transform(in)
	if r.random.IntN(3) == 0 {
		return v
	}
	v.Partner, v.Other, v.Share = r.random.Int32N(int32(d.Len())), r.transform(in), r.random.Float32()
	switch r.random.IntN(8) {
	case 0, 1, 2:
		v.Box = r.box(in)
	case 3:
		v.Share = float32(r.random.IntN(2))
	}
	return v
}

// box draws one that lies anywhere, and may be empty.
func (r *kernelRig) box(in net.Shape) net.Box {
	left, top := r.random.Int32N(int32(in.W)+4)-2, r.random.Int32N(int32(in.H)+4)-2
	return net.Box{Left: left, Top: top, Right: left + r.random.Int32N(9) - 1, Bottom: top + r.random.Int32N(9) - 1}
}

func (r *kernelRig) transform(in net.Shape) net.Transform {
	t := net.IdentityTransform()
	around := func(x float32) float32 { return (2*r.random.Float32() - 1) * x }
	switch r.random.IntN(6) {
	case 0: // stays in place
	case 1: // moves by whole pixels, mirrored
		t.Matrix = [6]float32{-1, 0, float32(in.W - 1 + r.random.IntN(5) - 2), 0, 1, float32(r.random.IntN(5) - 2)}
	case 2: // far away
		t.Matrix[2], t.Matrix[5] = around(1000), around(1000)
	case 3: // so far that nothing counts but that nothing outside is read
		t.Matrix = [6]float32{around(1 << 22), around(1 << 22), around(1 << 22), around(1 << 22), around(1 << 22), around(1 << 22)}
	default:
		t.Matrix = [6]float32{around(2), around(2), around(9), around(2), around(2), around(9)}
	}
	if r.random.IntN(2) == 0 {
		t.Border = net.ReflectBorder
	}
	if r.random.IntN(2) == 0 {
		for i := range t.Colour {
			t.Colour[i] = around(1)
		}
	}
	if r.random.IntN(3) == 0 {
		t.Erase = r.box(in)
	}
	return t
}

// seen returns the views as the device takes them, with those of other rows before and behind.
func (v viewing) seen(r *kernelRig) operand[kernels.View] {
	all := make([]kernels.View, v.slot*v.capacity+v.Len())
	for i := range all {
		all[i].Row = math.MaxInt32 // which is out of bounds
	}
	(&queue{}).putViews(&deviceData{}, v.Batch, all[v.slot*v.capacity:])
	return put(r, all)
}

// place is the roundoff of a value's place: each of two products and two sums is rounded, relative to what it is, and so is
// the weight that comes of it.
func (v viewing) place() (most float64) {
	for _, of := range v.Views {
		for _, t := range []net.Transform{of.Transform, of.Other} {
			for _, m := range [][]float32{t.Matrix[:3], t.Matrix[3:]} {
				at := math.Abs(float64(m[0]))*float64(v.in.W) + math.Abs(float64(m[1]))*float64(v.in.H) + math.Abs(float64(m[2]))
				most = max(most, 4*u*(1+at))
			}
		}
	}
	return most
}

// check compares with the reference. A value is at most 1; between two pixels it changes by at most 2 in a column and in a row;
// colours multiply by at most 3 and a sum of some ten products is rounded.
func (v viewing) check(r *kernelRig, x layerValues, label, other operand[int32], share operand[float32]) {
	r.Helper()
	r.check("x", x, lastOf(r, reference.Input(v.Batch, v.in), v.Len(), v.in.C), approx.Tolerance{Abs: 3*4*v.place() + 40*u})
	var labels, others []int32
	var shares []float64
	for i := range v.Indices {
		l, o, s := v.Expected(i)
		labels, others, shares = append(labels, l), append(others, o), append(shares, float64(s))
	}
	checkWhole(r, "labels", label, labels)
	checkWhole(r, "labels of partners", other, others)
	check(r, "shares", share, shares, exact)
}

func tryViewBytes(r *kernelRig) {
	v := r.viewing()
	v.Data.Pixels, v.Data.Scale = drawn(v.Data.Len()*v.Data.Shape.Size(), func() uint8 { return uint8(r.random.Uint32()) }), r.random.Float32()/255
	x, label, other, share := r.room(v.Len()*v.in.Size()), room[int32](r, v.Len()), room[int32](r, v.Len()), room[float32](r, v.Len())
	r.launch(kernels.ViewBytes{X: x.at(), Label: at(label), Other: at(other), Share: at(share), Pixels: at(put(r, v.Data.Pixels)),
		State: at(r.state(0, v.slot)), Views: at(v.seen(r)), Batch: uint32(v.Len()), Capacity: uint32(v.capacity), Channels: uint32(v.in.C),
		Height: uint32(v.in.H), Width: uint32(v.in.W), FromHeight: uint32(v.Data.Shape.H), FromWidth: uint32(v.Data.Shape.W),
		Last: int32(boolInt(r.last)), Scale: v.Data.Scale})
	v.check(r, x, label, other, share)
}

func tryViewFloats(r *kernelRig) {
	v := r.viewing()
	v.Data.Values = r.values(v.Data.Len() * v.Data.Shape.Size())
	x, label, other, share := r.room(v.Len()*v.in.Size()), room[int32](r, v.Len()), room[int32](r, v.Len()), room[float32](r, v.Len())
	r.launch(kernels.ViewFloats{X: x.at(), Label: at(label), Other: at(other), Share: at(share), Values: at(put(r, v.Data.Values)),
		State: at(r.state(0, v.slot)), Views: at(v.seen(r)), Batch: uint32(v.Len()), Capacity: uint32(v.capacity), Channels: uint32(v.in.C),
		Height: uint32(v.in.H), Width: uint32(v.in.W), FromHeight: uint32(v.Data.Shape.H), FromWidth: uint32(v.Data.Shape.W),
		Last: int32(boolInt(r.last))})
	v.check(r, x, label, other, share)
}

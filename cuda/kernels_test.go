//go:build cuda

package cuda

import (
	"math"
	"slices"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// Kernels that treat each value by itself.

func tryReLUBackward(r *kernelRig) {
	n := r.count()
	y, dy := r.values(n), r.values(n)
	var want []float64
	for i := range y {
		y[i] = max(y[i], 0)
		d := float64(dy[i])
		if y[i] == 0 {
			d = 0
		}
		want = append(want, d)
	}
	d := r.put(dy)
	dx := d // in place
	if r.random.IntN(2) == 0 {
		dx = r.room(n)
	}
	r.launch(kernels.ReLUBackward{Dx: dx.at(), Dy: d.at(), Y: r.put(y).at(), Count: uint64(n)})
	r.check("dx", dx, want, exact)
}

func tryDropout(r *kernelRig) {
	size, first, samples, channels := r.count(), r.random.Uint32N(100), r.about(3), 1
	if r.last { // the numbers are those of (channels, extent)
		channels = r.channels(40)
		size = channels * r.about(50)
	}
	n := size * samples
	rate, seed, step, layer := 0.9*r.random.Float64(), r.random.Uint64(), r.random.Int64N(1<<40), r.random.IntN(1000)
	x := r.values(n)
	want := doubles(x)
	for i := range want {
		if want[i] /= 1 - rate; !net.DropoutKeep(seed, layer, step, rate, int(first)*size+i) {
			want[i] = 0
		}
	}
	want = lastOf(r, want, samples, channels)
	key := net.SeedKey(seed)
	in, add := r.put(lastOf(r, x, samples, channels)), int32(0)
	y := in // in place
	if r.random.IntN(2) == 0 {
		y, add = r.target(want)
	}
	slot := r.random.IntN(3)
	r.launch(kernels.Dropout{Y: y.at(), X: in.at(), State: at(r.state(step, slot)), Queued: at(r.queued(slot, kernels.Queued{First: first})),
		Count: uint64(n), Size: uint64(size), Channels: uint32(channels), KeyLow: key[0], KeyHigh: key[1],
		Last: net.DropoutCounter(layer, 0, 0)[3], Threshold: net.DropoutThreshold(rate), Scale: float32(1 / (1 - rate)), Add: add})
	// The scale's rounding and the product's, of up to 10, and the sum's.
	r.check("y", y, want, approx.Tolerance{Rel: 2 * u, Abs: 31 * u * float64(add)})
}

// gathering is a data set without its samples, and which of them a mini-batch takes: row `slot` of the indices.
type gathering struct {
	batch, capacity, size, slot int
	channels                    int // interleaved where the samples are gathered
	stored                      int // rows of samples
	labels, rows, indices       []int32
	data                        *net.Dataset
}

func (r *kernelRig) gathering() (g gathering) {
	g.batch, g.size, g.slot, g.stored = r.about(12), []int{r.about(9), 4 * r.about(9), r.about(900)}[r.random.IntN(3)], r.random.IntN(3), r.about(30)
	if g.channels = 1; r.last {
		g.channels = r.about(6)
		g.size = g.channels * []int{r.about(9), 4 * r.about(30)}[r.random.IntN(2)]
	}
	g.capacity = g.batch + r.random.IntN(4)
	samples := g.stored
	if r.random.IntN(2) == 0 { // they stand anywhere
		samples = r.about(30)
		g.rows = drawn(samples, func() int32 { return int32(r.random.IntN(g.stored)) })
	}
	g.labels = drawn(samples, func() int32 { return r.random.Int32N(10) })
	g.indices = drawn(g.slot*g.capacity+g.batch, func() int32 { return int32(r.random.IntN(samples)) })
	g.data = &net.Dataset{Shape: net.Shape{C: 1, H: 1, W: g.size}, Labels: g.labels, Rows: g.rows}
	return g
}

// rowsAt is where the device finds the rows of the samples, if they stand in another order.
func (g gathering) rowsAt(r *kernelRig) kernels.Optional[int32] {
	if g.rows == nil {
		return 0
	}
	o := put(r, g.rows)
	return optionally(&o)
}

// check compares with what the data set gathers.
func (g gathering) check(r *kernelRig, x layerValues, label operand[int32]) {
	r.Helper()
	indices, want := g.indices[g.slot*g.capacity:], make([]float32, g.batch*g.size)
	g.data.Gather(want, indices)
	r.check("x", x, doubles(lastOf(r, want, g.batch, g.channels)), exact)
	var labels []int32
	for _, i := range indices {
		labels = append(labels, g.labels[i])
	}
	checkWhole(r, "labels", label, labels)
}

func tryGatherBytes(r *kernelRig) {
	g := r.gathering()
	g.data.Pixels, g.data.Scale = drawn(g.stored*g.size, func() uint8 { return uint8(r.random.Uint32()) }), r.random.Float32()
	x, label := r.room(g.batch*g.size), room[int32](r, g.batch)
	r.launch(kernels.GatherBytes{X: x.at(), Label: at(label), Pixels: at(put(r, g.data.Pixels)), Labels: at(put(r, g.labels)), Rows: g.rowsAt(r),
		State: at(r.state(0, g.slot)), Indices: at(put(r, g.indices)), Batch: uint32(g.batch), Capacity: uint32(g.capacity), Size: uint32(g.size),
		Channels: uint32(g.channels), Scale: g.data.Scale})
	g.check(r, x, label)
}

func tryGatherFloats(r *kernelRig) {
	g := r.gathering()
	g.data.Values = drawn(g.stored*g.size, r.random.Float32)
	x, label := r.room(g.batch*g.size), room[int32](r, g.batch)
	r.launch(kernels.GatherFloats{X: x.at(), Label: at(label), Values: at(put(r, g.data.Values)), Labels: at(put(r, g.labels)), Rows: g.rowsAt(r),
		State: at(r.state(0, g.slot)), Indices: at(put(r, g.indices)), Batch: uint32(g.batch), Capacity: uint32(g.capacity), Size: uint32(g.size),
		Channels: uint32(g.channels)})
	g.check(r, x, label)
}

// ofBFloat16 is the value of a bfloat16.
func ofBFloat16(b kernels.BFloat16) float64 { return float64(math.Float32frombits(uint32(b) << 16)) }

// nearestBFloat16 rounds a number: of the two around it, it is the one less far away, or the even one. A NaN stays one.
func nearestBFloat16(x float32) kernels.BFloat16 {
	if x != x {
		return 0x7fc0
	}
	toZero := kernels.BFloat16(math.Float32bits(x) >> 16)
	away := toZero + 1
	low, high := math.Abs(float64(x)-ofBFloat16(toZero)), math.Abs(ofBFloat16(away)-float64(x))
	if math.IsInf(ofBFloat16(away), 0) && !math.IsInf(float64(x), 0) {
		high = math.Ldexp(1, 128) - math.Abs(float64(x)) // as if it were the next power of two
	}
	if low < high || low == high && toZero%2 == 0 {
		return toZero
	}
	return away
}

func tryToBF16(r *kernelRig) {
	n := r.count()
	special := []float32{0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32,
		float32(math.Inf(1)), float32(math.Inf(-1)), 1 + 1.0/256, 1 + 3.0/256}
	x := drawn(n, func() float32 {
		switch r.random.IntN(4) {
		case 0:
			return special[r.random.IntN(len(special))]
		case 1: // halfway between two
			return math.Float32frombits(math.Float32bits(2*r.random.Float32()-1)&^0xffff | 0x8000)
		}
		return 2*r.random.Float32() - 1
	})
	want := make([]kernels.BFloat16, n)
	for i, v := range x {
		if want[i] = nearestBFloat16(v); math.IsInf(float64(v), 0) {
			want[i] = kernels.BFloat16(math.Float32bits(v) >> 16)
		}
	}
	nan := r.random.IntN(n)
	x[nan] = math.Float32frombits(0x7f800001 + r.random.Uint32N(1<<22)) // also one whose upper half is infinity's
	y := room[kernels.BFloat16](r, n)
	r.launch(kernels.ToBF16{Y: at(y), X: at(put(r, x)), Count: uint64(n)})
	got := y.get()
	if !math.IsNaN(ofBFloat16(got[nan])) {
		r.Errorf("NaN %#x becomes %#x", math.Float32bits(x[nan]), got[nan])
	}
	got[nan] = want[nan]
	if !slices.Equal(got, want) {
		r.Errorf("rounded to %#x, want %#x", got, want)
	}
}

func tryFromBF16(r *kernelRig) {
	r.kind = kernels.Float32 // of the result
	n := r.count()
	x := drawn(n, func() kernels.BFloat16 { return nearestBFloat16(2*r.random.Float32() - 1) })
	want := make([]float64, n)
	for i, v := range x {
		want[i] = ofBFloat16(v)
	}
	y, add := r.target(want)
	r.launch(kernels.FromBF16{Y: at(y.single), X: at(put(r, x)), Count: uint64(n), Add: add})
	r.check("y", y, want, approx.Tolerance{Abs: 2 * u * float64(add)}) // exact, or a sum of values up to 2
}

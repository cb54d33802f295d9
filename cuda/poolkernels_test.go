//go:build cuda

package cuda

import (
	"math"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// Kernels of pooling and padding. Values are eighths, so that some are equal and sums of two exact.

func (r *kernelRig) eighths(n int) []float32 {
	return drawn(n, func() float32 { return float32(r.random.IntN(33)-16) / 8 })
}

// halved draws n images and the windows of 2x2 on them, of which those at the lower and right border may reach over it.
func (r *kernelRig) halved() (n int, s net.Shape, outH, outW int) {
	s = net.Shape{C: r.channels(20), H: 1 + r.about(9), W: 1 + r.about(12)}
	return r.about(3), s, (s.H + r.random.IntN(2)) / 2, (s.W + r.random.IntN(2)) / 2
}

func tryBiasReLUPool(r *kernelRig) {
	n, s, outH, outW := r.halved()
	x, bias := r.eighths(n*s.Size()), r.eighths(s.C)
	var want []float64
	var wantMask []uint8
	for p := range n * s.C {
		for o := range outH * outW {
			best, where := float32(0), uint8(4) // the ReLU lets nothing through
			for k := range 4 {
				h, w := o/outW*2+k/2, o%outW*2+k%2
				if h >= s.H || w >= s.W {
					continue
				}
				if v := x[(p*s.H+h)*s.W+w] + bias[p%s.C]; v > best {
					best, where = v, uint8(k)
				}
			}
			want, wantMask = append(want, float64(best)), append(wantMask, where)
		}
	}
	y, mask := r.room(len(want)), room[uint8](r, len(want))
	r.launch(kernels.BiasReLUPool{Y: y.at(), Mask: at(mask), X: r.put(lastOf(r, x, n, s.C)).at(), Bias: at(put(r, bias)), Batch: uint32(n),
		Channels: uint32(s.C), H: uint32(s.H), W: uint32(s.W), OutH: uint32(outH), OutW: uint32(outW), Last: int32(boolInt(r.last))})
	r.check("y", y, lastOf(r, want, n, s.C), exact)
	checkWhole(r, "mask", mask, lastOf(r, wantMask, n, s.C))
}

func tryBiasReLUPoolBackward(r *kernelRig) {
	n, s, outH, outW := r.halved()
	dy, mask := r.values(n*s.C*outH*outW), make([]uint8, n*s.C*outH*outW)
	want := make([]float64, n*s.Size())
	for i := range mask {
		p, o := i/(outH*outW), i%(outH*outW)
		h, w := o/outW*2, o%outW*2
		k := r.random.IntN(2)*2*min(1, s.H-1-h) + r.random.IntN(2)*min(1, s.W-1-w)
		if mask[i] = uint8(k); r.random.IntN(3) == 0 {
			mask[i] = 4
			continue
		}
		want[(p*s.H+h+k/2)*s.W+w+k%2] = float64(dy[i])
	}
	dx := r.room(len(want))
	r.launch(kernels.BiasReLUPoolBackward{Dx: dx.at(), Dy: r.put(lastOf(r, dy, n, s.C)).at(), Mask: at(put(r, lastOf(r, mask, n, s.C))), Batch: uint32(n),
		Channels: uint32(s.C), H: uint32(s.H), W: uint32(s.W), OutH: uint32(outH), OutW: uint32(outW), Last: int32(boolInt(r.last))})
	r.check("dx", dx, lastOf(r, want, n, s.C), exact)
}

// tryBiasReLUPoolGradient sums whole numbers, so that the sums are the same in every order.
func tryBiasReLUPoolGradient(r *kernelRig) {
	batch, channels, extent := r.about(20), r.channels(300), r.about([]int{1, 90}[r.random.IntN(2)])
	if channels > 40 {
		batch, extent = r.about(4), r.about(9)
	}
	dy := r.wholes(batch*channels*extent, 100)
	mask := drawn(len(dy), func() uint8 { return uint8(r.random.IntN(8)) })
	want := make([]float64, channels)
	for i, d := range dy {
		if mask[i] < 4 {
			want[i/extent%channels] += float64(d)
		}
	}
	dy, mask = lastOf(r, dy, batch, channels), lastOf(r, mask, batch, channels)
	if r.last {
		batch, extent = batch*extent, 1
	}
	parts := []int{1, r.about(9)}[r.random.IntN(2)]
	db := room[float32](r, parts*channels)
	r.launch(kernels.BiasReLUPoolGradient{Db: at(db), Dy: r.put(dy).at(), Mask: at(put(r, mask)), Batch: uint32(batch), Channels: uint32(channels),
		Extent: uint32(extent), Parts: uint32(parts)})
	approx.Check(r, "db", rowSums(db.get(), parts), want, exact)
}

// tryBiasReLUPoolGradients compares the kernel that computes both gradients with the two that compute one each.
func tryBiasReLUPoolGradients(r *kernelRig) {
	last := r.last
	defer func() { r.last = last }()
	r.last = true
	n, s, _, _ := r.halved()
	outH, outW := (s.H+1)/2, (s.W+1)/2
	dy, mask := r.wholes(n*s.C*outH*outW, 100), make([]uint8, n*s.C*outH*outW)
	for i := range mask {
		o := i / s.C % (outH * outW)
		mask[i] = uint8(r.random.IntN(2)*2*min(1, s.H-1-o/outW*2) + r.random.IntN(2)*min(1, s.W-1-o%outW*2) + 4*(r.random.IntN(3)/2))
	}
	parts, area := r.about(9), outH*outW
	from, masks := r.put(dy).at(), at(put(r, mask))
	dx, db := r.room(n*s.Size()), room[float32](r, parts*s.C)
	r.launch(kernels.BiasReLUPoolGradients{Db: at(db), Dx: dx.at(), Dy: from, Mask: masks, Batch: uint32(n), Channels: uint32(s.C), H: uint32(s.H),
		W: uint32(s.W), OutH: uint32(outH), OutW: uint32(outW), Parts: uint32(parts)})
	wantDx, wantDb := r.room(n*s.Size()), room[float32](r, parts*s.C)
	r.launch(kernels.BiasReLUPoolBackward{Dx: wantDx.at(), Dy: from, Mask: masks, Batch: uint32(n), Channels: uint32(s.C), H: uint32(s.H),
		W: uint32(s.W), OutH: uint32(outH), OutW: uint32(outW), Last: 1})
	r.launch(kernels.BiasReLUPoolGradient{Db: at(wantDb), Dy: from, Mask: masks, Batch: uint32(n * area), Channels: uint32(s.C), Extent: 1,
		Parts: uint32(parts)})
	r.check("dx", dx, doubles(wantDx.get()), exact)
	check(r, "db", db, doubles(wantDb.get()), exact)
}

// pooled is pooling on random images: the reference's layer, and what kernels are given.
type pooled struct {
	*reference.Layer
	n       int
	windows kernels.Windows
}

func (r *kernelRig) pooled(mode net.PoolMode) (p pooled) {
	kernel, stride := net.Pair{H: r.about(4), W: r.about(4)}, net.Pair{H: r.about(4), W: r.about(4)}
	// At both ends less than the window, so that each sees something.
	edge := func(k int) int { return r.random.IntN(k) }
	padding := []net.Padding{net.PadSame, net.PadValid, net.Pad(edge(kernel.H), edge(kernel.H), edge(kernel.W), edge(kernel.W))}[r.random.IntN(3)]
	in := net.Shape{C: r.channels(20), H: kernel.H + r.random.IntN(8), W: kernel.W + r.random.IntN(10)}
	if r.random.IntN(3) == 0 { // windows that threads share: also the whole image
		kernel, padding = net.Pair{H: 3 + r.about(4), W: 3 + r.about(4)}, net.PadValid
		in.H, in.W = kernel.H+r.random.IntN(2), kernel.W+r.random.IntN(2)
	}
	p.n = r.about(3)
	p.Layer = r.judgeOf(in, &net.Pool{Mode: mode, Kernel: kernel, Stride: stride, Padding: padding})
	s := poolLayer{link: link{node: p.Node, in: input{activations: newActivations(p.In, true)}, out: newActivations(p.Out, true)}, mode: mode}
	p.windows = s.windows()
	return p
}

func tryPooling(r *kernelRig) {
	for _, mode := range []net.PoolMode{net.MaxPool, net.MeanPool, net.L2Pool} {
		p := r.pooled(mode)
		x, dy := r.eighths(p.n*p.In.Size()), r.values(p.n*p.Out.Size())
		wantY := p.Forward([][]float64{doubles(x)}, p.n, net.Training, reference.Place{})
		inputs, _ := p.Backward(doubles(dy))
		wantDx := lastOf(r, inputs[0], p.n, p.In.C)
		y, xs, dys := r.room(len(wantY)), r.put(lastOf(r, x, p.n, p.In.C)), r.put(lastOf(r, dy, p.n, p.In.C))
		dx, add := r.target(wantDx)
		planes, channels := r.planes(p.n, p.In.C)
		number := (&poolLayer{mode: mode}).kernelMode()
		tolerance := approx.Tolerance{Abs: u, Rel: 2 * u} // sums of eighths are exact, and so are those of their squares
		if mode == net.MaxPool {
			tolerance = exact
		}
		r.launch(kernels.PoolForward{Y: y.at(), X: xs.at(), Mode: number, Planes: planes, Channels: channels, Windows: p.windows})
		r.check("y", y, lastOf(r, wantY, p.n, p.In.C), tolerance)
		if mode == net.MaxPool {
			r.launch(kernels.MaxPoolBackward{Dx: dx.at(), Dy: dys.at(), X: xs.at(), Y: y.at(), Planes: planes, Channels: channels, Windows: p.windows, Add: add})
		} else {
			r.launch(kernels.PoolBackward{Dx: dx.at(), Dy: dys.at(), X: xs.at(), Y: y.at(), Mode: number, Planes: planes, Channels: channels,
				Windows: p.windows, Add: add})
		}
		// Of some windows at most 1 each, one by one with up to three roundings, and what was there. For L2 pooling each is
		// divided by what the kernel has rounded.
		w := p.windows
		see := float64((w.KernelH + w.StrideH - 1) / w.StrideH * ((w.KernelW + w.StrideW - 1) / w.StrideW))
		tolerance = approx.Tolerance{Abs: (see + 1) * (see + 4) * u}
		if mode == net.L2Pool && r.kind == kernels.BF16 {
			tolerance.Abs += see * u16 * (1 + 2*u16)
		}
		r.check("dx", dx, wantDx, tolerance)
	}
}

// tryPoolingNaN pools images with NaN: a window that sees one has it as its maximum, and its gradient goes to the last one.
func tryPoolingNaN(r *kernelRig) {
	p := r.pooled(net.MaxPool)
	w, in := p.windows, p.In
	x, dy := r.eighths(p.n*in.Size()), r.wholes(p.n*p.Out.Size(), 9)
	nan := func(i int) bool { return math.IsNaN(float64(x[i])) }
	for i := range x {
		if r.random.IntN(9) == 0 {
			x[i] = float32(math.NaN())
		}
	}
	isNaN, want := make([]bool, len(dy)), make([]float64, len(x))
	for o := range dy {
		plane, oh, ow := o/(p.Out.H*p.Out.W), int32(o/p.Out.W%p.Out.H), int32(o%p.Out.W)
		best := -1
		for h := max(0, oh*w.StrideH-w.Top); h < min(w.H, oh*w.StrideH-w.Top+w.KernelH); h++ {
			for c := max(0, ow*w.StrideW-w.Left); c < min(w.W, ow*w.StrideW-w.Left+w.KernelW); c++ {
				if i := plane*in.H*in.W + int(h*w.W+c); best < 0 || x[i] > x[best] || nan(i) {
					best = i
				}
			}
		}
		isNaN[o] = nan(best)
		want[best] += float64(dy[o])
	}
	xs, y, dx := r.put(lastOf(r, x, p.n, in.C)), r.room(len(dy)), r.room(len(x))
	planes, channels := r.planes(p.n, in.C)
	r.launch(kernels.PoolForward{Y: y.at(), X: xs.at(), Mode: kernels.MaxPooling, Planes: planes, Channels: channels, Windows: w})
	isNaN = lastOf(r, isNaN, p.n, in.C)
	for i, v := range y.get() {
		if math.IsNaN(float64(v)) != isNaN[i] {
			r.Errorf("y[%d] is %v, and a NaN is in its window: %v", i, v, isNaN[i])
		}
	}
	r.launch(kernels.MaxPoolBackward{Dx: dx.at(), Dy: r.put(lastOf(r, dy, p.n, in.C)).at(), X: xs.at(), Y: y.at(), Planes: planes, Channels: channels, Windows: w})
	r.check("dx", dx, lastOf(r, want, p.n, in.C), exact)
}

func tryPad(r *kernelRig) {
	in, n, top, left := r.shape(), r.about(4), r.random.IntN(4), r.random.IntN(4)
	in.C = r.channels(20)
	ph, pw := top+in.H+r.random.IntN(4), left+in.W+r.random.IntN(4)
	x := r.values(n * in.Size())
	want := make([]float64, n*in.C*ph*pw)
	for i, v := range x {
		p, h, w := i/(in.H*in.W), i/in.W%in.H, i%in.W
		want[(p*ph+top+h)*pw+left+w] = float64(v)
	}
	x = lastOf(r, x, n, in.C)
	padded := r.room(len(want))
	planes, channels := r.planes(n, in.C)
	r.launch(kernels.Pad{Xp: padded.at(), X: r.put(x).at(), Planes: planes, Channels: channels, H: int32(in.H), W: int32(in.W), Ph: int32(ph),
		Pw: int32(pw), Top: int32(top), Left: int32(left)})
	r.check("padded", padded, lastOf(r, want, n, in.C), exact)
	wantInside := doubles(x)
	inside, add := r.target(wantInside)
	r.launch(kernels.Crop{X: inside.at(), Xp: padded.at(), Planes: planes, Channels: channels, H: int32(in.H), W: int32(in.W), Ph: int32(ph),
		Pw: int32(pw), Top: int32(top), Left: int32(left), Add: add})
	r.check("inside", inside, wantInside, approx.Tolerance{Rel: u * float64(add)})
}

func tryPermute(r *kernelRig) {
	batch, rows, columns := r.about(3), r.about(70), r.about(70)
	x := r.values(batch * rows * columns)
	want := make([]float64, len(x))
	for i, v := range x {
		n, row, column := i/columns/rows, i/columns%rows, i%columns
		want[(n*columns+column)*rows+row] = float64(v)
	}
	y, add := r.target(want)
	r.launch(kernels.Permute{Y: y.at(), X: r.put(x).at(), Batch: uint32(batch), Rows: uint32(rows), Columns: uint32(columns), Add: add})
	r.check("y", y, want, approx.Tolerance{Rel: u * float64(add)})
}

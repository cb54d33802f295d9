//go:build cuda

package cuda

import (
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// Kernels of pooling and padding. Values are eighths, so that some are equal and sums of two exact.

func (r *kernelRig) eighths(n int) []float32 {
	return drawn(n, func() float32 { return float32(r.random.IntN(33)-16) / 8 })
}

// halved draws images and the windows of 2x2 on them, of which those at the lower and right border may reach over it.
func (r *kernelRig) halved() (s net.Shape, planes, outH, outW int) {
	s = net.Shape{C: r.about(5), H: 1 + r.about(9), W: 1 + r.about(12)}
	return s, s.C * r.about(4), (s.H + r.random.IntN(2)) / 2, (s.W + r.random.IntN(2)) / 2
}

func tryBiasReLUPool(r *kernelRig) {
	s, planes, outH, outW := r.halved()
	x, bias := r.eighths(planes*s.H*s.W), r.eighths(s.C)
	var want []float64
	var wantMask []uint8
	for p := range planes {
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
	y, mask := room[float32](r, len(want)), room[uint8](r, len(want))
	r.launch(kernels.BiasReLUPool{Y: at(y), Mask: at(mask), X: at(put(r, x)), Bias: at(put(r, bias)), Planes: uint32(planes), Channels: uint32(s.C),
		H: uint32(s.H), W: uint32(s.W), OutH: uint32(outH), OutW: uint32(outW)})
	check(r, "y", y, want, exact)
	checkWhole(r, "mask", mask, wantMask)
}

func tryBiasReLUPoolBackward(r *kernelRig) {
	s, planes, outH, outW := r.halved()
	dy, mask := r.values(planes*outH*outW), make([]uint8, planes*outH*outW)
	want := make([]float64, planes*s.H*s.W)
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
	dx := room[float32](r, len(want))
	r.launch(kernels.BiasReLUPoolBackward{Dx: at(dx), Dy: at(put(r, dy)), Mask: at(put(r, mask)), Planes: uint32(planes),
		H: uint32(s.H), W: uint32(s.W), OutH: uint32(outH), OutW: uint32(outW)})
	check(r, "dx", dx, want, exact)
}

func tryPooling(r *kernelRig) {
	modes := []net.PoolMode{net.MaxPool, net.MeanPool, net.L2Pool}
	mode := modes[r.random.IntN(len(modes))]
	kernel, stride := net.Pair{H: r.about(4), W: r.about(4)}, net.Pair{H: r.about(4), W: r.about(4)}
	// At both ends less than the window, so that each sees something.
	edge := func(k int) int { return r.random.IntN(k) }
	padding := []net.Padding{net.PadSame, net.PadValid, net.Pad(edge(kernel.H), edge(kernel.H), edge(kernel.W), edge(kernel.W))}[r.random.IntN(3)]
	in := net.Shape{C: r.about(4), H: kernel.H + r.random.IntN(8), W: kernel.W + r.random.IntN(10)}
	l := r.judgeOf(in, &net.Pool{Mode: mode, Kernel: kernel, Stride: stride, Padding: padding})
	n := r.about(4)
	x, dy := r.eighths(n*in.Size()), r.values(n*l.Out.Size())
	wantY := l.Forward([][]float64{doubles(x)}, n, net.Training, reference.Place{})
	inputs, _ := l.Backward(doubles(dy))
	s := poolLayer{link: link{node: l.Node, in: input{activations: newActivations(l.In, true)}, out: newActivations(l.Out, true)}, mode: mode}
	y, xs, dys := room[float32](r, len(wantY)), put(r, x), put(r, dy)
	dx, add := r.target(inputs[0])
	planes := uint32(n * in.C)
	r.launch(kernels.PoolForward{Y: at(y), X: at(xs), Mode: s.kernelMode(), Planes: planes, Windows: s.windows()})
	check(r, "y", y, wantY, approx.Tolerance{Abs: 16 * 4 * u * 16}) // 16 values up to 4, one by one
	if mode == net.MaxPool {
		r.launch(kernels.MaxPoolBackward{Dx: at(dx), Dy: at(dys), X: at(xs), Y: at(y), Planes: planes, Windows: s.windows(), Add: add})
	} else {
		r.launch(kernels.PoolBackward{Dx: at(dx), Dy: at(dys), X: at(xs), Y: at(y), Mode: s.kernelMode(), Planes: planes, Windows: s.windows(), Add: add})
	}
	check(r, "dx", dx, inputs[0], approx.Tolerance{Abs: 17 * u * 20}) // of up to 16 windows at most 1 each, one by one, and what was there
}

func tryPad(r *kernelRig) {
	in, planes, top, left := r.shape(), r.about(9), r.random.IntN(4), r.random.IntN(4)
	ph, pw := top+in.H+r.random.IntN(4), left+in.W+r.random.IntN(4)
	x := r.values(planes * in.H * in.W)
	want := make([]float64, planes*ph*pw)
	for i, v := range x {
		p, h, w := i/(in.H*in.W), i/in.W%in.H, i%in.W
		want[(p*ph+top+h)*pw+left+w] = float64(v)
	}
	padded := room[float32](r, len(want))
	r.launch(kernels.Pad{Xp: at(padded), X: at(put(r, x)), Planes: uint32(planes), H: int32(in.H), W: int32(in.W), Ph: int32(ph), Pw: int32(pw),
		Top: int32(top), Left: int32(left)})
	check(r, "padded", padded, want, exact)
	wantInside := doubles(x)
	inside, add := r.target(wantInside)
	r.launch(kernels.Crop{X: at(inside), Xp: at(padded), Planes: uint32(planes), H: int32(in.H), W: int32(in.W), Ph: int32(ph), Pw: int32(pw),
		Top: int32(top), Left: int32(left), Add: add})
	check(r, "inside", inside, wantInside, approx.Tolerance{Rel: u * float64(add)})
}

//go:build cuda

package cuda

import (
	"math"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// tryFused draws convolutions with ReLU and 2x2 max pooling behind them.
func tryFused(r *kernelRig) {
	in := net.Shape{C: r.about(r.about(14)), H: r.about(13), W: r.about(13)}
	kernel := net.Pair{H: r.about(5), W: r.about(5)}
	edge := func(k int) int { return r.random.IntN(k) }
	pad := net.Pad(edge(kernel.H), max(0, kernel.H-in.H, edge(kernel.H)), edge(kernel.W), max(0, kernel.W-in.W, edge(kernel.W)))
	conv := &net.Conv{Filters: r.about(18), Kernel: kernel, Padding: pad}
	l := r.judgeOf(in, conv)
	made := l.Out
	outH, outW := (made.H+r.random.IntN(2))/2, (made.W+r.random.IntN(2))/2
	f := filtering(l.Node)
	chunk := f.Chunk(uint32(outH), uint32(outW))
	if chunk == 0 {
		return // no windows
	}
	chunk = uint32(r.about(int(chunk)))
	n := r.about(5)
	// Eighths: products and sums are exact, so that equal ones are equal.
	x, weight, bias, dy := r.eighths(n*in.Size()), r.eighths(made.C*in.C*kernel.H*kernel.W), r.eighths(made.C), r.eighths(n*made.C*outH*outW)
	l.Params[net.Weight], l.Params[net.Bias] = doubles(weight), doubles(bias)
	sums := l.Forward([][]float64{doubles(x)}, n, net.Training, reference.Place{})
	d := make([]float64, len(sums)) // the gradient of what is pooled
	want, mask := make([]float64, len(dy)), make([]uint8, len(dy))
	for o := range dy {
		plane, h, w := o/(outH*outW), o/outW%outH*2, o%outW*2
		mask[o] = 4 // the ReLU lets nothing through
		for k := range 4 {
			if h+k/2 >= made.H || w+k%2 >= made.W {
				continue
			}
			if v := sums[(plane*made.H+h+k/2)*made.W+w+k%2]; v > want[o] {
				want[o], mask[o] = v, uint8(k)
			}
		}
		if k := int(mask[o]); k < 4 {
			d[(plane*made.H+h+k/2)*made.W+w+k%2] = float64(dy[o])
		}
	}
	_, grads := l.Backward(d)

	xs := put(r, x)
	y, masks := room[float32](r, len(want)), room[uint8](r, len(mask))
	r.launch(kernels.ConvBiasReLUPool{Y: at(y), Mask: at(masks), X: at(xs), Weight: at(put(r, weight)), Bias: at(put(r, bias)), Batch: uint32(n),
		Filtering: f, MadeH: uint32(made.H), MadeW: uint32(made.W), OutH: uint32(outH), OutW: uint32(outW), Chunk: chunk})
	check(r, "y", y, want, exact)
	checkWhole(r, "mask", masks, mask)

	parts := r.about(n)
	dw, db := room[float32](r, parts*len(weight)), room[float32](r, parts*len(bias))
	r.launch(kernels.ConvReLUPoolGradients{Dw: at(dw), Db: at(db), X: at(xs), Dy: at(put(r, dy)), Mask: at(masks), Batch: uint32(n), Filtering: f,
		OutH: uint32(outH), OutW: uint32(outW), Chunk: chunk, Parts: uint32(parts)})
	approx.Check(r, "dw", rowSums(dw.get(), parts), grads[net.Weight], exact)
	approx.Check(r, "db", rowSums(db.get(), parts), grads[net.Bias], exact)
}

// tryFusedNaN convolves images of which some values are NaN: what the pooling makes of that is what it makes behind cuDNN's
// convolution.
func tryFusedNaN(r *kernelRig) {
	in := net.Shape{C: 1, H: 2 + r.about(9), W: 2 + r.about(9)}
	l := r.judgeOf(in, &net.Conv{Filters: r.about(10), Kernel: net.Square(1)})
	f, outH, outW := filtering(l.Node), in.H/2, in.W/2
	x, weight := r.eighths(in.Size()), r.eighths(l.Out.C)
	for range r.about(4) {
		x[r.random.IntN(len(x))] = float32(math.NaN())
	}
	bias := make([]float32, l.Out.C)
	l.Params[net.Weight], l.Params[net.Bias] = doubles(weight), doubles(bias)
	sums := singles(l.Forward([][]float64{doubles(x)}, 1, net.Training, reference.Place{}))
	count := l.Out.C * outH * outW
	want, wantMask := room[float32](r, count), room[uint8](r, count)
	r.launch(kernels.BiasReLUPool{Y: at(want), Mask: at(wantMask), X: at(put(r, sums)), Bias: at(put(r, bias)), Planes: uint32(l.Out.C),
		Channels: uint32(l.Out.C), H: uint32(in.H), W: uint32(in.W), OutH: uint32(outH), OutW: uint32(outW)})
	y, mask := room[float32](r, count), room[uint8](r, count)
	r.launch(kernels.ConvBiasReLUPool{Y: at(y), Mask: at(mask), X: at(put(r, x)), Weight: at(put(r, weight)), Bias: at(put(r, bias)), Batch: 1,
		Filtering: f, MadeH: uint32(in.H), MadeW: uint32(in.W), OutH: uint32(outH), OutW: uint32(outW), Chunk: 1})
	checkWhole(r, "mask", mask, wantMask.get())
	for i, v := range want.get() {
		if got := y.get()[i]; got != v && !(math.IsNaN(float64(got)) && math.IsNaN(float64(v))) {
			r.Errorf("y[%d] is %v, want %v", i, got, v)
		}
	}
}

// rowSums adds up rows.
func rowSums(values []float32, rows int) []float64 {
	sums := make([]float64, len(values)/rows)
	for i, v := range values {
		sums[i%len(sums)] += float64(v)
	}
	return sums
}

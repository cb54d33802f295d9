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
	conv := &net.Conv{Filters: r.channels(18), Kernel: kernel, Padding: pad}
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

	xs, last := r.put(lastOf(r, x, n, in.C)), int32(boolInt(r.last))
	y, masks := r.room(len(want)), room[uint8](r, len(mask))
	r.launch(kernels.ConvBiasReLUPool{Y: y.at(), Mask: at(masks), X: xs.at(), Weight: at(put(r, lastOf(r, weight, made.C, in.C))), Bias: at(put(r, bias)),
		Batch: uint32(n), Filtering: f, MadeH: uint32(made.H), MadeW: uint32(made.W), OutH: uint32(outH), OutW: uint32(outW), Chunk: chunk, Last: last})
	r.check("y", y, lastOf(r, want, n, made.C), exact)
	checkWhole(r, "mask", masks, lastOf(r, mask, n, made.C))

	parts := r.about(n)
	row := len(weight) + len(bias)
	sums32 := room[float32](r, parts*row)
	r.launch(kernels.ConvReLUPoolGradients{Dw: at(sums32), Db: at(sums32) + kernels.Pointer[float32](4*len(weight)), X: xs.at(), Dy: r.put(lastOf(r, dy, n, made.C)).at(), Mask: at(masks), Batch: uint32(n),
		Filtering: f, OutH: uint32(outH), OutW: uint32(outW), Chunk: chunk, Parts: uint32(parts), Pitch: uint32(row), Last: last})
	all := rowSums(sums32.get(), parts)
	approx.Check(r, "dw", all[:len(weight)], lastOf(r, grads[net.Weight], made.C, in.C), exact)
	approx.Check(r, "db", all[len(weight):], grads[net.Bias], exact)
}

// tryFusedNaN convolves images of which some values are NaN: what the pooling makes of that is what it makes behind cuDNN's
// convolution. The products of two eighths are exact in bfloat16 too.
func tryFusedNaN(r *kernelRig) {
	in := net.Shape{C: 1, H: 2 + r.about(9), W: 2 + r.about(9)}
	l := r.judgeOf(in, &net.Conv{Filters: r.channels(16), Kernel: net.Square(1)})
	f, last := filtering(l.Node), int32(boolInt(r.last))
	outH, outW := (in.H+r.random.IntN(2))/2, (in.W+r.random.IntN(2))/2 // windows may reach over the border
	x, weight := r.eighths(in.Size()), r.eighths(l.Out.C)
	for range r.about(4) {
		x[r.random.IntN(len(x))] = float32(math.NaN())
	}
	bias := make([]float32, l.Out.C)
	l.Params[net.Weight], l.Params[net.Bias] = doubles(weight), doubles(bias)
	sums := singles(l.Forward([][]float64{doubles(x)}, 1, net.Training, reference.Place{}))
	count := l.Out.C * outH * outW
	want, wantMask := r.room(count), room[uint8](r, count)
	r.launch(kernels.BiasReLUPool{Y: want.at(), Mask: at(wantMask), X: r.put(lastOf(r, sums, 1, l.Out.C)).at(), Bias: at(put(r, bias)), Batch: 1,
		Channels: uint32(l.Out.C), H: uint32(in.H), W: uint32(in.W), OutH: uint32(outH), OutW: uint32(outW), Last: last})
	y, mask := r.room(count), room[uint8](r, count)
	r.launch(kernels.ConvBiasReLUPool{Y: y.at(), Mask: at(mask), X: r.put(x).at(), Weight: at(put(r, weight)), Bias: at(put(r, bias)), Batch: 1,
		Filtering: f, MadeH: uint32(in.H), MadeW: uint32(in.W), OutH: uint32(outH), OutW: uint32(outW), Chunk: 1, Last: last})
	checkWhole(r, "mask", mask, wantMask.get())
	got := y.get()
	for i, v := range want.get() {
		if got[i] != v && !(math.IsNaN(float64(got[i])) && math.IsNaN(float64(v))) {
			r.Errorf("y[%d] is %v, want %v", i, got[i], v)
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

//go:build cuda

package cuda

import (
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
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
	f := filtering(l.PlannedLayer)
	chunk := f.Chunk(uint32(outH), uint32(outW))
	if chunk == 0 {
		return // no windows
	}
	chunk = uint32(r.about(int(chunk)))
	n := r.about(5)
	// Eighths: products and sums are exact, so that equal ones are equal.
	x, weight, bias, dy := r.eighths(n*in.Size()), r.eighths(made.C*in.C*kernel.H*kernel.W), r.eighths(made.C), r.eighths(n*made.C*outH*outW)
	l.Params[net.Weight], l.Params[net.Bias] = doubles(weight), doubles(bias)
	sums := l.Forward(doubles(x), n, net.Training, 0)
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

// rowSums adds up rows.
func rowSums(values []float32, rows int) []float64 {
	sums := make([]float64, len(values)/rows)
	for i, v := range values {
		sums[i%len(sums)] += float64(v)
	}
	return sums
}

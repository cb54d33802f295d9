package cpu

import "unsafe"

// vectorOutputs holds the outputs of a convolution for one sample while they are
// still vectors of filters. It can also apply 2x2 max pooling to them, if that
// belongs to the convolution.
type vectorOutputs struct {
	conv     *conv
	lanes    int
	distance int         // values from a vector of filters to the next
	width    int         // positions in a row
	bias     []float32   // of all filters; 0 for filters that only fill up a vector
	pool     *maxPool    // the pooling whose output is computed too, or nil
	outputs  [][]float32 // (vectors, positions, lanes)
	pooled   [][]float32
	chosen   [][]int32 // this and the two above are by worker
}

// newVectorOutputs makes room for the outputs of the given number of filters. It is
// a multiple of the lanes, and not below the convolution's number of filters.
func newVectorOutputs(op *conv, filters, height, width int) *vectorOutputs {
	v := &vectorOutputs{conv: op, lanes: op.workers.all[0].kernel.Lanes, width: width, bias: make([]float32, filters)}
	v.distance = height * width * v.lanes
	for range op.workers.all {
		v.outputs = append(v.outputs, make([]float32, filters*height*width))
	}
	return v
}

// poolInto makes pooling a part of the convolution.
func (v *vectorOutputs) poolInto(next *maxPool) {
	v.pool = next
	next.fused = true
	area := next.to.H * next.to.W
	for range v.outputs {
		v.pooled = append(v.pooled, make([]float32, area*v.lanes))
		v.chosen = append(v.chosen, make([]int32, area*v.lanes))
	}
}

// ready copies the biases, which may have changed.
func (v *vectorOutputs) ready() {
	if v.conv.bias != nil {
		copy(v.bias, v.conv.bias.value)
	}
}

// of returns the outputs of one vector of filters, for the sample that the worker
// is computing.
func (v *vectorOutputs) of(w *worker, vector int) []float32 {
	return v.outputs[w.id][vector*v.distance:]
}

// finish writes the output of sample n for some vectors of filters, from the first to the
// one before the end. If pooling belongs to the convolution, it writes the output of
// pooling, and its own output only for a trace.
func (v *vectorOutputs) finish(w *worker, n, first, end int) {
	end = min(end, (v.conv.filters+v.lanes-1)/v.lanes)
	if v.pool != nil {
		v.finishPool(w, n, first, end)
		if !v.conv.pass.traced {
			return
		}
	}
	area := v.distance / v.lanes
	y := v.conv.out.values(n)
	for i := first; i < end; i++ {
		w.kernel.Transpose(y[i*v.lanes*area:], area, v.of(w, i), v.lanes, area, min(v.lanes, v.conv.filters-i*v.lanes))
	}
}

func (v *vectorOutputs) finishPool(w *worker, n, first, end int) {
	height, width := v.pool.to.H, v.pool.to.W
	area := height * width
	y, chosen := v.pool.out.at(w, n), v.pool.chosen[n*v.pool.out.size:][:v.pool.out.size]
	pooled, places := v.pooled[w.id], v.chosen[w.id]
	row := v.width * v.lanes
	for i := first; i < end; i++ {
		for h := range height {
			upper := v.of(w, i)[2*h*row:]
			w.kernel.PoolVectors(pooled[h*width*v.lanes:], places[h*width*v.lanes:], upper, upper[row:], width, 2*h*v.width, v.width)
		}
		filters := min(v.lanes, v.conv.filters-i*v.lanes)
		w.kernel.Transpose(y[i*v.lanes*area:], area, pooled, v.lanes, area, filters)
		if v.conv.pass.training {
			w.kernel.Transpose(bits(chosen[i*v.lanes*area:]), area, bits(places), v.lanes, area, filters)
		}
	}
}

// bits returns integers as float32 values with the same bits, so that kernels can
// move them.
func bits(v []int32) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

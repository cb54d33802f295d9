package cpu

import "github.com/gputrain/gputrain/net"

// add is the sum of its inputs. If it is in its group, the ReLU after it belongs to it.
type add struct {
	ins  []operand
	out  *activations
	relu bool
}

func (op *add) forward(w *worker, n int) {
	y := op.out.at(w, n)
	copy(y, op.ins[0].at(w, n))
	for _, in := range op.ins[1:] {
		w.kernel.Add(y, in.at(w, n))
	}
	if op.relu {
		w.kernel.AddBiasReLU(y, 0)
	}
}

// backward goes through the inputs from the last to the first, as all operations
// with several inputs do. If a value stands twice among them, the last one writes
// its gradient and the first one adds to it.
func (op *add) backward(w *worker, n int) {
	if dy := op.out.grads(n); op.relu {
		w.kernel.ReLUBackward(dy, dy, op.out.values(n))
	}
	for k := len(op.ins) - 1; k >= 0; k-- {
		if in := op.ins[k]; in.wanted {
			in.collect(w, in.grads(n), op.out.grads(n))
		}
	}
}

// concat puts the channels of its inputs one after the other. Within a sample they
// lie in this order too, also in blocks, because only the last block of the last input
// may have lanes without a channel.
type concat struct {
	ins []operand
	out *activations
}

func (op *concat) forward(w *worker, n int) {
	y := op.out.at(w, n)
	for _, in := range op.ins {
		y = y[copy(y, in.at(w, n)):]
	}
}

func (op *concat) backward(w *worker, n int) {
	end := op.out.size
	for k := len(op.ins) - 1; k >= 0; k-- {
		in := op.ins[k]
		first := end - in.size
		if in.wanted {
			in.collect(w, in.grads(n), op.out.grads(n)[first:end])
		}
		end = first
	}
}

// multiply multiplies two inputs value by value.
type multiply struct {
	ins [2]operand
	out *activations
}

func (op *multiply) forward(w *worker, n int) {
	w.kernel.Mul(op.out.at(w, n), op.ins[0].at(w, n), op.ins[1].at(w, n))
}

func (op *multiply) backward(w *worker, n int) {
	gy := op.out.grads(n)
	for k := 1; k >= 0; k-- {
		in, other := op.ins[k], op.ins[1-k].values(n)
		switch {
		case !in.wanted:
		case in.adds:
			w.kernel.MulAdd(in.grads(n), gy, other)
		default:
			w.kernel.Mul(in.grads(n), gy, other)
		}
	}
}

// gate multiplies each channel of its first input by one value of the second. All are
// in blocks.
type gate struct {
	x, factors operand
	out        *activations
	layout     layout
	constants  [][]float32 // what the kernels take of a block, by worker
}

func newGate(ws *workers, shape net.Shape, x, factors operand, out *activations) *gate {
	op := &gate{x: x, factors: factors, out: out, layout: inBlocks(shape, ws.all[0].kernel.Lanes)}
	for range ws.all {
		op.constants = append(op.constants, make([]float32, 6*op.layout.lanes))
	}
	return op
}

func (op *gate) forward(w *worker, n int) {
	lanes, plane := op.layout.lanes, op.layout.plane()
	x, y, factors := op.x.at(w, n), op.out.at(w, n), op.factors.at(w, n)
	c := op.constants[w.id][:3*lanes]
	clear(c)
	for b := range op.layout.blocks() {
		copy(c[lanes:2*lanes], factors[b*lanes:])
		w.kernel.NormalizeVectors(y[b*plane:][:plane], x[b*plane:][:plane], nil, c, 0)
	}
}

func (op *gate) backward(w *worker, n int) {
	lanes, plane := op.layout.lanes, op.layout.plane()
	x, dy, factors := op.x.values(n), op.out.grads(n), op.factors.values(n)
	c, sums := op.constants[w.id][:4*lanes], op.constants[w.id][4*lanes:]
	clear(c)
	for b := range op.layout.blocks() {
		x, dy := x[b*plane:][:plane], dy[b*plane:][:plane]
		if op.factors.wanted {
			to := op.factors.grads(n)[b*lanes:][:lanes]
			if !op.factors.adds {
				clear(to)
			}
			for from := 0; from < plane; from += vectorsAtOnce * lanes {
				end := min(from+vectorsAtOnce*lanes, plane)
				w.kernel.GradientMoments(sums, dy[from:end], x[from:end], c[:lanes])
				w.kernel.Add(to, sums[lanes:])
			}
		}
		if op.x.wanted {
			copy(c[lanes:2*lanes], factors[b*lanes:])
			w.kernel.NormalizeVectorsBack(op.x.grads(n)[b*plane:][:plane], dy, x, c, op.x.adds)
		}
	}
}

// scale multiplies each value by a fixed factor.
type scale struct {
	factor float32
	in     operand
	out    *activations
}

func (op *scale) forward(w *worker, n int) {
	w.kernel.Scale(op.out.at(w, n), op.in.at(w, n), op.factor)
}

func (op *scale) backward(w *worker, n int) {
	if op.in.wanted {
		scaled(w, op.in.grads(n), op.out.grads(n), op.factor, op.in.adds)
	}
}

// scaled writes factor*from to to, or adds it where adds is set.
func scaled(w *worker, to, from []float32, factor float32, adds bool) {
	if adds {
		w.kernel.ScaleAdd(to, from, factor)
	} else {
		w.kernel.Scale(to, from, factor)
	}
}

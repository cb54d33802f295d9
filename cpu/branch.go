package cpu

import "github.com/gputrain/gputrain/net"

// add is the sum of its inputs.
type add struct {
	ins []operand
	out *activations
}

func (op *add) forward(w *worker, n int) {
	y := op.out.values(n)
	copy(y, op.ins[0].values(n))
	for _, in := range op.ins[1:] {
		w.kernel.Add(y, in.values(n))
	}
}

// backward goes through the inputs from the last to the first, as all operations
// with several inputs do. If a value stands twice among them, the last one writes
// its gradient and the first one adds to it.
func (op *add) backward(w *worker, n int) {
	for k := len(op.ins) - 1; k >= 0; k-- {
		if in := op.ins[k]; in.wanted {
			in.collect(w, in.grads(n), op.out.grads(n))
		}
	}
}

// concat puts the channels of its inputs one after the other. Within a sample
// they lie in this order too.
type concat struct {
	ins []operand
	out *activations
}

func (op *concat) forward(_ *worker, n int) {
	y := op.out.values(n)
	for _, in := range op.ins {
		y = y[copy(y, in.values(n)):]
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
	w.kernel.Mul(op.out.values(n), op.ins[0].values(n), op.ins[1].values(n))
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

// gate multiplies each channel of its first input by one value of the second.
type gate struct {
	x, factors operand
	out        *activations
	area       int // values of a channel
}

func (op *gate) forward(w *worker, n int) {
	x, y := op.x.values(n), op.out.values(n)
	for c, f := range op.factors.values(n) {
		w.kernel.Scale(y[c*op.area:][:op.area], x[c*op.area:][:op.area], f)
	}
}

func (op *gate) backward(w *worker, n int) {
	x, gy, factors := op.x.values(n), op.out.grads(n), op.factors.values(n)
	if op.factors.wanted {
		to := op.factors.grads(n)
		for c := range to {
			product := float32(w.kernel.Dot(gy[c*op.area:][:op.area], x[c*op.area:][:op.area]))
			if op.factors.adds {
				product += to[c]
			}
			to[c] = product
		}
	}
	if op.x.wanted {
		to := op.x.grads(n)
		for c, f := range factors {
			scaled(w, to[c*op.area:][:op.area], gy[c*op.area:][:op.area], f, op.x.adds)
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
	w.kernel.Scale(op.out.values(n), op.in.values(n), op.factor)
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

// newMultiply returns the operation for inputs of the given shapes: a gate if
// they differ.
func newMultiply(shapes []net.Shape, ins []operand, out *activations) sampleOp {
	if shapes[0] == shapes[1] {
		return &multiply{[2]operand(ins), out}
	}
	return &gate{ins[0], ins[1], out, shapes[0].H * shapes[0].W}
}

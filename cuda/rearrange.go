//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// With channels last, the values behind a flatten layer are not in the flat vector's order: they lie as (H, W, C). Most
// networks don't need that order. A dense layer has its weights in the order of its input, and functions of single values
// don't care. What else takes such values, and the loss, is given them in order.

// permute writes n samples that lie as (extent, channels) to y as (channels, extent), or adds them to y where add is not 0.
// With back set it does the reverse.
func (l *link) permute(n int, y, x kernels.Values, lies net.Shape, back bool, add int32) error {
	rows, columns := uint32(lies.H*lies.W), uint32(lies.C)
	if back {
		rows, columns = columns, rows
	}
	return l.launch(kernels.Permute{Y: y, X: x, Batch: uint32(n), Rows: rows, Columns: columns, Add: add})
}

// inOrder is an operation that gets some of its inputs in order.
type inOrder struct {
	operation
	link          // of the operation as others see it
	inner []input // what the operation takes
	moved []bool  // by input: it is not where it was
}

// orderInputs returns the inputs that an operation takes if it needs all in order. moved is nil if they are.
func orderInputs(f Form, inputs []input) (inner []input, moved []bool) {
	for i, in := range inputs {
		if in.shape == in.lies || f.Ordered(in.lies) {
			continue
		}
		if moved == nil {
			inner, moved = append(inner, inputs...), make([]bool, len(inputs))
		}
		a := newActivations(in.shape, in.learns)
		inner[i], moved[i] = input{a, in.wanted, false}, true
	}
	if moved == nil {
		return inputs, nil
	}
	return inner, moved
}

func (o *inOrder) claim(first, last int) claim {
	var own []*slot
	for i, in := range o.inner {
		if !o.moved[i] {
			continue
		}
		kind, count := o.program.device.form.Type, int64(in.count(o.program.options.Batch))
		*in.value = newSlot(kind, count, first, first)
		own = append(own, in.value)
		if in.wanted {
			*in.grad = newSlot(kind, count, last, last)
			own = append(own, in.grad)
		}
	}
	need := o.operation.claim(first, last)
	need.own = append(need.own, own...)
	return need
}

func (o *inOrder) forward(p *pass) error {
	for i, in := range o.inputs {
		if !o.moved[i] {
			continue
		}
		if err := o.permute(p.n, o.inner[i].value.values(), in.value.values(), in.lies, false, 0); err != nil {
			return err
		}
	}
	return o.operation.forward(p)
}

func (o *inOrder) backward(p *pass) error {
	if err := o.operation.backward(p); err != nil {
		return err
	}
	for i := len(o.inputs) - 1; i >= 0; i-- {
		in := o.inputs[i]
		if !o.moved[i] || !in.wanted {
			continue
		}
		if err := o.permute(p.n, in.grad.values(), o.inner[i].grad.values(), in.lies, true, in.add()); err != nil {
			return err
		}
	}
	return nil
}

// logits is an operation whose output becomes the logits: in order, and as float32.
type logits struct {
	operation
	link
	inner *activations // what the operation writes
	order slot         // bfloat16: the output in order; empty if it is in order already
}

// needsLogits reports whether an operation's output has to be changed to become the logits.
func needsLogits(f Form, layer net.Layer, after tail, out net.Shape) bool {
	if _, dense := layer.(*net.Dense); dense && after == biasOnly {
		return false // it writes float32
	}
	return f.Type != kernels.Float32 || !f.Ordered(out)
}

// newLogits returns what the operation must write whose output is to become the logits.
func newLogits(l link) *logits {
	o := &logits{link: l, inner: newActivations(l.out.shape, l.out.learns)}
	if l.program.device.form.Ordered(l.out.shape) {
		o.inner.grad = l.out.grad
	}
	l.out.lies = net.Shape{C: l.out.shape.Size(), H: 1, W: 1}
	return o
}

// apart reports whether the gradient that the operation reads is not the one that the loss writes.
func (o *logits) apart() bool { return o.inner.grad != o.out.grad }

func (o *logits) claim(first, last int) claim {
	kind, count := o.program.device.form.Type, int64(o.out.count(o.program.options.Batch))
	*o.inner.value = newSlot(kind, count, first, first)
	own := []*slot{o.inner.value}
	if o.apart() && o.out.learns {
		*o.inner.grad = newSlot(kind, count, last, last)
		own = append(own, o.inner.grad)
	}
	if o.apart() && kind != kernels.Float32 {
		o.order = newSlot(kind, count, first, first)
		own = append(own, &o.order)
	}
	need := o.operation.claim(first, last)
	need.own = append(need.own, own...)
	return need
}

func (o *logits) forward(p *pass) error {
	if err := o.operation.forward(p); err != nil {
		return err
	}
	from, to := o.inner.value, o.out.value
	if o.order.count > 0 {
		to = &o.order
	}
	if o.apart() {
		if err := o.permute(p.n, to.values(), from.values(), o.inner.shape, false, 0); err != nil {
			return err
		}
		from = to
	}
	if from.kind == kernels.Float32 {
		return nil
	}
	return o.launch(kernels.FromBF16{Y: floats(o.out.value.Buffer), X: rounded(from.Buffer), Count: o.out.count(p.n)})
}

func (o *logits) backward(p *pass) error {
	if o.apart() {
		if err := o.permute(p.n, o.inner.grad.values(), o.out.grad.values(), o.inner.shape, true, 0); err != nil {
			return err
		}
	}
	return o.operation.backward(p)
}

// wrap makes an operation with make, and gives it its inputs in order and turns its output into the logits where that is
// needed. It returns the operation and the slot that holds the gradient of the operation's own output.
func (p *program) wrap(l link, after tail, last bool, make func(link) (operation, error)) (op operation, grad *slot, err error) {
	f, inner := p.device.form, l
	anyOrder := false // whether inputs may be in any order
	switch l.node.Layer.(type) {
	case *net.Dense:
		anyOrder = true
	case *net.Dropout, *net.Activation, *net.Scale:
		if anyOrder = !last; anyOrder {
			l.out.lies = l.in.lies
		}
	}
	var moved []bool
	if !anyOrder {
		inner.inputs, moved = orderInputs(f, l.inputs)
		inner.in = inner.inputs[0]
	}
	var end *logits
	if last && needsLogits(f, l.node.Layer, after, l.out.shape) {
		end = newLogits(l)
		inner.out = end.inner
	}
	if op, err = make(inner); err != nil {
		return nil, nil, err
	}
	if moved != nil {
		op = &inOrder{op, l, inner.inputs, moved}
	}
	if end != nil {
		end.operation, op = op, end
	}
	return op, inner.out.grad, nil
}

func (o *inOrder) close() error { return o.operation.close() }
func (o *logits) close() error  { return o.operation.close() }

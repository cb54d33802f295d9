//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import "github.com/gputrain/gputrain/kernels"

// Layers with several inputs, and a fixed factor. Their backward passes go from the last input to the first. If a
// value stands twice among the inputs, the later one's gradient is written first, and the earlier one's is added to
// it.

// copyValues copies count values of each of n blocks from x to y, or adds them to y where add is not 0. A pitch is
// the distance in values from one block to the next.
func (l *link) copyValues(n int, y kernels.Values, yPitch int, x kernels.Values, xPitch, count int, add int32) error {
	return l.launch(kernels.CopyBlocks{Y: y, X: x, Blocks: uint32(n), Count: uint32(count), YPitch: uint32(yPitch),
		XPitch: uint32(xPitch), Add: add})
}

// add adds its inputs.
type add struct{ link }

func (a *add) claim(int, int) claim { return claim{} }

func (a *add) forward(p *pass) error {
	sum := a.out.value.values()
	k := kernels.Add{Y: sum, A: a.in.value.values(), Count: a.out.count(p.n)}
	for _, in := range a.inputs[1:] {
		k.B = in.value.values()
		if err := a.launch(k); err != nil {
			return err
		}
		k.A = sum
	}
	return nil
}

func (a *add) backward(p *pass) error {
	size := a.out.shape.Size()
	for i := len(a.inputs) - 1; i >= 0; i-- {
		in := a.inputs[i]
		var err error
		switch dx, dy := in.grad.values(), a.out.grad.values(); {
		case in.grad == a.out.grad: // shared
		case in.adds:
			err = a.launch(kernels.Add{Y: dx, A: dx, B: dy, Count: a.out.count(p.n)})
		case in.wanted:
			err = a.copyValues(p.n, dx, size, dy, size, size, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *add) close() error { return nil }

// concat puts the channels of its inputs one after the other.
type concat struct{ link }

func (c *concat) claim(int, int) claim { return claim{} }

// blocks returns how n samples lie: the number of blocks, and how many values each has for each channel. With channels
// last a block is a pixel, otherwise it is a sample.
func (c *concat) blocks(n int) (blocks, each int) {
	if s := c.out.shape; !c.program.device.form.Last {
		return n, s.H * s.W
	}
	return n * c.out.shape.H * c.out.shape.W, 1
}

// part returns the place in the output or its gradient where the input's channels begin in the first block.
func (c *concat) part(of *slot, input int) kernels.Values {
	_, each := c.blocks(1)
	before := 0
	for _, in := range c.inputs[:input] {
		before += each * in.shape.C
	}
	return of.kind.At(uint64(of.Address) + uint64(of.kind.Bytes())*uint64(before))
}

func (c *concat) forward(p *pass) error {
	blocks, each := c.blocks(p.n)
	for i, in := range c.inputs {
		count := each * in.shape.C
		if err := c.copyValues(blocks, c.part(c.out.value, i), each*c.out.shape.C, in.value.values(), count, count, 0); err != nil {
			return err
		}
	}
	return nil
}

func (c *concat) backward(p *pass) error {
	blocks, each := c.blocks(p.n)
	for i := len(c.inputs) - 1; i >= 0; i-- {
		in := c.inputs[i]
		if !in.wanted {
			continue
		}
		count := each * in.shape.C
		if err := c.copyValues(blocks, in.grad.values(), count, c.part(c.out.grad, i), each*c.out.shape.C, count, in.add()); err != nil {
			return err
		}
	}
	return nil
}

func (c *concat) close() error { return nil }

// multiply is the product of two inputs. The second may be a gate: one value a channel.
type multiply struct{ link }

func (m *multiply) claim(int, int) (need claim) {
	for i, in := range m.inputs {
		if in.wanted {
			need.reads = append(need.reads, m.inputs[1-i].value)
		}
	}
	return need
}

// gated reports whether the second input is a gate. If both inputs have the same shape, it isn't one, even if both
// have one pixel.
func (m *multiply) gated() bool { return m.inputs[1].shape != m.in.shape }

// product computes y = x * the second input, or y += x * the second input where add is not 0.
func (m *multiply) product(n int, y, x *slot, add int32) error {
	factor := m.inputs[1].value.values()
	if m.gated() {
		rows, channels := m.program.device.form.planes(n, m.in.shape)
		return m.launch(kernels.MultiplyRows{Y: y.values(), X: x.values(), Gate: factor, Rows: rows,
			Extent: uint32(m.in.shape.H * m.in.shape.W), Channels: channels, Add: add})
	}
	return m.launch(kernels.Multiply{Y: y.values(), A: x.values(), B: factor, Count: m.in.count(n), Add: add})
}

func (m *multiply) forward(p *pass) error {
	return m.product(p.n, m.out.value, m.in.value, 0)
}

func (m *multiply) backward(p *pass) error {
	dy, x := m.out.grad.values(), m.in.value.values()
	if second := m.inputs[1]; second.wanted {
		d := second.grad.values()
		var k kernels.Launcher = kernels.Multiply{Y: d, A: dy, B: x, Count: m.in.count(p.n), Add: second.add()}
		if m.gated() {
			rows, channels := m.program.device.form.planes(p.n, m.in.shape)
			k = kernels.MultiplyRowsGate{Dgate: d, Dy: dy, X: x, Rows: rows, Extent: uint32(m.in.shape.H * m.in.shape.W), Channels: channels,
				Add: second.add()}
		}
		if err := m.launch(k); err != nil {
			return err
		}
	}
	if !m.in.wanted {
		return nil
	}
	return m.product(p.n, m.in.grad, m.out.grad, m.in.add())
}

func (m *multiply) close() error { return nil }

// scale multiplies by a fixed factor.
type scale struct {
	link
	factor float32
}

func (s *scale) claim(int, int) claim { return claim{} }

func (s *scale) forward(p *pass) error {
	return s.launch(kernels.Scale{Y: s.out.value.values(), X: s.in.value.values(), Count: s.out.count(p.n), Factor: s.factor})
}

func (s *scale) backward(p *pass) error {
	return s.launch(kernels.Scale{Y: s.in.grad.values(), X: s.out.grad.values(), Count: s.out.count(p.n), Factor: s.factor,
		Add: s.in.add()})
}

func (s *scale) close() error { return nil }

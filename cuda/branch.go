//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import "github.com/gputrain/gputrain/kernels"

// Layers with several inputs, and a fixed factor. Their backward passes go from the last input to the first. If a
// value stands twice among the inputs, the later one's gradient is written first, and the earlier one's is added to
// it.

// copyValues copies count values of each of n samples from x to y, or adds them to y where add is not 0. A pitch is
// the distance in values from one sample to the next.
func (l *link) copyValues(n int, y Buffer, yPitch int, x Buffer, xPitch, count int, add int32) error {
	return l.launch(kernels.CopyBlocks{Y: singles(y), X: singles(x), Blocks: uint32(n), Count: uint32(count), YPitch: uint32(yPitch),
		XPitch: uint32(xPitch), Add: add})
}

// add adds its inputs.
type add struct{ link }

func (a *add) claim(int, int) claim { return claim{} }

func (a *add) forward(p *pass) error {
	sum := floats(a.out.value.Buffer)
	k := kernels.Add{Y: sum, A: singles(a.in.value.Buffer), Count: a.out.count(p.n)}
	for _, in := range a.inputs[1:] {
		k.B = floats(in.value.Buffer)
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
		switch dx := floats(in.grad.Buffer); {
		case in.adds:
			err = a.launch(kernels.Add{Y: dx, A: dx, B: singles(a.out.grad.Buffer), Count: a.out.count(p.n)})
		case in.wanted:
			err = a.copyValues(p.n, in.grad.Buffer, size, a.out.grad.Buffer, size, size, 0)
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

// part returns the rest of a buffer (the output or its gradient) from the place where the input's channels begin in
// the first sample.
func (c *concat) part(of Buffer, input int) Buffer {
	var before int64
	for _, in := range c.inputs[:input] {
		before += 4 * int64(in.shape.Size())
	}
	return of.part(before, of.Bytes-before)
}

func (c *concat) forward(p *pass) error {
	for i, in := range c.inputs {
		size := in.shape.Size()
		if err := c.copyValues(p.n, c.part(c.out.value.Buffer, i), c.out.shape.Size(), in.value.Buffer, size, size, 0); err != nil {
			return err
		}
	}
	return nil
}

func (c *concat) backward(p *pass) error {
	for i := len(c.inputs) - 1; i >= 0; i-- {
		in := c.inputs[i]
		if !in.wanted {
			continue
		}
		size := in.shape.Size()
		if err := c.copyValues(p.n, in.grad.Buffer, size, c.part(c.out.grad.Buffer, i), c.out.shape.Size(), size, in.add()); err != nil {
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
func (m *multiply) product(n int, y, x Buffer, add int32) error {
	factor := floats(m.inputs[1].value.Buffer)
	if m.gated() {
		return m.launch(kernels.MultiplyRows{Y: singles(y), X: singles(x), Gate: factor, Rows: uint32(n * m.in.shape.C),
			Extent: extent(m.in.shape), Add: add})
	}
	return m.launch(kernels.Multiply{Y: singles(y), A: singles(x), B: factor, Count: m.in.count(n), Add: add})
}

func (m *multiply) forward(p *pass) error {
	return m.product(p.n, m.out.value.Buffer, m.in.value.Buffer, 0)
}

func (m *multiply) backward(p *pass) error {
	dy, x := floats(m.out.grad.Buffer), floats(m.in.value.Buffer)
	if second := m.inputs[1]; second.wanted {
		d := floats(second.grad.Buffer)
		var k kernels.Launcher = kernels.Multiply{Y: d, A: dy, B: x, Count: m.in.count(p.n), Add: second.add()}
		if m.gated() {
			k = kernels.MultiplyRowsGate{Dgate: d, Dy: dy, X: x, Rows: uint32(p.n * m.in.shape.C), Extent: extent(m.in.shape), Add: second.add()}
		}
		if err := m.launch(k); err != nil {
			return err
		}
	}
	if !m.in.wanted {
		return nil
	}
	return m.product(p.n, m.in.grad.Buffer, m.out.grad.Buffer, m.in.add())
}

func (m *multiply) close() error { return nil }

// scale multiplies by a fixed factor.
type scale struct {
	link
	factor float32
}

func (s *scale) claim(int, int) claim { return claim{} }

func (s *scale) forward(p *pass) error {
	return s.launch(kernels.Scale{Y: singles(s.out.value.Buffer), X: singles(s.in.value.Buffer), Count: s.out.count(p.n), Factor: s.factor})
}

func (s *scale) backward(p *pass) error {
	return s.launch(kernels.Scale{Y: singles(s.in.grad.Buffer), X: singles(s.out.grad.Buffer), Count: s.out.count(p.n), Factor: s.factor,
		Add: s.in.add()})
}

func (s *scale) close() error { return nil }

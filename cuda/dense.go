//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// dense is a fully connected layer, computed by cuBLAS: y (n, units) = x (n, inputs) * weight' (inputs, units) + bias.
// Where relu is set, a ReLU follows. cuBLASLt computes bias, ReLU and bias gradient with the products, where it can.
type dense struct {
	link
	relu  bool
	late  bool // the loss adds the bias, except in traces
	sums  slot // the bias gradient of each part of several
	sizes perBatch[*denseProducts]

	// A dense layer that alone takes the output of another one's ReLU can compute that ReLU's gradient with its own input
	// gradient.
	before *dense // the other one; nil if there is none
	after  *dense // the reverse
	mask   slot   // where the ReLU's output isn't 0, for the layer after this one
}

// denseProducts holds the products of cuBLASLt for one mini-batch size. cuBLAS computes those that are nil.
type denseProducts struct {
	forward, weightGradient, inputGradient *ltProduct
}

func newDense(l link, relu, last bool) *dense {
	d := &dense{link: l, relu: relu, late: last && !relu && l.parameters[net.Bias] != nil}
	if d.late {
		l.program.late = l.parameters[net.Bias]
	}
	if lies := l.in.lies; l.program.device.form.Last {
		l.parameters[net.Weight].lies = order{l.out.shape.C, lies.C, lies.H * lies.W}
	}
	if maker := l.maker(); maker != nil && maker.relu && l.in.wanted && l.program.device.lt != nil {
		d.before, maker.after = maker, d
	}
	return d
}

// maker returns the dense layer whose output this layer alone takes, or nil.
func (l *link) maker() *dense {
	value := l.program.lowered.Groups[l.group].Inputs[0].Value
	if value == 0 || len(l.program.lowered.Values[value].Uses) > 1 {
		return nil
	}
	d, _ := l.program.groups[value-1].operation.(*dense)
	return d
}

func (d *dense) claim(first, last int) claim {
	var need claim
	if d.relu {
		need.reads = append(need.reads, d.out.value)
	}
	if d.trained(net.Weight) != nil {
		need.reads = append(need.reads, d.in.value)
	}
	if d.besides() {
		need.beside = append(need.beside, d.in.value, d.out.grad)
	}
	if parts := d.biasGradientParts(d.program.options.Batch, d.out.shape); parts > 1 && d.trained(net.Bias) != nil {
		d.sums = newFloats(int64(parts)*int64(d.out.shape.C), last, last)
		need.own = append(need.own, &d.sums)
	}
	if d.after != nil {
		bytes := int64(d.program.options.Batch) * maskColumns(d.out.shape.C) / 8
		d.mask = slot{value: value{bytes: bytes, first: first, last: last}, count: bytes}
		need.own = append(need.own, &d.mask)
	}
	return need
}

// besides reports whether the weight gradient is computed beside other work.
func (d *dense) besides() bool {
	return d.trained(net.Weight) != nil && d.in.wanted && !d.program.device.options.OneStream
}

// at returns the products for a mini-batch of n samples.
func (d *dense) at(n int) (*denseProducts, error) { return d.sizes.at(d.program, n, d.make) }

// make makes the products, each with the first epilogue that cuBLASLt has for it.
func (d *dense) make(n int) (made *denseProducts, err error) {
	made = &denseProducts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, made.close())
			made = nil
		}
	}()
	units, inputs, device := d.out.shape.C, d.in.shape.C, d.program.device
	first := func(s productShape, epilogues ...epilogue) (p *ltProduct, err error) {
		for i := 0; i < len(epilogues) && p == nil && err == nil; i++ {
			s.epilogue = epilogues[i]
			p, err = device.newLtProduct(s)
		}
		return p, err
	}
	made.forward, err = first(productShape{right: true, m: n, n: units, k: inputs, out: d.out.value.kind}, d.endings()...)
	if err == nil && d.out.learns && d.trained(net.Weight) != nil {
		gradient := productShape{left: true, m: units, n: inputs, k: n, out: kernels.Float32}
		if d.trained(net.Bias) != nil {
			made.weightGradient, err = first(gradient, biasGradient, plain)
		} else {
			made.weightGradient, err = first(gradient, plain)
		}
	}
	if err == nil && d.in.wanted {
		gradient := productShape{m: n, n: inputs, k: units, out: d.in.grad.kind}
		masked, e := d.before.masks(n)
		if err = e; err == nil && masked {
			made.inputGradient, err = first(gradient, reluGradient, plain)
		} else if err == nil {
			made.inputGradient, err = first(gradient, plain)
		}
	}
	return made, err
}

// endings returns the epilogues of the forward product, the best first.
func (d *dense) endings() []epilogue {
	switch {
	case d.parameters[net.Bias] == nil || d.late:
		return []epilogue{plain}
	case !d.relu:
		return []epilogue{addsBias, plain}
	case d.after != nil:
		return []epilogue{keepsMask, addsBiasReLU, plain}
	}
	return []epilogue{addsBiasReLU, plain}
}

// masks reports whether the layer keeps its ReLU's mask. A nil layer doesn't.
func (d *dense) masks(n int) (bool, error) {
	if d == nil {
		return false, nil
	}
	made, err := d.at(n)
	return err == nil && made.forward.has(keepsMask), err
}

func (d *dense) forward(p *pass) error {
	made, err := d.at(p.n)
	if err != nil {
		return err
	}
	weight, bias, x, y := d.parameters[net.Weight], d.parameters[net.Bias], d.in.value, d.out.value
	if f := made.forward; f != nil {
		with := factors{left: x.Buffer, right: weight.factor, out: y.Buffer, mask: d.mask.Buffer}
		if bias != nil {
			with.bias = bias.value
			if y.kind == kernels.BF16 {
				with.bias = bias.factor
			}
		}
		err = f.multiply(with, false, d.program.capturing)
	} else {
		err = d.program.device.blas.multiply(output{y.Buffer, y.kind}, matrix{x.Buffer, false}, matrix{weight.factor, true}, p.n, d.out.shape.C,
			d.in.shape.C, false)
	}
	ended := made.forward != nil && made.forward.epilogue != plain
	if err != nil || bias == nil || ended || d.late && !p.tracing {
		return err
	}
	return d.addBias(bias, y, p.n, d.out.shape, d.relu)
}

func (d *dense) backward(p *pass) error {
	made, err := d.at(p.n)
	if err != nil {
		return err
	}
	weight, bias, dy := d.trained(net.Weight), d.trained(net.Bias), d.out.grad
	taken, err := d.after.takesReLU(p)
	if err != nil {
		return err
	}
	if made.weightGradient.has(biasGradient) {
		bias = nil
	}
	if err := d.biasGradient(bias, d.relu && !taken, dy, p.n, d.out.shape, d.sums.Buffer); err != nil {
		return err
	}
	if weight != nil {
		product := func() error { return d.weightGradient(made.weightGradient, p.n) }
		if d.besides() {
			err = d.program.aside(p, sideLane, d.group, product)
		} else {
			err = product()
		}
		if err != nil {
			return err
		}
	}
	if !d.in.wanted {
		return nil
	}
	return d.inputGradient(made.inputGradient, p)
}

// takesReLU reports whether the input gradient is that of the ReLU before this layer, not of its output. A trace wants to
// see the latter. A nil layer takes nothing.
func (d *dense) takesReLU(p *pass) (bool, error) {
	if d == nil || p.tracing {
		return false, nil
	}
	made, err := d.at(p.n)
	if err != nil || !made.inputGradient.has(reluGradient) {
		return false, err
	}
	return d.before.masks(p.n)
}

// weightGradient computes the weight gradient, with the bias gradient where the product has it.
func (d *dense) weightGradient(by *ltProduct, n int) error {
	weight, bias, x, dy := d.parameters[net.Weight], d.trained(net.Bias), d.in.value.Buffer, d.out.grad.Buffer
	if by == nil {
		return d.program.device.blas.multiply(output{weight.grad, kernels.Float32}, matrix{dy, true}, matrix{x, false}, d.out.shape.C, d.in.shape.C,
			n, false)
	}
	with := factors{left: dy, right: x, out: weight.grad}
	if bias != nil {
		with.bias = bias.grad
	}
	return by.multiply(with, false, d.program.capturing)
}

// inputGradient computes the input gradient, or that of the ReLU before it.
func (d *dense) inputGradient(by *ltProduct, p *pass) error {
	taken, err := d.takesReLU(p)
	if err != nil {
		return err
	}
	factor, dy, dx := d.parameters[net.Weight].factor, d.out.grad.Buffer, d.in.grad
	if by == nil || by.has(reluGradient) && !taken {
		return d.program.device.blas.multiply(output{dx.Buffer, dx.kind}, matrix{dy, false}, matrix{factor, false}, p.n, d.in.shape.C, d.out.shape.C,
			d.in.adds)
	}
	with := factors{left: dy, right: factor, out: dx.Buffer}
	if d.before != nil {
		with.mask = d.before.mask.Buffer
	}
	return by.multiply(with, d.in.adds, d.program.capturing)
}

func (d *dense) close() error { return d.sizes.close() }

func (d *denseProducts) close() error {
	return errors.Join(d.forward.close(), d.weightGradient.close(), d.inputGradient.close())
}

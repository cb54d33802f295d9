//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// dense is a fully connected layer, computed by cuBLAS: y (n, units) = x (n, inputs) * weight' (inputs, units) + bias.
// Where relu is set, a ReLU follows.
type dense struct {
	link
	relu bool
	late bool // the loss adds the bias, except in traces
	sums slot // the bias gradient of each part of several
}

func newDense(l link, relu, last bool) *dense {
	d := &dense{link: l, relu: relu, late: last && !relu && l.parameters[net.Bias] != nil}
	if d.late {
		l.program.late = l.parameters[net.Bias]
	}
	if lies := l.in.lies; l.program.device.form.last {
		l.parameters[net.Weight].lies = order{l.out.shape.C, lies.C, lies.H * lies.W}
	}
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
	if d.branches() {
		need.beside = append(need.beside, d.in.value, d.out.grad)
	}
	if parts := d.biasGradientParts(d.program.options.Batch, d.out.shape); parts > 1 && d.trained(net.Bias) != nil {
		d.sums = newFloats(int64(parts)*int64(d.out.shape.C), last, last)
		need.own = append(need.own, &d.sums)
	}
	return need
}

// branches reports whether the weight gradient is computed beside other work.
func (d *dense) branches() bool {
	return d.trained(net.Weight) != nil && d.in.wanted && !d.program.device.options.OneStream
}

func (d *dense) forward(p *pass) error {
	weight, bias := d.parameters[net.Weight], d.parameters[net.Bias]
	y := d.out.value
	err := d.program.device.blas.multiply(output{y.Buffer, y.kind}, matrix{d.in.value.Buffer, false}, matrix{weight.factor, true},
		p.n, d.out.shape.C, d.in.shape.C, false)
	if err != nil || bias == nil || d.late && !p.tracing {
		return err
	}
	return d.addBias(bias, y, p.n, d.out.shape, d.relu)
}

func (d *dense) backward(p *pass) error {
	units, inputs := d.out.shape.C, d.in.shape.C
	weight, dy := d.trained(net.Weight), d.out.grad
	if err := d.biasGradient(d.trained(net.Bias), d.relu, dy, p.n, d.out.shape, d.sums.Buffer); err != nil {
		return err
	}
	if weight != nil {
		product := func() error {
			return d.program.device.blas.multiply(output{weight.grad, kernels.Float32}, matrix{dy.Buffer, true}, matrix{d.in.value.Buffer, false},
				units, inputs, p.n, false)
		}
		var err error
		if d.branches() {
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
	dx := d.in.grad
	return d.program.device.blas.multiply(output{dx.Buffer, dx.kind}, matrix{dy.Buffer, false}, matrix{d.parameters[net.Weight].factor, false}, p.n, inputs, units, d.in.adds)
}

func (d *dense) close() error { return nil }

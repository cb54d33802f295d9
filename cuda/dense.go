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
	relu  bool
	x, dy slot // bfloat16: the input, kept for the backward pass, and the output's gradient
}

func (d *dense) claim(first, last int) claim {
	var need claim
	trained, bf16, batch := d.trained(net.Weight) != nil, d.program.device.bf16(), int64(d.program.options.Batch)
	if d.relu {
		need.reads = append(need.reads, d.out.value)
	}
	if trained && !bf16 {
		need.reads = append(need.reads, d.in.value)
	}
	if bf16 {
		if !trained {
			d.x = newRounded(batch*int64(d.in.shape.C), first, first)
		} else {
			d.x = newRounded(batch*int64(d.in.shape.C), first, last)
		}
		need.own = append(need.own, &d.x)
	}
	if bf16 && (trained || d.in.wanted) {
		d.dy = newRounded(batch*int64(d.out.shape.C), last, last)
		need.own = append(need.own, &d.dy)
	}
	return need
}

func (d *dense) forward(p *pass) error {
	units, inputs := d.out.shape.C, d.in.shape.C
	weight, bias := d.parameters[net.Weight], d.parameters[net.Bias]
	x := d.in.value.Buffer
	if err := d.round(x, &d.x, d.in.count(p.n)); err != nil {
		return err
	}
	err := d.program.device.blas.multiply(d.out.value.Buffer, matrix{d.operand(x, &d.x), false}, matrix{weight.factor, true},
		p.n, units, inputs, false)
	if err != nil || bias == nil {
		return err
	}
	y := floats(d.out.value.Buffer)
	if d.relu {
		return d.launch(kernels.BiasReLU{X: y, Bias: floats(bias.value), Count: uint32(d.out.count(p.n)), Channels: uint32(units), Extent: 1})
	}
	return d.launch(kernels.BiasAdd{X: y, Bias: floats(bias.value), Count: uint32(d.out.count(p.n)), Channels: uint32(units), Extent: 1})
}

func (d *dense) backward(p *pass) error {
	units, inputs := d.out.shape.C, d.in.shape.C
	weight := d.trained(net.Weight)
	dy := d.out.grad.Buffer
	if d.relu {
		err := d.launch(kernels.ReLUBackward{Dx: singles(dy), Dy: singles(dy), Y: singles(d.out.value.Buffer), Count: d.out.count(p.n)})
		if err != nil {
			return err
		}
	}
	if bias := d.trained(net.Bias); bias != nil {
		if err := d.biasGradient(bias, dy, p.n, d.out.shape, Buffer{}); err != nil {
			return err
		}
	}
	if weight == nil && !d.in.wanted {
		return nil
	}
	if err := d.round(dy, &d.dy, d.out.count(p.n)); err != nil {
		return err
	}
	dy = d.operand(dy, &d.dy)
	blas := d.program.device.blas
	if weight != nil {
		err := blas.multiply(weight.grad, matrix{dy, true}, matrix{d.operand(d.in.value.Buffer, &d.x), false}, units, inputs, p.n, false)
		if err != nil {
			return err
		}
	}
	if !d.in.wanted {
		return nil
	}
	factor := d.parameters[net.Weight].factor
	return blas.multiply(d.in.grad.Buffer, matrix{dy, false}, matrix{factor, false}, p.n, inputs, units, d.in.adds)
}

func (d *dense) close() error { return nil }

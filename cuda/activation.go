//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"fmt"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// activate is an activation layer that stands by itself.
type activate struct {
	link
	function  kernels.ActivationFunction
	parameter float64
}

func newActivate(l link, a *net.Activation) *activate {
	f, ok := kernels.FindActivation(string(a.Func))
	if !ok {
		panic(fmt.Sprintf("BUG: activation function %s", a.Func))
	}
	return &activate{link: l, function: f, parameter: a.LeakySlope()}
}

func (a *activate) claim(int, int) claim {
	return claim{input: !a.function.ReadsOutput, output: a.function.ReadsOutput}
}

func (a *activate) forward(p *pass) error {
	return a.launch(kernels.Activation{Y: floats(a.out.value.Buffer), X: floats(a.in.value.Buffer), Count: a.out.count(p.n),
		Function: a.function.Number, P: float32(a.parameter)})
}

func (a *activate) backward(p *pass, wanted bool) error {
	if !wanted {
		return nil
	}
	read := a.in
	if a.function.ReadsOutput {
		read = a.out
	}
	return a.launch(kernels.ActivationBackward{Dx: floats(a.in.grad.Buffer), Dy: floats(a.out.grad.Buffer), Read: floats(read.value.Buffer),
		Count: a.out.count(p.n), Function: a.function.Number, P: float32(a.parameter)})
}

func (a *activate) close() error { return nil }

// dropout is a dropout layer: by a kernel of ours, so that net.DropoutKeep decides on every device alike. The mask is
// computed again for the backward pass instead of kept.
type dropout struct {
	link
	rate float64
}

func (d *dropout) claim(int, int) claim { return claim{} }

// mask returns the launch that turns x into y.
func (d *dropout) mask(p *pass, y, x Buffer) kernels.Dropout {
	key := net.SeedKey(d.program.options.Seed)
	k := kernels.Dropout{
		Y: floats(y), X: floats(x), State: d.program.state(), Count: d.in.count(p.n), Size: d.in.count(1), KeyLow: key[0], KeyHigh: key[1],
		Last: net.DropoutCounter(d.layer.Index, 0, 0)[3], Scale: 1,
	}
	if p.training { // else everything is at least 0, and stays
		k.Threshold = net.DropoutThreshold(d.rate)
		k.Scale = float32(1 / (1 - d.rate))
	}
	return k
}

func (d *dropout) forward(p *pass) error {
	return d.launch(d.mask(p, d.out.value.Buffer, d.in.value.Buffer))
}

func (d *dropout) backward(p *pass, wanted bool) error {
	if !wanted {
		return nil
	}
	return d.launch(d.mask(p, d.in.grad.Buffer, d.out.grad.Buffer))
}

func (d *dropout) close() error { return nil }

// batchNorm is batch normalisation, by kernels of ours: their sums are in float64 and in a fixed order, and they take a
// mini-batch of one value a channel, for which cuDNN's unbiased variance is a division by zero.
type batchNorm struct {
	link
	momentum, epsilon float64
	mean, inverse     slot // of the batch, or of the running statistics; inverse is 1/sqrt(variance + epsilon)
}

func (b *batchNorm) claim(first, last int) claim {
	b.mean, b.inverse = newSlot(int64(b.in.shape.C), first, last), newSlot(int64(b.in.shape.C), first, last)
	return claim{input: true, own: []*slot{&b.mean, &b.inverse}}
}

func (b *batchNorm) forward(p *pass) error {
	channels, e := uint32(b.in.shape.C), extent(b.in.shape)
	x, mean, inverse := floats(b.in.value.Buffer), floats(b.mean.Buffer), floats(b.inverse.Buffer)
	running, variance := b.parameters[net.RunningMean].value, b.parameters[net.RunningVar].value
	var err error
	if p.training {
		k := kernels.BatchnormStatistics{Mean: mean, Inverse: inverse, X: x, Batch: uint32(p.n), Channels: channels, Extent: e,
			Momentum: b.momentum, Epsilon: b.epsilon}
		if !p.frozen {
			k.RunningMean, k.RunningVar = optional(running), optional(variance)
		}
		err = b.launch(k)
	} else {
		err = b.launch(kernels.BatchnormRunning{Mean: mean, Inverse: inverse, RunningMean: floats(running), RunningVar: floats(variance),
			Channels: channels, Epsilon: b.epsilon})
	}
	if err != nil {
		return err
	}
	return b.launch(kernels.Batchnorm{Y: floats(b.out.value.Buffer), X: x, Mean: mean, Inverse: inverse,
		Weight: floats(b.parameters[net.Weight].value), Bias: floats(b.parameters[net.Bias].value),
		Count: uint32(b.in.count(p.n)), Channels: channels, Extent: e})
}

func (b *batchNorm) backward(p *pass, wanted bool) error {
	channels, e := uint32(b.in.shape.C), extent(b.in.shape)
	x, dy, mean, inverse := floats(b.in.value.Buffer), floats(b.out.grad.Buffer), floats(b.mean.Buffer), floats(b.inverse.Buffer)
	weight, bias := b.parameters[net.Weight], b.parameters[net.Bias]
	err := b.launch(kernels.BatchnormGradients{Dweight: floats(weight.grad), Dbias: floats(bias.grad), Dy: dy, X: x, Mean: mean,
		Inverse: inverse, Batch: uint32(p.n), Channels: channels, Extent: e})
	if err != nil || !wanted {
		return err
	}
	return b.launch(kernels.BatchnormBackward{Dx: floats(b.in.grad.Buffer), Dy: dy, X: x, Mean: mean, Inverse: inverse,
		Weight: floats(weight.value), Dweight: floats(weight.grad), Dbias: floats(bias.grad),
		Count: uint32(b.in.count(p.n)), Channels: channels, Extent: e})
}

func (b *batchNorm) close() error { return nil }

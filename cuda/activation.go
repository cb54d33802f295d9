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

func newActivate(l link, a *net.Activation) (operation, error) {
	f, ok := kernels.FindActivation(string(a.Func))
	if !ok {
		return nil, fmt.Errorf("layer %s: there is no kernel for the activation function %s", l.node.Name, a.Func)
	}
	return &activate{link: l, function: f, parameter: a.Parameter()}, nil
}

func (a *activate) claim(int, int) claim { return claim{reads: []*slot{a.read()}} }

// read is what the backward pass reads.
func (a *activate) read() *slot {
	if a.function.ReadsOutput {
		return a.out.value
	}
	return a.in.value
}

func (a *activate) forward(p *pass) error {
	return a.launch(kernels.Activation{Y: floats(a.out.value.Buffer), X: floats(a.in.value.Buffer), Count: a.out.count(p.n),
		Function: a.function.Number, P: float32(a.parameter)})
}

func (a *activate) backward(p *pass) error {
	return a.launch(kernels.ActivationBackward{Dx: floats(a.in.grad.Buffer), Dy: floats(a.out.grad.Buffer), Read: floats(a.read().Buffer),
		Count: a.out.count(p.n), Function: a.function.Number, P: float32(a.parameter), Add: a.in.add()})
}

func (a *activate) close() error { return nil }

// dropout is a dropout layer: by a kernel of ours, so that net.DropoutKeep decides on every device alike. The mask is
// computed again for the backward pass instead of kept.
type dropout struct {
	link
	rate float64
}

func (d *dropout) claim(int, int) claim { return claim{} }

// mask returns the launch that turns x into y, or adds it to y.
func (d *dropout) mask(p *pass, y, x Buffer, add int32) kernels.Dropout {
	key := net.SeedKey(d.program.options.Seed)
	k := kernels.Dropout{
		Y: floats(y), X: floats(x), State: d.program.state(), Queued: d.program.queue.numbers(), Count: d.in.count(p.n), Size: d.in.count(1),
		KeyLow: key[0], KeyHigh: key[1], Last: net.DropoutCounter(d.node.Index, 0, 0)[3], Scale: 1, Add: add,
	}
	if p.training { // else everything is at least 0, and stays
		k.Threshold = net.DropoutThreshold(d.rate)
		k.Scale = float32(1 / (1 - d.rate))
	}
	return k
}

func (d *dropout) forward(p *pass) error {
	return d.launch(d.mask(p, d.out.value.Buffer, d.in.value.Buffer, 0))
}

func (d *dropout) backward(p *pass) error {
	return d.launch(d.mask(p, d.in.grad.Buffer, d.out.grad.Buffer, d.in.add()))
}

func (d *dropout) close() error { return nil }

// batchNorm is batch normalisation, by kernels of ours: their sums are in float64 and in a fixed order, and they take a
// mini-batch of one value a channel, for which cuDNN's unbiased variance is a division by zero.
type batchNorm struct {
	link
	momentum, epsilon float64
	mean, inverse     slot // of the batch, or of the running statistics; inverse is 1/sqrt(variance + epsilon)
	sums              slot // the gradients of weight and bias, where one of them is frozen
}

func (b *batchNorm) claim(first, last int) claim {
	channels := int64(b.in.shape.C)
	b.mean, b.inverse = newSlot(channels, first, last), newSlot(channels, first, last)
	need := claim{reads: []*slot{b.in.value}, own: []*slot{&b.mean, &b.inverse}}
	if b.out.learns && (b.trained(net.Weight) == nil || b.trained(net.Bias) == nil) {
		b.sums = newSlot(2*channels, last, last)
		need.own = append(need.own, &b.sums)
	}
	return need
}

// sumsOf is where the gradient of the weight, or else the bias, is summed: that of the input is made of both.
func (b *batchNorm) sumsOf(r net.Role) Buffer {
	if q := b.trained(r); q != nil {
		return q.grad
	}
	bytes := 4 * int64(b.in.shape.C)
	return b.sums.part(int64(boolInt(r == net.Bias))*bytes, bytes)
}

func (b *batchNorm) forward(p *pass) error {
	channels, e := uint32(b.in.shape.C), extent(b.in.shape)
	x, mean, inverse := floats(b.in.value.Buffer), floats(b.mean.Buffer), floats(b.inverse.Buffer)
	running, variance := b.parameters[net.RunningMean].value, b.parameters[net.RunningVar].value
	var err error
	if p.training {
		k := kernels.BatchnormStatistics{Mean: mean, Inverse: inverse, X: x, Batch: uint32(p.n), Channels: channels, Extent: e,
			Momentum: b.momentum, Epsilon: b.epsilon}
		if !p.tracing {
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

func (b *batchNorm) backward(p *pass) error {
	channels, e := uint32(b.in.shape.C), extent(b.in.shape)
	x, dy, mean, inverse := floats(b.in.value.Buffer), floats(b.out.grad.Buffer), floats(b.mean.Buffer), floats(b.inverse.Buffer)
	dweight, dbias := floats(b.sumsOf(net.Weight)), floats(b.sumsOf(net.Bias))
	err := b.launch(kernels.BatchnormGradients{Dweight: dweight, Dbias: dbias, Dy: dy, X: x, Mean: mean, Inverse: inverse, Batch: uint32(p.n),
		Channels: channels, Extent: e})
	if err != nil || !b.in.wanted {
		return err
	}
	return b.launch(kernels.BatchnormBackward{Dx: floats(b.in.grad.Buffer), Dy: dy, X: x, Mean: mean, Inverse: inverse,
		Weight: floats(b.parameters[net.Weight].value), Dweight: dweight, Dbias: dbias,
		Count: uint32(b.in.count(p.n)), Channels: channels, Extent: e, Add: b.in.add()})
}

func (b *batchNorm) close() error { return nil }

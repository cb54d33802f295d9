//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"

	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// activation is cuDNN's activation for one shape and one size of mini-batch.
type activation struct {
	x        *cudnn.TensorDescriptor // of input, output and both gradients
	function *cudnn.Activation
}

func newActivation(shape net.Shape, f net.ActivationFunc, n int) (*activation, error) {
	modes := map[net.ActivationFunc]cudnn.ActivationMode{net.ReLU: cudnn.ReLU, net.Tanh: cudnn.Tanh, net.Sigmoid: cudnn.Sigmoid}
	a := &activation{}
	var errs [2]error
	a.x, errs[0] = cudnn.NewTensorDescriptor(cudnn.NCHW, cudnn.Float, []int{n, shape.C, shape.H, shape.W}, nil)
	a.function, errs[1] = cudnn.NewActivation(modes[f], cudnn.PropagateNan, 0)
	if err := dnn("describing an activation", firstError(errs[:]...)); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *activation) close() error { return destroy(a.x, a.function) }

// activate is an activation layer that stands by itself. cuDNN has no leaky ReLU.
type activate struct {
	link
	function net.ActivationFunc
	slope    float64
	sizes    perBatch[*activation]
}

func (a *activate) claim(int, int) claim {
	return claim{input: true, output: a.function != net.LeakyReLU}
}

func (a *activate) at(n int) (*activation, error) {
	return a.sizes.at(a.program, n, func(n int) (*activation, error) { return newActivation(a.in.shape, a.function, n) })
}

func (a *activate) forward(p *pass) error {
	x, y := a.in.value.Buffer, a.out.value.Buffer
	if a.function == net.LeakyReLU {
		return a.launch(kernels.LeakyReLU{Y: floats(y), X: floats(x), Count: a.out.count(p.n), Slope: float32(a.slope)})
	}
	d, err := a.at(p.n)
	if err != nil {
		return err
	}
	return dnn("cudnnActivationForward", a.program.device.dnn.ActivationForward(d.function, 1, d.x, x, 0, d.x, y))
}

func (a *activate) backward(p *pass, wanted bool) error {
	if !wanted {
		return nil
	}
	x, y, dy, dx := a.in.value.Buffer, a.out.value.Buffer, a.out.grad.Buffer, a.in.grad.Buffer
	if a.function == net.LeakyReLU {
		return a.launch(kernels.LeakyReLUBackward{Dx: floats(dx), Dy: floats(dy), X: floats(x), Count: a.out.count(p.n), Slope: float32(a.slope)})
	}
	d, err := a.at(p.n)
	if err != nil {
		return err
	}
	return dnn("cudnnActivationBackward", a.program.device.dnn.ActivationBackward(d.function, 1, d.x, y, d.x, dy, d.x, x, 0, d.x, dx))
}

func (a *activate) close() error { return a.sizes.close() }

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
		Y: floats(y), X: floats(x), State: d.program.state(), Count: d.in.count(p.n), KeyLow: key[0], KeyHigh: key[1],
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

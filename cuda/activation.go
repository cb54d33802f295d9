//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"fmt"

	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// dnnActivation holds cuDNN's descriptors of an activation, for one shape and one mini-batch size.
type dnnActivation struct {
	x        *cudnn.TensorDescriptor // of input, output and both gradients
	function *cudnn.Activation
}

func newDNNActivation(shape net.Shape, mode cudnn.ActivationMode, n int) (*dnnActivation, error) {
	a := &dnnActivation{}
	var errs [2]error
	a.x, errs[0] = cudnn.NewTensorDescriptor(cudnn.NCHW, cudnn.Float, []int{n, shape.C, shape.H, shape.W}, nil)
	a.function, errs[1] = cudnn.NewActivation(mode, cudnn.PropagateNan, 0)
	if err := dnn("describing an activation", firstError(errs[:]...)); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *dnnActivation) close() error { return destroy(a.x, a.function) }

// activationModes lists the functions that cuDNN computes. Our own kernels compute the others.
var activationModes = map[net.ActivationFunc]cudnn.ActivationMode{net.ReLU: cudnn.ReLU, net.Tanh: cudnn.Tanh, net.Sigmoid: cudnn.Sigmoid}

// activationLayer is an activation layer that isn't fused with the layer before it.
type activationLayer struct {
	link
	function  kernels.ActivationFunction
	parameter float64
	mode      cudnn.ActivationMode // used only where function.InCuDNN
	sizes     perBatch[*dnnActivation]
}

func newActivationLayer(l link, a *net.Activation) (operation, error) {
	f, ok := kernels.FindActivation(string(a.Func))
	if !ok {
		return nil, fmt.Errorf("layer %s: there is no kernel for the activation function %s", l.node.Name, a.Func)
	}
	mode, ok := activationModes[a.Func]
	if ok != f.InCuDNN {
		return nil, fmt.Errorf("BUG: layer %s: whether cuDNN has %s is said in two ways", l.node.Name, a.Func)
	}
	return &activationLayer{link: l, function: f, parameter: a.Parameter(), mode: mode}, nil
}

// usesDNN reports whether cuDNN computes the function. For bfloat16 our kernels compute every function.
func (a *activationLayer) usesDNN() bool {
	return a.function.InCuDNN && a.program.device.form.kind == kernels.Float32
}

// claim lists what the backward pass reads. cuDNN wants the input too, even where its formula needs only the output.
func (a *activationLayer) claim(int, int) claim {
	if a.usesDNN() {
		return claim{reads: []*slot{a.in.value, a.out.value}}
	}
	return claim{reads: []*slot{a.read()}}
}

// read returns what the backward pass of our own kernel reads: the output or the input.
func (a *activationLayer) read() *slot {
	if a.function.ReadsOutput {
		return a.out.value
	}
	return a.in.value
}

func (a *activationLayer) at(n int) (*dnnActivation, error) {
	return a.sizes.at(a.program, n, func(n int) (*dnnActivation, error) { return newDNNActivation(a.in.shape, a.mode, n) })
}

func (a *activationLayer) forward(p *pass) error {
	x, y := a.in.value, a.out.value
	if !a.usesDNN() {
		return a.launch(kernels.Activation{Y: y.values(), X: x.values(), Count: a.out.count(p.n), Function: a.function.Number, P: float32(a.parameter)})
	}
	d, err := a.at(p.n)
	if err != nil {
		return err
	}
	return dnn("cudnnActivationForward", a.program.device.dnn.ActivationForward(d.function, 1, d.x, x.Buffer, 0, d.x, y.Buffer))
}

func (a *activationLayer) backward(p *pass) error {
	x, y, dy, dx := a.in.value, a.out.value, a.out.grad, a.in.grad
	if !a.usesDNN() {
		return a.launch(kernels.ActivationBackward{Dx: dx.values(), Dy: dy.values(), Read: a.read().values(),
			Count: a.out.count(p.n), Function: a.function.Number, P: float32(a.parameter), Add: a.in.add()})
	}
	d, err := a.at(p.n)
	if err != nil {
		return err
	}
	return dnn("cudnnActivationBackward", a.program.device.dnn.ActivationBackward(d.function, 1, d.x, y.Buffer, d.x, dy.Buffer, d.x, x.Buffer,
		float64(a.in.add()), d.x, dx.Buffer))
}

func (a *activationLayer) close() error { return a.sizes.close() }

// dropout is a dropout layer. Our own kernel computes it, so that net.DropoutKeep decides on every device alike. The
// mask isn't kept: the backward pass computes it again.
type dropout struct {
	link
	rate float64
}

func (d *dropout) claim(int, int) claim { return claim{} }

// mask returns the launch that turns x into y, or adds it to y.
func (d *dropout) mask(p *pass, y, x *slot, add int32) kernels.Dropout {
	key := net.SeedKey(d.program.options.Seed)
	channels := uint32(1)
	if !d.program.device.form.ordered(d.in.lies) {
		channels = uint32(d.in.lies.C)
	}
	k := kernels.Dropout{
		Y: y.values(), X: x.values(), State: d.program.state(), Queued: d.program.queue.numbers(), Count: d.in.count(p.n), Size: d.in.count(1),
		Channels: channels,
		KeyLow:   key[0], KeyHigh: key[1], Last: net.DropoutCounter(d.node.Index, 0, 0)[3], Scale: 1, Add: add,
	}
	if p.training { // without training every random number reaches a threshold of 0, so every value is kept
		k.Threshold = net.DropoutThreshold(d.rate)
		k.Scale = float32(1 / (1 - d.rate))
	}
	return k
}

func (d *dropout) forward(p *pass) error {
	return d.launch(d.mask(p, d.out.value, d.in.value, 0))
}

func (d *dropout) backward(p *pass) error {
	return d.launch(d.mask(p, d.in.grad, d.out.grad, d.in.add()))
}

func (d *dropout) close() error { return nil }

// batchNorm is batch normalisation. Our own kernels compute it: they sum in float64 and in a fixed order. They also
// take a mini-batch with one value a channel, where cuDNN's unbiased variance would divide by zero.
type batchNorm struct {
	link
	momentum, epsilon float64
	mean, inverse     slot // of the batch, or of the running statistics; inverse is 1/sqrt(variance + epsilon)
	sums              slot // the gradients of weight and bias, where one of them is frozen
	// What each part of a reduction has found, two numbers a channel: of the statistics, and of the gradients.
	moments, gradients slot
}

func (b *batchNorm) claim(first, last int) claim {
	channels := int64(b.in.shape.C)
	parts := int64(b.parts(b.program.options.Batch))
	b.mean, b.inverse = newFloats(channels, first, last), newFloats(channels, first, last)
	b.moments = newFloats(2*parts*channels, first, first)
	need := claim{reads: []*slot{b.in.value}, own: []*slot{&b.mean, &b.inverse, &b.moments}}
	if b.out.learns && parts > 1 {
		b.gradients = newFloats(2*parts*channels, last, last)
		need.own = append(need.own, &b.gradients)
	}
	if b.out.learns && (b.trained(net.Weight) == nil || b.trained(net.Bias) == nil) {
		b.sums = newFloats(2*channels, last, last)
		need.own = append(need.own, &b.sums)
	}
	return need
}

// parts returns into how many parts the reductions of n samples are divided.
func (b *batchNorm) parts(n int) uint32 {
	batch, e := b.program.device.form.rows(n, b.in.shape)
	return kernels.ReductionParts(batch, uint32(b.in.shape.C), e)
}

// halves divides a buffer of what parts have found into one for each of the two numbers.
func (b *batchNorm) halves(of slot, parts uint32) (first, second kernels.Pointer[float32]) {
	bytes := 4 * int64(parts) * int64(b.in.shape.C)
	return floats(of.part(0, bytes)), floats(of.part(bytes, bytes))
}

// sumsOf returns the buffer for the gradient of the weight or of the bias. A frozen one has a buffer too, because the
// input gradient is computed from both.
func (b *batchNorm) sumsOf(r net.Role) Buffer {
	if q := b.trained(r); q != nil {
		return q.grad
	}
	bytes := 4 * int64(b.in.shape.C)
	return b.sums.part(int64(boolInt(r == net.Bias))*bytes, bytes)
}

func (b *batchNorm) forward(p *pass) error {
	channels := uint32(b.in.shape.C)
	batch, e := b.program.device.form.rows(p.n, b.in.shape)
	x, mean, inverse := b.in.value.values(), floats(b.mean.Buffer), floats(b.inverse.Buffer)
	running, variance := b.parameters[net.RunningMean].value, b.parameters[net.RunningVar].value
	var err error
	if p.training {
		parts := b.parts(p.n)
		means, squares := b.halves(b.moments, parts)
		err = b.launch(kernels.BatchnormMoments{Means: means, Squares: squares, X: x, Batch: batch, Channels: channels, Extent: e, Parts: parts})
		if err != nil {
			return err
		}
		k := kernels.BatchnormStatistics{Mean: mean, Inverse: inverse, Means: means, Squares: squares, Batch: batch, Channels: channels,
			Extent: e, Parts: parts, Momentum: b.momentum, Epsilon: b.epsilon}
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
	return b.launch(kernels.Batchnorm{Y: b.out.value.values(), X: x, Mean: mean, Inverse: inverse,
		Weight: floats(b.parameters[net.Weight].value), Bias: floats(b.parameters[net.Bias].value),
		Count: uint32(b.in.count(p.n)), Channels: channels, Extent: e})
}

func (b *batchNorm) backward(p *pass) error {
	channels := uint32(b.in.shape.C)
	batch, e := b.program.device.form.rows(p.n, b.in.shape)
	x, dy, mean, inverse := b.in.value.values(), b.out.grad.values(), floats(b.mean.Buffer), floats(b.inverse.Buffer)
	dweight, dbias := floats(b.sumsOf(net.Weight)), floats(b.sumsOf(net.Bias))
	weight, bias := floats(b.parameters[net.Weight].value), floats(b.parameters[net.Bias].value)
	k := kernels.BatchnormGradients{Dweight: dweight, Dbias: dbias, Dy: dy, X: x, Mean: mean, Inverse: inverse, Weight: weight, Bias: bias,
		Batch: batch, Channels: channels, Extent: e, Parts: b.parts(p.n)}
	if k.Parts > 1 {
		k.Dweight, k.Dbias = b.halves(b.gradients, k.Parts)
	}
	err := b.launch(k)
	if err == nil && k.Parts > 1 {
		err = b.launch(kernels.BatchnormGradientSums{Dweight: dweight, Dbias: dbias, Dweights: k.Dweight, Dbiases: k.Dbias,
			Channels: channels, Parts: k.Parts})
	}
	if err != nil || !b.in.wanted {
		return err
	}
	return b.launch(kernels.BatchnormBackward{Dx: b.in.grad.values(), Dy: dy, X: x, Mean: mean, Inverse: inverse, Weight: weight, Bias: bias,
		Dweight: dweight, Dbias: dbias, Count: uint32(b.in.count(p.n)), Channels: channels, Extent: e, Add: b.in.add()})
}

func (b *batchNorm) close() error { return nil }

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

// usesDNN reports whether cuDNN computes the function.
func (a *activationLayer) usesDNN() bool { return a.program.device.form.ActivatesInCuDNN(a.function) }

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
	if !d.program.device.form.Ordered(d.in.lies) {
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

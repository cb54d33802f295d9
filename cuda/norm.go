//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"fmt"
	"math"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// batchNorm is batch normalisation, with the sum and the rectifier after it if they are in its group: y = f(norm(x) +
// other). Our own kernels compute it: they sum in a fixed order, and they take a mini-batch with one value a channel, where
// cuDNN's unbiased variance would divide by zero.
type batchNorm struct {
	link
	momentum, epsilon float64
	settled           bool // it goes by the running statistics in training too
	rectifier         kernels.Rectifier
	mean, inverse     slot // of the batch, or of the running statistics; inverse is 1/sqrt(variance + epsilon)
	sums              slot // the gradients of weight and bias, where one of them is frozen
	// What each part of a reduction has found, two numbers a channel: of the statistics, and of the gradients.
	moments, gradients slot
	// In a group: what BatchnormShare writes, then its sums over all members; and the sums of the gradients of weight and bias.
	joint, both slot
}

func (b *batchNorm) claim(first, last int) claim {
	channels := int64(b.in.shape.C)
	parts := int64(b.parts(b.program.options.Batch))
	from, to := first, last
	if b.constant() {
		from, to = 0, math.MaxInt // they are computed when the state is set
	}
	b.mean, b.inverse = newFloats(channels, from, to), newFloats(channels, from, to)
	need := claim{own: []*slot{&b.mean, &b.inverse}}
	if b.settled {
		if b.rectifier != kernels.NoRectifier { // its slope is found from the output
			need.reads = []*slot{b.out.value}
		}
		return need
	}
	need.reads = []*slot{b.in.value}
	if !b.program.options.Inference {
		b.moments = newFloats(2*parts*channels, first, first)
		need.own = append(need.own, &b.moments)
	}
	grouped := b.program.group != nil && !b.program.options.LocalStatistics && !b.program.options.Inference
	if grouped {
		b.joint = newFloats(2*(2*channels+1), first, last)
		need.own = append(need.own, &b.joint)
		if b.out.learns {
			b.both = newFloats(2*channels, last, last)
			need.own = append(need.own, &b.both)
		}
	}
	if b.other() != nil {
		need.reads = append(need.reads, b.out.value)
	}
	if b.out.learns && (parts > 1 || grouped) {
		b.gradients = newFloats(2*parts*channels, last, last)
		need.own = append(need.own, &b.gradients)
	}
	if b.out.learns && (b.trained(net.Weight) == nil || b.trained(net.Bias) == nil) {
		b.sums = newFloats(2*channels, last, last)
		need.own = append(need.own, &b.sums)
	}
	return need
}

// constant reports whether mean and inverse stay the same until a state is set. Averages of weights, which take their place,
// have running statistics of their own.
func (b *batchNorm) constant() bool {
	return b.program.options.Inference || b.settled && !b.program.options.Averages()
}

// other returns the input that is added to the normalised one, or nil.
func (b *batchNorm) other() *input {
	if len(b.inputs) < 2 {
		return nil
	}
	return &b.inputs[1]
}

// parts returns into how many parts the reductions of n samples are divided.
func (b *batchNorm) parts(n int) uint32 { return b.program.device.form.Parts(n, b.in.shape) }

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
	switch {
	case p.training && !b.settled:
		parts := b.parts(p.n)
		means, squares := b.halves(b.moments, parts)
		err = b.launch(kernels.BatchnormMoments{Means: means, Squares: squares, X: x, Batch: batch, Channels: channels, Extent: e, Parts: parts})
		if err != nil {
			return err
		}
		if p.grouped {
			err = b.joinStatistics(p, means, squares)
			break
		}
		k := kernels.BatchnormStatistics{Mean: mean, Inverse: inverse, Means: means, Squares: squares, Batch: batch, Channels: channels,
			Extent: e, Parts: parts, Momentum: b.momentum, Epsilon: b.epsilon}
		if !p.tracing && !p.empty {
			k.RunningMean, k.RunningVar = optional(running), optional(variance)
		}
		err = b.launch(k)
	case !b.constant():
		err = b.normaliseByRunning()
	}
	if err != nil {
		return err
	}
	k := kernels.Batchnorm{Y: b.out.value.values(), X: x, Mean: mean, Inverse: inverse,
		Weight: floats(b.parameters[net.Weight].value), Bias: floats(b.parameters[net.Bias].value),
		Count: uint32(b.in.count(p.n)), Channels: channels, Extent: e, Rectifier: b.rectifier}
	if other := b.other(); other != nil {
		k.Other = other.value.values()
	}
	return b.launch(k)
}

// joinStatistics computes mean and inverse over all members of the group, and moves the running statistics. means and squares
// are of the parts of this member.
func (b *batchNorm) joinStatistics(p *pass, means, squares kernels.Pointer[float32]) error {
	channels := uint32(b.in.shape.C)
	batch, e := b.program.device.form.rows(p.n, b.in.shape)
	joint := kernels.Pointer[float64](b.joint.Address)
	running, variance := floats(b.parameters[net.RunningMean].value), floats(b.parameters[net.RunningVar].value)
	err := b.launch(kernels.BatchnormShare{Shares: joint, Pivot: running, Means: means, Squares: squares, Batch: batch, Channels: channels,
		Extent: e, Parts: b.parts(p.n), Counts: int32(boolInt(!p.empty))})
	if err != nil {
		return err
	}
	if err := b.program.sumNow(b.joint.Buffer, 2*int64(channels)+1, ncclFloat64); err != nil {
		return err
	}
	return b.launch(kernels.BatchnormJoint{Mean: floats(b.mean.Buffer), Inverse: floats(b.inverse.Buffer), RunningMean: running,
		RunningVar: variance, Shares: joint, Channels: channels, Moves: int32(boolInt(!p.tracing)), Momentum: b.momentum, Epsilon: b.epsilon})
}

// normaliseByRunning computes mean and inverse from the running statistics.
func (b *batchNorm) normaliseByRunning() error {
	return b.launch(kernels.BatchnormRunning{Mean: floats(b.mean.Buffer), Inverse: floats(b.inverse.Buffer),
		RunningMean: floats(b.parameters[net.RunningMean].value), RunningVar: floats(b.parameters[net.RunningVar].value),
		Channels: uint32(b.in.shape.C), Epsilon: b.epsilon})
}

func (b *batchNorm) backward(p *pass) error {
	channels := uint32(b.in.shape.C)
	batch, e := b.program.device.form.rows(p.n, b.in.shape)
	x, dy, mean, inverse := b.in.value.values(), b.out.grad.values(), floats(b.mean.Buffer), floats(b.inverse.Buffer)
	if b.settled {
		k := kernels.BatchnormBackward{Dx: b.in.grad.values(), Dy: dy, Mean: mean, Inverse: inverse, Weight: floats(b.parameters[net.Weight].value),
			Bias: floats(b.parameters[net.Bias].value), Count: uint32(b.in.count(p.n)), Channels: channels, Extent: e, Rectifier: b.rectifier, Add: b.in.add()}
		if b.rectifier != kernels.NoRectifier {
			k.Y = b.out.value.values()
		}
		return b.inputGradients(p, k)
	}
	dweight, dbias := floats(b.sumsOf(net.Weight)), floats(b.sumsOf(net.Bias))
	weight, bias := floats(b.parameters[net.Weight].value), floats(b.parameters[net.Bias].value)
	var y kernels.Values // tells the rectifier's slope where something was added
	if b.other() != nil {
		y = b.out.value.values()
	}
	k := kernels.BatchnormGradients{Dweight: dweight, Dbias: dbias, Dy: dy, X: x, Y: y, Mean: mean, Inverse: inverse, Weight: weight, Bias: bias,
		Batch: batch, Channels: channels, Extent: e, Parts: b.parts(p.n), Rectifier: b.rectifier}
	if k.Parts > 1 || p.grouped {
		k.Dweight, k.Dbias = b.halves(b.gradients, k.Parts)
	}
	err := b.launch(k)
	if err == nil && (k.Parts > 1 || p.grouped) {
		err = b.launch(kernels.BatchnormGradientSums{Dweight: dweight, Dbias: dbias, Dweights: k.Dweight, Dbiases: k.Dbias,
			Both: optional(b.both.Buffer), Channels: channels, Parts: k.Parts})
	}
	var total kernels.Optional[float64]
	if err == nil && p.grouped { // the input gradient depends on the sums over all members
		err = b.program.sumNow(b.both.Buffer, 2*int64(channels), ncclFloat32)
		if !p.empty { // otherwise this member's own, which are 0: its sample is none of the group's
			bytes := 4 * int64(channels)
			dweight, dbias = floats(b.both.part(0, bytes)), floats(b.both.part(bytes, bytes))
		}
		total = kernels.Optional[float64](b.joint.part(2*8*int64(channels), 8).Address)
	}
	if err != nil {
		return err
	}
	return b.inputGradients(p, kernels.BatchnormBackward{Dx: b.in.grad.values(), Dy: dy, X: x, Y: y, Mean: mean, Inverse: inverse, Weight: weight, Bias: bias,
		Dweight: kernels.Optional[float32](dweight), Dbias: kernels.Optional[float32](dbias), Total: total, Count: uint32(b.in.count(p.n)), Channels: channels,
		Extent: e, Rectifier: b.rectifier, Add: b.in.add()})
}

// inputGradients computes the gradients of the inputs that are wanted. k is complete for the first one.
func (b *batchNorm) inputGradients(p *pass, k kernels.BatchnormBackward) error {
	if other := b.other(); other != nil && other.wanted {
		if !b.in.wanted || other.grad == b.in.grad { // one value can't be written and added to at once
			if err := b.launch(kernels.ActivationBackward{Dx: other.grad.values(), Dy: k.Dy, Read: k.Y, Count: b.out.count(p.n),
				Function: rectifierFunction(b.rectifier), Add: other.add()}); err != nil {
				return err
			}
		} else {
			k.Dother, k.AddOther = other.grad.values(), other.add()
		}
	}
	if !b.in.wanted {
		return nil
	}
	return b.launch(k)
}

func (b *batchNorm) close() error { return nil }

// rectifiers lists the activation functions that are fused with what comes before them.
var rectifiers = map[net.ActivationFunc]kernels.Rectifier{net.ReLU: kernels.ReLU, net.ReLU6: kernels.ReLU6}

// rectifierOf returns the rectifier of the group's last layer.
func rectifierOf(last net.Node) kernels.Rectifier {
	return rectifiers[last.Layer.(*net.Activation).Func]
}

// rectifierFunction returns the number of a rectifier's function in our kernels of activations.
func rectifierFunction(r kernels.Rectifier) uint32 {
	for name, number := range rectifiers {
		if f, ok := kernels.FindActivation(string(name)); ok && number == r {
			return f.Number
		}
	}
	panic(fmt.Sprintf("BUG: there is no function of rectifier %d", r))
}

// sumReLU is the sum of two inputs with the ReLU after it.
type sumReLU struct{ link }

func (s *sumReLU) claim(int, int) claim { return claim{reads: []*slot{s.out.value}} }

func (s *sumReLU) forward(p *pass) error {
	return s.launch(kernels.AddReLU{Y: s.out.value.values(), A: s.in.value.values(), B: s.inputs[1].value.values(), Count: s.out.count(p.n)})
}

func (s *sumReLU) backward(p *pass) error {
	a, b := s.in, s.inputs[1]
	k := kernels.AddReLUBackward{Dy: s.out.grad.values(), Y: s.out.value.values(), Count: s.out.count(p.n)}
	if b.wanted {
		k.Db, k.AddB = b.grad.values(), b.add()
	}
	if a.wanted && b.wanted && a.grad == b.grad { // one value can't be written and added to at once
		if err := s.launch(k); err != nil {
			return err
		}
		k.Db = kernels.Values{}
	}
	if a.wanted {
		k.Da, k.AddA = a.grad.values(), a.add()
	}
	return s.launch(k)
}

func (s *sumReLU) close() error { return nil }

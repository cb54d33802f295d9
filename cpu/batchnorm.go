package cpu

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// batchNorm is a batch-normalisation layer; a task is a channel. Sums are in
// float64.
type batchNorm struct {
	pass                      *pass
	workers                   *workers
	in                        operand
	out                       *activations
	channels, area            int
	momentum, epsilon         float64
	weight, bias              *parameter
	runningMean, runningVar   *parameter
	mean, inverse             []float64 // of the pass: the mean and 1/sqrt(var+epsilon)
	forwardTask, backwardTask func(w *worker, c int)
}

func newBatchNorm(ws *workers, p *pass, node net.Node, in operand, out *activations, params map[net.Role]*parameter) *batchNorm {
	op := &batchNorm{
		pass: p, workers: ws, in: in, out: out, channels: node.In.C, area: node.In.H * node.In.W,
		weight: params[net.Weight], bias: params[net.Bias],
		runningMean: params[net.RunningMean], runningVar: params[net.RunningVar],
		mean: make([]float64, node.In.C), inverse: make([]float64, node.In.C),
	}
	op.momentum, op.epsilon = node.Layer.(*net.BatchNorm).Settings()
	op.forwardTask, op.backwardTask = op.forwardChannel, op.backwardChannel
	return op
}

func (op *batchNorm) forward() { op.workers.do(op.channels, op.forwardTask) }

func (op *batchNorm) backward() { op.workers.do(op.channels, op.backwardTask) }

// channel returns the values of channel c of sample n, in a buffer of samples.
func (op *batchNorm) channel(of []float32, n, c int) []float32 {
	return of[(n*op.channels+c)*op.area:][:op.area]
}

func (op *batchNorm) forwardChannel(_ *worker, c int) {
	mean, variance := float64(op.runningMean.value[c]), float64(op.runningVar.value[c])
	if op.pass.training {
		mean, variance = op.statistics(c)
	}
	inverse := 1 / math.Sqrt(variance+op.epsilon)
	op.mean[c], op.inverse[c] = mean, inverse
	scale, shift := float64(op.weight.value[c])*inverse, float64(op.bias.value[c])
	for n := range op.pass.Len() {
		y := op.channel(op.out.value, n, c)
		for i, v := range op.channel(op.in.value, n, c) {
			y[i] = float32((float64(v)-mean)*scale + shift)
		}
	}
}

// statistics returns mean and variance of channel c over the mini-batch and
// moves the running ones.
func (op *batchNorm) statistics(c int) (mean, variance float64) {
	m := float64(op.pass.Len() * op.area)
	for n := range op.pass.Len() {
		for _, v := range op.channel(op.in.value, n, c) {
			mean += float64(v)
		}
	}
	mean /= m
	for n := range op.pass.Len() {
		for _, v := range op.channel(op.in.value, n, c) {
			d := float64(v) - mean
			variance += d * d
		}
	}
	variance /= m
	if !op.pass.frozen {
		move := func(p *parameter, to float64) {
			p.value[c] = float32((1-op.momentum)*float64(p.value[c]) + op.momentum*to)
		}
		move(op.runningMean, mean)
		move(op.runningVar, variance*m/max(m-1, 1))
	}
	return mean, variance
}

func (op *batchNorm) backwardChannel(_ *worker, c int) {
	mean, inverse := op.mean[c], op.inverse[c]
	var sum, product float64 // of dy, and of dy with the normalised input
	for n := range op.pass.Len() {
		x := op.channel(op.in.value, n, c)
		for i, g := range op.channel(op.out.grad, n, c) {
			sum += float64(g)
			product += float64(g) * (float64(x[i]) - mean) * inverse
		}
	}
	if op.bias.Trained {
		op.bias.grad[c] = float32(sum)
	}
	if op.weight.Trained {
		op.weight.grad[c] = float32(product)
	}
	if !op.in.wanted {
		return
	}
	m := float64(op.pass.Len() * op.area)
	scale := float64(op.weight.value[c]) * inverse
	for n := range op.pass.Len() {
		x, gx := op.channel(op.in.value, n, c), op.channel(op.in.grad, n, c)
		for i, g := range op.channel(op.out.grad, n, c) {
			normal := (float64(x[i]) - mean) * inverse
			d := float32(scale * (float64(g) - sum/m - normal*product/m))
			if op.in.adds {
				d += gx[i]
			}
			gx[i] = d
		}
	}
}

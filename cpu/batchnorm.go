package cpu

import (
	"math"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// batchNorm is a batch-normalisation layer of images in blocks. If they are in its group,
// the sum with another value and the ReLU after it belong to it. A task computes a block
// of channels. Sums over a plane or less are in float32, and are added up in float64.
type batchNorm struct {
	pass                      *pass
	workers                   *workers
	in                        operand
	added                     *operand // is added to the output; or nil
	out                       *activations
	relu                      bool
	layout                    layout
	momentum, epsilon         float64
	weight, bias              *parameter
	runningMean, runningVar   *parameter
	mean, inverse             []float64   // of this pass, by channel: the mean, and 1/sqrt(variance+epsilon)
	constants                 [][]float32 // what the kernels take of a block, by worker
	totals                    [][]float64 // two sums a lane, by worker
	forwardTask, backwardTask func(w *worker, block int)
}

func newBatchNorm(ws *workers, p *pass, node net.Node, in operand, added *operand, out *activations, params map[net.Role]*parameter, relu bool) *batchNorm {
	lanes := ws.all[0].kernel.Lanes
	op := &batchNorm{
		pass: p, workers: ws, in: in, added: added, out: out, relu: relu, layout: inBlocks(node.In, 1, lanes),
		weight: params[net.Weight], bias: params[net.Bias],
		runningMean: params[net.RunningMean], runningVar: params[net.RunningVar],
	}
	channels := op.layout.blocks() * lanes
	op.mean, op.inverse = make([]float64, channels), make([]float64, channels)
	for range ws.all {
		op.constants = append(op.constants, make([]float32, 6*lanes))
		op.totals = append(op.totals, make([]float64, 2*lanes))
	}
	op.momentum, op.epsilon = node.Layer.(*net.BatchNorm).Settings()
	op.forwardTask = op.forwardBlock
	return op
}

func (op *batchNorm) planGradients(int) { op.backwardTask = op.backwardBlock }

func (op *batchNorm) forward() { op.workers.do(op.layout.blocks(), op.forwardTask) }

func (op *batchNorm) backward() { op.workers.do(op.layout.blocks(), op.backwardTask) }

// of returns the values of a block, in sample n of a buffer of samples.
func (op *batchNorm) of(values []float32, n, block int) []float32 {
	return values[n*op.layout.size()+block*op.layout.plane():][:op.layout.plane()]
}

// channels returns how many channels a block has, and the number of the first.
func (op *batchNorm) channels(block int) (first, n int) {
	first = block * op.layout.lanes
	return first, min(op.layout.lanes, op.layout.shape.C-first)
}

func (op *batchNorm) forwardBlock(w *worker, block int) {
	lanes := op.layout.lanes
	first, channels := op.channels(block)
	mean, inverse := op.mean[first:][:lanes], op.inverse[first:][:lanes]
	if op.pass.training {
		op.statistics(w, block)
	} else {
		op.settle(first, channels)
	}
	c := op.constants[w.id][:3*lanes]
	clear(c)
	for j := range channels {
		scale := float64(op.weight.value[first+j]) * inverse[j]
		c[j], c[lanes+j], c[2*lanes+j] = float32(mean[j]), float32(scale), op.bias.value[first+j]
		if lost := (mean[j] - float64(c[j])) * scale; math.Abs(lost) > lostMean {
			c[2*lanes+j] = float32(float64(op.bias.value[first+j]) - lost)
		}
	}
	var how asm.Normalization
	if op.added != nil {
		how |= asm.NormalizeAdd
	}
	if op.relu {
		how |= asm.NormalizeReLU
	}
	for n := range op.pass.Len() {
		var more []float32
		if op.added != nil {
			more = op.of(op.added.value, n, block)
		}
		w.kernel.NormalizeVectors(op.of(op.out.value, n, block), op.of(op.in.value, n, block), more, c, how)
	}
}

// settle takes the running statistics of some channels as those of the pass.
func (op *batchNorm) settle(first, channels int) {
	for k := first; k < first+channels; k++ {
		op.mean[k], op.inverse[k] = float64(op.runningMean.value[k]), 1/math.Sqrt(float64(op.runningVar.value[k])+op.epsilon)
	}
}

// lostMean is the largest change of an output, by rounding the mean to float32, that is left
// as it is. The bias makes up for a larger one. If it made up for all, values that are all
// equal would not become the bias exactly, and roundoff would decide on which side of a
// ReLU's kink they lie.
const lostMean = 1e-7

// vectorsAtOnce is how many vectors are summed in float32.
const vectorsAtOnce = 256

// sum adds up what moments computes of some vectors, over all samples, and returns
// two sums for each lane.
func (op *batchNorm) sum(w *worker, block int, moments func(sums []float32, n, from, to int)) []float64 {
	lanes := op.layout.lanes
	totals, sums := op.totals[w.id], op.constants[w.id][4*lanes:]
	clear(totals)
	for n := range op.pass.Len() {
		for from := 0; from < op.layout.plane(); from += vectorsAtOnce * lanes {
			moments(sums, n, from, min(from+vectorsAtOnce*lanes, op.layout.plane()))
			for j, v := range sums {
				totals[j] += float64(v)
			}
		}
	}
	return totals
}

// statistics computes the mean and variance of a block's channels over the mini-batch.
// It also moves the running statistics. The mean of the first sample is subtracted from
// all values before they are squared. Compared with their deviation, it is near the mean
// of all samples, so the squares lose few digits.
func (op *batchNorm) statistics(w *worker, block int) {
	lanes, area := op.layout.lanes, op.layout.area()
	first, channels := op.channels(block)
	shift := op.constants[w.id][:lanes]
	clear(shift)
	var near [16]float64
	sums := op.constants[w.id][4*lanes:]
	for from := 0; from < op.layout.plane(); from += vectorsAtOnce * lanes {
		w.kernel.Moments(sums, op.of(op.in.value, 0, block)[from:min(from+vectorsAtOnce*lanes, op.layout.plane())], shift)
		for j := range lanes {
			near[j] += float64(sums[j])
		}
	}
	for j := range shift {
		shift[j] = float32(near[j] / float64(area))
	}
	totals := op.sum(w, block, func(sums []float32, n, from, to int) {
		w.kernel.Moments(sums, op.of(op.in.value, n, block)[from:to], shift)
	})
	m := float64(op.pass.Len() * area)
	for j := range channels {
		off := totals[j] / m
		mean, variance := float64(shift[j])+off, max(0, totals[lanes+j]/m-off*off)
		op.mean[first+j], op.inverse[first+j] = mean, 1/math.Sqrt(variance+op.epsilon)
		if op.pass.frozen {
			continue
		}
		move := func(p *parameter, to float64) {
			p.value[first+j] = float32((1-op.momentum)*float64(p.value[first+j]) + op.momentum*to)
		}
		move(op.runningMean, mean)
		move(op.runningVar, variance*m/max(m-1, 1))
	}
}

// backwardBlock computes the gradients of the parameters of a block's channels and, if it
// is wanted, that of the input.
func (op *batchNorm) backwardBlock(w *worker, block int) {
	lanes := op.layout.lanes
	first, channels := op.channels(block)
	c := op.constants[w.id][:4*lanes]
	clear(c)
	for j := range channels {
		c[j] = float32(op.mean[first+j])
	}
	totals := op.sum(w, block, func(sums []float32, n, from, to int) {
		dy, x := op.of(op.out.grad, n, block)[from:to], op.of(op.in.value, n, block)[from:to]
		if op.relu {
			w.kernel.GradientMomentsReLU(sums, dy, op.of(op.out.value, n, block)[from:to], x, c[:lanes])
		} else {
			w.kernel.GradientMoments(sums, dy, x, c[:lanes])
		}
	})
	m := float64(op.pass.Len() * op.layout.area())
	for j := range channels {
		inverse := op.inverse[first+j]
		// The sums of dy and of dy*(x-mean), whose mean is rounded.
		sum := totals[j]
		product := totals[lanes+j] - sum*(op.mean[first+j]-float64(c[j]))
		if op.bias.Trained {
			op.bias.grad[first+j] = float32(sum)
		}
		if op.weight.Trained {
			op.weight.grad[first+j] = float32(product * inverse)
		}
		slope := product * inverse * inverse / m
		c[lanes+j] = float32(float64(op.weight.value[first+j]) * inverse)
		c[2*lanes+j], c[3*lanes+j] = float32(sum/m-(op.mean[first+j]-float64(c[j]))*slope), float32(slope)
	}
	for n := range op.pass.Len() {
		if op.added != nil && op.added.wanted {
			op.added.collect(w, op.of(op.added.grad, n, block), op.of(op.out.grad, n, block))
		}
		if !op.in.wanted {
			continue
		}
		w.kernel.NormalizeVectorsBack(op.of(op.in.grad, n, block), op.of(op.out.grad, n, block), op.of(op.in.value, n, block), c, op.in.adds)
	}
}

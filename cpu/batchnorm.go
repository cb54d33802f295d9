package cpu

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// batchNorm is a batch-normalisation layer. A task computes one channel. If each
// channel has one value a sample (the input is vectors), a task computes a block
// of channels. Sums are in float64.
type batchNorm struct {
	pass                      *pass
	workers                   *workers
	in                        operand
	out                       *activations
	channels, area            int
	block                     int // channels of a task
	momentum, epsilon         float64
	weight, bias              *parameter
	runningMean, runningVar   *parameter
	mean, inverse             []float64 // of this pass, by channel: the mean, and 1/sqrt(variance+epsilon)
	forwardTask, backwardTask func(w *worker, task int)
}

func newBatchNorm(ws *workers, p *pass, node net.Node, in operand, out *activations, batch int, params map[net.Role]*parameter) *batchNorm {
	op := &batchNorm{
		pass: p, workers: ws, in: in, out: out, channels: node.In.C, area: node.In.H * node.In.W, block: 1,
		weight: params[net.Weight], bias: params[net.Bias],
		runningMean: params[net.RunningMean], runningVar: params[net.RunningVar],
		mean: make([]float64, node.In.C), inverse: make([]float64, node.In.C),
	}
	op.momentum, op.epsilon = node.Layer.(*net.BatchNorm).Settings()
	op.forwardTask = op.forwardBlock
	if op.area == 1 {
		op.block = ws.all[0].kernel.Lanes
		ws.reserve(3 * op.block * batch)
	}
	return op
}

func (op *batchNorm) planGradients(int) { op.backwardTask = op.backwardBlock }

func (op *batchNorm) forward() { op.workers.do(op.tasks(), op.forwardTask) }

func (op *batchNorm) backward() { op.workers.do(op.tasks(), op.backwardTask) }

func (op *batchNorm) tasks() int { return (op.channels + op.block - 1) / op.block }

// rows holds the values of one channel: n rows of size values, stride apart.
type rows struct {
	values          []float32
	n, size, stride int
}

func (r rows) row(i int) []float32 { return r.values[i*r.stride:][:r.size] }

// of returns the values of channel c in a buffer of samples, one row a sample.
func (op *batchNorm) of(values []float32, c int) rows {
	return rows{values[c*op.area:], op.pass.Len(), op.area, op.channels * op.area}
}

// vectors returns the values of the k-th channel of a block that gather has made,
// as one row.
func (op *batchNorm) vectors(block []float32, k int) rows {
	n := op.pass.Len()
	return rows{block[k*n:], 1, n, 0}
}

// gather copies a block of channels of vectors into rows, one a channel, and
// returns them. They are in the worker's room, at the given place.
func (op *batchNorm) gather(w *worker, place int, values []float32, first, end int) []float32 {
	n := op.pass.Len()
	rows := w.room[place*op.block*n:][:op.block*n]
	w.kernel.Transpose(rows, n, values[first:], op.channels, n, end-first)
	return rows
}

// scatter is the reverse of gather: it copies the rows back.
func (op *batchNorm) scatter(w *worker, values, rows []float32, first, end int) {
	n := op.pass.Len()
	w.kernel.Transpose(values[first:], op.channels, rows, n, end-first, n)
}

func (op *batchNorm) forwardBlock(w *worker, task int) {
	first, end := task*op.block, min((task+1)*op.block, op.channels)
	if op.block == 1 {
		op.forwardChannel(w, first, op.of(op.out.value, first), op.of(op.in.value, first))
		return
	}
	block := op.gather(w, 0, op.in.value, first, end)
	for c := first; c < end; c++ {
		channel := op.vectors(block, c-first)
		op.forwardChannel(w, c, channel, channel)
	}
	op.scatter(w, op.out.value, block, first, end)
}

// forwardChannel computes y of channel c from x. They may be the same memory.
func (op *batchNorm) forwardChannel(w *worker, c int, y, x rows) {
	mean, variance := float64(op.runningMean.value[c]), float64(op.runningVar.value[c])
	if op.pass.training {
		mean, variance = op.statistics(w, c, x)
	}
	inverse := 1 / math.Sqrt(variance+op.epsilon)
	op.mean[c], op.inverse[c] = mean, inverse
	scale, shift := float64(op.weight.value[c])*inverse, float64(op.bias.value[c])
	for i := range x.n {
		w.kernel.Normalize(y.row(i), x.row(i), mean, scale, shift)
	}
}

// statistics returns the mean and variance of channel c over the mini-batch. It
// also moves the running statistics.
func (op *batchNorm) statistics(w *worker, c int, x rows) (mean, variance float64) {
	m := float64(x.n * x.size)
	for i := range x.n {
		mean += w.kernel.Sum64(x.row(i))
	}
	mean /= m
	for i := range x.n {
		variance += w.kernel.SquaredDeviations(x.row(i), mean)
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

func (op *batchNorm) backwardBlock(w *worker, task int) {
	first, end := task*op.block, min((task+1)*op.block, op.channels)
	if op.block == 1 {
		var dx rows
		if op.in.wanted {
			dx = op.of(op.in.grad, first)
		}
		op.backwardChannel(w, first, dx, op.of(op.out.grad, first), op.of(op.in.value, first))
		return
	}
	x, dy := op.gather(w, 0, op.in.value, first, end), op.gather(w, 1, op.out.grad, first, end)
	dx := dy
	if op.in.adds {
		dx = op.gather(w, 2, op.in.grad, first, end)
	}
	for c := first; c < end; c++ {
		op.backwardChannel(w, c, op.vectors(dx, c-first), op.vectors(dy, c-first), op.vectors(x, c-first))
	}
	if op.in.wanted {
		op.scatter(w, op.in.grad, dx, first, end)
	}
}

// backwardChannel computes the gradients of the channel's parameters and, if it is
// wanted, dx. dx may be the same memory as dy.
func (op *batchNorm) backwardChannel(w *worker, c int, dx, dy, x rows) {
	mean, inverse := op.mean[c], op.inverse[c]
	var sum, product float64 // the sums of dy and of dy*(x-mean)
	for i := range x.n {
		s, p := w.kernel.GradientSums(dy.row(i), x.row(i), mean)
		sum += s
		product += p
	}
	if op.bias.Trained {
		op.bias.grad[c] = float32(sum)
	}
	if op.weight.Trained {
		op.weight.grad[c] = float32(product * inverse)
	}
	if !op.in.wanted {
		return
	}
	m := float64(x.n * x.size)
	scale, slope := float64(op.weight.value[c])*inverse, product*inverse*inverse/m
	for i := range x.n {
		w.kernel.NormalizeBackward(dx.row(i), dy.row(i), x.row(i), mean, scale, sum/m, slope, op.in.adds)
	}
}

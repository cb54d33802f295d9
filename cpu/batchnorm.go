package cpu

import (
	"math"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// batchNorm is a batch-normalisation layer of images in blocks. If they are in its group,
// the sum with another value and the ReLU or ReLU6 after it belong to it. A task computes a
// block of channels or, where there are few blocks, what is to be done for a block and a
// part of the samples. Sums over a plane or less are in float32, and are added up in
// float64.
type batchNorm struct {
	pass                    *pass
	workers                 *workers
	in                      operand
	added                   *operand // is added to the output; or nil
	out                     *activations
	rectifier               rectifier
	layout                  layout
	blocks, plane, size     int // of the layout
	momentum, epsilon       float64
	settled                 bool // the layer is frozen as a whole
	weight, bias            *parameter
	runningMean, runningVar *parameter
	mean, inverse           []float64   // of this pass, by channel: the mean, and 1/sqrt(variance+epsilon)
	constants               []float32   // what the kernels take, by block
	totals                  []float64   // two sums a lane, by part and block
	sums                    [][]float32 // two sums a lane, by worker
	parts                   int         // into which the samples of this pass are cut
	count                   float64     // values of a channel in this pass or, in a group, in the passes of all members
	group                   *sums       // nil without a group
	shared                  []float64   // two sums a channel, in the order of totals, over the group; and the count

	back []float32 // of a settled layer: what the kernel takes for the gradient of the input, by block

	// A task of a block, from its beginning to its end.
	forwardTask, backwardTask func(w *worker, block int)
	// A task of a block.
	nearTask, statisticsTask, settleTask, parametersTask, slopesTask func(w *worker, block int)
	// A task of a block and a part.
	momentsTask, normalizeTask, gradientMomentsTask, normalizeBackTask func(w *worker, task int)
}

// leastNormTasks is into how many tasks the work is cut at least, if the mini-batch is
// large enough.
const leastNormTasks = 16

func newBatchNorm(ws *workers, p *pass, node net.Node, in operand, added *operand, out *activations, params map[net.Role]*parameter, r rectifier, sums *sums) *batchNorm {
	lanes := ws.all[0].kernel.Lanes
	op := &batchNorm{
		pass: p, workers: ws, in: in, added: added, out: out, rectifier: r, layout: inBlocks(node.In, lanes),
		weight: params[net.Weight], bias: params[net.Bias],
		runningMean: params[net.RunningMean], runningVar: params[net.RunningVar],
	}
	op.blocks, op.plane, op.size = op.layout.blocks(), op.layout.plane(), op.layout.size()
	channels := op.blocks * lanes
	op.mean, op.inverse = make([]float64, channels), make([]float64, channels)
	op.constants = make([]float32, 6*channels)
	op.totals = make([]float64, (leastNormTasks+op.blocks)*2*lanes)
	for range ws.all {
		op.sums = append(op.sums, make([]float32, 2*lanes))
	}
	if op.group = sums; op.group != nil {
		op.shared = make([]float64, 2*channels+1)
	}
	layer := node.Layer.(*net.BatchNorm)
	op.momentum, op.epsilon = layer.Settings()
	op.settled = layer.Settled()
	op.forwardTask, op.nearTask, op.momentsTask, op.statisticsTask = op.forwardBlock, op.near, op.moments, op.statistics
	op.settleTask, op.normalizeTask = op.settleBlock, op.normalize
	return op
}

func (op *batchNorm) planGradients(int) {
	op.backwardTask, op.gradientMomentsTask, op.parametersTask = op.backwardBlock, op.gradientMoments, op.parameters
	op.slopesTask, op.normalizeBackTask = op.slopes, op.normalizeBack
}

// share cuts the samples of the pass into parts, whose number doesn't depend on the number
// of threads.
func (op *batchNorm) share() (tasks int) {
	op.parts = min(op.pass.Len(), (leastNormTasks+op.blocks-1)/op.blocks)
	return op.blocks * op.parts
}

// forward is called in training, and in the evaluation of a trace; see settledNorm, also for
// layers that are frozen as a whole.
func (op *batchNorm) forward() {
	ws, tasks := op.workers, op.share()
	op.count = float64(op.pass.counted * op.layout.area())
	if op.alone() {
		op.count = float64(op.pass.Len() * op.layout.area())
	}
	switch {
	case op.parts == 1 && !op.together():
		ws.do(op.blocks, op.forwardTask)
		return
	case op.pass.training:
		ws.do(op.blocks, op.nearTask)
		ws.do(tasks, op.momentsTask)
		if op.together() {
			op.sumMoments()
		}
		ws.do(op.blocks, op.statisticsTask)
	default:
		ws.do(op.blocks, op.settleTask)
	}
	ws.do(tasks, op.normalizeTask)
}

func (op *batchNorm) forwardBlock(w *worker, block int) {
	if op.pass.training {
		op.near(w, block)
		op.moments(w, block)
		op.statistics(w, block)
	} else {
		op.settleBlock(w, block)
	}
	op.normalize(w, block)
}

func (op *batchNorm) backward() {
	ws, tasks := op.workers, op.share()
	if op.parts == 1 && !op.together() {
		ws.do(op.blocks, op.backwardTask)
		return
	}
	ws.do(tasks, op.gradientMomentsTask)
	ws.do(op.blocks, op.parametersTask)
	if op.together() {
		op.sumShared()
	}
	ws.do(op.blocks, op.slopesTask)
	ws.do(tasks, op.normalizeBackTask)
}

func (op *batchNorm) backwardBlock(w *worker, block int) {
	op.gradientMoments(w, block)
	op.parameters(w, block)
	op.slopes(w, block)
	op.normalizeBack(w, block)
}

// of returns the values of a block, in sample n of a buffer of samples.
func (op *batchNorm) of(values []float32, n, block int) []float32 {
	return values[n*op.size+block*op.plane:][:op.plane]
}

// channels returns how many channels a block has, and the number of the first.
func (op *batchNorm) channels(block int) (first, n int) {
	first = block * op.layout.lanes
	return first, min(op.layout.lanes, op.layout.shape.C-first)
}

// task returns the block of a task, and its samples.
func (op *batchNorm) task(task int) (block, first, end int) {
	part := task / op.blocks
	return task % op.blocks, part * op.pass.Len() / op.parts, (part + 1) * op.pass.Len() / op.parts
}

// constantsOf returns six vectors of a block, which the kernels take: mean, scale and shift;
// the upper bound of the rectifier in the forward pass, or the slope in the backward pass;
// what sums subtract; and the upper bound again.
func (op *batchNorm) constantsOf(block int) []float32 {
	return op.constants[block*6*op.layout.lanes:][:6*op.layout.lanes]
}

// settle takes the running statistics of some channels as those of the pass.
func (op *batchNorm) settle(first, channels int) {
	for k := first; k < first+channels; k++ {
		op.mean[k], op.inverse[k] = float64(op.runningMean.value[k]), 1/math.Sqrt(float64(op.runningVar.value[k])+op.epsilon)
	}
}

func (op *batchNorm) settleBlock(_ *worker, block int) {
	op.settle(op.channels(block))
	op.scales(block)
}

// lostMean is the largest change of an output, by rounding the mean to float32, that is left
// as it is. The bias makes up for a larger one. If it made up for all, values that are all
// equal would not become the bias exactly, and roundoff would decide on which side of a
// ReLU's kink they lie.
const lostMean = 1e-7

// scales sets the constants of a block for the forward pass.
func (op *batchNorm) scales(block int) {
	lanes := op.layout.lanes
	first, channels := op.channels(block)
	c := op.constantsOf(block)[:4*lanes]
	clear(c)
	for j := range channels {
		mean := op.mean[first+j]
		scale := float64(op.weight.value[first+j]) * op.inverse[first+j]
		c[j], c[lanes+j], c[2*lanes+j] = float32(mean), float32(scale), op.bias.value[first+j]
		if lost := (mean - float64(c[j])) * scale; math.Abs(lost) > lostMean {
			c[2*lanes+j] = float32(float64(op.bias.value[first+j]) - lost)
		}
	}
	shift, upper := op.constantsOf(block)[4*lanes:][:lanes], op.constantsOf(block)[5*lanes:]
	copy(shift, c) // the gradients' sums subtract the mean
	for j := range lanes {
		c[3*lanes+j], upper[j] = op.rectifier.upper, op.rectifier.upper
	}
}

// normalize computes the output.
func (op *batchNorm) normalize(w *worker, task int) {
	block, first, end := op.task(task)
	for n := first; n < end; n++ {
		op.normalizePlane(w, n, block)
	}
}

// normalizePlane computes the output of sample n in one block.
func (op *batchNorm) normalizePlane(w *worker, n, block int) {
	var how asm.Normalization
	var more []float32
	if op.added != nil {
		how |= asm.NormalizeAdd
		more = op.of(op.added.at(w, n), 0, block)
	}
	if op.rectifier.is {
		how |= asm.NormalizeReLU
	}
	w.kernel.NormalizeVectors(op.of(op.out.at(w, n), 0, block), op.of(op.in.at(w, n), 0, block), more, op.constantsOf(block), how)
}

// vectorsAtOnce is how many vectors are summed in float32.
const vectorsAtOnce = 256

// near sets what the sums of a block subtract from all values before they are squared: the
// mean of the first sample. Compared with the deviation of all values, it is near their
// mean, so the squares lose few digits.
func (op *batchNorm) near(w *worker, block int) {
	lanes := op.layout.lanes
	sums, shift := op.sums[w.id], op.constantsOf(block)[4*lanes:][:lanes]
	clear(shift)
	var near [16]float64
	values := op.of(op.in.value, 0, block)
	for from := 0; from < op.plane; from += vectorsAtOnce * lanes {
		w.kernel.Moments(sums, values[from:min(from+vectorsAtOnce*lanes, op.plane)], shift)
		for j := range lanes {
			near[j] += float64(sums[j])
		}
	}
	for j := range shift {
		shift[j] = float32(near[j] / float64(op.layout.area()))
	}
}

// moments sums the values and their squares.
func (op *batchNorm) moments(w *worker, task int) {
	lanes := op.layout.lanes
	block, first, end := op.task(task)
	totals, sums, shift := op.totals[task*2*lanes:][:2*lanes], op.sums[w.id], op.constantsOf(block)[4*lanes:][:lanes]
	clear(totals)
	for n := first; n < end; n++ {
		x := op.of(op.in.value, n, block)
		for from := 0; from < op.plane; from += vectorsAtOnce * lanes {
			w.kernel.Moments(sums, x[from:min(from+vectorsAtOnce*lanes, op.plane)], shift)
			for j, v := range sums {
				totals[j] += float64(v)
			}
		}
	}
}

// totalsOf returns the two sums of each channel of a block: those of the first part, or of
// all parts after addParts.
func (op *batchNorm) totalsOf(block int) []float64 {
	width := 2 * op.layout.lanes
	return op.totals[block*width:][:width]
}

// addParts adds the sums of the other parts to those of the first.
func (op *batchNorm) addParts(block int) {
	totals := op.totalsOf(block)
	for part := 1; part < op.parts; part++ {
		for j, v := range op.totals[(part*op.blocks+block)*len(totals):][:len(totals)] {
			totals[j] += v
		}
	}
}

// alone reports whether the pass has samples that count nothing in a group whose statistics
// are not taken together. They are normalised by themselves.
func (op *batchNorm) alone() bool { return op.group == nil && op.pass.counted == 0 }

// together reports whether the pass takes statistics over the members of a group.
func (op *batchNorm) together() bool { return op.group != nil && op.pass.together && op.pass.training }

// sumMoments replaces totals and count by those over all members of the group. Each member
// has subtracted another shift. So before they are added, the sums become those of values
// less the running mean, which is the same everywhere.
func (op *batchNorm) sumMoments() {
	lanes := op.layout.lanes
	for block := range op.blocks {
		op.addParts(block)
		totals, shift := op.totalsOf(block), op.constantsOf(block)[4*lanes:]
		first, channels := op.channels(block)
		for j := range channels {
			about := op.runningMean.value[first+j]
			off, sum := float64(shift[j])-float64(about), totals[j]
			totals[j] += op.count * off
			totals[lanes+j] += off * (2*sum + op.count*off)
			shift[j] = about
		}
	}
	op.sumShared()
}

// sumShared replaces the totals of all blocks, and the count, by their sums over all members
// of the group. A member whose share is empty adds nothing.
func (op *batchNorm) sumShared() {
	n := 2 * op.layout.lanes * op.blocks
	copy(op.shared, op.totals[:n])
	op.shared[n] = float64(op.pass.counted * op.layout.area())
	if op.pass.counted == 0 {
		clear(op.shared)
	}
	op.group.float64(op.shared)
	copy(op.totals[:n], op.shared)
	op.count = op.shared[n]
}

// statistics computes the mean and variance of a block's channels over the mini-batch,
// and the constants that follow. It also moves the running statistics.
func (op *batchNorm) statistics(_ *worker, block int) {
	lanes, shift, m := op.layout.lanes, op.constantsOf(block)[4*op.layout.lanes:], op.count
	totals := op.totalsOf(block)
	if !op.together() {
		op.addParts(block)
	}
	first, channels := op.channels(block)
	for j := range channels {
		off := totals[j] / m
		mean, variance := float64(shift[j])+off, max(0, totals[lanes+j]/m-off*off)
		op.mean[first+j], op.inverse[first+j] = mean, 1/math.Sqrt(variance+op.epsilon)
		if op.pass.frozen || op.alone() {
			continue
		}
		move := func(p *parameter, to float64) {
			p.value[first+j] = float32((1-op.momentum)*float64(p.value[first+j]) + op.momentum*to)
		}
		move(op.runningMean, mean)
		move(op.runningVar, variance*m/max(m-1, 1))
	}
	op.scales(block)
}

// gradientMoments sums the output's gradient, and that times the input less its mean. A
// gradient that the rectifier doesn't let through becomes 0.
func (op *batchNorm) gradientMoments(w *worker, task int) {
	lanes := op.layout.lanes
	block, first, end := op.task(task)
	totals, sums, shift := op.totals[task*2*lanes:][:2*lanes], op.sums[w.id], op.constantsOf(block)[4*lanes:]
	clear(totals)
	for n := first; n < end; n++ {
		dy, x, y := op.of(op.out.grad, n, block), op.of(op.in.value, n, block), op.of(op.out.value, n, block)
		for from := 0; from < op.plane; from += vectorsAtOnce * lanes {
			to := min(from+vectorsAtOnce*lanes, op.plane)
			if op.rectifier.is {
				w.kernel.GradientMomentsReLU(sums, dy[from:to], y[from:to], x[from:to], shift[:2*lanes])
			} else {
				w.kernel.GradientMoments(sums, dy[from:to], x[from:to], shift[:lanes])
			}
			for j, v := range sums {
				totals[j] += float64(v)
			}
		}
	}
}

// parameters computes the gradients of the parameters of a block's channels. Then totals has
// the sums of the output's gradient, and of that times the input less its mean.
func (op *batchNorm) parameters(_ *worker, block int) {
	op.addParts(block)
	lanes, totals := op.layout.lanes, op.totalsOf(block)
	first, channels := op.channels(block)
	for j := range channels {
		// What was subtracted is the mean rounded to float32.
		mean := op.mean[first+j]
		totals[lanes+j] -= totals[j] * (mean - float64(float32(mean)))
		if op.bias.Trained {
			op.bias.grad[first+j] = float32(totals[j])
		}
		if op.weight.Trained {
			op.weight.grad[first+j] = float32(totals[lanes+j] * op.inverse[first+j])
		}
	}
}

// slopes computes the constants for the gradient of the input of a block.
func (op *batchNorm) slopes(_ *worker, block int) {
	lanes, totals, c, m := op.layout.lanes, op.totalsOf(block), op.constantsOf(block)[:4*op.layout.lanes], op.count
	first, channels := op.channels(block)
	clear(c)
	for j := range channels {
		mean, inverse, sum := op.mean[first+j], op.inverse[first+j], totals[j]
		c[j] = float32(mean)
		slope := totals[lanes+j] * inverse * inverse / m
		c[lanes+j] = float32(float64(op.weight.value[first+j]) * inverse)
		if op.pass.counted == 0 {
			continue // no statistic depends on the sample
		}
		c[2*lanes+j], c[3*lanes+j] = float32(sum/m-(mean-float64(c[j]))*slope), float32(slope)
	}
}

// normalizeBack computes the gradient of the input and of what is added, where they are
// wanted.
func (op *batchNorm) normalizeBack(w *worker, task int) {
	block, first, end := op.task(task)
	c := op.constantsOf(block)
	for n := first; n < end; n++ {
		if op.added != nil && op.added.wanted {
			op.added.collect(w, op.of(op.added.grad, n, block), op.of(op.out.grad, n, block))
		}
		if !op.in.wanted {
			continue
		}
		w.kernel.NormalizeVectorsBack(op.of(op.in.grad, n, block), op.of(op.out.grad, n, block), op.of(op.in.value, n, block), c, op.in.adds)
	}
}

// settledNorm is a batch normalisation by its running statistics: in an evaluation, or of a
// layer that is frozen as a whole. They are constants, so it treats each sample by itself.
type settledNorm struct{ norm *batchNorm }

func (op *settledNorm) ready() { op.norm.workers.do(op.norm.blocks, op.norm.settleTask) }

func (op *settledNorm) parts() int {
	if op.norm.size < leastValuesToCut {
		return 1
	}
	return op.norm.blocks
}

func (op *settledNorm) forward(w *worker, n int) { op.forwardPart(w, n, whole) }

func (op *settledNorm) forwardPart(w *worker, n int, p part) {
	first, end := p.share(op.norm.blocks)
	for block := first; block < end; block++ {
		op.norm.normalizePlane(w, n, block)
	}
}

// planGradients makes room for the constants of the backward pass.
func (op *settledNorm) planGradients(int) {
	lanes := op.norm.layout.lanes
	op.norm.back = make([]float32, 3*lanes*op.norm.blocks)
}

// prepare sets the constants: the gradient is only scaled, which is to normalise it with a
// mean and a shift of 0.
func (op *settledNorm) prepare() {
	lanes := op.norm.layout.lanes
	for block := range op.norm.blocks {
		copy(op.norm.back[(3*block+1)*lanes:][:lanes], op.norm.constantsOf(block)[lanes:])
	}
}

func (op *settledNorm) finish() {}

func (op *settledNorm) backward(w *worker, n int) {
	norm := op.norm
	dy := norm.out.grads(n)
	norm.rectifier.backward(w.kernel, dy, norm.out.values(n))
	if norm.added != nil && norm.added.wanted {
		norm.added.collect(w, norm.added.grads(n), dy)
	}
	if !norm.in.wanted {
		return
	}
	how, dx := asm.Normalization(0), norm.in.grads(n)
	if norm.in.adds {
		how = asm.NormalizeAdd
	}
	for block := range norm.blocks {
		to := norm.of(dx, 0, block)
		w.kernel.NormalizeVectors(to, norm.of(dy, 0, block), to, norm.back[3*block*norm.layout.lanes:][:3*norm.layout.lanes], how)
	}
}

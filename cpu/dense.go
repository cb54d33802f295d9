package cpu

import (
	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// dense is a fully connected layer with its bias. If it is in its group, the ReLU
// after it belongs to it too. Forward in training it computes the transposed output:
// (units x samples) = (units x inputs) * (inputs x samples). So the weights, which are by
// far the largest part, are read only once, and need not be copied. In evaluation, where
// weights stay the same for many mini-batches, it multiplies by packed weights.
type dense struct {
	pass         *pass
	workers      *workers
	in           operand
	out          *activations
	weight, bias *parameter // bias may be nil
	relu         bool

	samples     int       // the samples of the batch except the lone ones, filled up to whole vectors
	lone        int       // samples after the last whole vector, if they are few; otherwise 0
	transposed  []float32 // the input, (inputs, samples)
	product     []float32 // the output without bias, (units, samples)
	biasSums    []float64 // sums of the output gradient, by unit
	inputPanels []panel   // columns are inputs
	unitRows    []int32   // offsets of the weights' rows
	sampleRows  []int32   // offsets of the input's rows

	unitPanels []tilePanel // of vectors of units, in evaluation
	packed     []float32   // weights by panel: (inputs, units of the panel)
	biases     []float32   // of all units; 0 for units that only fill up a vector
	zeros      []float32   // of a panel
	version    int64       // of the packed weights and biases

	packTask                                                                              func(w *worker, panel int)
	evaluateTask, transposeTask, forwardTask, finishTask, maskTask, inputTask, weightTask func(w *worker, task int)
}

const (
	denseRows  = 16 // units that one task computes forward
	denseBlock = 64 // inputs that one task transposes
	fewSamples = 4  // the most samples that are not worth a vector
)

func newDense(ws *workers, p *pass, node net.Node, in operand, out *activations, batch int, params map[net.Role]*parameter, relu bool) *dense {
	ks := ws.all[0].kernel
	op := &dense{
		pass: p, workers: ws, in: in, out: out, weight: params[net.Weight], bias: params[net.Bias], relu: relu,
		inputPanels: newPanels(ks, consecutive(node.In.C, 1), min(2, ks.Vectors)),
		unitRows:    consecutive(node.Out.C, node.In.C),
		sampleRows:  consecutive(batch, node.In.C),
	}
	all := (node.Out.C + ks.Lanes - 1) / ks.Lanes
	op.packed = make([]float32, packedDense(node.In.C, node.Out.C, ks.Lanes))
	rows := batch
	if op.small() {
		rows = min(batch, mostTogether)
	}
	op.unitPanels, _ = panelsOf(ks, all, rows)
	op.biases, op.zeros = make([]float32, all*ks.Lanes), make([]float32, ks.ConvolveVectors()*ks.Lanes)
	op.packTask, op.evaluateTask = op.pack, op.evaluate
	return op
}

func (op *dense) planTraining(batch int) {
	lanes := op.workers.all[0].kernel.Lanes
	most := (batch + lanes - 1) / lanes * lanes
	op.transposed, op.product = make([]float32, most*op.in.size), make([]float32, most*op.out.size)
	op.transposeTask, op.forwardTask, op.finishTask = op.transpose, op.multiplyUnits, op.finishSample
}

func (op *dense) planGradients(int) {
	op.biasSums = make([]float64, op.out.size)
	op.maskTask, op.inputTask, op.weightTask = op.mask, op.inputGradient, op.weightGradient
}

func (op *dense) forward() {
	if !op.pass.training {
		op.ready()
		tasks, _ := op.evaluationTasks()
		op.workers.do(tasks, op.evaluateTask)
		return
	}
	lanes := op.workers.all[0].kernel.Lanes
	op.lone = 0
	if rest := op.pass.Len() % lanes; rest <= fewSamples && op.out.size >= 4 {
		op.lone = rest
	}
	op.samples = (op.pass.Len() - op.lone + lanes - 1) / lanes * lanes
	op.workers.do((op.in.size+denseBlock-1)/denseBlock, op.transposeTask)
	op.workers.do(op.unitTasks(), op.forwardTask)
	op.workers.do(op.pass.Len(), op.finishTask)
}

// ready packs the weights if they have changed.
func (op *dense) ready() {
	if op.version == op.pass.weights {
		return
	}
	op.workers.do(len(op.unitPanels), op.packTask)
	if op.bias != nil {
		copy(op.biases, op.bias.value)
	}
	op.version = op.pass.weights
}

// panel returns the packed weights of a panel, and which units they belong to.
func (op *dense) panel(i, lanes int) (weights []float32, first, units int) {
	p := op.unitPanels[i]
	first = p.first * lanes
	return op.packed[first*op.in.size:][:p.vectors*lanes*op.in.size], first, min(p.vectors*lanes, op.out.size-first)
}

// pack packs the weights of a panel. Units that only fill it up have weights 0.
func (op *dense) pack(w *worker, panel int) {
	to, first, units := op.panel(panel, w.kernel.Lanes)
	w.kernel.Transpose(to, len(to)/op.in.size, op.weight.value[first*op.in.size:], op.in.size, units, op.in.size)
}

// evaluationTasks returns into how many tasks an evaluation is cut, and how many tasks a
// panel has. Panels that are few are cut by samples.
func (op *dense) evaluationTasks() (tasks, each int) {
	each = 1
	if len(op.unitPanels) < panelsEnough {
		ks := op.workers.all[0].kernel
		each = tilesOf(op.pass.Len(), ks.Positions(op.unitPanels[0].vectors))
	}
	return len(op.unitPanels) * each, each
}

// panelsEnough are as many panels as threads share evenly.
const panelsEnough = 16

// evaluate computes the units of a panel for all samples, or for some.
func (op *dense) evaluate(w *worker, task int) {
	_, each := op.evaluationTasks()
	op.computeUnits(w, task/each, samples{op.out.value, op.out.size}, samples{op.in.value, op.in.size}, op.pass.Len(), part{task % each, each})
}

// computeUnits computes the units of a panel for some of the tiles that share n samples. A fully
// connected layer is a convolution of size 1, whose positions are the samples.
func (op *dense) computeUnits(w *worker, panel int, y, x samples, n int, share part) {
	ks, inputs := w.kernel, op.in.size
	weights, first, units := op.panel(panel, ks.Lanes)
	width := len(weights) / inputs
	vectors := width / ks.Lanes
	tiles := tilesOf(n, ks.Positions(vectors))
	blocks := (inputs + panelDepth - 1) / panelDepth
	from, end := share.share(tiles)
	for block := range blocks {
		lo, hi := block*inputs/blocks, (block+1)*inputs/blocks
		w.depth[0].Depth = int32(hi - lo)
		bias, how := op.zeros, asm.Convolution(asm.ConvolveAdd)
		if block == 0 {
			bias, how = op.biases[first:], 0
		}
		if block == blocks-1 && op.relu {
			how |= asm.ConvolveReLU
		}
		for i := from; i < end; {
			some, sample, at := tilesOfRow(n, 1, inputs, tiles, i, end)
			some.Vectors, some.Distance = vectors, ks.Lanes
			some.YStep, some.YNext = y.size, some.YNext*y.size
			to := y.values[sample*y.size+first:]
			if units < width {
				to, some.YStep, some.Count = w.tile, width, 1
				for k := range some.Positions {
					copy(to[k*width:], y.of(sample + k)[first:][:units]) // what is added to
				}
			}
			ks.Convolve(some, to, x.values[at+lo:], w.depth[:], weights[lo*width:], bias, how)
			if units < width {
				for k := range some.Positions {
					copy(y.of(sample + k)[first:][:units], to[k*width:])
				}
			}
			i += some.Count
		}
	}
}

// smallWeights is how many weights, packed, a layer has at most that is evaluated by groups
// of samples. They stay in the L2 cache of a thread.
const smallWeights = 256 << 10

// small reports whether the layer has so few weights that it is evaluated by groups of
// samples; see denseSamples.
func (op *dense) small() bool { return len(op.packed) <= smallWeights }

// packedDense returns how many values the packed weights of a layer are.
func packedDense(inputs, units, lanes int) int { return (units + lanes - 1) / lanes * lanes * inputs }

// denseSamples is the evaluation of a fully connected layer by groups of samples, each of
// which goes through several layers on one thread. Parts of one sample's output are panels
// of units.
type denseSamples struct{ *dense }

func (op denseSamples) group() int { return mostTogether }

func (op denseSamples) forward(w *worker, n int) { op.forwardGroup(w, n, n+1) }

func (op denseSamples) forwardGroup(w *worker, first, end int) {
	for panel := range op.unitPanels {
		op.computeUnits(w, panel, op.out.samples(w, first), op.in.samples(w, first), end-first, whole)
	}
}

func (op denseSamples) parts() int {
	if len(op.weight.value) < leastToCut {
		return 1
	}
	return len(op.unitPanels)
}

func (op denseSamples) forwardPart(w *worker, n int, p part) {
	first, end := p.share(len(op.unitPanels))
	for panel := first; panel < end; panel++ {
		op.computeUnits(w, panel, op.out.samples(w, n), op.in.samples(w, n), 1, whole)
	}
}

func (op denseSamples) backward(*worker, int)           { panic("BUG: evaluation has no gradients") }
func (op denseSamples) backwardGroup(*worker, int, int) { panic("BUG: evaluation has no gradients") }

// unitTasks returns how many tasks share the units. The last task also takes the
// rest.
func (op *dense) unitTasks() int { return max(1, op.out.size/denseRows) }

// dots computes some units of the lone samples, without the bias, as inner
// products. The weights are in a cache then, so this costs less than a vector of
// samples that is mostly empty.
func (op *dense) dots(w *worker, first, end int) {
	inputs := op.in.size
	for u := first; u < end; u += 4 {
		u := min(u, end-4) // some units may be computed twice
		for n := op.pass.Len() - op.lone; n < op.pass.Len(); n++ {
			w.kernel.Dots((*[4]float32)(op.out.values(n)[u:]), op.in.values(n), op.weight.value[u*inputs:], inputs)
		}
	}
}

// transpose writes a block of inputs as rows of samples. Samples that only fill up
// a vector are 0.
func (op *dense) transpose(w *worker, task int) {
	lo, hi := task*denseBlock, min((task+1)*denseBlock, op.in.size)
	n := min(op.samples, op.pass.Len())
	w.kernel.Transpose(op.transposed[lo*op.samples:], op.samples, op.in.value[lo:], op.in.size, n, hi-lo)
	if n == op.samples {
		return
	}
	for i := lo; i < hi; i++ {
		clear(op.transposed[i*op.samples+n : (i+1)*op.samples])
	}
}

// multiplyUnits computes some units for all samples, without the bias.
func (op *dense) multiplyUnits(w *worker, task int) {
	ks, inputs := w.kernel, op.in.size
	first, end := task*denseRows, (task+1)*denseRows
	if task == op.unitTasks()-1 {
		end = op.out.size
	}
	op.dots(w, first, end)
	blocks := (inputs + panelDepth - 1) / panelDepth
	for block := range blocks {
		lo, hi := block*inputs/blocks, (block+1)*inputs/blocks
		for n := 0; n < op.samples; n += ks.Vectors * ks.Lanes {
			vectors := min(ks.Vectors, (op.samples-n)/ks.Lanes)
			most := ks.Rows(vectors)
			for u := first; u < end; u += most {
				ks.Gemm(min(most, end-u), vectors, hi-lo, op.weight.value[u*inputs+lo:], inputs, 1,
					op.transposed[lo*op.samples+n:], op.samples, op.product[u*op.samples+n:], op.samples, block > 0)
			}
		}
	}
	ks.Transpose(op.out.value[first:], op.out.size, op.product[first*op.samples:], op.samples, end-first, op.pass.Len()-op.lone)
}

// finishSample adds the bias to the output of a sample, and applies ReLU if it
// belongs to the layer.
func (op *dense) finishSample(w *worker, n int) {
	y := op.out.values(n)
	if op.bias != nil {
		w.kernel.Add(y, op.bias.value)
	}
	if op.relu {
		w.kernel.AddBiasReLU(y, 0)
	}
}

func (op *dense) backward() {
	if op.relu {
		op.workers.do(op.pass.Len(), op.maskTask)
	}
	if op.in.wanted {
		op.workers.do(len(op.inputPanels), op.inputTask)
	}
	if op.weight.Trained {
		op.workers.do(len(op.inputPanels), op.weightTask)
	}
	if !op.bias.trained() {
		return
	}
	clear(op.biasSums)
	for n := range op.pass.Len() {
		for u, v := range op.out.grads(n) {
			op.biasSums[u] += float64(v)
		}
	}
	for u, sum := range op.biasSums {
		op.bias.grad[u] = float32(sum)
	}
}

func (op *dense) mask(w *worker, n int) {
	w.kernel.ReLUBackward(op.out.grads(n), op.out.grads(n), op.out.values(n))
}

// inputGradient computes the gradient of some inputs for all samples.
func (op *dense) inputGradient(w *worker, task int) {
	dy := matrix{op.out.grad, op.pass.Len(), op.out.size, 1}
	w.multiply(dy, op.weight.value[:cap(op.weight.value)], op.unitRows, &op.inputPanels[task], op.in.grad, op.in.size, op.in.adds)
}

// weightGradient computes the gradient of the weights of some inputs.
func (op *dense) weightGradient(w *worker, task int) {
	dy := matrix{op.out.grad, op.out.size, 1, op.out.size}
	w.multiply(dy, op.in.value, op.sampleRows[:op.pass.Len()], &op.inputPanels[task], op.weight.grad, op.in.size, false)
}

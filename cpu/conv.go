package cpu

import (
	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// conv is a convolution with its bias. If they are in its group, the ReLU and the max
// pooling after it belong to it too.
//
// Forward, the output of a sample (filters x positions) is the product of the weights
// (filters x taps) and the windows of the image (taps x positions). A tap is a
// channel, row and column of the kernel. The weight gradient is the product of the
// output gradient (filters x positions) and the transposed windows. The input
// gradient is itself a convolution with stride 1. Its input is the output gradient,
// spread out by the stride with zeros between. Its weights are the transposed
// weights, turned by 180 degrees. All this holds for each group of channels and
// filters by itself.
type conv struct {
	pass         *pass
	workers      *workers
	in           operand
	out          *activations
	weight, bias *parameter // bias may be nil
	relu         bool
	node         net.Node
	pool         *pool    // takes out as its input; or nil
	pooled       net.Node // the pooling layer's node
	filters      int
	channels     int
	groups       int // groups of channels and filters
	kernelArea   int

	source    spread      // copies the input into padded images
	gradient  spread      // spreads the output gradient, for the input gradient
	layout    vectorImage // padded images as vectors
	padded    []float32   // padded images by sample; nil if the gradients don't need them
	passing   [][]float32 // padded images of samples without a backward pass, by worker
	sums      []float32   // sums of the output gradient, by sample and filter
	taps      []int32     // offsets in a padded image, for a group of channels
	positions []int32
	windows   []panel // columns are positions
	turned    []panel // columns are taps, for the weight gradient

	winograd *winograd      // computes the output; or nil
	direct   *direct        // computes the output; or nil
	outputs  *vectorOutputs // the outputs of either; nil without them
	through  *throughPool   // computes the gradients; or nil

	// If the input gradient is wanted:
	spreadOut    [][]float32 // by worker
	inputTaps    []int32     // for a group of filters
	inputWindows []panel
	turnedWeight []float32 // (channels, filters of the group, kernel turned by 180 degrees)

	// If weights are trained:
	partial    []float32 // weight gradients of all parts of the mini-batch except the first
	parts      int
	turnTask   func(w *worker, c int)
	gradTask   func(w *worker, task int)
	reduceTask func(w *worker, task int)
}

// minGradTasks is the least number of tasks that compute the weight gradient, if the
// mini-batch is large enough. It is enough for threads to share the work evenly.
const minGradTasks = 64

// reduceChunk is how many values of a gradient one task sums over the parts.
const reduceChunk = 8192

// spread copies images into the middle of larger images, whose other values are 0.
type spread struct {
	channels, height, width      int // of the image
	outHeight, outWidth          int
	top, left, strideRow, stride int
}

func (s spread) size() int { return s.channels * s.outHeight * s.outWidth }

// distance returns how far apart the larger images of a mini-batch are. Each has its
// own slack, because packing may read the slack while the next image is written.
func (s spread) distance() int { return s.size() + asm.Slack }

// floatSize returns the same as distance, also for images whose size overflows an
// int.
func (s spread) floatSize() float64 {
	return float64(s.channels)*float64(s.outHeight)*float64(s.outWidth) + asm.Slack
}

func (s spread) copy(dst, src []float32) {
	for c := range s.channels {
		for h := range s.height {
			row := src[(c*s.height+h)*s.width:][:s.width]
			at := (c*s.outHeight+s.top+h*s.strideRow)*s.outWidth + s.left
			if s.stride == 1 {
				copy(dst[at:], row)
				continue
			}
			for i, v := range row {
				dst[at+i*s.stride] = v
			}
		}
	}
}

// spreads returns how a convolution's input and its output gradient are spread.
func spreads(node net.Node) (source, gradient spread) {
	g := node.Window
	source = spread{
		channels: node.In.C, height: node.In.H, width: node.In.W,
		outHeight: node.In.H + g.Top + g.Bottom, outWidth: node.In.W + g.Left + g.Right,
		top: g.Top, left: g.Left, strideRow: 1, stride: 1,
	}
	gradient = spread{
		channels: node.Out.C, height: g.OutH, width: g.OutW,
		outHeight: node.In.H + (g.KernelH-1)*g.DilationH, outWidth: node.In.W + (g.KernelW-1)*g.DilationW,
		top: (g.KernelH-1)*g.DilationH - g.Top, left: (g.KernelW-1)*g.DilationW - g.Left,
		strideRow: g.StrideH, stride: g.StrideW,
	}
	return source, gradient
}

// grid returns the offsets of outer x rows x columns points. The steps are the
// distances between neighbours.
func grid(outer, outerStep, rows, rowStep, columns, columnStep int) []int32 {
	offsets := make([]int32, 0, outer*rows*columns)
	for o := range outer {
		for r := range rows {
			for c := range columns {
				offsets = append(offsets, int32(o*outerStep+r*rowStep+c*columnStep))
			}
		}
	}
	return offsets
}

// newConv returns the operation of a convolution. params holds its weight and bias.
// relu is set if a ReLU belongs to it.
func newConv(ws *workers, p *pass, node net.Node, in operand, out *activations, batch int, params map[net.Role]*parameter, relu bool) *conv {
	ks := ws.all[0].kernel
	g := node.Window
	op := &conv{
		pass: p, workers: ws, in: in, out: out, weight: params[net.Weight], bias: params[net.Bias], relu: relu, node: node,
		filters: node.Out.C, channels: node.In.C, groups: node.Layer.(*net.Conv).GroupCount(), kernelArea: g.KernelH * g.KernelW,
	}
	op.source, op.gradient = spreads(node)
	op.layout = newVectorImage(ws, op.source)
	w := op.source.outWidth
	op.taps = grid(op.channels/op.groups, op.source.outHeight*w, g.KernelH, g.DilationH*w, g.KernelW, g.DilationW)
	op.positions = grid(1, 0, g.OutH, g.StrideH*w, g.OutW, g.StrideW)
	if op.winograd = newWinograd(op, node); op.winograd != nil {
		op.outputs = op.winograd.outputs
	} else if op.direct = newDirect(op, node); op.direct != nil {
		op.outputs = op.direct.outputs
	} else {
		op.windows = newPanels(ks, op.positions, ks.Vectors)
	}
	for range ws.all {
		if op.winograd == nil {
			op.passing = append(op.passing, make([]float32, op.source.distance()))
		}
	}
	if op.bias.trained() {
		op.sums = make([]float32, batch*op.filters)
	}
	return op
}

// poolInto makes max pooling a part of the convolution. Then nothing else reads the
// convolution's own output, so the gradient of that output is never written to
// memory.
func (op *conv) poolInto(pool *pool, pooled net.Node) {
	op.pool, op.pooled = pool, pooled
	if op.outputs != nil && pool.halves() {
		op.outputs.poolInto(pool)
	}
}

// planGradients takes the memory for the gradients. A throughPool takes its own
// memory.
func (op *conv) planGradients(batch int) {
	node := op.node
	if op.pool != nil {
		op.through = newThroughPool(op, node, op.pooled, batch)
	}
	if op.weight.Trained && (op.through == nil || op.through.wide) {
		op.padded = make([]float32, batch*op.source.distance())
	}
	if op.through != nil {
		return
	}
	ks, g := op.workers.all[0].kernel, node.Window
	if op.in.wanted {
		w := op.gradient.outWidth
		op.inputTaps = grid(op.filters/op.groups, op.gradient.outHeight*w, g.KernelH, g.DilationH*w, g.KernelW, g.DilationW)
		op.inputWindows = newPanels(ks, grid(1, 0, node.In.H, w, node.In.W, 1), ks.Vectors)
		for range op.workers.all {
			op.spreadOut = append(op.spreadOut, make([]float32, op.gradient.distance()))
		}
		op.turnedWeight = make([]float32, op.weight.Size())
		op.turnTask = op.turn
	}
	if op.weight.Trained {
		op.turned = newPanels(ks, op.taps, ks.Vectors)
		op.partial = make([]float32, (op.partsOf(batch)-1)*op.weight.Size())
		op.gradTask, op.reduceTask = op.weightGradient, op.reduce
	}
}

// pieces returns into how many pieces the weight gradient is cut: one for each panel of each group.
func (op *conv) pieces() int { return op.groups * len(op.turned) }

// partsOf returns into how many parts the mini-batch is cut when weight gradients are
// computed. Each piece of the gradient is computed for each part.
func (op *conv) partsOf(samples int) int {
	return min(samples, (minGradTasks+op.pieces()-1)/op.pieces())
}

// image returns the padded input of sample n.
func (op *conv) image(n int) []float32 {
	return op.padded[n*op.source.distance():][:op.source.distance()]
}

func (op *conv) forward(w *worker, n int) {
	x := op.in.values(n)
	var padded, vectors []float32 // the image in either layout, where it is needed
	if op.winograd != nil {
		vectors = op.winograd.images[w.id]
	} else {
		padded = op.passing[w.id]
	}
	if op.pass.training { // the weight gradient needs the image again
		switch {
		case op.padded != nil:
			padded = op.image(n)
		case op.through != nil && op.weight.Trained:
			vectors = op.through.input(n)
		}
	}
	if padded != nil {
		op.source.copy(padded, x)
	}
	if vectors != nil {
		op.layout.write(w, vectors, x)
	}
	switch {
	case op.winograd != nil:
		op.winograd.forward(w, vectors)
	case op.direct != nil:
		op.direct.forward(w, padded)
	default:
		op.product(w, padded, op.out.values(n))
	}
	if op.outputs != nil {
		op.outputs.finish(w, n)
	}
	if op.pool != nil && !op.pool.fused {
		op.pool.forward(w, n)
	}
}

// product computes the output for a padded image as a matrix product.
func (op *conv) product(w *worker, padded, y []float32) {
	filters, positions := op.filters/op.groups, len(op.positions)
	plane := op.channels / op.groups * op.source.outHeight * op.source.outWidth
	for g := range op.groups {
		first := g * filters
		weights := matrix{op.weight.value[first*len(op.taps):], filters, len(op.taps), 1}
		for i := range op.windows {
			w.multiply(weights, padded[g*plane:], op.taps, &op.windows[i], y[first*positions:], positions, false)
		}
	}
	for k := range op.filters {
		finishForward(w.kernel, y[k*positions:][:positions], op.bias, k, op.relu)
	}
}

// finishForward adds the bias of unit k, if there is one. Then it applies ReLU if
// relu is set.
func finishForward(ks *asm.Kernels, y []float32, bias *parameter, k int, relu bool) {
	var b float32
	if bias != nil {
		b = bias.value[k]
	}
	switch {
	case relu:
		ks.AddBiasReLU(y, b)
	case bias != nil:
		ks.AddBias(y, b)
	}
}

func (op *conv) ready() {
	switch {
	case op.winograd != nil:
		op.winograd.ready()
	case op.direct != nil:
		op.direct.ready()
	}
}

func (op *conv) prepare() {
	switch {
	case !op.in.wanted:
	case op.through != nil:
		op.workers.do(op.filters, op.through.arrangeTask)
	default:
		op.workers.do(op.channels, op.turnTask)
	}
}

// turn writes the turned weights of channel c.
func (op *conv) turn(_ *worker, c int) {
	area, filters, channels := op.kernelArea, op.filters/op.groups, op.channels/op.groups
	first := c / channels * filters // the first filter of the channel's group
	for k := range filters {
		from := op.weight.value[((first+k)*channels+c%channels)*area:][:area]
		to := op.turnedWeight[(c*filters+k)*area:][:area]
		for i, v := range from {
			to[area-1-i] = v
		}
	}
}

func (op *conv) backward(w *worker, n int) {
	if op.pool != nil && op.pass.traced {
		op.pool.backward(w, n)
	}
	dy := op.out.grads(n)
	if op.relu && (op.through == nil || op.pass.traced) {
		w.kernel.ReLUBackward(dy, dy, op.out.values(n))
	}
	if op.through != nil {
		op.through.collect(n)
		if op.in.wanted {
			op.through.backward(w, n)
		}
		return
	}
	if op.bias.trained() {
		for k := range op.filters {
			op.sums[n*op.filters+k] = w.kernel.Sum(dy[k*len(op.positions):][:len(op.positions)])
		}
	}
	if op.in.wanted {
		op.inputGradient(w, n, dy)
	}
}

// inputGradient computes the gradient with respect to the input of sample n.
func (op *conv) inputGradient(w *worker, n int, dy []float32) {
	image, dx := op.spreadOut[w.id], op.in.grads(n)
	op.gradient.copy(image, dy)
	channels, area := op.channels/op.groups, op.in.size/op.channels
	plane := op.filters / op.groups * op.gradient.outHeight * op.gradient.outWidth
	for g := range op.groups {
		first := g * channels
		weights := matrix{op.turnedWeight[first*len(op.inputTaps):], channels, len(op.inputTaps), 1}
		for i := range op.inputWindows {
			w.multiply(weights, image[g*plane:], op.inputTaps, &op.inputWindows[i], dx[first*area:], area, op.in.adds)
		}
	}
}

func (op *conv) finish() {
	switch {
	case !op.weight.Trained:
	case op.through != nil:
		op.through.finish()
	default:
		op.sumGradients()
	}
	if !op.bias.trained() {
		return
	}
	for k := range op.filters {
		var sum float64
		for n := range op.pass.Len() {
			sum += float64(op.sums[n*op.filters+k])
		}
		op.bias.grad[k] = float32(sum)
	}
}

// sumGradients computes the weight gradient.
func (op *conv) sumGradients() {
	op.parts = op.partsOf(op.pass.Len())
	op.workers.do(op.parts*op.pieces(), op.gradTask)
	if op.parts > 1 {
		op.workers.do((len(op.weight.grad)+reduceChunk-1)/reduceChunk, op.reduceTask)
	}
}

// weightGradient sums a piece of the weight gradient over a part of the mini-batch.
func (op *conv) weightGradient(w *worker, task int) {
	part, piece := task/op.pieces(), task%op.pieces()
	group, p := piece/len(op.turned), &op.turned[piece%len(op.turned)]
	sum := op.weight.grad
	if part > 0 {
		sum = op.partial[(part-1)*len(sum):][:len(sum)]
	}
	filters, positions := op.filters/op.groups, len(op.positions)
	sum = sum[group*filters*len(op.taps):]
	plane := op.channels / op.groups * op.source.outHeight * op.source.outWidth
	first, end := part*op.pass.Len()/op.parts, (part+1)*op.pass.Len()/op.parts
	for n := first; n < end; n++ {
		dy := matrix{op.out.grads(n)[group*filters*positions:], filters, positions, 1}
		w.multiply(dy, op.image(n)[group*plane:], op.positions, p, sum, len(op.taps), n > first)
	}
}

// reduce adds a piece of the other parts' gradients to the first part's.
func (op *conv) reduce(w *worker, task int) {
	grad := op.weight.grad
	lo, hi := task*reduceChunk, min((task+1)*reduceChunk, len(grad))
	for part := range op.parts - 1 {
		w.kernel.Add(grad[lo:hi], op.partial[part*len(grad)+lo:part*len(grad)+hi])
	}
}

package cpu

import (
	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// conv is a convolution with its bias and with the max pooling after it. If there is a
// ReLU between them, it belongs to it too. Input and output are planar.
//
// The output of a sample (filters x positions) is the product of the weights (filters x
// taps) and the windows of the image (taps x positions). A tap is a channel, row and
// column of the kernel. Most shapes have a faster way.
type conv struct {
	pass         *pass
	workers      *workers
	in           operand
	out          *activations
	weight, bias *parameter // bias may be nil
	relu         bool
	node         net.Node
	pool         *maxPool // takes out as its input
	pooled       net.Node // the pooling layer's node
	filters      int
	channels     int
	kernelArea   int

	source  spread      // copies the input into padded images
	layout  paddedImage // the same in blocks
	padded  []float32   // padded images by sample; nil if the gradients don't need them
	passing [][]float32 // padded images of samples without a backward pass, by worker
	images  [][]float32 // the same in blocks, for winograd
	sums    []float32   // sums of the output gradient, by sample and filter

	winograd *winograd      // computes the output; or nil
	direct   *direct        // computes the output; or nil
	outputs  *vectorOutputs // the outputs of either; nil without them
	through  *throughPool   // computes the gradients; nil without training

	// If there is no other way:
	taps      []int32 // offsets in a padded image
	positions int
	windows   []panel // columns are positions
}

// minGradTasks is the least number of tasks that compute the weight gradient, if the
// mini-batch is large enough. It is enough for threads to share the work evenly.
const minGradTasks = 64

// spread copies images into the middle of larger images, whose other values are 0.
type spread struct {
	channels, height, width int // of the image
	outHeight, outWidth     int
	top, left               int
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
			at := (c*s.outHeight+s.top+h)*s.outWidth + s.left
			copy(dst[at:], src[(c*s.height+h)*s.width:][:s.width])
		}
	}
}

// paddingOf returns how a convolution's input is copied into a padded image.
func paddingOf(node net.Node) spread {
	g := node.Window
	return spread{
		channels: node.In.C, height: node.In.H, width: node.In.W,
		outHeight: node.In.H + g.Top + g.Bottom, outWidth: node.In.W + g.Left + g.Right,
		top: g.Top, left: g.Left,
	}
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

// newConv returns the operation of a convolution, whose output pool takes. params holds
// its weight and bias. relu is set if a ReLU belongs to it.
func newConv(ws *workers, p *pass, node net.Node, in operand, out *activations, batch int, params map[net.Role]*parameter, relu bool) *conv {
	ks := ws.all[0].kernel
	g := node.Window
	op := &conv{
		pass: p, workers: ws, in: in, out: out, weight: params[net.Weight], bias: params[net.Bias], relu: relu, node: node,
		filters: node.Out.C, channels: node.In.C, kernelArea: g.KernelH * g.KernelW, positions: g.OutH * g.OutW,
	}
	op.source = paddingOf(node)
	op.layout = paddedImage{inBlocks(node.In, ks.Lanes), g.Top, g.Left, op.source.outHeight, op.source.outWidth}
	ws.reserve(op.layout.image.plane())
	if op.winograd = newWinograd(ws, op.weight, node, node.In, node.Out, false, 1); op.winograd != nil {
		op.winograd.bordered = true
		op.outputs = newVectorOutputs(op, op.winograd.vectors*ks.Lanes, g.OutH, g.OutW)
	} else if op.direct = newDirect(op, node); op.direct != nil {
		op.outputs = op.direct.outputs
	} else {
		w := op.source.outWidth
		op.taps = grid(op.channels, op.source.outHeight*w, g.KernelH, g.DilationH*w, g.KernelW, g.DilationW)
		op.windows = newPanels(ks, grid(1, 0, g.OutH, g.StrideH*w, g.OutW, g.StrideW), ks.Vectors)
	}
	for range ws.all {
		if op.winograd != nil {
			op.images = append(op.images, make([]float32, op.layout.size()))
		} else {
			op.passing = append(op.passing, make([]float32, op.source.distance()))
		}
	}
	if op.bias.trained() {
		op.sums = make([]float32, batch*op.filters)
	}
	return op
}

// poolInto makes max pooling a part of the convolution. Nothing else reads the
// convolution's own output, so the gradient of that output is never written to memory.
func (op *conv) poolInto(pool *maxPool, pooled net.Node) {
	op.pool, op.pooled = pool, pooled
	if op.outputs != nil && pool.halves() {
		op.outputs.poolInto(pool)
	}
}

// planGradients takes the memory for the gradients.
func (op *conv) planGradients(batch int) {
	op.through = newThroughPool(op, op.node, op.pooled, batch)
	if op.weight.Trained && op.through.wide {
		op.padded = make([]float32, batch*op.source.distance())
	}
}

// image returns the padded input of sample n.
func (op *conv) image(n int) []float32 {
	return op.padded[n*op.source.distance():][:op.source.distance()]
}

// parts returns into how many parts the output can be cut: by filters.
func (op *conv) parts() int {
	switch {
	case op.node.MulAdds() < leastToCut || !op.pool.fused:
		return 1
	case op.winograd != nil:
		return len(op.winograd.panels)
	}
	return op.direct.groups
}

func (op *conv) forward(w *worker, n int) { op.forwardPart(w, n, whole) }

func (op *conv) forwardPart(w *worker, n int, p part) {
	x := op.in.at(w, n)
	var padded, vectors []float32 // the image in either layout, where it is needed
	if op.winograd != nil {
		vectors = op.images[w.id]
	} else {
		padded = op.passing[w.id]
	}
	if op.pass.training { // the weight gradient needs the image again
		switch {
		case op.padded != nil:
			padded = op.image(n)
		case op.weight.Trained && op.through != nil:
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
		some := op.winograd.somePanels(p)
		op.winograd.run(w, samples{op.outputs.outputs[w.id], len(op.outputs.outputs[w.id])}, samples{vectors, len(vectors)}, op.relu, some)
		first, end := op.winograd.vectorsOf(some)
		op.outputs.finish(w, n, first, end)
	case op.direct != nil:
		first, end := p.share(op.direct.groups)
		op.direct.forward(w, padded, first, end)
		op.outputs.finish(w, n, first*op.direct.kernel.Vectors, end*op.direct.kernel.Vectors)
	default:
		op.product(w, padded, op.out.values(n))
	}
	if !op.pool.fused {
		op.pool.forward(w, n)
	}
}

// product computes the output for a padded image as a matrix product.
func (op *conv) product(w *worker, padded, y []float32) {
	weights := matrix{op.weight.value, op.filters, len(op.taps), 1}
	for i := range op.windows {
		w.multiply(weights, padded, op.taps, &op.windows[i], y, op.positions, false)
	}
	for k := range op.filters {
		finishForward(w.kernel, y[k*op.positions:][:op.positions], op.bias, k, op.relu)
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
		op.winograd.ready(op.pass.version(op.weight, op.bias), op.bias)
	case op.direct != nil:
		op.direct.ready()
	}
}

func (op *conv) prepare() {
	if op.in.wanted {
		op.workers.do(op.filters, op.through.arrangeTask)
	}
}

func (op *conv) backward(w *worker, n int) {
	if op.pass.traced {
		op.pool.backward(n)
		if dy := op.out.grads(n); op.relu {
			w.kernel.ReLUBackward(dy, dy, op.out.values(n))
		}
	}
	op.through.collect(n)
	if op.in.wanted {
		op.through.backward(w, n)
	}
}

func (op *conv) finish() {
	if op.weight.Trained {
		op.through.finish()
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

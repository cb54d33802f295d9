package cpu

import (
	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// conv is a convolution with its bias and, where one follows, its ReLU.
//
// Forward, a sample's output (filters x positions) is the product of the weights
// (filters x taps, a tap being channel, row and column of the kernel) and the
// image's windows (taps x positions). The gradient by the weights is the product
// of the output's gradient (filters x positions) and the transposed windows. The
// gradient by the input is a convolution itself, with stride 1, of the output's
// gradient (spread out by the stride, with zeros between) with the turned and
// transposed weights.
type conv struct {
	pass         *pass
	workers      *workers
	in, out      *activations
	weight, bias *parameter // bias may be nil
	relu         bool
	filters      int
	channels     int
	kernelArea   int

	source    spread      // of the input into padded images
	gradient  spread      // of the output's gradient, for that by the input
	layout    vectorImage // of padded images, as vectors
	padded    []float32   // by sample, or nil where training needs only vectors
	passing   [][]float32 // padded images of samples that are only evaluated, by worker
	sums      []float32   // of the output's gradient, by sample and filter
	taps      []int32     // offsets in a padded image
	positions []int32
	windows   []panel // columns are positions
	turned    []panel // columns are taps, for the gradient by the weights

	winograd *winograd      // computes the output, or nil
	direct   *direct        // does, or nil
	outputs  *vectorOutputs // of either
	through  *throughPool   // computes the gradients, or nil; what follows is then not there

	spreadOut    [][]float32 // by worker
	inputTaps    []int32
	inputWindows []panel
	turnedWeight []float32 // (channels, filters, kernel turned by 180 degrees)
	partial      []float32 // gradients by the weights, of all groups but the first
	groups       int
	turnTask     func(w *worker, c int)
	gradTask     func(w *worker, task int)
	reduceTask   func(w *worker, task int)
}

// minGradTasks is how many pieces the gradient by the weights is cut into, if
// the mini-batch is large enough: enough for threads to share evenly.
const minGradTasks = 64

// reduceChunk is how many values of a gradient one task sums over the groups.
const reduceChunk = 8192

// spread copies images into the middle of larger ones that are otherwise 0.
type spread struct {
	channels, height, width      int // of the image
	outHeight, outWidth          int
	top, left, strideRow, stride int
}

func (s spread) size() int { return s.channels * s.outHeight * s.outWidth }

// distance is how far apart the larger images of a mini-batch are: each has its
// own slack, because packing may read that while the next image is written.
func (s spread) distance() int { return s.size() + asm.Slack }

// floatSize is distance for images that may be too large.
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

// spreads returns how a convolution's input and its output's gradient are
// spread.
func spreads(l net.PlannedLayer) (source, gradient spread) {
	g := l.Window
	source = spread{
		channels: l.In.C, height: l.In.H, width: l.In.W,
		outHeight: l.In.H + g.Top + g.Bottom, outWidth: l.In.W + g.Left + g.Right,
		top: g.Top, left: g.Left, strideRow: 1, stride: 1,
	}
	gradient = spread{
		channels: l.Out.C, height: g.OutH, width: g.OutW,
		outHeight: l.In.H + (g.KernelH-1)*g.DilationH, outWidth: l.In.W + (g.KernelW-1)*g.DilationW,
		top: (g.KernelH-1)*g.DilationH - g.Top, left: (g.KernelW-1)*g.DilationW - g.Left,
		strideRow: g.StrideH, stride: g.StrideW,
	}
	return source, gradient
}

// grid returns the offsets of outer x rows x columns points that lie the given
// distances apart.
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

func newConv(ws *workers, p *pass, l net.PlannedLayer, in, out *activations, batch int, weight, bias *parameter, relu bool) *conv {
	ks := ws.all[0].kernel
	g := l.Window
	op := &conv{
		pass: p, workers: ws, in: in, out: out, weight: weight, bias: bias, relu: relu,
		filters: l.Out.C, channels: l.In.C, kernelArea: g.KernelH * g.KernelW,
	}
	op.source, op.gradient = spreads(l)
	op.layout = newVectorImage(ws, op.source)
	w := op.source.outWidth
	op.taps = grid(l.In.C, op.source.outHeight*w, g.KernelH, g.DilationH*w, g.KernelW, g.DilationW)
	op.positions = grid(1, 0, g.OutH, g.StrideH*w, g.OutW, g.StrideW)
	if op.winograd = newWinograd(op, l); op.winograd != nil {
		op.outputs = op.winograd.outputs
	} else if op.direct = newDirect(op, l); op.direct != nil {
		op.outputs = op.direct.outputs
	} else {
		op.windows = newPanels(ks, op.positions, ks.Vectors)
	}
	for range ws.all {
		if op.winograd == nil {
			op.passing = append(op.passing, make([]float32, op.source.distance()))
		}
	}
	op.sums = make([]float32, batch*op.filters)
	return op
}

// planGradients makes what the gradients take: next is the operation behind, or
// nil.
func (op *conv) planGradients(l net.PlannedLayer, next sampleOp, batch int) {
	if pool, ok := next.(*pool); ok {
		if op.through = newThroughPool(op, pool, l, batch); op.through != nil {
			pool.through = true
			if op.outputs != nil && pool.halves() {
				op.outputs.poolInto(pool)
			}
			if op.through.wide {
				op.padded = make([]float32, batch*op.source.distance())
			}
			return
		}
	}
	op.padded = make([]float32, batch*op.source.distance())
	ks, g := op.workers.all[0].kernel, l.Window
	w := op.gradient.outWidth
	op.inputTaps = grid(l.Out.C, op.gradient.outHeight*w, g.KernelH, g.DilationH*w, g.KernelW, g.DilationW)
	op.inputWindows = newPanels(ks, grid(1, 0, l.In.H, w, l.In.W, 1), ks.Vectors)
	for range op.workers.all {
		op.spreadOut = append(op.spreadOut, make([]float32, op.gradient.distance()))
	}
	op.turned = newPanels(ks, op.taps, ks.Vectors)
	op.turnedWeight = make([]float32, op.weight.Size())
	op.partial = make([]float32, (op.groupsOf(batch)-1)*op.weight.Size())
	op.turnTask, op.gradTask, op.reduceTask = op.turn, op.weightGradient, op.reduce
}

// groupsOf returns how many groups of samples the gradient by the weights is
// computed in.
func (op *conv) groupsOf(samples int) int {
	return min(samples, (minGradTasks+len(op.turned)-1)/len(op.turned))
}

// image returns the padded input of sample n.
func (op *conv) image(n int) []float32 {
	return op.padded[n*op.source.distance():][:op.source.distance()]
}

func (op *conv) forward(w *worker, n int) {
	x := op.in.values(n)
	var padded, vectors []float32 // the image, in either layout, where it is needed
	if op.winograd != nil {
		vectors = op.winograd.images[w.id]
	} else {
		padded = op.passing[w.id]
	}
	if op.pass.training { // the gradient by the weights needs it again
		if op.padded != nil {
			padded = op.image(n)
		} else {
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
		y := op.out.values(n)
		weights := matrix{op.weight.value, op.filters, len(op.taps), 1}
		for i := range op.windows {
			w.multiply(weights, padded, op.taps, &op.windows[i], y, len(op.positions), false)
		}
		for k := range op.filters {
			finishForward(w.kernel, y[k*len(op.positions):][:len(op.positions)], op.bias, k, op.relu)
		}
		return
	}
	op.outputs.finish(w, n)
}

// finishForward adds the bias of unit k, if there is one, and applies ReLU, if
// asked for.
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

func (op *conv) prepare(dx bool) {
	switch {
	case !dx:
	case op.through != nil:
		op.workers.do(op.filters, op.through.arrangeTask)
	default:
		op.workers.do(op.channels, op.turnTask)
	}
}

// turn writes the turned weights of channel c.
func (op *conv) turn(_ *worker, c int) {
	area := op.kernelArea
	for k := range op.filters {
		from := op.weight.value[(k*op.channels+c)*area:][:area]
		to := op.turnedWeight[(c*op.filters+k)*area:][:area]
		for i, v := range from {
			to[area-1-i] = v
		}
	}
}

func (op *conv) backward(w *worker, n int, dx bool) {
	dy := op.out.grads(n)
	if op.relu && (op.through == nil || op.pass.traced) {
		w.kernel.ReLUBackward(dy, dy, op.out.values(n))
	}
	if op.through != nil {
		op.through.collect(n)
		if dx {
			op.through.backward(w, n)
		}
		return
	}
	if op.bias != nil {
		for k := range op.filters {
			op.sums[n*op.filters+k] = w.kernel.Sum(dy[k*len(op.positions):][:len(op.positions)])
		}
	}
	if !dx {
		return
	}
	image := op.spreadOut[w.id]
	op.gradient.copy(image, dy)
	weights := matrix{op.turnedWeight, op.channels, len(op.inputTaps), 1}
	for i := range op.inputWindows {
		w.multiply(weights, image, op.inputTaps, &op.inputWindows[i], op.in.grads(n), op.in.size/op.channels, false)
	}
}

func (op *conv) finish() {
	if op.through != nil {
		op.through.finish()
	} else {
		op.sumGradients()
	}
	if op.bias == nil {
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

// sumGradients computes the gradient by the weights.
func (op *conv) sumGradients() {
	op.groups = op.groupsOf(op.pass.Len())
	op.workers.do(op.groups*len(op.turned), op.gradTask)
	if op.groups > 1 {
		op.workers.do((len(op.weight.grad)+reduceChunk-1)/reduceChunk, op.reduceTask)
	}
}

// weightGradient sums a panel of the gradient by the weights over a group of
// samples.
func (op *conv) weightGradient(w *worker, task int) {
	group, p := task/len(op.turned), &op.turned[task%len(op.turned)]
	sum := op.weight.grad
	if group > 0 {
		sum = op.partial[(group-1)*len(sum):][:len(sum)]
	}
	first, end := group*op.pass.Len()/op.groups, (group+1)*op.pass.Len()/op.groups
	for n := first; n < end; n++ {
		dy := matrix{op.out.grads(n), op.filters, len(op.positions), 1}
		w.multiply(dy, op.image(n), op.positions, p, sum, len(op.taps), n > first)
	}
}

// reduce adds a piece of the groups' gradients to the first group's.
func (op *conv) reduce(w *worker, task int) {
	grad := op.weight.grad
	lo, hi := task*reduceChunk, min((task+1)*reduceChunk, len(grad))
	for g := range op.groups - 1 {
		w.kernel.Add(grad[lo:hi], op.partial[g*len(grad)+lo:g*len(grad)+hi])
	}
}

package cpu

import (
	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// throughPool computes the gradients of a convolution that max pooling belongs to,
// with or without a ReLU between them. The gradient of the convolution's output is
// 0 except at the positions that pooling chose, which are a quarter of them for
// 2x2 windows. So it is never written as a whole. Each filter has a list of its
// other values.
//
// Images are planes of vectors. A plane holds a block of as many channels as a
// vector has lanes. If there are few channels, a plane holds one channel, and its
// vectors are neighbouring columns (wide).
type throughPool struct {
	conv    *conv
	kernels *asm.Patches
	window  net.Window
	wide    bool
	lanes   int
	blocks  int // planes of an image
	pitch   int // values from a row of a plane to the next
	plane   int // values of a plane

	starts  []int32   // where the patch of each output position begins in a plane
	images  []float32 // padded inputs in blocks, if weights are trained; if wide, the convolution's own are used
	values  []float32 // the lists' values, by sample and filter
	offsets []int32
	counts  []int32   // the lists' lengths, by sample and filter
	weights []float32 // (filters, blocks, patch)
	sums    []float32 // weight gradients, (parts, filters, blocks, patch)
	parts   int
	inputs  [][]float32 // gradient of a padded input, by worker

	arrangeTask, sumTask, reduceTask func(w *worker, task int)
}

// filtersATime is how many filters are applied to an image before the next image.
const filtersATime = 8

// patchesThrough returns the kernels that compute a convolution's gradients
// through the max pooling after it, and whether its vectors are columns. It
// returns nil if there are no such kernels, or if lists are not worth it.
func patchesThrough(ks *asm.Kernels, node, pooled net.Node) (kernels *asm.Patches, wide bool) {
	g := node.Window
	if node.Layer.(*net.Conv).GroupCount() != 1 || g.StrideH != 1 || g.StrideW != 1 || g.DilationH != 1 || g.DilationW != 1 || 2*pooled.Out.Size() > node.Out.Size() {
		return nil, false
	}
	blocks, columns := (node.In.C+ks.Lanes-1)/ks.Lanes, g.KernelW
	if wide = node.In.C < blocks*g.KernelW && g.KernelW <= ks.Lanes; wide {
		columns = 1
	}
	return ks.Patches(g.KernelH, columns), wide
}

// newThroughPool returns a throughPool for a convolution with pooling.
// patchesThrough must have kernels for them.
func newThroughPool(op *conv, node, pooled net.Node, batch int) *throughPool {
	g, ks := node.Window, op.workers.all[0].kernel
	t := &throughPool{conv: op, window: g, lanes: ks.Lanes}
	t.kernels, t.wide = patchesThrough(ks, node, pooled)
	t.blocks = (op.channels + t.lanes - 1) / t.lanes
	if t.wide {
		t.blocks = op.channels
	}
	t.pitch, t.plane = op.source.outWidth, op.source.outHeight*op.source.outWidth
	if !t.wide {
		t.pitch, t.plane = op.layout.width*t.lanes, op.layout.plane()
		if op.weight.Trained {
			t.images = newBuffer(batch * op.layout.size())
		}
	}
	t.starts = grid(1, 0, g.OutH, t.pitch, g.OutW, t.pitch/op.source.outWidth)
	entries := batch * op.pool.out.size
	t.values, t.offsets, t.counts = make([]float32, entries), make([]int32, entries), make([]int32, batch*op.filters)
	t.weights = make([]float32, op.filters*t.blocks*t.patch())
	if op.weight.Trained {
		t.sums = make([]float32, t.partsOf(batch)*len(t.weights))
	}
	if op.in.wanted {
		for range op.workers.all {
			t.inputs = append(t.inputs, newBuffer(t.blocks*t.plane))
		}
		if op.in.adds {
			op.workers.reserveSpare(op.in.size)
		}
	}
	t.arrangeTask, t.sumTask, t.reduceTask = t.arrange, t.sum, t.reduce
	return t
}

// patch returns how many values a patch has.
func (t *throughPool) patch() int { return t.kernels.Rows * t.kernels.Columns * t.lanes }

// tasks returns how many groups of filters there are. partsOf returns into how
// many parts the mini-batch is divided when weight gradients are computed.
func (t *throughPool) tasks() int { return (t.conv.filters + filtersATime - 1) / filtersATime }

func (t *throughPool) partsOf(samples int) int {
	return min(samples, (minGradTasks+t.tasks()-1)/t.tasks())
}

// index returns the place of a weight of channel c in its filter's patches.
func (t *throughPool) index(c, row, column int) int {
	if t.wide {
		return c*t.patch() + row*t.lanes + column
	}
	return c/t.lanes*t.patch() + (row*t.kernels.Columns+column)*t.lanes + c%t.lanes
}

// filter returns the patches of filter k in weights or sums.
func (t *throughPool) filter(of []float32, k int) []float32 {
	n := t.blocks * t.patch()
	return of[k*n:][:n]
}

// list returns the gradient of the output of sample n for filter k where it is not
// 0: its values, and where the patches of their positions begin.
func (t *throughPool) list(n, k int) (values []float32, offsets []int32) {
	area := len(t.conv.pool.chosen) / len(t.counts)
	at, count := (n*t.conv.filters+k)*area, int(t.counts[n*t.conv.filters+k])
	return t.values[at:][:count], t.offsets[at:][:count]
}

// input returns the image of sample n, plane after plane.
func (t *throughPool) input(n int) []float32 {
	if t.wide {
		return t.conv.image(n)
	}
	return t.images[n*t.blocks*t.plane:][:t.blocks*t.plane+asm.Slack]
}

// collect makes the lists of sample n, and sums their values for the biases.
func (t *throughPool) collect(n int) {
	y, dy := t.conv.pool.out.values(n), t.conv.pool.out.grads(n)
	area := len(y) / t.conv.filters
	chosen := t.conv.pool.chosen[n*len(y):][:len(y)]
	for k := range t.conv.filters {
		at := (n*t.conv.filters + k) * area
		values, offsets := t.values[at:][:area], t.offsets[at:][:area]
		y, dy, chosen := y[k*area:][:area], dy[k*area:][:area], chosen[k*area:][:area]
		count := 0
		var sum float32
		for i, v := range dy {
			if t.conv.relu && !(y[i] > 0) || v == 0 {
				continue
			}
			values[count], offsets[count] = v, t.starts[chosen[i]]
			sum += v
			count++
		}
		t.counts[n*t.conv.filters+k] = int32(count)
		if t.conv.sums != nil {
			t.conv.sums[n*t.conv.filters+k] = sum
		}
	}
}

// arrange writes the patches of filter k's weights.
func (t *throughPool) arrange(_ *worker, k int) {
	to, g := t.filter(t.weights, k), t.window
	from := t.conv.weight.value[k*t.conv.channels*t.conv.kernelArea:]
	for c := range t.conv.channels {
		for r := range g.KernelH {
			for s := range g.KernelW {
				to[t.index(c, r, s)] = from[(c*g.KernelH+r)*g.KernelW+s]
			}
		}
	}
}

// backward computes the gradient of the input of sample n.
func (t *throughPool) backward(w *worker, n int) {
	image := t.inputs[w.id]
	clear(image)
	for b := range t.blocks {
		plane := image[b*t.plane:]
		for k := range t.conv.filters {
			values, offsets := t.list(n, k)
			t.kernels.Add(plane, t.filter(t.weights, k)[b*t.patch():][:t.patch()], values, offsets, t.pitch)
		}
	}
	in, s := t.conv.in, t.conv.source
	to := in.grads(n)
	switch {
	case t.wide:
		for c := range s.channels {
			plane := image[c*t.plane+s.top*t.pitch+s.left:]
			for h := range s.height {
				in.collect(w, to[(c*s.height+h)*s.width:][:s.width], plane[h*t.pitch:][:s.width])
			}
		}
	case in.adds:
		dx := w.spare[:in.size]
		t.conv.layout.read(w, dx, image)
		w.kernel.Add(to, dx)
	default:
		t.conv.layout.read(w, to, image)
	}
}

// finish computes the weight gradient.
func (t *throughPool) finish() {
	t.parts = t.partsOf(t.conv.pass.Len())
	t.conv.workers.do(t.parts*t.tasks(), t.sumTask)
	t.conv.workers.do(t.conv.filters, t.reduceTask)
}

// sum sums the patches of some filters over a part of the mini-batch.
func (t *throughPool) sum(_ *worker, task int) {
	part, first := task/t.tasks(), task%t.tasks()*filtersATime
	end := min(first+filtersATime, t.conv.filters)
	sums := t.sums[part*len(t.weights):][:len(t.weights)]
	clear(sums[first*t.blocks*t.patch() : end*t.blocks*t.patch()])
	for n := part * t.conv.pass.Len() / t.parts; n < (part+1)*t.conv.pass.Len()/t.parts; n++ {
		image := t.input(n)
		for b := range t.blocks {
			plane := image[b*t.plane:]
			for k := first; k < end; k++ {
				values, offsets := t.list(n, k)
				t.kernels.Sum(t.filter(sums, k)[b*t.patch():][:t.patch()], plane, values, offsets, t.pitch)
			}
		}
	}
}

// reduce adds up the sums of all parts for filter k.
func (t *throughPool) reduce(w *worker, k int) {
	all, g := t.filter(t.sums, k), t.window
	for part := 1; part < t.parts; part++ {
		w.kernel.Add(all, t.filter(t.sums[part*len(t.weights):], k))
	}
	to := t.conv.weight.grad[k*t.conv.channels*t.conv.kernelArea:]
	for c := range t.conv.channels {
		for r := range g.KernelH {
			for s := range g.KernelW {
				to[(c*g.KernelH+r)*g.KernelW+s] = all[t.index(c, r, s)]
			}
		}
	}
}

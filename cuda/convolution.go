//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// dnnConvolution is a cuDNN convolution for one shape and one mini-batch size. It holds the descriptors and, for each
// of the three products, the algorithms that can compute it.
type dnnConvolution struct {
	program     *program
	layer       string // its name
	descriptors descriptors
	own         *kernels.Convolving     // for our kernels, which take x without any padding; nil without them
	needs       [directions]bool        // the products that cuDNN or our kernels compute
	lanes       [directions]int         // where it computes them
	ways        [directions][]algorithm // by direction, the one in use first
	dropped     [directions]int         // how many algorithms before it failed or had no room
	chosen      Chooser
}

// newDNNConvolution describes a convolution of x (n, in) with symmetric padding. With several groups, each group
// computes its share of the output's channels from its share of the input's channels. The algorithms are not chosen
// yet.
func newDNNConvolution(p *program, layer string, in, out net.Shape, w net.Window, groups, n int) (c *dnnConvolution, err error) {
	c = &dnnConvolution{program: p, layer: layer}
	d := &c.descriptors
	math := mathOf(p.device.Precision())
	layout, kind := p.device.form.layout(), p.device.form.dataType()
	var errs [4]error
	d.x, errs[0] = cudnn.NewTensorDescriptor(layout, kind, []int{n, in.C, in.H, in.W}, nil)
	d.y, errs[1] = cudnn.NewTensorDescriptor(layout, kind, []int{n, out.C, out.H, out.W}, nil)
	d.w, errs[2] = cudnn.NewFilter(kind, layout, []int{out.C, in.C / groups, w.KernelH, w.KernelW})
	d.conv, errs[3] = cudnn.NewConvolution(math, groups, []int{w.Top, w.Left}, []int{w.StrideH, w.StrideW},
		[]int{w.DilationH, w.DilationW}, cudnn.CrossCorrelation, cudnn.Float)
	if err := dnn("describing a convolution", firstError(errs[:]...)); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if err := firstError(d.setMath(int(math)), d.setGroups(groups)); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// choose finds the algorithms of all directions that cuDNN computes, and keeps those that may be used.
func (c *dnnConvolution) choose(by Chooser, find func(direction) ([]algorithm, error)) error {
	c.chosen = by
	for dir := range c.ways {
		if !c.needs[dir] {
			continue
		}
		found, err := find(direction(dir))
		if err == nil {
			err = c.take(direction(dir), found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// candidates returns a function that finds a direction's algorithms. It measures them in the given memory. If that is
// nil, it asks cuDNN's heuristic.
func (c *dnnConvolution) candidates(with *operands) func(direction) ([]algorithm, error) {
	return func(dir direction) ([]algorithm, error) {
		// An algorithm's answer holds for the arithmetic that is allowed when it is given.
		if err := c.descriptors.setMath(int(mathOf(c.program.device.Precision()))); err != nil {
			return nil, err
		}
		find := func() ([]algorithm, error) {
			found, err := candidates(c.program.device.dnn, dir, c.descriptors, with)
			if c.program.device.Precision() == FP32 { // where cuDNN may name another for algorithms that know only one
				for i := range found {
					found[i].math = int(cudnn.FmaMath)
				}
			}
			return found, err
		}
		if with == nil {
			return find()
		}
		var found []algorithm
		for range measurings {
			again, err := find()
			if err != nil {
				return nil, err
			}
			found = fastest(found, again)
		}
		if c.own != nil {
			own, err := c.measureOwn(dir, with)
			if err != nil {
				return nil, err
			}
			found = fastest(found, own)
		}
		return found, nil
	}
}

// fastest returns algorithms, each once, with the least of their times in two measurements, the fastest first. It returns no
// more than mostAlgorithms.
func fastest(a, b []algorithm) []algorithm {
	for _, second := range b {
		i := slices.IndexFunc(a, second.same)
		if i < 0 {
			a = append(a, second)
		} else {
			a[i].milliseconds = min(a[i].milliseconds, second.milliseconds)
		}
	}
	slices.SortStableFunc(a, func(x, y algorithm) int { return cmp.Compare(x.milliseconds, y.milliseconds) })
	return a[:min(len(a), mostAlgorithms)]
}

// mathOf returns the arithmetic that convolutions may use in a precision.
func mathOf(p Precision) cudnn.MathType {
	return map[Precision]cudnn.MathType{FP32: cudnn.FmaMath, TF32: cudnn.DefaultMath, BF16: cudnn.TensorOpMath}[p]
}

// take keeps those of the algorithms found that may be used for a direction.
func (c *dnnConvolution) take(dir direction, found []algorithm) (err error) {
	o := c.program.device.options
	c.ways[dir] = nil
	for _, a := range found {
		if o.Deterministic && !a.deterministic {
			continue
		}
		// The workspace size is asked for again: the cache doesn't keep it.
		if a.id == tensorCores {
			a.workspace = c.ownWorkspace(dir)
		} else if err := c.descriptors.setMath(a.math); err != nil {
			return err
		} else if a.workspace, err = workspaceOf(c.program.device.dnn, dir, c.descriptors, a.id); err != nil {
			continue
		}
		if a.workspace > c.program.device.workspaceLimit() {
			continue
		}
		c.ways[dir] = append(c.ways[dir], a)
	}
	if len(c.ways[dir]) == 0 {
		return fmt.Errorf("cuDNN has no algorithm for %s's %v within a workspace of %s (%d refused)", c.layer, dir,
			megabytes(c.program.device.workspaceLimit()), len(found))
	}
	return nil
}

// reserve makes room for the workspace of the algorithm that is in use for a direction. If there is no room, it drops
// the algorithm and tries the next.
func (c *dnnConvolution) reserve(dir direction) error {
	for {
		err := c.program.reserveWorkspace(c.lanes[dir], c.ways[dir][0].workspace, fmt.Sprintf("the workspace of %s's %v", c.layer, dir))
		if len(c.ways[dir]) == 1 || !errors.Is(err, ErrOutOfMemory) {
			return err
		}
		c.drop(dir)
	}
}

// drop replaces a direction's algorithm in use by the next one.
func (c *dnnConvolution) drop(dir direction) {
	c.ways[dir] = c.ways[dir][1:]
	c.dropped[dir]++
}

// compute computes a direction's product with the algorithm in use. It writes the operand that is the result, or adds
// to it where adds is set. If the algorithm fails, compute drops it and tries the next, unless a graph is being
// captured.
func (c *dnnConvolution) compute(dir direction, o operands, adds bool) error {
	for {
		d := c.program.device
		o.workspace = c.program.workspaces[c.lanes[dir]]
		way := c.ways[dir][0]
		if way.id != tensorCores {
			if err := c.descriptors.setMath(way.math); err != nil {
				return err
			}
		}
		err := c.run(dir, way, o, adds)
		if err == nil || c.program.capturing || len(c.ways[dir]) == 1 || d.lost() != nil {
			return err
		}
		c.drop(dir)
		if err := c.reserve(dir); err != nil {
			return err
		}
	}
}

// run computes a direction's product with an algorithm, whose arithmetic has been set.
func (c *dnnConvolution) run(dir direction, way algorithm, o operands, adds bool) error {
	if way.id == tensorCores {
		return c.runOwn(dir, o, adds)
	}
	return product(c.program.device.dnn, dir, c.descriptors, o, way.id, adds)
}

// owns reports whether our kernels compute a direction.
func (c *dnnConvolution) owns(dir direction) bool { return c.ways[dir][0].id == tensorCores }

// ownsAll reports whether our kernels compute all directions.
func (c *dnnConvolution) ownsAll() bool {
	for dir, needed := range c.needs {
		if needed && !c.owns(direction(dir)) {
			return false
		}
	}
	return true
}

// settle decides for each direction whether cuDNN computes it or our kernels do, by the algorithm in use. What fails later
// is only replaced by algorithms that take the same operands.
func (c *dnnConvolution) settle() {
	for dir, ways := range c.ways {
		own := len(ways) > 0 && c.owns(direction(dir))
		c.ways[dir] = slices.DeleteFunc(ways, func(a algorithm) bool { return (a.id == tensorCores) != own })
	}
}

func (c *dnnConvolution) close() error { return c.descriptors.close() }

// tail says what a convolution or dense layer does to its products in one kernel afterwards.
type tail int

const (
	biasOnly     tail = iota // adds the bias; does nothing if there is none
	biasReLU                 // bias and ReLU
	biasReLUPool             // bias, ReLU and 2x2 max pooling
)

// convLayer is a convolution layer together with its tail, such as bias and ReLU.
type convLayer struct {
	link
	tail   tail
	chunk  uint32     // channels that a block of our fused kernels holds in shared memory; 0: not fused
	groups int        // the channels are divided into this many groups
	window net.Window // with symmetric padding
	padded net.Shape  // the input's shape as cuDNN sees it
	sizes  perBatch[*dnnConvolution]

	input     slot // the padded input, where padding is not symmetric
	inputGrad slot // its gradient
	products  slot // for biasReLUPool: the values before pooling
	gradient  slot // its gradient
	mask      slot // for biasReLUPool: where the maxima were
	sums      slot // the bias gradient of each part of several; if fused, the weight gradients first
}

func newConvLayer(l link, layer *net.Conv, t tail) *convLayer {
	c := &convLayer{link: l, tail: t, groups: layer.GroupCount(), window: l.node.Window, padded: l.in.shape}
	c.fuse()
	if w := &c.window; w.Top != w.Bottom || w.Left != w.Right {
		c.padded.H += w.Top + w.Bottom
		c.padded.W += w.Left + w.Right
		w.Top, w.Bottom, w.Left, w.Right = 0, 0, 0, 0
	}
	if weight := c.parameters[net.Weight]; l.program.device.form.Last {
		weight.lies = order{weight.Dims[0], weight.Dims[1], weight.Dims[2] * weight.Dims[3]}
		weight.narrow = l.program.device.form.Type == kernels.BF16 && c.needs()[backwardFilter]
	}
	return c
}

// needs reports which products cuDNN computes.
func (c *convLayer) needs() [directions]bool {
	return [directions]bool{forward: !c.fused(), backwardData: c.in.wanted, backwardFilter: !c.fused() && c.trained(net.Weight) != nil}
}

// besides reports whether the weight gradient is computed beside other work. It is if there is an input gradient to compute
// meanwhile.
func (c *convLayer) besides() bool {
	return c.needs()[backwardFilter] && c.needs()[backwardData] && !c.program.device.options.OneStream
}

// trains reports whether the weights or the biases are trained.
func (c *convLayer) trains() bool { return c.trained(net.Weight) != nil || c.trained(net.Bias) != nil }

// keepsGradient reports whether the gradient of the convolution's own output (before its tail) is in memory.
func (c *convLayer) keepsGradient() bool {
	return c.multiplies() || c.trains() && !c.fused() && c.tail != biasReLUPool
}

// multiplies reports whether that gradient is a factor of a product that cuDNN computes.
func (c *convLayer) multiplies() bool { return c.needs()[backwardData] || c.needs()[backwardFilter] }

// pads reports whether our own kernel pads the input. It does so where padding isn't symmetric, because cuDNN pads
// both ends alike.
func (c *convLayer) pads() bool { return c.padded != c.in.shape }

// own describes the convolution of n samples for our kernels for tensor cores. It is nil if they can't, or may not, compute
// it.
func (c *convLayer) own(n int) *kernels.Convolving {
	return c.program.device.ownConvolving(c.in.shape, c.produced(), c.node.Window, c.groups, n)
}

// produced returns the shape of the convolution's own output, before its tail.
func (c *convLayer) produced() net.Shape {
	return net.Shape{C: c.node.Out.C, H: c.window.OutH, W: c.window.OutW}
}

func (c *convLayer) claim(first, last int) (need claim) {
	batch, kind := int64(c.program.options.Batch), c.program.device.form.Type
	own := func(s *slot, of slot) {
		*s = of
		need.own = append(need.own, s)
	}
	filtered := first // how long the input must be kept
	if c.trained(net.Weight) != nil || c.fused() && c.trains() {
		filtered = last
	}
	// cuDNN takes the input padded. Our kernels take it as it is, and which of them do is decided later.
	pads := c.pads() && !c.fused()
	if pads {
		own(&c.input, newSlot(kind, batch*int64(c.padded.Size()), first, filtered))
	}
	if filtered == last && (!pads || c.own(int(batch)) != nil) {
		need.reads = append(need.reads, c.in.value)
	}
	if c.tail == biasReLU {
		need.reads = append(need.reads, c.out.value)
	}
	if c.pads() && c.in.wanted {
		own(&c.inputGrad, newSlot(kind, batch*int64(c.padded.Size()), last, last))
	}
	made := batch * int64(c.produced().Size())
	if c.tail == biasReLUPool {
		pooled := batch * int64(c.out.shape.Size())
		own(&c.mask, slot{value: value{bytes: pooled, first: first, last: last}, count: pooled})
		if !c.fused() {
			own(&c.products, newSlot(kind, made, first, first))
		}
		if c.keepsGradient() {
			own(&c.gradient, newSlot(kind, made, last, last))
		}
	}
	if parts, sums := c.partialSums(int(batch)); sums > 0 {
		own(&c.sums, newFloats(int64(parts)*int64(sums), last, last))
	}
	if c.besides() {
		dy := c.out.grad
		if c.tail == biasReLUPool {
			dy = &c.gradient
		}
		need.beside = append(need.beside, c.in.value, dy)
		if pads {
			need.beside = append(need.beside, &c.input)
		}
	}
	return need
}

// partialSums returns into how many parts the gradients of n samples are divided, and how many sums each part has in
// c.sums. sums is 0 where the kernels write the gradients directly.
func (c *convLayer) partialSums(n int) (parts, sums int) {
	weight, bias := c.parameters[net.Weight], c.parameters[net.Bias]
	switch {
	case c.fused() && c.trains():
		if parts = int(c.parts(n)); parts > 1 || !weight.Trained || !bias.Trained {
			sums = weight.Size() + bias.Size()
		}
	case !c.fused() && c.trained(net.Bias) != nil:
		parts = int(c.biasGradientParts(n, c.produced()))
		if c.tail == biasReLUPool {
			parts = int(c.pooledParts(n))
		}
		if parts > 1 {
			sums = bias.Size()
		}
	}
	return parts, sums
}

// at returns the convolution for a mini-batch of n samples.
func (c *convLayer) at(n int) (*dnnConvolution, error) {
	return c.sizes.at(c.program, n, func(n int) (*dnnConvolution, error) {
		made, err := c.make(n)
		if err != nil {
			return nil, err
		}
		for dir := range made.ways { // by now the memory for measuring has been given back
			if !made.needs[dir] {
				continue
			}
			if err := made.reserve(direction(dir)); err != nil {
				return nil, errors.Join(err, made.close())
			}
		}
		if c.pads() {
			made.settle()
		}
		return made, nil
	})
}

// make returns a new convolution with its algorithms.
func (c *convLayer) make(n int) (*dnnConvolution, error) {
	made, err := newDNNConvolution(c.program, c.node.Name, c.padded, c.produced(), c.window, c.groups, n)
	if err != nil {
		return nil, err
	}
	made.needs, made.own = c.needs(), c.own(n)
	if c.besides() {
		made.lanes[backwardFilter] = sideLane
	}
	if err := c.choose(made, n); err != nil {
		return nil, errors.Join(err, made.close())
	}
	return made, nil
}

// choose chooses the fastest algorithms. If they were measured before, it takes them from the cache; otherwise it
// measures them now. cuDNN's heuristic chooses if the options ask for that, or if there is too little memory for
// measuring.
func (c *convLayer) choose(made *dnnConvolution, n int) error {
	d := c.program.device
	if made.own != nil && d.options.OwnConvolutions == OwnAlways {
		return made.choose(Demanded, func(direction) ([]algorithm, error) { return []algorithm{{id: tensorCores, deterministic: true}}, nil })
	}
	if d.options.Heuristic || d.options.Deterministic {
		return made.choose(Heuristic, made.candidates(nil))
	}
	key := c.key(n)
	key.Own = made.own != nil
	if ways, ok := d.choices.load(key); ok {
		if made.choose(Cached, func(dir direction) ([]algorithm, error) { return kept(ways[dir]), nil }) == nil {
			return nil
		}
	}
	with, err := c.program.borrow(int64(n)*int64(c.padded.Size()), int64(c.parameters[net.Weight].Size()), int64(n)*int64(c.produced().Size()))
	if errors.Is(err, ErrOutOfMemory) {
		return made.choose(Heuristic, made.candidates(nil))
	}
	if err != nil {
		return err
	}
	var ways measuredWays
	find := made.candidates(with)
	err = made.choose(Measured, func(dir direction) ([]algorithm, error) {
		found, err := find(dir)
		ways[dir] = keep(found)
		return found, err
	})
	if err == nil && with.workspace.Bytes == d.workspaceLimit() { // else some may be missing
		d.choices.store(key, ways)
	}
	return errors.Join(err, with.giveBack(d.pool))
}

// key returns the cache key of the convolution on this device.
func (c *convLayer) key(n int) choiceKey {
	d, w := c.program.device, c.window
	return choiceKey{
		GPU: d.gpu.Name, ComputeCapability: fmt.Sprintf("%d.%d", d.gpu.Major, d.gpu.Minor), Multiprocessors: d.gpu.Multiprocessors,
		Memory: d.gpu.Memory, Driver: d.libraries.Driver.Version.String(), DNN: d.libraries.DNN.Version.String(),
		Precision: d.Precision(), ChannelsLast: d.form.Last, Workspace: d.workspaceLimit(), Batch: n, In: c.padded, Out: c.produced(), Groups: c.groups,
		Kernel: [2]int{w.KernelH, w.KernelW}, Stride: [2]int{w.StrideH, w.StrideW}, Dilation: [2]int{w.DilationH, w.DilationW},
		Padding: [2]int{w.Top, w.Left}, Products: c.needs(),
	}
}

func (c *convLayer) forward(p *pass) error {
	if c.fused() {
		return c.forwardFused(p.n)
	}
	conv, err := c.at(p.n)
	if err != nil {
		return err
	}
	x, y := c.in.value, c.out.value
	if c.pads() && !conv.ownsAll() {
		if err := c.pad(p.n); err != nil {
			return err
		}
	}
	if c.pads() && !conv.owns(forward) {
		x = &c.input
	}
	if c.tail == biasReLUPool {
		y = &c.products
	}
	bias, shape := c.parameters[net.Bias], c.produced()
	o := operands{x: x.Buffer, w: c.parameters[net.Weight].factor, y: y.Buffer, tail: c.tail}
	if bias != nil {
		o.bias = bias.value
	}
	if c.tail == biasReLUPool {
		o.pooled, o.mask, o.pooledH, o.pooledW = c.out.value.Buffer, c.mask.Buffer, c.out.shape.H, c.out.shape.W
	}
	if err := conv.compute(forward, o, false); err != nil {
		return err
	}
	switch {
	case conv.owns(forward):
		return nil // with all of that
	case c.tail == biasReLUPool:
		return c.launch(kernels.BiasReLUPool{
			Y: c.out.value.values(), Mask: kernels.Pointer[uint8](c.mask.Address), X: y.values(), Bias: floats(bias.value),
			Batch: uint32(p.n), Channels: uint32(shape.C), H: uint32(shape.H), W: uint32(shape.W),
			OutH: uint32(c.out.shape.H), OutW: uint32(c.out.shape.W), Last: c.last(),
		})
	case bias != nil:
		return c.addBias(bias, y, p.n, shape, c.tail == biasReLU)
	}
	return nil
}

// addBias adds a bias to y (n, shape), and computes the ReLU of that if it is asked for.
func (l *link) addBias(bias *parameter, y *slot, n int, shape net.Shape, relu bool) error {
	_, extent := l.program.device.form.rows(n, shape)
	count, channels := uint32(n*shape.Size()), uint32(shape.C)
	if relu {
		return l.launch(kernels.BiasReLU{X: y.values(), Bias: floats(bias.value), Count: count, Channels: channels, Extent: extent})
	}
	return l.launch(kernels.BiasAdd{X: y.values(), Bias: floats(bias.value), Count: count, Channels: channels, Extent: extent})
}

func (c *convLayer) backward(p *pass) error {
	if c.fused() && c.trains() {
		if err := c.gradientsFused(p.n); err != nil {
			return err
		}
	}
	if !c.multiplies() && (c.fused() || !c.trains()) {
		return nil
	}
	dy := c.out.grad
	if c.tail == biasReLUPool {
		dy = &c.gradient
	}
	if err := c.tailGradients(p.n, dy); err != nil || !c.multiplies() {
		return err
	}
	conv, err := c.at(p.n)
	if err != nil {
		return err
	}
	if c.needs()[backwardFilter] {
		x := c.in.value
		if c.pads() && !conv.owns(backwardFilter) {
			x = &c.input
		}
		product := func() error {
			return conv.compute(backwardFilter, operands{x: x.Buffer, w: c.parameters[net.Weight].grad, y: dy.Buffer}, false)
		}
		if c.besides() {
			err = c.program.aside(p, sideLane, c.group, product)
		} else {
			err = product()
		}
		if err != nil {
			return err
		}
	}
	if !c.in.wanted {
		return nil
	}
	return c.inputGradient(conv, p.n, dy)
}

// tailGradients computes the gradient of the convolution's own output, and the bias gradient. The first goes to dy, where
// the gradient of the group's output is, except with pooling.
func (c *convLayer) tailGradients(n int, dy *slot) error {
	bias := c.trained(net.Bias)
	if c.tail != biasReLUPool {
		return c.biasGradient(bias, c.tail == biasReLU, dy, n, c.produced(), c.sums.Buffer)
	}
	if c.fused() {
		bias = nil
	}
	from, made, out := c.out.grad, c.produced(), c.out.shape
	mask := kernels.Pointer[uint8](c.mask.Address)
	batch, extent := c.program.device.form.rows(n, out)
	parts := c.pooledParts(n)
	var db kernels.Pointer[float32]
	switch {
	case bias == nil:
	case parts > 1:
		db = floats(c.sums.Buffer)
	default:
		db = floats(bias.grad)
	}
	var err error
	if bias != nil && c.multiplies() && c.program.device.form.Last && out.H == (made.H+1)/2 && out.W == (made.W+1)/2 {
		err = c.launch(kernels.BiasReLUPoolGradients{Db: db, Dx: dy.values(), Dy: from.values(), Mask: mask, Batch: uint32(n),
			Channels: uint32(made.C), H: uint32(made.H), W: uint32(made.W), OutH: uint32(out.H), OutW: uint32(out.W), Parts: parts})
	} else {
		if bias != nil {
			err = c.launch(kernels.BiasReLUPoolGradient{Db: db, Dy: from.values(), Mask: mask, Batch: batch, Channels: uint32(out.C), Extent: extent,
				Parts: parts})
		}
		if err == nil && c.multiplies() {
			err = c.launch(kernels.BiasReLUPoolBackward{Dx: dy.values(), Dy: from.values(), Mask: mask, Batch: uint32(n),
				Channels: uint32(made.C), H: uint32(made.H), W: uint32(made.W), OutH: uint32(out.H), OutW: uint32(out.W), Last: c.last()})
		}
	}
	if err != nil || bias == nil || parts == 1 {
		return err
	}
	return c.addParts(bias, c.sums.Buffer, parts)
}

// pooledParts returns into how many parts the bias gradient of n samples is divided if it is computed from the gradient
// behind pooling.
func (c *convLayer) pooledParts(n int) uint32 { return c.biasGradientParts(n, c.out.shape) }

// addParts adds the rows of sums that the parts of a parameter's gradient are.
func (l *link) addParts(q *parameter, sums Buffer, parts uint32) error {
	return l.launch(kernels.ColumnSums{Db: optional(q.grad), Dy: float32s(sums), Batch: parts, Channels: uint32(q.Size()), Split: uint32(q.Size())})
}

// inputGradient computes the input gradient: the product, and the padding's reverse. The last of them adds to the gradient
// that other uses of the input have left.
func (c *convLayer) inputGradient(conv *dnnConvolution, n int, dy *slot) error {
	factor := c.parameters[net.Weight].factor
	if !c.pads() || conv.owns(backwardData) {
		return conv.compute(backwardData, operands{x: c.in.grad.Buffer, w: factor, y: dy.Buffer}, c.in.adds)
	}
	if err := conv.compute(backwardData, operands{x: c.inputGrad.Buffer, w: factor, y: dy.Buffer}, false); err != nil {
		return err
	}
	w := c.node.Window
	planes, channels := c.program.device.form.planes(n, c.in.shape)
	return c.launch(kernels.Crop{X: c.in.grad.values(), Xp: c.inputGrad.values(), Planes: planes, Channels: channels,
		H: int32(c.in.shape.H), W: int32(c.in.shape.W), Ph: int32(c.padded.H), Pw: int32(c.padded.W), Top: int32(w.Top), Left: int32(w.Left),
		Add: c.in.add()})
}

func (c *convLayer) pad(n int) error {
	w := c.node.Window
	planes, channels := c.program.device.form.planes(n, c.in.shape)
	return c.launch(kernels.Pad{Xp: c.input.values(), X: c.in.value.values(), Planes: planes, Channels: channels,
		H: int32(c.in.shape.H), W: int32(c.in.shape.W), Ph: int32(c.padded.H), Pw: int32(c.padded.W), Top: int32(w.Top), Left: int32(w.Left)})
}

// biasGradientParts returns into how many parts the bias gradient of n samples is divided.
func (l *link) biasGradientParts(n int, shape net.Shape) uint32 {
	return l.program.device.form.Parts(n, shape)
}

// biasGradient sums dy (n, shape) over everything except channels, after it has taken the ReLU's gradient of dy if there is
// a ReLU. A nil bias has no gradient. Where there are several parts, sums holds the channel sums of each part.
func (l *link) biasGradient(bias *parameter, relu bool, dy *slot, n int, shape net.Shape, sums Buffer) error {
	if bias == nil {
		if !relu {
			return nil
		}
		return l.launch(kernels.ReLUBackward{Dx: dy.values(), Dy: dy.values(), Y: l.out.value.values(), Count: l.out.count(n)})
	}
	batch, extent := l.program.device.form.rows(n, shape)
	parts, db := l.biasGradientParts(n, shape), floats(bias.grad)
	if parts > 1 {
		db = floats(sums)
	}
	var k kernels.Launcher = kernels.BiasGradient{Db: db, Dy: dy.values(), Batch: batch, Channels: uint32(shape.C), Extent: extent, Parts: parts}
	if relu {
		k = kernels.BiasReLUGradient{Db: db, Dx: dy.values(), Dy: dy.values(), Y: l.out.value.values(), Batch: batch, Channels: uint32(shape.C),
			Extent: extent, Parts: parts}
	}
	if err := l.launch(k); err != nil || parts == 1 {
		return err
	}
	return l.addParts(bias, sums, parts)
}

func (c *convLayer) close() error { return c.sizes.close() }

//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"fmt"

	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// convolution is a cuDNN convolution for one shape and one size of mini-batch: its descriptors, and for each of its three
// products the algorithms that can compute it.
type convolution struct {
	program     *program
	layer       string // its name
	descriptors descriptors
	ways        [3][]algorithm // by direction, the one in use first
}

// newConvolution describes a convolution of x (n, in) with symmetric padding and chooses its algorithms: by measuring them
// with the given memory, or without any by cuDNN's heuristic.
func newConvolution(p *program, layer string, in, out net.Shape, w net.Window, n int, with *operands) (c *convolution, err error) {
	c = &convolution{program: p, layer: layer}
	d := &c.descriptors
	math := cudnn.MathType(cudnn.FmaMath)
	if p.device.tf32() {
		math = cudnn.DefaultMath
	}
	var errs [4]error
	d.x, errs[0] = cudnn.NewTensorDescriptor(cudnn.NCHW, cudnn.Float, []int{n, in.C, in.H, in.W}, nil)
	d.y, errs[1] = cudnn.NewTensorDescriptor(cudnn.NCHW, cudnn.Float, []int{n, out.C, out.H, out.W}, nil)
	d.w, errs[2] = cudnn.NewFilter(cudnn.Float, cudnn.NCHW, []int{out.C, in.C, w.KernelH, w.KernelW})
	d.conv, errs[3] = cudnn.NewConvolution(math, 1, []int{w.Top, w.Left}, []int{w.StrideH, w.StrideW},
		[]int{w.DilationH, w.DilationW}, cudnn.CrossCorrelation, cudnn.Float)
	if err := dnn("describing a convolution", firstError(errs[:]...)); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if err := d.setMath(math); err != nil {
		return nil, errors.Join(err, c.close())
	}
	for dir := range c.ways {
		if err := c.choose(direction(dir), with); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

// choose finds the algorithms of a direction.
func (c *convolution) choose(dir direction, with *operands) error {
	o := c.program.device.options
	found, err := candidates(c.program.device.dnn, dir, c.descriptors, with)
	if err != nil {
		return err
	}
	for _, a := range found {
		if o.Deterministic && !a.deterministic {
			continue
		}
		// The size is asked for again: what a query answers holds for the arithmetic that it chose.
		a.workspace, err = workspaceOf(c.program.device.dnn, dir, c.descriptors, a.id)
		if err != nil || a.workspace > c.program.device.workspaceLimit() {
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

// reserve makes room for the workspace of a direction's algorithm in use, or of the first for which there is room.
func (c *convolution) reserve(dir direction) error {
	for {
		err := c.program.reserveWorkspace(c.ways[dir][0].workspace, fmt.Sprintf("the workspace of %s's %v", c.layer, dir))
		if len(c.ways[dir]) == 1 || !errors.Is(err, ErrOutOfMemory) {
			return err
		}
		c.ways[dir] = c.ways[dir][1:]
	}
}

// try runs the algorithm in use; one that fails is dropped for the next, unless a graph is being captured.
func (c *convolution) try(dir direction, op string, run func(id int, workspace Buffer) error) error {
	for {
		a := c.ways[dir][0]
		err := dnn(op, run(a.id, c.program.workspace))
		if err == nil || c.program.capturing || len(c.ways[dir]) == 1 {
			return err
		}
		if c.program.device.lost() != nil {
			return err
		}
		c.ways[dir] = c.ways[dir][1:]
		if err := c.reserve(dir); err != nil {
			return err
		}
	}
}

func (c *convolution) forward(x, w, y Buffer) error {
	d := c.descriptors
	return c.try(forward, "cudnnConvolutionForward", func(id int, workspace Buffer) error {
		return c.program.device.dnn.ConvolutionForward(1, d.x, x, d.w, w, d.conv, cudnn.ConvolutionFwdAlgo(id), workspace,
			uintptr(workspace.Bytes), 0, d.y, y)
	})
}

func (c *convolution) backwardData(w, dy, dx Buffer) error {
	d := c.descriptors
	return c.try(backwardData, "cudnnConvolutionBackwardData", func(id int, workspace Buffer) error {
		return c.program.device.dnn.ConvolutionBackwardData(1, d.w, w, d.y, dy, d.conv, cudnn.ConvolutionBwdDataAlgo(id),
			workspace, uintptr(workspace.Bytes), 0, d.x, dx)
	})
}

func (c *convolution) backwardFilter(x, dy, dw Buffer) error {
	d := c.descriptors
	return c.try(backwardFilter, "cudnnConvolutionBackwardFilter", func(id int, workspace Buffer) error {
		return c.program.device.dnn.ConvolutionBackwardFilter(1, d.x, x, d.y, dy, d.conv, cudnn.ConvolutionBwdFilterAlgo(id),
			workspace, uintptr(workspace.Bytes), 0, d.w, dw)
	})
}

func (c *convolution) close() error { return c.descriptors.close() }

// tail says what a convolution or dense layer does to its products in one kernel.
type tail int

const (
	biasOnly     tail = iota // or nothing, without a bias
	biasReLU                 // the ReLU after it
	biasReLUPool             // the ReLU and the 2x2 max pooling after it
)

// convolve is a convolution layer with its tail.
type convolve struct {
	link
	tail   tail
	window net.Window // with symmetric padding
	padded net.Shape  // of the input as cuDNN sees it
	sizes  perBatch[*convolution]

	input     slot // the padded input, where padding is not symmetric
	inputGrad slot // its gradient
	products  slot // of biasReLUPool: what is pooled
	gradient  slot // its gradient
	mask      slot // of biasReLUPool: where the maxima were
}

func newConvolve(l link, t tail) *convolve {
	c := &convolve{link: l, tail: t, window: l.layer.Window, padded: l.in.shape}
	if w := &c.window; w.Top != w.Bottom || w.Left != w.Right {
		c.padded.H += w.Top + w.Bottom
		c.padded.W += w.Left + w.Right
		w.Top, w.Bottom, w.Left, w.Right = 0, 0, 0, 0
	}
	return c
}

// pads reports whether the input is padded by a kernel of ours, because cuDNN pads both ends alike.
func (c *convolve) pads() bool { return c.padded != c.in.shape }

// produced is the shape of what the convolution itself computes.
func (c *convolve) produced() net.Shape {
	return net.Shape{C: c.layer.Out.C, H: c.window.OutH, W: c.window.OutW}
}

func (c *convolve) claim(first, last int) claim {
	batch := int64(c.program.options.Batch)
	need := claim{input: true, output: c.tail == biasReLU}
	if c.pads() {
		c.input = newSlot(batch*int64(c.padded.Size()), first, last)
		c.inputGrad = newSlot(batch*int64(c.padded.Size()), last, last)
		need.own = append(need.own, &c.input, &c.inputGrad)
		need.input = false
	}
	if c.tail == biasReLUPool {
		count := batch * int64(c.produced().Size())
		c.products, c.gradient = newSlot(count, first, first), newSlot(count, last, last)
		c.mask = slot{value: value{bytes: batch * int64(c.out.shape.Size()), first: first, last: last}}
		need.own = append(need.own, &c.products, &c.gradient, &c.mask)
	}
	return need
}

// at returns the convolution for a size of mini-batch.
func (c *convolve) at(n int) (*convolution, error) {
	return c.sizes.at(c.program, n, func(n int) (*convolution, error) {
		made, err := c.chosen(n)
		if err != nil {
			return nil, err
		}
		for dir := range made.ways { // now that the memory for measuring has been given back
			if err := made.reserve(direction(dir)); err != nil {
				return nil, errors.Join(err, made.close())
			}
		}
		return made, nil
	})
}

// chosen returns a new convolution whose algorithms have been measured, if they should be and there is room for it.
func (c *convolve) chosen(n int) (*convolution, error) {
	var with *operands
	if o := c.program.device.options; !o.Heuristic && !o.Deterministic {
		var err error
		weights := int64(c.layer.Params[0].Size())
		with, err = c.program.borrow(int64(n)*int64(c.padded.Size()), weights, int64(n)*int64(c.produced().Size()))
		if err != nil && !errors.Is(err, ErrOutOfMemory) {
			return nil, err
		}
	}
	made, err := newConvolution(c.program, c.layer.Name, c.padded, c.produced(), c.window, n, with)
	if with == nil {
		return made, err
	}
	if e := with.giveBack(c.program.device.pool); e != nil && err == nil {
		return nil, errors.Join(e, made.close())
	}
	return made, err
}

func (c *convolve) forward(p *pass) error {
	conv, err := c.at(p.n)
	if err != nil {
		return err
	}
	x, y := c.in.value.Buffer, c.out.value.Buffer
	if c.pads() {
		if err := c.pad(p.n); err != nil {
			return err
		}
		x = c.input.Buffer
	}
	if c.tail == biasReLUPool {
		y = c.products.Buffer
	}
	if err := conv.forward(x, c.parameters[net.Weight].value, y); err != nil {
		return err
	}
	bias := c.parameters[net.Bias]
	shape := c.produced()
	switch {
	case c.tail == biasReLUPool:
		return c.launch(kernels.BiasReLUPool{
			Y: floats(c.out.value.Buffer), Mask: kernels.Pointer[uint8](c.mask.Address), X: floats(y), Bias: floats(bias.value),
			Planes: uint32(p.n * shape.C), Channels: uint32(shape.C), H: uint32(shape.H), W: uint32(shape.W),
			OutH: uint32(c.out.shape.H), OutW: uint32(c.out.shape.W),
		})
	case c.tail == biasReLU:
		return c.launch(kernels.BiasReLU{X: floats(y), Bias: floats(bias.value), Count: uint32(c.out.count(p.n)),
			Channels: uint32(shape.C), Extent: extent(shape)})
	case bias != nil:
		return c.launch(kernels.BiasAdd{Y: floats(y), Bias: floats(bias.value), N: uint64(p.n), C: uint32(shape.C), I: extent(shape)})
	}
	return nil
}

func (c *convolve) backward(p *pass, wanted bool) error {
	conv, err := c.at(p.n)
	if err != nil {
		return err
	}
	shape := c.produced()
	dy := c.out.grad.Buffer
	switch c.tail {
	case biasReLUPool:
		err = c.launch(kernels.BiasReLUPoolBackward{
			Dx: floats(c.gradient.Buffer), Dy: floats(dy), Mask: kernels.Pointer[uint8](c.mask.Address),
			Planes: uint32(p.n * shape.C), H: uint32(shape.H), W: uint32(shape.W),
			OutH: uint32(c.out.shape.H), OutW: uint32(c.out.shape.W),
		})
		dy = c.gradient.Buffer
	case biasReLU:
		err = c.launch(kernels.ReLUBackward{Dx: floats(dy), Dy: floats(dy), Y: floats(c.out.value.Buffer), Count: c.out.count(p.n)})
	}
	if err != nil {
		return err
	}
	if bias := c.parameters[net.Bias]; bias != nil {
		if err := c.biasGradient(bias, dy, p.n, shape); err != nil {
			return err
		}
	}
	x, dx := c.in.value.Buffer, c.in.grad.Buffer
	if c.pads() {
		x, dx = c.input.Buffer, c.inputGrad.Buffer
	}
	weight := c.parameters[net.Weight]
	if err := conv.backwardFilter(x, dy, weight.grad); err != nil || !wanted {
		return err
	}
	if err := conv.backwardData(weight.value, dy, dx); err != nil || !c.pads() {
		return err
	}
	w := c.layer.Window
	return c.launch(kernels.Crop{X: floats(c.in.grad.Buffer), Xp: floats(dx), Planes: uint32(p.n * c.in.shape.C),
		H: int32(c.in.shape.H), W: int32(c.in.shape.W), Ph: int32(c.padded.H), Pw: int32(c.padded.W), Top: int32(w.Top), Left: int32(w.Left)})
}

func (c *convolve) pad(n int) error {
	w := c.layer.Window
	return c.launch(kernels.Pad{Xp: floats(c.input.Buffer), X: floats(c.in.value.Buffer), Planes: uint32(n * c.in.shape.C),
		H: int32(c.in.shape.H), W: int32(c.in.shape.W), Ph: int32(c.padded.H), Pw: int32(c.padded.W), Top: int32(w.Top), Left: int32(w.Left)})
}

// biasGradient sums dy (n, shape) over everything but channels.
func (l *link) biasGradient(bias *parameter, dy Buffer, n int, shape net.Shape) error {
	if e := extent(shape); e > 1 {
		return l.launch(kernels.BiasGradient{Db: floats(bias.grad), Dy: floats(dy), Batch: uint32(n), Channels: uint32(shape.C), Extent: e})
	}
	return l.launch(kernels.ColumnSums{Db: floats(bias.grad), Dy: floats(dy), Batch: uint32(n), Channels: uint32(shape.C)})
}

func (c *convolve) close() error { return c.sizes.close() }

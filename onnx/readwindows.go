package onnx

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gputrain/gputrain/net"
)

// The functions of this file read operators that slide a window over images, or take some of their channels or pixels.

// pair returns two sizes of at least 1.
func pair(list []int, ok bool) (net.Pair, error) {
	switch {
	case !ok:
		return net.Pair{}, nil
	case len(list) != 2 || list[0] < 1 || list[1] < 1:
		return net.Pair{}, fmt.Errorf("%v where two sizes are wanted", list)
	}
	if list[0] == 1 && list[1] == 1 {
		return net.Pair{}, nil // the default
	}
	return net.Pair{H: list[0], W: list[1]}, nil
}

func or1(p net.Pair) net.Pair {
	if p == (net.Pair{}) {
		return net.Square(1)
	}
	return p
}

// window reads the attributes of a sliding window over v.
func (r *reader) window(n *nodeProto, v *view, kernel net.Pair) (stride, dilation net.Pair, padding net.Padding, err error) {
	list, ok, err := r.integers(n, "strides", -1)
	if err == nil {
		stride, err = pair(list, ok)
	}
	if err == nil {
		if list, ok, err = r.integers(n, "dilations", -1); err == nil {
			dilation, err = pair(list, ok)
		}
	}
	if err != nil {
		return
	}
	pads, ok, err := r.integers(n, "pads", -1) // top, left, bottom, right
	if err != nil {
		return
	}
	if !ok {
		pads = make([]int, 4)
	}
	if len(pads) != 4 || slices.Min(pads) < 0 {
		err = fmt.Errorf("pads %v: want four numbers of rows and columns", pads)
		return
	}
	mode := "NOTSET"
	if a := n.attributes["auto_pad"]; a != nil && a.text != "" {
		mode = a.text
	}
	switch mode {
	case "NOTSET":
	case "VALID":
		pads = make([]int, 4)
	case "SAME_UPPER", "SAME_LOWER":
		if mode == "SAME_UPPER" {
			return stride, dilation, net.PadSame, nil
		}
		for axis, in := range []int{v.base.H, v.base.W} {
			k, s, d := []int{kernel.H, kernel.W}[axis], []int{or1(stride).H, or1(stride).W}[axis], []int{or1(dilation).H, or1(dilation).W}[axis]
			total := max(((in+s-1)/s-1)*s+(k-1)*d+1-in, 0)
			pads[axis], pads[axis+2] = total-total/2, total/2
		}
	default:
		err = fmt.Errorf("auto_pad %q", mode)
		return
	}
	if n.integer("ceil_mode", 0) != 0 { // windows that begin inside, but end outside
		for axis, in := range []int{v.base.H, v.base.W} {
			k, s, d := []int{kernel.H, kernel.W}[axis], []int{or1(stride).H, or1(stride).W}[axis], []int{or1(dilation).H, or1(dilation).W}[axis]
			in += v.pad[2*axis] + v.pad[2*axis+1] // what a Pad before it has made of the image
			whole, extent := in+pads[axis]+pads[axis+2], (k-1)*d+1
			if whole < extent {
				continue // the layer's plan tells
			}
			out := (whole-extent+s-1)/s + 1
			if (out-1)*s >= in+pads[axis] {
				out--
			}
			pads[axis+2] += max((out-1)*s+extent-whole, 0)
		}
	}
	top, left, bottom, right := pads[0]+v.pad[0], pads[1]+v.pad[2], pads[2]+v.pad[1], pads[3]+v.pad[3]
	if top|left|bottom|right != 0 {
		padding = net.Pad(top, bottom, left, right)
	}
	return stride, dilation, padding, nil
}

func (r *reader) conv(n *nodeProto) error {
	v := r.values[n.inputs[0]]
	if v == nil || v.soft {
		return errors.New("its input is a constant, or comes after a softmax")
	}
	if a := n.attributes["auto_pad"]; a != nil && strings.HasPrefix(a.text, "SAME") {
		var err error
		if v, err = r.bordered(n, v); err != nil {
			return err
		}
	}
	perm, err := v.image()
	if err != nil {
		return err
	}
	w, err := r.weights(n, 1, "weights", 4)
	if err != nil {
		return err
	}
	groups := n.integer("group", 1)
	filters, channels, kernel := w.dims[0], w.dims[1], net.Pair{H: w.dims[2], W: w.dims[3]}
	if groups < 1 || groups > mostValues || filters < 1 || kernel.H < 1 || kernel.W < 1 || channels*int(groups) != v.base.C {
		return fmt.Errorf("weights of %v in %d groups for an image of %d channels", w.dims, groups, v.base.C)
	}
	if shape, ok, err := r.integers(n, "kernel_shape", -1); err != nil || ok && !slices.Equal(shape, w.dims[2:]) {
		return fmt.Errorf("kernel_shape %v with weights of %v", shape, w.dims)
	}
	l := &net.Conv{Filters: filters, Kernel: kernel}
	if groups > 1 {
		l.Groups = int(groups)
	}
	if l.Stride, l.Dilation, l.Padding, err = r.window(n, v, kernel); err != nil {
		return err
	}
	params := map[net.Role][]float32{net.Weight: w.floats}
	if perm != nil && groups > 1 {
		if v, err = r.ordered(n, v, perm); err != nil {
			return err
		}
		perm = nil
	}
	if perm != nil {
		area := kernel.H * kernel.W
		moved := make([]float32, len(w.floats))
		for k := range filters {
			for c, p := range perm {
				copy(moved[(k*channels+p)*area:], w.floats[(k*channels+c)*area:][:area])
			}
		}
		params[net.Weight] = moved
	}
	if l.NoBias = !n.has(2); !l.NoBias {
		b, err := r.weights(n, 2, "biases", 1)
		if err != nil {
			return err
		}
		params[net.Bias] = b.floats
	}
	made, err := r.add(n, "", l, params, v)
	if err != nil {
		return err
	}
	r.give(n, r.laidOut(made, []int{0, made.plan.Out.H, made.plan.Out.W}, 0, nil))
	return nil
}

// upTo returns the numbers below n.
func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// ordered adds a layer that puts an image's channels into the order of perm, which may leave some of them out. It is a
// convolution of single pixels with a fixed weight of 1 for each channel.
func (r *reader) ordered(n *nodeProto, v *view, perm []int) (*view, error) {
	if len(perm) > 1<<14 || v.base.C > 1<<14 {
		return nil, fmt.Errorf("%d of %d channels in another order are too many", len(perm), v.base.C)
	}
	if err := r.make(len(perm) * v.base.C); err != nil {
		return nil, err
	}
	weights := make([]float32, len(perm)*v.base.C)
	for i, p := range perm {
		weights[i*v.base.C+p] = 1
	}
	l := &net.Conv{Filters: len(perm), Kernel: net.Square(1), NoBias: true, Frozen: net.Frozen{Always: true}}
	made, err := r.add(n, "channels", l, map[net.Role][]float32{net.Weight: weights}, v)
	if err != nil {
		return nil, err
	}
	made.fixed = true
	r.moved++
	return &view{of: made, base: made.plan.Out, dims: append([]int{len(perm)}, v.dims[1:]...), pad: v.pad}, nil
}

// split reads a node that takes neighbouring channels apart.
func (r *reader) split(n *nodeProto) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	axis := int(n.integer("axis", 0))
	if axis < 0 {
		axis += len(v.dims) + 1
	}
	perm, ok := v.channels(axis - 1)
	if !ok || axis != 1 {
		return fmt.Errorf("along axis %d of a value of dimensions %v is not read: channels are, as the first axis behind the samples'", axis, v.dims)
	}
	sizes, given, err := r.integers(n, "split", 1)
	if err != nil {
		return err
	}
	if !given {
		each := (v.base.C + len(n.outputs) - 1) / len(n.outputs) // the last one has what is left
		for left := v.base.C; left > 0; left -= each {
			sizes = append(sizes, min(each, left))
		}
	}
	sum := 0
	for _, size := range sizes {
		if size < 1 || size > v.base.C {
			return fmt.Errorf("%d channels in parts of %v", v.base.C, sizes)
		}
		sum += size
	}
	if len(sizes) != len(n.outputs) || sum != v.base.C {
		return fmt.Errorf("%d channels in %d parts of %v", v.base.C, len(n.outputs), sizes)
	}
	if perm == nil {
		perm = upTo(v.base.C)
	}
	for i, size := range sizes {
		part, err := r.ordered(n, v, perm[:size])
		if err != nil {
			return err
		}
		perm = perm[size:]
		if n.outputs[i] != "" {
			r.values[n.outputs[i]] = part
		}
	}
	return nil
}

// bordered adds a layer that puts the zeros around an image that a view is to have, if any. It is a convolution of each channel by
// itself with one fixed weight of 1.
func (r *reader) bordered(n *nodeProto, v *view) (*view, error) {
	if v.pad == [4]int{} || v.soft {
		return v, nil
	}
	axis, perm, ok := v.channelAxis()
	if !ok {
		return nil, fmt.Errorf("zeros around a value of dimensions %v are not read", v.dims)
	}
	// A window's padding is less than its kernel. So the kernel has all rows of zeros and one more, and as much padding on both
	// sides; the weight's place decides how much of it is before the image.
	rows, columns := v.pad[0]+v.pad[1], v.pad[2]+v.pad[3]
	if most := 2 * max(v.base.H, v.base.W); rows > most || columns > most {
		return nil, fmt.Errorf("%d rows and %d columns of zeros around an image of %d x %d are too many", rows, columns, v.base.H, v.base.W)
	}
	l := &net.Conv{Filters: v.base.C, Kernel: net.Pair{H: rows + 1, W: columns + 1}, Groups: v.base.C, Padding: net.Pad(rows, rows, columns, columns), NoBias: true, Frozen: net.Frozen{Always: true}}
	plan, err := net.PlanLayer(l, v.base)
	if err != nil {
		return nil, err
	}
	if err := r.make(plan.Params[0].Size()); err != nil {
		return nil, err
	}
	weights := make([]float32, plan.Params[0].Size())
	for c := range v.base.C {
		weights[(c*l.Kernel.H+v.pad[1])*l.Kernel.W+v.pad[3]] = 1
	}
	made, err := r.add(n, "pad", l, map[net.Role][]float32{net.Weight: weights}, v)
	if err != nil {
		return nil, err
	}
	made.fixed, made.positive = true, v.of != nil && v.of.positive
	dims := []int{0, made.plan.Out.H, made.plan.Out.W}
	if axis > 0 {
		dims = []int{made.plan.Out.H, made.plan.Out.W, 0}
	}
	return r.laidOut(made, dims, axis, perm), nil
}

func (r *reader) pool(n *nodeProto) error {
	v := r.values[n.inputs[0]]
	if v == nil || v.soft {
		return errors.New("its input is a constant, or comes after a softmax")
	}
	// A window's padding doesn't count. Zeros do, where they may be the greatest value. In a mean they do, and other
	// padding may not.
	if n.op == "MaxPool" && (v.of == nil || !v.of.positive) || n.op == "AveragePool" && (r.padded(n) || n.integer("ceil_mode", 0) != 0) {
		var err error
		if v, err = r.bordered(n, v); err != nil {
			return err
		}
	}
	perm, err := v.image()
	if err != nil {
		return err
	}
	list, ok, err := r.integers(n, "kernel_shape", -1)
	if err != nil || !ok || len(list) != 2 || slices.Min(list) < 1 {
		return fmt.Errorf("kernel_shape %v: want two sizes", list)
	}
	if len(n.outputs) > 1 && n.outputs[1] != "" && r.uses[n.outputs[1]] > 0 {
		return errors.New("the places of the greatest values are used")
	}
	l := &net.Pool{Kernel: net.Pair{H: list[0], W: list[1]}}
	stride, dilation, padding, err := r.window(n, v, l.Kernel)
	if err != nil {
		return err
	}
	if dilation != (net.Pair{}) {
		return errors.New("pooling with dilation is not read")
	}
	l.Stride, l.Padding = or1(stride), padding
	if l.Stride == l.Kernel {
		l.Stride = net.Pair{}
	}
	var params map[net.Role][]float32
	var made net.Layer = l
	switch n.op {
	case "MaxPool":
		if n.integer("storage_order", 0) != 0 {
			return errors.New("storage_order is not read")
		}
	case "AveragePool":
		l.Mode = net.MeanPool
		counted := n.integer("count_include_pad", 0) != 0
		switch {
		case padding == (net.Padding{}):
		case counted && n.integer("ceil_mode", 0) != 0:
			return errors.New("ceil_mode with padding that counts is not read")
		case counted, v.pad != [4]int{}:
			// A mean over padding, too, is a convolution of each channel by itself.
			made = &net.Conv{Filters: v.base.C, Kernel: l.Kernel, Stride: stride, Padding: padding, Groups: v.base.C, NoBias: true, Frozen: net.Frozen{Always: true}}
			if plan, err := net.PlanLayer(made, v.base); err != nil {
				return err
			} else if err := r.make(plan.Params[0].Size()); err != nil {
				return err
			}
			values := make([]float32, v.base.C*l.Kernel.H*l.Kernel.W)
			for i := range values {
				values[i] = 1 / float32(l.Kernel.H*l.Kernel.W)
			}
			params = map[net.Role][]float32{net.Weight: values}
		}
	case "LpPool":
		if l.Mode = net.L2Pool; n.integer("p", 2) != 2 {
			return errors.New("gputrain has no pooling by other norms than L2")
		}
	}
	added, err := r.add(n, "", made, params, v)
	if err != nil {
		return err
	}
	added.fixed = params != nil
	r.give(n, r.laidOut(added, []int{0, added.plan.Out.H, added.plan.Out.W}, 0, perm))
	return nil
}

// padded reports whether a node pads by itself.
func (r *reader) padded(n *nodeProto) bool {
	a, auto := n.attributes["pads"], n.attributes["auto_pad"]
	return a != nil && len(a.ints) > 0 && slices.Max(a.ints) > 0 || auto != nil && auto.text != "" && auto.text != "NOTSET" && auto.text != "VALID"
}

func (r *reader) globalPool(n *nodeProto) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	perm, err := v.image()
	if err != nil {
		return err
	}
	l := &net.Pool{Mode: net.MeanPool, Global: true}
	switch n.op {
	case "GlobalMaxPool":
		l.Mode = net.MaxPool
	case "GlobalLpPool":
		if l.Mode = net.L2Pool; n.integer("p", 2) != 2 {
			return errors.New("gputrain has no pooling by other norms than L2")
		}
	}
	made, err := r.add(n, "", l, nil, v)
	if err != nil {
		return err
	}
	r.give(n, r.laidOut(made, []int{0, 1, 1}, 0, perm))
	return nil
}

func (r *reader) reduce(n *nodeProto) error {
	axes, given, err := r.integers(n, "axes", 1)
	if err != nil {
		return err
	}
	given = given && len(axes) > 0 // an empty list means all, or with an attribute none
	if c := r.constants[n.inputs[0]]; c != nil {
		if n.op != "ReduceProd" || len(c.dims) != 1 || given && !slices.Equal(axes, []int{0}) {
			return errors.New("of a constant is not read")
		}
		list, err := c.list()
		if err != nil {
			return err
		}
		product := int64(1)
		for _, v := range list {
			if product *= int64(v); product > mostValues || product < -mostValues {
				return errors.New("a product of sizes is too large")
			}
		}
		out := &array{ints: []int64{product}}
		if n.integer("keepdims", 1) != 0 {
			out.dims = []int{1}
		}
		return r.giveConstant(n, out)
	}
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	if n.op == "ReduceProd" || !given {
		return errors.New("over all axes, or of a product, is not read")
	}
	over := map[int]bool{}
	for _, a := range axes {
		if a < 0 {
			a += len(v.dims) + 1
		}
		if a < 1 || a > len(v.dims) {
			return fmt.Errorf("over axis %d of a value of dimensions %v is not read", a, v.dims)
		}
		over[a-1] = true
	}
	axis := 0
	for over[axis] {
		axis++
	}
	perm, ok := v.channels(axis)
	if !ok || over[-1] || len(over) != len(v.dims)-1 || axis >= len(v.dims) {
		return fmt.Errorf("over the axes %v of a value of dimensions %v is not read: rows and columns are", axes, v.dims)
	}
	if len(v.dims) == 1 {
		r.pass(n, *v) // the mean of nothing but itself
		return nil
	}
	l := &net.Pool{Mode: net.MeanPool, Global: true}
	if n.op == "ReduceMax" {
		l.Mode = net.MaxPool
	}
	made, err := r.add(n, "", l, nil, v)
	if err != nil {
		return err
	}
	dims := []int{0}
	if n.integer("keepdims", 1) != 0 {
		dims = slices.Repeat([]int{1}, len(v.dims))
	} else {
		axis = 0
	}
	r.give(n, r.laidOut(made, dims, axis, perm))
	return nil
}

func (r *reader) padding(n *nodeProto) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	fill := n.float("value", 0)
	if n.has(2) {
		var ok bool
		if fill, ok = r.scalar(n.inputs[2]); !ok {
			return errors.New("its value is computed from the images")
		}
	}
	pads, given, err := r.integers(n, "pads", 1)
	if err != nil {
		return err
	}
	if n.has(3) {
		return errors.New("a list of axes is not read")
	}
	rank := len(v.dims) + 1
	if !given || len(pads) != 2*rank {
		return fmt.Errorf("pads %v for %d axes", pads, rank)
	}
	if slices.Max(pads) == 0 && slices.Min(pads) == 0 {
		r.pass(n, *v)
		return nil
	}
	if a := n.attributes["mode"]; a != nil && a.text != "constant" {
		return fmt.Errorf("padding by %q is not read: zeros are", a.text)
	}
	out := *v
	axis, _, ok := v.channelAxis()
	if !ok || len(v.dims) != 3 || fill != 0 || slices.Min(pads) < 0 {
		return fmt.Errorf("pads %v with %v of a value of dimensions %v are not read: zeros around an image are", pads, fill, v.dims)
	}
	rows := 1 // the first axis of pixels, behind the samples'
	if axis == 0 {
		rows = 2
	}
	for i, p := range pads {
		switch i % rank {
		case rows:
			out.pad[i/rank] = p
		case rows + 1:
			out.pad[2+i/rank] = p
		default:
			if p != 0 {
				return fmt.Errorf("pads %v are not read: zeros around an image are", pads)
			}
		}
	}
	r.pass(n, out)
	return nil
}

package onnx

import (
	"errors"
	"fmt"
	"slices"
)

// The functions of this file read operators that leave values as they are.

func (r *reader) flatten(n *nodeProto) error {
	v, err := r.shaped(n)
	if err != nil {
		return err
	}
	axis := n.integer("axis", 1)
	if axis < 0 {
		axis += int64(len(v.dims)) + 1
	}
	if axis != 1 {
		return fmt.Errorf("axis %d is not read: 1 is, which keeps the samples apart", axis)
	}
	return r.asDims(n, v, []int{v.base.Size()})
}

// shaped returns the input of a node that changes nothing but a tensor's dimensions. Such may follow a softmax.
func (r *reader) shaped(n *nodeProto) (*view, error) {
	v := r.values[n.inputs[0]]
	if v == nil {
		return nil, errors.New("of a constant is not read")
	}
	return r.bordered(n, v)
}

// asDims gives v other dimensions, whose product is the same.
func (r *reader) asDims(n *nodeProto, v *view, dims []int) error {
	soft := v.soft
	if len(dims) == 1 && len(v.dims) > 1 {
		var err error
		if v, err = r.vector(n, v); err != nil {
			return err
		}
	}
	r.pass(n, view{of: v.of, base: v.base, dims: dims, order: v.order, soft: soft, shared: v.shared})
	return nil
}

func (r *reader) reshape(n *nodeProto) error {
	to := r.constants[n.inputs[1]]
	if to == nil || to.ints == nil || len(to.dims) > 1 {
		return errors.New("its dimensions are computed from the images")
	}
	zeroIsZero := n.integer("allowzero", 0) != 0
	if c := r.constants[n.inputs[0]]; c != nil {
		out, err := c.reshaped(to.ints, zeroIsZero)
		if err == nil {
			err = r.passConstant(n, out)
		}
		return err
	}
	v, err := r.shaped(n)
	if err != nil {
		return err
	}
	list := slices.Clone(to.ints)
	why := fmt.Errorf("values of dimensions %v as %v: only the first dimension may be of the samples", v.dims, list)
	if len(list) < 2 {
		return why
	}
	size, free := v.base.Size(), -1
	rest := 1
	var dims []int
	for i, d := range list[1:] {
		if d == 0 && !zeroIsZero && i < len(v.dims) {
			d = int64(v.dims[i])
		}
		switch {
		case d == -1 && free < 0 && list[0] != -1:
			free, d = i, 1
		case d < 1 || d > int64(size):
			return why
		}
		if rest *= int(d); rest > size {
			return why
		}
		dims = append(dims, int(d))
	}
	if free >= 0 {
		dims[free] = size / rest
		rest *= dims[free]
	}
	samples := list[0]
	if rest != size || samples != anyBatch && samples != -1 && (samples != 0 || zeroIsZero) && (samples != r.batch || samples == 0) {
		return why
	}
	return r.asDims(n, v, dims)
}

func (r *reader) squeeze(n *nodeProto) error {
	axes, given, err := r.integers(n, "axes", 1)
	if err != nil {
		return err
	}
	c, v := r.constants[n.inputs[0]], r.values[n.inputs[0]]
	var dims []int
	if c != nil {
		dims = c.dims
	} else {
		if v, err = r.shaped(n); err != nil {
			return err
		}
		dims = append([]int{-1}, v.dims...)
	}
	out, err := squeezed(dims, axes, given, n.op == "Unsqueeze")
	switch {
	case err != nil:
		return err
	case c != nil:
		copied := *c
		copied.dims = out
		return r.passConstant(n, &copied)
	case len(out) < 2 || out[0] != -1:
		return fmt.Errorf("axes %v of a value of dimensions %v: the samples must stay the first dimension", axes, v.dims)
	}
	return r.asDims(n, v, out[1:])
}

// squeezed removes axes of size 1, or inserts them.
func squeezed(dims, axes []int, given, insert bool) ([]int, error) {
	rank := len(dims)
	if insert {
		rank += len(axes)
	}
	at := map[int]bool{}
	for _, a := range axes {
		if a < 0 {
			a += rank
		}
		if a < 0 || a >= rank || at[a] {
			return nil, fmt.Errorf("axes %v of %d", axes, rank)
		}
		at[a] = true
	}
	var out []int
	if insert {
		if !given || rank > 16 {
			return nil, errors.New("it has no axes, or too many")
		}
		for i, k := 0, 0; i < rank; i++ {
			if at[i] {
				out = append(out, 1)
				continue
			}
			out = append(out, dims[k])
			k++
		}
		return out, nil
	}
	for i, d := range dims {
		switch {
		case given && !at[i], !given && d != 1:
			out = append(out, d)
		case d != 1:
			return nil, fmt.Errorf("axis %d has %d values, not 1", i, d)
		}
	}
	return out, nil
}

func (r *reader) transpose(n *nodeProto) error {
	axes, given, err := r.integers(n, "perm", -1)
	if err != nil {
		return err
	}
	c, v := r.constants[n.inputs[0]], r.values[n.inputs[0]]
	rank := 0
	if c != nil {
		rank = len(c.dims)
	} else {
		rank = len(v.dims) + 1
	}
	if !given {
		for a := rank - 1; a >= 0; a-- {
			axes = append(axes, a)
		}
	}
	sorted := slices.Clone(axes)
	slices.Sort(sorted)
	for i, a := range sorted {
		if len(axes) != rank || a != i {
			return fmt.Errorf("perm %v of %d axes", axes, rank)
		}
	}
	if c != nil {
		return r.giveConstant(n, c.permuted(axes))
	}
	if axes[0] != 0 {
		return errors.New("the samples must stay the first dimension")
	}
	out := view{of: v.of, base: v.base, soft: v.soft, shared: v.shared, pad: v.pad} // rows stay rows, wherever their axis is
	var of []int
	for _, a := range axes[1:] {
		of, out.dims = append(of, a-1), append(out.dims, v.dims[a-1])
	}
	if out.order, err = r.transposed(v, of); err != nil {
		return err
	}
	if out.order != nil && out.soft {
		return errors.New("it comes after a softmax, which may only be the last operator")
	}
	r.pass(n, out)
	return nil
}

func (r *reader) identity(n *nodeProto) error {
	if c := r.constants[n.inputs[0]]; c != nil {
		return r.passConstant(n, c)
	}
	r.pass(n, *r.values[n.inputs[0]])
	return nil
}

func (r *reader) cast(n *nodeProto) error {
	to := elements[n.integer("to", 0)]
	c := r.constants[n.inputs[0]]
	switch {
	case c == nil && to.float:
		return r.identity(n)
	case c == nil:
		return errors.New("computed values as integers are not read")
	case to.width == 0 || c.floats != nil && !to.float:
		return errors.New("of a constant to that type is not read")
	case c.ints != nil && to.float:
		list, err := c.list()
		if err != nil {
			return err
		}
		out := &array{dims: c.dims, floats: make([]float32, len(list))}
		for i, v := range list {
			out.floats[i] = float32(v)
		}
		c = out
	}
	return r.giveConstant(n, c)
}

// transposed returns the order of v's values with the axes in another order. Graphs transpose back and forth, so each order is
// made once.
func (r *reader) transposed(v *view, axes []int) ([]int32, error) {
	var before *int32
	if v.order != nil {
		before = &v.order[0]
	}
	key := fmt.Sprintf("transposed %p %v %v", before, v.dims, axes)
	if order, ok := r.orders[key]; ok {
		return order, nil
	}
	if err := r.make(v.base.Size()); err != nil {
		return nil, err
	}
	order := permutation(v.dims, axes)
	same := true
	for i, from := range order {
		if v.order != nil {
			order[i] = v.order[from]
		}
		same = same && int(order[i]) == i
	}
	if same {
		order = nil
	}
	r.orders[key] = order
	return order, nil
}

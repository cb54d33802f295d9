package onnx

import (
	"errors"
	"fmt"
	"math"
)

// The functions of this file read operators on constants: sizes, and weights that are computed.

// concatConstants joins constants along an axis.
func (r *reader) concatConstants(n *nodeProto, axis int) error {
	first := r.constants[n.inputs[0]]
	if axis < 0 {
		axis += len(first.dims)
	}
	if axis != 0 || len(first.dims) != 1 || first.ints == nil {
		return errors.New("of constants is read for lists of integers only")
	}
	out := &array{ints: []int64{}}
	for _, name := range n.inputs {
		c := r.constants[name]
		if c.ints == nil || len(c.dims) != 1 {
			return errors.New("of constants is read for lists of integers only")
		}
		if all := len(out.ints) + len(c.ints); all > r.computed {
			return r.compute(all) // its error
		}
		out.ints = append(out.ints, c.ints...)
	}
	out.dims = []int{len(out.ints)}
	return r.giveConstant(n, out)
}

func (r *reader) shape(n *nodeProto) error {
	var dims []int64
	if c := r.constants[n.inputs[0]]; c != nil {
		dims = wide(c.dims)
	} else {
		v, err := r.shaped(n)
		if err != nil {
			return err
		}
		dims = append([]int64{anyBatch}, wide(v.dims)...)
	}
	if n.op == "Size" {
		return errors.New("is not read")
	}
	clamp := func(i int64) int64 {
		if i < 0 {
			i += int64(len(dims))
		}
		return min(max(i, 0), int64(len(dims)))
	}
	from, to := clamp(n.integer("start", 0)), clamp(n.integer("end", int64(len(dims))))
	out := &array{ints: append([]int64{}, dims[from:max(from, to)]...)}
	out.dims = []int{len(out.ints)}
	return r.giveConstant(n, out)
}

// pick reads Gather of constants.
func (r *reader) pick(n *nodeProto) error {
	c, index := r.constants[n.inputs[0]], r.constants[n.inputs[1]]
	if c == nil || index == nil {
		return errors.New("gputrain has no layer that takes some of the values")
	}
	axis := int(n.integer("axis", 0))
	if axis < 0 {
		axis += len(c.dims)
	}
	list, err := index.list()
	if err != nil {
		return err
	}
	if axis != 0 || len(c.dims) != 1 {
		return errors.New("of constants is read for lists only")
	}
	size := c.dims[0]
	for i, at := range list {
		if at < 0 {
			list[i] += size
		}
		if list[i] < 0 || list[i] >= size {
			return fmt.Errorf("index %d of %d", at, size)
		}
	}
	out := c.picked(0, list)
	out.dims = index.dims
	return r.giveConstant(n, out)
}

// slice reads Slice of constants, and of channels.
func (r *reader) slice(n *nodeProto) error {
	c, v := r.constants[n.inputs[0]], r.values[n.inputs[0]]
	var dims []int
	if c != nil {
		dims = c.dims
	} else {
		var err error
		if v, err = r.operand(n, 0); err != nil {
			return err
		}
		dims = append([]int{-1}, v.dims...)
	}
	lists := map[string][]int{}
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		list := []int64(nil)
		switch a := n.attributes[name]; {
		case a != nil:
			list = a.ints
		case n.has(i+1) && r.constants[n.inputs[i+1]] == nil:
			return fmt.Errorf("its %s are computed from the images", name)
		case n.has(i + 1):
			list = r.constants[n.inputs[i+1]].ints
		}
		for _, l := range list { // the end of an axis may be a very large number
			if l == anyBatch {
				return fmt.Errorf("its %s depend on the number of samples", name)
			}
			lists[name] = append(lists[name], int(min(max(l, -mostValues), mostValues)))
		}
	}
	count := len(lists["starts"])
	for i := range count {
		if _, ok := lists["axes"]; !ok || len(lists["axes"]) < count {
			lists["axes"] = append(lists["axes"], i)
		}
		if len(lists["steps"]) < count {
			lists["steps"] = append(lists["steps"], 1)
		}
	}
	if count == 0 || len(lists["ends"]) != count || len(lists["axes"]) != count || len(lists["steps"]) != count {
		return errors.New("its starts, ends, axes and steps are not as many of each")
	}
	for i, axis := range lists["axes"] {
		if axis < 0 {
			axis += len(dims)
		}
		step := lists["steps"][i]
		if axis < 0 || axis >= len(dims) || step == 0 {
			return fmt.Errorf("axis %d of %d in steps of %d", lists["axes"][i], len(dims), step)
		}
		size := dims[axis]
		from, to := lists["starts"][i], lists["ends"][i]
		if from < 0 {
			from += size
		}
		if to < 0 && to > -mostValues { // the number before the first has no other form
			to += size
		}
		var list []int
		if step > 0 {
			for k := max(from, 0); k < min(to, size); k += step {
				list = append(list, k)
			}
		} else {
			for k := min(from, size-1); k > max(to, -1); k += step {
				list = append(list, k)
			}
		}
		if c != nil {
			c = c.picked(axis, list)
			continue
		}
		perm, ok := v.channels(0)
		switch {
		case axis > 0 && len(list) == v.dims[axis-1] && step == 1:
			continue // all of it
		case !ok || axis != 1 || len(list) == 0:
			return fmt.Errorf("of a value of dimensions %v is read for channels only", v.dims)
		}
		if perm != nil {
			for k := range list {
				list[k] = perm[list[k]]
			}
		}
		var err error
		if v, err = r.ordered(n, v, list); err != nil {
			return err
		}
	}
	switch {
	case c != nil:
		return r.giveConstant(n, c)
	case v == r.values[n.inputs[0]]:
		r.pass(n, *v)
	default:
		r.give(n, v)
	}
	return nil
}

func (r *reader) constantNode(n *nodeProto) error {
	for name, a := range n.attributes {
		switch name {
		case "value":
			if a.tensor == nil {
				return errors.New("it has no value")
			}
			c, err := a.tensor.load("")
			if err != nil {
				return err
			}
			c.name = ""
			return r.giveConstant(n, c)
		case "value_float":
			return r.giveConstant(n, &array{floats: []float32{a.float}})
		case "value_floats":
			return r.giveConstant(n, &array{dims: []int{len(a.floats)}, floats: append([]float32{}, a.floats...)})
		case "value_int":
			return r.giveConstant(n, &array{ints: []int64{a.number}})
		case "value_ints":
			return r.giveConstant(n, &array{dims: []int{len(a.ints)}, ints: append([]int64{}, a.ints...)})
		}
	}
	return errors.New("it holds no numbers")
}

func (r *reader) constantOfShape(n *nodeProto) error {
	c := r.constants[n.inputs[0]]
	if c == nil {
		return errors.New("its dimensions are computed from the images")
	}
	list, err := c.list()
	if err != nil {
		return err
	}
	size, dims, err := sizeOf(wide(list))
	if err != nil {
		return err
	}
	if err := r.make(size); err != nil {
		return err
	}
	out := &array{dims: dims}
	fill := &array{floats: []float32{0}}
	if a := n.attributes["value"]; a != nil && a.tensor != nil {
		if fill, err = a.tensor.load(""); err != nil || fill.size() != 1 {
			return errors.New("its value is not one number")
		}
	}
	if fill.floats != nil {
		out.floats = make([]float32, size)
		for i := range out.floats {
			out.floats[i] = fill.floats[0]
		}
	} else {
		out.ints = make([]int64, size)
		for i := range out.ints {
			out.ints[i] = fill.ints[0]
		}
	}
	return r.passConstant(n, out)
}

// ofConstant reads functions of constants.
func (r *reader) ofConstant(n *nodeProto) error {
	c := r.constants[n.inputs[0]]
	if c == nil || c.floats == nil {
		return errors.New("gputrain has no such activation function")
	}
	return r.giveConstant(n, c.mapped(map[string]func(float64) float64{
		"Sqrt": math.Sqrt, "Exp": math.Exp, "Neg": func(v float64) float64 { return -v }, "Reciprocal": func(v float64) float64 { return 1 / v },
	}[n.op]))
}

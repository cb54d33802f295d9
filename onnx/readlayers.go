package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// The functions of this file read operators that compute each value of its own, or all values of a sample together.

func (r *reader) batchNorm(n *nodeProto) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	perm, ok := v.channels(0)
	if !ok {
		return fmt.Errorf("its input of dimensions %v doesn't have the channels first", v.dims)
	}
	if n.integer("spatial", 1) != 1 {
		return errors.New("statistics for each pixel (spatial=0) are not read")
	}
	for _, name := range n.outputs[1:] {
		if r.uses[name] > 0 {
			return errors.New("its statistics are used")
		}
	}
	if n.integer("training_mode", 0) != 0 && !r.training {
		r.training = true
		r.notes = append(r.notes, "the model was exported for training; gputrain evaluates with the running statistics of batch normalisation")
	}
	params := map[net.Role][]float32{}
	for i, role := range []net.Role{net.Weight, net.Bias, net.RunningMean, net.RunningVar} {
		c, err := r.weights(n, i+1, "values", 1)
		if err != nil {
			return err
		}
		if len(c.floats) != v.base.C {
			return fmt.Errorf("%d values for %d channels", len(c.floats), v.base.C)
		}
		params[role] = slices.Clone(unpermuted(c.floats, perm)) // a node behind may become part of it
	}
	l := &net.BatchNorm{}
	if e := rounded(n.float("epsilon", 1e-5)); e != 1e-5 {
		l.Epsilon = e
	}
	// ONNX's momentum is the share of the old statistics, ours that of the new ones.
	if m := rounded(1 - rounded(n.float("momentum", 0.9))); m != 0.1 && m >= 0 && m <= 1 {
		l.Momentum = &m
	}
	made, err := r.add(n, "", l, params, v)
	if err != nil {
		return err
	}
	r.give(n, v.like(made))
	return nil
}

// rounded returns the number of at most six digits that a float32 stands for, or the float32 itself if it stands for none.
func rounded(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 6-math.Ceil(math.Log10(math.Abs(v))))
	if short := math.Round(v*scale) / scale; float32(short) == float32(v) {
		return short
	}
	return v
}

func (r *reader) gemm(n *nodeProto) error {
	w, err := r.weights(n, 1, "weights", 2)
	if err != nil {
		return err
	}
	if n.integer("transA", 0) != 0 {
		return errors.New("transA is not read")
	}
	if n.integer("transB", 0) == 0 {
		w = w.permuted([]int{1, 0})
	}
	if alpha := n.float("alpha", 1); alpha != 1 {
		w = &array{dims: w.dims, floats: w.mapped(func(v float64) float64 { return v * alpha }).floats}
	}
	var bias []float32
	if n.has(2) {
		c, err := r.weights(n, 2, "biases", -1)
		if err != nil {
			return err
		}
		to, err := broadcast(c.dims, []int{1, w.dims[0]})
		if err != nil || !slices.Equal(to, []int{1, w.dims[0]}) {
			return fmt.Errorf("biases of dimensions %v for %d outputs", c.dims, w.dims[0])
		}
		beta := n.float("beta", 1)
		for _, i := range spread(c.dims, to) {
			bias = append(bias, float32(float64(c.floats[i])*beta))
		}
	}
	return r.dense(n, w, bias)
}

func (r *reader) matMul(n *nodeProto) error {
	w, err := r.weights(n, 1, "weights", 2)
	if err != nil {
		return err
	}
	return r.dense(n, w.permuted([]int{1, 0}), nil)
}

// dense reads a product of the last axis with weights (units, inputs). For an image with the channels last, that is a
// convolution of single pixels. bias may be nil.
func (r *reader) dense(n *nodeProto, w *array, bias []float32) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	last := len(v.dims) - 1
	if v.dims[last] != w.dims[1] || w.dims[0] < 1 {
		return fmt.Errorf("weights of %v (units, inputs) for an input of dimensions %v", w.dims, v.dims)
	}
	perm, ok := v.channels(last)
	if !ok {
		return fmt.Errorf("its input of dimensions %v doesn't have the channels last", v.dims)
	}
	units, inputs := w.dims[0], w.dims[1]
	params := map[net.Role][]float32{net.Weight: w.floats, net.Bias: bias}
	if perm != nil {
		moved := make([]float32, len(w.floats))
		for u := range units {
			for i, p := range perm {
				moved[u*inputs+p] = w.floats[u*inputs+i]
			}
		}
		params[net.Weight] = moved
	}
	var l net.Layer = &net.Dense{Units: units, NoBias: bias == nil}
	if v.base.H > 1 || v.base.W > 1 {
		l = &net.Conv{Filters: units, Kernel: net.Square(1), NoBias: bias == nil}
	}
	made, err := r.add(n, "", l, params, v)
	if err != nil {
		return err
	}
	r.give(n, r.laidOut(made, v.dims, last, nil))
	return nil
}

func (r *reader) arithmetic(n *nodeProto) error {
	a, b := r.constants[n.inputs[0]], r.constants[n.inputs[1]]
	switch {
	case n.attributes["axis"] != nil:
		return errors.New("the way in which opset 6 repeats a smaller tensor is not read")
	case a != nil && b != nil:
		c, err := combine(n.op, a, b)
		if err == nil {
			err = r.giveConstant(n, c)
		}
		return err
	case n.op == "Pow":
		return errors.New("gputrain has no layer for powers")
	case a != nil:
		return r.withConstant(n, 1, a, true)
	case b != nil:
		return r.withConstant(n, 0, b, false)
	}
	x, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	y, err := r.operand(n, 1)
	if err != nil {
		return err
	}
	switch n.op {
	case "Div":
		return errors.New("gputrain has no layer that divides by computed values")
	case "Sub":
		minus, err := r.add(n, r.layerName(n, &net.Scale{})+"_minus", &net.Scale{Factor: -1}, nil, y)
		if err != nil {
			return err
		}
		y = y.like(minus)
		fallthrough
	case "Add":
		if !slices.Equal(x.dims, y.dims) || x.base != y.base || !slices.Equal(x.order, y.order) {
			return fmt.Errorf("values of dimensions %v and %v are not added", x.dims, y.dims)
		}
		return r.join(n, &net.Add{}, x, y)
	}
	if y.base.Size() > x.base.Size() {
		x, y = y, x
	}
	if x.base != y.base || !slices.Equal(x.order, y.order) || !slices.Equal(x.dims, y.dims) {
		axis, p, ok := x.channelAxis()
		q, ok2 := y.channels(axis)
		if !ok || !ok2 || len(x.dims) != len(y.dims) || y.base.H != 1 || y.base.W != 1 || !slices.Equal(p, q) {
			return fmt.Errorf("values of dimensions %v and %v are not multiplied", x.dims, y.dims)
		}
	}
	return r.join(n, &net.Multiply{}, x, y)
}

// join adds a layer with several inputs, whose output is like the first one's.
func (r *reader) join(n *nodeProto, l net.Layer, ins ...*view) error {
	made, err := r.add(n, "", l, nil, ins...)
	if err == nil {
		r.give(n, ins[0].like(made))
	}
	return err
}

// withConstant reads an operator on a computed value and a constant. first says that the constant comes first.
func (r *reader) withConstant(n *nodeProto, input int, c *array, first bool) error {
	v, err := r.operand(n, input)
	if err != nil {
		return err
	}
	if c.floats == nil {
		return errors.New("of integers is not read")
	}
	if n.op == "Div" && first {
		return errors.New("gputrain has no layer that divides by computed values")
	}
	// y = factor*x + shift
	var apply func(k float32) (factor, shift float32)
	switch n.op {
	case "Add":
		apply = func(k float32) (float32, float32) { return 1, k }
	case "Sub":
		apply = func(k float32) (float32, float32) { return 1, -k }
		if first {
			apply = func(k float32) (float32, float32) { return -1, k }
		}
	case "Mul":
		apply = func(k float32) (float32, float32) { return k, 0 }
	case "Div":
		apply = func(k float32) (float32, float32) { return 1 / k, 0 }
	}
	if k, ok := c.scalar(); ok && len(c.dims) <= len(v.dims)+1 {
		factor, shift := apply(float32(k))
		switch {
		case shift == 0 && factor == 1:
			out := *v
			out.shared = v.shared || r.uses[n.inputs[input]] > 1
			r.give(n, &out)
			return nil
		case shift == 0 && (n.op == "Mul" || n.op == "Div"):
			f := float64(factor)
			if n.op == "Mul" {
				f = rounded(k)
			}
			made, err := r.add(n, "", &net.Scale{Factor: f}, nil, v)
			if err == nil {
				r.give(n, v.like(made))
			}
			return err
		}
	}
	dims := append([]int{1}, v.dims...)
	if to, err := broadcast(c.dims, dims); err != nil || !slices.Equal(to, dims) {
		return fmt.Errorf("a constant of dimensions %v on values of %v", c.dims, v.dims)
	}
	pixels := v.base.H * v.base.W
	factors, shifts := make([]float32, v.base.C), make([]float32, v.base.C)
	set := make([]bool, v.base.C)
	for at, from := range spread(c.dims, dims) {
		if v.order != nil {
			at = int(v.order[at])
		}
		channel := at / pixels
		factor, shift := apply(c.floats[from])
		if set[channel] && (factors[channel] != factor || shifts[channel] != shift) {
			return errors.New("a constant that differs from pixel to pixel is not read")
		}
		factors[channel], shifts[channel], set[channel] = factor, shift, true
	}
	return r.affine(n, v, n.inputs[input], factors, shifts)
}

// affine reads y = factor*x + shift of each channel. It becomes part of the layer before, where that has such values and nothing
// else takes its output; otherwise a convolution of each channel by itself.
func (r *reader) affine(n *nodeProto, v *view, name string, factors, shifts []float32) error {
	plain := !slices.ContainsFunc(factors, func(f float32) bool { return f != 1 })
	if l := v.of; l != nil && !l.fixed && !v.shared && r.uses[name] == 1 {
		if l.affine || l.layer.Kind() == "batchnorm" {
			weight, bias := slices.Clone(l.params[net.Weight]), slices.Clone(l.params[net.Bias])
			for c, f := range factors {
				weight[c] *= f
				bias[c] = bias[c]*f + shifts[c]
			}
			l.params[net.Weight], l.params[net.Bias] = weight, bias
			r.give(n, v)
			return nil
		}
		var missing *bool
		switch layer := l.layer.(type) {
		case *net.Dense:
			missing = &layer.NoBias
		case *net.Conv:
			missing = &layer.NoBias
		}
		if missing != nil && *missing && plain {
			*missing = false
			l.params[net.Bias] = shifts
			var err error
			if l.plan, err = net.PlanLayer(l.layer, l.plan.Ins...); err == nil {
				r.give(n, v)
			}
			return err
		}
	}
	l := &net.Conv{Filters: v.base.C, Kernel: net.Square(1), Groups: v.base.C}
	if v.base.C == 1 {
		l.Groups = 0
	}
	if v.of == nil {
		l.Frozen = net.Frozen{Always: true} // it prepares images
	}
	made, err := r.add(n, "", l, map[net.Role][]float32{net.Weight: factors, net.Bias: shifts}, v)
	if err != nil {
		return err
	}
	made.affine = true
	r.give(n, v.like(made))
	return nil
}

func (r *reader) sum(n *nodeProto) error {
	var ins []*view
	for i := range n.inputs {
		v, err := r.operand(n, i)
		if err != nil {
			return err
		}
		if i > 0 && (!slices.Equal(v.dims, ins[0].dims) || v.base != ins[0].base || !slices.Equal(v.order, ins[0].order)) {
			return fmt.Errorf("values of dimensions %v and %v are not added", ins[0].dims, v.dims)
		}
		ins = append(ins, v)
	}
	if len(ins) == 1 {
		r.pass(n, *ins[0])
		return nil
	}
	return r.join(n, &net.Add{}, ins...)
}

func (r *reader) concat(n *nodeProto) error {
	axis := int(n.integer("axis", 1))
	known := true
	for _, name := range n.inputs {
		known = known && r.constants[name] != nil
	}
	if known {
		return r.concatConstants(n, axis)
	}
	var ins []*view
	var perm []int
	moved := false
	at := 0
	for i := range n.inputs {
		v, err := r.operand(n, i)
		if err != nil {
			return err
		}
		if i == 0 && axis < 0 {
			axis += len(v.dims) + 1
		}
		p, ok := v.channels(axis - 1)
		if !ok || len(v.dims) != len(n.firstDims(r)) {
			return fmt.Errorf("along axis %d of values of dimensions %v is not read: channels are", axis, v.dims)
		}
		for c := range v.base.C {
			to := c
			if p != nil {
				to, moved = p[c], true
			}
			perm = append(perm, at+to)
		}
		at += v.base.C
		ins = append(ins, v)
	}
	if len(ins) == 1 {
		r.pass(n, *ins[0])
		return nil
	}
	if !moved {
		perm = nil
	}
	made, err := r.add(n, "", &net.Concat{}, nil, ins...)
	if err != nil {
		return err
	}
	r.give(n, r.laidOut(made, ins[0].dims, axis-1, perm))
	return nil
}

// firstDims returns the dimensions of a node's first input.
func (n *nodeProto) firstDims(r *reader) []int { return r.values[n.inputs[0]].dims }

func (r *reader) dropout(n *nodeProto) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	if len(n.outputs) > 1 && r.uses[n.outputs[1]] > 0 {
		return errors.New("its mask is used")
	}
	rate := n.float("ratio", 0.5)
	if n.has(1) {
		var ok bool
		if rate, ok = r.scalar(n.inputs[1]); !ok {
			return errors.New("its ratio is computed from the images")
		}
	}
	if rate == 0 {
		r.pass(n, *v)
		return nil
	}
	made, err := r.add(n, "", &net.Dropout{Rate: rounded(rate)}, nil, v)
	if err != nil {
		return err
	}
	r.give(n, v.like(made))
	return nil
}

func (r *reader) softmax(n *nodeProto) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	or := int64(-1)
	if r.model.opset < 13 {
		or = 1
	}
	axis := n.integer("axis", or)
	if axis < 0 {
		axis += int64(len(v.dims)) + 1
	}
	_, ok := v.channels(int(axis) - 1)
	if !ok || v.base.H != 1 || v.base.W != 1 {
		return fmt.Errorf("over axis %d of a value of dimensions %v is not read: a softmax over classes at the end is left out", axis, v.dims)
	}
	out := *v
	out.soft = true
	r.pass(n, out)
	return nil
}

// unary reads an operator that is an activation function.
func (r *reader) unary(n *nodeProto, a *net.Activation) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	made, err := r.add(n, "", a, nil, v)
	if err != nil {
		return err
	}
	r.give(n, v.like(made))
	return nil
}

func (r *reader) gelu(n *nodeProto) error {
	if a := n.attributes["approximate"]; a != nil && a.text == "tanh" {
		return r.unary(n, &net.Activation{Func: net.GELUTanh})
	}
	return r.unary(n, &net.Activation{Func: net.GELU})
}

func (r *reader) celu(n *nodeProto) error {
	if n.float("alpha", 1) != 1 { // with 1 it is ELU
		return errors.New("gputrain has no such activation function, except with alpha 1")
	}
	return r.unary(n, &net.Activation{Func: net.ELU})
}

func (r *reader) clip(n *nodeProto) error {
	least, ok := r.scalar(n.inputs[1])
	most, ok2 := r.scalar(n.inputs[2])
	if ok && ok2 && math.IsInf(least, -1) && math.IsInf(most, 1) {
		return r.identity(n)
	}
	return fmt.Errorf("gputrain has no activation function that keeps values between %v and %v", least, most)
}

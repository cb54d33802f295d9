package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// The functions of this file read networks of eight bits. Weights become what their whole numbers stand for. Values are
// whole numbers between the operators QuantizeLinear and DequantizeLinear. A network that is trained on doesn't round there,
// so both pass values on.

// wholeRange are the least and the greatest number of the types that values are rounded to.
var wholeRange = map[int64][2]float64{
	int8Type: {math.MinInt8, math.MaxInt8}, uint8Type: {0, math.MaxUint8}, int16Type: {math.MinInt16, math.MaxInt16}, uint16Type: {0, math.MaxUint16},
	int32Type: {math.MinInt32, math.MaxInt32},
}

// steps returns what QuantizeLinear and DequantizeLinear multiply by and add: the place in steps and zeros for each of the
// values of c, or of none if c is nil.
func (r *reader) steps(n *nodeProto, c *array) (steps []float32, zeros []int64, at func(i int) int, typ int64, err error) {
	fail := func(format string, a ...any) ([]float32, []int64, func(int) int, int64, error) {
		return nil, nil, nil, 0, fmt.Errorf(format, a...)
	}
	scale, err := r.weights(n, 1, "steps", -1)
	if err != nil {
		return fail("%w", err)
	}
	typ = n.integer("output_dtype", uint8Type)
	zeros = make([]int64, scale.size())
	if n.has(2) {
		z := r.constants[n.inputs[2]]
		if z == nil || z.ints == nil || z.size() != scale.size() {
			return fail("its zero points are not as many whole numbers as its steps")
		}
		zeros, typ = z.ints, z.typ
	}
	if n.integer("block_size", 0) != 0 || len(scale.dims) > 1 {
		return fail("steps for blocks are not read")
	}
	for _, s := range scale.floats {
		if !(s > 0) || math.IsInf(float64(s), 0) {
			return fail("a step is %v", s)
		}
	}
	if scale.size() == 1 {
		return scale.floats, zeros, func(int) int { return 0 }, typ, nil
	}
	if c == nil {
		return fail("steps for each channel are read for weights only")
	}
	axis := int(n.integer("axis", 1))
	if axis < 0 {
		axis += len(c.dims)
	}
	if axis < 0 || axis >= len(c.dims) || c.dims[axis] != scale.size() {
		return fail("%d steps along axis %d of %v", scale.size(), axis, c.dims)
	}
	inner := 1
	for _, d := range c.dims[axis+1:] {
		inner *= d
	}
	return scale.floats, zeros, func(i int) int { return i / inner % scale.size() }, typ, nil
}

func (r *reader) quantize(n *nodeProto) error {
	c := r.constants[n.inputs[0]]
	steps, zeros, at, typ, err := r.steps(n, c)
	if err != nil {
		return err
	}
	limits, ok := wholeRange[typ]
	if !ok {
		return errors.New("to numbers of that type is not read")
	}
	if c == nil {
		v := r.values[n.inputs[0]]
		by := &rounding{steps[0], zeros[0]}
		least, most := (limits[0]-float64(zeros[0]))*float64(steps[0]), (limits[1]-float64(zeros[0]))*float64(steps[0])
		if !v.soft {
			r.eightBits()
		}
		if v.of == nil && least >= 0 {
			r.positive = true
		}
		if least < 0 || v.soft || v.of == nil || v.of.positive {
			out := *v
			out.rounding = by
			r.pass(n, out)
			return nil
		}
		// No number stands for a value below 0, so programs that make such models leave out a ReLU or ReLU6 before this operator.
		a := &net.Activation{Func: net.ReLU}
		if math.Abs(most-6) <= float64(steps[0]) {
			a.Func = net.ReLU6
		}
		if v, err = r.operand(n, 0); err != nil {
			return err
		}
		l, err := r.add(n, "", a, nil, v)
		if err != nil {
			return err
		}
		out := v.like(l)
		out.rounding = by
		r.give(n, out)
		return nil
	}
	if c.floats == nil {
		return errors.New("of whole numbers")
	}
	if err := r.make(c.size()); err != nil {
		return err
	}
	out := &array{dims: c.dims, ints: make([]int64, c.size()), typ: typ}
	for i, v := range c.floats {
		k := at(i)
		x := math.RoundToEven(float64(v)/float64(steps[k])) + float64(zeros[k])
		if x != x {
			return errors.New("of a number that is none")
		}
		out.ints[i] = int64(min(max(x, limits[0]), limits[1]))
	}
	return r.passConstant(n, out)
}

func (r *reader) dequantize(n *nodeProto) error {
	c := r.constants[n.inputs[0]]
	steps, zeros, at, _, err := r.steps(n, c)
	if err != nil {
		return err
	}
	if c == nil {
		out := *r.values[n.inputs[0]]
		if by := out.rounding; by != nil && *by != (rounding{steps[0], zeros[0]}) {
			return fmt.Errorf("its step %v and zero point %d aren't those by which the value was rounded, %v and %d", steps[0], zeros[0], by.step, by.zero)
		}
		out.rounding = nil
		r.pass(n, out)
		return nil
	}
	if c.ints == nil {
		return errors.New("of numbers that are not whole")
	}
	if err := r.make(c.size()); err != nil {
		return err
	}
	out := &array{dims: c.dims, floats: make([]float32, c.size())}
	for i, v := range c.ints {
		k := at(i)
		out.floats[i] = float32(v-zeros[k]) * steps[k]
	}
	return r.passConstant(n, out)
}

// givesPositive reports whether no value of a layer's output can be below 0. Of kinds that are not named here it isn't known.
func (r *reader) givesPositive(l net.Layer, from []*layer) bool {
	inputs := !slices.ContainsFunc(from, func(l *layer) bool { return l == nil && !r.positive || l != nil && !l.positive })
	switch l := l.(type) {
	case *net.Activation:
		return slices.Contains([]net.ActivationFunc{net.ReLU, net.ReLU6, net.Sigmoid, net.HardSigmoid}, l.Func)
	case *net.Pool:
		return inputs || l.PoolMode() == net.L2Pool
	case *net.Multiply:
		return inputs || len(from) == 2 && from[0] == from[1]
	case *net.Scale:
		return inputs && l.Factor >= 0
	case *net.Flatten, *net.Dropout, *net.Add, *net.Concat:
		return inputs
	}
	return false
}

// rounding is how QuantizeLinear rounds a value.
type rounding struct {
	step float32
	zero int64
}

// eightBits tells, once, that values are not rounded in the network that is read.
func (r *reader) eightBits() {
	const note = "it rounds values to whole numbers, and so cuts them off at the ends of a range; the network that is read does neither, only its weights are rounded"
	if !slices.Contains(r.notes, note) {
		r.notes = append(r.notes, note)
	}
}

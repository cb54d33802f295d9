package onnx

import (
	"math"
	"sync"

	"github.com/gputrain/gputrain/net"
)

// form is a way to write an activation function in ONNX's operators.
type form struct {
	function net.Function
	expr     net.Operator
}

// forms are the ways in which frameworks write activation functions, those of many operators before those that are a part of
// them. The first form of each function is the one that [Write] writes.
var forms = sync.OnceValue(func() []form {
	x := net.Operator{X: true}
	c := func(v float64) net.Operator { return net.Operator{Constant: v} }
	op := func(name string, args ...net.Operator) net.Operator { return net.Operator{Op: name, Args: args} }
	shifted := op("Clip", op("Add", x, c(3)), c(0), c(6)) // six times the hard sigmoid
	erf := op("Add", op("Erf", op("Mul", x, c(math.Sqrt2/2))), c(1))
	cubic := func(cube net.Operator) net.Operator {
		return op("Add", op("Tanh", op("Mul", op("Add", x, op("Mul", cube, c(0.044715))), c(math.Sqrt(2/math.Pi)))), c(1))
	}
	cube := op("Pow", x, c(3))
	squared := op("Mul", x, op("Mul", x, x))
	more := map[net.ActivationFunc][]net.Operator{
		net.ReLU:        {op("Max", x, c(0)), op("Clip", x, c(0), c(math.Inf(1)))},
		net.ReLU6:       {op("Min", op("Relu", x), c(6)), op("Clip", op("Relu", x), c(0), c(6)), op("Clip", op("Relu", x), c(math.Inf(-1)), c(6))},
		net.SiLU:        {op("Swish", x)},
		net.Mish:        {op("Mish", x)},
		net.HardSigmoid: {op("Mul", shifted, c(1./6))},
		net.HardSwish: {
			op("HardSwish", x),
			op("Mul", op("Mul", x, shifted), c(1./6)), op("Mul", op("Mul", x, c(1./6)), shifted), op("Mul", x, op("Mul", shifted, c(1./6))),
		},
		net.GELU: {
			op("Mul", op("Mul", x, erf), c(0.5)), op("Mul", x, op("Mul", erf, c(0.5))),
		},
		net.GELUTanh: {
			op("Mul", op("Mul", x, c(0.5)), cubic(cube)), op("Mul", op("Mul", x, cubic(cube)), c(0.5)), op("Mul", x, op("Mul", cubic(cube), c(0.5))),
			op("Mul", op("Mul", x, cubic(squared)), c(0.5)), op("Mul", x, op("Mul", cubic(squared), c(0.5))),
		},
		net.LeakyReLU: {op("PRelu", x, net.Operator{P: true})},
	}
	var list []form
	for _, f := range net.Functions() {
		for _, e := range append([]net.Operator{f.ONNX}, more[f.Name]...) {
			list = append(list, form{f, e})
		}
	}
	return list
})

// defaults are the values of attributes that a node doesn't have.
var defaults = map[string]map[string]float64{
	"LeakyRelu": {"alpha": 0.01}, "Elu": {"alpha": 1}, "HardSigmoid": {"alpha": 0.2, "beta": 0.5}, "Swish": {"alpha": 1},
}

// match is a place where a form was found.
type match struct {
	form  form
	x     string  // the name of the value that the function is of
	p     float64 // the function's parameter
	found bool    // whether p is known
	nodes []*nodeProto
}

// matchAt finds the longest form of an activation function whose last operator is n. The values between its operators must not
// be used elsewhere.
func (r *reader) matchAt(n *nodeProto) *match {
	var best *match
	for _, f := range forms() {
		m := &match{form: f}
		if r.matches(f.expr, n.outputs[0], m, n) && m.x != "" && (best == nil || len(m.nodes) > len(best.nodes)) {
			best = m
		}
	}
	return best
}

// matches reports whether the value named name is what e says, and adds to m what it finds. root is the node of the whole form.
func (r *reader) matches(e net.Operator, name string, m *match, root *nodeProto) bool {
	switch {
	case e.X:
		if m.x == "" && name != "" && r.constants[name] == nil {
			m.x = name
		}
		return m.x == name
	case e.P:
		v, ok := r.scalar(name)
		if !ok || m.found && v != m.p {
			return false
		}
		m.p, m.found = v, true
		return true
	case e.Op == "":
		v, ok := r.scalar(name)
		return ok && near(v, e.Constant)
	}
	n := r.producers[name]
	if n == nil || n.domain != "" || len(n.outputs) != 1 || n != root && r.uses[name] != 1 {
		return false
	}
	args, attributes := n.inputs, map[string]float64{}
	for k, v := range defaults[n.op] {
		attributes[k] = v
	}
	for k, a := range n.attributes {
		if a.kind == intsAttribute || a.text != "" {
			return false
		}
		attributes[k] = float64(a.float)
	}
	op := n.op
	inverse := false // the last argument is a constant that stands for its inverse
	switch {
	case op == "Div" && e.Op == "Mul", op == "Sub" && e.Op == "Add":
		if len(args) != 2 {
			return false
		}
		if _, ok := r.scalar(args[1]); !ok {
			return false
		}
		op, inverse = e.Op, true
	}
	if op != e.Op || len(args) != len(e.Args) {
		return false
	}
	before := *m
	before.nodes = append([]*nodeProto(nil), m.nodes...)
	try := func(order ...int) bool {
		for i, k := range order {
			if inverse && k == 1 {
				v, _ := r.scalar(args[1])
				if want := e.Args[i]; want.X || want.P || want.Op != "" || n.op == "Div" && !near(v, 1/want.Constant) || n.op == "Sub" && !near(-v, want.Constant) {
					return false
				}
				continue
			}
			if !r.matches(e.Args[i], args[k], m, root) {
				return false
			}
		}
		for name, want := range e.Attributes {
			got, ok := attributes[name]
			switch {
			case !ok, want.P && m.found && got != m.p, !want.P && !near(got, want.Constant):
				return false
			case want.P:
				m.p, m.found = got, true
			}
			delete(attributes, name)
		}
		for name, v := range attributes {
			if v != defaults[n.op][name] {
				return false
			}
		}
		m.nodes = append(m.nodes, n)
		return true
	}
	inOrder := make([]int, len(args))
	for i := range inOrder {
		inOrder[i] = i
	}
	if try(inOrder...) {
		return true
	}
	*m = before
	if len(args) == 2 && (op == "Add" || op == "Mul" || op == "Max" || op == "Min") && try(1, 0) {
		return true
	}
	*m = before
	return false
}

// near reports whether a constant of a formula is written as got: rounded to float32, or to float16 or bfloat16, where it is a
// number of such a kind.
func near(got, want float64) bool {
	if got == want || math.IsInf(want, 0) || math.IsInf(got, 0) {
		return got == want
	}
	tolerance, bits := 1e-6, math.Float32bits(float32(got))
	switch {
	case bits&0xffff == 0:
		tolerance = 1. / (1 << 8)
	case bits&0x1fff == 0:
		tolerance = 1. / (1 << 11)
	}
	return math.Abs(got-want) <= tolerance*math.Abs(want)
}

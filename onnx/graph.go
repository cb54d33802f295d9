package onnx

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/quantize"
)

// graph is a network in ONNX's operators.
type graph struct {
	nodes     []node
	constants []constant

	values   map[string]bool // names of values that are taken
	operator map[string]bool // names of nodes that are taken
	numbers  map[float32]string
	eight    *quantize.Network   // nil unless the model has eight bits
	zeros    map[int8]string     // the names of zero points
	whole    map[string]constant // parameters of whole numbers, by name
	// plus is added to the whole numbers that stand for values. ONNX Runtime computes with uint8 on x86, TensorRT with int8
	// whose zero points are 0. Weights are int8 in both.
	plus    uint8
	axes    string            // the name of the constant that turns vectors into images; "" if there is none yet
	vectors map[string]string // by an image's name, the same values as a vector
	images  map[string]string // by a vector's name, the same values as an image
}

// constant is a tensor that is neither a weight nor computed, of one of the types. Without
// dimensions it is a number.
type constant struct {
	name   string
	dims   []int
	floats []float32
	wide   []int64
	eight  []int8
	plus   uint8 // added to eight, whose type is then uint8; 0 or 128
	sums   []int32
}

// value is a tensor in the graph.
type value struct {
	name  string
	flat  bool           // true for a vector, of rank 2; false for an image, of rank 4
	scale quantize.Scale // how it is rounded; the zero Scale if it isn't
}

// The names of the graph's input and outputs.
const (
	inputName         = "images"
	logitsName        = "logits"
	probabilitiesName = "probabilities"
)

// newGraph makes the graph of a network, and returns the name of its output. The output is
// the logits or the probabilities.
func newGraph(plan *net.Plan, logits bool, eight *quantize.Network) (*graph, string) {
	g := &graph{
		eight:    eight,
		values:   map[string]bool{inputName: true, logitsName: true, probabilitiesName: true},
		operator: map[string]bool{}, numbers: map[float32]string{}, zeros: map[int8]string{}, whole: map[string]constant{}, vectors: map[string]string{}, images: map[string]string{},
	}
	if eight != nil && !eight.Symmetric {
		g.plus = 128
	}
	for _, p := range plan.Params {
		g.values[p.Name] = true
	}
	for _, n := range plan.Nodes { // before the names of the nodes that are put between layers
		g.operator[n.Name] = true
		g.values[outputOf(n)] = true
	}
	input := g.rounded(value{name: inputName}, "")
	made := make([]value, len(plan.Nodes))
	for i, n := range plan.Nodes {
		var ins []value
		for _, from := range n.Inputs {
			if from == net.NetworkInput {
				ins = append(ins, input)
			} else {
				ins = append(ins, made[from])
			}
		}
		made[i] = g.rounded(g.layer(n, ins), n.Name)
		if made[i].flat != n.Flat {
			panic(fmt.Sprintf("BUG: onnx: layer %s gives a vector: %v, want %v", n.Name, made[i].flat, n.Flat))
		}
	}
	last := g.vector(made[len(made)-1])
	if logits {
		for i := range g.nodes { // the last value has no other use
			if g.nodes[i].output == last {
				g.nodes[i].output = logitsName
			}
		}
		return g, logitsName
	}
	g.nodes = append(g.nodes, node{op: "Softmax", name: g.unique(g.operator, "softmax"), inputs: []string{last}, output: probabilitiesName, ints: ints{"axis": {1}}})
	return g, probabilitiesName
}

// outputOf returns the name of a layer's output.
func outputOf(n net.Node) string { return n.Name + "/output" }

// unique returns name, or one like it that is not taken, and adds it to taken.
func (g *graph) unique(taken map[string]bool, name string) string {
	for i, base := 2, name; taken[name]; i++ {
		name = fmt.Sprintf("%s_%d", base, i)
	}
	taken[name] = true
	return name
}

// between adds a node that is no layer, and returns the name of its output, which is made
// from the node's name.
func (g *graph) between(name string, n node) string {
	n.name, n.output = g.unique(g.operator, name), g.unique(g.values, name)
	g.nodes = append(g.nodes, n)
	return n.output
}

// vector returns the name of a value of rank 2. An image of one pixel is flattened first, at
// most once.
func (g *graph) vector(v value) string {
	if v.flat {
		return v.name
	}
	if g.vectors[v.name] == "" {
		g.vectors[v.name] = g.round(g.between(stem(v.name)+"/vector", node{op: "Flatten", inputs: []string{v.name}, ints: ints{"axis": {1}}}), v.scale)
	}
	return g.vectors[v.name]
}

// image returns the name of a value of rank 4. A vector becomes an image of one pixel first,
// at most once.
func (g *graph) image(v value) string {
	if !v.flat {
		return v.name
	}
	if g.images[v.name] == "" {
		if g.axes == "" {
			g.axes = g.unique(g.values, "constants/rows_and_columns")
			g.constants = append(g.constants, constant{name: g.axes, dims: []int{2}, wide: []int64{2, 3}})
		}
		g.images[v.name] = g.round(g.between(stem(v.name)+"/image", node{op: "Unsqueeze", inputs: []string{v.name, g.axes}}), v.scale)
	}
	return g.images[v.name]
}

// stem is the layer's part of a value's name.
func stem(name string) string { return strings.TrimSuffix(name, "/output") }

// number returns the name of a constant.
func (g *graph) number(v float64) string {
	n := float32(v)
	if g.numbers[n] == "" {
		g.numbers[n] = g.unique(g.values, "constants/"+strconv.FormatFloat(float64(n), 'g', -1, 32))
		g.constants = append(g.constants, constant{name: g.numbers[n], floats: []float32{n}})
	}
	return g.numbers[n]
}

// rounded returns a layer's output as it is rounded, if it is. layer is the layer's name, or ""
// for the network's input.
func (g *graph) rounded(v value, layer string) value {
	if g.eight != nil {
		v.scale = g.eight.Values[layer]
		v.name = g.round(v.name, v.scale)
	}
	return v
}

// round adds the pair of operators between which programs that compute with eight bits have
// whole numbers, unless by is the zero Scale. It returns the name of the rounded value.
func (g *graph) round(name string, by quantize.Scale) string {
	if by.Step == 0 {
		return name
	}
	if g.zeros[by.Zero] == "" {
		g.zeros[by.Zero] = g.unique(g.values, fmt.Sprintf("constants/zero_%d", int(by.Zero)+int(g.plus)))
		g.constants = append(g.constants, constant{name: g.zeros[by.Zero], eight: []int8{by.Zero}, plus: g.plus})
	}
	scale := []string{g.number(float64(by.Step)), g.zeros[by.Zero]}
	whole := g.between(stem(name)+"/quantize", node{op: "QuantizeLinear", inputs: append([]string{name}, scale...)})
	return g.between(stem(name)+"/dequantize", node{op: "DequantizeLinear", inputs: append([]string{whole}, scale...)})
}

// parameter returns the name of the values of a layer's parameter.
func (g *graph) parameter(l net.Node, p net.Param) string {
	if g.eight == nil || g.eight.Filters[l.Params[0].Name] == nil || p.Role == net.Bias && g.eight.Symmetric {
		return p.Name // TensorRT wants biases as they are
	}
	steps := constant{name: g.unique(g.values, p.Name+"/steps"), dims: p.Dims[:1]}
	zeros := constant{name: g.unique(g.values, p.Name+"/zeros"), dims: p.Dims[:1]}
	if p.Role == net.Bias {
		steps.floats, zeros.sums = g.eight.BiasSteps(l), make([]int32, p.Dims[0])
		g.whole[p.Name] = constant{name: p.Name, dims: p.Dims, sums: make([]int32, p.Dims[0])}
		for i, b := range g.eight.Weights[p.Name].Float32s() {
			g.whole[p.Name].sums[i] = int32(math.RoundToEven(float64(b) / float64(steps.floats[i])))
		}
	} else {
		steps.floats, zeros.eight = g.eight.Filters[p.Name], make([]int8, p.Dims[0])
		weights := g.eight.Weights[p.Name].Float32s()
		w := constant{name: p.Name, dims: p.Dims, eight: make([]int8, len(weights))}
		size := len(weights) / len(steps.floats)
		for i, v := range weights {
			w.eight[i] = quantize.Round(v, steps.floats[i/size])
		}
		g.whole[p.Name] = w
	}
	g.constants = append(g.constants, steps, zeros)
	return g.between(p.Name+"/dequantize", node{op: "DequantizeLinear", inputs: []string{p.Name, steps.name, zeros.name}, ints: ints{"axis": {0}}})
}

// layer adds the operators of a layer, and returns its output. The layer's parameters come
// after the operator's other inputs, in the plan's order.
func (g *graph) layer(l net.Node, ins []value) value {
	// add adds the layer's operator on inputs of one rank.
	add := func(n node, flat bool, inputs ...string) value {
		n.name, n.output, n.inputs = l.Name, outputOf(l), inputs
		for _, p := range l.Params {
			n.inputs = append(n.inputs, g.parameter(l, p))
		}
		g.nodes = append(g.nodes, n)
		return value{name: n.output, flat: flat}
	}
	// all brings the inputs to the same rank: vectors if all are vectors, else images.
	all := func() (names []string) {
		for _, v := range ins {
			if l.Flat {
				names = append(names, v.name)
			} else {
				names = append(names, g.image(v))
			}
		}
		return names
	}
	in := ins[0]
	switch layer := l.Layer.(type) {
	case *net.Conv:
		n := node{op: "Conv", lists: windowOf(l.Window, true)}
		if groups := layer.GroupCount(); groups > 1 {
			n.ints = ints{"group": {int64(groups)}}
		}
		return add(n, false, g.image(in))
	case *net.Pool:
		return add(poolOf(l, layer), false, g.image(in))
	case *net.Activation:
		f, ok := net.FunctionNamed(layer.Func)
		if !ok {
			panic(fmt.Sprintf("BUG: onnx: layer %s has the function %s", l.Name, layer.Func))
		}
		return value{name: g.expression(f.ONNX, l, in.name, layer.Parameter(), true), flat: in.flat}
	case *net.Dropout:
		return in
	case *net.BatchNorm:
		momentum, epsilon := layer.Settings()
		n := node{op: "BatchNormalization", floats: floats{"epsilon": epsilon}}
		if momentum != 0.1 { // ONNX's is the share of the old statistics, and 0.9 if it isn't there
			n.floats["momentum"] = 1 - momentum
		}
		return add(n, in.flat, in.name)
	case *net.Flatten:
		return add(node{op: "Flatten", ints: ints{"axis": {1}}}, true, in.name)
	case *net.Dense:
		return add(node{op: "Gemm", ints: ints{"transB": {1}}}, true, g.vector(in))
	case *net.Add:
		if len(ins) > 2 {
			return add(node{op: "Sum"}, l.Flat, all()...)
		}
		return add(node{op: "Add"}, l.Flat, all()...)
	case *net.Concat:
		return add(node{op: "Concat", ints: ints{"axis": {1}}}, l.Flat, all()...)
	case *net.Multiply:
		return add(node{op: "Mul"}, l.Flat, all()...) // broadcasting repeats a gate's only row and column
	case *net.Scale:
		return add(node{op: "Mul"}, in.flat, in.name, g.number(layer.Factor))
	}
	panic(fmt.Sprintf("BUG: onnx: layer %s of kind %s", l.Name, l.Layer.Kind()))
}

// expression adds the operators of a function of x, and returns the name of the result. The
// outermost operator, if there is one, has the layer's name.
func (g *graph) expression(e net.Operator, l net.Node, x string, parameter float64, outermost bool) string {
	switch {
	case e.X:
		return x
	case e.P:
		return g.number(parameter)
	case e.Op == "":
		return g.number(e.Constant)
	}
	n := node{op: e.Op, floats: floats{}}
	for _, arg := range e.Args {
		n.inputs = append(n.inputs, g.expression(arg, l, x, parameter, false))
	}
	for name, v := range e.Attributes {
		switch {
		case v.P:
			n.floats[name] = parameter
		case !v.X && v.Op == "":
			n.floats[name] = v.Constant
		default:
			panic(fmt.Sprintf("BUG: onnx: attribute %s of %s is no constant", name, e.Op))
		}
	}
	if !outermost {
		return g.between(l.Name+"/"+strings.ToLower(e.Op), n)
	}
	n.name, n.output = l.Name, outputOf(l)
	g.nodes = append(g.nodes, n)
	return n.output
}

// poolOf returns the operator of a pooling layer.
func poolOf(l net.Node, layer *net.Pool) node {
	var n node
	switch mode := layer.PoolMode(); mode {
	case net.MaxPool:
		n.op = "MaxPool"
	case net.MeanPool:
		n.op = "AveragePool"
	case net.L2Pool:
		n.op, n.ints = "LpPool", ints{"p": {2}}
	default:
		panic(fmt.Sprintf("BUG: onnx: layer %s pools by %s", l.Name, mode))
	}
	if layer.Global {
		n.op = "Global" + n.op
		return n
	}
	n.lists = windowOf(l.Window, false)
	if n.op == "AveragePool" {
		n.ints = ints{"count_include_pad": {0}}
	}
	return n
}

// windowOf returns the attributes of a sliding window.
func windowOf(w net.Window, dilated bool) lists {
	a := lists{
		"kernel_shape": wide([]int{w.KernelH, w.KernelW}),
		"strides":      wide([]int{w.StrideH, w.StrideW}),
		"pads":         wide([]int{w.Top, w.Left, w.Bottom, w.Right}),
	}
	if dilated {
		a["dilations"] = wide([]int{w.DilationH, w.DilationW})
	}
	return a
}

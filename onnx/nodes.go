package onnx

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gputrain/gputrain/internal/protobuf"
	"github.com/gputrain/gputrain/net"
)

// node is an operator in the graph.
type node struct {
	op, name string
	inputs   []string
	output   string
	ints     ints
	lists    lists
	floats   floats
}

// Attributes of a node, by name.
type (
	ints   map[string][1]int64
	lists  map[string][]int64
	floats map[string]float64
)

// AttributeProto.AttributeType.
const (
	floatAttribute = 1
	intAttribute   = 2
	intsAttribute  = 7
)

// fill fills a NodeProto.
func (n node) fill(m *protobuf.Message) {
	for _, name := range n.inputs {
		m.Text(1, name)
	}
	m.Text(2, n.output)
	m.Text(3, n.name)
	m.Text(4, n.op)
	attribute := func(name string, kind int64, value func(m *protobuf.Message)) {
		m.Sub(5, func(m *protobuf.Message) {
			m.Text(1, name)
			value(m)
			m.Integer(20, kind)
		})
	}
	for _, name := range sortedKeys(n.floats) {
		attribute(name, floatAttribute, func(m *protobuf.Message) { m.Float(2, float32(n.floats[name])) })
	}
	for _, name := range sortedKeys(n.ints) {
		attribute(name, intAttribute, func(m *protobuf.Message) { m.Integer(3, n.ints[name][0]) })
	}
	for _, name := range sortedKeys(n.lists) {
		attribute(name, intsAttribute, func(m *protobuf.Message) { m.Integers(8, n.lists[name]) })
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func wide(list []int) []int64 {
	out := make([]int64, len(list))
	for i, v := range list {
		out[i] = int64(v)
	}
	return out
}

// chainOf makes a node of every layer but dropout.
func chainOf(plan *net.Plan, input string) []node {
	var chain []node
	for _, l := range plan.Layers {
		n := nodeOf(l)
		if n.op == "" {
			continue
		}
		n.name, n.output = l.Name, l.Name+"/output"
		n.inputs = []string{input}
		for _, p := range l.Params {
			n.inputs = append(n.inputs, p.Name)
		}
		chain = append(chain, n)
		input = n.output
	}
	if len(chain) == 0 { // a network of dropout alone
		chain = []node{{op: "Identity", name: "identity", inputs: []string{input}, output: "identity/output"}}
	}
	return chain
}

// nodeOf returns what computes a layer; its parameters, in the plan's order, are the operator's inputs behind the first.
func nodeOf(l net.PlannedLayer) node {
	switch layer := l.Layer.(type) {
	case *net.Conv:
		return node{op: "Conv", lists: windowOf(l.Window, true)}
	case *net.Pool:
		switch layer.PoolMode() {
		case net.MaxPool:
			return node{op: "MaxPool", lists: windowOf(l.Window, false)}
		case net.MeanPool:
			return node{op: "AveragePool", lists: windowOf(l.Window, false), ints: ints{"count_include_pad": {0}}}
		case net.L2Pool:
			return node{op: "LpPool", lists: windowOf(l.Window, false), ints: ints{"p": {2}}}
		}
	case *net.Activation:
		switch layer.Func {
		case net.ReLU:
			return node{op: "Relu"}
		case net.LeakyReLU:
			return node{op: "LeakyRelu", floats: floats{"alpha": layer.LeakySlope()}}
		case net.Tanh:
			return node{op: "Tanh"}
		case net.Sigmoid:
			return node{op: "Sigmoid"}
		}
	case *net.BatchNorm:
		_, epsilon := layer.Settings()
		return node{op: "BatchNormalization", floats: floats{"epsilon": epsilon}}
	case *net.Flatten:
		return node{op: "Flatten", ints: ints{"axis": {1}}}
	case *net.Dense:
		return node{op: "Gemm", ints: ints{"transB": {1}}}
	case *net.Dropout:
		return node{}
	}
	panic(fmt.Sprintf("BUG: onnx: layer %s of kind %s", l.Name, l.Layer.Kind()))
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

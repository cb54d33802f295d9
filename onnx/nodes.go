package onnx

import (
	"maps"
	"slices"

	"github.com/gputrain/gputrain/internal/protobuf"
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

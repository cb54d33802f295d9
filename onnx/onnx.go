// Package onnx writes trained networks in the format of ONNX (https://onnx.ai), which most runtimes read: ONNX Runtime,
// TensorRT, OpenVINO, browsers.
//
// A model has one input, "images" (batch, channels, height, width), float32, scaled as in training (a byte b of MNIST is
// b/255), and one output, "probabilities" or "logits" (batch, classes). The batch is of any size. Dropout is left out: it
// does nothing after training.
package onnx

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/protobuf"
	"github.com/gputrain/gputrain/net"
)

// Opset is the version of ONNX's operators that models are written in, and IRVersion that of the file format. ONNX Runtime
// 1.20 and later read them. Of the operators used here, later opsets have only taken more types.
const (
	Opset     = 22
	IRVersion = 10
)

// Options say how to write a model.
type Options struct {
	// Logits leaves out the softmax at the end: for programs that have their own.
	Logits bool
	// Producer and Version say what wrote the model.
	Producer, Version string
	// Metadata is kept in the model, under its keys.
	Metadata map[string]string
}

// Write writes a network with its weights, which are those of a State. It refuses weights that don't fit the plan.
func Write(w io.Writer, plan *net.Plan, weights map[string]*tensor.Dense, o Options) error {
	for _, p := range plan.Params {
		t := weights[p.Name]
		if t == nil {
			return fmt.Errorf("onnx: no weights %s", p.Name)
		}
		if t.Dtype() != tensor.Float32 || !t.Shape().Eq(tensor.Shape(p.Dims)) {
			return fmt.Errorf("onnx: weights %s are %v of %v, want float32 of %v", p.Name, t.Dtype(), t.Shape(), p.Dims)
		}
	}
	m := model(plan, weights, o)
	if len(m) > math.MaxInt32 {
		return fmt.Errorf("onnx: the model has %d bytes, more than the 2 GiB that a protobuf message may have", len(m))
	}
	_, err := w.Write(m)
	return err
}

// The numbers of fields and values below are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).

// model makes a ModelProto.
func model(plan *net.Plan, weights map[string]*tensor.Dense, o Options) protobuf.Message {
	var m protobuf.Message
	m.Integer(1, IRVersion)
	m.Text(2, o.Producer)
	m.Text(3, o.Version)
	m.Sub(7, func(m *protobuf.Message) { graph(m, plan, weights, o) })
	m.Sub(8, func(m *protobuf.Message) { m.Integer(2, Opset) }) // of ONNX's own operators, whose domain is ""
	for _, key := range sortedKeys(o.Metadata) {
		m.Sub(14, func(m *protobuf.Message) {
			m.Text(1, key)
			m.Text(2, o.Metadata[key])
		})
	}
	return m
}

// graph fills a GraphProto.
func graph(m *protobuf.Message, plan *net.Plan, weights map[string]*tensor.Dense, o Options) {
	const input = "images"
	output := "probabilities"
	if o.Logits {
		output = "logits"
	}
	chain := chainOf(plan, input)
	if o.Logits {
		chain[len(chain)-1].output = output
	} else {
		last := chain[len(chain)-1].output
		chain = append(chain, node{op: "Softmax", name: "softmax", inputs: []string{last}, output: output, ints: ints{"axis": {1}}})
	}
	for _, n := range chain {
		m.Sub(1, n.fill)
	}
	m.Text(2, plan.Network.Name)
	for _, p := range plan.Params {
		m.Sub(5, func(m *protobuf.Message) { fillTensor(m, p.Name, p.Dims, weights[p.Name].Float32s()) })
	}
	in := plan.Network.Input
	m.Sub(11, func(m *protobuf.Message) { valueInfo(m, input, in.C, in.H, in.W) })
	m.Sub(12, func(m *protobuf.Message) { valueInfo(m, output, plan.Classes) })
}

// float32Type is TensorProto.FLOAT.
const float32Type = 1

// fillTensor fills a TensorProto.
func fillTensor(m *protobuf.Message, name string, dims []int, values []float32) {
	m.Integers(1, wide(dims))
	m.Integer(2, float32Type)
	m.Text(8, name)
	raw := make([]byte, 4*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
	}
	m.Bytes(9, raw)
}

// valueInfo fills a ValueInfoProto of float32 (batch, dims...).
func valueInfo(m *protobuf.Message, name string, dims ...int) {
	m.Text(1, name)
	m.Sub(2, func(m *protobuf.Message) { // TypeProto
		m.Sub(1, func(m *protobuf.Message) { // of a tensor
			m.Integer(1, float32Type)
			m.Sub(2, func(m *protobuf.Message) {
				m.Sub(1, func(m *protobuf.Message) { m.Text(2, "batch") })
				for _, n := range dims {
					m.Sub(1, func(m *protobuf.Message) { m.Integer(1, int64(n)) })
				}
			})
		})
	})
}

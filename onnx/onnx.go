// Package onnx writes trained networks in the format of ONNX (https://onnx.ai), which most runtimes read: ONNX Runtime,
// TensorRT, OpenVINO, browsers. And it reads image classifiers that other programs wrote; see [Read].
//
// A model that [Write] writes has one input, "images" (batch, channels, height, width), float32, scaled as in training: a byte b of MNIST
// is b/255. It has one output, "probabilities" or "logits" (batch, classes). The batch may have any size. gputrain
// export adds the scale and the names of the classes to the metadata.
//
// A model can have eight bits; see [Options].
//
// Operators and values have the names of the network's layers. Dropout is left out, because it does nothing after
// training. In ONNX a vector has rank 2, and an image of one pixel has rank 4. If a layer needs the other rank, a
// reshape operator comes before it.
package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/protobuf"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/quantize"
)

// Opset is the version of ONNX's operators in the models, and IRVersion that of the file format. Opset 13, of
// ONNX 1.8, is the lowest with all operators used here in the form that later versions kept: in it, Unsqueeze takes
// its axes as an input. ONNX Runtime 1.6 and later read such models.
const (
	Opset     = 13
	IRVersion = 7
)

// Options say how to write a model.
type Options struct {
	// Logits leaves out the softmax at the end, for programs that have their own. Then the output is "logits".
	Logits bool
	// Producer and Version name the program that wrote the model.
	Producer, Version string
	// Metadata is written to the model under its keys. It may be nil. Write adds "layout", which is "NCHW".
	Metadata map[string]string
	// Eight writes a network of eight bits: that of the plan and the weights, which must be its own. Weights of
	// convolutions and dense layers are whole numbers. Where values are rounded, there is a pair of operators,
	// QuantizeLinear and DequantizeLinear (QDQ); programs move them, and compute with whole numbers between them.
	Eight *quantize.Network
}

// Write writes a network with its weights, which are the Params of a [net.State]. Weights that don't fit the plan are
// an error.
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
	if o.Eight != nil && o.Eight.Plan != plan {
		return errors.New("onnx: the network of eight bits has another plan")
	}
	m := model(plan, weights, o)
	if len(m) > math.MaxInt32 {
		return fmt.Errorf("onnx: the model has %d bytes, more than the 2 GiB that a protobuf message may have", len(m))
	}
	_, err := w.Write(m)
	return err
}

// The metadata that say in which order images have their dimensions, which nothing else in a model does.
const (
	layoutKey     = "layout"
	channelsFirst = "NCHW"
)

// The numbers of fields and values below are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).

// model makes a ModelProto.
func model(plan *net.Plan, weights map[string]*tensor.Dense, o Options) protobuf.Message {
	var m protobuf.Message
	m.Integer(1, IRVersion)
	m.Text(2, o.Producer)
	m.Text(3, o.Version)
	m.Sub(7, func(m *protobuf.Message) { fillGraph(m, plan, weights, o) })
	m.Sub(8, func(m *protobuf.Message) { m.Integer(2, Opset) }) // of ONNX's own operators, whose domain is ""
	metadata := maps.Clone(o.Metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	metadata[layoutKey] = channelsFirst
	for _, key := range sortedKeys(metadata) {
		m.Sub(14, func(m *protobuf.Message) {
			m.Text(1, key)
			m.Text(2, metadata[key])
		})
	}
	return m
}

// fillGraph fills a GraphProto.
func fillGraph(m *protobuf.Message, plan *net.Plan, weights map[string]*tensor.Dense, o Options) {
	g, output := newGraph(plan, o.Logits, o.Eight)
	for _, n := range g.nodes {
		m.Sub(1, n.fill)
	}
	m.Text(2, plan.Network.Name)
	for _, p := range plan.Params {
		c, ok := g.whole[p.Name]
		if !ok {
			c = constant{name: p.Name, dims: p.Dims, floats: weights[p.Name].Float32s()}
		}
		m.Sub(5, c.fill)
	}
	for _, c := range g.constants {
		m.Sub(5, c.fill)
	}
	in := plan.Network.Input
	m.Sub(11, func(m *protobuf.Message) { valueInfo(m, inputName, in.C, in.H, in.W) })
	m.Sub(12, func(m *protobuf.Message) { valueInfo(m, output, plan.Classes) })
}

// Types of TensorProto.
const (
	float32Type = 1
	int64Type   = 7
)

// fill fills a TensorProto.
func (c constant) fill(m *protobuf.Message) {
	var raw []byte
	kind := int64(float32Type)
	switch {
	case c.wide != nil:
		kind = int64Type
		for _, v := range c.wide {
			raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
		}
	case c.sums != nil:
		kind = int32Type
		for _, v := range c.sums {
			raw = binary.LittleEndian.AppendUint32(raw, uint32(v))
		}
	case c.eight != nil:
		if kind = int8Type; c.plus > 0 {
			kind = uint8Type
		}
		raw = make([]byte, len(c.eight))
		for i, v := range c.eight {
			raw[i] = byte(v) + c.plus
		}
	default:
		raw = make([]byte, 4*len(c.floats))
		for i, v := range c.floats {
			binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
		}
	}
	m.Integers(1, wide(c.dims))
	m.Integer(2, kind)
	m.Text(8, c.name)
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

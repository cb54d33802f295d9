package onnx

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a protobuf message in wire format, without the fields that are added later.
type message []byte

func (m *message) integer(field protowire.Number, v int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) float(field protowire.Number, v float32) {
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, field, protowire.Fixed32Type), math.Float32bits(v))
}

func (m *message) bytes(field protowire.Number, v []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), v)
}

func (m *message) text(field protowire.Number, v string) { m.bytes(field, []byte(v)) }

// sub adds a message that f fills.
func (m *message) sub(field protowire.Number, f func(m *message)) {
	var inner message
	f(&inner)
	m.bytes(field, inner)
}

// integers adds a packed list.
func (m *message) integers(field protowire.Number, list []int64) {
	var packed []byte
	for _, v := range list {
		packed = protowire.AppendVarint(packed, uint64(v))
	}
	m.bytes(field, packed)
}

// Package protobuf writes and reads protobuf messages field by field. It is for formats
// of which the project needs a few messages only, so that code for all of them would be more than this.
package protobuf

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Message is a message in wire format. Its methods add fields at the end.
type Message []byte

// Integer adds an int32, an int64 or an enumeration value.
func (m *Message) Integer(field protowire.Number, v int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

// Float adds a float.
func (m *Message) Float(field protowire.Number, v float32) {
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, field, protowire.Fixed32Type), math.Float32bits(v))
}

// Double adds a double.
func (m *Message) Double(field protowire.Number, v float64) {
	*m = protowire.AppendFixed64(protowire.AppendTag(*m, field, protowire.Fixed64Type), math.Float64bits(v))
}

// Bytes adds bytes.
func (m *Message) Bytes(field protowire.Number, v []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), v)
}

// Text adds a string.
func (m *Message) Text(field protowire.Number, v string) { m.Bytes(field, []byte(v)) }

// Sub adds a message as a field. f fills it.
func (m *Message) Sub(field protowire.Number, f func(m *Message)) {
	var inner Message
	f(&inner)
	m.Bytes(field, inner)
}

// Integers adds a packed list of int64.
func (m *Message) Integers(field protowire.Number, list []int64) {
	var packed []byte
	for _, v := range list {
		packed = protowire.AppendVarint(packed, uint64(v))
	}
	m.Bytes(field, packed)
}

// Doubles adds a packed list of double.
func (m *Message) Doubles(field protowire.Number, list []float64) {
	var packed []byte
	for _, v := range list {
		packed = protowire.AppendFixed64(packed, math.Float64bits(v))
	}
	m.Bytes(field, packed)
}

package protobuf

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field is one field of a message.
type Field struct {
	Number protowire.Number
	kind   protowire.Type
	number uint64 // for varints and fixed sizes
	bytes  []byte // for bytes, strings, messages and packed lists; part of the message's memory
}

// errKind means that a field has another wire type than its reader wants.
var errKind = errors.New("has another type than it should")

// Each calls f for each field of the message, in order. It stops at the first error, and fails for bytes that are no message.
func (m Message) Each(f func(Field) error) error {
	for b := []byte(m); len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		field := Field{Number: number, kind: kind}
		switch kind {
		case protowire.VarintType:
			field.number, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			field.number = uint64(v)
		case protowire.Fixed64Type:
			field.number, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			field.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(field); err != nil {
			return fmt.Errorf("field %d: %w", number, err)
		}
	}
	return nil
}

// Integer returns an int32, an int64, a boolean or an enumeration value.
func (f Field) Integer() (int64, error) {
	if f.kind != protowire.VarintType {
		return 0, errKind
	}
	return int64(f.number), nil
}

// Float returns a float.
func (f Field) Float() (float32, error) {
	if f.kind != protowire.Fixed32Type {
		return 0, errKind
	}
	return math.Float32frombits(uint32(f.number)), nil
}

// Bytes returns bytes, which are part of the message's memory.
func (f Field) Bytes() ([]byte, error) {
	if f.kind != protowire.BytesType {
		return nil, errKind
	}
	return f.bytes, nil
}

// Text returns a string.
func (f Field) Text() (string, error) {
	b, err := f.Bytes()
	return string(b), err
}

// Sub returns a message in a field, which is part of the outer message's memory.
func (f Field) Sub() (Message, error) { return f.Bytes() }

// AppendIntegers adds the field's integers to list: one of them, or many that are packed.
func (f Field) AppendIntegers(list []int64) ([]int64, error) {
	if f.kind == protowire.VarintType {
		return append(list, int64(f.number)), nil
	}
	b, err := f.Bytes()
	for len(b) > 0 && err == nil {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return list, protowire.ParseError(n)
		}
		list, b = append(list, int64(v)), b[n:]
	}
	return list, err
}

// AppendFloats adds the field's floats to list: one of them, or many that are packed.
func (f Field) AppendFloats(list []float32) ([]float32, error) {
	if f.kind == protowire.Fixed32Type {
		return append(list, math.Float32frombits(uint32(f.number))), nil
	}
	b, err := f.Bytes()
	for len(b) > 0 && err == nil {
		v, n := protowire.ConsumeFixed32(b)
		if n < 0 {
			return list, protowire.ParseError(n)
		}
		list, b = append(list, math.Float32frombits(v)), b[n:]
	}
	return list, err
}

// AppendDoubles adds the field's doubles to list: one of them, or many that are packed.
func (f Field) AppendDoubles(list []float64) ([]float64, error) {
	if f.kind == protowire.Fixed64Type {
		return append(list, math.Float64frombits(f.number)), nil
	}
	b, err := f.Bytes()
	for len(b) > 0 && err == nil {
		v, n := protowire.ConsumeFixed64(b)
		if n < 0 {
			return list, protowire.ParseError(n)
		}
		list, b = append(list, math.Float64frombits(v)), b[n:]
	}
	return list, err
}

package onnx

import (
	"fmt"

	"github.com/gputrain/gputrain/internal/protobuf"
)

// The types below are the messages of onnx.proto as far as a classifier needs them. They share the file's memory. Their numbers
// of fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.

// modelProto is a ModelProto.
type modelProto struct {
	producer, version string
	opset             int64            // of ONNX's own operators; 0 if the file names none
	domains           map[string]int64 // the versions of other operators
	metadata          map[string]string
	functions         int // how many functions the model defines
	graph             *graphProto

	bounds    map[string]*array // constants that modernise made
	exhausted bool              // whether it makes more values than a reader allows
}

// graphProto is a GraphProto.
type graphProto struct {
	name            string
	nodes           []*nodeProto
	constants       []*tensorProto
	sparse          int // number of sparse constants
	inputs, outputs []valueProto
}

// valueProto is a ValueInfoProto.
type valueProto struct {
	name   string
	tensor bool
	typ    int64   // element type
	dims   []int64 // 0 or less: of any size
	ranked bool    // whether dims say anything
}

// nodeProto is a NodeProto.
type nodeProto struct {
	index           int
	name, op        string
	domain          string
	inputs, outputs []string
	attributes      map[string]*attributeProto
}

// attributeProto is an AttributeProto.
type attributeProto struct {
	kind   int64
	float  float32
	number int64
	text   string
	tensor *tensorProto
	ints   []int64
	floats []float32
}

// tensorProto is a TensorProto.
type tensorProto struct {
	name     string
	dims     []int64
	typ      int64
	raw      []byte
	floats   []float32
	ints     []int64 // int32_data or int64_data
	doubles  []float64
	external bool
	place    map[string]string // where external data lie
}

// parseModel reads a ModelProto.
func parseModel(b []byte) (*modelProto, error) {
	m := &modelProto{domains: map[string]int64{}, metadata: map[string]string{}}
	err := protobuf.Message(b).Each(func(f protobuf.Field) (err error) {
		switch f.Number {
		case 2:
			m.producer, err = f.Text()
		case 3:
			m.version, err = f.Text()
		case 7:
			var sub protobuf.Message
			if sub, err = f.Sub(); err == nil {
				m.graph, err = parseGraph(sub)
			}
		case 8:
			var domain string
			var version int64
			err = each(f, func(f protobuf.Field) (err error) {
				switch f.Number {
				case 1:
					domain, err = f.Text()
				case 2:
					version, err = f.Integer()
				}
				return err
			})
			if domain == "" || domain == "ai.onnx" {
				m.opset = version
			} else {
				m.domains[domain] = version
			}
		case 14:
			var key, value string
			if key, value, err = parsePair(f); err == nil {
				m.metadata[key] = value
			}
		case 25:
			m.functions++
		}
		return err
	})
	return m, err
}

// each calls do for each field of a message in a field.
func each(f protobuf.Field, do func(protobuf.Field) error) error {
	sub, err := f.Sub()
	if err != nil {
		return err
	}
	return sub.Each(do)
}

// parsePair reads a StringStringEntryProto.
func parsePair(f protobuf.Field) (key, value string, err error) {
	err = each(f, func(f protobuf.Field) (err error) {
		switch f.Number {
		case 1:
			key, err = f.Text()
		case 2:
			value, err = f.Text()
		}
		return err
	})
	return key, value, err
}

// parseGraph reads a GraphProto.
func parseGraph(m protobuf.Message) (*graphProto, error) {
	g := &graphProto{}
	err := m.Each(func(f protobuf.Field) (err error) {
		switch f.Number {
		case 1:
			n := &nodeProto{index: len(g.nodes), attributes: map[string]*attributeProto{}}
			err = each(f, n.field)
			g.nodes = append(g.nodes, n)
		case 2:
			g.name, err = f.Text()
		case 5:
			var t *tensorProto
			t, err = parseTensor(f)
			g.constants = append(g.constants, t)
		case 11, 12:
			var v valueProto
			err = each(f, v.field)
			if f.Number == 11 {
				g.inputs = append(g.inputs, v)
			} else {
				g.outputs = append(g.outputs, v)
			}
		case 15:
			g.sparse++
		}
		return err
	})
	return g, err
}

// field takes a field of a NodeProto.
func (n *nodeProto) field(f protobuf.Field) (err error) {
	text := func(list []string) []string {
		var s string
		s, err = f.Text()
		return append(list, s)
	}
	switch f.Number {
	case 1:
		n.inputs = text(n.inputs)
	case 2:
		n.outputs = text(n.outputs)
	case 3:
		n.name, err = f.Text()
	case 4:
		n.op, err = f.Text()
	case 5:
		var name string
		a := &attributeProto{}
		if err = each(f, func(f protobuf.Field) (err error) {
			if f.Number == 1 {
				name, err = f.Text()
				return err
			}
			return a.field(f)
		}); err == nil {
			n.attributes[name] = a
		}
	case 7:
		if n.domain, err = f.Text(); n.domain == "ai.onnx" {
			n.domain = ""
		}
	}
	return err
}

// field takes a field of an AttributeProto. Graphs in attributes are not read: operators that have any are refused.
func (a *attributeProto) field(f protobuf.Field) (err error) {
	switch f.Number {
	case 2:
		a.float, err = f.Float()
	case 3:
		a.number, err = f.Integer()
	case 4:
		a.text, err = f.Text()
	case 5:
		a.tensor, err = parseTensor(f)
	case 7:
		a.floats, err = f.AppendFloats(a.floats)
	case 8:
		a.ints, err = f.AppendIntegers(a.ints)
	case 20:
		a.kind, err = f.Integer()
	}
	return err
}

// parseTensor reads a TensorProto.
func parseTensor(f protobuf.Field) (*tensorProto, error) {
	t := &tensorProto{}
	err := each(f, func(f protobuf.Field) (err error) {
		switch f.Number {
		case 1:
			t.dims, err = f.AppendIntegers(t.dims)
		case 2:
			t.typ, err = f.Integer()
		case 3:
			return fmt.Errorf("a tensor in segments, which nothing writes")
		case 4:
			t.floats, err = f.AppendFloats(t.floats)
		case 5, 7:
			t.ints, err = f.AppendIntegers(t.ints)
		case 8:
			t.name, err = f.Text()
		case 9:
			t.raw, err = f.Bytes()
		case 10:
			t.doubles, err = f.AppendDoubles(t.doubles)
		case 13:
			var key, value string
			if key, value, err = parsePair(f); err == nil {
				if t.place == nil {
					t.place = map[string]string{}
				}
				t.place[key] = value
			}
		case 14:
			var place int64
			place, err = f.Integer()
			t.external = place == 1
		}
		return err
	})
	return t, err
}

// field takes a field of a ValueInfoProto.
func (v *valueProto) field(f protobuf.Field) (err error) {
	switch f.Number {
	case 1:
		v.name, err = f.Text()
	case 2: // TypeProto
		return each(f, func(f protobuf.Field) error {
			if f.Number != 1 {
				return nil
			}
			v.tensor = true
			return each(f, v.tensorField)
		})
	}
	return err
}

// tensorField takes a field of a TypeProto.Tensor.
func (v *valueProto) tensorField(f protobuf.Field) (err error) {
	switch f.Number {
	case 1:
		v.typ, err = f.Integer()
	case 2: // TensorShapeProto
		v.ranked = true
		return each(f, func(f protobuf.Field) error {
			if f.Number != 1 {
				return nil
			}
			var dim int64
			err := each(f, func(f protobuf.Field) (err error) {
				if f.Number == 1 {
					dim, err = f.Integer()
				}
				return err
			})
			v.dims = append(v.dims, dim)
			return err
		})
	}
	return err
}

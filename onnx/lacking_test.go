package onnx

import (
	"testing"

	"github.com/gputrain/gputrain/internal/protobuf"
	"github.com/gputrain/gputrain/net"
)

// modelOf is a model with one operator, whose other inputs than "x", the images, are nobody's.
func modelOf(op string, inputs ...string) []byte {
	var m protobuf.Message
	m.Integer(1, IRVersion)
	m.Sub(7, func(m *protobuf.Message) {
		m.Sub(1, node{op: op, name: "node", inputs: inputs, output: "y"}.fill)
		m.Sub(5, constant{name: "c", floats: []float32{2}}.fill)
		m.Sub(11, func(m *protobuf.Message) { valueInfo(m, "x", 3, 4, 4) })
		m.Sub(12, func(m *protobuf.Message) { valueInfo(m, "y", 2) })
	})
	m.Sub(8, func(m *protobuf.Message) { m.Integer(2, Opset) })
	return m
}

// TestLacking reads operators without inputs, with too few, and with such that are left out: an error, and no panic.
func TestLacking(t *testing.T) {
	ops := []string{"Relu", "HardSwish", "Erf", "Tanh"}
	for op := range operators {
		ops = append(ops, op)
	}
	for _, op := range ops {
		for _, inputs := range [][]string{nil, {""}, {"x"}, {"c"}, {"", ""}, {"", "c"}, {"x", ""}, {"c", ""}, {"", "", "", "", ""}, {"x", "", "", "", ""}, {"x", "c", "", "", ""}} {
			if _, err := Read(modelOf(op, inputs...), ReadOptions{}); err != nil && err.Error() == "" {
				t.Errorf("%s of %q: an error without a text", op, inputs)
			} else if err == nil && (len(inputs) == 0 || inputs[0] == "") {
				t.Errorf("%s of %q was read", op, inputs)
			}
		}
	}
}

// TestTwoRoundings refuses a value that is taken by another step or zero point than it was rounded by.
func TestTwoRoundings(t *testing.T) {
	for _, c := range []struct {
		step float32
		zero int8
		ok   bool
	}{{0.5, 3, true}, {0.25, 3, false}, {0.5, 4, false}} {
		var m protobuf.Message
		m.Integer(1, IRVersion)
		m.Sub(7, func(m *protobuf.Message) {
			m.Sub(1, node{op: "QuantizeLinear", name: "q", inputs: []string{"x", "s", "z"}, output: "a"}.fill)
			m.Sub(1, node{op: "DequantizeLinear", name: "d", inputs: []string{"a", "s2", "z2"}, output: "b"}.fill)
			m.Sub(1, node{op: "Flatten", name: "f", inputs: []string{"b"}, output: "y"}.fill)
			for _, k := range []constant{{name: "s", floats: []float32{0.5}}, {name: "s2", floats: []float32{c.step}}, {name: "z", eight: []int8{3}}, {name: "z2", eight: []int8{c.zero}}} {
				m.Sub(5, k.fill)
			}
			m.Sub(11, func(m *protobuf.Message) { valueInfo(m, "x", 3, 4, 4) })
			m.Sub(12, func(m *protobuf.Message) { valueInfo(m, "y", 48) })
		})
		m.Sub(8, func(m *protobuf.Message) { m.Integer(2, Opset) })
		if _, err := Read(m, ReadOptions{}); (err == nil) != c.ok {
			t.Errorf("by %v and %d: %v", c.step, c.zero, err)
		}
	}
}

// TestGivesPositive wants layers known whose output can't be below 0, and no others.
func TestGivesPositive(t *testing.T) {
	above, any := &layer{positive: true}, &layer{}
	for _, c := range []struct {
		name string
		of   net.Layer
		from []*layer
		want bool
	}{
		{"ReLU6", &net.Activation{Func: net.ReLU6}, []*layer{any}, true},
		{"tanh", &net.Activation{Func: net.Tanh}, []*layer{above}, false},
		{"batch normalisation", &net.BatchNorm{}, []*layer{above}, false},
		{"a convolution", &net.Conv{}, []*layer{above}, false},
		{"max pooling", &net.Pool{}, []*layer{above}, true},
		{"max pooling of any", &net.Pool{}, []*layer{any}, false},
		{"L2 pooling of any", &net.Pool{Mode: net.L2Pool}, []*layer{any}, true},
		{"a factor below 0", &net.Scale{Factor: -1}, []*layer{above}, false},
		{"a factor above 0", &net.Scale{Factor: 2}, []*layer{above}, true},
		{"squares", &net.Multiply{}, []*layer{any, any}, true},
		{"products", &net.Multiply{}, []*layer{any, above}, false},
		{"a sum", &net.Add{}, []*layer{above, above}, true},
		{"a sum with any", &net.Add{}, []*layer{above, any}, false},
		{"the input", &net.Flatten{}, []*layer{nil}, false},
	} {
		if got := (&reader{}).givesPositive(c.of, c.from); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if !(&reader{positive: true}).givesPositive(&net.Flatten{}, []*layer{nil}) {
		t.Error("an input that is cut off at 0 isn't positive")
	}
}

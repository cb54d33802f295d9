package net

import (
	"encoding/json"
	"fmt"
)

// Network returns a network with the example's layer in its midst: one
// convolution for each of its inputs, with global pooling behind it where that is
// one pixel of a larger image, and a dense layer behind it.
func (e Example) Network() *Network {
	n := &Network{Name: "example of " + e.Layer.Kind(), Input: Shape{C: 2, H: 1, W: 1}}
	for _, in := range e.In {
		n.Input.H, n.Input.W = max(n.Input.H, in.H), max(n.Input.W, in.W)
	}
	var from From
	for i, in := range e.In {
		name := fmt.Sprintf("in%d", i+1)
		n.Layers = append(n.Layers, &Conv{Name: name, From: From{inputName}, Filters: in.C, Kernel: Square(1)})
		if in.H != n.Input.H || in.W != n.Input.W {
			name += "_pooled"
			n.Layers = append(n.Layers, &Pool{Name: name, Mode: MeanPool, Global: true})
		}
		from = append(from, name)
	}
	n.Layers = append(n.Layers, named(e.Layer, "layer", from), &Flatten{}, &Dense{Units: 3})
	if _, err := n.Plan(); err != nil {
		panic(fmt.Sprintf("BUG: %s: %v", n.Name, err))
	}
	return n
}

// named returns a copy of a layer with another name and other inputs.
func named(l Layer, name string, from From) Layer {
	fields := map[string]any{}
	b, err := marshalLayer(l)
	if err == nil {
		err = json.Unmarshal(b, &fields)
	}
	fields["name"], fields["from"] = name, from
	if err == nil {
		b, err = json.Marshal(fields)
	}
	copied, err2 := unmarshalLayer(0, b)
	if err != nil || err2 != nil {
		panic(fmt.Sprintf("BUG: copying a layer of kind %s: %v, %v", l.Kind(), err, err2))
	}
	return copied
}

package devicetest

import (
	"encoding/json"
	"fmt"

	"github.com/gputrain/gputrain/net"
)

// ExampleName is the name of the example's layer in the network of
// [ExampleNetwork].
const ExampleName = "example"

// ExampleNetwork returns a network with three classes around an example of
// [net.Kinds]. Each input of the example's layer is the output of a convolution,
// so its gradient can be checked. It panics if the example is not valid.
func ExampleNetwork(ex net.Example) *net.Network {
	n := around(ex, alone)
	if _, err := n.Plan(); err != nil {
		panic(fmt.Sprintf("BUG: the example of %s: %v", ex.Layer.Kind(), err))
	}
	return n
}

// sharing tells whether other layers use the example's inputs too.
type sharing int

const (
	alone sharing = iota
	before
	behind
)

// around makes the same network as ExampleNetwork, but the layers may not fit.
// Other layers may use the example's inputs too, before or after it.
func around(ex net.Example, s sharing) *net.Network {
	in := net.Shape{C: 2, H: 1, W: 1}
	for _, s := range ex.In {
		in.H, in.W = max(in.H, s.H), max(in.W, s.W)
	}
	n := &net.Network{Name: ex.Layer.Kind(), Input: in}
	var from net.From
	for i, s := range ex.In {
		name := fmt.Sprintf("input%d", i+1)
		n.Layers = append(n.Layers, &net.Conv{
			Name: name, From: net.From{"input"}, Filters: s.C, Kernel: net.Pair{H: in.H - s.H + 1, W: in.W - s.W + 1},
		})
		from = append(from, name)
	}
	layer := []net.Layer{connected(ex.Layer, ExampleName, from), &net.Flatten{Name: "flat"}}
	if s == alone {
		n.Layers = append(append(n.Layers, layer...), &net.Dense{Units: 3})
		return n
	}
	var others []net.Layer
	joined := net.From{"flat"}
	for i, name := range from {
		other := fmt.Sprintf("other%d", i+1)
		others = append(others, &net.Scale{From: net.From{name}, Factor: 0.5}, &net.Flatten{Name: other})
		joined = append(joined, other)
	}
	if s == before {
		layer, others = others, layer
	}
	n.Layers = append(append(append(n.Layers, layer...), others...), &net.Concat{From: joined}, &net.Dense{Units: 3})
	return n
}

// outputShape returns the shape of a layer's output for inputs of the given
// shapes.
func outputShape(l net.Layer, in []net.Shape) (net.Shape, error) {
	n := around(net.Example{Layer: l, In: in}, alone)
	plan, err := n.Plan()
	if err != nil {
		return net.Shape{}, err
	}
	return plan.Nodes[len(n.Layers)-3].Out, nil
}

// connected returns a copy of a layer with another name and other inputs.
func connected(l net.Layer, name string, from net.From) net.Layer {
	kind, _ := net.KindNamed(l.Kind())
	out := kind.New()
	fieldsOfPlace := map[string]any{"name": name}
	if len(from) > 0 {
		fieldsOfPlace["from"] = from
	}
	place, err := json.Marshal(fieldsOfPlace)
	if err != nil {
		panic(fmt.Sprintf("BUG: %v", err))
	}
	fields, err := json.Marshal(l)
	if err != nil {
		panic(fmt.Sprintf("BUG: %v", err))
	}
	for _, b := range [][]byte{fields, place} {
		if err := json.Unmarshal(b, out); err != nil {
			panic(fmt.Sprintf("BUG: %v", err))
		}
	}
	return out
}

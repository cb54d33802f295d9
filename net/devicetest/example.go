package devicetest

import (
	"encoding/json"
	"fmt"

	"github.com/gputrain/gputrain/net"
)

// ExampleName is the name of the example's layer in an [ExampleNetwork].
const ExampleName = "example"

// ExampleNetwork returns a network of three classes around an example of
// [net.Kinds]. Each of the layer's inputs is the output of a convolution, so that
// its gradient shows. It panics where the example doesn't fit together.
func ExampleNetwork(ex net.Example) *net.Network {
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
	n.Layers = append(n.Layers, connected(ex.Layer, ExampleName, from), &net.Flatten{}, &net.Dense{Units: 3})
	if _, err := n.Plan(); err != nil {
		panic(fmt.Sprintf("BUG: the example of %s: %v", ex.Layer.Kind(), err))
	}
	return n
}

// connected returns a copy of a layer with another name and other inputs.
func connected(l net.Layer, name string, from net.From) net.Layer {
	kind, _ := net.KindNamed(l.Kind())
	out := kind.New()
	place, err := json.Marshal(map[string]any{"name": name, "from": from})
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

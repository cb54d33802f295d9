package net

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// Network describes a model: the shape of its input and its layers, which make a graph.
// It holds no weights. A layer's From names earlier layers only, so the layers can be
// computed in their order and there is no cycle. The last layer's output must be a
// vector, (C, 1, 1). Its values are the logits, one for each class. [ParseNetwork] reads
// a network from JSON, json.Marshal writes it.
type Network struct {
	Name   string
	Input  Shape
	Layers []Layer
}

// LayerError is an error in one layer of a network.
type LayerError struct {
	Index int      // position in Network.Layers, from 0
	Name  string   // the layer's name, given or derived
	From  []string // the names of its inputs; nil if they could not be resolved
	In    []Shape  // the shapes of these inputs
	Out   Shape    // the shape of its output; the zero Shape if it could not be computed
	Err   error    // the reason
}

// Error names the layer, its index, its inputs and the shapes.
func (e *LayerError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "layer %d (%s): %v", e.Index, e.Name, e.Err)
	for i, in := range e.In {
		switch {
		case i > 0:
			fmt.Fprintf(&b, ", %s %v", e.From[i], in)
		case len(e.In) > 1:
			fmt.Fprintf(&b, "; inputs %s %v", e.From[i], in)
		case e.From[i] == inputName:
			fmt.Fprintf(&b, "; input %v", in)
		default:
			fmt.Fprintf(&b, "; input %s %v", e.From[i], in)
		}
	}
	if len(e.In) > 0 {
		if e.Out != (Shape{}) {
			fmt.Fprintf(&b, ", output %v", e.Out)
		} else {
			b.WriteString(", no output shape")
		}
	}
	return b.String()
}

// Unwrap returns e.Err.
func (e *LayerError) Unwrap() error { return e.Err }

// Role is a parameter's role in its layer. It is the last part of the parameter's name.
type Role string

// The roles.
const (
	Weight      Role = "weight"
	Bias        Role = "bias"
	RunningMean Role = "running_mean"
	RunningVar  Role = "running_var"
)

// Param describes one parameter of a planned network.
type Param struct {
	Name    string // layer name, dot, role: "conv1.weight"; unique in the network
	Layer   int    // index of its layer
	Role    Role
	Dims    []int // row-major
	Trained bool  // the optimiser updates it by its gradient; false for frozen parameters and running statistics
	Decayed bool  // weight decay applies to it (weights of convolutions and dense layers only)
	Init    Initializer
	FanIn   int // how many inputs each output depends on; it scales initial values
	FanOut  int // how many outputs each input contributes to; likewise
	Groups  int // groups of channels, for a convolution's weight; 0 for other parameters
}

// Size returns the number of values in the parameter.
func (p Param) Size() int {
	n := 1
	for _, d := range p.Dims {
		n *= d
	}
	return n
}

// NetworkInput is the index in [Node].Inputs that means the network's input.
const NetworkInput = -1

// Node is a layer in its place in the graph, with its shapes and parameters inferred.
type Node struct {
	Index  int    // position in Plan.Nodes and in Network.Layers
	Name   string // given, or derived from kind and count: "conv1"
	Layer  Layer
	Inputs []int   // indices of the nodes whose outputs it takes, in order; NetworkInput means the network's input. An index may occur twice
	Uses   []int   // indices of the nodes that take its output, in order, each as often as it does; empty for the last node
	Ins    []Shape // the shapes of Inputs
	In     Shape   // the first of Ins
	Out    Shape
	Window Window // for Conv and Pool: kernel, stride, padding and output size
	Params []Param
	// Flat says that the output is a vector. It matters only for frameworks that tell a
	// vector of n values, of rank 2, from an image of n channels and one pixel, of rank 4.
	// On a device the two are the same: a layer for images may take a vector, and a layer
	// for vectors an image of one pixel. An export to such a framework adds a reshape
	// there.
	Flat bool
	// Learns says that the output has a gradient: a parameter is trained, either of this
	// node or of a node before it in the graph. The backward pass skips other nodes.
	Learns bool
}

// Weights returns the number of trained values.
func (n Node) Weights() int {
	sum := 0
	for _, p := range n.Params {
		if p.Trained {
			sum += p.Size()
		}
	}
	return sum
}

// Parameters returns the number of trained and frozen values, without running statistics.
// Papers count the same.
func (n Node) Parameters() int {
	sum := 0
	for _, p := range n.Params {
		if p.Role == Weight || p.Role == Bias {
			sum += p.Size()
		}
	}
	return sum
}

// Keeps reports whether, in evaluation, the layer's output has the same values as its
// input. For example, this is so for dropout. See [Kind].
func (n Node) Keeps() bool {
	k, _ := KindNamed(n.Layer.Kind())
	return k.Keeps
}

// MulAdds returns the number of multiply-adds of one sample's forward pass through a
// convolution or dense layer. Those with padding don't count. It is 0 for other layers.
func (n Node) MulAdds() int64 {
	switch l := n.Layer.(type) {
	case *Conv:
		return n.Window.Taps(n.In) * int64(n.In.C/l.GroupCount()) * int64(n.Out.C)
	case *Dense:
		return int64(n.In.C) * int64(n.Out.C)
	case *Pool, *Activation, *Dropout, *BatchNorm, *Flatten, *Add, *Concat, *Multiply, *Scale:
		return 0
	}
	panic(fmt.Sprintf("BUG: layer %s of kind %s", n.Name, n.Layer.Kind()))
}

// Plan is a network with every connection, shape, window and parameter inferred.
type Plan struct {
	Network *Network
	Nodes   []Node  // one for each layer, in the order of Network.Layers
	Params  []Param // the parameters of all nodes, in the order of the nodes
	Classes int     // number of classes: the length of the logits
}

// Trained returns the parameters that the optimiser updates, in order.
func (p *Plan) Trained() []Param {
	return slices.DeleteFunc(slices.Clone(p.Params), func(q Param) bool { return !q.Trained })
}

// Frozen returns the plan as if every parameter were frozen. Nothing learns, so devices
// need no memory for gradients. The result shares the rest of p's memory.
func (p *Plan) Frozen() *Plan {
	frozen := *p
	still := func(params []Param) []Param {
		params = slices.Clone(params)
		for i := range params {
			params[i].Trained = false
		}
		return params
	}
	frozen.Params, frozen.Nodes = still(p.Params), slices.Clone(p.Nodes)
	for i := range frozen.Nodes {
		n := &frozen.Nodes[i]
		n.Params, n.Learns = still(n.Params), false
	}
	return &frozen
}

// Weights returns the number of trained values.
func (p *Plan) Weights() int { return p.sum(Node.Weights) }

// Parameters returns the number of trained and frozen values.
func (p *Plan) Parameters() int { return p.sum(Node.Parameters) }

func (p *Plan) sum(of func(Node) int) int {
	sum := 0
	for _, n := range p.Nodes {
		sum += of(n)
	}
	return sum
}

// MulAdds returns the number of multiply-adds of one sample's forward pass. Those with
// padding don't count.
func (p *Plan) MulAdds() int64 {
	var sum int64
	for _, n := range p.Nodes {
		sum += n.MulAdds()
	}
	return sum
}

// InputName returns the name of a node, or "input" for NetworkInput.
func (p *Plan) InputName(node int) string {
	if node == NetworkInput {
		return inputName
	}
	return p.Nodes[node].Name
}

// inputName is the name in From that means the network's input.
const inputName = "input"

// derivedName returns the name of a layer without one: its kind (for activations the
// function) and its number among such layers. The number counts from 1 and includes
// layers with names. Names that are taken are skipped.
func derivedName(l Layer, count, taken map[string]int) string {
	base := l.Kind()
	if a, ok := l.(*Activation); ok {
		base = string(a.Func)
	}
	for {
		count[base]++
		name := fmt.Sprintf("%s%d", base, count[base])
		if j, ok := taken[name]; !ok || j == NetworkInput {
			return name
		}
	}
}

// Plan checks the network, resolves its connections and infers every layer's shapes,
// window and parameters. If a layer is wrong, the error is a *LayerError.
func (n *Network) Plan() (*Plan, error) {
	if err := n.Input.check(); err != nil {
		return nil, fmt.Errorf("input shape: %w", err)
	}
	if len(n.Layers) == 0 {
		return nil, errors.New("a network needs at least one layer")
	}
	if strings.ContainsFunc(n.Name, unicode.IsControl) {
		return nil, fmt.Errorf("name %q: has control characters", n.Name)
	}
	plan := &Plan{Network: n, Nodes: make([]Node, 0, len(n.Layers))}
	count, named := map[string]int{}, map[string]int{inputName: NetworkInput}
	for i, l := range n.Layers {
		if l == nil {
			return nil, &LayerError{Index: i, Name: "nil", Err: errors.New("is nil")}
		}
		name := l.common().name
		if name == "" {
			name = derivedName(l, count, named)
		} else {
			derivedName(l, count, nil) // is counted too
		}
		node, err := plan.node(i, name, l, named)
		if err != nil {
			return nil, &LayerError{Index: i, Name: name, From: plan.names(node.Inputs), In: node.Ins, Out: node.Out, Err: err}
		}
		named[name] = i
		for _, from := range node.Inputs {
			if from != NetworkInput {
				plan.Nodes[from].Uses = append(plan.Nodes[from].Uses, i)
			}
		}
		plan.Nodes = append(plan.Nodes, node)
		plan.Params = append(plan.Params, node.Params...)
	}
	last := len(plan.Nodes) - 1
	for i, node := range plan.Nodes {
		fail := func(format string, a ...any) error {
			return &LayerError{Index: i, Name: node.Name, From: plan.names(node.Inputs), In: node.Ins, Out: node.Out, Err: fmt.Errorf(format, a...)}
		}
		switch {
		case i < last && len(node.Uses) == 0:
			return nil, fail("no layer takes its output")
		case i == last && (node.Out.H != 1 || node.Out.W != 1 || node.Out.C < 2):
			return nil, fail("the last layer must give a flat vector of at least 2 logits")
		}
	}
	plan.Classes = plan.Nodes[last].Out.C
	return plan, nil
}

// names returns the names of nodes.
func (p *Plan) names(nodes []int) []string {
	var names []string
	for _, i := range nodes {
		names = append(names, p.InputName(i))
	}
	return names
}

// node plans layer i. With an error, it also returns what it knows so far. named holds
// the indices of the nodes before it, by name.
func (p *Plan) node(i int, name string, l Layer, named map[string]int) (Node, error) {
	if err := checkName(name); err != nil {
		return Node{}, err
	}
	if j, ok := named[name]; ok && j != NetworkInput {
		return Node{}, fmt.Errorf("layer %d has the same name", j)
	}
	fields := l.common()
	partial := Node{Index: i, Name: name, Layer: l}
	for _, from := range fields.from {
		j, ok := named[from]
		if !ok {
			for _, later := range p.Network.Layers[i:] {
				if later != nil && later.common().name == from {
					return Node{}, fmt.Errorf("from: layer %q does not stand before it", from)
				}
			}
			return Node{}, fmt.Errorf("from: no layer before it is named %q", from)
		}
		partial.Inputs = append(partial.Inputs, j)
	}
	if len(fields.from) == 0 {
		partial.Inputs = []int{i - 1} // NetworkInput for the first
	}
	flat := true
	for _, j := range partial.Inputs {
		if j == NetworkInput {
			partial.Ins, flat = append(partial.Ins, p.Network.Input), false
			continue
		}
		partial.Ins = append(partial.Ins, p.Nodes[j].Out)
		flat = flat && p.Nodes[j].Flat
	}
	kind, ok := KindNamed(l.Kind())
	if !ok {
		return partial, fmt.Errorf("BUG: kind %s is not listed", l.Kind())
	}
	switch least, most, got := kind.Inputs[0], kind.Inputs[1], len(partial.Inputs); {
	case got < least && len(fields.from) == 0:
		return partial, fmt.Errorf("name its %d inputs: \"from\": [\"one layer\", \"another\"]", least)
	case got < least:
		return partial, fmt.Errorf("takes at least %d inputs, got %d", least, got)
	case most > 0 && got > most:
		return partial, fmt.Errorf("takes %d, not %d inputs", most, got)
	}
	node, err := l.plan(partial.Ins)
	if err != nil {
		return partial, err
	}
	partial.Out, partial.Window = node.Out, node.Window
	if err := node.Out.check(); err != nil {
		return partial, err
	}
	partial.In, partial.Params = partial.Ins[0], node.Params
	partial.Flat = kind.Form == Vector || kind.Form == SameForm && flat
	for _, r := range fields.frozen.Roles {
		if !slices.ContainsFunc(node.Params, func(q Param) bool { return q.Role == r && q.Trained }) {
			return partial, fmt.Errorf("frozen: it has no %s to train", r)
		}
	}
	for k := range partial.Params {
		q := &partial.Params[k]
		q.Layer, q.Name = i, name+"."+string(q.Role)
		q.Trained = q.Trained && !fields.frozen.has(q.Role)
		if _, err := product(q.Dims...); err != nil {
			return partial, fmt.Errorf("%s: %w", q.Role, err)
		}
		if err := q.checkInit(); err != nil {
			return partial, fmt.Errorf("%s: %w", q.Role, err)
		}
		if q.Init.Method == Whitening {
			w := partial.Window
			switch {
			case q.Role == Bias && partial.Params[0].Init.Method != Whitening:
				return partial, fmt.Errorf("%s: initial values: whitening is for a convolution whose weights are whitening, too", q.Role)
			case partial.Inputs[0] != NetworkInput:
				return partial, fmt.Errorf("%s: initial values: whitening is for a convolution on the network's input", q.Role)
			case (w.KernelH-1)*w.DilationH >= partial.In.H || (w.KernelW-1)*w.DilationW >= partial.In.W:
				return partial, fmt.Errorf("%s: initial values: whitening needs a kernel that fits into the image without padding", q.Role)
			}
		}
		partial.Learns = partial.Learns || q.Trained
	}
	for _, j := range partial.Inputs {
		partial.Learns = partial.Learns || j != NetworkInput && p.Nodes[j].Learns
	}
	return partial, nil
}

// checkName returns an error for a name that is no safe part of a parameter's name or of
// a file.
func checkName(name string) error {
	for _, r := range name {
		if !(r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return fmt.Errorf("name %q: use letters, digits, _ and - only", name)
		}
	}
	return nil
}

// networkJSON is a Network's form in JSON.
type networkJSON struct {
	Name   string            `json:"name,omitempty"`
	Input  Shape             `json:"input"`
	Layers []json.RawMessage `json:"layers"`
}

// MarshalJSON writes the network as an object of name, input and layers; each
// layer has its kind as "type".
func (n *Network) MarshalJSON() ([]byte, error) {
	out := networkJSON{Name: n.Name, Input: n.Input, Layers: []json.RawMessage{}}
	for i, l := range n.Layers {
		if l == nil {
			return nil, fmt.Errorf("layer %d is nil", i)
		}
		b, err := marshalLayer(l)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		out.Layers = append(out.Layers, b)
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes. It refuses unknown fields and
// layer types, but does not check shapes: Plan does.
func (n *Network) UnmarshalJSON(b []byte) error {
	var in networkJSON
	if err := strictUnmarshal(b, &in); err != nil {
		return err
	}
	out := Network{Name: in.Name, Input: in.Input}
	for i, raw := range in.Layers {
		l, err := unmarshalLayer(i, raw)
		if err != nil {
			return err
		}
		out.Layers = append(out.Layers, l)
	}
	*n = out
	return nil
}

// ParseNetwork reads a network from JSON and checks it with Plan. The JSON may
// begin with a UTF-8 byte-order mark, as some editors write it.
func ParseNetwork(r io.Reader) (*Network, error) {
	b, err := readJSON(r)
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	var n Network
	if err := strictUnmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	if _, err := n.Plan(); err != nil {
		if n.Name != "" {
			return nil, fmt.Errorf("network %s: %w", n.Name, err)
		}
		return nil, fmt.Errorf("network: %w", err)
	}
	return &n, nil
}

package net

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Network describes a model: the shape of its input and a chain of layers. It
// holds no numbers. The last layer's output must be flat; its values are the
// logits, one a class. [ParseNetwork] reads one from JSON; json.Marshal writes
// it.
type Network struct {
	Name   string
	Input  Shape
	Layers []Layer
}

// LayerError is what is wrong with one layer of a network.
type LayerError struct {
	Index int    // position in Network.Layers, from 0
	Name  string // the layer's name, given or derived
	In    Shape  // the shape that reaches the layer; zero if unknown
	Out   Shape  // the shape that it would give; zero if it gives none
	Err   error
}

// Error names the layer, its index and the shapes.
func (e *LayerError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "layer %d (%s): %v", e.Index, e.Name, e.Err)
	if e.In != (Shape{}) {
		fmt.Fprintf(&b, "; input %v", e.In)
		if e.Out != (Shape{}) {
			fmt.Fprintf(&b, ", output %v", e.Out)
		} else {
			b.WriteString(", no output shape")
		}
	}
	return b.String()
}

// Unwrap returns the reason.
func (e *LayerError) Unwrap() error { return e.Err }

// Role says what a parameter is to its layer. It is the last part of the
// parameter's name.
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
	Trained bool  // has a gradient and is updated by the optimiser
	Decayed bool  // weight decay applies (convolution and dense weights only)
	Init    Initializer
	FanIn   int // inputs that one output sees, for Init
	FanOut  int // outputs that one input reaches, for Init
}

// Size returns the number of values.
func (p Param) Size() int {
	n := 1
	for _, d := range p.Dims {
		n *= d
	}
	return n
}

// PlannedLayer is a layer with everything inferred.
type PlannedLayer struct {
	Index   int
	Name    string // given, or derived from kind and count: "conv1"
	Layer   Layer
	In, Out Shape
	Window  Window // of Conv and Pool
	Params  []Param
}

// Weights returns the number of trained values.
func (l PlannedLayer) Weights() int {
	n := 0
	for _, p := range l.Params {
		if p.Trained {
			n += p.Size()
		}
	}
	return n
}

// MulAdds returns the multiply-adds of one sample's forward pass through a
// convolution or dense layer, without those that meet padding; 0 for others.
func (l PlannedLayer) MulAdds() int64 {
	switch l.Layer.(type) {
	case *Conv:
		return l.Window.Taps(l.In) * int64(l.In.C) * int64(l.Out.C)
	case *Dense:
		return int64(l.In.C) * int64(l.Out.C)
	}
	return 0
}

// Plan is a network with every shape, window and parameter inferred.
type Plan struct {
	Network *Network
	Layers  []PlannedLayer
	Params  []Param // of all layers, in order
	Classes int     // length of the logits
}

// Trained returns the parameters that the optimiser updates, in order.
func (p *Plan) Trained() []Param {
	return slices.DeleteFunc(slices.Clone(p.Params), func(q Param) bool { return !q.Trained })
}

// Weights returns the number of trained values.
func (p *Plan) Weights() int {
	n := 0
	for _, l := range p.Layers {
		n += l.Weights()
	}
	return n
}

// MulAdds returns the multiply-adds of one sample's forward pass, without those
// that meet padding.
func (p *Plan) MulAdds() int64 {
	var n int64
	for _, l := range p.Layers {
		n += l.MulAdds()
	}
	return n
}

// derivedName returns the name of a layer without one: its kind (for
// activations the function) and a count of such layers from 1.
func derivedName(l Layer, count map[string]int) string {
	base := l.Kind()
	if a, ok := l.(*Activation); ok {
		base = string(a.Func)
	}
	count[base]++
	return fmt.Sprintf("%s%d", base, count[base])
}

// Plan checks the network and infers every layer's shapes, window and
// parameters. A wrong network gives a *LayerError where one layer is to blame.
func (n *Network) Plan() (*Plan, error) {
	if err := n.Input.check(); err != nil {
		return nil, fmt.Errorf("input shape: %w", err)
	}
	if len(n.Layers) == 0 {
		return nil, errors.New("a network needs at least one layer")
	}
	plan := &Plan{Network: n, Layers: make([]PlannedLayer, 0, len(n.Layers))}
	count, seen := map[string]int{}, map[string]int{}
	in := n.Input
	for i, l := range n.Layers {
		if l == nil {
			return nil, &LayerError{Index: i, Name: "nil", Err: errors.New("is nil")}
		}
		name := derivedName(l, count)
		if given := l.label(); given != "" {
			name = given
		}
		fail := func(out Shape, err error) error {
			return &LayerError{Index: i, Name: name, In: in, Out: out, Err: err}
		}
		if err := checkName(name); err != nil {
			return nil, fail(Shape{}, err)
		}
		if j, ok := seen[name]; ok {
			return nil, fail(Shape{}, fmt.Errorf("layer %d has the same name", j))
		}
		seen[name] = i
		p, err := l.plan(in)
		if err != nil {
			return nil, fail(Shape{}, err)
		}
		if err := p.Out.check(); err != nil {
			return nil, fail(p.Out, err)
		}
		p.Index, p.Name, p.Layer, p.In = i, name, l, in
		for k := range p.Params {
			q := &p.Params[k]
			q.Layer, q.Name = i, name+"."+string(q.Role)
			if _, err := product(q.Dims...); err != nil {
				return nil, fail(p.Out, fmt.Errorf("%s: %w", q.Role, err))
			}
			if err := q.Init.check(); err != nil {
				return nil, fail(p.Out, fmt.Errorf("%s: %w", q.Role, err))
			}
		}
		plan.Layers = append(plan.Layers, p)
		plan.Params = append(plan.Params, p.Params...)
		in = p.Out
	}
	last := plan.Layers[len(plan.Layers)-1]
	if in.H != 1 || in.W != 1 || in.C < 2 {
		return nil, &LayerError{
			Index: last.Index, Name: last.Name, In: last.In, Out: last.Out,
			Err: errors.New("the last layer must give a flat vector of at least 2 logits"),
		}
	}
	plan.Classes = in.C
	return plan, nil
}

// checkName refuses names that would not survive in a parameter's name or a
// file.
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
		var head struct {
			Type string `json:"type"`
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
		if err := json.Unmarshal(raw, &head); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
		l := newLayer(head.Type)
		if l == nil {
			return fmt.Errorf("layer %d: unknown type %q (want conv, pool, activation, dropout, batchnorm, flatten or dense)", i, head.Type)
		}
		delete(fields, "type")
		rest, err := json.Marshal(fields)
		if err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
		if err := strictUnmarshal(rest, l); err != nil {
			return fmt.Errorf("layer %d (%s): %w", i, head.Type, err)
		}
		out.Layers = append(out.Layers, l)
	}
	*n = out
	return nil
}

// strictUnmarshal decodes one JSON value and refuses unknown fields, and
// anything after the value.
func strictUnmarshal(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("data after the JSON value")
	}
	return nil
}

// ParseNetwork reads a network from JSON and checks it with Plan.
func ParseNetwork(r io.Reader) (*Network, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	var n Network
	if err := json.Unmarshal(b, &n); err != nil {
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

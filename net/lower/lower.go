// Package lower turns a plan into what a device runs: groups of layers that are computed
// as one, and the values between them. For each use of a value it says whether the
// gradient is written or added. Only this package decides which layers become a group, by
// [Patterns] and by what the device can compute. Devices, benchmarks and tables of layers
// all use these groups.
package lower

import (
	"slices"

	"github.com/gputrain/gputrain/net"
)

// Pattern is the name of a chain of layers that may be computed as one. The output of each
// layer except the last is used by the next layer only.
type Pattern string

// The patterns. Single is one layer by itself.
const (
	Single       Pattern = ""
	ConvReLUPool Pattern = "convolution, ReLU, max pooling"
	ConvPool     Pattern = "convolution, max pooling"
	ConvReLU     Pattern = "convolution, ReLU"
	DenseReLU    Pattern = "fully connected, ReLU"
	NormAddReLU  Pattern = "batch normalisation, sum, ReLU" // or ReLU6
	NormReLU     Pattern = "batch normalisation, ReLU"      // or ReLU6
	AddReLU      Pattern = "sum, ReLU"
)

// patterns lists the steps of each pattern. Of patterns that begin with the same steps,
// the longest comes first.
var patterns = []struct {
	pattern Pattern
	steps   []func(net.Layer) bool
}{
	{ConvReLUPool, []func(net.Layer) bool{isConv, isReLU, isMaxPool}},
	{ConvPool, []func(net.Layer) bool{isConv, isMaxPool}},
	{ConvReLU, []func(net.Layer) bool{isConv, isReLU}},
	{DenseReLU, []func(net.Layer) bool{isDense, isReLU}},
	{NormAddReLU, []func(net.Layer) bool{isNorm, isAdd, isRectifier}},
	{NormReLU, []func(net.Layer) bool{isNorm, isRectifier}},
	{AddReLU, []func(net.Layer) bool{isAdd, isReLU}},
}

// Patterns returns all patterns except Single.
func Patterns() []Pattern {
	var list []Pattern
	for _, p := range patterns {
		list = append(list, p.pattern)
	}
	return list
}

func isConv(l net.Layer) bool  { _, ok := l.(*net.Conv); return ok }
func isDense(l net.Layer) bool { _, ok := l.(*net.Dense); return ok }
func isNorm(l net.Layer) bool  { _, ok := l.(*net.BatchNorm); return ok }
func isAdd(l net.Layer) bool   { _, ok := l.(*net.Add); return ok }

func isReLU(l net.Layer) bool {
	a, ok := l.(*net.Activation)
	return ok && a.Func == net.ReLU
}

func isRectifier(l net.Layer) bool {
	a, ok := l.(*net.Activation)
	return ok && (a.Func == net.ReLU || a.Func == net.ReLU6)
}

func isMaxPool(l net.Layer) bool {
	p, ok := l.(*net.Pool)
	return ok && p.PoolMode() == net.MaxPool
}

// Fuser says which groups of layers a device can compute as one.
type Fuser interface {
	// Fuses reports whether the device computes nodes, which follow pattern p, as one.
	Fuses(p Pattern, nodes []net.Node) bool
}

// Program is a plan divided into groups, in the order in which they are computed.
type Program struct {
	Plan    *net.Plan
	Groups  []Group
	Values  []Value   // [0] is the network's input, [i+1] the output of Groups[i]; the last are the logits
	Visible []Visible // what can be read of each node of the plan
}

// Group is one layer, or several that are computed as one.
type Group struct {
	Pattern Pattern
	Nodes   []int   // indices of nodes of the plan, in order. A flatten layer is in no group, because it changes no value
	Inputs  []Input // the inputs of the first node, then those of later nodes that come from outside the group
}

// Head returns the group's first node.
func (p *Program) Head(g Group) net.Node { return p.Plan.Nodes[g.Nodes[0]] }

// Tail returns the group's last node, whose output is the group's.
func (p *Program) Tail(g Group) net.Node { return p.Plan.Nodes[g.Nodes[len(g.Nodes)-1]] }

// Input is a value that a group takes.
type Input struct {
	Value int // index in Program.Values
	// Wanted says that the group computes the gradient with respect to this input.
	Wanted bool
	// Adds says that the group adds this gradient to what is there, instead of writing
	// it. The backward pass goes through the uses of a value from the last to the first.
	// The first one that it meets writes the gradient, the others add theirs. Within a
	// group, it goes through the inputs from the last to the first as well.
	Adds bool
}

// Value is a value that flows between groups: the network's input, or a group's output.
type Value struct {
	Shape  net.Shape // of one sample. A group that takes the value after a flatten layer sees another shape of the same size
	Learns bool      // its gradient is computed
	Uses   []Use     // in the order of the groups
}

// Use is one use of a value: the indices of a group and of one of its inputs.
type Use struct{ Group, Input int }

// Visible says where a layer's output, and the gradient with respect to it, can be read. A
// value inside a group may exist nowhere.
type Visible struct {
	Value    int  // index in Program.Values
	Output   bool // the value is the layer's output
	Gradient bool // the value's gradient is that of the layer's output
}

// Lower divides a plan into groups for a device. f says which patterns the device can
// fuse; if it is nil, nothing is fused.
func Lower(plan *net.Plan, f Fuser) *Program {
	p := &Program{Plan: plan, Visible: make([]Visible, len(plan.Nodes))}
	taken := make([]bool, len(plan.Nodes))
	for i, n := range plan.Nodes {
		if _, flatten := n.Layer.(*net.Flatten); !flatten && !taken[i] {
			g := groupFrom(plan, i, f)
			for _, k := range g.Nodes {
				taken[k] = true
			}
			p.Groups = append(p.Groups, g)
		}
	}
	// A group is computed at the place of its last node. There all its inputs have been
	// computed, and everything that uses its output comes later.
	slices.SortFunc(p.Groups, func(a, b Group) int { return a.Nodes[len(a.Nodes)-1] - b.Nodes[len(b.Nodes)-1] })

	p.Values = []Value{{Shape: plan.Network.Input}}
	of := make([]int, len(plan.Nodes)) // the value that is a node's output
	for g := range p.Groups {
		tail := p.Tail(p.Groups[g])
		p.Values = append(p.Values, Value{Shape: tail.Out, Learns: tail.Learns})
		for _, k := range p.Groups[g].Nodes {
			of[k] = g + 1
			p.Visible[k].Value = g + 1
		}
		p.Visible[tail.Index] = Visible{g + 1, true, tail.Learns}
	}
	value := func(node int) int {
		if node == net.NetworkInput {
			return 0
		}
		return of[node]
	}
	for i, n := range plan.Nodes {
		if _, flatten := n.Layer.(*net.Flatten); flatten {
			from := n.Inputs[0]
			of[i] = value(from)
			p.Visible[i] = Visible{of[i], true, from != net.NetworkInput && len(plan.Nodes[from].Uses) == 1 && p.Visible[from].Gradient}
		}
	}
	for g := range p.Groups {
		group := &p.Groups[g]
		for at, k := range group.Nodes {
			for j, from := range plan.Nodes[k].Inputs {
				if at > 0 && j == 0 {
					continue // the node before, in the group
				}
				v := value(from)
				p.Values[v].Uses = append(p.Values[v].Uses, Use{g, len(group.Inputs)})
				group.Inputs = append(group.Inputs, Input{Value: v, Wanted: p.Values[v].Learns})
			}
		}
	}
	for _, v := range p.Values {
		for k, use := range v.Uses {
			p.Groups[use.Group].Inputs[use.Input].Adds = v.Learns && k < len(v.Uses)-1
		}
	}
	return p
}

// groupFrom returns the largest group that begins with node first.
func groupFrom(plan *net.Plan, first int, f Fuser) Group {
	for _, p := range patterns {
		var nodes []net.Node
		var indices []int
		for i, step := range p.steps {
			at := first
			if i > 0 {
				uses := nodes[i-1].Uses
				if len(uses) != 1 || plan.Nodes[uses[0]].Inputs[0] != nodes[i-1].Index {
					break
				}
				at = uses[0]
			}
			if !step(plan.Nodes[at].Layer) {
				break
			}
			nodes, indices = append(nodes, plan.Nodes[at]), append(indices, at)
		}
		if len(nodes) == len(p.steps) && f != nil && f.Fuses(p.pattern, nodes) {
			return Group{Pattern: p.pattern, Nodes: indices}
		}
	}
	return Group{Nodes: []int{first}}
}

package lower_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/lower"
)

// fuser fuses what it says yes to.
type fuser func(lower.Pattern, []net.Node) bool

func (f fuser) Fuses(p lower.Pattern, nodes []net.Node) bool { return f(p, nodes) }

func everything(lower.Pattern, []net.Node) bool { return true }

func plan(t *testing.T, n *net.Network) *net.Plan {
	t.Helper()
	p, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// describe shows the groups of a program: the nodes, and after each input's value
// "+" where its gradient is added, "=" where it is written.
func describe(p *lower.Program) []string {
	var list []string
	for _, g := range p.Groups {
		text := string(g.Pattern) + ":"
		for _, k := range g.Nodes {
			text += " " + p.Plan.Nodes[k].Name
		}
		text += " <-"
		for _, in := range g.Inputs {
			text += fmt.Sprint(" ", in.Value)
			switch {
			case in.Wanted && in.Adds:
				text += "+"
			case in.Wanted:
				text += "="
			}
		}
		list = append(list, text)
	}
	return list
}

func TestGroupsByHand(t *testing.T) {
	conv := func(name string, from ...string) net.Layer {
		return &net.Conv{Name: name, From: from, Filters: 2, Kernel: net.Square(1)}
	}
	relu := func(name string, from ...string) net.Layer {
		return &net.Activation{Name: name, From: from, Func: net.ReLU}
	}
	pool := func(name string) net.Layer { return &net.Pool{Name: name, Kernel: net.Square(2)} }
	add := func(name string, from ...string) net.Layer { return &net.Add{Name: name, From: from} }
	for _, c := range []struct {
		name   string
		layers []net.Layer // before a flatten and a dense layer, "d"
		want   []string
	}{
		{"the longest pattern wins", []net.Layer{conv("a"), relu("b"), pool("c")}, []string{
			"convolution, ReLU, max pooling: a b c <- 0", ": d <- 1="}},
		{"no ReLU", []net.Layer{conv("a"), pool("b"), relu("c")}, []string{
			"convolution, max pooling: a b <- 0", ": c <- 1=", ": d <- 2="}},
		{"not max pooling", []net.Layer{conv("a"), relu("b"), &net.Pool{Name: "c", Mode: net.MeanPool, Global: true}}, []string{
			"convolution, ReLU: a b <- 0", ": c <- 1=", ": d <- 2="}},
		{"the convolution has two uses", []net.Layer{conv("a"), relu("b"), add("c", "b", "a")}, []string{
			": a <- 0", ": b <- 1+", ": c <- 2= 1=", ": d <- 3="}},
		{"ReLU has two uses", []net.Layer{conv("a"), relu("b"), conv("c"), add("e", "c", "b")}, []string{
			"convolution, ReLU: a b <- 0", ": c <- 1+", ": e <- 2= 1=", ": d <- 3="}},
		{"a layer between in the list, not in the graph", []net.Layer{conv("a"), conv("x", "input"), relu("b", "a"), add("e", "b", "x")}, []string{
			": x <- 0", "convolution, ReLU: a b <- 0", ": e <- 2= 1=", ": d <- 3="}},
		{"twice the same", []net.Layer{conv("a"), add("b", "a", "a", "a")}, []string{
			": a <- 0", ": b <- 1+ 1+ 1=", ": d <- 2="}},
		{"what learns nothing", []net.Layer{
			&net.Conv{Name: "a", Filters: 2, Kernel: net.Square(1), Frozen: net.Frozen{All: true}}, conv("b", "input"), add("c", "a", "b")}, []string{
			": a <- 0", ": b <- 0", ": c <- 1 2=", ": d <- 3="}},
		{"flat views", []net.Layer{conv("a"), &net.Flatten{Name: "f"}, &net.Flatten{Name: "g", From: net.From{"a"}}, add("b", "f", "g", "f")}, []string{
			": a <- 0", ": b <- 1+ 1+ 1=", ": d <- 2="}},
	} {
		n := &net.Network{Input: net.Shape{C: 2, H: 4, W: 4}, Layers: append(c.layers, &net.Flatten{}, &net.Dense{Name: "d", Units: 2})}
		if got := describe(lower.Lower(plan(t, n), fuser(everything))); !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
	}
}

// TestPatterns makes sure that each pattern can be had and can be refused.
func TestPatterns(t *testing.T) {
	n := &net.Network{Input: net.Shape{C: 1, H: 8, W: 8}, Layers: []net.Layer{
		&net.Conv{Filters: 2, Kernel: net.Square(1)}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)},
		&net.Conv{Filters: 2, Kernel: net.Square(1)}, &net.Pool{Kernel: net.Square(2)},
		&net.Conv{Filters: 2, Kernel: net.Square(1)}, &net.Activation{Func: net.ReLU},
		&net.BatchNorm{}, &net.Activation{Name: "r", Func: net.ReLU},
		&net.BatchNorm{Name: "n"}, &net.Add{From: net.From{"n", "r"}}, &net.Activation{Name: "s", Func: net.ReLU},
		&net.Add{From: net.From{"s", "r"}}, &net.Activation{Func: net.ReLU},
		&net.Flatten{}, &net.Dense{Units: 3}, &net.Activation{Func: net.ReLU}, &net.Dense{Units: 2},
	}}
	count := func(f lower.Fuser) map[lower.Pattern]int {
		got := map[lower.Pattern]int{}
		for _, g := range lower.Lower(plan(t, n), f).Groups {
			got[g.Pattern]++
		}
		return got
	}
	all := count(fuser(everything))
	for _, p := range lower.Patterns() {
		if all[p] == 0 {
			t.Errorf("no group is of pattern %s", p)
		}
		if without := count(fuser(func(q lower.Pattern, _ []net.Node) bool { return q != p })); without[p] != 0 {
			t.Errorf("a device that can't gets %d groups of pattern %s", without[p], p)
		}
	}
	if alone := count(nil); alone[lower.Single] != len(n.Layers)-1 {
		t.Errorf("without a fuser: %v", alone)
	}
}

// TestRandomNetworks checks what every device relies on.
func TestRandomNetworks(t *testing.T) {
	for seed := range uint64(60) {
		p := plan(t, devicetest.RandomNetwork(seed))
		for name, f := range map[string]lower.Fuser{
			"nothing": nil, "everything": fuser(everything),
			"some": fuser(func(_ lower.Pattern, nodes []net.Node) bool { return (nodes[0].Index+int(seed))%2 == 0 }),
		} {
			check(t, fmt.Sprintf("seed %d, fuses %s", seed, name), p, lower.Lower(p, f))
		}
	}
}

func check(t *testing.T, name string, plan *net.Plan, p *lower.Program) {
	t.Helper()
	// Every layer but flatten ones is in one group, behind all that it takes.
	in := map[int]int{}
	for g, group := range p.Groups {
		for _, k := range group.Nodes {
			if _, twice := in[k]; twice {
				t.Errorf("%s: node %d is in two groups", name, k)
			}
			in[k] = g
		}
		for _, input := range group.Inputs {
			if input.Value > g {
				t.Errorf("%s: group %d takes value %d, which comes later", name, g, input.Value)
			}
		}
	}
	base := func(k int) int { // the node whose output k is, through flatten layers; of the input NetworkInput
		for k != net.NetworkInput && plan.Nodes[k].Layer.Kind() == "flatten" {
			k = plan.Nodes[k].Inputs[0]
		}
		return k
	}
	uses := make([]int, len(p.Values)) // as the plan has them
	for k, node := range plan.Nodes {
		g, grouped := in[k]
		if flatten := node.Layer.Kind() == "flatten"; grouped == flatten {
			t.Errorf("%s: node %d (%s): in a group %v", name, k, node.Layer.Kind(), grouped)
		}
		for _, from := range node.Inputs {
			b := base(from)
			switch fg, ok := in[b]; {
			case !grouped:
			case b == net.NetworkInput:
				uses[0]++
			case ok && fg == g:
				if len(plan.Nodes[b].Uses) != 1 {
					t.Errorf("%s: node %d is hidden in a group and has %d uses", name, b, len(plan.Nodes[b].Uses))
				}
			default:
				uses[fg+1]++
			}
		}
		// What is visible.
		v := p.Visible[k]
		if v.Output {
			if got := p.Values[v.Value].Shape.Size(); got != node.Out.Size() {
				t.Errorf("%s: node %d has %d values, what is visible of it %d", name, k, node.Out.Size(), got)
			}
		}
		if v.Gradient && (!v.Output || !node.Learns) {
			t.Errorf("%s: node %d: visible is %+v of a node that learns %v", name, k, v, node.Learns)
		}
		if grouped && v.Output != (p.Tail(p.Groups[g]).Index == k) {
			t.Errorf("%s: node %d: visible is %+v", name, k, v)
		}
	}
	if last := base(len(plan.Nodes) - 1); last != net.NetworkInput && in[last] != len(p.Groups)-1 {
		t.Errorf("%s: the logits are of group %d, not the last", name, in[last])
	}
	// In the backward pass each wanted gradient is written once, before it is added
	// to and before the group that gave the value needs it.
	written := make([]bool, len(p.Values))
	seen := make([]int, len(p.Values))
	written[len(p.Values)-1] = true // by the loss
	for g := len(p.Groups) - 1; g >= 0; g-- {
		group := p.Groups[g]
		if learns := p.Tail(group).Learns; learns != p.Values[g+1].Learns || learns && !written[g+1] {
			t.Errorf("%s: group %d has no gradient", name, g)
		}
		for i := len(group.Inputs) - 1; i >= 0; i-- {
			input := group.Inputs[i]
			seen[input.Value]++
			if !slices.Contains(p.Values[input.Value].Uses, lower.Use{Group: g, Input: i}) {
				t.Errorf("%s: value %d does not know of input %d of group %d", name, input.Value, i, g)
			}
			if input.Wanted != p.Values[input.Value].Learns {
				t.Errorf("%s: input %d of group %d: wanted %v", name, i, g, input.Wanted)
			}
			if input.Adds != written[input.Value] && p.Values[input.Value].Learns {
				t.Errorf("%s: input %d of group %d adds %v to a gradient that is written %v", name, i, g, input.Adds, written[input.Value])
			}
			written[input.Value] = true
		}
	}
	if !slices.Equal(seen, uses) {
		t.Errorf("%s: values have %v uses, want %v", name, seen, uses)
	}
}

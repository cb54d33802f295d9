// Package netgraph shows a network's graph to people. It describes each layer in a
// few words, writes the connections as lines beside a table, and makes a drawing of
// both.
package netgraph

import (
	"fmt"
	"strings"

	"github.com/gputrain/gputrain/net"
)

// Describe tells in a few words what a layer does. If its input is not the layer
// before, it also names its inputs.
func Describe(plan *net.Plan, n net.Node) string {
	what := describe(n)
	switch f := frozen(n); {
	case f == "":
	case f == "all":
		what += ", frozen"
	default:
		what += ", " + f + " frozen"
	}
	if len(n.Inputs) == 1 && n.Inputs[0] == n.Index-1 {
		return what
	}
	var names []string
	for _, from := range n.Inputs {
		names = append(names, plan.InputName(from))
	}
	if len(names) == 1 {
		return what + ", from " + names[0]
	}
	if last := len(names) - 1; last >= 4 { // the lines show the others
		return fmt.Sprintf("%s of %d: %s, %s, …, %s", what, len(names), names[0], names[1], names[last])
	}
	return what + " of " + strings.Join(names, ", ")
}

// frozen names the roles of parameters that could be trained but are not. It
// returns "all" if none of them is trained, and "" if there are none.
func frozen(n net.Node) string {
	var roles []string
	could := 0
	for _, p := range n.Params {
		if p.Role == net.RunningMean || p.Role == net.RunningVar {
			continue
		}
		could++
		if !p.Trained {
			roles = append(roles, string(p.Role))
		}
	}
	if could > 0 && len(roles) == could {
		return "all"
	}
	return strings.Join(roles, " and ")
}

func describe(n net.Node) string {
	w := n.Window
	window := func(what string, pad net.Padding, usual net.Pair) string {
		words := []string{what, net.Pair{H: w.KernelH, W: w.KernelW}.String()}
		if stride := (net.Pair{H: w.StrideH, W: w.StrideW}); stride != usual {
			words = append(words, "stride", stride.String())
		}
		if dilation := (net.Pair{H: w.DilationH, W: w.DilationW}); dilation != net.Square(1) {
			words = append(words, "dilation", dilation.String())
		}
		if p := pad.Top; pad == net.Pad(p, p, p, p) {
			return strings.Join(append(words, "pad", fmt.Sprint(p)), " ")
		}
		return strings.Join(append(words, pad.String()), " ")
	}
	bias := func(none bool) string {
		if none {
			return ", no bias"
		}
		return ""
	}
	switch l := n.Layer.(type) {
	case *net.Conv:
		what := "convolution"
		switch groups := l.GroupCount(); {
		case groups == 1:
		case groups == n.In.C:
			what = "depthwise convolution"
		default:
			what = fmt.Sprintf("convolution in %d groups", groups)
		}
		return window(what, l.Padding, net.Square(1)) + bias(l.NoBias)
	case *net.Pool:
		if l.Global {
			return "global " + string(l.PoolMode()) + " pooling"
		}
		return window(string(l.PoolMode())+" pooling", l.Padding, net.Pair{H: w.KernelH, W: w.KernelW})
	case *net.Activation:
		f, _ := net.FunctionNamed(l.Func)
		if f.Parameter.Name != "" {
			return fmt.Sprintf("%s, %s %v", f.Title, f.Parameter.Name, l.Parameter())
		}
		return f.Title
	case *net.Dropout:
		return fmt.Sprintf("dropout, rate %v", l.Rate)
	case *net.Dense:
		return "fully connected" + bias(l.NoBias)
	case *net.Scale:
		return fmt.Sprintf("times %.4g", l.Factor)
	}
	k, ok := net.KindNamed(n.Layer.Kind())
	if !ok {
		panic(fmt.Sprintf("BUG: layer of kind %s", n.Layer.Kind()))
	}
	return k.Title
}

// row is a row of the graph: the network's input, or a node. A value flows down in
// its column until the last node that takes it.
type row struct {
	column int
	from   []int  // rows of its inputs, without repetition
	alive  []bool // by column: a value flows on below the row
	above  []bool // by column: a value comes from above
	ends   []bool // by column: the value from above ends here
}

// layout gives the network's input (row 0) and each node a row and a column. A node
// takes over the column of an input that no later node takes, the leftmost if there
// are several. If there is no such input, it takes the leftmost free column.
func layout(plan *net.Plan) (rows []row, columns int) {
	count := len(plan.Nodes) + 1
	last := make([]int, count) // the last row that takes the value of a row
	for i, n := range plan.Nodes {
		for _, from := range n.Inputs {
			last[from+1] = i + 1
		}
	}
	last[count-1] = count // the logits flow out
	rows = make([]row, count)
	at := []int{} // by column, the row whose value flows there; -1 if there is none
	for i := range rows {
		r := &rows[i]
		r.above = make([]bool, len(at))
		r.ends = make([]bool, len(at))
		for c, from := range at {
			r.above[c], r.ends[c] = from >= 0, from >= 0 && last[from] == i
		}
		r.column = -1
		if i > 0 {
			seen := map[int]bool{}
			for _, from := range plan.Nodes[i-1].Inputs {
				if from++; !seen[from] {
					seen[from] = true
					r.from = append(r.from, from)
					if c := rows[from].column; last[from] == i && (r.column < 0 || c < r.column) {
						r.column = c
					}
				}
			}
		}
		for c := 0; r.column < 0; c++ {
			if c == len(at) {
				at = append(at, -1)
				r.above, r.ends = append(r.above, false), append(r.ends, false)
			}
			if at[c] < 0 {
				r.column = c
			}
		}
		for c, from := range at {
			if from >= 0 && last[from] == i {
				at[c] = -1
			}
		}
		at[r.column] = i
		r.alive = make([]bool, len(at))
		for c, from := range at {
			r.alive[c] = from >= 0
		}
	}
	return rows, len(at)
}

// Lines returns the connections as text: one line for the network's input and one
// for each node. ● is the layer. A line that goes on below is a value that a later
// layer takes. A line that bends into the layer ends there. A chain of layers is
// one column of dots.
func Lines(plan *net.Plan) []string {
	rows, columns := layout(plan)
	lines := make([]string, len(rows))
	for i, r := range rows {
		lo, hi := r.column, r.column // the columns that the row connects
		taken := make([]bool, columns)
		for _, from := range r.from {
			c := rows[from].column
			taken[c] = true
			lo, hi = min(lo, c), max(hi, c)
		}
		var b strings.Builder
		for c := range columns {
			above := c < len(r.above) && r.above[c]
			ends := c < len(r.ends) && r.ends[c]
			crossed := c > lo && c < hi
			switch {
			case c == r.column:
				b.WriteString("●")
			case taken[c] && ends:
				b.WriteString(pick(crossed, "┴", pick(c > r.column, "╯", "╰")))
			case taken[c]:
				b.WriteString(pick(crossed, "┼", pick(c > r.column, "┤", "├")))
			case above:
				b.WriteString("│")
			case crossed:
				b.WriteString("─")
			default:
				b.WriteString(" ")
			}
			if c < columns-1 {
				b.WriteString(pick(c >= lo && c < hi, "─", " "))
			}
		}
		lines[i] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// IsChain reports whether each layer takes only the one before. Then there are no
// connections to show.
func IsChain(plan *net.Plan) bool {
	for i, n := range plan.Nodes {
		if len(n.Inputs) != 1 || n.Inputs[0] != i-1 {
			return false
		}
	}
	return true
}

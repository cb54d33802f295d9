package netgraph

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/gputrain/gputrain/internal/chart"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

// Drawing draws the graph. Each layer has a row with its connections, what it does, its output and its parameters.
// Layers that run as one group have a bar beside them. groups may be nil: then there are no bars.
func Drawing(plan *net.Plan, groups []lower.Group) *chart.Drawing {
	rows, _ := layout(plan)
	t := &chart.Tracks{
		Title: fmt.Sprintf("%s: %d layers, %s parameters", plan.Network.Name, len(plan.Nodes), grouped(plan.Parameters())),
		Align: "lllr",
	}
	kinds := map[string]int{}
	for i, k := range net.Kinds() {
		kinds[k.Name] = i
		if slices.ContainsFunc(plan.Nodes, func(n net.Node) bool { return n.Layer.Kind() == k.Name }) {
			t.Kinds = append(t.Kinds, chart.TrackKind{Name: k.Title, Series: i})
		}
	}
	for i, r := range rows {
		row := chart.Track{Column: r.column, From: r.from, Series: -1}
		if i == 0 {
			row.Cells = []string{"input", "", plan.Network.Input.String(), ""}
		} else {
			n := plan.Nodes[i-1]
			parameters := ""
			if count := n.Parameters(); count > 0 {
				parameters = grouped(count)
			}
			row.Cells, row.Series = []string{n.Name, Describe(plan, n), n.Out.String(), parameters}, kinds[n.Layer.Kind()]
		}
		t.Rows = append(t.Rows, row)
	}
	for _, g := range groups {
		if len(g.Nodes) < 2 {
			continue
		}
		bar := chart.TrackGroup{Name: string(g.Pattern)}
		for _, n := range g.Nodes {
			bar.Rows = append(bar.Rows, n+1)
		}
		t.Groups = append(t.Groups, bar)
	}
	return t.Draw()
}

// grouped writes a number with commas between thousands.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

package netgraph

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/lower"
)

func planOf(t *testing.T, n *net.Network) *net.Plan {
	t.Helper()
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestLines(t *testing.T) {
	conv := func(name string, from ...string) net.Layer {
		return &net.Conv{Name: name, From: from, Filters: 2, Kernel: net.Square(1)}
	}
	plan := planOf(t, &net.Network{Input: net.Shape{C: 2, H: 1, W: 1}, Layers: []net.Layer{
		conv("a"), conv("b", "input"), conv("c", "input"),
		&net.Add{Name: "all", From: net.From{"a", "b", "c"}},
		conv("d", "all"), conv("e", "all"),
		&net.Add{Name: "twice", From: net.From{"e", "e"}},
		&net.Add{Name: "sum", From: net.From{"twice", "all", "d"}},
	}})
	want := []string{
		"●",     // input
		"├─●",   // a
		"├─│─●", // b, across a
		"● │ │", // c takes over the input's column
		"●─┴─╯", // all
		"├─●",   // d
		"├─│─●", // e
		"│ │ ●", // twice
		"●─┴─╯", // sum
	}
	if got := Lines(plan); !slices.Equal(got, want) {
		t.Errorf("lines are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestLinesOfChains: a chain is a column of dots.
func TestLinesOfChains(t *testing.T) {
	for _, line := range Lines(planOf(t, net.BuiltIn("tutorial"))) {
		if line != "●" {
			t.Errorf("line %q of a chain", line)
		}
	}
}

func TestDescribe(t *testing.T) {
	for _, k := range net.Kinds() {
		for _, e := range k.Examples {
			plan := planOf(t, devicetest.ExampleNetwork(e))
			for _, n := range plan.Nodes {
				if Describe(plan, n) == "" {
					t.Errorf("nothing is said of %s", n.Name)
				}
			}
		}
	}
	plan := planOf(t, &net.Network{Input: net.Shape{C: 4, H: 8, W: 8}, Layers: []net.Layer{
		&net.Conv{Name: "c1", Filters: 8, Kernel: net.Square(3), Stride: net.Square(2), Padding: net.Pad(1, 1, 1, 1), Groups: 4, NoBias: true, Frozen: net.Frozen{All: true}},
		&net.Conv{Name: "c2", From: net.From{"input"}, Filters: 8, Kernel: net.Pair{H: 3, W: 1}, Stride: net.Square(2), Padding: net.PadSame, Groups: 2, Dilation: net.Square(2)},
		&net.BatchNorm{Name: "bn", From: net.From{"c1"}, Frozen: net.Frozen{Roles: []net.Role{net.Weight}}},
		&net.Add{Name: "sum", From: net.From{"bn", "c2"}},
		&net.Activation{Func: net.ELU}, &net.Pool{Mode: net.MeanPool, Global: true}, &net.Scale{Factor: 1.0 / 9},
	}})
	want := []string{
		"depthwise convolution 3x3 stride 2x2 pad 1, no bias, frozen",
		"convolution in 2 groups 3x1 stride 2x2 dilation 2x2 same, from input",
		"batch normalisation, weight frozen, from c1",
		"addition of bn, c2",
		"ELU, alpha 1", "global mean pooling", "times 0.1111",
	}
	for i, n := range plan.Nodes {
		if got := Describe(plan, n); got != want[i] {
			t.Errorf("%s is %q, want %q", n.Name, got, want[i])
		}
	}
}

type everything struct{}

func (everything) Fuses(lower.Pattern, []net.Node) bool { return true }

// TestDrawing draws every built-in model: well-formed SVG with each layer's name, and
// the groups.
func TestDrawing(t *testing.T) {
	for _, m := range net.Models() {
		plan := planOf(t, m.Network())
		var b bytes.Buffer
		if err := Drawing(plan, lower.Lower(plan, everything{}).Groups).WriteFile(&b); err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", m.Name, err)
			}
		}
		for _, n := range plan.Nodes {
			if !strings.Contains(b.String(), ">"+n.Name+"<") {
				t.Errorf("%s: no row of %s", m.Name, n.Name)
			}
		}
		if m.Name == "tutorial" && strings.Count(b.String(), "convolution, ReLU, max pooling, as one") != 2 {
			t.Errorf("the tutorial's groups are not marked: %s", b.String())
		}
	}
}

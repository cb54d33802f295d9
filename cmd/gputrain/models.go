package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/internal/netgraph"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

func (a *app) modelsCommand() *cli.Command {
	jsonFlag := func(what string) cli.Flag {
		return &cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print " + what}
	}
	return &cli.Command{
		Name:      "models",
		Usage:     "list the built-in models, or show one's layers",
		UsageText: "gputrain models\ngputrain models show NAME|FILE.json",
		Description: `Examples:
  gputrain models
  gputrain models show lenet5
  gputrain models show tutorial --json > mine.json   # to make your own of`,
		Flags: []cli.Flag{jsonFlag("one JSON object a model")},
		Subcommands: []*cli.Command{{
			Name:      "show",
			Usage:     "print a model's layers: connections, shapes, parameters",
			UsageText: "gputrain models show NAME|FILE.json",
			Description: `FILE.json describes a network as 'models show NAME --json' prints it.
In the first column ● is a layer; lines lead down to it from the layers whose
outputs it takes. Layers that a device runs as one have a bracket. Multiply-adds
are those of one image's forward pass, without those that meet padding.

Examples:
  gputrain models show lenet5
  gputrain models show resnet18 --input 3x224x224 --classes 1000
  gputrain models show resnet20 --svg resnet20.svg
  gputrain models show mine.json
  gputrain models show tutorial --json > mine.json`,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "input", EnvVars: env("input"), DefaultText: "the model's usual", Usage: "build a built-in model for images of `CxHxW`: channels, rows, columns"},
				&cli.IntFlag{Name: "classes", EnvVars: env("classes"), DefaultText: "the model's usual", Usage: "build a built-in model for `N` classes"},
				&cli.StringFlag{Name: "device", Value: "cpu", EnvVars: env("device"), Usage: "show what `NAME` runs as one: cpu or cuda (neither needs to be there)"},
				&cli.StringFlag{Name: "svg", EnvVars: env("svg"), Usage: "draw the graph as a picture too, to `FILE`"},
				jsonFlag("the model as JSON, as --model FILE.json takes it"),
			},
			Action: a.modelsShow,
		}},
		Action: func(c *cli.Context) error {
			return chooseCommand(c, func(c *cli.Context) error { return a.listModels(c.Bool("json")) })
		},
	}
}

func (a *app) modelsShow(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("models show takes one argument, a model's name or file; %s", helpHint(c))
	}
	fuser, err := fuserNamed(c.String("device"))
	if err == nil {
		err = a.takeOutputs(c, "svg")
	}
	if err != nil {
		return err
	}
	n, err := modelFlags(c)
	if err != nil {
		return err
	}
	plan, err := n.Plan()
	if err != nil {
		return err
	}
	groups := lower.Lower(plan, fuser).Groups
	if path := c.String("svg"); path != "" {
		if _, err := a.writeOutput(path, netgraph.Drawing(plan, groups).WriteFile); err != nil {
			return err
		}
		if path == standardOutput {
			return nil
		}
	}
	if c.Bool("json") {
		return a.printJSON(n, "  ")
	}
	a.showModel(plan, groups)
	return nil
}

// fuserNamed returns the fuser of the devices with a name: it tells which layers
// they run as one.
func fuserNamed(name string) (lower.Fuser, error) {
	switch kind, _, _ := strings.Cut(name, ":"); kind {
	case "cuda":
		return cuda.Fuser{}, nil
	case "reference":
		return nil, nil
	case "cpu", "auto":
		device, err := cpu.New(cpu.Options{Threads: 1})
		if err != nil {
			return nil, usagef("%v", err) // kernels from the environment that are not available
		}
		return device.(lower.Fuser), device.Close()
	}
	return nil, chooseDevice(name, []string{"cpu", "cuda"})
}

// modelFlags returns the model that the argument names. If flags set the input
// and the classes, the model is for these.
func modelFlags(c *cli.Context) (*net.Network, error) {
	name := c.Args().First()
	m, builtIn := net.ModelNamed(name)
	input, classes := m.Input, m.Classes
	if text := c.String("input"); text != "" {
		var err error
		if input, err = parseShape(text); err != nil {
			return nil, err
		}
	}
	if c.IsSet("classes") {
		if classes = c.Int("classes"); classes < 2 {
			return nil, usagef("--classes must be at least 2, got %d", classes)
		}
	}
	if !builtIn && (c.IsSet("input") || c.IsSet("classes")) {
		return nil, usagef("--input and --classes are for built-in models; %s says itself what it takes and gives", name)
	}
	return loadModel(name, input, classes)
}

// parseShape reads a shape such as "3x224x224".
func parseShape(text string) (net.Shape, error) {
	parts := strings.Split(text, "x")
	var sizes []int
	for _, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 {
			break
		}
		sizes = append(sizes, n)
	}
	if len(parts) != 3 || len(sizes) != 3 {
		return net.Shape{}, usagef("--input %q: want channels, rows and columns, such as 3x224x224", text)
	}
	return net.Shape{C: sizes[0], H: sizes[1], W: sizes[2]}, nil
}

func (a *app) listModels(asJSON bool) error {
	t := table{align: "lrrrrl"}
	t.add("Model", "Input", "Classes", "Parameters", "Multiply-adds", "")
	for i, m := range net.Models() {
		plan, err := m.Network().Plan()
		if err != nil {
			return err
		}
		if asJSON {
			err := a.printJSON(struct {
				Name       string    `json:"name"`
				Summary    string    `json:"summary"`
				Input      net.Shape `json:"input"`
				Classes    int       `json:"classes"`
				Layers     int       `json:"layers"`
				Weights    int       `json:"weights"`
				Parameters int       `json:"parameters"`
				MulAdds    int64     `json:"multiply_adds"`
				Default    bool      `json:"default,omitempty"`
			}{m.Name, m.Summary, m.Input, plan.Classes, len(plan.Nodes), plan.Weights(), plan.Parameters(), plan.MulAdds(), i == 0}, "")
			if err != nil {
				return err
			}
			continue
		}
		t.add(m.Name, m.Input.String(), fmt.Sprint(m.Classes), thousands(plan.Parameters()), thousands(plan.MulAdds()), m.Summary)
	}
	if !asJSON {
		t.write(a.out)
		fmt.Fprintf(a.out, "\nInput and classes are the usual ones: training takes those of the data.\n%s is the default. See one: gputrain models show %[1]s\n", net.Models()[0].Name)
	}
	return nil
}

func (a *app) showModel(plan *net.Plan, groups []lower.Group) {
	graph, brackets := netgraph.Lines(plan), bracketsOf(plan, groups)
	t := table{align: "lllllrr"}
	t.add("", "Layer", "", "What", "Output", "Parameters", "Multiply-adds")
	t.add(graph[0], "input", "", "", plan.Network.Input.String(), "", "")
	count := func(n int64) string {
		if n == 0 {
			return ""
		}
		return thousands(n)
	}
	for i, n := range plan.Nodes {
		t.add(graph[i+1], n.Name, brackets[i], netgraph.Describe(plan, n), n.Out.String(), count(int64(n.Parameters())), count(n.MulAdds()))
	}
	t.add("", "total", "", "", "", thousands(plan.Parameters()), thousands(plan.MulAdds()))
	t.write(a.out)
	if frozen := plan.Parameters() - plan.Weights(); frozen > 0 {
		fmt.Fprintf(a.out, "\n%s of the parameters are frozen: training leaves them as they are.\n", thousands(frozen))
	}
}

// bracketsOf returns a sign for each node: a part of the bracket around nodes
// that run as one. If other nodes stand between them, each names the group's
// first node instead.
func bracketsOf(plan *net.Plan, groups []lower.Group) []string {
	signs := make([]string, len(plan.Nodes))
	for _, g := range groups {
		last := len(g.Nodes) - 1
		together := g.Nodes[last]-g.Nodes[0] == last
		for k, node := range g.Nodes {
			switch {
			case last == 0:
			case !together:
				signs[node] = "with " + plan.Nodes[g.Nodes[0]].Name
			case k == 0:
				signs[node] = "┐"
			case k == last:
				signs[node] = "┘"
			default:
				signs[node] = "│"
			}
		}
	}
	return signs
}

// loadModel returns the built-in model with the given name, for images of the
// given shape and number of classes. If name is a file, it reads the model from
// there, with its own shape and classes.
func loadModel(name string, input net.Shape, classes int) (*net.Network, error) {
	if m, ok := net.ModelNamed(name); ok {
		return m.Build(input, classes)
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		var names []string
		for _, m := range net.Models() {
			names = append(names, m.Name)
		}
		return nil, usagef("model %q is neither a file nor a built-in model%s; gputrain models lists those", name, suggest(name, names))
	}
	if err != nil {
		return nil, fileError(name, err)
	}
	defer f.Close()
	n, err := net.ParseNetwork(f)
	if err != nil {
		return nil, fileError(name, err)
	}
	return n, nil
}

// inputOf returns the input of a network in a file. It is the zero Shape for a built-in
// model, which takes any, and without a name.
func inputOf(model string) (net.Shape, error) {
	if _, builtIn := net.ModelNamed(model); builtIn || model == "" {
		return net.Shape{}, nil
	}
	n, err := loadModel(model, net.Shape{}, 0)
	if err != nil {
		return net.Shape{}, err
	}
	return n.Input, nil
}

// printJSON prints a value as JSON: on one line if indent is empty, otherwise
// indented.
func (a *app) printJSON(v any, indent string) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", indent)
	return e.Encode(v)
}

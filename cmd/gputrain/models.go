package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/net"
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
  gputrain models show tutorial --json > mine.json   (to make your own of)`,
		Flags: []cli.Flag{jsonFlag("one JSON object a model")},
		Subcommands: []*cli.Command{{
			Name:      "show",
			Usage:     "print a model's layers: shapes, parameters, multiply-adds",
			UsageText: "gputrain models show NAME|FILE.json",
			Description: `FILE.json describes a network as 'models show NAME --json' prints it.
Multiply-adds are those of one image's forward pass, without those that meet
padding.

Examples:
  gputrain models show lenet5
  gputrain models show mine.json
  gputrain models show tutorial --json > mine.json`,
			Flags: []cli.Flag{jsonFlag("the model as JSON, as --model FILE.json takes it")},
			Action: func(c *cli.Context) error {
				if c.NArg() != 1 {
					return usagef("models show takes one argument, a model's name or file; %s", helpHint(c))
				}
				n, err := loadModel(c.Args().First())
				if err != nil {
					return err
				}
				if c.Bool("json") {
					return a.printJSON(n, "  ")
				}
				return a.showModel(n)
			},
		}},
		Action: func(c *cli.Context) error {
			return chooseCommand(c, func(c *cli.Context) error { return a.listModels(c.Bool("json")) })
		},
	}
}

func (a *app) listModels(asJSON bool) error {
	t := table{align: "llrrr"}
	t.add("Model", "Input", "Layers", "Parameters", "Multiply-adds")
	for i, n := range net.Models() {
		plan, err := n.Plan()
		if err != nil {
			return err
		}
		if asJSON {
			err := a.printJSON(struct {
				Name    string    `json:"name"`
				Input   net.Shape `json:"input"`
				Classes int       `json:"classes"`
				Layers  int       `json:"layers"`
				Weights int       `json:"weights"`
				MulAdds int64     `json:"multiply_adds"`
				Default bool      `json:"default,omitempty"`
			}{n.Name, n.Input, plan.Classes, len(plan.Layers), plan.Weights(), plan.MulAdds(), i == 0}, "")
			if err != nil {
				return err
			}
			continue
		}
		t.add(n.Name, n.Input.String(), fmt.Sprint(len(plan.Layers)), thousands(plan.Weights()), thousands(plan.MulAdds()))
	}
	if !asJSON {
		t.write(a.out)
		fmt.Fprintf(a.out, "\n%s is the default. See one: gputrain models show %[1]s\n", net.Models()[0].Name)
	}
	return nil
}

func (a *app) showModel(n *net.Network) error {
	plan, err := n.Plan()
	if err != nil {
		return err
	}
	t := table{align: "lllrr"}
	t.add("Layer", "What", "Output", "Parameters", "Multiply-adds")
	t.add("input", "", n.Input.String(), "", "")
	count := func(n int64) string {
		if n == 0 {
			return ""
		}
		return thousands(n)
	}
	for _, l := range plan.Layers {
		t.add(l.Name, describeLayer(l), l.Out.String(), count(int64(l.Weights())), count(l.MulAdds()))
	}
	t.add("total", "", "", thousands(plan.Weights()), thousands(plan.MulAdds()))
	t.write(a.out)
	return nil
}

// describeLayer says in a few words what a layer does.
func describeLayer(p net.PlannedLayer) string {
	w := p.Window
	window := func(what string, pad net.Padding, usual net.Pair) string {
		words := []string{what, net.Pair{H: w.KernelH, W: w.KernelW}.String()}
		if stride := (net.Pair{H: w.StrideH, W: w.StrideW}); stride != usual {
			words = append(words, "stride", stride.String())
		}
		if dilation := (net.Pair{H: w.DilationH, W: w.DilationW}); dilation != net.Square(1) {
			words = append(words, "dilation", dilation.String())
		}
		return strings.Join(append(words, pad.String()), " ")
	}
	bias := func(none bool) string {
		if none {
			return ", no bias"
		}
		return ""
	}
	switch l := p.Layer.(type) {
	case *net.Conv:
		return window("convolution", l.Padding, net.Square(1)) + bias(l.NoBias)
	case *net.Pool:
		return window(string(l.PoolMode())+" pooling", l.Padding, net.Pair{H: w.KernelH, W: w.KernelW})
	case *net.Activation:
		if l.Func == net.LeakyReLU {
			return fmt.Sprintf("leaky ReLU, slope %v", l.LeakySlope())
		}
		return map[net.ActivationFunc]string{net.ReLU: "ReLU", net.Tanh: "tanh", net.Sigmoid: "sigmoid"}[l.Func]
	case *net.Dropout:
		return fmt.Sprintf("dropout, rate %v", l.Rate)
	case *net.BatchNorm:
		return "batch normalisation"
	case *net.Dense:
		return "fully connected" + bias(l.NoBias)
	}
	return p.Layer.Kind()
}

// loadModel returns the built-in model of that name, or reads one from a file.
func loadModel(name string) (*net.Network, error) {
	if n := net.Model(name); n != nil {
		return n, nil
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		var names []string
		for _, n := range net.Models() {
			names = append(names, n.Name)
		}
		return nil, usagef("model %q is neither a file nor a built-in model%s (built in: %s)", name, suggest(name, names), strings.Join(names, ", "))
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

// printJSON prints a value on one line, or indented.
func (a *app) printJSON(v any, indent string) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", indent)
	return e.Encode(v)
}

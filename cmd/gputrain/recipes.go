package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/net"
)

func recipeNames() []string {
	var names []string
	for _, r := range net.Recipes() {
		names = append(names, r.Name)
	}
	return names
}

func (a *app) recipesCommand() *cli.Command {
	return &cli.Command{
		Name:      "recipes",
		Usage:     "list the built-in recipes, or show one",
		UsageText: "gputrain recipes\ngputrain recipes show NAME|FILE.json",
		Description: `A recipe says how a network is trained: which network on which data, for how
long, with which optimiser, schedule, loss and augmentation.

Examples:
  gputrain recipes
  gputrain recipes show fast
  gputrain train --recipe fast
  gputrain recipes show fast --json > own.json   # to make your own of
  gputrain train --recipe own.json`,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print one JSON object a recipe"}},
		Subcommands: []*cli.Command{{
			Name:      "show",
			Usage:     "print what a recipe does, and what it reaches",
			UsageText: "gputrain recipes show NAME|FILE.json",
			Description: `Examples:
  gputrain recipes show fast
  gputrain recipes show fast --json > own.json`,
			Flags:  []cli.Flag{&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print the recipe as JSON, as --recipe FILE.json takes it"}},
			Action: a.recipesShow,
		}},
		Action: func(c *cli.Context) error {
			return chooseCommand(c, func(c *cli.Context) error { return a.listRecipes(c.Bool("json")) })
		},
	}
}

func (a *app) listRecipes(asJSON bool) error {
	t := table{align: "lllrrrl"}
	t.add("Recipe", "Data", "Model", "Epochs", "Reaches", "In", "")
	for _, r := range net.Recipes() {
		if asJSON {
			if err := a.printJSON(r, ""); err != nil {
				return err
			}
			continue
		}
		reaches, in := "", ""
		if len(r.Results) > 0 {
			reaches, in = percent(r.Results[0].Accuracy), roughly(r.Results[0].Seconds)
		}
		t.add(r.Name, r.Data, r.Model, fmt.Sprint(r.Epochs), reaches, in, r.About)
	}
	if !asJSON {
		t.write(a.out)
		fmt.Fprintf(a.out, "\n%s is the default. On what machine the times were taken: gputrain recipes show NAME\n", recipeNames()[0])
	}
	return nil
}

// roughly returns a duration with two or three digits.
func roughly(seconds float64) string {
	switch {
	case seconds < 10:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 120:
		return fmt.Sprintf("%.0f s", seconds)
	}
	return fmt.Sprintf("%.0f min", seconds/60)
}

func (a *app) recipesShow(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("recipes show takes one argument, a recipe's name or file; %s", helpHint(c))
	}
	r, err := loadRecipe(c.Args().First())
	if err != nil {
		return err
	}
	if r.Model != "" {
		usual, _ := net.ModelNamed(r.Model)
		n, err := loadModel(r.Model, usual.Input, usual.Classes)
		if err != nil {
			return err
		}
		plan, err := n.Plan()
		if err != nil {
			return err
		}
		if err := r.Optimizer.CheckFor(plan); err != nil {
			return fmt.Errorf("%s: with its model %s: %w", c.Args().First(), r.Model, err)
		}
	}
	if c.Bool("json") {
		r.Results = nil // they would not be those of a changed recipe
		if _, builtIn := net.RecipeNamed(r.Name); builtIn {
			r.Name = "" // a file's recipe is called as the file
		}
		return a.printJSON(r, "  ")
	}
	var f facts
	for _, line := range [][2]string{{"Recipe", r.Name}, {"For", r.About}, {"Data", r.Data}, {"", r.GetData}, {"Model", r.Model}, {"Training", describeRecipe(r.Recipe)}} {
		if line[1] != "" {
			f.add(line[0], line[1])
		}
	}
	if text := describeAugmentation(r.Augment); text != "" && r.Augment.Name != "" {
		f.add("Pictures", text)
	}
	for i, result := range r.Results {
		name := ""
		if i == 0 {
			name = "Reaches"
		}
		f.add(name, fmt.Sprintf("%s test accuracy in %s: mean of %s, the worst %s; on %s, %s", percent(result.Accuracy), roughly(result.Seconds),
			counted(result.Runs, "run"), percent(result.Least), result.On, result.Date))
	}
	f.write(a.stdout)
	return nil
}

// describeAugmentation tells what an augmentation does, by the names of its fields in JSON. It is
// "" if it does nothing.
func describeAugmentation(g net.Augment) string {
	if g.Plain() {
		return ""
	}
	g.Name = ""
	text, err := json.Marshal(g)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return strings.NewReplacer(`"`, "", "{", "", "}", "", ":", " ", ",", ", ").Replace(string(text))
}

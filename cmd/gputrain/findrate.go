package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/internal/chart"
	"github.com/gputrain/gputrain/net"
)

// rateFlags lists the settings of a recipe that affect find-rate.
var rateFlags = []string{
	"batch", "accumulate", "seed", "augment", "label-smoothing", "class-weights",
	"optimizer", "rate-factor", "momentum", "nesterov", "iterations", "rescale", "beta1", "beta2", "epsilon", "weight-decay", "clip-norm",
}

func (a *app) findRateCommand() *cli.Command {
	const test = "Test"
	flags := []cli.Flag{
		&cli.Float64Flag{Name: "from", EnvVars: env("from"), Category: test, DefaultText: "1e-5 of sgd and muon, 1e-7 of lion, else 1e-6", Usage: "`RATE` of the first step"},
		&cli.Float64Flag{Name: "to", EnvVars: env("to"), Category: test, DefaultText: "10 of sgd and muon, 0.01 of lion, else 0.1", Usage: "`RATE` of the last step"},
		&cli.IntFlag{Name: "steps", EnvVars: env("steps"), Category: test, DefaultText: strconv.Itoa(net.RateRangeFor(net.SGD).Steps), Usage: "go from one to the other in `N` steps"},
		&cli.StringFlag{Name: "svg", EnvVars: env("svg"), Category: test, Usage: "draw loss against rate, to `FILE`"},
		&cli.StringFlag{Name: "csv", EnvVars: env("csv"), Category: test, Usage: "write rate, loss and smoothed loss of every step to `FILE`"},
	}
	flags = append(flags, recipeAndModelFlags()...)
	for _, f := range recipeFlags() {
		if slices.Contains(rateFlags, f.flag.Names()[0]) {
			flags = append(flags, f.flag)
		}
	}
	flags = append(flags, dataFlag(), &cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print one JSON object"})
	return &cli.Command{
		Name:      "find-rate",
		Usage:     "suggest a learning rate, by the learning-rate range test",
		UsageText: "gputrain find-rate [FLAGS]",
		Description: `Trains a fresh network for some steps while the learning rate grows by the same
factor from step to step, and looks where the loss falls (L. N. Smith, 2017; as
lr_find does in fastai and PyTorch Lightning). It ends early when the loss
diverges. It writes only the files that it is asked for.

It shows the rate at which the loss falls fastest, and a tenth of the rate at
which the loss is least, and suggests the lower of the two. In a schedule such
as cosine or one-cycle, that is the highest rate.

Examples:
  gputrain find-rate
  gputrain find-rate --model lenet5 --optimizer sgd --momentum 0.9
  gputrain find-rate --data flowers --augment standard --svg rate.svg` + a.further(`

--json prints data, device, network, recipe, points (each rate, loss, smooth),
diverged, steepest and least (indices of points, -1 for none), steepest_rate,
least_tenth and suggestion (0 for none).`),
		Flags:  append(flags, deviceFlags()...),
		Action: a.findRate,
	}
}

// timesByHeart is how often a test may go through its training images. After more
// times the network knows them by heart, and the losses tell more about these images
// than about the rate.
const timesByHeart = 10

// foundRate is what find-rate prints as JSON.
type foundRate struct {
	Data    string     `json:"data"`
	Device  string     `json:"device"`
	Network string     `json:"network"`
	Recipe  net.Recipe `json:"recipe"`
	*net.RateTest
	SteepestRate float64 `json:"steepest_rate"`
	LeastTenth   float64 `json:"least_tenth"`
	Suggestion   float64 `json:"suggestion"`
}

// rateRange returns the range of learning rates that the flags and the recipe's
// optimiser ask for.
func rateRange(c *cli.Context, recipe net.Recipe) (net.RateRange, error) {
	over := net.RateRangeFor(recipe.Optimizer.Lead().Method)
	if c.IsSet("from") {
		over.From = c.Float64("from")
	}
	if c.IsSet("to") {
		over.To = c.Float64("to")
	}
	if c.IsSet("steps") {
		over.Steps = c.Int("steps")
	}
	if err := over.Check(); err != nil {
		return over, usagef("%s; %s", err, helpHint(c))
	}
	return over, nil
}

func (a *app) findRate(c *cli.Context) (err error) {
	if err := noArguments(c); err != nil {
		return err
	}
	if err := a.takeOutputs(c, "svg", "csv"); err != nil {
		return err
	}
	run := &trainingRun{}
	cfg := &run.config
	err = run.beginWith(c, func(recipe string) (err error) {
		if run.recipe, err = loadRecipe(recipe); err != nil {
			return err
		}
		cfg.Recipe = run.recipe.Recipe
		return overrideRecipe(c, &cfg.Recipe)
	})
	if err != nil {
		return err
	}
	if _, err := rateRange(c, cfg.Recipe); err != nil {
		return err // refused before anything takes time
	}
	device, why, err := openDevice(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	if err := a.takeModelAndData(c, run); err != nil {
		return err
	}
	recipe := cfg.Recipe
	over, err := rateRange(c, recipe)
	if err != nil {
		return err
	}
	network := run.plan.Network
	if !c.Bool("json") {
		var f facts
		f.add("Device", withReason(device, why))
		f.add("Data", fmt.Sprintf("%s: %s training images", run.data.name, thousands(run.config.Train.Len())))
		f.add("Model", fmt.Sprintf("%s: %s parameters", network.Name, thousands(run.plan.Weights())))
		f.add("Recipe", fmt.Sprintf("%s: %s", recipe.Name, describeSteps(recipe)))
		f.add("Rates", fmt.Sprintf("%v to %v in %s", over.From, over.To, counted(over.Steps, "step")))
		f.write(a.out)
	}
	if a.err.escapes && !c.Bool("json") {
		bar := a.err.newProgressLine(over.Steps)
		defer bar.clear()
		run.config.Observers = []net.Observer{net.ObserverFunc(func(e net.Event) error {
			if p, ok := e.(net.Progress); ok {
				bar.show(p.Step, fmt.Sprintf("rate %s  loss %.3f", rateText(p.LearningRate), p.Loss))
			}
			return nil
		})}
	}
	test, err := net.FindRate(c.Context, device, network, run.config, over)
	if errors.Is(err, context.Canceled) {
		return errInterrupted
	}
	if err != nil {
		return err
	}
	for flag, write := range map[string]func(io.Writer) error{
		"svg": rateChart(network.Name, test).WriteFile,
		"csv": func(w io.Writer) error { return writeRates(w, test) },
	} {
		if path := c.String(flag); path != "" {
			if _, err := a.writeOutput(path, write); err != nil {
				return fmt.Errorf("--%s %w", flag, err)
			}
		}
	}
	if c.Bool("json") {
		return a.printJSON(foundRate{
			Data: run.data.name, Device: device.Name(), Network: network.Name, Recipe: recipe,
			RateTest: test, SteepestRate: test.SteepestRate(), LeastTenth: test.LeastTenth(), Suggestion: test.Suggestion(),
		}, "")
	}
	a.printRates(test, over.Steps)
	if times := len(test.Points) * recipe.SamplesPerStep() / run.config.Train.Len(); times >= timesByHeart && test.Steepest >= 0 {
		fmt.Fprintf(a.out, "The test went through the training images %d times: so few can be learnt by heart at low rates. Take a smaller --batch or fewer --steps for a surer answer.\n", times)
	}
	return nil
}

// rateText writes a learning rate with the digits that a suggestion has.
func rateText(rate float64) string {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(rate, 'g', 2, 64), 64)
	return fmt.Sprint(rounded)
}

// printRates prints some of the steps, and the conclusion from all.
func (a *app) printRates(test *net.RateTest, steps int) {
	fmt.Fprintln(a.out)
	t := table{align: "rrrl"}
	t.add("step", "rate", "loss", "")
	const rows = 12
	every := max(1, (steps+rows-1)/rows)
	for i, p := range test.Points {
		note := map[int]string{test.Steepest: "falls fastest", test.Least: "is least"}[i]
		if i%every != 0 && note == "" && i != len(test.Points)-1 {
			continue
		}
		t.add(strconv.Itoa(i+1), rateText(p.Rate), fmt.Sprintf("%.3f", p.Smooth), note)
	}
	t.write(a.out)
	if test.Diverged {
		fmt.Fprintf(a.out, "Stopped at step %d of %d: the loss diverged.\n", len(test.Points), steps)
	}
	fmt.Fprintln(a.out)
	if test.Steepest < 0 {
		fmt.Fprintln(a.out, "The loss did not fall: there is no rate to suggest. Try other rates (--from, --to) or more --steps.")
		return
	}
	fmt.Fprintf(a.out, "The loss falls fastest at %s; a tenth of where it is least is %s.\nTry it: %s train --learning-rate %s, with the flags of this command\n",
		rateText(test.SteepestRate()), rateText(test.LeastTenth()), invocation(), rateText(test.Suggestion()))
}

// writeRates writes the steps as CSV.
func writeRates(w io.Writer, test *net.RateTest) error {
	out := csv.NewWriter(w)
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	rows := [][]string{{"rate", "loss", "smooth"}}
	for _, p := range test.Points {
		rows = append(rows, []string{number(p.Rate), number(p.Loss), number(p.Smooth)})
	}
	return out.WriteAll(rows)
}

// rateChart draws the loss over the rate.
func rateChart(network string, test *net.RateTest) *chart.Drawing {
	loss := chart.Series{Name: "each mini-batch", Colour: 1, Faint: true, Points: chart.NoPoints}
	smooth := chart.Series{Name: "smoothed", Colour: 0, Points: chart.NoPoints}
	least, first := math.Inf(1), 0.0
	for i, p := range test.Points {
		if i == 0 {
			first = p.Smooth
		}
		least = min(least, p.Smooth)
	}
	// Losses that diverge are left out. They would flatten everything else.
	top := first + 0.5*(first-least)
	for i, p := range test.Points {
		if i > test.Least && p.Smooth > top {
			break
		}
		loss.X, smooth.X, smooth.Y = append(loss.X, p.Rate), append(smooth.X, p.Rate), append(smooth.Y, p.Smooth)
		if p.Loss > top {
			p.Loss = math.NaN()
		}
		loss.Y = append(loss.Y, p.Loss)
	}
	lines := chart.Lines{
		Title: "Learning rate of " + network, Description: "The loss of each mini-batch against the learning rate, which grows from step to step.",
		X: chart.Axis{Label: "learning rate", Log: true, Format: rateText}, Y: chart.Axis{Label: "loss"},
		Series: []chart.Series{loss, smooth},
	}
	if test.Steepest >= 0 {
		rate := test.SteepestRate()
		text := []string{"falls fastest at " + rateText(rate), "least at " + rateText(10*test.LeastTenth())}
		for k, i := range []int{test.Steepest, test.Least} {
			p := test.Points[i]
			lines.Series = append(lines.Series, chart.Series{
				Name: text[k], Colour: 2 + k, Dash: chart.NoLine, X: []float64{p.Rate}, Y: []float64{p.Smooth}, Ring: 1, RingText: text[k],
			})
		}
		lines.Description += " The loss " + strings.Join(text, ", ") + "."
	}
	return lines.Draw()
}

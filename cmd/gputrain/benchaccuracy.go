package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/net"
)

// accuracyFlags returns the flags of bench that are for --to-accuracy alone, besides that one.
func accuracyFlags() []cli.Flag {
	const runs = "Runs of a recipe"
	recipe := *recipeAndModelFlags()[0].(*cli.StringFlag)
	recipe.Category, recipe.DefaultText = runs, recipe.Value
	recipe.Usage = "with --to-accuracy, train by the recipe `NAME`, as gputrain recipes lists them, or a JSON file"
	flags := []cli.Flag{
		&recipe,
		&cli.IntFlag{Name: "runs", Value: 3, EnvVars: env("runs"), Category: runs, Usage: "with --to-accuracy, train `N` times, each with the next seed"},
		&cli.IntFlag{Name: "limit", EnvVars: env("limit"), Category: runs, DefaultText: "all", Usage: "with --to-accuracy, take `N` images of each part at most, of all classes alike"},
	}
	for _, f := range recipeFlags() {
		if f.flag.Names()[0] != "batch" { // bench has one of its own, which serves as this one
			flags = append(flags, f.flag)
		}
	}
	return flags
}

// stepFlags lists the flags of bench that are for the timing of steps, not for --to-accuracy.
var stepFlags = []string{"suite", "mode", "infer-batch", "repeats", "repeat-time", "share"}

// refuseGiven returns an error for the first of some flags that is in the command line.
func (a *app) refuseGiven(c *cli.Context, names []string, why string) error {
	for _, name := range names {
		if a.given(c, name) {
			return usagef("--%s %s; %s", name, why, helpHint(c))
		}
	}
	return nil
}

// accuracyTask is what bench --to-accuracy does.
type accuracyTask struct {
	config bench.AccuracyConfig
	run    *trainingRun
}

func (a *app) benchAccuracy(c *cli.Context) (err error) {
	task := accuracyTask{run: &trainingRun{}}
	if err := a.readAccuracyFlags(c, &task); err != nil {
		return err
	}
	if err := a.takeBenchOutputs(c); err != nil {
		return err
	}
	device, why, err := openDevice(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	config := &task.config
	if config.Subject, err = accuracySubject(c, device); err != nil {
		return err
	}
	if err := a.takeModelAndData(c, task.run); err != nil {
		return err
	}
	run := task.run
	config.Recipe, config.Network = run.config.Recipe, run.plan.Network
	a.note(why)
	config.About = [][2]string{{"Recipe", run.config.Recipe.Name + ": " + describeSeeds(config.Recipe, config.Runs)},
		{"Model", fmt.Sprintf("%s: %s parameters", config.Network.Name, thousands(run.plan.Weights()))},
		{"Data", fmt.Sprintf("%s: %s training images, %s test images", run.data.name, thousands(run.config.Train.Len()), thousands(run.config.Test.Len()))}}
	config.Load = func(seed uint64) (bench.Samples, error) { return a.loadSamples(c, run.plan, seed) }
	bar := &benchProgress{app: a, lastLine: time.Now()}
	config.Progress = bar.show
	config.RunDone = func(who string, t bench.TimedRun) {
		bar.close()
		fmt.Fprintln(a.err, describeTimedRun(who, t, config.Accuracy))
	}
	endsInOrder(c.Context) // a step of a large network may take longer than a command that has nothing to show may
	report, failed := bench.ToAccuracy(c.Context, *config)
	bar.close()
	if errors.Is(failed, context.Canceled) {
		failed = errInterrupted
	}
	if len(report.Results) == 0 {
		return failed
	}
	return errors.Join(a.writeBench(c, report), failed)
}

// readAccuracyFlags reads the flags, except those for the device and the data.
func (a *app) readAccuracyFlags(c *cli.Context, task *accuracyTask) (err error) {
	config := &task.config
	if err := noArguments(c); err != nil {
		return err
	}
	if err := a.refuseGiven(c, stepFlags, "is for timing single steps, not for --to-accuracy"); err != nil {
		return err
	}
	percent := c.Float64("to-accuracy")
	switch {
	case !(percent > 0 && percent <= 100):
		return usagef("--to-accuracy is in per cent, above 0 and at most 100, such as 94; got %v", percent)
	case percent <= 1:
		return usagef("--to-accuracy is in per cent: %v for %v", 100*percent, percent)
	}
	config.Accuracy, config.Machine = percent/100, benchMachine()
	if config.Runs = c.Int("runs"); config.Runs < 1 {
		return usagef("--runs must be at least 1, got %d", config.Runs)
	}
	if c.IsSet("limit") && c.Int("limit") < 1 {
		return usagef("--limit must be at least 1, got %d", c.Int("limit"))
	}
	for flag, what := range map[string]string{"batch": "size", "threads": "number", "device": "device", "model": "model"} {
		if list := listOf(c, flag); c.IsSet(flag) && len(list) != 1 {
			return usagef("--%s: --to-accuracy takes one %s, got %d", flag, what, len(list))
		}
	}
	for _, flag := range []string{"batch", "threads"} {
		if c.IsSet(flag) {
			if _, err := numbersOf(c, flag); err != nil {
				return err
			}
		}
	}
	names := listOf(c, "peers")
	if slices.Equal(names, []string{"all"}) {
		names = peers.RecipeNames
	}
	for _, name := range names {
		if slices.Contains(peers.Names, name) && !slices.Contains(peers.RecipeNames, name) {
			return usagef("--peers: %s trains no whole recipes; with --to-accuracy want %s", name, orList(peers.RecipeNames))
		}
		if err := choose("peers", name, peers.RecipeNames); err != nil {
			return err
		}
	}
	if config.Peers = names; len(names) > 0 {
		if config.PeersDir, err = peersFolder(c.String("peers-folder")); err != nil {
			return err
		}
	}
	return task.run.beginWith(c, func(recipe string) error { return task.run.beginRun(c, recipe) })
}

// accuracySubject describes the device for package bench.
func accuracySubject(c *cli.Context, device net.Device) (bench.Subject, error) {
	s := bench.Subject{Name: c.String("device"), Device: device}
	gpu, err := gpuOptions(c)
	if err != nil {
		return s, err
	}
	_, isGPU := device.(interface{ Precision() cuda.Precision })
	switch {
	case isGPU:
		if s.Name == "auto" {
			s.Name = "cuda"
		}
		describeGPUSubject(&s, gpu.Precision)
	case s.Name != "reference":
		s.Name, s.Threads, s.Tier = "cpu", cpufeat.Threads(), narrowTier()
		if c.IsSet("threads") {
			s.Threads = c.Int("threads")
		}
	}
	return s, nil
}

// loadSamples loads the data of a run with a seed: those that train would take.
func (a *app) loadSamples(c *cli.Context, plan *net.Plan, seed uint64) (bench.Samples, error) {
	before := len(a.closers)
	data, err := a.loadData(c, dataWish{input: plan.Network.Input, seed: seed})
	closers := slices.Clone(a.closers[before:])
	a.closers = a.closers[:before]
	shut := func() (err error) {
		for _, f := range closers {
			err = errors.Join(err, f())
		}
		return err
	}
	if err == nil {
		err = checkFit(plan, data)
	}
	if err != nil {
		return bench.Samples{}, errors.Join(err, shut())
	}
	part := data.limited(c.Int("limit"), seed)
	return bench.Samples{Train: part.train, Validation: part.validation, Test: part.test, Close: shut}, nil
}

// describeSeeds tells in one line how a network is trained several times.
func describeSeeds(r net.Recipe, runs int) string {
	text := describeRecipe(r)
	if runs > 1 {
		text = strings.TrimSuffix(text, fmt.Sprintf(", seed %d", r.Seed)) + fmt.Sprintf(", seeds %d to %d", r.Seed, r.Seed+uint64(runs)-1)
	}
	return text
}

// describeTimedRun tells in one line what a run reached.
func describeTimedRun(who string, t bench.TimedRun, accuracy float64) string {
	reached := fmt.Sprintf("%v %% not reached", 100*accuracy)
	if t.Reached > 0 {
		reached = fmt.Sprintf("%v %% after %.3g s (epoch %d)", 100*accuracy, t.ToAccuracy, t.Reached)
	}
	return fmt.Sprintf("seed %d, %s: %s; %s test accuracy after %.3g s", t.Seed, who, reached, percent(t.FinalAccuracy), t.Seconds)
}

// benchMachine describes this machine and this program.
func benchMachine() bench.Machine {
	return bench.Machine{CPUs: runtime.GOMAXPROCS(0), Fast: cpufeat.Threads(), Place: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Program: strings.Split(version(), " (")[0]}
}

// takeBenchOutputs checks the files and folders that the flags name. Those that can't be written are reported now, not
// after minutes.
func (a *app) takeBenchOutputs(c *cli.Context) error {
	if c.Bool("json") && c.Bool("csv") {
		return usagef("--json and --csv exclude each other")
	}
	if err := a.takeOutputs(c, "html"); err != nil {
		return err
	}
	if dir := c.String("plots"); dir != "" {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return fmt.Errorf("--plots: %w", err)
		}
	}
	return nil
}

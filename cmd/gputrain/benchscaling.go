package main

import (
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
)

// scalingFlags returns the flags of bench that are for --scaling alone, with that one first.
func scalingFlags() []cli.Flag {
	const several = "Several GPUs"
	return []cli.Flag{
		&cli.BoolFlag{Name: "scaling", EnvVars: env("scaling"), Category: several, Usage: "compute, without measuring, what to expect of training on several GPUs"},
		&cli.StringFlag{Name: "gpus", Value: "1,2,4,8,16,32,64,128,256,512,1024", EnvVars: env("gpus"), Category: several, Usage: "with --scaling, these `NUMBERS` of GPUs"},
		&cli.StringFlag{Name: "link", Value: "nvlink", EnvVars: env("link"), Category: several, Usage: "with --scaling, `NAME` connects the GPUs of a machine: " + orList(linkNames())},
		&cli.StringFlag{Name: "network", Value: "100gbit", EnvVars: env("network"), Category: several, Usage: "with --scaling, `NAME` connects machines: " + orList(machineNetworkNames()) + ", or a number of Gbit/s, of all a machine's cards together"},
		&cli.IntFlag{Name: "gpus-per-machine", Value: 8, EnvVars: env("gpus-per-machine"), Category: several, Usage: "with --scaling, `N` GPUs in each machine"},
		&cli.IntFlag{Name: "global-batch", EnvVars: env("global-batch"), Category: several, DefaultText: "--batch on each GPU", Usage: "with --scaling, divide a mini-batch of `N` images among all GPUs"},
		&cli.Float64Flag{Name: "images-per-second", EnvVars: env("images-per-second"), Category: several, DefaultText: "what the data sheet allows", Usage: "with --scaling, one GPU trains `X` images a second, as bench measures it"},
	}
}

// sharedWithScaling lists the flags of bench that --scaling takes too.
var sharedWithScaling = []string{"model", "batch", "precision", "local-statistics", "json", "csv"}

func linkNames() (names []string) {
	for _, l := range bench.Links {
		names = append(names, l.Name)
	}
	return names
}

func machineNetworkNames() (names []string) {
	for _, n := range bench.MachineNetworks {
		names = append(names, n.Name)
	}
	return names
}

func (a *app) benchScaling(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	own := sharedWithScaling
	for _, f := range scalingFlags() {
		own = append(slices.Clip(own), f.Names()[0])
	}
	var others []string
	for _, f := range c.Command.Flags {
		if name := f.Names()[0]; !slices.Contains(own, name) && name != "help" {
			others = append(others, name)
		}
	}
	if err := a.refuseGiven(c, others, "is for measuring, and --scaling measures nothing"); err != nil {
		return err
	}
	if err := a.takeBenchOutputs(c); err != nil {
		return err
	}
	s, err := readScaling(c)
	if err != nil {
		return err
	}
	report, err := s.Report()
	switch {
	case err != nil:
		return err
	case c.Bool("json"):
		return a.printJSON(report, "")
	case c.Bool("csv"):
		return report.WriteCSV(a.out)
	}
	a.printBench(report)
	return nil
}

// readScaling reads the flags of bench --scaling.
func readScaling(c *cli.Context) (s bench.Scaling, err error) {
	s = bench.Scaling{Optimizer: net.AdamDefault(1e-4), Precision: cuda.Precision(c.String("precision")), Batch: 256, GPU: bench.GPUs[0],
		LocalStatistics: c.Bool("local-statistics")}
	models := listOf(c, "model")
	if len(models) != 1 {
		return s, usagef("--model: --scaling takes one model, got %d", len(models))
	}
	usual, _ := net.ModelNamed(models[0])
	if s.Network, err = loadModel(models[0], usual.Input, usual.Classes); err != nil {
		return s, err
	}
	if s.Precision != "" {
		if err := choose("precision", string(s.Precision), precisionNames); err != nil {
			return s, err
		}
	}
	if c.IsSet("batch") {
		sizes, err := numbersOf(c, "batch")
		if err != nil {
			return s, err
		}
		if len(sizes) != 1 {
			return s, usagef("--batch: --scaling takes one size, of each GPU, got %d", len(sizes))
		}
		s.Batch = sizes[0]
	}
	const most, mostGPUs = 1 << 20, 1 << 20
	if s.Batch > most {
		return s, usagef("--batch must be at most %d, got %d", most, s.Batch)
	}
	if c.IsSet("global-batch") {
		if c.IsSet("batch") {
			return s, usagef("--batch and --global-batch exclude each other")
		}
		s.Batch, s.GlobalBatch = 0, c.Int("global-batch")
		if s.GlobalBatch < 1 || s.GlobalBatch > most {
			return s, usagef("--global-batch must be from 1 to %d, got %d", most, s.GlobalBatch)
		}
	}
	if s.GPUs, err = numbersOf(c, "gpus"); err != nil {
		return s, err
	}
	switch n := slices.Max(s.GPUs); {
	case n > mostGPUs:
		return s, usagef("--gpus must be at most %d, got %d", mostGPUs, n)
	case s.GlobalBatch > 0 && n > s.GlobalBatch:
		return s, usagef("--global-batch: %d images are too few for %d GPUs (--gpus)", s.GlobalBatch, n)
	}
	if s.Measured = c.Float64("images-per-second"); c.IsSet("images-per-second") && !(s.Measured > 0 && s.Measured <= 1e12) {
		return s, usagef("--images-per-second must be above 0 and at most 1e12, got %v", s.Measured)
	}
	s.Interconnect, err = readInterconnect(c)
	return s, err
}

// readInterconnect reads the flags for what connects GPUs.
func readInterconnect(c *cli.Context) (to bench.Interconnect, err error) {
	if to.GPUsPerMachine = c.Int("gpus-per-machine"); to.GPUsPerMachine < 1 {
		return to, usagef("--gpus-per-machine must be at least 1, got %d", to.GPUsPerMachine)
	}
	if err := choose("link", c.String("link"), linkNames()); err != nil {
		return to, err
	}
	to.Link = bench.Links[slices.Index(linkNames(), c.String("link"))]
	name := c.String("network")
	if i := slices.Index(machineNetworkNames(), name); i >= 0 {
		to.Network = bench.MachineNetworks[i]
		return to, nil
	}
	gigabits, err := strconv.ParseFloat(name, 64)
	switch {
	case err != nil:
		return to, usagef("--network: %q is neither %s nor a number of Gbit/s%s", name, orList(machineNetworkNames()), suggest(name, machineNetworkNames()))
	case !(gigabits > 0 && gigabits <= 1e6):
		return to, usagef("--network must be above 0 and at most 1000000 Gbit/s, got %s", name)
	}
	to.Network = bench.NetworkOf(name+" Gbit/s", gigabits)
	return to, nil
}

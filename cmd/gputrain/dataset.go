package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
)

func dataFlag() cli.Flag {
	return &cli.StringFlag{Name: "data", EnvVars: env("data"), Category: "Data", DefaultText: "the built-in MNIST", Usage: "`FOLDER` of a data set: IDX files such as MNIST's, or CIFAR-10's binary files"}
}

// loadData loads the data set that the flags ask for.
func loadData(c *cli.Context) (*mnist.Split, error) {
	return loadFolder(c.String("data"))
}

// loadFolder loads the data set in a folder, or, where that is empty, the built-in
// MNIST.
func loadFolder(dir string) (*mnist.Split, error) {
	if dir != "" {
		return mnist.Load(dir)
	}
	return mnist.Tutorial()
}

// dataName returns the name that the parts of a data set have in common.
func dataName(s *mnist.Split) string { return strings.TrimSuffix(s.Train.Name, " training") }

// checkFit refuses a data set that the network cannot take.
func checkFit(plan *net.Plan, data *mnist.Split) error {
	d := data.Train
	if d.Shape != plan.Network.Input {
		return fmt.Errorf("the model takes samples of %v, but data set %s has %v: choose another --model or --data", plan.Network.Input, d.Name, d.Shape)
	}
	if d.Classes <= plan.Classes {
		return nil
	}
	err := fmt.Errorf("the model tells %d classes apart, but data set %s has %d: choose another --model or --data", plan.Classes, d.Name, d.Classes)
	if label := data.CheckLabels(plan.Classes); label != nil {
		err = fmt.Errorf("%w, or mend the file if it is damaged: %w", err, label)
	}
	return err
}

package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
)

func dataFlag() cli.Flag {
	return &cli.StringFlag{Name: "data", EnvVars: env("data"), Category: "Data", DefaultText: "the built-in MNIST", Usage: "`FOLDER` of a data set: IDX files such as MNIST's, or CIFAR-10's binary files"}
}

// dataset is a data set as the commands use it, wherever it comes from.
type dataset struct {
	train, validation, test *net.Dataset
	name                    string   // that its parts have in common
	folder                  string   // where it lies, an absolute path; "" is the built-in MNIST
	classNames              []string // by label
	// checkLabels finds the first label in the files that is not below so many classes,
	// and says where; nil where nothing is known of files.
	checkLabels func(classes int) error
	// prepare is how a picture becomes a sample, as in [net.Subject]; "" is unknown.
	prepare string
}

// part returns the part that --split names.
func (d *dataset) part(split string) *net.Dataset {
	return map[string]*net.Dataset{"test": d.test, "validation": d.validation, "train": d.train}[split]
}

// dataWish is what a network, or a run, asks of a data set that leaves something open:
// pictures can have any size, and be split in any way.
type dataWish struct {
	input      net.Shape // of the samples; the zero Shape is what the pictures suggest
	prepare    string    // as in [net.Subject]
	seed       uint64    // of splits
	firstTenth bool      // validates on the first images, as runs did that remember no subject
}

// wishOf is what a run asks of its data.
func wishOf(c *net.Checkpoint) dataWish {
	w := dataWish{input: c.Network.Input, seed: c.Recipe.Seed}
	if w.firstTenth = c.Subject == nil; !w.firstTenth {
		w.prepare = c.Subject.Prepare
	}
	return w
}

// loadData loads the data set that the flags ask for. It is at hand until the command
// ends.
func (a *app) loadData(c *cli.Context, w dataWish) (*dataset, error) {
	return a.loadFolder(c, c.String("data"), w)
}

// loadFolder loads the data set in a folder, or, where that is empty, the built-in
// MNIST.
func (a *app) loadFolder(c *cli.Context, dir string, w dataWish) (*dataset, error) {
	load := mnist.Tutorial
	if dir != "" {
		load = func() (*mnist.Split, error) { return mnist.Load(dir, w.splitter()) }
	}
	s, err := load()
	if err != nil {
		return nil, err
	}
	d := &dataset{
		train: s.Train, validation: s.Validation, test: s.Test, classNames: s.ClassNames, checkLabels: s.CheckLabels,
		name: strings.TrimSuffix(s.Train.Name, " training"), prepare: preparationOf(s),
	}
	if dir != "" {
		d.folder, err = filepath.Abs(dir)
	}
	return d, err
}

// checkFit refuses a data set that the network cannot take.
func checkFit(plan *net.Plan, data *dataset) error {
	d := data.train
	if d.Shape != plan.Network.Input {
		return fmt.Errorf("the model takes samples of %v, but data set %s has %v: choose another --model or --data", plan.Network.Input, d.Name, d.Shape)
	}
	if d.Classes <= plan.Classes {
		return nil
	}
	err := fmt.Errorf("the model tells %d classes apart, but data set %s has %d: choose another --model or --data", plan.Classes, d.Name, d.Classes)
	if data.checkLabels == nil {
		return err
	}
	if label := data.checkLabels(plan.Classes); label != nil {
		err = fmt.Errorf("%w, or mend the file if it is damaged: %w", err, label)
	}
	return err
}

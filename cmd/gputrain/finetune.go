package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/net"
)

// The words that --head takes besides a number.
const (
	autoHead = "auto"
	keepHead = "keep"
)

// adapt returns the network of a run that begins with the weights of another: with a new
// last layer, and with what --freeze freezes.
func (run *trainingRun) adapt(c *cli.Context, network *net.Network) (_ *net.Network, err error) {
	classes := run.data.train.Classes
	switch head := c.String("head"); head {
	case "":
		if err := run.sameClasses(network); err != nil {
			return nil, err
		}
	case keepHead:
	default:
		if head != autoHead {
			n, err := strconv.Atoi(head)
			switch {
			case err != nil || n < 2:
				return nil, usagef("--head: %q is neither a number of classes, at least 2, nor %s or %s", head, autoHead, keepHead)
			case n < classes:
				return nil, usagef("--head %d: data set %s has %d classes; --head %s takes as many", n, run.data.name, classes, autoHead)
			}
			classes = n
		}
		if network, run.head, err = network.NewHead(classes); err != nil {
			return nil, err
		}
	}
	if c.IsSet("freeze") {
		if network, err = network.Freeze(c.StringSlice("freeze")...); err != nil {
			return nil, fmt.Errorf("--freeze: %w", err)
		}
	}
	return network, nil
}

// sameClasses returns an error if the data's classes are others than those that the network
// was trained to tell apart.
func (run *trainingRun) sameClasses(network *net.Network) error {
	was, is := []string(nil), run.data
	if s := run.weights.Subject; s != nil {
		was = s.ClassNames
	}
	if plan, err := network.Plan(); err != nil {
		return err
	} else if is.train.Classes > plan.Classes {
		return fmt.Errorf("the network of %s tells %d classes apart, data set %s has %d: give it a new last layer with --head %s",
			run.from, plan.Classes, is.name, is.train.Classes, autoHead)
	}
	if len(was) == 0 || len(is.classNames) < is.train.Classes || slices.Equal(was, is.classNames) {
		return nil
	}
	return fmt.Errorf("%s was trained on other classes (%s) than data set %s has (%s): give the network a new last layer with --head %s, or keep the old one with --head %s if the classes are the same under other names",
		run.from, listNames(was), is.name, listNames(is.classNames), autoHead, keepHead)
}

// optimizerOf returns the optimiser of a run that begins with the weights of another. Groups
// of the recipe that are only for what is frozen are left out.
func (run *trainingRun) optimizerOf(c *cli.Context) net.Optimizer {
	o := run.config.Recipe.Optimizer
	if c.IsSet("rate-factor") {
		return o // the user wants to know if a name is wrong
	}
	return o.WithoutFrozen(run.plan)
}

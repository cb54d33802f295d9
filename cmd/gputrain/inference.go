package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/net"
)

// inferenceBatch is how many samples go to the device before the next check whether the
// user has interrupted.
const inferenceBatch = 250

var errInterrupted = errors.New("interrupted")

// trainedRunFlag returns the flag that names the run whose network is used. It has the
// same name as the flag of train that names a new run.
func trainedRunFlag() cli.Flag {
	return &cli.StringFlag{Name: "run", Aliases: []string{"checkpoint"}, EnvVars: append(env("run"), env("checkpoint")...), Category: "Model", DefaultText: "the latest run in " + runsFolder, Usage: "`RUN`: a run's name or folder (its last checkpoint), a folder of runs (the latest), or a checkpoint file"}
}

// namedRun returns the run that the command line names, by --run or as an argument. It
// returns "" if there is none. A run that the environment names is only a default.
func (a *app) namedRun(c *cli.Context) (string, error) {
	named := c.String("run")
	if c.NArg() == 0 {
		return named, nil
	}
	argument := c.Args().First()
	if file := c.Args().Get(c.NArg() - 1); c.NArg() > 1 && writes(c, "output", file) {
		return "", usagef("%s takes one run, got more: to write to %s, use --output %s; %s", c.Command.Name, file, quoted(file), helpHint(c))
	}
	if c.NArg() > 1 || a.given(c, "run") && named != argument {
		return "", usagef("%s takes one run, got more; %s", c.Command.Name, helpHint(c))
	}
	return argument, nil
}

// model is a trained network on a device.
type model struct {
	checkpoint *net.Checkpoint
	path       string
	plan       *net.Plan
	device     net.Device
	program    net.Program
}

// openModel loads the checkpoint of the named run, and compiles its network for batches
// of the given size. If the run's batch size is smaller, it takes that one, because a
// larger one may be too large for the device.
func openModel(c *cli.Context, named string, batch int) (*model, error) {
	checkpoint, path, err := loadRun(c, named, "--run RUN")
	if err != nil {
		return nil, err
	}
	plan, err := checkpoint.Network.Plan()
	if err != nil {
		return nil, err
	}
	m := &model{checkpoint: checkpoint, path: path, plan: plan}
	if err := m.compile(c, batch); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// compile opens the device that the flags name, and compiles the network on it.
func (m *model) compile(c *cli.Context, batch int) (err error) {
	if m.device, _, err = openDevice(c); err != nil {
		return err
	}
	m.program, err = m.checkpoint.Compile(m.device, batch)
	return err
}

func (m *model) close() error {
	var err error
	if m.program != nil {
		err = m.program.Close()
	}
	if m.device != nil {
		err = errors.Join(err, m.device.Close())
	}
	return err
}

// batches calls f for pieces of a data set, until all samples have been passed.
func batches(ctx context.Context, d *net.Dataset, f func(net.Batch) error) error {
	indices := make([]int32, 0, inferenceBatch)
	for i := range d.Len() {
		indices = append(indices, int32(i))
		if len(indices) < inferenceBatch && i < d.Len()-1 {
			continue
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err := f(net.Batch{Data: d, Indices: indices}); err != nil {
			return err
		}
		indices = indices[:0]
	}
	return nil
}

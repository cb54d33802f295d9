package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/net"
)

// inferenceBatch is how many samples go to the device between two looks at
// whether the user has interrupted.
const inferenceBatch = 250

var errInterrupted = errors.New("interrupted")

func checkpointFlag() cli.Flag {
	return &cli.StringFlag{Name: "checkpoint", EnvVars: env("checkpoint"), Category: "Model", DefaultText: "the latest run in " + runsFolder, Usage: "`FOLDER` (its last checkpoint) or file"}
}

// model is a trained network on a device.
type model struct {
	checkpoint *net.Checkpoint
	path       string
	plan       *net.Plan
	device     net.Device
	program    net.Program
}

// openModel loads the checkpoint that the flags name and compiles its network
// for batches of some size.
func openModel(c *cli.Context, batch int) (m *model, err error) {
	m = &model{}
	if m.checkpoint, m.path, err = loadRun(c.String("checkpoint")); err != nil {
		return nil, err
	}
	if m.plan, err = m.checkpoint.Network.Plan(); err != nil {
		return nil, err
	}
	if m.device, _, err = openDevice(c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	// Only weights matter here: any optimiser will do, and no state of it.
	m.program, err = m.device.Compile(m.checkpoint.Network, net.Options{Batch: batch, Optimizer: net.SGDDefault(0)})
	if err != nil {
		return nil, err
	}
	state := net.State{Step: m.checkpoint.State.Step, Params: m.checkpoint.State.Params}
	return m, m.program.SetState(state)
}

func (m *model) close() error {
	var err error
	if m.program != nil {
		err = m.program.Close()
	}
	return errors.Join(err, m.device.Close())
}

// batches calls f for all samples of a data set, in pieces.
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

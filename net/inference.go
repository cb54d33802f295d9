package net

import "errors"

// Compile compiles the checkpoint's network on a device, with its Weights, for
// evaluation and inference in batches of some size, or of the size
// that it was trained in where that is less: a larger one may be more than the
// device can take. The caller closes the Program.
func (c *Checkpoint) Compile(d Device, batch int) (Program, error) {
	// Only weights matter here: any optimiser will do, and no state of it.
	p, err := d.Compile(c.Network, Options{Batch: min(batch, c.Recipe.Batch), Optimizer: SGDDefault(0)})
	if err != nil {
		return nil, err
	}
	if err := p.SetState(State{Step: c.State.Step, Params: c.Weights()}); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

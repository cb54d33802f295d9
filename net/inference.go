package net

import (
	"errors"
	"slices"

	"gorgonia.org/tensor"
)

// Inferrer answers with a network: that part of a [Program]. Packages of devices may
// have one that is smaller than a Program, as cpu.NewInferrer.
type Inferrer interface {
	// Plan returns what the Inferrer was compiled from. The caller does not change it.
	Plan() *Plan
	// Infer returns the class probabilities in evaluation mode, (N, classes), as
	// a tensor that the caller owns. Labels are not looked at. Batches of any size
	// are allowed.
	Infer(Batch) (*tensor.Dense, error)
	// Close gives back all memory and reports what failed.
	Close() error
}

// Probabilities is [Inferrer.Infer] with a Go slice for each sample of the batch: how
// probable each class is.
func Probabilities(n Inferrer, b Batch) ([][]float32, error) {
	t, err := n.Infer(b)
	if err != nil {
		return nil, err
	}
	return slices.Collect(slices.Chunk(t.Float32s(), n.Plan().Classes)), nil
}

// Values returns a float32 tensor's values in row-major order, and its dimensions: of
// a State, a Trace or what Infer returns. The slice is the tensor's memory, not a copy.
func Values(t *tensor.Dense) (values []float32, dims []int) {
	return t.Float32s(), slices.Clone([]int(t.Shape()))
}

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

package net

import (
	"errors"
	"slices"

	"gorgonia.org/tensor"
)

// Inferrer computes a network's answers. Every [Program] is one. A device's package may
// also offer an Inferrer that is smaller than a Program, such as cpu.NewInferrer.
type Inferrer interface {
	// Plan returns what the Inferrer was compiled from. The caller does not change it.
	Plan() *Plan
	// Infer returns the class probabilities of a batch of any size, (N, classes), in
	// evaluation mode. The caller owns the tensor. Labels are ignored.
	Infer(Batch) (*tensor.Dense, error)
	// Close releases all memory and returns an error if that fails.
	Close() error
}

// Probabilities returns what [Inferrer.Infer] does as Go slices: one for each sample of
// the batch, with the probability of each class.
func Probabilities(n Inferrer, b Batch) ([][]float32, error) {
	t, err := n.Infer(b)
	if err != nil {
		return nil, err
	}
	return slices.Collect(slices.Chunk(t.Float32s(), n.Plan().Classes)), nil
}

// Values returns the values of a float32 tensor in row-major order, and its dimensions.
// The tensor is from a State, a Trace or Infer. values is the tensor's own memory, not a
// copy.
func Values(t *tensor.Dense) (values []float32, dims []int) {
	return t.Float32s(), slices.Clone([]int(t.Shape()))
}

// Compile compiles the checkpoint's network with its Weights on a device, for evaluation
// and inference. Options.Batch becomes batch, but at most the batch size of the training,
// because more may not fit on the device. The caller closes the Program.
func (c *Checkpoint) Compile(d Device, batch int) (Program, error) {
	// Only weights matter here: any optimiser will do, and no state of it.
	p, err := d.Compile(c.Network, Options{Batch: min(batch, c.Recipe.Batch), Optimizer: SGDDefault(0), Inference: true})
	if err != nil {
		return nil, err
	}
	if err := p.SetState(State{Step: c.State.Step, Params: c.Weights()}); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

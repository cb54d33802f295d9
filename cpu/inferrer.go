package cpu

import (
	"errors"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// inferrer is a program that only infers, on a device of its own.
//
// The linker leaves out methods that nobody calls. But it keeps exported methods of
// types that can be reached from a value in an interface, because gorgonia.org/tensor
// could look them up by name. The methods Step of *program and Compile of *device would
// bring all of training along. So an inferrer has functions instead of fields of these
// types.
type inferrer struct {
	plan  *net.Plan // the program's own plan is frozen
	infer func(net.Batch) (*tensor.Dense, error)
	close func() error
}

// NewInferrer returns a checkpoint's network, with its Weights, for inference only. It
// computes batches of the given number of samples, and divides larger ones. It starts
// threads, which Close stops. Its results are the same bytes as a Program's with that
// batch size. It takes no memory for gradients. A program that uses nothing else of this
// package contains no backward pass, no optimiser and no initial values.
func NewInferrer(c *net.Checkpoint, batch int, opts Options) (net.Inferrer, error) {
	plan, err := c.Network.Plan()
	if err != nil {
		return nil, err
	}
	compiled := net.Options{Batch: batch, Optimizer: net.SGDDefault(0)}
	if err := compiled.Check(); err != nil {
		return nil, err
	}
	d, err := newDevice(opts)
	if err != nil {
		return nil, err
	}
	p, err := newProgram(d, plan.Frozen(), compiled, false)
	if err == nil {
		err = p.SetState(net.State{Step: c.State.Step, Params: c.Weights()})
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &inferrer{plan, p.Infer, func() error { return errors.Join(p.Close(), d.Close()) }}, nil
}

// Plan returns the plan of the checkpoint's network.
func (i *inferrer) Plan() *net.Plan { return i.plan }

// Infer returns the class probabilities, (b.Len(), classes). The caller owns the tensor.
func (i *inferrer) Infer(b net.Batch) (*tensor.Dense, error) { return i.infer(b) }

// Close stops the threads.
func (i *inferrer) Close() error { return i.close() }

//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// operation computes a group of the graph that a network is compiled to: a layer, or several in one.
type operation interface {
	// claim tells which memory the operation needs and when: what it has for itself, and which values of others its backward
	// pass reads. forward and backward are its positions in the step; without a backward pass both are the first.
	claim(forward, backward int) claim
	// forward computes the output of the pass's mini-batch.
	forward(p *pass) error
	// backward computes the gradients of trained parameters, and of inputs where they are wanted. It runs where the output
	// has a gradient, which it may change.
	backward(p *pass) error
	close() error
}

// claim is an operation's need of memory.
type claim struct {
	reads []*slot // by the backward pass, of the inputs' values and the output's
	own   []*slot // values of its own, with their lifetimes; Buffer is filled in later
}

// slot is a piece of device memory that holds a value while that lives.
type slot struct {
	value
	Buffer
}

// newSlot makes a slot for count float32 that lives from first to last.
func newSlot(count int64, first, last int) slot {
	return slot{value: value{bytes: 4 * count, first: first, last: last}}
}

// pass is a mini-batch on its way through the graph.
type pass struct {
	n        int // samples
	training bool
	tracing  bool // running statistics stay as they are
}

// link is what every operation knows of its place in the graph. Its memory holds a full mini-batch.
type link struct {
	program    *program
	node       net.Node // of its layers the first
	inputs     []input
	in         input // the first of them
	out        *activations
	parameters map[net.Role]*parameter // of the node
}

// input is a value that an operation takes.
type input struct {
	*activations
	wanted bool // its gradient is computed
	adds   bool // and added to what other uses of the value have left there, else written
}

// add is what kernels call adds.
func (i input) add() int32 { return int32(boolInt(i.adds)) }

// trained returns the parameter of a role, if there is one that is trained.
func (l *link) trained(r net.Role) *parameter {
	if q := l.parameters[r]; q != nil && q.Trained {
		return q
	}
	return nil
}

func (l *link) launch(k kernels.Launcher) error { return l.program.device.launch(k) }

// activations are the values between operations, and their gradient.
type activations struct {
	shape  net.Shape
	learns bool // there is a gradient
	value  *slot
	grad   *slot
}

func newActivations(s net.Shape, learns bool) *activations {
	return &activations{s, learns, &slot{}, &slot{}}
}

// count returns how many values n samples have.
func (a *activations) count(n int) uint64 { return uint64(n) * uint64(a.shape.Size()) }

// extent returns the values of one channel of one sample.
func extent(s net.Shape) uint32 { return uint32(s.H * s.W) }

// floats is a buffer's address, for a kernel.
func floats(b Buffer) kernels.Pointer[float32] { return kernels.Pointer[float32](b.Address) }

// optional is the same for one that may be null.
func optional(b Buffer) kernels.Optional[float32] { return kernels.Optional[float32](b.Address) }

// firstError returns the first error that is not nil: of a list whose later entries fail because of the first.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// closer is what perBatch keeps.
type closer interface{ close() error }

// perBatch keeps what depends on the mini-batch's size: descriptors and algorithms. A run uses few sizes: the full one and
// what is left at the end of each data set. Captured graphs need none of it.
type perBatch[T closer] struct {
	made map[int]T
	ages []int // sizes, the one used last at the end
}

// mostSizes bounds how many sizes are kept.
const mostSizes = 8

// errNotMade ends the capture of a pass that would have to make something anew: that may take memory and measure
// algorithms, which must not be captured.
var errNotMade = errors.New("descriptors must be made anew")

// at returns what there is for n samples, made anew where there is nothing.
func (b *perBatch[T]) at(p *program, n int, fresh func(n int) (T, error)) (T, error) {
	for i, size := range b.ages {
		if size == n {
			b.ages = append(append(b.ages[:i:i], b.ages[i+1:]...), n)
			return b.made[n], nil
		}
	}
	if p.capturing {
		var none T
		return none, errNotMade
	}
	t, err := fresh(n)
	if err != nil {
		return t, err
	}
	if b.made == nil {
		b.made = map[int]T{}
	}
	b.made[n] = t
	b.ages = append(b.ages, n)
	if len(b.ages) <= mostSizes {
		return t, nil
	}
	oldest := b.ages[0]
	b.ages = b.ages[1:]
	err = b.made[oldest].close()
	delete(b.made, oldest)
	return t, err
}

func (b *perBatch[T]) close() error {
	var errs []error
	for _, t := range b.made {
		errs = append(errs, t.close())
	}
	*b = perBatch[T]{}
	return errors.Join(errs...)
}

//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// operation computes one group of the graph that a network is compiled to: one layer, or several layers as one.
type operation interface {
	// claim tells which memory the operation needs, and when: its own values, and the values of others that its
	// backward pass reads. forward and backward are its positions in the step. If it has no backward pass, both are
	// the position of its forward pass.
	claim(forward, backward int) claim
	// forward computes the output of the pass's mini-batch.
	forward(p *pass) error
	// backward computes the gradients of trained parameters, and of those inputs where they are wanted. It is called
	// only if the output has a gradient, which it may change.
	backward(p *pass) error
	close() error
}

// claim is the memory that an operation needs.
type claim struct {
	reads  []*slot // inputs and outputs that the backward pass reads
	beside []*slot // what the backward pass reads on the side lane
	own    []*slot // its own values, with their lifetimes; Buffer is filled in later
}

// slot is a value and the device memory that holds it during its lifetime.
type slot struct {
	value
	Buffer
	kind  kernels.Type
	count int64 // of values
}

// newSlot makes a slot for count values of a type that live from position first to position last.
func newSlot(kind kernels.Type, count int64, first, last int) slot {
	return slot{value: value{bytes: kind.Bytes() * count, first: first, last: last}, kind: kind, count: count}
}

// newFloats makes a slot for count float32 values.
func newFloats(count int64, first, last int) slot {
	return newSlot(kernels.Float32, count, first, last)
}

// values returns the slot's memory as kernels take it that have forms.
func (s *slot) values() kernels.Values { return s.kind.At(uint64(s.Address)) }

// pass describes one pass of a mini-batch through the graph.
type pass struct {
	n        int // samples
	training bool
	grouped  bool // batch normalisation's statistics are those of all members of the group, which make the same pass
	empty    bool // it counts nothing; see net.Share.Empty
	tracing  bool // a trace: running statistics don't change
}

// link is what every operation knows about its place in the graph. Its buffers hold a full mini-batch.
type link struct {
	program    *program
	group      int      // its number
	node       net.Node // the first of its layers
	inputs     []input
	in         input // the first of inputs
	out        *activations
	parameters map[net.Role]*parameter // of the node
}

// input is a value that an operation takes.
type input struct {
	*activations
	wanted bool // its gradient is computed
	adds   bool // its gradient is added to what other uses of the value have left; otherwise it is written
}

// add returns the value for a kernel's parameter Add.
func (i input) add() int32 { return int32(boolInt(i.adds)) }

// trained returns the parameter of a role if it is trained. Otherwise it returns nil.
func (l *link) trained(r net.Role) *parameter {
	if q := l.parameters[r]; q != nil && q.Trained {
		return q
	}
	return nil
}

// last returns whether channels are last, for a kernel's parameter Last.
func (l *link) last() int32 { return int32(boolInt(l.program.device.form.Last)) }

func (l *link) launch(k kernels.Launcher) error { return l.program.device.launch(k) }

// activations is a value between operations, and the gradient with respect to it.
type activations struct {
	shape net.Shape // as the operation sees it that takes it
	// lies is the shape in which the values lie in memory. Behind a flatten layer it is the shape before it: with channels
	// last, the values of a flat vector are not in the vector's order.
	lies   net.Shape
	learns bool // there is a gradient
	value  *slot
	grad   *slot
}

func newActivations(s net.Shape, learns bool) *activations {
	return &activations{s, s, learns, &slot{}, &slot{}}
}

// count returns how many values n samples have.
func (a *activations) count(n int) uint64 { return uint64(n) * uint64(a.shape.Size()) }

// floats returns a buffer's address as kernels take it.
func floats(b Buffer) kernels.Pointer[float32] { return kernels.Pointer[float32](b.Address) }

// float32s returns a buffer of float32 values as kernels take it that have forms.
func float32s(b Buffer) kernels.Values { return kernels.Float32.At(uint64(b.Address)) }

// optional returns a buffer's address for a kernel's parameter that may be null. A zero Buffer gives null.
func optional(b Buffer) kernels.Optional[float32] { return kernels.Optional[float32](b.Address) }

// firstError returns the first error that is not nil. It is for lists in which later entries fail because of the
// first.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// closer is what a perBatch holds.
type closer interface{ close() error }

// perBatch keeps what depends on the mini-batch size: descriptors and algorithms. A run uses few sizes: the full one,
// and what is left at the end of each data set. Captured graphs don't need it.
type perBatch[T closer] struct {
	made map[int]T
	ages []int // sizes; the most recently used is at the end
}

// mostSizes bounds how many sizes are kept: the powers of two for inference, and a few of training.
const mostSizes = 16

// errNotMade ends the capture of a pass that would have to make something new. That may take memory and measure
// algorithms, which must not be captured.
var errNotMade = errors.New("descriptors must be made anew")

// at returns what is kept for n samples. If there is nothing, it makes it with fresh.
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

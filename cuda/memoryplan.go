//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// stagedBytes returns how many bytes the smallest staging memory needs for each sample of a mini-batch. It counts
// values as float32.
func (p *program) stagedBytes() int64 { return 2 * 4 * (int64(p.plan.Network.Input.Size()) + 1) }

// mostValues is the most values of a mini-batch between two layers: our kernels and cuDNN's number them with 32 bits.
const mostValues = 1 << 31

// takeMemory plans when each value lives, and takes the memory for all of them.
func (p *program) takeMemory() error {
	batch := int64(p.options.Batch)
	loss := len(p.groups) + 1 // positions: the input is 0; then come the groups, the loss, and the groups backwards
	back := func(group int) int { return 2*loss - (group + 1) }
	var slots []*slot
	for i, a := range slices.Backward(p.values) {
		// A value lives until its last use. Its gradient lives from there to the backward pass of the group that makes
		// the value. A gradient that was there before is a sum's, which lives until then too.
		kind, count, last, first := p.device.form.Type, batch*int64(a.shape.Size()), loss, loss
		if uses := p.lowered.Values[i].Uses; len(uses) > 0 {
			group := uses[len(uses)-1].Group
			last, first = group+1, back(group)
		}
		*a.value = newSlot(kind, count, i, last)
		if a == p.logits() {
			*a.value = newFloats(count, i, last)
		}
		slots = append(slots, a.value)
		switch {
		case !a.learns:
		case a.grad.count > 0:
			a.grad.extend(back(i - 1))
		default:
			*a.grad = newSlot(kind, count, first, back(i-1))
			slots = append(slots, a.grad)
		}
	}
	for i, g := range p.groups {
		last := i + 1
		if g.out.learns {
			last = back(i)
		}
		need := g.claim(i+1, last)
		for _, s := range need.reads {
			s.extend(last)
		}
		for _, s := range need.beside {
			s.extend(last + asideFor)
		}
		slots = append(slots, need.own...)
	}
	for _, s := range slots {
		if s.count > mostValues {
			return fmt.Errorf("a mini-batch of %d has %d values between two layers, more than %d: use a smaller one", batch, s.count, int64(mostValues))
		}
	}
	if err := p.takeSlots(slots); err != nil {
		return err
	}
	for _, b := range []struct {
		into  *Buffer
		bytes int64
		what  string
	}{
		{&p.labels, 4 * batch, "labels"}, {&p.others, 4 * batch, "labels of partners"}, {&p.shares, 4 * batch, "shares of labels"}, {&p.losses, 4 * batch, "losses"}, {&p.hits, 4 * batch, "hits"},
		{&p.probabilities, 4 * batch * int64(p.plan.Classes), "probabilities"},
		{&p.results, 2 * sumsBytes, "sums"}, {&p.clip, 4, "the clipping factor"}, {&p.squares, 8 * kernels.MostSquareSums * int64(max(1, len(p.flat.parts))), "sums of squares"},
	} {
		var err error
		if *b.into, err = p.device.pool.take(b.bytes, b.what); err != nil {
			return err
		}
	}
	if err := p.takeClassWeights(); err != nil {
		return err
	}
	p.sums, p.scores = p.results.part(0, sumsBytes), p.results.part(sumsBytes, sumsBytes)
	var err error
	if p.result, err = takePinned(max(sumsBytes, p.probabilities.Bytes)); err != nil {
		return err
	}
	return p.device.zero(p.results)
}

// takeClassWeights copies the loss's class weights to the device, if it has any. Classes beyond the given ones get 1.
func (p *program) takeClassWeights() (err error) {
	given := p.options.Loss.ClassWeights
	if given == nil {
		return nil
	}
	weights := make([]float32, p.plan.Classes)
	for k := range weights {
		weights[k] = 1
		if k < len(given) {
			weights[k] = float32(given[k])
		}
	}
	p.classWeights, err = p.device.upload(unsafe.Pointer(unsafe.SliceData(weights)), 4*int64(len(weights)), "the weights of the classes")
	return err
}

// takeSlots takes one buffer and places all slots in it. With Options.SingleAllocations it takes a buffer for each
// slot.
func (p *program) takeSlots(slots []*slot) error {
	var values []*value
	var apart int64
	for _, s := range slots {
		values = append(values, &s.value)
		apart += aligned(s.bytes)
	}
	total := place(values)
	what := "activations and their gradients (most of it for " + p.largest() + ")"
	if p.device.options.SingleAllocations {
		total = apart
	}
	batch := int64(p.options.Batch)
	p.perSample = (total+batch-1)/batch + 20 + 4*int64(p.plan.Classes) + 4*stepsAhead + p.stagedBytes()
	p.slack = alignment * int64(len(slots)+8)
	if p.device.options.SingleAllocations {
		for _, s := range slots {
			b, err := p.device.pool.take(s.bytes, what)
			if err != nil {
				return err
			}
			s.Buffer = b
			p.memory = append(p.memory, b)
		}
		return nil
	}
	all, err := p.device.pool.take(total, what)
	if err != nil {
		return err
	}
	p.memory = append(p.memory, all)
	p.saved = apart - total
	p.device.pool.stats.Planned += p.saved
	for _, s := range slots {
		s.Buffer = all.part(s.offset, s.bytes)
	}
	return nil
}

// largest returns the name of the layer with the largest output.
func (p *program) largest() string {
	return slices.MaxFunc(p.plan.Nodes, func(a, b net.Node) int { return cmp.Compare(a.Out.Size(), b.Out.Size()) }).Name
}

// reserveWorkspace makes sure that a lane's workspace has at least the given number of bytes. Graphs that hold the address
// of a smaller one are captured again.
func (p *program) reserveWorkspace(lane int, bytes int64, what string) error {
	old := p.workspaces[lane]
	if bytes <= old.Bytes {
		return nil
	}
	b, err := p.device.pool.take(bytes, what)
	if err != nil {
		return p.fits(err)
	}
	if old.Bytes > 0 {
		if err := p.forgetGraphs(); err != nil {
			return errors.Join(err, p.device.pool.give(b))
		}
	}
	p.workspaces[lane] = b
	return p.device.pool.give(old)
}

// workspaceBytes returns how many bytes all workspaces have.
func (p *program) workspaceBytes() (bytes int64) {
	for _, w := range p.workspaces {
		bytes += w.Bytes
	}
	return bytes
}

// fits adds to an error of memory which batch size would fit.
func (p *program) fits(err error) error {
	var e *OutOfMemoryError
	if !errors.As(err, &e) {
		return err
	}
	e.BatchSize = p.options.Batch
	if p.perSample == 0 {
		return err // there is no room even for the parameters
	}
	room, pieces, e2 := p.device.pool.room()
	if e2 != nil {
		return errors.Join(err, e2)
	}
	if p.device.options.SingleAllocations {
		room = pieces
	}
	perSample := p.perSample
	if len(p.memory) > 0 { // the activations had room, so a workspace is what had none
		perSample += e.Bytes / int64(e.BatchSize)
		room += p.workspaceBytes()
	}
	for _, b := range p.memory {
		room += b.Bytes
	}
	e.Fits = int(min(max((room-p.slack)/perSample, 0), int64(e.BatchSize-1)))
	return err
}

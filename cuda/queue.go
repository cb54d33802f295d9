//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"slices"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// kind is what is done with a mini-batch.
type kind int

const (
	stepping        kind = iota // differentiating and updating
	differentiating             // forward and backward, in training
	updating                    // the optimiser, without a mini-batch
	evaluating
	inferring
)

// work is a kind of pass over mini-batches of one size from one data set: what one captured graph does.
type work struct {
	kind   kind
	adds   bool // to the gradients of earlier shares
	viewed bool // samples are seen by views
	data   *deviceData
	n      int
}

// trains reports whether the work has a backward pass.
func (w work) trains() bool { return w.kind == stepping || w.kind == differentiating }

// updates reports whether it changes weights.
func (w work) updates() bool { return w.kind == stepping || w.kind == updating }

// queue collects work and gives it to the device, several pieces at once: their indices and learning rates go up in one
// copy from pinned memory, then a graph is launched for each. The kernels find their mini-batch by the slot that the
// device counts.
type queue struct {
	program *program
	block   Buffer // state, numbers, and indices or views of the steps ahead
	halves  [2]half
	half    int // that is being filled
	works   [stepsAhead]work
	count   int         // of works
	data    *deviceData // from which the mini-batches of all of them come; nil where there are none
	viewed  bool        // the mini-batches have views, in place of indices
	views   int         // mini-batches with views for which there is room; 0 before the first
	first   int64       // step count of the first that is queued
	staging *staging    // of streamed data sets; nil before the first
}

// half is pinned memory for one upload, and the event after which it may be written again.
type half struct {
	pinned
	copied cu.Event
	used   bool
}

// stepsAhead is how many pieces of work go up at once.
const stepsAhead = 32

// waited makes events for which the host waits asleep: it is steps ahead, and others may need the core.
const waited = cu.DisableTiming | cu.BlockingSyncEvent

// viewsBytes is about how much of a block views take at most: a graph launch needs far more time than they need to go up.
const viewsBytes = 8 << 20

func newQueue(p *program) (q *queue, err error) {
	q = &queue{program: p}
	for i := range q.halves {
		if q.halves[i].copied, err = cu.MakeEvent(waited); err != nil {
			return q, call("cuEventCreate", err)
		}
	}
	return q, q.takeBlock(sampleAt+4*stepsAhead*int64(p.options.Batch), "the indices of the steps ahead")
}

// takeBlock takes memory for the block and its halves, and gives back what there was.
func (q *queue) takeBlock(bytes int64, what string) error {
	pool := q.program.device.pool
	block, err := pool.take(bytes, what)
	if err != nil {
		return err
	}
	var pins [2]pinned
	for i := range pins {
		if pins[i], err = takePinned(bytes); err != nil {
			return errors.Join(err, pins[0].close(), pool.give(block))
		}
	}
	errs := []error{pool.give(q.block)}
	q.block = block
	for i := range pins {
		errs = append(errs, q.halves[i].pinned.close())
		q.halves[i].pinned = pins[i]
	}
	return errors.Join(errs...)
}

// reserveViews takes the room for mini-batches with views: for fewer where there is little, and if need be that of data sets.
// The queue is empty.
func (q *queue) reserveViews() error {
	p := q.program
	if err := p.forgetGraphs(); err != nil { // they hold the block's address
		return err
	}
	each := viewBytes * int64(p.options.Batch)
	steps := min(stepsAhead, max(1, viewsBytes/each))
	for {
		err := q.takeBlock(sampleAt+max(4*stepsAhead*int64(p.options.Batch), steps*each), "how the samples of the steps ahead are seen")
		if err == nil {
			q.views = int(steps)
		}
		if !errors.Is(err, ErrOutOfMemory) {
			return err
		}
		if steps > 1 {
			steps /= 2
			continue
		}
		if more, e := p.device.makeRoom(); e != nil || !more {
			return errors.Join(p.fits(err), e)
		}
	}
}

// sampleAt is where the indices, or the views, begin in a block.
const sampleAt = stateBytes + stepsAhead*queuedBytes

// numbers, indices and seen are where these begin in device memory.
func (q *queue) numbers() kernels.Pointer[kernels.Queued] {
	return kernels.Pointer[kernels.Queued](int64(q.block.Address) + stateBytes)
}

func (q *queue) indices() kernels.Pointer[int32] {
	return kernels.Pointer[int32](int64(q.block.Address) + sampleAt)
}

func (q *queue) seen() kernels.Pointer[kernels.View] {
	return kernels.Pointer[kernels.View](int64(q.block.Address) + sampleAt)
}

// add queues work on a mini-batch, and gives what is queued to the device if there is no room for more.
func (q *queue) add(w work, b net.Batch, numbers kernels.Queued) error {
	if err := q.put(w, b, numbers); err != nil || q.count < q.room() {
		return err
	}
	return q.flush()
}

// put queues work on a mini-batch, or on none, where b has no data. What was queued goes to the device first if its samples
// come from another data set.
func (q *queue) put(w work, b net.Batch, numbers kernels.Queued) (err error) {
	if b.Data != nil {
		w.n, w.viewed = b.Len(), b.Views != nil
		if w.viewed && q.views == 0 { // before a data set takes the room
			if err := q.flush(); err != nil {
				return err
			}
			if err := q.reserveViews(); err != nil {
				return err
			}
		}
		if w.data, err = q.program.device.dataset(b.Data); err != nil {
			return err
		}
	}
	if err := q.begin(w, b); err != nil {
		return err
	}
	h := &q.halves[q.half]
	slice[kernels.Queued](h.pinned, stateBytes, stepsAhead)[q.count] = numbers
	capacity := q.program.options.Batch
	indices := slice[int32](h.pinned, sampleAt, stepsAhead*capacity)[q.count*capacity:]
	switch {
	case w.data == nil: // nothing looks at the indices, or views, of an update
	case w.viewed:
		q.putViews(w.data, b, slice[kernels.View](h.pinned, sampleAt, q.views*capacity)[q.count*capacity:])
	case w.data.streamed:
		for k, i := range b.Indices {
			indices[k] = q.staging.put(q.half, q.count, k, b.Data, i)
		}
	default:
		copy(indices, b.Indices)
	}
	q.works[q.count] = w
	q.count++
	return nil
}

// putViews writes how the samples of a mini-batch are seen, for the kernel.
func (q *queue) putViews(data *deviceData, b net.Batch, to []kernels.View) {
	row := func(k int, sample int32) int32 {
		if data.streamed {
			return q.staging.put(q.half, q.count, k, b.Data, sample)
		}
		return data.row(b.Data, sample)
	}
	for k, i := range b.Indices {
		v := &b.Views[k]
		seen := kernels.View{Own: transformOf(&v.Transform), Row: row(k, i), OtherRow: -1}
		seen.Label, seen.OtherLabel, seen.Share = b.Expected(k)
		if v.Partner >= 0 {
			seen.Other, seen.OtherRow, seen.Box = transformOf(&v.Other), row(b.Len()+k, v.Partner), boxOf(v.Box)
		}
		to[k] = seen
	}
}

func transformOf(t *net.Transform) kernels.Transform {
	return kernels.Transform{Matrix: t.Matrix, Reflect: uint32(boolInt(t.Border == net.ReflectBorder)),
		Coloured: uint32(boolInt(t.Colour != [12]float32{})), Colour: t.Colour, Erase: boxOf(t.Erase)}
}

func boxOf(b net.Box) [4]int32 { return [4]int32{b.Left, b.Top, b.Right, b.Bottom} }

// begin makes the queue ready for work on a mini-batch, or on none.
func (q *queue) begin(w work, b net.Batch) error {
	data := w.data
	if q.count > 0 && data != nil && q.differs(w, b) {
		if err := q.flush(); err != nil {
			return err
		}
	}
	if q.count == 0 {
		if h := &q.halves[q.half]; h.used {
			h.used = false
			if err := call("cuEventSynchronize", h.copied.Synchronize()); err != nil {
				return err
			}
		}
		q.data, q.viewed, q.first = nil, false, q.program.step
	}
	if data == nil {
		return nil
	}
	q.data, q.viewed = data, w.viewed
	if data.streamed {
		return q.reserveStaging(data, q.brings(b))
	}
	return nil
}

// differs reports whether a mini-batch can't go up with what is queued: of another data set, with views where others have
// none, or with more samples than the staging memory has room for.
func (q *queue) differs(w work, b net.Batch) bool {
	if q.data == nil {
		return w.data.streamed || w.viewed
	}
	return w.data != q.data || w.viewed != q.viewed || w.data.streamed && q.staging.capacity < q.brings(b)
}

// brings is how many samples of a streamed data set a mini-batch of the largest size brings: with each its partner, if one has
// one.
func (q *queue) brings(b net.Batch) int {
	if slices.ContainsFunc(b.Views, func(v net.View) bool { return v.Partner >= 0 }) {
		return 2 * q.program.options.Batch
	}
	return q.program.options.Batch
}

// room is how many pieces of the present work may be queued.
func (q *queue) room() int {
	room := stepsAhead
	if q.viewed {
		room = q.views
	}
	if q.data != nil && q.data.streamed {
		room = min(room, q.staging.steps)
	}
	return room
}

// flush gives everything that is queued to the device. It does not wait for it.
func (q *queue) flush() error {
	if q.count == 0 {
		return nil
	}
	count, half := q.count, q.half
	q.program.device.ranges.begin(rangeUpload)
	err := q.upload()
	q.program.device.ranges.end()
	if err != nil {
		return q.program.fail(err)
	}
	for _, w := range q.works[:count] {
		if err := q.program.start(w); err != nil {
			return q.program.fail(err)
		}
	}
	if q.data != nil && q.data.streamed {
		if err := q.staging.given(q.program.device, half); err != nil {
			return q.program.fail(err)
		}
	}
	return nil
}

// upload copies what is queued to the device, and begins a new queue.
func (q *queue) upload() error {
	p, stream := q.program, q.program.device.stream
	h := &q.halves[q.half]
	slice[kernels.StepState](h.pinned, 0, 1)[0] = kernels.StepState{Step: q.first}
	each := int64(4)
	if q.viewed {
		each = viewBytes
	}
	count := q.count
	bytes := sampleAt + each*int64((count-1)*p.options.Batch+q.works[count-1].n)
	q.count = 0
	if q.data != nil && q.data.streamed {
		if err := q.staging.send(p.device, q.half, count); err != nil {
			return err
		}
	}
	if err := call("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(q.block.Address, h.pointer, bytes, stream)); err != nil {
		return err
	}
	if err := call("cuEventRecord", h.copied.Record(stream)); err != nil {
		return err
	}
	h.used = true
	q.half = 1 - q.half
	return nil
}

// show brings one mini-batch to the device, on an empty queue, and leaves it to the caller to do something with it, and to wait
// until that is done.
func (q *queue) show(b net.Batch) (work, error) {
	if err := q.put(work{kind: evaluating}, b, numbersOf(net.Whole(b.Len()))); err != nil {
		return work{}, err
	}
	return q.works[0], q.upload()
}

// start runs one mini-batch: the first of its kind kernel by kernel, which also chooses algorithms, the others as a graph.
func (p *program) start(w work) error {
	p.device.ranges.begin(rangeOf[w.kind])
	defer p.device.ranges.end()
	if g := p.graphs[w]; g != nil {
		return g.launch(p.device.stream)
	}
	if p.device.options.NoGraph || p.graphError != nil {
		return p.run(w)
	}
	if !p.warm[w] {
		if len(p.warm) >= mostWarm {
			clear(p.warm)
		}
		p.warm[w] = true
		return p.run(w)
	}
	if len(p.graphs) >= mostGraphs {
		if err := p.forgetGraphs(); err != nil {
			return err
		}
	}
	p.capturing = true
	p.device.ranges.begin(rangeCapture)
	g, err := capture(p.device.stream, func() error { return p.run(w) })
	p.device.ranges.end()
	p.capturing = false
	if errors.Is(err, errNotMade) {
		return p.run(w) // makes it
	}
	if err != nil {
		// The step is right without a graph, only slower.
		p.graphError = err
		return p.run(w)
	}
	p.graphs[w] = g
	return g.launch(p.device.stream)
}

// mostGraphs bounds how many graphs a program keeps, and mostWarm of how many it remembers that they may be captured:
// inference with ever other sizes would make ever more.
const (
	mostGraphs = 16
	mostWarm   = 4 * mostGraphs
)

func (p *program) forgetGraphs() error {
	if err := p.device.synchronize(); err != nil { // they may still run
		return err
	}
	var errs []error
	for _, g := range p.graphs {
		errs = append(errs, g.close())
	}
	clear(p.graphs)
	clear(p.warm) // where more kinds take turns than there is room for, capturing each time costs more than it saves
	return errors.Join(errs...)
}

// fail remembers an error after which weights and sums cannot be trusted.
func (p *program) fail(err error) error {
	p.failed = p.device.explain(err)
	return p.failed
}

func (q *queue) close() error {
	var errs []error
	if q.staging != nil {
		errs = append(errs, q.staging.close(q.program.device))
	}
	for _, h := range q.halves {
		if h.copied != (cu.Event{}) {
			errs = append(errs, call("cuEventDestroy", cu.DestroyEvent(&h.copied)))
		}
		errs = append(errs, h.close())
	}
	return errors.Join(append(errs, q.program.device.pool.give(q.block))...)
}

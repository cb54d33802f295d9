//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// kind is what is done with a mini-batch.
type kind int

const (
	training kind = iota
	evaluating
	inferring
)

// work is a kind of pass over mini-batches of one size from one data set: what one captured graph does.
type work struct {
	kind kind
	data *deviceData
	n    int
}

// queue collects mini-batches and gives them to the device several at once: their indices and learning rates go up in one
// copy from pinned memory, then a graph is launched for each. The kernels find their mini-batch by the slot that the
// device counts.
type queue struct {
	program *program
	block   Buffer // state, rates and indices of the steps ahead
	halves  [2]half
	half    int // that is being filled
	work    work
	count   int
	first   int64  // step count of the first that is queued
	stage   *stage // of streamed data sets; nil before the first
}

// half is pinned memory for one upload, and the event after which it may be written again.
type half struct {
	pinned
	copied cu.Event
	used   bool
}

// stepsAhead is how many mini-batches go up at once.
const stepsAhead = 32

// waited makes events for which the host waits asleep: it is steps ahead, and others may need the core.
const waited = cu.DisableTiming | cu.BlockingSyncEvent

func newQueue(p *program) (q *queue, err error) {
	q = &queue{program: p}
	bytes := stateBytes + stepsAhead*(ratesBytes+4*int64(p.options.Batch))
	if q.block, err = p.device.pool.take(bytes, "the indices of the steps ahead"); err != nil {
		return q, err
	}
	for i := range q.halves {
		if q.halves[i].pinned, err = takePinned(bytes); err != nil {
			return q, err
		}
		if q.halves[i].copied, err = cu.MakeEvent(waited); err != nil {
			return q, call("cuEventCreate", err)
		}
	}
	return q, nil
}

// rates and indices are where these begin in device memory.
func (q *queue) rates() cu.DevicePtr   { return q.block.Address + cu.DevicePtr(stateBytes) }
func (q *queue) indices() cu.DevicePtr { return q.rates() + cu.DevicePtr(stepsAhead*ratesBytes) }

// add queues a mini-batch, and gives what is queued to the device if there is no room for more.
func (q *queue) add(k kind, b net.Batch, r kernels.Rates) error {
	if err := q.put(k, b, r); err != nil || q.count < q.room() {
		return err
	}
	return q.flush()
}

// put queues a mini-batch. What was queued goes to the device first if it is of another kind.
func (q *queue) put(k kind, b net.Batch, r kernels.Rates) error {
	data, err := q.program.device.dataset(b.Data)
	if err != nil {
		return err
	}
	if w := (work{k, data, b.Len()}); w != q.work || q.count == 0 {
		if err := q.begin(w); err != nil {
			return err
		}
	}
	h := &q.halves[q.half]
	slice[kernels.Rates](h.pinned, stateBytes, stepsAhead)[q.count] = r
	capacity := q.program.options.Batch
	indices := slice[int32](h.pinned, stateBytes+stepsAhead*ratesBytes, stepsAhead*capacity)[q.count*capacity:]
	if data.streamed {
		q.stage.put(q.half, q.count, b, indices)
	} else {
		copy(indices, b.Indices)
	}
	q.count++
	return nil
}

// begin gives what is queued to the device and waits until the next half may be written.
func (q *queue) begin(w work) error {
	if err := q.flush(); err != nil {
		return err
	}
	if h := &q.halves[q.half]; h.used {
		h.used = false
		if err := call("cuEventSynchronize", h.copied.Synchronize()); err != nil {
			return err
		}
	}
	q.work, q.first = w, q.program.step
	if w.data.streamed {
		return q.reserveStage(w.data)
	}
	return nil
}

// room is how many mini-batches of the present work may be queued.
func (q *queue) room() int {
	if q.work.data.streamed {
		return q.stage.steps
	}
	return stepsAhead
}

// flush gives everything that is queued to the device. It does not wait for it.
func (q *queue) flush() error {
	if q.count == 0 {
		return nil
	}
	count := q.count
	q.program.device.ranges.begin(rangeUpload)
	err := q.upload()
	q.program.device.ranges.end()
	if err != nil {
		return q.program.fail(err)
	}
	for range count {
		if err := q.program.start(q.work); err != nil {
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
	bytes := stateBytes + stepsAhead*ratesBytes + 4*int64(q.count*p.options.Batch)
	count := q.count
	q.count = 0
	if q.work.data.streamed {
		if err := q.stage.send(p.device, q.half, count); err != nil {
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

// show brings one mini-batch to the device, on an empty queue, and leaves it to the caller to do something with it.
func (q *queue) show(b net.Batch) (work, error) {
	if err := q.put(evaluating, b, kernels.Rates{}); err != nil {
		return work{}, err
	}
	return q.work, q.upload()
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
	errs := []error{p.device.synchronize()}
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
	if q.stage != nil {
		errs = append(errs, q.stage.close(q.program.device))
	}
	for _, h := range q.halves {
		if h.copied != (cu.Event{}) {
			errs = append(errs, call("cuEventDestroy", cu.DestroyEvent(&h.copied)))
		}
		errs = append(errs, h.close())
	}
	return errors.Join(append(errs, q.program.device.pool.give(q.block))...)
}

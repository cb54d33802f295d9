//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"slices"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// kind says what is done with a mini-batch.
type kind int

const (
	stepping        kind = iota // differentiating, then updating
	differentiating             // a forward and a backward pass, in training
	updating                    // the optimiser's step, without a mini-batch
	evaluating
	inferring
)

// work is what one captured graph does: a kind of pass over mini-batches of one size from one data set.
type work struct {
	kind   kind
	adds   bool // the gradients are added to those of earlier shares
	viewed bool // samples have views
	empty  bool // the mini-batch counts nothing; see net.Share.Empty
	// together is how many samples all members of a group have; 0 without a group.
	together int
	data     *deviceData
	n        int
}

// trains reports whether the work has a backward pass.
func (w work) trains() bool { return w.kind == stepping || w.kind == differentiating }

// updates reports whether the work changes weights.
func (w work) updates() bool { return w.kind == stepping || w.kind == updating }

// queue collects pieces of work, and gives several at once to the device. One copy from pinned memory brings their
// indices and learning rates. Then a graph is launched for each piece. The device counts slots, and by this count the
// kernels find their mini-batch.
type queue struct {
	program *program
	block   Buffer // the state, the numbers, the rates of each rule, and the indices or views of the steps ahead
	halves  [2]half
	half    int // the half that is being filled
	works   [stepsAhead]work
	count   int         // the number of works
	data    *deviceData // the data set of all their mini-batches; nil if there is none
	viewed  bool        // the mini-batches have views instead of indices
	views   int         // how many mini-batches with views have room; 0 before the first one
	first   int64       // the step count of the first queued work
	staging *staging    // for streamed data sets; nil before the first one
}

// half is pinned memory for one upload. After its event it may be written again.
type half struct {
	pinned
	copied cu.Event
	used   bool
}

// stepsAhead is the most pieces of work that are uploaded at once.
const stepsAhead = 32

// waited makes events for which the host waits asleep. The host is steps ahead, and others may need the core.
const waited = cu.DisableTiming | cu.BlockingSyncEvent

// viewsBytes is roughly the most that views take of a block. Launching a graph takes far more time than uploading the
// views.
const viewsBytes = 8 << 20

func newQueue(p *program) (q *queue, err error) {
	q = &queue{program: p}
	for i := range q.halves {
		if q.halves[i].copied, err = cu.MakeEvent(waited); err != nil {
			return q, call("cuEventCreate", err)
		}
	}
	return q, q.takeBlock(q.sampleAt()+4*stepsAhead*int64(p.options.Batch), "the indices of the steps ahead")
}

// takeBlock takes memory for a new block and its two halves, and gives the old memory back.
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

// reserveViews takes memory for mini-batches with views. If memory is short, it takes room for fewer, and then makes
// data sets give up theirs. The queue must be empty.
func (q *queue) reserveViews() error {
	p := q.program
	if err := p.forgetGraphs(); err != nil { // graphs hold the block's address
		return err
	}
	each := viewBytes * int64(p.options.Batch)
	steps := min(stepsAhead, max(1, viewsBytes/each))
	for {
		err := q.takeBlock(q.sampleAt()+max(4*stepsAhead*int64(p.options.Batch), steps*each), "how the samples of the steps ahead are seen")
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

// ratesAt returns the offset in a block where the rates of a rule begin. Each rule has those of all the steps ahead.
func ratesAt(rule int) int64 { return stateBytes + stepsAhead*(queuedBytes+int64(rule)*ratesBytes) }

// sampleAt returns the offset in the block where the indices or views begin, behind the rates of all rules.
func (q *queue) sampleAt() int64 { return ratesAt(len(q.program.flat.rules)) }

// numbers, indices and seen return where these begin in device memory. seen is for views.
func (q *queue) numbers() kernels.Pointer[kernels.Queued] {
	return kernels.Pointer[kernels.Queued](int64(q.block.Address) + stateBytes)
}

// rates returns where the rates of a rule begin in device memory.
func (q *queue) rates(rule int) kernels.Pointer[kernels.Rates] {
	return kernels.Pointer[kernels.Rates](int64(q.block.Address) + ratesAt(rule))
}

func (q *queue) indices() kernels.Pointer[int32] {
	return kernels.Pointer[int32](int64(q.block.Address) + q.sampleAt())
}

func (q *queue) seen() kernels.Pointer[kernels.View] {
	return kernels.Pointer[kernels.View](int64(q.block.Address) + q.sampleAt())
}

// add queues work on a mini-batch. If there is no room for more then, it gives everything queued to the device.
func (q *queue) add(w work, b net.Batch, numbers kernels.Queued) error {
	if err := q.put(w, b, numbers); err != nil || q.count < q.room() {
		return err
	}
	return q.flush()
}

// put queues work on a mini-batch, or on none if b has no data. If the queued samples come from another data set, they
// are given to the device first.
func (q *queue) put(w work, b net.Batch, numbers kernels.Queued) (err error) {
	if b.Data != nil {
		w.n, w.viewed = b.Len(), b.Views != nil
		if w.viewed && q.views == 0 { // before a data set takes that memory
			if err := q.flush(); err != nil {
				return err
			}
			if err := q.reserveViews(); err != nil {
				return err
			}
		}
		find := q.program.device.dataset
		if w.kind == inferring && b.Data.Len() <= q.program.options.Batch {
			find = q.program.device.passing
		}
		if w.data, err = find(b.Data); err != nil {
			return err
		}
	}
	if err := q.begin(w, b); err != nil {
		return err
	}
	h := &q.halves[q.half]
	slice[kernels.Queued](h.pinned, stateBytes, stepsAhead)[q.count] = numbers
	if w.updates() {
		for i := range q.program.flat.rules {
			r := q.program.flat.rules[i].Rates(q.program.step)
			slice[kernels.Rates](h.pinned, ratesAt(i), stepsAhead)[q.count] = kernels.Rates{Update: float32(r.Update), Decay: float32(r.Decay)}
		}
	}
	capacity := q.program.options.Batch
	indices := slice[int32](h.pinned, q.sampleAt(), stepsAhead*capacity)[q.count*capacity:]
	switch {
	case w.data == nil: // an update reads neither indices nor views
	case w.viewed:
		q.putViews(w.data, b, slice[kernels.View](h.pinned, q.sampleAt(), q.views*capacity)[q.count*capacity:])
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

// putViews writes the views of a mini-batch's samples as the kernel reads them.
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

// begin prepares the queue for work on a mini-batch, or on none.
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
			if err := q.program.device.await(h.copied, false); err != nil {
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

// differs reports whether a mini-batch can't be uploaded together with what is queued. It can't if it is from another
// data set, if only one of them has views, or if the staging memory has too little room for its samples.
func (q *queue) differs(w work, b net.Batch) bool {
	if q.data == nil {
		return w.data.streamed || w.viewed
	}
	return w.data != q.data || w.viewed != q.viewed || w.data.streamed && q.staging.capacity < q.brings(b)
}

// brings returns how many samples of a streamed data set a full mini-batch copies. If any of its samples has a
// partner, every sample counts twice.
func (q *queue) brings(b net.Batch) int {
	if slices.ContainsFunc(b.Views, func(v net.View) bool { return v.Partner >= 0 }) {
		return 2 * q.program.options.Batch
	}
	return q.program.options.Batch
}

// room returns how many pieces of work like the present one may be queued.
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

// flush gives everything that is queued to the device. It does not wait until the work is done.
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
	bytes := q.sampleAt() + each*int64((count-1)*p.options.Batch+q.works[count-1].n)
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

// show brings one mini-batch to the device. The queue must be empty. The caller enqueues what is done with the
// mini-batch, and waits until that is done.
func (q *queue) show(b net.Batch, share net.Share) (work, error) {
	if err := q.put(work{kind: evaluating}, b, numbersOf(share)); err != nil {
		return work{}, err
	}
	return q.works[0], q.upload()
}

// start runs one piece of work. The first of its kind runs kernel by kernel, which also chooses algorithms. The second
// is captured, and from then on the graph is launched.
func (p *program) start(w work) error {
	p.device.ranges.begin(rangeOf[w.kind])
	defer p.device.ranges.end()
	if g := p.graphs[w]; g != nil {
		return g.launch(p.device.stream) // others of a group launch theirs too: all have captured it
	}
	if p.works++; p.device.options.NoGraph || p.works < p.nextCapture || p.isFirst(w) {
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
		return p.run(w) // makes what is missing
	}
	if err != nil {
		// The step is right without a graph, only slower. What failed may work later.
		p.graphError = err
		p.failures++
		p.nextCapture = p.works + firstPause<<min(p.failures-1, mostFailures)
		return p.run(w)
	}
	p.graphError, p.failures = nil, 0
	p.graphs[w] = g
	return g.launch(p.device.stream)
}

// isFirst reports whether work is the first of its kind, which runs kernel by kernel.
//
// NCCL wants a sum to be a part of a graph on all members of a group or on none. So for work with sums, only what all
// members have alike decides, and is never forgotten.
func (p *program) isFirst(w work) bool {
	if p.group != nil && w.kind <= updating {
		w.data, w.n, w.empty = nil, 0, false
		first := !p.alike[w]
		p.alike[w] = true
		return first
	}
	if p.warm[w] {
		return false
	}
	if len(p.warm) >= mostWarm {
		clear(p.warm)
	}
	p.warm[w] = true
	return true
}

// firstPause is how many pieces of work run kernel by kernel after a failed capture, before the next one is tried. Each
// failure in a row doubles that, but at most mostFailures times.
const (
	firstPause   = 32
	mostFailures = 16
)

// mostGraphs is the most graphs that a program keeps. mostWarm is for how much work it remembers that it may be
// captured. Without these limits, inference with ever new sizes would use ever more memory.
const (
	mostGraphs = 16
	mostWarm   = 4 * mostGraphs
)

func (p *program) forgetGraphs() error {
	if err := p.device.synchronize(); err != nil { // the graphs may still run
		return err
	}
	var errs []error
	for _, g := range p.graphs {
		errs = append(errs, g.close())
	}
	clear(p.graphs)
	clear(p.warm) // with more kinds than room, capturing each time would cost more than it saves
	return errors.Join(errs...)
}

// fail records an error after which weights and sums can't be trusted.
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

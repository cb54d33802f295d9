//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"slices"

	"gorgonia.org/cu"
	cudnn "gorgonia.org/cu/dnn"
)

// lane is a stream, and the handles of libraries that work on it. A step's work goes to the main lane. What nothing waits for
// soon goes to another lane, beside the next work of the main lane: gradients of weights, and updates of weights whose
// gradients are known early. In a captured graph these become branches. At the end of each piece of work the main lane waits
// for the others.
type lane struct {
	stream cu.Stream
	dnn    *cudnn.Context // nil in a lane that doesn't need it
	blas   *blas          // the same; see giveBLAS
}

// The numbers of the lanes.
const (
	mainLane   = iota
	sideLane   // gradients of weights
	updateLane // updates
	sumLane    // sums over the members of a group; without a group there is no such lane
	lanes
)

// blasWorkspace is the workspace that cuBLAS's documentation recommends for GPUs from Hopper on, in bytes. For older
// GPUs it recommends 4 MB.
const blasWorkspace = 32 << 20

// newLane makes one of the device's lanes.
func (d *Device) newLane(number int) (l lane, err error) {
	if l.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
		return l, call("cuStreamCreate", err)
	}
	if number == updateLane || number != mainLane && d.options.OneStream { // these compute nothing with libraries, at first
		return l, nil
	}
	if l.dnn, err = newDNN(l.stream); err != nil {
		return l, err
	}
	l.blas, err = d.laneBLAS(l.stream)
	return l, err
}

// laneBLAS makes a handle of cuBLAS for a lane's stream, with a workspace.
func (d *Device) laneBLAS(stream cu.Stream) (*blas, error) {
	workspace := int64(blasWorkspace)
	if d.gpu.Major < 9 {
		workspace = 4 << 20
	}
	buffer, err := d.pool.take(workspace, "cuBLAS's workspace")
	if err != nil {
		return nil, err
	}
	b, err := newBLAS(stream, buffer, d.Precision())
	if err != nil {
		return nil, errors.Join(err, d.pool.give(buffer))
	}
	return b, nil
}

// giveBLAS makes sure that a lane has a handle of cuBLAS. The lane keeps it as long as the device is open.
func (d *Device) giveBLAS(number int) (err error) {
	if l := &d.lanes[number]; l.blas == nil {
		l.blas, err = d.laneBLAS(l.stream)
	}
	return err
}

func (l lane) close(p *Pool) error {
	var errs []error
	if l.blas != nil {
		errs = append(errs, l.blas.close(), p.give(l.blas.workspace))
	}
	if l.dnn != nil {
		errs = append(errs, dnn("cudnnDestroy", l.dnn.Close()))
	}
	if l.stream != (cu.Stream{}) {
		errs = append(errs, call("cuStreamDestroy", l.stream.Destroy()))
	}
	return errors.Join(errs...)
}

// asideFor is how many groups of layers the main lane goes on with before it waits for a group's work on the side lane.
const asideFor = 1

// branches holds what a program has put on other lanes than the main one, and not yet waited for.
type branches struct {
	events  []cu.Event // more than there are ever to wait for
	waiting []branch
	forked  [lanes]bool // lanes that have got work in this piece of work
}

// free returns an event that nothing is to wait for.
func (b *branches) free() cu.Event {
	for _, e := range b.events {
		if !slices.ContainsFunc(b.waiting, func(w branch) bool { return w.done == e }) {
			return e
		}
	}
	panic("BUG: more branches wait than there are events")
}

// branch is work of a group on another lane. Its event is recorded behind it.
type branch struct {
	group, lane int
	done        cu.Event
}

// newBranches makes room for what a backward pass with so many turns puts on other lanes.
func newBranches(turns int) (b branches, err error) {
	b.events = make([]cu.Event, asideFor+2+2*turns)
	for i := range b.events {
		if b.events[i], err = cu.MakeEvent(cu.DisableTiming); err != nil {
			return b, call("cuEventCreate", err)
		}
	}
	b.waiting = make([]branch, 0, len(b.events))
	return b, nil
}

func (b *branches) close() error {
	var errs []error
	for _, e := range b.events {
		if e != (cu.Event{}) {
			errs = append(errs, call("cuEventDestroy", cu.DestroyEvent(&e)))
		}
	}
	return errors.Join(errs...)
}

// untilTheEnd is the number of a group for work that the main lane waits for only at the end of the backward pass.
const untilTheEnd = -1

// aside calls f, which puts work of a group on another lane. That work begins when everything is done that is on the main
// lane now. In a trace the main lane waits for it at once.
func (p *program) aside(m *pass, number, group int, f func() error) error {
	d, b := p.device, &p.branches
	event := b.free()
	if err := call("cuEventRecord", event.Record(d.lanes[mainLane].stream)); err != nil {
		return err
	}
	if err := call("cuStreamWaitEvent", d.lanes[number].stream.Wait(event, 0)); err != nil {
		return err
	}
	b.forked[number] = true
	d.lane = d.lanes[number]
	err := f()
	d.lane = d.lanes[mainLane]
	if err != nil {
		return err
	}
	if err := call("cuEventRecord", event.Record(d.lanes[number].stream)); err != nil {
		return err
	}
	b.waiting = append(b.waiting, branch{group, number, event})
	if m.tracing {
		return p.join(untilTheEnd)
	}
	return nil
}

// join makes the main lane wait for work of groups from the given one on.
func (p *program) join(from int) error {
	b := &p.branches
	left := b.waiting[:0]
	for _, w := range b.waiting {
		if w.group < from {
			left = append(left, w)
			continue
		}
		if err := call("cuStreamWaitEvent", p.device.lanes[mainLane].stream.Wait(w.done, 0)); err != nil {
			return err
		}
	}
	b.waiting = left
	return nil
}

// follow makes a lane wait for what is on another one and not yet waited for.
func (p *program) follow(number, of int) error {
	for _, w := range p.branches.waiting {
		if w.lane != of {
			continue
		}
		if err := call("cuStreamWaitEvent", p.device.lanes[number].stream.Wait(w.done, 0)); err != nil {
			return err
		}
	}
	return nil
}

// forgetBranches drops what is waited for, after work that has failed. If a graph was being captured, it lets the main lane
// wait for all others, so that the capture can end.
func (p *program) forgetBranches() {
	b, d := &p.branches, p.device
	d.lane = d.lanes[mainLane]
	for i, forked := range b.forked {
		if !forked || !p.capturing {
			continue
		}
		// An error here adds nothing to the one that there is.
		if b.events[0].Record(d.lanes[i].stream) == nil {
			_ = d.lanes[mainLane].stream.Wait(b.events[0], 0)
		}
	}
	b.waiting, b.forked = b.waiting[:0], [lanes]bool{}
}

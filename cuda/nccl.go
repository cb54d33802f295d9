//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

/*
#include <stdint.h>
#include <string.h>
#include "cuda.h"
#include "nccl.h"

static ncclResult_t joinGroup(ncclComm_t *comm, int size, const void *id, int rank) {
	ncclUniqueId own;
	memcpy(&own, id, sizeof own);
	return ncclCommInitRank(comm, size, own, rank);
}

// For Go device addresses are numbers; for NCCL they are pointers.
static ncclResult_t sum(CUdeviceptr values, size_t count, ncclDataType_t type, ncclComm_t comm, CUstream stream) {
	return ncclAllReduce((const void *)values, (void *)values, count, type, ncclSum, comm, stream);
}

static ncclResult_t broadcast(CUdeviceptr values, size_t bytes, ncclComm_t comm, CUstream stream) {
	return ncclBroadcast((const void *)values, (void *)values, bytes, ncclUint8, 0, comm, stream);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/net"
)

// ncclType is a type of values that NCCL adds up.
type ncclType C.ncclDataType_t

const (
	ncclFloat32 ncclType = C.ncclFloat32
	ncclFloat64 ncclType = C.ncclFloat64
)

// defaultTimeout is how long a member waits for others: as long as one may take to write a large checkpoint.
const defaultTimeout = 10 * time.Minute

// NewUniqueID makes an identifier for a group.
func NewUniqueID() (id UniqueID, err error) {
	if err := hasNCCL(); err != nil {
		return id, err
	}
	return id, driver.CheckNCCL("ncclGetUniqueId", int(C.ncclGetUniqueId((*C.ncclUniqueId)(unsafe.Pointer(&id)))))
}

// hasNCCL returns why there is no NCCL, or nil.
func hasNCCL() error {
	libraries, err := driver.Open()
	if err == nil {
		err = libraries.NCCL.Err
	}
	return err
}

// Group is a GPU's connection by NCCL to those of other processes or threads. It implements [net.Communicator]. A network
// that is compiled with it as Options.Communicator is trained by all members together: the sums are a part of the captured
// step. [net/parallel.New] makes a device of all of them.
//
// A member waits for others only as long as nothing is wrong. If NCCL reports an error, if the time-out passes, or after
// Abort, all calls of it and of its programs return [ErrGroup], and the group is of no use any more. Then close the
// programs and the device: NCCL holds on to the GPU until they are closed.
type Group struct {
	device  *Device
	options GroupOptions
	comm    C.ncclComm_t
	buffer  Buffer // values of the host on their way
	host    pinned
	stop    atomic.Bool
	err     error      // why the group can't go on
	aborted chan error // what ncclCommAbort says, once it has ended; nil before it was called
}

// stagedValues is how many bytes of the host's values are summed at once.
const stagedValues = 1 << 20

// Join connects the device to those of the other members. It returns when all have joined. A device can be a member of one
// group only, and stays so until it is closed.
func (d *Device) Join(o GroupOptions) (*Group, error) {
	switch {
	case d.closed:
		return nil, net.ErrClosed
	case d.group != nil:
		return nil, errors.New("cuda: the device is a member of a group already")
	case o.Size < 1 || o.Rank < 0 || o.Rank >= o.Size:
		return nil, fmt.Errorf("cuda: member %d of a group of %d", o.Rank, o.Size)
	}
	if err := hasNCCL(); err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	g := &Group{device: d, options: o}
	err := d.thread.do(func() error { return d.explain(g.join()) })
	if err == nil {
		err = g.sameLibrary()
	}
	if err != nil {
		return nil, errors.Join(err, d.thread.do(g.close))
	}
	return g, nil
}

// switchSums is NCCL's variable that says whether switches add up values by themselves. In which order they do that isn't
// documented.
const switchSums = "NCCL_NVLS_ENABLE"

// registers is NCCL's variable that says whether the memory of captured sums is registered with the network. All members would
// have to do that alike, and one that captures a graph once more would do it alone.
const registers = "NCCL_GRAPH_REGISTER"

func (g *Group) join() (err error) {
	d := g.device
	if g.buffer, err = d.pool.take(stagedValues, "values for the other members of the group"); err != nil {
		return err
	}
	if g.host, err = takePinned(stagedValues); err != nil {
		return err
	}
	preset := []string{registers}
	if d.options.Deterministic {
		preset = append(preset, switchSums)
	}
	for _, name := range preset {
		if os.Getenv(name) != "" {
			continue
		}
		if err := os.Setenv(name, "0"); err != nil {
			return err
		}
	}
	if !d.options.OneStream {
		if d.lanes[sumLane].stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
			return call("cuStreamCreate", err)
		}
	}
	status := C.joinGroup(&g.comm, C.int(g.options.Size), unsafe.Pointer(&g.options.ID), C.int(g.options.Rank))
	if err := driver.CheckNCCL("ncclCommInitRank", int(status)); err != nil {
		return err
	}
	d.group = g
	return nil
}

// sameLibrary returns an error if another member has another version of NCCL.
func (g *Group) sameLibrary() error {
	v := g.device.libraries.NCCL.Version
	all := make([]float64, 3*g.options.Size)
	copy(all[3*g.options.Rank:], []float64{float64(v.Major), float64(v.Minor), float64(v.Patch)})
	if err := g.SumFloat64(all); err != nil {
		return err
	}
	for rank := range g.options.Size {
		of := driver.Version{Major: int(all[3*rank]), Minor: int(all[3*rank+1]), Patch: int(all[3*rank+2])}
		if of != v {
			return fmt.Errorf("this member of the group has NCCL %v and member %d has %v: install the same version everywhere", v, rank, of)
		}
	}
	return nil
}

// Rank returns this member's number, from 0.
func (g *Group) Rank() int { return g.options.Rank }

// Size returns the number of members.
func (g *Group) Size() int { return g.options.Size }

// SumFloat32 replaces values by their sums over all members.
func (g *Group) SumFloat32(values []float32) error {
	return staged(g, values, func(stream cu.Stream, count int) error { return g.sumOn(stream, g.buffer, count, ncclFloat32) })
}

// SumFloat64 is SumFloat32 for float64.
func (g *Group) SumFloat64(values []float64) error {
	return staged(g, values, func(stream cu.Stream, count int) error { return g.sumOn(stream, g.buffer, count, ncclFloat64) })
}

// Broadcast replaces data by that of member 0.
func (g *Group) Broadcast(data []byte) error {
	return staged(g, data, func(stream cu.Stream, count int) error {
		return driver.CheckNCCL("ncclBroadcast", int(C.broadcast(C.CUdeviceptr(g.buffer.Address), C.size_t(count), g.comm, nativeStream(stream))))
	})
}

// staged calls enqueue for values of the host, which are in g.buffer meanwhile. All work that programs have queued comes
// first, so that all members have the same order.
func staged[T float32 | float64 | byte](g *Group, values []T, enqueue func(stream cu.Stream, count int) error) error {
	d := g.device
	if d.closed {
		return net.ErrClosed
	}
	return d.thread.do(func() error {
		if err := g.broken(); err != nil {
			return err
		}
		for _, p := range d.programs {
			if p.failed == nil {
				if err := p.queue.flush(); err != nil {
					return err
				}
			}
		}
		size := int64(unsafe.Sizeof(values[0]))
		for len(values) > 0 {
			if g.err != nil {
				return g.err
			}
			piece := values[:min(len(values), int(stagedValues/size))]
			bytes := size * int64(len(piece))
			copy(slice[T](g.host, 0, len(piece)), piece)
			err := firstError(
				call("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(g.buffer.Address, g.host.pointer, bytes, d.stream)),
				enqueue(d.stream, len(piece)),
				call("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(g.host.pointer, g.buffer.Address, bytes, d.stream)),
				d.synchronize())
			if err != nil {
				return d.explain(err)
			}
			copy(piece, slice[T](g.host, 0, len(piece)))
			values = values[len(piece):]
		}
		return nil
	})
}

// sumOn puts on a stream the sum over all members of values in device memory, in place.
func (g *Group) sumOn(stream cu.Stream, b Buffer, count int, of ncclType) error {
	if g.err != nil {
		return g.err
	}
	return driver.CheckNCCL("ncclAllReduce", int(C.sum(C.CUdeviceptr(b.Address), C.size_t(count), C.ncclDataType_t(of), g.comm, nativeStream(stream))))
}

// Abort ends all calls that wait for other members, with [ErrGroup]. It may be called by any goroutine at any time. Others
// learn of it by themselves, sooner or later.
func (g *Group) Abort() { g.stop.Store(true) }

// askEvery is how often NCCL is asked for errors while the host waits.
const askEvery = 5 * time.Millisecond

// await waits for an event, until the group can't go on. If it is short, it keeps the core busy for a while.
func (g *Group) await(e cu.Event, short bool) error {
	native := *(*C.CUevent)(unsafe.Pointer(&e))
	began := time.Now()
	asked, pause := began, 10*time.Microsecond
	for {
		status := C.cuEventQuery(native)
		if status != C.CUDA_ERROR_NOT_READY {
			return errors.Join(driver.Check("cuEventQuery", int(status)), g.err) // after an abort, sums hold anything
		}
		if g.err != nil { // the kernels that wait for others end by themselves now
			if time.Since(began) > 1000*askEvery {
				return g.err
			}
			time.Sleep(time.Millisecond)
			continue
		}
		now := time.Now()
		switch {
		case g.stop.Load():
			g.abort(errAborted)
		case now.Sub(began) > g.options.Timeout:
			g.abort(fmt.Errorf("nothing came from another member for %v", g.options.Timeout))
		case now.Sub(asked) >= askEvery:
			asked = now
			var failed C.ncclResult_t
			err := driver.CheckNCCL("ncclCommGetAsyncError", int(C.ncclCommGetAsyncError(g.comm, &failed)))
			if err == nil && failed != C.ncclInProgress {
				err = driver.CheckNCCL("a sum over the group", int(failed))
			}
			if err != nil {
				g.abort(err)
			}
		}
		if short && now.Sub(began) < time.Millisecond {
			continue
		}
		time.Sleep(pause)
		pause = min(2*pause, time.Millisecond)
	}
}

// abort ends what waits for other members on the GPU. NCCL ends these kernels at once. Its call returns only when all graphs
// are gone that hold its sums, and they end with their programs. So a goroutine waits for it.
func (g *Group) abort(why error) {
	g.err = fmt.Errorf("%w: %w", ErrGroup, why)
	g.aborted = make(chan error, 1)
	go func(comm C.ncclComm_t) {
		g.aborted <- driver.CheckNCCL("ncclCommAbort", int(C.ncclCommAbort(comm)))
	}(g.comm)
	g.comm = nil
}

// broken returns why the group can't go on, or nil. A nil Group has nothing that could break.
func (g *Group) broken() error {
	if g == nil {
		return nil
	}
	if g.err == nil && g.stop.Load() {
		g.abort(errAborted)
	}
	return g.err
}

var errAborted = errors.New("it was aborted")

// abortWait is how long NCCL may take to end its kernels and connections after an abort.
const abortWait = 10 * time.Second

// close leaves the group. The GPU has done all its work.
func (g *Group) close() error {
	d := g.device
	d.group = nil
	var errs []error
	if g.comm != nil && g.broken() == nil {
		errs = append(errs, driver.CheckNCCL("ncclCommDestroy", int(C.ncclCommDestroy(g.comm))))
		g.comm = nil
	}
	if g.aborted != nil {
		select {
		case err := <-g.aborted:
			errs = append(errs, err)
		case <-time.After(abortWait):
			errs = append(errs, fmt.Errorf("ncclCommAbort has not ended after %v", abortWait))
		}
	}
	if g.err == nil {
		g.err = fmt.Errorf("%w: the device is closed", ErrGroup)
	}
	return errors.Join(append(errs, g.host.close(), d.pool.give(g.buffer))...)
}

// sumTurn puts on the lane for sums the sums of a turn's gradients over all members of the group. They begin when the
// gradients of weights are done.
func (p *program) sumTurn(m *pass, turn int) error {
	sum := func() error {
		if err := p.widenTurn(turn); err != nil {
			return err
		}
		b, count := p.turnPart(p.flat.grads, turn)
		if count == 0 {
			return nil
		}
		return p.group.sumOn(p.device.stream, b, int(count), ncclFloat32)
	}
	p.device.ranges.begin(rangeSum)
	defer p.device.ranges.end()
	if p.device.options.OneStream {
		return sum()
	}
	if err := p.follow(sumLane, sideLane); err != nil {
		return err
	}
	return p.aside(m, sumLane, untilTheEnd, sum)
}

// sumNow puts on the main lane the sum over all members of the group of count values. Without a group it does nothing.
// The sums of a group are in one order on all members: this one comes after those that are on another lane.
func (p *program) sumNow(b Buffer, count int64, of ncclType) error {
	if p.group == nil {
		return nil
	}
	p.device.ranges.begin(rangeSum)
	defer p.device.ranges.end()
	if err := p.follow(mainLane, sumLane); err != nil {
		return err
	}
	return p.group.sumOn(p.device.lanes[mainLane].stream, b, int(count), of)
}

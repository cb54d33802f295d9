//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"fmt"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/net"
)

// staging brings the samples of data sets that have no room in device memory: the host copies those of the next few
// mini-batches to pinned memory, a stream of its own copies them on to the device. Both memories have two halves, so that
// the samples of one are on their way while the other's are trained on.
type staging struct {
	steps    int   // mini-batches in a half
	capacity int   // samples that a mini-batch brings
	sample   int64 // bytes of one

	samples, labels Buffer // both halves', one after the other, so that indices tell them apart
	stream          cu.Stream
	halves          [2]stagingHalf
}

type stagingHalf struct {
	pinned           // samples, then labels
	arrived cu.Event // on the device
	passed  cu.Event // by what read the device's half before
}

// stagingBytes is about how large a half is: enough for copies at full speed.
const stagingBytes = 16 << 20

// newStaging takes staging memory for mini-batches of at most capacity samples, as large as there is room for.
func newStaging(d *Device, capacity int, sample int64) (s *staging, err error) {
	for steps := min(stepsAhead, max(1, int(stagingBytes/(int64(capacity)*sample)))); ; steps /= 2 {
		if s, err = newStagingOf(d, steps, capacity, sample); !errors.Is(err, ErrOutOfMemory) || steps == 1 {
			return s, err
		}
	}
}

func newStagingOf(d *Device, steps, capacity int, sample int64) (_ *staging, err error) {
	s := &staging{steps: steps, capacity: capacity, sample: sample}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(d))
		}
	}()
	if s.samples, err = d.pool.take(2*s.items()*sample, "the samples of mini-batches on their way"); err != nil {
		return nil, err
	}
	if s.labels, err = d.pool.take(2*s.items()*4, "the labels of mini-batches on their way"); err != nil {
		return nil, err
	}
	if s.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
		return nil, call("cuStreamCreate", err)
	}
	for i := range s.halves {
		h := &s.halves[i]
		if h.pinned, err = takePinned(s.items() * (sample + 4)); err != nil {
			return nil, err
		}
		for _, e := range []*cu.Event{&h.arrived, &h.passed} {
			if *e, err = cu.MakeEvent(waited); err != nil {
				return nil, call("cuEventCreate", err)
			}
		}
		// Whoever had this memory before may not be done with it.
		if err = call("cuEventRecord", h.passed.Record(d.stream)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// items is how many samples a half has room for.
func (s *staging) items() int64 { return int64(s.steps * s.capacity) }

// put copies a sample to pinned memory, as number k of a half's mini-batch `step`, and returns the row in which the device
// finds it. What was there has been sent: the queue has waited for the copy of its indices, which came after.
func (s *staging) put(half, step, k int, data *net.Dataset, sample int32) (row int32) {
	h := &s.halves[half]
	at := int64(step*s.capacity + k)
	to, labels := slice[byte](h.pinned, 0, int(s.items()*s.sample)), slice[int32](h.pinned, s.items()*s.sample, int(s.items()))
	copy(to[at*s.sample:(at+1)*s.sample], bytesOf(data)[int64(data.Row(sample))*s.sample:])
	labels[at] = data.Labels[sample]
	return int32(int64(half)*s.items() + at)
}

// send copies the first mini-batches of a half to the device; what d.stream does from now on finds them there.
func (s *staging) send(d *Device, half, steps int) error {
	h := &s.halves[half]
	if err := call("cuStreamWaitEvent", s.stream.Wait(h.passed, 0)); err != nil {
		return err
	}
	count, first := int64(steps*s.capacity), int64(half)*s.items()
	for _, c := range []struct {
		to    Buffer
		from  int64
		bytes int64
	}{{s.samples, 0, s.sample}, {s.labels, s.items() * s.sample, 4}} {
		err := cu.MemcpyHtoDAsync(c.to.Address+cu.DevicePtr(first*c.bytes), unsafe.Add(h.pointer, c.from), count*c.bytes, s.stream)
		if err != nil {
			return call("cuMemcpyHtoDAsync", err)
		}
	}
	if err := call("cuEventRecord", h.arrived.Record(s.stream)); err != nil {
		return err
	}
	return call("cuStreamWaitEvent", d.stream.Wait(h.arrived, 0))
}

// given says that all that reads a half has been given to the device. Other work may come between it and the half's next use.
func (s *staging) given(d *Device, half int) error {
	return call("cuEventRecord", s.halves[half].passed.Record(d.stream))
}

func (s *staging) close(d *Device) error {
	errs := []error{d.synchronize()}
	if s.stream != (cu.Stream{}) {
		errs = append(errs, call("cuStreamSynchronize", s.stream.Synchronize()), call("cuStreamDestroy", s.stream.Destroy()))
	}
	for _, h := range s.halves {
		for _, e := range []cu.Event{h.arrived, h.passed} {
			if e != (cu.Event{}) {
				errs = append(errs, call("cuEventDestroy", cu.DestroyEvent(&e)))
			}
		}
		errs = append(errs, h.close())
	}
	return errors.Join(append(errs, d.pool.give(s.samples), d.pool.give(s.labels))...)
}

// bytesOf returns a data set's samples as they lie in memory.
func bytesOf(s *net.Dataset) []byte {
	if s.Pixels != nil {
		return s.Pixels
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s.Values))), 4*len(s.Values))
}

// reserveStaging sees to it that the queue has staging memory for a streamed data set, of which a mini-batch brings so many samples. Memory
// for other samples, or for fewer, goes.
func (q *queue) reserveStaging(x *deviceData, capacity int) error {
	sample := x.of.sample()
	if q.staging != nil && q.staging.sample == sample && q.staging.capacity >= capacity {
		return nil
	}
	p := q.program
	if old := q.staging; old != nil {
		if err := p.forgetGraphs(); err != nil {
			return err
		}
		q.staging = nil
		if err := old.close(p.device); err != nil {
			return err
		}
	}
	for {
		var err error
		if q.staging, err = newStaging(p.device, capacity, sample); err == nil {
			return nil
		}
		err = fmt.Errorf("a data set that doesn't fit: %w", err)
		if !errors.Is(err, ErrOutOfMemory) {
			return err
		}
		if more, e := p.device.makeRoom(); e != nil || !more {
			return errors.Join(err, e)
		}
	}
}

//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"fmt"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/net"
)

// staging brings the samples of streamed data sets, which have no room in device memory. The host copies the samples
// of the next few mini-batches to pinned memory. A stream of its own copies them on to the device. Both memories have
// two halves, so that one half is filled while the device trains on the other.
type staging struct {
	steps    int   // how many mini-batches fit in a half
	capacity int   // the most samples of a mini-batch, partners included
	sample   int64 // bytes of one sample

	samples, labels Buffer // both halves, one after the other, so that an index also tells the half
	stream          cu.Stream
	halves          [2]stagingHalf
}

type stagingHalf struct {
	pinned           // the samples, then the labels
	arrived cu.Event // they have arrived on the device
	passed  cu.Event // the work that read the device's half before is done
}

// stagingBytes is roughly the size of a half: large enough for copies at full speed.
const stagingBytes = 16 << 20

// newStaging takes staging memory for mini-batches of at most capacity samples. It takes room for fewer mini-batches
// where memory is short.
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
		// Earlier users of this memory may not be done with it.
		if err = call("cuEventRecord", h.passed.Record(d.stream)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// items returns how many samples a half has room for.
func (s *staging) items() int64 { return int64(s.steps * s.capacity) }

// put copies a sample to pinned memory, as number k of mini-batch step of a half. It returns the row in which the
// device finds it. What was there before has been sent: the queue has waited for the copy of its indices, which came
// later.
func (s *staging) put(half, step, k int, data *net.Dataset, sample int32) (row int32) {
	h := &s.halves[half]
	at := int64(step*s.capacity + k)
	to, labels := slice[byte](h.pinned, 0, int(s.items()*s.sample)), slice[int32](h.pinned, s.items()*s.sample, int(s.items()))
	copy(to[at*s.sample:(at+1)*s.sample], bytesOf(data)[int64(data.Row(sample))*s.sample:])
	labels[at] = data.Labels[sample]
	return int32(int64(half)*s.items() + at)
}

// send copies the first mini-batches of a half to the device. Later work on d.stream finds them there.
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

// given records that all work that reads a half has been given to the device. Other work may come before the half's
// next use.
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

// bytesOf returns a data set's rows of samples as they lie in memory.
func bytesOf(s *net.Dataset) []byte {
	if s.Pixels != nil {
		return s.Pixels
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s.Values))), 4*len(s.Values))
}

// reserveStaging makes sure that the queue has staging memory for a streamed data set with at most capacity samples in
// a mini-batch. Memory for samples of another size, or for fewer samples, is given back.
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

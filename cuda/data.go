//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"maps"
	"slices"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/net"
)

// deviceData is a data set's samples and labels in device memory, as they are: bytes stay bytes. Where there is no room for
// it, it is streamed: it stays in host memory, and each program's stage brings what a mini-batch needs.
type deviceData struct {
	of       dataKey
	samples  Buffer // uint8 or float32, NCHW
	labels   Buffer // int32
	streamed bool
}

// dataKey tells data sets apart by where they lie in host memory; nobody changes a data set in use. The pointers keep that
// memory alive: no other data set can come to lie there.
type dataKey struct {
	samples, labels unsafe.Pointer
	count, size     int
	pixels          bool    // samples are bytes
	scale           float32 // of bytes
}

// bytes is how much memory the samples take.
func (k dataKey) bytes() int64 {
	n := int64(k.count) * int64(k.size)
	if !k.pixels {
		n *= 4
	}
	return n
}

func keyOf(s *net.Dataset) dataKey {
	k := dataKey{samples: unsafe.Pointer(unsafe.SliceData(bytesOf(s))), labels: unsafe.Pointer(unsafe.SliceData(s.Labels)),
		count: s.Len(), size: s.Shape.Size(), pixels: s.Pixels != nil}
	if k.pixels {
		k.scale = s.Scale
	}
	return k
}

// mostData bounds how many data sets stay in device memory: whoever asks about ever other images brings ever more.
const mostData = 8

// dataset returns the data set in device memory, and brings it there the first time. Other data sets make room for it, those
// used longest ago first; one for which there is no room at all is streamed.
func (d *Device) dataset(s *net.Dataset) (*deviceData, error) {
	key := keyOf(s)
	for i, x := range d.data {
		if x.of == key {
			d.data = append(slices.Delete(d.data, i, i+1), x) // the one used last at the end
			return x, nil
		}
	}
	if len(d.data) >= mostData {
		if err := d.forget(d.data[0]); err != nil {
			return nil, err
		}
	}
	x := &deviceData{of: key}
	err := x.upload(d, s)
	for errors.Is(err, ErrOutOfMemory) {
		fits, e := d.couldFit(key)
		if e != nil {
			return nil, e
		}
		if !fits {
			break
		}
		i := slices.IndexFunc(d.data, func(y *deviceData) bool { return !y.streamed })
		if err = d.forget(d.data[i]); err == nil {
			err = x.upload(d, s)
		}
	}
	if errors.Is(err, ErrOutOfMemory) {
		x.streamed, err = true, nil
	}
	if err != nil {
		return nil, errors.Join(err, x.close(d.pool))
	}
	d.data = append(d.data, x)
	return x, nil
}

// couldFit reports whether there would be room for a data set if those on the device were forgotten.
func (d *Device) couldFit(key dataKey) (bool, error) {
	_, room, err := d.pool.room()
	var held int64
	for _, x := range d.data {
		held += x.samples.Bytes + x.labels.Bytes
	}
	return held > 0 && key.bytes()+4*int64(key.count) <= held+room, err
}

// forget gives back the memory of a data set, and the graphs that read it.
func (d *Device) forget(x *deviceData) error {
	for _, p := range d.programs {
		if p.failed == nil && p.queue.count > 0 && p.queue.data == x {
			if err := p.queue.flush(); err != nil {
				return err
			}
		}
	}
	if err := d.synchronize(); err != nil {
		return err
	}
	var errs []error
	of := func(w work) bool { return w.data == x }
	for _, p := range d.programs {
		for w, g := range p.graphs {
			if of(w) {
				errs = append(errs, g.close())
			}
		}
		maps.DeleteFunc(p.graphs, func(w work, _ *graph) bool { return of(w) })
		maps.DeleteFunc(p.warm, func(w work, _ bool) bool { return of(w) })
	}
	d.data = slices.DeleteFunc(d.data, func(y *deviceData) bool { return y == x })
	return errors.Join(append(errs, x.close(d.pool))...)
}

// upload copies on the device's stream, so that what reads the data comes after it: the plain copies may return before the
// data has arrived, and a stream of our own does not wait for them.
func (x *deviceData) upload(d *Device, s *net.Dataset) (err error) {
	if x.samples, err = d.pool.take(x.of.bytes(), "the samples of "+s.Name); err != nil {
		return err
	}
	if x.labels, err = d.pool.take(4*int64(x.of.count), "the labels of "+s.Name); err != nil {
		err = errors.Join(err, x.close(d.pool))
		x.samples = Buffer{}
		return err
	}
	for _, c := range []struct {
		to   Buffer
		from unsafe.Pointer
	}{{x.samples, x.of.samples}, {x.labels, x.of.labels}} {
		if err := cu.MemcpyHtoDAsync(c.to.Address, c.from, c.to.Bytes, d.stream); err != nil {
			return call("cuMemcpyHtoDAsync", err)
		}
	}
	return nil
}

func (x *deviceData) close(p *Pool) error { return errors.Join(p.give(x.samples), p.give(x.labels)) }

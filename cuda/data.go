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

// deviceData is a data set's samples and labels in device memory, as they are: bytes stay bytes.
type deviceData struct {
	of      dataKey
	samples Buffer // uint8 or float32, NCHW
	labels  Buffer // int32
	bytes   bool
	scale   float32
}

// dataKey tells data sets apart by where they lie in host memory; nobody changes a data set in use. The pointers keep that
// memory alive: no other data set can come to lie there.
type dataKey struct {
	samples, labels unsafe.Pointer
	count, size     int
	scale           float32 // of bytes
}

func keyOf(s *net.Dataset) dataKey {
	k := dataKey{labels: unsafe.Pointer(unsafe.SliceData(s.Labels)), count: s.Len(), size: s.Shape.Size()}
	if s.Pixels != nil {
		k.samples, k.scale = unsafe.Pointer(unsafe.SliceData(s.Pixels)), s.Scale
	} else {
		k.samples = unsafe.Pointer(unsafe.SliceData(s.Values))
	}
	return k
}

// mostData bounds how many data sets stay in device memory: whoever asks about ever other images brings ever more.
const mostData = 8

// dataset returns the data set in device memory, and brings it there the first time.
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
	x := &deviceData{of: key, bytes: s.Pixels != nil, scale: s.Scale}
	err := x.upload(d, s)
	if err != nil {
		return nil, errors.Join(err, x.close(d.pool))
	}
	d.data = append(d.data, x)
	return x, nil
}

// forget gives back the memory of a data set, and the graphs that read it.
func (d *Device) forget(x *deviceData) error {
	for _, p := range d.programs {
		if p.failed == nil && p.queue.work.data == x {
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
	count := int64(s.Len()) * int64(s.Shape.Size())
	from := unsafe.Pointer(unsafe.SliceData(s.Pixels))
	if !x.bytes {
		count *= 4
		from = unsafe.Pointer(unsafe.SliceData(s.Values))
	}
	if x.samples, err = d.pool.take(count, "the samples of "+s.Name); err != nil {
		return err
	}
	if x.labels, err = d.pool.take(4*int64(s.Len()), "the labels of "+s.Name); err != nil {
		return err
	}
	if err = call("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(x.samples.Address, from, count, d.stream)); err != nil {
		return err
	}
	return call("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(x.labels.Address, unsafe.Pointer(unsafe.SliceData(s.Labels)), 4*int64(s.Len()), d.stream))
}

func (x *deviceData) close(p *Pool) error { return errors.Join(p.give(x.samples), p.give(x.labels)) }

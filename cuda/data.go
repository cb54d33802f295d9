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

// deviceData is a data set in device memory, with its samples and labels as they are: bytes stay bytes. A data set
// without room is streamed: it stays in host memory, and each program's staging memory brings what a mini-batch needs.
type deviceData struct {
	of       dataKey
	samples  *deviceSamples // nil if streamed
	labels   Buffer         // int32
	rows     Buffer         // int32: the row of each sample in samples; empty: sample i is row i
	streamed bool
}

// deviceSamples holds rows of samples in device memory. Data sets that share rows in host memory share them here too.
type deviceSamples struct {
	Buffer // uint8 or float32, NCHW
	of     rowsKey
	uses   int // data sets
}

// dataKey identifies a data set by where it lies in host memory; nobody may change a data set that is in use. The
// pointers keep that memory alive, so no other data set can come to lie there.
type dataKey struct {
	all          rowsKey
	labels, rows unsafe.Pointer // rows is nil where sample i is row i
	count        int
	shape        net.Shape
	pixels       bool    // samples are bytes
	scale        float32 // of bytes
}

// rowsKey identifies the host memory in which rows of samples lie.
type rowsKey struct {
	address unsafe.Pointer
	bytes   int64
}

// sample returns the bytes of one sample.
func (k dataKey) sample() int64 {
	if k.pixels {
		return int64(k.shape.Size())
	}
	return 4 * int64(k.shape.Size())
}

// bytes returns the bytes of the data set's own samples.
func (k dataKey) bytes() int64 { return int64(k.count) * k.sample() }

// few reports whether the data set has less than half of the rows. Then only its own rows are copied to the device;
// otherwise all rows are, so that the other parts of a data set can share them.
func (k dataKey) few() bool { return k.all.bytes > 2*k.bytes() }

func keyOf(s *net.Dataset) dataKey {
	all := bytesOf(s)
	k := dataKey{all: rowsKey{unsafe.Pointer(unsafe.SliceData(all)), int64(len(all))}, labels: unsafe.Pointer(unsafe.SliceData(s.Labels)),
		rows: unsafe.Pointer(unsafe.SliceData(s.Rows)), count: s.Len(), shape: s.Shape, pixels: s.Pixels != nil}
	if k.pixels {
		k.scale = s.Scale
	}
	return k
}

// kindOf returns what a graph needs to know of a streamed data set. Data sets that are alike in it have the same key.
func kindOf(s *net.Dataset) dataKey {
	k := keyOf(s)
	return dataKey{shape: k.shape, pixels: k.pixels, scale: k.scale}
}

// row returns the row in which a sample stands in device memory.
func (x *deviceData) row(s *net.Dataset, sample int32) int32 {
	if x.rows == (Buffer{}) {
		return sample
	}
	return int32(s.Row(sample))
}

// mostData is the most data sets that are remembered. Without a limit, a caller that keeps asking about new images
// would fill the memory.
const mostData = 8

// known returns what is remembered by a key, or nil.
func (d *Device) known(key dataKey) *deviceData {
	for i, x := range d.data {
		if x.of == key {
			d.data = append(slices.Delete(d.data, i, i+1), x) // the most recently used is at the end
			return x
		}
	}
	return nil
}

// remember adds a data set to those that are remembered, and forgets another if there are too many.
func (d *Device) remember(x *deviceData) (*deviceData, error) {
	if len(d.data) >= mostData {
		if err := d.forget(d.data[0]); err != nil {
			return nil, err
		}
	}
	d.data = append(d.data, x)
	return x, nil
}

// passing returns a data set that is probably seen only once, such as the images of a request. It is streamed, if it
// isn't in device memory. All such data sets of one kind are one for graphs.
func (d *Device) passing(s *net.Dataset) (*deviceData, error) {
	if x := d.known(keyOf(s)); x != nil {
		return x, nil
	}
	kind := kindOf(s)
	if x := d.known(kind); x != nil {
		return x, nil
	}
	return d.remember(&deviceData{of: kind, streamed: true})
}

// dataset returns the data set in device memory. The first call for a data set copies it there. Other data sets make
// room for it, the least recently used first. If there is no room at all, it is streamed.
func (d *Device) dataset(s *net.Dataset) (*deviceData, error) {
	key := keyOf(s)
	if x := d.known(key); x != nil {
		return x, nil
	}
	if len(d.data) >= mostData { // before it takes memory
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
		if _, err = d.makeRoom(); err == nil {
			err = x.upload(d, s)
		}
	}
	if errors.Is(err, ErrOutOfMemory) {
		x.streamed, err = true, nil
	}
	if err != nil {
		return nil, err
	}
	return d.remember(x)
}

// couldFit reports whether there would be room for a data set if those on the device were forgotten.
func (d *Device) couldFit(key dataKey) (bool, error) {
	_, room, err := d.pool.room()
	var held int64
	for _, x := range d.data {
		held += x.labels.Bytes + x.rows.Bytes
		if x.samples != nil {
			held += x.samples.Bytes / int64(x.samples.uses)
		}
	}
	return held > 0 && key.bytes()+4*int64(key.count) <= held+room, err
}

// makeRoom forgets the least recently used data set in device memory. It reports whether there was one.
func (d *Device) makeRoom() (bool, error) {
	i := slices.IndexFunc(d.data, func(x *deviceData) bool { return !x.streamed })
	if i < 0 {
		return false, nil
	}
	return true, d.forget(d.data[i])
}

// forget gives back the memory of a data set, and closes the graphs that read it.
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

// upload copies the data set to the device. If another data set has brought the same rows already, it shares them.
func (x *deviceData) upload(d *Device, s *net.Dataset) error {
	err := x.uploadSamples(d, s, x.of.few())
	if errors.Is(err, ErrOutOfMemory) && x.of.rows != nil && !x.of.few() {
		err = x.uploadSamples(d, s, true)
	}
	if err == nil {
		x.labels, err = d.upload(x.of.labels, 4*int64(x.of.count), "the labels of "+s.Name)
	}
	if err == nil && x.samples.of == x.of.all && x.of.rows != nil {
		x.rows, err = d.upload(x.of.rows, 4*int64(x.of.count), "the rows of "+s.Name)
	}
	if err != nil && x.samples != nil { // a copy may still be writing there
		err = errors.Join(err, d.synchronize(), x.close(d.pool))
		*x = deviceData{of: x.of}
	}
	return err
}

// uploadSamples copies the samples. It copies all rows that they are among; or, if alone is set, only the data set's
// own, one after the other.
func (x *deviceData) uploadSamples(d *Device, s *net.Dataset, alone bool) error {
	for _, y := range d.data {
		if y.samples != nil && y.samples.of == x.of.all {
			x.samples = y.samples
			x.samples.uses++
			return nil
		}
	}
	what := "the samples of " + s.Name
	if !alone {
		b, err := d.upload(x.of.all.address, x.of.all.bytes, what)
		if err != nil {
			return err
		}
		x.samples = &deviceSamples{b, x.of.all, 1}
		return nil
	}
	b, err := d.pool.take(x.of.bytes(), what)
	if err != nil {
		return err
	}
	x.samples = &deviceSamples{Buffer: b, uses: 1}
	// The copies go through one piece of memory: a copy from memory that isn't pinned has read it when the call
	// returns.
	size, from, to := x.of.sample(), bytesOf(s), b.Address
	piece := make([]byte, 0, max(uploadBytes/size, 1)*size)
	for i, row := range s.Rows {
		piece = append(piece, from[int64(row)*size:(int64(row)+1)*size]...)
		if len(piece) < cap(piece) && i+1 < len(s.Rows) {
			continue
		}
		if err := cu.MemcpyHtoDAsync(to, unsafe.Pointer(unsafe.SliceData(piece)), int64(len(piece)), d.stream); err != nil {
			return call("cuMemcpyHtoDAsync", err)
		}
		to, piece = to+cu.DevicePtr(len(piece)), piece[:0]
	}
	return nil
}

// uploadBytes is roughly the size of the pieces in which scattered rows are copied to the device.
const uploadBytes = 4 << 20

// upload copies host memory to new device memory. It copies on the device's stream, so that later work there finds the
// data. A plain copy may return before the data has arrived, and a stream of our own does not wait for it.
func (d *Device) upload(from unsafe.Pointer, bytes int64, what string) (Buffer, error) {
	b, err := d.pool.take(bytes, what)
	if err != nil {
		return Buffer{}, err
	}
	if err := d.quiet(); err != nil {
		return Buffer{}, errors.Join(err, d.pool.give(b))
	}
	if err := cu.MemcpyHtoDAsync(b.Address, from, bytes, d.stream); err != nil {
		return Buffer{}, errors.Join(call("cuMemcpyHtoDAsync", err), d.pool.give(b))
	}
	return b, nil
}

func (x *deviceData) close(p *Pool) error {
	errs := []error{p.give(x.labels), p.give(x.rows)}
	if x.samples != nil {
		if x.samples.uses--; x.samples.uses == 0 {
			errs = append(errs, p.give(x.samples.Buffer))
		}
	}
	return errors.Join(errs...)
}

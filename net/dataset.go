package net

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math"
	"slices"
)

// Dataset is labelled samples in host memory. Its samples are either bytes or
// float32: exactly one of Pixels and Values is set. A device may keep a copy;
// nobody changes a Dataset that is in use.
type Dataset struct {
	Name    string
	Shape   Shape     // of one sample
	Classes int       // labels are 0 ... Classes-1
	Pixels  []uint8   // N * Shape.Size() bytes in NCHW order, or nil
	Scale   float32   // a byte b stands for b*Scale; for Pixels only, 1/255 for images
	Values  []float32 // N * Shape.Size() values in NCHW order, or nil
	Labels  []int32   // N classes
}

// Len returns the number of samples.
func (d *Dataset) Len() int { return len(d.Labels) }

// Check refuses a data set whose parts disagree.
func (d *Dataset) Check() error {
	fail := func(format string, a ...any) error {
		return fmt.Errorf("data set %s: %w", d.Name, fmt.Errorf(format, a...))
	}
	if err := d.Shape.check(); err != nil {
		return fail("shape: %w", err)
	}
	if len(d.Labels) > math.MaxInt32 {
		return fail("%d samples are more than %d", len(d.Labels), math.MaxInt32)
	}
	if (d.Pixels == nil) == (d.Values == nil) && len(d.Labels) > 0 {
		return fail("needs either pixels or values")
	}
	if got, want := len(d.Pixels)+len(d.Values), d.Len()*d.Shape.Size(); got != want {
		return fail("%d values for %d samples of %v (want %d)", got, d.Len(), d.Shape, want)
	}
	if d.Classes < 2 {
		return fail("needs at least 2 classes, got %d", d.Classes)
	}
	for i, l := range d.Labels {
		if l < 0 || int(l) >= d.Classes {
			return fail("label %d of sample %d is outside the %d classes", l, i, d.Classes)
		}
	}
	return nil
}

// Gather writes the samples at indices to dst, one after the other in NCHW
// order; dst has len(indices)*d.Shape.Size() values.
func (d *Dataset) Gather(dst []float32, indices []int32) {
	n := d.Shape.Size()
	for k, i := range indices {
		row, at := dst[k*n:(k+1)*n], int(i)*n
		if d.Values != nil {
			copy(row, d.Values[at:at+n])
			continue
		}
		for j, b := range d.Pixels[at : at+n] {
			row[j] = float32(b) * d.Scale
		}
	}
}

// Slice returns samples lo ... hi-1 as a data set that shares d's memory.
func (d *Dataset) Slice(lo, hi int) *Dataset {
	out := *d
	n := d.Shape.Size()
	out.Labels = d.Labels[lo:hi]
	if d.Pixels != nil {
		out.Pixels = d.Pixels[lo*n : hi*n]
	}
	if d.Values != nil {
		out.Values = d.Values[lo*n : hi*n]
	}
	return &out
}

// DatasetID tells data sets apart.
type DatasetID struct {
	Name    string `json:"name"` // for people
	Samples int    `json:"samples"`
	SHA256  string `json:"sha256"` // of shape, classes, values and labels, in hexadecimal
}

// ID returns the identity of the data set. It reads all of it.
func (d *Dataset) ID() DatasetID {
	h := sha256.New()
	fmt.Fprintf(h, "%v %d %d %d %v\n", d.Shape, d.Classes, len(d.Pixels), len(d.Values), d.Scale)
	h.Write(d.Pixels)
	hashValues(h, d.Values)
	hashValues(h, d.Labels)
	return DatasetID{Name: d.Name, Samples: d.Len(), SHA256: fmt.Sprintf("%x", h.Sum(nil))}
}

// hashValues hashes values as little-endian words, a piece at a time.
func hashValues[T float32 | int32](h hash.Hash, values []T) {
	for piece := range slices.Chunk(values, 1<<14) {
		if err := binary.Write(h, binary.LittleEndian, piece); err != nil {
			panic(fmt.Sprintf("BUG: hashing: %v", err))
		}
	}
}

// Batch is a mini-batch: a data set and the indices of its samples, in order. An
// index may occur more than once.
type Batch struct {
	Data    *Dataset
	Indices []int32
}

// Len returns the number of samples in the batch.
func (b Batch) Len() int { return len(b.Indices) }

// Check refuses a batch that does not fit the plan. It takes the data set as
// checked.
func (b Batch) Check(p *Plan) error {
	switch {
	case b.Data == nil:
		return fmt.Errorf("batch without a data set")
	case len(b.Indices) == 0:
		return fmt.Errorf("empty batch")
	case b.Data.Shape != p.Network.Input:
		return fmt.Errorf("data set %s has samples of %v, the network takes %v", b.Data.Name, b.Data.Shape, p.Network.Input)
	case b.Data.Classes > p.Classes:
		return fmt.Errorf("data set %s has %d classes, the network gives %d logits", b.Data.Name, b.Data.Classes, p.Classes)
	}
	for _, i := range b.Indices {
		if i < 0 || int(i) >= b.Data.Len() {
			return fmt.Errorf("batch: index %d is outside data set %s of %d samples", i, b.Data.Name, b.Data.Len())
		}
	}
	return nil
}

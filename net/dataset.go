package net

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math"
	"slices"
)

// Dataset holds labelled samples in the host's memory, or in a file that is mapped
// there. Its samples are either bytes or float32: exactly one of Pixels and Values is
// set. A device may keep a copy, so do not change a Dataset that is in use.
type Dataset struct {
	Name       string
	Shape      Shape     // of one sample
	Classes    int       // the number of classes; labels are 0 ... Classes-1
	ClassNames []string  // by label; nil if classes have no names; see [ClassName]
	Pixels     []uint8   // rows of Shape.Size() bytes in CHW order, or nil
	Scale      float32   // for Pixels only: a byte b stands for b*Scale; 1/255 for images
	Values     []float32 // rows of Shape.Size() values in CHW order, or nil
	Labels     []int32   // the class of each sample
	// Rows gives the row of Pixels or Values for each sample, so that several data sets
	// can share them. If it is nil, sample i is row i.
	Rows []int32
}

// Len returns the number of samples.
func (d *Dataset) Len() int { return len(d.Labels) }

// Row returns the row of Pixels or Values that holds a sample.
func (d *Dataset) Row(sample int32) int {
	if d.Rows == nil {
		return int(sample)
	}
	return int(d.Rows[sample])
}

// rows returns how many samples Pixels or Values have room for.
func (d *Dataset) rows() int { return (len(d.Pixels) + len(d.Values)) / d.Shape.Size() }

// Check returns an error for a data set that contradicts itself: the numbers of samples
// and values don't match, a label is no class, or a row isn't there.
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
	if got, want := len(d.Pixels)+len(d.Values), d.Len()*d.Shape.Size(); d.Rows == nil && got != want {
		return fail("%d values for %d samples of %v (want %d)", got, d.Len(), d.Shape, want)
	}
	if d.Rows != nil {
		if len(d.Rows) != d.Len() {
			return fail("%d rows for %d samples", len(d.Rows), d.Len())
		}
		for i, r := range d.Rows {
			if r < 0 || int(r) >= d.rows() {
				return fail("row %d of sample %d is outside the %d rows", r, i, d.rows())
			}
		}
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

// Gather writes the samples at indices to dst, one after the other in NCHW order. dst
// must have room for len(indices)*d.Shape.Size() values.
func (d *Dataset) Gather(dst []float32, indices []int32) {
	n := d.Shape.Size()
	for k, i := range indices {
		row, at := dst[k*n:(k+1)*n], d.Row(i)*n
		if d.Values != nil {
			copy(row, d.Values[at:at+n])
			continue
		}
		for j, b := range d.Pixels[at : at+n] {
			row[j] = float32(b) * d.Scale
		}
	}
}

// Select returns a data set of the samples at indices, in that order. It shares d's
// pixels or values.
func (d *Dataset) Select(indices []int32) *Dataset {
	out := *d
	out.Labels, out.Rows = make([]int32, len(indices)), make([]int32, len(indices))
	for k, i := range indices {
		out.Labels[k], out.Rows[k] = d.Labels[i], int32(d.Row(i))
	}
	return &out
}

// Slice returns a data set of the samples lo ... hi-1. It shares d's memory.
func (d *Dataset) Slice(lo, hi int) *Dataset {
	out := *d
	n := d.Shape.Size()
	out.Labels = d.Labels[lo:hi]
	if d.Rows != nil {
		out.Rows = d.Rows[lo:hi]
		return &out
	}
	if d.Pixels != nil {
		out.Pixels = d.Pixels[lo*n : hi*n]
	}
	if d.Values != nil {
		out.Values = d.Values[lo*n : hi*n]
	}
	return &out
}

// DatasetID identifies a data set by its contents.
type DatasetID struct {
	Name    string `json:"name"` // for people
	Samples int    `json:"samples"`
	SHA256  string `json:"sha256"` // of shape, classes, values and labels, in hexadecimal
}

// ID returns the identity of the data set. It reads all of it.
func (d *Dataset) ID() DatasetID {
	h := sha256.New()
	// Where a sample lies in memory does not count: data sets of the same samples have the
	// same identity, with Rows or without.
	n, bytes, values := d.Shape.Size(), 0, 0
	if d.Pixels != nil {
		bytes = d.Len() * n
	} else {
		values = d.Len() * n
	}
	fmt.Fprintf(h, "%v %d %d %d %v\n", d.Shape, d.Classes, bytes, values, d.Scale)
	for i := range d.Labels {
		at := d.Row(int32(i)) * n
		if d.Pixels != nil {
			h.Write(d.Pixels[at : at+n])
		} else {
			hashValues(h, d.Values[at:at+n])
		}
	}
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
	Views   []View // how each sample is seen; nil shows all samples as they are
}

// Len returns the number of samples in the batch.
func (b Batch) Len() int { return len(b.Indices) }

// Part returns a batch of the samples lo ... hi-1 of b. It shares b's memory.
func (b Batch) Part(lo, hi int) Batch {
	b.Indices = b.Indices[lo:hi]
	if b.Views != nil {
		b.Views = b.Views[lo:hi]
	}
	return b
}

// Expected returns what the network should answer for the sample at place i of the
// batch: label with the given share, and other with the rest. If the sample is not mixed
// with another one, share is 1 and both labels are the same.
func (b Batch) Expected(i int) (label, other int32, share float32) {
	label = b.Data.Labels[b.Indices[i]]
	if b.Views == nil || b.Views[i].Partner < 0 {
		return label, label, 1
	}
	return label, b.Data.Labels[b.Views[i].Partner], b.Views[i].Share
}

// Check returns an error for a batch that does not fit the plan. It relies on
// [Dataset.Check] for the data set itself.
func (b Batch) Check(p *Plan) error {
	switch {
	case b.Data == nil:
		return fmt.Errorf("batch without a data set")
	case len(b.Indices) == 0:
		return fmt.Errorf("empty batch")
	case b.Views != nil && len(b.Views) != len(b.Indices):
		return fmt.Errorf("batch: %d views of %d samples", len(b.Views), len(b.Indices))
	case b.Views != nil && b.Data.Shape.C != p.Network.Input.C, b.Views == nil && b.Data.Shape != p.Network.Input:
		return fmt.Errorf("data set %s has samples of %v, the network takes %v", b.Data.Name, b.Data.Shape, p.Network.Input)
	case b.Data.Classes > p.Classes:
		return fmt.Errorf("data set %s has %d classes, the network gives %d logits", b.Data.Name, b.Data.Classes, p.Classes)
	}
	for _, i := range b.Indices {
		if i < 0 || int(i) >= b.Data.Len() {
			return fmt.Errorf("batch: index %d is outside data set %s of %d samples", i, b.Data.Name, b.Data.Len())
		}
	}
	for i := range b.Views {
		if err := b.Views[i].Check(b.Data.Len()); err != nil {
			return fmt.Errorf("batch: sample %d: %w", b.Indices[i], err)
		}
	}
	return nil
}
